//! The cheap operations between the matrix products, each one pass over memory and spread over the cores: normalisation of rows, bias with
//! activation, bias with residual. Apart, because Candle's own are serial and scalar on the CPU (5 to 20 ns a number), which is a third of
//! the time of a small transformer. On other devices Candle's operations are used; both ways are tested against each other.
//!
//! The loops are plain Rust that the compiler turns into vectors; [`pulp`] runs them with the widest instructions of the processor at hand,
//! which is what keeps this file free of `unsafe`. Imports nothing of ours.

use candle_core::{CpuStorage, CustomOp3, InplaceOp2, InplaceOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// Numbers that one task takes at least, so that handing it over costs less than doing it.
const TASK_NUMBERS: usize = 16 * 1024;

/// The function between the two layers of a feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(1.702 x)`: OpenAI's CLIP.
    QuickGelu,
    /// `x · Φ(x)` by the error function: LAION's CLIP, DINOv2.
    Gelu,
    /// `x · Φ(x)` by the hyperbolic tangent: SigLIP.
    GeluTanh,
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
}

/// Whether the own operations take this tensor: `f32` in the CPU's memory.
pub(crate) fn is_ours(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == candle_core::DType::F32
}

/// Normalises each row to mean 0 and variance 1, then scales and shifts it.
///
/// `(…, dim)`, weight `(dim)`, bias `(dim)` → `(…, dim)`.
///
/// # Errors
/// Candle's, when shapes disagree.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    let x = x.contiguous()?;
    if is_ours(&x) {
        return x.apply_op3_no_bwd(weight, bias, &LayerNorm { eps });
    }
    // Candle's fused operation knows neither f64 nor, on the CPU, anything that ours does not.
    if x.device().is_cpu() {
        candle_nn::ops::layer_norm_slow(&x, weight, bias, eps)
    } else {
        candle_nn::ops::layer_norm(&x, weight, bias, eps)
    }
}

/// Adds `bias` to every row of `x` and applies `activation`; may reuse the memory of `x`, which the caller gives up.
///
/// `(…, dim)`, bias `(dim)` → `(…, dim)`.
///
/// # Errors
/// Candle's, when shapes disagree.
pub fn bias_activation(x: Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    if is_ours(&x) && x.is_contiguous() {
        x.inplace_op2(bias, &BiasActivation { activation })?;
        return Ok(x);
    }
    let x = x.broadcast_add(bias)?;
    match activation {
        Activation::QuickGelu => &x * candle_nn::ops::sigmoid(&(&x * 1.702)?)?,
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
    }
}

/// Adds `bias` to every row of `x`; may reuse the memory of `x`, which the caller gives up.
///
/// `(…, dim)`, bias `(dim)` → `(…, dim)`.
///
/// # Errors
/// Candle's, when shapes disagree.
pub fn add_bias(x: Tensor, bias: &Tensor) -> Result<Tensor> {
    if is_ours(&x) && x.is_contiguous() {
        x.inplace_op2(bias, &AddBias)?;
        return Ok(x);
    }
    x.broadcast_add(bias)
}

/// Adds `bias` to every row of `x`, and `residual`; may reuse the memory of `x`, which the caller gives up.
///
/// `(…, dim)`, bias `(dim)`, residual as `x` → `(…, dim)`.
///
/// # Errors
/// Candle's, when shapes disagree.
pub fn add_bias_residual(x: Tensor, bias: &Tensor, residual: &Tensor) -> Result<Tensor> {
    if is_ours(&x) && x.is_contiguous() && residual.is_contiguous() && x.dims() == residual.dims() {
        x.inplace_op3(bias, residual, &AddBiasResidual)?;
        return Ok(x);
    }
    x.broadcast_add(bias)? + residual
}

