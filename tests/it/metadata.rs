//! Metadata against exiftool, field by field, over the developer corpus; the fast readers against exiv2; and broken files.
//!
//! `cargo nextest run --no-capture -E 'test(every_field_agrees)'` prints the agreement in percent.
//!
//! The corpus is not part of the repository: where it is missing, its tests say so and pass.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{NaiveDateTime, Timelike};
use hm::{
    media::{FileReading, MetaOptions, MetaReader},
    models::{Facts, FileFormat, FileKind, Orientation},
};
use serde_json::Value;

use crate::{
    damage::largest_child_mib,
    support::{
        chart,
        damage::{Dice, damaged},
        dng, media,
    },
};

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
    let library = corpus.join("library");
    let mut folders = vec![if library.is_dir() { library } else { corpus.to_owned() }];
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
            // QuickTime counts in UTC.
            let utc = (*key == "QuickTime:CreateDate").then(|| "Z".to_owned());
            let zone = rest.find(['+', '-', 'Z']).map(|at| rest[at..].to_owned());
            Some((local, fraction.or_else(|| self.text(&[subsecond])), zone.or(utc).or_else(|| self.text(&[offset]))))
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
                .or_else(|| self.text(&["Canon:LensModel", "Olympus:LensModel"]))
                .or_else(|| self.text(&["XMP-aux:Lens"]))
                .or_else(|| self.text(&["XMP-exifEX:LensModel"]))
                .filter(named),
        );
        put("iso", positive(&["ExifIFD:ISO", "IFD0:ISO", "XMP-exif:ISO"]));
        put("f_number", positive(&["ExifIFD:FNumber", "IFD0:FNumber", "XMP-exif:FNumber"]));
        put("exposure_s", positive(&["ExifIFD:ExposureTime", "IFD0:ExposureTime", "XMP-exif:ExposureTime"]));
        put("focal_length_mm", positive(&["ExifIFD:FocalLength", "IFD0:FocalLength", "XMP-exif:FocalLength"]));
        let place = (
            self.number(&["Composite:GPSLatitude", "XMP-exif:GPSLatitude"]),
            self.number(&["Composite:GPSLongitude", "XMP-exif:GPSLongitude"]),
        );
        if let (Some(latitude), Some(longitude)) = place
            && (latitude, longitude) != (0.0, 0.0)
        {
            put("gps", Some(format!("{latitude:.4} {longitude:.4}")));
            let altitude = self.number(&["Composite:GPSAltitude", "GPS:GPSAltitude", "XMP-exif:GPSAltitude"]);
            put("altitude", altitude.map(|metres| format!("{metres:.1}")));
        }
        let from_canon = || match self.text(&["CanonRaw:Rotation"])?.as_str() {
            "0" => Some("1".to_owned()),
            "90" => Some("6".to_owned()),
            "180" => Some("3".to_owned()),
            _ => Some("8".to_owned()),
        };
        put("orientation", self.text(&["IFD0:Orientation", "XMP-tiff:Orientation"]).filter(|number| number != "0").or_else(from_canon));
        put("size", self.text(&["Composite:ImageSize"]));
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

/// The names that exiftool gives to lenses which makers' notes only number, by path in the corpus: `truth.json` has the numbers.
fn lenses_as_printed(corpus: &Path) -> HashMap<String, String> {
    let asked = Command::new("exiftool").args(["-json", "-r", "-Composite:LensID", "library"]).current_dir(corpus).output();
    let Ok(output) = asked else {
        println!("without exiftool, lenses that makers' notes number are not compared");
        return HashMap::new();
    };
    let all: Vec<HashMap<String, Value>> = serde_json::from_slice(&output.stdout).unwrap();
    let named = |map: HashMap<String, Value>| {
        let lens = map.get("LensID")?.as_str().filter(|lens| !lens.starts_with("Unknown"))?;
        Some((map["SourceFile"].as_str()?.to_owned(), lens.to_owned()))
    };
    all.into_iter().filter_map(named).collect()
}

