//! The background maker of pictures: first what is on a screen, then what the database says is lacking, newest first.
//!
//! One feeder thread asks the queue and the database; as many workers as pictures may be decoded at once each drive one child process;
//! one more thread removes old pictures (`sweep`).
//! Losing the queue, the feeder's memory or the thumbnail directory loses no work: all of it is found again.

use std::{
    collections::VecDeque,
    ffi::OsString,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    board::{Board, Reason},
    sources::{self, Presence},
    store::PictureStore,
    sweep::Sweeper,
};
use crate::{
    config::ThumbsConfig,
    db::{
        Db, DbError, PooledPg,
        pictures::{self, NewPicture, PictureFile, PictureJob},
    },
    media::{
        child::{ChildError, ChildPool},
        pixels::{PictureRequest, PicturesMade, PixelsError},
    },
    models::{Cursor, ImageId, PictureKey},
};

/// How often the feeder looks for wishes.
const LOOK_EVERY: Duration = Duration::from_millis(150);
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often the database is asked whether a scan went on, while there is nothing to do.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// A library that did not change is still looked through once in a while: another host may have changed it.
const LOOK_THROUGH_EVERY: Duration = Duration::from_secs(60 * 60);
/// Passes over the whole library take seconds when it is large: this many times as long as one took passes before the next.
const REST_FACTOR: u32 = 20;
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(10);
const BATCH: i64 = 500;
/// Seconds whose mean is the rate.
const RATE_OVER: usize = 10;
const WISHES_AT_ONCE: usize = 200;
/// How long a stop waits for pictures that are being made; the children of those left end with this process.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// ffmpeg is ended this long before its child would be.
const MARGIN_S: u64 = 5;
/// Decoders leak a little.
const RECYCLE_AFTER: u32 = 500;

/// Who says what is looked at, and who hears how it goes. Kept apart from the queue so that the maker works, and is tested, without one.
pub trait WantedPictures: Send + Sync {
    /// Images whose pictures someone waits for, at most `most`, each given out once. Does not wait.
    fn take(&self, most: usize) -> Vec<ImageId>;

    /// Hears about the progress, once a second while there is any.
    fn publish(&self, progress: &PictureProgress);
}

/// How far the pictures are.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PictureProgress {
    /// Images whose pictures were made since the server started.
    pub done: u64,
    /// Images that gave none, since the server started.
    pub failed: u64,
    /// Images without pictures still.
    pub lacking: u64,
    /// Pictures a second, of the last ten seconds.
    pub rate_per_s: f64,
}

/// What the maker needs.
pub struct PictureContext {
    /// The truth.
    pub db: Db,
    /// Sizes, places and limits.
    pub thumbs: ThumbsConfig,
    /// This host's name in `vault_mounts`.
    pub host: String,
    /// The program that decodes: this one.
    pub program: PathBuf,
    /// Its arguments, with the settings of this process: `["--config", FILE, "pixel-worker"]`.
    pub arguments: Vec<OsString>,
    /// Wishes and progress.
    pub wanted: Arc<dyn WantedPictures>,
}

/// The running maker. Dropped without [`Self::stop`] it goes on until the process ends.
pub struct PictureMaker {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    context: PictureContext,
    store: PictureStore,
    children: ChildPool,
    board: Mutex<Board>,
    woken: Condvar,
    is_stopping: AtomicBool,
    done: AtomicU64,
    failed: AtomicU64,
}

/// What came of one image.
enum Outcome {
    Made,
    Failed,
    /// There was nothing to do.
    Unneeded,
    /// Not now: disk, database or child were not there.
    Later(String),
}

