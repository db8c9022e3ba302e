//! exiv2, through the crate rexiv2: in child processes only. It aborts on some files and is not thread-safe.
//!
//! It is asked for what it alone knows, lens names in makers' notes and Canon's CRW, and as a second opinion where the fast reader gives up.
//! Never asked: videos and EPS, which crash it. Both sides of the talk are here, so that they change together.

use std::{
    collections::{BTreeSet, HashSet},
    path::{Path, PathBuf},
    time::Duration,
};

use rexiv2::Metadata;
use serde::{Deserialize, Serialize};

use super::{
    dates,
    draft::Draft,
    exif::{self, lens_is_named},
    iptc, place, text,
};
use crate::{
    media::child::ChildPool,
    models::{Facts, Orientation},
};

/// Memory a child may map, in bytes: libraries, heap, and a large RAW.
pub const WORKER_ADDRESS_SPACE_BYTES: u64 = 3 << 30;

const OF_A_PATH: u8 = b'p';
const OF_BYTES: u8 = b'b';
const OF_ITSELF: u8 = b'v';

/// The smallest JPEG that says who made it: an EXIF structure with one tag, and no picture.
const SPECIMEN: &[u8] = b"\xff\xd8\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x0f\x01\x02\x00\x03\x00\x00\x00hm\x00\x00\x00\x00\x00\x00\xff\xd9";

/// Asks a child, started for this alone, whether exiv2 reads, and which libraries it is: `libexiv2.so.0.27.6, libgexiv2.so.2.14.0`. Empty
/// where the system does not tell what a process has loaded.
///
/// # Errors
/// For a person: how the child ended, or that it reads wrongly.
pub fn probe(program: impl Into<PathBuf>, timeout: Duration) -> Result<String, String> {
    let pool = ChildPool::new(program, ["meta-worker"], 1);
    let facts = ask_about_bytes(&pool, SPECIMEN, timeout)?;
    if facts.make.as_deref() != Some("hm") {
        return Err(format!("it read {:?} where `hm` stands", facts.make.unwrap_or_default()));
    }
    let answer = pool.call(&[OF_ITSELF], timeout).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The files of exiv2 and gexiv2 among those that this process has loaded.
fn loaded_libraries() -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let names = maps.lines().filter_map(|line| line.rsplit_once('/')).map(|(_, name)| name);
    let libraries: BTreeSet<&str> = names.filter(|name| name.starts_with("libexiv2") || name.starts_with("libgexiv2")).collect();
    libraries.into_iter().collect::<Vec<_>>().join(", ")
}

/// What a child says.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    facts: Facts,
    error: Option<String>,
}

/// Asks a child about the file at `path`.
///
/// # Errors
/// For a person: what exiv2 said, or how the child ended.
pub(super) fn ask_about_path(pool: &ChildPool, path: &Path, timeout: Duration) -> Result<Facts, String> {
    let path = path.to_str().ok_or("exiv2 cannot open a name that is not UTF-8")?;
    ask(pool, OF_A_PATH, path.as_bytes(), timeout)
}

/// Asks a child about a file's beginning, or an EXIF structure, in memory.
///
/// # Errors
/// As [`ask_about_path`].
pub(super) fn ask_about_bytes(pool: &ChildPool, bytes: &[u8], timeout: Duration) -> Result<Facts, String> {
    ask(pool, OF_BYTES, bytes, timeout)
}

fn ask(pool: &ChildPool, kind: u8, body: &[u8], timeout: Duration) -> Result<Facts, String> {
    let request = [&[kind], body].concat();
    let answer = pool.call(&request, timeout).map_err(|error| error.to_string())?;
    let answer: Answer = serde_json::from_slice(&answer).map_err(|error| format!("the reading process answered nonsense: {error}"))?;
    match answer.error {
        Some(error) => Err(error),
        None => Ok(answer.facts),
    }
}

