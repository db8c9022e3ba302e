//! The map from the outside: clusters through the API, the page, names of places through scans by the real program, edits and
//! sidecars, and the one foreign server that may be asked for tiles.

use std::fs;

use diesel::{PgConnection, connection::SimpleConnection};
use hm::config::MapConfig;
use scraper::{Html, Selector};
use serde_json::{Value, json};

use crate::{
    api::check,
    support::{
        TestDatabase, hm_command,
        http::App,
        library::{image, vault},
        media::{Jpeg, write, xmp},
        temp_dir,
    },
};

fn place(conn: &mut PgConnection, name: &str, latitude: f64, longitude: f64) {
    conn.batch_execute(&format!("UPDATE images SET latitude_deg = {latitude}, longitude_deg = {longitude} WHERE base_name = '{name}'"))
        .unwrap();
}

/// Two photos in Zürich, one in Fiji and one nowhere, with names.
fn library(map: MapConfig) -> (TestDatabase, tempfile::TempDir, App) {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let conn = &mut database.connection();
    let root = vault(conn, "photos", dir.path());
    for (name, latitude, longitude) in [("z1", 47.3769, 8.5417), ("z2", 47.3790, 8.5400), ("fiji", -16.85, -179.95)] {
        let mut new = image(name).picture("0123456789abcdef0123456789abcdef");
        new.rating = Some(if name == "z1" { 5 } else { 1 });
        new.insert(conn, root);
        place(conn, name, latitude, longitude);
    }
    image("nowhere").insert(conn, root);
    hm::db::places::name_coordinates(conn, 100).unwrap();
    let app = App::start_with_map(database.pool(), dir.path(), map);
    (database, dir, app)
}

