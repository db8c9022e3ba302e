//! The time a file name states: cameras, phones, messengers and screenshot tools write it there.
//!
//! Conservative: a plain counter (`IMG_2041`) is never taken for a year, digits must form a whole run, and every part is range-checked.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

/// Dates are believed from here on, when written with separators (a scan named by hand) …
const FIRST_YEAR: u32 = 1826;
/// … and from here on, when written as bare digits.
const FIRST_COMPACT_YEAR: u32 = 1990;
const LAST_YEAR: u32 = 2100;

/// The local wall-clock time a file name states, from its stem. A date alone stands for noon of that day, which keeps it on its day
/// whatever is added or taken away later. `None` where the name states UTC (`PXL_…`, Unix milliseconds): see [`utc_from_name`].
pub fn captured_from_name(stem: &str) -> Option<NaiveDateTime> {
    if utc_from_name(stem).is_some() {
        return None;
    }
    let bytes = stem.as_bytes();
    digit_runs(bytes).find_map(|(start, end)| compact(bytes, start, end).or_else(|| separated(bytes, start, end)))
}

/// The UTC time a file name states: Pixel's `PXL_20240704_194543217` and thirteen digits of Unix milliseconds.
pub fn utc_from_name(stem: &str) -> Option<NaiveDateTime> {
    let bytes = stem.as_bytes();
    if bytes.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"PXL_")) {
        return digit_runs(bytes).next().and_then(|(start, end)| compact(bytes, start, end));
    }
    digit_runs(bytes).filter(|(start, end)| end - start == 13).find_map(|(start, end)| {
        let milliseconds: i64 = std::str::from_utf8(&bytes[start..end]).ok()?.parse().ok()?;
        let time = DateTime::from_timestamp_millis(milliseconds)?.naive_utc();
        let first = NaiveDate::from_ymd_opt(2000, 1, 1)?.and_time(NaiveTime::MIN);
        (time >= first).then_some(time)
    })
}

/// Whether the stem states a time of day, so that two pictures of one second would share it.
pub(super) fn states_a_second(stem: &str) -> bool {
    use chrono::Timelike;
    utc_from_name(stem).is_some() || captured_from_name(stem).is_some_and(|time| time.num_seconds_from_midnight() != 12 * 3600)
}

/// Start and end of each run of digits.
fn digit_runs(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes.get(at..)?.iter().position(u8::is_ascii_digit)?;
        let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        at = start + length;
        Some((start, at))
    })
}

