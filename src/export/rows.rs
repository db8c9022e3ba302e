//! What the database holds about an image or a file as a row of a table.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use chrono::DateTime;

use super::tables::{FileRow, ImageRow};
use crate::{
    db::export::{ExportedFile, ExportedImage},
    models::{InvalidPath, RelPath, UnknownName, suffix_of},
};

/// A row of the database makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum BadRow {
    /// No path inside a vault.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// No format, or no role.
    #[error(transparent)]
    Name(#[from] UnknownName),
}

/// The row of an image.
pub fn image_row(image: ExportedImage) -> ImageRow {
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

/// The row of a file.
///
/// # Errors
/// When the database holds a path, a format or a role that makes no sense.
pub fn file_row(file: ExportedFile) -> Result<FileRow, BadRow> {
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
