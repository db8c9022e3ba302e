//! Names coordinates in the background: of a library that was filled by an older hm, or when the names themselves are newer.
//!
//! It asks the database what lacks a name, a thousand at a time with a breath in between, so that it may be ended anywhere.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::db::{Db, DbError, places::name_coordinates};

const IMAGES_AT_ONCE: i64 = 1000;
const BREATH: Duration = Duration::from_millis(50);
/// Before the first look: a server that starts has its pages to show first.
const START: Duration = Duration::from_secs(5);
/// Between two looks when nothing lacked a name.
const REST: Duration = Duration::from_secs(60);

/// The running thread.
pub struct PlaceNamer {
    stopped: Arc<(Mutex<bool>, Condvar)>,
    thread: JoinHandle<()>,
}

impl PlaceNamer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(db: Db) -> std::io::Result<Self> {
        let stopped: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        let of_thread = Arc::clone(&stopped);
        let thread = thread::Builder::new().name("place-names".into()).spawn(move || work(&db, &of_thread))?;
        Ok(Self { stopped, thread })
    }

    /// Ends after the images in hand.
    pub fn stop(self) {
        *self.stopped.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stopped.1.notify_all();
        if self.thread.join().is_err() {
            tracing::error!("the thread that names places panicked");
        }
    }
}

fn work(db: &Db, (stopped, changed): &(Mutex<bool>, Condvar)) {
    let mut named = 0;
    let mut pause = START;
    loop {
        let wait = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let (is_stopped, _) = changed.wait_timeout_while(wait, pause, |stopped| !*stopped).unwrap_or_else(PoisonError::into_inner);
        if *is_stopped {
            return;
        }
        drop(is_stopped);
        pause = match round(db) {
            Ok(0) => {
                if named > 0 {
                    tracing::info!(images = named, "the coordinates of {named} images have names now");
                }
                named = 0;
                REST
            }
            Ok(some) => {
                named += some;
                BREATH
            }
            Err(error) => {
                tracing::warn!(%error, "coordinates cannot be named now");
                REST
            }
        };
    }
}

fn round(db: &Db) -> Result<usize, DbError> {
    let mut conn = db.get()?;
    Ok(name_coordinates(&mut conn, IMAGES_AT_ONCE)?)
}
