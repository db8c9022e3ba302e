//! What earlier scans left: files, folders and images as a scan must know them to see what changed.
//!
//! Apart from [`super::ingest`], which writes: nothing here does.

use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Binary, Nullable, Text},
};

use super::schema::{files, folders};
use crate::models::{Facts, FileId, FileRole, FolderId, ImageId, RelPath, VaultId};

/// A file as the last scan left it.
#[derive(Debug, Clone)]
pub struct KnownFile {
    /// Its id.
    pub id: FileId,
    /// Its vault.
    pub vault: VaultId,
    /// Its folder's path inside the vault.
    pub folder: RelPath,
    /// Exact name.
    pub name: Vec<u8>,
    /// Size in bytes.
    pub size_bytes: i64,
    /// Nanoseconds since 1970-01-01 UTC.
    pub modified_at_ns: i64,
    /// Sampled fingerprint, 16 bytes.
    pub fingerprint: Option<[u8; 16]>,
    /// What the file says.
    pub facts: Facts,
    /// Why it could not be read.
    pub error: Option<String>,
    /// The image it belongs to.
    pub image: Option<ImageId>,
    /// What it is to that image.
    pub role: FileRole,
    /// A person's word on grouping.
    pub pin: Option<String>,
    /// Gone from its healthy vault.
    pub is_missing: bool,
}

#[derive(QueryableByName)]
struct KnownFileRow {
    #[diesel(sql_type = BigInt)]
    id: FileId,
    #[diesel(sql_type = BigInt)]
    vault_id: VaultId,
    #[diesel(sql_type = Binary)]
    folder: Vec<u8>,
    #[diesel(sql_type = Binary)]
    name_bytes: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    size_bytes: i64,
    #[diesel(sql_type = BigInt)]
    modified_at_ns: i64,
    #[diesel(sql_type = Nullable<Binary>)]
    fingerprint: Option<Vec<u8>>,
    #[diesel(sql_type = Text)]
    facts: String,
    #[diesel(sql_type = Nullable<Text>)]
    error: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    image_id: Option<ImageId>,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Nullable<Text>)]
    pin: Option<String>,
    #[diesel(sql_type = diesel::sql_types::Bool)]
    is_missing: bool,
}

impl KnownFileRow {
    fn into_known(self) -> QueryResult<KnownFile> {
        let bad = |what: String| diesel::result::Error::DeserializationError(what.into());
        Ok(KnownFile {
            id: self.id,
            vault: self.vault_id,
            folder: RelPath::from_bytes(&self.folder).map_err(|error| bad(error.to_string()))?,
            name: self.name_bytes,
            size_bytes: self.size_bytes,
            modified_at_ns: self.modified_at_ns,
            fingerprint: self.fingerprint.and_then(|bytes| bytes.try_into().ok()),
            // Facts of another version of hm are read again rather than trusted.
            facts: serde_json::from_str(&self.facts).unwrap_or_else(|_| Facts::default()),
            error: self.error,
            image: self.image_id,
            role: self.role.parse().map_err(|_| bad(format!("role of file {}", self.id)))?,
            pin: self.pin,
            is_missing: self.is_missing,
        })
    }
}

const KNOWN_FILE: &str = "SELECT f.id, f.vault_id, d.rel_path_bytes AS folder, f.name_bytes, f.size_bytes, f.modified_at_ns, f.fingerprint, \
     f.facts::text AS facts, f.error, f.image_id, f.role, f.pin, f.missing_since IS NOT NULL AS is_missing \
     FROM files f JOIN folders d ON d.id = f.folder_id";

/// Every file ever seen in a folder, and those of other folders that a person pinned together with one of them.
///
/// # Errors
/// Only the database's own.
pub fn list_known_files(conn: &mut PgConnection, folder: FolderId) -> QueryResult<Vec<KnownFile>> {
    let rows: Vec<KnownFileRow> = diesel::sql_query(format!(
        "{KNOWN_FILE} WHERE f.folder_id = $1 OR f.pin IN (SELECT pin FROM files WHERE folder_id = $1 AND pin IS NOT NULL) ORDER BY f.id"
    ))
    .bind::<BigInt, _>(folder)
    .load(conn)?;
    rows.into_iter().map(KnownFileRow::into_known).collect()
}

/// Files with one of these fingerprints, wherever they are: moved, renamed, or copied.
///
/// # Errors
/// Only the database's own.
pub fn list_files_by_fingerprint(conn: &mut PgConnection, fingerprints: &[Vec<u8>]) -> QueryResult<Vec<KnownFile>> {
    let rows: Vec<KnownFileRow> = diesel::sql_query(format!("{KNOWN_FILE} WHERE f.fingerprint = ANY ($1) ORDER BY f.id"))
        .bind::<Array<Binary>, _>(fingerprints)
        .load(conn)?;
    rows.into_iter().map(KnownFileRow::into_known).collect()
}

/// Which present files hold each of these images: (image, file).
///
/// # Errors
/// Only the database's own.
pub fn list_present_files_of(conn: &mut PgConnection, images: &[ImageId]) -> QueryResult<Vec<(ImageId, FileId)>> {
    let rows: Vec<(Option<ImageId>, FileId)> = files::table
        .filter(files::image_id.eq_any(images))
        .filter(files::missing_since.is_null())
        .select((files::image_id, files::id))
        .load(conn)?;
    Ok(rows.into_iter().filter_map(|(image, file)| Some((image?, file))).collect())
}

/// A folder as the last scan left it.
#[derive(Debug, Clone)]
pub struct KnownFolder {
    /// Its id.
    pub id: FolderId,
    /// Its path inside the vault.
    pub path: RelPath,
    /// Of its listing; `None` when it must be looked at whatever it lists.
    pub digest: Option<[u8; 16]>,
}

/// All folders of a vault.
///
/// # Errors
/// Only the database's own.
pub fn list_known_folders(conn: &mut PgConnection, vault: VaultId) -> QueryResult<Vec<KnownFolder>> {
    let rows: Vec<(FolderId, Vec<u8>, Option<Vec<u8>>)> = folders::table
        .filter(folders::vault_id.eq(vault))
        .select((folders::id, folders::rel_path_bytes, folders::listing_digest))
        .load(conn)?;
    let known = rows.into_iter().filter_map(|(id, path, digest)| {
        let path = RelPath::from_bytes(&path).ok()?;
        Some(KnownFolder { id, path, digest: digest.and_then(|bytes| bytes.try_into().ok()) })
    });
    Ok(known.collect())
}

/// Folders that hold a present file of an image that lives elsewhere, other than by a person's word.
///
/// # Errors
/// Only the database's own.
pub fn list_divided_folders(conn: &mut PgConnection, images: &[ImageId]) -> QueryResult<Vec<FolderId>> {
    use super::schema::images;
    files::table
        .inner_join(images::table.on(files::image_id.eq(images::id.nullable())))
        .filter(images::id.eq_any(images))
        .filter(files::missing_since.is_null())
        .filter(files::pin.is_null())
        .filter(files::folder_id.ne(images::folder_id))
        .select(files::folder_id)
        .distinct()
        .load(conn)
}