/// exiv2 and exiftool name a lens from tables of their own: the maker's name before it and the blanks in it differ.
fn is_same_lens(ours: &str, printed: &str) -> bool {
    let plain = |name: &str| -> String {
        let letters = name.to_lowercase().chars().filter(|letter| letter.is_alphanumeric() || *letter == '.').collect::<String>();
        ["nikon", "olympus", "minolta", "sony", "canon"].iter().fold(letters, |name, maker| name.replace(maker, ""))
    };
    let (ours, printed) = (plain(ours), plain(printed));
    ours.contains(&printed) || printed.contains(&ours)
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
    let upright = |(width, height)| facts.orientation.unwrap_or(Orientation::UPRIGHT).upright_size(width, height);
    put("upright_size", facts.width_px.zip(facts.height_px).map(upright).map(|(width, height)| format!("{width} {height}")));
    put("title", facts.title.clone());
    put("description", facts.description.clone());
    put("rating", facts.rating.map(|stars| stars.to_string()));
    put("keywords", Some(facts.keywords.join("; ")).filter(|all| !all.is_empty()));
    put("hierarchical_keywords", Some(facts.hierarchical_keywords.join("; ")).filter(|all| !all.is_empty()));
    put("content_id", facts.content_id.clone());
    put("software", facts.software.clone());
    shown
}

/// Where we differ from exiftool on purpose, or because the file is what it is: field, end of the file's name, why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("f_number", "CRW_0173.CRW", "exiv2 converts it from Canon's own unit"),
    ("exposure_s", "CRW_0173.CRW", "as above"),
    ("size", "DSC00021.ARW", "exiftool takes MinoltaRaw's 3872 x 2592, we the sensor data's 3880 x 2600"),
    ("size", "DSC03211.ARW", "no directory with the sensor data in the stub: EXIF's size, where exiftool says nothing"),
    ("size", "DSC02741.ARW", "as above"),
    ("size", "SDIM0212.X3F", "exiftool takes the 8 x 8 of the stub's preview, we the header's"),
    ("size", "IMG_7943.HEIC", "exiftool takes the 100 x 134 before the container's crop, which decoders apply"),
    ("size", CUT_OFF, "cut off before its size; EXIF's is taken"),
];

/// exiftool 12.57 knows no size of it, 13.25 the same as we.
const CUT_OFF: &str = "corrupted_city.JPG";

#[test]
fn every_field_agrees_with_exiftool() {
    let Some(corpus) = corpus() else { return };
    let json = |name: &str| std::fs::read(corpus.join(name)).unwrap();
    let truth: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(&json("truth.json")).unwrap();
    let truth: HashMap<&str, Truth<'_>> = truth.iter().map(|map| (map["SourceFile"].as_str().unwrap(), Truth(map))).collect();
    let pictures: Value = serde_json::from_slice(&json("pictures.json")).unwrap();
    let printed = lenses_as_printed(&corpus);
    let reader = reader();
    let mut counts: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let (mut report, mut used, mut compared) = (String::new(), HashSet::new(), 0);
    for (name, path, format) in files(&corpus) {
        if matches!(format, FileFormat::TakeoutJson | FileFormat::Aae) {
            continue;
        }
        let Some(truth) = truth.get(name.as_str()) else { continue };
        compared += 1;
        let (mut ours, mut theirs) = (shown(&read(&reader, &path, format).facts), truth.facts());
        if format == FileFormat::Xmp {
            // What a sidecar says of another file's size is no fact of the sidecar.
            theirs.remove("size");
        }
        match pictures["files"][&name]["full"].as_array().map(Vec::as_slice) {
            // As a decoder shows it. An old HEIC that is turned by EXIF alone stays as it lies there; Apple's readers turn it, and so do we.
            Some([width, height]) if !name.ends_with("IMG_8891.HEIC") => _ = theirs.insert("upright_size", format!("{width} {height}")),
            _ => _ = ours.remove("upright_size"),
        }
        if let Some(printed) = printed.get(name.as_str()).filter(|_| !theirs.contains_key("lens")) {
            theirs.insert("lens", printed.clone());
            if let Some(lens) = ours.get_mut("lens").filter(|lens| is_same_lens(lens, printed)) {
                lens.clone_from(printed);
            }
        }
        // exiftool learned of the key that names a phone's lens in a film after 12.57.
        if path.extension().is_some_and(|extension| extension == "MOV") && !theirs.contains_key("lens") {
            ours.remove("lens");
        }
        for field in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let (our, their) = (ours.get(field), theirs.get(field));
            let count = counts.entry(field).or_default();
            if our == their {
                count.0 += 1;
                continue;
            }
            count.1 += 1;
            match EXCEPTIONS.iter().position(|(known, file, _)| known == field && name.ends_with(file)) {
                Some(index) => _ = used.insert(index),
                None => writeln!(report, "{field}: {name}\n    ours   {our:?}\n    theirs {their:?}").unwrap(),
            }
        }
    }
    for (field, (right, wrong)) in &counts {
        println!("{field:22} {right:4} of {:4} agree, {:.1} %", right + wrong, 100.0 * f64::from(*right) / f64::from(right + wrong));
    }
    assert!(compared > 100, "only {compared} files of the corpus were compared");
    assert!(report.is_empty(), "{report}");
    let stale: Vec<_> = EXCEPTIONS.iter().enumerate().filter(|(index, (_, file, _))| !used.contains(index) && *file != CUT_OFF).collect();
    assert!(stale.is_empty(), "these exceptions are none any more: {stale:?}");
}

