//! What networks found that are not in use: told, and removed on demand, never otherwise.

use std::process::Command;

use diesel::{QueryableByName, RunQueryDsl, sql_query, sql_types::BigInt};
use hm::{
    db::{
        networks::{self, NetworkCard},
        results::record,
    },
    models::{
        ImageId,
        task::{Answer, Found, Lane, Outcome, Priority, Task, TaskKind},
        vision::BoundingBox,
    },
    queue::{LaneOffer, Queue},
};

use super::{Home, Said, text};
use crate::support::{
    TestDatabase, has_vectors,
    library::{picture_key, pictured, vault},
    networks as weights, redis_url,
};

/// A home with a library.
struct Library {
    home: Home,
    database: TestDatabase,
    images: Vec<ImageId>,
}

impl Library {
    fn new() -> Self {
        let database = TestDatabase::new();
        let conn = &mut database.connection();
        let root = vault(conn, "photos", "/nowhere".as_ref());
        let images = pictured(conn, root, 3);
        Self { home: Home::new(), database, images }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command(arguments);
        command.env("HM_DATABASE_URL", self.database.url()).env("HM_REDIS_URL", redis_url());
        command
    }

    fn hm(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().unwrap())
    }

    /// A network says something about every image.
    fn answer(&self, lane: &Lane) {
        let conn = &mut self.database.connection();
        let card = NetworkCard { lane: lane.clone(), family: "yolov8".to_owned(), title: "Some network".to_owned(), dimensions: None };
        networks::register(conn, &card).unwrap();
        let outcome = |image: &ImageId| {
            let bounds = BoundingBox { left_px: 1.0, top_px: 1.0, right_px: 4.0, bottom_px: 4.0 };
            let found = |label: &str| Found { label: label.to_owned(), score: 0.5, bounds, mask: None };
            let answer = match lane.kind {
                TaskKind::Embed => Answer::Embedding { vector: vec![0.6, 0.8] },
                TaskKind::Detect => Answer::Regions { width_px: 8, height_px: 8, regions: vec![found("dog"), found("cat")] },
            };
            let task = Task { lane: lane.clone(), image: *image, picture: picture_key(image.0), priority: Priority::New, attempt: 0 };
            Outcome { task, worker: "test".to_owned(), took_ms: 1.0, answer: Ok(answer) }
        };
        let recorded = record(conn, &self.images.iter().map(outcome).collect::<Vec<_>>()).unwrap();
        assert_eq!(recorded.answered, self.images.len());
    }

    fn count(&self, sql: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        sql_query(format!("SELECT count(*) AS count FROM {sql}")).get_result::<Row>(&mut self.database.connection()).unwrap().count
    }
}

