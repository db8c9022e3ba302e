//! What a scan writes: a batch of folders with their images and files, whole or not at all.
//!
//! Rows that nobody has seen before travel as a binary `COPY`, the cheapest way in: no text to parse, no look for an older row.
//! Rows that are there already travel as one JSON parameter to an upsert. Both are made of the same [`ImageWrite`] and
//! [`FileWrite`], whose fields are the columns. Ids are taken from the sequences beforehand, so that all that refers to a row is
//! known before anything is written.

use chrono::NaiveDateTime;
use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{Array, BigInt, Binary, Integer, Nullable, Text},
};
use serde::{Serialize, Serializer};

pub use super::columns::{FactsColumn, PlainText, SearchWords};
use super::{
    edits::follow_scan,
    quick_transaction,
    schema::{files, images},
};
use crate::models::{FileId, FolderId, ImageId, RelPath, VaultId};

/// A folder may hold a million files; one parameter may not.
const ROWS_A_STATEMENT: usize = 2000;

/// Any number nobody else uses: scans of several vaults take turns in writing, because they count the same days and facets.
const WRITING_LOCK: i64 = 0x686d_7772_6974;

/// Folders with all that was found in them.
#[derive(Debug, Default)]
pub struct Batch {
    /// Folders that are new, parents before children.
    pub folders: Vec<FolderWrite>,
    /// Images, new and changed.
    pub images: Vec<ImageWrite>,
    /// Files, new and changed; a missing one that is written is back.
    pub files: Vec<FileWrite>,
    /// Files that give up their names before others are written.
    pub renamed: Vec<FileId>,
    /// Files that are gone from a healthy vault.
    pub gone: Vec<FileId>,
    /// Files that are gone, and whose name another file of the batch has taken.
    pub replaced: Vec<FileId>,
    /// Images that files left.
    pub left: Vec<ImageId>,
    /// Where files went that left an image for another: from, to.
    pub moves: Vec<(ImageId, ImageId)>,
    /// Folders known before whose listing has been written, or has to be looked at again.
    pub digests: Vec<(FolderId, Option<[u8; 16]>)>,
}

/// Writes a batch in one transaction.
///
/// # Errors
/// Only the database's own; then nothing of the batch is written.
pub fn write_batch(conn: &mut PgConnection, batch: &Batch) -> QueryResult<()> {
    quick_transaction(conn, |conn| {
        take_turn(conn)?;
        // Foreign keys are checked by plans that this session makes once: made while a table was small, they would read all of it
        // for every row, also when it has grown.
        conn.batch_execute("SET LOCAL enable_seqscan = off")?;
        insert_folders(conn, &batch.folders)?;
        park_names(conn, &batch.renamed)?;
        give_up_names(conn, &batch.replaced)?;
        write_images(conn, &batch.images)?;
        write_files(conn, &batch.files)?;
        record_missing(conn, &batch.gone)?;
        let rewritten: Vec<ImageId> = batch.images.iter().filter(|image| !image.is_new).map(|image| image.id).collect();
        follow_scan(conn, &rewritten, &batch.moves)?;
        settle_images(conn, &batch.left)?;
        record_digests(conn, &batch.digests)
    })
}

fn take_turn(conn: &mut PgConnection) -> QueryResult<()> {
    diesel::sql_query("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(WRITING_LOCK).execute(conn).map(|_| ())
}

/// A folder that nobody has seen before.
#[derive(Debug, Clone)]
pub struct FolderWrite {
    /// Its id, as allocated.
    pub id: FolderId,
    /// Its vault.
    pub vault_id: VaultId,
    /// The folder above, known or in the same batch; `None` for the root.
    pub parent: Option<FolderId>,
    /// Path inside the vault.
    pub path: RelPath,
    /// Of its listing, where the batch holds all of it.
    pub digest: Option<[u8; 16]>,
}

/// An image as a scan writes it; columns as in the table.
#[derive(Debug, Clone, Serialize, Insertable)]
#[diesel(table_name = images, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct ImageWrite {
    /// No row has this id yet.
    #[serde(skip)]
    #[diesel(skip_insertion)]
    pub is_new: bool,
    pub id: ImageId,
    pub vault_id: VaultId,
    pub folder_id: FolderId,
    pub base_name: PlainText,
    pub captured_at: NaiveDateTime,
    pub captured_at_source: PlainText,
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
    pub orientation: Option<i16>,
    pub ratio_milli: i32,
    pub title: Option<PlainText>,
    pub description: Option<PlainText>,
    pub rating: Option<i16>,
    pub keywords: Vec<PlainText>,
    pub hierarchical_keywords: Vec<PlainText>,
    pub file_count: i32,
    pub total_size_bytes: i64,
    pub suffixes: Vec<PlainText>,
    pub has_raw: bool,
    pub has_jpeg: bool,
    pub has_sidecar: bool,
    pub is_video: bool,
    pub grouping_rule: &'static str,
    pub picture_file_id: Option<FileId>,
    pub picture_key: Option<PlainText>,
    pub search_words: SearchWords,
    pub pick: &'static str,
    pub color_label: &'static str,
    pub city: Option<PlainText>,
    pub state: Option<PlainText>,
    pub country: Option<PlainText>,
    pub country_code: Option<PlainText>,
    pub gps_city: Option<PlainText>,
    pub gps_state: Option<PlainText>,
    pub gps_country: Option<PlainText>,
    pub gps_country_code: Option<PlainText>,
    pub gps_edition: Option<i16>,
}

