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

#[test]
fn raw_and_jpeg_of_one_stem_need_one_time() {
    check(
        &[
            File::new("IMG_1.CR2").at("10:00:00").pixels(6000, 4000),
            File::new("img_1.jpg").at("10:00:02").pixels(6000, 4000),
            File::new("IMG_2.CR2").at("10:00:00"),
            File::new("IMG_2.JPG").at("10:00:09"),
            File::new("IMG_3.CR2").at("10:00:00").pixels(6000, 4000),
            File::new("IMG_3.JPG").pixels(1600, 1067),
            File::new("IMG_4.NEF").at("10:00:00").camera("NIKON CORPORATION", "NIKON D70"),
            File::new("IMG_4.JPG").at("10:00:00").camera("Canon", "Canon EOS R6"),
            File::new("IMG_5.CR2").at("10:00:00").camera("Canon", "Canon EOS R6"),
            File::new("IMG_5.JPG").at("12:00:00").camera("Canon", "EOS R6"),
            File::new("IMG_6.CR2").at("10:00:00").camera("Canon", "Canon EOS R6"),
            File::new("IMG_6.JPG").at("12:00:07").camera("Canon", "Canon EOS R6"),
            File::new("IMG_7.CR2").at("10:00:00"),
            File::new("IMG_7.dng").at("10:00:00"),
        ],
        &[
            "raw+jpeg = IMG_1.CR2:O + ~img_1.jpg:E",
            "single = IMG_2.CR2:O",
            "single = IMG_2.JPG:O",
            "raw+jpeg = ~IMG_3.CR2:O + IMG_3.JPG:E",
            "single = IMG_4.NEF:O",
            "single = IMG_4.JPG:O",
            "raw+jpeg = ~IMG_5.CR2:O + IMG_5.JPG:E",
            "single = IMG_6.CR2:O",
            "single = IMG_6.JPG:O",
            "raw+jpeg = ~IMG_7.CR2:O + IMG_7.dng:E",
        ],
    );
}

#[test]
fn versions_need_their_base_and_its_time() {
    check(
        &[
            File::new("IMG_1.JPG").at("10:00:00"),
            File::new("IMG_1_001.JPG").at("10:00:00"),
            File::new("IMG_1-2.jpg").at("10:00:00"),
            File::new("IMG_1-Edit.tif").at("10:00:00"),
            File::new("IMG_1-Edit-2.tif").at("10:00:00"),
            File::new("IMG_1 (1).JPG").at("10:00:00"),
            File::new("IMG_1_002.JPG").at("10:00:01"),
            File::new("IMG_1-Edit-old.jpg").at("11:00:30"),
            File::new("IMG_1 at the lake.jpg").at("10:00:00"),
            File::new("IMG_2-Edit.jpg").at("10:00:00"),
            File::new("IMG_3.JPG"),
            File::new("IMG_3_001.JPG"),
            File::new("IMG_3(1).JPG"),
            File::new("IMG_3-edited.JPG"),
            File::new("IMG_3-bearbeitet.JPG"),
            File::new("foto001.jpg").at("10:00:00"),
            File::new("foto001bw.jpg").at("10:00:00"),
            File::new("IMG_1.dng").at("10:00:00"),
            File::new("IMG_1-HDR.dng").at("10:00:00"),
        ],
        &[
            "raw+jpeg = ~IMG_1.dng:O + IMG_1.JPG:E + IMG_1 (1).JPG:D + IMG_1 at the lake.jpg:D + IMG_1-2.jpg:D + IMG_1-Edit-2.tif:D + IMG_1-Edit.tif:D + IMG_1-HDR.dng:D + IMG_1_001.JPG:D",
            "single = IMG_1_002.JPG:O",
            "single = IMG_1-Edit-old.jpg:O",
            "single = IMG_2-Edit.jpg:O",
            "derivative = ~IMG_3.JPG:O + IMG_3-bearbeitet.JPG:D + IMG_3-edited.JPG:D",
            "single = IMG_3_001.JPG:O",
            "single = IMG_3(1).JPG:O",
            "derivative = ~foto001.jpg:O + foto001bw.jpg:D",
        ],
    );
}

#[test]
fn bursts_are_moments_of_their_own() {
    check(
        &[
            File::new("2020-05-04_10-00-00.CR2").at("10:00:00"),
            File::new("2020-05-04_10-00-00_001.CR2").at("10:00:00"),
            File::new("2020-05-04_10-00-00_001.JPG").at("10:00:00").pixels(6000, 4000),
            File::new("20200504_100000.jpg").at("10:00:00").pixels(4000, 3000),
            File::new("20200504_100000_001.jpg").at("10:00:00").pixels(4000, 3000),
            File::new("20200504_100000_002.jpg").at("10:00:00").pixels(800, 600),
            File::new("IMG_20200504_100000_BURST001_COVER.jpg").at("10:00:00"),
            File::new("IMG_20200504_100000_BURST001.jpg").at("10:00:00"),
            File::new("DSC_0001_BURST20200504100000123.JPG").at("10:00:00"),
            File::new("DSC_0001.JPG").at("10:00:00"),
            File::new("wild-1.jpg").at("10:00:00"),
            File::new("wild-2.jpg").at("10:00:00"),
            File::new("X.jpg").at("10:00:00.100"),
            File::new("X_001.jpg").at("10:00:00.600"),
        ],
        &[
            "single = 2020-05-04_10-00-00.CR2:O",
            "raw+jpeg = 2020-05-04_10-00-00_001.CR2:O + ~2020-05-04_10-00-00_001.JPG:E",
            "derivative = ~20200504_100000.jpg:O + 20200504_100000_002.jpg:D",
            "single = 20200504_100000_001.jpg:O",
            "single = IMG_20200504_100000_BURST001_COVER.jpg:O",
            "single = IMG_20200504_100000_BURST001.jpg:O",
            "single = DSC_0001_BURST20200504100000123.JPG:O",
            "single = DSC_0001.JPG:O",
            "single = wild-1.jpg:O",
            "single = wild-2.jpg:O",
            "single = X.jpg:O",
            "single = X_001.jpg:O",
        ],
    );
}

