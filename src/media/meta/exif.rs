//! EXIF: what the camera wrote, from the TIFF directories that hold it. Reads the few tags that become facts and passes over the rest.
//!
//! # Source
//! EXIF 2.32 (CIPA DC-008); TIFF 6.0; DNG 1.6 for sub-directories; Apple's and Canon's maker notes as exiftool documents them.

use encoding_rs::UTF_16LE;

use super::{
    dates::{self, Moment},
    place,
    source::Source,
    text,
    tiff::{Entry, Tiff},
};
use crate::models::{Gps, Orientation};

/// Sub-directories of one directory that are looked at.
const MOST_SUBDIRECTORIES: usize = 8;

/// What we take from EXIF, and the tags of TIFF that hold other metadata.
#[derive(Debug, Default)]
pub(super) struct ExifTags {
    pub(super) make: Option<String>,
    pub(super) model: Option<String>,
    pub(super) software: Option<String>,
    pub(super) description: Option<String>,
    pub(super) lens: Option<String>,
    pub(super) orientation: Option<Orientation>,
    pub(super) original: Option<Moment>,
    pub(super) digitized: Option<Moment>,
    pub(super) modified: Option<Moment>,
    pub(super) iso: Option<u32>,
    pub(super) f_number: Option<f64>,
    pub(super) exposure_s: Option<f64>,
    pub(super) focal_length_mm: Option<f64>,
    pub(super) gps: Option<Gps>,
    pub(super) rating: Option<i8>,
    /// Windows' own title, comment and keywords.
    pub(super) xp_title: Option<String>,
    pub(super) xp_comment: Option<String>,
    pub(super) xp_keywords: Vec<String>,
    pub(super) content_id: Option<String>,
    /// The maker's own notes are there; exiv2 knows their lens names.
    pub(super) has_maker_note: bool,
    /// Where in the file those notes end.
    pub(super) maker_note_end: u64,
    /// What EXIF says of the picture's size.
    pub(super) exif_size: Option<(u32, u32)>,
    /// The largest full picture among the directories.
    pub(super) full_size: Option<(u32, u32)>,
    /// Size of the first directory's picture.
    pub(super) first_size: Option<(u32, u32)>,
    /// Panasonic's sensor borders.
    pub(super) sensor_size: Option<(u32, u32)>,
    /// Where an XMP packet lies: place and length in bytes.
    pub(super) xmp: Option<(u64, usize)>,
    /// Where an IPTC record lies.
    pub(super) iptc: Option<(u64, usize)>,
    /// Where Photoshop's blocks lie.
    pub(super) photoshop: Option<(u64, usize)>,
    /// Where a whole JPEG with the metadata lies (Panasonic).
    pub(super) jpeg: Option<(u64, usize)>,
}

/// Texts that only make sense together.
#[derive(Default)]
struct Times {
    original: Option<String>,
    digitized: Option<String>,
    modified: Option<String>,
    subsecond: [Option<String>; 3],
    offset: [Option<String>; 3],
}

/// Reads the structure at `base`. `None` when it is none.
pub(super) fn read(source: &mut Source<'_>, base: u64) -> Option<ExifTags> {
    let (tiff, first) = Tiff::open(source, base)?;
    let (entries, _) = tiff.entries(source, first)?;
    let mut reading = Reading { tiff, tags: ExifTags::default(), times: Times::default() };
    reading.root(source, &entries);
    Some(reading.finish())
}

/// Reads Canon's CR3, where each directory is a structure of its own: the first, EXIF's, GPS's.
pub(super) fn read_parts(source: &mut Source<'_>, root: Option<u64>, exif: Option<u64>, gps: Option<u64>) -> Option<ExifTags> {
    let mut open = |base: Option<u64>| {
        let (tiff, first) = Tiff::open(source, base?)?;
        Some((tiff, tiff.entries(source, first)?.0))
    };
    let parts = [open(root), open(exif), open(gps)];
    let (tiff, _) = parts.iter().flatten().next()?;
    let mut reading = Reading { tiff: *tiff, tags: ExifTags::default(), times: Times::default() };
    for (index, part) in parts.into_iter().enumerate() {
        let Some((tiff, entries)) = part else { continue };
        reading.tiff = tiff;
        match index {
            0 => reading.root(source, &entries),
            1 => reading.exif(source, &entries),
            _ => reading.gps(source, &entries),
        }
    }
    Some(reading.finish())
}

struct Reading {
    tiff: Tiff,
    tags: ExifTags,
    times: Times,
}

