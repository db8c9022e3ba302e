//! The block that CLIP, SigLIP and DINOv2 are built of: normalise, attend, add; normalise, feed forward, add. Apart, because the three differ
//! only in names, activation and mask. Imports the operations beside it.
//!
//! ```text
//! x ─┬─ layer norm ─ q,k,v in one product ─ attention ─ product ─ (+) ─┬─ layer norm ─ product ─ activation ─ product ─ (+) ─ x'
//!    └──────────────────────────────────────────────────────────────┘  └────────────────────────────────────────────────┘
//! ```
//!
//! Weights are packed once, at load, into the order in which the product reads them; query, key and value become one matrix, and a layer
//! scale is multiplied into the matrix before it.

mod attention;

use candle_core::{DType, Device, IndexOp, Result, Tensor};
use candle_nn::VarBuilder;

use super::ops::{Activation, Backend, Linear, layer_norm};

pub use attention::{Mask, attend};

/// A matrix and a bias, kept as the product wants them.
#[derive(Debug, Clone)]
pub struct Projection(Linear);

impl Projection {
    /// From a checkpoint's `weight (out, in)` and `bias (out)`.
    ///
    /// # Errors
    /// Candle's.
    pub fn new(weight: &Tensor, bias: &Tensor) -> Result<Self> {
        Ok(Self(Linear::new(weight, Some(bias), Activation::None, Backend::of(weight.device(), weight.dtype()))?))
    }

    /// Reads `weight` and `bias` below `vb`.
    ///
    /// # Errors
    /// Candle's, naming the tensor that is missing or has another shape.
    pub fn load(input: usize, output: usize, vb: &VarBuilder) -> Result<Self> {
        Self::new(&vb.get((output, input), "weight")?, &vb.get(output, "bias")?)
    }

    /// As [`Self::load`] for several matrices of the same input, one after the other in the output.
    fn load_joined(input: usize, output: usize, parts: &[VarBuilder]) -> Result<Self> {
        let weights = parts.iter().map(|vb| vb.get((output, input), "weight")).collect::<Result<Vec<_>>>()?;
        let biases = parts.iter().map(|vb| vb.get(output, "bias")).collect::<Result<Vec<_>>>()?;
        Self::new(&Tensor::cat(&weights, 0)?, &Tensor::cat(&biases, 0)?)
    }

    /// As [`Self::load`], every output multiplied by its `scale (out)`.
    fn load_scaled(input: usize, output: usize, vb: &VarBuilder, scale: Option<Tensor>) -> Result<Self> {
        let Some(scale) = scale else { return Self::load(input, output, vb) };
        let weight = vb.get((output, input), "weight")?.broadcast_mul(&scale.reshape((output, 1))?)?;
        Self::new(&weight, &(vb.get(output, "bias")? * scale)?)
    }

    /// `(…, in) → (…, out)`.
    ///
    /// # Errors
    /// Candle's, when the shape is another one.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.0.forward(x)?)
    }

    /// `(…, in) → (…, out)` through `activation`.
    pub(crate) fn forward_activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        Ok(self.0.forward_then(x, activation, None)?)
    }

    /// `(…, in) → residual (…, out)` plus the result.
    pub(crate) fn forward_onto(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        Ok(self.0.forward_then(x, Activation::None, Some(residual))?)
    }
}

/// Normalisation of each row with its own scale and shift.
#[derive(Debug, Clone)]
pub struct Norm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl Norm {
    /// Reads `weight` and `bias` below `vb`.
    ///
    /// # Errors
    /// Candle's, naming the tensor that is missing or has another shape.
    pub fn load(dim: usize, eps: f64, vb: &VarBuilder) -> Result<Self> {
        Ok(Self { weight: vb.get(dim, "weight")?, bias: vb.get(dim, "bias")?, eps })
    }

    /// `(…, dim) → (…, dim)`.
    ///
    /// # Errors
    /// Candle's, when the shape is another one.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(layer_norm(x, &self.weight, &self.bias, self.eps)?)
    }
}

/// What a block is made like.
#[derive(Debug, Clone)]
pub struct BlockConfig {
    /// Numbers of a token.
    pub dim: usize,
    /// Attention heads; they divide `dim`.
    pub heads: usize,
    /// Numbers between the two products of the feed-forward part.
    pub inner_dim: usize,
    /// Function between them.
    pub activation: Activation,
    /// Added to the variance in the normalisations.
    pub norm_eps: f64,
}