/// The child's side: answers one request. Call it from one thread.
pub fn answer(request: &[u8]) -> Vec<u8> {
    if request == [OF_ITSELF] {
        return loaded_libraries().into_bytes();
    }
    let read = match request.split_first() {
        Some((&OF_A_PATH, path)) => {
            std::str::from_utf8(path).map_err(|error| error.to_string()).and_then(|path| read(Metadata::new_from_path(path)))
        }
        Some((&OF_BYTES, bytes)) => read(Metadata::new_from_buffer(bytes)),
        _ => Err("an empty question".to_owned()),
    };
    let answer = match read {
        Ok(facts) => Answer { facts, error: None },
        Err(error) => Answer { facts: Facts::default(), error: Some(error) },
    };
    serde_json::to_vec(&answer).unwrap_or_default()
}

/// Prepares exiv2 in a child.
///
/// # Errors
/// When the library does not start.
pub fn prepare() -> Result<(), String> {
    rexiv2::initialize().map_err(|error| error.to_string())?;
    rexiv2::set_log_level(rexiv2::LogLevel::MUTE);
    Ok(())
}

fn read(opened: rexiv2::Result<Metadata>) -> Result<Facts, String> {
    let metadata = opened.map_err(|error| format!("exiv2: {error}"))?;
    let found = Found::new(&metadata);
    let mut draft = Draft { exif: found.exif(), ..Draft::default() };
    draft.iptc = iptc::IptcTags {
        title: found.text("Iptc.Application2.ObjectName"),
        caption: found.text("Iptc.Application2.Caption"),
        keywords: found.list("Iptc.Application2.Keywords"),
        // exiv2 writes them with separators.
        created: found.text("Iptc.Application2.DateCreated").and_then(|date| {
            let time = found.text("Iptc.Application2.TimeCreated").unwrap_or_default();
            dates::parse(&format!("{date} {time}")).or_else(|| dates::parse(&date))
        }),
    };
    // Right for what the fast readers leave to exiv2 altogether: CRW.
    draft.size = draft.exif.exif_size.or(draft.exif.full_size).filter(|(width, height)| *width > 0 && *height > 0);
    found.xmp(&mut draft);
    Ok(draft.into_facts("rexiv2"))
}

/// An opened file and the tags it has: asking for one it lacks costs an error.
struct Found<'a> {
    metadata: &'a Metadata,
    tags: HashSet<String>,
}

impl<'a> Found<'a> {
    fn new(metadata: &'a Metadata) -> Self {
        let lists = [metadata.get_exif_tags(), metadata.get_xmp_tags(), metadata.get_iptc_tags()];
        Self { metadata, tags: lists.into_iter().flatten().flatten().collect() }
    }

    fn text(&self, tag: &str) -> Option<String> {
        if !self.tags.contains(tag) {
            return None;
        }
        self.metadata.get_tag_string(tag).ok().and_then(|text| text::clean(&text))
    }

    fn interpreted(&self, tag: &str) -> Option<String> {
        if !self.tags.contains(tag) {
            return None;
        }
        self.metadata.get_tag_interpreted_string(tag).ok().and_then(|text| text::clean(&text))
    }

    fn list(&self, tag: &str) -> Vec<String> {
        let mut list = Vec::new();
        if self.tags.contains(tag) {
            let all = self.metadata.get_tag_multiple_strings(tag).unwrap_or_default();
            text::add_new(&mut list, all.iter().filter_map(|text| text::clean(text)));
        }
        list
    }

    /// The first number of a value as exiv2 writes it: `28/10`, `400`, `400 0`.
    fn number(&self, tag: &str) -> Option<f64> {
        self.numbers(tag).first().copied().filter(|number| number.is_finite())
    }

    fn numbers(&self, tag: &str) -> Vec<f64> {
        let text = self.text(tag).unwrap_or_default();
        let number = |word: &str| match word.split_once('/') {
            Some((above, below)) => Some(above.parse::<f64>().ok()? / below.parse::<f64>().ok()?),
            None => word.parse().ok(),
        };
        text.split_whitespace().map(|word| number(word).unwrap_or(f64::NAN)).collect()
    }

