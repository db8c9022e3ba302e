//! Attention in windows, which Candle runs with copies. Plain loops over slices of f32, spread over rayon's threads and compiled for
//! the widest vectors the processor has. Apart, because [`super::layers`] decides when they are used: they know slices and sizes, no
//! tensors.
//!
//! All activations lie channels last, so that every loop runs along the channels of one pixel.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::infer::ops::exp;

/// Channels kept in registers at once.
const LANES: usize = 32;

/// Queries that share one pass over the keys.
const QUERIES: usize = 4;

/// A loop worth compiling for the widest vectors: a value, and not a closure, so that its code is sure to be compiled into the
/// function that may use them. `FUSED` says whether a fused multiply-add is one instruction.
trait Kernel {
    fn run<const FUSED: bool>(self);
}

struct Vectorised<K>(K);

impl<K: Kernel> WithSimd for Vectorised<K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.0.run::<true>();
    }
}

/// Runs a kernel with the widest vectors there are.
fn run(kernel: impl Kernel) {
    match Arch::new() {
        Arch::Scalar => kernel.run::<false>(),
        arch => arch.dispatch(Vectorised(kernel)),
    }
}

/// `a · b + c`, in one instruction where there is one: without it, the fused form is a slow function of the C library.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Sums in sixteen strands, which vectorises and loses less than one strand does.
#[inline(always)]
fn sum_of<const FUSED: bool>(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; 16];
    let chunks = row.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|&x| term(x)).sum();
    for chunk in chunks {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += term(x);
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Where the rows of queries, keys or values lie: `heads` vectors of `head_len`, from `offset` in a row of `row_len`,
/// `head_stride` apart; rows form images of `height` × `width`, cut into windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) window_height: usize,
    pub(super) window_width: usize,
    pub(super) row_len: usize,
    pub(super) offset: usize,
    pub(super) head_stride: usize,
    pub(super) head_len: usize,
}

impl Rows {
    fn windows_across(&self) -> usize {
        self.width.div_ceil(self.window_width)
    }
}

/// What is added to the products of queries and keys before the softmax.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bias<'a> {
    /// Nothing.
    None,
    /// `(heads, queries of a window, keys of a window)`.
    Full(&'a [f32]),
    /// The products of the query with a vector for its distance in rows and one for its distance in columns, each table
    /// `(2 · side - 1, head_len)` for windows of `side` rows or columns: what ViTDet calls decomposed relative positions.
    Decomposed { vertical: &'a [f32], horizontal: &'a [f32] },
}

/// The rows to attend with, to and over, with what stands where a window reaches beyond the image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attention<'a> {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) scale: f32,
    pub(super) queries: &'a [f32],
    pub(super) query_rows: Rows,
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
    pub(super) key_rows: Rows,
    pub(super) value_rows: Rows,
    /// The row of a token beyond the image, shaped like those of `keys` and `values`; without one such tokens take no part.
    pub(super) padding: Option<&'a [f32]>,
    pub(super) bias: Bias<'a>,
}

/// Room that one task uses again and again.
#[derive(Default)]
struct Scratch {
    /// `(head_len, keys)`, the keys of one window and head turned over, each line a multiple of [`LANES`] long.
    keys: Vec<f32>,
    /// `(keys, head_len)`.
    values: Vec<f32>,
    /// `(QUERIES, keys)`.
    weights: Vec<f32>,
    /// `(QUERIES, head_len)`.
    queries: Vec<f32>,
    /// Rows of the keys of the window, [`usize::MAX`] for padding.
    places: Vec<usize>,
    /// The products of one query with the tables of relative positions.
    distances: Vec<f32>,
}

/// Softmax(queries · keys · scale + bias) · values, window by window: `(batch, height, width, heads · head_len of values)`.
pub(super) fn attention(work: &Attention<'_>) -> Vec<f32> {
    let rows = work.query_rows;
    let out_len = work.heads * work.value_rows.head_len;
    let mut out = vec![0.0; work.batch * rows.height * rows.width * out_len];
    let bands = work.batch * rows.height.div_ceil(rows.window_height);
    // Enough tasks for the threads, none of which crosses from one row of windows into the next.
    let wanted = (4 * rayon::current_num_threads()).div_ceil(bands);
    let lines = (1..=rows.window_height)
        .filter(|lines| rows.window_height.is_multiple_of(*lines) && rows.window_height / lines >= wanted)
        .max()
        .unwrap_or(1);
    out.par_chunks_mut(rows.height * rows.width * out_len).enumerate().for_each(|(image, out)| {
        out.par_chunks_mut(lines * rows.width * out_len).enumerate().for_each_init(Scratch::default, |scratch, (task, out)| {
            run(Attend { work, image, first_line: task * lines, out, scratch });
        });
    });
    out
}

