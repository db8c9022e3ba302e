//! Weights → one file of safetensors. Apart, because reading never writes. Tensor by tensor, so that a network of many gigabytes needs the
//! memory of its largest matrix; by a temporary name and a rename, so that no half file is ever taken for a whole one.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Weights, bad, read_error, source::Stored};
use crate::infer::Result;

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its size.
    pub bytes: u64,
    /// Its digest, in hexadecimal digits.
    pub sha256: String,
}

/// Writes all tensors to `path`, in their stored precision.
///
/// # Errors
/// [`crate::infer::InferError::Read`] or [`crate::infer::InferError::BadFile`] when numbers cannot be had or the file cannot be written; nothing
/// is left behind then.
pub fn write_safetensors(weights: &Weights, path: &Path) -> Result<Written> {
    let temporary = path.with_extension("part");
    let written = write_to(weights, &temporary);
    let written = written.and_then(|written| match std::fs::rename(&temporary, path) {
        Ok(()) => Ok(written),
        Err(source) => Err(read_error(path, source)),
    });
    if written.is_err() {
        // Nothing can be done about a temporary file that stays.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn write_to(weights: &Weights, path: &Path) -> Result<Written> {
    // Wide numbers first: every tensor then lies on a multiple of its numbers' width.
    let mut order: Vec<_> = weights.tensors.iter().collect();
    order.sort_by_key(|(name, source)| (std::cmp::Reverse(source.element().bytes()), name.as_str()));

    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut end = 0u64;
    for (name, source) in &order {
        let (element, shape) = (source.element(), source.shape());
        let bytes = Stored::byte_count(element, &shape).ok_or_else(|| bad(&weights.path, format!("`{name}` has an impossible shape")))?;
        let start = end;
        end = start.checked_add(bytes).ok_or_else(|| bad(&weights.path, "its tensors are too large"))?;
        header.insert((*name).clone(), json!({"dtype": element.safetensors(), "shape": shape, "data_offsets": [start, end]}));
    }
    let mut header = serde_json::Value::Object(header).to_string();
    // Blanks up to a multiple of 8, as the format asks.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));

    let file = File::create(path).map_err(|source| read_error(path, source))?;
    let mut out = Hashing { inner: BufWriter::with_capacity(1 << 20, file), hash: Sha256::new(), bytes: 0 };
    let mut write = |bytes: &[u8]| out.write_all(bytes).map_err(|source| read_error(path, source));
    write(&(header.len() as u64).to_le_bytes())?;
    write(header.as_bytes())?;
    for (name, source) in order {
        let before = out.bytes;
        let tensor = source.load()?;
        tensor.write_bytes(&mut out).map_err(|error| bad(path, format!("`{name}` cannot be written: {error}")))?;
        let expected = Stored::byte_count(source.element(), &source.shape()).unwrap_or(0);
        if out.bytes - before != expected {
            return Err(bad(path, format!("`{name}` became {} bytes instead of {expected}", out.bytes - before)));
        }
    }
    let Hashing { mut inner, hash, bytes } = out;
    inner.flush().and_then(|()| inner.get_ref().sync_all()).map_err(|source| read_error(path, source))?;
    Ok(Written { bytes, sha256: hexadecimal(&hash.finalize()) })
}

/// Digits of a digest.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Counts and digests what passes.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
