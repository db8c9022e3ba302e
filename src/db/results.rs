//! Which network has answered for which image, and for which it has yet to.
//!
//! An image lacks a network's answer when its picture is made and there is none for this state of the picture. Nothing keeps a list of
//! those: it is asked for, newest image first, a bounded stretch of the timeline at a time, by indexes alone; and once all of the library
//! has been looked through, by the pictures that were made since.

mod failures;
mod held;
mod judge;
mod lacking_stretch;
mod record;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Text, Timestamp, Timestamptz},
};

pub use self::{
    failures::{FailedImage, FailureGroup, Failures, Retry, list_failure_groups, list_failures, retry},
    held::{HeldResults, delete_results, list_held_results},
    lacking_stretch::{LackingStretch, list_lacking},
    record::{Recorded, record},
};
use crate::models::{Cursor, ImageId, NetworkId, PictureKey};

/// Later than every capture: years have four digits.
pub(super) const LATEST: NaiveDateTime =
    NaiveDate::from_ymd_opt(9999, 12, 31).expect("it is a day").and_time(NaiveTime::from_hms_opt(23, 59, 59).expect("it is a time"));

/// An image that a network has yet to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LackingImage {
    /// Its place in the timeline.
    pub cursor: Cursor,
    /// The state of its picture.
    pub key: PictureKey,
}

impl LackingImage {
    /// The image.
    pub fn image(&self) -> ImageId {
        self.cursor.image
    }
}

#[derive(QueryableByName)]
struct LackingRow {
    #[diesel(sql_type = Timestamp)]
    captured_at: NaiveDateTime,
    #[diesel(sql_type = BigInt)]
    id: ImageId,
    #[diesel(sql_type = Text)]
    picture_key: String,
}

impl LackingRow {
    /// `None` where the key is none: another program wrote it.
    fn image(self) -> Option<LackingImage> {
        let key = self.picture_key.parse().ok()?;
        Some(LackingImage { cursor: Cursor { captured_at: self.captured_at, image: self.id }, key })
    }
}

/// That an image `i` has its picture and lacks the answer of the network `$1`: two looks into indexes, behind fences (`OFFSET 0`) that keep
/// the planner from reading either table whole.
const LACKS: &str = "CROSS JOIN LATERAL (SELECT FROM pictures AS p WHERE p.image_id = i.id AND p.key = i.picture_key AND p.error IS NULL OFFSET 0) AS made \
     WHERE NOT EXISTS (SELECT FROM image_results AS r WHERE r.network_id = $1 AND r.image_id = i.id AND r.picture_key = i.picture_key \
        AND r.done_at IS NOT NULL OFFSET 0)";

/// Lists up to `limit` images that lack a network's answer and whose pictures were made since a moment, or whose answer was asked for
/// again; newest image first. Reads the pictures made since then.
///
/// # Errors
/// When the database fails.
pub fn list_lacking_since(conn: &mut PgConnection, network: NetworkId, since: DateTime<Utc>, limit: i64) -> QueryResult<Vec<LackingImage>> {
    let question = format!(
        "SELECT i.captured_at, i.id, i.picture_key FROM (SELECT p.image_id FROM pictures AS p WHERE p.error IS NULL AND p.made_at >= $2 \
            UNION SELECT r.image_id FROM image_results AS r WHERE r.network_id = $1 AND r.done_at IS NULL OFFSET 0) AS c \
         CROSS JOIN LATERAL (SELECT * FROM images AS i WHERE i.id = c.image_id OFFSET 0) AS i {LACKS} \
         ORDER BY i.captured_at DESC, i.id DESC LIMIT $3"
    );
    let rows: Vec<LackingRow> =
        sql_query(question).bind::<BigInt, _>(network).bind::<Timestamptz, _>(since).bind::<BigInt, _>(limit).load(conn)?;
    Ok(rows.into_iter().filter_map(LackingRow::image).collect())
}

/// Those of some images that lack a network's answer, in the order given.
///
/// # Errors
/// When the database fails.
pub fn list_lacking_among(conn: &mut PgConnection, network: NetworkId, images: &[ImageId]) -> QueryResult<Vec<LackingImage>> {
    if images.is_empty() {
        return Ok(Vec::new());
    }
    let question = format!(
        "SELECT i.captured_at, i.id, i.picture_key FROM unnest($2) WITH ORDINALITY AS c (image_id, place) \
         JOIN images AS i ON i.id = c.image_id {LACKS} ORDER BY c.place"
    );
    let rows: Vec<LackingRow> = sql_query(question)
        .bind::<BigInt, _>(network)
        .bind::<Array<BigInt>, _>(images.iter().map(|image| image.0).collect::<Vec<_>>())
        .load(conn)?;
    Ok(rows.into_iter().filter_map(LackingRow::image).collect())
}

/// How many images lack a network's answer. Reads all images once: about a second at a million.
///
/// # Errors
/// When the database fails.
pub fn count_lacking(conn: &mut PgConnection, network: NetworkId) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let question = "SELECT count(*) AS count FROM images AS i JOIN pictures AS p ON p.image_id = i.id AND p.key = i.picture_key \
        LEFT JOIN image_results AS r ON r.network_id = $1 AND r.image_id = i.id AND r.picture_key = i.picture_key AND r.done_at IS NOT NULL \
        WHERE p.error IS NULL AND r.image_id IS NULL";
    sql_query(question).bind::<BigInt, _>(network).get_result(conn).map(|row: Row| row.count)
}

/// The time by the database's clock, which pictures are dated by.
///
/// # Errors
/// When the database fails.
pub fn now(conn: &mut PgConnection) -> QueryResult<DateTime<Utc>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz)]
        now: DateTime<Utc>,
    }
    sql_query("SELECT clock_timestamp() AS now").get_result(conn).map(|row: Row| row.now)
}
