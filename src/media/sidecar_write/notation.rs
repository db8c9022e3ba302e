//! How programs write a single fact as text: scales, numbers and words, tags, coordinates, times. Both ways, where we read it too; apart
//! from the properties, because it knows none of them.
//!
//! # Source
//! XMP specification part 2 (coordinates, times); digiKam, Windows, Lightroom and ACDSee for what each writes.

use std::fmt::Write;

use chrono::{NaiveDateTime, Timelike};

use crate::models::edit::{ColorLabel, Pick, TakenAt};

/// Stars on Windows' scale, in percent.
pub(super) fn percent(stars: i8) -> i8 {
    match stars {
        ..=0 => 0,
        1 => 1,
        2 => 25,
        3 => 50,
        4 => 75,
        _ => 99,
    }
}

/// Stars of [`percent`], or of whatever stands near; `None` when it is no number.
pub(super) fn from_percent(text: &str) -> Option<i8> {
    let number: f64 = text.parse().ok()?;
    Some(match number {
        ..1.0 => 0,
        1.0..13.0 => 1,
        13.0..38.0 => 2,
        38.0..63.0 => 3,
        63.0..88.0 => 4,
        88.0.. => 5,
        _ => return None,
    })
}

/// digiKam's number of a flag; that of a rejected picture is a rating.
pub(super) fn pick_of(number: &str) -> Pick {
    match number {
        "2" => Pick::Pending,
        "3" => Pick::Picked,
        _ => Pick::None,
    }
}

/// digiKam's number of a colour: it has more of them than we do.
pub(super) fn number_of(color: ColorLabel) -> &'static str {
    match color {
        ColorLabel::None => "0",
        ColorLabel::Red => "1",
        ColorLabel::Yellow => "3",
        ColorLabel::Green => "4",
        ColorLabel::Blue => "5",
        ColorLabel::Purple => "6",
    }
}

/// The colour of [`number_of`].
pub(super) fn color_of_number(number: &str) -> ColorLabel {
    match number {
        "1" => ColorLabel::Red,
        "3" => ColorLabel::Yellow,
        "4" => ColorLabel::Green,
        "5" => ColorLabel::Blue,
        "6" => ColorLabel::Purple,
        _ => ColorLabel::None,
    }
}

/// Lightroom's English words; it understands them in every language, and we understand its other ones.
pub(super) fn label_of(color: ColorLabel) -> Option<&'static str> {
    Some(match color {
        ColorLabel::None => return None,
        ColorLabel::Red => "Red",
        ColorLabel::Yellow => "Yellow",
        ColorLabel::Green => "Green",
        ColorLabel::Blue => "Blue",
        ColorLabel::Purple => "Purple",
    })
}

/// digiKam divides levels by `/`, and writes a `/` within one as `\`.
pub(super) fn from_tag(tag: &str) -> String {
    tag.replace('/', "|").replace('\\', "/")
}

/// As [`from_tag`], the other way.
pub(super) fn to_tag(keyword: &str) -> String {
    keyword.replace('/', "\\").replace('|', "/")
}

/// ACDSee's tree: XML in a text, a category within another, marked where it is assigned and not merely above one that is.
pub(super) fn categories(plain: &[String]) -> String {
    fn level(out: &mut String, above: &str, plain: &[String]) {
        let mut names: Vec<&str> =
            plain.iter().filter_map(|keyword| keyword.strip_prefix(above)).filter_map(|rest| rest.split('|').next()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let path = format!("{above}{name}");
            let assigned = u8::from(plain.contains(&path));
            let escaped = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            write!(out, "<Category Assigned=\"{assigned}\">{escaped}").expect("writing to a String does not fail");
            level(out, &format!("{path}|"), plain);
            out.push_str("</Category>");
        }
    }
    let mut out = String::from("<Categories>");
    level(&mut out, "", plain);
    out.push_str("</Categories>");
    out
}

/// `48,8.5210N`, `48,8,31.26N`, or plain degrees.
pub(super) fn degrees(text: &str, positive: char, negative: char) -> Option<f64> {
    let upper = text.to_ascii_uppercase();
    let (numbers, sign) = match upper.strip_suffix(negative) {
        Some(numbers) => (numbers, -1.0),
        None => (upper.strip_suffix(positive).unwrap_or(&upper), 1.0),
    };
    let parts: Vec<f64> = numbers.split(',').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    let sum: f64 = parts.iter().zip([1.0, 60.0, 3_600.0]).map(|(part, share)| part / share).sum();
    ((1..=3).contains(&parts.len()) && sum.is_finite()).then_some(sign * sum)
}

