//! What passes a filter, taken along: tables, lists and archives, read back as other programs would.

use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use diesel::{PgConnection, RunQueryDsl, connection::SimpleConnection, sql_query};
use hm::models::{FolderId, PictureKey, PictureSize};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::RowAccessor,
};

use crate::support::{
    self, TestDatabase, hm_command,
    http::{Answer, App},
    library::{folder, image, vault},
};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Three images on a vault, and a server that shows them.
struct Library {
    app: App,
    database: TestDatabase,
    dir: tempfile::TempDir,
    root: FolderId,
}

impl Library {
    fn new() -> Self {
        let (database, dir) = (TestDatabase::new(), support::temp_dir());
        let photos = dir.path().join("photos");
        fs::create_dir_all(photos.join("Zoé")).unwrap();
        let conn = &mut database.connection();
        let root = vault(conn, "photos", &photos);
        let zoe = folder(conn, root, "Zoé");
        let mut rated = image("IMG_1").file("IMG_1.CR2", "cr2", "ORIGINAL").file("IMG_1.JPG", "jpeg", "EXPORT");
        rated = rated.file("IMG_1.xmp", "xmp", "SIDECAR").picture(KEY);
        (rated.rating, rated.has_raw) = (Some(4), true);
        rated.insert(conn, zoe);
        image("IMG_2").at("2020-01-01 10:00:00").file("IMG_2.JPG", "jpeg", "ORIGINAL").insert(conn, root);
        image("IMG_3").at("2021-01-01 10:00:00").file("IMG_3.JPG", "jpeg", "ORIGINAL").insert(conn, root);
        for (name, text) in [("Zoé/IMG_1.CR2", "raw"), ("Zoé/IMG_1.JPG", "jpeg"), ("Zoé/IMG_1.xmp", "<x/>"), ("IMG_2.JPG", "two")] {
            fs::write(photos.join(name), text).unwrap();
        }
        let proxy = dir.path().join("thumbs").join(KEY.parse::<PictureKey>().unwrap().relative_path(PictureSize::Proxy));
        fs::create_dir_all(proxy.parent().unwrap()).unwrap();
        fs::write(proxy, "proxy").unwrap();
        Self { app: App::start(database.pool(), &dir.path().join("thumbs")), database, dir, root }
    }

    fn conn(&self) -> PgConnection {
        self.database.connection()
    }

    fn photos(&self) -> PathBuf {
        self.dir.path().join("photos")
    }

    fn export(&self, query: &str) -> Answer {
        let answer = self.app.get(&format!("/api/v1/export?{query}"));
        assert_eq!((answer.status, answer.is_whole), (200, true), "{query}: {}", answer.text());
        answer
    }
}

/// The entries of an archive, by name.
fn entries(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let count = zip.len();
    let one = |index| {
        let mut entry = zip.by_index(index).unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (entry.name().unwrap().into_owned(), text)
    };
    (0..count).map(one).collect()
}

#[test]
fn lists_and_tables_hold_what_passes_the_filter() {
    let library = Library::new();
    let ids = library.export("format=ids");
    assert_eq!((ids.text().as_str(), ids.header("content-disposition")), ("3\n2\n1\n", "attachment; filename=\"ids.txt\""));
    assert_eq!(ids.header("cache-control"), "private, no-store");
    assert_eq!(library.export("format=ids&q=rating:4").text(), "1\n");
    assert_eq!(library.export("format=ids&q=rating:5").text(), "");
    let path = |name: &str| format!("{}\n", library.photos().join(name).display());
    assert_eq!(
        library.export("format=paths&q=rating:4").text(),
        ["IMG_1.CR2", "IMG_1.JPG", "IMG_1.xmp"].map(|name| path(&format!("Zoé/{name}"))).concat()
    );

    let csv = library.export("q=rating:4%20type:raw");
    assert!(csv.header("content-type").starts_with("text/csv"), "{csv:?}");
    let mut reader = csv::Reader::from_reader(csv.body.as_slice());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0][0], &rows[0][1], &rows[0][2]), ("1", "IMG_1", "Zoé"));
    let files = library.export("format=jsonl&of=files&year=2019").text();
    let rows: Vec<serde_json::Value> = files.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<(i64, &str)> = rows.iter().map(|row| (row["image_index"].as_i64().unwrap(), row["filename"].as_str().unwrap())).collect();
    assert_eq!(told, [(1, "IMG_1.CR2"), (1, "IMG_1.JPG"), (1, "IMG_1.xmp")], "the id of the image joins them");

    let parquet = library.export("format=parquet&q=-rating:4");
    let reader = SerializedFileReader::new(actix_web::web::Bytes::from(parquet.body)).unwrap();
    let names: Vec<String> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().get_string(1).unwrap().clone()).collect();
    assert_eq!(names, ["IMG_2", "IMG_3"]);

    for (query, status, code) in [
        ("format=xls", 400, "bad_request"),
        ("format=csv&of=originals", 400, "bad_request"),
        ("format=zip&of=files", 400, "bad_request"),
        ("q=ratng:3", 400, "bad_query"),
        ("format=zip&q=rating:1", 409, "conflict"),
    ] {
        let answer = library.app.get(&format!("/api/v1/export?{query}"));
        assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{query}");
    }
    let head = library.app.send("HEAD", "/api/v1/export?format=zip", &[], "");
    assert_eq!((head.status, head.body.len(), head.header("content-type")), (200, 0, "application/zip"));
}

