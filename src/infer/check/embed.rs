//! CLIP, SigLIP and DINOv2 against their reference. Apart, because their outputs are compared number by number.
//!
//! # Source
//! The tolerances are those that the reference's numbers come with: f32, the largest absolute error.

use candle_core::{DType, Device, Tensor};

use super::{Golden, Measured, numbers, worst};
use crate::infer::{InferError, Result, clip, dinov2, siglip, weights::Weights};

/// Of vectors of unit length.
const OF_EMBEDDINGS: f64 = 1e-5;
/// Of everything else.
const OF_NUMBERS: f64 = 1e-4;

fn config(weights: &Weights) -> Result<String> {
    let missing = || InferError::Refused("there is no config.json beside the weights".into());
    weights.config().map(str::to_owned).ok_or_else(missing)
}

/// Compares all of `ours` that the reference has, too.
fn compare(golden: &Golden, ours: &[(&str, Tensor)]) -> Result<Vec<Measured>> {
    let mut measured = Vec::new();
    for (name, tensor) in ours.iter().filter(|(name, _)| golden.has(name)) {
        let tolerance = if name.ends_with("_embeds") { OF_EMBEDDINGS } else { OF_NUMBERS };
        measured.push(golden.compare(name, tensor, tolerance)?);
    }
    golden.mention_the_rest(&mut measured);
    Ok(measured)
}

/// The states of all tokens of a sentence.
const STATES: &str = "text.last_hidden_state";

pub(super) fn clip(weights: Weights, golden: &Golden) -> Result<Vec<Measured>> {
    let config = clip::Config::from_json(&config(&weights)?)?;
    let vb = weights.var_builder(DType::F32, &Device::Cpu);
    let seen = clip::ImageEncoder::new(&vb, &config)?.features(&golden.floats("in.pixel_values")?)?;
    let read = clip::TextEncoder::new(&vb, &config)?.features(&golden.tokens("in.input_ids")?)?;
    let logits = clip::logits_per_image(&seen.embeddings, &read.embeddings, clip::logit_scale(&vb)?)?;
    let ours = [
        ("image_embeds", seen.embeddings),
        ("text_embeds", read.embeddings),
        ("logits_per_text", logits.t()?),
        ("logits_per_image", logits),
        ("vision.last_hidden_state", seen.last_hidden_state),
        ("vision.pooler_output", seen.pooled),
        ("text.pooler_output", read.pooled),
    ];
    let mut measured = compare(golden, &ours)?;
    if golden.has(STATES) {
        // What stands behind the longest sentence is not computed: it changes nothing.
        let truth = golden.floats(STATES)?;
        let length = read.last_hidden_state.dim(1)?.min(truth.dim(1)?);
        let error = worst(&numbers(&read.last_hidden_state)?, &numbers(&truth.narrow(1, 0, length)?)?);
        measured.retain(|measured| measured.output != STATES);
        measured.push(Measured { note: format!("the first {length} tokens"), ..Measured::new(STATES, error, OF_NUMBERS) });
    }
    Ok(measured)
}

pub(super) fn siglip(weights: Weights, golden: &Golden) -> Result<Vec<Measured>> {
    let config = siglip::Config::from_json(&config(&weights)?)?;
    let vb = weights.var_builder(DType::F32, &Device::Cpu);
    let seen = siglip::ImageEncoder::new(&vb, &config)?.features(&golden.floats("in.pixel_values")?)?;
    let read = siglip::TextEncoder::new(&vb, &config)?.features(&golden.tokens("in.input_ids")?)?;
    let logits = siglip::Calibration::new(&vb)?.logits_per_image(&seen.embeddings, &read.embeddings)?;
    let ours = [
        ("image_embeds", seen.embeddings),
        ("text_embeds", read.embeddings),
        ("logits_per_text", logits.t()?),
        ("logits_per_image", logits),
        ("vision.last_hidden_state", seen.last_hidden_state),
        ("vision.pooler_output", seen.pooled),
        ("text.last_hidden_state", read.last_hidden_state),
        ("text.pooler_output", read.pooled),
    ];
    compare(golden, &ours)
}

pub(super) fn dinov2(weights: Weights, golden: &Golden) -> Result<Vec<Measured>> {
    let config = dinov2::Config::from_json(&config(&weights)?)?;
    let network = dinov2::Dinov2::new(&weights.var_builder(DType::F32, &Device::Cpu), &config)?;
    let features = network.features(&golden.floats("in.pixel_values")?)?;
    compare(golden, &[("last_hidden_state", features.last_hidden_state), ("pooler_output", features.pooled)])
}