impl Reading {
    fn root(&mut self, source: &mut Source<'_>, entries: &[Entry]) {
        let tiff = self.tiff;
        let mut subdirectories = Vec::new();
        let (mut exif_at, mut gps_at) = (None, None);
        let mut borders = [None; 4];
        for entry in entries {
            match entry.tag {
                0x0004..=0x0007 => borders[usize::from(entry.tag) - 4] = self.u32(source, entry),
                0x002e => self.tags.jpeg = Some((entry.at, entry.length().unwrap_or(0))),
                // Panasonic's RAW has the sensitivity in the first directory.
                0x0017 => self.tags.iso = self.tags.iso.or(self.u32(source, entry).filter(|iso| *iso > 0)),
                0x010e => self.tags.description = self.text(source, entry),
                0x010f => self.tags.make = self.text(source, entry),
                0x0110 => self.tags.model = self.text(source, entry),
                0x0112 => {
                    self.tags.orientation =
                        self.u32(source, entry).and_then(|number| Orientation::try_from(u8::try_from(number).ok()?).ok())
                }
                0x0131 => self.tags.software = self.text(source, entry),
                0x0132 => self.times.modified = self.text(source, entry),
                0x014a => subdirectories = tiff.unsigneds(source, entry, MOST_SUBDIRECTORIES),
                0x02bc => self.tags.xmp = entry.length().map(|length| (entry.at, length)),
                0x4746 => {
                    self.tags.rating =
                        self.u32(source, entry).and_then(|rating| i8::try_from(rating).ok()).filter(|rating| (0..=5).contains(rating))
                }
                0x83bb => self.tags.iptc = entry.length().map(|length| (entry.at, length)),
                0x8649 => self.tags.photoshop = entry.length().map(|length| (entry.at, length)),
                0x8769 => exif_at = tiff.unsigned(source, entry),
                0x8825 => gps_at = tiff.unsigned(source, entry),
                0x9c9b => self.tags.xp_title = self.utf16(source, entry),
                0x9c9c => self.tags.xp_comment = self.utf16(source, entry),
                0x9c9e => {
                    let words = self.utf16(source, entry).unwrap_or_default();
                    text::add_new(&mut self.tags.xp_keywords, words.split(';').filter_map(text::clean));
                }
                // TIFF/EP and DNG may have EXIF's tags here.
                0x829a..=0x9292 => self.exif_tag(source, entry),
                _ => {}
            }
        }
        if let [Some(top), Some(left), Some(bottom), Some(right)] = borders {
            self.tags.sensor_size =
                Some((right.saturating_sub(left), bottom.saturating_sub(top))).filter(|(width, height)| *width > 0 && *height > 0);
        }
        self.tags.first_size = self.picture_size(source, entries).map(|(size, _)| size);
        self.sizes(source, entries, &subdirectories);
        if let Some((entries, _)) = exif_at.and_then(|at| tiff.entries(source, at)) {
            self.exif(source, &entries);
        }
        if let Some((entries, _)) = gps_at.and_then(|at| tiff.entries(source, at)) {
            self.gps(source, &entries);
        }
    }

    /// The largest picture that says it is the full one; where none says so, of all.
    fn sizes(&mut self, source: &mut Source<'_>, entries: &[Entry], subdirectories: &[u64]) {
        let mut found: Vec<((u32, u32), bool)> = self.picture_size(source, entries).into_iter().collect();
        for at in subdirectories {
            if let Some((entries, _)) = self.tiff.entries(source, *at) {
                found.extend(self.picture_size(source, &entries));
            }
        }
        let largest = |full_only: bool| {
            let sizes = found.iter().filter(|(_, full)| *full || !full_only).map(|(size, _)| *size);
            sizes.max_by_key(|(width, height)| u64::from(*width) * u64::from(*height))
        };
        self.tags.full_size = largest(true).or_else(|| largest(false));
    }

    /// Width, height, and whether the directory calls itself the full picture (bit 0 of NewSubfileType is "reduced").
    fn picture_size(&self, source: &mut Source<'_>, entries: &[Entry]) -> Option<((u32, u32), bool)> {
        let mut number = |tag| entries.iter().find(|entry| entry.tag == tag).and_then(|entry| self.u32(source, entry));
        let (width, height) = (number(0x0100)?, number(0x0101)?);
        let full = number(0x00fe).is_none_or(|kind| kind == 0);
        (width > 0 && height > 0).then_some(((width, height), full))
    }

    fn exif(&mut self, source: &mut Source<'_>, entries: &[Entry]) {
        for entry in entries {
            self.exif_tag(source, entry);
        }
    }

