//! What a convolution multiplies: for each pixel the segments of memory that its kernel sees, so that no patches are copied.
//! Imports nothing of ours outside `ops`.

use super::{
    conv::ConvShape,
    gemm::{Rows, Segments},
    map::View,
};

/// The pixels of maps that are concatenated, one segment per map.
pub(super) struct Pointwise<'a> {
    pub(super) rows: Vec<Rows<'a>>,
    pub(super) lengths: Vec<usize>,
}

impl<'a> Segments<'a> for Pointwise<'a> {
    fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    fn push(&self, first: usize, count: usize, table: &mut Vec<&'a [f32]>) {
        for rows in &self.rows {
            table.extend((first..first + count).map(|row| rows.get(row)));
        }
    }
}

/// For each line of a map, what a kernel sees that hangs over its left or right end.
#[derive(Default)]
pub(super) struct Edges {
    /// (lines, 2, kernel * channels): left, right; only kernels of 3 with padding 1 hang over by one pixel.
    floats: Vec<f32>,
}

impl Edges {
    pub(super) fn of(map: View<'_>, shape: &ConvShape) -> Self {
        if (shape.kernel, shape.padding) != (3, 1) {
            return Self::default();
        }
        let channels = map.channels;
        let mut floats = vec![0.0; map.batch * map.height * 6 * channels];
        let data = map.data;
        for (line, patch) in floats.chunks_exact_mut(6 * channels).enumerate() {
            let pixels = &data[line * map.width * channels..][..map.width * channels];
            patch[channels..3 * channels].copy_from_slice(&pixels[..2 * channels]);
            patch[3 * channels..5 * channels].copy_from_slice(&pixels[(map.width - 2) * channels..]);
        }
        Self { floats }
    }
}

/// What each tap of a kernel sees. Where the pixels of a kernel's row are neighbours in memory, they are one segment.
pub(super) struct Taps<'a> {
    map: View<'a>,
    shape: ConvShape,
    out: (usize, usize),
    zeros: &'a [f32],
    edges: Option<&'a Edges>,
    lengths: Vec<usize>,
}

impl<'a> Taps<'a> {
    pub(super) fn new(map: View<'a>, shape: &ConvShape, out: (usize, usize), zeros: &'a [f32], edges: Option<&'a Edges>) -> Self {
        let edges = edges.filter(|edges| !edges.floats.is_empty() || shape.padding == 0);
        let lengths = match edges {
            Some(_) => vec![shape.kernel * map.channels; shape.kernel],
            None => vec![map.channels; shape.kernel * shape.kernel],
        };
        Self { map, shape: *shape, out, zeros, edges, lengths }
    }
}

impl<'a> Segments<'a> for Taps<'a> {
    fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    fn push(&self, first: usize, count: usize, table: &mut Vec<&'a [f32]>) {
        let (map, kernel, stride, padding) = (self.map, self.shape.kernel, self.shape.stride, self.shape.padding);
        let (height, width) = self.out;
        let data = map.data;
        let length = self.lengths[0];
        for segment in 0..self.lengths.len() {
            let (tap_y, tap_x) = if self.edges.is_some() { (segment, 0) } else { (segment / kernel, segment % kernel) };
            let (mut line, mut x) = (first / width, first % width);
            let mut left = count;
            while left > 0 {
                let run = left.min(width - x);
                // In padded coordinates; what is in the map begins at `padding`.
                let in_y = line % height * stride + tap_y;
                if in_y < padding || in_y - padding >= map.height {
                    table.extend(std::iter::repeat_n(&self.zeros[..length], run));
                } else {
                    let in_line = line / height * map.height + in_y - padding;
                    for x in x..x + run {
                        let in_x = x * stride + tap_x;
                        let outside = in_x < padding || in_x - padding >= map.width;
                        table.push(match self.edges {
                            Some(edges) if in_x < padding => &edges.floats[in_line * 2 * length..][..length],
                            Some(edges) if in_x - padding + kernel > map.width => &edges.floats[(in_line * 2 + 1) * length..][..length],
                            None if outside => &self.zeros[..length],
                            _ => &data[(in_line * map.width + in_x - padding) * map.pitch + map.first..][..length],
                        });
                    }
                }
                left -= run;
                x = 0;
                line += 1;
            }
        }
    }
}
