//! What a scan writes: folders, files and images, many at a time, inside the caller's transaction.
//!
//! Rows travel as one JSON parameter: one round trip a batch, whatever its size, and every value bound.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDateTime;
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Binary, Integer, Nullable, Text},
};
use serde::Serialize;

use super::schema::{cameras, files, folders, lenses};
use crate::models::{
    Facts, FileId, FileRole, FolderId, ImageId, RelPath, VaultId,
    edit::{ColorLabel, Pick, Place},
};

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

/// A folder may hold a million files; one parameter may not.
const ROWS_A_STATEMENT: usize = 2000;

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

/// Lets this session's commits return before they are on disk: a scan makes thousands of small ones. After a power cut the last
/// half second of it may be gone, whole and without harm; the next scan finds the same files again.
///
/// # Errors
/// Only the database's own.
pub fn prefer_speed(conn: &mut PgConnection) -> QueryResult<()> {
    diesel::sql_query("SET synchronous_commit = off").execute(conn).map(|_| ())
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

/// Makes those of `paths` that `known`, the caller's memory, lacks, their parents first; afterwards `known` has them all.
///
/// One statement for each level of the tree: a statement for each folder would wait for the disk as often.
///
/// # Errors
/// Only the database's own.
pub fn ensure_folders<'a>(
    conn: &mut PgConnection,
    vault: VaultId,
    paths: impl Iterator<Item = &'a RelPath>,
    known: &mut HashMap<RelPath, FolderId>,
) -> QueryResult<()> {
    let mut lacking: BTreeSet<(usize, RelPath)> = BTreeSet::new();
    for path in paths {
        let mut next = Some(path.clone());
        while let Some(path) = next.take().filter(|path| !known.contains_key(path)) {
            next = path.parent();
            if !lacking.insert((depth(&path), path)) {
                break;
            }
        }
    }
    let lacking: Vec<(usize, RelPath)> = lacking.into_iter().collect();
    for level in lacking.chunk_by(|one, other| one.0 == other.0) {
        let row = |(_, path): &(usize, RelPath)| {
            let name = RelPath::from_bytes(path.file_name().as_encoded_bytes()).map_or_else(|_| String::new(), |name| name.to_nfc());
            let parent = path.parent().map(|parent| known[&parent]);
            ((parent, path.as_bytes().to_vec()), (clean(&path.to_nfc()), clean(&name)))
        };
        type Columns = ((Vec<Option<FolderId>>, Vec<Vec<u8>>), (Vec<String>, Vec<String>));
        let ((parents, exact), (shown, names)): Columns = level.iter().map(row).unzip();
        let rows: Vec<FolderRow> = diesel::sql_query(include_str!("ensure_folders.sql"))
            .bind::<BigInt, _>(vault)
            .bind::<Array<Nullable<BigInt>>, _>(parents)
            .bind::<Array<Binary>, _>(exact)
            .bind::<Array<Text>, _>(shown)
            .bind::<Array<Text>, _>(names)
            .load(conn)?;
        known.extend(rows.into_iter().filter_map(|row| Some((RelPath::from_bytes(&row.rel_path_bytes).ok()?, row.id))));
    }
    Ok(())
}

#[derive(QueryableByName)]
struct FolderRow {
    #[diesel(sql_type = BigInt)]
    id: FolderId,
    #[diesel(sql_type = Binary)]
    rel_path_bytes: Vec<u8>,
}

/// Folders above a path; 0 for the root.
fn depth(path: &RelPath) -> usize {
    if path.is_root() { 0 } else { 1 + path.as_bytes().iter().filter(|byte| **byte == b'/').count() }
}

