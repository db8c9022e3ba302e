//! Tokens into a query, by recursive descent of bounded depth. `OR` binds weaker than standing side by side, `-` strongest.

use std::str::FromStr;

use unicode_normalization::UnicodeNormalization;

use super::{
    super::{
        FileFormat,
        edit::{ColorLabel, Pick},
    },
    Area, Bounds, DEEPEST, FileType, Has, Is, KEYS, LONGEST_QUERY, Like, MOST_TERMS, Name, Near, PartialDate, Query, QueryError, Term,
    error::nearest,
    keys,
    lex::{Kind, Token, tokens},
    value::bounds,
};

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let tokens = tokens(text)?;
        let mut parser = Parser { text, tokens, next: 0, terms: 0, negations: 0, like: None };
        if parser.tokens.is_empty() {
            return Ok(Self::default());
        }
        let query = parser.either(0)?;
        if parser.peek().is_some() {
            return Err(parser.error_here("no more `)` than `(`"));
        }
        // Written out in full (`jpeg` for `jpg`) it must be short enough too, or its own address could not be read.
        if text.len() > LONGEST_QUERY / 4 && query.to_string().chars().count() > LONGEST_QUERY {
            return Err(parser.error(text.chars().count(), 0, format!("at most {LONGEST_QUERY} characters when written out in full")));
        }
        Ok(query)
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
    terms: usize,
    /// How many negations the next condition stands behind.
    negations: usize,
    /// The `like:` that was read, as a token's number.
    like: Option<usize>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    fn error(&self, at: usize, length: usize, expected: impl Into<String>) -> QueryError {
        let found: String = self.text.chars().skip(at).take(length).collect();
        QueryError { text: self.text.to_owned(), at, length, found, expected: expected.into(), suggestion: None }
    }

    /// Something else was expected than the next token, or the end.
    fn error_here(&self, expected: &str) -> QueryError {
        self.error_at(self.next, expected)
    }

    /// The same of any token.
    fn error_at(&self, at: usize, expected: &str) -> QueryError {
        match self.tokens.get(at) {
            Some(token) => self.error(token.at, token.end - token.at, expected),
            None => self.error(self.text.chars().count(), 0, expected),
        }
    }

    fn either(&mut self, depth: usize) -> Result<Query, QueryError> {
        let first = self.next;
        let mut parts = vec![self.together(depth)?];
        while self.peek() == Some(&Kind::Or) {
            self.next += 1;
            parts.push(self.together(depth)?);
        }
        if let Some(at) = self.like.filter(|at| parts.len() > 1 && *at >= first) {
            return Err(self.error_at(at, "`like:` outside of OR, because it puts all images into an order"));
        }
        Ok(Query::any(parts))
    }

    /// Takes note of a `like:`, the token at `at`.
    fn note_like(&mut self, at: usize) -> Result<(), QueryError> {
        if self.negations > 0 {
            return Err(self.error_at(at, "`like:` without a negation before it, because it puts all images into an order"));
        }
        match self.like.replace(at) {
            Some(_) => Err(self.error_at(at, "at most one `like:`, because images have one order")),
            None => Ok(()),
        }
    }

    fn together(&mut self, depth: usize) -> Result<Query, QueryError> {
        let mut parts = vec![self.one(depth)?];
        loop {
            match self.peek() {
                None | Some(Kind::Or | Kind::Close) => return Ok(Query::all(parts)),
                Some(Kind::And) => self.next += 1,
                Some(_) => {}
            }
            parts.push(self.one(depth)?);
        }
    }

    fn one(&mut self, depth: usize) -> Result<Query, QueryError> {
        if depth >= DEEPEST {
            return Err(self.error_here(&format!("at most {DEEPEST} parentheses and negations inside one another")));
        }
        let Some(token) = self.tokens.get(self.next).cloned() else {
            return Err(self.error_here("a condition"));
        };
        match token.kind {
            Kind::Or | Kind::And | Kind::Close => Err(self.error_here("a condition")),
            Kind::Not => {
                self.next += 1;
                self.negations += 1;
                let inner = self.one(depth + 1)?;
                self.negations -= 1;
                Ok(Query::Not(Box::new(inner)))
            }
            Kind::Open => {
                self.next += 1;
                let inner = self.either(depth + 1)?;
                if self.peek() != Some(&Kind::Close) {
                    return Err(self.error_here("a closing `)`"));
                }
                self.next += 1;
                Ok(inner)
            }
            _ if self.terms >= MOST_TERMS => Err(self.error_here(&format!("at most {MOST_TERMS} conditions"))),
            _ => {
                self.terms += 1;
                self.next += 1;
                let term = self.term(token)?;
                if matches!(term, Term::Like(_)) {
                    self.note_like(self.next - 1)?;
                }
                Ok(Query::Term(term))
            }
        }
    }

    fn term(&self, token: Token) -> Result<Term, QueryError> {
        match token.kind {
            Kind::Words(text) => Ok(Term::Words(text)),
            Kind::Phrase(text) => Ok(Term::Phrase(text)),
            Kind::Pair { key, value, is_quoted, value_at } => {
                let Some(known) = keys::find(&key) else {
                    let all = KEYS.iter().flat_map(|known| std::iter::once(known.key).chain(known.aliases.iter().copied()));
                    let expected = "a key such as `camera:`, `date:` or `tag:` (words with a colon stand in quotes)";
                    return Err(QueryError { suggestion: nearest(&key, all), ..self.error(token.at, key.chars().count(), expected) });
                };
                Pair { parser: self, value: &value, is_quoted, at: value_at }.term(known)
            }
            Kind::Open | Kind::Close | Kind::Or | Kind::And | Kind::Not => unreachable!("`one` takes these itself"),
        }
    }
}

