//! Facets: which values a filter could take next, and how many images each would show.

use chrono::{Datelike, NaiveDate};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    sql_types::{BigInt, Bool, Date, SmallInt, Text},
};

use super::sql::{Sql, Wanted};
use crate::models::{Filter, MediaType};

/// The values each part of a filter can take, counted with all other parts applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facets {
    /// Years, newest first.
    pub years: Vec<YearFacet>,
    /// Cameras by name as shown, most images first.
    pub cameras: Vec<FacetValue<String>>,
    /// Lenses by name as shown, most images first.
    pub lenses: Vec<FacetValue<String>>,
    /// Each rating that occurs, best first; 0 stands for unrated. Exact stars, so "at least 3" is the sum of 3, 4 and 5.
    pub ratings: Vec<FacetValue<i8>>,
    /// Kinds of file; an image may count in several.
    pub types: Vec<FacetValue<MediaType>>,
    /// With and without a place.
    pub gps: Vec<FacetValue<bool>>,
}

/// A value and its images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetValue<T> {
    /// The value.
    pub value: T,
    /// How many images have it.
    pub count: i64,
}

/// A year, and its months from January on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YearFacet {
    /// The local year.
    pub year: i32,
    /// Its images.
    pub count: i64,
    /// Months that have images, 1..=12.
    pub months: Vec<FacetValue<u32>>,
}