#[test]
fn untouched_copies_stay_images_of_their_own() {
    check(
        &[
            File::new("IMG_1.JPG").at("10:00:00").bytes(1),
            File::new("IMG_1 copy.JPG").at("10:00:00").bytes(1),
            File::new("IMG_1 - Kopie.JPG").at("10:00:00").bytes(2),
        ],
        &["derivative = ~IMG_1.JPG:O + IMG_1 - Kopie.JPG:D", "single = IMG_1 copy.JPG:O"],
    );
}

#[test]
fn pixel_names() {
    check(
        &[
            File::new("PXL_20200504_080000000.RAW-01.MP.COVER.jpg").at("10:00:00").pixels(4080, 3072).camera("Google", "Pixel 7"),
            File::new("PXL_20200504_080000000.RAW-02.ORIGINAL.dng").at("10:00:05").pixels(4080, 3072).camera("Google", "Pixel 7"),
            File::new("PXL_20200504_080000001.dng").at("10:00:00").pixels(4080, 3072),
            File::new("PXL_20200504_080000001.MP.jpg").at("10:00:01").pixels(4080, 3072),
            File::new("PXL_20200504_080000001.MP"),
            File::new("PXL_20200504_080000001.MP~2.jpg").at("10:00:01"),
            File::new("PXL_20200504_080000001.MP~2"),
            File::new("PXL_20200504_080000002.PORTRAIT-01.COVER.jpg").at("10:00:02"),
            File::new("PXL_20200504_080000002.PORTRAIT-02.ORIGINAL.jpg").at("10:00:02"),
            File::new("PXL_20200504_080000003.NIGHT.jpg").at("10:00:03"),
            File::new("PXL_20200504_080000003.NIGHT-edited.jpg").at("10:00:03"),
            File::new("PXL_20200504_080000004.LS.mp4").at("08:00:04"),
            File::new("PXL_20200504_080000005~2.jpg").at("10:00:05"),
            File::new("MVIMG_20200504_100000.jpg").at("10:00:00"),
            File::new("MVIMG_20200504_100000.MP4").at("08:00:01"),
            File::new("MVIMG_20200504_100000~2.jpg").at("10:00:00"),
        ],
        &[
            "pixel = PXL_20200504_080000000.RAW-02.ORIGINAL.dng:O + ~PXL_20200504_080000000.RAW-01.MP.COVER.jpg:C",
            "pixel = PXL_20200504_080000001.dng:O + ~PXL_20200504_080000001.MP.jpg:C + PXL_20200504_080000001.MP~2.jpg:D + PXL_20200504_080000001.MP:S + PXL_20200504_080000001.MP~2:S",
            "pixel = ~PXL_20200504_080000002.PORTRAIT-02.ORIGINAL.jpg:O + PXL_20200504_080000002.PORTRAIT-01.COVER.jpg:C",
            "pixel = ~PXL_20200504_080000003.NIGHT.jpg:O + PXL_20200504_080000003.NIGHT-edited.jpg:D",
            "single = PXL_20200504_080000004.LS.mp4:O",
            "single = PXL_20200504_080000005~2.jpg:O",
            "live-photo = ~MVIMG_20200504_100000.jpg:O + MVIMG_20200504_100000~2.jpg:D + MVIMG_20200504_100000.MP4:S",
        ],
    );
}

