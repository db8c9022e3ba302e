//! Making a backup: one state of the database, counted and dumped, into an archive that is read back before it gets its name.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::{
    BackupError,
    archive::{CopyError, DATABASE, NewArchive, OpenArchive, THUMBNAILS, copy},
    thumbnails,
    tools::Tools,
};
use crate::{
    config::Config,
    db::{
        Db, PgConnection,
        backups::{BackupOutcome, Snapshot, known_migrations, left_out, record_backup, with_snapshot},
        health::server_version,
    },
    models::backup::{BACKUP_FORMAT, BackupKind, BackupManifest, BackupName},
    services::ClientPrograms,
};

/// The library that is backed up or brought back.
#[derive(Clone, Copy)]
pub struct BackupContext<'a> {
    /// Where the database is.
    pub url: &'a str,
    /// Settings of this process.
    pub config: &'a Config,
    /// This machine's name.
    pub host: &'a str,
    /// Raised when the program is to end.
    pub stop: &'a AtomicBool,
}

impl BackupContext<'_> {
    /// One connection, and the programs that fit its server.
    pub(super) fn open(&self) -> Result<(Db, Tools, u32), BackupError> {
        let db = Db::connect(self.url, 1)?;
        let version = server_version(&mut *db.get()?)?;
        let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
        let programs = ClientPrograms::find(&self.config.database, major)?;
        Ok((db, Tools::new(programs, self.url), major))
    }
}

/// A backup that was written and read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeBackup {
    /// The archive.
    pub path: PathBuf,
    /// Its length.
    pub size_bytes: u64,
    /// What is in it.
    pub manifest: BackupManifest,
    /// How long it took.
    pub elapsed: Duration,
}

impl MadeBackup {
    /// Images in it.
    pub fn images(&self) -> i64 {
        self.manifest.rows_of("images")
    }

    /// As it is recorded.
    pub(super) fn outcome(&self) -> BackupOutcome {
        BackupOutcome::Made { size_bytes: i64::try_from(self.size_bytes).unwrap_or(i64::MAX), images: self.images() }
    }
}

/// Makes a backup in `dir` (by default where the settings say), and records in the library what became of it.
///
/// # Errors
/// [`BackupError`]; nothing is left behind then.
pub fn make_backup(
    context: &BackupContext<'_>,
    kind: BackupKind,
    dir: Option<&Path>,
    with_thumbnails: bool,
) -> Result<MadeBackup, BackupError> {
    let dir = dir.unwrap_or(&context.config.backup.dir);
    let started_at = Utc::now();
    let made = write_backup(context, kind, dir, with_thumbnails, started_at);
    let (path, outcome) = match &made {
        Ok(made) => (made.path.display().to_string(), made.outcome()),
        Err(BackupError::Stopped) => return made,
        Err(error) => (dir.display().to_string(), BackupOutcome::Failed(error.to_string())),
    };
    let recorded =
        Db::connect(context.url, 1).and_then(|db| Ok(record_backup(&mut *db.get()?, kind, context.host, &path, started_at, &outcome)?));
    if let Err(error) = recorded {
        tracing::warn!("cannot record what became of a backup: {error}");
    }
    made
}

/// The same without a record.
pub(super) fn write_backup(
    context: &BackupContext<'_>,
    kind: BackupKind,
    dir: &Path,
    with_thumbnails: bool,
    started_at: DateTime<Utc>,
) -> Result<MadeBackup, BackupError> {
    let started = Instant::now();
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let (db, tools, _) = context.open()?;
    let mut name = BackupName { made_at: started_at.trunc_subsecs(0), kind };
    while dir.join(name.to_string()).exists() {
        name.made_at += TimeDelta::seconds(1);
    }
    let mut archive = NewArchive::create(&dir, &name)?;
    with_snapshot(&mut *db.get()?, |conn, snapshot| {
        archive.part(DATABASE, |to| dump(&tools, snapshot, to, context.stop))?;
        let mut pictures = 0;
        if with_thumbnails {
            let folder = &context.config.thumbs.dir;
            archive.part(THUMBNAILS, |to| {
                pictures = add_pictures(conn, folder, to, context.stop)?;
                Ok(())
            })?;
        }
        let manifest = manifest(snapshot, name.made_at, &archive, pictures);
        archive.seal(&manifest)
    })?;
    let mut written = OpenArchive::open(archive.path(), &known_or_done(&known_migrations()?, &db)?)?;
    written.check(&tools, context.stop)?;
    let manifest = written.manifest;
    let size_bytes = fs::metadata(archive.path()).map_err(|source| BackupError::Read { path: archive.path().to_owned(), source })?.len();
    let path = dir.join(name.to_string());
    archive.publish(&path)?;
    Ok(MadeBackup { path, size_bytes, manifest, elapsed: started.elapsed() })
}

/// A library of a newer hm is backed up before it is replaced by an older backup: it need not be understood to be kept.
fn known_or_done(known: &[String], db: &Db) -> Result<Vec<String>, BackupError> {
    let done = with_snapshot(&mut *db.get()?, |_, snapshot| Ok::<_, BackupError>(snapshot.migrations.clone()))?;
    Ok(known.iter().cloned().chain(done).collect())
}

fn manifest(snapshot: &Snapshot, made_at: DateTime<Utc>, archive: &NewArchive, thumbnails: u64) -> BackupManifest {
    BackupManifest {
        format: BACKUP_FORMAT,
        made_at,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        postgres: snapshot.server_version.clone(),
        schema: snapshot.schema.clone(),
        migrations: snapshot.migrations.clone(),
        rows: snapshot.rows.clone(),
        parts: archive.parts(),
        thumbnails,
    }
}

/// Lets `pg_dump` write the state of a snapshot.
fn dump(tools: &Tools, snapshot: &Snapshot, to: &mut dyn Write, stop: &AtomicBool) -> Result<(), BackupError> {
    let mut tool = tools.pg_dump();
    tool.command.args([
        "--format=custom",
        "--compress=3",
        "--no-owner",
        "--no-privileges",
        "--extension=ltree",
        "--extension=pg_trgm",
        "--extension=vector",
    ]);
    tool.command.args(["--snapshot", &snapshot.id, "--schema", &format!("\"{}\"", snapshot.schema.replace('"', "\"\""))]);
    tool.command.args(["--exclude-table-data", &left_out(&snapshot.schema)]).stdout(Stdio::piped());
    let mut running = tool.start()?;
    let mut output = running.child.stdout.take().expect("it is a pipe");
    match copy(&mut output, to, stop) {
        Ok(_) => running.finish(),
        Err(CopyError::Write(source)) => Err(BackupError::Write { path: PathBuf::from(DATABASE), source }),
        Err(CopyError::Read(error)) => Err(BackupError::Failed { program: "pg_dump", said: error.to_string() }),
        Err(CopyError::Stopped) => Err(BackupError::Stopped),
    }
}

/// Adds every picture that was made and is there.
fn add_pictures(conn: &mut PgConnection, folder: &Path, to: &mut dyn Write, stop: &AtomicBool) -> Result<u64, BackupError> {
    /// Keys asked for at a time.
    const KEYS_AT_ONCE: i64 = 5_000;
    let mut pictures = thumbnails::Writer::new(to);
    let mut after = String::new();
    loop {
        let keys = crate::db::backups::list_made_pictures(conn, &after, KEYS_AT_ONCE)?;
        let Some(last) = keys.last() else { return pictures.finish() };
        after.clone_from(last);
        for key in &keys {
            pictures.add(folder, key, stop)?;
        }
    }
}
