//! Pictures of real files, by the child that makes them: every file of the corpus gives what `pictures.json` says it can, upright,
//! and nothing crashes or hangs. And the maker behind the pages: over a small library, with the real database and children.

mod formats;
mod sweep;

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use diesel::{QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::BigInt};
use hm::{
    config::Config,
    db::pictures,
    media::{
        child::ChildPool,
        pixels::{PictureRequest, PictureSource, PicturesMade, PixelsError},
    },
    models::{FileFormat, ImageId, Orientation, VaultId},
    pipeline::{PictureContext, PictureMaker, PictureProgress, PictureStore, WantedPictures},
};
use image::RgbImage;
use serde::Deserialize;

use crate::support::{TestDatabase, files_below, media, temp_dir, wait_until};

const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Deserialize)]
struct Expectations {
    files: BTreeMap<String, Expectation>,
}

#[derive(Deserialize)]
struct Expectation {
    picture: String,
    full: Option<(u32, u32)>,
    partial: Option<(u32, u32)>,
    #[serde(default)]
    embedded: BTreeMap<String, (u32, u32)>,
}

/// The folder of real files, or `None` with a word about it where there is none.
fn corpus() -> Option<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if corpus.is_dir() {
        return Some(corpus);
    }
    eprintln!("skipped: {} is not there", corpus.display());
    None
}

fn children() -> ChildPool {
    ChildPool::new(env!("CARGO_BIN_EXE_hm"), ["pixel-worker"], 2)
}

fn make(children: &ChildPool, source: PathBuf, dir: &Path) -> Result<PicturesMade, PixelsError> {
    make_turned(children, source, None, dir)
}

/// As [`make`], where the metadata said how the pixels must be turned after decoding.
fn make_turned(children: &ChildPool, source: PathBuf, orientation: Option<Orientation>, dir: &Path) -> Result<PicturesMade, PixelsError> {
    let extension = source.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_owned();
    let request = PictureRequest {
        source,
        format: FileFormat::from_extension(&extension).unwrap_or(FileFormat::Jpeg),
        orientation,
        stored_px: None,
        proxy: dir.join("proxy.jpg"),
        thumbnail: dir.join("thumb.webp"),
        proxy_px: 1024,
        thumbnail_px: 256,
        max_pixels: 100_000_000,
        timeout_s: 30,
    };
    let answer = children.call(&serde_json::to_vec(&request).unwrap(), PATIENCE).expect("the child answers");
    serde_json::from_slice(&answer).expect("the answer is understood")
}

fn assert_shape(name: &str, made: &PicturesMade, (width, height): (u32, u32)) {
    let ratio = f64::from(made.proxy_px.0) / f64::from(made.proxy_px.1);
    let expected = f64::from(width) / f64::from(height);
    assert!((ratio / expected - 1.0).abs() < 0.03, "{name}: {:?} has not the shape of {width} × {height}", made.proxy_px);
}

