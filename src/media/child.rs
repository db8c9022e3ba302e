//! Child processes that do what must not be done in this process: read files with libraries that crash, leak or are not thread-safe.
//!
//! The children are this same program with a hidden subcommand. Parent and child talk over one socket, which is the child's stdin:
//! a frame is its length in bytes (four, little-endian) and the bytes. stdout is closed to them, so that a library that prints cannot
//! garble an answer. Apart because metadata and pixels both stand on it; it knows nothing of either.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            net::UnixStream,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getppid, setrlimit};

/// Longest frame either side accepts, in bytes: a decoded picture of 64 megapixels fits.
const FRAME_LIMIT_BYTES: usize = 512 << 20;
/// How often a child looks whether its parent is still there, for the case that it hangs in a library meanwhile.
const ORPHAN_CHECK: Duration = Duration::from_secs(2);
/// How long a child that has closed its end may take to leave before it is killed.
const EXIT_GRACE: Duration = Duration::from_secs(1);

/// Why a child gave no answer. The request may be the cause; the pool has already put the child aside.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The program could not be started.
    #[error("could not start `{program}`: {cause}")]
    Start {
        /// What was to be started.
        program: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The child ended before it answered.
    #[error("the reading process died ({0})")]
    Died(Ending),
    /// No answer within the given time; the child was killed.
    #[error("no answer within {:.1} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// What came back is no frame, or the request is longer than a frame may be.
    #[error("the reading process broke the protocol: {0}")]
    Garbled(String),
}

/// How a child ended, in words a person can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By this signal.
    Signal(i32),
    /// With this exit status.
    Status(i32),
    /// Nobody could say.
    Unknown,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Signal(6) => f.write_str("it aborted itself"),
            Self::Signal(11) => f.write_str("segmentation fault"),
            Self::Signal(number) => write!(f, "signal {number}"),
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Unknown => f.write_str("for an unknown reason"),
        }
    }
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Self {
        match (status.signal(), status.code()) {
            (Some(signal), _) => Self::Signal(signal),
            (None, Some(code)) => Self::Status(code),
            (None, None) => Self::Unknown,
        }
    }
}

/// Up to `size` children of one kind, started when first needed. Shared by any number of threads.
#[derive(Debug)]
pub struct ChildPool {
    program: PathBuf,
    args: Vec<OsString>,
    recycle_after: u32,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Children that wait for work. Whoever holds a seat takes one of these before starting another, so there are never more than seats.
    idle: Vec<Worker>,
    free_seats: usize,
}

impl ChildPool {
    /// A pool of at most `size` (at least one) processes of `program args…`. Starts none yet.
    pub fn new(program: impl Into<PathBuf>, args: impl IntoIterator<Item = impl Into<OsString>>, size: usize) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            recycle_after: 2_000,
            state: Mutex::new(State { idle: Vec::new(), free_seats: size.max(1) }),
            freed: Condvar::new(),
        }
    }

    /// Replaces a child after this many answers (2,000 unless said), since the libraries inside leak.
    #[must_use]
    pub fn recycle_after(mut self, calls: u32) -> Self {
        self.recycle_after = calls.max(1);
        self
    }

    /// Sends one request and waits for its answer; waits first for a free child when all are busy (that wait is outside `timeout`).
    ///
    /// # Errors
    /// [`ChildError`]; after each of them the child is gone, and the next call gets a fresh one.
    pub fn call(&self, request: &[u8], timeout: Duration) -> Result<Vec<u8>, ChildError> {
        if request.len() > FRAME_LIMIT_BYTES {
            return Err(ChildError::Garbled(format!("a request of {} bytes is too long", request.len())));
        }
        let _seat = self.take_seat();
        let waiting = self.lock().idle.pop();
        // One that died while it waited (killed for memory, say) is no fault of this request.
        let mut worker = match waiting.and_then(Worker::if_alive) {
            Some(worker) => worker,
            None => Worker::start(&self.program, &self.args)?,
        };
        let answer = worker.call(request, timeout)?;
        if worker.calls < self.recycle_after {
            self.lock().idle.push(worker);
        }
        Ok(answer)
    }

    fn take_seat(&self) -> Seat<'_> {
        let mut state = self.lock();
        while state.free_seats == 0 {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.free_seats -= 1;
        Seat(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to have one child at work.
struct Seat<'a>(&'a ChildPool);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.lock().free_seats += 1;
        self.0.freed.notify_one();
    }
}

