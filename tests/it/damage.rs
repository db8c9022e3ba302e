//! Pictures that are damaged or made to do harm, through the real children with their limits: an answer comes in time, memory stays
//! bounded, the pool goes on, and the next picture is fine.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hm::{
    media::{
        child::{ChildError, ChildPool, Ending},
        pixels::{PictureRequest, PicturesMade, PixelsError},
    },
    models::FileFormat,
};
use image::{DynamicImage, ImageFormat};

use crate::support::{
    chart::{chart, deep_png, jpeg, png, png_with_alpha, translucent_chart},
    damage::{Dice, damaged},
    dng,
    encoders::Encoder,
};

const ROUNDS: usize = 2_000;
/// No damaged file of a few KiB may keep a child busy as long as this, on a machine that is busy itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// Resident memory of a child at most, in MiB: half of its default address space.
const MOST_MIB: u64 = 1_536;
/// As large as the largest picture these tests let through: 40 megapixels.
const MAX_PIXELS: u64 = 40_000_000;

/// The peak of resident memory of the largest child of this process that lives, in MiB; `None` where the system does not say.
pub(crate) fn largest_child_mib() -> Option<u64> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let listed = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).ok();
    let children: Vec<String> = tasks.flatten().filter_map(listed).collect();
    let peak = |child: &str| -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
    };
    children.iter().flat_map(|list| list.split_whitespace()).filter_map(peak).max()
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn progressive(picture: &image::RgbImage) -> Vec<u8> {
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_progressive(true).unwrap();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let pixels = picture.as_raw().as_slice();
    compressor.compress_to_vec(turbojpeg::Image { pixels, width, pitch: width * 3, height, format: turbojpeg::PixelFormat::RGB }).unwrap()
}

/// Good files of 160 px of every format that is decoded here and can be made here, by name and extension.
fn sources() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (width, height) = (160, 108);
    let picture = chart(width, height);
    let (with_alpha, _) = translucent_chart(width, height);
    let whole = DynamicImage::ImageRgb8(picture.clone());
    let deep = DynamicImage::ImageRgb16(whole.to_rgb16());
    let mut inks = std::io::Cursor::new(Vec::new());
    let pixels: Vec<u8> = picture.pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 40]).collect();
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut inks).unwrap();
    encoder.write_image::<tiff::encoder::colortype::CMYK8>(width, height, &pixels).unwrap();
    let mut sources = vec![
        ("JPEG", "jpg", jpeg(&picture, Some(6))),
        ("JPEG, progressive", "jpg", progressive(&picture)),
        ("PNG", "png", png(&picture, Some(moxcms::ColorProfile::new_display_p3().encode().unwrap()))),
        ("PNG, 16 bits", "png", deep_png(&picture, None)),
        ("PNG with alpha", "png", png_with_alpha(&with_alpha)),
        ("TIFF", "tif", encoded(&whole, ImageFormat::Tiff)),
        ("TIFF, 16 bits", "tif", encoded(&deep, ImageFormat::Tiff)),
        ("TIFF, CMYK", "tif", inks.into_inner()),
        ("WebP", "webp", webp::Encoder::from_rgb(picture.as_raw(), width, height).encode(80.0).to_vec()),
        ("WebP, lossless", "webp", encoded(&DynamicImage::ImageRgba8(with_alpha.clone()), ImageFormat::WebP)),
        ("DNG", "dng", dng::dng(width, height, dng::RGGB, 1, |x, y| picture.get_pixel(x, y).0)),
        ("DNG, lossy", "dng", dng::lossy_dng(width, height, jpeg(&picture, None))),
    ];
    let (plain, deep, see_through) = (png(&picture, None), deep_png(&picture, None), png_with_alpha(&with_alpha));
    if Encoder::Avif.is_there() {
        sources.push(("AVIF", "avif", Encoder::Avif.encode(&plain, "png", &["-d", "8", "-y", "420"])));
        sources.push(("AVIF, 10 bits", "avif", Encoder::Avif.encode(&deep, "png", &["-d", "10", "--irot", "1"])));
        sources.push(("AVIF with alpha", "avif", Encoder::Avif.encode(&see_through, "png", &[])));
    }
    if Encoder::Heic.is_there() {
        sources.push(("HEIC", "heic", Encoder::Heic.encode(&plain, "png", &[])));
        sources.push(("HEIC, 10 bits", "heic", Encoder::Heic.encode(&deep, "png", &["-b", "10"])));
    }
    if Encoder::Jxl.is_there() {
        sources.push(("JPEG XL", "jxl", Encoder::Jxl.encode(&plain, "png", &["-d", "1", "--container=0"])));
        sources.push(("JPEG XL, lossless", "jxl", Encoder::Jxl.encode(&deep, "png", &["-d", "0", "--container=1"])));
        sources.push(("JPEG XL of a JPEG", "jxl", Encoder::Jxl.encode(&jpeg(&picture, Some(6)), "jpg", &["--lossless_jpeg=1"])));
    }
    sources
}

