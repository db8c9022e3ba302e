//! Convolutions with their batch norm, activation and residual in one pass. On the CPU by our own product over channels-last maps
//! (`gemm`), elsewhere by Candle. Apart, because every network with a convolution shares it. Imports `infer::error`.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use rayon::prelude::*;

use super::{
    Activation,
    buffer::Buffer,
    depthwise::DepthwiseLine,
    gemm::{self, Panels, Residual},
    host,
    map::{Backend, Map, Own, Store, View, own, stock},
    simd,
    taps::{Edges, Pointwise, Taps},
};
use crate::infer::{InferError, Result};

/// The shape of a convolution: square kernel, the same stride and zero padding in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Side of the kernel in px.
    pub kernel: usize,
    /// Step in px.
    pub stride: usize,
    /// Zeros around the map in px.
    pub padding: usize,
    /// 1, or as many as channels in and out (depthwise).
    pub groups: usize,
}

impl ConvShape {
    /// A dense convolution with padding `kernel / 2`, so that stride 1 keeps the size.
    pub fn same(inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Self {
        Self { inputs, outputs, kernel, stride, padding: kernel / 2, groups: 1 }
    }

    /// A depthwise convolution with padding `kernel / 2`.
    pub fn depthwise(channels: usize, kernel: usize, stride: usize) -> Self {
        Self { inputs: channels, outputs: channels, kernel, stride, padding: kernel / 2, groups: channels }
    }

    fn out_px(&self, px: usize) -> usize {
        (px + 2 * self.padding).saturating_sub(self.kernel) / self.stride + 1
    }
}

/// A convolution, ready to run.
#[derive(Debug, Clone)]
pub struct Conv {
    shape: ConvShape,
    activation: Activation,
    weights: Weights,
}

#[derive(Debug, Clone)]
enum Weights {
    /// Inner order: row of the kernel, column, channel in.
    Dense(Panels),
    /// (taps, channels) and the bias.
    Depthwise { taps: Vec<f32>, bias: Vec<f32> },
    /// (outputs, inputs / groups, kernel, kernel) and (1, outputs, 1, 1).
    Stock { weight: Tensor, bias: Tensor },
}

impl Conv {
    /// From a weight (outputs, inputs / groups, kernel, kernel) and a bias (outputs).
    ///
    /// # Errors
    /// `BadInput` for groups other than 1 and depthwise on our own backend, `Candle` for other shapes.
    pub fn new(weight: &Tensor, bias: &Tensor, shape: ConvShape, activation: Activation, backend: Backend) -> Result<Self> {
        let ConvShape { inputs, outputs, kernel, groups, .. } = shape;
        if backend == Backend::Stock {
            let weights = Weights::Stock { weight: weight.clone(), bias: bias.reshape((1, outputs, 1, 1))? };
            return Ok(Self { shape, activation, weights });
        }
        let expected = (outputs, inputs / groups, kernel, kernel);
        if weight.dims4()? != expected || bias.dims1()? != outputs {
            let (weight, bias) = (weight.dims(), bias.dims());
            return Err(InferError::BadInput(format!("expected a kernel {expected:?}, got {weight:?} with a bias {bias:?}")));
        }
        let values = weight.flatten_all()?.to_dtype(candle_core::DType::F32)?.to_vec1::<f32>()?;
        let bias = bias.to_dtype(candle_core::DType::F32)?.to_vec1::<f32>()?;
        let taps = kernel * kernel;
        let weights = if groups == 1 {
            // (outputs, inputs, taps) → inner index tap * inputs + input
            let at = |output, inner: usize| values[(output * inputs + inner % inputs) * taps + inner / inputs];
            Weights::Dense(Panels::pack(outputs, inputs * taps, Some(&bias), at))
        } else if groups == inputs && inputs == outputs {
            let taps = (0..taps * outputs).map(|i| values[i % outputs * taps + i / outputs]).collect();
            Weights::Depthwise { taps, bias }
        } else {
            return Err(InferError::BadInput(format!("{groups} groups of {inputs} channels; only 1 and depthwise are supported")));
        };
        Ok(Self { shape, activation, weights })
    }

