//! YOLOv8 and YOLO11: where objects of known classes are in a picture, and, from a segmentation network, which pixels are theirs.
//! May import `infer::{error, ops}`.
//!
//! # Source
//! Written from the published architecture (layer table and channel rules of YOLOv8, 2023, and YOLO11, 2024) and checked against numbers
//! of the reference implementation, ultralytics 8.4.190; none of its code is here. Distribution over box sides: Li et al., Generalized
//! Focal Loss, 2020. Prototype masks: Bolya et al., YOLACT, 2019. Checkpoints: `yolov8{n,s,m,l,x}[-seg]`, `yolo11{n,s,m,l,x}[-seg]`; their
//! licence is AGPL-3.0 unless bought otherwise, so `hm` ships none.
//!
//! ```text
//! RGB8 → Letterbox → backbone → neck → Head → candidates → suppress → boxes in the picture
//!                                        └─ prototypes × coefficients ──────→ Bitmap
//! ```

mod blocks;
mod config;
mod head;
mod letterbox;
mod masks;
mod names;
mod nms;

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use rayon::prelude::*;

use self::{
    blocks::{Builder, Pools, Split, SplitAttention, Steps},
    head::{Head, Level, sigmoid},
    masks::Prototypes,
};
use crate::infer::{
    InferError, Result, Rgb8,
    ops::{Backend, Conv, Map},
};

pub use config::{Config, Generation, MaskConfig, Size};
pub use letterbox::Letterbox;
pub use masks::Bitmap;
pub use names::COCO;
pub use nms::{Candidate, Thresholds, overlap, suppress};

/// An object in a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// Index of the class.
    pub class: usize,
    /// What the class is called.
    pub name: String,
    /// In 0..=1.
    pub score: f32,
    /// Left edge in px of the upright picture.
    pub x_px: f32,
    /// Top edge.
    pub y_px: f32,
    /// Width.
    pub width_px: f32,
    /// Height.
    pub height_px: f32,
    /// Its pixels in the upright picture, from a segmentation network.
    pub mask: Option<Bitmap>,
}

/// How a picture is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// The longer side of the network's input in px, a multiple of 32.
    pub side_px: usize,
    /// Whether the input is square, also for pictures that are not. More grey, more work; pictures of any shape then go in one batch.
    pub square: bool,
    /// When a candidate is an object.
    pub thresholds: Thresholds,
}

impl Default for Options {
    /// 640 px, no more grey than needed: as the reference implementation predicts.
    fn default() -> Self {
        Self { side_px: 640, square: false, thresholds: Thresholds::default() }
    }
}

/// What the network says about a batch.
#[derive(Debug)]
pub struct Output {
    levels: Vec<Level>,
    prototypes: Option<Map>,
    batch: usize,
}

impl Output {
    /// One batch of several of one size.
    fn joined(shares: Vec<Self>) -> Result<Self> {
        let mut shares = shares.into_iter();
        let Some(mut all) = shares.next() else {
            return Err(InferError::BadInput("a batch of nothing".into()));
        };
        let mut prototypes: Vec<Map> = all.prototypes.take().into_iter().collect();
        for share in shares {
            for (level, other) in all.levels.iter_mut().zip(&share.levels) {
                level.sides.extend_from_slice(&other.sides);
                level.classes.extend_from_slice(&other.classes);
                level.coefficients.extend_from_slice(&other.coefficients);
            }
            prototypes.extend(share.prototypes);
            all.batch += share.batch;
        }
        if !prototypes.is_empty() {
            all.prototypes = Some(Map::joined(&prototypes)?);
        }
        Ok(all)
    }
}

/// A YOLO with its weights.
#[derive(Debug, Clone)]
pub struct Yolo {
    config: Config,
    names: Vec<String>,
    device: Device,
    backend: Backend,
    /// Layers 0, 1, 3, 5, 7: each halves the map.
    halve: [Conv; 5],
    /// Layers 2, 4, 6, 8.
    blocks: [Split; 4],
    pools: Pools,
    attention: Option<SplitAttention>,
    /// Up to stride 16, up to stride 8, down to 16, down to 32.
    neck: [Split; 4],
    /// Before the last two of the neck.
    neck_halve: [Conv; 2],
    head: Head,
}

