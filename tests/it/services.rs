//! The private PostgreSQL and Redis, with real processes: started, joined, killed in every way, and gone at the end.
//!
//! Linux only, since what runs is read from `/proc`.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Barrier,
    thread,
    time::Duration,
};

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use hm::{
    config::Config,
    services::{Services, ServicesError},
};
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::support::{self, small_disk::SmallDisk};

/// Patience with anything that should happen soon, on a machine that does much else.
const SOON: Duration = Duration::from_secs(60);

/// A data directory that makes sure at its end that nothing runs in it any more.
struct Sandbox {
    dir: tempfile::TempDir,
    data_dir: PathBuf,
}

impl Sandbox {
    fn new() -> Self {
        Self::below("data")
    }

    /// One whose data directory has this path inside a temporary folder.
    fn below(path: &str) -> Self {
        let dir = support::temp_dir();
        let data_dir = dir.path().canonicalize().unwrap().join(path);
        Self { dir, data_dir }
    }

    fn config(&self) -> Config {
        private_config(&self.data_dir)
    }

    fn open(&self) -> Result<Services, ServicesError> {
        open(&self.config())
    }

    /// Processes of the services and of the guard.
    fn processes(&self) -> Vec<Process> {
        let of_us = |process: &Process| process.cwd.starts_with(&self.data_dir) || self.is_guard(process);
        all_processes().into_iter().filter(of_us).collect()
    }

    fn is_guard(&self, process: &Process) -> bool {
        process.arguments.last().is_some_and(|last| last == "guard") && process.arguments.contains(&self.data_dir.display().to_string())
    }

    fn guards(&self) -> Vec<Pid> {
        all_processes().into_iter().filter(|process| self.is_guard(process)).map(|process| process.pid).collect()
    }

    /// Servers, not their children.
    fn postmasters(&self) -> Vec<Pid> {
        let cluster = self.data_dir.join("postgres");
        let is_server = |process: &&Process| process.cwd == cluster && process.arguments.iter().any(|argument| argument == "-D");
        all_processes().iter().filter(is_server).map(|process| process.pid).collect()
    }

    fn redis_servers(&self) -> Vec<Pid> {
        let folder = self.data_dir.join("redis");
        all_processes().into_iter().filter(|process| process.cwd == folder).map(|process| process.pid).collect()
    }

    fn wait_until_gone(&self) {
        support::wait_until("the services and their guard are gone", SOON, || self.processes().is_empty());
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.data_dir.join("log").join(name)).unwrap_or_default()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for _ in 0..200 {
            if self.processes().is_empty() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        let left = self.processes();
        for process in &left {
            kill(process.pid, Signal::KILL);
        }
        eprintln!("guard.log of {}:\n{}", self.dir.path().display(), self.log("guard.log"));
        assert!(thread::panicking(), "left running: {left:#?}");
    }
}

#[derive(Debug)]
struct Process {
    pid: Pid,
    cwd: PathBuf,
    arguments: Vec<String>,
}

fn all_processes() -> Vec<Process> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
        let (Ok(cwd), Ok(line)) = (fs::read_link(entry.path().join("cwd")), fs::read(entry.path().join("cmdline"))) else { continue };
        let arguments = line.split(|byte| *byte == 0).filter(|part| !part.is_empty());
        found.push(Process { pid, cwd, arguments: arguments.map(|part| String::from_utf8_lossy(part).into_owned()).collect() });
    }
    found
}

fn kill(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process(pid, signal) {
        eprintln!("{pid:?} is gone already: {error}");
    }
}

fn private_config(data_dir: &Path) -> Config {
    let mut config = Config::load(None).unwrap();
    config.move_data_dir(data_dir);
    config.database.url = String::new().into();
    config.redis.url = String::new().into();
    config
}

fn open(config: &Config) -> Result<Services, ServicesError> {
    Services::open_through(config, Path::new(env!("CARGO_BIN_EXE_hm")))
}

fn query(services: &Services, sql: &str) -> Result<(), String> {
    let mut conn = PgConnection::establish(services.database_url()).map_err(|error| error.to_string())?;
    conn.batch_execute(sql).map_err(|error| error.to_string())
}

