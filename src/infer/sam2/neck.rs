//! The feature pyramid on Hiera: every stage brought to one width, the coarsest added to the next finer one. Apart, because it
//! knows maps and not blocks.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::{
    super::sam::layers::{Activation, Conv},
    HieraConfig,
};

/// The level that takes up the one above it; finer ones stand for themselves.
const TOP_DOWN_INTO: usize = 2;

/// The pyramid with its weights.
pub struct FeaturePyramid {
    /// From the finest level to the coarsest.
    lateral: Vec<Conv>,
}

impl FeaturePyramid {
    /// Reads the tensors below `neck`: convolutions, numbered from the coarsest level.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &HieraConfig, out_dim: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let levels = config.blocks.len();
        let lateral = (0..levels)
            .map(|level| Conv::load(config.dim_of(level), out_dim, 1, 1, 0, &vb.pp("convs").pp(levels - 1 - level).pp("conv")))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { lateral })
    }

    /// Maps of the stages, finest first, `(batch, height, width, channels)` → all but the coarsest, `(batch, height, width, out_dim)`.
    ///
    /// # Errors
    /// Another number of maps or channels, or no memory.
    pub fn forward(&self, stages: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut levels = Vec::with_capacity(stages.len());
        for (level, (stage, conv)) in stages.iter().zip(&self.lateral).enumerate() {
            let above = match (level, stages.get(level + 1), self.lateral.get(level + 1)) {
                (TOP_DOWN_INTO, Some(stage), Some(conv)) => Some(doubled(&conv.forward(stage, Activation::None)?)?),
                (_, Some(_), Some(_)) => None,
                _ => break,
            };
            levels.push(conv.forward_then(stage, Activation::None, above.as_ref())?);
        }
        Ok(levels)
    }
}

/// Every pixel twice in both directions: `(batch, height, width, channels) → (batch, 2 · height, 2 · width, channels)`.
fn doubled(x: &Tensor) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    x.reshape(vec![batch, height, 1, width, 1, channels])?.broadcast_as(vec![batch, height, 2, width, 2, channels])?.reshape((
        batch,
        2 * height,
        2 * width,
        channels,
    ))
}
