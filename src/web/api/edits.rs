//! Changing images: one with `PATCH`, many with `POST /api/v1/edits`, taking it back, the history, and the outbox.

use actix_web::{
    HttpResponse,
    web::{self, Data, Path, Query},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::{IntoParams, ToSchema};

use super::{images::ImageDetail, json};
use crate::{
    db::{
        edits::{
            Batch, HistoryEntry, Keep, OutboxCursor, OutboxEntry, Selection, Undone, apply_edits, count_outbox, list_history, list_outbox,
            redo_batch, resolve_conflict, retry_failed, undo_batch,
        },
        image::find_image,
    },
    models::{
        BatchId, Filter, ImageId,
        edit::{Change, EditError, Field, Keywords, Value, WriteState},
    },
    web::{
        State, WebError, Who,
        error::{ErrorBody, or_not_found},
    },
};

/// Entries of a page.
const PAGE: i64 = 100;
const MOST_ENTRIES: i64 = 500;

impl From<EditError> for WebError {
    fn from(error: EditError) -> Self {
        Self::BadRequest(error.to_string())
    }
}

/// What to say about an image from now on; what is left out stays.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what models::edit::Value reads")]
pub(super) struct ImagePatch {
    /// -1 rejected, 0 unrated, 1 to 5 stars; null says nothing.
    #[schema(minimum = -1, maximum = 5)]
    rating: Option<i8>,
    /// `none`, `pending` or `picked`.
    pick: Option<String>,
    /// `none`, `red`, `yellow`, `green`, `blue` or `purple`.
    color_label: Option<String>,
    title: Option<String>,
    description: Option<String>,
    /// All of them, `|` between levels; every level becomes a flat keyword too.
    #[schema(example = json!(["lake", "vehicle|car"]))]
    keywords: Option<Vec<String>>,
    gps: Option<GpsPatch>,
    /// Local time, with the offset from UTC where known.
    #[schema(example = "2019-08-03T12:33:00+02:00")]
    captured_at: Option<String>,
    place: Option<PlacePatch>,
}

/// A place on earth, WGS 84.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what models::edit::Value reads")]
pub(super) struct GpsPatch {
    #[schema(minimum = -90, maximum = 90)]
    latitude_deg: f64,
    #[schema(minimum = -180, maximum = 180)]
    longitude_deg: f64,
    altitude_m: Option<f64>,
}

/// The names of a place; what is left out is removed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what models::edit::Value reads")]
pub(super) struct PlacePatch {
    city: Option<String>,
    /// State, province or region.
    state: Option<String>,
    country: Option<String>,
    /// ISO 3166, two or three letters.
    country_code: Option<String>,
}

/// One action on many images; one of `images` and `filter` says on which.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what edit_many reads")]
pub(super) struct EditRequest {
    /// Ids.
    images: Option<Vec<i64>>,
    /// The keys of a filter as in the address of the list of images; `{}` means all images.
    #[schema(value_type = Option<Object>, example = json!({"year": 2019, "rating": 4}))]
    filter: Option<Json>,
    /// Only beside `filter`: ids of images that are left out.
    except: Option<Vec<i64>>,
    /// As for one image.
    set: Option<ImagePatch>,
    /// More or fewer stars, from 0 to 5.
    #[schema(minimum = -5, maximum = 5)]
    step_rating: Option<i8>,
    /// Added to the keywords that are there.
    add_keywords: Option<Vec<String>>,
    /// Removed from them: a tree with all below it, a word wherever it stands.
    remove_keywords: Option<Vec<String>>,
    /// Seconds by which the time of capture moves, to the future or back.
    shift_time_s: Option<i64>,
    /// Names the zone in minutes east of UTC, or null to take it away; the time on the clock stays.
    set_offset_minutes: Option<i16>,
    /// Names the place as the coordinates are called (`gps_place`), where no file and nobody has named it: from then on that is what
    /// the owner says, and goes into sidecars as any other edit.
    name_places: Option<bool>,
}

/// What came of an action.
#[derive(Serialize, ToSchema)]
pub(super) struct EditResult {
    /// Names it, to undo it; null when nothing changed.
    batch: Option<i64>,
    /// Images that are different now.
    changed: usize,
    /// Images that said so already.
    unchanged: usize,
    /// Ids that no image has.
    missing: usize,
}

impl From<Batch> for EditResult {
    fn from(batch: Batch) -> Self {
        Self { batch: batch.id.map(|id| id.0), changed: batch.changed, unchanged: batch.unchanged, missing: batch.missing }
    }
}

/// An image as it is after an edit.
#[derive(Serialize, ToSchema)]
pub(super) struct EditedImage {
    /// Names the edit, to undo it; null when nothing changed.
    batch: Option<i64>,
    image: ImageDetail,
}

fn bad(problem: impl Into<String>) -> WebError {
    WebError::BadRequest(problem.into())
}

/// Reads the body as a JSON object with none but these keys.
fn object(body: &[u8], known: &[&str]) -> Result<Map<String, Json>, WebError> {
    let parsed: Json = serde_json::from_slice(body).map_err(|error| bad(format!("The body is not readable JSON: {error}")))?;
    let Json::Object(object) = parsed else { return Err(bad("The body is expected to be a JSON object.")) };
    only(&object, known)?;
    Ok(object)
}

fn only(object: &Map<String, Json>, known: &[&str]) -> Result<(), WebError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(bad(format!("`{key}` is not known: expected any of {}", list(known)))),
        None => Ok(()),
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn field_names() -> Vec<&'static str> {
    Field::ALL.iter().map(|field| field.name()).collect()
}

