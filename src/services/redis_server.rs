//! The private Redis: configured through stdin, on a unix socket, keeping its work over restarts in an append-only file. Other machines
//! come through its [`Door`](super::Door), while any is invited.
//!
//! Nothing is lost with it, so a Redis that cannot read its own files gets an empty folder and the old one is set aside.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    ServicesError,
    account::Account,
    door::Guests,
    guard::{Service, remove_if_there},
    layout::Layout,
    logs,
    postgres::{duplicate, ended},
    process,
    programs::RedisProgram,
};
use crate::config::RedisConfig;

/// Names that a server's process goes by.
const PROGRAMS: &[&str] = &["redis", "valkey"];

/// Patience with a server that reads its file back.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How a server is ended.
const STOP: &[(Signal, Duration)] = &[(Signal::TERM, Duration::from_secs(15)), (Signal::KILL, Duration::from_secs(5))];

/// The private Redis of one data directory.
pub(super) struct Redis {
    config: RedisConfig,
    layout: Layout,
}

impl Redis {
    pub(super) fn new(config: &RedisConfig, layout: &Layout) -> Self {
        Self { config: config.clone(), layout: layout.clone() }
    }

    fn start_once(&mut self, program: &RedisProgram, account: &Account) -> Result<Child, ServicesError> {
        let (folder, socket) = (self.layout.redis(), self.layout.redis_socket());
        account.create_folder(&folder)?;
        account.create_folder(&self.layout.sockets())?;
        account.check_way_to(&folder)?;
        account.check_way_to(&self.layout.sockets())?;
        self.end_orphans()?;
        remove_if_there(&socket).map_err(|source| ServicesError::Write { path: socket.clone(), source })?;
        let log_file = self.layout.log("redis");
        let log_start = logs::end_of(&log_file);
        let log = logs::open(&log_file)?;
        let settings = settings(&folder, &socket, &Guests::read(&self.layout)?.settings(&self.layout)?);
        let mut command = account.command(&program.path);
        command.arg("-").stdin(Stdio::piped()).stdout(duplicate(&log, &log_file)?).stderr(log);
        let mut child = command.spawn().map_err(|source| ServicesError::Write { path: program.path.clone(), source })?;
        let told = child.stdin.take().map(|mut stdin| stdin.write_all(settings.as_bytes()));
        let mut exit = None;
        let done = process::wait_until(START_PATIENCE, || {
            exit = child.try_wait().ok().flatten();
            exit.is_some() || answers(&socket)
        });
        if done && exit.is_none() && told.is_some_and(|result| result.is_ok()) {
            tracing::info!(version = program.version, process.id = child.id(), "Redis is ready");
            return Ok(child);
        }
        self.stop(child);
        let problem = exit.map_or_else(|| format!("not ready after {} s", START_PATIENCE.as_secs()), ended);
        Err(ServicesError::Start { what: "Redis", problem, log: logs::tail(&log_file, log_start), log_file })
    }
}

impl Service for Redis {
    fn name(&self) -> &'static str {
        "Redis"
    }

    fn end_orphans(&mut self) -> Result<(), ServicesError> {
        if process::end_all(&self.layout.redis(), PROGRAMS, None, STOP) {
            return Ok(());
        }
        let problem = "a process of an earlier start cannot be ended".to_owned();
        Err(ServicesError::Start { what: "Redis", problem, log: String::new(), log_file: self.layout.log("redis") })
    }

    fn start(&mut self) -> Result<Child, ServicesError> {
        let program = RedisProgram::find(&self.config)?;
        let account = Account::of(&self.layout)?;
        match self.start_once(&program, &account) {
            Err(ServicesError::Start { problem, log, .. }) if blames_its_files(&log) => {
                let (folder, aside) = (self.layout.redis(), self.layout.redis_set_aside());
                tracing::warn!(problem, log, file.path = %aside.display(), "Redis cannot read its files: starting empty, the old ones set aside");
                let cleared = if aside.exists() { fs::remove_dir_all(&aside) } else { Ok(()) };
                cleared.and_then(|()| fs::rename(&folder, &aside)).map_err(|source| ServicesError::Write { path: aside, source })?;
                self.start_once(&program, &account)
            }
            other => other,
        }
    }

    fn stop(&mut self, mut child: Child) {
        for (signal, patience) in STOP {
            if child.try_wait().is_ok_and(|exit| exit.is_some()) {
                return;
            }
            if let Err(error) = kill_process(Pid::from_child(&child), *signal) {
                tracing::debug!(%error, "cannot signal Redis");
            }
            process::wait_until(*patience, || child.try_wait().is_ok_and(|exit| exit.is_some()));
        }
    }
}

/// The configuration, which goes through stdin.
fn settings(folder: &Path, socket: &Path, door: &str) -> String {
    format!(
        "{door}unixsocket {}\nunixsocketperm 700\ndir {}\ndaemonize no\nsave \"\"\nappendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\n",
        quoted(socket),
        quoted(folder)
    )
}

/// A path as one word of Redis' configuration.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether a server on this socket takes commands; one that still reads its file does not.
fn answers(socket: &Path) -> bool {
    let ask = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        // One that asks for a password has read its file, too.
        Ok::<bool, std::io::Error>(answer == *b"+PONG" || answer == *b"-NOAU")
    };
    ask().unwrap_or(false)
}

/// Whether the log of a start that failed speaks of the files that were read.
fn blames_its_files(log: &str) -> bool {
    let log = log.to_lowercase();
    ["aof", "append only", "rdb"].iter().any(|word| log.contains(word)) && !log.contains("no space left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_one_word_of_the_configuration() {
        let text = settings(Path::new("/a b/\"c\"/redis"), Path::new("/s/redis.sock"), "port 0\n");
        assert!(text.contains("\ndir \"/a b/\\\"c\\\"/redis\"\n"), "{text}");
        assert!(text.starts_with("port 0\nunixsocket \"/s/redis.sock\"\n"), "{text}");
    }

    #[test]
    fn only_unreadable_files_are_set_aside() {
        assert!(blames_its_files("Bad file format reading the append only file appendonly.aof.1.incr.aof"));
        assert!(!blames_its_files("Opening Unix socket: bind: Permission denied"));
        assert!(!blames_its_files("Can't open or create append-only dir: No space left on device"));
    }
}
