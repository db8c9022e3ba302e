//! The whole library in order, a thousand rows at a time, for tables.

use chrono::NaiveDateTime;
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Binary, Bool, Double, Integer, Nullable, SmallInt, Text, Timestamp},
};

/// Rows asked for at a time; bounds memory.
const ROWS_A_FETCH: usize = 5000;

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
}

/// Hands every image and then every file to the caller, as of one moment, in bounded memory.
///
/// # Errors
/// The database's own, or what a callback returned.
pub fn export_library<E: From<diesel::result::Error>>(
    conn: &mut PgConnection,
    host: &str,
    mut on_image: impl FnMut(ExportedImage) -> Result<(), E>,
    mut on_file: impl FnMut(ExportedFile) -> Result<(), E>,
) -> Result<(), E> {
    conn.build_transaction().repeatable_read().read_only().run(|conn| {
        diesel::sql_query(concat!("DECLARE exported_images NO SCROLL CURSOR FOR ", include_str!("export_images.sql"))).execute(conn)?;
        while fetch(conn, "exported_images", &mut on_image)? > 0 {}
        diesel::sql_query(concat!("DECLARE exported_files NO SCROLL CURSOR FOR ", include_str!("export_files.sql")))
            .bind::<Text, _>(host)
            .execute(conn)?;
        while fetch(conn, "exported_files", &mut on_file)? > 0 {}
        Ok(())
    })
}

fn fetch<R, E>(conn: &mut PgConnection, cursor: &'static str, on_row: &mut impl FnMut(R) -> Result<(), E>) -> Result<usize, E>
where
    R: QueryableByName<diesel::pg::Pg> + 'static,
    E: From<diesel::result::Error>,
{
    let rows: Vec<R> = diesel::sql_query(format!("FETCH {ROWS_A_FETCH} FROM {cursor}")).load(conn)?;
    let count = rows.len();
    rows.into_iter().try_for_each(on_row)?;
    Ok(count)
}
