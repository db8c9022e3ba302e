//! A disk that can be mounted read-only, taken away and brought back: a folder, mounted in another place.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Unmounted with the value.
pub(crate) struct BoundDisk {
    folder: PathBuf,
    at: PathBuf,
    is_mounted: bool,
}

impl BoundDisk {
    /// None where mounting is not allowed.
    pub(crate) fn mount(folder: &Path, at: &Path) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        fs::create_dir_all(at).unwrap();
        let is_mounted = succeeds(Command::new("mount").arg("--bind").args([folder, at]));
        is_mounted.then(|| Self { folder: folder.to_owned(), at: at.to_owned(), is_mounted })
    }

    /// Mounts it anew, for reading alone or for writing, too.
    pub(crate) fn remount(&self, how: &str) {
        assert!(succeeds(Command::new("mount").args(["-o", &format!("remount,bind,{how}")]).arg(&self.at)), "remount,{how}");
    }

    pub(crate) fn take_away(&mut self) {
        super::wait_until("the disk can be unmounted", Duration::from_secs(60), || succeeds(Command::new("umount").arg(&self.at)));
        self.is_mounted = false;
    }

    pub(crate) fn bring_back(&mut self) {
        self.is_mounted = succeeds(Command::new("mount").arg("--bind").args([&self.folder, &self.at]));
        assert!(self.is_mounted);
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Drop for BoundDisk {
    fn drop(&mut self) {
        if self.is_mounted {
            self.take_away();
        }
    }
}