/// What the parts of a block are called in the checkpoint, below the block's own prefix.
#[derive(Debug, Clone, Copy)]
pub struct BlockNames {
    /// Normalisation before attention.
    pub norm1: &'static str,
    /// Query, key and value, each its own matrix; one matrix for all three when there is only one name.
    pub qkv: &'static [&'static str],
    /// The product after attention.
    pub out: &'static str,
    /// Layer scale after attention.
    pub scale1: Option<&'static str>,
    /// Normalisation before the feed-forward part.
    pub norm2: &'static str,
    /// Its first product.
    pub up: &'static str,
    /// Its second product.
    pub down: &'static str,
    /// Layer scale after it.
    pub scale2: Option<&'static str>,
}

/// The names in Hugging Face's CLIP and SigLIP.
pub const CLIP_NAMES: BlockNames = BlockNames {
    norm1: "layer_norm1",
    qkv: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    out: "self_attn.out_proj",
    scale1: None,
    norm2: "layer_norm2",
    up: "mlp.fc1",
    down: "mlp.fc2",
    scale2: None,
};

/// Between the two layers of the feed-forward part.
#[derive(Debug, Clone)]
enum FeedForward {
    /// One product, the activation, one product.
    Plain { up: Projection, down: Projection, activation: Activation },
    /// `silu(gate) · value`, both halves from one product (DINOv2 giant).
    Gated { up: Projection, down: Projection },
}

/// One block.
#[derive(Debug, Clone)]
pub struct Block {
    norm1: Norm,
    qkv: Projection,
    out: Projection,
    norm2: Norm,
    feed_forward: FeedForward,
    heads: usize,
}

impl Block {
    /// Reads a block below `vb`. With `gated`, `up` gives `2 · inner_dim` numbers: the gates, then the values.
    ///
    /// # Errors
    /// Candle's, naming the tensor that is missing or has another shape.
    pub fn load(config: &BlockConfig, names: &BlockNames, gated: bool, vb: &VarBuilder) -> Result<Self> {
        let BlockConfig { dim, heads, inner_dim, activation, norm_eps } = *config;
        if heads == 0 || !dim.is_multiple_of(heads) {
            candle_core::bail!("{heads} attention heads do not divide {dim} numbers");
        }
        let scale = |name: Option<&str>| name.map(|name| vb.get(dim, name)).transpose();
        let qkv = match names.qkv {
            [one] => Projection::load(dim, 3 * dim, &vb.pp(one))?,
            several => {
                let parts: Vec<VarBuilder> = several.iter().map(|name| vb.pp(name)).collect();
                Projection::load_joined(dim, dim, &parts)?
            }
        };
        let up = Projection::load(dim, if gated { 2 * inner_dim } else { inner_dim }, &vb.pp(names.up))?;
        let down = Projection::load_scaled(inner_dim, dim, &vb.pp(names.down), scale(names.scale2)?)?;
        Ok(Self {
            norm1: Norm::load(dim, norm_eps, &vb.pp(names.norm1))?,
            qkv,
            out: Projection::load_scaled(dim, dim, &vb.pp(names.out), scale(names.scale1)?)?,
            norm2: Norm::load(dim, norm_eps, &vb.pp(names.norm2))?,
            feed_forward: if gated { FeedForward::Gated { up, down } } else { FeedForward::Plain { up, down, activation } },
            heads,
        })
    }

    /// `(batch, tokens, dim) → (batch, tokens, dim)`.
    ///
    /// # Errors
    /// Candle's.
    pub fn forward(&self, x: &Tensor, mask: &Mask) -> Result<Tensor> {
        // (batch, tokens, 3 · dim)
        let qkv = self.qkv.forward(&self.norm1.forward(x)?)?;
        let x = self.out.forward_onto(&attend(&qkv, self.heads, mask)?, x)?;
        let inner = self.norm2.forward(&x)?;
        match &self.feed_forward {
            FeedForward::Plain { up, down, activation } => down.forward_onto(&up.forward_activated(&inner, *activation)?, &x),
            FeedForward::Gated { up, down } => {
                let halves = up.forward(&inner)?.chunk(2, candle_core::D::Minus1)?;
                down.forward_onto(&(halves[0].contiguous()?.silu()? * &halves[1])?, &x)
            }
        }
    }
}

