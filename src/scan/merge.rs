//! Facts of an image from the facts of its files: the original speaks first, its companions fill gaps, a sidecar has the last word on
//! what people edit.
//!
//! Apart from the readers because a file's own facts stay as they are in the database: an image's are made anew whenever its files change.

use chrono::{Local, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};

use super::group::{Candidate, Group, captured_from_name, utc_from_name};
use crate::models::{CapturedAt, Facts, FileFormat, FileKind, FileRole, Gps, edit::Field};

/// Two places this close are one, said with different precision.
const SAME_PLACE_DEG: f64 = 0.0001;

/// Facts of a whole group: its primary leads, the other renderings of the moment fill gaps, the sidecars of the moment (not those of
/// edited versions) have the last word. The moving part of a live photo says nothing: its clock is UTC and its size is not the picture's.
pub fn group_facts(group: &Group, files: &[Candidate<'_>]) -> Facts {
    let role_of = |file: usize| group.members.iter().find(|member| member.file == file).map(|member| member.role);
    let of_the_moment = |role: FileRole| matches!(role, FileRole::Original | FileRole::Cover | FileRole::Export);
    let mut others = Vec::new();
    let mut sidecars = Vec::new();
    let mut thumbnails = Vec::new();
    for member in group.members.iter().filter(|member| member.file != group.primary) {
        let candidate = &files[member.file];
        match candidate.format.kind() {
            FileKind::Raw | FileKind::Picture if of_the_moment(member.role) => others.push(candidate.facts),
            FileKind::Sidecar if candidate.format == FileFormat::Thm => {
                // Its pixels are a thumbnail's.
                thumbnails.push(Facts { width_px: None, height_px: None, orientation: None, ..candidate.facts.clone() });
            }
            FileKind::Sidecar if member.about.and_then(role_of).is_none_or(of_the_moment) => sidecars.push(candidate.facts),
            _ => {}
        }
    }
    others.extend(&thumbnails);
    image_facts(files[group.primary].facts, &others, &sidecars)
}

/// Facts of an image. `others` fill gaps in the order given; of `sidecars` (XMP before Takeout) the first that speaks wins.
///
/// Sidecars win on what people edit: time, place, title, description, rating, keywords; also where they say that there is none. What the camera measured (camera, lens, exposure)
/// they only fill in, and the picture's size and orientation are its own: they describe its pixels. Takeout's time is UTC and counts only
/// where no picture has one.
pub fn image_facts(primary: &Facts, others: &[&Facts], sidecars: &[&Facts]) -> Facts {
    let mut facts = primary.clone();
    for other in others {
        fill_gaps(&mut facts, other);
        facts.motion_photo |= other.motion_photo;
        if facts.width_px.is_none() || facts.height_px.is_none() {
            // These only make sense together.
            (facts.width_px, facts.height_px, facts.orientation, facts.decoder_turns) =
                (other.width_px, other.height_px, other.orientation, other.decoder_turns);
        }
    }
    let (takeout, xmp): (Vec<&Facts>, Vec<&Facts>) =
        sidecars.iter().partition(|sidecar| sidecar.reader == "takeout" || sidecar.sidecar_for.is_some());
    let in_order = || xmp.iter().chain(&takeout).copied();
    if let Some(time) = xmp.iter().find_map(|sidecar| sidecar.captured_at.as_ref()) {
        facts.captured_at = Some(corrected_time(facts.captured_at.take(), time));
    }
    let own_place = facts.gps;
    for sidecar in in_order() {
        fill_gaps(&mut facts, sidecar);
    }
    for field in Field::ALL {
        if let Some(first) = in_order().find(|sidecar| sidecar.says(*field) || sidecar.cleared.contains(field)) {
            take(&mut facts, *field, first, own_place);
        }
    }
    facts
}

/// Takes what a sidecar says about a field, also where that is nothing.
fn take(facts: &mut Facts, field: Field, sidecar: &Facts, own_place: Option<Gps>) {
    match field {
        Field::Title => facts.title.clone_from(&sidecar.title),
        Field::Description => facts.description.clone_from(&sidecar.description),
        Field::Rating => facts.rating = sidecar.rating,
        Field::Pick => facts.pick = sidecar.pick,
        Field::ColorLabel => facts.color_label = sidecar.color_label,
        Field::Place => facts.place.clone_from(&sidecar.place),
        Field::Gps => facts.gps = sidecar.gps.map(|place| corrected_place(own_place, place)),
        // Flat and hierarchical say the same thing twice: taken from one place, they agree.
        Field::Keywords => {
            facts.keywords.clone_from(&sidecar.keywords);
            facts.hierarchical_keywords.clone_from(&sidecar.hierarchical_keywords);
        }
        // A time is corrected, and never taken away.
        Field::CapturedAt => {}
    }
}

fn fill_gaps(facts: &mut Facts, other: &Facts) {
    macro_rules! fill {
        ($($field:ident),+) => { $(if facts.$field.is_none() { facts.$field.clone_from(&other.$field); })+ };
    }
    fill!(
        captured_at,
        make,
        model,
        lens,
        iso,
        f_number,
        exposure_s,
        focal_length_mm,
        gps,
        title,
        description,
        rating,
        pick,
        color_label,
        place,
        content_id,
        software
    );
    if facts.keywords.is_empty() && facts.hierarchical_keywords.is_empty() {
        facts.keywords.clone_from(&other.keywords);
        facts.hierarchical_keywords.clone_from(&other.hierarchical_keywords);
    }
}

/// The sidecar's time where it says something else than the picture's; the picture's, which is finer, where it only repeats it.
fn corrected_time(picture: Option<CapturedAt>, sidecar: &CapturedAt) -> CapturedAt {
    let Some(picture) = picture else { return sidecar.clone() };
    let apart = picture.local - sidecar.local;
    let date_alone = sidecar.local.time() == NaiveTime::MIN && sidecar.local.date() == picture.local.date();
    if date_alone {
        return picture;
    }
    if apart.abs() < TimeDelta::seconds(1) {
        return CapturedAt { offset_minutes: sidecar.offset_minutes.or(picture.offset_minutes), ..picture };
    }
    // `…Z` of a picture that has no zone: the same instant, told in UTC.
    let minutes = (apart.num_seconds() + 7 * 60 + 30).div_euclid(15 * 60) * 15;
    let same_instant = (apart - TimeDelta::minutes(minutes)).abs() < TimeDelta::seconds(1) && (-12 * 60..=14 * 60).contains(&minutes);
    let zone = i16::try_from(minutes).ok().filter(|minutes| picture.offset_minutes.is_none_or(|offset| offset == *minutes));
    match zone {
        Some(zone) if sidecar.offset_minutes == Some(0) && same_instant => CapturedAt { offset_minutes: Some(zone), ..picture },
        _ => sidecar.clone(),
    }
}

/// The sidecar's place where it is another one; the picture's own, which is finer, where the sidecar only repeats it.
fn corrected_place(picture: Option<Gps>, sidecar: Gps) -> Gps {
    match picture {
        Some(own)
            if (own.latitude_deg - sidecar.latitude_deg).abs() < SAME_PLACE_DEG
                && (own.longitude_deg - sidecar.longitude_deg).abs() < SAME_PLACE_DEG =>
        {
            Gps { altitude_m: own.altitude_m.or(sidecar.altitude_m), ..own }
        }
        _ => sidecar,
    }
}

/// When the image was taken, by the best that is known: the facts, else the name (source `file-name`), else `modified_at` (UTC; source
/// `file-modified`). What is known in UTC alone is shown by this machine's zone, without claiming an offset.
pub fn captured_at(facts: &Facts, stem: &str, modified_at: NaiveDateTime) -> CapturedAt {
    captured_at_in(&Local, facts, stem, modified_at)
}

fn captured_at_in<Z: TimeZone>(zone: &Z, facts: &Facts, stem: &str, modified_at: NaiveDateTime) -> CapturedAt {
    if let Some(time) = &facts.captured_at {
        return time.clone();
    }
    let local = |utc: NaiveDateTime| zone.from_utc_datetime(&utc).naive_local();
    let named = captured_from_name(stem).or_else(|| utc_from_name(stem).map(local));
    let (time, source) = match named {
        Some(time) => (time, "file-name"),
        None => (local(modified_at), "file-modified"),
    };
    CapturedAt { local: time, offset_minutes: None, source: source.to_owned() }
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;
    use crate::models::Orientation;

    fn time(text: &str, offset_minutes: Option<i16>) -> CapturedAt {
        CapturedAt { local: text.parse().unwrap(), offset_minutes, source: "x".to_owned() }
    }

    #[test]
    fn companions_fill_gaps_and_sidecars_have_the_last_word() {
        let raw = Facts {
            make: Some("Canon".into()),
            title: Some("raw".into()),
            rating: Some(2),
            keywords: vec!["old".into()],
            iso: Some(100),
            ..Facts::default()
        };
        let jpeg = Facts {
            lens: Some("50mm".into()),
            title: Some("jpeg".into()),
            width_px: Some(30),
            height_px: Some(20),
            orientation: Orientation::try_from(6).ok(),
            ..Facts::default()
        };
        let xmp = Facts {
            rating: Some(0),
            keywords: vec!["new".into()],
            iso: Some(999),
            orientation: Orientation::try_from(3).ok(),
            reader: "xmp".into(),
            ..Facts::default()
        };
        let takeout = Facts { rating: Some(5), description: Some("beach".into()), reader: "takeout".into(), ..Facts::default() };
        let facts = image_facts(&raw, &[&jpeg], &[&takeout, &xmp]);
        assert_eq!(facts.title.as_deref(), Some("raw"));
        assert_eq!(facts.lens.as_deref(), Some("50mm"));
        assert_eq!((facts.rating, facts.iso), (Some(0), Some(100)));
        assert_eq!(facts.keywords, ["new"]);
        assert_eq!(facts.description.as_deref(), Some("beach"));
        assert_eq!((facts.width_px, facts.orientation.map(Orientation::exif)), (Some(30), Some(6)));
    }

    #[test]
    fn what_a_sidecar_clears_is_none_for_all_the_other_files() {
        let raw = Facts {
            title: Some("raw".into()),
            description: Some("raw".into()),
            keywords: vec!["raw".into()],
            gps: Some(Gps { latitude_deg: 1.0, longitude_deg: 2.0, altitude_m: None }),
            ..Facts::default()
        };
        let xmp = Facts { cleared: vec![Field::Title, Field::Keywords, Field::Gps], reader: "xmp".into(), ..Facts::default() };
        let takeout = Facts { title: Some("takeout".into()), gps: raw.gps, reader: "takeout".into(), ..Facts::default() };
        let facts = image_facts(&raw, &[&raw], &[&takeout, &xmp]);
        assert_eq!((facts.title, facts.keywords.len(), facts.gps), (None, 0, None));
        assert_eq!(facts.description.as_deref(), Some("raw"));
    }

    #[test]
    fn a_sidecar_corrects_the_time_but_does_not_coarsen_it() {
        let with_time = |time: CapturedAt, reader: &str| Facts { captured_at: Some(time), reader: reader.into(), ..Facts::default() };
        let fine = with_time(time("2020-05-04T10:00:00.250", None), "fast");
        let merged = |sidecar: &Facts| image_facts(&fine, &[], &[sidecar]).captured_at.unwrap();

        let repeats = merged(&with_time(time("2020-05-04T10:00:00", Some(120)), "xmp"));
        assert_eq!((repeats.local, repeats.offset_minutes), (time("2020-05-04T10:00:00.250", None).local, Some(120)));
        let in_utc = merged(&with_time(time("2020-05-04T08:00:00", Some(0)), "xmp"));
        assert_eq!((in_utc.local, in_utc.offset_minutes), (time("2020-05-04T10:00:00.250", None).local, Some(120)));
        assert_eq!(merged(&with_time(time("2020-05-04T00:00:00", None), "xmp")).local, fine.captured_at.as_ref().unwrap().local);
        assert_eq!(merged(&with_time(time("2019-01-01T08:00:00", None), "xmp")).local, time("2019-01-01T08:00:00", None).local);

        let takeout = with_time(time("2001-01-01T00:00:01", Some(0)), "takeout");
        assert_eq!(merged(&takeout).local, fine.captured_at.as_ref().unwrap().local);
        assert_eq!(image_facts(&Facts::default(), &[], &[&takeout]).captured_at, takeout.captured_at);
    }

    #[test]
    fn a_place_is_moved_but_not_blurred() {
        let at = |latitude_deg: f64, altitude_m: Option<f64>| Facts {
            gps: Some(Gps { latitude_deg, longitude_deg: 11.0, altitude_m }),
            ..Facts::default()
        };
        let gps = image_facts(&at(45.123_456, None), &[], &[&at(45.1235, Some(20.0))]).gps.unwrap();
        assert_eq!((gps.latitude_deg, gps.altitude_m), (45.123_456, Some(20.0)));
        assert_eq!(image_facts(&at(45.1, None), &[], &[&at(46.0, None)]).gps.unwrap().latitude_deg, 46.0);
    }

    #[test]
    fn without_a_time_the_name_speaks_then_the_file_system() {
        let zone = FixedOffset::east_opt(7200).unwrap();
        let modified = "2021-06-01T23:30:00".parse().unwrap();
        let found = |stem: &str| {
            let found = captured_at_in(&zone, &Facts::default(), stem, modified);
            (found.local.to_string(), found.source, found.offset_minutes)
        };
        assert_eq!(found("20200101_172823"), ("2020-01-01 17:28:23".into(), "file-name".into(), None));
        assert_eq!(found("PXL_20240704_194543217"), ("2024-07-04 21:45:43.217".into(), "file-name".into(), None));
        assert_eq!(found("IMG_2041"), ("2021-06-02 01:30:00".into(), "file-modified".into(), None));
    }
}
