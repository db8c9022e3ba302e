//! From the colours of a file to sRGB: by the embedded profile, by what EXIF or the container says, or as they are.

use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, Layout, MatrixCoefficients, RenderingIntent, TransferCharacteristics,
    TransformExecutor, TransformOptions,
};

use super::{
    PixelsError,
    bitmap::{Bitmap, Samples, SrgbImage},
    hdr::{self, HdrTransfer},
};

/// What the numbers of a bitmap mean.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Profile {
    /// sRGB, or nothing is said.
    Srgb,
    /// An ICC profile.
    Icc(Vec<u8>),
    /// Adobe RGB (1998), stated without a profile.
    AdobeRgb,
    /// Code points of ITU-T H.273.
    Cicp { primaries: u8, transfer: u8 },
}

/// H.273 code points that mean sRGB, or are so near that screens make no difference: BT.709 primaries with any display gamma.
const BT709: u8 = 1;
const UNSPECIFIED: u8 = 2;
const PQ: u8 = 16;
const HLG: u8 = 18;
const SRGB_TRANSFER: u8 = 13;

/// What is converted in one go: a few hundred KiB, which stay near the processor.
const TILE_SAMPLES: usize = 3 * 16_384;
/// Colours that are tried along each edge of the cube.
const PROBES_A_SIDE: u16 = 17;
const MAX_12_BITS: u16 = 4095;
/// One step of 8 bits, in 12.
const LEVEL: u16 = 16;

impl Profile {
    /// The embedded profile, or else Adobe RGB where EXIF says so.
    pub(super) fn of(icc: Option<Vec<u8>>, is_adobe_rgb: bool) -> Self {
        match icc {
            Some(icc) => Self::Icc(icc),
            None if is_adobe_rgb => Self::AdobeRgb,
            None => Self::Srgb,
        }
    }
}

/// Converts to sRGB, 8 bits. A profile that cannot be used is passed over: colours slightly off are better than no picture.
///
/// # Errors
/// [`PixelsError::Broken`] when there are fewer samples than pixels.
pub(super) fn to_srgb(bitmap: Bitmap, profile: &Profile) -> Result<SrgbImage, PixelsError> {
    let Bitmap { width_px, height_px, samples } = bitmap;
    if let (Samples::Rgb16(pixels), Some((primaries, transfer))) = (&samples, hdr_of(profile)) {
        return Ok(SrgbImage { width_px, height_px, rgb: hdr::to_srgb8(pixels, primaries, transfer) });
    }
    let source = source_profile(profile);
    let rgb = match samples {
        Samples::Rgb8(rgb) => match &source {
            Some(source) => rgb8_to_srgb(&rgb, source).unwrap_or(rgb),
            None => rgb,
        },
        Samples::Rgb16(pixels) => {
            let flat: Vec<u16> = pixels.iter().flat_map(|pixel| pixel.0).collect();
            let converted = source.as_ref().and_then(|source| rgb16_to_srgb(&flat, source));
            converted.unwrap_or(flat).into_iter().map(to_8_bits).collect()
        }
        Samples::Cmyk8(inks) => source.as_ref().and_then(|source| cmyk_to_srgb(&inks, source)).unwrap_or_else(|| naive_cmyk(&inks)),
    };
    if rgb.len() != width_px as usize * height_px as usize * 3 {
        return Err(PixelsError::Broken(format!("{} samples for {width_px} × {height_px} pixels", rgb.len())));
    }
    Ok(SrgbImage { width_px, height_px, rgb })
}

/// Rounds 16 bits to 8.
pub(super) fn to_8_bits(value: u16) -> u8 {
    ((u32::from(value) * 255 + 32_767) / 65_535) as u8
}

fn hdr_of(profile: &Profile) -> Option<(u8, HdrTransfer)> {
    match profile {
        Profile::Cicp { primaries, transfer: PQ } => Some((*primaries, HdrTransfer::Pq)),
        Profile::Cicp { primaries, transfer: HLG } => Some((*primaries, HdrTransfer::Hlg)),
        _ => None,
    }
}

