//! What a person may change, as the properties of XMP that say it; both ways.
//!
//! Several programs keep copies of one fact under names of their own. `xmp:Rating`, `dc:subject` and their like are always written. A copy
//! under another name (`MicrosoftPhoto:Rating`, `acdsee:rating`, `MicrosoftPhoto:LastKeywordXMP`, `mediapro:CatalogSets`,
//! `acdsee:categories`) is written only where it stands already: left as it was it would contradict, and its program, or digiKam, which
//! reads them all, would bring the old value back; digiKam keeps them in step for the same reason. Lightroom knows none of them and never
//! writes them, so none is ever added. `darktable:colorlabels`, a set, and the places of `Iptc4xmpExt`, which tell where the camera stood
//! from what it saw, are other facts and are left alone.
//!
//! Where a person takes away what the picture itself says, leaving a property out is not enough, because the picture's would come back. For
//! stars, flag and colour there is a value that means none. For the rest an empty property would do, but does not last: exiv2, which
//! darktable and digiKam write with, leaves an empty `dc:title` out when it next writes the sidecar, exiftool an empty list; and there is
//! no empty coordinate. So the names of such fields stand in a list of hm's own, `hm:cleared`, which other programs keep because they do
//! not know it. The scanner takes an empty title, description, list or place of theirs for the same.

use super::{
    Refusal,
    document::is_blank,
    notation::{
        categories, color_of_number, degrees, from_percent, from_tag, label_of, number_of, percent, pick_of, to_tag, written_altitude,
        written_degrees, written_time,
    },
    packet::{Held, Packet},
    properties::{self as names, Property},
};
use crate::{
    media::meta::{dates, labels::color_named},
    models::{
        Gps,
        edit::{ColorLabel, Field, Keywords, Pick, Place, TakenAt, Value},
    },
};

/// digiKam's flag for what is thrown away: a copy of the rating -1.
const REJECTED: &str = "1";

/// What the properties of one edit are to be. Empty lists and `None` take away.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    Simple(Option<String>),
    Items(Vec<String>),
    DefaultLanguage(Option<String>),
}

/// Every property that may say something about a field, the ones that count first.
pub(super) fn properties(field: Field) -> &'static [&'static Property] {
    match field {
        Field::Rating => &[&names::RATING, &names::MICROSOFT_RATING, &names::ACDSEE_RATING, &names::PICK_LABEL],
        Field::Pick => &[&names::PICK_LABEL],
        Field::ColorLabel => &[&names::LABEL, &names::COLOR_LABEL],
        Field::Title => &[&names::TITLE],
        Field::Description => &[&names::DESCRIPTION],
        Field::Keywords => &[
            &names::SUBJECT,
            &names::HIERARCHICAL_SUBJECT,
            &names::TAGS_LIST,
            &names::MICROSOFT_KEYWORDS,
            &names::CATALOG_SETS,
            &names::ACDSEE_CATEGORIES,
        ],
        Field::Gps => &[&names::GPS_LATITUDE, &names::GPS_LONGITUDE, &names::GPS_ALTITUDE, &names::GPS_ALTITUDE_REF, &names::GPS_VERSION],
        Field::CapturedAt => {
            &[&names::DATE_TIME_ORIGINAL, &names::DATE_CREATED, &names::SUBSECONDS, &names::SUBSECONDS_LOWER, &names::OFFSET]
        }
        Field::Place => &[&names::CITY, &names::STATE, &names::COUNTRY, &names::COUNTRY_CODE],
    }
}

