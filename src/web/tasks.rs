//! What networks do, as a page: lanes and how far they are, who works on them, what failed and why, with buttons to stop, go on and try again.
//!
//! It renews itself every few seconds and works without script, where its buttons are forms and a link looks again. Apart from the strip,
//! which has one line for all of it.

pub(super) mod numbers;
pub(super) mod view;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, HeaderName, HeaderValue},
    web::{Data, Form},
};
use askama::Template;
use chrono::{NaiveDate, NaiveTime};

use self::{
    numbers::{InFlight, Numbers},
    view::{FailureLine, LaneLine, WorkerLine},
};
use super::{
    State, WebError,
    page::{self, Htmx, Layout, Pairs, Tab, grouped, is_fragment, photos, value_of},
};
use crate::{
    db::{
        PgConnection, QueryError,
        gallery::list_ids_between,
        results::{self, FailedImage, FailureGroup, Failures, Retry, list_failure_groups, list_failures},
    },
    models::{Cursor, Filter, ImageId, NetworkId, task::Lane},
    queue::Queue,
};

/// Reasons of failure that are shown, and photos of each.
const MOST_GROUPS: i64 = 20;
const SHOWN_IMAGES: i64 = 8;
/// Seconds until the page looks again while something moves, and while nothing does.
const WHILE_BUSY_S: u32 = 2;
const AT_REST_S: u32 = 6;
/// Photos of a search that can be put first: beyond them the order would mean little.
const MOST_FIRST: i64 = 10_000;

type Fields = Form<Vec<(String, String)>>;

/// What is drawn anew every few seconds.
struct View {
    lanes: Vec<LaneLine>,
    workers: Vec<WorkerLine>,
    failures: Vec<FailureLine>,
    /// What is not shown of them; empty when all is.
    more_failures: String,
    /// Tells whether the failures are those that a page shows already: they are drawn anew only when they are others, so that an error can
    /// be marked and copied.
    failures_seen: String,
    /// Whether it goes into a page that is there.
    is_piece: bool,
    queue_trouble: Option<String>,
    /// What is wrong with a lane, and what to do about it.
    problem: Option<(String, String)>,
    /// Whether something could be put first.
    can_order: bool,
    every_s: u32,
}

/// A reason of failure with some of its photos.
pub(super) type Failed = (FailureGroup, Vec<FailedImage>);

/// Lists the reasons of most photos, and some photos of each.
pub(super) fn failed(conn: &mut PgConnection) -> Result<Vec<Failed>, QueryError> {
    let mut failed = Vec::new();
    for group in list_failure_groups(conn, MOST_GROUPS)? {
        let which = Failures { network: Some(group.network), error: Some(group.error.clone()) };
        let images = list_failures(conn, &which, None, SHOWN_IMAGES)?;
        failed.push((group, images));
    }
    Ok(failed)
}

impl View {
    fn new(numbers: &Numbers, groups: &[Failed], is_piece: bool) -> Self {
        let failed: i64 = numbers.lanes.iter().map(|lane| lane.failed).sum();
        let shown: i64 = groups.iter().map(|(group, _)| group.images).sum();
        let is_moving = numbers.lanes.iter().any(|lane| lane.is_working());
        let failures: Vec<FailureLine> = groups.iter().map(|(group, images)| FailureLine::new(group, images)).collect();
        Self {
            failures_seen: blake3::hash(format!("{failures:?}").as_bytes()).to_hex()[..16].to_owned(),
            is_piece,
            lanes: numbers.lanes.iter().enumerate().map(|(at, lane)| LaneLine::new(lane, at)).collect(),
            workers: numbers.workers.iter().map(WorkerLine::new).collect(),
            failures,
            more_failures: if groups.len() as i64 == MOST_GROUPS && failed > shown {
                format!("{} failed for other reasons.", photos(failed - shown))
            } else {
                String::new()
            },
            queue_trouble: numbers.queue_trouble.clone(),
            problem: numbers.problem.as_deref().map(|problem| {
                let (problem, hint) = problem.split_once("hint: ").unwrap_or((problem, ""));
                (problem.trim().to_owned(), hint.trim().to_owned())
            }),
            can_order: !numbers.lanes.is_empty() && numbers.queue_trouble.is_none(),
            every_s: if is_moving { WHILE_BUSY_S } else { AT_REST_S },
        }
    }
}

#[derive(Template)]
#[template(path = "tasks.html")]
struct TasksPage {
    layout: Layout,
    view: View,
}

/// Lanes and workers, which change all the time.
#[derive(Template)]
#[template(path = "tasks.html", block = "live")]
struct Live<'a> {
    view: &'a View,
}

/// Failures, which seldom do.
#[derive(Template)]
#[template(path = "tasks.html", block = "failed")]
struct FailedPiece<'a> {
    view: &'a View,
}

/// `GET /tasks`; as a fragment what changes on it, with the failures unless the page shows them already (`failed=`).
pub(super) async fn show(state: Data<State>, htmx: Htmx, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let view = view(&state, htmx.0).await?;
    if htmx.0 {
        return pieces(&view, value_of(&pairs, "failed"));
    }
    page::html(&TasksPage { layout: Layout::new("Tasks", Tab::None), view })
}

async fn view(state: &Data<State>, is_piece: bool) -> Result<View, WebError> {
    let numbers = state.task_numbers().await?;
    let groups = state.db.run(failed).await?;
    Ok(View::new(&numbers, &groups, is_piece))
}

