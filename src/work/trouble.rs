//! Something that is away: it is said once, tried again at growing pauses, and said again when it is back. Apart, because all that a worker
//! needs from others may be away for an hour.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// The first pause, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long it may take until a wish to stop is noticed.
const GLANCE: Duration = Duration::from_millis(50);

/// What is known of one thing that may be away.
pub(super) struct Trouble {
    what: &'static str,
    is_away: AtomicBool,
}

impl Trouble {
    pub(super) fn with(what: &'static str) -> Self {
        Self { what, is_away: AtomicBool::new(false) }
    }

    /// Notes that it did not answer.
    pub(super) fn away(&self, error: &dyn fmt::Display) {
        if self.is_away.swap(true, Ordering::Relaxed) {
            tracing::debug!("{} is still away: {error}", self.what);
        } else {
            tracing::warn!("{} does not answer, and is asked again until it does: {error}", self.what);
        }
    }

    /// Notes that it answered.
    pub(super) fn back(&self) {
        if self.is_away.swap(false, Ordering::Relaxed) {
            tracing::info!("{} answers again", self.what);
        }
    }
}

/// Growing pauses.
pub(super) struct Pauses(Duration);

impl Pauses {
    pub(super) fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    /// Waits; false when `stop` says so.
    pub(super) fn wait(&mut self, stop: &AtomicBool) -> bool {
        // Not all workers of a server at the same moment.
        let pause = self.0.mul_f32(rand::random_range(0.8..1.2));
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
        sleep(pause, stop)
    }
}

/// Waits; false when `stop` says so.
pub(super) fn sleep(pause: Duration, stop: &AtomicBool) -> bool {
    let until = std::time::Instant::now() + pause;
    while !stop.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(GLANCE));
    }
    false
}
