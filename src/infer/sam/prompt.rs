//! Prompts as the decoder takes them: points and corners of boxes become tokens, a mask becomes a map beside the image's. Shared
//! by SAM and SAM 2, which differ in one token.
//!
//! # Source
//! facebookresearch/segment-anything, `modeling/prompt_encoder.py`; facebookresearch/sam2 at 0c5f8c5 (Apache-2.0).

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::layers::{Activation, Conv, LayerNorm};

/// Of the norms between the convolutions over a mask.
const EPSILON: f64 = 1e-6;

/// What a point says of the place it is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointLabel {
    /// Not part of the object.
    Background,
    /// Part of it.
    Foreground,
}

/// A point in px of the network's input.
pub type InputPoint = (f32, f32, PointLabel);

/// The encoder of prompts with its weights.
pub struct PromptEncoder {
    image_px: f64,
    /// Sides of the image's embedding.
    grid: usize,
    dim: usize,
    /// `(2, dim / 2)`.
    frequencies: Vec<f64>,
    /// Background, foreground, top left corner, bottom right corner.
    labels: [Vec<f64>; 4],
    not_a_point: Vec<f64>,
    /// `(dim)`.
    no_mask: Tensor,
    mask_layers: MaskLayers,
    /// A box is followed by a token that stands for no point.
    pads_boxes: bool,
    device: Device,
    dtype: DType,
}

struct MaskLayers {
    conv1: Conv,
    norm1: LayerNorm,
    conv2: Conv,
    norm2: LayerNorm,
    conv3: Conv,
}

fn host(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

impl PromptEncoder {
    /// Reads the tensors below `prompt_encoder`. `mask_channels` are those of the mask's second convolution.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(dim: usize, image_px: usize, grid: usize, mask_channels: usize, pads_boxes: bool, vb: &VarBuilder<'_>) -> Result<Self> {
        let points = vb.pp("point_embeddings");
        let labels: Vec<Vec<f64>> = if points.contains_tensor("0.weight") {
            (0..4).map(|label| host(&points.get((1, dim), &format!("{label}.weight"))?)).collect::<Result<_>>()?
        } else {
            let all = points.get((4, dim), "weight")?;
            (0..4).map(|label| host(&all.get(label)?)).collect::<Result<_>>()?
        };
        let Ok(labels) = <[Vec<f64>; 4]>::try_from(labels) else { candle_core::bail!("four labels of points are needed") };
        let mask = vb.pp("mask_downscaling");
        Ok(Self {
            image_px: image_px as f64,
            grid,
            dim,
            frequencies: host(&vb.get((2, dim / 2), "pe_layer.positional_encoding_gaussian_matrix")?)?,
            labels,
            not_a_point: host(&vb.get((1, dim), "not_a_point_embed.weight")?)?,
            no_mask: vb.get((1, dim), "no_mask_embed.weight")?.flatten_all()?,
            mask_layers: MaskLayers {
                conv1: Conv::load(1, mask_channels / 4, 2, 2, 0, &mask.pp("0"))?,
                norm1: LayerNorm::load(mask_channels / 4, EPSILON, &mask.pp("1"))?,
                conv2: Conv::load(mask_channels / 4, mask_channels, 2, 2, 0, &mask.pp("3"))?,
                norm2: LayerNorm::load(mask_channels, EPSILON, &mask.pp("4"))?,
                conv3: Conv::load(mask_channels, dim, 1, 1, 0, &mask.pp("6"))?,
            },
            pads_boxes,
            device: vb.device().clone(),
            dtype: vb.dtype(),
        })
    }

    /// Sines and cosines of the place (x, y), fractions of the image: `dim` numbers.
    fn position(&self, x: f64, y: f64) -> Vec<f64> {
        let half = self.dim / 2;
        let (x, y) = (2.0 * x - 1.0, 2.0 * y - 1.0);
        let angles = (0..half).map(|index| std::f64::consts::TAU * (x * self.frequencies[index] + y * self.frequencies[half + index]));
        angles.clone().map(f64::sin).chain(angles.map(f64::cos)).collect()
    }

    /// The places of the embedding's cells: `(1, grid, grid, dim)`.
    ///
    /// # Errors
    /// No memory.
    pub fn positions(&self) -> Result<Tensor> {
        let side = self.grid as f64;
        let mut numbers = Vec::with_capacity(self.grid * self.grid * self.dim);
        for y in 0..self.grid {
            for x in 0..self.grid {
                numbers.extend(self.position((x as f64 + 0.5) / side, (y as f64 + 0.5) / side));
            }
        }
        self.tensor(numbers)?.reshape((1, self.grid, self.grid, self.dim))
    }

    fn tensor(&self, numbers: Vec<f64>) -> Result<Tensor> {
        Tensor::new(numbers, &self.device)?.to_dtype(self.dtype)
    }

    /// Tokens of one object: `(tokens, dim)`, none for no prompt. `corners` are left, top, right, bottom in px of the input.
    ///
    /// # Errors
    /// No memory.
    pub fn tokens(&self, points: &[InputPoint], corners: Option<[f32; 4]>) -> Result<Tensor> {
        let mut numbers = Vec::new();
        // A pixel's middle is half a pixel from its corner.
        let mut add = |x: f32, y: f32, label: usize| {
            let place = self.position((f64::from(x) + 0.5) / self.image_px, (f64::from(y) + 0.5) / self.image_px);
            numbers.extend(place.iter().zip(&self.labels[label]).map(|(place, label)| place + label));
        };
        for &(x, y, label) in points {
            add(x, y, usize::from(label == PointLabel::Foreground));
        }
        if let Some([left, top, right, bottom]) = corners {
            add(left, top, 2);
            add(right, bottom, 3);
        }
        let is_padded = if corners.is_some() { self.pads_boxes } else { !points.is_empty() };
        if is_padded {
            numbers.extend(&self.not_a_point);
        }
        let tokens = numbers.len() / self.dim;
        self.tensor(numbers)?.reshape((tokens, self.dim))
    }

    /// What is added to the image's embedding: of a mask `(batch, 4 · grid, 4 · grid)` of logits `(batch, grid, grid, dim)`; without
    /// one `(1, 1, 1, dim)`.
    ///
    /// # Errors
    /// The mask has another shape.
    pub fn dense(&self, mask: Option<&Tensor>) -> Result<Tensor> {
        let Some(mask) = mask else { return self.no_mask.reshape((1, 1, 1, self.dim)) };
        let layers = &self.mask_layers;
        let x = layers.conv1.forward(&mask.unsqueeze(3)?, Activation::None)?;
        let x = layers.conv2.forward(&layers.norm1.forward_then(&x, Activation::Gelu)?, Activation::None)?;
        layers.conv3.forward(&layers.norm2.forward_then(&x, Activation::Gelu)?, Activation::None)
    }
}
