//! From the outbox into the sidecars and back: the whole way on a real database and real files, then in random order with kills,
//! outside programs, and disks that go away.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use diesel::{QueryableByName, RunQueryDsl, sql_query, sql_types::BigInt};
use hm::{
    config::Config,
    db::{
        Db, PgConnection, PooledPg,
        edits::{Keep, OutboxEntry, Selection, apply_edits, list_outbox, resolve_conflict, retry_failed},
    },
    media::sidecar_write::{
        edit,
        file::{Disk, RealDisk, SidecarPath, Step, TemporaryPath},
        read, silence,
    },
    models::{
        Gps, ImageId,
        edit::{Change, ColorLabel, Field, Keywords, Pick, Place, TakenAt, Value, WriteState},
    },
    pipeline::{BatchOutcome, writable_vaults, write_batch},
    scan::{ScanOptions, scan_library},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::support::{self, TestDatabase, bound_disk::BoundDisk, media::Jpeg};

const HOST: &str = "test-host";

/// A vault that this host writes to, with a database that knows it.
struct Library {
    /// Unmounted before its folder is removed.
    disk: Option<BoundDisk>,
    dir: tempfile::TempDir,
    database: TestDatabase,
    db: Db,
    config: Config,
}

/// What must never change about an original.
type Originals = BTreeMap<PathBuf, (Vec<u8>, i64, i64, u64)>;

impl Library {
    fn new(names: &[&str]) -> Self {
        Self::on(support::temp_dir(), None, names)
    }

    /// On a disk of its own; `None` where mounting is not allowed.
    fn on_disk(names: &[&str]) -> Option<Self> {
        let dir = support::temp_dir();
        let disk = BoundDisk::mount(&dir.path().join("disk"), &dir.path().join("photos"))?;
        Some(Self::on(dir, Some(disk), names))
    }

    fn on(dir: tempfile::TempDir, disk: Option<BoundDisk>, names: &[&str]) -> Self {
        let root = dir.path().join("photos");
        for (index, name) in names.iter().enumerate() {
            let taken = format!("2019:08:03 12:{index:02}:00");
            Jpeg::new(32, 24).shade(index as u8).camera("Canon", "Canon EOS R6").taken(&taken).write(&root.join(name));
        }
        let file = dir.path().join("local.toml");
        fs::write(&file, format!("[vaults.photos]\npath = {root:?}\nwrite_back = true\n")).unwrap();
        let database = TestDatabase::new();
        let db = Db::connect(database.url(), 8).unwrap();
        let library = Self { disk, db, database, config: Config::load(Some(&file)).unwrap(), dir };
        library.scan();
        library
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("photos")
    }

    fn away(&self) -> PathBuf {
        self.dir.path().join("unmounted")
    }

    fn conn(&self) -> PooledPg {
        self.db.get().unwrap()
    }

    fn scan(&self) {
        let mut options = ScanOptions::new(&self.config.scan);
        (options.threads, options.metadata_workers) = (2, 1);
        scan_library(&self.db, &self.config, HOST, &[self.root()], &options, &|_| {}).unwrap();
    }

    fn write(&self) -> BatchOutcome {
        self.write_on(&RealDisk, &mut self.conn())
    }

    fn write_on(&self, disk: &(impl Disk + Sync), conn: &mut PgConnection) -> BatchOutcome {
        let vaults = writable_vaults(conn, HOST, &self.config.vaults).unwrap();
        write_batch(conn, disk, &vaults[0], None, &AtomicBool::new(false)).unwrap()
    }

    fn image(&self, name: &str) -> ImageId {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            id: i64,
        }
        let stem = Path::new(name).file_stem().unwrap().to_str().unwrap();
        let row: Row = sql_query("SELECT id FROM images WHERE base_name = $1")
            .bind::<diesel::sql_types::Text, _>(stem)
            .get_result(&mut self.conn())
            .unwrap();
        ImageId(row.id)
    }

    /// Says whether that was news.
    fn say(&self, name: &str, change: Change) -> bool {
        let selection = Selection::Images(vec![self.image(name)]);
        apply_edits(&mut self.conn(), "tester", &selection, &[change]).unwrap().unwrap().changed == 1
    }

    fn set(&self, name: &str, value: Value) {
        assert!(self.say(name, Change::Set(value)));
    }

    fn outbox(&self) -> Vec<OutboxEntry> {
        list_outbox(&mut self.conn(), None, None, 1000).unwrap()
    }

    fn originals(&self, names: &[&str]) -> Originals {
        let state = |name: &&str| {
            let path = self.root().join(name);
            let metadata = fs::metadata(&path).unwrap();
            (path.clone(), (fs::read(&path).unwrap(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino()))
        };
        names.iter().map(state).collect()
    }

    fn sidecar(&self, name: &str) -> PathBuf {
        self.root().join(format!("{name}.xmp"))
    }

    fn says(&self, name: &str, field: Field) -> Option<Value> {
        let content = fs::read(self.sidecar(name)).ok()?;
        read(&content, field, None).unwrap()
    }

    fn count(&self, sql: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let row: Row = sql_query(format!("SELECT count(*) AS count FROM {sql}")).get_result(&mut self.conn()).unwrap();
        row.count
    }
}

/// Another program: reads a sidecar, changes one thing, and writes it over the old one in place.
fn outside(path: &Path, value: &Value) {
    let existing = fs::read(path).ok();
    if let Some(content) = edit(existing.as_deref(), std::slice::from_ref(value)).unwrap() {
        fs::write(path, content).unwrap();
    }
}

fn rating(stars: i8) -> Value {
    Value::Rating(Some(stars))
}

fn title(text: &str) -> Value {
    Value::Title(Some(text.to_owned()))
}

#[test]
fn an_edit_reaches_its_sidecar_and_the_next_scan_finds_nothing_new() {
    let names = ["2019/IMG_1.JPG", "2019/IMG_2.JPG"];
    let library = Library::new(&names);
    let before = library.originals(&names);
    library.set(names[0], rating(4));
    library.set(names[0], title("Here"));
    let outcome = library.write();
    assert_eq!((outcome.written, outcome.failed, outcome.trouble), (1, 0, None));
    assert_eq!(library.says(names[0], Field::Rating), Some(rating(4)));
    assert!(!library.sidecar(names[1]).exists(), "nothing was said about it");
    // It is a file of the image at once.
    assert_eq!(library.count("files WHERE name = 'IMG_1.JPG.xmp' AND role = 'SIDECAR' AND missing_since IS NULL"), 1);
    assert_eq!(library.count("images WHERE base_name = 'IMG_1' AND has_sidecar AND file_count = 2 AND '.JPG.xmp' = ANY (suffixes)"), 1);
    assert_eq!(library.outbox(), []);
    library.scan();
    assert_eq!(library.count("edits WHERE author <> 'tester'"), 0, "our own hand is no news");
    assert_eq!(library.count("images WHERE base_name = 'IMG_1' AND rating = 4 AND title = 'Here'"), 1);
    assert_eq!(library.write(), BatchOutcome::default());
    assert_eq!(library.originals(&names), before);
}

#[test]
fn a_sidecar_changed_elsewhere_is_scanned_before_it_is_written() {
    let names = ["IMG_1.JPG"];
    let library = Library::new(&names);
    library.set(names[0], rating(4));
    library.write();
    library.scan();
    library.set(names[0], title("Here"));
    library.set(names[0], rating(5));
    outside(&library.sidecar(names[0]), &rating(1));
    outside(&library.sidecar(names[0]), &Value::Description(Some("There".into())));
    let before = fs::read(library.sidecar(names[0])).unwrap();
    let outcome = library.write();
    assert_eq!((outcome.written, outcome.changed_outside.len()), (0, 1));
    assert_eq!(fs::read(library.sidecar(names[0])).unwrap(), before);
    library.scan();
    assert_eq!(library.write().written, 1);
    assert_eq!(library.says(names[0], Field::Title), Some(title("Here")));
    assert_eq!(library.says(names[0], Field::Description), Some(Value::Description(Some("There".into()))));
    // Both sides rated it: nobody wins without being asked.
    assert_eq!(library.says(names[0], Field::Rating), Some(rating(1)));
    let conflicts: Vec<OutboxEntry> = library.outbox().into_iter().filter(|entry| entry.standing.state == WriteState::Conflict).collect();
    assert_eq!(conflicts.len(), 1);
    assert_eq!((&conflicts[0].standing.value, &conflicts[0].standing.outside), (&rating(5), &Some(rating(1))));
}

#[test]
fn what_cannot_be_written_says_why_and_waits() {
    let names = ["IMG_1.JPG", "IMG_2.JPG"];
    let library = Library::new(&names);
    fs::write(library.sidecar(names[0]), "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF").unwrap();
    library.scan();
    library.set(names[0], rating(4));
    library.set(names[1], rating(4));
    let outcome = library.write();
    assert_eq!((outcome.written, outcome.failed), (1, 1));
    assert_eq!(fs::read(library.sidecar(names[0])).unwrap(), b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF");
    let failed: Vec<OutboxEntry> = library.outbox().into_iter().filter(|entry| entry.standing.state == WriteState::Failed).collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].reason.as_ref().unwrap().contains("XML"), "{failed:?}");
    // A vault that is away fails nothing.
    library.set(names[1], rating(2));
    fs::rename(library.root(), library.away()).unwrap();
    assert!(library.write().trouble.is_some());
    fs::create_dir(library.root()).unwrap();
    assert!(library.write().trouble.is_some());
    assert_eq!(fs::read_dir(library.root()).unwrap().count(), 0, "nothing is written into an empty mount point");
    fs::remove_dir(library.root()).unwrap();
    fs::rename(library.away(), library.root()).unwrap();
    assert_eq!(library.write().written, 1);
    assert_eq!(library.says(names[1], Field::Rating), Some(rating(2)));
}

