//! The library at a glance: every figure is right, and leads to the photos it counts.

use diesel::connection::SimpleConnection;
use scraper::{Html, Selector};

use crate::support::{
    TestDatabase,
    http::App,
    library::{folder, image, vault},
    temp_dir,
};

/// A library with something of everything.
fn filled(database: &TestDatabase, photos: &std::path::Path) {
    let conn = &mut database.connection();
    let root = vault(conn, "photos", photos);
    let zoe = folder(conn, root, "Zoé");
    for number in 0..14 {
        let mut one = image(&format!("IMG_{number}")).at(&format!("{}-05-04 10:00:00", 2005 + number % 4));
        one = one.file(&format!("IMG_{number}.JPG"), "jpeg", "ORIGINAL").file(&format!("IMG_{number}.xmp"), "xmp", "SIDECAR");
        one.camera = (number > 0).then(|| format!("Camera \"{number}\" (II)"));
        one.lens = (number % 3 == 0).then(|| "RF 35mm F1.8".to_owned());
        one.rating = [None, Some(5), Some(3), Some(-1), Some(0)][number % 5];
        (one.has_raw, one.has_jpeg, one.is_video) = (number % 2 == 0, number % 3 == 0, number == 13);
        one.has_gps = number < 5;
        one.insert(conn, if number < 7 { root } else { zoe });
    }
    conn.batch_execute(
        "UPDATE images SET total_size_bytes = id * 1000000; UPDATE images SET keywords = '{lake}' WHERE id < 4; \
         UPDATE images SET is_missing = true WHERE id = 9; UPDATE files SET error = 'cut off' WHERE name IN ('IMG_2.JPG', 'IMG_2.xmp'); \
         UPDATE files SET size_bytes = 5000000, fingerprint = '\\x00' WHERE name IN ('IMG_4.JPG', 'IMG_5.JPG', 'IMG_6.JPG'); \
         UPDATE files SET fingerprint = '\\x01' WHERE format = 'xmp'; \
         UPDATE files SET missing_since = now() WHERE name = 'IMG_6.JPG'",
    )
    .unwrap();
}

#[test]
fn every_figure_leads_to_the_photos_it_counts() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    filled(&database, dir.path());
    let app = App::start(database.pool(), dir.path());
    let count = |href: &str| app.get(&href.replacen('/', "/api/v1/timeline", 1)).json()["image_count"].as_i64().unwrap();
    let answer = app.get("/library");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let page = Html::parse_document(&answer.text());
    let select = |selector: &str| Selector::parse(selector).unwrap();
    let mut checked = 0;
    for row in page.select(&select(".charts tbody tr, .growth tbody tr")) {
        let link = row.select(&select("th a")).next().unwrap();
        let shown: i64 = row.select(&select("td a")).next().unwrap().text().collect::<String>().parse().unwrap();
        assert_eq!(count(link.attr("href").unwrap()), shown, "{}", link.html());
        checked += 1;
    }
    assert_eq!(checked, 4 + 4 + 5 + 4 + 14 + 2, "years, growth, kinds, ratings, cameras, lenses");
    let figures: Vec<(String, i64)> = page
        .select(&select(".figures a"))
        .map(|figure| {
            let value = figure.select(&select("b")).next().unwrap().text().collect();
            (value, count(figure.attr("href").unwrap()))
        })
        .collect();
    let expected = [("36 %", 5), ("43 %", 6), ("21 %", 3), ("1", 1), ("1", 1), ("2", 2)];
    assert_eq!(figures, expected.map(|(value, count)| (value.to_owned(), count)));
    assert!(answer.text().contains("14 photos in 28 files, 105 MB, from 2005 to 2008"), "{}", answer.text());
    assert!(answer.text().contains("5.0 MB too much"), "{}", answer.text());
    for point in page.select(&select(".growth svg a")) {
        let words = point.attr("aria-label").unwrap();
        assert!(words.contains(&format!(" {} photos", count(point.attr("href").unwrap()))), "{words}");
    }

    let told = app.get("/api/v1/library").json();
    let by_query = |found: &serde_json::Value| {
        let query = found["query"].as_str().unwrap();
        let page =
            app.get(&format!("/api/v1/images?q={}", percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC)));
        assert_eq!(page.json()["images"].as_array().unwrap().len() as i64, found["image_count"].as_i64().unwrap(), "{query}");
    };
    for list in ["years", "kinds", "cameras", "lenses", "ratings"] {
        told[list].as_array().unwrap().iter().for_each(by_query);
    }
    for one in ["placed", "rated", "tagged", "missing", "broken", "duplicates"] {
        by_query(&told[one]);
    }
    assert_eq!((&told["image_count"], &told["duplicate_bytes"]), (&14.into(), &5_000_000.into()));
}

#[test]
fn an_empty_library_has_a_page_too() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let app = App::start(database.pool(), dir.path());
    let text = app.get("/library").text();
    assert!(text.contains("Nothing to count yet") && text.contains("hm backup"), "{text}");
    assert_eq!(app.get("/api/v1/library").json()["years"], serde_json::json!([]));
}

#[test]
fn backups_are_listed_and_a_failure_is_told_on_every_page_until_one_is_made() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let app = App::start(database.pool(), dir.path());
    let insert = |values: &str| {
        let columns = "INSERT INTO backups (kind, host, path, size_bytes, image_count, error, started_at, finished_at) VALUES";
        database.connection().batch_execute(&format!("{columns} {values}")).unwrap();
    };
    insert("('nightly', 'mac', '/b/one.zip', 1234567, 42, NULL, now(), now() - interval '2 days')");
    assert!(!app.get("/status").text().contains("backup"));
    insert("('nightly', 'mac', '/b', NULL, NULL, E'cannot write <b>: no room\\nhint: make room', now(), now() - interval '1 day')");
    let strip = app.get("/status").text();
    assert!(strip.contains("The last backup failed.") && strip.contains("cannot write &#60;b&#62;: no room</small>"), "{strip}");
    let page = app.get("/library").text();
    for words in ["42 photos, 1.2 MB", "/b/one.zip on mac", "Failed: Nightly", "cannot write &#60;b&#62;: no room</p>"] {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    assert_eq!(app.get("/api/v1/library").json()["backups"].as_array().unwrap().len(), 2);
    insert("('manual', 'mac', '/b/two.zip', 1, 42, NULL, now(), now())");
    assert!(!app.get("/status").text().contains("backup"));
    assert!(!app.get("/library").text().contains("Failed: "), "a failure that was made good is forgotten");
}

#[test]
fn a_gallery_that_is_filtered_offers_its_exports() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    filled(&database, dir.path());
    let app = App::start(database.pool(), dir.path());
    let page = Html::parse_document(&app.get("/?q=rating:3&year=2006").text());
    let links: Vec<String> =
        page.select(&Selector::parse(".export a").unwrap()).map(|link| link.attr("href").unwrap().to_owned()).collect();
    assert!(links.contains(&"/api/v1/export?format=zip&of=proxies&year=2006&q=rating%3A3".to_owned()), "{links:?}");
    for link in links.iter().filter(|link| !link.contains("zip")) {
        let answer = app.get(link);
        assert_eq!((answer.status, answer.is_whole), (200, true), "{link}");
    }
    assert!(!app.get("/").text().contains("format=zip"), "nobody packs everything");
}
