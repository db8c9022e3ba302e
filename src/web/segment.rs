//! Cutting out what somebody points at, on this machine's processor: the network, one image at a time, and a waiting line with an end.
//!
//! ```text
//! prompts → network imported? → embedding kept? ── no → a place in line? → proxy → pixels → embedding, kept
//!                                      └─ yes ──────────────────────────────────────────────┴→ masks
//! ```
//!
//! Apart from the handler, which knows JSON and nothing of this. Whatever takes time runs on threads made for it. A place in line belongs
//! to the work and not to the request: whoever closes the page frees their place only once the work begun for them is done, so that there
//! is never more of it at a time than there may be.

mod line;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::web::Data;
use tokio::sync::Mutex;

use self::line::Line;
use super::{State, WebError, error::or_not_found, files::wait_for_proxy};
use crate::{
    db::image::find_picture_state,
    infer::{
        InferError, Rgb8,
        engine::{Segmenter, device},
        kept::{KeptEmbeddings, Limits},
        sam::{ImageEmbedding, PredictedMask, Prompts},
        shelf::{Shelf, Use},
    },
    models::{ImageId, PictureKey, task::NetworkVersion},
};

/// Images embedded at the same time: each takes all cores.
const EMBEDDED_AT_ONCE: usize = 1;
/// Images that may wait for that; with one to two seconds each, whoever waited longer would have gone.
const MOST_WAITING: usize = 8;
/// Prompts answered at the same time, and waiting: each takes some hundredths of a second.
const ANSWERED_AT_ONCE: usize = 2;
const MOST_ASKING: usize = 32;
/// A network that nobody used for so long leaves memory; the largest takes 0.9 GB.
const IDLE: Duration = Duration::from_secs(600);

/// Pixels of a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Width, upright.
    pub width_px: u32,
    /// Height, upright.
    pub height_px: u32,
    /// Red, green, blue, rows from the top without gaps.
    pub rgb: Vec<u8>,
}

/// Decodes the JPEG of a proxy, or says why it cannot: given by whoever wires the server, for pages decode nothing.
pub type DecodeProxy = Box<dyn Fn(&[u8]) -> Result<Proxy, String> + Send + Sync>;

/// What cuts out what is pointed at.
pub struct Segmenting {
    shelf: Shelf,
    /// Name of the network to use, or empty.
    preferred: String,
    decode: DecodeProxy,
    kept: KeptEmbeddings,
    /// The network in memory.
    open: Arc<Mutex<Option<Open>>>,
    is_watched: Arc<AtomicBool>,
    embedding: Line,
    answering: Line,
}

struct Open {
    network: Arc<Network>,
    used: Instant,
}

/// A network ready to be asked.
struct Network {
    version: NetworkVersion,
    segmenter: Segmenter,
}

/// What came of it.
pub(super) struct Cut {
    /// The state of the picture it is of.
    pub(super) picture: PictureKey,
    /// Which network says so.
    pub(super) network: NetworkVersion,
    /// Size of the frame of the masks.
    pub(super) width_px: u32,
    /// Size of it.
    pub(super) height_px: u32,
    /// The masks, the best first.
    pub(super) masks: Vec<PredictedMask>,
}

impl Segmenting {
    /// One that uses `preferred` of a shelf, or when that is empty the one imported first, and keeps embeddings in `folder`.
    pub fn new(shelf: Shelf, preferred: String, folder: PathBuf, decode: DecodeProxy) -> Self {
        Self {
            shelf,
            preferred,
            decode,
            kept: KeptEmbeddings::new(folder, Limits::default()),
            open: Arc::default(),
            is_watched: Arc::default(),
            embedding: Line::new(EMBEDDED_AT_ONCE, MOST_WAITING),
            answering: Line::new(ANSWERED_AT_ONCE, MOST_ASKING),
        }
    }

    /// The network to use, opened unless it is.
    async fn network(self: &Arc<Self>) -> Result<Arc<Network>, WebError> {
        let mut open = Arc::clone(&self.open).lock_owned().await;
        let this = Arc::clone(self);
        let network = blocking(move || {
            let shelved =
                this.shelf.choose(Use::Segment, &this.preferred).map_err(unusable)?.ok_or_else(|| none_imported(&this.preferred))?;
            let version = shelved.network();
            if let Some(open) = open.as_mut().filter(|open| open.network.version == version) {
                open.used = Instant::now();
                return Ok(Arc::clone(&open.network));
            }
            // The old one leaves before the new one comes: both may not fit.
            *open = None;
            let cpu = device(false).map_err(unusable)?;
            let network = Arc::new(Network { segmenter: Segmenter::open(&shelved, &cpu).map_err(unusable)?, version });
            tracing::info!("the network {} is ready to cut out what is pointed at", network.version);
            *open = Some(Open { network: Arc::clone(&network), used: Instant::now() });
            Ok::<_, WebError>(network)
        })
        .await??;
        self.watch();
        Ok(network)
    }

