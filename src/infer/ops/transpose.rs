//! A contiguous transpose of the last two axes: in blocks and with threads on the CPU, Candle's own elsewhere. Imports `infer::error`.

use candle_core::Tensor;
use rayon::prelude::*;

use super::host;
use crate::infer::{InferError, Result};

/// Columns that one pass moves: sixteen lines of sixteen floats stay in the first cache.
const BLOCK: usize = 16;

/// (…, rows, columns) → (…, columns, rows), contiguous.
///
/// # Errors
/// `BadInput` for fewer than two axes.
pub fn transposed(x: &Tensor) -> Result<Tensor> {
    let [.., rows, columns] = *x.dims() else {
        return Err(InferError::BadInput(format!("a transpose of {:?}", x.dims())));
    };
    let rank = x.rank();
    if !host::is_ours(x) || !x.is_contiguous() || rows * columns == 0 {
        return Ok(x.transpose(rank - 2, rank - 1)?.contiguous()?);
    }
    let mut shape = x.dims().to_vec();
    shape.swap(rank - 2, rank - 1);
    let mut out = vec![0.0f32; x.elem_count()];
    host::with_values(x, |values| {
        for (from, to) in values.chunks_exact(rows * columns).zip(out.chunks_exact_mut(rows * columns)) {
            to.par_chunks_mut(BLOCK * rows).enumerate().for_each(|(block, to)| {
                let first = block * BLOCK;
                for (row_block, from) in from.chunks(BLOCK * columns).enumerate() {
                    for (i, to) in to.chunks_exact_mut(rows).enumerate() {
                        let from = from[first + i..].iter().step_by(columns);
                        for (to, &value) in to[row_block * BLOCK..].iter_mut().zip(from).take(BLOCK) {
                            *to = value;
                        }
                    }
                }
            });
        }
    })?;
    host::tensor(out, &shape)
}
