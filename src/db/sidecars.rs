//! What the writer of sidecars asks and records: whose a file is, that a sidecar is as it is now, and whose turn it is.
//!
//! The writer and a scan of the same vault take turns. A scan that read a sidecar before it was written, and recorded it after, would take
//! the old value for somebody's news.

use diesel::{
    Connection, ExpressionMethods, PgConnection, QueryDsl, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Binary, Bool, Integer, Jsonb, Nullable, Text},
};

use super::{QueryError, edits::record_written, image::unreadable, schema::vaults};
use crate::models::{Facts, FileFormat, FileRole, ImageId, RelPath, VaultId, edit::Value};

/// Any number nobody else uses as the first half of an advisory lock.
const WRITE_LOCK: i32 = 0x686d_7772;

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// Takes the right to write into a vault for this connection's session; `false` when another writer or a scan has it.
///
/// # Errors
/// Only the database's own.
pub fn try_lock_writing(conn: &mut PgConnection, vault: VaultId) -> QueryResult<bool> {
    lock_function(conn, "SELECT pg_try_advisory_lock($1, $2) AS locked", vault)
}

/// Keeps writers away for this connection's session; waits for one that is writing, which takes a moment.
///
/// # Errors
/// Only the database's own.
pub fn wait_for_writing(conn: &mut PgConnection, vault: VaultId) -> QueryResult<()> {
    lock_function(conn, "SELECT true AS locked FROM pg_advisory_lock($1, $2)", vault).map(|_| ())
}

/// Gives either back; `false` when this session had neither.
///
/// # Errors
/// Only the database's own.
pub fn unlock_writing(conn: &mut PgConnection, vault: VaultId) -> QueryResult<bool> {
    lock_function(conn, "SELECT pg_advisory_unlock($1, $2) AS locked", vault)
}

fn lock_function(conn: &mut PgConnection, sql: &str, vault: VaultId) -> QueryResult<bool> {
    let vault = i32::try_from(vault.0).unwrap_or(i32::MAX);
    let row: Locked = sql_query(sql).bind::<Integer, _>(WRITE_LOCK).bind::<Integer, _>(vault).get_result(conn)?;
    Ok(row.locked)
}

/// Folders of a vault where sidecars were being written when their writer was last heard of.
///
/// # Errors
/// `NotFound` when there is no such vault, or the database's own.
pub fn list_folders_in_hand(conn: &mut PgConnection, vault: VaultId) -> QueryResult<Vec<RelPath>> {
    let paths: Vec<Option<Vec<u8>>> = vaults::table.filter(vaults::id.eq(vault)).select(vaults::folders_in_hand).first(conn)?;
    paths.iter().flatten().map(|path| RelPath::from_bytes(path).map_err(|error| unreadable(error.into()))).collect()
}

/// Records where sidecars are about to be written, in place of what was recorded.
///
/// # Errors
/// Only the database's own.
pub fn record_folders_in_hand<'a>(
    conn: &mut PgConnection,
    vault: VaultId,
    folders: impl IntoIterator<Item = &'a RelPath>,
) -> QueryResult<()> {
    let paths: Vec<&[u8]> = folders.into_iter().map(RelPath::as_bytes).collect();
    diesel::update(vaults::table.filter(vaults::id.eq(vault))).set(vaults::folders_in_hand.eq(paths)).execute(conn).map(|_| ())
}

/// Names in a folder that end in `.xmp` and are filed under another image than `image`.
///
/// # Errors
/// Only the database's own.
pub fn list_others_sidecars(conn: &mut PgConnection, vault: VaultId, folder: &RelPath, image: ImageId) -> QueryResult<Vec<Vec<u8>>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Binary)]
        name_bytes: Vec<u8>,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT f.name_bytes FROM files AS f JOIN folders AS d ON d.id = f.folder_id \
         WHERE d.vault_id = $1 AND d.rel_path_bytes = $2 AND f.format = 'xmp' AND f.image_id <> $3 AND f.missing_since IS NULL",
    )
    .bind::<BigInt, _>(vault)
    .bind::<Binary, _>(folder.as_bytes())
    .bind::<BigInt, _>(image)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.name_bytes).collect())
}

/// Records what is about to be written to an image's sidecar, so that a scan knows our own hand even if the writer is killed right after.
///
/// # Errors
/// Only the database's own.
pub fn record_intent(conn: &mut PgConnection, image: ImageId, fingerprint: &[u8; 16]) -> QueryResult<()> {
    sql_query("UPDATE image_edits SET written_fingerprint = $2 WHERE image_id = $1 AND state IN ('pending', 'failed')")
        .bind::<BigInt, _>(image)
        .bind::<Binary, _>(fingerprint.as_slice())
        .execute(conn)
        .map(|_| ())
}

