//! From a file or folder of weights to a network on the shelf. Apart, because it alone writes there: into a hidden folder beside the
//! networks, which gets its name once everything is written, read back and tried.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{Shelf, Shelved, Use, check_name};
use crate::infer::{
    InferError, Result, engine,
    manifest::{self, Manifest, Provenance, TOKENIZERS, usual_name},
    weights::{Family, Kind, Weights, normalise},
};

/// Room that is left free on the disk, in bytes.
const SPARE_BYTES: u64 = 64 << 20;

/// How old a hidden folder is that nobody works on any more.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 60 * 60);

/// What became of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// It is a network now.
    New(Shelved),
    /// It was imported before; nothing was changed.
    Already(Shelved),
    /// It was imported before without a tokenizer, and has one now.
    Completed(Shelved),
}

impl Imported {
    /// The network.
    pub fn shelved(&self) -> &Shelved {
        match self {
            Self::New(shelved) | Self::Already(shelved) | Self::Completed(shelved) => shelved,
        }
    }
}

/// A folder that is gone when it is not wanted in the end.
struct Hidden(PathBuf);

impl Drop for Hidden {
    fn drop(&mut self) {
        // Renamed by then, or of no use to anybody; one that stays is removed a day later.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Shelf {
    /// Imports a file of weights or a folder laid out like a model repository of Hugging Face: told by its tensors, given the names that
    /// our networks read, tried, and kept with its configuration and, for networks that read words, the given tokenizer or the one beside it.
    ///
    /// # Errors
    /// [`InferError::BadFile`] when the weights or the tokenizer are none; [`InferError::WrongWeights`] when the network cannot be built from
    /// them; [`InferError::Refused`] when the name is none or taken by other weights, the tokenizer is of another network, or the disk has
    /// no room; [`InferError::Read`] and [`InferError::Write`].
    pub fn import(&self, path: &Path, tokenizer: Option<&Path>, provenance: &Provenance) -> Result<Imported> {
        let weights = Weights::open(path)?;
        let family = Kind::of(&weights)?.family;
        let normalised = normalise(weights.with_config_beside(|text| is_config_of(family, text))?)?;
        let name = provenance.name.clone().unwrap_or_else(|| usual_name(&normalised.kind));
        check_name(&name)?;
        if tokenizer.is_some() && Use::of_family(family) != Use::Embed {
            return Err(InferError::Refused(format!("{} reads no words\nhint: import it without --tokenizer", normalised.kind.title())));
        }
        let tokenizer = tokenizer_for(path, family, tokenizer);

        fs::create_dir_all(&self.dir).map_err(|source| InferError::Write { path: self.dir.clone(), source })?;
        self.remove_what_was_left_behind();
        need_room(&self.dir, normalised.weights.bytes())?;
        let hidden = Hidden(self.hidden("import"));
        fs::create_dir(&hidden.0).map_err(|source| InferError::Write { path: hidden.0.clone(), source })?;
        let provenance = Provenance { name: Some(name.clone()), ..provenance.clone() };
        manifest::write(&normalised, None, &provenance, &hidden.0)?;
        let mut shelved = Shelved::open(&hidden.0)?;
        engine::try_open(&shelved)?;
        if let Some(same) = self.same(&shelved)? {
            return complete(same, tokenizer);
        }
        add_tokenizer(&mut shelved, tokenizer)?;

        let folder = self.dir.join(&name);
        let taken = || {
            InferError::Refused(format!(
                "a network called `{name}` is imported already, with other weights\n\
                 hint: give this one another name with --name, or remove that one: hm models remove {name}"
            ))
        };
        if folder.exists() {
            return Err(taken());
        }
        fs::rename(&hidden.0, &folder).map_err(|source| match source.kind() {
            // Another import was quicker.
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => taken(),
            _ => InferError::Write { path: folder.clone(), source },
        })?;
        Ok(Imported::New(Shelved::open(&folder)?))
    }

    /// The network on the shelf that computes the same.
    fn same(&self, shelved: &Shelved) -> Result<Option<Shelved>> {
        let is_same = |other: &Shelved| other.family == shelved.family && other.manifest.version == shelved.manifest.version;
        Ok(self.survey()?.0.into_iter().find(is_same))
    }

    /// Removes what imports and removals that were cut short left behind.
    fn remove_what_was_left_behind(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_old = || {
                let changed = entry.metadata().and_then(|metadata| metadata.modified()).ok();
                changed.and_then(|at| SystemTime::now().duration_since(at).ok()).is_some_and(|age| age > LEFT_BEHIND)
            };
            if (name.starts_with(".import-") || name.starts_with(".remove-")) && is_old() {
                // What cannot be removed is looked at again at the next import.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// A tokenizer, and whether somebody named it.
enum Tokenizer {
    Named(PathBuf),
    Beside(PathBuf),
}

/// The tokenizer to take along, for networks that read words.
fn tokenizer_for(path: &Path, family: Family, named: Option<&Path>) -> Option<Tokenizer> {
    if Use::of_family(family) != Use::Embed {
        return None;
    }
    if let Some(named) = named {
        return Some(Tokenizer::Named(named.to_owned()));
    }
    let folder = if path.is_dir() { path } else { path.parent()? };
    TOKENIZERS.iter().map(|name| folder.join(name)).find(|file| file.is_file()).map(Tokenizer::Beside)
}

/// Puts the tokenizer to the network. One that merely lay beside it and is another network's is left there, with a warning.
fn add_tokenizer(shelved: &mut Shelved, tokenizer: Option<Tokenizer>) -> Result<bool> {
    let file = match tokenizer {
        None => return Ok(false),
        Some(Tokenizer::Named(file)) => {
            engine::try_tokenizer(shelved, &file)?;
            file
        }
        Some(Tokenizer::Beside(file)) => {
            if let Err(error) = engine::try_tokenizer(shelved, &file) {
                tracing::warn!("`{}` lies beside the weights and is not taken: {error}", file.display());
                return Ok(false);
            }
            file
        }
    };
    let described = manifest::add_tokenizer(&file, &shelved.folder)?;
    let mut files = shelved.manifest.files.clone();
    files.retain(|file| file.name != described.name);
    files.push(described);
    let manifest = Manifest { files, ..shelved.manifest.clone() };
    manifest.write(&shelved.folder)?;
    shelved.manifest = manifest;
    Ok(true)
}

/// Gives a network that was imported before the tokenizer it lacks, if there is one now.
fn complete(mut shelved: Shelved, tokenizer: Option<Tokenizer>) -> Result<Imported> {
    if shelved.lacks_tokenizer() && add_tokenizer(&mut shelved, tokenizer)? {
        return Ok(Imported::Completed(shelved));
    }
    Ok(Imported::Already(shelved))
}

/// Whether the text of a `config.json` that lies beside a file is of a network of that family, and not of whatever else was put there.
fn is_config_of(family: Family, text: &str) -> bool {
    let stated: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let model_type = stated["model_type"].as_str().unwrap_or_default();
    match family {
        Family::Clip => model_type == "clip" || stated["model_cfg"].is_object(),
        Family::Siglip => model_type.starts_with("siglip"),
        Family::Dinov2 => model_type.starts_with("dinov2"),
        Family::Sam2 => model_type.starts_with("sam2"),
        Family::Sam => model_type == "sam",
        Family::MobileSam | Family::Yolov8 | Family::Yolo11 => false,
    }
}

/// Refuses to begin what the disk has no room for.
pub(in crate::infer) fn need_room(dir: &Path, bytes: u64) -> Result<()> {
    let facts = rustix::fs::statvfs(dir).map_err(|error| InferError::Read { path: dir.to_owned(), source: error.into() })?;
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    if free >= bytes.saturating_add(SPARE_BYTES) {
        return Ok(());
    }
    Err(InferError::Refused(format!(
        "`{}` has {} MB free, and {} MB are needed\nhint: make room there, or put the networks on another disk with models.dir (HM_MODELS_DIR)",
        dir.display(),
        free / 1_000_000,
        (bytes.saturating_add(SPARE_BYTES)) / 1_000_000
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_beside_a_file_must_be_its_own() {
        assert!(is_config_of(Family::Clip, r#"{"model_type": "clip"}"#));
        assert!(is_config_of(Family::Clip, r#"{"model_cfg": {}}"#));
        assert!(is_config_of(Family::Sam2, r#"{"model_type": "sam2_video"}"#));
        for text in ["", "{}", "[]", r#"{"model_type": "bert"}"#, r#"{"model_type": "siglip"}"#] {
            assert!(!is_config_of(Family::Clip, text), "{text}");
        }
        assert!(!is_config_of(Family::Yolo11, r#"{"model_type": "clip"}"#));
    }

    #[test]
    fn a_disk_without_room_is_told_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        need_room(folder.path(), 1).unwrap();
        let error = need_room(folder.path(), u64::MAX).unwrap_err().to_string();
        assert!(error.contains("MB free") && error.contains("HM_MODELS_DIR"), "{error}");
    }
}
