//! A colour chart of 12 × 8 fields, each of its own colour, none like its mirror image: shows at once whether a picture made of it is
//! upright, whole and in the right colours.

use std::sync::LazyLock;

use image::{ImageEncoder, Rgb, RgbImage, Rgba, RgbaImage};

/// Fields along the longer and the shorter side.
const LONG: u32 = 12;
const SHORT: u32 = 8;

/// The colour of the field in this column and row. The first three are white, as in most photographs something is.
pub(crate) fn color(column: u32, row: u32) -> [u8; 3] {
    if row == 0 && column < 3 {
        return [255; 3];
    }
    let channel = |across: u32, down: u32, start: u32| 40 + ((column * across + row * down + start) % 190) as u8;
    [channel(53, 29, 0), channel(31, 71, 0), channel(17, 43, 60)]
}

/// The colour at a pixel of a chart of this size.
pub(crate) fn color_at(x: u32, y: u32, width_px: u32, height_px: u32) -> [u8; 3] {
    color(x * LONG / width_px, y * SHORT / height_px)
}

/// The chart, a landscape.
pub(crate) fn chart(width_px: u32, height_px: u32) -> RgbImage {
    RgbImage::from_fn(width_px, height_px, |x, y| Rgb(color_at(x, y, width_px, height_px)))
}

/// The chart with its left half opaque and the rest growing transparent downwards; and what it looks like on white paper.
pub(crate) fn translucent_chart(width_px: u32, height_px: u32) -> (RgbaImage, RgbImage) {
    let alpha = |x: u32, y: u32| if x * 2 < width_px { 255 } else { 255 - (y * SHORT / height_px * 30) as u8 };
    let with_alpha = RgbaImage::from_fn(width_px, height_px, |x, y| {
        let [red, green, blue] = color_at(x, y, width_px, height_px);
        Rgba([red, green, blue, alpha(x, y)])
    });
    let on_white = RgbImage::from_fn(width_px, height_px, |x, y| {
        let part = u32::from(alpha(x, y));
        Rgb(color_at(x, y, width_px, height_px).map(|value| ((u32::from(value) * part + 255 * (255 - part)) / 255) as u8))
    });
    (with_alpha, on_white)
}

/// What numbers in Display P3 are in sRGB: by the matrices of both (D65), clipped.
pub(crate) fn from_display_p3(picture: &RgbImage) -> RgbImage {
    static LIGHT: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let light = |shown: f64| if shown <= 0.040_45 { shown / 12.92 } else { ((shown + 0.055) / 1.055).powf(2.4) };
        (0..=255).map(|value| light(f64::from(value) / 255.0)).collect()
    });
    const TO_SRGB: [[f64; 3]; 3] = [[1.2249, -0.2249, 0.0], [-0.0421, 1.0421, 0.0], [-0.0196, -0.0786, 1.0983]];
    let shown = |light: f64| {
        let light = light.clamp(0.0, 1.0);
        let value = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
        (value * 255.0).round() as u8
    };
    let mut converted = picture.clone();
    for pixel in converted.pixels_mut() {
        let light = pixel.0.map(|value| LIGHT[usize::from(value)]);
        pixel.0 = TO_SRGB.map(|row| shown(row[0] * light[0] + row[1] * light[1] + row[2] * light[2]));
    }
    converted
}

/// The mean colour of the middle of each field, row by row.
fn fields(picture: &RgbImage) -> Vec<[f64; 3]> {
    let (width, height) = picture.dimensions();
    let (columns, rows) = if width > height { (LONG, SHORT) } else { (SHORT, LONG) };
    let span = |index: u32, count: u32, size: u32| (size * (4 * index + 1) / (4 * count), (size * (4 * index + 3)).div_ceil(4 * count));
    let mut means = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            let ((left, right), (top, bottom)) = (span(column, columns, width), span(row, rows, height));
            let mut sum = [0.0; 3];
            for (x, y) in (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y))) {
                let pixel = picture.get_pixel(x, y).0;
                (0..3).for_each(|channel| sum[channel] += f64::from(pixel[channel]));
            }
            let count = f64::from((right - left) * (bottom - top));
            means.push(sum.map(|channel| channel / count));
        }
    }
    means
}

