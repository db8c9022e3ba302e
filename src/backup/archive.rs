//! The archive: parts written one after the other, each hashed on its way, and read back whole before it gets its name.

use std::{
    cell::Cell,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use sha2::{Digest, Sha256};
use zip::{CompressionMethod, ZipArchive, ZipWriter, result::ZipError, write::SimpleFileOptions};

use super::{BackupError, tools::Tools};
use crate::models::backup::{BackupManifest, BackupName, BackupPart};

/// The part with the database.
pub(super) const DATABASE: &str = "database.dump";
/// The part with the pictures.
pub(super) const THUMBNAILS: &str = "thumbnails.tar";
/// What is said about the others.
const MANIFEST: &str = "manifest.json";
/// Longer is no manifest.
const LONGEST_MANIFEST_BYTES: u64 = 4 << 20;
/// Bytes moved at a time.
const PIECE: usize = 256 << 10;

/// An archive being written under a temporary name, which is gone with the value unless it was published.
pub(super) struct NewArchive {
    zip: Option<ZipWriter<Sink>>,
    temporary: PathBuf,
    parts: Vec<BackupPart>,
}

impl NewArchive {
    /// Opens one in `dir`, which is made if it is not there. What it lies in has to be there: the path of a disk that is not connected is
    /// no place for backups.
    pub(super) fn create(dir: &Path, name: &BackupName) -> Result<Self, BackupError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| BackupError::Write { path, source }
        };
        match fs::DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if !(error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir()) => return Err(failed(dir)(error)),
            _ => {}
        }
        let temporary = dir.join(format!(".{name}.{}.tmp", std::process::id()));
        // Nobody else reads what people wrote about their photographs.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(failed(&temporary))?;
        let zip = ZipWriter::new(Sink { file: BufWriter::with_capacity(PIECE, file), is_given_up: Cell::new(false), position: 0 });
        Ok(Self { zip: Some(zip), temporary, parts: Vec::new() })
    }

    /// Writes a part: all that `write` puts into its place.
    pub(super) fn part(&mut self, name: &str, write: impl FnOnce(&mut dyn Write) -> Result<(), BackupError>) -> Result<(), BackupError> {
        let mut hashed = Hashed::new(self.start(name)?);
        write(&mut hashed)?;
        let (size_bytes, sha256) = hashed.finish();
        self.parts.push(BackupPart { name: name.to_owned(), size_bytes, sha256 });
        Ok(())
    }

    fn start(&mut self, name: &str) -> Result<&mut ZipWriter<Sink>, BackupError> {
        let path = self.temporary.clone();
        let zip = self.zip.as_mut().expect("an archive is sealed once");
        // What is in it is not known to be small before it is there.
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true).unix_permissions(0o600);
        zip.start_file(name, options).map_err(|error| BackupError::Write { path, source: io_error(error) })?;
        Ok(zip)
    }

    /// The parts written so far.
    pub(super) fn parts(&self) -> Vec<BackupPart> {
        self.parts.clone()
    }

    /// Writes the manifest and the archive's end, and waits until all of it is on the disk.
    pub(super) fn seal(&mut self, manifest: &BackupManifest) -> Result<(), BackupError> {
        let text = serde_json::to_vec_pretty(manifest).expect("a manifest is plain values");
        let path = self.temporary.clone();
        let failed = |source| BackupError::Write { path: path.clone(), source };
        self.start(MANIFEST)?.write_all(&text).map_err(&failed)?;
        let zip = self.zip.take().expect("an archive is sealed once");
        let sink = zip.finish().map_err(|error| failed(io_error(error)))?;
        let file = sink.file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)
    }

    /// Where it lies until it is published.
    pub(super) fn path(&self) -> &Path {
        &self.temporary
    }

    /// Gives it its name, unless there is such a file: nothing is ever written over.
    pub(super) fn publish(self, path: &Path) -> Result<(), BackupError> {
        let failed = |source| BackupError::Write { path: path.to_owned(), source };
        fs::hard_link(&self.temporary, path)
            .or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Err(error),
                // A file system without links.
                _ => fs::rename(&self.temporary, path),
            })
            .map_err(failed)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

