//! A transposed convolution that doubles a map. Imports `infer::error`.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use rayon::prelude::*;

use super::{
    Activation,
    buffer::Buffer,
    conv::{Conv, ConvShape},
    map::{Backend, Map, Own, Store, own, stock},
};
use crate::infer::Result;

/// A transposed convolution of 2 × 2 with stride 2: every pixel becomes four.
#[derive(Debug, Clone)]
pub struct Doubling {
    outputs: usize,
    /// To the four pixels' channels one after another, or (inputs, outputs, 2, 2) for Candle.
    conv: std::result::Result<Conv, (Tensor, Tensor)>,
}

impl Doubling {
    /// Reads `weight` (inputs, outputs, 2, 2) and `bias` (outputs).
    ///
    /// # Errors
    /// `Candle` when a tensor is missing or has another shape.
    pub fn load(vb: &VarBuilder, inputs: usize, outputs: usize, backend: Backend) -> Result<Self> {
        let weight = vb.get((inputs, outputs, 2, 2), "weight")?;
        let bias = vb.get(outputs, "bias")?;
        if backend == Backend::Stock {
            return Ok(Self { outputs, conv: Err((weight, bias.reshape((1, outputs, 1, 1))?)) });
        }
        // (inputs, outputs, 2, 2) → (2, 2, outputs, inputs) → (4 * outputs, inputs, 1, 1)
        let weight = weight.permute((2, 3, 1, 0))?.contiguous()?.reshape((4 * outputs, inputs, 1, 1))?;
        let bias = Tensor::cat(&[&bias, &bias, &bias, &bias], 0)?;
        let conv = Conv::new(&weight, &bias, ConvShape::same(inputs, 4 * outputs, 1, 1), Activation::None, backend)?;
        Ok(Self { outputs, conv: Ok(conv) })
    }

    /// `(batch, inputs, height, width)` → `(batch, outputs, 2 * height, 2 * width)`.
    ///
    /// # Errors
    /// As `Conv::forward`.
    pub fn forward(&self, x: &Map) -> Result<Map> {
        let conv = match &self.conv {
            Ok(conv) => conv,
            Err((weight, bias)) => {
                let x = stock(x)?.conv_transpose2d(weight, 0, 0, 2, 1)?;
                return Ok(Map(Store::Stock(x.broadcast_add(bias)?)));
            }
        };
        let quads = conv.forward(&[x], None)?;
        let quads = own(&quads)?;
        let (outputs, width) = (self.outputs, quads.width);
        let mut buffer = Buffer::take(quads.pixels() * 4 * outputs);
        let from = quads.rows();
        buffer.floats_mut().par_chunks_mut(2 * width * outputs).enumerate().for_each(|(line, out)| {
            for (x, out) in out.chunks_exact_mut(2 * outputs).enumerate() {
                // The quad's upper two pixels on even lines, its lower two on odd ones.
                out.copy_from_slice(&from.get(line / 2 * width + x)[line % 2 * 2 * outputs..][..2 * outputs]);
            }
        });
        Ok(Map(Store::Own(Own::whole(buffer, quads.batch, 2 * quads.height, 2 * width, outputs))))
    }
}
