//! What the networks of this family are made of: linear layers, norms, convolutions and attention in windows, over tensors with
//! channels last. On the CPU in f32 they run on [`ops`] and [`super::kernels`], anywhere else on Candle's own operations; a test
//! holds the two together. Apart, because the encoders, the prompt encoder and the decoder share them.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, WithDType};
use candle_nn::VarBuilder;

use super::kernels::{self, Bias, Rows};
pub(crate) use crate::infer::ops::Activation;
use crate::infer::ops::{self, Backend, ConvShape};

/// The numbers of a contiguous tensor.
fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout, what: &'static str) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&f32::cpu_storage_as_slice(storage)?[start..end]),
        None => candle_core::bail!("{what} takes contiguous tensors, got strides {:?} of shape {:?}", layout.stride(), layout.shape()),
    }
}

/// Who computes with a tensor.
fn backend_of(x: &Tensor) -> Backend {
    #[cfg(test)]
    if tests::ONLY_STOCK.get() {
        return Backend::Stock;
    }
    Backend::of(x.device(), x.dtype())
}

/// `x · weightᵀ + bias`, over the last axis.
#[derive(Debug, Clone)]
pub(crate) struct Linear(ops::Linear);

impl Linear {
    /// Reads `weight (out, in)` and, where it is there, `bias (out)`.
    pub(crate) fn load(input: usize, output: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let weight = vb.get((output, input), "weight")?;
        Self::of(weight, if vb.contains_tensor("bias") { Some(vb.get(output, "bias")?) } else { None })
    }

    /// From `weight (out, in)` and `bias (out)`.
    pub(crate) fn of(weight: Tensor, bias: Option<Tensor>) -> Result<Self> {
        Ok(Self(ops::Linear::new(&weight, bias.as_ref(), Activation::None, backend_of(&weight))?))
    }

    /// `(…, in) → (…, out)`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_then(x, Activation::None, None)
    }

    /// `activation(x · weightᵀ + bias + residual)`: `(…, in) → (…, out)`; `residual` has as many numbers as the result.
    pub(crate) fn forward_then(&self, x: &Tensor, activation: Activation, residual: Option<&Tensor>) -> Result<Tensor> {
        Ok(self.0.forward_then(x, activation, residual)?)
    }

    /// The row that a row of `value` everywhere, as long as the input, becomes: `(out)`.
    pub(crate) fn of_row(&self, row: &Tensor) -> Result<Tensor> {
        self.forward(&row.unsqueeze(0)?)?.squeeze(0)
    }
}

/// A norm over the last axis, which for images with channels last is also what the references call LayerNorm2d.
#[derive(Debug, Clone)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// Reads `weight` and `bias`, both `(width)`.
    pub(crate) fn load(width: usize, epsilon: f64, vb: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self { weight: vb.get(width, "weight")?, bias: vb.get(width, "bias")?, epsilon })
    }

    /// `(…, width) → (…, width)`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_then(x, Activation::None)
    }

    /// `activation(norm(x))`.
    pub(crate) fn forward_then(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        Ok(ops::layer_norm_then(x, &self.weight, &self.bias, self.epsilon, activation)?)
    }

    /// What a row of zeros becomes: `(width)`.
    pub(crate) fn of_zeros(&self) -> &Tensor {
        &self.bias
    }
}

/// A square convolution over channels last: one that mixes all channels, or one with a kernel for every channel.
#[derive(Debug, Clone)]
pub(crate) struct Conv(ops::Conv);

impl Conv {
    /// From `weight (out, in, kernel, kernel)`, as checkpoints have it, and `bias (out)`.
    pub(crate) fn of(weight: &Tensor, bias: Option<Tensor>, stride: usize, padding: usize) -> Result<Self> {
        let (outputs, inputs, kernel, _) = weight.dims4()?;
        Self::with(weight, bias, ConvShape { inputs, outputs, kernel, stride, padding, groups: 1 })
    }

