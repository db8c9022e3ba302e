//! HEIC and AVIF through libheif, which turns, mirrors and crops by itself as the container says. A turn that is stated besides is one
//! that the container does not know: old HEIC with an orientation in EXIF alone.

use fast_image_resize::pixels::U16x3;
use libheif_rs::{ColorSpace, DecodingOptions, HeifContext, ImageHandle, LibHeif, RgbChroma};

use super::{
    Bounds, Decoded, PixelsError,
    bitmap::{Bitmap, Samples},
    color::Profile,
    plain::{over_white_8, over_white_16},
};
use crate::models::Orientation;

fn heif_error(error: libheif_rs::HeifError) -> PixelsError {
    PixelsError::Broken(error.to_string().trim().to_owned())
}

/// Decodes the primary picture.
pub(super) fn decode(bytes: &[u8], stated: Option<Orientation>, bounds: &Bounds) -> Result<Decoded, PixelsError> {
    let mut context = HeifContext::read_from_bytes(bytes).map_err(heif_error)?;
    // Pictures are decoded side by side in processes already.
    context.set_max_decoding_threads(0);
    let handle = context.primary_image_handle().map_err(heif_error)?;
    bounds.check(handle.width(), handle.height())?;
    let profile = profile(&handle);
    let bits = handle.luma_bits_per_pixel();
    let has_alpha = handle.has_alpha_channel();
    let chroma = match (bits > 8, has_alpha) {
        (false, false) => RgbChroma::Rgb,
        (false, true) => RgbChroma::Rgba,
        (true, false) => RgbChroma::HdrRgbLe,
        (true, true) => RgbChroma::HdrRgbaLe,
    };
    let mut options = DecodingOptions::new().ok_or_else(|| PixelsError::Unsupported("libheif gives no options".into()))?;
    options.set_strict_decoding(false);
    let image = LibHeif::new().decode(&handle, ColorSpace::Rgb(chroma), Some(options)).map_err(heif_error)?;
    let plane = image.planes().interleaved.ok_or_else(|| PixelsError::Broken("no pixels".into()))?;
    let (width, height) = (plane.width as usize, plane.height as usize);
    bounds.check(plane.width, plane.height)?;

    let channels = if has_alpha { 4 } else { 3 };
    let sample_bytes = if bits > 8 { 2 } else { 1 };
    let row_bytes = width * channels * sample_bytes;
    if plane.stride < row_bytes || plane.data.len() < plane.stride * height {
        return Err(PixelsError::Broken("rows are shorter than they say".into()));
    }
    let rows = plane.data.chunks(plane.stride).take(height).map(|row| &row[..row_bytes]);
    let samples = if bits > 8 {
        let depth = plane.bits_per_pixel.clamp(9, 16);
        let widen = |raw: &[u8]| widen(u16::from_le_bytes([raw[0], raw[1]]), depth);
        let pixels: Vec<u16> = rows.flat_map(|row| row.chunks_exact(2)).map(widen).collect();
        let pixel = |pixel: &[u16]| U16x3::new(if has_alpha { over_white_16(pixel) } else { [pixel[0], pixel[1], pixel[2]] });
        Samples::Rgb16(pixels.chunks_exact(channels).map(pixel).collect())
    } else if has_alpha {
        Samples::Rgb8(rows.flat_map(|row| row.chunks_exact(4)).flat_map(over_white_8).collect())
    } else {
        Samples::Rgb8(rows.flatten().copied().collect())
    };
    let bitmap = Bitmap { width_px: plane.width, height_px: plane.height, samples };
    Ok(Decoded { orientation: stated.unwrap_or(Orientation::UPRIGHT), ..Decoded::upright(bitmap, profile) })
}

/// Stretches `depth` bits to 16.
fn widen(value: u16, depth: u8) -> u16 {
    let most = (1_u32 << depth) - 1;
    (u32::from(value).min(most) * 65_535 / most) as u16
}

fn profile(handle: &ImageHandle) -> Profile {
    if let Some(raw) = handle.color_profile_raw() {
        return Profile::Icc(raw.data);
    }
    handle.color_profile_nclx().map_or(Profile::Srgb, |nclx| Profile::Cicp {
        primaries: u8::try_from(nclx.color_primaries() as u32).unwrap_or_default(),
        transfer: u8::try_from(nclx.transfer_characteristics() as u32).unwrap_or_default(),
    })
}
