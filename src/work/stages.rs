//! The stages before and after the device, each as one thread does it, and the two that go on beside them.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use super::{
    desk::Desk,
    held::TaskNumber,
    line::{Fetched, Job, LAST_PATIENCE, Line, Ready, Shared, send},
    networks::{Network, Networks},
    pictures::{NoPicture, PictureSource},
    points::{Point, pass},
    trouble::{Pauses, sleep},
};
use crate::{
    infer::Rgb8,
    media::decode_proxy,
    models::task::{Failure, Lane, Outcome, Task},
};

/// How long one claim waits for a task.
const CLAIM_WAIT: Duration = Duration::from_secs(1);
/// How long it may take until a wish to stop is noticed.
const GLANCE: Duration = Duration::from_millis(100);
/// Between two looks at which lanes are wanted.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The first pause before a network that could not be opened is tried again; it doubles.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// Answers given at once.
const MOST_ANSWERS: usize = 256;

/// A network that could not be opened.
struct Refused {
    why: String,
    again_at: Instant,
    pause: Duration,
}

/// Keeps the networks open that are wanted.
pub(super) fn look_at_lanes<D: Desk, S: PictureSource, N: Networks>(line: &Line<D, S, N>) {
    let mut refused: BTreeMap<Lane, Refused> = BTreeMap::new();
    let mut pauses = Pauses::new();
    loop {
        match line.desk.offers() {
            Ok(offers) => {
                line.queue_trouble.back();
                pauses = Pauses::new();
                open(line, &offers, &mut refused);
                line.has_looked.store(true, Ordering::Release);
                if !sleep(LOOK_EVERY.min(line.desk.beat_every()), &line.stop) {
                    return;
                }
            }
            Err(error) => {
                line.queue_trouble.away(&error);
                if !pauses.wait(&line.stop) {
                    return;
                }
            }
        }
    }
}

fn open<D: Desk, S: PictureSource, N: Networks>(line: &Line<D, S, N>, offers: &[Lane], refused: &mut BTreeMap<Lane, Refused>) {
    // A lane that nobody offers any more keeps its network: the server may be away. It goes when another takes its place.
    let is_replaced = |lane: &Lane| !offers.contains(lane) && offers.iter().any(|other| other.kind == lane.kind);
    line.open.write().unwrap_or_else(PoisonError::into_inner).retain(|lane, _| !is_replaced(lane));
    for lane in offers {
        let is_open = line.open.read().unwrap_or_else(PoisonError::into_inner).contains_key(lane);
        let is_resting = refused.get(lane).is_some_and(|refused| refused.again_at > Instant::now());
        if is_open || is_resting || line.is_stopping() {
            continue;
        }
        match line.networks.open(lane) {
            Ok(network) => {
                tracing::info!("ready for {lane}");
                refused.remove(lane);
                line.open.write().unwrap_or_else(PoisonError::into_inner).insert(lane.clone(), Arc::new(network));
            }
            Err(why) => {
                let pause = refused.get(lane).map_or(FIRST_RETRY, |refused| (refused.pause * 2).min(LONGEST_RETRY));
                if refused.get(lane).is_none_or(|before| before.why != why) {
                    tracing::warn!("cannot work on {lane}: {why}");
                }
                refused.insert(lane.clone(), Refused { why, again_at: Instant::now() + pause, pause });
            }
        }
    }
}

/// Says that the worker lives, and hears which tasks are no longer its own.
pub(super) fn beat<D: Desk, S: PictureSource, N: Networks>(line: &Line<D, S, N>) {
    let mut pauses = Pauses::new();
    loop {
        let done = line.desk.beat(&line.report(), &line.held.receipts());
        let goes_on = match done {
            Ok(lost) => {
                line.queue_trouble.back();
                pauses = Pauses::new();
                if !lost.is_empty() {
                    tracing::info!("{} tasks went to others while the queue did not hear from this worker", lost.len());
                    line.held.remove_receipts(&lost);
                }
                sleep(line.desk.beat_every(), &line.stop)
            }
            Err(error) => {
                line.queue_trouble.away(&error);
                pauses.wait(&line.stop)
            }
        };
        if !goes_on {
            return;
        }
    }
}

