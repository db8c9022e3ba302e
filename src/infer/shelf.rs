//! The imported networks: a folder each below `models.dir`, with the weights, the configuration, a tokenizer where words are read, and a
//! manifest, which is written last. Apart from the weights, because listing and choosing networks opens none. Imports the manifest, models.
//!
//! ```text
//! models.dir/clip-vit-b-32/manifest.json  model.safetensors  config.json  tokenizer.json
//! models.dir/yolo11n-seg/…
//! ```
//!
//! A name that begins with a dot is work under way, and no network.

mod command;
mod import;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    InferError, Result,
    manifest::{Manifest, TOKENIZERS},
    weights::Family,
};
use crate::{
    config::ModelsConfig,
    models::task::{Lane, NetworkVersion, TaskKind},
};

pub use command::{command, tokenizer_command};
pub use import::Imported;
pub(in crate::infer) use import::need_room;

/// Longest name of a network, in letters.
const LONGEST_NAME: usize = 64;

/// What a network is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// Pictures and words in one space (CLIP, SigLIP).
    Embed,
    /// What can be seen, and where (YOLO).
    Detect,
    /// Outlines of what is pointed at (SAM, MobileSAM, SAM 2).
    Segment,
    /// The looks of single things (DINOv2).
    Objects,
}

impl Use {
    /// Every use, in the order that people are told of them.
    pub const ALL: [Self; 4] = [Self::Embed, Self::Detect, Self::Segment, Self::Objects];

    /// The word for it in tables and addresses; that of the key in `[models]`, where there is one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Detect => "detect",
            Self::Segment => "segment",
            Self::Objects => "objects",
        }
    }

    /// What a library can do with such a network.
    pub fn unlocks(self) -> &'static str {
        match self {
            Self::Embed => "search by words, and more like this",
            Self::Detect => "finding things, and with a network that segments, outlining them",
            Self::Segment => "outlining what is clicked",
            Self::Objects => "recognising individual animals and things, and more like this",
        }
    }

    /// The name of the network that the settings prefer for it, or nothing.
    pub fn preferred(self, config: &ModelsConfig) -> &str {
        match self {
            Self::Embed => &config.embed,
            Self::Detect => &config.detect,
            Self::Segment => &config.segment,
            Self::Objects => "",
        }
    }

    /// What the networks of a family are there for.
    pub fn of_family(family: Family) -> Self {
        match family {
            Family::Clip | Family::Siglip => Self::Embed,
            Family::Dinov2 => Self::Objects,
            Family::Yolov8 | Family::Yolo11 => Self::Detect,
            Family::Sam | Family::MobileSam | Family::Sam2 => Self::Segment,
        }
    }
}

/// An imported network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelved {
    /// Its folder.
    pub folder: PathBuf,
    /// What it is.
    pub manifest: Manifest,
    family: Family,
}

