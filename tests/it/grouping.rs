//! Grouping: against human judgement on the corpus, by a table of naming rules, and by properties that hold for any folder.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
};

use chrono::NaiveDateTime;
use hm::{
    models::{CapturedAt, Facts, FileFormat, FileRole},
    scan::group::{Candidate, Grouping, format_of_name, group_folder},
};
use proptest::prelude::*;
use serde_json::Value;

/// A file of a made-up folder.
#[derive(Debug, Clone)]
struct File {
    name: String,
    format: FileFormat,
    facts: Facts,
    size_bytes: u64,
    fingerprint: Option<[u8; 16]>,
    pin: Option<String>,
    readable: bool,
}

impl File {
    fn new(name: &str) -> Self {
        let format = format_of_name(name).unwrap();
        Self { name: name.to_owned(), format, facts: Facts::default(), size_bytes: 1000, fingerprint: None, pin: None, readable: true }
    }

    fn at(mut self, time: &str) -> Self {
        let local = format!("2020-05-04T{time}").parse().unwrap();
        self.facts.captured_at = Some(CapturedAt { local, offset_minutes: None, source: "EXIF:DateTimeOriginal".to_owned() });
        self
    }

    fn camera(mut self, make: &str, model: &str) -> Self {
        (self.facts.make, self.facts.model) = (Some(make.to_owned()), Some(model.to_owned()));
        self
    }

    fn pixels(mut self, width: u32, height: u32) -> Self {
        (self.facts.width_px, self.facts.height_px) = (Some(width), Some(height));
        self
    }

    fn content_id(mut self, id: &str) -> Self {
        self.facts.content_id = Some(id.to_owned());
        self
    }

    fn title(mut self, title: &str) -> Self {
        self.facts.sidecar_for = Some(title.to_owned());
        self
    }

    fn bytes(mut self, byte: u8) -> Self {
        self.fingerprint = Some([byte; 16]);
        self
    }

    fn pin(mut self, pin: &str) -> Self {
        self.pin = Some(pin.to_owned());
        self
    }

    fn broken(mut self) -> Self {
        self.readable = false;
        self
    }
}

fn group(files: &[File]) -> Grouping {
    let candidates: Vec<Candidate<'_>> = files
        .iter()
        .map(|file| Candidate {
            name: &file.name,
            format: file.format,
            facts: &file.facts,
            size_bytes: file.size_bytes,
            modified_at: NaiveDateTime::default(),
            fingerprint: file.fingerprint,
            pin: file.pin.as_deref(),
            readable: file.readable,
        })
        .collect();
    group_folder(&candidates)
}

/// One line an image, files by name with the first letter of their role (`~` leads the file the picture is made from): easy to compare and to read.
fn lines(files: &[File], grouping: &Grouping) -> Vec<String> {
    let letter = |role: FileRole| role.name().chars().next().unwrap();
    let mut lines: Vec<String> = grouping
        .groups
        .iter()
        .map(|group| {
            let members = group.members.iter().map(|member| {
                let picture = if group.picture == Some(member.file) && group.members.len() > 1 { "~" } else { "" };
                format!("{picture}{}:{}", files[member.file].name, letter(member.role))
            });
            format!("{} = {}", group.rule, members.collect::<Vec<_>>().join(" + "))
        })
        .collect();
    lines.extend(grouping.loose.iter().map(|file| format!("loose = {}", files[*file].name)));
    lines.sort();
    lines
}

fn check(files: &[File], expected: &[&str]) {
    let mut expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
    expected.sort();
    assert_eq!(lines(files, &group(files)), expected);
}

mod corpus {
    use super::*;

