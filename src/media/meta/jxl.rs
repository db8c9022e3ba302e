//! JPEG XL: the container's metadata boxes and the size at the start of the codestream.
//!
//! # Source
//! ISO/IEC 18181-1 (SizeHeader, ImageMetadata) and 18181-2 (boxes).

use super::{boxes, draft::Draft, exif, source::Source, xmp};

/// Reads a naked codestream or a container. `None` when the size cannot be read.
pub(super) fn read(source: &mut Source<'_>, draft: &mut Draft) -> Option<()> {
    draft.decoder_turns = true;
    if source.array::<2>(0)? == [0xff, 0x0a] {
        draft.size = codestream_size(source, 0);
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
            b"brob" => draft.second_opinion = true,
            b"jxlc" if draft.size.is_none() => draft.size = codestream_size(source, found.at),
            // The first part has its number before the codestream.
            b"jxlp" if draft.size.is_none() => draft.size = codestream_size(source, found.at + 4),
            _ => {}
        }
    }
    draft.size.map(|_| ())
}

/// Upright width and height, as the decoder hands them out.
fn codestream_size(source: &mut Source<'_>, at: u64) -> Option<(u32, u32)> {
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
    let sideways = bits.take(1)? == 0 && bits.take(1)? == 1 && bits.take(3)? >= 4;
    Some(if sideways { (height, width) } else { (width, height) })
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

    fn size(fields: &[(u32, usize)]) -> Option<(u32, u32)> {
        codestream_size(&mut Source::from_slice(&naked(fields)), 0)
    }

    #[test]
    fn sizes_are_read_in_each_form() {
        assert_eq!(size(&[(1, 1), (9, 5), (1, 3), (1, 1)]), Some((80, 80)));
        assert_eq!(size(&[(0, 1), (1, 2), (2999, 13), (3, 3), (1, 1)]), Some((4000, 3000)));
        assert_eq!(size(&[(0, 1), (0, 2), (299, 9), (0, 3), (0, 2), (399, 9), (1, 1)]), Some((400, 300)));
        // Turned by a quarter.
        assert_eq!(size(&[(0, 1), (0, 2), (299, 9), (0, 3), (0, 2), (399, 9), (0, 1), (1, 1), (5, 3)]), Some((300, 400)));
    }
}
