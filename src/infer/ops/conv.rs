//! Convolutions with their batch norm, activation and residual in one pass. On the CPU by our own product over channels-last maps
//! (`gemm`), elsewhere by Candle. Apart, because every network with a convolution shares it. Imports `infer::error`.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{
    Activation,
    buffer::Buffer,
    gemm::{self, Panels, Rows, Segments, activate},
    map::{Backend, Map, Own, Store},
    simd,
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
        if let Weights::Stock { weight, bias } = &self.weights {
            return self.forward_stock(inputs, residual, weight, bias);
        }
        let maps = inputs.iter().map(|map| own(map)).collect::<Result<Vec<_>>>()?;
        let Some(&first) = maps.first() else {
            return Err(InferError::BadInput("a convolution of nothing".into()));
        };
        let channels: usize = maps.iter().map(|map| map.channels).sum();
        let same = |map: &&Own| (map.batch, map.height, map.width) == (first.batch, first.height, first.width);
        if channels != self.shape.inputs || !maps.iter().all(same) {
            let shapes: Vec<_> = maps.iter().map(|map| (map.batch, map.channels, map.height, map.width)).collect();
            return Err(InferError::BadInput(format!("expected {} channels of one size, got {shapes:?}", self.shape.inputs)));
        }
        let (height, width) = (self.shape.out_px(first.height), self.shape.out_px(first.width));
        let residual = residual.map(own).transpose()?;
        if let Some(map) = residual
            && (map.batch, map.channels, map.height, map.width) != (first.batch, self.shape.outputs, height, width)
        {
            let shape = (map.batch, map.channels, map.height, map.width);
            return Err(InferError::BadInput(format!("a residual {shape:?} to a map of {} channels", self.shape.outputs)));
        }
        let residual = residual.map(Own::rows);
        let mut buffer = Buffer::take(first.batch * height * width * self.shape.outputs);
        let out = buffer.floats_mut();
        match &self.weights {
            Weights::Dense(panels) => self.dense(panels, &maps, (height, width), residual, out)?,
            Weights::Depthwise { taps, bias } => {
                let [map] = maps[..] else {
                    return Err(InferError::BadInput("a depthwise convolution takes one input".into()));
                };
                self.depthwise(map, taps, bias, residual, (height, width), out);
            }
            Weights::Stock { .. } => {}
        }
        Ok(Map(Store::Own(Own::whole(buffer, first.batch, height, width, self.shape.outputs))))
    }

    fn dense(
        &self,
        panels: &Panels,
        maps: &[&Own],
        (height, width): (usize, usize),
        residual: Option<Rows<'_>>,
        out: &mut [f32],
    ) -> Result<()> {
        if (self.shape.kernel, self.shape.stride, self.shape.padding) == (1, 1, 0) {
            let lengths = maps.iter().map(|map| map.channels).collect();
            let source = Pointwise { rows: maps.iter().map(|map| map.rows()).collect(), lengths };
            gemm::multiply(panels, &source, self.activation, residual, out);
            return Ok(());
        }
        let [map] = maps else {
            return Err(InferError::BadInput("a convolution with a kernel takes one input".into()));
        };
        let zeros = vec![0.0; self.shape.kernel * map.channels];
        let joined = map.pitch == map.channels && map.width >= self.shape.kernel;
        let edges = if joined { Edges::of(map, &self.shape) } else { Edges::default() };
        let source = Taps::new(map, &self.shape, (height, width), &zeros, joined.then_some(&edges));
        gemm::multiply(panels, &source, self.activation, residual, out);
        Ok(())
    }

    fn depthwise(
        &self,
        map: &Own,
        taps: &[f32],
        bias: &[f32],
        residual: Option<Rows<'_>>,
        (height, width): (usize, usize),
        out: &mut [f32],
    ) {
        let outputs = self.shape.outputs;
        out.par_chunks_mut(width * outputs).enumerate().for_each(|(line, out)| {
            let (image, y) = (line / height, line % height);
            let residual = residual.map(|rows| (rows, line * width));
            simd::run(DepthwiseLine { conv: self, map, taps, bias, residual, image, y, out });
        });
    }

    fn forward_stock(&self, inputs: &[&Map], residual: Option<&Map>, weight: &Tensor, bias: &Tensor) -> Result<Map> {
        let inputs = inputs.iter().map(|map| stock(map)).collect::<Result<Vec<_>>>()?;
        let x = if let [x] = inputs[..] { x.clone() } else { Tensor::cat(&inputs, 1)? };
        let ConvShape { kernel, stride, padding, groups, .. } = self.shape;
        let x = if groups > 1 {
            // Candle runs one convolution per group; shifted multiply-adds are kernel² operations for all of them.
            shifted(&x, weight, &self.shape)?
        } else {
            debug_assert_eq!(weight.dims4()?.2, kernel);
            x.contiguous()?.conv2d(weight, padding, stride, 1, 1)?
        };
        let x = self.activation.apply_stock(&x.broadcast_add(bias)?)?;
        let x = match residual {
            Some(residual) => (x + stock(residual)?)?,
            None => x,
        };
        Ok(Map(Store::Stock(x)))
    }
}

