//! The bytes of one file as the readers see it: its head and tail are in memory, the rest is fetched piece by piece within a budget.
//!
//! Apart because it is what keeps reading cheap on a slow disk (a seek is a round trip there) and bounded on a hostile file.

use std::{fs::File, os::unix::fs::FileExt};

/// How much of each file is read at once, in bytes. EXIF ends before 64 KiB in a JPEG; XMP, IPTC and the size follow it.
pub(super) const HEAD_BYTES: usize = 128 << 10;
/// How much of the end is read, in bytes: it belongs to the fingerprint.
pub(super) const TAIL_BYTES: usize = 64 << 10;
/// Smallest further piece: neighbouring structures come along with it.
const PIECE_BYTES: usize = 16 << 10;
/// Further pieces for one file.
const MOST_PIECES: usize = 48;
/// Bytes of further pieces for one file.
const MOST_PIECE_BYTES: usize = 16 << 20;

/// Random access to one file.
pub(super) struct Source<'a> {
    head: &'a [u8],
    tail: &'a [u8],
    tail_at: u64,
    size: u64,
    file: Option<&'a File>,
    pieces: Vec<(u64, Vec<u8>)>,
    piece_bytes: usize,
}

impl<'a> Source<'a> {
    /// A file of `size` bytes of which `head` and `tail` (the last bytes) have been read.
    pub(super) fn new(file: &'a File, size: u64, head: &'a [u8], tail: &'a [u8]) -> Self {
        let tail_at = size.saturating_sub(tail.len() as u64);
        Self { head, tail, tail_at, size, file: Some(file), pieces: Vec::new(), piece_bytes: 0 }
    }

    /// Bytes that are all there.
    pub(super) fn from_slice(bytes: &'a [u8]) -> Self {
        let size = bytes.len() as u64;
        Self { head: bytes, tail: &[], tail_at: size, size, file: None, pieces: Vec::new(), piece_bytes: 0 }
    }

    /// Length of the file in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What was read first.
    pub(super) fn head(&self) -> &'a [u8] {
        self.head
    }

    /// The end of the file: what was read of it, or the whole of a small one.
    pub(super) fn tail(&self) -> &'a [u8] {
        if self.tail.is_empty() { self.head } else { self.tail }
    }

    /// `length` bytes at `at`; `None` past the end, over the budget or when the disk fails.
    pub(super) fn bytes(&mut self, at: u64, length: usize) -> Option<&[u8]> {
        let end = at.checked_add(length as u64).filter(|end| *end <= self.size)?;
        if end <= self.head.len() as u64 {
            return self.head.get(at as usize..end as usize);
        }
        if at >= self.tail_at && !self.tail.is_empty() {
            let from = (at - self.tail_at) as usize;
            return self.tail.get(from..from + length);
        }
        let holds = |(start, piece): &(u64, Vec<u8>)| *start <= at && end <= start + piece.len() as u64;
        let index = match self.pieces.iter().position(holds) {
            Some(index) => index,
            None => self.fetch(at, length)?,
        };
        let (start, piece) = self.pieces.get(index)?;
        let from = (at - start) as usize;
        piece.get(from..from + length)
    }

    /// As many of `length` bytes at `at` as the file has.
    pub(super) fn up_to(&mut self, at: u64, length: usize) -> Option<&[u8]> {
        let there = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        self.bytes(at, length.min(there)).filter(|bytes| !bytes.is_empty())
    }

    /// `N` bytes at `at`.
    pub(super) fn array<const N: usize>(&mut self, at: u64) -> Option<[u8; N]> {
        self.bytes(at, N)?.try_into().ok()
    }

    fn fetch(&mut self, at: u64, length: usize) -> Option<usize> {
        let there = usize::try_from(self.size - at).unwrap_or(usize::MAX);
        let wanted = length.max(PIECE_BYTES).min(there);
        if self.pieces.len() >= MOST_PIECES || self.piece_bytes + wanted > MOST_PIECE_BYTES {
            return None;
        }
        let mut piece = vec![0; wanted];
        let read = read_at_most(self.file?, &mut piece, at).ok()?;
        piece.truncate(read);
        self.piece_bytes += wanted;
        self.pieces.push((at, piece));
        (read >= length).then_some(self.pieces.len() - 1)
    }
}

/// Fills `buffer` from `at` as far as the file goes, and says how far that was.
pub(super) fn read_at_most(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn every_range_comes_from_where_it_is() {
        let content: Vec<u8> = (0..300_000u32).map(|index| (index * 7 % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let size = content.len() as u64;
        let mut source = Source::new(&file, size, &content[..1000], &content[299_000..]);
        for (at, length) in [(0, 10), (990, 10), (995, 20), (150_000, 30_000), (160_000, 5), (299_500, 500), (298_990, 20), (0, 200_000)] {
            assert_eq!(source.bytes(at, length), Some(&content[at as usize..at as usize + length]), "{at}+{length}");
        }
        assert_eq!(source.bytes(size - 1, 2), None);
        assert_eq!(source.bytes(u64::MAX, 2), None);
        assert_eq!(source.up_to(size - 1, 20), Some(&content[299_999..]));
    }

    #[test]
    fn a_file_cannot_make_it_read_for_ever() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 30).unwrap();
        let mut source = Source::new(&file, 1 << 30, &[], &[]);
        let answered = (0..10_000).filter(|step| source.bytes(step * 50_000, 10).is_some()).count();
        assert_eq!(answered, MOST_PIECES);
        assert!(source.bytes(5, 600 << 20).is_none());
    }
}
