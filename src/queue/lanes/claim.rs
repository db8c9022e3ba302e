//! The worker's side: tasks are claimed, and answered, handed back, or kept by a heartbeat.

use std::time::Duration;

use deadpool_redis::redis::ScriptInvocation;

use super::{
    Looks, MOST_AT_ONCE,
    scripts::{ANSWER, BURY, CLAIM, HAND_BACK, REFUSE},
    wire::{Buried, Letter, read_task, write_outcome},
};
use crate::{
    models::task::{Lane, Outcome, Task},
    queue::{Queue, QueueError},
};

/// How long an image rests whose task nobody can read, in ms: whoever wrote it would write the same.
pub(super) const UNREADABLE_RESTS_MS: u64 = 3_600_000;

/// Proof that a task was given to a worker, once. It is void when the lease is lost, the task was answered or handed back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt {
    lane: String,
    stream: String,
    id: String,
    image: String,
}

impl Receipt {
    pub(super) fn new(lane: &str, stream: &str, id: &str, image: &str) -> Self {
        Self { lane: lane.to_owned(), stream: stream.to_owned(), id: id.to_owned(), image: image.to_owned() }
    }

    /// Adds lane, stream and id to a call.
    pub(super) fn name_entry(&self, call: &mut ScriptInvocation<'_>) {
        call.arg(&self.lane).arg(&self.stream).arg(&self.id);
    }

    fn name(&self, call: &mut ScriptInvocation<'_>) {
        self.name_entry(call);
        call.arg(&self.image);
    }

    /// Whether other workers ended while they held this task. Such a one is given out alone.
    pub fn is_suspect(&self) -> bool {
        self.stream.ends_with(":suspect")
    }
}

/// A task that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// What is asked.
    pub task: Task,
    /// What it is answered with.
    pub receipt: Receipt,
}

/// As the script gives it: lane, stream, id, image, task.
type Given = (String, String, String, String, Vec<u8>);

impl Queue {
    /// Claims up to `most` tasks (at most 1,000), all of one of these lanes, the most urgent first, in one round trip.
    ///
    /// What is on somebody's screen comes first, whichever lane it is in; apart from that the lanes take turns, the one that was
    /// served longest ago first. Paused lanes give nothing.
    ///
    /// Tasks whose worker ended are given out one at a time and to nobody who holds anything else, so that a picture that ends its
    /// worker takes no other with it. While one waits, a worker that holds something is given nothing, and neither is one that holds
    /// such a task. For that, every claim names all lanes of the worker.
    ///
    /// Without tasks it looks again until `wait` is over, and gives an empty list. No connection is held meanwhile. Tasks in a newer
    /// form than this program's wait for newer workers ([`Queue::too_new`] counts them); what nobody can read is buried.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked. Tasks that were given out all the same come back when their lease is over.
    pub async fn claim(&self, worker: &str, lanes: &[Lane], most: usize, wait: Duration) -> Result<Vec<Claimed>, QueueError> {
        let mut looks = Looks::new(wait);
        loop {
            let mut call = self.call(&CLAIM);
            call.arg(worker).arg(self.settings.wire_version).arg(most.clamp(1, MOST_AT_ONCE));
            lanes.iter().for_each(|lane| _ = call.arg(lane.to_string()));
            let given: Vec<Given> = self.run(&call).await?;
            let was_given_something = !given.is_empty();
            let claimed = self.sort_out(given).await?;
            if !claimed.is_empty() {
                return Ok(claimed);
            }
            if !was_given_something && !looks.pause().await {
                return Ok(Vec::new());
            }
        }
    }

    /// Reads what was given; what cannot be read is buried, and what is too new waits for newer workers.
    async fn sort_out(&self, given: Vec<Given>) -> Result<Vec<Claimed>, QueueError> {
        let mut claimed = Vec::with_capacity(given.len());
        for (lane, stream, id, image, text) in given {
            let receipt = Receipt { lane, stream, id, image };
            match read_task(&text, self.settings.wire_version) {
                Letter::Known(task) => claimed.push(Claimed { task, receipt }),
                Letter::Newer(version) => {
                    let mut call = self.call(&REFUSE);
                    receipt.name(&mut call);
                    call.arg(version);
                    self.run::<()>(&call).await?;
                }
                Letter::Unreadable(error) => self.bury(&receipt, &error, &text).await?,
            }
        }
        Ok(claimed)
    }

    /// Takes a task that nobody can read out of the way.
    pub(super) async fn bury(&self, receipt: &Receipt, error: &str, text: &[u8]) -> Result<(), QueueError> {
        tracing::warn!(task.lane = receipt.lane, image.id = receipt.image, error, "a task cannot be read");
        let mut call = self.call(&BURY);
        call.arg(UNREADABLE_RESTS_MS);
        receipt.name(&mut call);
        call.arg(Buried::new(&receipt.lane, &receipt.image, error, text).written());
        self.run(&call).await
    }

    /// Answers tasks: each outcome goes on its way to the database, and its task is done with, both at once. Gives how many were
    /// taken. Those answered before, and those whose lease was lost, change nothing.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked; the same answers may be given again.
    pub async fn answer(&self, outcomes: &[(Receipt, Outcome)]) -> Result<usize, QueueError> {
        let mut taken = 0;
        for some in outcomes.chunks(MOST_AT_ONCE) {
            let mut call = self.call(&ANSWER);
            call.arg(self.settings.wire_version);
            for (receipt, outcome) in some {
                receipt.name(&mut call);
                call.arg(&outcome.worker).arg(write_outcome(self.settings.wire_version, outcome));
            }
            taken += self.run::<usize>(&call).await?;
        }
        Ok(taken)
    }

    /// Gives tasks back unworked, at the end of a worker: they wait again at once, as if they had never been given out. Gives how
    /// many were still held.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked; the tasks come back when their lease is over.
    pub async fn hand_back(&self, receipts: &[Receipt]) -> Result<usize, QueueError> {
        let mut given_back = 0;
        for some in receipts.chunks(MOST_AT_ONCE) {
            let mut call = self.call(&HAND_BACK);
            some.iter().for_each(|receipt| receipt.name(&mut call));
            given_back += self.run::<usize>(&call).await?;
        }
        Ok(given_back)
    }

    /// How many tasks of these lanes wait in a newer form than this program's: a worker without work may say that it is too old.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn too_new(&self, lanes: &[Lane]) -> Result<u64, QueueError> {
        if lanes.is_empty() {
            return Ok(0);
        }
        Ok(self.view_lanes(lanes).await?.iter().map(|view| view.too_new).sum())
    }
}
