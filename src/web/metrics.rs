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

use super::{State, WebError};

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
    state.metrics.write(&mut text).map_err(|error| WebError::Internal(error.to_string()))?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").insert_header((CACHE_CONTROL, "no-store")).body(text))
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