#[test]
fn results_of_networks_that_are_gone_are_listed_and_forgotten_when_asked() {
    let library = Library::new();
    let things = |version: &str| -> Lane { format!("detect/things@{version}").parse().unwrap() };
    library.hm(&["list"]).succeeds().says("No networks are imported");
    weights::yolo(&library.home.path("files"), "things.safetensors", 2);
    library.hm(&["import", text(&library.home.path("files/things.safetensors")), "--name", "things"]).succeeds();
    let current = library.home.shelf().find("things").unwrap().unwrap().lane().unwrap();
    for lane in [&current, &things("0a1b"), &things("0c2d")] {
        library.answer(lane);
    }
    let decided = "UPDATE regions SET decision = 'confirmed' WHERE id IN (SELECT r.id FROM regions AS r JOIN networks AS n ON n.id = r.network_id \
        WHERE n.version = '0c2d' AND r.label = 'dog' LIMIT 1)";
    assert_eq!(sql_query(decided).execute(&mut library.database.connection()), Ok(1));

    let list = library.hm(&["list"]).succeeds().out;
    let row = |list: &str, name: &str| {
        list.lines().find(|line| line.starts_with(name)).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(row(&list, "things@0a1b").as_deref(), Some("things@0a1b Some network gone 3 6"), "{list}");
    assert_eq!(row(&list, "things@0c2d").as_deref(), Some("things@0c2d Some network gone 3 5"), "{list}");
    assert!(!list.contains(&current.network.version), "it is in use: {list}");
    let json: serde_json::Value = serde_json::from_str(&library.hm(&["list", "--json"]).succeeds().out).unwrap();
    let told: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["is_imported"] == true, entry["in_use"] == true, &entry["regions_decided"]))
        .collect();
    assert_eq!(told, [(true, true, &serde_json::Value::Null), (false, false, &1.into()), (false, false, &0.into())]);

    // Nothing unasked, nothing of what works, and nothing that is not there.
    library.hm(&["forget", "things"]).fails().says("things@0a1b` (Some network): 3 images, 6 things found").says("--yes");
    library
        .hm(&["forget", &format!("things@{}", current.network.version), "--yes"])
        .fails()
        .says("is in use")
        .says("hm models remove things");
    library.hm(&["forget", "thing", "--yes"]).fails().says("no results of a network called `thing`").says("hm models list");
    library.home.hm(&["forget", "things", "--yes"]).fails().says("no results");
    assert_eq!((library.count("image_results"), library.count("regions")), (9, 18));

    library.hm(&["forget", "things@0a1b", "--yes"]).succeeds().says("`things@0a1b` is forgotten");
    assert_eq!((library.count("image_results"), library.count("regions"), library.count("networks")), (6, 12, 2));
    library
        .hm(&["forget", "things", "--yes"])
        .succeeds()
        .says("1 thing that a person decided on stays")
        .says("but for what people decided on");
    assert_eq!((library.count("image_results"), library.count("regions"), library.count("networks")), (3, 7, 2));
    assert_eq!(library.count("regions WHERE decision = 'confirmed' AND label = 'dog'"), 1);
    let list = library.hm(&["list"]).succeeds().out;
    assert!(!list.contains("not in use"), "what a person decided on is not to be removed: {list}");

    // Once its weights are gone, what it found may go, too.
    library.hm(&["remove", "things", "--yes"]).succeeds().says("what it found stays").says("hm models forget things");
    library.hm(&["list"]).succeeds().says(&format!("things@{}", current.network.version));
    library.hm(&["forget", "things", "--yes"]).succeeds();
    assert_eq!((library.count("image_results"), library.count("regions"), library.count("networks")), (0, 1, 1));
}

#[test]
fn what_a_server_works_with_is_not_forgotten() {
    let library = Library::new();
    // The tests share this Redis: nobody else has a network of this name.
    let lane: Lane = format!("detect/busy-{:08x}@0a1b", rand::random::<u32>()).parse().unwrap();
    library.answer(&lane);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let queue = runtime.block_on(Queue::connect(&redis_url())).unwrap();
    runtime.block_on(queue.offer_lanes(&[LaneOffer { lane: lane.clone(), facts: serde_json::json!({}) }])).unwrap();
    library.hm(&["forget", &lane.network.name, "--yes"]).fails().says("a server works with").says("two minutes");
    assert_eq!((library.count("image_results"), library.count("regions")), (3, 6));

    // A server that sees at last that the network is gone is waited for.
    let waiting = library.command(&["forget", &lane.network.name, "--yes"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    runtime.block_on(queue.forget_lane(&lane)).unwrap();
    Said::of(waiting.wait_with_output().unwrap()).succeeds().says("is forgotten");
    assert_eq!((library.count("image_results"), library.count("regions"), library.count("networks")), (0, 0, 0));
}

#[test]
fn the_vectors_of_a_network_are_forgotten_with_it() {
    let library = Library::new();
    if !has_vectors(&mut library.database.connection()) {
        return;
    }
    for version in ["0a1b", "0c2d"] {
        library.answer(&format!("embed/clip@{version}").parse().unwrap());
    }
    assert_eq!(library.count("embeddings"), 6);
    library.hm(&["forget", "clip@0a1b", "--yes"]).succeeds().says("3 images, what each is like");
    assert_eq!((library.count("embeddings"), library.count("image_results"), library.count("networks")), (3, 3, 1));
}
