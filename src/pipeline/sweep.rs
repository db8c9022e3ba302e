//! Old pictures leave the thumbnail directory: once an original has changed or is gone for good, nobody asks for its pictures again.
//!
//! A walk over the whole directory, a small piece at a time and only while no pictures are lacking, looks for files whose key no image
//! and no record of a picture names. It remembers nothing, so that it may be ended anywhere. What it does not know it leaves alone:
//! names that hm does not give, links, young files, and everything in a directory that another library uses too, or that has been this
//! one's alone for less than a week. Apart from the maker because it has nothing to do with making.

use std::{
    collections::VecDeque,
    path::PathBuf,
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::store::{Ownership, PictureStore, StoredPictures};
use crate::db::{Db, DbError, pictures};

/// Between two pieces of the walk; a piece is a 256th of the directory.
const PAUSE: Duration = Duration::from_secs(2);
/// From the end of one walk to the next.
const REST: Duration = Duration::from_secs(24 * 60 * 60);
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(10 * 60);
/// How often it is looked whether the server stops.
const NAP: Duration = Duration::from_millis(100);
/// Younger files may be on their way into the database.
const YOUNGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// So long nobody else has used the directory before anything is removed: a server that shares it says so when it starts.
const SOLE_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Keys in one question to the database.
const KEYS_AT_ONCE: usize = 2_000;

/// The walk over one thumbnail directory.
pub(super) struct Sweeper {
    db: Db,
    store: PictureStore,
    /// Whether anything may be removed at all.
    may_remove: bool,
    /// This library's name in the directory, once it is written there.
    library: Option<String>,
    /// Pieces of the directory that the present walk has still to look at.
    ahead: VecDeque<PathBuf>,
    next_at: Instant,
    removed_files: u64,
    removed_bytes: u64,
}

impl Sweeper {
    pub(super) fn new(db: Db, store: PictureStore, may_remove: bool) -> Self {
        let next_at = Instant::now();
        Self { db, store, may_remove, library: None, ahead: VecDeque::new(), next_at, removed_files: 0, removed_bytes: 0 }
    }

    /// Tells others whose directory this is, then walks until `is_stopping`, and rests while not `is_idle`.
    pub(super) fn run(mut self, is_stopping: impl Fn() -> bool, is_idle: impl Fn() -> bool) {
        while !is_stopping() {
            thread::sleep(NAP);
            let may_go_on = self.library.is_none() || (self.may_remove && is_idle());
            if Instant::now() < self.next_at || !may_go_on {
                continue;
            }
            let pause = self.step().unwrap_or_else(|error| {
                tracing::warn!("cannot look for old pictures: {error}");
                self.ahead.clear();
                PAUSE_AFTER_TROUBLE
            });
            self.next_at = Instant::now() + pause;
        }
    }

    /// The word to others, the start of a walk or a piece of it; how long to pause afterwards.
    fn step(&mut self) -> Result<Duration, SweepError> {
        let mut conn = self.db.get()?;
        let Some(library) = &self.library else {
            let library = pictures::find_library_id(&mut conn).map_err(DbError::from)?;
            self.store.ownership(&library)?;
            self.library = Some(library);
            return Ok(Duration::ZERO);
        };
        // Asked anew for every piece: another server may have come.
        match self.store.ownership(library)? {
            Ownership::Sole(since) if is_older(since, SOLE_FOR) => {}
            Ownership::Sole(_) => return Ok(REST),
            Ownership::Shared(others) => {
                tracing::info!(
                    "old pictures are kept: other libraries use the directory as well, by `{}`: {}\nhint: remove the file of one that is gone",
                    self.store.owners_dir().display(),
                    others.join(", ")
                );
                self.ahead.clear();
                return Ok(REST);
            }
        }
        if self.ahead.is_empty() {
            self.ahead = self.store.pieces()?.into();
        }
        let Some(piece) = self.ahead.pop_front() else { return Ok(REST) };
        let stored = self.store.pictures_in(&piece)?;
        for some in stored.chunks(KEYS_AT_ONCE) {
            let keys: Vec<&str> = some.iter().map(|pictures| pictures.key.as_str()).collect();
            let named = pictures::list_named_keys(&mut conn, &keys).map_err(DbError::from)?;
            let unnamed = some.iter().filter(|pictures| !named.contains(pictures.key.as_str()));
            unnamed.for_each(|pictures| self.remove(pictures));
        }
        if !self.ahead.is_empty() {
            return Ok(PAUSE);
        }
        if self.removed_files > 0 {
            tracing::info!(
                sweep.files = self.removed_files,
                sweep.bytes = self.removed_bytes,
                "removed {} files of pictures that no image names any more, {} MiB",
                self.removed_files,
                self.removed_bytes >> 20
            );
        }
        (self.removed_files, self.removed_bytes) = (0, 0);
        Ok(REST)
    }

    fn remove(&mut self, pictures: &StoredPictures) {
        let (files, bytes) = pictures.remove_if(|modified| is_older(modified, YOUNGEST));
        self.removed_files += files;
        self.removed_bytes += bytes;
    }
}

/// Times to come, as of a disk whose clock is wrong, are not old.
fn is_older(time: SystemTime, age: Duration) -> bool {
    SystemTime::now().duration_since(time).is_ok_and(|passed| passed > age)
}

/// Why a piece could not be looked at.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}
