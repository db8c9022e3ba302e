//! Programs of different ages on one Redis, and texts that nobody can read.

use hm::{
    models::task::Priority::{Backlog, New, Screen},
    queue::{OutcomesView, Queue, Settings},
};

use super::{
    queue,
    tools::{NOW, answered, answers, ask, card, clip, images, later, store, task, tasks},
};
use crate::support;

fn newer(queue: &Queue) -> Queue {
    queue.with_settings(Settings { wire_version: 2, ..*queue.settings() })
}

/// A queue, and the beginning of its keys.
async fn named() -> (Queue, String) {
    let name = format!("test-{}-{:016x}", std::process::id(), rand::random::<u64>());
    (Queue::connect(&support::redis_url()).await.unwrap().within(&name), format!("hm:{name}:"))
}

/// Writes a task or an outcome as a stranger.
async fn write(stream: &str, fields: &[&str]) {
    let command = [&["XADD", stream, "*"][..], fields].concat();
    ask::<String>(&support::redis_url(), &command).await;
}

#[tokio::test]
async fn an_old_worker_leaves_newer_tasks_to_newer_workers() {
    let (queue, lanes) = (queue().await, [clip()]);
    let newer = newer(&queue);
    newer.enqueue(&tasks(&lanes[0], 1..=3, Screen)).await.unwrap();
    queue.heartbeat(&card("old", &lanes), &[]).await.unwrap();
    assert!(queue.workers().await.unwrap()[0].is_too_old);
    assert_eq!(queue.claim("old", &lanes, 9, NOW).await.unwrap(), []);
    assert_eq!(queue.too_new(&lanes).await.unwrap(), 3);
    assert_eq!(queue.lanes().await.unwrap()[0].too_new, 3);
    queue.enqueue(&tasks(&lanes[0], [9], Backlog)).await.unwrap();
    assert_eq!(images(&queue.claim("old", &lanes, 9, NOW).await.unwrap()), [9], "what it can read it gets");
    assert_eq!(newer.too_new(&lanes).await.unwrap(), 0);
    assert_eq!(images(&newer.claim("new", &lanes, 9, NOW).await.unwrap()), [1, 2, 3]);
    assert!(!queue.workers().await.unwrap()[0].is_too_old);
}

#[tokio::test]
async fn a_newer_worker_does_older_tasks_and_its_answers_wait_for_a_newer_server() {
    let (queue, lanes) = (queue().await, [clip()]);
    let newer = newer(&queue);
    queue.enqueue(&tasks(&lanes[0], 1..=2, New)).await.unwrap();
    let claimed = newer.claim("new", &lanes, 9, NOW).await.unwrap();
    assert_eq!(newer.answer(&answers(&claimed, "new")).await.unwrap(), 2);
    assert_eq!(queue.take_outcomes("old", 9, NOW).await.unwrap(), []);
    assert_eq!(queue.outcomes().await.unwrap(), OutcomesView { waiting: 0, taken: 0, too_new: 2 });
    assert_eq!(queue.enqueue(&tasks(&lanes[0], 1..=2, New)).await.unwrap(), 0, "they are done");
    assert_eq!(store(&newer, "new").await.len(), 2);
    assert_eq!(queue.outcomes().await.unwrap(), OutcomesView::default());
}

#[tokio::test]
async fn a_server_that_went_back_to_an_older_version_asks_anew_what_its_workers_cannot_read() {
    let (queue, lanes) = (queue().await, [clip()]);
    newer(&queue).enqueue(&tasks(&lanes[0], 1..=2, New)).await.unwrap();
    assert_eq!(queue.enqueue(&tasks(&lanes[0], 1..=2, New)).await.unwrap(), 0);
    let view = &queue.lanes().await.unwrap()[0];
    assert_eq!((view.too_new, view.depth.total()), (0, 2));
    assert_eq!(images(&queue.claim("old", &lanes, 9, NOW).await.unwrap()), [1, 2]);
}

