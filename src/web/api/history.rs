//! What was done to images: the history of one, and taking back and doing again an action or one change of it.

use actix_web::{
    HttpResponse,
    web::{Data, Path, Query},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::{IntoParams, ToSchema};

use super::{
    edits::bad,
    json,
    paging::{limit_of, page},
};
use crate::{
    db::edits::{HistoryEntry, Turn, Undone, list_history, turn_batch, turn_edit},
    models::{BatchId, ImageId},
    web::{
        State, WebError, Who,
        error::{ErrorBody, or_not_found},
    },
};

/// What came of taking an action back.
#[derive(Serialize, ToSchema)]
pub(super) struct UndoResult {
    /// Images that are as they were before.
    changed: usize,
    /// Changes left alone because the same field was changed since.
    skipped: usize,
}

impl From<Undone> for UndoResult {
    fn from(undone: Undone) -> Self {
        Self { changed: undone.changed, skipped: undone.skipped }
    }
}

async fn turn_many(state: &State, who: Who, batch: &str, turn: Turn) -> Result<HttpResponse, WebError> {
    let batch: BatchId = batch.parse().map_err(|_| WebError::NotFound("edit"))?;
    let turned = state.db.run(move |conn| turn_batch(conn, &who.name, batch, turn)).await.map_err(or_not_found("edit"))?;
    Ok(json(&UndoResult::from(turned)))
}

async fn turn_one(state: &State, who: Who, path: &(String, String), turn: Turn) -> Result<HttpResponse, WebError> {
    let image: ImageId = path.0.parse().map_err(|_| WebError::NotFound("image"))?;
    let edit: i64 = path.1.parse().map_err(|_| WebError::NotFound("edit"))?;
    let turned = state.db.run(move |conn| turn_edit(conn, &who.name, image, edit, turn)).await.map_err(or_not_found("edit"))?;
    Ok(json(&UndoResult::from(turned)))
}

/// Takes an action back. Fields that were changed since stay as they are.
#[utoipa::path(post, path = "/api/v1/edits/{batch}/undo", tag = "edits", params(("batch" = i64, Path)), responses(
    (status = 200, body = UndoResult),
    (status = 403, description = "Sent by another site", body = ErrorBody),
    (status = 404, description = "No such action", body = ErrorBody),
))]
pub(in crate::web) async fn undo(state: Data<State>, who: Who, batch: Path<String>) -> Result<HttpResponse, WebError> {
    turn_many(&state, who, &batch, Turn::Back).await
}

/// Does again what was taken back of an action.
#[utoipa::path(post, path = "/api/v1/edits/{batch}/redo", tag = "edits", params(("batch" = i64, Path)), responses(
    (status = 200, body = UndoResult),
    (status = 403, description = "Sent by another site", body = ErrorBody),
    (status = 404, description = "No such action", body = ErrorBody),
))]
pub(in crate::web) async fn redo(state: Data<State>, who: Who, batch: Path<String>) -> Result<HttpResponse, WebError> {
    turn_many(&state, who, &batch, Turn::Again).await
}

/// Takes one change of one image back, whatever its action did beside it. A field that was changed since stays as it is.
#[utoipa::path(post, path = "/api/v1/images/{id}/history/{edit}/undo", tag = "edits",
    params(("id" = i64, Path), ("edit" = i64, Path, description = "`id` of a line of the history")),
    responses(
        (status = 200, body = UndoResult),
        (status = 403, description = "Sent by another site", body = ErrorBody),
        (status = 404, description = "The image has no such change", body = ErrorBody),
    )
)]
pub(in crate::web) async fn undo_one(state: Data<State>, who: Who, path: Path<(String, String)>) -> Result<HttpResponse, WebError> {
    turn_one(&state, who, &path, Turn::Back).await
}

/// Does one change of one image again that was taken back.
#[utoipa::path(post, path = "/api/v1/images/{id}/history/{edit}/redo", tag = "edits",
    params(("id" = i64, Path), ("edit" = i64, Path, description = "`id` of a line of the history")),
    responses(
        (status = 200, body = UndoResult),
        (status = 403, description = "Sent by another site", body = ErrorBody),
        (status = 404, description = "The image has no such change", body = ErrorBody),
    )
)]
pub(in crate::web) async fn redo_one(state: Data<State>, who: Who, path: Path<(String, String)>) -> Result<HttpResponse, WebError> {
    turn_one(&state, who, &path, Turn::Again).await
}

/// Where a page of the history starts and how long it is.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct HistoryQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most entries of a page.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500, default = 100)]
    limit: Option<String>,
}

/// What was done to an image.
#[derive(Serialize, ToSchema)]
pub(super) struct History {
    /// Newest first.
    entries: Vec<HistoryLine>,
    /// Pass it as `cursor` for the next older page; null at the end.
    next_cursor: Option<i64>,
}

/// One change of one field.
#[derive(Serialize, ToSchema)]
pub(super) struct HistoryLine {
    id: i64,
    /// The action it was part of.
    batch: i64,
    #[schema(example = "rating")]
    field: String,
    /// What was shown until then, in the form the field has when it is set.
    before: Json,
    /// What is shown from then on.
    after: Json,
    /// A person, `outside` (another program changed the vault) or `merge` (images became one).
    author: String,
    made_at: DateTime<Utc>,
    /// When it was taken back; null while it holds.
    undone_at: Option<DateTime<Utc>>,
    undone_by: Option<String>,
}

impl From<HistoryEntry> for HistoryLine {
    fn from(entry: HistoryEntry) -> Self {
        let (undone_at, undone_by) = entry.undone.unzip();
        Self {
            id: entry.id,
            batch: entry.batch.0,
            field: entry.after.field().name().to_owned(),
            before: entry.before.to_json(),
            after: entry.after.to_json(),
            author: entry.author,
            made_at: entry.made_at,
            undone_at,
            undone_by,
        }
    }
}

/// Who changed what about an image, and when.
#[utoipa::path(get, path = "/api/v1/images/{id}/history", tag = "edits", params(("id" = i64, Path), HistoryQuery), responses(
    (status = 200, body = History),
    (status = 404, description = "No such image", body = ErrorBody),
))]
pub(in crate::web) async fn history(state: Data<State>, id: Path<String>, query: Query<HistoryQuery>) -> Result<HttpResponse, WebError> {
    let image: ImageId = id.parse().map_err(|_| WebError::NotFound("image"))?;
    let limit = limit_of(query.limit.as_deref())?;
    let cursor = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let before: Option<i64> =
        cursor.map(|cursor| cursor.parse().map_err(|_| bad(format!("`cursor={cursor}` is not understood")))).transpose()?;
    let found = state.db.run(move |conn| {
        crate::db::image::find_cursor(conn, image)?;
        list_history(conn, image, before, limit + 1)
    });
    let (entries, has_more) = page(found.await.map_err(or_not_found("image"))?, limit);
    let next_cursor = entries.last().filter(|_| has_more).map(|entry| entry.id);
    Ok(json(&History { entries: entries.into_iter().map(HistoryLine::from).collect(), next_cursor }))
}
