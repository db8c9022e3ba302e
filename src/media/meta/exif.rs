//! EXIF: what the camera wrote, from the TIFF directories that hold it. Reads the few tags that become facts and passes over the rest.
//!
//! # Source
//! EXIF 2.32 (CIPA DC-008); TIFF 6.0; DNG 1.6 for sub-directories; Apple's and Canon's maker notes as exiftool documents them.

use encoding_rs::UTF_16LE;

use super::{
    dates::{self, Moment},
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
            letter if letter == positive => sexagesimal(parts),
            letter if letter == negative => sexagesimal(parts).map(|degrees| -degrees),
            _ => None,
        };
        let place = (degrees(&latitude, letters[1], b'N', b'S'), degrees(&longitude, letters[3], b'E', b'W'));
        if let (Some(latitude), Some(longitude)) = place
            && !void
        {
            self.tags.gps = place_on_earth(latitude, longitude, altitude.map(|metres| if below { -metres } else { metres }));
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

/// Degrees, minutes, seconds; minutes and seconds may be missing.
fn sexagesimal(parts: &[f64]) -> Option<f64> {
    let part = |index: usize| parts.get(index).copied().filter(|number| number.is_finite()).unwrap_or(0.0);
    let degrees = parts.first().copied().filter(|degrees| degrees.is_finite())?;
    Some(degrees + part(1) / 60.0 + part(2) / 3_600.0)
}

/// A place with possible coordinates; exactly 0, 0 is what devices write without a fix.
pub(super) fn place_on_earth(latitude_deg: f64, longitude_deg: f64, altitude_m: Option<f64>) -> Option<Gps> {
    let possible = latitude_deg.abs() <= 90.0 && longitude_deg.abs() <= 180.0;
    let no_fix = latitude_deg == 0.0 && longitude_deg == 0.0;
    let altitude_m = altitude_m.filter(|metres| metres.is_finite() && (-12_000.0..=100_000.0).contains(metres));
    (possible && !no_fix).then_some(Gps { latitude_deg, longitude_deg, altitude_m })
}