impl PictureMaker {
    /// Starts the threads; children are started when there is work.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(context: PictureContext) -> std::io::Result<Self> {
        let workers = match context.thumbs.workers {
            0 => thread::available_parallelism().map_or(2, usize::from),
            workers => workers,
        };
        let shared = Arc::new(Shared {
            store: PictureStore::new(&context.thumbs.dir),
            children: ChildPool::new(&context.program, &context.arguments, workers).recycle_after(RECYCLE_AFTER),
            context,
            board: Mutex::default(),
            woken: Condvar::new(),
            is_stopping: AtomicBool::new(false),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        let mut maker = Self { shared, threads: Vec::new() };
        for index in 0..workers {
            maker.spawn(format!("pictures-{index}"), Shared::work)?;
        }
        maker.spawn("pictures-feeder".to_owned(), Shared::feed)?;
        maker.spawn("pictures-sweeper".to_owned(), Shared::sweep)?;
        Ok(maker)
    }

    fn spawn(&mut self, name: String, run: fn(&Shared)) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        self.threads.push(thread::Builder::new().name(name).spawn(move || run(&shared))?);
        Ok(())
    }

    /// Takes no more work and waits a little for what is being made; nothing half-written stays under a picture's name.
    pub fn stop(self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        self.shared.woken.notify_all();
        let give_up = Instant::now() + STOP_PATIENCE;
        while Instant::now() < give_up && self.threads.iter().any(|thread| !thread.is_finished()) {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some((image, reason)) = self.next() {
            match self.make(image, reason) {
                Outcome::Made => {
                    self.done.fetch_add(1, Ordering::Relaxed);
                    self.board().finish(image);
                }
                Outcome::Failed => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    self.board().finish(image);
                }
                Outcome::Unneeded => self.board().finish(image),
                Outcome::Later(why) => {
                    tracing::debug!(image.id = %image, "pictures have to wait: {why}");
                    self.board().postpone(image, Instant::now());
                }
            }
        }
    }