/// Sidecars that say nothing but one rating are equal byte for byte, and must not be taken for one another.
#[test]
fn equal_sidecars_that_change_are_still_whose_they_were() {
    let names = ["IMG_1.JPG", "IMG_2.JPG", "IMG_3.JPG"];
    let library = Library::new(&names);
    for (name, stars) in names.iter().zip([1, 2, 3]) {
        outside(&library.sidecar(name), &rating(stars));
    }
    library.scan();
    // Each becomes what the next one was.
    for (name, stars) in names.iter().zip([2, 3, 4]) {
        outside(&library.sidecar(name), &rating(stars));
    }
    library.scan();
    assert_eq!(library.count("files WHERE format = 'xmp' AND missing_since IS NULL"), 3);
    for (name, stars) in ["IMG_1", "IMG_2", "IMG_3"].iter().zip([2, 3, 4]) {
        assert_eq!(library.count(&format!("images WHERE base_name = '{name}' AND rating = {stars} AND has_sidecar")), 1, "{name}");
    }
}

/// A library lost with its database is found again in the files: a scan into an empty one brings back every word that was written.
#[test]
fn a_database_is_rebuilt_from_files_and_sidecars_alone() {
    let names = ["2019/IMG_1.JPG", "2019/IMG_2.JPG", "IMG_3.JPG", "IMG_4.JPG"];
    let mut library = Library::new(&names);
    let darktable = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media/sidecars/darktable.xmp");
    fs::copy(darktable, library.sidecar(names[1])).unwrap();
    library.scan();
    let keywords = Keywords::new(["Äpfel", "lake"], ["animal|dog|Zoé", "place|Lac d\u{2019}Annecy"]);
    let place = Place {
        city: Some("Roscoff".into()),
        state: Some("Bretagne".into()),
        country: Some("France".into()),
        country_code: Some("FR".into()),
    };
    let taken = |text: &str, offset| TakenAt { local: text.parse().unwrap(), offset_minutes: offset, source: None };
    let said = [
        (names[0], vec![rating(5), title("Été <&> \"quoted\""), Value::Keywords(keywords.clone()), Value::Pick(Pick::Picked)]),
        (
            names[0],
            vec![Value::Gps(Some(Gps { latitude_deg: 48.726_4, longitude_deg: -3.985_2, altitude_m: Some(12.5) })), Value::Place(place)],
        ),
        (names[1], vec![rating(-1), Value::Description(Some("two\nlines".into())), Value::ColorLabel(ColorLabel::Green)]),
        (names[2], vec![Value::CapturedAt(taken("1987-06-05T04:03:02", Some(-330))), Value::Keywords(Keywords::new(["one"], [""; 0]))]),
        // Said and taken back: nothing is left to be found.
        (names[3], vec![rating(3), Value::Keywords(keywords)]),
        (names[3], vec![rating(0), Value::Keywords(Keywords::default())]),
    ];
    for (name, values) in said {
        values.into_iter().for_each(|value| library.set(name, value));
        library.write();
    }
    assert_eq!(library.outbox(), []);
    library.scan();
    let shown = |library: &Library| -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            line: String,
        }
        // A keyword of one level means the same in either list, and a sidecar has it in both.
        let all = "SELECT row_to_json(t)::text AS line FROM (SELECT base_name, nullif(rating, 0) AS rating, pick, color_label, title, \
            description, keywords, ARRAY(SELECT word FROM unnest(hierarchical_keywords) AS word WHERE word LIKE '%|%') AS levels, latitude_deg, longitude_deg, altitude_m, city, state, country, country_code, \
            captured_at, captured_offset_minutes, tag_names, file_count, suffixes, has_sidecar FROM images ORDER BY base_name) AS t";
        let tags = "SELECT concat_ws(' ', name, shown, image_count) AS line FROM tags WHERE image_count > 0 ORDER BY 1";
        [all, tags].iter().flat_map(|sql| sql_query(*sql).load::<Row>(&mut library.conn()).unwrap()).map(|row| row.line).collect()
    };
    let before = shown(&library);
    for words in ["Roscoff", "animal|dog|Zoé", "1987-06-05", "48.7264", "\"rating\":-1", "green", "two\\nlines"] {
        assert!(before.iter().any(|line| line.contains(words)), "{words} is not in {before:#?}");
    }
    library.database = TestDatabase::new();
    library.db = Db::connect(library.database.url(), 8).unwrap();
    library.scan();
    assert_eq!(library.count("edits"), 0);
    assert_eq!(shown(&library), before);
}

