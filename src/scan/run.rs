//! One scan of one vault: walk, read and write at the same time, with bounded work in flight.
//!
//! The walk runs ahead (a listing is small), so that the number of files is known early and time left can be told. Reading takes
//! folders from it as long as fewer than a bounded number of files are on their way to the writer.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use super::{
    progress::{Progress, add},
    read::{FolderScan, Memory, Reading},
    walk::{Listing, Walk},
};
use crate::{media::MetaReader, models::RelPath};

/// Files that may be read and not yet written at any time; bounds memory.
const FILES_IN_FLIGHT: usize = 20_000;

/// What one scan works on.
pub(crate) struct Run<'a> {
    pub(crate) mount: &'a Path,
    pub(crate) other_vaults: &'a [PathBuf],
    pub(crate) reader: &'a MetaReader,
    pub(crate) full: bool,
    /// See [`Reading::for_database`].
    pub(crate) for_database: bool,
    pub(crate) threads: usize,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) progress: &'a Progress,
}

/// Where to begin.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) folder: RelPath,
    /// Whether folders below count too.
    pub(crate) recursive: bool,
    /// Whether to look into the folder even where its listing is as before.
    pub(crate) forced: bool,
}

/// The folders a scan listed: what was not among them may be gone.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    complete: HashSet<RelPath>,
    incomplete: HashSet<RelPath>,
}

impl Visited {
    /// Whether a folder that was not visited is surely gone: its nearest listed ancestor was seen whole, and it was not in it.
    pub(crate) fn is_gone(&self, folder: &RelPath) -> bool {
        if self.complete.contains(folder) || self.incomplete.contains(folder) {
            return false;
        }
        let mut ancestor = folder.parent();
        while let Some(path) = ancestor {
            if self.complete.contains(&path) {
                return true;
            }
            if self.incomplete.contains(&path) {
                return false;
            }
            ancestor = path.parent();
        }
        false
    }
}

