//! The guard: the one process of a data directory that holds PostgreSQL and Redis for all the others.

use std::{
    fs::{self, Permissions},
    io::{self, BufRead, BufReader, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::setsid,
};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{ServicesError, layout::Layout, logs, postgres::Postgres, redis_server::Redis};
use crate::config::Config;

/// How long the services outlast the last process that used them: `hm scan && hm export` should not start them twice.
const GRACE: Duration = Duration::from_millis(1500);

/// How long a guard waits for the process that started it.
const FIRST_GRACE: Duration = Duration::from_secs(10);

/// How often the guard looks after its children.
const TICK: Duration = Duration::from_millis(200);

/// How often logs are looked at.
const LOG_TICK: Duration = Duration::from_secs(60);

/// Longest pause between two attempts to start a service that dies.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A service that has run this long is healthy: the pauses begin anew.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// What a process needs; one line of JSON, the first that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) postgres: bool,
    pub(super) redis: bool,
}

/// What the guard says to it; one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// All that was asked for runs.
    Ready,
    /// Something does not; the text is for a person.
    Refused(String),
}

/// A server program that is one child of ours.
pub(super) trait Service {
    /// For people.
    fn name(&self) -> &'static str;
    /// Ends what an earlier guard left running.
    fn end_orphans(&mut self) -> Result<(), ServicesError>;
    /// Starts it, having ended its orphans, and waits until it can be used.
    fn start(&mut self) -> Result<Child, ServicesError>;
    /// Ends it, in bounded time and in the end by force.
    fn stop(&mut self, child: Child);
}

/// Runs the guard of the data directory until nobody needs it; returns at once where there is one already.
///
/// # Errors
/// [`ServicesError::Write`] when lock or socket cannot be made. What goes wrong with the services is told to those who asked.
pub fn run(config: &Config) -> Result<(), ServicesError> {
    // A session of its own: Ctrl-C and the end of a terminal are for those who use the services, not for us.
    if let Err(error) = setsid() {
        tracing::debug!(%error, "the guard leads its session already");
    }
    let layout = Layout::new(&config.data_dir);
    layout.create()?;
    let lock = layout.open_lock()?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            tracing::info!("another guard holds the data directory");
            return Ok(());
        }
        Err(error) => return Err(ServicesError::Write { path: layout.lock(), source: error.into() }),
    }
    // Once more: an earlier guard may have cleared the short folder away just before it gave up the lock.
    layout.create()?;
    let must_stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        let registered = signal_hook::flag::register(signal, Arc::clone(&must_stop));
        registered.map_err(|source| ServicesError::Write { path: layout.lock(), source })?;
    }
    let events = listen(&layout)?;
    tracing::info!(data_dir = %config.data_dir.display(), process.id = std::process::id(), "the guard begins");
    let mut guard = Guard {
        postgres: Guarded::new(Postgres::new(&config.database, &layout)),
        redis: Guarded::new(Redis::new(&config.redis, &layout)),
        layout,
        clients: 0,
        leave_at: Some(Instant::now() + FIRST_GRACE),
    };
    guard.end_orphans();
    guard.serve(&events, &must_stop);
    tracing::info!("the guard ends");
    Ok(())
}

/// What happens on the guard's socket.
enum Event {
    /// A process has connected.
    Joined,
    /// It has said what it needs, and waits for an answer.
    Asked(Request, UnixStream),
    /// It is gone, however it ended.
    Left,
}

/// Makes the socket, over what a killed guard left, and a thread that reports what happens on it.
fn listen(layout: &Layout) -> Result<Receiver<Event>, ServicesError> {
    let path = layout.guard_socket();
    let bound = remove_if_there(&path).and_then(|()| UnixListener::bind(&path));
    let only_ours = bound.and_then(|listener| fs::set_permissions(&path, Permissions::from_mode(0o600)).map(|()| listener));
    let listener = only_ours.map_err(|source| ServicesError::Write { path, source })?;
    let (sender, events) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            match stream {
                Ok(stream) => {
                    let sender = sender.clone();
                    if sender.send(Event::Joined).is_err() {
                        return;
                    }
                    thread::spawn(move || attend(stream, &sender));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    thread::sleep(TICK);
                }
            }
        }
    });
    Ok(events)
}

/// Removes a file; none there is as good.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads one process's request and then waits until it is gone.
fn attend(stream: UnixStream, sender: &Sender<Event>) {
    let mut lines = BufReader::new(&stream).lines();
    while let Some(Ok(line)) = lines.next() {
        match (serde_json::from_str(&line), stream.try_clone()) {
            (Ok(request), Ok(stream)) => {
                if sender.send(Event::Asked(request, stream)).is_err() {
                    return;
                }
            }
            _ => break,
        }
    }
    if sender.send(Event::Left).is_err() {
        tracing::debug!("the guard has ended before its client");
    }
}

struct Guard {
    layout: Layout,
    postgres: Guarded,
    redis: Guarded,
    clients: usize,
    /// When to leave, while nobody is there.
    leave_at: Option<Instant>,
}

impl Guard {
    /// Of both services, whether they will be needed or not: nothing may serve on that nobody guards.
    fn end_orphans(&mut self) {
        for guarded in [&mut self.postgres, &mut self.redis] {
            if let Err(error) = guarded.service.end_orphans() {
                tracing::error!(service = guarded.service.name(), %error, "cannot end what an earlier guard left");
            }
        }
    }