    fn exif_tag(&mut self, source: &mut Source<'_>, entry: &Entry) {
        match entry.tag {
            0x829a => self.tags.exposure_s = self.positive(source, entry).or(self.tags.exposure_s),
            0x829d => self.tags.f_number = self.positive(source, entry).or(self.tags.f_number),
            // 65535 says: see RecommendedExposureIndex.
            0x8827 => self.tags.iso = self.u32(source, entry).filter(|iso| (1..65_535).contains(iso)).or(self.tags.iso),
            0x8832 => self.tags.iso = self.tags.iso.or(self.u32(source, entry).filter(|iso| *iso > 0)),
            0x9003 => self.times.original = self.text(source, entry),
            0x9004 => self.times.digitized = self.text(source, entry),
            0x9010..=0x9012 => self.times.offset[usize::from(entry.tag) - 0x9010] = self.text(source, entry),
            0x920a => self.tags.focal_length_mm = self.positive(source, entry).or(self.tags.focal_length_mm),
            0x927c => self.maker_note(source, entry),
            0x9290..=0x9292 => self.times.subsecond[usize::from(entry.tag) - 0x9290] = self.text(source, entry),
            0xa002 => self.tags.exif_size = self.u32(source, entry).map(|width| (width, 0)),
            0xa003 => {
                let height = self.u32(source, entry).unwrap_or(0);
                self.tags.exif_size = self.tags.exif_size.filter(|(width, _)| *width > 0 && height > 0).map(|(width, _)| (width, height));
            }
            0xa434 => self.tags.lens = self.text(source, entry).filter(|lens| lens_is_named(lens)).or(self.tags.lens.take()),
            _ => {}
        }
    }

    /// Two makers' notes are read here: Apple's for the identifier of live photos, Canon's where they spell the lens out.
    fn maker_note(&mut self, source: &mut Source<'_>, entry: &Entry) {
        self.tags.has_maker_note = true;
        self.tags.maker_note_end = entry.at.saturating_add(entry.length().unwrap_or(0) as u64);
        let apple = source.array::<12>(entry.at).is_some_and(|start| &start == b"Apple iOS\0\0\x01");
        let canon = self.tags.make.as_deref().is_some_and(|make| make.starts_with("Canon"));
        if apple {
            let note = Tiff::headless(entry.at, false);
            for entry in note.entries(source, 14).map(|(entries, _)| entries).unwrap_or_default() {
                if entry.tag == 0x0011 {
                    self.tags.content_id = note.bytes(source, &entry).and_then(text::from_bytes);
                }
            }
        } else if canon && self.tags.lens.is_none() {
            let entries = self.tiff.entries(source, entry.at - self.tiff.base).map(|(entries, _)| entries).unwrap_or_default();
            if let Some(lens) = entries.iter().find(|entry| entry.tag == 0x0095) {
                self.tags.lens = self.text(source, lens).filter(|lens| lens_is_named(lens));
            }
        }
    }

    fn gps(&mut self, source: &mut Source<'_>, entries: &[Entry]) {
        let tiff = self.tiff;
        let (mut latitude, mut longitude, mut altitude) = (Vec::new(), Vec::new(), None);
        let mut letters = [None; 16];
        let mut below = false;
        for entry in entries {
            match entry.tag {
                1 | 3 | 9 => letters[usize::from(entry.tag)] = tiff.bytes(source, entry).and_then(|bytes| bytes.first().copied()),
                2 => latitude = tiff.floats(source, entry, 3),
                4 => longitude = tiff.floats(source, entry, 3),
                5 => below = tiff.unsigned(source, entry) == Some(1),
                6 => altitude = tiff.floats(source, entry, 1).first().copied(),
                _ => {}
            }
        }
        let void = letters[9] == Some(b'V');
        let degrees = |parts: &[f64], letter: Option<u8>, positive, negative| match letter?.to_ascii_uppercase() {
            letter if letter == positive => place::sexagesimal(parts),
            letter if letter == negative => place::sexagesimal(parts).map(|degrees| -degrees),
            _ => None,
        };
        let place = (degrees(&latitude, letters[1], b'N', b'S'), degrees(&longitude, letters[3], b'E', b'W'));
        if let (Some(latitude), Some(longitude)) = place
            && !void
        {
            self.tags.gps = place::on_earth(latitude, longitude, altitude.map(|metres| if below { -metres } else { metres }));
        }
    }

