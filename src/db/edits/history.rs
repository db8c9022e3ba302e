//! What was done to images, and taking it back: a batch at once, and again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::{
    Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz},
};
use serde_json::Value as Json;

use super::{IMAGES_A_STATEMENT, Pen, every_field, named, value_of};
use crate::models::{
    BatchId, ImageId,
    edit::{Field, Merge, Value, merge},
};

/// One change of one field of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// Its number: newer is larger.
    pub id: i64,
    /// The action it was part of.
    pub batch: BatchId,
    /// The image.
    pub image: ImageId,
    /// What was shown until then.
    pub before: Value,
    /// What is shown from then on.
    pub after: Value,
    /// Who: a person, `outside` or `merge`.
    pub author: String,
    /// When.
    pub made_at: DateTime<Utc>,
    /// When it was taken back, and by whom.
    pub undone: Option<(DateTime<Utc>, String)>,
}

#[derive(QueryableByName)]
struct EntryColumns {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    batch_id: BatchId,
    #[diesel(sql_type = BigInt)]
    image_id: ImageId,
    #[diesel(sql_type = Text)]
    field: String,
    #[diesel(sql_type = Jsonb)]
    before: Json,
    #[diesel(sql_type = Jsonb)]
    after: Json,
    #[diesel(sql_type = Text)]
    author: String,
    #[diesel(sql_type = Timestamptz)]
    made_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    undone_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    undone_by: Option<String>,
}

impl EntryColumns {
    fn into_entry(self) -> QueryResult<HistoryEntry> {
        let field: Field = named(&self.field)?;
        Ok(HistoryEntry {
            id: self.id,
            batch: self.batch_id,
            image: self.image_id,
            before: value_of(field, &self.before)?,
            after: value_of(field, &self.after)?,
            author: self.author,
            made_at: self.made_at,
            undone: self.undone_at.zip(self.undone_by),
        })
    }
}

const ENTRY: &str = "SELECT id, batch_id, image_id, field, before, after, author, made_at, undone_at, undone_by FROM edits";

/// The history of an image, newest first: up to `limit` entries older than `before`, or from the newest.
///
/// # Errors
/// When the database fails.
pub fn list_history(conn: &mut PgConnection, image: ImageId, before: Option<i64>, limit: i64) -> QueryResult<Vec<HistoryEntry>> {
    let rows: Vec<EntryColumns> = sql_query(format!("{ENTRY} WHERE image_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"))
        .bind::<BigInt, _>(image)
        .bind::<BigInt, _>(before.unwrap_or(i64::MAX))
        .bind::<BigInt, _>(limit)
        .load(conn)?;
    rows.into_iter().map(EntryColumns::into_entry).collect()
}

/// What came of taking something back, or of doing it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Undone {
    /// Images that are as they were before.
    pub changed: usize,
    /// Changes left alone because somebody changed the same field since.
    pub skipped: usize,
}

/// Which way what was done is turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Taken back.
    Back,
    /// Done again after it was taken back.
    Again,
}

/// Takes back what a batch did, or does it again. A field that somebody changed since stays as it is, but for keywords: of them, only
/// those that the batch added or removed are turned.
///
/// # Errors
/// `NotFound` when there is no such batch; otherwise when the database fails.
pub fn turn_batch(conn: &mut PgConnection, author: &str, batch: BatchId, turn: Turn) -> QueryResult<Undone> {
    turn_batch_telling(conn, author, batch, turn, &mut |_, _| {})
}

/// As [`turn_batch`], and tells `told` after every so many images how many are done, and of how many.
///
/// # Errors
/// As [`turn_batch`].
pub fn turn_batch_telling(
    conn: &mut PgConnection,
    author: &str,
    batch: BatchId,
    turn: Turn,
    told: &mut dyn FnMut(usize, usize),
) -> QueryResult<Undone> {
    conn.transaction(|conn| {
        let images = images_of(conn, batch)?;
        let mut undone = Undone::default();
        let (mut done, total) = (0, images.len());
        for images in images.chunks(IMAGES_A_STATEMENT) {
            told(done, total);
            turn_some(conn, author, batch, images, None, turn, &mut undone)?;
            done += images.len();
        }
        told(done, total);
        Ok(undone)
    })
}

