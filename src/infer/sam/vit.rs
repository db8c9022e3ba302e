//! The image encoder of SAM: a plain vision transformer whose blocks attend in windows of 14 patches, four of them over the whole
//! image, with decomposed relative positions.
//!
//! # Source
//! Paper: Kirillov et al., "Segment Anything", 2023; Li et al., "Exploring Plain Vision Transformer Backbones for Object
//! Detection", 2022. Reference: facebookresearch/segment-anything, `modeling/image_encoder.py` (Apache-2.0); checkpoints
//! `sam_vit_{b,l,h}` (Apache-2.0).

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::layers::{Activation, Conv, Heads, LayerNorm, Linear, PositionBias, WindowAttention};

/// Of norms over patches and of the neck.
const EPSILON: f64 = 1e-6;

/// Sizes of the encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VitConfig {
    /// Numbers of a patch.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads of every block.
    pub heads: usize,
    /// Width of the hidden layer of a block.
    pub mlp_dim: usize,
    /// Sides of a patch, in px of the input.
    pub patch_px: usize,
    /// Sides of a window, in patches.
    pub window: usize,
    /// Which blocks attend over the whole image.
    pub global_blocks: Vec<usize>,
}

impl VitConfig {
    /// ViT-B/16 with windows of 14.
    pub fn base() -> Self {
        Self::of(768, 12, 12, [2, 5, 8, 11])
    }

    /// ViT-L/16.
    pub fn large() -> Self {
        Self::of(1024, 24, 16, [5, 11, 17, 23])
    }

    /// ViT-H/16.
    pub fn huge() -> Self {
        Self::of(1280, 32, 16, [7, 15, 23, 31])
    }

    fn of(dim: usize, depth: usize, heads: usize, global_blocks: [usize; 4]) -> Self {
        Self { dim, depth, heads, mlp_dim: 4 * dim, patch_px: 16, window: 14, global_blocks: global_blocks.to_vec() }
    }
}

struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    attention: WindowAttention,
    /// What a token beyond the image becomes: padding comes after the norm, so it is the bias alone.
    padding: Tensor,
    projection: Linear,
    norm2: LayerNorm,
    mlp_in: Linear,
    mlp_out: Linear,
}

impl Block {
    fn load(config: &VitConfig, index: usize, grid: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let head_len = config.dim / config.heads;
        let is_global = config.window == 0 || config.global_blocks.contains(&index);
        let window = if is_global { grid } else { config.window };
        let attention_vb = vb.pp("attn");
        let table = (2 * window - 1, head_len);
        let bias = if attention_vb.contains_tensor("rel_pos_h") {
            PositionBias::Decomposed(attention_vb.get(table, "rel_pos_h")?, attention_vb.get(table, "rel_pos_w")?)
        } else {
            PositionBias::None
        };
        let place = |part: usize| Heads { offset: part * config.dim, stride: head_len, len: head_len };
        let qkv = Linear::load(config.dim, 3 * config.dim, &attention_vb.pp("qkv"))?;
        let zeros = Tensor::zeros(config.dim, vb.dtype(), vb.device())?;
        Ok(Self {
            norm1: LayerNorm::load(config.dim, EPSILON, &vb.pp("norm1"))?,
            padding: qkv.of_row(&zeros)?,
            qkv,
            attention: WindowAttention {
                heads: config.heads,
                scale: 1.0 / (head_len as f64).sqrt(),
                window: (window, window),
                places: [place(0), place(1), place(2)],
                bias,
            },
            projection: Linear::load(config.dim, config.dim, &attention_vb.pp("proj"))?,
            norm2: LayerNorm::load(config.dim, EPSILON, &vb.pp("norm2"))?,
            mlp_in: Linear::load(config.dim, config.mlp_dim, &vb.pp("mlp.lin1"))?,
            mlp_out: Linear::load(config.mlp_dim, config.dim, &vb.pp("mlp.lin2"))?,
        })
    }

    /// `(batch, rows, columns, dim)` in and out.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let qkv = self.qkv.forward(&self.norm1.forward(x)?)?;
        let mixed = self.attention.forward(&qkv, &qkv, &qkv, Some(&self.padding))?;
        let x = self.projection.forward_then(&mixed, Activation::None, Some(x))?;
        let hidden = self.mlp_in.forward_then(&self.norm2.forward(&x)?, Activation::Gelu, None)?;
        self.mlp_out.forward_then(&hidden, Activation::None, Some(&x))
    }
}

/// Two convolutions with norms, from the width of the encoder to that of the decoder.
pub(super) struct Neck {
    conv1: Conv,
    norm1: LayerNorm,
    conv2: Conv,
    norm2: LayerNorm,
}

impl Neck {
    pub(super) fn load(dim: usize, out_dim: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            conv1: Conv::load(dim, out_dim, 1, 1, 0, &vb.pp("0"))?,
            norm1: LayerNorm::load(out_dim, EPSILON, &vb.pp("1"))?,
            conv2: Conv::load(out_dim, out_dim, 3, 1, 1, &vb.pp("2"))?,
            norm2: LayerNorm::load(out_dim, EPSILON, &vb.pp("3"))?,
        })
    }

    /// `(batch, rows, columns, dim) → (batch, rows, columns, out_dim)`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.norm1.forward(&self.conv1.forward(x, Activation::None)?)?;
        self.norm2.forward(&self.conv2.forward(&x, Activation::None)?)
    }
}

/// The encoder with its weights.
pub struct Vit {
    patch_embed: Conv,
    position: Option<Tensor>,
    blocks: Vec<Block>,
    neck: Neck,
}

impl Vit {
    /// Reads the tensors below `image_encoder`, for square images of `image_px` and a decoder of `out_dim`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &VitConfig, image_px: usize, out_dim: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let grid = image_px / config.patch_px;
        let position = if vb.contains_tensor("pos_embed") { Some(vb.get((1, grid, grid, config.dim), "pos_embed")?) } else { None };
        let blocks =
            (0..config.depth).map(|index| Block::load(config, index, grid, &vb.pp("blocks").pp(index))).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            patch_embed: Conv::load(3, config.dim, config.patch_px, config.patch_px, 0, &vb.pp("patch_embed.proj"))?,
            position,
            blocks,
            neck: Neck::load(config.dim, out_dim, &vb.pp("neck"))?,
        })
    }

    /// `(batch, image_px, image_px, 3)` normalised → `(batch, image_px / 16, image_px / 16, out_dim)`.
    ///
    /// # Errors
    /// Another shape, or no memory.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let mut x = self.patch_embed.forward(images, Activation::None)?;
        if let Some(position) = &self.position {
            x = x.broadcast_add(position)?;
        }
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.neck.forward(&x)
    }
}
