//! The tag structure of TIFF, which EXIF and most RAW formats share: just enough to find previews, way up and colour space.
//!
//! # Source
//! TIFF 6.0, section 2; EXIF 2.32, section 4.6.

use super::read_at::ReadAt;
use crate::models::Orientation;

/// More directories than any camera writes.
const MAX_DIRECTORIES: usize = 40;
const MAX_ENTRIES: u64 = 1024;
/// Values longer than this are read by those who know what they are, not as numbers.
const MAX_NUMBERS: u32 = 4096;

pub(super) const COMPRESSION: u16 = 0x0103;
pub(super) const PHOTOMETRIC: u16 = 0x0106;
pub(super) const STRIP_OFFSETS: u16 = 0x0111;
pub(super) const ORIENTATION: u16 = 0x0112;
pub(super) const STRIP_BYTE_COUNTS: u16 = 0x0117;
pub(super) const TILE_OFFSETS: u16 = 0x0144;
pub(super) const TILE_BYTE_COUNTS: u16 = 0x0145;
pub(super) const SUB_DIRECTORIES: u16 = 0x014a;
pub(super) const JPEG_OFFSET: u16 = 0x0201;
pub(super) const JPEG_BYTE_COUNT: u16 = 0x0202;
/// Panasonic: the preview itself is the value.
pub(super) const PANASONIC_PREVIEW: u16 = 0x002e;
const EXIF_DIRECTORY: u16 = 0x8769;
const INTEROP_DIRECTORY: u16 = 0xa005;
const INTEROP_INDEX: u16 = 0x0001;
const COLOR_SPACE: u16 = 0xa001;

/// One tag of a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) tag: u16,
    kind: u16,
    count: u32,
    /// Where the value lies, from the start of the bytes.
    value_at: u64,
}

impl Entry {
    /// Place and size of the value, from the start of the bytes.
    pub(super) fn extent(&self) -> (u64, u64) {
        (self.value_at, u64::from(self.count) * kind_bytes(self.kind))
    }
}

/// One directory of tags.
#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    pub(super) entries: Vec<Entry>,
    next: u64,
}

impl Directory {
    pub(super) fn entry(&self, tag: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }
}

/// A TIFF structure that starts at `base` within `bytes`.
pub(super) struct Tags<'a> {
    bytes: &'a dyn ReadAt,
    base: u64,
    little_endian: bool,
    first: u64,
}

