//! Bytes: the pictures made to look at, and the originals they were made from.
//!
//! Pictures are named by content, so a browser may keep them for ever; originals are revalidated. Nothing here leaves the
//! thumbnail directory or a vault, whatever the address says.

use std::{io, time::Duration};

use actix_files::NamedFile;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY},
    web::{self, Data},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{State, WebError, error::or_not_found};
use crate::{
    db::image::{FileLocation, find_file_location, find_picture_state},
    export::archive::open_inside,
    models::{FileFormat, FileId, FileKind, ImageId, PictureKey, PictureSize},
};

const FOR_EVER: &str = "private, max-age=31536000, immutable";
const REVALIDATE: &str = "private, no-cache";
/// How long a request waits for its picture to be made.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const SHORTEST_NAP: Duration = Duration::from_millis(50);
const LONGEST_NAP: Duration = Duration::from_millis(250);

/// What stands behind the `?` of a picture's address.
#[derive(Debug, Deserialize)]
pub(super) struct PictureQuery {
    /// Names the content; without it the current one is looked up.
    key: Option<String>,
    /// Milliseconds to wait for a picture that is not made yet; at most ten seconds, which is the default.
    wait: Option<u64>,
}

/// `GET /pictures/{image}/{size}?key=`.
pub(super) async fn picture(
    request: HttpRequest,
    state: Data<State>,
    path: web::Path<(String, PictureSize)>,
    query: web::Query<PictureQuery>,
) -> Result<HttpResponse, WebError> {
    let (image, size) = path.into_inner();
    let image: ImageId = image.parse().map_err(|_| WebError::NotFound("image"))?;
    let key = match &query.key {
        Some(key) => Some(key.parse().map_err(|error| WebError::BadRequest(format!("{error}")))?),
        None => None,
    };
    let patience = query.wait.map_or(PATIENCE, |wait_ms| Duration::from_millis(wait_ms).min(PATIENCE));
    send_picture(&request, &state, image, size, key, patience).await
}

/// Sends a picture of an image, waiting for it to be made if need be. With a key whose file is there the database is not asked.
pub(super) async fn send_picture(
    request: &HttpRequest,
    state: &Data<State>,
    image: ImageId,
    size: PictureSize,
    key: Option<PictureKey>,
    patience: Duration,
) -> Result<HttpResponse, WebError> {
    if let Some(key) = &key {
        if is_known(request.headers(), key) {
            return Ok(HttpResponse::NotModified().insert_header((CACHE_CONTROL, FOR_EVER)).insert_header((ETAG, etag(key))).finish());
        }
        if let Some(bytes) = read_picture(state, key, size).await? {
            return Ok(picture_response(bytes, key, size, FOR_EVER));
        }
    }
    let found = state.db.run(move |conn| find_picture_state(conn, image)).await.map_err(or_not_found("image"))?;
    let Some(current) = found.key else { return Err(WebError::NoPicture("none of its files has pixels".to_owned())) };
    if let Some(reason) = found.error {
        return Err(WebError::NoPicture(reason));
    }
    let current: PictureKey = current.parse().map_err(|error| WebError::Internal(format!("images.picture_key: {error}")))?;
    let cache = if key.as_ref() == Some(&current) { FOR_EVER } else { REVALIDATE };
    if key.is_none() && is_known(request.headers(), &current) {
        return Ok(HttpResponse::NotModified().insert_header((CACHE_CONTROL, cache)).insert_header((ETAG, etag(&current))).finish());
    }
    let bytes = wait_for_picture(state, image, &current, size, patience).await?.ok_or(WebError::PicturePending)?;
    Ok(picture_response(bytes, &current, size, cache))
}

/// Asks for a picture and looks for it until it is there or patience ends.
async fn wait_for_picture(
    state: &Data<State>,
    image: ImageId,
    key: &PictureKey,
    size: PictureSize,
    patience: Duration,
) -> Result<Option<Vec<u8>>, WebError> {
    let mut bytes = read_picture(state, key, size).await?;
    if bytes.is_some() {
        return Ok(bytes);
    }
    state.want_pictures(&[image]).await;
    let deadline = tokio::time::Instant::now() + patience;
    let mut nap = SHORTEST_NAP;
    while bytes.is_none() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(nap).await;
        nap = (nap * 3 / 2).min(LONGEST_NAP);
        bytes = read_picture(state, key, size).await?;
    }
    Ok(bytes)
}

/// The JPEG of an image's proxy; asks for it to be made, and waits, where it is not there yet.
///
/// # Errors
/// [`WebError::PicturePending`] when it is not made in time, [`WebError::Unavailable`] when the disk cannot be read.
pub(super) async fn wait_for_proxy(state: &Data<State>, image: ImageId, key: &PictureKey) -> Result<Vec<u8>, WebError> {
    wait_for_picture(state, image, key, PictureSize::Proxy, PATIENCE).await?.ok_or(WebError::PicturePending)
}

