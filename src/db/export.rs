//! The whole library in order, or what of it passes a filter, some thousand rows at a time: for tables, lists and archives.

use chrono::NaiveDateTime;
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Binary, Bool, Double, Integer, Nullable, SmallInt, Text, Timestamp},
};

use super::{
    QueryError,
    sql::{Sql, Value, Wanted},
};
use crate::models::{Filter, ImageId};

/// Rows asked for at a time; bounds memory.
const ROWS_A_FETCH: usize = 2000;

/// One image that is there.
#[derive(Debug, QueryableByName)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct ExportedImage {
    #[diesel(sql_type = BigInt)]
    pub image_index: i64,
    #[diesel(sql_type = Text)]
    pub base_name: String,
    #[diesel(sql_type = Text)]
    pub subdirectory: String,
    #[diesel(sql_type = Integer)]
    pub file_count: i32,
    #[diesel(sql_type = Array<Text>)]
    pub suffixes: Vec<String>,
    #[diesel(sql_type = BigInt)]
    pub total_size_bytes: i64,
    #[diesel(sql_type = Bool)]
    pub has_raw: bool,
    #[diesel(sql_type = Bool)]
    pub has_jpeg: bool,
    #[diesel(sql_type = Bool)]
    pub has_sidecar: bool,
    #[diesel(sql_type = Timestamp)]
    pub captured_at: NaiveDateTime,
    #[diesel(sql_type = Text)]
    pub captured_at_source: String,
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub captured_offset_minutes: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    pub camera_make: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub camera_model: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub lens: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub iso: Option<i32>,
    #[diesel(sql_type = Nullable<Double>)]
    pub f_number: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    pub exposure_s: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    pub focal_length_mm: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    pub latitude_deg: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    pub longitude_deg: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    pub altitude_m: Option<f64>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub width_px: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub height_px: Option<i32>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub orientation: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    pub title: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub description: Option<String>,
    #[diesel(sql_type = Array<Text>)]
    pub keywords: Vec<String>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub rating: Option<i16>,
}

/// One file that is there.
#[derive(Debug, QueryableByName)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct ExportedFile {
    #[diesel(sql_type = Nullable<BigInt>)]
    pub image_index: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    pub base_name: Option<String>,
    #[diesel(sql_type = Text)]
    pub subdirectory: String,
    #[diesel(sql_type = Binary)]
    pub rel_path_bytes: Vec<u8>,
    #[diesel(sql_type = Nullable<Binary>)]
    pub mount: Option<Vec<u8>>,
    #[diesel(sql_type = Binary)]
    pub name_bytes: Vec<u8>,
    #[diesel(sql_type = Text)]
    pub filename: String,
    #[diesel(sql_type = BigInt)]
    pub size_bytes: i64,
    #[diesel(sql_type = BigInt)]
    pub modified_at_ns: i64,
    #[diesel(sql_type = Text)]
    pub format: String,
    #[diesel(sql_type = Text)]
    pub role: String,
    #[diesel(sql_type = Nullable<Integer>)]
    pub width_px: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub height_px: Option<i32>,
    #[diesel(sql_type = Nullable<Binary>)]
    pub fingerprint: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Text>)]
    pub error: Option<String>,
    #[diesel(sql_type = Text)]
    pub vault_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub offline: Option<String>,
    #[diesel(sql_type = Bool)]
    pub is_missing: bool,
}

/// What an image is called by in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// 0, 1, 2 … in the order of the tables.
    Running,
    /// Its id.
    Id,
}

/// Hands every image and then every file to the caller, as of one moment, in bounded memory: of all that are there or, with a filter, of
/// all that pass it, be they missing or not.
///
/// # Errors
/// The database's own, or what a callback returned.
pub fn export_library<E: From<QueryError>>(
    conn: &mut PgConnection,
    host: &str,
    filter: Option<&Filter>,
    numbering: Numbering,
    on_image: impl FnMut(ExportedImage) -> Result<(), E>,
    on_file: impl FnMut(ExportedFile) -> Result<(), E>,
) -> Result<(), E> {
    conn.build_transaction().repeatable_read().read_only().run(|conn| {
        export_images(conn, filter, numbering, on_image)?;
        export_files(conn, host, filter, numbering, on_file)
    })
}

/// Hands the images alone to the caller, by vault, folder and name; to be run in a transaction.
///
/// # Errors
/// As [`export_library`].
pub fn export_images<E: From<QueryError>>(
    conn: &mut PgConnection,
    filter: Option<&Filter>,
    numbering: Numbering,
    on_image: impl FnMut(ExportedImage) -> Result<(), E>,
) -> Result<(), E> {
    let [head, middle, tail] = pieces(include_str!("export_images.sql"));
    let mut sql = Sql::new(head);
    sql.text(number(numbering)).text(middle);
    write_chosen(conn, filter, &mut sql)?;
    sql.text(tail);
    each(conn, sql, "exported_images", on_image)
}