/// The largest difference of a channel between the fields of two charts, in levels; and where it is.
pub(crate) fn difference(seen: &RgbImage, expected: &RgbImage) -> (f64, String) {
    let (seen, expected) = (fields(seen), fields(expected));
    let mut worst = (0.0, String::new());
    for (index, (seen, expected)) in seen.iter().zip(&expected).enumerate() {
        let levels = seen.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        if levels > worst.0 {
            worst = (levels, format!("field {index} is {seen:.0?}, not {expected:.0?}"));
        }
    }
    worst
}

/// A PNG of 8 bits, with a profile or without.
pub(crate) fn png(picture: &RgbImage, icc: Option<Vec<u8>>) -> Vec<u8> {
    encoded(picture.as_raw(), picture.dimensions(), image::ExtendedColorType::Rgb8, icc)
}

/// A PNG of 8 bits with alpha.
pub(crate) fn png_with_alpha(picture: &RgbaImage) -> Vec<u8> {
    encoded(picture.as_raw(), picture.dimensions(), image::ExtendedColorType::Rgba8, None)
}

/// A PNG of 16 bits, which uses them: between two of its levels lies a ramp of 257.
pub(crate) fn deep_png(picture: &RgbImage, icc: Option<Vec<u8>>) -> Vec<u8> {
    let width = picture.width() as usize;
    let deepened = picture.as_raw().iter().enumerate().map(|(index, value)| {
        let ramp = (index / 3 % width * 120 / width) as u16;
        (u16::from(*value) * 257).saturating_add(ramp)
    });
    let bytes: Vec<u8> = deepened.flat_map(u16::to_ne_bytes).collect();
    encoded(&bytes, picture.dimensions(), image::ExtendedColorType::Rgb16, icc)
}

fn encoded(samples: &[u8], (width, height): (u32, u32), color: image::ExtendedColorType, icc: Option<Vec<u8>>) -> Vec<u8> {
    let mut png = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
    if let Some(icc) = icc {
        encoder.set_icc_profile(icc).expect("PNG takes profiles");
    }
    encoder.write_image(samples, width, height, color).expect("the samples fill the picture");
    png
}

/// A JPEG without subsampling; with an EXIF block that states this orientation, if any.
pub(crate) fn jpeg(picture: &RgbImage, orientation: Option<u8>) -> Vec<u8> {
    let image = turbojpeg::Image {
        pixels: picture.as_raw().as_slice(),
        width: picture.width() as usize,
        pitch: picture.width() as usize * 3,
        height: picture.height() as usize,
        format: turbojpeg::PixelFormat::RGB,
    };
    let plain = turbojpeg::compress(image, 95, turbojpeg::Subsamp::None).expect("the buffer has the size it says");
    let Some(orientation) = orientation else { return plain.to_vec() };
    let mut tiff = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    tiff.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe1];
    bytes.extend((tiff.len() as u16 + 2).to_be_bytes());
    bytes.extend(tiff);
    bytes.extend(&plain[2..]);
    bytes
}

/// A JPEG without subsampling, with a profile.
pub(crate) fn jpeg_with_profile(picture: &RgbImage, icc: &[u8]) -> Vec<u8> {
    let plain = jpeg(picture, None);
    let segment = [&b"ICC_PROFILE\0\x01\x01"[..], icc].concat();
    let length = (segment.len() as u16 + 2).to_be_bytes();
    [&[0xff, 0xd8, 0xff, 0xe2][..], &length, &segment, &plain[2..]].concat()
}

/// What a camera that was held as `orientation` says would have stored of an upright picture.
pub(crate) fn stored(upright: &RgbImage, orientation: u8) -> RgbImage {
    use image::imageops::{flip_horizontal, flip_vertical, rotate90, rotate180, rotate270};
    match orientation {
        2 => flip_horizontal(upright),
        3 => rotate180(upright),
        4 => flip_vertical(upright),
        5 => flip_horizontal(&rotate90(upright)),
        6 => rotate270(upright),
        7 => flip_horizontal(&rotate270(upright)),
        8 => rotate90(upright),
        _ => upright.clone(),
    }
}

#[test]
fn the_chart_is_unlike_itself_turned_or_mirrored() {
    let upright = chart(240, 160);
    assert!(difference(&upright, &upright).0 < 0.01);
    for orientation in 2..=8 {
        let (levels, _) = difference(&stored(&upright, orientation), &upright);
        assert!(levels > 50.0, "orientation {orientation} differs by {levels} only");
    }
}