/// What a packet says about a field; `None` when it says nothing. `written` is what hm wrote there last, where it did.
///
/// # Errors
/// When it says something that is not understood, or says it twice and differently.
pub(super) fn read(packet: &Packet<'_>, field: Field, written: Option<&Value>) -> Result<Option<Value>, Refusal> {
    let text = |property| simple(packet, property);
    let languages = |property| -> Result<Option<String>, Refusal> {
        let Some(Held::Languages(all)) = packet.held(property)? else { return Ok(None) };
        let is_default = |(language, _): &&(Option<String>, String)| {
            language.as_ref().is_some_and(|language| language.eq_ignore_ascii_case("x-default"))
        };
        let chosen = all.iter().find(is_default).or(all.first());
        Ok(chosen.and_then(|(_, text)| trimmed(text)))
    };
    let said = match field {
        Field::Rating => match rating(packet)? {
            Some(stars) => Some(Value::Rating(Some(stars))),
            None => {
                let windows = text(&names::MICROSOFT_RATING)?.and_then(|percent| from_percent(&percent));
                let rejected = text(&names::PICK_LABEL)?.as_deref() == Some(REJECTED);
                windows.or(rejected.then_some(-1)).map(|stars| Value::Rating(Some(stars)))
            }
        },
        Field::Pick => text(&names::PICK_LABEL)?.map(|number| Value::Pick(pick_of(&number))),
        Field::ColorLabel => color(packet, written)?.map(Value::ColorLabel),
        Field::Title => languages(&names::TITLE)?.map(|text| Value::Title(Some(text))),
        Field::Description => languages(&names::DESCRIPTION)?.map(|text| Value::Description(Some(text))),
        Field::Keywords => keywords(packet, written)?.map(Value::Keywords),
        Field::Gps => gps(packet)?.map(|gps| Value::Gps(Some(gps))),
        Field::CapturedAt => taken_at(packet)?.map(Value::CapturedAt),
        Field::Place => {
            let place = Place {
                city: text(&names::CITY)?,
                state: text(&names::STATE)?,
                country: text(&names::COUNTRY)?,
                country_code: text(&names::COUNTRY_CODE)?,
            };
            Some(place).filter(|place| !place.is_empty()).map(Value::Place)
        }
    };
    if said.is_none() && cleared(packet)?.iter().any(|name| name == field.name()) {
        return Ok(super::silence(field));
    }
    Ok(said)
}

/// The names of the fields that hm's own property says are none.
fn cleared(packet: &Packet<'_>) -> Result<Vec<String>, Refusal> {
    Ok(match packet.held(&names::CLEARED)? {
        Some(Held::Items(names)) => names,
        _ => Vec::new(),
    })
}

/// The properties to change so that a packet says `value`, in the order they are to be changed; what is right already is left out. Where
/// the picture says something itself, a packet that leaves it out does not say that there is none.
///
/// # Errors
/// As [`read`].
pub(super) fn targets(packet: &Packet<'_>, value: &Value, picture_says: bool) -> Result<Vec<(&'static Property, Target)>, Refusal> {
    let mut targets = Vec::new();
    let must_deny = picture_says && value.is_silent();
    let is_there = |property: &Property| !packet.statements(property).is_empty();
    match value {
        Value::Rating(stars) => {
            let in_words = if must_deny { Some(0) } else { *stars };
            if rating(packet)? != in_words && (in_words.is_some_and(|stars| stars != 0) || must_deny || is_there(&names::RATING)) {
                targets.push((&names::RATING, Target::Simple(in_words.map(|stars| stars.to_string()))));
            }
            for (copy, write) in [(&names::MICROSOFT_RATING, percent as fn(i8) -> i8), (&names::ACDSEE_RATING, |stars: i8| stars.max(0))] {
                let wanted = stars.map(|stars| write(stars).to_string());
                if let Some(old) = Some(copy).filter(|copy| is_there(copy)).map(|copy| simple(packet, copy)).transpose()?
                    && old != wanted
                {
                    targets.push((copy, Target::Simple(wanted)));
                }
            }
            let rejects = *stars == Some(-1);
            match simple(packet, &names::PICK_LABEL)?.as_deref() {
                Some(REJECTED) if !rejects => targets.push((&names::PICK_LABEL, Target::Simple(Some("0".to_owned())))),
                Some("0") if rejects => targets.push((&names::PICK_LABEL, Target::Simple(Some(REJECTED.to_owned())))),
                _ => {}
            }
        }
        Value::Pick(pick) => {
            let now = simple(packet, &names::PICK_LABEL)?;
            if now.as_deref().map_or(Pick::None, pick_of) != *pick || (must_deny && now.is_none()) {
                let number = match pick {
                    Pick::None => "0",
                    Pick::Pending => "2",
                    Pick::Picked => "3",
                };
                targets.push((&names::PICK_LABEL, Target::Simple(Some(number.to_owned()))));
            }
        }
        Value::ColorLabel(color) => {
            let label = simple(packet, &names::LABEL)?;
            if label.as_deref().and_then(color_named).unwrap_or_default() != *color {
                targets.push((&names::LABEL, Target::Simple(label_of(*color).map(str::to_owned))));
            }
            let number = simple(packet, &names::COLOR_LABEL)?;
            if number.as_deref().map_or(ColorLabel::None, color_of_number) != *color || (must_deny && number.is_none()) {
                targets.push((&names::COLOR_LABEL, Target::Simple(Some(number_of(*color).to_owned()))));
            }
        }
        Value::Title(text) => targets.push((&names::TITLE, Target::DefaultLanguage(text.clone()))),
        Value::Description(text) => targets.push((&names::DESCRIPTION, Target::DefaultLanguage(text.clone()))),
        Value::Keywords(keywords) => keyword_targets(packet, keywords, &mut targets),
        Value::Gps(place) => {
            let same = match (gps(packet)?, place) {
                (Some(now), Some(wanted)) => Value::Gps(Some(now)).says_same(&Value::Gps(Some(*wanted))),
                _ => false,
            };
            if !same {
                gps_targets(packet, *place, &mut targets);
            }
        }
        Value::CapturedAt(time) => {
            let wanted = written_time(time);
            let says_so = |now: Option<TakenAt>| now.is_some_and(|now| now == *time);
            if !says_so(original_time(packet)?) {
                targets.push((&names::DATE_TIME_ORIGINAL, Target::Simple(Some(wanted.clone()))));
                // They are in the time itself now, and could only contradict it.
                let parts = [&names::SUBSECONDS, &names::SUBSECONDS_LOWER, &names::OFFSET];
                targets.extend(parts.into_iter().filter(|part| is_there(part)).map(|part| (part, Target::Simple(None))));
            }
            if !says_so(time_in(packet, &names::DATE_CREATED)?) {
                targets.push((&names::DATE_CREATED, Target::Simple(Some(wanted))));
            }
        }
        Value::Place(place) => {
            let parts = [
                (&names::CITY, &place.city),
                (&names::STATE, &place.state),
                (&names::COUNTRY, &place.country),
                (&names::COUNTRY_CODE, &place.country_code),
            ];
            for (property, wanted) in parts {
                if simple(packet, property)? != *wanted {
                    targets.push((property, Target::Simple(wanted.clone())));
                }
            }
        }
    }
    // These have a value that means none.
    let is_named = must_deny && !matches!(value, Value::Rating(_) | Value::Pick(_) | Value::ColorLabel(_) | Value::CapturedAt(_));
    let before = cleared(packet)?;
    let name = value.field().name();
    if before.iter().any(|cleared| cleared == name) != is_named {
        let others = before.iter().filter(|cleared| *cleared != name).cloned();
        targets.push((&names::CLEARED, Target::Items(others.chain(is_named.then(|| name.to_owned())).collect())));
    }
    Ok(targets)
}

