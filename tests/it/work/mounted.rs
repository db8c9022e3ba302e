//! An invited machine that has the vault mounted: it needs no proxy, answers as if it had one, and goes back to the proxies for whatever is
//! not as the library knows it.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use diesel::{
    QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Text},
};
use hm::{
    config::{Config, ModelsConfig, ThumbsConfig},
    infer::{manifest::Provenance, shelf::Shelf},
    media::demo::{DemoOptions, render_library},
    models::{
        ImageId, PictureKey,
        invitation::Invitation,
        task::{Answer, Lane, Priority, Task},
    },
    pipeline::{PictureContext, PictureMaker, PictureProgress, WantedPictures},
    queue::{LaneOffer, Queue},
    services::Services,
};
use tokio::runtime::Runtime;

use super::{
    invited::Library,
    tools::{SOON, runtime},
};
use crate::support::{files_below, hm_command, http::App, media::Jpeg, networks, wait_until};

/// No name of a folder or file has to be text; macOS has it otherwise.
const NAMELESS: &[u8] = if cfg!(target_os = "linux") { b"caf\xe9.jpg" } else { b"cafe.jpg" };
/// How far boxes may lie apart, in px, and scores: what is summed in another order.
const NEAR: f32 = 0.05;

/// Nobody looks.
struct Nobody;

impl WantedPictures for Nobody {
    fn take(&self, _: usize) -> Vec<ImageId> {
        Vec::new()
    }

    fn publish(&self, _: &PictureProgress) {}
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    base_name: String,
    #[diesel(sql_type = Text)]
    picture_key: String,
}

/// A scanned library whose proxies are made, a server that shows it, and a worker that it has invited.
struct Stage {
    library: Library,
    photos: PathBuf,
    /// Images and their pictures, by the name of the file.
    images: BTreeMap<String, (i64, PictureKey)>,
    /// To embed, and to find things.
    lanes: [Lane; 2],
    runtime: Runtime,
    queue: Queue,
    invitation: Invitation,
    _services: Services,
    _app: App,
}

impl Stage {
    /// `fill` puts the photographs into their folder.
    fn new(fill: impl FnOnce(&Path)) -> Self {
        let library = Library::new();
        let photos = library.disk.data("photos");
        fs::create_dir(&photos).unwrap();
        fill(&photos);
        let mut scan = hm_command();
        scan.env("HM_DATABASE_URL", library.database.url()).env("HM_REDIS_URL", "redis://127.0.0.1:1/");
        let output = scan.arg("--data-dir").arg(&library.data_dir).arg("scan").arg(&photos).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let images = Self::make_proxies(&library);

        let weights = library.disk.data("yolo");
        networks::yolo(&weights, "things.safetensors", 2);
        let provenance = Provenance { name: Some("things".into()), source: "a test".into(), ..Provenance::default() };
        let shelf = Shelf::new(&library.disk.models());
        let things = shelf.import(&weights.join("things.safetensors"), None, &provenance).unwrap().shelved().clone();
        let lanes = [library.disk.lane.clone(), things.lane().unwrap()];

        let services = library.open();
        let models = ModelsConfig { dir: library.disk.models(), ..ModelsConfig::default() };
        let app = App::start_as(library.database.pool(), &library.disk.thumbs(), None, move |state| state.with_models(models));
        let invitation = library.invite(&["attic", "--address", &app.address.to_string()]);
        let runtime = runtime();
        let queue = runtime.block_on(Queue::connect(services.redis_url())).unwrap();
        Self { library, photos, images, lanes, runtime, queue, invitation, _services: services, _app: app }
    }

    /// Makes the proxies as `hm serve` does.
    fn make_proxies(library: &Library) -> BTreeMap<String, (i64, PictureKey)> {
        let conn = &mut library.database.connection();
        let host = fs::read_to_string(library.data_dir.join("host")).unwrap().trim().to_owned();
        let maker = PictureMaker::start(PictureContext {
            db: library.database.pool(),
            thumbs: ThumbsConfig { dir: library.disk.thumbs(), workers: 1, ..Config::load(None).unwrap().thumbs },
            host,
            program: env!("CARGO_BIN_EXE_hm").into(),
            arguments: vec!["pixel-worker".into()],
            wanted: Arc::new(Nobody),
        });
        let images = "SELECT i.id, f.name AS base_name, i.picture_key FROM images i JOIN files f ON f.id = i.picture_file_id ORDER BY i.id";
        let images: Vec<Row> = sql_query(images).load(conn).unwrap();
        let mut made = || {
            let made = "SELECT image_id AS id, ''::text AS base_name, key AS picture_key FROM pictures WHERE error IS NULL";
            sql_query(made).load::<Row>(conn).unwrap().len()
        };
        wait_until("all pictures are made", SOON, || made() == images.len());
        maker.unwrap().stop();
        let images = images.into_iter().map(|row| (row.base_name, (row.id, row.picture_key.parse().unwrap())));
        images.collect()
    }