#[tokio::test]
async fn a_task_that_states_a_newer_version_than_its_stream_waits_for_newer_workers() {
    let (queue, prefix) = named().await;
    let lanes = [clip()];
    queue.enqueue(&[task(&lanes[0], 1, New)]).await.unwrap();
    let stream = format!("{prefix}lane:{}:1:new", lanes[0]);
    write(&stream, &["image", "2", "deaths", "0", "task", r#"{"v":2,"question":"?"}"#]).await;
    assert_eq!(images(&queue.claim("w", &lanes, 9, NOW).await.unwrap()), [1]);
    assert_eq!(queue.too_new(&lanes).await.unwrap(), 1);
    assert_eq!(queue.buried().await.unwrap(), []);
}

#[tokio::test]
async fn a_task_that_nobody_can_read_is_buried_with_its_text() {
    let (queue, prefix) = named().await;
    let lanes = [clip()];
    queue.enqueue(&[task(&lanes[0], 1, New)]).await.unwrap();
    let stream = format!("{prefix}lane:{}:1:screen", lanes[0]);
    write(&stream, &["image", "2", "deaths", "0", "task", "{broken"]).await;
    write(&stream, &["neither", "image nor task"]).await;
    assert_eq!(images(&queue.claim("w", &lanes, 2, NOW).await.unwrap()), [1]);
    let buried = queue.buried().await.unwrap();
    assert_eq!(buried.len(), 2);
    let (at_ms, broken) = &buried[1];
    assert_eq!((broken.text.as_str(), broken.image.as_str(), broken.place.as_str()), ("{broken", "2", lanes[0].to_string().as_str()));
    assert!(*at_ms > 1_700_000_000_000 && !broken.error.is_empty());
    // It is not asked for in a circle: whoever wrote it would write the same.
    assert_eq!(queue.enqueue(&[task(&lanes[0], 2, New)]).await.unwrap(), 0);
    assert_eq!(queue.claim("w", &lanes, 2, NOW).await.unwrap(), []);
    assert_eq!(later(&queue).reap().await.unwrap().given_up, 0);
}

#[tokio::test]
async fn an_unreadable_task_whose_worker_ended_is_buried_by_the_server() {
    let (queue, prefix) = named().await;
    let lanes = [clip()];
    queue.enqueue(&[task(&lanes[0], 1, New)]).await.unwrap();
    write(&format!("{prefix}lane:{}:1:new", lanes[0]), &["image", "2", "deaths", "9", "task", "?"]).await;
    let stream = format!("{prefix}lane:{}:1:new", lanes[0]);
    let url = support::redis_url();
    // A worker that ended before it could say that it does not understand.
    ask::<String>(&url, &["XGROUP", "CREATE", &stream, "workers", "0"]).await;
    ask::<deadpool_redis::redis::Value>(&url, &["XREADGROUP", "GROUP", "workers", "dead", "COUNT", "9", "STREAMS", &stream, ">"]).await;
    assert_eq!(later(&queue).reap().await.unwrap().put_back, 1);
    let buried = queue.buried().await.unwrap();
    assert_eq!((buried.len(), buried[0].1.text.as_str()), (1, "?"));
    assert_eq!(queue.lane_depth(&lanes[0]).await.unwrap().running, 0);
}

#[tokio::test]
async fn outcomes_that_cannot_be_read_stop_nobody() {
    let (queue, prefix) = named().await;
    let lanes = [clip()];
    let about = ["lane", "embed/clip-vit-b-32@0a1b2c", "image", "5", "worker", "w", "outcome"];
    let stream = format!("{prefix}outcomes:1");
    for text in ["{broken", r#"{"v":1}"#, r#"{"v":7,"anything":1}"#] {
        write(&stream, &[&about[..], &[text][..]].concat()).await;
    }
    write(&stream, &["no", "outcome"]).await;
    queue.enqueue(&[task(&lanes[0], 1, New)]).await.unwrap();
    let claimed = queue.claim("w", &lanes, 2, NOW).await.unwrap();
    queue.answer(&answers(&claimed, "w")).await.unwrap();
    let stored = store(&queue, "s").await;
    assert_eq!(stored.len(), 1);
    assert_eq!(queue.outcomes().await.unwrap(), OutcomesView { waiting: 0, taken: 0, too_new: 1 });
    assert_eq!(queue.buried().await.unwrap().len(), 3);
}

#[tokio::test]
async fn an_answer_that_is_no_number_fails_its_image() {
    let (queue, lanes) = (queue().await, [clip()]);
    queue.enqueue(&[task(&lanes[0], 1, New)]).await.unwrap();
    let claimed = queue.claim("w", &lanes, 2, NOW).await.unwrap();
    let (receipt, mut outcome) = answered(&claimed[0], "w");
    outcome.answer = Ok(hm::models::task::Answer::Embedding { vector: vec![f32::NAN] });
    queue.answer(&[(receipt, outcome)]).await.unwrap();
    let stored = store(&queue, "s").await;
    let failure = stored[0].answer.clone().unwrap_err();
    assert!(failure.error.starts_with("the worker's answer cannot be read") && !failure.is_passing, "{}", failure.error);
    let view = &queue.lanes().await.unwrap()[0];
    assert_eq!((view.failed, view.depth.total()), (1, 0));
}