/// Claims tasks as long as there is room for them; returns at the end.
pub(super) fn claim<D: Desk, S: PictureSource, N: Networks>(line: &Line<D, S, N>, to_fetch: &SyncSender<Job<N::Network>>) {
    let mut pauses = Pauses::new();
    while !line.is_stopping() {
        let room = line.held.wait_for_room(line.most_held(), GLANCE).min(line.batch.now());
        let open = line.open.read().unwrap_or_else(PoisonError::into_inner).clone();
        if open.is_empty() {
            if line.plan.once && line.has_looked.load(Ordering::Acquire) {
                tracing::info!("there is no network to work with");
                return;
            }
            sleep(GLANCE, &line.stop);
            continue;
        }
        if room == 0 {
            continue;
        }
        let lanes: Vec<Lane> = open.keys().cloned().collect();
        let wait = if line.plan.once { GLANCE } else { CLAIM_WAIT };
        // From the wish for tasks until they are held, so that whoever gives back at the end sees all of them.
        let claiming = line.claiming.lock().unwrap_or_else(PoisonError::into_inner);
        if line.is_stopping() {
            return;
        }
        match line.desk.claim(&lanes, room, wait) {
            Ok(claimed) => {
                line.queue_trouble.back();
                pauses = Pauses::new();
                let is_done = claimed.is_empty() && line.held.len() == 0;
                let held: Vec<_> = claimed.into_iter().map(|(receipt, task)| (line.held.add(receipt), task)).collect();
                drop(claiming);
                for (number, task) in held {
                    let Some(network) = open.get(&task.lane).cloned() else {
                        tracing::error!("was given a task of {}, which was not asked for", task.lane);
                        line.held.remove([number]);
                        continue;
                    };
                    pass(Point::Claimed);
                    line.arriving.fetch_add(1, Ordering::Relaxed);
                    if to_fetch.send(Job { number, task, network }).is_err() {
                        return;
                    }
                }
                if is_done && line.plan.once {
                    return;
                }
            }
            Err(error) => {
                drop(claiming);
                line.queue_trouble.away(&error);
                if !pauses.wait(&line.stop) {
                    return;
                }
            }
        }
    }
}

/// Fetches pictures until nobody claims any more.
pub(super) fn fetch<D: Desk, S: PictureSource, N: Networks>(
    line: &Line<D, S, N>,
    claimed: &Shared<Job<N::Network>>,
    to_prepare: &SyncSender<Fetched<N::Network>>,
    to_answer: &SyncSender<(TaskNumber, Outcome)>,
) {
    while let Some(job) = claimed.next() {
        match fetch_one(line, &job) {
            Ok(jpeg) => {
                pass(Point::Fetched);
                if to_prepare.send(Fetched { job, jpeg }).is_err() {
                    return;
                }
            }
            Err(failure) => {
                line.arriving.fetch_sub(1, Ordering::Relaxed);
                if let Some(failure) = failure {
                    send(to_answer, job.number, failed(line, job.task, failure));
                }
            }
        }
    }
}

/// The picture, however long its source is away; no failure and no picture when the worker ends or the task is somebody else's by now.
fn fetch_one<D: Desk, S: PictureSource, N: Networks>(line: &Line<D, S, N>, job: &Job<N::Network>) -> Result<Vec<u8>, Option<Failure>> {
    let mut pauses = Pauses::new();
    loop {
        if line.is_stopping() || !line.held.has(job.number) {
            return Err(None);
        }
        match line.source.fetch(&job.task) {
            Ok(jpeg) => {
                line.picture_trouble.back();
                return Ok(jpeg);
            }
            Err(NoPicture::NotNow(error)) => return Err(Some(Failure { error, is_passing: true })),
            Err(NoPicture::Never(error)) => return Err(Some(Failure { error, is_passing: false })),
            Err(NoPicture::Away(error)) => {
                line.picture_trouble.away(&error);
                pauses.wait(&line.stop);
            }
        }
    }
}