/// What changed, for a page that has `seen` failures.
fn pieces(view: &View, seen: Option<&str>) -> Result<HttpResponse, WebError> {
    let render = |piece: askama::Result<String>| piece.map_err(|error| WebError::Internal(error.to_string()));
    let mut body = render(Live { view }.render())?;
    if seen != Some(view.failures_seen.as_str()) {
        body.push_str(&render(FailedPiece { view }.render())?);
    }
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").insert_header((CACHE_CONTROL, "private, no-cache")).body(body))
}

/// After a form: back to the page, or what changed on it, with words on what was done.
async fn done(request: &HttpRequest, state: Data<State>, words: &str) -> Result<HttpResponse, WebError> {
    if !is_fragment(request) {
        return Ok(page::see_other("/tasks"));
    }
    let mut response = pieces(&view(&state, true).await?, None)?;
    let said = serde_json::json!({ "hm-said": words }).to_string();
    if let Ok(value) = HeaderValue::from_str(&said) {
        response.headers_mut().insert(HeaderName::from_static("hx-trigger"), value);
    }
    Ok(response)
}

/// The queue, which all but looking needs.
pub(super) fn queue_of(state: &State) -> Result<&Queue, WebError> {
    state.queue.as_ref().ok_or_else(|| WebError::Unavailable("queue", "this server runs without one".to_owned()))
}

/// The queue did not do it.
pub(super) fn queue_failed(error: impl std::fmt::Display) -> WebError {
    WebError::Unavailable("queue", error.to_string())
}

/// Stops a lane or lets it go on.
///
/// # Errors
/// [`WebError::NotFound`] for a lane that nobody works on, [`WebError::Unavailable`] without a queue that answers.
pub(super) async fn turn_lane(state: &State, lane: &Lane, is_paused: bool) -> Result<(), WebError> {
    let queue = queue_of(state)?;
    let in_flight = InFlight::ask(queue).await.map_err(queue_failed)?;
    if !in_flight.lanes.contains(lane) {
        return Err(WebError::NotFound("lane"));
    }
    let turned = if is_paused { queue.pause_lane(lane).await } else { queue.resume_lane(lane).await };
    turned.map_err(queue_failed)
}

/// The lane that a form names.
fn lane_of(fields: &Fields) -> Result<Lane, WebError> {
    value_of(fields, "lane").unwrap_or_default().parse().map_err(|error| WebError::BadRequest(format!("`lane`: {error}")))
}

/// `POST /tasks/pause`: nobody takes more of a `lane`; what is being worked on is finished.
pub(super) async fn pause(request: HttpRequest, state: Data<State>, fields: Fields) -> Result<HttpResponse, WebError> {
    turn_lane(&state, &lane_of(&fields)?, true).await?;
    done(&request, state, "Paused. What is under way is finished.").await
}

/// `POST /tasks/resume`: a `lane` goes on.
pub(super) async fn resume(request: HttpRequest, state: Data<State>, fields: Fields) -> Result<HttpResponse, WebError> {
    turn_lane(&state, &lane_of(&fields)?, false).await?;
    done(&request, state, "Resumed.").await
}

/// `POST /tasks/retry`: what failed is tried again: of a `network` for one `error`, or one `image`; without any field all.
pub(super) async fn retry(request: HttpRequest, state: Data<State>, fields: Fields) -> Result<HttpResponse, WebError> {
    let number = |name: &'static str| match value_of(&fields, name).map(str::parse::<i64>) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(WebError::BadRequest(format!("`{name}` is expected to be an id"))),
    };
    let (network, image) = (number("network")?.map(NetworkId), number("image")?.map(ImageId));
    // Browsers send the end of a line as two characters.
    let error = value_of(&fields, "error").map(|error| error.replace("\r\n", "\n"));
    let again = again(network, error, image)?;
    let count = state.db.run(move |conn| results::retry(conn, &again)).await?;
    done(&request, state, &format!("{} will be looked at again.", photos(count as i64))).await
}

/// What is to be tried again.
pub(super) fn again(network: Option<NetworkId>, error: Option<String>, image: Option<ImageId>) -> Result<Retry, WebError> {
    match (network, error, image) {
        (Some(network), None, Some(image)) => Ok(Retry::One(network, image)),
        (network, error, None) if network.is_some() || error.is_none() => Ok(Retry::Failed(Failures { network, error })),
        _ => Err(WebError::BadRequest("`network` is expected beside `error` or `image`, which do not go together".to_owned())),
    }
}

/// The newest photos that pass a filter, as many as can be put first.
fn list_newest(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<ImageId>, QueryError> {
    let end = |year| NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default().and_time(NaiveTime::MIN);
    let oldest = Cursor { captured_at: end(1), image: ImageId(0) };
    list_ids_between(conn, filter, oldest, Cursor { captured_at: end(9999), image: ImageId(i64::MAX) }, MOST_FIRST)
}

/// `POST /tasks/first`: networks look at the photos of a search `q` before others.
pub(super) async fn first(request: HttpRequest, state: Data<State>, fields: Fields) -> Result<HttpResponse, WebError> {
    let filter: Filter = page::filter_of(&fields)?;
    if filter.is_all() {
        return Err(WebError::BadRequest("Say which photos come first: all of them is the order there is.".to_owned()));
    }
    let queue = queue_of(&state)?.clone();
    let images = state.db.run(move |conn| list_newest(conn, &filter)).await?;
    queue.want_findings(&images).await.map_err(queue_failed)?;
    let count = images.len() as i64;
    let words = match count {
        0 => "No photo passes this search.".to_owned(),
        MOST_FIRST => format!("The newest {} come first.", grouped(count)),
        _ => format!("{} first.", photos(count) + if count == 1 { " comes" } else { " come" }),
    };
    done(&request, state, &words).await
}
