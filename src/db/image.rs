//! One image: its page, its neighbours in the gallery, and where its files lie.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, NullableExpressionMethods, PgConnection, QueryDsl, QueryResult, QueryableByName,
    RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Binary, Bool, Double, Integer, Nullable, SmallInt, Text, Timestamp, Timestamptz},
};

use super::{
    gallery::nearest,
    schema::{files, folders, vault_mounts, vaults},
};
use crate::models::{Cursor, Facts, FileFormat, FileId, FileRole, Filter, FolderId, ImageId, RelPath, VaultId};

/// Everything the page of an image tells, without its files.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct ImageRow {
    /// The image.
    #[diesel(sql_type = BigInt)]
    pub id: ImageId,
    /// Its vault.
    #[diesel(sql_type = BigInt)]
    pub vault_id: VaultId,
    /// Its vault's name.
    #[diesel(sql_type = Text)]
    pub vault_name: String,
    /// Since when the vault cannot be read; `None` while it can.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub vault_offline_since: Option<DateTime<Utc>>,
    /// Its folder.
    #[diesel(sql_type = BigInt)]
    pub folder_id: FolderId,
    /// Path of the folder inside the vault, for people; empty for the root.
    #[diesel(sql_type = Text)]
    pub folder_path: String,
    /// Name without suffixes.
    #[diesel(sql_type = Text)]
    pub base_name: String,
    /// Local capture time.
    #[diesel(sql_type = Timestamp)]
    pub captured_at: NaiveDateTime,
    /// The tag it comes from, `file-name` or `file-modified`.
    #[diesel(sql_type = Text)]
    pub captured_at_source: String,
    /// Minutes east of UTC where known.
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub captured_offset_minutes: Option<i16>,
    /// Camera as shown.
    #[diesel(sql_type = Nullable<Text>)]
    pub camera: Option<String>,
    /// Lens as shown.
    #[diesel(sql_type = Nullable<Text>)]
    pub lens: Option<String>,
    /// ISO speed.
    #[diesel(sql_type = Nullable<Integer>)]
    pub iso: Option<i32>,
    /// Aperture as an f-number.
    #[diesel(sql_type = Nullable<Double>)]
    pub f_number: Option<f64>,
    /// Exposure time in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub exposure_s: Option<f64>,
    /// Focal length in millimetres, not converted to 35 mm.
    #[diesel(sql_type = Nullable<Double>)]
    pub focal_length_mm: Option<f64>,
    /// Degrees north.
    #[diesel(sql_type = Nullable<Double>)]
    pub latitude_deg: Option<f64>,
    /// Degrees east.
    #[diesel(sql_type = Nullable<Double>)]
    pub longitude_deg: Option<f64>,
    /// Metres above sea level.
    #[diesel(sql_type = Nullable<Double>)]
    pub altitude_m: Option<f64>,
    /// Upright width in pixels, of the best file.
    #[diesel(sql_type = Nullable<Integer>)]
    pub width_px: Option<i32>,
    /// Upright height in pixels, of the best file.
    #[diesel(sql_type = Nullable<Integer>)]
    pub height_px: Option<i32>,
    /// EXIF orientation, 1..=8.
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub orientation: Option<i16>,
    /// Upright width / height in thousandths.
    #[diesel(sql_type = Integer)]
    pub ratio_milli: i32,
    /// Title.
    #[diesel(sql_type = Nullable<Text>)]
    pub title: Option<String>,
    /// Description or caption.
    #[diesel(sql_type = Nullable<Text>)]
    pub description: Option<String>,
    /// -1 rejected, 0 unrated, 1..=5 stars.
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub rating: Option<i16>,
    /// Flag beside the stars: `none`, `pending` or `picked`.
    #[diesel(sql_type = Text)]
    pub pick: String,
    /// `none`, `red`, `yellow`, `green`, `blue` or `purple`.
    #[diesel(sql_type = Text)]
    pub color_label: String,
    /// City of the place.
    #[diesel(sql_type = Nullable<Text>)]
    pub city: Option<String>,
    /// State, province or region of the place.
    #[diesel(sql_type = Nullable<Text>)]
    pub state: Option<String>,
    /// Country of the place.
    #[diesel(sql_type = Nullable<Text>)]
    pub country: Option<String>,
    /// ISO 3166 code of the country.
    #[diesel(sql_type = Nullable<Text>)]
    pub country_code: Option<String>,
    /// Town at the coordinates, whatever a file or a person says.
    #[diesel(sql_type = Nullable<Text>)]
    pub gps_city: Option<String>,
    /// Its state, province or region.
    #[diesel(sql_type = Nullable<Text>)]
    pub gps_state: Option<String>,
    /// Its country.
    #[diesel(sql_type = Nullable<Text>)]
    pub gps_country: Option<String>,
    /// ISO 3166 code of the country.
    #[diesel(sql_type = Nullable<Text>)]
    pub gps_country_code: Option<String>,
    /// Flat keywords.
    #[diesel(sql_type = Array<Text>)]
    pub keywords: Vec<String>,
    /// Hierarchical keywords, `|` between levels.
    #[diesel(sql_type = Array<Text>)]
    pub hierarchical_keywords: Vec<String>,
    /// Files of the image.
    #[diesel(sql_type = Integer)]
    pub file_count: i32,
    /// Bytes of all its files.
    #[diesel(sql_type = BigInt)]
    pub total_size_bytes: i64,
    /// What follows the base name in its files' names.
    #[diesel(sql_type = Array<Text>)]
    pub suffixes: Vec<String>,
    /// A RAW is among its files.
    #[diesel(sql_type = Bool)]
    pub has_raw: bool,
    /// A JPEG is among its files.
    #[diesel(sql_type = Bool)]
    pub has_jpeg: bool,
    /// A sidecar is among its files.
    #[diesel(sql_type = Bool)]
    pub has_sidecar: bool,
    /// A video of its own.
    #[diesel(sql_type = Bool)]
    pub is_video: bool,
    /// Gone from its healthy vault.
    #[diesel(sql_type = Bool)]
    pub is_missing: bool,
    /// Why these files are one image; `person` when a person said so.
    #[diesel(sql_type = Text)]
    pub grouping_rule: String,
    /// Names the pictures; `None` when there is nothing to show.
    #[diesel(sql_type = Nullable<Text>)]
    pub picture_key: Option<String>,
    /// ThumbHash of the current picture.
    #[diesel(sql_type = Nullable<Binary>)]
    pub placeholder: Option<Vec<u8>>,
    /// Why no picture could be made.
    #[diesel(sql_type = Nullable<Text>)]
    pub picture_error: Option<String>,
}

