//! `hm serve`: services, pools, scans and pages, wired together and taken down in order.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::{Exit, scan};
use crate::{
    cli::ServeArgs,
    config::Config,
    db::{self, Db},
    services::Services,
    web,
};

/// Connections that one scan needs beside those of the pages.
const SCAN_CONNECTIONS: u32 = 8;

/// Runs the role until Ctrl-C or SIGTERM.
///
/// # Errors
/// When the services do not start, the port is taken, or the address may not be bound.
pub(super) fn run(args: &ServeArgs, config: &Config) -> anyhow::Result<Exit> {
    let bind = args.bind.unwrap_or(config.web.bind);
    for path in &args.photos {
        anyhow::ensure!(path.exists(), "`{}` does not exist\nhint: give the folder that holds your photographs", path.display());
    }
    let services = Services::open(config).context("while starting the private services")?;
    db::migrate(services.database_url())?;
    let pages = Db::connect(services.database_url(), config.database.pool_size)?;
    let scans = Scans::start(Db::connect(services.database_url(), SCAN_CONNECTIONS)?, config.clone());
    if !args.photos.is_empty() {
        scans.ask(args.photos.clone());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(async {
        let state = web::State::new(pages, config.thumbs.dir.clone(), scan::host_name());
        let listening = web::server(Arc::new(state).into(), bind, config.web.workers)?;
        // stdout is for data: the address is what a script that starts hm wants to know.
        announce(&format!("http://{}/", listening.address))?;
        let handle = listening.server.handle();
        tokio::select! {
            ended = listening.server => ended.context("while answering requests"),
            () = asked_to_stop() => {
                tracing::info!("stopping");
                handle.stop(true).await;
                Ok(())
            }
        }
    });
    scans.stop();
    drop(services);
    served.map(|()| Exit::Done)
}

fn announce(address: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout();
    writeln!(out, "hm is ready: {address}")?;
    Ok(out.flush()?)
}

async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("the runtime handles signals");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    // A second signal ends the process at once.
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(Exit::Interrupted as i32);
    });
}

/// One thread that scans when asked, and on schedule; one scan at a time.
struct Scans {
    asked: Arc<Asked>,
    thread: thread::JoinHandle<()>,
}

struct Asked {
    /// Paths of the scans to come; none means every vault.
    waiting: Mutex<VecDeque<Vec<PathBuf>>>,
    changed: Condvar,
    stop: Arc<AtomicBool>,
}

impl Scans {
    fn start(db: Db, config: Config) -> Self {
        let asked =
            Arc::new(Asked { waiting: Mutex::new(VecDeque::new()), changed: Condvar::new(), stop: Arc::new(AtomicBool::new(false)) });
        let of_thread = Arc::clone(&asked);
        let thread =
            thread::Builder::new().name("scans".into()).spawn(move || of_thread.work(&db, &config)).expect("a thread can be started");
        Self { asked, thread }
    }

    fn ask(&self, paths: Vec<PathBuf>) {
        self.asked.ask(paths);
    }

    /// Ends the scan under way after its batch in flight.
    fn stop(self) {
        self.asked.stop.store(true, Ordering::Relaxed);
        self.asked.changed.notify_all();
        if self.thread.join().is_err() {
            tracing::error!("the scanning thread panicked");
        }
    }
}

impl Asked {
    fn ask(&self, paths: Vec<PathBuf>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.contains(&paths) {
            waiting.push_back(paths);
        }
        drop(waiting);
        self.changed.notify_all();
    }

    fn work(&self, db: &Db, config: &Config) {
        let every = (config.scan.every_minutes > 0).then(|| Duration::from_secs(config.scan.every_minutes * 60));
        let mut due = every.map(|every| Instant::now() + every);
        while let Some(paths) = self.next(&mut due, every) {
            if let Err(error) = scan::run_for_server(db, config, &paths, &self.stop) {
                tracing::error!("the scan failed: {error:#}");
            }
        }
    }

    /// Waits for the next scan, asked for or due; `None` at the end.
    fn next(&self, due: &mut Option<Instant>, every: Option<Duration>) -> Option<Vec<PathBuf>> {
        /// Between two looks at the clock.
        const LOOK_EVERY: Duration = Duration::from_secs(1);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(paths) = waiting.pop_front() {
                return Some(paths);
            }
            if let (Some(at), Some(every)) = (*due, every)
                && Instant::now() >= at
            {
                *due = Some(Instant::now() + every);
                return Some(Vec::new());
            }
            waiting = self.changed.wait_timeout(waiting, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