/// Records of each folder that everything its listing said has been written, or that it has to be looked at again.
///
/// # Errors
/// Only the database's own.
pub fn record_digests(conn: &mut PgConnection, digests: &[(FolderId, Option<[u8; 16]>)]) -> QueryResult<()> {
    let (folders, digests): (Vec<FolderId>, Vec<Option<&[u8]>>) =
        digests.iter().map(|(folder, digest)| (*folder, digest.as_ref().map(<[u8; 16]>::as_slice))).unzip();
    diesel::sql_query(
        "UPDATE folders SET listing_digest = d.digest FROM unnest($1::bigint[], $2::bytea[]) AS d (id, digest) \
         WHERE folders.id = d.id AND folders.listing_digest IS DISTINCT FROM d.digest",
    )
    .bind::<Array<BigInt>, _>(folders)
    .bind::<Array<Nullable<Binary>>, _>(digests)
    .execute(conn)
    .map(|_| ())
}

/// Which table ids are taken from.
#[derive(Debug, Clone, Copy)]
pub enum Sequence {
    /// `images.id`.
    Images,
    /// `files.id`.
    Files,
}

/// Takes `count` fresh ids.
///
/// # Errors
/// Only the database's own.
pub fn allocate_ids(conn: &mut PgConnection, sequence: Sequence, count: usize) -> QueryResult<Vec<i64>> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    let table = match sequence {
        Sequence::Images => "images",
        Sequence::Files => "files",
    };
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let rows: Vec<Id> = diesel::sql_query("SELECT nextval(pg_get_serial_sequence($1, 'id')) AS id FROM generate_series(1, $2)")
        .bind::<Text, _>(table)
        .bind::<Integer, _>(count)
        .load(conn)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// An image as a scan writes it; columns as in the table.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct ImageWrite {
    pub id: ImageId,
    pub folder_id: FolderId,
    pub base_name: String,
    pub captured_at: NaiveDateTime,
    pub captured_at_source: String,
    pub captured_offset_minutes: Option<i16>,
    pub camera_id: Option<i32>,
    pub lens_id: Option<i32>,
    pub iso: Option<i32>,
    pub f_number: Option<f64>,
    pub exposure_s: Option<f64>,
    pub focal_length_mm: Option<f64>,
    pub latitude_deg: Option<f64>,
    pub longitude_deg: Option<f64>,
    pub altitude_m: Option<f64>,
    pub width_px: Option<i32>,
    pub height_px: Option<i32>,
    pub orientation: Option<u8>,
    pub ratio_milli: i32,
    pub title: Option<String>,
    pub description: Option<String>,
    pub rating: Option<i8>,
    pub keywords: Vec<String>,
    pub hierarchical_keywords: Vec<String>,
    pub file_count: i32,
    pub total_size_bytes: i64,
    pub suffixes: Vec<String>,
    pub has_raw: bool,
    pub has_jpeg: bool,
    pub has_sidecar: bool,
    pub is_video: bool,
    pub grouping_rule: &'static str,
    pub picture_file_id: Option<FileId>,
    pub picture_key: Option<String>,
    pub search_words: Vec<String>,
    pub pick: Pick,
    pub color_label: ColorLabel,
    #[serde(flatten)]
    pub place: Place,
}

/// A file as a scan writes it; columns as in the table.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct FileWrite {
    pub id: FileId,
    pub folder_id: FolderId,
    pub image_id: Option<ImageId>,
    pub name_hex: String,
    pub name: String,
    pub format: &'static str,
    pub role: &'static str,
    pub size_bytes: i64,
    pub modified_at_ns: i64,
    pub fingerprint_hex: Option<String>,
    pub facts: Facts,
    pub error: Option<String>,
}

/// Writes images, new and known.
///
/// # Errors
/// Only the database's own.
pub fn upsert_images(conn: &mut PgConnection, vault: VaultId, images: &[ImageWrite]) -> QueryResult<()> {
    upsert(conn, include_str!("upsert_images.sql"), vault, images)
}

/// Writes files, new and known; a missing one that is written is back.
///
/// # Errors
/// Only the database's own.
pub fn upsert_files(conn: &mut PgConnection, vault: VaultId, files: &[FileWrite]) -> QueryResult<()> {
    upsert(conn, include_str!("upsert_files.sql"), vault, files)
}