    /// For every channel a kernel of its own: from `weight (channels, 1, kernel, kernel)` and `bias (channels)`.
    pub(crate) fn depthwise(weight: &Tensor, bias: Tensor, stride: usize, padding: usize) -> Result<Self> {
        let (channels, _, kernel, _) = weight.dims4()?;
        let shape = ConvShape { inputs: channels, outputs: channels, kernel, stride, padding, groups: channels };
        Self::with(weight, Some(bias), shape)
    }

    fn with(weight: &Tensor, bias: Option<Tensor>, shape: ConvShape) -> Result<Self> {
        let bias = match bias {
            Some(bias) => bias,
            None => Tensor::zeros(shape.outputs, weight.dtype(), weight.device())?,
        };
        Ok(Self(ops::Conv::new(weight, &bias, shape, Activation::None, backend_of(weight))?))
    }

    /// Reads `weight (out, in, kernel, kernel)` and, where it is there, `bias`.
    pub(crate) fn load(input: usize, output: usize, kernel: usize, stride: usize, padding: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let weight = vb.get((output, input, kernel, kernel), "weight")?;
        let bias = if vb.contains_tensor("bias") { Some(vb.get(output, "bias")?) } else { None };
        Self::of(&weight, bias, stride, padding)
    }

    /// `(batch, height, width, in) → (batch, out_height, out_width, out)`.
    pub(crate) fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.forward_then(x, activation, None)
    }

    /// `activation(conv(x) + residual)`.
    pub(crate) fn forward_then(&self, x: &Tensor, activation: Activation, residual: Option<&Tensor>) -> Result<Tensor> {
        Ok(self.0.forward_last(x, activation, residual)?)
    }
}

/// Where heads lie in rows of queries, keys or values: `heads` vectors of `len` numbers, from `offset` on, `stride` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heads {
    /// First number of the first head.
    pub(crate) offset: usize,
    /// From one head to the next.
    pub(crate) stride: usize,
    /// Numbers of a head.
    pub(crate) len: usize,
}

/// Relative positions of a [`WindowAttention`].
#[derive(Debug, Clone)]
pub(crate) enum PositionBias {
    /// None.
    None,
    /// `(heads, queries of a window, keys of a window)`.
    Full(Tensor),
    /// Two tables `(2 · side - 1, head_len)`, for rows and for columns.
    Decomposed(Tensor, Tensor),
}

/// Attention of several heads, of queries with the keys and values in the same window.
#[derive(Debug, Clone)]
pub(crate) struct WindowAttention {
    /// How many heads there are.
    pub(crate) heads: usize,
    /// What products are multiplied with, before the bias.
    pub(crate) scale: f64,
    /// Lines and columns of a window of keys and values; that of queries is as much smaller as their image is.
    pub(crate) window: (usize, usize),
    /// Where queries, keys and values lie in the rows of their tensors.
    pub(crate) places: [Heads; 3],
    /// What is added to the products.
    pub(crate) bias: PositionBias,
}

impl WindowAttention {
    /// For separate tensors of queries, keys and values, head after head: every query sees every key.
    pub(crate) fn whole(heads: usize, head_len: usize) -> Self {
        let place = Heads { offset: 0, stride: head_len, len: head_len };
        let scale = 1.0 / (head_len as f64).sqrt();
        Self { heads, scale, window: (0, 0), places: [place; 3], bias: PositionBias::None }
    }

