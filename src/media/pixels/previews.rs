//! Where the JPEG previews of a RAW file lie: by the tags and boxes that say so, read in place; or, where none do, by looking for
//! JPEG headers in all of its bytes.
//!
//! # Source
//! TIFF/EP and DNG 1.7 (`SubIFDs`, `JPEGInterchangeFormat`); RAF and CR3 as described by their free readers' documentation
//! (exiftool's FujiFilm and Canon CR3 tag tables).

use super::{
    jpeg_header::JpegHeader,
    read_at::ReadAt,
    tiff_tags::{
        COMPRESSION, JPEG_BYTE_COUNT, JPEG_OFFSET, PANASONIC_PREVIEW, PHOTOMETRIC, STRIP_BYTE_COUNTS, STRIP_OFFSETS, TILE_BYTE_COUNTS,
        TILE_OFFSETS, Tags,
    },
};

/// More previews than any camera writes.
const MAX_PREVIEWS: usize = 32;
const MAX_BOXES: usize = 200;
/// The preview box of a CR3 is searched for its JPEG within its first bytes.
const PRVW_SEARCH_BYTES: u64 = 256;
const RAF_JPEG_OFFSET_AT: u64 = 84;
/// The box of a CR3 that holds the preview of 1620 px.
const CR3_PREVIEW_UUID: [u8; 16] = [0xea, 0xf4, 0x2b, 0x5e, 0x1c, 0x98, 0x4b, 0x88, 0xb9, 0xfb, 0xb7, 0xdc, 0x40, 0x6e, 0x4d, 0x16];

/// `PhotometricInterpretation` of sensor data: a mosaic, or all colours at each place in linear light.
const SENSOR_PHOTOMETRICS: [u64; 2] = [32_803, 34_892];
/// `Compression` of lossy DNG: baseline JPEG, or JPEG XL.
const LOSSY_COMPRESSIONS: [u64; 2] = [34_892, 52_546];

/// A JPEG inside another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Preview {
    /// First byte.
    pub(super) at: u64,
    /// How many bytes, at most.
    pub(super) bytes: u64,
    pub(super) width_px: u32,
    pub(super) height_px: u32,
}

impl Preview {
    /// Longer side, in pixels.
    pub(super) fn longest_px(&self) -> u32 {
        self.width_px.max(self.height_px)
    }

    fn check(file: &dyn ReadAt, at: u64, bytes: u64) -> Option<Self> {
        let header = JpegHeader::read(file, at)?;
        let fits = at + bytes.min(1) <= file.len() && !header.is_lossless;
        fits.then_some(Self { at, bytes: bytes.min(file.len() - at), width_px: header.width_px, height_px: header.height_px })
    }
}

/// The previews that the structure of the file names.
pub(super) fn find(file: &dyn ReadAt) -> Vec<Preview> {
    let head = file.bytes_at(0, 12).unwrap_or_default();
    let places = match &head[..] {
        [b'F', b'U', b'J', b'I', b'F', b'I', b'L', b'M', ..] => raf(file).into_iter().collect(),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => cr3(file),
        _ => Tags::open(file, 0).map(|tags| in_tags(&tags)).unwrap_or_default(),
    };
    places.into_iter().take(MAX_PREVIEWS).filter_map(|(at, bytes)| Preview::check(file, at, bytes)).collect()
}

/// Where the sensor data of a TIFF-like RAW lies.
#[derive(Debug, Default)]
pub(super) struct SensorData {
    /// First byte and length of each strip or tile.
    pub(super) extents: Vec<(u64, u64)>,
    /// Whether it is compressed with loss, which no decoder here undoes.
    pub(super) is_lossy: bool,
}

