//! The one place of hm that writes into a vault: a sidecar's new bytes, whole or not at all.
//!
//! A temporary file beside the sidecar is written, flushed to the disk, read back and compared; the sidecar is looked at once more; then
//! the one takes the other's name, and the folder is flushed. So at every moment, whatever fails or is killed, the sidecar has its old or
//! its new bytes and nothing else. Which of them, every error says.
//!
//! Only a [`SidecarPath`] can be written, and only a path that ends in `.xmp` can be one: an original cannot be named here.
//!
//! The steps that touch the disk are behind [`Disk`], so that a test can let each of them fail.

use std::{
    ffi::OsStr,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::io::Errno;

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

/// A step of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Looking at the sidecar that is there.
    Read,
    /// Making the temporary file.
    Create,
    /// Filling it.
    Write,
    /// Giving it the sidecar's owner and permissions.
    Adopt,
    /// Flushing it to the disk.
    Sync,
    /// Reading it back.
    Verify,
    /// Giving it the sidecar's name.
    Rename,
    /// Flushing the folder.
    SyncFolder,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Create => "create a file beside",
            Self::Write => "write",
            Self::Adopt => "keep the owner and permissions of",
            Self::Sync => "flush",
            Self::Verify => "read back",
            Self::Rename => "put in place",
            Self::SyncFolder => "flush the folder of",
        })
    }
}

/// Why a sidecar was not written. Unless [`WriteError::holds_new`], the sidecar is as it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It is not understood.
    #[error("{refusal}")]
    Refused {
        /// The sidecar.
        path: RelPath,
        /// Why.
        refusal: Refusal,
    },
    /// Somebody else changed it since it was read; read again and merge.
    #[error("`{path}` was changed by another program meanwhile")]
    Changed {
        /// The sidecar.
        path: RelPath,
    },
    /// The folder, or the sidecar that was there, is gone.
    #[error("`{path}` is gone: was the folder moved, or the disk taken away?")]
    Vanished {
        /// The sidecar.
        path: RelPath,
    },
    /// The vault is mounted read-only.
    #[error("`{path}` cannot be written: the disk is mounted read-only")]
    ReadOnly {
        /// The sidecar.
        path: RelPath,
    },
    /// Not allowed.
    #[error("`{path}` cannot be written: no permission to {step} it")]
    Denied {
        /// The sidecar.
        path: RelPath,
        /// Which step is not allowed.
        step: Step,
    },
    /// No room.
    #[error("`{path}` cannot be written: the disk is full")]
    Full {
        /// The sidecar.
        path: RelPath,
    },
    /// A folder, a link, or something else that is no plain file has the name.
    #[error("`{path}` is no plain file")]
    NotAFile {
        /// The sidecar.
        path: RelPath,
    },
    /// What came back from the disk is not what was written.
    #[error("`{path}` was not written: the disk gave back other bytes than it was given")]
    Garbled {
        /// The sidecar.
        path: RelPath,
    },
    /// It has its new bytes, but nobody knows whether they would outlive a power cut.
    #[error("`{path}` is written, but the disk did not confirm it: {source}")]
    Unconfirmed {
        /// The sidecar.
        path: RelPath,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("could not {step} `{path}`: {source}")]
    Io {
        /// The sidecar.
        path: RelPath,
        /// At which step.
        step: Step,
        /// What the system said.
        source: io::Error,
    },
}

impl WriteError {
    fn of(path: &SidecarPath, step: Step, source: io::Error) -> Self {
        let path = path.in_vault.clone();
        let code = source.raw_os_error().map(Errno::from_raw_os_error);
        match (source.kind(), code) {
            _ if step == Step::SyncFolder => Self::Unconfirmed { path, source },
            (_, Some(Errno::ROFS)) | (ErrorKind::ReadOnlyFilesystem, _) => Self::ReadOnly { path },
            (_, Some(Errno::NOSPC | Errno::DQUOT)) | (ErrorKind::StorageFull | ErrorKind::QuotaExceeded, _) => Self::Full { path },
            (_, Some(Errno::LOOP)) | (ErrorKind::IsADirectory | ErrorKind::NotADirectory, _) => Self::NotAFile { path },
            (ErrorKind::PermissionDenied, _) => Self::Denied { path, step },
            (ErrorKind::NotFound, _) => Self::Vanished { path },
            (ErrorKind::AlreadyExists, _) if step == Step::Rename => Self::Changed { path },
            _ => Self::Io { path, step, source },
        }
    }