fn source_profile(profile: &Profile) -> Option<ColorProfile> {
    match profile {
        Profile::Srgb => None,
        Profile::AdobeRgb => Some(ColorProfile::new_adobe_rgb()),
        Profile::Icc(icc) => ColorProfile::new_from_slice(icc).ok(),
        Profile::Cicp { primaries: BT709 | UNSPECIFIED, .. } => None,
        Profile::Cicp { primaries, .. } => Some(ColorProfile::new_from_cicp(CicpProfile {
            color_primaries: CicpColorPrimaries::try_from(*primaries).ok()?,
            // Still pictures that say BT.601 or BT.709 are shown with sRGB's curve everywhere.
            transfer_characteristics: TransferCharacteristics::try_from(SRGB_TRANSFER).ok()?,
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        })),
    }
}

fn options() -> TransformOptions {
    // Thirteen bits of linear light, which fixed point has, are few for what is dark.
    TransformOptions { rendering_intent: RenderingIntent::Perceptual, prefer_fixed_point: false, ..TransformOptions::default() }
}

/// `None`, too, where the profile is sRGB by another name: the numbers are what they should be already.
fn rgb8_to_srgb(rgb: &[u8], source: &ColorProfile) -> Option<Vec<u8>> {
    match source.color_space {
        DataColorSpace::Rgb => {
            let transform = source.create_transform_12bit(Layout::Rgb, &ColorProfile::new_srgb(), Layout::Rgb, options()).ok()?;
            if is_identity(&*transform)? { None } else { in_12_bits(rgb, &*transform) }
        }
        DataColorSpace::Gray => {
            let transform = source.create_transform_12bit(Layout::Gray, &ColorProfile::new_srgb(), Layout::Rgb, options()).ok()?;
            let gray: Vec<u16> = rgb.iter().step_by(3).map(|value| widened(*value)).collect();
            let mut converted = vec![0; rgb.len()];
            transform.transform(&gray, &mut converted).ok()?;
            Some(converted.into_iter().map(narrowed).collect())
        }
        _ => None,
    }
}

/// Converts in 12 bits and rounds: in 8 bits moxcms cuts off, which darkens every colour by half a level on average, and in 16 its tables
/// take longer to make than a proxy to convert.
fn in_12_bits(rgb: &[u8], transform: &dyn TransformExecutor<u16>) -> Option<Vec<u8>> {
    let (mut wide, mut converted) = (Vec::with_capacity(TILE_SAMPLES), vec![0; TILE_SAMPLES]);
    let mut narrow = Vec::with_capacity(rgb.len());
    for tile in rgb.chunks(TILE_SAMPLES) {
        wide.clear();
        wide.extend(tile.iter().map(|value| widened(*value)));
        let converted = &mut converted[..tile.len()];
        transform.transform(&wide, converted).ok()?;
        narrow.extend(converted.iter().map(|value| narrowed(*value)));
    }
    Some(narrow)
}

/// Whether a conversion leaves colours where they are: no channel of a grid over the cube, or of a ramp of greys, moves by a level of 8 bits.
fn is_identity(transform: &dyn TransformExecutor<u16>) -> Option<bool> {
    let steps = || (0..PROBES_A_SIDE).map(|step| step * MAX_12_BITS / (PROBES_A_SIDE - 1));
    let grid = steps().flat_map(|red| steps().flat_map(move |green| steps().flat_map(move |blue| [red, green, blue])));
    let probes: Vec<u16> = grid.chain((0..=u8::MAX).flat_map(|gray| [widened(gray); 3])).collect();
    let mut converted = vec![0; probes.len()];
    transform.transform(&probes, &mut converted).ok()?;
    Some(probes.iter().zip(&converted).all(|(before, after)| before.abs_diff(*after) < LEVEL))
}

