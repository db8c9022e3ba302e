//! The pages as HTML: what each address shows as a page and as a fragment, without JavaScript, and that no name in the library can
//! become markup.

use std::collections::BTreeSet;

use diesel::{PgConnection, RunQueryDsl, sql_query, sql_types::Text};
use hm::models::{FolderId, ImageId};
use scraper::{Html, Selector};

use crate::support::{
    TestDatabase,
    http::{Answer, App},
    library::{folder, image, vault},
    temp_dir,
};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const HOSTILE: &str = "<script>alert(1)</script>\" onerror=\"alert(2)' {{x}} &lt;";

/// A server over a library, and what is in it.
struct Library {
    app: App,
    folder: FolderId,
    images: Vec<ImageId>,
    _database: TestDatabase,
    _dir: tempfile::TempDir,
}

impl Library {
    fn new(fill: impl FnOnce(&mut PgConnection, FolderId) -> Vec<ImageId>) -> Self {
        let database = TestDatabase::new();
        let dir = temp_dir();
        let mut conn = database.connection();
        let root = vault(&mut conn, "Family <NAS>", dir.path());
        let folder = folder(&mut conn, root, "2019");
        let images = fill(&mut conn, folder);
        let app = App::start(database.pool(), dir.path());
        Self { app, folder, images, _database: database, _dir: dir }
    }

    /// One image a minute, the newest last.
    fn of(count: u32) -> Self {
        Self::new(|conn, folder| {
            let at = |n: u32| format!("2019-08-{:02} {:02}:{:02}:00", 1 + n / 200, n % 200 / 60, n % 200 % 60);
            (0..count).map(|n| image(&format!("IMG_{n:04}")).at(&at(n)).picture(KEY).insert(conn, folder)).collect()
        })
    }

    fn page(&self, path: &str) -> Html {
        let answer = self.app.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        Html::parse_document(&answer.text())
    }

    fn fragment(&self, path: &str) -> Answer {
        self.app.get_with(path, &[("HX-Request", "true")])
    }
}

fn all(html: &Html, selector: &str) -> Vec<String> {
    html.select(&Selector::parse(selector).unwrap()).map(|element| element.text().collect::<String>()).collect()
}

fn attributes(html: &Html, selector: &str, name: &str) -> Vec<String> {
    html.select(&Selector::parse(selector).unwrap()).filter_map(|element| element.attr(name).map(str::to_owned)).collect()
}

#[test]
fn an_empty_library_says_how_to_fill_it() {
    let library = Library::of(0);
    let page = library.page("/");
    assert_eq!(all(&page, ".empty h2"), ["No photos yet"]);
    assert_eq!(all(&page, ".empty code"), ["hm scan /path/to/photos"]);
    let page = library.page("/?camera=Nobody%27s");
    assert_eq!(all(&page, ".empty h2"), ["No photos match"]);
    assert_eq!(attributes(&page, ".empty a", "href"), ["/"]);
    assert_eq!(all(&page, ".chip:not(.clear) span"), ["Nobody's"]);
}

#[test]
fn without_scripts_the_pages_lead_past_every_image_once_and_back() {
    let library = Library::of(310);
    let walk = |from: &str, link: &str| {
        let (mut path, mut seen) = (from.to_owned(), Vec::new());
        for _ in 0..6 {
            let page = library.page(&path);
            seen.push(attributes(&page, ".tile", "data-id"));
            match attributes(&page, &format!(".pager a[rel={link}]"), "href").pop() {
                Some(next) => path = next,
                None => return (seen, path),
            }
        }
        panic!("the pages do not end: {path}");
    };
    let newest_first: Vec<String> = library.images.iter().rev().map(|id| id.to_string()).collect();
    let (pages, last) = walk("/", "next");
    assert_eq!(pages.concat(), newest_first);
    assert!(pages.len() > 1, "one page holds all: nothing was walked");
    let (back, _) = walk(&last, "prev");
    assert_eq!(back.into_iter().rev().collect::<Vec<_>>().concat(), newest_first);
}