    fn root() -> Option<&'static Path> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus"));
        if !root.join("groups.json").is_file() {
            eprintln!("skipped: the corpus is not at {}", root.display());
            return None;
        }
        Some(root)
    }

    fn text(entry: &Value, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| match &entry[*key] {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    }

    fn time(entry: &Value, format: FileFormat) -> Option<CapturedAt> {
        let video = ["QuickTime:CreateDate"];
        let still = ["ExifIFD:DateTimeOriginal", "ExifIFD:CreateDate", "XMP-exif:DateTimeOriginal", "XMP-xmp:CreateDate"];
        let keys: &[&str] = if matches!(format, FileFormat::Mov | FileFormat::Mp4 | FileFormat::Avi) { &video } else { &still };
        let text = text(entry, keys)?;
        let day = text.get(..10)?.replace(':', "-");
        let clock = text.get(11..19)?;
        let fraction = self::text(entry, &["ExifIFD:SubSecTimeOriginal"])
            .filter(|_| keys.len() > 1)
            .map_or(String::new(), |fraction| format!(".{fraction}"));
        let local = format!("{day}T{clock}{fraction}").parse().ok()?;
        let offset = self::text(entry, &["ExifIFD:OffsetTimeOriginal"]).and_then(|offset| {
            let sign: i16 = if offset.starts_with('-') { -1 } else { 1 };
            Some(sign * (offset.get(1..3)?.parse::<i16>().ok()? * 60 + offset.get(4..6)?.parse::<i16>().ok()?))
        });
        Some(CapturedAt { local, offset_minutes: offset, source: "exiftool".to_owned() })
    }

    fn facts(entry: &Value, format: FileFormat) -> Facts {
        let number = |keys: &[&str]| text(entry, keys).and_then(|text| text.parse::<u32>().ok());
        Facts {
            captured_at: time(entry, format),
            make: text(entry, &["IFD0:Make"]),
            model: text(entry, &["IFD0:Model"]),
            software: text(entry, &["IFD0:Software"]),
            content_id: text(entry, &["Apple:ContentIdentifier", "Apple:MediaGroupUUID", "Keys:ContentIdentifier"]),
            width_px: number(&["File:ImageWidth", "SubIFD:ImageWidth", "IFD0:ImageWidth"]),
            height_px: number(&["File:ImageHeight", "SubIFD:ImageHeight", "IFD0:ImageHeight"]),
            sidecar_for: (format == FileFormat::TakeoutJson).then(|| text(entry, &["JSON:Title"])).flatten(),
            ..Facts::default()
        }
    }

    /// The corpus as the walk would hand it over, folder by folder; junk is what `groups.json` says is no image and no companion.
    fn folders(root: &Path, judged: &Value) -> BTreeMap<String, Vec<File>> {
        let truth: Value = serde_json::from_slice(&fs::read(root.join("truth.json")).unwrap()).unwrap();
        let truth: HashMap<&str, &Value> =
            truth.as_array().unwrap().iter().map(|entry| (entry["SourceFile"].as_str().unwrap(), entry)).collect();
        let skipped = ["junk", "recycle", "hidden", "symlink", "other"];
        let mut paths: BTreeMap<&str, Option<&str>> = BTreeMap::new();
        for file in judged["images"].as_array().unwrap().iter().flat_map(|image| image["files"].as_array().unwrap()) {
            paths.insert(file["path"].as_str().unwrap(), file["sha256"].as_str());
        }
        for other in judged["not_images"].as_array().unwrap() {
            if !skipped.iter().any(|word| other["kind"].as_str().unwrap().contains(word)) {
                paths.insert(other["path"].as_str().unwrap(), None);
            }
        }
        let mut folders: BTreeMap<String, Vec<File>> = BTreeMap::new();
        for (path, digest) in paths {
            let (folder, name) = path.rsplit_once('/').unwrap();
            let Some(entry) = truth.get(path) else { panic!("{path} is judged but not in truth.json") };
            let mut file = File::new(name);
            file.facts = facts(entry, file.format);
            file.size_bytes = entry["System:FileSize"].as_u64().unwrap();
            file.readable = entry.get("ExifTool:Error").is_none() && file.size_bytes > 0;
            file.fingerprint = digest.map(|digest| std::array::from_fn(|at| u8::from_str_radix(&digest[at * 2..at * 2 + 2], 16).unwrap()));
            folders.entry(folder.to_owned()).or_default().push(file);
        }
        folders
    }

    #[test]
    fn agrees_with_human_judgement() {
        let Some(root) = root() else { return };
        let judged: Value = serde_json::from_slice(&fs::read(root.join("groups.json")).unwrap()).unwrap();
        let judged_paths: BTreeSet<&str> = judged["images"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|image| image["files"].as_array().unwrap())
            .map(|file| file["path"].as_str().unwrap())
            .collect();
        // Path → the image it came to lie in (as the set of its judged files), and its role.
        let mut images: HashMap<String, (BTreeSet<String>, FileRole, String)> = HashMap::new();
        let mut loose = BTreeSet::new();
        for (folder, files) in folders(root, &judged) {
            let grouping = group(&files);
            for group in &grouping.groups {
                let path = |file: usize| format!("{folder}/{}", files[file].name);
                let set: BTreeSet<String> = group.members.iter().map(|member| path(member.file)).collect();
                for member in &group.members {
                    images.insert(path(member.file), (set.clone(), member.role, group.base_name.clone()));
                }
            }
            loose.extend(grouping.loose.iter().map(|file| format!("{folder}/{}", files[*file].name)));
        }

        let mut strict_wrong = Vec::new();
        let (mut strict, mut arguable, mut arguable_wrong) = (0, 0, Vec::new());
        let (mut roles, mut roles_wrong, mut bases_wrong) = (0, Vec::new(), Vec::new());
        for image in judged["images"].as_array().unwrap() {
            let files = image["files"].as_array().unwrap();
            let expected: BTreeSet<String> = files.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect();
            let first = expected.first().unwrap();
            let found: BTreeSet<String> = images
                .get(first)
                .map(|(set, ..)| set.iter().filter(|path| judged_paths.contains(path.as_str())).cloned().collect())
                .unwrap_or_default();
            let is_strict = image["strict"].as_bool().unwrap();
            if is_strict {
                strict += 1
            } else {
                arguable += 1
            }
            if found != expected {
                let line = format!("expected {expected:?}\n     got {found:?} ({})", image["why"].as_str().unwrap_or_default());
                if is_strict {
                    strict_wrong.push(line)
                } else {
                    arguable_wrong.push(line)
                }
                continue;
            }
            for file in files {
                let path = file["path"].as_str().unwrap();
                let role = images[path].1;
                let also = file["also_acceptable"].as_array().into_iter().flatten().filter_map(Value::as_str);
                roles += 1;
                if !also.chain(file["role"].as_str()).any(|name| name == role.name()) {
                    roles_wrong.push(format!(
                        "{path}: expected {}, got {role}{}",
                        file["role"],
                        if is_strict { "" } else { " (arguable)" }
                    ));
                }
            }
            if is_strict && image["base"].as_str() != images.get(first).map(|(.., base)| base.as_str()) {
                bases_wrong.push(format!("{first}: base {:?} instead of {}", images.get(first).map(|(.., base)| base), image["base"]));
            }
        }
        println!("strict images right: {} of {strict}", strict - strict_wrong.len());
        println!("arguable images right: {} of {arguable}", arguable - arguable_wrong.len());
        println!("roles right: {} of {roles}", roles - roles_wrong.len());
        for line in strict_wrong.iter().chain(&arguable_wrong).chain(&roles_wrong).chain(&bases_wrong) {
            println!("  {line}");
        }

        for other in judged["not_images"].as_array().unwrap() {
            let path = other["path"].as_str().unwrap();
            match other["kind"].as_str().unwrap() {
                "video-companion" => {
                    let (set, role, _) = &images[path];
                    assert!(set.len() > 1 && *role == FileRole::Sidecar, "{path} is the moving part of a live photo: {set:?}");
                }
                "orphan-sidecar" | "album-metadata" => assert!(loose.contains(path), "{path} belongs to no image"),
                "video" => assert_eq!(images[path].1, FileRole::Original, "{path}"),
                "sidecar-of-video" => assert_eq!(images[path].1, FileRole::Sidecar, "{path}"),
                _ => {}
            }
        }
        assert_eq!(strict_wrong, Vec::<String>::new());
        assert_eq!(bases_wrong, Vec::<String>::new());
        assert_eq!(roles_wrong.iter().filter(|line| !line.ends_with("(arguable)")).count(), 0);
    }
}
