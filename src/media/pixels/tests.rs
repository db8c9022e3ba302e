//! Whole runs over pictures made here: what comes out is decoded again and looked at.

use std::path::Path;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use tempfile::TempDir;

use super::*;
use crate::models::FileFormat;

const RED: [u8; 3] = [220, 20, 30];
const GREEN: [u8; 3] = [30, 190, 60];
const BLUE: [u8; 3] = [30, 60, 200];
const YELLOW: [u8; 3] = [230, 210, 40];

/// A landscape with a colour in each quarter: red, green / blue, yellow.
fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(match (x * 2 < width, y * 2 < height) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => YELLOW,
        })
    })
}

/// What a camera held in another way would have stored of `upright`.
fn stored(upright: &RgbImage, orientation: u8) -> RgbImage {
    let upright = DynamicImage::ImageRgb8(upright.clone());
    let turned = match orientation {
        2 => upright.fliph(),
        3 => upright.rotate180(),
        4 => upright.flipv(),
        5 => upright.rotate90().fliph(),
        6 => upright.rotate270(),
        7 => upright.rotate270().fliph(),
        8 => upright.rotate90(),
        _ => upright,
    };
    turned.into_rgb8()
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let image = turbojpeg::Image {
        pixels: picture.as_raw().as_slice(),
        width: picture.width() as usize,
        pitch: picture.width() as usize * 3,
        height: picture.height() as usize,
        format: turbojpeg::PixelFormat::RGB,
    };
    turbojpeg::compress(image, 92, turbojpeg::Subsamp::None).unwrap().to_vec()
}

/// Puts an EXIF block that states `orientation` behind the first marker.
fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut tiff = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    tiff.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe1];
    bytes.extend((tiff.len() as u16 + 2).to_be_bytes());
    bytes.extend(tiff);
    bytes.extend(&jpeg[2..]);
    bytes
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

struct Outcome {
    _dir: TempDir,
    made: PicturesMade,
    proxy: RgbImage,
    thumbnail: RgbImage,
}

fn request(dir: &Path, bytes: &[u8], format: FileFormat) -> PictureRequest {
    let source = dir.join("source");
    std::fs::write(&source, bytes).unwrap();
    PictureRequest {
        source,
        format,
        orientation: None,
        stored_px: None,
        proxy: dir.join("proxy.jpg"),
        thumbnail: dir.join("thumb.webp"),
        proxy_px: 200,
        thumbnail_px: 50,
        max_pixels: 1_000_000,
        timeout_s: 10,
    }
}

fn make(bytes: &[u8], format: FileFormat, orientation: Option<u8>) -> Result<Outcome, PixelsError> {
    let dir = tempfile::tempdir().unwrap();
    let mut request = request(dir.path(), bytes, format);
    request.orientation = orientation.map(|number| Orientation::try_from(number).unwrap());
    let made = make_pictures(&request)?;
    let proxy = std::fs::read(&request.proxy).unwrap();
    let proxy = turbojpeg::decompress(&proxy, turbojpeg::PixelFormat::RGB).unwrap();
    let proxy = RgbImage::from_raw(proxy.width as u32, proxy.height as u32, proxy.pixels).unwrap();
    let thumbnail = image::load_from_memory(&std::fs::read(&request.thumbnail).unwrap()).unwrap().into_rgb8();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "something temporary was left behind");
    Ok(Outcome { _dir: dir, made, proxy, thumbnail })
}

#[track_caller]
fn assert_color(picture: &RgbImage, across: f32, down: f32, expected: [u8; 3], levels: u8) {
    let (x, y) = ((picture.width() as f32 * across) as u32, (picture.height() as f32 * down) as u32);
    let seen = picture.get_pixel(x, y).0;
    let is_near = seen.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= levels);
    assert!(is_near, "at {across}, {down}: {seen:?}, not {expected:?}");
}

#[track_caller]
fn assert_quarters(picture: &RgbImage) {
    for (across, down, color) in [(0.25, 0.25, RED), (0.75, 0.25, GREEN), (0.25, 0.75, BLUE), (0.75, 0.75, YELLOW)] {
        assert_color(picture, across, down, color, 10);
    }
}

