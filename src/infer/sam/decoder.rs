//! The mask decoder of SAM and SAM 2: a few tokens and the image's embedding attend to each other twice, then every mask token
//! becomes the weights of a linear map over the enlarged embedding. Shared by both, which differ in tokens, in the fine maps that
//! SAM 2 adds, and in how a single mask is chosen.
//!
//! # Source
//! facebookresearch/segment-anything, `modeling/{mask_decoder,transformer}.py`; facebookresearch/sam2 at 0c5f8c5,
//! `modeling/sam/mask_decoder.py` (Apache-2.0).

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::layers::{Activation, LayerNorm, Linear, WindowAttention};

/// Of the norm between the two enlargements.
const UPSCALE_EPSILON: f64 = 1e-6;

/// Masks for what a prompt may mean, and one more for when it can mean one thing only.
pub(super) const MASK_TOKENS: usize = 4;

/// Sizes of the decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecoderConfig {
    /// Numbers of a token, and of a cell of the image's embedding.
    pub dim: usize,
    /// Heads of every attention.
    pub heads: usize,
    /// Blocks.
    pub depth: usize,
    /// Width of the hidden layer of a block.
    pub mlp_dim: usize,
    /// By how much attention between tokens and image is narrower than `dim`.
    pub downsample: usize,
    /// Width of the hidden layers that predict how good a mask is.
    pub score_hidden_dim: usize,
    /// Of the norms over tokens.
    pub norm_epsilon: f64,
    /// SAM 2: fine maps, a token that says whether the object is there at all, scores in 0..=1.
    pub is_sam2: bool,
    /// SAM 2: of a single mask whose stability (within ± the first) is below the second, the best of the others is given instead.
    pub single_mask_stability: Option<(f32, f32)>,
}

impl DecoderConfig {
    /// Of every published SAM, MobileSAM included.
    pub fn sam() -> Self {
        Self {
            dim: 256,
            heads: 8,
            depth: 2,
            mlp_dim: 2048,
            downsample: 2,
            score_hidden_dim: 256,
            norm_epsilon: 1e-5,
            is_sam2: false,
            single_mask_stability: None,
        }
    }

    /// Of every published SAM 2 and 2.1.
    pub fn sam2() -> Self {
        Self { is_sam2: true, single_mask_stability: Some((0.05, 0.98)), ..Self::sam() }
    }
}

struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    attention: WindowAttention,
}

impl Attention {
    fn load(config: &DecoderConfig, downsample: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let (dim, inner) = (config.dim, config.dim / downsample);
        let out = if vb.contains_tensor("out_proj.weight") { "out_proj" } else { "o_proj" };
        Ok(Self {
            query: Linear::load(dim, inner, &vb.pp("q_proj"))?,
            key: Linear::load(dim, inner, &vb.pp("k_proj"))?,
            value: Linear::load(dim, inner, &vb.pp("v_proj"))?,
            out: Linear::load(inner, dim, &vb.pp(out))?,
            attention: WindowAttention::whole(config.heads, inner / config.heads),
        })
    }

    /// Queries `(batch, a, b, dim)`, keys and values `(batch, c, d, dim)` → `(batch, a, b, dim)`, plus `residual`.
    fn forward(&self, queries: &Tensor, keys: &Tensor, values: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        let (queries, keys, values) = (self.query.forward(queries)?, self.key.forward(keys)?, self.value.forward(values)?);
        let mixed = self.attention.forward(&queries, &keys, &values, None)?;
        self.out.forward_then(&mixed, Activation::None, residual)
    }
}

struct Block {
    self_attention: Attention,
    tokens_to_image: Attention,
    image_to_tokens: Attention,
    mlp_in: Linear,
    mlp_out: Linear,
    norms: [LayerNorm; 4],
    /// The first block adds no places to the tokens it attends with among themselves, nor what it was given.
    is_first: bool,
}

impl Block {
    fn load(config: &DecoderConfig, index: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let norm = |name: &str| LayerNorm::load(config.dim, config.norm_epsilon, &vb.pp(name));
        Ok(Self {
            self_attention: Attention::load(config, 1, &vb.pp("self_attn"))?,
            tokens_to_image: Attention::load(config, config.downsample, &vb.pp("cross_attn_token_to_image"))?,
            image_to_tokens: Attention::load(config, config.downsample, &vb.pp("cross_attn_image_to_token"))?,
            mlp_in: Linear::load(config.dim, config.mlp_dim, &vb.pp("mlp.lin1"))?,
            mlp_out: Linear::load(config.mlp_dim, config.dim, &vb.pp("mlp.lin2"))?,
            norms: [norm("norm1")?, norm("norm2")?, norm("norm3")?, norm("norm4")?],
            is_first: index == 0,
        })
    }

