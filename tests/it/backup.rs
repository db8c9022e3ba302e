//! Backups by the real program: what is made, what comes back, what is refused, and that nothing is left behind when it goes wrong.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text};
use hm::{
    db::{
        edits::{Selection, Turn, apply_edits, turn_batch},
        grouping::split_image,
        searches::upsert_search,
    },
    models::{
        FileId, ImageId,
        backup::{BackupKind, BackupName},
        edit::{Change, Keywords, Value},
    },
};

use crate::{
    migrations::dump,
    support::{self, TestDatabase, hm_command, library::file_id, media::Jpeg},
};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    sql_query(sql).load::<Line>(conn).unwrap().into_iter().map(|row| row.line).collect()
}

/// The whole database as text: what it is made of, every row of every table, and where its sequences stand. The record of backups, which
/// no backup holds, is left out.
fn everything(database: &TestDatabase) -> Vec<String> {
    let conn = &mut database.connection();
    let mut all = dump(conn);
    let tables =
        lines(conn, "SELECT tablename::text AS line FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'backups' ORDER BY 1");
    assert!(tables.len() >= 14, "{tables:?}");
    for table in tables {
        all.extend(lines(conn, &format!("SELECT '{table}: ' || t::text AS line FROM \"{table}\" AS t ORDER BY 1")));
    }
    all.extend(lines(
        conn,
        "SELECT sequencename || ' ' || coalesce(last_value, 0) AS line FROM pg_sequences WHERE sequencename <> 'backups_id_seq' ORDER BY 1",
    ));
    all
}

/// A curated library, a folder for its backups, and the program that makes them.
struct Library {
    dir: tempfile::TempDir,
    database: TestDatabase,
}

impl Library {
    fn new() -> Self {
        let library = Self { dir: support::temp_dir(), database: TestDatabase::new() };
        for number in 0..6 {
            let taken = format!("2019:08:03 12:00:{number:02}");
            let picture = Jpeg::new(32, 24).shade(number).camera("Canon", "Canon EOS R6").taken(&taken);
            picture.write(&library.dir.path().join(format!("photos/Zoé/IMG_{number}.JPG")));
        }
        let edited = Jpeg::new(32, 24).shade(9).camera("Canon", "Canon EOS R6").taken("2019:08:03 12:00:00");
        edited.write(&library.dir.path().join("photos/Zoé/IMG_0-Edit.JPG"));
        let scanned = library.hm(&["scan"]).arg(library.dir.path().join("photos")).output().unwrap();
        assert!(scanned.status.success(), "{scanned:?}");
        library
    }

    /// Rates, titles, tags, takes back, saves a search, and takes an image apart.
    fn curate(&self) {
        let conn = &mut self.database.connection();
        let all: Vec<ImageId> =
            lines(conn, "SELECT id::text AS line FROM images ORDER BY id").iter().map(|id| ImageId(id.parse().unwrap())).collect();
        let mut say = |images: &[ImageId], change: Change| {
            apply_edits(conn, "zoé", &Selection::Images(images.to_vec()), &[change]).unwrap().unwrap().id.unwrap()
        };
        say(&all, Change::Set(Value::Rating(Some(4))));
        say(&all[..3], Change::AddKeywords(Keywords::new(["Äpfel", "lake"], ["animal|dog|Zoé"])));
        let taken_back = say(&all[1..], Change::Set(Value::Title(Some("\\. not the end\n\tof 'it'".to_owned()))));
        turn_batch(conn, "zoé", taken_back, Turn::Back).unwrap();
        upsert_search(conn, "Été", "rating:>=4 tag:dog").unwrap();
        let together: ImageId = lines(conn, "SELECT image_id::text AS line FROM files WHERE name = 'IMG_0-Edit.JPG'")[0].parse().unwrap();
        let apart: FileId = file_id(conn, "IMG_0-Edit.JPG");
        split_image(conn, together, &[apart]).unwrap().unwrap();
    }

