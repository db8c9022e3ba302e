//! Bringing a backup back: read whole first, put beside the library, counted and brought up to date there, then in its place at once.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use chrono::Utc;

use super::{
    BackupContext, BackupError, MadeBackup,
    archive::{CopyError, DATABASE, OpenArchive, SendError, THUMBNAILS, copy},
    make::write_backup,
    thumbnails,
    tools::Tools,
};
use crate::{
    db::{
        self, PgConnection,
        backups::{
            VECTORS, around_archive, clear_restored, count_others, count_restored, has_schema, holdings, is_index_of_vectors,
            is_of_vectors, known_migrations, library_schema, migrate_restored, prepare_restore, record_backup, take_place, vacuum,
        },
    },
    models::backup::{BackupKind, BackupManifest},
};

/// A library that was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What was in the backup.
    pub manifest: BackupManifest,
    /// The backup of what was there before, if there was anything.
    pub replaced: Option<MadeBackup>,
    /// Pictures that were not there.
    pub thumbnails: u64,
}

/// Brings the backup `file` back. A library that is not empty is replaced only if `may_replace`, and backed up before.
///
/// # Errors
/// [`BackupError`]; the library is as it was then.
pub fn restore_backup(context: &BackupContext<'_>, file: &Path, may_replace: bool) -> Result<Restored, BackupError> {
    let mut archive = OpenArchive::open(file, &known_migrations()?)?;
    let (db, tools, major) = context.open()?;
    let mut conn = db.get()?;
    let there = holdings(&mut conn)?;
    if !there.is_empty() && !may_replace {
        return Err(BackupError::NotEmpty { images: there.images });
    }
    let made_from = archive.manifest.postgres_major();
    if made_from > major {
        return Err(BackupError::OldServer { path: file.to_owned(), made_from, here: major });
    }
    let here = library_schema(&mut conn)?;
    let schema = &archive.manifest.schema;
    if *schema != here && has_schema(&mut conn, schema)? {
        return Err(BackupError::OtherSchema { made_from: schema.clone(), here });
    }
    refuse_while_in_use(&mut conn)?;
    tracing::info!("reading the backup of {}", archive.manifest.made_at);
    archive.check(&tools, context.stop)?;

    let mut replaced = None;
    if !there.is_empty() {
        drop(conn);
        // Brought up to date, it can be restored by itself; if that fails it is kept as it is.
        if let Err(error) = db::migrate(context.url) {
            tracing::warn!("{error}");
        }
        let started_at = Utc::now();
        tracing::info!("making a backup of the {} images that will be replaced", there.images);
        let made = write_backup(context, BackupKind::Replaced, &context.config.backup.dir, false, started_at)?;
        tracing::info!("it is `{}`", made.path.display());
        replaced = Some((made, started_at));
        conn = db.get()?;
    }

    refuse_while_in_use(&mut conn)?;
    let has_vectors = prepare_restore(&mut conn)?;
    if !has_vectors && archive.manifest.rows_of(VECTORS) > 0 {
        tracing::warn!("this database server has no pgvector 0.7: the networks will have to look at the pictures once more");
    }
    let restored = put_beside(&mut conn, &mut archive, &tools, has_vectors, context.stop).and_then(|()| Ok(take_place(&mut conn)?));
    if let Err(error) = restored {
        if let Err(left) = clear_restored(&mut conn) {
            tracing::warn!("a half restored library is left beside the whole one, until the next attempt: {left}");
        }
        return Err(error);
    }
    if let Some((made, started_at)) = &replaced {
        let path = made.path.display().to_string();
        record_backup(&mut conn, BackupKind::Replaced, context.host, &path, *started_at, &made.outcome())?;
    }
    if let Err(error) = vacuum(&mut conn) {
        tracing::warn!("the restored tables are slow for a while: {error}");
    }
    let thumbnails = bring_pictures(&mut archive, &context.config.thumbs.dir, context.stop)?;
    Ok(Restored { manifest: archive.manifest, replaced: replaced.map(|(made, _)| made), thumbnails })
}

fn refuse_while_in_use(conn: &mut PgConnection) -> Result<(), BackupError> {
    /// Whoever has just closed a connection, ourselves too, is still there for a moment.
    const PATIENCE: Duration = Duration::from_secs(3);
    const GLANCE: Duration = Duration::from_millis(50);
    let started = Instant::now();
    loop {
        match count_others(conn)? {
            0 => return Ok(()),
            others if started.elapsed() > PATIENCE => return Err(BackupError::InUse(others)),
            _ => thread::sleep(GLANCE),
        }
    }
}

/// Reads the archive into tables beside the library, counts them, and brings them up to date.
fn put_beside(
    conn: &mut PgConnection,
    archive: &mut OpenArchive,
    tools: &Tools,
    has_vectors: bool,
    stop: &AtomicBool,
) -> Result<(), BackupError> {
    let (before, after) = around_archive(&library_schema(conn)?, &archive.manifest.schema);
    let list = if archive.manifest.rows.contains_key(VECTORS) { Some(EntryList::write(archive, tools, has_vectors, stop)?) } else { None };
    run_archive(archive, tools, list.as_ref(), &before, &after, stop)?;
    let found = count_restored(conn)?;
    for (table, expected) in archive.manifest.rows.iter().filter(|(table, _)| has_vectors || *table != VECTORS) {
        let found = found.get(table).copied().unwrap_or(0);
        if found != *expected {
            return Err(BackupError::Incomplete { table: table.clone(), found, expected: *expected });
        }
    }
    migrate_restored(conn)?;
    Ok(())
}

