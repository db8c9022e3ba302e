//! Searches by likeness, as pages and as JSON, with a toy network that knows colours: order, filters, what is not looked at yet, pages that
//! follow each other, text and pictures in one answer, what is refused, and what is seen in an image.

use std::{fs, path::Path, sync::Arc, sync::atomic::Ordering};

use diesel::PgConnection;
use hm::models::{
    FolderId, ImageId, PictureKey, PictureSize,
    task::Found,
    vision::{BoundingBox, Mask},
};
use scraper::{Html, Selector};

use crate::support::{
    TestDatabase, has_vectors,
    http::{Answer, App},
    library::{folder, image, vault},
    temp_dir,
    toy::{Toy, asking, detect, embed},
};

/// A server with the toy over a library, and what is in it.
struct Library {
    app: App,
    database: TestDatabase,
    folder: FolderId,
    toy: Arc<Toy>,
    thumbs: tempfile::TempDir,
}

/// A picture key that no other number has.
fn key(number: u32) -> String {
    format!("{number:032x}")
}

impl Library {
    fn new() -> Self {
        let (database, thumbs) = (TestDatabase::new(), temp_dir());
        let mut conn = database.connection();
        let root = vault(&mut conn, "Photos", thumbs.path());
        let folder = folder(&mut conn, root, "2019");
        let (ask, toy) = asking();
        let app = App::start_as(database.pool(), thumbs.path(), None, move |state| state.with_ask(ask));
        Self { app, database, folder, toy, thumbs }
    }

    fn conn(&self) -> PgConnection {
        self.database.connection()
    }

    /// An image of this name, a minute after the one before.
    fn image(&self, number: u32, words: &str) -> ImageId {
        let mut one =
            image(&format!("IMG_{number}")).picture(&key(number)).at(&format!("2019-08-03 {:02}:{:02}:00", number / 60, number % 60));
        one.words = format!("IMG_{number} {words}");
        one.insert(&mut self.conn(), self.folder)
    }