    /// Queries `(batch, height', width', …)`, keys and values `(batch, height, width, …)`
    /// → `(batch, height', width', heads · head_len of values)`.
    ///
    /// `padding`, a row like those of keys and values (which then must be one tensor), is the token beyond the image; without it
    /// windows end at the image. A window of (0, 0) is the whole image.
    pub(crate) fn forward(&self, queries: &Tensor, keys: &Tensor, values: &Tensor, padding: Option<&Tensor>) -> Result<Tensor> {
        let (batch, height, width, _) = keys.dims4()?;
        let (_, query_height, query_width, _) = queries.dims4()?;
        let window = if self.window == (0, 0) { (height, width) } else { self.window };
        let query_window = match self.window {
            (0, 0) => (query_height, query_width),
            (window_height, window_width) => (window_height * query_height / height, window_width * query_width / width),
        };
        if padding.is_none() && (height % window.0 != 0 || width % window.1 != 0) {
            candle_core::bail!("windows of {window:?} do not cover ({height}, {width}) exactly, and nothing says what lies beyond");
        }
        let rows_of = |tensor: &Tensor, place: Heads, window: (usize, usize)| -> Result<Rows> {
            let (_, height, width, row_len) = tensor.dims4()?;
            Ok(Rows {
                height,
                width,
                window_height: window.0,
                window_width: window.1,
                row_len,
                offset: place.offset,
                head_stride: place.stride,
                head_len: place.len,
            })
        };
        let op = AttentionOp {
            batch,
            heads: self.heads,
            scale: self.scale as f32,
            query_rows: rows_of(queries, self.places[0], query_window)?,
            key_rows: rows_of(keys, self.places[1], window)?,
            value_rows: rows_of(values, self.places[2], window)?,
            padding: match padding {
                Some(row) if height % window.0 != 0 || width % window.1 != 0 => Some(row.clone()),
                _ => None,
            },
            bias: self.bias.clone(),
        };
        if backend_of(queries) == Backend::Own {
            return queries.contiguous()?.apply_op3_no_bwd(&keys.contiguous()?, &values.contiguous()?, &op);
        }
        op.stock(queries, keys, values)
    }
}

/// [`kernels::attention`].
struct AttentionOp {
    batch: usize,
    heads: usize,
    scale: f32,
    query_rows: Rows,
    key_rows: Rows,
    value_rows: Rows,
    padding: Option<Tensor>,
    bias: PositionBias,
}

impl CustomOp3 for AttentionOp {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        queries: &CpuStorage,
        queries_l: &Layout,
        keys: &CpuStorage,
        keys_l: &Layout,
        values: &CpuStorage,
        values_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let flat = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let padding = self.padding.as_ref().map(flat).transpose()?;
        let tables = match &self.bias {
            PositionBias::None => (Vec::new(), Vec::new()),
            PositionBias::Full(bias) => (flat(bias)?, Vec::new()),
            PositionBias::Decomposed(vertical, horizontal) => (flat(vertical)?, flat(horizontal)?),
        };
        let bias = match &self.bias {
            PositionBias::None => Bias::None,
            PositionBias::Full(_) => Bias::Full(&tables.0),
            PositionBias::Decomposed(..) => Bias::Decomposed { vertical: &tables.0, horizontal: &tables.1 },
        };
        let out = kernels::attention(&kernels::Attention {
            batch: self.batch,
            heads: self.heads,
            scale: self.scale,
            queries: numbers(queries, queries_l, "attention")?,
            query_rows: self.query_rows,
            keys: numbers(keys, keys_l, "attention")?,
            values: numbers(values, values_l, "attention")?,
            key_rows: self.key_rows,
            value_rows: self.value_rows,
            padding: padding.as_deref(),
            bias,
        });
        let out_len = self.heads * self.value_rows.head_len;
        Ok((CpuStorage::F32(out), (self.batch, self.query_rows.height, self.query_rows.width, out_len).into()))
    }
}

