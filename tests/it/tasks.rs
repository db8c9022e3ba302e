//! What networks do, as a page, in the strip, as JSON and as metrics: over a real queue and a real database.

use diesel::{PgConnection, RunQueryDsl, sql_query};
use hm::{
    db::networks::{NetworkCard, register},
    models::{
        ImageId, NetworkId, PictureKey, PictureSize,
        task::{Lane, Priority, Task, WIRE_VERSION},
    },
    queue::{LaneOffer, Queue, WorkerCard},
    web::api::document,
};
use scraper::{Html, Selector};
use serde_json::{Value, json};

use crate::{
    api::check,
    support::{
        TestDatabase,
        http::{Answer, App},
        library::{folder, image, vault},
        redis_url, temp_dir,
    },
};

pub(crate) const EMBED: &str = "embed/clip-vit-b-32@0a1b2c3d4e5f";
const DETECT: &str = "detect/yolo11n@00ff00ff00ff";
const HOSTILE: &str = "cannot <b>read</b> \"it\" & more\nhint: look again";

/// A library of 40 images of which two networks have seen some, with a lane each, one worker, and failures.
pub(crate) struct Workshop {
    pub(crate) database: TestDatabase,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) space: String,
    pub(crate) images: Vec<ImageId>,
    pub(crate) networks: [NetworkId; 2],
}

fn key(number: usize) -> String {
    format!("{number:032x}")
}

fn lane(name: &str) -> Lane {
    name.parse().unwrap()
}

/// Runs a piece of the queue's work, on a thread of its own: the browser's tests are within a runtime already.
pub(crate) fn with_queue<T: Send>(space: &str, work: impl AsyncFnOnce(Queue) -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { work(Queue::connect(&redis_url()).await.unwrap().within(space)).await })
        });
        thread.join().unwrap()
    })
}

/// Writes that a network has answered for images, or why it has not.
fn answered(conn: &mut PgConnection, network: NetworkId, images: &[ImageId], error: Option<&str>) {
    for id in images {
        sql_query(format!(
            "INSERT INTO image_results (network_id, image_id, picture_key, error, attempts) \
             SELECT {network}, id, picture_key, {}, 5 FROM images WHERE id = {id}",
            error.map_or("NULL".to_owned(), |error| format!("'{}'", error.replace('\'', "''")))
        ))
        .execute(conn)
        .unwrap();
    }
}

impl Workshop {
    pub(crate) fn new() -> Self {
        let (database, dir) = (TestDatabase::new(), temp_dir());
        let mut conn = database.connection();
        let root = vault(&mut conn, "photos", dir.path());
        let summer = folder(&mut conn, root, "summer");
        let images: Vec<ImageId> = (0..40)
            .map(|number| {
                let at = format!("2019-08-{:02} 12:00:00", 1 + number % 30);
                image(&format!("IMG_{number:02}")).at(&at).picture(&key(number)).insert(&mut conn, summer)
            })
            .collect();
        sql_query("INSERT INTO pictures (image_id, key, source) SELECT id, picture_key, 'full' FROM images").execute(&mut conn).unwrap();
        let mut card = |name: &str, family: &str, title: &str| {
            let card = NetworkCard { lane: lane(name), family: family.into(), title: title.into(), dimensions: None };
            register(&mut conn, &card).unwrap()
        };
        let networks = [card(EMBED, "clip", "CLIP ViT-B/32"), card(DETECT, "yolo11", "YOLO11n")];
        answered(&mut conn, networks[0], &images[..12], None);
        answered(&mut conn, networks[0], &images[12..15], Some("no memory"));
        answered(&mut conn, networks[0], &images[15..16], Some(HOSTILE));
        answered(&mut conn, networks[1], &images, None);
        let space = format!("tasks-{}-{:016x}", std::process::id(), rand::random::<u64>());
        let this = Self { database, dir, space, images, networks };
        with_queue(&this.space, async |queue| {
            let offer = |name: &str| LaneOffer { lane: lane(name), facts: json!({}) };
            queue.offer_lanes(&[offer(EMBED), offer(DETECT)]).await.unwrap();
            let task = |number: usize, priority| Task {
                lane: lane(EMBED),
                image: this.images[number],
                picture: key(number).parse().unwrap(),
                priority,
                attempt: 0,
            };
            let tasks: Vec<Task> = (16..30)
                .map(|number| task(number, if number < 18 { Priority::Screen } else { Priority::New }))
                .chain([task(30, Priority::Backlog)])
                .collect();
            assert_eq!(queue.enqueue(&tasks).await.unwrap(), 15);
            queue.heartbeat(&worker("attic-1"), &[]).await.unwrap();
            assert_eq!(queue.claim("attic-1", &[lane(EMBED)], 1, std::time::Duration::ZERO).await.unwrap().len(), 1);
        });
        this
    }

