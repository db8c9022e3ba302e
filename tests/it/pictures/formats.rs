//! AVIF, HEIC and JPEG XL as other people's encoders write them: upright, whole, and in the colours of the picture they were made of.
//! Each encoder that is not installed leaves its test out, which says so.

use std::path::Path;

use hm::{
    media::{child::ChildPool, pixels::PictureSource},
    models::Orientation,
};
use image::{RgbImage, imageops};
use moxcms::ColorProfile;

use super::{children, make, make_turned};
use crate::support::{
    chart::{
        chart, color_at, deep_png, difference, from_display_p3, jpeg, jpeg_with_profile, png, png_with_alpha, stored, translucent_chart,
    },
    dng,
    encoders::Encoder,
};

const WIDTH_PX: u32 = 480;
const HEIGHT_PX: u32 = 320;
/// Levels by which a field may be off after a lossy encoder, our JPEG and our WebP.
const LOSSY: f64 = 6.0;
const LOSSLESS: f64 = 4.0;
/// What the small WebP loses by itself, whatever it was made from.
const SMALL_WEBP: f64 = 5.0;

/// The pictures that were made of one file.
struct Shown {
    proxy: RgbImage,
    thumbnail: RgbImage,
}

fn shown(dir: &Path) -> Shown {
    let proxy = turbojpeg::decompress(&std::fs::read(dir.join("proxy.jpg")).unwrap(), turbojpeg::PixelFormat::RGB).unwrap();
    let proxy = RgbImage::from_raw(proxy.width as u32, proxy.height as u32, proxy.pixels).unwrap();
    let thumbnail = image::load_from_memory(&std::fs::read(dir.join("thumb.webp")).unwrap()).unwrap().into_rgb8();
    Shown { proxy, thumbnail }
}

/// Checks files of one format against what they must show, and collects what is wrong.
struct Judge {
    children: ChildPool,
    dir: tempfile::TempDir,
    wrong: Vec<String>,
}

impl Judge {
    fn new() -> Self {
        Self { children: children(), dir: tempfile::tempdir().unwrap(), wrong: Vec::new() }
    }

    fn expect(&mut self, what: &str, extension: &str, bytes: &[u8], expected: &RgbImage, levels: f64) {
        self.expect_turned(what, extension, bytes, None, expected, levels);
    }

    /// As [`Self::expect`], where the metadata said how the pixels must be turned after decoding.
    fn expect_turned(
        &mut self,
        what: &str,
        extension: &str,
        bytes: &[u8],
        orientation: Option<Orientation>,
        expected: &RgbImage,
        levels: f64,
    ) {
        let source = self.dir.path().join(format!("source.{extension}"));
        std::fs::write(&source, bytes).unwrap();
        let made = match make_turned(&self.children, source, orientation, self.dir.path()) {
            Ok(made) => made,
            Err(error) => return self.wrong.push(format!("{what}: {error}")),
        };
        if made.full_px != Some(expected.dimensions()) || made.note.is_some() {
            self.wrong.push(format!("{what}: {made:?}, not the whole of {:?}", expected.dimensions()));
        }
        let Shown { proxy, thumbnail } = shown(self.dir.path());
        let longest = thumbnail.width().max(thumbnail.height());
        if made.source == PictureSource::Full && proxy.dimensions() != expected.dimensions() || longest != 256 {
            self.wrong.push(format!("{what}: proxy of {:?}, thumbnail of {:?}", proxy.dimensions(), thumbnail.dimensions()));
        }
        for (size, picture, most) in [("proxy", &proxy, levels), ("thumbnail", &thumbnail, levels.max(SMALL_WEBP))] {
            let (apart, whereabouts) = difference(picture, expected);
            eprintln!("{what}: {size} off by {apart:.1}");
            if apart > most {
                self.wrong.push(format!("{what}: {size} off by {apart:.1} levels: {whereabouts}"));
            }
        }
    }

