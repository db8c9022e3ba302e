//! The strip that says what goes on behind the pages: scans, pictures being made, vaults that are offline.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, LOCATION, REFERER},
    web::Data,
};
use askama::Template;
use serde_json::Value;

use super::{State, WebError, page, tasks::view::WorkView};
use crate::db::{
    backups::{BackupEntry, list_backups},
    edits::{OutboxCount, count_outbox},
    status::{ScanStatus, VaultStatus, list_scans, list_vaults},
};

/// Scans looked at: more never run at the same time on one library.
const MOST_SCANS: i64 = 8;
/// Seconds until the strip looks again while something goes on. At rest it looks when the page asks it to.
const WHILE_BUSY_S: u32 = 2;

/// While networks work, which takes hours and is no news.
const WHILE_WORKING_S: u32 = 10;

/// Everything the strip tells.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "status.html")]
pub(super) struct StatusView {
    /// Scans that run.
    pub(super) scans: Vec<ScanView>,
    /// Pictures being made; `None` when all are.
    pub(super) pictures: Option<PicturesView>,
    /// Networks at work; `None` when none is.
    pub(super) work: Option<WorkView>,
    /// Vaults that cannot be read.
    pub(super) offline: Vec<OfflineView>,
    /// What has yet to reach the sidecars.
    pub(super) outbox: OutboxView,
    /// Why there is no newer backup; `None` while there is.
    pub(super) backup_failure: Option<String>,
    /// Seconds until the strip looks again; `None` while nothing goes on.
    pub(super) every_s: Option<u32>,
}

/// A scan that runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScanView {
    /// What it scans, for people.
    pub(super) paths: String,
    /// Files looked at so far.
    pub(super) files_seen: String,
    /// Images known from it so far.
    pub(super) images: String,
    /// Files that could not be read; empty when there are none.
    pub(super) problems: String,
    /// Done, in percent; `None` while the number of files is not known.
    pub(super) percent: Option<u64>,
    /// `1,234 files a second`; empty while it is not known.
    pub(super) rate: String,
    /// `about 3 minutes left`; empty while it is not known.
    pub(super) time_left: String,
}

/// Pictures being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PicturesView {
    /// Still to be made.
    pub(super) lacking: String,
    /// Done, in percent.
    pub(super) percent: u64,
    /// `12 a second`; empty while it is not known.
    pub(super) rate: String,
    /// `about 3 minutes left`; empty while it is not known.
    pub(super) time_left: String,
}

/// A vault that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OfflineView {
    /// Its name.
    pub(super) name: String,
    /// Why.
    pub(super) reason: String,
}

/// What has yet to reach the sidecars, in short.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct OutboxView {
    /// All fields that wait, failed or are in conflict; empty when there are none.
    pub(super) count: String,
    /// The same where there is room for three characters: `99`, `12k`.
    pub(super) short: String,
    /// `2 conflicts, 1 change could not be written`; empty while nobody has to do anything.
    pub(super) trouble: String,
}

impl From<OutboxCount> for OutboxView {
    fn from(count: OutboxCount) -> Self {
        let OutboxCount { pending, failed, conflict } = count;
        let all = pending + failed + conflict;
        let some = |number: i64, one: &str, many: &str| match number {
            0 => None,
            1 => Some(format!("1 {one}")),
            number => Some(format!("{} {many}", page::grouped(number))),
        };
        let conflicts = some(conflict, "change is in conflict with its sidecar", "changes are in conflict with their sidecars");
        let failures = some(failed, "could not be written", "could not be written");
        let trouble = conflicts.into_iter().chain(failures).collect::<Vec<_>>().join(", ");
        if all == 0 {
            return Self::default();
        }
        let short = match all {
            ..1_000 => all.to_string(),
            1_000..1_000_000 => format!("{}k", all / 1_000),
            _ => "1M+".to_owned(),
        };
        Self { count: page::grouped(all), short, trouble }
    }
}

impl StatusView {
    fn new(
        scans: &[ScanStatus],
        vaults: &[VaultStatus],
        pictures: Option<PicturesView>,
        work: Option<WorkView>,
        outbox: OutboxCount,
        backup: Option<BackupEntry>,
    ) -> Self {
        let scans: Vec<ScanView> = scans.iter().filter(|scan| scan.is_alive).map(ScanView::from).collect();
        let offline = vaults.iter().filter(|vault| vault.offline_since.is_some()).map(|vault| OfflineView {
            name: vault.name.clone(),
            reason: vault.offline_reason.clone().unwrap_or_else(|| "it cannot be read".to_owned()),
        });
        let is_busy = !scans.is_empty() || pictures.is_some();
        let failure = backup.and_then(|backup| backup.error);
        let backup_failure = failure.map(|reason| reason.split("\nhint: ").next().unwrap_or_default().to_owned());
        let every_s = if is_busy { Some(WHILE_BUSY_S) } else { work.is_some().then_some(WHILE_WORKING_S) };
        Self { scans, pictures, work, offline: offline.collect(), outbox: outbox.into(), backup_failure, every_s }
    }
}