/// The trimmed text of a simple property; `None` when there is none or nothing in it.
fn simple(packet: &Packet<'_>, property: &Property) -> Result<Option<String>, Refusal> {
    match packet.held(property)? {
        Some(Held::Simple(text)) => Ok(trimmed(&text)),
        _ => Ok(None),
    }
}

fn trimmed(text: &str) -> Option<String> {
    let text = text.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}');
    (!text.is_empty()).then(|| text.to_owned())
}

fn not_understood(property: &Property, text: &str, what: &str) -> Refusal {
    let shown: String = text.chars().take(40).collect();
    Refusal::Ambiguous { property: property.to_string(), reason: format!("`{shown}` is no {what}") }
}

fn rating(packet: &Packet<'_>) -> Result<Option<i8>, Refusal> {
    let Some(text) = simple(packet, &names::RATING)? else { return Ok(None) };
    let stars = text.parse::<f64>().ok().map(f64::round).filter(|stars| (-1.0..=5.0).contains(stars));
    let stars = stars.ok_or_else(|| not_understood(&names::RATING, &text, "rating"))?;
    Ok(Some(stars as i8))
}

/// Adobe's label and digiKam's number say the same after every write here. Where they differ since, the one that differs from what was
/// written is the news.
fn color(packet: &Packet<'_>, written: Option<&Value>) -> Result<Option<ColorLabel>, Refusal> {
    let label = simple(packet, &names::LABEL)?.map(|label| color_named(&label).unwrap_or_default());
    let number = simple(packet, &names::COLOR_LABEL)?.map(|number| color_of_number(&number));
    // Words that are no colour say nothing against digiKam's number.
    let label = label.filter(|label| *label != ColorLabel::None || number.is_none());
    Ok(match (label, number) {
        (Some(label), Some(number)) if label != number => match written {
            Some(Value::ColorLabel(written)) if label == *written => Some(number),
            _ => Some(label),
        },
        // One that was taken away is news as well.
        (None, Some(number)) if written == Some(&Value::ColorLabel(number)) && number != ColorLabel::None => Some(ColorLabel::None),
        (label, number) => label.or(number),
    })
}

