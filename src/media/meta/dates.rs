//! The many ways files write a time, and which of them are no time at all.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use crate::models::CapturedAt;

/// Years that are believed.
pub(super) const YEARS: std::ops::RangeInclusive<u32> = 1000..=2100;

/// A wall-clock time and the minutes east of UTC, where the text says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::media) struct Moment {
    pub(in crate::media) local: NaiveDateTime,
    pub(in crate::media) offset_minutes: Option<i16>,
}

impl Moment {
    /// Adds digits after the second, as EXIF's SubSec tags hold them, unless the time has a fraction of its own.
    pub(in crate::media) fn with_subseconds(mut self, digits: Option<&str>) -> Self {
        let digits = digits.map(str::trim).filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(digits) = digits
            && self.local.nanosecond() == 0
        {
            self.local = self.local.with_nanosecond(nanoseconds(digits)).unwrap_or(self.local);
        }
        self
    }

    /// Adds an offset written on its own (`+02:00`), unless the time has one.
    pub(in crate::media) fn with_offset(mut self, text: Option<&str>) -> Self {
        self.offset_minutes = self.offset_minutes.or_else(|| text.and_then(|text| parse_offset(text.trim())));
        self
    }

    /// The value for the facts, naming the tag it comes from.
    pub(super) fn captured(self, source: &str) -> CapturedAt {
        CapturedAt { local: self.local, offset_minutes: self.offset_minutes, source: source.to_owned() }
    }
}

/// Reads EXIF (`2004:04:30 11:28:55`), ISO 8601 as XMP and QuickTime have it, and parts of both: a time given only to the day, month or
/// year is its first instant. `None` for zero dates, blanks, impossible values and years outside 1000..=2100.
/// A year before photography is believed: people date the reproduction of a painting. The zero of Windows' clock is no date.
pub(in crate::media) fn parse(text: &str) -> Option<Moment> {
    let mut scan = Scan(text.trim());
    let year = scan.number(4).filter(|year| YEARS.contains(year))?;
    let month = if scan.separator(&[':', '-', '/', '.']) { scan.number(2)? } else { 1 };
    let day = if scan.separator(&[':', '-', '/', '.']) { scan.number(2)? } else { 1 };
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let mut time = NaiveTime::MIN;
    let mut offset_minutes = None;
    if scan.separator(&['T', 't', ' ']) {
        time = scan.time()?;
        offset_minutes = parse_offset(scan.0.trim());
    }
    let windows_zero = time == NaiveTime::MIN && NaiveDate::from_ymd_opt(1601, 1, 1) == Some(date);
    (!windows_zero).then_some(Moment { local: date.and_time(time), offset_minutes })
}

/// Reads what cameras write into an AVI: C's `Mon Mar 10 15:04:43 2003` in any case, and numbers from the year on, with blanks and
/// separators where each maker likes them (`2001/ 1/27  1:42PM`, `2005/11/28/ 09:19`, `2002-12-16  15:35:01`).
pub(super) fn parse_riff(text: &str) -> Option<Moment> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let words: Vec<&str> = text.split_whitespace().collect();
    if let [_, month, day, clock, year, ..] = words[..]
        && let Some(month) = MONTHS.iter().position(|known| month.eq_ignore_ascii_case(known))
    {
        return parse(&format!("{year}-{}-{day}T{clock}", month + 1));
    }
    let afternoon = text.trim_end().to_ascii_uppercase().ends_with("PM");
    let mut numbers = text.split(|character: char| !character.is_ascii_digit()).filter(|part| !part.is_empty());
    let mut next = || numbers.next();
    let (year, month, day) = (next()?, next()?, next()?);
    let Some(hour) = next() else { return parse(&format!("{year}-{month}-{day}")) };
    let mut hour: u32 = hour.parse().ok()?;
    if afternoon && hour < 12 {
        hour += 12;
    }
    parse(&format!("{year}-{month}-{day}T{hour}:{}:{}", next().unwrap_or("0"), next().unwrap_or("0")))
}

/// Reads IPTC's `20040430` and `112855+0200`.
pub(super) fn parse_iptc(date: &str, time: Option<&str>) -> Option<Moment> {
    let digits = date.trim();
    if digits.len() != 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse(digits);
    }
    let mut text = format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..]);
    let time = time.map(str::trim).filter(|time| time.len() >= 6 && time.is_ascii());
    if let Some(time) = time
        && time.as_bytes()[..6].iter().all(u8::is_ascii_digit)
    {
        text.push_str(&format!("T{}:{}:{}{}", &time[..2], &time[2..4], &time[4..6], &time[6..]));
    }
    parse(&text)
}

/// `Z`, `+02:00`, `+0200`, `-5`; minutes east of UTC.
fn parse_offset(text: &str) -> Option<i16> {
    let (sign, rest) = match text.chars().next()? {
        'Z' | 'z' => return Some(0),
        '+' => (1, &text[1..]),
        '-' => (-1, &text[1..]),
        _ => return None,
    };
    let mut scan = Scan(rest);
    let hours = scan.number(2)?;
    scan.separator(&[':']);
    let minutes = scan.number(2).unwrap_or(0);
    let total = i16::try_from(hours * 60 + minutes).ok()?;
    (hours <= 15 && minutes < 60).then_some(sign * total)
}

