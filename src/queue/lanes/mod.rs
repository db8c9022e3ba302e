//! Tasks for the networks: lanes of streams with consumer groups, from the server to the workers and back.
//!
//! ```text
//! server  enqueue → lane: screen, new, backlog ──claim──→ worker
//!            ↑                                     │ heartbeat keeps the lease
//!            │ delayed, until due                  ↓
//!         settle ←── database ←──take── outcomes ←─answer
//! ```
//!
//! A task is known by lane and image; there is at most one of them at a time. Its mark says where it is:
//!
//! ```text
//! s VERSION:KIND ID   in that stream, waiting or held by a worker (then it is in the group's list of pending entries)
//! d                   put aside until it is due: it failed, or its worker ended for the second time
//! a VERSION ID        answered: the outcome waits for the database
//! ```
//!
//! Every delivery has an id of its own: a task that comes back to its lane comes back as a new entry. An answer under an id that
//! is no longer held changes nothing, so that duplicates and lost leases are harmless. All times are Redis' own.
//!
//! Versions of the wire format have streams of their own. A worker claims from those it knows and leaves the others to newer workers;
//! a server does the same with outcomes.
//!
//! ```text
//! lanes                           the lanes that have had tasks (set)
//! lane:LANE:VERSION:KIND          KIND screen, suspect, new, backlog: streams of image, deaths, task; group `workers`
//! lane:LANE:versions              which versions there are (set)
//! lane:LANE:marks                 image → mark (hash)
//! lane:LANE:delayed               image by when it is due (sorted set); -tasks: image → `VERSION:KIND DEATHS TASK`, or `-`
//! lane:LANE:state                 paused, served, done, failed (hash)
//! lane:LANE:recent                what was done in the last five minutes (hash, a ring)
//! outcomes:VERSION                stream of lane, image, worker, outcome; group `servers`
//! outcome-versions                which versions there are (set)
//! workers                         worker by its last heartbeat (sorted set)
//! worker:ID, worker:ID:recent     card, done, failed (hash); as above. Both run out.
//! offers, offer-facts             lane by when its offer ends (sorted set); lane → what a worker must know (hash)
//! buried                          the 100 newest texts that nobody could read (list)
//! turn                            how many claims were served (number)
//! ```

mod claim;
mod fill;
mod offers;
mod outcomes;
mod reap;
mod scripts;
mod views;
mod wire;
mod workers;

use std::time::Duration;

use deadpool_redis::redis;

pub use claim::{Claimed, Receipt};
pub use offers::LaneOffer;
pub use outcomes::DeliveryId;
pub use reap::Reaped;
pub use views::{LaneDepth, LaneView, OutcomesView};
pub use wire::Buried;
pub use workers::{WorkerCard, WorkerView};

use super::{Queue, QueueError};
use crate::models::task::{Outcome, Task, WIRE_VERSION};

/// Tasks or outcomes handed to Redis in one step: what a script takes, others wait.
const MOST_AT_ONCE: usize = 1_000;

/// The first pause between two looks for something to do, and the longest.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LONGEST_LOOK: Duration = Duration::from_millis(200);

/// What the parts of a library agree on. Servers and workers of one library have the same settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The newest form of tasks and outcomes that this program reads, and the one it writes.
    pub wire_version: u32,
    /// How long a worker may be silent before its tasks go to others. It beats four times as often. The same for servers that
    /// have taken outcomes.
    pub lease: Duration,
    /// How long a task rests after its first passing failure. Each further failure doubles it.
    pub first_backoff: Duration,
    /// How long it rests at most.
    pub longest_backoff: Duration,
    /// How many passing failures a task may have, the last of which is final.
    pub most_attempts: u32,
    /// How many workers may end while they hold a task, before it is taken for the cause.
    pub most_deaths: u32,
    /// How long a silent worker is still listed.
    pub worker_is_remembered: Duration,
    /// How long an offer of a lane holds; the server renews it well before.
    pub offer_lasts: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            wire_version: WIRE_VERSION,
            lease: Duration::from_secs(60),
            first_backoff: Duration::from_secs(5),
            longest_backoff: Duration::from_secs(600),
            most_attempts: 5,
            most_deaths: 5,
            worker_is_remembered: Duration::from_secs(24 * 3600),
            offer_lasts: Duration::from_secs(120),
        }
    }
}

