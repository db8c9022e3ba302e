//! Values and changes in words, for the panel, the history, the outbox and what is said after an edit.

use chrono::TimeDelta;

use crate::models::{
    Gps,
    edit::{ColorLabel, Field, Keywords, Pick, Place, TakenAt, Value},
};

/// A field's name.
pub(in crate::web) fn field_words(field: Field) -> &'static str {
    match field {
        Field::Rating => "Rating",
        Field::Pick => "Flag",
        Field::ColorLabel => "Colour",
        Field::Title => "Title",
        Field::Description => "Description",
        Field::Keywords => "Keywords",
        Field::Gps => "Place",
        Field::CapturedAt => "Time",
        Field::Place => "Name of the place",
    }
}

/// What a value says.
pub(in crate::web) fn value_words(value: &Value) -> String {
    match value {
        Value::Rating(rating) => number_of_stars(*rating),
        Value::Pick(Pick::None) => "No flag".to_owned(),
        Value::Pick(Pick::Pending) => "Pending".to_owned(),
        Value::Pick(Pick::Picked) => "Picked".to_owned(),
        Value::ColorLabel(color) => color_words(*color),
        Value::Title(text) | Value::Description(text) => text.clone().unwrap_or_else(|| "Nothing".to_owned()),
        Value::Keywords(keywords) if keywords.is_empty() => "None".to_owned(),
        Value::Keywords(keywords) => levels(keywords).join(", "),
        Value::Gps(gps) => gps.map_or_else(|| "No place".to_owned(), place_words),
        Value::CapturedAt(time) => time_words(time),
        Value::Place(place) => place_name(place).unwrap_or_else(|| "No name".to_owned()),
    }
}

/// What became of what; of keywords only those that came and went.
pub(in crate::web) fn change_words(before: &Value, after: &Value) -> String {
    if let (Value::Keywords(before), Value::Keywords(after)) = (before, after) {
        let (old, new) = (levels(before), levels(after));
        let came = new.iter().filter(|keyword| !old.contains(keyword)).map(|keyword| format!("+ {keyword}"));
        let went = old.iter().filter(|keyword| !new.contains(keyword)).map(|keyword| format!("− {keyword}"));
        return came.chain(went).collect::<Vec<_>>().join(", ");
    }
    format!("{} → {}", value_words(before), value_words(after))
}

/// `1 star`, `Not rated`.
pub(in crate::web) fn number_of_stars(rating: Option<i8>) -> String {
    match rating {
        None | Some(0) => "Not rated".to_owned(),
        Some(..0) => "Rejected".to_owned(),
        Some(1) => "1 star".to_owned(),
        Some(stars) => format!("{stars} stars"),
    }
}

/// A flag as forms name it.
pub(super) fn flag_words(name: &str) -> &'static str {
    match name {
        "pick" => "Picked",
        "reject" => "Rejected",
        _ => "No flag",
    }
}

/// `Red`.
pub(in crate::web) fn color_words(color: ColorLabel) -> String {
    let name = match color {
        ColorLabel::None => "No colour",
        ColorLabel::Red => "Red",
        ColorLabel::Yellow => "Yellow",
        ColorLabel::Green => "Green",
        ColorLabel::Blue => "Blue",
        ColorLabel::Purple => "Purple",
    };
    name.to_owned()
}

/// That a text was changed.
pub(super) fn text_words(value: &Value, what: &str) -> String {
    if value.is_silent() {
        return format!("No {what}");
    }
    let mut words = what.to_owned();
    words[..1].make_ascii_uppercase();
    format!("{words} changed")
}

/// `Keywords added: vehicle › car, lake`.
pub(super) fn keyword_words(keywords: &Keywords, is_added: bool) -> String {
    let all = levels(keywords);
    let what = if all.len() == 1 { "Keyword" } else { "Keywords" };
    format!("{what} {}: {}", if is_added { "added" } else { "removed" }, all.join(", "))
}

/// Those that stand for themselves, trees first.
fn levels(keywords: &Keywords) -> Vec<String> {
    keywords.plain().into_iter().map(|keyword| keyword.replace('|', " › ")).collect()
}

/// `47.37690° N, 8.54170° E`.
pub(in crate::web) fn place_words(gps: Gps) -> String {
    let Gps { latitude_deg, longitude_deg, .. } = gps;
    let north = if latitude_deg < 0.0 { 'S' } else { 'N' };
    let east = if longitude_deg < 0.0 { 'W' } else { 'E' };
    format!("{:.5}° {north}, {:.5}° {east}", latitude_deg.abs(), longitude_deg.abs())
}

/// `Roscoff, Bretagne, France`; `None` when nothing is named.
pub(in crate::web) fn place_name(place: &Place) -> Option<String> {
    let names: Vec<&str> = [&place.city, &place.state, &place.country].into_iter().flatten().map(String::as_str).collect();
    match (names.is_empty(), &place.country_code) {
        (false, _) => Some(names.join(", ")),
        (true, code) => code.clone(),
    }
}

fn time_words(time: &TakenAt) -> String {
    let local = time.local.format("%-d %B %Y, %H:%M:%S");
    match time.offset_minutes {
        Some(minutes) => format!("{local}, {}", offset_words(minutes)),
        None => local.to_string(),
    }
}

/// `UTC+2`, `UTC-3:30`.
pub(in crate::web) fn offset_words(minutes: i16) -> String {
    let (sign, minutes) = (if minutes < 0 { '-' } else { '+' }, minutes.unsigned_abs());
    match minutes % 60 {
        0 => format!("UTC{sign}{}", minutes / 60),
        rest => format!("UTC{sign}{}:{rest:02}", minutes / 60),
    }
}

/// `Time moved by +1:00:00`.
pub(super) fn shift_words(by: TimeDelta) -> String {
    let seconds = by.num_seconds();
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    format!("Time moved by {sign}{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_read_as_people_say_them() {
        let keywords = |list: &[&str]| Value::Keywords(Keywords::new(list.iter().copied(), [""; 0]));
        assert_eq!(change_words(&Value::Rating(None), &Value::Rating(Some(4))), "Not rated → 4 stars");
        assert_eq!(change_words(&Value::Rating(Some(1)), &Value::Rating(Some(-1))), "1 star → Rejected");
        assert_eq!(change_words(&keywords(&["lake", "sun"]), &keywords(&["lake", "a|b"])), "+ a › b, − sun");
        let place = |latitude_deg, longitude_deg| Value::Gps(Some(Gps { latitude_deg, longitude_deg, altitude_m: None }));
        assert_eq!(value_words(&place(-33.8568, 151.2153)), "33.85680° S, 151.21530° E");
        let time = Value::from_json(Field::CapturedAt, &"2019-08-03T12:33:00-03:30".into()).unwrap();
        assert_eq!(value_words(&time), "3 August 2019, 12:33:00, UTC-3:30");
        assert_eq!([120, 0, 345].map(offset_words), ["UTC+2", "UTC+0", "UTC+5:45"]);
    }
}
