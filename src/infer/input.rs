//! RGB8 → normalised tensor: how each embedding network wants its pixels. Apart, because the resampling must be that of the reference's
//! preparation (Pillow, with its antialiasing and its rounding to bytes between the two passes): another filter moves an embedding further
//! than half precision does. Letterboxing belongs to the detectors. Imports nothing of ours.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::{InferError, Result};

/// Which neighbours a resampled pixel is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// A triangle, one source pixel to each side.
    Bilinear,
    /// A cubic with `a = -0.5`, two source pixels to each side.
    Bicubic,
}

/// What is done with a picture that is not square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// The shorter side is brought to `resize_px`, then the middle `crop_px` square is kept.
    CropMiddle {
        /// The shorter side after resampling, in px.
        resize_px: u32,
        /// Side of the square, in px.
        crop_px: u32,
    },
    /// Both sides are brought to `px`, whatever the shape.
    Squash {
        /// Side of the square, in px.
        px: u32,
    },
}

/// How a picture becomes a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    /// What becomes of its shape.
    pub fit: Fit,
    /// How it is resampled.
    pub filter: Filter,
    /// Subtracted from each channel (red, green, blue), which is 0..=1.
    pub mean: [f32; 3],
    /// What each channel is divided by after that.
    pub std: [f32; 3],
}

impl Config {
    /// CLIP's.
    ///
    /// # Source
    /// `_transform` of openai/CLIP's `clip.py`; the same in the checkpoints' `preprocessor_config.json` and in open_clip's constants.
    pub fn clip(image_px: u32) -> Self {
        Self {
            fit: Fit::CropMiddle { resize_px: image_px, crop_px: image_px },
            filter: Filter::Bicubic,
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
        }
    }

    /// SigLIP's.
    ///
    /// # Source
    /// `preprocessor_config.json` of `google/siglip-base-patch16-224`: resample 3 (bicubic), both sides, mean and deviation one half.
    pub fn siglip(image_px: u32) -> Self {
        Self { fit: Fit::Squash { px: image_px }, filter: Filter::Bicubic, mean: [0.5; 3], std: [0.5; 3] }
    }

    /// DINOv2's: 224 px out of 256.
    ///
    /// # Source
    /// `preprocessor_config.json` of `facebook/dinov2-small`: shortest side 256, resample 3 (bicubic), middle 224, ImageNet's mean and deviation.
    pub fn dinov2() -> Self {
        Self {
            fit: Fit::CropMiddle { resize_px: 256, crop_px: 224 },
            filter: Filter::Bicubic,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }

    /// Side of the square that comes out, in px.
    pub fn side_px(&self) -> u32 {
        match self.fit {
            Fit::CropMiddle { crop_px, .. } => crop_px,
            Fit::Squash { px } => px,
        }
    }

    /// One picture, upright → `(3, side, side)` f32, normalised, as a plain row of numbers.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when the picture is empty, or its bytes are not `width · height · 3`.
    pub fn prepare(&self, picture: &Rgb8) -> Result<Vec<f32>> {
        let side = self.side_px() as usize;
        let square = self.square(picture)?;
        let mut out = vec![0f32; 3 * side * side];
        for (channel, plane) in out.chunks_exact_mut(side * side).enumerate() {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            for (slot, pixel) in plane.iter_mut().zip(square.chunks_exact(3)) {
                *slot = (f32::from(pixel[channel]) / 255.0 - mean) / std;
            }
        }
        Ok(out)
    }

    /// Pictures, upright → `(batch, 3, side, side)` f32 on `device`, normalised; the pictures are prepared side by side.
    ///
    /// # Errors
    /// As [`Self::prepare`]; [`InferError::Candle`] when the device has no memory.
    pub fn batch(&self, pictures: &[Rgb8], device: &Device) -> Result<Tensor> {
        let side = self.side_px() as usize;
        let prepared = pictures.par_iter().map(|picture| self.prepare(picture)).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::from_vec(prepared.concat(), (pictures.len(), 3, side, side), device)?)
    }

