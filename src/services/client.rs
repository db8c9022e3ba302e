//! The other end: a process that needs the services connects to the guard, starting it where there is none, and stays connected.

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead, BufReader, Read},
    net::Shutdown,
    os::unix::{ffi::OsStrExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::{
    ServicesError,
    guard::{Answer, Request, write_line},
    layout::Layout,
    logs,
    redis_talk::own_secret,
};
use crate::config::Config;

/// How long a guard may take to listen; it may have to wait for an earlier one that is just stopping a busy database.
const CONNECT_PATIENCE: Duration = Duration::from_secs(90);

/// How long a guard may take to start both services: a first start, or a database that replays its log.
const ANSWER_PATIENCE: Duration = Duration::from_secs(300);

/// Pause between two attempts to find a guard.
const GLANCE: Duration = Duration::from_millis(25);

/// Pause before another guard is started after one has ended: it may have found the lock still held.
const NEXT_GUARD: Duration = Duration::from_millis(200);

/// Longest pause between two attempts to replace a guard that was killed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a path keeps inside a URL.
const PATH_SAFE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// Holds the services open; dropping it lets them stop when nobody else holds them.
///
/// While it lives, a guard that is killed is replaced, and the services come back under the same addresses.
pub struct Services {
    database_url: String,
    redis_url: String,
    held: Option<Arc<Held>>,
}

impl Services {
    /// Makes sure that both services run, and says where. Those that the settings name are used as they are, unasked.
    ///
    /// # Errors
    /// [`ServicesError`] when a private service is needed and cannot be had.
    pub fn open(config: &Config) -> Result<Self, ServicesError> {
        Self::open_through(config, &own_program())
    }

    /// The same with another `hm` as the program of the guard; for tests, whose own program is none.
    ///
    /// # Errors
    /// As [`Services::open`].
    pub fn open_through(config: &Config, program: &Path) -> Result<Self, ServicesError> {
        Self::open_those(config, program, true)
    }

    /// Makes sure that Redis runs, for a process that has no questions to the database.
    ///
    /// # Errors
    /// As [`Services::open`].
    pub fn open_redis(config: &Config) -> Result<Self, ServicesError> {
        Self::open_those(config, &own_program(), false)
    }

    fn open_those(config: &Config, program: &Path, with_postgres: bool) -> Result<Self, ServicesError> {
        let layout = Layout::new(&config.data_dir);
        let request = Request { postgres: with_postgres && config.database.url.is_empty(), redis: config.redis.url.is_empty() };
        let is_private = config.database.url.is_empty();
        let database_url = if is_private { private_database_url(&layout) } else { config.database.url.expose().to_owned() };
        let redis_url = if request.redis { private_redis_url(&layout)? } else { config.redis.url.expose().to_owned() };
        let held = if request.postgres || request.redis {
            let guard = GuardProgram { program: program.to_owned(), config: config.clone(), layout };
            let stream = guard.join(request)?;
            let held = Arc::new(Held { stream: Mutex::new(Some(stream)), guard, request });
            held.watch();
            Some(held)
        } else {
            None
        };
        Ok(Self { database_url, redis_url, held })
    }

    /// Whether there is a database to ask: one that the settings name, or a private one, which nobody has to make for that.
    pub fn has_database(config: &Config) -> bool {
        !config.database.url.is_empty() || Layout::new(&config.data_dir).cluster().is_dir()
    }

    /// Where the database is: a `postgres://` URL.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Where Redis is: a `redis://` or `unix://` URL.
    pub fn redis_url(&self) -> &str {
        &self.redis_url
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            held.let_go();
        }
    }
}

/// The connection to the guard.
struct Held {
    /// None once it is let go.
    stream: Mutex<Option<UnixStream>>,
    guard: GuardProgram,
    request: Request,
}