/// XMP's form: whole degrees, minutes with as many digits as give the number back, and the side of the earth.
pub(super) fn written_degrees(degrees: f64, positive: char, negative: char) -> String {
    /// The standard's own.
    const FEWEST_DIGITS: usize = 4;
    const MOST_DIGITS: usize = 13;
    let side = if degrees < 0.0 { negative } else { positive };
    let size = degrees.abs();
    let with_digits = |digits: usize| {
        let whole = size.trunc();
        let minutes = format!("{:.digits$}", (size - whole) * 60.0);
        // Rounded up to the next degree.
        let (whole, minutes) = if minutes.starts_with("60") { (whole + 1.0, format!("{:.digits$}", 0.0)) } else { (whole, minutes) };
        (format!("{whole},{minutes}{side}"), whole + minutes.parse::<f64>().unwrap_or(0.0) / 60.0)
    };
    /// A tenth of a micrometre.
    const SAME_DEG: f64 = 1e-12;
    let exact = (FEWEST_DIGITS..MOST_DIGITS).map(with_digits).find(|(_, read)| (read - size).abs() <= SAME_DEG);
    exact.unwrap_or_else(|| with_digits(MOST_DIGITS)).0
}

/// A fraction, as EXIF has it, that gives the number back.
pub(super) fn written_altitude(metres: f64) -> String {
    let size = metres.abs();
    let exact = [1.0, 10.0, 100.0, 1_000.0, 10_000.0].into_iter().find(|below| ((size * below).round() / below - size).abs() < 1e-9);
    let below = exact.unwrap_or(10_000.0);
    format!("{}/{below}", (size * below).round())
}

/// ISO 8601 with the digits and the zone that are known.
pub(super) fn written_time(time: &TakenAt) -> String {
    let mut text = time.local.format("%Y-%m-%dT%H:%M:%S").to_string();
    text.push_str(&fraction(&time.local));
    if let Some(minutes) = time.offset_minutes {
        let sign = if minutes < 0 { '-' } else { '+' };
        let size = minutes.unsigned_abs();
        write!(text, "{sign}{:02}:{:02}", size / 60, size % 60).expect("writing to a String does not fail");
    }
    text
}

fn fraction(local: &NaiveDateTime) -> String {
    let nanoseconds = local.nanosecond() % 1_000_000_000;
    if nanoseconds == 0 {
        return String::new();
    }
    let digits = format!("{nanoseconds:09}");
    // Two at least, as cameras write them.
    let digits = digits.trim_end_matches('0');
    format!(".{digits:0<2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_the_standard_has_them_and_lose_nothing() {
        for (degrees, expected) in
            [(48.142_016_666_666_67, "48,8.5210N"), (-0.5, "0,30.0000S"), (59.999_999_999_999_9, "60,0.0000N"), (90.0, "90,0.0000N")]
        {
            assert_eq!(written_degrees(degrees, 'N', 'S'), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_place_comes_back(size in -180.0f64..=180.0, metres in -12_000.0f64..=100_000.0) {
            let back = degrees(&written_degrees(size, 'E', 'W'), 'E', 'W').unwrap();
            proptest::prop_assert!((back - size).abs() < 1e-11, "{size} {back}");
            let rounded = (metres * 100.0).round() / 100.0;
            let text = written_altitude(rounded);
            let (above, below) = text.split_once('/').unwrap();
            let back = above.parse::<f64>().unwrap() / below.parse::<f64>().unwrap();
            proptest::prop_assert!((back - rounded.abs()).abs() < 1e-9);
        }
    }

    #[test]
    fn times_have_the_digits_and_the_zone_that_are_known() {
        let time = |text: &str, offset_minutes| TakenAt { local: text.parse().unwrap(), offset_minutes, source: None };
        assert_eq!(written_time(&time("2019-08-03T12:33:00", None)), "2019-08-03T12:33:00");
        assert_eq!(written_time(&time("2019-08-03T12:33:00.250", Some(-210))), "2019-08-03T12:33:00.25-03:30");
        assert_eq!(written_time(&time("2019-08-03T12:33:00.5", Some(0))), "2019-08-03T12:33:00.50+00:00");
    }

    #[test]
    fn a_slash_within_a_level_survives_digikams_way() {
        assert_eq!(to_tag("open|24/7"), "open/24\\7");
        assert_eq!(from_tag("open/24\\7"), "open|24/7");
    }

    #[test]
    fn acdsees_tree_marks_what_is_assigned() {
        let plain = ["animal|dog".to_owned(), "a&b".to_owned()];
        assert_eq!(
            categories(&plain),
            "<Categories><Category Assigned=\"1\">a&amp;b</Category><Category Assigned=\"0\">animal<Category Assigned=\"1\">dog</Category></Category></Categories>"
        );
    }
}
