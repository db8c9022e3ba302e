//! Which decoder a file goes to, by its first bytes; its name decides only between formats that begin alike.

use super::read_at::ReadAt;
use crate::models::{FileFormat, FileKind};

/// A family of decoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Jpeg,
    Raw,
    /// HEIC and AVIF.
    Heif,
    Jxl,
    Png,
    Webp,
    Tiff,
    Video,
    Unknown,
}

/// The decoder for these bytes, named `format`.
pub(super) fn kind(file: &impl ReadAt, format: FileFormat) -> Kind {
    let mut head = [0_u8; 32];
    let count = head.len().min(usize::try_from(file.len()).unwrap_or(usize::MAX));
    if file.read_at(0, &mut head[..count]).is_none() {
        return Kind::Unknown;
    }
    let named_raw = format.kind() == FileKind::Raw;
    match &head {
        [0xff, 0xd8, 0xff, ..] => Kind::Jpeg,
        [0x89, b'P', b'N', b'G', ..] => Kind::Png,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Kind::Webp,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => Kind::Video,
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Kind::Jxl,
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => iso_media(brand, format),
        [_, _, _, _, b'm', b'o', b'o', b'v' | b'd', ..] | [_, _, _, _, b'm', b'd', b'a', b't', ..] => Kind::Video,
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] if !named_raw => Kind::Tiff,
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Kind::Raw,
        // Panasonic, Olympus, Fuji, Canon CRW, Sigma, Minolta
        [b'I', b'I', b'U', 0, ..] | [b'I', b'I', b'R', b'O' | b'S', ..] | [b'M', b'M', b'O', b'R', ..] => Kind::Raw,
        [b'F', b'U', b'J', b'I', b'F', b'I', b'L', b'M', ..] | [_, _, _, _, _, _, b'H', b'E', b'A', b'P', ..] => Kind::Raw,
        [b'F', b'O', b'V', b'b', ..] | [0, b'M', b'R', b'M', ..] => Kind::Raw,
        _ => Kind::Unknown,
    }
}

/// By the major brand, and among the compatible ones where the major one is general.
fn iso_media(brands: &[u8], format: FileFormat) -> Kind {
    let known = |brand: &[u8]| match brand {
        b"crx " => Some(Kind::Raw),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"avif" | b"avis" => Some(Kind::Heif),
        _ => None,
    };
    let general = |brand: &[u8]| matches!(brand, b"mif1" | b"mif2" | b"msf1" | b"miaf");
    // major brand, minor version, compatible brands
    let major = &brands[..4];
    match known(major) {
        Some(kind) => kind,
        None if general(major) => Kind::Heif,
        None if format.kind() == FileKind::Video => Kind::Video,
        None => brands[8..].chunks_exact(4).find_map(known).unwrap_or(Kind::Video),
    }
}
