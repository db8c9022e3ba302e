//! The line with a desk, a source and networks that do as they are told: no Redis, no disk, no Candle.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Desk, DeskError, Network, Networks, NoPicture, NotRun, PictureSource, Plan, Report, Summary, work};
use crate::{
    infer::Rgb8,
    models::{
        ImageId, PictureKey,
        task::{Answer, Lane, Outcome, Priority, Task},
    },
};

fn lane(name: &str) -> Lane {
    format!("embed/{name}@1").parse().unwrap()
}

/// What hands out tasks; shared, so that a test can look at it and change its mind.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Task>,
    running: BTreeMap<usize, Task>,
    outcomes: Vec<Outcome>,
    given_back: usize,
    next: usize,
    is_away: bool,
    lose: BTreeSet<usize>,
    reports: Vec<Report>,
}

impl Tasks {
    fn new(images: i64, lanes: &[&str]) -> Self {
        let tasks = Self::default();
        for image in 1..=images {
            for name in lanes {
                let picture = PictureKey::of(&[1; 16], image, None);
                let task = Task { lane: lane(name), image: ImageId(image), picture, priority: Priority::New, attempt: 0 };
                tasks.0.lock().unwrap().waiting.push_back(task);
            }
        }
        tasks
    }

    fn inner<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> Result<T, DeskError> {
        let mut inner = self.0.lock().unwrap();
        if inner.is_away { Err(DeskError("away".into())) } else { Ok(look(&mut inner)) }
    }

    fn set_away(&self, is_away: bool) {
        self.0.lock().unwrap().is_away = is_away;
    }

    /// The images with an answer, by lane, and those with a failure; each must have one outcome.
    fn answered(&self) -> (usize, Vec<(i64, bool)>) {
        let inner = self.0.lock().unwrap();
        let all: BTreeSet<_> = inner.outcomes.iter().map(|outcome| (outcome.task.lane.to_string(), outcome.task.image.0)).collect();
        assert_eq!(all.len(), inner.outcomes.len(), "nothing is answered twice");
        let failed = inner.outcomes.iter().filter_map(|outcome| Some((outcome.task.image.0, outcome.answer.as_ref().err()?.is_passing)));
        let mut failed: Vec<_> = failed.collect();
        failed.sort_unstable();
        (inner.outcomes.len() - failed.len(), failed)
    }
}

impl Desk for Tasks {
    type Receipt = usize;

    fn offers(&self) -> Result<Vec<Lane>, DeskError> {
        self.inner(|_| vec![lane("a"), lane("b")])
    }

    fn claim(&self, lanes: &[Lane], most: usize, wait: Duration) -> Result<Vec<(usize, Task)>, DeskError> {
        let claimed = self.inner(|inner| {
            let mut claimed = Vec::new();
            while claimed.len() < most {
                let first: Option<&Task> = claimed.first().map(|(_, task)| task);
                let fits = |task: &Task| lanes.contains(&task.lane) && first.is_none_or(|first| first.lane == task.lane);
                let Some(at) = inner.waiting.iter().position(fits) else { break };
                let task = inner.waiting.remove(at).unwrap();
                inner.next += 1;
                inner.running.insert(inner.next, task.clone());
                claimed.push((inner.next, task));
            }
            claimed
        })?;
        if claimed.is_empty() {
            thread::sleep(wait.min(Duration::from_millis(20)));
        }
        Ok(claimed)
    }

    fn beat(&self, report: &Report, held: &[usize]) -> Result<Vec<usize>, DeskError> {
        self.inner(|inner| {
            inner.reports.push(report.clone());
            held.iter().copied().filter(|receipt| inner.lose.contains(receipt)).collect()
        })
    }

    fn answer(&self, outcomes: &[(usize, Outcome)]) -> Result<(), DeskError> {
        self.inner(|inner| {
            for (receipt, outcome) in outcomes {
                assert_eq!(inner.running.remove(receipt).as_ref(), Some(&outcome.task), "only what is held is answered");
                inner.outcomes.push(outcome.clone());
            }
        })
    }

    fn leave(&self, held: &[usize]) -> Result<(), DeskError> {
        self.inner(|inner| {
            inner.given_back += held.len();
            inner.running.retain(|receipt, _| !held.contains(receipt));
        })
    }

    fn beat_every(&self) -> Duration {
        Duration::from_millis(20)
    }

    fn worker(&self) -> &str {
        "attic-1"
    }
}

/// Pictures whose first row says nothing; that of image 7 is broken, of 8 not there, of 9 gone.
#[derive(Clone)]
struct Pictures {
    jpeg: Arc<Vec<u8>>,
    takes: Duration,
    is_away: Arc<AtomicBool>,
}

