//! Layer norm over the last axis: vectors and threads on the CPU, Candle's own elsewhere. Imports `infer::error`.

use candle_core::{D, DType, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{Activation, gemm::activate, host, simd};
use crate::infer::{InferError, Result};

/// `(x - mean) / √(variance + epsilon) · scale + shift` over the last axis; the variance is that of the values themselves (÷ n).
///
/// `x` (…, channels), `scale` and `shift` (channels); the same shape.
///
/// # Errors
/// `BadInput` when `scale` or `shift` has another length.
pub fn layer_norm(x: &Tensor, scale: &Tensor, shift: &Tensor, epsilon: f64) -> Result<Tensor> {
    layer_norm_then(x, scale, shift, epsilon, Activation::None)
}

/// [`layer_norm`], then an activation, in one pass.
///
/// # Errors
/// As [`layer_norm`].
pub fn layer_norm_then(x: &Tensor, scale: &Tensor, shift: &Tensor, epsilon: f64, activation: Activation) -> Result<Tensor> {
    let length = x.dim(D::Minus1)?;
    if scale.dims() != [length] || shift.dims() != [length] {
        let (scale, shift) = (scale.dims(), shift.dims());
        return Err(InferError::BadInput(format!("a norm over {length} channels with a scale {scale:?} and a shift {shift:?}")));
    }
    if !host::is_ours(x) || !host::is_ours(scale) || !host::is_ours(shift) || length == 0 {
        // Candle's fused norm knows no double precision.
        let norm = if x.dtype() == DType::F64 { candle_nn::ops::layer_norm_slow } else { candle_nn::ops::layer_norm };
        return activation.apply(&norm(&x.contiguous()?, scale, shift, epsilon as f32)?);
    }
    let (scale, shift) = (host::values(scale)?, host::values(shift)?);
    let rows = (4096 / length).max(1);
    let mut out = vec![0.0f32; x.elem_count()];
    host::with_values(x, |values| {
        out.par_chunks_mut(rows * length).zip(values.par_chunks(rows * length)).for_each(|(out, values)| {
            simd::run(Lines { values, out, scale: &scale, shift: &shift, epsilon: epsilon as f32, activation });
        });
    })?;
    host::tensor(out, x.dims())
}

struct Lines<'a> {
    values: &'a [f32],
    out: &'a mut [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    epsilon: f32,
    activation: Activation,
}

impl WithSimd for Lines<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let length = self.scale.len();
        let (scales, scales_rest) = S::as_simd_f32s(self.scale);
        let (shifts, shifts_rest) = S::as_simd_f32s(self.shift);
        for (line, out) in self.values.chunks_exact(length).zip(self.out.chunks_exact_mut(length)) {
            let (vectors, rest) = S::as_simd_f32s(line);
            let (out, out_rest) = S::as_mut_simd_f32s(out);
            let mut sums = s.splat_f32s(0.0);
            for &vector in vectors {
                sums = s.add_f32s(sums, vector);
            }
            let mean = (s.reduce_sum_f32s(sums) + rest.iter().sum::<f32>()) / length as f32;
            let means = s.splat_f32s(mean);
            let mut squares = s.splat_f32s(0.0);
            for &vector in vectors {
                let apart = s.sub_f32s(vector, means);
                squares = s.mul_add_e_f32s(apart, apart, squares);
            }
            let square = s.reduce_sum_f32s(squares) + rest.iter().map(|value| (value - mean).powi(2)).sum::<f32>();
            let factor = 1.0 / (square / length as f32 + self.epsilon).sqrt();
            let factors = s.splat_f32s(factor);
            for (i, out) in out.iter_mut().enumerate() {
                let normed = s.mul_f32s(s.sub_f32s(vectors[i], means), factors);
                *out = activate(s, self.activation, s.mul_add_e_f32s(normed, scales[i], shifts[i]));
            }
            if !rest.is_empty() {
                let normed = s.mul_f32s(s.sub_f32s(s.partial_load_f32s(rest), means), factors);
                let scaled = s.mul_add_e_f32s(normed, s.partial_load_f32s(scales_rest), s.partial_load_f32s(shifts_rest));
                s.partial_store_f32s(out_rest, activate(s, self.activation, scaled));
            }
        }
    }
}
