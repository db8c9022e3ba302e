//! Activations, over a whole tensor: vectors and threads on the CPU, Candle's own elsewhere. Imports `infer::error`.

use candle_core::{DType, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{gemm::activate, host, simd};
use crate::infer::Result;

/// What follows a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `x σ(x)`.
    Silu,
    /// `x Φ(x)`, exact: LAION's CLIP, DINOv2, SAM.
    Gelu,
    /// `x σ(1.702 x)`, as OpenAI's CLIP has it.
    QuickGelu,
    /// `x Φ(x)` by the hyperbolic tangent, as SigLIP has it.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// The activation that a Hugging Face `config.json` calls `hidden_act`, or none if it is not one of ours.
    pub fn from_hidden_act(name: &str) -> Option<Self> {
        match name {
            "quick_gelu" => Some(Self::QuickGelu),
            "gelu" => Some(Self::Gelu),
            "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" => Some(Self::GeluTanh),
            _ => None,
        }
    }

    /// The same shape, each value through the activation.
    ///
    /// # Errors
    /// `Candle` when memory fails.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        if self == Self::None || !host::is_ours(x) {
            return self.apply_stock(x);
        }
        let mut values = host::values(x)?;
        values.par_chunks_mut(4096).for_each(|values| simd::run(Each { activation: self, values }));
        host::tensor(values, x.dims())
    }

    /// By Candle's operations.
    pub(super) fn apply_stock(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::None => x.clone(),
            Self::Silu => x.silu()?,
            Self::Gelu if x.dtype() == DType::BF16 => x.to_dtype(DType::F32)?.gelu_erf()?.to_dtype(DType::BF16)?,
            Self::Gelu => x.gelu_erf()?,
            Self::GeluTanh => x.gelu()?,
            Self::QuickGelu => (x * candle_nn::ops::sigmoid(&(x * 1.702)?)?)?,
            Self::Relu => x.relu()?,
        })
    }
}

struct Each<'a> {
    activation: Activation,
    values: &'a mut [f32],
}

impl WithSimd for Each<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let (vectors, rest) = S::as_mut_simd_f32s(self.values);
        for vector in vectors {
            *vector = activate(s, self.activation, *vector);
        }
        if !rest.is_empty() {
            let vector = activate(s, self.activation, s.partial_load_f32s(rest));
            s.partial_store_f32s(rest, vector);
        }
    }
}
