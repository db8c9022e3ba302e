//! YOLO against its reference: what it predicts, which predictions stay, and which pixels they are. Apart, because a list of objects is
//! compared by its entries and masks by their pixels.
//!
//! # Source
//! The tolerances are those that the reference's numbers come with.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};

use super::{Golden, Measured, numbers, worst};
use crate::infer::{
    InferError, Result,
    ops::{Backend, Map},
    weights::Weights,
    yolo::{Candidate, Config, Letterbox, Output, Thresholds, Yolo, suppress},
};

const OF_BOXES_PX: f64 = 2e-2;
const OF_SCORES: f64 = 1e-4;
const OF_COEFFICIENTS: f64 = 5e-4;
/// Percent of a mask's pixels.
const OF_PIXELS: f64 = 0.05;

pub(super) fn check(weights: Weights, golden: &Golden) -> Result<Vec<Measured>> {
    let shapes: HashMap<String, Vec<usize>> = weights.names().filter_map(|name| Some((name.to_owned(), weights.shape(name)?))).collect();
    let yolo = Yolo::new(weights.var_builder(DType::F32, &Device::Cpu), &Config::from_shapes(&shapes)?)?;
    let image = golden.floats("in.image")?;
    let (predictions, prototypes) = yolo.forward(&image)?;
    let mut measured = predicted(golden, &yolo, &predictions)?;
    if let Some(ours) = prototypes.as_ref().filter(|_| golden.has("proto")) {
        measured.push(golden.compare("proto", ours, OF_COEFFICIENTS)?);
    }
    let output = yolo.run(&Map::from_tensor(&image, Backend::Own)?)?;
    let thresholds = Thresholds::default();
    let kept = suppress(yolo.candidates(&output, 0, thresholds.score), &thresholds);
    measured.extend(listed(golden, &kept)?);
    measured.extend(coefficients(golden, &yolo, &predictions, prototypes.as_ref(), &kept)?);
    measured.extend(masks(golden, &yolo, &output, &image)?);
    golden.mention_the_rest(&mut measured);
    // One output stands for its parts.
    measured.retain(|measured| measured.output != "preds");
    Ok(measured)
}

/// Every prediction: boxes, scores and coefficients, each with its own tolerance.
fn predicted(golden: &Golden, yolo: &Yolo, predictions: &Tensor) -> Result<Vec<Measured>> {
    let truth = golden.floats("preds")?;
    if predictions.dims() != truth.dims() {
        let why = format!("they have the shape {:?} instead of {:?}", predictions.dims(), truth.dims());
        return Ok(vec![Measured::impossible("predictions", why)]);
    }
    let classes = yolo.config().classes;
    let rest = predictions.dim(1)? - 4 - classes;
    let parts = [("boxes", 0, 4, OF_BOXES_PX), ("scores", 4, classes, OF_SCORES), ("coefficients", 4 + classes, rest, OF_COEFFICIENTS)];
    let mut measured = Vec::new();
    for (what, first, count, tolerance) in parts.into_iter().filter(|(_, _, count, _)| *count > 0) {
        let part = |tensor: &Tensor| numbers(&tensor.narrow(1, first, count)?);
        let unit = if what == "boxes" { "px" } else { "" };
        measured.push(Measured::new(format!("preds, {what}"), worst(&part(predictions)?, &part(&truth)?), tolerance).of(unit));
    }
    Ok(measured)
}

