//! Redis is emptied between any two calls: what was in flight is gone, and everything goes on.

use hm::{
    models::task::Priority::New,
    queue::{LaneOffer, Reaped},
};

use super::tools::{NOW, OwnRedis, answers, card, clip, images, later, receipts, store, tasks};

#[tokio::test]
async fn a_flush_between_any_two_calls_loses_only_what_was_in_flight() {
    const STEPS: usize = 7;
    let (redis, lanes) = (OwnRedis::start(), [clip()]);
    for scripts_too in [false, true] {
        for flushed_before in 0..STEPS {
            let queue = redis.queue().await;
            redis.ask::<()>(&["FLUSHALL"]).await;
            let flush = async |step: usize| {
                if step == flushed_before {
                    redis.ask::<()>(&["FLUSHALL"]).await;
                    if scripts_too {
                        redis.ask::<()>(&["SCRIPT", "FLUSH"]).await;
                    }
                }
            };
            // Every step works, whatever it finds.
            queue.enqueue(&tasks(&lanes[0], 1..=3, New)).await.unwrap();
            flush(0).await;
            let claimed = queue.claim("w", &lanes, 3, NOW).await.unwrap();
            flush(1).await;
            let lost = queue.heartbeat(&card("w", &lanes), &receipts(&claimed)).await.unwrap();
            assert_eq!(lost.len(), if flushed_before == 1 { 3 } else { 0 });
            flush(2).await;
            queue.answer(&answers(&claimed[..claimed.len().min(2)], "w")).await.unwrap();
            flush(3).await;
            let taken = queue.take_outcomes("s", 9, NOW).await.unwrap();
            flush(4).await;
            queue.settle_outcomes(&taken).await.unwrap();
            flush(5).await;
            queue.hand_back(&receipts(&claimed)).await.unwrap();
            flush(6).await;
            assert_eq!(later(&queue).reap().await.unwrap(), Reaped::default());
            queue.workers().await.unwrap();
            queue.lanes().await.unwrap();
            queue.outcomes().await.unwrap();
            // The server fills the lane again, and all three get done.
            queue.enqueue(&tasks(&lanes[0], 1..=3, New)).await.unwrap();
            let claimed = queue.claim("w", &lanes, 9, NOW).await.unwrap();
            let mut found = images(&claimed);
            found.sort_unstable();
            assert_eq!(found, [1, 2, 3], "flushed before step {flushed_before}");
            assert_eq!(queue.answer(&answers(&claimed, "w")).await.unwrap(), 3);
            assert_eq!(store(&queue, "s").await.len(), 3);
            assert_eq!(queue.lane_depth(&lanes[0]).await.unwrap().total(), 0);
        }
    }
}

#[tokio::test]
async fn answers_from_before_a_flush_do_not_answer_what_was_asked_since() {
    let (redis, lanes) = (OwnRedis::start(), [clip()]);
    let queue = redis.queue().await;
    queue.enqueue(&tasks(&lanes[0], 1..=2, New)).await.unwrap();
    let old = queue.claim("w", &lanes, 9, NOW).await.unwrap();
    let stream = format!("hm:test:lane:{}:1:new", lanes[0]);
    let ids = redis.ask::<Vec<(String, Vec<String>)>>(&["XRANGE", &stream, "-", "+"]).await;
    redis.ask::<()>(&["FLUSHALL"]).await;
    queue.enqueue(&tasks(&lanes[0], 8..=9, New)).await.unwrap();
    // As if the clock had stood still: the new tasks have the ids of the old ones.
    let entries = redis.ask::<Vec<(String, Vec<String>)>>(&["XRANGE", &stream, "-", "+"]).await;
    redis.ask::<()>(&["DEL", &stream]).await;
    for ((id, _), (_, fields)) in ids.iter().zip(&entries) {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        redis.ask::<String>(&[&["XADD", stream.as_str(), id.as_str()][..], &fields[..]].concat()).await;
        let mark = format!("s 1:new {id}");
        redis.ask::<i64>(&["HSET", &format!("hm:test:lane:{}:marks", lanes[0]), fields[1], &mark]).await;
    }
    let new = queue.claim("other", &lanes, 9, NOW).await.unwrap();
    assert_eq!(images(&new), [8, 9]);
    assert_eq!(queue.answer(&answers(&old, "w")).await.unwrap(), 0);
    assert_eq!(queue.hand_back(&receipts(&old)).await.unwrap(), 0);
    assert_eq!(queue.answer(&answers(&new, "other")).await.unwrap(), 2);
}

#[tokio::test]
async fn offers_and_pauses_are_gone_after_a_flush_and_made_again() {
    let redis = OwnRedis::start();
    let queue = redis.queue().await;
    let offers = [LaneOffer { lane: clip(), facts: serde_json::json!({ "dimensions": 512 }) }];
    queue.offer_lanes(&offers).await.unwrap();
    queue.pause_lane(&clip()).await.unwrap();
    redis.ask::<()>(&["FLUSHALL"]).await;
    assert_eq!(queue.offered_lanes().await.unwrap(), []);
    queue.resume_lane(&clip()).await.unwrap();
    queue.offer_lanes(&offers).await.unwrap();
    assert_eq!(queue.offered_lanes().await.unwrap(), offers);
}
