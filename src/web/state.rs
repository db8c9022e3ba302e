//! What handlers share: the database, the queue, and the answers worth keeping for a while.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    WebError, ask::Ask, cache::Cache, edits::UnderWay, metrics::Metrics, segment::Segmenting, session::Gate, status::PicturesView,
    summary::Summaries, tracks::Tracks,
};
use crate::{
    config::{MapConfig, ModelsConfig},
    db::{
        Db, PgConnection,
        facets::{Facets, facets},
        folders::{FolderFacet, list_folder_facets},
        gallery::Gathered,
        map::{Cluster, CountryCount, list_clusters, list_places},
        ranked::{Seen, count_seen},
        status::{Counts, counts},
        timeline::{TimelineDay, timeline},
    },
    models::{
        Filter, ImageId, NetworkId,
        map::{Cell, View},
    },
    queue::Queue,
};

/// A filter as the pairs of its address, which can be compared.
type Question = Vec<(&'static str, String)>;

/// Exports under way at the same time: each holds a connection to the database while it reads.
const MOST_EXPORTS: usize = 2;

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
    /// Names of the vaults whose sidecars this process writes.
    pub written_vaults: BTreeSet<String>,
    /// Where the map's tiles come from, if from anywhere.
    pub map: MapConfig,
    /// Where the imported networks lie, and which are preferred.
    pub models: ModelsConfig,
    /// When the server was made.
    pub started_at: Instant,
    /// Counters of requests.
    pub metrics: Metrics,
    /// Tracks that somebody is about to use.
    pub(super) tracks: Tracks,
    /// Edits that pages wait for.
    pub(super) under_way: UnderWay,
    /// Who may come in.
    pub gate: Gate,
    /// Names by which browsers may call this server, beside its address.
    pub(super) hosts: Vec<String>,
    /// What passes the filters that were asked for last.
    pub(super) gathered: Arc<Gathered>,
    facets: Cache<Question, Facets>,
    folders: Cache<(Question, String), Vec<FolderFacet>>,
    timelines: Cache<Question, Vec<TimelineDay>>,
    clusters: Cache<(Question, u8, Vec<Cell>), Vec<Cluster>>,
    places: Cache<Question, Vec<CountryCount>>,
    counts: Cache<(), Counts>,
    /// The library's sums.
    pub(super) summaries: Arc<Summaries>,
    exports: Arc<Semaphore>,
    seen: Cache<(Question, Option<NetworkId>), Seen>,
    /// What images are to look like, as vectors; `None` where the server was given no networks.
    pub(super) ask: Option<Arc<Ask>>,
    /// What cuts out what is pointed at, where the server was given networks.
    pub(super) segmenting: Option<Arc<Segmenting>>,
}

impl State {
    /// Puts together what every server needs.
    pub fn new(db: Db, queue: Option<Queue>, thumbs_dir: PathBuf, host: String) -> Self {
        Self {
            db,
            queue,
            thumbs_dir,
            host,
            written_vaults: BTreeSet::new(),
            map: MapConfig::default(),
            models: ModelsConfig::default(),
            started_at: Instant::now(),
            metrics: Metrics::default(),
            tracks: Tracks::default(),
            under_way: UnderWay::default(),
            gate: Gate::new(false),
            hosts: Vec::new(),
            gathered: Arc::default(),
            facets: Cache::default(),
            folders: Cache::default(),
            timelines: Cache::default(),
            clusters: Cache::default(),
            places: Cache::default(),
            counts: Cache::default(),
            summaries: Arc::default(),
            exports: Arc::new(Semaphore::new(MOST_EXPORTS)),
            seen: Cache::default(),
            ask: None,
            segmenting: None,
        }
    }

    /// Says which vaults' sidecars this process writes, by name.
    #[must_use]
    pub fn writing(mut self, vaults: impl IntoIterator<Item = String>) -> Self {
        self.written_vaults.extend(vaults);
        self
    }