    fn next(&self) -> Option<(ImageId, Reason)> {
        let mut board = self.board();
        while !self.is_stopping() {
            if let Some(next) = board.take() {
                return Some(next);
            }
            board = self.woken.wait(board).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn make(&self, image: ImageId, reason: Reason) -> Outcome {
        let job = match self.ask(|conn| pictures::find_picture_job(conn, image, &self.context.host)) {
            Ok(Some(job)) => job,
            Ok(None) => return Outcome::Unneeded,
            Err(error) => return Outcome::Later(error.to_string()),
        };
        let made = job.made.as_ref().filter(|made| made.key == job.key.as_str());
        // What someone waits for is looked for on the disk as well: the pictures may have been lost.
        let is_fine = made.is_some_and(|made| made.error.is_some() || reason == Reason::Lacking || self.store.is_complete(&job.key));
        if is_fine {
            return Outcome::Unneeded;
        }
        let PictureJob { key, sources, .. } = job;
        let mut failure = None;
        let mut obstacle = None;
        for source in sources::in_order(sources) {
            match sources::presence(&source) {
                Presence::AsScanned(path) => match self.make_from(&source, path, &key) {
                    Ok(made) => return self.record(image, &key, &made),
                    Err(Trouble::Passing(why)) => obstacle = Some(why),
                    Err(Trouble::OfTheFile(why)) => failure = failure.or(Some(why)),
                },
                Presence::Changed => obstacle = Some("a file changed since the scan".to_owned()),
                Presence::Unreachable => {
                    self.board().note_absent(source.vault, Instant::now());
                    obstacle = Some("the disk is not there".to_owned());
                }
            }
        }
        if let Some(why) = obstacle {
            return Outcome::Later(why);
        }
        let why = failure.unwrap_or_else(|| "no file with a picture".to_owned());
        tracing::debug!(image.id = %image, "no picture could be made: {why}");
        match self.ask(|conn| pictures::record_picture_failure(conn, image, &key, &why)) {
            Ok(()) => Outcome::Failed,
            Err(error) => Outcome::Later(error.to_string()),
        }
    }

    fn make_from(&self, source: &PictureFile, path: PathBuf, key: &PictureKey) -> Result<PicturesMade, Trouble> {
        let thumbs = &self.context.thumbs;
        let cannot_write = |error: std::io::Error| Trouble::Passing(format!("cannot write to `{}`: {error}", thumbs.dir.display()));
        let new = self.store.begin(key).map_err(cannot_write)?;
        let request = PictureRequest {
            source: path,
            format: source.format,
            orientation: sources::orientation(source),
            stored_px: source.facts.width_px.zip(source.facts.height_px),
            proxy: new.proxy.clone(),
            thumbnail: new.thumbnail.clone(),
            proxy_px: thumbs.proxy_px,
            thumbnail_px: thumbs.thumbnail_px,
            max_pixels: thumbs.max_megapixels.saturating_mul(1_000_000),
            timeout_s: thumbs.timeout_s.saturating_sub(MARGIN_S).max(1),
        };
        let request = serde_json::to_vec(&request).expect("plain values have a JSON form");
        let answer = match self.children.call(&request, Duration::from_secs(thumbs.timeout_s)) {
            Ok(answer) => answer,
            Err(error @ ChildError::Start { .. }) => return Err(Trouble::Passing(error.to_string())),
            Err(error) => return Err(Trouble::OfTheFile(error.to_string())),
        };
        match serde_json::from_slice::<Result<PicturesMade, PixelsError>>(&answer) {
            Ok(Ok(made)) => self.store.keep(&new, key).map(|()| made).map_err(cannot_write),
            Ok(Err(error)) if error.is_passing() => Err(Trouble::Passing(error.to_string())),
            Ok(Err(error)) => Err(Trouble::OfTheFile(error.to_string())),
            Err(error) => Err(Trouble::Passing(format!("the child's answer is not understood: {error}"))),
        }
    }

    fn record(&self, image: ImageId, key: &PictureKey, made: &PicturesMade) -> Outcome {
        let picture = NewPicture {
            image,
            key: key.clone(),
            placeholder: made.placeholder.clone(),
            width_px: made.proxy_px.0,
            height_px: made.proxy_px.1,
            source: made.source.name(),
        };
        match self.ask(|conn| pictures::record_picture(conn, &picture)) {
            Ok(()) => Outcome::Made,
            Err(error) => Outcome::Later(error.to_string()),
        }
    }

    fn ask<T, E>(&self, question: impl FnOnce(&mut PooledPg) -> Result<T, E>) -> Result<T, DbError>
    where
        DbError: From<E>,
    {
        let mut conn = self.context.db.get()?;
        Ok(question(&mut conn)?)
    }

    /// Brings work to the board until the end.
    fn feed(&self) {
        self.store.sweep();
        let mut feeder = Feeder::new();
        while !self.is_stopping() {
            let wishes = self.context.wanted.take(WISHES_AT_ONCE);
            if !wishes.is_empty() {
                self.board().want(wishes);
                self.woken.notify_all();
            }
            if let Err(error) = self.look_for_lacking(&mut feeder) {
                tracing::warn!("cannot ask which pictures are lacking: {error}");
                feeder.rest_until = Instant::now() + PAUSE_AFTER_TROUBLE;
            }
            self.tell(&mut feeder);
            thread::sleep(LOOK_EVERY);
        }
        self.woken.notify_all();
    }

    /// Says whose directory it is, and removes old pictures while there are no new ones to make.
    fn sweep(&self) {
        let sweeper = Sweeper::new(self.context.db.clone(), self.store.clone(), self.context.thumbs.sweep);
        sweeper.run(|| self.is_stopping(), || self.board().is_at_rest());
    }

    /// Adds the next batch when the last one is nearly worked off; starts a pass when a scan went on, a wait is over or an hour passed.
    fn look_for_lacking(&self, feeder: &mut Feeder) -> Result<(), DbError> {
        let now = Instant::now();
        if now < feeder.rest_until || self.board().background_len() as i64 > BATCH / 5 {
            return Ok(());
        }
        if feeder.pass.is_none() {
            let beat = self.ask(|conn| pictures::find_last_scan_beat(conn))?;
            let next_retry = self.board().next_retry();
            let is_due = feeder.last_pass.is_none_or(|at| now.duration_since(at) > LOOK_THROUGH_EVERY);
            if !is_due && beat == feeder.scan_beat && next_retry.is_none_or(|retry| retry > now) {
                feeder.rest_until = now + ASK_EVERY;
                return Ok(());
            }
            let lacking = self.ask(|conn| pictures::count_lacking_pictures(conn))?;
            feeder.scan_beat = beat;
            feeder.last_pass = Some(now);
            feeder.lacking_at_pass = (u64::try_from(lacking).unwrap_or_default(), self.finished());
            feeder.pass = Some(Pass { after: None, asked_for: now.elapsed() });
        }
        let Some(pass) = &mut feeder.pass else { return Ok(()) };
        let asked = Instant::now();
        let passed_over = self.board().absent_vaults(now);
        let batch = self.ask(|conn| pictures::list_lacking_pictures(conn, pass.after, &passed_over, BATCH))?;
        pass.asked_for += asked.elapsed();
        match batch.last() {
            Some(last) => pass.after = Some(*last),
            None => {
                feeder.rest_until = now + ASK_EVERY.max(pass.asked_for * REST_FACTOR);
                feeder.pass = None;
            }
        }
        self.board().add_lacking(batch.into_iter().map(|cursor| cursor.image), now);
        self.woken.notify_all();
        Ok(())
    }

    fn finished(&self) -> u64 {
        self.done.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed)
    }

    fn tell(&self, feeder: &mut Feeder) {
        let now = Instant::now();
        if feeder.told_at.is_some_and(|at| now.duration_since(at) < TELL_EVERY) {
            return;
        }
        feeder.told_at = Some(now);
        feeder.history.push_back((now, self.finished()));
        if feeder.history.len() > RATE_OVER {
            feeder.history.pop_front();
        }
        let progress = self.progress(feeder);
        if feeder.told.as_ref() != Some(&progress) {
            self.context.wanted.publish(&progress);
            feeder.told = Some(progress);
        }
    }

    fn progress(&self, feeder: &Feeder) -> PictureProgress {
        let finished = self.finished();
        let (lacking, finished_then) = feeder.lacking_at_pass;
        let rate_per_s = match (feeder.history.front(), feeder.history.back()) {
            (Some((from, first)), Some((to, last))) if to > from => (last - first) as f64 / to.duration_since(*from).as_secs_f64(),
            _ => 0.0,
        };
        PictureProgress {
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            lacking: lacking.saturating_sub(finished - finished_then),
            rate_per_s,
        }
    }
}

/// What the feeder remembers.
struct Feeder {
    /// The pass over the library that is under way.
    pass: Option<Pass>,
    last_pass: Option<Instant>,
    scan_beat: Option<DateTime<Utc>>,
    /// The database is left alone until then.
    rest_until: Instant,
    /// How many were lacking when the pass began, and how many had been finished by then.
    lacking_at_pass: (u64, u64),
    /// Times and how many were finished by then, of the last seconds.
    history: VecDeque<(Instant, u64)>,
    told_at: Option<Instant>,
    told: Option<PictureProgress>,
}

struct Pass {
    after: Option<Cursor>,
    /// Time that the database took for its questions.
    asked_for: Duration,
}

impl Feeder {
    fn new() -> Self {
        Self {
            pass: None,
            last_pass: None,
            scan_beat: None,
            rest_until: Instant::now(),
            lacking_at_pass: (0, 0),
            history: VecDeque::new(),
            told_at: None,
            told: None,
        }
    }
}

/// Why one file gave no pictures.
enum Trouble {
    /// Another time it may.
    Passing(String),
    /// It never will, as it is.
    OfTheFile(String),
}
