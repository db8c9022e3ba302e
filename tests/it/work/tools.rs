//! A library in small: a Redis of one's own that can be killed, a network and pictures on the disk, a table of results in memory, the
//! server's half of the queue in threads, and workers.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use hm::{
    infer::{
        Rgb8,
        engine::{Device, PictureEmbedder},
        manifest::Provenance,
        shelf::{Shelf, Shelved},
    },
    media::decode_proxy,
    models::{
        ImageId, PictureKey, PictureSize,
        task::{Answer, Lane, Outcome, Priority, Task},
    },
    queue::{LaneOffer, Queue, Settings},
};

use crate::support::{hm_command, networks, temp_dir, wait_until};

/// Patience with anything that should happen soon, on a machine that does much else.
pub(super) const SOON: Duration = Duration::from_secs(60);
/// Different pictures; images share them.
pub(super) const PICTURES: i64 = 16;
/// How long a worker may be silent.
pub(super) const LEASE_MS: u64 = 700;

/// What servers and workers agree on here: nobody waits for a minute.
pub(super) fn settings() -> Settings {
    Settings {
        lease: Duration::from_millis(LEASE_MS),
        first_backoff: Duration::from_millis(10),
        longest_backoff: Duration::from_millis(100),
        // Each of these deaths is the worker's own fault.
        most_deaths: 10_000,
        ..Settings::default()
    }
}

/// A Redis on a port of its own, killed with the value.
pub(super) struct RedisServer {
    dir: tempfile::TempDir,
    pub(super) port: u16,
    child: Mutex<Child>,
}

impl RedisServer {
    pub(super) fn start() -> Self {
        let dir = temp_dir();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Mutex::new(Self::spawn(dir.path(), port));
        let server = Self { dir, port, child };
        server.wait_until_ready();
        server
    }

    fn spawn(dir: &Path, port: u16) -> Child {
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(dir).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn wait_until_ready(&self) {
        let runtime = runtime();
        wait_until("Redis answers", SOON, || runtime.block_on(Queue::connect(&self.url())).is_ok());
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it as a power cut would.
    pub(super) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again, empty.
    pub(super) fn start_again(&self) {
        *self.child.lock().unwrap() = Self::spawn(self.dir.path(), self.port);
        self.wait_until_ready();
    }

    /// Sends one command.
    pub(super) fn say(&self, command: &str) {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut answer = [0; 3];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"+OK", "{command}");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The disk of a library: pictures, and a network.
pub(super) struct Disk {
    dir: tempfile::TempDir,
    pub(super) network: Shelved,
    pub(super) lane: Lane,
    /// What the network says about each picture.
    expected: Vec<Vec<f32>>,
}

impl Disk {
    pub(super) fn new() -> Self {
        let dir = temp_dir();
        let weights = dir.path().join("weights");
        networks::clip(&weights, 3);
        let shelf = Shelf::new(&dir.path().join("models"));
        let provenance = Provenance { name: Some("tiny".into()), source: "a test".into(), ..Provenance::default() };
        let network = shelf.import(&weights, None, &provenance).unwrap().shelved().clone();
        let lane = network.lane().unwrap();
        let embedder = PictureEmbedder::open(&network, &Device::Cpu).unwrap();
        let mut expected = Vec::new();
        for number in 0..PICTURES {
            let jpeg = jpeg(number, (48, 40));
            let path = dir.path().join("thumbs").join(key(number).relative_path(PictureSize::Proxy));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &jpeg).unwrap();
            let pixels = decode_proxy(&jpeg).unwrap();
            let picture = Rgb8 { width_px: pixels.width_px, height_px: pixels.height_px, bytes: &pixels.rgb };
            expected.extend(embedder.embed(&[picture]).unwrap());
        }
        Self { dir, network, lane, expected }
    }

    pub(super) fn thumbs(&self) -> PathBuf {
        self.dir.path().join("thumbs")
    }

    pub(super) fn models(&self) -> PathBuf {
        self.dir.path().join("models")
    }

    /// A data directory of that name.
    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn task(&self, image: i64) -> Task {
        Task { lane: self.lane.clone(), image: ImageId(image), picture: key(image), priority: Priority::New, attempt: 0 }
    }

    /// Panics unless that is what the network says about the picture of the image.
    pub(super) fn check(&self, image: i64, vector: &[f32]) {
        let expected = &self.expected[(image % PICTURES) as usize];
        let cosine: f32 = expected.iter().zip(vector).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.9999 && vector.len() == expected.len(), "image {image}: {vector:?} instead of {expected:?}");
    }
}

/// The key of an image's picture.
pub(super) fn key(image: i64) -> PictureKey {
    PictureKey::of(&[7; 16], image % PICTURES, None)
}

/// A picture of this number, width and height, in px.
pub(super) fn jpeg(number: i64, (width, height): (i64, i64)) -> Vec<u8> {
    let pixel = |place: i64| [(place * (number + 1)) as u8, (place / width * 6 * (number % 3)) as u8, (number * 15) as u8];
    let rgb: Vec<u8> = (0..width * height).flat_map(pixel).collect();
    let (width, height) = (width as usize, height as usize);
    let image = turbojpeg::Image { pixels: rgb.as_slice(), width, pitch: width * 3, height, format: turbojpeg::PixelFormat::RGB };
    turbojpeg::compress(image, 92, turbojpeg::Subsamp::None).unwrap().to_vec()
}

/// The table of results: image → vector, and how often it was written.
#[derive(Default)]
pub(super) struct Results {
    rows: Mutex<BTreeMap<i64, (Vec<f32>, u32)>>,
    failures: Mutex<Vec<String>>,
    /// Images are 1 to this.
    pub(super) images: AtomicI64,
}

impl Results {
    pub(super) fn of(images: i64) -> Arc<Self> {
        Arc::new(Self { images: AtomicI64::new(images), ..Self::default() })
    }