impl Shelved {
    /// Reads the manifest of a folder, and looks whether its files are there and as long as they should be. No digest is computed.
    ///
    /// # Errors
    /// [`InferError::Read`] when the manifest or a file cannot be read; [`InferError::BadFile`] when the manifest is none, of a network that
    /// is not known, or says that a file has another length.
    pub fn open(folder: &Path) -> Result<Self> {
        let manifest = Manifest::read(folder)?;
        let bad = |why: String| InferError::BadFile { path: folder.to_owned(), why };
        check_name(&manifest.name).map_err(|error| bad(error.to_string()))?;
        let family = Family::of_slug(&manifest.family)
            .ok_or_else(|| bad(format!("it is a `{}`, which this program does not know; hint: update the program", manifest.family)))?;
        if manifest.version.is_empty() || !manifest.version.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad(format!("its manifest gives it the version `{}`, which is none", manifest.version)));
        }
        for file in &manifest.files {
            let path = folder.join(&file.name);
            let found = fs::metadata(&path).map_err(|source| InferError::Read { path: path.clone(), source })?;
            if !found.is_file() || found.len() != file.bytes {
                return Err(bad(format!("`{}` has {} bytes instead of {}; hint: import it again", file.name, found.len(), file.bytes)));
            }
        }
        Ok(Self { folder: folder.to_owned(), manifest, family })
    }

    /// Its name and version.
    pub fn network(&self) -> NetworkVersion {
        NetworkVersion { name: self.manifest.name.clone(), version: self.manifest.version.clone() }
    }

    /// Which network it is.
    pub fn family(&self) -> Family {
        self.family
    }

    /// What it is there for.
    pub fn use_(&self) -> Use {
        Use::of_family(self.family)
    }

    /// The lane of its tasks; none for networks that are asked in person.
    pub fn lane(&self) -> Option<Lane> {
        let kind = match self.use_() {
            Use::Embed => TaskKind::Embed,
            Use::Detect => TaskKind::Detect,
            Use::Segment | Use::Objects => return None,
        };
        Some(Lane { kind, network: self.network() })
    }

    /// How many bytes its files have.
    pub fn bytes(&self) -> u64 {
        self.manifest.files.iter().map(|file| file.bytes).sum()
    }

    /// Its tokenizer, if it has one.
    pub fn tokenizer(&self) -> Option<PathBuf> {
        let has = |name: &&str| self.manifest.files.iter().any(|file| file.name == **name);
        TOKENIZERS.into_iter().find(has).map(|name| self.folder.join(name))
    }

    /// Whether it could be asked with words, had it a tokenizer.
    pub fn lacks_tokenizer(&self) -> bool {
        self.use_() == Use::Embed && self.tokenizer().is_none()
    }

    /// Reads all files and compares their digests.
    ///
    /// # Errors
    /// [`InferError::Read`] or [`InferError::BadFile`], naming the first file that is not what it was.
    pub fn verify(&self) -> Result<()> {
        self.manifest.verify(&self.folder)
    }
}

/// A folder among the networks that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// The folder.
    pub folder: PathBuf,
    /// Why it cannot be used.
    pub why: String,
}

/// The imported networks.
#[derive(Debug, Clone)]
pub struct Shelf {
    dir: PathBuf,
}

