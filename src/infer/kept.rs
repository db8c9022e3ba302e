//! Embeddings of images that were pointed at, kept for the next click: the latest in memory, more of them on disk. Apart from the networks,
//! because it knows of pictures and files, and nothing of tensors. Imports models.
//!
//! A file is found by picture and network, begins with the digest of both and of what follows, and is written by a temporary name and a
//! rename. Whatever is damaged, cut short or of somebody else is removed and made again: losing the folder costs time alone.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use candle_core::Device;

use super::{Result, sam::ImageEmbedding};
use crate::models::{PictureKey, task::NetworkVersion};

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes in memory.
    pub memory_bytes: u64,
    /// Most bytes on disk.
    pub disk_bytes: u64,
}

impl Default for Limits {
    /// 64 MiB in memory, 512 MiB on disk: of SAM, whose embeddings take 4 and 2 MiB, 16 and 256 images; of SAM 2 a quarter of that.
    fn default() -> Self {
        Self { memory_bytes: 64 << 20, disk_bytes: 512 << 20 }
    }
}

/// One picture as one network sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    picture: PictureKey,
    network: NetworkVersion,
}

/// Embeddings that were made before.
pub struct KeptEmbeddings {
    /// The one used last comes last.
    memory: Mutex<Vec<(Seen, Arc<ImageEmbedding>)>>,
    folder: PathBuf,
    limits: Limits,
    /// Files of the folder, the one used last at the end; `None` until somebody looked.
    files: Mutex<Option<Vec<KeptFile>>>,
}

struct KeptFile {
    name: String,
    bytes: u64,
}

/// Ends the names of files.
const ENDING: &str = "embedding";
/// Bytes of a digest.
const DIGEST: usize = blake3::OUT_LEN;

impl KeptEmbeddings {
    /// Keeps them in memory and in a folder, which need not be there yet.
    pub fn new(folder: PathBuf, limits: Limits) -> Self {
        Self { memory: Mutex::default(), folder, limits, files: Mutex::new(None) }
    }

    /// What is in memory.
    pub fn in_memory(&self, picture: &PictureKey, network: &NetworkVersion) -> Option<Arc<ImageEmbedding>> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let at = memory.iter().position(|(seen, _)| seen.picture == *picture && seen.network == *network)?;
        let entry = memory.remove(at);
        let embedding = Arc::clone(&entry.1);
        memory.push(entry);
        Some(embedding)
    }

    /// What is in memory or on disk; reads a file of some MiB.
    pub fn find(&self, picture: &PictureKey, network: &NetworkVersion) -> Option<Arc<ImageEmbedding>> {
        if let Some(embedding) = self.in_memory(picture, network) {
            return Some(embedding);
        }
        let seen = Seen { picture: picture.clone(), network: network.clone() };
        let name = seen.file_name();
        let path = self.folder.join(&name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::debug!("{} cannot be read and is made again: {error}", path.display());
                return None;
            }
        };
        let Some(embedding) = seen.embedding_of(&bytes) else {
            tracing::warn!("{} is damaged and is made again", path.display());
            self.forget(&name);
            return None;
        };
        self.touch(&name, &path);
        Some(self.remember(seen, embedding))
    }

    /// Keeps an embedding and gives it back as it will be found: with its numbers in half precision, so that the same question has the
    /// same answer whether or not the network has to look again. A disk that cannot be written costs time later, and nothing else.
    ///
    /// # Errors
    /// [`super::InferError::Candle`] when the device fails.
    pub fn keep(&self, picture: &PictureKey, network: &NetworkVersion, embedding: &ImageEmbedding) -> Result<Arc<ImageEmbedding>> {
        let seen = Seen { picture: picture.clone(), network: network.clone() };
        let numbers = embedding.to_bytes()?;
        let settled = ImageEmbedding::of_bytes(&numbers, &Device::Cpu)?;
        if let Err(error) = self.write(&seen, &numbers) {
            tracing::warn!("an embedding cannot be kept in {}: {error}", self.folder.display());
        }
        Ok(self.remember(seen, settled))
    }

    fn remember(&self, seen: Seen, embedding: ImageEmbedding) -> Arc<ImageEmbedding> {
        let embedding = Arc::new(embedding);
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.retain(|(other, _)| *other != seen);
        memory.push((seen, Arc::clone(&embedding)));
        let mut total: u64 = memory.iter().map(|(_, embedding)| embedding.memory_bytes()).sum();
        // The one asked for now stays, however large it is.
        while total > self.limits.memory_bytes && memory.len() > 1 {
            total -= memory.remove(0).1.memory_bytes();
        }
        embedding
    }

    fn write(&self, seen: &Seen, numbers: &[u8]) -> io::Result<()> {
        let bytes = (DIGEST + numbers.len()) as u64;
        if bytes > self.limits.disk_bytes {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        self.make_room(bytes);
        let name = seen.file_name();
        let (path, temporary) = (self.folder.join(&name), self.folder.join(format!("{name}.part")));
        let written =
            fs::write(&temporary, [seen.digest(numbers).as_bytes(), numbers].concat()).and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            // What cannot be written can often not be removed either; the next start does it.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        self.with_files(|files| {
            files.retain(|file| file.name != name);
            files.push(KeptFile { name, bytes });
        });
        Ok(())
    }

    /// Removes those used longest ago until there is room.
    fn make_room(&self, bytes: u64) {
        self.with_files(|files| {
            let mut total: u64 = files.iter().map(|file| file.bytes).sum();
            while total + bytes > self.limits.disk_bytes && !files.is_empty() {
                let file = files.remove(0);
                total -= file.bytes;
                remove(&self.folder.join(file.name));
            }
        });
    }

    fn forget(&self, name: &str) {
        self.with_files(|files| files.retain(|file| file.name != name));
        remove(&self.folder.join(name));
    }

    /// Notes that a file was used, here and for the next start.
    fn touch(&self, name: &str, path: &Path) {
        self.with_files(|files| {
            if let Some(at) = files.iter().position(|file| file.name == name) {
                let file = files.remove(at);
                files.push(file);
            }
        });
        let touched = fs::File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = touched {
            tracing::debug!("{} keeps its time: {error}", path.display());
        }
    }

    fn with_files<T>(&self, change: impl FnOnce(&mut Vec<KeptFile>) -> T) -> T {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        change(files.get_or_insert_with(|| list(&self.folder)))
    }
}

