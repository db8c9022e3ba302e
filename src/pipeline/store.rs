//! The thumbnail directory: pictures lie by their key, and get there by a rename from `new/`, so that nobody reads half of one and
//! what a killed process left is found in one place. `owners/` says which libraries keep theirs here.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use crate::models::{PictureKey, PictureSize};

/// Unfinished pictures older than this belong to nobody any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);
const SIZES: [PictureSize; 2] = [PictureSize::Proxy, PictureSize::Thumbnail];
/// Holds a file for each library whose pictures are here.
const OWNERS: &str = "owners";
const OWNER_TEXT: &str = "A library of hm keeps pictures below this directory. Once it is gone for good, this file may be removed:
the libraries that are left then remove what none of them needs.
";

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

/// Whose pictures a directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ownership {
    /// This library's alone, and since when it is known here.
    Sole(SystemTime),
    /// These other libraries' too.
    Shared(Vec<String>),
}

/// The files of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredPictures {
    pub(super) key: PictureKey,
    files: Vec<PathBuf>,
}

impl StoredPictures {
    /// Removes those files whose time of change passes; how many and how many bytes they were.
    pub(super) fn remove_if(&self, is_old: impl Fn(SystemTime) -> bool) -> (u64, u64) {
        let mut removed = (0, 0);
        for path in &self.files {
            let Ok(metadata) = fs::symlink_metadata(path) else { continue };
            let may_go = metadata.is_file() && metadata.modified().is_ok_and(&is_old);
            // A disk that is read-only says so louder elsewhere.
            if may_go && fs::remove_file(path).is_ok() {
                removed = (removed.0 + 1, removed.1 + metadata.len());
            }
        }
        removed
    }
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

    /// Where each library that keeps pictures here has a file.
    pub(super) fn owners_dir(&self) -> PathBuf {
        self.root.join(OWNERS)
    }

    /// Says that `library` keeps pictures here, and who else does.
    pub(super) fn ownership(&self, library: &str) -> io::Result<Ownership> {
        let dir = self.owners_dir();
        fs::create_dir_all(&dir)?;
        let own = dir.join(library);
        match fs::File::create_new(&own) {
            Ok(mut file) => io::Write::write_all(&mut file, OWNER_TEXT.as_bytes())?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let mut others = Vec::new();
        for entry in fs::read_dir(&dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != library {
                others.push(name);
            }
        }
        others.sort();
        if others.is_empty() { Ok(Ownership::Sole(fs::metadata(&own)?.modified()?)) } else { Ok(Ownership::Shared(others)) }
    }

    /// The directories that the pictures are spread over by the first two digits of their keys.
    pub(super) fn pieces(&self) -> io::Result<Vec<PathBuf>> {
        let mut pieces = digit_dirs(&self.root)?;
        pieces.sort();
        Ok(pieces)
    }

    /// The pictures in one of [`Self::pieces`]: only files that lie where their name says, by names that hm gives.
    pub(super) fn pictures_in(&self, piece: &Path) -> io::Result<Vec<StoredPictures>> {
        let mut by_key: BTreeMap<PictureKey, Vec<PathBuf>> = BTreeMap::new();
        for dir in digit_dirs(piece)? {
            for entry in fs::read_dir(&dir)? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let Some(key) = name.get(..32).and_then(|digits| digits.parse::<PictureKey>().ok()) else { continue };
                if SIZES.iter().any(|size| self.path(&key, *size) == path) {
                    by_key.entry(key).or_default().push(path);
                }
            }
        }
        Ok(by_key.into_iter().map(|(key, files)| StoredPictures { key, files }).collect())
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

/// Directories, not links, whose names are two hexadecimal digits; none where `dir` is not there.
fn digit_dirs(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let are_digits = name.len() == 2 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if are_digits && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
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

    /// Files of both sizes under `key`.
    fn put(store: &PictureStore, key: &PictureKey) {
        for size in SIZES {
            let path = store.path(key, size);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "picture").unwrap();
        }
    }

    #[test]
    fn only_what_hm_names_is_listed_and_only_what_is_old_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = PictureStore::new(dir.path());
        put(&store, &key());
        let thumbnail = store.path(&key(), PictureSize::Thumbnail);
        let beside = |name: &str| thumbnail.with_file_name(name);
        let other = PictureKey::of(&[9; 16], 9, None);
        let foreign = [
            beside("holiday.jpg"),
            beside(&format!("{key}.txt", key = key())),
            beside(&format!("{key}.thumb.webp.bak", key = key())),
            beside(&format!("{other}.thumb.webp")),
            dir.path().join("notes.txt"),
        ];
        for path in &foreign {
            fs::write(path, "someone's").unwrap();
        }
        fs::create_dir_all(dir.path().join("albums/ab")).unwrap();
        let listed: Vec<StoredPictures> = store.pieces().unwrap().iter().flat_map(|piece| store.pictures_in(piece).unwrap()).collect();
        assert_eq!(listed.iter().map(|pictures| (&pictures.key, pictures.files.len())).collect::<Vec<_>>(), [(&key(), 2)]);
        assert_eq!(listed[0].remove_if(|_| false), (0, 0));
        assert!(store.is_complete(&key()));
        assert_eq!(listed[0].remove_if(|_| true), (2, 14));
        assert!(!store.is_complete(&key()) && foreign.iter().all(|path| path.exists()));
    }

    #[test]
    fn links_are_neither_followed_nor_removed() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = PictureStore::new(elsewhere.path());
        put(&store, &key());
        for piece in store.pieces().unwrap() {
            std::os::unix::fs::symlink(&piece, dir.path().join(piece.file_name().unwrap())).unwrap();
        }
        assert!(PictureStore::new(dir.path()).pieces().unwrap().is_empty());
        let thumbnail = store.path(&key(), PictureSize::Thumbnail);
        fs::rename(&thumbnail, elsewhere.path().join("original.webp")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("original.webp"), &thumbnail).unwrap();
        let pictures = store.pictures_in(&store.pieces().unwrap()[0]).unwrap();
        assert_eq!(pictures[0].remove_if(|_| true).0, 1, "the proxy alone");
        assert!(thumbnail.is_symlink());
    }

    #[test]
    fn a_directory_knows_whose_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = PictureStore::new(dir.path());
        let Ownership::Sole(since) = store.ownership("7-1").unwrap() else { panic!("nobody else is here") };
        assert_eq!(store.ownership("7-1").unwrap(), Ownership::Sole(since), "the first time counts");
        assert_eq!(store.ownership("8-1").unwrap(), Ownership::Shared(vec!["7-1".to_owned()]));
        assert_eq!(store.ownership("7-1").unwrap(), Ownership::Shared(vec!["8-1".to_owned()]));
        fs::remove_file(store.owners_dir().join("8-1")).unwrap();
        assert_eq!(store.ownership("7-1").unwrap(), Ownership::Sole(since));
    }
}