impl Drop for NewArchive {
    fn drop(&mut self) {
        // The writer would like to end an archive that nobody will see.
        if let Some(sink) = self.zip.as_ref().and_then(ZipWriter::get_ref) {
            sink.is_given_up.set(true);
        }
        self.zip = None;
        let _ = fs::remove_file(&self.temporary);
    }
}

/// The file, which takes no more once it is given up. The archive's writer ends an archive that is dropped, wherever it stands: it must
/// not be lied to about that place.
struct Sink {
    file: BufWriter<File>,
    is_given_up: Cell<bool>,
    position: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = if self.is_given_up.get() { bytes.len() } else { self.file.write(bytes)? };
        self.position += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_given_up.get() { Ok(()) } else { self.file.flush() }
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(position) if self.is_given_up.get() => position,
            SeekFrom::Current(offset) if self.is_given_up.get() => self.position.saturating_add_signed(offset),
            SeekFrom::End(_) if self.is_given_up.get() => self.position,
            to => self.file.seek(to)?,
        };
        Ok(self.position)
    }
}

/// Counts and hashes what passes.
struct Hashed<W> {
    inner: W,
    hasher: Sha256,
    size_bytes: u64,
}

impl<W> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), size_bytes: 0 }
    }

    fn finish(self) -> (u64, String) {
        let digest = self.hasher.finalize();
        (self.size_bytes, digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        self.size_bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Moves everything, in pieces, until told to stop. What fails is told apart by its side.
pub(super) fn copy(from: &mut impl Read, to: &mut (impl Write + ?Sized), stop: &AtomicBool) -> Result<u64, CopyError> {
    let mut buffer = vec![0; PIECE];
    let mut total = 0;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(CopyError::Stopped);
        }
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        to.write_all(&buffer[..length]).map_err(CopyError::Write)?;
        total += length as u64;
    }
}

/// Which side of a copy failed.
#[derive(Debug)]
pub(super) enum CopyError {
    Read(io::Error),
    Write(io::Error),
    Stopped,
}

