//! Reading a file at given places: headers by small cached blocks, so that finding a preview in a RAW on a NAS costs a few reads
//! instead of the whole file.

use std::{cell::RefCell, collections::HashMap, fs::File, os::unix::fs::FileExt, path::Path};

use super::PixelsError;

const BLOCK_BYTES: u64 = 16 * 1024;
/// A header that needs more blocks than this is an attack, not a header.
const MAX_BLOCKS: usize = 256;
/// Largest file read whole.
const MAX_WHOLE_BYTES: u64 = 1 << 30;

/// Bytes that can be read at any place.
pub(super) trait ReadAt {
    /// How many there are.
    fn len(&self) -> u64;

    /// Fills `buffer` from `offset`; `None` when not all of it is there.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Option<()>;

    /// `count` bytes from `offset`; `None` when not all are there.
    fn bytes_at(&self, offset: u64, count: usize) -> Option<Vec<u8>> {
        let end = offset.checked_add(count as u64)?;
        if end > self.len() {
            return None;
        }
        let mut bytes = vec![0; count];
        self.read_at(offset, &mut bytes)?;
        Some(bytes)
    }
}

impl ReadAt for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let start = usize::try_from(offset).ok()?;
        buffer.copy_from_slice(self.get(start..start.checked_add(buffer.len())?)?);
        Some(())
    }
}

/// An open source file.
pub(super) struct SourceFile {
    file: File,
    len: u64,
    blocks: RefCell<HashMap<u64, Vec<u8>>>,
}

impl SourceFile {
    /// Opens a regular file.
    pub(super) fn open(path: &Path) -> Result<Self, PixelsError> {
        let read_error = |error: std::io::Error| PixelsError::Read(error.to_string());
        let file = File::open(path).map_err(read_error)?;
        let metadata = file.metadata().map_err(read_error)?;
        if !metadata.is_file() {
            return Err(PixelsError::Read("not a regular file".into()));
        }
        Ok(Self { file, len: metadata.len(), blocks: RefCell::default() })
    }

    /// The whole file.
    pub(super) fn read_all(&self) -> Result<Vec<u8>, PixelsError> {
        if self.len > MAX_WHOLE_BYTES {
            return Err(PixelsError::Unsupported(format!("{} bytes are more than are read for one picture", self.len)));
        }
        let mut bytes = vec![0; self.len as usize];
        self.file.read_exact_at(&mut bytes, 0).map_err(|error| PixelsError::Read(error.to_string()))?;
        Ok(bytes)
    }

    fn block(&self, index: u64) -> Option<()> {
        let mut blocks = self.blocks.borrow_mut();
        if blocks.contains_key(&index) {
            return Some(());
        }
        if blocks.len() >= MAX_BLOCKS {
            return None;
        }
        let start = index * BLOCK_BYTES;
        let count = BLOCK_BYTES.min(self.len.checked_sub(start)?) as usize;
        let mut block = vec![0; count];
        self.file.read_exact_at(&mut block, start).ok()?;
        blocks.insert(index, block);
        Some(())
    }
}

impl ReadAt for SourceFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        if offset.checked_add(buffer.len() as u64)? > self.len {
            return None;
        }
        if buffer.len() as u64 > BLOCK_BYTES {
            return self.file.read_exact_at(buffer, offset).ok();
        }
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let index = at / BLOCK_BYTES;
            self.block(index)?;
            let blocks = self.blocks.borrow();
            let rest = blocks.get(&index)?.get((at % BLOCK_BYTES) as usize..)?;
            let count = rest.len().min(buffer.len() - done);
            if count == 0 {
                return None;
            }
            buffer[done..done + count].copy_from_slice(&rest[..count]);
            done += count;
        }
        Some(())
    }
}
