//! The private PostgreSQL: one cluster below the data directory, made once, started with settings for one household.
//!
//! A cluster is made beside its place and moved there in one step, so that an interrupted first start leaves nothing that looks
//! finished. Its superuser is `hm`, its database the `postgres` that every cluster has. `postmaster.pid` is removed only when it
//! names a foreign process and no process of the cluster lives: with a backend still writing, a second server would corrupt it.

use std::{
    fs::{self, File},
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    ServicesError,
    account::Account,
    guard::{Service, remove_if_there},
    layout::{Layout, free_bytes},
    logs, process,
    programs::PostgresPrograms,
};
use crate::config::DatabaseConfig;

/// Room that a new cluster gets at least, in MiB: 40 for itself, the rest for its log of changes.
const NEW_CLUSTER_MIB: u64 = 256;

/// Below this a start that failed is blamed on the disk, in MiB.
const NEARLY_FULL_MIB: u64 = 32;

/// Patience with a server that replays its log after a crash.
const START_PATIENCE: Duration = Duration::from_secs(150);

/// How a server is ended: fast shutdown, immediate shutdown, and what always works.
const STOP: &[(Signal, Duration)] =
    &[(Signal::INT, Duration::from_secs(60)), (Signal::QUIT, Duration::from_secs(10)), (Signal::KILL, Duration::from_secs(5))];

/// How backends are ended whose server is gone: they can only stop at once.
const STOP_STRAYS: &[(Signal, Duration)] = &[(Signal::QUIT, Duration::from_secs(10)), (Signal::KILL, Duration::from_secs(5))];

/// What makes a cluster: initdb starts postgres through a shell.
const MAKERS: &[&str] = &["initdb", "sh", "postgres"];
/// How often a half-made cluster is removed that is written to at the same time.
const CLEARINGS: usize = 5;

/// Removes a half-made cluster. What its initdb started in the moment in which it was ended may write into it meanwhile.
fn clear(new: &Path) -> io::Result<()> {
    for _ in 1..CLEARINGS {
        match fs::remove_dir_all(new) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => process::end_all(new, MAKERS, None, STOP_STRAYS),
            done => return done,
        };
    }
    fs::remove_dir_all(new)
}

/// The private PostgreSQL of one data directory.
pub(super) struct Postgres {
    config: DatabaseConfig,
    layout: Layout,
}

impl Postgres {
    pub(super) fn new(config: &DatabaseConfig, layout: &Layout) -> Self {
        Self { config: config.clone(), layout: layout.clone() }
    }

