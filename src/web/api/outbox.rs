//! The outbox: what is on its way to the sidecars, conflicts and their end, and trying again.

use actix_web::{
    HttpResponse,
    web::{self, Data, Query},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::{IntoParams, ToSchema};

use super::{
    edits::{bad, field_names, list, object},
    json,
    paging::{limit_of, page},
};
use crate::{
    db::edits::{Keep, OutboxCursor, OutboxEntry, count_outbox, list_outbox, resolve_conflict, retry_failed},
    models::{
        ImageId,
        edit::{Field, Value, WriteState},
    },
    web::{
        State, WebError, Who,
        error::{ErrorBody, or_not_found},
    },
};

/// Which part of the outbox.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct OutboxQuery {
    /// `pending`, `failed`, `conflict` or `written`; all but `written` where it is left out.
    state: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most entries of a page.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500, default = 100)]
    limit: Option<String>,
}

/// What waits to be written into sidecars, what failed, and what needs a choice.
#[derive(Serialize, ToSchema)]
pub(super) struct Outbox {
    /// Fields to be written.
    pending: i64,
    /// Fields that could not be written; they are tried again.
    failed: i64,
    /// Fields of which library and vault say different things that are both new.
    conflict: i64,
    /// By image and field.
    entries: Vec<OutboxLine>,
    /// Pass it as `cursor` for the next page; null at the end.
    next_cursor: Option<String>,
}

/// One field of one image.
#[derive(Serialize, ToSchema)]
pub(super) struct OutboxLine {
    image: i64,
    base_name: String,
    vault: String,
    /// Inside the vault: the sidecar that it goes into, or the photograph where no sidecar is there yet; null where no file is known.
    #[schema(example = "2019/08/03/IMG_4711.CR2.xmp")]
    path: Option<String>,
    #[schema(example = "rating")]
    field: String,
    /// `pending`, `failed`, `conflict` or `written`.
    state: String,
    /// What the person says: what is shown.
    value: Json,
    /// What the vault said when it was last compared; null where nobody knows.
    base: Json,
    /// In a conflict, what the vault says instead.
    outside: Json,
    /// Why it failed.
    reason: Option<String>,
    /// Failures since the value was set.
    attempts: i32,
    updated_at: DateTime<Utc>,
}

impl From<OutboxEntry> for OutboxLine {
    fn from(entry: OutboxEntry) -> Self {
        let standing = entry.standing;
        let optional = |value: Option<Value>| value.map_or(Json::Null, |value| value.to_json());
        Self {
            image: entry.image.0,
            base_name: entry.base_name,
            vault: entry.vault_name,
            path: entry.path,
            field: standing.value.field().name().to_owned(),
            state: standing.state.name().to_owned(),
            value: standing.value.to_json(),
            base: optional(standing.base),
            outside: optional(standing.outside),
            reason: entry.reason,
            attempts: entry.attempts,
            updated_at: entry.updated_at,
        }
    }
}

/// What is on its way to the sidecars, field by field.
#[utoipa::path(get, path = "/api/v1/outbox", tag = "outbox", params(OutboxQuery), responses(
    (status = 200, body = Outbox),
    (status = 400, description = "A key that is not understood", body = ErrorBody),
))]
pub(in crate::web) async fn outbox(state: Data<State>, query: Query<OutboxQuery>) -> Result<HttpResponse, WebError> {
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let wanted: Option<WriteState> = given(&query.state)
        .map(|state| {
            let names: Vec<&str> = WriteState::ALL.iter().map(|state| state.name()).collect();
            state.parse().map_err(|_| bad(format!("`state={state}` is not understood: expected one of {}", list(&names))))
        })
        .transpose()?;
    let after: Option<OutboxCursor> = given(&query.cursor)
        .map(|cursor| cursor.parse().map_err(|expected| bad(format!("`cursor={cursor}` is not understood: expected {expected}"))))
        .transpose()?;
    let limit = limit_of(query.limit.as_deref())?;
    let (counted, entries) = state
        .db
        .run(move |conn| Ok::<_, crate::db::QueryError>((count_outbox(conn)?, list_outbox(conn, wanted, after, limit + 1)?)))
        .await?;
    let (entries, has_more) = page(entries, limit);
    Ok(json(&Outbox {
        pending: counted.pending,
        failed: counted.failed,
        conflict: counted.conflict,
        next_cursor: entries.last().filter(|_| has_more).map(|entry| entry.cursor().to_string()),
        entries: entries.into_iter().map(OutboxLine::from).collect(),
    }))
}

/// Which side of a conflict holds.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what resolve reads")]
pub(super) struct Resolution {
    image: i64,
    #[schema(example = "rating")]
    field: String,
    /// `ours` (it will be written over the vault's) or `theirs`.
    keep: String,
}

/// A conflict is over.
#[derive(Serialize, ToSchema)]
pub(super) struct Resolved {
    /// Names the choice, to undo it; null where both sides had come to say the same.
    batch: Option<i64>,
}

/// Ends a conflict.
#[utoipa::path(post, path = "/api/v1/outbox/resolve", tag = "outbox", request_body = Resolution, responses(
    (status = 200, body = Resolved),
    (status = 400, description = "A key that is not understood", body = ErrorBody),
    (status = 403, description = "Sent by another site", body = ErrorBody),
    (status = 404, description = "No such conflict any more", body = ErrorBody),
))]
pub(in crate::web) async fn resolve(state: Data<State>, who: Who, body: web::Bytes) -> Result<HttpResponse, WebError> {
    let request = object(&body, &["image", "field", "keep"])?;
    let image = request.get("image").and_then(Json::as_i64).map(ImageId).ok_or_else(|| bad("`image` is expected to be an id"))?;
    let text = |key: &str| request.get(key).and_then(Json::as_str).unwrap_or_default();
    let field: Field = text("field").parse().map_err(|_| bad(format!("`field` is expected to be one of {}", list(&field_names()))))?;
    let keep = match text("keep") {
        "ours" => Keep::Ours,
        "theirs" => Keep::Theirs,
        _ => return Err(bad("`keep` is expected to be `ours` or `theirs`")),
    };
    let batch = state.db.run(move |conn| resolve_conflict(conn, &who.name, image, field, keep)).await.map_err(or_not_found("conflict"))?;
    Ok(json(&Resolved { batch: batch.map(|id| id.0) }))
}

/// How much will be tried again.
#[derive(Serialize, ToSchema)]
pub(super) struct Retried {
    fields: usize,
}

/// Lets everything that failed be tried again now.
#[utoipa::path(post, path = "/api/v1/outbox/retry", tag = "outbox", responses(
    (status = 200, body = Retried),
    (status = 403, description = "Sent by another site", body = ErrorBody),
))]
pub(in crate::web) async fn retry(state: Data<State>) -> Result<HttpResponse, WebError> {
    let fields = state.db.run(|conn| retry_failed(conn, None)).await?;
    Ok(json(&Retried { fields }))
}
