//! `hm scan` on real folders: what is kept when files change, move, vanish and come back, and when the scanner is killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types::Text};

use crate::support::{self, TestDatabase, hm_command, media::Jpeg};

/// A vault of the test's own, and a database for it.
struct Library {
    dir: tempfile::TempDir,
    root: PathBuf,
    database: TestDatabase,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Library {
    fn new() -> Self {
        let dir = support::temp_dir();
        let root = dir.path().join("photos");
        fs::create_dir(&root).unwrap();
        Self { dir, root, database: TestDatabase::new() }
    }

    /// A library whose vault lies on another disk.
    fn on(root: PathBuf) -> Self {
        Self { dir: support::temp_dir(), root, database: TestDatabase::new() }
    }

    fn root(&self) -> PathBuf {
        self.root.clone()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root().join(file)
    }

    /// A picture unlike all others, taken in 2019 at the second given.
    fn picture(&self, file: &str, second: u32) {
        let taken = format!("2019:08:03 12:{:02}:{:02}", second / 60 % 60, second % 60);
        Jpeg::new(48, 32).shade(second as u8).camera("Canon", "Canon EOS R6").taken(&taken).write(&self.path(file));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = hm_command();
        command
            .env("HM_DATABASE_URL", self.database.url())
            .env("HM_REDIS_URL", "redis://127.0.0.1:1/")
            .arg("--data-dir")
            .arg(self.dir.path().join("data"))
            .arg("scan")
            .args(args)
            .arg(self.root());
        command
    }

    fn scan(&self) -> Output {
        self.scan_with(&[])
    }

    fn scan_with(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn scan_well(&self) -> String {
        let output = self.scan();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn lines(&self, sql: &str) -> Vec<String> {
        let mut conn: PgConnection = self.database.connection();
        let lines: Vec<Line> = sql_query(sql).load(&mut conn).unwrap();
        lines.into_iter().map(|line| line.line).collect()
    }

    fn execute(&self, sql: &str) {
        sql_query(sql).execute(&mut self.database.connection()).unwrap();
    }

    /// `folder/name image-id` of every file, `-` before the missing.
    fn files(&self) -> Vec<String> {
        self.lines(
            "SELECT CASE WHEN f.missing_since IS NULL THEN '' ELSE '-' END || d.rel_path || '/' || f.name || ' ' \
             || coalesce(f.image_id::text, 'none') AS line FROM files f JOIN folders d ON d.id = f.folder_id ORDER BY f.id",
        )
    }

    /// All that a scan writes, without the ids that its order chose.
    fn content(&self) -> Vec<String> {
        self.lines(
            "SELECT concat_ws('|', d.rel_path, f.name, f.role, f.size_bytes, f.modified_at_ns, encode(f.fingerprint, 'hex'), f.facts, f.error, \
             f.missing_since IS NULL, i.base_name, i.captured_at, i.captured_at_source, c.name, i.width_px, i.rating, i.keywords, i.file_count, \
             i.suffixes, i.is_missing, i.grouping_rule, p.name, i.picture_key, i.search_words, t.image_count) AS line \
             FROM files f JOIN folders d ON d.id = f.folder_id LEFT JOIN images i ON i.id = f.image_id \
             LEFT JOIN cameras c ON c.id = i.camera_id LEFT JOIN files p ON p.id = i.picture_file_id \
             LEFT JOIN timeline_days t ON t.day = i.day ORDER BY d.rel_path, f.name, f.missing_since",
        )
    }
}

fn rename(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::rename(from, to).unwrap();
}

#[test]
fn a_second_scan_of_the_same_files_changes_nothing() {
    let library = Library::new();
    library.picture("2019/a.jpg", 1);
    library.picture("2019/b.jpg", 2);
    support::media::write(&library.path("2019/a.xmp"), support::media::xmp(r#"xmp:Rating="4""#, &["lake"]).as_bytes());
    library.scan_well();
    let (files, content) = (library.files(), library.content());
    assert_eq!(files.len(), 3);
    assert_eq!(
        library.lines("SELECT base_name || ' ' || coalesce(rating::text, '') || ' ' || keywords::text AS line FROM images ORDER BY 1"),
        ["a 4 {lake}", "b  {}"]
    );
    let said = library.scan_well();
    assert!(said.contains("0 read, 3 unchanged"), "{said}");
    assert_eq!((library.files(), library.content()), (files.clone(), content.clone()));
    // Looking at every file again changes nothing either.
    assert!(library.scan_with(&["--full"]).status.success());
    assert_eq!((library.files(), library.content()), (files, content));
}

#[test]
fn moved_and_renamed_files_keep_their_ids() {
    let library = Library::new();
    for (index, file) in ["2019/a.jpg", "2019/b.jpg", "2019/c.jpg", "trip/x.jpg", "trip/y.jpg"].iter().enumerate() {
        library.picture(file, index as u32);
        // Two that are written within one tick of the clock and of one size could exchange their names unseen.
        let picture = fs::File::options().write(true).open(library.path(file)).unwrap();
        picture.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000 + index as u64)).unwrap();
    }
    library.scan_well();
    let id_of = |library: &Library, file: &str| -> String {
        let files = library.files();
        files
            .iter()
            .find(|line| line.starts_with(&format!("{file} ")))
            .unwrap_or_else(|| panic!("{file} in {files:?}"))
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    let before: Vec<String> =
        ["2019/a.jpg", "2019/b.jpg", "2019/c.jpg", "trip/x.jpg", "trip/y.jpg"].iter().map(|file| id_of(&library, file)).collect();
    // A ring of names, a move to another folder, and a folder renamed whole.
    rename(&library.path("2019/a.jpg"), &library.path("2019/t.jpg"));
    rename(&library.path("2019/b.jpg"), &library.path("2019/a.jpg"));
    rename(&library.path("2019/t.jpg"), &library.path("2019/b.jpg"));
    rename(&library.path("2019/c.jpg"), &library.path("2020/01/new.jpg"));
    rename(&library.path("trip"), &library.path("Trip to the lake"));
    let said = library.scan_well();
    assert!(said.contains("5 moved, 0 missing"), "{said}");
    let after: Vec<String> = ["2019/b.jpg", "2019/a.jpg", "2020/01/new.jpg", "Trip to the lake/x.jpg", "Trip to the lake/y.jpg"]
        .iter()
        .map(|file| id_of(&library, file))
        .collect();
    assert_eq!(before, after);
    assert_eq!(library.files().len(), 5);
    assert_eq!(library.lines("SELECT count(*)::text AS line FROM images"), ["5"]);
}

#[test]
fn a_file_renamed_over_another_takes_its_name() {
    let library = Library::new();
    for index in 1..=3 {
        library.picture(&format!("a/{index}.jpg"), index);
    }
    // Neither size nor time tells the first two apart, as in a burst of uncompressed RAW files on a card.
    let size = |name: &str| fs::metadata(library.path(name)).unwrap().len();
    let longer = size("a/1.jpg").max(size("a/2.jpg"));
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    for name in ["a/1.jpg", "a/2.jpg"] {
        let file = fs::File::options().write(true).open(library.path(name)).unwrap();
        file.set_len(longer).unwrap();
        file.set_modified(at).unwrap();
    }
    library.scan_well();
    let id_of = |name: &str| library.lines(&format!("SELECT id::text AS line FROM files WHERE name = '{name}' AND missing_since IS NULL"));
    let (first, gone) = (id_of("1.jpg"), id_of("2.jpg"));
    rename(&library.path("a/2.jpg"), &library.dir.path().join("away.jpg"));
    rename(&library.path("a/1.jpg"), &library.path("a/2.jpg"));
    let said = library.scan_well();
    assert!(said.contains("1 moved, 1 missing"), "{said}");
    assert_eq!(id_of("2.jpg"), first);
    // What it took the place of is kept, and is found again under another name.
    assert_eq!(library.lines("SELECT id::text AS line FROM files WHERE missing_since IS NOT NULL"), gone);
    rename(&library.dir.path().join("away.jpg"), &library.path("b/2.jpg"));
    let said = library.scan_well();
    assert!(said.contains("1 moved, 0 missing"), "{said}");
    assert_eq!(library.lines("SELECT count(*)::text AS line FROM files"), ["3"]);
    let there =
        format!("SELECT d.rel_path || '/' || f.name AS line FROM files f JOIN folders d ON d.id = f.folder_id WHERE f.id = {}", gone[0]);
    assert_eq!(library.lines(&there), ["b/2.jpg"]);
}

#[test]
fn a_copy_is_another_image_and_survives_its_original() {
    let library = Library::new();
    library.picture("a/1.jpg", 1);
    library.scan_well();
    fs::create_dir(library.path("b")).unwrap();
    fs::copy(library.path("a/1.jpg"), library.path("b/1.jpg")).unwrap();
    library.scan_well();
    let images = library.lines("SELECT DISTINCT image_id::text AS line FROM files");
    assert_eq!(images.len(), 2, "{:?}", library.files());
    fs::remove_file(library.path("a/1.jpg")).unwrap();
    let said = library.scan_well();
    assert!(said.contains("0 moved, 1 missing"), "{said}");
}

#[test]
fn a_companion_left_behind_becomes_its_own_image() {
    let library = Library::new();
    library.picture("a/1.jpg", 1);
    support::media::write(&library.path("a/1.png"), b"not a picture");
    let before = |library: &Library| library.files();
    library.scan();
    let together = before(&library);
    rename(&library.path("a/1.jpg"), &library.path("b/1.jpg"));
    library.scan();
    let moved = library.files();
    assert_eq!(together.len(), moved.len());
    let present: Vec<&String> = moved.iter().filter(|line| !line.starts_with('-')).collect();
    assert_eq!(present.len(), 2, "{moved:?}");
    assert_eq!(
        library.lines(
            "SELECT count(*)::text AS line FROM files f JOIN images i ON i.id = f.image_id WHERE f.folder_id <> i.folder_id AND f.missing_since IS NULL"
        ),
        ["0"]
    );
}

#[test]
fn a_file_that_is_gone_is_missing_and_comes_back_as_itself() {
    let library = Library::new();
    library.picture("a/1.jpg", 1);
    library.picture("a/2.jpg", 2);
    library.scan_well();
    let (files, content) = (library.files(), library.content());
    rename(&library.path("a/1.jpg"), &library.dir.path().join("away.jpg"));
    assert!(library.scan_well().contains("1 missing"));
    assert_eq!(library.lines("SELECT base_name AS line FROM images WHERE is_missing"), ["1"]);
    assert!(library.scan_well().contains("0 missing"), "it is said once");
    rename(&library.dir.path().join("away.jpg"), &library.path("a/1.jpg"));
    library.scan_well();
    assert_eq!((library.files(), library.content()), (files, content));
}

#[test]
fn a_folder_that_is_gone_is_missing_with_all_below() {
    let library = Library::new();
    for (index, file) in ["keep/1.jpg", "gone/2.jpg", "gone/below/3.jpg"].iter().enumerate() {
        library.picture(file, index as u32);
    }
    library.scan_well();
    fs::remove_dir_all(library.path("gone")).unwrap();
    assert!(library.scan_well().contains("2 missing"));
    assert_eq!(library.lines("SELECT base_name AS line FROM images WHERE is_missing ORDER BY 1"), ["2", "3"]);
}

#[test]
fn an_absent_vault_changes_nothing() {
    let library = Library::new();
    library.picture("2019/1.jpg", 1);
    library.scan_well();
    let content = library.content();
    rename(&library.root(), &library.dir.path().join("unmounted"));
    let gone = library.scan();
    assert_eq!(gone.status.code(), Some(4), "{gone:?}");
    assert_eq!(library.content(), content);
    fs::create_dir(library.root()).unwrap();
    assert_eq!(library.scan().status.code(), Some(4), "an empty mount point");
    library.picture("somebody else's/1.jpg", 9);
    let foreign = library.scan();
    assert_eq!(foreign.status.code(), Some(4), "another disk");
    assert!(String::from_utf8_lossy(&foreign.stderr).contains("another disk"), "{foreign:?}");
    assert_eq!(library.content(), content);
    assert_eq!(library.lines("SELECT (offline_since IS NOT NULL)::text AS line FROM vaults"), ["true"]);
    fs::remove_dir_all(library.root()).unwrap();
    rename(&library.dir.path().join("unmounted"), &library.root());
    library.scan_well();
    assert_eq!(library.content(), content);
    assert_eq!(library.lines("SELECT (offline_since IS NOT NULL)::text AS line FROM vaults"), ["false"]);
}

#[test]
fn one_bad_file_is_named_and_the_others_are_filed() {
    let library = Library::new();
    library.picture("a.jpg", 1);
    support::media::write(&library.path("empty.jpg"), b"");
    support::media::write(&library.path("words.jpg"), b"these are words");
    let output = library.scan();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("empty.jpg: ") && said.contains("words.jpg: ") && said.contains("2 problems"), "{said}");
    assert_eq!(library.lines("SELECT name AS line FROM files WHERE error IS NOT NULL ORDER BY 1"), ["empty.jpg", "words.jpg"]);
}

#[test]
fn a_changed_sidecar_reaches_its_image() {
    let library = Library::new();
    library.picture("a.jpg", 1);
    library.scan_well();
    support::media::write(&library.path("a.jpg.xmp"), support::media::xmp(r#"xmp:Rating="5""#, &[]).as_bytes());
    library.scan_well();
    let rating = "SELECT coalesce(rating::text, '') || ' ' || file_count AS line FROM images";
    assert_eq!(library.lines(rating), ["5 2"]);
    fs::remove_file(library.path("a.jpg.xmp")).unwrap();
    library.scan_well();
    assert_eq!(library.lines(rating), [" 1"]);
}

#[test]
fn a_persons_word_on_grouping_outlives_a_full_scan() {
    let library = Library::new();
    library.picture("a.jpg", 1);
    library.picture("b.jpg", 2);
    library.scan_well();
    library.execute("UPDATE files SET pin = 'together'");
    assert!(library.scan_with(&["--full"]).status.success());
    assert_eq!(library.lines("SELECT grouping_rule || ' ' || file_count AS line FROM images"), ["person 2"]);
    let files = library.files();
    assert!(library.scan_with(&["--full"]).status.success());
    assert_eq!(library.files(), files);
}

/// Two libraries of the same pictures, with the same times, in so many folders.
fn twins(pictures: u32, folders: u32) -> (Library, Library) {
    let (one, other) = (Library::new(), Library::new());
    for number in 0..pictures {
        let file = format!("2019/{:02}/{number}.jpg", number % folders);
        one.picture(&file, number);
        let (from, to) = (one.path(&file), other.path(&file));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&from, &to).unwrap();
        let modified = fs::metadata(&from).unwrap().modified().unwrap();
        fs::File::options().write(true).open(&to).unwrap().set_modified(modified).unwrap();
    }
    (one, other)
}

#[test]
fn killed_anywhere_and_run_again_it_ends_as_undisturbed() {
    let (undisturbed, disturbed) = twins(600, 30);
    undisturbed.scan_well();
    // Small batches, and a blow or a polite word at another moment each time.
    for round in 0..8 {
        let mut scan = disturbed.command(&["--json"]).env("HM_SCAN_BATCH_SIZE", "40").stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(40 + 35 * round));
        if round % 2 == 0 {
            scan.kill().unwrap();
            scan.wait().unwrap();
        } else {
            rustix::process::kill_process(rustix::process::Pid::from_child(&scan), rustix::process::Signal::INT).unwrap();
            let code = scan.wait().unwrap();
            // Asked before it listened, it ends by the signal itself.
            assert!(matches!(code.code(), Some(130 | 0) | None), "{code:?}");
        }
    }
    disturbed.scan_well();
    assert_eq!(disturbed.content(), undisturbed.content());
}

#[test]
fn a_batch_that_the_database_refuses_ends_the_scan_and_leaves_the_others() {
    let (undisturbed, refused) = twins(60, 20);
    undisturbed.scan_well();
    refused.execute("ALTER TABLE images ADD CONSTRAINT refused CHECK (base_name <> '33')");
    let output = refused.command(&["--json"]).env("HM_SCAN_BATCH_SIZE", "3").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("while scanning the vault") && words.contains("refused"), "{words}");
    assert_eq!(refused.lines("SELECT state AS line FROM scans"), ["failed"]);
    assert_eq!(refused.lines("SELECT name AS line FROM files WHERE name IN ('13.jpg', '33.jpg', '53.jpg')"), [""; 0]);
    refused.execute("ALTER TABLE images DROP CONSTRAINT refused");
    refused.scan_well();
    assert_eq!(refused.content(), undisturbed.content());
}

#[test]
fn two_scans_of_one_vault_take_turns() {
    let library = Library::new();
    library.picture("a.jpg", 1);
    library.scan_well();
    let mut holder = library.database.connection();
    let vault: Vec<Line> = sql_query("SELECT id::text AS line FROM vaults").load(&mut holder).unwrap();
    let id = hm::models::VaultId(vault[0].line.parse().unwrap());
    assert!(hm::db::scans::try_lock_vault(&mut holder, id).unwrap());
    let output = library.scan();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another scan of it is running"), "{output:?}");
    drop(holder);
    library.scan_well();
}

#[test]
fn a_dry_run_and_the_database_tell_the_same() {
    let library = Library::new();
    library.picture("2019/a.jpg", 1);
    library.picture("2019/sub/b.jpg", 2);
    support::media::write(&library.path("2019/a.xmp"), support::media::xmp(r#"xmp:Rating="4""#, &["lake", "Zoé"]).as_bytes());
    let (dry, wet) = (library.dir.path().join("dry"), library.dir.path().join("wet"));
    for format in ["csv", "jsonl", "parquet"] {
        let export = |dir: &Path, dry_run: bool| {
            let mut args = vec!["--export", dir.to_str().unwrap(), "--format", format];
            args.extend(dry_run.then_some("--dry-run"));
            let output = library.scan_with(&args);
            assert!(output.status.success(), "{output:?}");
        };
        export(&dry, true);
        if format == "csv" {
            assert_eq!(library.lines("SELECT count(*)::text AS line FROM files"), ["0"], "a dry run writes no database");
        }
        export(&wet, false);
        for table in ["images", "files"] {
            let read = |dir: &Path| fs::read(dir.join(format!("{table}.{format}"))).unwrap();
            assert_eq!(read(&dry), read(&wet), "{table}.{format}");
        }
    }
    let images = fs::read_to_string(dry.join("images.csv")).unwrap();
    assert!(images.starts_with("image_index,base_name,subdirectory,file_count,suffixes,"), "{images}");
    assert_eq!(images.lines().count(), 3);
}

/// Twenty pictures in two folders, one of them rated.
fn filled() -> Library {
    let library = Library::new();
    for number in 0..20 {
        library.picture(&format!("{}/{number}.jpg", 2018 + number % 2), number);
    }
    support::media::write(&library.path("2019/1.jpg.xmp"), support::media::xmp(r#"xmp:Rating="5""#, &[]).as_bytes());
    library.scan_well();
    library
}

#[test]
fn a_vault_mounted_elsewhere_is_recognised() {
    let mut library = filled();
    let (files, content) = (library.files(), library.content());
    let before = library.root();
    // A disk that comes back under another name.
    library.root = library.dir.path().join("photos-1");
    rename(&before, &library.root);
    let said = library.scan_well();
    assert!(said.contains("is the vault `photos`, which was at `") && said.contains("0 read, 21 unchanged"), "{said}");
    assert_eq!((library.files(), library.content()), (files.clone(), content.clone()));
    assert_eq!(library.lines("SELECT name AS line FROM vaults"), ["photos"]);
    assert!(!library.scan_well().contains("which was at"), "it is said once");

    // Asked for a folder of it; said in JSON; and a few files may have changed meanwhile.
    let above = library.dir.path().join("elsewhere");
    rename(&library.root, &above.join("disk"));
    fs::remove_file(above.join("disk/2019/3.jpg")).unwrap();
    library.root = above.join("disk/2018");
    let output = library.scan_with(&["--json"]);
    assert!(output.status.success(), "{output:?}");
    let events = String::from_utf8(output.stdout).unwrap();
    let first: serde_json::Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    assert_eq!((&first["event"], &first["name"]), (&"vault".into(), &"photos".into()));
    assert!(first["path"].as_str().unwrap().ends_with("elsewhere/disk"), "{first}");
    assert!(first["moved_from"].as_str().unwrap().ends_with("photos-1"), "{first}");
    assert_eq!((library.files(), library.content()), (files, content), "only the folder asked for was looked at");
}

#[test]
fn a_copy_of_a_healthy_vault_is_a_vault_of_its_own() {
    let mut library = filled();
    let first = library.root();
    library.root = library.dir.path().join("copy");
    for number in 0..20 {
        let file = format!("{}/{number}.jpg", 2018 + number % 2);
        fs::create_dir_all(library.path(&file).parent().unwrap()).unwrap();
        fs::copy(first.join(&file), library.path(&file)).unwrap();
    }
    assert!(!library.scan_well().contains("which was at"));
    assert_eq!(library.lines("SELECT name AS line FROM vaults ORDER BY id"), ["photos", "copy"]);
    assert_eq!(library.lines("SELECT count(*)::text AS line FROM images"), ["40"]);
    // With both known, the first may vanish and come back at its place.
    let away = library.dir.path().join("away");
    rename(&first, &away);
    library.scan_well();
    rename(&away, &first);
    library.root = first;
    assert!(!library.scan_well().contains("which was at"));
    assert_eq!(library.lines("SELECT count(*)::text AS line FROM images WHERE NOT is_missing"), ["40"]);
}

#[test]
fn another_disk_with_the_same_names_is_not_taken_for_an_absent_vault() {
    let mut library = filled();
    let files = library.files();
    rename(&library.root(), &library.dir.path().join("away"));
    library.root = library.dir.path().join("stranger");
    for number in 0..20 {
        library.picture(&format!("{}/{number}.jpg", 2018 + number % 2), 1000 + number);
    }
    assert!(!library.scan_well().contains("which was at"));
    assert_eq!(library.lines("SELECT name AS line FROM vaults ORDER BY id"), ["photos", "stranger"]);
    assert_eq!(library.files()[..21], files, "nothing of the absent vault has changed");
}

#[test]
fn a_vault_with_a_configured_place_is_not_moved_behind_its_owners_back() {
    let mut library = filled();
    let settings = library.dir.path().join("hm.toml");
    fs::write(&settings, format!("[vaults.photos]\npath = \"{}\"\n", library.root().display())).unwrap();
    let before = library.root();
    library.root = library.dir.path().join("photos-1");
    rename(&before, &library.root);
    let output = library.scan_with(&["--config", settings.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("which the configuration places at") && said.contains("[vaults.photos]"), "{said}");
}

#[test]
fn files_read_by_an_older_hm_are_read_again() {
    let library = Library::new();
    library.picture("a.jpg", 1);
    library.picture("b.jpg", 2);
    library.scan_well();
    let content = library.content();
    assert!(library.scan_well().contains("0 read, 2 unchanged"));
    // As the readers before left it: they did not count themselves, and knew less.
    library.execute("UPDATE files SET facts = facts - 'version' - 'make'");
    library.execute("UPDATE folders SET listing_digest = NULL");
    assert!(library.scan_well().contains("2 read, 0 unchanged"));
    assert_eq!(library.content(), content);
}

#[test]
fn an_unchanged_file_costs_one_stat_and_is_never_opened() {
    let library = Library::new();
    for number in 0..50 {
        library.picture(&format!("2019/picture-{number}.jpg"), number);
    }
    library.scan_well();
    let counts = |log: &Path| {
        let log = fs::read_to_string(log).unwrap();
        let calls: Vec<&str> = log.lines().filter(|line| line.contains("picture-") && !line.contains("resumed>")).collect();
        let opened = calls.iter().filter(|line| line.contains("open")).count();
        (calls.len(), opened)
    };
    let traced = |log: &Path| {
        let scan = library.command(&[]);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", "trace=%file", "-o"]).arg(log).arg(scan.get_program()).args(scan.get_args());
        strace.envs(scan.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(library.dir.path());
        strace.output()
    };
    let log = library.dir.path().join("calls");
    let output = match traced(&log) {
        Ok(output) if output.status.success() => output,
        // A container may forbid one process to look at another.
        other => return println!("skipped: strace does not run here: {other:?}"),
    };
    assert!(String::from_utf8_lossy(&output.stderr).contains("50 unchanged"), "{output:?}");
    assert_eq!(counts(&log), (50, 0), "one call a file, and no file opened");
    // One file more in the folder: it alone is opened.
    library.picture("2019/picture-50.jpg", 50);
    traced(&log).unwrap();
    let (calls, opened) = counts(&log);
    assert!(opened >= 1 && calls - opened <= 53, "{calls} calls, {opened} opened");
    let log = fs::read_to_string(&log).unwrap();
    assert!(log.lines().filter(|line| line.contains("open") && line.contains("picture-")).all(|line| line.contains("picture-50.jpg")));
}

/// Enough files that a scan lasts longer than it waits before it says how far it is.
fn many_files() -> Library {
    let library = Library::new();
    library.picture("0/0.jpg", 0);
    let picture = fs::read(library.path("0/0.jpg")).unwrap();
    for number in 1..4_000 {
        let path = library.path(&format!("{}/{number}.jpg", number % 40));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &picture).unwrap();
    }
    library
}

#[test]
fn a_terminal_shows_progress_and_elsewhere_there_are_plain_lines() {
    let library = many_files();
    let scan = library.command(&["--full"]);
    let words: Vec<String> =
        std::iter::once(scan.get_program()).chain(scan.get_args()).map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let mut terminal = Command::new("script");
    if cfg!(target_os = "macos") {
        terminal.args(["-q", "/dev/null"]).args(std::iter::once(scan.get_program()).chain(scan.get_args()));
    } else {
        terminal.args(["-q", "-e", "-c", &words.join(" "), "/dev/null"]);
    }
    terminal.envs(scan.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm").current_dir(library.dir.path());
    match terminal.output() {
        Err(error) => println!("skipped: `script`, which gives a terminal, does not run here: {error}"),
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            let shown = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(shown.contains('\x1b'), "a terminal is drawn on: {shown}");
            let progress = shown.split(['\r', '\n']).find(|line| line.contains(" of ") && line.contains("/s"));
            assert!(progress.is_some(), "files done of all, and the rate: {shown}");
            assert!(shown.contains(" left"), "the time left: {shown}");
            assert!(shown.contains("done: 4000 files in 41 folders"), "{shown}");
        }
    }
    let said = library.scan_well();
    assert!(!said.contains('\x1b') && !said.contains('\r'), "{said}");
    assert!(
        said.lines().any(|line| line.starts_with("scanning `photos`")) && said.lines().any(|line| line.starts_with("done: 4000 files")),
        "{said}"
    );
}

#[test]
fn a_script_gets_one_json_event_a_line() {
    let library = Library::new();
    library.picture("a.jpg", 1);
    support::media::write(&library.path("words.jpg"), b"these are words");
    let output = library.scan_with(&["--json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let events: Vec<serde_json::Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&events[0]["event"], &events[0]["name"]), (&"vault".into(), &"photos".into()));
    let end = events.last().unwrap();
    assert_eq!((&end["event"], &end["interrupted"], &end["summary"]["files_total"]), (&"end".into(), &false.into(), &2.into()));
    assert_eq!((&end["problems"][0]["path"], end["problems"].as_array().unwrap().len()), (&"words.jpg".into(), 1));
    assert!(events[1..events.len() - 1].iter().all(|event| event["event"] == "progress" && event["files_seen"].is_u64()), "{events:?}");
}

#[test]
fn a_folder_that_opts_out_is_left_alone() {
    let library = Library::new();
    library.picture("2019/a.jpg", 1);
    library.picture("private/b.jpg", 2);
    library.picture("private/below/c.jpg", 3);
    support::media::write(&library.path("private/.nomedia"), b"");
    library.scan_well();
    assert_eq!(library.lines("SELECT name AS line FROM files"), ["a.jpg"]);
    fs::remove_file(library.path("private/.nomedia")).unwrap();
    library.scan_well();
    assert_eq!(library.lines("SELECT name AS line FROM files ORDER BY 1"), ["a.jpg", "b.jpg", "c.jpg"]);
}

#[test]
fn companions_go_where_their_picture_goes() {
    let library = Library::new();
    library.picture("2019/IMG_1.JPG", 1);
    for name in ["2019/IMG_1.WAV", "2019/IMG_1.JPG.dop", "2019/song.wav", "2019/pom.xml"] {
        support::media::write(&library.path(name), name.as_bytes());
    }
    assert!(library.scan_well().contains("0 problems"));
    let line =
        "SELECT f.name || ' ' || f.role || ' ' || i.base_name AS line FROM files f JOIN images i ON i.id = f.image_id ORDER BY f.name";
    assert_eq!(library.lines(line), ["IMG_1.JPG ORIGINAL IMG_1", "IMG_1.JPG.dop SIDECAR IMG_1", "IMG_1.WAV SIDECAR IMG_1"]);
    assert_eq!(library.lines("SELECT count(*)::text AS line FROM files"), ["3"], "what accompanies nothing is none of ours");
}

#[test]
fn renames_that_change_only_case_keep_ids_on_a_disk_that_ignores_case() {
    let Some(disk) = support::case::ignoring_case() else { return };
    let library = Library::on(disk.path().join("photos"));
    for (index, file) in ["Trip/IMG_1.JPG", "Trip/Below/IMG_2.JPG", "Other/IMG_3.JPG"].iter().enumerate() {
        library.picture(file, index as u32);
    }
    support::media::write(&library.path("Trip/IMG_1.xmp"), support::media::xmp(r#"xmp:Rating="4""#, &[]).as_bytes());
    assert!(library.path("trip/img_1.jpg").is_file(), "the disk ignores case");
    library.scan_well();
    let lower = |lines: Vec<String>| lines.into_iter().map(|line| line.to_lowercase()).collect::<Vec<_>>();
    let (files, images) = (lower(library.files()), library.lines("SELECT id::text AS line FROM images ORDER BY id"));
    // Through another name, as every program must on some of these file systems.
    let respell = |from: &str, to: &str| {
        fs::rename(library.path(from), library.path("in between")).unwrap();
        fs::rename(library.path("in between"), library.path(to)).unwrap();
    };
    for (from, to) in [("Trip/IMG_1.JPG", "Trip/img_1.jpg"), ("Trip", "trip"), ("trip/Below", "trip/BELOW"), ("Other", "OTHER")] {
        respell(from, to);
        let said = library.scan_well();
        assert!(said.contains(" 0 missing"), "{from} → {to}: {said}");
        assert_eq!(lower(library.files()), files, "{from} → {to}");
        assert_eq!(library.lines("SELECT id::text AS line FROM images ORDER BY id"), images, "{from} → {to}");
    }
    let names = library.lines("SELECT d.rel_path || '/' || f.name AS line FROM files f JOIN folders d ON d.id = f.folder_id ORDER BY 1");
    assert_eq!(names, ["OTHER/IMG_3.JPG", "trip/BELOW/IMG_2.JPG", "trip/IMG_1.xmp", "trip/img_1.jpg"]);
    assert_eq!(library.lines("SELECT count(*)::text AS line FROM files WHERE missing_since IS NOT NULL"), ["0"]);
}
