//! The form of Hugging Face: a length, a header of JSON, the numbers. Apart from the library of that name, because ours reads numbers when
//! they are asked for without mapping the file, and says what is wrong in words.

use std::{collections::BTreeMap, fmt, fs::File, io::Read, path::Path, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

use super::{
    Element, MAX_TENSORS, Weights, bad, read_error,
    source::{Source, Stored},
};
use crate::infer::Result;

/// Largest header that is read; that of the largest network here has less than one MiB.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Opens a file.
pub(super) fn open(path: &Path) -> Result<Weights> {
    let mut file = File::open(path).map_err(|source| read_error(path, source))?;
    let file_bytes = file.metadata().map_err(|source| read_error(path, source))?.len();
    let mut length = [0u8; 8];
    file.read_exact(&mut length).map_err(|source| read_error(path, source))?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES {
        return Err(bad(path, format!("its header says it is {header_bytes} bytes long; no network has more than {MAX_HEADER_BYTES}")));
    }
    let Some(data_bytes) = file_bytes.checked_sub(8 + header_bytes) else {
        return Err(bad(path, "it is cut short within its header; hint: fetch it again"));
    };
    let mut text = vec![0u8; header_bytes as usize];
    file.read_exact(&mut text).map_err(|source| read_error(path, source))?;
    let header: Header = serde_json::from_slice(&text).map_err(|error| bad(path, format!("its header cannot be read: {error}")))?;
    let tensors = places(header.tensors, data_bytes, 8 + header_bytes, path)?;
    Ok(Weights { path: path.to_owned(), tensors, config: None, notes: header.notes })
}

/// Checks that the tensors fill the data one after the other, as the format asks: no overlap, no hole, nothing behind.
fn places(entries: Vec<(String, Entry)>, data_bytes: u64, data_start: u64, path: &Path) -> Result<BTreeMap<String, Source>> {
    let file = Arc::new(path.to_owned());
    let mut stretches = Vec::with_capacity(entries.len());
    let mut tensors = BTreeMap::new();
    for (name, Entry { dtype, shape, data_offsets: [start, end] }) in entries {
        let Some(element) = Element::of_safetensors(&dtype) else {
            return Err(bad(path, format!("the numbers of `{name}` are stored as {dtype}, which is not read")));
        };
        let Some(bytes) = Stored::byte_count(element, &shape) else {
            return Err(bad(path, format!("`{name}` has the impossible shape {shape:?}")));
        };
        if end.checked_sub(start) != Some(bytes) {
            return Err(bad(path, format!("`{name}` of shape {shape:?} as {dtype} does not fill its bytes {start} to {end}")));
        }
        if end > data_bytes {
            return Err(bad(
                path,
                format!("it is cut short: `{name}` ends {} bytes behind its end; hint: fetch it again", end - data_bytes),
            ));
        }
        stretches.push((start, end));
        let stored = Stored { file: Arc::clone(&file), offset_bytes: data_start + start, element, shape, strides: None };
        if tensors.insert(name.clone(), Source::Stored(stored)).is_some() {
            return Err(bad(path, format!("it has two tensors `{name}`")));
        }
    }
    stretches.sort_unstable();
    let mut filled = 0;
    for (start, end) in stretches {
        if start != filled {
            let how = if start < filled { "overlap" } else { "leave a hole" };
            return Err(bad(path, format!("its tensors {how} at byte {start} of the data")));
        }
        filled = end;
    }
    if filled != data_bytes {
        return Err(bad(path, format!("{} bytes at its end belong to no tensor", data_bytes - filled)));
    }
    Ok(tensors)
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// The header, with names that are there twice kept twice.
struct Header {
    tensors: Vec<(String, Entry)>,
    notes: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
                let mut header = Header { tensors: Vec::new(), notes: BTreeMap::new() };
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        header.notes = map.next_value()?;
                    } else if header.tensors.len() == MAX_TENSORS {
                        return Err(A::Error::custom(format!("more than {MAX_TENSORS} tensors")));
                    } else {
                        header.tensors.push((name, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entries: &str, data_bytes: u64) -> Result<BTreeMap<String, Source>> {
        let header: Header = serde_json::from_str(entries).map_err(|error| bad(Path::new("x"), error))?;
        places(header.tensors, data_bytes, 0, Path::new("x"))
    }

    #[test]
    fn tensors_must_fill_the_data() {
        let two =
            r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "U8", "shape": [], "data_offsets": [8, 9]}}"#;
        assert_eq!(check(two, 9).unwrap().len(), 2);
        assert_eq!(check("{}", 0).unwrap().len(), 0);
        for (entries, bytes, what) in [
            (two, 10, "belong to no tensor"),
            (two, 8, "cut short"),
            (r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}"#, 12, "hole"),
            (r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}"#, 4, "does not fill"),
            (r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}"#, 8, "does not fill"),
            (r#"{"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 0]}}"#, 0, "impossible"),
            (r#"{"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}"#, 1, "F4"),
            (
                r#"{"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}, "b": {"dtype": "U8", "shape": [2], "data_offsets": [1, 3]}}"#,
                3,
                "overlap",
            ),
            (
                r#"{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "a": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}}"#,
                2,
                "two tensors",
            ),
        ] {
            let error = check(entries, bytes).unwrap_err().to_string();
            assert!(error.contains(what), "{error} for {entries}");
        }
    }
}