    /// What networks and people say about the pictures; vectors where there is a place for them.
    fn look_at(&self) {
        let conn = &mut self.database.connection();
        conn.batch_execute(
            "INSERT INTO networks (kind, name, version, family, title, dimensions)
                 VALUES ('embed', 'clip', '1', 'clip', 'CLIP', 4), ('detect', 'yolo', '1', 'yolo11', 'YOLO', NULL);
             INSERT INTO image_results (network_id, image_id, picture_key) SELECT n.id, i.id, i.picture_key FROM networks AS n, images AS i;
             INSERT INTO regions (image_id, network_id, picture_key, label, score, left_px, top_px, right_px, bottom_px, frame_width_px,
                 frame_height_px, mask, origin)
             SELECT i.id, n.id, i.picture_key, 'dog', 0.5, 0, 0, 4, 4, 10, 9, '61X13mN000`0', 'network'
             FROM images AS i, networks AS n WHERE n.kind = 'detect';
             INSERT INTO regions (image_id, picture_key, label, left_px, top_px, right_px, bottom_px, frame_width_px, frame_height_px, origin)
             SELECT id, picture_key, 'drawn by Zoé', 0, 0, 4, 4, 10, 9, 'person' FROM images",
        )
        .unwrap();
        if support::has_vectors(conn) {
            // As the server makes it when there are many: no backup brings it along.
            conn.batch_execute(
                "INSERT INTO embeddings (network_id, image_id, vector)
                     SELECT n.id, i.id, '[0.5, -0.5, 0.5, 0.5]' FROM networks AS n, images AS i WHERE n.kind = 'embed';
                 CREATE INDEX embeddings_network_1 ON embeddings USING hnsw ((vector::halfvec(4)) halfvec_cosine_ops) WHERE network_id = 1",
            )
            .unwrap();
        }
    }

    fn hm(&self, args: &[&str]) -> Command {
        self.hm_on(&self.database, args)
    }

    fn hm_on(&self, database: &TestDatabase, args: &[&str]) -> Command {
        let mut command = hm_command();
        command.env("HM_DATABASE_URL", database.url()).env("HM_REDIS_URL", "redis://127.0.0.1:1/");
        command.arg("--data-dir").arg(self.dir.path().join("data")).args(args);
        command
    }

    fn backups(&self) -> PathBuf {
        self.dir.path().join("data/backups")
    }