    /// Shows the map as configured.
    pub fn with_map(self, map: MapConfig) -> Self {
        Self { map, ..self }
    }

    /// Uses the networks as configured.
    #[must_use]
    pub fn with_models(self, models: ModelsConfig) -> Self {
        Self { models, ..self }
    }

    /// Answers what pictures show, and which are alike.
    #[must_use]
    pub fn with_ask(self, ask: Ask) -> Self {
        Self { ask: Some(Arc::new(ask)), ..self }
    }

    /// Cuts out what is pointed at.
    #[must_use]
    pub fn with_segmenting(self, segmenting: Segmenting) -> Self {
        Self { segmenting: Some(Arc::new(segmenting)), ..self }
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
        // An order leaves nothing out.
        let filter = filter.without_like();
        self.facets.get(filter.to_pairs(), async || Ok(self.db.run(move |conn| facets(conn, &filter)).await?)).await
    }

    /// Lists the folders that a filter could be narrowed to, of those that have the words; an answer that took long is kept for a while.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn folder_facets(&self, filter: &Filter, words: &str) -> Result<Arc<Vec<FolderFacet>>, WebError> {
        // The folder chosen now narrows nothing here.
        let filter = Filter { folder: None, ..filter.without_like() };
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
        let (filter, gathered, question) = (filter.clone(), self.gathered.clone(), filter.to_pairs());
        let list = move |conn: &mut PgConnection| match gathered.kept(conn, &filter)? {
            Some(matches) => Ok(matches.days()),
            None => timeline(conn, &filter),
        };
        self.timelines.get(question, async || Ok(self.db.run(list).await?)).await
    }

    /// Lists the clusters of a view within a filter; an answer that took long is kept for a while.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn clusters(&self, filter: &Filter, view: &View) -> Result<Arc<Vec<Cluster>>, WebError> {
        let (filter, view) = (filter.clone(), view.clone());
        if filter.is_all() {
            // Counted beforehand: asking is as quick as remembering.
            return Ok(Arc::new(self.db.run(move |conn| list_clusters(conn, &filter, &view)).await?));
        }
        let question = (filter.to_pairs(), view.zoom, view.blocks.clone());
        self.clusters.get(question, async || Ok(self.db.run(move |conn| list_clusters(conn, &filter, &view)).await?)).await
    }

    /// Counts the countries and towns of a filter; an answer that took long is kept for a while.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn places(&self, filter: &Filter) -> Result<Arc<Vec<CountryCount>>, WebError> {
        let filter = filter.clone();
        self.places.get(filter.to_pairs(), async || Ok(self.db.run(move |conn| list_places(conn, &filter)).await?)).await
    }

    /// Counts what of a filter without a `like:` a network has looked at; an answer that took long is kept for a while.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn seen(&self, filter: &Filter, network: Option<NetworkId>) -> Result<Arc<Seen>, WebError> {
        let filter = filter.clone();
        let question = (filter.to_pairs(), network);
        self.seen.get(question, async || Ok(self.db.run(move |conn| count_seen(conn, network, &filter)).await?)).await
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

    /// Asks for what networks find in images that somebody looks at now, before all others. Nobody waits for it, and a wish that gets lost
    /// costs time alone.
    pub fn want_findings(&self, images: Vec<ImageId>) {
        let Some(queue) = self.queue.clone().filter(|_| !images.is_empty()) else { return };
        actix_web::rt::spawn(async move {
            if let Err(error) = queue.want_findings(&images).await {
                tracing::debug!("findings cannot be asked for: {error}");
            }
        });
    }

    /// Sums everything up before anybody asks. A failure is told to who asks.
    pub async fn count_library(&self) {
        if let Err(error) = self.summaries.now(&self.db).await {
            tracing::debug!("the library is not counted yet: {error}");
        }
    }

    /// Leave to export something, until it is dropped; `None` while others do.
    pub(super) fn export_turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.exports).try_acquire_owned().ok()
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