impl Held {
    fn stream(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn let_go(&self) {
        if let Some(stream) = self.stream().take()
            && let Err(error) = stream.shutdown(Shutdown::Both)
        {
            tracing::debug!(%error, "the guard was gone already");
        }
    }

    /// Replaces a guard that ends while we still hold it, from a thread of its own.
    fn watch(self: &Arc<Self>) {
        let held = Arc::clone(self);
        thread::spawn(move || {
            while let Some(Ok(stream)) = { held.stream().as_ref().map(UnixStream::try_clone) } {
                wait_for_end(stream);
                if held.stream().is_none() || !held.rejoin() {
                    return;
                }
            }
        });
    }

    /// Joins the next guard; false when the services were let go meanwhile.
    fn rejoin(&self) -> bool {
        let mut pause = NEXT_GUARD;
        loop {
            tracing::warn!("the guard of the private services is gone: starting another");
            thread::sleep(pause);
            if self.stream().is_none() {
                return false;
            }
            match self.guard.join(self.request) {
                Ok(stream) => {
                    let mut place = self.stream();
                    if place.is_none() {
                        return false;
                    }
                    *place = Some(stream);
                    tracing::info!("the private services are back");
                    return true;
                }
                Err(error) => {
                    tracing::error!(%error, "the private services are gone");
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

/// Returns when the other end is gone.
fn wait_for_end(mut stream: UnixStream) {
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(_) => return,
        }
    }
}

/// How to get a guard for one data directory.
struct GuardProgram {
    program: PathBuf,
    config: Config,
    layout: Layout,
}

impl GuardProgram {
    /// Connects to the guard and waits until what is needed runs.
    fn join(&self, request: Request) -> Result<UnixStream, ServicesError> {
        self.layout.create()?;
        let log_start = logs::end_of(&self.layout.log("guard"));
        let started = Instant::now();
        let mut guard: Option<Child> = None;
        let mut next_guard = started;
        while started.elapsed() < CONNECT_PATIENCE {
            match UnixStream::connect(self.layout.guard_socket()) {
                Ok(stream) => {
                    match self.ask(&stream, request, log_start)? {
                        Some(Answer::Ready) => {
                            reap(guard);
                            return Ok(stream);
                        }
                        Some(Answer::Refused(text)) => {
                            reap(guard);
                            return Err(ServicesError::Refused(text));
                        }
                        // It was just leaving.
                        None => thread::sleep(GLANCE),
                    }
                    continue;
                }
                // Somebody else's guard: it would hold the lock for as long as we cared to wait.
                Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(ServicesError::Write { path: self.layout.guard_socket(), source });
                }
                Err(_) => {}
            }
            match guard.as_mut().map(Child::try_wait) {
                Some(Ok(None)) => {}
                Some(Ok(Some(status))) if !status.success() => {
                    return Err(self.failed(format!("ended with {status}"), log_start));
                }
                Some(_) => {
                    guard = None;
                    next_guard = Instant::now() + NEXT_GUARD;
                }
                None if next_guard <= Instant::now() => guard = Some(self.start(log_start)?),
                None => {}
            }
            thread::sleep(GLANCE);
        }
        Err(self.failed(format!("does not listen after {} s", CONNECT_PATIENCE.as_secs()), log_start))
    }

    /// The guard's answer; none when it ended before it gave one.
    fn ask(&self, stream: &UnixStream, request: Request, log_start: u64) -> Result<Option<Answer>, ServicesError> {
        let mut line = String::new();
        let mut talk = || {
            stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
            write_line(stream, &request)?;
            BufReader::new(stream).read_line(&mut line)?;
            stream.set_read_timeout(None)
        };
        match talk() {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(self.failed(format!("does not answer after {} s", ANSWER_PATIENCE.as_secs()), log_start))
            }
            Err(_) => Ok(None),
            Ok(()) if line.is_empty() => Ok(None),
            Ok(()) => serde_json::from_str(&line)
                .map(Some)
                .map_err(|error| self.failed(format!("answers what we do not know ({error})"), log_start)),
        }
    }

    /// Starts a guard. It gets what matters of our settings and reads no file of its own, so that it is the same whoever starts it.
    fn start(&self, log_start: u64) -> Result<Child, ServicesError> {
        let log_file = self.layout.log("guard");
        let log = logs::open(&log_file)?;
        let mut command = Command::new(&self.program);
        for (name, _) in env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"HM_")) {
            command.env_remove(name);
        }
        let own: [(&str, OsString); 3] = [
            ("HM_DATABASE_BIN_DIR", self.config.database.bin_dir.clone().into()),
            ("HM_REDIS_BIN", self.config.redis.bin.clone().into()),
            ("HM_LOG_LEVEL", "info".into()),
        ];
        command.envs(own.into_iter().filter(|(_, value)| !value.is_empty()));
        command.arg("--data-dir").arg(self.layout.data_dir()).arg("guard");
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().map_err(|error| self.failed(format!("cannot be started as `{}`: {error}", self.program.display()), log_start))
    }