    /// A proxy of this colour on disk, its left half of another.
    fn paint(&self, number: u32, left: [u8; 3], right: [u8; 3]) {
        let rgb: Vec<u8> = (0..64 * 48).flat_map(|at| if at % 64 < 32 { left } else { right }).collect();
        let image = turbojpeg::Image { pixels: rgb.as_slice(), width: 64, pitch: 64 * 3, height: 48, format: turbojpeg::PixelFormat::RGB };
        let key: PictureKey = key(number).parse().unwrap();
        let path = self.thumbs.path().join(key.relative_path(PictureSize::Proxy));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, turbojpeg::compress(image, 95, turbojpeg::Subsamp::None).unwrap()).unwrap();
    }

    fn page(&self, path: &str) -> Html {
        let answer = self.app.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        Html::parse_document(&answer.text())
    }

    fn fragment(&self, path: &str) -> Answer {
        self.app.get_with(path, &[("HX-Request", "true")])
    }

    /// The names that a search finds by the API, in their order.
    fn found(&self, query: &str) -> Vec<String> {
        let answer = self.app.get(&format!("/api/v1/images?q={query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let images = answer.json()["images"].as_array().unwrap().clone();
        images.iter().map(|image| image["base_name"].as_str().unwrap().to_owned()).collect()
    }
}

fn all(html: &Html, selector: &str) -> Vec<String> {
    let selector = Selector::parse(selector).unwrap();
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    html.select(&selector).map(|element| words(element.text().collect())).collect()
}

fn attributes(html: &Html, selector: &str, name: &str) -> Vec<String> {
    html.select(&Selector::parse(selector).unwrap()).filter_map(|element| element.attr(name).map(str::to_owned)).collect()
}

const COLOURS: [[f32; 3]; 6] = [[9.0, 1.0, 1.0], [1.0, 9.0, 0.5], [2.0, 1.0, 9.0], [9.0, 6.0, 1.0], [9.0, 1.0, 5.0], [5.0, 5.0, 5.0]];

/// Six images of one colour each, the last of which nobody has looked at; `None` where the server cannot keep vectors.
fn six() -> Option<(Library, Vec<ImageId>)> {
    let library = Library::new();
    let mut conn = library.conn();
    if !has_vectors(&mut conn) {
        return None;
    }
    let ids: Vec<ImageId> = (0..6).map(|number| library.image(number, if number % 2 == 0 { "lake" } else { "sea" })).collect();
    for (id, rgb) in ids.iter().zip(COLOURS).take(5) {
        embed(&mut conn, *id, rgb);
    }
    Some((library, ids))
}

#[test]
fn what_pictures_show_comes_first_within_the_other_conditions() {
    let Some((library, ids)) = six() else { return };
    assert_eq!(library.found("like:red"), ["IMG_0", "IMG_4", "IMG_3", "IMG_2", "IMG_1"]);
    assert_eq!(library.found("like:%22a%20green%20thing%22%20sea"), ["IMG_1", "IMG_3"]);
    assert_eq!(library.found("like:blue%20-lake"), ["IMG_3", "IMG_1"]);
    assert!(library.found("like:red%20year:1999").is_empty());

    let page = library.page("/?q=like:red");
    assert_eq!(all(&page, "h1"), ["Pictures that show “red”"]);
    assert_eq!(all(&page, ".not-seen"), ["1 of 6 pictures is not looked at yet."]);
    assert_eq!(all(&page, ".chip:not(.clear) span"), ["Shows “red”"]);
    assert_eq!(all(&page, ".day-head").len() + all(&page, "#timeline").len(), 0, "an order has no days");
    let order: Vec<String> = [0, 4, 3, 2, 1].map(|at: usize| ids[at].to_string()).into();
    assert_eq!(attributes(&page, "#ranked .tile", "data-id"), order);
    assert_eq!(all(&page, ".tile .likeness")[0], "Likeness 1.00");
    assert_eq!(attributes(&page, ".tile > a", "href")[1], format!("/images/{}?q=like%3A%22red%22&place=1", ids[4]));
    assert_eq!(attributes(&page, "input[name=q]", "value"), ["like:\"red\""]);
    assert_eq!(attributes(&page, "#selection input[name=back]", "value"), ["/?q=like%3A%22red%22"]);
    // The same words are not looked up again.
    assert_eq!(library.toy.words.load(Ordering::Relaxed), 3);
}

#[test]
fn more_like_an_image_is_by_what_is_stored_and_else_by_its_picture_now() {
    let Some((library, ids)) = six() else { return };
    // It is not like itself alone.
    assert_eq!(library.found(&format!("like:{}", ids[2])), ["IMG_4", "IMG_0", "IMG_3", "IMG_1"]);
    assert_eq!(library.toy.pictures.load(Ordering::Relaxed), 0, "it was looked at before");
    library.paint(5, [20, 250, 20], [20, 250, 20]);
    assert_eq!(library.found(&format!("like:image:{}", ids[5]))[0], "IMG_1");
    let page = library.page(&format!("/?q=like:image:{}", ids[5]));
    assert_eq!(all(&page, "h1"), ["Pictures like IMG_5"]);
    assert_eq!(attributes(&page, ".ranked-head .source", "href"), [format!("/images/{}", ids[5])]);
    assert_eq!(library.toy.pictures.load(Ordering::Relaxed), 1, "and is kept for the next page");

    // Of a picture whose left is red and whose right is blue, the blue region is like blue ones. Its frame is twice the proxy's size.
    library.paint(3, [250, 10, 10], [10, 10, 250]);
    let mut conn = library.conn();
    let right = BoundingBox { left_px: 72.0, top_px: 20.0, right_px: 120.0, bottom_px: 70.0 };
    detect(&mut conn, ids[3], (128, 96), vec![Found { label: "boat".into(), score: 0.8, bounds: right, mask: None }]);
    let region = library.app.get(&format!("/api/v1/images/{}/regions", ids[3])).json()["regions"][0]["id"].clone();
    assert_eq!(library.found(&format!("like:region:{region}"))[0], "IMG_2");
    assert_eq!(all(&library.page(&format!("/?q=like:region:{region}")), "h1"), ["Pictures like the boat in IMG_3"]);
    for missing in ["like:image:999", "like:region:999"] {
        assert_eq!(library.app.get(&format!("/api/v1/images?q={missing}")).status, 404, "{missing}");
        let page = library.page(&format!("/?q={missing}%20lake"));
        assert_eq!(attributes(&page, ".empty a.button", "href"), ["/?q=lake"], "{missing}");
        assert_eq!(library.app.get(&format!("/ranked?q={missing}")).status, 404, "{missing}");
    }
}

#[test]
fn pages_of_an_order_follow_each_other_and_hold_every_image_once() {
    let library = Library::new();
    let mut conn = library.conn();
    if !has_vectors(&mut conn) {
        return;
    }
    let mut expected = Vec::new();
    for number in 0..230_u32 {
        let id = library.image(number, "");
        embed(&mut conn, id, [1.0, 0.05 + number as f32 / 100.0, 0.05]);
        expected.push(id.to_string());
    }
    // Without scripts, by links; with them, by rows.
    let (mut seen, mut path) = (Vec::new(), "/?q=like:red".to_owned());
    loop {
        let page = library.page(&path);
        seen.push(attributes(&page, ".tile", "data-id"));
        if let [rows] = attributes(&page, ".pager a[rel=next]", "data-rows").as_slice() {
            let answer = library.fragment(rows);
            assert_eq!(answer.status, 200, "{rows}");
            let next = attributes(&page, ".pager a[rel=next]", "href")[0].clone();
            let tiles = attributes(&Html::parse_fragment(&answer.text()), ".tile", "data-id");
            assert_eq!(tiles, attributes(&library.page(&next), ".tile", "data-id"));
            path = next;
        } else {
            break;
        }
    }
    assert_eq!(seen.len(), 3);
    assert_eq!(seen.concat(), expected);
    assert_eq!(attributes(&library.page(&path), ".pager a[rel=prev]", "href"), ["/?q=like%3A%22red%22"]);

    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = library.app.get(&format!("/api/v1/images?q=like:red&limit=77{cursor}")).json();
        assert_eq!(answer["order"], "most_alike_first");
        assert_eq!(answer["network"], "toy@0a1b2c");
        assert_eq!(answer["not_seen"].is_null(), !cursor.is_empty());
        let images = answer["images"].as_array().unwrap();
        let scores: Vec<f64> = images.iter().map(|image| image["score"].as_f64().unwrap()).collect();
        assert!(scores.is_sorted_by(|one, next| one >= next), "{scores:?}");
        ids.extend(images.iter().map(|image| image["id"].to_string()));
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(ids, expected);
    for bad in ["alike-5-ffff", "20190803T123300-7", "alike"] {
        let answer = library.app.get(&format!("/api/v1/images?q=like:red&cursor={bad}"));
        assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("bad_filter")), "{bad}");
    }
    assert_eq!(library.app.get("/?q=like:red&offset=x").status, 400);
    assert_eq!(library.app.get("/ranked?q=lake").status, 400);
}

