//! Layer norm over the last axis: vectors and threads on the CPU, Candle's own elsewhere. Imports `infer::error`.

use candle_core::{D, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{host, simd};
use crate::infer::{InferError, Result};

/// `(x - mean) / √(variance + epsilon) · scale + shift` over the last axis; the variance is that of the values themselves (÷ n).
///
/// `x` (…, channels), `scale` and `shift` (channels); the same shape.
///
/// # Errors
/// `BadInput` when `scale` or `shift` has another length.
pub fn layer_norm(x: &Tensor, scale: &Tensor, shift: &Tensor, epsilon: f64) -> Result<Tensor> {
    let length = x.dim(D::Minus1)?;
    if scale.dims() != [length] || shift.dims() != [length] {
        let (scale, shift) = (scale.dims(), shift.dims());
        return Err(InferError::BadInput(format!("a norm over {length} channels with a scale {scale:?} and a shift {shift:?}")));
    }
    if !host::is_ours(x) || !host::is_ours(scale) || !host::is_ours(shift) || length == 0 {
        return Ok(candle_nn::ops::layer_norm(&x.contiguous()?, scale, shift, epsilon as f32)?);
    }
    let mut values = host::values(x)?;
    let (scale, shift) = (host::values(scale)?, host::values(shift)?);
    let rows = (4096 / length).max(1);
    values
        .par_chunks_mut(rows * length)
        .for_each(|values| simd::run(Lines { values, scale: &scale, shift: &shift, epsilon: epsilon as f32 }));
    host::tensor(values, x.dims())
}

struct Lines<'a> {
    values: &'a mut [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    epsilon: f32,
}

impl WithSimd for Lines<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let length = self.scale.len();
        let (scales, scales_rest) = S::as_simd_f32s(self.scale);
        let (shifts, shifts_rest) = S::as_simd_f32s(self.shift);
        for line in self.values.chunks_exact_mut(length) {
            let (vectors, rest) = S::as_mut_simd_f32s(line);
            let mut sums = s.splat_f32s(0.0);
            for &vector in &*vectors {
                sums = s.add_f32s(sums, vector);
            }
            let mean = (s.reduce_sum_f32s(sums) + rest.iter().sum::<f32>()) / length as f32;
            let means = s.splat_f32s(mean);
            let mut squares = s.splat_f32s(0.0);
            for vector in &mut *vectors {
                *vector = s.sub_f32s(*vector, means);
                squares = s.mul_add_e_f32s(*vector, *vector, squares);
            }
            let mut square = s.reduce_sum_f32s(squares);
            for value in &mut *rest {
                *value -= mean;
                square += *value * *value;
            }
            let factor = 1.0 / (square / length as f32 + self.epsilon).sqrt();
            let factors = s.splat_f32s(factor);
            for (vector, (&scale, &shift)) in vectors.iter_mut().zip(scales.iter().zip(shifts)) {
                *vector = s.mul_add_e_f32s(s.mul_f32s(*vector, factors), scale, shift);
            }
            for (value, (scale, shift)) in rest.iter_mut().zip(scales_rest.iter().zip(shifts_rest)) {
                *value = *value * factor * scale + shift;
            }
        }
    }
}
