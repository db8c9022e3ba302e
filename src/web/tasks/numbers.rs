//! What networks do, in numbers: the same for the page, the strip, the API and `/metrics`. Apart from their words.
//!
//! What is in flight comes from the queue, what is done and lacking from the database; either may be missing without the other.

use std::collections::BTreeSet;

use crate::{
    db::{
        PgConnection, QueryError,
        nearest::{Embedded, count_embedded},
        networks::{self, StoredNetwork},
    },
    models::task::Lane,
    queue::{LaneView, Queue, QueueError, WorkerView},
    web::{State, WebError},
};

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::web) struct Numbers {
    /// The lanes there are.
    pub(in crate::web) lanes: Vec<LaneNumbers>,
    /// The workers that were heard of lately.
    pub(in crate::web) workers: Vec<WorkerView>,
    /// Why the queue says nothing; `None` while it does.
    pub(in crate::web) queue_trouble: Option<String>,
    /// Why a lane cannot be worked on although there is a network for it, and what to do about it; `None` when nothing is wrong.
    pub(in crate::web) problem: Option<String>,
}

/// One lane.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::web) struct LaneNumbers {
    /// The lane.
    pub(in crate::web) lane: Lane,
    /// What people call its network.
    pub(in crate::web) title: String,
    /// Images that were answered for.
    pub(in crate::web) done: i64,
    /// Images given up.
    pub(in crate::web) failed: i64,
    /// Images without an answer yet, running ones included.
    pub(in crate::web) lacking: i64,
    /// Tasks in the queue that nobody has taken, by priority, the most urgent first.
    pub(in crate::web) queued: [u64; 3],
    /// Tasks that a worker holds.
    pub(in crate::web) running: u64,
    /// Tasks that will be tried again soon, each alone where their worker ended.
    pub(in crate::web) delayed: u64,
    /// Answers a second, over the last minutes; 0 when there was none.
    pub(in crate::web) rate_per_s: f64,
    /// Whether a person stopped it.
    pub(in crate::web) is_paused: bool,
    /// Workers that take it and were heard of lately.
    pub(in crate::web) workers: usize,
}

impl LaneNumbers {
    /// Images whose turn is still to come.
    pub(in crate::web) fn waiting(&self) -> i64 {
        (self.lacking - i64::try_from(self.running).unwrap_or(i64::MAX)).max(0)
    }

    /// Images that it can have an answer for.
    pub(in crate::web) fn all(&self) -> i64 {
        self.done + self.failed + self.lacking
    }

    /// Whether it moves: neither at its end nor stopped.
    pub(in crate::web) fn is_working(&self) -> bool {
        !self.is_paused && self.lacking > 0 && (self.running > 0 || self.rate_per_s > 0.0)
    }

    /// Seconds until nothing is lacking, at the pace of the last minutes; `None` while nothing moves.
    pub(in crate::web) fn seconds_left(&self) -> Option<f64> {
        (self.is_working() && self.rate_per_s > 0.0).then(|| self.lacking as f64 / self.rate_per_s)
    }
}

/// A network, and what the database counts of it.
type Counted = (StoredNetwork, Embedded);

fn count(conn: &mut PgConnection) -> Result<Vec<Counted>, QueryError> {
    let networks = networks::list(conn)?;
    networks.into_iter().map(|network| count_embedded(conn, network.id).map(|counted| (network, counted))).collect()
}

/// One lane, from what the queue and the database know of it.
fn lane_numbers(lane: &Lane, view: Option<&LaneView>, counted: Option<&Counted>, workers: &[WorkerView]) -> LaneNumbers {
    let (title, done, failed, lacking) = match counted {
        Some((network, counted)) => (network.card.title.clone(), counted.embedded, counted.failed, counted.to_come()),
        None => (lane.network.name.clone(), 0, 0, 0),
    };
    let takes_it = |worker: &&WorkerView| worker.is_alive && worker.card.lanes.contains(lane);
    let depth = view.map(|view| view.depth).unwrap_or_default();
    LaneNumbers {
        lane: lane.clone(),
        title,
        done,
        failed,
        lacking,
        queued: [depth.screen, depth.new, depth.backlog],
        running: depth.running,
        delayed: depth.delayed + depth.suspect,
        rate_per_s: view.map_or(0.0, |view| view.rate_per_s),
        is_paused: view.is_some_and(|view| view.is_paused),
        workers: workers.iter().filter(takes_it).count(),
    }
}

impl State {
    /// Counts what networks do, from counts that are kept.
    ///
    /// # Errors
    /// When the database fails; a queue that does not answer is part of the answer.
    pub(in crate::web) async fn task_numbers(&self) -> Result<Numbers, WebError> {
        let in_flight = match &self.queue {
            None => Err("This server runs without a queue: networks do nothing.".to_owned()),
            Some(queue) => InFlight::ask(queue).await.map_err(|error| {
                tracing::warn!(%error, "the queue does not say what networks do");
                "The queue does not answer, so that nobody knows what is in flight. `hm doctor` says more.".to_owned()
            }),
        };
        let mut counted = self.db.run(count).await?;
        counted.sort_by(|one, other| one.0.card.lane.cmp(&other.0.card.lane));
        Ok(match in_flight {
            Ok(InFlight { lanes, views, workers, problem }) => {
                let view = |lane: &Lane| views.iter().find(|view| view.lane == *lane);
                let counted = |lane: &Lane| counted.iter().find(|counted| counted.0.card.lane == *lane);
                let lanes = lanes.iter().map(|lane| lane_numbers(lane, view(lane), counted(lane), &workers)).collect();
                Numbers { lanes, workers, queue_trouble: None, problem }
            }
            // Every network that ever worked is told of.
            Err(trouble) => {
                let lanes = counted.iter().map(|one| lane_numbers(&one.0.card.lane, None, Some(one), &[])).collect();
                Numbers { lanes, workers: Vec::new(), queue_trouble: Some(trouble), problem: None }
            }
        })
    }
}

/// What the queue knows.
pub(super) struct InFlight {
    /// The lanes that a server offers, and those that still have tasks, by name.
    pub(super) lanes: BTreeSet<Lane>,
    views: Vec<LaneView>,
    workers: Vec<WorkerView>,
    problem: Option<String>,
}

impl InFlight {
    /// Asks for all of it.
    ///
    /// # Errors
    /// When the queue does not answer.
    pub(super) async fn ask(queue: &Queue) -> Result<Self, QueueError> {
        let (offers, views, workers, told) =
            tokio::try_join!(queue.offered_lanes(), queue.lanes(), queue.workers(), queue.progress("findings"))?;
        let problem = told.iter().find_map(|(_, told)| told.get("problem")?.as_str().map(str::to_owned));
        // Of those that are offered no more, the ones that have not come to an end.
        let busy = views.iter().filter(|view| view.depth.total() > 0).map(|view| view.lane.clone());
        Ok(Self { lanes: offers.into_iter().map(|offer| offer.lane).chain(busy).collect(), views, workers, problem })
    }
}
