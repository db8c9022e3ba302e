//! The data frames: `images.*` and `files.*` as Parquet, CSV or JSON lines, streamed in bounded memory: into files, or into whatever
//! takes bytes.

mod columns;
mod parquet_table;
mod text;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use chrono::NaiveDateTime;
use parquet::errors::ParquetError;

use self::{
    columns::{Cell, Column, Row},
    parquet_table::ParquetTable,
    text::{CsvTable, JsonTable},
};
use crate::models::{FileFormat, FileRole};

/// How the tables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet, Snappy.
    Parquet,
    /// Comma-separated, with a header line.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// One image: one row of `images.*`. The columns are the fields, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRow {
    /// Joins images and files: running number of a dry run, or the image's id in the database.
    pub image_index: i64,
    /// Name of the moment.
    pub base_name: String,
    /// Folder below the scanned root or vault, NFC, `/` between parts, empty for the root.
    pub subdirectory: String,
    /// Files of the image.
    pub file_count: u32,
    /// What follows `base_name` in each file name, sorted, no duplicates.
    pub suffixes: Vec<String>,
    /// Bytes of all files.
    pub total_size_bytes: u64,
    /// A RAW is among the files.
    pub has_raw: bool,
    /// A JPEG is among the files.
    pub has_jpeg: bool,
    /// A sidecar is among the files.
    pub has_sidecar: bool,
    /// Local wall-clock time.
    pub captured_at: NaiveDateTime,
    /// The tag it comes from, `file-name` or `file-modified`.
    pub captured_at_source: String,
    /// Minutes east of UTC.
    pub captured_offset_minutes: Option<i16>,
    /// Camera maker.
    pub camera_make: Option<String>,
    /// Camera model.
    pub camera_model: Option<String>,
    /// Lens name.
    pub lens: Option<String>,
    /// ISO speed.
    pub iso: Option<u32>,
    /// Aperture.
    pub f_number: Option<f64>,
    /// Exposure time in seconds.
    pub exposure_s: Option<f64>,
    /// Focal length in millimetres.
    pub focal_length_mm: Option<f64>,
    /// Degrees north.
    pub gps_latitude: Option<f64>,
    /// Degrees east.
    pub gps_longitude: Option<f64>,
    /// Metres above sea level.
    pub gps_altitude_m: Option<f64>,
    /// Width in pixels.
    pub width_px: Option<u32>,
    /// Height in pixels.
    pub height_px: Option<u32>,
    /// EXIF orientation, 1..=8.
    pub orientation: Option<u8>,
    /// Title.
    pub title: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Flat keywords.
    pub keywords: Vec<String>,
    /// -1 rejected, 0 unrated, 1..=5.
    pub rating: Option<i8>,
}

/// One file: one row of `files.*`. The columns are the fields, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRow {
    /// The image it belongs to; none for loose files.
    pub image_index: Option<i64>,
    /// The image's name; none for loose files.
    pub base_name: Option<String>,
    /// Folder below the scanned root or vault.
    pub subdirectory: String,
    /// File name.
    pub filename: String,
    /// What follows `base_name` in the file name ([`crate::models::suffix_of`]).
    pub suffix: String,
    /// Extension in lower case, without the dot.
    pub extension: String,
    /// Absolute path where there is one, else the path inside the vault.
    pub file_path: String,
    /// Bytes.
    pub file_size_bytes: u64,
    /// Modification time, UTC.
    pub file_modified_at: NaiveDateTime,
    /// Format.
    pub format: FileFormat,
    /// Role.
    pub role: FileRole,
    /// Width in pixels.
    pub width_px: Option<u32>,
    /// Height in pixels.
    pub height_px: Option<u32>,
    /// Content fingerprint; written as hexadecimal text.
    pub fingerprint: Option<[u8; 16]>,
    /// Why the file could not be read, whole or in part.
    pub error: Option<String>,
}

/// A table could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// The disk said no.
    #[error("cannot write `{path}`")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The Parquet writer said no.
    #[error("cannot write `{path}` as Parquet")]
    Parquet {
        /// The file.
        path: String,
        /// What it said.
        #[source]
        source: ParquetError,
    },
}

/// Both tables, open for writing: rows may come in any interleaving, and memory stays bounded. Nothing shows under the final names before
/// [`TableWriter::finish`]; dropped before, it leaves nothing behind.
pub struct TableWriter {
    images: Table,
    files: Table,
}

impl TableWriter {
    /// Opens `images.*` and `files.*` under temporary names in `dir`, which is created if it is not there.
    ///
    /// # Errors
    /// [`TablesError::Io`] when the folder or a file cannot be made.
    pub fn create(dir: &Path, format: Format) -> Result<Self, TablesError> {
        fs::create_dir_all(dir).map_err(|source| TablesError::Io { path: dir.display().to_string(), source })?;
        Ok(Self {
            images: Table::create(dir, "images", format, ImageRow::COLUMNS)?,
            files: Table::create(dir, "files", format, FileRow::COLUMNS)?,
        })
    }

    /// Adds an image.
    ///
    /// # Errors
    /// [`TablesError`] when the disk is full or gone.
    pub fn push_image(&mut self, row: ImageRow) -> Result<(), TablesError> {
        self.images.push(&row.cells())
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`TablesError`] when the disk is full or gone.
    pub fn push_file(&mut self, row: FileRow) -> Result<(), TablesError> {
        self.files.push(&row.cells())
    }

