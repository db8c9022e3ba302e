//! Carries what people change into the sidecars, on the one host that may.
//!
//! The database says what is to be written; nothing is remembered here, so that a kill at any moment loses nothing and repeats at most a
//! write that says what the sidecar says already. A sidecar is only written in the state that the last scan compared with people's values:
//! one that somebody changed since is scanned first, which merges or finds the conflict. So there is one place where values come together,
//! and it is not here.
//!
//! One writer a vault: it holds a lock in the database while it writes, and so does a scan, each for the other.

mod batch;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

pub use self::batch::{BatchOutcome, WritableVault, writable_vaults, write_batch};
use crate::{
    config::VaultConfig,
    db::{Db, DbError},
    media::sidecar_write::file::RealDisk,
    models::{ImageId, VaultId},
};

/// How often the database is asked for something to write.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// A vault that refuses all writes (read-only, full, gone) is left alone for so long, then twice as long, …
const FIRST_REST: Duration = Duration::from_secs(60);
const LONGEST_REST: Duration = Duration::from_secs(60 * 60);
/// A folder whose scan was asked for is not asked for again so soon.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// How long a stop waits for the write in hand.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What the writer needs.
pub struct WriteBackContext {
    /// The truth.
    pub db: Db,
    /// This host's name in `vault_mounts`.
    pub host: String,
    /// The vaults of the configuration; only those with `write_back` are written to.
    pub vaults: BTreeMap<String, VaultConfig>,
    /// Asks for a scan of folders in which a sidecar was changed by somebody else.
    pub rescan: Box<dyn Fn(Vec<PathBuf>) + Send + Sync>,
}

/// The running writer.
pub struct SidecarWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    context: WriteBackContext,
    is_stopping: Arc<AtomicBool>,
    sleep: Mutex<bool>,
    woken: Condvar,
}

impl SidecarWriter {
    /// Starts the thread; `None` where no vault of this host is to be written to.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(context: WriteBackContext) -> std::io::Result<Option<Self>> {
        if !context.vaults.values().any(|vault| vault.write_back) {
            return Ok(None);
        }
        let shared = Arc::new(Shared { context, is_stopping: Arc::default(), sleep: Mutex::default(), woken: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("write-back".into()).spawn(move || of_thread.work())?;
        Ok(Some(Self { shared, thread: Some(thread) }))
    }

    /// Ends after the write in hand. A disk that hangs is not waited for: what it holds is whole either way.
    pub fn stop(mut self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        *self.shared.sleep.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.woken.notify_all();
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + STOP_PATIENCE;
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        if !thread.is_finished() {
            tracing::warn!("a sidecar is still being written to a disk that does not answer");
        } else if thread.join().is_err() {
            tracing::error!("the writer of sidecars panicked");
        }
    }
}

impl Shared {
    fn work(&self) {
        let mut memory = Memory::default();
        while !self.is_stopping.load(Ordering::Relaxed) {
            let more = match self.round(&mut memory) {
                Ok(more) => more,
                Err(error) => {
                    tracing::warn!(%error, "sidecars cannot be written now");
                    false
                }
            };
            if !more {
                let asleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
                drop(self.woken.wait_timeout_while(asleep, ASK_EVERY, |stopped| !*stopped).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Writes a batch of every vault that is not resting; says whether there may be more.
    fn round(&self, memory: &mut Memory) -> Result<bool, DbError> {
        let mut conn = self.context.db.get()?;
        let mut more = false;
        for vault in writable_vaults(&mut conn, &self.context.host, &self.context.vaults)? {
            let (id, name) = (vault.mounted.id, vault.mounted.name.as_str());
            if self.is_stopping.load(Ordering::Relaxed) || memory.rests.get(&id).is_some_and(|rest| Instant::now() < rest.until) {
                continue;
            }
            let after = memory.after.remove(&id);
            let outcome = write_batch(&mut conn, &RealDisk, &vault, after, &self.is_stopping)?;
            match &outcome.trouble {
                Some(trouble) => {
                    let rest = memory.rests.entry(id).and_modify(Rest::longer).or_insert_with(Rest::first);
                    tracing::warn!(vault.name = name, trouble, rest_s = rest.length.as_secs(), "the vault takes no sidecars now");
                }
                None if outcome.written > 0 => {
                    memory.rests.remove(&id);
                }
                None => {}
            }
            let folders: Vec<PathBuf> = outcome.changed_outside.iter().map(|folder| folder.on(&vault.mounted.mount)).collect();
            self.ask_for_scans(folders, memory);
            if outcome.written + outcome.failed > 0 {
                tracing::info!(vault.name = name, written = outcome.written, failed = outcome.failed, "sidecars written");
            }
            if let Some(last) = outcome.last {
                memory.after.insert(id, last);
                more = true;
            }
        }
        Ok(more)
    }

    /// Each folder once in a while only: a scan that changes nothing must not be asked for without end.
    fn ask_for_scans(&self, mut folders: Vec<PathBuf>, memory: &mut Memory) {
        memory.asked.retain(|_, asked| asked.elapsed() < ASK_AGAIN);
        folders.retain(|folder| !memory.asked.contains_key(folder));
        if !folders.is_empty() {
            memory.asked.extend(folders.iter().map(|folder| (folder.clone(), Instant::now())));
            (self.context.rescan)(folders);
        }
    }
}

/// What the thread knows beside the database; losing it costs a little time.
#[derive(Default)]
struct Memory {
    rests: HashMap<VaultId, Rest>,
    /// Where the next batch begins; none at the start.
    after: HashMap<VaultId, ImageId>,
    /// Folders whose scan was asked for.
    asked: HashMap<PathBuf, Instant>,
}

struct Rest {
    until: Instant,
    length: Duration,
}

impl Rest {
    fn first() -> Self {
        Self { until: Instant::now() + FIRST_REST, length: FIRST_REST }
    }

    fn longer(&mut self) {
        self.length = (self.length * 2).min(LONGEST_REST);
        self.until = Instant::now() + self.length;
    }
}
