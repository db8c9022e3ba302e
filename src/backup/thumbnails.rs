//! Pictures in a backup: a tar of thumbnails and proxies as they lie in their directory. They can be made again, so one that is gone or
//! cannot be read is left out, and one that is there already stays as it is.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use super::BackupError;
use crate::models::{PictureKey, PictureSize};

/// Writes pictures one after the other.
pub(super) struct Writer<W: Write> {
    tar: tar::Builder<W>,
    count: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(to: W) -> Self {
        Self { tar: tar::Builder::new(to), count: 0 }
    }

    /// Adds both sizes of a picture, where they are.
    pub(super) fn add(&mut self, folder: &Path, key: &str, stop: &AtomicBool) -> Result<(), BackupError> {
        let Ok(key) = key.parse::<PictureKey>() else { return Ok(()) };
        for size in [PictureSize::Thumbnail, PictureSize::Proxy] {
            if stop.load(Ordering::Relaxed) {
                return Err(BackupError::Stopped);
            }
            let path = key.relative_path(size);
            // Read whole, so that its length in the archive is what follows.
            let Ok(bytes) = fs::read(folder.join(&path)) else { continue };
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            self.tar.append_data(&mut header, &path, bytes.as_slice()).map_err(|source| BackupError::Write { path, source })?;
            self.count += 1;
        }
        Ok(())
    }

    /// Ends the tar; how many pictures are in it.
    pub(super) fn finish(mut self) -> Result<u64, BackupError> {
        self.tar.finish().map_err(|source| BackupError::Write { path: super::archive::THUMBNAILS.into(), source })?;
        Ok(self.count)
    }
}

/// Puts pictures into their directory; how many were not there. What has no name of a picture is passed over.
pub(super) fn unpack(from: impl Read, folder: &Path) -> io::Result<u64> {
    let mut count = 0;
    for entry in tar::Archive::new(from).entries()? {
        let mut entry = entry?;
        let Some(path) = entry.path().ok().and_then(|path| picture_path(&path)) else { continue };
        let place = folder.join(path);
        if place.exists() {
            continue;
        }
        let parent = place.parent().expect("a picture lies in a folder");
        fs::create_dir_all(parent)?;
        let temporary = place.with_extension(format!("{}.tmp", std::process::id()));
        let written = File::create(&temporary).and_then(|mut file| io::copy(&mut entry, &mut file));
        if let Err(error) = written.and_then(|_| fs::rename(&temporary, &place)) {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        count += 1;
    }
    Ok(count)
}

/// The place of a picture of this name, whatever path an archive gives it.
fn picture_path(path: &Path) -> Option<std::path::PathBuf> {
    let key: PictureKey = path.file_name()?.to_str()?.split('.').next()?.parse().ok()?;
    [PictureSize::Thumbnail, PictureSize::Proxy].into_iter().map(|size| key.relative_path(size)).find(|own| own == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_back_and_nothing_else_does() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key: PictureKey = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let thumbnail = key.relative_path(PictureSize::Thumbnail);
        fs::create_dir_all(from.path().join(&thumbnail).parent().unwrap()).unwrap();
        fs::write(from.path().join(&thumbnail), "webp").unwrap();
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.add(from.path(), key.as_str(), &AtomicBool::new(false)).unwrap();
        writer.add(from.path(), "../../etc/passwd", &AtomicBool::new(false)).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        writer.tar.append_data(&mut header, "01/23/evil", &b"x"[..]).unwrap();
        assert_eq!(writer.finish().unwrap(), 1, "the proxy is not there");
        assert_eq!(unpack(bytes.as_slice(), to.path()).unwrap(), 1);
        assert_eq!(fs::read(to.path().join(&thumbnail)).unwrap(), b"webp");
        assert_eq!(fs::read_dir(to.path().join("01/23")).unwrap().count(), 1);
        assert_eq!(unpack(bytes.as_slice(), to.path()).unwrap(), 0, "it is there");
    }
}