/// Two children, two drivers, and a folder for each of these.
struct Bench {
    children: ChildPool,
    good: Vec<u8>,
}

impl Bench {
    fn new(children: ChildPool) -> Self {
        Self { children, good: jpeg(&chart(160, 108), None) }
    }

    fn make(&self, dir: &Path, bytes: &[u8], extension: &str) -> Result<Result<PicturesMade, PixelsError>, ChildError> {
        let source = dir.join("source");
        std::fs::write(&source, bytes).unwrap();
        let request = PictureRequest {
            source,
            format: FileFormat::from_extension(extension).unwrap(),
            orientation: None,
            stored_px: None,
            proxy: dir.join("proxy.jpg"),
            thumbnail: dir.join("thumb.webp"),
            proxy_px: 1024,
            thumbnail_px: 128,
            max_pixels: MAX_PIXELS,
            timeout_s: PATIENCE.as_secs() - 5,
        };
        let answer = self.children.call(&serde_json::to_vec(&request).unwrap(), PATIENCE)?;
        Ok(serde_json::from_slice(&answer).expect("an answer is an answer"))
    }

    /// What is wrong with how a bad file was taken, if anything; and what came of it, in a word.
    fn try_bad(&self, dir: &Path, bytes: &[u8], extension: &str) -> (&'static str, Option<String>) {
        let outputs = [dir.join("proxy.jpg"), dir.join("thumb.webp")];
        outputs.iter().for_each(|path| drop(std::fs::remove_file(path)));
        let outcome = match self.make(dir, bytes, extension) {
            Ok(Ok(made)) if outputs.iter().all(|path| path.is_file()) && made.proxy_px.0 > 0 => ("picture", None),
            Ok(Ok(made)) => ("picture", Some(format!("{made:?}, but no files"))),
            Ok(Err(error)) if error.is_passing() => ("error", Some(format!("would be tried for ever: {error}"))),
            Ok(Err(_)) if outputs.iter().any(|path| path.exists()) => ("error", Some("an error, and a file left behind".to_owned())),
            Ok(Err(_)) => ("error", None),
            // Exit status 101 is a panic: of a decoder written in Rust, or of hm. The maker records it as a fault of the file.
            Err(ChildError::Died(Ending::Status(101))) => ("panic", None),
            Err(ChildError::Died(_)) => ("death", None),
            Err(error) => ("hang", Some(error.to_string())),
        };
        match largest_child_mib() {
            Some(mib) if mib > MOST_MIB => (outcome.0, Some(format!("a child took {mib} MiB"))),
            _ => outcome,
        }
    }

    fn is_fine(&self, dir: &Path) -> bool {
        matches!(self.make(dir, &self.good, "jpg"), Ok(Ok(made)) if made.proxy_px == (160, 108))
    }
}

#[test]
fn two_thousand_damaged_pictures_of_every_format_stop_nothing() {
    let sources = sources();
    let bench = Bench::new(ChildPool::new(env!("CARGO_BIN_EXE_hm"), ["pixel-worker"], 2));
    let dir = tempfile::tempdir().unwrap();
    for (name, extension, bytes) in &sources {
        let made = bench.make(dir.path(), bytes, extension).unwrap();
        assert_eq!(made.is_ok(), *name != "DNG, lossy", "{name}, whole: {made:?}");
    }
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let counts: Mutex<BTreeMap<&str, BTreeMap<&str, u32>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let dir = tempfile::tempdir().unwrap();
                loop {
                    let round = next.fetch_add(1, Ordering::Relaxed);
                    if round >= ROUNDS {
                        break;
                    }
                    let (name, extension, whole) = &sources[round % sources.len()];
                    let bad = damaged(whole, &mut Dice::of_round(0x5eed_0003, round));
                    let (outcome, fault) = bench.try_bad(dir.path(), &bad, extension);
                    *counts.lock().unwrap().entry(name).or_default().entry(outcome).or_default() += 1;
                    wrong.lock().unwrap().extend(fault.map(|fault| format!("round {round}, {name}: {fault}")));
                    let should_look = matches!(outcome, "panic" | "death" | "hang") || round.is_multiple_of(20);
                    if should_look && !bench.is_fine(dir.path()) {
                        wrong.lock().unwrap().push(format!("round {round}, {name}: the next picture is not fine"));
                    }
                }
            });
        }
    });
    let peak = largest_child_mib();
    println!("{ROUNDS} rounds in {:.0} s, the largest child at the end {peak:?} MiB", started.elapsed().as_secs_f64());
    let counts = counts.into_inner().unwrap();
    counts.iter().for_each(|(name, outcomes)| println!("{name}: {outcomes:?}"));
    assert_eq!(counts.values().flat_map(BTreeMap::values).sum::<u32>() as usize, ROUNDS);
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (name, outcomes) in &counts {
        let all: u32 = outcomes.values().sum();
        let lost = all - outcomes.get("error").unwrap_or(&0) - outcomes.get("picture").unwrap_or(&0);
        assert!(lost * 20 <= all, "{name}: {lost} of {all} ended their child");
    }
}