    fn task(&self, lane: &Lane, name: &str) -> Task {
        let (image, picture) = self.images.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.images));
        Task { lane: lane.clone(), image: ImageId(*image), picture: picture.clone(), priority: Priority::New, attempt: 0 }
    }

    /// What a worker with these arguments answers, by lane and image, and all that it said.
    fn work(&self, tasks: &[Task], args: &[&str]) -> (BTreeMap<(String, i64), Answer>, String) {
        self.runtime.block_on(async {
            let offer = |lane: &Lane| LaneOffer { lane: lane.clone(), facts: serde_json::json!({}) };
            self.queue.offer_lanes(&self.lanes.iter().map(offer).collect::<Vec<_>>()).await.unwrap();
            assert_eq!(self.queue.enqueue(tasks).await.unwrap(), tasks.len());
        });
        let mut command = hm_command();
        command.args(["work", "--once", "--join", &self.invitation.to_string()]).args(args).stdin(Stdio::null());
        command.env("HM_DATA_DIR", self.library.disk.data("attic")).env("HM_LOG_LEVEL", "info,hm::work=debug").env("HM_WORK_THREADS", "1");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let outcomes = self.runtime.block_on(self.queue.take_outcomes("server", 100, Duration::ZERO)).unwrap();
        self.runtime.block_on(self.queue.settle_outcomes(&outcomes)).unwrap();
        let answers: BTreeMap<_, _> = outcomes
            .into_iter()
            .map(|(_, outcome)| {
                let answer = outcome.answer.unwrap_or_else(|failure| panic!("image {}: {failure:?}\n{said}", outcome.task.image));
                ((outcome.task.lane.to_string(), outcome.task.image.0), answer)
            })
            .collect();
        assert_eq!(answers.len(), tasks.len(), "{said}");
        (answers, said)
    }
}

/// Panics unless both say the same, but for the order of their sums.
fn check(answers: &BTreeMap<(String, i64), Answer>, expected: &BTreeMap<(String, i64), Answer>) {
    for (of, answer) in answers {
        match (answer, &expected[of]) {
            (Answer::Embedding { vector }, Answer::Embedding { vector: expected }) => {
                let cosine: f32 = vector.iter().zip(expected).map(|(a, b)| a * b).sum();
                assert!(cosine > 0.9999 && vector.len() == expected.len(), "{of:?}: {cosine}");
            }
            (
                Answer::Regions { width_px, height_px, regions },
                Answer::Regions { width_px: expected_width_px, height_px: expected_height_px, regions: expected },
            ) => {
                assert_eq!((width_px, height_px, regions.len()), (expected_width_px, expected_height_px, expected.len()), "{of:?}");
                for (found, expected) in regions.iter().zip(expected) {
                    let (a, b) = (found.bounds, expected.bounds);
                    let sides = [(a.left_px, b.left_px), (a.top_px, b.top_px), (a.right_px, b.right_px), (a.bottom_px, b.bottom_px)];
                    assert!(sides.iter().all(|(a, b)| (a - b).abs() < NEAR), "{of:?}: {found:?} instead of {expected:?}");
                    assert!(found.label == expected.label && (found.score - expected.score).abs() < NEAR, "{of:?}");
                }
            }
            other => panic!("{of:?}: {other:?}"),
        }
    }
}

/// The names, sizes and times of all files.
fn listing(folder: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        (entry.path(), metadata.len(), metadata.modified().unwrap())
    });
    let mut listing: Vec<_> = entries.collect();
    listing.sort();
    listing
}

/// A RAW of the demo library, which has a preview.
fn demo_dng() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    render_library(dir.path(), &DemoOptions { count: 40, seed: 1, long_side_px: 96 }, || ()).unwrap();
    let dng =
        files_below(dir.path()).into_iter().find(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("dng")));
    fs::read(dng.expect("the demo has a DNG")).unwrap()
}

fn taken(second: u8) -> String {
    format!("2019:08:03 12:33:{second:02}")
}