fn number(bytes: &[u8], start: usize, length: usize) -> Option<u32> {
    let part = bytes.get(start..start + length)?;
    part.iter().try_fold(0_u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

fn date(year: u32, month: u32, day: u32, first_year: u32) -> Option<NaiveDate> {
    if (first_year..=LAST_YEAR).contains(&year) { NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day) } else { None }
}

/// `20200101_172823`, `20200101172823`, `20200101_172823217`, `20200101`.
fn compact(bytes: &[u8], start: usize, end: usize) -> Option<NaiveDateTime> {
    let length = end - start;
    if !matches!(length, 8 | 14 | 17) {
        return None;
    }
    let day = date(number(bytes, start, 4)?, number(bytes, start + 4, 2)?, number(bytes, start + 6, 2)?, FIRST_COMPACT_YEAR)?;
    if length > 8 {
        return Some(day.and_time(clock_digits(bytes, start + 8, length - 8)?));
    }
    let clock = bytes.get(end).filter(|byte| matches!(byte, b'_' | b'-' | b' ' | b'T' | b'.')).and_then(|_| {
        let digits = bytes[end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        clock_digits(bytes, end + 1, digits).or_else(|| clock_parts(bytes, end + 1))
    });
    Some(day.and_time(clock.unwrap_or_else(noon)))
}

/// `2019-05-21`, alone or followed by a time of day. `start..end` is the year's run of digits.
fn separated(bytes: &[u8], start: usize, end: usize) -> Option<NaiveDateTime> {
    if end - start != 4 {
        return None;
    }
    let separator = *bytes.get(end)?;
    if !matches!(separator, b'-' | b'_' | b'.' | b':') || bytes.get(end + 3) != Some(&separator) {
        return None;
    }
    if bytes.get(end + 6).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let day = date(number(bytes, start, 4)?, number(bytes, end + 1, 2)?, number(bytes, end + 4, 2)?, FIRST_YEAR)?;
    let rest = &bytes[end + 6..];
    let gap = rest.iter().take(5).position(u8::is_ascii_digit).filter(|gap| is_gap(&rest[..*gap]));
    let clock = gap.and_then(|gap| {
        let from = end + 6 + gap;
        let digits = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        clock_parts(bytes, from).or_else(|| clock_digits(bytes, from, digits))
    });
    Some(day.and_time(clock.unwrap_or_else(noon)))
}

/// What may stand between a date and its time of day.
fn is_gap(between: &[u8]) -> bool {
    matches!(between, b"_" | b" " | b"-" | b"T" | b"." | b", " | b" at " | b"_at_" | b"-at-" | b" - " | b"__")
}

/// `172823` or `172823217` (milliseconds); nothing else.
fn clock_digits(bytes: &[u8], start: usize, length: usize) -> Option<NaiveTime> {
    let milliseconds = match length {
        6 => 0,
        9 => number(bytes, start + 6, 3)?,
        _ => return None,
    };
    NaiveTime::from_hms_milli_opt(number(bytes, start, 2)?, number(bytes, start + 2, 2)?, number(bytes, start + 4, 2)?, milliseconds)
}

/// `10.45.52`, `10-45-52`, `1.02.03 PM`, `18h30m05s`.
fn clock_parts(bytes: &[u8], start: usize) -> Option<NaiveTime> {
    let hour_digits = bytes.get(start..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !matches!(hour_digits, 1 | 2) {
        return None;
    }
    let minute_at = start + hour_digits + 1;
    let separators = (*bytes.get(minute_at - 1)?, *bytes.get(minute_at + 2)?);
    if !matches!(separators, (b'.', b'.') | (b'-', b'-') | (b'_', b'_') | (b':', b':') | (b'h', b'm')) {
        return None;
    }
    if bytes.get(minute_at + 5).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let (mut hour, minute, second) = (number(bytes, start, hour_digits)?, number(bytes, minute_at, 2)?, number(bytes, minute_at + 3, 2)?);
    let mark: Vec<u8> =
        bytes[minute_at + 5..].iter().take(5).filter(|byte| byte.is_ascii_alphabetic()).map(u8::to_ascii_lowercase).collect();
    match mark.as_slice() {
        b"pm" if hour < 12 => hour += 12,
        b"am" if hour == 12 => hour = 0,
        // One digit is an hour only on a twelve-hour clock: `2019-05-21 3-10-12` is no time.
        b"am" | b"pm" => {}
        _ if hour_digits == 1 => return None,
        _ => {}
    }
    NaiveTime::from_hms_opt(hour, minute, second)
}

fn noon() -> NaiveTime {
    NaiveTime::from_hms_opt(12, 0, 0).expect("noon is a time of day")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_state_a_local_time() {
        let cases = [
            ("IMG_20200101_172823", "2020-01-01T17:28:23"),
            ("20231212_183916", "2023-12-12T18:39:16"),
            ("20231212_183916_003", "2023-12-12T18:39:16"),
            ("2019-05-01_10-11-12", "2019-05-01T10:11:12"),
            ("2019-05-01_10-11-12_001", "2019-05-01T10:11:12"),
            ("2019-05-01 10.11.12", "2019-05-01T10:11:12"),
            ("Screenshot 2019-05-21 at 10.45.52", "2019-05-21T10:45:52"),
            ("Screenshot 2023-01-02 at 1.02.03\u{202f}PM", "2023-01-02T13:02:03"),
            ("Screenshot_20210304-101112_Maps", "2021-03-04T10:11:12"),
            ("00001IMG_00001_BURST20171111030039_COVER", "2017-11-11T03:00:39"),
            ("DSC_0001_BURST20190102030405678", "2019-01-02T03:04:05.678"),
            ("IMG-20200130-WA0007", "2020-01-30T12:00:00"),
            ("2019-11-08_Flickr 31", "2019-11-08T12:00:00"),
            ("2015-02-04(1)", "2015-02-04T12:00:00"),
            ("1919-05-04 great-grandfather dog", "1919-05-04T12:00:00"),
            ("signal-2021-03-04-101112", "2021-03-04T10:11:12"),
            ("WhatsApp Image 2021-03-04 at 10.11.12", "2021-03-04T10:11:12"),
        ];
        for (stem, expected) in cases {
            assert_eq!(captured_from_name(stem), Some(expected.parse().unwrap()), "{stem}");
        }
    }

    #[test]
    fn names_that_state_none() {
        for stem in [
            "IMG_2041",
            "DSC00412",
            "12345678",
            "20201399",
            "20200230_101010x",
            "P1010023",
            "_MG_0221",
            "",
            "2019",
            "2019-13-01",
            "99999999999999",
            "GX010048",
            "1234-5678-90",
            "3H7A4410",
            "Zoé",
        ] {
            assert_eq!(captured_from_name(stem), None, "{stem}");
        }
    }

    #[test]
    fn names_in_utc_are_kept_apart() {
        for (stem, expected) in [
            ("PXL_20240704_194543217.RAW-01.COVER", "2024-07-04T19:45:43.217"),
            ("FB_IMG_1546300800000", "2019-01-01T00:00:00"),
            ("00000IMG_00000_BURST1510369239000_COVER", "2017-11-11T03:00:39"),
        ] {
            assert_eq!(utc_from_name(stem), Some(expected.parse().unwrap()), "{stem}");
            assert_eq!(captured_from_name(stem), None, "{stem}");
        }
    }
}