/// An image and its files.
#[derive(Debug, Clone, PartialEq)]
pub struct ImagePage {
    /// The image itself.
    pub image: ImageRow,
    /// Its files: masters first, sidecars last, then by name.
    pub files: Vec<ImageFile>,
}

/// One file of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageFile {
    /// The file.
    pub id: FileId,
    /// File name for people.
    pub name: String,
    /// Path inside the vault, for people.
    pub rel_path: String,
    /// What it is to its image.
    pub role: FileRole,
    /// What it is.
    pub format: FileFormat,
    /// Size in bytes.
    pub size_bytes: i64,
    /// When its bytes last changed.
    pub modified_at: DateTime<Utc>,
    /// Stored width in pixels, before orientation.
    pub width_px: Option<u32>,
    /// Stored height in pixels, before orientation.
    pub height_px: Option<u32>,
    /// Why it could not be read, whole or in part.
    pub error: Option<String>,
    /// Since when a healthy vault is without it.
    pub missing_since: Option<DateTime<Utc>>,
    /// BLAKE3 of size, head and tail, as 32 hexadecimal digits.
    pub fingerprint: Option<String>,
    /// What the file itself says.
    pub facts: Facts,
}

type FileColumns =
    (FileId, String, String, String, String, i64, i64, Option<String>, Option<DateTime<Utc>>, Option<Vec<u8>>, serde_json::Value);

/// Finds an image with its files.
///
/// # Errors
/// `NotFound` when there is no such image; otherwise when the database fails.
pub fn find_image(conn: &mut PgConnection, id: ImageId) -> QueryResult<ImagePage> {
    let image: ImageRow = sql_query(include_str!("image.sql")).bind::<BigInt, _>(id).get_result(conn)?;
    let rows: Vec<FileColumns> = files::table
        .inner_join(folders::table)
        .filter(files::image_id.eq(id))
        .order((files::name, files::id))
        .select((
            files::id,
            files::name,
            folders::rel_path,
            files::role,
            files::format,
            files::size_bytes,
            files::modified_at_ns,
            files::error,
            files::missing_since,
            files::fingerprint,
            files::facts,
        ))
        .load(conn)?;
    let mut files = rows.into_iter().map(image_file).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    files.sort_by_key(|file| file.role);
    Ok(ImagePage { image, files })
}

fn image_file(row: FileColumns) -> Result<ImageFile, Box<dyn std::error::Error + Send + Sync>> {
    let (id, name, folder, role, format, size_bytes, modified_at_ns, error, missing_since, fingerprint, facts) = row;
    let facts: Facts = serde_json::from_value(facts)?;
    Ok(ImageFile {
        id,
        rel_path: if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") },
        name,
        role: role.parse()?,
        format: format.parse()?,
        size_bytes,
        modified_at: DateTime::from_timestamp_nanos(modified_at_ns),
        width_px: facts.width_px,
        height_px: facts.height_px,
        error,
        missing_since,
        fingerprint: fingerprint.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        facts,
    })
}

