//! Pixels and facts become files: JPEG with EXIF and XMP, DNG with sensor data and a preview, PNG with alpha.
//!
//! # Source
//! JPEG: ITU-T T.81 annex B, Exif 2.32 section 4.7; DNG: Adobe's specification 1.4, chapters 2 to 6.

use image::ImageEncoder;

use super::{
    DemoError,
    canvas::{Picture, smooth},
    exif::Turn,
    tiff::{Directory, Value},
};

/// Bytes of a JPEG's APP1 segment at most, its length included.
const SEGMENT: usize = 65_533;

/// A bare JPEG of the picture.
fn jpeg_of(picture: &Picture, quality: i32) -> Result<Vec<u8>, DemoError> {
    let image = turbojpeg::Image {
        pixels: picture.rgb.as_slice(),
        width: picture.width_px,
        pitch: picture.width_px * 3,
        height: picture.height_px,
        format: turbojpeg::PixelFormat::RGB,
    };
    let encoded = turbojpeg::compress(image, quality, turbojpeg::Subsamp::Sub2x2);
    encoded.map(|bytes| bytes.to_vec()).map_err(|error| DemoError::Encode(error.to_string()))
}

/// A JPEG as a camera writes it: EXIF with a thumbnail first, then the XMP packet when there is one.
pub(super) fn jpeg(picture: &Picture, exif: &Directory, xmp: Option<&str>, quality: i32) -> Result<Vec<u8>, DemoError> {
    let small = picture.shrunk(160, 160 * picture.height_px / picture.width_px);
    let thumbnail = jpeg_of(&small, 70)?;
    let mut second = Directory::default();
    second.short(0x0103, 6).rational(0x011a, 72, 1).rational(0x011b, 72, 1).short(0x0128, 2).long(0x0202, thumbnail.len() as u32);
    second.set(0x0201, Value::Data(thumbnail));
    let block = exif.clone().followed_by(second).to_tiff();
    let body = jpeg_of(picture, quality)?;
    let mut bytes = body[..2].to_vec();
    segment(&mut bytes, b"Exif\0\0", &block)?;
    if let Some(xmp) = xmp {
        segment(&mut bytes, b"http://ns.adobe.com/xap/1.0/\0", xmp.as_bytes())?;
    }
    bytes.extend_from_slice(&body[2..]);
    Ok(bytes)
}

fn segment(bytes: &mut Vec<u8>, name: &[u8], data: &[u8]) -> Result<(), DemoError> {
    let length = 2 + name.len() + data.len();
    if length > SEGMENT {
        return Err(DemoError::Encode(format!("{length} bytes of metadata do not fit into a JPEG segment")));
    }
    bytes.extend([0xff, 0xe1]);
    bytes.extend((length as u16).to_be_bytes());
    bytes.extend(name);
    bytes.extend(data);
    Ok(())
}

/// A DNG: the preview a camera would have developed, and the light behind it as a Bayer mosaic.
///
/// The mosaic has 8 bits on a square-root scale, undone by a linearisation table, which keeps the file small.
pub(super) fn dng(picture: &Picture, facts: &Directory, model: &str, quality: i32) -> Result<Vec<u8>, DemoError> {
    let (width, height) = (picture.width_px as u32, picture.height_px as u32);
    let preview = jpeg_of(picture, quality)?;
    let mut root = facts.clone();
    root.long(0x00fe, 1).long(0x0100, width).long(0x0101, height).set(0x0102, Value::Short(vec![8; 3])).short(0x0103, 7);
    root.short(0x0106, 6).short(0x0115, 3).short(0x011c, 1).long(0x0116, height).long(0x0117, preview.len() as u32);
    root.set(0x0111, Value::Data(preview)).set(0x0212, Value::Short(vec![2, 2])).short(0x0213, 1);
    root.set(0xc612, Value::Bytes(vec![1, 4, 0, 0])).set(0xc613, Value::Bytes(vec![1, 1, 0, 0])).text(0xc614, model);
    // The camera sees linear sRGB with a weak red and blue, so its matrix is that of sRGB with scaled rows (IEC 61966-2-1).
    let matrix = [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]];
    let rows = matrix.iter().zip(NEUTRAL).flat_map(|(row, gain)| row.map(|value| ((value * gain * 10_000.0) as i32, 10_000)));
    root.set(0xc621, Value::Signed(rows.collect())).short(0xc65a, 21);
    root.set(0xc628, Value::Rational(NEUTRAL.map(|gain| ((gain * 1000.0) as u32, 1000)).to_vec()));

    let mut raw = Directory::default();
    raw.long(0x00fe, 0).long(0x0100, width).long(0x0101, height).short(0x0102, 8).short(0x0103, 1).short(0x0106, 32_803);
    raw.short(0x0115, 1).short(0x011c, 1).long(0x0116, height).long(0x0117, width * height);
    raw.set(0x828d, Value::Short(vec![2, 2])).set(0x828e, Value::Bytes(vec![0, 1, 1, 2]));
    raw.set(0xc618, Value::Short((0..=255_u32).map(|code| (code * code * WHITE / (255 * 255)) as u16).collect()));
    raw.short(0xc61a, 0).long(0xc61d, WHITE).set(0x0111, Value::Data(mosaic(picture)));
    root.set(0x014a, Value::Directory(raw));
    Ok(root.to_tiff())
}

/// What a grey card gives in red, green and blue.
const NEUTRAL: [f64; 3] = [0.5, 1.0, 0.65];
/// Saturation of the sensor.
const WHITE: u32 = 16_383;

fn mosaic(picture: &Picture) -> Vec<u8> {
    let light: Vec<[u8; 3]> = (0..=255_u32)
        .map(|code| {
            let shown = f64::from(code) / 255.0;
            let linear = if shown <= 0.040_45 { shown / 12.92 } else { ((shown + 0.055) / 1.055).powf(2.4) };
            NEUTRAL.map(|gain| ((linear * gain).sqrt() * 255.0).round() as u8)
        })
        .collect();
    (0..picture.width_px * picture.height_px)
        .map(|index| {
            let (x, y) = (index % picture.width_px, index / picture.width_px);
            let channel = x % 2 + y % 2;
            light[usize::from(picture.rgb[index * 3 + channel])][channel]
        })
        .collect()
}

/// A PNG whose ground is transparent outside a soft round shape.
pub(super) fn sticker(picture: &Picture) -> Result<Vec<u8>, DemoError> {
    let (width, height) = (picture.width_px, picture.height_px);
    let rgba: Vec<u8> = (0..width * height)
        .flat_map(|index| {
            let (x, y) = ((index % width) as f32 / width as f32 - 0.5, (index / width) as f32 / height as f32 - 0.5);
            let alpha = 1.0 - smooth(0.46, 0.48, (x * x + y * y).sqrt());
            let at = index * 3;
            [picture.rgb[at], picture.rgb[at + 1], picture.rgb[at + 2], (alpha * 255.0) as u8]
        })
        .collect();
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(&rgba, width as u32, height as u32, image::ExtendedColorType::Rgba8)
        .map_err(|error| DemoError::Encode(error.to_string()))?;
    Ok(bytes)
}

/// The picture as a camera held upright stores it, and the turn that undoes it.
pub(super) fn stored(picture: Picture, upright: bool, clockwise: bool) -> (Picture, Turn) {
    match (upright, clockwise) {
        (false, _) => (picture, Turn::None),
        (true, true) => (picture.turned(false), Turn::Clockwise),
        (true, false) => (picture.turned(true), Turn::Anticlockwise),
    }
}