/// Sends one command to the private Redis and returns the first line of what it says.
fn redis(sandbox: &Sandbox, command: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(sandbox.data_dir.join("run/sockets/redis.sock"))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn assert_usable(sandbox: &Sandbox, services: &Services) {
    query(services, "SELECT 1").unwrap();
    assert_eq!(redis(sandbox, "PING").unwrap(), "+PONG");
    assert_eq!((sandbox.postmasters().len(), sandbox.redis_servers().len(), sandbox.guards().len()), (1, 1, 1));
}

/// Another process that holds the services until it is killed: this test binary, running [`holder`].
struct Holder(Child);

impl Holder {
    fn spawn(sandbox: &Sandbox) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "services::holder", "--ignored", "--nocapture"]).env("HM_IT_HOLD", &sandbox.data_dir);
        Self(command.stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).spawn().unwrap())
    }

    fn wait_until_ready(&mut self) {
        let mut lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("the services are held")), "the holder could not open the services");
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|exit| exit.is_none()) {
            self.kill();
        }
    }
}

#[test]
#[ignore = "no test: the process that other tests kill while it holds the services"]
fn holder() {
    let Some(data_dir) = std::env::var_os("HM_IT_HOLD") else { return };
    let services = open(&private_config(Path::new(&data_dir))).unwrap();
    println!("the services are held at {}", services.database_url());
    thread::sleep(Duration::from_secs(300));
}

#[test]
fn services_start_from_nothing_are_joined_and_stop_with_the_last() {
    let sandbox = Sandbox::new();
    let first = sandbox.open().unwrap();
    assert_usable(&sandbox, &first);
    query(&first, "CREATE TABLE kept (n int); CREATE EXTENSION ltree").unwrap();
    let server = sandbox.postmasters();

    let second = sandbox.open().unwrap();
    assert_eq!((second.database_url(), second.redis_url()), (first.database_url(), first.redis_url()));
    drop(first);
    thread::sleep(Duration::from_secs(4));
    assert_usable(&sandbox, &second);
    assert_eq!(sandbox.postmasters(), server, "joined, not started again");

    drop(second);
    sandbox.wait_until_gone();
    assert!(!sandbox.data_dir.join("postgres/postmaster.pid").exists(), "shut down cleanly");
    assert!(!sandbox.data_dir.join("run/guard.sock").exists());

    let again = sandbox.open().unwrap();
    query(&again, "INSERT INTO kept VALUES (1)").unwrap();
}

#[test]
fn only_what_is_needed_is_started() {
    let sandbox = Sandbox::new();
    let mut config = sandbox.config();
    config.database.url = "postgres://nobody@127.0.0.1:1/none".to_owned().into();
    let services = open(&config).unwrap();
    assert_eq!(redis(&sandbox, "PING").unwrap(), "+PONG");
    assert_eq!(services.database_url(), "postgres://nobody@127.0.0.1:1/none");
    assert!(sandbox.postmasters().is_empty() && !sandbox.data_dir.join("postgres").exists());
}

#[test]
fn services_end_with_a_holder_that_is_killed() {
    let sandbox = Sandbox::new();
    let mut holder = Holder::spawn(&sandbox);
    holder.wait_until_ready();
    assert!(!sandbox.postmasters().is_empty());
    holder.kill();
    sandbox.wait_until_gone();
    assert_usable(&sandbox, &sandbox.open().unwrap());
}

#[test]
fn a_killed_guard_is_replaced_under_those_who_are_connected() {
    let sandbox = Sandbox::new();
    let services = sandbox.open().unwrap();
    query(&services, "CREATE TABLE kept (n int)").unwrap();
    assert_eq!(redis(&sandbox, "SET kept 1").unwrap(), "+OK");
    let (guards, servers) = (sandbox.guards(), sandbox.postmasters());
    kill(guards[0], Signal::KILL);
    support::wait_until("another guard has taken over", SOON, || {
        let now = sandbox.postmasters();
        now.len() == 1 && now != servers && query(&services, "INSERT INTO kept VALUES (1)").is_ok()
    });
    support::wait_until("Redis is back", SOON, || redis(&sandbox, "GET kept").is_ok_and(|answer| answer == "$1"));
    assert_usable(&sandbox, &services);
    assert_ne!(sandbox.guards(), guards);
}

