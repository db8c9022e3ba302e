//! The conditions a query is made of.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime};
use unicode_normalization::UnicodeNormalization;

use super::{
    super::{
        FileFormat, ImageId, RegionId,
        edit::{ColorLabel, Pick},
    },
    value::Bounds,
};

/// A name, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The text in NFC, as typed; `*` stands for any letters. Never empty.
    pub text: String,
    /// It stood in quotes: the whole name is meant, not a part of it.
    pub is_whole: bool,
}

impl Name {
    /// The whole of a name; `None` when there is nothing in it.
    pub fn whole(text: &str) -> Option<Self> {
        let text = text.nfc().collect::<String>().trim().to_owned();
        (!text.is_empty()).then_some(Self { text, is_whole: true })
    }

    /// A name in quotes where it would not be read back whole without.
    pub fn quoted_where_needed(text: &str) -> Self {
        let text: String = text.nfc().collect::<String>().trim().to_owned();
        let is_whole = text.is_empty() || text.contains(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '\0'));
        Self { text, is_whole }
    }
}

/// A day, month or year, or each of them in every year or month: `2019-08`, `*-12-25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialDate {
    /// 1..=9999; `None` for any.
    pub year: Option<i32>,
    /// 1..=12; `None` for any.
    pub month: Option<u32>,
    /// 1..=31; `None` for any.
    pub day: Option<u32>,
}

impl PartialDate {
    /// The first day, and the first after, of a year, month or day; `None` where a part before the last is any, or past 9999.
    pub fn days(&self) -> Option<(NaiveDate, NaiveDate)> {
        let year = self.year?;
        match (self.month, self.day) {
            (None, None) => Some((NaiveDate::from_ymd_opt(year, 1, 1)?, NaiveDate::from_ymd_opt(year + 1, 1, 1)?)),
            (Some(month), None) => {
                let first = NaiveDate::from_ymd_opt(year, month, 1)?;
                Some((first, first.checked_add_months(chrono::Months::new(1))?))
            }
            (Some(month), Some(day)) => {
                let first = NaiveDate::from_ymd_opt(year, month, day)?;
                Some((first, first.succ_opt()?))
            }
            (None, Some(_)) => None,
        }
    }

    /// Whether a day is one of those meant.
    pub fn matches(&self, day: NaiveDate) -> bool {
        self.year.is_none_or(|year| day.year() == year)
            && self.month.is_none_or(|month| day.month() == month)
            && self.day.is_none_or(|number| day.day() == number)
    }
}

impl Bounds<PartialDate> {
    /// The stretch of time meant: from the first moment, until before the second. `None` for dates that recur.
    pub fn stretch(&self) -> Option<(Option<NaiveDateTime>, Option<NaiveDateTime>)> {
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN);
        let first = |date: &PartialDate| date.days().map(|(first, _)| midnight(first));
        let after = |date: &PartialDate| date.days().map(|(_, after)| midnight(after));
        Some(match self {
            Self::Is(date) => (Some(first(date)?), Some(after(date)?)),
            Self::Above(date) => (Some(after(date)?), None),
            Self::AtLeast(date) => (Some(first(date)?), None),
            Self::Below(date) => (None, Some(first(date)?)),
            Self::AtMost(date) => (None, Some(after(date)?)),
            Self::Between(low, high) => (Some(first(low)?), Some(after(high)?)),
        })
    }
}

/// A circle on the earth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Degrees north, -90..=90.
    pub latitude_deg: f64,
    /// Degrees east, -180..=180.
    pub longitude_deg: f64,
    /// Along the great circle, in metres; positive.
    pub radius_m: f64,
}

/// Mean radius of the earth in metres (IUGG R1): a great circle through any two places is right to half a percent.
pub const EARTH_RADIUS_M: f64 = 6_371_008.8;

impl Near {
    /// Metres along the great circle from the centre.
    pub fn distance_m(&self, latitude_deg: f64, longitude_deg: f64) -> f64 {
        let (here, there) = (self.latitude_deg.to_radians(), latitude_deg.to_radians());
        let north = ((there - here) / 2.0).sin();
        let east = ((longitude_deg - self.longitude_deg).to_radians() / 2.0).sin();
        let share = north * north + here.cos() * there.cos() * east * east;
        2.0 * EARTH_RADIUS_M * share.sqrt().min(1.0).asin()
    }

