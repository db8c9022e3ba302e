//! The server as programs see it: the JSON API against its description, pictures, originals, and what is refused.

use std::{collections::BTreeSet, fs, net::TcpListener, path::Path, time::Duration};

use actix_web::web::Data;
use diesel::{PgConnection, RunQueryDsl, sql_query};
use hm::{
    models::{FolderId, PictureKey, PictureSize},
    web::{ROUTES, StartError, State, api::document, server},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    TestDatabase,
    http::{Answer, App},
    library::{HOST, file_id, folder, image, vault},
    temp_dir,
};

/// A small library with a picture on disk, an original on its vault, and a server that shows it.
struct Fixture {
    app: App,
    database: TestDatabase,
    dir: TempDir,
    root: FolderId,
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

impl Fixture {
    fn new() -> Self {
        Self::with_queue(None)
    }

    fn with_queue(space: Option<&str>) -> Self {
        let (database, dir) = (TestDatabase::new(), temp_dir());
        let (thumbs, photos) = (dir.path().join("thumbs"), dir.path().join("photos"));
        fs::create_dir_all(photos.join("summer")).unwrap();
        let mut conn = database.connection();
        let root = vault(&mut conn, "photos", &photos);
        let summer = folder(&mut conn, root, "summer");
        let mut first = image("IMG_1").picture(KEY).file("IMG_1.JPG", "jpeg", "ORIGINAL").file("IMG_1.xmp", "xmp", "SIDECAR");
        (first.camera, first.lens, first.rating, first.has_gps) =
            (Some("Canon EOS R6".to_owned()), Some("RF 35".to_owned()), Some(4), true);
        first.insert(&mut conn, summer);
        image("IMG_2").at("2019-08-04 10:00:00").insert(&mut conn, summer);
        fs::write(photos.join("summer/IMG_1.JPG"), "0123456789").unwrap();
        fs::write(photos.join("summer/IMG_1.xmp"), "<x/>").unwrap();
        write_picture(&thumbs, KEY, "webp bytes");
        sql_query("INSERT INTO scans (host, process_id, paths, progress) VALUES ('h', 1, '{/photos}', '{\"files_seen\": 1200, \"files_total\": 4800}')")
            .execute(&mut conn)
            .unwrap();
        let app = App::start_with_queue(database.pool(), &thumbs, space);
        Self { app, database, dir, root }
    }

    fn conn(&self) -> PgConnection {
        self.database.connection()
    }

    fn thumbs(&self) -> std::path::PathBuf {
        self.dir.path().join("thumbs")
    }
}

fn write_picture(thumbs: &Path, key: &str, bytes: &str) {
    let path = thumbs.join(key.parse::<PictureKey>().unwrap().relative_path(PictureSize::Thumbnail));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_description_names_every_address_of_the_api_and_no_other() {
    let is_api = |path: &str| path.starts_with("/api/") || path == "/healthz" || path == "/metrics";
    let served: BTreeSet<String> =
        ROUTES.iter().filter(|route| is_api(route.path)).map(|route| format!("{} {}", route.method, route.path)).collect();
    let description = serde_json::to_value(document()).unwrap();
    let mut described = BTreeSet::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        described.extend(operations.as_object().unwrap().keys().map(|method| format!("{method} {path}")));
    }
    assert_eq!(served, described);
    assert!(served.len() > 10);
}

#[test]
fn a_method_that_an_address_does_not_have_is_refused_with_those_it_has() {
    let fixture = Fixture::new();
    let paths: BTreeSet<&str> = ROUTES.iter().map(|route| route.path).collect();
    for path in paths {
        let methods: BTreeSet<&str> = ROUTES.iter().filter(|route| route.path == path).map(|route| route.method).collect();
        let mut allowed: BTreeSet<String> = methods.iter().map(|method| method.to_ascii_uppercase()).collect();
        allowed.insert("OPTIONS".to_owned());
        if allowed.contains("GET") {
            allowed.insert("HEAD".to_owned());
        }
        let asked = path.replace("{id}", "1").replace("{image}", "1").replace("{size}", "thumbnail").replace("{version}/{name}", "0/hm.js");
        let named = |answer: &Answer| answer.header("allow").split(", ").map(str::to_owned).collect::<BTreeSet<_>>();
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = fixture.app.send(method, &asked, &[], "");
            let what = format!("{method} {path}");
            if method == "OPTIONS" {
                assert_eq!((answer.status, named(&answer)), (204, allowed.clone()), "{what}");
            } else if allowed.contains(method) {
                assert!(answer.status != 405 && answer.header("allow").is_empty(), "{what}: {}", answer.status);
                assert!(method != "HEAD" || answer.body.is_empty(), "{what} has a body");
            } else {
                assert_eq!((answer.status, named(&answer)), (405, allowed.clone()), "{what}");
                if path.starts_with("/api/") && method != "HEAD" {
                    assert_eq!(code(&answer), "method_not_allowed", "{what}");
                }
            }
        }
    }
    assert_eq!(fixture.app.send("DELETE", "/nowhere", &[], "").status, 404);
    let description = serde_json::to_value(document()).unwrap();
    assert!(description["info"]["description"].as_str().unwrap().contains("405"));
}

