//! `hm scan`: vault → walk, read, group → database or tables, then a summary and an exit code.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Exit, host::host_name};
use crate::{
    cli::{ScanArgs, TableFormat},
    config::Config,
    db::{self, Db},
    export::tables::{self, Format},
    scan::{self, Event, Problem, ScanOptions, Summary},
    services::Services,
};

/// Problems printed one by one; the others are counted.
const PROBLEMS_PRINTED: usize = 50;

/// Runs the role.
///
/// # Errors
/// Whatever made the scan fail, with what it was doing.
pub(super) fn run(args: &ScanArgs, config: &Config, bars: &MultiProgress) -> anyhow::Result<Exit> {
    let mut options = ScanOptions::new(&config.scan);
    options.full = args.full;
    stop_on_signal(&options.stop)?;
    let teller = Teller::new(args.json, bars);
    if args.dry_run {
        return dry_run(args, &options, &teller);
    }
    let services = Services::open(config)?;
    db::migrate(services.database_url())?;
    let db = Db::connect(services.database_url(), config.database.pool_size)?;
    let host = host_name(config)?;
    let scanned = scan::scan_library(&db, config, &host, &args.paths, &options, &|event| teller.event(event))?;
    teller.end(&scanned.summary, &scanned.problems, scanned.interrupted)?;
    for (name, reason) in &scanned.offline {
        eprintln!("hm: the vault `{name}` is offline, and nothing of it was changed: {reason}");
    }
    if let Some(dir) = &args.export {
        super::export::write(&db, &host, None, dir, table_format(args.format))?;
    }
    Ok(match () {
        () if scanned.interrupted => Exit::Interrupted,
        () if !scanned.offline.is_empty() => Exit::Offline,
        () if scanned.summary.problems > 0 => Exit::Problems,
        () => Exit::Done,
    })
}

fn dry_run(args: &ScanArgs, options: &ScanOptions, teller: &Teller) -> anyhow::Result<Exit> {
    let [path] = args.paths.as_slice() else {
        anyhow::bail!("`--dry-run` takes one path\nhint: scan the folder that holds them all");
    };
    let scanned = scan::scan_directory_with(path, options, &|event| teller.event(event))?;
    if let Some(dir) = &args.export {
        write_tables(dir, args.format, scanned.images, scanned.files)?;
    }
    teller.end(&scanned.summary, &scanned.problems, scanned.interrupted)?;
    Ok(match () {
        () if scanned.interrupted => Exit::Interrupted,
        () if scanned.summary.problems > 0 => Exit::Problems,
        () => Exit::Done,
    })
}

fn write_tables(dir: &Path, format: TableFormat, images: Vec<tables::ImageRow>, files: Vec<tables::FileRow>) -> anyhow::Result<()> {
    tables::write_tables(dir, table_format(format), images.into_iter(), files.into_iter())
        .with_context(|| format!("while writing tables to `{}`", dir.display()))
}

pub(super) fn table_format(format: TableFormat) -> Format {
    match format {
        TableFormat::Parquet => Format::Parquet,
        TableFormat::Csv => Format::Csv,
        TableFormat::Jsonl => Format::Jsonl,
    }
}

/// The first Ctrl-C or SIGTERM asks for an end after the batch in flight; the second ends at once.
pub(super) fn stop_on_signal(stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, Exit::Interrupted as i32, Arc::clone(stop))?;
        signal_hook::flag::register(signal, Arc::clone(stop))?;
    }
    Ok(())
}

/// Says how the scan goes: bars on a terminal, lines elsewhere, JSON events for scripts.
struct Teller {
    json: bool,
    bar: Option<ProgressBar>,
    last_line: Mutex<Option<Instant>>,
}

impl Teller {
    fn new(json: bool, bars: &MultiProgress) -> Self {
        let bar = (!json && std::io::stderr().is_terminal()).then(|| {
            let bar = bars.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is fixed");
            bar.set_style(style);
            bar
        });
        Self { json, bar, last_line: Mutex::new(None) }
    }

