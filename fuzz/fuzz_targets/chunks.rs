//! Any chunks of PNG, WEBP and AVI, and any segments of JPEG, which carry EXIF, XMP and IPTC.
#![no_main]

#[path = "../reading.rs"]
mod reading;

use hm::models::FileFormat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let heads: [(&[u8], FileFormat); 5] = [
        (b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x08\0\0\0\x08\x08\x02\0\0\0\0\0\0\0", FileFormat::Png),
        (b"RIFF\0\x10\0\0WEBPVP8X\x0a\0\0\0\x0c\0\0\0\x08\0\0\x08\0\0", FileFormat::Webp),
        (b"RIFF\0\x10\0\0AVI ", FileFormat::Avi),
        (b"\xff\xd8\xff", FileFormat::Jpeg),
        (b"FOVb", FileFormat::X3f),
    ];
    let (head, format) = heads[usize::from(*choice) % heads.len()];
    reading::check(&[head, rest].concat(), format);
});