/// Hands the files alone to the caller, by vault, folder and name; to be run in a transaction. Files that are gone from their vault are
/// left out, but for those of an image that is missing altogether and passes the filter.
///
/// # Errors
/// As [`export_library`].
pub fn export_files<E: From<QueryError>>(
    conn: &mut PgConnection,
    host: &str,
    filter: Option<&Filter>,
    numbering: Numbering,
    on_file: impl FnMut(ExportedFile) -> Result<(), E>,
) -> Result<(), E> {
    let [head, middle, columns, joins, tail] = pieces(include_str!("export_files.sql"));
    let mut sql = Sql::new(head);
    sql.text(number(numbering)).text(middle);
    write_chosen(conn, filter, &mut sql)?;
    sql.text(columns).bind(Value::Text(host.to_owned())).text(joins);
    sql.text(match filter {
        None => "f.missing_since IS NULL",
        Some(_) => "n.id IS NOT NULL AND (f.missing_since IS NULL OR n.is_missing)",
    });
    sql.text(tail);
    each(conn, sql, "exported_files", on_file)
}

/// Hands the ids of all images that pass to the caller, newest first; to be run in a transaction.
///
/// # Errors
/// As [`export_library`].
pub fn export_ids<E: From<QueryError>>(
    conn: &mut PgConnection,
    filter: &Filter,
    mut on_id: impl FnMut(ImageId) -> Result<(), E>,
) -> Result<(), E> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: ImageId,
    }
    let mut sql = Sql::new("SELECT i.id FROM images AS i WHERE true");
    Wanted::resolve(conn, filter)?.write(&mut sql);
    sql.text(" ORDER BY i.captured_at DESC, i.id DESC");
    each(conn, sql, "exported_ids", |row: Row| on_id(row.id))
}

/// A proxy to be packed.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ExportedProxy {
    /// Local capture time.
    #[diesel(sql_type = Timestamp)]
    pub captured_at: NaiveDateTime,
    /// Name without suffixes.
    #[diesel(sql_type = Text)]
    pub base_name: String,
    /// Names the picture; `None` when there is nothing to show.
    #[diesel(sql_type = Nullable<Text>)]
    pub picture_key: Option<String>,
    /// Why none could be made.
    #[diesel(sql_type = Nullable<Text>)]
    pub error: Option<String>,
}

/// Lists up to `most` images that pass, oldest first, as their proxies are named.
///
/// # Errors
/// When the database fails.
pub fn list_proxies(conn: &mut PgConnection, filter: &Filter, most: i64) -> QueryResult<Vec<ExportedProxy>> {
    let mut sql = Sql::new(
        "SELECT i.captured_at, i.base_name, i.picture_key, p.error FROM images AS i \
         LEFT JOIN pictures AS p ON p.image_id = i.id AND p.key = i.picture_key WHERE true",
    );
    Wanted::resolve(conn, filter)?.write(&mut sql);
    sql.text(" ORDER BY i.captured_at, i.id LIMIT ").bind(Value::BigInt(most));
    sql.query().load(conn)
}

/// How much there is of what passes a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct ExportSize {
    /// Images.
    #[diesel(sql_type = BigInt)]
    pub images: i64,
    /// Their files.
    #[diesel(sql_type = BigInt)]
    pub files: i64,
    /// Bytes of those.
    #[diesel(sql_type = BigInt)]
    pub bytes: i64,
}

/// Measures what passes a filter.
///
/// # Errors
/// When the database fails.
pub fn measure_export(conn: &mut PgConnection, filter: &Filter) -> QueryResult<ExportSize> {
    let mut sql = Sql::new(
        "SELECT count(*) AS images, coalesce(sum(i.file_count), 0)::bigint AS files, \
         coalesce(sum(i.total_size_bytes), 0)::bigint AS bytes FROM images AS i WHERE true",
    );
    Wanted::resolve(conn, filter)?.write(&mut sql);
    sql.query().get_result(conn)
}

/// Runs `work` in a transaction that sees one moment.
///
/// # Errors
/// What `work` returned, or the database's own.
pub fn as_of_one_moment<T, E: From<QueryError>>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    conn.build_transaction().repeatable_read().read_only().run(work)
}

/// The text of a question between the marks where parts of it are put in.
fn pieces<const COUNT: usize>(text: &'static str) -> [&'static str; COUNT] {
    let pieces: Vec<&str> = text.split("/**/").collect();
    pieces.try_into().expect("the question has a mark for each part")
}

fn number(numbering: Numbering) -> &'static str {
    match numbering {
        Numbering::Running => "row_number() OVER (ORDER BY v.name COLLATE \"C\", d.rel_path_bytes, i.base_name COLLATE \"C\", i.id) - 1",
        Numbering::Id => "i.id",
    }
}

fn write_chosen(conn: &mut PgConnection, filter: Option<&Filter>, sql: &mut Sql) -> QueryResult<()> {
    match filter {
        None => _ = sql.text("NOT i.is_missing"),
        Some(filter) => {
            sql.text("true");
            Wanted::resolve(conn, filter)?.write(sql);
        }
    }
    Ok(())
}

/// Reads a question through a cursor, so that no answer is held whole.
fn each<R, E>(conn: &mut PgConnection, sql: Sql, cursor: &'static str, mut on_row: impl FnMut(R) -> Result<(), E>) -> Result<(), E>
where
    R: QueryableByName<diesel::pg::Pg> + 'static,
    E: From<QueryError>,
{
    sql.declare(cursor).execute(conn)?;
    loop {
        let rows: Vec<R> = diesel::sql_query(format!("FETCH {ROWS_A_FETCH} FROM {cursor}")).load(conn)?;
        let is_last = rows.len() < ROWS_A_FETCH;
        rows.into_iter().try_for_each(&mut on_row)?;
        if is_last {
            return Ok(diesel::sql_query(format!("CLOSE {cursor}")).execute(conn).map(|_| ())?);
        }
    }
}
