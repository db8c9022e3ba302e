//! What a file really is, by its first bytes: names lie, and readers must not be fed with something else.

use crate::models::{FileFormat, FileKind};

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Jpeg,
    Png,
    Webp,
    Avi,
    /// TIFF and all RAW formats with its magic number.
    Tiff,
    Orf,
    Rw2,
    Heif,
    Avif,
    Cr3,
    /// MP4 and QuickTime.
    Movie,
    Jxl,
    Raf,
    Crw,
    X3f,
    /// Something else, named for a person.
    Other(&'static str),
}

impl Content {
    /// Recognises the start of a file.
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            [0xff, 0xd8, 0xff, ..] => Self::Jpeg,
            [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Self::Png,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::Webp,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => Self::Avi,
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Self::Tiff,
            [b'I', b'I', b'R', b'O' | b'S', ..] | [b'M', b'M', b'O', b'R', ..] => Self::Orf,
            [b'I', b'I', 0x55, 0, ..] => Self::Rw2,
            [b'I', b'I', _, _, _, _, b'H', b'E', b'A', b'P', b'C', b'C', b'D', b'R', ..] => Self::Crw,
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Self::of_brands(head),
            [_, _, _, _, name @ ..]
                if ["moov", "mdat", "free", "wide", "skip", "pnot"].iter().any(|known| name.starts_with(known.as_bytes())) =>
            {
                Self::Movie
            }
            [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Self::Jxl,
            [b'F', b'U', b'J', b'I', b'F', b'I', b'L', b'M', b'C', b'C', b'D', b'-', b'R', b'A', b'W', ..] => Self::Raf,
            [b'F', b'O', b'V', b'b', ..] => Self::X3f,
            _ => Self::Other(name_of_something_else(head)),
        }
    }

    /// By the brands in the `ftyp` box: the major one, else the first known of the others.
    fn of_brands(head: &[u8]) -> Self {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let brands = head.get(8..length.clamp(12, 256).min(head.len())).unwrap_or_default();
        let known = brands.chunks_exact(4).enumerate().filter(|(index, _)| *index != 1).find_map(|(_, brand)| match brand {
            b"crx " => Some(Self::Cr3),
            b"avif" | b"avis" => Some(Self::Avif),
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" => Some(Self::Heif),
            _ => None,
        });
        let still = brands.chunks_exact(4).any(|brand| matches!(brand, b"mif1" | b"msf1" | b"miaf"));
        known.unwrap_or(if still { Self::Heif } else { Self::Movie })
    }

    /// Whether a file of this content may bear a name of that format.
    pub(super) fn fits(self, format: FileFormat) -> bool {
        use FileFormat as F;
        match self {
            Self::Jpeg => matches!(format, F::Jpeg | F::Thm),
            Self::Png => format == F::Png,
            Self::Webp => format == F::Webp,
            Self::Avi => format == F::Avi,
            // Makers and converters share the magic number: a DNG under another RAW's name is not worth a complaint.
            Self::Tiff => format == F::Tiff || format.kind() == FileKind::Raw,
            Self::Orf => format == F::Orf,
            Self::Rw2 => matches!(format, F::Rw2 | F::Rwl),
            Self::Heif => format == F::Heif,
            Self::Avif => matches!(format, F::Avif | F::Heif),
            Self::Cr3 => format == F::Cr3,
            Self::Movie => matches!(format, F::Mp4 | F::Mov),
            Self::Jxl => format == F::Jxl,
            Self::Raf => format == F::Raf,
            Self::Crw => format == F::Crw,
            Self::X3f => format == F::X3f,
            Self::Other(_) => false,
        }
    }

    /// For a person.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "a JPEG",
            Self::Png => "a PNG",
            Self::Webp => "a WEBP",
            Self::Avi => "an AVI",
            Self::Tiff => "a TIFF",
            Self::Orf => "an Olympus RAW",
            Self::Rw2 => "a Panasonic RAW",
            Self::Heif => "a HEIF",
            Self::Avif => "an AVIF",
            Self::Cr3 => "a Canon CR3",
            Self::Movie => "an MP4 or QuickTime video",
            Self::Jxl => "a JPEG XL",
            Self::Raf => "a Fujifilm RAW",
            Self::Crw => "a Canon CRW",
            Self::X3f => "a Sigma RAW",
            Self::Other(name) => name,
        }
    }
}

fn name_of_something_else(head: &[u8]) -> &'static str {
    let start = &head[..head.len().min(512)];
    match head {
        [0, 5, 0x16, 7, ..] => "macOS's notes about another file (AppleDouble)",
        [b'P', b'K', 3 | 5, ..] => "a ZIP archive",
        [b'%', b'P', b'D', b'F', ..] => "a PDF",
        [b'G', b'I', b'F', b'8', ..] => "a GIF",
        [b'B', b'M', ..] if head.len() > 26 && head[6..10] == [0; 4] => "a BMP",
        [b'8', b'B', b'P', b'S', ..] => "a Photoshop document",
        _ if start.iter().all(|byte| *byte == 0) => "nothing but zeros",
        _ if start.starts_with(b"<") && start.to_ascii_lowercase().windows(5).any(|text| text == b"<html") => "an HTML page",
        _ if std::str::from_utf8(&start[..start.len().saturating_sub(3)])
            .is_ok_and(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace())) =>
        {
            "text"
        }
        _ => "unknown content",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_known_by_its_first_bytes() {
        for (head, content) in [
            (&b"\xff\xd8\xff\xe1"[..], Content::Jpeg),
            (b"II*\0\x10\0\0\0CR", Content::Tiff),
            (b"IIU\0", Content::Rw2),
            (b"IIRO", Content::Orf),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Content::Heif),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", Content::Avif),
            (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", Content::Cr3),
            (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", Content::Movie),
            (b"\0\0\0\x08wide", Content::Movie),
            (b"\0\x05\x16\x07\0\x02", Content::Other("macOS's notes about another file (AppleDouble)")),
            (b"Dear diary, nothing today", Content::Other("text")),
        ] {
            assert_eq!(Content::of(head), content, "{head:?}");
        }
        assert!(Content::Tiff.fits(FileFormat::Nef) && !Content::Jpeg.fits(FileFormat::Nef));
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(head: Vec<u8>, brands in "....ftyp.{0,40}") {
            Content::of(&head);
            Content::of(brands.as_bytes());
        }
    }
}
