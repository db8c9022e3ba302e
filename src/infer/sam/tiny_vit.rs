//! The image encoder of MobileSAM: TinyViT-5M, convolutions first, then attention in windows, with norms of batches folded into
//! the convolutions at load.
//!
//! # Source
//! Papers: Wu et al., "TinyViT", 2022; Zhang et al., "Faster Segment Anything", 2023. Reference: ChaoningZhang/MobileSAM,
//! `modeling/tiny_vit_sam.py` (Apache-2.0); checkpoint `mobile_sam.pt` (Apache-2.0).

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::{
    layers::{Activation, Conv, Heads, LayerNorm, Linear, PositionBias, WindowAttention},
    vit::Neck,
};
use crate::infer::ops::{self, Backend, ConvShape, Map};

/// Of norms of batches and of tokens.
const EPSILON: f64 = 1e-5;

/// How much wider than its input a block's hidden layer is.
const EXPANSION: usize = 4;

/// Widths for which the reference lets the step between stages keep the resolution.
const KEEPS_RESOLUTION: [usize; 3] = [320, 448, 576];

/// Sizes of the encoder, by stage; the first stage is made of convolutions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TinyVitConfig {
    /// Channels.
    pub dims: Vec<usize>,
    /// Blocks.
    pub depths: Vec<usize>,
    /// Heads; that of the first stage says nothing.
    pub heads: Vec<usize>,
    /// Sides of a window, in tokens; that of the first stage says nothing.
    pub windows: Vec<usize>,
}

impl TinyVitConfig {
    /// TinyViT-5M as MobileSAM has it.
    pub fn mobile_sam() -> Self {
        Self { dims: vec![64, 128, 160, 320], depths: vec![2, 2, 6, 2], heads: vec![2, 4, 5, 10], windows: vec![7, 7, 14, 7] }
    }
}

/// `weight` and `bias` of the convolution `c` with the norm `bn` behind it: `(out, in / groups, kernel, kernel)` and `(out)`.
fn folded(input: usize, output: usize, kernel: usize, vb: &VarBuilder<'_>) -> Result<(Tensor, Tensor)> {
    let weight = vb.get((output, input, kernel, kernel), "c.weight")?;
    let norm = vb.pp("bn");
    let deviation = (norm.get(output, "running_var")? + EPSILON)?.sqrt()?;
    let scale = (norm.get(output, "weight")? / deviation)?;
    let bias = (norm.get(output, "bias")? - (norm.get(output, "running_mean")? * &scale)?)?;
    Ok((weight.broadcast_mul(&scale.reshape((output, 1, 1, 1))?)?, bias))
}

/// A convolution over maps, which use their memory again: the first of them have 64 MB each.
fn conv(shape: ConvShape, activation: Activation, vb: &VarBuilder<'_>) -> Result<ops::Conv> {
    let (weight, bias) = folded(shape.inputs / shape.groups, shape.outputs, shape.kernel, vb)?;
    Ok(ops::Conv::new(&weight, &bias, shape, activation, Backend::of(vb.device(), vb.dtype()))?)
}

/// Widen, convolve every channel, narrow: both the blocks of the first stage and the steps between stages.
struct Bottleneck {
    widen: ops::Conv,
    convolve: ops::Conv,
    narrow: ops::Conv,
    /// With the input added, and an activation at the end.
    is_residual: bool,
}

impl Bottleneck {
    fn load(input: usize, hidden: usize, output: usize, stride: usize, is_residual: bool, vb: &VarBuilder<'_>) -> Result<Self> {
        let last = if is_residual { Activation::Gelu } else { Activation::None };
        Ok(Self {
            widen: conv(ConvShape::same(input, hidden, 1, 1), Activation::Gelu, &vb.pp("conv1"))?,
            convolve: conv(ConvShape::depthwise(hidden, 3, stride), Activation::Gelu, &vb.pp("conv2"))?,
            narrow: conv(ConvShape::same(hidden, output, 1, 1), last, &vb.pp("conv3"))?,
            is_residual,
        })
    }

    fn merging(input: usize, output: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let stride = if KEEPS_RESOLUTION.contains(&output) { 1 } else { 2 };
        Self::load(input, output, output, stride, false, vb)
    }

    /// `(batch, input, height, width) → (batch, output, height / stride, width / stride)`.
    fn forward(&self, x: &Map) -> Result<Map> {
        let hidden = self.widen.forward(&[x], None)?;
        let hidden = self.convolve.forward(&[&hidden], None)?;
        Ok(if self.is_residual { self.narrow.forward_onto(&[&hidden], x)? } else { self.narrow.forward(&[&hidden], None)? })
    }
}

struct Block {
    norm: LayerNorm,
    qkv: Linear,
    attention: WindowAttention,
    /// What a token beyond the image becomes: padding comes before the norm.
    padding: Tensor,
    projection: Linear,
    convolve: Conv,
    mlp_norm: LayerNorm,
    mlp_in: Linear,
    mlp_out: Linear,
}