#[test]
fn all_eight_orientations_come_out_upright_whoever_states_them() {
    let upright = quarters(600, 400);
    for orientation in 1..=8 {
        let bytes = jpeg(&stored(&upright, orientation));
        for outcome in [
            make(&bytes, FileFormat::Jpeg, Some(orientation)).unwrap(),
            make(&with_exif(&bytes, orientation), FileFormat::Jpeg, None).unwrap(),
        ] {
            assert_eq!(outcome.made.proxy_px, (200, 133), "orientation {orientation}");
            assert_eq!(outcome.made.full_px, Some((600, 400)));
            assert_eq!(outcome.made.source, PictureSource::Full);
            assert_eq!(outcome.thumbnail.dimensions(), (50, 33));
            assert_quarters(&outcome.proxy);
            assert_quarters(&outcome.thumbnail);
        }
    }
}

#[test]
fn the_bytes_decide_not_the_name_and_nothing_is_enlarged() {
    let bytes = encoded(&DynamicImage::ImageRgb8(quarters(40, 30)), ImageFormat::Png);
    let outcome = make(&bytes, FileFormat::Nef, None).unwrap();
    assert_eq!((outcome.made.proxy_px, outcome.thumbnail.dimensions()), ((40, 30), (40, 30)));
    assert_quarters(&outcome.proxy);
    let (width, height) = (outcome.made.proxy_px.0 as f32, outcome.made.proxy_px.1 as f32);
    let ratio = thumbhash::thumb_hash_to_approximate_aspect_ratio(&outcome.made.placeholder).unwrap();
    assert!((ratio - width / height).abs() < 0.2, "{ratio}");
}

#[test]
fn transparency_is_shown_on_white() {
    let picture = RgbaImage::from_fn(100, 60, |x, _| if x < 50 { Rgba([0, 0, 0, 0]) } else { Rgba([0, 0, 0, 128]) });
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let outcome = make(&encoded(&DynamicImage::ImageRgba8(picture.clone()), format), FileFormat::Png, None).unwrap();
        assert_color(&outcome.proxy, 0.25, 0.5, [255; 3], 2);
        assert_color(&outcome.proxy, 0.75, 0.5, [127; 3], 3);
    }
}

#[test]
fn sixteen_bits_grey_and_palette_keep_their_colours() {
    let deep = DynamicImage::ImageRgb8(quarters(300, 200)).into_rgb16();
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        let outcome = make(&encoded(&DynamicImage::ImageRgb16(deep.clone()), format), FileFormat::Png, None).unwrap();
        assert_quarters(&outcome.proxy);
    }
    let gray = DynamicImage::ImageRgb8(RgbImage::from_pixel(300, 200, Rgb([77; 3])));
    for gray in [DynamicImage::ImageLuma8(gray.to_luma8()), DynamicImage::ImageLuma16(gray.to_luma16())] {
        for format in [ImageFormat::Png, ImageFormat::Tiff] {
            assert_color(&make(&encoded(&gray, format), FileFormat::Tiff, None).unwrap().proxy, 0.5, 0.5, [77; 3], 2);
        }
    }
}

#[test]
fn tiff_in_inks_and_floats_comes_out_right() {
    use ::tiff::encoder::{TiffEncoder, colortype};
    let mut inks = std::io::Cursor::new(Vec::new());
    let pixels: Vec<u8> = [0, 255, 255, 0].repeat(100 * 50);
    TiffEncoder::new(&mut inks).unwrap().write_image::<colortype::CMYK8>(100, 50, &pixels).unwrap();
    assert_color(&make(&inks.into_inner(), FileFormat::Tiff, None).unwrap().proxy, 0.5, 0.5, [255, 0, 0], 3);

    let mut floats = std::io::Cursor::new(Vec::new());
    let pixels: Vec<f32> = [0.25, 0.5, 7.0].repeat(100 * 50);
    TiffEncoder::new(&mut floats).unwrap().write_image::<colortype::RGB32Float>(100, 50, &pixels).unwrap();
    assert_color(&make(&floats.into_inner(), FileFormat::Tiff, None).unwrap().proxy, 0.5, 0.5, [64, 128, 255], 3);
}