/// 8 bits in 12: 255 becomes 4,095.
fn widened(value: u8) -> u16 {
    ((u32::from(value) * u32::from(MAX_12_BITS) + 127) / 255) as u16
}

/// Rounds 12 bits to 8.
fn narrowed(value: u16) -> u8 {
    let max = u32::from(MAX_12_BITS);
    ((u32::from(value.min(MAX_12_BITS)) * 255 + max / 2) / max) as u8
}

fn rgb16_to_srgb(rgb: &[u16], source: &ColorProfile) -> Option<Vec<u16>> {
    let srgb = ColorProfile::new_srgb();
    let mut converted = vec![0; rgb.len()];
    match source.color_space {
        DataColorSpace::Rgb => {
            let transform = source.create_transform_16bit(Layout::Rgb, &srgb, Layout::Rgb, options()).ok()?;
            transform.transform(rgb, &mut converted).ok()?;
        }
        DataColorSpace::Gray => {
            let gray: Vec<u16> = rgb.iter().copied().step_by(3).collect();
            let transform = source.create_transform_16bit(Layout::Gray, &srgb, Layout::Rgb, options()).ok()?;
            transform.transform(&gray, &mut converted).ok()?;
        }
        _ => return None,
    }
    Some(converted)
}

fn cmyk_to_srgb(inks: &[u8], source: &ColorProfile) -> Option<Vec<u8>> {
    if source.color_space != DataColorSpace::Cmyk {
        return None;
    }
    let transform = source.create_transform_8bit(Layout::Rgba, &ColorProfile::new_srgb(), Layout::Rgb, options()).ok()?;
    let mut converted = vec![0; inks.len() / 4 * 3];
    transform.transform(inks, &mut converted).ok()?;
    Some(converted)
}