/// Cuts images into patches and projects each to a token: a convolution whose stride is its kernel, as one matrix product.
#[derive(Debug, Clone)]
pub struct PatchEmbedding {
    /// From `channels · patch · patch` numbers.
    product: Projection,
    patch_px: usize,
}

impl PatchEmbedding {
    /// Reads `weight (dim, channels, patch, patch)` and, if `with_bias`, `bias (dim)` below `vb`.
    ///
    /// # Errors
    /// Candle's, naming the tensor that is missing or has another shape.
    pub fn load(channels: usize, dim: usize, patch_px: usize, with_bias: bool, vb: &VarBuilder) -> Result<Self> {
        let weight = vb.get((dim, channels, patch_px, patch_px), "weight")?;
        let weight = weight.reshape((dim, channels * patch_px * patch_px))?;
        let bias = if with_bias { vb.get(dim, "bias")? } else { Tensor::zeros(dim, weight.dtype(), weight.device())? };
        Ok(Self { product: Projection::new(&weight, &bias)?, patch_px })
    }

    /// `(batch, channels, height, width) → (batch, rows · columns, dim)`; pixels beyond the last whole patch are left out.
    ///
    /// # Errors
    /// Candle's.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = pixels.dims4()?;
        let patch = self.patch_px;
        let (rows, columns) = (height / patch, width / patch);
        let patches = pixels
            .narrow(2, 0, rows * patch)?
            .narrow(3, 0, columns * patch)?
            .contiguous()?
            .reshape(vec![batch, channels, rows, patch, columns * patch])?
            // (batch, rows, channels, patch, columns · patch)
            .permute(vec![0, 2, 1, 3, 4])?
            .contiguous()?
            .reshape(vec![batch * rows, channels * patch, columns, patch])?
            // (batch · rows, columns, channels · patch, patch)
            .permute((0, 2, 1, 3))?
            .contiguous()?
            .reshape((batch * rows * columns, channels * patch * patch))?;
        self.product.forward(&patches)?.reshape((batch, rows * columns, ()))
    }
}

/// Scales every row to length 1: `(batch, dim) → (batch, dim)`.
///
/// # Errors
/// Candle's.
pub fn unit_length(x: &Tensor) -> Result<Tensor> {
    let length = x.sqr()?.sum_keepdim(candle_core::D::Minus1)?.sqrt()?;
    // A row of zeros stays one instead of becoming not-a-number.
    x.broadcast_div(&length.maximum(f64::from(f32::MIN_POSITIVE))?)
}

/// Puts `(1, 1, dim)` before the tokens of each image: `(batch, tokens, dim) → (batch, 1 + tokens, dim)`.
pub(crate) fn with_first_token(token: &Tensor, tokens: &Tensor) -> Result<Tensor> {
    let (batch, _, dim) = tokens.dims3()?;
    Tensor::cat(&[&token.expand((batch, 1, dim))?.contiguous()?, tokens], 1)
}

/// The positions' embeddings for a grid of `(rows, columns)` patches from those of the square grid that the network was trained on:
/// bicubic with `a = -0.75`, corners not aligned, as PyTorch's `interpolate` does.
///
/// `(side · side, dim) → (rows · columns, dim)`.
///
/// # Errors
/// Candle's, when the given ones are no square.
///
/// # Source
/// `interpolate_pos_encoding` of CLIP, SigLIP and DINOv2 in Hugging Face's transformers.
pub fn resized_positions(positions: &Tensor, rows: usize, columns: usize) -> Result<Tensor> {
    let (count, dim) = positions.dims2()?;
    let side = count.isqrt();
    if side * side != count {
        candle_core::bail!("{count} positions are no square grid");
    }
    if (rows, columns) == (side, side) {
        return Ok(positions.clone());
    }
    let (device, dtype) = (positions.device(), positions.dtype());
    let down = cubic_matrix(side, rows, device)?;
    let across = cubic_matrix(side, columns, device)?;
    // (side, side · dim) → (rows, side, dim) → (side, rows · dim) → (columns, rows, dim) → (rows, columns, dim)
    let grid = positions.to_dtype(DType::F32)?.reshape((side, side * dim))?;
    let grid = down.matmul(&grid)?.reshape((rows, side, dim))?.transpose(0, 1)?.contiguous()?;
    let grid = across.matmul(&grid.reshape((side, rows * dim))?)?.reshape((columns, rows, dim))?;
    grid.transpose(0, 1)?.contiguous()?.reshape((rows * columns, dim))?.to_dtype(dtype)
}