#[test]
fn the_viewer_follows_the_order() {
    let Some((library, ids)) = six() else { return };
    let turn = |path: &str| {
        let page = library.page(path);
        (attributes(&page, "a.turn.newer", "href"), attributes(&page, "a.turn.older", "href"), page)
    };
    let href = |at: usize, place: usize| format!("/images/{}?q=like%3A%22red%22&place={place}", ids[at]);
    let (before, after, page) = turn(&href(4, 1));
    assert_eq!((before, after), (vec![href(0, 0)], vec![href(3, 2)]));
    assert_eq!(attributes(&page, "a.turn", "aria-label"), ["More alike", "Less alike"]);
    assert_eq!(attributes(&page, "[data-act=close]", "href"), ["/?q=like%3A%22red%22"]);
    assert_eq!(attributes(&page, ".alike-links a", "href")[0], format!("/?q=like%3Aimage%3A{}", ids[4]));
    assert_eq!(turn(&href(0, 0)).0, Vec::<String>::new());
    assert_eq!(turn(&href(1, 4)).1, Vec::<String>::new());
    // From elsewhere there is no place in the order, and a place that is none does no harm.
    assert!(turn(&format!("/images/{}?q=like:red", ids[4])).0.is_empty());
    assert!(turn(&format!("/images/{}?q=like:red&place=99999999999", ids[4])).0.is_empty());
}