/// The changes that a patch asks for.
fn patch(object: &Map<String, Json>) -> Result<Vec<Change>, WebError> {
    let fields = Field::ALL.iter().filter_map(|field| Some((*field, object.get(field.name())?)));
    Ok(fields.map(|(field, json)| Value::from_json(field, json).map(Change::Set)).collect::<Result<_, _>>()?)
}

fn nothing_to_change() -> WebError {
    bad(format!("There is nothing to change: expected any of {}", list(&field_names())))
}

/// Changes one image.
#[utoipa::path(patch, path = "/api/v1/images/{id}", tag = "edits", params(("id" = i64, Path)), request_body = ImagePatch, responses(
    (status = 200, body = EditedImage),
    (status = 400, description = "A value that makes no sense; the message names the field", body = ErrorBody),
    (status = 403, description = "Sent by another site", body = ErrorBody),
    (status = 404, description = "No such image", body = ErrorBody),
))]
pub(in crate::web) async fn edit_image(state: Data<State>, who: Who, id: Path<String>, body: web::Bytes) -> Result<HttpResponse, WebError> {
    let image: ImageId = id.parse().map_err(|_| WebError::NotFound("image"))?;
    let changes = patch(&object(&body, &field_names())?)?;
    if changes.is_empty() {
        return Err(nothing_to_change());
    }
    let edited = state.db.run(move |conn| match apply_edits(conn, &who.name, &Selection::Images(vec![image]), &changes)? {
        Ok(batch) => find_image(conn, image).map(|page| Ok((batch, page))),
        Err(error) => Ok(Err(error)),
    });
    let (batch, page) = edited.await.map_err(or_not_found("image"))??;
    Ok(json(&EditedImage { batch: batch.id.map(|id| id.0), image: ImageDetail::from(page) }))
}

/// Does one action to many images, whole or not at all.
#[utoipa::path(post, path = "/api/v1/edits", tag = "edits", request_body = EditRequest, responses(
    (status = 200, body = EditResult),
    (status = 400, description = "A value that makes no sense; the message names the field", body = ErrorBody),
    (status = 403, description = "Sent by another site", body = ErrorBody),
))]
pub(in crate::web) async fn edit_many(state: Data<State>, who: Who, body: web::Bytes) -> Result<HttpResponse, WebError> {
    const KEYS: [&str; 10] = [
        "images",
        "filter",
        "except",
        "set",
        "step_rating",
        "add_keywords",
        "remove_keywords",
        "shift_time_s",
        "set_offset_minutes",
        "name_places",
    ];
    let request = object(&body, &KEYS)?;
    let selection = selection(&request)?;
    let changes = changes(&request)?;
    if changes.is_empty() {
        return Err(nothing_to_change());
    }
    let batch = state.db.run(move |conn| apply_edits(conn, &who.name, &selection, &changes)).await??;
    Ok(json(&EditResult::from(batch)))
}

