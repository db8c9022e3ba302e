//! What was made to look at, and what still lacks it.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::{
    dsl::{count_star, max, sql},
    prelude::*,
    result::{DatabaseErrorKind, Error},
    sql_types::{Bool, Text},
};

use super::schema::{files, folders, images, pictures, scans, vault_mounts, vaults};
use crate::models::{Cursor, Facts, FileFormat, FileId, FileRole, ImageId, Original, PictureKey, RelPath, VaultId};

/// Everything needed to make the pictures of one image on one host.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureJob {
    /// The image.
    pub image: ImageId,
    /// What its pictures are called now.
    pub key: PictureKey,
    /// What the database says was made or tried last.
    pub made: Option<MadeState>,
    /// Files they may be made from, the one that was chosen for it first.
    pub sources: Vec<PictureFile>,
}

/// The last word on an image's pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeState {
    /// What they were called then.
    pub key: String,
    /// Why there are none.
    pub error: Option<String>,
}

/// One file that pictures may be made from.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureFile {
    /// The file.
    pub id: FileId,
    /// Its vault.
    pub vault: VaultId,
    /// Root of its vault on this host.
    pub mount: PathBuf,
    /// Where it lies in its vault.
    pub path: RelPath,
    /// What it is.
    pub format: FileFormat,
    /// What it is to its image.
    pub role: FileRole,
    /// Size at the last scan, in bytes.
    pub size_bytes: i64,
    /// Time of change at the last scan, nanoseconds since 1970-01-01 UTC.
    pub modified_at_ns: i64,
    /// What it says about itself.
    pub facts: Facts,
    /// Whether it is the image's chosen one.
    pub is_chosen: bool,
}

/// Pictures that are on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPicture {
    /// The image.
    pub image: ImageId,
    /// What they are called.
    pub key: PictureKey,
    /// ThumbHash.
    pub placeholder: Vec<u8>,
    /// Width of the proxy, upright, in pixels.
    pub width_px: u32,
    /// Height of the proxy, upright, in pixels.
    pub height_px: u32,
    /// What they were made from.
    pub source: &'static str,
}

/// True for images whose pictures are not those their key names.
macro_rules! lacks {
    () => {
        images::picture_key.is_not_null().and(sql::<Bool>("pictures.key IS DISTINCT FROM images.picture_key"))
    };
}

/// The next images without pictures after `after`, newest first, of vaults that can be read and are not `passed_over`.
///
/// # Errors
/// When the database fails.
pub fn list_lacking_pictures(
    conn: &mut PgConnection,
    after: Option<Cursor>,
    passed_over: &[VaultId],
    limit: i64,
) -> QueryResult<Vec<Cursor>> {
    let mut query = images::table
        .inner_join(vaults::table.on(vaults::id.eq(images::vault_id)))
        .left_join(pictures::table)
        .filter(lacks!())
        .filter(vaults::offline_since.is_null())
        .filter(images::vault_id.ne_all(passed_over.iter().map(|vault| vault.0).collect::<Vec<_>>()))
        .order((images::captured_at.desc(), images::id.desc()))
        .limit(limit)
        .select((images::captured_at, images::id))
        .into_boxed();
    if let Some(Cursor { captured_at, image }) = after {
        let is_later = images::captured_at.lt(captured_at).or(images::id.lt(image.0));
        query = query.filter(images::captured_at.le(captured_at)).filter(is_later);
    }
    let rows: Vec<(NaiveDateTime, i64)> = query.load(conn)?;
    Ok(rows.into_iter().map(|(captured_at, image)| Cursor { captured_at, image: ImageId(image) }).collect())
}

/// How many images of readable vaults lack pictures.
///
/// # Errors
/// When the database fails.
pub fn count_lacking_pictures(conn: &mut PgConnection) -> QueryResult<i64> {
    images::table
        .inner_join(vaults::table.on(vaults::id.eq(images::vault_id)))
        .left_join(pictures::table)
        .filter(lacks!())
        .filter(vaults::offline_since.is_null())
        .select(count_star())
        .get_result(conn)
}

/// Which of `keys` some image or some record of pictures names.
///
/// # Errors
/// When the database fails.
pub fn list_named_keys(conn: &mut PgConnection, keys: &[&str]) -> QueryResult<HashSet<String>> {
    let of_images = images::table.filter(images::picture_key.eq_any(keys)).select(images::picture_key.assume_not_null());
    let mut named: HashSet<String> = of_images.load::<String>(conn)?.into_iter().collect();
    named.extend(pictures::table.filter(pictures::key.eq_any(keys)).select(pictures::key).load::<String>(conn)?);
    Ok(named)
}

