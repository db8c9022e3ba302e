//! `hm demo`: another program reads what it wrote, and it writes the same twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use hm::media::demo::{DemoError, DemoOptions, DemoSummary, render_library};
use serde_json::Value;

use crate::support::files_below;

const SMALL: DemoOptions = DemoOptions { count: 120, seed: 1, long_side_px: 96 };

fn rendered(options: DemoOptions) -> (tempfile::TempDir, DemoSummary) {
    let dir = tempfile::tempdir().unwrap();
    let summary = render_library(dir.path(), &options, || ()).unwrap();
    (dir, summary)
}

fn by_name(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files_below(dir).into_iter().map(|path| (path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let small = DemoOptions { count: 24, long_side_px: 64, ..SMALL };
    let (first, second, other) = (rendered(small), rendered(small), rendered(DemoOptions { seed: 2, ..small }));
    assert!(by_name(first.0.path()) == by_name(second.0.path()), "two runs differ");
    assert!(by_name(first.0.path()) != by_name(other.0.path()), "the seed changes nothing");
}

#[test]
fn it_writes_the_files_it_counts_and_never_into_a_folder_of_somebody_else() {
    let (dir, summary) = rendered(DemoOptions { count: 5, ..SMALL });
    let files = files_below(dir.path());
    assert_eq!(files.len(), summary.files + 1, "the marker is not counted");
    assert!(summary.files >= 5);

    fs::remove_file(files.iter().find(|path| path.extension().is_some_and(|e| e == "JPG")).unwrap()).unwrap();
    assert_eq!(render_library(dir.path(), &SMALL, || ()).unwrap(), DemoSummary::default(), "a complete demo is left alone");
    assert_eq!(files_below(dir.path()).len(), summary.files);

    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("diary.txt"), "mine").unwrap();
    let refused = render_library(other.path(), &SMALL, || ());
    assert!(matches!(&refused, Err(DemoError::NotEmpty(path)) if path == other.path()), "{refused:?}");
    assert_eq!(files_below(other.path()).len(), 1);
}

#[test]
fn an_interrupted_demo_is_completed() {
    let options = DemoOptions { count: 6, long_side_px: 64, ..SMALL };
    let (whole, _) = rendered(options);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(".hm-demo"), "unfinished\n").unwrap();
    render_library(dir.path(), &options, || ()).unwrap();
    assert!(by_name(dir.path()) == by_name(whole.path()));
}

#[test]
fn exiftool_reads_what_the_cameras_of_the_demo_wrote() {
    if Command::new("exiftool").arg("-ver").output().is_err() {
        eprintln!("skipped: exiftool is not installed");
        return;
    }
    let (dir, _) = rendered(SMALL);
    let records = exiftool(dir.path());
    let text = |record: &Value, tag: &str| record[tag].as_str().unwrap_or_default().to_owned();
    let number = |record: &Value, tag: &str| record[tag].as_f64();
    let count = |wanted: &dyn Fn(&Value) -> bool| records.iter().filter(|record| wanted(record)).count();

    let mut models = BTreeSet::new();
    for record in &records {
        let name = text(record, "SourceFile");
        if name.ends_with(".xmp") || name.ends_with(".png") || name.ends_with(".hm-demo") {
            continue;
        }
        assert!(text(record, "Warning").is_empty() || name.contains("Recovered"), "{record}");
        assert_eq!(text(record, "DateTimeOriginal").len(), 19, "{record}");
        assert!(number(record, "Orientation").is_some_and(|turn| [1.0, 6.0, 8.0].contains(&turn)), "{record}");
        models.insert(text(record, "Model"));
    }
    assert_eq!(models.len(), 8, "{models:?}");

    let with_gps = |r: &Value| number(r, "GPSLatitude").is_some_and(|d| d.abs() > 20.0) && number(r, "GPSAltitude").is_some();
    assert!(count(&with_gps) >= 20);
    assert!(count(&|r| with_gps(r) && number(r, "GPSLatitude") < Some(0.0)) >= 1, "nobody went south");
    assert!(count(&|r| text(r, "OffsetTimeOriginal") == "+02:00") >= 5);
    assert!(count(&|r| number(r, "Orientation") == Some(6.0)) >= 3 && count(&|r| number(r, "Orientation") == Some(8.0)) >= 3);
    assert!(count(&|r| text(r, "LensModel").contains("PENTAX")) >= 5);

    let sidecar = |r: &Value| text(r, "SourceFile").ends_with(".xmp");
    assert!(count(&|r| sidecar(r) && number(r, "Rating").is_some_and(|stars| (-1.0..=5.0).contains(&stars))) >= 5);
    assert!(count(&|r| sidecar(r) && r["HierarchicalSubject"].to_string().contains('|') && r["Subject"].is_array()) >= 5);
    assert!(count(&|r| !sidecar(r) && number(r, "Rating").is_some()) >= 1, "no rating inside a JPEG");
}

#[test]
fn a_dng_names_its_mosaic_and_holds_a_preview_of_the_same_size() {
    if Command::new("exiftool").arg("-ver").output().is_err() {
        eprintln!("skipped: exiftool is not installed");
        return;
    }
    let (dir, _) = rendered(SMALL);
    let mut seen = 0;
    for record in exiftool(dir.path()).iter().filter(|r| r["FileType"] == "DNG") {
        seen += 1;
        assert_eq!(record["PhotometricInterpretation"], 32803, "{record}");
        let path = record["SourceFile"].as_str().unwrap();
        let preview = Command::new("exiftool").args(["-b", "-PreviewImage", path]).output().unwrap().stdout;
        let header = turbojpeg::read_header(&preview).unwrap();
        assert_eq!(record["ImageSize"], format!("{} {}", header.width, header.height), "{record}");
        assert_eq!(header.width, 96);
        if seen == 3 {
            break;
        }
    }
    assert_eq!(seen, 3);
}

/// Numbers where the tag is one; every file below `dir`.
fn exiftool(dir: &Path) -> Vec<Value> {
    let tags = [
        "-DateTimeOriginal",
        "-OffsetTimeOriginal",
        "-Model",
        "-LensModel",
        "-Orientation",
        "-GPSLatitude",
        "-GPSLongitude",
        "-GPSAltitude",
        "-Rating",
        "-Subject",
        "-HierarchicalSubject",
        "-FileType",
        "-ImageSize",
        "-SubIFD:PhotometricInterpretation",
        "-Warning",
    ];
    let output = Command::new("exiftool").args(["-json", "-n", "-r", "-ext", "*"]).args(tags).arg(dir).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}
