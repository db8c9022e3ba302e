//! From a photograph to the network's input and back: SAM shrinks the longest side to the input's and pads, SAM 2 squeezes the
//! image into the square. Apart, because it is arithmetic on pixels and no network.
//!
//! # Source
//! facebookresearch/segment-anything, `utils/transforms.py` and `modeling/sam.py` (Pillow's bilinear filter on 8 bits, padding
//! after the normalisation); facebookresearch/sam2 at 0c5f8c5, `utils/transforms.py` (the same filter on floats).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What red, green and blue (0..=255) are shifted and divided by.
///
/// # Source
/// ImageNet's mean and deviation, as both references have them.
const MEAN: [f32; 3] = [123.675, 116.28, 103.53];
const DEVIATION: [f32; 3] = [58.395, 57.12, 57.375];

/// How an image lies in the network's square input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transform {
    /// Width of the upright image.
    pub image_width_px: u32,
    /// Height of the upright image.
    pub image_height_px: u32,
    /// Width of the part of the input that it fills, from the left.
    pub input_width_px: u32,
    /// Height of the part of the input that it fills, from the top.
    pub input_height_px: u32,
    /// Sides of the input.
    pub input_px: u32,
}

impl Transform {
    /// SAM: the longest side fills the input.
    pub fn longest_side(image_width_px: u32, image_height_px: u32, input_px: u32) -> Self {
        let scale = f64::from(input_px) / f64::from(image_width_px.max(image_height_px));
        let side = |length: u32| ((f64::from(length) * scale + 0.5) as u32).max(1);
        let (input_width_px, input_height_px) = (side(image_width_px), side(image_height_px));
        Self { image_width_px, image_height_px, input_width_px, input_height_px, input_px }
    }

    /// SAM 2: both sides fill it.
    pub fn square(image_width_px: u32, image_height_px: u32, input_px: u32) -> Self {
        Self { image_width_px, image_height_px, input_width_px: input_px, input_height_px: input_px, input_px }
    }

    /// From px of the upright image to px of the input.
    pub fn to_input(&self, x_px: f32, y_px: f32) -> (f32, f32) {
        let scale = |at: f32, from: u32, to: u32| (f64::from(at) * f64::from(to) / f64::from(from)) as f32;
        (scale(x_px, self.image_width_px, self.input_width_px), scale(y_px, self.image_height_px, self.input_height_px))
    }

    /// The input `(input_px, input_px, 3)` of an image of red, green and blue; `rounds` between the steps as 8-bit images are.
    pub(super) fn input(&self, rgb: &[u8], rounds: bool) -> Vec<f32> {
        let (width, height) = (self.image_width_px as usize, self.image_height_px as usize);
        let (input_width, input_height, side) = (self.input_width_px as usize, self.input_height_px as usize, self.input_px as usize);
        let settle = |x: f32| if rounds { (x + 0.5).floor().clamp(0.0, 255.0) } else { x };

        // Columns first, as both references do.
        let columns = taps(width, input_width);
        let mut narrow = vec![0.0_f32; height * input_width * 3];
        narrow.par_chunks_mut(input_width * 3).zip(rgb.par_chunks(width * 3)).for_each(|(out, line)| {
            for (pixel, (first, weights)) in out.chunks_exact_mut(3).zip(&columns) {
                let mut sums = [0.0_f32; 3];
                for (weight, source) in weights.iter().zip(line[first * 3..].chunks_exact(3)) {
                    for (sum, &value) in sums.iter_mut().zip(source) {
                        *sum += weight * f32::from(value);
                    }
                }
                pixel.copy_from_slice(&sums.map(settle));
            }
        });

        let rows = taps(height, input_height);
        let mut input = vec![0.0_f32; side * side * 3];
        input.par_chunks_mut(side * 3).zip(&rows).for_each(|(out, (first, weights))| {
            let out = &mut out[..input_width * 3];
            for (weight, line) in weights.iter().zip(narrow[first * input_width * 3..].chunks_exact(input_width * 3)) {
                for (sum, value) in out.iter_mut().zip(line) {
                    *sum += weight * value;
                }
            }
            for pixel in out.chunks_exact_mut(3) {
                for ((value, mean), deviation) in pixel.iter_mut().zip(MEAN).zip(DEVIATION) {
                    *value = (settle(*value) - mean) / deviation;
                }
            }
        });
        input
    }
}

/// For every one of `to` pixels, the first of the `from` pixels that make it up and their weights: a triangle as wide as the pixel
/// when shrinking, else as wide as two pixels of the source.
///
/// # Source
/// Pillow's `Resample.c` describes the filter; PyTorch's antialiased bilinear is the same.
fn taps(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    (0..to)
        .map(|at| {
            let middle = (at as f64 + 0.5) * scale;
            let first = (middle - support + 0.5).max(0.0) as usize;
            let last = ((middle + support + 0.5) as usize).min(from);
            let weights: Vec<f64> = (first..last).map(|source| (1.0 - ((source as f64 + 0.5 - middle) / support).abs()).max(0.0)).collect();
            let sum: f64 = weights.iter().sum();
            (first, weights.iter().map(|weight| (weight / sum) as f32).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_side_fills_the_input() {
        let transform = Transform::longest_side(3000, 2000, 1024);
        assert_eq!((transform.input_width_px, transform.input_height_px), (1024, 683));
        assert_eq!(transform.to_input(1500.0, 2000.0), (512.0, 683.0));
        assert_eq!(Transform::longest_side(10_000, 1, 1024).input_height_px, 1);
        assert_eq!(Transform::square(3000, 2000, 1024).to_input(1500.0, 500.0), (512.0, 256.0));
    }

    #[test]
    fn weights_sum_to_one_and_meet_the_middle() {
        for (from, to) in [(7, 3), (3, 7), (1000, 64), (5, 5), (1, 4)] {
            for (at, (first, weights)) in taps(from, to).into_iter().enumerate() {
                let sum: f32 = weights.iter().sum();
                assert!((sum - 1.0).abs() < 1e-6, "{from} to {to}");
                assert!(first + weights.len() <= from, "{from} to {to}, pixel {at}");
            }
        }
        // Worked out by hand: half the size, a triangle over four pixels.
        assert_eq!(taps(4, 2)[0], (0, vec![3.0 / 7.0, 3.0 / 7.0, 1.0 / 7.0]));
    }

    #[test]
    fn an_image_of_the_inputs_size_is_only_normalised() {
        let rgb: Vec<u8> = (0..48).map(|value| value * 5).collect();
        let input = Transform::square(4, 4, 4).input(&rgb, false);
        for (index, (&value, &pixel)) in input.iter().zip(&rgb).enumerate() {
            let expected = (f32::from(pixel) - MEAN[index % 3]) / DEVIATION[index % 3];
            assert!((value - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn what_is_not_filled_is_zero() {
        let input = Transform::longest_side(8, 4, 8).input(&[255; 96], true);
        assert!(input[..4 * 8 * 3].iter().all(|&value| value > 2.0));
        assert!(input[4 * 8 * 3..].iter().all(|&value| value == 0.0));
    }
}