impl Seen {
    /// A name without anything that a file system could mind.
    fn file_name(&self) -> String {
        let hash = blake3::hash(format!("{} {}", self.picture, self.network).as_bytes()).to_hex();
        format!("{}.{ENDING}", &hash[..32])
    }

    fn digest(&self, numbers: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{} {}\n", self.picture, self.network).as_bytes());
        hasher.update(numbers);
        hasher.finalize()
    }

    /// What a file holds; `None` unless it is whole and of this picture and network.
    fn embedding_of(&self, bytes: &[u8]) -> Option<ImageEmbedding> {
        let (digest, numbers) = bytes.split_at_checked(DIGEST)?;
        if self.digest(numbers).as_bytes() != digest {
            return None;
        }
        ImageEmbedding::of_bytes(numbers, &Device::Cpu).ok()
    }
}

/// The files of a folder, the one used last at the end; what a server that was ended left half written is removed.
fn list(folder: &Path) -> Vec<KeptFile> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(&format!(".{ENDING}.part")) {
            remove(&entry.path());
        }
        let Some(about) = entry.metadata().ok().filter(|about| about.is_file() && name.ends_with(&format!(".{ENDING}"))) else { continue };
        found.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), KeptFile { name, bytes: about.len() }));
    }
    found.sort_by_key(|(used, _)| *used);
    found.into_iter().map(|(_, file)| file).collect()
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::debug!("{} cannot be removed: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Tensor};

    use super::*;
    use crate::infer::sam::{Features, Transform};

    fn picture(number: u8) -> PictureKey {
        PictureKey::of(&[number; 16], 1, None)
    }

    fn network(version: &str) -> NetworkVersion {
        NetworkVersion { name: "mobile-sam".into(), version: version.into() }
    }

    /// 2 × 2 × 8 numbers: 128 bytes in memory, 64 and what stands around them on disk.
    fn embedding(number: f64) -> ImageEmbedding {
        let numbers = Tensor::zeros((1, 2, 2, 8), DType::F32, &Device::Cpu).unwrap().affine(1.0, number).unwrap();
        ImageEmbedding::new(Features { embedding: numbers, fine: None }, Transform::square(64, 64, 32))
    }

    fn number(embedding: &ImageEmbedding) -> f32 {
        embedding.features().embedding.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]
    }

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn what_is_kept_is_found_again_also_by_the_next_server() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cache/embeddings");
        let kept = KeptEmbeddings::new(folder.clone(), Limits::default());
        assert!(kept.find(&picture(1), &network("a")).is_none());
        // A third has no exact half: it is settled before it is used for the first time.
        let settled = number(&kept.keep(&picture(1), &network("a"), &embedding(1.0 / 3.0)).unwrap());
        assert_eq!(number(&kept.in_memory(&picture(1), &network("a")).unwrap()), settled);
        assert!(kept.find(&picture(2), &network("a")).is_none() && kept.find(&picture(1), &network("b")).is_none());
        let next = KeptEmbeddings::new(folder, Limits::default());
        assert!(next.in_memory(&picture(1), &network("a")).is_none());
        assert_eq!(number(&next.find(&picture(1), &network("a")).unwrap()), settled);
        assert!(next.in_memory(&picture(1), &network("a")).is_some());
    }

    #[test]
    fn memory_and_disk_are_bounded_and_forget_what_was_used_longest_ago() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { memory_bytes: 300, disk_bytes: 450 };
        let kept = KeptEmbeddings::new(dir.path().to_owned(), limits);
        for number in 1..=2 {
            kept.keep(&picture(number), &network("a"), &embedding(f64::from(number))).unwrap();
        }
        let each = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().metadata().unwrap().len();
        assert!(each * 3 < limits.disk_bytes && each * 4 > limits.disk_bytes, "{each} bytes");
        // The first is used again, so that the second goes first.
        kept.in_memory(&picture(1), &network("a")).unwrap();
        kept.keep(&picture(3), &network("a"), &embedding(3.0)).unwrap();
        assert!(kept.in_memory(&picture(2), &network("a")).is_none());
        assert!(kept.in_memory(&picture(1), &network("a")).is_some() && kept.in_memory(&picture(3), &network("a")).is_some());
        assert_eq!(number(&kept.find(&picture(2), &network("a")).unwrap()), 2.0, "it is still on disk, and used now");
        kept.keep(&picture(4), &network("a"), &embedding(4.0)).unwrap();
        assert_eq!(names(dir.path()), 3);
        let next = KeptEmbeddings::new(dir.path().to_owned(), limits);
        assert!(next.find(&picture(1), &network("a")).is_none() && next.find(&picture(2), &network("a")).is_some());
        // What does not fit at all is not written.
        let tiny = KeptEmbeddings::new(dir.path().join("tiny"), Limits { memory_bytes: 1, disk_bytes: 1 });
        tiny.keep(&picture(1), &network("a"), &embedding(1.0)).unwrap();
        assert!(tiny.in_memory(&picture(1), &network("a")).is_some() && !dir.path().join("tiny").exists());
    }

    #[test]
    fn a_damaged_file_is_removed_and_never_believed() {
        let dir = tempfile::tempdir().unwrap();
        let keep = || KeptEmbeddings::new(dir.path().to_owned(), Limits::default());
        keep().keep(&picture(1), &network("a"), &embedding(1.0)).unwrap();
        let path = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(keep().find(&picture(1), &network("a")).is_none(), "byte {at}");
            assert!(!path.exists());
            fs::write(&path, &whole[..at]).unwrap();
            assert!(keep().find(&picture(1), &network("a")).is_none(), "cut at {at}");
        }
        // One under another's name is not taken for it.
        fs::write(&path, &whole).unwrap();
        let other = dir.path().join(Seen { picture: picture(2), network: network("a") }.file_name());
        fs::rename(&path, other).unwrap();
        assert!(keep().find(&picture(2), &network("a")).is_none());
        // A write that was cut off is cleared away by the next server that writes.
        fs::write(dir.path().join("x.embedding.part"), "half").unwrap();
        keep().keep(&picture(1), &network("a"), &embedding(1.0)).unwrap();
        assert_eq!(names(dir.path()), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_only_time() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let kept = KeptEmbeddings::new(dir.path().join("file/folder"), Limits::default());
        assert_eq!(number(&kept.keep(&picture(1), &network("a"), &embedding(1.0)).unwrap()), 1.0);
        assert!(kept.find(&picture(1), &network("a")).is_some());
    }
}