    /// Makes the cluster beside its place, and moves it there whole.
    fn create_cluster(&self, programs: &PostgresPrograms, account: &Account) -> Result<(), ServicesError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ServicesError::Write { path, source }
        };
        let (new, cluster) = (self.layout.new_cluster(), self.layout.cluster());
        process::end_all(&new, MAKERS, None, STOP_STRAYS);
        if new.exists() {
            tracing::warn!(file.path = %new.display(), "an earlier first start was interrupted: making the database anew");
            clear(&new).map_err(failed(&new))?;
        }
        self.check_room(NEW_CLUSTER_MIB, String::new)?;
        account.create_folder(&new)?;
        account.check_way_to(&new)?;
        tracing::info!(file.path = %cluster.display(), "making the private database");
        let log_file = self.layout.log("postgres");
        let start = logs::end_of(&log_file);
        let log = logs::open(&log_file)?;
        let mut command = account.command(&programs.initdb());
        command.args(["--username=hm", "--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions"]);
        command.arg("--pgdata").arg(&new).stdout(duplicate(&log, &log_file)?).stderr(log);
        let status = command.status().map_err(failed(&programs.initdb()))?;
        if !status.success() {
            self.check_room(NEARLY_FULL_MIB, || logs::tail(&log_file, start))?;
            let problem = format!("initdb {}", ended(status));
            return Err(ServicesError::Start { what: "PostgreSQL", problem, log: logs::tail(&log_file, start), log_file });
        }
        fs::rename(&new, &cluster).map_err(failed(&cluster))?;
        File::open(self.layout.data_dir()).and_then(|dir| dir.sync_all()).map_err(failed(self.layout.data_dir()))
    }

    fn check_room(&self, needed_mib: u64, log: impl Fn() -> String) -> Result<(), ServicesError> {
        let path = self.layout.data_dir().to_owned();
        let free_mib = free_bytes(&path).map_err(|source| ServicesError::Write { path: path.clone(), source })? >> 20;
        if free_mib < needed_mib {
            return Err(ServicesError::DiskFull { path, free_mib, needed_mib, log: log() });
        }
        Ok(())
    }

    /// The server's settings; those that a household's photographs want other than PostgreSQL's own.
    fn settings(&self) -> Vec<String> {
        let quoted = self.layout.sockets().to_string_lossy().replace('"', "\"\"");
        let mut settings =
            vec![format!("unix_socket_directories=\"{quoted}\""), format!("shared_buffers={}MB", shared_buffers_mib(total_memory_bytes()))];
        let fixed = [
            "listen_addresses=",
            "port=5432",
            "unix_socket_permissions=0700",
            "max_connections=60",
            "wal_level=minimal",
            "max_wal_senders=0",
            "max_wal_size=2GB",
            "checkpoint_timeout=15min",
            "max_logical_replication_workers=0",
            "jit=off",
            "random_page_cost=1.1",
            "effective_io_concurrency=200",
            "work_mem=32MB",
            "huge_pages=off",
            "timezone=UTC",
            "lc_messages=C",
            "logging_collector=off",
            "log_line_prefix=%m [%p] ",
        ];
        // macOS has no posix_fadvise, and its server refuses to start with this setting.
        let fits = |setting: &&str| !(cfg!(target_os = "macos") && setting.starts_with("effective_io_concurrency"));
        settings.extend(fixed.into_iter().filter(fits).map(str::to_owned));
        settings
    }

    fn wait_for(&self, child: &mut Child, log_start: u64) -> Result<(), ServicesError> {
        let pid = Pid::from_child(child);
        let pid_file = self.layout.cluster().join("postmaster.pid");
        let log_file = self.layout.log("postgres");
        let mut exit = None;
        // That a connection works is no proof: it may be an orphan that answers.
        let done = process::wait_until(START_PATIENCE, || {
            exit = child.try_wait().ok().flatten();
            exit.is_some() || PidFile::read(&pid_file).is_some_and(|file| file.pid == pid && file.is_ready)
        });
        if done && exit.is_none() {
            return Ok(());
        }
        self.check_room(NEARLY_FULL_MIB, || logs::tail(&log_file, log_start))?;
        let problem = exit.map_or_else(|| format!("not ready after {} s", START_PATIENCE.as_secs()), ended);
        Err(ServicesError::Start { what: "PostgreSQL", problem, log: logs::tail(&log_file, log_start), log_file })
    }
}