    fn finish(self) -> ExifTags {
        let Self { mut tags, times, .. } = self;
        let moment = |text: Option<String>, index: usize| {
            let moment = dates::parse(&text?)?;
            Some(moment.with_subseconds(times.subsecond[index].as_deref()).with_offset(times.offset[index].as_deref()))
        };
        tags.modified = moment(times.modified, 0);
        tags.original = moment(times.original, 1);
        tags.digitized = moment(times.digitized, 2);
        tags
    }

    fn text(&self, source: &mut Source<'_>, entry: &Entry) -> Option<String> {
        self.tiff.bytes(source, entry).and_then(text::from_bytes)
    }

    fn utf16(&self, source: &mut Source<'_>, entry: &Entry) -> Option<String> {
        self.tiff.bytes(source, entry).and_then(|bytes| text::clean(UTF_16LE.decode_without_bom_handling(bytes).0.trim_end_matches('\0')))
    }

    fn u32(&self, source: &mut Source<'_>, entry: &Entry) -> Option<u32> {
        self.tiff.unsigned(source, entry).and_then(|number| u32::try_from(number).ok())
    }

    fn positive(&self, source: &mut Source<'_>, entry: &Entry) -> Option<f64> {
        self.tiff.floats(source, entry, 1).first().copied().filter(|number| number.is_finite() && *number > 0.0)
    }
}

