//! JPEG XL: the container's metadata boxes, and the size and the way up at the start of the codestream, which decoders obey.
//!
//! # Source
//! ISO/IEC 18181-1 (SizeHeader, ImageMetadata) and 18181-2 (boxes).

use std::io::Read;

use super::{boxes, draft::Draft, exif, source::Source, xmp};
use crate::models::Orientation;

/// Reads a naked codestream or a container. `None` when the size cannot be read.
pub(super) fn read(source: &mut Source<'_>, draft: &mut Draft) -> Option<()> {
    draft.container_orientation = Some(Orientation::UPRIGHT);
    if source.array::<2>(0)? == [0xff, 0x0a] {
        codestream(source, 0, draft);
        return draft.size.map(|_| ());
    }
    for found in boxes::list(source, 0, source.size()) {
        match &found.name {
            b"Exif" => {
                let skip = 4 + u64::from(u32::from_be_bytes(source.array(found.at)?));
                if let Some(tags) = exif::read(source, found.at + skip) {
                    draft.exif = tags;
                }
            }
            b"xml " => {
                if let Some(packet) = found.content(source, xmp::LONGEST_PACKET_BYTES) {
                    draft.xmp.extend(xmp::read(packet).0);
                }
            }
            b"brob" => {
                if let Some(packed) = found.content(source, xmp::LONGEST_PACKET_BYTES) {
                    packed_box(packed, draft);
                }
            }
            b"jxlc" if draft.size.is_none() => codestream(source, found.at, draft),
            // The first part has its number before the codestream.
            b"jxlp" if draft.size.is_none() => codestream(source, found.at + 4, draft),
            _ => {}
        }
    }
    draft.size.map(|_| ())
}

/// A box packed with Brotli: its own name, then its content. What is damaged or grows too large says nothing.
fn packed_box(content: &[u8], draft: &mut Draft) {
    let Some((name, packed)) = content.split_at_checked(4) else { return };
    if !matches!(name, b"Exif" | b"xml ") {
        return;
    }
    let mut unpacked = Vec::new();
    let most = xmp::LONGEST_PACKET_BYTES as u64 + 1;
    let read = brotli_decompressor::Decompressor::new(packed, 4096).take(most).read_to_end(&mut unpacked);
    if read.is_err() || unpacked.len() as u64 == most {
        return;
    }
    if name == b"xml " {
        draft.xmp.extend(xmp::read(&unpacked).0);
    } else if let Some(&[s0, s1, s2, s3]) = unpacked.first_chunk::<4>() {
        let skip = 4 + u64::from(u32::from_be_bytes([s0, s1, s2, s3]));
        // The structure is in memory, not in the file: places in it mean nothing to `exif_block`.
        if let Some(tags) = exif::read(&mut Source::from_slice(&unpacked), skip) {
            draft.exif = tags;
        }
    }
}

/// Takes size and way up from the codestream at `at`.
fn codestream(source: &mut Source<'_>, at: u64, draft: &mut Draft) {
    if let Some((size, orientation)) = codestream_start(source, at) {
        draft.size = Some(size);
        draft.container_orientation = Some(orientation);
    }
}

