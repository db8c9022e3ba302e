//! What people change: values and their history, and how far each is on its way to the vault.
//!
//! Every change goes the same way, be it of one image or of all that pass a filter: lock the images in the order of their ids, compute in
//! plain values by the rules of [`crate::models::edit`], and write history, outbox, columns and search words with one statement each for
//! thousands of images, all in one transaction. What that costs grows with the images alone: nothing here asks the database once an image.

mod follow;
mod history;
mod outbox;
mod shown;
mod write_back;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::{
    Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Binary, Bool, Jsonb, Nullable, SmallInt, Text, Timestamp, Timestamptz},
};
use serde::Serialize;
use serde_json::Value as Json;

pub use follow::follow_scan;
pub(super) use follow::{carry_edits, copy_edits, show_edits};
pub use history::{HistoryEntry, Turn, Undone, list_history, turn_batch, turn_batch_telling, turn_edit};
pub use outbox::{
    Keep, OutboxCount, OutboxCursor, OutboxEntry, WaitingVault, count_outbox, list_outbox, list_waiting_vaults, resolve_conflict,
    retry_failed,
};
pub use write_back::{PendingField, WriteBack, WriteBackFile, list_write_backs, record_conflict, record_failed, record_written};

pub(super) use self::shown::{Shown, lock_shown, write_shown};
use super::{
    image::unreadable,
    sql::{Sql, Wanted},
};
use crate::models::{
    BatchId, Filter, Gps, ImageId,
    edit::{Change, EditError, Field, Standing, Value, WriteState, change_standing},
};

/// Images whose rows travel together: bounds memory and the size of one parameter.
const IMAGES_A_STATEMENT: usize = 1_000;

/// Which images an action is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// These.
    Images(Vec<ImageId>),
    /// All that pass.
    Filter(Filter),
    /// All that pass but these.
    AllBut(Filter, Vec<ImageId>),
}

/// What came of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Batch {
    /// Names it, to undo it; `None` when nothing changed.
    pub id: Option<BatchId>,
    /// Images that are different now.
    pub changed: usize,
    /// Images that said so already.
    pub unchanged: usize,
    /// Ids that no image has.
    pub missing: usize,
}

/// Does `changes` to every image of a selection, whole or not at all. What an image says already leaves no trace.
///
/// # Errors
/// The outer ones are the database's; the inner one says what makes no sense about a change, and then nothing was changed.
pub fn apply_edits(
    conn: &mut PgConnection,
    author: &str,
    selection: &Selection,
    changes: &[Change],
) -> QueryResult<Result<Batch, EditError>> {
    apply_edits_telling(conn, author, selection, changes, &mut |_, _| {})
}

/// As [`apply_edits`], and tells `told` after every so many images how many are done, and of how many.
///
/// # Errors
/// As [`apply_edits`].
pub fn apply_edits_telling(
    conn: &mut PgConnection,
    author: &str,
    selection: &Selection,
    changes: &[Change],
    told: &mut dyn FnMut(usize, usize),
) -> QueryResult<Result<Batch, EditError>> {
    let changes: Vec<Change> = match changes.iter().cloned().map(Change::checked).collect() {
        Ok(changes) => changes,
        Err(error) => return Ok(Err(error)),
    };
    whole(conn, |conn| {
        let images = select_images(conn, selection)?;
        let fields: BTreeSet<Field> = changes.iter().map(Change::field).collect();
        let mut batch = Batch::default();
        let (mut done, total) = (0, images.len());
        for images in images.chunks(IMAGES_A_STATEMENT) {
            told(done, total);
            let mut pen = Pen::lock(conn, images, &fields)?;
            batch.missing += images.len() - pen.shown.len();
            for index in 0..pen.shown.len() {
                let changed = pen.apply(index, &changes)?;
                if changed { batch.changed += 1 } else { batch.unchanged += 1 }
            }
            pen.write(conn, author, &mut batch.id)?;
            done += images.len();
        }
        told(done, total);
        Ok(batch)
    })
}

/// When an image was taken, and whether it has a place.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct TakenImage {
    /// The image.
    #[diesel(sql_type = BigInt)]
    pub id: ImageId,
    /// Local time.
    #[diesel(sql_type = Timestamp)]
    pub captured_at: NaiveDateTime,
    /// Minutes east of UTC, where known.
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub captured_offset_minutes: Option<i16>,
    /// Somebody said already where it was.
    #[diesel(sql_type = Bool)]
    pub has_place: bool,
}

