//! What several areas' tests need: the real `hm` in a clean environment, a database of one's own, files to scan.

pub(crate) mod bound_disk;
pub(crate) mod case;
pub(crate) mod chart;
pub(crate) mod damage;
pub(crate) mod database;
pub(crate) mod dng;
pub(crate) mod encoders;
pub(crate) mod http;
pub(crate) mod hub;
pub(crate) mod library;
pub(crate) mod media;
pub(crate) mod networks;
pub(crate) mod queries;
pub(crate) mod scenes;
pub(crate) mod small_disk;
pub(crate) mod toy;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

pub(crate) use database::TestDatabase;

/// The built program, with none of the caller's `HM_` settings, and quiet unless something is wrong.
pub(crate) fn hm_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hm"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HM_")) {
        command.env_remove(name);
    }
    command.env("HM_LOG_LEVEL", "warn").current_dir(std::env::temp_dir());
    command
}

/// A folder that is gone when the value is dropped. Others may enter it: as root, the private services run as another user.
pub(crate) fn temp_dir() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("hm-it-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .expect("the temporary directory is writable")
}

/// Every file below a folder, in any order; links are files.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// The Redis that tests share; every test uses a name space of its own in it.
pub(crate) fn redis_url() -> String {
    std::env::var("HM_TEST_REDIS_URL").expect("HM_TEST_REDIS_URL names no Redis; `make test` starts one and sets it")
}

/// Whether the tests' database server has pgvector. Where it does not, a test that needs it says that it did not run, and ends.
pub(crate) fn has_vectors(conn: &mut hm::db::PgConnection) -> bool {
    let vectors = hm::db::vectors::find_vectors(conn).expect("the database answers");
    if let Some(problem) = vectors.problem() {
        let (problem, _) = problem.split_once('\n').unwrap_or((&problem, ""));
        eprintln!("SKIPPED, nothing was tested: {problem}");
    }
    vectors.is_ready()
}

/// Waits until `done` says so.
///
/// # Panics
/// With `what`, after `patience`.
pub(crate) fn wait_until(what: &str, patience: Duration, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < patience, "waited {patience:?} in vain: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
