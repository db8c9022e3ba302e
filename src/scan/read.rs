//! From a listing to what it means: reads the files that changed, keeps what is known of the others, and groups the folder.

use std::{
    collections::{HashMap, HashSet},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use chrono::{DateTime, NaiveDateTime};
use rayon::prelude::*;

use super::{
    group::{Candidate, Grouping, group_folder},
    ingest::Findable,
    moment::Moment,
    progress::{Progress, add},
    walk::{Entry, Listing},
};
use crate::{
    db::known::KnownFile,
    media::{FileReading, MetaReader, reading_version},
    models::{FileFormat, FolderId, RelPath},
};

/// One file of a folder, read or remembered.
pub(crate) struct ScannedFile {
    pub(crate) entry: Entry,
    /// Name in NFC, for people and for grouping.
    pub(crate) name: String,
    pub(crate) reading: FileReading,
    /// Index into [`FolderScan::known`] of the row with this name.
    pub(crate) known: Option<usize>,
    /// The folder, where it is another: pinned by a person to a file of this one.
    pub(crate) elsewhere: Option<RelPath>,
}

impl ScannedFile {
    /// Modification time in UTC.
    pub(crate) fn modified_at(&self) -> NaiveDateTime {
        DateTime::from_timestamp_nanos(self.entry.modified_at_ns).naive_utc()
    }
}

/// A folder, read and grouped: all that the database needs to hear of it.
pub(crate) struct FolderScan {
    pub(crate) folder: RelPath,
    pub(crate) digest: [u8; 16],
    /// Whether all of the folder was seen: only then may files be called missing.
    pub(crate) complete: bool,
    /// Files the listing had.
    pub(crate) listed: usize,
    pub(crate) files: Vec<ScannedFile>,
    pub(crate) grouping: Grouping,
    /// What each group shows.
    pub(crate) moments: Vec<Moment>,
    /// What each group is found by, where it is for the database.
    pub(crate) findable: Vec<Findable>,
    /// Rows of the database for this folder, and those pinned to them.
    pub(crate) known: Vec<KnownFile>,
}

impl FolderScan {
    /// The files as grouping sees them.
    pub(crate) fn candidates(&self) -> Vec<Candidate<'_>> {
        candidates(&self.files, &self.known)
    }
}

fn candidates<'a>(files: &'a [ScannedFile], known: &'a [KnownFile]) -> Vec<Candidate<'a>> {
    let candidate = |file: &'a ScannedFile| Candidate {
        name: &file.name,
        format: file.entry.format,
        facts: &file.reading.facts,
        size_bytes: file.entry.size_bytes,
        modified_at: file.modified_at(),
        fingerprint: file.reading.fingerprint,
        pin: file.known.and_then(|row| known[row].pin.as_deref()),
        readable: file.reading.error.is_none(),
    };
    files.iter().map(candidate).collect()
}

/// What reading needs.
pub(crate) struct Reading<'a> {
    pub(crate) reader: &'a MetaReader,
    pub(crate) mount: &'a Path,
    /// Read also what size and time say is unchanged.
    pub(crate) full: bool,
    /// Whether the database will hear of it: its words and places are found here, on many threads, rather than by the one that writes.
    pub(crate) for_database: bool,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) progress: &'a Progress,
}