/// Lists when the images of a selection were taken, in the order of their ids.
///
/// # Errors
/// When the database fails.
pub fn list_taken(conn: &mut PgConnection, selection: &Selection) -> QueryResult<Vec<TakenImage>> {
    let images = select_images(conn, selection)?;
    sql_query(
        "SELECT id, captured_at, captured_offset_minutes, latitude_deg IS NOT NULL AS has_place FROM images WHERE id = ANY($1) ORDER BY id",
    )
    .bind::<Array<BigInt>, _>(images)
    .load(conn)
}

/// Gives each of these images its own place, as one action, whole or not at all; tells `told` as [`apply_edits_telling`] does.
///
/// # Errors
/// As [`apply_edits`].
pub fn apply_places(
    conn: &mut PgConnection,
    author: &str,
    places: &BTreeMap<ImageId, Gps>,
    told: &mut dyn FnMut(usize, usize),
) -> QueryResult<Result<Batch, EditError>> {
    let each = places.iter().map(|(image, gps)| (*image, vec![Change::Set(Value::Gps(Some(*gps)))])).collect();
    apply_each(conn, author, &each, told)
}

/// Does to each of these images its own changes, as one action, whole or not at all; tells `told` as [`apply_edits_telling`] does.
///
/// # Errors
/// As [`apply_edits`].
pub fn apply_each(
    conn: &mut PgConnection,
    author: &str,
    each: &BTreeMap<ImageId, Vec<Change>>,
    told: &mut dyn FnMut(usize, usize),
) -> QueryResult<Result<Batch, EditError>> {
    whole(conn, |conn| {
        let images: Vec<ImageId> = each.keys().copied().collect();
        let fields: BTreeSet<Field> = each.values().flatten().map(Change::field).collect();
        let mut batch = Batch::default();
        let (mut done, total) = (0, images.len());
        for images in images.chunks(IMAGES_A_STATEMENT) {
            told(done, total);
            let mut pen = Pen::lock(conn, images, &fields)?;
            batch.missing += images.len() - pen.shown.len();
            for index in 0..pen.shown.len() {
                let changes = each.get(&pen.shown[index].id).into_iter().flatten();
                let changes = changes.cloned().map(Change::checked).collect::<Result<Vec<_>, _>>()?;
                let changed = pen.apply(index, &changes)?;
                if changed { batch.changed += 1 } else { batch.unchanged += 1 }
            }
            pen.write(conn, author, &mut batch.id)?;
            done += images.len();
        }
        told(done, total);
        Ok(batch)
    })
}

fn select_images(conn: &mut PgConnection, selection: &Selection) -> QueryResult<Vec<ImageId>> {
    match selection {
        Selection::Images(images) => {
            let images: BTreeSet<ImageId> = images.iter().copied().collect();
            Ok(images.into_iter().collect())
        }
        Selection::Filter(filter) => ids_of(conn, filter),
        Selection::AllBut(filter, others) => {
            let others: BTreeSet<ImageId> = others.iter().copied().collect();
            Ok(ids_of(conn, filter)?.into_iter().filter(|id| !others.contains(id)).collect())
        }
    }
}

fn ids_of(conn: &mut PgConnection, filter: &Filter) -> QueryResult<Vec<ImageId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: ImageId,
    }
    let wanted = Wanted::resolve(conn, filter)?;
    let mut sql = Sql::new("SELECT i.id FROM images AS i WHERE true");
    wanted.write(&mut sql);
    sql.text(" ORDER BY i.id");
    let rows: Vec<Row> = sql.query().load(conn)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Why a change is taken back: the database failed, or the change makes no sense.
enum Stop {
    Query(diesel::result::Error),
    Edit(EditError),
}

impl From<diesel::result::Error> for Stop {
    fn from(error: diesel::result::Error) -> Self {
        Self::Query(error)
    }
}

impl From<EditError> for Stop {
    fn from(error: EditError) -> Self {
        Self::Edit(error)
    }
}

/// Runs `work` whole or not at all, and tells the two kinds of failure apart.
fn whole<T>(conn: &mut PgConnection, work: impl FnOnce(&mut PgConnection) -> Result<T, Stop>) -> QueryResult<Result<T, EditError>> {
    match conn.transaction(work) {
        Ok(done) => Ok(Ok(done)),
        Err(Stop::Edit(error)) => Ok(Err(error)),
        Err(Stop::Query(error)) => Err(error),
    }
}