    fn serve(&mut self, events: &Receiver<Event>, must_stop: &AtomicBool) {
        let mut logs_at = Instant::now();
        loop {
            match events.recv_timeout(TICK) {
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if must_stop.load(Ordering::Relaxed) || self.leave_at.is_some_and(|time| time <= Instant::now()) {
                break;
            }
            self.postgres.look_after();
            self.redis.look_after();
            if logs_at <= Instant::now() {
                logs_at = Instant::now() + LOG_TICK;
                ["guard", "postgres", "redis"].iter().for_each(|name| logs::trim(&self.layout.log(name)));
            }
        }
        // First the socket, so that whoever comes now starts a new guard, which waits for our lock.
        if let Err(error) = remove_if_there(&self.layout.guard_socket()) {
            tracing::warn!(%error, "cannot remove the guard's socket");
        }
        self.redis.stop();
        self.postgres.stop();
        self.layout.remove_short_folder();
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Joined => {
                self.clients += 1;
                self.leave_at = None;
            }
            Event::Left => {
                self.clients -= 1;
                if self.clients == 0 {
                    self.leave_at = Some(Instant::now() + GRACE);
                }
            }
            Event::Asked(request, stream) => {
                let answer = match self.provide(request) {
                    Ok(()) => Answer::Ready,
                    Err(error) => {
                        tracing::error!(%error, "a service cannot be started");
                        Answer::Refused(error.to_string())
                    }
                };
                if let Err(error) = write_line(&stream, &answer) {
                    tracing::debug!(%error, "the process that asked is gone");
                }
            }
        }
    }

    fn provide(&mut self, request: Request) -> Result<(), ServicesError> {
        if request.postgres {
            self.postgres.provide()?;
        }
        if request.redis {
            self.redis.provide()?;
        }
        Ok(())
    }
}

/// One service, and the child that is it while it runs.
struct Guarded {
    service: Box<dyn Service>,
    child: Option<Child>,
    started_at: Instant,
    /// Whether somebody needs it and has got it once: then it is started again when it dies.
    is_needed: bool,
    failures: u32,
    retry_at: Instant,
}

impl Guarded {
    fn new(service: impl Service + 'static) -> Self {
        let now = Instant::now();
        Self { service: Box::new(service), child: None, started_at: now, is_needed: false, failures: 0, retry_at: now }
    }

    /// Starts it unless it runs.
    fn provide(&mut self) -> Result<(), ServicesError> {
        self.notice_end();
        if self.child.is_none() {
            self.child = Some(self.service.start()?);
            self.started_at = Instant::now();
        }
        self.is_needed = true;
        Ok(())
    }

    /// Takes note of a child that has ended.
    fn notice_end(&mut self) {
        let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) else { return };
        self.child = None;
        self.failures = if self.started_at.elapsed() > HEALTHY_AFTER { 0 } else { self.failures + 1 };
        self.retry_at = Instant::now() + pause_after(self.failures);
        tracing::warn!(service = self.service.name(), %status, "a service has died, and is started again");
    }

    /// Starts it again when it has died, with growing pauses.
    fn look_after(&mut self) {
        self.notice_end();
        if !self.is_needed || self.child.is_some() || self.retry_at > Instant::now() {
            return;
        }
        if let Err(error) = self.provide() {
            self.failures += 1;
            self.retry_at = Instant::now() + pause_after(self.failures);
            tracing::error!(service = self.service.name(), %error, failures = self.failures, "a service cannot be started again");
        }
    }

    fn stop(&mut self) {
        self.is_needed = false;
        if let Some(child) = self.child.take() {
            self.service.stop(child);
            tracing::info!(service = self.service.name(), "stopped");
        }
    }
}

/// No pause after the first death, then a second, doubled each time.
fn pause_after(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        more => Duration::from_secs(1 << (more - 2).min(5)).min(LONGEST_PAUSE),
    }
}

/// Sends one message as a line of JSON.
pub(super) fn write_line(mut stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A service whose program is `sleep`, and which fails to start as often as it is told to.
    struct Sleeper {
        failures_left: u32,
    }

    impl Service for Sleeper {
        fn name(&self) -> &'static str {
            "sleeper"
        }

        fn end_orphans(&mut self) -> Result<(), ServicesError> {
            Ok(())
        }

        fn start(&mut self) -> Result<Child, ServicesError> {
            if self.failures_left > 0 {
                self.failures_left -= 1;
                return Err(ServicesError::NoAccount);
            }
            Ok(Command::new("sleep").arg("60").spawn().expect("there is a `sleep`"))
        }

        fn stop(&mut self, mut child: Child) {
            child.kill().and_then(|()| child.wait().map(|_| ())).expect("our own child can be ended");
        }
    }

    #[test]
    fn a_service_that_dies_is_started_again() {
        let mut guarded = Guarded::new(Sleeper { failures_left: 0 });
        guarded.provide().unwrap();
        let first = guarded.child.as_ref().unwrap().id();
        guarded.child.as_mut().unwrap().kill().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while guarded.child.as_ref().is_none_or(|child| child.id() == first) && Instant::now() < deadline {
            guarded.look_after();
            thread::sleep(Duration::from_millis(10));
        }
        assert_ne!(guarded.child.as_ref().unwrap().id(), first);
        guarded.stop();
        guarded.look_after();
        assert!(guarded.child.is_none(), "a stopped service stays stopped");
    }

    #[test]
    fn a_service_that_nobody_got_is_not_started_behind_their_back() {
        let mut guarded = Guarded::new(Sleeper { failures_left: 1 });
        guarded.provide().unwrap_err();
        guarded.look_after();
        assert!(guarded.child.is_none());
        guarded.provide().unwrap();
        guarded.stop();
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        let seconds: Vec<u64> = [0, 1, 2, 3, 4, 20, u32::MAX].map(|failures| pause_after(failures).as_secs()).to_vec();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 30, 30]);
    }
}
