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

use super::{Exit, agreed, child_arguments, host::host_name, local_worker::LocalWorker, scan, worker::serving_file};
use crate::{
    backup::Nightly,
    cli::{GlobalArgs, ServeArgs},
    config::Config,
    db::{self, Db},
    infer::shelf::Shelf,
    media::decode_proxy,
    models::ImageId,
    pipeline::{
        Findings, FindingsContext, PictureContext, PictureMaker, PictureProgress, PlaceNamer, ShelfOnOffer, SidecarWriter, WakeContext,
        Waker, WantedPictures, WriteBackContext,
    },
    queue::Queue,
    services::{Services, total_memory_bytes},
    web,
};

/// Connections that one scan needs beside those of the pages.
const SCAN_CONNECTIONS: u32 = 8;
/// One for each of the few threads that make pictures, as they need it.
const PICTURE_CONNECTIONS: u32 = 4;
const WRITE_BACK_CONNECTIONS: u32 = 1;
const PLACE_NAMES_CONNECTIONS: u32 = 1;
/// One for each of its threads, and one to stop the building of an index.
const FINDINGS_CONNECTIONS: u32 = 5;
const WAKE_CONNECTIONS: u32 = 1;

/// Runs the role until Ctrl-C or SIGTERM.
///
/// # Errors
/// When the services do not start, the port is taken, or the address may not be bound.
pub(super) fn run(args: &ServeArgs, global: &GlobalArgs, config: &Config) -> anyhow::Result<Exit> {
    let host = host_name(config)?;
    let bind = args.bind.unwrap_or(config.web.bind);
    for path in &args.photos {
        anyhow::ensure!(path.exists(), "`{}` does not exist\nhint: give the folder that holds your photographs", path.display());
    }
    let services = Services::open(config).context("while starting the private services")?;
    db::migrate(services.database_url())?;
    let connect = |size| Db::connect(services.database_url(), size);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let queue = runtime.block_on(Queue::connect(services.redis_url()))?.with_settings(agreed());
    let written = config.vaults.iter().filter(|(_, vault)| vault.write_back).map(|(name, _)| name.clone());
    let state = web::State::new(connect(config.database.pool_size)?, Some(queue.clone()), config.thumbs.dir.clone(), host.clone());
    let state = state.writing(written).with_map(config.map.clone()).with_models(config.models.clone());
    let state = state.with_segmenting(segmenting(config)).with_ask(ask(config));
    let hosts = config.web.host_names();
    // Whoever else can reach this server has to sign in, by its address or by way of a proxy on this machine.
    let needs_accounts = !bind.ip().is_loopback() || !hosts.is_empty();
    let state = if needs_accounts { state.with_accounts(hosts) } else { state };
    let code = match state.gate.code() {
        Some(code) if !state.db.get().map_err(anyhow::Error::from).and_then(|mut conn| Ok(db::accounts::has_accounts(&mut conn)?))? => {
            Some(code.to_owned())
        }
        _ => None,
    };
    let state = Arc::new(state);
    // Listening comes first: a taken port is said before anything is begun.
    let listening = runtime.block_on(async { web::server(Arc::clone(&state).into(), bind, config.web.workers) })?;
    let pictures = PictureMaker::start(PictureContext {
        db: connect(PICTURE_CONNECTIONS)?,
        thumbs: config.thumbs.clone(),
        host: host.clone(),
        program: std::env::current_exe().context("while looking for this program")?,
        arguments: child_arguments(global, "pixel-worker"),
        wanted: Arc::new(QueueWishes { queue: queue.clone(), runtime: runtime.handle().clone() }),
    })?;
    let scans = Scans::start(connect(SCAN_CONNECTIONS)?, config.clone());
    if !args.photos.is_empty() {
        scans.ask(args.photos.clone());
    }
    let changed = Arc::clone(&scans.asked);
    let backup_host = host.clone();
    let writer = SidecarWriter::start(WriteBackContext {
        db: connect(WRITE_BACK_CONNECTIONS)?,
        host,
        vaults: config.vaults.clone(),
        rescan: Box::new(move |folders| changed.ask(folders)),
    })?;
    let nightly = Nightly::start(services.database_url().to_owned(), config.clone(), backup_host.clone());
    let place_namer = PlaceNamer::start(connect(PLACE_NAMES_CONNECTIONS)?)?;
    let waker = Waker::start(WakeContext { db: connect(WAKE_CONNECTIONS)?, queue: queue.clone(), runtime: runtime.handle().clone() })?;
    let findings = Findings::start(FindingsContext {
        db: connect(FINDINGS_CONNECTIONS)?,
        queue: queue.clone(),
        runtime: runtime.handle().clone(),
        consumer: format!("{}-{}", backup_host, std::process::id()),
        networks: Box::new(ShelfOnOffer::new(config.models.clone())),
        index_memory_mib: index_memory_mib(config),
    })?;
    let works_here = config.work.local && !args.no_work;
    let local_worker = if works_here { Some(LocalWorker::start(config, child_arguments(global, "work"))?) } else { None };
    let serving = Serving::at(config, listening.address);
    let button = Arc::clone(&scans.asked);
    let served = runtime.block_on(async {
        tokio::spawn(async move { pass_on_requests(&queue, &button).await });
        announce(&format!("http://{}/", listening.address), code.as_deref())?;
        tokio::spawn(async move { state.count_library().await });
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
    drop(serving);
    if let Some(local_worker) = local_worker {
        local_worker.stop();
    }
    if let Some(writer) = writer {
        writer.stop();
    }
    if let Some(nightly) = nightly {
        nightly.stop();
    }
    place_namer.stop();
    findings.stop();
    waker.stop();
    scans.stop();
    pictures.stop();
    drop(services);
    served.map(|()| Exit::Done)
}

/// What answers searches by what pictures show, from the networks that are imported.
fn ask(config: &Config) -> web::Ask {
    let encoders = web::ShelfEncoders::new(Shelf::new(&config.models.dir), config.models.embed.clone());
    web::Ask::new(Arc::new(encoders), Box::new(decode))
}

/// What cuts out what is pointed at.
fn segmenting(config: &Config) -> web::Segmenting {
    let kept = config.data_dir.join("cache").join("embeddings");
    web::Segmenting::new(Shelf::new(&config.models.dir), config.models.segment.clone(), kept, Box::new(decode))
}

/// The pixels of a proxy, for what looks at pictures behind the pages.
fn decode(jpeg: &[u8]) -> Result<web::Proxy, String> {
    let pixels = decode_proxy(jpeg).map_err(|error| error.to_string())?;
    Ok(web::Proxy { width_px: pixels.width_px, height_px: pixels.height_px, rgb: pixels.rgb })
}

/// Memory for building an index of vectors: a part of this machine's where the database is on it, and little where somebody else looks after
/// it. With less than it needs (1.8 GiB at a million of 512 numbers) building takes several times as long.
fn index_memory_mib(config: &Config) -> i64 {
    const OF_ANOTHERS: i64 = 512;
    if !config.database.url.is_empty() {
        return OF_ANOTHERS;
    }
    i64::try_from((total_memory_bytes() / 5) >> 20).unwrap_or(OF_ANOTHERS)
}

/// Says where the server listens to those who invite workers, as long as it does.
struct Serving(PathBuf);

impl Serving {
    fn at(config: &Config, address: std::net::SocketAddr) -> Self {
        let path = serving_file(config);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, format!("{address}\n")));
        if let Err(error) = written {
            tracing::debug!(file.path = %path.display(), %error, "who invites a worker has to say where this server is");
        }
        Self(path)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // A file that stays is of no address that answers.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Passes the button's presses on to the scanning thread.
async fn pass_on_requests(queue: &Queue, scans: &Asked) {
    /// Between two looks at the queue.
    const LOOK_EVERY: Duration = Duration::from_secs(1);
    let mut is_down = false;
    loop {
        match queue.take_scan_request().await {
            // One vault or all: the scanner finds quickly that the others are as before.
            Ok(Some(_)) => scans.ask(Vec::new()),
            Ok(None) => is_down = false,
            Err(error) => {
                if !std::mem::replace(&mut is_down, true) {
                    tracing::warn!(%error, "the queue does not answer; scans asked for in the browser wait");
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What the pages wish for, by way of the queue.
struct QueueWishes {
    queue: Queue,
    runtime: tokio::runtime::Handle,
}

impl WantedPictures for QueueWishes {
    fn take(&self, most: usize) -> Vec<ImageId> {
        // Without the queue pictures are made in their usual order.
        self.runtime.block_on(self.queue.take_wanted(most)).unwrap_or_else(|error| {
            tracing::debug!(%error, "the queue does not say what is looked at");
            Vec::new()
        })
    }

    fn publish(&self, progress: &PictureProgress) {
        /// Longer than the pause between two words of it.
        const EXPIRES_S: u64 = 5;
        let progress = serde_json::json!(progress);
        if let Err(error) = self.runtime.block_on(self.queue.publish_progress("pictures", &progress, EXPIRES_S)) {
            tracing::debug!(%error, "the queue does not hear how pictures go");
        }
    }
}

fn announce(address: &str, code: Option<&str>) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout();
    writeln!(out, "hm is ready: {address}")?;
    if let Some(code) = code {
        writeln!(out, "Others can reach this server, and nobody has an account yet. Open it and create yours with the code {code}")?;
    }
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