/// A row of `image_edits` as far as the rules need it.
#[derive(Debug, Clone)]
struct Row {
    standing: Standing,
    /// Some sidecar has this field from us: the row stays.
    was_written: bool,
    written_fingerprint: Option<Vec<u8>>,
    updated_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct RowColumns {
    #[diesel(sql_type = BigInt)]
    image_id: ImageId,
    #[diesel(sql_type = Text)]
    field: String,
    #[diesel(sql_type = Jsonb)]
    value: Json,
    #[diesel(sql_type = Nullable<Jsonb>)]
    base: Option<Json>,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    outside: Option<Json>,
    #[diesel(sql_type = Nullable<Binary>)]
    written_fingerprint: Option<Vec<u8>>,
    #[diesel(sql_type = Bool)]
    was_written: bool,
    #[diesel(sql_type = Timestamptz)]
    updated_at: DateTime<Utc>,
}

impl RowColumns {
    fn into_row(self) -> QueryResult<((ImageId, Field), Row)> {
        let field: Field = named(&self.field)?;
        let standing = Standing {
            value: value_of(field, &self.value)?,
            base: self.base.map(|json| value_of(field, &json)).transpose()?,
            state: named(&self.state)?,
            outside: self.outside.map(|json| value_of(field, &json)).transpose()?,
        };
        let Self { image_id, was_written, written_fingerprint, updated_at, .. } = self;
        Ok(((image_id, field), Row { standing, was_written, written_fingerprint, updated_at }))
    }
}

/// Reads a value that this program wrote.
fn value_of(field: Field, json: &Json) -> QueryResult<Value> {
    Value::from_json(field, json).map_err(|error| unreadable(error.into()))
}

/// Reads a name that this program wrote.
fn named<T: std::str::FromStr<Err: Into<Box<dyn std::error::Error + Send + Sync>>>>(name: &str) -> QueryResult<T> {
    name.parse().map_err(|error: T::Err| unreadable(error.into()))
}

/// Rows for one parameter.
fn as_json(rows: &impl Serialize) -> QueryResult<String> {
    serde_json::to_string(rows).map_err(|error| diesel::result::Error::SerializationError(error.into()))
}

fn load_rows(conn: &mut PgConnection, images: &[ImageId], fields: &BTreeSet<Field>) -> QueryResult<HashMap<(ImageId, Field), Row>> {
    let rows: Vec<RowColumns> = sql_query(
        "SELECT image_id, field, value, base, state, outside, written_fingerprint, written_at IS NOT NULL AS was_written, updated_at \
         FROM image_edits WHERE image_id = ANY($1) AND field = ANY($2)",
    )
    .bind::<Array<BigInt>, _>(images)
    .bind::<Array<Text>, _>(fields.iter().map(|field| field.name()).collect::<Vec<_>>())
    .load(conn)?;
    rows.into_iter().map(RowColumns::into_row).collect()
}

#[derive(Serialize)]
struct StandingWrite {
    image_id: ImageId,
    field: Field,
    value: String,
    base: Option<String>,
    state: WriteState,
    outside: Option<String>,
}

impl StandingWrite {
    fn new(image_id: ImageId, standing: &Standing) -> Self {
        let text = |value: &Value| value.to_json().to_string();
        Self {
            image_id,
            field: standing.value.field(),
            value: text(&standing.value),
            base: standing.base.as_ref().map(text),
            state: standing.state,
            outside: standing.outside.as_ref().map(text),
        }
    }
}

#[derive(Serialize)]
struct StandingDelete {
    image_id: ImageId,
    field: Field,
}

#[derive(Serialize)]
struct HistoryWrite {
    image_id: ImageId,
    field: Field,
    before: String,
    after: String,
}

/// Some images, held by lock, and what shall be written about them.
struct Pen {
    /// As the database shows them.
    shown: Vec<Shown>,
    /// As it shall show them, in the same order.
    new: Vec<Shown>,
    rows: HashMap<(ImageId, Field), Row>,
    /// How values stand from now on; `None` where nothing is left to be done.
    standings: BTreeMap<(ImageId, Field), Option<Standing>>,
    history: Vec<HistoryWrite>,
}

impl Pen {
    /// Takes images in hand to change some of their fields; those that do not exist are left out.
    fn lock(conn: &mut PgConnection, images: &[ImageId], fields: &BTreeSet<Field>) -> QueryResult<Self> {
        let shown = lock_shown(conn, images)?;
        // Only now: a row that another transaction wrote while this one waited for the lock must be seen.
        let rows = load_rows(conn, images, fields)?;
        Ok(Self { new: shown.clone(), shown, rows, standings: BTreeMap::new(), history: Vec::new() })
    }