impl Run<'_> {
    /// Scans from `starts`, handing each folder with something new to `write` on this thread.
    ///
    /// # Errors
    /// What `memory` or `write` failed with; the scan stops there.
    pub(crate) fn run(
        &self,
        starts: &[Start],
        memory: &dyn Memory,
        mut write: impl FnMut(FolderScan) -> anyhow::Result<()>,
    ) -> anyhow::Result<Visited> {
        let pool = |name: &'static str| {
            rayon::ThreadPoolBuilder::new().num_threads(self.threads).thread_name(move |n| format!("{name}-{n}")).build()
        };
        let (walkers, readers) = (pool("walk")?, pool("read")?);
        let in_flight = InFlight::new();
        // Raised when writing fails, so that walk and read end too; the caller's own flag stays as it is.
        let failed = AtomicBool::new(false);
        let (listings, listed) = mpsc::channel::<(Listing, bool)>();
        let (scans, scanned) = mpsc::channel::<anyhow::Result<FolderScan>>();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                self.walk(&walkers, starts, listings);
                self.progress.walked.store(true, Ordering::Relaxed);
            });
            let reading = threads.spawn(|| self.read_all(&readers, listed, memory, scans, &in_flight, &failed));
            let mut outcome = Ok(());
            for scan in scanned {
                if outcome.is_ok() {
                    outcome = scan.and_then(|scan| {
                        let listed = scan.listed;
                        write(scan)?;
                        in_flight.leave(listed);
                        Ok(())
                    });
                    if outcome.is_err() {
                        failed.store(true, Ordering::Relaxed);
                        in_flight.open();
                    }
                }
            }
            let visited = reading.join().map_err(|_| anyhow::anyhow!("a reading thread panicked"))?;
            outcome.map(|()| visited)
        })
    }

    fn walk(&self, pool: &rayon::ThreadPool, starts: &[Start], listings: mpsc::Sender<(Listing, bool)>) {
        for start in starts {
            let (sender, receiver) = mpsc::channel();
            let walk = Walk { mount: self.mount, other_vaults: self.other_vaults, stop: self.stop };
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    if start.recursive {
                        walk.run(pool, start.folder.clone(), &sender);
                    } else {
                        walk.one(start.folder.clone(), &sender);
                    }
                    drop(sender);
                });
                for listing in receiver {
                    add(&self.progress.folders_seen, 1);
                    add(&self.progress.files_seen, listing.entries.len());
                    // A reader that is gone has failed or been stopped; its outcome says so.
                    let _ = listings.send((listing, start.forced));
                }
            });
        }
    }

    fn read_all(
        &self,
        pool: &rayon::ThreadPool,
        listed: mpsc::Receiver<(Listing, bool)>,
        memory: &dyn Memory,
        scans: mpsc::Sender<anyhow::Result<FolderScan>>,
        in_flight: &InFlight,
        failed: &AtomicBool,
    ) -> Visited {
        let mut visited = Visited::default();
        let stopped = || self.stop.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed);
        pool.in_place_scope(|scope| {
            for (listing, forced) in listed {
                for (path, message) in &listing.problems {
                    self.progress.problem(path, message);
                }
                let seen = if listing.complete { &mut visited.complete } else { &mut visited.incomplete };
                seen.insert(listing.folder.clone());
                if stopped() {
                    continue;
                }
                let known = memory.folder(&listing.folder);
                let unchanged = !forced && !self.full && known.is_some_and(|(_, digest)| digest == Some(listing.digest()));
                let nothing = listing.entries.is_empty() && known.is_none();
                if unchanged || nothing {
                    add(&self.progress.files_unchanged, listing.entries.len());
                    add(&self.progress.files_done, listing.entries.len());
                    continue;
                }
                let files = listing.entries.len();
                in_flight.enter(files);
                let scans = scans.clone();
                let known = known.map(|(id, _)| id);
                scope.spawn(move |_| {
                    let Run { mount, reader, full, for_database, stop, progress, .. } = *self;
                    let reading = Reading { reader, mount, full, for_database, stop, progress };
                    let rows = known.map_or_else(|| Ok(Vec::new()), |id| memory.files(id));
                    match rows.map(|rows| reading.read(listing, rows)).transpose() {
                        // A writer that is gone has failed; its outcome says so.
                        Some(scan) => drop(scans.send(scan)),
                        None => in_flight.leave(files),
                    }
                });
            }
        });
        visited
    }
}

/// How many files are between reading and writing; entering waits while there are too many.
struct InFlight {
    files: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl InFlight {
    fn new() -> Self {
        Self { files: Mutex::new((0, false)), changed: Condvar::new() }
    }

    fn enter(&self, files: usize) {
        let guard = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        // A folder larger than the limit still passes when it is alone.
        let mut guard = self
            .changed
            .wait_while(guard, |(now, open)| !*open && *now > 0 && *now + files > FILES_IN_FLIGHT)
            .unwrap_or_else(PoisonError::into_inner);
        guard.0 += files;
    }

    fn leave(&self, files: usize) {
        let mut guard = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        guard.0 = guard.0.saturating_sub(files);
        drop(guard);
        self.changed.notify_all();
    }

    fn open(&self) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::from_bytes(text.as_bytes()).unwrap()
    }

    #[test]
    fn only_what_a_whole_listing_lacks_is_gone() {
        let mut visited = Visited::default();
        visited.complete.extend([path(""), path("2019")]);
        visited.incomplete.insert(path("2020"));
        assert!(visited.is_gone(&path("2018")));
        assert!(visited.is_gone(&path("2019/08/03")));
        assert!(!visited.is_gone(&path("2019")));
        assert!(!visited.is_gone(&path("2020/01")), "an unreadable folder says nothing about what is below");
        assert!(!Visited::default().is_gone(&path("a")), "nothing was listed, so nothing is gone");
    }
}
