//! Tasks in a second through the whole of it. A measurement: tests/bench/queues.py runs it, built with optimisation, beside a Redis
//! that is set up as hm's own.

use std::time::Instant;

use hm::{
    models::task::{Answer, Priority::Backlog},
    queue::Queue,
};

use super::{
    queue,
    tools::{NOW, answered, clip, tasks},
};

const TASKS: i64 = 20_000;
const BATCH: usize = 32;
const DIMENSIONS: usize = 512;

async fn work(queue: &Queue, name: &str) -> usize {
    let lanes = [clip()];
    let mut done = 0;
    loop {
        let claimed = queue.claim(name, &lanes, BATCH, NOW).await.unwrap();
        if claimed.is_empty() {
            return done;
        }
        let mut outcomes: Vec<_> = claimed.iter().map(|one| answered(one, name)).collect();
        for (place, (_, outcome)) in outcomes.iter_mut().enumerate() {
            let vector = (0..DIMENSIONS).map(|at| ((at * 31 + place * 7) as f32).sin() / 16.0).collect();
            outcome.answer = Ok(Answer::Embedding { vector });
        }
        done += queue.answer(&outcomes).await.unwrap();
    }
}

async fn store(queue: &Queue, name: &str, all: usize) {
    let mut stored = 0;
    while stored < all {
        let taken = queue.take_outcomes(name, BATCH, NOW).await.unwrap();
        queue.settle_outcomes(&taken).await.unwrap();
        stored += taken.len();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: tests/bench/run.sh queue"]
async fn tasks_per_second() {
    let all = tasks(&clip(), 1..=TASKS, Backlog);
    // One after the other: what a task costs in all.
    let queue = queue().await;
    let began = Instant::now();
    for some in all.chunks(BATCH) {
        assert_eq!(queue.enqueue(some).await.unwrap(), some.len());
    }
    let enqueued = began.elapsed();
    assert_eq!(work(&queue, "w").await, all.len());
    let answered = began.elapsed();
    store(&queue, "s", all.len()).await;
    let settled = began.elapsed();
    // All at once: a server that fills and stores, and three workers.
    let queue = super::queue().await;
    let began = Instant::now();
    let workers: Vec<_> = (0..3)
        .map(|number| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let (name, mut done) = (format!("w{number}"), 0);
                while queue.lanes().await.unwrap().iter().all(|view| view.done < TASKS as u64) {
                    done += work(&queue, &name).await;
                }
                done
            })
        })
        .collect();
    let filler = {
        let (queue, all) = (queue.clone(), all.clone());
        tokio::spawn(async move {
            for some in all.chunks(BATCH) {
                queue.enqueue(some).await.unwrap();
            }
        })
    };
    store(&queue, "s", all.len()).await;
    let together = began.elapsed();
    filler.await.unwrap();
    let mut done = 0;
    for worker in workers {
        done += worker.await.unwrap();
    }
    assert_eq!(done, all.len());
    let per_s = |seconds: f64| TASKS as f64 / seconds;
    println!(
        "{}",
        serde_json::json!({
            "tasks": TASKS,
            "batch": BATCH,
            "enqueue_per_s": per_s(enqueued.as_secs_f64()),
            "claim_answer_per_s": per_s((answered - enqueued).as_secs_f64()),
            "take_settle_per_s": per_s((settled - answered).as_secs_f64()),
            "in_turn_per_s": per_s(settled.as_secs_f64()),
            "together_per_s": per_s(together.as_secs_f64()),
        })
    );
}
