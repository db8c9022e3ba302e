//! Attention over one tensor of queries, keys and values. Apart, because it is the one place where a transformer on the CPU is not a plain
//! matrix product: Candle's way copies each of the three, keeps `tokens²` numbers a head and goes over them in serial passes. Here each head
//! of each item is a task, the scores of a few queries at a time stay in a near cache, and nothing is copied but the packed keys and
//! values. Other devices take Candle's way. Imports the operations beside it.

use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Result, Shape, Tensor, bail};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::infer::ops::{Backend, exp};

/// Which keys a token may look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask {
    /// Only itself and those before it.
    pub causal: bool,
    /// For each item of the batch, how many of its tokens count, from the first; none = all.
    pub lengths: Option<Vec<usize>>,
}

impl Mask {
    /// Every token sees every token.
    pub const NONE: Self = Self { causal: false, lengths: None };

    /// How many keys, from the first, token `row` of item `item` sees.
    fn seen(&self, item: usize, row: usize, tokens: usize) -> usize {
        let length = self.lengths.as_ref().map_or(tokens, |lengths| lengths[item]);
        if self.causal { length.min(row + 1) } else { length }
    }

    fn check(&self, batch: usize, tokens: usize) -> Result<()> {
        match &self.lengths {
            Some(lengths) if lengths.len() != batch => bail!("attention: {} lengths for a batch of {batch}", lengths.len()),
            Some(lengths) if lengths.iter().any(|&length| length == 0 || length > tokens) => {
                bail!("attention: lengths {lengths:?} of {tokens} tokens")
            }
            _ => Ok(()),
        }
    }

    /// `(batch or 1, 1, tokens, tokens)`: 0 where seen, -∞ where not; none when all is seen.
    fn as_tensor(&self, batch: usize, tokens: usize, like: &Tensor) -> Result<Option<Tensor>> {
        if *self == Self::NONE {
            return Ok(None);
        }
        let items = if self.lengths.is_some() { batch } else { 1 };
        let mut mask = Vec::with_capacity(items * tokens * tokens);
        for item in 0..items {
            for row in 0..tokens {
                let seen = self.seen(item, row, tokens);
                mask.extend((0..tokens).map(|key| if key < seen { 0f32 } else { f32::NEG_INFINITY }));
            }
        }
        Ok(Some(Tensor::from_vec(mask, (items, 1, tokens, tokens), like.device())?.to_dtype(like.dtype())?))
    }
}

/// Scaled dot-product attention of several heads.
///
/// `qkv (batch, tokens, 3 · dim)`: the queries of all heads, then the keys, then the values → `(batch, tokens, dim)`, heads side by side.
/// The scores are divided by the square root of a head's width.
///
/// # Errors
/// Candle's, when the shape is another one or the mask does not fit.
pub fn attend(qkv: &Tensor, heads: usize, mask: &Mask) -> Result<Tensor> {
    let (batch, tokens, triple) = qkv.dims3()?;
    if heads == 0 || triple % (3 * heads) != 0 {
        bail!("attention: {triple} numbers a token are not queries, keys and values of {heads} heads");
    }
    mask.check(batch, tokens)?;
    if Backend::of(qkv.device(), qkv.dtype()) == Backend::Own {
        return qkv.contiguous()?.apply_op1_no_bwd(&Attention { heads, mask: mask.clone() });
    }
    attend_with_candle(qkv, heads, mask)
}

fn attend_with_candle(qkv: &Tensor, heads: usize, mask: &Mask) -> Result<Tensor> {
    let (batch, tokens, triple) = qkv.dims3()?;
    let width = triple / 3 / heads;
    // (batch, tokens, 3, heads, width) → (3, batch, heads, tokens, width)
    let parts = qkv.reshape(vec![batch, tokens, 3, heads, width])?.permute(vec![2, 0, 3, 1, 4])?.contiguous()?;
    let (queries, keys, values) = (parts.get(0)?, parts.get(1)?, parts.get(2)?);
    let scores = (queries.matmul(&keys.transpose(D::Minus2, D::Minus1)?.contiguous()?)? * (width as f64).sqrt().recip())?;
    let scores = match mask.as_tensor(batch, tokens, &scores)? {
        Some(mask) => scores.broadcast_add(&mask)?,
        None => scores,
    };
    // Half precision has too few digits for a sum over hundreds of keys.
    let wide = if matches!(scores.dtype(), DType::F16 | DType::BF16) { DType::F32 } else { scores.dtype() };
    let shares = candle_nn::ops::softmax_last_dim(&scores.to_dtype(wide)?)?.to_dtype(values.dtype())?;
    // (batch, heads, tokens, width) → (batch, tokens, heads · width)
    shares.matmul(&values)?.transpose(1, 2)?.contiguous()?.reshape((batch, tokens, heads * width))
}