impl<'a> Tags<'a> {
    /// Reads the header; `None` when there is none. BigTIFF is not for cameras.
    pub(super) fn open(bytes: &'a dyn ReadAt, base: u64) -> Option<Self> {
        let head = bytes.bytes_at(base, 8)?;
        let little_endian = match &head[..2] {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let mut tags = Self { bytes, base, little_endian, first: 0 };
        // 42, Panasonic's 0x55, Olympus' RO and RS
        if !matches!(tags.u16_of(&head[2..4]), 42 | 0x55 | 0x4f52 | 0x5352) {
            return None;
        }
        tags.first = u64::from(tags.u32_of(&head[4..8]));
        Some(tags)
    }

    /// All directories: the chain of the first one, and those below each; the first one comes first.
    pub(super) fn directories(&self) -> Vec<Directory> {
        let mut found = Vec::new();
        let mut seen = Vec::new();
        let mut waiting = vec![self.first];
        while let Some(offset) = waiting.pop() {
            if offset == 0 || seen.contains(&offset) || found.len() >= MAX_DIRECTORIES {
                continue;
            }
            seen.push(offset);
            let Some(directory) = self.directory(offset) else { continue };
            waiting.push(directory.next);
            for tag in [SUB_DIRECTORIES, EXIF_DIRECTORY] {
                waiting.extend(directory.entry(tag).map(|entry| self.numbers(entry)).unwrap_or_default());
            }
            found.push(directory);
        }
        found
    }

    fn directory(&self, offset: u64) -> Option<Directory> {
        let start = self.base.checked_add(offset)?;
        let count = u64::from(self.u16_of(&self.bytes.bytes_at(start, 2)?));
        if count > MAX_ENTRIES {
            return None;
        }
        let table = self.bytes.bytes_at(start + 2, count as usize * 12)?;
        let entries = table.chunks_exact(12).enumerate().map(|(index, raw)| {
            let (tag, kind, count) = (self.u16_of(&raw[..2]), self.u16_of(&raw[2..4]), self.u32_of(&raw[4..8]));
            let inline = u64::from(count) * kind_bytes(kind) <= 4;
            let inline_at = start + 2 + index as u64 * 12 + 8;
            let value_at = if inline { inline_at } else { self.base + u64::from(self.u32_of(&raw[8..12])) };
            Entry { tag, kind, count, value_at }
        });
        let entries = entries.collect();
        let next = self.bytes.bytes_at(start + 2 + count * 12, 4).map_or(0, |raw| u64::from(self.u32_of(&raw)));
        Some(Directory { entries, next })
    }

    /// The value as whole numbers; empty when it is none.
    pub(super) fn numbers(&self, entry: &Entry) -> Vec<u64> {
        let size = kind_bytes(entry.kind) as usize;
        if !matches!(entry.kind, 1 | 3 | 4 | 13) || entry.count > MAX_NUMBERS {
            return Vec::new();
        }
        let bytes = self.bytes.bytes_at(entry.value_at, entry.count as usize * size).unwrap_or_default();
        let number = |raw: &[u8]| match size {
            1 => u64::from(raw[0]),
            2 => u64::from(self.u16_of(raw)),
            _ => u64::from(self.u32_of(raw)),
        };
        bytes.chunks_exact(size).map(number).collect()
    }

    /// The first number of a tag.
    pub(super) fn number(&self, directory: &Directory, tag: u16) -> Option<u64> {
        self.numbers(directory.entry(tag)?).first().copied()
    }

    /// An offset in this structure, as a place in the bytes.
    pub(super) fn place(&self, offset: u64) -> Option<u64> {
        self.base.checked_add(offset)
    }

    /// The way up that the first directory states.
    pub(super) fn orientation(&self) -> Option<Orientation> {
        let first = self.directory(self.first)?;
        let number = u8::try_from(self.number(&first, ORIENTATION)?).ok()?;
        Orientation::try_from(number).ok()
    }

    /// Whether the pixels are Adobe RGB: colour space 2 (as some write it), or uncalibrated with interoperability index `R03`.
    ///
    /// # Source
    /// EXIF 2.32, annex A; DCF 2.0, section 7.3.
    pub(super) fn is_adobe_rgb(&self) -> bool {
        self.adobe_rgb().unwrap_or(false)
    }

    fn adobe_rgb(&self) -> Option<bool> {
        let first = self.directory(self.first)?;
        let exif = self.directory(self.number(&first, EXIF_DIRECTORY)?)?;
        let color_space = self.number(&exif, COLOR_SPACE)?;
        if color_space == 2 {
            return Some(true);
        }
        let interop = self.directory(self.number(&exif, INTEROP_DIRECTORY)?)?;
        let index = interop.entry(INTEROP_INDEX)?;
        Some(color_space != 1 && self.bytes.bytes_at(index.value_at, 3)? == b"R03")
    }

    fn u16_of(&self, raw: &[u8]) -> u16 {
        let raw = [raw[0], raw[1]];
        if self.little_endian { u16::from_le_bytes(raw) } else { u16::from_be_bytes(raw) }
    }

    fn u32_of(&self, raw: &[u8]) -> u32 {
        let raw = [raw[0], raw[1], raw[2], raw[3]];
        if self.little_endian { u32::from_le_bytes(raw) } else { u32::from_be_bytes(raw) }
    }
}

fn kind_bytes(kind: u16) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 => 8,
        _ => 1,
    }
}
