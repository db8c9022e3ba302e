//! A scan without a database: what is in a folder, as rows.

use std::{path::Path, sync::mpsc};

use super::{
    Event, Problem, ScanOptions, Summary,
    group::Grouping,
    moment::Moment,
    progress::{Progress, add},
    read::{FolderScan, Nothing, ScannedFile},
    run::{Run, Start},
    tick,
};
use crate::{
    export::tables::{FileRow, ImageRow},
    models::{FileRole, RelPath, suffix_of},
};

/// What a folder holds.
#[derive(Debug)]
pub struct ScannedDirectory {
    /// Images, by folder and name.
    pub images: Vec<ImageRow>,
    /// Files, by folder and name.
    pub files: Vec<FileRow>,
    /// Counters.
    pub summary: Summary,
    /// Files and folders that could not be read, in whole or in part.
    pub problems: Vec<Problem>,
    /// Whether it was stopped before the end.
    pub interrupted: bool,
}

/// Reads and groups everything below `path`, and writes nothing.
///
/// # Errors
/// When `path` is no folder that can be read, or threads cannot be started. Files that cannot be read are in `problems`.
pub fn scan_directory(path: &Path, options: &ScanOptions) -> anyhow::Result<ScannedDirectory> {
    scan_directory_with(path, options, &|_| {})
}

/// As [`scan_directory`], telling `on_event` how far it is.
///
/// # Errors
/// As [`scan_directory`].
pub fn scan_directory_with(path: &Path, options: &ScanOptions, on_event: &(dyn Fn(&Event<'_>) + Sync)) -> anyhow::Result<ScannedDirectory> {
    let mount = std::fs::canonicalize(path).map_err(|error| anyhow::anyhow!("`{}` cannot be read: {error}", path.display()))?;
    anyhow::ensure!(mount.is_dir(), "`{}` is not a folder", path.display());
    let reader = options.reader();
    let progress = Progress::new();
    let run = Run {
        mount: &mount,
        other_vaults: &[],
        reader: &reader,
        full: true,
        for_database: false,
        threads: options.threads,
        stop: &options.stop,
        progress: &progress,
    };
    let mut folders = Vec::new();
    let (done, waiting) = mpsc::channel::<()>();
    std::thread::scope(|threads| {
        let progress = &progress;
        threads.spawn(move || tick(progress, &waiting, on_event, |_| {}));
        let start = Start { folder: RelPath::root(), recursive: true, forced: true };
        let visited = run.run(&[start], &Nothing, |scan| {
            add(&progress.files_done, scan.listed);
            folders.push(folder_rows(&mount, &scan));
            Ok(())
        });
        drop(done);
        visited
    })?;
    folders.sort_by(|one, other| one.folder.cmp(&other.folder));
    let mut scanned = ScannedDirectory {
        images: Vec::new(),
        files: Vec::new(),
        summary: progress.summary(),
        problems: progress.problems_kept(),
        interrupted: options.stop.load(std::sync::atomic::Ordering::Relaxed),
    };
    for folder in folders {
        let before = scanned.images.len() as i64;
        scanned.images.extend(folder.images.into_iter().map(|mut row| {
            row.image_index += before;
            row
        }));
        scanned.files.extend(folder.files.into_iter().map(|mut row| {
            row.image_index = row.image_index.map(|index| index + before);
            row
        }));
    }
    scanned.summary.images = scanned.images.len() as u64;
    Ok(scanned)
}

struct FolderRows {
    folder: RelPath,
    images: Vec<ImageRow>,
    files: Vec<FileRow>,
}

/// The rows of one folder, with image indices counted from 0.
fn folder_rows(mount: &Path, scan: &FolderScan) -> FolderRows {
    let moments = &scan.moments;
    let subdirectory = scan.folder.to_nfc();
    let mut order: Vec<usize> = (0..moments.len()).collect();
    order.sort_by(|one, other| moments[*one].base_name.cmp(&moments[*other].base_name).then(one.cmp(other)));
    let mut index_of = vec![0; moments.len()];
    for (place, group) in order.iter().enumerate() {
        index_of[*group] = place as i64;
    }
    let Grouping { groups, .. } = &scan.grouping;
    let mut place_of: Vec<Option<(usize, FileRole)>> = vec![None; scan.files.len()];
    for (group, members) in groups.iter().enumerate() {
        for member in &members.members {
            place_of[member.file] = Some((group, member.role));
        }
    }
    let images = order.iter().map(|group| image_row(index_of[*group], &subdirectory, &moments[*group])).collect();
    let row = |(file, place): (&ScannedFile, &Option<(usize, FileRole)>)| {
        let image = place.map(|(group, _)| (index_of[group], moments[group].base_name.as_str()));
        file_row(mount, file, &scan.folder, image, place.map(|(_, role)| role))
    };
    let files = scan.files.iter().zip(&place_of).map(row).collect();
    FolderRows { folder: scan.folder.clone(), images, files }
}

fn image_row(image_index: i64, subdirectory: &str, moment: &Moment) -> ImageRow {
    let facts = &moment.facts;
    ImageRow {
        image_index,
        base_name: moment.base_name.clone(),
        subdirectory: subdirectory.to_owned(),
        file_count: u32::try_from(moment.file_count).unwrap_or(u32::MAX),
        suffixes: moment.suffixes.clone(),
        total_size_bytes: moment.total_size_bytes,
        has_raw: moment.has_raw,
        has_jpeg: moment.has_jpeg,
        has_sidecar: moment.has_sidecar,
        captured_at: moment.captured_at.local,
        captured_at_source: moment.captured_at.source.clone(),
        captured_offset_minutes: moment.captured_at.offset_minutes,
        camera_make: facts.make.clone(),
        camera_model: facts.model.clone(),
        lens: facts.lens.clone(),
        iso: facts.iso,
        f_number: facts.f_number,
        exposure_s: facts.exposure_s,
        focal_length_mm: facts.focal_length_mm,
        gps_latitude: facts.gps.map(|gps| gps.latitude_deg),
        gps_longitude: facts.gps.map(|gps| gps.longitude_deg),
        gps_altitude_m: facts.gps.and_then(|gps| gps.altitude_m),
        width_px: moment.size_px.map(|(width, _)| width),
        height_px: moment.size_px.map(|(_, height)| height),
        orientation: facts.orientation.map(|orientation| orientation.exif()),
        title: facts.title.clone(),
        description: facts.description.clone(),
        keywords: facts.keywords.clone(),
        rating: facts.rating,
    }
}

fn file_row(mount: &Path, file: &ScannedFile, folder: &RelPath, image: Option<(i64, &str)>, role: Option<FileRole>) -> FileRow {
    let extension = file.name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let path = folder.on(mount).join(&file.entry.name);
    FileRow {
        image_index: image.map(|(index, _)| index),
        base_name: image.map(|(_, base_name)| base_name.to_owned()),
        subdirectory: folder.to_nfc(),
        filename: file.name.clone(),
        suffix: suffix_of(image.map_or("", |(_, base_name)| base_name), &file.name),
        extension: extension.to_lowercase(),
        file_path: path.to_string_lossy().into_owned(),
        file_size_bytes: file.entry.size_bytes,
        file_modified_at: file.modified_at(),
        format: file.entry.format,
        role: role.unwrap_or(FileRole::Unknown),
        width_px: file.reading.facts.width_px,
        height_px: file.reading.facts.height_px,
        fingerprint: file.reading.fingerprint,
        error: file.reading.error.clone(),
    }
}