/// The numbers of a contiguous `f32` tensor.
pub(crate) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout, operation: &str) -> Result<&'a [f32]> {
    match (layout.contiguous_offsets(), storage) {
        (Some((start, end)), CpuStorage::F32(numbers)) => Ok(&numbers[start..end]),
        (None, _) => bail!("{operation}: the input is not contiguous"),
        _ => bail!("{operation}: the input is not f32"),
    }
}

fn floats_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout, operation: &str) -> Result<&'a mut [f32]> {
    match (layout.contiguous_offsets(), storage) {
        (Some((start, end)), CpuStorage::F32(numbers)) => Ok(&mut numbers[start..end]),
        (None, _) => bail!("{operation}: the input is not contiguous"),
        _ => bail!("{operation}: the input is not f32"),
    }
}

/// How many rows of `width` make a task.
fn task_rows(width: usize) -> usize {
    TASK_NUMBERS.div_ceil(width.max(1)).max(1)
}

fn check_width(operation: &str, total: usize, width: usize) -> Result<()> {
    if width == 0 || !total.is_multiple_of(width) {
        bail!("{operation}: rows of {width} do not fit {total} numbers");
    }
    Ok(())
}

struct LayerNorm {
    eps: f32,
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = floats(x, x_layout, self.name())?;
        let weight = floats(weight, weight_layout, self.name())?;
        let bias = floats(bias, bias_layout, self.name())?;
        let width = weight.len();
        check_width(self.name(), x.len(), width)?;
        if bias.len() != width || x_layout.dims().last() != Some(&width) {
            bail!("layer_norm: rows are {:?}, weight {width}, bias {}", x_layout.dims(), bias.len());
        }
        let mut out = vec![0f32; x.len()];
        let arch = pulp::Arch::new();
        let rows = task_rows(width);
        out.par_chunks_mut(width * rows).zip(x.par_chunks(width * rows)).for_each(|(out, x)| {
            arch.dispatch(
                #[inline(always)]
                || {
                    for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                        normalise_row(out, x, weight, bias, self.eps);
                    }
                },
            );
        });
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }
}

/// Partial sums that the compiler can keep in one or two registers.
const LANES: usize = 16;

#[inline(always)]
fn lane_sum(x: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0f32; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|&value| term(value)).sum();
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += term(value);
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[inline(always)]
fn normalise_row(out: &mut [f32], x: &[f32], weight: &[f32], bias: &[f32], eps: f32) {
    let count = x.len() as f32;
    let mean = lane_sum(x, |value| value) / count;
    // In two passes: the difference of two large sums would cost half the digits.
    let variance = lane_sum(x, |value| (value - mean) * (value - mean)) / count;
    let scale = 1.0 / (variance + eps).sqrt();
    for (((out, &x), &weight), &bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
        *out = (x - mean) * scale * weight + bias;
    }
}

struct BiasActivation {
    activation: Activation,
}

impl InplaceOp2 for BiasActivation {
    fn name(&self) -> &'static str {
        "bias_activation"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, x_layout: &Layout, bias: &CpuStorage, bias_layout: &Layout) -> Result<()> {
        let bias = floats(bias, bias_layout, self.name())?;
        let x = floats_mut(x, x_layout, self.name())?;
        check_width(self.name(), x.len(), bias.len())?;
        match self.activation {
            Activation::QuickGelu => each_row(x, bias, quick_gelu),
            Activation::Gelu => each_row(x, bias, gelu),
            Activation::GeluTanh => each_row(x, bias, gelu_tanh),
        }
        Ok(())
    }
}

struct AddBias;

impl InplaceOp2 for AddBias {
    fn name(&self) -> &'static str {
        "add_bias"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, x_layout: &Layout, bias: &CpuStorage, bias_layout: &Layout) -> Result<()> {
        let bias = floats(bias, bias_layout, self.name())?;
        let x = floats_mut(x, x_layout, self.name())?;
        check_width(self.name(), x.len(), bias.len())?;
        each_row(x, bias, |value| value);
        Ok(())
    }
}

struct AddBiasResidual;