impl Shelf {
    /// Those in a folder, which need not be there yet.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All networks, the one imported first before all others, and all folders that look like one and cannot be used.
    ///
    /// # Errors
    /// [`InferError::Read`] when the folder of all cannot be read.
    pub fn survey(&self) -> Result<(Vec<Shelved>, Vec<Unusable>)> {
        let (mut networks, mut unusable) = (Vec::new(), Vec::new());
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((networks, unusable)),
            Err(source) => return Err(InferError::Read { path: self.dir.clone(), source }),
        };
        for entry in entries {
            let folder = entry.map_err(|source| InferError::Read { path: self.dir.clone(), source })?.path();
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with('.') || !folder.is_dir() {
                continue;
            }
            match Shelved::open(&folder) {
                Ok(shelved) if shelved.manifest.name == name => networks.push(shelved),
                Ok(shelved) => {
                    let why = format!("it says that it is `{}`; hint: give the folder that name, or remove it", shelved.manifest.name);
                    unusable.push(Unusable { folder, why });
                }
                Err(error) => unusable.push(Unusable { folder, why: error.to_string() }),
            }
        }
        // Manifests that state no time are the oldest.
        networks.sort_by(|a, b| (a.manifest.imported_at, &a.manifest.name).cmp(&(b.manifest.imported_at, &b.manifest.name)));
        unusable.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok((networks, unusable))
    }

    /// All networks, the one imported first before all others; a folder that is none is skipped with a warning.
    ///
    /// # Errors
    /// As [`Self::survey`].
    pub fn list(&self) -> Result<Vec<Shelved>> {
        let (networks, unusable) = self.survey()?;
        for Unusable { folder, why } in unusable {
            tracing::warn!("`{}` is no network that can be used: {why}", folder.display());
        }
        Ok(networks)
    }

    /// The network of that name, if there is one.
    ///
    /// # Errors
    /// As [`Shelved::open`], when there is one that cannot be used.
    pub fn find(&self, name: &str) -> Result<Option<Shelved>> {
        if check_name(name).is_err() || !self.dir.join(name).is_dir() {
            return Ok(None);
        }
        let shelved = Shelved::open(&self.dir.join(name))?;
        Ok((shelved.manifest.name == name).then_some(shelved))
    }

    /// The network for a use: the preferred one or, when that is empty, the one imported first. None where there is none, and, with a
    /// warning, where the preferred one is not imported or is there for something else.
    ///
    /// # Errors
    /// As [`Self::survey`].
    pub fn choose(&self, use_: Use, preferred: &str) -> Result<Option<Shelved>> {
        let mut of_use = self.list()?.into_iter().filter(|shelved| shelved.use_() == use_);
        if preferred.is_empty() {
            return Ok(of_use.next());
        }
        let chosen = of_use.find(|shelved| shelved.manifest.name == preferred);
        if chosen.is_none() {
            tracing::warn!("models.{} = `{preferred}` names no network that is imported for it; `hm models list` has all", use_.as_str());
        }
        Ok(chosen)
    }

    /// The networks that are used, one for each use that there is one for.
    ///
    /// # Errors
    /// As [`Self::survey`].
    pub fn in_use(&self, config: &ModelsConfig) -> Result<Vec<Shelved>> {
        let chosen = Use::ALL.map(|use_| self.choose(use_, use_.preferred(config)));
        Ok(chosen.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// Reads all files of a network and compares their digests.
    ///
    /// # Errors
    /// [`InferError::Refused`] when there is none of that name; else as [`Shelved::open`] and [`Shelved::verify`].
    pub fn verify(&self, name: &str) -> Result<()> {
        self.find(name)?.ok_or_else(|| self.unknown(name))?.verify()
    }

    /// Removes a network, or a folder that could not be used as one.
    ///
    /// # Errors
    /// [`InferError::Refused`] when there is none of that name; [`InferError::Write`] when it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        let folder = self.dir.join(name);
        if check_name(name).is_err() || !folder.is_dir() {
            return Err(self.unknown(name));
        }
        // Out of sight first: half a folder must not be taken for a network.
        let doomed = self.hidden("remove");
        let fail = |source| InferError::Write { path: folder.clone(), source };
        fs::rename(&folder, &doomed).map_err(fail)?;
        fs::remove_dir_all(&doomed).map_err(fail)
    }

    /// No network has that name.
    pub fn unknown(&self, name: &str) -> InferError {
        InferError::Refused(format!("no network called `{name}` is imported\nhint: `hm models list` has all that are"))
    }

    /// The name of a folder for work under way, which nobody else uses.
    fn hidden(&self, what: &str) -> PathBuf {
        self.dir.join(format!(".{what}-{:016x}", rand::random::<u64>()))
    }
}

/// Refuses names that lanes, addresses or folders cannot have.
///
/// # Errors
/// [`InferError::Refused`] says what a name is.
pub fn check_name(name: &str) -> Result<()> {
    let is_plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
    if is_plain && !name.is_empty() && name.len() <= LONGEST_NAME && !name.starts_with(['.', '-']) {
        return Ok(());
    }
    Err(InferError::Refused(format!(
        "`{name}` is no name for a network\nhint: up to {LONGEST_NAME} small letters, digits, `-` and `.`, such as yolo11n-seg"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_lanes_and_folders() {
        for name in ["yolo11n-seg", "clip-vit-b-32", "sam-2.1", "7"] {
            check_name(name).unwrap();
        }
        for name in ["", ".", "..", ".x", "-x", "A", "a/b", "a b", "a@b", "ä", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_shelf_that_is_not_there_is_empty() {
        let shelf = Shelf::new(Path::new("/nowhere/at/all"));
        assert_eq!(shelf.list().unwrap(), []);
        assert_eq!(shelf.find("clip").unwrap(), None);
        assert_eq!(shelf.choose(Use::Embed, "").unwrap(), None);
        for name in ["clip", "../x", ""] {
            assert!(matches!(shelf.remove(name), Err(InferError::Refused(_))));
            assert!(matches!(shelf.verify(name), Err(InferError::Refused(_))));
        }
    }

    #[test]
    fn every_family_has_a_use_and_a_word() {
        for family in Family::ALL {
            assert_eq!(Family::of_slug(family.slug()), Some(family));
            assert!(Use::ALL.contains(&Use::of_family(family)));
        }
        assert_eq!(Family::of_slug("resnet"), None);
    }
}
