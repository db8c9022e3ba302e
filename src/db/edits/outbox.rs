//! The outbox as people see it: what waits to be written, what failed and why, and where library and vault say different things.

use std::{collections::BTreeSet, str::FromStr};

use chrono::{DateTime, Utc};
use diesel::{
    Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Binary, Bool, Integer, Jsonb, Nullable, Text, Timestamptz},
};
use serde_json::Value as Json;

use super::{Pen, named, value_of};
use crate::models::{
    BatchId, ImageId,
    edit::{Field, Standing, Value, WriteState},
};

/// One field of one image in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEntry {
    /// The image.
    pub image: ImageId,
    /// Its name without suffixes.
    pub base_name: String,
    /// Its vault.
    pub vault_name: String,
    /// Names its thumbnail; `None` when there is nothing to show.
    pub picture_key: Option<String>,
    /// Path inside the vault, for people, of the sidecar that says it, or of the photograph where no sidecar is there yet; `None` when
    /// the image has no files.
    pub path: Option<String>,
    /// What the person says, how far it is, and what the vault says.
    pub standing: Standing,
    /// Why it failed.
    pub reason: Option<String>,
    /// Failures since the value was set.
    pub attempts: i32,
    /// When value or state last changed.
    pub updated_at: DateTime<Utc>,
}

impl OutboxEntry {
    /// The place just after this entry.
    pub fn cursor(&self) -> OutboxCursor {
        OutboxCursor { image: self.image, field: self.standing.value.field() }
    }
}

/// A place in the outbox: just after the entry it names. Written as `4711-rating`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxCursor {
    /// The image.
    pub image: ImageId,
    /// Its field.
    pub field: Field,
}

impl std::fmt::Display for OutboxCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.image, self.field)
    }
}

impl FromStr for OutboxCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "a cursor from an earlier page";
        let (image, field) = text.split_once('-').ok_or(expected)?;
        Ok(Self { image: image.parse().map_err(|_| expected)?, field: field.parse().map_err(|_| expected)? })
    }
}

#[derive(QueryableByName)]
struct EntryColumns {
    #[diesel(sql_type = BigInt)]
    image_id: ImageId,
    #[diesel(sql_type = Text)]
    base_name: String,
    #[diesel(sql_type = Text)]
    vault_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    picture_key: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    path: Option<String>,
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
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Timestamptz)]
    updated_at: DateTime<Utc>,
}

impl EntryColumns {
    fn into_entry(self) -> QueryResult<OutboxEntry> {
        let field: Field = named(&self.field)?;
        let value = |json: Option<Json>| json.map(|json| value_of(field, &json)).transpose();
        Ok(OutboxEntry {
            image: self.image_id,
            base_name: self.base_name,
            vault_name: self.vault_name,
            picture_key: self.picture_key,
            path: self.path,
            standing: Standing {
                value: value_of(field, &self.value)?,
                base: value(self.base)?,
                state: named(&self.state)?,
                outside: value(self.outside)?,
            },
            reason: self.reason,
            attempts: self.attempts,
            updated_at: self.updated_at,
        })
    }
}

/// Up to `limit` entries in this state, or in any but `written`, after a place, in the order of images and fields.
///
/// # Errors
/// When the database fails.
pub fn list_outbox(
    conn: &mut PgConnection,
    state: Option<WriteState>,
    after: Option<OutboxCursor>,
    limit: i64,
) -> QueryResult<Vec<OutboxEntry>> {
    let states: Vec<&str> = match state {
        Some(state) => vec![state.name()],
        None => WriteState::ALL.iter().filter(|state| **state != WriteState::Written).map(|state| state.name()).collect(),
    };
    let (image, field) = after.map_or((0, ""), |cursor| (cursor.image.0, cursor.field.name()));
    let rows: Vec<EntryColumns> = sql_query(include_str!("list_outbox.sql"))
        .bind::<Array<Text>, _>(states)
        .bind::<BigInt, _>(image)
        .bind::<Text, _>(field)
        .bind::<BigInt, _>(limit)
        .load(conn)?;
    rows.into_iter().map(EntryColumns::into_entry).collect()
}

/// How many fields are in each state but `written`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, QueryableByName)]
pub struct OutboxCount {
    /// To be written.
    #[diesel(sql_type = BigInt)]
    pub pending: i64,
    /// Not written, for a reason.
    #[diesel(sql_type = BigInt)]
    pub failed: i64,
    /// A person has to choose.
    #[diesel(sql_type = BigInt)]
    pub conflict: i64,
}

