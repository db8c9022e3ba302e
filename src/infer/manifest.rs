//! What lies beside imported weights and says what they are: name, network, version, files with digests, licence, source. Apart from the
//! weights, because it is read to list and verify networks without opening them. Imports the weights.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::weights::{Family, Kind, Normalised, hexadecimal, write_safetensors};
use super::{InferError, Result};

/// The manifest's name in its folder.
pub const FILE_NAME: &str = "manifest.json";

/// The form of manifests that this program writes; it reads none above it.
pub const FORMAT: u32 = 1;

/// Largest manifest that is read.
const MAX_BYTES: u64 = 1 << 20;

/// What an imported network is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this manifest.
    pub format: u32,
    /// The name that commands and tables use: small letters, digits and `-`, as `yolo11n-seg`.
    pub name: String,
    /// The family's name: `clip`, `siglip`, `dinov2`, `yolov8`, `yolo11`, `sam`, `mobile_sam`, `sam2`.
    pub family: String,
    /// What people call it: `YOLO11n-seg`.
    pub title: String,
    /// Tells these weights from any others: the first digits of their digest, or of theirs and that of the configuration that decides what
    /// they compute.
    pub version: String,
    /// How many numbers it has.
    pub parameters: u64,
    /// What a library can do with it.
    pub unlocks: String,
    /// Under which licence the weights are.
    pub licence: String,
    /// Where they came from: an address, or what the person said.
    pub source: String,
    /// When it was imported; not stated by manifests of old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_at: Option<DateTime<Utc>>,
    /// The classes of a detector, in order; empty for other networks.
    #[serde(default)]
    pub classes: Vec<String>,
    /// The files beside the manifest.
    pub files: Vec<ManifestFile>,
}

/// A file beside the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its plain name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest, in hexadecimal digits.
    pub sha256: String,
}

/// What a person says of weights that they import.
#[derive(Debug, Clone, Default)]
pub struct Provenance {
    /// The name to give it; else one is made of what it is.
    pub name: Option<String>,
    /// The licence; else what the file says, else what its makers usually give.
    pub licence: Option<String>,
    /// Where it came from.
    pub source: String,
}

impl Manifest {
    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// [`InferError::Read`]; [`InferError::BadFile`] when it is none, of a later form, or names files elsewhere.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE_NAME);
        let mut text = String::new();
        let file = File::open(&path).map_err(|source| InferError::Read { path: path.clone(), source })?;
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|source| InferError::Read { path: path.clone(), source })?;
        if text.len() as u64 > MAX_BYTES {
            return Err(bad(&path, "it is larger than any manifest"));
        }
        let manifest: Self = serde_json::from_str(&text).map_err(|error| bad(&path, format!("it is no manifest: {error}")))?;
        if manifest.format > FORMAT {
            return Err(bad(
                &path,
                format!("its form {} is newer than this program's {FORMAT}; hint: update the program", manifest.format),
            ));
        }
        if let Some(file) = manifest.files.iter().find(|file| !is_plain_name(&file.name)) {
            return Err(bad(&path, format!("it names `{}`, which is no plain file name", file.name)));
        }
        Ok(manifest)
    }

    /// Writes it into a folder, by a temporary name and a rename.
    ///
    /// # Errors
    /// [`InferError::Write`] when it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|error| bad(folder, error))?;
        write_whole(&folder.join(FILE_NAME), text.as_bytes())
    }

    /// Checks that all files are there, as long as they were and with the same digests.
    ///
    /// # Errors
    /// [`InferError::Read`] when one is missing; [`InferError::BadFile`] naming the first that is another one.
    pub fn verify(&self, folder: &Path) -> Result<()> {
        for file in &self.files {
            let path = folder.join(&file.name);
            let (bytes, sha256) = digest(&path)?;
            if bytes != file.bytes {
                return Err(bad(&path, format!("it has {bytes} bytes instead of {}; hint: import or fetch it again", file.bytes)));
            }
            if sha256 != file.sha256 {
                return Err(bad(&path, format!("its sha256 is {sha256} instead of {}; hint: import or fetch it again", file.sha256)));
            }
        }
        Ok(())
    }
}

