//! What `images` shows of the fields that people change: read under a lock, changed as values, written back many at once.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDateTime;
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Double, Nullable, SmallInt, Text, Timestamp},
};
use serde::Serialize;

use super::as_json;
use crate::models::{
    Gps, ImageId,
    edit::{Field, Keywords, Place, TakenAt, Value},
    gazetteer::{EDITION, whereabouts},
    words,
};

/// Where a person's time comes from.
const PERSON: &str = "person";

/// The columns of one image that people change.
#[derive(Debug, Clone, PartialEq, QueryableByName, Serialize)]
pub(in crate::db) struct Shown {
    #[diesel(sql_type = BigInt)]
    pub(in crate::db) id: ImageId,
    #[diesel(sql_type = Nullable<SmallInt>)]
    rating: Option<i16>,
    #[diesel(sql_type = Text)]
    pick: String,
    #[diesel(sql_type = Text)]
    color_label: String,
    #[diesel(sql_type = Nullable<Text>)]
    title: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    description: Option<String>,
    #[diesel(sql_type = Array<Text>)]
    keywords: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    hierarchical_keywords: Vec<String>,
    #[diesel(sql_type = Nullable<Double>)]
    latitude_deg: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    longitude_deg: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    altitude_m: Option<f64>,
    #[diesel(sql_type = Timestamp)]
    captured_at: NaiveDateTime,
    #[diesel(sql_type = Text)]
    captured_at_source: String,
    #[diesel(sql_type = Nullable<SmallInt>)]
    captured_offset_minutes: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    city: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    state: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    country: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    country_code: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    gps_city: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    gps_state: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    gps_country: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    gps_country_code: Option<String>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    gps_edition: Option<i16>,
}

const COLUMNS: &str = "id, rating, pick, color_label, title, description, keywords, hierarchical_keywords, latitude_deg, longitude_deg, \
    altitude_m, captured_at, captured_at_source, captured_offset_minutes, city, state, country, country_code, \
    gps_city, gps_state, gps_country, gps_country_code, gps_edition";

/// Reads what images show and holds them until the transaction ends, in one order for everybody, so that nobody waits in a ring.
pub(in crate::db) fn lock_shown(conn: &mut PgConnection, images: &[ImageId]) -> QueryResult<Vec<Shown>> {
    sql_query(format!("SELECT {COLUMNS} FROM images WHERE id = ANY($1) ORDER BY id FOR UPDATE")).bind::<Array<BigInt>, _>(images).load(conn)
}

impl Shown {
    /// What is shown of a field.
    pub(super) fn get(&self, field: Field) -> Value {
        match field {
            Field::Rating => Value::Rating(self.rating.and_then(|rating| i8::try_from(rating).ok())),
            // The columns are checked to hold known names.
            Field::Pick => Value::Pick(self.pick.parse().unwrap_or_default()),
            Field::ColorLabel => Value::ColorLabel(self.color_label.parse().unwrap_or_default()),
            Field::Title => Value::Title(self.title.clone()),
            Field::Description => Value::Description(self.description.clone()),
            Field::Keywords => Value::Keywords(Keywords::new(self.keywords.iter().cloned(), self.hierarchical_keywords.iter().cloned())),
            Field::Gps => Value::Gps(match (self.latitude_deg, self.longitude_deg) {
                (Some(latitude_deg), Some(longitude_deg)) => Some(Gps { latitude_deg, longitude_deg, altitude_m: self.altitude_m }),
                _ => None,
            }),
            Field::CapturedAt => Value::CapturedAt(TakenAt {
                local: self.captured_at,
                offset_minutes: self.captured_offset_minutes,
                source: Some(self.captured_at_source.clone()),
            }),
            Field::Place => Value::Place(Place {
                city: self.city.clone(),
                state: self.state.clone(),
                country: self.country.clone(),
                country_code: self.country_code.clone(),
            }),
        }
    }

    /// Shows a value.
    pub(super) fn set(&mut self, value: &Value) {
        match value.clone() {
            Value::Rating(rating) => self.rating = rating.map(i16::from),
            Value::Pick(pick) => self.pick = pick.name().to_owned(),
            Value::ColorLabel(color) => self.color_label = color.name().to_owned(),
            Value::Title(title) => self.title = title,
            Value::Description(description) => self.description = description,
            Value::Keywords(keywords) => {
                self.keywords = keywords.flat().iter().cloned().collect();
                self.hierarchical_keywords = keywords.hierarchical().iter().cloned().collect();
            }
            Value::Gps(gps) => {
                self.latitude_deg = gps.map(|gps| gps.latitude_deg);
                self.longitude_deg = gps.map(|gps| gps.longitude_deg);
                self.altitude_m = gps.and_then(|gps| gps.altitude_m);
                self.name_coordinates();
            }
            Value::CapturedAt(time) => {
                self.captured_at = time.local;
                self.captured_offset_minutes = time.offset_minutes;
                self.captured_at_source = time.source.unwrap_or_else(|| PERSON.to_owned());
            }
            Value::Place(Place { city, state, country, country_code }) => {
                (self.city, self.state, self.country, self.country_code) = (city, state, country, country_code);
            }
        }
    }

