//! The thumbnail directory: pictures lie by their key, and get there by a rename from `new/`, so that nobody reads half of one and
//! what a killed process left is found in one place.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use crate::models::{PictureKey, PictureSize};

/// Unfinished pictures older than this belong to nobody any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);
const SIZES: [PictureSize; 2] = [PictureSize::Proxy, PictureSize::Thumbnail];

/// Pictures on disk.
#[derive(Debug, Clone)]
pub struct PictureStore {
    root: PathBuf,
}

/// Names for pictures in the making; removed again unless they are kept.
#[derive(Debug)]
pub(super) struct NewPictures {
    pub(super) proxy: PathBuf,
    pub(super) thumbnail: PathBuf,
}

impl Drop for NewPictures {
    fn drop(&mut self) {
        for path in [&self.proxy, &self.thumbnail] {
            // Usually it was renamed, or never came to be.
            let _ = fs::remove_file(path);
        }
    }
}

impl PictureStore {
    /// Pictures below `root` (`thumbs.dir`).
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where a picture lies, made or not.
    pub fn path(&self, key: &PictureKey, size: PictureSize) -> PathBuf {
        self.root.join(key.relative_path(size))
    }

    /// Whether both sizes are on disk.
    pub fn is_complete(&self, key: &PictureKey) -> bool {
        SIZES.iter().all(|size| fs::metadata(self.path(key, *size)).is_ok_and(|metadata| metadata.len() > 0))
    }

    fn new_dir(&self) -> PathBuf {
        self.root.join("new")
    }

    /// Names that nobody else uses, on the same disk.
    pub(super) fn begin(&self, key: &PictureKey) -> io::Result<NewPictures> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let dir = self.new_dir();
        fs::create_dir_all(&dir)?;
        let stem = format!("{key}-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        Ok(NewPictures { proxy: dir.join(format!("{stem}.jpg")), thumbnail: dir.join(format!("{stem}.webp")) })
    }

    /// Puts finished pictures where they belong.
    pub(super) fn keep(&self, new: &NewPictures, key: &PictureKey) -> io::Result<()> {
        for (from, size) in [(&new.proxy, PictureSize::Proxy), (&new.thumbnail, PictureSize::Thumbnail)] {
            let to = self.path(key, size);
            fs::create_dir_all(to.parent().unwrap_or(&self.root))?;
            fs::rename(from, to)?;
        }
        Ok(())
    }

    /// Removes what processes that were killed left unfinished.
    pub(super) fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.new_dir()) else { return };
        for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
            if is_abandoned(&path) {
                // Another server on the same disk may have been faster.
                let _ = fs::remove_file(&path);
            }
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| SystemTime::now().duration_since(modified).is_ok_and(|age| age > ABANDONED_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PictureKey {
        PictureKey::of(&[1; 16], 2, None)
    }

    #[test]
    fn a_picture_is_there_when_both_sizes_are() {
        let dir = tempfile::tempdir().unwrap();
        let store = PictureStore::new(dir.path());
        let new = store.begin(&key()).unwrap();
        fs::write(&new.proxy, "proxy").unwrap();
        fs::write(&new.thumbnail, "thumbnail").unwrap();
        assert!(!store.is_complete(&key()));
        store.keep(&new, &key()).unwrap();
        assert!(store.is_complete(&key()));
        fs::remove_file(store.path(&key(), PictureSize::Thumbnail)).unwrap();
        assert!(!store.is_complete(&key()));
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = PictureStore::new(dir.path());
        let new = store.begin(&key()).unwrap();
        fs::write(&new.proxy, "half").unwrap();
        drop(new);
        assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), 0);
    }

    #[test]
    fn only_old_leftovers_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let store = PictureStore::new(dir.path());
        let new = store.begin(&key()).unwrap();
        fs::write(&new.proxy, "young").unwrap();
        fs::write(&new.thumbnail, "old").unwrap();
        let long_ago = SystemTime::now() - ABANDONED_AFTER * 2;
        fs::File::options().write(true).open(&new.thumbnail).unwrap().set_modified(long_ago).unwrap();
        store.sweep();
        assert!(new.proxy.exists() && !new.thumbnail.exists());
    }
}
