//! CLIP: images and sentences in one space, so that words find pictures.
//!
//! Paper: Radford et al., “Learning Transferable Visual Models From Natural Language Supervision” (2021). Reference: `modeling_clip.py` of
//! Hugging Face's transformers 5.23. Checkpoints: `openai/clip-vit-base-patch32`, `-base-patch16`, `-large-patch14` (MIT), and LAION's
//! `CLIP-ViT-*` (MIT), which differ in the activation; `hidden_act` of `config.json` decides. Names as in those checkpoints.
//!
//! The two encoders are apart: a server that only answers questions reads and keeps the one for text. Candle's own CLIP knows only OpenAI's
//! activation, and finds the end of a sentence only where that is the largest number of the vocabulary. Imports the transformer's block.

mod config;
mod image;
mod text;

pub use config::{Config, TextConfig, VisionConfig};
pub(crate) use config::{activation, check_patches, check_sizes};
pub use image::{ImageEncoder, ImageFeatures};
pub use text::{TextEncoder, TextFeatures};

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;

use super::{InferError, Result};

/// Reads `logit_scale`: what the cosine of an image and a sentence is multiplied with, after the exponential.
///
/// # Errors
/// [`InferError::WrongWeights`] when it is missing.
pub fn logit_scale(vb: &VarBuilder) -> Result<f32> {
    // A checkpoint stores it as a scalar, some converters as one number in a row.
    let stored = vb.get_unchecked("logit_scale").and_then(|tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>());
    match stored.as_deref() {
        Ok([scale]) => Ok(scale.exp()),
        Ok(several) => Err(wrong(format!("`logit_scale` has {} numbers instead of 1", several.len()))),
        Err(error) => Err(wrong(format!("`logit_scale`: {error}"))),
    }
}

/// The similarity of each sentence to each image: `(images, dim)` and `(texts, dim)` of unit length → `(images, texts)`.
///
/// # Errors
/// [`InferError::Candle`] when the widths differ.
pub fn logits_per_image(images: &Tensor, texts: &Tensor, scale: f32) -> Result<Tensor> {
    Ok((images.matmul(&texts.t()?)? * f64::from(scale))?)
}

fn wrong(why: impl ToString) -> InferError {
    InferError::WrongWeights { network: "CLIP".into(), why: why.to_string() }
}
