//! Logs to stderr, pretty or JSON, sharing the terminal with progress bars. stdout is data, stderr is talk.

use std::io::{self, Write};

use indicatif::MultiProgress;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::config::{LogConfig, LogFormat};

/// Starts the logs of this process and returns the place for its progress bars.
///
/// # Errors
/// When `log.level` is no level and no filter.
pub fn start(config: &LogConfig, verbose: u8) -> anyhow::Result<MultiProgress> {
    // actix announces every start and stop of its own.
    let quiet = format!("{},actix_server=warn", config.level);
    let level = match verbose {
        0 if !config.level.contains("actix_server") => quiet.as_str(),
        0 => config.level.as_str(),
        1 => "info,hm=debug",
        _ => "debug,hm=trace",
    };
    let filter = EnvFilter::try_new(level)
        .map_err(|error| anyhow::anyhow!("configuration `log.level` = `{level}`: {error}\nhint: error, warn, info, debug or trace"))?;
    let bars = MultiProgress::new();
    let writer = AboveBars(bars.clone());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match config.format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Pretty => builder.with_target(false).with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
    }
    Ok(bars)
}

/// Writes log lines so that the bars below them stay whole.
#[derive(Clone)]
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for AboveBars {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
