//! Which images a page shows, and where in them a page starts. The same words serve the address bar and the API.

use std::{fmt, str::FromStr};

use chrono::{NaiveDate, NaiveDateTime};

use super::{
    FolderId, ImageId,
    id::ParseIdError,
    query::{Bounds, FileType, Has, Is, Name, Query, QueryError, Term},
};

/// A filter's key or value cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}={value}` is not understood: expected {expected}")]
pub struct FilterError {
    /// The key in the address.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What would have been understood.
    pub expected: &'static str,
}

/// An address does not make a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// A pair of it cannot be understood.
    #[error(transparent)]
    Pair(#[from] FilterError),
    /// The search in `q` cannot be understood.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// What kind of file an image must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// Has a RAW.
    Raw,
    /// Has a JPEG.
    Jpeg,
    /// Is a video of its own.
    Video,
}

impl MediaType {
    /// The word in the address.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Jpeg => "jpeg",
            Self::Video => "video",
        }
    }
}

/// Which images are meant. The default means all of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// Local year.
    pub year: Option<i32>,
    /// Month of `year`, 1..=12; only together with `year`.
    pub month: Option<u32>,
    /// Camera, as shown: `Canon EOS R6`.
    pub camera: Option<String>,
    /// Lens, as shown.
    pub lens: Option<String>,
    /// At least this many stars, 1..=5; 0 means unrated; -1 means rejected.
    pub rating: Option<i8>,
    /// Kind of file.
    pub media_type: Option<MediaType>,
    /// In this folder or below it.
    pub folder: Option<FolderId>,
    /// Has a place, or has none.
    pub has_gps: Option<bool>,
    /// What the search asks for beside all this; by default everything.
    pub query: Query,
}

impl Filter {
    /// Keys of the address that belong to a filter, in the order they are written.
    pub const KEYS: [&'static str; 9] = ["year", "month", "camera", "lens", "rating", "type", "folder", "gps", "q"];

    /// Whether every image passes.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the filter from the pairs of an address. Empty values and keys of others are passed over.
    ///
    /// # Errors
    /// [`InvalidFilter`] names the first pair that cannot be understood, or the place in the search.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, InvalidFilter> {
        let mut filter = Self::default();
        for (key, value) in pairs {
            if !value.is_empty() {
                filter.set(key, value)?;
            }
        }
        if filter.month.is_some() && filter.year.is_none() {
            return Err(FilterError { key: "month".into(), value: "…".into(), expected: "a `year` beside it" }.into());
        }
        Ok(filter)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), InvalidFilter> {
        let fail = |expected| FilterError { key: key.to_owned(), value: value.to_owned(), expected };
        match key {
            // No name has one, and the database takes none.
            "camera" | "lens" if value.contains('\0') => return Err(fail("a name without NUL characters").into()),
            "year" => {
                let year = value.parse().ok().filter(|year| (1..=9999).contains(year));
                self.year = Some(year.ok_or_else(|| fail("a year such as 2019"))?);
            }
            "month" => {
                let month = value.parse().ok().filter(|month| (1..=12).contains(month));
                self.month = Some(month.ok_or_else(|| fail("a month from 1 to 12"))?);
            }
            "camera" => self.camera = Some(value.to_owned()),
            "lens" => self.lens = Some(value.to_owned()),
            "rating" => {
                let rating = value.parse().ok().filter(|rating| (-1..=5).contains(rating));
                self.rating = Some(rating.ok_or_else(|| fail("a number from -1 (rejected) to 5"))?);
            }
            "type" => {
                self.media_type = Some(match value {
                    "raw" => MediaType::Raw,
                    "jpeg" => MediaType::Jpeg,
                    "video" => MediaType::Video,
                    _ => return Err(fail("`raw`, `jpeg` or `video`").into()),
                });
            }
            "folder" => self.folder = Some(value.parse().map_err(|_: ParseIdError| fail("a folder's id"))?),
            "gps" => {
                self.has_gps = Some(match value {
                    "1" | "yes" => true,
                    "0" | "no" => false,
                    _ => return Err(fail("`yes` or `no`").into()),
                });
            }
            "q" => self.query = value.parse()?,
            _ => {}
        }
        Ok(())
    }

