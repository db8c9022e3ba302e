//! Answers on their way to the database.

use hm::{
    models::task::{Answer, Priority::New},
    queue::OutcomesView,
};

use super::{
    queue,
    tools::{NOW, answers, clip, failed, images, later, store, tasks, vector},
};

#[tokio::test]
async fn an_answer_is_taken_once_however_often_it_is_given() {
    let (queue, lanes) = (queue().await, [clip()]);
    queue.enqueue(&tasks(&lanes[0], 1..=3, New)).await.unwrap();
    let claimed = queue.claim("w", &lanes, 3, NOW).await.unwrap();
    let mut twice = answers(&claimed, "w");
    twice.extend(answers(&claimed, "w"));
    assert_eq!(queue.answer(&twice).await.unwrap(), 3);
    assert_eq!(queue.answer(&twice).await.unwrap(), 0);
    let stored = store(&queue, "s").await;
    assert_eq!(stored.len(), 3);
    for outcome in &stored {
        assert_eq!(outcome.answer, Ok(Answer::Embedding { vector: vector(outcome.task.image) }));
    }
    assert_eq!(queue.answer(&twice).await.unwrap(), 0);
    assert_eq!((queue.lanes().await.unwrap()[0].done, store(&queue, "s").await.len()), (3, 0));
}

#[tokio::test]
async fn servers_share_outcomes_and_those_of_a_dead_one_come_again() {
    let (queue, lanes) = (queue().await, [clip()]);
    queue.enqueue(&tasks(&lanes[0], 1..=10, New)).await.unwrap();
    let claimed = queue.claim("w", &lanes, 10, NOW).await.unwrap();
    queue.answer(&answers(&claimed, "w")).await.unwrap();
    let dead = queue.take_outcomes("dead", 4, NOW).await.unwrap();
    let mine = queue.take_outcomes("mine", 100, NOW).await.unwrap();
    assert_eq!((dead.len(), mine.len()), (4, 6));
    assert_eq!(queue.outcomes().await.unwrap(), OutcomesView { waiting: 0, taken: 10, too_new: 0 });
    queue.settle_outcomes(&mine).await.unwrap();
    assert_eq!(queue.take_outcomes("mine", 100, NOW).await.unwrap().len(), 0, "the lease is not over");
    let again = later(&queue).take_outcomes("mine", 100, NOW).await.unwrap();
    assert_eq!(again, dead);
    queue.settle_outcomes(&again).await.unwrap();
    // It was not dead but slow: settling what another settled changes nothing.
    queue.settle_outcomes(&dead).await.unwrap();
    assert_eq!(queue.outcomes().await.unwrap(), OutcomesView::default());
    let view = &queue.lanes().await.unwrap()[0];
    assert_eq!((view.done, view.depth.total()), (10, 0));
}

#[tokio::test]
async fn a_server_whose_database_did_not_answer_gets_its_outcomes_again() {
    let (queue, lanes) = (queue().await, [clip()]);
    queue.enqueue(&tasks(&lanes[0], 1..=2, New)).await.unwrap();
    let claimed = queue.claim("w", &lanes, 2, NOW).await.unwrap();
    queue.answer(&answers(&claimed, "w")).await.unwrap();
    let first = queue.take_outcomes("s", 9, NOW).await.unwrap();
    assert_eq!(later(&queue).take_outcomes("s", 9, NOW).await.unwrap(), first);
}

#[tokio::test]
async fn stale_settling_does_not_touch_what_was_asked_since() {
    let (queue, lanes) = (queue().await, [clip()]);
    queue.enqueue(&tasks(&lanes[0], [1], New)).await.unwrap();
    let claimed = queue.claim("w", &lanes, 2, NOW).await.unwrap();
    queue.answer(&[failed(&claimed[0], "w", true)]).await.unwrap();
    let taken = queue.take_outcomes("s", 9, NOW).await.unwrap();
    queue.forget_lane(&lanes[0]).await.unwrap();
    assert_eq!(queue.enqueue(&tasks(&lanes[0], [1], New)).await.unwrap(), 1);
    queue.settle_outcomes(&taken).await.unwrap();
    let depth = queue.lane_depth(&lanes[0]).await.unwrap();
    assert_eq!((depth.new, depth.total()), (1, 1));
    assert_eq!(images(&queue.claim("w", &lanes, 9, NOW).await.unwrap()), [1]);
}
