//! Carries what people change into the sidecars, on the one host that may.
//!
//! The database says what is to be written; nothing is remembered here, so that a kill at any moment loses nothing and repeats at most a
//! write that says what the sidecar says already. A sidecar is only written in the state that the last scan compared with people's values:
//! one that somebody changed since is scanned first, which merges or finds the conflict. So there is one place where values come together,
//! and it is not here.
//!
//! One writer a vault: it holds a lock in the database while it writes, and so does a scan, each for the other.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    config::VaultConfig,
    db::{
        Db, DbError, PgConnection,
        edits::{self, WriteBack},
        sidecars::{self, SidecarNow},
        vaults::{self, MountedVault},
    },
    media::{
        MetaReader, fingerprint_of_content,
        sidecar_write::{
            edit,
            file::{self, Disk, Found, RealDisk, SidecarPath, WriteError, Written},
            name::{self, Pictured},
        },
    },
    models::{
        FileFormat, FileKind, ImageId, RelPath, VaultId,
        edit::{SidecarNaming, Value},
        nfc,
    },
};

/// How often the database is asked for something to write.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Images written before a scan may have its turn.
const BATCH: i64 = 200;
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

/// A vault that this host writes to.
#[derive(Debug, Clone)]
pub struct WritableVault {
    /// The vault here.
    pub mounted: MountedVault,
    /// How new sidecars are called.
    pub naming: SidecarNaming,
}

/// The vaults that this host writes to and that are there.
///
/// # Errors
/// When the database fails.
pub fn writable_vaults(
    conn: &mut PgConnection,
    host: &str,
    configured: &BTreeMap<String, VaultConfig>,
) -> Result<Vec<WritableVault>, DbError> {
    let mounted = vaults::list_mounted_vaults(conn, host)?;
    let writable = mounted.into_iter().filter_map(|mounted| {
        let config = configured.get(&mounted.name).filter(|config| config.write_back)?;
        Some(WritableVault { naming: config.sidecar_names, mounted })
    });
    Ok(writable.collect())
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchOutcome {
    /// Images whose sidecar says all now.
    pub written: usize,
    /// Images of which something could not be written; the outbox says why.
    pub failed: usize,
    /// Folders with sidecars that somebody else changed: to be scanned before anything is written there.
    pub changed_outside: BTreeSet<RelPath>,
    /// Why the whole vault takes nothing now.
    pub trouble: Option<String>,
    /// Where the next batch begins, where there may be one.
    pub last: Option<ImageId>,
}

/// Writes the sidecars of up to 200 images of a vault, from the image `after`. Does nothing while a scan or another writer has the vault.
///
/// # Errors
/// When the database fails; what is on the vault by then is whole, and is recognised by the next scan.
pub fn write_batch(
    conn: &mut PgConnection,
    disk: &impl Disk,
    vault: &WritableVault,
    after: Option<ImageId>,
    stop: &AtomicBool,
) -> Result<BatchOutcome, DbError> {
    let mut outcome = BatchOutcome::default();
    let id = vault.mounted.id;
    if edits::list_write_backs(conn, &[id], after, 1)?.is_empty() || !sidecars::try_lock_writing(conn, id)? {
        return Ok(outcome);
    }
    let batch = Batch { disk, vault, stop, reader: MetaReader::in_process() };
    let done = batch.run(conn, after, &mut outcome);
    sidecars::unlock_writing(conn, id)?;
    done.map(|()| outcome)
}

struct Batch<'a, D> {
    disk: &'a D,
    vault: &'a WritableVault,
    stop: &'a AtomicBool,
    reader: MetaReader,
}

/// The file to write.
struct Chosen {
    path: SidecarPath,
    /// The fingerprint by which the last scan knew it; `None` when it was not there.
    known: Option<Vec<u8>>,
}

/// What came of one image.
enum ImageOutcome {
    Written,
    /// Recorded as failed.
    Failed,
    /// The sidecar is not as the last scan saw it.
    ChangedOutside(RelPath),
    /// Nothing can be written to this vault now.
    Trouble(String),
}