#[test]
fn a_search_of_texts_offers_what_pictures_show_and_shows_it_where_no_text_has_the_words() {
    let Some((library, ids)) = six() else { return };
    let page = library.page("/?q=lake");
    assert_eq!(all(&page, "#timeline .tile").len(), 3, "plain words mean texts");
    assert_eq!(attributes(&page, "main .best", "hx-get"), ["/ranked/best?q=lake"]);
    assert!(attributes(&library.page("/?q=rating:0"), ".best", "hx-get").is_empty());
    assert!(attributes(&library.page("/"), ".best", "hx-get").is_empty());
    assert!(attributes(&library.page("/?q=lake&at=2019-08-03"), ".best", "hx-get").is_empty());

    let row = Html::parse_fragment(&library.fragment("/ranked/best?q=green%20is:unrated").text());
    assert_eq!(all(&row, "h2"), ["Pictures that show “green”"]);
    assert_eq!(attributes(&row, "h2 a", "href"), ["/?q=like%3A%22green%22%20is%3Aunrated"]);
    assert!(attributes(&row, "li a", "href")[0].starts_with(&format!("/images/{}?", ids[1])));
    assert_eq!(all(&row, "p"), ["1 of 6 pictures is not looked at yet."]);

    let page = library.page("/?q=something%20red");
    assert_eq!(all(&page, ".ranked-head p")[0], "No title, keyword, place or name has “something red”.");
    assert_eq!(all(&page, "h1"), ["Pictures that show “something red”"]);
    assert_eq!(attributes(&page, "#ranked .tile", "data-id")[0], ids[0].to_string());
    assert_eq!(attributes(&page, "input[name=q]", "value"), ["something red"], "what was typed stays");
    assert_eq!(all(&page, ".chip:not(.clear) span"), ["“something”", "“red”"]);
    assert_eq!(all(&library.page("/?q=red%20year:1999"), ".empty h2"), ["No photos match"]);

    let offered = library.fragment("/search/suggest?q=red%20truck&at=9").text();
    assert_eq!(attributes(&Html::parse_fragment(&offered), "[role=option]", "data-text")[0], "like:\"red truck\"");
}

#[test]
fn without_a_network_or_without_vectors_the_answer_says_what_to_do() {
    let database = TestDatabase::new();
    let app = App::start(database.pool(), Path::new("/nowhere"));
    let answer = app.get("/?q=like:snow%20rating:5");
    assert_eq!(answer.status, 200);
    let page = Html::parse_document(&answer.text());
    assert!(all(&page, ".empty p")[0].contains("once a network that knows words and pictures is imported"));
    assert_eq!(attributes(&page, ".empty a", "href"), ["/models"]);
    assert_eq!(all(&page, ".chip:not(.clear) span").len(), 2);
    let json = app.get("/api/v1/images?q=like:snow");
    assert_eq!((json.status, json.json()["code"].as_str()), (409, Some("no_network")));
    assert_eq!(all(&Html::parse_document(&app.get("/?q=snow").text()), ".empty h2"), ["No photos match"]);

    // Nothing has been looked at yet.
    let library = Library::new();
    library.image(1, "");
    let mut conn = library.conn();
    if has_vectors(&mut conn) {
        let page = library.page("/?q=like:red");
        assert_eq!(all(&page, ".empty p"), ["toy has not looked at any of these pictures yet. It will, the newest first."]);
        assert_eq!(all(&page, ".not-seen"), ["1 of 1 pictures is not looked at yet."]);
    } else {
        let page = library.page("/?q=like:red");
        assert!(all(&page, ".empty p")[0].starts_with("Pictures cannot be compared: "));
        assert_eq!(library.app.get("/api/v1/images?q=like:red").json()["code"], "no_vectors");
    }
}