    fn exif(&self) -> exif::ExifTags {
        let positive = |tag| self.number(tag).filter(|number| *number > 0.0);
        let moment = |tag, subsecond, offset| {
            let moment = dates::parse(&self.text(tag)?)?;
            Some(moment.with_subseconds(self.text(subsecond).as_deref()).with_offset(self.text(offset).as_deref()))
        };
        let iso = positive("Exif.Photo.ISOSpeedRatings")
            .filter(|iso| *iso < 65_535.0)
            .or_else(|| positive("Exif.Photo.RecommendedExposureIndex"));
        let size = |width, height| Some((self.number(width)? as u32, self.number(height)? as u32));
        exif::ExifTags {
            make: self.text("Exif.Image.Make"),
            model: self.text("Exif.Image.Model"),
            software: self.text("Exif.Image.Software"),
            description: self.text("Exif.Image.ImageDescription"),
            lens: self.lens(),
            orientation: self.number("Exif.Image.Orientation").and_then(|number| Orientation::try_from(number as u8).ok()),
            original: moment("Exif.Photo.DateTimeOriginal", "Exif.Photo.SubSecTimeOriginal", "Exif.Photo.OffsetTimeOriginal")
                .or_else(|| moment("Exif.Image.DateTimeOriginal", "", "")),
            digitized: moment("Exif.Photo.DateTimeDigitized", "Exif.Photo.SubSecTimeDigitized", "Exif.Photo.OffsetTimeDigitized"),
            modified: moment("Exif.Image.DateTime", "Exif.Photo.SubSecTime", "Exif.Photo.OffsetTime"),
            iso: iso.map(|iso| iso as u32),
            f_number: positive("Exif.Photo.FNumber").or_else(|| positive("Exif.Image.FNumber")),
            exposure_s: positive("Exif.Photo.ExposureTime").or_else(|| positive("Exif.Image.ExposureTime")),
            focal_length_mm: positive("Exif.Photo.FocalLength").or_else(|| positive("Exif.Image.FocalLength")),
            gps: self.gps(),
            rating: self.number("Exif.Image.Rating").map(|stars| stars as i8).filter(|stars| (0..=5).contains(stars)),
            full_size: size("Exif.Image.ImageWidth", "Exif.Image.ImageLength"),
            exif_size: size("Exif.Photo.PixelXDimension", "Exif.Photo.PixelYDimension"),
            ..exif::ExifTags::default()
        }
    }

    /// The standard tag; else the first maker's note whose number exiv2 has a name for.
    fn lens(&self) -> Option<String> {
        const INTERPRETED: [&str; 22] = [
            "Exif.Canon.LensModel",
            "Exif.CanonCs.LensType",
            "Exif.NikonLd1.LensIDNumber",
            "Exif.NikonLd2.LensIDNumber",
            "Exif.NikonLd3.LensIDNumber",
            "Exif.NikonLd4.LensIDNumber",
            "Exif.NikonLd4.LensID",
            "Exif.Nikon3.Lens",
            "Exif.PentaxDng.LensType",
            "Exif.Pentax.LensType",
            "Exif.OlympusEq.LensModel",
            "Exif.OlympusEq.LensType",
            "Exif.Panasonic.LensType",
            "Exif.Sony2.LensID",
            "Exif.Sony1.LensID",
            "Exif.SonyMinolta.LensID",
            "Exif.SonyMisc2b.LensID2",
            "Exif.SonyMisc3c.LensID3",
            "Exif.MinoltaCsNew.LensID",
            "Exif.Minolta.LensID",
            "Exif.Samsung2.LensType",
            "Exif.Sigma.LensRange",
        ];
        let standard = self.text("Exif.Photo.LensModel").filter(|lens| lens_is_named(lens));
        standard.or_else(|| INTERPRETED.into_iter().find_map(|tag| self.interpreted(tag).filter(|lens| is_a_name(lens))))
    }

