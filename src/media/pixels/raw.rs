//! RAW: the camera's own preview when it is large enough, or else the sensor data developed by LibRaw, or else whatever preview
//! there is.

use rsraw::RawImage;

use super::{
    Bounds, Decoded, PictureSource, PixelsError, Sought,
    bitmap::Bitmap,
    color::Profile,
    jpeg,
    jpeg_header::JpegHeader,
    previews::{self, Preview},
    read_at::{ReadAt, SourceFile},
    tiff_tags::Tags,
};
use crate::models::Orientation;

/// A preview with this longest side serves the viewer well enough to leave the sensor data alone.
const GOOD_PREVIEW_PX: u32 = 1000;
/// Smaller ones are dummies that some converters leave.
const SMALLEST_PREVIEW_PX: u32 = 32;
/// Sensor data takes more than a bit a pixel in every format: a file with less has lost it, and LibRaw would develop noise.
const PIXELS_PER_BYTE: u64 = 8;
/// Share of the wanted side that a development at half size must reach, so that interpolating all of it is not worth its time.
const HALF_IS_ENOUGH: f64 = 0.9;
/// LibRaw's number for patterned pixel grouping: a third of the default's time, and what it does worse is lost in the reduction.
const PIXEL_GROUPING: i32 = 2;
/// The curve of sRGB as LibRaw takes it: one over the power, and the slope near black (IEC 61966-2-1). Its own default is BT.709.
const SRGB_CURVE: (f64, f64) = (1.0 / 2.4, 12.92);

/// The best picture of a RAW file.
pub(super) fn decode(file: &SourceFile, sought: &Sought<'_>, bounds: &Bounds) -> Result<Decoded, PixelsError> {
    let good_px = GOOD_PREVIEW_PX.min(sought.proxy_px);
    let named = best(previews::find(file), bounds.wanted_px);
    if let Some(preview) = named.filter(|preview| preview.longest_px() >= good_px) {
        let bytes = file.bytes_at(preview.at, preview.bytes as usize).unwrap_or_default();
        if let Ok(decoded) = decode_preview(&bytes, file, sought.orientation, sought.stored_px, bounds) {
            return Ok(decoded);
        }
    }
    let bytes = file.read_all()?;
    let mut candidates = previews::scan(&bytes, 0);
    candidates.extend(named);
    // Sensor data that is JPEG itself (lossy DNG) comes in tiles: one of them is no preview.
    let sensor_data = previews::sensor_data(file);
    let is_sensor_data = |at: u64| sensor_data.extents.iter().any(|(start, bytes)| (*start..start.saturating_add(*bytes)).contains(&at));
    candidates.retain(|preview| preview.longest_px() >= SMALLEST_PREVIEW_PX && !is_sensor_data(preview.at));
    let mut preview = None;
    while let Some(candidate) = best(candidates.clone(), bounds.wanted_px) {
        let part = &bytes[candidate.at as usize..(candidate.at + candidate.bytes) as usize];
        preview = decode_preview(part, file, sought.orientation, sought.stored_px, bounds).ok();
        if preview.is_some() {
            break;
        }
        candidates.retain(|other| other.at != candidate.at);
    }
    let preview_px = preview.as_ref().map_or(0, |decoded| decoded.full_px.0.max(decoded.full_px.1));
    if preview_px >= good_px {
        return preview.ok_or_else(|| PixelsError::NoPicture("no preview".into()));
    }
    match develop(&bytes, sought.orientation, bounds) {
        Ok(developed) if developed.bitmap.width_px.max(developed.bitmap.height_px) > preview_px => Ok(developed),
        Ok(_) => preview.ok_or_else(|| PixelsError::NoPicture("no preview".into())),
        Err(PixelsError::NoPicture(why)) if preview.is_none() && sensor_data.is_lossy => {
            Err(PixelsError::Unsupported(format!("a DNG with lossy compression and without a preview ({why})")))
        }
        Err(error) => preview.ok_or(error),
    }
}

/// The preview of a file that is a RAW by its insides only.
pub(super) fn preview_of(file: &SourceFile, stated: Option<Orientation>, bounds: &Bounds) -> Option<Decoded> {
    let preview = best(previews::find(file), bounds.wanted_px).filter(|preview| preview.longest_px() >= SMALLEST_PREVIEW_PX)?;
    let bytes = file.bytes_at(preview.at, preview.bytes as usize)?;
    decode_preview(&bytes, file, stated, None, bounds).ok()
}

/// The smallest that has all the pixels wanted, or else the largest.
fn best(previews: Vec<Preview>, wanted_px: u32) -> Option<Preview> {
    let enough = previews.iter().filter(|preview| preview.longest_px() >= wanted_px).min_by_key(|preview| preview.longest_px());
    enough.or_else(|| previews.iter().max_by_key(|preview| preview.longest_px())).copied()
}