/// `(to, from)`: how much each of `from` numbers counts in each of `to`.
fn cubic_matrix(from: usize, to: usize, device: &Device) -> Result<Tensor> {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let mut matrix = vec![0f32; to * from];
    for target in 0..to {
        let position = (target as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let first = position.floor();
        let fraction = position - first;
        for (offset, weight) in
            [(-1.0, far(fraction + 1.0)), (0.0, near(fraction)), (1.0, near(1.0 - fraction)), (2.0, far(2.0 - fraction))]
        {
            let source = (first + offset).clamp(0.0, (from - 1) as f64) as usize;
            matrix[target * from + source] += weight as f32;
        }
    }
    Tensor::from_vec(matrix, (to, from), device)
}

/// The row of each sequence that stands at its position: `(batch, tokens, dim)`, positions `[batch]` → `(batch, dim)`.
pub(crate) fn rows_at(x: &Tensor, positions: &[usize]) -> Result<Tensor> {
    let rows = positions.iter().enumerate().map(|(item, &position)| x.i((item, position))).collect::<Result<Vec<_>>>()?;
    Tensor::stack(&rows, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_the_convolution_they_stand_for() {
        let device = Device::Cpu;
        let pixels = Tensor::arange(0f32, (2 * 3 * 9 * 12) as f32, &device).unwrap().reshape((2, 3, 9, 12)).unwrap();
        let pixels = (pixels * 0.01).unwrap().sin().unwrap();
        let kernel = Tensor::arange(0f32, (5 * 3 * 4 * 4) as f32, &device).unwrap().reshape((5, 3, 4, 4)).unwrap();
        let kernel = (kernel * 0.37).unwrap().cos().unwrap();
        let vb = VarBuilder::from_tensors([("weight".to_owned(), kernel.clone())].into(), DType::F32, &device);
        let ours = PatchEmbedding::load(3, 5, 4, false, &vb).unwrap().forward(&pixels).unwrap();
        // (batch, dim, rows, columns) → (batch, rows · columns, dim)
        let convolved = pixels.narrow(2, 0, 8).unwrap().contiguous().unwrap().conv2d(&kernel, 0, 4, 1, 1).unwrap();
        let convolved = convolved.flatten_from(2).unwrap().transpose(1, 2).unwrap();
        let worst = (ours - convolved).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        assert!(worst < 1e-5, "{worst}");
    }

    #[test]
    fn resized_positions_are_pytorchs_bicubic() {
        let device = Device::Cpu;
        // One in the middle of the grid: what comes out is the filter itself. At twice the size it stands at quarters, where PyTorch's shares are
        // these, each exact in binary.
        let mut impulse = vec![0f32; 64];
        impulse[4 * 8 + 4] = 1.0;
        let impulse = Tensor::from_vec(impulse, (64, 1), &device).unwrap();
        let same = resized_positions(&impulse, 8, 8).unwrap();
        assert_eq!(same.to_vec2::<f32>().unwrap(), impulse.to_vec2::<f32>().unwrap());
        let wide = resized_positions(&impulse, 8, 16).unwrap().reshape((8, 16)).unwrap().to_vec2::<f32>().unwrap();
        let shares = [-0.035_156_25, -0.105_468_75, 0.261_718_75, 0.878_906_25, 0.878_906_25, 0.261_718_75, -0.105_468_75, -0.035_156_25];
        assert_eq!(wide[4][5..13], shares);
        assert!(wide[4][..5].iter().chain(&wide[4][13..]).chain(&wide[3]).all(|&share| share == 0.0));
        let tall = resized_positions(&impulse, 16, 8).unwrap().reshape((16, 8)).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(tall.iter().map(|row| row[4]).collect::<Vec<_>>()[5..13], shares);
        assert!(resized_positions(&Tensor::zeros((7, 2), DType::F32, &device).unwrap(), 2, 2).is_err());
    }

    #[test]
    fn unit_length_of_nothing_is_nothing() {
        let rows = Tensor::new(&[[3f32, 4.0], [0.0, 0.0]], &Device::Cpu).unwrap();
        assert_eq!(unit_length(&rows).unwrap().to_vec2::<f32>().unwrap(), [[0.6, 0.8], [0.0, 0.0]]);
    }
}