struct Attention {
    heads: usize,
    mask: Mask,
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (Some((start, end)), CpuStorage::F32(numbers)) = (layout.contiguous_offsets(), qkv) else {
            bail!("attention takes contiguous f32, got {layout:?}")
        };
        let numbers = &numbers[start..end];
        let (batch, tokens, triple) = layout.shape().dims3()?;
        let (dim, heads) = (triple / 3, self.heads);
        let width = dim / heads;
        let arch = pulp::Arch::new();
        // (batch, heads, tokens, width): each task writes a piece of its own.
        let mut by_head = vec![0f32; batch * tokens * dim];
        by_head.par_chunks_mut((tokens * width).max(1)).enumerate().for_each(|(task, out)| {
            let (item, head) = (task / heads, task % heads);
            let rows = &numbers[item * tokens * triple..][..tokens * triple];
            arch.dispatch(Head { rows, out, tokens, dim, width, head, item, mask: &self.mask });
        });
        // (batch, heads, tokens, width) → (batch, tokens, heads, width)
        let mut out = vec![0f32; batch * tokens * dim];
        out.par_chunks_mut((tokens * dim).max(1)).zip(by_head.par_chunks((tokens * dim).max(1))).for_each(|(out, by_head)| {
            for (head, piece) in by_head.chunks_exact(tokens * width).enumerate() {
                for (row, values) in piece.chunks_exact(width).enumerate() {
                    out[row * dim + head * width..][..width].copy_from_slice(values);
                }
            }
        });
        Ok((CpuStorage::F32(out), Shape::from((batch, tokens, dim))))
    }
}

/// Rows of the left side of a product done at a time: as many as leave registers for two vectors of the right side.
const ROWS: usize = 6;

/// Most queries done at a time: two vectors of the widest registers.
const MAX_PANEL: usize = 32;

/// One head of one item.
struct Head<'a> {
    /// `(tokens, 3 · dim)`.
    rows: &'a [f32],
    /// `(tokens, width)`.
    out: &'a mut [f32],
    tokens: usize,
    dim: usize,
    width: usize,
    head: usize,
    item: usize,
    mask: &'a Mask,
}

impl Head<'_> {
    /// The `part`'s (0 query, 1 key, 2 value) numbers of a token for this head.
    #[inline(always)]
    fn of_token(&self, part: usize, token: usize) -> &[f32] {
        &self.rows[(3 * token + part) * self.dim + self.head * self.width..][..self.width]
    }
}

impl WithSimd for Head<'_> {
    type Output = ();

    /// Works on the transposed of everything, so that the queries of a panel lie side by side: the scores come out of one product as the
    /// next one reads them, and the exponentials, their largest and their sum need no number of a neighbour.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let panel = 2 * S::F32_LANES;
        let (tokens, width) = (self.tokens, self.width);
        let scale = (width as f32).sqrt().recip();

        // Keys in groups of ROWS tokens: (groups, width, ROWS). Values in groups of ROWS numbers: (groups, tokens, ROWS).
        let key_groups = tokens.div_ceil(ROWS);
        let mut keys = vec![0f32; key_groups * width * ROWS];
        let value_groups = width.div_ceil(ROWS);
        let mut values = vec![0f32; value_groups * tokens * ROWS];
        for token in 0..tokens {
            let at = &mut keys[token / ROWS * width * ROWS + token % ROWS..];
            for (slot, &number) in at.iter_mut().step_by(ROWS).zip(self.of_token(1, token)) {
                *slot = number * scale;
            }
            for (group, piece) in self.of_token(2, token).chunks(ROWS).enumerate() {
                values[(group * tokens + token) * ROWS..][..piece.len()].copy_from_slice(piece);
            }
        }

        // (width, panel), (keys, panel), (width, panel)
        let mut queries = vec![0f32; width * panel];
        let mut scores = vec![0f32; key_groups * ROWS * panel];
        let mut result = vec![0f32; value_groups * ROWS * panel];
        for first in (0..tokens).step_by(panel) {
            let count = panel.min(tokens - first);
            // Columns beyond the last token keep what they had and are not written out.
            for column in 0..count {
                for (slot, &number) in queries.iter_mut().skip(column).step_by(panel).zip(self.of_token(0, first + column)) {
                    *slot = number;
                }
            }
            let mut seen = [0usize; MAX_PANEL];
            for (column, seen) in seen.iter_mut().enumerate().take(panel) {
                *seen = self.mask.seen(self.item, first + column.min(count - 1), tokens);
            }
            let seen = &seen[..panel];
            let most = seen.iter().copied().max().unwrap_or(tokens);
            let least = seen.iter().copied().min().unwrap_or(tokens);

            let groups = most.div_ceil(ROWS);
            for (keys, scores) in keys.chunks_exact(width * ROWS).zip(scores.chunks_exact_mut(ROWS * panel)).take(groups) {
                product(simd, keys, &queries, scores);
            }
            let scores = &mut scores[..most * panel];
            for (key, row) in scores.chunks_exact_mut(panel).enumerate().skip(least) {
                for (score, &seen) in row.iter_mut().zip(seen) {
                    if key >= seen {
                        *score = f32::NEG_INFINITY;
                    }
                }
            }
            let mut sums = [0f32; MAX_PANEL];
            exponentials(scores, &mut sums[..panel]);
            for (values, result) in values.chunks_exact(tokens * ROWS).zip(result.chunks_exact_mut(ROWS * panel)) {
                product(simd, &values[..most * ROWS], scores, result);
            }
            for (column, sum) in sums.iter().enumerate().take(count) {
                let inverse = sum.recip();
                let from = result.iter().skip(column).step_by(panel);
                for (slot, &number) in self.out[(first + column) * width..][..width].iter_mut().zip(from) {
                    *slot = number * inverse;
                }
            }
        }
    }
}