fn decode_preview(
    bytes: &[u8],
    file: &SourceFile,
    stated: Option<Orientation>,
    stored_px: Option<(u32, u32)>,
    bounds: &Bounds,
) -> Result<Decoded, PixelsError> {
    let own = JpegHeader::read(&bytes, 0).and_then(|header| header.exif(&bytes)?.orientation());
    let outer = Tags::open(file, 0);
    let stated = stated.or_else(|| outer.as_ref().and_then(Tags::orientation));
    let (mut decoded, share) = jpeg::decode(bytes, Some(Orientation::UPRIGHT), bounds)?;
    if share < 0.9 {
        return Err(PixelsError::Broken("the preview is cut short".into()));
    }
    decoded.orientation = preview_orientation(own, stated, decoded.full_px, stored_px);
    decoded.source = PictureSource::EmbeddedPreview;
    if decoded.profile == Profile::Srgb && outer.is_some_and(|tags| tags.is_adobe_rgb()) {
        decoded.profile = Profile::AdobeRgb;
    }
    Ok(decoded)
}

/// Cameras store previews as the sensor lies and say how to turn them once, for the whole file; some turn the preview itself.
fn preview_orientation(
    own: Option<Orientation>,
    stated: Option<Orientation>,
    preview_px: (u32, u32),
    stored_px: Option<(u32, u32)>,
) -> Orientation {
    let outer = stated.unwrap_or(Orientation::UPRIGHT);
    let sensor_is_tall = stored_px.is_some_and(|(width, height)| height > width);
    let preview_is_tall = preview_px.1 > preview_px.0;
    let was_turned = outer.swaps_sides() && preview_px.0 != preview_px.1 && preview_is_tall != sensor_is_tall;
    if was_turned { Orientation::UPRIGHT } else { own.unwrap_or(outer) }
}

fn raw_error(error: impl std::fmt::Display) -> PixelsError {
    PixelsError::NoPicture(error.to_string())
}

/// At half size, where four sensor pixels become one without interpolation, if that is enough; or else interpolated.
fn develop(bytes: &[u8], stated: Option<Orientation>, bounds: &Bounds) -> Result<Decoded, PixelsError> {
    let mut raw = RawImage::open(bytes).map_err(raw_error)?;
    let (width_px, height_px) = (raw.width(), raw.height());
    bounds.check(width_px, height_px)?;
    if u64::from(width_px) * u64::from(height_px) > bytes.len() as u64 * PIXELS_PER_BYTE {
        return Err(PixelsError::NoPicture(format!("{} bytes cannot hold {width_px} × {height_px} pixels", bytes.len())));
    }
    let flip = raw.as_ref().sizes.flip;
    let is_half = f64::from(width_px.max(height_px)) / 2.0 >= f64::from(bounds.wanted_px) * HALF_IS_ENOUGH;
    raw.set_half_size(is_half);
    raw.set_use_camera_wb(true);
    let params = &mut raw.as_mut().params;
    params.user_flip = 0;
    params.user_qual = PIXEL_GROUPING;
    (params.gamm[0], params.gamm[1]) = SRGB_CURVE;
    raw.unpack().map_err(raw_error)?;
    let developed = raw.process::<{ rsraw::BIT_DEPTH_8 }>().map_err(raw_error)?;
    let (width, height, colors) = (developed.width(), developed.height(), usize::from(developed.colors()));
    let rgb: Vec<u8> = match colors {
        3 => developed.to_vec(),
        1 => developed.iter().flat_map(|value| [*value; 3]).collect(),
        _ => return Err(PixelsError::Unsupported(format!("RAW with {colors} colours"))),
    };
    let mut decoded = Decoded::upright(Bitmap::rgb8(width, height, rgb), Profile::Srgb);
    // Sensors that lie askew or have oblong pixels come out in another shape than they are listed with.
    let full = |developed: u32, sensor: u32| match is_half {
        true if sensor.div_ceil(2) == developed => sensor,
        true => developed * 2,
        false => developed,
    };
    decoded.full_px = (full(width, width_px), full(height, height_px));
    decoded.orientation = stated.unwrap_or_else(|| of_flip(flip));
    decoded.source = PictureSource::Developed;
    Ok(decoded)
}

/// LibRaw's word for the way up: bit 0 mirrors, bit 1 turns over, bit 2 lies down.
fn of_flip(flip: i32) -> Orientation {
    let number = match flip {
        1 => 2,
        2 => 4,
        3 => 3,
        4 => 5,
        5 => 8,
        6 => 6,
        7 => 7,
        _ => 1,
    };
    Orientation::try_from(number).unwrap_or(Orientation::UPRIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orientation(number: u8) -> Option<Orientation> {
        Orientation::try_from(number).ok()
    }

    #[test]
    fn a_preview_that_was_turned_is_not_turned_again() {
        let sensor = Some((6000, 4000));
        let turn = |own, stated, preview_px| preview_orientation(own, stated, preview_px, sensor).exif();
        assert_eq!(turn(None, orientation(6), (1620, 1080)), 6);
        assert_eq!(turn(None, orientation(6), (1080, 1620)), 1);
        assert_eq!(turn(orientation(8), orientation(8), (1620, 1080)), 8);
        assert_eq!(turn(None, None, (1620, 1080)), 1);
        assert_eq!(turn(None, orientation(3), (1620, 1080)), 3);
    }

    #[test]
    fn the_smallest_sufficient_preview_is_taken() {
        let preview = |width_px| Preview { at: 0, bytes: 0, width_px, height_px: width_px / 2 };
        let all = vec![preview(160), preview(1620), preview(6000), preview(3000)];
        assert_eq!(best(all.clone(), 2048).map(|preview| preview.width_px), Some(3000));
        assert_eq!(best(all, 9000).map(|preview| preview.width_px), Some(6000));
    }
}
