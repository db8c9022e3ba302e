//! What runs: one file a role, wiring only. The rules live in the layers below.

#[cfg(feature = "library")]
mod backup;
#[cfg(feature = "library")]
mod demo;
mod doctor;
#[cfg(feature = "library")]
mod export;
mod guard;
mod host;
#[cfg(feature = "library")]
mod local_worker;
#[cfg(feature = "library")]
mod meta_worker;
mod models;
#[cfg(feature = "library")]
mod pixel_worker;
#[cfg(feature = "library")]
mod restore;
#[cfg(feature = "library")]
mod scan;
#[cfg(feature = "library")]
mod serve;
#[cfg(feature = "library")]
mod user;
mod work;
#[cfg(feature = "library")]
mod worker;

#[cfg(feature = "library")]
use std::ffi::OsString;
use std::process::ExitCode;

#[cfg(feature = "library")]
use crate::cli::GlobalArgs;
use crate::{
    cli::{Cli, Command},
    config::Config,
    queue::Settings,
    telemetry,
};

/// How a process ended, for the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All done.
    Done = 0,
    /// The role failed; stderr says why.
    Failed = 1,
    /// Done, but some files could not be read; they are listed.
    Problems = 3,
    /// A vault is offline; nothing of it was changed.
    Offline = 4,
    /// Stopped by Ctrl-C or SIGTERM; what was committed stays.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with its causes, each said once: many name their cause in their own words already.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// What servers and workers agree on. Tests of what happens when they are killed do not wait for a minute each time, and blame no picture
/// for it.
fn agreed() -> Settings {
    let settings = Settings::default();
    #[cfg(debug_assertions)]
    if let Some(lease_ms) = std::env::var("HM_TEST_LEASE_MS").ok().and_then(|text| text.parse().ok()) {
        let lease = std::time::Duration::from_millis(lease_ms);
        return Settings { lease, first_backoff: lease / 64, longest_backoff: lease / 8, most_deaths: 10_000, ..settings };
    }
    settings
}

/// The settings of this process, for a child of it.
#[cfg(feature = "library")]
fn child_arguments(global: &GlobalArgs, role: &str) -> Vec<OsString> {
    let mut arguments = Vec::new();
    for (flag, value) in [("--config", &global.config), ("--data-dir", &global.data_dir)] {
        if let Some(value) = value {
            arguments.extend([flag.into(), std::path::absolute(value).unwrap_or_else(|_| value.clone()).into_os_string()]);
        }
    }
    arguments.push(role.into());
    arguments
}

/// Runs the role that the command line names.
///
/// # Errors
/// Whatever made the role fail, with what it was doing.
pub fn run(cli: Cli) -> anyhow::Result<Exit> {
    let mut config = Config::load(cli.global.config.as_deref())?;
    if let Some(dir) = &cli.global.data_dir {
        config.move_data_dir(dir);
    }
    let bars = telemetry::start(&config.log, cli.global.verbose)?;
    match cli.command {
        Command::Config => {
            use std::io::Write;
            std::io::stdout().write_all(Config::manual().as_bytes())?;
            Ok(Exit::Done)
        }
        #[cfg(feature = "library")]
        Command::PixelWorker => pixel_worker::run(&config),
        #[cfg(feature = "library")]
        Command::Serve(args) => serve::run(&args, &cli.global, &config),
        #[cfg(feature = "library")]
        Command::Scan(args) => scan::run(&args, &config, &bars),
        #[cfg(feature = "library")]
        Command::Export(args) => export::run(&args, &config),
        #[cfg(feature = "library")]
        Command::Backup(args) => backup::run(&args, &config),
        #[cfg(feature = "library")]
        Command::Restore(args) => restore::run(&args, &config),
        Command::Models(args) => models::run(&args, &config, &bars),
        #[cfg(feature = "library")]
        Command::User(args) => user::run(&args, &config),
        Command::Work(args) => work::run(&args, &cli.global, &config),
        #[cfg(feature = "library")]
        Command::Worker(args) => worker::run(&args, &config),
        Command::Doctor => doctor::run(&config),
        Command::Guard => guard::run(&config),
        #[cfg(feature = "library")]
        Command::MetaWorker => meta_worker::run(),
        #[cfg(feature = "library")]
        Command::Demo(args) => demo::run(&args, &bars),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read `x`: {source}")]
        struct Unreadable {
            source: std::io::Error,
        }
        let source = std::io::Error::other("no such file");
        let error = Err::<(), _>(Unreadable { source }).context("while importing").unwrap_err();
        assert_eq!(told(&error), "while importing: cannot read `x`: no such file");
    }
}
