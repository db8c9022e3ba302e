//! The numbers in words, for the page and the strip. No question is asked here.

use std::time::Duration;

use super::numbers::{LaneNumbers, Numbers};
use crate::{
    db::results::{FailedImage, FailureGroup},
    models::task::TaskKind,
    queue::WorkerView,
    web::{
        page::{grouped, photos, thumbnail_src},
        status::{rate_words, time_left},
    },
};

/// A lane as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LaneLine {
    /// Names it on the page.
    pub(super) id: String,
    /// Names it in forms.
    pub(super) name: String,
    /// What comes of it.
    pub(super) what: &'static str,
    /// `CLIP ViT-B/32, 0a1b2c3d4e5f`.
    pub(super) network: String,
    /// Done or given up, of all, in percent.
    pub(super) percent: i64,
    pub(super) all: String,
    pub(super) done: String,
    pub(super) failed: String,
    pub(super) has_failed: bool,
    pub(super) waiting: String,
    pub(super) running: String,
    /// Waiting in the queue by priority.
    pub(super) on_screen: String,
    pub(super) newest: String,
    pub(super) backlog: String,
    /// Empty when there are none.
    pub(super) delayed: String,
    /// `photos, working`.
    pub(super) state: &'static str,
    /// Empty while it is not known.
    pub(super) rate: String,
    /// Empty while it is not known.
    pub(super) time_left: String,
    pub(super) is_paused: bool,
    /// Whether something waits and nobody takes it.
    pub(super) is_deserted: bool,
    /// `pause` or `resume`: the end of the address that does it.
    pub(super) verb: &'static str,
    pub(super) verb_words: &'static str,
}

impl LaneLine {
    pub(super) fn new(lane: &LaneNumbers, at: usize) -> Self {
        let is_done = lane.lacking == 0;
        let state = match lane {
            _ if is_done => "photos: all that there are",
            lane if lane.is_paused => "photos, paused",
            lane if lane.workers == 0 => "photos, waiting for a worker",
            lane if lane.is_working() => "photos",
            _ => "photos, about to begin",
        };
        let (verb, verb_words) = if lane.is_paused { ("resume", "Resume") } else { ("pause", "Pause") };
        Self {
            id: format!("lane-{at}"),
            name: lane.lane.to_string(),
            what: what(lane.lane.kind),
            network: format!("{}, {}", lane.title, lane.lane.network.version),
            percent: if lane.all() == 0 { 0 } else { (lane.done + lane.failed) * 100 / lane.all() },
            all: grouped(lane.all()),
            done: grouped(lane.done),
            failed: grouped(lane.failed),
            has_failed: lane.failed > 0,
            waiting: grouped(lane.waiting()),
            running: count(lane.running),
            on_screen: count(lane.queued[0]),
            newest: count(lane.queued[1]),
            backlog: count(lane.queued[2]),
            delayed: if lane.delayed == 0 { String::new() } else { count(lane.delayed) },
            state,
            rate: if lane.is_working() && lane.rate_per_s > 0.0 { rate_words(lane.rate_per_s) } else { String::new() },
            time_left: lane.seconds_left().map_or_else(String::new, time_left),
            is_paused: lane.is_paused,
            is_deserted: !is_done && !lane.is_paused && lane.workers == 0,
            verb,
            verb_words,
        }
    }
}

/// What comes of a lane, for people.
pub(super) fn what(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Embed => "Search by words, and what is alike",
        TaskKind::Detect => "What is where in a photo",
    }
}

fn count(number: u64) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A worker as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WorkerLine {
    pub(super) name: String,
    pub(super) device: String,
    /// Of the device: `24.0 GiB`.
    pub(super) memory: String,
    pub(super) batch_size: String,
    pub(super) running: String,
    pub(super) done: String,
    pub(super) rate: String,
    /// `2 seconds ago`.
    pub(super) heard: String,
    /// Silent for so long that its tasks went to others.
    pub(super) is_late: bool,
    /// Whether what waits for it is in a form that it cannot read.
    pub(super) is_too_old: bool,
    /// What it works on, in one line.
    pub(super) lanes: String,
}

impl WorkerLine {
    pub(super) fn new(worker: &WorkerView) -> Self {
        let card = &worker.card;
        let lanes: Vec<&str> = card.lanes.iter().map(|lane| lane.network.name.as_str()).collect();
        let name = if card.name.is_empty() { &card.id } else { &card.name };
        Self {
            name: if card.host.is_empty() || card.host == *name { name.clone() } else { format!("{name} on {}", card.host) },
            device: if card.device.is_empty() { "Of a device it does not name".to_owned() } else { card.device.clone() },
            memory: card.memory_bytes.map_or_else(|| "not known".to_owned(), gibibytes),
            batch_size: photos(i64::from(card.batch_size)),
            running: count(worker.running),
            done: count(worker.done),
            rate: if worker.rate_per_s > 0.0 { rate_words(worker.rate_per_s) } else { "at rest".to_owned() },
            heard: ago(worker.silent),
            is_late: !worker.is_alive,
            is_too_old: worker.is_too_old,
            lanes: lanes.join(", "),
        }
    }
}

/// `7.5 GiB`.
fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

/// How long ago something was, as people say it.
fn ago(silent: Duration) -> String {
    match silent.as_secs() {
        0..=1 => "just now".to_owned(),
        seconds @ 2..90 => format!("{seconds} seconds ago"),
        seconds @ 90..5_400 => format!("{} minutes ago", (seconds + 30) / 60),
        seconds => format!("{} hours ago", count((seconds + 1_800) / 3_600)),
    }
}

