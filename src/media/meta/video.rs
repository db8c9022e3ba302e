//! MP4 and QuickTime: when, where and how large, from the movie's headers. The frames are never read.
//!
//! # Source
//! ISO/IEC 14496-12; Apple's QuickTime File Format (`keys`, `ilst`, `udta`); ISO 6709 for places.

use chrono::DateTime;

use super::{
    boxes::{self, Bmff},
    dates, place,
    source::Source,
    text,
};
use crate::models::{CapturedAt, Facts};

/// Seconds from 1904, QuickTime's beginning, to 1970.
const FROM_1904_S: i64 = 2_082_844_800;

/// Reads the movie box. `None` when there is none.
pub(super) fn read(source: &mut Source<'_>) -> Option<Facts> {
    let size = source.size();
    let movie = boxes::list(source, 0, size).into_iter().find(|found| &found.name == b"moov")?;
    let mut facts = Facts { reader: "fast".to_owned(), ..Facts::default() };
    let inside = boxes::list(source, movie.at, movie.end);
    for found in &inside {
        match &found.name {
            b"mvhd" => facts.captured_at = facts.captured_at.take().or_else(|| header_time(source, *found)),
            b"trak" => {
                track_size(source, *found, &mut facts);
                track_lens(source, *found, &mut facts);
            }
            _ => {}
        }
    }
    // Words last: Apple's local time with its offset is better than the header's UTC.
    for found in inside {
        match &found.name {
            b"meta" => apple_keys(source, found, &mut facts),
            b"udta" => user_data(source, found, &mut facts),
            _ => {}
        }
    }
    Some(facts)
}

/// The time of creation in UTC: how far the clock on the wall was from it, nobody says.
fn header_time(source: &mut Source<'_>, header: Bmff) -> Option<CapturedAt> {
    let [version, ..] = source.array::<4>(header.at)?;
    let seconds = match version {
        0 => i64::from(u32::from_be_bytes(source.array(header.at + 4)?)),
        _ => i64::try_from(u64::from_be_bytes(source.array(header.at + 4)?)).ok()?,
    };
    // Some devices count from 1970; no video is older than 1970 otherwise.
    let unix = if seconds >= FROM_1904_S { seconds - FROM_1904_S } else { seconds };
    let local = DateTime::from_timestamp(unix, 0).filter(|_| seconds > 0)?.naive_utc();
    let moment = dates::Moment { local, offset_minutes: Some(0) };
    (local.and_utc().timestamp() < 4_133_980_800).then(|| moment.captured("QuickTime:CreateDate"))
}

/// The largest track's size as it is shown: players turn it by the track's matrix.
fn track_size(source: &mut Source<'_>, track: Bmff, facts: &mut Facts) {
    let Some(header) = boxes::find(source, track, &[b"tkhd"]) else { return };
    let Some(content) = header.content(source, 256) else { return };
    let matrix_at = if content.first() == Some(&1) { 52 } else { 40 };
    let number = |at: usize| content.get(at..at + 4).and_then(|bytes| Some(i32::from_be_bytes(bytes.try_into().ok()?)));
    let (Some(a), Some(b), Some(width), Some(height)) =
        (number(matrix_at), number(matrix_at + 4), number(matrix_at + 36), number(matrix_at + 40))
    else {
        return;
    };
    // Fixed point with sixteen bits after it.
    let side = |fixed: i32| fixed.cast_unsigned() >> 16;
    let (width, height) = if a == 0 && b != 0 { (side(height), side(width)) } else { (side(width), side(height)) };
    let area = |width: u32, height: u32| u64::from(width) * u64::from(height);
    if area(width, height) > area(facts.width_px.unwrap_or(0), facts.height_px.unwrap_or(0)) {
        (facts.width_px, facts.height_px) = (Some(width), Some(height));
    }
}

/// The lens, which Apple's phones name with the track that it filmed.
fn track_lens(source: &mut Source<'_>, track: Bmff, facts: &mut Facts) {
    let Some(meta) = boxes::find(source, track, &[b"meta"]) else { return };
    let mut named = Facts::default();
    apple_keys(source, meta, &mut named);
    facts.lens = facts.lens.take().or(named.lens);
}

/// Apple's named values: `keys` holds the names, `ilst` the values by number.
fn apple_keys(source: &mut Source<'_>, meta: Bmff, facts: &mut Facts) {
    // QuickTime's `meta` has no version; MP4's has.
    let versioned = source.array::<8>(meta.at).is_some_and(|start| &start[4..] != b"hdlr");
    let meta = if versioned { Bmff { at: meta.at + 4, ..meta } } else { meta };
    let names = boxes::find(source, meta, &[b"keys"]).map(|keys| boxes::list(source, keys.at + 8, keys.end)).unwrap_or_default();
    let Some(list) = boxes::find(source, meta, &[b"ilst"]) else { return };
    for item in boxes::list(source, list.at, list.end) {
        let number = u32::from_be_bytes(item.name) as usize;
        let named = number.checked_sub(1).and_then(|index| names.get(index)).and_then(|name| name.content(source, 256)).map(<[u8]>::to_vec);
        // Without a list of names each item is its own.
        let name = named.unwrap_or_else(|| item.name.to_vec());
        let Some(data) = boxes::find(source, item, &[b"data"]) else { continue };
        // Type and locale, then the text.
        let Some(value) = data.content(source, 64 << 10).and_then(|content| text::from_bytes(content.get(8..)?)) else { continue };
        match name.as_slice() {
            b"com.apple.quicktime.creationdate" => {
                facts.captured_at =
                    dates::parse(&value).map(|moment| moment.captured("QuickTime:CreationDate")).or(facts.captured_at.take());
            }
            b"com.apple.quicktime.location.ISO6709" | b"\xa9xyz" => facts.gps = place::from_iso6709(&value).or(facts.gps),
            b"com.apple.quicktime.make" => facts.make = Some(value),
            b"com.apple.quicktime.model" => facts.model = Some(value),
            b"com.apple.quicktime.camera.lens_model" => facts.lens = Some(value),
            b"com.apple.quicktime.software" => facts.software = Some(value),
            b"com.apple.quicktime.content.identifier" => facts.content_id = Some(value),
            b"com.apple.quicktime.title" => facts.title = text::meaningful(value),
            b"com.apple.quicktime.description" => facts.description = text::meaningful(value),
            _ => {}
        }
    }
}