    /// The square before normalisation, RGB8.
    fn square(&self, picture: &Rgb8) -> Result<Vec<u8>> {
        picture.check()?;
        let (width, height) = (picture.width_px, picture.height_px);
        match self.fit {
            Fit::Squash { px } => Ok(resample(picture, (px, 0, px), (px, 0, px), self.filter)),
            Fit::CropMiddle { resize_px, crop_px } => {
                if crop_px > resize_px {
                    return Err(InferError::BadInput(format!("a square of {crop_px} px cannot be cut out of {resize_px} px")));
                }
                // The longer side as torchvision's Resize has it: cut, not rounded.
                let longer = |long: u32, short: u32| (u64::from(resize_px) * u64::from(long) / u64::from(short)) as u32;
                let (to_width, to_height) =
                    if width <= height { (resize_px, longer(height, width)) } else { (longer(width, height), resize_px) };
                // As its CenterCrop: half to even.
                let start = |size: u32| (f64::from(size - crop_px) / 2.0).round_ties_even() as u32;
                let across = (to_width, start(to_width), crop_px);
                let down = (to_height, start(to_height), crop_px);
                Ok(resample(picture, across, down, self.filter))
            }
        }
    }
}

/// A picture: rows from the top, three bytes a pixel, sRGB, upright.
#[derive(Debug, Clone, Copy)]
pub struct Rgb8<'a> {
    /// Width, in px.
    pub width_px: u32,
    /// Height, in px.
    pub height_px: u32,
    /// `width · height · 3` bytes.
    pub bytes: &'a [u8],
}

impl Rgb8<'_> {
    /// Whether there is a picture, and as many bytes as it needs.
    pub(super) fn check(&self) -> Result<()> {
        let expected = u128::from(self.width_px) * u128::from(self.height_px) * 3;
        if expected > 0 && expected == self.bytes.len() as u128 {
            return Ok(());
        }
        Err(InferError::BadInput(format!(
            "a picture of {} × {} px with {} bytes instead of {expected}",
            self.width_px,
            self.height_px,
            self.bytes.len()
        )))
    }
}

/// Refuses pixels of another rank or of a shape `(batch, channels, height, width)` that `fits` denies.
pub(crate) fn check_pixels(pixels: &Tensor, network: &str, fits: impl Fn(usize, usize, usize, usize) -> bool) -> Result<()> {
    match pixels.dims() {
        &[batch, channels, height, width] if batch > 0 && fits(batch, channels, height, width) => Ok(()),
        shape => Err(InferError::BadInput(format!("{network} does not take pixels of shape {shape:?} (batch, channels, height, width)"))),
    }
}

/// How many bits a filter's share is kept with: what 32-bit sums of bytes leave room for.
const SHARE_BITS: u32 = 32 - 8 - 2;

/// Which source pixels make each target pixel, and with which share.
struct Shares {
    /// For each target: the first source pixel, and where its shares lie in `shares`.
    spans: Vec<(usize, std::ops::Range<usize>)>,
    shares: Vec<i32>,
}

