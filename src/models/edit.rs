//! What a person may change about an image: the fields, the values they take, and the rules by which a change here and one in a sidecar
//! come together.
//!
//! A [`Value`] is what somebody says about one [`Field`]. Values are stored and sent as plain JSON, one form for history, outbox and API.
//! What people send is brought into its normal form by [`Value::checked`]; what files say is taken as it is.

mod change;
mod keywords;
mod merge;
mod typed;

use std::{fmt, str::FromStr};

use chrono::{Datelike, NaiveDateTime, TimeDelta, Timelike};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

pub use change::{Change, shift_time};
pub use keywords::Keywords;
pub use merge::{Merge, Outcome, Sidecar, Standing, WriteState, change_standing, merge, reconcile};
pub use typed::{parse_place, parse_shift, parse_zone};

use super::{Gps, UnknownName};

/// Longest title, description or name of a place, in characters: what the readers keep.
const LONGEST_TEXT: usize = 10_000;
/// Years that the readers take for a time.
const YEARS: std::ops::RangeInclusive<i32> = 1800..=2100;
/// Minutes east of UTC that a zone may have.
const OFFSETS: std::ops::RangeInclusive<i16> = -14 * 60..=14 * 60;

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $type { $($(#[$variant_doc])* #[serde(rename = $name)] $variant,)+ }

        impl $type {
            /// All there are, in the order people are shown them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in the database and the API; it never changes.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                match name { $($name => Ok(Self::$variant),)+ _ => Err(UnknownName(name.to_owned())) }
            }
        }
    };
}
use names;

names! {
    /// What a person may change about an image. Each is kept, merged and written back on its own.
    Field {
        /// Stars, or rejected.
        Rating = "rating",
        /// Chosen among its like.
        Pick = "pick",
        /// A colour, which means what its owner wants it to mean.
        ColorLabel = "color_label",
        /// Title.
        Title = "title",
        /// Description or caption.
        Description = "description",
        /// Keywords, flat and hierarchical.
        Keywords = "keywords",
        /// Place on earth.
        Gps = "gps",
        /// Time of capture and its zone.
        CapturedAt = "captured_at",
        /// Names of the place.
        Place = "place",
    }
}

names! {
    /// A flag beside the stars. What is rejected has the rating -1, as XMP has it.
    #[derive(Default)]
    Pick {
        /// No flag.
        #[default] None = "none",
        /// To be decided: digiKam's "pending".
        Pending = "pending",
        /// Chosen.
        Picked = "picked",
    }
}

names! {
    /// The five colours that Lightroom, Bridge, darktable and digiKam share.
    #[derive(Default)]
    ColorLabel {
        /// No colour, or one that only some other program knows.
        #[default] None = "none",
        /// Red.
        Red = "red",
        /// Yellow.
        Yellow = "yellow",
        /// Green.
        Green = "green",
        /// Blue.
        Blue = "blue",
        /// Purple; digiKam's magenta.
        Purple = "purple",
    }
}

names! {
    /// How a new sidecar is named; one that is there already keeps its name.
    #[derive(Default)]
    SidecarNaming {
        /// After the whole file name, as darktable and digiKam do: two files of one stem have two sidecars.
        #[default] WholeName = "IMG.CR2.xmp",
        /// After the stem, as Lightroom does.
        Stem = "IMG.xmp",
    }
}

/// The names of a place, as photoshop: and Iptc4xmpCore: have them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// City, town or village.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// State, province or region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// ISO 3166, two or three capital letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country_code: Option<String>,
}

impl Place {
    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A time on the wall where the image was taken, and how far that clock was from UTC where known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TakenAt {
    /// Local wall-clock time; never converted.
    pub local: NaiveDateTime,
    /// Minutes east of UTC, where known.
    #[serde(default)]
    pub offset_minutes: Option<i16>,
    /// Where a file's time comes from; no part of the value, kept so that taking a change back restores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl PartialEq for TakenAt {
    fn eq(&self, other: &Self) -> bool {
        (self.local, self.offset_minutes) == (other.local, other.offset_minutes)
    }
}

/// What somebody says about one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// -1 rejected, 0 unrated, 1..=5 stars; `None` says nothing.
    Rating(Option<i8>),
    /// The flag.
    Pick(Pick),
    /// The colour.
    ColorLabel(ColorLabel),
    /// The title.
    Title(Option<String>),
    /// The description.
    Description(Option<String>),
    /// All keywords.
    Keywords(Keywords),
    /// The place.
    Gps(Option<Gps>),
    /// The time.
    CapturedAt(TakenAt),
    /// The names of the place.
    Place(Place),
}