    /// Makes a backup and gives its path, as the program says it.
    fn back_up(&self) -> PathBuf {
        let output = self.hm(&["backup"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let path = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        assert!(path.starts_with(self.backups()), "{path:?}");
        path
    }

    fn restore(&self, database: &TestDatabase, args: &[&str], file: &Path) -> Output {
        self.hm_on(database, &["restore"]).args(args).arg(file).output().unwrap()
    }

    fn restore_well(&self, database: &TestDatabase, args: &[&str], file: &Path) -> String {
        let output = self.restore(database, args, file);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

fn said(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Names in a folder.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_library_comes_back_as_it_was() {
    let library = Library::new();
    library.curate();
    library.look_at();
    let before = everything(&library.database);
    for words in [
        "networks: ",
        "regions: ",
        "drawn by Zoé",
        "image_results: ",
        "images: ",
        "edits: ",
        "searches: ",
        "tags: ",
        "person",
        "Été",
        "\\\\. not the end",
        "edit_batches 3",
    ] {
        assert!(before.iter().any(|line| line.contains(words)), "the test's library lacks {words}: {before:#?}");
    }
    let backup = library.back_up();
    assert_eq!(everything(&library.database), before, "a backup changes nothing");
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(library.backups()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(names(&library.backups()).len(), 1, "nothing unfinished is left");

    // Into a database that has never seen hm, as on a new machine.
    let fresh = TestDatabase::empty();
    let words = library.restore_well(&fresh, &[], &backup);
    assert!(words.contains("7 images") && words.contains("1 saved searches"), "{words}");
    let before: Vec<String> = before.into_iter().filter(|line| !line.contains("INDEX embeddings_network_1 ")).collect();
    assert_eq!(everything(&fresh), before);
    // What a migration made works on: triggers count, identities go on, functions find each other.
    fresh.connection().batch_execute("UPDATE images SET keywords = '{new}' WHERE id = (SELECT min(id) FROM images)").unwrap();
    assert_eq!(lines(&mut fresh.connection(), "SELECT image_count::text AS line FROM tags WHERE name = 'new'"), ["1"]);
    let again = library.hm_on(&fresh, &["scan"]).arg(library.dir.path().join("photos")).output().unwrap();
    assert!(again.status.success(), "{again:?}");
    assert_eq!(lines(&mut fresh.connection(), "SELECT count(*)::text AS line FROM images"), ["7"], "a split stays");
}

#[test]
fn a_library_that_is_not_empty_is_replaced_only_when_told_and_kept() {
    let library = Library::new();
    library.curate();
    let (before, backup) = (everything(&library.database), library.back_up());
    let change = "UPDATE images SET title = 'later'; DELETE FROM searches; CREATE TABLE later (n int)";
    library.database.connection().batch_execute(change).unwrap();
    let later = everything(&library.database);
    assert_ne!(later, before);

    let refused = said(&library.restore(&library.database, &[], &backup));
    assert!(refused.contains("7 images") && refused.contains("--replace"), "{refused}");
    assert_eq!(everything(&library.database), later);

    // Nobody may be at work in it.
    let other = library.database.connection();
    let refused = said(&library.restore(&library.database, &["--replace"], &backup));
    assert!(refused.contains("1 other connection") && refused.contains("hint: stop `hm serve`"), "{refused}");
    drop(other);

    let words = library.restore_well(&library.database, &["--replace"], &backup);
    assert_eq!(everything(&library.database), before);
    let replaced = library.backups().join(names(&library.backups()).iter().find(|name| name.starts_with("hm-replaced-")).unwrap());
    assert!(words.contains(&replaced.display().to_string()), "{words}");
    let recorded = "SELECT concat_ws(' ', kind, image_count, path) AS line FROM backups ORDER BY id";
    assert_eq!(
        lines(&mut library.database.connection(), recorded),
        [format!("manual 7 {}", backup.display()), format!("replaced 7 {}", replaced.display())],
        "the record of backups stays with the host"
    );
    library.restore_well(&library.database, &["--replace"], &replaced);
    assert_eq!(everything(&library.database), later, "and back again");
    let schemas = "SELECT nspname::text AS line FROM pg_namespace WHERE nspname LIKE 'hm%'";
    assert_eq!(lines(&mut library.database.connection(), schemas), [""; 0]);
}

/// A library may live in a schema of its own; where the backup's schema is somebody else's there, it says so and leaves it alone.
#[test]
fn a_backup_goes_into_another_schema_unless_its_own_is_taken() {
    let library = Library::new();
    library.curate();
    let conn = &mut library.database.connection();
    let file = library.back_up();
    let family = |database: &TestDatabase| {
        let separator = if database.url().contains('?') { '&' } else { '?' };
        format!("{}{separator}options=-csearch_path%3Dfamily%2Cpublic", database.url())
    };
    let restore = |url: &str, file: &Path| {
        let mut command = library.hm(&["restore"]);
        command.env("HM_DATABASE_URL", url).arg(file).output().unwrap()
    };
    let target = TestDatabase::empty();
    target.connection().batch_execute("CREATE SCHEMA family; CREATE TABLE public.mine (id int)").unwrap();
    let refused = said(&restore(&family(&target), &file));
    assert!(refused.contains("from the schema `public`") && refused.contains("`family`") && refused.contains("hint: "), "{refused}");
    let tables = "SELECT schemaname || '.' || tablename AS line FROM pg_tables WHERE schemaname IN ('public', 'family')";
    assert_eq!(lines(&mut target.connection(), tables), ["public.mine"]);
    // Its own name is free: it becomes the schema that is configured.
    let count = "SELECT count(*)::text AS line FROM images";
    let images = lines(conn, count);
    let own = TestDatabase::empty();
    own.connection().batch_execute("CREATE SCHEMA family; CREATE EXTENSION ltree WITH SCHEMA family; DROP SCHEMA public").unwrap();
    let output = restore(&family(&own), &file);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(lines(&mut own.connection(), "SELECT count(*)::text AS line FROM family.images"), images);
}

#[test]
fn an_older_backup_is_brought_up_to_date_and_a_newer_one_is_refused() {
    let library = Library::new();
    let now = everything(&library.database);
    // As an hm from before backups were recorded would have left it.
    let older = "DROP TABLE backups; DROP INDEX files_content, images_tagged; DELETE FROM __diesel_schema_migrations WHERE version = '20261126000006'";
    library.database.connection().batch_execute(older).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let config = hm::config::Config::load(None).unwrap();
    let context = hm::backup::BackupContext { url: library.database.url(), config: &config, host: "here", stop: &stop };
    let made = hm::backup::make_backup(&context, BackupKind::Manual, Some(&library.backups()), false).unwrap();
    assert!(!made.manifest.migrations.contains(&"20261126000006".to_owned()));
    let fresh = TestDatabase::empty();
    library.restore_well(&fresh, &[], &made.path);
    let without_times = |all: Vec<String>| -> Vec<String> { all.into_iter().filter(|line| !line.starts_with("__diesel")).collect() };
    assert_eq!(without_times(everything(&fresh)), without_times(now));
    assert_eq!(lines(&mut fresh.connection(), "SELECT count(*)::text AS line FROM backups"), ["0"]);

    // As an hm to come would make it.
    fresh.connection().batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000001')").unwrap();
    let context = hm::backup::BackupContext { url: fresh.url(), ..context };
    let newer = hm::backup::make_backup(&context, BackupKind::Manual, Some(&library.backups()), false).unwrap();
    let target = TestDatabase::new();
    let before = everything(&target);
    for args in [&["--check"][..], &[]] {
        let refused = said(&library.restore(&target, args, &newer.path));
        assert!(refused.contains("which is newer than this one") && refused.contains("hint: "), "{refused}");
    }
    assert_eq!(everything(&target), before);
}

#[test]
fn a_damaged_backup_is_named_and_changes_nothing() {
    let library = Library::new();
    library.curate();
    let backup = library.back_up();
    let good = fs::read(&backup).unwrap();
    let fresh = TestDatabase::new();
    let before = everything(&fresh);
    let bad = library.dir.path().join("bad.zip");
    let refused = |bytes: &[u8]| {
        fs::write(&bad, bytes).unwrap();
        let text = said(&library.restore(&fresh, &[], &bad));
        assert!(text.contains(&bad.display().to_string()), "{text}");
        let checked = said(&library.restore(&fresh, &["--check"], &bad));
        assert!(checked.contains(&bad.display().to_string()), "{checked}");
        text
    };
    for share in [0.1, 0.5, 0.9] {
        let mut bytes = good.clone();
        let at = (bytes.len() as f64 * share) as usize;
        bytes[at] ^= 0x20;
        let text = refused(&bytes);
        assert!(text.contains("is damaged") && text.contains("hint: "), "{text}");
    }
    for share in [0.3, 0.99] {
        let text = refused(&good[..(good.len() as f64 * share) as usize]);
        assert!(text.contains("cut off"), "{text}");
    }
    assert!(refused(b"").contains("is no backup"));
    assert!(refused(b"not a zip at all").contains("is no backup"));
    let missing = said(&library.restore(&fresh, &[], &library.dir.path().join("none.zip")));
    assert!(missing.contains("none.zip") && missing.contains("No such file"), "{missing}");
    assert_eq!(everything(&fresh), before);
    let whole = library.restore_well(&fresh, &["--check"], &backup);
    assert!(whole.contains("is whole") && whole.contains("7 images"), "{whole}");
    assert_eq!(everything(&fresh), before, "a check changes nothing");
}

#[test]
fn pictures_go_along_when_asked() {
    let library = Library::new();
    let key = "0123456789abcdef0123456789abcdef";
    let picture = |data: &str| library.dir.path().join(data).join(format!("thumbs/01/23/{key}.thumb.webp"));
    fs::create_dir_all(picture("data").parent().unwrap()).unwrap();
    fs::write(picture("data"), "webp").unwrap();
    let made = format!("INSERT INTO pictures (image_id, key) SELECT min(id), '{key}' FROM images");
    library.database.connection().batch_execute(&made).unwrap();
    let output = library.hm(&["backup", "--thumbnails", "--to"]).arg(library.dir.path().join("elsewhere")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let backup = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    assert!(backup.starts_with(library.dir.path().join("elsewhere")));
    fs::rename(library.dir.path().join("data"), library.dir.path().join("lost")).unwrap();
    let words = library.restore_well(&TestDatabase::new(), &[], &backup);
    assert!(words.contains("1 pictures were put back"), "{words}");
    assert_eq!(fs::read(picture("data")).unwrap(), b"webp");
}

/// Backups of the last days, as a server would have left them; they are not looked into.
fn make_old(dir: &Path, days: std::ops::Range<i64>) -> Vec<String> {
    fs::create_dir_all(dir).unwrap();
    let name = |day: i64| BackupName { made_at: Utc::now() - TimeDelta::days(day), kind: BackupKind::Nightly }.to_string();
    let mut all: Vec<String> = days.map(name).collect();
    for name in &all {
        fs::write(dir.join(name), "old").unwrap();
    }
    all.sort();
    all
}

#[test]
fn the_server_makes_one_a_night_and_keeps_seven() {
    let library = Library::new();
    let old = make_old(&library.backups(), 2..11);
    for other in ["hm-manual-20000101T000000Z.zip", "hm-replaced-20000101T000000Z.zip", "holiday.zip"] {
        fs::write(library.backups().join(other), "kept").unwrap();
    }
    let mut command = library.hm(&["serve", "--bind", "127.0.0.1:0"]);
    command.env("HM_REDIS_URL", support::redis_url()).env("HM_THUMBS_WORKERS", "1").env("HM_LOG_LEVEL", "info");
    let log = fs::File::create(library.dir.path().join("log")).unwrap();
    let mut server = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let log = || fs::read_to_string(library.dir.path().join("log")).unwrap();
    let is_nightly = |name: &String| name.starts_with("hm-nightly-");
    support::wait_until("a nightly backup is made and old ones go", Duration::from_secs(120), || {
        log().contains("removed 3 nightly backup(s)")
    });
    rustix::process::kill_process(rustix::process::Pid::from_child(&server), rustix::process::Signal::TERM).unwrap();
    assert!(server.wait().unwrap().success());

    let left = names(&library.backups());
    let nightly: Vec<&String> = left.iter().filter(|name| is_nightly(name)).collect();
    assert_eq!(nightly.len(), 7, "{left:?}");
    assert_eq!(nightly[..6].iter().map(|name| name.as_str()).collect::<Vec<_>>(), old[3..], "the oldest three are gone");
    assert_eq!(left.len(), 10, "what is no nightly backup stays: {left:?}");
    assert!(log().contains("the nightly backup is made and read back: 6 images"), "{}", log());
    let newest = library.backups().join(nightly[6]);
    library.restore_well(&TestDatabase::new(), &["--check"], &newest);
    let recorded = "SELECT concat_ws(' ', kind, image_count, path) AS line FROM backups WHERE removed_at IS NULL";
    assert_eq!(lines(&mut library.database.connection(), recorded), [format!("nightly 6 {}", newest.display())]);
}

#[test]
fn a_backup_that_cannot_be_written_says_why_and_leaves_nothing() {
    let library = Library::new();
    let file = library.dir.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = said(&library.hm(&["backup", "--to"]).arg(file.join("below")).output().unwrap());
    assert!(refused.contains("cannot write") && refused.contains("HM_BACKUP_DIR"), "{refused}");
    let unplugged = library.dir.path().join("unplugged");
    let absent = said(&library.hm(&["backup", "--to"]).arg(unplugged.join("hm")).output().unwrap());
    assert!(absent.contains("hint: connect its disk") && !unplugged.exists(), "{absent}");
    let recorded = "SELECT concat_ws(' ', kind, error) AS line FROM backups";
    let failures = lines(&mut library.database.connection(), recorded);
    assert!(failures.len() == 2 && failures[0].starts_with("manual cannot write"), "{failures:?}");

    let small = library.dir.path().join("small");
    let Some(disk) = support::small_disk::SmallDisk::mount(&small, 1) else {
        eprintln!("skipped: mounting a small disk is not permitted here");
        return;
    };
    fs::write(small.join("filler"), vec![0; 1_000_000]).unwrap();
    let kept = make_old(&small, 1..2);
    let refused = said(&library.hm(&["backup", "--to"]).arg(&small).output().unwrap());
    assert!(refused.contains("No space left") && refused.contains("MiB are free") && refused.contains("hint: make room"), "{refused}");
    assert_eq!(names(&small), [&["filler".to_owned()][..], &kept].concat(), "the earlier ones stay, and nothing half done");
    drop(disk);
}

#[test]
fn a_restore_that_fails_half_way_changes_nothing() {
    let library = Library::new();
    let backup = library.back_up();
    let target = TestDatabase::new();
    target.connection().batch_execute("INSERT INTO vaults (name) VALUES ('mine')").unwrap();
    let before = everything(&target);
    // A manifest that tells of more than there is.
    let told = library.dir.path().join("told.zip");
    rewrite_manifest(&backup, &told, |manifest| manifest["rows"]["images"] = 99.into());
    let refused = said(&library.restore(&target, &["--replace"], &told));
    assert!(refused.contains("`images` has 6 rows where its manifest says 99"), "{refused}");
    assert_eq!(everything(&target), before);
    // Programs of PostgreSQL that fail in the middle.
    let programs = library.dir.path().join("bin");
    fs::create_dir(&programs).unwrap();
    let real = hm::services::ClientPrograms::find(&hm::config::Config::load(None).unwrap().database, 1).unwrap();
    for (name, program) in [("pg_dump", real.pg_dump()), ("psql", real.psql())] {
        script(&programs.join(name), &format!("exec '{}' \"$@\"", program.display()));
    }
    let cut = format!(
        "case \" $* \" in *--schema*) '{}' \"$@\" | head -c 20000; exit 1 ;; *) exec '{}' \"$@\" ;; esac",
        real.pg_restore().display(),
        real.pg_restore().display()
    );
    script(&programs.join("pg_restore"), &cut);
    let mut command = library.hm_on(&target, &["restore", "--replace"]);
    let refused = said(&command.env("HM_DATABASE_BIN_DIR", &programs).arg(&backup).output().unwrap());
    assert!(refused.contains("pg_restore failed"), "{refused}");
    assert_eq!(everything(&target), before);
    let schemas = "SELECT nspname::text AS line FROM pg_namespace WHERE nspname LIKE 'hm%'";
    assert_eq!(lines(&mut target.connection(), schemas), [""; 0]);
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The same archive with another manifest.
fn rewrite_manifest(from: &Path, to: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    use std::io::{Read, Write};
    let mut read = zip::ZipArchive::new(fs::File::open(from).unwrap()).unwrap();
    let mut write = zip::ZipWriter::new(fs::File::create(to).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut change = Some(change);
    for index in 0..read.len() {
        let mut entry = read.by_index(index).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if name == "manifest.json" {
            let mut manifest = serde_json::from_slice(&bytes).unwrap();
            (change.take().unwrap())(&mut manifest);
            bytes = serde_json::to_vec(&manifest).unwrap();
        }
        write.start_file(name, options).unwrap();
        write.write_all(&bytes).unwrap();
    }
    write.finish().unwrap();
}