/// A name for this library that no other has, wherever it runs: the cluster's number and the database's in it.
///
/// # Errors
/// When the database fails.
pub fn find_library_id(conn: &mut PgConnection) -> QueryResult<String> {
    let id = "SELECT format('%s-%s', system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AS id FROM pg_control_system()";
    diesel::sql_query(id).get_result::<LibraryId>(conn).map(|row| row.id)
}

#[derive(QueryableByName)]
struct LibraryId {
    #[diesel(sql_type = Text)]
    id: String,
}

/// When a scan last gave a sign of life: images may lack pictures since.
///
/// # Errors
/// When the database fails.
pub fn find_last_scan_beat(conn: &mut PgConnection) -> QueryResult<Option<DateTime<Utc>>> {
    scans::table.select(max(scans::updated_at)).get_result(conn)
}

type FileRow = (i64, i64, Vec<u8>, Vec<u8>, Vec<u8>, String, String, i64, i64, serde_json::Value);

/// What it takes to make an image's pictures on `host`; `None` when there is nothing to show or the image is gone.
///
/// # Errors
/// When the database fails.
pub fn find_picture_job(conn: &mut PgConnection, image: ImageId, host: &str) -> QueryResult<Option<PictureJob>> {
    type ImageRow = (Option<String>, Option<i64>, Option<String>, Option<String>);
    let row: Option<ImageRow> = images::table
        .left_join(pictures::table)
        .filter(images::id.eq(image.0))
        .select((images::picture_key, images::picture_file_id, pictures::key.nullable(), pictures::error.nullable()))
        .first(conn)
        .optional()?;
    let Some((Some(key), chosen, made_key, error)) = row else { return Ok(None) };
    let Ok(key) = key.parse::<PictureKey>() else { return Ok(None) };
    let rows: Vec<FileRow> = files::table
        .inner_join(folders::table)
        .inner_join(vault_mounts::table.on(vault_mounts::vault_id.eq(files::vault_id).and(vault_mounts::host.eq(host))))
        .filter(files::image_id.eq(image.0))
        .filter(files::missing_since.is_null())
        .select((
            files::id,
            files::vault_id,
            vault_mounts::path,
            folders::rel_path_bytes,
            files::name_bytes,
            files::format,
            files::role,
            files::size_bytes,
            files::modified_at_ns,
            files::facts,
        ))
        .order(files::id)
        .load(conn)?;
    let mut sources: Vec<PictureFile> = rows.into_iter().filter_map(|row| picture_file(row, chosen)).collect();
    sources.sort_by_key(|source| !source.is_chosen);
    let made = made_key.map(|key| MadeState { key, error });
    Ok(Some(PictureJob { image, key, made, sources }))
}

/// `None` for a row whose names another version wrote.
fn picture_file(row: FileRow, chosen: Option<i64>) -> Option<PictureFile> {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let (id, vault, mount, folder, name, format, role, size_bytes, modified_at_ns, facts) = row;
    Some(PictureFile {
        id: FileId(id),
        vault: VaultId(vault),
        mount: Path::new(OsStr::from_bytes(&mount)).to_owned(),
        path: RelPath::from_bytes(&folder).ok()?.join(OsStr::from_bytes(&name)).ok()?,
        format: format.parse().ok()?,
        role: role.parse().ok()?,
        size_bytes,
        modified_at_ns,
        // Facts only help to turn the picture; without them the file's own tags do.
        facts: serde_json::from_value(facts).unwrap_or_default(),
        is_chosen: chosen == Some(id),
    })
}

type OriginalRow = (String, String, Vec<u8>, Vec<u8>, String, i64, i64, serde_json::Value, Option<i32>, Option<i32>, Option<String>);

/// The file that an image's current pictures are made from, wherever it is mounted; `None` where there are none yet, or the file is gone.
///
/// # Errors
/// `NotFound` when there is no such image; otherwise when the database fails.
pub fn find_original(conn: &mut PgConnection, image: ImageId) -> QueryResult<Option<Original>> {
    images::table.find(image.0).select(images::id).first::<i64>(conn)?;
    let row: Option<OriginalRow> = images::table
        .inner_join(pictures::table)
        .inner_join(files::table.on(images::picture_file_id.eq(files::id.nullable())))
        .inner_join(folders::table.on(folders::id.eq(files::folder_id)))
        .inner_join(vaults::table.on(vaults::id.eq(files::vault_id)))
        .filter(images::id.eq(image.0))
        .filter(images::picture_key.eq(pictures::key.nullable()))
        .filter(pictures::error.is_null())
        .filter(files::missing_since.is_null())
        .select((
            pictures::key,
            vaults::name,
            folders::rel_path_bytes,
            files::name_bytes,
            files::format,
            files::size_bytes,
            files::modified_at_ns,
            files::facts,
            pictures::width_px,
            pictures::height_px,
            pictures::source,
        ))
        .first(conn)
        .optional()?;
    Ok(row.and_then(original))
}