#[derive(QueryableByName)]
struct MonthCount {
    #[diesel(sql_type = Date)]
    month: NaiveDate,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct NameCount {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct RatingCount {
    #[diesel(sql_type = SmallInt)]
    rating: i16,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct PlaceCount {
    #[diesel(sql_type = Bool)]
    has_gps: bool,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct TypeCounts {
    #[diesel(sql_type = BigInt)]
    raw: i64,
    #[diesel(sql_type = BigInt)]
    jpeg: i64,
    #[diesel(sql_type = BigInt)]
    video: i64,
}

/// Counts the facets of a filter.
///
/// Without conditions on days, folder or text it reads counts that are kept, in milliseconds. With one it reads every image that
/// passes, several times: a few milliseconds for thousands of images, a second for a million; whoever shows it often keeps it.
///
/// # Errors
/// When the database fails.
pub fn facets(conn: &mut PgConnection, filter: &Filter) -> QueryResult<Facets> {
    let wanted = Wanted::resolve(conn, filter)?;
    Ok(Facets {
        years: years(conn, &Wanted { days: None, ..wanted.clone() })?,
        cameras: names(conn, CAMERAS, &Wanted { camera: None, ..wanted.clone() })?,
        lenses: names(conn, LENSES, &Wanted { lens: None, ..wanted.clone() })?,
        ratings: ratings(conn, &Wanted { rating: None, ..wanted.clone() })?,
        types: types(conn, &Wanted { media_type: None, ..wanted.clone() })?,
        gps: places(conn, &Wanted { has_gps: None, ..wanted })?,
    })
}

/// Months are counted by day first: without conditions that is the timeline's own small table.
fn years(conn: &mut PgConnection, wanted: &Wanted) -> QueryResult<Vec<YearFacet>> {
    let mut sql = Sql::new("SELECT date_trunc('month', day)::date AS month, sum(n)::bigint AS count FROM (");
    if wanted.is_only_days() {
        sql.text("SELECT day, image_count AS n FROM timeline_days WHERE image_count > 0");
    } else {
        sql.text("SELECT i.day, count(*) AS n FROM images AS i WHERE true");
        wanted.write(&mut sql);
        sql.text(" GROUP BY i.day");
    }
    sql.text(") AS days GROUP BY 1 ORDER BY 1");
    let mut years: Vec<YearFacet> = Vec::new();
    for MonthCount { month, count } in sql.query().load(conn)? {
        if years.last().is_none_or(|year| year.year != month.year()) {
            years.push(YearFacet { year: month.year(), count: 0, months: Vec::new() });
        }
        if let Some(year) = years.last_mut() {
            year.count += count;
            year.months.push(FacetValue { value: month.month(), count });
        }
    }
    years.reverse();
    Ok(years)
}

/// Begins a question to the counts kept of all images, if its conditions allow, or to the images that pass, each counting 1.
fn select(what: &str, wanted: &Wanted) -> Sql {
    let mut sql = Sql::new(what);
    if wanted.is_counted() {
        sql.text(
            " FROM (SELECT nullif(camera_id, 0) AS camera_id, nullif(lens_id, 0) AS lens_id, rating, has_raw, has_jpeg, is_video, \
             CASE WHEN has_gps THEN 0 END AS latitude_deg, image_count AS n FROM facet_counts WHERE image_count > 0) AS i WHERE true",
        );
    } else {
        sql.text(" FROM (SELECT *, 1 AS n FROM images) AS i WHERE true");
    }
    wanted.write(&mut sql);
    sql
}

const CAMERAS: [&str; 2] = [
    "SELECT n.name, c.count FROM (SELECT i.camera_id AS id, sum(i.n)::bigint AS count",
    " AND i.camera_id IS NOT NULL GROUP BY 1) AS c JOIN cameras AS n USING (id) ORDER BY c.count DESC, n.name",
];
const LENSES: [&str; 2] = [
    "SELECT n.name, c.count FROM (SELECT i.lens_id AS id, sum(i.n)::bigint AS count",
    " AND i.lens_id IS NOT NULL GROUP BY 1) AS c JOIN lenses AS n USING (id) ORDER BY c.count DESC, n.name",
];

fn names(conn: &mut PgConnection, [head, tail]: [&'static str; 2], wanted: &Wanted) -> QueryResult<Vec<FacetValue<String>>> {
    let mut sql = select(head, wanted);
    sql.text(tail);
    let counts: Vec<NameCount> = sql.query().load(conn)?;
    Ok(counts.into_iter().map(|row| FacetValue { value: row.name, count: row.count }).collect())
}

fn ratings(conn: &mut PgConnection, wanted: &Wanted) -> QueryResult<Vec<FacetValue<i8>>> {
    let mut sql = select("SELECT coalesce(i.rating, 0)::smallint AS rating, sum(i.n)::bigint AS count", wanted);
    sql.text(" GROUP BY 1 ORDER BY 1 DESC");
    let counts: Vec<RatingCount> = sql.query().load(conn)?;
    let value = |rating: i16| i8::try_from(rating).expect("the column's CHECK keeps ratings in -1..=5");
    Ok(counts.into_iter().map(|row| FacetValue { value: value(row.rating), count: row.count }).collect())
}

fn types(conn: &mut PgConnection, wanted: &Wanted) -> QueryResult<Vec<FacetValue<MediaType>>> {
    let sql = select(
        "SELECT coalesce(sum(i.n) FILTER (WHERE i.has_raw), 0)::bigint AS raw, \
         coalesce(sum(i.n) FILTER (WHERE i.has_jpeg), 0)::bigint AS jpeg, \
         coalesce(sum(i.n) FILTER (WHERE i.is_video), 0)::bigint AS video",
        wanted,
    );
    let counts: TypeCounts = sql.query().get_result(conn)?;
    let values = [(MediaType::Raw, counts.raw), (MediaType::Jpeg, counts.jpeg), (MediaType::Video, counts.video)];
    Ok(values.into_iter().filter(|(_, count)| *count > 0).map(|(value, count)| FacetValue { value, count }).collect())
}

fn places(conn: &mut PgConnection, wanted: &Wanted) -> QueryResult<Vec<FacetValue<bool>>> {
    let mut sql = select("SELECT i.latitude_deg IS NOT NULL AS has_gps, sum(i.n)::bigint AS count", wanted);
    sql.text(" GROUP BY 1 ORDER BY 1 DESC");
    let counts: Vec<PlaceCount> = sql.query().load(conn)?;
    Ok(counts.into_iter().map(|row| FacetValue { value: row.has_gps, count: row.count }).collect())
}
