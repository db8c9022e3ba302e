//! JPEG: decoded by libjpeg-turbo at the smallest scale that leaves headroom over what is wanted; what it refuses goes to a more
//! forgiving decoder, and where nothing decodes, to the small picture in the EXIF. A file cut short gives what there is of it.

use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

use super::{
    Bounds, Decoded, PictureSource, PixelsError,
    bitmap::{Bitmap, Samples},
    color::Profile,
    jpeg_header::JpegHeader,
    previews,
    read_at::SourceFile,
    tiff_tags::Tags,
};
use crate::models::Orientation;

/// How much more than the wanted side a scaled decode keeps at least, so that the last step is left to Lanczos. Against 1.2 it costs
/// 6 % more time at 12 megapixels and comes closer to a reduction of the whole decode.
const HEADROOM: f64 = 1.5;
/// A progressive file may hold millions of scans that each cost a pass; encoders that try hardest write a few dozen.
const MAX_SCANS: u32 = 64;
/// What a row is filled with before decoding: rows that still are all this were never reached.
const UNTOUCHED: u8 = 0x80;
/// Below this share of a damaged picture, its EXIF thumbnail shows more.
const ENOUGH_DECODED: f64 = 0.08;
/// Smaller embedded pictures are dummies.
const SMALLEST_PREVIEW_PX: u32 = 32;

/// Decodes a JPEG file, or the preview in it when the picture itself is lost.
pub(super) fn decode_file(file: &SourceFile, stated: Option<Orientation>, bounds: &Bounds) -> Result<Decoded, PixelsError> {
    let bytes = file.read_all()?;
    let (whole, is_enough) = match decode(&bytes, stated, bounds) {
        Ok((decoded, share)) => (Ok(decoded), share >= ENOUGH_DECODED),
        Err(error) => (Err(error), false),
    };
    if is_enough || matches!(whole, Err(PixelsError::TooLarge { .. })) {
        return whole;
    }
    match embedded(&bytes, stated, bounds) {
        Some(mut preview) => {
            let reason = whole.err().map_or_else(|| "nearly all of it is missing".to_owned(), |error| error.to_string());
            preview.note = Some(format!("only the embedded thumbnail could be shown: {reason}"));
            Ok(preview)
        }
        None => whole,
    }
}

fn embedded(bytes: &[u8], stated: Option<Orientation>, bounds: &Bounds) -> Option<Decoded> {
    let found = previews::scan(bytes, 2);
    let preview = found.iter().filter(|preview| preview.longest_px() >= SMALLEST_PREVIEW_PX).max_by_key(|preview| preview.longest_px())?;
    let part = bytes.get(preview.at as usize..)?;
    let (mut decoded, _) = decode(part, stated, bounds).ok()?;
    decoded.source = PictureSource::EmbeddedPreview;
    Some(decoded)
}

/// Decodes the JPEG at the start of `bytes`; also the share of its rows that hold anything, in 0..=1.
pub(super) fn decode(bytes: &[u8], stated: Option<Orientation>, bounds: &Bounds) -> Result<(Decoded, f64), PixelsError> {
    let header = JpegHeader::read(&bytes, 0).ok_or_else(|| PixelsError::Broken("no JPEG header".into()))?;
    bounds.check(header.width_px, header.height_px)?;
    let exif = header.exif(&bytes);
    let orientation = stated.or_else(|| exif.as_ref().and_then(Tags::orientation)).unwrap_or(Orientation::UPRIGHT);
    let profile = Profile::of(header.icc(&bytes), exif.is_some_and(|tags| tags.is_adobe_rgb()));
    let full_px = (header.width_px, header.height_px);
    let decoded = |bitmap, profile, note| Decoded { bitmap, profile, orientation, full_px, source: PictureSource::Full, note };

    let refusal = match turbo(bytes, &header, bounds) {
        Ok(scaled) if scaled.share > 0.0 => return Ok((decoded(scaled.bitmap, profile, scaled.note), scaled.share)),
        Ok(scaled) => scaled.note.unwrap_or_default(),
        Err(error) => error.to_string(),
    };
    let bitmap = forgiving(bytes, &header).map_err(|error| PixelsError::Broken(format!("{refusal}; {error}")))?;
    // It turns inks into colours by itself, so that a profile of inks no longer applies.
    let profile = if header.components == 4 { Profile::Srgb } else { profile };
    let share = share_with_content(&bitmap);
    Ok((decoded(bitmap, profile, Some(refusal)), share))
}