/// Takes back one change of one image alone, or does it again, whatever its batch did beside it. Otherwise as [`turn_batch`].
///
/// # Errors
/// `NotFound` when the image has no such change; otherwise when the database fails.
pub fn turn_edit(conn: &mut PgConnection, author: &str, image: ImageId, edit: i64, turn: Turn) -> QueryResult<Undone> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        batch_id: BatchId,
    }
    conn.transaction(|conn| {
        let found: Row = sql_query("SELECT batch_id FROM edits WHERE id = $1 AND image_id = $2")
            .bind::<BigInt, _>(edit)
            .bind::<BigInt, _>(image)
            .get_result(conn)?;
        let mut undone = Undone::default();
        turn_some(conn, author, found.batch_id, &[image], Some(edit), turn, &mut undone)?;
        Ok(undone)
    })
}

/// The images of a batch, by their ids.
fn images_of(conn: &mut PgConnection, batch: BatchId) -> QueryResult<Vec<ImageId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        image_id: ImageId,
    }
    let rows: Vec<Row> =
        sql_query("SELECT DISTINCT image_id FROM edits WHERE batch_id = $1 ORDER BY image_id").bind::<BigInt, _>(batch).load(conn)?;
    if rows.is_empty() {
        return Err(diesel::result::Error::NotFound);
    }
    Ok(rows.into_iter().map(|row| row.image_id).collect())
}

fn turn_some(
    conn: &mut PgConnection,
    author: &str,
    batch: BatchId,
    images: &[ImageId],
    only: Option<i64>,
    turn: Turn,
    undone: &mut Undone,
) -> QueryResult<()> {
    let mut pen = Pen::lock(conn, images, &every_field())?;
    let back = turn == Turn::Back;
    // What was done last is taken back first, and done again last.
    let order = if back { "DESC" } else { "ASC" };
    let rows: Vec<EntryColumns> = sql_query(format!(
        "{ENTRY} WHERE batch_id = $1 AND image_id = ANY($2) AND (undone_at IS NULL) = $3 AND ($4 IS NULL OR id = $4) ORDER BY id {order}"
    ))
    .bind::<BigInt, _>(batch)
    .bind::<Array<BigInt>, _>(images)
    .bind::<Bool, _>(back)
    .bind::<Nullable<BigInt>, _>(only)
    .load(conn)?;
    let index_of: BTreeMap<ImageId, usize> = pen.shown.iter().enumerate().map(|(index, shown)| (shown.id, index)).collect();
    let mut turned: Vec<i64> = Vec::new();
    let mut changed: BTreeSet<ImageId> = BTreeSet::new();
    for row in rows {
        let entry = row.into_entry()?;
        let Some(index) = index_of.get(&entry.image).copied() else { continue };
        let (from, to) = if back { (&entry.after, &entry.before) } else { (&entry.before, &entry.after) };
        let now = pen.new[index].get(to.field());
        let target = match merge(from, to, &now) {
            Merge::Conflict => {
                undone.skipped += 1;
                continue;
            }
            Merge::Same | Merge::TakeTheirs => None,
            Merge::KeepOurs => Some(to.clone()),
            Merge::Both(both) => Some(both),
        };
        turned.push(entry.id);
        if let Some(target) = target {
            pen.change(index, &now, target);
            changed.insert(entry.image);
        }
    }
    undone.changed += changed.len();
    pen.write(conn, "", &mut None)?;
    let mark = match turn {
        Turn::Back => "UPDATE edits SET undone_at = now(), undone_by = $2 WHERE id = ANY($1)",
        Turn::Again => "UPDATE edits SET undone_at = NULL, undone_by = NULL WHERE id = ANY($1) AND $2 IS NOT NULL",
    };
    sql_query(mark).bind::<Array<BigInt>, _>(turned).bind::<Text, _>(author).execute(conn).map(|_| ())
}