/// `None` for a row that another version wrote.
fn original(row: OriginalRow) -> Option<Original> {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let (key, vault, folder, name, format, size_bytes, modified_at_ns, facts, width_px, height_px, made_from) = row;
    let facts: Facts = serde_json::from_value(facts).ok()?;
    Some(Original {
        picture: key.parse().ok()?,
        vault,
        path: RelPath::from_bytes(&folder).ok()?.join(OsStr::from_bytes(&name)).ok()?,
        size_bytes,
        modified_at_ns,
        format: format.parse().ok()?,
        orientation: facts.orientation,
        decoder_turns: facts.decoder_turns,
        stored_px: facts.width_px.zip(facts.height_px),
        proxy_px: (u32::try_from(width_px?).ok()?, u32::try_from(height_px?).ok()?),
        made_from: made_from?,
    })
}

/// Records pictures that are on disk. Where the scanner could not read the size, the shape of the picture takes its place in the layout.
///
/// # Errors
/// When the database fails; an image that went away meanwhile is no failure.
pub fn record_picture(conn: &mut PgConnection, picture: &NewPicture) -> QueryResult<()> {
    let ratio_milli = (f64::from(picture.width_px) * 1000.0 / f64::from(picture.height_px.max(1))).round().max(1.0) as i32;
    let recorded = conn.transaction(|conn| {
        upsert(
            conn,
            (
                pictures::image_id.eq(picture.image.0),
                pictures::key.eq(picture.key.as_str()),
                pictures::placeholder.eq(Some(&picture.placeholder)),
                pictures::width_px.eq(Some(picture.width_px as i32)),
                pictures::height_px.eq(Some(picture.height_px as i32)),
                pictures::source.eq(Some(picture.source)),
                pictures::error.eq(None::<&str>),
            ),
        )?;
        let unknown_shape =
            images::table.find(picture.image.0).filter(images::width_px.is_null()).filter(images::ratio_milli.ne(ratio_milli));
        diesel::update(unknown_shape).set(images::ratio_milli.eq(ratio_milli)).execute(conn)
    });
    unless_gone(recorded)
}

/// Records that nothing can be made of the image's files as they are; it is not tried again until they change.
///
/// # Errors
/// When the database fails; an image that went away meanwhile is no failure.
pub fn record_picture_failure(conn: &mut PgConnection, image: ImageId, key: &PictureKey, error: &str) -> QueryResult<()> {
    let recorded = upsert(
        conn,
        (
            pictures::image_id.eq(image.0),
            pictures::key.eq(key.as_str()),
            pictures::placeholder.eq(None::<&Vec<u8>>),
            pictures::width_px.eq(None::<i32>),
            pictures::height_px.eq(None::<i32>),
            pictures::source.eq(None::<&str>),
            pictures::error.eq(Some(error)),
        ),
    );
    unless_gone(recorded)
}

type Values<'a> = (
    diesel::dsl::Eq<pictures::image_id, i64>,
    diesel::dsl::Eq<pictures::key, &'a str>,
    diesel::dsl::Eq<pictures::placeholder, Option<&'a Vec<u8>>>,
    diesel::dsl::Eq<pictures::width_px, Option<i32>>,
    diesel::dsl::Eq<pictures::height_px, Option<i32>>,
    diesel::dsl::Eq<pictures::source, Option<&'a str>>,
    diesel::dsl::Eq<pictures::error, Option<&'a str>>,
);

fn upsert(conn: &mut PgConnection, values: Values<'_>) -> QueryResult<usize> {
    use diesel::upsert::excluded;
    diesel::insert_into(pictures::table)
        .values(values)
        .on_conflict(pictures::image_id)
        .do_update()
        .set((
            pictures::key.eq(excluded(pictures::key)),
            pictures::placeholder.eq(excluded(pictures::placeholder)),
            pictures::width_px.eq(excluded(pictures::width_px)),
            pictures::height_px.eq(excluded(pictures::height_px)),
            pictures::source.eq(excluded(pictures::source)),
            pictures::error.eq(excluded(pictures::error)),
            pictures::made_at.eq(diesel::dsl::now),
        ))
        .execute(conn)
}

fn unless_gone(recorded: QueryResult<usize>) -> QueryResult<()> {
    match recorded {
        Ok(_) | Err(Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => Ok(()),
        Err(error) => Err(error),
    }
}
