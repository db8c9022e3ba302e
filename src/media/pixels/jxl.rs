//! JPEG XL. The decoder turns by itself.

use fast_image_resize::pixels::U16x3;
use jxl_oxide::{AllocTracker, EnumColourEncoding, JxlImage, PixelFormat, RenderingIntent};

use super::{
    Bounds, Decoded, PixelsError,
    bitmap::{Bitmap, Samples},
    color::Profile,
    plain::{over_white_8, over_white_16},
};

/// Memory a pixel needs while it is decoded: three planes of floats, twice over, and what filters hold.
const BYTES_PER_PIXEL: u64 = 64;
const SMALLEST_LIMIT_BYTES: u64 = 64 << 20;
/// sRGB by ITU-T H.273: primaries, transfer, matrix, full range.
const SRGB_CODE_POINTS: [u8; 4] = [1, 13, 0, 1];

fn jxl_error(error: impl std::fmt::Display) -> PixelsError {
    PixelsError::Broken(error.to_string())
}

/// Decodes the first frame.
pub(super) fn decode(bytes: &[u8], bounds: &Bounds) -> Result<Decoded, PixelsError> {
    let limit = bounds.max_pixels.saturating_mul(BYTES_PER_PIXEL).max(SMALLEST_LIMIT_BYTES);
    let tracker = AllocTracker::with_limit(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut image = JxlImage::builder().alloc_tracker(tracker).read(bytes).map_err(jxl_error)?;
    bounds.check(image.width(), image.height())?;
    let format = image.pixel_format();
    if format.has_black() {
        return Err(PixelsError::Unsupported("JPEG XL in CMYK".into()));
    }
    let profile = if image.hdr_type().is_some() || image.image_header().metadata.xyb_encoded {
        // Out of its own colour space the decoder goes straight to sRGB, and it maps high dynamic range down as well.
        image.request_color_encoding(EnumColourEncoding::srgb(RenderingIntent::Relative));
        Profile::Srgb
    } else if let Some(icc) = image.original_icc() {
        // Not the profile the decoder says it renders to, which it guesses from this one.
        Profile::Icc(icc.to_vec())
    } else if image.rendered_cicp() == Some(SRGB_CODE_POINTS) {
        Profile::Srgb
    } else {
        Profile::Icc(image.rendered_icc())
    };
    let render = image.render_frame(0).map_err(jxl_error)?;
    let mut stream = render.stream();
    let (width_px, height_px, channels) = (stream.width(), stream.height(), stream.channels() as usize);
    bounds.check(width_px, height_px)?;
    let count = width_px as usize * height_px as usize * channels;
    let is_deep = image.image_header().metadata.bit_depth.bits_per_sample() > 8;
    let is_gray = matches!(format, PixelFormat::Gray | PixelFormat::Graya);
    let samples = if is_deep {
        let mut samples = vec![0_u16; count];
        stream.write_to_buffer(&mut samples);
        Samples::Rgb16(samples.chunks_exact(channels).map(|pixel| U16x3::new(to_rgb(pixel, is_gray, u16::MAX, over_white_16))).collect())
    } else {
        let mut samples = vec![0_u8; count];
        stream.write_to_buffer(&mut samples);
        Samples::Rgb8(samples.chunks_exact(channels).flat_map(|pixel| to_rgb(pixel, is_gray, u8::MAX, over_white_8)).collect())
    };
    Ok(Decoded::upright(Bitmap { width_px, height_px, samples }, profile))
}

/// One pixel with or without alpha, grey or in colour.
fn to_rgb<T: Copy>(pixel: &[T], is_gray: bool, opaque: T, over_white: impl Fn(&[T]) -> [T; 3]) -> [T; 3] {
    let at = |index: usize| pixel.get(index).copied().unwrap_or(opaque);
    if is_gray { over_white(&[at(0), at(0), at(0), at(1)]) } else { over_white(&[at(0), at(1), at(2), at(3)]) }
}