struct Scaled {
    bitmap: Bitmap,
    share: f64,
    note: Option<String>,
}

fn turbo(bytes: &[u8], header: &JpegHeader, bounds: &Bounds) -> turbojpeg::Result<Scaled> {
    let mut decompressor = turbojpeg::Decompressor::new()?;
    decompressor.set_scan_limit(MAX_SCANS)?;
    let full = decompressor.read_header(bytes)?;
    let factor = if full.is_lossless { turbojpeg::ScalingFactor::ONE } else { scale(full.width.max(full.height), bounds.wanted_px) };
    decompressor.set_scaling_factor(factor)?;
    let size = full.scaled(factor);
    let is_cmyk = header.components == 4;
    let (channels, format) = if is_cmyk { (4, turbojpeg::PixelFormat::CMYK) } else { (3, turbojpeg::PixelFormat::RGB) };
    let pitch = size.width * channels;
    let mut pixels = vec![UNTOUCHED; pitch * size.height];
    let target = turbojpeg::Image { pixels: pixels.as_mut_slice(), width: size.width, pitch, height: size.height, format };
    let note = decompressor.decompress(bytes, target).err().map(|error| error.to_string());

    if is_cmyk && header.has_adobe_mark {
        pixels.iter_mut().for_each(|value| *value = 255 - *value);
    }
    let samples = if is_cmyk { Samples::Cmyk8(pixels) } else { Samples::Rgb8(pixels) };
    let bitmap = Bitmap { width_px: size.width as u32, height_px: size.height as u32, samples };
    let share = if note.is_some() { share_with_content(&bitmap) } else { 1.0 };
    Ok(Scaled { bitmap, share, note })
}

/// The smallest scale that keeps [`HEADROOM`].
fn scale(longest: usize, wanted_px: u32) -> turbojpeg::ScalingFactor {
    let needed = f64::from(wanted_px) * HEADROOM;
    let eighths = (1..=8).find(|eighths| (longest * eighths) as f64 / 8.0 >= needed).unwrap_or(8);
    // At 7/8 the decoder has no vector code and takes longer than for all of it.
    let eighths = if eighths > 6 { 8 } else { eighths };
    turbojpeg::ScalingFactor::new(eighths, 8)
}

/// How much of a damaged picture was reached: what follows the last row that differs from the ones after it is filling.
fn share_with_content(bitmap: &Bitmap) -> f64 {
    let (Samples::Rgb8(samples) | Samples::Cmyk8(samples)) = &bitmap.samples else { return 1.0 };
    let row_bytes = samples.len() / (bitmap.height_px as usize).max(1);
    if row_bytes == 0 {
        return 0.0;
    }
    let rows: Vec<&[u8]> = samples.chunks_exact(row_bytes).collect();
    let Some(last) = rows.last() else { return 0.0 };
    let filled = rows.iter().rev().take_while(|row| *row == last).count();
    if filled == 1 { 1.0 } else { (rows.len() - filled) as f64 / rows.len() as f64 }
}

fn forgiving(bytes: &[u8], header: &JpegHeader) -> Result<Bitmap, String> {
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(header.width_px as usize)
        .set_max_height(header.height_px as usize)
        .jpeg_set_max_scans(MAX_SCANS as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let rgb = decoder.decode().map_err(|error| format!("{error:?}"))?;
    let info = decoder.info().ok_or("no size")?;
    let (width_px, height_px) = (u32::from(info.width), u32::from(info.height));
    if rgb.len() != width_px as usize * height_px as usize * 3 {
        return Err(format!("{} samples for {width_px} × {height_px} pixels", rgb.len()));
    }
    Ok(Bitmap::rgb8(width_px, height_px, rgb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_keeps_headroom_and_never_enlarges() {
        let eighths = |longest, wanted| {
            let factor = scale(longest, wanted);
            factor.num() * 8 / factor.denom()
        };
        assert_eq!(eighths(4000, 2048), 8);
        assert_eq!(eighths(8000, 2048), 4);
        assert_eq!(eighths(4000, 512), 2);
        assert_eq!(eighths(1000, 2048), 8);
    }
}
