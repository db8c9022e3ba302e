//! The JSON API: the same questions as the pages, under addresses and shapes that do not change within `/api/v1`.
//!
//! [`document`] describes it; a test holds the description, the list of addresses and the answers together.

mod apart;
mod duplicates;
mod edits;
mod export;
mod health;
mod history;
mod images;
mod library;
mod lists;
pub(super) mod map;
mod models;
mod outbox;
mod paging;
mod ranked;
mod regions;
mod searches;
mod segment;
mod tasks;
mod tracks;

use actix_web::{HttpResponse, http::header::CACHE_CONTROL};
use serde::Serialize;
use utoipa::OpenApi;

pub(super) use apart::{decide_apart, forget_decision, list_decisions};
pub(super) use duplicates::list_duplicates;
pub(super) use edits::{edit_image, edit_many};
pub(super) use export::export;
pub(super) use health::healthz;
pub(super) use history::{history, redo, redo_one, undo, undo_one};
pub(super) use images::{file, get_image, list_images, original, thumbnail};
pub(super) use library::get_library;
pub(super) use lists::{get_facets, get_timeline, list_all_folders, list_all_scans, list_all_vaults, start_scan};
pub(super) use map::get_map;
pub(super) use models::{list_models, model_file};
pub(super) use outbox::{outbox, resolve, retry};
pub(super) use regions::list_image_regions;
pub(super) use searches::{forget_search, list_all_searches, save_search};
pub(super) use segment::segment;
pub(super) use tasks::{list_tasks, pause_lane, resume_lane, retry_tasks};
pub(super) use tracks::place_by_track;

/// The description of the API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "hm",
        description = "A private photo library. Times of capture are local wall-clock times without an offset. \
        GET addresses answer HEAD too; any other method than those described is refused with status 405, code `method_not_allowed` \
        and the header `Allow`; OPTIONS answers 204 with `Allow`."
    ),
    paths(
        images::list_images,
        images::get_image,
        regions::list_image_regions,
        images::thumbnail,
        images::original,
        images::file,
        edits::edit_image,
        history::history,
        history::undo_one,
        history::redo_one,
        edits::edit_many,
        history::undo,
        history::redo,
        tracks::place_by_track,
        outbox::outbox,
        outbox::resolve,
        outbox::retry,
        export::export,
        library::get_library,
        duplicates::list_duplicates,
        apart::list_decisions,
        apart::decide_apart,
        apart::forget_decision,
        lists::get_timeline,
        lists::get_facets,
        map::get_map,
        models::list_models,
        models::model_file,
        lists::list_all_folders,
        lists::list_all_scans,
        lists::start_scan,
        lists::list_all_vaults,
        searches::list_all_searches,
        searches::save_search,
        searches::forget_search,
        segment::segment,
        tasks::list_tasks,
        tasks::retry_tasks,
        tasks::pause_lane,
        tasks::resume_lane,
        openapi_json,
        health::healthz,
        super::metrics::metrics,
    )
)]
struct Document;

/// The description of the API, as served.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "about", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn openapi_json() -> HttpResponse {
    json(&document())
}

/// Sends a value that may change at any time.
fn json(value: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "private, no-cache")).json(value)
}