/// What the directories say of sensor data; nothing for other structures.
pub(super) fn sensor_data(file: &dyn ReadAt) -> SensorData {
    let mut found = SensorData::default();
    let Some(tags) = Tags::open(file, 0) else { return found };
    for directory in tags.directories() {
        if !tags.number(&directory, PHOTOMETRIC).is_some_and(|photometric| SENSOR_PHOTOMETRICS.contains(&photometric)) {
            continue;
        }
        found.is_lossy |= tags.number(&directory, COMPRESSION).is_some_and(|compression| LOSSY_COMPRESSIONS.contains(&compression));
        for (offset_tag, count_tag) in [(STRIP_OFFSETS, STRIP_BYTE_COUNTS), (TILE_OFFSETS, TILE_BYTE_COUNTS)] {
            let numbers = |tag| directory.entry(tag).map(|entry| tags.numbers(entry)).unwrap_or_default();
            let places = numbers(offset_tag).into_iter().zip(numbers(count_tag));
            found.extents.extend(places.filter_map(|(offset, bytes)| Some((tags.place(offset)?, bytes))));
        }
    }
    found
}

fn in_tags(tags: &Tags<'_>) -> Vec<(u64, u64)> {
    let mut places = Vec::new();
    for directory in tags.directories() {
        for (offset_tag, count_tag) in [(JPEG_OFFSET, JPEG_BYTE_COUNT), (STRIP_OFFSETS, STRIP_BYTE_COUNTS)] {
            let offsets = directory.entry(offset_tag).map(|entry| tags.numbers(entry)).unwrap_or_default();
            let counts = directory.entry(count_tag).map(|entry| tags.numbers(entry)).unwrap_or_default();
            // A picture in many strips is no single JPEG.
            if let ([offset], [count]) = (&offsets[..], &counts[..]) {
                places.extend(tags.place(*offset).map(|at| (at, *count)));
            }
        }
        places.extend(directory.entry(PANASONIC_PREVIEW).map(|entry| entry.extent()));
    }
    places
}

fn raf(file: &dyn ReadAt) -> Option<(u64, u64)> {
    Some((big_endian_32(file, RAF_JPEG_OFFSET_AT)?, big_endian_32(file, RAF_JPEG_OFFSET_AT + 4)?))
}