    /// Tokens `(batch, 1, tokens, dim)` and image `(batch, rows, columns, dim)`, with the places of both.
    fn forward(&self, tokens: &Tensor, image: &Tensor, token_places: &Tensor, image_places: &Tensor) -> Result<(Tensor, Tensor)> {
        let tokens = if self.is_first {
            self.self_attention.forward(tokens, tokens, tokens, None)?
        } else {
            let placed = (tokens + token_places)?;
            self.self_attention.forward(&placed, &placed, tokens, Some(tokens))?
        };
        let tokens = self.norms[0].forward(&tokens)?;

        let placed_image = image.broadcast_add(image_places)?;
        let tokens = self.tokens_to_image.forward(&(&tokens + token_places)?, &placed_image, image, Some(&tokens))?;
        let tokens = self.norms[1].forward(&tokens)?;

        let hidden = self.mlp_in.forward_then(&tokens, Activation::Relu, None)?;
        let tokens = self.norms[2].forward(&self.mlp_out.forward_then(&hidden, Activation::None, Some(&tokens))?)?;

        let image = self.image_to_tokens.forward(&placed_image, &(&tokens + token_places)?, &tokens, Some(image))?;
        Ok((tokens, self.norms[3].forward(&image)?))
    }
}

/// Three linear layers.
struct Mlp {
    layers: [Linear; 3],
}

impl Mlp {
    fn load(input: usize, hidden: usize, output: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let layers = vb.pp("layers");
        Ok(Self {
            layers: [
                Linear::load(input, hidden, &layers.pp("0"))?,
                Linear::load(hidden, hidden, &layers.pp("1"))?,
                Linear::load(hidden, output, &layers.pp("2"))?,
            ],
        })
    }

    /// `(batch, input) → (batch, output)`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.layers[0].forward_then(x, Activation::Relu, None)?;
        let x = self.layers[1].forward_then(&x, Activation::Relu, None)?;
        self.layers[2].forward(&x)
    }
}

/// A transposed convolution of 2 × 2 with step 2, as a linear layer to the four pixels that each pixel becomes.
fn enlargement(input: usize, output: usize, vb: &VarBuilder<'_>) -> Result<Linear> {
    // (in, out, ky, kx) → (ky, kx, out, in)
    let weight = vb.get((input, output, 2, 2), "weight")?.permute((2, 3, 1, 0))?.reshape((4 * output, input))?;
    Linear::of(weight, Some(vb.get(output, "bias")?.repeat(4)?))
}

/// The decoder with its weights.
pub struct MaskDecoder {
    /// `(tokens, dim)`: object (SAM 2), score, masks.
    own_tokens: Tensor,
    blocks: Vec<Block>,
    last_attention: Attention,
    last_norm: LayerNorm,
    enlarge1: Linear,
    enlarge_norm: LayerNorm,
    enlarge2: Linear,
    mask_weights: Vec<Mlp>,
    score: Mlp,
    object: Option<Mlp>,
    dim: usize,
}

/// Fine maps in the order in which the decoder enlarges: beside every pixel of the embedding, those it becomes.
#[derive(Debug, Clone)]
pub struct FineMaps {
    /// `(batch, cells · 16, dim / 8)`.
    pub(super) finest: Tensor,
    /// `(batch, cells · 4, dim / 4)`.
    pub(super) finer: Tensor,
}

impl FineMaps {
    /// From `(batch, 4 · rows, 4 · columns, dim / 8)` and `(batch, 2 · rows, 2 · columns, dim / 4)`.
    ///
    /// # Errors
    /// The shapes do not fit each other.
    pub fn of(finest: &Tensor, finer: &Tensor) -> Result<Self> {
        let (batch, height, width, channels) = finer.dims4()?;
        let (rows, columns) = (height / 2, width / 2);
        // (batch, row, y, column, x, channels) → (batch, row, column, y, x, channels)
        let finer = finer.reshape(vec![batch, rows, 2, columns, 2, channels])?.permute(vec![0, 1, 3, 2, 4, 5])?.reshape((
            batch,
            rows * columns * 4,
            channels,
        ))?;
        let channels = finest.dim(3)?;
        // (batch, row, y1, y2, column, x1, x2, channels) → (batch, row, column, y1, x1, y2, x2, channels)
        let finest = finest.reshape(vec![batch, rows, 2, 2, columns, 2, 2, channels])?.permute(vec![0, 1, 4, 2, 5, 3, 6, 7])?.reshape((
            batch,
            rows * columns * 16,
            channels,
        ))?;
        Ok(Self { finest, finer })
    }
}

/// What the decoder says of a batch of prompts.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// `(batch, 4, 4 · rows, 4 · columns)`: the single mask, then the three alternatives; logits.
    pub masks: Tensor,
    /// `(batch, 4)`: predicted overlap with the truth, about 0..=1.
    pub scores: Tensor,
    /// `(batch, 1)`: whether the object is there at all; logits. SAM 2 only.
    pub object: Option<Tensor>,
}