#[test]
fn iphone_names() {
    check(
        &[
            File::new("IMG_1.HEIC").at("10:00:00.5").content_id("A"),
            File::new("IMG_1.MOV").at("08:00:00").content_id("A"),
            File::new("IMG_1.AAE"),
            File::new("IMG_O1.AAE"),
            File::new("IMG_E1.JPG").at("10:00:00.5").content_id("A"),
            File::new("IMG_E1.MOV").at("08:00:00").content_id("A"),
            File::new("IMG_2.HEIC").at("10:00:00").content_id("B"),
            File::new("IMG_2.MOV").at("08:00:00").content_id("C"),
            File::new("IMG_3.HEIC").at("10:00:00"),
            File::new("IMG_3_HEVC.MOV").at("19:33:21"),
            File::new("IMG_4.JPG").at("10:00:00"),
            File::new("IMG_4.MOV").at("10:21:33"),
            File::new("IMG_5.JPG").at("10:00:00"),
            File::new("IMG_5.MOV"),
            File::new("IMG_6.HEIC").at("10:00:00").camera("Apple", "iPhone"),
            File::new("IMG_6.jpg").at("10:00:00").camera("Apple", "iPhone"),
            File::new("IMG_7.DNG").at("10:00:00").camera("Apple", "iPhone").pixels(4032, 3024),
            File::new("IMG_7.HEIC").at("10:00:00").camera("Apple", "iPhone").pixels(4032, 3024),
            File::new("IMG_E8.JPG").at("10:00:00"),
            File::new("renamed.MOV").at("08:00:00").content_id("D"),
            File::new("IMG_9.HEIC").at("10:00:00").content_id("D"),
        ],
        &[
            "live-photo = ~IMG_1.HEIC:O + IMG_E1.JPG:D + IMG_1.AAE:S + IMG_O1.AAE:S + IMG_1.MOV:S + IMG_E1.MOV:S",
            "single = IMG_2.HEIC:O",
            "single = IMG_2.MOV:O",
            "live-photo = ~IMG_3.HEIC:O + IMG_3_HEVC.MOV:S",
            "single = IMG_4.JPG:O",
            "single = IMG_4.MOV:O",
            "live-photo = ~IMG_5.JPG:O + IMG_5.MOV:S",
            "same-stem = ~IMG_6.HEIC:O + IMG_6.jpg:E",
            "raw+jpeg = IMG_7.DNG:O + ~IMG_7.HEIC:C",
            "single = IMG_E8.JPG:O",
            "live-photo = ~IMG_9.HEIC:O + renamed.MOV:S",
        ],
    );
}

#[test]
fn sidecars_find_their_owner() {
    check(
        &[
            File::new("A.CR2").at("10:00:00").pixels(6000, 4000),
            File::new("A.JPG").at("10:00:00").pixels(6000, 4000),
            File::new("A.xmp"),
            File::new("A.JPG.xmp"),
            File::new("A.CR2.xmp"),
            File::new("A_01.CR2.xmp"),
            File::new("A.CR2.pp3"),
            File::new("B.CR2"),
            File::new("B_01.CR2"),
            File::new("B_01.CR2.xmp"),
            File::new("C.jpg").at("10:00:00"),
            File::new("C-Edit.jpg").at("10:00:00"),
            File::new("C-Edit.xmp"),
            File::new("D.CR2").at("10:00:00"),
            File::new("D.JPG").at("11:00:30"),
            File::new("D.xmp").at("11:00:30"),
            File::new("E.JPG"),
            File::new("E.CR2.xmp"),
            File::new("MVI_1.AVI"),
            File::new("MVI_1.THM"),
            File::new("MVI_2.THM"),
            File::new("orphan.xmp"),
            File::new("zero.jpg").broken(),
        ],
        &[
            "raw+jpeg = A.CR2:O + ~A.JPG:E + A.CR2.xmp:S + A.xmp:S + A_01.CR2.xmp:S + A.CR2.pp3:S + A.JPG.xmp:S",
            "single = B.CR2:O",
            "sidecar = ~B_01.CR2:O + B_01.CR2.xmp:S",
            "derivative = ~C.jpg:O + C-Edit.jpg:D + C-Edit.xmp:S",
            "single = D.CR2:O",
            "sidecar = ~D.JPG:O + D.xmp:S",
            "sidecar = ~E.JPG:O + E.CR2.xmp:S",
            "sidecar = MVI_1.AVI:O + ~MVI_1.THM:S",
            "loose = MVI_2.THM",
            "loose = orphan.xmp",
            "single = zero.jpg:O",
        ],
    );
}

#[test]
fn takeout_names() {
    let long = "a very long name that somebody gave to a picture once.jpg";
    let media = "a very long name that somebody gave to a pictur.jpg";
    check(
        &[
            File::new("A.jpg"),
            File::new("A.jpg.supplemental-metadata.json"),
            File::new("A(1).jpg"),
            File::new("A.jpg.supplemental-metadata(1).json"),
            File::new("A(2).jpg"),
            File::new("A.jpg(2).json"),
            File::new("A-edited.jpg"),
            File::new("PXL_20200504_080000000.MP.jpg"),
            File::new("PXL_20200504_080000000.MP.jpg.supplemental-met.json"),
            File::new(media),
            File::new("a very long name that somebody gave to a pictu.json").title(long),
            File::new("Q_A.jpg"),
            File::new("Q&A.json").title("Q&A.jpg"),
            File::new("metadata.json"),
            File::new("clip.mp4"),
            File::new("clip.mp4.json"),
        ],
        &[
            "derivative = ~A.jpg:O + A-edited.jpg:D + A.jpg.supplemental-metadata.json:S",
            "takeout = ~A(1).jpg:O + A.jpg.supplemental-metadata(1).json:S",
            "takeout = ~A(2).jpg:O + A.jpg(2).json:S",
            "takeout = ~PXL_20200504_080000000.MP.jpg:O + PXL_20200504_080000000.MP.jpg.supplemental-met.json:S",
            "takeout = ~a very long name that somebody gave to a pictur.jpg:O + a very long name that somebody gave to a pictu.json:S",
            "takeout = ~Q_A.jpg:O + Q&A.json:S",
            "loose = metadata.json",
            "takeout = ~clip.mp4:O + clip.mp4.json:S",
        ],
    );
}