impl InplaceOp3 for AddBiasResidual {
    fn name(&self) -> &'static str {
        "add_bias_residual"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        x_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<()> {
        let bias = floats(bias, bias_layout, self.name())?;
        let residual = floats(residual, residual_layout, self.name())?;
        let x = floats_mut(x, x_layout, self.name())?;
        let width = bias.len();
        check_width(self.name(), x.len(), width)?;
        let arch = pulp::Arch::new();
        let rows = task_rows(width);
        x.par_chunks_mut(width * rows).zip(residual.par_chunks(width * rows)).for_each(|(x, residual)| {
            arch.dispatch(
                #[inline(always)]
                || {
                    for (x, residual) in x.chunks_exact_mut(width).zip(residual.chunks_exact(width)) {
                        for ((x, &residual), &bias) in x.iter_mut().zip(residual).zip(bias) {
                            *x = (*x + bias) + residual;
                        }
                    }
                },
            );
        });
        Ok(())
    }
}

fn each_row(x: &mut [f32], bias: &[f32], function: impl Fn(f32) -> f32 + Sync + Copy) {
    let width = bias.len();
    let arch = pulp::Arch::new();
    x.par_chunks_mut(width * task_rows(width)).for_each(|x| {
        arch.dispatch(
            #[inline(always)]
            || {
                for row in x.chunks_exact_mut(width) {
                    for (x, &bias) in row.iter_mut().zip(bias) {
                        *x = function(*x + bias);
                    }
                }
            },
        );
    });
}

/// `e^x` for `x` in [-87, 88], beyond that the value at the end: 2 units in the last place, without branches.
///
/// `2^n · e^r` with `n` the nearest whole number to `x / ln 2`: a polynomial for the second factor, the exponent's bits for the first.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding 1.5 · 2²³ leaves a float's whole part in its low bits.
    const TO_WHOLE: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first with so few digits that its products with whole numbers are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + TO_WHOLE;
    let whole = shifted - TO_WHOLE;
    let r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    // Taylor's series: |r| ≤ 0.347, so the next term is below 6e-8.
    let mut series = 1.0 / 5040.0;
    series = series * r + 1.0 / 720.0;
    series = series * r + 1.0 / 120.0;
    series = series * r + 1.0 / 24.0;
    series = series * r + 1.0 / 6.0;
    series = series * r + 0.5;
    series = series * r + 1.0;
    series = series * r + 1.0;
    series * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