impl MaskDecoder {
    /// Reads the tensors below `mask_decoder`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &DecoderConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let dim = config.dim;
        let transformer = vb.pp("transformer");
        let mut tokens = vec![vb.get((1, dim), "iou_token.weight")?, vb.get((MASK_TOKENS, dim), "mask_tokens.weight")?];
        if config.is_sam2 {
            tokens.insert(0, vb.get((1, dim), "obj_score_token.weight")?);
        }
        let mask_weights = (0..MASK_TOKENS)
            .map(|mask| Mlp::load(dim, dim, dim / 8, &vb.pp("output_hypernetworks_mlps").pp(mask)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            own_tokens: Tensor::cat(&tokens, 0)?,
            blocks: (0..config.depth)
                .map(|index| Block::load(config, index, &transformer.pp("layers").pp(index)))
                .collect::<Result<Vec<_>>>()?,
            last_attention: Attention::load(config, config.downsample, &transformer.pp("final_attn_token_to_image"))?,
            // Hugging Face's models keep PyTorch's own epsilon here whatever their configuration says.
            last_norm: LayerNorm::load(dim, 1e-5, &transformer.pp("norm_final_attn"))?,
            enlarge1: enlargement(dim, dim / 4, &vb.pp("output_upscaling.0"))?,
            enlarge_norm: LayerNorm::load(dim / 4, UPSCALE_EPSILON, &vb.pp("output_upscaling.1"))?,
            enlarge2: enlargement(dim / 4, dim / 8, &vb.pp("output_upscaling.3"))?,
            mask_weights,
            score: Mlp::load(dim, config.score_hidden_dim, MASK_TOKENS, &vb.pp("iou_prediction_head"))?,
            object: if config.is_sam2 { Some(Mlp::load(dim, dim, 1, &vb.pp("pred_obj_score_head"))?) } else { None },
            dim,
        })
    }

    /// Image `(1 or batch, rows, columns, dim)`, its places `(1, rows, columns, dim)`, prompts `(batch, tokens, dim)` and
    /// `(1 or batch, 1 or rows, 1 or columns, dim)`, fine maps of the image (SAM 2) → masks and scores.
    ///
    /// # Errors
    /// The shapes do not fit each other, or no memory.
    pub fn forward(&self, image: &Tensor, places: &Tensor, prompts: &Tensor, dense: &Tensor, fine: Option<&FineMaps>) -> Result<Decoded> {
        let batch = prompts.dim(0)?;
        let (_, rows, columns, dim) = image.dims4()?;
        let image = image.broadcast_as((batch, rows, columns, dim))?.broadcast_add(dense)?;
        let own = self.own_tokens.broadcast_left(batch)?.contiguous()?;
        // (batch, 1, tokens, dim)
        let token_places = Tensor::cat(&[&own, prompts], 1)?.unsqueeze(1)?;

        let (mut tokens, mut image) = (token_places.clone(), image);
        for block in &self.blocks {
            (tokens, image) = block.forward(&tokens, &image, &token_places, places)?;
        }
        let placed_image = image.broadcast_add(places)?;
        let tokens = self.last_attention.forward(&(&tokens + &token_places)?, &placed_image, &image, Some(&tokens))?;
        let tokens = self.last_norm.forward(&tokens)?.squeeze(1)?;

        let score_token = usize::from(self.object.is_some());
        let token = |index: usize| tokens.narrow(1, index, 1)?.squeeze(1)?.contiguous();
        let weights = (0..MASK_TOKENS)
            .map(|mask| self.mask_weights[mask].forward(&token(score_token + 1 + mask)?)?.unsqueeze(1))
            .collect::<Result<Vec<_>>>()?;
        let masks = self.masks(&image, &Tensor::cat(&weights, 1)?, fine)?;
        let scores = self.score.forward(&token(score_token)?)?;
        let (scores, object) = match &self.object {
            Some(object) => (candle_nn::ops::sigmoid(&scores)?, Some(object.forward(&token(0)?)?)),
            None => (scores, None),
        };
        Ok(Decoded { masks: masks.to_dtype(DType::F32)?, scores: scores.to_dtype(DType::F32)?, object })
    }

    /// Enlarges the image by four and maps it by each mask's weights, `(batch, 4, dim / 8)`.
    fn masks(&self, image: &Tensor, weights: &Tensor, fine: Option<&FineMaps>) -> Result<Tensor> {
        let (batch, rows, columns, _) = image.dims4()?;
        let cells = rows * columns;
        let of_batch = |map: &Tensor| map.broadcast_as((batch, map.dim(1)?, map.dim(2)?))?.contiguous();
        let (finer, finest) = match fine {
            Some(fine) => (Some(of_batch(&fine.finer)?), Some(of_batch(&fine.finest)?)),
            None => (None, None),
        };
        let x = self.enlarge1.forward_then(image, Activation::None, finer.as_ref())?.reshape((batch, cells * 4, self.dim / 4))?;
        let x = self.enlarge_norm.forward_then(&x, Activation::Gelu)?;
        let x = self.enlarge2.forward_then(&x, Activation::Gelu, finest.as_ref())?.reshape((batch, cells * 16, self.dim / 8))?;
        // (batch, masks, row, column, y1, x1, y2, x2) → (batch, masks, row, y1, y2, column, x1, x2)
        weights
            .matmul(&x.t()?)?
            .reshape(vec![batch, MASK_TOKENS, rows, columns, 2, 2, 2, 2])?
            .permute(vec![0, 1, 2, 4, 6, 3, 5, 7])?
            .reshape((batch, MASK_TOKENS, 4 * rows, 4 * columns))
    }
}
