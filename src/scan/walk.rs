//! Lists the folders of a vault in parallel: one listing a folder, one stat a file that matters, nothing opened.
//!
//! A NAS is slow in round trips: each stat follows right after its listing, while the server still has the attributes at hand, and
//! many folders are in flight at once.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
};

use rayon::Scope;

use crate::models::{FileFormat, RelPath};

/// One file that the scanner cares about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Exact name.
    pub(crate) name: OsString,
    /// By its extension.
    pub(crate) format: FileFormat,
    /// Size in bytes.
    pub(crate) size_bytes: u64,
    /// Modification time, nanoseconds since 1970-01-01 UTC.
    pub(crate) modified_at_ns: i64,
}

/// One folder as it stands on the vault.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Where in the vault.
    pub(crate) folder: RelPath,
    /// Files of known formats, sorted by name.
    pub(crate) entries: Vec<Entry>,
    /// Names that could not be read, with the reason.
    pub(crate) problems: Vec<(RelPath, String)>,
    /// Whether everything in the folder itself was seen: only then may a file be called missing.
    pub(crate) complete: bool,
}

impl Listing {
    /// Names, sizes and times in one number: equal to the last scan's means nothing to do.
    pub(crate) fn digest(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        // Where the readers learned something, every folder is looked into again.
        hasher.update(&crate::media::READING_VERSION.to_le_bytes());
        if self.entries.iter().any(|entry| entry.format == FileFormat::Xmp) {
            hasher.update(&crate::media::reading_version(FileFormat::Xmp).to_le_bytes());
        }
        for entry in &self.entries {
            hasher.update(&(entry.name.len() as u64).to_le_bytes());
            hasher.update(entry.name.as_bytes());
            hasher.update(&entry.size_bytes.to_le_bytes());
            hasher.update(&entry.modified_at_ns.to_le_bytes());
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        digest
    }
}

/// What a walk must not enter or forget.
pub(crate) struct Walk<'a> {
    /// Absolute path of the vault's root on this host.
    pub(crate) mount: &'a Path,
    /// Absolute paths of other vaults inside this one.
    pub(crate) other_vaults: &'a [std::path::PathBuf],
    /// Raised by Ctrl-C.
    pub(crate) stop: &'a AtomicBool,
}

impl Walk<'_> {
    /// Lists `start` and everything below it on `pool`, sending each folder as soon as it is listed.
    /// Returns when all is listed or the receiver is gone.
    pub(crate) fn run(&self, pool: &rayon::ThreadPool, start: RelPath, sender: &Sender<Listing>) {
        pool.scope(|scope| self.visit(scope, start, sender.clone()));
    }

    /// Lists `folder` alone.
    pub(crate) fn one(&self, folder: RelPath, sender: &Sender<Listing>) {
        let (listing, _) = self.list(folder);
        // As in `visit`.
        let _ = sender.send(listing);
    }

    fn visit<'s>(&'s self, scope: &Scope<'s>, folder: RelPath, sender: Sender<Listing>) {
        if self.stop.load(Ordering::Relaxed) {
            return;
        }
        let (listing, below) = self.list(folder);
        for folder in below {
            let sender = sender.clone();
            scope.spawn(move |scope| self.visit(scope, folder, sender));
        }
        // A receiver that is gone has been interrupted: there is nobody left to tell.
        let _ = sender.send(listing);
    }

    fn list(&self, folder: RelPath) -> (Listing, Vec<RelPath>) {
        let mut listing = Listing { folder: folder.clone(), entries: Vec::new(), problems: Vec::new(), complete: true };
        let mut below = Vec::new();
        let path = folder.on(self.mount);
        if let Err(error) = self.read_folder(&path, &mut listing, &mut below) {
            listing.complete = false;
            listing.problems.push((folder, format!("cannot list the folder: {error}")));
        }
        let nfc = |entry: &Entry| crate::models::nfc(&entry.name);
        super::group::without_strays(&mut listing.entries, nfc, |entry| entry.format);
        listing.entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        (listing, below)
    }

    fn read_folder(&self, path: &Path, listing: &mut Listing, below: &mut Vec<RelPath>) -> io::Result<()> {
        let mut opted_out = false;
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == OsStr::new(".nomedia") {
                opted_out = true;
                break;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if !is_junk_folder(&name) && !self.other_vaults.contains(&path.join(&name)) {
                    match listing.folder.join(&name) {
                        Ok(folder) => below.push(folder),
                        Err(error) => listing.problems.push((listing.folder.clone(), error.to_string())),
                    }
                }
            } else if kind.is_file()
                && !is_junk_file(&name)
                && let Some(format) = format_of(&name)
            {
                match entry.metadata() {
                    Ok(metadata) => listing.entries.push(Entry {
                        format,
                        size_bytes: metadata.len(),
                        modified_at_ns: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
                        name,
                    }),
                    // Deleted between listing and stat: not there, and no problem.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        listing.complete = false;
                        let file = listing.folder.join(&name).unwrap_or_else(|_| listing.folder.clone());
                        listing.problems.push((file, error.to_string()));
                    }
                }
            }
        }
        if opted_out {
            listing.entries.clear();
            below.clear();
        }
        Ok(())
    }
}

