//! Sidecars: XMP, Google Takeout's JSON, RawTherapee's PP3, and Apple's AAE, which says nothing we use.

use chrono::DateTime;
use serde::Deserialize;

use super::{FileReading, dates::Moment, draft::Draft, labels, place, text, xmp};
use crate::models::{Facts, FileFormat};

/// Longest sidecar read, in bytes.
pub(super) const LONGEST_BYTES: u64 = xmp::LONGEST_PACKET_BYTES as u64;

/// Reads a whole sidecar.
pub(super) fn read(content: &[u8], format: FileFormat) -> FileReading {
    let (facts, error) = match format {
        FileFormat::Xmp => {
            let (tags, error) = xmp::read(content);
            let cleared = labels::cleared(&tags);
            let draft = Draft { xmp: tags, ..Draft::default() };
            let facts = draft.into_facts("xmp");
            let cleared = cleared.into_iter().filter(|field| !facts.says(*field)).collect();
            (Facts { cleared, ..facts }, error.map(|error| format!("not readable XMP: {error}")))
        }
        FileFormat::TakeoutJson => takeout(content),
        FileFormat::Pp3 => (pp3(content), None),
        _ => (Facts { reader: format.name().to_owned(), ..Facts::default() }, None),
    };
    FileReading { facts, fingerprint: None, error }
}

/// The parts of Google's JSON that are about the picture.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Takeout {
    title: Option<String>,
    description: Option<String>,
    photo_taken_time: Option<Timestamp>,
    geo_data: Option<Place>,
    geo_data_exif: Option<Place>,
}

#[derive(Deserialize)]
struct Timestamp {
    timestamp: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Place {
    latitude: Option<f64>,
    longitude: Option<f64>,
    altitude: Option<f64>,
}

/// Other programs' JSON is no fault: its facts are empty.
fn takeout(content: &[u8]) -> (Facts, Option<String>) {
    let empty = || Facts { reader: "json".to_owned(), ..Facts::default() };
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let json: Takeout = match serde_json::from_slice(content) {
        Ok(json) => json,
        Err(error) if error.is_data() => return (empty(), None),
        Err(error) => return (empty(), Some(format!("not readable JSON: {error}"))),
    };
    // Albums have a title too, but were not taken.
    let Some(taken) = json.photo_taken_time else { return (empty(), None) };
    let seconds = taken.timestamp.and_then(|value| value.as_i64().or_else(|| value.as_str()?.trim().parse().ok()));
    let local = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).map(|time| time.naive_utc());
    let plausible =
        local.filter(|local| u32::try_from(chrono::Datelike::year(local)).is_ok_and(|year| super::dates::YEARS.contains(&year)));
    let known = |place: Option<Place>| {
        let written = place?;
        place::on_earth(written.latitude?, written.longitude?, written.altitude.filter(|metres| *metres != 0.0))
    };
    let facts = Facts {
        captured_at: plausible.map(|local| Moment { local, offset_minutes: Some(0) }.captured("Takeout:photoTakenTime")),
        gps: known(json.geo_data).or_else(|| known(json.geo_data_exif)),
        description: json.description.as_deref().and_then(text::clean).and_then(text::meaningful),
        sidecar_for: json.title.as_deref().and_then(text::clean),
        reader: "takeout".to_owned(),
        ..Facts::default()
    };
    (facts, None)
}

/// RawTherapee keeps the stars as `Rank` of `[General]`, and what is thrown away as `InTrash`.
fn pp3(content: &[u8]) -> Facts {
    let text = String::from_utf8_lossy(content);
    let mut general = false;
    let mut facts = Facts { reader: "pp3".to_owned(), ..Facts::default() };
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            general = line == "[General]";
        } else if general && let Some((name, value)) = line.split_once('=') {
            match (name.trim(), value.trim()) {
                ("Rank", rank) => facts.rating = rank.parse().ok().filter(|stars| (0..=5).contains(stars)).or(facts.rating),
                ("InTrash", "true") => facts.rating = Some(-1),
                _ => {}
            }
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn googles_json_gives_utc_place_and_the_pictures_name() {
        let json = r#"{"title":"IMG(1).jpg","description":" Lunch ","photoTakenTime":{"timestamp":"1600000000","formatted":"…"},
            "geoData":{"latitude":0.0,"longitude":0.0,"altitude":0.0},"geoDataExif":{"latitude":48.5,"longitude":-9.25,"altitude":100.0}}"#;
        let reading = read(json.as_bytes(), FileFormat::TakeoutJson);
        let captured = reading.facts.captured_at.unwrap();
        assert_eq!(
            (captured.local.to_string().as_str(), captured.offset_minutes, captured.source.as_str()),
            ("2020-09-13 12:26:40", Some(0), "Takeout:photoTakenTime")
        );
        assert_eq!(reading.facts.gps.unwrap().longitude_deg, -9.25);
        assert_eq!((reading.facts.description.as_deref(), reading.facts.sidecar_for.as_deref()), (Some("Lunch"), Some("IMG(1).jpg")));
    }

    #[test]
    fn other_json_is_no_fault_and_broken_json_is() {
        for other in [r#"{"title":"Album","description":""}"#, r#"{"title":5}"#, "[1,2]"] {
            let reading = read(other.as_bytes(), FileFormat::TakeoutJson);
            assert_eq!((reading.facts, reading.error), (Facts { reader: "json".to_owned(), ..Facts::default() }, None), "{other}");
        }
        assert!(read(br#"{"title":"#, FileFormat::TakeoutJson).error.is_some());
    }

    #[test]
    fn rawtherapees_rank_is_the_rating() {
        let rating = |text: &str| read(text.as_bytes(), FileFormat::Pp3).facts.rating;
        assert_eq!(rating("[Version]\nRank=1\n[General]\nRank=4\nColorLabel=0\nInTrash=false\n[Exposure]\nRank=9"), Some(4));
        assert_eq!(rating("[General]\nRank=4\nInTrash=true"), Some(-1));
        assert_eq!(rating("nothing"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_content_makes_it_panic(content: Vec<u8>, json in r#"\{("(title|photoTakenTime|geoData|timestamp)":[{}\[\]0-9",]{0,9},?){0,5}\}"#) {
            for format in [FileFormat::Xmp, FileFormat::TakeoutJson, FileFormat::Pp3, FileFormat::Aae] {
                read(&content, format);
                read(json.as_bytes(), format);
            }
        }
    }
}