/// A row holds what this program never writes.
pub(super) fn unreadable(error: Box<dyn std::error::Error + Send + Sync>) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(error)
}

/// The images before and after one in a filtered gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Neighbours {
    /// The next one towards the present.
    pub newer: Option<ImageId>,
    /// The next one towards the past.
    pub older: Option<ImageId>,
}

/// Finds the neighbours of an image among those that pass the filter; the image itself need not pass.
///
/// # Errors
/// `NotFound` when there is no such image; otherwise when the database fails.
pub fn neighbours(conn: &mut PgConnection, id: ImageId, filter: &Filter) -> QueryResult<Neighbours> {
    let place = find_cursor(conn, id)?;
    let (newer, older) = nearest(conn, filter, place)?;
    Ok(Neighbours { newer, older })
}

/// Finds an image's place in the timeline.
///
/// # Errors
/// `NotFound` when there is no such image; otherwise when the database fails.
pub fn find_cursor(conn: &mut PgConnection, id: ImageId) -> QueryResult<Cursor> {
    use super::schema::images;
    let captured_at = images::table.filter(images::id.eq(id)).select(images::captured_at).first(conn)?;
    Ok(Cursor { captured_at, image: id })
}

/// What a picture request needs to know of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureState {
    /// Names the pictures the image should have; `None` when there is nothing to show.
    pub key: Option<String>,
    /// Whether they were tried with this key.
    pub is_made: bool,
    /// Why that failed.
    pub error: Option<String>,
}

/// Finds how far an image's pictures are.
///
/// # Errors
/// `NotFound` when there is no such image; otherwise when the database fails.
pub fn find_picture_state(conn: &mut PgConnection, id: ImageId) -> QueryResult<PictureState> {
    use super::schema::{images, pictures};
    let (key, made, error): (Option<String>, Option<String>, Option<String>) = images::table
        .left_join(pictures::table)
        .filter(images::id.eq(id))
        .select((images::picture_key, pictures::key.nullable(), pictures::error.nullable()))
        .first(conn)?;
    let is_made = key.is_some() && key == made;
    Ok(PictureState { key, is_made, error: error.filter(|_| is_made) })
}

/// What is needed to open an original on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLocation {
    /// Its vault's name.
    pub vault_name: String,
    /// Why the vault cannot be read, if it cannot.
    pub offline: Option<String>,
    /// Where this host mounts the vault; `None` when it does not.
    pub mount: Option<PathBuf>,
    /// Path inside the vault.
    pub path: RelPath,
    /// What it is.
    pub format: FileFormat,
    /// Size in bytes.
    pub size_bytes: i64,
    /// When its bytes last changed, in nanoseconds since 1970-01-01 UTC.
    pub modified_at_ns: i64,
    /// Since when a healthy vault is without it.
    pub missing_since: Option<DateTime<Utc>>,
}

impl FileLocation {
    /// Exact file name.
    pub fn file_name(&self) -> &OsStr {
        self.path.file_name()
    }
}

type LocationColumns =
    (String, Option<DateTime<Utc>>, Option<String>, Option<Vec<u8>>, Vec<u8>, Vec<u8>, String, i64, i64, Option<DateTime<Utc>>);

/// Finds where a file lies on the host with this name.
///
/// # Errors
/// `NotFound` when there is no such file; otherwise when the database fails.
pub fn find_file_location(conn: &mut PgConnection, id: FileId, host: &str) -> QueryResult<FileLocation> {
    let on_this_host = vault_mounts::vault_id.eq(vaults::id).and(vault_mounts::host.eq(host));
    let row: LocationColumns = files::table
        .inner_join(folders::table)
        .inner_join(vaults::table.on(vaults::id.eq(files::vault_id)))
        .left_join(vault_mounts::table.on(on_this_host))
        .filter(files::id.eq(id))
        .select((
            vaults::name,
            vaults::offline_since,
            vaults::offline_reason,
            vault_mounts::path.nullable(),
            folders::rel_path_bytes,
            files::name_bytes,
            files::format,
            files::size_bytes,
            files::modified_at_ns,
            files::missing_since,
        ))
        .first(conn)?;
    location(row).map_err(unreadable)
}

fn location(row: LocationColumns) -> Result<FileLocation, Box<dyn std::error::Error + Send + Sync>> {
    let (vault_name, offline_since, reason, mount, folder, name, format, size_bytes, modified_at_ns, missing_since) = row;
    Ok(FileLocation {
        vault_name,
        offline: offline_since.map(|_| reason.unwrap_or_else(|| "the vault cannot be read".to_owned())),
        mount: mount.map(|bytes| PathBuf::from(OsString::from_vec(bytes))),
        path: RelPath::from_bytes(&folder)?.join(OsStr::from_bytes(&name))?,
        format: format.parse()?,
        size_bytes,
        modified_at_ns,
        missing_since,
    })
}
