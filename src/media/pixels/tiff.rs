//! TIFF: grey, colour, palette, CMYK by its profile, YCbCr, 1 to 32 bits, float, in planes or not. What it cannot read may be a
//! RAW under another name, whose preview is shown then.

use std::io::Cursor;

use fast_image_resize::pixels::U16x3;
use tiff::{
    ColorType, TiffError,
    decoder::{Decoder, DecodingResult, Limits},
    tags::Tag,
};

use super::{
    Bounds, Decoded, PictureSource, PixelsError,
    bitmap::{Bitmap, Samples},
    color::{Profile, to_8_bits},
    plain::{over_white_8, over_white_16},
    raw,
    read_at::SourceFile,
    tiff_tags::Tags,
};
use crate::models::Orientation;

/// Bytes of one pixel at most: four channels of doubles.
const BYTES_PER_PIXEL: u64 = 32;

fn tiff_error(error: TiffError) -> PixelsError {
    match error {
        TiffError::UnsupportedError(error) => PixelsError::Unsupported(error.to_string()),
        error => PixelsError::Broken(error.to_string()),
    }
}

/// Decodes the first picture of the file.
pub(super) fn decode(file: &SourceFile, stated: Option<Orientation>, bounds: &Bounds) -> Result<Decoded, PixelsError> {
    let bytes = file.read_all()?;
    decode_bytes(&bytes, stated, bounds).or_else(|error| raw::preview_of(file, stated, bounds).ok_or(error))
}

fn decode_bytes(bytes: &[u8], stated: Option<Orientation>, bounds: &Bounds) -> Result<Decoded, PixelsError> {
    let mut limits = Limits::default();
    let most = bounds.max_pixels.saturating_mul(BYTES_PER_PIXEL);
    limits.decoding_buffer_size = usize::try_from(most).unwrap_or(usize::MAX);
    limits.intermediate_buffer_size = limits.decoding_buffer_size;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(tiff_error)?.with_limits(limits);
    let (width_px, height_px) = decoder.dimensions().map_err(tiff_error)?;
    bounds.check(width_px, height_px)?;
    let color = decoder.colortype().map_err(tiff_error)?;
    let icc = decoder.get_tag_u8_vec(Tag::IccProfile).ok();
    let palette = decoder.get_tag_u16_vec(Tag::ColorMap).unwrap_or_default();
    let mut pixels = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut pixels).map_err(tiff_error)?;
    let planes = layout.planes.max(1);

    let count = width_px as usize * height_px as usize;
    let deep = Deep::of(pixels, color.bit_depth(), width_px as usize, count)?;
    let deep = if planes > 1 { deep.interleaved(count, planes) } else { deep };
    let samples = to_samples(deep, color, count, &palette)?;

    let tags = Tags::open(&bytes, 0);
    let orientation = stated.or_else(|| tags.as_ref().and_then(Tags::orientation)).unwrap_or(Orientation::UPRIGHT);
    let profile = Profile::of(icc, tags.is_some_and(|tags| tags.is_adobe_rgb()));
    let bitmap = Bitmap { width_px, height_px, samples };
    Ok(Decoded { bitmap, profile, orientation, full_px: (width_px, height_px), source: PictureSource::Full, note: None })
}

/// Samples of any depth, brought to 8 or 16 bits.
enum Deep {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

impl Deep {
    fn of(pixels: DecodingResult, bits: u8, width: usize, count: usize) -> Result<Self, PixelsError> {
        Ok(match pixels {
            DecodingResult::U8(packed) if bits < 8 => Self::Eight(unpack(&packed, bits, width, count)),
            DecodingResult::U8(values) => Self::Eight(values),
            DecodingResult::U16(values) => Self::Sixteen(values),
            DecodingResult::U32(values) => Self::Sixteen(values.into_iter().map(|value| (value >> 16) as u16).collect()),
            DecodingResult::F16(values) => Self::Sixteen(values.into_iter().map(|value| unit_to_16(value.to_f32())).collect()),
            DecodingResult::F32(values) => Self::Sixteen(values.into_iter().map(unit_to_16).collect()),
            DecodingResult::F64(values) => Self::Sixteen(values.into_iter().map(|value| unit_to_16(value as f32)).collect()),
            _ => return Err(PixelsError::Unsupported("TIFF with signed or 64-bit samples".into())),
        })
    }

