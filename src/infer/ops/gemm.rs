//! Rows × weights on the CPU, with bias, activation and residual done while the sums are still in registers: what every convolution and
//! every linear layer comes down to. Imports `infer::error`.
//!
//! The weights are packed once, in blocks of as many outputs as the registers hold; the rows are read where they lie, as a list of
//! segments (one per tap of a convolution, or per concatenated input), so no im2col copy and no concatenation is made. The layout is
//! channels last, so a segment is a plain slice and a sum over channels runs through memory in order.
//!
//! A row's result depends on that row alone, summed in one fixed order: the same alone as in a batch, and with any number of threads.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{
    Activation,
    buffer::Aligned,
    simd::{self, exp, gelu, silu},
};
use crate::infer::{InferError, Result};

/// Rows are handed to threads in bands of at most this many: a multiple of every kernel's height.
const BAND_ROWS: usize = 48;

/// Up to so many rows, threads share the outputs and not the rows: each weight is then read once, where every band would read them all.
const FEW_ROWS: usize = 128;
/// … where there are at least so many products to share.
const MANY_PRODUCTS: usize = 1 << 21;

/// Consecutive outputs that one pass computes.
#[derive(Debug, Clone)]
struct Block {
    first_output: usize,
    /// In registers.
    width: usize,
    /// Where its weights begin, in floats.
    offset: usize,
}

/// Weights (inner, outputs) in the order in which the kernels read them, with the bias.
#[derive(Debug, Clone)]
pub(super) struct Panels {
    weights: Aligned,
    bias: Vec<f32>,
    blocks: Vec<Block>,
    inner: usize,
    outputs: usize,
    lanes: usize,
}

impl Panels {
    /// Packs `weight(output, inner)`.
    pub(super) fn pack(outputs: usize, inner: usize, bias: Option<&[f32]>, weight: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let (lanes, registers) = simd::width();
        let widest = if registers >= 32 { 4 } else { 2 };
        let mut blocks = Vec::new();
        let (mut first, mut offset) = (0, 0);
        let mut left = outputs.div_ceil(lanes);
        while left > 0 {
            // 5 registers as 3 + 2, not 4 + 1: a kernel one register wide waits for its loads.
            let width = if left == widest + 1 && widest > 2 { widest - 1 } else { left.min(widest) };
            blocks.push(Block { first_output: first, width, offset });
            first += width * lanes;
            offset += width * lanes * inner;
            left -= width;
        }
        let mut weights = Aligned::zeros(offset);
        let mut left = weights.floats_mut();
        let parts: Vec<(&Block, &mut [f32])> =
            blocks.iter().map(|block| (block, split_off(&mut left, block.width * lanes * inner))).collect();
        parts.into_par_iter().for_each(|(block, packed)| {
            let width = block.width * lanes;
            for (k, packed) in packed.chunks_exact_mut(width).enumerate() {
                for (i, packed) in packed.iter_mut().enumerate().take(outputs - block.first_output) {
                    *packed = weight(block.first_output + i, k);
                }
            }
        });
        let mut padded = vec![0.0; outputs.div_ceil(lanes) * lanes];
        if let Some(bias) = bias {
            padded[..outputs].copy_from_slice(bias);
        }
        Self { weights, bias: padded, blocks, inner, outputs, lanes }
    }
}

/// Takes the first `count` off.
fn split_off<'a>(left: &mut &'a mut [f32], count: usize) -> &'a mut [f32] {
    let (first, rest) = std::mem::take(left).split_at_mut(count);
    *left = rest;
    first
}

/// Rows of `width` floats, `pitch` apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) data: &'a [f32],
    pub(super) first: usize,
    pub(super) pitch: usize,
    pub(super) width: usize,
}

impl<'a> Rows<'a> {
    /// What is added to a product of `len` values, `width` a row.
    ///
    /// # Errors
    /// `BadInput` when there are not as many.
    pub(super) fn of_residual(data: &'a [f32], width: usize, len: usize) -> Result<Self> {
        if data.len() != len {
            return Err(InferError::BadInput(format!("{} values are added to {len}", data.len())));
        }
        Ok(Self { data, first: 0, pitch: width, width })
    }

    #[inline(always)]
    pub(super) fn get(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.pitch + self.first..][..self.width]
    }
}