/// The list of objects: the same ones in the same order.
fn listed(golden: &Golden, kept: &[Candidate]) -> Result<Vec<Measured>> {
    let differing = |name: &str, ours: Vec<f32>| -> Result<Measured> {
        let truth = golden.numbers(name)?;
        let wrong = ours.iter().zip(&truth).filter(|(a, b)| a != b).count() + ours.len().abs_diff(truth.len());
        Ok(Measured { note: format!("of {}", truth.len()), ..Measured::new(name, wrong as f64, 0.0).of("entries") })
    };
    let near = |name: &str, ours: Vec<f32>, tolerance: f64| -> Result<Measured> {
        Ok(Measured::new(name, worst(&ours, &golden.numbers(name)?), tolerance))
    };
    Ok(vec![
        differing("nms.anchor_index", kept.iter().map(|kept| kept.anchor as f32).collect())?,
        differing("nms.cls", kept.iter().map(|kept| kept.class as f32).collect())?,
        near("nms.boxes_xyxy", kept.iter().flat_map(|kept| kept.box_px).collect(), OF_BOXES_PX)?.of("px"),
        near("nms.conf", kept.iter().map(|kept| kept.score).collect(), OF_SCORES)?,
    ])
}

/// What makes the masks: the coefficients of each object, and their sum over the prototypes.
fn coefficients(
    golden: &Golden,
    yolo: &Yolo,
    predictions: &Tensor,
    prototypes: Option<&Tensor>,
    kept: &[Candidate],
) -> Result<Vec<Measured>> {
    const COEFFICIENTS: &str = "nms.mask_coeffs";
    const LOGITS: &str = "nms.mask_logits_lowres";
    let (Some(prototypes), true) = (prototypes, golden.has(COEFFICIENTS)) else { return Ok(Vec::new()) };
    let first = 4 + yolo.config().classes;
    let count = predictions.dim(1)? - first;
    let anchors: Vec<u32> = kept.iter().map(|kept| kept.anchor as u32).collect();
    if anchors.is_empty() {
        return Ok(Vec::new());
    }
    let anchors = Tensor::new(anchors, &Device::Cpu)?;
    // (1, values, anchors) → (objects, coefficients)
    let ours = predictions.get(0)?.narrow(0, first, count)?.t()?.contiguous()?.index_select(&anchors, 0)?;
    let mut measured = vec![golden.compare(COEFFICIENTS, &ours, OF_COEFFICIENTS)?];
    if golden.has(LOGITS) {
        let (_, _, height, width) = prototypes.dims4()?;
        let logits = ours.matmul(&prototypes.get(0)?.reshape((count, height * width))?)?.reshape(((), height, width))?;
        // A sum of products may be off by what its factors may be off by.
        let largest =
            |name: &str| -> Result<f64> { Ok(golden.numbers(name)?.iter().fold(0.0, |most: f64, x| most.max(f64::from(x.abs())))) };
        let tolerance = count as f64 * OF_COEFFICIENTS * (largest(COEFFICIENTS)? + largest("proto")?);
        measured.push(golden.compare(LOGITS, &logits, tolerance)?);
    }
    Ok(measured)
}

/// Which pixels the objects are.
fn masks(golden: &Golden, yolo: &Yolo, output: &Output, image: &Tensor) -> Result<Option<Measured>> {
    const MASKS: &str = "nms.masks";
    if !golden.has(MASKS) {
        return Ok(None);
    }
    let (_, _, height, width) = image.dims4()?;
    if width != height {
        return Err(InferError::BadInput("the image of a case must be a square".into()));
    }
    let truth = golden.numbers(MASKS)?;
    let objects = yolo.objects(output, 0, &Letterbox::new((width, height), width, true)?, &Thresholds::default())?;
    if objects.len() * width * height != truth.len() {
        return Ok(Some(Measured::impossible(MASKS, format!("there are {} objects", objects.len()))));
    }
    let mut different = 0;
    for (object, truth) in objects.iter().zip(truth.chunks_exact(width * height)) {
        let ours = |at: usize| object.mask.as_ref().is_some_and(|mask| mask.contains(at % width, at / width));
        different += truth.iter().enumerate().filter(|(at, truth)| ours(*at) != (**truth > 0.5)).count();
    }
    let percent = 100.0 * different as f64 / truth.len().max(1) as f64;
    let note = format!("{different} of {}", truth.len());
    Ok(Some(Measured { note, ..Measured::new(MASKS, percent, OF_PIXELS).of("% of the pixels") }))
}
