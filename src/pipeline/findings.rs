//! What networks find: which of them work on this library, which images they have yet to see, and what they answer.
//!
//! ```text
//! networks ──→ rows in the database ──→ lanes offered (keeper)
//! database: lacking ──→ tasks, never more than a few thousand waiting (feeder) ──→ workers
//! workers ──→ outcomes ──→ one transaction ──→ settled (recorder)
//! vectors, once they are many ──→ an index (indexer)
//! ```
//!
//! A thread each. Nothing is remembered that could be lost: what is lacking is asked of the database, newest image first, and what somebody
//! looks at goes first; a queue that is emptied is filled again, and an answer that comes twice is written once. While the queue or the
//! database is away, each thread tries again until it is back.

mod feed;
mod indexer;
mod networks;
mod recorder;
mod shelf;
mod walk;

use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::runtime::Handle;

pub use self::{
    networks::{NetworkOnOffer, NetworksOnOffer},
    shelf::ShelfOnOffer,
};
use crate::{
    db::{Db, DbError, PooledPg},
    models::task::Lane,
    queue::{LaneOffer, Queue, QueueError},
};

/// How often tasks that are due, and those of workers that ended, are brought back.
const REAP_EVERY: Duration = Duration::from_secs(1);
/// How often the offers of lanes are renewed; they hold far longer, but a queue that was emptied lacks them until then.
const OFFER_EVERY: Duration = Duration::from_secs(2);
/// Pause after the queue or the database did not answer.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(2);
/// How long a stop waits for what is in hand; whatever was not settled comes again.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What the threads need.
pub struct FindingsContext {
    /// The truth.
    pub db: Db,
    /// Work in flight.
    pub queue: Queue,
    /// Where the queue is spoken to.
    pub runtime: Handle,
    /// Names this process to the queue: no other that runs has the same.
    pub consumer: String,
    /// The networks that shall work.
    pub networks: Box<dyn NetworksOnOffer>,
    /// Memory that the database server may take to build an index of vectors, in MiB.
    pub index_memory_mib: i64,
}

/// How far one network is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LaneProgress {
    /// Kind and network.
    pub lane: Lane,
    /// What people call the network.
    pub title: String,
    /// Images it has answered for.
    pub done: i64,
    /// Images it could not answer for.
    pub failed: i64,
    /// Images that it has yet to see, those whose pictures are still to be made among them.
    pub lacking: i64,
    /// Tasks that wait for a worker.
    pub waiting: u64,
    /// Tasks that workers hold.
    pub running: u64,
    /// Images a second.
    pub rate_per_s: f64,
    /// Whether a person has paused it.
    pub is_paused: bool,
}

/// How far all of it is, as it is published under the name `findings`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FindingsProgress {
    /// A network each.
    pub lanes: Vec<LaneProgress>,
    /// Why nothing is found by words, and after `hint: ` what to do about it; `None` when nothing is wrong.
    pub problem: Option<String>,
}

/// The running threads.
pub struct Findings {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    context: FindingsContext,
    is_stopping: AtomicBool,
    sleep: Mutex<bool>,
    woken: Condvar,
    /// What the feeder has to offer, for the keeper and the indexer.
    offered: Mutex<Offered>,
    /// The connection that builds an index now.
    building: Mutex<Option<i32>>,
}

#[derive(Default)]
struct Offered {
    offers: Vec<LaneOffer>,
    /// Networks that make vectors.
    with_vectors: Vec<crate::models::NetworkId>,
}

/// The queue or the database did not answer.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Findings {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(context: FindingsContext) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            context,
            is_stopping: AtomicBool::new(false),
            sleep: Mutex::default(),
            woken: Condvar::new(),
            offered: Mutex::default(),
            building: Mutex::default(),
        });
        let mut findings = Self { shared, threads: Vec::new() };
        findings.spawn("findings-feeder", Shared::feed)?;
        findings.spawn("findings-recorder", Shared::record)?;
        findings.spawn("findings-keeper", Shared::keep)?;
        findings.spawn("findings-indexer", Shared::index)?;
        Ok(findings)
    }

    fn spawn(&mut self, name: &str, run: fn(&Shared)) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared))?);
        Ok(())
    }

    /// Ends after what is in hand. The building of an index is given up.
    pub fn stop(self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        *self.shared.sleep.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.woken.notify_all();
        let give_up = Instant::now() + STOP_PATIENCE;
        while Instant::now() < give_up && self.threads.iter().any(|thread| !thread.is_finished()) {
            self.shared.cancel_building();
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Sleeps, unless the end comes before.
    fn rest(&self, length: Duration) {
        let asleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.woken.wait_timeout_while(asleep, length, |stopped| !*stopped).unwrap_or_else(PoisonError::into_inner));
    }

    fn offered(&self) -> MutexGuard<'_, Offered> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the database.
    fn ask<T, E>(&self, question: impl FnOnce(&mut PooledPg) -> Result<T, E>) -> Result<T, DbError>
    where
        DbError: From<E>,
    {
        let mut conn = self.context.db.get()?;
        Ok(question(&mut conn)?)
    }

    /// Speaks to the queue.
    fn tell<T>(&self, command: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
        self.context.runtime.block_on(command)
    }

    /// Looks after the lanes until the end.
    fn keep(&self) {
        let mut last: Option<(Instant, Vec<LaneOffer>)> = None;
        let mut state = Health::new("tasks of workers that ended come back later");
        while !self.is_stopping() {
            let kept = self.tell(self.context.queue.reap()).and_then(|reaped| {
                if reaped.put_back + reaped.given_up > 0 {
                    let (put_back, given_up) = (reaped.put_back, reaped.given_up);
                    tracing::info!(put_back, given_up, "a worker ended: its tasks go to others");
                }
                // Held until they are offered: a lane that is no more is not offered after it was forgotten.
                let offered = self.offered();
                let is_due = last.as_ref().is_none_or(|(at, offers)| at.elapsed() >= OFFER_EVERY || *offers != offered.offers);
                if is_due && !offered.offers.is_empty() {
                    self.tell(self.context.queue.offer_lanes(&offered.offers))?;
                    last = Some((Instant::now(), offered.offers.clone()));
                }
                Ok(())
            });
            if kept.is_err() {
                // Whoever comes back has forgotten what was offered.
                last = None;
            }
            state.note(kept.as_ref().err());
            self.rest(if kept.is_ok() { REAP_EVERY } else { PAUSE_AFTER_TROUBLE });
        }
    }
}

/// Says once that something is away, and once that it is back.
struct Health {
    consequence: &'static str,
    is_down: bool,
}

impl Health {
    fn new(consequence: &'static str) -> Self {
        Self { consequence, is_down: false }
    }

    fn note(&mut self, trouble: Option<&impl fmt::Display>) {
        match trouble {
            Some(error) if !self.is_down => tracing::warn!(%error, "{}", self.consequence),
            None if self.is_down => tracing::info!("what networks find is recorded again"),
            _ => {}
        }
        self.is_down = trouble.is_some();
    }
}