fn selection(request: &Map<String, Json>) -> Result<Selection, WebError> {
    let ids = |key: &str, list: &Json| -> Result<Vec<ImageId>, WebError> {
        let ids: Vec<i64> = Vec::deserialize(list).map_err(|_| bad(format!("`{key}` is expected to be a list of ids")))?;
        Ok(ids.into_iter().map(ImageId).collect())
    };
    let except = request.get("except").map(|list| ids("except", list)).transpose()?;
    match (request.get("images"), request.get("filter")) {
        (Some(images), None) if except.is_none() => Ok(Selection::Images(ids("images", images)?)),
        (Some(_), None) => Err(bad("`except` is expected only beside `filter`")),
        (None, Some(Json::Object(filter))) => {
            only(filter, &Filter::KEYS)?;
            let text = |value: &Json| match value {
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            let pairs: Vec<(&str, String)> = filter.iter().map(|(key, value)| (key.as_str(), text(value))).collect();
            let filter = Filter::from_pairs(pairs.iter().map(|(key, value)| (*key, value.as_str())))?;
            Ok(match except {
                Some(except) => Selection::AllBut(filter, except),
                None => Selection::Filter(filter),
            })
        }
        (None, Some(_)) => Err(bad("`filter` is expected to be an object, such as {\"year\": 2019}")),
        _ => Err(bad("One of `images` and `filter` is expected, to say which images are meant")),
    }
}

fn changes(request: &Map<String, Json>) -> Result<Vec<Change>, WebError> {
    let mut changes = Vec::new();
    match request.get("set") {
        None => {}
        Some(Json::Object(set)) => {
            only(set, &field_names())?;
            changes.extend(patch(set)?);
        }
        Some(_) => return Err(bad("`set` is expected to be an object, such as {\"rating\": 4}")),
    }
    if let Some(by) = request.get("step_rating") {
        let by = by.as_i64().and_then(|by| i8::try_from(by).ok()).filter(|by| (-5..=5).contains(by));
        changes.push(Change::StepRating(by.ok_or_else(|| bad("`step_rating` is expected to be a whole number from -5 to 5"))?));
    }
    type OfKeywords = fn(Keywords) -> Change;
    let keys: [(&str, OfKeywords); 2] = [("remove_keywords", Change::RemoveKeywords), ("add_keywords", Change::AddKeywords)];
    for (key, change) in keys {
        if let Some(keywords) = request.get(key) {
            changes.push(change(
                Keywords::deserialize(keywords).map_err(|error| bad(format!("`{key}` is expected to be a list of keywords: {error}")))?,
            ));
        }
    }
    if let Some(seconds) = request.get("shift_time_s") {
        let by = seconds.as_i64().and_then(TimeDelta::try_seconds);
        changes.push(Change::ShiftTime(by.ok_or_else(|| bad("`shift_time_s` is expected to be a whole number of seconds"))?));
    }
    if let Some(minutes) = request.get("set_offset_minutes") {
        let offset = Option::deserialize(minutes).map_err(|_| bad("`set_offset_minutes` is expected to be a whole number or null"))?;
        changes.push(Change::SetOffset(offset));
    }
    match request.get("name_places") {
        None | Some(Json::Bool(false)) => {}
        Some(Json::Bool(true)) => changes.push(Change::NamePlace),
        Some(_) => return Err(bad("`name_places` is expected to be true or false")),
    }
    Ok(changes)
}

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

fn batch_id(batch: &Path<String>) -> Result<BatchId, WebError> {
    batch.parse().map_err(|_| WebError::NotFound("edit"))
}

/// Takes an action back. Fields that were changed since stay as they are.
#[utoipa::path(post, path = "/api/v1/edits/{batch}/undo", tag = "edits", params(("batch" = i64, Path)), responses(
    (status = 200, body = UndoResult),
    (status = 403, description = "Sent by another site", body = ErrorBody),
    (status = 404, description = "No such action", body = ErrorBody),
))]
pub(in crate::web) async fn undo(state: Data<State>, who: Who, batch: Path<String>) -> Result<HttpResponse, WebError> {
    let batch = batch_id(&batch)?;
    let undone = state.db.run(move |conn| undo_batch(conn, &who.name, batch)).await.map_err(or_not_found("edit"))?;
    Ok(json(&UndoResult::from(undone)))
}

/// Does again what was taken back of an action.
#[utoipa::path(post, path = "/api/v1/edits/{batch}/redo", tag = "edits", params(("batch" = i64, Path)), responses(
    (status = 200, body = UndoResult),
    (status = 403, description = "Sent by another site", body = ErrorBody),
    (status = 404, description = "No such action", body = ErrorBody),
))]
pub(in crate::web) async fn redo(state: Data<State>, batch: Path<String>) -> Result<HttpResponse, WebError> {
    let batch = batch_id(&batch)?;
    let redone = state.db.run(move |conn| redo_batch(conn, batch)).await.map_err(or_not_found("edit"))?;
    Ok(json(&UndoResult::from(redone)))
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

fn limit_of(limit: Option<&str>) -> Result<i64, WebError> {
    let Some(limit) = limit.filter(|limit| !limit.is_empty()) else { return Ok(PAGE) };
    let number = limit.parse().ok().filter(|limit| (1..=MOST_ENTRIES).contains(limit));
    number.ok_or_else(|| bad(format!("`limit={limit}` is not understood: expected a number from 1 to {MOST_ENTRIES}")))
}

/// Parts a page from the one entry more that was asked for.
fn page<T>(mut entries: Vec<T>, limit: i64) -> (Vec<T>, bool) {
    let has_more = entries.len() as i64 > limit;
    entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    (entries, has_more)
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
