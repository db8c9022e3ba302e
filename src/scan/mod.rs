//! Find and file: walks a vault, reads what changed, groups files into images, and writes what it found.
//!
//! [`scan_library`] writes to the database; [`scan_directory`] needs none and returns rows. Both share everything up to the
//! grouping, so a dry run says what a scan would do. May import models, media, db, export
//! and config.

pub mod group;
pub mod merge;

mod directory;
mod ingest;
mod library;
mod moment;
mod progress;
mod read;
mod recognise;
mod resolve;
mod run;
mod vault;
mod walk;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

pub use directory::{ScannedDirectory, scan_directory, scan_directory_with};
pub use library::{LibraryScan, scan_library};
pub use progress::{Problem, Summary};
pub use vault::VaultError;

use crate::{
    config::ScanConfig,
    media::{MetaOptions, MetaReader},
};

/// How to scan.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// Read also files whose size and time are as before.
    pub full: bool,
    /// Folders walked, and files read, at the same time.
    pub threads: usize,
    /// Child processes that read metadata.
    pub metadata_workers: usize,
    /// Patience with one file.
    pub metadata_timeout: Duration,
    /// Program to start metadata children from; `None` is this program.
    pub program: Option<PathBuf>,
    /// Files a transaction.
    pub batch_size: usize,
    /// Raise it to end the scan after the batch in flight.
    pub stop: Arc<AtomicBool>,
}

impl ScanOptions {
    /// As configured, with the machine's own numbers for what is 0.
    pub fn new(config: &ScanConfig) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get);
        let or = |configured: usize, default: usize| if configured == 0 { default } else { configured };
        Self {
            full: false,
            threads: or(config.threads, (cores * 4).max(16)),
            metadata_workers: or(config.metadata_workers, cores),
            metadata_timeout: Duration::from_secs(config.metadata_timeout_s),
            program: None,
            batch_size: config.batch_size,
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    fn reader(&self) -> MetaReader {
        MetaReader::new(MetaOptions { workers: self.metadata_workers, timeout: self.metadata_timeout, program: self.program.clone() })
    }
}

/// What a scan tells while it runs.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event<'a> {
    /// A vault's turn begins.
    Vault {
        /// Its name.
        name: &'a str,
        /// Where it is mounted here.
        path: &'a str,
        /// Where it was mounted before, if it was found elsewhere just now.
        #[serde(skip_serializing_if = "Option::is_none")]
        moved_from: Option<&'a str>,
    },
    /// How far it is; several times a second.
    Progress(&'a Summary),
}

/// Tells `on_event` how far the scan is until `done` is dropped, and calls `beat` every few seconds.
fn tick(
    progress: &progress::Progress,
    done: &std::sync::mpsc::Receiver<()>,
    on_event: &dyn Fn(&Event<'_>),
    mut beat: impl FnMut(&Summary),
) {
    /// Between two looks at the counters.
    const TICK: Duration = Duration::from_millis(250);
    /// Looks between two beats.
    const TICKS_A_BEAT: u32 = 8;
    let mut ticks = 0;
    while done.recv_timeout(TICK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        let summary = progress.summary();
        on_event(&Event::Progress(&summary));
        ticks += 1;
        if ticks % TICKS_A_BEAT == 1 {
            beat(&summary);
        }
    }
}
