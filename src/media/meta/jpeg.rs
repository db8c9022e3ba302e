//! JPEG: the segments before the picture's data, which hold EXIF, XMP, IPTC and the size.
//!
//! # Source
//! ITU T.81 annex B; XMP part 3 for packets too long for one segment; Samsung's trailer as exiftool documents it.

use super::{draft::Draft, exif, iptc, source::Source, xmp};

/// Segments before the picture's data; real files stay under a hundred.
const MOST_SEGMENTS: usize = 1_000;
/// Longest extended XMP put together, in bytes: beyond lie depth maps.
const LONGEST_EXTENDED_BYTES: u64 = 512 << 10;
const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const EXTENDED_XMP: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";
const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";

/// A part of a packet that was too long for one segment.
struct Part {
    /// Which packet it belongs to.
    id: [u8; 32],
    full_bytes: u64,
    offset: u64,
    at: u64,
    length: usize,
}

/// Reads the JPEG at `base` into the draft. `None` when it ends, or breaks, before the picture's size; what came before is in the draft.
pub(super) fn read(source: &mut Source<'_>, base: u64, draft: &mut Draft) -> Option<()> {
    let mut at = base + 2;
    let mut parts = Vec::new();
    let mut sized = None;
    for _ in 0..MOST_SEGMENTS {
        let Some([0xff, marker, high, low]) = source.array::<4>(at) else { break };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (content, content_length) = (at + 4, length.saturating_sub(2));
        match marker {
            // A fill byte.
            0xff => {
                at += 1;
                continue;
            }
            0x01 | 0xd0..=0xd8 => {
                at += 2;
                continue;
            }
            0xe1 => app1(source, content, content_length, draft, &mut parts),
            0xed => app13(source, content, content_length, draft),
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let [_, height_high, height_low, width_high, width_low] = source.array(content)?;
                let size =
                    (u32::from(u16::from_be_bytes([width_high, width_low])), u32::from(u16::from_be_bytes([height_high, height_low])));
                sized = (size.0 > 0 && size.1 > 0).then_some(size);
                break;
            }
            0xda | 0xd9 => break,
            _ => {}
        }
        if length < 2 {
            break;
        }
        at += 2 + length as u64;
    }
    extended_xmp(source, &parts, draft);
    draft.size = sized;
    sized.map(|_| ())
}

fn app1(source: &mut Source<'_>, at: u64, length: usize, draft: &mut Draft, parts: &mut Vec<Part>) {
    // A segment's start says what it is; the parts of a depth map, say, are not fetched.
    let Some(start) = source.up_to(at, length.min(128)) else { return };
    if start.starts_with(EXIF) {
        let base = at + EXIF.len() as u64;
        if draft.exif_block.is_none()
            && let Some(tags) = exif::read(source, base)
        {
            draft.exif = tags;
            draft.exif_block = Some((base, length - EXIF.len()));
        }
    } else if let Some(head) = start.strip_prefix(EXTENDED_XMP) {
        let header_bytes = EXTENDED_XMP.len() + 40;
        if let (Some((id, numbers)), Some(data_bytes)) = (head.split_first_chunk::<32>(), length.checked_sub(header_bytes))
            && numbers.len() >= 8
        {
            let number = |index: usize| numbers[index..index + 4].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            parts.push(Part { id: *id, full_bytes: number(0), offset: number(4), at: at + header_bytes as u64, length: data_bytes });
        }
    } else if let Some(skip) = if start.starts_with(XMP) { Some(XMP.len()) } else { unmarked_packet(start) }
        && let Some(segment) = source.up_to(at, length)
    {
        draft.xmp.extend(xmp::read(&segment[skip..]).0);
    }
}

/// Where a packet starts that some programs write without XMP's header, or with a damaged one.
fn unmarked_packet(start: &[u8]) -> Option<usize> {
    start.windows(10).position(|text| matches!(text, b"<?xpacket " | b"<x:xmpmeta"))
}

