//! The whole of it: two servers on one database, three workers, a Redis of their own, all of them real processes, and all but the database
//! killed in mid-run. At the end every image has exactly what an undisturbed run gives it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Text},
};
use hm::{
    db::{
        nearest::embedding_of,
        networks,
        regions::{Origin, StoredRegion, list_regions},
        results::{count_lacking, record},
    },
    infer::{
        Rgb8,
        engine::{Detector, Device, PictureEmbedder},
        manifest::Provenance,
        shelf::Shelf,
    },
    media::decode_proxy,
    models::{
        FolderId, ImageId, NetworkId, PictureSize,
        task::{Answer, Found, Lane, Priority, Task, TaskKind},
    },
    queue::{LaneOffer, Queue},
};

use super::{
    deaths::{POINTS, die_once},
    tools::{LEASE_MS, PICTURES, RedisServer, SOON, Worker, jpeg, key, runtime, settings, worker_command_in},
};
use crate::support::{
    TestDatabase, has_vectors, hm_command,
    library::{image, make_picture, vault},
    networks as weights, temp_dir, wait_until,
};

/// How often a worker is killed.
const DEATHS: u32 = 36;
/// While fewer answers lack than this, there are more images.
const LEAST_LACKING: i64 = 24;
/// Strips, in px: a detector takes the longest side to 640 px, and as long as the area wants.
const STRIP_PX: (i64, i64) = (240, 12);

/// What the networks say of a picture when nothing disturbs them.
struct Expected {
    vector: Vec<f32>,
    regions: Vec<Found>,
}

/// A library: a database, a Redis, pictures, and two networks with what they say of each.
struct Library {
    dir: tempfile::TempDir,
    database: TestDatabase,
    conn: Mutex<PgConnection>,
    root: FolderId,
    redis: RedisServer,
    lanes: Vec<Lane>,
    expected: Vec<Expected>,
}