/// Inks that take away light one after the other: what is done where no profile says better.
fn naive_cmyk(inks: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(inks.len() / 4 * 3);
    for ink in inks.chunks_exact(4) {
        let black = 255 - u32::from(ink[3]);
        rgb.extend(ink[..3].iter().map(|value| ((255 - u32::from(*value)) * black / 255) as u8));
    }
    rgb
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_pixel(rgb: [u8; 3], profile: &Profile) -> [u8; 3] {
        let image = to_srgb(Bitmap::rgb8(1, 1, rgb.to_vec()), profile).unwrap();
        [image.rgb[0], image.rgb[1], image.rgb[2]]
    }

    fn near(seen: [u8; 3], expected: [u8; 3], levels: u8) -> bool {
        seen.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= levels)
    }

    #[test]
    fn wide_profiles_become_srgb() {
        // Expected values by the published matrices and curves: linear light through XYZ (D65), clipped, sRGB curve.
        let p3 = Profile::Icc(ColorProfile::new_display_p3().encode().unwrap());
        for (display_p3, srgb) in [([200, 100, 50], [215, 93, 31]), ([128, 128, 128], [128, 128, 128]), ([60, 160, 90], [0, 163, 82])] {
            let seen = one_pixel(display_p3, &p3);
            assert!(near(seen, srgb, 3), "Display P3 {display_p3:?} gave {seen:?}, not {srgb:?}");
        }
        for (adobe, srgb) in [([200, 100, 50], [227, 100, 42]), ([128, 128, 128], [129, 129, 129]), ([90, 120, 150], [72, 121, 153])] {
            let seen = one_pixel(adobe, &Profile::AdobeRgb);
            assert!(near(seen, srgb, 3), "Adobe RGB {adobe:?} gave {seen:?}, not {srgb:?}");
        }
    }

    #[test]
    fn dark_colours_are_exact_to_a_level() {
        // By the same matrices and curves, in floating point.
        let p3 = Profile::Icc(ColorProfile::new_display_p3().encode().unwrap());
        for (display_p3, srgb) in [
            ([12, 9, 7], [13, 9, 7]),
            ([5, 4, 6], [5, 4, 6]),
            ([20, 12, 8], [21, 12, 7]),
            ([40, 20, 25], [43, 19, 25]),
            ([3, 2, 1], [3, 2, 1]),
        ] {
            let seen = one_pixel(display_p3, &p3);
            assert!(near(seen, srgb, 1), "Display P3 {display_p3:?} gave {seen:?}, not {srgb:?}");
        }
    }

    #[test]
    fn colours_are_rounded_not_cut_off() {
        // Greys of Display P3 are those of sRGB, and a mixture of colours keeps its mean to a tenth of a level.
        let p3 = Profile::Icc(ColorProfile::new_display_p3().encode().unwrap());
        let grays: Vec<u8> = (0..=255).flat_map(|gray| [gray; 3]).collect();
        assert_eq!(to_srgb(Bitmap::rgb8(256, 1, grays.clone()), &p3).unwrap().rgb, grays);
        let muted = |step: usize| [90 + step * 7 % 60, 90 + step * 11 % 60, 90 + step * 13 % 60].map(|value| value as u8);
        let there = ColorProfile::new_srgb();
        let image = to_srgb(Bitmap::rgb8(600, 10, (0..6000).flat_map(muted).collect()), &p3).unwrap();
        let back = there.create_transform_12bit(Layout::Rgb, &ColorProfile::new_display_p3(), Layout::Rgb, options()).unwrap();
        let wide: Vec<u16> = image.rgb.iter().map(|value| widened(*value)).collect();
        let mut round_trip = vec![0; wide.len()];
        back.transform(&wide, &mut round_trip).unwrap();
        let shift: f64 = (0..6000)
            .flat_map(muted)
            .zip(&round_trip)
            .map(|(before, after)| f64::from(*after) * 255.0 / f64::from(MAX_12_BITS) - f64::from(before))
            .sum();
        let mean = shift / round_trip.len() as f64;
        assert!(mean.abs() < 0.1, "colours moved by {mean:.3} levels on average");
    }

    #[test]
    fn srgb_by_another_name_is_left_as_it_is() {
        let srgb = ColorProfile::new_srgb();
        let rgb: Vec<u8> = (0..3 * 4096).map(|at| (at * 7 % 256) as u8).collect();
        assert_eq!(rgb8_to_srgb(&rgb, &srgb), None);
        let image = to_srgb(Bitmap::rgb8(64, 64, rgb.clone()), &Profile::Icc(srgb.encode().unwrap())).unwrap();
        assert_eq!(image.rgb, rgb);
        assert!(rgb8_to_srgb(&rgb, &ColorProfile::new_adobe_rgb()).is_some());
    }

    #[test]
    fn a_broken_profile_leaves_the_colours_as_they_are() {
        assert_eq!(one_pixel([1, 2, 3], &Profile::Icc(vec![7; 200])), [1, 2, 3]);
        let gray = Profile::Icc(ColorProfile::new_gray_with_gamma(2.2).encode().unwrap());
        assert!(near(one_pixel([128, 128, 128], &gray), [128, 128, 128], 3));
    }

    #[test]
    fn inks_without_a_profile_take_light_away() {
        let inks = vec![0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 255, 0, 255, 255, 128];
        let bitmap = Bitmap { width_px: 4, height_px: 1, samples: Samples::Cmyk8(inks) };
        let rgb = to_srgb(bitmap, &Profile::Srgb).unwrap().rgb;
        assert_eq!(rgb, [255, 255, 255, 0, 255, 255, 0, 0, 0, 127, 0, 0]);
    }

    #[test]
    fn sixteen_bits_are_rounded_not_cut() {
        assert_eq!([0, 128, 32_767, 65_535, 65_406].map(to_8_bits), [0, 0, 127, 255, 254]);
    }
}