/// What a picture says itself and a person took away stays away: the sidecar says that there is none, also when the database is lost.
#[test]
fn what_a_person_cleared_stays_cleared_in_a_rebuilt_database() {
    let names = ["IMG_1.JPG", "IMG_2.JPG", "IMG_3.JPG"];
    let mut library = Library::new(&names);
    let fields = Field::ALL.iter().filter(|field| **field != Field::CapturedAt);
    let own = [
        ("rating", "2"),
        ("pick", "picked"),
        ("color_label", "red"),
        ("title", "Own title"),
        ("description", "Own words"),
        ("keywords", "own"),
        ("city", "Paris"),
        ("latitude", "48.85"),
    ];
    let attributes = "xmp:Rating=\"2\" xmp:Label=\"Red\" xmlns:digiKam=\"http://www.digikam.org/ns/1.0/\" digiKam:PickLabel=\"3\" \
        dc:title=\"Own title\" dc:description=\"Own words\" photoshop:City=\"Paris\"";
    for (index, name) in names.iter().enumerate() {
        let taken = format!("2019:08:03 12:{index:02}:00");
        let picture = Jpeg::new(32, 24).shade(index as u8).camera("Canon", "Canon EOS R6").taken(&taken).place(48.85, 2.35);
        picture.xmp(&support::media::xmp(attributes, &["own"])).write(&library.root().join(name));
    }
    library.scan();
    let said = |library: &Library, name: &str| -> String {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            line: String,
        }
        let sql = "SELECT concat_ws(' ', nullif(rating, 0), nullif(pick, 'none'), nullif(color_label, 'none'), title, description, \
            array_to_string(keywords || hierarchical_keywords, ' '), city, round(latitude_deg::numeric, 2)) AS line \
            FROM images WHERE base_name = $1";
        let stem = name.strip_suffix(".JPG").unwrap();
        sql_query(sql).bind::<diesel::sql_types::Text, _>(stem).get_result::<Row>(&mut library.conn()).unwrap().line
    };
    let all_of_it = own.map(|(_, value)| value).join(" ");
    assert_eq!(said(&library, names[0]), all_of_it, "the picture says all of it itself");
    // All is taken away of one, and of another, where it is given again; the third is left alone.
    let none: Vec<Value> = fields.map(|field| silence(*field).unwrap()).collect();
    for name in &names[..2] {
        none.iter().for_each(|value| library.set(name, value.clone()));
    }
    assert_eq!(library.write().written, 2);
    for value in &none {
        assert!(library.says(names[0], value.field()).is_some_and(|said| said.says_same(value)), "{value:?} is not said");
    }
    library.set(names[1], title("Given again"));
    library.set(names[1], Value::Gps(Some(Gps { latitude_deg: 10.0, longitude_deg: 20.0, altitude_m: None })));
    assert_eq!(library.write().written, 1);
    library.scan();
    assert_eq!(library.count("edits WHERE author <> 'tester'"), 0, "our own hand is no news");
    // Another program writes into the sidecar with its own library.
    for (program, arguments) in [("exiv2", ["-M", "set Xmp.xmp.CreatorTool a"]), ("exiftool", ["-overwrite_original", "-XMP:Creator=b"])] {
        match std::process::Command::new(program).args(arguments).arg(library.sidecar(names[0])).output() {
            Ok(output) => assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => eprintln!("skipped: `{program}` does not start: {error}"),
        }
    }
    for rebuilt in [false, true] {
        if rebuilt {
            library.database = TestDatabase::new();
            library.db = Db::connect(library.database.url(), 8).unwrap();
        }
        library.scan();
        let shown = names.map(|name| said(&library, name).split_whitespace().collect::<Vec<_>>().join(" "));
        assert_eq!(shown, ["", "Given again 10.00", &all_of_it], "rebuilt: {rebuilt}");
    }
}

