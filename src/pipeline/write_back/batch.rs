//! One batch of a vault's outbox: each image's sidecar chosen, compared, written and recorded, several at the same time.
//!
//! On a disk across a network the waiting is all there is, so several images are in hand at once; they share the one connection that holds
//! the vault's lock, for as long as a statement takes. What could meet in one sidecar goes one after another.
//! May import what its parent may.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs, iter,
    os::unix::ffi::OsStrExt,
    panic::resume_unwind,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    config::VaultConfig,
    db::{
        DbError, PgConnection, QueryError,
        edits::{self, WriteBack},
        sidecars::{self, SidecarNow},
        vaults::{self, MountedVault},
    },
    media::{
        MetaReader, fingerprint_of_content,
        sidecar_write::{
            edit_beside,
            file::{self, Disk, Found, SidecarPath, WriteError, Written},
            name::{self, Pictured},
        },
    },
    models::{
        FileFormat, FileKind, ImageId, RelPath,
        edit::{SidecarNaming, Value},
        nfc,
    },
};

/// Images written before a scan may have its turn.
const BATCH: i64 = 200;
/// Images in hand at the same time: hides that each write waits some twenty times for the disk.
const IN_HAND: usize = 16;

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
    disk: &(impl Disk + Sync),
    vault: &WritableVault,
    after: Option<ImageId>,
    stop: &AtomicBool,
) -> Result<BatchOutcome, DbError> {
    let mut outcome = BatchOutcome::default();
    let id = vault.mounted.id;
    let is_done = edits::list_write_backs(conn, &[id], after, 1)?.is_empty() && sidecars::list_folders_in_hand(conn, id)?.is_empty();
    if is_done || !sidecars::try_lock_writing(conn, id)? {
        return Ok(outcome);
    }
    let done = run(conn, disk, vault, after, stop, &mut outcome);
    sidecars::unlock_writing(conn, id)?;
    done.map(|()| outcome)
}

fn run(
    conn: &mut PgConnection,
    disk: &(impl Disk + Sync),
    vault: &WritableVault,
    after: Option<ImageId>,
    stop: &AtomicBool,
    outcome: &mut BatchOutcome,
) -> Result<(), DbError> {
    let id = vault.mounted.id;
    let images = edits::list_write_backs(conn, &[id], after, BATCH)?;
    if let Err(reason) = check_mount(&vault.mounted) {
        outcome.trouble = Some(reason).filter(|_| !images.is_empty());
        return Ok(());
    }
    outcome.last = images.last().filter(|_| images.len() == BATCH as usize).map(|image| image.image);
    let unswept = sweep_folders(disk, &vault.mounted, sidecars::list_folders_in_hand(conn, id)?);
    let folders: BTreeSet<RelPath> = images.iter().filter_map(folder_of).chain(unswept.iter().cloned()).collect();
    sidecars::record_folders_in_hand(conn, id, &folders)?;
    let batch = Batch { conn: Mutex::new(conn), disk, vault, reader: MetaReader::in_process() };
    for end in batch.write_all(&in_turn(&images), stop) {
        outcome.count(end?);
    }
    if outcome.failed == 0 {
        sidecars::record_folders_in_hand(conn, id, &unswept)?;
    }
    Ok(())
}

