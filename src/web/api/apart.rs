//! `/api/v1/duplicates/apart`: what was said to be no duplicates, said and taken back.

use actix_web::{
    HttpResponse,
    web::{Bytes, Data, Path, Query},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    edits::bad,
    json,
    paging::{limit_of, page},
};
use crate::{
    db::duplicates::{Apart, forget_apart, list_apart, set_apart},
    models::{ApartId, ImageId},
    web::{State, WebError, Who, error::ErrorBody},
};

/// Where a page of decisions starts and how long it is.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct ApartQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most decisions of a page.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500, default = 100)]
    limit: Option<String>,
}

/// A page of decisions.
#[derive(Serialize, ToSchema)]
pub(super) struct ApartList {
    /// The last first.
    decisions: Vec<ApartEntry>,
    /// Pass it as `cursor` for the next older page; null at the end.
    next_cursor: Option<i64>,
}

/// A person's word that no two of some images are duplicates.
#[derive(Serialize, ToSchema)]
pub(super) struct ApartEntry {
    /// Names it, to take it back.
    id: i64,
    /// Who said so.
    author: String,
    decided_at: DateTime<Utc>,
    /// Ids of those that are still in the library.
    images: Vec<i64>,
}

impl From<Apart> for ApartEntry {
    fn from(apart: Apart) -> Self {
        let images = apart.images.into_iter().map(|image| image.0).collect();
        Self { id: apart.id.0, author: apart.author, decided_at: apart.decided_at, images }
    }
}

/// Images that are no duplicates of each other.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewApart {
    /// Ids, at least two.
    #[schema(min_items = 2)]
    images: Vec<i64>,
}

/// What was said to be no duplicates.
#[utoipa::path(get, path = "/api/v1/duplicates/apart", tag = "images", params(ApartQuery), responses(
    (status = 200, body = ApartList),
    (status = 400, description = "A key that is not understood", body = ErrorBody),
))]
pub(in crate::web) async fn list_decisions(state: Data<State>, query: Query<ApartQuery>) -> Result<HttpResponse, WebError> {
    let limit = limit_of(query.limit.as_deref())?;
    let cursor = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let before: Option<ApartId> =
        cursor.map(|cursor| cursor.parse().map_err(|_| bad(format!("`cursor={cursor}` is not understood")))).transpose()?;
    let (decisions, has_more) = page(state.db.run(move |conn| list_apart(conn, before, limit + 1)).await?, limit);
    let next_cursor = decisions.last().filter(|_| has_more).map(|last| last.id.0);
    Ok(json(&ApartList { decisions: decisions.into_iter().map(ApartEntry::from).collect(), next_cursor }))
}

/// Says that no two of these images are duplicates: they are not listed as such again, whatever a scan or a network finds.
#[utoipa::path(post, path = "/api/v1/duplicates/apart", tag = "images", request_body = NewApart, responses(
    (status = 201, description = "Remembered", body = ApartEntry),
    (status = 400, description = "A body that is not understood, or fewer than two images", body = ErrorBody),
    (status = 403, description = "Sent by another site", body = ErrorBody),
    (status = 409, description = "Fewer than two of them are in the library", body = ErrorBody),
))]
pub(in crate::web) async fn decide_apart(state: Data<State>, who: Who, body: Bytes) -> Result<HttpResponse, WebError> {
    let NewApart { images } = serde_json::from_slice(&body)
        .map_err(|error| bad(format!("the body is not understood ({error}): expected {{\"images\": [id, id, …]}}")))?;
    if images.len() < 2 {
        return Err(bad("`images` is expected to be a list of at least two ids"));
    }
    let images: Vec<ImageId> = images.into_iter().map(ImageId).collect();
    let decided = state.db.run(move |conn| set_apart(conn, &who.name, &images)).await?;
    let gone = || WebError::Conflict("Fewer than two of these photos are in the library.".to_owned());
    Ok(HttpResponse::Created().json(ApartEntry::from(decided.ok_or_else(gone)?)))
}

/// Takes it back: they may be duplicates.
#[utoipa::path(delete, path = "/api/v1/duplicates/apart/{id}", tag = "images", params(("id" = i64, Path)), responses(
    (status = 204, description = "Taken back"),
    (status = 403, description = "Sent by another site", body = ErrorBody),
    (status = 404, description = "There is no such decision, or no more", body = ErrorBody),
))]
pub(in crate::web) async fn forget_decision(state: Data<State>, id: Path<String>) -> Result<HttpResponse, WebError> {
    let id: ApartId = id.parse().map_err(|_| WebError::NotFound("decision"))?;
    if !state.db.run(move |conn| forget_apart(conn, id)).await? {
        return Err(WebError::NotFound("decision"));
    }
    Ok(HttpResponse::NoContent().finish())
}