struct Attend<'a, 'b> {
    work: &'a Attention<'b>,
    image: usize,
    first_line: usize,
    out: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Kernel for Attend<'_, '_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        attend::<FUSED>(self.work, self.image, self.first_line, self.out, self.scratch);
    }
}

/// Attention of the queries in the lines from `first_line` on, as many as `out` holds; they lie in one row of windows.
#[inline(always)]
fn attend<const FUSED: bool>(work: &Attention<'_>, image: usize, first_line: usize, out: &mut [f32], scratch: &mut Scratch) {
    let rows = work.query_rows;
    let value_len = work.value_rows.head_len;
    let out_len = work.heads * value_len;
    let lines = out.len() / (rows.width * out_len);
    let window_y = first_line / rows.window_height;
    for window_x in 0..rows.windows_across() {
        find_keys(work, image, window_y, window_x, &mut scratch.places);
        let first_column = window_x * rows.window_width;
        let columns = rows.window_width.min(rows.width - first_column);
        let queries = lines * columns;
        for head in 0..work.heads {
            pack_window(work, head, scratch);
            for first in (0..queries).step_by(QUERIES) {
                let count = QUERIES.min(queries - first);
                let place = |index: usize| (first_line + (first + index) / columns, first_column + (first + index) % columns);
                for index in 0..count {
                    let (y, x) = place(index);
                    let row = ((image * rows.height + y) * rows.width + x) * rows.row_len + rows.offset + head * rows.head_stride;
                    scratch.queries[index * rows.head_len..][..rows.head_len].copy_from_slice(&work.queries[row..row + rows.head_len]);
                }
                multiply_keys::<FUSED>(work.scale, rows.head_len, scratch);
                for index in 0..count {
                    let (y, x) = place(index);
                    let in_window = (y - window_y * rows.window_height, x - first_column);
                    add_bias::<FUSED>(work, head, in_window, index, scratch);
                    softmax::<FUSED>(&mut scratch.weights, index, scratch.places.len());
                }
                let mut sums = [[0.0_f32; LANES]; QUERIES];
                for from in (0..value_len).step_by(LANES) {
                    let lanes = LANES.min(value_len - from);
                    mix_values::<FUSED>(&mut sums, from, lanes, value_len, scratch);
                    for (index, sums) in sums.iter().enumerate().take(count) {
                        let (y, x) = place(index);
                        let at = ((y - first_line) * rows.width + x) * out_len + head * value_len + from;
                        out[at..at + lanes].copy_from_slice(&sums[..lanes]);
                    }
                }
            }
        }
    }
}

/// Lists the rows of the keys in one window, padding included where it takes part.
#[inline(always)]
fn find_keys(work: &Attention<'_>, image: usize, window_y: usize, window_x: usize, places: &mut Vec<usize>) {
    let rows = work.key_rows;
    places.clear();
    for y in window_y * rows.window_height..(window_y + 1) * rows.window_height {
        for x in window_x * rows.window_width..(window_x + 1) * rows.window_width {
            if y < rows.height && x < rows.width {
                places.push((image * rows.height + y) * rows.width + x);
            } else if work.padding.is_some() {
                places.push(usize::MAX);
            }
        }
    }
}

/// Length of a line of scratch memory for so many keys.
fn line_len(keys: usize) -> usize {
    keys.div_ceil(LANES) * LANES
}

/// Copies the keys (turned over) and values of one window and head together.
#[inline(always)]
fn pack_window(work: &Attention<'_>, head: usize, scratch: &mut Scratch) {
    let (key_rows, value_rows) = (work.key_rows, work.value_rows);
    let line = line_len(scratch.places.len());
    scratch.keys.resize(key_rows.head_len * line, 0.0);
    scratch.values.resize(line * value_rows.head_len, 0.0);
    scratch.weights.resize(QUERIES * line, 0.0);
    scratch.queries.resize(QUERIES * key_rows.head_len, 0.0);
    for (index, &place) in scratch.places.iter().enumerate() {
        let (keys, values, key_at, value_at) = match work.padding {
            Some(padding) if place == usize::MAX => (padding, padding, 0, 0),
            _ => (work.keys, work.values, place * key_rows.row_len, place * value_rows.row_len),
        };
        let key_at = key_at + key_rows.offset + head * key_rows.head_stride;
        for (channel, &x) in keys[key_at..key_at + key_rows.head_len].iter().enumerate() {
            scratch.keys[channel * line + index] = x;
        }
        let value_at = value_at + value_rows.offset + head * value_rows.head_stride;
        scratch.values[index * value_rows.head_len..][..value_rows.head_len]
            .copy_from_slice(&values[value_at..value_at + value_rows.head_len]);
    }
}