#[test]
fn a_writer_and_a_scan_take_turns() {
    let library = Library::new(&["IMG_1.JPG"]);
    library.set("IMG_1.JPG", rating(4));
    let mut scanning = library.conn();
    let vault = writable_vaults(&mut scanning, HOST, &library.config.vaults).unwrap()[0].mounted.id;
    hm::db::sidecars::wait_for_writing(&mut scanning, vault).unwrap();
    assert_eq!(library.write(), BatchOutcome::default());
    assert!(hm::db::sidecars::unlock_writing(&mut scanning, vault).unwrap());
    assert_eq!(library.write().written, 1);
}

/// Lets nobody flush a file before another wants to, and counts how many want to at once.
#[derive(Default)]
struct MeetingDisk {
    /// Flushed now, flushed at the same time at most.
    flushing: Mutex<(usize, usize)>,
    arrived: Condvar,
}

impl Disk for MeetingDisk {
    fn open(&self, path: &Path) -> io::Result<File> {
        RealDisk.open(path)
    }
    fn read(&self, file: &mut File) -> io::Result<Vec<u8>> {
        RealDisk.read(file)
    }
    fn create(&self, path: &TemporaryPath) -> io::Result<File> {
        RealDisk.create(path)
    }
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        RealDisk.write(file, bytes)
    }
    fn adopt(&self, file: &File, old: &File) -> io::Result<()> {
        RealDisk.adopt(file, old)
    }
    fn sync(&self, file: &File) -> io::Result<()> {
        let mut flushing = self.flushing.lock().unwrap();
        flushing.0 += 1;
        flushing.1 = flushing.1.max(flushing.0);
        self.arrived.notify_all();
        // Given up where nobody else ever comes, as the first to ask would wait for ever.
        let (mut flushing, _) = self.arrived.wait_timeout_while(flushing, Duration::from_secs(20), |flushing| flushing.1 < 2).unwrap();
        flushing.0 -= 1;
        drop(flushing);
        RealDisk.sync(file)
    }
    fn rename(&self, from: &TemporaryPath, to: &SidecarPath, replaces: bool) -> io::Result<()> {
        RealDisk.rename(from, to, replaces)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        RealDisk.sync_folder(folder)
    }
    fn remove(&self, path: &TemporaryPath) -> io::Result<()> {
        RealDisk.remove(path)
    }
}