/// The three lists say the same after every write here. Programs that know only some of them leave the others as they were: then what was
/// added to or removed from any of them since is the news. Where nobody knows that hm wrote them, they are taken together.
fn keywords(packet: &Packet<'_>, written: Option<&Value>) -> Result<Option<Keywords>, Refusal> {
    let items = |property| -> Result<Option<Vec<String>>, Refusal> {
        match packet.held(property)? {
            Some(Held::Items(items)) => Ok(Some(items.iter().filter_map(|item| trimmed(item)).collect())),
            _ => Ok(None),
        }
    };
    let flat = items(&names::SUBJECT)?;
    let adobe = items(&names::HIERARCHICAL_SUBJECT)?;
    let digikam = items(&names::TAGS_LIST)?.map(|tags| tags.iter().map(|tag| from_tag(tag)).collect::<Vec<_>>());
    let windows = items(&names::MICROSOFT_KEYWORDS)?.map(|tags| tags.iter().map(|tag| from_tag(tag)).collect::<Vec<_>>());
    let media_pro = items(&names::CATALOG_SETS)?;
    let lists = [flat, adobe, digikam, windows, media_pro];
    if lists.iter().all(Option::is_none) {
        return Ok(None);
    }
    let all = Keywords::new(lists[0].iter().flatten().cloned(), lists[1..].iter().flatten().flatten().cloned());
    let Some(Value::Keywords(written)) = written else { return Ok(Some(all)) };
    let levels = |list: &[String]| Keywords::new([""; 0], list.iter().cloned());
    // Lightroom need not repeat each level of a tree among the flat words.
    let trees_of = |list: &Vec<String>| levels(&list.iter().filter(|keyword| keyword.contains('|')).cloned().collect::<Vec<_>>());
    let implied = lists[1].as_ref().or(lists[2].as_ref()).map(trees_of).unwrap_or_default();
    let (mut trees, mut words) = (all.hierarchical().clone(), all.flat().clone());
    for (index, list) in lists.iter().enumerate().filter_map(|(index, list)| Some((index, list.as_ref()?))) {
        let said = levels(list);
        // The flat list never held the trees.
        trees.retain(|tree| index == 0 || !written.hierarchical().contains(tree) || said.hierarchical().contains(tree));
        let is_gone =
            |word: &String| written.flat().contains(word) && !said.flat().contains(word) && (index > 0 || !implied.flat().contains(word));
        words.retain(|word| !is_gone(word));
    }
    // A tree without one of its levels is no tree.
    let whole = trees.into_iter().filter(|tree| tree.split('|').all(|level| words.contains(level)));
    Ok(Some(Keywords::new(words.clone(), whole)))
}

fn keyword_targets(packet: &Packet<'_>, keywords: &Keywords, targets: &mut Vec<(&'static Property, Target)>) {
    let plain: Vec<String> = keywords.plain().into_iter().map(str::to_owned).collect();
    let with_slashes = |write: fn(&str) -> String| Target::Items(plain.iter().map(|keyword| write(keyword)).collect());
    targets.push((&names::SUBJECT, Target::Items(keywords.flat().iter().cloned().collect())));
    targets.push((&names::HIERARCHICAL_SUBJECT, Target::Items(plain.clone())));
    targets.push((&names::TAGS_LIST, with_slashes(to_tag)));
    let is_there = |property: &Property| !packet.statements(property).is_empty();
    if is_there(&names::MICROSOFT_KEYWORDS) {
        targets.push((&names::MICROSOFT_KEYWORDS, with_slashes(to_tag)));
    }
    if is_there(&names::CATALOG_SETS) {
        targets.push((&names::CATALOG_SETS, Target::Items(plain.clone())));
    }
    if is_there(&names::ACDSEE_CATEGORIES) {
        let wanted = (!keywords.is_empty()).then(|| categories(&plain));
        targets.push((&names::ACDSEE_CATEGORIES, Target::Simple(wanted)));
    }
}

fn gps(packet: &Packet<'_>) -> Result<Option<Gps>, Refusal> {
    let part = |property: &'static Property, positive: char, negative: char, most: f64| -> Result<Option<f64>, Refusal> {
        let Some(text) = simple(packet, property)? else { return Ok(None) };
        let degrees = degrees(&text, positive, negative).filter(|degrees| degrees.abs() <= most);
        degrees.map(Some).ok_or_else(|| not_understood(property, &text, "coordinate"))
    };
    let (latitude, longitude) = (part(&names::GPS_LATITUDE, 'N', 'S', 90.0)?, part(&names::GPS_LONGITUDE, 'E', 'W', 180.0)?);
    let (Some(latitude_deg), Some(longitude_deg)) = (latitude, longitude) else { return Ok(None) };
    if latitude_deg == 0.0 && longitude_deg == 0.0 {
        // What devices write without a fix.
        return Ok(None);
    }
    let below = simple(packet, &names::GPS_ALTITUDE_REF)?.as_deref() == Some("1");
    let altitude = simple(packet, &names::GPS_ALTITUDE)?.and_then(|text| {
        let (above, under) = text.split_once('/').unwrap_or((&text, "1"));
        let metres = above.trim().parse::<f64>().ok()? / under.trim().parse::<f64>().ok()?;
        metres.is_finite().then_some(if below { -metres } else { metres } + 0.0)
    });
    Ok(Some(Gps { latitude_deg, longitude_deg, altitude_m: altitude }))
}

