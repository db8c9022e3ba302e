//! Who runs the services. PostgreSQL refuses root, so root hands both to a user without rights; anybody else runs them as themselves.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::geteuid;

use super::{ServicesError, layout::Layout};

/// Users to hand the services to, by preference (macOS has `_postgres`).
const CANDIDATES: &[&str] = &["postgres", "_postgres", "nobody"];

/// The user that the services run as.
#[derive(Debug, Clone)]
pub(super) enum Account {
    /// The one hm runs as.
    Own,
    /// Another one, because hm is root.
    Other {
        /// Name, or number where it has none.
        name: String,
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

impl Account {
    /// Whoever owns the cluster or, before there is one, the data directory; else a user made for this.
    ///
    /// # Errors
    /// [`ServicesError::NoAccount`] for root on a machine without such a user.
    pub(super) fn of(layout: &Layout) -> Result<Self, ServicesError> {
        if !geteuid().is_root() {
            return Ok(Self::Own);
        }
        let owners = [layout.cluster(), layout.data_dir().to_owned()].into_iter().filter_map(|path| fs::metadata(path).ok());
        if let Some(owner) = owners.into_iter().find(|facts| facts.uid() != 0) {
            let name = id(&["-un", &owner.uid().to_string()]).unwrap_or_else(|| owner.uid().to_string());
            return Ok(Self::Other { name, uid: owner.uid(), gid: owner.gid() });
        }
        let known = |name: &&str| {
            let number = |flag| id(&[flag, name]).and_then(|text| text.parse().ok());
            Some(Self::Other { name: (*name).to_owned(), uid: number("-u")?, gid: number("-g")? })
        };
        CANDIDATES.iter().find_map(known).ok_or(ServicesError::NoAccount)
    }

    /// A command that runs as this user, from `/`, with nothing of our environment but the path: `PGPORT` and its like would
    /// change what the server does.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "TMPDIR"));
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }

    /// Makes a folder that this user alone may enter.
    ///
    /// # Errors
    /// [`ServicesError::Write`].
    pub(super) fn create_folder(&self, path: &Path) -> Result<(), ServicesError> {
        let made = fs::DirBuilder::new().mode(0o700).create(path);
        let made = made.or_else(|error| if path.is_dir() { Ok(()) } else { Err(error) }).and_then(|()| self.own(path));
        made.map_err(|source| ServicesError::Write { path: path.to_owned(), source })
    }

    fn own(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, .. } => chown(path, Some(*uid), Some(*gid)),
        }
    }

    /// Makes sure that this user can get to `path`.
    ///
    /// # Errors
    /// [`ServicesError::Unreachable`] names the first folder that is closed.
    pub(super) fn check_way_to(&self, path: &Path) -> Result<(), ServicesError> {
        let Self::Other { name, .. } = self else { return Ok(()) };
        if self.can_enter(path) {
            return Ok(());
        }
        let way: Vec<&Path> = path.ancestors().collect();
        let closed = way.into_iter().rev().find(|folder| !self.can_enter(folder)).unwrap_or(path);
        Err(ServicesError::Unreachable { user: name.clone(), path: closed.to_owned() })
    }

    /// Asks the kernel as that user, which also knows of access lists.
    fn can_enter(&self, folder: &Path) -> bool {
        let shell = Path::new("/bin/sh");
        let script = [OsStr::new("-c"), OsStr::new("cd \"$1\""), OsStr::new("sh"), folder.as_os_str()];
        let mut command = self.command(shell);
        command.args(script).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

/// What `id` says: it knows users of every kind of directory service, which `/etc/passwd` does not.
fn id(arguments: &[&str]) -> Option<String> {
    let output = Command::new("id").args(arguments).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_closed_folder_on_the_way_is_named() {
        if !geteuid().is_root() {
            eprintln!("skipped: only root hands the services to another user");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let (closed, inner) = (dir.path().join("closed"), dir.path().join("closed/inner"));
        fs::create_dir_all(&inner).unwrap();
        let nobody = Account::Other { name: "nobody".to_owned(), uid: 65_534, gid: 65_534 };
        nobody.check_way_to(&inner).unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
        let error = nobody.check_way_to(&inner).unwrap_err();
        assert!(matches!(&error, ServicesError::Unreachable { path, .. } if *path == closed), "{error}");
        assert!(error.to_string().contains("hint: "));
    }
}