#[test]
fn every_file_of_the_corpus_gives_what_it_can() {
    let Some(corpus) = corpus() else { return };
    let text = std::fs::read_to_string(corpus.join("pictures.json")).unwrap();
    let expectations: Expectations = serde_json::from_str(&text).unwrap();
    let children = children();
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (name, expected) in &expectations.files {
        let made = make(&children, corpus.join(name), dir.path());
        match (expected.picture.as_str(), made) {
            ("full", Ok(made)) => {
                let full = expected.full.expect("full pictures have a size");
                assert_shape(name, &made, full);
                if made.full_px != Some(full) {
                    wrong.push(format!("{name}: {made:?}, not {full:?}"));
                }
            }
            ("partial", Ok(made)) => {
                assert_shape(name, &made, expected.partial.expect("partial pictures have a size"));
                if made.note.is_none() {
                    wrong.push(format!("{name}: nothing is said about what is missing"));
                }
            }
            ("preview", Ok(made)) => {
                let largest = expected.embedded.values().map(|(width, height)| *width.max(height)).max().unwrap_or(0);
                let longest = made.proxy_px.0.max(made.proxy_px.1);
                if made.source != PictureSource::EmbeddedPreview || longest < largest.min(1024) {
                    wrong.push(format!("{name}: {made:?}, not the preview of {largest} px"));
                }
            }
            ("thumb", Ok(made)) if made.source == PictureSource::EmbeddedPreview => {}
            ("none", Err(_)) => {}
            (picture, made) => wrong.push(format!("{name}: {made:?}, not {picture}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(expectations.files.len() > 100);
}

/// A few pixels of the proxy, to compare pictures by.
fn glance(proxy: &Path) -> RgbImage {
    let proxy = turbojpeg::decompress(&std::fs::read(proxy).unwrap(), turbojpeg::PixelFormat::RGB).unwrap();
    let proxy = RgbImage::from_raw(proxy.width as u32, proxy.height as u32, proxy.pixels).unwrap();
    image::imageops::resize(&proxy, 12, 8, image::imageops::FilterType::Triangle)
}

#[test]
fn one_landscape_stored_eight_ways_looks_the_same() {
    let Some(corpus) = corpus() else { return };
    let mut files = files_below(&corpus.join("library"));
    let is_landscape = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.strip_prefix("Landscape_").and_then(|rest| rest.strip_suffix(".jpg")).is_some_and(|number| number.parse::<u8>().is_ok())
    };
    files.retain(is_landscape);
    assert!(files.len() >= 8, "{files:?}");
    let children = children();
    let dir = tempfile::tempdir().unwrap();
    let glances: Vec<RgbImage> = files
        .iter()
        .map(|file| {
            make(&children, file.clone(), dir.path()).unwrap();
            glance(&dir.path().join("proxy.jpg"))
        })
        .collect();
    for (file, glance) in files.iter().zip(&glances) {
        let apart: u32 = glance.as_raw().iter().zip(glances[0].as_raw()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        let mean = f64::from(apart) / glance.as_raw().len() as f64;
        assert!(mean < 14.0, "{} differs by {mean:.1} levels", file.display());
    }
}

/// Wishes by hand.
#[derive(Default)]
struct Wishes {
    wanted: Mutex<Vec<ImageId>>,
    heard: Mutex<Vec<PictureProgress>>,
}

impl WantedPictures for Wishes {
    fn take(&self, most: usize) -> Vec<ImageId> {
        let mut wanted = self.wanted.lock().unwrap();
        let left = wanted.len().saturating_sub(most);
        wanted.split_off(left)
    }

    fn publish(&self, progress: &PictureProgress) {
        self.heard.lock().unwrap().push(progress.clone());
    }
}

/// A library of one folder, with its maker.
struct Library {
    database: TestDatabase,
    vault: tempfile::TempDir,
    thumbs: tempfile::TempDir,
    wishes: Arc<Wishes>,
}

impl Library {
    fn new() -> Self {
        let library = Self { database: TestDatabase::new(), vault: temp_dir(), thumbs: temp_dir(), wishes: Arc::default() };
        library.run("INSERT INTO vaults (name) VALUES ('v')");
        library.run(&format!("INSERT INTO vault_mounts VALUES (1, 'here', '{}')", library.vault.path().display()));
        library.run("INSERT INTO folders (vault_id, tree, rel_path_bytes, rel_path, name) VALUES (1, 'f1', '', '', '')");
        library
    }

    fn run(&self, statement: &str) {
        self.database.connection().batch_execute(statement).unwrap();
    }

    fn number(&self, question: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Number {
            #[diesel(sql_type = BigInt)]
            number: i64,
        }
        let row: Number = sql_query(format!("SELECT ({question})::bigint AS number")).get_result(&mut self.database.connection()).unwrap();
        row.number
    }

    /// An image of one file, as a scan would record it.
    fn add(&self, name: &str, bytes: &[u8], digit: char) -> ImageId {
        let path = self.vault.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        let modified_at_ns = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
        let key: String = std::iter::repeat_n(digit, 32).collect();
        self.run(&format!(
            "WITH image AS (INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, file_count,
                 total_size_bytes, suffixes, has_raw, has_jpeg, has_sidecar, is_video, grouping_rule, picture_key)
             VALUES (1, 1, '{name}', '2024-05-0{digit} 12:00:00', 'file-name', 1, 1, '{{}}', false, true, false, false, 'stem', '{key}')
             RETURNING id)
             INSERT INTO files (vault_id, folder_id, image_id, name_bytes, name, format, role, size_bytes, modified_at_ns, facts)
             SELECT 1, 1, id, '{name}', '{name}', 'jpeg', 'ORIGINAL', {}, {modified_at_ns}, '{{}}' FROM image",
            bytes.len()
        ));
        ImageId(self.number("SELECT max(id) FROM images"))
    }

    /// Another state of an image's file, as a scan after the change would record it.
    fn replace(&self, image: ImageId, name: &str, bytes: &[u8], digit: char) {
        let path = self.vault.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        let modified_at_ns = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
        let key: String = std::iter::repeat_n(digit, 32).collect();
        self.run(&format!(
            "UPDATE files SET size_bytes = {}, modified_at_ns = {modified_at_ns} WHERE image_id = {image};
             UPDATE images SET picture_key = '{key}' WHERE id = {image}",
            bytes.len()
        ));
    }

    fn start(&self) -> PictureMaker {
        self.start_in(self.thumbs.path(), 2)
    }

    fn start_in(&self, dir: &Path, workers: usize) -> PictureMaker {
        let mut thumbs = Config::load(None).unwrap().thumbs;
        thumbs.dir = dir.to_owned();
        thumbs.workers = workers;
        let context = PictureContext {
            db: self.database.pool(),
            thumbs,
            host: "here".to_owned(),
            program: env!("CARGO_BIN_EXE_hm").into(),
            arguments: vec!["pixel-worker".into()],
            wanted: self.wishes.clone(),
        };
        PictureMaker::start(context).unwrap()
    }

    fn is_on_disk(&self, digit: char) -> bool {
        let key: String = std::iter::repeat_n(digit, 32).collect();
        PictureStore::new(self.thumbs.path()).is_complete(&key.parse().unwrap())
    }
}

#[test]
fn what_is_lacking_is_made_failures_are_recorded_and_what_is_lost_is_made_again() {
    let library = Library::new();
    let good = library.add("a.jpg", &media::Jpeg::new(900, 600).encode(), '1');
    library.add("b.jpg", b"no picture at all", '2');
    let changed = library.add("c.jpg", &media::Jpeg::new(90, 60).encode(), '3');
    library.run(&format!("UPDATE files SET size_bytes = size_bytes + 1 WHERE image_id = {changed}"));
    let maker = library.start();
    wait_until("two of three are settled", PATIENCE, || library.number("SELECT count(*) FROM pictures") == 2);
    assert!(library.is_on_disk('1') && !library.is_on_disk('2') && !library.is_on_disk('3'));
    let as_expected = "SELECT count(*) FROM pictures JOIN images ON id = image_id AND key = picture_key WHERE
        (base_name = 'a.jpg' AND pictures.width_px = 900 AND pictures.height_px = 600 AND source = 'full' AND error IS NULL AND length(placeholder) > 5)
        OR (base_name = 'b.jpg' AND error <> '' AND pictures.width_px IS NULL)";
    assert_eq!(library.number(as_expected), 2);
    assert_eq!(library.number("SELECT ratio_milli FROM images WHERE base_name = 'a.jpg'"), 1500);

    std::fs::remove_dir_all(library.thumbs.path()).unwrap();
    library.wishes.wanted.lock().unwrap().push(good);
    wait_until("the lost picture is made again", PATIENCE, || library.is_on_disk('1'));

    library.run(&format!("UPDATE files SET size_bytes = size_bytes - 1 WHERE image_id = {changed}"));
    library.wishes.wanted.lock().unwrap().push(changed);
    wait_until("a rescanned file is made when someone looks", PATIENCE, || library.is_on_disk('3'));
    wait_until("progress is told", PATIENCE, || {
        library.wishes.heard.lock().unwrap().last().is_some_and(|progress| progress.done == 3 && progress.failed == 1)
    });
    maker.stop();
    let new = std::fs::read_dir(library.thumbs.path().join("new")).unwrap().count();
    assert_eq!(new, 0, "something unfinished was left behind");
}

#[test]
fn what_is_on_a_screen_is_made_before_what_is_lacking() {
    let library = Library::new();
    let bytes = media::Jpeg::new(600, 400).encode();
    let images: Vec<ImageId> = ('1'..='9').map(|digit| library.add(&format!("{digit}.jpg"), &bytes, digit)).collect();
    // Looked at: the three oldest, which would come last; the one wished for last is on the screen now.
    library.wishes.wanted.lock().unwrap().extend(&images[..3]);
    let maker = library.start_in(library.thumbs.path(), 1);
    wait_until("all are made", PATIENCE, || library.number("SELECT count(*) FROM pictures") == 9);
    maker.stop();
    let rank = |image: ImageId| {
        library.number(&format!("SELECT count(*) FROM pictures WHERE made_at <= (SELECT made_at FROM pictures WHERE image_id = {image})"))
    };
    let ranks: Vec<i64> = images.iter().map(|image| rank(*image)).collect();
    assert_eq!(ranks, [3, 2, 1, 9, 8, 7, 6, 5, 4]);
}

#[test]
fn nothing_is_held_against_files_whose_disk_is_not_there() {
    let library = Library::new();
    library.add("a.jpg", &media::Jpeg::new(90, 60).encode(), '1');
    library.run("UPDATE vault_mounts SET path = '/nowhere/at/all'");
    let maker = library.start();
    wait_until("it was tried", PATIENCE, || library.wishes.heard.lock().unwrap().last().is_some_and(|progress| progress.lacking == 1));
    maker.stop();
    assert_eq!(library.number("SELECT count(*) FROM pictures"), 0);
}

#[test]
fn lacking_images_come_newest_first_in_pages_and_not_from_offline_vaults() {
    let library = Library::new();
    let images: Vec<ImageId> = ('1'..='7').map(|digit| library.add(&format!("{digit}.jpg"), b"x", digit)).collect();
    let mut conn = library.database.connection();
    pictures::record_picture_failure(&mut conn, images[3], &"4".repeat(32).parse().unwrap(), "broken").unwrap();
    pictures::record_picture_failure(&mut conn, images[4], &"0".repeat(32).parse().unwrap(), "of an older state").unwrap();
    pictures::record_picture_failure(&mut conn, ImageId(99), &"0".repeat(32).parse().unwrap(), "gone").unwrap();
    assert_eq!(pictures::count_lacking_pictures(&mut conn), Ok(6));
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = pictures::list_lacking_pictures(&mut conn, after, &[], 2).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(*last);
        seen.extend(page.iter().map(|cursor| cursor.image));
    }
    let expected: Vec<ImageId> = [6, 5, 4, 2, 1, 0].map(|index: usize| images[index]).to_vec();
    assert_eq!(seen, expected);
    assert!(pictures::list_lacking_pictures(&mut conn, None, &[VaultId(1)], 2).unwrap().is_empty());
    library.run("UPDATE vaults SET offline_since = now()");
    assert_eq!(pictures::count_lacking_pictures(&mut conn), Ok(0));
}