impl Library {
    fn new() -> Self {
        let (dir, database) = (temp_dir(), TestDatabase::new());
        let shelf = Shelf::new(&dir.path().join("models"));
        weights::clip(&dir.path().join("weights/clip"), 3);
        weights::yolo(&dir.path().join("weights"), "things.safetensors", 2);
        let import = |file: &str, name: &str| {
            let provenance = Provenance { name: Some(name.into()), source: "a test".into(), ..Provenance::default() };
            shelf.import(&dir.path().join("weights").join(file), None, &provenance).unwrap().shelved().clone()
        };
        let (words, things) = (import("clip", "tiny"), import("things.safetensors", "things"));
        let embedder = PictureEmbedder::open(&words, &Device::Cpu).unwrap();
        let detector = Detector::open(&things, &Device::Cpu).unwrap();
        let mut expected = Vec::new();
        for number in 0..PICTURES {
            let jpeg = jpeg(number, STRIP_PX);
            let path = dir.path().join("thumbs").join(key(number).relative_path(PictureSize::Proxy));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &jpeg).unwrap();
            let pixels = decode_proxy(&jpeg).unwrap();
            let picture = [Rgb8 { width_px: pixels.width_px, height_px: pixels.height_px, bytes: &pixels.rgb }];
            let vector = embedder.embed(&picture).unwrap().remove(0);
            let Answer::Regions { regions, .. } = detector.detect(&picture).unwrap().remove(0) else { panic!("no regions") };
            assert!(!regions.is_empty() && regions.len() < 1_000, "picture {number} shows {} things", regions.len());
            expected.push(Expected { vector, regions });
        }
        for (number, one) in expected.iter().enumerate() {
            let is_same = |other: &Expected| dot(&one.vector, &other.vector) > 0.9995;
            assert!(!expected[number + 1..].iter().any(is_same), "picture {number} is no other's");
        }
        let mut conn = database.connection();
        let lanes = [&words, &things].map(|network| network.lane().unwrap()).into_iter();
        let can_hold = |kind: TaskKind| kind != TaskKind::Embed || has_vectors(&mut database.connection());
        let lanes = lanes.filter(|lane| can_hold(lane.kind)).collect();
        let root = vault(&mut conn, "photos", Path::new("/nowhere"));
        Self { dir, database, conn: Mutex::new(conn), root, redis: RedisServer::start(), lanes, expected }
    }

    fn conn(&self) -> MutexGuard<'_, PgConnection> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, sql: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        sql_query(format!("SELECT count(*) AS count FROM {sql}")).get_result::<Row>(&mut *self.conn()).unwrap().count
    }

    /// Adds images whose pictures are made.
    fn add(&self, count: i64) {
        let conn = &mut *self.conn();
        for _ in 0..count {
            #[derive(QueryableByName)]
            struct Row {
                #[diesel(sql_type = BigInt)]
                next: i64,
            }
            let Row { next } = sql_query("SELECT count(*) AS next FROM images").get_result(conn).unwrap();
            let at = format!("2019-08-03 {:02}:{:02}:00", next / 60, next % 60);
            let id = image(&format!("IMG_{next}")).at(&at).insert(conn, self.root);
            make_picture(conn, id, &key(id.0));
        }
    }

    /// The network's row, once a server has seen it.
    fn network(&self, lane: &Lane) -> Option<NetworkId> {
        networks::find(&mut self.conn(), lane.kind, &lane.network).unwrap().map(|network| network.id)
    }

    /// How many answers lack, of both networks.
    fn lacking(&self) -> i64 {
        let of = |lane| match self.network(lane) {
            Some(network) => count_lacking(&mut self.conn(), network).unwrap(),
            None => self.count("images"),
        };
        self.lanes.iter().map(of).sum()
    }

    fn answered(&self) -> i64 {
        self.count("image_results")
    }

    /// The images that a network has answered for.
    fn done(&self, lane: &Lane) -> Vec<ImageId> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            image_id: i64,
        }
        let network = self.network(lane).map_or(0, |network| network.0);
        let rows: Vec<Row> = sql_query("SELECT image_id FROM image_results WHERE network_id = $1")
            .bind::<BigInt, _>(network)
            .load(&mut *self.conn())
            .unwrap();
        rows.into_iter().map(|row| ImageId(row.image_id)).collect()
    }

    fn worker(&self) -> std::process::Command {
        worker_command_in(&self.redis.url(), self.dir.path())
    }

    /// The queue, and something to speak to it with.
    fn queue(&self) -> (tokio::runtime::Runtime, Queue) {
        let runtime = runtime();
        let queue = runtime.block_on(Queue::connect(&self.redis.url())).unwrap().with_settings(settings());
        (runtime, queue)
    }

    /// Sends out once more what is answered already; how many tasks that were.
    fn ask_again(&self, queue: &Queue, runtime: &tokio::runtime::Runtime) -> usize {
        let mut tasks = Vec::new();
        for lane in &self.lanes {
            let task = |image: ImageId| Task { lane: lane.clone(), image, picture: key(image.0), priority: Priority::New, attempt: 0 };
            tasks.extend(self.done(lane).into_iter().map(task));
        }
        runtime.block_on(queue.enqueue(&tasks)).unwrap()
    }

    /// Plays a server that stores answers and ends before it has settled them, so that they are delivered again; how many they were.
    fn store_and_forget(&self, queue: &Queue, runtime: &tokio::runtime::Runtime) -> usize {
        runtime.block_on(queue.reap()).unwrap();
        let taken = runtime.block_on(queue.take_outcomes("forgetful", 100, Duration::from_millis(100))).unwrap();
        let outcomes: Vec<_> = taken.into_iter().map(|(_, outcome)| outcome).collect();
        record(&mut self.conn(), &outcomes).unwrap();
        outcomes.len()
    }

    /// Waits until every image has its answers and nothing is under way, and compares each with those of an undisturbed run.
    fn assert_whole(&self) {
        wait_until("every image has its answers", SOON * 3, || self.lacking() == 0);
        let (runtime, queue) = self.queue();
        wait_until("nothing is under way any more", SOON, || {
            let outcomes = runtime.block_on(queue.outcomes()).unwrap();
            let left = |lane| runtime.block_on(queue.lane_depth(lane)).unwrap().total();
            outcomes.waiting + outcomes.taken == 0 && self.lanes.iter().all(|lane| left(lane) == 0)
        });
        assert!(runtime.block_on(queue.buried()).unwrap().is_empty());
        let images = self.count("images");
        assert_eq!(self.count("networks"), self.lanes.len() as i64, "each network once");
        let right = "image_results AS r JOIN images AS i ON i.id = r.image_id AND i.picture_key = r.picture_key \
            WHERE r.done_at IS NOT NULL AND r.error IS NULL";
        assert_eq!(
            (self.count(right), self.answered()),
            (images * self.lanes.len() as i64, images * self.lanes.len() as i64),
            "{}",
            self.failures()
        );
        assert_eq!(self.count(&format!("networks WHERE (done_count, failed_count) <> ({images}, 0)")), 0);
        let found = |id: i64| self.expected[(id % PICTURES) as usize].regions.len() as i64;
        assert_eq!(self.count("regions"), (1..=images).map(found).sum::<i64>());
        for lane in &self.lanes {
            let network = self.network(lane).unwrap();
            assert_eq!(self.done(lane).len() as i64, images);
            if lane.kind == TaskKind::Embed {
                assert_eq!(self.count("embeddings"), images);
            }
            for id in 1..=images {
                let expected = &self.expected[(id % PICTURES) as usize];
                match lane.kind {
                    TaskKind::Embed => {
                        let vector = embedding_of(&mut self.conn(), network, ImageId(id)).unwrap().unwrap();
                        assert!(dot(&vector, &expected.vector) > 0.9998, "image {id}: {vector:?} instead of {:?}", expected.vector);
                    }
                    TaskKind::Detect => assert_same(id, lane, list_regions(&mut self.conn(), ImageId(id)).unwrap(), &expected.regions),
                }
            }
        }
    }

    /// Why some answers are none.
    fn failures(&self) -> String {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            error: String,
        }
        let rows: Vec<Row> = sql_query("SELECT DISTINCT error FROM image_results WHERE error IS NOT NULL").load(&mut *self.conn()).unwrap();
        rows.into_iter().map(|row| row.error).collect::<Vec<_>>().join("; ")
    }
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// Panics unless the rows are what was found, each once.
fn assert_same(image: i64, lane: &Lane, mut stored: Vec<StoredRegion>, found: &[Found]) {
    let of_network = Origin::Network(lane.network.clone());
    for found in found {
        let is_it = |stored: &StoredRegion| {
            let sides = |bounds: &hm::models::vision::BoundingBox| [bounds.left_px, bounds.top_px, bounds.right_px, bounds.bottom_px];
            let is_near = sides(&stored.bounds).iter().zip(sides(&found.bounds)).all(|(a, b)| (a - b).abs() < 0.1);
            let is_masked = match (&stored.mask, &found.mask) {
                (Some(one), Some(other)) => one == other || one.iou(other).unwrap() > 0.98,
                (one, other) => one == other,
            };
            let is_sure = stored.score.is_some_and(|score| (score - found.score).abs() < 1e-3);
            stored.label == found.label && is_sure && is_near && is_masked && stored.origin == of_network && stored.decision.is_none()
        };
        let place = stored.iter().position(is_it).unwrap_or_else(|| panic!("image {image}: no {found:?} among {stored:#?}"));
        stored.remove(place);
    }
    assert!(stored.is_empty(), "image {image}: more than was found: {stored:#?}");
}