fn format_of(name: &OsStr) -> Option<FileFormat> {
    super::group::format_of_name(&name.to_string_lossy())
}

/// Folders that NAS, operating systems and photo programs fill with their own: nothing in them is a photograph someone took.
fn is_junk_folder(name: &OsStr) -> bool {
    const NAMES: [&str; 15] = [
        "@eadir",
        "@__thumb",
        "#recycle",
        "#snapshot",
        "@recycle",
        "@recently-snapshot",
        "@tmp",
        "__macosx",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "thumbnails",
        "lightroom catalog",
        "recently deleted",
        "network trash folder",
    ];
    const ENDINGS: [&str; 3] = [".lrdata", ".photoslibrary", ".lrcat-data"];
    let lower = name.to_string_lossy().to_lowercase();
    lower.starts_with('.') || NAMES.contains(&lower.as_str()) || ENDINGS.iter().any(|ending| lower.ends_with(ending))
}

fn is_junk_file(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    bytes.starts_with(b".") || bytes.starts_with(b"SYNOFILE_THUMB_") || bytes.starts_with(b"SYNOPHOTO_THUMB_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, sync::mpsc};

    fn listings(root: &Path, other_vaults: &[std::path::PathBuf]) -> BTreeMap<String, Listing> {
        listings_by(4, root, other_vaults)
    }

    fn listings_by(threads: usize, root: &Path, other_vaults: &[std::path::PathBuf]) -> BTreeMap<String, Listing> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (sender, receiver) = mpsc::channel();
        let stop = AtomicBool::new(false);
        Walk { mount: root, other_vaults, stop: &stop }.run(&pool, RelPath::root(), &sender);
        drop(sender);
        receiver.into_iter().map(|listing| (listing.folder.to_string(), listing)).collect()
    }

    fn touch(root: &Path, file: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }

    #[test]
    fn junk_other_files_and_links_are_passed_over() {
        let root = tempfile::tempdir().unwrap();
        for file in [
            "a.JPG",
            "b.txt",
            ".hidden.jpg",
            "._a.JPG",
            "2019/x.CR2",
            "2019/x.CR2.xmp",
            "@eaDir/a.JPG/SYNOPHOTO_THUMB_M.jpg",
            "#recycle/gone.jpg",
            ".cache/t.jpg",
            "SYNOFILE_THUMB_M.jpg",
            "Photos Library.photoslibrary/originals/a.jpg",
            "empty/readme",
            "secret/.nomedia",
            "secret/no.jpg",
            "secret/below/no.jpg",
            "other/vault.jpg",
        ] {
            touch(root.path(), file);
        }
        std::os::unix::fs::symlink(root.path().join("a.JPG"), root.path().join("link.jpg")).unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("loop")).unwrap();
        let found = listings(root.path(), &[root.path().join("other")]);
        let names: Vec<String> =
            found.values().flat_map(|listing| listing.entries.iter().map(|e| format!("{}/{}", listing.folder, e.name.display()))).collect();
        assert_eq!(names, ["/a.JPG", "2019/x.CR2", "2019/x.CR2.xmp"]);
        assert!(found.values().all(|listing| listing.complete && listing.problems.is_empty()));
    }

    #[test]
    fn many_at_a_time_list_what_one_lists() {
        let root = tempfile::tempdir().unwrap();
        for folder in 0..240 {
            // Years, months and days: wide and deep.
            let (year, month, day) = (2000 + folder % 6, 1 + folder / 6 % 8, 1 + folder / 48);
            for file in 0..=folder % 4 {
                touch(root.path(), &format!("{year}/{month:02}/{day:02}/IMG_{file}.JPG"));
            }
        }
        let facts = |threads| -> Vec<(String, Vec<Entry>, bool)> {
            let found = listings_by(threads, root.path(), &[]);
            found.into_iter().map(|(folder, listing)| (folder, listing.entries, listing.complete)).collect()
        };
        let alone = facts(1);
        assert_eq!(alone.len(), 1 + 6 + 6 * 8 + 240, "the root, years, months and days");
        assert_eq!(alone.iter().map(|(_, entries, _)| entries.len()).sum::<usize>(), 600);
        for _ in 0..10 {
            assert_eq!(facts(16), alone);
        }
    }

    /// What NAS, systems and photo programs leave between photographs.
    #[test]
    fn every_kind_of_junk_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let folders = [
            "@eaDir",
            "@__thumb",
            ".@__thumb",
            "#recycle",
            "#snapshot",
            "@Recycle",
            "@Recently-Snapshot",
            "@tmp",
            ".Spotlight-V100",
            ".Trashes",
            ".fseventsd",
            ".TemporaryItems",
            "Network Trash Folder",
            "__MACOSX",
            "$RECYCLE.BIN",
            "System Volume Information",
            ".Trash-1000",
            ".dtrash",
            "lost+found",
            ".stversions",
            ".stfolder",
            "thumbnails",
            ".thumbnails",
            "Lightroom Catalog",
            "Catalog Previews.lrdata",
            "Catalog.lrcat-data",
            ".photostructure",
            "Recently Deleted",
            "Family.photoslibrary",
        ];
        for folder in folders {
            touch(root.path(), &format!("deep/{folder}/IMG_1.JPG"));
            touch(root.path(), &format!("deep/{folder}/below/IMG_2.CR2"));
        }
        for file in [
            "SYNOFILE_THUMB_M.jpg",
            "SYNOPHOTO_THUMB_XL.jpg",
            ".DS_Store",
            "._IMG_1.JPG",
            "Thumbs.db",
            "desktop.ini",
            ".picasa.ini",
            "Picasa.ini",
            "IMG_1.txt",
            "song.mp3",
        ] {
            touch(root.path(), &format!("deep/{file}"));
        }
        touch(root.path(), "deep/IMG_9.JPG");
        // Names that only resemble junk.
        for folder in ["recycle", "Thumbnails of Rome", "my @eaDir"] {
            touch(root.path(), &format!("{folder}/IMG_1.JPG"));
        }
        let found = listings(root.path(), &[]);
        let names: Vec<String> =
            found.values().flat_map(|listing| listing.entries.iter().map(|e| format!("{}/{}", listing.folder, e.name.display()))).collect();
        assert_eq!(names, ["Thumbnails of Rome/IMG_1.JPG", "deep/IMG_9.JPG", "my @eaDir/IMG_1.JPG", "recycle/IMG_1.JPG"]);
        assert_eq!(found.len(), 5, "no folder of junk was even listed: {:?}", found.keys());
    }

    #[test]
    fn the_digest_sees_names_sizes_and_times() {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), "a.jpg");
        let before = listings(root.path(), &[])[""].digest();
        assert_eq!(before, listings(root.path(), &[])[""].digest());
        fs::rename(root.path().join("a.jpg"), root.path().join("b.jpg")).unwrap();
        let renamed = listings(root.path(), &[])[""].digest();
        assert_ne!(before, renamed);
        let file = fs::File::options().write(true).open(root.path().join("b.jpg")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_ne!(renamed, listings(root.path(), &[])[""].digest());
    }

    #[test]
    fn a_folder_that_cannot_be_listed_is_a_problem_and_incomplete() {
        let root = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let (sender, receiver) = mpsc::channel();
        let stop = AtomicBool::new(false);
        let gone = RelPath::from_bytes(b"gone").unwrap();
        Walk { mount: root.path(), other_vaults: &[], stop: &stop }.run(&pool, gone, &sender);
        let listing = receiver.recv().unwrap();
        assert!(!listing.complete);
        assert_eq!(listing.problems.len(), 1);
    }
}
