//! SQL put together from parts, every value bound: the one way a filter becomes a question.
//!
//! Apart from the questions themselves because page, timeline and facets must mean the same images by the same filter.

use std::fmt::Write;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    pg::Pg,
    query_builder::{BoxedSqlQuery, SqlQuery},
    sql_query,
    sql_types::{Array, BigInt, Double, Integer, Nullable, SmallInt, Text, Timestamp},
};
use pgvector::HalfVector;

use super::query::Condition;
use crate::models::{Filter, MediaType};

/// A value that stands behind a placeholder.
#[derive(Debug, Clone)]
pub(super) enum Value {
    BigInt(i64),
    Integer(i32),
    SmallInt(i16),
    Text(String),
    Double(f64),
    Timestamp(NaiveDateTime),
    BigInts(Vec<i64>),
    Integers(Vec<i32>),
    Texts(Vec<String>),
    Vector(HalfVector),
}

/// A query that grows: text with `$n` in it, and the values.
#[derive(Debug, Default)]
pub(super) struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    /// Starts with fixed text.
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    /// Adds fixed text; never a value.
    pub(super) fn text(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a whole number as it stands, where a placeholder will not do: in a type, or for a condition of an index.
    pub(super) fn number(&mut self, number: i64) -> &mut Self {
        write!(self.text, "{number}").expect("a String takes any text");
        self
    }

    /// Adds a placeholder and its value.
    pub(super) fn bind(&mut self, value: Value) -> &mut Self {
        self.values.push(value);
        write!(self.text, "${}", self.values.len()).expect("a String takes any text");
        self
    }

    /// The finished query, to be read through a cursor.
    pub(super) fn declare(mut self, cursor: &'static str) -> BoxedSqlQuery<'static, Pg, SqlQuery> {
        self.text.insert_str(0, &format!("DECLARE {cursor} NO SCROLL CURSOR FOR "));
        self.query()
    }

    /// The finished query.
    pub(super) fn query(self) -> BoxedSqlQuery<'static, Pg, SqlQuery> {
        let mut query = sql_query(self.text).into_boxed::<Pg>();
        for value in self.values {
            query = match value {
                Value::BigInt(number) => query.bind::<BigInt, _>(number),
                Value::Integer(number) => query.bind::<Integer, _>(number),
                Value::SmallInt(number) => query.bind::<SmallInt, _>(number),
                Value::Text(text) => query.bind::<Text, _>(text),
                Value::Timestamp(time) => query.bind::<Timestamp, _>(time),
                Value::Double(number) => query.bind::<Double, _>(number),
                Value::BigInts(numbers) => query.bind::<Array<BigInt>, _>(numbers),
                Value::Integers(numbers) => query.bind::<Array<Integer>, _>(numbers),
                Value::Texts(texts) => query.bind::<Array<Text>, _>(texts),
                Value::Vector(vector) => query.bind::<pgvector::sql_types::HalfVector, _>(vector),
            };
        }
        query
    }
}

/// A filter with its names looked up, ready to be written as conditions on `images AS i`.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// First day, and first day after.
    pub(super) days: Option<(NaiveDate, NaiveDate)>,
    /// Id, or one that no camera has.
    pub(super) camera: Option<i32>,
    /// Id, or one that no lens has.
    pub(super) lens: Option<i32>,
    pub(super) rating: Option<i8>,
    pub(super) media_type: Option<MediaType>,
    /// The folder and all below it; empty when there is no such folder.
    pub(super) folders: Option<Vec<i64>>,
    pub(super) has_gps: Option<bool>,
    /// Text of a tsquery.
    pub(super) text: Option<String>,
    /// What else the search asks for; all of it must hold.
    pub(super) conditions: Vec<Condition>,
}

/// Stands for a name that does not exist: ids are positive, so nothing passes.
const NO_ID: i32 = -1;

#[derive(QueryableByName)]
struct Names {
    #[diesel(sql_type = Nullable<Integer>)]
    camera_id: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    lens_id: Option<i32>,
    #[diesel(sql_type = Nullable<Array<BigInt>>)]
    folder_ids: Option<Vec<i64>>,
    #[diesel(sql_type = BigInt)]
    folder_count: i64,
}

const NAMES: &str = "SELECT (SELECT id FROM cameras WHERE name = $1) AS camera_id, \
    (SELECT id FROM lenses WHERE name = $2) AS lens_id, \
    (SELECT array_agg(id) FROM folders WHERE tree <@ (SELECT tree FROM folders WHERE id = $3)) AS folder_ids, \
    (SELECT count(*) FROM folders) AS folder_count";

