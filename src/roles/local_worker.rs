//! The worker that `hm serve` starts on its own machine: a child that stands back for everything else and ends with the server.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::{
    config::Config,
    infer::shelf::{Shelf, Shelved},
};

/// Between two looks at the child and the shelf.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Between two looks at the shelf while it is empty.
const SHELF_EVERY: Duration = Duration::from_secs(5);
/// Pauses before a worker that ended by itself is started again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A worker that ran this long was well.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// How long a worker may take to end: a batch on a slow machine, and what it gives back.
const END_PATIENCE: Duration = Duration::from_secs(15);

/// Looks after the child until it is stopped.
pub(super) struct LocalWorker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// How to start the child.
struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    shelf: Shelf,
}

impl LocalWorker {
    /// Starts a worker as soon as there is a network for it to run.
    ///
    /// # Errors
    /// When this program cannot be found.
    pub(super) fn start(config: &Config, mut arguments: Vec<OsString>) -> anyhow::Result<Self> {
        arguments.push("--beside-server".into());
        let path = std::env::current_exe().context("while looking for this program")?;
        let program = Program { path, arguments, shelf: Shelf::new(&config.models.dir) };
        let stop = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&stop);
        let thread = thread::Builder::new().name("local-worker".into()).spawn(move || look_after(&program, &of_thread))?;
        Ok(Self { stop, thread })
    }

    /// Ends the child, having given it time for what it is at.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the thread that looks after the worker panicked");
        }
    }
}

fn look_after(program: &Program, stop: &AtomicBool) {
    let mut pause = FIRST_PAUSE;
    while wait_for_network(&program.shelf, stop) {
        let started = Instant::now();
        match program.start() {
            Ok(mut child) => {
                tracing::info!(process.id = child.id(), "a worker runs the networks on this machine");
                let Some(how) = wait_for_end(&mut child, stop) else { return };
                tracing::warn!("the worker on this machine has ended ({how}), and is started again");
            }
            Err(error) => tracing::error!("the worker on this machine cannot be started: {error}"),
        }
        if started.elapsed() > WELL_AFTER {
            pause = FIRST_PAUSE;
        }
        if !sleep(pause, stop) {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Waits until a network is imported that works on pictures by itself; false at the end.
fn wait_for_network(shelf: &Shelf, stop: &AtomicBool) -> bool {
    while !stop.load(Ordering::Relaxed) {
        // Folders that are no networks are told by those who import.
        let (networks, _) = shelf.survey().unwrap_or_default();
        if networks.iter().any(|network: &Shelved| network.lane().is_some()) {
            return true;
        }
        sleep(SHELF_EVERY, stop);
    }
    false
}

impl Program {
    fn start(&self) -> std::io::Result<Child> {
        // Its standard input is the sign that we live, and closes when we are killed.
        Command::new(&self.path).args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()
    }
}

/// Waits until the child ends by itself, and says how; none when we ended it.
fn wait_for_end(child: &mut Child, stop: &AtomicBool) -> Option<String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.to_string()),
            Ok(None) => {}
            Err(error) => return Some(error.to_string()),
        }
        if !sleep(LOOK_EVERY, stop) {
            end(child);
            return None;
        }
    }
}

fn end(child: &mut Child) {
    drop(child.stdin.take());
    let started = Instant::now();
    while started.elapsed() < END_PATIENCE {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    tracing::warn!("the worker on this machine does not end, and is ended by force; what it held goes to others");
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::debug!(%error, "the worker was gone already");
    }
}

/// Waits; false when `stop` says so.
fn sleep(pause: Duration, stop: &AtomicBool) -> bool {
    /// How long a wish to stop may go unnoticed.
    const GLANCE: Duration = Duration::from_millis(50);
    let until = Instant::now() + pause;
    while !stop.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(GLANCE));
    }
    false
}
