//! What networks find, from the database through the queue to workers and back, with workers that make their answers up.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use deadpool_redis::redis;
use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Text},
};
use hm::{
    db::{
        networks::{self, NetworkCard},
        results::{Failures, Retry, count_lacking, list_failures, retry},
    },
    models::{
        ImageId, NetworkId,
        task::{Answer, Failure, Found, Lane, Outcome, Task, TaskKind},
        vision::BoundingBox,
    },
    pipeline::{Findings, FindingsContext, NetworkOnOffer, NetworksOnOffer},
    queue::{Queue, Settings},
};
use tokio::runtime::Runtime;

use crate::support::{
    self, TestDatabase,
    library::{make_picture, picture_key, pictured, vault},
    wait_until,
};

const PATIENCE: Duration = Duration::from_secs(60);

fn lane(text: &str) -> Lane {
    text.parse().unwrap()
}

fn on_offer(lane: &Lane) -> NetworkOnOffer {
    let card = NetworkCard { lane: lane.clone(), family: "yolo11".to_owned(), title: "A network".to_owned(), dimensions: None };
    NetworkOnOffer { card, facts: serde_json::json!({ "name": lane.network.name }) }
}

/// Networks that a test chooses.
#[derive(Clone, Default)]
struct Chosen(Arc<Mutex<Vec<NetworkOnOffer>>>);

impl Chosen {
    fn new(lanes: &[&Lane]) -> Self {
        let chosen = Self::default();
        chosen.set(lanes);
        chosen
    }

    fn set(&self, lanes: &[&Lane]) {
        *self.0.lock().unwrap() = lanes.iter().map(|lane| on_offer(lane)).collect();
    }
}

impl NetworksOnOffer for Chosen {
    fn list(&self) -> Result<Vec<NetworkOnOffer>, String> {
        Ok(self.0.lock().unwrap().clone())
    }
}

/// A library, a queue of its own, and a runtime to speak to it.
struct Stage {
    database: TestDatabase,
    runtime: Runtime,
    queue: Queue,
    prefix: String,
}

impl Stage {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let prefix = format!("findings-{}-{:016x}", std::process::id(), rand::random::<u64>());
        let queue = runtime.block_on(Queue::connect(&support::redis_url())).unwrap().within(&prefix);
        let settings = Settings { lease: Duration::from_secs(2), first_backoff: Duration::from_millis(50), ..Settings::default() };
        Self { database: TestDatabase::new(), runtime, queue: queue.with_settings(settings), prefix }
    }

    fn images(&self, count: i64) -> Vec<ImageId> {
        let conn = &mut self.database.connection();
        let root = vault(conn, "photos", "/nowhere".as_ref());
        pictured(conn, root, count)
    }

    fn start(&self, networks: &Chosen, consumer: &str) -> Findings {
        let context = FindingsContext {
            db: self.database.pool(),
            queue: self.queue.clone(),
            runtime: self.runtime.handle().clone(),
            consumer: consumer.to_owned(),
            networks: Box::new(networks.clone()),
            index_memory_mib: 64,
        };
        Findings::start(context).unwrap()
    }

    fn network(&self, lane: &Lane) -> Option<NetworkId> {
        networks::find(&mut self.database.connection(), lane.kind, &lane.network).unwrap().map(|network| network.id)
    }

    fn lacking(&self, lane: &Lane) -> Option<i64> {
        self.network(lane).map(|network| count_lacking(&mut self.database.connection(), network).unwrap())
    }

    /// Forgets all of this test's keys, as a Redis that is emptied does.
    fn flush(&self) {
        self.runtime.block_on(async {
            let client = redis::Client::open(support::redis_url()).unwrap();
            let mut conn = client.get_multiplexed_async_connection().await.unwrap();
            let keys: Vec<String> = redis::cmd("KEYS").arg(format!("hm:{}:*", self.prefix)).query_async(&mut conn).await.unwrap();
            if !keys.is_empty() {
                redis::cmd("DEL").arg(keys).query_async::<()>(&mut conn).await.unwrap();
            }
        });
    }

    fn waiting(&self, lane: &Lane) -> u64 {
        self.runtime.block_on(self.queue.lane_depth(lane)).unwrap().waiting()
    }
}

/// A worker that answers by a rule.
struct Worker {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    thread: Option<thread::JoinHandle<()>>,
}

type Rule = dyn Fn(&Task) -> Result<Answer, Failure> + Send + Sync;

