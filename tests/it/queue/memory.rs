//! Nothing grows: what is done is gone from Redis.

use std::collections::BTreeMap;

use hm::{
    models::task::Priority::{Backlog, New, Screen},
    queue::Queue,
};

use super::tools::{NOW, OwnRedis, answers, card, clip, failed, later, receipts, store, task, yolo};

/// Bytes of every key.
async fn weights(redis: &OwnRedis) -> BTreeMap<String, u64> {
    let mut weights = BTreeMap::new();
    for key in redis.ask::<Vec<String>>(&["KEYS", "*"]).await {
        let bytes = redis.ask(&["MEMORY", "USAGE", &key, "SAMPLES", "0"]).await;
        weights.insert(key, bytes);
    }
    weights
}

/// So many tasks through all of it, with workers and servers that come and go, moves, failures, deaths and duplicates.
async fn work(queue: &Queue, from: i64, count: i64) {
    let lanes = [clip(), yolo()];
    let later = later(queue);
    for round in 0..count / 500 {
        let first = from + round * 500;
        for lane in &lanes {
            let some: Vec<_> = (first..first + 250).map(|image| task(lane, image, Backlog)).collect();
            assert_eq!(queue.enqueue(&some).await.unwrap(), 250);
            let moved: Vec<_> = (first..first + 250).step_by(10).map(|image| task(lane, image, Screen)).collect();
            queue.enqueue(&moved).await.unwrap();
            queue.enqueue(&[task(lane, first + 1, New)]).await.unwrap();
        }
        let worker = format!("w{first}");
        let dead = queue.claim(&format!("dead{first}"), &lanes, 3, NOW).await.unwrap();
        assert_eq!(later.reap().await.unwrap().put_back, 3);
        loop {
            let claimed = queue.claim(&worker, &lanes, 64, NOW).await.unwrap();
            if claimed.is_empty() {
                break;
            }
            queue.heartbeat(&card(&worker, &lanes), &receipts(&claimed)).await.unwrap();
            let mut outcomes = answers(&claimed, &worker);
            outcomes[0] = failed(&claimed[0], &worker, true);
            queue.answer(&outcomes).await.unwrap();
            queue.answer(&outcomes).await.unwrap();
            let taken = later.take_outcomes(&format!("lost{first}"), 5, NOW).await.unwrap();
            drop(taken);
            store(&later, &format!("s{first}")).await;
            later.reap().await.unwrap();
        }
        assert_eq!(queue.answer(&answers(&dead, "dead")).await.unwrap(), 0);
        queue.sign_off(&worker).await.unwrap();
        for lane in &lanes {
            assert_eq!(queue.lane_depth(lane).await.unwrap().total(), 0);
        }
        later.reap().await.unwrap();
    }
}

#[tokio::test]
async fn no_key_grows_over_twenty_thousand_tasks() {
    let redis = OwnRedis::start();
    let queue = redis.queue().await;
    work(&queue, 1, 2_000).await;
    let early = weights(&redis).await;
    work(&queue, 2_001, 18_000).await;
    let late = weights(&redis).await;
    assert_eq!(early.keys().collect::<Vec<_>>(), late.keys().collect::<Vec<_>>());
    for (key, bytes) in &late {
        // A ring of thirty counts, a few consumers, and numbers with more digits.
        assert!(*bytes <= early[key] + 1_500 && *bytes < 8_000, "`{key}` grew from {} to {bytes} bytes", early[key]);
    }
    println!("{} keys, {} bytes after 2,000 tasks, {} after 20,000", late.len(), early.values().sum::<u64>(), late.values().sum::<u64>());
    for (key, bytes) in &late {
        println!("{bytes:>8} {key}");
        if redis.ask::<String>(&["TYPE", key]).await == "stream" {
            assert_eq!(redis.ask::<u64>(&["XLEN", key]).await, 0, "{key}");
        }
    }
}
