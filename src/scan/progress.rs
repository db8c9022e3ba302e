//! How far a scan is: counters that every thread may raise, and what a person or a script is told of them.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::models::RelPath;

/// A file or folder that could not be read, in whole or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Path inside the vault, for people.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// Problems kept for the summary; all are counted, and all are in the database.
const PROBLEMS_KEPT: usize = 1000;

/// Counters of one scan.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    pub(crate) folders_seen: AtomicU64,
    pub(crate) files_seen: AtomicU64,
    pub(crate) files_unchanged: AtomicU64,
    pub(crate) files_read: AtomicU64,
    pub(crate) files_done: AtomicU64,
    pub(crate) files_moved: AtomicU64,
    pub(crate) files_missing: AtomicU64,
    pub(crate) images: AtomicU64,
    pub(crate) problems: AtomicU64,
    pub(crate) walked: AtomicBool,
    kept: Mutex<Vec<Problem>>,
}

/// What a scan did, or has done so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Folders listed.
    pub folders_seen: u64,
    /// Files of known formats listed.
    pub files_seen: u64,
    /// How many files there are to see, once the walk is through.
    pub files_total: Option<u64>,
    /// Files that were as before and were not opened.
    pub files_unchanged: u64,
    /// Files opened and read.
    pub files_read: u64,
    /// Files dealt with: unchanged, or read and written.
    pub files_done: u64,
    /// Files found again under another name or in another folder.
    pub files_moved: u64,
    /// Files that are gone from a healthy vault.
    pub files_missing: u64,
    /// Images written.
    pub images: u64,
    /// Files and folders that could not be read, in whole or in part.
    pub problems: u64,
    /// Seconds since the start.
    pub elapsed_s: f64,
    /// Files a second, over the whole run.
    pub rate_per_s: f64,
    /// Seconds left, once it can be said.
    pub eta_s: Option<f64>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            folders_seen: AtomicU64::new(0),
            files_seen: AtomicU64::new(0),
            files_unchanged: AtomicU64::new(0),
            files_read: AtomicU64::new(0),
            files_done: AtomicU64::new(0),
            files_moved: AtomicU64::new(0),
            files_missing: AtomicU64::new(0),
            images: AtomicU64::new(0),
            problems: AtomicU64::new(0),
            walked: AtomicBool::new(false),
            kept: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn problem(&self, path: &RelPath, message: &str) {
        self.problems.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if kept.len() < PROBLEMS_KEPT {
            kept.push(Problem { path: path.to_nfc(), message: message.to_owned() });
        }
    }

    pub(crate) fn problems_kept(&self) -> Vec<Problem> {
        let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        kept.sort_by(|one, other| one.path.cmp(&other.path));
        kept
    }

    pub(crate) fn summary(&self) -> Summary {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let elapsed = self.started.elapsed().max(Duration::from_millis(1)).as_secs_f64();
        let (seen, done) = (read(&self.files_seen), read(&self.files_done));
        let total = self.walked.load(Ordering::Relaxed).then_some(seen);
        let rate = done as f64 / elapsed;
        let eta_s = total.filter(|_| done > 0).map(|total| total.saturating_sub(done) as f64 / rate);
        Summary {
            folders_seen: read(&self.folders_seen),
            files_seen: seen,
            files_total: total,
            files_unchanged: read(&self.files_unchanged),
            files_read: read(&self.files_read),
            files_done: done,
            files_moved: read(&self.files_moved),
            files_missing: read(&self.files_missing),
            images: read(&self.images),
            problems: read(&self.problems),
            elapsed_s: elapsed,
            rate_per_s: rate,
            eta_s,
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}
