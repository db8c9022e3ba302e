//! The rest of `/api/v1`: timeline, facets, folders, scans and vaults.

use actix_web::{
    HttpResponse,
    web::{Data, Query},
};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    images::{FilterParams, Pairs, set_of},
    json,
};
use crate::{
    db::{
        facets::{FacetValue, Facets},
        folders::{FolderCard, breadcrumbs, list_folders},
        status::{ScanStatus, VaultStatus, list_scans, list_vaults},
    },
    models::FolderId,
    web::{State, WebError, error::ErrorBody},
};

/// Scans listed.
const MOST_SCANS: i64 = 50;

/// How many images each day holds.
#[derive(Serialize, ToSchema)]
pub(super) struct Timeline {
    /// Days that have images, newest first.
    days: Vec<TimelineEntry>,
    /// Images of all days.
    image_count: i64,
}

/// One local day.
#[derive(Serialize, ToSchema)]
pub(super) struct TimelineEntry {
    day: NaiveDate,
    image_count: i32,
    /// Sum of upright width / height of its images, in thousandths.
    ratio_milli_sum: i64,
}

/// Days that have images of the filter, newest first.
#[utoipa::path(get, path = "/api/v1/timeline", tag = "images", params(FilterParams), responses(
    (status = 200, body = Timeline),
    (status = 400, description = "A key that is not understood", body = ErrorBody),
))]
pub(in crate::web) async fn get_timeline(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let found = state.timeline(&set_of(&pairs)?).await?;
    let days: Vec<TimelineEntry> = found
        .iter()
        .map(|day| TimelineEntry { day: day.day, image_count: day.image_count, ratio_milli_sum: day.ratio_milli_sum })
        .collect();
    Ok(json(&Timeline { image_count: days.iter().map(|day| i64::from(day.image_count)).sum(), days }))
}

/// What a filter could ask for next, each part counted with all other parts applied.
#[derive(Serialize, ToSchema)]
pub(super) struct FacetLists {
    years: Vec<YearCount>,
    cameras: Vec<NameCount>,
    lenses: Vec<NameCount>,
    /// Exact stars; 0 for unrated.
    ratings: Vec<RatingCount>,
    /// `raw`, `jpeg`, `video`; an image may count in several.
    types: Vec<NameCount>,
    /// `yes` and `no`.
    gps: Vec<NameCount>,
}

/// A year and its months.
#[derive(Serialize, ToSchema)]
pub(super) struct YearCount {
    year: i32,
    count: i64,
    months: Vec<MonthCount>,
}

/// A month of a year.
#[derive(Serialize, ToSchema)]
pub(super) struct MonthCount {
    month: u32,
    count: i64,
}

/// A value as the filter takes it.
#[derive(Serialize, ToSchema)]
pub(super) struct NameCount {
    value: String,
    count: i64,
}

/// A rating.
#[derive(Serialize, ToSchema)]
pub(super) struct RatingCount {
    value: i8,
    count: i64,
}

fn named<T>(values: &[FacetValue<T>], name: impl Fn(&T) -> String) -> Vec<NameCount> {
    values.iter().map(|facet| NameCount { value: name(&facet.value), count: facet.count }).collect()
}

impl From<&Facets> for FacetLists {
    fn from(facets: &Facets) -> Self {
        let years = facets.years.iter().map(|year| YearCount {
            year: year.year,
            count: year.count,
            months: year.months.iter().map(|month| MonthCount { month: month.value, count: month.count }).collect(),
        });
        Self {
            years: years.collect(),
            cameras: named(&facets.cameras, String::clone),
            lenses: named(&facets.lenses, String::clone),
            ratings: facets.ratings.iter().map(|rating| RatingCount { value: rating.value, count: rating.count }).collect(),
            types: named(&facets.types, |media_type| media_type.name().to_owned()),
            gps: named(&facets.gps, |has_gps| if *has_gps { "yes" } else { "no" }.to_owned()),
        }
    }
}

/// Which values the filter could take next.
#[utoipa::path(get, path = "/api/v1/facets", tag = "images", params(FilterParams), responses(
    (status = 200, body = FacetLists),
    (status = 400, description = "A key that is not understood", body = ErrorBody),
))]
pub(in crate::web) async fn get_facets(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let facets = state.facets(&set_of(&pairs)?).await?;
    Ok(json(&FacetLists::from(&*facets)))
}

/// Which folders.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct FolderQuery {
    /// Id of the folder to look into; without it the vaults' roots are listed.
    parent: Option<String>,
}

/// The folders below one.
#[derive(Serialize, ToSchema)]
pub(super) struct FolderList {
    /// The way down to the parent, itself last; empty for the roots.
    path: Vec<FolderStep>,
    /// By name.
    folders: Vec<FolderEntry>,
}

/// One step of a way.
#[derive(Serialize, ToSchema)]
pub(super) struct FolderStep {
    id: i64,
    name: String,
}

/// A folder in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct FolderEntry {
    id: i64,
    vault: String,
    /// Empty for a vault's root.
    name: String,
    /// Inside the vault; empty for its root.
    path: String,
    /// Directly in it.
    folder_count: i64,
    /// In it and below it.
    image_count: i64,
    /// Up to four thumbnails from it and below it.
    cover_urls: Vec<String>,
}

