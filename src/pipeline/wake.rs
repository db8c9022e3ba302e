//! Wakes the machines that were invited to work, when work has waited for them and nobody does it. They sleep whenever their people let
//! them; a message to their network card is all that is sent.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, UdpSocket},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use crate::{
    db::{
        Db,
        workers::{InvitedWorker, list_workers},
    },
    models::invitation::WakeAddress,
    queue::{LaneView, Queue, WorkerView},
};

/// Between two looks at the lanes.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long the work of a lane waits before a machine is woken for it.
const WAITS: Duration = Duration::from_secs(60);
/// How long a machine has to wake up and join before it is sent another message.
const AGAIN_AFTER: Duration = Duration::from_secs(600);
/// The port that such messages go to; nobody listens there, the card itself reads them.
const PORT: u16 = 9;

/// What the thread needs.
pub struct WakeContext {
    /// Knows who was invited.
    pub db: Db,
    /// Knows what waits, and who works.
    pub queue: Queue,
    /// Runs its questions to the queue.
    pub runtime: Handle,
}

/// The thread.
pub struct Waker {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: JoinHandle<()>,
}

impl Waker {
    /// Starts looking.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(context: WakeContext) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let of_thread = Arc::clone(&stop);
        let thread = thread::Builder::new().name("waker".into()).spawn(move || look(&context, &of_thread))?;
        Ok(Self { stop, thread })
    }

    /// Ends it.
    pub fn stop(self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if self.thread.join().is_err() {
            tracing::error!("the thread that wakes workers panicked");
        }
    }
}

fn look(context: &WakeContext, (stop, changed): &(Mutex<bool>, Condvar)) {
    let mut woken = BTreeMap::new();
    loop {
        let guard = stop.lock().unwrap_or_else(PoisonError::into_inner);
        let (guard, _) = changed.wait_timeout_while(guard, LOOK_EVERY, |stop| !*stop).unwrap_or_else(PoisonError::into_inner);
        if *guard {
            return;
        }
        drop(guard);
        if let Err(error) = wake(context, &mut woken) {
            tracing::debug!("no worker is woken: {error}");
        }
    }
}

fn wake(context: &WakeContext, woken: &mut BTreeMap<String, Instant>) -> Result<(), String> {
    let invited = context
        .db
        .get()
        .map_err(|error| error.to_string())
        .and_then(|mut conn| list_workers(&mut conn).map_err(|error| error.to_string()))?;
    if invited.iter().all(|worker| worker.wake_address.is_none()) {
        return Ok(());
    }
    let asked = context
        .runtime
        .block_on(async { Ok::<_, crate::queue::QueueError>((context.queue.lanes().await?, context.queue.workers().await?)) });
    let (lanes, workers) = asked.map_err(|error| error.to_string())?;
    for (name, address) in whom_to_wake(&lanes, &workers, &invited, woken, Instant::now()) {
        tracing::info!("waking the worker `{name}`: there is work for it");
        woken.insert(name, Instant::now());
        send(address).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn send(address: WakeAddress) -> std::io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_broadcast(true)?;
    socket.send_to(&address.message(), (Ipv4Addr::BROADCAST, PORT)).map(|_| ())
}

/// The machines to wake: those that can be and do not work, while a lane has waited that nobody works on.
fn whom_to_wake(
    lanes: &[LaneView],
    workers: &[WorkerView],
    invited: &[InvitedWorker],
    woken: &BTreeMap<String, Instant>,
    now: Instant,
) -> Vec<(String, WakeAddress)> {
    let is_served = |lane: &LaneView| workers.iter().any(|worker| worker.is_alive && worker.card.lanes.contains(&lane.lane));
    let waits = |lane: &&LaneView| !lane.is_paused && lane.depth.waiting() > 0 && lane.waited >= WAITS && !is_served(lane);
    if !lanes.iter().any(|lane| waits(&lane)) {
        return Vec::new();
    }
    let is_here = |name: &str| workers.iter().any(|worker| worker.is_alive && worker.card.name == name);
    let was_just_woken = |name: &str| woken.get(name).is_some_and(|at| now.saturating_duration_since(*at) < AGAIN_AFTER);
    let asleep = invited.iter().filter(|worker| !is_here(&worker.name) && !was_just_woken(&worker.name));
    asleep.filter_map(|worker| Some((worker.name.clone(), worker.wake_address.as_deref()?.parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        models::task::Lane,
        queue::{LaneDepth, WorkerCard},
    };

    fn lane() -> Lane {
        "embed/clip@1".parse().unwrap()
    }

    fn waiting(waited_s: u64) -> LaneView {
        LaneView {
            lane: lane(),
            depth: LaneDepth { backlog: 9, ..LaneDepth::default() },
            done: 0,
            failed: 0,
            rate_per_s: 0.0,
            waited: Duration::from_secs(waited_s),
            is_paused: false,
            too_new: 0,
        }
    }

    fn worker(name: &str, lanes: Vec<Lane>, is_alive: bool) -> WorkerView {
        let card = WorkerCard {
            id: format!("{name}-1"),
            name: name.to_owned(),
            host: String::new(),
            device: String::new(),
            memory_bytes: None,
            batch_size: 1,
            busy_percent: None,
            program: String::new(),
            wire_version: 1,
            lanes,
        };
        WorkerView { card, silent: Duration::ZERO, is_alive, running: 0, done: 0, failed: 0, rate_per_s: 0.0, is_too_old: false }
    }

    fn invited(name: &str, wake: Option<&str>) -> InvitedWorker {
        let created_at = chrono::DateTime::UNIX_EPOCH;
        InvitedWorker { name: name.to_owned(), wake_address: wake.map(str::to_owned), created_at, used_at: None }
    }

    #[test]
    fn who_sleeps_is_woken_when_work_has_waited_and_not_every_minute() {
        let now = Instant::now();
        let known = [invited("attic", Some("00:11:22:aa:bb:cc")), invited("cellar", None)];
        let names = |lanes: &[LaneView], workers: &[WorkerView], woken: &BTreeMap<String, Instant>| {
            whom_to_wake(lanes, workers, &known, woken, now).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        let nobody = BTreeMap::new();
        assert_eq!(names(&[waiting(90)], &[], &nobody), ["attic"]);
        assert_eq!(names(&[waiting(90)], &[worker("attic", vec![lane()], false)], &nobody), ["attic"], "it was here and sleeps again");
        assert!(names(&[waiting(10)], &[], &nobody).is_empty(), "it has not waited yet");
        assert!(names(&[LaneView { is_paused: true, ..waiting(90) }], &[], &nobody).is_empty(), "nobody wants it done");
        assert!(names(&[waiting(90)], &[worker("here", vec![lane()], true)], &nobody).is_empty(), "somebody does it");
        assert!(names(&[waiting(90)], &[worker("attic", vec![], true)], &nobody).is_empty(), "it is awake");
        let woken = BTreeMap::from([("attic".to_owned(), now)]);
        assert!(names(&[waiting(90)], &[], &woken).is_empty(), "it is just waking up");
    }
}