#[test]
fn many_images_are_read_piece_by_piece_and_none_is_lost() {
    let library = Library::new();
    let many = "INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, file_count, total_size_bytes, suffixes, \
        has_raw, has_jpeg, has_sidecar, is_video, grouping_rule) \
        SELECT 1, 1, 'N_' || g, '2000-01-01', 'file-name', 1, 1, '{}', false, true, false, false, 'stem' FROM generate_series(1, 9000) AS g";
    library.conn().batch_execute(many).unwrap();
    assert_eq!(library.export("format=ids&year=2000").text().lines().count(), 9000);
    assert_eq!(library.export("format=csv&year=2000").text().lines().count(), 9001);
    let parquet = library.export("format=parquet&year=2000");
    let reader = SerializedFileReader::new(actix_web::web::Bytes::from(parquet.body)).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 9000);
}

#[test]
fn what_is_missing_is_listed_where_it_is_asked_for() {
    let library = Library::new();
    library.conn().batch_execute("UPDATE images SET is_missing = true WHERE id = 3; UPDATE files SET missing_since = now() WHERE image_id = 3 OR name = 'IMG_1.JPG'").unwrap();
    assert_eq!(library.export("format=ids&q=is:missing").text(), "3\n");
    assert_eq!(library.export("format=paths&q=is:missing").text(), format!("{}\n", library.photos().join("IMG_3.JPG").display()));
    let paths = library.export("format=paths&q=-is:missing").text();
    assert!(!paths.contains("IMG_1.JPG") && paths.contains("IMG_1.CR2"), "{paths}");
    library.conn().batch_execute("DELETE FROM vault_mounts").unwrap();
    assert_eq!(library.export("format=paths&q=rating:4").text(), "Zoé/IMG_1.CR2\nZoé/IMG_1.xmp\n", "inside the vault");
}

#[test]
fn originals_are_packed_as_they_lie_and_what_lacks_is_listed() {
    let library = Library::new();
    let answer = library.export("format=zip");
    assert_eq!((answer.header("content-type"), answer.header("content-encoding")), ("application/zip", "identity"));
    let packed = entries(&answer.body);
    let expected = [("IMG_2.JPG", "two"), ("Zoé/IMG_1.CR2", "raw"), ("Zoé/IMG_1.JPG", "jpeg"), ("Zoé/IMG_1.xmp", "<x/>")];
    for (name, text) in expected {
        assert_eq!(packed.get(name).map(String::as_str), Some(text), "{packed:?}");
    }
    assert_eq!(packed.len(), 5);
    let list = &packed["NOT INCLUDED.txt"];
    assert!(list.contains("IMG_3.JPG: it is no longer on its vault"), "{list}");
    another_program_reads(&answer.body, "Zoé/IMG_1.CR2", "raw");

    // A second vault, which is away: names that both have stay apart.
    let conn = &mut library.conn();
    let other = vault(conn, "phone", &library.dir.path().join("phone"));
    image("IMG_2").at("2020-01-01 11:00:00").file("IMG_2.JPG", "jpeg", "ORIGINAL").insert(conn, other);
    conn.batch_execute("UPDATE vaults SET offline_since = now(), offline_reason = 'unplugged' WHERE name = 'phone'").unwrap();
    let packed = entries(&library.export("format=zip&year=2020").body);
    assert_eq!(packed.get("photos/IMG_2.JPG").map(String::as_str), Some("two"));
    assert!(packed["NOT INCLUDED.txt"].contains("phone/IMG_2.JPG: its vault is offline: unplugged"), "{packed:?}");
    // A link out of the vault is no file of it.
    fs::write(library.dir.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(library.dir.path().join("secret"), library.photos().join("IMG_3.JPG")).unwrap();
    let packed = entries(&library.export("format=zip&year=2021").body);
    assert_eq!(packed.keys().collect::<Vec<_>>(), ["NOT INCLUDED.txt"]);
}

/// Python's reader of archives, if it is there: a second opinion on what was streamed.
fn another_program_reads(bytes: &[u8], name: &str, text: &str) {
    let script = "import io, sys, zipfile; z = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read())); assert z.testzip() is None; \
        print(z.read(sys.argv[1]).decode())";
    let child = Command::new("python3").args(["-c", script, name]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        println!("skipped: there is no python3");
        return;
    };
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), text);
}