#[test]
fn orphans_of_a_killed_guard_are_ended_before_the_next_start() {
    let sandbox = Sandbox::new();
    let mut holder = Holder::spawn(&sandbox);
    holder.wait_until_ready();
    let (guard, server) = (sandbox.guards()[0], sandbox.postmasters());
    // Frozen first, so that it cannot replace the guard before it dies too.
    kill(Pid::from_child(&holder.0), Signal::STOP);
    kill(guard, Signal::KILL);
    holder.kill();
    support::wait_until("the guard is gone", SOON, || sandbox.guards().is_empty());
    assert_eq!(sandbox.postmasters(), server, "the orphan serves on");

    let services = sandbox.open().unwrap();
    assert_usable(&sandbox, &services);
    assert_ne!(sandbox.postmasters(), server);
}

#[test]
fn a_killed_server_is_started_again_even_with_a_busy_backend() {
    let sandbox = Sandbox::new();
    let services = sandbox.open().unwrap();
    let mut busy = PgConnection::establish(services.database_url()).unwrap();
    let backend = thread::spawn(move || busy.batch_execute("SELECT pg_sleep(120)").is_err());
    thread::sleep(Duration::from_millis(500));
    let (server, redis_server) = (sandbox.postmasters(), sandbox.redis_servers());
    kill(server[0], Signal::KILL);
    kill(redis_server[0], Signal::KILL);
    support::wait_until("both are back", SOON, || {
        query(&services, "SELECT 1").is_ok() && redis(&sandbox, "PING").is_ok_and(|answer| answer == "+PONG")
    });
    assert_usable(&sandbox, &services);
    assert_ne!(sandbox.postmasters(), server);
    assert!(backend.join().unwrap(), "the old backend was ended");
}

#[test]
fn many_starts_at_once_share_one_guard() {
    let sandbox = Sandbox::new();
    let barrier = Barrier::new(5);
    let services: Vec<Services> = thread::scope(|scope| {
        let threads: Vec<_> = (0..5).map(|_| scope.spawn(|| (barrier.wait(), sandbox.open().unwrap()).1)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    support::wait_until("the guards that lost the race are gone", SOON, || sandbox.guards().len() == 1);
    for one in &services {
        assert_usable(&sandbox, one);
    }
}

#[test]
fn whoever_comes_while_the_guard_leaves_gets_the_next() {
    let sandbox = Sandbox::new();
    for round in 0..6 {
        let services = sandbox.open().unwrap();
        assert_usable(&sandbox, &services);
        drop(services);
        // From well before to well after the end of the grace.
        thread::sleep(Duration::from_millis(1300 + round * 80));
    }
    sandbox.wait_until_gone();
}

#[test]
fn a_guard_that_is_told_to_end_does_so_cleanly() {
    let sandbox = Sandbox::new();
    let mut holder = Holder::spawn(&sandbox);
    holder.wait_until_ready();
    kill(Pid::from_child(&holder.0), Signal::STOP);
    kill(sandbox.guards()[0], Signal::TERM);
    sandbox.wait_until_gone();
    assert!(!sandbox.data_dir.join("postgres/postmaster.pid").exists(), "shut down cleanly");
}

#[test]
fn a_first_start_that_was_killed_is_begun_anew() {
    let sandbox = Sandbox::new();
    let mut holder = Holder::spawn(&sandbox);
    let half_done = sandbox.data_dir.join("postgres.new/PG_VERSION");
    support::wait_until("initdb is at work", SOON, || half_done.exists() || sandbox.data_dir.join("postgres").exists());
    kill(Pid::from_child(&holder.0), Signal::STOP);
    sandbox.guards().into_iter().for_each(|guard| kill(guard, Signal::KILL));
    holder.kill();
    let services = sandbox.open().unwrap();
    assert_usable(&sandbox, &services);
    assert!(!sandbox.data_dir.join("postgres.new").exists());
}

#[test]
fn a_pid_file_that_names_a_foreign_process_is_no_obstacle() {
    let sandbox = Sandbox::new();
    drop(sandbox.open().unwrap());
    sandbox.wait_until_gone();
    let cluster = sandbox.data_dir.join("postgres");
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&cluster).unwrap());
    let mut foreign = Command::new("sleep");
    foreign.arg("120").current_dir("/");
    if geteuid().is_root() {
        foreign.uid(owner).gid(owner);
    }
    let mut foreign = foreign.spawn().unwrap();
    let text = format!("{}\n{}\n1\n5432\n/nowhere\n\n  1 1\nready   \n", foreign.id(), cluster.display());
    fs::write(cluster.join("postmaster.pid"), text).unwrap();
    std::os::unix::fs::chown(cluster.join("postmaster.pid"), Some(owner), None).unwrap();
    fs::write(sandbox.data_dir.join("run/guard.sock"), "").unwrap();
    let opened = sandbox.open();
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    assert_usable(&sandbox, &opened.unwrap());
}

#[test]
fn a_redis_that_cannot_read_its_files_starts_empty() {
    let sandbox = Sandbox::new();
    drop(sandbox.open().unwrap());
    sandbox.wait_until_gone();
    let folder = sandbox.data_dir.join("redis/appendonlydir");
    let broken =
        fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()).find(|path| path.display().to_string().contains("base"));
    fs::write(broken.unwrap(), "REDISxxxx no such format").unwrap();
    let services = sandbox.open().unwrap();
    assert_usable(&sandbox, &services);
    assert!(sandbox.data_dir.join("redis.unreadable").exists());
}

