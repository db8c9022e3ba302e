//! `/healthz`: whether the server can do its work, for whoever restarts it. Anybody may ask; why something fails, which may name hosts
//! and users, is told to who is signed in, and to the log.

use actix_web::{HttpResponse, http::header::CACHE_CONTROL, web::Data};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    db::status::ping,
    web::{State, session},
};

/// How the server is.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok` or `failing`.
    status: &'static str,
    /// `ok` or `failing`; what is wrong, for who is signed in.
    database: String,
    /// `ok`, `none` (this server runs without one), or `failing`; what is wrong, for who is signed in.
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
    let may_know = session::current().is_some();
    let text = |service: &str, result: Result<(), String>| match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => {
            tracing::warn!(service, error, "a service that the server needs does not answer");
            if may_know { error } else { "failing".to_owned() }
        }
    };
    let database = text("database", state.db.run(ping).await.map_err(|error| error.to_string()));
    let queue = match state.ping_queue().await {
        None => "none".to_owned(),
        Some(result) => text("queue", result),
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