#[test]
fn originals_that_are_mounted_are_seen_as_their_proxies_are() {
    let stage = Stage::new(|photos| {
        Jpeg::new(96, 64).patch([10, 8, 50, 40]).taken(&taken(1)).write(&photos.join("small.jpg"));
        // Larger than its proxy, and on its side.
        Jpeg::new(2600, 1700).patch([200, 300, 1500, 900]).orientation(6).taken(&taken(2)).write(&photos.join("turned.jpg"));
        Jpeg::new(80, 60).shade(90).orientation(3).taken(&taken(3)).write(&photos.join(OsStr::from_bytes(NAMELESS)));
        // Seen by its preview.
        fs::write(photos.join("raw.dng"), demo_dng()).unwrap();
    });
    let names: Vec<&str> = stage.images.keys().map(String::as_str).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    let mut tasks: Vec<Task> = names.iter().map(|name| stage.task(&stage.lanes[0], name)).collect();
    tasks.push(stage.task(&stage.lanes[1], "turned.jpg"));

    let before = listing(&stage.photos);
    let (thumbs, away) = (stage.library.disk.thumbs(), stage.library.disk.data("thumbs-away"));
    fs::rename(&thumbs, &away).unwrap();
    let settings = stage.library.disk.data("attic.toml");
    fs::write(&settings, format!("[work.vaults]\nphotos = {:?}\n", stage.photos.to_str().unwrap())).unwrap();
    let (of_originals, said) = stage.work(&tasks, &["--config", settings.to_str().unwrap()]);
    assert!(said.contains("5 answers, 0 of them failures") && said.contains("5 pictures made from mounted vaults"), "{said}");
    assert_eq!(listing(&stage.photos), before, "nothing is written there");

    fs::rename(&away, &thumbs).unwrap();
    let (of_proxies, said) = stage.work(&tasks, &[]);
    assert!(said.contains("5 answers, 0 of them failures") && !said.contains("mounted vaults"), "{said}");
    check(&of_originals, &of_proxies);
    let turned = &of_originals[&(stage.lanes[1].to_string(), stage.images["turned.jpg"].0)];
    let Answer::Regions { width_px, height_px, regions } = turned else { panic!("{turned:?}") };
    assert!((*width_px, *height_px) == (1339, 2048) && !regions.is_empty(), "{turned:?}");
}

#[test]
fn what_is_not_as_the_library_knows_it_comes_from_the_server() {
    let longest = 20_000;
    let padded = |jpeg: Jpeg| {
        let mut bytes = jpeg.encode();
        bytes.resize(longest, 0);
        bytes
    };
    let names = ["as-it-was", "longer", "touched", "forged", "gone", "linked"];
    let stage = Stage::new(|photos| {
        for (number, name) in names.iter().enumerate() {
            let jpeg = Jpeg::new(96, 64).patch([number * 9, 5, number * 9 + 30, 50]).taken(&taken(number as u8));
            fs::write(photos.join(format!("{name}.jpg")), padded(jpeg)).unwrap();
        }
    });
    let tasks: Vec<Task> = names.iter().map(|name| stage.task(&stage.lanes[0], &format!("{name}.jpg"))).collect();
    let (of_proxies, _) = stage.work(&tasks, &[]);

    let path = |name: &str| stage.photos.join(format!("{name}.jpg"));
    let modified = |name: &str| fs::metadata(path(name)).unwrap().modified().unwrap();
    let set_modified = |path: &Path, at| fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    let at = modified("longer");
    fs::write(path("longer"), [fs::read(path("longer")).unwrap(), vec![0]].concat()).unwrap();
    set_modified(&path("longer"), at);
    set_modified(&path("touched"), modified("touched") + Duration::from_secs(10));
    // Of the same size and time, and yet another picture.
    let at = modified("forged");
    fs::write(path("forged"), padded(Jpeg::new(96, 64).shade(200).taken(&taken(9)))).unwrap();
    set_modified(&path("forged"), at);
    fs::remove_file(path("gone")).unwrap();
    let outside = stage.library.disk.data("outside.jpg");
    fs::rename(path("linked"), &outside).unwrap();
    symlink(&outside, path("linked")).unwrap();

    let with = |name: &str, folder: &Path| stage.work(&tasks, &["--vault", &format!("{name}={}", folder.display())]);
    let (answers, said) = with("photos", &stage.photos);
    check(&answers, &of_proxies);
    assert!(said.contains("6 answers, 0 of them failures") && said.contains(" 1 pictures made from mounted vaults"), "{said}");
    assert_eq!(said.matches("it was changed").count(), 2, "{said}");
    for reason in ["its content is another", "it cannot be read", "it is no regular file of its vault"] {
        assert_eq!(said.matches(reason).count(), 1, "{reason}: {said}");
    }

    let (answers, said) = with("photos", &stage.library.disk.data("nowhere"));
    check(&answers, &of_proxies);
    assert!(said.contains("the vault `photos` is not at") && said.contains(" 0 pictures made from mounted vaults"), "{said}");
    let (answers, said) = with("pictures", &stage.photos);
    check(&answers, &of_proxies);
    assert_eq!(said.matches("pictures of the vault `photos` come from the server").count(), 1, "{said}");
    assert!(said.contains(" 0 pictures made from mounted vaults"), "{said}");
}
