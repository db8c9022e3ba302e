//! What a YOLO is made of: generation, widths, depths, classes; by name, or read off the weights. Apart from the network, so that a file
//! can be recognised without being loaded. Imports `infer::error`.

use std::collections::HashMap;

use crate::infer::{InferError, Result};

/// Which generation of the architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// YOLOv8.
    V8,
    /// YOLO11.
    V11,
}

/// The published sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Nano.
    N,
    /// Small.
    S,
    /// Medium.
    M,
    /// Large.
    L,
    /// Extra large.
    X,
}

impl Size {
    /// Depth and width factors, and the most channels before the width factor.
    ///
    /// # Source
    /// The model cards of YOLOv8 (2023) and YOLO11 (2024), "scales".
    fn factors(self, generation: Generation) -> (f64, f64, usize) {
        match (generation, self) {
            (Generation::V8, Self::N) => (0.33, 0.25, 1024),
            (Generation::V8, Self::S) => (0.33, 0.5, 1024),
            (Generation::V8, Self::M) => (0.67, 0.75, 768),
            (Generation::V8, Self::L) => (1.0, 1.0, 512),
            (Generation::V8, Self::X) => (1.0, 1.25, 512),
            (Generation::V11, Self::N) => (0.5, 0.25, 1024),
            (Generation::V11, Self::S) => (0.5, 0.5, 1024),
            (Generation::V11, Self::M) => (0.5, 1.0, 512),
            (Generation::V11, Self::L) => (1.0, 1.0, 512),
            (Generation::V11, Self::X) => (1.0, 1.5, 512),
        }
    }
}

/// What the mask branch is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskConfig {
    /// Prototype masks, and coefficients of each object.
    pub prototypes: usize,
    /// Channels inside the prototypes' branch.
    pub channels: usize,
}

/// The shape of one YOLO. All channel counts are after the width factor.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The generation.
    pub generation: Generation,
    /// How many classes there are scores for.
    pub classes: usize,
    /// Channels at strides 2, 4, 8, 16 and 32.
    pub channels: [usize; 5],
    /// Channels out of the block at stride 4 and that at 8, which YOLO11 has wider than the convolution before.
    pub early_channels: [usize; 2],
    /// Repeats of the blocks at strides 4, 8, 16, 32, and of every block in the neck.
    pub repeats: [usize; 5],
    /// Whether every block of a YOLO11 (m, l, x) is of nested blocks; n and s have them only where the map is coarse.
    pub nested: bool,
    /// Bins of the distribution over each side of a box.
    pub bins: usize,
    /// The mask branch of a segmentation network.
    pub masks: Option<MaskConfig>,
    /// What batch norm adds to the variance.
    pub norm_epsilon: f64,
}

impl Config {
    /// One of the published sizes, for `classes` classes, with or without masks.
    pub fn new(generation: Generation, size: Size, classes: usize, masks: bool) -> Self {
        let (depth, width, most) = size.factors(generation);
        let nested = generation == Generation::V11 && matches!(size, Size::M | Size::L | Size::X);
        Self::scaled(generation, (depth, width, most), nested, classes, masks)
    }

    /// With factors of one's own: depth, width, and the most channels before the width factor.
    pub fn scaled(generation: Generation, factors: (f64, f64, usize), nested: bool, classes: usize, masks: bool) -> Self {
        let (depth, width, most) = factors;
        let wide = |channels: usize| (channels.min(most) as f64 * width / 8.0).ceil() as usize * 8;
        let deep = |repeats: usize| ((repeats as f64 * depth).round() as usize).max(1);
        let (early_channels, repeats) = match generation {
            Generation::V8 => ([wide(128), wide(256)], [deep(3), deep(6), deep(6), deep(3), deep(3)]),
            Generation::V11 => ([wide(256), wide(512)], [deep(2); 5]),
        };
        Self {
            generation,
            classes,
            channels: [wide(64), wide(128), wide(256), wide(512), wide(1024)],
            early_channels,
            repeats,
            nested,
            bins: 16,
            masks: masks.then(|| MaskConfig { prototypes: 32, channels: wide(256) }),
            norm_epsilon: 1e-3,
        }
    }

