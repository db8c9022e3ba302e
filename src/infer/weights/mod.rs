//! Files of weights, of any form that people have them in, read without executing anything and without trusting a number in them.
//!
//! ```text
//! path → open: magic bytes → safetensors | zip of PyTorch | folder of Hugging Face → Weights: name → where its numbers lie
//!   → Kind::of: which network, how large, what it unlocks → normalise: the names that our networks read → write: one safetensors + manifest
//! ```
//!
//! A [`Weights`] holds no numbers: names, shapes and places only, each checked against the file's length when it is opened. Numbers are read
//! tensor by tensor when asked for, so that a server with only a text encoder reads no other half, and a folder of many gigabytes is
//! rewritten in little memory. Imports nothing of ours.

mod element;
mod folder;
mod kind;
mod normalise;
mod pickle;
mod safetensors;
mod source;
mod torch;
mod write;

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};

use super::{InferError, Result};

pub use element::Element;
pub use kind::{Family, Kind, Names, sniff};
pub use normalise::{Normalised, normalise, sam_from_original_names, sam_to_original_names};
pub(crate) use write::hexadecimal;
pub use write::{Written, write_safetensors};

use source::Source;

/// Most tensors that a file may name.
const MAX_TENSORS: usize = 100_000;

/// Most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 8;

/// Largest tensor; that of the largest vocabulary here (256,000 words of 1,152 numbers) has 1.2 GB.
const MAX_TENSOR_BYTES: u64 = 4 << 30;

/// Largest `config.json` or index that is read.
const MAX_JSON_BYTES: u64 = 16 << 20;

/// What a file of weights, or a folder of them, holds: names, shapes and where the numbers lie.
#[derive(Debug, Clone)]
pub struct Weights {
    /// What was opened.
    path: PathBuf,
    /// Where numbers lie.
    tensors: BTreeMap<String, Source>,
    /// The text of `config.json` beside the weights.
    config: Option<String>,
    /// What the file says of itself: the entries of its metadata, the names of its classes.
    notes: BTreeMap<String, String>,
}

impl Weights {
    /// Opens a file, or a folder laid out like a model repository of Hugging Face, and checks everything but the numbers themselves.
    ///
    /// # Errors
    /// [`InferError::Read`] when it cannot be read; [`InferError::BadFile`] when it is of another form, cut short or made to do harm,
    /// saying what it is and what to do instead.
    pub fn open(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|source| read_error(path, source))?;
        if metadata.is_dir() {
            return folder::open(path);
        }
        if !metadata.is_file() {
            return Err(bad(path, "it is neither a file nor a folder"));
        }
        Self::open_file(path)
    }

    fn open_file(path: &Path) -> Result<Self> {
        let mut start = Vec::new();
        let file = File::open(path).map_err(|source| read_error(path, source))?;
        file.take(64).read_to_end(&mut start).map_err(|source| read_error(path, source))?;
        if start.starts_with(b"PK\x03\x04") {
            return torch::open(path);
        }
        // Eight bytes of length, then the header's brace. Asked first: a length may begin like a pickle or like ONNX.
        if start.len() > 8 && start[8] == b'{' && !start.starts_with(b"GGUF") {
            return safetensors::open(path);
        }
        if let Some(what) = what_else(&start) {
            return Err(bad(path, what));
        }
        Err(bad(
            path,
            "it is neither safetensors nor a checkpoint of PyTorch; hint: take the `.safetensors` or `.pt` of the network's own page",
        ))
    }

    /// With the configuration that lies beside the file, where it has none and `is_its_own` says of that one's text that it belongs to it.
    ///
    /// # Errors
    /// [`InferError::Read`] or [`InferError::BadFile`] when there is a configuration that cannot be read.
    pub fn with_config_beside(mut self, is_its_own: impl Fn(&str) -> bool) -> Result<Self> {
        if self.config.is_none()
            && self.path.is_file()
            && let Some(folder) = self.path.parent()
        {
            // A bare name lies in the folder that one is in.
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            self.config = folder::config(folder)?.filter(|text| is_its_own(text));
        }
        Ok(self)
    }

    /// How many bytes all its numbers take.
    pub fn bytes(&self) -> u64 {
        let bytes = |source: &Source| source.shape().iter().product::<usize>() as u64 * source.element().bytes() as u64;
        self.tensors.values().map(bytes).sum()
    }

    /// From tensors in memory: what tests and converters make.
    pub fn from_tensors(path: &Path, tensors: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        let tensors = tensors.into_iter().map(|(name, tensor)| (name, Source::InMemory(tensor))).collect();
        Self { path: path.to_owned(), tensors, config: None, notes: BTreeMap::new() }
    }

    /// What was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of its tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// How many tensors it has.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Whether it has a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The shape of a tensor, if there is one of that name.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(Source::shape)
    }

    /// What the numbers of a tensor are stored as.
    pub fn element(&self, name: &str) -> Option<Element> {
        self.tensors.get(name).map(Source::element)
    }

    /// How many numbers all its tensors have.
    pub fn parameters(&self) -> u64 {
        self.tensors.values().map(|source| source.shape().iter().product::<usize>() as u64).sum()
    }

    /// The text of the `config.json` beside the weights.
    pub fn config(&self) -> Option<&str> {
        self.config.as_deref()
    }

    /// What the file says of itself: for instance `names` (a JSON list of classes), `task`, `license` of an Ultralytics checkpoint.
    pub fn notes(&self) -> &BTreeMap<String, String> {
        &self.notes
    }

    /// Reads a tensor as it is stored.
    ///
    /// # Errors
    /// [`InferError::WrongWeights`] when there is none of that name; [`InferError::Read`] or [`InferError::BadFile`] when its numbers cannot
    /// be had.
    pub fn load(&self, name: &str) -> Result<Tensor> {
        let source = self.tensors.get(name).ok_or_else(|| InferError::WrongWeights {
            network: self.path.display().to_string(),
            why: format!("there is no tensor `{name}`"),
        })?;
        source.load()
    }

    /// The weights as networks read them: each tensor from the file when its turn comes, as `dtype` on `device`.
    pub fn var_builder(self, dtype: DType, device: &Device) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(Reader(Arc::new(self))), dtype, device.clone())
    }
}

