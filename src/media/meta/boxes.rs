//! Boxes of ISO base media files: HEIF and AVIF pictures and Canon's CR3. Videos are next door, on the same boxes.
//!
//! # Source
//! ISO/IEC 14496-12 (boxes), 23008-12 (HEIF); Canon's boxes as documented by exiftool and lclevy/canon_cr3.

use super::{draft::Draft, exif, source::Source, xmp};
use crate::models::Orientation;

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
    // Until it is known that the container leaves the turn to EXIF, nobody turns what the decoder may have turned.
    draft.container_orientation = Some(Orientation::UPRIGHT);
    let top = list(source, 0, source.size());
    let brands = top.iter().find(|found| &found.name == b"ftyp").and_then(|found| found.content(source, 1 << 10)).unwrap_or_default();
    // MIAF and AVIF forbid a turn by EXIF. Older files may have one: Apple's readers obey it, and camera apps on the iPhone wrote such.
    let exif_may_turn = !brands.chunks_exact(4).any(|brand| matches!(brand, b"miaf" | b"avif" | b"avis"));
    draft.motion_photo |= top.iter().any(|found| &found.name == b"mpvd");
    let meta = top.iter().find(|found| &found.name == b"meta")?;
    let content_at = meta.at;
    let meta = meta.content(source, LONGEST_META_BYTES)?.to_vec();
    let items = Items::read(meta.get(4..)?)?;
    if let Some((size, turn)) = items.primary_shown() {
        draft.size = Some(size);
        draft.container_orientation = turn.or((!exif_may_turn).then_some(Orientation::UPRIGHT));
    }
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
    /// What we know of the properties, in the order of the properties; an association counts from one.
    properties: Vec<Property>,
    associations: Vec<(u32, Vec<u16>)>,
    idat_at: usize,
}

#[derive(Debug, Clone, Copy)]
enum Property {
    Size(u32, u32),
    /// The part that is shown of the coded size.
    Aperture(u32, u32),
    /// Counter-clockwise.
    QuarterTurns(u8),
    /// Left and right change places, or top and bottom.
    Mirror {
        left_right: bool,
    },
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
                            b"clap" => cursor.aperture(),
                            b"irot" => cursor.number(1).map(|turns| Property::QuarterTurns(turns as u8 & 3)),
                            b"imir" => cursor.number(1).map(|axis| Property::Mirror { left_right: axis & 1 == 1 }),
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