/// The value of a key, to be read as the key wants it.
struct Pair<'a> {
    parser: &'a Parser<'a>,
    value: &'a str,
    is_quoted: bool,
    /// Characters before the value.
    at: usize,
}

impl Pair<'_> {
    fn term(&self, key: &str) -> Result<Term, QueryError> {
        Ok(match key {
            "date" => Term::Date(self.dates()?),
            "year" => Term::Year(self.ordered("a year such as 2019, or 2015..2018", |text| whole(text, 1, 9999))?),
            "month" => Term::Month(self.ordered("a month from 1 to 12, or 6..8", |text| whole(text, 1, 12))?),
            "rating" => Term::Rating(self.ordered("stars such as 3, >=3 or 3..5, from -1 (rejected) to 5", |text| whole(text, -1, 5))?),
            "camera" => Term::Camera(self.name("a camera")?),
            "lens" => Term::Lens(self.name("a lens")?),
            "tag" => Term::Tag(self.name("a keyword")?),
            "shows" => Term::Shows(self.name("what the picture shows")?),
            "title" => Term::Title(self.name("words of the title")?),
            "description" => Term::Description(self.name("words of the description")?),
            "file" => Term::File(self.name("a file name")?),
            "folder" => Term::Folder(self.name("a folder")?),
            "city" => Term::City(self.name("a city")?),
            "state" => Term::State(self.name("a state or region")?),
            "country" => Term::Country(self.name("a country")?),
            "place" => Term::Place(self.name("a place")?),
            "label" => Term::Label(self.list(
                &one_of(ColorLabel::ALL.iter().map(|label| label.name())),
                ColorLabel::ALL.iter().map(|label| label.name()),
                |word| word.parse().ok(),
            )?),
            "pick" => Term::Pick(self.list(
                &one_of(Pick::ALL.iter().map(|pick| pick.name())),
                Pick::ALL.iter().map(|pick| pick.name()),
                |word| word.parse().ok(),
            )?),
            "type" => Term::Type(self.list(
                "`raw`, `jpeg`, `video`, `photo` or a format such as `heic`",
                ["raw", "jpeg", "video", "photo", "heic", "avif", "png", "tiff", "webp", "jxl", "dng"],
                file_type,
            )?),
            "has" => {
                Term::Has(self.list(&one_of(Has::ALL.iter().map(|has| has.word())), Has::ALL.iter().map(|has| has.word()), |word| {
                    Has::ALL.iter().copied().find(|has| has.word() == word)
                })?)
            }
            "is" => Term::Is(self.list(&one_of(Is::ALL.iter().map(|is| is.word())), Is::ALL.iter().map(|is| is.word()), |word| {
                Is::ALL.iter().copied().find(|is| is.word() == word)
            })?),
            "near" => Term::Near(self.near()?),
            "within" => Term::Within(self.within()?),
            "iso" => Term::Iso(self.ordered("an ISO speed such as >=3200", |text| whole(text, 0, 100_000_000))?),
            "f" => Term::FNumber(self.ordered("an f-number such as <2.8", |text| decimal(text.trim_start_matches("f/"), 1e3))?),
            "exposure" => Term::Exposure(self.ordered("seconds such as 1/250, >=2 or 2..30", seconds)?),
            "focal" => Term::Focal(self.ordered("millimetres such as 35 or 70..200", |text| decimal(text.trim_end_matches("mm"), 1e5))?),
            "size" => Term::Size(self.ordered("a size such as >20MB, in B, kB, MB or GB", bytes)?),
            "width" => Term::Width(self.ordered("pixels such as >=4000", pixels)?),
            "height" => Term::Height(self.ordered("pixels such as >=4000", pixels)?),
            "like" => Term::Like(self.like()?),
            other => unreachable!("`{other}` is in KEYS, and here it is read"),
        })
    }

    fn error(&self, at: usize, text: &str, expected: &str) -> QueryError {
        self.parser.error(self.at + at, text.chars().count(), expected)
    }

    fn name(&self, what: &str) -> Result<Name, QueryError> {
        let text = self.value.nfc().collect::<String>().trim().to_owned();
        if text.is_empty() {
            return Err(self.error(0, self.value, &format!("{what} behind the colon")));
        }
        Ok(Name { text, is_whole: self.is_quoted })
    }

    /// Words, or an image or region by its number. In quotes all are words.
    fn like(&self) -> Result<Like, QueryError> {
        const EXPECTED: &str = "what pictures show, such as \"a red truck in snow\", or image:123 or region:45";
        let text = self.value.nfc().collect::<String>().trim().to_owned();
        if !text.chars().any(char::is_alphanumeric) {
            return Err(self.error(0, self.value, EXPECTED));
        }
        if self.is_quoted {
            return Ok(Like::Words(text));
        }
        let (kind, id) = text.split_once(':').unwrap_or(("image", &text));
        let not_a_number = |_| self.error(0, self.value, "a number such as image:123 or region:45 (words with a colon stand in quotes)");
        match kind.to_ascii_lowercase().as_str() {
            // A number that is none is a word, unless it is said to be one.
            "image" if !text.contains(':') && !id.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Like::Words(text)),
            "image" => id.parse().map(Like::Image).map_err(not_a_number),
            "region" => id.parse().map(Like::Region).map_err(not_a_number),
            _ => Ok(Like::Words(text)),
        }
    }

    /// A comparison or range of what `read` understands. All values that have an order are ASCII, so bytes are characters.
    fn ordered<T: PartialOrd>(&self, expected: &str, read: impl Fn(&str) -> Option<T>) -> Result<Bounds<T>, QueryError> {
        let read = |(at, text): (usize, &str)| read(text).ok_or_else(|| self.error(at, text, expected));
        let bounds = bounds(self.value).try_map(read)?;
        match &bounds {
            Bounds::Between(low, high) if low > high => Err(self.error(0, self.value, "the smaller value before the greater")),
            _ => Ok(bounds),
        }
    }

    fn dates(&self) -> Result<Bounds<PartialDate>, QueryError> {
        const EXPECTED: &str = "a date such as 2019, 2019-08, 2019-08-03, *-12-25, >2020 or 2019..2021-06";
        let read = |(at, text): (usize, &str)| date(text).ok_or_else(|| self.error(at, text, EXPECTED));
        let bounds = bounds(self.value).try_map(read)?;
        if let Bounds::Is(_) = bounds {
            return Ok(bounds);
        }
        match bounds.stretch() {
            None => Err(self.error(0, self.value, "dates without `*` in a comparison or range")),
            Some((Some(first), Some(after))) if first >= after => Err(self.error(0, self.value, "the earlier date before the later")),
            Some(_) => Ok(bounds),
        }
    }

    fn list<'a, T>(
        &self,
        expected: &str,
        candidates: impl IntoIterator<Item = &'a str>,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, QueryError> {
        let candidates: Vec<&str> = candidates.into_iter().collect();
        let mut found = Vec::new();
        let mut at = 0;
        for part in self.value.split('|') {
            let word = part.to_lowercase();
            match read(&word) {
                Some(value) => found.push(value),
                None => {
                    let suggestion = nearest(&word, candidates.iter().copied());
                    return Err(QueryError { suggestion, ..self.error(at, part, expected) });
                }
            }
            at += part.chars().count() + 1;
        }
        Ok(found)
    }

    fn near(&self) -> Result<Near, QueryError> {
        const EXPECTED: &str = "latitude, longitude and radius such as 43.18,-89.28,5km";
        let fail = || self.error(0, self.value, EXPECTED);
        let mut parts = self.value.split(',').map(str::trim);
        let mut degrees = |most: f64| parts.next()?.parse::<f64>().ok().filter(|degrees| degrees.abs() <= most);
        let (latitude_deg, longitude_deg) = (degrees(90.0).ok_or_else(fail)?, degrees(180.0).ok_or_else(fail)?);
        let radius_m = parts.next().map_or(Some(1000.0), metres).ok_or_else(fail)?;
        if parts.next().is_some() {
            return Err(fail());
        }
        Ok(Near { latitude_deg, longitude_deg, radius_m })
    }

    fn within(&self) -> Result<Area, QueryError> {
        const EXPECTED: &str = "the sides of a box as south, west, north, east, such as 43.1,-89.4,43.3,-89.1";
        let fail = || self.error(0, self.value, EXPECTED);
        let mut parts = self.value.split(',').map(str::trim);
        let mut degrees = |most: f64| parts.next()?.parse::<f64>().ok().filter(|degrees| degrees.abs() <= most);
        let mut side = |most| degrees(most).ok_or_else(fail);
        let area = Area { south_deg: side(90.0)?, west_deg: side(180.0)?, north_deg: side(90.0)?, east_deg: side(180.0)? };
        if parts.next().is_some() || area.south_deg > area.north_deg {
            return Err(fail());
        }
        Ok(area)
    }
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    format!("one of {}", words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
}

