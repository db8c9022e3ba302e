//! TIFF's directories, which EXIF, TIFF and most RAW files are made of: finds entries and their values, knows no tag's meaning.
//!
//! It reads only what is asked for, from a [`Source`], so that a directory at the end of a 30 MB RAW costs one small read.

use super::source::Source;

/// Directories longer than this are damage.
const MOST_ENTRIES: u64 = 4_096;
/// Values longer than this are not words or numbers we look for.
const LONGEST_VALUE_BYTES: u64 = 4 << 20;

/// A TIFF structure inside a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiff {
    /// Where offset 0 of the structure lies in the file.
    pub(super) base: u64,
    little_endian: bool,
    big: bool,
}

/// One directory entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Which tag.
    pub(super) tag: u16,
    kind: u16,
    count: u64,
    /// Where the value lies in the file.
    pub(super) at: u64,
}

impl Entry {
    /// Length of the value in bytes, if it is plausible.
    pub(super) fn length(&self) -> Option<usize> {
        let length = self.count.checked_mul(width(self.kind))?;
        (length <= LONGEST_VALUE_BYTES).then_some(length as usize)
    }
}

impl Tiff {
    /// Recognises a structure at `base` and gives the offset of its first directory. Olympus and Panasonic have magic numbers of their own.
    pub(super) fn open(source: &mut Source<'_>, base: u64) -> Option<(Self, u64)> {
        let start: [u8; 8] = source.array(base)?;
        let little_endian = match &start[..2] {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let mut tiff = Self { base, little_endian, big: false };
        match tiff.u16(&start[2..]) {
            // 42; Olympus "RO", "RS"; Panasonic "U\0"
            42 | 0x4f52 | 0x5352 | 0x55 => Some((tiff, tiff.number(&start[4..8]))),
            43 => {
                tiff.big = true;
                let offset: [u8; 8] = source.array(base + 8)?;
                Some((tiff, tiff.number(&offset)))
            }
            _ => None,
        }
    }

    /// A directory without the header, as maker notes have it.
    pub(super) fn headless(base: u64, little_endian: bool) -> Self {
        Self { base, little_endian, big: false }
    }

    /// The entries of the directory at `offset`, and the offset of the next directory (0 for none). A directory that is cut off gives what is there.
    pub(super) fn entries(&self, source: &mut Source<'_>, offset: u64) -> Option<(Vec<Entry>, u64)> {
        let at = self.base.checked_add(offset)?;
        let (count_bytes, entry_bytes, offset_bytes) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let count = self.number(source.bytes(at, count_bytes)?);
        if offset == 0 || count == 0 || count > MOST_ENTRIES {
            return None;
        }
        let first = at + count_bytes as u64;
        let wanted = count as usize * entry_bytes + offset_bytes;
        let raw = source.up_to(first, wanted)?;
        let mut entries = Vec::with_capacity(count as usize);
        for (index, raw) in raw[..raw.len().min(count as usize * entry_bytes)].chunks_exact(entry_bytes).enumerate() {
            let (tag, kind) = (self.u16(raw), self.u16(&raw[2..]));
            let value_field = entry_bytes - offset_bytes;
            let count = self.number(&raw[4..value_field]);
            let inline = count.checked_mul(width(kind)).is_some_and(|length| length <= offset_bytes as u64);
            let here = first + (index * entry_bytes + value_field) as u64;
            let at = if inline { here } else { self.base.saturating_add(self.number(&raw[value_field..])) };
            if width(kind) > 0 {
                entries.push(Entry { tag, kind, count, at });
            }
        }
        let next = raw.get(count as usize * entry_bytes..wanted).map_or(0, |bytes| self.number(bytes));
        Some((entries, next))
    }

    /// The raw value.
    pub(super) fn bytes<'s>(&self, source: &'s mut Source<'_>, entry: &Entry) -> Option<&'s [u8]> {
        source.bytes(entry.at, entry.length()?)
    }

    /// The first of the whole numbers, of any width.
    pub(super) fn unsigned(&self, source: &mut Source<'_>, entry: &Entry) -> Option<u64> {
        self.unsigneds(source, entry, 1).first().copied()
    }

    /// Up to `most` whole numbers.
    pub(super) fn unsigneds(&self, source: &mut Source<'_>, entry: &Entry, most: usize) -> Vec<u64> {
        let width = width(entry.kind) as usize;
        if !matches!(entry.kind, 1 | 3 | 4 | 6 | 7 | 8 | 9 | 13 | 16 | 17 | 18) {
            return Vec::new();
        }
        let count = (entry.count as usize).min(most);
        source.bytes(entry.at, count * width).map(|raw| raw.chunks_exact(width).map(|raw| self.number(raw)).collect()).unwrap_or_default()
    }

    /// Up to `most` numbers, signed or not, whole or fractions; those over zero are left as not-a-number.
    pub(super) fn floats(&self, source: &mut Source<'_>, entry: &Entry, most: usize) -> Vec<f64> {
        let width = width(entry.kind) as usize;
        let count = (entry.count.min(1 << 16) as usize).min(most);
        let Some(raw) = source.bytes(entry.at, count * width) else { return Vec::new() };
        raw.chunks_exact(width).map(|raw| self.float(entry.kind, raw)).collect()
    }

    fn float(&self, kind: u16, raw: &[u8]) -> f64 {
        match kind {
            5 => ratio(self.number(&raw[..4]) as f64, self.number(&raw[4..]) as f64),
            10 => ratio(f64::from(self.number(&raw[..4]) as u32 as i32), f64::from(self.number(&raw[4..]) as u32 as i32)),
            6 => f64::from(raw[0] as i8),
            8 => f64::from(self.number(raw) as u16 as i16),
            9 => f64::from(self.number(raw) as u32 as i32),
            11 => f64::from(f32::from_bits(self.number(raw) as u32)),
            12 => f64::from_bits(self.number(raw)),
            2 | 7 => f64::NAN,
            _ => self.number(raw) as f64,
        }
    }

    fn u16(&self, raw: &[u8]) -> u16 {
        self.number(&raw[..2]) as u16
    }

    /// Up to eight bytes as a number.
    fn number(&self, raw: &[u8]) -> u64 {
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        if self.little_endian { raw.iter().rev().fold(0, add) } else { raw.iter().fold(0, add) }
    }
}

fn ratio(above: f64, below: f64) -> f64 {
    if below == 0.0 { f64::NAN } else { above / below }
}

/// Bytes of one value of a TIFF type; 0 for types that do not exist.
fn width(kind: u16) -> u64 {
    match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => 0,
    }
}