#[test]
fn proxies_are_packed_under_time_and_name() {
    let library = Library::new();
    let packed = entries(&library.export("format=zip&of=proxies").body);
    assert_eq!(packed.get("2019-08-03_12-33-00_IMG_1.jpg").map(String::as_str), Some("proxy"), "{packed:?}");
    assert_eq!(packed.len(), 2);
    assert!(packed["NOT INCLUDED.txt"].contains("2020-01-01_10-00-00_IMG_2.jpg: none of its files has pixels"), "{packed:?}");
    library.conn().batch_execute("UPDATE images SET picture_key = 'ffffffffffffffffffffffffffffffff' WHERE id = 2").unwrap();
    let packed = entries(&library.export("format=zip&of=proxies&year=2020").body);
    assert!(packed["NOT INCLUDED.txt"].contains("its picture is still to be made"), "{packed:?}");
}

#[test]
fn an_archive_too_large_is_refused_and_one_that_fails_is_cut_off() {
    let library = Library::new();
    library.conn().batch_execute("UPDATE images SET file_count = 20001 WHERE id = 2").unwrap();
    let refused = library.app.get("/api/v1/export?format=zip&year=2020");
    assert_eq!((refused.status, refused.json()["code"].as_str()), (413, Some("too_large")));
    assert!(refused.json()["message"].as_str().unwrap().contains("20,001 files"), "{}", refused.text());
    assert_eq!(library.export("format=zip&year=2019").status, 200);
    // A row that makes no sense, behind others.
    image("IMG_9").file("IMG_9.JPG", "jpeg", "ORIGINAL").insert(&mut library.conn(), library.root);
    sql_query("UPDATE files SET format = 'no such format' WHERE name = 'IMG_9.JPG'").execute(&mut library.conn()).unwrap();
    let cut = library.app.get("/api/v1/export?format=csv&of=files");
    assert_eq!((cut.status, cut.is_whole), (200, false), "{}", cut.text());
}

/// Two at once are both whole; a third is told to wait until somebody has theirs, or gives up.
#[test]
fn two_exports_are_made_at_once_and_a_third_waits_its_turn() {
    let library = Library::new();
    // More than lies between a server and somebody who does not read.
    fs::File::create(library.photos().join("IMG_2.JPG")).unwrap().set_len(64 << 20).unwrap();
    let (one, other) = std::thread::scope(|scope| {
        let both = [scope.spawn(|| library.export("format=zip")), scope.spawn(|| library.export("format=zip"))];
        let [one, other] = both.map(|export| entries(&export.join().unwrap().body));
        (one, other)
    });
    assert_eq!((one.len(), one["IMG_2.JPG"].len()), (5, 64 << 20));
    assert_eq!(one, other);
    let address = library.app.address;
    let begin = || {
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        write!(connection, "GET /api/v1/export?format=zip HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        let mut line = [0; 12];
        connection.read_exact(&mut line).unwrap();
        (String::from_utf8_lossy(&line).into_owned(), connection)
    };
    let (first, second) = (begin(), begin());
    assert_eq!([&first.0, &second.0], ["HTTP/1.1 200"; 2]);
    assert_eq!(library.app.get("/api/v1/export?format=ids").status, 503);
    drop(first);
    let is_free = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        library.app.get("/api/v1/export?format=ids").status == 200
    });
    assert!(is_free, "whoever went away gives their turn back");
    drop(second);
}

#[test]
fn the_program_exports_what_passes_a_search() {
    let library = Library::new();
    let out = library.dir.path().join("out");
    let export = |filter: &str| {
        let mut command = hm_command();
        command.env("HM_DATABASE_URL", library.database.url()).env("HM_REDIS_URL", "redis://127.0.0.1:1/");
        command.arg("--data-dir").arg(library.dir.path().join("data")).args(["export", "--format", "csv", "--filter", filter]).arg(&out);
        command.output().unwrap()
    };
    let rows = |table: &str| fs::read_to_string(out.join(table)).unwrap().lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert!(export("-rating:4").status.success());
    assert_eq!(rows("images.csv").iter().map(|row| row.split(',').nth(1).unwrap()).collect::<Vec<_>>(), ["IMG_2", "IMG_3"]);
    assert_eq!(rows("files.csv").len(), 2);
    assert!(rows("files.csv")[1].starts_with("1,IMG_3,"), "numbers run within the table: {:?}", rows("files.csv"));
    let refused = export("lake ratng:4");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("lake ratng:4\n       ^^^^^") && text.contains("hint: "), "{text}");
    assert!(Path::new(&out).join("images.csv").exists());
}