    /// The pairs that [`Self::from_pairs`] reads back, in the order of [`Self::KEYS`].
    pub fn to_pairs(&self) -> Vec<(&'static str, String)> {
        let values = [
            self.year.map(|year| year.to_string()),
            self.month.map(|month| month.to_string()),
            self.camera.clone(),
            self.lens.clone(),
            self.rating.map(|rating| rating.to_string()),
            self.media_type.map(|media_type| media_type.name().to_owned()),
            self.folder.map(|folder| folder.to_string()),
            self.has_gps.map(|has| if has { "yes" } else { "no" }.to_owned()),
            Some(self.query.to_string()).filter(|text| !text.is_empty()),
        ];
        Self::KEYS.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?))).collect()
    }

    /// What it asks of each image alone, without the `like:` that puts them into an order.
    #[must_use]
    pub fn without_like(&self) -> Self {
        Self { query: self.query.without_like(), ..self.clone() }
    }

    /// The whole filter as one query, as it is saved: what the address says by other keys goes in front. A folder is named by its
    /// path inside its vault.
    pub fn to_query(&self, folder_path: Option<&str>) -> Query {
        let rating = |stars: i8| match stars {
            -1 => Term::Is(vec![Is::Rejected]),
            0 => Term::Is(vec![Is::Unrated]),
            stars => Term::Rating(Bounds::AtLeast(i64::from(stars))),
        };
        let file_type = |media_type| match media_type {
            MediaType::Raw => FileType::Raw,
            MediaType::Jpeg => FileType::Jpeg,
            MediaType::Video => FileType::Video,
        };
        let gps = |has: bool| {
            let term = Query::Term(Term::Has(vec![Has::Gps]));
            if has { term } else { Query::Not(Box::new(term)) }
        };
        let parts = [
            self.year.map(|year| Term::Year(Bounds::Is(i64::from(year))).into()),
            self.month.map(|month| Term::Month(Bounds::Is(i64::from(month))).into()),
            self.camera.as_deref().and_then(Name::whole).map(|name| Term::Camera(name).into()),
            self.lens.as_deref().and_then(Name::whole).map(|name| Term::Lens(name).into()),
            self.rating.map(|stars| rating(stars).into()),
            self.media_type.map(|media_type| Term::Type(vec![file_type(media_type)]).into()),
            folder_path.and_then(Name::whole).map(|path| Term::Folder(path).into()),
            self.has_gps.map(gps),
        ];
        Query::all(parts.into_iter().flatten().chain([self.query.clone()]))
    }

    /// The days the filter spans by `year` and `month`: first, and first after. `None` when it spans all.
    pub fn days(&self) -> Option<(NaiveDate, NaiveDate)> {
        let year = self.year?;
        let first = NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), 1)?;
        let after = match self.month {
            Some(month) if month < 12 => NaiveDate::from_ymd_opt(year, month + 1, 1)?,
            _ => NaiveDate::from_ymd_opt(year + 1, 1, 1)?,
        };
        Some((first, after))
    }
}

/// Which way a page goes from its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Towards the past: how the gallery reads.
    #[default]
    Older,
    /// Towards the present.
    Newer,
}

/// A place in the timeline: just after the image it names. Written as `20190803T123300.123456-4711`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Local capture time.
    pub captured_at: NaiveDateTime,
    /// Breaks ties.
    pub image: ImageId,
}

const CURSOR_TIME: &str = "%Y%m%dT%H%M%S%.6f";

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.captured_at.format(CURSOR_TIME), self.image)
    }
}

impl FromStr for Cursor {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let fail = || FilterError { key: "cursor".into(), value: text.to_owned(), expected: "a cursor from an earlier page" };
        let (time, id) = text.rsplit_once('-').ok_or_else(fail)?;
        let captured_at = NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%S%.f").map_err(|_| fail())?;
        let image = id.parse::<i64>().map(ImageId).map_err(|_| fail())?;
        Ok(Self { captured_at, image })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_the_address_bar() {
        let pairs = [
            ("year", "2019"),
            ("month", "8"),
            ("camera", "Canon EOS R6"),
            ("rating", "-1"),
            ("type", "raw"),
            ("folder", "7"),
            ("gps", "no"),
            ("q", "lake zoé"),
            ("unknown", "x"),
            ("lens", ""),
        ];
        let filter = Filter::from_pairs(pairs).unwrap();
        let written = filter.to_pairs();
        assert_eq!(written.len(), 8);
        assert_eq!(Filter::from_pairs(written.iter().map(|(key, value)| (*key, value.as_str()))), Ok(filter));
    }

    #[test]
    fn a_wrong_value_names_its_key() {
        for (key, value) in
            [("year", "x"), ("month", "13"), ("rating", "9"), ("type", "tiff"), ("folder", "-1"), ("gps", "maybe"), ("lens", "a\0")]
        {
            let error = Filter::from_pairs([(key, value)]).unwrap_err();
            assert!(matches!(&error, InvalidFilter::Pair(error) if error.key == key), "{error}");
        }
        let error = Filter::from_pairs([("q", "lake ratng:3")]).unwrap_err();
        assert!(matches!(&error, InvalidFilter::Query(error) if error.at == 5), "{error}");
        assert!(Filter::from_pairs([("month", "8")]).is_err());
    }

    #[test]
    fn a_filter_is_saved_as_one_query() {
        let pairs = [("year", "2019"), ("camera", "EOS \"R\""), ("rating", "3"), ("gps", "no"), ("q", "lake OR sea"), ("folder", "7")];
        let query = Filter::from_pairs(pairs).unwrap().to_query(Some("RAW/2019"));
        let text = query.to_string();
        assert_eq!(text, r#"year:2019 camera:"EOS \"R\"" rating:>=3 folder:"RAW/2019" -has:gps (lake OR sea)"#);
        assert_eq!(text.parse(), Ok(query));
    }

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let december = Filter { year: Some(2019), month: Some(12), ..Filter::default() };
        let (first, after) = december.days().unwrap();
        assert_eq!((first.to_string().as_str(), after.to_string().as_str()), ("2019-12-01", "2020-01-01"));
    }

    #[test]
    fn a_cursor_survives_its_text_form() {
        let cursor: Cursor = "20190803T123300.123456-4711".parse().unwrap();
        assert_eq!(cursor.to_string(), "20190803T123300.123456-4711");
        for bad in ["", "x", "20190803-1", "20190803T123300-"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