/// A change that makes no sense; nothing was changed. The text names the field and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct EditError {
    /// The field.
    pub field: Field,
    /// What is wrong with the value.
    pub problem: String,
}

impl EditError {
    /// Says what is wrong with a field.
    pub fn new(field: Field, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

impl Value {
    /// The field that this says something about.
    pub fn field(&self) -> Field {
        match self {
            Self::Rating(_) => Field::Rating,
            Self::Pick(_) => Field::Pick,
            Self::ColorLabel(_) => Field::ColorLabel,
            Self::Title(_) => Field::Title,
            Self::Description(_) => Field::Description,
            Self::Keywords(_) => Field::Keywords,
            Self::Gps(_) => Field::Gps,
            Self::CapturedAt(_) => Field::CapturedAt,
            Self::Place(_) => Field::Place,
        }
    }

    /// The JSON that [`Self::from_json`] reads back.
    pub fn to_json(&self) -> Json {
        let json = match self {
            Self::Rating(rating) => serde_json::to_value(rating),
            Self::Pick(pick) => serde_json::to_value(pick),
            Self::ColorLabel(color) => serde_json::to_value(color),
            Self::Title(text) | Self::Description(text) => serde_json::to_value(text),
            Self::Keywords(keywords) => serde_json::to_value(keywords),
            Self::Gps(gps) => serde_json::to_value(gps),
            Self::CapturedAt(time) => serde_json::to_value(time),
            Self::Place(place) => serde_json::to_value(place),
        };
        json.expect("values are plain data with string keys")
    }

    /// Reads a field's value from JSON. Beside the form of [`Self::to_json`]: `null` for "none", keywords as one list in which `|` divides
    /// levels, and a time as text (`2019-08-03T12:33:00`, with `+02:00` or `Z` behind it where the zone is known).
    ///
    /// # Errors
    /// [`EditError`] says what the field takes.
    pub fn from_json(field: Field, json: &Json) -> Result<Self, EditError> {
        Ok(match field {
            Field::Rating => Self::Rating(read(field, json, "a whole number from -1 (rejected) to 5, or null")?),
            Field::Pick => Self::Pick(read::<Option<Pick>>(field, json, "`none`, `pending` or `picked`")?.unwrap_or_default()),
            Field::ColorLabel => {
                let expected = "`none`, `red`, `yellow`, `green`, `blue` or `purple`";
                Self::ColorLabel(read::<Option<ColorLabel>>(field, json, expected)?.unwrap_or_default())
            }
            Field::Title => Self::Title(read(field, json, "a text or null")?),
            Field::Description => Self::Description(read(field, json, "a text or null")?),
            Field::Keywords => {
                let expected = "a list of texts, or an object with the lists `flat` and `hierarchical`";
                Self::Keywords(read::<Option<Keywords>>(field, json, expected)?.unwrap_or_default())
            }
            Field::Gps => Self::Gps(read(field, json, "an object with `latitude_deg`, `longitude_deg` and perhaps `altitude_m`, or null")?),
            Field::CapturedAt => Self::CapturedAt(match json.as_str() {
                Some(text) => taken_at(text).ok_or_else(|| unexpected(field, json, TIME_EXPECTED))?,
                None => read(field, json, TIME_EXPECTED)?,
            }),
            Field::Place => {
                let expected = "an object with any of `city`, `state`, `country` and `country_code`";
                Self::Place(read::<Option<Place>>(field, json, expected)?.unwrap_or_default())
            }
        })
    }

    /// A person's value in its normal form: trimmed, rounded, and such that a sidecar can say it and be read back.
    ///
    /// # Errors
    /// [`EditError`] says what is wrong.
    pub fn checked(self) -> Result<Self, EditError> {
        let field = self.field();
        let fail = |problem: &str| Err(EditError::new(field, problem));
        Ok(match self {
            Self::Rating(Some(rating)) if !(-1..=5).contains(&rating) => return fail("must be from -1 (rejected) to 5"),
            Self::Title(text) => Self::Title(checked_text(field, text)?),
            Self::Description(text) => Self::Description(checked_text(field, text)?),
            Self::Keywords(keywords) => Self::Keywords(keywords.checked()?),
            Self::Gps(Some(gps)) => Self::Gps(Some(checked_gps(gps)?)),
            Self::CapturedAt(time) => Self::CapturedAt(checked_time(time)?),
            Self::Place(place) => Self::Place(checked_place(place)?),
            Self::Rating(_) | Self::Pick(_) | Self::ColorLabel(_) | Self::Gps(None) => self,
        })
    }

    /// Whether this says nothing that anybody had to write down: a camera alone tells a time.
    pub fn is_silent(&self) -> bool {
        match self {
            Self::Rating(rating) => matches!(rating, None | Some(0)),
            Self::Pick(pick) => *pick == Pick::None,
            Self::ColorLabel(color) => *color == ColorLabel::None,
            Self::Title(text) | Self::Description(text) => text.is_none(),
            Self::Keywords(keywords) => keywords.is_empty(),
            Self::Gps(gps) => gps.is_none(),
            Self::CapturedAt(_) => true,
            Self::Place(place) => place.is_empty(),
        }
    }

    /// Whether two values mean the same to people: silence is as good as "unrated", and a place or a time that went through a file's
    /// notation is still that place or time.
    pub fn says_same(&self, other: &Self) -> bool {
        /// Half of the last digit that sidecars write, and a little: some ten centimetres.
        const SAME_PLACE_DEG: f64 = 2e-6;
        const SAME_ALTITUDE_M: f64 = 0.1;
        match (self, other) {
            (Self::Rating(one), Self::Rating(other)) => one.unwrap_or(0) == other.unwrap_or(0),
            (Self::Gps(Some(one)), Self::Gps(Some(other))) => {
                let near = |one: f64, other: f64, apart: f64| (one - other).abs() <= apart;
                let same_altitude = match (one.altitude_m, other.altitude_m) {
                    (Some(one), Some(other)) => near(one, other, SAME_ALTITUDE_M),
                    (one, other) => one == other,
                };
                near(one.latitude_deg, other.latitude_deg, SAME_PLACE_DEG)
                    && near(one.longitude_deg, other.longitude_deg, SAME_PLACE_DEG)
                    && same_altitude
            }
            (Self::CapturedAt(one), Self::CapturedAt(other)) => {
                let whole = |time: &TakenAt| time.local.nanosecond() == 0;
                let apart = (one.local - other.local).abs();
                let same_local = apart == TimeDelta::zero() || ((whole(one) || whole(other)) && apart < TimeDelta::seconds(1));
                same_local && one.offset_minutes == other.offset_minutes
            }
            (one, other) => one == other,
        }
    }
}

const TIME_EXPECTED: &str =
    "a local time such as `2019-08-03T12:33:00` or `2019-08-03T12:33:00+02:00`, or an object with `local` and `offset_minutes`";

fn unexpected(field: Field, json: &Json, expected: &str) -> EditError {
    let mut shown = json.to_string();
    if let Some((end, _)) = shown.char_indices().nth(60) {
        shown.truncate(end);
        shown.push('…');
    }
    EditError::new(field, format!("cannot be {shown}: expected {expected}"))
}

fn read<T: DeserializeOwned>(field: Field, json: &Json, expected: &str) -> Result<T, EditError> {
    T::deserialize(json).map_err(|_| unexpected(field, json, expected))
}

fn taken_at(text: &str) -> Option<TakenAt> {
    let text = text.trim();
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        let offset_minutes = i16::try_from(time.offset().local_minus_utc() / 60).ok();
        return Some(TakenAt { local: time.naive_local(), offset_minutes, source: None });
    }
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    Some(TakenAt { local, offset_minutes: None, source: None })
}

/// Trimmed, with plain line ends; `None` when nothing is left.
fn checked_text(field: Field, text: Option<String>) -> Result<Option<String>, EditError> {
    let Some(text) = text else { return Ok(None) };
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = text.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}');
    let is_plain = |character: char| matches!(character, '\n' | '\t') || is_printable(character);
    if let Some(bad) = text.chars().find(|character| !is_plain(*character)) {
        return Err(EditError::new(field, format!("holds U+{:04X}, which is no text", u32::from(bad))));
    }
    if text.chars().count() > LONGEST_TEXT {
        return Err(EditError::new(field, format!("is longer than {LONGEST_TEXT} characters")));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// Whether XML and PostgreSQL can both hold a character, and it is no control character.
fn is_printable(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}')
}

/// On earth, and rounded to a centimetre.
fn checked_gps(gps: Gps) -> Result<Gps, EditError> {
    let fail = |problem: &str| Err(EditError::new(Field::Gps, problem));
    let Gps { latitude_deg, longitude_deg, altitude_m } = gps;
    if !(-90.0..=90.0).contains(&latitude_deg) {
        return fail("has a latitude that is not from -90 to 90 degrees");
    }
    if !(-180.0..=180.0).contains(&longitude_deg) {
        return fail("has a longitude that is not from -180 to 180 degrees");
    }
    if altitude_m.is_some_and(|metres| !(-12_000.0..=100_000.0).contains(&metres)) {
        return fail("has an altitude that is not from -12000 to 100000 metres");
    }
    // Adding zero makes -0 plain.
    let rounded = |number: f64, unit: f64| (number * unit).round() / unit + 0.0;
    let gps = Gps {
        latitude_deg: rounded(latitude_deg, 1e7),
        longitude_deg: rounded(longitude_deg, 1e7),
        altitude_m: altitude_m.map(|metres| rounded(metres, 100.0)),
    };
    if gps.latitude_deg == 0.0 && gps.longitude_deg == 0.0 {
        return fail("is exactly 0, 0, which devices write where they know no place: use null to remove it");
    }
    Ok(gps)
}

/// In a year that files may name, to the millisecond, with a zone that exists.
fn checked_time(time: TakenAt) -> Result<TakenAt, EditError> {
    let fail = |problem: String| Err(EditError::new(Field::CapturedAt, problem));
    if !YEARS.contains(&time.local.year()) {
        return fail(format!("is not in the years {} to {}", YEARS.start(), YEARS.end()));
    }
    if time.offset_minutes.is_some_and(|minutes| !OFFSETS.contains(&minutes)) {
        return fail("has an offset that is not from -840 to 840 minutes".to_owned());
    }
    let milliseconds = time.local.nanosecond() % 1_000_000_000 / 1_000_000;
    let local = time.local.with_nanosecond(milliseconds * 1_000_000).unwrap_or(time.local);
    Ok(TakenAt { local, offset_minutes: time.offset_minutes, source: time.source })
}

fn checked_place(place: Place) -> Result<Place, EditError> {
    let name = |text: Option<String>| {
        let text = checked_text(Field::Place, text)?;
        match text {
            Some(text) if text.contains('\n') => Err(EditError::new(Field::Place, "has a name of more than one line")),
            text => Ok(text),
        }
    };
    let country_code = name(place.country_code)?.map(|code| code.to_uppercase());
    let is_code = |code: &String| matches!(code.len(), 2 | 3) && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if country_code.as_ref().is_some_and(|code| !is_code(code)) {
        return Err(EditError::new(Field::Place, "has a country code that is not two or three letters, such as `FR`"));
    }
    Ok(Place { city: name(place.city)?, state: name(place.state)?, country: name(place.country)?, country_code })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(field: Field, json: &Json) -> Result<Value, EditError> {
        Value::from_json(field, json)?.checked()
    }

    #[test]
    fn every_field_reads_back_what_it_writes() {
        let values = [
            (Field::Rating, json!(4)),
            (Field::Rating, json!(null)),
            (Field::Pick, json!("picked")),
            (Field::ColorLabel, json!("purple")),
            (Field::Title, json!("Zoé")),
            (Field::Description, json!(null)),
            (Field::Keywords, json!({"flat": ["car", "red", "vehicle"], "hierarchical": ["vehicle|car"]})),
            (Field::Gps, json!({"latitude_deg": 43.18, "longitude_deg": -89.28, "altitude_m": null})),
            (Field::CapturedAt, json!({"local": "2019-08-03T12:33:00.250", "offset_minutes": 120})),
            (Field::Place, json!({"city": "Paris", "country_code": "FR"})),
        ];
        for (field, json) in values {
            let value = checked(field, &json).unwrap();
            assert_eq!((value.field(), value.to_json()), (field, json));
            assert_eq!(field.name().parse(), Ok(field));
        }
    }

    #[test]
    fn people_may_write_it_shorter() {
        assert_eq!(
            checked(Field::Keywords, &json!(["red", "vehicle|car"])),
            checked(Field::Keywords, &json!({"flat": ["red"], "hierarchical": ["vehicle|car"]}))
        );
        assert_eq!(checked(Field::Pick, &json!(null)), Ok(Value::Pick(Pick::None)));
        let time = |text: &str| match checked(Field::CapturedAt, &json!(text)).unwrap() {
            Value::CapturedAt(time) => (time.local.to_string(), time.offset_minutes),
            other => panic!("{other:?}"),
        };
        assert_eq!(time("2019-08-03T12:33:00+05:30"), ("2019-08-03 12:33:00".to_owned(), Some(330)));
        assert_eq!(time("2019-08-03 12:33"), ("2019-08-03 12:33:00".to_owned(), None));
        assert_eq!(checked(Field::Title, &json!(" \r\n ")), Ok(Value::Title(None)));
        assert_eq!(checked(Field::Description, &json!(" a\r\nb ")), Ok(Value::Description(Some("a\nb".to_owned()))));
        assert_eq!(checked(Field::Place, &json!({"country_code": "fr"})).unwrap().to_json(), json!({"country_code": "FR"}));
    }

    #[test]
    fn what_makes_no_sense_names_its_field() {
        let wrong = [
            (Field::Rating, json!(6)),
            (Field::Rating, json!("5")),
            (Field::Rating, json!(4.5)),
            (Field::Pick, json!("rejected")),
            (Field::ColorLabel, json!("orange")),
            (Field::Title, json!(7)),
            (Field::Title, json!("a\u{0}b")),
            (Field::Description, json!("x\u{b}x")),
            (Field::Description, json!("x".repeat(LONGEST_TEXT + 1))),
            (Field::Keywords, json!("beach")),
            (Field::Keywords, json!(["a\nb"])),
            (Field::Keywords, json!(["a||b"])),
            (Field::Gps, json!({"latitude_deg": 91, "longitude_deg": 0})),
            (Field::Gps, json!({"latitude_deg": 0, "longitude_deg": -181})),
            (Field::Gps, json!({"latitude_deg": 0.0, "longitude_deg": 0})),
            (Field::Gps, json!({"latitude_deg": 1})),
            (Field::CapturedAt, json!(null)),
            (Field::CapturedAt, json!("yesterday")),
            (Field::CapturedAt, json!("1066-10-14T09:00:00")),
            (Field::CapturedAt, json!({"local": "2019-08-03T12:33:00", "offset_minutes": 900})),
            (Field::Place, json!({"country_code": "France"})),
            (Field::Place, json!({"city": "a\nb"})),
        ];
        for (field, json) in wrong {
            let error = checked(field, &json).expect_err(&json.to_string());
            assert_eq!(error.field, field);
            assert!(error.to_string().starts_with(&format!("`{field}` ")), "{error}");
            assert!(error.to_string().chars().count() < 250, "{error}");
        }
    }

    #[test]
    fn what_went_through_a_file_is_still_the_same() {
        let gps = |latitude_deg: f64| Value::Gps(Some(Gps { latitude_deg, longitude_deg: 11.0, altitude_m: None }));
        assert!(gps(45.123_456_7).says_same(&gps(45.123_456)));
        assert!(!gps(45.123_456_7).says_same(&gps(45.1234)));
        let time = |text: &str| Value::from_json(Field::CapturedAt, &json!(text)).unwrap();
        assert!(time("2019-08-03T12:33:00.250").says_same(&time("2019-08-03T12:33:00")));
        assert!(!time("2019-08-03T12:33:00.250").says_same(&time("2019-08-03T12:33:00.500")));
        assert!(!time("2019-08-03T12:33:00").says_same(&time("2019-08-03T12:33:00Z")));
        assert!(Value::Rating(None).says_same(&Value::Rating(Some(0))));
        assert!(!Value::Rating(Some(-1)).says_same(&Value::Rating(Some(0))));
    }
}