/// A server; ended with the value, and the worker beside it.
struct Server {
    child: Child,
    data_dir: PathBuf,
}

impl Server {
    /// Starts one, with a worker beside it or without, and waits until it is ready.
    fn start(library: &Library, name: &str, has_worker: bool) -> Self {
        let data_dir = library.dir.path().join(name);
        let mut command = hm_command();
        command.arg("--data-dir").arg(&data_dir).args(["serve", "--bind", "127.0.0.1:0"]).args((!has_worker).then_some("--no-work"));
        command.env("HM_DATABASE_URL", library.database.url()).env("HM_REDIS_URL", library.redis.url());
        command.env("HM_THUMBS_DIR", library.dir.path().join("thumbs")).env("HM_MODELS_DIR", library.dir.path().join("models"));
        command.env("HM_THUMBS_WORKERS", "1").env("HM_THUMBS_SWEEP", "false").env("HM_BACKUP_AT", "").env("HM_DATABASE_POOL_SIZE", "2");
        command.env("HM_WEB_WORKERS", "1").env("HM_WORK_THREADS", "1").env("HM_WORK_BATCH_SIZE", "4");
        command.env("HM_TEST_LEASE_MS", LEASE_MS.to_string()).env("HM_LOG_LEVEL", "error");
        let said = library.dir.path().join(format!("{name}.out"));
        let child = command.stdin(Stdio::null()).stdout(fs::File::create(&said).unwrap()).spawn().unwrap();
        let server = Self { child, data_dir };
        wait_until("the server is ready", SOON, || fs::read_to_string(&said).is_ok_and(|said| said.contains("hm is ready")));
        server
    }

