//! Workers that end, fall silent, or hand back what they hold.

use std::time::Duration;

use hm::{
    models::task::{
        Lane,
        Priority::{New, Screen},
    },
    queue::{Claimed, Queue, Reaped, Settings},
};
use tokio::time::Instant;

use super::{
    queue,
    tools::{NOW, answers, card, clip, failed, images, later, receipts, store, tasks, yolo},
};

async fn claim(queue: &Queue, worker: &str, lanes: &[Lane]) -> Vec<Claimed> {
    queue.claim(worker, lanes, 8, NOW).await.unwrap()
}

#[tokio::test]
async fn what_is_handed_back_waits_as_if_it_had_never_been_given_out() {
    let (queue, lanes) = (queue().await, [clip()]);
    queue.enqueue(&tasks(&lanes[0], 1..=3, New)).await.unwrap();
    let held = claim(&queue, "a", &lanes).await;
    assert_eq!(queue.hand_back(&receipts(&held[..2])).await.unwrap(), 2);
    assert_eq!(queue.hand_back(&receipts(&held[..2])).await.unwrap(), 0);
    assert_eq!(queue.answer(&answers(&held[..2], "a")).await.unwrap(), 0, "answers to what was handed back change nothing");
    let again = claim(&queue, "b", &lanes).await;
    assert_eq!((images(&again), again[0].receipt.is_suspect()), (vec![1, 2], false));
    assert_eq!(queue.answer(&answers(&again, "b")).await.unwrap(), 2);
}