/// On a disk far away a write is mostly waiting, which several can do together.
#[test]
fn several_sidecars_are_in_hand_at_once() {
    let names: Vec<String> = (0..40).map(|number| format!("{}/IMG_{number:02}.JPG", number % 3)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let library = Library::new(&names);
    for (index, name) in names.iter().enumerate() {
        library.set(name, title(&format!("number {index}")));
    }
    let disk = MeetingDisk::default();
    let outcome = library.write_on(&disk, &mut library.conn());
    assert_eq!((outcome.written, outcome.failed, outcome.trouble, outcome.changed_outside.len()), (40, 0, None, 0));
    let most = disk.flushing.lock().unwrap().1;
    assert!((2..=16).contains(&most), "{most} at once");
    for (index, name) in names.iter().enumerate() {
        assert_eq!(library.says(name, Field::Title), Some(title(&format!("number {index}"))), "{name}");
    }
    assert_eq!(library.outbox(), []);
    library.scan();
    assert_eq!(library.count("edits WHERE author <> 'tester'"), 0, "our own hand is no news");
}

/// A real disk, really remounted: what cannot be written now waits, says why, and is written once it can be.
#[test]
fn a_disk_mounted_read_only_or_taken_away_loses_no_edit() {
    let names = ["IMG_1.JPG", "2019/IMG_2.JPG", "2019/IMG_3.JPG"];
    let Some(mut library) = Library::on_disk(&names) else {
        eprintln!("skipped: mounting is not permitted here");
        return;
    };
    let originals = library.originals(&names);
    library.set(names[0], rating(4));
    library.write();
    library.scan();
    let written = fs::read(library.sidecar(names[0])).unwrap();
    let edits = [(names[0], rating(5)), (names[1], title("Here")), (names[2], rating(-1))];

    library.disk.as_ref().unwrap().remount("ro");
    for (name, value) in &edits {
        library.set(name, value.clone());
    }
    let outcome = library.write();
    assert_eq!(outcome.written, 0);
    assert!(outcome.trouble.as_ref().is_some_and(|trouble| trouble.contains("mounted read-only")), "{outcome:?}");
    library.scan();
    let outbox = library.outbox();
    assert_eq!(outbox.len(), edits.len(), "{outbox:?}");
    for entry in &outbox {
        let is_said = edits.iter().any(|(name, value)| library.image(name) == entry.image && *value == entry.standing.value);
        assert!(is_said && matches!(entry.standing.state, WriteState::Pending | WriteState::Failed), "{entry:?}");
        assert_eq!(entry.reason.is_some(), entry.standing.state == WriteState::Failed);
        assert!(entry.reason.as_ref().is_none_or(|reason| reason.contains("mounted read-only")), "{entry:?}");
    }
    assert!(outbox.iter().any(|entry| entry.reason.is_some()), "{outbox:?}");
    assert_eq!(fs::read(library.sidecar(names[0])).unwrap(), written);
    assert!(!library.sidecar(names[1]).exists() && !library.sidecar(names[2]).exists());

    library.disk.as_ref().unwrap().remount("rw");
    retry_failed(&mut library.conn(), None).unwrap();
    assert_eq!(library.write().written, edits.len());
    for (name, value) in &edits {
        assert_eq!(library.says(name, value.field()).as_ref(), Some(value), "{name}");
    }
    assert_eq!(library.outbox(), []);

    library.disk.as_mut().unwrap().take_away();
    library.set(names[1], title("There"));
    let outcome = library.write();
    assert!(outcome.trouble.as_ref().is_some_and(|trouble| trouble.contains("is the disk mounted?")), "{outcome:?}");
    assert_eq!(fs::read_dir(library.root()).unwrap().count(), 0, "nothing is written into an empty mount point");
    assert_eq!(library.outbox().iter().map(|entry| &entry.standing.value).collect::<Vec<_>>(), [&title("There")]);
    library.disk.as_mut().unwrap().bring_back();
    assert_eq!(library.write().written, 1);
    assert_eq!(library.says(names[1], Field::Title), Some(title("There")));
    library.scan();
    assert_eq!(library.count("edits WHERE author <> 'tester'"), 0, "nothing of it is news");
    assert_eq!(library.originals(&names), originals);
}

// --- in random order ------------------------------------------------------------------------------------------------

/// Dies, as by kill -9, or refuses, at the n-th of all steps.
struct FragileDisk {
    steps_left: AtomicUsize,
    end: End,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    /// The process is gone: nothing after it happens.
    Killed,
    /// Mounted read-only from now on.
    ReadOnly,
}

impl FragileDisk {
    fn step(&self, step: Step) -> io::Result<()> {
        let writes = matches!(step, Step::Create | Step::Write | Step::Rename);
        if self.steps_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Ok(());
        }
        match self.end {
            End::Killed => resume_unwind(Box::new("killed")),
            End::ReadOnly if writes => Err(rustix::io::Errno::ROFS.into()),
            End::ReadOnly => Ok(()),
        }
    }
}