    /// Ends it as a power cut would.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    /// Asks first: a server that is killed leaves the worker beside it to notice, after the test has ended.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM);
        }
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > SOON {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn whatever_is_killed_every_image_has_its_results_once() {
    let library = Library::new();
    library.add(36);
    let mut servers = ["one", "two"].map(|name| Server::start(&library, name, false));
    let deaths = AtomicU32::new(0);
    let by_point = POINTS.map(|_| AtomicU32::new(0));
    let until = Instant::now() + SOON * 3;
    thread::scope(|scope| {
        for first in 0..3 {
            let (library, deaths, by_point) = (&library, &deaths, &by_point);
            scope.spawn(move || {
                let mut turn = first;
                while deaths.load(Ordering::Relaxed) < DEATHS {
                    assert!(Instant::now() < until, "only {deaths:?} workers have died");
                    let place = turn as usize % POINTS.len();
                    if die_once(library.worker(), POINTS[place], turn) {
                        deaths.fetch_add(1, Ordering::Relaxed);
                        by_point[place].fetch_add(1, Ordering::Relaxed);
                    }
                    // Something is left to do for the next.
                    if library.lacking() < LEAST_LACKING {
                        library.add(8);
                    }
                    turn += 1;
                }
            });
        }
        let after = |count: u32| {
            let what = format!("{count} workers have died");
            wait_until(&what, SOON * 3, || deaths.load(Ordering::Relaxed) >= count);
        };
        after(DEATHS / 6);
        servers[0].kill();
        servers[0] = Server::start(&library, "one", false);
        after(DEATHS / 6 * 2);
        library.redis.say("FLUSHALL");
        after(DEATHS / 6 * 3);
        library.redis.kill();
        thread::sleep(Duration::from_millis(900));
        library.redis.start_again();
        after(DEATHS / 6 * 4);
        servers.iter_mut().for_each(Server::kill);
        servers = ["one", "two"].map(|name| Server::start(&library, name, false));
    });
    let by_point = by_point.map(AtomicU32::into_inner);
    eprintln!("deaths by point: {:?}; {} images", POINTS.iter().zip(by_point).collect::<Vec<_>>(), library.count("images"));
    assert!(by_point.iter().all(|deaths| *deaths > 0), "{by_point:?}");

    // Now nobody dies but the servers: what is answered is asked again, and what is stored is delivered again.
    let _workers = [0; 3].map(|_| Worker(library.worker().env("HM_LOG_LEVEL", "error").spawn().unwrap()));
    let (runtime, queue) = library.queue();
    wait_until("tasks that are done go out again", SOON, || library.ask_again(&queue, &runtime) > 0);
    servers.iter_mut().for_each(Server::kill);
    let offers: Vec<LaneOffer> = library.lanes.iter().map(|lane| LaneOffer { lane: lane.clone(), facts: serde_json::json!({}) }).collect();
    runtime.block_on(queue.offer_lanes(&offers)).unwrap();
    library.ask_again(&queue, &runtime);
    wait_until("answers are stored and not settled", SOON, || library.store_and_forget(&queue, &runtime) > 0);
    let _servers = ["one", "two"].map(|name| Server::start(&library, name, false));
    library.assert_whole();
}

/// The processes of workers beside the server of this data directory.
#[cfg(target_os = "linux")]
fn beside(data_dir: &Path) -> Vec<rustix::process::Pid> {
    let data_dir = data_dir.display().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(rustix::process::Pid::from_raw) else {
            continue;
        };
        // Of one that has ended and that nobody has waited for, the line is empty.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments: Vec<_> = line.split(|byte| *byte == 0).collect();
        if arguments.contains(&data_dir.as_bytes()) && arguments.contains(&b"--beside-server".as_slice()) {
            found.push(pid);
        }
    }
    found
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_beside_a_killed_server_gives_back_what_it_holds_and_ends() {
    let library = Library::new();
    library.add(36);
    let (runtime, queue) = library.queue();
    let mut server = Server::start(&library, "home", true);
    wait_until("the worker beside the server works", SOON, || library.answered() > 2);
    assert_eq!(beside(&server.data_dir).len(), 1);
    server.kill();
    wait_until("the worker ends by itself", SOON, || beside(&server.data_dir).is_empty());
    let depths: Vec<_> = library.lanes.iter().map(|lane| runtime.block_on(queue.lane_depth(lane)).unwrap()).collect();
    assert!(depths.iter().map(|depth| depth.waiting()).sum::<u64>() > 0, "it was at work: {depths:?}");
    assert!(depths.iter().all(|depth| depth.running == 0), "it holds nothing: {depths:?}");
    assert!(runtime.block_on(queue.workers()).unwrap().is_empty(), "it has signed off");

    // The next server has the next worker; and where that one is killed, another.
    let before = library.answered();
    let server = Server::start(&library, "home", true);
    wait_until("the next worker works", SOON, || library.answered() > before + 2);
    let killed = beside(&server.data_dir);
    assert_eq!(killed.len(), 1);
    rustix::process::kill_process(killed[0], rustix::process::Signal::KILL).unwrap();
    wait_until("there is another", SOON, || {
        let now = beside(&server.data_dir);
        now.len() == 1 && now != killed
    });
    library.assert_whole();
}
