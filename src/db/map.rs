//! The map: images by squares, of a filter or of all, and the names of the places they were taken at.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    sql_types::{BigInt, Binary, Double, Nullable, Text},
};

use super::sql::{Sql, Value, Wanted};
use crate::models::{
    Filter, ImageId,
    map::{Cell, FINEST_LEVEL, View},
};

/// Levels whose squares are counted by trigger; the migration has the same.
const COUNTED_LEVELS: [u8; 4] = [4, 8, 12, 16];
/// Towns that are listed at most.
const MOST_PLACES: i64 = 2000;

/// Images of one square, shown as one mark.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Where they all lie.
    pub cell: Cell,
    /// How many there are.
    pub image_count: i64,
    /// The middle of them, in degrees north.
    pub latitude_deg: f64,
    /// The middle of them, in degrees east.
    pub longitude_deg: f64,
    /// One of them, which stands for all.
    pub image: ImageId,
    /// Names its thumbnail; `None` when there is nothing to show.
    pub picture_key: Option<String>,
    /// ThumbHash of its picture; `None` until it is made.
    pub placeholder: Option<Vec<u8>>,
    /// Its town, as a file, a person or the coordinates call it.
    pub city: Option<String>,
    /// Its region.
    pub state: Option<String>,
    /// Its country.
    pub country: Option<String>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    cell: i64,
    #[diesel(sql_type = BigInt)]
    image_count: i64,
    #[diesel(sql_type = Double)]
    latitude_deg: f64,
    #[diesel(sql_type = Double)]
    longitude_deg: f64,
    #[diesel(sql_type = BigInt)]
    id: ImageId,
    #[diesel(sql_type = Nullable<Text>)]
    picture_key: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    placeholder: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Text>)]
    city: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    state: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    country: Option<String>,
}

/// What is told of the image that stands for a square's.
const MARK: &str = "SELECT c.cell, c.image_count, c.latitude_deg, c.longitude_deg, i.id, i.picture_key, p.placeholder, \
    coalesce(i.city, i.gps_city) AS city, coalesce(i.state, i.gps_state) AS state, coalesce(i.country, i.gps_country) AS country FROM ";

/// Lists the clusters of a view, each placed image of the filter in exactly one, by their squares.
///
/// Of all images, and of those of some kinds of file, they are read from squares that are kept counted, a few milliseconds at any zoom;
/// within any other filter every image that passes is read.
///
/// # Errors
/// When the database fails.
pub fn list_clusters(conn: &mut PgConnection, filter: &Filter, view: &View) -> QueryResult<Vec<Cluster>> {
    let level = view.level();
    let wanted = Wanted::resolve(conn, filter)?;
    let sql = if wanted.is_of_kinds() { of_kinds(&wanted, view) } else { of_filter(&wanted, view) };
    let rows: Vec<Row> = sql.query().load(conn)?;
    let cluster = |row: Row| Cluster {
        cell: Cell { level, code: row.cell },
        image_count: row.image_count,
        latitude_deg: row.latitude_deg,
        longitude_deg: row.longitude_deg,
        image: row.id,
        picture_key: row.picture_key,
        placeholder: row.placeholder,
        city: row.city,
        state: row.state,
        country: row.country,
    };
    Ok(rows.into_iter().map(cluster).collect())
}

/// Writes a condition on a column of squares of a level: those of the view.
fn write_stretches(sql: &mut Sql, column: &'static str, view: &View, level: u8) {
    sql.text(" AND (");
    for (index, (first, after)) in view.stretches(level).into_iter().enumerate() {
        sql.text(if index > 0 { " OR " } else { "" }).text(column).text(" >= ").bind(Value::BigInt(first));
        sql.text(" AND ").text(column).text(" < ").bind(Value::BigInt(after));
    }
    sql.text(")");
}

fn shift(from: u8, to: u8) -> Value {
    Value::Integer(2 * (i32::from(from) - i32::from(to)))
}

/// Squares that are counted already, or where they are too coarse, the few images of the view from their index.
///
/// Counts of a finer level than shown also tell where in its square most images lie: one of those stands for all, one with a picture
/// if the first few have any. The conditions are about kinds of file alone, which squares and the index of the map tell apart.
fn of_kinds(wanted: &Wanted, view: &View) -> Sql {
    let level = view.level();
    let counted =
        COUNTED_LEVELS.into_iter().find(|counted| *counted > level).or(COUNTED_LEVELS.into_iter().find(|counted| *counted == level));
    let mut sql = Sql::new(MARK);
    match counted {
        Some(counted) => {
            sql.text("(SELECT i.cell >> ").bind(shift(counted, level));
            sql.text(
                " AS cell, sum(i.image_count)::bigint AS image_count, (sum(i.latitude_sum_udeg) / sum(i.image_count) / 1e6)::float8 AS latitude_deg, \
                 (sum(i.longitude_sum_udeg) / sum(i.image_count) / 1e6)::float8 AS longitude_deg, \
                 (array_agg(i.cell ORDER BY i.image_count DESC, i.cell))[1] << ",
            );
            sql.bind(shift(FINEST_LEVEL, counted)).text(" AS first, 1::bigint << ").bind(shift(FINEST_LEVEL, counted));
            sql.text(" AS wide FROM map_cells AS i WHERE i.image_count > 0 AND i.level = ");
            sql.bind(Value::SmallInt(counted.into()));
            write_stretches(&mut sql, "i.cell", view, counted);
            wanted.write_conditions(&mut sql);
        }
        None => {
            sql.text("(SELECT i.map_cell >> ").bind(shift(FINEST_LEVEL, level));
            sql.text(
                " AS cell, count(*) AS image_count, avg(i.latitude_deg) AS latitude_deg, avg(i.longitude_deg) AS longitude_deg, \
                 min(i.map_cell) >> ",
            );
            sql.bind(shift(FINEST_LEVEL, level)).text(" << ").bind(shift(FINEST_LEVEL, level)).text(" AS first, 1::bigint << ");
            sql.bind(shift(FINEST_LEVEL, level)).text(" AS wide FROM images AS i WHERE i.map_cell IS NOT NULL");
            write_stretches(&mut sql, "i.map_cell", view, FINEST_LEVEL);
            wanted.write_conditions(&mut sql);
        }
    }
    // The second question is asked only where the first finds nothing. Both read the index alone until they have found enough: a kind may
    // be rare among many.
    sql.text(" GROUP BY 1 OFFSET 0) AS c CROSS JOIN LATERAL ((SELECT i.* FROM ");
    write_first(&mut sql, wanted, 8);
    sql.text(" AS few JOIN images AS i ON i.id = few.id WHERE i.picture_key IS NOT NULL LIMIT 1) UNION ALL (SELECT i.* FROM ");
    write_first(&mut sql, wanted, 1);
    sql.text(
        " AS few JOIN images AS i ON i.id = few.id) LIMIT 1) AS i \
         LEFT JOIN pictures AS p ON p.image_id = i.id AND p.key = i.picture_key ORDER BY c.cell",
    );
    sql
}

