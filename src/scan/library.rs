//! A scan that writes: each vault in turn, under a lock, beating while it runs and leaving nothing half-said.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError, atomic::Ordering, mpsc},
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
        Db, DbError, PgConnection, PooledPg,
        known::{self, KnownFile, KnownFolder},
        scans, sidecars, vaults,
    },
    models::{FolderId, RelPath, ScanId, VaultId},
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
        let progress = &progress;
        threads.spawn(move || {
            tick(progress, &waiting, on_event, |summary| {
                if let Err(error) = beat(db, scan, summary) {
                    tracing::warn!(%error, "the scan's progress could not be recorded");
                }
            });
        });
        let outcome = targets.iter().try_for_each(|target| {
            let moved_from = target.moved_from.as_deref().map(std::path::Path::to_string_lossy);
            on_event(&Event::Vault {
                name: &target.vault.name,
                path: &target.vault.mount.to_string_lossy(),
                moved_from: moved_from.as_deref(),
            });
            scan_vault(db, &mut conn, host, target, options, progress, &mut offline)
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

fn beat(db: &Db, scan: ScanId, summary: &Summary) -> Result<(), DbError> {
    Ok(scans::record_scan_progress(&mut *db.get()?, scan, &serde_json::json!(summary))?)
}

fn scan_vault(
    db: &Db,
    conn: &mut PgConnection,
    host: &str,
    target: &Target,
    options: &ScanOptions,
    progress: &Progress,
    offline: &mut Vec<(String, String)>,
) -> anyhow::Result<()> {
    let vault = &target.vault;
    let mut reading = db.get()?;
    anyhow::ensure!(
        scans::try_lock_vault(&mut reading, vault.id)?,
        "another scan of it is running\nhint: wait for it, or look at its progress in the browser"
    );
    let locked = Locked { conn: Mutex::new(reading), vault: vault.id };
    sidecars::wait_for_writing(&mut locked.get(), vault.id)?;
    let files_before = vaults::count_present_files(conn, vault.id)?;
    let root_names = match vault::check_root(vault, files_before) {
        Ok(names) => names,
        Err(reason) => {
            tracing::warn!(vault.name = vault.name, reason, "the vault is offline; nothing of it is changed");
            vaults::record_vault_state(conn, vault.id, Some(&reason))?;
            offline.push((vault.name.clone(), reason));
            return Ok(());
        }
    };
    vaults::record_vault_state(conn, vault.id, None)?;
    let other_vaults: Vec<PathBuf> = vaults::list_mounted_vaults(conn, host)?
        .into_iter()
        .filter(|other| other.id != vault.id && other.mount.starts_with(&vault.mount))
        .map(|other| other.mount)
        .collect();
    let known = known::list_known_folders(conn, vault.id)?;
    let ids = known.iter().map(|folder| (folder.path.clone(), folder.id)).collect();
    let memory = DbMemory::new(&locked, &known);
    let reader = options.reader();
    let run = Run {
        mount: &vault.mount,
        other_vaults: &other_vaults,
        reader: &reader,
        full: options.full,
        for_database: true,
        threads: options.threads,
        stop: &options.stop,
        progress,
    };
    let mut ingest = Ingest::new(conn, vault, ids, progress);
    let start = |(folder, recursive): &(RelPath, bool)| Start { folder: folder.clone(), recursive: *recursive, forced: false };
    let starts: Vec<Start> = target.folders.iter().map(start).collect();
    let visited = write_all(&run, &starts, &memory, &mut ingest, options.batch_size)?;
    if !options.stop.load(Ordering::Relaxed) {
        ingest.bury(&gone_folders(&known, target, &visited))?;
        // Images that moved leave companions behind; grouping those anew may move others, but never back.
        let divided = ingest.divided_folders()?;
        if !divided.is_empty() {
            let starts: Vec<Start> = divided.into_iter().map(|folder| Start { folder, recursive: false, forced: true }).collect();
            let memory = DbMemory::new(&locked, &known::list_known_folders(&mut locked.get(), vault.id)?);
            write_all(&run, &starts, &memory, &mut ingest, options.batch_size)?;
        }
        vaults::record_root_names(&mut locked.get(), vault.id, &root_names)?;
    }
    Ok(())
}

/// Files of the first transaction: a writer that waits for a whole batch would begin when a small library has been read.
const FIRST_BATCH: usize = 125;

fn write_all(
    run: &Run<'_>,
    starts: &[Start],
    memory: &DbMemory<'_>,
    ingest: &mut Ingest<'_>,
    batch_size: usize,
) -> anyhow::Result<Visited> {
    let mut batch: Vec<FolderScan> = Vec::new();
    let mut files = 0;
    let mut enough = FIRST_BATCH.min(batch_size);
    let visited = run.run(starts, memory, |scan| {
        files += scan.listed.max(1);
        batch.push(scan);
        if files >= enough {
            ingest.write(&mut batch)?;
            batch.clear();
            files = 0;
            enough = (enough * 2).min(batch_size);
        }
        Ok(())
    })?;
    ingest.write(&mut batch)?;
    Ok(visited)
}

/// Folders of the database that the scan should have seen and did not.
fn gone_folders(known: &[KnownFolder], target: &Target, visited: &Visited) -> Vec<FolderId> {
    let in_scope =
        |path: &RelPath| target.folders.iter().any(|(above, recursive)| *recursive && (path == above || vault::is_below(path, above)));
    known.iter().filter(|folder| in_scope(&folder.path) && visited.is_gone(&folder.path)).map(|folder| folder.id).collect()
}

/// The right to scan a vault, and the session that has it: it also answers what is known, so that a scan needs one connection less.
struct Locked {
    conn: Mutex<PooledPg>,
    vault: VaultId,
}

impl Locked {
    fn get(&self) -> MutexGuard<'_, PooledPg> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the right back: the pool's connection goes on, and its session would otherwise keep it.
impl Drop for Locked {
    fn drop(&mut self) {
        // One guard: a second one would wait for the first.
        let mut conn = self.get();
        let unlocked = sidecars::unlock_writing(&mut conn, self.vault).and_then(|_| scans::unlock_vault(&mut conn, self.vault));
        if let Err(error) = unlocked {
            tracing::warn!(%error, "the scan's lock could not be given back");
        }
    }
}

/// What the database knows of a vault.
struct DbMemory<'a> {
    conn: &'a Locked,
    folders: HashMap<RelPath, (FolderId, Option<[u8; 16]>)>,
}

impl<'a> DbMemory<'a> {
    fn new(conn: &'a Locked, known: &[KnownFolder]) -> Self {
        let folders = known.iter().map(|folder| (folder.path.clone(), (folder.id, folder.digest))).collect();
        Self { conn, folders }
    }
}

impl Memory for DbMemory<'_> {
    fn folder(&self, folder: &RelPath) -> Option<(FolderId, Option<[u8; 16]>)> {
        self.folders.get(folder).copied()
    }

    fn files(&self, folder: FolderId) -> anyhow::Result<Vec<KnownFile>> {
        Ok(known::list_known_files(&mut self.conn.get(), folder)?)
    }
}
