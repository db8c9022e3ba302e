//! What a form says about images, as changes: the same names whether one image is meant or many. No database.

use super::words::{
    color_words, field_words, flag_words, keyword_words, number_of_stars, offset_words, place_words, shift_words, text_words,
};
use crate::{
    models::edit::{Change, ColorLabel, EditError, Field, Keywords, Pick, Place, TakenAt, Value, parse_place, parse_shift, parse_zone},
    web::{WebError, page::value_of},
};

/// Names of fields that ask for a change.
const NAMES: &[&str] = &[
    "rating",
    "step_rating",
    "flag",
    "color_label",
    "title",
    "description",
    "add_keywords",
    "remove_keywords",
    "place",
    "city",
    "shift_time",
    "captured_at",
    "zone",
];

/// What a form asks for, and how it is said to whom it was done for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    /// What to do to each image.
    pub(super) changes: Vec<Change>,
    /// `4 stars`, `Picked`.
    pub(super) words: String,
}

/// Reads the changes among the fields of a form; others are passed over.
///
/// # Errors
/// [`WebError::BadRequest`] names the field and what it takes, or says that there is nothing to change.
pub(super) fn asked(fields: &[(String, String)]) -> Result<Asked, WebError> {
    let asked = read(fields).map_err(in_words)?;
    if asked.changes.is_empty() {
        return Err(WebError::BadRequest("There is nothing to change.".to_owned()));
    }
    Ok(asked)
}

/// What makes no sense, with the field as people know it.
pub(in crate::web) fn in_words(error: EditError) -> WebError {
    WebError::BadRequest(format!("{} {}.", field_words(error.field), error.problem))
}

fn read(fields: &[(String, String)]) -> Result<Asked, EditError> {
    let mut changes = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut add = |some: Vec<Change>, said: String| {
        changes.extend(some);
        words.push(said);
    };
    for name in NAMES {
        // An empty value says something for all but those that only add.
        let Some(value) = fields.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str()) else { continue };
        match *name {
            "rating" => {
                let rating = whole(Field::Rating, value)?;
                add(vec![Change::Set(Value::Rating(Some(rating)))], number_of_stars(Some(rating)));
            }
            "step_rating" => {
                let by = whole(Field::Rating, value)?;
                add(vec![Change::StepRating(by)], if by < 0 { "One star less" } else { "One star more" }.to_owned());
            }
            "flag" => {
                let some = flag(value).ok_or_else(|| EditError::new(Field::Pick, "is expected to be `pick`, `reject` or `none`"))?;
                add(some, flag_words(value).to_owned());
            }
            "color_label" => {
                let color: ColorLabel =
                    value.parse().map_err(|_| EditError::new(Field::ColorLabel, "is expected to be a colour or `none`"))?;
                add(vec![Change::Set(Value::ColorLabel(color))], color_words(color));
            }
            "title" | "description" => {
                let text = Some(value.to_owned());
                let (value, what) =
                    if *name == "title" { (Value::Title(text), "title") } else { (Value::Description(text), "description") };
                let value = value.checked()?;
                let said = text_words(&value, what);
                add(vec![Change::Set(value)], said);
            }
            "add_keywords" | "remove_keywords" => {
                let keywords = keywords(value)?;
                if keywords.is_empty() {
                    continue;
                }
                let said = keyword_words(&keywords, *name == "add_keywords");
                add(vec![if *name == "add_keywords" { Change::AddKeywords(keywords) } else { Change::RemoveKeywords(keywords) }], said);
            }
            "place" => {
                let gps = if value.trim().is_empty() { None } else { Some(parse_place(value)?) };
                let said = gps.map_or_else(|| "No place".to_owned(), |gps| format!("Place: {}", place_words(gps)));
                add(vec![Change::Set(Value::Gps(gps))], said);
            }
            "city" => {
                let text = |name| value_of(fields, name).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
                let place =
                    Place { city: text("city"), state: text("state"), country: text("country"), country_code: text("country_code") };
                let said = if place.is_empty() { "No name of the place" } else { "Name of the place" };
                add(vec![Change::Set(Value::Place(place))], said.to_owned());
            }
            "shift_time" => {
                let by = parse_shift(value)?;
                add(vec![Change::ShiftTime(by)], shift_words(by));
            }
            "captured_at" => {
                let expected = || EditError::new(Field::CapturedAt, "is expected to be a local time such as 2019-08-03T12:33:00");
                let Value::CapturedAt(time) = Value::from_json(Field::CapturedAt, &value.into()).map_err(|_| expected())? else {
                    return Err(expected());
                };
                let offset_minutes = value_of(fields, "zone").map_or(Ok(None), parse_zone)?;
                let said = format!("Taken on {}", time.local.format("%-d %B %Y, %H:%M:%S"));
                add(vec![Change::Set(Value::CapturedAt(TakenAt { offset_minutes, ..time }))], said);
            }
            // Beside a time it is that time's.
            "zone" if fields.iter().all(|(key, _)| key != "captured_at") => {
                let offset = parse_zone(value)?;
                add(
                    vec![Change::SetOffset(offset)],
                    offset.map_or_else(|| "Zone not known".to_owned(), |offset| format!("Zone {}", offset_words(offset))),
                );
            }
            _ => {}
        }
    }
    Ok(Asked { changes, words: words.join(", ") })
}

