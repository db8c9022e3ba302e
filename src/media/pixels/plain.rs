//! PNG and WebP through the `image` crate: grey, palette, 16 bits, alpha over white, the first frame of an animation.

use std::io::Cursor;

use fast_image_resize::pixels::U16x3;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{
    Bounds, Decoded, PictureSource, PixelsError,
    bitmap::{Bitmap, Samples},
    color::Profile,
    tiff_tags::Tags,
};
use crate::models::Orientation;

/// Memory a pixel may take while decoding: four channels of 16 bits, twice.
const BYTES_PER_PIXEL: u64 = 16;

fn image_error(error: image::ImageError) -> PixelsError {
    match error {
        image::ImageError::Unsupported(error) => PixelsError::Unsupported(error.to_string()),
        error => PixelsError::Broken(error.to_string()),
    }
}

/// Decodes `bytes` as `format`.
pub(super) fn decode(bytes: &[u8], format: ImageFormat, stated: Option<Orientation>, bounds: &Bounds) -> Result<Decoded, PixelsError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(bounds.max_pixels.saturating_mul(BYTES_PER_PIXEL));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(image_error)?;
    let (width_px, height_px) = decoder.dimensions();
    bounds.check(width_px, height_px)?;
    let icc = decoder.icc_profile().unwrap_or_default();
    let exif = decoder.exif_metadata().unwrap_or_default().unwrap_or_default();
    let exif = exif.as_slice();
    let tags = Tags::open(&exif, 0);
    let orientation = stated.or_else(|| tags.as_ref().and_then(Tags::orientation)).unwrap_or(Orientation::UPRIGHT);
    let profile = Profile::of(icc, tags.is_some_and(|tags| tags.is_adobe_rgb()));
    let picture = DynamicImage::from_decoder(decoder).map_err(image_error)?;
    let bitmap = Bitmap { width_px, height_px, samples: samples(picture) };
    Ok(Decoded { bitmap, profile, orientation, full_px: (width_px, height_px), source: PictureSource::Full, note: None })
}

/// Three channels without alpha, as deep as they were.
fn samples(picture: DynamicImage) -> Samples {
    match picture {
        DynamicImage::ImageRgb8(rgb) => Samples::Rgb8(rgb.into_raw()),
        DynamicImage::ImageLuma8(gray) => Samples::Rgb8(gray.into_raw().into_iter().flat_map(|value| [value; 3]).collect()),
        DynamicImage::ImageLumaA8(_) | DynamicImage::ImageRgba8(_) => {
            Samples::Rgb8(picture.into_rgba8().into_raw().chunks_exact(4).flat_map(over_white_8).collect())
        }
        DynamicImage::ImageRgb16(rgb) => Samples::Rgb16(rgb.pixels().map(|pixel| U16x3::new(pixel.0)).collect()),
        other => Samples::Rgb16(other.into_rgba16().pixels().map(|pixel| U16x3::new(over_white_16(&pixel.0))).collect()),
    }
}

/// A pixel with straight alpha on white paper, as every viewer of photographs shows it.
pub(super) fn over_white_8(pixel: &[u8]) -> [u8; 3] {
    let alpha = u32::from(pixel[3]);
    [0, 1, 2].map(|channel| ((u32::from(pixel[channel]) * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
}

/// The same with 16 bits.
pub(super) fn over_white_16(pixel: &[u16]) -> [u16; 3] {
    let alpha = u64::from(pixel[3]);
    [0, 1, 2].map(|channel| ((u64::from(pixel[channel]) * alpha + 65_535 * (65_535 - alpha) + 32_767) / 65_535) as u16)
}