    /// Whether the sidecar has its new bytes all the same.
    pub fn holds_new(&self) -> bool {
        matches!(self, Self::Unconfirmed { .. })
    }
}

/// What writing does to the disk, step by step.
pub trait Disk {
    /// Opens a file for reading; a link is not followed.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path) -> io::Result<File>;
    /// Reads an open file from where it stands to its end.
    ///
    /// # Errors
    /// The system's.
    fn read(&self, file: &mut File) -> io::Result<Vec<u8>>;
    /// Makes a file that is not there yet.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &TemporaryPath) -> io::Result<File>;
    /// Writes some of the bytes and says how many.
    ///
    /// # Errors
    /// The system's.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize>;
    /// Gives a new file the owner, the permissions and the extended attributes of an old one.
    ///
    /// # Errors
    /// The system's; extended attributes are kept where the disk can.
    fn adopt(&self, file: &File, old: &File) -> io::Result<()>;
    /// Flushes a file to the disk.
    ///
    /// # Errors
    /// The system's.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Gives the file the sidecar's name; unless `replaces`, only where nothing has it.
    ///
    /// # Errors
    /// The system's; `AlreadyExists` where something has it.
    fn rename(&self, from: &TemporaryPath, to: &SidecarPath, replaces: bool) -> io::Result<()>;
    /// Flushes the names of a folder.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Removes a file of hm's own.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &TemporaryPath) -> io::Result<()>;
}

/// The disk itself.
#[derive(Debug, Clone, Copy)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<File> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
        let flags = i32::try_from(flags.bits()).expect("the flags of the system are small numbers");
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    }

    fn read(&self, file: &mut File) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        file.take(LONGEST_BYTES + 1).read_to_end(&mut content)?;
        Ok(content)
    }

    fn create(&self, path: &TemporaryPath) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(&path.0)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn adopt(&self, file: &File, old: &File) -> io::Result<()> {
        let (new, old_metadata) = (file.metadata()?, old.metadata()?);
        if (new.uid(), new.gid()) != (old_metadata.uid(), old_metadata.gid()) {
            std::os::unix::fs::fchown(file, Some(old_metadata.uid()), Some(old_metadata.gid()))?;
        }
        // After the owner: the system takes some permissions away with it.
        if new.mode() & 0o7777 != old_metadata.mode() & 0o7777 {
            file.set_permissions(fs::Permissions::from_mode(old_metadata.mode() & 0o7777))?;
        }
        copy_extended_attributes(old, file);
        Ok(())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &TemporaryPath, to: &SidecarPath, replaces: bool) -> io::Result<()> {
        if replaces {
            return fs::rename(&from.0, &to.file);
        }
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(rustix::fs::CWD, &from.0, rustix::fs::CWD, &to.file, flags) {
            // Disks on the network do not all know this; most of them know links.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match fs::hard_link(&from.0, &to.file) {
                Ok(()) => fs::remove_file(&from.0),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
                // What is left is to trust the look a moment ago.
                Err(_) => fs::rename(&from.0, &to.file),
            },
            other => Ok(other?),
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        match File::open(folder)?.sync_all() {
            // Some disks on the network have no such thing, and flush names by themselves.
            Err(error) if error.raw_os_error().map(Errno::from_raw_os_error) == Some(Errno::INVAL) => Ok(()),
            other => other,
        }
    }

    fn remove(&self, path: &TemporaryPath) -> io::Result<()> {
        fs::remove_file(&path.0)
    }
}

/// Access lists and what other programs hung on the file, as far as the disk takes them: losing one is no reason to lose an edit.
fn copy_extended_attributes(from: &File, to: &File) {
    let mut names = vec![0; 64 << 10];
    let Ok(length) = rustix::fs::flistxattr(from, &mut names[..]) else { return };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        if let Ok(length) = rustix::fs::fgetxattr(from, name, &mut value[..]) {
            // As above.
            let _ = rustix::fs::fsetxattr(to, name, &value[..length], rustix::fs::XattrFlags::empty());
        }
    }
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
