//! `/metrics`: numbers of this server in Prometheus' text format.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use actix_web::{
    HttpResponse,
    http::{Method, header::CACHE_CONTROL},
    web::Data,
};

use super::{
    State, WebError,
    tasks::numbers::{LaneNumbers, Numbers},
};
use crate::{models::task::Priority, queue::WorkerView};

/// Upper bounds of the latency histogram, in seconds.
const BUCKETS_S: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/// Counts of answered requests.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<Key, Latencies>>,
}

/// Method, route and status: few values, because routes are patterns and other methods than the usual are one.
type Key = (&'static str, String, u16);

#[derive(Debug, Clone, Default)]
struct Latencies {
    /// Requests at most as long as each bucket's bound, not added up.
    buckets: [u64; BUCKETS_S.len()],
    count: u64,
    sum_s: f64,
}

impl Metrics {
    /// Counts one answered request.
    pub(super) fn record(&self, method: &Method, route: String, status: u16, elapsed: Duration) {
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            _ => "OTHER",
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let latencies = requests.entry((method, route, status)).or_default();
        let seconds = elapsed.as_secs_f64();
        latencies.count += 1;
        latencies.sum_s += seconds;
        if let Some(bucket) = BUCKETS_S.iter().position(|bound| seconds <= *bound) {
            latencies.buckets[bucket] += 1;
        }
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        const NAME: &str = "hm_http_request_duration_seconds";
        writeln!(text, "# HELP {NAME} Time to the first byte of an answer.\n# TYPE {NAME} histogram")?;
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for ((method, route, status), latencies) in requests {
            let labels = format!("method=\"{}\",route=\"{}\",status=\"{status}\"", method, escaped(&route));
            let mut so_far = 0;
            for (bound, count) in BUCKETS_S.iter().zip(latencies.buckets) {
                so_far += count;
                writeln!(text, "{NAME}_bucket{{{labels},le=\"{bound}\"}} {so_far}")?;
            }
            writeln!(text, "{NAME}_bucket{{{labels},le=\"+Inf\"}} {}", latencies.count)?;
            writeln!(text, "{NAME}_sum{{{labels}}} {}\n{NAME}_count{{{labels}}} {}", latencies.sum_s, latencies.count)?;
        }
        Ok(())
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Numbers of this server in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "about", responses((status = 200, content((String = "text/plain")))))]
pub(super) async fn metrics(state: Data<State>) -> Result<HttpResponse, WebError> {
    let counts = state.counts().await?;
    let gauges = [
        ("hm_images", "Images.", counts.images),
        ("hm_files", "Files known.", counts.files),
        ("hm_files_missing", "Files gone from a healthy vault.", counts.files_missing),
        ("hm_files_broken", "Files that could not be read, whole or in part.", counts.files_broken),
        ("hm_pictures_lacking", "Images whose pictures are still to be made.", counts.pictures_lacking),
        ("hm_pictures_failed", "Images of which no picture could be made.", counts.pictures_failed),
        ("hm_scans_running", "Scans that run.", counts.scans_running),
        ("hm_vaults_offline", "Vaults that cannot be read.", counts.vaults_offline),
        ("hm_uptime_seconds", "Since the server was started.", state.started_at.elapsed().as_secs() as i64),
    ];
    let mut text = String::new();
    let memory = resident_bytes().map(|bytes| ("process_resident_memory_bytes", "Memory of this process.", bytes));
    for (name, help, value) in gauges.into_iter().chain(memory) {
        _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    }
    write_tasks(&mut text, &state.task_numbers().await?).map_err(|error| WebError::Internal(error.to_string()))?;
    state.metrics.write(&mut text).map_err(|error| WebError::Internal(error.to_string()))?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").insert_header((CACHE_CONTROL, "no-store")).body(text))
}

/// What networks do, by lane and by worker.
fn write_tasks(text: &mut String, numbers: &Numbers) -> std::fmt::Result {
    let mut family = |name: &str, help: &str, kind: &str, lines: Vec<(String, f64)>| {
        if lines.is_empty() {
            return Ok(());
        }
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
        lines.into_iter().try_for_each(|(labels, value)| writeln!(text, "{name}{{{labels}}} {value}"))
    };
    let by_lane = |value: &dyn Fn(&LaneNumbers) -> f64| -> Vec<(String, f64)> {
        numbers.lanes.iter().map(|lane| (format!("lane=\"{}\"", escaped(&lane.lane.to_string())), value(lane))).collect()
    };
    family("hm_tasks_waiting", "Images without an answer that no worker holds.", "gauge", by_lane(&|lane| lane.waiting() as f64))?;
    family("hm_tasks_running", "Tasks that a worker holds.", "gauge", by_lane(&|lane| lane.running as f64))?;
    family("hm_tasks_delayed", "Tasks that will be tried again soon.", "gauge", by_lane(&|lane| lane.delayed as f64))?;
    family("hm_tasks_done", "Images with an answer.", "gauge", by_lane(&|lane| lane.done as f64))?;
    family("hm_tasks_failed", "Images given up.", "gauge", by_lane(&|lane| lane.failed as f64))?;
    family("hm_tasks_per_second", "Answers a second over the last minutes.", "gauge", by_lane(&|lane| lane.rate_per_s))?;
    family("hm_tasks_seconds_left", "Until nothing is lacking, at that pace.", "gauge", seconds_left(numbers))?;
    family("hm_lane_paused", "Whether a person stopped it.", "gauge", by_lane(&|lane| f64::from(u8::from(lane.is_paused))))?;
    family("hm_lane_workers", "Workers that take it.", "gauge", by_lane(&|lane| lane.workers as f64))?;
    let queued = numbers.lanes.iter().flat_map(|lane| {
        let name = escaped(&lane.lane.to_string());
        let at = move |(priority, count): (Priority, u64)| (format!("lane=\"{name}\",priority=\"{}\"", priority.as_str()), count as f64);
        Priority::ALL.into_iter().zip(lane.queued).map(at)
    });
    family("hm_tasks_queued", "Tasks in the queue that no worker holds.", "gauge", queued.collect())?;
    let by_worker = |value: &dyn Fn(&WorkerView) -> Option<f64>| -> Vec<(String, f64)> {
        let labels = |worker: &WorkerView| {
            let card = &worker.card;
            format!("worker=\"{}\",host=\"{}\",device=\"{}\"", escaped(&card.id), escaped(&card.host), escaped(&card.device))
        };
        numbers.workers.iter().filter_map(|worker| Some((labels(worker), value(worker)?))).collect()
    };
    family("hm_worker_silent_seconds", "Since its last sign of life.", "gauge", by_worker(&|worker| Some(worker.silent.as_secs_f64())))?;
    family(
        "hm_worker_memory_bytes",
        "Memory of its device.",
        "gauge",
        by_worker(&|worker| worker.card.memory_bytes.map(|bytes| bytes as f64)),
    )?;
    family("hm_worker_batch_size", "Images at a time.", "gauge", by_worker(&|worker| Some(f64::from(worker.card.batch_size))))?;
    family("hm_worker_running", "Tasks that it holds.", "gauge", by_worker(&|worker| Some(worker.running as f64)))?;
    family("hm_worker_done", "Tasks that it did.", "gauge", by_worker(&|worker| Some(worker.done as f64)))?;
    family("hm_worker_tasks_per_second", "Answers a second over the last minutes.", "gauge", by_worker(&|worker| Some(worker.rate_per_s)))
}

/// Of the lanes that move.
fn seconds_left(numbers: &Numbers) -> Vec<(String, f64)> {
    let left = |lane: &LaneNumbers| Some((format!("lane=\"{}\"", escaped(&lane.lane.to_string())), lane.seconds_left()?));
    numbers.lanes.iter().filter_map(left).collect()
}

/// Memory of this process that is in RAM; `None` where the system does not say (only Linux does, through `/proc`).
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_adds_up_and_its_labels_stay_in_their_quotes() {
        let metrics = Metrics::default();
        for elapsed_ms in [1, 4, 4_000] {
            metrics.record(&Method::GET, "/a\"b".to_owned(), 200, Duration::from_millis(elapsed_ms));
        }
        let mut text = String::new();
        metrics.write(&mut text).unwrap();
        for line in ["le=\"0.001\"} 1", "le=\"0.005\"} 2", "le=\"2.5\"} 2", "le=\"+Inf\"} 3", "route=\"/a\\\"b\"", "_count{"] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