    fn record(&self, outcome: &Outcome) {
        match &outcome.answer {
            Ok(Answer::Embedding { vector }) => {
                let mut rows = self.rows.lock().unwrap();
                let row = rows.entry(outcome.task.image.0).or_default();
                *row = (vector.clone(), row.1 + 1);
            }
            other => self.failures.lock().unwrap().push(format!("image {}: {other:?}", outcome.task.image)),
        }
    }

    pub(super) fn count(&self) -> i64 {
        self.rows.lock().unwrap().len() as i64
    }

    /// Up to `most` that have no result.
    fn lacking(&self, most: usize) -> Vec<i64> {
        let rows = self.rows.lock().unwrap();
        (1..=self.images.load(Ordering::Relaxed)).filter(|image| !rows.contains_key(image)).take(most).collect()
    }

    /// Waits until every image has a result, and checks each.
    pub(super) fn wait_until_whole(&self, disk: &Disk) {
        let images = self.images.load(Ordering::Relaxed);
        wait_until(&format!("all of {images} images have results"), SOON, || self.count() == images);
        let rows = self.rows.lock().unwrap();
        rows.iter().for_each(|(image, (vector, _))| disk.check(*image, vector));
        let failures = self.failures.lock().unwrap();
        assert!(failures.is_empty(), "{failures:#?}");
    }
}

/// A server's half of the queue: offers the lane, refills it from what is lacking, stores what comes, looks after the dead.
pub(super) struct Drain {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drain {
    /// Starts one; `forgets` makes it lose every third batch after storing it and before it is settled, as one that is killed there does.
    pub(super) fn start(url: &str, name: &str, disk: &Disk, results: &Arc<Results>, forgets: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (url, name, of_thread, results) = (url.to_owned(), name.to_owned(), Arc::clone(&stop), Arc::clone(results));
        let template = disk.task(1);
        let thread = thread::spawn(move || {
            let runtime = runtime();
            let mut turn = 0;
            let mut queue = None;
            while !of_thread.load(Ordering::Relaxed) {
                turn += 1;
                let looked = runtime.block_on(async {
                    let queue = match &mut queue {
                        Some(queue) => queue,
                        none => none.insert(Queue::connect(&url).await?.with_settings(settings())),
                    };
                    look(queue, &name, &template, &results, forgets && turn % 3 == 0).await
                });
                if looked.is_err() {
                    thread::sleep(Duration::from_millis(100));
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

async fn look(queue: &Queue, name: &str, template: &Task, results: &Results, forgets: bool) -> Result<(), hm::queue::QueueError> {
    let offer = LaneOffer { lane: template.lane.clone(), facts: serde_json::json!({}) };
    queue.offer_lanes(&[offer]).await?;
    if queue.lane_depth(&template.lane).await?.waiting() < 64 {
        let tasks = results.lacking(200).into_iter().map(|image| Task { image: ImageId(image), picture: key(image), ..template.clone() });
        queue.enqueue(&tasks.collect::<Vec<_>>()).await?;
    }
    let taken = queue.take_outcomes(name, 100, Duration::from_millis(50)).await?;
    taken.iter().for_each(|(_, outcome)| results.record(outcome));
    if !forgets {
        queue.settle_outcomes(&taken).await?;
    }
    queue.reap().await?;
    Ok(())
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            assert!(thread::panicking(), "a server's thread panicked");
        }
    }
}

/// The command of a worker for this library.
pub(super) fn worker_command(url: &str, disk: &Disk) -> Command {
    worker_command_in(url, disk.dir.path())
}

/// The command of a worker for a library whose pictures and networks are in this folder; it can reach no database.
pub(super) fn worker_command_in(url: &str, dir: &Path) -> Command {
    let mut command = hm_command();
    command.args(["work"]).env("HM_REDIS_URL", url).env("HM_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
    command.env("HM_DATA_DIR", dir.join("worker")).env("HM_THUMBS_DIR", dir.join("thumbs")).env("HM_MODELS_DIR", dir.join("models"));
    command.env("HM_WORK_THREADS", "1").env("HM_WORK_BATCH_SIZE", "4").env("HM_TEST_LEASE_MS", LEASE_MS.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// A worker; killed with the value.
pub(super) struct Worker(pub(super) Child);

impl Worker {
    pub(super) fn start(url: &str, disk: &Disk) -> Self {
        Self(worker_command(url, disk).env("HM_LOG_LEVEL", "error").spawn().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
