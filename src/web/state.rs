//! What handlers share: the database, the queue, and the answers worth keeping for a while.

use std::{path::PathBuf, sync::Arc, time::Instant};

use super::{WebError, cache::Cache, metrics::Metrics, session::Gate, status::PicturesView};
use crate::{
    db::{
        Db,
        facets::{Facets, facets},
        folders::{FolderFacet, list_folder_facets},
        status::{Counts, counts},
        timeline::{TimelineDay, timeline},
    },
    models::{Filter, ImageId},
    queue::Queue,
};

/// A filter as the pairs of its address, which can be compared.
type Question = Vec<(&'static str, String)>;

/// Folders offered at a time: more are found by typing.
const MOST_FOLDERS: i64 = 40;

/// What handlers share.
pub struct State {
    /// The truth.
    pub db: Db,
    /// Work in flight; without it pictures are made in their usual order and no scan can be asked for.
    pub queue: Option<Queue>,
    /// Where thumbnails and proxies lie.
    pub thumbs_dir: PathBuf,
    /// This machine's name, as `vault_mounts` knows it.
    pub host: String,
    /// When the server was made.
    pub started_at: Instant,
    /// Counters of requests.
    pub metrics: Metrics,
    /// Who may come in.
    pub gate: Gate,
    /// Names by which browsers may call this server, beside its address.
    pub(super) hosts: Vec<String>,
    facets: Cache<Question, Facets>,
    folders: Cache<(Question, String), Vec<FolderFacet>>,
    timelines: Cache<Question, Vec<TimelineDay>>,
    counts: Cache<(), Counts>,
}

impl State {
    /// Puts together what every server needs.
    pub fn new(db: Db, queue: Option<Queue>, thumbs_dir: PathBuf, host: String) -> Self {
        Self {
            db,
            queue,
            thumbs_dir,
            host,
            started_at: Instant::now(),
            metrics: Metrics::default(),
            gate: Gate::new(false),
            hosts: Vec::new(),
            facets: Cache::default(),
            folders: Cache::default(),
            timelines: Cache::default(),
            counts: Cache::default(),
        }
    }

    /// Lets nobody in without an account, from the start: for a server that others can reach, by its address or by these names.
    #[must_use]
    pub fn with_accounts(self, hosts: Vec<String>) -> Self {
        Self { gate: Gate::new(true), hosts, ..self }
    }

    /// Counts the facets of a filter; an answer that took long is kept for a while.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn facets(&self, filter: &Filter) -> Result<Arc<Facets>, WebError> {
        let filter = filter.clone();
        self.facets.get(filter.to_pairs(), async || Ok(self.db.run(move |conn| facets(conn, &filter)).await?)).await
    }

    /// Lists the folders that a filter could be narrowed to, of those that have the words; an answer that took long is kept for a while.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn folder_facets(&self, filter: &Filter, words: &str) -> Result<Arc<Vec<FolderFacet>>, WebError> {
        // The folder chosen now narrows nothing here.
        let filter = Filter { folder: None, ..filter.clone() };
        let words = words.to_owned();
        let question = (filter.to_pairs(), words.clone());
        let ask = async || Ok(self.db.run(move |conn| list_folder_facets(conn, &filter, &words, MOST_FOLDERS)).await?);
        self.folders.get(question, ask).await
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

    /// Asks for pictures to be made before others: somebody looks at where they will be. A wish that gets lost costs time alone.
    pub async fn want_pictures(&self, images: &[ImageId]) {
        if let Some(queue) = &self.queue
            && let Err(error) = queue.want_pictures(images).await
        {
            tracing::warn!("pictures cannot be asked for: {error}");
        }
    }

    /// Asks for a scan of everything known.
    ///
    /// # Errors
    /// When the queue does not answer, or there is none.
    pub async fn request_scan(&self) -> Result<(), WebError> {
        let unavailable = |reason| WebError::Unavailable("queue", reason);
        let queue = self.queue.as_ref().ok_or_else(|| unavailable("this server runs without one".to_owned()))?;
        queue.request_scan(None).await.map(|_| ()).map_err(|error| unavailable(error.to_string()))
    }

    /// How far the making of pictures is, as the pipeline publishes it; `None` when there is nothing to make or nobody says.
    pub(super) async fn pictures_progress(&self) -> Option<PicturesView> {
        let progress = self.queue.as_ref()?.progress("pictures").await.ok()?;
        progress.iter().find_map(|(_, progress)| PicturesView::read(progress))
    }

    /// Whether the queue answers; `None` when there is none.
    pub async fn ping_queue(&self) -> Option<Result<(), String>> {
        Some(self.queue.as_ref()?.ping().await.map_err(|error| error.to_string()))
    }
}
