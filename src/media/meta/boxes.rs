//! Boxes of ISO base media files: HEIF and AVIF pictures and Canon's CR3. Videos are next door, on the same boxes.
//!
//! # Source
//! ISO/IEC 14496-12 (boxes), 23008-12 (HEIF); Canon's boxes as documented by exiftool and lclevy/canon_cr3.

use super::{draft::Draft, exif, source::Source, xmp};

/// Boxes in one box.
const MOST_BOXES: usize = 2_048;
/// Longest `meta` box taken into memory, in bytes.
const LONGEST_META_BYTES: usize = 2 << 20;
const CANON: [u8; 16] = [0x85, 0xc0, 0xb6, 0x87, 0x82, 0x0f, 0x11, 0xe0, 0x81, 0x11, 0xf4, 0xce, 0x46, 0x2b, 0x6a, 0x48];
const ADOBE_XMP: [u8; 16] = [0xbe, 0x7a, 0xcf, 0xcb, 0x97, 0xa9, 0x42, 0xe8, 0x9c, 0x71, 0x99, 0x94, 0x91, 0xe3, 0xaf, 0xac];

/// One box: its name and where its content lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bmff {
    pub(super) name: [u8; 4],
    pub(super) at: u64,
    pub(super) end: u64,
}

impl Bmff {
    /// The content, if it is not longer than `most` bytes.
    pub(super) fn content<'s>(&self, source: &'s mut Source<'_>, most: usize) -> Option<&'s [u8]> {
        let length = usize::try_from(self.end.checked_sub(self.at)?).ok().filter(|length| *length <= most)?;
        source.bytes(self.at, length)
    }
}

/// The boxes between two places; a box that claims more than there is ends at `end`.
pub(super) fn list(source: &mut Source<'_>, mut at: u64, end: u64) -> Vec<Bmff> {
    let mut boxes = Vec::new();
    while at.saturating_add(8) <= end && boxes.len() < MOST_BOXES {
        let Some([s0, s1, s2, s3, name @ ..]) = source.array::<8>(at) else { break };
        let (header, length) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            0 => (8, end - at),
            1 => (16, source.array(at + 8).map_or(0, u64::from_be_bytes)),
            length => (8, u64::from(length)),
        };
        if length < header {
            break;
        }
        let box_end = at.saturating_add(length);
        boxes.push(Bmff { name, at: at + header, end: box_end.min(end) });
        at = box_end;
    }
    boxes
}

/// Finds one box by its path of names.
pub(super) fn find(source: &mut Source<'_>, within: Bmff, path: &[&[u8; 4]]) -> Option<Bmff> {
    path.iter().try_fold(within, |within, name| list(source, within.at, within.end).into_iter().find(|child| child.name == **name))
}

/// Reads a HEIF or AVIF. `None` when its description is missing or broken.
pub(super) fn heif(source: &mut Source<'_>, draft: &mut Draft) -> Option<()> {
    draft.decoder_turns = true;
    let top = list(source, 0, source.size());
    draft.motion_photo |= top.iter().any(|found| &found.name == b"mpvd");
    let meta = top.iter().find(|found| &found.name == b"meta")?;
    let content_at = meta.at;
    let meta = meta.content(source, LONGEST_META_BYTES)?.to_vec();
    let items = Items::read(meta.get(4..)?)?;
    draft.size = items.primary_size();
    let idat_at = content_at + 4 + items.idat_at as u64;
    for (kind, from, length) in items.metadata() {
        let at = if from.in_idat { idat_at + from.offset } else { from.offset };
        match kind {
            Kind::Exif => {
                // Four bytes say how far the structure is from here.
                let header: [u8; 4] = source.array(at)?;
                let skip = 4 + u64::from(u32::from_be_bytes(header));
                if let Some(tags) = exif::read(source, at + skip).or_else(|| exif::read(source, at + 4)) {
                    draft.exif = tags;
                    draft.exif_block = Some((at + skip, length.saturating_sub(skip as usize)));
                }
            }
            Kind::Xmp => {
                if let Some(packet) = source.bytes(at, length.min(xmp::LONGEST_PACKET_BYTES)) {
                    draft.xmp.extend(xmp::read(packet).0);
                }
            }
            Kind::Other => {}
        }
    }
    draft.size.map(|_| ())
}

