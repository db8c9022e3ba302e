//! Hiera as SAM 2 has it: four stages of blocks that attend in windows, a few over the whole map; queries are pooled where a
//! stage begins. Apart, because a backbone knows nothing of masks.
//!
//! # Source
//! Papers: Ryali et al., "Hiera", 2023; Bolya et al., "Window Attention is Bugged" (absolute window embeddings), 2023. Reference:
//! facebookresearch/sam2 at 0c5f8c5, `modeling/backbones/hieradet.py`; sizes from `configs/sam2.1/*.yaml`.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::super::sam::layers::{Activation, Conv, Heads, LayerNorm, Linear, PositionBias, WindowAttention};

/// Of all norms.
const EPSILON: f64 = 1e-6;

/// The patches overlap: 7 px wide, 4 px apart.
const PATCH: (usize, usize, usize) = (7, 4, 3);

/// How much wider than its input a block's hidden layer is.
const EXPANSION: usize = 4;

/// Sizes of the encoder. Channels and heads double where a stage begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HieraConfig {
    /// Channels of the first stage.
    pub dim: usize,
    /// Heads of the first stage.
    pub heads: usize,
    /// Blocks of every stage.
    pub blocks: Vec<usize>,
    /// Which blocks, counted through, attend over the whole map.
    pub global_blocks: Vec<usize>,
    /// Sides of a window, by stage; the first block of a stage still uses that of the stage before.
    pub windows: Vec<usize>,
    /// Sides of the map of positions that is stretched over the image.
    pub position_side: usize,
}

impl HieraConfig {
    /// `sam2_hiera_tiny`, 27 M parameters.
    pub fn tiny() -> Self {
        Self::of(96, 1, [1, 2, 7, 2], [5, 7, 9], [8, 4, 14, 7], 7)
    }

    /// `sam2_hiera_small`.
    pub fn small() -> Self {
        Self::of(96, 1, [1, 2, 11, 2], [7, 10, 13], [8, 4, 14, 7], 7)
    }

    /// `sam2_hiera_base_plus`.
    pub fn base_plus() -> Self {
        Self::of(112, 2, [2, 3, 16, 3], [12, 16, 20], [8, 4, 14, 7], 14)
    }

    /// `sam2_hiera_large`.
    pub fn large() -> Self {
        Self::of(144, 2, [2, 6, 36, 4], [23, 33, 43], [8, 4, 16, 8], 7)
    }

    fn of(dim: usize, heads: usize, blocks: [usize; 4], global: [usize; 3], windows: [usize; 4], position_side: usize) -> Self {
        let (blocks, global_blocks, windows) = (blocks.to_vec(), global.to_vec(), windows.to_vec());
        Self { dim, heads, blocks, global_blocks, windows, position_side }
    }

    /// Channels of a stage.
    pub fn dim_of(&self, stage: usize) -> usize {
        self.dim << stage
    }
}

struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    attention: WindowAttention,
    /// What a token beyond the map becomes: padding comes after the norm, so it is the bias alone.
    padding: Tensor,
    projection: Linear,
    /// Where the stage begins: brings the input to its width.
    shortcut: Option<Linear>,
    norm2: LayerNorm,
    mlp_in: Linear,
    mlp_out: Linear,
    out_dim: usize,
}

impl Block {
    fn load(dim: usize, out_dim: usize, heads: usize, window: Option<usize>, vb: &VarBuilder<'_>) -> Result<Self> {
        let head_len = out_dim / heads;
        let attention = vb.pp("attn");
        let qkv = Linear::load(dim, 3 * out_dim, &attention.pp("qkv"))?;
        let begins_stage = dim != out_dim;
        // Pooled queries are a tensor of their own, of which they are the first and only part.
        let place = |part: usize| Heads { offset: part * out_dim, stride: head_len, len: head_len };
        let window = window.unwrap_or(0);
        Ok(Self {
            norm1: LayerNorm::load(dim, EPSILON, &vb.pp("norm1"))?,
            padding: qkv.of_row(&Tensor::zeros(dim, vb.dtype(), vb.device())?)?,
            qkv,
            attention: WindowAttention {
                heads,
                scale: 1.0 / (head_len as f64).sqrt(),
                window: (window, window),
                places: [place(0), place(1), place(2)],
                bias: PositionBias::None,
            },
            projection: Linear::load(out_dim, out_dim, &attention.pp("proj"))?,
            shortcut: if begins_stage { Some(Linear::load(dim, out_dim, &vb.pp("proj"))?) } else { None },
            norm2: LayerNorm::load(out_dim, EPSILON, &vb.pp("norm2"))?,
            mlp_in: Linear::load(out_dim, EXPANSION * out_dim, &vb.pp("mlp.layers.0"))?,
            mlp_out: Linear::load(EXPANSION * out_dim, out_dim, &vb.pp("mlp.layers.1"))?,
            out_dim,
        })
    }

    /// `(batch, height, width, dim)` → `(batch, height, width, out_dim)`, of half the sides where a stage begins.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let normed = self.norm1.forward(x)?;
        let qkv = self.qkv.forward(&normed)?;
        let (queries, shortcut) = match &self.shortcut {
            Some(shortcut) => (pooled(&qkv.narrow(3, 0, self.out_dim)?)?, pooled(&shortcut.forward(&normed)?)?),
            None => (qkv.clone(), x.clone()),
        };
        let mixed = self.attention.forward(&queries, &qkv, &qkv, Some(&self.padding))?;
        let x = self.projection.forward_then(&mixed, Activation::None, Some(&shortcut))?;
        let hidden = self.mlp_in.forward_then(&self.norm2.forward(&x)?, Activation::Gelu, None)?;
        self.mlp_out.forward_then(&hidden, Activation::None, Some(&x))
    }
}

