//! From feature maps to boxes, scores and mask coefficients. Anchor-free: each pixel of a map is an anchor, and each side of its box is
//! the mean of a distribution over bins. Imports `infer::{error, ops}`.

use candle_nn::VarBuilder;
use rayon::prelude::*;

use super::{blocks::Builder, config::*};
use crate::infer::{
    Result,
    ops::{Activation, Conv, Doubling, Map},
};

/// Strides of the three maps, in px of the input.
pub(super) const STRIDES: [usize; 3] = [8, 16, 32];

/// Convolutions one after another.
#[derive(Debug, Clone)]
struct Branch(Vec<Conv>);

impl Branch {
    /// Two of 3 × 3 and the last (`cv2`, `cv4`, and `cv3` of YOLOv8).
    fn plain(vb: &VarBuilder, builder: Builder, inputs: usize, hidden: usize, outputs: usize) -> Result<Self> {
        Ok(Self(vec![
            builder.conv(&vb.pp("0"), inputs, hidden, 3, 1)?,
            builder.conv(&vb.pp("1"), hidden, hidden, 3, 1)?,
            builder.last(&vb.pp("2"), hidden, outputs)?,
        ]))
    }

    /// Two pairs of depthwise and 1 × 1, and the last (`cv3` of YOLO11).
    fn depthwise(vb: &VarBuilder, builder: Builder, inputs: usize, hidden: usize, outputs: usize) -> Result<Self> {
        Ok(Self(vec![
            builder.depthwise(&vb.pp("0.0"), inputs, Activation::Silu)?,
            builder.conv(&vb.pp("0.1"), inputs, hidden, 1, 1)?,
            builder.depthwise(&vb.pp("1.0"), hidden, Activation::Silu)?,
            builder.conv(&vb.pp("1.1"), hidden, hidden, 1, 1)?,
            builder.last(&vb.pp("2"), hidden, outputs)?,
        ]))
    }

    fn forward(&self, x: &Map) -> Result<Map> {
        let mut x = x.clone();
        for conv in &self.0 {
            x = conv.forward(&[&x], None)?;
        }
        Ok(x)
    }
}

/// The branch of the prototype masks.
#[derive(Debug, Clone)]
struct Prototypes {
    cv1: Conv,
    upsample: Doubling,
    cv2: Conv,
    cv3: Conv,
}

/// The last layer.
#[derive(Debug, Clone)]
pub(super) struct Head {
    sides: Vec<Branch>,
    classes: Vec<Branch>,
    coefficients: Vec<Branch>,
    prototypes: Option<Prototypes>,
}

/// What the head gives for one map, on the host: (batch, height, width, channels).
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) stride: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    /// Logits over the bins of left, top, right, bottom.
    pub(super) sides: Vec<f32>,
    /// Logits.
    pub(super) classes: Vec<f32>,
    /// Empty without a mask branch.
    pub(super) coefficients: Vec<f32>,
}

impl Head {
    /// `channels` of the three maps that come in.
    pub(super) fn load(vb: &VarBuilder, builder: Builder, config: &Config, channels: [usize; 3]) -> Result<Self> {
        let side_hidden = (channels[0] / 4).max(4 * config.bins).max(16);
        let class_hidden = channels[0].max(config.classes.min(100));
        let branches = |name: &str, load: &dyn Fn(&VarBuilder, usize) -> Result<Branch>| -> Result<Vec<Branch>> {
            channels.iter().enumerate().map(|(i, &channels)| load(&vb.pp(format!("{name}.{i}")), channels)).collect()
        };
        let sides = branches("cv2", &|vb, inputs| Branch::plain(vb, builder, inputs, side_hidden, 4 * config.bins))?;
        let classes = branches("cv3", &|vb, inputs| match config.generation {
            Generation::V8 => Branch::plain(vb, builder, inputs, class_hidden, config.classes),
            Generation::V11 => Branch::depthwise(vb, builder, inputs, class_hidden, config.classes),
        })?;
        let Some(masks) = config.masks else {
            return Ok(Self { sides, classes, coefficients: Vec::new(), prototypes: None });
        };
        let hidden = (channels[0] / 4).max(masks.prototypes);
        let coefficients = branches("cv4", &|vb, inputs| Branch::plain(vb, builder, inputs, hidden, masks.prototypes))?;
        let vb = vb.pp("proto");
        let prototypes = Prototypes {
            cv1: builder.conv(&vb.pp("cv1"), channels[0], masks.channels, 3, 1)?,
            upsample: Doubling::load(&vb.pp("upsample"), masks.channels, masks.channels, builder.backend)?,
            cv2: builder.conv(&vb.pp("cv2"), masks.channels, masks.channels, 3, 1)?,
            cv3: builder.conv(&vb.pp("cv3"), masks.channels, masks.prototypes, 1, 1)?,
        };
        Ok(Self { sides, classes, coefficients, prototypes: Some(prototypes) })
    }

