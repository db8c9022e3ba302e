//! Lanes from the outside: what comes first, what is there once only, and what is stopped.

use std::{collections::BTreeSet, time::Duration};

use hm::{
    models::task::Priority::{Backlog, New, Screen},
    queue::LaneDepth,
};
use tokio::time::Instant;

use super::{
    queue,
    tools::{NOW, answers, clip, images, later, receipts, store, task, tasks, yolo},
};

#[tokio::test]
async fn the_most_urgent_come_first_and_each_in_the_order_of_asking() {
    let (queue, clip) = (queue().await, clip());
    let lanes = [clip.clone()];
    assert_eq!(queue.enqueue(&tasks(&clip, [1, 2], Backlog)).await.unwrap(), 2);
    assert_eq!(queue.enqueue(&tasks(&clip, [5, 4], New)).await.unwrap(), 2);
    assert_eq!(queue.enqueue(&tasks(&clip, [9], Screen)).await.unwrap(), 1);
    let depth = queue.lane_depth(&clip).await.unwrap();
    assert_eq!(depth, LaneDepth { screen: 1, new: 2, backlog: 2, ..LaneDepth::default() });
    assert_eq!(images(&queue.claim("w", &lanes, 4, NOW).await.unwrap()), [9, 5, 4, 1]);
    assert_eq!(images(&queue.claim("w", &lanes, 4, NOW).await.unwrap()), [2]);
    assert_eq!(queue.claim("w", &lanes, 4, NOW).await.unwrap(), []);
    let depth = queue.lane_depth(&clip).await.unwrap();
    assert_eq!((depth.waiting(), depth.running, depth.total()), (0, 5, 5));
}

#[tokio::test]
async fn an_image_is_in_a_lane_once_until_its_result_is_stored() {
    let (queue, clip) = (queue().await, clip());
    let lanes = [clip.clone()];
    let one = [task(&clip, 7, New)];
    assert_eq!(queue.enqueue(&[one[0].clone(), one[0].clone()]).await.unwrap(), 1);
    assert_eq!(queue.enqueue(&one).await.unwrap(), 0, "waits");
    let claimed = queue.claim("w", &lanes, 9, NOW).await.unwrap();
    assert_eq!(images(&claimed), [7]);
    assert_eq!(queue.enqueue(&[task(&clip, 7, Screen)]).await.unwrap(), 0, "is held");
    assert_eq!(queue.claim("w", &lanes, 9, NOW).await.unwrap(), []);
    assert_eq!(queue.answer(&answers(&claimed, "w")).await.unwrap(), 1);
    assert_eq!(queue.enqueue(&one).await.unwrap(), 0, "is on its way to the database");
    assert_eq!(queue.lane_depth(&clip).await.unwrap(), LaneDepth { answered: 1, ..LaneDepth::default() });
    let taken = queue.take_outcomes("s", 9, NOW).await.unwrap();
    assert_eq!(queue.enqueue(&one).await.unwrap(), 0, "is being stored");
    queue.settle_outcomes(&taken).await.unwrap();
    assert_eq!(queue.lane_depth(&clip).await.unwrap().total(), 0);
    assert_eq!(queue.enqueue(&one).await.unwrap(), 1, "may be asked anew");
    assert_eq!(queue.enqueue(&[task(&yolo(), 7, New)]).await.unwrap(), 1, "another lane");
}

#[tokio::test]
async fn a_task_that_has_become_more_urgent_moves_up_and_never_down() {
    let (queue, clip) = (queue().await, clip());
    queue.enqueue(&tasks(&clip, 1..=5, Backlog)).await.unwrap();
    assert_eq!(queue.enqueue(&[task(&clip, 4, New), task(&clip, 5, Screen)]).await.unwrap(), 0);
    assert_eq!(queue.enqueue(&[task(&clip, 5, Backlog)]).await.unwrap(), 0);
    let depth = queue.lane_depth(&clip).await.unwrap();
    assert_eq!((depth.screen, depth.new, depth.backlog, depth.total()), (1, 1, 3, 5));
    let claimed = queue.claim("w", &[clip], 9, NOW).await.unwrap();
    assert_eq!(images(&claimed), [5, 4, 1, 2, 3]);
    assert_eq!(claimed[0].task.priority, Screen);
}

#[tokio::test]
async fn lanes_take_turns_and_a_full_one_starves_no_other() {
    let (queue, clip, yolo) = (queue().await, clip(), yolo());
    queue.enqueue(&tasks(&clip, 1..=500, New)).await.unwrap();
    queue.enqueue(&tasks(&yolo, 1..=20, Backlog)).await.unwrap();
    let both = [clip.clone(), yolo.clone()];
    for turn in 0..4 {
        let claimed = queue.claim("w", &both, 3, NOW).await.unwrap();
        let lanes: BTreeSet<_> = claimed.iter().map(|one| &one.task.lane).collect();
        assert_eq!((claimed.len(), lanes.len()), (3, 1), "a claim is of one lane");
        assert_eq!(claimed[0].task.lane, both[turn % 2]);
    }
    // A worker of the full lane alone takes no turn from the other.
    for _ in 0..4 {
        assert_eq!(queue.claim("single", &both[..1], 5, NOW).await.unwrap().len(), 5);
        assert_eq!(queue.claim("w", &both, 2, NOW).await.unwrap()[0].task.lane, yolo);
    }
}