#[test]
fn fastfoto_scans() {
    let scan = |name: &str| File::new(name).pixels(1800, 1200);
    check(
        &[
            // All three names, and nothing else to go by.
            scan("Oma_0001.jpg"),
            scan("Oma_0001_a.jpg"),
            scan("Oma_0001_b.jpg").pixels(1790, 1210),
            // Two of them, and the scanner's own word.
            scan("Oma_0002.jpg").camera("EPSON", "FastFoto FF-680W"),
            scan("Oma_0002_a.jpg").camera("EPSON", "FastFoto FF-680W"),
            scan("Oma_0003.tif").camera("EPSON", "FastFoto FF-680W"),
            scan("Oma_0003_b.tif"),
            // Two of them, and no word: perhaps two prints.
            scan("Album_0004.jpg"),
            scan("Album_0004_a.jpg"),
            // No front.
            scan("Oma_0005_a.jpg").camera("EPSON", "FastFoto FF-680W"),
            scan("Oma_0005_b.jpg").camera("EPSON", "FastFoto FF-680W"),
            // Photographs of a camera that somebody named so.
            File::new("house_1.jpg").at("10:00:00").camera("Canon", "EOS R6"),
            File::new("house_1_a.jpg").at("10:00:07").camera("Canon", "EOS R6"),
            File::new("house_1_b.jpg").at("10:00:09").camera("Canon", "EOS R6"),
            // A person gave the whole batch one date.
            scan("Opa_0001.jpg").at("12:00:00").camera("EPSON", "FastFoto FF-680W"),
            scan("Opa_0001_a.jpg").at("12:00:00").camera("EPSON", "FastFoto FF-680W"),
            scan("Opa_0001_b.jpg").at("12:00:00").camera("EPSON", "FastFoto FF-680W"),
            scan("Opa_0002.jpg").at("12:00:00").camera("EPSON", "FastFoto FF-680W"),
        ],
        &[
            "scan = ~Oma_0001.jpg:O + Oma_0001_a.jpg:D + Oma_0001_b.jpg:U",
            "scan = ~Oma_0002.jpg:O + Oma_0002_a.jpg:D",
            "scan = ~Oma_0003.tif:O + Oma_0003_b.tif:U",
            "single = Album_0004.jpg:O",
            "single = Album_0004_a.jpg:O",
            "single = Oma_0005_a.jpg:O",
            "single = Oma_0005_b.jpg:O",
            "single = house_1.jpg:O",
            "single = house_1_a.jpg:O",
            "single = house_1_b.jpg:O",
            "scan = ~Opa_0001.jpg:O + Opa_0001_a.jpg:D + Opa_0001_b.jpg:U",
            "single = Opa_0002.jpg:O",
        ],
    );
}

