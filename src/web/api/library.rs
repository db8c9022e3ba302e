//! `/api/v1/library`: the library at a glance, each figure with the search that finds its images.

use actix_web::{HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::json;
use crate::{
    db::{
        backups::{BackupEntry, list_backups},
        facets::FacetValue,
        library::{LibrarySummary, Sum},
    },
    models::query::{Has, Is},
    web::{
        State, WebError,
        library::{camera_query, has_query, is_query, kind_query, lens_query, rating_query, year_query},
    },
};

/// Backups listed.
const MOST_BACKUPS: i64 = 50;

/// The library at a glance.
#[derive(Serialize, ToSchema)]
pub(super) struct LibraryAnswer {
    image_count: i64,
    /// Files of images.
    file_count: i64,
    /// Of those files.
    total_size_bytes: i64,
    /// Local years of capture, oldest first.
    years: Vec<SizedCount>,
    /// `raw+jpeg`, `raw`, `jpeg`, `video` and `other`; each image is one of them.
    kinds: Vec<SizedCount>,
    /// Most images first; null where no camera is known.
    cameras: Vec<NamedCount>,
    /// Most images first; null where no lens is known.
    lenses: Vec<NamedCount>,
    /// Exact stars, best first; 0 for unrated, -1 for rejected.
    ratings: Vec<StarCount>,
    /// With a place on the map.
    placed: QueryCount,
    /// One star or more.
    rated: QueryCount,
    /// With at least one keyword.
    tagged: QueryCount,
    /// Gone from a vault that can be read.
    missing: QueryCount,
    /// With a file that could not be read, whole or in part.
    broken: QueryCount,
    /// With a file that is there more than once, by size and content.
    duplicates: QueryCount,
    /// What would be free if each such file were there once.
    duplicate_bytes: i64,
    /// Newest first; of failures those since the last that was made.
    backups: Vec<Backup>,
}

/// Images of one year or kind.
#[derive(Serialize, ToSchema)]
pub(super) struct SizedCount {
    value: String,
    image_count: i64,
    file_count: i64,
    total_size_bytes: i64,
    /// The search that finds them: pass it as `q`.
    query: String,
}

/// Images of one camera or lens.
#[derive(Serialize, ToSchema)]
pub(super) struct NamedCount {
    value: Option<String>,
    image_count: i64,
    /// The search that finds them: pass it as `q`.
    query: String,
}

/// Images of one rating.
#[derive(Serialize, ToSchema)]
pub(super) struct StarCount {
    value: i8,
    image_count: i64,
    /// The search that finds them: pass it as `q`.
    query: String,
}

/// Images that are so.
#[derive(Serialize, ToSchema)]
pub(super) struct QueryCount {
    image_count: i64,
    /// The search that finds them: pass it as `q`.
    query: String,
}

/// A backup that was made, or could not be.
#[derive(Serialize, ToSchema)]
pub(super) struct Backup {
    /// `nightly`, `manual`, or `replaced` (of what a restore put aside).
    kind: String,
    /// The machine that made it.
    host: String,
    /// Where it lies on that machine; the folder, where it failed.
    path: String,
    /// Null where it failed.
    size_bytes: Option<i64>,
    /// Null where it failed.
    image_count: Option<i64>,
    /// Why there is none.
    error: Option<String>,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
}

impl LibraryAnswer {
    fn new(summary: &LibrarySummary, backups: Vec<BackupEntry>) -> Self {
        let sized = |value: String, query: String, sum: &Sum| SizedCount {
            value,
            query,
            image_count: sum.images,
            file_count: sum.files,
            total_size_bytes: sum.bytes,
        };
        let named = |names: &[FacetValue<String>], lacking: i64, query: fn(Option<&str>) -> String| {
            let known = names.iter().map(|name| (Some(name.value.clone()), name.count));
            let all = known.chain((lacking > 0).then_some((None, lacking)));
            all.map(|(value, image_count)| NamedCount { query: query(value.as_deref()), value, image_count }).collect()
        };
        let counted = |image_count: i64, query: String| QueryCount { image_count, query };
        Self {
            image_count: summary.total.images,
            file_count: summary.total.files,
            total_size_bytes: summary.total.bytes,
            years: summary.years.iter().map(|(year, sum)| sized(year.to_string(), year_query(*year), sum)).collect(),
            kinds: summary.kinds.iter().map(|(kind, sum)| sized(kind.name().to_owned(), kind_query(*kind), sum)).collect(),
            cameras: named(&summary.cameras, summary.without_camera, camera_query),
            lenses: named(&summary.lenses, summary.without_lens, lens_query),
            ratings: summary
                .ratings
                .iter()
                .map(|rating| StarCount { value: rating.value, image_count: rating.count, query: rating_query(rating.value) })
                .collect(),
            placed: counted(summary.placed, has_query(Has::Gps)),
            rated: counted(summary.rated(|stars| stars > 0), is_query(Is::Rated)),
            tagged: counted(summary.tagged, has_query(Has::Tags)),
            missing: counted(summary.missing, is_query(Is::Missing)),
            broken: counted(summary.broken, is_query(Is::Broken)),
            duplicates: counted(summary.duplicates, is_query(Is::Duplicate)),
            duplicate_bytes: summary.duplicate_bytes,
            backups: backups.into_iter().map(Backup::from).collect(),
        }
    }
}

impl From<BackupEntry> for Backup {
    fn from(entry: BackupEntry) -> Self {
        Self {
            kind: entry.kind,
            host: entry.host,
            path: entry.path,
            size_bytes: entry.size_bytes,
            image_count: entry.image_count,
            error: entry.error,
            started_at: entry.started_at,
            finished_at: entry.finished_at,
        }
    }
}

/// The library at a glance, counted now: at a million images that takes a second where something has been written since.
#[utoipa::path(get, path = "/api/v1/library", tag = "about", responses((status = 200, body = LibraryAnswer)))]
pub(in crate::web) async fn get_library(state: Data<State>) -> Result<HttpResponse, WebError> {
    let counted = state.summaries.now(&state.db).await?;
    let backups = state.db.run(|conn| list_backups(conn, MOST_BACKUPS)).await?;
    Ok(json(&LibraryAnswer::new(&counted.summary, backups)))
}