    /// The levels in the order of `STRIDES`, and the prototypes.
    pub(super) fn forward(&self, maps: [&Map; 3]) -> Result<(Vec<Level>, Option<Map>)> {
        let mut levels = Vec::with_capacity(3);
        for (i, map) in maps.into_iter().enumerate() {
            let (_, _, height, width) = map.dims()?;
            let coefficients = match self.coefficients.get(i) {
                Some(branch) => branch.forward(map)?.to_pixels()?,
                None => Vec::new(),
            };
            let (sides, classes) = (self.sides[i].forward(map)?.to_pixels()?, self.classes[i].forward(map)?.to_pixels()?);
            levels.push(Level { stride: STRIDES[i], height, width, sides, classes, coefficients });
        }
        let prototypes = match &self.prototypes {
            Some(branch) => {
                let x = branch.upsample.forward(&branch.cv1.forward(&[maps[0]], None)?)?;
                Some(branch.cv3.forward(&[&branch.cv2.forward(&[&x], None)?], None)?)
            }
            None => None,
        };
        Ok((levels, prototypes))
    }
}

/// `1 / (1 + e^-x)`.
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

impl Level {
    pub(super) fn anchors(&self) -> usize {
        self.height * self.width
    }

    /// Left, top, right and bottom in px of the input, of one anchor of one image of the batch.
    pub(super) fn box_px(&self, image: usize, anchor: usize, bins: usize) -> [f32; 4] {
        let logits = &self.sides[(image * self.anchors() + anchor) * 4 * bins..][..4 * bins];
        let mut distances = [0.0; 4];
        for (distance, logits) in distances.iter_mut().zip(logits.chunks_exact(bins)) {
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (mut sum, mut moment) = (0.0, 0.0);
            for (bin, &logit) in logits.iter().enumerate() {
                let weight = (logit - most).exp();
                sum += weight;
                moment += weight * bin as f32;
            }
            *distance = moment / sum;
        }
        let (x, y) = ((anchor % self.width) as f32 + 0.5, (anchor / self.width) as f32 + 0.5);
        let [left, top, right, bottom] = distances;
        [x - left, y - top, x + right, y + bottom].map(|side| side * self.stride as f32)
    }

    /// The rows of one image's prediction: centre x, centre y, width, height in px, class scores, coefficients; one row per anchor.
    pub(super) fn rows(&self, image: usize, config: &Config) -> Vec<f32> {
        let prototypes = config.masks.map_or(0, |masks| masks.prototypes);
        let length = 4 + config.classes + prototypes;
        let mut rows = vec![0.0; self.anchors() * length];
        rows.par_chunks_mut(length).enumerate().for_each(|(anchor, row)| {
            let [left, top, right, bottom] = self.box_px(image, anchor, config.bins);
            row[..4].copy_from_slice(&[(left + right) / 2.0, (top + bottom) / 2.0, right - left, bottom - top]);
            let at = image * self.anchors() + anchor;
            let scores = &self.classes[at * config.classes..][..config.classes];
            for (to, &logit) in row[4..].iter_mut().zip(scores) {
                *to = sigmoid(logit);
            }
            row[4 + config.classes..].copy_from_slice(&self.coefficients[at * prototypes..][..prototypes]);
        });
        rows
    }
}