#[test]
fn a_jpeg_in_inks_is_no_negative() {
    // libjpeg writes Adobe's mark, so that what it is given is stored inverted: 255 is no ink.
    let pixels: Vec<u8> = [255, 0, 0, 255].repeat(160 * 80);
    let image = turbojpeg::Image { pixels: pixels.as_slice(), width: 160, pitch: 640, height: 80, format: turbojpeg::PixelFormat::CMYK };
    let bytes = turbojpeg::compress(image, 95, turbojpeg::Subsamp::None).unwrap();
    assert_color(&make(&bytes, FileFormat::Jpeg, None).unwrap().proxy, 0.5, 0.5, [255, 0, 0], 4);
}

#[test]
fn a_profile_is_applied() {
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let mut segment = b"ICC_PROFILE\0\x01\x01".to_vec();
    segment.extend(profile);
    let plain = jpeg(&RgbImage::from_pixel(120, 90, Rgb([200, 100, 50])));
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe2];
    bytes.extend((segment.len() as u16 + 2).to_be_bytes());
    bytes.extend(segment);
    bytes.extend(&plain[2..]);
    assert_color(&make(&bytes, FileFormat::Jpeg, None).unwrap().proxy, 0.5, 0.5, [215, 93, 31], 4);
}

#[test]
fn a_jpeg_cut_short_shows_its_top() {
    let noisy = RgbImage::from_fn(400, 400, |x, y| Rgb([(x * 7 % 256) as u8, (y * 3 % 256) as u8, ((x * y) % 256) as u8]));
    let whole = jpeg(&noisy);
    let outcome = make(&whole[..whole.len() / 2], FileFormat::Jpeg, None).unwrap();
    assert!(outcome.made.note.is_some());
    assert_eq!(outcome.made.full_px, Some((400, 400)));
    let expected = make(&whole, FileFormat::Jpeg, None).unwrap();
    assert_eq!(outcome.proxy.get_pixel(100, 20), expected.proxy.get_pixel(100, 20));
    assert_ne!(outcome.proxy.get_pixel(100, 190), expected.proxy.get_pixel(100, 190));
}

#[test]
fn a_broken_jpeg_gives_the_thumbnail_of_its_exif() {
    let thumbnail = jpeg(&quarters(160, 120));
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe1];
    bytes.extend((thumbnail.len() as u16 + 8).to_be_bytes());
    bytes.extend(b"Exif\0\0");
    bytes.extend(&thumbnail);
    bytes.extend([0xff, 0xdb, 0, 7, 1, 2, 3]);
    let outcome = make(&bytes, FileFormat::Jpeg, None).unwrap();
    assert_eq!((outcome.made.source, outcome.made.proxy_px), (PictureSource::EmbeddedPreview, (160, 120)));
    assert_quarters(&outcome.proxy);
}

