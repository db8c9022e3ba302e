//! SAM, MobileSAM and SAM 2 against their reference. Apart, because each prompt of a case is a question of its own.
//!
//! SAM 2's logits are so large that a step of single precision is near their tolerance: the reference implementation itself, run in single
//! precision, is off by 1.6e-4. They are therefore compared in double precision, in which the reference was computed, and once more as the
//! network runs: then by the pixels of the masks.
//!
//! # Source
//! The tolerances are those that the reference's numbers come with; that of the pixels is a segmenting detector's.

use std::collections::BTreeSet;

use candle_core::{DType, Device, Tensor};

use super::{Golden, Measured, numbers};
use crate::infer::{
    InferError, Result,
    sam::{Decoded, Features, InputPoint, PointLabel, SamConfig, SamNetwork},
    weights::Weights,
};

const OF_NUMBERS: f64 = 1e-4;
/// Percent of a mask's pixels.
const OF_PIXELS: f64 = 0.05;
/// Behind the outputs of the network as it runs.
const AS_IT_RUNS: &str = " (single precision)";

pub(super) fn check(weights: &Weights, golden: &Golden) -> Result<Vec<Measured>> {
    let config = SamConfig::of_weights(|name| weights.shape(name), weights.config())?;
    let is_sam2 = config.decoder.is_sam2;
    let mut measured = compared(weights, &config, golden, if is_sam2 { DType::F64 } else { DType::F32 }, false)?;
    golden.mention_the_rest(&mut measured);
    if is_sam2 {
        let as_it_runs = compared(weights, &config, golden, DType::F32, true)?;
        measured.extend(as_it_runs.into_iter().map(|measured| Measured { output: format!("{}{AS_IT_RUNS}", measured.output), ..measured }));
    }
    Ok(measured)
}

/// Every output, computed in `dtype`; masks by their pixels or by their logits.
fn compared(weights: &Weights, config: &SamConfig, golden: &Golden, dtype: DType, by_pixels: bool) -> Result<Vec<Measured>> {
    let network = SamNetwork::new(config, &weights.clone().var_builder(dtype, &Device::Cpu))?;
    // (batch, channels, height, width) → (batch, height, width, channels)
    let images = golden.floats("in.pixel_values")?.permute((0, 2, 3, 1))?.contiguous()?.to_dtype(dtype)?;
    let (features, mut measured) = encoded(&network, golden, &images)?;
    for prompt in prompts(golden) {
        let decoded = asked(&network, golden, &features, &prompt)?;
        measured.extend(answered(&network, golden, &decoded, &prompt, by_pixels)?);
    }
    Ok(measured)
}

/// What the encoder makes of the image, and how far off it is.
fn encoded(network: &SamNetwork, golden: &Golden, images: &Tensor) -> Result<(Features, Vec<Measured>)> {
    let channels_first = |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.permute((0, 3, 1, 2))?.contiguous()?) };
    let mut measured = Vec::new();
    let mut compare = |name: &str, ours: &Tensor| -> Result<()> {
        if golden.has(name) {
            measured.push(golden.compare(name, ours, OF_NUMBERS)?);
        }
        Ok(())
    };
    let features = network.encode(images)?;
    match network.sam2_encoder() {
        None => compare("image_embeddings", &channels_first(&features.embedding)?)?,
        Some(encoder) => {
            for (stage, map) in encoder.stages(images)?.iter().enumerate() {
                compare(&format!("backbone.stage{stage}"), map)?;
            }
            let levels = encoder.forward(images)?;
            for (level, map) in levels.fine.iter().chain([&levels.embedding]).enumerate() {
                compare(&format!("image_embeddings.{level}"), &channels_first(map)?)?;
            }
        }
    }
    Ok((features, measured))
}

/// The names of the prompts: between `in.` and what they are of.
fn prompts(golden: &Golden) -> BTreeSet<String> {
    let names = golden.0.names().filter_map(|name| name.strip_prefix("in.")?.rsplit_once(".input_"));
    names.map(|(prompt, _)| prompt.to_owned()).collect()
}

fn asked(network: &SamNetwork, golden: &Golden, features: &Features, prompt: &str) -> Result<Decoded> {
    let numbers = |what: &str| -> Result<Vec<f32>> {
        let name = format!("in.{prompt}.input_{what}");
        if golden.has(&name) { golden.numbers(&name) } else { Ok(Vec::new()) }
    };
    let label = |label: f32| if label == 1.0 { PointLabel::Foreground } else { PointLabel::Background };
    let (places, labels) = (numbers("points")?, numbers("labels")?);
    let points: Vec<InputPoint> = places.as_chunks::<2>().0.iter().zip(labels).map(|(place, of)| (place[0], place[1], label(of))).collect();
    let boxes = numbers("boxes")?;
    network.decode(features, &points, boxes.as_chunks::<4>().0, None)
}

/// The answers to a prompt: three masks, and the one that stands for a prompt of one meaning.
fn answered(network: &SamNetwork, golden: &Golden, decoded: &Decoded, prompt: &str, by_pixels: bool) -> Result<Vec<Measured>> {
    let first_scores = numbers(&decoded.scores.get(0)?)?;
    let single = network.single_token(&first_scores, &numbers(&decoded.masks.get(0)?.get(0)?)?);
    let mut measured = Vec::new();
    for (kind, first, count) in [("multi", 1, 3), ("single", single, 1)] {
        let of = |what: &str| format!("{prompt}.{kind}.{what}");
        let masks = decoded.masks.narrow(1, first, count)?.unsqueeze(0)?;
        let name = of("low_res_masks");
        if golden.has(&name) {
            measured.push(if by_pixels { pixels(golden, &name, &masks)? } else { golden.compare(&name, &masks, OF_NUMBERS)? });
        }
        if golden.has(&of("iou")) {
            let scores = decoded.scores.narrow(1, first, count)?.unsqueeze(0)?;
            measured.push(golden.compare(&of("iou"), &scores, OF_NUMBERS)?);
        }
        let name = of("object_score_logits");
        if golden.has(&name) {
            let object = decoded.object.as_ref().ok_or_else(|| InferError::BadInput("this network gives no score of the object".into()))?;
            measured.push(golden.compare(&name, &object.unsqueeze(0)?, OF_NUMBERS)?);
        }
    }
    Ok(measured)
}

/// How many pixels of masks are on the other side. Those whose logit the reference has within the tolerance of 0 are on neither.
fn pixels(golden: &Golden, name: &str, ours: &Tensor) -> Result<Measured> {
    let (ours, truth) = (numbers(ours)?, golden.numbers(name)?);
    if ours.len() != truth.len() {
        return Ok(Measured::impossible(name, format!("it has {} pixels instead of {}", ours.len(), truth.len())));
    }
    let decided = ours.iter().zip(&truth).filter(|(ours, truth)| ours.is_nan() || f64::from(truth.abs()) > OF_NUMBERS);
    let (mut all, mut different) = (0, 0);
    for (ours, truth) in decided {
        all += 1;
        different += usize::from(ours.is_nan() || (*ours > 0.0) != (*truth > 0.0));
    }
    let percent = 100.0 * different as f64 / all.max(1) as f64;
    let note = format!("{different} of {all}");
    Ok(Measured { note, ..Measured::new(name, percent, OF_PIXELS).of("% of the pixels") })
}