/// A zlib stream of zeros that is 158 times smaller than they are.
///
/// # Source
/// RFC 1950, RFC 1951 section 3.2.6: fixed Huffman codes, a literal, then copies of 258 bytes from one byte back.
fn deflated_zeros(count: usize) -> Vec<u8> {
    let mut bytes = vec![0x78, 0x01];
    let (mut bits, mut held) = (0_u64, 0_u32);
    let mut put = |value: u64, length: u32| {
        bits |= value << held;
        held += length;
        while held >= 8 {
            bytes.push(bits as u8);
            bits >>= 8;
            held -= 8;
        }
    };
    // The last block, fixed codes; literal 0 is 00110000, length 258 is 11000101, distance 1 is 00000, the end 0000000, each turned round.
    put(0b011, 3);
    let literals = 1 + (count - 1) % 258;
    (0..literals).for_each(|_| put(0b0000_1100, 8));
    (0..(count - literals) / 258).for_each(|_| put(0b1010_0011, 13));
    put(0, 7);
    put(0, 7);
    let adler = ((count % 65_521) as u32) << 16 | 1;
    bytes.extend(adler.to_be_bytes());
    bytes
}

fn crc_32(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }))
}

/// A PNG of this size with chunks by hand: `depth` and `color` as in its header.
fn png_of_chunks(width: u32, height: u32, depth: u8, color: u8, chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, color, 0, 0, 0]].concat();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in [(b"IHDR", header)].iter().chain(chunks).chain(&[(b"IEND", Vec::new())]) {
        png.extend((content.len() as u32).to_be_bytes());
        let checked = [&kind[..], content].concat();
        png.extend(&checked);
        png.extend(crc_32(&checked).to_be_bytes());
    }
    png
}

/// A little-endian TIFF of one deflated strip of RGB.
fn tiff_of_strip(width: u32, height: u32, strip: &[u8]) -> Vec<u8> {
    let tags: [(u16, u16, u32); 9] = [
        (0x0100, 4, width),
        (0x0101, 4, height),
        (0x0102, 3, 8),
        (0x0103, 3, 8),
        (0x0106, 3, 1),
        (0x0111, 4, 8 + 2 + 9 * 12 + 4),
        (0x0115, 3, 1),
        (0x0116, 4, height),
        (0x0117, 4, strip.len() as u32),
    ];
    let mut tiff = b"II*\0\x08\0\0\0\x09\0".to_vec();
    for (tag, kind, value) in tags {
        tiff.extend(tag.to_le_bytes());
        tiff.extend(kind.to_le_bytes());
        tiff.extend(1_u32.to_le_bytes());
        tiff.extend(value.to_le_bytes());
    }
    [&tiff[..], &[0; 4], strip].concat()
}

