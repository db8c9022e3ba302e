//! The image encoder of SAM 2 and 2.1: Hiera, a feature pyramid on top, and what the decoder takes from it. Prompts, decoder and
//! predictor are those of [`super::sam`]. Of SAM 2 only what single images need: no memory, no video. May import sam's layers.
//!
//! # Source
//! Paper: Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024. Reference: facebookresearch/sam2 at 0c5f8c5
//! (Apache-2.0); checkpoints `sam2_hiera_*` and `sam2.1_hiera_*` (Apache-2.0).

mod hiera;
mod neck;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::sam::layers::{Activation, Conv};
pub use hiera::{Hiera, HieraConfig};
pub use neck::FeaturePyramid;

/// The encoder with its weights.
pub struct Sam2Encoder {
    hiera: Hiera,
    pyramid: FeaturePyramid,
    /// From the finest level to what the decoder adds to its masks, and from the next one.
    fine: [Conv; 2],
    /// `(out_dim)`: what stands for the memory of earlier frames of a video, of which an image has none.
    no_memory: Tensor,
}

/// What [`Sam2Encoder`] makes of images.
pub struct Sam2Features {
    /// `(batch, rows, columns, out_dim)`, 1/16 of the image.
    pub embedding: Tensor,
    /// `(batch, 4 · rows, 4 · columns, out_dim / 8)` and `(batch, 2 · rows, 2 · columns, out_dim / 4)`.
    pub fine: [Tensor; 2],
}

impl Sam2Encoder {
    /// Reads the tensors of the encoder, and those at the root and of the decoder that belong to it.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &HieraConfig, image_px: usize, out_dim: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let decoder = vb.pp("mask_decoder");
        Ok(Self {
            hiera: Hiera::load(config, image_px, &vb.pp("image_encoder.trunk"))?,
            pyramid: FeaturePyramid::load(config, out_dim, &vb.pp("image_encoder.neck"))?,
            fine: [
                Conv::load(out_dim, out_dim / 8, 1, 1, 0, &decoder.pp("conv_s0"))?,
                Conv::load(out_dim, out_dim / 4, 1, 1, 0, &decoder.pp("conv_s1"))?,
            ],
            no_memory: vb.get((1, 1, out_dim), "no_mem_embed")?.flatten_all()?,
        })
    }

    /// The maps of the four stages, `(batch, height, width, channels)` each: 1/4, 1/8, 1/16 and 1/32 of the image.
    ///
    /// # Errors
    /// Another shape, or no memory.
    pub fn stages(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        self.hiera.forward(images)
    }

    /// `(batch, image_px, image_px, 3)` normalised → embedding and fine maps.
    ///
    /// # Errors
    /// Another shape, or no memory.
    pub fn forward(&self, images: &Tensor) -> Result<Sam2Features> {
        let levels = self.pyramid.forward(&self.stages(images)?)?;
        Ok(Sam2Features {
            embedding: levels[2].broadcast_add(&self.no_memory)?,
            fine: [self.fine[0].forward(&levels[0], Activation::None)?, self.fine[1].forward(&levels[1], Activation::None)?],
        })
    }
}