/// The first nine digits after the point, as nanoseconds.
fn nanoseconds(digits: &str) -> u32 {
    let padded = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
    padded.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
}

/// What is still to be read.
struct Scan<'a>(&'a str);

impl Scan<'_> {
    /// Up to `most` digits, perhaps after blanks (some cameras pad with them).
    fn number(&mut self, most: usize) -> Option<u32> {
        let text = self.0.trim_start_matches(' ');
        let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let number = text[..length].parse().ok()?;
        self.0 = &text[length..];
        Some(number)
    }

    fn separator(&mut self, any: &[char]) -> bool {
        match self.0.strip_prefix(any) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn time(&mut self) -> Option<NaiveTime> {
        let hour = self.number(2)?;
        let minute = if self.separator(&[':']) { self.number(2)? } else { 0 };
        let second = if self.separator(&[':']) { self.number(2)? } else { 0 };
        let mut nanosecond = 0;
        if second < 60 && self.separator(&['.', ',']) {
            let length = self.0.bytes().take_while(u8::is_ascii_digit).count();
            nanosecond = nanoseconds(&self.0[..length]);
            self.0 = &self.0[length..];
        }
        // A leap second is shown as the one before it.
        NaiveTime::from_hms_nano_opt(hour, minute, if second == 60 { 59 } else { second }, nanosecond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        parse(text).map(|moment| match moment.offset_minutes {
            Some(offset) => format!("{} {offset}", moment.local),
            None => moment.local.to_string(),
        })
    }

    #[test]
    fn the_usual_ways_to_write_a_time_are_read() {
        for (text, expected) in [
            ("2004:04:30 11:28:55", "2004-04-30 11:28:55"),
            ("2004:04:30 11:28:55.25+02:00", "2004-04-30 11:28:55.250 120"),
            ("2004: 4: 3  1: 8: 5", "2004-04-03 01:08:05"),
            ("2004-04-30T11:28:55Z", "2004-04-30 11:28:55 0"),
            ("2004-04-30T11:28-0530", "2004-04-30 11:28:00 -330"),
            ("2004-04-30", "2004-04-30 00:00:00"),
            ("1965", "1965-01-01 00:00:00"),
            ("1601:06:06 16:39:33", "1601-06-06 16:39:33"),
            ("2016-12-31T23:59:60Z", "2016-12-31 23:59:59 0"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_absent() {
        for text in [
            "",
            "    :  :     :  :  ",
            "0000:00:00 00:00:00",
            "2004:13:01 00:00:00",
            "2004:02:30",
            "0900:01:01",
            "1601:01:01 00:00:00",
            "2200:01:01",
            "noon",
            "2004:01:01 25:00:00",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn subseconds_and_offsets_are_added_where_none_are() {
        let moment = parse("2020:01:02 03:04:05").unwrap().with_subseconds(Some("07 ")).with_offset(Some("-03:30"));
        assert_eq!((moment.local.to_string().as_str(), moment.offset_minutes), ("2020-01-02 03:04:05.070", Some(-210)));
        let moment = parse("2020:01:02 03:04:05.5Z").unwrap().with_subseconds(Some("07")).with_offset(Some("+01:00"));
        assert_eq!((moment.local.to_string().as_str(), moment.offset_minutes), ("2020-01-02 03:04:05.500", Some(0)));
        assert_eq!(parse("2020:01:02 03:04:05").unwrap().with_subseconds(Some("x")).with_offset(Some("  :  ")).offset_minutes, None);
    }

    #[test]
    fn videos_write_as_their_makers_like() {
        for (text, expected) in [
            ("Mon Mar 10 15:04:43 2003", Some("2003-03-10 15:04:43")),
            ("WED JUN  4 09:12:01 2008\n", Some("2008-06-04 09:12:01")),
            ("2001/ 1/27  1:42PM", Some("2001-01-27 13:42:00")),
            ("2001/ 1/27  1:42AM", Some("2001-01-27 01:42:00")),
            ("2005/11/28/ 09:19", Some("2005-11-28 09:19:00")),
            ("2002-12-16  15:35:01", Some("2002-12-16 15:35:01")),
            ("2003-03-10", Some("2003-03-10 00:00:00")),
            ("2003:03:10 15:04:43", Some("2003-03-10 15:04:43")),
            ("Mon Foo 10 15:04:43 2003", None),
            ("", None),
            ("12", None),
        ] {
            assert_eq!(parse_riff(text).map(|moment| moment.local.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn iptc_writes_without_separators() {
        let moment = parse_iptc("20040430", Some("112855+0200")).unwrap();
        assert_eq!((moment.local.to_string().as_str(), moment.offset_minutes), ("2004-04-30 11:28:55", Some(120)));
        assert_eq!(parse_iptc("20040430", None).unwrap().local.to_string(), "2004-04-30 00:00:00");
        assert_eq!(parse_iptc("00000000", Some("000000")), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}", other in "[-+0-9:TZ. ]{0,30}") {
            for text in [&text, &other] {
                let _ = parse(text).map(|moment| moment.with_subseconds(Some(text)).with_offset(Some(text)));
                let _ = parse_iptc(text, Some(text));
                let _ = parse_riff(text);
            }
        }
    }
}
