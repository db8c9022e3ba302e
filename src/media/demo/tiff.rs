//! Writes TIFF structures: the EXIF block of a JPEG and a whole DNG are both trees of directories.
//!
//! kamadak-exif's writer knows no SubIFDs, which a DNG needs; one writer for both keeps their tags in one place. Directories and
//! their values come first and large data last, as cameras do it, so that a reader finds all facts in a file's head.
//!
//! # Source
//! TIFF 6.0, section 2 (structure); TIFF Technical Note 1 (trees of directories).

use std::collections::BTreeMap;

/// What a tag holds.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Text, written with its closing NUL; EXIF asks for ASCII.
    Text(String),
    /// Unsigned bytes.
    Bytes(Vec<u8>),
    /// Bytes whose meaning the tag defines.
    Opaque(Vec<u8>),
    /// 16-bit numbers.
    Short(Vec<u16>),
    /// 32-bit numbers.
    Long(Vec<u32>),
    /// Fractions.
    Rational(Vec<(u32, u32)>),
    /// Fractions with a sign.
    Signed(Vec<(i32, i32)>),
    /// Another directory; the tag holds its offset.
    Directory(Directory),
    /// Bytes at the end of the file; the tag holds their offset.
    Data(Vec<u8>),
}

/// Tags in ascending order, and the directory that follows in the chain.
#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    entries: BTreeMap<u16, Value>,
    next: Option<Box<Directory>>,
}

impl Directory {
    /// Adds a tag, in place of the one there may have been.
    pub(super) fn set(&mut self, tag: u16, value: Value) -> &mut Self {
        self.entries.insert(tag, value);
        self
    }

    /// Adds a text tag.
    pub(super) fn text(&mut self, tag: u16, text: &str) -> &mut Self {
        self.set(tag, Value::Text(text.to_owned()))
    }

    /// Adds a 16-bit tag.
    pub(super) fn short(&mut self, tag: u16, value: u16) -> &mut Self {
        self.set(tag, Value::Short(vec![value]))
    }

    /// Adds a 32-bit tag.
    pub(super) fn long(&mut self, tag: u16, value: u32) -> &mut Self {
        self.set(tag, Value::Long(vec![value]))
    }

    /// Adds a fraction.
    pub(super) fn rational(&mut self, tag: u16, numerator: u32, denominator: u32) -> &mut Self {
        self.set(tag, Value::Rational(vec![(numerator, denominator)]))
    }

    /// Lets `next` follow in the chain (IFD1 of an EXIF block).
    pub(super) fn followed_by(&mut self, next: Directory) -> &mut Self {
        self.next = Some(Box::new(next));
        self
    }

    /// The file: header, this directory and all it refers to, little endian.
    pub(super) fn to_tiff(&self) -> Vec<u8> {
        let mut layout = Layout { bytes: b"II*\0\0\0\0\0".to_vec(), data: Vec::new() };
        layout.directory(self, 4);
        for (pointer, data) in std::mem::take(&mut layout.data) {
            layout.point_here(pointer);
            layout.bytes.extend(data);
        }
        layout.bytes
    }
}

struct Layout {
    bytes: Vec<u8>,
    /// Where the offset of each piece of large data is to be written, and the piece.
    data: Vec<(usize, Vec<u8>)>,
}

impl Layout {
    /// Writes the offset of what comes next, which starts on an even byte, at `pointer`.
    fn point_here(&mut self, pointer: usize) {
        if self.bytes.len() % 2 == 1 {
            self.bytes.push(0);
        }
        let offset = (self.bytes.len() as u32).to_le_bytes();
        self.bytes[pointer..pointer + 4].copy_from_slice(&offset);
    }

    fn directory(&mut self, directory: &Directory, pointer: usize) {
        self.point_here(pointer);
        let mut at = self.bytes.len();
        self.bytes.extend((directory.entries.len() as u16).to_le_bytes());
        self.bytes.resize(at + 2 + 12 * directory.entries.len() + 4, 0);
        at += 2;
        let mut inner = Vec::new();
        for (tag, value) in &directory.entries {
            let (kind, count, raw) = encoded(value);
            self.bytes[at..at + 2].copy_from_slice(&tag.to_le_bytes());
            self.bytes[at + 2..at + 4].copy_from_slice(&(kind as u16).to_le_bytes());
            self.bytes[at + 4..at + 8].copy_from_slice(&(count as u32).to_le_bytes());
            match value {
                Value::Directory(directory) => inner.push((directory, at + 8)),
                Value::Data(data) => self.data.push((at + 8, data.clone())),
                _ if raw.len() <= 4 => self.bytes[at + 8..at + 8 + raw.len()].copy_from_slice(&raw),
                _ => {
                    self.point_here(at + 8);
                    self.bytes.extend(raw);
                }
            }
            at += 12;
        }
        for (directory, pointer) in inner {
            self.directory(directory, pointer);
        }
        if let Some(next) = &directory.next {
            self.directory(next, at);
        }
    }
}

/// Field type, number of values, and their bytes; none for what is written elsewhere.
fn encoded(value: &Value) -> (u8, usize, Vec<u8>) {
    match value {
        Value::Text(text) => (2, text.len() + 1, [text.as_bytes(), b"\0"].concat()),
        Value::Bytes(bytes) => (1, bytes.len(), bytes.clone()),
        Value::Opaque(bytes) => (7, bytes.len(), bytes.clone()),
        Value::Short(values) => (3, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Value::Long(values) => (4, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Value::Rational(values) => {
            (5, values.len(), values.iter().flat_map(|(n, d)| [n.to_le_bytes(), d.to_le_bytes()].concat()).collect())
        }
        Value::Signed(values) => (10, values.len(), values.iter().flat_map(|(n, d)| [n.to_le_bytes(), d.to_le_bytes()].concat()).collect()),
        Value::Directory(_) | Value::Data(_) => (4, 1, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_reader_finds_every_value_in_its_directory() {
        let mut exif = Directory::default();
        exif.text(0x9003, "2020:01:02 03:04:05").rational(0x829a, 1, 250);
        let mut thumbnail = Directory::default();
        thumbnail.set(0x0201, Value::Data(vec![1, 2, 3])).long(0x0202, 3);
        let mut root = Directory::default();
        root.text(0x0110, "X").short(0x0112, 6).set(0x8769, Value::Directory(exif)).followed_by(thumbnail);

        let bytes = root.to_tiff();
        let (fields, little_endian) = exif::parse_exif(&bytes).unwrap();
        assert!(little_endian);
        let find = |tag, ifd| fields.iter().find(|f| f.tag == tag && f.ifd_num == ifd).unwrap().display_value().to_string();
        assert_eq!(find(exif::Tag::DateTimeOriginal, exif::In::PRIMARY), "2020-01-02 03:04:05");
        assert_eq!(find(exif::Tag::ExposureTime, exif::In::PRIMARY), "1/250");
        assert_eq!(find(exif::Tag::Orientation, exif::In::PRIMARY), "row 0 at right and column 0 at top");
        let offset: usize = find(exif::Tag::JPEGInterchangeFormat, exif::In::THUMBNAIL).parse().unwrap();
        assert_eq!(bytes[offset..offset + 3], [1, 2, 3]);
    }
}
