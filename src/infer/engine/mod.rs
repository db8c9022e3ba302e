//! Networks ready to run: an imported one and a device in, vectors, regions and masks out. Apart from the networks, which know tensors
//! and nothing of pictures, files or each other.
//!
//! ```text
//! Shelved + Device → open → prepare: RGB8 → numbers, on the CPU → run: numbers → answers, on the device
//! ```
//!
//! `prepare` and `run` are apart, so that a worker can do the one while the device does the other; a [`Prepared`] may wander between
//! threads. Everything here can be shared by threads; a device is best given work by one. Imports the networks, the shelf, models.

mod detector;
mod device;
mod embedder;
mod prepared;
mod segmenter;
mod words;

use std::path::Path;

use candle_core::DType;

use super::{
    InferError, Result,
    shelf::{Shelved, Use},
    weights::Weights,
};

pub use candle_core::Device;
pub use detector::Detector;
pub use device::{device, device_name};
pub use embedder::PictureEmbedder;
pub use prepared::Prepared;
pub use segmenter::Segmenter;
pub use words::WordEncoder;

/// What networks compute with.
const DTYPE: DType = DType::F32;

/// The weights of a network that is there for one of `uses`, with nothing read yet.
fn open(shelved: &Shelved, uses: &[Use], wanted: &str) -> Result<Weights> {
    if !uses.contains(&shelved.use_()) {
        return Err(InferError::Refused(format!(
            "{} ({}) {wanted}\nhint: it is there for {}",
            shelved.manifest.title,
            shelved.manifest.name,
            shelved.use_().unlocks()
        )));
    }
    Weights::open(&shelved.folder)
}

/// The configuration that decides what a network computes.
fn config(weights: &Weights, network: &str) -> Result<String> {
    weights.config().map(str::to_owned).ok_or_else(|| InferError::WrongWeights {
        network: network.to_owned(),
        why: "there is no config.json beside them, which says how it is built; hint: fetch it from the page that the weights are from, put it \
              beside them and import again"
            .into(),
    })
}

/// Builds a network on the CPU and lets go of it: what is imported must be able to run.
///
/// # Errors
/// As the `open` of its kind.
pub(super) fn try_open(shelved: &Shelved) -> Result<()> {
    match shelved.use_() {
        Use::Embed => {
            drop(PictureEmbedder::open(shelved, &Device::Cpu)?);
            words::Encoder::open(shelved).map(|_| ())
        }
        Use::Objects => PictureEmbedder::open(shelved, &Device::Cpu).map(|_| ()),
        Use::Detect => Detector::open(shelved, &Device::Cpu).map(|_| ()),
        Use::Segment => Segmenter::open(shelved, &Device::Cpu).map(|_| ()),
    }
}

/// Whether a tokenizer can be that of a network.
///
/// # Errors
/// As [`WordEncoder::open`].
pub(super) fn try_tokenizer(shelved: &Shelved, file: &Path) -> Result<()> {
    WordEncoder::with_tokenizer(shelved, file).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_send_and_sync<T: Send + Sync>() {}

    #[test]
    fn networks_and_prepared_pictures_wander_between_threads() {
        is_send_and_sync::<Prepared>();
        is_send_and_sync::<PictureEmbedder>();
        is_send_and_sync::<WordEncoder>();
        is_send_and_sync::<Detector>();
        is_send_and_sync::<Segmenter>();
    }
}
