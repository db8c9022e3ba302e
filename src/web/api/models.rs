//! The networks, for machines that were invited to run them: what there is, and its files.

use actix_files::NamedFile;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_ENCODING, HeaderValue, VARY},
    web::{self, Data},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::json;
use crate::{
    infer::{InferError, manifest::Manifest, shelf::Shelf},
    web::{State, WebError, error::ErrorBody},
};

/// The imported networks.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelList {
    /// What lies beside each: its name, version, licence, source and files with digests.
    #[schema(value_type = Vec<Object>)]
    models: Vec<Manifest>,
}

fn unavailable(error: InferError) -> WebError {
    WebError::Unavailable("folder of the networks", error.to_string())
}

/// The networks that are imported here, the one imported first before all others.
#[utoipa::path(get, path = "/api/v1/models", tag = "models", responses((status = 200, body = ModelList)))]
pub(in crate::web) async fn list_models(state: Data<State>) -> Result<HttpResponse, WebError> {
    let dir = state.models.dir.clone();
    let listed = web::block(move || Shelf::new(&dir).list()).await.map_err(|error| WebError::Internal(error.to_string()))?;
    let models = listed.map_err(unavailable)?.into_iter().map(|shelved| shelved.manifest).collect();
    Ok(json(&ModelList { models }))
}

/// The bytes of a network's file, with ranges.
#[utoipa::path(get, path = "/api/v1/models/{name}/{file}", tag = "models",
    params(("name" = String, Path, description = "Name of the network"), ("file" = String, Path, description = "One of its files")),
    responses(
        (status = 200, description = "The whole file", content((Vec<u8> = "application/octet-stream"))),
        (status = 206, description = "The range asked for", content((Vec<u8> = "application/octet-stream"))),
        (status = 404, description = "No such network or file", body = ErrorBody),
        (status = 416, description = "No such range"),
    ))]
pub(in crate::web) async fn model_file(
    request: HttpRequest,
    state: Data<State>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, WebError> {
    let (name, file) = path.into_inner();
    let dir = state.models.dir.clone();
    let opened = web::block(move || {
        let Some(shelved) = Shelf::new(&dir).find(&name).map_err(unavailable)? else { return Err(WebError::NotFound("network")) };
        // Only what the manifest names, whatever else lies there.
        if !shelved.manifest.files.iter().any(|known| known.name == file) {
            return Err(WebError::NotFound("file"));
        }
        NamedFile::open(shelved.folder.join(&file)).map_err(|error| WebError::Unavailable("file", error.to_string()))
    });
    let file = opened.await.map_err(|error| WebError::Internal(error.to_string()))??;
    let mut response = file.disable_content_disposition().into_response(&request);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
    headers.remove(VARY);
    Ok(response)
}