#[test]
fn clusters_are_told_as_described_and_lead_to_their_images() {
    let (_database, _dir, app) = library(MapConfig::default());
    let all = app.get("/api/v1/openapi.json").json();
    let ask = |query: &str| -> Value {
        let answer = app.get(&format!("/api/v1/map?{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        check(&answer.json(), &json!({"$ref": "#/components/schemas/MapAnswer"}), &all, query);
        answer.json()
    };
    let world = ask("");
    assert_eq!((&world["zoom"], &world["image_count"], &world["bbox"]), (&json!(2), &json!(3), &json!([-180.0, -90.0, 180.0, 90.0])));
    let counts = |answer: &Value| -> Vec<i64> {
        answer["clusters"].as_array().unwrap().iter().map(|cluster| cluster["image_count"].as_i64().unwrap()).collect()
    };
    assert_eq!(counts(&world), [2, 1]);
    let zurich = &world["clusters"][0];
    assert_eq!((&zurich["place"]["city"], &zurich["place"]["country"]), (&json!("Zürich"), &json!("Switzerland")));
    assert!(zurich["thumbnail_url"].as_str().unwrap().starts_with("/pictures/"), "{zurich}");
    let listed = app.get(&format!("/api/v1/images?q={}", zurich["query"].as_str().unwrap().replace(':', "%3A"))).json();
    assert_eq!(listed["images"].as_array().unwrap().len(), 2);
    // Closer, within a filter, and over the antimeridian.
    assert_eq!(counts(&ask("bbox=8.5,47.3,8.6,47.4&zoom=17")), [1, 1]);
    assert_eq!(counts(&ask("bbox=8.5,47.3,8.6,47.4&zoom=17&rating=5")), [1]);
    assert_eq!(counts(&ask("q=city:z%C3%BCrich%20rating:1")), [1]);
    assert_eq!(counts(&ask("bbox=179,-18,-179,-16&zoom=6")), [1]);
    assert_eq!(counts(&ask("bbox=-179,-18,179,-17.9&zoom=2")).iter().sum::<i64>(), 1);
    for wrong in ["bbox=1,2,3", "bbox=0,10,1,5", "bbox=x", "zoom=21", "zoom=-1", "zoom=x", "q=ratng:3", "month=13&year=2019"] {
        assert_eq!(app.get(&format!("/api/v1/map?{wrong}")).status, 400, "{wrong}");
    }
    let lowered = ask("zoom=20");
    assert!(lowered["zoom"].as_i64().unwrap() < 6 && lowered["image_count"] == 3, "{lowered}");
}

#[test]
fn the_page_lists_countries_and_says_whose_names_they_are() {
    let (_database, _dir, app) = library(MapConfig::default());
    let page = app.get("/map?q=rating:%3E%3D1");
    assert_eq!(page.status, 200);
    assert!(!page.header("content-security-policy").contains("http"), "{}", page.header("content-security-policy"));
    let html = Html::parse_document(&page.text());
    let texts = |selector: &str| -> Vec<String> {
        html.select(&Selector::parse(selector).unwrap()).map(|found| found.text().collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(texts(".countries > li > a"), ["Switzerland 2 photos", "Fiji 1 photo"]);
    assert_eq!(texts(".countries ul a")[0], "Zürich 2 photos");
    let credit = texts(".credit").join("");
    assert!(credit.contains("GeoNames") && credit.contains("OpenStreetMap"), "{credit}");
    let link = html.select(&Selector::parse(".countries > li > a").unwrap()).next().unwrap().value().attr("href").unwrap();
    let days = app.get(&link.replacen("/?", "/api/v1/timeline?", 1)).json();
    assert_eq!(days["image_count"], 2, "{link}");
    assert_eq!(texts(".tabs a[aria-current]"), ["Map"]);
    // What is typed on the map stays on it.
    assert_eq!(html.select(&Selector::parse("form.search").unwrap()).next().unwrap().value().attr("action"), Some("/map"));
    let pick = app.get("/map?pick=4").text();
    assert!(pick.contains("Where was nowhere taken?") && pick.contains("data-back=\"/images/4\""), "{pick}");
    assert_eq!(app.get("/map?pick=999").status, 404);
    let towns = app.get("/map/towns.json?bbox=5,45,11,48&zoom=7").json();
    assert!(towns.as_array().unwrap().iter().any(|town| town["name"] == "Zürich"), "{towns}");
    let named = app.get("/map/towns?words=PARIS,%20tex").text();
    assert!(
        named.contains(r#"data-value="Paris, Texas, United States" data-place="33.66"#) && named.matches("<li").count() == 1,
        "{named}"
    );
    assert_eq!(app.get("/map/towns").text().matches("<li").count(), 0);
    assert_eq!(app.get("/map/place.json?at=47.3769,8.5417").json()["words"], "Zürich, Zurich, Switzerland");
    for wrong in ["/map/towns.json", "/map/towns.json?bbox=a", "/map/place.json", "/map/place.json?at=x,y"] {
        assert_eq!(app.get(wrong).status, 400, "{wrong}");
    }
}

#[test]
fn tiles_come_from_the_named_server_alone_and_on_the_map_alone() {
    let map = MapConfig { tile_url: "https://tiles.example/{z}/{x}/{y}.png".to_owned(), tile_attribution: "© <Tilers>".to_owned() };
    let (_database, _dir, app) = library(map);
    let page = app.get("/map");
    assert!(page.header("content-security-policy").contains("img-src 'self' https://tiles.example data:"));
    let text = page.text();
    assert!(text.contains("data-tiles=\"https://tiles.example/{z}/{x}/{y}.png\"") && text.contains("&#60;Tilers&#62;"), "{text}");
    assert!(!app.get("/").header("content-security-policy").contains("tiles.example"));
}

#[test]
fn a_scan_names_what_it_places_and_a_person_makes_the_names_their_own() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let photos = dir.path().join("photos");
    fs::create_dir(&photos).unwrap();
    for name in ["a", "b"] {
        Jpeg::new(48, 32).camera("Canon", "Canon EOS R6").taken("2019:08:03 12:00:00").write(&photos.join(format!("{name}.jpg")));
    }
    let namespaces = r#"xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/""#;
    let gps = r#"exif:GPSLatitude="48,8.22N" exif:GPSLongitude="11,34.52E""#;
    write(&photos.join("a.xmp"), xmp(&format!("{namespaces} {gps}"), &[]).as_bytes());
    write(&photos.join("b.xmp"), xmp(&format!(r#"{namespaces} {gps} photoshop:City="Minga""#), &[]).as_bytes());
    let output = hm_command()
        .env("HM_DATABASE_URL", database.url())
        .env("HM_REDIS_URL", "redis://127.0.0.1:1/")
        .arg("--data-dir")
        .arg(dir.path().join("data"))
        .arg("scan")
        .arg(&photos)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let app = App::start(database.pool(), &dir.path().join("thumbs"));
    let find = |query: &str| -> Vec<String> {
        let page = app.get(&format!("/api/v1/images?q={query}")).json();
        let mut names: Vec<String> =
            page["images"].as_array().unwrap().iter().map(|image| image["base_name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    for (query, expected) in
        [("munich", &["a", "b"][..]), ("minga", &["b"]), ("city:munich", &["a"]), ("country:germany", &["a", "b"]), ("has:place", &["b"])]
    {
        assert_eq!(find(query), expected, "{query}");
    }
    let id = app.get("/api/v1/images?q=city:munich").json()["images"][0]["id"].as_i64().unwrap();
    let detail = || app.get(&format!("/api/v1/images/{id}")).json();
    assert_eq!(detail()["gps_place"], json!({"city": "Munich", "state": "Bavaria", "country": "Germany", "country_code": "DE"}));
    assert_eq!(detail()["city"], Value::Null);
    let viewer = app.get(&format!("/images/{id}")).text();
    assert!(viewer.contains("Munich, Bavaria, Germany") && viewer.contains("Keep these names"), "{viewer}");
    // By filter, taken back, and by the button of one.
    let json = [("Content-Type", "application/json")];
    let named = app.send("POST", "/api/v1/edits", &json, r#"{"filter": {"q": "has:gps"}, "name_places": true}"#).json();
    assert_eq!((&named["changed"], &named["unchanged"]), (&json!(1), &json!(1)));
    assert_eq!(detail()["city"], "Munich");
    assert_eq!(app.get("/api/v1/outbox").json()["pending"], 1);
    assert_eq!(app.send("POST", &format!("/api/v1/edits/{}/undo", named["batch"]), &json, "").status, 200);
    assert_eq!(detail()["city"], Value::Null);
    let kept = app.post(&format!("/images/{id}/place-names"), "");
    assert_eq!((kept.status, kept.header("location")), (303, format!("/images/{id}").as_str()));
    assert_eq!((&detail()["city"], &detail()["country_code"]), (&json!("Munich"), &json!("DE")));
    assert!(!app.get(&format!("/images/{id}")).text().contains("Keep these names"));
    assert_eq!(app.post("/images/999/place-names", "").status, 404);
    assert_eq!(app.send("POST", "/api/v1/edits", &json, r#"{"filter": {}, "name_places": "yes"}"#).status, 400);
}