/// The products of [`QUERIES`] queries with all keys of the window.
#[inline(always)]
fn multiply_keys<const FUSED: bool>(scale: f32, head_len: usize, scratch: &mut Scratch) {
    let line = line_len(scratch.places.len());
    for from in (0..line).step_by(LANES) {
        let mut sums = [[0.0_f32; LANES]; QUERIES];
        for channel in 0..head_len {
            let keys = &scratch.keys[channel * line + from..][..LANES];
            for (index, sums) in sums.iter_mut().enumerate() {
                let query = scratch.queries[index * head_len + channel];
                for (sum, &key) in sums.iter_mut().zip(keys) {
                    *sum = multiply_add::<FUSED>(query, key, *sum);
                }
            }
        }
        for (index, sums) in sums.iter().enumerate() {
            for (weight, sum) in scratch.weights[index * line + from..][..LANES].iter_mut().zip(sums) {
                *weight = sum * scale;
            }
        }
    }
}

/// Adds the bias of the query at (row, column) of its window to its products.
#[inline(always)]
fn add_bias<const FUSED: bool>(work: &Attention<'_>, head: usize, (row, column): (usize, usize), index: usize, scratch: &mut Scratch) {
    let keys = scratch.places.len();
    let line = line_len(keys);
    let weights = &mut scratch.weights[index * line..][..keys];
    match work.bias {
        Bias::None => {}
        Bias::Full(bias) => {
            let window_len = work.query_rows.window_height * work.query_rows.window_width;
            let query = row * work.query_rows.window_width + column;
            let bias = &bias[(head * window_len + query) * keys..][..keys];
            for (weight, bias) in weights.iter_mut().zip(bias) {
                *weight += bias;
            }
        }
        Bias::Decomposed { vertical, horizontal } => {
            let (height, width) = (work.key_rows.window_height, work.key_rows.window_width);
            let head_len = work.query_rows.head_len;
            let query = &scratch.queries[index * head_len..][..head_len];
            scratch.distances.resize(height + width, 0.0);
            for (other, distance) in scratch.distances.iter_mut().enumerate() {
                let (table, from) =
                    if other < height { (vertical, row + height - 1 - other) } else { (horizontal, column + width - 1 - (other - height)) };
                *distance = dot::<FUSED>(query, &table[from * head_len..][..head_len]);
            }
            let (down, across) = scratch.distances.split_at(height);
            for (weights, down) in weights.chunks_exact_mut(width).zip(down) {
                for (weight, across) in weights.iter_mut().zip(across) {
                    *weight += down + across;
                }
            }
        }
    }
}

#[inline(always)]
fn dot<const FUSED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum = multiply_add::<FUSED>(a, b, *sum);
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Makes weights that sum to 1 of one query's products. Those beyond `keys` become 0.
#[inline(always)]
fn softmax<const FUSED: bool>(weights: &mut [f32], index: usize, keys: usize) {
    let line = line_len(keys);
    let weights = &mut weights[index * line..][..line];
    weights[keys..].fill(f32::NEG_INFINITY);
    let mut most = [f32::NEG_INFINITY; LANES];
    for chunk in weights.chunks_exact(LANES) {
        for (most, &x) in most.iter_mut().zip(chunk) {
            *most = if x > *most { x } else { *most };
        }
    }
    let most = most.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for x in weights.iter_mut() {
        *x = exp(*x - most);
    }
    weights[keys..].fill(0.0);
    let scale = 1.0 / sum_of::<FUSED>(weights, |x| x);
    for x in weights.iter_mut() {
        *x *= scale;
    }
}

/// The values of the window mixed by the weights of [`QUERIES`] queries, channels `from..from + lanes`.
#[inline(always)]
fn mix_values<const FUSED: bool>(sums: &mut [[f32; LANES]; QUERIES], from: usize, lanes: usize, value_len: usize, scratch: &Scratch) {
    let keys = scratch.places.len();
    let line = line_len(keys);
    let weights: [&[f32]; QUERIES] = std::array::from_fn(|index| &scratch.weights[index * line..][..keys]);
    // Sums that never leave the registers need a length known beforehand.
    let mut totals = [[0.0_f32; LANES]; QUERIES];
    if lanes == LANES {
        for key in 0..keys {
            let Some(values) = scratch.values[key * value_len + from..].first_chunk::<LANES>() else { break };
            for (totals, weights) in totals.iter_mut().zip(&weights) {
                let weight = weights[key];
                for (total, &value) in totals.iter_mut().zip(values) {
                    *total = multiply_add::<FUSED>(weight, value, *total);
                }
            }
        }
    } else {
        for key in 0..keys {
            let values = &scratch.values[key * value_len + from..][..lanes];
            for (totals, weights) in totals.iter_mut().zip(&weights) {
                for (total, &value) in totals.iter_mut().zip(values) {
                    *total = multiply_add::<FUSED>(weights[key], value, *total);
                }
            }
        }
    }
    *sums = totals;
}
