//! What handlers share: the database, the queue, and the answers worth keeping for a while.

use std::{path::PathBuf, sync::Arc, time::Instant};

use super::{WebError, cache::Cache, metrics::Metrics, status::PicturesView};
use crate::{
    db::{
        Db,
        facets::{Facets, facets},
        status::{Counts, counts},
        timeline::{TimelineDay, timeline},
    },
    models::{Filter, ImageId},
};

/// A filter as the pairs of its address, which can be compared.
type Question = Vec<(&'static str, String)>;

/// What handlers share.
pub struct State {
    /// The truth.
    pub db: Db,
    /// Where thumbnails and proxies lie.
    pub thumbs_dir: PathBuf,
    /// This machine's name, as `vault_mounts` knows it.
    pub host: String,
    /// When the server was made.
    pub started_at: Instant,
    /// Counters of requests.
    pub metrics: Metrics,
    facets: Cache<Question, Facets>,
    timelines: Cache<Question, Vec<TimelineDay>>,
    counts: Cache<(), Counts>,
}

impl State {
    /// Puts together what every server needs.
    pub fn new(db: Db, thumbs_dir: PathBuf, host: String) -> Self {
        Self {
            db,
            thumbs_dir,
            host,
            started_at: Instant::now(),
            metrics: Metrics::default(),
            facets: Cache::default(),
            timelines: Cache::default(),
            counts: Cache::default(),
        }
    }

    /// Counts the facets of a filter; an answer that took long is kept for a while.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn facets(&self, filter: &Filter) -> Result<Arc<Facets>, WebError> {
        let filter = filter.clone();
        self.facets.get(filter.to_pairs(), async || Ok(self.db.run(move |conn| facets(conn, &filter)).await?)).await
    }

    /// Lists the days of a filter, newest first; an answer that took long is kept for a while.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn timeline(&self, filter: &Filter) -> Result<Arc<Vec<TimelineDay>>, WebError> {
        let filter = filter.clone();
        self.timelines.get(filter.to_pairs(), async || Ok(self.db.run(move |conn| timeline(conn, &filter)).await?)).await
    }

    /// Counts everything; an answer that took long is kept for a while.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn counts(&self) -> Result<Arc<Counts>, WebError> {
        self.counts.get((), async || Ok(self.db.run(counts).await?)).await
    }

    /// Asks for pictures to be made before others: somebody looks at where they will be.
    pub async fn want_pictures(&self, images: &[ImageId]) {
        let _ = images;
    }

    /// Asks for a scan of everything known.
    ///
    /// # Errors
    /// When the queue does not answer, or there is none.
    pub async fn request_scan(&self) -> Result<(), WebError> {
        Err(WebError::Unavailable("queue", "this server runs without one".to_owned()))
    }

    /// How far the making of pictures is; `None` when there is nothing to make.
    pub(super) async fn pictures_progress(&self) -> Option<PicturesView> {
        None
    }

    /// Whether the queue answers; `None` when there is none.
    pub async fn ping_queue(&self) -> Option<Result<(), String>> {
        None
    }
}
