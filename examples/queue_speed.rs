//! Tasks in a second through the whole of the queue: `tests/bench/queues.py` runs it beside a Redis that is set up as hm's own.
//!
//! ```text
//! cargo run --release --example queue_speed -- REDIS_URL
//! ```
//!
//! One line of JSON comes out: tasks a second, first with each step by itself, then with a server that fills and stores and three workers
//! at once. The database is left out. Whatever the queue's keys are called in that Redis, these have a name of their own.

use std::{error::Error, io::Write, time::Duration, time::Instant};

use hm::{
    models::{
        ImageId, PictureKey,
        task::{Answer, Lane, Outcome, Priority::Backlog, Task},
    },
    queue::{Claimed, Queue, Receipt},
};

const TASKS: i64 = 20_000;
const BATCH: usize = 32;
const DIMENSIONS: usize = 512;
/// Nobody waits for what is not there yet.
const NOW: Duration = Duration::ZERO;
/// Between two looks of one who has nothing to do; a worker's own wait is longer.
const PAUSE: Duration = Duration::from_millis(1);

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

fn tasks(lane: &Lane) -> Vec<Task> {
    let task = |image: i64| Task {
        lane: lane.clone(),
        image: ImageId(image),
        picture: PictureKey::of(&[image as u8; 16], 2, None),
        priority: Backlog,
        attempt: 0,
    };
    (1..=TASKS).map(task).collect()
}

fn answer(claimed: &Claimed, place: usize, worker: &str) -> (Receipt, Outcome) {
    let vector = (0..DIMENSIONS).map(|at| ((at * 31 + place * 7) as f32).sin() / 16.0).collect();
    let answer = Ok(Answer::Embedding { vector });
    (claimed.receipt.clone(), Outcome { task: claimed.task.clone(), worker: worker.to_owned(), took_ms: 1.0, answer })
}

/// Claims and answers until nothing waits; how many that were.
async fn work(queue: &Queue, lane: &Lane, name: &str) -> Result<usize> {
    let lanes = [lane.clone()];
    let mut done = 0;
    loop {
        let claimed = queue.claim(name, &lanes, BATCH, NOW).await?;
        if claimed.is_empty() {
            return Ok(done);
        }
        let outcomes: Vec<_> = claimed.iter().enumerate().map(|(place, one)| answer(one, place, name)).collect();
        done += queue.answer(&outcomes).await?;
    }
}

/// Takes and settles until all were.
async fn store(queue: &Queue, name: &str, all: usize) -> Result<()> {
    let mut stored = 0;
    while stored < all {
        let taken = queue.take_outcomes(name, BATCH, NOW).await?;
        if taken.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        queue.settle_outcomes(&taken).await?;
        stored += taken.len();
    }
    Ok(())
}

async fn fill(queue: &Queue, all: &[Task]) -> Result<()> {
    for some in all.chunks(BATCH) {
        queue.enqueue(some).await?;
    }
    Ok(())
}

/// Keys that no other run has.
async fn connect(url: &str, part: &str) -> Result<Queue> {
    Ok(Queue::connect(url).await?.within(&format!("speed-{}-{part}", std::process::id())))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let url = std::env::args().nth(1).ok_or("which Redis?")?;
    let lane: Lane = "embed/clip-vit-b-32@0a1b2c".parse()?;
    let all = tasks(&lane);

    let queue = connect(&url, "in-turn").await?;
    let began = Instant::now();
    fill(&queue, &all).await?;
    let enqueued = began.elapsed();
    let done = work(&queue, &lane, "w").await?;
    let answered = began.elapsed();
    store(&queue, "s", all.len()).await?;
    let settled = began.elapsed();
    if done != all.len() {
        return Err(format!("{done} of {} tasks were answered", all.len()).into());
    }

    let queue = connect(&url, "together").await?;
    let began = Instant::now();
    let workers: Vec<_> = (0..3)
        .map(|number| {
            let (queue, lane) = (queue.clone(), lane.clone());
            tokio::spawn(async move {
                loop {
                    if work(&queue, &lane, &format!("w{number}")).await? == 0 {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                #[expect(unreachable_code, reason = "names the type of the errors")]
                Ok::<(), Box<dyn Error + Send + Sync>>(())
            })
        })
        .collect();
    let filler = {
        let (queue, all) = (queue.clone(), all.clone());
        tokio::spawn(async move { fill(&queue, &all).await })
    };
    store(&queue, "s", all.len()).await?;
    let together = began.elapsed();
    filler.await??;
    workers.iter().for_each(|worker| worker.abort());

    let per_s = |took: Duration| TASKS as f64 / took.as_secs_f64();
    let said = serde_json::json!({
        "tasks": TASKS,
        "batch": BATCH,
        "enqueue_per_s": per_s(enqueued),
        "claim_answer_per_s": per_s(answered - enqueued),
        "take_settle_per_s": per_s(settled - answered),
        "in_turn_per_s": per_s(settled),
        "together_per_s": per_s(together),
    });
    writeln!(std::io::stdout(), "{said}")?;
    Ok(())
}
