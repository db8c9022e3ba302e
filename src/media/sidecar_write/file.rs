//! The one place of hm that writes into a vault: a sidecar's new bytes, whole or not at all.
//!
//! A temporary file beside the sidecar is written, flushed to the disk, read back and compared; the sidecar is looked at once more; then
//! the one takes the other's name, and the folder is flushed. So at every moment, whatever fails or is killed, the sidecar has its old or
//! its new bytes and nothing else. Which of them, every error says.
//!
//! Only a [`SidecarPath`] can be written, and only a path that ends in `.xmp` can be one: an original cannot be named here.
//!
//! The steps that touch the disk are behind [`Disk`], so that a test can let each of them fail.

mod disk;
mod error;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

pub use disk::{Disk, RealDisk};
pub use error::{Step, WriteError};

use super::{Refusal, edit};
use crate::models::{FileFormat, RelPath, edit::Value};

/// Beginning and end of a temporary file's name. The dot keeps it out of scans, hm's and others', and no program takes it for a sidecar.
const TEMPORARY: (&str, &str) = (".hm-write-", ".tmp");
/// Longer files are not edited, nor read for it.
const LONGEST_BYTES: u64 = 16 << 20;
/// Fresh empty files are left alone for so long: a program that truncates before it writes may be about to write.
const EMPTY_GRACE: std::time::Duration = std::time::Duration::from_secs(60);

/// Where a sidecar is or will be. The only kind of path that hm writes to in a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarPath {
    file: PathBuf,
    folder: PathBuf,
    in_vault: RelPath,
}

/// A path that is no sidecar's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no XMP sidecar, and nothing else is ever written")]
pub struct NotASidecar(RelPath);

impl SidecarPath {
    /// The sidecar at `in_vault` of the vault mounted at `mount`.
    ///
    /// # Errors
    /// [`NotASidecar`] for a name that does not end in `.xmp` or begins with a dot.
    pub fn new(mount: &Path, in_vault: RelPath) -> Result<Self, NotASidecar> {
        let file = in_vault.on(mount);
        let is_xmp = |extension: &OsStr| extension.to_str().and_then(FileFormat::from_extension) == Some(FileFormat::Xmp);
        let named_so = file.extension().is_some_and(is_xmp) && !in_vault.file_name().as_bytes().starts_with(b".");
        match (named_so, file.parent()) {
            (true, Some(folder)) => Ok(Self { folder: folder.to_owned(), file, in_vault }),
            _ => Err(NotASidecar(in_vault)),
        }
    }

    /// Where it is on this host.
    pub fn on_disk(&self) -> &Path {
        &self.file
    }

    /// Where it is in its vault.
    pub fn in_vault(&self) -> &RelPath {
        &self.in_vault
    }

    fn temporary(&self) -> TemporaryPath {
        let (start, end) = TEMPORARY;
        TemporaryPath(self.folder.join(format!("{start}{:016x}{end}", rand::random::<u64>())))
    }
}

/// A file of hm's own beside a sidecar.
#[derive(Debug)]
pub struct TemporaryPath(PathBuf);

impl TemporaryPath {
    /// Where it is on this host.
    pub fn on_disk(&self) -> &Path {
        &self.0
    }
}

/// The state of a sidecar as it was read; a write happens only where it is still so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Modification time, nanoseconds since 1970-01-01 UTC.
    pub modified_at_ns: i64,
    inode: u64,
    device: u64,
    digest: [u8; 32],
}

impl Seen {
    fn new(metadata: &fs::Metadata, content: &[u8]) -> Self {
        Self {
            size_bytes: metadata.len(),
            modified_at_ns: modified_at_ns(metadata),
            inode: metadata.ino(),
            device: metadata.dev(),
            digest: *blake3::hash(content).as_bytes(),
        }
    }

    /// BLAKE3 of all bytes.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

/// Modification time, nanoseconds since 1970-01-01 UTC, as scans record it.
pub fn modified_at_ns(metadata: &fs::Metadata) -> i64 {
    metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())
}

/// A sidecar, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// All its bytes.
    pub content: Vec<u8>,
    /// Its state then.
    pub seen: Seen,
}

/// A sidecar, written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The new file's state.
    pub seen: Seen,
    /// What another program wrote into the old file in the instant between the last look and the exchange; it would be lost with it.
    pub overtaken: Option<Vec<u8>>,
}

/// Reads a sidecar; `None` when there is none.
///
/// # Errors
/// [`WriteError`] when it cannot be read to its end, or changes while it is.
pub fn look(disk: &impl Disk, path: &SidecarPath) -> Result<Option<Found>, WriteError> {
    Ok(open(disk, path)?.map(|(found, _)| found))
}

fn open(disk: &impl Disk, path: &SidecarPath) -> Result<Option<(Found, File)>, WriteError> {
    let fail = |error| WriteError::of(path, Step::Read, error);
    let mut file = match disk.open(&path.file) {
        Ok(file) => file,
        // No sidecar, but is its folder there?
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = fs::metadata(&path.folder).map_err(fail)?;
            return if folder.is_dir() { Ok(None) } else { Err(WriteError::Vanished { path: path.in_vault.clone() }) };
        }
        Err(error) => return Err(fail(error)),
    };
    let before = file.metadata().map_err(fail)?;
    if !before.is_file() {
        return Err(WriteError::NotAFile { path: path.in_vault.clone() });
    }
    let content = disk.read(&mut file).map_err(fail)?;
    let after = file.metadata().map_err(fail)?;
    let changes = content.len() as u64 != after.len() || modified_at_ns(&before) != modified_at_ns(&after);
    if content.len() as u64 > LONGEST_BYTES {
        let refusal = Refusal::NotXml(format!("it is {} MB long", after.len() >> 20));
        return Err(WriteError::Refused { path: path.in_vault.clone(), refusal });
    }
    let is_fresh = || after.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age < EMPTY_GRACE));
    if changes || (content.is_empty() && is_fresh()) {
        return Err(WriteError::Changed { path: path.in_vault.clone() });
    }
    Ok(Some((Found { seen: Seen::new(&after, &content), content }, file)))
}

