//! Pictures and clicks → masks. Apart, because a picture is embedded once and then asked again and again.

use candle_core::Device;

use super::{DTYPE, open};
use crate::infer::{
    Result, Rgb8,
    sam::{ImageEmbedding, PredictedMask, Predictor, Prompts, SamConfig, SamNetwork},
    shelf::{Shelved, Use},
};

/// SAM, MobileSAM or SAM 2 on a device.
pub struct Segmenter {
    predictor: Predictor,
}

impl Segmenter {
    /// Reads the network onto a device.
    ///
    /// # Errors
    /// As [`super::PictureEmbedder::open`].
    pub fn open(shelved: &Shelved, device: &Device) -> Result<Self> {
        let weights = open(shelved, &[Use::Segment], "outlines nothing that is clicked")?;
        let config = SamConfig::of_weights(|name| weights.shape(name), weights.config())?;
        let network = SamNetwork::new(&config, &weights.var_builder(DTYPE, device))?;
        Ok(Self { predictor: Predictor::new(network) })
    }

    /// What it knows of an upright picture before any click: the slow part.
    ///
    /// # Errors
    /// [`crate::infer::InferError::BadInput`] for a picture without pixels, or with too few bytes; [`crate::infer::InferError::Candle`] when
    /// memory or the device fails.
    pub fn embed(&self, picture: &Rgb8<'_>) -> Result<ImageEmbedding> {
        self.predictor.embed(*picture)
    }

    /// Masks of the upright picture for prompts in px of it: for each box, or for the points alone, one, or three when all are asked for.
    ///
    /// # Errors
    /// [`crate::infer::InferError::BadInput`] when nothing is asked, a number is not finite, or the embedding is of another network;
    /// [`crate::infer::InferError::Candle`] when memory or the device fails.
    pub fn masks(&self, picture: &ImageEmbedding, prompts: &Prompts) -> Result<Vec<PredictedMask>> {
        self.predictor.masks(picture, prompts)
    }

    /// Where it runs: what [`ImageEmbedding::of_bytes`] wants.
    pub fn device(&self) -> &Device {
        self.predictor.network().device()
    }
}
