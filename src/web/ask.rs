//! What images are to look like, as a vector of the network that has looked at them: words by its encoder of words, an image by what is
//! stored of it, and where nothing is, and for a region, by its encoder of pictures.
//!
//! ```text
//! like: → network imported? → vector kept? ── no ─→ words: encoder │ image: stored, else proxy → encoder │ region: proxy → part → encoder
//!                                  └─ yes ─────────────────────────────┴→ vector, kept → db::nearest
//! ```
//!
//! All of it runs on this machine's processor, so that searching works while every worker sleeps; on threads made for it, one picture or
//! text at a time, because each takes all cores. Apart from the pages, which know none of this.

mod kept;
mod part;
mod shelf;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::web::Data;
use tokio::sync::Semaphore;

pub use self::shelf::ShelfEncoders;
use self::{
    kept::{Kept, Of},
    part::part,
};
use super::{State, WebError, error::or_not_found, files::wait_for_proxy, segment::DecodeProxy};
use crate::{
    db::{
        DbError,
        image::find_picture_state,
        nearest::embedding_of,
        networks,
        regions::find_region,
        vectors::{Vectors, find_vectors},
    },
    infer::Rgb8,
    models::{
        ImageId, NetworkId, PictureKey,
        query::Like,
        task::{NetworkVersion, TaskKind},
        vision::BoundingBox,
    },
};

/// Questions that wait for their turn beside the one that has it; each takes a tenth of a second or a few.
const MOST_WAITING: usize = 32;
/// Encoders that nobody used for so long leave memory.
const IDLE: Duration = Duration::from_secs(600);

/// What makes vectors of words and pictures, one kind of network with one set of weights at a time. Blocks; never called on a thread
/// that answers requests.
pub trait Encoders: Send + Sync {
    /// The network in use; `None` while none is imported.
    ///
    /// # Errors
    /// What stands in the way, for a person.
    fn network(&self) -> Result<Option<NetworkVersion>, String>;

    /// Words → a vector of unit length.
    ///
    /// # Errors
    /// What stands in the way, for a person.
    fn words(&self, network: &NetworkVersion, words: &str) -> Result<Vec<f32>, String>;

    /// A picture, upright → a vector of unit length.
    ///
    /// # Errors
    /// What stands in the way, for a person.
    fn picture(&self, network: &NetworkVersion, picture: &Rgb8<'_>) -> Result<Vec<f32>, String>;

    /// Lets go of what can be had again.
    fn rest(&self);
}

/// What answers.
pub struct Ask {
    encoders: Arc<dyn Encoders>,
    decode: Arc<DecodeProxy>,
    kept: Mutex<Kept>,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    used: Mutex<Instant>,
    is_watched: AtomicBool,
    /// The database can hold vectors; once it can, it does not stop.
    has_vectors: AtomicBool,
}

/// A direction, and whose.
#[derive(Debug, Clone)]
pub(super) struct Direction {
    /// The network that it is of.
    pub(super) network: NetworkVersion,
    /// The same in the database; `None` while it has not looked at anything.
    pub(super) id: Option<NetworkId>,
    /// Of unit length.
    pub(super) vector: Arc<Vec<f32>>,
}

impl Ask {
    /// One that asks these encoders, and sees proxies by `decode`.
    pub fn new(encoders: Arc<dyn Encoders>, decode: DecodeProxy) -> Self {
        Self {
            encoders,
            decode: Arc::new(decode),
            kept: Mutex::default(),
            turns: Arc::new(Semaphore::new(1)),
            places: Arc::new(Semaphore::new(1 + MOST_WAITING)),
            used: Mutex::new(Instant::now()),
            is_watched: AtomicBool::new(false),
            has_vectors: AtomicBool::new(false),
        }
    }

    /// The network in use.
    ///
    /// # Errors
    /// [`WebError::NoNetwork`] when none is imported, or it cannot be used.
    pub(super) async fn network(&self) -> Result<NetworkVersion, WebError> {
        let encoders = Arc::clone(&self.encoders);
        blocking(move || encoders.network()).await?.map_err(unusable)?.ok_or_else(none_imported)
    }

    /// What is asked for, as a direction.
    ///
    /// # Errors
    /// [`WebError::NoNetwork`], [`WebError::NoVectors`], [`WebError::NotFound`] when there is no such image or region, [`WebError::NoPicture`] and
    /// [`WebError::PicturePending`] when it has no picture to be looked at, [`WebError::Busy`] when too many ask.
    pub(super) async fn direction(self: &Arc<Self>, state: &Data<State>, like: &Like) -> Result<Direction, WebError> {
        let network = self.network().await?;
        let wanted = network.clone();
        let was_ready = self.has_vectors.load(Ordering::Relaxed);
        let (id, vectors) = state
            .db
            .run(move |conn| {
                let vectors = if was_ready { Vectors::Ready } else { find_vectors(conn)? };
                Ok::<_, DbError>((networks::find(conn, TaskKind::Embed, &wanted)?.map(|known| known.id), vectors))
            })
            .await?;
        if let Some(problem) = vectors.problem() {
            return Err(no_vectors(&problem));
        }
        self.has_vectors.store(true, Ordering::Relaxed);
        let vector = match like {
            Like::Words(words) => self.of_words(&network, words).await?,
            Like::Image(image) => self.of_image(state, &network, id, *image).await?,
            Like::Region(region) => {
                let region = *region;
                let found = state.db.run(move |conn| find_region(conn, region)).await.map_err(or_not_found("region"))?;
                let bounds = (found.bounds, (found.width_px, found.height_px));
                self.of_picture(state, &network, found.image, Of::Region(region), Some(bounds)).await?
            }
        };
        Ok(Direction { network, id, vector })
    }

