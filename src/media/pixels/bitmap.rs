//! Pixels in memory: as a decoder gave them (8 or 16 bits, three colours or four inks), and as they are shown (sRGB, 8 bits).

use fast_image_resize::{
    FilterType, PixelTrait, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef, TypedImage, TypedImageRef},
    pixels::{InnerPixel, U16x3},
};

use super::PixelsError;
use crate::models::Orientation;

/// Samples of a picture, rows from the top without gaps.
#[derive(Debug, Clone)]
pub(super) enum Samples {
    /// Red, green, blue, in 0..=255.
    Rgb8(Vec<u8>),
    /// Red, green, blue, in 0..=65535.
    Rgb16(Vec<U16x3>),
    /// Cyan, magenta, yellow, black; 255 is full ink.
    Cmyk8(Vec<u8>),
}

/// A picture in the colours of its file.
#[derive(Debug, Clone)]
pub(super) struct Bitmap {
    pub(super) width_px: u32,
    pub(super) height_px: u32,
    pub(super) samples: Samples,
}

/// A picture to show: red, green, blue, 8 bits, sRGB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SrgbImage {
    pub(super) width_px: u32,
    pub(super) height_px: u32,
    pub(super) rgb: Vec<u8>,
}

impl Bitmap {
    pub(super) fn rgb8(width_px: u32, height_px: u32, rgb: Vec<u8>) -> Self {
        Self { width_px, height_px, samples: Samples::Rgb8(rgb) }
    }

    /// Shrinks to this size unless it is no larger in either direction already.
    pub(super) fn resized_within(self, width_px: u32, height_px: u32) -> Result<Self, PixelsError> {
        if self.width_px <= width_px && self.height_px <= height_px {
            return Ok(self);
        }
        let from = (self.width_px, self.height_px);
        let to = (width_px, height_px);
        let samples = match &self.samples {
            Samples::Rgb8(rgb) => Samples::Rgb8(resize_u8(rgb, PixelType::U8x3, from, to)?),
            Samples::Cmyk8(cmyk) => Samples::Cmyk8(resize_u8(cmyk, PixelType::U8x4, from, to)?),
            Samples::Rgb16(rgb) => Samples::Rgb16(resize_typed(rgb, from, to)?),
        };
        Ok(Self { width_px, height_px, samples })
    }
}

impl SrgbImage {
    pub(super) fn size_px(&self) -> (u32, u32) {
        (self.width_px, self.height_px)
    }

    /// The same picture at another size.
    pub(super) fn resized(&self, width_px: u32, height_px: u32) -> Result<Self, PixelsError> {
        if self.size_px() == (width_px, height_px) {
            return Ok(self.clone());
        }
        let rgb = resize_u8(&self.rgb, PixelType::U8x3, self.size_px(), (width_px, height_px))?;
        Ok(Self { width_px, height_px, rgb })
    }

    /// Turns and mirrors so that what was stored with `orientation` stands upright.
    pub(super) fn turned(self, orientation: Orientation) -> Self {
        if orientation == Orientation::UPRIGHT {
            return self;
        }
        let (width, height) = (self.width_px as usize, self.height_px as usize);
        let (upright_width, upright_height) = orientation.upright_size(self.width_px, self.height_px);
        // Where the first upright pixel lies in the stored picture, and how far the next one right and the next one down are.
        let (stride, last_row) = (width as isize, (height * width - width) as isize);
        let last_column = stride - 1;
        let (start, right, down) = match orientation.exif() {
            2 => (last_column, -1, stride),
            3 => (last_row + last_column, -1, -stride),
            4 => (last_row, 1, -stride),
            5 => (0, stride, 1),
            6 => (last_row, -stride, 1),
            7 => (last_row + last_column, -stride, -1),
            8 => (last_column, stride, -1),
            _ => (0, 1, stride),
        };
        let mut rgb = Vec::with_capacity(self.rgb.len());
        for y in 0..upright_height as isize {
            let mut at = start + y * down;
            for _ in 0..upright_width {
                let pixel = at as usize * 3;
                rgb.extend_from_slice(&self.rgb[pixel..pixel + 3]);
                at += right;
            }
        }
        Self { width_px: upright_width, height_px: upright_height, rgb }
    }
}

/// Lanczos with three lobes, in the gamma of the file, as vips does by default. Four channels are four inks, never alpha.
fn options() -> ResizeOptions {
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3)).use_alpha(false)
}

fn resize_error(error: impl std::fmt::Display) -> PixelsError {
    PixelsError::Broken(format!("cannot resize: {error}"))
}

fn resize_u8(samples: &[u8], kind: PixelType, from: (u32, u32), to: (u32, u32)) -> Result<Vec<u8>, PixelsError> {
    let source = ImageRef::new(from.0, from.1, samples, kind).map_err(resize_error)?;
    let mut target = Image::new(to.0, to.1, kind);
    Resizer::new().resize(&source, &mut target, &options()).map_err(resize_error)?;
    Ok(target.into_vec())
}

fn resize_typed<P: PixelTrait + InnerPixel>(pixels: &[P], from: (u32, u32), to: (u32, u32)) -> Result<Vec<P>, PixelsError> {
    let source = TypedImageRef::new(from.0, from.1, pixels).map_err(resize_error)?;
    let mut target = TypedImage::<P>::new(to.0, to.1);
    Resizer::new().resize_typed(&source, &mut target, &options()).map_err(resize_error)?;
    Ok(target.pixels().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows of three: 0 1 2 / 3 4 5, as stored.
    fn stored() -> SrgbImage {
        SrgbImage { width_px: 3, height_px: 2, rgb: (0..6).flat_map(|value| [value; 3]).collect() }
    }

    #[test]
    fn every_orientation_puts_each_pixel_where_exif_says() {
        let expected: [(u8, u32, [u8; 6]); 8] = [
            (1, 3, [0, 1, 2, 3, 4, 5]),
            (2, 3, [2, 1, 0, 5, 4, 3]),
            (3, 3, [5, 4, 3, 2, 1, 0]),
            (4, 3, [3, 4, 5, 0, 1, 2]),
            (5, 2, [0, 3, 1, 4, 2, 5]),
            (6, 2, [3, 0, 4, 1, 5, 2]),
            (7, 2, [5, 2, 4, 1, 3, 0]),
            (8, 2, [2, 5, 1, 4, 0, 3]),
        ];
        for (number, width, pixels) in expected {
            let turned = stored().turned(Orientation::try_from(number).unwrap());
            let seen: Vec<u8> = turned.rgb.chunks(3).map(|pixel| pixel[0]).collect();
            assert_eq!((turned.width_px, seen.as_slice()), (width, pixels.as_slice()), "orientation {number}");
        }
    }

    #[test]
    fn nothing_is_enlarged() {
        let small = Bitmap::rgb8(3, 2, vec![9; 18]).resized_within(30, 20).unwrap();
        assert_eq!((small.width_px, small.height_px), (3, 2));
    }
}
