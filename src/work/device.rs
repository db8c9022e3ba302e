//! The device: one thread that gives it batches of one lane, as large as its memory takes.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use super::{
    desk::Desk,
    held::TaskNumber,
    line::{Line, Ready, send},
    networks::{Network, Networks, NotRun},
    pictures::PictureSource,
    points::{Point, pass},
    stages::failed,
};
use crate::models::task::{Answer, Failure, Outcome};

/// How long a batch that is not full waits for what is on its way.
const LINGER: Duration = Duration::from_millis(50);
/// How long it may take until a wish to stop is noticed.
const GLANCE: Duration = Duration::from_millis(100);

/// How many pictures the device gets at a time: fewer after it had no memory for more.
pub(super) struct BatchSize(AtomicUsize);

impl BatchSize {
    pub(super) fn new(size: usize) -> Self {
        Self(AtomicUsize::new(size.max(1)))
    }

    pub(super) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Halves it, having failed with so many.
    fn halve(&self, failed_with: usize) {
        let size = (failed_with / 2).clamp(1, self.now());
        self.0.store(size, Ordering::Relaxed);
    }
}

/// Runs batches until no picture comes any more, or the worker ends.
pub(super) fn run<D: Desk, S: PictureSource, N: Networks>(
    line: &Line<D, S, N>,
    ready: &Receiver<Ready<N::Network>>,
    to_answer: &SyncSender<(TaskNumber, Outcome)>,
) {
    let mut waiting: VecDeque<Ready<N::Network>> = VecDeque::new();
    while !line.is_stopping() {
        if waiting.is_empty() {
            match ready.recv_timeout(GLANCE) {
                Ok(one) => arrive(line, &mut waiting, one),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        fill(line, ready, &mut waiting);
        let batch = take_batch(&mut waiting, line.batch.now());
        compute(line, batch, to_answer);
    }
    line.has_computed_all.store(true, Ordering::Release);
}

fn arrive<D: Desk, S: PictureSource, N: Networks>(line: &Line<D, S, N>, waiting: &mut VecDeque<Ready<N::Network>>, one: Ready<N::Network>) {
    line.arriving.fetch_sub(1, Ordering::Relaxed);
    if line.held.has(one.job.number) {
        waiting.push_back(one);
    }
}

/// Takes what is there and, while the batch is not full, waits a little for what is on its way.
fn fill<D: Desk, S: PictureSource, N: Networks>(
    line: &Line<D, S, N>,
    ready: &Receiver<Ready<N::Network>>,
    waiting: &mut VecDeque<Ready<N::Network>>,
) {
    ready.try_iter().for_each(|one| arrive(line, waiting, one));
    let until = Instant::now() + LINGER;
    while of_first_lane(waiting) < line.batch.now() && line.arriving.load(Ordering::Relaxed) > 0 {
        match ready.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(one) => arrive(line, waiting, one),
            Err(_) => return,
        }
    }
}

/// How many wait for the same network as the first.
fn of_first_lane<N: Network>(waiting: &VecDeque<Ready<N>>) -> usize {
    waiting.front().map_or(0, |first| waiting.iter().filter(|one| one.job.task.lane == first.job.task.lane).count())
}

/// Takes up to `most` that wait for the same network as the first; the others keep their order.
fn take_batch<N: Network>(waiting: &mut VecDeque<Ready<N>>, most: usize) -> Vec<Ready<N>> {
    let mut batch: Vec<Ready<N>> = Vec::new();
    let mut others = VecDeque::new();
    for one in waiting.drain(..) {
        let fits = batch.len() < most && batch.first().is_none_or(|first| first.job.task.lane == one.job.task.lane);
        if fits { batch.push(one) } else { others.push_back(one) }
    }
    *waiting = others;
    batch
}

/// Runs a batch, in parts where its memory or one of its pictures will not have it whole.
fn compute<D: Desk, S: PictureSource, N: Networks>(
    line: &Line<D, S, N>,
    batch: Vec<Ready<N::Network>>,
    to_answer: &SyncSender<(TaskNumber, Outcome)>,
) {
    let mut parts = VecDeque::from([batch]);
    let mut is_first = true;
    while let Some(mut batch) = parts.pop_front() {
        // A part made before the device turned out to have room for fewer.
        let most = line.batch.now();
        if batch.len() > most {
            parts.push_front(batch.split_off(most));
        }
        // At the end, what is left is given back.
        if batch.is_empty() || (line.is_stopping() && !is_first) {
            continue;
        }
        is_first = false;
        let count = batch.len();
        let (jobs, prepared): (Vec<_>, Vec<_>) = batch.into_iter().map(|one| (one.job, one.prepared)).unzip();
        let network = jobs[0].network.clone();
        let (done, took) = line.busy.during(|| catch_unwind(AssertUnwindSafe(|| network.run(&prepared))));
        line.has_computed(took);
        pass(Point::Computed);
        let done =
            done.unwrap_or_else(|_| Err(NotRun::Failed("the network panicked".to_owned()))).and_then(|answers| whole(answers, count));
        match done {
            Ok(answers) => {
                let took_ms = took.as_secs_f32() * 1e3 / count as f32;
                for (job, answer) in jobs.into_iter().zip(answers) {
                    let outcome = Outcome { task: job.task, worker: line.desk.worker().to_owned(), took_ms, answer: Ok(answer) };
                    send(to_answer, job.number, outcome);
                }
            }
            Err(why) if count > 1 => {
                let size = match why {
                    NotRun::OutOfMemory(error) => {
                        line.batch.halve(count);
                        tracing::warn!("the device has no memory for {count} pictures at a time, and gets {}: {error}", line.batch.now());
                        line.batch.now()
                    }
                    // One of them may be the cause: the others need not suffer.
                    NotRun::Failed(error) => {
                        tracing::warn!("{count} pictures failed together, and are tried one by one: {error}");
                        1
                    }
                };
                let mut left = jobs.into_iter().zip(prepared).map(|(job, prepared)| Ready { job, prepared });
                loop {
                    let part: Vec<_> = left.by_ref().take(size).collect();
                    if part.is_empty() {
                        break;
                    }
                    parts.push_back(part);
                }
            }
            Err(why) => {
                let failure = match why {
                    NotRun::OutOfMemory(error) => Failure { error: format!("the device has no memory for it: {error}"), is_passing: true },
                    NotRun::Failed(error) => Failure { error, is_passing: false },
                };
                jobs.into_iter().for_each(|job| send(to_answer, job.number, failed(line, job.task, failure.clone())));
            }
        }
    }
}

fn whole(answers: Vec<Answer>, count: usize) -> Result<Vec<Answer>, NotRun> {
    if answers.len() == count {
        Ok(answers)
    } else {
        Err(NotRun::Failed(format!("the network gave {} answers for {count} pictures", answers.len())))
    }
}

impl<D: Desk, S: PictureSource, N: Networks> Line<D, S, N> {
    /// Notes that a batch has just ended that took so long.
    fn has_computed(&self, took: Duration) {
        let now = Instant::now();
        let mut span = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        let start = span.map_or_else(|| now.checked_sub(took).unwrap_or(now), |(start, _)| start);
        *span = Some((start, now));
    }
}