impl Shares {
    /// For targets `start..start + count` of a side that goes from `from` to `to` pixels.
    fn new(from: u32, (to, start, count): (u32, u32, u32), filter: Filter) -> Self {
        let (reach, function): (f64, fn(f64) -> f64) = match filter {
            Filter::Bilinear => (1.0, triangle),
            Filter::Bicubic => (2.0, cubic),
        };
        let scale = f64::from(from) / f64::from(to);
        // Shrinking widens the filter, so that every source pixel counts.
        let filter_scale = scale.max(1.0);
        let support = reach * filter_scale;
        let narrowing = filter_scale.recip();
        let mut spans = Vec::with_capacity(count as usize);
        let mut shares = Vec::new();
        let mut raw = Vec::new();
        for target in start..start + count {
            let center = (f64::from(target) + 0.5) * scale;
            let first = ((center - support + 0.5).max(0.0)) as usize;
            let last = ((center + support + 0.5) as usize).min(from as usize);
            raw.clear();
            raw.extend((first..last).map(|source| function((source as f64 - center + 0.5) * narrowing)));
            let sum: f64 = raw.iter().sum();
            let normalising = if sum == 0.0 { 1.0 } else { sum.recip() };
            let at = shares.len();
            shares.extend(raw.iter().map(|share| (share * normalising * f64::from(1u32 << SHARE_BITS)).round() as i32));
            spans.push((first, at..shares.len()));
        }
        Self { spans, shares }
    }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// The sum of shares as a byte: rounded, kept within 0..=255.
fn to_byte(sum: i32) -> u8 {
    (sum >> SHARE_BITS).clamp(0, 255) as u8
}

/// Resamples across, then down, each to bytes: as Pillow's `resize` does, only for the part that is kept.
///
/// # Source
/// What Pillow's `Resample.c` computes for 8 bits a channel: shares in fixed point, rounded to bytes between the passes; a pass that
/// changes nothing is left out, which its shares (1 and zeros) do by themselves.
fn resample(picture: &Rgb8, across: (u32, u32, u32), down: (u32, u32, u32), filter: Filter) -> Vec<u8> {
    let width = picture.width_px as usize;
    let columns = Shares::new(picture.width_px, across, filter);
    let rows = Shares::new(picture.height_px, down, filter);
    let out_width = across.2 as usize;

    // Only the source rows that the second pass reads.
    let first_row = rows.spans.first().map_or(0, |(first, _)| *first);
    let last_row = rows.spans.last().map_or(0, |(first, range)| first + range.len());
    let mut narrow = vec![0u8; (last_row - first_row) * out_width * 3];
    let sources = picture.bytes.chunks_exact(width * 3).skip(first_row);
    for (out, source) in narrow.chunks_exact_mut(out_width * 3).zip(sources) {
        for (pixel, (first, range)) in out.chunks_exact_mut(3).zip(&columns.spans) {
            let mut sums = [1i32 << (SHARE_BITS - 1); 3];
            for (source, &share) in source[first * 3..].chunks_exact(3).zip(&columns.shares[range.clone()]) {
                for (sum, &byte) in sums.iter_mut().zip(source) {
                    *sum += i32::from(byte) * share;
                }
            }
            for (slot, sum) in pixel.iter_mut().zip(sums) {
                *slot = to_byte(sum);
            }
        }
    }

    let mut out = vec![0u8; rows.spans.len() * out_width * 3];
    let mut sums = vec![0i32; out_width * 3];
    for (out, (first, range)) in out.chunks_exact_mut(out_width * 3).zip(&rows.spans) {
        sums.fill(1 << (SHARE_BITS - 1));
        let sources = narrow.chunks_exact(out_width * 3).skip(first - first_row);
        for (source, &share) in sources.zip(&rows.shares[range.clone()]) {
            for (sum, &byte) in sums.iter_mut().zip(source) {
                *sum += i32::from(byte) * share;
            }
        }
        for (slot, &sum) in out.iter_mut().zip(&sums) {
            *slot = to_byte(sum);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: u32, height: u32) -> Vec<u8> {
        (0..height).flat_map(|y| (0..width).flat_map(move |x| [(x * 7 + y) as u8, (x ^ y) as u8, (y * 5) as u8])).collect()
    }

    /// Digests of what Pillow 13.0 and torchvision's sizes and corners make of the same picture.
    ///
    /// `im.resize(size, Image.BICUBIC)`, then `im.crop` of the middle, `sha256(im.tobytes())`.
    #[test]
    fn pixels_are_those_of_pillow() {
        use sha2::{Digest, Sha256};
        let (width, height) = (301u32, 197u32);
        let pixel = |x: u32, y: u32| [(x * 7 + y * 3) as u8, (x * x + y * 5) as u8, (x ^ y) as u8];
        let bytes: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
        let turned: Vec<u8> = (0..width).flat_map(|x| (0..height).flat_map(move |y| pixel(x, y))).collect();
        let wide = Rgb8 { width_px: width, height_px: height, bytes: &bytes };
        let tall = Rgb8 { width_px: height, height_px: width, bytes: &turned };
        let bilinear = Config { filter: Filter::Bilinear, ..Config::siglip(64) };
        for (config, picture, digest) in [
            (Config::clip(224), wide, "8297eb0a23c8707ad16e4e174267dee714eee1dcf71ae01a6e77b8ceeafa2014"),
            (Config::dinov2(), wide, "ac86671ce3ee7a1a9b444e2e6107df2b2854d4600d3f2d64035655ff44e4adbc"),
            (Config::siglip(96), wide, "15a1544e5a68a1f6d6197f1962fff87fa347ca1d3df88f1ffa378d97342a2d4d"),
            (bilinear, wide, "90083f5e09a41579b8fa5ebd6e01156628674536442a4d70783d9e65dfa10188"),
            (Config::clip(32), tall, "7ebaa246022dd3d02f59554eb7a64f3f232d30bb00b1c576212f228dc86adb40"),
        ] {
            let ours: String = Sha256::digest(config.square(&picture).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(ours, digest, "{config:?} of {} × {} px", picture.width_px, picture.height_px);
        }
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let bytes = gradient(32, 32);
        let picture = Rgb8 { width_px: 32, height_px: 32, bytes: &bytes };
        assert_eq!(resample(&picture, (32, 0, 32), (32, 0, 32), Filter::Bicubic), bytes);
        assert_eq!(resample(&picture, (32, 0, 32), (32, 0, 32), Filter::Bilinear), bytes);
    }

    #[test]
    fn one_colour_stays_one_colour() {
        let bytes = [200, 100, 50].repeat(37 * 91);
        let picture = Rgb8 { width_px: 37, height_px: 91, bytes: &bytes };
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            let small = resample(&picture, (16, 0, 16), (16, 0, 16), filter);
            assert!(small.chunks_exact(3).all(|pixel| pixel == [200, 100, 50]), "{filter:?}");
            let large = resample(&picture, (224, 0, 224), (551, 160, 224), filter);
            assert!(large.chunks_exact(3).all(|pixel| pixel == [200, 100, 50]), "{filter:?}");
        }
    }

    #[test]
    fn a_part_is_the_part_of_the_whole() {
        let bytes = gradient(60, 40);
        let picture = Rgb8 { width_px: 60, height_px: 40, bytes: &bytes };
        let whole = resample(&picture, (30, 0, 30), (20, 0, 20), Filter::Bicubic);
        let part = resample(&picture, (30, 5, 20), (20, 0, 20), Filter::Bicubic);
        for (whole, part) in whole.chunks_exact(90).zip(part.chunks_exact(60)) {
            assert_eq!(&whole[15..75], part);
        }
    }

    #[test]
    fn values_are_normalised_by_channel() {
        let bytes = [255, 0, 51].repeat(300 * 200);
        let picture = Rgb8 { width_px: 300, height_px: 200, bytes: &bytes };
        let config = Config::siglip(16);
        let out = config.prepare(&picture).unwrap();
        assert_eq!(out.len(), 3 * 256);
        assert_eq!((out[0], out[256]), (1.0, -1.0));
        assert!((out[512] + 0.6).abs() < 1e-6);
        let batch = Config::clip(32).batch(&[picture, picture], &Device::Cpu).unwrap();
        assert_eq!(batch.dims(), [2, 3, 32, 32]);
    }

    #[test]
    fn pictures_that_are_none_are_refused() {
        let bytes = [0u8; 12];
        for (width_px, height_px) in [(0, 0), (0, 4), (2, 3), (u32::MAX, u32::MAX)] {
            assert!(Config::dinov2().prepare(&Rgb8 { width_px, height_px, bytes: &bytes }).is_err());
        }
        assert!(Config::dinov2().prepare(&Rgb8 { width_px: 1, height_px: 4, bytes: &bytes }).is_ok());
    }
}
