//! Metadata against exiftool, field by field, over the developer corpus; the fast readers against exiv2; and broken files.
//!
//! The corpus is not part of the repository: where it is missing, its tests say so and pass.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{NaiveDateTime, Timelike};
use hm::{
    media::{FileReading, MetaOptions, MetaReader},
    models::{Facts, FileFormat, FileKind},
};
use serde_json::Value;

fn corpus() -> Option<PathBuf> {
    let corpus = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus"));
    if corpus.join("truth.json").is_file() {
        return Some(corpus.to_owned());
    }
    println!("skipped: there is no {}", corpus.display());
    None
}

fn reader() -> MetaReader {
    MetaReader::new(MetaOptions { workers: 2, timeout: Duration::from_secs(30), program: Some(env!("CARGO_BIN_EXE_hm").into()) })
}

/// Every file of the corpus with a known extension, with its path in the corpus, by name.
fn files(corpus: &Path) -> Vec<(String, PathBuf, FileFormat)> {
    let mut folders = vec![corpus.join("library")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && let Some(format) = path.extension().and_then(|extension| FileFormat::from_extension(extension.to_str()?))
            {
                found.push((path.strip_prefix(corpus).unwrap().to_string_lossy().into_owned(), path, format));
            }
        }
    }
    found.sort();
    found
}

fn read(reader: &MetaReader, path: &Path, format: FileFormat) -> FileReading {
    reader.read(path, format, std::fs::metadata(path).unwrap().len())
}

/// What exiftool says of one file.
struct Truth<'a>(&'a serde_json::Map<String, Value>);

