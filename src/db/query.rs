//! A query of the search language as conditions on `images AS i`: names looked up first, every value bound.
//!
//! Names of cameras, lenses, folders and tags become ids and keys before the question about images is asked ([`names`]), so that its
//! conditions are plain comparisons that indexes answer and the planner can estimate ([`write`]). A condition that is unknown (a camera
//! that no file names) does not hold, and its negation does: a query and its negation part the library in two.

mod names;
mod write;

use chrono::{NaiveDate, NaiveDateTime};
use diesel::{PgConnection, QueryResult};

pub(super) use self::names::{CITY, COUNTRY, PlaceColumn, STATE, labels, place_names};
use self::names::{date, file, find_ids, folders, phrase, places, shows, tags, tsquery, within, years};
use super::sql::Wanted;
use crate::models::{
    edit::{ColorLabel, Pick},
    query::{Area, Bounds, FileType, Has, Is, Near, PartialDate, Query, Term},
    words,
};

/// A query ready to be written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    /// Always true, or never.
    Always(bool),
    One(One),
}

/// One condition with its names looked up.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum One {
    /// Text of a tsquery.
    Words(String),
    /// Text of a tsquery that finds candidates, and the pattern that they are judged by where words alone do not say it.
    Phrase(String, Option<String>),
    Rating(Bounds<i64>),
    /// A column of whole numbers.
    Whole(&'static str, Bounds<i64>),
    /// A column of measured numbers.
    Measured(&'static str, Bounds<f64>),
    /// From the first moment until before the second.
    Stretch(Option<NaiveDateTime>, Option<NaiveDateTime>),
    /// Month × 100 + day.
    MonthDay(i32),
    Recurring(PartialDate),
    Month(Bounds<i64>),
    Cameras(Vec<i32>),
    Lenses(Vec<i32>),
    Folders(Vec<i64>),
    /// Folded names, one of which is there.
    Tags(Vec<String>),
    /// Labels, one of which is that of a region.
    Shows(Vec<String>),
    /// A column of text and the pattern of it folded.
    Text(&'static str, String),
    File(FilePattern),
    /// Columns of names, in one of which is one of these; and a country's code.
    Places(Vec<(&'static str, Vec<String>)>, Option<String>),
    Label(ColorLabel),
    Pick(Pick),
    Type(FileType),
    Has(Has),
    Is(Is),
    Near(Near),
    Within(Area),
}

/// How file names are looked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FilePattern {
    /// Text of a tsquery that all images with such a file pass; `None` when the pattern has no word that is whole at its beginning.
    words: Option<String>,
    /// Patterns of the folded name, or of the folded path.
    patterns: Vec<String>,
    is_path: bool,
}

impl Wanted {
    /// Adds what a query asks for: words and days where they have a place of their own, the rest as conditions.
    pub(super) fn add_query(&mut self, conn: &mut PgConnection, query: &Query) -> QueryResult<()> {
        for part in query.conjuncts() {
            match Condition::resolve(conn, part)? {
                Condition::Always(true) => {}
                Condition::One(One::Words(words) | One::Phrase(words, None)) => {
                    self.text = Some(match self.text.take() {
                        Some(before) => format!("{before} & {words}"),
                        None => words,
                    });
                }
                Condition::One(One::Stretch(first, after)) => self.narrow_days(first, after),
                Condition::One(One::Folders(ids)) => {
                    self.folders = Some(match self.folders.take() {
                        Some(before) => before.into_iter().filter(|id| ids.binary_search(id).is_ok()).collect(),
                        None => ids,
                    });
                }
                condition => self.conditions.push(condition),
            }
        }
        Ok(())
    }

    fn narrow_days(&mut self, first: Option<NaiveDateTime>, after: Option<NaiveDateTime>) {
        // Years of four digits are all that captures can have; both ends are midnights.
        let begin = first.map_or(NaiveDate::from_ymd_opt(1, 1, 1), |first| Some(first.date())).unwrap_or(NaiveDate::MIN);
        let end = after.map_or(NaiveDate::from_ymd_opt(10_000, 1, 1), |after| Some(after.date())).unwrap_or(NaiveDate::MAX);
        self.days = Some(match self.days {
            Some((first, after)) => (first.max(begin), after.min(end)),
            None => (begin, end),
        });
    }
}

impl Condition {
    /// Looks up the names of a query.
    pub(super) fn resolve(conn: &mut PgConnection, query: &Query) -> QueryResult<Self> {
        Ok(match query {
            Query::And(parts) => Self::all(parts.iter().map(|part| Self::resolve(conn, part)).collect::<QueryResult<_>>()?),
            Query::Or(parts) => Self::any(parts.iter().map(|part| Self::resolve(conn, part)).collect::<QueryResult<_>>()?),
            Query::Not(inner) => match Self::resolve(conn, inner)? {
                Self::Always(holds) => Self::Always(!holds),
                inner => Self::Not(Box::new(inner)),
            },
            Query::Term(term) => Self::of_term(conn, term)?,
        })
    }

    fn all(mut parts: Vec<Self>) -> Self {
        if parts.contains(&Self::Always(false)) {
            return Self::Always(false);
        }
        parts.retain(|part| *part != Self::Always(true));
        match parts.len() {
            0 => Self::Always(true),
            1 => parts.remove(0),
            _ => Self::And(parts),
        }
    }

    fn any(mut parts: Vec<Self>) -> Self {
        if parts.contains(&Self::Always(true)) {
            return Self::Always(true);
        }
        parts.retain(|part| *part != Self::Always(false));
        match parts.len() {
            0 => Self::Always(false),
            1 => parts.remove(0),
            _ => Self::Or(parts),
        }
    }

    fn of_term(conn: &mut PgConnection, term: &Term) -> QueryResult<Self> {
        let one = match term {
            Term::Words(text) => match tsquery(&words(text), ":*") {
                Some(query) => One::Words(query),
                None => return Ok(Self::Always(true)),
            },
            Term::Phrase(text) => match phrase(text) {
                Some(phrase) => phrase,
                None => return Ok(Self::Always(true)),
            },
            Term::Rating(bounds) => One::Rating(*bounds),
            Term::Iso(bounds) => One::Whole("i.iso", *bounds),
            Term::Size(bounds) => One::Whole("i.total_size_bytes", *bounds),
            Term::Width(bounds) => One::Whole("i.width_px", *bounds),
            Term::Height(bounds) => One::Whole("i.height_px", *bounds),
            Term::FNumber(bounds) => One::Measured("i.f_number", *bounds),
            Term::Exposure(bounds) => One::Measured("i.exposure_s", *bounds),
            Term::Focal(bounds) => One::Measured("i.focal_length_mm", *bounds),
            Term::Date(bounds) => match date(bounds) {
                Some(one) => one,
                None => return Ok(Self::Always(true)),
            },
            Term::Year(bounds) => match years(*bounds).stretch() {
                Some((first, after)) => One::Stretch(first, after),
                None => return Ok(Self::Always(false)),
            },
            Term::Month(bounds) => One::Month(*bounds),
            Term::Camera(name) => return find_ids(conn, "SELECT id FROM cameras WHERE fold(name) LIKE $1", name, One::Cameras),
            Term::Lens(name) => return find_ids(conn, "SELECT id FROM lenses WHERE fold(name) LIKE $1", name, One::Lenses),
            Term::Tag(name) => return tags(conn, name),
            Term::Shows(name) => return shows(conn, name),
            Term::Title(name) => One::Text("i.title", within(name)),
            Term::Description(name) => One::Text("i.description", within(name)),
            Term::File(name) => One::File(file(name)),
            Term::Folder(name) => return folders(conn, name),
            Term::City(name) => return places(conn, name, &[CITY]),
            Term::State(name) => return places(conn, name, &[STATE]),
            Term::Country(name) => return places(conn, name, &[COUNTRY]),
            Term::Place(name) => return places(conn, name, &[CITY, STATE, COUNTRY]),
            Term::Label(labels) => return Ok(Self::any(labels.iter().map(|one| Self::One(One::Label(*one))).collect())),
            Term::Pick(picks) => return Ok(Self::any(picks.iter().map(|one| Self::One(One::Pick(*one))).collect())),
            Term::Type(types) => return Ok(Self::any(types.iter().map(|one| Self::One(One::Type(*one))).collect())),
            Term::Has(all) => return Ok(Self::any(all.iter().map(|one| Self::One(One::Has(*one))).collect())),
            Term::Is(all) => return Ok(Self::any(all.iter().map(|one| Self::One(One::Is(*one))).collect())),
            Term::Near(near) => One::Near(*near),
            Term::Within(area) => One::Within(*area),
            // An order is no condition. Whoever can follow it takes it out of the filter before; where it is forgotten, nothing
            // passes, so that no edit or export ever takes in more than was meant.
            Term::Like(_) => return Ok(Self::Always(false)),
        };
        Ok(Self::One(one))
    }

    /// Whether an index leads through the images that pass in the order of the timeline.
    pub(super) fn is_ordered(&self) -> bool {
        match self {
            Self::One(one) => match one {
                One::Rating(_) | One::MonthDay(_) | One::Type(FileType::Raw | FileType::Video) => true,
                One::Has(has) => matches!(has, Has::Gps | Has::Raw | Has::Sidecar | Has::Tags),
                One::Label(label) => *label != ColorLabel::None,
                One::Pick(pick) => *pick != Pick::None,
                One::Is(is) => matches!(is, Is::Picked | Is::Missing | Is::Rejected | Is::Rated | Is::Unrated | Is::Video),
                One::Cameras(ids) | One::Lenses(ids) => ids.len() == 1,
                One::Places(columns, None) => matches!(columns.as_slice(), [(_, names)] if names.len() == 1),
                _ => false,
            },
            Self::Always(_) => true,
            Self::And(_) | Self::Or(_) | Self::Not(_) => false,
        }
    }

    /// Whether it is only about what `facet_counts` tells apart.
    pub(super) fn is_counted(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().all(Self::is_counted),
            Self::Not(inner) => inner.is_counted(),
            Self::Always(_) => true,
            Self::One(one) => match one {
                One::Rating(_) | One::Cameras(_) | One::Lenses(_) => true,
                One::Type(file_type) => !matches!(file_type, FileType::Format(_)),
                One::Has(has) => matches!(has, Has::Gps | Has::Raw | Has::Jpeg | Has::Camera | Has::Lens),
                One::Is(is) => matches!(is, Is::Unrated | Is::Rated | Is::Rejected | Is::Video),
                _ => false,
            },
        }
    }

    /// Whether it is only about what `map_cells` tells apart.
    pub(super) fn is_of_kinds(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().all(Self::is_of_kinds),
            Self::Not(inner) => inner.is_of_kinds(),
            Self::Always(_) => true,
            Self::One(one) => match one {
                One::Type(file_type) => !matches!(file_type, FileType::Format(_)),
                One::Has(has) => matches!(has, Has::Raw | Has::Jpeg),
                One::Is(is) => matches!(is, Is::Video),
                _ => false,
            },
        }
    }
}