#[test]
fn tiles_are_links_with_words_and_a_place_that_never_changes() {
    let library = Library::of(3);
    let page = library.page("/?year=2019");
    assert_eq!(all(&page, ".day-head time"), ["Thursday, 1 August 2019"]);
    let hrefs: Vec<String> = library.images.iter().rev().map(|id| format!("/images/{id}?year=2019")).collect();
    assert_eq!(attributes(&page, ".tile > a", "href"), hrefs);
    assert_eq!(attributes(&page, ".tile img", "alt")[0], "Photo, 1 August 2019, 00:02, IMG_0002");
    assert!(attributes(&page, ".tile", "style").iter().all(|style| style.starts_with("--r:1.500")));
    assert!(attributes(&page, ".tile img", "src").iter().all(|src| src.contains(&format!("key={KEY}"))));
    assert_eq!(attributes(&page, ".pick input", "form"), ["selection"; 3]);
    assert_eq!(all(&page, "html[lang] main h1"), ["2019"]);
}

#[test]
fn a_jump_starts_at_its_day_and_nonsense_is_named() {
    let library = Library::of(310);
    let page = library.page("/?at=2019-08-01");
    assert_eq!(attributes(&page, ".day", "data-day")[0], "2019-08-01");
    assert_eq!(attributes(&page, "#timeline", "data-at"), ["2019-08-01"]);
    assert_eq!(attributes(&page, ".pager a[rel=prev]", "href").len(), 1);
    for bad in
        ["/?at=yesterday", "/?month=13", "/?after=x", "/days?newest=2019-08-01", "/days?newest=2019-08-01&oldest=2019-08-01&limit=501"]
    {
        let answer = library.app.get(bad);
        assert_eq!(answer.status, 400, "{bad}");
        assert!(all(&Html::parse_document(&answer.text()), "[role=alert] p")[0].contains("not understood"), "{bad}");
    }
}

#[test]
fn every_address_is_a_page_alone_and_a_part_of_it_for_scripts() {
    let library = Library::of(3);
    let one = library.images[1];
    let folder = library.folder;
    for (path, selector) in [
        (format!("/images/{one}"), "article.viewer"),
        ("/filters".to_owned(), "form[action=\"/\"] select"),
        ("/images/999999".to_owned(), "[role=alert]"),
        ("/folders/999999".to_owned(), "[role=alert]"),
        ("/nowhere".to_owned(), "[role=alert]"),
    ] {
        let (page, fragment) = (library.app.get(&path), library.fragment(&path));
        assert_eq!(page.status, fragment.status, "{path}");
        assert!(page.header("vary").to_ascii_lowercase().contains("hx-request"), "{path} may be mixed up by a cache");
        assert!(page.text().contains("<html") && !fragment.text().contains("<html"), "{path}");
        let count = |answer: &Answer| all(&Html::parse_document(&answer.text()), selector).len();
        assert!(count(&page) > 0 && count(&page) == count(&fragment), "{path}");
    }
    for path in ["/".to_owned(), "/folders".to_owned(), format!("/folders/{folder}"), "/filters".to_owned()] {
        let page = library.page(&path);
        assert_eq!(all(&page, "main").len(), 1, "{path}");
        assert_eq!(all(&page, "[role=status][aria-live]").len(), 1, "{path}");
        assert_eq!(attributes(&page, "a.skip", "href"), ["#content"], "{path}");
    }
    let days = library.app.get("/days?newest=2019-08-01&oldest=2019-08-01");
    assert_eq!(all(&Html::parse_fragment(&days.text()), ".tile").len(), 3);
}