impl Disk for FragileDisk {
    fn open(&self, path: &Path) -> io::Result<File> {
        self.step(Step::Read)?;
        RealDisk.open(path)
    }
    fn read(&self, file: &mut File) -> io::Result<Vec<u8>> {
        RealDisk.read(file)
    }
    fn create(&self, path: &TemporaryPath) -> io::Result<File> {
        self.step(Step::Create)?;
        RealDisk.create(path)
    }
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        self.step(Step::Write)?;
        RealDisk.write(file, &bytes[..bytes.len().min(900)])
    }
    fn adopt(&self, file: &File, old: &File) -> io::Result<()> {
        self.step(Step::Adopt)?;
        RealDisk.adopt(file, old)
    }
    fn sync(&self, _: &File) -> io::Result<()> {
        self.step(Step::Sync)
    }
    fn rename(&self, from: &TemporaryPath, to: &SidecarPath, replaces: bool) -> io::Result<()> {
        self.step(Step::Rename)?;
        RealDisk.rename(from, to, replaces)
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.step(Step::SyncFolder)
    }
    fn remove(&self, path: &TemporaryPath) -> io::Result<()> {
        RealDisk.remove(path)
    }
}

/// What a killed writer left goes, also where nothing is to be written any more.
#[test]
fn a_killed_writer_leaves_nothing_behind_for_good() {
    let library = Library::new(&NAMES);
    let leftovers = || {
        let names = fs::read_dir(library.root().join("2019")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".hm-write-")).count()
    };
    let mut left = 0;
    for steps in 0..12 {
        library.set(NAMES[1], title(&format!("killed after {steps} steps")));
        let disk = FragileDisk { steps_left: AtomicUsize::new(steps), end: End::Killed };
        let mut conn = library.database.connection();
        let _ = catch_unwind(AssertUnwindSafe(|| library.write_on(&disk, &mut conn)));
        drop(conn);
        left += leftovers();
        sql_query("DELETE FROM image_edits").execute(&mut library.conn()).unwrap();
        // The lock of the dead goes a moment after them.
        for _ in 0..100 {
            library.write();
            if leftovers() == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(leftovers(), 0, "after {steps} steps");
    }
    assert!(left >= 3, "{left} of the killed left anything");
}

/// What was said about one field of one image since the last peace, and when.
#[derive(Default, Clone, Debug)]
struct Said {
    here: Option<(usize, Value)>,
    there: Option<(usize, Value)>,
}

const NAMES: [&str; 3] = ["IMG_1.JPG", "2019/IMG_2.JPG", "2019/IMG_3.JPG"];

/// How often what is feared came about: a test that never gets into trouble proves nothing.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    kills: usize,
    refusals: usize,
    conflicts: usize,
    changed_outside: usize,
    written: usize,
}