impl Pictures {
    fn new() -> Self {
        let rgb = vec![128_u8; 16 * 16 * 3];
        let image = turbojpeg::Image { pixels: rgb.as_slice(), width: 16, pitch: 48, height: 16, format: turbojpeg::PixelFormat::RGB };
        let jpeg = turbojpeg::compress(image, 90, turbojpeg::Subsamp::None).unwrap().to_vec();
        Self { jpeg: Arc::new(jpeg), takes: Duration::ZERO, is_away: Arc::default() }
    }
}

impl PictureSource for Pictures {
    fn fetch(&self, task: &Task) -> Result<Vec<u8>, NoPicture> {
        thread::sleep(self.takes);
        if self.is_away.load(Ordering::Relaxed) {
            return Err(NoPicture::Away("away".into()));
        }
        match task.image.0 {
            7 => Ok(b"no picture".to_vec()),
            8 => Err(NoPicture::NotNow("later".into())),
            9 => Err(NoPicture::Never("gone".into())),
            _ => Ok(self.jpeg.to_vec()),
        }
    }

    fn at_a_time(&self) -> usize {
        4
    }
}

/// Networks that count, and fail as they are told.
#[derive(Clone)]
struct Nets(Arc<Behaviour>);

struct Behaviour {
    /// Most pictures that its memory takes.
    memory: usize,
    /// Whether the fifth picture of all that come makes every batch fail that it is in.
    has_poison: bool,
    takes: Duration,
    prepared: AtomicUsize,
    batches: Mutex<Vec<usize>>,
}

impl Nets {
    fn new(memory: usize, takes: Duration) -> Self {
        Self(Arc::new(Behaviour { memory, has_poison: false, takes, prepared: AtomicUsize::new(0), batches: Mutex::default() }))
    }
}

struct Net {
    lane: Lane,
    behaviour: Arc<Behaviour>,
}

impl Network for Net {
    type Prepared = (Lane, usize);

    fn prepare(&self, picture: &Rgb8<'_>) -> Result<(Lane, usize), String> {
        assert_eq!((picture.width_px, picture.bytes.len()), (16, 768));
        Ok((self.lane.clone(), self.behaviour.prepared.fetch_add(1, Ordering::Relaxed) + 1))
    }

    fn run(&self, pictures: &[(Lane, usize)]) -> Result<Vec<Answer>, NotRun> {
        assert!(pictures.iter().all(|(lane, _)| *lane == self.lane), "a batch is of one lane");
        self.behaviour.batches.lock().unwrap().push(pictures.len());
        if pictures.len() > self.behaviour.memory {
            return Err(NotRun::OutOfMemory("out of memory".into()));
        }
        thread::sleep(self.behaviour.takes);
        if self.behaviour.has_poison && pictures.iter().any(|(_, number)| *number == 5) {
            panic!("a panic of a test");
        }
        Ok(pictures.iter().map(|_| Answer::Embedding { vector: vec![1.0] }).collect())
    }
}

impl Networks for Nets {
    type Network = Net;

    fn open(&self, lane: &Lane) -> Result<Net, String> {
        Ok(Net { lane: lane.clone(), behaviour: Arc::clone(&self.0) })
    }
}

fn plan(batch_size: usize, once: bool) -> Plan {
    Plan { device: "none".into(), memory_bytes: None, batch_size, preparers: 2, once }
}

fn run_once(tasks: &Tasks, pictures: &Pictures, nets: &Nets, batch_size: usize) -> Summary {
    work(tasks.clone(), pictures.clone(), nets.clone(), plan(batch_size, true), Arc::default()).unwrap()
}

#[test]
fn everything_is_answered_once_whatever_is_wrong_with_some() {
    let tasks = Tasks::new(40, &["a", "b"]);
    let nets = Nets::new(8, Duration::from_millis(1));
    let summary = run_once(&tasks, &Pictures::new(), &nets, 8);
    let (answers, failed) = tasks.answered();
    assert_eq!((answers, summary.answered, summary.failed, summary.given_back), (74, 80, 6, 0));
    assert_eq!(failed, [(7, false), (7, false), (8, true), (8, true), (9, false), (9, false)]);
    let batches = nets.0.batches.lock().unwrap();
    assert!(batches.iter().all(|size| *size <= 8) && batches.len() < 40, "{batches:?}");
}