impl Truth<'_> {
    fn text(&self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| match self.0.get(*key)? {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Array(all) => all.first().map(|first| first.as_str().map_or_else(|| first.to_string(), str::to_owned)),
            other => Some(other.to_string()),
        })
    }

    fn number(&self, keys: &[&str]) -> Option<f64> {
        let number = |key: &&str| self.text(&[key])?.split(' ').next()?.parse::<f64>().ok();
        keys.iter().find_map(number).filter(|number| number.is_finite())
    }

    fn list(&self, keys: &[&str]) -> Vec<String> {
        let mut list = Vec::new();
        for key in keys {
            let values = match self.0.get(*key) {
                Some(Value::Array(all)) => all.clone(),
                Some(one) => vec![one.clone()],
                None => Vec::new(),
            };
            for value in values {
                let text = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
                if !text.is_empty() && !list.contains(&text) {
                    list.push(text);
                }
            }
        }
        list
    }

    /// The capture time by our order of precedence, with the digits and the offset that belong to it.
    fn captured(&self) -> Option<(NaiveDateTime, Option<String>, Option<String>)> {
        let order: [(&str, &str, &str); 12] = [
            ("ExifIFD:DateTimeOriginal", "ExifIFD:SubSecTimeOriginal", "ExifIFD:OffsetTimeOriginal"),
            ("IFD0:DateTimeOriginal", "", ""),
            ("XMP-exif:DateTimeOriginal", "XMP-exif:SubSecTimeOriginal", ""),
            ("XMP-photoshop:DateCreated", "", ""),
            ("IPTC:DateCreated", "", ""),
            ("ExifIFD:CreateDate", "ExifIFD:SubSecTimeDigitized", "ExifIFD:OffsetTimeDigitized"),
            ("XMP-exif:DateTimeDigitized", "", ""),
            ("XMP-xmp:CreateDate", "", ""),
            ("IFD0:ModifyDate", "ExifIFD:SubSecTime", "ExifIFD:OffsetTime"),
            ("Keys:CreationDate", "", ""),
            ("QuickTime:CreateDate", "", ""),
            ("CanonRaw:DateTimeOriginal", "", ""),
        ];
        order.iter().find_map(|(key, subsecond, offset)| {
            let mut text = self.text(&[key])?;
            if *key == "IPTC:DateCreated" {
                text = format!("{text} {}", self.text(&["IPTC:TimeCreated"]).unwrap_or_default());
            }
            let whole = format!("{}{}", text.trim(), &"    :01:01 00:00:00"[text.trim().len().min(19)..]);
            let local = NaiveDateTime::parse_from_str(whole.get(..19)?, "%Y:%m:%d %H:%M:%S").ok()?;
            let rest = text.get(19..).unwrap_or_default();
            let fraction = rest.strip_prefix('.').map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            let zone = rest.find(['+', '-', 'Z']).map(|at| rest[at..].to_owned());
            Some((local, fraction.or_else(|| self.text(&[subsecond])), zone.or_else(|| self.text(&[offset]))))
        })
    }

    /// Every fact as text, for comparing.
    fn facts(&self) -> BTreeMap<&'static str, String> {
        let mut facts = BTreeMap::new();
        let mut put = |name, value: Option<String>| {
            if let Some(value) = value {
                facts.insert(name, value);
            }
        };
        let positive = |keys: &[&str]| self.number(keys).filter(|number| *number > 0.0).map(short);
        if let Some((local, fraction, offset)) = self.captured() {
            put("captured_at", Some(local.to_string()));
            put("subsecond", fraction.map(|digits| digits.trim_end_matches('0').to_owned()).filter(|digits| !digits.is_empty()));
            put("offset", offset.and_then(|offset| minutes(&offset)));
        }
        put("make", self.text(&["IFD0:Make", "XMP-tiff:Make", "Keys:Make", "CanonRaw:Make"]));
        put("model", self.text(&["IFD0:Model", "XMP-tiff:Model", "Keys:Model", "CanonRaw:Model"]));
        let named = |lens: &String| lens.chars().any(char::is_alphanumeric) && lens != "0.0 mm f/0.0";
        put(
            "lens",
            self.text(&["ExifIFD:LensModel"])
                .filter(named)
                .or_else(|| self.text(&["Canon:LensModel"]))
                .or_else(|| self.text(&["XMP-aux:Lens"]))
                .or_else(|| self.text(&["XMP-exifEX:LensModel"]))
                .filter(named),
        );
        put("iso", positive(&["ExifIFD:ISO", "IFD0:ISO", "XMP-exif:ISO"]));
        put("f_number", positive(&["ExifIFD:FNumber", "IFD0:FNumber", "XMP-exif:FNumber"]));
        put("exposure_s", positive(&["ExifIFD:ExposureTime", "IFD0:ExposureTime", "XMP-exif:ExposureTime"]));
        put("focal_length_mm", positive(&["ExifIFD:FocalLength", "IFD0:FocalLength", "XMP-exif:FocalLength"]));
        let place = (self.number(&["Composite:GPSLatitude"]), self.number(&["Composite:GPSLongitude"]));
        if let (Some(latitude), Some(longitude)) = place
            && (latitude, longitude) != (0.0, 0.0)
        {
            put("gps", Some(format!("{latitude:.4} {longitude:.4}")));
            put("altitude", self.number(&["Composite:GPSAltitude"]).map(|metres| format!("{metres:.1}")));
        }
        let turned_by_decoder = self.text(&["File:FileType"]).is_some_and(|kind| matches!(kind.as_str(), "HEIC" | "HEIF" | "AVIF" | "JXL"));
        put("orientation", self.text(&["IFD0:Orientation", "XMP-tiff:Orientation"]).filter(|number| !turned_by_decoder && number != "0"));
        let size = self.text(&["Composite:ImageSize"]);
        let sideways = turned_by_decoder && matches!(self.text(&["QuickTime:Rotation"]).as_deref(), Some("90" | "270"));
        put("size", size.map(|size| if sideways { size.split(' ').rev().collect::<Vec<_>>().join(" ") } else { size }));
        let words = |text: &String| {
            let camera = ["OLYMPUS DIGITAL CAMERA", "SONY DSC", "DIGITAL CAMERA"];
            text.chars().any(char::is_alphanumeric) && !camera.contains(&text.trim()) && !text.starts_with("DCIM\\")
        };
        let first_words = |keys: &[&str]| keys.iter().find_map(|key| self.text(&[key]).filter(words));
        put("title", first_words(&["XMP-dc:Title", "IPTC:ObjectName", "IFD0:XPTitle"]));
        put("description", first_words(&["XMP-dc:Description", "IPTC:Caption-Abstract", "IFD0:ImageDescription", "IFD0:XPComment"]));
        put("rating", self.number(&["XMP-xmp:Rating", "IFD0:Rating"]).map(|stars| format!("{stars:.0}")));
        let mut keywords = self.list(&["XMP-dc:Subject", "IPTC:Keywords"]);
        if keywords.is_empty() {
            keywords = self.list(&["IFD0:XPKeywords"]).iter().flat_map(|all| all.split(';').map(str::to_owned)).collect();
        }
        put("keywords", Some(keywords.join("; ")).filter(|all| !all.is_empty()));
        let slashed = |keys: &[&str]| self.list(keys).into_iter().map(|path| path.replace('/', "|")).collect::<Vec<_>>();
        let mut tree = self.list(&["XMP-lr:HierarchicalSubject"]);
        for path in slashed(&["XMP-digiKam:TagsList"])
            .into_iter()
            .chain(slashed(&["XMP-microsoft:LastKeywordXMP"]))
            .chain(self.list(&["XMP-mediapro:CatalogSets"]))
        {
            if !tree.contains(&path) {
                tree.push(path);
            }
        }
        put("hierarchical_keywords", Some(tree.join("; ")).filter(|all| !all.is_empty()));
        put("content_id", self.text(&["Apple:ContentIdentifier", "Apple:MediaGroupUUID", "Keys:ContentIdentifier"]));
        put("software", self.text(&["IFD0:Software", "XMP-xmp:CreatorTool", "XMP-tiff:Software", "Keys:Software"]));
        facts
    }
}