/// One living child. Dropped, it is killed and reaped.
#[derive(Debug)]
struct Worker {
    child: Child,
    socket: UnixStream,
    calls: u32,
}

impl Worker {
    fn start(program: &Path, args: &[OsString]) -> Result<Self, ChildError> {
        let failed = |cause| ChildError::Start { program: program.to_owned(), cause };
        let (socket, theirs) = UnixStream::pair().map_err(failed)?;
        let talkative = tracing::enabled!(tracing::Level::TRACE);
        let mut child = Command::new(program)
            .args(args)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(if talkative { Stdio::piped() } else { Stdio::null() })
            // Ctrl-C in the terminal is for the parent, which lets the files in flight be finished.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        if let Some(stderr) = child.stderr.take() {
            let id = child.id();
            thread::spawn(move || {
                for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                    tracing::trace!(child.id = id, "{}", String::from_utf8_lossy(&line));
                }
            });
        }
        Ok(Self { child, socket, calls: 0 })
    }

    fn if_alive(mut self) -> Option<Self> {
        matches!(self.child.try_wait(), Ok(None)).then_some(self)
    }

    fn call(&mut self, request: &[u8], timeout: Duration) -> Result<Vec<u8>, ChildError> {
        let deadline = Instant::now() + timeout;
        self.calls += 1;
        self.exchange(request, deadline).map_err(|error| match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => ChildError::TimedOut(timeout),
            ErrorKind::InvalidData => ChildError::Garbled(error.to_string()),
            _ => self.ending(),
        })
    }

    fn exchange(&mut self, request: &[u8], deadline: Instant) -> io::Result<Vec<u8>> {
        let mut timed = Timed { socket: &self.socket, deadline };
        write_frame(&mut timed, request)?;
        read_frame(&mut timed)?.ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    /// Called when the socket broke: the child is gone or about to be.
    fn ending(&mut self) -> ChildError {
        let give_up = Instant::now() + EXIT_GRACE;
        while Instant::now() < give_up {
            match self.child.try_wait() {
                Ok(Some(status)) => return ChildError::Died(status.into()),
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                Err(_) => break,
            }
        }
        ChildError::Died(Ending::Unknown)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only for a child that has ended and been reaped, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A socket each of whose waits ends at one moment.
struct Timed<'a> {
    socket: &'a UnixStream,
    deadline: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_frame(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let too_long = || io::Error::new(ErrorKind::InvalidData, format!("a frame of {} bytes is too long", bytes.len()));
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= FRAME_LIMIT_BYTES).ok_or_else(too_long)?;
    stream.write_all(&length.to_le_bytes())?;
    stream.write_all(bytes)?;
    stream.flush()
}

/// The next frame, or `None` when the other side is gone at a frame's border.
fn read_frame(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_LIMIT_BYTES {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("a frame of {length} bytes is announced")));
    }
    // Memory grows with what arrives, not with what is announced.
    let mut bytes = Vec::with_capacity(length.min(1 << 20));
    stream.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(bytes))
}

/// The child's side: answers one request after the other until the parent is gone. `address_space_bytes` limits the memory this process
/// may map from now on, so that one hostile file cannot take the machine's.
///
/// # Errors
/// When stdin is no socket of a [`ChildPool`], or the parent sends no frame.
pub fn serve(address_space_bytes: Option<u64>, mut answer: impl FnMut(&[u8]) -> Vec<u8>) -> io::Result<()> {
    if let Some(bytes) = address_space_bytes
        && let Err(error) = setrlimit(Resource::As, Rlimit { current: Some(bytes), maximum: Some(bytes) })
    {
        // Not every system has this limit; the time limit and the parent's patience are left.
        tracing::debug!("the memory of this process cannot be limited: {error}");
    }
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let mut socket = UnixStream::from(stdin);
    leave_with_the_parent()?;
    while let Some(request) = read_frame(&mut socket)? {
        write_frame(&mut socket, &answer(&request))?;
    }
    Ok(())
}