    /// Reads `conv.weight` and either `bn.*` (fused into the weight here) or `conv.bias`.
    ///
    /// `epsilon` is the batch norm's. With batch norm y = (x - mean) / √(variance + ε) · γ + β, so the weight of an output is scaled by
    /// γ / √(variance + ε) and the rest is a bias.
    ///
    /// # Errors
    /// `Candle` when a tensor is missing or has another shape; the message has its name.
    pub fn load_normed(vb: &VarBuilder, shape: ConvShape, activation: Activation, epsilon: f64, backend: Backend) -> Result<Self> {
        let ConvShape { inputs, outputs, kernel, groups, .. } = shape;
        let weight = vb.get((outputs, inputs / groups, kernel, kernel), "conv.weight")?;
        if !vb.contains_tensor("bn.weight") {
            let bias = vb.get(outputs, "conv.bias")?;
            return Self::new(&weight, &bias, shape, activation, backend);
        }
        let norm = vb.pp("bn");
        let (scale, shift) = (norm.get(outputs, "weight")?, norm.get(outputs, "bias")?);
        let (mean, variance) = (norm.get(outputs, "running_mean")?, norm.get(outputs, "running_var")?);
        let wide = candle_core::DType::F64;
        let (scale, shift, mean) = (scale.to_dtype(wide)?, shift.to_dtype(wide)?, mean.to_dtype(wide)?);
        let factor = (scale / (variance.to_dtype(wide)? + epsilon)?.sqrt()?)?;
        let bias = (shift - (mean * &factor)?)?;
        let fused = weight.to_dtype(wide)?.broadcast_mul(&factor.reshape((outputs, 1, 1, 1))?)?;
        let (fused, bias) = (fused.to_dtype(weight.dtype())?, bias.to_dtype(weight.dtype())?);
        Self::new(&fused, &bias, shape, activation, backend)
    }

    /// Reads `weight` and `bias`.
    ///
    /// # Errors
    /// As `load_normed`.
    pub fn load_plain(vb: &VarBuilder, shape: ConvShape, activation: Activation, backend: Backend) -> Result<Self> {
        let ConvShape { inputs, outputs, kernel, groups, .. } = shape;
        let weight = vb.get((outputs, inputs / groups, kernel, kernel), "weight")?;
        Self::new(&weight, &vb.get(outputs, "bias")?, shape, activation, backend)
    }

    /// Runs over the inputs' channels one after another, as if concatenated; then `residual` is added, after the activation.
    ///
    /// `(batch, inputs, height, width)` in all → `(batch, outputs, out height, out width)`.
    ///
    /// # Errors
    /// `BadInput` when the inputs have other channels than the weights, or differ in size or backend.
    pub fn forward(&self, inputs: &[&Map], residual: Option<&Map>) -> Result<Map> {
        self.forward_with(inputs, residual.map(|residual| (residual, false)))
    }

    /// As [`Self::forward`], with `residual` added before the activation.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_onto(&self, inputs: &[&Map], residual: &Map) -> Result<Map> {
        self.forward_with(inputs, Some((residual, true)))
    }

    /// With a residual, and whether it goes through the activation.
    fn forward_with(&self, inputs: &[&Map], residual: Option<(&Map, bool)>) -> Result<Map> {
        if let Weights::Stock { weight, bias } = &self.weights {
            return self.forward_stock(inputs, residual, weight, bias);
        }
        let maps = inputs.iter().map(|map| Ok(own(map)?.view())).collect::<Result<Vec<_>>>()?;
        let (batch, height, width) = self.out_size(&maps)?;
        let residual = residual.map(|(map, is_activated)| Ok::<_, InferError>((own(map)?, is_activated))).transpose()?;
        if let Some((map, _)) = residual
            && (map.batch, map.channels, map.height, map.width) != (batch, self.shape.outputs, height, width)
        {
            let shape = (map.batch, map.channels, map.height, map.width);
            return Err(InferError::BadInput(format!("a residual {shape:?} to a map of {} channels", self.shape.outputs)));
        }
        let mut buffer = Buffer::take(batch * height * width * self.shape.outputs);
        let residual = residual.map(|(map, is_activated)| Residual { rows: map.rows(), is_activated });
        self.run(&maps, self.activation, residual, buffer.floats_mut())?;
        Ok(Map(Store::Own(Own::whole(buffer, batch, height, width, self.shape.outputs))))
    }