#[test]
fn the_viewer_names_its_neighbours_facts_and_files() {
    let library = Library::new(|conn, folder| {
        let mut plain = |name: &str, at: &str| image(name).at(at).insert(conn, folder);
        let older = plain("OLD", "2019-08-01 08:00:00");
        let newer = plain("NEW", "2019-08-03 08:00:00");
        let middle =
            image("IMG").at("2019-08-02 08:00:00").picture(KEY).file("IMG.CR2", "cr2", "ORIGINAL").file("IMG.JPG", "jpeg", "EXPORT");
        vec![older, middle.insert(conn, folder), newer]
    });
    let [older, middle, newer] = library.images[..] else { panic!("three images") };
    let page = library.page(&format!("/images/{middle}?year=2019"));
    assert_eq!(attributes(&page, "a.turn.newer", "href"), [format!("/images/{newer}?year=2019")]);
    assert_eq!(attributes(&page, "a.turn.older", "href"), [format!("/images/{older}?year=2019")]);
    assert_eq!(attributes(&page, "[data-act=close]", "href"), ["/?year=2019&at=2019-08-02"]);
    assert_eq!(all(&page, ".files b"), ["IMG.CR2", "IMG.JPG"]);
    assert_eq!(all(&page, ".files .role"), ["ORIGINAL", "EXPORT"]);
    assert_eq!(attributes(&page, ".files input", "name"), ["file"; 2]);
    let jpeg = attributes(&page, ".files input", "value")[1].clone();
    assert_eq!(attributes(&page, ".box", "data-original"), [format!("/files/{jpeg}")]);
    assert_eq!(all(&library.page(&format!("/images/{older}")), ".lack b"), ["OLD"]);
    for (path, to) in [("/images/newest?year=2019", newer), ("/images/oldest?year=2019", older)] {
        let answer = library.app.get(path);
        assert_eq!((answer.status, answer.header("location")), (303, format!("/images/{to}?year=2019").as_str()));
    }
}

#[test]
fn no_name_in_the_library_becomes_markup() {
    let library = Library::new(|conn, parent| {
        let inner = folder(conn, parent, HOSTILE);
        let mut hostile = image(HOSTILE).picture(KEY).file(HOSTILE, "jpeg", "ORIGINAL").file("b.cr2", "cr2", "ORIGINAL");
        hostile.camera = Some(HOSTILE.to_owned());
        hostile.lens = Some(HOSTILE.to_owned());
        let with_picture = hostile.insert(conn, inner);
        let without = image(HOSTILE).insert(conn, inner);
        sql_query("UPDATE images SET title = $1, description = $1, keywords = ARRAY[$1], hierarchical_keywords = ARRAY['a|' || $1]")
            .bind::<Text, _>(HOSTILE)
            .execute(conn)
            .unwrap();
        sql_query("UPDATE files SET error = $1").bind::<Text, _>(HOSTILE).execute(conn).unwrap();
        sql_query("UPDATE vaults SET offline_since = now(), offline_reason = $1").bind::<Text, _>(HOSTILE).execute(conn).unwrap();
        let edits = [
            "INSERT INTO image_edits (image_id, field, value, base, state, outside) SELECT id, 'title', to_jsonb($1), 'null', 'conflict', to_jsonb($1 || 'x') FROM images",
            "INSERT INTO image_edits (image_id, field, value, base, state, reason) SELECT id, 'description', to_jsonb($1), 'null', 'failed', $1 FROM images",
            "INSERT INTO edits (batch_id, image_id, field, before, after, author) SELECT 1, id, 'title', 'null', to_jsonb($1), $1 FROM images",
        ];
        for edit in edits {
            sql_query(edit).bind::<Text, _>(HOSTILE).execute(conn).unwrap();
        }
        vec![with_picture, without]
    });
    let query = "camera=%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%20onerror%3D%22&q=%3Cscript%3Ealert(1)%3C/script%3E%20title:%3Cscript%3E";
    let folder = library.folder;
    let paths = [
        "/".to_owned(),
        format!("/?{query}"),
        "/folders".to_owned(),
        format!("/folders/{folder}"),
        "/filters".to_owned(),
        format!("/filters?{query}"),
        "/status".to_owned(),
        "/days?newest=2019-08-03&oldest=2019-08-03".to_owned(),
        format!("/images/{}?{query}", library.images[0]),
        format!("/images/{}", library.images[1]),
        "/search/help".to_owned(),
        format!("/searches?{query}"),
        format!("/search/suggest?at=99&{query}"),
        "/search/suggest?q=camera:%3Cs".to_owned(),
        "/search/suggest?q=tag:%3Cs".to_owned(),
        "/keywords?words=%3Cs".to_owned(),
        "/outbox".to_owned(),
        "/outbox?state=failed".to_owned(),
        format!("/images/{}/history", library.images[0]),
        "/rate".to_owned(),
        "/rate?year=2019".to_owned(),
        format!("/rate?{query}"),
    ];
    for path in &paths {
        let page = library.page(path);
        let scripts: BTreeSet<String> = attributes(&page, "script", "src").into_iter().collect();
        assert!(scripts.iter().all(|src| src.starts_with("/static/")), "{path}: {scripts:?}");
        assert_eq!(all(&page, "script").concat().trim(), "", "{path} has a script of its own");
        let everything = Selector::parse("*").unwrap();
        for element in page.select(&everything) {
            let handler = element.value().attrs().find(|(name, _)| name.starts_with("on"));
            assert_eq!(handler, None, "{path}: {}", element.html());
        }
    }
    assert_eq!(attributes(&library.page("/"), ".tile", "data-name"), [HOSTILE, HOSTILE]);
    let outbox = library.page("/outbox");
    assert_eq!(all(&outbox, ".conflict .value")[..2], [HOSTILE.to_owned(), format!("{HOSTILE}x")]);
    assert!(all(&library.page(&format!("/images/{}/history", library.images[0])), ".entries p").concat().contains(HOSTILE));
    let page = library.page(&format!("/images/{}", library.images[0]));
    assert_eq!(
        (attributes(&page, ".facts .title", "value"), all(&page, ".facts .description").concat().trim().to_owned()),
        (vec![HOSTILE.to_owned()], HOSTILE.to_owned())
    );
    assert!(all(&page, ".files b").contains(&HOSTILE.to_owned()));
    assert_eq!(all(&library.page(&format!("/folders/{folder}")), ".folder h3"), [HOSTILE]);
    assert!(attributes(&library.page("/filters"), "option", "value").contains(&HOSTILE.to_owned()));
}