impl Yolo {
    /// Takes the weights of `config` under their usual names (`model.0.conv.weight` …), with batch norms or without.
    ///
    /// # Errors
    /// `Candle`, naming the tensor, when one is missing or has another shape.
    pub fn new(vb: VarBuilder, config: &Config) -> Result<Self> {
        let backend = Backend::of(vb.device(), vb.dtype());
        Self::with_backend(vb, config, backend)
    }

    /// As `new`, with the operations of one's choice.
    ///
    /// # Errors
    /// As `new`.
    pub fn with_backend(vb: VarBuilder, config: &Config, backend: Backend) -> Result<Self> {
        let device = vb.device().clone();
        let vb = vb.pp("model");
        let builder = Builder { epsilon: config.norm_epsilon, backend };
        let v8 = config.generation == Generation::V8;
        let [c2, c4, c8, c16, c32] = config.channels;
        let [out4, out8] = config.early_channels;
        let halve = |layer: usize, inputs, outputs| builder.conv(&vb.pp(layer), inputs, outputs, 3, 2);
        // The halves of YOLO11's first two blocks are a quarter of what comes out, all others a half.
        let block = |layer: usize, inputs, outputs, repeats: usize, early: bool, steps| {
            let hidden = if early && !v8 { outputs / 4 } else { outputs / 2 };
            Split::load(&vb.pp(layer), builder, (inputs, hidden, outputs), config.repeats[repeats], steps)
        };
        let fine = match (v8, config.nested) {
            (true, _) => Steps::Wide { shortcut: true },
            (false, true) => Steps::Nested,
            (false, false) => Steps::Narrow,
        };
        let coarse = if v8 { Steps::Wide { shortcut: true } } else { Steps::Nested };
        let neck_fine = if v8 { Steps::Wide { shortcut: false } } else { fine };
        let neck_coarse = if v8 { Steps::Wide { shortcut: false } } else { Steps::Nested };
        // YOLO11 has one layer more before the neck.
        let at = |layer: usize| if v8 { layer } else { layer + 1 };
        let outs = [c8, c16, c32];
        Ok(Self {
            config: config.clone(),
            names: names_or_numbers(config.classes),
            device,
            backend,
            halve: [halve(0, 3, c2)?, halve(1, c2, c4)?, halve(3, out4, c8)?, halve(5, out8, c16)?, halve(7, c16, c32)?],
            blocks: [
                block(2, c4, out4, 0, true, fine)?,
                block(4, c8, out8, 1, true, fine)?,
                block(6, c16, c16, 2, false, coarse)?,
                block(8, c32, c32, 3, false, coarse)?,
            ],
            pools: Pools::load(&vb.pp("9"), builder, c32)?,
            attention: if v8 { None } else { Some(SplitAttention::load(&vb.pp("10"), builder, c32, config.repeats[3])?) },
            neck: [
                block(at(12), c32 + c16, c16, 4, false, neck_fine)?,
                block(at(15), c16 + out8, c8, 4, false, neck_fine)?,
                block(at(18), c8 + c16, c16, 4, false, neck_fine)?,
                block(at(21), c16 + c32, c32, 4, false, neck_coarse)?,
            ],
            neck_halve: [halve(at(16), c8, c8)?, halve(at(19), c16, c16)?],
            head: Head::load(&vb.pp(at(22)), builder, config, outs)?,
        })
    }

    /// With these names for the classes.
    ///
    /// # Errors
    /// `BadInput` when there are more or fewer than classes.
    pub fn named(mut self, names: Vec<String>) -> Result<Self> {
        if names.len() != self.config.classes {
            return Err(InferError::BadInput(format!("{} names for {} classes", names.len(), self.config.classes)));
        }
        self.names = names;
        Ok(self)
    }