    fn event(&self, event: &Event<'_>) {
        /// Between two lines where there is no terminal.
        const LINE_EVERY: Duration = Duration::from_secs(5);
        if self.json {
            return print_json(event);
        }
        match event {
            Event::Vault { name, path, moved_from } => {
                if let Some(before) = moved_from {
                    let line = format!("`{path}` is the vault `{name}`, which was at `{before}`: it is known here from now on");
                    eprintln_above(self.bar.as_ref(), &line);
                }
                eprintln_above(self.bar.as_ref(), &format!("scanning `{name}` ({path})"));
            }
            Event::Progress(summary) => match &self.bar {
                Some(bar) => {
                    bar.set_message(progress_line(summary));
                    bar.tick();
                }
                None => {
                    let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
                    if last.get_or_insert_with(Instant::now).elapsed() >= LINE_EVERY {
                        eprintln!("{}", progress_line(summary));
                        *last = Some(Instant::now());
                    }
                }
            },
        }
    }

    fn end(&self, summary: &Summary, problems: &[Problem], interrupted: bool) -> anyhow::Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.json {
            let line = serde_json::json!({ "event": "end", "interrupted": interrupted, "summary": summary, "problems": problems });
            return Ok(writeln!(std::io::stdout(), "{line}")?);
        }
        for problem in problems.iter().take(PROBLEMS_PRINTED) {
            eprintln!("  {}: {}", problem.path, problem.message);
        }
        let more = summary.problems.saturating_sub(problems.len().min(PROBLEMS_PRINTED) as u64);
        if more > 0 {
            eprintln!("  … and {more} more");
        }
        let state = if interrupted { "interrupted" } else { "done" };
        eprintln!(
            "{state}: {} files in {} folders ({} read, {} unchanged, {} moved, {} missing), {} images written, {} problems, {:.1} s, {:.0} files/s",
            summary.files_seen,
            summary.folders_seen,
            summary.files_read,
            summary.files_unchanged,
            summary.files_moved,
            summary.files_missing,
            summary.images,
            summary.problems,
            summary.elapsed_s,
            summary.rate_per_s
        );
        Ok(())
    }
}

fn progress_line(summary: &Summary) -> String {
    let total = summary.files_total.map_or_else(|| format!("{}+", summary.files_seen), |total| total.to_string());
    let left =
        summary.eta_s.map_or_else(String::new, |eta| format!(", {} left", indicatif::HumanDuration(Duration::from_secs_f64(eta.min(1e9)))));
    let problems = if summary.problems > 0 { format!(", {} problems", summary.problems) } else { String::new() };
    format!("{} of {total} files, {:.0}/s{left}{problems}", summary.files_done, summary.rate_per_s)
}

fn eprintln_above(bar: Option<&ProgressBar>, line: &str) {
    match bar {
        Some(bar) => bar.println(line),
        None => eprintln!("{line}"),
    }
}

fn print_json(event: &Event<'_>) {
    let line = serde_json::to_string(event).expect("events are plain values");
    // A reader that went away wants to hear no more.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Scans for the server: the same, told to nobody but the log and the database.
pub(super) fn run_for_server(db: &Db, config: &Config, paths: &[PathBuf], stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut options = ScanOptions::new(&config.scan);
    options.stop = Arc::clone(stop);
    let scanned = scan::scan_library(db, config, &host_name(config)?, paths, &options, &|_| {})?;
    let summary = &scanned.summary;
    tracing::info!(
        scan.files = summary.files_seen,
        scan.read = summary.files_read,
        scan.images = summary.images,
        scan.problems = summary.problems,
        interrupted = stop.load(Ordering::Relaxed),
        "scan ended after {:.1} s",
        summary.elapsed_s
    );
    Ok(())
}