/// One moment of each naming convention known to us, in a folder of its own, with what it must come to. The evidence is what such files hold:
/// a name alone never suffices where two pictures could share it.
#[test]
fn every_naming_convention_is_kept() {
    type Case = (&'static str, Vec<File>, &'static [&'static str]);
    let f = File::new;
    let shot = |name: &str| File::new(name).at("10:00:00").pixels(4080, 3072);
    let pixel = |name: &str| shot(name).camera("Google", "Pixel 7");
    let iphone = |name: &str| shot(name).camera("Apple", "iPhone 12");
    let p = "PXL_20200504_080000000";
    let cases: Vec<Case> = vec![
        ("Lightroom's sidecar is the RAW's", vec![shot("A.CR2"), shot("A.JPG"), f("A.xmp")], &["raw+jpeg = A.CR2:O + ~A.JPG:E + A.xmp:S"]),
        ("darktable's sidecar", vec![shot("A.CR2"), f("A.CR2.xmp")], &["sidecar = ~A.CR2:O + A.CR2.xmp:S"]),
        (
            "darktable's duplicates",
            vec![shot("A.CR2"), f("A.CR2.xmp"), f("A_01.CR2.xmp"), f("A_02.CR2.xmp")],
            &["sidecar = ~A.CR2:O + A.CR2.xmp:S + A_01.CR2.xmp:S + A_02.CR2.xmp:S"],
        ),
        (
            "a duplicate's name that is a picture's own",
            vec![shot("A.CR2"), f("A_01.CR2").at("10:00:05"), f("A_01.CR2.xmp")],
            &["single = A.CR2:O", "sidecar = ~A_01.CR2:O + A_01.CR2.xmp:S"],
        ),
        ("digiKam's and Immich's sidecar", vec![iphone("A.HEIC"), f("A.HEIC.xmp")], &["sidecar = ~A.HEIC:O + A.HEIC.xmp:S"]),
        (
            "settings of RawTherapee, RapidRAW, ON1, DxO, Capture One, Nikon, Canon; a voice memo",
            vec![
                shot("A.NEF"),
                f("A.NEF.pp3"),
                f("A.NEF.rrdata"),
                f("A.on1"),
                f("A.NEF.dop"),
                f("A.NEF.cos"),
                f("A.NEF.nksc"),
                f("A.vrd"),
                f("A.dr4"),
                f("A.WAV"),
            ],
            &[
                "sidecar = ~A.NEF:O + A.NEF.pp3:S + A.NEF.cos:S + A.NEF.dop:S + A.NEF.nksc:S + A.NEF.rrdata:S + A.WAV:S + A.dr4:S + A.on1:S + A.vrd:S",
            ],
        ),
        (
            "iPhone: live photo, its edit, its edit lists",
            vec![
                iphone("IMG_1234.HEIC").content_id("A"),
                f("IMG_1234.MOV").at("08:00:00").content_id("A"),
                f("IMG_1234.AAE"),
                f("IMG_O1234.AAE"),
                iphone("IMG_E1234.JPG").content_id("A"),
                f("IMG_E1234.MOV").at("08:00:00").content_id("A"),
            ],
            &["live-photo = ~IMG_1234.HEIC:O + IMG_E1234.JPG:D + IMG_1234.AAE:S + IMG_O1234.AAE:S + IMG_1234.MOV:S + IMG_E1234.MOV:S"],
        ),
        (
            "iCloud tools' name for the moving part",
            vec![iphone("IMG_1234.HEIC"), f("IMG_1234_HEVC.MOV")],
            &["live-photo = ~IMG_1234.HEIC:O + IMG_1234_HEVC.MOV:S"],
        ),
        (
            "Pixel: RAW and cover",
            vec![pixel(&format!("{p}.RAW-01.COVER.jpg")), pixel(&format!("{p}.RAW-02.ORIGINAL.dng"))],
            &["pixel = PXL_20200504_080000000.RAW-02.ORIGINAL.dng:O + ~PXL_20200504_080000000.RAW-01.COVER.jpg:C"],
        ),
        (
            "Pixel: RAW and moving cover, stamped later",
            vec![pixel(&format!("{p}.RAW-01.MP.COVER.jpg")), pixel(&format!("{p}.RAW-02.ORIGINAL.dng")).at("10:00:04")],
            &["pixel = PXL_20200504_080000000.RAW-02.ORIGINAL.dng:O + ~PXL_20200504_080000000.RAW-01.MP.COVER.jpg:C"],
        ),
        (
            "Pixel: plain DNG beside a motion photo",
            vec![pixel(&format!("{p}.dng")), pixel(&format!("{p}.MP.jpg"))],
            &["pixel = PXL_20200504_080000000.dng:O + ~PXL_20200504_080000000.MP.jpg:C"],
        ),
        (
            "Pixel: portrait, with the plain capture",
            vec![pixel(&format!("{p}.PORTRAIT-01.COVER.jpg")), pixel(&format!("{p}.PORTRAIT-02.ORIGINAL.jpg"))],
            &["pixel = ~PXL_20200504_080000000.PORTRAIT-02.ORIGINAL.jpg:O + PXL_20200504_080000000.PORTRAIT-01.COVER.jpg:C"],
        ),
        (
            "Pixel: moving subject, long exposure",
            vec![
                pixel(&format!("{p}.MOTION-01.COVER.jpg")),
                pixel(&format!("{p}.MOTION-02.ORIGINAL.jpg")),
                pixel("PXL_20200504_080001000.LONG_EXPOSURE-01.COVER.jpg").at("10:00:01"),
                pixel("PXL_20200504_080001000.LONG_EXPOSURE-02.ORIGINAL.jpg").at("10:00:01"),
            ],
            &[
                "pixel = ~PXL_20200504_080000000.MOTION-02.ORIGINAL.jpg:O + PXL_20200504_080000000.MOTION-01.COVER.jpg:C",
                "pixel = ~PXL_20200504_080001000.LONG_EXPOSURE-02.ORIGINAL.jpg:O + PXL_20200504_080001000.LONG_EXPOSURE-01.COVER.jpg:C",
            ],
        ),
        (
            "Pixel: night, panorama, slow and lapse videos stand alone",
            vec![
                pixel(&format!("{p}.NIGHT.jpg")),
                pixel("PXL_20200504_080001000.PANO.jpg").at("10:00:01"),
                f("PXL_20200504_080002000.LS.mp4").at("08:00:02"),
                f("PXL_20200504_080003000.TS.mp4").at("08:00:03"),
            ],
            &[
                "single = PXL_20200504_080000000.NIGHT.jpg:O",
                "single = PXL_20200504_080001000.PANO.jpg:O",
                "single = PXL_20200504_080002000.LS.mp4:O",
                "single = PXL_20200504_080003000.TS.mp4:O",
            ],
        ),
        (
            "Pixel: edited copies and bare moving parts",
            vec![pixel(&format!("{p}.jpg")), pixel(&format!("{p}~2.jpg")), f(&format!("{p}.MP")), f(&format!("{p}.MP~2"))],
            &[
                "pixel = ~PXL_20200504_080000000.jpg:O + PXL_20200504_080000000~2.jpg:D + PXL_20200504_080000000.MP:S + PXL_20200504_080000000.MP~2:S",
            ],
        ),
        (
            "older Pixels",
            vec![
                shot("MVIMG_20200504_100000.jpg"),
                shot("IMG_20200504_100000_BURST000_COVER_TOP.jpg"),
                shot("IMG_20200504_100000_BURST001.jpg"),
                shot("00001IMG_00001_BURST20200504100000_COVER.jpg"),
                shot("00002IMG_00002_BURST20200504100000.jpg"),
            ],
            &[
                "single = MVIMG_20200504_100000.jpg:O",
                "single = IMG_20200504_100000_BURST000_COVER_TOP.jpg:O",
                "single = IMG_20200504_100000_BURST001.jpg:O",
                "single = 00001IMG_00001_BURST20200504100000_COVER.jpg:O",
                "single = 00002IMG_00002_BURST20200504100000.jpg:O",
            ],
        ),
        (
            "Takeout: whole word",
            vec![f("A.jpg"), f("A.jpg.supplemental-metadata.json")],
            &["takeout = ~A.jpg:O + A.jpg.supplemental-metadata.json:S"],
        ),
        ("Takeout: cut word", vec![f("A.jpg"), f("A.jpg.suppl.json")], &["takeout = ~A.jpg:O + A.jpg.suppl.json:S"]),
        ("Takeout: older", vec![f("A.jpg"), f("A.jpg.json")], &["takeout = ~A.jpg:O + A.jpg.json:S"]),
        (
            "Takeout: the number swaps places",
            vec![f("A.jpg"), f("A.jpg.json"), f("A(1).jpg"), f("A.jpg(1).json")],
            &["takeout = ~A.jpg:O + A.jpg.json:S", "takeout = ~A(1).jpg:O + A.jpg(1).json:S"],
        ),
        (
            "Samsung's and Huawei's bursts",
            vec![
                shot("20200504_100000.jpg"),
                shot("20200504_100000_001.jpg"),
                shot("IMG_20200504_100000_BURST001_COVER.jpg"),
                shot("IMG_20200504_100000_BURST002.jpg"),
            ],
            &[
                "single = 20200504_100000.jpg:O",
                "single = 20200504_100000_001.jpg:O",
                "single = IMG_20200504_100000_BURST001_COVER.jpg:O",
                "single = IMG_20200504_100000_BURST002.jpg:O",
            ],
        ),
        (
            "Sony Xperia's and Canon's bursts",
            vec![
                shot("DSC_0001_BURST20200504100000123.JPG"),
                shot("DSC_0002_BURST20200504100000123.JPG"),
                shot("CSI_0001.CR3"),
                shot("IMG_0001.CR3"),
            ],
            &[
                "single = DSC_0001_BURST20200504100000123.JPG:O",
                "single = DSC_0002_BURST20200504100000123.JPG:O",
                "single = CSI_0001.CR3:O",
                "single = IMG_0001.CR3:O",
            ],
        ),
        (
            "DCF names of eight makers",
            vec![
                shot("DSC_0001.NEF"),
                shot("DSC_0001.JPG"),
                shot("_DSC0001.NRW"),
                shot("_MG_0001.CR2"),
                shot("_MG_0001.JPG"),
                shot("DSC00001.ARW"),
                shot("DSCF0001.RAF"),
                shot("P1010001.ORF"),
                shot("_1010001.JPG"),
                shot("P1000001.RW2"),
                shot("P1000001.JPG"),
                f("MVI_0001.MP4").at("10:00:00"),
                f("MVI_0001.THM"),
            ],
            &[
                "raw+jpeg = DSC_0001.NEF:O + ~DSC_0001.JPG:E",
                "single = _DSC0001.NRW:O",
                "raw+jpeg = _MG_0001.CR2:O + ~_MG_0001.JPG:E",
                "single = DSC00001.ARW:O",
                "single = DSCF0001.RAF:O",
                "single = P1010001.ORF:O",
                "single = _1010001.JPG:O",
                "raw+jpeg = P1000001.RW2:O + ~P1000001.JPG:E",
                "sidecar = MVI_0001.MP4:O + ~MVI_0001.THM:S",
            ],
        ),
        (
            "GoPro: chapters are clips of their own, each with its small twin and thumbnail",
            vec![
                f("GX010048.MP4").at("10:00:00"),
                f("GL010048.LRV"),
                f("GX010048.THM"),
                f("GX020048.MP4").at("10:08:32"),
                f("GL020048.LRV"),
                f("GOPR0001.JPG").at("10:00:00"),
                f("GOPR0002.MP4").at("10:00:00"),
                f("GOPR0002.LRV"),
                f("G0020061.JPG").at("10:00:00"),
                f("G0020062.JPG").at("10:00:00"),
            ],
            &[
                "sidecar = GX010048.MP4:O + ~GX010048.THM:S + GL010048.LRV:S",
                "sidecar = ~GX020048.MP4:O + GL020048.LRV:S",
                "single = GOPR0001.JPG:O",
                "sidecar = ~GOPR0002.MP4:O + GOPR0002.LRV:S",
                "single = G0020061.JPG:O",
                "single = G0020062.JPG:O",
            ],
        ),
        (
            "DJI: flight data and small twin; RAW pair",
            vec![f("DJI_0001.MP4").at("10:00:00"), f("DJI_0001.SRT"), f("DJI_0001.LRF"), shot("DJI_0002.DNG"), shot("DJI_0002.JPG")],
            &["sidecar = ~DJI_0001.MP4:O + DJI_0001.LRF:S + DJI_0001.SRT:S", "raw+jpeg = DJI_0002.DNG:O + ~DJI_0002.JPG:E"],
        ),
        ("Sony's clip data", vec![f("C0001.MP4").at("10:00:00"), f("C0001M01.XML")], &["sidecar = ~C0001.MP4:O + C0001M01.XML:S"]),
        (
            "a counter that wrapped: one name, two days",
            vec![shot("IMG_0001.CR2").camera("Canon", "EOS R6"), f("IMG_0001.JPG").at("18:20:00").camera("Canon", "EOS 5D")],
            &["single = IMG_0001.CR2:O", "single = IMG_0001.JPG:O"],
        ),
    ];
    for (what, files, expected) in cases {
        let mut expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        expected.sort();
        assert_eq!(lines(&files, &group(&files)), expected, "{what}");
    }
    // Google translates `-edited`; macOS hands the accents out in pieces, which the walk puts together.
    for word in [
        "-edited",
        "-effects",
        "-smile",
        "-mix",
        "-bearbeitet",
        "-modifié",
        "-modificato",
        "-bewerkt",
        "-edytowane",
        "-編集済み",
        "-ha editado",
        "-editat",
    ] {
        let version = format!("A{word}.jpg");
        let files = [f("A.jpg").pixels(4000, 3000), f(&version).pixels(4000, 3000), f("A.jpg.supplemental-metadata.json")];
        let expected = format!("derivative = ~A.jpg:O + {version}:D + A.jpg.supplemental-metadata.json:S");
        assert_eq!(lines(&files, &group(&files)), [expected]);
    }
}

#[test]
fn pins_overrule_everything() {
    check(
        &[
            File::new("A.CR2").at("10:00:00").pin("one"),
            File::new("A.JPG").at("10:00:00"),
            File::new("A.CR2.xmp"),
            File::new("A.JPG.xmp"),
            File::new("B.jpg").at("12:00:00").pin("two"),
            File::new("C.jpg").at("13:00:00").pin("two"),
            File::new("B-Edit.jpg").at("12:00:00").pin("two"),
            File::new("C.xmp").pin("one"),
            File::new("left.xmp").pin("three"),
        ],
        &[
            "person = ~A.CR2:O + A.CR2.xmp:S + C.xmp:S",
            "sidecar = ~A.JPG:O + A.JPG.xmp:S",
            "person = ~B.jpg:O + B-Edit.jpg:D + C.jpg:U",
            "loose = left.xmp",
        ],
    );
}

#[test]
fn other_broken_and_doubtful_files() {
    check(
        &[
            File::new("zero.CR2").broken(),
            File::new("zero.jpg").broken(),
            File::new("half.CR2").broken(),
            File::new("half.JPG").at("10:00:00").pixels(3000, 2000),
            File::new("shot.png").pixels(1000, 500),
            File::new("shot.jpg").pixels(1000, 500),
            File::new("other.png").pixels(1000, 500),
            File::new("other.jpg").pixels(500, 500),
            File::new("same.jpg").at("10:00:00"),
            File::new("SAME.JPG").at("10:00:00"),
            File::new("twin.jpg"),
            File::new("TWIN.JPG"),
            File::new("v1.2.jpg"),
        ],
        &[
            "single = zero.CR2:O",
            "single = zero.jpg:O",
            "raw+jpeg = half.CR2:O + ~half.JPG:E",
            "same-stem = ~shot.png:O + shot.jpg:E",
            "single = other.png:O",
            "single = other.jpg:O",
            "derivative = ~SAME.JPG:O + same.jpg:D",
            "single = twin.jpg:O",
            "single = TWIN.JPG:O",
            "single = v1.2.jpg:O",
        ],
    );
    let files = [File::new("half.CR2").broken(), File::new("half.JPG").at("10:00:00")];
    let grouping = group(&files);
    assert_eq!(grouping.groups[0].primary, 1, "a broken original leads nothing");
    assert_eq!(grouping.groups[0].base_name, "half");
}

/// A folder of a hundred thousand look-alikes: anything quadratic would take minutes here, and hours in the folder of a million.
#[test]
fn large_folders_are_no_matter() {
    let mut files = Vec::new();
    for number in 0..20_000 {
        files.push(File::new(&format!("IMG ({number}).CR2")).at("10:00:00"));
        files.push(File::new(&format!("IMG ({number}).JPG")).at("10:00:00").content_id("one for all"));
        files.push(File::new(&format!("IMG ({number}).xmp")));
        files.push(File::new(&format!("IMG.JPG.supplemental-meta({number}).json")).title("IMG.JPG"));
        files.push(File::new(&format!("IMG_O{number}.AAE")));
    }
    let grouping = group(&files);
    assert_eq!(grouping.groups.len(), 20_000);
    assert_eq!(grouping.loose.len(), 40_000);
}

/// Names made of the pieces that grouping looks for, so that they meet often.
fn any_name() -> impl Strategy<Value = String> {
    let base = prop_oneof![
        Just("IMG_1"),
        Just("img_1"),
        Just("IMG_E1"),
        Just("IMG_O1"),
        Just("X"),
        Just("PXL_20200504_080000000"),
        Just("20200504_100000"),
        Just("Zoé"),
        Just("DSC_0001_BURST1"),
        Just("a very long name that somebody gave to a pictur")
    ];
    let middle = prop_oneof![
        4 => Just(""), 1 => Just("_001"), 1 => Just("-Edit"), 1 => Just("(1)"), 1 => Just("~2"), 1 => Just(" copy"), 1 => Just("_HEVC"),
        1 => Just(".MP"), 1 => Just(".RAW-01.COVER"), 1 => Just(".RAW-02.ORIGINAL"), 1 => Just("bw"), 1 => Just("-2"), 1 => Just("_01")
    ];
    let end = prop_oneof![
        Just(".CR2"),
        Just(".dng"),
        Just(".JPG"),
        Just(".jpg"),
        Just(".HEIC"),
        Just(".png"),
        Just(".tif"),
        Just(".MOV"),
        Just(".mp4"),
        Just(".MP"),
        Just(".xmp"),
        Just(".CR2.xmp"),
        Just(".jpg.xmp"),
        Just(".AAE"),
        Just(".THM"),
        Just(".json"),
        Just(".jpg.json"),
        Just(".jpg(1).json"),
        Just(".jpg.supplemental-met.json"),
        Just(".pp3")
    ];
    (base, middle.clone(), middle, end).prop_map(|(base, first, second, end)| format!("{base}{first}{second}{end}"))
}

fn any_file(name: impl Strategy<Value = String>) -> impl Strategy<Value = File> {
    let times = prop_oneof![Just(None), Just(Some("10:00:00")), Just(Some("10:00:01")), Just(Some("10:00:03.5")), Just(Some("08:00:00"))];
    let cameras = prop_oneof![2 => Just(None), 1 => Just(Some(("Canon", "EOS R6"))), 1 => Just(Some(("Apple", "iPhone")))];
    let pins = prop_oneof![6 => Just(None), 1 => Just(Some("one")), 1 => Just(Some("two"))];
    let ids = prop_oneof![4 => Just(None), 1 => Just(Some("A")), 1 => Just(Some("B"))];
    (name, times, cameras, pins, ids, 0_u8..4, any::<bool>(), any::<bool>()).prop_map(
        |(name, time, camera, pin, id, byte, readable, known)| {
            let format = format_of_name(&name).unwrap_or(FileFormat::Jpeg);
            let mut file = File { format, readable, ..File::new("x.jpg") };
            file.name = name;
            if let Some(time) = time {
                file = file.at(time)
            }
            if let Some((make, model)) = camera {
                file = file.camera(make, model)
            }
            if let Some(pin) = pin {
                file = file.pin(pin)
            }
            if let Some(id) = id {
                file = file.content_id(id)
            }
            if known {
                file = file.bytes(byte).pixels(u32::from(byte) * 1000, 1000)
            }
            file
        },
    )
}

/// A folder has each name once.
fn distinct(files: Vec<File>) -> Vec<File> {
    let mut seen = BTreeSet::new();
    files.into_iter().filter(|file| seen.insert(file.name.clone())).collect()
}

fn assert_sound(files: &[File], grouping: &Grouping) {
    let mut seen = vec![0; files.len()];
    for file in
        grouping.groups.iter().flat_map(|group| group.members.iter().map(|member| member.file)).chain(grouping.loose.iter().copied())
    {
        seen[file] += 1;
    }
    assert!(seen.iter().all(|times| *times == 1), "every file is in exactly one place");
    let mut home_of_pin: HashMap<&str, usize> = HashMap::new();
    for (at, group) in grouping.groups.iter().enumerate() {
        let member = |file: usize| group.members.iter().find(|member| member.file == file);
        let is_sidecar_format = |file: usize| is_sidecar(files[file].format);
        assert_eq!(group.members.iter().filter(|member| member.role == FileRole::Original).count(), 1);
        assert_eq!(group.members[0].role, FileRole::Original);
        assert!(!group.base_name.is_empty());
        assert_ne!(member(group.primary).expect("the primary is a member").role, FileRole::Sidecar);
        let picture = group.picture.expect("there is always something to try");
        assert!(member(picture).is_some() && (!is_sidecar_format(picture) || files[picture].format == FileFormat::Thm));
        for file in &group.members {
            assert!(!is_sidecar_format(file.file) || file.role == FileRole::Sidecar);
            assert!(file.about.is_none_or(|owner| member(owner).is_some()), "a sidecar speaks about a file of its image");
            if let Some(pin) = &files[file.file].pin {
                assert_eq!(group.rule, "person");
                assert_eq!(*home_of_pin.entry(pin).or_insert(at), at, "one pin, one image");
            }
        }
        let pins: BTreeSet<&str> = group.members.iter().filter_map(|member| files[member.file].pin.as_deref()).collect();
        assert!(pins.len() <= 1, "two pins, two images");
    }
    for file in &grouping.loose {
        assert!(is_sidecar(files[*file].format), "only sidecars are left over");
    }
}

fn is_sidecar(format: FileFormat) -> bool {
    format.kind() == hm::models::FileKind::Sidecar
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn order_does_not_matter(
        (files, shuffled) in proptest::collection::vec(any_file(any_name()), 0..40)
            .prop_map(distinct)
            .prop_flat_map(|files| (Just(files.clone()), Just(files).prop_shuffle()))
    ) {
        let grouping = group(&files);
        assert_sound(&files, &grouping);
        prop_assert_eq!(lines(&files, &grouping), lines(&shuffled, &group(&shuffled)));
    }

    #[test]
    fn no_name_is_too_odd(files in proptest::collection::vec(any_file(".{1,60}"), 0..20)) {
        assert_sound(&files, &group(&files));
    }
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
