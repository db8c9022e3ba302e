//! A disk that is soon full.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// A small file system of its own, gone with the value; none where mounting is not allowed.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(crate) fn mount(path: &Path, size_mib: u32) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size_mib}m,mode=755"), "hm-it"]).arg(path);
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        super::wait_until("the small disk can be unmounted", Duration::from_secs(60), || {
            Command::new("umount").arg(&self.0).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        });
    }
}
