//! `/api/v1/searches`: searches with a name.

use actix_web::{
    HttpResponse,
    web::{Bytes, Data, Path},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json;
use crate::{
    db::searches::{SavedSearch, delete_search, list_searches, upsert_search},
    models::{Query, SearchId},
    web::{
        State, WebError,
        error::{ErrorBody, or_not_found},
        search::{checked_name, gallery_href},
    },
};

/// Searches with a name.
#[derive(Serialize, ToSchema)]
pub(super) struct SearchList {
    /// By name.
    searches: Vec<SearchEntry>,
}

/// A search with its name.
#[derive(Serialize, ToSchema)]
pub(super) struct SearchEntry {
    id: i64,
    name: String,
    /// In the search language: pass it as `q`.
    #[schema(example = "rating:>=4 tag:dog")]
    query: String,
    /// The gallery of it.
    url: String,
}

impl From<SavedSearch> for SearchEntry {
    fn from(search: SavedSearch) -> Self {
        Self { url: gallery_href(&search.query), id: search.id.0, name: search.name, query: search.query }
    }
}

/// A search to be saved.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewSearch {
    /// A name that there is already (whatever its case and accents) takes the new query.
    #[schema(max_length = 100)]
    name: String,
    /// In the search language.
    query: String,
}

/// Searches with a name, by name.
#[utoipa::path(get, path = "/api/v1/searches", tag = "searches", responses((status = 200, body = SearchList)))]
pub(in crate::web) async fn list_all_searches(state: Data<State>) -> Result<HttpResponse, WebError> {
    let searches = state.db.run(list_searches).await?;
    Ok(json(&SearchList { searches: searches.into_iter().map(SearchEntry::from).collect() }))
}

/// Gives a search a name.
#[utoipa::path(post, path = "/api/v1/searches", tag = "searches", request_body = NewSearch, responses(
    (status = 201, description = "Saved", body = SearchEntry),
    (status = 400, description = "No name, or a query that is not understood, with the place of the trouble", body = ErrorBody),
    (status = 403, description = "Sent by another site", body = ErrorBody),
))]
pub(in crate::web) async fn save_search(state: Data<State>, body: Bytes) -> Result<HttpResponse, WebError> {
    let new: NewSearch = serde_json::from_slice(&body)
        .map_err(|error| WebError::BadRequest(format!("the body is not understood ({error}): expected {{\"name\": …, \"query\": …}}")))?;
    let (name, query) = (checked_name(&new.name)?, new.query.parse::<Query>()?.to_string());
    let saved = state.db.run(move |conn| upsert_search(conn, &name, &query)).await?;
    Ok(HttpResponse::Created().json(SearchEntry::from(saved)))
}

/// Forgets a search.
#[utoipa::path(delete, path = "/api/v1/searches/{id}", tag = "searches", params(("id" = i64, Path)), responses(
    (status = 204, description = "Forgotten"),
    (status = 403, description = "Sent by another site", body = ErrorBody),
    (status = 404, description = "No such search", body = ErrorBody),
))]
pub(in crate::web) async fn forget_search(state: Data<State>, id: Path<String>) -> Result<HttpResponse, WebError> {
    let id: SearchId = id.parse().map_err(|_| WebError::NotFound("search"))?;
    state.db.run(move |conn| delete_search(conn, id)).await.map_err(or_not_found("search"))?;
    Ok(HttpResponse::NoContent().finish())
}
