//! The marker segments before a JPEG's pixels: size, profile, EXIF, Adobe's word on its colours.
//!
//! # Source
//! ITU-T T.81, annex B; ICC.1:2010, annex B.4; Adobe technical note 5116.

use super::{read_at::ReadAt, tiff_tags::Tags};

/// More segments than any picture has.
const MAX_SEGMENTS: usize = 4096;
const ICC_MARK: &[u8] = b"ICC_PROFILE\0";
const EXIF_MARK: &[u8] = b"Exif\0\0";
const MAX_PROFILE_BYTES: usize = 8 << 20;

/// What stands before the pixels.
#[derive(Debug, Clone, Default)]
pub(super) struct JpegHeader {
    pub(super) width_px: u32,
    pub(super) height_px: u32,
    /// 1 grey, 3 colour, 4 CMYK or YCCK.
    pub(super) components: u8,
    /// Lossless JPEG: sensor data of a RAW, no picture.
    pub(super) is_lossless: bool,
    /// Written by Adobe software, which stores CMYK inverted.
    pub(super) has_adobe_mark: bool,
    /// Where the TIFF structure of the EXIF starts.
    pub(super) exif_at: Option<u64>,
    /// Places of the parts of the profile, by number.
    icc_parts: Vec<(u8, u64, usize)>,
}

impl JpegHeader {
    /// Reads the segments of the JPEG that starts at `start`; `None` when it is no JPEG with pixels.
    pub(super) fn read(bytes: &dyn ReadAt, start: u64) -> Option<Self> {
        if bytes.bytes_at(start, 2)? != [0xff, 0xd8] {
            return None;
        }
        let mut header = Self::default();
        let mut at = start + 2;
        for _ in 0..MAX_SEGMENTS {
            let marker = loop {
                let pair = bytes.bytes_at(at, 2)?;
                match pair[..] {
                    [0xff, 0xff] => at += 1,
                    [0xff, marker] => break marker,
                    _ => return None,
                }
            };
            at += 2;
            match marker {
                0x01 | 0xd0..=0xd7 => continue,
                0xd8 | 0xd9 | 0x00 => return None,
                0xda => return (header.width_px > 0 && header.height_px > 0).then_some(header),
                _ => {}
            }
            let length = bytes.bytes_at(at, 2)?;
            let length = u64::from(u16::from_be_bytes([length[0], length[1]]));
            if length < 2 {
                return None;
            }
            header.take_segment(bytes, marker, at + 2, length as usize - 2)?;
            at += length;
        }
        None
    }

    fn take_segment(&mut self, bytes: &dyn ReadAt, marker: u8, at: u64, count: usize) -> Option<()> {
        let starts_with = |mark: &[u8]| count >= mark.len() && bytes.bytes_at(at, mark.len()).as_deref() == Some(mark);
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let frame = bytes.bytes_at(at, 6)?;
                self.height_px = u32::from(u16::from_be_bytes([frame[1], frame[2]]));
                self.width_px = u32::from(u16::from_be_bytes([frame[3], frame[4]]));
                self.components = frame[5];
                self.is_lossless = matches!(marker, 0xc3 | 0xc7 | 0xcb | 0xcf);
            }
            0xe1 if self.exif_at.is_none() && starts_with(EXIF_MARK) => self.exif_at = Some(at + EXIF_MARK.len() as u64),
            0xe2 if count > ICC_MARK.len() + 2 && starts_with(ICC_MARK) => {
                let part = bytes.bytes_at(at + ICC_MARK.len() as u64, 1)?[0];
                let skip = ICC_MARK.len() + 2;
                self.icc_parts.push((part, at + skip as u64, count - skip));
            }
            0xee if starts_with(b"Adobe") => self.has_adobe_mark = true,
            _ => {}
        }
        Some(())
    }

    /// The embedded profile, put together.
    pub(super) fn icc(&self, bytes: &dyn ReadAt) -> Option<Vec<u8>> {
        let mut parts = self.icc_parts.clone();
        parts.sort_unstable();
        let total: usize = parts.iter().map(|(_, _, count)| count).sum();
        if total == 0 || total > MAX_PROFILE_BYTES {
            return None;
        }
        let mut profile = Vec::with_capacity(total);
        for (_, at, count) in parts {
            profile.extend(bytes.bytes_at(at, count)?);
        }
        Some(profile)
    }

    /// The EXIF tags.
    pub(super) fn exif<'a>(&self, bytes: &'a dyn ReadAt) -> Option<Tags<'a>> {
        Tags::open(bytes, self.exif_at?)
    }
}
