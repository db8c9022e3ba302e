//! `hm doctor`: ticks off what works on this machine, and says what to do about the rest.
//!
//! Every check is a small function that returns [`Tick`]s; nothing is changed but that the private services are opened once, as
//! every role would. What a library needs is asked apart from what a worker needs: a build for workers has the second alone.

#[cfg(feature = "library")]
mod library;
mod worker;

use std::{fmt, io::Write, path::Path};

use rustix::fs::{Access, access};

use super::Exit;
use crate::{config::Config, queue::Queue, services::free_bytes};

/// Below this a disk is said to be nearly full, in GiB.
const LITTLE_ROOM_GIB: u64 = 2;

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It works.
    Works,
    /// hm runs without it, and lacks something.
    Lacks,
    /// hm does not run without it.
    Broken,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tick {
    state: State,
    what: &'static str,
    found: String,
    /// What to do about it; empty where nothing is to be done.
    hint: String,
}

impl Tick {
    fn works(what: &'static str, found: impl fmt::Display) -> Self {
        Self { state: State::Works, what, found: found.to_string(), hint: String::new() }
    }

    fn lacks(what: &'static str, found: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { state: State::Lacks, what, found: found.to_string(), hint: hint.to_string() }
    }

    fn broken(what: &'static str, found: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { state: State::Broken, what, found: found.to_string(), hint: hint.to_string() }
    }

    /// From an error whose text may end in a hint.
    fn of_error(what: &'static str, error: impl fmt::Display) -> Self {
        let text = error.to_string();
        let (found, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
        Self::broken(what, found, hint)
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.state {
            State::Works => '✓',
            State::Lacks => '!',
            State::Broken => '✗',
        };
        write!(f, "{mark} {:<16} {}", self.what, self.found.replace('\n', "\n                   "))?;
        if !self.hint.is_empty() {
            write!(f, "\n                   → {}", self.hint)?;
        }
        Ok(())
    }
}

/// Runs the role.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn run(config: &Config) -> anyhow::Result<Exit> {
    #[cfg(feature = "library")]
    let mut ticks = library::ticks(config);
    #[cfg(not(feature = "library"))]
    let mut ticks = worker::folders(config);
    ticks.extend(worker::ticks(config));

    let mut stdout = std::io::stdout().lock();
    for tick in &ticks {
        writeln!(stdout, "{tick}")?;
    }
    let broken = ticks.iter().filter(|tick| tick.state == State::Broken).count();
    if broken == 0 {
        writeln!(stdout, "\nhm can work here.")?;
        return Ok(Exit::Done);
    }
    writeln!(stdout, "\n{broken} of these must be mended before hm can work here.")?;
    Ok(Exit::Failed)
}

/// A folder that hm writes to: it, or the nearest one above it that exists.
fn folder(what: &'static str, path: &Path, hint: &str) -> Tick {
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    if !existing.is_dir() {
        return Tick::broken(what, format!("`{}` is no folder", existing.display()), hint);
    }
    if let Err(error) = access(existing, Access::WRITE_OK | Access::EXEC_OK) {
        return Tick::broken(what, format!("`{}` cannot be written: {error}", existing.display()), hint);
    }
    let mib = match free_bytes(path) {
        Ok(bytes) => bytes >> 20,
        Err(error) => return Tick::broken(what, format!("`{}` cannot be asked for its room: {error}", path.display()), hint),
    };
    let found = format!("`{}`, {}.{} GiB free", path.display(), mib >> 10, (mib & 1023) * 10 / 1024);
    if mib >> 10 < LITTLE_ROOM_GIB { Tick::lacks(what, found, format!("make room there, or {hint}")) } else { Tick::works(what, found) }
}

fn queue(url: &str) -> Tick {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Tick::broken("queue", format!("no runtime: {error}"), ""),
    };
    match runtime.block_on(Queue::connect(url)) {
        Ok(_) => Tick::works("queue", "Redis answers"),
        Err(error) => Tick::of_error("queue", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_a_line_and_says_what_to_do() {
        assert_eq!(Tick::works("Redis", "7.0").to_string(), "✓ Redis            7.0");
        let error = "cannot find it\n    a line of a log\nhint: look there";
        let tick = Tick::of_error("services", error);
        assert_eq!(tick.state, State::Broken);
        assert_eq!(
            tick.to_string(),
            "✗ services         cannot find it\n                       a line of a log\n                   → look there"
        );
    }

    #[test]
    fn a_folder_is_judged_before_it_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let tick = folder("data directory", &dir.path().join("not/yet"), "hint");
        assert_ne!(tick.state, State::Broken, "{tick}");
        assert!(tick.found.contains("GiB free"), "{tick}");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(folder("thumbnails", &file.join("below"), "hint").state, State::Broken);
    }
}
