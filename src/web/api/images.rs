//! `/api/v1/images` and what hangs on one image.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data},
};
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{json, ranked};
use crate::{
    db::{
        gallery::{GalleryCard, list_cards},
        image::{ImageFile, ImagePage, find_image},
        pictures::find_original,
    },
    models::{Cursor, Direction, Filter, ImageId, Original, PictureSize, edit::Place},
    web::{
        State, WebError,
        error::{ErrorBody, or_not_found},
        files::{self, FileQuery, send_picture},
        page::without_order,
    },
};

/// Images of a page when nothing else is asked for.
const DEFAULT_LIMIT: i64 = 100;
const MOST_IMAGES: i64 = 500;

/// The pairs of an address.
pub(super) type Pairs = web::Query<Vec<(String, String)>>;

/// Reads the filter among the pairs of an address.
pub(super) fn filter_of(pairs: &Pairs) -> Result<Filter, WebError> {
    Ok(Filter::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())))?)
}

/// Reads the filter among the pairs of an address that says which images are meant, all of them alike.
pub(super) fn set_of(pairs: &Pairs) -> Result<Filter, WebError> {
    without_order(filter_of(pairs)?)
}

/// Which images are meant; all conditions must hold.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the keys that models::Filter reads")]
pub(super) struct FilterParams {
    /// Local year of capture.
    #[param(minimum = 1, maximum = 9999)]
    year: Option<i32>,
    /// Month of `year`; only together with it.
    #[param(minimum = 1, maximum = 12)]
    month: Option<u32>,
    /// Camera as shown.
    camera: Option<String>,
    /// Lens as shown.
    lens: Option<String>,
    /// 1 to 5: at least this many stars; 0: unrated; -1: rejected.
    #[param(minimum = -1, maximum = 5)]
    rating: Option<i32>,
    /// `raw`, `jpeg` or `video`.
    r#type: Option<String>,
    /// Id of a folder; its subfolders count too.
    folder: Option<i64>,
    /// `yes` or `no`: has a place.
    gps: Option<String>,
    /// A search in the search language (`/search/help`): words that must all occur as beginnings of words, and conditions such as
    /// `rating:>=3`, `camera:"Canon EOS R5"`, `date:2019..2021-06`, `-tag:private`, `( … OR … )`. A `like:"words"`, `like:image:123` or
    /// `like:region:45` puts images into an order and is understood by the list of images alone.
    #[param(example = "lake rating:>=3 -tag:private")]
    q: Option<String>,
}

/// Where a page starts and how long it is.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the keys that list_images reads")]
pub(super) struct PageParams {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most images of a page.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<i64>,
}

/// A page of images.
#[derive(Serialize, ToSchema)]
pub(super) struct ImageList {
    pub(super) images: Vec<ImageCard>,
    /// Pass it as `cursor` for the next page; null at the end. An order of likeness ends after 2,000 images.
    pub(super) next_cursor: Option<String>,
    /// In which order the images come.
    pub(super) order: Order,
    /// Whose order of likeness it is: name and version of the network; null in the order of time.
    pub(super) network: Option<String>,
    /// What the order leaves out, on its first page; null in the order of time.
    pub(super) not_seen: Option<NotSeen>,
}

/// The order of a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// By time of capture.
    NewestFirst,
    /// By likeness to what `like:` says.
    MostAlikeFirst,
}

/// Images of the filter that cannot stand in an order of likeness yet.
#[derive(Serialize, ToSchema)]
pub(super) struct NotSeen {
    /// Images that the network has yet to look at.
    pub(super) not_seen_count: i64,
    /// Images of the filter that have a picture.
    pub(super) image_count: i64,
}

/// An image in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct ImageCard {
    id: i64,
    /// Local wall-clock time.
    #[schema(example = "2019-08-03T12:33:00")]
    captured_at: NaiveDateTime,
    base_name: String,
    /// Upright width / height in thousandths.
    ratio_milli: i32,
    is_video: bool,
    /// Gone from its vault.
    is_missing: bool,
    has_raw: bool,
    /// -1 rejected, 0 unrated, 1 to 5 stars; null where no file says anything.
    rating: Option<i16>,
    file_count: i32,
    /// ThumbHash in hexadecimal; null until it is made.
    placeholder: Option<String>,
    /// Null when there is nothing to show.
    thumbnail_url: Option<String>,
    /// Null when there is nothing to show.
    proxy_url: Option<String>,
    /// Cosine of the likeness, -1 to 1; null in the order of time.
    score: Option<f32>,
}