    /// Reads everything off the names and shapes of the tensors of a file.
    ///
    /// # Errors
    /// `WrongWeights` when they are not those of a YOLOv8 or YOLO11 that detects or segments; it names what is missing.
    pub fn from_shapes(shapes: &HashMap<String, Vec<usize>>) -> Result<Self> {
        let wrong = |why: String| InferError::WrongWeights { network: "YOLO".into(), why };
        let side = |name: &str, axis: usize| -> Result<usize> {
            let shape = shapes.get(name).ok_or_else(|| wrong(format!("there is no tensor `{name}`")))?;
            shape.get(axis).copied().ok_or_else(|| wrong(format!("`{name}` has the shape {shape:?}")))
        };
        let repeats = |layer: usize| {
            let there = |i: &usize| shapes.contains_key(&format!("model.{layer}.m.{i}.cv1.conv.weight"));
            (0..).take_while(there).count()
        };
        let (generation, head) = if shapes.contains_key("model.22.cv2.0.2.weight") {
            (Generation::V8, 22)
        } else if shapes.contains_key("model.23.cv3.0.0.1.conv.weight") {
            (Generation::V11, 23)
        } else {
            return Err(wrong("neither layer 22 is the head of a YOLOv8 nor layer 23 that of a YOLO11".into()));
        };
        let mut channels = [0; 5];
        for (channels, layer) in channels.iter_mut().zip([0, 1, 3, 5, 7]) {
            *channels = side(&format!("model.{layer}.conv.weight"), 0)?;
        }
        let early_channels = [side("model.2.cv2.conv.weight", 0)?, side("model.4.cv2.conv.weight", 0)?];
        let neck = if generation == Generation::V8 { 12 } else { 13 };
        let repeats = [repeats(2), repeats(4), repeats(6), repeats(8), repeats(neck)];
        if repeats.contains(&0) {
            return Err(wrong(format!("a block has no repeats: {repeats:?}")));
        }
        let box_outputs = side(&format!("model.{head}.cv2.0.2.weight"), 0)?;
        if box_outputs == 0 || !box_outputs.is_multiple_of(4) {
            return Err(wrong(format!("{box_outputs} outputs for the four sides of a box")));
        }
        let masks = if shapes.contains_key(&format!("model.{head}.proto.cv1.conv.weight")) {
            let prototypes = side(&format!("model.{head}.proto.cv3.conv.weight"), 0)?;
            Some(MaskConfig { prototypes, channels: side(&format!("model.{head}.proto.cv1.conv.weight"), 0)? })
        } else if shapes.keys().any(|name| name.starts_with(&format!("model.{head}.cv4."))) {
            return Err(wrong("this one finds poses or rotated boxes; only detection and segmentation are supported".into()));
        } else {
            None
        };
        Ok(Self {
            generation,
            classes: side(&format!("model.{head}.cv3.0.2.weight"), 0)?,
            channels,
            early_channels,
            repeats,
            nested: shapes.contains_key("model.2.m.0.cv3.conv.weight"),
            bins: box_outputs / 4,
            masks,
            norm_epsilon: 1e-3,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nano_has_the_published_widths() {
        let config = Config::new(Generation::V8, Size::N, 80, true);
        assert_eq!(config.channels, [16, 32, 64, 128, 256]);
        assert_eq!(config.repeats, [1, 2, 2, 1, 1]);
        assert_eq!(config.masks, Some(MaskConfig { prototypes: 32, channels: 64 }));
        let config = Config::new(Generation::V11, Size::X, 80, false);
        assert_eq!(config.channels, [96, 192, 384, 768, 768]);
        assert!(config.nested);
    }

    #[test]
    fn other_weights_are_told_by_what_they_lack() {
        let error = Config::from_shapes(&HashMap::new()).expect_err("nothing is no YOLO");
        assert!(error.to_string().contains("neither layer 22"), "{error}");
    }
}
