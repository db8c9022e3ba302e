//! How much of the time the device computes. Apart, because two threads look at it: the one that feeds the device, and the one that tells.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Measures it.
pub(super) struct Busy(Mutex<Inner>);

struct Inner {
    /// All that is over.
    computed: Duration,
    /// Since when it computes now.
    since: Option<Instant>,
    /// When somebody last looked, and how much it had been then.
    looked_at: Instant,
    computed_then: Duration,
}

impl Busy {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Inner { computed: Duration::ZERO, since: None, looked_at: Instant::now(), computed_then: Duration::ZERO }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what `work` takes.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> (T, Duration) {
        let started = Instant::now();
        self.inner().since = Some(started);
        let done = work();
        let took = started.elapsed();
        let mut inner = self.inner();
        inner.since = None;
        inner.computed += took;
        (done, took)
    }

    /// All of the time that it computed.
    pub(super) fn total(&self) -> Duration {
        self.inner().total(Instant::now())
    }

    /// The share of the time since the last look, 0..=1.
    pub(super) fn share_since_last_look(&self) -> f32 {
        let now = Instant::now();
        let mut inner = self.inner();
        let total = inner.total(now);
        let (computed, span) = (total.saturating_sub(inner.computed_then), now.saturating_duration_since(inner.looked_at));
        inner.looked_at = now;
        inner.computed_then = total;
        if span.is_zero() { 0.0 } else { (computed.as_secs_f32() / span.as_secs_f32()).clamp(0.0, 1.0) }
    }
}

impl Inner {
    fn total(&self, now: Instant) -> Duration {
        self.computed + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn work_under_way_counts_and_none_counts_nothing() {
        let busy = Busy::new();
        thread::sleep(Duration::from_millis(20));
        assert_eq!(busy.share_since_last_look(), 0.0);
        let share = thread::scope(|scope| {
            scope.spawn(|| busy.during(|| thread::sleep(Duration::from_millis(120))));
            thread::sleep(Duration::from_millis(80));
            busy.share_since_last_look()
        });
        assert!(share > 0.3, "{share}");
        assert!(busy.total() >= Duration::from_millis(120), "{:?}", busy.total());
    }
}