    /// Says what the coordinates are called, beside what is said about the place.
    pub(in crate::db) fn name_coordinates(&mut self) {
        let coordinates = self.latitude_deg.zip(self.longitude_deg);
        let Place { city, state, country, country_code } = self.place_of_coordinates();
        (self.gps_city, self.gps_state, self.gps_country, self.gps_country_code) = (city, state, country, country_code);
        self.gps_edition = coordinates.map(|_| EDITION);
    }

    /// What the coordinates are called; nothing where there are none, or at sea.
    pub(super) fn place_of_coordinates(&self) -> Place {
        let coordinates = self.latitude_deg.zip(self.longitude_deg);
        coordinates.map(|(latitude_deg, longitude_deg)| whereabouts(latitude_deg, longitude_deg)).unwrap_or_default()
    }

    /// Whether the same words find both.
    fn has_words_of(&self, other: &Self) -> bool {
        fn texts(shown: &Shown) -> [&Option<String>; 8] {
            let Shown { title, description, city, state, country, gps_city, gps_state, gps_country, .. } = shown;
            [title, description, city, state, country, gps_city, gps_state, gps_country]
        }
        texts(self) == texts(other) && self.keywords == other.keywords && self.hierarchical_keywords == other.hierarchical_keywords
    }

    fn words(&self, names: &Names) -> Vec<String> {
        let places = [&self.city, &self.state, &self.country, &self.gps_city, &self.gps_state, &self.gps_country];
        let optional = [&self.title, &self.description].into_iter().chain(places);
        let texts = optional.flatten().chain(&self.keywords).chain(&self.hierarchical_keywords).chain(&names.file_names);
        let all: BTreeSet<String> = texts.chain([&names.base_name, &names.folder]).flat_map(|text| words(text)).collect();
        all.into_iter().collect()
    }
}

/// The names by which an image is found whatever people say about it.
#[derive(QueryableByName)]
struct Names {
    #[diesel(sql_type = BigInt)]
    id: ImageId,
    #[diesel(sql_type = Text)]
    base_name: String,
    #[diesel(sql_type = Text)]
    folder: String,
    #[diesel(sql_type = Array<Text>)]
    file_names: Vec<String>,
}

const NAMES: &str = "SELECT i.id, i.base_name, d.rel_path AS folder, \
    ARRAY(SELECT f.name FROM files AS f WHERE f.image_id = i.id AND (f.missing_since IS NULL OR i.is_missing)) AS file_names \
    FROM images AS i JOIN folders AS d ON d.id = i.folder_id WHERE i.id = ANY($1)";

/// An image's columns with the words that find it, where those changed.
#[derive(Serialize)]
struct ShownWrite<'a> {
    #[serde(flatten)]
    shown: &'a Shown,
    search_words: Option<Vec<String>>,
}

/// Shows what changed from the first of each pair to the second.
pub(in crate::db) fn write_shown(conn: &mut PgConnection, changed: &[(Shown, Shown)]) -> QueryResult<()> {
    let worded: Vec<ImageId> = changed.iter().filter(|(old, new)| !new.has_words_of(old)).map(|(_, new)| new.id).collect();
    let names: HashMap<ImageId, Names> = if worded.is_empty() {
        HashMap::new()
    } else {
        let rows: Vec<Names> = sql_query(NAMES).bind::<Array<BigInt>, _>(worded).load(conn)?;
        rows.into_iter().map(|row| (row.id, row)).collect()
    };
    let write = |(_, shown): &'_ (Shown, Shown)| names.get(&shown.id).map(|names| shown.words(names));
    let rows: Vec<ShownWrite<'_>> = changed.iter().map(|pair| ShownWrite { shown: &pair.1, search_words: write(pair) }).collect();
    if rows.is_empty() {
        return Ok(());
    }
    sql_query(include_str!("update_shown.sql")).bind::<Text, _>(as_json(&rows)?).execute(conn).map(|_| ())
}