    fn gps(&self) -> Option<crate::models::Gps> {
        let degrees = |tag: &str, letter: &str, negative: char| {
            let parts = self.numbers(tag);
            let part = |index: usize| parts.get(index).copied().filter(|number| number.is_finite()).unwrap_or(0.0);
            let degrees = parts.first().copied().filter(|degrees| degrees.is_finite())? + part(1) / 60.0 + part(2) / 3_600.0;
            let letter = self.text(letter)?.chars().next()?.to_ascii_uppercase();
            Some(if letter == negative { -degrees } else { degrees })
        };
        let below = self.number("Exif.GPSInfo.GPSAltitudeRef") == Some(1.0);
        let altitude = self.number("Exif.GPSInfo.GPSAltitude").map(|metres| if below { -metres } else { metres });
        let latitude = degrees("Exif.GPSInfo.GPSLatitude", "Exif.GPSInfo.GPSLatitudeRef", 'S')?;
        let longitude = degrees("Exif.GPSInfo.GPSLongitude", "Exif.GPSInfo.GPSLongitudeRef", 'W')?;
        let void = self.text("Exif.GPSInfo.GPSStatus").is_some_and(|status| status == "V");
        place::on_earth(latitude, longitude, altitude).filter(|_| !void)
    }

    /// Only the words: exiv2 has parsed the packet, but hands it out tag by tag.
    fn xmp(&self, draft: &mut Draft) {
        use super::xmp::Key;
        let mut add = |key, tag: &str| {
            if let Some(text) = self.text(tag) {
                // Language alternatives come as `lang="x-default" text`.
                let text = text.strip_prefix("lang=").and_then(|rest| rest.split_once(' ')).map_or(text.as_str(), |(_, text)| text);
                draft.xmp.push(key, text, false);
            }
        };
        add(Key::Title, "Xmp.dc.title");
        add(Key::Description, "Xmp.dc.description");
        add(Key::Rating, "Xmp.xmp.Rating");
        add(Key::RatingPercent, "Xmp.MicrosoftPhoto.Rating");
        add(Key::CreateDate, "Xmp.xmp.CreateDate");
        add(Key::CreatorTool, "Xmp.xmp.CreatorTool");
        add(Key::DateTimeOriginal, "Xmp.exif.DateTimeOriginal");
        add(Key::DateTimeDigitized, "Xmp.exif.DateTimeDigitized");
        add(Key::DateCreated, "Xmp.photoshop.DateCreated");
        add(Key::Make, "Xmp.tiff.Make");
        add(Key::Model, "Xmp.tiff.Model");
        add(Key::AuxLens, "Xmp.aux.Lens");
        add(Key::GpsLatitude, "Xmp.exif.GPSLatitude");
        add(Key::GpsLongitude, "Xmp.exif.GPSLongitude");
        add(Key::MotionPhoto, "Xmp.GCamera.MotionPhoto");
        add(Key::MicroVideo, "Xmp.GCamera.MicroVideo");
        for (key, tag) in [
            (Key::Subject, "Xmp.dc.subject"),
            (Key::HierarchicalSubject, "Xmp.lr.hierarchicalSubject"),
            (Key::TagsList, "Xmp.digiKam.TagsList"),
            (Key::LastKeyword, "Xmp.MicrosoftPhoto.LastKeywordXMP"),
            (Key::CatalogSets, "Xmp.mediapro.CatalogSets"),
        ] {
            for text in self.list(tag) {
                draft.xmp.push(key, &text, false);
            }
        }
    }
}

/// exiv2 answers a number it has no name for with the number, perhaps in brackets.
fn is_a_name(lens: &str) -> bool {
    let numbers_only = lens.chars().all(|character| character.is_ascii_digit() || "() .-/".contains(character));
    lens_is_named(lens)
        && !numbers_only
        && !lens.starts_with("Unknown")
        && !lens.starts_with("Manual lens")
        && !lens.eq_ignore_ascii_case("n/a")
}
