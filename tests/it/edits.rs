//! Curation from the outside: edits through the API, and what scans by the real program do and do not do to them.

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use diesel::{QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text};
use hm::web::api::document;
use serde_json::{Value, json};

use crate::{
    api::check,
    support::{
        TestDatabase, hm_command,
        http::{Answer, App},
        library::{image, vault},
        media::{Jpeg, write, xmp},
        temp_dir,
    },
};

/// A vault on disk, a database for it, and a server that shows it.
struct Library {
    app: App,
    database: TestDatabase,
    dir: tempfile::TempDir,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Library {
    fn new() -> Self {
        let (database, dir) = (TestDatabase::new(), temp_dir());
        fs::create_dir(dir.path().join("photos")).unwrap();
        Self { app: App::start(database.pool(), &dir.path().join("thumbs")), database, dir }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join("photos").join(file)
    }

    fn picture(&self, file: &str, second: u32) {
        let taken = format!("2019:08:03 12:{:02}:{:02}", second / 60 % 60, second % 60);
        Jpeg::new(48, 32).shade(second as u8).camera("Canon", "Canon EOS R6").taken(&taken).write(&self.path(file));
    }

    fn sidecar(&self, file: &str, attributes: &str, keywords: &[&str]) {
        write(&self.path(file), xmp(attributes, keywords).as_bytes());
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = hm_command();
        command.env("HM_DATABASE_URL", self.database.url()).env("HM_REDIS_URL", "redis://127.0.0.1:1/").arg("--data-dir");
        command.arg(self.dir.path().join("data")).arg("scan").args(args).arg(self.dir.path().join("photos"));
        command
    }

    fn scan(&self, args: &[&str]) {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn lines(&self, sql: &str) -> Vec<String> {
        let lines: Vec<Line> = sql_query(sql).load(&mut self.database.connection()).unwrap();
        lines.into_iter().map(|line| line.line).collect()
    }

    /// The image of this base name.
    fn id(&self, base_name: &str) -> i64 {
        let ids = self.lines(&format!("SELECT id::text AS line FROM images WHERE base_name = '{base_name}'"));
        assert_eq!(ids.len(), 1, "{base_name}");
        ids[0].parse().unwrap()
    }

    fn image(&self, id: i64) -> Value {
        self.app.get(&format!("/api/v1/images/{id}")).json()
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.app.send(method, path, &[("Content-Type", "application/json")], &body.to_string())
    }

    /// Changes an image and checks that the answer shows it.
    fn patch(&self, id: i64, body: &Value) -> Value {
        let answer = self.send("PATCH", &format!("/api/v1/images/{id}"), body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// `field state value outside` of an image's outbox.
    fn outbox(&self) -> Vec<String> {
        self.lines("SELECT concat_ws(' ', field, state, value, outside) AS line FROM image_edits ORDER BY image_id, field")
    }
}

/// A person who changes many, takes that back, does it again or places many sees how far it is, although nobody sees any of it before all
/// of it is there.
#[test]
fn a_large_edit_tells_how_far_it_is() {
    const COUNT: usize = 2_100;
    let library = Library::new();
    let conn = &mut library.database.connection();
    let root = vault(conn, "photos", &library.path(""));
    let images: Vec<i64> = (0..COUNT).map(|number| image(&format!("IMG_{number:04}")).insert(conn, root).0).collect();
    conn.batch_execute("UPDATE images SET captured_at = '2019-08-03 12:00', captured_offset_minutes = 0").unwrap();
    let word = "0123456789abcdef";
    let progress = || library.app.get(&format!("/edits/progress/{word}"));
    let count = |condition: &str| library.lines(&format!("SELECT count(*)::text AS line FROM images WHERE {condition}")).remove(0);
    let fields: String = images.iter().map(|id| format!("image={id}&")).collect();
    // What it changes, how many images are so before and after it, and whether it is answered.
    let is_told = |path: &str, fields: &str, condition: &str, [before, after]: [usize; 2]| {
        assert_eq!(progress().status, 204);
        // Somebody else holds the last of them.
        let holder = &mut library.database.connection();
        holder.batch_execute(&format!("BEGIN; SELECT FROM images WHERE id = {} FOR UPDATE", images.iter().max().unwrap())).unwrap();
        std::thread::scope(|scope| {
            let edited = scope.spawn(|| library.app.post(path, &format!("{fields}progress={word}")));
            let told = (0..600).find_map(|_| {
                std::thread::sleep(Duration::from_millis(50));
                let answer = progress();
                (answer.status == 200 && answer.json()["done"] == 2_000).then(|| answer.json())
            });
            assert_eq!(told, Some(json!({"done": 2_000, "total": COUNT})), "{path}");
            assert_eq!(count(condition), before.to_string(), "{path}: whole or not at all");
            holder.batch_execute("COMMIT").unwrap();
            assert_eq!(edited.join().unwrap().status, 303, "{path}");
        });
        assert_eq!(count(condition), after.to_string(), "{path}");
        assert_eq!(progress().status, 204, "{path}: it is over");
    };
    is_told("/edits", &format!("{fields}rating=4&"), "rating = 4", [0, COUNT]);
    let batches = library.lines("SELECT DISTINCT batch_id::text AS line FROM edits");
    assert_eq!(batches.len(), 1);
    is_told(&format!("/edits/{}/undo", batches[0]), "", "rating = 4", [COUNT, 0]);
    is_told(&format!("/edits/{}/redo", batches[0]), "", "rating = 4", [0, COUNT]);
    let point = |time: &str| format!(r#"<trkpt lat="48" lon="11"><time>2019-08-03T{time}Z</time></trkpt>"#);
    let track = library.app.post("/tracks", &format!("<gpx><trk><trkseg>{}{}</trkseg></trk></gpx>", point("11:58:00"), point("12:02:00")));
    let number: String = track.text().split("data-track=\"").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
    is_told(&format!("/tracks/{number}/apply"), &fields, "latitude_deg = 48", [0, COUNT]);
}

#[test]
fn whole_keywords_are_offered_before_their_levels() {
    let library = Library::new();
    for (number, keywords) in [&["animal|dog|Zoey"][..], &["Zoey"], &["Zoey"], &["Zoe"]].into_iter().enumerate() {
        library.picture(&format!("{number}.jpg"), number as u32);
        library.sidecar(&format!("{number}.xmp"), "", keywords);
    }
    library.scan(&[]);
    let id = library.id("0");
    library.patch(id, &json!({"keywords": ["animal|dog|Zoey"]}));
    let offered = library.app.get("/keywords?words=zoe").text();
    let values: Vec<&str> = offered.split("data-value=\"").skip(1).filter_map(|part| part.split('"').next()).collect();
    assert_eq!(values, ["animal|dog|Zoey", "Zoey", "Zoe"], "{offered}");
}

#[test]
fn what_other_programs_curate_is_read() {
    let library = Library::new();
    library.picture("a.jpg", 1);
    let names = r#"xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:digiKam="http://www.digikam.org/ns/1.0/" xmlns:i="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/""#;
    library.sidecar(
        "a.xmp",
        &format!(r#"{names} xmp:Label="Green" digiKam:PickLabel="3" photoshop:City="Roscoff" photoshop:State="Bretagne" photoshop:Country="France" i:CountryCode="FR""#),
        &[],
    );
    library.scan(&[]);
    let image = library.image(library.id("a"));
    let said: Vec<&Value> = ["pick", "color_label", "city", "state", "country", "country_code"].iter().map(|key| &image[*key]).collect();
    assert_eq!(said, [&json!("picked"), &json!("green"), &json!("Roscoff"), &json!("Bretagne"), &json!("France"), &json!("FR")]);
    assert_eq!(library.app.get("/api/v1/images?q=bretagne").json()["images"].as_array().unwrap().len(), 1);
}

#[test]
fn an_unwritten_edit_outlives_scans_moves_losses_and_kills() {
    let library = Library::new();
    for number in 0..40 {
        library.picture(&format!("{}/{number}.jpg", number % 4), number);
    }
    library.sidecar("0/0.xmp", r#"xmp:Rating="3""#, &["lake"]);
    library.scan(&[]);
    let id = library.id("0");
    library
        .patch(id, &json!({"rating": 5, "title": "Ours", "keywords": ["lake", "boat|sail"], "captured_at": "2001-02-03T04:05:06+01:00"}));
    let ours = |library: &Library, place: &str| {
        let image = library.image(id);
        let shown = json!([image["rating"], image["title"], image["keywords"], image["captured_at"], image["captured_offset_minutes"]]);
        assert_eq!(shown, json!([5, "Ours", ["boat", "lake", "sail"], "2001-02-03T04:05:06", 60]), "{place}");
        let states = library.lines("SELECT DISTINCT state AS line FROM image_edits");
        assert_eq!(states, ["pending"], "{place}");
    };
    ours(&library, "at once");
    library.scan(&["--full"]);
    ours(&library, "after a full scan");
    library.sidecar("0/0.xmp", r#"xmp:Rating="3" xmp:Label="Red""#, &["lake"]);
    library.scan(&[]);
    ours(&library, "after the sidecar changed elsewhere");
    assert_eq!(library.image(id)["color_label"], "red", "what nobody changed here is taken");
    fs::create_dir_all(library.path("moved")).unwrap();
    for file in ["0.jpg", "0.xmp"] {
        fs::rename(library.path("0").join(file), library.path("moved").join(file)).unwrap();
    }
    for patience_ms in [5, 20, 60, 120] {
        let mut child = library.command(&["--full"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(patience_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        ours(&library, "after a scan was killed");
    }
    crate::support::wait_until("the killed scans' locks are free", Duration::from_secs(20), || {
        library.command(&[]).output().unwrap().status.success()
    });
    assert_eq!(library.image(id)["subdirectory"], "moved");
    ours(&library, "after a move");
    fs::rename(library.path("moved"), library.dir.path().join("away")).unwrap();
    library.scan(&[]);
    assert_eq!(library.image(id)["is_missing"], true);
    ours(&library, "while its files are missing");
    fs::rename(library.dir.path().join("away"), library.path("moved")).unwrap();
    library.scan(&[]);
    assert_eq!(library.image(id)["is_missing"], false);
    ours(&library, "when its files are back");
}

#[test]
fn edits_and_scans_at_the_same_time_lose_nothing() {
    let library = Library::new();
    let names: Vec<String> = (0..60).map(|number| format!("{}/{number}", number % 3)).collect();
    let sidecars = |color: &str| {
        for name in &names {
            library.sidecar(&format!("{name}.xmp"), &format!(r#"xmp:Rating="1" xmp:Label="{color}""#), &["lake"]);
        }
    };
    for (number, name) in names.iter().enumerate() {
        library.picture(&format!("{name}.jpg"), number as u32);
    }
    sidecars("Red");
    library.scan(&[]);
    let mut said = 0;
    for color in ["Green", "Blue", "Yellow"] {
        sidecars(color);
        let mut scan = library.command(&[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        while scan.try_wait().unwrap().is_none() {
            said += 1;
            let edit = json!({"filter": {}, "set": {"rating": 2 + said % 4, "title": format!("Edit {said}")}});
            let answer = library.send("POST", "/api/v1/edits", &edit);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let output = scan.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let shown = library.lines("SELECT DISTINCT concat_ws(' ', rating, title, color_label, keywords) AS line FROM images");
        assert_eq!(shown, [format!("{} Edit {said} {} {{lake}}", 2 + said % 4, color.to_lowercase())]);
        assert_eq!(
            library.lines("SELECT DISTINCT concat_ws(' ', field, state) AS line FROM image_edits ORDER BY 1"),
            ["rating pending", "title pending"]
        );
    }
    assert!(said > 3, "only {said} edits met a scan");
}

#[test]
fn what_both_sides_changed_is_a_conflict_until_somebody_chooses() {
    let library = Library::new();
    library.picture("a.jpg", 1);
    library.sidecar("a.xmp", r#"xmp:Rating="3""#, &["lake"]);
    library.scan(&[]);
    let id = library.id("a");
    library.patch(id, &json!({"rating": 5, "keywords": ["lake", "boat"]}));
    library.sidecar("a.xmp", r#"xmp:Rating="1""#, &["lake", "sun"]);
    library.scan(&[]);
    let image = library.image(id);
    assert_eq!((&image["rating"], &image["keywords"]), (&json!(5), &json!(["boat", "lake", "sun"])));
    assert_eq!(library.outbox()[1], "rating conflict 5 1");
    let listed = library.app.get("/api/v1/outbox?state=conflict").json();
    assert_eq!((&listed["conflict"], &listed["pending"]), (&json!(1), &json!(1)));
    let line = &listed["entries"][0];
    assert_eq!(line["path"], "a.xmp");
    assert_eq!((&line["value"], &line["outside"], &line["base"], &line["base_name"]), (&json!(5), &json!(1), &json!(3), &json!("a")));

    let resolve = |keep: &str| library.send("POST", "/api/v1/outbox/resolve", &json!({"image": id, "field": "rating", "keep": keep}));
    assert_eq!(resolve("both").status, 400);
    let batch = resolve("theirs").json()["batch"].as_i64().unwrap();
    assert_eq!((library.image(id)["rating"].clone(), resolve("theirs").status), (json!(1), 404));
    library.scan(&["--full"]);
    assert_eq!(library.image(id)["rating"], 1);
    assert_eq!(library.send("POST", &format!("/api/v1/edits/{batch}/undo"), &json!({})).json(), json!({"changed": 1, "skipped": 0}));
    assert_eq!(library.image(id)["rating"], 5);
    // The sidecar comes to say what is wanted here, whoever wrote it.
    library.sidecar("a.xmp", r#"xmp:Rating="5""#, &["boat", "lake", "sun"]);
    library.scan(&[]);
    assert_eq!(library.app.get("/api/v1/outbox").json()["entries"], json!([]));
    assert_eq!(library.app.get("/api/v1/outbox?state=written").json()["entries"].as_array().unwrap().len(), 2);
    // From then on what is said there later holds.
    library.sidecar("a.xmp", r#"xmp:Rating="2""#, &["boat"]);
    library.scan(&[]);
    let image = library.image(id);
    assert_eq!((&image["rating"], &image["keywords"]), (&json!(2), &json!(["boat"])));
    let history = library.app.get(&format!("/api/v1/images/{id}/history")).json();
    let authors: Vec<&str> = history["entries"].as_array().unwrap().iter().take(2).map(|entry| entry["author"].as_str().unwrap()).collect();
    assert_eq!(authors, ["outside", "outside"]);
}

#[test]
fn the_api_changes_one_and_many_and_takes_it_back() {
    let library = Library::new();
    for number in 0..6 {
        library.picture(&format!("{number}.jpg"), number);
    }
    library.scan(&[]);
    let all = serde_json::to_value(document()).unwrap();
    let described = |answer: &Answer, name: &str| {
        assert_eq!(answer.status, 200, "{}", answer.text());
        check(&answer.json(), &json!({"$ref": format!("#/components/schemas/{name}")}), &all, name);
        answer.json()
    };
    let id = library.id("0");
    let one = described(
        &library.send("PATCH", &format!("/api/v1/images/{id}"), &json!({"rating": 4, "gps": {"latitude_deg": 48.5, "longitude_deg": 9.0}})),
        "EditedImage",
    );
    assert_eq!((&one["image"]["rating"], &one["image"]["gps_latitude"]), (&json!(4), &json!(48.5)));
    let again = described(&library.send("PATCH", &format!("/api/v1/images/{id}"), &json!({"rating": 4})), "EditedImage");
    assert_eq!(again["batch"], Value::Null);

    let ids: Vec<i64> = (0..3).map(|number| library.id(&number.to_string())).chain([9_999]).collect();
    let many = json!({"images": ids, "set": {"rating": 4}, "add_keywords": ["trip|lake"], "shift_time_s": 3600});
    let many = described(&library.send("POST", "/api/v1/edits", &many), "EditResult");
    assert_eq!((&many["changed"], &many["unchanged"], &many["missing"]), (&json!(3), &json!(0), &json!(1)));
    assert_eq!(library.image(id)["captured_at"], "2019-08-03T13:00:00");
    let filtered = json!({"filter": {"rating": 4, "q": "lake"}, "remove_keywords": ["lake"], "set_offset_minutes": 120});
    let filtered = described(&library.send("POST", "/api/v1/edits", &filtered), "EditResult");
    assert_eq!(filtered["changed"], 3);
    let image = library.image(id);
    assert_eq!((&image["keywords"], &image["captured_offset_minutes"]), (&json!(["trip"]), &json!(120)));
    for batch in [&filtered["batch"], &many["batch"]] {
        let undone = described(&library.send("POST", &format!("/api/v1/edits/{batch}/undo"), &json!({})), "UndoResult");
        assert_eq!(undone["skipped"], 0);
    }
    let image = library.image(id);
    assert_eq!((&image["keywords"], &image["captured_at"], &image["rating"]), (&json!([]), &json!("2019-08-03T12:00:00"), &json!(4)));
    assert_eq!(described(&library.send("POST", &format!("/api/v1/edits/{}/redo", many["batch"]), &json!({})), "UndoResult")["changed"], 3);
    let history = described(&library.app.get(&format!("/api/v1/images/{id}/history?limit=2")), "History");
    assert_eq!(history["entries"].as_array().unwrap().len(), 2);
    let next = described(&library.app.get(&format!("/api/v1/images/{id}/history?cursor={}", history["next_cursor"])), "History");
    assert_eq!(next["next_cursor"], Value::Null);
    let outbox = described(&library.app.get("/api/v1/outbox?limit=1"), "Outbox");
    assert!(outbox["pending"].as_i64().unwrap() > 3 && outbox["next_cursor"].is_string());
    let first = &outbox["entries"][0];
    assert_eq!(first["path"], format!("{}.jpg", first["base_name"].as_str().unwrap()), "no sidecar is there yet");
    assert_eq!(described(&library.send("POST", "/api/v1/outbox/retry", &json!({})), "Retried")["fields"], 0);
}

#[test]
fn one_change_of_an_action_is_taken_back_alone() {
    let library = Library::new();
    library.picture("a.jpg", 1);
    library.picture("b.jpg", 2);
    library.scan(&[]);
    let (id, other) = (library.id("a"), library.id("b"));
    library.send("POST", "/api/v1/edits", &json!({"images": [id, other], "set": {"rating": 4, "title": "Both"}}));
    let history = library.app.get(&format!("/api/v1/images/{id}/history")).json();
    let entry = history["entries"].as_array().unwrap().iter().find(|entry| entry["field"] == "rating").unwrap()["id"].clone();
    let turn = |of: i64, verb: &str| library.send("POST", &format!("/api/v1/images/{of}/history/{entry}/{verb}"), &json!({}));
    let shown = |id: i64| json!([library.image(id)["rating"], library.image(id)["title"]]);
    assert_eq!(turn(id, "undo").json(), json!({"changed": 1, "skipped": 0}));
    assert_eq!((shown(id), shown(other)), (json!([null, "Both"]), json!([4, "Both"])));
    assert_eq!(turn(id, "undo").json(), json!({"changed": 0, "skipped": 0}), "it is taken back already");
    assert_eq!(turn(id, "redo").json(), json!({"changed": 1, "skipped": 0}));
    assert_eq!(shown(id), json!([4, "Both"]));
    assert_eq!(turn(other, "undo").status, 404, "it is a change of the other image");
    assert_eq!(library.send("POST", &format!("/api/v1/images/{id}/history/999/redo"), &json!({})).status, 404);
}

#[test]
fn a_track_says_what_it_would_do_and_then_does_it() {
    let library = Library::new();
    // The third long after the end of the track.
    for (number, seconds) in [0, 60, 1800, 1860].into_iter().enumerate() {
        library.picture(&format!("{number}.jpg"), seconds);
    }
    library.scan(&[]);
    let ids: Vec<i64> = (0..4).map(|number| library.id(&number.to_string())).collect();
    library.patch(ids[3], &json!({"gps": {"latitude_deg": 1, "longitude_deg": 2}}));
    let point = |at: &str, latitude: f64| format!(r#"<trkpt lat="{latitude}" lon="11"><time>{at}</time></trkpt>"#);
    // The camera, in summer in Paris, was two minutes ahead: 12:00 on its clock was 09:58 UTC.
    let gpx = format!("<gpx>{}{}</gpx>", point("2019-08-03T09:58:00Z", 48.0), point("2019-08-03T09:59:00Z", 48.5));
    let all = serde_json::to_value(document()).unwrap();
    let place = |more: Value| {
        let mut request = json!({"gpx": gpx, "images": ids, "clock_ahead_s": 120, "zone_minutes": 120});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = library.send("POST", "/api/v1/tracks", &request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        check(&answer.json(), &json!({"$ref": "#/components/schemas/TrackResult"}), &all, "TrackResult");
        answer.json()
    };
    let told = place(json!({"dry_run": true}));
    assert_eq!((&told["batch"], &told["changed"]), (&Value::Null, &json!(0)));
    assert_eq!([&told["placed"], &told["without_zone"], &told["outside"]], [&json!(1), &json!(0), &json!(1)]);
    let places: Vec<Value> =
        told["places"].as_array().unwrap().iter().map(|place| json!([place["image"], place["latitude_deg"]])).collect();
    assert_eq!(places, [json!([ids[0], 48.0]), json!([ids[1], 48.5])]);
    assert_eq!(library.image(ids[0])["gps_latitude"], Value::Null, "a dry run changes nothing");
    assert_eq!(place(json!({"dry_run": true, "zone_minutes": null}))["without_zone"], 3);

    let done = place(json!({}));
    assert_eq!((&done["places"], &done["changed"]), (&told["places"], &json!(2)));
    assert_eq!(library.image(ids[1])["gps_latitude"], 48.5);
    let undone = library.send("POST", &format!("/api/v1/edits/{}/undo", done["batch"]), &json!({})).json();
    assert_eq!((undone, library.image(ids[1])["gps_latitude"].clone()), (json!({"changed": 2, "skipped": 0}), Value::Null));
    for (word, body) in [
        ("gpx", json!({"images": ids})),
        ("cannot be used", json!({"gpx": "<gpx/>", "images": ids})),
        ("images", json!({"gpx": gpx})),
        ("clock_ahead_s", json!({"gpx": gpx, "images": ids, "clock_ahead_s": "soon"})),
        ("zone_minutes", json!({"gpx": gpx, "images": ids, "zone_minutes": 9000})),
        ("dry_run", json!({"gpx": gpx, "images": ids, "dry_run": 1})),
        ("dryrun", json!({"gpx": gpx, "images": ids, "dryrun": true})),
    ] {
        let answer = library.send("POST", "/api/v1/tracks", &body);
        assert!(answer.status == 400 && answer.json()["message"].as_str().unwrap().contains(word), "{word}: {}", answer.text());
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_its_name_and_changes_nothing() {
    let library = Library::new();
    library.picture("a.jpg", 1);
    library.scan(&[]);
    let id = library.id("a");
    let before = library.image(id);
    let refused = |method: &str, path: &str, body: &Value| {
        let answer = library.send(method, path, body);
        assert_eq!((answer.status, answer.json()["code"].as_str().unwrap()), (400, "bad_request"), "{body}");
        answer.json()["message"].as_str().unwrap().to_owned()
    };
    let path = format!("/api/v1/images/{id}");
    for (field, body) in [
        ("rating", json!({"title": "x", "rating": 6})),
        ("title", json!({"title": "a\u{0}b"})),
        ("gps", json!({"gps": {"latitude_deg": 100, "longitude_deg": 0}})),
        ("captured_at", json!({"captured_at": "soon"})),
        ("keywords", json!({"keywords": ["a||b"]})),
        ("color_label", json!({"color_label": "mauve"})),
        ("place", json!({"place": {"country_code": "France"}})),
        ("stars", json!({"stars": 5})),
        ("rating", json!({})),
        ("object", json!([1])),
    ] {
        let message = refused("PATCH", &path, &body);
        assert!(message.contains(field), "{message}");
    }
    for (word, body) in [
        ("images", json!({"set": {"rating": 1}})),
        ("images", json!({"images": [id], "filter": {}, "set": {"rating": 1}})),
        ("ids", json!({"images": ["x"], "set": {"rating": 1}})),
        ("raiting", json!({"filter": {"raiting": 1}, "set": {"rating": 1}})),
        ("set", json!({"images": [id], "set": 5})),
        ("seconds", json!({"images": [id], "shift_time_s": "1h"})),
        ("add_keywords", json!({"images": [id], "add_keywords": [1]})),
        ("captured_at", json!({"images": [id], "set": {"rating": 1}, "shift_time_s": 9_999_999_999_i64})),
        ("nothing", json!({"images": [id]})),
    ] {
        let message = refused("POST", "/api/v1/edits", &body);
        assert!(message.contains(word), "{message}");
    }
    assert_eq!(library.send("POST", "/api/v1/edits", &json!({"filter": {"rating": 9}, "set": {"rating": 1}})).json()["code"], "bad_filter");
    for (method, path) in [("PATCH", "/api/v1/images/999"), ("POST", "/api/v1/edits/999/undo"), ("GET", "/api/v1/images/999/history")] {
        assert_eq!(library.send(method, path, &json!({"rating": 1})).status, 404, "{path}");
    }
    for query in ["state=lost", "cursor=x", "limit=0"] {
        assert_eq!(library.app.get(&format!("/api/v1/outbox?{query}")).status, 400, "{query}");
    }
    let elsewhere = library.app.send("PATCH", &path, &[("Origin", "http://evil.example")], r#"{"rating": 1}"#);
    assert_eq!((elsewhere.status, elsewhere.json()["code"].as_str().unwrap()), (403, "cross_origin"));
    assert_eq!(library.image(id), before);
    assert!(library.outbox().is_empty());
}