/// Width and height as stored, and how they are turned.
fn codestream_start(source: &mut Source<'_>, at: u64) -> Option<((u32, u32), Orientation)> {
    let start = source.up_to(at, 24)?;
    let mut bits = Bits { bytes: start.strip_prefix(&[0xff, 0x0a])?, at: 0 };
    let in_eights = bits.take(1)? == 1;
    let side = |bits: &mut Bits<'_>| -> Option<u32> {
        if in_eights {
            return Some(8 * (bits.take(5)? + 1));
        }
        let width = [9, 13, 18, 30][bits.take(2)? as usize];
        Some(bits.take(width)? + 1)
    };
    let height = side(&mut bits)?;
    let ratio = bits.take(3)?;
    let scaled = |above: u64, below: u64| u32::try_from(u64::from(height) * above / below).ok();
    let width = match ratio {
        0 => side(&mut bits),
        1 => Some(height),
        2 => scaled(12, 10),
        3 => scaled(4, 3),
        4 => scaled(3, 2),
        5 => scaled(16, 9),
        6 => scaled(5, 4),
        _ => scaled(2, 1),
    }?;
    // all_default, extra_fields, then the orientation less one.
    let stated = bits.take(1)? == 0 && bits.take(1)? == 1;
    let orientation = if stated { Orientation::try_from(bits.take(3)? as u8 + 1).ok()? } else { Orientation::UPRIGHT };
    Some(((width, height), orientation))
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next `count` bits, least significant first.
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for index in 0..count {
            let bit = self.at + index;
            value |= u32::from(self.bytes.get(bit / 8)? >> (bit % 8) & 1) << index;
        }
        self.at += count;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A codestream's start from (value, width in bits).
    fn naked(fields: &[(u32, usize)]) -> Vec<u8> {
        let bits: Vec<u32> = fields.iter().flat_map(|(value, width)| (0..*width).map(move |index| value >> index & 1)).collect();
        let packed = bits.chunks(8).map(|bits| bits.iter().enumerate().fold(0, |byte, (index, bit)| byte | (*bit as u8) << index));
        [0xff, 0x0a].into_iter().chain(packed).chain([0; 8]).collect()
    }

    fn start(fields: &[(u32, usize)]) -> Option<((u32, u32), u8)> {
        codestream_start(&mut Source::from_slice(&naked(fields)), 0).map(|(size, orientation)| (size, orientation.exif()))
    }

    fn boxed(name: &[u8], content: &[u8]) -> Vec<u8> {
        [&((content.len() + 8) as u32).to_be_bytes()[..], name, content].concat()
    }

    #[test]
    fn sizes_are_read_in_each_form() {
        assert_eq!(start(&[(1, 1), (9, 5), (1, 3), (1, 1)]), Some(((80, 80), 1)));
        assert_eq!(start(&[(0, 1), (1, 2), (2999, 13), (3, 3), (1, 1)]), Some(((4000, 3000), 1)));
        assert_eq!(start(&[(0, 1), (0, 2), (299, 9), (0, 3), (0, 2), (399, 9), (1, 1)]), Some(((400, 300), 1)));
        // Turned by a quarter.
        assert_eq!(start(&[(0, 1), (0, 2), (299, 9), (0, 3), (0, 2), (399, 9), (0, 1), (1, 1), (5, 3)]), Some(((400, 300), 6)));
    }

    /// Brotli's uncompressed form: window, one stored block, the empty last one.
    fn stored_as_brotli(content: &[u8]) -> Vec<u8> {
        // WBITS = 16 (one bit 0); ISLAST = 0; MNIBBLES = 4 (00); MLEN - 1 in 16 bits; ISUNCOMPRESSED = 1; padding; bytes; ISLAST, ISEMPTY.
        let head = (content.len() as u32 - 1) << 4 | 1 << 20;
        [&head.to_le_bytes()[..3], content, &[0b11]].concat()
    }

    #[test]
    fn words_packed_with_brotli_are_read() {
        let packet = br#"<rdf:RDF><rdf:Description xmp:Rating="4"/></rdf:RDF>"#;
        let exif = b"\0\0\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\x04\0\0\0abc\0\0\0\0\0";
        let packed = |name: &[u8], content: &[u8]| boxed(b"brob", &[name, content].concat());
        let file = [
            boxed(b"JXL ", b"\r\n\x87\n"),
            packed(b"Exif", &stored_as_brotli(exif)),
            packed(b"xml ", &stored_as_brotli(packet)),
            packed(b"xml ", b"\xff\xff damage"),
            packed(b"jbrd", &stored_as_brotli(b"not ours")),
            boxed(b"jxlc", &naked(&[(1, 1), (9, 5), (1, 3), (1, 1)])),
        ]
        .concat();
        let mut draft = Draft::default();
        read(&mut Source::from_slice(&file), &mut draft).unwrap();
        assert_eq!((draft.exif.make.as_deref(), draft.xmp.number(xmp::Key::Rating), draft.size), (Some("abc"), Some(4.0), Some((80, 80))));
        for end in 0..file.len() {
            let _ = read(&mut Source::from_slice(&file[..end]), &mut Draft::default());
        }
    }
}
