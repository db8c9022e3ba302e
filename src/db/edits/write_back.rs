//! The outbox as the writer sees it: which images have something to be written, where their files lie, and what came of it.
//!
//! Each record names the value it is about, so that a value that a person changed meanwhile still waits, and twice is once.

use std::{collections::HashMap, ffi::OsStr, os::unix::ffi::OsStrExt};

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Binary, Integer, Jsonb, Nullable, Text},
};
use serde::Serialize;
use serde_json::Value as Json;

use super::{as_json, named, value_of};
use crate::{
    db::image::unreadable,
    models::{
        Facts, FileFormat, FileId, FileRole, ImageId, RelPath, VaultId,
        edit::{Field, Value},
    },
};

/// An image with values that its sidecar has yet to say.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteBack {
    /// The image.
    pub image: ImageId,
    /// Its vault.
    pub vault: VaultId,
    /// Its name without suffixes.
    pub base_name: String,
    /// Its files that are there: masters first, then by name.
    pub files: Vec<WriteBackFile>,
    /// What to write, in the order of the fields' names.
    pub fields: Vec<PendingField>,
}

impl WriteBack {
    /// What its files say themselves, apart from sidecars that hm writes.
    pub fn in_pictures(&self) -> Vec<Field> {
        let files = || self.files.iter().filter(|file| file.format != FileFormat::Xmp);
        Field::ALL.iter().copied().filter(|field| files().any(|file| file.says.contains(field))).collect()
    }
}

/// A file of an image with something to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteBackFile {
    /// The file.
    pub id: FileId,
    /// Where it lies inside the vault, exact bytes.
    pub path: RelPath,
    /// What it is.
    pub format: FileFormat,
    /// What it is to its image.
    pub role: FileRole,
    /// As the last scan saw it.
    pub fingerprint: Option<Vec<u8>>,
    /// The fields that it says something about.
    pub says: Vec<Field>,
}

/// A value on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingField {
    /// What to write.
    pub value: Value,
    /// What the vault said when it was last compared; `None` where nobody knows.
    pub base: Option<Value>,
    /// Failures so far.
    pub attempts: i32,
}

#[derive(QueryableByName)]
struct FieldColumns {
    #[diesel(sql_type = BigInt)]
    image_id: ImageId,
    #[diesel(sql_type = BigInt)]
    vault_id: VaultId,
    #[diesel(sql_type = Text)]
    base_name: String,
    #[diesel(sql_type = Text)]
    field: String,
    #[diesel(sql_type = Jsonb)]
    value: Json,
    #[diesel(sql_type = Nullable<Jsonb>)]
    base: Option<Json>,
    #[diesel(sql_type = Integer)]
    attempts: i32,
}

#[derive(QueryableByName)]
struct FileColumns {
    #[diesel(sql_type = BigInt)]
    id: FileId,
    #[diesel(sql_type = BigInt)]
    image_id: ImageId,
    #[diesel(sql_type = Binary)]
    folder: Vec<u8>,
    #[diesel(sql_type = Binary)]
    name_bytes: Vec<u8>,
    #[diesel(sql_type = Text)]
    format: String,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Nullable<Binary>)]
    fingerprint: Option<Vec<u8>>,
    #[diesel(sql_type = Jsonb)]
    facts: Json,
}

/// Up to `limit` images after `after`, by id, that have something to be written on these vaults. Left out are vaults that are offline,
/// images whose files are missing, conflicts, and what failed a short while ago: a minute after the first failure, then two, four, up to
/// six hours.
///
/// # Errors
/// When the database fails.
pub fn list_write_backs(conn: &mut PgConnection, vaults: &[VaultId], after: Option<ImageId>, limit: i64) -> QueryResult<Vec<WriteBack>> {
    if vaults.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<FieldColumns> = sql_query(include_str!("list_write_backs.sql"))
        .bind::<Array<BigInt>, _>(vaults)
        .bind::<BigInt, _>(after.map_or(0, |image| image.0))
        .bind::<BigInt, _>(limit)
        .load(conn)?;
    let mut found: Vec<WriteBack> = Vec::new();
    for row in rows {
        let field: Field = named(&row.field)?;
        let pending = PendingField {
            value: value_of(field, &row.value)?,
            base: row.base.map(|json| value_of(field, &json)).transpose()?,
            attempts: row.attempts,
        };
        match found.last_mut().filter(|last| last.image == row.image_id) {
            Some(last) => last.fields.push(pending),
            None => found.push(WriteBack {
                image: row.image_id,
                vault: row.vault_id,
                base_name: row.base_name,
                files: Vec::new(),
                fields: vec![pending],
            }),
        }
    }
    let images: Vec<ImageId> = found.iter().map(|image| image.image).collect();
    let mut files = files_of(conn, &images)?;
    for image in &mut found {
        image.files = files.remove(&image.image).unwrap_or_default();
        image.files.sort_by_key(|file| file.role);
    }
    Ok(found)
}

