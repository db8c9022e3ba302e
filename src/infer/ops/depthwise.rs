//! The loop of a convolution of every channel with a kernel of its own. Imports nothing of ours outside `ops`.

use pulp::{Simd, WithSimd};

use super::{
    Activation,
    conv::ConvShape,
    gemm::{Residual, finished},
    map::View,
};

/// One line of a depthwise convolution.
pub(super) struct DepthwiseLine<'a> {
    pub(super) shape: ConvShape,
    pub(super) activation: Activation,
    pub(super) map: View<'a>,
    pub(super) taps: &'a [f32],
    pub(super) bias: &'a [f32],
    /// With the place of the line's first pixel in it.
    pub(super) residual: Option<(Residual<'a>, usize)>,
    pub(super) image: usize,
    pub(super) y: usize,
    pub(super) out: &'a mut [f32],
}

impl WithSimd for DepthwiseLine<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let ConvShape { kernel, stride, padding, outputs: channels, .. } = self.shape;
        let map = self.map;
        let rows = map.rows();
        for (x, out) in self.out.chunks_exact_mut(channels).enumerate() {
            let mut first = 0;
            while first < channels {
                // Four registers of channels at a time, so that no sum waits for the one before.
                let last = (first + 4 * S::F32_LANES).min(channels);
                let mut sums = [s.splat_f32s(0.0); 4];
                for tap_y in 0..kernel {
                    let in_y = self.y * stride + tap_y;
                    if in_y < padding || in_y - padding >= map.height {
                        continue;
                    }
                    for tap_x in 0..kernel {
                        let in_x = x * stride + tap_x;
                        if in_x < padding || in_x - padding >= map.width {
                            continue;
                        }
                        let pixel = (self.image * map.height + in_y - padding) * map.width + in_x - padding;
                        let values = &rows.get(pixel)[first..last];
                        let taps = &self.taps[(tap_y * kernel + tap_x) * channels..][first..last];
                        let ((values, values_left), (taps, taps_left)) = (S::as_simd_f32s(values), S::as_simd_f32s(taps));
                        for (sum, (&value, &tap)) in sums.iter_mut().zip(values.iter().zip(taps)) {
                            *sum = s.mul_add_e_f32s(value, tap, *sum);
                        }
                        if !taps_left.is_empty() {
                            let (value, tap) = (s.partial_load_f32s(values_left), s.partial_load_f32s(taps_left));
                            sums[taps.len()] = s.mul_add_e_f32s(value, tap, sums[taps.len()]);
                        }
                    }
                }
                for (v, sum) in sums.into_iter().enumerate() {
                    let from = first + v * S::F32_LANES;
                    let to = (from + S::F32_LANES).min(last);
                    if from >= to {
                        break;
                    }
                    let sum = s.add_f32s(sum, s.partial_load_f32s(&self.bias[from..to]));
                    let residual = self.residual.map(|(residual, line)| (&residual.rows.get(line + x)[from..to], residual.is_activated));
                    let sum = finished(s, self.activation, sum, residual);
                    s.partial_store_f32s(&mut out[from..to], sum);
                }
                first = last;
            }
        }
    }
}