#[test]
fn folders_lead_down_and_up_and_show_what_lies_below() {
    let library = Library::new(|conn, parent| {
        let inner = folder(conn, parent, "Lake");
        vec![image("A").picture(KEY).insert(conn, parent), image("B").picture(KEY).insert(conn, inner)]
    });
    let roots = library.page("/folders");
    assert_eq!(all(&roots, ".folder h3"), ["Family <NAS>"]);
    assert!(all(&roots, ".folder p")[0].starts_with("2 photos"));
    let folder = library.folder;
    let page = library.page(&format!("/folders/{folder}"));
    assert_eq!((all(&page, "h1"), all(&page, ".folder h3")), (vec!["2019".to_owned()], vec!["Lake".to_owned()]));
    assert_eq!(attributes(&page, ".tile", "data-name").into_iter().collect::<BTreeSet<_>>(), ["A", "B"].map(str::to_owned).into());
    assert_eq!(attributes(&page, "#timeline", "data-query"), [format!("folder={folder}")]);
    let lake = attributes(&page, ".folder a", "href").pop().unwrap();
    let page = library.page(&lake);
    assert_eq!(attributes(&page, ".tile", "data-name"), ["B"]);
    assert!(attributes(&page, ".crumbs a", "href").contains(&format!("/folders/{folder}")));
}

#[test]
fn headers_count_the_whole_day_also_where_a_page_cuts_it() {
    let library = Library::of(310);
    let first = library.page("/");
    assert_eq!(all(&first, ".day-head .count"), ["110 photos", "200 photos"]);
    let next = attributes(&first, ".pager [rel=next]", "href").pop().unwrap();
    assert_eq!(all(&library.page(&next), ".day-head .count"), ["200 photos"]);
    assert_eq!(all(&library.page("/?q=img%200001"), ".day-head .count"), ["1 photo"]);
    assert_eq!(attributes(&library.page("/?q=img%200001"), ".day", "style"), ["--sum:1.500;--n:1"]);
}