#[tokio::test]
async fn what_is_on_a_screen_comes_before_the_turn_of_other_lanes() {
    let (queue, clip, yolo) = (queue().await, clip(), yolo());
    let both = [clip.clone(), yolo.clone()];
    queue.enqueue(&tasks(&clip, 1..=9, New)).await.unwrap();
    queue.enqueue(&tasks(&yolo, 1..=9, New)).await.unwrap();
    assert_eq!(queue.claim("w", &both, 2, NOW).await.unwrap()[0].task.lane, clip);
    queue.enqueue(&[task(&clip, 100, Screen)]).await.unwrap();
    let claimed = queue.claim("w", &both, 2, NOW).await.unwrap();
    assert_eq!((images(&claimed), &claimed[0].task.lane), (vec![100, 3], &clip));
    assert_eq!(queue.claim("w", &both, 2, NOW).await.unwrap()[0].task.lane, yolo);
}

#[tokio::test]
async fn a_paused_lane_gives_nothing_and_goes_on_where_it_was() {
    let (queue, clip, yolo) = (queue().await, clip(), yolo());
    let both = [clip.clone(), yolo.clone()];
    queue.enqueue(&tasks(&clip, [1, 2], Screen)).await.unwrap();
    queue.enqueue(&tasks(&yolo, [3], Backlog)).await.unwrap();
    let held = queue.claim("w", &both, 1, NOW).await.unwrap();
    queue.pause_lane(&clip).await.unwrap();
    assert_eq!(images(&queue.claim("w", &both, 9, NOW).await.unwrap()), [3]);
    assert_eq!(queue.claim("w", &both, 9, NOW).await.unwrap(), []);
    assert_eq!(queue.answer(&answers(&held, "w")).await.unwrap(), 1, "what is held is finished");
    assert_eq!(queue.enqueue(&[task(&clip, 5, New)]).await.unwrap(), 1, "and it is still filled");
    let views = queue.lanes().await.unwrap();
    let paused: Vec<_> = views.iter().map(|view| (view.lane.clone(), view.is_paused, view.depth.waiting())).collect();
    assert_eq!(paused, [(clip.clone(), true, 2), (yolo.clone(), false, 0)]);
    queue.resume_lane(&clip).await.unwrap();
    assert_eq!(images(&queue.claim("w", &both, 9, NOW).await.unwrap()), [2, 5]);
}

#[tokio::test]
async fn a_lane_that_is_forgotten_leaves_nothing_but_outcomes_that_are_there() {
    let (queue, clip) = (queue().await, clip());
    let lanes = [clip.clone()];
    queue.enqueue(&tasks(&clip, 1..=4, New)).await.unwrap();
    let claimed = queue.claim("w", &lanes, 3, NOW).await.unwrap();
    queue.answer(&answers(&claimed[..1], "w")).await.unwrap();
    queue.forget_lane(&clip).await.unwrap();
    assert_eq!(queue.lanes().await.unwrap(), []);
    assert_eq!(queue.answer(&answers(&claimed[1..2], "w")).await.unwrap(), 0);
    assert_eq!(queue.hand_back(&receipts(&claimed[2..])).await.unwrap(), 0);
    assert_eq!(store(&queue, "s").await.len(), 1);
    assert_eq!(later(&queue).reap().await.unwrap(), hm::queue::Reaped::default());
    assert_eq!(queue.lanes().await.unwrap(), []);
    assert_eq!(queue.enqueue(&tasks(&clip, 1..=4, New)).await.unwrap(), 4);
    assert_eq!(images(&queue.claim("w", &lanes, 9, NOW).await.unwrap()), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_claim_waits_for_tasks_without_holding_a_connection() {
    let (queue, lanes) = (queue().await, [clip()]);
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let (queue, lanes) = (queue.clone(), lanes.clone());
            tokio::spawn(async move { queue.claim(&format!("w{number}"), &lanes, 1, Duration::from_secs(30)).await.unwrap().len() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    queue.enqueue(&tasks(&lanes[0], 1..=20, New)).await.unwrap();
    for one in waiting {
        assert_eq!(one.await.unwrap(), 1);
    }
    let began = Instant::now();
    assert_eq!(queue.claim("w", &lanes, 1, Duration::from_millis(300)).await.unwrap(), []);
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_workers_and_servers_at_once_do_each_task_once() {
    let (queue, clip, yolo) = (queue().await, clip(), yolo());
    let both = [clip.clone(), yolo.clone()];
    for lane in &both {
        assert_eq!(queue.enqueue(&tasks(lane, 1..=400, Backlog)).await.unwrap(), 400);
    }
    let workers = (0..3).map(|number| {
        let (queue, both) = (queue.clone(), both.clone());
        tokio::spawn(async move {
            let name = format!("w{number}");
            loop {
                let claimed = queue.claim(&name, &both, 7, NOW).await.unwrap();
                if claimed.is_empty() {
                    return 0;
                }
                assert_eq!(queue.answer(&answers(&claimed, &name)).await.unwrap(), claimed.len());
            }
        })
    });
    let servers = (0..2).map(|number| {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut stored = 0;
            loop {
                let taken = queue.take_outcomes(&format!("s{number}"), 20, Duration::from_millis(100)).await.unwrap();
                stored += taken.len();
                queue.settle_outcomes(&taken).await.unwrap();
                if queue.lanes().await.unwrap().iter().map(|view| view.done).sum::<u64>() == 800 {
                    return stored;
                }
            }
        })
    });
    let mut stored = 0;
    for one in workers.chain(servers).collect::<Vec<_>>() {
        stored += one.await.unwrap();
    }
    assert_eq!(stored, 800);
    for view in queue.lanes().await.unwrap() {
        assert_eq!((view.depth.total(), view.done, view.failed), (0, 400, 0), "{}", view.lane);
        assert!(view.rate_per_s > 0.0 && view.time_left(100).is_some());
    }
}