fn io_error(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

/// An archive that is read.
pub(super) struct OpenArchive {
    path: PathBuf,
    zip: ZipArchive<BufReader<File>>,
    pub(super) manifest: BackupManifest,
}

impl OpenArchive {
    /// Opens an archive and reads its manifest.
    pub(super) fn open(path: &Path, known_migrations: &[String]) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(|source| BackupError::Read { path: path.to_owned(), source })?;
        let foreign = |why: String| BackupError::Foreign { path: path.to_owned(), why };
        if !file.metadata().is_ok_and(|facts| facts.is_file()) {
            return Err(foreign("it is no file".to_owned()));
        }
        let mut zip = ZipArchive::new(BufReader::with_capacity(PIECE, file)).map_err(|error| match error {
            ZipError::Io(source) => BackupError::Read { path: path.to_owned(), source },
            // Its end says where everything is: one that was cut off has none.
            _ if begins_like_a_zip(path) => damaged(path, "its end is missing, it was cut off"),
            _ => foreign("it is no zip archive".to_owned()),
        })?;
        let mut text = Vec::new();
        match zip.by_name(MANIFEST) {
            Ok(entry) => entry.take(LONGEST_MANIFEST_BYTES).read_to_end(&mut text).map_err(|error| damaged(path, error))?,
            Err(_) => return Err(foreign(format!("there is no {MANIFEST} in it"))),
        };
        let manifest =
            BackupManifest::read(&text, known_migrations).map_err(|why| BackupError::Unreadable { path: path.to_owned(), why })?;
        Ok(Self { path: path.to_owned(), zip, manifest })
    }

    /// Sends a part to `to`, and makes sure that it was what the manifest says.
    pub(super) fn send(&mut self, name: &str, to: &mut dyn Write, stop: &AtomicBool) -> Result<(), SendError> {
        let damaged = |what: &dyn std::fmt::Display| SendError::Backup(damaged(&self.path, what));
        let said = self.manifest.parts.iter().find(|part| part.name == name).ok_or_else(|| damaged(&format!("it has no {name}")))?;
        let mut entry = self.zip.by_name(name).map_err(|error| damaged(&format!("{name}: {error}")))?;
        let mut hashed = Hashed::new(to);
        match copy(&mut entry, &mut hashed, stop) {
            Ok(_) => {}
            Err(CopyError::Read(error)) => return Err(damaged(&format!("{name}: {error}"))),
            Err(CopyError::Write(error)) => return Err(SendError::Receiver(error)),
            Err(CopyError::Stopped) => return Err(SendError::Backup(BackupError::Stopped)),
        }
        let (size_bytes, sha256) = hashed.finish();
        if (size_bytes, &sha256) != (said.size_bytes, &said.sha256) {
            return Err(damaged(&format!("{name} is not what was written")));
        }
        Ok(())
    }

    /// Reads all of it: every byte is as the manifest says, and `pg_restore` finds a whole database in it.
    pub(super) fn check(&mut self, tools: &Tools, stop: &AtomicBool) -> Result<(), BackupError> {
        let mut tool = tools.pg_restore();
        tool.command.args(["--file", "/dev/null"]).stdin(Stdio::piped());
        let mut reader = tool.start()?;
        let mut stdin = reader.child.stdin.take().expect("it is a pipe");
        let sent = self.send(DATABASE, &mut stdin, stop);
        drop(stdin);
        let finished = reader.finish();
        match (sent, finished) {
            (Err(SendError::Backup(error)), _) => return Err(error),
            (_, Err(BackupError::Failed { said, .. })) => return Err(damaged(&self.path, format!("pg_restore cannot read it: {said}"))),
            (Err(SendError::Receiver(error)), Ok(())) => {
                return Err(damaged(&self.path, format!("pg_restore left some of it unread: {error}")));
            }
            (Ok(()), finished) => finished?,
            (_, Err(error)) => return Err(error),
        }
        let others: Vec<String> = self.manifest.parts.iter().map(|part| part.name.clone()).filter(|name| name != DATABASE).collect();
        for name in others {
            self.send(&name, &mut io::sink(), stop).map_err(|error| error.unless_receiver(&self.path))?;
        }
        Ok(())
    }

    /// What `pg_restore` says is in the database's part, a line each.
    pub(super) fn entries(&mut self, tools: &Tools, stop: &AtomicBool) -> Result<String, BackupError> {
        let mut tool = tools.pg_restore();
        tool.command.arg("--list").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut reader = tool.start()?;
        let mut stdin = reader.child.stdin.take().expect("it is a pipe");
        let mut stdout = reader.child.stdout.take().expect("it is a pipe");
        let (sent, heard) = thread::scope(|scope| {
            let listener = scope.spawn(move || {
                let mut text = String::new();
                stdout.read_to_string(&mut text).map(|_| text)
            });
            let sent = self.send(DATABASE, &mut stdin, stop);
            drop(stdin);
            (sent, listener.join())
        });
        // It ends as soon as it has read the beginning, where all entries are named.
        if let Err(SendError::Backup(error)) = sent {
            return Err(error);
        }
        reader.finish()?;
        match heard {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(error)) => Err(BackupError::Failed { program: "pg_restore", said: error.to_string() }),
            Err(_) => Err(BackupError::Failed { program: "hm", said: "the reading thread panicked".to_owned() }),
        }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Why a part was not sent.
#[derive(Debug)]
pub(super) enum SendError {
    /// The archive is at fault, or the end has come.
    Backup(BackupError),
    /// Whoever should take it does not.
    Receiver(io::Error),
}

impl SendError {
    /// The archive's fault; a receiver's is taken for it too.
    pub(super) fn unless_receiver(self, path: &Path) -> BackupError {
        match self {
            Self::Backup(error) => error,
            Self::Receiver(source) => BackupError::Write { path: path.to_owned(), source },
        }
    }
}

fn damaged(path: &Path, what: impl std::fmt::Display) -> BackupError {
    BackupError::Damaged { path: path.to_owned(), what: what.to_string() }
}

fn begins_like_a_zip(path: &Path) -> bool {
    let mut head = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head == *b"PK\x03\x04"
}

/// Reads a whole backup and says what is in it; the database is not touched.
///
/// # Errors
/// [`BackupError`] when it is damaged, or this program could not restore it.
pub fn check_backup(path: &Path, config: &crate::config::DatabaseConfig) -> Result<BackupManifest, BackupError> {
    let mut archive = OpenArchive::open(path, &crate::db::backups::known_migrations()?)?;
    let programs = crate::services::ClientPrograms::find(config, archive.manifest.postgres_major())?;
    archive.check(&Tools::new(programs, ""), &AtomicBool::new(false))?;
    Ok(archive.manifest)
}