#[test]
fn want_of_memory_halves_the_batch_and_the_work_goes_on() {
    let tasks = Tasks::new(60, &["a"]);
    let nets = Nets::new(3, Duration::from_millis(2));
    let summary = run_once(&tasks, &Pictures { takes: Duration::from_micros(100), ..Pictures::new() }, &nets, 16);
    assert_eq!((tasks.answered().0, summary.answered), (57, 60));
    let batches = nets.0.batches.lock().unwrap();
    assert!(batches.iter().filter(|size| **size > 3).count() <= 3, "it does not try the same again and again: {batches:?}");
    // Where not even one has room, another worker may have it.
    let tasks = Tasks::new(2, &["a"]);
    run_once(&tasks, &Pictures::new(), &Nets::new(0, Duration::ZERO), 2);
    assert_eq!(tasks.answered(), (0, vec![(1, true), (2, true)]));
}

#[test]
fn a_picture_that_breaks_the_network_takes_no_other_with_it() {
    let tasks = Tasks::new(6, &["a"]);
    let behaviour =
        Behaviour { memory: 9, has_poison: true, takes: Duration::ZERO, prepared: AtomicUsize::new(0), batches: Mutex::default() };
    run_once(&tasks, &Pictures::new(), &Nets(Arc::new(behaviour)), 6);
    let (answers, failed) = tasks.answered();
    assert_eq!((answers, failed.len()), (5, 1), "{failed:?}");
}

#[test]
fn the_device_computes_while_pictures_are_fetched() {
    let tasks = Tasks::new(6, &["a"]);
    for image in 10..100 {
        let picture = PictureKey::of(&[1; 16], image, None);
        let task = Task { lane: lane("a"), image: ImageId(image), picture, priority: Priority::New, attempt: 0 };
        tasks.0.lock().unwrap().waiting.push_back(task);
    }
    // Alone, pictures take 24 × 10 ms by four threads, and batches 12 × 40 ms: one after the other that would be 720 ms.
    let pictures = Pictures { takes: Duration::from_millis(10), ..Pictures::new() };
    let summary = run_once(&tasks, &pictures, &Nets::new(8, Duration::from_millis(40)), 8);
    assert_eq!(summary.answered, 96);
    assert!(summary.busy_share > 0.7, "{summary:?}");
    let reports = &tasks.0.lock().unwrap().reports;
    assert!(reports.iter().any(|report| report.busy > 0.5 && report.lanes.len() == 2 && report.batch_size == 8), "{reports:?}");
}

#[test]
fn asked_to_stop_it_answers_what_is_computed_and_gives_the_rest_back() {
    let tasks = Tasks::new(200, &["a"]);
    let stop = Arc::new(AtomicBool::new(false));
    let of_worker = Arc::clone(&stop);
    let (desk, nets) = (tasks.clone(), Nets::new(8, Duration::from_millis(100)));
    let worker = thread::spawn(move || work(desk, Pictures::new(), nets, plan(8, false), of_worker).unwrap());
    thread::sleep(Duration::from_millis(450));
    let asked = Instant::now();
    stop.store(true, Ordering::Relaxed);
    let summary = worker.join().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    let inner = tasks.0.lock().unwrap();
    assert!(summary.answered > 0 && summary.given_back > 0, "{summary:?}");
    assert!(inner.running.is_empty(), "nothing is kept: {:?}", inner.running);
    assert_eq!((inner.outcomes.len() as u64, inner.given_back), (summary.answered, summary.given_back));
}

#[test]
fn a_queue_and_pictures_that_are_away_are_waited_for() {
    let tasks = Tasks::new(6, &["a"]);
    tasks.set_away(true);
    let pictures = Pictures::new();
    pictures.is_away.store(true, Ordering::Relaxed);
    let (desk, source) = (tasks.clone(), pictures.clone());
    let worker = thread::spawn(move || work(desk, source, Nets::new(8, Duration::from_millis(50)), plan(2, true), Arc::default()).unwrap());
    thread::sleep(Duration::from_millis(300));
    tasks.set_away(false);
    thread::sleep(Duration::from_millis(300));
    pictures.is_away.store(false, Ordering::Relaxed);
    thread::sleep(Duration::from_millis(30));
    tasks.set_away(true);
    thread::sleep(Duration::from_millis(300));
    tasks.set_away(false);
    assert_eq!(worker.join().unwrap().answered, 6);
    assert_eq!(tasks.answered(), (6, vec![]));
}

#[test]
fn what_went_to_others_is_not_answered() {
    let tasks = Tasks::new(6, &["a"]);
    tasks.0.lock().unwrap().lose = [1, 2, 3].into();
    let pictures = Pictures { takes: Duration::from_millis(100), ..Pictures::new() };
    let summary = run_once(&tasks, &pictures, &Nets::new(8, Duration::from_millis(50)), 6);
    assert_eq!((summary.answered, tasks.answered().0, summary.given_back), (3, 3, 0));
}