    async fn of_words(self: &Arc<Self>, network: &NetworkVersion, words: &str) -> Result<Arc<Vec<f32>>, WebError> {
        let of = Of::Words(words.to_owned());
        if let Some(vector) = self.kept().find(network, &of) {
            return Ok(vector);
        }
        let text = words.to_owned();
        let vector = self.encode(network, move |encoders, network| encoders.words(network, &text)).await?;
        Ok(self.kept().keep(network, of, vector))
    }

    async fn of_image(
        self: &Arc<Self>,
        state: &Data<State>,
        network: &NetworkVersion,
        id: Option<NetworkId>,
        image: ImageId,
    ) -> Result<Arc<Vec<f32>>, WebError> {
        if let Some(id) = id
            && let Some(vector) = state.db.run(move |conn| embedding_of(conn, id, image)).await?
        {
            return Ok(Arc::new(vector));
        }
        self.of_picture(state, network, image, Of::Image(image), None).await
    }

    /// A picture that is looked at now, whole or in part: a box and the size of the picture that it is measured in.
    async fn of_picture(
        self: &Arc<Self>,
        state: &Data<State>,
        network: &NetworkVersion,
        image: ImageId,
        of: Of,
        bounds: Option<(BoundingBox, (u32, u32))>,
    ) -> Result<Arc<Vec<f32>>, WebError> {
        let found = state.db.run(move |conn| find_picture_state(conn, image)).await.map_err(or_not_found("image"))?;
        if let Some(reason) = found.error {
            return Err(WebError::NoPicture(reason));
        }
        let key = found.key.ok_or_else(|| WebError::NoPicture("none of its files has pixels".to_owned()))?;
        let of = Of::Picture(Box::new(of), key.clone());
        if let Some(vector) = self.kept().find(network, &of) {
            return Ok(vector);
        }
        let key: PictureKey = key.parse().map_err(|error| WebError::Internal(format!("images.picture_key: {error}")))?;
        let jpeg = wait_for_proxy(state, image, &key).await?;
        let decode = Arc::clone(&self.decode);
        let proxy = blocking(move || {
            let proxy = (*decode)(&jpeg)?;
            Ok::<_, String>(match bounds {
                Some((bounds, size_px)) => part(&proxy, bounds, size_px),
                None => proxy,
            })
        });
        let proxy = proxy.await?.map_err(WebError::NoPicture)?;
        let look = move |encoders: &dyn Encoders, network: &NetworkVersion| {
            encoders.picture(network, &Rgb8 { width_px: proxy.width_px, height_px: proxy.height_px, bytes: &proxy.rgb })
        };
        let vector = self.encode(network, look).await?;
        Ok(self.kept().keep(network, of, vector))
    }

    /// Waits for a turn and runs an encoder. The turn belongs to the work: whoever closes the page leaves it to end.
    async fn encode(
        self: &Arc<Self>,
        network: &NetworkVersion,
        work: impl FnOnce(&dyn Encoders, &NetworkVersion) -> Result<Vec<f32>, String> + Send + 'static,
    ) -> Result<Vec<f32>, WebError> {
        let busy = |_| WebError::Busy("Others ask at this moment. Try again in a few seconds.");
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|error| WebError::Internal(error.to_string()))?;
        let (this, network) = (Arc::clone(self), network.clone());
        let vector = blocking(move || {
            let _held = (place, turn);
            let vector = work(this.encoders.as_ref(), &network);
            *this.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            vector
        });
        let vector = vector.await?.map_err(unusable)?;
        self.watch();
        Ok(vector)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the encoders rest once nobody has used them for a while.
    fn watch(self: &Arc<Self>) {
        if self.is_watched.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(IDLE).await;
                let unused = this.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
                if unused >= IDLE {
                    break;
                }
            }
            this.is_watched.store(false, Ordering::Release);
            drop(blocking(move || this.encoders.rest()).await);
        });
    }
}

/// Runs what takes time on a thread made for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, WebError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| WebError::Internal(format!("looking: {error}")))
}

/// There is no network for it, and where to get one.
pub(super) fn none_imported() -> WebError {
    WebError::NoNetwork(
        "Pictures are found by what they show once a network that knows words and pictures is imported. The page /models says which \
         there are, and how to import one."
            .to_owned(),
    )
}

/// The database cannot compare pictures: why, and after `hint: ` what to do about it.
pub(super) fn no_vectors(problem: &str) -> WebError {
    let (why, hint) = problem.split_once("\nhint: ").unwrap_or((problem, ""));
    let gap = if hint.is_empty() { "" } else { " To mend it, " };
    WebError::NoVectors(format!("Pictures cannot be compared: {why}.{gap}{hint}."))
}

/// It cannot be used.
fn unusable(error: String) -> WebError {
    WebError::NoNetwork(format!(
        "The network that knows words and pictures cannot be used: {error}. `hm models verify` looks it over; the page /models says how \
         to import another."
    ))
}
