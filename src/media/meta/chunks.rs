//! PNG, WEBP and AVI: files made of named chunks.
//!
//! # Source
//! PNG 3rd edition (eXIf, iTXt); WebP container specification; RIFF and AVI as Microsoft documents them; XMP specification part 3.

use super::{dates, draft::Draft, exif, source::Source, text, xmp};

/// Chunks that are looked at; a PNG may have thousands of IDAT, which are stepped over.
const MOST_CHUNKS: usize = 4_096;
const EXIF: &[u8] = b"Exif\0\0";
const PNG_XMP: &[u8] = b"XML:com.adobe.xmp\0";

/// Reads a PNG. `None` when it has no size.
pub(super) fn png(source: &mut Source<'_>, draft: &mut Draft) -> Option<()> {
    let header: [u8; 16] = source.array(8)?;
    draft.size = size(be32(&header[8..]), be32(&header[12..]));
    let mut at = 8;
    for _ in 0..MOST_CHUNKS {
        let Some(start) = source.array::<8>(at) else { break };
        let length = be32(&start) as usize;
        let next = at + 12 + length as u64;
        if &start[4..] == b"IDAT" && next > source.head().len() as u64 && source.size() > source.head().len() as u64 {
            // Hundreds of pieces of picture may follow; words after them are near the end.
            png_tail(source, draft);
            break;
        }
        if &start[4..] == b"IEND" {
            break;
        }
        png_chunk(source, &start[4..], at + 8, length, draft);
        at = next;
    }
    draft.size.map(|_| ())
}

/// Looks for chunks with words in the end of the file, by their names: the way there is not walked.
fn png_tail(source: &mut Source<'_>, draft: &mut Draft) {
    let tail = source.tail();
    let tail_at = source.size() - tail.len() as u64;
    for name_at in 4..tail.len().saturating_sub(8) {
        let name = &tail[name_at..name_at + 4];
        if matches!(name, b"eXIf" | b"iTXt" | b"zTXt" | b"tEXt") {
            let length = be32(&tail[name_at - 4..]) as usize;
            // A real chunk ends within the file, with a checksum and another chunk after it.
            if name_at + 4 + length + 12 <= tail.len() {
                png_chunk(source, name, tail_at + name_at as u64 + 4, length, draft);
            }
        }
    }
}

fn png_chunk(source: &mut Source<'_>, name: &[u8], content: u64, length: usize, draft: &mut Draft) {
    match name {
        b"eXIf" => exif_chunk(source, content, length, draft),
        b"iTXt" => {
            let text = source.up_to(content, length.min(xmp::LONGEST_PACKET_BYTES)).unwrap_or_default();
            match text.strip_prefix(PNG_XMP) {
                // Not compressed; then method, language and translated keyword.
                Some([0, _, rest @ ..]) => {
                    let packet = rest.splitn(3, |byte| *byte == 0).nth(2).unwrap_or_default();
                    draft.xmp.extend(xmp::read(packet).0);
                }
                Some(_) => draft.second_opinion = true,
                None => {}
            }
        }
        // ImageMagick keeps EXIF, IPTC and XMP as compressed hexadecimal text; exiv2 unpacks it.
        b"zTXt" | b"tEXt" if source.up_to(content, 16.min(length)).is_some_and(|text| text.starts_with(b"Raw profile type")) => {
            draft.second_opinion = true;
        }
        _ => {}
    }
}

/// Reads a WEBP. `None` when it has no size.
pub(super) fn webp(source: &mut Source<'_>, draft: &mut Draft) -> Option<()> {
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        let Some([n0, n1, n2, n3, length @ ..]) = source.array::<8>(at) else { break };
        let length = u32::from_le_bytes(length) as usize;
        let content = at + 8;
        at = content + length as u64 + (length as u64 & 1);
        match &[n0, n1, n2, n3] {
            b"VP8X" => {
                let [flags, _, _, _, w0, w1, w2, h0, h1, h2] = source.array::<10>(content)?;
                draft.size = size(1 + u32::from_le_bytes([w0, w1, w2, 0]), 1 + u32::from_le_bytes([h0, h1, h2, 0]));
                let has_exif_or_xmp = flags & 0x0c != 0;
                if !has_exif_or_xmp {
                    break;
                }
            }
            b"VP8 " if draft.size.is_none() => {
                let [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = source.array::<10>(content)? else { continue };
                draft.size = size(u32::from(u16::from_le_bytes([w0, w1]) & 0x3fff), u32::from(u16::from_le_bytes([h0, h1]) & 0x3fff));
            }
            b"VP8L" if draft.size.is_none() => {
                let [0x2f, bits @ ..] = source.array::<5>(content)? else { continue };
                let bits = u32::from_le_bytes(bits);
                draft.size = size(1 + (bits & 0x3fff), 1 + (bits >> 14 & 0x3fff));
            }
            b"EXIF" => exif_chunk(source, content, length, draft),
            b"XMP " => {
                let packet = source.up_to(content, length.min(xmp::LONGEST_PACKET_BYTES)).unwrap_or_default();
                draft.xmp.extend(xmp::read(packet).0);
            }
            _ => {}
        }
    }
    draft.size.map(|_| ())
}