    /// Runs over a tensor with channels last, with another activation than its own; `residual` is added before it.
    ///
    /// `(batch, height, width, inputs)` → `(batch, out height, out width, outputs)`; `residual` has as many values as the result.
    ///
    /// # Errors
    /// `BadInput` when the input has other channels than the weights, or `residual` another number of values.
    pub fn forward_last(&self, x: &Tensor, activation: Activation, residual: Option<&Tensor>) -> Result<Tensor> {
        let (batch, height, width, channels) = x.dims4()?;
        if let Weights::Stock { weight, bias } = &self.weights {
            // (batch, height, width, inputs) → (batch, inputs, height, width), and back
            let sums = self.sums_stock(&x.permute((0, 3, 1, 2))?.contiguous()?, weight, bias)?.permute((0, 2, 3, 1))?.contiguous()?;
            let sums = match residual {
                Some(residual) => (residual.reshape(sums.shape())? + sums)?,
                None => sums,
            };
            return activation.apply_stock(&sums);
        }
        let mut shape = [0; 4];
        let out = host::with_values(x, |data| {
            let view = View { data, batch, height, width, channels, first: 0, pitch: channels };
            let (batch, height, width) = self.out_size(&[view])?;
            shape = [batch, height, width, self.shape.outputs];
            let mut out = vec![0.0f32; shape.iter().product()];
            host::with_residual(residual, self.shape.outputs, out.len(), |residual| self.run(&[view], activation, residual, &mut out))?;
            Ok::<_, InferError>(out)
        })??;
        host::tensor(out, &shape)
    }