impl ImageCard {
    /// A card in an order of likeness.
    pub(super) fn scored(card: GalleryCard, score: f32) -> Self {
        Self { score: Some(score), ..card.into() }
    }
}

impl From<GalleryCard> for ImageCard {
    fn from(card: GalleryCard) -> Self {
        Self {
            score: None,
            thumbnail_url: picture_url(card.id, "thumbnail", card.picture_key.as_deref()),
            proxy_url: picture_url(card.id, "proxy", card.picture_key.as_deref()),
            id: card.id.0,
            captured_at: card.captured_at,
            base_name: card.base_name,
            ratio_milli: card.ratio_milli,
            is_video: card.is_video,
            is_missing: card.is_missing,
            has_raw: card.has_raw,
            rating: card.rating,
            file_count: card.file_count,
            placeholder: card.placeholder.as_deref().map(hexadecimal),
        }
    }
}

pub(super) fn picture_url(image: ImageId, size: &str, key: Option<&str>) -> Option<String> {
    key.map(|key| format!("/pictures/{image}/{size}?key={key}"))
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Images that pass the filter, page by page: newest first, or with a `like:` in `q` the most alike first.
#[utoipa::path(get, path = "/api/v1/images", tag = "images", params(FilterParams, PageParams), responses(
    (status = 200, body = ImageList),
    (status = 400, description = "A key that is not understood, or a search with the place of the trouble", body = ErrorBody),
    (status = 404, description = "`like:` names an image or region that is not there, or has no picture", body = ErrorBody),
    (status = 409, description = "`like:` without a network (`no_network`), or in a database that cannot compare (`no_vectors`)", body = ErrorBody),
    (status = 503, description = "The picture that `like:` names is being made, or too many ask", body = ErrorBody),
))]
pub(in crate::web) async fn list_images(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let filter = filter_of(&pairs)?;
    let value = |key: &str| pairs.iter().find(|(name, value)| name == key && !value.is_empty()).map(|(_, value)| value.as_str());
    let limit =
        match value("limit") {
            None => DEFAULT_LIMIT,
            Some(limit) => limit.parse().ok().filter(|limit| (1..=MOST_IMAGES).contains(limit)).ok_or_else(|| {
                WebError::BadRequest(format!("`limit={limit}` is not understood: expected a number from 1 to {MOST_IMAGES}"))
            })?,
        };
    if filter.query.like().is_some() {
        return Ok(json(&ranked::list(&state, &filter, value("cursor"), limit as usize).await?));
    }
    let cursor: Option<Cursor> = value("cursor").map(str::parse).transpose()?;
    let cards = state.db.run(move |conn| list_cards(conn, &filter, cursor, Direction::Older, limit + 1)).await?;
    let has_more = cards.len() as i64 > limit;
    let cards: Vec<GalleryCard> = cards.into_iter().take(limit as usize).collect();
    let next_cursor = cards.last().filter(|_| has_more).map(|card| card.cursor().to_string());
    let images = cards.into_iter().map(ImageCard::from).collect();
    Ok(json(&ImageList { images, next_cursor, order: Order::NewestFirst, network: None, not_seen: None }))
}

/// All that is known of an image.
#[derive(Serialize, ToSchema)]
pub(super) struct ImageDetail {
    id: i64,
    vault: String,
    /// Since when the vault cannot be read; null while it can.
    vault_offline_since: Option<DateTime<Utc>>,
    folder_id: i64,
    /// Folder inside the vault; empty for its root.
    subdirectory: String,
    base_name: String,
    /// Local wall-clock time.
    #[schema(example = "2019-08-03T12:33:00")]
    captured_at: NaiveDateTime,
    /// The tag it comes from, `file-name` or `file-modified`.
    captured_at_source: String,
    /// Minutes east of UTC where known.
    captured_offset_minutes: Option<i16>,
    camera: Option<String>,
    lens: Option<String>,
    iso: Option<i32>,
    f_number: Option<f64>,
    exposure_s: Option<f64>,
    focal_length_mm: Option<f64>,
    gps_latitude: Option<f64>,
    gps_longitude: Option<f64>,
    gps_altitude_m: Option<f64>,
    /// Upright.
    width_px: Option<i32>,
    /// Upright.
    height_px: Option<i32>,
    /// EXIF orientation, 1 to 8.
    orientation: Option<i16>,
    ratio_milli: i32,
    title: Option<String>,
    description: Option<String>,
    /// -1 rejected, 0 unrated, 1 to 5 stars; null where no file says anything.
    rating: Option<i16>,
    /// Flag beside the stars: `none`, `pending` or `picked`.
    pick: String,
    /// `none`, `red`, `yellow`, `green`, `blue` or `purple`.
    color_label: String,
    city: Option<String>,
    state: Option<String>,
    country: Option<String>,
    /// ISO 3166.
    country_code: Option<String>,
    /// What the coordinates are called, whatever a file or a person says; null without coordinates, and at sea.
    gps_place: Option<PlaceNames>,
    keywords: Vec<String>,
    /// `|` between levels.
    hierarchical_keywords: Vec<String>,
    total_size_bytes: i64,
    has_raw: bool,
    has_jpeg: bool,
    has_sidecar: bool,
    is_video: bool,
    is_missing: bool,
    /// Why these files are one image; `person` when a person said so.
    grouping_rule: String,
    /// ThumbHash in hexadecimal; null until it is made.
    placeholder: Option<String>,
    /// Why no picture could be made.
    picture_error: Option<String>,
    thumbnail_url: Option<String>,
    proxy_url: Option<String>,
    files: Vec<FileDetail>,
}

