//! What keeps the private services from running, by who can act on it.

use std::{io, path::PathBuf};

/// The services cannot be used; the text ends in a hint where a person can do something.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// A program is not installed, or too old.
    #[error("{problem}\nhint: {hint}")]
    Program {
        /// What was looked for, and what was found.
        problem: String,
        /// What to install or set.
        hint: String,
    },
    /// A folder or file of the data directory cannot be made or written.
    #[error(
        "cannot write `{path}`: {source}\nhint: choose another place with --data-dir or HM_DATA_DIR, or give its owner the right to write"
    )]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The user that the services run as cannot reach the data directory.
    #[error(
        "user `{user}`, who runs the private services because root must not, cannot enter `{path}`\nhint: use a data directory like /var/lib/hm (--data-dir or HM_DATA_DIR), run hm as an ordinary user, or `chmod a+x '{path}'`"
    )]
    Unreachable {
        /// The user.
        user: String,
        /// The first folder on the way that is closed.
        path: PathBuf,
    },
    /// `hm` runs as root and there is nobody to hand the services to.
    #[error(
        "PostgreSQL refuses to run as root, and there is no user `postgres` to run it\nhint: run hm as an ordinary user, or `useradd --system postgres`"
    )]
    NoAccount,
    /// The cluster was made by another major version than those installed.
    #[error("`{path}` belongs to PostgreSQL {wanted}, and {found}\nhint: {hint}")]
    WrongMajor {
        /// The cluster.
        path: PathBuf,
        /// The major version that made it.
        wanted: u32,
        /// What is installed.
        found: String,
        /// What to install.
        hint: String,
    },
    /// The disk is full, or nearly.
    #[error(
        "only {free_mib} MiB are free in `{path}`, and the private database needs {needed_mib} MiB{log}\nhint: make room there, or move the data directory (--data-dir or HM_DATA_DIR)"
    )]
    DiskFull {
        /// Where.
        path: PathBuf,
        /// Free space, in MiB.
        free_mib: u64,
        /// Needed space, in MiB.
        needed_mib: u64,
        /// The last lines of the service's log, each behind a line break; empty where it has not run.
        log: String,
    },
    /// A service was started and did not come up.
    #[error("{what} did not start: {problem}{log}\nhint: the whole log is `{log_file}`")]
    Start {
        /// Which service.
        what: &'static str,
        /// How it ended.
        problem: String,
        /// The last lines of its log, each behind a line break.
        log: String,
        /// Its log.
        log_file: PathBuf,
    },
    /// The guard could not be started or did not answer.
    #[error("the guard of the private services {problem}{log}\nhint: the whole log is `{log_file}`")]
    Guard {
        /// What happened.
        problem: String,
        /// The last lines of its log, each behind a line break.
        log: String,
        /// Its log.
        log_file: PathBuf,
    },
    /// Redis does not take a setting.
    #[error("the private Redis refuses `{command}`: {problem}")]
    Redis {
        /// The first words of the command.
        command: String,
        /// What it said.
        problem: String,
    },
    /// There is no port left for other machines.
    #[error("the ports {first} to {last} are all taken\nhint: choose another for Redis with --redis-port")]
    NoPort {
        /// The first that was tried.
        first: u16,
        /// The last.
        last: u16,
    },
    /// What the guard answered, which has its own hint.
    #[error("{0}")]
    Refused(String),
}
