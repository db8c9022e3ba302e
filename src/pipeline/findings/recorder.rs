//! The recorder: what workers answer goes into the database, and only then is it settled.

use super::{Health, PAUSE_AFTER_TROUBLE, Shared};
use crate::{
    db::{
        results::{Recorded, record},
        status::ping,
    },
    models::task::{Failure, Outcome},
    queue::DeliveryId,
};

use std::time::Duration;

/// Outcomes written in one transaction.
const OUTCOMES_AT_ONCE: usize = 500;
/// How long the queue is asked for outcomes before it is asked again.
const WAIT: Duration = Duration::from_secs(1);
/// How often a batch is tried whole while the database answers otherwise.
const TRIES_AS_ONE: usize = 3;

impl Shared {
    /// Records outcomes until the end.
    pub(super) fn record(&self) {
        let mut health = Health::new("what workers answer waits until the queue and the database answer");
        while !self.is_stopping() {
            let taken = self.tell(self.context.queue.take_outcomes(&self.context.consumer, OUTCOMES_AT_ONCE, WAIT));
            health.note(taken.as_ref().err());
            match taken {
                Ok(taken) if taken.is_empty() => {}
                Ok(taken) => self.take(&taken, &mut health),
                Err(_) => self.rest(PAUSE_AFTER_TROUBLE),
            }
        }
    }

    /// Writes outcomes down and settles them. At the end of the program those that could not be written stay as they are: they come again.
    fn take(&self, taken: &[(DeliveryId, Outcome)], health: &mut Health) {
        let settings = self.context.queue.settings();
        let last_words: Vec<Outcome> =
            taken.iter().filter(|(_, outcome)| settings.next_try(outcome).is_none()).map(|(_, outcome)| outcome.clone()).collect();
        if !last_words.is_empty() && !self.write(&last_words, health) {
            return;
        }
        while let Err(error) = self.tell(self.context.queue.settle_outcomes(taken)) {
            health.note(Some(&error));
            if self.is_stopping() {
                return;
            }
            self.rest(PAUSE_AFTER_TROUBLE);
        }
        health.note(None::<&String>);
    }

    /// Writes outcomes down, however long the database is away; false when the end came before.
    fn write(&self, outcomes: &[Outcome], health: &mut Health) -> bool {
        let mut tries = 0;
        loop {
            let error = match self.ask(|conn| record(conn, outcomes)) {
                Ok(Recorded { answered, failed, dropped }) => {
                    tracing::debug!(answered, failed, dropped, "answers recorded");
                    return true;
                }
                Err(error) => error,
            };
            if self.is_stopping() {
                return false;
            }
            if self.ask(|conn| ping(conn)).is_err() {
                health.note(Some(&error));
                self.rest(PAUSE_AFTER_TROUBLE);
                continue;
            }
            tries += 1;
            tracing::debug!(%error, tries, "answers could not be recorded");
            if tries == TRIES_AS_ONE {
                self.write_one_by_one(outcomes);
                return true;
            }
        }
    }

    /// One answer that the database refuses must not keep all others from being written.
    fn write_one_by_one(&self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let one = std::slice::from_ref(outcome);
            let Err(error) = self.ask(|conn| record(conn, one)) else { continue };
            let image = outcome.task.image;
            tracing::error!(image.id = %image, network.lane = %outcome.task.lane, %error, "an answer cannot be recorded");
            let answer = Err(Failure { error: "the database does not take the answer".to_owned(), is_passing: false });
            let failure = Outcome { answer, ..outcome.clone() };
            if let Err(error) = self.ask(|conn| record(conn, std::slice::from_ref(&failure))) {
                tracing::error!(image.id = %image, %error, "nor can that it failed; it will be asked for again");
            }
        }
    }
}