/// Puts together the packet that the main one names, if it is short enough to be words.
fn extended_xmp(source: &mut Source<'_>, parts: &[Part], draft: &mut Draft) {
    let Some(id) = draft.xmp.first(xmp::Key::ExtendedPacket).map(str::to_owned) else { return };
    let mine = || parts.iter().filter(|part| part.id == id.as_bytes());
    let Some(full_bytes) = mine().map(|part| part.full_bytes).next().filter(|length| *length <= LONGEST_EXTENDED_BYTES) else { return };
    let mut packet = vec![b' '; full_bytes as usize];
    for part in mine() {
        let from = part.offset.min(full_bytes) as usize;
        let Some(place) = packet.get_mut(from..from + part.length.min(full_bytes as usize - from)) else { return };
        let Some(data) = source.bytes(part.at, place.len()) else { return };
        place.copy_from_slice(data);
    }
    draft.xmp.extend(xmp::read(&packet).0);
}

fn app13(source: &mut Source<'_>, at: u64, length: usize, draft: &mut Draft) {
    let Some(segment) = source.up_to(at, length) else { return };
    if let Some(records) = segment.strip_prefix(PHOTOSHOP).and_then(iptc::in_photoshop) {
        draft.iptc = iptc::read(records);
    }
}

/// Whether the file ends with Samsung's directory of additions and one of them is a video.
pub(super) fn has_samsung_video(tail: &[u8]) -> bool {
    let Some(rest) = tail.strip_suffix(b"SEFT") else { return false };
    let Some((rest, length)) = rest.split_last_chunk::<4>() else { return false };
    let length = u32::from_le_bytes(*length) as usize;
    let Some(directory) = rest.len().checked_sub(length).map(|from| &rest[from..]) else { return false };
    directory.starts_with(b"SEFH") && directory.get(12..).unwrap_or_default().chunks_exact(12).any(|entry| entry[2..4] == [0x30, 0x0a])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        [&[0xff, marker], &((content.len() + 2) as u16).to_be_bytes()[..], content].concat()
    }

    fn frame(width: u16, height: u16) -> Vec<u8> {
        segment(0xc2, &[&[8], &height.to_be_bytes()[..], &width.to_be_bytes(), &[1, 1, 0x11, 0]].concat())
    }

    fn drafted(segments: &[Vec<u8>]) -> (Draft, bool) {
        let bytes = [vec![0xff, 0xd8], segments.concat()].concat();
        let mut draft = Draft::default();
        let whole = read(&mut Source::from_slice(&bytes), 0, &mut draft).is_some();
        (draft, whole)
    }

    #[test]
    fn a_long_packet_is_put_together() {
        let id = b"0123456789ABCDEF0123456789ABCDEF";
        let rdf = r#"<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description "#;
        let main = format!(
            r#"{rdf}xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="{}" xmp:Rating="2"/></rdf:RDF>"#,
            "0123456789ABCDEF0123456789ABCDEF"
        );
        let extended = format!(r#"{rdf}dc:title="second"/></rdf:RDF>"#).into_bytes();
        let part = |offset: usize, end: usize| {
            let numbers = [(extended.len() as u32).to_be_bytes(), (offset as u32).to_be_bytes()].concat();
            segment(0xe1, &[EXTENDED_XMP, id, &numbers, &extended[offset..end]].concat())
        };
        let (draft, whole) =
            drafted(&[segment(0xe1, &[XMP, main.as_bytes()].concat()), part(50, extended.len()), part(0, 50), frame(640, 480)]);
        assert!(whole);
        assert_eq!((draft.size, draft.xmp.first(xmp::Key::Title)), (Some((640, 480)), Some("second")));
    }

    #[test]
    fn a_file_that_ends_early_keeps_what_it_had() {
        let packet = br#"<rdf:RDF><rdf:Description xmp:Rating="5"/></rdf:RDF>"#;
        let (draft, whole) = drafted(&[segment(0xe1, &[XMP, packet].concat())]);
        assert!(!whole);
        assert_eq!(draft.xmp.first(xmp::Key::Rating), Some("5"));
        assert!(!drafted(&[vec![0xff, 0xe0, 0, 0], frame(1, 1)]).1);
    }

    #[test]
    fn samsungs_video_is_seen_in_the_tail() {
        let directory = [&b"SEFH"[..], &[107, 0, 0, 0, 1, 0, 0, 0], &[0, 0, 0x30, 0x0a, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
        let tail = [&b"video"[..], &directory, &(directory.len() as u32).to_le_bytes(), b"SEFT"].concat();
        assert!(has_samsung_video(&tail));
        assert!(!has_samsung_video(b"SEFT"));
        assert!(!has_samsung_video(&tail[..tail.len() - 1]));
    }
}
