//! `/api/v1/export`: whatever passes a filter, as a table, a list or an archive.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use utoipa::IntoParams;

use super::images::{FilterParams, Pairs};
use crate::web::{State, WebError, error::ErrorBody, export as exports};

/// How it is written.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the keys that web::export reads")]
pub(super) struct ExportParams {
    /// `paths` (of all files, one a line), `ids` (newest first, one a line), `csv`, `jsonl`, `parquet` or `zip`.
    #[param(default = "csv")]
    format: Option<String>,
    /// Of a table: `images` or `files`, whose column `image_index` is the id of the image. Of a `zip`: `originals` (every file as it lies on
    /// its vault, sidecars too) or `proxies` (a JPEG of each image).
    #[param(default = "images")]
    of: Option<String>,
}

/// All images that pass the filter, whole, in one answer that is sent while it is read.
///
/// Files that are gone from their vault are left out of `paths` and of the table of files, but for those of images that are missing
/// altogether. What cannot be packed is listed in `NOT INCLUDED.txt` inside the archive. An answer that fails on its way is cut off.
#[utoipa::path(get, path = "/api/v1/export", tag = "images", params(FilterParams, ExportParams), responses(
    (status = 200, description = "The export", content(
        (String = "text/plain"), (String = "text/csv"), (String = "application/x-ndjson"),
        (Vec<u8> = "application/vnd.apache.parquet"), (Vec<u8> = "application/zip"),
    )),
    (status = 400, description = "A key that is not understood, or a search with the place of the trouble", body = ErrorBody),
    (status = 409, description = "Nothing to pack", body = ErrorBody),
    (status = 413, description = "More than one archive takes", body = ErrorBody),
    (status = 503, description = "Other exports are under way", body = ErrorBody),
))]
pub(in crate::web) async fn export(request: HttpRequest, state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    exports::export(&request, &state, &pairs).await
}