    /// Does all changes to one image; says whether it is different now.
    fn apply(&mut self, index: usize, changes: &[Change]) -> Result<bool, EditError> {
        let mut changed = false;
        let fields: BTreeSet<Field> = changes.iter().map(Change::field).collect();
        for field in fields {
            let before = self.new[index].get(field);
            let mut after = before.clone();
            for change in changes.iter().filter(|change| change.field() == field) {
                after = match (change, &after) {
                    // The one change that looks at another field: the coordinates, which come before their names.
                    (Change::NamePlace, Value::Place(said)) if said.is_empty() => Value::Place(self.new[index].place_of_coordinates()),
                    (change, after) => change.apply(after)?,
                };
            }
            if !is_news(&before, &after) {
                continue;
            }
            self.remember(index, &before, &after);
            self.change(index, &before, after);
            changed = true;
        }
        Ok(changed)
    }

    /// Adds to the history.
    fn remember(&mut self, index: usize, before: &Value, after: &Value) {
        let text = |value: &Value| value.to_json().to_string();
        self.history.push(HistoryWrite { image_id: self.shown[index].id, field: after.field(), before: text(before), after: text(after) });
    }

    /// Gives an image another value, which waits to be written from now on.
    fn change(&mut self, index: usize, before: &Value, after: Value) {
        let (image, field) = (self.shown[index].id, after.field());
        let key = (image, field);
        let existing = match self.standings.get(&key) {
            Some(standing) => standing.as_ref(),
            None => self.rows.get(&key).map(|row| &row.standing),
        };
        let standing = change_standing(existing, before, after);
        let was_written = self.rows.get(&key).is_some_and(|row| row.was_written);
        self.new[index].set(&standing.value);
        self.standings.insert(key, Some(standing).filter(|standing| was_written || standing.state != WriteState::Written));
    }

    /// Says how a value stands from now on.
    fn stand(&mut self, image: ImageId, standing: Standing) {
        self.standings.insert((image, standing.value.field()), Some(standing));
    }

    /// Writes everything; history makes a batch unless there is one.
    fn write(self, conn: &mut PgConnection, author: &str, batch: &mut Option<BatchId>) -> QueryResult<()> {
        if !self.history.is_empty() {
            let id = match *batch {
                Some(id) => id,
                None => *batch.insert(next_batch(conn)?),
            };
            sql_query(include_str!("edits/insert_history.sql"))
                .bind::<Text, _>(as_json(&self.history)?)
                .bind::<BigInt, _>(id)
                .bind::<Text, _>(author)
                .execute(conn)?;
        }
        let (mut standing, mut settled) = (Vec::new(), Vec::new());
        for ((image_id, field), stands) in &self.standings {
            match stands {
                Some(stands) => standing.push(StandingWrite::new(*image_id, stands)),
                None => settled.push(StandingDelete { image_id: *image_id, field: *field }),
            }
        }
        if !settled.is_empty() {
            sql_query(include_str!("edits/delete_standing.sql")).bind::<Text, _>(as_json(&settled)?).execute(conn)?;
        }
        if !standing.is_empty() {
            sql_query(include_str!("edits/upsert_standing.sql")).bind::<Text, _>(as_json(&standing)?).execute(conn)?;
        }
        let changed: Vec<(Shown, Shown)> = self.shown.into_iter().zip(self.new).filter(|(old, new)| old != new).collect();
        write_shown(conn, &changed)
    }
}

/// Whether a person who sets this changes anything: who takes no stars away from none does not.
fn is_news(before: &Value, after: &Value) -> bool {
    let unrated = |value: &Value| matches!(value, Value::Rating(None | Some(0)));
    before != after && !(unrated(before) && unrated(after))
}

/// All fields, where it is not known which are concerned.
fn every_field() -> BTreeSet<Field> {
    Field::ALL.iter().copied().collect()
}

fn next_batch(conn: &mut PgConnection) -> QueryResult<BatchId> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: BatchId,
    }
    let row: Row = sql_query("SELECT nextval('edit_batches') AS id").get_result(conn)?;
    Ok(row.id)
}