fn file_type(word: &str) -> Option<FileType> {
    Some(match word {
        "raw" => FileType::Raw,
        "video" => FileType::Video,
        "photo" => FileType::Photo,
        word => match FileFormat::from_extension(word)? {
            FileFormat::Jpeg => FileType::Jpeg,
            format => FileType::Format(format),
        },
    })
}

fn whole(text: &str, least: i64, most: i64) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && (least..=most).contains(number))
}

/// A plain decimal number above 0.
fn decimal(text: &str, most: f64) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|number| is_plain && (1e-6..=most).contains(number))
}

fn seconds(text: &str) -> Option<f64> {
    let text = text.strip_suffix('s').unwrap_or(text);
    match text.split_once('/') {
        Some((part, of)) => Some(decimal(part, 1e6)? / decimal(of, 1e6)?).filter(|seconds| (1e-6..=1e6).contains(seconds)),
        None => decimal(text, 1e6),
    }
}

fn pixels(text: &str) -> Option<i64> {
    whole(text.strip_suffix("px").unwrap_or(text), 0, 10_000_000)
}

fn bytes(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &lower[number.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        _ => return None,
    };
    // Through decimals only where there are some: a whole number of bytes is kept exactly.
    match whole(number, 0, 9_000_000_000_000_000 / unit) {
        Some(number) => Some(number * unit),
        None => decimal(number, 9e15 / unit as f64).map(|number| (number * unit as f64).round() as i64),
    }
}