#[tokio::test]
async fn the_tasks_of_a_worker_that_fell_silent_go_to_others() {
    let settings = Settings { lease: Duration::from_millis(1500), ..Settings::default() };
    let (queue, lanes) = (queue().await.with_settings(settings), [clip()]);
    queue.enqueue(&tasks(&lanes[0], 1..=2, New)).await.unwrap();
    let alive = queue.claim("alive", &lanes, 1, NOW).await.unwrap();
    let silent = queue.claim("silent", &lanes, 1, NOW).await.unwrap();
    let began = Instant::now();
    let mut reaped = Reaped::default();
    while began.elapsed() < Duration::from_secs(20) && reaped == Reaped::default() {
        assert_eq!(queue.heartbeat(&card("alive", &lanes), &receipts(&alive)).await.unwrap(), []);
        reaped = queue.reap().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(reaped, Reaped { put_back: 1, ..Reaped::default() });
    assert!(began.elapsed() >= Duration::from_millis(1400), "after {:?}", began.elapsed());
    // Slow is not dead: what is held by a worker that beats stays its own.
    assert_eq!(queue.lane_depth(&lanes[0]).await.unwrap().running, 1);
    assert_eq!(queue.answer(&answers(&alive, "alive")).await.unwrap(), 1);
    // The silent one comes back too late: it is told so, and its answer changes nothing.
    let lost = queue.heartbeat(&card("silent", &lanes), &receipts(&silent)).await.unwrap();
    assert_eq!(lost, receipts(&silent));
    let again = queue.claim("other", &lanes, 8, NOW).await.unwrap();
    assert_eq!(images(&again), images(&silent));
    assert_eq!(queue.answer(&answers(&silent, "silent")).await.unwrap(), 0);
    assert_eq!(queue.answer(&answers(&again, "other")).await.unwrap(), 1);
    assert_eq!(store(&queue, "s").await.len(), 2);
    assert_eq!(queue.lanes().await.unwrap()[0].done, 2);
}

#[tokio::test]
async fn a_suspect_is_worked_on_alone() {
    let (queue, both) = (queue().await, [clip(), yolo()]);
    queue.enqueue(&tasks(&both[0], 1..=2, New)).await.unwrap();
    assert_eq!(claim(&queue, "dead", &both).await.len(), 2);
    assert_eq!(later(&queue).reap().await.unwrap().put_back, 2);
    queue.enqueue(&tasks(&both[0], 10..=11, New)).await.unwrap();
    queue.enqueue(&tasks(&both[1], 20..=21, New)).await.unwrap();
    let depth = queue.lane_depth(&both[0]).await.unwrap();
    assert_eq!((depth.suspect, depth.new, depth.waiting()), (2, 2, 4));
    assert_eq!(images(&claim(&queue, "busy", &both[1..]).await), [20, 21]);
    assert_eq!(claim(&queue, "busy", &both).await, [], "holds something");
    let first = claim(&queue, "idle", &both).await;
    assert_eq!((images(&first), first[0].receipt.is_suspect()), (vec![1], true));
    assert_eq!(claim(&queue, "idle", &both).await, [], "holds a suspect");
    queue.answer(&answers(&first, "idle")).await.unwrap();
    let second = claim(&queue, "idle", &both[..1]).await;
    assert_eq!(images(&second), [2]);
    queue.answer(&answers(&second, "idle")).await.unwrap();
    assert_eq!(images(&claim(&queue, "idle", &both[..1]).await), [10, 11]);
}

#[tokio::test]
async fn a_picture_that_ends_its_workers_is_given_up_and_takes_no_other_with_it() {
    let (queue, lanes) = (queue().await, [clip()]);
    let (later, most_deaths) = (later(&queue), u64::from(queue.settings().most_deaths));
    const KILLER: i64 = 3;
    queue.enqueue(&tasks(&lanes[0], 1..=6, New)).await.unwrap();
    let mut deaths = 0;
    for generation in 0..100 {
        let worker = format!("w{generation}");
        loop {
            let claimed = claim(&queue, &worker, &lanes).await;
            if claimed.is_empty() || images(&claimed).contains(&KILLER) {
                deaths += u64::from(!claimed.is_empty());
                break;
            }
            queue.answer(&answers(&claimed, &worker)).await.unwrap();
        }
        let reaped = later.reap().await.unwrap();
        if reaped.given_up > 0 {
            assert_eq!(reaped.given_up, 1);
            break;
        }
    }
    assert_eq!(deaths, most_deaths);
    let stored = store(&queue, "s").await;
    assert_eq!(stored.iter().filter(|outcome| outcome.answer.is_ok()).count(), 5);
    let given_up = stored.iter().find(|outcome| outcome.task.image.0 == KILLER).unwrap();
    let failure = given_up.answer.clone().unwrap_err();
    assert!(failure.error.starts_with("the worker ended while working on it, 5 times; the last was `w"), "{}", failure.error);
    assert!(!failure.is_passing);
    let view = &queue.lanes().await.unwrap()[0];
    assert_eq!((view.done, view.failed, view.depth.total()), (5, 1, 0));
}

#[tokio::test]
async fn from_the_second_death_on_a_task_rests() {
    let settings = Settings { lease: NOW, first_backoff: Duration::from_secs(600), ..Settings::default() };
    let (queue, lanes) = (queue().await.with_settings(settings), [clip()]);
    queue.enqueue(&tasks(&lanes[0], [1], New)).await.unwrap();
    for resting in [0, 1] {
        assert_eq!(claim(&queue, "w", &lanes).await.len(), 1);
        assert_eq!(queue.reap().await.unwrap().put_back, 1);
        assert_eq!(queue.lane_depth(&lanes[0]).await.unwrap().delayed, resting);
    }
    assert_eq!(claim(&queue, "w", &lanes).await, []);
    assert_eq!(queue.enqueue(&tasks(&lanes[0], [1], Screen)).await.unwrap(), 0);
}

#[tokio::test]
async fn two_servers_that_reap_at_once_give_a_task_up_once() {
    let settings = Settings { lease: NOW, most_deaths: 1, ..Settings::default() };
    let (queue, lanes) = (queue().await.with_settings(settings), [clip()]);
    queue.enqueue(&tasks(&lanes[0], 1..=50, New)).await.unwrap();
    assert_eq!(queue.claim("w", &lanes, 50, NOW).await.unwrap().len(), 50);
    let (first, second) = tokio::join!(queue.reap(), queue.reap());
    assert_eq!(first.unwrap().given_up + second.unwrap().given_up, 50);
    assert_eq!(store(&queue, "s").await.len(), 50);
}

#[tokio::test]
async fn passing_failures_are_tried_again_after_a_rest_until_they_are_final() {
    let (queue, lanes) = (queue().await, [clip()]);
    let patient = queue.with_settings(Settings { first_backoff: Duration::from_millis(400), ..*queue.settings() });
    queue.enqueue(&tasks(&lanes[0], [1], New)).await.unwrap();
    let mut attempts = Vec::new();
    for turn in 0..20 {
        let claimed = claim(&queue, "w", &lanes).await;
        let [one] = claimed.as_slice() else { break };
        attempts.push(one.task.attempt);
        assert_eq!(queue.answer(&[failed(one, "w", true)]).await.unwrap(), 1);
        // The first rest is a real one; the others are cut short.
        if turn > 0 {
            assert_eq!(store(&later(&queue), "s").await.len(), 1);
            later(&queue).reap().await.unwrap();
            continue;
        }
        let began = Instant::now();
        assert_eq!(store(&patient, "s").await.len(), 1);
        assert_eq!(queue.lane_depth(&lanes[0]).await.unwrap().delayed, 1);
        assert_eq!(queue.enqueue(&tasks(&lanes[0], [1], Screen)).await.unwrap(), 0, "rests");
        while queue.reap().await.unwrap().due == 0 {
            assert!(began.elapsed() < Duration::from_secs(20));
            assert_eq!(claim(&queue, "w", &lanes).await, []);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(began.elapsed() >= Duration::from_millis(350), "after {:?}", began.elapsed());
    }
    assert_eq!(attempts, [0, 1, 2, 3, 4]);
    let view = &queue.lanes().await.unwrap()[0];
    assert_eq!((view.done, view.failed, view.depth.total()), (0, 1, 0));
}

#[tokio::test]
async fn a_lasting_failure_is_final_at_once() {
    let (queue, lanes) = (queue().await, [clip()]);
    queue.enqueue(&tasks(&lanes[0], [1], New)).await.unwrap();
    let claimed = claim(&queue, "w", &lanes).await;
    queue.answer(&[failed(&claimed[0], "w", false)]).await.unwrap();
    assert_eq!(store(&queue, "s").await.len(), 1);
    let view = &queue.lanes().await.unwrap()[0];
    assert_eq!((view.failed, view.depth.total()), (1, 0));
}