/// What is added to a product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Residual<'a> {
    /// As many as the product has, as wide.
    pub(super) rows: Rows<'a>,
    /// Added before the activation, not after it.
    pub(super) is_activated: bool,
}

/// Where the rows of a product lie.
pub(super) trait Segments<'a>: Sync {
    /// The lengths of a row's segments; their sum is the inner dimension.
    fn lengths(&self) -> &[usize];
    /// For rows `first..first + count`: appends the first segment of each, then the second of each, and so on.
    fn push(&self, first: usize, count: usize, table: &mut Vec<&'a [f32]>);
}

/// Multiplies: `out` (rows, outputs) = activation(rows × weights + bias) + residual, or activation(rows × weights + bias + residual).
pub(super) fn multiply<'a>(
    panels: &Panels,
    source: &impl Segments<'a>,
    activation: Activation,
    residual: Option<Residual<'_>>,
    out: &mut [f32],
) {
    let outputs = panels.outputs;
    assert_eq!(source.lengths().iter().sum::<usize>(), panels.inner, "the segments fill a row");
    let rows = out.len() / outputs;
    if rows <= FEW_ROWS && rows * panels.inner * outputs >= MANY_PRODUCTS {
        return multiply_by_outputs(panels, source, activation, residual, out);
    }
    // Several bands for each thread, so that the last one keeps nobody waiting.
    let band = (rows.div_ceil(8 * rayon::current_num_threads()).div_ceil(12) * 12).clamp(12, BAND_ROWS);
    let work = |(index, out): (usize, &mut [f32])| {
        let (first, count) = (index * band, out.len() / outputs);
        let mut table = Vec::with_capacity(source.lengths().len() * count);
        source.push(first, count, &mut table);
        let to = Columns { first: 0, pitch: outputs };
        simd::run(Band {
            panels,
            blocks: &panels.blocks,
            table: &table,
            lengths: source.lengths(),
            first,
            count,
            activation,
            residual,
            out,
            to,
        });
    };
    if rows <= band {
        work((0, out));
    } else {
        out.par_chunks_mut(band * outputs).enumerate().for_each(work);
    }
}

/// The same, a block of outputs at a time for all rows.
fn multiply_by_outputs<'a>(
    panels: &Panels,
    source: &impl Segments<'a>,
    activation: Activation,
    residual: Option<Residual<'_>>,
    out: &mut [f32],
) {
    let outputs = panels.outputs;
    let rows = out.len() / outputs;
    let mut table = Vec::with_capacity(source.lengths().len() * rows);
    source.push(0, rows, &mut table);
    let parts: Vec<(Columns, Vec<f32>)> = panels
        .blocks
        .par_chunks(1)
        .map(|blocks| {
            let first = blocks[0].first_output;
            let to = Columns { first, pitch: (blocks[0].width * panels.lanes).min(outputs - first) };
            let mut out = vec![0.0; rows * to.pitch];
            let (lengths, out_part) = (source.lengths(), &mut out);
            simd::run(Band { panels, blocks, table: &table, lengths, first: 0, count: rows, activation, residual, out: out_part, to });
            (to, out)
        })
        .collect();
    for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
        for (at, part) in &parts {
            out[at.first..at.first + at.pitch].copy_from_slice(&part[row * at.pitch..][..at.pitch]);
        }
    }
}

/// Where the outputs of a product go: from which on, and from one row to the next.
#[derive(Debug, Clone, Copy)]
struct Columns {
    first: usize,
    pitch: usize,
}

struct Band<'a, 'b> {
    panels: &'a Panels,
    blocks: &'a [Block],
    table: &'a [&'b [f32]],
    lengths: &'a [usize],
    first: usize,
    count: usize,
    activation: Activation,
    residual: Option<Residual<'a>>,
    out: &'a mut [f32],
    to: Columns,
}

impl WithSimd for Band<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, s: S) {
        debug_assert_eq!(S::F32_LANES, self.panels.lanes);
        for block in self.blocks {
            match block.width {
                4 => self.block::<S, 6, 4>(s, block),
                3 => self.block::<S, 8, 3>(s, block),
                2 if S::REGISTER_COUNT >= 32 => self.block::<S, 12, 2>(s, block),
                2 => self.block::<S, 6, 2>(s, block),
                _ => self.block::<S, 12, 1>(s, block),
            }
        }
    }
}