/// Reads Canon's CR3. `None` when Canon's own box is missing.
pub(super) fn cr3(source: &mut Source<'_>, draft: &mut Draft) -> Option<()> {
    let size = source.size();
    let top = list(source, 0, size);
    for found in top.iter().filter(|found| &found.name == b"uuid") {
        if source.array::<16>(found.at) == Some(ADOBE_XMP) {
            let packet = Bmff { at: found.at + 16, ..*found };
            if let Some(packet) = packet.content(source, xmp::LONGEST_PACKET_BYTES) {
                draft.xmp.extend(xmp::read(packet).0);
            }
        }
    }
    let movie = top.into_iter().find(|found| &found.name == b"moov")?;
    let inside = list(source, movie.at, movie.end);
    let canon = inside.into_iter().find(|found| &found.name == b"uuid" && source.array::<16>(found.at) == Some(CANON))?;
    let parts = list(source, canon.at + 16, canon.end);
    let part = |name: &[u8; 4]| parts.iter().find(|part| &part.name == name).map(|part| part.at);
    draft.exif = exif::read_parts(source, part(b"CMT1"), part(b"CMT2"), part(b"CMT4"))?;
    draft.size = draft.exif.first_size.or(draft.exif.exif_size);
    Some(())
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Exif,
    Xmp,
    Other,
}

#[derive(Debug, Clone, Copy)]
struct From {
    offset: u64,
    in_idat: bool,
}

/// What a `meta` box says of its items, as far as we need it.
#[derive(Default)]
struct Items {
    primary: u32,
    kinds: Vec<(u32, Kind)>,
    places: Vec<(u32, From, usize)>,
    /// `ispe` and `irot` in the order of the properties; an association counts from one.
    properties: Vec<Property>,
    associations: Vec<(u32, Vec<u16>)>,
    idat_at: usize,
}

#[derive(Debug, Clone, Copy)]
enum Property {
    Size(u32, u32),
    QuarterTurns(u8),
    Other,
}

impl Items {
    fn read(meta: &[u8]) -> Option<Self> {
        let mut items = Self::default();
        let slice = &mut Source::from_slice(meta);
        for found in list(slice, 0, meta.len() as u64) {
            let content = &meta[found.at as usize..found.end as usize];
            let mut cursor = Cursor(content);
            match &found.name {
                b"pitm" => {
                    let version = cursor.version()?;
                    items.primary = cursor.number(if version == 0 { 2 } else { 4 })? as u32;
                }
                b"iinf" => items.read_kinds(slice, found, cursor),
                b"iloc" => {
                    // A table that is cut off still places the items before the cut.
                    let _ = items.read_places(cursor);
                }
                b"iprp" => items.read_properties(slice, meta, found),
                b"idat" => items.idat_at = found.at as usize,
                _ => {}
            }
        }
        (items.primary != 0 || !items.kinds.is_empty()).then_some(items)
    }

    fn read_kinds(&mut self, slice: &mut Source<'_>, found: Bmff, mut cursor: Cursor<'_>) {
        let skip = if cursor.version() == Some(0) { 6 } else { 8 };
        for entry in list(slice, found.at + skip, found.end) {
            let Some(content) = entry.content(slice, 64 << 10) else { continue };
            let mut cursor = Cursor(content);
            let Some(version) = cursor.version() else { continue };
            let id = cursor.number(if version == 3 { 4 } else { 2 });
            let (Some(id), Some(_protection)) = (id, cursor.number(2)) else { continue };
            let kind = match cursor.take(4) {
                Some(b"Exif") => Kind::Exif,
                Some(b"mime") if content.windows(19).any(|text| text == b"application/rdf+xml") => Kind::Xmp,
                _ => Kind::Other,
            };
            self.kinds.push((id as u32, kind));
        }
    }