/// The names of a place.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlaceNames {
    city: Option<String>,
    /// State, province or region.
    state: Option<String>,
    country: Option<String>,
    /// ISO 3166.
    country_code: Option<String>,
}

impl PlaceNames {
    /// The names, if there is any.
    pub(super) fn of(place: Place) -> Option<Self> {
        if place.is_empty() {
            return None;
        }
        let Place { city, state, country, country_code } = place;
        Some(Self { city, state, country, country_code })
    }
}

/// One file of an image.
#[derive(Serialize, ToSchema)]
pub(super) struct FileDetail {
    id: i64,
    filename: String,
    /// Path inside the vault.
    file_path: String,
    /// ORIGINAL, COVER, SIDECAR, EXPORT, DERIVATIVE or UNKNOWN.
    role: String,
    format: String,
    file_size_bytes: i64,
    file_modified_at: DateTime<Utc>,
    /// As stored, before orientation.
    width_px: Option<u32>,
    /// As stored, before orientation.
    height_px: Option<u32>,
    /// Why it could not be read, whole or in part.
    error: Option<String>,
    /// Since when its vault is without it.
    missing_since: Option<DateTime<Utc>>,
    /// BLAKE3 of size, head and tail.
    fingerprint: Option<String>,
    /// What the file itself says.
    #[schema(value_type = Object)]
    facts: serde_json::Value,
    url: String,
}

impl From<ImagePage> for ImageDetail {
    fn from(ImagePage { image, files }: ImagePage) -> Self {
        Self {
            thumbnail_url: picture_url(image.id, "thumbnail", image.picture_key.as_deref()),
            proxy_url: picture_url(image.id, "proxy", image.picture_key.as_deref()),
            id: image.id.0,
            vault: image.vault_name,
            vault_offline_since: image.vault_offline_since,
            folder_id: image.folder_id.0,
            subdirectory: image.folder_path,
            base_name: image.base_name,
            captured_at: image.captured_at,
            captured_at_source: image.captured_at_source,
            captured_offset_minutes: image.captured_offset_minutes,
            camera: image.camera,
            lens: image.lens,
            iso: image.iso,
            f_number: image.f_number,
            exposure_s: image.exposure_s,
            focal_length_mm: image.focal_length_mm,
            gps_latitude: image.latitude_deg,
            gps_longitude: image.longitude_deg,
            gps_altitude_m: image.altitude_m,
            width_px: image.width_px,
            height_px: image.height_px,
            orientation: image.orientation,
            ratio_milli: image.ratio_milli,
            title: image.title,
            description: image.description,
            rating: image.rating,
            pick: image.pick,
            color_label: image.color_label,
            gps_place: PlaceNames::of(Place {
                city: image.gps_city,
                state: image.gps_state,
                country: image.gps_country,
                country_code: image.gps_country_code,
            }),
            city: image.city,
            state: image.state,
            country: image.country,
            country_code: image.country_code,
            keywords: image.keywords,
            hierarchical_keywords: image.hierarchical_keywords,
            total_size_bytes: image.total_size_bytes,
            has_raw: image.has_raw,
            has_jpeg: image.has_jpeg,
            has_sidecar: image.has_sidecar,
            is_video: image.is_video,
            is_missing: image.is_missing,
            grouping_rule: image.grouping_rule,
            placeholder: image.placeholder.as_deref().map(hexadecimal),
            picture_error: image.picture_error,
            files: files.into_iter().map(FileDetail::from).collect(),
        }
    }
}