/// The greatest of every 2 × 2: `(batch, height, width, channels) → (batch, height / 2, width / 2, channels)`.
fn pooled(x: &Tensor) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    let x = x.contiguous()?.reshape((batch * height / 2, 2, width * channels))?;
    let x = x.narrow(1, 0, 1)?.contiguous()?.maximum(&x.narrow(1, 1, 1)?.contiguous()?)?;
    let x = x.reshape((batch * height / 2 * (width / 2), 2, channels))?;
    let x = x.narrow(1, 0, 1)?.contiguous()?.maximum(&x.narrow(1, 1, 1)?.contiguous()?)?;
    x.reshape((batch, height / 2, width / 2, channels))
}

/// The encoder with its weights.
pub struct Hiera {
    patch_embed: Conv,
    /// `(1, height, width, dim)`.
    position: Tensor,
    blocks: Vec<Block>,
    /// The last block of every stage.
    stage_ends: Vec<usize>,
}

impl Hiera {
    /// Reads the tensors below `trunk`, for square images of `image_px`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &HieraConfig, image_px: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let mut blocks = Vec::new();
        let mut stage_ends = Vec::new();
        let mut dim = config.dim;
        for (stage, &count) in config.blocks.iter().enumerate() {
            for block in 0..count {
                let index = blocks.len();
                let stage_of_window = if block == 0 { stage.saturating_sub(1) } else { stage };
                let window = (!config.global_blocks.contains(&index)).then(|| config.windows[stage_of_window]);
                let out_dim = config.dim_of(stage);
                blocks.push(Block::load(dim, out_dim, config.heads << stage, window, &vb.pp("blocks").pp(index))?);
                dim = out_dim;
            }
            stage_ends.push(blocks.len() - 1);
        }
        let (kernel, stride, padding) = PATCH;
        let side = image_px / stride;
        Ok(Self {
            patch_embed: Conv::load(3, config.dim, kernel, stride, padding, &vb.pp("patch_embed.proj"))?,
            position: position(config, side, vb)?,
            blocks,
            stage_ends,
        })
    }

    /// `(batch, image_px, image_px, 3)` normalised → the map at the end of every stage, `(batch, height, width, channels)`.
    ///
    /// # Errors
    /// Another shape, or no memory.
    pub fn forward(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        let mut x = self.patch_embed.forward(images, Activation::None)?.broadcast_add(&self.position)?;
        let mut stages = Vec::with_capacity(self.stage_ends.len());
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x)?;
            if self.stage_ends.contains(&index) {
                stages.push(x.clone());
            }
        }
        Ok(stages)
    }
}

/// The coarse map of positions stretched over the image, plus that of a window laid out like tiles: `(1, side, side, dim)`.
fn position(config: &HieraConfig, side: usize, vb: &VarBuilder<'_>) -> Result<Tensor> {
    let (dim, coarse, tile) = (config.dim, config.position_side, config.windows[0]);
    let host = |tensor: Tensor| tensor.to_dtype(candle_core::DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let coarse_map = host(vb.get((1, dim, coarse, coarse), "pos_embed")?)?;
    let tile_map = host(vb.get((1, dim, tile, tile), "pos_embed_window")?)?;
    let taps: Vec<[(usize, f64); 4]> = (0..side).map(|at| cubic_taps(at, coarse, side)).collect();
    let mut out = vec![0.0; side * side * dim];
    for channel in 0..dim {
        let map = &coarse_map[channel * coarse * coarse..][..coarse * coarse];
        for y in 0..side {
            for x in 0..side {
                let mut sum = tile_map[(channel * tile + y % tile) * tile + x % tile];
                for (from_y, weight_y) in taps[y] {
                    for (from_x, weight_x) in taps[x] {
                        sum += map[from_y * coarse + from_x] * weight_y * weight_x;
                    }
                }
                out[(y * side + x) * dim + channel] = sum;
            }
        }
    }
    Tensor::from_vec(out, (1, side, side, dim), vb.device())?.to_dtype(vb.dtype())
}

/// Which numbers of a line of `from` make up number `at` of the same line stretched to `to`, and by how much: bicubic with
/// a = -0.75, pixels being squares, the border going on for ever.
///
/// # Source
/// Keys, 1981; the value of a and the convention are PyTorch's.
fn cubic_taps(at: usize, from: usize, to: usize) -> [(usize, f64); 4] {
    const A: f64 = -0.75;
    let place = (at as f64 + 0.5) * from as f64 / to as f64 - 0.5;
    let first = place.floor();
    std::array::from_fn(|tap| {
        let source = first as i64 + tap as i64 - 1;
        let distance = (place - source as f64).abs();
        let weight = if distance <= 1.0 {
            ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0
        } else {
            ((A * distance - 5.0 * A) * distance + 8.0 * A) * distance - 4.0 * A
        };
        (source.clamp(0, from as i64 - 1) as usize, weight)
    })
}
