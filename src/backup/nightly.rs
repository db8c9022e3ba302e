//! The nightly backup of a server: made at its hour, or soon after the next start where that was missed; the older ones go.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use chrono::{Local, NaiveTime, TimeZone, Utc};

use super::{BackupContext, BackupError, make::make_backup};
use crate::{
    config::Config,
    db::{
        Db,
        backups::{holdings, record_removed},
    },
    models::backup::{BackupKind, BackupName, last_due, outlived},
};

/// How often it is looked whether the server stops.
const NAP: Duration = Duration::from_millis(200);
/// Between two looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// After the start, before the first look: a start has better things to do.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// After a failure, before the next attempt.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(60 * 60);
/// An unfinished archive that has not grown for so long was left by a process that was killed.
const DEAD_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The thread that makes them.
pub struct Nightly {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Nightly {
    /// Starts it; `None` where the settings want none.
    pub fn start(url: String, config: Config, host: String) -> Option<Self> {
        let at = config.backup.at.0?;
        let stop = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&stop);
        let work = move || run(&url, &config, &host, at, &of_thread);
        let thread = thread::Builder::new().name("backups".into()).spawn(work).expect("a thread can be started");
        Some(Self { stop, thread })
    }

    /// Ends it; a backup under way is given up.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the thread of the nightly backups panicked");
        }
    }
}

fn run(url: &str, config: &Config, host: &str, at: NaiveTime, stop: &AtomicBool) {
    let context = BackupContext { url, config, host, stop };
    let mut next_look = Instant::now() + FIRST_LOOK;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(NAP);
        if Instant::now() < next_look {
            continue;
        }
        next_look = Instant::now() + LOOK_EVERY;
        if !is_due(&list_names(&config.backup.dir), at) {
            continue;
        }
        match make_nightly(&context) {
            Ok(()) | Err(BackupError::Stopped) => {}
            Err(error) => {
                tracing::error!("the nightly backup failed: {error}");
                next_look = Instant::now() + PAUSE_AFTER_TROUBLE;
            }
        }
    }
}

/// Makes one, if there is anything to keep, and removes those that it takes the place of.
fn make_nightly(context: &BackupContext<'_>) -> Result<(), BackupError> {
    {
        let db = Db::connect(context.url, 1)?;
        if holdings(&mut *db.get()?)?.is_empty() {
            return Ok(());
        }
    }
    let config = &context.config.backup;
    let made = make_backup(context, BackupKind::Nightly, None, config.thumbnails)?;
    tracing::info!(
        backup.path = %made.path.display(),
        backup.bytes = made.size_bytes,
        backup.images = made.images(),
        duration_ms = made.elapsed.as_millis() as u64,
        "the nightly backup is made and read back: {} images",
        made.images()
    );
    prune(context, &config.dir, config.keep)
}

/// Removes the nightly backups beyond the newest `keep`, and what was left unfinished long ago. Nothing else in the folder is touched.
fn prune(context: &BackupContext<'_>, dir: &Path, keep: usize) -> Result<(), BackupError> {
    remove_unfinished(dir);
    let mut removed = Vec::new();
    for name in outlived(&list_names(dir), keep) {
        let path = dir.join(name.to_string());
        match fs::remove_file(&path) {
            Ok(()) => removed.push(path.display().to_string()),
            Err(error) => tracing::warn!("an old backup stays: cannot remove `{}`: {error}", path.display()),
        }
    }
    if removed.is_empty() {
        return Ok(());
    }
    tracing::info!("removed {} nightly backup(s) older than the last {keep}", removed.len());
    let db = Db::connect(context.url, 1)?;
    Ok(record_removed(&mut *db.get()?, context.host, &removed)?)
}

fn remove_unfinished(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_ours = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")).and_then(|name| name.rsplit_once('.'));
        let is_ours = is_ours.is_some_and(|(name, _)| name.parse::<BackupName>().is_ok());
        let is_old = entry
            .metadata()
            .and_then(|facts| facts.modified())
            .is_ok_and(|modified| SystemTime::now().duration_since(modified).is_ok_and(|age| age > DEAD_AFTER));
        if is_ours && is_old && fs::remove_file(entry.path()).is_ok() {
            tracing::info!("removed `{name}`, which was never finished");
        }
    }
}

fn list_names(dir: &Path) -> Vec<BackupName> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether the last nightly backup is from before the hour at which one was due.
fn is_due(names: &[BackupName], at: NaiveTime) -> bool {
    let due = last_due(Local::now().naive_local(), at);
    // An hour that a change of clocks leaves out or doubles is due at its first moment, or not at all that day.
    let Some(due) = Local.from_local_datetime(&due).earliest() else { return false };
    let newest = names.iter().filter(|name| name.kind == BackupKind::Nightly).map(|name| name.made_at).max();
    newest.is_none_or(|newest| newest < due.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Duration as Span, Timelike};

    fn nightly(age_hours: i64) -> BackupName {
        BackupName { made_at: Utc::now() - Span::hours(age_hours), kind: BackupKind::Nightly }
    }

    #[test]
    fn one_is_due_when_the_last_is_from_before_its_hour() {
        let an_hour_ago = (Local::now() - Span::hours(1)).time().with_nanosecond(0).unwrap();
        assert!(is_due(&[], an_hour_ago));
        assert!(is_due(&[nightly(2)], an_hour_ago));
        assert!(!is_due(&[nightly(0)], an_hour_ago));
        let by_hand = BackupName { kind: BackupKind::Manual, ..nightly(0) };
        assert!(is_due(&[nightly(2), by_hand], an_hour_ago), "what a person makes is no nightly one");
    }

    #[test]
    fn what_is_left_unfinished_goes_and_what_is_not_ours_stays() {
        let dir = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - DEAD_AFTER * 2;
        let make = |name: &str, time: SystemTime| {
            fs::File::create(dir.path().join(name)).unwrap().set_modified(time).unwrap();
        };
        make(".hm-nightly-20261126T031500Z.zip.4711.tmp", old);
        make(".hm-nightly-20261127T031500Z.zip.4711.tmp", SystemTime::now());
        make(".holiday.zip.4711.tmp", old);
        make("hm-nightly-20261126T031500Z.zip", old);
        remove_unfinished(dir.path());
        let mut left: Vec<String> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, [".hm-nightly-20261127T031500Z.zip.4711.tmp", ".holiday.zip.4711.tmp", "hm-nightly-20261126T031500Z.zip"]);
    }
}