/// Cameras without a lens of their own fill the field with nothing.
pub(super) fn lens_is_named(lens: &str) -> bool {
    lens.chars().any(char::is_alphanumeric) && !matches!(lens, "0" | "None" | "Unknown" | "N/A" | "n/a" | "Fixed Lens" | "0.0 mm f/0.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory to be laid out: tag, type, values as bytes; and the directories it points to.
    struct Ifd(Vec<(u16, u16, Vec<u8>)>, Vec<(u16, Ifd)>);

    const SHORT: u16 = 3;
    const LONG: u16 = 4;

    /// Lays out a little-endian directory at `at`.
    fn laid_out(ifd: &Ifd, at: usize) -> Vec<u8> {
        let widths = |kind: u16| [0, 1, 1, 2, 4, 8, 1, 1][usize::from(kind)];
        let count = ifd.0.len() + ifd.1.len();
        let mut table = (count as u16).to_le_bytes().to_vec();
        let mut data = Vec::new();
        let data_at = at + 6 + count * 12;
        let mut put = |tag: u16, kind: u16, values: u32, raw: Option<&[u8]>, pointer: usize| {
            table.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
            table.extend(values.to_le_bytes());
            match raw {
                Some(raw) if raw.len() <= 4 => table.extend(raw.iter().copied().chain(std::iter::repeat(0)).take(4)),
                _ => table.extend((pointer as u32).to_le_bytes()),
            }
        };
        for (tag, kind, raw) in &ifd.0 {
            put(*tag, *kind, (raw.len() / widths(*kind)) as u32, Some(raw), data_at + data.len());
            if raw.len() > 4 {
                data.extend(raw);
            }
        }
        for (tag, inner) in &ifd.1 {
            let inner_at = data_at + data.len();
            put(*tag, LONG, 1, None, inner_at);
            data.extend(laid_out(inner, inner_at));
        }
        table.extend([0; 4]);
        [table, data].concat()
    }

    fn file(ifd: &Ifd) -> Vec<u8> {
        [b"II*\0\x08\0\0\0".to_vec(), laid_out(ifd, 8)].concat()
    }

    fn tags(ifd: &Ifd) -> ExifTags {
        read(&mut Source::from_slice(&file(ifd)), 0).unwrap()
    }

    fn text(tag: u16, text: &str) -> (u16, u16, Vec<u8>) {
        (tag, 2, [text.as_bytes(), &[0]].concat())
    }

    fn ratios(tag: u16, numbers: &[(u32, u32)]) -> (u16, u16, Vec<u8>) {
        (tag, 5, numbers.iter().flat_map(|(above, below)| [above.to_le_bytes(), below.to_le_bytes()].concat()).collect())
    }

    fn short(tag: u16, number: u16) -> (u16, u16, Vec<u8>) {
        (tag, SHORT, number.to_le_bytes().to_vec())
    }

    #[test]
    fn what_a_camera_writes_is_read() {
        let gps = Ifd(
            vec![
                text(1, "S"),
                ratios(2, &[(33, 1), (30, 1), (36, 1)]),
                text(3, "E"),
                ratios(4, &[(151, 1), (0, 0), (0, 0)]),
                (5, 1, vec![1]),
                ratios(6, &[(25, 2)]),
            ],
            vec![],
        );
        let times = vec![text(0x9003, "2020:01:02 03:04:05"), text(0x9011, "+10:00"), text(0x9291, "25")];
        let shot = vec![
            ratios(0x829a, &[(1, 125)]),
            ratios(0x829d, &[(28, 10)]),
            short(0x8827, 65_535),
            short(0x8832, 800),
            text(0xa434, "RF50mm F1.8 STM"),
        ];
        let exif = Ifd([times, shot].concat(), vec![]);
        let root = Ifd(
            vec![text(0x010f, "Canon"), text(0x0110, "EOS R6 "), short(0x0112, 6), short(0x4746, 4)],
            vec![(0x8769, exif), (0x8825, gps)],
        );
        let tags = tags(&root);
        assert_eq!(
            (tags.make.as_deref(), tags.model.as_deref(), tags.lens.as_deref()),
            (Some("Canon"), Some("EOS R6"), Some("RF50mm F1.8 STM"))
        );
        assert_eq!((tags.iso, tags.f_number, tags.exposure_s, tags.rating), (Some(800), Some(2.8), Some(0.008), Some(4)));
        assert_eq!(tags.orientation.map(Orientation::exif), Some(6));
        let original = tags.original.unwrap();
        assert_eq!((original.local.to_string().as_str(), original.offset_minutes), ("2020-01-02 03:04:05.250", Some(600)));
        let gps = tags.gps.unwrap();
        assert!((gps.latitude_deg + 33.51).abs() < 1e-9 && gps.longitude_deg == 151.0 && gps.altitude_m == Some(-12.5), "{gps:?}");
    }

    #[test]
    fn no_fix_is_no_place() {
        let place = |status: &str, latitude: u32, letter: &str| {
            let gps = Ifd(vec![text(1, letter), ratios(2, &[(latitude, 1)]), text(3, "E"), ratios(4, &[(0, 1)]), text(9, status)], vec![]);
            tags(&Ifd(vec![], vec![(0x8825, gps)])).gps
        };
        assert!(place("A", 5, "N").is_some());
        assert!(place("V", 5, "N").is_none());
        assert!(place("A", 0, "N").is_none());
        assert!(place("A", 91, "N").is_none());
        assert!(place("A", 5, "?").is_none());
    }

    #[test]
    fn apples_and_canons_notes_are_read() {
        // Big-endian, offsets from the note's own start.
        let apple = [b"Apple iOS\0\0\x01MM", &[0, 1, 0, 0x11, 0, 2, 0, 0, 0, 5, 0, 0, 0, 32, 0, 0, 0, 0][..], b"1-2-3\0"].concat();
        let exif = Ifd(vec![(0x927c, 7, apple)], vec![]);
        assert_eq!(tags(&Ifd(vec![], vec![(0x8769, exif)])).content_id.as_deref(), Some("1-2-3"));
        let canon = Ifd(vec![text(0x0095, "EF24-105mm f/4L IS USM")], vec![]);
        let exif = Ifd(vec![], vec![(0x927c, canon)]);
        let root = file(&Ifd(vec![text(0x010f, "Canon")], vec![(0x8769, exif)]));
        // The builder points to the note with one LONG; a note is bytes, as long as they are.
        let at = root.windows(2).position(|tag| tag == 0x927c_u16.to_le_bytes()).unwrap();
        let mut root = root;
        root[at + 2] = 7;
        root[at + 4] = 40;
        assert_eq!(read(&mut Source::from_slice(&root), 0).unwrap().lens.as_deref(), Some("EF24-105mm f/4L IS USM"));
    }

    #[test]
    fn the_full_picture_is_told_from_previews() {
        let picture = |kind: u16, width: u16| Ifd(vec![short(0x00fe, kind), short(0x0100, width), short(0x0101, 100)], vec![]);
        let mut root = picture(1, 9_000);
        root.1 = vec![(0x014a, picture(0, 6_000))];
        assert_eq!(tags(&root).full_size, Some((6_000, 100)));
        root.1 = vec![(0x014a, picture(1, 400))];
        assert_eq!(tags(&root).full_size, Some((9_000, 100)));
    }

    #[test]
    fn a_structure_that_points_to_itself_ends() {
        let mut root = file(&Ifd(vec![], vec![(0x8769, Ifd(vec![], vec![])), (0x014a, Ifd(vec![], vec![]))]));
        for entry in [10, 22] {
            root[entry + 8] = 8;
        }
        assert!(read(&mut Source::from_slice(&root), 0).is_some());
    }
}