fn whole(field: Field, text: &str) -> Result<i8, EditError> {
    let number = text.parse().ok().filter(|number| (-5..=5).contains(number));
    number.ok_or_else(|| EditError::new(field, "is expected to be a whole number from -1 (rejected) to 5"))
}

/// Flags are of one kind to people: what is picked is not rejected, and the other way round.
pub(in crate::web) fn flag(name: &str) -> Option<Vec<Change>> {
    let pick = |pick| Change::Set(Value::Pick(pick));
    Some(match name {
        "pick" => vec![pick(Pick::Picked), Change::Unreject],
        "reject" => vec![Change::Set(Value::Rating(Some(-1))), pick(Pick::None)],
        "none" => vec![pick(Pick::None), Change::Unreject],
        _ => return None,
    })
}

/// Keywords between commas, semicolons or line ends; `|`, `>` or `›` between levels.
fn keywords(text: &str) -> Result<Keywords, EditError> {
    let list = text.split([',', ';', '\n']).map(|keyword| keyword.replace(['>', '›'], "|")).filter(|keyword| !keyword.trim().is_empty());
    match Value::Keywords(Keywords::new(list, [""; 0])).checked()? {
        Value::Keywords(keywords) => Ok(keywords),
        _ => Ok(Keywords::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn read(pairs: &[(&str, &str)]) -> (Vec<Change>, String) {
        let asked = asked(&fields(pairs)).unwrap_or_else(|error| panic!("{pairs:?}: {error}"));
        (asked.changes, asked.words)
    }

    #[test]
    fn stars_flags_and_colours_are_read_and_said() {
        let set = |value| Change::Set(value);
        assert_eq!(read(&[("rating", "4")]), (vec![set(Value::Rating(Some(4)))], "4 stars".into()));
        assert_eq!(read(&[("rating", "0")]).1, "Not rated");
        assert_eq!(read(&[("step_rating", "-1")]), (vec![Change::StepRating(-1)], "One star less".into()));
        assert_eq!(read(&[("flag", "pick")]), (vec![set(Value::Pick(Pick::Picked)), Change::Unreject], "Picked".into()));
        assert_eq!(read(&[("flag", "reject")]), (vec![set(Value::Rating(Some(-1))), set(Value::Pick(Pick::None))], "Rejected".into()));
        assert_eq!(read(&[("color_label", "red")]), (vec![set(Value::ColorLabel(ColorLabel::Red))], "Red".into()));
    }

    #[test]
    fn keywords_are_a_list_with_levels() {
        let (changes, words) = read(&[("add_keywords", "lake, vehicle > car; \n")]);
        assert_eq!(changes, [Change::AddKeywords(Keywords::new(["lake", "vehicle|car"], [""; 0]))]);
        assert_eq!(words, "Keywords added: vehicle › car, lake");
        assert_eq!(read(&[("remove_keywords", "lake")]).1, "Keyword removed: lake");
    }

    #[test]
    fn a_time_takes_its_zone_along_and_a_zone_alone_moves_no_clock() {
        let (changes, words) = read(&[("captured_at", "2019-08-03T12:33"), ("zone", "+02:00")]);
        let Change::Set(Value::CapturedAt(time)) = &changes[0] else { panic!("{changes:?}") };
        assert_eq!((changes.len(), time.local.to_string().as_str(), time.offset_minutes), (1, "2019-08-03 12:33:00", Some(120)));
        assert_eq!(words, "Taken on 3 August 2019, 12:33:00");
        assert_eq!(read(&[("zone", "")]), (vec![Change::SetOffset(None)], "Zone not known".into()));
        assert_eq!(read(&[("shift_time", "-1:30")]).1, "Time moved by -1:30:00");
    }

    #[test]
    fn an_empty_field_takes_away_what_is_there() {
        let (changes, words) = read(&[("title", "  "), ("place", "")]);
        assert_eq!(changes, [Change::Set(Value::Title(None)), Change::Set(Value::Gps(None))]);
        assert_eq!(words, "No title, No place");
        let (changes, _) = read(&[("city", " Roscoff "), ("country", "")]);
        assert_eq!(changes, [Change::Set(Value::Place(Place { city: Some("Roscoff".into()), ..Place::default() }))]);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (pairs, named) in [
            (&[("rating", "6")][..], "Rating"),
            (&[("flag", "maybe")], "Flag"),
            (&[("color_label", "mauve")], "Colour"),
            (&[("place", "somewhere")], "Place"),
            (&[("shift_time", "soon")], "Time"),
            (&[("captured_at", "noon")], "Time"),
            (&[("title", "a\0b")], "Title"),
            (&[("add_keywords", " , ")], "nothing to change"),
            (&[("image", "1")], "nothing to change"),
        ] {
            let error = asked(&fields(pairs)).unwrap_err().to_string();
            assert!(error.contains(named), "{pairs:?}: {error}");
        }
    }
}