/// Where exiv2 and the fast reader differ: field, end of the file's name, why.
const EXIV2_EXCEPTIONS: [(&str, &str, &str); 6] = [
    ("software", "DSC_0317.NEF.xmp", "exiv2 makes EXIF of tiff:Software, which then wins over xmp:CreatorTool"),
    ("captured_at", "IMG_5910.jpg.xmp", "exiv2 makes IPTC of photoshop:DateCreated and loses the time"),
    ("captured_at", "IMG_20200101_172823.xmp", "exiv2 makes EXIF of exif:DateTimeOriginal and adds the fraction to it"),
    ("subsecond", "IMG_20200101_172823.xmp", "as above"),
    ("lens", "foto001.jpg", "aux:Lens, as exiftool; exiv2 names the maker's note"),
    ("lens", "foto001bw.jpg", "as above"),
];

#[test]
fn the_fast_reader_and_exiv2_agree_where_both_speak() {
    let Some(corpus) = corpus() else { return };
    let (fast, both) = (MetaReader::in_process(), reader());
    let (mut report, mut compared) = (String::new(), 0);
    for (name, path, format) in files(&corpus) {
        let asked = matches!(format.kind(), FileKind::Raw | FileKind::Picture) || format == FileFormat::Xmp;
        let Some(exiv2) = asked.then(|| both.read_with_exiv2(&path).ok()).flatten() else { continue };
        let ours = shown(&read(&fast, &path, format).facts);
        let mut theirs = shown(&exiv2);
        // exiv2 has the preview's size of most RAWs, and the stored one of HEIF, which its decoder turns.
        theirs.remove("size");
        theirs.remove("upright_size");
        if matches!(format, FileFormat::Heif | FileFormat::Avif) {
            theirs.remove("orientation");
        }
        for (field, their) in theirs {
            let Some(our) = ours.get(field) else { continue };
            compared += 1;
            if *our != their && !EXIV2_EXCEPTIONS.iter().any(|(known, file, _)| *known == field && name.ends_with(file)) {
                writeln!(report, "{field}: {name}\n    fast  {our:?}\n    exiv2 {their:?}").unwrap();
            }
        }
    }
    println!("{compared} values compared");
    assert!(compared > 1_000, "only {compared} values were compared");
    assert!(report.is_empty(), "{report}");
}

