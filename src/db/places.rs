//! What coordinates are called, for images that were placed before this program knew, or knew it as well.
//!
//! Scans and edits name what they place themselves; this is for all the rest, and remembers nothing but what it wrote.

use diesel::{
    Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, SmallInt},
};

use super::edits::{Shown, lock_shown, write_shown};
use crate::models::{ImageId, gazetteer::EDITION};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: ImageId,
}

/// Names the coordinates of up to `most` images that still lack it, or have it from an older edition; says how many.
///
/// # Errors
/// When the database fails.
pub fn name_coordinates(conn: &mut PgConnection, most: i64) -> QueryResult<usize> {
    conn.transaction(|conn| {
        let rows: Vec<Row> = sql_query(
            "(SELECT id FROM images WHERE latitude_deg IS NOT NULL AND gps_edition IS NULL LIMIT $2) UNION ALL \
             (SELECT id FROM images WHERE latitude_deg IS NOT NULL AND gps_edition < $1 LIMIT $2) LIMIT $2",
        )
        .bind::<SmallInt, _>(EDITION)
        .bind::<BigInt, _>(most)
        .load(conn)?;
        let images: Vec<ImageId> = rows.into_iter().map(|row| row.id).collect();
        let shown = lock_shown(conn, &images)?;
        let named = shown.into_iter().map(|old| {
            let mut new = old.clone();
            new.name_coordinates();
            (old, new)
        });
        let changed: Vec<(Shown, Shown)> = named.collect();
        write_shown(conn, &changed)?;
        Ok(changed.len())
    })
}
