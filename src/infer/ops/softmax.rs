//! Softmax over the last axis: vectors and threads on the CPU, Candle's own elsewhere. Imports `infer::error`.

use candle_core::{D, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{host, simd};
use crate::infer::Result;

/// Softmax over the last axis; the same shape.
///
/// # Errors
/// `Candle` when memory fails.
pub fn softmax_last(x: &Tensor) -> Result<Tensor> {
    let length = x.dim(D::Minus1)?;
    if !host::is_ours(x) || length == 0 {
        return Ok(candle_nn::ops::softmax_last_dim(x)?);
    }
    let mut values = host::values(x)?;
    let rows = (4096 / length).max(1);
    values.par_chunks_mut(rows * length).for_each(|values| simd::run(Lines { values, length }));
    host::tensor(values, x.dims())
}

struct Lines<'a> {
    values: &'a mut [f32],
    length: usize,
}

impl WithSimd for Lines<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        for line in self.values.chunks_exact_mut(self.length) {
            let (vectors, rest) = S::as_mut_simd_f32s(line);
            let mut most = s.splat_f32s(f32::NEG_INFINITY);
            for &vector in &*vectors {
                most = s.max_f32s(most, vector);
            }
            let most = rest.iter().copied().fold(s.reduce_max_f32s(most), f32::max);
            let most = s.splat_f32s(most);
            let mut sums = s.splat_f32s(0.0);
            for vector in &mut *vectors {
                *vector = simd::exp(s, s.sub_f32s(*vector, most));
                sums = s.add_f32s(sums, *vector);
            }
            let mut sum = s.reduce_sum_f32s(sums);
            if !rest.is_empty() {
                let vector = simd::exp(s, s.sub_f32s(s.partial_load_f32s(rest), most));
                s.partial_store_f32s(rest, vector);
                sum += rest.iter().sum::<f32>();
            }
            let factor = s.splat_f32s(1.0 / sum);
            for vector in vectors {
                *vector = s.mul_f32s(*vector, factor);
            }
            for value in rest {
                *value /= sum;
            }
        }
    }
}