#[test]
fn broken_files_give_an_error_or_what_can_be_saved() {
    let Some(corpus) = corpus() else { return };
    let reader = reader();
    let reading = |name: &str| {
        let path = corpus.join("library").join(name);
        let format = FileFormat::from_extension(path.extension().unwrap().to_str().unwrap()).unwrap();
        read(&reader, &path, format)
    };
    for (name, expected) in [
        ("2002/11/23/._IMG_0147.JPG", "not a picture: macOS's notes"),
        ("Inbox/recovered/zero.CR2", "empty file"),
        ("Inbox/recovered/zero.jpg", "empty file"),
        ("Inbox/recovered/broken image.JPG", "not a picture"),
        ("Inbox/recovered/this-is-a-jpeg.png", "named png, but the content is a JPEG"),
        ("2010/03/01/_DSC0150.NEF", "named nef, but the content is a JPEG"),
    ] {
        let error = reading(name).error.unwrap_or_default();
        assert!(error.contains(expected), "{name}: `{error}`");
    }
    let misnamed = reading("2010/03/01/_DSC0150.NEF").facts;
    assert_eq!((misnamed.width_px, misnamed.model.as_deref()), (Some(2000), Some("NIKON D70s")));
    for name in
        ["Inbox/recovered/corrupted_city.JPG", "Inbox/recovered/image_E5700_half.JPG", "2025/09/06/3H7A4410.CR3", "2009/11/13/DSC00021.ARW"]
    {
        assert!(reading(name).facts.captured_at.is_some(), "{name}");
    }
    for name in ["Inbox/recovered/FILE0007.heic", "Inbox/recovered/broken.jpg", "Inbox/recovered/animated-earth.jpg"] {
        let reading = reading(name);
        assert!(reading.error.is_some() || reading.facts.width_px.is_some(), "{name}: {reading:?}");
    }
}

/// Good files of the corpus, at most a megabyte of each.
fn seeds(corpus: &Path) -> Vec<(Vec<u8>, FileFormat)> {
    let small = |(_, path, format): (String, PathBuf, FileFormat)| {
        let mut content = std::fs::read(path).unwrap();
        content.truncate(1 << 20);
        (!content.is_empty()).then_some((content, format))
    };
    files(corpus).into_iter().filter_map(small).collect()
}

/// Good files that are made here, for where there is no corpus and beside it.
fn made_seeds() -> Vec<(Vec<u8>, FileFormat)> {
    let packet = media::xmp(r#"xmp:Rating="3" tiff:Make="Canon""#, &["harbour", "night"]);
    let jpeg = media::Jpeg::new(160, 120).camera("Canon", "EOS R5").taken("2024:05:31 12:30:00").orientation(6).place(-33.8, 151.2);
    let jpeg = jpeg.xmp(&packet).encode();
    let picture = chart::chart(160, 108);
    vec![
        (jpeg, FileFormat::Jpeg),
        (chart::png(&picture, None), FileFormat::Png),
        (dng::dng(160, 108, dng::RGGB, 6, |x, y| picture.get_pixel(x, y).0), FileFormat::Dng),
        (packet.into_bytes(), FileFormat::Xmp),
    ]
}

/// Every round goes through both readers: the fast one, which asks the children by itself where it needs to, and exiv2 in a child.
#[test]
fn two_thousand_damaged_files_go_through_the_children_and_stop_nothing() {
    const ROUNDS: usize = 2_000;
    let mut seeds = corpus().map(|corpus| seeds(&corpus)).unwrap_or_default();
    seeds.extend(made_seeds());
    let good = tempfile::NamedTempFile::with_suffix(".jpg").unwrap();
    std::fs::write(good.path(), &made_seeds()[0].0).unwrap();
    let reader = reader();
    let (next, saved, refused, ended) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong = Mutex::new(Vec::new());
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let file = tempfile::NamedTempFile::new().unwrap();
                loop {
                    let round = next.fetch_add(1, Ordering::Relaxed);
                    if round >= ROUNDS {
                        break;
                    }
                    let mut dice = Dice::of_round(0x5eed_0001, round);
                    let (content, format) = &seeds[dice.roll(seeds.len())];
                    let bad = damaged(content, &mut dice);
                    std::fs::write(file.path(), &bad).unwrap();
                    let fault = |what: String| wrong.lock().unwrap().push(format!("round {round}, a {format}: {what}"));
                    let reading = reader.read(file.path(), *format, bad.len() as u64);
                    let error = reading.error.unwrap_or_default();
                    if error.contains("broke down") || error.contains("no answer within") || reading.fingerprint.is_none() {
                        fault(error);
                    }
                    match reader.read_with_exiv2(file.path()) {
                        Ok(_) => saved.fetch_add(1, Ordering::Relaxed),
                        Err(error) if error.contains("no answer within") || error.contains("could not start") => {
                            fault(error);
                            0
                        }
                        Err(error) if error.contains("the reading process") => ended.fetch_add(1, Ordering::Relaxed),
                        Err(_) => refused.fetch_add(1, Ordering::Relaxed),
                    };
                    if largest_child_mib().is_some_and(|mib| mib > 1_024) {
                        fault(format!("a child took {:?} MiB", largest_child_mib()));
                    }
                    if round.is_multiple_of(20)
                        && reader.read_with_exiv2(good.path()).map(|facts| facts.make) != Ok(Some("Canon".to_owned()))
                    {
                        fault("the next file is not read".to_owned());
                    }
                }
            });
        }
    });
    let (saved, refused, ended) = (saved.into_inner(), refused.into_inner(), ended.into_inner());
    println!(
        "{ROUNDS} rounds in {:.0} s: exiv2 read {saved}, refused {refused}, ended its child on {ended}",
        started.elapsed().as_secs_f64()
    );
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(saved + refused + ended, ROUNDS);
    assert!(saved > ROUNDS / 10 && ended < ROUNDS / 20, "{saved} read, {ended} children ended");
}