#[test]
fn an_order_is_refused_where_all_of_a_filter_is_meant() {
    let library = Library::new();
    let id = library.image(1, "lake");
    for path in [
        "/days?newest=2019-08-03&oldest=2019-08-03&q=like:red",
        "/timeline.json?q=like:red",
        "/images/ids?day=2019-08-03&q=like:red",
        "/rate?q=like:red",
        "/api/v1/export?q=like:red",
        "/api/v1/timeline?q=like:red",
        "/api/v1/facets?q=like:red",
        "/api/v1/map?q=like:red",
    ] {
        let answer = library.app.get(path);
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains("puts all pictures into an order"), "{path}: {}", answer.text());
    }
    let answer = library.app.post("/edits", "all=1&filter=q%3Dlike%3Ared&rating=5");
    assert_eq!(answer.status, 400, "{}", answer.text());
    let json = [("Content-Type", "application/json")];
    let answer = library.app.send("POST", "/api/v1/edits", &json, "{\"filter\": {\"q\": \"like:red\"}, \"set\": {\"rating\": 5}}");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(library.app.get(&format!("/api/v1/images/{id}")).json()["rating"].is_null());

    // Where it can mean nothing, it leads on or is left out.
    assert_eq!(library.app.get("/map?q=like:red").header("location"), "/?q=like%3A%22red%22");
    let folder = library.app.get(&format!("/folders/{}?q=like:red", library.folder));
    assert_eq!(folder.header("location"), format!("/?folder={}&q=like%3A%22red%22", library.folder));
    assert_eq!(attributes(&library.page("/?q=like:red%20lake"), "[data-act=rate]", "href"), ["/rate?q=lake"]);
    assert!(attributes(&library.page("/filters?q=like:red"), "select[name=type] option", "value").contains(&"jpeg".to_owned()));
}

#[test]
fn what_is_seen_in_an_image_is_drawn_listed_and_told() {
    let library = Library::new();
    let (id, other) = (library.image(1, ""), library.image(2, ""));
    let bounds = |left_px, top_px, right_px, bottom_px| BoundingBox { left_px, top_px, right_px, bottom_px };
    let bitmap: Vec<bool> = (0..400 * 300).map(|at| (100..200).contains(&(at % 400)) && (50..150).contains(&(at / 400))).collect();
    let mask = Mask::of_bitmap(400, 300, &bitmap).unwrap();
    let dog = Found { label: "<b>dog</b>".into(), score: 0.934, bounds: bounds(100.0, 50.0, 200.0, 150.0), mask: Some(mask.clone()) };
    let ball = Found { label: "ball".into(), score: 0.5, bounds: bounds(10.5, 20.0, 60.0, 70.0), mask: None };
    detect(&mut library.conn(), id, (400, 300), vec![dog, ball]);

    let answer = library.fragment(&format!("/images/{id}/regions"));
    assert_eq!(answer.status, 200);
    let html = Html::parse_fragment(&answer.text());
    assert_eq!(attributes(&html, ".drawn svg", "viewbox").len() + attributes(&html, ".drawn svg", "viewBox").len(), 1);
    assert!(answer.text().contains("viewBox=\"0 0 400 300\""));
    assert_eq!(attributes(&html, ".region path", "d"), ["M100 50L200 50L200 150L100 150Z"]);
    let corner = |name: &str| attributes(&html, ".region rect", name)[0].clone();
    assert_eq!(["x", "y", "width", "height"].map(corner), ["10.5", "20", "49.5", "50"]);
    assert_eq!(all(&html, ".regions li button"), ["<b>dog</b> 93 % finder", "ball 50 % finder"]);
    let ids = attributes(&html, ".regions li", "data-region");
    assert_eq!(attributes(&html, ".regions li a", "href")[1], format!("/?q=like%3Aregion%3A{}", ids[1]));
    assert!(!answer.text().contains("style="), "the policy of the pages takes no styles in line");

    // Without scripts it is a page of the viewer.
    let page = library.page(&format!("/images/{id}/regions?q=is:unrated"));
    assert_eq!(attributes(&page, ".viewer .box .drawn .region", "data-region").len(), 2);
    assert_eq!(all(&page, ".facts .regions h3"), ["In the picture"]);
    let empty = Html::parse_fragment(&library.fragment(&format!("/images/{other}/regions")).text());
    assert_eq!(all(&empty, ".regions h3"), ["Nothing found in the picture"]);
    assert_eq!(library.app.get("/images/999/regions").status, 404);

    let json = library.app.get(&format!("/api/v1/images/{id}/regions")).json();
    let first = &json["regions"][0];
    assert_eq!(
        (first["label"].as_str(), first["network"].as_str(), first["frame_width_px"].as_i64()),
        (Some("<b>dog</b>"), Some("finder"), Some(400))
    );
    assert_eq!(serde_json::from_value::<Mask>(first["mask"].clone()).unwrap(), mask);
    assert_eq!(first["bounds"]["right_px"], 200.0);
    assert!(json["regions"][1]["mask"].is_null());
    assert_eq!(library.app.get("/api/v1/images/999/regions").status, 404);
}