fn upsert<T: Serialize>(conn: &mut PgConnection, sql: &str, vault: VaultId, rows: &[T]) -> QueryResult<()> {
    for rows in rows.chunks(ROWS_A_STATEMENT) {
        upsert_some(conn, sql, vault, rows)?;
    }
    Ok(())
}

fn upsert_some<T: Serialize>(conn: &mut PgConnection, sql: &str, vault: VaultId, rows: &[T]) -> QueryResult<()> {
    let bad = |error: serde_json::Error| diesel::result::Error::SerializationError(error.into());
    let mut json = serde_json::to_string(rows).map_err(bad)?;
    // PostgreSQL's text cannot hold NUL; a name or a caption of a hostile file can.
    if json.contains("\\u0000") {
        let mut value: serde_json::Value = serde_json::from_str(&json).map_err(bad)?;
        strip_nul(&mut value);
        json = value.to_string();
    }
    diesel::sql_query(sql).bind::<Text, _>(json).bind::<BigInt, _>(vault).execute(conn).map(|_| ())
}

fn strip_nul(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => *text = clean(text),
        serde_json::Value::Array(values) => values.iter_mut().for_each(strip_nul),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(strip_nul),
        _ => {}
    }
}

fn clean(text: &str) -> String {
    text.replace('\0', "")
}

/// Gives files that change their names a name nobody has, so that renames in a ring do not collide on the way.
///
/// # Errors
/// Only the database's own.
pub fn park_names(conn: &mut PgConnection, moved: &[FileId]) -> QueryResult<()> {
    if moved.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = moved.iter().map(|id| id.0).collect();
    diesel::sql_query("UPDATE files SET name_bytes = convert_to('/' || id, 'UTF8') WHERE id = ANY ($1)")
        .bind::<Array<BigInt>, _>(ids)
        .execute(conn)
        .map(|_| ())
}

/// Marks files as gone from a healthy vault; those already marked keep their time.
///
/// # Errors
/// Only the database's own.
pub fn record_missing(conn: &mut PgConnection, gone: &[FileId]) -> QueryResult<()> {
    diesel::update(files::table.filter(files::id.eq_any(gone)).filter(files::missing_since.is_null()))
        .set(files::missing_since.eq(diesel::dsl::now))
        .execute(conn)
        .map(|_| ())
}

/// After files left these images: empties go, those with nothing to show are marked missing.
///
/// # Errors
/// Only the database's own.
pub fn settle_images(conn: &mut PgConnection, images: &[ImageId]) -> QueryResult<()> {
    if images.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = images.iter().map(|id| id.0).collect();
    diesel::sql_query(include_str!("settle_images.sql")).bind::<Array<BigInt>, _>(ids).execute(conn).map(|_| ())
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

/// The id of a camera by its shown name.
///
/// # Errors
/// Only the database's own.
pub fn ensure_camera(conn: &mut PgConnection, make: &str, model: &str, name: &str) -> QueryResult<i32> {
    diesel::insert_into(cameras::table)
        .values((cameras::make.eq(clean(make)), cameras::model.eq(clean(model)), cameras::name.eq(clean(name))))
        .on_conflict(cameras::name)
        .do_nothing()
        .execute(conn)?;
    cameras::table.filter(cameras::name.eq(clean(name))).select(cameras::id).get_result(conn)
}

/// The id of a lens by its name.
///
/// # Errors
/// Only the database's own.
pub fn ensure_lens(conn: &mut PgConnection, name: &str) -> QueryResult<i32> {
    diesel::insert_into(lenses::table).values(lenses::name.eq(clean(name))).on_conflict(lenses::name).do_nothing().execute(conn)?;
    lenses::table.filter(lenses::name.eq(clean(name))).select(lenses::id).get_result(conn)
}
