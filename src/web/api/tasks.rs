//! What networks do, as numbers, and the buttons of `/tasks`.

use actix_web::{
    HttpResponse,
    web::{self, Data},
};
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::{
    edits::{bad, object},
    json,
};
use crate::{
    db::results,
    models::{ImageId, NetworkId, task::Lane},
    queue::WorkerView,
    web::{
        State, WebError,
        error::ErrorBody,
        tasks::{Failed, again, failed, numbers::LaneNumbers, turn_lane},
    },
};

/// What networks do.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskList {
    lanes: Vec<LaneState>,
    /// Those heard of lately.
    workers: Vec<WorkerState>,
    /// Why the queue says nothing; null while it does. Then only what the database counts is known of lanes.
    queue_trouble: Option<String>,
    /// Why a lane cannot be worked on although there is a network for it, and the way out; null when nothing is wrong.
    problem: Option<String>,
    /// The twenty reasons of most images, most first.
    failures: Vec<FailureState>,
}

/// Tasks of one kind for one network.
#[derive(Serialize, ToSchema)]
pub(super) struct LaneState {
    /// Names it: `KIND/NETWORK@VERSION`.
    #[schema(example = "embed/clip-vit-b-32@0a1b2c3d4e5f")]
    lane: String,
    /// What people call the network.
    title: String,
    /// Images without an answer that nobody works on.
    waiting: i64,
    /// Tasks that a worker holds.
    running: u64,
    /// Images that were answered for.
    done: i64,
    /// Images given up.
    failed: i64,
    /// Of those that wait, what is in the queue.
    queued: QueuedState,
    /// Answers a second, over the last minutes.
    rate_per_s: f64,
    /// Seconds until nothing is lacking, at that pace; null while nothing moves.
    seconds_left: Option<f64>,
    is_paused: bool,
    /// Workers that take it.
    workers: usize,
}

/// What waits in the queue, in the order in which it is given out.
#[derive(Serialize, ToSchema)]
pub(super) struct QueuedState {
    /// Somebody looks at the image, or asked for it.
    screen: u64,
    /// Among the newest of the library.
    new: u64,
    backlog: u64,
    /// To be tried again soon.
    delayed: u64,
}

/// A program that runs networks.
#[derive(Serialize, ToSchema)]
pub(super) struct WorkerState {
    id: String,
    name: String,
    host: String,
    device: String,
    /// Of the device; null where it is not known.
    memory_bytes: Option<u64>,
    /// Images at a time.
    batch_size: u32,
    /// The lanes that it takes.
    lanes: Vec<String>,
    /// Tasks that it holds.
    running: u64,
    /// Answers of it that are stored.
    done: u64,
    failed: u64,
    rate_per_s: f64,
    /// Since its last sign of life.
    silent_s: f64,
    /// Whether it was silent for less than a lease; else what it held goes to others.
    is_alive: bool,
}

/// What failed for one reason.
#[derive(Serialize, ToSchema)]
pub(super) struct FailureState {
    /// Number of the network, for trying again.
    network: i64,
    lane: String,
    error: String,
    /// Images that failed so.
    count: i64,
    /// A few of them.
    images: Vec<i64>,
}

impl From<&LaneNumbers> for LaneState {
    fn from(lane: &LaneNumbers) -> Self {
        let [screen, new, backlog] = lane.queued;
        Self {
            lane: lane.lane.to_string(),
            title: lane.title.clone(),
            waiting: lane.waiting(),
            running: lane.running,
            done: lane.done,
            failed: lane.failed,
            queued: QueuedState { screen, new, backlog, delayed: lane.delayed },
            rate_per_s: lane.rate_per_s,
            seconds_left: lane.seconds_left(),
            is_paused: lane.is_paused,
            workers: lane.workers,
        }
    }
}

impl From<&WorkerView> for WorkerState {
    fn from(worker: &WorkerView) -> Self {
        let card = &worker.card;
        Self {
            id: card.id.clone(),
            name: card.name.clone(),
            host: card.host.clone(),
            device: card.device.clone(),
            memory_bytes: card.memory_bytes,
            batch_size: card.batch_size,
            lanes: card.lanes.iter().map(ToString::to_string).collect(),
            running: worker.running,
            done: worker.done,
            failed: worker.failed,
            rate_per_s: worker.rate_per_s,
            silent_s: worker.silent.as_secs_f64(),
            is_alive: worker.is_alive,
        }
    }
}

impl From<&Failed> for FailureState {
    fn from((group, images): &Failed) -> Self {
        Self {
            network: group.network.0,
            lane: group.lane.to_string(),
            error: group.error.clone(),
            count: group.images,
            images: images.iter().map(|image| image.image.0).collect(),
        }
    }
}