struct Chaos {
    library: Library,
    random: StdRng,
    said: BTreeMap<(&'static str, Field), Said>,
    words: BTreeMap<&'static str, BTreeSet<String>>,
    tally: Tally,
    step: usize,
    log: Vec<String>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let library = Library::new(&NAMES);
        let darktable = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media/sidecars/darktable.xmp");
        fs::copy(darktable, library.sidecar(NAMES[1])).unwrap();
        library.scan();
        Self {
            library,
            random: StdRng::seed_from_u64(seed),
            said: BTreeMap::new(),
            words: BTreeMap::new(),
            tally: Tally::default(),
            step: 0,
            log: Vec::new(),
        }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.random_range(0..of.len())]
    }

    /// Never said before, so that it can be recognised.
    fn any_value(&mut self) -> Value {
        let text = format!("said at {}", self.step);
        match self.random.random_range(0..3) {
            0 => Value::Description(Some(text)),
            1 => Value::Place(Place { city: Some(text), ..Place::default() }),
            _ => title(&text),
        }
    }

    fn act(&mut self) {
        self.step += 1;
        let name = self.pick(&NAMES);
        match self.random.random_range(0..12) {
            0..3 => {
                let value = self.any_value();
                self.log.push(format!("{}: here {name} {value:?}", self.step));
                self.library.set(name, value.clone());
                self.said.entry((name, value.field())).or_default().here = Some((self.step, value.clone()));
            }
            3 => {
                let word = format!("here{}", self.step);
                self.log.push(format!("{}: here {name} +{word}", self.step));
                self.library.say(name, Change::AddKeywords(Keywords::new([word.as_str()], [""; 0])));
                self.words.entry(name).or_default().insert(word);
            }
            4..6 => {
                let value = self.any_value();
                self.log.push(format!("{}: there {name} {value:?}", self.step));
                outside(&self.library.sidecar(name), &value);
                self.said.entry((name, value.field())).or_default().there = Some((self.step, value.clone()));
            }
            6 => {
                let word = format!("there{}", self.step);
                self.log.push(format!("{}: there {name} +{word}", self.step));
                let own = match self.library.says(name, Field::Keywords) {
                    Some(Value::Keywords(own)) => own,
                    _ => Keywords::default(),
                };
                outside(&self.library.sidecar(name), &Value::Keywords(own.with(&Keywords::new([word.as_str()], [""; 0]))));
                self.words.entry(name).or_default().insert(word);
            }
            7 => {
                self.log.push(format!("{}: scan", self.step));
                self.library.scan();
            }
            8 => {
                self.log.push(format!("{}: write", self.step));
                let outcome = self.library.write();
                self.tally.written += outcome.written;
                self.tally.changed_outside += outcome.changed_outside.len();
            }
            9 => {
                let steps_left = self.random.random_range(0..40);
                self.log.push(format!("{}: killed after {steps_left} steps", self.step));
                let disk = FragileDisk { steps_left: AtomicUsize::new(steps_left), end: End::Killed };
                // The connection goes with the process, and the lock with it.
                let mut conn = self.library.database.connection();
                let died = catch_unwind(AssertUnwindSafe(|| self.library.write_on(&disk, &mut conn))).is_err();
                self.tally.kills += usize::from(died);
            }
            10 => {
                self.log.push(format!("{}: unmounted", self.step));
                fs::rename(self.library.root(), self.library.away()).unwrap();
                if self.random.random() {
                    fs::create_dir(self.library.root()).unwrap();
                }
                self.library.write();
                self.library.write();
                let _ = fs::remove_dir(self.library.root());
                fs::rename(self.library.away(), self.library.root()).unwrap();
            }
            _ => {
                let steps_left = self.random.random_range(0..20);
                self.log.push(format!("{}: read-only after {steps_left} steps", self.step));
                let disk = FragileDisk { steps_left: AtomicUsize::new(steps_left), end: End::ReadOnly };
                let outcome = self.library.write_on(&disk, &mut self.library.conn());
                self.tally.refusals += outcome.failed;
            }
        }
    }

    /// Lets everything run its course, and looks whether anything was lost.
    fn settle(&mut self, originals: &Originals) {
        for round in 0.. {
            assert!(round < 10, "it does not come to rest\n{}", self.log.join("\n"));
            retry_failed(&mut self.library.conn(), None).unwrap();
            self.library.scan();
            let outcome = self.library.write();
            self.tally.written += outcome.written;
            if outcome == BatchOutcome::default() {
                break;
            }
        }
        let log = self.log.join("\n");
        let outbox = self.library.outbox();
        for entry in &outbox {
            assert_eq!(entry.standing.state, WriteState::Conflict, "{entry:?}\n{log}");
        }
        for ((name, field), said) in &self.said {
            let image = self.library.image(name);
            let entry = outbox.iter().find(|entry| entry.image == image && entry.standing.value.field() == *field);
            let sidecar = self.library.says(name, *field).or_else(|| silence(*field)).unwrap();
            if let Some(entry) = entry {
                let (here, there) = (said.here.as_ref().map(|(_, value)| value), said.there.as_ref().map(|(_, value)| value));
                assert_eq!((Some(&entry.standing.value), entry.standing.outside.as_ref()), (here, there), "{name}\n{log}");
                assert_eq!(Some(&sidecar), there, "{name}\n{log}");
                continue;
            }
            // Whoever spoke last spoke knowing the other, or there would be a conflict.
            let last = said.here.iter().chain(&said.there).max_by_key(|(at, _)| *at).map(|(_, value)| value);
            assert_eq!(Some(&sidecar), last, "{name} {field}: {said:?}\n{log}");
        }
        for (name, words) in &self.words {
            let Some(Value::Keywords(keywords)) = self.library.says(name, Field::Keywords) else {
                panic!("{name} lost its keywords\n{log}")
            };
            assert!(words.is_subset(keywords.flat()), "{name}: {words:?} in {keywords:?}\n{log}");
        }
        let darktable = fs::read_to_string(self.library.sidecar(NAMES[1])).unwrap();
        assert!(darktable.contains("darktable:operation=\"filmicrgb\"") && darktable.contains("face &amp; hands"));
        assert_eq!(self.library.originals(&NAMES), *originals, "{log}");
        let known = |name: &str| name.ends_with(".JPG") || name.ends_with(".JPG.xmp");
        for folder in [self.library.root(), self.library.root().join("2019")] {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                assert!(entry.path().is_dir() || known(entry.file_name().to_str().unwrap()), "{:?} is left behind\n{log}", entry.path());
            }
        }
        self.tally.conflicts += outbox.len();
        for entry in &outbox {
            let keep = self.pick(&[Keep::Ours, Keep::Theirs]);
            resolve_conflict(&mut self.library.conn(), "tester", entry.image, entry.standing.value.field(), keep).unwrap();
        }
        self.library.write();
        self.library.scan();
        self.said.clear();
        self.log.clear();
    }
}

