//! What there is in the lanes, for pages and measurements.

use std::time::Duration;

use super::scripts::{LANES, OUTCOMES};
use crate::{
    models::task::Lane,
    queue::{Queue, QueueError},
};

/// How many tasks a lane has, by where they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneDepth {
    /// Waiting, on somebody's screen.
    pub screen: u64,
    /// Waiting, among the newest of the library.
    pub new: u64,
    /// Waiting, all others.
    pub backlog: u64,
    /// Waiting for a worker of their own, since another ended while it held them.
    pub suspect: u64,
    /// Held by workers.
    pub running: u64,
    /// Resting after a failure.
    pub delayed: u64,
    /// Answered; the database does not have the outcome yet.
    pub answered: u64,
}

impl LaneDepth {
    /// All that wait for a worker.
    pub fn waiting(&self) -> u64 {
        self.screen + self.new + self.backlog + self.suspect
    }

    /// All that the lane knows of.
    pub fn total(&self) -> u64 {
        self.waiting() + self.running + self.delayed + self.answered
    }
}

/// One lane, as a page shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneView {
    /// Kind and network.
    pub lane: Lane,
    /// Its tasks.
    pub depth: LaneDepth,
    /// How many were done and stored, since Redis was empty.
    pub done: u64,
    /// How many failed for good and are stored so, since Redis was empty.
    pub failed: u64,
    /// How many were stored in a second, done or failed, over the last five minutes at most.
    pub rate_per_s: f64,
    /// How long the task that waits longest has waited; zero when none does.
    pub waited: Duration,
    /// Whether nothing is given out.
    pub is_paused: bool,
    /// How many wait in a newer form than this program's.
    pub too_new: u64,
}

impl LaneView {
    /// How long so many tasks take at the present rate; none while nothing is stored.
    pub fn time_left(&self, tasks: u64) -> Option<Duration> {
        let seconds = tasks as f64 / self.rate_per_s;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// Outcomes on their way to the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutcomesView {
    /// Not yet taken by a server.
    pub waiting: u64,
    /// Taken by one, and not yet settled.
    pub taken: u64,
    /// In a newer form than this program's: they wait for a newer server.
    pub too_new: u64,
}

impl Queue {
    /// How many tasks a lane has; none of a lane that is not there.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn lane_depth(&self, lane: &Lane) -> Result<LaneDepth, QueueError> {
        Ok(self.view_lanes(std::slice::from_ref(lane)).await?.pop().map(|view| view.depth).unwrap_or_default())
    }

    /// Every lane that has had tasks since Redis was empty, by name. Kinds that this program does not know are left out.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn lanes(&self) -> Result<Vec<LaneView>, QueueError> {
        self.view_lanes(&[]).await
    }

    /// These lanes, or all of them.
    pub(super) async fn view_lanes(&self, lanes: &[Lane]) -> Result<Vec<LaneView>, QueueError> {
        let mut call = self.call(&LANES);
        call.arg(self.settings.wire_version);
        lanes.iter().for_each(|lane| _ = call.arg(lane.to_string()));
        let rows: Vec<(String, Vec<u64>)> = self.run(&call).await?;
        let mut views: Vec<LaneView> = rows.iter().filter_map(|(lane, numbers)| view(lane, numbers)).collect();
        views.sort_by(|a, b| a.lane.cmp(&b.lane));
        Ok(views)
    }

    /// What waits for the servers.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn outcomes(&self) -> Result<OutcomesView, QueueError> {
        let (waiting, taken, too_new) = self.run(self.call(&OUTCOMES).arg(self.settings.wire_version)).await?;
        Ok(OutcomesView { waiting, taken, too_new })
    }
}

/// The numbers in the order of the script.
fn view(lane: &str, numbers: &[u64]) -> Option<LaneView> {
    let lane = lane.parse().ok()?;
    let &[paused, screen, new, backlog, suspect, running, delayed, marked, done, failed, count, span_ms, waited_ms, too_new] = numbers
    else {
        return None;
    };
    let mut depth = LaneDepth { screen, new, backlog, suspect, running, delayed, answered: 0 };
    depth.answered = marked.saturating_sub(depth.total());
    Some(LaneView {
        lane,
        depth,
        done,
        failed,
        rate_per_s: per_second(count, span_ms),
        waited: Duration::from_millis(waited_ms),
        is_paused: paused != 0,
        too_new,
    })
}

pub(super) fn per_second(count: u64, span_ms: u64) -> f64 {
    count as f64 * 1e3 / span_ms.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_numbers_is_a_view() {
        let view = view("embed/clip@1", &[1, 1, 2, 3, 4, 5, 6, 28, 8, 9, 100, 20_000, 1_500, 2]).unwrap();
        assert_eq!((view.depth.waiting(), view.depth.running, view.depth.answered, view.depth.total()), (10, 5, 7, 28));
        assert_eq!((view.rate_per_s, view.waited.as_millis(), view.is_paused, view.too_new), (5.0, 1_500, true, 2));
        assert_eq!(view.time_left(50), Some(Duration::from_secs(10)));
        let idle = LaneView { rate_per_s: 0.0, ..view };
        assert_eq!((idle.time_left(50), idle.time_left(0)), (None, None));
        assert_eq!(super::view("draw/clip@1", &[0; 14]), None);
    }
}