impl Worker {
    fn start(stage: &Stage, name: &str, lanes: &[&Lane], rule: Arc<Rule>) -> Self {
        let (stop, asked): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
        let (queue, handle) = (stage.queue.clone(), stage.runtime.handle().clone());
        let lanes: Vec<Lane> = lanes.iter().map(|lane| (*lane).clone()).collect();
        let (name, stopped, counted) = (name.to_owned(), Arc::clone(&stop), Arc::clone(&asked));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // A queue that is emptied under its hands is no reason to end.
                let Ok(claimed) = handle.block_on(queue.claim(&name, &lanes, 16, Duration::from_millis(200))) else { continue };
                let answers: Vec<_> = claimed
                    .into_iter()
                    .map(|claimed| {
                        counted.fetch_add(1, Ordering::Relaxed);
                        let answer = rule(&claimed.task);
                        (claimed.receipt, Outcome { task: claimed.task, worker: name.clone(), took_ms: 1.0, answer })
                    })
                    .collect();
                let _ = handle.block_on(queue.answer(&answers));
            }
        });
        Self { stop, asked, thread: Some(thread) }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn made_up(task: &Task) -> Result<Answer, Failure> {
    let angle = task.image.0 as f32 * 0.1;
    Ok(match task.lane.kind {
        TaskKind::Embed => Answer::Embedding { vector: vec![angle.cos(), angle.sin()] },
        TaskKind::Detect => {
            let bounds = BoundingBox { left_px: 0.0, top_px: 0.0, right_px: 4.0, bottom_px: 4.0 };
            let found = Found { label: format!("thing {}", task.image), score: 0.5, bounds, mask: None };
            Answer::Regions { width_px: 8, height_px: 8, regions: vec![found] }
        }
    })
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    sql_query(sql).load::<Line>(conn).unwrap().into_iter().map(|row| row.line).collect()
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn count(conn: &mut PgConnection, sql: &str) -> i64 {
    sql_query(sql).get_result::<Count>(conn).unwrap().count
}

/// Every image has each network's answer, and each answer once.
fn assert_answered(stage: &Stage, images: &[ImageId], lanes: &[&Lane]) {
    let conn = &mut stage.database.connection();
    for lane in lanes {
        assert_eq!(stage.lacking(lane), Some(0), "{lane}");
    }
    let wanted: BTreeSet<String> = images.iter().map(|image| format!("{image} thing {image}")).collect();
    let regions = lines(conn, "SELECT image_id || ' ' || label AS line FROM regions");
    assert_eq!(regions.len(), images.len(), "nothing twice");
    assert_eq!(regions.into_iter().collect::<BTreeSet<_>>(), wanted);
    if lanes.iter().any(|lane| lane.kind == TaskKind::Embed) {
        assert_eq!(count(conn, "SELECT count(*) AS count FROM embeddings"), images.len() as i64);
    }
}

#[test]
fn every_image_is_seen_by_every_network_though_the_queue_is_emptied_meanwhile() {
    let stage = Stage::new();
    let (detect, embed) = (lane("detect/yolo11n@1"), lane("embed/clip@2"));
    let lanes: Vec<&Lane> = if support::has_vectors(&mut stage.database.connection()) { vec![&detect, &embed] } else { vec![&detect] };
    let mut images = stage.images(400);
    let networks = Chosen::new(&[&detect, &embed]);
    let findings = stage.start(&networks, "one");
    let slow: Arc<Rule> = Arc::new(|task: &Task| {
        thread::sleep(Duration::from_millis(2));
        made_up(task)
    });
    let workers: Vec<Worker> = (0..3).map(|number| Worker::start(&stage, &format!("w{number}"), &lanes, Arc::clone(&slow))).collect();
    for most in [300, 150] {
        wait_until("some are answered", PATIENCE, || stage.lacking(&detect).is_some_and(|lacking| lacking <= most));
        stage.flush();
    }
    // Meanwhile one more is there, and a picture is made anew.
    let conn = &mut stage.database.connection();
    let root = hm::models::FolderId(count(conn, "SELECT min(id) AS count FROM folders"));
    let new = support::library::image("NEW").at("2001-01-01 10:00:00").insert(conn, root);
    make_picture(conn, new, &picture_key(new.0));
    make_picture(conn, images[7], &picture_key(77_777));
    images.push(new);
    wait_until("all are answered", PATIENCE, || lanes.iter().all(|lane| stage.lacking(lane) == Some(0)));
    wait_until("nothing is in the lanes", PATIENCE, || lanes.iter().all(|lane| stage.waiting(lane) == 0));
    drop(workers);
    assert_answered(&stage, &images, &lanes);
    let expected: BTreeSet<Lane> = lanes.iter().map(|lane| (*lane).clone()).collect();
    wait_until("the emptied queue has the offers again", PATIENCE, || {
        let offered = stage.runtime.block_on(stage.queue.offered_lanes()).unwrap();
        offered.into_iter().map(|offer| offer.lane).collect::<BTreeSet<_>>() == expected
    });
    let progress = stage.runtime.block_on(stage.queue.progress("findings")).unwrap();
    let told = &progress[0].1["lanes"][0];
    assert_eq!((told["lane"].as_str(), told["failed"].as_i64()), (Some("detect/yolo11n@1"), Some(0)), "{progress:?}");
    findings.stop();
}

#[test]
fn two_servers_and_workers_that_die_leave_nothing_out_and_nothing_twice() {
    let stage = Stage::new();
    let detect = lane("detect/yolo11n@1");
    let images = stage.images(200);
    let networks = Chosen::new(&[&detect]);
    let (one, other) = (stage.start(&networks, "one"), stage.start(&networks, "other"));
    // Claims and is never heard of again.
    for number in 0..3 {
        wait_until("there are tasks", PATIENCE, || stage.waiting(&detect) > 0);
        let worker = format!("dead{number}");
        let claim = stage.queue.claim(&worker, std::slice::from_ref(&detect), 5, Duration::from_secs(5));
        assert!(!stage.runtime.block_on(claim).unwrap().is_empty());
    }
    let workers: Vec<Worker> = (0..2).map(|number| Worker::start(&stage, &format!("w{number}"), &[&detect], Arc::new(made_up))).collect();
    wait_until("some are answered", PATIENCE, || stage.lacking(&detect).is_some_and(|lacking| lacking < 150));
    one.stop();
    wait_until("all are answered", PATIENCE, || stage.lacking(&detect) == Some(0));
    drop(workers);
    other.stop();
    assert_answered(&stage, &images, &[&detect]);
}

#[test]
fn a_database_that_is_away_is_waited_for() {
    let stage = Stage::new();
    let detect = lane("detect/yolo11n@1");
    let images = stage.images(300);
    let findings = stage.start(&Chosen::new(&[&detect]), "one");
    let slow: Arc<Rule> = Arc::new(|task: &Task| {
        thread::sleep(Duration::from_millis(3));
        made_up(task)
    });
    let worker = Worker::start(&stage, "w", &[&detect], slow);
    wait_until("some are answered", PATIENCE, || stage.lacking(&detect).is_some_and(|lacking| lacking < 280));
    // Nobody can connect, and whoever was connected is thrown out.
    let maintenance = std::env::var("HM_TEST_DATABASE_URL").unwrap();
    let mut elsewhere = PgConnection::establish(&maintenance).unwrap();
    let name = stage.database.name();
    elsewhere.batch_execute(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")).unwrap();
    elsewhere.batch_execute(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).unwrap();
    let before = worker.asked();
    wait_until("the worker goes on meanwhile", PATIENCE, || worker.asked() > before + 20);
    elsewhere.batch_execute(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")).unwrap();
    wait_until("all are answered", PATIENCE, || stage.lacking(&detect) == Some(0));
    drop(worker);
    findings.stop();
    assert_answered(&stage, &images, &[&detect]);
}

#[test]
fn what_is_on_a_screen_comes_first() {
    let stage = Stage::new();
    let detect = lane("detect/yolo11n@1");
    let images = stage.images(50);
    let findings = stage.start(&Chosen::new(&[&detect]), "one");
    wait_until("there are tasks", PATIENCE, || stage.waiting(&detect) == 50);
    let seen = [images[49], images[20]];
    stage.runtime.block_on(stage.queue.want_findings(&seen)).unwrap();
    wait_until("somebody looks", PATIENCE, || stage.runtime.block_on(stage.queue.lane_depth(&detect)).unwrap().screen == 2);
    let claimed = stage.runtime.block_on(stage.queue.claim("w", std::slice::from_ref(&detect), 4, Duration::ZERO)).unwrap();
    let first: Vec<ImageId> = claimed.iter().map(|claimed| claimed.task.image).collect();
    assert_eq!(first, [seen[0], seen[1], images[0], images[1]], "then the newest of the library");
    findings.stop();
}

#[test]
fn a_million_lacking_are_not_a_million_tasks() {
    let stage = Stage::new();
    let detect = lane("detect/yolo11n@1");
    let conn = &mut stage.database.connection();
    let root = vault(conn, "photos", "/nowhere".as_ref());
    sql_query(
        "INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, file_count, total_size_bytes, suffixes, has_raw, \
            has_jpeg, has_sidecar, is_video, grouping_rule, picture_key) \
         SELECT vault_id, id, n::text, timestamp '2005-01-01' + n * interval '1 hour', 'x', 1, 1, '{}', false, true, false, \
            false, 'stem', md5(n::text) FROM folders, generate_series(1, 20000) AS n WHERE id = $1",
    )
    .bind::<BigInt, _>(root.0)
    .execute(conn)
    .unwrap();
    conn.batch_execute("INSERT INTO pictures (image_id, key) SELECT id, picture_key FROM images").unwrap();
    let findings = stage.start(&Chosen::new(&[&detect]), "one");
    wait_until("the lane is filled", PATIENCE, || stage.waiting(&detect) >= 1_500);
    thread::sleep(Duration::from_secs(3));
    assert!(stage.waiting(&detect) <= 4_000, "{}", stage.waiting(&detect));
    let worker = Worker::start(&stage, "w", &[&detect], Arc::new(made_up));
    let most = AtomicUsize::new(0);
    wait_until("all are answered", PATIENCE * 3, || {
        most.fetch_max(stage.waiting(&detect) as usize, Ordering::Relaxed);
        stage.lacking(&detect) == Some(0)
    });
    assert!(most.into_inner() <= 4_000);
    drop(worker);
    findings.stop();
    assert_eq!(count(conn, "SELECT count(*) AS count FROM regions"), 20_000);
}

#[test]
fn failures_are_tried_again_while_they_may_pass_and_then_on_demand() {
    let stage = Stage::new();
    let detect = lane("detect/yolo11n@1");
    let images = stage.images(4);
    let findings = stage.start(&Chosen::new(&[&detect]), "one");
    let tries: Arc<Mutex<HashMap<ImageId, u32>>> = Arc::default();
    let (passing, always, never) = (images[0], images[1], images[2]);
    let counted = Arc::clone(&tries);
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&is_mended);
    let rule: Arc<Rule> = Arc::new(move |task: &Task| {
        let mut tries = counted.lock().unwrap();
        let tried = tries.entry(task.image).or_default();
        *tried += 1;
        let fail = |is_passing| Err(Failure { error: format!("no picture, passing: {is_passing}"), is_passing });
        match task.image {
            _ if mended.load(Ordering::Relaxed) => made_up(task),
            image if image == passing && *tried < 3 => fail(true),
            image if image == always => fail(true),
            image if image == never => fail(false),
            _ => made_up(task),
        }
    });
    let worker = Worker::start(&stage, "w", &[&detect], rule);
    wait_until("all are answered or given up", PATIENCE, || stage.lacking(&detect) == Some(0));
    let network = stage.network(&detect).unwrap();
    let conn = &mut stage.database.connection();
    let failed = list_failures(conn, &Failures::default(), None, 10).unwrap();
    let failed: Vec<_> = failed.iter().map(|failed| (failed.image, failed.attempts)).collect();
    assert_eq!(failed, [(always, 5), (never, 1)]);
    {
        let tries = tries.lock().unwrap();
        assert_eq!((tries[&passing], tries[&always], tries[&never], tries[&images[3]]), (3, 5, 1, 1));
    }
    is_mended.store(true, Ordering::Relaxed);
    assert_eq!(retry(conn, &Retry::Failed(Failures { network: Some(network), error: None })).unwrap(), 2);
    wait_until("they are answered", PATIENCE, || stage.lacking(&detect) == Some(0));
    assert_answered(&stage, &images, &[&detect]);
    drop(worker);
    findings.stop();
}

#[test]
fn networks_come_and_go() {
    let stage = Stage::new();
    let (old, new) = (lane("detect/yolo11n@1"), lane("detect/yolo11n@2"));
    stage.images(10);
    let networks = Chosen::new(&[]);
    let findings = stage.start(&networks, "one");
    wait_until("progress is told", PATIENCE, || !stage.runtime.block_on(stage.queue.progress("findings")).unwrap().is_empty());
    assert_eq!(stage.network(&old), None);
    networks.set(&[&old]);
    wait_until("the first has tasks", PATIENCE, || stage.waiting(&old) == 10);
    networks.set(&[&new]);
    wait_until("the second has tasks", PATIENCE, || stage.waiting(&new) == 10);
    wait_until("the first is forgotten", PATIENCE, || stage.waiting(&old) == 0);
    let offered = |stage: &Stage| -> Vec<Lane> {
        stage.runtime.block_on(stage.queue.offered_lanes()).unwrap().into_iter().map(|offer| offer.lane).collect()
    };
    wait_until("only the second is offered", PATIENCE, || offered(&stage) == [new.clone()]);
    findings.stop();
}
