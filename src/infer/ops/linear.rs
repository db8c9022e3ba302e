//! A linear layer with its activation in one pass: packed weights on the CPU, Candle's product elsewhere. Imports `infer::error`.

use candle_core::{D, DType, Tensor};
use candle_nn::VarBuilder;

use super::{
    Activation,
    gemm::{self, Panels, Rows, Segments},
    host,
    map::Backend,
};
use crate::infer::{InferError, Result};

/// `activation(x Wᵀ + b)`.
#[derive(Debug, Clone)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    activation: Activation,
    weights: Weights,
}

#[derive(Debug, Clone)]
enum Weights {
    Own(Panels),
    Stock(candle_nn::Linear),
}

impl Linear {
    /// From a weight (outputs, inputs) and perhaps a bias (outputs).
    ///
    /// # Errors
    /// `BadInput` when the bias has another length, `Candle` when the weight has another rank.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>, activation: Activation, backend: Backend) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        if bias.is_some_and(|bias| bias.dims() != [outputs]) {
            return Err(InferError::BadInput(format!("a bias of another length to {outputs} outputs")));
        }
        if backend == Backend::Stock {
            let linear = candle_nn::Linear::new(weight.clone(), bias.cloned());
            return Ok(Self { inputs, outputs, activation, weights: Weights::Stock(linear) });
        }
        let values = weight.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        let bias = bias.map(|bias| bias.to_dtype(DType::F32)?.to_vec1::<f32>()).transpose()?;
        let panels = Panels::pack(outputs, inputs, bias.as_deref(), |output, input| values[output * inputs + input]);
        Ok(Self { inputs, outputs, activation, weights: Weights::Own(panels) })
    }

    /// Reads `weight` and, if `biased`, `bias`; for our own operations when the builder's device is the CPU.
    ///
    /// # Errors
    /// `Candle` when a tensor is missing or has another shape.
    pub fn load(vb: &VarBuilder, inputs: usize, outputs: usize, biased: bool, activation: Activation) -> Result<Self> {
        let weight = vb.get((outputs, inputs), "weight")?;
        let bias = if biased { Some(vb.get(outputs, "bias")?) } else { None };
        Self::new(&weight, bias.as_ref(), activation, Backend::of(vb.device(), vb.dtype()))
    }

    /// `(…, inputs)` → `(…, outputs)`.
    ///
    /// # Errors
    /// `BadInput` when the last axis has another length.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_then(x, self.activation, None)
    }

    /// With another activation than its own: `activation(x Wᵀ + b + residual)`; `residual` has as many values as the result.
    ///
    /// # Errors
    /// `BadInput` when the last axis has another length, or `residual` another number of values.
    pub fn forward_then(&self, x: &Tensor, activation: Activation, residual: Option<&Tensor>) -> Result<Tensor> {
        let inputs = x.dim(D::Minus1)?;
        if inputs != self.inputs {
            return Err(InferError::BadInput(format!("expected {} values in the last axis, got {inputs}", self.inputs)));
        }
        let mut shape = x.dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = self.outputs;
        }
        let panels = match &self.weights {
            Weights::Stock(linear) => {
                // One product of two matrices: Candle would copy the weight for each of the other axes.
                let rows = x.elem_count() / inputs.max(1);
                let sums = candle_nn::Module::forward(linear, &x.contiguous()?.reshape((rows, inputs))?)?.reshape(shape)?;
                let sums = match residual {
                    Some(residual) => (residual.reshape(sums.shape())? + sums)?,
                    None => sums,
                };
                return activation.apply(&sums);
            }
            Weights::Own(panels) => panels,
        };
        let mut out = vec![0.0f32; x.elem_count() / inputs.max(1) * self.outputs];
        host::with_values(x, |data| {
            let source = Lines { rows: Rows { data, first: 0, pitch: inputs, width: inputs }, lengths: [inputs] };
            host::with_residual(residual, self.outputs, out.len(), |residual| {
                gemm::multiply(panels, &source, activation, residual, &mut out);
                Ok(())
            })
        })??;
        host::tensor(out, &shape)
    }
}

struct Lines<'a> {
    rows: Rows<'a>,
    lengths: [usize; 1],
}

impl<'a> Segments<'a> for Lines<'a> {
    fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    fn push(&self, first: usize, count: usize, table: &mut Vec<&'a [f32]>) {
        table.extend((first..first + count).map(|row| self.rows.get(row)));
    }
}