    pub(crate) fn serve(&self) -> App {
        App::start_with_queue(self.database.pool(), self.dir.path(), Some(&self.space))
    }

    /// A thumbnail of each image, where the server looks for it.
    pub(crate) fn paint(&self) {
        for number in 0..self.images.len() {
            let key: PictureKey = key(number).parse().unwrap();
            let rgb: Vec<u8> = (0..64 * 48).flat_map(|place| [(number * 6) as u8, (place % 64 * 3) as u8, 120]).collect();
            let path = self.dir.path().join(key.relative_path(PictureSize::Thumbnail));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &*webp::Encoder::from_rgb(&rgb, 64, 48).encode(80.0)).unwrap();
        }
    }

    pub(crate) fn is_paused(&self, name: &str) -> bool {
        with_queue(&self.space, async |queue| queue.lanes().await.unwrap().iter().any(|view| view.lane == lane(name) && view.is_paused))
    }

    pub(crate) fn failed(&self) -> i64 {
        hm::db::networks::list(&mut self.database.connection()).unwrap().iter().map(|network| network.failed).sum()
    }
}

/// What a worker with a graphics card says of itself.
fn worker(id: &str) -> WorkerCard {
    WorkerCard {
        id: id.into(),
        name: "attic".into(),
        host: "attic-pc".into(),
        device: "NVIDIA <RTX> 4090".into(),
        memory_bytes: Some(24 << 30),
        batch_size: 32,
        busy_percent: None,
        program: "0.1.0".into(),
        wire_version: WIRE_VERSION,
        lanes: vec![lane(EMBED)],
    }
}

fn page(answer: &Answer) -> Html {
    assert_eq!(answer.status, 200, "{}", answer.text());
    Html::parse_document(&answer.text())
}

