//! The line as a whole: its threads, what they share, and how it comes to its end.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError, RwLock, TryLockError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    busy::Busy,
    desk::{Desk, Report},
    device::{self, BatchSize},
    held::{Held, TaskNumber},
    networks::{Network, Networks},
    pictures::PictureSource,
    stages,
    trouble::{Trouble, sleep},
};
use crate::models::task::{Lane, Outcome, Task};

/// How long the last answers and the return of tasks may take at the end.
pub(super) const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// Batches in hand beside the one on the device: one ready, and one on its way.
const BATCHES_AHEAD: usize = 2;

/// How a worker works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What computes, for people: `CPU, 8 threads`.
    pub device: String,
    /// Memory of the device in bytes, where it is known.
    pub memory_bytes: Option<u64>,
    /// Pictures handed to a network at a time.
    pub batch_size: usize,
    /// Threads that decode and prepare pictures.
    pub preparers: usize,
    /// Whether the work ends when nothing is left to do.
    pub once: bool,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Tasks answered, failures among them.
    pub answered: u64,
    /// Failures among them.
    pub failed: u64,
    /// Tasks given back unworked at the end.
    pub given_back: usize,
    /// Pictures made of originals in mounted vaults; none where the worker was told of no vault.
    pub from_vaults: Option<u64>,
    /// How long the device computed.
    pub busy: Duration,
    /// The share of the time from the first batch to the end of the last that it did, 0..=1.
    pub busy_share: f32,
}

/// A task on its way through the line.
pub(super) struct Job<N> {
    pub(super) number: TaskNumber,
    pub(super) task: Task,
    pub(super) network: Arc<N>,
}

/// One whose picture is there.
pub(super) struct Fetched<N> {
    pub(super) job: Job<N>,
    pub(super) jpeg: Vec<u8>,
}

/// One whose picture is as its network takes it.
pub(super) struct Ready<N: Network> {
    pub(super) job: Job<N>,
    pub(super) prepared: N::Prepared,
}

/// A receiver that several threads take from.
pub(super) struct Shared<T>(Mutex<Receiver<T>>);

impl<T> Shared<T> {
    /// The next, or none when nobody sends any more.
    pub(super) fn next(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    }
}

/// What all threads of a line share.
pub(super) struct Line<D: Desk, S, N: Networks> {
    pub(super) desk: D,
    pub(super) source: S,
    pub(super) networks: N,
    pub(super) plan: Plan,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) held: Held<D::Receipt>,
    /// The networks that are ready, by lane.
    pub(super) open: RwLock<BTreeMap<Lane, Arc<N::Network>>>,
    /// Whether somebody has looked which lanes are wanted.
    pub(super) has_looked: AtomicBool,
    /// Tasks that have not come to the device yet.
    pub(super) arriving: AtomicUsize,
    pub(super) batch: BatchSize,
    pub(super) busy: Busy,
    /// When the first batch began and the last one ended.
    pub(super) span: Mutex<Option<(Instant, Instant)>>,
    pub(super) answered: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) queue_trouble: Trouble,
    pub(super) picture_trouble: Trouble,
    /// Whether the device has ended, and sent its last answer.
    pub(super) has_computed_all: AtomicBool,
    is_broken: AtomicBool,
    /// Held by the claimer from its wish for tasks until they are in `held`.
    pub(super) claiming: Mutex<()>,
}

impl<D: Desk, S: PictureSource, N: Networks> Line<D, S, N> {
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Most tasks in hand.
    pub(super) fn most_held(&self) -> usize {
        self.batch.now() * (1 + BATCHES_AHEAD) + self.source.at_a_time()
    }

    /// What the worker says of itself.
    pub(super) fn report(&self) -> Report {
        Report {
            device: self.plan.device.clone(),
            memory_bytes: self.plan.memory_bytes,
            batch_size: self.batch.now(),
            busy: self.busy.share_since_last_look(),
            lanes: self.open_lanes(),
        }
    }

    pub(super) fn open_lanes(&self) -> Vec<Lane> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    fn summary(&self, given_back: usize) -> Summary {
        let busy = self.busy.total();
        let span = *self.span.lock().unwrap_or_else(PoisonError::into_inner);
        let span = span.map_or(Duration::ZERO, |(start, end)| end.saturating_duration_since(start));
        Summary {
            answered: self.answered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            given_back,
            from_vaults: self.source.made_from_vaults(),
            busy,
            busy_share: if span.is_zero() { 0.0 } else { (busy.as_secs_f32() / span.as_secs_f32()).min(1.0) },
        }
    }
}

