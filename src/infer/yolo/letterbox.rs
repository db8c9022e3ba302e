//! A picture of any size into the network's: scaled to fit, centred, the rest grey; and boxes back into the picture. Pure; no Candle.
//! Imports `infer::error`.

use rayon::prelude::*;

use crate::infer::{InferError, Result};

/// What lies around the picture.
const GREY: u8 = 114;

/// The network's input must be a multiple of its coarsest stride.
const STEP_PX: usize = 32;

/// How a picture lies in the network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Letterbox {
    /// The picture's size in px: width, height.
    pub picture_px: (usize, usize),
    /// The scaled picture's size in px.
    pub scaled_px: (usize, usize),
    /// Its place in the input: left, top.
    pub offset_px: (usize, usize),
    /// The input's size in px.
    pub input_px: (usize, usize),
}

impl Letterbox {
    /// Fits a picture into a square of `side_px`; unless `square`, the input has no more grey than makes it a multiple of 32 px.
    ///
    /// # Errors
    /// `BadInput` for a picture without pixels or a side that is no multiple of 32 px.
    pub fn new(picture_px: (usize, usize), side_px: usize, square: bool) -> Result<Self> {
        let (width, height) = picture_px;
        if width == 0 || height == 0 || side_px == 0 || !side_px.is_multiple_of(STEP_PX) {
            return Err(InferError::BadInput(format!("cannot fit a picture of {width} x {height} px into {side_px} px")));
        }
        let scale = (side_px as f64 / width as f64).min(side_px as f64 / height as f64);
        // Half to even, as Python rounds.
        let scaled = |px: usize| ((px as f64 * scale).round_ties_even() as usize).clamp(1, side_px);
        let scaled_px = (scaled(width), scaled(height));
        let input = |px: usize| if square { side_px } else { px.next_multiple_of(STEP_PX) };
        let input_px = (input(scaled_px.0), input(scaled_px.1));
        // Of an odd rest, the smaller half comes first.
        let offset_px = ((input_px.0 - scaled_px.0) / 2, (input_px.1 - scaled_px.1) / 2);
        Ok(Self { picture_px, scaled_px, offset_px, input_px })
    }

    /// Picture px → input px, without the offset.
    fn scale(&self) -> f32 {
        let (width, height) = self.picture_px;
        let (input_width, input_height) = self.input_px;
        (input_width as f32 / width as f32).min(input_height as f32 / height as f32)
    }

    /// The input's values: (height, width, 3) in 0..=1, from the picture's RGB, 8 bits, rows from the top without gaps.
    ///
    /// Bilinear between pixel centres, without smoothing first, rounded to 8 bits: what these networks were trained with.
    ///
    /// # Errors
    /// `BadInput` when `rgb` has another length than the picture's size says.
    pub fn input(&self, rgb: &[u8]) -> Result<Vec<f32>> {
        let (width, height) = self.picture_px;
        if rgb.len() != width * height * 3 {
            return Err(InferError::BadInput(format!("{} bytes are no RGB picture of {width} x {height} px", rgb.len())));
        }
        let (input_width, input_height) = self.input_px;
        let columns: Vec<_> = (0..self.scaled_px.0).map(|x| between(x, self.scaled_px.0, width)).collect();
        let mut values = vec![f32::from(GREY) / 255.0; input_width * input_height * 3];
        let lines = &mut values[self.offset_px.1 * input_width * 3..][..self.scaled_px.1 * input_width * 3];
        lines.par_chunks_mut(input_width * 3).enumerate().for_each(|(y, line)| {
            let (top, bottom, down) = between(y, self.scaled_px.1, height);
            let (top, bottom) = (&rgb[top * width * 3..][..width * 3], &rgb[bottom * width * 3..][..width * 3]);
            let pixels = line[self.offset_px.0 * 3..].chunks_exact_mut(3);
            for (pixel, &(left, right, across)) in pixels.zip(&columns) {
                for (channel, value) in pixel.iter_mut().enumerate() {
                    let mix = |line: &[u8]| {
                        let (left, right) = (f32::from(line[left * 3 + channel]), f32::from(line[right * 3 + channel]));
                        left + (right - left) * across
                    };
                    let (top, bottom) = (mix(top), mix(bottom));
                    *value = (top + (bottom - top) * down).round() / 255.0;
                }
            }
        });
        Ok(values)
    }