    /// The primary item: its size as stored, and how it is turned where a property says so. Properties work one after the other.
    fn primary_shown(&self) -> Option<((u32, u32), Option<Orientation>)> {
        let (_, indices) = self.associations.iter().find(|(id, _)| *id == self.primary)?;
        let mine = || indices.iter().filter_map(|index| self.properties.get(usize::from(*index).checked_sub(1)?));
        let coded = mine().find_map(|property| if let Property::Size(width, height) = property { Some((*width, *height)) } else { None });
        let (mut width, mut height) = coded.filter(|(width, height)| *width > 0 && *height > 0)?;
        // Left and right changed first or not, then quarter turns clockwise: every turn and mirror is one of these eight.
        let (mut mirrored, mut clockwise, mut stated) = (false, 0, false);
        for property in mine() {
            match *property {
                Property::Aperture(shown_width, shown_height) if shown_width <= width && shown_height <= height => {
                    (width, height) = (shown_width, shown_height);
                }
                Property::QuarterTurns(turns) => {
                    (clockwise, stated) = ((clockwise + 4 - turns) % 4, true);
                    if turns % 2 == 1 {
                        (width, height) = (height, width);
                    }
                }
                Property::Mirror { left_right } => {
                    (mirrored, stated) = (!mirrored, true);
                    clockwise = (if left_right { 4 } else { 6 } - clockwise) % 4;
                }
                _ => {}
            }
        }
        let orientation = Orientation::from_turns(mirrored, clockwise);
        Some((orientation.upright_size(width, height), stated.then_some(orientation)))
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

    /// Width and height of a clean aperture, each a fraction.
    fn aperture(&mut self) -> Option<Property> {
        let mut side =
            || self.number(4)?.checked_div(self.number(4)?).filter(|pixels| *pixels > 0).and_then(|pixels| u32::try_from(pixels).ok());
        Some(Property::Aperture(side()?, side()?))
    }

    /// Version of a full box; its flags are passed over.
    fn version(&mut self) -> Option<u8> {
        self.number(4).map(|flags| (flags >> 24) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(name: &[u8], content: &[u8]) -> Vec<u8> {
        [&((content.len() + 8) as u32).to_be_bytes()[..], name, content].concat()
    }

    const EXIF: &[u8] = b"\0\0\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\x04\0\0\0abc\0\0\0\0\0";
    const XMP: &[u8] = br#"<rdf:RDF><rdf:Description xmp:Rating="3"/></rdf:RDF>"#;

    /// Picture 1 with its size, crop and turn; EXIF as item 2 in `idat`; XMP as item 3 after the `meta` box.
    fn picture(properties: &[Vec<u8>]) -> Vec<u8> {
        branded(b"heic", properties)
    }

    fn branded(brands: &[u8], properties: &[Vec<u8>]) -> Vec<u8> {
        let item = |id: u8, kind: &[u8], rest: &[u8]| boxed(b"infe", &[&[2, 0, 0, 0, 0, id, 0, 0], kind, b"\0", rest].concat());
        let kinds = [item(1, b"hvc1", b""), item(2, b"Exif", b""), item(3, b"mime", b"application/rdf+xml\0")].concat();
        let place = |id: u8, method: u8, at: u32, length: usize| {
            [&[0, id, 0, method, 0, 0, 0, 1][..], &at.to_be_bytes(), &(length as u32).to_be_bytes()].concat()
        };
        let indices: Vec<u8> = (1..=properties.len() as u8).collect();
        let associations = boxed(b"ipma", &[&[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, indices.len() as u8], &indices[..]].concat());
        let file = |xmp_at: u32| {
            let places = [vec![1, 0, 0, 0, 0x44, 0, 0, 2], place(2, 1, 0, EXIF.len()), place(3, 0, xmp_at, XMP.len())].concat();
            let parts = [
                vec![0; 4],
                boxed(b"pitm", &[0, 0, 0, 0, 0, 1]),
                boxed(b"iinf", &[&[0, 0, 0, 0, 0, 3], &kinds[..]].concat()),
                boxed(b"iloc", &places),
                boxed(b"iprp", &[boxed(b"ipco", &properties.concat()), associations.clone()].concat()),
                boxed(b"idat", EXIF),
            ];
            [boxed(b"ftyp", brands), boxed(b"meta", &parts.concat())].concat()
        };
        let xmp_at = file(0).len() as u32;
        [file(xmp_at), XMP.to_vec()].concat()
    }

    fn size(width: u32, height: u32) -> Vec<u8> {
        boxed(b"ispe", &[&[0; 4], &width.to_be_bytes()[..], &height.to_be_bytes()].concat())
    }

    fn read(file: &[u8]) -> Draft {
        let mut draft = Draft::default();
        let _ = heif(&mut Source::from_slice(file), &mut draft);
        draft
    }

    #[test]
    fn a_heif_gives_its_shown_size_and_its_words() {
        let draft = read(&picture(&[size(4_032, 3_024)]));
        assert_eq!(draft.size, Some((4_032, 3_024)));
        assert_eq!((draft.exif.make.as_deref(), draft.xmp.number(xmp::Key::Rating)), (Some("abc"), Some(3.0)));
        let crop: Vec<u8> = [100u32, 1, 133, 1, 0, 1, 0, 1].iter().flat_map(|number| number.to_be_bytes()).collect();
        assert_eq!(read(&picture(&[size(100, 134), boxed(b"clap", &crop)])).size, Some((100, 133)));
        // The crop counts in the frame it finds.
        let turned_first = read(&picture(&[size(134, 100), boxed(b"irot", &[1]), boxed(b"clap", &crop)]));
        assert_eq!((turned_first.size, turned_first.into_facts("").orientation.map(Orientation::exif)), (Some((133, 100)), Some(8)));
    }

    #[test]
    fn turns_and_mirrors_of_a_heif_come_to_one_orientation() {
        let (turn, mirror) = (|turns: u8| boxed(b"irot", &[turns]), |axis: u8| boxed(b"imir", &[axis]));
        for (properties, expected) in [
            (vec![turn(0)], 1),
            (vec![mirror(1)], 2),
            (vec![turn(2)], 3),
            (vec![mirror(0)], 4),
            (vec![turn(3), mirror(1)], 5),
            (vec![turn(3)], 6),
            (vec![turn(3), mirror(0)], 7),
            (vec![turn(1)], 8),
            (vec![mirror(1), turn(1)], 5),
            (vec![mirror(0), mirror(0), turn(3)], 6),
        ] {
            let facts = read(&picture(&[vec![size(4_032, 3_024)], properties].concat())).into_facts("");
            assert_eq!(facts.orientation.map(Orientation::exif), Some(expected));
            assert!(facts.decoder_turns, "pixels come upright");
            assert_eq!((facts.width_px, facts.height_px), (Some(4_032), Some(3_024)), "as stored");
        }
    }

    #[test]
    fn exif_turns_a_heif_only_where_the_container_is_silent_and_old() {
        let orientation = |brands: &[u8], properties: &[Vec<u8>]| {
            let mut draft = Draft::default();
            let file = branded(brands, &[vec![size(40, 30)], properties.to_vec()].concat());
            let _ = heif(&mut Source::from_slice(&file), &mut draft);
            draft.exif.orientation = Orientation::try_from(6).ok();
            let facts = draft.into_facts("");
            (facts.orientation.map(Orientation::exif), facts.decoder_turns)
        };
        assert_eq!(orientation(b"heic\0\0\0\0mif1heic", &[]), (Some(6), false));
        assert_eq!(orientation(b"heic\0\0\0\0mif1miafheic", &[]), (Some(1), true));
        assert_eq!(orientation(b"avif\0\0\0\0mif1avif", &[]), (Some(1), true));
        assert_eq!(orientation(b"heic\0\0\0\0mif1heic", &[boxed(b"irot", &[0])]), (Some(1), true));
    }

    #[test]
    fn a_heif_cut_anywhere_does_not_break_the_reader() {
        let whole = picture(&[size(40, 30), boxed(b"irot", &[1])]);
        for end in 0..whole.len() {
            read(&whole[..end]);
        }
    }

    #[test]
    fn a_box_that_claims_nothing_or_all_ends_the_list() {
        for lengths in [[0, 0, 0, 0], [0, 0, 0, 4], [0xff; 4]] {
            let file = [&lengths[..], b"free", &[0; 40]].concat();
            assert!(list(&mut Source::from_slice(&file), 0, file.len() as u64).len() <= 1);
        }
    }
}