    /// Lets the network go once nobody has used it for a while.
    fn watch(self: &Arc<Self>) {
        if self.is_watched.swap(true, Ordering::AcqRel) {
            return;
        }
        let (open, is_watched) = (Arc::clone(&self.open), Arc::clone(&self.is_watched));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(IDLE).await;
                let mut open = open.lock().await;
                if open.as_ref().is_none_or(|open| open.used.elapsed() >= IDLE) {
                    *open = None;
                    is_watched.store(false, Ordering::Release);
                    return;
                }
            }
        });
    }

    /// The embedding of a picture, made unless it is kept.
    async fn embedding(
        self: &Arc<Self>,
        state: &Data<State>,
        image: ImageId,
        picture: &PictureKey,
        network: &Arc<Network>,
    ) -> Result<Arc<ImageEmbedding>, WebError> {
        if let Some(embedding) = self.kept.in_memory(picture, &network.version) {
            return Ok(embedding);
        }
        let (this, key, of) = (Arc::clone(self), picture.clone(), Arc::clone(network));
        if let Some(embedding) = blocking(move || this.kept.find(&key, &of.version)).await? {
            return Ok(embedding);
        }
        let jpeg = wait_for_proxy(state, image, picture).await?;
        let turn = self.embedding.turn("Other images are being looked at first. Try again in a moment.").await?;
        // While this one waited, another may have made it.
        if let Some(embedding) = self.kept.in_memory(picture, &network.version) {
            return Ok(embedding);
        }
        let (this, key, of) = (Arc::clone(self), picture.clone(), Arc::clone(network));
        blocking(move || {
            let _turn = turn;
            let proxy = (this.decode)(&jpeg).map_err(WebError::NoPicture)?;
            let picture = Rgb8 { width_px: proxy.width_px, height_px: proxy.height_px, bytes: &proxy.rgb };
            let embedding = of.segmenter.embed(&picture).map_err(failed)?;
            this.kept.keep(&key, &of.version, &embedding).map_err(failed)
        })
        .await?
    }

    /// Cuts out of an image what the prompts mean, which are made for its embedding.
    pub(super) async fn cut(
        self: &Arc<Self>,
        state: &Data<State>,
        image: ImageId,
        prompts: impl FnOnce(&ImageEmbedding) -> Prompts + Send + 'static,
    ) -> Result<Cut, WebError> {
        let network = self.network().await?;
        let found = state.db.run(move |conn| find_picture_state(conn, image)).await.map_err(or_not_found("image"))?;
        if let Some(reason) = found.error {
            return Err(WebError::NoPicture(reason));
        }
        let picture = found.key.ok_or_else(|| WebError::NoPicture("none of its files has pixels".to_owned()))?;
        let picture: PictureKey = picture.parse().map_err(|error| WebError::Internal(format!("images.picture_key: {error}")))?;
        let embedding = self.embedding(state, image, &picture, &network).await?;
        let turn = self.answering.turn("Others are being answered first. Try again in a moment.").await?;
        let of = Arc::clone(&network);
        let (masks, width_px, height_px) = blocking(move || {
            let _turn = turn;
            let mut masks = of.segmenter.masks(&embedding, &prompts(&embedding)).map_err(failed)?;
            masks.sort_by(|one, other| other.score.total_cmp(&one.score));
            let transform = embedding.transform();
            Ok::<_, WebError>((masks, transform.image_width_px, transform.image_height_px))
        })
        .await??;
        Ok(Cut { picture, network: network.version.clone(), width_px, height_px, masks })
    }
}

/// Runs what takes time on a thread made for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, WebError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| WebError::Internal(format!("cutting out: {error}")))
}

/// There is no network for it, or not the one that is preferred, and where to get one.
pub(super) fn none_imported(preferred: &str) -> WebError {
    let what = match preferred {
        "" => "No network that cuts out what is pointed at is imported.".to_owned(),
        preferred => format!("The configuration prefers `{preferred}` to cut out what is pointed at, and no such network is imported."),
    };
    WebError::NoNetwork(format!("{what} The page /models says which there are and how to import one."))
}

/// The network cannot be opened.
fn unusable(error: InferError) -> WebError {
    WebError::NoNetwork(format!(
        "The network that cuts out what is pointed at cannot be used: {error}. `hm models verify` looks it over; the page /models says \
         how to import another."
    ))
}

/// It failed at work.
fn failed(error: InferError) -> WebError {
    match error {
        InferError::BadInput(text) => WebError::BadRequest(text),
        error => WebError::Internal(format!("cutting out: {error}")),
    }
}