/// Files that say little and ask for much, by name, extension and whether nothing but an error will do.
fn bombs() -> Vec<(&'static str, &'static str, bool, Vec<u8>)> {
    let picture = chart(160, 108);
    let mut tall = jpeg(&picture, None);
    let frame = tall.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    tall[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    let mut scans = progressive(&chart(1_600, 1_200));
    let last = scans.windows(2).rposition(|pair| pair == [0xff, 0xda]).unwrap();
    let scan = scans[last..scans.len() - 2].to_vec();
    let end = scans.split_off(scans.len() - 2);
    (0..3_000).for_each(|_| scans.extend(&scan));
    scans.extend(end);
    let profile = [b"bomb\0\0".to_vec(), deflated_zeros(1 << 30)].concat();
    let small_rows = deflated_zeros(100 * 101);
    let webp_header = 0x2f | 16_382_u64 << 8 | 16_382 << 22;
    let webp = [&b"RIFF\x20\0\0\0WEBPVP8L\x14\0\0\0"[..], &webp_header.to_le_bytes()[..5], &[0; 15]].concat();
    // No multiple of 8, height of 30 bits, ratio 1:1, then what a default picture says.
    let jxl_size = 0b11_u64 << 1 | 0x3fff_fff0 << 3 | 1 << 33 | 1 << 36;
    let jxl = [&[0xff, 0x0a][..], &jxl_size.to_le_bytes(), &[0; 40]].concat();
    let mut bombs = vec![
        ("JPEG of 4,295 megapixels", "jpg", true, tall),
        ("JPEG of 3,000 scans", "jpg", false, scans),
        ("PNG of 500 megapixels", "png", true, png_of_chunks(25_000, 20_000, 8, 0, &[(b"IDAT", deflated_zeros(25_001 * 20_000))])),
        ("PNG within the limit that takes more memory than there is", "png", true, {
            png_of_chunks(6_300, 6_300, 16, 6, &[(b"IDAT", deflated_zeros((6_300 * 8 + 1) * 6_300))])
        }),
        ("PNG with a profile of 1 GiB", "png", false, png_of_chunks(100, 100, 8, 0, &[(b"iCCP", profile), (b"IDAT", small_rows)])),
        ("TIFF of 900 megapixels", "tif", true, tiff_of_strip(30_000, 30_000, &deflated_zeros(100))),
        ("TIFF with a strip of 1 GiB", "tif", false, tiff_of_strip(100, 100, &deflated_zeros(1 << 30))),
        ("WebP of 268 megapixels", "webp", true, webp),
        ("JPEG XL of 10^18 pixels", "jxl", true, jxl),
    ];
    let mut sensor = dng::dng(160, 108, dng::RGGB, 1, |_, _| [90; 3]);
    for (tag, side) in [(0x0100_u16, 60_000_u32), (0x0101, 60_000)] {
        let entry = [&tag.to_le_bytes()[..], &[4, 0, 1, 0, 0, 0]].concat();
        let at = sensor.windows(8).position(|window| window == entry).unwrap();
        sensor[at + 8..at + 12].copy_from_slice(&side.to_le_bytes());
    }
    bombs.push(("DNG of 3,600 megapixels", "dng", true, sensor));
    let isobmff = [Encoder::Avif, Encoder::Heic].into_iter().filter(|encoder| encoder.is_there());
    for encoder in isobmff {
        let mut file = encoder.encode(&png(&picture, None), "png", &[]);
        let size = file.windows(4).position(|window| window == b"ispe").unwrap() + 8;
        file[size..size + 8].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
        bombs.push(("AVIF or HEIC of 2,500 megapixels", encoder.extension(), true, file));
    }
    bombs
}

#[test]
fn bombs_are_answered_in_time_and_memory_and_the_next_picture_is_fine() {
    let dir = tempfile::tempdir().unwrap();
    let config: PathBuf = dir.path().join("local.toml");
    std::fs::write(&config, "[thumbs]\nmemory_mib = 512\n").unwrap();
    let bench = Bench::new(ChildPool::new(env!("CARGO_BIN_EXE_hm"), [Path::new("--config"), &config, Path::new("pixel-worker")], 1));
    let mut wrong = Vec::new();
    for (name, extension, must_fail, bytes) in bombs() {
        let started = Instant::now();
        let (outcome, fault) = bench.try_bad(dir.path(), &bytes, extension);
        let peak = largest_child_mib();
        println!("{name}, {} KiB: {outcome} within {:.1} s, child {peak:?} MiB", bytes.len() >> 10, started.elapsed().as_secs_f64());
        wrong.extend(fault.map(|fault| format!("{name}: {fault}")));
        if must_fail && outcome == "picture" || peak.is_some_and(|mib| mib > 512) {
            wrong.push(format!("{name}: {outcome}, {peak:?} MiB"));
        }
        if !bench.is_fine(dir.path()) {
            wrong.push(format!("{name}: the next picture is not fine"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_too_large_is_named_as_such() {
    let bench = Bench::new(ChildPool::new(env!("CARGO_BIN_EXE_hm"), ["pixel-worker"], 1));
    let dir = tempfile::tempdir().unwrap();
    for (name, extension, _, bytes) in bombs().into_iter().filter(|(name, ..)| name.contains("megapixels")) {
        let answer = bench.make(dir.path(), &bytes, extension).unwrap().unwrap_err();
        let is_named = matches!(answer, PixelsError::TooLarge { max_pixels: MAX_PIXELS, .. });
        // libheif has limits of its own, below ours; LibRaw sees that the sensor data is not there.
        assert!(is_named || matches!(extension, "avif" | "heic" | "dng"), "{name}: {answer}");
    }
}