/// What failed for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailureLine {
    /// Names it on the page.
    pub(super) id: String,
    pub(super) network_id: i64,
    pub(super) network: String,
    pub(super) error: String,
    /// `1 photo`.
    pub(super) count: String,
    pub(super) images: Vec<FailedPicture>,
    /// How many are not shown; empty when all are.
    pub(super) more: String,
}

/// One photo that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailedPicture {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) src: Option<String>,
}

impl FailureLine {
    /// A reason, and some of its photos.
    pub(super) fn new(group: &FailureGroup, images: &[FailedImage]) -> Self {
        let more = group.images - i64::try_from(images.len()).unwrap_or(i64::MAX);
        // The same from one look to the next, so that what has the focus keeps it.
        let digest = blake3::hash(group.error.as_bytes()).to_hex();
        let picture = |image: &FailedImage| FailedPicture {
            id: image.image.0,
            name: image.base_name.clone(),
            src: image.picture_key.as_deref().map(|key| thumbnail_src(image.image, key)),
        };
        Self {
            id: format!("failed-{}-{}", group.network, &digest[..12]),
            network_id: group.network.0,
            network: format!("{}: {}", what(group.lane.kind), group.title),
            error: group.error.clone(),
            count: photos(group.images),
            images: images.iter().map(picture).collect(),
            more: if more > 0 { grouped(more) } else { String::new() },
        }
    }
}

/// The lanes in one line of the strip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) struct WorkView {
    /// Photos that all lanes that work are done with.
    pub(in crate::web) done: String,
    pub(in crate::web) all: String,
    /// Empty while it is not known.
    pub(in crate::web) time_left: String,
}

impl WorkView {
    /// What the strip says; `None` while no lane works.
    pub(in crate::web) fn read(numbers: &Numbers) -> Option<Self> {
        let working: Vec<&LaneNumbers> = numbers.lanes.iter().filter(|lane| lane.is_working()).collect();
        let done = working.iter().map(|lane| lane.done + lane.failed).min()?;
        let all = working.iter().map(|lane| lane.all()).max()?;
        // Lanes go on side by side: the last one to end says when.
        let left = working
            .iter()
            .filter_map(|lane| lane.seconds_left())
            .fold(None, |most: Option<f64>, left| Some(most.map_or(left, |most| most.max(left))));
        Some(Self { done: grouped(done), all: grouped(all), time_left: left.map_or_else(String::new, time_left) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(done: i64, lacking: i64) -> LaneNumbers {
        LaneNumbers {
            lane: "embed/clip-vit-b-32@0a1b2c".parse().unwrap(),
            title: "CLIP ViT-B/32".into(),
            done,
            failed: 6,
            lacking,
            queued: [12, 1_800, 0],
            running: 16,
            delayed: 0,
            rate_per_s: 8.0,
            is_paused: false,
            workers: 1,
        }
    }

    fn numbers(lanes: Vec<LaneNumbers>) -> Numbers {
        Numbers { lanes, workers: Vec::new(), queue_trouble: None, problem: None }
    }

    #[test]
    fn a_lane_tells_how_far_it_is_and_what_it_waits_for() {
        let line = LaneLine::new(&lane(1_234, 18_760), 0);
        assert_eq!((line.done.as_str(), line.all.as_str(), line.percent), ("1,234", "20,000", 6));
        assert_eq!((line.waiting.as_str(), line.running.as_str(), line.failed.as_str()), ("18,744", "16", "6"));
        assert_eq!((line.rate.as_str(), line.time_left.as_str(), line.verb), ("8 a second", "about 40 minutes left", "pause"));
        let paused = LaneLine::new(&LaneNumbers { is_paused: true, ..lane(1, 10) }, 0);
        assert_eq!((paused.state, paused.rate.as_str(), paused.time_left.as_str(), paused.verb), ("photos, paused", "", "", "resume"));
        let deserted = LaneLine::new(&LaneNumbers { workers: 0, running: 0, rate_per_s: 0.0, ..lane(1, 10) }, 0);
        assert!(deserted.is_deserted && deserted.state.contains("worker"));
        let done = LaneLine::new(&LaneNumbers { running: 0, workers: 0, ..lane(20, 0) }, 0);
        assert!(!done.is_deserted && done.percent == 100 && done.time_left.is_empty());
        assert_eq!(LaneLine::new(&LaneNumbers { failed: 0, running: 0, ..lane(0, 0) }, 0).percent, 0);
    }

    #[test]
    fn the_strip_is_silent_unless_a_lane_moves_and_follows_the_last_one() {
        assert_eq!(WorkView::read(&numbers(vec![])), None);
        assert_eq!(WorkView::read(&numbers(vec![lane(10, 0)])), None);
        assert_eq!(WorkView::read(&numbers(vec![LaneNumbers { is_paused: true, ..lane(10, 9) }])), None);
        let said = WorkView::read(&numbers(vec![lane(10_000, 480), lane(1_228, 18_766), LaneNumbers { is_paused: true, ..lane(0, 9) }]));
        let expected = WorkView { done: "1,234".into(), all: "20,000".into(), time_left: "about 40 minutes left".into() };
        assert_eq!(said, Some(expected));
    }

    #[test]
    fn times_ago_are_said_as_people_do() {
        assert_eq!(
            [0, 2, 89, 90, 7_200].map(|seconds| ago(Duration::from_secs(seconds))),
            ["just now", "2 seconds ago", "89 seconds ago", "2 minutes ago", "2 hours ago"]
        );
        assert_eq!(gibibytes(25_769_803_776), "24.0 GiB");
    }
}