/// Which entries of an archive are read, as `pg_restore` takes it: a file, gone with the value.
///
/// The indexes of vectors are left out: they take minutes, and the server makes them again behind its pages. The vectors themselves are,
/// where the server cannot hold them: they can be made again, and everything else is worth having without them.
struct EntryList {
    path: PathBuf,
}

impl EntryList {
    fn write(archive: &mut OpenArchive, tools: &Tools, has_vectors: bool, stop: &AtomicBool) -> Result<Self, BackupError> {
        let entries = archive.entries(tools, stop)?;
        let is_left_out = |name: &str| if has_vectors { is_index_of_vectors(name) } else { is_of_vectors(name) };
        // Number, table, kind, schema, names, and last the owner, whatever he is called.
        let is_read = |line: &&str| !line.split_whitespace().rev().skip(1).any(is_left_out);
        let text: String = entries.lines().filter(is_read).flat_map(|line| [line, "\n"]).collect();
        let path = std::env::temp_dir().join(format!("hm-restore-{:016x}.list", rand::random::<u64>()));
        let written = OpenOptions::new().write(true).create_new(true).open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        let list = Self { path };
        written.map(|()| list).map_err(|source| BackupError::Write { path: std::env::temp_dir(), source })
    }
}

impl Drop for EntryList {
    fn drop(&mut self) {
        // In the folder for temporary files, one of a few KiB that stays does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// `archive → pg_restore → SQL → psql`, in one transaction that ends only if all of it was read.
fn run_archive(
    archive: &mut OpenArchive,
    tools: &Tools,
    list: Option<&EntryList>,
    before: &str,
    after: &str,
    stop: &AtomicBool,
) -> Result<(), BackupError> {
    let mut reader = tools.pg_restore();
    reader.command.args(["--no-owner", "--no-privileges", "--file=-", "--schema", &archive.manifest.schema]);
    if let Some(list) = list {
        reader.command.arg("--use-list").arg(&list.path);
    }
    reader.command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut writer = tools.psql();
    writer.command.args(["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file=-"]).stdin(Stdio::piped());
    let (mut reader, mut writer) = (reader.start()?, writer.start()?);
    let mut archive_in = reader.child.stdin.take().expect("it is a pipe");
    let mut text_out = reader.child.stdout.take().expect("it is a pipe");
    let mut text_in = writer.child.stdin.take().expect("it is a pipe");

    let (sent, copied) = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let sent = archive.send(DATABASE, &mut archive_in, stop);
            drop(archive_in);
            sent
        });
        let copied = text_in.write_all(before.as_bytes()).map_err(CopyError::Write).and_then(|()| copy(&mut text_out, &mut text_in, stop));
        // Whatever is still on its way has nowhere to go now.
        drop(text_out);
        (sender.join(), copied)
    });
    let sent = sent.map_err(|_| BackupError::Failed { program: "hm", said: "the reading thread panicked".to_owned() })?;
    let was_read = match sent {
        Err(SendError::Backup(error)) => Err(error),
        Err(SendError::Receiver(_)) | Ok(()) => reader.finish(),
    };
    match (copied, was_read) {
        (Ok(_), Ok(())) => {
            let ended = text_in.write_all(after.as_bytes());
            drop(text_in);
            writer.finish()?;
            ended.map_err(|error| BackupError::Failed { program: "psql", said: error.to_string() })
        }
        (Err(CopyError::Stopped), _) => Err(BackupError::Stopped),
        // It ended before it had read all, and knows why.
        (Err(CopyError::Write(error)), _) => {
            drop(text_in);
            writer.finish()?;
            Err(BackupError::Failed { program: "psql", said: error.to_string() })
        }
        (Err(CopyError::Read(error)), Ok(())) => Err(BackupError::Failed { program: "pg_restore", said: error.to_string() }),
        (_, Err(error)) => Err(error),
    }
}

/// Puts the pictures of the archive, if it has some, into their directory.
fn bring_pictures(archive: &mut OpenArchive, folder: &Path, stop: &AtomicBool) -> Result<u64, BackupError> {
    if archive.manifest.parts.iter().all(|part| part.name != THUMBNAILS) {
        return Ok(0);
    }
    let failed = |source| BackupError::Write { path: PathBuf::from(folder), source };
    let (mut read, mut write) = std::io::pipe().map_err(failed)?;
    let path = archive.path().to_owned();
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let sent = archive.send(THUMBNAILS, &mut write, stop);
            drop(write);
            sent
        });
        let unpacked = thumbnails::unpack(&mut read, folder);
        drop(read);
        match sender.join() {
            Ok(Err(SendError::Backup(error))) => return Err(error),
            // A tar ends before its last block is asked for.
            Ok(Ok(()) | Err(SendError::Receiver(_))) => {}
            Err(_) => return Err(BackupError::Read { path, source: std::io::Error::other("the reading thread panicked") }),
        }
        unpacked.map_err(failed)
    })
}
