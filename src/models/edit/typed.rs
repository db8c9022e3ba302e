//! What people type for a place, a span of time and a zone, read the way it is written elsewhere: in maps, cameras and mails.

use chrono::TimeDelta;

use super::{EditError, Field};
use crate::models::Gps;

/// Reads coordinates: `48.1371, 11.5754`, `48,1371 11,5754`, `48.1371° N, 11.5754° E`, `48° 8' 13.6" N 11° 34' 31" E`, `geo:48.1371,11.5754`,
/// or an address of a map that has them in it.
///
/// # Errors
/// [`EditError`] says what is understood.
pub fn parse_place(text: &str) -> Result<Gps, EditError> {
    let expected = || EditError::new(Field::Gps, "is not understood: expected a latitude and a longitude, such as 48.1371, 11.5754");
    let text = text.trim();
    let (latitude_deg, longitude_deg) = match from_address(text) {
        Some(pair) => pair,
        None => pair(text).ok_or_else(expected)?,
    };
    if !latitude_deg.is_finite() || !longitude_deg.is_finite() {
        return Err(expected());
    }
    Ok(Gps { latitude_deg, longitude_deg, altitude_m: None })
}

/// The coordinates in a `geo:` URI or the address of a map.
fn from_address(text: &str) -> Option<(f64, f64)> {
    let plain = |text: &str, divider: char| -> Option<(f64, f64)> {
        let mut parts = text.split([divider, '?', '&', ';']);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    if let Some(rest) = text.strip_prefix("geo:") {
        return plain(rest, ',');
    }
    if !text.contains("://") {
        return None;
    }
    if let Some((_, rest)) = text.split_once("/@") {
        return plain(rest, ',');
    }
    if let Some((_, rest)) = text.split_once("mlat=") {
        let (latitude, rest) = rest.split_once("&mlon=")?;
        let end = rest.find(['&', '#']).unwrap_or(rest.len());
        return Some((latitude.parse().ok()?, rest[..end].parse().ok()?));
    }
    let (_, rest) = text.split_once("#map=")?;
    plain(rest.split_once('/')?.1, '/')
}

/// Numbers and letters of the compass, in their order.
fn pair(text: &str) -> Option<(f64, f64)> {
    let text = with_points(text);
    let mut numbers: Vec<f64> = Vec::new();
    let mut groups: Vec<(Vec<f64>, Option<char>)> = Vec::new();
    let mut leading = None;
    let spaced: String = text
        .chars()
        .flat_map(|c| match c {
            '°' | 'º' | '\'' | '"' | '′' | '″' | '’' | '”' | ',' | ';' | ':' => vec![' '],
            c if c.is_alphabetic() => vec![' ', c.to_ascii_uppercase(), ' '],
            '−' => vec!['-'],
            c => vec![c],
        })
        .collect();
    for token in spaced.split_whitespace() {
        match token {
            "N" | "S" | "E" | "W" | "O" => {
                let letter = token.chars().next();
                if numbers.is_empty() {
                    leading = letter;
                } else if leading.is_some() {
                    groups.push((std::mem::take(&mut numbers), leading));
                    leading = letter;
                } else {
                    groups.push((std::mem::take(&mut numbers), letter));
                }
            }
            token => numbers.push(token.parse().ok()?),
        }
    }
    if !numbers.is_empty() {
        groups.push((numbers, leading));
    }
    if let [(all, None)] = &groups[..]
        && matches!(all.len(), 2 | 4 | 6)
    {
        let (north, east) = all.split_at(all.len() / 2);
        return Some((degrees(north, 1.0)?, degrees(east, 1.0)?));
    }
    let [(first, Some(one)), (second, Some(other))] = &groups[..] else { return None };
    let sign = |letter: char| if matches!(letter, 'S' | 'W') { -1.0 } else { 1.0 };
    let is_north = |letter: char| matches!(letter, 'N' | 'S');
    let (first, second) = (degrees(first, sign(*one))?, degrees(second, sign(*other))?);
    match (is_north(*one), is_north(*other)) {
        (true, false) => Some((first, second)),
        (false, true) => Some((second, first)),
        _ => None,
    }
}

/// Decimal commas as points, where the text has no point and its commas can mean nothing else.
fn with_points(text: &str) -> String {
    let is_decimal = |word: &str| word.trim_end_matches([',', ';']).split(',').count() == 2;
    if !text.contains('.') && text.split_whitespace().count() == 2 && text.split_whitespace().all(is_decimal) {
        return text.split_whitespace().map(|word| word.trim_end_matches([',', ';']).replace(',', ".")).collect::<Vec<_>>().join(" ");
    }
    text.to_owned()
}

/// Degrees, minutes and seconds as degrees.
fn degrees(parts: &[f64], sign: f64) -> Option<f64> {
    let [whole, rest @ ..] = parts else { return None };
    if rest.len() > 2 || rest.iter().any(|part| !(0.0..60.0).contains(part)) {
        return None;
    }
    let fraction: f64 = rest.iter().zip([60.0, 3600.0]).map(|(part, unit)| part / unit).sum();
    Some(sign * if whole.is_sign_negative() { whole - fraction } else { whole + fraction })
}

/// Reads by how much a clock is moved: `+1:00` (hours and minutes), `-0:00:42`, `+1d`, `-2h 30m`, `+1d 2:00`.
///
/// # Errors
/// [`EditError`] says what is understood.
pub fn parse_shift(text: &str) -> Result<TimeDelta, EditError> {
    let expected = || {
        EditError::new(
            Field::CapturedAt,
            "cannot be moved by what is typed: expected hours and minutes such as +1:00 or -0:05:30, or +1d 2h",
        )
    };
    let text = text.trim().replace('−', "-");
    let (is_back, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let mut seconds: i64 = 0;
    let mut words = 0;
    for word in split_units(rest) {
        let number = |text: &str| text.parse::<u32>().ok().map(i64::from);
        let more = if word.contains(':') {
            let parts: Vec<i64> = word.split(':').map(number).collect::<Option<_>>().ok_or_else(expected)?;
            match parts[..] {
                [hours, minutes] if minutes < 60 => hours * 3600 + minutes * 60,
                [hours, minutes, seconds] if minutes < 60 && seconds < 60 => hours * 3600 + minutes * 60 + seconds,
                _ => return Err(expected()),
            }
        } else {
            let unit = match word.chars().last() {
                Some('d') => 86_400,
                Some('h') => 3600,
                Some('m') => 60,
                Some('s') => 1,
                _ => return Err(expected()),
            };
            number(&word[..word.len() - 1]).ok_or_else(expected)? * unit
        };
        seconds += more;
        words += 1;
    }
    if words == 0 {
        return Err(expected());
    }
    TimeDelta::try_seconds(if is_back { -seconds } else { seconds }).ok_or_else(expected)
}

/// `1d2h 30m` as its words.
fn split_units(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in text.to_lowercase().chars() {
        match c {
            c if c.is_whitespace() => words.push(String::new()),
            c => {
                let is_new = words.last().is_some_and(|word| word.ends_with(['d', 'h', 'm', 's'])) && c.is_ascii_digit();
                if is_new {
                    words.push(String::new());
                }
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Reads a zone as minutes east of UTC: `+02:00`, `-3:30`, `+2`, `UTC+1`, `Z`; nothing, or `none`, means that it is not known.
///
/// # Errors
/// [`EditError`] says what is understood.
pub fn parse_zone(text: &str) -> Result<Option<i16>, EditError> {
    let expected =
        || EditError::new(Field::CapturedAt, "has a zone that is not understood: expected one such as +02:00 or UTC-3:30, or nothing");
    let text = text.trim().replace('−', "-").to_uppercase();
    if matches!(text.as_str(), "" | "NONE" | "UNKNOWN") {
        return Ok(None);
    }
    let rest = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")).unwrap_or(&text).trim();
    if matches!(rest, "" | "Z") {
        return Ok(Some(0));
    }
    let (sign, digits) = match (rest.strip_prefix('+'), rest.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (_, Some(digits)) => (-1, digits),
        _ => return Err(expected()),
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 && digits.is_ascii() => digits.split_at(2),
        None => (digits, "0"),
    };
    let hours: i16 = hours.parse().ok().filter(|hours| (0..=14).contains(hours)).ok_or_else(expected)?;
    let minutes: i16 = minutes.parse().ok().filter(|minutes| (0..60).contains(minutes)).ok_or_else(expected)?;
    Ok(Some(sign * (hours * 60 + minutes)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn coordinates_are_read_as_maps_write_them() {
        let near = |text: &str, latitude: f64, longitude: f64| {
            let gps = parse_place(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!((gps.latitude_deg - latitude).abs() < 1e-4 && (gps.longitude_deg - longitude).abs() < 1e-4, "{text}: {gps:?}");
        };
        for text in [
            "48.1371, 11.5754",
            " 48.1371 11.5754 ",
            "48.1371,11.5754",
            "48,1371 11,5754",
            "48,1371; 11,5754",
            "48.1371° N, 11.5754° E",
            "N 48.1371 E 11.5754",
            "11.5754 E, 48.1371 N",
            "48°8'13.56\"N 11°34'31.44\"E",
            "48 8 13.56 11 34 31.44",
            "geo:48.1371,11.5754;u=35",
            "https://www.openstreetmap.org/#map=15/48.1371/11.5754",
            "https://www.openstreetmap.org/?mlat=48.1371&mlon=11.5754#map=15/1/2",
            "https://maps.example/maps/@48.1371,11.5754,15z",
        ] {
            near(text, 48.1371, 11.5754);
        }
        near("-33.8568, 151.2153", -33.8568, 151.2153);
        near("33.8568 S 70.5 W", -33.8568, -70.5);
        near("−0° 30' 0\" 0° 30' 0\"", -0.5, 0.5);
        for bad in ["", "Munich", "48.1371", "1 2 3", "48 N 11 S", "48 61 0 11 0 0", "geo:x,y", "https://example.org/", "nan, inf"] {
            assert!(parse_place(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_clock_is_moved_by_what_people_type() {
        let seconds = |text: &str| parse_shift(text).map(|by| by.num_seconds());
        let cases = [
            ("+1:00", 3600),
            ("1:00", 3600),
            ("-0:05:30", -330),
            ("+1d", 86_400),
            ("-2h 30m", -9_000),
            ("+1d 2:00", 93_600),
            ("−1d2h", -93_600),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for bad in ["", "+", "an hour", "1", "1:60", "1:2:3:4", "+-1:00", "1:-5", "9999999999d"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_zone_is_read_in_its_usual_forms() {
        let cases = [
            ("+02:00", Some(120)),
            ("+2", Some(120)),
            ("-3:30", Some(-210)),
            ("UTC+5:45", Some(345)),
            ("utc", Some(0)),
            ("+0530", Some(330)),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_zone(text), Ok(expected), "{text}");
        }
        for bad in ["2", "+15", "+2:60", "Berlin", "+-2", "+2:x"] {
            assert!(parse_zone(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_typed_is_too_much(text in "\\PC{0,40}") {
            drop(parse_place(&text));
            drop(parse_shift(&text));
            drop(parse_zone(&text));
        }

        #[test]
        fn degrees_come_back(latitude in -90.0..90.0f64, longitude in -180.0..180.0f64) {
            let gps = parse_place(&format!("{latitude:.6}, {longitude:.6}")).unwrap();
            prop_assert!((gps.latitude_deg - latitude).abs() < 1e-6 && (gps.longitude_deg - longitude).abs() < 1e-6);
        }
    }
}
