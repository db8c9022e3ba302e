//! The form of PyTorch since 1.6: a zip with a pickle that describes the tensors, and a member for each storage. Apart from the pickle,
//! because here its values get a meaning: state dicts, nested or not, and the objects of Ultralytics' checkpoints, whose modules are walked
//! as the trees of attributes that they are.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use zip::{CompressionMethod, ZipArchive};

use super::{
    Element, MAX_TENSORS, Weights, bad,
    pickle::{Id, MAX_PICKLE_BYTES, Pickle, Value},
    read_error,
    source::{Source, Stored},
};
use crate::infer::Result;

/// How deep modules may lie within modules, and calls within calls.
const MAX_DEPTH: usize = 32;

/// How many values a walk may look at: a shared value is looked at once for each way to it.
const MAX_VISITS: usize = 1_000_000;

/// How much larger all tensors together may be than the file: some share their numbers, a hostile file all.
const MAX_SHARING: u64 = 4;

/// Where a checkpoint keeps its weights, the best first: averaged ones are those to use.
const STATE_KEYS: [&str; 8] = ["ema", "model_ema", "state_dict", "model_state_dict", "model", "net", "params", "module"];

/// Longest remark that is kept of a checkpoint, in bytes.
const MAX_NOTE_BYTES: usize = 64 << 10;

/// Opens a file.
pub(super) fn open(path: &Path) -> Result<Weights> {
    let file = File::open(path).map_err(|source| read_error(path, source))?;
    let file_bytes = file.metadata().map_err(|source| read_error(path, source))?.len();
    let mut archive =
        ZipArchive::new(BufReader::new(file)).map_err(|error| bad(path, format!("its zip cannot be read ({error}); is it cut short?")))?;
    let members = Members::read(&mut archive, file_bytes, path)?;

    let mut bytes = Vec::new();
    let pickle =
        members.get("data.pkl").ok_or_else(|| bad(path, "it is a zip, but no checkpoint of PyTorch: there is no data.pkl in it"))?;
    if pickle.bytes > MAX_PICKLE_BYTES as u64 {
        return Err(bad(path, format!("its pickle has {} bytes; no network has more than {MAX_PICKLE_BYTES}", pickle.bytes)));
    }
    let mut member = archive.by_index_raw(pickle.index).map_err(|error| bad(path, error))?;
    member.by_ref().take(pickle.bytes).read_to_end(&mut bytes).map_err(|source| read_error(path, source))?;
    let pickle = Pickle::read(&bytes).map_err(|why| bad(path, why))?;

    let mut walk =
        Walk { pickle: &pickle, members: &members, file: Arc::new(path.to_owned()), tensors: BTreeMap::new(), bytes: 0, visits: 0 };
    walk.state(pickle.root(), "", 0).map_err(|why| bad(path, why))?;
    let tensors = without_wrapper(walk.tensors);
    if tensors.is_empty() {
        return Err(bad(path, "its pickle holds no tensors; hint: is it a checkpoint of weights?"));
    }
    Ok(Weights { path: path.to_owned(), tensors, config: None, notes: notes(&pickle) })
}

/// A member of the zip.
struct Member {
    index: usize,
    offset_bytes: u64,
    bytes: u64,
}

/// The members by their names below the archive's folder, all stored as they are: what is not is no checkpoint, and no bomb either.
struct Members {
    by_name: HashMap<String, Member>,
    file_bytes: u64,
}