    /// South, north, west and east of a box around the circle, in degrees; west is greater than east where the box crosses the
    /// antimeridian, and no west and east where it holds a pole.
    pub fn around(&self) -> (f64, f64, Option<(f64, f64)>) {
        // A little wider than the circle, so that rounding loses nobody.
        let angle = (self.radius_m / EARTH_RADIUS_M) * (1.0 + 1e-9) + 1e-9;
        let latitude = self.latitude_deg.to_radians();
        let (south, north) = ((latitude - angle).to_degrees().max(-90.0), (latitude + angle).to_degrees().min(90.0));
        if south <= -90.0 || north >= 90.0 {
            return (south, north, None);
        }
        let wide = (angle.sin() / latitude.cos()).min(1.0).asin().to_degrees() + 1e-9;
        let turn = |degrees: f64| {
            if degrees > 180.0 {
                degrees - 360.0
            } else if degrees < -180.0 {
                degrees + 360.0
            } else {
                degrees
            }
        };
        (south, north, Some((turn(self.longitude_deg - wide), turn(self.longitude_deg + wide))))
    }
}

/// A box on the earth between two parallels and two meridians, its sides included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Degrees north, -90..=90; not above `north_deg`.
    pub south_deg: f64,
    /// Degrees east, -180..=180; above `east_deg` where the box crosses the antimeridian.
    pub west_deg: f64,
    /// Degrees north, -90..=90.
    pub north_deg: f64,
    /// Degrees east, -180..=180.
    pub east_deg: f64,
}

impl Area {
    /// Whether a place lies in it.
    pub fn holds(&self, latitude_deg: f64, longitude_deg: f64) -> bool {
        let (from_west, to_east) = (longitude_deg >= self.west_deg, longitude_deg <= self.east_deg);
        let is_between = if self.west_deg > self.east_deg { from_west || to_east } else { from_west && to_east };
        (self.south_deg..=self.north_deg).contains(&latitude_deg) && is_between
    }
}

/// What images are to look like. It says of none that it does not belong: it says which come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Like {
    /// What these words say, in NFC. Never empty.
    Words(String),
    /// This image.
    Image(ImageId),
    /// This part of an image.
    Region(RegionId),
}

/// What kind of file an image must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// A RAW.
    Raw,
    /// A JPEG.
    Jpeg,
    /// It is a video of its own.
    Video,
    /// It is no video.
    Photo,
    /// A file of this format.
    Format(FileFormat),
}

macro_rules! words {
    ($(#[doc = $what:literal])* $enum:ident { $($variant:ident $word:literal $help:literal,)+ }) => {
        $(#[doc = $what])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $enum {
            $(#[doc = $help] $variant,)+
        }

        impl $enum {
            /// Every word there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in a query.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What it means, for people.
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help.trim_ascii(),)+ }
            }
        }
    };
}

words! {
    /// What an image must have.
    Has {
        Gps "gps" "A place on the map.",
        Raw "raw" "A RAW file.",
        Jpeg "jpeg" "A JPEG file.",
        Sidecar "sidecar" "A sidecar beside it (XMP, THM, AAE, Takeout JSON, PP3).",
        Title "title" "A title.",
        Description "description" "A description.",
        Tags "tags" "At least one keyword.",
        Camera "camera" "A camera is known.",
        Lens "lens" "A lens is known.",
        Place "place" "A city, region or country named by a file or a person.",
        Edits "edits" "Something about it was changed here.",
        Regions "regions" "A network or a person found something in the picture.",
    }
}