/// Counts the outbox.
///
/// # Errors
/// When the database fails.
pub fn count_outbox(conn: &mut PgConnection) -> QueryResult<OutboxCount> {
    sql_query(
        "SELECT count(*) FILTER (WHERE state = 'pending') AS pending, count(*) FILTER (WHERE state = 'failed') AS failed, \
         count(*) FILTER (WHERE state = 'conflict') AS conflict FROM image_edits WHERE state <> 'written'",
    )
    .get_result(conn)
}

/// What waits for one vault.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct WaitingVault {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Fields to be written.
    #[diesel(sql_type = BigInt)]
    pub pending: i64,
    /// It cannot be read at present.
    #[diesel(sql_type = Bool)]
    pub is_offline: bool,
    #[diesel(sql_type = Nullable<Binary>)]
    mount: Option<Vec<u8>>,
}

impl WaitingVault {
    /// Where this host mounts it, for people; `None` where it does not.
    pub fn mount(&self) -> Option<String> {
        self.mount.as_deref().map(|path| String::from_utf8_lossy(path).into_owned())
    }
}

/// Lists the vaults for which something waits, by name.
///
/// # Errors
/// When the database fails.
pub fn list_waiting_vaults(conn: &mut PgConnection, host: &str) -> QueryResult<Vec<WaitingVault>> {
    sql_query(
        "SELECT v.name, c.pending, v.offline_since IS NOT NULL AS is_offline, m.path AS mount \
         FROM (SELECT i.vault_id, count(*) AS pending FROM image_edits AS e JOIN images AS i ON i.id = e.image_id \
            WHERE e.state = 'pending' GROUP BY i.vault_id) AS c \
         JOIN vaults AS v ON v.id = c.vault_id LEFT JOIN vault_mounts AS m ON m.vault_id = v.id AND m.host = $1 ORDER BY v.name",
    )
    .bind::<Text, _>(host)
    .load(conn)
}

/// Which side of a conflict holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The person's value; it will be written over the vault's.
    Ours,
    /// The vault's value.
    Theirs,
}

/// Ends a conflict, and returns the batch that says so in the history: from the value that does not hold to the one that does. So the
/// choice can be taken back, and the vault's value is not forgotten when ours is written over it.
///
/// # Errors
/// `NotFound` when there is no such conflict any more; otherwise when the database fails.
pub fn resolve_conflict(conn: &mut PgConnection, author: &str, image: ImageId, field: Field, keep: Keep) -> QueryResult<Option<BatchId>> {
    conn.transaction(|conn| {
        let mut pen = Pen::lock(conn, &[image], &BTreeSet::from([field]))?;
        let standing = pen.rows.get(&(image, field)).map(|row| row.standing.clone());
        let conflict = standing.and_then(|standing| Some((standing.value, standing.outside?)));
        let (ours, outside) = conflict.filter(|_| !pen.shown.is_empty()).ok_or(diesel::result::Error::NotFound)?;
        let resolved = |value: Value, state| Standing { value, base: Some(outside.clone()), state, outside: None };
        match keep {
            Keep::Ours => {
                pen.remember(0, &outside, &ours);
                pen.stand(image, resolved(ours, WriteState::Pending));
            }
            Keep::Theirs => {
                pen.remember(0, &ours, &outside);
                pen.new[0].set(&outside);
                pen.stand(image, resolved(outside.clone(), WriteState::Written));
            }
        }
        let mut batch = None;
        pen.write(conn, author, &mut batch)?;
        Ok(batch)
    })
}

/// Lets what failed be tried again now: of these images, or of all. Says how many fields.
///
/// # Errors
/// When the database fails.
pub fn retry_failed(conn: &mut PgConnection, images: Option<&[ImageId]>) -> QueryResult<usize> {
    sql_query(
        "UPDATE image_edits SET state = 'pending', reason = NULL, attempts = 0, updated_at = now() \
         WHERE state = 'failed' AND ($1 IS NULL OR image_id = ANY($1))",
    )
    .bind::<Nullable<Array<BigInt>>, _>(images)
    .execute(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_form() {
        let cursor: OutboxCursor = "4711-color_label".parse().unwrap();
        assert_eq!(cursor.to_string(), "4711-color_label");
        for bad in ["", "4711", "x-rating", "1-stars", "-1-rating"] {
            assert!(bad.parse::<OutboxCursor>().is_err(), "{bad}");
        }
    }
}