impl Service for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    /// Also clears away a pid file that would keep the server from starting.
    fn end_orphans(&mut self) -> Result<(), ServicesError> {
        let cluster = self.layout.cluster();
        let pid_file = cluster.join("postmaster.pid");
        let leader = PidFile::read(&pid_file).map(|file| file.pid);
        let running = process::running_in(&cluster, &["postgres"]);
        if !running.is_empty() {
            tracing::warn!(processes = running.len(), "ending a PostgreSQL that an earlier guard left behind");
            let led = leader.filter(|pid| running.contains(pid));
            let ended = process::end_all(&cluster, &["postgres"], led, if led.is_some() { STOP } else { STOP_STRAYS });
            if !ended {
                let problem = "processes of an earlier start cannot be ended".to_owned();
                return Err(ServicesError::Start {
                    what: "PostgreSQL",
                    problem,
                    log: String::new(),
                    log_file: self.layout.log("postgres"),
                });
            }
        }
        // A server that ended properly took its file along; a process by that number is now another one, or not collected yet.
        let named = PidFile::read(&pid_file).map(|file| file.pid);
        if named.is_some_and(process::exists) && process::running_in(&cluster, &["postgres"]).is_empty() {
            tracing::warn!(file.path = %pid_file.display(), "removing a pid file that names a foreign process");
            remove_if_there(&pid_file).map_err(|source| ServicesError::Write { path: pid_file, source })?;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<Child, ServicesError> {
        let cluster = self.layout.cluster();
        let programs = PostgresPrograms::for_cluster(&self.config, &cluster)?;
        let account = Account::of(&self.layout)?;
        let log_file = self.layout.log("postgres");
        if !cluster.join("PG_VERSION").exists() {
            self.create_cluster(&programs, &account)?;
        }
        account.check_way_to(&cluster)?;
        self.end_orphans()?;
        account.create_folder(&self.layout.sockets())?;
        account.check_way_to(&self.layout.sockets())?;
        let log_start = logs::end_of(&log_file);
        let log = logs::open(&log_file)?;
        let mut command = account.command(&programs.postgres());
        command.arg("-D").arg(&cluster).stdout(duplicate(&log, &log_file)?).stderr(log);
        for setting in self.settings() {
            command.args(["-c", &setting]);
        }
        let mut child = command.spawn().map_err(|source| ServicesError::Write { path: programs.postgres(), source })?;
        match self.wait_for(&mut child, log_start) {
            Ok(()) => {
                tracing::info!(version = programs.version, process.id = child.id(), "PostgreSQL is ready");
                Ok(child)
            }
            Err(error) => {
                self.stop(child);
                Err(error)
            }
        }
    }

    fn stop(&mut self, mut child: Child) {
        for (signal, patience) in STOP {
            if child.try_wait().is_ok_and(|exit| exit.is_some()) {
                break;
            }
            if let Err(error) = kill_process(Pid::from_child(&child), *signal) {
                tracing::debug!(%error, "cannot signal PostgreSQL");
            }
            process::wait_until(*patience, || child.try_wait().is_ok_and(|exit| exit.is_some()));
        }
        if !process::end_all(&self.layout.cluster(), &["postgres"], None, STOP_STRAYS) {
            tracing::error!("processes of PostgreSQL remain");
        }
    }
}

/// What `postmaster.pid` says.
#[derive(Debug, PartialEq, Eq)]
struct PidFile {
    /// Line 1.
    pid: Pid,
    /// Line 8, which the server writes when it takes connections.
    is_ready: bool,
}

impl PidFile {
    fn read(path: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(path).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let pid = Pid::from_raw(lines.first()?.trim().parse().ok().filter(|pid| *pid > 0)?)?;
        Some(Self { pid, is_ready: lines.get(7).is_some_and(|state| state.trim() == "ready") })
    }
}

/// How a process ended, for a person.
pub(super) fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// The same log for a second stream.
pub(super) fn duplicate(log: &File, path: &Path) -> Result<Stdio, ServicesError> {
    let copy = log.try_clone().map_err(|source| ServicesError::Write { path: PathBuf::from(path), source })?;
    Ok(Stdio::from(copy))
}

/// A quarter of the memory, from 16 to 512 MiB.
fn shared_buffers_mib(memory_bytes: u64) -> u64 {
    ((memory_bytes / 4) >> 20).clamp(16, 512)
}

/// The machine's memory; 1 GiB where it cannot be asked.
pub fn total_memory_bytes() -> u64 {
    #[cfg(target_os = "linux")]
    {
        let facts = rustix::system::sysinfo();
        facts.totalram.saturating_mul(u64::from(facts.mem_unit.max(1)))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let output = std::process::Command::new("sysctl").args(["-n", "hw.memsize"]).output();
        output.ok().and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse().ok()).unwrap_or(1 << 30)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_ready_when_its_pid_file_says_so() {
        let text = "4711\n/data/postgres\n1790000000\n5432\n/data/run/sockets\n\n  12 34\nready   \n";
        let file = PidFile::parse(text).unwrap();
        assert_eq!((file.pid, file.is_ready), (Pid::from_raw(4711).unwrap(), true));
        assert!(!PidFile::parse(&text.replace("ready", "starting")).unwrap().is_ready);
        assert!(!PidFile::parse("4711\n").unwrap().is_ready);
        for bad in ["", "x\n", "-5\n", "0\n"] {
            assert_eq!(PidFile::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_small_machine_keeps_most_of_its_memory() {
        assert_eq!(shared_buffers_mib(1 << 30), 256);
        assert_eq!(shared_buffers_mib(16 << 30), 512);
        assert_eq!(shared_buffers_mib(1 << 20), 16);
    }
}
