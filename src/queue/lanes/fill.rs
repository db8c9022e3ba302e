//! The server's side of a lane: it is filled, paused, and forgotten.

use super::{
    MOST_AT_ONCE,
    scripts::{ENQUEUE, FORGET, PAUSE},
    wire::write_task,
};
use crate::{
    models::task::{Lane, Task},
    queue::{Queue, QueueError},
};

impl Queue {
    /// Puts tasks at the end of their lanes, in the order given, and tells how many are new. One that waits already moves up when it
    /// has become more urgent; one that is held by a worker, rests after a failure, or whose outcome is not yet in the database stays
    /// what it is.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked; some of the tasks may be there all the same, and may be given again.
    pub async fn enqueue(&self, tasks: &[Task]) -> Result<usize, QueueError> {
        let version = self.settings.wire_version;
        let mut added = 0;
        for some in tasks.chunks(MOST_AT_ONCE) {
            let mut call = self.call(&ENQUEUE);
            call.arg(version);
            for task in some {
                call.arg(task.lane.to_string()).arg(task.image.0).arg(task.priority.as_str()).arg(write_task(version, task));
            }
            added += self.run::<usize>(&call).await?;
        }
        Ok(added)
    }

    /// Stops a lane: nothing more is given out. What workers hold they finish.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn pause_lane(&self, lane: &Lane) -> Result<(), QueueError> {
        self.run(self.call(&PAUSE).arg(lane.to_string()).arg(1)).await
    }

    /// Lets a lane go on.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn resume_lane(&self, lane: &Lane) -> Result<(), QueueError> {
        self.run(self.call(&PAUSE).arg(lane.to_string()).arg(0)).await
    }

    /// Forgets a lane, its tasks and counts, and that it was offered: for a network that was removed. What workers hold of it they
    /// finish in vain; outcomes that are there still reach the database.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn forget_lane(&self, lane: &Lane) -> Result<(), QueueError> {
        self.run(self.call(&FORGET).arg(lane.to_string())).await
    }
}
