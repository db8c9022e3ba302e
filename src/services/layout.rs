//! Where everything of the private services lies. The same data directory gives the same paths in every process.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

use super::ServicesError;

/// Longest path of a unix socket that Linux (107 bytes) and macOS (103) both take.
const LONGEST_SOCKET_PATH: usize = 103;

/// The paths below one data directory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    data_dir: PathBuf,
    /// Holds the sockets: `run/`, or a short folder in `/tmp` where that would be too long for a socket.
    sockets_root: PathBuf,
}

impl Layout {
    /// The layout of a data directory, which must be absolute.
    pub(super) fn new(data_dir: &Path) -> Self {
        let run = data_dir.join("run");
        let longest = run.join("sockets/.s.PGSQL.5432");
        let sockets_root = if longest.as_os_str().len() <= LONGEST_SOCKET_PATH { run } else { short_folder(data_dir) };
        Self { data_dir: data_dir.to_owned(), sockets_root }
    }

    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// PostgreSQL's cluster.
    pub(super) fn cluster(&self) -> PathBuf {
        self.data_dir.join("postgres")
    }

    /// Where a cluster is made, before it is moved to [`Self::cluster`] in one step.
    pub(super) fn new_cluster(&self) -> PathBuf {
        self.data_dir.join("postgres.new")
    }

    /// Redis' own folder.
    pub(super) fn redis(&self) -> PathBuf {
        self.data_dir.join("redis")
    }

    /// Where a Redis folder goes that Redis cannot read any more.
    pub(super) fn redis_set_aside(&self) -> PathBuf {
        self.data_dir.join("redis.unreadable")
    }

    /// The secret of this machine's own processes towards Redis.
    pub(super) fn redis_secret(&self) -> PathBuf {
        self.data_dir.join("redis.secret")
    }

    /// Who may come to Redis from other machines, and through which port.
    pub(super) fn redis_door(&self) -> PathBuf {
        self.data_dir.join("redis.door")
    }

    /// Held by the one guard.
    pub(super) fn lock(&self) -> PathBuf {
        self.data_dir.join("run/guard.lock")
    }

    /// Where the guard listens.
    pub(super) fn guard_socket(&self) -> PathBuf {
        self.sockets_root.join("guard.sock")
    }

    /// The folder of both services' sockets.
    pub(super) fn sockets(&self) -> PathBuf {
        self.sockets_root.join("sockets")
    }

    /// The socket of Redis.
    pub(super) fn redis_socket(&self) -> PathBuf {
        self.sockets().join("redis.sock")
    }

    /// The log of one process.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.data_dir.join("log").join(name).with_extension("log")
    }

    /// Makes the folders that belong to the user hm runs as.
    ///
    /// # Errors
    /// [`ServicesError::Write`] when the data directory cannot be written, or somebody else made the short folder in `/tmp`.
    pub(super) fn create(&self) -> Result<(), ServicesError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ServicesError::Write { path, source }
        };
        let is_new = !self.data_dir.exists();
        for folder in [&self.data_dir, &self.data_dir.join("run"), &self.data_dir.join("log")] {
            DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(failed(folder))?;
            // Somewhere below works another user when hm runs as root, whatever the umask is.
            if geteuid().is_root() && (is_new || folder != &self.data_dir) {
                fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(failed(folder))?;
            }
        }
        create_private(&self.sockets_root).map_err(failed(&self.sockets_root))
    }

    /// Removes the folder in `/tmp`, where there is one and nothing is left in it. Only whoever holds the lock may call this.
    pub(super) fn remove_short_folder(&self) {
        if self.sockets_root.starts_with(&self.data_dir) {
            return;
        }
        if let Err(error) = fs::remove_dir(self.sockets()).and_then(|()| fs::remove_dir(&self.sockets_root)) {
            tracing::debug!(file.path = %self.sockets_root.display(), %error, "a folder stays behind");
        }
    }

    /// Opens the lock file.
    ///
    /// # Errors
    /// [`ServicesError::Write`].
    pub(super) fn open_lock(&self) -> Result<File, ServicesError> {
        let path = self.lock();
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        opened.map_err(|source| ServicesError::Write { path, source })
    }
}

/// The folder in `/tmp` for a data directory whose own path is too long. Not `$XDG_RUNTIME_DIR`: a process that cron starts has
/// none, and would not find the guard.
fn short_folder(data_dir: &Path) -> PathBuf {
    let hash = blake3::hash(data_dir.as_os_str().as_bytes()).to_hex();
    PathBuf::from(format!("/tmp/hm-{}-{}", geteuid().as_raw(), &hash[..12]))
}

/// Makes a folder in which nobody else can put anything, or makes sure that it is one.
fn create_private(path: &Path) -> io::Result<()> {
    if let Err(error) = DirBuilder::new().mode(0o711).create(path)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    let facts = path.symlink_metadata()?;
    let is_ours = facts.is_dir() && (facts.uid() == geteuid().as_raw() || geteuid().is_root()) && facts.mode() & 0o022 == 0;
    if is_ours { Ok(()) } else { Err(io::Error::new(io::ErrorKind::PermissionDenied, "somebody else can write there")) }
}

/// Free space that an ordinary user may fill, in bytes, on the file system that holds `path` or will hold it.
///
/// # Errors
/// When no part of the path can be asked.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let facts = rustix::fs::statvfs(existing)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_data_directory_gets_a_short_folder_for_its_sockets() {
        let long = PathBuf::from(format!("/data/{}", "x".repeat(90)));
        let layout = Layout::new(&long);
        assert!(layout.sockets().join(".s.PGSQL.5432").as_os_str().len() <= LONGEST_SOCKET_PATH);
        assert_eq!(layout.guard_socket(), Layout::new(&long).guard_socket());
        assert_ne!(layout.guard_socket(), Layout::new(&long.join("y")).guard_socket());
        assert!(layout.lock().starts_with(&long));
        assert_eq!(Layout::new(Path::new("/var/lib/hm")).sockets(), Path::new("/var/lib/hm/run/sockets"));
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        assert_eq!(create_private(&open).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(create_private(&link).is_err());
        create_private(&dir.path().join("new")).unwrap();
    }

    #[test]
    fn free_space_is_known_before_the_folder_is_made() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(&dir.path().join("not/yet/there")).unwrap() > 0);
    }
}
