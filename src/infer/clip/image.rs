//! The half of CLIP that sees. Apart from the other half, because a worker that only embeds images needs no more. Imports the
//! transformer's block.

use candle_core::{IndexOp, Tensor};
use candle_nn::VarBuilder;

use super::{Config, VisionConfig, wrong};
#[cfg(doc)]
use crate::infer::InferError;
use crate::infer::Result;
use crate::infer::input;
use crate::infer::transformer::{Block, CLIP_NAMES, Mask, Norm, PatchEmbedding, unit_length, with_first_token};

/// Pixels → an embedding.
#[derive(Debug, Clone)]
pub struct ImageEncoder {
    patches: PatchEmbedding,
    /// `(1, 1, dim)`.
    class_token: Tensor,
    /// `(1, tokens, dim)`.
    positions: Tensor,
    norm_before: Norm,
    blocks: Vec<Block>,
    norm_after: Norm,
    /// `(dim, projection_dim)`.
    projection: Tensor,
    config: VisionConfig,
}

/// What the encoder knows of a batch of images.
#[derive(Debug, Clone)]
pub struct ImageFeatures {
    /// `(batch, tokens, dim)`: after the last block.
    pub last_hidden_state: Tensor,
    /// `(batch, dim)`: the gathering token, normalised.
    pub pooled: Tensor,
    /// `(batch, projection_dim)`, unit length.
    pub embeddings: Tensor,
}

impl ImageEncoder {
    /// Reads the encoder from weights in Hugging Face's names: `vision_model.*` and `visual_projection.weight`.
    ///
    /// # Errors
    /// [`InferError::WrongWeights`] when a tensor is missing or has another shape.
    pub fn new(vb: &VarBuilder, config: &Config) -> Result<Self> {
        Self::load(vb, config).map_err(wrong)
    }

    fn load(vb: &VarBuilder, config: &Config) -> candle_core::Result<Self> {
        let vision = &config.vision;
        let (dim, eps) = (vision.block.dim, vision.block.norm_eps);
        let model = vb.pp("vision_model");
        let embeddings = model.pp("embeddings");
        let blocks = (0..vision.layers)
            .map(|layer| Block::load(&vision.block, &CLIP_NAMES, false, &model.pp("encoder.layers").pp(layer)))
            .collect::<candle_core::Result<_>>()?;
        Ok(Self {
            patches: PatchEmbedding::load(vision.channels, dim, vision.patch_px, false, &embeddings.pp("patch_embedding"))?,
            class_token: embeddings.get(dim, "class_embedding")?.reshape((1, 1, dim))?,
            positions: embeddings.get((vision.tokens(), dim), "position_embedding.weight")?.unsqueeze(0)?,
            // The checkpoint spells it so.
            norm_before: Norm::load(dim, eps, &model.pp("pre_layrnorm"))?,
            blocks,
            norm_after: Norm::load(dim, eps, &model.pp("post_layernorm"))?,
            // (projection_dim, dim) → (dim, projection_dim)
            projection: vb.get((config.projection_dim, dim), "visual_projection.weight")?.t()?.contiguous()?,
            config: vision.clone(),
        })
    }

    /// How its pixels are made.
    pub fn input(&self) -> input::Config {
        input::Config::clip(self.config.image_px as u32)
    }

    /// `(batch, 3, image_px, image_px)`, normalised as [`Self::input`] says → what is known of them.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when the shape is another one, [`InferError::Candle`] when memory or the device fails.
    pub fn features(&self, pixels: &Tensor) -> Result<ImageFeatures> {
        let side = self.config.image_px;
        input::check_pixels(pixels, "CLIP", |_, channels, height, width| {
            channels == self.config.channels && (height, width) == (side, side)
        })?;
        let tokens = with_first_token(&self.class_token, &self.patches.forward(pixels)?)?;
        let mut x = self.norm_before.forward(&tokens.broadcast_add(&self.positions)?)?;
        for block in &self.blocks {
            x = block.forward(&x, &Mask::NONE)?;
        }
        let pooled = self.norm_after.forward(&x.i((.., 0))?)?;
        let embeddings = unit_length(&pooled.matmul(&self.projection)?)?;
        Ok(ImageFeatures { last_hidden_state: x, pooled, embeddings })
    }

    /// `(batch, 3, image_px, image_px)`, normalised as [`Self::input`] says → `(batch, projection_dim)`, unit length.
    ///
    /// # Errors
    /// As [`Self::features`].
    pub fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        Ok(self.features(pixels)?.embeddings)
    }
}