/// The older way, which Android writes: one box a value, its text after length and language.
fn user_data(source: &mut Source<'_>, user_data: Bmff, facts: &mut Facts) {
    for found in boxes::list(source, user_data.at, user_data.end) {
        if &found.name == b"meta" {
            apple_keys(source, found, facts);
            continue;
        }
        let Some(value) = found.content(source, 64 << 10).and_then(|content| text::from_bytes(content.get(4..)?)) else { continue };
        match &found.name {
            b"\xa9xyz" => facts.gps = facts.gps.or_else(|| place::from_iso6709(&value)),
            b"\xa9mak" => facts.make = facts.make.take().or(Some(value)),
            b"\xa9mod" => facts.model = facts.model.take().or(Some(value)),
            b"\xa9swr" => facts.software = facts.software.take().or(Some(value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Gps;

    fn boxed(name: &[u8], content: &[u8]) -> Vec<u8> {
        [&((content.len() + 8) as u32).to_be_bytes()[..], name, content].concat()
    }

    fn movie(parts: &[Vec<u8>]) -> Facts {
        let file = [boxed(b"ftyp", b"qt  "), boxed(b"mdat", &[0; 40_000]), boxed(b"moov", &parts.concat())].concat();
        read(&mut Source::from_slice(&file)).unwrap()
    }

    fn header(seconds: u32) -> Vec<u8> {
        boxed(b"mvhd", &[&[0; 4], &seconds.to_be_bytes()[..], &[0; 92]].concat())
    }

    #[test]
    fn the_header_gives_utc_and_apples_keys_local_time() {
        let plain = movie(&[header((FROM_1904_S + 1_600_000_000) as u32)]).captured_at.unwrap();
        assert_eq!(
            (plain.local.to_string().as_str(), plain.offset_minutes, plain.source.as_str()),
            ("2020-09-13 12:26:40", Some(0), "QuickTime:CreateDate")
        );
        let name = |text: &[u8]| boxed(b"mdta", text);
        let keys = boxed(
            b"keys",
            &[
                &[0; 8][..],
                &name(b"com.apple.quicktime.creationdate"),
                &name(b"com.apple.quicktime.location.ISO6709"),
                &name(b"com.apple.quicktime.camera.lens_model"),
            ]
            .concat(),
        );
        let item = |number: u32, text: &[u8]| boxed(&number.to_be_bytes(), &boxed(b"data", &[&[0; 8], text].concat()));
        let list = boxed(
            b"ilst",
            &[item(1, b"2020-09-13T14:26:40+0200"), item(2, b"+48.5000-009.2500+100.5/"), item(3, b"back camera 5.7mm f/1.5")].concat(),
        );
        let facts = movie(&[header(1), boxed(b"meta", &[boxed(b"hdlr", &[0; 25]), keys, list].concat())]);
        let local = facts.captured_at.unwrap();
        assert_eq!((local.local.to_string().as_str(), local.offset_minutes), ("2020-09-13 14:26:40", Some(120)));
        assert_eq!(facts.gps, Some(Gps { latitude_deg: 48.5, longitude_deg: -9.25, altitude_m: Some(100.5) }));
        assert_eq!(facts.lens.as_deref(), Some("back camera 5.7mm f/1.5"));
        assert_eq!(movie(&[header(0)]).captured_at, None);
    }

    #[test]
    fn a_track_names_its_lens_and_nothing_else() {
        let keys = |names: [&[u8]; 2]| boxed(b"keys", &[vec![0; 8], boxed(b"mdta", names[0]), boxed(b"mdta", names[1])].concat());
        let item = |number: u32, text: &[u8]| boxed(&number.to_be_bytes(), &boxed(b"data", &[&[0; 8], text].concat()));
        let list = boxed(b"ilst", &[item(1, b"front camera"), item(2, b"of the track")].concat());
        let names = keys([b"com.apple.quicktime.camera.lens_model", b"com.apple.quicktime.title"]);
        let meta = boxed(b"meta", &[boxed(b"hdlr", &[0; 25]), names, list].concat());
        let facts = movie(&[header(1), boxed(b"trak", &meta)]);
        assert_eq!((facts.lens.as_deref(), facts.title), (Some("front camera"), None));
    }

    #[test]
    fn a_turned_track_has_its_shown_size() {
        let track = |a: i32, b: i32| {
            let matrix: Vec<u8> = [a, b, 0, -b, a, 0, 0, 0, 1 << 30].iter().flat_map(|number: &i32| number.to_be_bytes()).collect();
            let sides = [1920u32 << 16, 1080 << 16].iter().flat_map(|side| side.to_be_bytes()).collect::<Vec<_>>();
            boxed(b"trak", &boxed(b"tkhd", &[vec![0; 40], matrix, sides].concat()))
        };
        let upright = movie(&[track(1 << 16, 0)]);
        assert_eq!((upright.width_px, upright.height_px), (Some(1920), Some(1080)));
        let turned = movie(&[track(0, 1 << 16)]);
        assert_eq!((turned.width_px, turned.height_px), (Some(1080), Some(1920)));
    }
}