    /// (batch, height, width) of what comes of these.
    fn out_size(&self, maps: &[View<'_>]) -> Result<(usize, usize, usize)> {
        let Some(&first) = maps.first() else {
            return Err(InferError::BadInput("a convolution of nothing".into()));
        };
        let channels: usize = maps.iter().map(|map| map.channels).sum();
        let same = |map: &View<'_>| (map.batch, map.height, map.width) == (first.batch, first.height, first.width);
        if channels != self.shape.inputs || !maps.iter().all(same) {
            let shapes: Vec<_> = maps.iter().map(|map| (map.batch, map.channels, map.height, map.width)).collect();
            return Err(InferError::BadInput(format!("expected {} channels of one size, got {shapes:?}", self.shape.inputs)));
        }
        Ok((first.batch, self.shape.out_px(first.height), self.shape.out_px(first.width)))
    }

    /// Fills `out` by our own operations.
    fn run(&self, maps: &[View<'_>], activation: Activation, residual: Option<Residual<'_>>, out: &mut [f32]) -> Result<()> {
        let shape = self.shape;
        match (&self.weights, maps) {
            (Weights::Dense(panels), _) if (shape.kernel, shape.stride, shape.padding) == (1, 1, 0) => {
                let lengths = maps.iter().map(|map| map.channels).collect();
                let source = Pointwise { rows: maps.iter().map(View::rows).collect(), lengths };
                gemm::multiply(panels, &source, activation, residual, out);
            }
            (Weights::Dense(panels), &[map]) => {
                let size = (shape.out_px(map.height), shape.out_px(map.width));
                let zeros = vec![0.0; shape.kernel * map.channels];
                let joined = map.pitch == map.channels && map.width >= shape.kernel;
                let edges = if joined { Edges::of(map, &shape) } else { Edges::default() };
                let source = Taps::new(map, &shape, size, &zeros, joined.then_some(&edges));
                gemm::multiply(panels, &source, activation, residual, out);
            }
            (Weights::Depthwise { taps, bias }, &[map]) => {
                let (height, width) = (shape.out_px(map.height), shape.out_px(map.width));
                out.par_chunks_mut(width * shape.outputs).enumerate().for_each(|(line, out)| {
                    let (image, y) = (line / height, line % height);
                    let residual = residual.map(|residual| (residual, line * width));
                    simd::run(DepthwiseLine { shape, activation, map, taps, bias, residual, image, y, out });
                });
            }
            (Weights::Dense(_) | Weights::Depthwise { .. }, _) => {
                return Err(InferError::BadInput("a convolution with a kernel takes one input".into()));
            }
            (Weights::Stock { .. }, _) => return Err(InferError::BadInput("weights of candle's given to our own operation".into())),
        }
        Ok(())
    }

    fn forward_stock(&self, inputs: &[&Map], residual: Option<(&Map, bool)>, weight: &Tensor, bias: &Tensor) -> Result<Map> {
        let inputs = inputs.iter().map(|map| stock(map)).collect::<Result<Vec<_>>>()?;
        let x = if let [x] = inputs[..] { x.clone() } else { Tensor::cat(&inputs, 1)? };
        let sums = self.sums_stock(&x, weight, bias)?;
        Ok(Map(Store::Stock(match residual {
            None => self.activation.apply_stock(&sums)?,
            Some((residual, true)) => self.activation.apply_stock(&(sums + stock(residual)?)?)?,
            Some((residual, false)) => (self.activation.apply_stock(&sums)? + stock(residual)?)?,
        })))
    }

    /// (batch, inputs, height, width) → (batch, outputs, out height, out width), before the activation.
    fn sums_stock(&self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let ConvShape { kernel, stride, padding, groups, .. } = self.shape;
        let x = if groups > 1 {
            // Candle runs one convolution per group; shifted multiply-adds are kernel² operations for all of them.
            shifted(x, weight, &self.shape)?
        } else {
            debug_assert_eq!(weight.dims4()?.2, kernel);
            x.contiguous()?.conv2d(weight, padding, stride, 1, 1)?
        };
        Ok(x.broadcast_add(bias)?)
    }
}

/// A depthwise convolution as kernel² multiply-adds of shifted maps.
fn shifted(x: &Tensor, weight: &Tensor, shape: &ConvShape) -> Result<Tensor> {
    let ConvShape { kernel, stride, padding, outputs, .. } = *shape;
    let (_, _, height, width) = x.dims4()?;
    let (out_height, out_width) = (shape.out_px(height), shape.out_px(width));
    // Beyond the last tap, room for the reshape that takes every stride-th pixel.
    let x = x.pad_with_zeros(2, padding, padding + stride)?.pad_with_zeros(3, padding, padding + stride)?;
    let mut sum: Option<Tensor> = None;
    for tap in 0..kernel * kernel {
        let mut part = x.clone();
        for (axis, first, out) in [(2, tap / kernel, out_height), (3, tap % kernel, out_width)] {
            part = part.narrow(axis, first, out * stride)?;
            if stride > 1 {
                // (…, out * stride, …) → (…, out, stride, …), of which the first
                let mut dims = part.dims().to_vec();
                dims[axis] = out;
                dims.insert(axis + 1, stride);
                part = part.contiguous()?.reshape(dims)?.narrow(axis + 1, 0, 1)?.squeeze(axis + 1)?;
            }
        }
        let factor = weight.flatten_from(2)?.narrow(2, tap, 1)?.reshape((1, outputs, 1, 1))?;
        let part = part.broadcast_mul(&factor)?;
        sum = Some(match sum {
            Some(sum) => (sum + part)?,
            None => part,
        });
    }
    sum.ok_or_else(|| InferError::BadInput("a convolution with an empty kernel".into()))
}
