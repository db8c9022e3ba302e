//! A disk that ignores the case of names, as macOS and memory cards have: the temporary directory itself, or an exFAT image.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A folder on such a disk; unmounted when dropped.
pub(crate) struct Disk {
    dir: tempfile::TempDir,
    mount: PathBuf,
    device: Option<String>,
}

impl Disk {
    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(device) = &self.device {
            run("umount", &[&self.mount.to_string_lossy()]);
            run("losetup", &["-d", device]);
        }
    }
}

/// Gives one, or says why not and that the test is skipped.
pub(crate) fn ignoring_case() -> Option<Disk> {
    let dir = super::temp_dir();
    std::fs::write(dir.path().join("Case"), "").unwrap();
    if dir.path().join("cASE").exists() {
        return Some(Disk { mount: dir.path().to_owned(), dir, device: None });
    }
    let disk = exfat(dir);
    if disk.is_none() {
        println!("skipped: no disk that ignores case can be had here (root, a loop device, mkfs.exfat and exfat-fuse make one)");
    }
    disk
}

fn exfat(dir: tempfile::TempDir) -> Option<Disk> {
    let (image, mount) = (dir.path().join("disk"), dir.path().join("mount"));
    std::fs::File::create(&image).ok()?.set_len(64 << 20).ok()?;
    std::fs::create_dir(&mount).ok()?;
    run("mkfs.exfat", &[&image.to_string_lossy()])?;
    let device = run("losetup", &["--find", "--show", &image.to_string_lossy()])?.trim().to_owned();
    let mut disk = Disk { dir, mount, device: Some(device.clone()) };
    if run("mount.exfat-fuse", &[&device, &disk.mount.to_string_lossy()]).is_none() {
        run("losetup", &["-d", &device]);
        disk.device = None;
        return None;
    }
    debug_assert!(disk.dir.path().exists());
    Some(disk)
}

/// What a program says, if it is there and succeeds. Its daemon must not keep our pipes open.
fn run(program: &str, args: &[&str]) -> Option<String> {
    let output = tempfile::NamedTempFile::new().ok()?;
    let status = Command::new(program).args(args).stdin(Stdio::null()).stdout(output.reopen().ok()?).stderr(Stdio::null()).status().ok()?;
    status.success().then(|| std::fs::read_to_string(output.path()).unwrap_or_default())
}
