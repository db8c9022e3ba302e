//! The steps of writing that touch the disk, behind a trait, so that a test can let each of them fail.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use rustix::io::Errno;

use super::{LONGEST_BYTES, SidecarPath, TemporaryPath};

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