impl From<FolderCard> for FolderEntry {
    fn from(card: FolderCard) -> Self {
        let covers = card.cover_images.iter().zip(&card.cover_keys);
        Self {
            cover_urls: covers.map(|(image, key)| format!("/pictures/{image}/thumbnail?key={key}")).collect(),
            id: card.id.0,
            vault: card.vault_name,
            name: card.name,
            path: card.rel_path,
            folder_count: card.folder_count,
            image_count: card.image_count,
        }
    }
}

/// The folders directly below one, or the vaults' roots.
#[utoipa::path(get, path = "/api/v1/folders", tag = "folders", params(FolderQuery), responses(
    (status = 200, body = FolderList),
    (status = 404, description = "No such folder", body = ErrorBody),
))]
pub(in crate::web) async fn list_all_folders(state: Data<State>, query: Query<FolderQuery>) -> Result<HttpResponse, WebError> {
    let parent = query.parent.as_deref().map(|parent| parent.parse::<FolderId>().map_err(|_| WebError::NotFound("folder"))).transpose()?;
    let (steps, cards) = state
        .db
        .run(move |conn| {
            let steps = parent.map(|parent| breadcrumbs(conn, parent)).transpose()?;
            list_folders(conn, parent).map(|cards| (steps, cards))
        })
        .await?;
    let path = match steps {
        None => Vec::new(),
        Some(None) => return Err(WebError::NotFound("folder")),
        Some(Some(steps)) => steps.into_iter().map(|step| FolderStep { id: step.id.0, name: step.name }).collect(),
    };
    Ok(json(&FolderList { path, folders: cards.into_iter().map(FolderEntry::from).collect() }))
}

/// The scanner's runs.
#[derive(Serialize, ToSchema)]
pub(super) struct ScanList {
    /// Newest first.
    scans: Vec<ScanEntry>,
}

/// One run of the scanner.
#[derive(Serialize, ToSchema)]
pub(super) struct ScanEntry {
    id: i64,
    host: String,
    paths: Vec<String>,
    /// `running`, `done`, `problems`, `offline`, `interrupted` or `failed`.
    state: String,
    /// Whether it runs and gave a sign of life lately.
    is_alive: bool,
    /// Counters: `files_seen`, `files_read`, `files_total`, `images`, `problems`, `rate_per_s`, `eta_s`, as far as known.
    #[schema(value_type = Object)]
    progress: serde_json::Value,
    message: Option<String>,
    started_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<ScanStatus> for ScanEntry {
    fn from(scan: ScanStatus) -> Self {
        Self {
            id: scan.id.0,
            host: scan.host,
            paths: scan.paths,
            state: scan.state,
            is_alive: scan.is_alive,
            progress: scan.progress,
            message: scan.message,
            started_at: scan.started_at,
            updated_at: scan.updated_at,
            finished_at: scan.finished_at,
        }
    }
}

/// The last scans.
#[utoipa::path(get, path = "/api/v1/scans", tag = "scans", responses((status = 200, body = ScanList)))]
pub(in crate::web) async fn list_all_scans(state: Data<State>) -> Result<HttpResponse, WebError> {
    let scans = state.db.run(|conn| list_scans(conn, MOST_SCANS)).await?;
    Ok(json(&ScanList { scans: scans.into_iter().map(ScanEntry::from).collect() }))
}

/// A scan will begin.
#[derive(Serialize, ToSchema)]
pub(super) struct ScanRequested {
    /// Where to look for it.
    scans_url: String,
}

/// Starts a scan of everything known.
#[utoipa::path(post, path = "/api/v1/scans", tag = "scans", responses(
    (status = 202, description = "It will begin in a moment, unless one runs already", body = ScanRequested),
    (status = 403, description = "Sent by another site", body = ErrorBody),
    (status = 503, description = "The queue does not answer", body = ErrorBody),
))]
pub(in crate::web) async fn start_scan(state: Data<State>) -> Result<HttpResponse, WebError> {
    state.request_scan().await?;
    Ok(HttpResponse::Accepted().json(ScanRequested { scans_url: "/api/v1/scans".to_owned() }))
}

/// The vaults.
#[derive(Serialize, ToSchema)]
pub(super) struct VaultList {
    /// By name.
    vaults: Vec<VaultEntry>,
}

/// A disk or share with photographs.
#[derive(Serialize, ToSchema)]
pub(super) struct VaultEntry {
    id: i64,
    name: String,
    /// Since when it cannot be read; null while it can.
    offline_since: Option<DateTime<Utc>>,
    offline_reason: Option<String>,
    /// Whether this server's machine has a place for it.
    is_mounted_here: bool,
    folder_count: i64,
}

impl From<VaultStatus> for VaultEntry {
    fn from(vault: VaultStatus) -> Self {
        Self {
            id: vault.id.0,
            name: vault.name,
            offline_since: vault.offline_since,
            offline_reason: vault.offline_reason,
            is_mounted_here: vault.is_mounted_here,
            folder_count: vault.folder_count,
        }
    }
}

/// The vaults, and which are offline.
#[utoipa::path(get, path = "/api/v1/vaults", tag = "vaults", responses((status = 200, body = VaultList)))]
pub(in crate::web) async fn list_all_vaults(state: Data<State>) -> Result<HttpResponse, WebError> {
    let host = state.host.clone();
    let vaults = state.db.run(move |conn| list_vaults(conn, &host)).await?;
    Ok(json(&VaultList { vaults: vaults.into_iter().map(VaultEntry::from).collect() }))
}