fn short(number: f64) -> String {
    format!("{number:.4e}")
}

/// `+02:00` or `Z` as minutes.
fn minutes(offset: &str) -> Option<String> {
    if offset.starts_with('Z') {
        return Some("0".to_owned());
    }
    let (hours, rest) = offset.get(1..)?.split_once(':')?;
    let total = hours.trim().parse::<i32>().ok()? * 60 + rest.get(..2)?.parse::<i32>().ok()?;
    Some(if offset.starts_with('-') { -total } else { total }.to_string())
}

/// Our facts in the same words.
fn shown(facts: &Facts) -> BTreeMap<&'static str, String> {
    let mut shown = BTreeMap::new();
    let mut put = |name, value: Option<String>| {
        if let Some(value) = value {
            shown.insert(name, value);
        }
    };
    if let Some(captured) = &facts.captured_at {
        put("captured_at", captured.local.with_nanosecond(0).map(|local| local.to_string()));
        let digits = format!("{:09}", captured.local.nanosecond());
        put("subsecond", Some(digits.trim_end_matches('0').to_owned()).filter(|digits| !digits.is_empty()));
        put("offset", captured.offset_minutes.map(|offset| offset.to_string()));
    }
    put("make", facts.make.clone());
    put("model", facts.model.clone());
    put("lens", facts.lens.clone());
    put("iso", facts.iso.map(|iso| short(iso.into())));
    put("f_number", facts.f_number.map(short));
    put("exposure_s", facts.exposure_s.map(short));
    put("focal_length_mm", facts.focal_length_mm.map(short));
    if let Some(gps) = facts.gps {
        put("gps", Some(format!("{:.4} {:.4}", gps.latitude_deg, gps.longitude_deg)));
        put("altitude", gps.altitude_m.map(|metres| format!("{metres:.1}")));
    }
    put("orientation", facts.orientation.map(|orientation| orientation.exif().to_string()));
    put("size", facts.width_px.zip(facts.height_px).map(|(width, height)| format!("{width} {height}")));
    put("title", facts.title.clone());
    put("description", facts.description.clone());
    put("rating", facts.rating.map(|stars| stars.to_string()));
    put("keywords", Some(facts.keywords.join("; ")).filter(|all| !all.is_empty()));
    put("hierarchical_keywords", Some(facts.hierarchical_keywords.join("; ")).filter(|all| !all.is_empty()));
    put("content_id", facts.content_id.clone());
    put("software", facts.software.clone());
    shown
}

#[test]
fn every_field_agrees_with_exiftool() {
    let Some(corpus) = corpus() else { return };
    let truth: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(&std::fs::read(corpus.join("truth.json")).unwrap()).unwrap();
    let truth: HashMap<&str, Truth<'_>> = truth.iter().map(|map| (map["SourceFile"].as_str().unwrap(), Truth(map))).collect();
    let reader = reader();
    let mut counts: BTreeMap<&str, (u32, u32, u32)> = BTreeMap::new();
    let mut report = String::new();
    for (name, path, format) in files(&corpus) {
        if format == FileFormat::TakeoutJson || format == FileFormat::Aae {
            continue;
        }
        let Some(truth) = truth.get(name.as_str()) else { continue };
        let (ours, theirs) = (shown(&read(&reader, &path, format).facts), truth.facts());
        for field in ours.keys().chain(theirs.keys()).collect::<HashSet<_>>() {
            let (our, their) = (ours.get(field), theirs.get(field));
            let count = counts.entry(field).or_default();
            match their {
                Some(_) if our == their => count.0 += 1,
                Some(_) => count.1 += 1,
                None => count.2 += 1,
            }
            if our != their {
                writeln!(report, "{field}: {name}\n    ours   {our:?}\n    theirs {their:?}").unwrap();
            }
        }
    }
    for (field, (right, wrong, more)) in &counts {
        println!(
            "{field:22} {right:4} of {:4} agree ({:.1} %), {more} that exiftool does not name so",
            right + wrong,
            100.0 * f64::from(*right) / f64::from(right + wrong)
        );
    }
    println!("{report}");
}
