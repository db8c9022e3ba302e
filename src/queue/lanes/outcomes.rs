//! The server's side of the answers: they are taken by one server, stored by it, and settled.

use std::time::Duration;

use super::{
    Looks, MOST_AT_ONCE,
    claim::UNREADABLE_RESTS_MS,
    ms,
    scripts::{SETTLE, TAKE},
    wire::{Buried, Letter, read_outcome, write_task},
};
use crate::{
    models::task::Outcome,
    queue::{Queue, QueueError},
};

/// Names an outcome that a server has taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeliveryId {
    version: u32,
    id: String,
}

/// As the script gives it: version, id, lane, image, worker, outcome.
type Taken = (u32, String, String, String, String, Vec<u8>);

/// What becomes of an outcome.
struct Settlement<'a> {
    delivery: &'a DeliveryId,
    lane: &'a str,
    image: &'a str,
    worker: &'a str,
    verdict: &'static str,
    /// `VERSION:KIND` of a new try, or the version of one that is kept.
    stream: String,
    delay_ms: u64,
    text: String,
}

impl Queue {
    /// Takes up to `most` outcomes (at most 1,000) for the server called `consumer`; other servers get others. First come those
    /// that a server took and did not settle within the lease: it ended, or its database did not answer. Without any it looks again
    /// until `wait` is over, and gives an empty list; no connection is held meanwhile.
    ///
    /// The same outcome may come twice, so storing one must be an upsert. An answer that cannot be read comes as a failure of its
    /// task; outcomes of a newer form wait for a newer server ([`Queue::outcomes`] counts them).
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked; what was taken all the same comes again after the lease.
    pub async fn take_outcomes(&self, consumer: &str, most: usize, wait: Duration) -> Result<Vec<(DeliveryId, Outcome)>, QueueError> {
        let mut looks = Looks::new(wait);
        loop {
            let mut call = self.call(&TAKE);
            call.arg(consumer).arg(self.settings.wire_version).arg(most.clamp(1, MOST_AT_ONCE)).arg(ms(self.settings.lease));
            let taken: Vec<Taken> = self.run(&call).await?;
            let was_given_something = !taken.is_empty();
            let outcomes = self.sort_out_taken(taken).await?;
            if !outcomes.is_empty() {
                return Ok(outcomes);
            }
            if !was_given_something && !looks.pause().await {
                return Ok(Vec::new());
            }
        }
    }

    /// Reads what was taken; what nobody can read is buried, and what is too new waits for a newer server.
    async fn sort_out_taken(&self, taken: Vec<Taken>) -> Result<Vec<(DeliveryId, Outcome)>, QueueError> {
        let mut outcomes = Vec::with_capacity(taken.len());
        for (version, id, lane, image, worker, text) in taken {
            let delivery = DeliveryId { version, id };
            let (verdict, stream, text) = match read_outcome(&text, self.settings.wire_version) {
                Letter::Known(outcome) => {
                    outcomes.push((delivery, outcome));
                    continue;
                }
                Letter::Newer(version) => ("keep", version.to_string(), String::new()),
                Letter::Unreadable(error) => {
                    tracing::warn!(task.lane = lane, image.id = image, worker = worker, error, "an outcome cannot be read");
                    ("bury", String::new(), Buried::new("outcomes", &image, &error, &text).written())
                }
            };
            let (lane, image, worker) = (&*lane, &*image, &*worker);
            let delay_ms = UNREADABLE_RESTS_MS;
            self.settle(&[Settlement { delivery: &delivery, lane, image, worker, verdict, stream, delay_ms, text }]).await?;
        }
        Ok(outcomes)
    }

    /// Says that the database has these outcomes: they are removed and counted, and their images may be asked about again. One with
    /// a [next try](super::Settings::next_try) is not final: the database need not have it, and its task waits again after its rest.
    ///
    /// Settling twice, or what another server has settled, changes nothing.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked; the same may be settled again, and comes again after the lease.
    pub async fn settle_outcomes(&self, outcomes: &[(DeliveryId, Outcome)]) -> Result<(), QueueError> {
        for some in outcomes.chunks(MOST_AT_ONCE) {
            let names: Vec<(String, String)> = some.iter().map(|(_, outcome)| names(outcome)).collect();
            let settlements = some.iter().zip(&names).map(|((delivery, outcome), (lane, image))| {
                let settlement = |verdict, stream, delay_ms, text| {
                    let worker = outcome.worker.as_str();
                    Settlement { delivery, lane, image, worker, verdict, stream, delay_ms, text }
                };
                match self.settings.next_try(outcome) {
                    Some(task) => {
                        let stream = format!("{}:{}", self.settings.wire_version, task.priority.as_str());
                        let text = write_task(self.settings.wire_version, &task);
                        settlement("retry", stream, ms(self.settings.backoff(task.attempt)), text)
                    }
                    None if outcome.answer.is_ok() => settlement("done", String::new(), 0, String::new()),
                    None => settlement("failed", String::new(), 0, String::new()),
                }
            });
            self.settle(&settlements.collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    async fn settle(&self, settlements: &[Settlement<'_>]) -> Result<(), QueueError> {
        let mut call = self.call(&SETTLE);
        for settlement in settlements {
            call.arg(settlement.delivery.version).arg(&settlement.delivery.id);
            call.arg(settlement.lane).arg(settlement.image).arg(settlement.worker).arg(settlement.verdict);
            call.arg(&settlement.stream).arg(settlement.delay_ms).arg(&settlement.text);
        }
        self.run(&call).await
    }
}

/// The names of lane and image in Redis.
fn names(outcome: &Outcome) -> (String, String) {
    (outcome.task.lane.to_string(), outcome.task.image.to_string())
}
