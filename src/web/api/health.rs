//! `/healthz`: whether the server can do its work, for whoever restarts it. Anybody may ask; why something fails, which may name hosts
//! and users, is told to who is signed in, and to the log.

use std::time::Duration;

use actix_web::{HttpResponse, http::header::CACHE_CONTROL, web::Data};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    models::account::Role,
    web::{State, session},
};

/// How long database and queue may take to answer; both are asked at the same time. Whoever restarts the server waits for no more.
const PATIENCE: Duration = Duration::from_millis(1_500);

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

/// Whether database and queue answer; told within two seconds.
#[utoipa::path(get, path = "/healthz", tag = "about", responses(
    (status = 200, description = "All is well", body = Health),
    (status = 503, description = "Something does not answer", body = Health),
))]
pub(in crate::web) async fn healthz(state: Data<State>) -> HttpResponse {
    let may_know = session::current().is_some_and(|who| who.role >= Role::Viewer);
    let text = |service: &str, result: Result<(), String>| match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => {
            tracing::warn!(service, error, "a service that the server needs does not answer");
            if may_know { error } else { "failing".to_owned() }
        }
    };
    let queue = async {
        let silent = |_| Some(Err(format!("no answer within {PATIENCE:?}")));
        tokio::time::timeout(PATIENCE, state.ping_queue()).await.unwrap_or_else(silent)
    };
    let (database, queue) = tokio::join!(state.db.ping(PATIENCE), queue);
    let database = text("database", database.map_err(|error| error.to_string()));
    let queue = match queue {
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