impl From<ImageFile> for FileDetail {
    fn from(file: ImageFile) -> Self {
        Self {
            url: format!("/files/{}", file.id),
            id: file.id.0,
            filename: file.name,
            file_path: file.rel_path,
            role: file.role.name().to_owned(),
            format: file.format.name().to_owned(),
            file_size_bytes: file.size_bytes,
            file_modified_at: file.modified_at,
            width_px: file.width_px,
            height_px: file.height_px,
            error: file.error,
            missing_since: file.missing_since,
            fingerprint: file.fingerprint,
            facts: serde_json::to_value(file.facts).unwrap_or(serde_json::Value::Null),
        }
    }
}

/// One image with its files.
#[utoipa::path(get, path = "/api/v1/images/{id}", tag = "images", params(("id" = i64, Path)), responses(
    (status = 200, body = ImageDetail),
    (status = 404, description = "No such image", body = ErrorBody),
))]
pub(in crate::web) async fn get_image(state: Data<State>, id: web::Path<String>) -> Result<HttpResponse, WebError> {
    let id: ImageId = id.parse().map_err(|_| WebError::NotFound("image"))?;
    let page = state.db.run(move |conn| find_image(conn, id)).await.map_err(or_not_found("image"))?;
    Ok(json(&ImageDetail::from(page)))
}

/// Which picture.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct ThumbnailQuery {
    /// `thumbnail` (WebP for a grid) or `proxy` (JPEG for a screen).
    #[param(value_type = Option<String>, default = "thumbnail")]
    size: Option<PictureSize>,
    /// Milliseconds to wait for a picture that is not made yet.
    #[param(maximum = 10000, default = 10000)]
    wait: Option<u64>,
}

/// The picture of an image; made first if need be.
#[utoipa::path(get, path = "/api/v1/images/{id}/thumbnail", tag = "images", params(("id" = i64, Path), ThumbnailQuery), responses(
    (status = 200, description = "The picture", content((Vec<u8> = "image/webp"), (Vec<u8> = "image/jpeg"))),
    (status = 304, description = "The picture named by If-None-Match is the current one"),
    (status = 404, description = "No such image, or no picture can be made of it", body = ErrorBody),
    (status = 503, description = "Being made: try again", body = ErrorBody),
))]
pub(in crate::web) async fn thumbnail(
    request: HttpRequest,
    state: Data<State>,
    id: web::Path<String>,
    query: web::Query<ThumbnailQuery>,
) -> Result<HttpResponse, WebError> {
    let id: ImageId = id.parse().map_err(|_| WebError::NotFound("image"))?;
    let patience = query.wait.map_or(files::PATIENCE, |wait_ms| Duration::from_millis(wait_ms).min(files::PATIENCE));
    send_picture(&request, &state, id, query.size.unwrap_or(PictureSize::Thumbnail), None, patience).await
}

/// The file that a picture is made from.
#[derive(Serialize, ToSchema)]
pub(super) struct OriginalAnswer {
    /// Its vault, its path there, its state at the last scan, and what was made of it; null while there is no picture, or the file is gone.
    #[schema(value_type = Option<Object>)]
    original: Option<Original>,
}

/// The file that the current picture of an image is made from, for a worker that has its vault mounted itself.
#[utoipa::path(get, path = "/api/v1/images/{id}/original", tag = "images", params(("id" = i64, Path)), responses(
    (status = 200, body = OriginalAnswer),
    (status = 404, description = "No such image", body = ErrorBody),
))]
pub(in crate::web) async fn original(state: Data<State>, id: web::Path<String>) -> Result<HttpResponse, WebError> {
    let id: ImageId = id.parse().map_err(|_| WebError::NotFound("image"))?;
    let original = state.db.run(move |conn| find_original(conn, id)).await.map_err(or_not_found("image"))?;
    Ok(json(&OriginalAnswer { original }))
}

/// The bytes of a file, with ranges and revalidation.
#[utoipa::path(get, path = "/api/v1/files/{id}", tag = "files", params(("id" = i64, Path), FileQuery), responses(
    (status = 200, description = "The whole file", content((Vec<u8> = "application/octet-stream"))),
    (status = 206, description = "The range asked for", content((Vec<u8> = "application/octet-stream"))),
    (status = 304, description = "Unchanged"),
    (status = 404, description = "No such file, or it is gone from its vault", body = ErrorBody),
    (status = 416, description = "No such range"),
    (status = 503, description = "Its vault is offline", body = ErrorBody),
))]
pub(in crate::web) async fn file(
    request: HttpRequest,
    state: Data<State>,
    id: web::Path<String>,
    query: web::Query<FileQuery>,
) -> Result<HttpResponse, WebError> {
    files::file(request, state, id, query).await
}