async fn read_picture(state: &State, key: &PictureKey, size: PictureSize) -> Result<Option<Vec<u8>>, WebError> {
    let path = state.thumbs_dir.join(key.relative_path(size));
    let read = web::block(move || std::fs::read(path)).await.map_err(|error| WebError::Internal(error.to_string()))?;
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(WebError::Unavailable("disk with the thumbnails", error.to_string())),
    }
}

fn picture_response(bytes: Vec<u8>, key: &PictureKey, size: PictureSize, cache: &'static str) -> HttpResponse {
    let media_type = match size {
        PictureSize::Thumbnail => "image/webp",
        PictureSize::Proxy => "image/jpeg",
    };
    HttpResponse::Ok().content_type(media_type).insert_header((CACHE_CONTROL, cache)).insert_header((ETAG, etag(key))).body(bytes)
}

/// The two sizes of one key have two addresses, so one tag serves both.
fn etag(key: &PictureKey) -> String {
    format!("\"{key}\"")
}

fn is_known(headers: &HeaderMap, key: &PictureKey) -> bool {
    let tags = headers.get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    tags.flat_map(|value| value.split(',')).any(|tag| tag.trim().trim_start_matches("W/").trim_matches('"') == key.as_str())
}

/// What stands behind the `?` of a file's address.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FileQuery {
    /// Anything but 0: save it instead of showing it.
    download: Option<u8>,
}

/// `GET /files/{id}`: an original, with ranges.
pub(super) async fn file(
    request: HttpRequest,
    state: Data<State>,
    id: web::Path<String>,
    query: web::Query<FileQuery>,
) -> Result<HttpResponse, WebError> {
    let id: FileId = id.parse().map_err(|_| WebError::NotFound("file"))?;
    let host = state.host.clone();
    let location = state.db.run(move |conn| find_file_location(conn, id, &host)).await.map_err(or_not_found("file"))?;
    let format = location.format;
    let disposition = disposition(&location.file_name().to_string_lossy(), format, query.download.is_some_and(|download| download != 0));
    let opened = web::block(move || open(&location)).await.map_err(|error| WebError::Internal(error.to_string()))?;
    let file = opened?.disable_content_disposition();
    let mut response = file.into_response(&request);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(CONTENT_DISPOSITION, disposition);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(REVALIDATE));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
    headers.remove(VARY);
    Ok(response)
}

/// Opens an original, or says what stands in the way.
fn open(location: &FileLocation) -> Result<NamedFile, WebError> {
    let name = location.path.to_nfc();
    let offline = |reason: String| WebError::VaultOffline(location.vault_name.clone(), reason);
    let mount = location.mount.as_deref().ok_or_else(|| offline("this machine does not mount it".to_owned()))?;
    if let Some(reason) = &location.offline {
        return Err(offline(reason.clone()));
    }
    match open_inside(mount, &location.path.on(mount)).and_then(|(file, real)| NamedFile::from_file(file, real)) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound && mount.is_dir() => Err(WebError::FileMissing(name)),
        Err(error) if mount.is_dir() => {
            tracing::warn!("`{name}` of the vault `{}` cannot be read: {error}", location.vault_name);
            Err(WebError::Unavailable("file", error.to_string()))
        }
        Err(error) => Err(offline(error.to_string())),
    }
}

/// Characters that a file name in a header may show as they are: RFC 5987 `attr-char`.
const ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Pictures and videos may open in the browser, under their own media type; the rest is saved, for markup of unknown origin must
/// never run under this server's name.
///
/// # Source
/// RFC 6266 with RFC 5987: a plain ASCII name for old programs, the true one in UTF-8 beside it.
fn disposition(name: &str, format: FileFormat, download: bool) -> HeaderValue {
    let shows = matches!(format.kind(), FileKind::Picture | FileKind::Video) && !download;
    let how = if shows { "inline" } else { "attachment" };
    let plain: String = name.chars().map(|c| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' }).collect();
    let value = format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, ATTR_CHAR));
    HeaderValue::from_str(&value).expect("every part is printable ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_keep_their_letters_and_stay_in_their_header() {
        let value = |name, format, download| disposition(name, format, download).to_str().unwrap().to_owned();
        assert_eq!(
            value("Zoé \"1\"\r\nX: y.jpg", FileFormat::Jpeg, false),
            "inline; filename=\"Zo_ _1___X: y.jpg\"; filename*=UTF-8''Zo%C3%A9%20%221%22%0D%0AX%3A%20y.jpg"
        );
        assert!(value("a.jpg", FileFormat::Jpeg, true).starts_with("attachment;"));
        assert!(value("a.xmp", FileFormat::Xmp, false).starts_with("attachment;"));
        assert!(value("a.cr2", FileFormat::Cr2, false).starts_with("attachment;"));
    }
}
