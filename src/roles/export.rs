//! `hm export`: the library as tables.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use anyhow::Context;
use chrono::DateTime;

use super::{Exit, host::host_name, scan::table_format};
use crate::{
    cli::ExportArgs,
    config::Config,
    db::{
        self, Db,
        export::{ExportedFile, ExportedImage, export_library},
    },
    models::RelPath,
    scan::{
        group::suffix_of,
        tables::{FileRow, Format, ImageRow, TableWriter},
    },
    services::Services,
};

/// Runs the role.
///
/// # Errors
/// When the database cannot be opened or the tables cannot be written.
pub(super) fn run(args: &ExportArgs, config: &Config) -> anyhow::Result<Exit> {
    let services = Services::open(config)?;
    db::migrate(services.database_url())?;
    let db = Db::connect(services.database_url(), config.database.pool_size)?;
    write(&db, &host_name(config)?, &args.dir, table_format(args.format))?;
    Ok(Exit::Done)
}

/// Writes `images.*` and `files.*` of the whole library into `dir`.
pub(super) fn write(db: &Db, host: &str, dir: &Path, format: Format) -> anyhow::Result<()> {
    let while_writing = || format!("while writing tables to `{}`", dir.display());
    let mut conn = db.get()?;
    // Both closures write to the same pair of files, one after the other.
    let writer = std::cell::RefCell::new(TableWriter::create(dir, format).with_context(while_writing)?);
    export_library(
        &mut conn,
        host,
        |image| Ok::<_, anyhow::Error>(writer.borrow_mut().push_image(image_row(image))?),
        |file| Ok(writer.borrow_mut().push_file(file_row(file)?)?),
    )
    .with_context(while_writing)?;
    writer.into_inner().finish().with_context(while_writing)
}

fn image_row(image: ExportedImage) -> ImageRow {
    let count = |number: i32| u32::try_from(number).unwrap_or(0);
    ImageRow {
        image_index: image.image_index,
        base_name: image.base_name,
        subdirectory: image.subdirectory,
        file_count: count(image.file_count),
        suffixes: image.suffixes,
        total_size_bytes: u64::try_from(image.total_size_bytes).unwrap_or(0),
        has_raw: image.has_raw,
        has_jpeg: image.has_jpeg,
        has_sidecar: image.has_sidecar,
        captured_at: image.captured_at,
        captured_at_source: image.captured_at_source,
        captured_offset_minutes: image.captured_offset_minutes,
        camera_make: image.camera_make,
        camera_model: image.camera_model,
        lens: image.lens,
        iso: image.iso.map(count),
        f_number: image.f_number,
        exposure_s: image.exposure_s,
        focal_length_mm: image.focal_length_mm,
        gps_latitude: image.latitude_deg,
        gps_longitude: image.longitude_deg,
        gps_altitude_m: image.altitude_m,
        width_px: image.width_px.map(count),
        height_px: image.height_px.map(count),
        orientation: image.orientation.and_then(|number| u8::try_from(number).ok()),
        title: image.title,
        description: image.description,
        keywords: image.keywords,
        rating: image.rating.and_then(|rating| i8::try_from(rating).ok()),
    }
}

fn file_row(file: ExportedFile) -> anyhow::Result<FileRow> {
    let folder = RelPath::from_bytes(&file.rel_path_bytes)?;
    let path = folder.join(OsStr::from_bytes(&file.name_bytes))?;
    let mount = file.mount.as_deref().map(|mount| Path::new(OsStr::from_bytes(mount)));
    let px = |number: i32| u32::try_from(number).ok();
    Ok(FileRow {
        image_index: file.image_index,
        suffix: suffix_of(file.base_name.as_deref().unwrap_or(""), &file.filename),
        base_name: file.base_name,
        subdirectory: file.subdirectory,
        extension: file.filename.rsplit_once('.').map_or_else(String::new, |(_, extension)| extension.to_lowercase()),
        filename: file.filename,
        file_path: mount.map_or_else(|| path.to_nfc(), |mount| path.on(mount).to_string_lossy().into_owned()),
        file_size_bytes: u64::try_from(file.size_bytes).unwrap_or(0),
        file_modified_at: DateTime::from_timestamp_nanos(file.modified_at_ns).naive_utc(),
        format: file.format.parse()?,
        role: file.role.parse()?,
        width_px: file.width_px.and_then(px),
        height_px: file.height_px.and_then(px),
        fingerprint: file.fingerprint.and_then(|bytes| bytes.try_into().ok()),
        error: file.error,
    })
}