impl Settings {
    /// How often a worker says that it lives.
    pub fn beat(&self) -> Duration {
        self.lease / 4
    }

    /// How long a task rests that has failed this many times, once or more.
    pub fn backoff(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first_backoff.saturating_mul(doubled).min(self.longest_backoff)
    }

    /// What is asked again after this outcome: the failure is a passing one, and not the last that is allowed. None when the
    /// outcome is final, and the database should have it.
    pub fn next_try(&self, outcome: &Outcome) -> Option<Task> {
        let is_passing = outcome.answer.as_ref().is_err_and(|failure| failure.is_passing);
        let attempt = outcome.task.attempt.saturating_add(1);
        (is_passing && attempt < self.most_attempts).then(|| Task { attempt, ..outcome.task.clone() })
    }
}

impl Queue {
    /// The same queue with other settings, for tests.
    #[must_use]
    pub fn with_settings(&self, settings: Settings) -> Self {
        Self { settings, ..self.clone() }
    }

    /// What is agreed on.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What nobody could read, the newest first, with when that was noticed in milliseconds since 1970; 100 of them are kept.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn buried(&self) -> Result<Vec<(u64, Buried)>, QueueError> {
        let key = self.key("buried");
        let texts: Vec<String> = redis::cmd("LRANGE").arg(&key).arg(0).arg(-1).query_async(&mut self.connection().await?).await?;
        let read = |text: &String| {
            let (at_ms, what) = text.split_once(' ')?;
            Some((at_ms.parse().ok()?, serde_json::from_str(what).ok()?))
        };
        texts.into_iter().map(|text| read(&text).ok_or(QueueError::Foreign { key: key.clone(), found: text })).collect()
    }
}

/// The pauses between looks for something to do, until `wait` is over; no connection is held meanwhile.
struct Looks {
    until: tokio::time::Instant,
    next: Duration,
}

impl Looks {
    fn new(wait: Duration) -> Self {
        Self { until: tokio::time::Instant::now() + wait, next: FIRST_LOOK }
    }

    /// Waits; false when there is no time left to look again.
    async fn pause(&mut self) -> bool {
        let left = self.until.saturating_duration_since(tokio::time::Instant::now());
        if left.is_zero() {
            return false;
        }
        tokio::time::sleep(self.next.min(left)).await;
        self.next = (self.next * 2).min(LONGEST_LOOK);
        true
    }
}

/// A length of time as Redis takes it.
fn ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{
        ImageId, PictureKey,
        task::{Failure, Priority},
    };

    #[test]
    fn rests_double_up_to_the_longest() {
        let settings = Settings::default();
        let rests: Vec<u64> = [1, 2, 3, 8, 9, 40, u32::MAX].map(|failures| settings.backoff(failures).as_secs()).into();
        assert_eq!(rests, [5, 10, 20, 600, 600, 600, 600]);
    }

    #[test]
    fn only_passing_failures_are_tried_again_and_not_for_ever() {
        let settings = Settings::default();
        let outcome = |attempt, is_passing| {
            let (lane, picture) = ("embed/clip@1".parse().unwrap(), PictureKey::of(&[1; 16], 2, None));
            let task = Task { lane, image: ImageId(1), picture, priority: Priority::New, attempt };
            Outcome { task, worker: String::new(), took_ms: 0.0, answer: Err(Failure { error: String::new(), is_passing }) }
        };
        assert_eq!(settings.next_try(&outcome(0, true)).map(|task| task.attempt), Some(1));
        assert_eq!(settings.next_try(&outcome(3, true)).map(|task| task.attempt), Some(4));
        assert_eq!(settings.next_try(&outcome(4, true)), None);
        assert_eq!(settings.next_try(&outcome(0, false)), None);
    }
}