fn files_of(conn: &mut PgConnection, images: &[ImageId]) -> QueryResult<HashMap<ImageId, Vec<WriteBackFile>>> {
    let rows: Vec<FileColumns> = sql_query(
        "SELECT f.id, f.image_id, d.rel_path_bytes AS folder, f.name_bytes, f.format, f.role, f.fingerprint, f.facts \
         FROM files AS f JOIN folders AS d ON d.id = f.folder_id \
         WHERE f.image_id = ANY($1) AND f.missing_since IS NULL ORDER BY f.name, f.id",
    )
    .bind::<Array<BigInt>, _>(images)
    .load(conn)?;
    let mut files: HashMap<ImageId, Vec<WriteBackFile>> = HashMap::new();
    for row in rows {
        let folder = RelPath::from_bytes(&row.folder).map_err(|error| unreadable(error.into()))?;
        let facts: Facts = serde_json::from_value(row.facts).map_err(|error| unreadable(error.into()))?;
        let file = WriteBackFile {
            id: row.id,
            path: folder.join(OsStr::from_bytes(&row.name_bytes)).map_err(|error| unreadable(error.into()))?,
            format: named(&row.format)?,
            role: named(&row.role)?,
            fingerprint: row.fingerprint,
            says: Field::ALL.iter().copied().filter(|field| facts.says(*field)).collect(),
        };
        files.entry(row.image_id).or_default().push(file);
    }
    Ok(files)
}

#[derive(Serialize)]
struct ValueWrite {
    field: Field,
    value: String,
}

fn value_writes<'a>(values: impl IntoIterator<Item = &'a Value>) -> QueryResult<String> {
    let write = |value: &Value| ValueWrite { field: value.field(), value: value.to_json().to_string() };
    as_json(&values.into_iter().map(write).collect::<Vec<_>>())
}

/// Records that an image's sidecar says these values now, and how the whole sidecar is known again. A value that a person changed
/// meanwhile still waits, but is compared with what was written from now on.
///
/// # Errors
/// When the database fails.
pub fn record_written(conn: &mut PgConnection, image: ImageId, values: &[Value], fingerprint: Option<&[u8; 16]>) -> QueryResult<()> {
    sql_query(
        "UPDATE image_edits AS e SET base = r.value::jsonb, written_fingerprint = $3, written_at = now(), reason = NULL, attempts = 0, \
            state = CASE WHEN e.value = r.value::jsonb THEN 'written' ELSE 'pending' END, updated_at = now() \
         FROM json_to_recordset($2::json) AS r (field text, value text) \
         WHERE e.image_id = $1 AND e.field = r.field AND e.state <> 'conflict'",
    )
    .bind::<BigInt, _>(image)
    .bind::<Text, _>(value_writes(values)?)
    .bind::<Nullable<Binary>, _>(fingerprint.map(<[u8; 16]>::as_slice))
    .execute(conn)
    .map(|_| ())
}

/// Records that these values could not be written, and why; `values` come as [`list_write_backs`] gave them.
///
/// # Errors
/// When the database fails.
pub fn record_failed(conn: &mut PgConnection, image: ImageId, values: &[PendingField], reason: &str) -> QueryResult<()> {
    #[derive(Serialize)]
    struct Failure {
        field: Field,
        value: String,
        attempts: i32,
    }
    let failure = |field: &PendingField| Failure {
        field: field.value.field(),
        value: field.value.to_json().to_string(),
        attempts: field.attempts + 1,
    };
    sql_query(
        "UPDATE image_edits AS e SET state = 'failed', reason = $3, attempts = r.attempts, updated_at = now() \
         FROM json_to_recordset($2::json) AS r (field text, value text, attempts int) \
         WHERE e.image_id = $1 AND e.field = r.field AND e.value = r.value::jsonb AND e.state IN ('pending', 'failed')",
    )
    .bind::<BigInt, _>(image)
    .bind::<Text, _>(as_json(&values.iter().map(failure).collect::<Vec<_>>())?)
    .bind::<Text, _>(reason.replace('\0', ""))
    .execute(conn)
    .map(|_| ())
}

/// Records that the sidecar says `outside` where it should come to say `ours`, and both are new.
///
/// # Errors
/// When the database fails.
pub fn record_conflict(conn: &mut PgConnection, image: ImageId, ours: &Value, outside: &Value) -> QueryResult<()> {
    sql_query(
        "UPDATE image_edits AS e SET state = 'conflict', outside = $3, reason = NULL, attempts = 0, updated_at = now() \
         FROM json_to_recordset($2::json) AS r (field text, value text) \
         WHERE e.image_id = $1 AND e.field = r.field AND e.value = r.value::jsonb AND e.state IN ('pending', 'failed', 'conflict')",
    )
    .bind::<BigInt, _>(image)
    .bind::<Text, _>(value_writes([ours])?)
    .bind::<Jsonb, _>(outside.to_json())
    .execute(conn)
    .map(|_| ())
}