#[test]
fn folders_are_chosen_in_the_form_within_the_other_filters() {
    let library = Library::new(|conn, parent| {
        let lake = folder(conn, parent, "Lake 100%_");
        let inner = folder(conn, lake, "Boats");
        let far = folder(conn, parent, "Far");
        let at = |name: &str, at: &str| image(name).at(at);
        vec![
            at("A", "2019-08-03 10:00:00").insert(conn, lake),
            at("B", "2019-08-03 10:00:00").insert(conn, inner),
            at("C", "2018-08-03 10:00:00").insert(conn, far),
        ]
    });
    let options = |path: &str| {
        let answer = library.fragment(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        // Options stand alone only inside a select.
        all(&Html::parse_document(&format!("<select>{}</select>", answer.text())), "option")
    };
    let page = library.page("/filters");
    let offered = all(&page, "select[name=folder] option");
    let root = "Family <NAS>";
    assert_eq!(offered[..3], ["All folders".to_owned(), format!("{root} (3)"), format!("{root}/2019 (3)")]);
    assert_eq!(offered.len(), 6);
    assert_eq!(options("/filters/folders?year=2018").len(), 3, "folders without an image of the filter are offered");
    assert_eq!(
        options("/filters/folders?words=lake"),
        [format!("{root}/2019/Lake 100%_ (2)"), format!("{root}/2019/Lake 100%_/Boats (1)")]
    );
    assert_eq!(options("/filters/folders?words=LAKE+boat+nas").len(), 1);
    assert_eq!(options("/filters/folders?words=0%25_").len(), 2, "% and _ are letters like others");
    assert!(options("/filters/folders?words=nowhere").is_empty());
    let far = library.folder.0 + 3;
    assert_eq!(options(&format!("/filters/folders?words=lake&folder={far}"))[0], format!("{root}/2019/Far"), "the chosen one is gone");
    let chosen = library.page(&format!("/filters?folder={far}"));
    assert_eq!(all(&chosen, "select[name=folder] option[selected]"), [format!("{root}/2019/Far (1)")]);
    let gallery = library.page(&format!("/?folder={far}&year=2018"));
    assert_eq!(all(&gallery, ".chip:not(.clear) span"), ["2018".to_owned(), format!("Folder {root}/2019/Far")]);
    assert_eq!(attributes(&gallery, ".chip:not(.clear)", "href")[1], "/?year=2018");
}

#[test]
fn the_timeline_counts_every_day_and_marks_cut_a_long_one() {
    let library = Library::of(310);
    let timeline = library.app.get("/timeline.json").json();
    // 2019-08-02 and 2019-08-01, as days since 1970 and one day further back.
    assert_eq!(timeline, serde_json::json!({ "days": [[-18110, 110, 165_000], [1, 200, 300_000]] }));
    let marks = library.app.get("/days/marks?day=2019-08-01&every=80").json();
    let marks: Vec<&str> = marks.as_array().unwrap().iter().map(|mark| mark.as_str().unwrap()).collect();
    assert_eq!(marks.len(), 2);
    let piece = |after: &str| {
        let path = format!("/days?newest=2019-08-01&oldest=2019-08-01&limit=80&after={after}");
        attributes(&Html::parse_fragment(&library.app.get(&path).text()), ".tile", "data-id")
    };
    let pieces = [piece(""), piece(marks[0]), piece(marks[1])];
    let expected: Vec<String> = library.images[..200].iter().rev().map(|id| id.to_string()).collect();
    assert_eq!(pieces.each_ref().map(Vec::len), [80, 80, 40]);
    assert_eq!(pieces.concat(), expected);
}

#[test]
fn what_a_page_loads_is_there_and_kept_for_good() {
    let library = Library::of(1);
    let page = library.page("/");
    let mut addresses = attributes(&page, "link[rel=stylesheet], link[rel=icon]", "href");
    addresses.extend(attributes(&page, "script[src]", "src"));
    assert!(addresses.len() >= 6, "{addresses:?}");
    for address in addresses {
        let answer = library.app.get(&address);
        assert_eq!(answer.status, 200, "{address}");
        assert!(answer.header("cache-control").contains("immutable"), "{address}");
    }
    let stale = library.app.get("/static/0000000000000000/hm.js");
    assert_eq!((stale.status, stale.header("cache-control")), (200, "no-cache"));
    assert_eq!(library.app.get("/static/0000000000000000/..%2fCargo.toml").status, 404);
}

#[test]
fn a_search_is_completed_in_place_with_counts() {
    let library = Library::new(|conn, folder| {
        let mut first = image("IMG_1").picture(KEY);
        (first.camera, first.rating) = (Some("Canon EOS R5".to_owned()), Some(4));
        let mut second = image("lake");
        second.camera = Some("Canon EOS R6".to_owned());
        vec![first.insert(conn, folder), second.insert(conn, folder)]
    });
    let suggest = |query: &str| Html::parse_fragment(&library.fragment(&format!("/search/suggest?{query}")).text());
    let found = suggest("q=camera:canon&at=12");
    assert_eq!(attributes(&found, "[role=option]", "data-text"), ["camera:\"Canon EOS R5\" ", "camera:\"Canon EOS R6\" "]);
    assert_eq!(all(&found, "[role=option] span"), ["1", "1"]);
    assert_eq!(attributes(&found, "[role=option]", "data-cursor"), ["22", "22"]);
    let found = suggest("q=rating:4%20camera:canon&at=99");
    assert_eq!(all(&found, "[role=option] b"), ["\"Canon EOS R5\""]);
    let found = suggest("q=camera:canon&at=99&rating=4");
    assert_eq!(all(&found, "[role=option] b"), ["\"Canon EOS R5\""], "the other filters narrow too");
    let found = suggest("q=&at=0");
    assert!(all(&found, "[role=option] b").contains(&"date:".to_owned()));
    assert!(attributes(&found, ".foot a", "href").contains(&"/search/help".to_owned()));
    let found = suggest("q=ratng:4&at=3");
    assert_eq!(all(&found, ".trouble pre")[0].trim_end(), "ratng:4\n^^^^^");
    assert_eq!(attributes(&found, ".trouble a", "href"), ["/?q=rating%3A4"]);
}

#[test]
fn a_search_that_is_not_understood_is_shown_with_a_caret_and_stays_in_the_box() {
    let library = Library::of(3);
    let answer = library.app.get("/?q=lake%20is:unratd");
    assert_eq!(answer.status, 400);
    let page = Html::parse_document(&answer.text());
    assert_eq!(attributes(&page, "#search", "value"), ["lake is:unratd"]);
    assert_eq!(all(&page, ".trouble pre")[0].trim_end(), "lake is:unratd\n        ^^^^^^");
    assert!(all(&page, "[role=alert] p")[0].contains("not understood at column 9"));
    assert_eq!(attributes(&page, ".trouble a", "href"), ["/?q=lake%20is%3Aunrated"]);
    assert!(attributes(&page, "[role=alert] a", "href").contains(&"/search/help".to_owned()));
    let hostile = library.app.get("/?q=%3Cscript%3Ealert(1)%3C/script%3E%20%22%3E%3Cimg%20src=x");
    assert_eq!(hostile.status, 400);
    let page = Html::parse_document(&hostile.text());
    assert!(all(&page, "script").concat().trim().is_empty() && all(&page, "main img").is_empty());
    assert_eq!(attributes(&page, "#search", "value"), ["<script>alert(1)</script> \"><img src=x"]);
}

#[test]
fn the_page_of_the_language_shows_every_key_and_its_examples_work() {
    let library = Library::of(3);
    let page = library.page("/search/help");
    let links: BTreeSet<String> = attributes(&page, ".search-help dt a", "href").into_iter().collect();
    assert!(links.len() > 50, "{}", links.len());
    for href in links {
        assert_eq!(library.app.get(&href).status, 200, "{href}");
    }
    let text = all(&page, ".search-help").concat();
    for key in hm::models::query::KEYS {
        assert!(text.contains(&format!("{}:", key.key)), "{}", key.key);
    }
}

#[test]
fn searches_are_saved_renamed_and_forgotten_by_forms() {
    let library = Library::of(3);
    let saved = || -> Vec<(String, String)> {
        let page = library.page("/searches");
        all(&page, ".searches li > a b").into_iter().zip(attributes(&page, ".searches li > a", "href")).collect()
    };
    assert!(saved().is_empty());
    let form = library.page("/searches?year=2019&rating=3&q=img");
    assert_eq!(attributes(&form, ".save input[name=q]", "value"), ["year:2019 rating:>=3 img"]);
    let answer = library.app.post("/searches", "name=+Best+of+%C3%A9t%C3%A9+&q=year:2019++rating:%3E%3D3");
    assert_eq!((answer.status, answer.header("location")), (303, "/searches"));
    assert_eq!(saved(), [("Best of été".to_owned(), "/?q=year%3A2019%20rating%3A%3E%3D3".to_owned())]);
    library.app.post("/searches", "name=BEST+OF+ETE&q=img");
    library.app.post("/searches", "name=Second&q=lake");
    assert_eq!(saved().len(), 2, "the same name takes the new query");
    let page = library.page("/filters");
    assert_eq!(all(&page, ".saved .chip"), ["BEST OF ETE", "Second"]);
    let found = Html::parse_fragment(&library.fragment("/search/suggest?q=best&at=4").text());
    assert_eq!(attributes(&found, "[role=option]", "data-text")[0], "img");
    let rename = attributes(&library.page("/searches"), ".searches details form", "action");
    assert_eq!(library.app.post(&rename[0], "name=second").status, 409);
    assert_eq!(library.app.post(&rename[0], "name=First").status, 303);
    assert_eq!(library.app.post(&rename[0], "name=+").status, 400);
    assert_eq!(saved()[0].0, "First");
    assert_eq!(library.app.post(&rename[1], "").status, 303);
    assert_eq!(library.app.post(&rename[1], "").status, 404);
    assert_eq!(saved().len(), 1);
    assert_eq!(library.app.post("/searches", "name=x&q=ratng:3").status, 400);
    assert_eq!(library.app.post("/searches", "name=x&q=").status, 400);
}

#[test]
fn a_rating_run_shows_moments_of_what_has_no_stars() {
    let library = Library::new(|conn, folder| {
        let mut taken = |name: &str, at: &str| image(name).at(at).picture(KEY).insert(conn, folder);
        let all = vec![
            taken("A", "2019-08-03 12:00:00"),
            taken("B", "2019-08-03 12:00:01"),
            taken("C", "2019-08-03 12:00:02"),
            taken("D", "2019-08-04 12:00:00"),
            taken("E", "2019-08-05 12:00:00"),
        ];
        sql_query("UPDATE images SET rating = 3 WHERE base_name = 'E'").execute(conn).unwrap();
        all
    });
    let moments = |path: &str| {
        let page = Html::parse_fragment(&library.app.get_with(path, &[("HX-Request", "true")]).text());
        let (item, shot) = (Selector::parse(".moments > li").unwrap(), Selector::parse(".shot").unwrap());
        page.select(&item)
            .map(|item| item.select(&shot).map(|shot| shot.value().attr("data-name").unwrap().to_owned()).collect::<String>())
            .collect::<Vec<_>>()
    };
    assert_eq!(moments("/rate/moments?year=2019"), ["ABC", "D"]);
    assert_eq!(moments("/rate/moments?year=2019&order=newest"), ["D", "CBA"]);
    assert_eq!(moments("/rate/moments?year=2019&rated=1"), ["E"]);
    assert_eq!(moments("/rate/moments?q=date:2019-08-03"), ["ABC"]);
    let page = library.page("/rate?year=2019");
    assert_eq!(attributes(&page, ".rating-run", "data-count"), ["4"]);
    let choice = library.page("/rate");
    assert_eq!(attributes(&choice, ".rate-choice ol a", "href"), ["/rate?year=2019&month=8"]);
    assert_eq!(library.app.get("/rate?order=best").status, 400);
    assert_eq!(library.app.get("/rate/moments?after=x").status, 400);
}