impl Reading<'_> {
    /// Reads what changed in a folder since `known`, on the threads of the caller's pool. `None` when stopped on the way.
    pub(crate) fn read(&self, listing: Listing, known: Vec<KnownFile>) -> Option<FolderScan> {
        let digest = listing.digest();
        let path = listing.folder.on(self.mount);
        let mut rows: HashMap<&[u8], usize> = HashMap::new();
        for (index, row) in known.iter().enumerate() {
            if row.folder == listing.folder {
                rows.insert(&row.name, index);
            }
        }
        let left = looks_of_files_that_left(&listing, &known);
        let read = |entry: Entry| {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            let row = rows.get(entry.name.as_bytes()).copied();
            let believed = row.map(|row| &known[row]).filter(|row| !left.contains(&(row.size_bytes, row.modified_at_ns)));
            let reading = self.read_file(&path, &listing.folder, &entry, believed);
            Some(ScannedFile { name: crate::models::nfc(&entry.name), entry, reading, known: row, elsewhere: None })
        };
        let files: Option<Vec<ScannedFile>> = listing.entries.into_par_iter().map(read).collect();
        let mut files = files?;
        let listed = files.len();
        files.extend(pinned_elsewhere(&listing.folder, &known));
        let grouping = group_folder(&candidates(&files, &known));
        let (moments, findable) = (Vec::new(), Vec::new());
        let scan =
            FolderScan { folder: listing.folder, digest, complete: listing.complete, listed, files, grouping, moments, findable, known };
        let moments = Moment::all(&scan);
        let findable = if self.for_database { Findable::all(&scan, &moments) } else { Vec::new() };
        Some(FolderScan { moments, findable, ..scan })
    }

    fn read_file(&self, folder_path: &Path, folder: &RelPath, entry: &Entry, known: Option<&KnownFile>) -> FileReading {
        let unchanged =
            known.filter(|row| u64::try_from(row.size_bytes) == Ok(entry.size_bytes) && row.modified_at_ns == entry.modified_at_ns);
        let read_as_now = |row: &&KnownFile| row.fingerprint.is_some() && row.facts.version == reading_version(entry.format);
        if let Some(row) = unchanged.filter(read_as_now).filter(|_| !self.full) {
            add(&self.progress.files_unchanged, 1);
            return remembered(row);
        }
        let reading = self.reader.read(&folder_path.join(&entry.name), entry.format, entry.size_bytes);
        add(&self.progress.files_read, 1);
        if let Some(error) = &reading.error {
            let path = folder.join(&entry.name).unwrap_or_else(|_| folder.clone());
            tracing::debug!(file.path = %path, error, "file could not be read");
            self.progress.problem(&path, error);
        }
        reading
    }
}

/// Size and time of the files that a folder no longer has. A file that looks like one of them may be it, renamed over what had
/// its name before: of one burst, uncompressed RAW files agree in size, and FAT writes times in steps of two seconds.
fn looks_of_files_that_left(listing: &Listing, known: &[KnownFile]) -> HashSet<(i64, i64)> {
    let here: HashSet<&[u8]> = listing.entries.iter().map(|entry| entry.name.as_bytes()).collect();
    let left = known.iter().filter(|row| row.folder == listing.folder && !row.is_missing && !here.contains(row.name.as_slice()));
    left.map(|row| (row.size_bytes, row.modified_at_ns)).collect()
}

fn remembered(row: &KnownFile) -> FileReading {
    FileReading { facts: row.facts.clone(), fingerprint: row.fingerprint, error: row.error.clone() }
}

/// Files of other folders that a person pinned to one of this folder: they take part in its grouping as they were last seen.
fn pinned_elsewhere(folder: &RelPath, known: &[KnownFile]) -> Vec<ScannedFile> {
    let there = known.iter().enumerate().filter(|(_, row)| row.folder != *folder && !row.is_missing);
    let scanned = there.filter_map(|(index, row)| {
        let name = std::ffi::OsString::from_vec(row.name.clone());
        Some(ScannedFile {
            name: crate::models::nfc(&name),
            entry: Entry {
                format: format_of(&name)?,
                size_bytes: u64::try_from(row.size_bytes).unwrap_or(0),
                modified_at_ns: row.modified_at_ns,
                name,
            },
            reading: remembered(row),
            known: Some(index),
            elsewhere: Some(row.folder.clone()),
        })
    });
    scanned.collect()
}

fn format_of(name: &std::ffi::OsStr) -> Option<FileFormat> {
    super::group::format_of_name(&crate::models::nfc(name))
}

/// What is known of a vault's folders before a scan; nothing in a dry run.
pub(crate) trait Memory: Sync {
    /// The folder's id and the digest of its listing, where the last scan wrote it whole.
    fn folder(&self, folder: &RelPath) -> Option<(FolderId, Option<[u8; 16]>)>;
    /// Every row of a folder.
    fn files(&self, folder: FolderId) -> anyhow::Result<Vec<KnownFile>>;
}

/// A dry run knows nothing.
pub(crate) struct Nothing;

impl Memory for Nothing {
    fn folder(&self, _: &RelPath) -> Option<(FolderId, Option<[u8; 16]>)> {
        None
    }

    fn files(&self, _: FolderId) -> anyhow::Result<Vec<KnownFile>> {
        Ok(Vec::new())
    }
}