/// A sidecar as it is on the vault now.
#[derive(Debug, Clone, PartialEq)]
pub struct SidecarNow {
    /// Where.
    pub path: RelPath,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Modification time, nanoseconds since 1970-01-01 UTC.
    pub modified_at_ns: i64,
    /// As a scan would compute it.
    pub fingerprint: Option<[u8; 16]>,
    /// What it says.
    pub facts: Facts,
    /// Why it could not be read.
    pub error: Option<String>,
}

/// Records a write, whole or not at all: the sidecar as it is now, where it could be looked at, and the values that it says.
///
/// # Errors
/// As [`record_sidecar`].
pub fn record_write(
    conn: &mut PgConnection,
    vault: VaultId,
    (image, base_name): (ImageId, &str),
    now: Option<&SidecarNow>,
    values: &[Value],
) -> QueryResult<()> {
    conn.transaction(|conn| {
        if let Some(now) = now {
            record_sidecar(conn, vault, image, base_name, now)?;
        }
        record_written(conn, image, values, now.and_then(|now| now.fingerprint.as_ref()))
    })
}

/// Records a sidecar as a scan would find it, so that the next one finds nothing new; a new one becomes a file of its image.
///
/// # Errors
/// `NotFound` when its folder is in no scan; otherwise the database's own.
pub fn record_sidecar(conn: &mut PgConnection, vault: VaultId, image: ImageId, base_name: &str, now: &SidecarNow) -> QueryResult<()> {
    let name = RelPath::root().join(now.path.file_name()).unwrap_or_default();
    let folder = now.path.parent().unwrap_or_default();
    let facts = serde_json::to_value(&now.facts).map_err(|error| QueryError::SerializationError(error.into()))?;
    let written = sql_query(
        "INSERT INTO files AS f (vault_id, folder_id, image_id, name_bytes, name, format, role, size_bytes, modified_at_ns, fingerprint, \
            facts, error) \
         SELECT $1, d.id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM folders AS d WHERE d.vault_id = $1 AND d.rel_path_bytes = $12 \
         ON CONFLICT (folder_id, name_bytes) DO UPDATE SET image_id = excluded.image_id, role = excluded.role, \
            size_bytes = excluded.size_bytes, modified_at_ns = excluded.modified_at_ns, fingerprint = excluded.fingerprint, \
            facts = excluded.facts, error = excluded.error, missing_since = NULL",
    )
    .bind::<BigInt, _>(vault)
    .bind::<BigInt, _>(image)
    .bind::<Binary, _>(name.as_bytes())
    .bind::<Text, _>(name.to_nfc())
    .bind::<Text, _>(FileFormat::Xmp.name())
    .bind::<Text, _>(FileRole::Sidecar.name())
    .bind::<BigInt, _>(i64::try_from(now.size_bytes).unwrap_or(i64::MAX))
    .bind::<BigInt, _>(now.modified_at_ns)
    .bind::<Nullable<Binary>, _>(now.fingerprint.map(|fingerprint| fingerprint.to_vec()))
    .bind::<Jsonb, _>(facts)
    .bind::<Nullable<Text>, _>(now.error.as_deref())
    .bind::<Binary, _>(folder.as_bytes())
    .execute(conn)?;
    if written == 0 {
        return Err(QueryError::NotFound);
    }
    let suffix = suffix(base_name, &name.to_nfc());
    sql_query(
        "UPDATE images AS i SET has_sidecar = true, file_count = f.file_count, total_size_bytes = f.size_bytes, \
            suffixes = ARRAY(SELECT DISTINCT s COLLATE \"C\" FROM unnest(i.suffixes || $2) AS s ORDER BY s COLLATE \"C\"), updated_at = now() \
         FROM (SELECT count(*)::int AS file_count, sum(size_bytes)::bigint AS size_bytes FROM files WHERE image_id = $1 AND missing_since IS NULL) AS f \
         WHERE i.id = $1",
    )
    .bind::<BigInt, _>(image)
    .bind::<Text, _>(suffix)
    .execute(conn)
    .map(|_| ())
}

/// As scans name what follows the base name.
fn suffix(base_name: &str, name: &str) -> String {
    let same_start = name.get(..base_name.len()).is_some_and(|start| start.to_lowercase() == base_name.to_lowercase());
    if same_start { name[base_name.len()..].to_owned() } else { ".xmp".to_owned() }
}
