//! The page of duplicates: groups side by side with what differs, decisions that are edits and can be taken back, and what is said where no
//! network has looked; and the same as JSON.

use diesel::connection::SimpleConnection;
use hm::models::ImageId;
use scraper::{Html, Selector};

use crate::support::{
    TestDatabase, has_vectors,
    http::App,
    library::{folder, image, vault},
    temp_dir,
    toy::{asking, embed},
};

fn all(html: &Html, selector: &str) -> Vec<String> {
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    html.select(&Selector::parse(selector).unwrap()).map(|element| words(element.text().collect())).collect()
}

fn attributes(html: &Html, selector: &str, name: &str) -> Vec<String> {
    html.select(&Selector::parse(selector).unwrap()).filter_map(|element| element.attr(name).map(str::to_owned)).collect()
}

struct Library {
    app: App,
    database: TestDatabase,
    images: Vec<ImageId>,
    _thumbs: tempfile::TempDir,
}

/// Two copies in different folders, and a burst of three.
fn library() -> Library {
    let (database, thumbs) = (TestDatabase::new(), temp_dir());
    let mut conn = database.connection();
    let root = vault(&mut conn, "Photos", thumbs.path());
    let copies = folder(&mut conn, root, "copies <of>");
    let mut add = |name: &str, at: &str, folder| {
        let key = format!("{:032x}", name.bytes().fold(0_u64, |sum, byte| sum * 31 + u64::from(byte)));
        let mut one = image(name).picture(&key).at(at).file(&format!("{name}.JPG"), "jpeg", "ORIGINAL");
        one.camera = Some("R5".to_owned());
        one.insert(&mut conn, folder)
    };
    let images = vec![
        add("IMG_1", "2019-08-03 12:33:00", root),
        add("IMG_1 copy", "2021-01-01 00:00:00", copies),
        add("BURST_1", "2020-05-01 10:00:00", root),
        add("BURST_2", "2020-05-01 10:00:01", root),
        add("BURST_3", "2020-05-01 10:00:02", root),
    ];
    conn.batch_execute(
        "UPDATE files SET fingerprint = '\\x00112233445566778899aabbccddeeff', size_bytes = 5000000 WHERE name LIKE 'IMG_1%'; \
         UPDATE images SET rating = 4, width_px = 6000, height_px = 4000 WHERE base_name = 'IMG_1'",
    )
    .unwrap();
    let (ask, _) = asking();
    let app = App::start_as(database.pool(), thumbs.path(), None, move |state| state.with_ask(ask));
    Library { app, database, images, _thumbs: thumbs }
}

impl Library {
    fn page(&self, path: &str) -> Html {
        let answer = self.app.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(!answer.text().contains(" style="), "the policy takes no styles in line");
        Html::parse_document(&answer.text())
    }