impl AttentionOp {
    /// The same by Candle's operations, with copies.
    fn stock(&self, queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
        let padding = self.padding.as_ref();
        let q = stock_windows(queries, &self.query_rows, self.heads, None)?;
        let k = stock_windows(keys, &self.key_rows, self.heads, padding)?;
        let v = stock_windows(values, &self.value_rows, self.heads, padding)?;
        // (windows, heads, queries, keys)
        let mut weights = (q.matmul(&k.t()?.contiguous()?)? * f64::from(self.scale))?;
        match &self.bias {
            PositionBias::None => {}
            PositionBias::Full(bias) => weights = weights.broadcast_add(bias)?,
            PositionBias::Decomposed(vertical, horizontal) => {
                let (height, width) = (self.key_rows.window_height, self.key_rows.window_width);
                let (windows, heads, _, head_len) = q.dims4()?;
                let q = q.reshape((windows * heads, height, width, head_len))?;
                // (windows · heads, row, column, other row) and, by way of (…, column, row, …), (windows · heads, row, column, other column)
                let down = q.matmul(&distance_table(vertical, height)?.t()?.broadcast_left(windows * heads)?.contiguous()?)?;
                let q = q.transpose(1, 2)?.contiguous()?;
                let across = q.matmul(&distance_table(horizontal, width)?.t()?.broadcast_left(windows * heads)?.contiguous()?)?;
                let bias = down.unsqueeze(4)?.broadcast_add(&across.transpose(1, 2)?.unsqueeze(3)?)?;
                weights = (weights.clone() + bias.reshape(weights.shape())?)?;
            }
        }
        let mixed = candle_nn::ops::softmax_last_dim(&weights.contiguous()?)?.matmul(&v)?;
        let rows = &self.query_rows;
        let (down, across) = (rows.height.div_ceil(rows.window_height), rows.width.div_ceil(rows.window_width));
        let out_len = self.heads * self.value_rows.head_len;
        // (batch, down, across, heads, line, column, head_len) → (batch, down, line, across, column, heads, head_len)
        mixed
            .reshape(vec![self.batch, down, across, self.heads, rows.window_height, rows.window_width, self.value_rows.head_len])?
            .permute(vec![0, 1, 4, 2, 5, 3, 6])?
            .reshape((self.batch, down * rows.window_height, across * rows.window_width, out_len))?
            .narrow(1, 0, rows.height)?
            .narrow(2, 0, rows.width)?
            .contiguous()
    }
}

/// Of a table `(2 · side - 1, head_len)`, the vector for every pair of places: `(place, other place, head_len)`.
fn distance_table(table: &Tensor, side: usize) -> Result<Tensor> {
    let index: Vec<u32> = (0..side).flat_map(|place| (0..side).map(move |other| (place + side - 1 - other) as u32)).collect();
    table.index_select(&Tensor::new(index, table.device())?, 0)?.reshape((side, side, ()))
}