impl Members {
    fn read(archive: &mut ZipArchive<BufReader<File>>, file_bytes: u64, path: &Path) -> Result<Self> {
        if archive.len() > 2 * MAX_TENSORS {
            return Err(bad(path, format!("its zip has {} members; no checkpoint has that many", archive.len())));
        }
        let mut by_name = HashMap::new();
        let mut folder: Option<String> = None;
        let mut script = false;
        for index in 0..archive.len() {
            let member = archive.by_index_raw(index).map_err(|error| bad(path, format!("its zip cannot be read: {error}")))?;
            let full = member.name().map_err(|error| bad(path, format!("its zip cannot be read: {error}")))?.into_owned();
            let Some((top, name)) = full.split_once('/') else { continue };
            if folder.get_or_insert_with(|| top.to_owned()) != top {
                return Err(bad(path, "it is a zip, but no checkpoint of PyTorch: it has several folders"));
            }
            script |= name == "constants.pkl" || name.starts_with("code/");
            if member.compression() != CompressionMethod::Stored || member.encrypted() {
                return Err(bad(path, format!("`{full}` in it is packed or encrypted, which no checkpoint of PyTorch is")));
            }
            let offset_bytes = member.data_start().ok_or_else(|| bad(path, "its zip cannot be read"))?;
            let bytes = member.size();
            if member.compressed_size() != bytes || offset_bytes.checked_add(bytes).is_none_or(|end| end > file_bytes) {
                return Err(bad(path, format!("`{full}` in it reaches beyond its end; hint: fetch it again")));
            }
            if by_name.insert(name.to_owned(), Member { index, offset_bytes, bytes }).is_some() {
                return Err(bad(path, format!("it has two members `{full}`")));
            }
        }
        if script {
            return Err(bad(
                path,
                "it is TorchScript, a program and not only weights; hint: take the network in the form of Hugging Face (model.safetensors, config.json)",
            ));
        }
        let members = Self { by_name, file_bytes };
        if let Some(order) = members.get("byteorder") {
            let mut text = String::new();
            let member = archive.by_index_raw(order.index).map_err(|error| bad(path, error))?;
            member.take(16).read_to_string(&mut text).map_err(|source| read_error(path, source))?;
            if text != "little" {
                return Err(bad(path, format!("its numbers are in the byte order `{text}`; hint: save it anew on another machine")));
            }
        }
        Ok(members)
    }

    fn get(&self, name: &str) -> Option<&Member> {
        self.by_name.get(name)
    }
}

/// Collects tensors by their names.
struct Walk<'a> {
    pickle: &'a Pickle,
    members: &'a Members,
    file: Arc<PathBuf>,
    tensors: BTreeMap<String, Source>,
    /// Bytes of all of them.
    bytes: u64,
    visits: usize,
}