/// Works until `stop` is set or, when the plan says so, nothing is left to do.
///
/// # Errors
/// When a part of the program failed that must not; what it held goes to others.
pub fn work<D, S, N>(desk: D, source: S, networks: N, plan: Plan, stop: Arc<AtomicBool>) -> Result<Summary, String>
where
    D: Desk + 'static,
    S: PictureSource + 'static,
    N: Networks + 'static,
{
    let batch = BatchSize::new(plan.batch_size);
    let line = Arc::new(Line {
        desk,
        source,
        networks,
        stop,
        held: Held::new(),
        open: RwLock::default(),
        has_looked: AtomicBool::new(false),
        arriving: AtomicUsize::new(0),
        batch,
        busy: Busy::new(),
        span: Mutex::new(None),
        answered: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        queue_trouble: Trouble::with("the queue"),
        picture_trouble: Trouble::with("the source of pictures"),
        has_computed_all: AtomicBool::new(false),
        is_broken: AtomicBool::new(false),
        claiming: Mutex::new(()),
        plan,
    });
    let (device, answerer) = start(&line);
    while !(line.is_stopping() || device.is_finished() && answerer.is_finished()) {
        sleep(Duration::from_millis(100), &line.stop);
    }
    // The batch on the device ends, and is answered; whoever fetches or prepares something is not waited for.
    let ended = device.join().is_ok() & answerer.join().is_ok();
    line.stop.store(true, Ordering::Relaxed);
    let given_back = give_back(&line);
    if !ended || line.is_broken.load(Ordering::Relaxed) {
        return Err("a part of the worker failed; the log says which".to_owned());
    }
    Ok(line.summary(given_back))
}

/// Starts all threads; the ones that the end waits for are handed back.
fn start<D, S, N>(line: &Arc<Line<D, S, N>>) -> (JoinHandle<()>, JoinHandle<()>)
where
    D: Desk + 'static,
    S: PictureSource + 'static,
    N: Networks + 'static,
{
    let room = line.most_held();
    let (fetchers, preparers) = (line.source.at_a_time(), line.plan.preparers.max(1));
    let (to_fetch, claimed) = mpsc::sync_channel::<Job<N::Network>>(room);
    // Pictures are large: no more of them lie about than are needed to keep all threads at work.
    let (to_prepare, fetched) = mpsc::sync_channel::<Fetched<N::Network>>(preparers);
    let (to_device, ready) = mpsc::sync_channel::<Ready<N::Network>>(line.batch.now() * BATCHES_AHEAD);
    let (to_answer, answers) = mpsc::sync_channel::<(TaskNumber, Outcome)>(room);

    spawn("lanes", line, |line| stages::look_at_lanes(&line));
    spawn("heartbeat", line, |line| stages::beat(&line));
    spawn("claim", line, move |line| stages::claim(&line, &to_fetch));
    let claimed = Arc::new(Shared(Mutex::new(claimed)));
    for _ in 0..fetchers {
        let (claimed, to_prepare, to_answer) = (Arc::clone(&claimed), to_prepare.clone(), to_answer.clone());
        spawn("fetch", line, move |line| stages::fetch(&line, &claimed, &to_prepare, &to_answer));
    }
    drop(to_prepare);
    let fetched = Arc::new(Shared(Mutex::new(fetched)));
    for _ in 0..preparers {
        let (fetched, to_device, to_answer) = (Arc::clone(&fetched), to_device.clone(), to_answer.clone());
        spawn("prepare", line, move |line| stages::prepare(&line, &fetched, &to_device, &to_answer));
    }
    drop(to_device);
    let device = spawn("device", line, move |line| device::run(&line, &ready, &to_answer));
    let answerer = spawn("answer", line, move |line| stages::answer(&line, &answers));
    (device, answerer)
}

/// Starts one thread. Whatever ends it in an unforeseen way ends the worker: a line with a hole in it would hold tasks for ever.
fn spawn<D, S, N>(name: &str, line: &Arc<Line<D, S, N>>, work: impl FnOnce(Arc<Line<D, S, N>>) + Send + 'static) -> JoinHandle<()>
where
    D: Desk + 'static,
    S: PictureSource + 'static,
    N: Networks + 'static,
{
    let (of_thread, named) = (Arc::clone(line), name.to_owned());
    let body = move || {
        let line = Arc::clone(&of_thread);
        if catch_unwind(AssertUnwindSafe(|| work(line))).is_err() {
            tracing::error!("the worker's thread `{named}` panicked");
            of_thread.is_broken.store(true, Ordering::Relaxed);
            of_thread.stop.store(true, Ordering::Relaxed);
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).expect("a thread can be started")
}

/// Gives back what is still held; how many that were.
fn give_back<D: Desk, S: PictureSource, N: Networks>(line: &Line<D, S, N>) -> usize {
    let until = Instant::now() + LAST_PATIENCE;
    // Tasks that were asked for just before the end may be on their way.
    let claiming = loop {
        match line.claiming.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(Duration::from_millis(10)),
            claiming => break claiming,
        }
    };
    let held = line.held.receipts();
    drop(claiming);
    loop {
        match line.desk.leave(&held) {
            Ok(()) => return held.len(),
            Err(error) if Instant::now() >= until => {
                tracing::warn!("{} tasks could not be given back: others get them when their time is over: {error}", held.len());
                return 0;
            }
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// Sends an outcome on; after the end nobody wants it, and its task is given back.
pub(super) fn send(to_answer: &SyncSender<(TaskNumber, Outcome)>, number: TaskNumber, outcome: Outcome) {
    if to_answer.send((number, outcome)).is_err() {
        tracing::debug!("an outcome came after the end");
    }
}
