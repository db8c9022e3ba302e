//! Changing images: one with `PATCH`, many with `POST /api/v1/edits`.

use actix_web::{
    HttpResponse,
    web::{self, Data, Path},
};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::{images::ImageDetail, json};
use crate::{
    db::{
        edits::{Batch, Selection, apply_edits},
        image::find_image,
    },
    models::{
        Filter, ImageId,
        edit::{Change, EditError, Field, Keywords, Value},
    },
    web::{
        State, WebError, Who,
        error::{ErrorBody, or_not_found},
        page::without_order,
    },
};

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

pub(super) fn bad(problem: impl Into<String>) -> WebError {
    WebError::BadRequest(problem.into())
}

/// Reads the body as a JSON object with none but these keys.
pub(super) fn object(body: &[u8], known: &[&str]) -> Result<Map<String, Json>, WebError> {
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

pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

pub(super) fn field_names() -> Vec<&'static str> {
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

pub(super) fn selection(request: &Map<String, Json>) -> Result<Selection, WebError> {
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
            let filter = without_order(Filter::from_pairs(pairs.iter().map(|(key, value)| (*key, value.as_str())))?)?;
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