#[test]
fn without_working_children_pictures_are_still_read() {
    let Some(corpus) = corpus() else { return };
    let reader = MetaReader::new(MetaOptions { workers: 1, timeout: Duration::from_secs(5), program: Some("/bin/false".into()) });
    let path = |name: &str| corpus.join("library").join(name);
    let reading = read(&reader, &path("2011/04/25/DSC_0317.JPG"), FileFormat::Jpeg);
    assert_eq!((reading.error, reading.facts.make.as_deref()), (None, Some("NIKON CORPORATION")));
    let reading = read(&reader, &path("2003/11/10/CRW_0173.CRW"), FileFormat::Crw);
    assert!(reading.error.unwrap().contains("the reading process died (exit status 1)"));
}

/// Prints how fast a folder is read: `HM_BENCH_LIBRARY=… cargo nextest run --run-ignored only --no-capture -E 'test(measure)'`.
#[test]
#[ignore = "measures, asserts nothing"]
fn measure_reading_a_library() {
    let Some(library) = std::env::var_os("HM_BENCH_LIBRARY") else {
        println!("skipped: HM_BENCH_LIBRARY names no folder");
        return;
    };
    let files = files(Path::new(&library));
    let reader = reader();
    for round in 0..3 {
        let started = std::time::Instant::now();
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some((_, path, format)) = files.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                        std::hint::black_box(read(&reader, path, *format));
                    }
                });
            }
        });
        let seconds = started.elapsed().as_secs_f64();
        println!("round {round}: {} files, {:.0} files/s", files.len(), files.len() as f64 / seconds);
    }
    let mut formats: BTreeMap<(&str, String), (u32, Duration)> = BTreeMap::new();
    for (_, path, format) in &files {
        let started = std::time::Instant::now();
        let reading = read(&reader, path, *format);
        let sum = formats.entry((format.name(), reading.facts.reader)).or_default();
        *sum = (sum.0 + 1, sum.1 + started.elapsed());
    }
    for ((format, by), (count, time)) in formats {
        println!("{format:6} by {by:12} {count:6} files, {:6.3} ms each", time.as_secs_f64() * 1e3 / f64::from(count));
    }
}
