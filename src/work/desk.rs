//! Where tasks come from and answers go: the queue, asked by threads that wait for it. A trait, because what the stages do with their
//! tasks is the same whatever hands them out, and can be tried without any Redis.

use std::time::Duration;

use tokio::runtime::Handle;

use crate::{
    models::task::{Lane, Outcome, Task, WIRE_VERSION},
    queue::{Queue, QueueError, Receipt, WorkerCard},
};

/// The queue did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeskError(pub String);

impl From<QueueError> for DeskError {
    fn from(error: QueueError) -> Self {
        Self(error.to_string())
    }
}

/// What a worker says of itself with every heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What computes.
    pub device: String,
    /// Its memory in bytes, where it is known.
    pub memory_bytes: Option<u64>,
    /// Pictures at a time.
    pub batch_size: usize,
    /// The share of the time since the last heartbeat that the device computed, 0..=1.
    pub busy: f32,
    /// The lanes whose networks are ready.
    pub lanes: Vec<Lane>,
}

/// Hands out tasks and takes answers.
pub trait Desk: Send + Sync {
    /// Proof of one claim.
    type Receipt: Clone + PartialEq + Send + Sync;

    /// The lanes that are wanted now.
    ///
    /// # Errors
    /// [`DeskError`] when it is away; so all others.
    fn offers(&self) -> Result<Vec<Lane>, DeskError>;

    /// Up to `most` tasks, all of one of these lanes; waits up to `wait` for the first.
    ///
    /// # Errors
    /// [`DeskError`].
    fn claim(&self, lanes: &[Lane], most: usize, wait: Duration) -> Result<Vec<(Self::Receipt, Task)>, DeskError>;

    /// Says that the worker lives and what it holds; gives back what others hold by now.
    ///
    /// # Errors
    /// [`DeskError`].
    fn beat(&self, report: &Report, held: &[Self::Receipt]) -> Result<Vec<Self::Receipt>, DeskError>;

    /// Takes answers; giving one twice does no harm.
    ///
    /// # Errors
    /// [`DeskError`].
    fn answer(&self, outcomes: &[(Self::Receipt, Outcome)]) -> Result<(), DeskError>;

    /// Takes back what will not be worked on, and forgets the worker.
    ///
    /// # Errors
    /// [`DeskError`].
    fn leave(&self, held: &[Self::Receipt]) -> Result<(), DeskError>;

    /// How often [`Self::beat`] is wanted.
    fn beat_every(&self) -> Duration;

    /// The worker's name in outcomes.
    fn worker(&self) -> &str;
}

/// The queue as a desk, for one worker.
pub struct QueueDesk {
    queue: Queue,
    runtime: Handle,
    id: String,
    name: String,
    host: String,
}

impl QueueDesk {
    /// For a worker called `name` on the machine `host`; it gets an id that no other has, nor itself after a restart.
    pub fn new(queue: Queue, runtime: Handle, name: &str, host: &str) -> Self {
        let id = format!("{name}-{:08x}", rand::random::<u32>());
        Self { queue, runtime, id, name: name.to_owned(), host: host.to_owned() }
    }
}

impl Desk for QueueDesk {
    type Receipt = Receipt;

    fn offers(&self) -> Result<Vec<Lane>, DeskError> {
        let offers = self.runtime.block_on(self.queue.offered_lanes())?;
        Ok(offers.into_iter().map(|offer| offer.lane).collect())
    }

    fn claim(&self, lanes: &[Lane], most: usize, wait: Duration) -> Result<Vec<(Receipt, Task)>, DeskError> {
        let claimed = self.runtime.block_on(self.queue.claim(&self.id, lanes, most, wait))?;
        Ok(claimed.into_iter().map(|claimed| (claimed.receipt, claimed.task)).collect())
    }

    fn beat(&self, report: &Report, held: &[Receipt]) -> Result<Vec<Receipt>, DeskError> {
        let card = WorkerCard {
            id: self.id.clone(),
            name: self.name.clone(),
            host: self.host.clone(),
            device: report.device.clone(),
            memory_bytes: report.memory_bytes,
            batch_size: u32::try_from(report.batch_size).unwrap_or(u32::MAX),
            busy_percent: Some((report.busy * 100.0).round() as u8),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            wire_version: WIRE_VERSION,
            lanes: report.lanes.clone(),
        };
        Ok(self.runtime.block_on(self.queue.heartbeat(&card, held))?)
    }

    fn answer(&self, outcomes: &[(Receipt, Outcome)]) -> Result<(), DeskError> {
        let taken = self.runtime.block_on(self.queue.answer(outcomes))?;
        if taken < outcomes.len() {
            tracing::debug!("{} of {} answers came too late: others work on them", outcomes.len() - taken, outcomes.len());
        }
        Ok(())
    }

    fn leave(&self, held: &[Receipt]) -> Result<(), DeskError> {
        let leave = async {
            self.queue.hand_back(held).await?;
            self.queue.sign_off(&self.id).await
        };
        Ok(self.runtime.block_on(leave)?)
    }

    fn beat_every(&self) -> Duration {
        self.queue.settings().beat()
    }

    fn worker(&self) -> &str {
        &self.id
    }
}