fn metres(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_m = match &lower[number.len()..] {
        "" | "km" => 1000.0,
        "m" => 1.0,
        "mi" => 1609.344,
        _ => return None,
    };
    // Half way round the earth everything is near.
    decimal(number, 1e9).map(|number| number * unit_m).filter(|metres| (1e-3..=20_100_000.0).contains(metres))
}

fn date(text: &str) -> Option<PartialDate> {
    let mut parts = text.split('-');
    let mut part = |shortest: usize, longest: usize, most: i64| match parts.next() {
        None | Some("*") => Some(None),
        Some(text) if (shortest..=longest).contains(&text.len()) => whole(text, 1, most).map(Some),
        Some(_) => None,
    };
    let (year, month, day) = (part(4, 4, 9999)?, part(1, 2, 12)?, part(1, 2, 31)?);
    if parts.next().is_some() {
        return None;
    }
    // The year 2000 had a 29 February.
    let some_day = (year.unwrap_or(2000), month.unwrap_or(1), day.unwrap_or(1));
    chrono::NaiveDate::from_ymd_opt(i32::try_from(some_day.0).ok()?, u32::try_from(some_day.1).ok()?, u32::try_from(some_day.2).ok()?)?;
    Some(PartialDate {
        year: year.and_then(|year| i32::try_from(year).ok()),
        month: month.and_then(|month| u32::try_from(month).ok()),
        day: day.and_then(|day| u32::try_from(day).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> String {
        text.parse::<Query>().map(|query| query.to_string()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn queries_are_printed_in_one_form() {
        for (typed, expected) in [
            ("", ""),
            ("  ' & !  ", ""),
            ("lake  zoe\u{301}", "lake zoé"),
            ("a AND b", "a b"),
            ("a b OR c", "a b OR c"),
            ("a (b | c)", "a (b OR c)"),
            ("((a))", "a"),
            ("(a b) c", "a b c"),
            ("a OR (b OR c)", "a OR b OR c"),
            ("NOT a --b -(c d)", "-a --b -(c d)"),
            ("STARS:>=3 rating:3.. rating:..3", "rating:>=3 rating:>=3 rating:<=3"),
            ("date:2019-8-3 date:2019-* date:*", "date:2019-08-03 date:2019 date:*"),
            ("date:*-*-25", "date:*-*-25"),
            ("exposure:1/250 exposure:>=0.5s exposure:30", "exposure:1/250 exposure:>=1/2 exposure:30"),
            ("size:>1.5MB size:20mb size:7", "size:>1500kB size:20MB size:7"),
            ("near:43.18,-89.28,3mi near:1,2", "near:43.18,-89.28,4828.032m near:1,2,1km"),
            ("within:-17.5,179,-16,-179", "within:-17.5,179,-16,-179"),
            ("has:GPS|Raw type:jpg|HEIC", "has:gps|raw type:jpeg|heic"),
            ("camera:\"say \\\"cheese\\\"\"", "camera:\"say \\\"cheese\\\"\""),
            ("\"lake geneva\"", "\"lake geneva\""),
            ("like:snow rating:5", "like:\"snow\" rating:5"),
            ("SIMILAR:123 lake", "like:image:123 lake"),
            ("(like:\"a  red truck\") (lake OR sea)", "like:\"a  red truck\" (lake OR sea)"),
            ("like:Image:7", "like:image:7"),
            ("like:\"image:7\"", "like:\"image:7\""),
            ("like:4x4", "like:\"4x4\""),
            ("like:region:45", "like:region:45"),
            ("like:a:b", "like:\"a:b\""),
        ] {
            assert_eq!(printed(typed), expected, "{typed}");
            assert_eq!(printed(expected), expected, "{typed}");
        }
    }

    #[test]
    fn errors_point_at_the_place() {
        for (typed, at, length, suggestion) in [
            ("lake ratng:3", 5, 5, Some("rating")),
            ("rating:6", 7, 1, None),
            ("rating:3..9", 10, 1, None),
            ("rating:5..3", 7, 4, None),
            ("date:2019-13", 5, 7, None),
            ("date:>*-12", 5, 5, None),
            ("date:2019-02-29", 5, 10, None),
            ("has:gps|rwa", 8, 3, Some("raw")),
            ("is:unratd", 3, 6, Some("unrated")),
            ("camera:", 7, 0, None),
            ("a OR", 4, 0, None),
            ("a OR OR b", 5, 2, None),
            ("(a", 2, 0, None),
            ("a)", 1, 1, None),
            ("()", 1, 1, None),
            ("zoé \"lac", 4, 4, None),
            ("\"\"", 0, 2, None),
            ("near:91,0,5km", 5, 8, None),
            ("near:1,2,0km", 5, 7, None),
            ("within:2,0,1,3", 7, 7, None),
            ("within:1,2,3", 7, 5, None),
            ("iso:high", 4, 4, None),
            ("size:-1", 5, 2, None),
            ("like:", 5, 0, None),
            ("lake like:\" ! \"", 11, 3, None),
            ("like:image:x", 5, 7, None),
            ("like:region:0", 5, 8, None),
            ("like:99999999999999999999", 5, 20, None),
            ("lake -like:snow", 6, 9, None),
            ("NOT (zoé like:snow)", 9, 9, None),
            ("like:snow OR lake", 0, 9, None),
            ("lake (sea | (x like:snow))", 15, 9, None),
            ("like:snow lake like:ice", 15, 8, None),
        ] {
            let error = typed.parse::<Query>().unwrap_err();
            assert_eq!((error.at, error.length, error.suggestion.as_deref()), (at, length, suggestion), "{typed}: {error}");
        }
    }

    #[test]
    fn nothing_a_person_sends_goes_deep_or_on_for_long() {
        for hostile in ["(".repeat(1999), "(".repeat(10_000), "-".repeat(1999) + "a", "a ".repeat(999), "NOT ".repeat(400)] {
            assert!(hostile.parse::<Query>().is_err(), "{}", &hostile[..10]);
        }
        assert!(("a ".repeat(64)).parse::<Query>().is_ok());
    }
}