fn own(map: &Map) -> Result<&Own> {
    match &map.0 {
        Store::Own(own) => Ok(own),
        Store::Stock(_) => Err(InferError::BadInput("a map of candle's given to our own operation".into())),
    }
}

fn stock(map: &Map) -> Result<&Tensor> {
    match &map.0 {
        Store::Stock(x) => Ok(x),
        Store::Own(_) => Err(InferError::BadInput("a map of our own given to candle's operation".into())),
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

/// The pixels of maps that are concatenated, one segment per map.
struct Pointwise<'a> {
    rows: Vec<Rows<'a>>,
    lengths: Vec<usize>,
}

impl<'a> Segments<'a> for Pointwise<'a> {
    fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    fn push(&self, first: usize, count: usize, table: &mut Vec<&'a [f32]>) {
        for rows in &self.rows {
            table.extend((first..first + count).map(|row| rows.get(row)));
        }
    }
}

/// For each line of a map, what a kernel sees that hangs over its left or right end.
#[derive(Default)]
struct Edges {
    /// (lines, 2, kernel * channels): left, right; only kernels of 3 with padding 1 hang over by one pixel.
    floats: Vec<f32>,
}

impl Edges {
    fn of(map: &Own, shape: &ConvShape) -> Self {
        if (shape.kernel, shape.padding) != (3, 1) {
            return Self::default();
        }
        let channels = map.channels;
        let mut floats = vec![0.0; map.batch * map.height * 6 * channels];
        let data = map.buffer.floats();
        for (line, patch) in floats.chunks_exact_mut(6 * channels).enumerate() {
            let pixels = &data[line * map.width * channels..][..map.width * channels];
            patch[channels..3 * channels].copy_from_slice(&pixels[..2 * channels]);
            patch[3 * channels..5 * channels].copy_from_slice(&pixels[(map.width - 2) * channels..]);
        }
        Self { floats }
    }
}

/// What each tap of a kernel sees. Where the pixels of a kernel's row are neighbours in memory, they are one segment.
struct Taps<'a> {
    map: &'a Own,
    shape: ConvShape,
    out: (usize, usize),
    zeros: &'a [f32],
    edges: Option<&'a Edges>,
    lengths: Vec<usize>,
}

impl<'a> Taps<'a> {
    fn new(map: &'a Own, shape: &ConvShape, out: (usize, usize), zeros: &'a [f32], edges: Option<&'a Edges>) -> Self {
        let edges = edges.filter(|edges| !edges.floats.is_empty() || shape.padding == 0);
        let lengths = match edges {
            Some(_) => vec![shape.kernel * map.channels; shape.kernel],
            None => vec![map.channels; shape.kernel * shape.kernel],
        };
        Self { map, shape: *shape, out, zeros, edges, lengths }
    }
}

