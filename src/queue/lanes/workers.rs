//! Who works: a worker says so with every heartbeat, and is listed until it has been silent for a day.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    claim::Receipt,
    ms,
    scripts::{HEARTBEAT, SIGN_OFF, WORKERS},
    views::per_second,
};
use crate::{
    models::task::Lane,
    queue::{Queue, QueueError},
};

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCard {
    /// Tells it from all others, also from itself before a restart.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// The machine it runs on.
    #[serde(default)]
    pub host: String,
    /// What computes: `CPU, 8 threads`, or the name of a graphics card.
    #[serde(default)]
    pub device: String,
    /// Memory of the device in bytes, where it is known.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Pictures that it works on at once.
    #[serde(default)]
    pub batch_size: u32,
    /// The share of the time since its last heartbeat that the device computed, in percent.
    #[serde(default)]
    pub busy_percent: Option<u8>,
    /// Its version of `hm`.
    #[serde(default)]
    pub program: String,
    /// The newest form of tasks that it can read.
    pub wire_version: u32,
    /// What it works on. Lanes that the reader does not know are left out.
    #[serde(default, deserialize_with = "known_lanes")]
    pub lanes: Vec<Lane>,
}

fn known_lanes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Lane>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// One worker, as a page shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerView {
    /// What it says of itself.
    pub card: WorkerCard,
    /// How long ago it last said that it lives.
    pub silent: Duration,
    /// Whether it has been silent for less than a lease.
    pub is_alive: bool,
    /// Tasks that it holds.
    pub running: u64,
    /// Its answers that are stored.
    pub done: u64,
    /// Its failures that are stored, those that end with itself among them.
    pub failed: u64,
    /// How many of its answers were stored in a second, over the last five minutes at most.
    pub rate_per_s: f64,
    /// Whether tasks wait in one of its lanes that it is too old to read.
    pub is_too_old: bool,
}

/// As the script gives it: worker, card, silent_ms, running, done, failed, count, span_ms.
type Listed = (String, Vec<u8>, u64, u64, u64, u64, u64, u64);

impl Queue {
    /// Says that a worker lives, what it is, and what it holds: those tasks stay its own for another lease. Gives back those that it
    /// holds no longer; an answer to them would change nothing. A worker says so every [`beat`](super::Settings::beat).
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked; the leases run on.
    pub async fn heartbeat(&self, card: &WorkerCard, held: &[Receipt]) -> Result<Vec<Receipt>, QueueError> {
        let mut call = self.call(&HEARTBEAT);
        let text = serde_json::to_string(card).expect("names of fields are texts");
        call.arg(&card.id).arg(text).arg(ms(self.settings.worker_is_remembered));
        held.iter().for_each(|receipt| receipt.name_entry(&mut call));
        let lost: Vec<usize> = self.run(&call).await?;
        Ok(lost.into_iter().filter_map(|place| held.get(place).cloned()).collect())
    }

    /// Says that a worker ends, after it has answered or [handed back](Self::hand_back) what it held: it is no longer listed.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked; it is then listed as silent.
    pub async fn sign_off(&self, worker: &str) -> Result<(), QueueError> {
        self.run(self.call(&SIGN_OFF).arg(worker)).await
    }

    /// Every worker, the one that was heard last first. Those that were silent for a day are forgotten.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, QueueError> {
        let (listed, waiting): (Vec<Listed>, Vec<(String, u32, u64)>) = self.run(&self.call(&WORKERS)).await?;
        let waiting: BTreeSet<(&str, u32)> = waiting.iter().map(|(lane, version, _)| (lane.as_str(), *version)).collect();
        let mut views = Vec::new();
        for (id, card, silent_ms, running, done, failed, count, span_ms) in listed {
            // One of another time, which says other things of itself.
            let Ok(card) = serde_json::from_slice::<WorkerCard>(&card) else {
                tracing::debug!(worker = id, "the card of a worker cannot be read");
                continue;
            };
            let silent = Duration::from_millis(silent_ms);
            let names: BTreeSet<String> = card.lanes.iter().map(Lane::to_string).collect();
            let is_too_old = waiting.iter().any(|(lane, version)| *version > card.wire_version && names.contains(*lane));
            let (is_alive, rate_per_s) = (silent < self.settings.lease, per_second(count, span_ms));
            views.push(WorkerView { card, silent, is_alive, running, done, failed, rate_per_s, is_too_old });
        }
        Ok(views)
    }
}