    /// Closes both tables, waits until they are on the disk, and gives them their names.
    ///
    /// # Errors
    /// [`TablesError`] when the disk is full or gone; tables of an earlier run then stay as they were.
    pub fn finish(mut self) -> Result<(), TablesError> {
        self.images.close()?;
        self.files.close()?;
        self.images.publish()?;
        self.files.publish()
    }
}

/// One table being written.
struct Table {
    /// None once closed.
    sink: Option<Sink<File>>,
    temporary: PathBuf,
    path: PathBuf,
}

enum Sink<W: Write + Send> {
    Parquet(Box<ParquetTable<W>>),
    Csv(Box<CsvTable<W>>),
    Jsonl(JsonTable<W>),
}

impl<W: Write + Send> Sink<W> {
    fn open(to: W, format: Format, columns: &'static [Column]) -> Result<Self, SinkError> {
        Ok(match format {
            Format::Parquet => Self::Parquet(Box::new(ParquetTable::new(to, columns)?)),
            Format::Csv => Self::Csv(Box::new(CsvTable::new(to, columns)?)),
            Format::Jsonl => Self::Jsonl(JsonTable::new(to, columns)),
        })
    }

    fn push(&mut self, cells: &[Cell<'_>]) -> Result<(), SinkError> {
        match self {
            Self::Parquet(table) => table.push(cells).map_err(SinkError::from),
            Self::Csv(table) => table.push(cells).map_err(SinkError::from),
            Self::Jsonl(table) => table.push(cells).map_err(SinkError::from),
        }
    }

    fn finish(self) -> Result<W, SinkError> {
        match self {
            Self::Parquet(table) => table.finish().map_err(SinkError::from),
            Self::Csv(table) => table.finish().map_err(SinkError::from),
            Self::Jsonl(table) => table.finish().map_err(SinkError::from),
        }
    }
}

/// One table on its way to somebody: rows go out as they come, a group of them at a time as Parquet.
pub struct TableStream<W: Write + Send> {
    sink: Sink<W>,
}

impl<W: Write + Send> TableStream<W> {
    /// Begins a table of images.
    ///
    /// # Errors
    /// When `to` takes nothing.
    pub fn of_images(to: W, format: Format) -> io::Result<Self> {
        Ok(Self { sink: Sink::open(to, format, ImageRow::COLUMNS)? })
    }

    /// Begins a table of files.
    ///
    /// # Errors
    /// When `to` takes nothing.
    pub fn of_files(to: W, format: Format) -> io::Result<Self> {
        Ok(Self { sink: Sink::open(to, format, FileRow::COLUMNS)? })
    }

    /// Adds an image to a table of images.
    ///
    /// # Errors
    /// When nobody takes it any more.
    pub fn push_image(&mut self, row: &ImageRow) -> io::Result<()> {
        Ok(self.sink.push(&row.cells())?)
    }

    /// Adds a file to a table of files.
    ///
    /// # Errors
    /// When nobody takes it any more.
    pub fn push_file(&mut self, row: &FileRow) -> io::Result<()> {
        Ok(self.sink.push(&row.cells())?)
    }

    /// Sends what is left, and hands the receiver back.
    ///
    /// # Errors
    /// When nobody takes it any more.
    pub fn finish(self) -> io::Result<W> {
        Ok(self.sink.finish()?)
    }
}

/// What a sink can fail with, before the file's name is added.
enum SinkError {
    Io(io::Error),
    Parquet(ParquetError),
}

impl From<io::Error> for SinkError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<SinkError> for io::Error {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Io(error) => error,
            SinkError::Parquet(error) => Self::other(error),
        }
    }
}

impl From<ParquetError> for SinkError {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error)
    }
}

impl Table {
    fn create(dir: &Path, name: &str, format: Format, columns: &'static [Column]) -> Result<Self, TablesError> {
        let extension = match format {
            Format::Parquet => "parquet",
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
        };
        let path = dir.join(format!("{name}.{extension}"));
        let temporary = dir.join(format!(".{name}.{extension}.{}.tmp", std::process::id()));
        let mut table = Self { sink: None, temporary, path };
        let opened = File::create(&table.temporary).map_err(SinkError::from).and_then(|file| Sink::open(file, format, columns));
        table.sink = Some(opened.map_err(|error| table.named(error))?);
        Ok(table)
    }

    fn push(&mut self, cells: &[Cell<'_>]) -> Result<(), TablesError> {
        let sink = self.sink.as_mut().expect("rows come before the table is closed");
        let done = sink.push(cells);
        done.map_err(|error| self.named(error))
    }

    fn close(&mut self) -> Result<(), TablesError> {
        let sink = self.sink.take().expect("a table is closed once");
        sink.finish().and_then(|file| Ok(file.sync_all()?)).map_err(|error| self.named(error))
    }

    fn publish(&self) -> Result<(), TablesError> {
        fs::rename(&self.temporary, &self.path).map_err(|error| self.named(error.into()))
    }

    fn named(&self, error: SinkError) -> TablesError {
        let path = self.path.display().to_string();
        match error {
            SinkError::Io(source) => TablesError::Io { path, source },
            SinkError::Parquet(source) => TablesError::Parquet { path, source },
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // Gone already once it has its name; a leftover of a failed run would only be in the way.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Writes both tables.
///
/// # Errors
/// [`TablesError`].
pub fn write_tables(
    dir: &Path,
    format: Format,
    images: impl Iterator<Item = ImageRow>,
    files: impl Iterator<Item = FileRow>,
) -> Result<(), TablesError> {
    let mut tables = TableWriter::create(dir, format)?;
    for row in images {
        tables.push_image(row)?;
    }
    for row in files {
        tables.push_file(row)?;
    }
    tables.finish()
}
