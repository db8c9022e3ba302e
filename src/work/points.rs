//! Named points at which tests end a worker as a power cut would. Apart, so that a program that people use has none of it: outside of debug
//! builds nothing is looked up and nothing happens.

/// Where a worker is with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// It has the task.
    Claimed,
    /// It has the picture.
    Fetched,
    /// The picture is as the network takes it.
    Prepared,
    /// The network has run.
    Computed,
    /// The queue has the answers.
    Answered,
}

/// Ends the process here when `HM_TEST_DIE_AT` says so: `computed`, or `computed:3` for the third time.
#[cfg(debug_assertions)]
pub(super) fn pass(point: Point) {
    use std::sync::atomic::{AtomicU32, Ordering};

    static PASSED: AtomicU32 = AtomicU32::new(0);
    let Ok(wanted) = std::env::var("HM_TEST_DIE_AT") else { return };
    let (name, times) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if name != format!("{point:?}").to_lowercase() {
        return;
    }
    if PASSED.fetch_add(1, Ordering::Relaxed) + 1 >= times.parse().unwrap_or(1) {
        // Whatever else this process is doing: nothing of it goes on.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(super) fn pass(_: Point) {}
