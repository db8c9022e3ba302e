//! The walk along the timeline in search of images that a network has yet to see.
//!
//! Apart because it is bounded: a library of a million in which nothing is lacking is walked in steps, each of a tenth of a second at most,
//! instead of in one question that reads everything.

use chrono::NaiveDateTime;
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Bool, Nullable, Text, Timestamp},
};

use super::{LACKS, LATEST, LackingImage, LackingRow};
use crate::models::{Cursor, ImageId, NetworkId};

/// Images of the timeline that one step looks at.
const STEP: i64 = 10_000;

/// What a stretch of the timeline lacks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LackingStretch {
    /// Newest first.
    pub images: Vec<LackingImage>,
    /// Where to go on; `None` at the end of the timeline.
    pub next: Option<Cursor>,
}

#[derive(QueryableByName)]
struct StretchRow {
    #[diesel(sql_type = Bool)]
    is_lacking: bool,
    #[diesel(sql_type = Timestamp)]
    captured_at: NaiveDateTime,
    #[diesel(sql_type = BigInt)]
    id: ImageId,
    #[diesel(sql_type = Nullable<Text>)]
    picture_key: Option<String>,
}

/// Lists up to `limit` images that lack a network's answer, newest first, from those just older than `after`, or from the newest. Looks at
/// a bounded stretch of the timeline, so that it may find none although there are some farther on.
///
/// # Errors
/// When the database fails.
pub fn list_lacking(conn: &mut PgConnection, network: NetworkId, after: Option<Cursor>, limit: i64) -> QueryResult<LackingStretch> {
    // Both parts see the same images: what the second calls the end of the step was looked at by the first.
    let question = format!(
        "(SELECT true AS is_lacking, i.captured_at, i.id, i.picture_key FROM (SELECT * FROM images AS i \
            WHERE (i.captured_at, i.id) < ($2, $3) ORDER BY i.captured_at DESC, i.id DESC LIMIT $4) AS i {LACKS} \
            ORDER BY i.captured_at DESC, i.id DESC LIMIT $5) \
         UNION ALL (SELECT false, i.captured_at, i.id, NULL FROM images AS i WHERE (i.captured_at, i.id) < ($2, $3) \
            ORDER BY i.captured_at DESC, i.id DESC OFFSET $4 - 1 LIMIT 1)"
    );
    let from = after.unwrap_or(Cursor { captured_at: LATEST, image: ImageId(i64::MAX) });
    let rows: Vec<StretchRow> = sql_query(question)
        .bind::<BigInt, _>(network)
        .bind::<Timestamp, _>(from.captured_at)
        .bind::<BigInt, _>(from.image)
        .bind::<BigInt, _>(STEP)
        .bind::<BigInt, _>(limit)
        .load(conn)?;
    let mut stretch = LackingStretch::default();
    let mut found = 0;
    for row in rows {
        let cursor = Cursor { captured_at: row.captured_at, image: row.id };
        if !row.is_lacking {
            // Unless the list is full before.
            if found < limit {
                stretch.next = Some(cursor);
            }
            continue;
        }
        found += 1;
        if found == limit {
            stretch.next = Some(cursor);
        }
        let row = LackingRow { captured_at: row.captured_at, id: row.id, picture_key: row.picture_key.unwrap_or_default() };
        stretch.images.extend(row.image());
    }
    Ok(stretch)
}
