//! A folder laid out like a model repository of Hugging Face. Apart, because which of its files count is a rule of its own, and an index
//! names files that a stranger wrote down.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{MAX_TENSORS, Weights, bad, read_error, read_json};
use crate::infer::Result;

/// Most files that one set of weights may be spread over.
const MAX_SHARDS: usize = 1000;

/// The names that weights have in such a folder, the best first: an index stands for its parts.
const NAMES: [&str; 6] = [
    "model.safetensors.index.json",
    "model.safetensors",
    "open_clip_model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
];

/// Opens the weights of a folder, with the configuration beside them.
pub(super) fn open(folder: &Path) -> Result<Weights> {
    let file = find(folder)?;
    let is_index = file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".index.json"));
    let mut weights = if is_index { open_index(folder, &file)? } else { Weights::open_file(&file)? };
    weights.config = config(folder)?;
    weights.path = folder.to_owned();
    Ok(weights)
}

/// The text of the configuration in a folder, if there is one.
pub(super) fn config(folder: &Path) -> Result<Option<String>> {
    let file = ["config.json", "open_clip_config.json"].map(|name| folder.join(name)).into_iter().find(|file| file.is_file());
    file.map(|file| read_json(&file)).transpose()
}

fn find(folder: &Path) -> Result<PathBuf> {
    for name in NAMES {
        let file = folder.join(name);
        if file.is_file() {
            return Ok(file);
        }
    }
    let mut others = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|source| read_error(folder, source))? {
        let path = entry.map_err(|source| read_error(folder, source))?.path();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
        if matches!(extension.as_str(), "safetensors" | "pt" | "pth" | "bin") && path.is_file() {
            others.push(path);
        }
    }
    match others.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(bad(folder, "there are no weights in it; hint: it should hold model.safetensors and config.json")),
        several => Err(bad(folder, format!("it holds {} files of weights; hint: name the one that is meant", several.len()))),
    }
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens the parts that an index names; every tensor must be where the index says.
fn open_index(folder: &Path, path: &Path) -> Result<Weights> {
    let index: Index = serde_json::from_str(&read_json(path)?).map_err(|error| bad(path, format!("it is no index of weights: {error}")))?;
    if index.weight_map.len() > MAX_TENSORS {
        return Err(bad(path, format!("it names more than {MAX_TENSORS} tensors")));
    }
    let parts: BTreeSet<&String> = index.weight_map.values().collect();
    if parts.len() > MAX_SHARDS {
        return Err(bad(path, format!("it names {} files; hint: is it the index of one network?", parts.len())));
    }
    let mut opened = BTreeMap::new();
    for part in parts {
        // Only files beside the index: a name must not lead elsewhere.
        let plain = Path::new(part).file_name().is_some_and(|name| name == part.as_str());
        if !plain || part.contains(['/', '\\', ':', '\0']) || part.starts_with('.') {
            return Err(bad(path, format!("it names `{part}`, which is no plain file name")));
        }
        opened.insert(part, Weights::open_file(&folder.join(part))?);
    }
    let mut tensors = BTreeMap::new();
    let mut notes = BTreeMap::new();
    for (name, part) in &index.weight_map {
        let source = opened.get(part).and_then(|weights| weights.tensors.get(name));
        let source = source.ok_or_else(|| bad(path, format!("it says that `{name}` is in `{part}`, which has no such tensor")))?;
        tensors.insert(name.clone(), source.clone());
    }
    for weights in opened.into_values() {
        notes.extend(weights.notes);
    }
    Ok(Weights { path: folder.to_owned(), tensors, config: None, notes })
}