/// What hands tensors to networks.
struct Reader(Arc<Weights>);

impl SimpleBackend for Reader {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        match self.0.shape(name) {
            Some(stored) if stored == shape.dims() => self.get_unchecked(name, dtype, device),
            // Without Candle's way of noting where: people read this.
            Some(stored) => Err(candle_core::Error::Msg(format!("`{name}` has the shape {stored:?} instead of {:?}", shape.dims()))),
            None => Err(candle_core::Error::Msg(format!("there is no tensor `{name}`"))),
        }
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let tensor = self.0.load(name).map_err(|error| candle_core::Error::Msg(error.to_string()))?;
        tensor.to_dtype(dtype)?.to_device(device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// What a file is that is no file of weights that we read, by its first bytes, and the way out.
fn what_else(start: &[u8]) -> Option<&'static str> {
    /// The number that opens a checkpoint of PyTorch before 1.6, as a pickle.
    const LEGACY: &[u8] = &[0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19];
    let text = String::from_utf8_lossy(start).trim_start().to_lowercase();
    if start.is_empty() {
        Some("it is empty; hint: fetch it again")
    } else if start.len() > 14 && start[0] == 0x80 && &start[2..14] == LEGACY {
        Some(
            "it is a checkpoint of PyTorch from before 1.6; hint: save it anew where you trust it, with \
             `python -c \"import torch; torch.save(torch.load('OLD', map_location='cpu'), 'NEW')\"`",
        )
    } else if start[0] == 0x80 {
        Some("it is a bare pickle, which only Python may open; hint: take the network's safetensors, or save it anew with `torch.save`")
    } else if text.starts_with("version https://git-lfs") {
        Some("it is the pointer of Git LFS to the file, not the file; hint: `git lfs pull`, or the download button of its page")
    } else if text.starts_with("<!doctype") || text.starts_with("<html") {
        Some("it is a web page, probably one that asks to sign in; hint: fetch the file itself")
    } else if start.starts_with(b"GGUF") {
        Some("it is GGUF, which is not read; hint: take the network's safetensors")
    } else if start.starts_with(b"\x89HDF") {
        Some("it is HDF5 (Keras), which is not read; hint: take the network's safetensors")
    } else if start.len() > 8 && &start[4..8] == b"TFL3" {
        Some("it is TensorFlow Lite, which is not read; hint: take the network's safetensors or `.pt`")
    } else if start.starts_with(&[0x08]) && start.windows(7).any(|part| part == b"pytorch" || part == b"ultraly") {
        Some("it is ONNX, which is not read; hint: take the network's safetensors or `.pt`")
    } else {
        None
    }
}

fn bad(path: &Path, why: impl ToString) -> InferError {
    InferError::BadFile { path: path.to_owned(), why: why.to_string() }
}

fn read_error(path: &Path, source: std::io::Error) -> InferError {
    InferError::Read { path: path.to_owned(), source }
}

/// Reads a text of at most [`MAX_JSON_BYTES`].
fn read_json(path: &Path) -> Result<String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|source| read_error(path, source))?;
    file.take(MAX_JSON_BYTES + 1).read_to_string(&mut text).map_err(|source| read_error(path, source))?;
    if text.len() as u64 > MAX_JSON_BYTES {
        return Err(bad(path, format!("it has more than {} MiB", MAX_JSON_BYTES >> 20)));
    }
    Ok(text)
}
