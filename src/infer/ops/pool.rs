//! Max-pooling that keeps the size. Imports `infer::error`.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{
    buffer::Buffer,
    map::{Map, Own, Store},
    simd,
};
use crate::infer::{InferError, Result};

/// The maximum over a square of `side` px (odd) around every pixel, as far as the map goes; the same shape.
///
/// # Errors
/// `BadInput` for an even side.
pub fn max_pool_same(x: &Map, side: usize) -> Result<Map> {
    if side.is_multiple_of(2) {
        return Err(InferError::BadInput(format!("a pool of {side} px has no middle")));
    }
    let reach = side / 2;
    match &x.0 {
        Store::Stock(x) => {
            // Repeating the border adds no new maximum; zeros would.
            let x = x.pad_with_same(2, reach, reach)?.pad_with_same(3, reach, reach)?;
            Ok(Map(Store::Stock(x.max_pool2d_with_stride(side, 1)?)))
        }
        Store::Own(own) => Ok(Map(Store::Own(pooled(&pooled(own, reach, true), reach, false)))),
    }
}

/// The maximum along one direction.
fn pooled(map: &Own, reach: usize, along_line: bool) -> Own {
    let channels = map.channels;
    let mut buffer = Buffer::take(map.pixels() * channels);
    let (rows, extent) = (map.rows(), if along_line { map.width } else { map.height });
    buffer.floats_mut().par_chunks_mut(map.width * channels).enumerate().for_each(|(line, out)| {
        for (x, out) in out.chunks_exact_mut(channels).enumerate() {
            let (at, step) = if along_line { (x, 1) } else { (line % map.height, map.width) };
            let pixel = line * map.width + x;
            let first = pixel - at.min(reach) * step;
            let count = at.min(reach) + 1 + reach.min(extent - 1 - at);
            out.copy_from_slice(rows.get(first));
            for i in 1..count {
                simd::run(Most { out, other: rows.get(first + i * step) });
            }
        }
    });
    Own::whole(buffer, map.batch, map.height, map.width, channels)
}

struct Most<'a> {
    out: &'a mut [f32],
    other: &'a [f32],
}

impl WithSimd for Most<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let (out, out_rest) = S::as_mut_simd_f32s(self.out);
        let (other, other_rest) = S::as_simd_f32s(self.other);
        for (out, &other) in out.iter_mut().zip(other) {
            *out = s.max_f32s(*out, other);
        }
        for (out, &other) in out_rest.iter_mut().zip(other_rest) {
            *out = out.max(other);
        }
    }
}