fn all(html: &Html, selector: &str) -> Vec<String> {
    html.select(&Selector::parse(selector).unwrap())
        .map(|element| element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn attributes(html: &Html, selector: &str, name: &str) -> Vec<String> {
    html.select(&Selector::parse(selector).unwrap()).filter_map(|element| element.attr(name).map(str::to_owned)).collect()
}

const FORM: [(&str, &str); 1] = [("Content-Type", "application/x-www-form-urlencoded")];

#[test]
fn the_page_shows_lanes_workers_and_failures() {
    let workshop = Workshop::new();
    let app = workshop.serve();
    let html = page(&app.get("/tasks"));
    assert_eq!(all(&html, ".lane h3"), ["Search by words, and what is alike", "What is where in a photo"]);
    assert_eq!(all(&html, ".lane header .quiet"), ["CLIP ViT-B/32, 0a1b2c3d4e5f", "YOLO11n, 00ff00ff00ff"]);
    assert_eq!(all(&html, ".lane:first-child dd"), ["23", "1", "12", "4"], "waiting, running, done, failed");
    assert_eq!(all(&html, ".lane:last-child dd"), ["0", "0", "40", "0"]);
    assert_eq!(all(&html, ".lane:first-child .order b"), ["1", "12", "1"], "the one that was claimed is gone");
    assert_eq!(attributes(&html, ".lane progress", "value"), ["40", "100"]);
    assert_eq!(all(&html, ".lane:last-child .note"), [""; 0], "it is done: nobody is needed");
    assert_eq!(all(&html, ".workers h3"), ["attic on attic-pc"]);
    assert_eq!(all(&html, ".workers dd")[..3], ["24.0 GiB", "32 photos", "1"]);
    assert!(all(&html, ".workers li > .quiet").contains(&"NVIDIA <RTX> 4090".to_owned()));
    // By reason, the one of most images first, each image with its picture and a link.
    assert_eq!(all(&html, ".failures .error"), ["no memory", &HOSTILE.replace('\n', " ")]);
    assert_eq!(all(&html, ".failures > li:first-child header .quiet"), ["3 photos · Search by words, and what is alike: CLIP ViT-B/32"]);
    let links = attributes(&html, ".failures > li:first-child .picture", "href");
    assert_eq!(links, workshop.images[12..15].iter().map(|id| format!("/images/{id}")).collect::<Vec<_>>());
    assert_eq!(
        attributes(&html, ".failures > li:last-child img", "src"),
        [format!("/pictures/{}/thumbnail?key={}&wait=0", workshop.images[15], key(15))]
    );
    // What renews itself is one piece, and is asked for as one.
    assert!(attributes(&html, "#tasks", "hx-trigger")[0].starts_with("every "));
    let live = app.get_with("/tasks", &[("HX-Request", "true")]).text();
    assert!(live.trim_start().starts_with("<div id=\"tasks\"") && !live.contains("<html"), "{live}");
    // Failures that the page shows are not drawn anew.
    let address = attributes(&html, "#tasks", "hx-get").remove(0);
    let unchanged = app.get_with(&address, &[("HX-Request", "true")]).text();
    assert!(live.contains("hx-swap-oob") && unchanged.contains("id=\"tasks\"") && !unchanged.contains("id=\"failed\""), "{unchanged}");
    // Ids are unique, so that the focus finds back.
    let mut ids = attributes(&html, "[id]", "id");
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn buttons_stop_a_lane_and_try_again_with_and_without_script() {
    let workshop = Workshop::new();
    let app = workshop.serve();
    let paused = app.post("/tasks/pause", &format!("lane={EMBED}"));
    assert_eq!((paused.status, paused.header("location")), (303, "/tasks"));
    assert!(workshop.is_paused(EMBED) && !workshop.is_paused(DETECT));
    let html = page(&app.get("/tasks"));
    assert_eq!(attributes(&html, ".lane.is-paused form", "action"), ["/tasks/resume"]);
    assert!(all(&html, ".lane.is-paused .how")[0].contains("paused"));
    // With script the answer is the piece that changed, and words for a moment.
    let headers = [FORM[0], ("HX-Request", "true")];
    let resumed = app.send("POST", "/tasks/resume", &headers, &format!("lane={EMBED}"));
    assert_eq!((resumed.status, resumed.header("hx-trigger")), (200, "{\"hm-said\":\"Resumed.\"}"));
    assert!(resumed.text().contains("/tasks/pause") && !workshop.is_paused(EMBED));

    // One image, one reason, all.
    let network = workshop.networks[0];
    let one = app.send("POST", "/tasks/retry", &headers, &format!("network={network}&image={}", workshop.images[13]));
    assert_eq!((one.status, workshop.failed()), (200, 3), "{}", one.text());
    assert!(one.header("hx-trigger").contains("1 photo will"), "{}", one.header("hx-trigger"));
    assert_eq!(app.post("/tasks/retry", &format!("network={network}&error=no+memory")).status, 303);
    assert_eq!(workshop.failed(), 1);
    let two_lines = "cannot+%3Cb%3Eread%3C%2Fb%3E+%22it%22+%26+more%0D%0Ahint%3A+look+again";
    assert_eq!(app.post("/tasks/retry", &format!("network={network}&error={two_lines}")).status, 303);
    assert_eq!(workshop.failed(), 0);
    answered(&mut workshop.database.connection(), network, &workshop.images[30..31], Some("late"));
    assert_eq!((workshop.failed(), app.post("/tasks/retry", "").status, workshop.failed()), (1, 303, 0));
    let html = page(&app.get("/tasks"));
    assert_eq!(all(&html, ".lane:first-child dd"), ["27", "1", "12", "0"], "they lack an answer again");
    assert!(all(&html, ".failures").is_empty());

    for (path, form, status) in [
        ("/tasks/pause", "lane=nonsense", 400),
        ("/tasks/pause", "", 400),
        ("/tasks/pause", "lane=embed/other@1", 404),
        ("/tasks/retry", "network=x", 400),
        ("/tasks/retry", "image=1", 400),
        ("/tasks/retry", "network=1&image=1&error=x", 400),
        ("/tasks/first", "q=", 400),
        ("/tasks/first", "q=rating:oops", 400),
    ] {
        assert_eq!(app.post(path, form).status, status, "{path} {form}");
    }
}

#[test]
fn photos_of_a_search_are_put_first() {
    let workshop = Workshop::new();
    let app = workshop.serve();
    let headers = [FORM[0], ("HX-Request", "true")];
    let first = app.send("POST", "/tasks/first", &headers, "q=date:2019-08-03..2019-08-05");
    assert_eq!((first.status, first.header("hx-trigger")), (200, "{\"hm-said\":\"6 photos come first.\"}"), "{}", first.text());
    let wanted = with_queue(&workshop.space, async |queue| queue.take_wanted_findings(100).await.unwrap());
    let expected: Vec<ImageId> = [34, 4, 33, 3, 32, 2].map(|number: usize| workshop.images[number]).into();
    assert_eq!(wanted, expected, "the newest of them first");
    let none = app.send("POST", "/tasks/first", &headers, "q=rating:5");
    assert!(none.header("hx-trigger").contains("No photo"));
}

#[test]
fn the_api_and_the_metrics_have_the_same_numbers() {
    let workshop = Workshop::new();
    let app = workshop.serve();
    let all = serde_json::to_value(document()).unwrap();
    let list = app.get("/api/v1/tasks").json();
    check(&list, &json!({ "$ref": "#/components/schemas/TaskList" }), &all, "tasks");
    let numbers = |lane: &Value| ["waiting", "running", "done", "failed"].map(|name| lane[name].as_i64().unwrap());
    assert_eq!(numbers(&list["lanes"][0]), [23, 1, 12, 4]);
    assert_eq!(list["lanes"][0]["lane"], EMBED);
    assert_eq!(list["lanes"][0]["queued"], json!({ "screen": 1, "new": 12, "backlog": 1, "delayed": 0 }));
    assert_eq!((list["workers"][0]["device"].as_str(), list["workers"][0]["batch_size"].as_i64()), (Some("NVIDIA <RTX> 4090"), Some(32)));
    assert_eq!(list["failures"][0]["count"], 3);

    let metrics = app.get("/metrics").text();
    for line in [
        format!("hm_tasks_waiting{{lane=\"{EMBED}\"}} 23"),
        format!("hm_tasks_running{{lane=\"{EMBED}\"}} 1"),
        format!("hm_tasks_done{{lane=\"{DETECT}\"}} 40"),
        format!("hm_tasks_failed{{lane=\"{EMBED}\"}} 4"),
        format!("hm_tasks_queued{{lane=\"{EMBED}\",priority=\"new\"}} 12"),
        format!("hm_lane_paused{{lane=\"{EMBED}\"}} 0"),
        format!("hm_lane_workers{{lane=\"{EMBED}\"}} 1"),
        "hm_worker_batch_size{worker=\"attic-1\",host=\"attic-pc\",device=\"NVIDIA <RTX> 4090\"} 32".to_owned(),
        "hm_worker_memory_bytes{worker=\"attic-1\",host=\"attic-pc\",device=\"NVIDIA <RTX> 4090\"} 25769803776".to_owned(),
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in {metrics}");
    }
    // Every line is one that Prometheus reads.
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
    }

    let post = |path: &str, body: Value| app.send("POST", path, &[("Content-Type", "application/json")], &body.to_string());
    let paused = post("/api/v1/tasks/pause", json!({ "lane": EMBED }));
    assert_eq!((paused.status, paused.json()), (200, json!({ "lane": EMBED, "is_paused": true })));
    assert!(workshop.is_paused(EMBED));
    assert_eq!(app.get("/api/v1/tasks").json()["lanes"][0]["is_paused"], true);
    assert_eq!(post("/api/v1/tasks/resume", json!({ "lane": EMBED })).status, 200);
    assert!(!workshop.is_paused(EMBED));
    assert_eq!(post("/api/v1/tasks/pause", json!({ "lane": "embed/other@1" })).status, 404);
    assert_eq!(post("/api/v1/tasks/pause", json!({})).status, 400);
    assert_eq!(post("/api/v1/tasks/retry", json!({ "network": 1, "error": 3 })).status, 400);
    assert_eq!(post("/api/v1/tasks/retry", json!({ "network": workshop.networks[0].0, "error": HOSTILE })).json(), json!({ "images": 1 }));
    assert_eq!(post("/api/v1/tasks/retry", json!({})).json(), json!({ "images": 3 }));
    assert_eq!(workshop.failed(), 0);
}

#[test]
fn the_strip_has_one_quiet_line_while_a_lane_works() {
    let workshop = Workshop::new();
    let app = workshop.serve();
    let strip = page(&app.get("/status"));
    assert_eq!(all(&strip, ".strip"), ["Looking at pictures16 of 40"]);
    assert_eq!(attributes(&strip, ".strip a", "href"), ["/tasks"]);
    // The gallery looks for new photos only while some are being found.
    assert!(attributes(&strip, ".turning", "class").is_empty());
    app.post("/tasks/pause", &format!("lane={EMBED}"));
    assert!(all(&page(&app.get("/status")), ".strip").is_empty(), "a lane that is stopped is no news");
}

#[test]
fn without_networks_or_queue_the_page_says_what_to_do() {
    let (database, dir) = (TestDatabase::new(), temp_dir());
    let space = format!("tasks-{}-{:016x}", std::process::id(), rand::random::<u64>());
    let app = App::start_with_queue(database.pool(), dir.path(), Some(&space));
    let html = page(&app.get("/tasks"));
    assert_eq!(attributes(&html, ".empty .button", "href"), ["/models"]);
    let codes = all(&html, "code");
    assert!(codes.contains(&"hm work".to_owned()) && codes.contains(&"hm worker invite".to_owned()), "{codes:?}");
    assert!(all(&html, ".first").is_empty(), "there is nothing to put in order");
    let workshop = Workshop::new();
    let bare = App::start(workshop.database.pool(), workshop.dir.path());
    let html = page(&bare.get("/tasks"));
    assert!(all(&html, "[role=alert]")[0].contains("without a queue"));
    assert_eq!(all(&html, ".lane:first-child dd"), ["24", "0", "12", "4"], "what the database knows is told");
    assert_eq!(bare.post("/tasks/pause", &format!("lane={EMBED}")).status, 503);
    assert_eq!(bare.get("/status").status, 200);
}