fn big_endian_32(file: &dyn ReadAt, at: u64) -> Option<u64> {
    let bytes = file.bytes_at(at, 4)?;
    Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Place and size of what is inside each box from `start` to `end`, with its type.
fn boxes(file: &dyn ReadAt, start: u64, end: u64) -> Vec<([u8; 4], u64, u64)> {
    let mut found = Vec::new();
    let mut at = start;
    while at + 8 <= end && found.len() < MAX_BOXES {
        let Some(head) = file.bytes_at(at, 8) else { break };
        let kind = [head[4], head[5], head[6], head[7]];
        let short = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        let (header, size) = match short {
            0 => (8, end - at),
            1 => (16, big_endian_32(file, at + 8).zip(big_endian_32(file, at + 12)).map_or(0, |(high, low)| high << 32 | low)),
            size => (8, size),
        };
        if size < header {
            break;
        }
        found.push((kind, at + header, at.saturating_add(size).min(end)));
        at = at.saturating_add(size);
    }
    found
}

/// The 1620 px preview in its own box, and the full-size JPEG that is the one sample of the first track.
fn cr3(file: &dyn ReadAt) -> Vec<(u64, u64)> {
    let mut places = Vec::new();
    for (kind, start, end) in boxes(file, 0, file.len()) {
        match &kind {
            b"uuid" if file.bytes_at(start, 16).as_deref() == Some(&CR3_PREVIEW_UUID) => {
                let count = PRVW_SEARCH_BYTES.min(end - start) as usize;
                let head = file.bytes_at(start, count).unwrap_or_default();
                let jpeg = head.windows(3).position(|window| window == [0xff, 0xd8, 0xff]);
                places.extend(jpeg.map(|position| (start + position as u64, end - start - position as u64)));
            }
            b"moov" => {
                let tracks = boxes(file, start, end).into_iter().filter(|(kind, ..)| kind == b"trak");
                places.extend(tracks.filter_map(|(_, start, end)| only_sample(file, start, end)));
            }
            _ => {}
        }
    }
    places
}

fn only_sample(file: &dyn ReadAt, start: u64, end: u64) -> Option<(u64, u64)> {
    let mut inside = (start, end);
    for wanted in [b"mdia", b"minf", b"stbl"] {
        let (_, start, end) = boxes(file, inside.0, inside.1).into_iter().find(|(kind, ..)| kind == wanted)?;
        inside = (start, end);
    }
    let (mut size, mut place) = (None, None);
    for (kind, start, _) in boxes(file, inside.0, inside.1) {
        match &kind {
            // version, one size for all or 0, count, sizes
            b"stsz" => size = big_endian_32(file, start + 4).filter(|size| *size > 0).or_else(|| big_endian_32(file, start + 12)),
            b"stco" => place = big_endian_32(file, start + 8),
            b"co64" => place = big_endian_32(file, start + 8).zip(big_endian_32(file, start + 12)).map(|(high, low)| high << 32 | low),
            _ => {}
        }
    }
    place.zip(size)
}

/// Looks for JPEGs anywhere in `bytes` from `from`: for makers' own structures, and for thumbnails in damaged files.
pub(super) fn scan(bytes: &[u8], from: usize) -> Vec<Preview> {
    let mut found: Vec<Preview> = Vec::new();
    let mut at = from;
    while let Some(next) = bytes.get(at..).and_then(|rest| rest.windows(3).position(|window| window == [0xff, 0xd8, 0xff])) {
        let start = at + next;
        let rest = (bytes.len() - start) as u64;
        found.extend(Preview::check(&bytes, start as u64, rest));
        if found.len() >= MAX_PREVIEWS {
            break;
        }
        at = start + 3;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(width: usize, height: usize) -> Vec<u8> {
        let pixels = vec![90; width * height * 3];
        let image = turbojpeg::Image { pixels: pixels.as_slice(), width, pitch: width * 3, height, format: turbojpeg::PixelFormat::RGB };
        turbojpeg::compress(image, 80, turbojpeg::Subsamp::Sub2x2).unwrap().to_vec()
    }

    #[test]
    fn a_preview_is_found_by_the_tags_of_a_little_tiff() {
        let preview = jpeg(64, 48);
        let mut file = b"II*\0\x08\0\0\0\x02\0".to_vec();
        for (tag, value) in [(JPEG_OFFSET, 38_u32), (JPEG_BYTE_COUNT, preview.len() as u32)] {
            file.extend(tag.to_le_bytes());
            file.extend(4_u16.to_le_bytes());
            file.extend(1_u32.to_le_bytes());
            file.extend(value.to_le_bytes());
        }
        file.extend([0; 4]);
        file.extend(&preview);
        let expected = Preview { at: 38, bytes: preview.len() as u64, width_px: 64, height_px: 48 };
        assert_eq!(find(&file.as_slice()), [expected]);
    }

    #[test]
    fn previews_are_found_in_unknown_structures_and_noise_is_not() {
        let mut file = vec![0xff, 0xd8, 0xff, 0x00, 0xff, 0xd8, 0xff, 0xc4, 0, 1];
        file.extend(jpeg(80, 60));
        let found = scan(&file, 0);
        assert_eq!((found.len(), found[0].at, found[0].width_px), (1, 10, 80));
    }

    #[test]
    fn boxes_that_lie_about_their_size_end_the_walk() {
        for bytes in [&[0, 0, 0, 7, b'm', b'o', b'o', b'v'][..], &[0xff; 40], &[0, 0, 0, 1, b'm', b'o', b'o', b'v', 0xff, 0xff, 0xff, 0xff]]
        {
            assert!(boxes(&bytes, 0, bytes.len() as u64).len() <= 1);
        }
    }
}