#[inline(always)]
fn quick_gelu(x: f32) -> f32 {
    x / (1.0 + exp(-1.702 * x))
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    // x/2 · (1 + tanh u) = x / (1 + e^-2u)
    let u = 0.797_884_6 * (x + 0.044_715 * x * x * x);
    x / (1.0 + exp(-2.0 * u))
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The error function: an odd rational approximation, degree 13 over 8, on [-4, 4]; beyond it `f32` hardly tells the value from ±1.
///
/// # Source
/// The coefficients are those of Eigen's and XLA's `erf` for `f32`.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let mut top = -2.726_142_3e-10;
    top = top * square + 2.770_681_4e-8;
    top = top * square - 2.101_024e-6;
    top = top * square - 5.692_506_4e-5;
    top = top * square - 7.349_906_3e-4;
    top = top * square - 2.954_6e-3;
    top = top * square - 1.609_603_3e-2;
    let mut bottom = -1.456_607_2e-5;
    bottom = bottom * square - 2.133_740_5e-4;
    bottom = bottom * square - 1.682_827e-3;
    bottom = bottom * square - 7.373_329e-3;
    bottom = bottom * square - 1.426_473_9e-2;
    x * top / bottom
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    /// Numbers from a seed: uniform in `[-spread, spread]`.
    fn numbers(count: usize, spread: f32, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        (0..count)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * spread
            })
            .collect()
    }

    fn tensor(shape: &[usize], spread: f32, seed: u64) -> Tensor {
        Tensor::from_vec(numbers(shape.iter().product(), spread, seed), shape, &Device::Cpu).unwrap()
    }

    fn worst(ours: &Tensor, other: &Tensor) -> f32 {
        (ours - other).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn exp_is_right_to_a_few_units_in_the_last_place() {
        for step in -87_000..=88_000 {
            let x = step as f32 / 1000.0;
            let truth = f64::from(x).exp();
            let error = (f64::from(exp(x)) - truth).abs() / truth;
            assert!(error < 3e-7, "exp({x}) is off by {error:e}");
        }
    }

    #[test]
    fn activations_follow_their_formulas() {
        for step in -12_000..=12_000 {
            let x = step as f32 / 1000.0;
            let wide = f64::from(x);
            let error = |ours: f32, truth: f64| (f64::from(ours) - truth).abs() / (1.0 + wide.abs());
            let phi = 0.5 * (1.0 + candle_core::cpu::erf::erf_f64(wide / 2f64.sqrt()));
            assert!(error(gelu(x), wide * phi) < 5e-7, "gelu({x})");
            let tanh = ((2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044_715 * wide.powi(3))).tanh();
            assert!(error(gelu_tanh(x), 0.5 * wide * (1.0 + tanh)) < 5e-7, "gelu_tanh({x})");
            assert!(error(quick_gelu(x), wide / (1.0 + (-1.702 * wide).exp())) < 5e-7, "quick_gelu({x})");
        }
    }

    #[test]
    fn operations_agree_with_candles_own() {
        // Widths around the vector length, and enough rows for several tasks.
        for (rows, width) in [(1, 1), (3, 7), (5, 16), (2, 48), (700, 65), (50, 768)] {
            let x = tensor(&[rows, width], 4.0, 1);
            let weight = tensor(&[width], 1.0, 2);
            let bias = tensor(&[width], 1.0, 3);
            let residual = tensor(&[rows, width], 4.0, 4);

            let normed = layer_norm(&x, &weight, &bias, 1e-5).unwrap();
            assert!(worst(&normed, &candle_nn::ops::layer_norm_slow(&x, &weight, &bias, 1e-5).unwrap()) < 1e-5);

            let plain = x.broadcast_add(&bias).unwrap();
            assert_eq!(worst(&add_bias(x.copy().unwrap(), &bias).unwrap(), &plain), 0.0);
            let sum = (&plain + &residual).unwrap();
            assert_eq!(worst(&add_bias_residual(x.copy().unwrap(), &bias, &residual).unwrap(), &sum), 0.0);
            let erf = bias_activation(x.copy().unwrap(), &bias, Activation::Gelu).unwrap();
            assert!(worst(&erf, &plain.gelu_erf().unwrap()) < 2e-6);
            let tanh = bias_activation(x.copy().unwrap(), &bias, Activation::GeluTanh).unwrap();
            assert!(worst(&tanh, &plain.gelu().unwrap()) < 2e-6);
        }
    }

    #[test]
    fn other_dtypes_take_candles_way() {
        let x = tensor(&[4, 8], 2.0, 1).to_dtype(DType::F64).unwrap();
        let bias = tensor(&[8], 2.0, 2).to_dtype(DType::F64).unwrap();
        let wide = bias_activation(x.clone(), &bias, Activation::QuickGelu).unwrap().to_dtype(DType::F32).unwrap();
        let ours = bias_activation(x.to_dtype(DType::F32).unwrap(), &bias.to_dtype(DType::F32).unwrap(), Activation::QuickGelu).unwrap();
        assert!(worst(&ours, &wide) < 2e-6);
    }

    #[test]
    fn shapes_that_disagree_are_refused() {
        let x = tensor(&[4, 8], 1.0, 1);
        let short = tensor(&[6], 1.0, 2);
        assert!(layer_norm(&x, &short, &short, 1e-5).is_err());
        assert!(bias_activation(x, &tensor(&[5], 1.0, 3), Activation::Gelu).is_err());
    }
}