#[test]
fn a_long_path_with_blanks_works() {
    let sandbox = Sandbox::below(&format!("Application Support/{}/\"x\"", "long ".repeat(20)));
    let services = sandbox.open().unwrap();
    query(&services, "SELECT 1").unwrap();
    assert!(services.database_url().contains("/tmp/hm-"), "{}", services.database_url());
    assert_eq!((sandbox.postmasters().len(), sandbox.redis_servers().len()), (1, 1));
    let short = services.database_url().split_once("host=").and_then(|(_, rest)| rest.split_once("/sockets")).unwrap().0.to_owned();
    assert!(Path::new(&short).join("guard.sock").exists());
    drop(services);
    sandbox.wait_until_gone();
    assert!(!Path::new(&short).exists(), "{short} is left behind");
}

#[test]
fn a_cluster_of_another_major_version_is_left_alone() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.data_dir.join("postgres");
    fs::create_dir_all(&cluster).unwrap();
    fs::write(cluster.join("PG_VERSION"), "99\n").unwrap();
    let error = sandbox.open().err().unwrap().to_string();
    assert!(error.contains("PostgreSQL 99") && error.contains("\nhint: "), "{error}");
}

#[test]
fn root_says_which_folder_is_closed_to_the_services() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root hands the services to another user");
        return;
    }
    let sandbox = Sandbox::below("closed/data");
    let closed = sandbox.data_dir.parent().unwrap();
    fs::create_dir(closed).unwrap();
    fs::set_permissions(closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let error = sandbox.open().err().unwrap().to_string();
    assert!(error.contains(&format!("cannot enter `{}`", closed.display())) && error.contains("\nhint: "), "{error}");
    fs::set_permissions(closed, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    assert_usable(&sandbox, &sandbox.open().unwrap());
}

#[test]
fn a_full_disk_is_said() {
    let (outer, sandbox) = (support::temp_dir(), Sandbox::new());
    let Some(_small) = SmallDisk::mount(&outer.path().join("small"), 60) else {
        eprintln!("skipped: mounting a small disk is not permitted here");
        return;
    };
    let config = private_config(&outer.path().join("small/data"));
    let error = open(&config).err().unwrap().to_string();
    assert!(error.contains("MiB are free") && error.contains("\nhint: "), "{error}");

    let _enough = SmallDisk::mount(&sandbox.data_dir, 400).unwrap();
    drop(sandbox.open().unwrap());
    sandbox.wait_until_gone();
    let mut filler = fs::File::create(sandbox.data_dir.join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    let error = sandbox.open().err().unwrap().to_string();
    assert!(error.contains("MiB are free") && error.contains("\nhint: "), "{error}");
    drop(filler);
    fs::remove_file(sandbox.data_dir.join("filler")).unwrap();
    drop(sandbox.open().unwrap());
    sandbox.wait_until_gone();
}