impl<'a> Segments<'a> for Taps<'a> {
    fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    fn push(&self, first: usize, count: usize, table: &mut Vec<&'a [f32]>) {
        let (map, kernel, stride, padding) = (self.map, self.shape.kernel, self.shape.stride, self.shape.padding);
        let (height, width) = self.out;
        let data = map.buffer.floats();
        let length = self.lengths[0];
        for segment in 0..self.lengths.len() {
            let (tap_y, tap_x) = if self.edges.is_some() { (segment, 0) } else { (segment / kernel, segment % kernel) };
            let (mut line, mut x) = (first / width, first % width);
            let mut left = count;
            while left > 0 {
                let run = left.min(width - x);
                // In padded coordinates; what is in the map begins at `padding`.
                let in_y = line % height * stride + tap_y;
                if in_y < padding || in_y - padding >= map.height {
                    table.extend(std::iter::repeat_n(&self.zeros[..length], run));
                } else {
                    let in_line = line / height * map.height + in_y - padding;
                    for x in x..x + run {
                        let in_x = x * stride + tap_x;
                        let outside = in_x < padding || in_x - padding >= map.width;
                        table.push(match self.edges {
                            Some(edges) if in_x < padding => &edges.floats[in_line * 2 * length..][..length],
                            Some(edges) if in_x - padding + kernel > map.width => &edges.floats[(in_line * 2 + 1) * length..][..length],
                            None if outside => &self.zeros[..length],
                            _ => &data[(in_line * map.width + in_x - padding) * map.pitch + map.first..][..length],
                        });
                    }
                }
                left -= run;
                x = 0;
                line += 1;
            }
        }
    }
}

/// One line of a depthwise convolution.
struct DepthwiseLine<'a> {
    conv: &'a Conv,
    map: &'a Own,
    taps: &'a [f32],
    bias: &'a [f32],
    residual: Option<(Rows<'a>, usize)>,
    image: usize,
    y: usize,
    out: &'a mut [f32],
}

impl WithSimd for DepthwiseLine<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let ConvShape { kernel, stride, padding, outputs: channels, .. } = self.conv.shape;
        let map = self.map;
        let rows = map.rows();
        for (x, out) in self.out.chunks_exact_mut(channels).enumerate() {
            let mut first = 0;
            while first < channels {
                // Four registers of channels at a time, so that no sum waits for the one before.
                let last = (first + 4 * S::F32_LANES).min(channels);
                let mut sums = [s.splat_f32s(0.0); 4];
                for tap_y in 0..kernel {
                    let in_y = self.y * stride + tap_y;
                    if in_y < padding || in_y - padding >= map.height {
                        continue;
                    }
                    for tap_x in 0..kernel {
                        let in_x = x * stride + tap_x;
                        if in_x < padding || in_x - padding >= map.width {
                            continue;
                        }
                        let pixel = (self.image * map.height + in_y - padding) * map.width + in_x - padding;
                        let values = &rows.get(pixel)[first..last];
                        let taps = &self.taps[(tap_y * kernel + tap_x) * channels..][first..last];
                        let ((values, values_left), (taps, taps_left)) = (S::as_simd_f32s(values), S::as_simd_f32s(taps));
                        for (sum, (&value, &tap)) in sums.iter_mut().zip(values.iter().zip(taps)) {
                            *sum = s.mul_add_e_f32s(value, tap, *sum);
                        }
                        if !taps_left.is_empty() {
                            let (value, tap) = (s.partial_load_f32s(values_left), s.partial_load_f32s(taps_left));
                            sums[taps.len()] = s.mul_add_e_f32s(value, tap, sums[taps.len()]);
                        }
                    }
                }
                for (v, sum) in sums.into_iter().enumerate() {
                    let from = first + v * S::F32_LANES;
                    let to = (from + S::F32_LANES).min(last);
                    if from >= to {
                        break;
                    }
                    let sum = s.add_f32s(sum, s.partial_load_f32s(&self.bias[from..to]));
                    let mut sum = activate(s, self.conv.activation, sum);
                    if let Some((rows, line)) = self.residual {
                        sum = s.add_f32s(sum, s.partial_load_f32s(&rows.get(line + x)[from..to]));
                    }
                    s.partial_store_f32s(&mut out[from..to], sum);
                }
                first = last;
            }
        }
    }
}

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