/// Ends this process when its parent is gone, also while a library hangs and nobody reads the socket.
fn leave_with_the_parent() -> io::Result<()> {
    let parent = getppid();
    thread::Builder::new().name("orphan-check".to_owned()).stack_size(64 << 10).spawn(move || {
        while getppid() == parent {
            thread::sleep(ORPHAN_CHECK);
        }
        std::process::exit(1);
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A child written in shell: its stdin is the socket, so `>&0` answers.
    fn pool(script: &str, size: usize) -> ChildPool {
        ChildPool::new("/bin/sh", ["-c", script], size)
    }

    /// What `script` says when it has seen one request.
    fn outcome(script: &str, timeout: Duration) -> Result<Vec<u8>, ChildError> {
        pool(&format!("head -c 9 >/dev/null; {script}"), 1).call(b"hello", timeout)
    }

    #[test]
    fn a_frame_goes_there_and_back_from_many_threads() {
        let echo = pool("exec cat >&0", 3);
        thread::scope(|scope| {
            for thread in 0..8 {
                let echo = &echo;
                scope.spawn(move || {
                    for length in [0, 1, 70_000] {
                        let request = vec![thread; length];
                        assert_eq!(echo.call(&request, PATIENCE).unwrap(), request);
                    }
                });
            }
        });
        let state = echo.lock();
        assert!((1..=3).contains(&state.idle.len()), "{} children", state.idle.len());
        assert_eq!(state.free_seats, 3);
    }

    #[test]
    fn a_child_that_dies_says_how() {
        let died = |script| match outcome(script, PATIENCE) {
            Err(ChildError::Died(ending)) => ending,
            other => panic!("{other:?}"),
        };
        assert_eq!(died("exit 3"), Ending::Status(3));
        assert_eq!(died("kill -ABRT $$"), Ending::Signal(6));
        assert_eq!(died("printf '\\012\\000\\000\\000half' >&0; kill -KILL $$"), Ending::Signal(9));
    }

    #[test]
    fn a_child_that_hangs_is_ended_in_time() {
        let started = Instant::now();
        assert!(matches!(outcome("sleep 600", Duration::from_millis(100)), Err(ChildError::TimedOut(_))));
        // It also may not drip an answer for ever.
        let drip = "printf '\\377\\000\\000\\000' >&0; while :; do printf x >&0; sleep 0.02; done";
        assert!(matches!(outcome(drip, Duration::from_millis(200)), Err(ChildError::TimedOut(_))));
        assert!(started.elapsed() < PATIENCE);
    }

    #[test]
    fn a_child_that_answers_garbage_is_put_aside() {
        assert!(matches!(outcome("printf 'no frame at all' >&0; sleep 600", PATIENCE), Err(ChildError::Garbled(_))));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = ChildPool::new("/no/such/program", [""; 0], 1).call(b"", PATIENCE).unwrap_err();
        assert!(error.to_string().contains("/no/such/program"), "{error}");
    }

    #[test]
    fn after_each_failure_and_after_enough_calls_a_fresh_child_answers() {
        let counting =
            pool("n=0; while head -c 4 >/dev/null; do n=$((n+1)); [ $n = 3 ] && exit; printf '\\001\\000\\000\\000%d' $n >&0; done", 1);
        let ask = |pool: &ChildPool| pool.call(b"", PATIENCE).map(|answer| String::from_utf8(answer).unwrap());
        assert_eq!(ask(&counting).unwrap(), "1");
        assert_eq!(ask(&counting).unwrap(), "2");
        assert!(matches!(ask(&counting), Err(ChildError::Died(_))));
        assert_eq!(ask(&counting).unwrap(), "1");
        let recycling = counting.recycle_after(1);
        for _ in 0..3 {
            // The child of before has one call behind it and is recycled after the next.
            ask(&recycling).unwrap();
        }
        assert_eq!(ask(&recycling).unwrap(), "1");
    }

    #[test]
    fn children_end_with_their_pool() {
        let echo = pool("exec cat >&0", 1);
        echo.call(b"x", PATIENCE).unwrap();
        let id = rustix::process::Pid::from_raw(i32::try_from(echo.lock().idle[0].child.id()).unwrap()).unwrap();
        assert!(rustix::process::test_kill_process(id).is_ok());
        drop(echo);
        assert!(rustix::process::test_kill_process(id).is_err());
    }
}