impl Wanted {
    /// Looks up the names in a filter: one small query, or none when it has no names.
    pub(super) fn resolve(conn: &mut PgConnection, filter: &Filter) -> QueryResult<Self> {
        let mut wanted =
            Self { days: filter.days(), rating: filter.rating, media_type: filter.media_type, has_gps: filter.has_gps, ..Self::default() };
        if filter.camera.is_none() && filter.lens.is_none() && filter.folder.is_none() {
            wanted.add_query(conn, &filter.query)?;
            return Ok(wanted);
        }
        let names: Names = sql_query(NAMES)
            .bind::<Nullable<Text>, _>(filter.camera.as_deref())
            .bind::<Nullable<Text>, _>(filter.lens.as_deref())
            .bind::<Nullable<BigInt>, _>(filter.folder.map(|folder| folder.0))
            .get_result(conn)?;
        wanted.camera = filter.camera.is_some().then_some(names.camera_id.unwrap_or(NO_ID));
        wanted.lens = filter.lens.is_some().then_some(names.lens_id.unwrap_or(NO_ID));
        // The root of the only vault is no condition.
        let folders = filter.folder.is_some().then_some(names.folder_ids.unwrap_or_default());
        wanted.folders = folders.filter(|folders| folders.len() as i64 != names.folder_count);
        wanted.add_query(conn, &filter.query)?;
        Ok(wanted)
    }

    /// Whether only days are asked for, or everything.
    pub(super) fn is_only_days(&self) -> bool {
        self.conditions() == 0
    }

    /// How many conditions there are beside the days.
    pub(super) fn conditions(&self) -> usize {
        let given = [
            self.camera.is_some(),
            self.lens.is_some(),
            self.rating.is_some(),
            self.media_type.is_some(),
            self.folders.is_some(),
            self.has_gps.is_some(),
            self.text.is_some(),
        ];
        given.into_iter().filter(|given| *given).count() + self.conditions.len()
    }

    /// Whether no index leads through the images that pass in the order of the timeline, beside those that single conditions have.
    pub(super) fn gathers(&self) -> bool {
        self.folders.is_some() || self.text.is_some() || !self.conditions.iter().all(Condition::is_ordered)
    }

    /// Writes ` AND …` for the days and each condition, about `images AS i`.
    pub(super) fn write(&self, sql: &mut Sql) {
        if let Some((first, after)) = self.days {
            write_days(sql, first, after);
        }
        self.write_conditions(sql);
    }

    /// Whether the conditions are all about what `facet_counts` tells apart.
    pub(super) fn is_counted(&self) -> bool {
        self.days.is_none() && self.folders.is_none() && self.text.is_none() && self.conditions.iter().all(Condition::is_counted)
    }

    /// Whether the conditions are all about what `map_cells` tells apart: kinds of file. True where there are none.
    pub(super) fn is_of_kinds(&self) -> bool {
        let Self { days, camera, lens, rating, media_type: _, folders, has_gps, text, conditions } = self;
        let others =
            [days.is_some(), camera.is_some(), lens.is_some(), rating.is_some(), folders.is_some(), has_gps.is_some(), text.is_some()];
        !others.contains(&true) && conditions.iter().all(Condition::is_of_kinds)
    }

    /// Writes ` AND …` for each condition but the days, about `images AS i` or, if [`Self::is_counted`], `facet_counts AS i`.
    pub(super) fn write_conditions(&self, sql: &mut Sql) {
        if let Some(camera) = self.camera {
            sql.text(" AND i.camera_id = ").bind(Value::Integer(camera));
        }
        if let Some(lens) = self.lens {
            sql.text(" AND i.lens_id = ").bind(Value::Integer(lens));
        }
        match self.rating {
            None => {}
            Some(0) => _ = sql.text(" AND (i.rating IS NULL OR i.rating = 0)"),
            Some(-1) => _ = sql.text(" AND i.rating = -1"),
            Some(stars) => _ = sql.text(" AND i.rating > 0 AND i.rating >= ").bind(Value::SmallInt(stars.into())),
        }
        match self.media_type {
            None => {}
            Some(MediaType::Raw) => _ = sql.text(" AND i.has_raw"),
            Some(MediaType::Jpeg) => _ = sql.text(" AND i.has_jpeg"),
            Some(MediaType::Video) => _ = sql.text(" AND i.is_video"),
        }
        if let Some(folders) = &self.folders {
            sql.text(" AND i.folder_id = ANY(").bind(Value::BigInts(folders.clone())).text(")");
        }
        match self.has_gps {
            None => {}
            Some(true) => _ = sql.text(" AND i.latitude_deg IS NOT NULL"),
            Some(false) => _ = sql.text(" AND i.latitude_deg IS NULL"),
        }
        if let Some(text) = &self.text {
            sql.text(" AND i.search_words @@ ").bind(Value::Text(text.clone())).text("::tsquery");
        }
        for condition in &self.conditions {
            sql.text(" AND ");
            condition.write(sql);
        }
    }
}

/// Writes the days from `first` until before `after`, as a range of the timeline's index.
pub(super) fn write_days(sql: &mut Sql, first: NaiveDate, after: NaiveDate) {
    sql.text(" AND i.captured_at >= ").bind(Value::Timestamp(first.and_time(NaiveTime::MIN)));
    sql.text(" AND i.captured_at < ").bind(Value::Timestamp(after.and_time(NaiveTime::MIN)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_bound() {
        let wanted = Wanted { camera: Some(4711), rating: Some(4), text: Some("'lake':*".to_owned()), ..Wanted::default() };
        let mut sql = Sql::new("SELECT 1 FROM images AS i WHERE true");
        wanted.write(&mut sql);
        assert_eq!(sql.values.len(), 3);
        assert!(!sql.text.contains("4711") && !sql.text.contains("lake"), "{}", sql.text);
        assert!(sql.text.ends_with("i.search_words @@ $3::tsquery"), "{}", sql.text);
    }
}