#[test]
fn what_is_too_large_is_refused_before_it_is_decoded() {
    let mut bomb = jpeg(&quarters(32, 32));
    let frame = bomb.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bomb[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    assert!(matches!(make(&bomb, FileFormat::Jpeg, None), Err(PixelsError::TooLarge { width_px: 65_535, .. })));

    let large = encoded(&DynamicImage::new_luma8(1200, 1200), ImageFormat::Png);
    assert!(matches!(make(&large, FileFormat::Png, None), Err(PixelsError::TooLarge { .. })));
    let large = encoded(&DynamicImage::new_luma8(1200, 1200), ImageFormat::Tiff);
    assert!(matches!(make(&large, FileFormat::Tiff, None), Err(PixelsError::TooLarge { .. })));
}

#[test]
fn what_is_no_picture_fails_politely_and_leaves_nothing() {
    for (bytes, format) in [
        (&b""[..], FileFormat::Jpeg),
        (b"no picture", FileFormat::Cr2),
        (b"\xff\xd8\xff\xe0", FileFormat::Jpeg),
        (b"II*\0", FileFormat::Dng),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let error = make_pictures(&request(dir.path(), bytes, format)).unwrap_err();
        assert!(!error.is_passing(), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut gone = request(dir.path(), b"", FileFormat::Jpeg);
    gone.source = dir.path().join("gone.jpg");
    assert!(make_pictures(&gone).unwrap_err().is_passing());
}

#[test]
fn random_damage_never_panics() {
    let picture = quarters(120, 80);
    let deep = DynamicImage::ImageRgb16(DynamicImage::ImageRgb8(picture.clone()).into_rgb16());
    let originals = [jpeg(&picture), with_exif(&jpeg(&picture), 6), encoded(&deep, ImageFormat::Png), encoded(&deep, ImageFormat::Tiff)];
    let mut seed = 0x9e37_79b9_u64;
    let mut next = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let dir = tempfile::tempdir().unwrap();
    for original in &originals {
        for _ in 0..60 {
            let mut bytes = original.clone();
            for _ in 0..=next(12) {
                let at = next(bytes.len());
                bytes[at] = next(256) as u8;
            }
            bytes.truncate(bytes.len() - next(bytes.len() / 3));
            // Any answer will do: this is about getting one.
            let _ = make_pictures(&request(dir.path(), &bytes, FileFormat::Dng));
        }
    }
}

#[test]
fn requests_and_answers_survive_json_with_names_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let mut request = request(tempfile::tempdir().unwrap().path(), b"", FileFormat::Jpeg);
    request.source = Path::new(std::ffi::OsStr::from_bytes(b"/caf\xe9.jpg")).to_owned();
    let json = serde_json::to_vec(&request).unwrap();
    assert_eq!(serde_json::from_slice::<PictureRequest>(&json).unwrap(), request);
    let answer: Result<PicturesMade, PixelsError> = Err(PixelsError::TooLarge { width_px: 1, height_px: 2, max_pixels: 1 });
    let json = serde_json::to_vec(&answer).unwrap();
    assert_eq!(serde_json::from_slice::<Result<PicturesMade, PixelsError>>(&json).unwrap(), answer);
}

#[test]
fn a_proxy_in_memory_is_the_one_on_disk_and_survives_its_way_from_the_child() {
    let dir = tempfile::tempdir().unwrap();
    for orientation in [None, Orientation::try_from(6).ok()] {
        let of_both = PictureRequest { orientation, ..request(dir.path(), &jpeg(&quarters(640, 480)), FileFormat::Jpeg) };
        let made = make_pictures(&of_both).unwrap();
        let PictureRequest { source, format, stored_px, proxy_px, max_pixels, timeout_s, .. } = of_both;
        let of_one = ProxyRequest { source, format, orientation, stored_px, proxy_px, max_pixels, timeout_s };
        let json = serde_json::to_vec(&of_one).unwrap();
        let Ok(PixelRequest::Proxy(asked)) = serde_json::from_slice(&json) else { panic!("{}", String::from_utf8_lossy(&json)) };
        let proxy = make_proxy(&asked);
        let proxy = ProxyMade::from_frame(&ProxyMade::to_frame(&proxy)).unwrap();
        assert_eq!((proxy.proxy_px, proxy.source), (made.proxy_px, PictureSource::Full));
        assert!(proxy.jpeg == std::fs::read(&of_both.proxy).unwrap(), "orientation {orientation:?}");
        let json = serde_json::to_vec(&PictureRequest { source: of_one.source, ..of_both }).unwrap();
        assert!(matches!(serde_json::from_slice(&json), Ok(PixelRequest::Pictures(_))));
    }
    let broken = Err(PixelsError::Broken("cut\nshort".into()));
    assert_eq!(ProxyMade::from_frame(&ProxyMade::to_frame(&broken)), broken);
    assert!(matches!(ProxyMade::from_frame(b"{}"), Err(PixelsError::Read(_))));
}
