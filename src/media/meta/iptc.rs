//! IPTC-IIM: the older words in files, inside Photoshop's resource blocks.
//!
//! # Source
//! IPTC-NAA Information Interchange Model 4.2; Adobe Photoshop File Formats, image resource blocks.

use encoding_rs::WINDOWS_1252;

use super::{
    dates::{self, Moment},
    text,
};

/// Records longer than this are no words.
const LONGEST_RECORD_BYTES: usize = 64 << 10;

/// What we take from IPTC.
#[derive(Debug, Default)]
pub(super) struct IptcTags {
    pub(super) title: Option<String>,
    pub(super) caption: Option<String>,
    pub(super) keywords: Vec<String>,
    pub(super) created: Option<Moment>,
}

/// Finds the IPTC record among Photoshop's resource blocks (`8BIM`, number 0x0404).
pub(super) fn in_photoshop(mut blocks: &[u8]) -> Option<&[u8]> {
    while blocks.len() >= 12 && matches!(&blocks[..4], b"8BIM" | b"PHUT" | b"AgHg" | b"DCSR") {
        let id = u16::from_be_bytes([blocks[4], blocks[5]]);
        // A name with its length before it, padded to an even number of bytes.
        let name_bytes = (usize::from(blocks[6]) + 2) & !1;
        let rest = blocks.get(6 + name_bytes..)?;
        let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let data = rest.get(4..)?;
        if id == 0x0404 {
            return Some(&data[..length.min(data.len())]);
        }
        blocks = data.get((length.checked_add(1)?) & !1..)?;
    }
    None
}

/// Reads the records 1 and 2.
pub(super) fn read(mut records: &[u8]) -> IptcTags {
    let mut tags = IptcTags::default();
    let (mut date, mut time) = (None, None);
    let mut utf8 = false;
    while let [0x1c, record, dataset, high, low, rest @ ..] = records {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length > 0x7fff || length > rest.len() {
            break;
        }
        let (data, after) = rest.split_at(length);
        records = after;
        if length > LONGEST_RECORD_BYTES {
            continue;
        }
        match (record, dataset) {
            (1, 90) => utf8 = data == b"\x1b%G",
            (2, 5) => tags.title = tags.title.or_else(|| words(data, utf8)),
            (2, 25) => text::add_new(&mut tags.keywords, words(data, utf8)),
            (2, 55) => date = words(data, utf8),
            (2, 60) => time = words(data, utf8),
            (2, 120) => tags.caption = tags.caption.or_else(|| words(data, utf8)),
            _ => {}
        }
    }
    tags.created = date.and_then(|date| dates::parse_iptc(&date, time.as_deref()));
    tags
}

/// UTF-8 where the file says so or the bytes can be nothing else; Latin-1 otherwise.
fn words(data: &[u8], utf8: bool) -> Option<String> {
    if utf8 {
        text::clean(&String::from_utf8_lossy(data))
    } else {
        std::str::from_utf8(data).map_or_else(|_| text::clean(&WINDOWS_1252.decode(data).0), text::clean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(record: u8, dataset: u8, data: &[u8]) -> Vec<u8> {
        [&[0x1c, record, dataset][..], &(data.len() as u16).to_be_bytes(), data].concat()
    }

    #[test]
    fn words_and_time_are_read_in_their_charset() {
        let latin = [
            record(2, 25, b"Zo\xe9"),
            record(2, 25, b"dog"),
            record(2, 25, b"dog"),
            record(2, 55, b"20100203"),
            record(2, 60, b"101500-0500"),
        ]
        .concat();
        let tags = read(&latin);
        assert_eq!(tags.keywords, ["Zoé", "dog"]);
        let created = tags.created.unwrap();
        assert_eq!((created.local.to_string().as_str(), created.offset_minutes), ("2010-02-03 10:15:00", Some(-300)));
        let utf8 = [record(1, 90, b"\x1b%G"), record(2, 5, "Łódź".as_bytes()), record(2, 120, b"A caption\0")].concat();
        let tags = read(&utf8);
        assert_eq!((tags.title.as_deref(), tags.caption.as_deref()), (Some("Łódź"), Some("A caption")));
    }

    #[test]
    fn the_record_is_found_among_photoshops_blocks() {
        let block = |id: u16, data: &[u8]| {
            [b"8BIM", &id.to_be_bytes()[..], &[0, 0], &(data.len() as u32).to_be_bytes(), data, &vec![0; data.len() % 2]].concat()
        };
        let blocks = [block(0x03ed, b"odd"), block(0x0404, b"iptc"), block(0x0425, b"digest")].concat();
        assert_eq!(in_photoshop(&blocks), Some(&b"iptc"[..]));
        assert_eq!(in_photoshop(&blocks[..14]), None);
    }

    #[test]
    fn damage_ends_the_reading() {
        let whole = record(2, 5, b"title");
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).title.is_none());
        }
    }
}
