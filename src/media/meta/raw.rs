//! RAW files and TIFF: which of the sizes in their directories is the picture's, and the containers that are no TIFF.
//!
//! # Source
//! exiftool's tag tables for Fujifilm's RAF, Sigma's X3F and Panasonic's RW2.

use super::{draft::Draft, exif, iptc, jpeg, source::Source, xmp};
use crate::models::FileFormat;

/// How much of a TIFF-based RAW exiv2 needs for its maker notes, in bytes: the same answers as from the whole file.
const EXIV2_HEAD_BYTES: u64 = 256 << 10;

/// Reads TIFF and what is built on it. `None` when its first directory is unreadable.
pub(super) fn tiff(source: &mut Source<'_>, format: FileFormat, draft: &mut Draft) -> Option<()> {
    let tags = exif::read(source, 0)?;
    let canon = source.array::<2>(8).is_some_and(|mark| &mark == b"CR");
    let xmp_packet = tags.xmp.and_then(|(at, length)| source.bytes(at, length.min(xmp::LONGEST_PACKET_BYTES)));
    if let Some(packet) = xmp_packet {
        draft.xmp.extend(xmp::read(packet).0);
    }
    if let Some(records) = tags.iptc.and_then(|(at, length)| source.bytes(at, length)) {
        draft.iptc = iptc::read(records);
    } else if let Some(blocks) = tags.photoshop.and_then(|(at, length)| source.bytes(at, length)) {
        draft.iptc = iptc::in_photoshop(blocks).map(iptc::read).unwrap_or_default();
    }
    // What exiftool calls the image's size: Canon's and Phase One's directories hold previews; Panasonic gives the sensor's borders.
    draft.size = match format {
        _ if canon => tags.exif_size.or(tags.full_size),
        FileFormat::Cr2 | FileFormat::Iiq => tags.exif_size.or(tags.full_size),
        FileFormat::Rw2 | FileFormat::Rwl => tags.sensor_size.or(tags.full_size),
        FileFormat::Orf => tags.first_size,
        _ => tags.full_size,
    };
    draft.size = draft.size.or(tags.exif_size.filter(|(_, height)| *height > 0));
    draft.exif_block = Some((0, source.size().min(EXIV2_HEAD_BYTES) as usize));
    let preview = tags.jpeg;
    draft.exif = tags;
    if let Some((at, _)) = preview
        && (draft.exif.original.is_none() || draft.exif.software.is_none())
    {
        with_embedded_jpeg(source, at, draft);
    }
    Some(())
}

/// Reads Fujifilm's RAF: a JPEG with the metadata, and a directory with the sensor's size.
pub(super) fn raf(source: &mut Source<'_>, draft: &mut Draft) -> Option<()> {
    let jpeg_at = u64::from(u32::from_be_bytes(source.array(84)?));
    with_embedded_jpeg(source, jpeg_at, draft);
    let directory = u64::from(u32::from_be_bytes(source.array(92)?));
    let count = source.array(directory).map_or(0, u32::from_be_bytes).min(256);
    let mut at = directory + 4;
    let mut sizes = [None; 2];
    for _ in 0..count {
        let Some([t0, t1, l0, l1]) = source.array::<4>(at) else { break };
        let place = match u16::from_be_bytes([t0, t1]) {
            0x0111 => Some(0),
            0x0121 => Some(1),
            _ => None,
        };
        if let (Some(index), Some([h0, h1, w0, w1])) = (place, source.array::<4>(at + 4)) {
            sizes[index] = Some((u32::from(u16::from_be_bytes([w0, w1])), u32::from(u16::from_be_bytes([h0, h1]))));
        }
        at += 4 + u64::from(u16::from_be_bytes([l0, l1]));
    }
    draft.size = sizes[0].or(sizes[1]).or(draft.exif.exif_size).filter(|(width, height)| *width > 0 && *height > 0);
    Some(())
}

/// Reads Sigma's X3F: the size in its header, the metadata in a JPEG that the directory at its end names.
pub(super) fn x3f(source: &mut Source<'_>, draft: &mut Draft) -> Option<()> {
    let little = |bytes: [u8; 4]| u32::from_le_bytes(bytes);
    let size = (little(source.array(28)?), little(source.array(32)?));
    let last = source.size().checked_sub(4)?;
    let directory = u64::from(little(source.array(last)?));
    if source.array::<4>(directory).is_some_and(|mark| &mark == b"SECd") {
        let count = source.array(directory + 8).map_or(0, little).min(256);
        for index in 0..u64::from(count) {
            let Some(section) = source.array::<4>(directory + 12 + index * 12).map(|at| u64::from(little(at))) else { break };
            // "SECi", version, then what kind of picture: 2 with format 18 is a JPEG, after 28 bytes of header.
            if source.array::<4>(section).is_some_and(|mark| &mark == b"SECi") && source.array(section + 12).map(little) == Some(18) {
                with_embedded_jpeg(source, section + 28, draft);
            }
        }
    }
    draft.size = (size.0 > 0 && size.1 > 0).then_some(size);
    draft.size.map(|_| ())
}

/// Takes the words of a JPEG inside the file, not its size.
fn with_embedded_jpeg(source: &mut Source<'_>, at: u64, draft: &mut Draft) {
    if source.array::<2>(at) != Some([0xff, 0xd8]) {
        return;
    }
    let mut inner = Draft::default();
    let _ = jpeg::read(source, at, &mut inner);
    if inner.exif_block.is_some() {
        let outer = std::mem::replace(&mut draft.exif, inner.exif);
        draft.exif.make = outer.make.or(draft.exif.make.take());
        draft.exif.model = outer.model.or(draft.exif.model.take());
        draft.exif.orientation = outer.orientation.or(draft.exif.orientation);
        draft.exif.iso = draft.exif.iso.or(outer.iso);
        draft.exif.original = outer.original.or(draft.exif.original);
        draft.exif.gps = outer.gps.or(draft.exif.gps);
        draft.exif.lens = outer.lens.or(draft.exif.lens.take());
        draft.exif_block = inner.exif_block;
    }
    draft.xmp.extend(inner.xmp);
    if draft.iptc.keywords.is_empty() && draft.iptc.caption.is_none() {
        draft.iptc = inner.iptc;
    }
}
