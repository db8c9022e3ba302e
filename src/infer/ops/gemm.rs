//! Rows × weights on the CPU, with bias, activation and residual done while the sums are still in registers: what every convolution and
//! every linear layer comes down to. Imports nothing of ours outside `ops`.
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

/// Rows are handed to threads in bands of at most this many: a multiple of every kernel's height.
const BAND_ROWS: usize = 48;

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
    pub(super) fn pack(outputs: usize, inner: usize, bias: Option<&[f32]>, weight: impl Fn(usize, usize) -> f32) -> Self {
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
        let packed = weights.floats_mut();
        for block in &blocks {
            let width = block.width * lanes;
            for k in 0..inner {
                for i in 0..width.min(outputs - block.first_output) {
                    packed[block.offset + k * width + i] = weight(block.first_output + i, k);
                }
            }
        }
        let mut padded = vec![0.0; outputs.div_ceil(lanes) * lanes];
        if let Some(bias) = bias {
            padded[..outputs].copy_from_slice(bias);
        }
        Self { weights, bias: padded, blocks, inner, outputs, lanes }
    }
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
    #[inline(always)]
    pub(super) fn get(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.pitch + self.first..][..self.width]
    }
}

/// Where the rows of a product lie.
pub(super) trait Segments<'a>: Sync {
    /// The lengths of a row's segments; their sum is the inner dimension.
    fn lengths(&self) -> &[usize];
    /// For rows `first..first + count`: appends the first segment of each, then the second of each, and so on.
    fn push(&self, first: usize, count: usize, table: &mut Vec<&'a [f32]>);
}

/// Multiplies: `out` (rows, outputs) = activation(rows × weights + bias) + residual.
pub(super) fn multiply<'a>(
    panels: &Panels,
    source: &impl Segments<'a>,
    activation: Activation,
    residual: Option<Rows<'_>>,
    out: &mut [f32],
) {
    let outputs = panels.outputs;
    assert_eq!(source.lengths().iter().sum::<usize>(), panels.inner, "the segments fill a row");
    let rows = out.len() / outputs;
    // Several bands for each thread, so that the last one keeps nobody waiting.
    let band = (rows.div_ceil(8 * rayon::current_num_threads()).div_ceil(12) * 12).clamp(12, BAND_ROWS);
    let work = |(index, out): (usize, &mut [f32])| {
        let (first, count) = (index * band, out.len() / outputs);
        let mut table = Vec::with_capacity(source.lengths().len() * count);
        source.push(first, count, &mut table);
        simd::run(Band { panels, table: &table, lengths: source.lengths(), first, count, activation, residual, out });
    };
    if rows <= band {
        work((0, out));
    } else {
        out.par_chunks_mut(band * outputs).enumerate().for_each(work);
    }
}

struct Band<'a, 'b> {
    panels: &'a Panels,
    table: &'a [&'b [f32]],
    lengths: &'a [usize],
    first: usize,
    count: usize,
    activation: Activation,
    residual: Option<Rows<'a>>,
    out: &'a mut [f32],
}

impl WithSimd for Band<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, s: S) {
        debug_assert_eq!(S::F32_LANES, self.panels.lanes);
        for block in &self.panels.blocks {
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
                let residual = self.residual.map(|rows| rows.get(self.first + at));
                for (v, &sum) in sums.iter().enumerate() {
                    let first = block.first_output + v * S::F32_LANES;
                    let last = (first + S::F32_LANES).min(outputs);
                    if first >= last {
                        break;
                    }
                    let sum = activate(s, self.activation, s.add_f32s(sum, bias[v]));
                    let sum = match residual {
                        Some(row) => s.add_f32s(sum, s.partial_load_f32s(&row[first..last])),
                        None => sum,
                    };
                    let to = &mut self.out[at * outputs + first..at * outputs + last];
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
        Activation::Relu => s.max_f32s(x, s.splat_f32s(0.0)),
    }
}