    /// What it is made of.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The classes' names, by index.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// `(batch, 3, height, width)` f32 in 0..=1, RGB, sides multiples of 32 → predictions `(batch, 4 + classes + prototypes, anchors)` (centre
    /// x, centre y, width, height in px of the input, scores in 0..=1, coefficients) and prototypes `(batch, prototypes, height / 4, width / 4)`.
    ///
    /// # Errors
    /// `BadInput` for other shapes.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let output = self.run(&Map::from_tensor(x, self.backend)?)?;
        let length = 4 + self.config.classes + self.config.masks.map_or(0, |masks| masks.prototypes);
        let mut images = Vec::with_capacity(output.batch);
        for image in 0..output.batch {
            let rows: Vec<f32> = output.levels.iter().flat_map(|level| level.rows(image, &self.config)).collect();
            // (anchors, values) → (values, anchors)
            images.push(Tensor::from_vec(rows.clone(), (rows.len() / length, length), &Device::Cpu)?.t()?);
        }
        let predictions = Tensor::stack(&images, 0)?.to_device(&self.device)?;
        Ok((predictions, output.prototypes.map(|map| map.to_tensor()).transpose()?))
    }

    /// What the network says about `(batch, 3, height, width)` in 0..=1, before any threshold.
    ///
    /// # Errors
    /// As `forward`.
    pub fn run(&self, x: &Map) -> Result<Output> {
        let (batch, channels, height, width) = x.dims()?;
        if channels != 3 || height == 0 || width == 0 || !height.is_multiple_of(32) || !width.is_multiple_of(32) {
            let got = format!("({batch}, {channels}, {height}, {width})");
            return Err(InferError::BadInput(format!("expected (batch, 3, height, width) with sides of a multiple of 32, got {got}")));
        }
        let share = self.backend.images_at_once();
        if batch > share {
            let shares = (0..batch).step_by(share).map(|first| self.run_share(&x.images(first, share.min(batch - first))?));
            return Output::joined(shares.collect::<Result<Vec<_>>>()?);
        }
        self.run_share(x)
    }

    /// As many images as go through at a time.
    fn run_share(&self, x: &Map) -> Result<Output> {
        let (batch, ..) = x.dims()?;
        let [halve2, halve4, halve8, halve16, halve32] = &self.halve;
        let [block4, block8, block16, block32] = &self.blocks;
        let at4 = block4.forward(&[&halve4.forward(&[&halve2.forward(&[x], None)?], None)?])?;
        let at8 = block8.forward(&[&halve8.forward(&[&at4], None)?])?;
        drop(at4);
        let at16 = block16.forward(&[&halve16.forward(&[&at8], None)?])?;
        let mut at32 = self.pools.forward(&block32.forward(&[&halve32.forward(&[&at16], None)?])?)?;
        if let Some(attention) = &self.attention {
            at32 = attention.forward(&at32)?;
        }
        let [up16, up8, down16, down32] = &self.neck;
        let mixed16 = up16.forward(&[&at32.doubled()?, &at16])?;
        let out8 = up8.forward(&[&mixed16.doubled()?, &at8])?;
        let out16 = down16.forward(&[&self.neck_halve[0].forward(&[&out8], None)?, &mixed16])?;
        let out32 = down32.forward(&[&self.neck_halve[1].forward(&[&out16], None)?, &at32])?;
        let (levels, prototypes) = self.head.forward([&out8, &out16, &out32])?;
        Ok(Output { levels, prototypes, batch })
    }

    /// The candidates of one image of a batch with a score above `score`, each with its best class, in the order of anchors.
    pub fn candidates(&self, output: &Output, image: usize, score: f32) -> Vec<Candidate> {
        let classes = self.config.classes;
        let mut candidates = Vec::new();
        let mut first_anchor = 0;
        for level in &output.levels {
            let scores = &level.classes[image * level.anchors() * classes..][..level.anchors() * classes];
            for (anchor, logits) in scores.chunks_exact(classes).enumerate() {
                let mut best = 0;
                for (class, logit) in logits.iter().enumerate() {
                    if *logit > logits[best] {
                        best = class;
                    }
                }
                let best_score = sigmoid(logits[best]);
                if best_score > score {
                    let box_px = level.box_px(image, anchor, self.config.bins);
                    candidates.push(Candidate { box_px, score: best_score, class: best, anchor: first_anchor + anchor });
                }
            }
            first_anchor += level.anchors();
        }
        candidates
    }

    /// The objects of one image of a batch, by falling score, in the frame that `letterbox` was made for.
    ///
    /// # Errors
    /// `Candle` when the prototypes cannot be copied from the device.
    pub fn objects(&self, output: &Output, image: usize, letterbox: &Letterbox, thresholds: &Thresholds) -> Result<Vec<Detection>> {
        let kept = suppress(self.candidates(output, image, thresholds.score), thresholds);
        let prototypes = if kept.is_empty() { None } else { self.prototypes(output, image)? };
        let object = |candidate: &Candidate| {
            let frame = letterbox.to_picture(&candidate.box_px);
            let mask = prototypes.as_ref().map(|prototypes| {
                let logits = prototypes.logits(self.coefficients(output, image, candidate.anchor));
                masks::bitmap(&logits, prototypes, letterbox, &frame)
            });
            Detection {
                class: candidate.class,
                name: self.names[candidate.class].clone(),
                score: candidate.score,
                x_px: frame[0],
                y_px: frame[1],
                width_px: frame[2] - frame[0],
                height_px: frame[3] - frame[1],
                mask,
            }
        };
        Ok(kept.par_iter().map(object).collect())
    }

    /// The objects in one picture, by falling score.
    ///
    /// # Errors
    /// `BadInput` when the bytes are not as many as the size says.
    pub fn detect(&self, picture: Rgb8<'_>, options: &Options) -> Result<Vec<Detection>> {
        Ok(self.detect_batch(&[picture], options)?.pop().unwrap_or_default())
    }

    /// The objects in each picture. Pictures that have the same size for the network run in one batch; the result is that of each alone.
    ///
    /// # Errors
    /// As `detect`, for the first picture that fails.
    pub fn detect_batch(&self, pictures: &[Rgb8<'_>], options: &Options) -> Result<Vec<Vec<Detection>>> {
        let fit = |picture: &Rgb8| Letterbox::new((picture.width_px as usize, picture.height_px as usize), options.side_px, options.square);
        let letterboxes = pictures.iter().map(fit).collect::<Result<Vec<_>>>()?;
        let mut results: Vec<Option<Vec<Detection>>> = vec![None; pictures.len()];
        for first in 0..pictures.len() {
            if results[first].is_some() {
                continue;
            }
            let (width, height) = letterboxes[first].input_px;
            let batch: Vec<usize> = (first..pictures.len()).filter(|&i| letterboxes[i].input_px == (width, height)).collect();
            let mut values = Vec::with_capacity(batch.len() * width * height * 3);
            for &i in &batch {
                values.extend(letterboxes[i].input(pictures[i].bytes)?);
            }
            let output = self.run(&Map::from_pixels(values, (batch.len(), height, width, 3), &self.device, self.backend)?)?;
            for (at, &i) in batch.iter().enumerate() {
                results[i] = Some(self.objects(&output, at, &letterboxes[i], &options.thresholds)?);
            }
        }
        Ok(results.into_iter().map(|result| result.expect("every picture was in some batch")).collect())
    }

    fn coefficients<'a>(&self, output: &'a Output, image: usize, anchor: usize) -> &'a [f32] {
        let count = self.config.masks.map_or(0, |masks| masks.prototypes);
        let mut anchor = anchor;
        for level in &output.levels {
            if anchor < level.anchors() {
                return &level.coefficients[(image * level.anchors() + anchor) * count..][..count];
            }
            anchor -= level.anchors();
        }
        &[]
    }

    /// One image's prototypes on the host.
    fn prototypes(&self, output: &Output, image: usize) -> Result<Option<Prototypes>> {
        let Some(map) = &output.prototypes else {
            return Ok(None);
        };
        let (_, count, height, width) = map.dims()?;
        let length = height * width * count;
        let values = map.to_pixels()?[image * length..][..length].to_vec();
        Ok(Some(Prototypes { height, width, count, values }))
    }
}

/// COCO's names for 80 classes, else `class 0` and so on.
fn names_or_numbers(classes: usize) -> Vec<String> {
    if classes == COCO.len() {
        return COCO.map(String::from).to_vec();
    }
    (0..classes).map(|class| format!("class {class}")).collect()
}
