//! Processes that are not our children: finding those that work in a folder, and ending them.
//!
//! A process id alone proves nothing, since ids are used again; what a service's processes share is that they run the service's
//! program and have its data folder as working directory. Linux tells that in `/proc`. Elsewhere `lsof` does; that way is written
//! from its manual and untried on macOS.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// How often a process that should end is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// Ids of the processes named like one of `programs` whose working directory is `dir`.
pub(super) fn running_in(dir: &Path, programs: &[&str]) -> Vec<Pid> {
    let Ok(dir) = dir.canonicalize() else { return Vec::new() };
    if Path::new("/proc/self/cwd").exists() { from_proc(&dir, programs) } else { from_lsof(&dir, programs) }
}

fn from_proc(dir: &Path, programs: &[&str]) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
        let works_here = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == dir);
        if works_here && fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| is_one_of(&name, programs)) {
            found.push(pid);
        }
    }
    found
}

fn from_lsof(dir: &Path, programs: &[&str]) -> Vec<Pid> {
    let mut command = Command::new("lsof");
    command.args(["-w", "-a", "-d", "cwd", "-F", "pn"]);
    for program in programs {
        command.args(["-c", program]);
    }
    let Ok(output) = command.output() else { return Vec::new() };
    parse_lsof(&String::from_utf8_lossy(&output.stdout), dir)
}

/// Reads `lsof -F pn`: a line `p` with an id, then lines `n` with the names of its files.
fn parse_lsof(output: &str, dir: &Path) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut current = None;
    for line in output.lines() {
        if let Some(pid) = line.strip_prefix('p') {
            current = pid.parse().ok().and_then(Pid::from_raw);
        } else if line.strip_prefix('n').is_some_and(|name| Path::new(name) == dir) {
            found.extend(current);
        }
    }
    found
}

fn is_one_of(name: &str, programs: &[&str]) -> bool {
    programs.iter().any(|program| name.starts_with(program))
}

/// Whether a process of this id exists, whatever it is.
pub(super) fn exists(pid: Pid) -> bool {
    !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

/// Sends each signal in turn to every process of `dir`, waiting after each as long as it says; true when none is left.
///
/// With `first`, the first signal goes to that process alone, which is expected to take the others along.
pub(super) fn end_all(dir: &Path, programs: &[&str], first: Option<Pid>, signals: &[(Signal, Duration)]) -> bool {
    for (turn, (signal, patience)) in signals.iter().enumerate() {
        let running = running_in(dir, programs);
        if running.is_empty() {
            return true;
        }
        let leader = first.filter(|leader| turn == 0 && running.contains(leader));
        for pid in running.iter().filter(|pid| leader.is_none_or(|leader| leader == **pid)) {
            if let Err(error) = kill_process(*pid, *signal) {
                tracing::debug!(process.id = pid.as_raw_nonzero().get(), %error, "cannot signal a process");
            }
        }
        if wait_until(*patience, || running_in(dir, programs).is_empty()) {
            return true;
        }
    }
    false
}

/// Looks until `done` says so; false when it has not after `patience`.
pub(super) fn wait_until(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if done() {
            return true;
        }
        if started.elapsed() >= patience {
            return false;
        }
        thread::sleep(GLANCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_its_folder_and_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep").arg("60").current_dir(dir.path()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        assert!(wait_until(Duration::from_secs(5), || running_in(dir.path(), &["sleep"]) == [pid]));
        assert!(running_in(dir.path(), &["postgres"]).is_empty());
        assert!(running_in(Path::new("/"), &["sleep"]).iter().all(|other| *other != pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!exists(pid));
    }

    #[test]
    fn processes_that_ignore_the_first_signal_get_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep").arg("60").current_dir(dir.path()).spawn().unwrap();
        assert!(wait_until(Duration::from_secs(5), || !running_in(dir.path(), &["sleep"]).is_empty()));
        let signals = [(Signal::CONT, Duration::from_millis(50)), (Signal::KILL, Duration::from_secs(5))];
        assert!(end_all(dir.path(), &["sleep"], None, &signals));
        child.wait().unwrap();
    }

    #[test]
    fn lsof_lists_ids_and_folders() {
        let output = "p12\nfcwd\nn/data/postgres\np13\nfcwd\nn/data\np14\nfcwd\nn/data/postgres\n";
        let found: Vec<i32> = parse_lsof(output, Path::new("/data/postgres")).into_iter().map(|pid| pid.as_raw_nonzero().get()).collect();
        assert_eq!(found, [12, 14]);
    }
}