/// Writes normalised weights, their configuration and the given tokenizer into `folder`, which is there and empty, with a manifest.
///
/// # Errors
/// [`InferError::Read`], [`InferError::Write`] or [`InferError::BadFile`] when something cannot be read or written; the manifest is written last, so that a folder
/// without one is no network.
pub fn write(normalised: &Normalised, tokenizer: Option<&Path>, provenance: &Provenance, folder: &Path) -> Result<Manifest> {
    let Normalised { kind, weights } = normalised;
    let written = write_safetensors(weights, &folder.join("model.safetensors"))?;
    let weights_sha256 = written.sha256.clone();
    let mut files = vec![ManifestFile { name: "model.safetensors".into(), bytes: written.bytes, sha256: written.sha256 }];
    if let Some(config) = weights.config() {
        write_whole(&folder.join("config.json"), config.as_bytes())?;
        files.push(described(folder, "config.json")?);
    }
    let version = version(&weights_sha256, files.get(1));
    if let Some(tokenizer) = tokenizer {
        files.push(add_tokenizer(tokenizer, folder)?);
    }
    let classes = weights.notes().get("names").and_then(|names| serde_json::from_str(names).ok()).unwrap_or_default();
    let licence = provenance.licence.clone().or_else(|| weights.notes().get("license").cloned());
    let manifest = Manifest {
        format: FORMAT,
        name: provenance.name.clone().unwrap_or_else(|| usual_name(kind)),
        family: kind.family.slug().into(),
        title: kind.title(),
        version,
        parameters: weights.parameters(),
        unlocks: kind.unlocks().into(),
        licence: licence.unwrap_or_else(|| format!("{} (as its makers give it; not stated in the file)", usual_licence(kind))),
        source: provenance.source.clone(),
        imported_at: Some(Utc::now()),
        classes,
        files,
    };
    manifest.write(folder)?;
    Ok(manifest)
}

/// The licence that a network's makers give its published weights.
///
/// # Source
/// The repositories openai/CLIP, mlfoundations/open_clip, google-research/big_vision, facebookresearch/{dinov2, segment-anything, sam2},
/// ChaoningZhang/MobileSAM, ultralytics/ultralytics.
pub fn usual_licence(kind: &Kind) -> &'static str {
    match kind.family {
        Family::Clip => "MIT",
        Family::Siglip | Family::Dinov2 | Family::Sam | Family::MobileSam | Family::Sam2 => "Apache-2.0",
        Family::Yolov8 | Family::Yolo11 => "AGPL-3.0",
    }
}

/// The name that a network gets when nobody gives it one.
pub fn usual_name(kind: &Kind) -> String {
    plain_name(&kind.title())
}

/// The names that a tokenizer has beside weights, the first that is there counts.
pub const TOKENIZERS: [&str; 2] = ["tokenizer.json", "bpe_simple_vocab_16e6.txt.gz"];

/// Puts a tokenizer into a network's folder, whole or not at all, and says what the manifest has to say of it.
///
/// # Errors
/// [`InferError::Read`] or [`InferError::Write`].
pub(super) fn add_tokenizer(tokenizer: &Path, folder: &Path) -> Result<ManifestFile> {
    // Kept in its own form: OpenAI's list of merges is told by its ending.
    let compressed = tokenizer.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let name = TOKENIZERS[usize::from(compressed)];
    let bytes = std::fs::read(tokenizer).map_err(|source| InferError::Read { path: tokenizer.to_owned(), source })?;
    write_whole(&folder.join(name), &bytes)?;
    described(folder, name)
}

/// What tells weights apart: the same numbers under another configuration (another activation) are another network.
fn version(weights_sha256: &str, config: Option<&ManifestFile>) -> String {
    let digest = match config {
        Some(config) => hexadecimal(&Sha256::digest(format!("{weights_sha256}{}", config.sha256))),
        None => weights_sha256.to_owned(),
    };
    digest.chars().take(12).collect()
}

/// Small letters, digits and single `-`.
fn plain_name(title: &str) -> String {
    let mut name = String::new();
    for letter in title.chars() {
        match letter.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9') => name.push(letter),
            '+' => name.push_str("plus"),
            _ if !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.trim_matches('-').to_owned()
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0'])
}

fn described(folder: &Path, name: &str) -> Result<ManifestFile> {
    let (bytes, sha256) = digest(&folder.join(name))?;
    Ok(ManifestFile { name: name.into(), bytes, sha256 })
}

/// Size and digest of a file.
pub(super) fn digest(path: &Path) -> Result<(u64, String)> {
    let fail = |source| InferError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(fail)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut buffer).map_err(fail)?;
        if count == 0 {
            return Ok((bytes, hexadecimal(&hash.finalize())));
        }
        hash.update(&buffer[..count]);
        bytes += count as u64;
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |source| InferError::Write { path: path.to_owned(), source };
    let temporary = path.with_extension("part");
    let mut file = File::create(&temporary).map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&temporary, path)).map_err(fail)
}

fn bad(path: &Path, why: impl ToString) -> InferError {
    InferError::BadFile { path: path.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert_eq!(plain_name("YOLO11n-seg"), "yolo11n-seg");
        assert_eq!(plain_name("CLIP ViT-B/32"), "clip-vit-b-32");
        assert_eq!(plain_name("SAM 2.1 base+"), "sam-2-1-baseplus");
        for name in ["", ".", "..", "a/b", "/etc/passwd", "a\\b", "c:d", ".hidden"] {
            assert!(!is_plain_name(name), "{name}");
        }
    }
}
