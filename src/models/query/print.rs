//! A query as text, in the one form that is read back as the same query.

use std::fmt;

use super::{super::FileFormat, Area, Bounds, FileType, Like, Name, Near, PartialDate, Query, Term};

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => join(f, parts, " ", |part| matches!(part, Self::Or(_))),
            Self::Or(parts) => join(f, parts, " OR ", |_| false),
            Self::Not(inner) if matches!(**inner, Self::Term(_) | Self::Not(_)) => write!(f, "-{inner}"),
            Self::Not(inner) => write!(f, "-({inner})"),
            Self::Term(term) => write!(f, "{term}"),
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, parts: &[Query], between: &str, needs_parentheses: impl Fn(&Query) -> bool) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        if needs_parentheses(part) { write!(f, "({part})")? } else { write!(f, "{part}")? }
    }
    Ok(())
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(text) => f.write_str(text),
            Self::Phrase(text) => quoted(f, text),
            Self::Rating(bounds) => write!(f, "rating:{bounds}"),
            Self::Iso(bounds) => write!(f, "iso:{bounds}"),
            Self::FNumber(bounds) => write!(f, "f:{bounds}"),
            Self::Exposure(bounds) => write!(f, "exposure:{}", bounds.map(exposure)),
            Self::Focal(bounds) => write!(f, "focal:{bounds}"),
            Self::Size(bounds) => write!(f, "size:{}", bounds.map(size)),
            Self::Width(bounds) => write!(f, "width:{bounds}"),
            Self::Height(bounds) => write!(f, "height:{bounds}"),
            Self::Date(bounds) => write!(f, "date:{bounds}"),
            Self::Year(bounds) => write!(f, "year:{}", bounds.map(|year| format!("{year:04}"))),
            Self::Month(bounds) => write!(f, "month:{bounds}"),
            Self::Camera(name) => write!(f, "camera:{name}"),
            Self::Lens(name) => write!(f, "lens:{name}"),
            Self::Tag(name) => write!(f, "tag:{name}"),
            Self::Shows(name) => write!(f, "shows:{name}"),
            Self::Title(name) => write!(f, "title:{name}"),
            Self::Description(name) => write!(f, "description:{name}"),
            Self::File(name) => write!(f, "file:{name}"),
            Self::Folder(name) => write!(f, "folder:{name}"),
            Self::City(name) => write!(f, "city:{name}"),
            Self::State(name) => write!(f, "state:{name}"),
            Self::Country(name) => write!(f, "country:{name}"),
            Self::Place(name) => write!(f, "place:{name}"),
            Self::Label(labels) => list(f, "label", labels.iter().map(|one| one.name())),
            Self::Pick(picks) => list(f, "pick", picks.iter().map(|one| one.name())),
            Self::Type(types) => list(f, "type", types.iter().map(|one| one.word())),
            Self::Has(all) => list(f, "has", all.iter().map(|one| one.word())),
            Self::Is(all) => list(f, "is", all.iter().map(|one| one.word())),
            Self::Near(near) => write!(f, "near:{near}"),
            Self::Within(area) => write!(f, "within:{area}"),
            Self::Like(like) => write!(f, "like:{like}"),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, key: &str, words: impl Iterator<Item = &'static str>) -> fmt::Result {
    write!(f, "{key}:{}", words.collect::<Vec<_>>().join("|"))
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl FileType {
    /// The word in a query.
    pub fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Jpeg => "jpeg",
            Self::Video => "video",
            Self::Photo => "photo",
            // As people call it, and most of its files are named.
            Self::Format(FileFormat::Heif) => "heic",
            Self::Format(format) => format.name(),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_whole { quoted(f, &self.text) } else { f.write_str(&self.text) }
    }
}

/// Words in quotes always: without, a number would be read as an image's.
impl fmt::Display for Like {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(text) => quoted(f, text),
            Self::Image(id) => write!(f, "image:{id}"),
            Self::Region(id) => write!(f, "region:{id}"),
        }
    }
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},", self.latitude_deg, self.longitude_deg)?;
        if self.radius_m % 1000.0 == 0.0 { write!(f, "{}km", self.radius_m / 1000.0) } else { write!(f, "{}m", self.radius_m) }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{}", self.south_deg, self.west_deg, self.north_deg, self.east_deg)
    }
}

impl fmt::Display for PartialDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.year {
            Some(year) => write!(f, "{year:04}")?,
            None => f.write_str("*")?,
        }
        match (self.month, self.day) {
            (None, None) => Ok(()),
            (Some(month), None) => write!(f, "-{month:02}"),
            (Some(month), Some(day)) => write!(f, "-{month:02}-{day:02}"),
            (None, Some(day)) => write!(f, "-*-{day:02}"),
        }
    }
}

impl<T: Copy> Bounds<T> {
    fn map<U>(self, change: impl Fn(T) -> U) -> Bounds<U> {
        let Ok(changed) = self.try_map(|value| Ok::<_, std::convert::Infallible>(change(value)));
        changed
    }
}

impl<T: fmt::Display> fmt::Display for Bounds<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(value) => write!(f, "{value}"),
            Self::Above(value) => write!(f, ">{value}"),
            Self::AtLeast(value) => write!(f, ">={value}"),
            Self::Below(value) => write!(f, "<{value}"),
            Self::AtMost(value) => write!(f, "<={value}"),
            Self::Between(low, high) => write!(f, "{low}..{high}"),
        }
    }
}

/// `1/250` where that is the very same number, else seconds.
fn exposure(seconds: f64) -> String {
    let parts = (1.0 / seconds).round();
    if seconds < 1.0 && parts < 1e6 && 1.0 / parts == seconds { format!("1/{parts}") } else { seconds.to_string() }
}

/// In the largest unit that leaves a whole number.
fn size(bytes: i64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes != 0 && bytes % unit == 0) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}