/// `left (k, ROWS)` transposed times `right (k, two vectors)` → `out (ROWS, two vectors)`.
#[inline(always)]
fn product<S: Simd>(simd: S, left: &[f32], right: &[f32], out: &mut [f32]) {
    let panel = 2 * S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); 2]; ROWS];
    for (left, right) in left.chunks_exact(ROWS).zip(right.chunks_exact(panel)) {
        let (right, _) = S::as_simd_f32s(right);
        let (low, high) = (right[0], right[1]);
        for (sums, &left) in sums.iter_mut().zip(left) {
            let left = simd.splat_f32s(left);
            sums[0] = simd.mul_add_e_f32s(left, low, sums[0]);
            sums[1] = simd.mul_add_e_f32s(left, high, sums[1]);
        }
    }
    for (row, sums) in out.chunks_exact_mut(panel).zip(&sums) {
        let (slots, _) = S::as_mut_simd_f32s(row);
        slots.copy_from_slice(sums);
    }
}

/// Replaces each score by its exponential, the largest of each column being 1, and adds up the columns: `(keys, columns)` → `(columns)`.
#[inline(always)]
fn exponentials(scores: &mut [f32], sums: &mut [f32]) {
    let columns = sums.len();
    let mut largest = [f32::NEG_INFINITY; MAX_PANEL];
    let largest = &mut largest[..columns];
    for row in scores.chunks_exact(columns) {
        for (largest, &score) in largest.iter_mut().zip(row) {
            *largest = if score > *largest { score } else { *largest };
        }
    }
    for row in scores.chunks_exact_mut(columns) {
        for ((sum, score), &largest) in sums.iter_mut().zip(row).zip(largest.iter()) {
            let value = exp(*score - largest);
            *score = value;
            *sum += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn waves(shape: (usize, usize, usize), spread: f64) -> Tensor {
        let count = shape.0 * shape.1 * shape.2;
        let steps = Tensor::arange(0f32, count as f32, &Device::Cpu).unwrap();
        ((steps * 0.731).unwrap().sin().unwrap() * spread).unwrap().reshape(shape).unwrap()
    }

    fn worst(ours: &Tensor, other: &Tensor) -> f32 {
        (ours - other).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn own_attention_agrees_with_candles() {
        // Widths that are no multiple of a vector, token counts around the groups and panels.
        for (batch, tokens, heads, width) in [(1, 1, 1, 4), (2, 5, 3, 16), (1, 6, 2, 12), (3, 50, 4, 64), (1, 77, 2, 72), (2, 257, 3, 40)] {
            let qkv = waves((batch, tokens, 3 * heads * width), 1.5);
            let lengths = (0..batch).map(|item| 1 + (item * 7 + tokens / 2) % tokens).collect::<Vec<_>>();
            for mask in [
                Mask::NONE,
                Mask { causal: true, lengths: None },
                Mask { causal: false, lengths: Some(lengths.clone()) },
                Mask { causal: true, lengths: Some(lengths) },
            ] {
                let ours = attend(&qkv, heads, &mask).unwrap();
                // In double precision, so that what differs is ours.
                let truth = attend(&qkv.to_dtype(DType::F64).unwrap(), heads, &mask).unwrap().to_dtype(DType::F32).unwrap();
                let off = worst(&ours, &truth);
                assert!(off < 2e-6 * 1.5, "{batch} × {tokens} tokens, {heads} heads of {width}, {mask:?}: {off}");
            }
        }
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let qkv = waves((1, 9, 3 * 2 * 16), 60.0);
        let ours = attend(&qkv, 2, &Mask::NONE).unwrap();
        assert!(worst(&ours, &attend_with_candle(&qkv, 2, &Mask::NONE).unwrap()) < 1e-4);
    }

    #[test]
    fn shapes_and_masks_that_do_not_fit_are_refused() {
        let qkv = waves((2, 4, 24), 1.0);
        assert!(attend(&qkv, 5, &Mask::NONE).is_err());
        assert!(attend(&qkv, 2, &Mask { causal: false, lengths: Some(vec![1]) }).is_err());
        assert!(attend(&qkv, 2, &Mask { causal: false, lengths: Some(vec![1, 5]) }).is_err());
        assert!(attend(&qkv, 2, &Mask { causal: false, lengths: Some(vec![0, 4]) }).is_err());
    }
}