/// `(batch, height, width, row_len)` → `(windows, heads, tokens of a window, head_len)`, tokens beyond the image being `padding` or 0.
fn stock_windows(x: &Tensor, rows: &Rows, heads: usize, padding: Option<&Tensor>) -> Result<Tensor> {
    let batch = x.dim(0)?;
    let (down, across) = (rows.height.div_ceil(rows.window_height), rows.width.div_ceil(rows.window_width));
    let (height, width) = (down * rows.window_height, across * rows.window_width);
    let token = match padding {
        Some(row) => row.clone(),
        None => Tensor::zeros(rows.row_len, x.dtype(), x.device())?,
    };
    let extend = |x: Tensor, axis: usize, by: usize| -> Result<Tensor> {
        if by == 0 {
            return Ok(x);
        }
        let mut dims = x.dims().to_vec();
        dims[axis] = by;
        Tensor::cat(&[&x, &token.broadcast_as(dims)?.contiguous()?], axis)
    };
    let x = extend(x.clone(), 1, height - rows.height)?;
    let x = extend(x, 2, width - rows.width)?;
    let heads: Vec<Tensor> =
        (0..heads).map(|head| x.narrow(3, rows.offset + head * rows.head_stride, rows.head_len)?.unsqueeze(3)).collect::<Result<_>>()?;
    // (batch, height, width, heads, head_len)
    let x = Tensor::cat(&heads, 3)?;
    let heads = heads.len();
    // (batch, down, line, across, column, heads, head_len) → (batch, down, across, heads, line, column, head_len)
    x.reshape(vec![batch, down, rows.window_height, across, rows.window_width, heads, rows.head_len])?
        .permute(vec![0, 1, 3, 5, 2, 4, 6])?
        .reshape((batch * down * across, heads, rows.window_height * rows.window_width, rows.head_len))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use candle_core::{DType, Device};

    use super::*;

    thread_local! {
        /// Makes this thread's layers run on Candle's own operations.
        pub(super) static ONLY_STOCK: Cell<bool> = const { Cell::new(false) };
    }

    fn numbers(shape: impl Into<Shape>, seed: u32) -> Tensor {
        let shape = shape.into();
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let numbers: Vec<f32> = (0..shape.elem_count())
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect();
        Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
    }

    /// The greatest difference between our way and Candle's.
    fn difference(layer: impl Fn() -> Result<Tensor>) -> f32 {
        let ours = layer().unwrap();
        ONLY_STOCK.set(true);
        let stock = layer().unwrap();
        ONLY_STOCK.set(false);
        assert_eq!(ours.dims(), stock.dims());
        let largest = stock.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        assert!(largest > 0.01, "nothing to compare");
        (ours - stock).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn linear_layers_are_those_of_candle() {
        for (rows, input, output) in [(1, 3, 5), (70, 33, 64), (1000, 16, 257)] {
            let x = numbers((1, rows, input), 1);
            let layer = || Linear::of(numbers((output, input), 2), Some(numbers(output, 3))).unwrap();
            let residual = numbers((1, rows, output), 4);
            for activation in [Activation::None, Activation::Relu, Activation::Gelu] {
                assert!(difference(|| layer().forward_then(&x, activation, None)) < 3e-6);
                assert!(difference(|| layer().forward_then(&x, activation, Some(&residual))) < 3e-6);
            }
        }
    }

    #[test]
    fn gelu_is_exact_over_its_range() {
        let x: Vec<f32> = (-12_000..=12_000).map(|step| step as f32 / 1000.0).collect();
        let layer = Linear::of(Tensor::ones((1, 1), DType::F32, &Device::Cpu).unwrap(), None).unwrap();
        let column = Tensor::from_slice(&x, (x.len(), 1), &Device::Cpu).unwrap();
        let got = layer.forward_then(&column, Activation::Gelu, None).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (x, got) in x.into_iter().zip(got) {
            let exact = 0.5 * f64::from(x) * (1.0 + candle_core::cpu::erf::erf_f64(f64::from(x) / std::f64::consts::SQRT_2));
            assert!((f64::from(got) - exact).abs() < 4e-7 * f64::from(x).abs().max(1.0), "gelu({x}) = {got}, not {exact}");
        }
    }

    #[test]
    fn norms_are_exact() {
        // Candle's own norm takes the difference of two large sums, so it is no measure here.
        for width in [7, 16, 160, 257] {
            let x = numbers((3, 50, width), 1).affine(3.0, 5.0).unwrap();
            let norm = LayerNorm { weight: numbers(width, 2), bias: numbers(width, 3), epsilon: 1e-6 };
            let got = norm.forward(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let flat = |x: &Tensor| x.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let (weight, bias) = (flat(&norm.weight), flat(&norm.bias));
            for (row, got) in flat(&x).chunks(width).zip(got.chunks(width)) {
                let mean = row.iter().sum::<f64>() / width as f64;
                let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                for (channel, &got) in got.iter().enumerate() {
                    let exact = (row[channel] - mean) / (variance + norm.epsilon).sqrt() * weight[channel] + bias[channel];
                    assert!((f64::from(got) - exact).abs() < 2e-6, "width {width}: {got}, not {exact}");
                }
            }
        }
    }

    #[test]
    fn convolutions_are_those_of_candle() {
        for (kernel, stride, padding) in [(1, 1, 0), (3, 1, 1), (3, 2, 1), (7, 4, 3), (4, 4, 0), (2, 2, 0)] {
            let weight = numbers((6, 5, kernel, kernel), 1);
            let layer = || Conv::of(&weight, Some(numbers(6, 2)), stride, padding).unwrap();
            let x = numbers((2, 12, 16, 5), 3);
            let residual = layer().forward(&x, Activation::None).unwrap().affine(-0.5, 0.25).unwrap();
            assert!(difference(|| layer().forward(&x, Activation::Gelu)) < 2e-6);
            assert!(difference(|| layer().forward_then(&x, Activation::Gelu, Some(&residual))) < 2e-6);
            // Candle's own convolution, channels first.
            let expected = x.permute((0, 3, 1, 2)).unwrap().conv2d(&weight, padding, stride, 1, 1).unwrap();
            let expected = expected.broadcast_add(&numbers((1, 6, 1, 1), 2)).unwrap().permute((0, 2, 3, 1)).unwrap();
            let error = (layer().forward(&x, Activation::None).unwrap() - expected).unwrap().abs().unwrap().max_all().unwrap();
            assert!(error.to_scalar::<f32>().unwrap() < 1e-5, "kernel {kernel}");
        }
    }

    #[test]
    fn depthwise_convolutions_are_those_of_candle() {
        for (channels, stride) in [(5, 1), (32, 2), (70, 1), (64, 2)] {
            let weight = numbers((channels, 1, 3, 3), 1);
            let layer = || Conv::depthwise(&weight, numbers(channels, 2), stride, 1).unwrap();
            let x = numbers((2, 9, 12, channels), 3);
            assert!(difference(|| layer().forward(&x, Activation::Gelu)) < 2e-6);
            let residual = layer().forward(&x, Activation::None).unwrap().affine(-0.5, 0.25).unwrap();
            assert!(difference(|| layer().forward_then(&x, Activation::Gelu, Some(&residual))) < 2e-6);
            let expected = x.permute((0, 3, 1, 2)).unwrap().conv2d(&weight, 1, stride, 1, channels).unwrap().permute((0, 2, 3, 1)).unwrap();
            let expected = expected.broadcast_add(&numbers(channels, 2)).unwrap();
            let error = (layer().forward(&x, Activation::None).unwrap() - expected).unwrap().abs().unwrap().max_all().unwrap();
            assert!(error.to_scalar::<f32>().unwrap() < 1e-5, "{channels} channels");
        }
    }

    #[test]
    fn attention_in_windows_is_that_of_candle() {
        let (heads, len) = (2, 17);
        let place = |part: usize| Heads { offset: part * len, stride: 3 * len, len };
        let qkv = numbers((2, 8, 10, 3 * heads * len), 1).affine(3.0, 0.0).unwrap();
        let padding = numbers(3 * heads * len, 2);
        for (window, bias) in [
            ((3, 3), PositionBias::None),
            ((3, 3), PositionBias::Full(numbers((heads, 9, 9), 3))),
            ((3, 4), PositionBias::Decomposed(numbers((5, len), 4), numbers((7, len), 5))),
            ((4, 5), PositionBias::Decomposed(numbers((7, len), 4), numbers((9, len), 5))),
            ((8, 10), PositionBias::Decomposed(numbers((15, len), 4), numbers((19, len), 5))),
            ((0, 0), PositionBias::None),
        ] {
            let attention = WindowAttention { heads, scale: 0.25, window, places: [place(0), place(1), place(2)], bias };
            let error = difference(|| attention.forward(&qkv, &qkv, &qkv, Some(&padding)));
            assert!(error < 5e-6, "windows of {window:?}: {error}");
        }
        let uneven =
            WindowAttention { heads, scale: 0.25, window: (3, 3), places: [place(0), place(1), place(2)], bias: PositionBias::None };
        assert!(uneven.forward(&qkv, &qkv, &qkv, None).is_err());
    }

    #[test]
    fn attention_with_pooled_queries_is_that_of_candle() {
        let (heads, len) = (2, 33);
        let place = |part: usize| Heads { offset: part * heads * len, stride: len, len };
        let keys = numbers((2, 8, 12, 3 * heads * len), 1);
        let queries = numbers((2, 4, 6, heads * len), 2);
        let padding = numbers(3 * heads * len, 3);
        for window in [(4, 4), (6, 6), (0, 0)] {
            let attention = WindowAttention { heads, scale: 0.5, window, places: [place(0), place(1), place(2)], bias: PositionBias::None };
            let error = difference(|| attention.forward(&queries, &keys, &keys, Some(&padding)));
            assert!(error < 5e-6, "windows of {window:?}: {error}");
        }
    }

    #[test]
    fn attention_between_two_kinds_of_tokens_is_that_of_candle() {
        let attention = WindowAttention::whole(4, 4);
        let (few, many) = (numbers((2, 1, 7, 16), 1), numbers((2, 9, 11, 16), 2));
        assert!(difference(|| attention.forward(&few, &many, &many, None)) < 2e-6);
        assert!(difference(|| attention.forward(&many, &few, &few, None)) < 2e-6);
    }
}