    fn done(self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}

fn display_p3() -> Vec<u8> {
    ColorProfile::new_display_p3().encode().unwrap()
}

#[test]
fn avif_comes_out_right() {
    let avif = Encoder::Avif;
    if !avif.is_there() {
        return;
    }
    let upright = chart(WIDTH_PX, HEIGHT_PX);
    let (plain, deep) = (png(&upright, None), deep_png(&upright, None));
    let in_p3 = from_display_p3(&upright);
    let mut judge = Judge::new();
    let quality = ["--min", "4", "--max", "12"];
    let mut expect = |what: &str, source: &[u8], options: &[&str], expected: &RgbImage| {
        let made = avif.encode(source, "png", &[&quality[..], options].concat());
        judge.expect(what, "avif", &made, expected, LOSSY);
    };
    for (what, options) in [
        ("8 bits, 4:4:4", &["-d", "8", "-y", "444"][..]),
        ("8 bits, 4:2:0", &["-d", "8", "-y", "420"]),
        ("8 bits, 4:2:2, limited range", &["-d", "8", "-y", "422", "-r", "limited"]),
        ("10 bits, 4:2:0", &["-d", "10", "-y", "420"]),
        ("12 bits, 4:4:4, limited range", &["-d", "12", "-y", "444", "-r", "limited"]),
        ("BT.709 matrix", &["--cicp", "1/13/1"]),
    ] {
        let source = if what.starts_with('8') { &plain } else { &deep };
        expect(what, source, options, &upright);
    }
    let grey = image::DynamicImage::ImageRgb8(upright.clone()).into_luma8();
    let grey = image::DynamicImage::ImageLuma8(grey).into_rgb8();
    expect("grey", &png(&grey, None), &["-y", "400"], &grey);
    for (what, depth) in [("alpha, 8 bits", "8"), ("alpha, 10 bits", "10")] {
        let (with_alpha, on_white) = translucent_chart(WIDTH_PX, HEIGHT_PX);
        expect(what, &png_with_alpha(&with_alpha), &["-d", depth], &on_white);
    }
    let profile_file = tempfile::NamedTempFile::with_suffix(".icc").unwrap();
    std::fs::write(profile_file.path(), display_p3()).unwrap();
    let profile = profile_file.path().to_str().unwrap();
    expect("Display P3 by its profile", &plain, &["-d", "8", "--icc", profile], &in_p3);
    expect("Display P3 by its profile, 10 bits", &deep, &["-d", "10", "--icc", profile], &in_p3);
    expect("Display P3 by code points", &plain, &["--cicp", "12/13/6"], &in_p3);
    expect("Display P3 by code points, 10 bits", &deep, &["-d", "10", "--cicp", "12/13/6"], &in_p3);
    // ISO 23008-12, 6.5.10 and 6.5.12: turned anticlockwise first, then mirrored: 0 exchanges top and bottom, 1 left and right.
    for angle in 0..4 {
        let turned = match angle {
            1 => imageops::rotate270(&upright),
            2 => imageops::rotate180(&upright),
            3 => imageops::rotate90(&upright),
            _ => upright.clone(),
        };
        let number = angle.to_string();
        expect(&format!("irot {angle}"), &plain, &["--irot", &number], &turned);
        expect(&format!("irot {angle}, imir 0"), &plain, &["--irot", &number, "--imir", "0"], &imageops::flip_vertical(&turned));
        expect(&format!("irot {angle}, imir 1"), &plain, &["--irot", &number, "--imir", "1"], &imageops::flip_horizontal(&turned));
    }
    judge.done();
}

#[test]
fn heic_comes_out_right() {
    let heic = Encoder::Heic;
    if !heic.is_there() {
        return;
    }
    let upright = chart(WIDTH_PX, HEIGHT_PX);
    let in_p3 = from_display_p3(&upright);
    let (with_alpha, on_white) = translucent_chart(WIDTH_PX, HEIGHT_PX);
    let mut judge = Judge::new();
    let mut expect = |what: &str, source: &[u8], options: &[&str], expected: &RgbImage| {
        let extension = if source.starts_with(&[0xff, 0xd8]) { "jpg" } else { "png" };
        let made = heic.encode(source, extension, &[&["-q", "90", "-p", "preset=ultrafast"][..], options].concat());
        judge.expect(what, "heic", &made, expected, LOSSY);
    };
    expect("8 bits", &png(&upright, None), &[], &upright);
    expect("8 bits, 4:4:4", &png(&upright, None), &["-p", "chroma=444"], &upright);
    expect("10 bits", &deep_png(&upright, None), &["-b", "10"], &upright);
    expect("alpha", &png_with_alpha(&with_alpha), &[], &on_white);
    // From a JPEG: libpng would lose the profile on the way into the encoder.
    expect("Display P3 by its profile", &jpeg_with_profile(&upright, &display_p3()), &[], &in_p3);
    // Without `irot` its EXIF alone may say how it lies: then the decoder does not turn it, and the metadata tells us to.
    for exif in 1..=8 {
        let made = heic.encode(&png(&stored(&upright, exif), None), "png", &["-q", "90", "-p", "preset=ultrafast"]);
        let orientation = Orientation::try_from(exif).ok();
        judge.expect_turned(&format!("EXIF orientation {exif} alone"), "heic", &made, orientation, &upright, LOSSY);
    }
    judge.done();
}

#[test]
fn jpeg_xl_comes_out_right() {
    let jxl = Encoder::Jxl;
    if !jxl.is_there() {
        return;
    }
    let upright = chart(WIDTH_PX, HEIGHT_PX);
    let in_p3 = from_display_p3(&upright);
    let (with_alpha, on_white) = translucent_chart(WIDTH_PX, HEIGHT_PX);
    let mut judge = Judge::new();
    let mut expect = |what: &str, source: &[u8], options: &[&str], expected: &RgbImage, levels: f64| {
        let extension = if source.starts_with(&[0xff, 0xd8]) { "jpg" } else { "png" };
        let mut made = jxl.encode(source, extension, options);
        let is_naked = options.contains(&"--container=0");
        // What needs more than level 5 is put into a container all the same.
        if is_naked && !made.starts_with(&[0xff, 0x0a]) {
            made = codestream(&made);
        }
        assert_eq!(made.starts_with(&[0xff, 0x0a]), is_naked, "{what}");
        judge.expect(what, "jxl", &made, expected, levels);
        if !is_naked {
            judge.expect(&format!("{what}, and a compressed box"), "jxl", &with_brotli_box(&made), expected, levels);
        }
    };
    let (plain, deep) = (png(&upright, None), deep_png(&upright, None));
    for container in ["--container=0", "--container=1"] {
        expect("lossy", &plain, &["-d", "1", container], &upright, LOSSY);
        expect("lossless, 16 bits", &deep, &["-d", "0", container], &upright, LOSSLESS);
    }
    expect("progressive", &plain, &["-d", "1", "-p", "--container=0"], &upright, LOSSY);
    expect("lossy, 16 bits", &deep, &["-d", "0.5", "--container=0"], &upright, LOSSY);
    expect("alpha, lossless", &png_with_alpha(&with_alpha), &["-d", "0", "--container=0"], &on_white, LOSSLESS);
    expect("alpha, lossy", &png_with_alpha(&with_alpha), &["-d", "1", "--container=0"], &on_white, LOSSY);
    let with_profile = jpeg_with_profile(&upright, &display_p3());
    expect("Display P3, lossless", &with_profile, &["--lossless_jpeg=0", "-d", "0", "--container=0"], &in_p3, LOSSY);
    expect("Display P3, lossy", &with_profile, &["--lossless_jpeg=0", "-d", "0.5", "--container=0"], &in_p3, LOSSY);
    expect("Display P3, a JPEG packed up", &with_profile, &["--lossless_jpeg=1", "--container=1"], &in_p3, LOSSY);
    for orientation in 1..=8 {
        let source = jpeg(&stored(&upright, orientation), Some(orientation));
        let what = format!("a JPEG packed up, orientation {orientation}");
        expect(&what, &source, &["--lossless_jpeg=1", "--container=1"], &upright, LOSSY);
    }
    let sideways = jpeg(&stored(&upright, 6), Some(6));
    expect("a JPEG encoded anew, on its side", &sideways, &["--lossless_jpeg=0", "-d", "1", "--container=1"], &upright, LOSSY);
    let packed = jxl.encode(&sideways, "jpg", &["--lossless_jpeg=1", "--container=1"]);
    judge.expect("a JPEG packed up, naked, on its side", "jxl", &codestream(&packed), &upright, LOSSY);
    judge.done();
}

/// What is in the boxes `jxlc` and `jxlp` of a container, put together (ISO 18181-2, 9.6 and 9.7).
fn codestream(container: &[u8]) -> Vec<u8> {
    let (mut found, mut rest) = (Vec::new(), container);
    while let [a, b, c, d, kind @ ..] = rest
        && kind.len() >= 4
    {
        let length = match u32::from_be_bytes([*a, *b, *c, *d]) as usize {
            0 => rest.len(),
            length => length,
        };
        match &kind[..4] {
            b"jxlc" => found.extend(&rest[8..length]),
            b"jxlp" => found.extend(&rest[12..length]),
            _ => {}
        }
        rest = &rest[length..];
    }
    found
}

/// Adds a box of EXIF that states another orientation, compressed with Brotli: the codestream's own word counts.
///
/// # Source
/// ISO 18181-2, 9.8 (`brob`); RFC 7932, 9.2: a stream of one block that is stored as it is, and an empty last one.
fn with_brotli_box(container: &[u8]) -> Vec<u8> {
    let mut exif = b"\0\0\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([3, 0, 0, 0, 0, 0, 0]);
    let block = ((exif.len() as u32 - 1) << 4) | 1 << 20;
    let content = [&b"brobExif"[..], &block.to_le_bytes()[..3], &exif, &[0b11]].concat();
    // Signature box, file type box, then this one.
    let boxes_end = 12 + u32::from_be_bytes([container[12], container[13], container[14], container[15]]) as usize;
    let length = (content.len() as u32 + 4).to_be_bytes();
    [&container[..boxes_end], &length, &content, &container[boxes_end..]].concat()
}

/// A 24 megapixel sensor's data, packed, upright and on its side, and sensors whose pattern starts elsewhere.
#[test]
fn raw_without_a_preview_is_developed() {
    let (width, height) = (6000, 4000);
    let children = children();
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source.dng");
    std::fs::write(&source, dng::dng(width, height, dng::RGGB, 1, |x, y| color_at(x, y, width, height))).unwrap();
    let started = std::time::Instant::now();
    let made = make(&children, source, dir.path()).unwrap();
    eprintln!("24 megapixels developed in {:.1} s, at most {:?} MiB", started.elapsed().as_secs_f64(), crate::damage::largest_child_mib());
    assert_eq!((made.source, made.full_px, made.proxy_px), (PictureSource::Developed, Some((6000, 4000)), (1024, 683)));
    assert!(started.elapsed() < std::time::Duration::from_secs(30));
    assert!(crate::damage::largest_child_mib().is_none_or(|mib| mib < 1024));
    let Shown { proxy, thumbnail } = shown(dir.path());
    let expected = chart(1200, 800);
    for picture in [&proxy, &thumbnail] {
        let (apart, whereabouts) = difference(picture, &expected);
        assert!(apart < 8.0, "off by {apart:.1} levels: {whereabouts}");
    }
}

#[test]
fn sensors_of_every_layout_are_developed_upright() {
    let upright = chart(WIDTH_PX, HEIGHT_PX);
    let mut judge = Judge::new();
    let all = [dng::RGGB, dng::TURNED[0], dng::TURNED[1], dng::TURNED[2]];
    for pattern in all {
        for orientation in if pattern == dng::RGGB { 1..=8 } else { 5..=6 } {
            let lying = stored(&upright, orientation);
            let file = dng::dng(lying.width(), lying.height(), pattern, orientation.into(), |x, y| lying.get_pixel(x, y).0);
            judge.expect(&format!("pattern {pattern:?}, orientation {orientation}"), "dng", &file, &upright, 8.0);
        }
    }
    judge.done();
}

#[test]
fn a_lossy_dng_without_a_preview_says_so_and_no_tile_is_taken_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source.dng");
    std::fs::write(&source, dng::lossy_dng(WIDTH_PX, HEIGHT_PX, jpeg(&chart(WIDTH_PX, HEIGHT_PX), None))).unwrap();
    let error = make(&children(), source, dir.path()).unwrap_err();
    assert!(error.to_string().contains("lossy compression"), "{error}");
    assert!(!error.is_passing());
}