/// What networks do: lanes, workers, and what failed.
#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", responses((status = 200, body = TaskList)))]
pub(in crate::web) async fn list_tasks(state: Data<State>) -> Result<HttpResponse, WebError> {
    let numbers = state.task_numbers().await?;
    let groups = state.db.run(failed).await?;
    Ok(json(&TaskList {
        lanes: numbers.lanes.iter().map(LaneState::from).collect(),
        workers: numbers.workers.iter().map(WorkerState::from).collect(),
        queue_trouble: numbers.queue_trouble,
        problem: numbers.problem,
        failures: groups.iter().map(FailureState::from).collect(),
    }))
}

/// Which lane.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what pause_lane and resume_lane read")]
pub(super) struct WhichLane {
    #[schema(example = "embed/clip-vit-b-32@0a1b2c3d4e5f")]
    lane: String,
}

/// Whether it is stopped now.
#[derive(Serialize, ToSchema)]
pub(super) struct LaneTurned {
    lane: String,
    is_paused: bool,
}

/// Stops a lane: nobody takes more of it, and what is under way is finished.
#[utoipa::path(post, path = "/api/v1/tasks/pause", tag = "tasks", request_body = WhichLane, responses(
    (status = 200, body = LaneTurned),
    (status = 400, description = "A key that is not understood", body = ErrorBody),
    (status = 403, description = "Sent by another site", body = ErrorBody),
    (status = 404, description = "No such lane", body = ErrorBody),
    (status = 503, description = "The queue does not answer", body = ErrorBody),
))]
pub(in crate::web) async fn pause_lane(state: Data<State>, body: web::Bytes) -> Result<HttpResponse, WebError> {
    turned(&state, &body, true).await
}

/// Lets a lane go on.
#[utoipa::path(post, path = "/api/v1/tasks/resume", tag = "tasks", request_body = WhichLane, responses(
    (status = 200, body = LaneTurned),
    (status = 400, description = "A key that is not understood", body = ErrorBody),
    (status = 403, description = "Sent by another site", body = ErrorBody),
    (status = 404, description = "No such lane", body = ErrorBody),
    (status = 503, description = "The queue does not answer", body = ErrorBody),
))]
pub(in crate::web) async fn resume_lane(state: Data<State>, body: web::Bytes) -> Result<HttpResponse, WebError> {
    turned(&state, &body, false).await
}

async fn turned(state: &State, body: &[u8], is_paused: bool) -> Result<HttpResponse, WebError> {
    let request = object(body, &["lane"])?;
    let lane = request.get("lane").and_then(Json::as_str).ok_or_else(|| bad("`lane` is expected to be the name of a lane"))?;
    let lane: Lane = lane.parse().map_err(|error| bad(format!("`lane`: {error}")))?;
    turn_lane(state, &lane, is_paused).await?;
    Ok(json(&LaneTurned { lane: lane.to_string(), is_paused }))
}

/// What is tried again: `{}` everything that failed, `network` all of a network, with `error` what failed for that reason, with `image` that
/// one, whatever came of it before.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what retry_tasks reads")]
pub(super) struct WhichTasks {
    /// Number of the network, as in `failures`.
    network: Option<i64>,
    error: Option<String>,
    /// Id of an image.
    image: Option<i64>,
}

/// How much will be tried again.
#[derive(Serialize, ToSchema)]
pub(super) struct RetriedTasks {
    /// Images that lack an answer again.
    images: usize,
}

/// Lets what failed be tried again.
#[utoipa::path(post, path = "/api/v1/tasks/retry", tag = "tasks", request_body = WhichTasks, responses(
    (status = 200, body = RetriedTasks),
    (status = 400, description = "A key that is not understood", body = ErrorBody),
    (status = 403, description = "Sent by another site", body = ErrorBody),
))]
pub(in crate::web) async fn retry_tasks(state: Data<State>, body: web::Bytes) -> Result<HttpResponse, WebError> {
    let request = object(&body, &["network", "error", "image"])?;
    let id = |key: &str| match request.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(id) => id.as_i64().map(Some).ok_or_else(|| bad(format!("`{key}` is expected to be an id"))),
    };
    let error = match request.get("error") {
        None | Some(Json::Null) => None,
        Some(error) => Some(error.as_str().ok_or_else(|| bad("`error` is expected to be text"))?.to_owned()),
    };
    let again = again(id("network")?.map(NetworkId), error, id("image")?.map(ImageId))?;
    let images = state.db.run(move |conn| results::retry(conn, &again)).await?;
    Ok(json(&RetriedTasks { images }))
}