impl<D: Disk> Batch<'_, D> {
    fn run(&self, conn: &mut PgConnection, after: Option<ImageId>, outcome: &mut BatchOutcome) -> Result<(), DbError> {
        if let Err(reason) = check_mount(&self.vault.mounted) {
            outcome.trouble = Some(reason);
            return Ok(());
        }
        let images = edits::list_write_backs(conn, &[self.vault.mounted.id], after, BATCH)?;
        outcome.last = images.last().filter(|_| images.len() == BATCH as usize).map(|image| image.image);
        for image in &images {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            match self.write_image(conn, image)? {
                ImageOutcome::Written => outcome.written += 1,
                ImageOutcome::Failed => outcome.failed += 1,
                ImageOutcome::ChangedOutside(folder) => {
                    outcome.changed_outside.insert(folder);
                }
                ImageOutcome::Trouble(reason) => {
                    outcome.failed += 1;
                    outcome.trouble = Some(reason);
                    break;
                }
            }
        }
        Ok(())
    }

    fn write_image(&self, conn: &mut PgConnection, image: &WriteBack) -> Result<ImageOutcome, DbError> {
        let failed = |conn: &mut PgConnection, reason: &str| -> Result<ImageOutcome, DbError> {
            edits::record_failed(conn, image.image, &image.fields, reason)?;
            Ok(ImageOutcome::Failed)
        };
        let Some(folder) = image.files.iter().find(|file| file.format.kind() != FileKind::Sidecar).and_then(|file| file.path.parent())
        else {
            return failed(conn, "none of its files with pixels is there");
        };
        let names = match list_names(&folder.on(&self.vault.mounted.mount)) {
            Ok(names) => names,
            // Moved or renamed: the next scan knows where to.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(ImageOutcome::ChangedOutside(folder)),
            Err(error) => return failed(conn, &format!("the folder `{folder}` cannot be listed: {error}")),
        };
        let Some(Chosen { path, known }) = self.choose(conn, image, &folder, &names)? else {
            return Ok(ImageOutcome::ChangedOutside(folder));
        };
        if names.iter().any(|name| file::is_leftover(name)) {
            // What cannot be removed now is in nobody's way.
            let _ = file::sweep(self.disk, &path);
        }
        let found = match file::look(self.disk, &path) {
            Ok(found) => found,
            Err(error) => return self.not_written(conn, image, folder, &error),
        };
        let print = found.as_ref().map(|found| fingerprint_of_content(&found.content).to_vec());
        if print != known {
            return Ok(ImageOutcome::ChangedOutside(folder));
        }
        let values: Vec<Value> = image.fields.iter().map(|field| field.value.clone()).collect();
        match self.write(conn, image, &path, found.as_ref(), &values)? {
            Ok(Some(written)) => match self.restored(&path, &written) {
                Some(outcome) => {
                    outcome.map_or_else(|error| failed(conn, &error.to_string()), |()| Ok(ImageOutcome::ChangedOutside(folder)))
                }
                None => self.record(conn, image, &path, &values).map(|()| ImageOutcome::Written),
            },
            // It says so already, or there is nothing to say.
            Ok(None) => {
                self.record_unchanged(conn, image, found.as_ref(), &values)?;
                Ok(ImageOutcome::Written)
            }
            Err(WriteError::Refused { .. }) if image.fields.len() > 1 => self.one_by_one(conn, image, &path, found, folder),
            Err(error) => self.not_written(conn, image, folder, &error),
        }
    }

    /// Writes, after the database knows what is about to be written: killed between the two, the next scan knows our own hand.
    fn write(
        &self,
        conn: &mut PgConnection,
        image: &WriteBack,
        path: &SidecarPath,
        found: Option<&Found>,
        values: &[Value],
    ) -> Result<Result<Option<Written>, WriteError>, DbError> {
        let content = match edit(found.map(|found| found.content.as_slice()), values) {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(Ok(None)),
            Err(refusal) => return Ok(Err(WriteError::Refused { path: path.in_vault().clone(), refusal })),
        };
        sidecars::record_intent(conn, image.image, &fingerprint_of_content(&content))?;
        Ok(file::save(self.disk, path, found.map(|found| &found.seen), &content).map(Some))
    }

    /// One property that is not understood is no reason to keep back the others.
    fn one_by_one(
        &self,
        conn: &mut PgConnection,
        image: &WriteBack,
        path: &SidecarPath,
        mut found: Option<Found>,
        folder: RelPath,
    ) -> Result<ImageOutcome, DbError> {
        let mut is_whole = true;
        for field in &image.fields {
            let value = std::slice::from_ref(&field.value);
            match self.write(conn, image, path, found.as_ref(), value)? {
                Ok(Some(written)) => match self.restored(path, &written) {
                    Some(_) => return Ok(ImageOutcome::ChangedOutside(folder)),
                    None => {
                        self.record(conn, image, path, value)?;
                        found = match file::look(self.disk, path) {
                            Ok(found) => found,
                            Err(error) => return self.not_written(conn, image, folder, &error),
                        };
                    }
                },
                Ok(None) => self.record_unchanged(conn, image, found.as_ref(), value)?,
                Err(error @ WriteError::Refused { .. }) => {
                    is_whole = false;
                    edits::record_failed(conn, image.image, std::slice::from_ref(field), &error.to_string())?;
                }
                Err(error) => return self.not_written(conn, image, folder, &error),
            }
        }
        Ok(if is_whole { ImageOutcome::Written } else { ImageOutcome::Failed })
    }

    /// Where another program wrote in the instant of the exchange, its bytes are put back: they are the vault's, and the edit still waits.
    fn restored(&self, path: &SidecarPath, written: &Written) -> Option<Result<(), WriteError>> {
        let theirs = written.overtaken.as_ref()?;
        tracing::warn!(file.path = %path.in_vault(), "another program wrote the sidecar at the same instant; its version is put back");
        Some(file::save(self.disk, path, Some(&written.seen), theirs).map(|_| ()))
    }

    /// The file to write; `None` when the image's files are not there.
    fn choose(&self, conn: &mut PgConnection, image: &WriteBack, folder: &RelPath, names: &[OsString]) -> Result<Option<Chosen>, DbError> {
        let own =
            |name: &OsStr| image.files.iter().find(|file| file.path.parent().as_ref() == Some(folder) && file.path.file_name() == name);
        let others: BTreeSet<Vec<u8>> =
            sidecars::list_others_sidecars(conn, self.vault.mounted.id, folder, image.image)?.into_iter().collect();
        let (mut pictured, mut there): (Vec<Pictured<'_>>, Vec<OsString>) = (Vec::new(), Vec::new());
        for name in names.iter().filter(|name| !name.as_bytes().starts_with(b".")) {
            let Some(format) = Path::new(name).extension().and_then(OsStr::to_str).and_then(FileFormat::from_extension) else { continue };
            match format.kind() {
                FileKind::Sidecar if format == FileFormat::Xmp && !others.contains(name.as_bytes()) => there.push(name.clone()),
                FileKind::Sidecar => {}
                _ => pictured.push(Pictured { name, format, own: own(name).map(|file| file.role) }),
            }
        }
        let Some(choice) = name::choose(&pictured, &there, self.vault.naming) else { return Ok(None) };
        let Ok(path) = folder.join(&choice.name) else { return Ok(None) };
        let known = image.files.iter().find(|file| file.path == path).map(|file| file.fingerprint.clone().unwrap_or_default());
        Ok(SidecarPath::new(&self.vault.mounted.mount, path).ok().map(|path| Chosen { path, known }))
    }

    /// Records what was written, and the sidecar as the next scan will find it.
    fn record(&self, conn: &mut PgConnection, image: &WriteBack, path: &SidecarPath, values: &[Value]) -> Result<(), DbError> {
        let on_disk = path.on_disk();
        let metadata = fs::symlink_metadata(on_disk);
        let reading = |size| self.reader.read(on_disk, FileFormat::Xmp, size);
        let now = metadata.ok().map(|metadata| (file::modified_at_ns(&metadata), metadata.len(), reading(metadata.len())));
        let now = now.map(|(modified_at_ns, size_bytes, reading)| SidecarNow {
            path: path.in_vault().clone(),
            size_bytes,
            modified_at_ns,
            fingerprint: reading.fingerprint,
            facts: reading.facts,
            error: reading.error,
        });
        sidecars::record_write(conn, self.vault.mounted.id, (image.image, &image.base_name), now.as_ref(), values)?;
        Ok(())
    }

    fn record_unchanged(&self, conn: &mut PgConnection, image: &WriteBack, found: Option<&Found>, values: &[Value]) -> Result<(), DbError> {
        let fingerprint = found.map(|found| fingerprint_of_content(&found.content));
        edits::record_written(conn, image.image, values, fingerprint.as_ref())?;
        Ok(())
    }

    fn not_written(
        &self,
        conn: &mut PgConnection,
        image: &WriteBack,
        folder: RelPath,
        error: &WriteError,
    ) -> Result<ImageOutcome, DbError> {
        let outcome = match error {
            WriteError::Changed { .. } => return Ok(ImageOutcome::ChangedOutside(folder)),
            WriteError::Vanished { .. } => match check_mount(&self.vault.mounted) {
                Ok(()) => return Ok(ImageOutcome::ChangedOutside(folder)),
                Err(reason) => ImageOutcome::Trouble(reason),
            },
            WriteError::ReadOnly { .. } | WriteError::Full { .. } => ImageOutcome::Trouble(error.to_string()),
            _ => ImageOutcome::Failed,
        };
        edits::record_failed(conn, image.image, &image.fields, &error.to_string())?;
        Ok(outcome)
    }
}

/// An absent vault is not written to: an empty mount point, or another disk in its place.
fn check_mount(vault: &MountedVault) -> Result<(), String> {
    let names = list_names(&vault.mount).map_err(|error| format!("`{}` cannot be read: {error}", vault.mount.display()))?;
    let is_known = |name: &OsString| vault.root_names.contains(&nfc(name));
    if !vault.root_names.is_empty() && !names.iter().any(is_known) {
        return Err(format!("`{}` holds none of what it held before: is the disk mounted?", vault.mount.display()));
    }
    Ok(())
}

fn list_names(folder: &Path) -> std::io::Result<Vec<OsString>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}
