//! A scan that writes: each vault in turn, under a lock, beating while it runs and leaving nothing half-said.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, PoisonError, atomic::Ordering, mpsc},
};

use anyhow::Context;

use super::{
    Event, Problem, ScanOptions, Summary,
    ingest::Ingest,
    progress::Progress,
    read::{FolderScan, Memory},
    run::{Run, Start, Visited},
    tick,
    vault::{self, Target},
};
use crate::{
    config::Config,
    db::{
        Db, PooledPg,
        ingest::{self, KnownFile, KnownFolder},
        scans, sidecars, vaults,
    },
    models::{FolderId, RelPath},
};

/// How a scan of the library ended.
#[derive(Debug)]
pub struct LibraryScan {
    /// Counters over all vaults.
    pub summary: Summary,
    /// Files and folders that could not be read, in whole or in part.
    pub problems: Vec<Problem>,
    /// Vaults that are not there, with the reason.
    pub offline: Vec<(String, String)>,
    /// Whether it was stopped before the end.
    pub interrupted: bool,
}

/// Scans `paths`, or every vault this host mounts when there are none.
///
/// # Errors
/// When a path belongs to no vault and cannot be read, another scan has the vault, or the database fails. What was committed stays.
pub fn scan_library(
    db: &Db,
    config: &Config,
    host: &str,
    paths: &[PathBuf],
    options: &ScanOptions,
    on_event: &(dyn Fn(&Event<'_>) + Sync),
) -> anyhow::Result<LibraryScan> {
    let mut conn = db.get()?;
    let mounted;
    let paths = if paths.is_empty() {
        mounted = vaults::list_mounted_vaults(&mut conn, host)?.into_iter().map(|vault| vault.mount).collect::<Vec<_>>();
        &mounted
    } else {
        paths
    };
    let targets = vault::resolve(&mut conn, host, &config.vaults, paths)?;
    let progress = Progress::new();
    let shown: Vec<String> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let scan = scans::start_scan(&mut conn, host, &shown)?;
    let (done, waiting) = mpsc::channel::<()>();
    let mut offline = Vec::new();
    let outcome = std::thread::scope(|threads| {
        let mut beating = db.get()?;
        let progress = &progress;
        threads.spawn(move || {
            tick(progress, &waiting, on_event, |summary| {
                let json = serde_json::json!(summary);
                if let Err(error) = scans::record_scan_progress(&mut beating, scan, &json) {
                    tracing::warn!(%error, "the scan's progress could not be recorded");
                }
            });
        });
        let outcome = targets.iter().try_for_each(|target| {
            on_event(&Event::Vault { name: &target.vault.name, path: &target.vault.mount.to_string_lossy() });
            scan_vault(db, host, target, options, progress, &mut offline)
                .with_context(|| format!("while scanning the vault `{}`", target.vault.name))
        });
        drop(done);
        outcome
    });
    let summary = progress.summary();
    let interrupted = options.stop.load(Ordering::Relaxed);
    let state = match &outcome {
        Err(_) => "failed",
        Ok(()) if interrupted => "interrupted",
        Ok(()) if !offline.is_empty() => "offline",
        Ok(()) if summary.problems > 0 => "problems",
        Ok(()) => "done",
    };
    let message = match &outcome {
        Err(error) => Some(format!("{error:#}")),
        Ok(()) => offline.first().map(|(name, reason)| format!("the vault `{name}` is offline: {reason}")),
    };
    scans::finish_scan(&mut conn, scan, state, &serde_json::json!(&summary), message.as_deref())?;
    outcome?;
    Ok(LibraryScan { summary, problems: progress.problems_kept(), offline, interrupted })
}

fn scan_vault(
    db: &Db,
    host: &str,
    target: &Target,
    options: &ScanOptions,
    progress: &Progress,
    offline: &mut Vec<(String, String)>,
) -> anyhow::Result<()> {
    let vault = &target.vault;
    let mut conn = db.get()?;
    let mut lock = db.get()?;
    anyhow::ensure!(
        scans::try_lock_vault(&mut lock, vault.id)?,
        "another scan of it is running\nhint: wait for it, or look at its progress in the browser"
    );
    let mut lock = Unlock(lock, vault.id);
    sidecars::wait_for_writing(&mut lock.0, vault.id)?;
    let files_before = vaults::count_present_files(&mut conn, vault.id)?;
    let root_names = match vault::check_root(vault, files_before) {
        Ok(names) => names,
        Err(reason) => {
            tracing::warn!(vault.name = vault.name, reason, "the vault is offline; nothing of it is changed");
            vaults::record_vault_state(&mut conn, vault.id, Some(&reason))?;
            offline.push((vault.name.clone(), reason));
            return Ok(());
        }
    };
    vaults::record_vault_state(&mut conn, vault.id, None)?;
    ingest::prefer_speed(&mut conn)?;
    let other_vaults: Vec<PathBuf> = vaults::list_mounted_vaults(&mut conn, host)?
        .into_iter()
        .filter(|other| other.id != vault.id && other.mount.starts_with(&vault.mount))
        .map(|other| other.mount)
        .collect();
    let known = ingest::list_known_folders(&mut conn, vault.id)?;
    let ids = known.iter().map(|folder| (folder.path.clone(), folder.id)).collect();
    let memory = DbMemory::new(db.get()?, &known);
    let reader = options.reader();
    let run = Run {
        mount: &vault.mount,
        other_vaults: &other_vaults,
        reader: &reader,
        full: options.full,
        threads: options.threads,
        stop: &options.stop,
        progress,
    };
    let mut ingest = Ingest::new(&mut conn, vault, ids, progress);
    let start = |(folder, recursive): &(RelPath, bool)| Start { folder: folder.clone(), recursive: *recursive, forced: false };
    let starts: Vec<Start> = target.folders.iter().map(start).collect();
    let visited = write_all(&run, &starts, &memory, &mut ingest, options.batch_size)?;
    if !options.stop.load(Ordering::Relaxed) {
        ingest.bury(&gone_folders(&known, target, &visited))?;
        // Images that moved leave companions behind; grouping those anew may move others, but never back.
        let divided = ingest.divided_folders()?;
        if !divided.is_empty() {
            let starts: Vec<Start> = divided.into_iter().map(|folder| Start { folder, recursive: false, forced: true }).collect();
            let memory = DbMemory::new(db.get()?, &ingest::list_known_folders(&mut *db.get()?, vault.id)?);
            write_all(&run, &starts, &memory, &mut ingest, options.batch_size)?;
        }
        vaults::record_root_names(&mut conn, vault.id, &root_names)?;
    }
    Ok(())
}

fn write_all(run: &Run<'_>, starts: &[Start], memory: &DbMemory, ingest: &mut Ingest<'_>, batch_size: usize) -> anyhow::Result<Visited> {
    let mut batch: Vec<FolderScan> = Vec::new();
    let mut files = 0;
    let visited = run.run(starts, memory, |scan| {
        files += scan.listed.max(1);
        batch.push(scan);
        if files >= batch_size {
            ingest.write(&batch)?;
            batch.clear();
            files = 0;
        }
        Ok(())
    })?;
    ingest.write(&batch)?;
    Ok(visited)
}

/// Folders of the database that the scan should have seen and did not.
fn gone_folders(known: &[KnownFolder], target: &Target, visited: &Visited) -> Vec<FolderId> {
    let in_scope =
        |path: &RelPath| target.folders.iter().any(|(above, recursive)| *recursive && (path == above || vault::is_below(path, above)));
    known.iter().filter(|folder| in_scope(&folder.path) && visited.is_gone(&folder.path)).map(|folder| folder.id).collect()
}

/// Gives the lock back to the pool's connection, whose session would otherwise keep it.
struct Unlock(PooledPg, crate::models::VaultId);

impl Drop for Unlock {
    fn drop(&mut self) {
        let unlocked = sidecars::unlock_writing(&mut self.0, self.1).and_then(|_| scans::unlock_vault(&mut self.0, self.1));
        if let Err(error) = unlocked {
            tracing::warn!(%error, "the scan's lock could not be given back");
        }
    }
}

/// What the database knows of a vault.
struct DbMemory {
    conn: Mutex<PooledPg>,
    folders: HashMap<RelPath, (FolderId, Option<[u8; 16]>)>,
}

impl DbMemory {
    fn new(conn: PooledPg, known: &[KnownFolder]) -> Self {
        let folders = known.iter().map(|folder| (folder.path.clone(), (folder.id, folder.digest))).collect();
        Self { conn: Mutex::new(conn), folders }
    }
}

impl Memory for DbMemory {
    fn folder(&self, folder: &RelPath) -> Option<(FolderId, Option<[u8; 16]>)> {
        self.folders.get(folder).copied()
    }

    fn files(&self, folder: FolderId) -> anyhow::Result<Vec<KnownFile>> {
        let mut conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(ingest::list_known_files(&mut conn, folder)?)
    }
}