/// Does work for every item, for some of them at the same time.
fn at_once<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let hand = || -> Vec<R> { iter::from_fn(|| items.get(next.fetch_add(1, Ordering::Relaxed)).map(&work)).collect() };
    thread::scope(|scope| {
        let hands: Vec<_> = (0..items.len().min(IN_HAND)).map(|_| scope.spawn(hand)).collect();
        // All of them, before a panic of one goes on.
        let ends: Vec<_> = hands.into_iter().map(thread::ScopedJoinHandle::join).collect();
        ends.into_iter().flat_map(|done| done.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// Images that could come to write the same sidecar, together: those of one folder whose names begin alike, on any disk.
fn in_turn(images: &[WriteBack]) -> Vec<Vec<&WriteBack>> {
    let mut turns: BTreeMap<(Option<RelPath>, String), Vec<&WriteBack>> = BTreeMap::new();
    for image in images {
        let stem = image.base_name.split('.').next().unwrap_or_default().to_lowercase();
        turns.entry((folder_of(image), stem)).or_default().push(image);
    }
    turns.into_values().collect()
}

/// The folder of its first file with pixels, which is where its sidecar belongs.
fn folder_of(image: &WriteBack) -> Option<RelPath> {
    image.files.iter().find(|file| file.format.kind() != FileKind::Sidecar).and_then(|file| file.path.parent())
}

/// Removes what a killed writer left; gives back the folders where that was not possible. Only before a batch: what is in hand looks the
/// same.
fn sweep_folders(disk: &(impl Disk + Sync), vault: &MountedVault, folders: Vec<RelPath>) -> Vec<RelPath> {
    let swept = at_once(&folders, |folder| match file::sweep(disk, &folder.on(&vault.mount)) {
        Ok(_) => None,
        // Gone, and what was in it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(_) => Some(folder.clone()),
    });
    swept.into_iter().flatten().collect()
}

struct Batch<'a, D> {
    /// Holds the lock of the vault.
    conn: Mutex<&'a mut PgConnection>,
    disk: &'a D,
    vault: &'a WritableVault,
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

impl BatchOutcome {
    fn count(&mut self, end: ImageOutcome) {
        match end {
            ImageOutcome::Written => self.written += 1,
            ImageOutcome::Failed => self.failed += 1,
            ImageOutcome::ChangedOutside(folder) => {
                self.changed_outside.insert(folder);
            }
            ImageOutcome::Trouble(reason) => {
                self.failed += 1;
                self.trouble = Some(reason);
            }
        }
    }
}

impl<D: Disk + Sync> Batch<'_, D> {
    /// Writes image after image, some turns at once, until all are done, someone says stop, or the vault or the database takes no more.
    fn write_all(&self, turns: &[Vec<&WriteBack>], stop: &AtomicBool) -> Vec<Result<ImageOutcome, DbError>> {
        let is_over = AtomicBool::new(false);
        let ends = at_once(turns, |turn| {
            let mut ends = Vec::new();
            for image in turn {
                if stop.load(Ordering::Relaxed) || is_over.load(Ordering::Relaxed) {
                    break;
                }
                let end = self.write_image(image);
                is_over.fetch_or(matches!(end, Ok(ImageOutcome::Trouble(_)) | Err(_)), Ordering::Relaxed);
                ends.push(end);
            }
            ends
        });
        ends.into_iter().flatten().collect()
    }

    /// Asks the database; the others wait for so long.
    fn ask<T>(&self, question: impl FnOnce(&mut PgConnection) -> Result<T, QueryError>) -> Result<T, DbError> {
        let mut conn = self.conn.lock().expect("who panicked while asking has ended the batch");
        Ok(question(&mut conn)?)
    }

    fn write_image(&self, image: &WriteBack) -> Result<ImageOutcome, DbError> {
        let failed = |reason: &str| -> Result<ImageOutcome, DbError> {
            self.ask(|conn| edits::record_failed(conn, image.image, &image.fields, reason))?;
            Ok(ImageOutcome::Failed)
        };
        let Some(folder) = folder_of(image) else {
            return failed("none of its files with pixels is there");
        };
        let names = match list_names(&folder.on(&self.vault.mounted.mount)) {
            Ok(names) => names,
            // Moved or renamed: the next scan knows where to.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(ImageOutcome::ChangedOutside(folder)),
            Err(error) => return failed(&format!("the folder `{folder}` cannot be listed: {error}")),
        };
        let Some(Chosen { path, known }) = self.choose(image, &folder, &names)? else {
            return Ok(ImageOutcome::ChangedOutside(folder));
        };
        let found = match file::look(self.disk, &path) {
            Ok(found) => found,
            Err(error) => return self.not_written(image, folder, &error),
        };
        let print = found.as_ref().map(|found| fingerprint_of_content(&found.content).to_vec());
        if print != known {
            return Ok(ImageOutcome::ChangedOutside(folder));
        }
        let values: Vec<Value> = image.fields.iter().map(|field| field.value.clone()).collect();
        match self.write(image, &path, found.as_ref(), &values)? {
            Ok(Some(written)) => match self.restored(&path, &written) {
                Some(outcome) => outcome.map_or_else(|error| failed(&error.to_string()), |()| Ok(ImageOutcome::ChangedOutside(folder))),
                None => self.record(image, &path, &values).map(|()| ImageOutcome::Written),
            },
            // It says so already, or there is nothing to say.
            Ok(None) => {
                self.record_unchanged(image, found.as_ref(), &values)?;
                Ok(ImageOutcome::Written)
            }
            Err(WriteError::Refused { .. }) if image.fields.len() > 1 => self.one_by_one(image, &path, found, folder),
            Err(error) => self.not_written(image, folder, &error),
        }
    }

    /// Writes, after the database knows what is about to be written: killed between the two, the next scan knows our own hand.
    fn write(
        &self,
        image: &WriteBack,
        path: &SidecarPath,
        found: Option<&Found>,
        values: &[Value],
    ) -> Result<Result<Option<Written>, WriteError>, DbError> {
        let content = match edit_beside(found.map(|found| found.content.as_slice()), values, &image.in_pictures()) {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(Ok(None)),
            Err(refusal) => return Ok(Err(WriteError::Refused { path: path.in_vault().clone(), refusal })),
        };
        self.ask(|conn| sidecars::record_intent(conn, image.image, &fingerprint_of_content(&content)))?;
        Ok(file::save(self.disk, path, found.map(|found| &found.seen), &content).map(Some))
    }

    /// One property that is not understood is no reason to keep back the others.
    fn one_by_one(
        &self,
        image: &WriteBack,
        path: &SidecarPath,
        mut found: Option<Found>,
        folder: RelPath,
    ) -> Result<ImageOutcome, DbError> {
        let mut is_whole = true;
        for field in &image.fields {
            let value = std::slice::from_ref(&field.value);
            match self.write(image, path, found.as_ref(), value)? {
                Ok(Some(written)) => match self.restored(path, &written) {
                    Some(_) => return Ok(ImageOutcome::ChangedOutside(folder)),
                    None => {
                        self.record(image, path, value)?;
                        found = match file::look(self.disk, path) {
                            Ok(found) => found,
                            Err(error) => return self.not_written(image, folder, &error),
                        };
                    }
                },
                Ok(None) => self.record_unchanged(image, found.as_ref(), value)?,
                Err(error @ WriteError::Refused { .. }) => {
                    is_whole = false;
                    self.ask(|conn| edits::record_failed(conn, image.image, std::slice::from_ref(field), &error.to_string()))?;
                }
                Err(error) => return self.not_written(image, folder, &error),
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
    fn choose(&self, image: &WriteBack, folder: &RelPath, names: &[OsString]) -> Result<Option<Chosen>, DbError> {
        let own =
            |name: &OsStr| image.files.iter().find(|file| file.path.parent().as_ref() == Some(folder) && file.path.file_name() == name);
        let others: BTreeSet<Vec<u8>> =
            self.ask(|conn| sidecars::list_others_sidecars(conn, self.vault.mounted.id, folder, image.image))?.into_iter().collect();
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
    fn record(&self, image: &WriteBack, path: &SidecarPath, values: &[Value]) -> Result<(), DbError> {
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
        let of = (image.image, image.base_name.as_str());
        self.ask(|conn| sidecars::record_write(conn, self.vault.mounted.id, of, now.as_ref(), values))
    }

    fn record_unchanged(&self, image: &WriteBack, found: Option<&Found>, values: &[Value]) -> Result<(), DbError> {
        let fingerprint = found.map(|found| fingerprint_of_content(&found.content));
        self.ask(|conn| edits::record_written(conn, image.image, values, fingerprint.as_ref()))
    }

    fn not_written(&self, image: &WriteBack, folder: RelPath, error: &WriteError) -> Result<ImageOutcome, DbError> {
        let outcome = match error {
            WriteError::Changed { .. } => return Ok(ImageOutcome::ChangedOutside(folder)),
            WriteError::Vanished { .. } => match check_mount(&self.vault.mounted) {
                Ok(()) => return Ok(ImageOutcome::ChangedOutside(folder)),
                Err(reason) => ImageOutcome::Trouble(reason),
            },
            WriteError::ReadOnly { .. } | WriteError::Full { .. } => ImageOutcome::Trouble(error.to_string()),
            _ => ImageOutcome::Failed,
        };
        self.ask(|conn| edits::record_failed(conn, image.image, &image.fields, &error.to_string()))?;
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
