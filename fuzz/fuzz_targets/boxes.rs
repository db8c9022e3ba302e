//! Any boxes of ISO media files: HEIC, AVIF, Canon's CR3, JPEG XL, MP4 and QuickTime.
#![no_main]

#[path = "../reading.rs"]
mod reading;

use hm::models::FileFormat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let heads: [(&[u8], FileFormat); 6] = [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", FileFormat::Heif),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf", FileFormat::Avif),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", FileFormat::Cr3),
        (b"\0\0\0\x0cJXL \r\n\x87\n", FileFormat::Jxl),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", FileFormat::Mov),
        (b"\xff\x0a", FileFormat::Jxl),
    ];
    let (head, format) = heads[usize::from(*choice) % heads.len()];
    reading::check(&[head, rest].concat(), format);
});
