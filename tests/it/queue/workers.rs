//! Workers as a page shows them, and the lanes they are offered.

use std::time::Duration;

use hm::{
    models::task::Priority::New,
    queue::{LaneOffer, Queue, Settings},
};
use serde_json::json;

use super::{
    queue,
    tools::{NOW, answers, ask, card, clip, failed, lane, receipts, store, tasks, yolo},
};
use crate::support;

#[tokio::test]
async fn workers_are_listed_with_what_they_do() {
    let (queue, both) = (queue().await, [clip(), yolo()]);
    queue.enqueue(&tasks(&both[0], 1..=5, New)).await.unwrap();
    let held = queue.claim("a", &both, 4, NOW).await.unwrap();
    queue.heartbeat(&card("b", &both[1..]), &[]).await.unwrap();
    assert_eq!(queue.heartbeat(&card("a", &both), &receipts(&held)).await.unwrap(), []);
    let mut done = answers(&held[..2], "a");
    done.push(failed(&held[2], "a", false));
    queue.answer(&done).await.unwrap();
    store(&queue, "s").await;
    let workers = queue.workers().await.unwrap();
    let a = workers.iter().find(|view| view.card.id == "a").unwrap();
    assert_eq!(a.card, card("a", &both));
    assert_eq!((workers.len(), a.running, a.done, a.failed), (2, 1, 2, 1));
    assert!(a.is_alive && !a.is_too_old && a.rate_per_s > 0.0 && a.silent < Duration::from_secs(60));
    let b = workers.iter().find(|view| view.card.id == "b").unwrap();
    assert_eq!((b.running, b.done, b.rate_per_s), (0, 0, 0.0));
    // The end of a worker: it hands back, answers, and signs off.
    queue.hand_back(&receipts(&held[3..])).await.unwrap();
    queue.sign_off("a").await.unwrap();
    assert_eq!(queue.workers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_silent_worker_is_shown_so_and_forgotten_in_the_end() {
    let queue = queue().await;
    let settings = Settings { lease: Duration::from_millis(1), worker_is_remembered: Duration::from_secs(2), ..Settings::default() };
    let queue = queue.with_settings(settings);
    queue.heartbeat(&card("a", &[clip()]), &[]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let workers = queue.workers().await.unwrap();
    assert_eq!((workers.len(), workers[0].is_alive), (1, false));
    let began = tokio::time::Instant::now();
    while !queue.workers().await.unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(100)).await;
        queue.reap().await.unwrap();
    }
}

#[tokio::test]
async fn lanes_are_offered_until_the_offer_runs_out() {
    let queue = queue().await;
    let offers = [
        LaneOffer { lane: yolo(), facts: json!({ "classes": ["dog", "cat"], "bytes": 9_007_199_254_740_993_i64 }) },
        LaneOffer { lane: clip(), facts: json!({ "dimensions": 512 }) },
    ];
    queue.offer_lanes(&offers).await.unwrap();
    let brief = queue.with_settings(Settings { offer_lasts: Duration::from_millis(300), ..Settings::default() });
    brief.offer_lanes(&[LaneOffer { lane: lane("embed/dino@1"), facts: json!(null) }]).await.unwrap();
    brief.offer_lanes(&[]).await.unwrap();
    let began = tokio::time::Instant::now();
    while queue.offered_lanes().await.unwrap().len() == 3 {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let [detect, embed] = &offers;
    assert_eq!(queue.offered_lanes().await.unwrap(), [embed.clone(), detect.clone()]);
    queue.forget_lane(&clip()).await.unwrap();
    assert_eq!(queue.offered_lanes().await.unwrap(), std::slice::from_ref(detect));
}

#[tokio::test]
async fn what_newer_programs_say_of_lanes_and_workers_is_passed_over() {
    let name = format!("test-{}-{:016x}", std::process::id(), rand::random::<u64>());
    let (url, prefix) = (support::redis_url(), format!("hm:{name}:"));
    let queue = Queue::connect(&url).await.unwrap().within(&name);
    queue.offer_lanes(&[LaneOffer { lane: clip(), facts: json!({}) }]).await.unwrap();
    ask::<i64>(&url, &["ZADD", &format!("{prefix}offers"), "9999999999999", "paint/newest@1"]).await;
    ask::<i64>(&url, &["SADD", &format!("{prefix}lanes"), "paint/newest@1"]).await;
    assert_eq!(queue.offered_lanes().await.unwrap().len(), 1);
    assert_eq!(queue.lanes().await.unwrap(), []);
    queue.heartbeat(&card("a", &[clip()]), &[]).await.unwrap();
    let told = r#"{"id":"a","wire_version":3,"mood":"good","lanes":["paint/newest@1","embed/clip-vit-b-32@0a1b2c"]}"#;
    ask::<i64>(&url, &["HSET", &format!("{prefix}worker:a"), "card", told]).await;
    let workers = queue.workers().await.unwrap();
    assert_eq!((workers[0].card.wire_version, &workers[0].card.lanes), (3, &vec![clip()]));
    ask::<i64>(&url, &["HSET", &format!("{prefix}worker:a"), "card", "[]"]).await;
    assert_eq!(queue.workers().await.unwrap(), []);
    assert_eq!(queue.reap().await.unwrap(), hm::queue::Reaped::default());
}
