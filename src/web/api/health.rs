//! `/healthz`: whether the server can do its work, for whoever restarts it.

use actix_web::{HttpResponse, http::header::CACHE_CONTROL, web::Data};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{db::status::ping, web::State};

/// How the server is.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok` or `failing`.
    status: &'static str,
    /// `ok` or what is wrong.
    database: String,
    /// `ok`, `none` (this server runs without one), or what is wrong.
    queue: String,
    version: &'static str,
    uptime_s: u64,
}

/// Whether database and queue answer.
#[utoipa::path(get, path = "/healthz", tag = "about", responses(
    (status = 200, description = "All is well", body = Health),
    (status = 503, description = "Something does not answer", body = Health),
))]
pub(in crate::web) async fn healthz(state: Data<State>) -> HttpResponse {
    let text = |result: Result<(), String>| result.map_or_else(|error| error, |()| "ok".to_owned());
    let database = text(state.db.run(ping).await.map_err(|error| error.to_string()));
    let queue = match state.ping_queue().await {
        None => "none".to_owned(),
        Some(result) => text(result),
    };
    let is_well = database == "ok" && matches!(queue.as_str(), "ok" | "none");
    let mut response = if is_well { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header((CACHE_CONTROL, "no-store")).json(Health {
        status: if is_well { "ok" } else { "failing" },
        database,
        queue,
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: state.started_at.elapsed().as_secs(),
    })
}