impl Block {
    fn load(dim: usize, heads: usize, window: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let attention_vb = vb.pp("attn");
        let norm = LayerNorm::load(dim, EPSILON, &attention_vb.pp("norm"))?;
        let qkv = Linear::load(dim, 3 * dim, &attention_vb.pp("qkv"))?;
        let head_len = dim / heads;
        let place = |part: usize| Heads { offset: part * head_len, stride: 3 * head_len, len: head_len };
        let biases = attention_vb.get((heads, window * window), "attention_biases")?;
        Ok(Self {
            padding: qkv.of_row(norm.of_zeros())?,
            norm,
            qkv,
            attention: WindowAttention {
                heads,
                scale: 1.0 / (head_len as f64).sqrt(),
                window: (window, window),
                places: [place(0), place(1), place(2)],
                bias: PositionBias::Full(by_pairs(&biases, window)?),
            },
            projection: Linear::load(dim, dim, &attention_vb.pp("proj"))?,
            convolve: {
                let (weight, bias) = folded(1, dim, 3, &vb.pp("local_conv"))?;
                Conv::depthwise(&weight, bias, 1, 1)?
            },
            mlp_norm: LayerNorm::load(dim, EPSILON, &vb.pp("mlp.norm"))?,
            mlp_in: Linear::load(dim, EXPANSION * dim, &vb.pp("mlp.fc1"))?,
            mlp_out: Linear::load(EXPANSION * dim, dim, &vb.pp("mlp.fc2"))?,
        })
    }

    /// `(batch, height, width, dim)` in and out.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let qkv = self.qkv.forward(&self.norm.forward(x)?)?;
        let mixed = self.attention.forward(&qkv, &qkv, &qkv, Some(&self.padding))?;
        let x = self.projection.forward_then(&mixed, Activation::None, Some(x))?;
        let x = self.convolve.forward(&x, Activation::None)?;
        let hidden = self.mlp_in.forward_then(&self.mlp_norm.forward(&x)?, Activation::Gelu, None)?;
        self.mlp_out.forward_then(&hidden, Activation::None, Some(&x))
    }
}

/// `(heads, distances)`, a distance being (rows apart, columns apart) → `(heads, tokens, tokens)` of a window.
fn by_pairs(biases: &Tensor, window: usize) -> Result<Tensor> {
    let tokens = window * window;
    let mut index = Vec::with_capacity(tokens * tokens);
    for a in 0..tokens {
        for b in 0..tokens {
            index.push(((a / window).abs_diff(b / window) * window + (a % window).abs_diff(b % window)) as u32);
        }
    }
    biases.index_select(&Tensor::new(index, biases.device())?, 1)?.reshape(((), tokens, tokens))
}

/// The encoder with its weights.
pub struct TinyViT {
    backend: Backend,
    patch_embed: [ops::Conv; 2],
    conv_blocks: Vec<Bottleneck>,
    stages: Vec<Vec<Block>>,
    /// Behind each stage but the last.
    merging: Vec<Bottleneck>,
    neck: Neck,
}

impl TinyViT {
    /// Reads the tensors below `image_encoder`, for a decoder of `out_dim`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &TinyVitConfig, out_dim: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let dims = &config.dims;
        let layers = vb.pp("layers");
        let embed = vb.pp("patch_embed.seq");
        let conv_blocks = (0..config.depths[0])
            .map(|index| Bottleneck::load(dims[0], EXPANSION * dims[0], dims[0], 1, true, &layers.pp("0.blocks").pp(index)))
            .collect::<Result<Vec<_>>>()?;
        let mut stages = Vec::new();
        for (stage, &dim) in dims.iter().enumerate().skip(1) {
            let blocks = layers.pp(stage).pp("blocks");
            let load = |index| Block::load(dim, config.heads[stage], config.windows[stage], &blocks.pp(index));
            stages.push((0..config.depths[stage]).map(load).collect::<Result<Vec<_>>>()?);
        }
        let merging = (0..dims.len() - 1)
            .map(|stage| Bottleneck::merging(dims[stage], dims[stage + 1], &layers.pp(stage).pp("downsample")))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            backend: Backend::of(vb.device(), vb.dtype()),
            patch_embed: [
                conv(ConvShape::same(3, dims[0] / 2, 3, 2), Activation::Gelu, &embed.pp("0"))?,
                conv(ConvShape::same(dims[0] / 2, dims[0], 3, 2), Activation::None, &embed.pp("2"))?,
            ],
            conv_blocks,
            stages,
            merging,
            neck: Neck::load(dims[dims.len() - 1], out_dim, &vb.pp("neck"))?,
        })
    }

    /// `(batch, image_px, image_px, 3)` normalised → `(batch, image_px / 16, image_px / 16, out_dim)`.
    ///
    /// # Errors
    /// Another shape, or no memory.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let (batch, ..) = images.dims4()?;
        let share = self.backend.images_at_once();
        if batch <= share {
            return self.forward_share(images);
        }
        let shares = (0..batch).step_by(share).map(|first| self.forward_share(&images.narrow(0, first, share.min(batch - first))?));
        Tensor::cat(&shares.collect::<Result<Vec<_>>>()?, 0)
    }

    /// As many images as go through at a time.
    fn forward_share(&self, images: &Tensor) -> Result<Tensor> {
        let map = self.patch_embed[0].forward(&[&Map::from_last(images, self.backend)?], None)?;
        let mut map = self.patch_embed[1].forward(&[&map], None)?;
        for block in &self.conv_blocks {
            map = block.forward(&map)?;
        }
        let mut stages = self.merging.iter().zip(&self.stages).peekable();
        while let Some((merging, blocks)) = stages.next() {
            let mut x = merging.forward(&map)?.to_last()?;
            for block in blocks {
                x = block.forward(&x)?;
            }
            if stages.peek().is_none() {
                return self.neck.forward(&x);
            }
            map = Map::from_last(&x, self.backend)?;
        }
        self.neck.forward(&map.to_last()?)
    }
}