/// Edits a sidecar that is still as it was `seen` (`None`: not there), on the disk. Returns `None` when nothing needs to be written.
///
/// # Errors
/// [`WriteError`]; unless it says otherwise the sidecar is untouched.
pub fn write(disk: &impl Disk, path: &SidecarPath, seen: Option<&Found>, changes: &[Value]) -> Result<Option<Written>, WriteError> {
    let edited = edit(seen.map(|found| found.content.as_slice()), changes);
    match edited.map_err(|refusal| WriteError::Refused { path: path.in_vault.clone(), refusal })? {
        Some(content) => save(disk, path, seen.map(|found| &found.seen), &content).map(Some),
        None => Ok(None),
    }
}

/// Exchanges a sidecar's bytes, if it is still as it was `seen` (`None`: not there).
///
/// # Errors
/// [`WriteError`]; unless it says otherwise the sidecar is untouched, and no temporary file is left where it could be removed.
pub fn save(disk: &impl Disk, path: &SidecarPath, seen: Option<&Seen>, content: &[u8]) -> Result<Written, WriteError> {
    let temporary = path.temporary();
    let old = match (check(disk, path, seen)?, seen) {
        (Some((_, old)), Some(_)) => Some(old),
        _ => None,
    };
    let placed = fill(disk, path, &temporary, old.as_ref(), content).and_then(|()| {
        check(disk, path, seen)?;
        disk.rename(&temporary, path, seen.is_some()).map_err(|error| WriteError::of(path, Step::Rename, error))
    });
    if let Err(error) = placed {
        // What cannot be removed now is swept up later; the first error is the one to tell.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    let overtaken = old.and_then(|old| overtaken(disk, old, seen?));
    disk.sync_folder(&path.folder).map_err(|error| WriteError::of(path, Step::SyncFolder, error))?;
    let unconfirmed = |error| WriteError::Unconfirmed { path: path.in_vault.clone(), source: error };
    let metadata = fs::symlink_metadata(&path.file).map_err(unconfirmed)?;
    Ok(Written { seen: Seen::new(&metadata, content), overtaken })
}

/// The sidecar must be as it was seen: size, time, file and bytes.
fn check(disk: &impl Disk, path: &SidecarPath, seen: Option<&Seen>) -> Result<Option<(Found, File)>, WriteError> {
    let now = open(disk, path)?;
    match (&now, seen) {
        (None, Some(_)) => Err(WriteError::Vanished { path: path.in_vault.clone() }),
        (now, seen) if now.as_ref().map(|(found, _)| &found.seen) == seen => Ok(()),
        _ => Err(WriteError::Changed { path: path.in_vault.clone() }),
    }?;
    Ok(now)
}

fn fill(disk: &impl Disk, path: &SidecarPath, temporary: &TemporaryPath, old: Option<&File>, content: &[u8]) -> Result<(), WriteError> {
    let fail = |step| move |error| WriteError::of(path, step, error);
    let mut file = disk.create(temporary).map_err(fail(Step::Create))?;
    let mut rest = content;
    while !rest.is_empty() {
        match disk.write(&mut file, rest) {
            Ok(0) => return Err(WriteError::of(path, Step::Write, ErrorKind::WriteZero.into())),
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(WriteError::of(path, Step::Write, error)),
        }
    }
    if let Some(old) = old {
        disk.adopt(&file, old).map_err(fail(Step::Adopt))?;
    }
    disk.sync(&file).map_err(fail(Step::Sync))?;
    drop(file);
    let mut file = disk.open(&temporary.0).map_err(fail(Step::Verify))?;
    let back = disk.read(&mut file).map_err(fail(Step::Verify))?;
    if back == content { Ok(()) } else { Err(WriteError::Garbled { path: path.in_vault.clone() }) }
}

/// What stands in the old file now, if that is not what was seen.
fn overtaken(disk: &impl Disk, mut old: File, seen: &Seen) -> Option<Vec<u8>> {
    let metadata = old.metadata().ok()?;
    if metadata.len() == seen.size_bytes && modified_at_ns(&metadata) == seen.modified_at_ns {
        return None;
    }
    io::Seek::rewind(&mut old).ok()?;
    disk.read(&mut old).ok().filter(|content| *blake3::hash(content).as_bytes() != seen.digest)
}

/// Removes what writers that were killed left in a folder. To be called by the vault's only writer, between its writes.
///
/// # Errors
/// The system's, when the folder cannot be listed, or one of them not removed.
pub fn sweep(disk: &impl Disk, folder: &Path) -> io::Result<usize> {
    let mut swept = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_leftover(&name) && entry.file_type()?.is_file() {
            disk.remove(&TemporaryPath(entry.path()))?;
            swept += 1;
        }
    }
    Ok(swept)
}

/// Whether a name is that of a temporary file of this module.
pub fn is_leftover(name: &OsStr) -> bool {
    name.as_bytes().starts_with(TEMPORARY.0.as_bytes()) && name.as_bytes().ends_with(TEMPORARY.1.as_bytes())
}