/// Checks a value against a schema as far as the description goes: types, required keys, and no key that is not described.
pub(crate) fn check(value: &Value, schema: &Value, all: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        return check(value, &all["components"]["schemas"][name.rsplit('/').next().unwrap()], all, place);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let other = choices.iter().find(|choice| choice["type"] != "null").unwrap();
        return if value.is_null() {
            assert!(choices.iter().any(|choice| choice["type"] == "null"), "{place}")
        } else {
            check(value, other, all, place)
        };
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        // A field's value, which may be anything.
        Value::Null if schema.get("properties").is_none() => return,
        other => panic!("{place}: no type in {other}"),
    };
    assert!(kinds.contains(&kind) || (kind == "integer" && kinds.contains(&"number")), "{place}: {kind} is not in {kinds:?}");
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(item, &schema["items"], all, &format!("{place}[{index}]"));
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    for key in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(key.as_str().unwrap()).is_some(), "{place}: `{key}` is required");
    }
    for (key, item) in value.as_object().into_iter().flatten() {
        let property = properties.get(key).unwrap_or_else(|| panic!("{place}: `{key}` is not described"));
        check(item, property, all, &format!("{place}.{key}"));
    }
}

#[test]
fn every_answer_is_as_described() {
    let fixture = Fixture::new();
    let all = fixture.app.get("/api/v1/openapi.json").json();
    let mut checked = 0;
    for (path, operations) in all["paths"].as_object().unwrap() {
        let schema = &operations["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        if schema.is_null() || path.ends_with("openapi.json") {
            continue;
        }
        let asked = path.replace("{id}", "1");
        let answer = fixture.app.get(&asked);
        assert_eq!(answer.status, 200, "{asked}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json", "{asked}");
        check(&answer.json(), schema, &all, &asked);
        checked += 1;
    }
    assert!(checked >= 8, "only {checked} answers were checked");
    let error = fixture.app.get("/api/v1/images/999").json();
    check(&error, &serde_json::json!({"$ref": "#/components/schemas/ErrorBody"}), &all, "error");
}