impl<'b> Band<'_, 'b> {
    /// One block of outputs for all rows of the band, `MR` rows at a time.
    #[inline(always)]
    fn block<S: Simd, const MR: usize, const NV: usize>(&mut self, s: S, block: &Block) {
        let inner = self.panels.inner;
        let weights = &self.panels.weights.floats()[block.offset..][..inner * NV * S::F32_LANES];
        let (weights, _) = pulp::as_arrays::<NV, _>(S::as_simd_f32s(weights).0);
        let (bias, _) = S::as_simd_f32s(&self.panels.bias[block.first_output..]);
        let mut row = 0;
        while row < self.count {
            let sums = self.sums::<S, MR, NV>(s, row, weights);
            let outputs = self.panels.outputs;
            for (i, sums) in sums.iter().enumerate() {
                let at = row + i;
                if at >= self.count {
                    break;
                }
                let residual = self.residual.map(|residual| (residual.rows.get(self.first + at), residual.is_activated));
                for (v, &sum) in sums.iter().enumerate() {
                    let first = block.first_output + v * S::F32_LANES;
                    let last = (first + S::F32_LANES).min(outputs);
                    if first >= last {
                        break;
                    }
                    let sum = finished(s, self.activation, s.add_f32s(sum, bias[v]), residual.map(|(row, is)| (&row[first..last], is)));
                    let to = &mut self.out[at * self.to.pitch + first - self.to.first..][..last - first];
                    match S::as_mut_simd_f32s(to).0 {
                        [whole] => *whole = sum,
                        _ => s.partial_store_f32s(to, sum),
                    }
                }
            }
            row += MR;
        }
    }

    /// The sums of `MR` rows from `row` on; rows past the last are the last once more.
    #[inline(always)]
    fn sums<S: Simd, const MR: usize, const NV: usize>(&self, s: S, row: usize, weights: &[[S::f32s; NV]]) -> [[S::f32s; NV]; MR] {
        let mut sums = [[s.splat_f32s(0.0); NV]; MR];
        let mut weights = weights;
        for (segment, &length) in self.table.chunks_exact(self.count).zip(self.lengths) {
            let mut rows: [&'b [f32]; MR] = [&[]; MR];
            for (i, slot) in rows.iter_mut().enumerate() {
                *slot = &segment[(row + i).min(self.count - 1)][..length];
            }
            let (here, rest) = weights.split_at(length);
            weights = rest;
            for k in 0..length {
                let weight = here[k];
                for i in 0..MR {
                    let value = s.splat_f32s(rows[i][k]);
                    for v in 0..NV {
                        sums[i][v] = s.mul_add_e_f32s(value, weight[v], sums[i][v]);
                    }
                }
            }
        }
        sums
    }
}

/// One vector of sums through the activation, with the residual before or after it.
#[inline(always)]
pub(super) fn finished<S: Simd>(s: S, activation: Activation, sum: S::f32s, residual: Option<(&[f32], bool)>) -> S::f32s {
    match residual {
        None => activate(s, activation, sum),
        Some((row, true)) => activate(s, activation, s.add_f32s(sum, s.partial_load_f32s(row))),
        Some((row, false)) => s.add_f32s(activate(s, activation, sum), s.partial_load_f32s(row)),
    }
}

/// One vector through an activation.
#[inline(always)]
pub(super) fn activate<S: Simd>(s: S, activation: Activation, x: S::f32s) -> S::f32s {
    match activation {
        Activation::None => x,
        Activation::Silu => silu(s, x),
        Activation::Gelu => gelu(s, x),
        Activation::QuickGelu => {
            let one = s.splat_f32s(1.0);
            s.div_f32s(x, s.add_f32s(one, exp(s, s.mul_f32s(x, s.splat_f32s(-1.702)))))
        }
        Activation::GeluTanh => {
            // x/2 · (1 + tanh u) = x / (1 + e^-2u)
            let cube = s.mul_f32s(s.mul_f32s(x, x), x);
            let u = s.mul_f32s(s.splat_f32s(0.797_884_6), s.mul_add_e_f32s(cube, s.splat_f32s(0.044_715), x));
            s.div_f32s(x, s.add_f32s(s.splat_f32s(1.0), exp(s, s.mul_f32s(u, s.splat_f32s(-2.0)))))
        }
        Activation::Relu => s.max_f32s(x, s.splat_f32s(0.0)),
    }
}