    /// Base names by group, as the API has them.
    fn told(&self, kind: &str) -> Vec<Vec<String>> {
        let answer = self.app.get(&format!("/api/v1/duplicates?kind={kind}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let name = |image: &serde_json::Value| image["base_name"].as_str().unwrap().to_owned();
        let names = |group: &serde_json::Value| group["images"].as_array().unwrap().iter().map(name).collect();
        answer.json()["groups"].as_array().unwrap().iter().map(names).collect()
    }

    fn said(&self, index: usize) -> (i64, String) {
        let image = self.app.get(&format!("/api/v1/images/{}", self.images[index])).json();
        (image["rating"].as_i64().unwrap_or(0), image["pick"].as_str().unwrap().to_owned())
    }
}

#[test]
fn copies_stand_side_by_side_with_what_differs() {
    let library = library();
    let glance = Html::parse_document(&library.app.get("/library").text());
    assert_eq!(attributes(&glance, ".review a", "href"), ["/duplicates"]);
    let page = library.page("/duplicates");
    assert_eq!(all(&page, ".group h2"), ["2 photos with the same file 5.0 MB too much"]);
    assert_eq!(all(&page, ".photo h3"), ["IMG_1 copy", "IMG_1"]);
    let differ = all(&page, ".photo:last-child .differs");
    assert_eq!(differ, ["Taken3 Aug 2019, 12:33:00", "Pixels6000 × 4000 px", "Rating4 stars"]);
    assert_eq!(all(&page, ".paths .is-shared .path"), ["Photos/copies <of>/IMG_1 copy.JPG", "Photos/IMG_1.JPG"]);
    assert_eq!(all(&page, ".kinds [aria-current]"), ["The same file"]);
    assert_eq!(library.told("copies"), [["IMG_1 copy", "IMG_1"]]);
    let json = library.app.get("/api/v1/duplicates").json();
    let file = &json["groups"][0]["images"][0]["files"][0];
    assert_eq!((&file["subdirectory"], &file["fingerprint"]), (&"copies <of>".into(), &"00112233445566778899aabbccddeeff".into()));
    assert_eq!((&json["groups"][0]["likeness"], &json["network"]), (&serde_json::Value::Null, &serde_json::Value::Null));

    let described = library.app.get("/api/v1/openapi.json").json();
    let schema = serde_json::json!({"$ref": "#/components/schemas/DuplicateList"});
    crate::api::check(&json, &schema, &described, "duplicates");
}

#[test]
fn the_best_is_picked_and_the_others_rejected_as_one_edit_that_is_taken_back() {
    let library = library();
    let page = library.page("/duplicates?kind=bursts");
    assert_eq!(all(&page, ".group h2"), ["A burst of 3 photos within 2 seconds"]);
    assert_eq!(attributes(&page, ".photo", "data-id"), [4, 3, 2].map(|at: usize| library.images[at].to_string()));
    let [one, two, three] = [2, 3, 4].map(|at: usize| library.images[at]);
    let group = format!("image={one}&image={two}&image={three}&back=%2Fduplicates%3Fkind%3Dbursts");

    let answer = library.app.post("/duplicates/best", &format!("{group}&best={two}"));
    assert_eq!(answer.status, 303, "{}", answer.text());
    let location = answer.header("location").to_owned();
    let (path, batch) = location.rsplit_once("&done=").unwrap();
    assert_eq!(path, "/duplicates?kind=bursts");
    assert_eq!((library.said(2), library.said(3), library.said(4)), ((-1, "none".into()), (0, "picked".into()), (-1, "none".into())));
    assert!(library.told("bursts").is_empty());
    // Without scripts the page that follows has the way back.
    let page = library.page(&location);
    assert_eq!(attributes(&page, "form.done", "action"), [format!("/edits/{batch}/undo")]);
    assert_eq!(all(&page, ".empty h2"), ["Nothing to show"]);
    let undone = library.app.post(&format!("/edits/{batch}/undo"), "back=%2Fduplicates%3Fkind%3Dbursts");
    assert_eq!((undone.status, undone.header("location")), (303, "/duplicates?kind=bursts"));
    assert_eq!((library.said(2), library.said(3)), ((0, "none".into()), (0, "none".into())));
    assert_eq!(library.told("bursts").len(), 1);

    // Two of them, by the script.
    let headers = [("HX-Request", "true"), ("Content-Type", "application/x-www-form-urlencoded")];
    let answer = library.app.send("POST", "/duplicates/best", &headers, &format!("{group}&best={two}&best={three}"));
    let said = Html::parse_fragment(&answer.text());
    assert_eq!(all(&said, ".said"), ["2 photos picked, 1 rejected"]);
    assert_eq!(attributes(&said, ".said", "data-batch").len(), 1);
    assert!(library.told("bursts").is_empty(), "both were chosen, and are not asked about again");

    for wrong in [format!("image={one}&best={one}"), group.clone(), format!("{group}&best={}", library.images[0]), "image=x".to_owned()] {
        assert_eq!(library.app.post("/duplicates/best", &wrong).status, 400, "{wrong}");
    }
    let elsewhere = library.app.post("/duplicates/best", &format!("image={one}&image={two}&best={one}&back=%2F%2Fevil.example"));
    assert!(elsewhere.header("location").starts_with("/duplicates?done="), "{}", elsewhere.header("location"));
}

#[test]
fn what_is_no_duplicate_is_set_aside_until_that_is_taken_back() {
    let library = library();
    let group = format!("image={}&image={}", library.images[0], library.images[1]);
    let answer = library.app.post("/duplicates/apart", &group);
    let (path, id) = answer.header("location").split_once("?apart=").unwrap();
    assert_eq!((answer.status, path), (303, "/duplicates"));
    let undo = format!("/duplicates/apart/{id}/undo");
    assert_eq!(attributes(&library.page(answer.header("location")), "form.done", "action"), std::slice::from_ref(&undo));
    assert!(library.told("copies").is_empty());
    assert_eq!(library.said(0), (4, "none".to_owned()), "nothing about the photos has changed");
    let page = library.page("/duplicates?kind=apart");
    assert_eq!(all(&page, ".kinds b"), ["1"]);
    assert_eq!(attributes(&page, ".decisions form", "action"), std::slice::from_ref(&undo));
    assert_eq!(attributes(&page, ".decisions .picture", "href").len(), 2);
    // Whatever finds them again: a scan that reads the files anew changes nothing about it.
    library
        .database
        .connection()
        .batch_execute("UPDATE files SET modified_at_ns = modified_at_ns + 1; UPDATE images SET updated_at = now()")
        .unwrap();
    assert!(library.told("copies").is_empty());
    assert_eq!(library.app.post(&undo, "").status, 303);
    assert_eq!(library.told("copies").len(), 1);
    assert_eq!(library.app.post(&undo, "").status, 404);
    assert_eq!(library.app.post("/duplicates/apart", "image=1").status, 400);
    assert_eq!(library.app.post("/duplicates/apart", "image=9991&image=9992").status, 409);

    // By the script the answer says where it is taken back.
    let headers = [("HX-Request", "true"), ("Content-Type", "application/x-www-form-urlencoded")];
    let answer = library.app.send("POST", "/duplicates/apart", &headers, &group);
    let said = Html::parse_fragment(&answer.text());
    assert_eq!(all(&said, ".said"), ["2 photos set aside as no duplicates"]);
    let undo = attributes(&said, ".said", "data-undo");
    assert_eq!(attributes(&said, ".said", "data-batch"), [""; 0]);
    assert_eq!(library.app.send("POST", &undo[0], &headers, "").status, 200);
    assert_eq!(library.told("copies").len(), 1);
}

#[test]
fn a_program_sets_apart_what_is_no_duplicate_and_takes_it_back() {
    let library = library();
    let json = [("Content-Type", "application/json")];
    let set = |body: &str| library.app.send("POST", "/api/v1/duplicates/apart", &json, body);
    let described = library.app.get("/api/v1/openapi.json").json();
    let described_as = |answer: &serde_json::Value, name: &str| {
        crate::api::check(answer, &serde_json::json!({"$ref": format!("#/components/schemas/{name}")}), &described, name);
    };
    let [first, second] = [0, 1].map(|at: usize| library.images[at].0);
    let answer = set(&format!("{{\"images\": [{second}, {first}, 9991]}}"));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let made = answer.json();
    described_as(&made, "ApartEntry");
    assert_eq!(made["images"], serde_json::json!([first, second]), "those that there are");
    assert!(library.told("copies").is_empty());
    assert_eq!(all(&library.page("/duplicates?kind=apart"), ".decisions b"), ["2 photos"]);
    let burst = set(&format!("{{\"images\": [{}, {}]}}", library.images[2], library.images[3])).json();

    // The last first, page by page.
    let page = library.app.get("/api/v1/duplicates/apart?limit=1").json();
    described_as(&page, "ApartList");
    assert_eq!((&page["decisions"], &page["next_cursor"]), (&serde_json::json!([burst]), &burst["id"]));
    let page = library.app.get(&format!("/api/v1/duplicates/apart?limit=1&cursor={}", page["next_cursor"])).json();
    assert_eq!((&page["decisions"], &page["next_cursor"]), (&serde_json::json!([made]), &serde_json::Value::Null));

    let path = format!("/api/v1/duplicates/apart/{}", made["id"]);
    let foreign = library.app.send("DELETE", &path, &[("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")], "");
    assert_eq!(foreign.status, 403);
    assert_eq!((library.app.send("DELETE", &path, &[], "").status, library.told("copies").len()), (204, 1));
    let gone = library.app.send("DELETE", &path, &[], "");
    assert_eq!((gone.status, gone.json()["code"].as_str()), (404, Some("not_found")));
    for (body, expected) in [
        ("{\"images\": [9991, 9992]}".to_owned(), (409, "conflict")),
        (format!("{{\"images\": [{first}, {first}]}}"), (409, "conflict")),
        (format!("{{\"images\": [{first}]}}"), (400, "bad_request")),
        (format!("{{\"images\": [{first}, {second}], \"for\": 1}}"), (400, "bad_request")),
        ("{\"images\": \"all\"}".to_owned(), (400, "bad_request")),
        (String::new(), (400, "bad_request")),
    ] {
        let answer = set(&body);
        assert_eq!((answer.status, answer.json()["code"].as_str().unwrap()), expected, "{body}");
    }
    for wrong in ["cursor=x", "limit=0"] {
        assert_eq!(library.app.get(&format!("/api/v1/duplicates/apart?{wrong}")).status, 400, "{wrong}");
    }
}

#[test]
fn what_looks_alike_says_who_says_so_and_what_is_not_looked_at_yet() {
    let library = library();
    let mut conn = library.database.connection();
    if !has_vectors(&mut conn) {
        return;
    }
    let page = library.page("/duplicates?kind=alike");
    assert_eq!(all(&page, ".empty p"), ["The network has not looked at any picture yet. It will, the newest first."]);
    for (image, rgb) in library.images[2..].iter().zip([[9.0, 1.0, 1.0], [9.0, 1.1, 1.0], [1.0, 9.0, 1.0]]) {
        embed(&mut conn, *image, rgb);
    }
    let page = library.page("/duplicates?kind=alike");
    assert_eq!(all(&page, ".group h2"), ["2 photos that look alike likeness 0.99 or more"]);
    assert_eq!(all(&page, ".photo h3"), ["BURST_2", "BURST_1"]);
    assert_eq!(all(&page, ".not-seen"), ["2 of 5 pictures are not looked at yet."]);
    assert!(all(&page, ".duplicates > .quiet")[0].contains("in which toy sees nearly the same"));
    let json = library.app.get("/api/v1/duplicates?kind=alike").json();
    assert_eq!((json["not_seen"]["not_seen_count"].as_i64(), json["network"].as_str()), (Some(2), Some("toy@0a1b2c")));
    assert!(json["groups"][0]["likeness"].as_f64().unwrap() > 0.99);
}

#[test]
fn without_a_network_the_page_says_so_and_what_is_not_understood_is_refused() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let app = App::start(database.pool(), dir.path());
    let page = app.get("/duplicates?kind=alike");
    assert_eq!(page.status, 200, "{}", page.text());
    let lack = all(&Html::parse_document(&page.text()), ".empty p");
    assert!(lack[0].contains("imported") || lack[0].contains("vector"), "{lack:?}");
    assert_eq!(app.get("/api/v1/duplicates?kind=alike").status, 409);
    for kind in ["copies", "bursts"] {
        let page = Html::parse_document(&app.get(&format!("/duplicates?kind={kind}")).text());
        assert_eq!(all(&page, ".empty h2"), ["Nothing to show"], "{kind}");
    }
    for wrong in ["kind=x", "kind=bursts&after=00112233445566778899aabbccddeeff", "after=x", "kind=apart&after=x"] {
        assert_eq!(app.get(&format!("/duplicates?{wrong}")).status, 400, "{wrong}");
    }
    for wrong in ["kind=x", "cursor=x", "limit=0"] {
        assert_eq!(app.get(&format!("/api/v1/duplicates?{wrong}")).status, 400, "{wrong}");
    }
}