/// Decodes pictures and brings them into the form of their network, until none comes any more.
pub(super) fn prepare<D: Desk, S: PictureSource, N: Networks>(
    line: &Line<D, S, N>,
    fetched: &Shared<Fetched<N::Network>>,
    to_device: &SyncSender<Ready<N::Network>>,
    to_answer: &SyncSender<(TaskNumber, Outcome)>,
) {
    while let Some(Fetched { job, jpeg }) = fetched.next() {
        if line.is_stopping() || !line.held.has(job.number) {
            line.arriving.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let prepared = catch_unwind(AssertUnwindSafe(|| prepare_one(&*job.network, &jpeg)));
        match prepared.unwrap_or_else(|_| Err("preparing the picture panicked".to_owned())) {
            Ok(prepared) => {
                pass(Point::Prepared);
                if to_device.send(Ready { job, prepared }).is_err() {
                    return;
                }
            }
            Err(error) => {
                line.arriving.fetch_sub(1, Ordering::Relaxed);
                send(to_answer, job.number, failed(line, job.task, Failure { error, is_passing: false }));
            }
        }
    }
}

fn prepare_one<N: Network>(network: &N, jpeg: &[u8]) -> Result<N::Prepared, String> {
    let pixels = decode_proxy(jpeg).map_err(|error| error.to_string())?;
    network.prepare(&Rgb8 { width_px: pixels.width_px, height_px: pixels.height_px, bytes: &pixels.rgb })
}

/// An outcome without an answer.
pub(super) fn failed<D: Desk, S: PictureSource, N: Networks>(line: &Line<D, S, N>, task: Task, failure: Failure) -> Outcome {
    Outcome { task, worker: line.desk.worker().to_owned(), took_ms: 0.0, answer: Err(failure) }
}

/// Gives answers to the queue until none comes any more; while the queue is away they are kept.
pub(super) fn answer<D: Desk, S: PictureSource, N: Networks>(line: &Line<D, S, N>, answers: &Receiver<(TaskNumber, Outcome)>) {
    loop {
        let is_last_look = line.is_stopping() && line.has_computed_all.load(Ordering::Acquire);
        let first = match answers.recv_timeout(GLANCE) {
            Ok(first) => first,
            // Whoever still fetches or prepares something holds its end open, and is not waited for.
            Err(RecvTimeoutError::Timeout) if is_last_look => return,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let some: Vec<(TaskNumber, Outcome)> = std::iter::once(first).chain(answers.try_iter().take(MOST_ANSWERS - 1)).collect();
        if !give(line, some) {
            return;
        }
    }
}

/// Gives some answers, however long the queue is away; false when the worker ends before.
fn give<D: Desk, S: PictureSource, N: Networks>(line: &Line<D, S, N>, some: Vec<(TaskNumber, Outcome)>) -> bool {
    let numbers: Vec<TaskNumber> = some.iter().map(|(number, _)| *number).collect();
    // Those that others have by now are not answered.
    let outcomes: Vec<(D::Receipt, Outcome)> =
        some.into_iter().filter_map(|(number, outcome)| Some((line.held.receipt(number)?, outcome))).collect();
    let mut pauses = Pauses::new();
    let mut until = None;
    while !outcomes.is_empty() {
        match line.desk.answer(&outcomes) {
            Ok(()) => {
                line.queue_trouble.back();
                pass(Point::Answered);
                break;
            }
            Err(error) => line.queue_trouble.away(&error),
        }
        if line.is_stopping() {
            if Instant::now() >= *until.get_or_insert_with(|| Instant::now() + LAST_PATIENCE) {
                return false;
            }
            std::thread::sleep(GLANCE);
        } else {
            pauses.wait(&line.stop);
        }
    }
    line.held.remove(numbers);
    line.answered.fetch_add(outcomes.len() as u64, Ordering::Relaxed);
    let failed = outcomes.iter().filter(|(_, outcome)| outcome.answer.is_err()).count();
    line.failed.fetch_add(failed as u64, Ordering::Relaxed);
    true
}