/// 500 times: some acts in random order, then peace, then the question whether anything was lost.
#[test]
fn nothing_is_lost_in_five_hundred_random_orders() {
    let tallies: Vec<Tally> = (0..25)
        .map(|seed| {
            let mut chaos = Chaos::new(seed);
            let originals = chaos.library.originals(&NAMES);
            for _ in 0..20 {
                for _ in 0..chaos.random.random_range(3..9) {
                    chaos.act();
                }
                chaos.settle(&originals);
            }
            chaos.tally
        })
        .collect();
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let came_about = [sum(|t| t.kills), sum(|t| t.refusals), sum(|t| t.conflicts), sum(|t| t.changed_outside), sum(|t| t.written)];
    eprintln!("kills, refusals, conflicts, changes found before a write, writes: {came_about:?}");
    assert!(came_about.iter().all(|count| *count >= 20), "{came_about:?}");
}

/// Real processes, really killed: the server writes at its start what waits, and never gets far.
#[test]
fn a_server_killed_again_and_again_loses_nothing() {
    const ROUNDS: u64 = 20;
    let names: Vec<String> = (0..60).map(|number| format!("2019/IMG_{number:04}.JPG")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let library = Library::new(&names);
    let originals = library.originals(&names);
    let data_dir = library.dir.path().join("data");
    fs::create_dir(&data_dir).unwrap();
    fs::write(data_dir.join("host"), HOST).unwrap();
    let images: Vec<ImageId> = names.iter().map(|name| library.image(name)).collect();
    let mut random = StdRng::seed_from_u64(7);
    for round in 0..ROUNDS {
        let change = Change::Set(title(&format!("round {round}")));
        apply_edits(&mut library.conn(), "tester", &Selection::Images(images.clone()), &[change]).unwrap().unwrap();
        let mut server = support::hm_command()
            .env("HM_DATABASE_URL", library.database.url())
            .env("HM_REDIS_URL", support::redis_url())
            .env("HM_THUMBS_WORKERS", "1")
            .args(["--config".as_ref(), library.dir.path().join("local.toml").as_os_str()])
            .args(["--data-dir".as_ref(), data_dir.as_os_str()])
            .args(["serve", "--bind", "127.0.0.1:0"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(random.random_range(300..1500)));
        server.kill().unwrap();
        server.wait().unwrap();
        for name in &names {
            let said = library.says(name, Field::Title);
            assert!(said.is_none_or(|said| matches!(said, Value::Title(Some(text)) if text.starts_with("round "))), "{name} is torn");
        }
    }
    let half_way = names.iter().filter(|name| library.says(name, Field::Title) == Some(title(&format!("round {}", ROUNDS - 1)))).count();
    eprintln!("the last server came to {half_way} of {} sidecars before it was killed", names.len());
    for _ in 0..10 {
        library.scan();
        library.write();
    }
    assert!(library.outbox().is_empty(), "{:?}", library.outbox());
    for name in &names {
        assert_eq!(library.says(name, Field::Title), Some(title(&format!("round {}", ROUNDS - 1))), "{name}");
    }
    let there: BTreeSet<String> =
        fs::read_dir(library.root().join("2019")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let expected: BTreeSet<String> = names.iter().flat_map(|name| [name[5..].to_owned(), format!("{}.xmp", &name[5..])]).collect();
    assert_eq!(there, expected, "nothing is left behind");
    assert_eq!(library.originals(&names), originals);
}