words! {
    /// What an image must be.
    Is {
        Unrated "unrated" "Neither stars nor rejected.",
        Rated "rated" "One star or more.",
        Rejected "rejected" "Rejected.",
        Picked "picked" "Flagged as picked.",
        Edited "edited" "Something about it was changed here (the same as has:edits).",
        Pending "pending" "A change has still to be written into its sidecar, or could not be.",
        Conflict "conflict" "Changed here and by another program, and nobody has chosen yet.",
        Missing "missing" "Gone from a vault that can be read.",
        Offline "offline" "On a vault that cannot be read now.",
        Video "video" "A video of its own.",
        Final "final" "There is a version made from it: an edit or crop (derivative), or an export written by another program than the original.",
        Broken "broken" "A file of it could not be read, whole or in part.",
        Duplicate "duplicate" "A file of it is there more than once, by size and content; sidecars do not count.",
    }
}

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// All words in this occur as beginnings of words.
    Words(String),
    /// This text occurs, its words whole.
    Phrase(String),
    /// Stars; 0 unrated, -1 rejected.
    Rating(Bounds<i64>),
    /// ISO speed.
    Iso(Bounds<i64>),
    /// Aperture as f-number.
    FNumber(Bounds<f64>),
    /// Exposure time in seconds.
    Exposure(Bounds<f64>),
    /// Focal length in millimetres.
    Focal(Bounds<f64>),
    /// All files together, in bytes.
    Size(Bounds<i64>),
    /// Upright width in pixels.
    Width(Bounds<i64>),
    /// Upright height in pixels.
    Height(Bounds<i64>),
    /// Local day.
    Date(Bounds<PartialDate>),
    /// Local year.
    Year(Bounds<i64>),
    /// Local month, 1..=12, of any year.
    Month(Bounds<i64>),
    /// Camera as shown.
    Camera(Name),
    /// Lens as shown.
    Lens(Name),
    /// Keyword, or any level of a hierarchical one.
    Tag(Name),
    /// What was found in the picture, by its whole name.
    Shows(Name),
    /// Title.
    Title(Name),
    /// Description.
    Description(Name),
    /// Name or path of a file.
    File(Name),
    /// Name or path of a folder; what lies below counts too.
    Folder(Name),
    /// City.
    City(Name),
    /// State, province or region.
    State(Name),
    /// Country, by name or code.
    Country(Name),
    /// City, state or country.
    Place(Name),
    /// One of these colours.
    Label(Vec<ColorLabel>),
    /// One of these flags.
    Pick(Vec<Pick>),
    /// One of these kinds of file.
    Type(Vec<FileType>),
    /// One of these is there.
    Has(Vec<Has>),
    /// One of these holds.
    Is(Vec<Is>),
    /// In a circle.
    Near(Near),
    /// In a box.
    Within(Area),
    /// In the order of likeness to this.
    Like(Like),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: Option<i32>, month: Option<u32>, day: Option<u32>) -> PartialDate {
        PartialDate { year, month, day }
    }

    #[test]
    fn a_range_of_dates_ends_after_its_last_day() {
        let between = Bounds::Between(date(Some(2019), None, None), date(Some(2021), Some(6), None));
        let (first, after) = between.stretch().unwrap();
        assert_eq!(first.unwrap().to_string(), "2019-01-01 00:00:00");
        assert_eq!(after.unwrap().to_string(), "2021-07-01 00:00:00");
        assert_eq!(Bounds::Is(date(None, Some(12), Some(25))).stretch(), None);
    }

    #[test]
    fn the_great_circle_is_right_and_the_box_holds_the_circle() {
        // Paris to London: 343.5 km.
        let paris = Near { latitude_deg: 48.8566, longitude_deg: 2.3522, radius_m: 1.0 };
        assert!((paris.distance_m(51.5074, -0.1278) - 343_556.0).abs() < 500.0);
        let fiji = Near { latitude_deg: -17.0, longitude_deg: 179.9, radius_m: 50_000.0 };
        let (_, _, sides) = fiji.around();
        let (west, east) = sides.unwrap();
        assert!(west > 179.0 && east < -179.0, "{west} {east}");
        assert!(fiji.distance_m(-17.0, -179.9) < 50_000.0);
        let pole = Near { latitude_deg: 89.9, longitude_deg: 0.0, radius_m: 50_000.0 };
        assert_eq!(pole.around().2, None);
    }
}