/// Writes the ids of the first few images in the crowded part of a square `c`.
fn write_first(sql: &mut Sql, wanted: &Wanted, count: i64) {
    sql.text("(SELECT i.id FROM images AS i WHERE i.map_cell >= c.first AND i.map_cell < c.first + c.wide");
    wanted.write_conditions(sql);
    sql.text(" ORDER BY i.map_cell LIMIT ").number(count).text(")");
}

/// Every image of the view that passes, from the index of the map alone where it knows what is asked for; the one that was found last
/// stands for its square.
///
/// How few squares there will be the planner cannot know: each looks up its image, where a join would read all images.
fn of_filter(wanted: &Wanted, view: &View) -> Sql {
    let mut sql = Sql::new(MARK);
    sql.text("(SELECT i.map_cell >> ").bind(shift(FINEST_LEVEL, view.level()));
    sql.text(
        " AS cell, count(*) AS image_count, avg(i.latitude_deg) AS latitude_deg, avg(i.longitude_deg) AS longitude_deg, \
         max(i.id) AS id \
         FROM images AS i WHERE i.map_cell IS NOT NULL",
    );
    if view.area.is_some() {
        write_stretches(&mut sql, "i.map_cell", view, FINEST_LEVEL);
    }
    wanted.write(&mut sql);
    sql.text(
        " GROUP BY 1 OFFSET 0) AS c CROSS JOIN LATERAL (SELECT i.* FROM images AS i WHERE i.id = c.id LIMIT 1) AS i \
         LEFT JOIN pictures AS p ON p.image_id = i.id AND p.key = i.picture_key ORDER BY c.cell",
    );
    sql
}

/// A country, and the towns in it that most images are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountryCount {
    /// Its name.
    pub name: String,
    /// Images in it.
    pub image_count: i64,
    /// Its towns, most images first.
    pub towns: Vec<TownCount>,
}

/// A town.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TownCount {
    /// Its name.
    pub name: String,
    /// Images in it.
    pub image_count: i64,
}

#[derive(QueryableByName)]
struct PlaceRow {
    #[diesel(sql_type = Text)]
    country: String,
    #[diesel(sql_type = Nullable<Text>)]
    city: Option<String>,
    #[diesel(sql_type = BigInt)]
    image_count: i64,
    #[diesel(sql_type = BigInt)]
    country_count: i64,
}

/// Counts the countries that images of a filter were taken in, most images first, each with its towns.
///
/// Of all images the counts are kept. Within a filter it reads every image that passes: whoever shows it often keeps it.
///
/// # Errors
/// When the database fails.
pub fn list_places(conn: &mut PgConnection, filter: &Filter) -> QueryResult<Vec<CountryCount>> {
    let mut sql = Sql::new(
        "SELECT t.country, nullif(t.city, '') AS city, t.n AS image_count, (sum(t.n) OVER (PARTITION BY t.country))::bigint AS country_count FROM (",
    );
    if filter.is_all() {
        sql.text("SELECT country, city, image_count::bigint AS n FROM place_counts WHERE image_count > 0");
    } else {
        let wanted = Wanted::resolve(conn, filter)?;
        sql.text(
            "SELECT coalesce(i.country, i.gps_country) AS country, coalesce(i.city, i.gps_city, '') AS city, count(*) AS n \
             FROM images AS i WHERE coalesce(i.country, i.gps_country) IS NOT NULL",
        );
        wanted.write(&mut sql);
        sql.text(" GROUP BY 1, 2");
    }
    sql.text(") AS t ORDER BY country_count DESC, t.country, t.city = '', t.n DESC, t.city LIMIT ");
    sql.bind(Value::BigInt(MOST_PLACES));
    let mut countries: Vec<CountryCount> = Vec::new();
    for row in sql.query().load::<PlaceRow>(conn)? {
        if countries.last().is_none_or(|country| country.name != row.country) {
            countries.push(CountryCount { name: row.country, image_count: row.country_count, towns: Vec::new() });
        }
        if let (Some(country), Some(name)) = (countries.last_mut(), row.city) {
            country.towns.push(TownCount { name, image_count: row.image_count });
        }
    }
    Ok(countries)
}