fn gps_targets(packet: &Packet<'_>, place: Option<Gps>, targets: &mut Vec<(&'static Property, Target)>) {
    let is_there = |property: &&Property| !packet.statements(property).is_empty();
    let Some(place) = place else {
        let parts = [&names::GPS_LATITUDE, &names::GPS_LONGITUDE, &names::GPS_ALTITUDE, &names::GPS_ALTITUDE_REF];
        let mut gone: Vec<&'static Property> = parts.into_iter().filter(|part| is_there(part)).collect();
        // The version goes with the last of them; a direction or a time of the satellites' stays, and its version with it.
        let keeps_others = packet.descriptions().any(|description| {
            let of_elements = description.elements().map(|element| &element.name);
            let mut all = of_elements.chain(description.attributes.iter().map(|attribute| &attribute.name));
            let is_ours = |name: &super::document::Name| {
                properties(Field::Gps).iter().any(|property| property.is_named(&name.namespace, &name.local))
            };
            all.any(|name| name.namespace == names::GPS_LATITUDE.namespace && name.local.starts_with("GPS") && !is_ours(name))
        });
        if !keeps_others && is_there(&&names::GPS_VERSION) {
            gone.push(&names::GPS_VERSION);
        }
        targets.extend(gone.into_iter().map(|property| (property, Target::Simple(None))));
        return;
    };
    targets.push((&names::GPS_LATITUDE, Target::Simple(Some(written_degrees(place.latitude_deg, 'N', 'S')))));
    targets.push((&names::GPS_LONGITUDE, Target::Simple(Some(written_degrees(place.longitude_deg, 'E', 'W')))));
    let altitude = place.altitude_m.map(written_altitude);
    // Without an altitude the old one goes too: it was another place's.
    if altitude.is_some() || is_there(&&names::GPS_ALTITUDE) {
        targets.push((&names::GPS_ALTITUDE, Target::Simple(altitude)));
    }
    let reference = place.altitude_m.map(|metres| if metres < 0.0 { "1" } else { "0" }.to_owned());
    if reference.is_some() || is_there(&&names::GPS_ALTITUDE_REF) {
        targets.push((&names::GPS_ALTITUDE_REF, Target::Simple(reference)));
    }
    if !is_there(&&names::GPS_VERSION) {
        targets.push((&names::GPS_VERSION, Target::Simple(Some("2.3.0.0".to_owned()))));
    }
}

fn time_in(packet: &Packet<'_>, property: &'static Property) -> Result<Option<TakenAt>, Refusal> {
    let Some(text) = simple(packet, property)? else { return Ok(None) };
    match dates::parse(&text) {
        Some(moment) => Ok(Some(TakenAt { local: moment.local, offset_minutes: moment.offset_minutes, source: None })),
        // Zero dates and blanks are what cameras without a clock write.
        None if text.chars().all(|character| matches!(character, '0' | ':' | '-' | 'T' | 'Z' | '+' | '.') || is_blank(character)) => {
            Ok(None)
        }
        None => Err(not_understood(property, &text, "time")),
    }
}

/// The time of the shutter with the parts that are written beside it.
fn original_time(packet: &Packet<'_>) -> Result<Option<TakenAt>, Refusal> {
    let Some(time) = time_in(packet, &names::DATE_TIME_ORIGINAL)? else { return Ok(None) };
    let subseconds = match simple(packet, &names::SUBSECONDS)? {
        Some(digits) => Some(digits),
        None => simple(packet, &names::SUBSECONDS_LOWER)?,
    };
    let offset = simple(packet, &names::OFFSET)?;
    let moment = dates::Moment { local: time.local, offset_minutes: time.offset_minutes };
    let moment = moment.with_subseconds(subseconds.as_deref()).with_offset(offset.as_deref());
    Ok(Some(TakenAt { local: moment.local, offset_minutes: moment.offset_minutes, source: None }))
}

fn taken_at(packet: &Packet<'_>) -> Result<Option<TakenAt>, Refusal> {
    match original_time(packet)? {
        Some(time) => Ok(Some(time)),
        None => time_in(packet, &names::DATE_CREATED),
    }
}