    /// From plane after plane to pixel after pixel.
    fn interleaved(self, count: usize, planes: usize) -> Self {
        fn weave<T: Copy>(values: &[T], count: usize, planes: usize) -> Vec<T> {
            let pixel = |index: usize| (0..planes).filter_map(move |plane| values.get(plane * count + index).copied());
            (0..count).flat_map(pixel).collect()
        }
        match self {
            Self::Eight(values) => Self::Eight(weave(&values, count, planes)),
            Self::Sixteen(values) => Self::Sixteen(weave(&values, count, planes)),
        }
    }
}

/// 0..=1 to 16 bits; what is brighter than white is white.
fn unit_to_16(value: f32) -> u16 {
    (value.clamp(0.0, 1.0) * 65_535.0).round() as u16
}

/// One, two or four bits a sample, rows starting on whole bytes, as numbers (not stretched).
fn unpack(packed: &[u8], bits: u8, width: usize, count: usize) -> Vec<u8> {
    let bits = usize::from(bits.max(1));
    let row_bytes = (width * bits).div_ceil(8).max(1);
    let mask = (1_u16 << bits) - 1;
    let row = |row: &[u8]| -> Vec<u8> {
        let sample = |x: usize| (u16::from(row[x * bits / 8]) >> (8 - bits - (x * bits) % 8)) & mask;
        (0..width).map(|x| sample(x) as u8).collect()
    };
    packed.chunks_exact(row_bytes).flat_map(row).take(count).collect()
}

fn to_samples(deep: Deep, color: ColorType, count: usize, palette: &[u16]) -> Result<Samples, PixelsError> {
    let unsupported = || PixelsError::Unsupported(format!("TIFF with {color:?}"));
    let channels = usize::from(color.num_samples());
    let have = match &deep {
        Deep::Eight(values) => values.len(),
        Deep::Sixteen(values) => values.len(),
    };
    if have < count * channels {
        return Err(PixelsError::Broken(format!("{have} samples for {count} pixels of {channels}")));
    }
    Ok(match (deep, color) {
        (Deep::Eight(values), ColorType::Gray(bits)) => {
            let most = if bits < 8 { (1_u16 << bits) - 1 } else { 255 };
            Samples::Rgb8(values[..count].iter().flat_map(|value| [(u16::from(*value) * 255 / most) as u8; 3]).collect())
        }
        (Deep::Eight(values), ColorType::Palette(bits)) => {
            let colors = 1_usize << bits;
            if palette.len() < colors * 3 {
                return Err(PixelsError::Broken("palette is too short".into()));
            }
            let look_up = |index: &u8| [0, 1, 2].map(|channel| to_8_bits(palette[channel * colors + usize::from(*index)]));
            Samples::Rgb8(values[..count].iter().flat_map(look_up).collect())
        }
        (Deep::Eight(values), ColorType::GrayA(_)) => {
            Samples::Rgb8(values.chunks_exact(2).flat_map(|pixel| over_white_8(&[pixel[0], pixel[0], pixel[0], pixel[1]])).collect())
        }
        (Deep::Eight(values), ColorType::RGB(_)) => Samples::Rgb8(values),
        (Deep::Eight(values), ColorType::RGBA(_)) => Samples::Rgb8(values.chunks_exact(4).flat_map(over_white_8).collect()),
        (Deep::Eight(values), ColorType::YCbCr(_)) => Samples::Rgb8(values.chunks_exact(3).flat_map(from_ycbcr).collect()),
        (Deep::Eight(values), ColorType::CMYK(_)) => Samples::Cmyk8(values),
        (Deep::Eight(values), ColorType::CMYKA(_)) => {
            Samples::Cmyk8(values.chunks_exact(5).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], pixel[3]]).collect())
        }
        (Deep::Sixteen(values), ColorType::Gray(_)) => {
            Samples::Rgb16(values[..count].iter().map(|value| U16x3::new([*value; 3])).collect())
        }
        (Deep::Sixteen(values), ColorType::GrayA(_)) => {
            let pixel = |pixel: &[u16]| U16x3::new(over_white_16(&[pixel[0], pixel[0], pixel[0], pixel[1]]));
            Samples::Rgb16(values.chunks_exact(2).map(pixel).collect())
        }
        (Deep::Sixteen(values), ColorType::RGB(_)) => {
            Samples::Rgb16(values.chunks_exact(3).map(|pixel| U16x3::new([pixel[0], pixel[1], pixel[2]])).collect())
        }
        (Deep::Sixteen(values), ColorType::RGBA(_)) => {
            Samples::Rgb16(values.chunks_exact(4).map(|pixel| U16x3::new(over_white_16(pixel))).collect())
        }
        (Deep::Sixteen(values), ColorType::CMYK(_)) => Samples::Cmyk8(values.into_iter().map(to_8_bits).collect()),
        _ => return Err(unsupported()),
    })
}

/// Full-range BT.601, which TIFF takes where it says nothing.
fn from_ycbcr(pixel: &[u8]) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(pixel[0]), f32::from(pixel[1]) - 128.0, f32::from(pixel[2]) - 128.0);
    [y + 1.402 * cr, y - 0.344_14 * cb - 0.714_14 * cr, y + 1.772 * cb].map(|value| value.round().clamp(0.0, 255.0) as u8)
}
