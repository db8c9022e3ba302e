//! Any TIFF structure, as EXIF and most RAW files are made of: what cameras write, and what somebody made to break readers.
#![no_main]

#[path = "../reading.rs"]
mod reading;

use hm::models::FileFormat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The first byte chooses the reader, so that the rest need not guess the magic number.
    let Some((choice, rest)) = bytes.split_first() else { return };
    let heads: [(&[u8], FileFormat); 8] = [
        (b"II*\0", FileFormat::Tiff),
        (b"MM\0*", FileFormat::Nef),
        (b"II*\0", FileFormat::Dng),
        (b"IIRO", FileFormat::Orf),
        (b"IIU\0", FileFormat::Rw2),
        (b"II+\0", FileFormat::Tiff),
        (b"\xff\xd8\xff\xe1\x10\0Exif\0\0", FileFormat::Jpeg),
        (b"FUJIFILMCCD-RAW ", FileFormat::Raf),
    ];
    let (head, format) = heads[usize::from(*choice) % heads.len()];
    reading::check(&[head, rest].concat(), format);
});