impl Walk<'_> {
    fn visit(&mut self, depth: usize) -> std::result::Result<(), String> {
        self.visits += 1;
        if depth > MAX_DEPTH || self.visits > MAX_VISITS {
            return Err("its values lie too deep within each other, or refer to each other too often".into());
        }
        Ok(())
    }

    /// A state dict, a checkpoint that holds one, or a module.
    fn state(&mut self, value: &Value, prefix: &str, depth: usize) -> std::result::Result<(), String> {
        self.visit(depth)?;
        let pickle = self.pickle;
        if let Some(entries) = pickle.entries(value) {
            let before = self.tensors.len();
            for &(key, value) in entries {
                if let Some(name) = pickle.text(key) {
                    self.tensor(&format!("{prefix}{name}"), pickle.get(value), depth + 1)?;
                }
            }
            if self.tensors.len() > before {
                return Ok(());
            }
            for key in STATE_KEYS {
                if let Some(inner) = pickle.entry(value, key) {
                    self.state(pickle.get(inner), prefix, depth + 1)?;
                    if self.tensors.len() > before {
                        return Ok(());
                    }
                }
            }
            return Ok(());
        }
        self.module(value, prefix, depth)
    }

    /// An object with parameters, buffers and modules below it.
    fn module(&mut self, value: &Value, prefix: &str, depth: usize) -> std::result::Result<(), String> {
        self.visit(depth)?;
        let pickle = self.pickle;
        let Some(attributes) = pickle.attributes(value) else { return Ok(()) };
        for kind in ["_parameters", "_buffers"] {
            let Some(entries) = pickle.entry(attributes, kind).and_then(|id| pickle.entries(pickle.get(id))) else { continue };
            for &(key, value) in entries {
                if let Some(name) = pickle.text(key) {
                    self.tensor(&format!("{prefix}{name}"), pickle.get(value), depth + 1)?;
                }
            }
        }
        let Some(modules) = pickle.entry(attributes, "_modules").and_then(|id| pickle.entries(pickle.get(id))) else { return Ok(()) };
        for &(key, value) in modules {
            if let Some(name) = pickle.text(key) {
                if prefix.len() + name.len() > 512 {
                    return Err("the names of its modules are too long".into());
                }
                self.module(pickle.get(value), &format!("{prefix}{name}."), depth + 1)?;
            }
        }
        Ok(())
    }

    /// Keeps the value if it is a tensor.
    fn tensor(&mut self, name: &str, value: &Value, depth: usize) -> std::result::Result<(), String> {
        self.visit(depth)?;
        let pickle = self.pickle;
        let Some((module, function, args)) = pickle.call(value) else { return Ok(()) };
        let arg = |index: usize| args.get(index).map(|&id| pickle.get(id)).ok_or_else(|| format!("`{name}` is described too briefly"));
        match (module, function) {
            // A parameter: around its tensor.
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => self.tensor(name, arg(0)?, depth + 1),
            // A subclass: (function, type, arguments, state).
            ("torch._tensor", "_rebuild_from_type_v2") => match (arg(0)?, arg(2)?) {
                (Value::Global { module, name: function }, Value::Tuple(args)) => self.rebuilt(name, module, function, args, depth + 1),
                _ => Err(format!("`{name}` is described in an unknown way")),
            },
            _ => self.rebuilt(name, module, function, args, depth + 1),
        }
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, …)`, or `_v3` with the numbers' kind behind.
    fn rebuilt(&mut self, name: &str, module: &str, function: &str, args: &[Id], depth: usize) -> std::result::Result<(), String> {
        self.visit(depth)?;
        let pickle = self.pickle;
        if module != "torch._utils" || !function.starts_with("_rebuild_") {
            return Ok(());
        }
        let untyped = match function {
            "_rebuild_tensor_v2" | "_rebuild_tensor" => false,
            "_rebuild_tensor_v3" => true,
            other => {
                return Err(format!(
                    "`{name}` is no plain tensor ({other}), which is not read; hint: quantised and sparse ones must be unpacked first"
                ));
            }
        };
        let unknown = || format!("`{name}` is described in an unknown way");
        let sizes = |index: usize| -> Option<Vec<usize>> { pickle.parts(*args.get(index)?)?.iter().map(|&id| pickle.size(id)).collect() };
        let (shape, strides) = (sizes(2).ok_or_else(unknown)?, sizes(3).ok_or_else(unknown)?);
        let offset = args.get(1).and_then(|&id| pickle.size(id)).ok_or_else(unknown)?;
        // ("storage", class, key, device, count)
        let Some(Value::Persistent(storage)) = args.first().map(|&id| pickle.get(id)) else { return Err(unknown()) };
        let storage = pickle.parts(*storage).ok_or_else(unknown)?;
        let key = storage.get(2).and_then(|&id| pickle.text(id)).ok_or_else(unknown)?;
        let kind = if untyped { args.get(6) } else { storage.get(1) };
        let Some(Value::Global { name: kind, .. }) = kind.map(|&id| pickle.get(id)) else { return Err(unknown()) };
        let element = Element::of_torch(kind).ok_or_else(|| format!("the numbers of `{name}` are stored as {kind}, which is not read"))?;

        let member = self.members.get(&format!("data/{key}")).ok_or_else(|| format!("the numbers of `{name}` are missing"))?;
        let held = member.bytes / element.bytes() as u64;
        let count = Stored::byte_count(element, &shape).ok_or_else(|| format!("`{name}` has the impossible shape {shape:?}"))?;
        if strides.len() != shape.len() {
            return Err(unknown());
        }
        // The place behind the last number; an empty tensor has none.
        let span = if count == 0 {
            Some(0)
        } else {
            shape
                .iter()
                .zip(&strides)
                .try_fold(1u64, |span, (&size, &stride)| span.checked_add((size as u64 - 1).checked_mul(stride as u64)?))
        };
        let end = span.and_then(|span| span.checked_add(offset as u64));
        // More numbers than the storage has would be the same ones over and over: no weights are stored so.
        if end.is_none_or(|end| end > held) || count / element.bytes() as u64 > held {
            return Err(format!("`{name}` of shape {shape:?} reaches beyond its numbers, of which there are {held}; hint: fetch it again"));
        }
        self.bytes = self.bytes.saturating_add(count);
        if self.bytes > MAX_SHARING * self.members.file_bytes {
            return Err("its tensors together are far larger than the file".into());
        }
        if self.tensors.len() == MAX_TENSORS {
            return Err(format!("it has more than {MAX_TENSORS} tensors"));
        }
        let strides = Some(strides).filter(|strides| !in_order(&shape, strides));
        let offset_bytes = member.offset_bytes + (offset * element.bytes()) as u64;
        let stored = Stored { file: Arc::clone(&self.file), offset_bytes, element, shape, strides };
        match self.tensors.insert(name.to_owned(), Source::Stored(stored)) {
            Some(_) => Err(format!("it has two tensors `{name}`")),
            None => Ok(()),
        }
    }
}

/// Takes off what a network wrapped in another adds to every name: `module.` when it was trained on several devices, `model.` twice when
/// Ultralytics' handle was saved.
fn without_wrapper(tensors: BTreeMap<String, Source>) -> BTreeMap<String, Source> {
    for (common, wrapper) in [("module.", "module."), ("model.model.", "model.")] {
        if !tensors.is_empty() && tensors.keys().all(|name| name.starts_with(common)) {
            return tensors.into_iter().map(|(name, source)| (name[wrapper.len()..].to_owned(), source)).collect();
        }
    }
    tensors
}

/// Whether numbers with these strides lie one after the other.
fn in_order(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1usize;
    for (&size, &stride) in shape.iter().zip(strides).rev() {
        if size != 1 && stride != expected {
            return false;
        }
        expected = expected.saturating_mul(size);
    }
    true
}

/// What a checkpoint says of itself, as far as it is plain: texts and numbers beside the weights, the classes and the kind of its network.
fn notes(pickle: &Pickle) -> BTreeMap<String, String> {
    let mut notes = BTreeMap::new();
    let mut keep = |key: &str, text: String| {
        if !text.is_empty() && text.len() <= MAX_NOTE_BYTES && key.len() <= 64 && notes.len() < 64 {
            notes.insert(key.to_owned(), text);
        }
    };
    let plain = |value: &Value| match value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    };
    let root = pickle.root();
    for &(key, value) in pickle.entries(root).unwrap_or_default().iter().take(1000) {
        if let (Some(key), Some(text)) = (pickle.text(key), plain(pickle.get(value))) {
            keep(key, text);
        }
    }
    let network = ["ema", "model"].into_iter().find_map(|key| {
        let value = pickle.get(pickle.entry(root, key)?);
        pickle.attributes(value).map(|attributes| (value, attributes))
    });
    if let Some((value, attributes)) = network {
        if let Some((module, class, _)) = pickle.call(value) {
            keep("class", format!("{module}.{class}"));
        }
        if let Some(task) = pickle.entry(attributes, "task").and_then(|id| pickle.text(id)) {
            keep("task", task.to_owned());
        }
        // {0: "person", …}, perhaps in another order.
        let names = pickle.entry(attributes, "names").and_then(|id| pickle.entries(pickle.get(id))).unwrap_or_default();
        let mut names: Vec<(usize, &str)> =
            names.iter().take(10_000).filter_map(|&(key, value)| Some((pickle.size(key)?, pickle.text(value)?))).collect();
        names.sort_unstable();
        names.dedup_by_key(|(index, _)| *index);
        if !names.is_empty() && names.iter().enumerate().all(|(place, (index, _))| place == *index) {
            let names: Vec<&str> = names.into_iter().map(|(_, name)| name).collect();
            keep("names", serde_json::Value::from(names).to_string());
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_taken_off() {
        let named = |names: &[&str]| -> BTreeMap<String, Source> {
            let tensor = candle_core::Tensor::new(0f32, &candle_core::Device::Cpu).unwrap();
            names.iter().map(|name| ((*name).to_owned(), Source::InMemory(tensor.clone()))).collect()
        };
        let without = |names: &[&str]| without_wrapper(named(names)).into_keys().collect::<Vec<_>>();
        assert_eq!(without(&["module.a", "module.b.c"]), ["a", "b.c"]);
        assert_eq!(without(&["model.model.0.a", "model.model.1.b"]), ["model.0.a", "model.1.b"]);
        assert_eq!(without(&["model.0.a", "model.1.b"]), ["model.0.a", "model.1.b"]);
        assert_eq!(without(&["module.a", "b"]), ["b", "module.a"]);
    }

    #[test]
    fn order_is_told_from_strides() {
        assert!(in_order(&[2, 3], &[3, 1]));
        assert!(in_order(&[2, 1, 3], &[3, 99, 1]));
        assert!(in_order(&[], &[]));
        assert!(!in_order(&[2, 3], &[1, 2]));
        assert!(!in_order(&[2, 2], &[0, 1]));
    }
}