    fn failed(&self, problem: String, log_start: u64) -> ServicesError {
        let log_file = self.layout.log("guard");
        ServicesError::Guard { problem, log: logs::tail(&log_file, log_start), log_file }
    }
}

/// Waits for a guard that we started, so that it does not stay a zombie as long as we live.
fn reap(guard: Option<Child>) {
    let Some(mut guard) = guard else { return };
    thread::spawn(move || match guard.wait() {
        Ok(status) => tracing::debug!(%status, "the guard has ended"),
        Err(error) => tracing::debug!(%error, "cannot wait for the guard"),
    });
}

/// This program, also after its file was replaced by a newer build.
fn own_program() -> PathBuf {
    let program = env::current_exe().ok().filter(|path| path.exists());
    program.unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}

fn private_database_url(layout: &Layout) -> String {
    format!("postgres:///postgres?host={}&user=hm", encoded(&layout.sockets()))
}

/// With the secret, which Redis asks for once another machine may come: then its clients here need not be started again.
fn private_redis_url(layout: &Layout) -> Result<String, ServicesError> {
    layout.create()?;
    Ok(format!("unix://{}?user=default&pass={}", encoded(&layout.redis_socket()), own_secret(layout)?))
}

fn encoded(path: &Path) -> String {
    percent_encode(path.as_os_str().as_bytes(), PATH_SAFE).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_blanks_make_whole_urls() {
        let layout = Layout::new(Path::new("/Users/zoë/Library/Application Support/hm"));
        assert_eq!(encoded(&layout.redis_socket()), "/Users/zo%C3%AB/Library/Application%20Support/hm/run/sockets/redis.sock");
        assert_eq!(
            private_database_url(&layout),
            "postgres:///postgres?host=/Users/zo%C3%AB/Library/Application%20Support/hm/run/sockets&user=hm"
        );
    }

    #[test]
    fn servers_of_ones_own_are_used_without_a_guard() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::load(None).unwrap();
        config.move_data_dir(&dir.path().join("data"));
        config.database.url = "postgres://u@h/d".to_owned().into();
        config.redis.url = "redis://h".to_owned().into();
        let services = Services::open_through(&config, Path::new("/does/not/exist")).unwrap();
        assert_eq!((services.database_url(), services.redis_url()), ("postgres://u@h/d", "redis://h"));
        assert!(!config.data_dir.exists(), "nothing is made");
    }

    #[test]
    fn a_guard_that_cannot_be_started_is_an_error_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::load(None).unwrap();
        config.move_data_dir(dir.path());
        config.database.url = String::new().into();
        let error = Services::open_through(&config, Path::new("/does/not/exist")).err().unwrap().to_string();
        assert!(error.contains("/does/not/exist") && error.contains("hint: "), "{error}");
        let error = Services::open_through(&config, Path::new("/bin/false")).err().unwrap().to_string();
        assert!(error.contains("exit status: 1"), "{error}");
    }
}
