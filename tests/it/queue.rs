//! What lies in Redis, against a real one.

use hm::{
    models::{ImageId, VaultId},
    queue::Queue,
};
use serde_json::json;

use crate::support;

mod deaths;
mod flushes;
mod interleaving;
mod lanes;
mod memory;
mod outcomes;
mod tools;
mod versions;
mod workers;

/// A queue whose keys no other test has.
async fn queue() -> Queue {
    let name = format!("test-{}-{:016x}", std::process::id(), rand::random::<u64>());
    Queue::connect(&support::redis_url()).await.unwrap().within(&name)
}

fn ids(numbers: impl IntoIterator<Item = i64>) -> Vec<ImageId> {
    numbers.into_iter().map(ImageId).collect()
}

#[tokio::test]
async fn what_was_asked_for_last_comes_first_and_only_once() {
    let queue = queue().await;
    queue.want_pictures(&ids([1, 2, 3])).await.unwrap();
    queue.want_pictures(&ids([9, 2])).await.unwrap();
    queue.want_pictures(&[]).await.unwrap();
    assert_eq!(queue.take_wanted(3).await.unwrap(), ids([9, 2, 1]));
    assert_eq!(queue.take_wanted(3).await.unwrap(), ids([3]));
    assert_eq!(queue.take_wanted(3).await.unwrap(), ids([]));
}

#[tokio::test]
async fn old_wishes_are_forgotten() {
    let queue = queue().await;
    queue.want_pictures(&ids(1..=8_000)).await.unwrap();
    queue.want_pictures(&ids(10_001..=18_000)).await.unwrap();
    let taken = queue.take_wanted(100_000).await.unwrap();
    assert_eq!((taken.len(), taken[0], taken[8_000]), (10_000, ImageId(10_001), ImageId(1)));
}

#[tokio::test]
async fn takers_share_what_is_wanted() {
    let queue = queue().await;
    queue.want_pictures(&ids(1..=400)).await.unwrap();
    let takers = (0..4).map(|_| {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                let some = queue.take_wanted(7).await.unwrap();
                if some.is_empty() {
                    return taken;
                }
                taken.extend(some);
            }
        })
    });
    let mut all: Vec<ImageId> = Vec::new();
    for taker in takers.collect::<Vec<_>>() {
        all.extend(taker.await.unwrap());
    }
    all.sort();
    assert_eq!(all, ids(1..=400));
}

#[tokio::test]
async fn progress_is_seen_by_prefix_replaced_and_cleared() {
    let queue = queue().await;
    for number in 0..1_200 {
        queue.publish_progress(&format!("thumbs:{number:04}"), &json!({ "left": number }), 60).await.unwrap();
    }
    queue.publish_progress("scan:1", &json!({ "files": 1 }), 60).await.unwrap();
    queue.publish_progress("scan:1", &json!({ "files": 2 }), 60).await.unwrap();
    queue.publish_progress("scan*2", &json!(null), 60).await.unwrap();
    assert_eq!(queue.progress("scan:").await.unwrap(), [("scan:1".to_owned(), json!({ "files": 2 }))]);
    assert_eq!(queue.progress("scan*").await.unwrap(), [("scan*2".to_owned(), json!(null))]);
    assert_eq!(queue.progress("thumbs:").await.unwrap().len(), 1_200);
    queue.clear_progress("scan:1").await.unwrap();
    assert_eq!(queue.progress("scan:").await.unwrap(), []);
}

#[tokio::test]
async fn progress_of_a_process_that_died_runs_out() {
    let queue = queue().await;
    queue.publish_progress("scan:1", &json!(1), 1).await.unwrap();
    assert_eq!(queue.progress("").await.unwrap().len(), 1);
    for _ in 0..100 {
        if queue.progress("").await.unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("still there");
}

#[tokio::test]
async fn a_scan_is_asked_for_once_until_it_is_taken() {
    let queue = queue().await;
    assert!(queue.request_scan(Some(VaultId(3))).await.unwrap());
    assert!(queue.request_scan(None).await.unwrap());
    assert!(!queue.request_scan(Some(VaultId(3))).await.unwrap());
    assert_eq!(queue.take_scan_request().await.unwrap(), Some(Some(VaultId(3))));
    assert_eq!(queue.take_scan_request().await.unwrap(), Some(None));
    assert_eq!(queue.take_scan_request().await.unwrap(), None);
    assert!(queue.request_scan(Some(VaultId(3))).await.unwrap());
}

#[tokio::test]
async fn an_address_without_a_redis_is_an_error_that_says_so() {
    let error = Queue::connect("no address").await.err().unwrap().to_string();
    assert!(error.contains("redis.url") && error.contains("hint: "), "{error}");
    let error = Queue::connect("unix:///does/not/exist.sock").await.err().unwrap().to_string();
    assert!(error.contains("cannot connect to Redis"), "{error}");
}

#[tokio::test]
async fn findings_are_wanted_apart_from_pictures() {
    let queue = queue().await;
    queue.want_findings(&ids([1, 2, 3])).await.unwrap();
    queue.want_pictures(&ids([7])).await.unwrap();
    queue.want_findings(&ids([9, 2])).await.unwrap();
    assert_eq!(queue.take_wanted_findings(3).await.unwrap(), ids([9, 2, 1]));
    assert_eq!(queue.take_wanted(9).await.unwrap(), ids([7]));
    assert_eq!(queue.take_wanted_findings(9).await.unwrap(), ids([3]));
}