/// Reads an AVI: the size from its main header, the time and the words that cameras and programs put beside it. `None` when it has no size.
pub(super) fn avi(source: &mut Source<'_>, draft: &mut Draft) -> Option<()> {
    let end = source.size();
    avi_chunks(source, 12, end, draft, 0);
    draft.size.map(|_| ())
}

/// Walks chunks between two places; lists are entered two deep, where all that is looked for lies.
fn avi_chunks(source: &mut Source<'_>, mut at: u64, end: u64, draft: &mut Draft, depth: u32) {
    for _ in 0..MOST_CHUNKS {
        let Some([n0, n1, n2, n3, length @ ..]) = source.array::<8>(at).filter(|_| at + 8 <= end) else { return };
        let length = u64::from(u32::from_le_bytes(length));
        let content = at + 8;
        at = content + length + (length & 1);
        let name = [n0, n1, n2, n3];
        if &name == b"LIST" {
            let wanted = source.array::<4>(content).is_some_and(|kind| matches!(&kind, b"hdrl" | b"INFO"));
            if wanted && depth < 2 {
                avi_chunks(source, content + 4, (content + length).min(end), draft, depth + 1);
            }
            continue;
        }
        avi_chunk(source, name, content, length, draft);
    }
}

/// # Source
/// AVI's main header; the INFO list of RIFF; IDIT as exiftool documents it.
fn avi_chunk(source: &mut Source<'_>, name: [u8; 4], at: u64, length: u64, draft: &mut Draft) {
    if &name == b"avih" {
        if let Some(header) = source.array::<40>(at) {
            let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            draft.size = size(number(32), number(36));
        }
        return;
    }
    if !matches!(&name, b"IDIT" | b"ICRD" | b"ISFT" | b"INAM" | b"ICMT" | b"IKEY" | b"_PMX") {
        return;
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(xmp::LONGEST_PACKET_BYTES);
    let Some(bytes) = source.up_to(at, length) else { return };
    if &name == b"_PMX" {
        draft.xmp.extend(xmp::read(bytes).0);
        return;
    }
    let Some(words) = text::from_bytes(bytes) else { return };
    match &name {
        b"IDIT" => draft.video_time = dates::parse_riff(&words).map(|moment| (moment, "RIFF:DateTimeOriginal")).or(draft.video_time),
        b"ICRD" => draft.video_time = draft.video_time.or_else(|| dates::parse_riff(&words).map(|moment| (moment, "RIFF:DateCreated"))),
        b"ISFT" => draft.exif.software = Some(words),
        // As Windows would have written them into a picture.
        b"INAM" => draft.exif.xp_title = Some(words),
        b"ICMT" => draft.exif.xp_comment = Some(words),
        _ => text::add_new(&mut draft.exif.xp_keywords, words.split(';').filter_map(text::clean)),
    }
}

/// EXIF, with or without the header that only JPEG should have.
fn exif_chunk(source: &mut Source<'_>, at: u64, length: usize, draft: &mut Draft) {
    let header = if source.array::<6>(at).is_some_and(|start| start == EXIF) { EXIF.len() } else { 0 };
    let base = at + header as u64;
    if let Some(tags) = exif::read(source, base) {
        draft.exif = tags;
        draft.exif_block = Some((base, length.saturating_sub(header)));
    }
}

fn size(width: u32, height: u32) -> Option<(u32, u32)> {
    (width > 0 && height > 0).then_some((width, height))
}

fn be32(bytes: &[u8]) -> u32 {
    bytes[..4].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Facts;

    #[test]
    fn a_png_gives_size_and_words() {
        let chunk = |name: &[u8], data: &[u8]| [&(data.len() as u32).to_be_bytes()[..], name, data, &[0; 4]].concat();
        let header = [&300u32.to_be_bytes()[..], &200u32.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        let packet = [PNG_XMP, &[0, 0, 0, 0][..], br#"<rdf:RDF><rdf:Description xmp:Rating="5"/></rdf:RDF>"#].concat();
        let file = [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            chunk(b"IHDR", &header),
            chunk(b"IDAT", &[1; 100]),
            chunk(b"iTXt", &packet),
            chunk(b"IEND", &[]),
        ]
        .concat();
        let mut draft = Draft::default();
        png(&mut Source::from_slice(&file), &mut draft).unwrap();
        assert_eq!((draft.size, draft.xmp.first(xmp::Key::Rating)), (Some((300, 200)), Some("5")));
    }

    #[test]
    fn words_after_a_large_pngs_picture_are_found() {
        let chunk = |name: &[u8], data: &[u8]| [&(data.len() as u32).to_be_bytes()[..], name, data, &[0; 4]].concat();
        let header = [&300u32.to_be_bytes()[..], &200u32.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        let packet = [PNG_XMP, &[0, 0, 0, 0][..], br#"<rdf:RDF><rdf:Description xmp:Rating="5"/></rdf:RDF>"#].concat();
        let start = [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header)].concat();
        let picture = chunk(b"IDAT", &[1; 9_000]).repeat(50);
        let file = [start, picture, chunk(b"iTXt", &packet), chunk(b"IEND", &[])].concat();
        let on_disk = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(on_disk.path(), &file).unwrap();
        let opened = std::fs::File::open(on_disk.path()).unwrap();
        let mut source = Source::new(&opened, file.len() as u64, &file[..128 << 10], &file[file.len() - (64 << 10)..]);
        let mut draft = Draft::default();
        png(&mut source, &mut draft).unwrap();
        assert_eq!((draft.size, draft.xmp.first(xmp::Key::Rating)), (Some((300, 200)), Some("5")));
    }

    #[test]
    fn an_avi_gives_its_size_time_and_words() {
        let chunk = |name: &[u8], data: &[u8]| [name, &(data.len() as u32).to_le_bytes(), data, &vec![0; data.len() % 2]].concat();
        let list = |kind: &[u8], parts: &[Vec<u8>]| chunk(b"LIST", &[kind, &parts.concat()].concat());
        let header = [&[0; 32][..], &640u32.to_le_bytes(), &480u32.to_le_bytes(), &[0; 16]].concat();
        let avi_of = |parts: &[Vec<u8>]| chunk(b"RIFF", &[b"AVI ", &parts.concat()[..]].concat());
        let read = |file: &[u8]| {
            let mut draft = Draft::default();
            let _ = avi(&mut Source::from_slice(file), &mut draft);
            draft.into_facts("fast")
        };
        let time = |facts: Facts| facts.captured_at.map(|time| (time.local.to_string(), time.source));
        let info = list(b"INFO", &[chunk(b"ISFT", b"CanonMVI02\0"), chunk(b"ICRD", b"2003-03-11\0"), chunk(b"INAM", b"Zoey runs")]);
        let idit = chunk(b"IDIT", b"MON MAR 10 15:04:43 2003\n\0");
        let picture = list(b"movi", &[chunk(b"00dc", &[7; 999])]);
        let whole = avi_of(&[list(b"hdrl", &[chunk(b"avih", &header), idit]), info.clone(), picture.clone()]);
        let facts = read(&whole);
        assert_eq!((facts.width_px, facts.height_px), (Some(640), Some(480)));
        assert_eq!((facts.software.as_deref(), facts.title.as_deref()), (Some("CanonMVI02"), Some("Zoey runs")));
        assert_eq!(time(facts), Some(("2003-03-10 15:04:43".into(), "RIFF:DateTimeOriginal".into())));
        // Words may also stand behind the frames.
        let late = avi_of(&[list(b"hdrl", &[chunk(b"avih", &header)]), picture, info]);
        assert_eq!(time(read(&late)), Some(("2003-03-11 00:00:00".into(), "RIFF:DateCreated".into())));
        for end in 0..whole.len() {
            read(&whole[..end]);
        }
    }

    #[test]
    fn each_kind_of_webp_gives_its_size() {
        let file = |name: &[u8], data: &[u8]| [b"RIFF", &[0; 4][..], b"WEBP", name, &(data.len() as u32).to_le_bytes(), data].concat();
        let read = |file: &[u8]| {
            let mut draft = Draft::default();
            webp(&mut Source::from_slice(file), &mut draft);
            draft.size
        };
        assert_eq!(read(&file(b"VP8X", &[0, 0, 0, 0, 0x2b, 1, 0, 0xc7, 0, 0])), Some((300, 200)));
        assert_eq!(read(&file(b"VP8 ", &[0, 0, 0, 0x9d, 1, 0x2a, 0x2c, 1, 0xc8, 0])), Some((300, 200)));
        let bits: u32 = 299 | 199 << 14;
        assert_eq!(read(&file(b"VP8L", &[&[0x2f], &bits.to_le_bytes()[..]].concat())), Some((300, 200)));
    }
}