impl From<&ScanStatus> for ScanView {
    fn from(scan: &ScanStatus) -> Self {
        let (seen, total) = (scan.counter("files_seen"), scan.counter("files_total"));
        let problems = scan.counter("problems");
        Self {
            paths: scan.paths.join(", "),
            files_seen: page::grouped(seen as i64),
            images: page::grouped(scan.counter("images") as i64),
            problems: if problems == 0 { String::new() } else { page::grouped(problems as i64) },
            percent: (total > 0).then(|| (seen * 100 / total).min(100)),
            rate: scan
                .measure("rate_per_s")
                .filter(|rate| *rate >= 1.0)
                .map_or_else(String::new, |rate| format!("{} files a second", page::grouped(rate.round() as i64))),
            time_left: scan.measure("eta_s").map_or_else(String::new, time_left),
        }
    }
}

impl PicturesView {
    /// Reads `done`, `failed`, `lacking` and `rate_per_s`, as the pipeline publishes them; `None` when nothing is lacking.
    pub(super) fn read(progress: &Value) -> Option<Self> {
        let number = |name: &str| progress.get(name).and_then(Value::as_f64).filter(|number| *number > 0.0);
        let lacking = number("lacking")?;
        let tried = number("done").unwrap_or(0.0) + number("failed").unwrap_or(0.0);
        let rate_per_s = number("rate_per_s");
        Some(Self {
            lacking: page::grouped(lacking as i64),
            percent: (tried * 100.0 / (tried + lacking)) as u64,
            rate: rate_per_s.map_or_else(String::new, rate_words),
            time_left: rate_per_s.map_or_else(String::new, |rate| time_left(lacking / rate)),
        })
    }
}

/// `12 a second`; where that would be none, `40 a minute`.
pub(super) fn rate_words(rate_per_s: f64) -> String {
    if rate_per_s >= 1.0 { format!("{rate_per_s:.0} a second") } else { format!("{:.0} a minute", (rate_per_s * 60.0).max(1.0)) }
}

/// How long something will take, as people say it.
pub(super) fn time_left(seconds: f64) -> String {
    let minutes = (seconds / 60.0).ceil() as i64;
    match minutes {
        ..=0 => "almost done".to_owned(),
        1 => "about a minute left".to_owned(),
        2..90 => format!("about {minutes} minutes left"),
        _ => format!("about {} hours left", page::grouped((minutes + 30) / 60)),
    }
}

/// `GET /status`: the strip, which asks again by itself.
pub(super) async fn show(state: Data<State>) -> Result<HttpResponse, WebError> {
    let host = state.host.clone();
    let (scans, vaults, outbox, backups) = state
        .db
        .run(move |conn| {
            let (scans, backups) = (list_scans(conn, MOST_SCANS)?, list_backups(conn, 1)?);
            let vaults = list_vaults(conn, &host)?;
            count_outbox(conn).map(|outbox| (scans, vaults, outbox, backups))
        })
        .await?;
    let (pictures, numbers) = tokio::join!(state.pictures_progress(), state.task_numbers());
    let work = WorkView::read(&numbers?);
    let view = StatusView::new(&scans, &vaults, pictures, work, outbox, backups.into_iter().next());
    let body = view.render().map_err(|error| WebError::Internal(error.to_string()))?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").insert_header((CACHE_CONTROL, "no-store")).body(body))
}

/// `POST /scans`: starts a scan of everything known; then back to where the button was.
pub(super) async fn start_scan(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, WebError> {
    state.request_scan().await?;
    if page::is_fragment(&request) {
        return show(state).await;
    }
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, way_back(&request))).finish())
}

/// The path of the page the form stood on; the gallery when the browser does not say.
fn way_back(request: &HttpRequest) -> String {
    let referer = request.headers().get(REFERER).and_then(|value| value.to_str().ok());
    let rest = referer.and_then(|address| address.split_once("://")).and_then(|(_, rest)| rest.find('/').map(|slash| &rest[slash..]));
    rest.filter(|path| super::page::is_local(path)).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn the_way_back_stays_on_this_server() {
        let back = |referer: &'static str| way_back(&TestRequest::post().insert_header((REFERER, referer)).to_http_request());
        assert_eq!(back("http://localhost:8017/folders/3?x=1"), "/folders/3?x=1");
        assert_eq!(back("http://evil.example//evil.example/x"), "/");
        assert_eq!(back("nonsense"), "/");
    }

    #[test]
    fn pictures_are_told_of_while_some_are_lacking() {
        let view = PicturesView::read(&serde_json::json!({"done": 20, "failed": 10, "lacking": 1170, "rate_per_s": 12.4})).unwrap();
        assert_eq!((view.lacking.as_str(), view.percent, view.time_left.as_str()), ("1,170", 2, "about 2 minutes left"));
        assert_eq!(view.rate, "12 a second");
        assert_eq!([0.3, 0.001, 1.4].map(rate_words), ["18 a minute", "1 a minute", "1 a second"]);
        assert_eq!(PicturesView::read(&serde_json::json!({"done": 30, "lacking": 0})), None);
    }

    #[test]
    fn the_outbox_is_trouble_only_where_somebody_has_to_act() {
        let view = |pending, failed, conflict| OutboxView::from(OutboxCount { pending, failed, conflict });
        assert_eq!(view(0, 0, 0), OutboxView::default());
        assert_eq!(view(1200, 0, 0), OutboxView { count: "1,200".into(), short: "1k".into(), trouble: String::new() });
        assert_eq!(view(1, 2, 1).trouble, "1 change is in conflict with its sidecar, 2 could not be written");
    }

    #[test]
    fn times_are_rounded_as_people_do() {
        assert_eq!(
            [0.0, 30.0, 61.0, 7_300.0].map(time_left),
            ["almost done", "about a minute left", "about 2 minutes left", "about 2 hours left"]
        );
    }
}