    fn read_places(&mut self, mut cursor: Cursor<'_>) -> Option<()> {
        let version = cursor.version()?;
        let sizes = cursor.number(2)? as usize;
        let width = |shift: usize| sizes >> shift & 15;
        let (offset_bytes, length_bytes, base_bytes) = (width(12), width(8), width(4));
        let index_bytes = if version == 0 { 0 } else { width(0) };
        let id_bytes = if version < 2 { 2 } else { 4 };
        let count = cursor.number(id_bytes)?;
        for _ in 0..count.min(1 << 16) {
            let id = cursor.number(id_bytes)? as u32;
            let method = if version == 0 { 0 } else { cursor.number(2)? & 15 };
            cursor.take(2)?;
            let base = cursor.number(base_bytes)?;
            let extents = cursor.number(2)?;
            for extent in 0..extents {
                cursor.take(index_bytes)?;
                let (offset, length) = (cursor.number(offset_bytes)?, cursor.number(length_bytes)?);
                if extent == 0 && method < 2 {
                    let from = From { offset: base.saturating_add(offset), in_idat: method == 1 };
                    self.places.push((id, from, usize::try_from(length).ok()?));
                }
            }
        }
        Some(())
    }

    fn read_properties(&mut self, slice: &mut Source<'_>, meta: &[u8], found: Bmff) {
        for part in list(slice, found.at, found.end) {
            match &part.name {
                b"ipco" => {
                    for property in list(slice, part.at, part.end) {
                        let mut cursor = Cursor(&meta[property.at as usize..property.end as usize]);
                        let read = match &property.name {
                            b"ispe" => {
                                cursor.version().and_then(|_| Some(Property::Size(cursor.number(4)? as u32, cursor.number(4)? as u32)))
                            }
                            b"irot" => cursor.number(1).map(|turns| Property::QuarterTurns(turns as u8 & 3)),
                            _ => None,
                        };
                        self.properties.push(read.unwrap_or(Property::Other));
                    }
                }
                b"ipma" => {
                    // As with places: what stands before a cut counts.
                    let _ = self.read_associations(Cursor(&meta[part.at as usize..part.end as usize]));
                }
                _ => {}
            }
        }
    }

    fn read_associations(&mut self, mut cursor: Cursor<'_>) -> Option<()> {
        let flags = cursor.number(4)?;
        let (version, wide) = (flags >> 24, flags & 1 == 1);
        let count = cursor.number(4)?;
        for _ in 0..count.min(1 << 16) {
            let id = cursor.number(if version == 0 { 2 } else { 4 })? as u32;
            let associations = cursor.number(1)?;
            let mut indices = Vec::new();
            for _ in 0..associations {
                let index = if wide { cursor.number(2)? & 0x7fff } else { cursor.number(1)? & 0x7f };
                indices.push(index as u16);
            }
            self.associations.push((id, indices));
        }
        Some(())
    }

    /// The primary item as it is shown: turned.
    fn primary_size(&self) -> Option<(u32, u32)> {
        let (_, indices) = self.associations.iter().find(|(id, _)| *id == self.primary)?;
        let mine = || indices.iter().filter_map(|index| self.properties.get(usize::from(*index).checked_sub(1)?));
        let size = mine().find_map(|property| if let Property::Size(width, height) = property { Some((*width, *height)) } else { None });
        let (width, height) = size.filter(|(width, height)| *width > 0 && *height > 0)?;
        let sideways = mine().any(|property| matches!(property, Property::QuarterTurns(1 | 3)));
        Some(if sideways { (height, width) } else { (width, height) })
    }

    fn metadata(&self) -> Vec<(Kind, From, usize)> {
        let place = |wanted: u32| self.places.iter().find(|(id, ..)| *id == wanted);
        let known = self.kinds.iter().filter(|(_, kind)| *kind != Kind::Other);
        known.filter_map(|(id, kind)| place(*id).map(|(_, from, length)| (*kind, *from, *length))).collect()
    }
}

/// Reads big-endian numbers off a slice.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// Version of a full box; its flags are passed over.
    fn version(&mut self) -> Option<u8> {
        self.number(4).map(|flags| (flags >> 24) as u8)
    }
}