    /// A box (left, top, right, bottom) in input px, in px of the picture and cut off at its border.
    pub fn to_picture(&self, box_px: &[f32; 4]) -> [f32; 4] {
        let scale = self.scale();
        let (width, height) = (self.picture_px.0 as f32, self.picture_px.1 as f32);
        let (left, top) = (self.offset_px.0 as f32, self.offset_px.1 as f32);
        let x = |px: f32| ((px - left) / scale).clamp(0.0, width);
        let y = |px: f32| ((px - top) / scale).clamp(0.0, height);
        [x(box_px[0]), y(box_px[1]), x(box_px[2]), y(box_px[3])]
    }
}

/// The two source pixels that pixel `at` of `count` lies between, of `source` in all, and how far towards the second (0..=1).
pub(super) fn between(at: usize, count: usize, source: usize) -> (usize, usize, f32) {
    let place = ((at as f64 + 0.5) * source as f64 / count as f64 - 0.5).max(0.0);
    let first = (place as usize).min(source - 1);
    (first, (first + 1).min(source - 1), (place - first as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_picture_gets_no_more_grey_than_it_needs() {
        let letterbox = Letterbox::new((1280, 720), 640, false).expect("fits");
        assert_eq!((letterbox.scaled_px, letterbox.input_px, letterbox.offset_px), ((640, 360), (640, 384), (0, 12)));
        let letterbox = Letterbox::new((1280, 720), 640, true).expect("fits");
        assert_eq!((letterbox.input_px, letterbox.offset_px), ((640, 640), (0, 140)));
    }

    #[test]
    fn boxes_come_back_to_where_they_were() {
        let letterbox = Letterbox::new((1000, 300), 640, true).expect("fits");
        let scale = 0.64;
        let top = letterbox.offset_px.1 as f32;
        let there = [100.0 * scale, 50.0 * scale + top, 900.0 * scale, 250.0 * scale + top];
        for (got, expected) in letterbox.to_picture(&there).into_iter().zip([100.0, 50.0, 900.0, 250.0]) {
            assert!((got - expected).abs() < 1e-3, "{got}, not {expected}");
        }
        assert_eq!(letterbox.to_picture(&[-5.0, -5.0, 9999.0, 9999.0]), [0.0, 0.0, 1000.0, 300.0]);
    }

    #[test]
    fn the_picture_lies_centred_in_grey() {
        let letterbox = Letterbox::new((4, 2), 32, true).expect("fits");
        let values = letterbox.input(&[255; 24]).expect("the length is right");
        let at = |x: usize, y: usize| values[(y * 32 + x) * 3];
        assert_eq!((at(0, 7), at(0, 8), at(31, 23), at(31, 24)), (GREY as f32 / 255.0, 1.0, 1.0, GREY as f32 / 255.0));
    }

    #[test]
    fn enlarging_mixes_neighbours() {
        let letterbox = Letterbox::new((2, 2), 32, true).expect("fits");
        let values = letterbox.input(&[0, 0, 0, 255, 255, 255, 0, 0, 0, 255, 255, 255]).expect("the length is right");
        let line: Vec<f32> = values[..96].iter().step_by(3).map(|value| value * 255.0).collect();
        assert_eq!((line[0].round(), line[31].round()), (0.0, 255.0));
        // Pixel 15 lies at (15.5 / 16 - 0.5) of the way from the first centre to the second.
        assert_eq!(line[15].round(), (255.0f32 * 0.46875).round());
        assert!(line.is_sorted());
    }
}