#[test]
fn pages_of_the_api_cover_all_images_once_and_take_the_filters() {
    let fixture = Fixture::new();
    let conn = &mut fixture.conn();
    for number in 0..23 {
        image(&format!("N_{number}")).at("2020-01-01 00:00:00").insert(conn, fixture.root);
    }
    let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = fixture.app.get(&format!("/api/v1/images?limit=5&cursor={cursor}")).json();
        seen.extend(page["images"].as_array().unwrap().iter().map(|image| image["id"].as_i64().unwrap()));
        pages += 1;
        assert!(pages < 20);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(
        (pages, seen.len(), seen.iter().collect::<BTreeSet<_>>().len()),
        (5, 25, 25),
        "25 images fill five pages, and none is empty"
    );
    let names = |query: &str| -> Vec<String> {
        let page = fixture.app.get(&format!("/api/v1/images?{query}")).json();
        page["images"].as_array().unwrap().iter().map(|image| image["base_name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("camera=Canon%20EOS%20R6"), ["IMG_1"]);
    assert_eq!(names("camera=Canon+EOS+R6&gps=yes&rating=4&q=img"), ["IMG_1"]);
    assert_eq!(names("year=2019"), ["IMG_2", "IMG_1"]);
    assert!(names("year=1999").is_empty());
}

#[test]
fn what_is_not_understood_is_said_with_a_code() {
    let fixture = Fixture::new();
    let refused = |path: &str| {
        let answer = fixture.app.get(path);
        assert!(answer.json()["request_id"].as_str().unwrap().len() == 16 && !answer.json()["message"].as_str().unwrap().is_empty());
        (answer.status, code(&answer))
    };
    let is = |status: u16, code: &str| (status, code.to_owned());
    for query in ["month=13&year=2019", "rating=x", "type=tiff", "folder=-1", "gps=maybe", "month=3", "cursor=x"] {
        assert_eq!(refused(&format!("/api/v1/images?{query}")), is(400, "bad_filter"), "{query}");
    }
    for query in ["limit=0", "limit=501", "limit=x"] {
        assert_eq!(refused(&format!("/api/v1/images?{query}")), is(400, "bad_request"), "{query}");
    }
    for path in ["/api/v1/images/999", "/api/v1/images/x", "/api/v1/files/999", "/api/v1/nothing", "/api/v1/folders?parent=999"] {
        assert_eq!(refused(path), is(404, "not_found"), "{path}");
    }
    assert_eq!(refused("/api/v1/images/1/thumbnail?size=huge"), is(400, "bad_request"));
    let page = fixture.app.get("/nothing");
    assert!(page.status == 404 && page.header("content-type").starts_with("text/"), "{page:?}");
}

#[test]
fn a_picture_is_kept_for_ever_under_its_key() {
    let fixture = Fixture::new();
    let path = format!("/pictures/1/thumbnail?key={KEY}");
    let answer = fixture.app.get(&path);
    assert_eq!((answer.status, answer.text().as_str(), answer.header("content-type")), (200, "webp bytes", "image/webp"));
    assert_eq!(answer.header("cache-control"), "private, max-age=31536000, immutable");
    let tag = answer.header("etag").to_owned();
    assert_eq!(tag, format!("\"{KEY}\""));
    for path in [path.as_str(), "/pictures/1/thumbnail", "/api/v1/images/1/thumbnail"] {
        let again = fixture.app.get_with(path, &[("If-None-Match", &tag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    let current = fixture.app.get("/api/v1/images/1/thumbnail?size=thumbnail");
    assert_eq!((current.status, current.header("cache-control")), (200, "private, no-cache"));
    let old = fixture.app.get(&format!("/pictures/1/thumbnail?key={}", KEY.replace('0', "f")));
    assert_eq!(
        (old.status, old.header("cache-control"), old.header("etag")),
        (200, "private, no-cache", tag.as_str()),
        "an old key shows what is now"
    );
    assert_eq!(fixture.app.get("/pictures/1/thumbnail?key=..%2f..%2fetc%2fpasswd").status, 400);
    assert_eq!(fixture.app.get("/pictures/1/huge").status, 404);
    assert_eq!(fixture.app.send("HEAD", &path, &[], "").body.len(), 0);
}

#[test]
fn a_picture_that_is_not_there_says_why() {
    let fixture = Fixture::new();
    let pending = fixture.app.get("/api/v1/images/1/thumbnail?size=proxy&wait=60");
    assert_eq!((pending.status, code(&pending).as_str(), pending.header("retry-after")), (503, "picture_pending", "2"));
    let nothing = fixture.app.get("/api/v1/images/2/thumbnail");
    assert_eq!((nothing.status, code(&nothing).as_str()), (404, "no_picture"));
    sql_query(format!("INSERT INTO pictures (image_id, key, error) VALUES (1, '{KEY}', 'the file is cut off')"))
        .execute(&mut fixture.conn())
        .unwrap();
    let failed = fixture.app.get("/api/v1/images/1/thumbnail?size=proxy");
    assert_eq!((failed.status, code(&failed).as_str()), (404, "no_picture"));
    assert!(failed.json()["message"].as_str().unwrap().contains("the file is cut off"));
}

#[test]
fn a_request_waits_for_its_picture_and_asks_the_queue_for_it() {
    let space = format!("api-{:016x}", rand::random::<u64>());
    let fixture = Fixture::with_queue(Some(&space));
    let key = "fedcba9876543210fedcba9876543210";
    sql_query(format!("UPDATE images SET picture_key = '{key}' WHERE id = 2")).execute(&mut fixture.conn()).unwrap();
    let thumbs = fixture.thumbs();
    let maker = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let queue = hm::queue::Queue::connect(&crate::support::redis_url()).await.unwrap().within(&space);
            for _ in 0..200 {
                let wanted = queue.take_wanted(10).await.unwrap();
                if !wanted.is_empty() {
                    write_picture(&thumbs, key, "made");
                    return wanted;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Vec::new()
        })
    });
    let answer = fixture.app.get(&format!("/pictures/2/thumbnail?key={key}"));
    assert_eq!((answer.status, answer.text().as_str()), (200, "made"));
    assert_eq!(maker.join().unwrap(), [hm::models::ImageId(2)]);
}

#[test]
fn originals_come_in_ranges_with_their_own_names() {
    let fixture = Fixture::new();
    let id = file_id(&mut fixture.conn(), "IMG_1.JPG");
    for path in [format!("/files/{id}"), format!("/api/v1/files/{id}")] {
        let whole = fixture.app.get(&path);
        assert_eq!((whole.status, whole.text().as_str(), whole.header("content-type")), (200, "0123456789", "image/jpeg"));
        assert_eq!(whole.header("content-disposition"), "inline; filename=\"IMG_1.JPG\"; filename*=UTF-8''IMG_1.JPG");
        assert_eq!((whole.header("accept-ranges"), whole.header("x-content-type-options")), ("bytes", "nosniff"));
        assert!(!whole.header("last-modified").is_empty());
        let part = fixture.app.get_with(&path, &[("Range", "bytes=2-4")]);
        assert_eq!((part.status, part.text().as_str(), part.header("content-range")), (206, "234", "bytes 2-4/10"));
        assert_eq!(fixture.app.get_with(&path, &[("Range", "bytes=99-")]).status, 416);
        assert_eq!(fixture.app.get_with(&path, &[("If-None-Match", whole.header("etag"))]).status, 304);
    }
    assert!(fixture.app.get(&format!("/files/{id}?download=1")).header("content-disposition").starts_with("attachment;"));
    let sidecar = file_id(&mut fixture.conn(), "IMG_1.xmp");
    assert!(
        fixture.app.get(&format!("/files/{sidecar}")).header("content-disposition").starts_with("attachment;"),
        "markup is never shown"
    );
}

#[test]
fn an_original_that_cannot_be_sent_says_why_and_nothing_outside_is_sent() {
    let fixture = Fixture::new();
    let conn = &mut fixture.conn();
    let id = file_id(conn, "IMG_1.JPG");
    let path = format!("/api/v1/files/{id}");
    let answer = || {
        let answer = fixture.app.get(&path);
        (answer.status, code(&answer))
    };
    let original = fixture.dir.path().join("photos/summer/IMG_1.JPG");
    fs::write(fixture.dir.path().join("secret"), "secret").unwrap();
    fs::remove_file(&original).unwrap();
    std::os::unix::fs::symlink(fixture.dir.path().join("secret"), &original).unwrap();
    assert_eq!(answer(), (404, "file_missing".to_owned()), "a link out of the vault");
    fs::remove_file(&original).unwrap();
    assert_eq!(answer(), (404, "file_missing".to_owned()));
    fs::rename(fixture.dir.path().join("photos"), fixture.dir.path().join("unplugged")).unwrap();
    assert_eq!(answer(), (503, "vault_offline".to_owned()));
    fs::rename(fixture.dir.path().join("unplugged"), fixture.dir.path().join("photos")).unwrap();
    sql_query("UPDATE vaults SET offline_since = now(), offline_reason = 'unplugged'").execute(conn).unwrap();
    assert_eq!(answer(), (503, "vault_offline".to_owned()));
    sql_query("DELETE FROM vault_mounts").execute(conn).unwrap();
    assert_eq!(answer(), (503, "vault_offline".to_owned()));
}

#[test]
fn other_sites_and_other_names_are_refused() {
    let fixture = Fixture::new();
    let port = fixture.app.address.port();
    for host in ["evil.example", "127.0.0.1.evil.example"] {
        let answer = fixture.app.get_with("/api/v1/images", &[("Host", host)]);
        assert_eq!((answer.status, code(&answer).as_str()), (421, "wrong_host"), "{host}");
        assert!(!answer.header("content-security-policy").is_empty());
    }
    assert_eq!(fixture.app.get_with("/api/v1/images", &[("Host", &format!("localhost:{port}"))]).status, 200);
    for headers in [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Origin", "null")] {
        let answer = fixture.app.send("POST", "/api/v1/scans", &[headers], "");
        assert_eq!((answer.status, code(&answer).as_str()), (403, "cross_origin"), "{headers:?}");
    }
    let own = format!("http://{}", fixture.app.address);
    let answer = fixture.app.send("POST", "/api/v1/scans", &[("Origin", &own)], "");
    assert_eq!((answer.status, code(&answer).as_str()), (503, "unavailable"), "this server has no queue");
}

#[test]
fn every_answer_carries_the_headers_that_protect_it() {
    let fixture = Fixture::new();
    for path in ["/", "/nothing", "/api/v1/images", "/metrics", "/status"] {
        let answer = fixture.app.get(path);
        assert!(answer.header("content-security-policy").contains("default-src 'self'"), "{path}");
        assert!(!answer.header("content-security-policy").contains("script-src 'unsafe"), "{path}");
        assert_eq!((answer.header("x-content-type-options"), answer.header("referrer-policy")), ("nosniff", "same-origin"), "{path}");
        assert_eq!(
            answer.header("content-type").starts_with("text/html"),
            answer.header("vary").to_lowercase().contains("hx-request"),
            "{path}"
        );
        assert!(!answer.header("cache-control").is_empty(), "{path} names no cache policy");
    }
}

#[test]
fn a_scan_asked_for_is_in_the_queue() {
    let space = format!("api-{:016x}", rand::random::<u64>());
    let fixture = Fixture::with_queue(Some(&space));
    assert_eq!(fixture.app.post("/api/v1/scans", "").status, 202);
    let form = fixture.app.post("/scans", "");
    assert_eq!((form.status, form.header("location")), (303, "/"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let taken = runtime.block_on(async {
        let queue = hm::queue::Queue::connect(&crate::support::redis_url()).await.unwrap().within(&space);
        [queue.take_scan_request().await.unwrap(), queue.take_scan_request().await.unwrap()]
    });
    assert_eq!(taken, [Some(None), None], "asked for twice is asked for once");
    assert_eq!(fixture.app.get("/healthz").json()["queue"], "ok");
}

#[test]
fn files_are_split_and_merged_by_forms() {
    let fixture = Fixture::new();
    let conn = &mut fixture.conn();
    let id = image("BOTH").file("BOTH.CR2", "cr2", "ORIGINAL").file("BOTH.JPG", "jpeg", "EXPORT").insert(conn, fixture.root);
    let jpeg = file_id(conn, "BOTH.JPG");
    let refused = fixture.app.post(&format!("/images/{id}/split"), "");
    assert_eq!(refused.status, 409);
    let split = fixture.app.post(&format!("/images/{id}/split"), &format!("file={jpeg}"));
    assert_eq!(split.status, 303, "{}", split.text());
    let (new, from) = split.header("location").strip_prefix("/images/").unwrap().split_once('?').unwrap();
    let new: i64 = new.parse().unwrap();
    assert_ne!(new, id.0);
    assert_eq!(from, format!("split_from={id}"));
    let shown = fixture.app.get(split.header("location")).text();
    let undo = format!(r#"<input type="hidden" name="image" value="{new}"><input type="hidden" name="image" value="{id}">"#);
    assert!(shown.contains(&undo), "{shown}");
    assert!(!fixture.app.get(&format!("/images/{new}")).text().contains("undo-split"));
    let merged = fixture.app.post("/images/merge", &format!("image={id}&image={new}&back=%2F%3Fyear%3D2019"));
    assert_eq!((merged.status, merged.header("location")), (303, "/?year=2019"));
    assert_eq!(fixture.app.get(&format!("/api/v1/images/{id}")).json()["files"].as_array().unwrap().len(), 2);
    assert_eq!(fixture.app.get(&format!("/api/v1/images/{new}")).status, 404);
    assert_eq!(fixture.app.post("/images/999/split", "file=1").status, 404);
}

#[test]
fn health_and_numbers_are_told() {
    let fixture = Fixture::new();
    let health = fixture.app.get("/healthz");
    assert_eq!((health.status, &health.json()["status"], &health.json()["queue"]), (200, &"ok".into(), &"none".into()));
    fixture.app.get("/api/v1/images/1");
    let numbers = fixture.app.get("/metrics").text();
    let mut metrics = vec!["hm_images 2", "hm_files 2", "hm_pictures_lacking 1", "hm_scans_running 1"];
    metrics.push("hm_http_request_duration_seconds_count{method=\"GET\",route=\"/api/v1/images/{id}\",status=\"200\"} 1");
    for line in metrics {
        assert!(numbers.lines().any(|found| found == line), "{line} is not in\n{numbers}");
    }
}

#[test]
fn the_strip_tells_of_a_running_scan_and_an_offline_vault() {
    let fixture = Fixture::new();
    sql_query("UPDATE vaults SET offline_since = now(), offline_reason = 'the disk is unplugged'").execute(&mut fixture.conn()).unwrap();
    let strip = fixture.app.get_with("/status", &[("HX-Request", "true")]).text();
    for words in ["/photos", "1,200 files", "25 %", "the disk is unplugged", "every 2s"] {
        assert!(strip.contains(words), "{words} is not in {strip}");
    }
    sql_query("UPDATE scans SET updated_at = now() - interval '5 minutes'").execute(&mut fixture.conn()).unwrap();
    assert!(!fixture.app.get("/status").text().contains("1,200"), "a scan that died is not running");
}

#[test]
fn only_a_free_port_of_this_machine_is_listened_on() {
    let database = TestDatabase::new();
    let start = |address: &str| {
        let state = State::new(database.pool(), None, "/nowhere".into(), HOST.to_owned());
        server(Data::new(state), address.parse().unwrap(), 1).map(|_| ()).unwrap_err()
    };
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        assert!(matches!(start(address), StartError::NotLoopback(_)), "{address}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = start(&format!("127.0.0.1:{port}")).to_string();
    assert!(error.contains(&port.to_string()) && error.contains("hint:") && error.contains("--bind"), "{error}");
}

#[test]
fn searches_are_saved_listed_and_forgotten() {
    let fixture = Fixture::new();
    let json = [("Content-Type", "application/json")];
    let all = fixture.app.get("/api/v1/openapi.json").json();
    let answer = fixture.app.send("POST", "/api/v1/searches", &json, r#"{"name": "Best", "query": "rating:4..  IMG"}"#);
    assert_eq!(answer.status, 201, "{}", answer.text());
    check(&answer.json(), &serde_json::json!({"$ref": "#/components/schemas/SearchEntry"}), &all, "saved");
    assert_eq!(answer.json()["query"], "rating:>=4 IMG");
    let list = fixture.app.get("/api/v1/searches").json();
    let found = fixture.app.get(list["searches"][0]["url"].as_str().unwrap());
    assert!(found.status == 200 && found.text().contains("IMG_1") && !found.text().contains("IMG_2"));
    for (body, expected) in [
        (r#"{"name": "x", "query": "ratng:3"}"#, "bad_query"),
        (r#"{"name": "", "query": "a"}"#, "bad_request"),
        (r#"{"name": "x"}"#, "bad_request"),
        ("name=x", "bad_request"),
    ] {
        let answer = fixture.app.send("POST", "/api/v1/searches", &json, body);
        assert_eq!((answer.status, code(&answer).as_str()), (400, expected), "{body}");
    }
    let path = format!("/api/v1/searches/{}", list["searches"][0]["id"]);
    let foreign = fixture.app.send("DELETE", &path, &[("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")], "");
    assert_eq!(foreign.status, 403);
    assert_eq!(fixture.app.send("DELETE", &path, &[], "").status, 204);
    assert_eq!(fixture.app.send("DELETE", &path, &[], "").status, 404);
    assert_eq!(fixture.app.get("/api/v1/searches").json()["searches"], serde_json::json!([]));
}

#[test]
fn the_search_language_narrows_every_answer_and_errors_say_where() {
    let fixture = Fixture::new();
    let names = |query: &str| -> Vec<String> {
        let page = fixture.app.get(&format!("/api/v1/images?{query}")).json();
        page["images"].as_array().unwrap().iter().map(|image| image["base_name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("q=rating:%3E%3D4%20camera:r6"), ["IMG_1"]);
    assert_eq!(names("q=-has:gps"), ["IMG_2"]);
    assert_eq!(fixture.app.get("/api/v1/timeline?q=date:2019-08-04").json()["image_count"], 1);
    assert_eq!(fixture.app.get("/api/v1/facets?q=date:2019-08-03").json()["cameras"][0]["count"], 1);
    for path in ["images", "timeline", "facets"] {
        let answer = fixture.app.get(&format!("/api/v1/{path}?q=%C3%A9%20ratng:3"));
        assert_eq!((answer.status, code(&answer).as_str()), (400, "bad_query"), "{path}");
        let place = answer.json()["place"].clone();
        assert_eq!((&place["at"], &place["length"], &place["suggestion"]), (&2.into(), &5.into(), &"rating".into()), "{path}");
        let all = fixture.app.get("/api/v1/openapi.json").json();
        check(&answer.json(), &serde_json::json!({"$ref": "#/components/schemas/ErrorBody"}), &all, "error");
    }
}
