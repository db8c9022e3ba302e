//! The columns of both tables, in order, and what a row holds in each: one list that all three formats write from.

use std::borrow::Cow;

use chrono::NaiveDateTime;

use super::{FileRow, ImageRow};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole number.
    Int,
    /// Double.
    Float,
    /// Yes or no.
    Bool,
    /// Text.
    Text,
    /// Wall-clock time, microseconds, no zone.
    LocalTime,
    /// Instant, microseconds.
    UtcTime,
    /// List of texts.
    List,
}

/// A column: name, kind, and whether a row may leave it empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) optional: bool,
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(Cow<'a, str>),
    Time(NaiveDateTime),
    List(&'a [String]),
}

/// A struct that is a row of a table.
pub(super) trait Row {
    /// The columns.
    const COLUMNS: &'static [Column];
    /// The values, one a column.
    fn cells(&self) -> Vec<Cell<'_>>;
}

const fn required(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, optional: false }
}

const fn optional(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, optional: true }
}

fn int<'a>(number: impl Into<i64>) -> Cell<'a> {
    Cell::Int(number.into())
}

fn maybe_int<'a>(number: Option<impl Into<i64>>) -> Cell<'a> {
    number.map_or(Cell::Null, int)
}

/// Bytes beyond `i64` do not fit on a disk.
fn bytes<'a>(number: u64) -> Cell<'a> {
    Cell::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn maybe_float<'a>(number: Option<f64>) -> Cell<'a> {
    number.filter(|number| number.is_finite()).map_or(Cell::Null, Cell::Float)
}

fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}

fn maybe_text(value: &Option<String>) -> Cell<'_> {
    value.as_deref().map_or(Cell::Null, text)
}

impl Row for ImageRow {
    const COLUMNS: &'static [Column] = &[
        required("image_index", Kind::Int),
        required("base_name", Kind::Text),
        required("subdirectory", Kind::Text),
        required("file_count", Kind::Int),
        required("suffixes", Kind::List),
        required("total_size_bytes", Kind::Int),
        required("has_raw", Kind::Bool),
        required("has_jpeg", Kind::Bool),
        required("has_sidecar", Kind::Bool),
        required("captured_at", Kind::LocalTime),
        required("captured_at_source", Kind::Text),
        optional("captured_offset_minutes", Kind::Int),
        optional("camera_make", Kind::Text),
        optional("camera_model", Kind::Text),
        optional("lens", Kind::Text),
        optional("iso", Kind::Int),
        optional("f_number", Kind::Float),
        optional("exposure_s", Kind::Float),
        optional("focal_length_mm", Kind::Float),
        optional("gps_latitude", Kind::Float),
        optional("gps_longitude", Kind::Float),
        optional("gps_altitude_m", Kind::Float),
        optional("width_px", Kind::Int),
        optional("height_px", Kind::Int),
        optional("orientation", Kind::Int),
        optional("title", Kind::Text),
        optional("description", Kind::Text),
        required("keywords", Kind::List),
        optional("rating", Kind::Int),
    ];

    fn cells(&self) -> Vec<Cell<'_>> {
        vec![
            int(self.image_index),
            text(&self.base_name),
            text(&self.subdirectory),
            int(self.file_count),
            Cell::List(&self.suffixes),
            bytes(self.total_size_bytes),
            Cell::Bool(self.has_raw),
            Cell::Bool(self.has_jpeg),
            Cell::Bool(self.has_sidecar),
            Cell::Time(self.captured_at),
            text(&self.captured_at_source),
            maybe_int(self.captured_offset_minutes),
            maybe_text(&self.camera_make),
            maybe_text(&self.camera_model),
            maybe_text(&self.lens),
            maybe_int(self.iso),
            maybe_float(self.f_number),
            maybe_float(self.exposure_s),
            maybe_float(self.focal_length_mm),
            maybe_float(self.gps_latitude),
            maybe_float(self.gps_longitude),
            maybe_float(self.gps_altitude_m),
            maybe_int(self.width_px),
            maybe_int(self.height_px),
            maybe_int(self.orientation),
            maybe_text(&self.title),
            maybe_text(&self.description),
            Cell::List(&self.keywords),
            maybe_int(self.rating),
        ]
    }
}

impl Row for FileRow {
    const COLUMNS: &'static [Column] = &[
        optional("image_index", Kind::Int),
        optional("base_name", Kind::Text),
        required("subdirectory", Kind::Text),
        required("filename", Kind::Text),
        required("suffix", Kind::Text),
        required("extension", Kind::Text),
        required("file_path", Kind::Text),
        required("file_size_bytes", Kind::Int),
        required("file_modified_at", Kind::UtcTime),
        required("format", Kind::Text),
        required("role", Kind::Text),
        optional("width_px", Kind::Int),
        optional("height_px", Kind::Int),
        optional("fingerprint", Kind::Text),
        optional("error", Kind::Text),
    ];

    fn cells(&self) -> Vec<Cell<'_>> {
        let hexadecimal = |digest: [u8; 16]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        vec![
            maybe_int(self.image_index),
            maybe_text(&self.base_name),
            text(&self.subdirectory),
            text(&self.filename),
            text(&self.suffix),
            text(&self.extension),
            text(&self.file_path),
            bytes(self.file_size_bytes),
            Cell::Time(self.file_modified_at),
            text(self.format.name()),
            text(self.role.name()),
            maybe_int(self.width_px),
            maybe_int(self.height_px),
            self.fingerprint.map_or(Cell::Null, |digest| Cell::Text(Cow::Owned(hexadecimal(digest)))),
            maybe_text(&self.error),
        ]
    }
}