/// A file as a scan writes it; columns as in the table.
#[derive(Debug, Clone, Serialize, Insertable)]
#[diesel(table_name = files, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct FileWrite {
    /// No row has this id yet.
    #[serde(skip)]
    #[diesel(skip_insertion)]
    pub is_new: bool,
    pub id: FileId,
    pub vault_id: VaultId,
    pub folder_id: FolderId,
    pub image_id: Option<ImageId>,
    #[serde(serialize_with = "as_bytea")]
    pub name_bytes: Vec<u8>,
    pub name: PlainText,
    pub format: &'static str,
    pub role: &'static str,
    pub size_bytes: i64,
    pub modified_at_ns: i64,
    #[serde(serialize_with = "as_optional_bytea")]
    pub fingerprint: Option<Vec<u8>>,
    pub facts: FactsColumn,
    pub error: Option<PlainText>,
}

/// Bytes as PostgreSQL reads them from text.
fn as_bytea<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes any text");
    }
    serializer.serialize_str(&text)
}

fn as_optional_bytea<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => as_bytea(bytes, serializer),
        None => serializer.serialize_none(),
    }
}

fn insert_folders(conn: &mut PgConnection, folders: &[FolderWrite]) -> QueryResult<()> {
    for folders in folders.chunks(ROWS_A_STATEMENT) {
        let name =
            |path: &RelPath| RelPath::from_bytes(path.file_name().as_encoded_bytes()).map_or_else(|_| String::new(), |name| name.to_nfc());
        let text = |text: String| PlainText::from(text);
        diesel::sql_query(include_str!("insert_folders.sql"))
            .bind::<Array<BigInt>, _>(folders.iter().map(|folder| folder.id).collect::<Vec<_>>())
            .bind::<Array<BigInt>, _>(folders.iter().map(|folder| folder.vault_id).collect::<Vec<_>>())
            .bind::<Array<Nullable<BigInt>>, _>(folders.iter().map(|folder| folder.parent).collect::<Vec<_>>())
            .bind::<Array<Binary>, _>(folders.iter().map(|folder| folder.path.as_bytes()).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(folders.iter().map(|folder| text(folder.path.to_nfc())).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(folders.iter().map(|folder| text(name(&folder.path))).collect::<Vec<_>>())
            .bind::<Array<Nullable<Binary>>, _>(
                folders.iter().map(|folder| folder.digest.as_ref().map(<[u8; 16]>::as_slice)).collect::<Vec<_>>(),
            )
            .execute(conn)?;
    }
    Ok(())
}

fn write_images(conn: &mut PgConnection, rows: &[ImageWrite]) -> QueryResult<()> {
    let (new, known): (Vec<&ImageWrite>, Vec<&ImageWrite>) = rows.iter().partition(|image| image.is_new);
    if !new.is_empty() {
        diesel::copy_from(images::table).from_insertable(new).execute(conn)?;
    }
    upsert(conn, include_str!("upsert_images.sql"), &known)
}

fn write_files(conn: &mut PgConnection, rows: &[FileWrite]) -> QueryResult<()> {
    let (new, known): (Vec<&FileWrite>, Vec<&FileWrite>) = rows.iter().partition(|file| file.is_new);
    if !new.is_empty() {
        diesel::copy_from(files::table).from_insertable(new).execute(conn)?;
    }
    upsert(conn, include_str!("upsert_files.sql"), &known)
}

fn upsert<T: Serialize>(conn: &mut PgConnection, sql: &str, rows: &[T]) -> QueryResult<()> {
    for rows in rows.chunks(ROWS_A_STATEMENT) {
        let json = serde_json::to_string(rows).map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
        diesel::sql_query(sql).bind::<Text, _>(json).execute(conn)?;
    }
    Ok(())
}

/// Gives files that change their names a name nobody has, so that renames in a ring do not collide on the way.
fn park_names(conn: &mut PgConnection, moved: &[FileId]) -> QueryResult<()> {
    if moved.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = moved.iter().map(|id| id.0).collect();
    diesel::sql_query("UPDATE files SET name_bytes = convert_to('/' || id, 'UTF8') WHERE id = ANY ($1)")
        .bind::<Array<BigInt>, _>(ids)
        .execute(conn)
        .map(|_| ())
}

/// Gives missing files a name beside their own, for good: a name belongs to one file of a folder, and another one has it now.
fn give_up_names(conn: &mut PgConnection, replaced: &[FileId]) -> QueryResult<()> {
    if replaced.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = replaced.iter().map(|id| id.0).collect();
    diesel::sql_query("UPDATE files SET name_bytes = name_bytes || convert_to(' (replaced ' || id || ')', 'UTF8') WHERE id = ANY ($1)")
        .bind::<Array<BigInt>, _>(ids)
        .execute(conn)
        .map(|_| ())
}

/// Marks files as gone from a healthy vault; those already marked keep their time.
fn record_missing(conn: &mut PgConnection, gone: &[FileId]) -> QueryResult<()> {
    if gone.is_empty() {
        return Ok(());
    }
    diesel::update(files::table.filter(files::id.eq_any(gone)).filter(files::missing_since.is_null()))
        .set(files::missing_since.eq(diesel::dsl::now))
        .execute(conn)
        .map(|_| ())
}

/// After files left these images: empties go, those with nothing to show are marked missing.
fn settle_images(conn: &mut PgConnection, images: &[ImageId]) -> QueryResult<()> {
    if images.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = images.iter().map(|id| id.0).collect();
    diesel::sql_query(include_str!("settle_images.sql")).bind::<Array<BigInt>, _>(ids).execute(conn).map(|_| ())
}

/// Records of each folder that everything its listing said has been written, or that it has to be looked at again.
fn record_digests(conn: &mut PgConnection, digests: &[(FolderId, Option<[u8; 16]>)]) -> QueryResult<()> {
    if digests.is_empty() {
        return Ok(());
    }
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
    /// `folders.id`.
    Folders,
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
        Sequence::Folders => "folders",
        Sequence::Images => "images",
        Sequence::Files => "files",
    };
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    // The name of the sequence is looked up once, not for every number.
    let sql = "WITH s AS MATERIALIZED (SELECT pg_get_serial_sequence($1, 'id')::regclass AS name) \
               SELECT nextval(s.name) AS id FROM s, generate_series(1, $2)";
    let rows: Vec<Id> = diesel::sql_query(sql).bind::<Text, _>(table).bind::<Integer, _>(count).load(conn)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// A camera by what it calls itself, and by the name it is shown under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CameraWrite {
    /// As shown: one camera a name.
    pub name: String,
    /// Maker.
    pub make: String,
    /// Model.
    pub model: String,
}

/// The ids of cameras and of lenses, each in the order given; those that are new are made.
///
/// # Errors
/// Only the database's own.
pub fn ensure_names(conn: &mut PgConnection, cameras: &[CameraWrite], lenses: &[String]) -> QueryResult<(Vec<i32>, Vec<i32>)> {
    let texts = |text: fn(&CameraWrite) -> &String| cameras.iter().map(|camera| PlainText::from(text(camera).as_str())).collect::<Vec<_>>();
    let camera_names = texts(|camera| &camera.name);
    let lens_names: Vec<PlainText> = lenses.iter().map(|lens| PlainText::from(lens.as_str())).collect();
    quick_transaction(conn, |conn| {
        take_turn(conn)?;
        diesel::sql_query(
            "INSERT INTO cameras (make, model, name) SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT (name) DO NOTHING",
        )
        .bind::<Array<Text>, _>(texts(|camera| &camera.make))
        .bind::<Array<Text>, _>(texts(|camera| &camera.model))
        .bind::<Array<Text>, _>(&camera_names)
        .execute(conn)?;
        diesel::sql_query("INSERT INTO lenses (name) SELECT * FROM unnest($1::text[]) ON CONFLICT (name) DO NOTHING")
            .bind::<Array<Text>, _>(&lens_names)
            .execute(conn)?;
        Ok((ids_of(conn, "cameras", &camera_names)?, ids_of(conn, "lenses", &lens_names)?))
    })
}

/// Ids by unique name, in the order given.
fn ids_of(conn: &mut PgConnection, table: &'static str, names: &[PlainText]) -> QueryResult<Vec<i32>> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = Integer)]
        id: i32,
    }
    let sql =
        format!("SELECT t.id FROM unnest($1::text[]) WITH ORDINALITY AS w (name, place) JOIN {table} AS t USING (name) ORDER BY w.place");
    let rows: Vec<Id> = diesel::sql_query(sql).bind::<Array<Text>, _>(names).load(conn)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
