//! The network as a whole, on tensors in the frame of its input: images to features, features and prompts to masks. Apart from
//! [`super::Predictor`], which knows photographs and px of the upright image.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::{
    EncoderConfig, Naming, SamConfig,
    decoder::{Decoded, FineMaps, MaskDecoder},
    prompt::{InputPoint, PromptEncoder},
    tiny_vit::TinyViT,
    vit::Vit,
};
use crate::infer::{InferError, Result, sam2::Sam2Encoder};

enum Encoder {
    Vit(Box<Vit>),
    TinyVit(Box<TinyViT>),
    Hiera(Box<Sam2Encoder>),
}

/// What is known of images before any prompt.
#[derive(Debug, Clone)]
pub struct Features {
    /// `(batch, grid, grid, dim)`.
    pub embedding: Tensor,
    /// SAM 2's fine maps.
    pub fine: Option<FineMaps>,
}

/// One of SAM, MobileSAM, SAM 2 and SAM 2.1, with its weights.
pub struct SamNetwork {
    config: SamConfig,
    encoder: Encoder,
    prompts: PromptEncoder,
    decoder: MaskDecoder,
    /// Of the cells of an embedding, `(1, grid, grid, dim)`.
    places: Tensor,
    device: Device,
}

impl SamNetwork {
    /// Builds the network from tensors under any of the names in [`Naming`].
    ///
    /// # Errors
    /// [`InferError::WrongWeights`] when a tensor is missing or has another shape.
    pub fn new(config: &SamConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let wrong = |why: String| InferError::WrongWeights { network: "SAM".to_owned(), why };
        let naming = Naming::of(|name| vb.contains_tensor(name)).ok_or_else(|| wrong("it has no image encoder".to_owned()))?;
        let vb = vb.clone().rename_f(move |name| naming.stored(name));
        Self::load(config, &vb).map_err(|error| wrong(error.to_string()))
    }

    /// Builds whichever network the tensors of a file are, in f32.
    ///
    /// # Errors
    /// [`InferError::WrongWeights`]; see [`SamConfig::of_weights`].
    pub fn of_tensors(tensors: HashMap<String, Tensor>, config_json: Option<&str>, device: &Device) -> Result<Self> {
        let config = SamConfig::of_weights(|name| tensors.get(name).map(|tensor| tensor.dims().to_vec()), config_json)?;
        Self::new(&config, &VarBuilder::from_tensors(tensors, DType::F32, device))
    }

    fn load(config: &SamConfig, vb: &VarBuilder<'_>) -> candle_core::Result<Self> {
        let (dim, image_px, grid) = (config.decoder.dim, config.image_px, config.grid());
        let images = vb.pp("image_encoder");
        let encoder = match &config.encoder {
            EncoderConfig::Vit(vit) => Encoder::Vit(Box::new(Vit::load(vit, image_px, dim, &images)?)),
            EncoderConfig::TinyVit(vit) => Encoder::TinyVit(Box::new(TinyViT::load(vit, dim, &images)?)),
            EncoderConfig::Hiera(hiera) => Encoder::Hiera(Box::new(Sam2Encoder::load(hiera, image_px, dim, vb)?)),
        };
        let prompts = PromptEncoder::load(dim, image_px, grid, config.mask_channels, config.decoder.is_sam2, &vb.pp("prompt_encoder"))?;
        Ok(Self {
            config: config.clone(),
            encoder,
            places: prompts.positions()?,
            prompts,
            decoder: MaskDecoder::load(&config.decoder, &vb.pp("mask_decoder"))?,
            device: vb.device().clone(),
        })
    }

    /// Its sizes.
    pub fn config(&self) -> &SamConfig {
        &self.config
    }

    /// Where it runs.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What numbers it computes with.
    pub fn dtype(&self) -> DType {
        self.places.dtype()
    }

    /// `(batch, image_px, image_px, 3)`, normalised → features.
    ///
    /// # Errors
    /// [`InferError::BadInput`] for another shape; [`InferError::Candle`] when memory or the device fails.
    pub fn encode(&self, images: &Tensor) -> Result<Features> {
        let side = self.config.image_px;
        if !matches!(images.dims(), [_, height, width, 3] if *height == side && *width == side) {
            return Err(InferError::BadInput(format!("images must be (batch, {side}, {side}, 3), got {:?}", images.dims())));
        }
        Ok(match &self.encoder {
            Encoder::Vit(encoder) => Features { embedding: encoder.forward(images)?, fine: None },
            Encoder::TinyVit(encoder) => Features { embedding: encoder.forward(images)?, fine: None },
            Encoder::Hiera(encoder) => {
                let features = encoder.forward(images)?;
                let fine = FineMaps::of(&features.fine[0], &features.fine[1])?;
                Features { embedding: features.embedding, fine: Some(fine) }
            }
        })
    }

    /// SAM 2's encoder, for a look at what lies between.
    pub fn sam2_encoder(&self) -> Option<&Sam2Encoder> {
        match &self.encoder {
            Encoder::Hiera(encoder) => Some(encoder),
            Encoder::Vit(_) | Encoder::TinyVit(_) => None,
        }
    }

    /// Masks for several objects in one image (batch of 1): the points belong to all, each box to one. `mask` is
    /// `(1, 4 · grid, 4 · grid)`, logits of an earlier answer.
    ///
    /// # Errors
    /// [`InferError::BadInput`] for a mask of another shape; [`InferError::Candle`] when memory or the device fails.
    pub fn decode(&self, features: &Features, points: &[InputPoint], boxes: &[[f32; 4]], mask: Option<&Tensor>) -> Result<Decoded> {
        let side = 4 * self.config.grid();
        if let Some(mask) = mask.filter(|mask| mask.dims() != [1, side, side]) {
            return Err(InferError::BadInput(format!("a mask prompt must be (1, {side}, {side}), got {:?}", mask.dims())));
        }
        let tokens = if boxes.is_empty() {
            vec![self.prompts.tokens(points, None)?]
        } else {
            boxes.iter().map(|corners| self.prompts.tokens(points, Some(*corners))).collect::<candle_core::Result<Vec<_>>>()?
        };
        let dense = self.prompts.dense(mask)?;
        let tokens = Tensor::stack(&tokens, 0)?;
        Ok(self.decoder.forward(&features.embedding, &self.places, &tokens, &dense, features.fine.as_ref())?)
    }
}
