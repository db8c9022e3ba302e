//! What time brings: tasks that are due again, and those of workers that ended.

use super::{
    MOST_AT_ONCE,
    claim::Receipt,
    ms,
    scripts::REAP,
    wire::{Letter, read_task},
};
use crate::{
    models::task::{Failure, Outcome},
    queue::{Queue, QueueError},
};

/// What one look at the lanes brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Tasks that had rested and wait again.
    pub due: u64,
    /// Tasks that were taken from silent workers and wait again, at once or after a rest.
    pub put_back: u64,
    /// Tasks that too many workers ended with: each is now an outcome with a failure that says so.
    pub given_up: u64,
}

/// As the script gives it: lane, stream, id, image, worker, deaths, task.
type GivenUp = (String, String, String, String, String, u32, Vec<u8>);

impl Queue {
    /// Looks after the lanes; a server does so every second or so, and several may. Up to 1,000 tasks of a stream at a time.
    ///
    /// - Tasks that rested long enough wait again.
    /// - Tasks of workers that were silent for a lease wait again: after the first such death at once, later after a rest, and
    ///   from then on each is given out alone. When [`most_deaths`](super::Settings::most_deaths) workers have ended with one, it
    ///   becomes an outcome with a failure.
    /// - Consumers and workers that are long gone are forgotten.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked; the next look does what is left.
    pub async fn reap(&self) -> Result<Reaped, QueueError> {
        let settings = &self.settings;
        let mut call = self.call(&REAP);
        call.arg(ms(settings.lease)).arg(settings.most_deaths.max(1));
        call.arg(ms(settings.first_backoff)).arg(ms(settings.longest_backoff));
        call.arg(MOST_AT_ONCE).arg(ms(settings.worker_is_remembered));
        let (due, put_back, given_up): (u64, u64, Vec<GivenUp>) = self.run(&call).await?;
        let mut reaped = Reaped { due, put_back, given_up: 0 };
        for (lane, stream, id, image, worker, deaths, text) in given_up {
            let receipt = Receipt::new(&lane, &stream, &id, &image);
            match read_task(&text, settings.wire_version) {
                Letter::Known(task) => {
                    let error = format!("the worker ended while working on it, {deaths} times; the last was `{worker}`");
                    let answer = Err(Failure { error, is_passing: false });
                    let outcome = Outcome { task, worker, took_ms: 0.0, answer };
                    reaped.given_up += self.answer(&[(receipt, outcome)]).await? as u64;
                }
                // A newer server knows what to say.
                Letter::Newer(_) => {}
                Letter::Unreadable(error) => self.bury(&receipt, &error, &text).await?,
            }
        }
        Ok(reaped)
    }
}
