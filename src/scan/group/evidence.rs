//! Whether two files are of one moment, by what they say themselves: time, camera, Apple's identifier, bytes, shape.

use chrono::{NaiveDateTime, TimeDelta, Timelike};

use super::Candidate;
use crate::models::{CapturedAt, FileFormat, FileKind};

/// RAW and JPEG of one press of the shutter are stamped this close.
const PAIR_TOLERANCE: TimeDelta = TimeDelta::seconds(2);
/// Pixel phones stamp the DNG when its processing ends, while the name is the same to the millisecond.
/// <https://github.com/photoprism/photoprism/issues/4757>
const PIXEL_TOLERANCE: TimeDelta = TimeDelta::seconds(10);
/// The moving part of a live photo begins before the still and lasts three seconds.
const VIDEO_TOLERANCE: TimeDelta = TimeDelta::seconds(5);
/// Two encoders may round a fraction of a second differently.
const FRACTION_TOLERANCE: TimeDelta = TimeDelta::milliseconds(10);
/// No zone is further from UTC.
const WIDEST_ZONE_S: i64 = 14 * 3600;
/// All zones of today are whole quarters of an hour from UTC.
const ZONE_STEP_S: i64 = 15 * 60;

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Different,
    Unknown,
}

/// Whether two stills of one stem are one moment.
pub(super) fn stills_belong_together(a: &Candidate<'_>, b: &Candidate<'_>, pixel: bool) -> bool {
    match same_content_id(a, b) {
        Verdict::Same => return true,
        Verdict::Different => return false,
        Verdict::Unknown => {}
    }
    if same_bytes(a, b) {
        return true;
    }
    if a.format == b.format && !pixel {
        // `IMG.jpg` beside `img.JPG` or `IMG.jpeg`: only the very same instant makes them one.
        return same_instant(a, b) == Verdict::Same && cameras(a, b) != Verdict::Different;
    }
    if !pixel && cameras(a, b) == Verdict::Different {
        return false;
    }
    let tolerance = if pixel { PIXEL_TOLERANCE } else { PAIR_TOLERANCE };
    match (&a.facts.captured_at, &b.facts.captured_at) {
        (Some(first), Some(second)) => {
            gap(first, second) <= tolerance
                || (whole_zones_apart(first, second, TimeDelta::seconds(1)) && (pixel || cameras(a, b) == Verdict::Same))
        }
        _ if pixel => true,
        (None, None) if !a.readable && !b.readable => false,
        (None, None) if !is_raw(a) && !is_raw(b) => shapes(a, b) == Verdict::Same,
        _ if is_raw(a) || is_raw(b) => true,
        _ => shapes(a, b) != Verdict::Different,
    }
}

/// Whether a video is the moving part of a still. `same_name` is true where the stem says so.
pub(super) fn video_goes_with(video: &Candidate<'_>, still: &Candidate<'_>, name_is_apple_hevc: bool) -> bool {
    match same_content_id(video, still) {
        Verdict::Same => return true,
        Verdict::Different => return false,
        Verdict::Unknown => {}
    }
    if name_is_apple_hevc {
        return true;
    }
    match (&video.facts.captured_at, &still.facts.captured_at) {
        // Videos are stamped in UTC, stills in local time; a converter may have turned one into the other.
        (Some(first), Some(second)) => gap(first, second) <= VIDEO_TOLERANCE || whole_zones_apart(first, second, VIDEO_TOLERANCE),
        _ => is_phone_name(still.name) || is_phone(still),
    }
}

/// Whether `version` was made from `original`, whose stem it extends.
pub(super) fn is_version(version: &Candidate<'_>, original: &Candidate<'_>, words: bool, base_states_a_second: bool) -> bool {
    let instant = match (same_content_id(version, original), same_instant(version, original)) {
        (Verdict::Different, _) => Verdict::Different,
        (Verdict::Same, _) if words => Verdict::Same,
        (_, instant) => instant,
    };
    if instant == Verdict::Different || cameras(version, original) == Verdict::Different {
        return false;
    }
    if words {
        if instant == Verdict::Unknown && shapes(version, original) == Verdict::Different {
            return false;
        }
        // Nobody edits a RAW into a RAW, but for the DNG that merges and denoising write.
        return !is_raw(version) || version.format == FileFormat::Dng || has_editor(version);
    }
    // An untouched copy is a second file of the same picture; whether to keep it is a person's question, not ours to hide.
    if instant != Verdict::Same || is_raw(version) || same_bytes(version, original) {
        return false;
    }
    // `2019-05-01_10-11-12.jpg` and `…_001.jpg`: frames of one second are named like that, so the second itself proves nothing.
    !base_states_a_second || shows_editing(version, original)
}

/// Whether `part` is the enhanced copy or the back of the print that `front` is the scan of. A scanner knows no capture time (it writes none,
/// or the one date that a person gave the whole batch), so the names of all three files must be there, or Epson's own name in one.
pub(super) fn is_part_of_scan(part: &Candidate<'_>, front: &Candidate<'_>, all_three: bool) -> bool {
    let epson = |candidate: &Candidate<'_>| candidate.facts.make.as_deref().is_some_and(|make| maker(make) == "epson");
    let scans = |candidate: &Candidate<'_>| matches!(candidate.format, FileFormat::Jpeg | FileFormat::Tiff);
    let numbered = super::names::stem(front.name).ends_with(|last: char| last.is_ascii_digit());
    let dates_differ = match (&part.facts.captured_at, &front.facts.captured_at) {
        (Some(a), Some(b)) => a.local != b.local,
        _ => false,
    };
    let cameras_differ = cameras(part, front) == Verdict::Different;
    let photographed = |candidate: &Candidate<'_>| candidate.facts.exposure_s.is_some() || candidate.facts.f_number.is_some();
    scans(part)
        && scans(front)
        && !dates_differ
        && !cameras_differ
        && ((epson(part) || epson(front)) || (all_three && numbered && !photographed(part) && !photographed(front)))
}

fn same_content_id(a: &Candidate<'_>, b: &Candidate<'_>) -> Verdict {
    match (&a.facts.content_id, &b.facts.content_id) {
        (Some(first), Some(second)) if first == second => Verdict::Same,
        (Some(_), Some(_)) => Verdict::Different,
        _ => Verdict::Unknown,
    }
}

fn same_bytes(a: &Candidate<'_>, b: &Candidate<'_>) -> bool {
    a.size_bytes > 0 && a.size_bytes == b.size_bytes && a.fingerprint.is_some() && a.fingerprint == b.fingerprint
}

/// Same second, and the same fraction of it where both have one.
fn same_instant(a: &Candidate<'_>, b: &Candidate<'_>) -> Verdict {
    let (Some(first), Some(second)) = (&a.facts.captured_at, &b.facts.captured_at) else { return Verdict::Unknown };
    let fractions = first.local.nanosecond() != 0 && second.local.nanosecond() != 0;
    let (whole_a, whole_b) = (whole_second(first), whole_second(second));
    let close = if fractions { gap(first, second) <= FRACTION_TOLERANCE } else { gap(&whole_a, &whole_b).is_zero() };
    let shifted = cameras(a, b) == Verdict::Same
        && if fractions {
            whole_zones_apart(first, second, FRACTION_TOLERANCE)
        } else {
            whole_zones_apart(&whole_a, &whole_b, TimeDelta::zero())
        };
    if close || shifted { Verdict::Same } else { Verdict::Different }
}

fn whole_second(time: &CapturedAt) -> CapturedAt {
    CapturedAt { local: time.local.with_nanosecond(0).unwrap_or(time.local), ..time.clone() }
}

/// The smallest distance between two times under what is known of their zones.
fn gap(a: &CapturedAt, b: &CapturedAt) -> TimeDelta {
    let mut smallest = (a.local - b.local).abs();
    let (utc_a, utc_b) = (utc(a), utc(b));
    let pairs = match (utc_a, utc_b) {
        (Some(first), Some(second)) => [Some((first, second)), None],
        // The one without a zone may be in UTC, as times of videos and of some XMP are.
        (Some(first), None) => [Some((first, b.local)), None],
        (None, Some(second)) => [None, Some((a.local, second))],
        (None, None) => [None, None],
    };
    for (first, second) in pairs.into_iter().flatten() {
        smallest = smallest.min((first - second).abs());
    }
    smallest
}

fn utc(time: &CapturedAt) -> Option<NaiveDateTime> {
    time.local.checked_sub_signed(TimeDelta::minutes(i64::from(time.offset_minutes?)))
}

/// Whether two wall clocks differ by a whole zone shift, to within `tolerance`.
fn whole_zones_apart(a: &CapturedAt, b: &CapturedAt, tolerance: TimeDelta) -> bool {
    let apart = (a.local - b.local).abs();
    let steps = (apart.num_seconds() + ZONE_STEP_S / 2) / ZONE_STEP_S;
    let shift = TimeDelta::seconds(steps * ZONE_STEP_S);
    steps > 0 && shift.num_seconds() <= WIDEST_ZONE_S && (apart - shift).abs() <= tolerance
}

/// Whether both were taken with one camera.
fn cameras(a: &Candidate<'_>, b: &Candidate<'_>) -> Verdict {
    let (make_a, make_b) = (a.facts.make.as_deref().map(maker), b.facts.make.as_deref().map(maker));
    if let (Some(first), Some(second)) = (&make_a, &make_b)
        && first != second
    {
        return Verdict::Different;
    }
    let (Some(model_a), Some(model_b)) = (&a.facts.model, &b.facts.model) else { return Verdict::Unknown };
    let (plain_a, plain_b) = (plain(model_a, make_a.as_deref()), plain(model_b, make_b.as_deref()));
    if plain_a.is_empty() || plain_b.is_empty() {
        return Verdict::Unknown;
    }
    if plain_a.contains(&plain_b) || plain_b.contains(&plain_a) {
        return Verdict::Same;
    }
    // Phones give themselves a trade name in the JPEG and a type number in the DNG.
    if is_phone(a) && is_phone(b) { Verdict::Unknown } else { Verdict::Different }
}

/// The first word of a maker's name: `NIKON CORPORATION` and `Nikon` are one.
fn maker(make: &str) -> String {
    make.split(|character: char| !character.is_alphanumeric()).find(|word| !word.is_empty()).unwrap_or_default().to_lowercase()
}

fn plain(model: &str, maker: Option<&str>) -> String {
    let letters: String = model.to_lowercase().chars().filter(|character| character.is_alphanumeric()).collect();
    match maker.and_then(|maker| letters.strip_prefix(maker)) {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => letters,
    }
}

/// Whether two pictures have one shape, turned or not.
fn shapes(a: &Candidate<'_>, b: &Candidate<'_>) -> Verdict {
    let ratio = |candidate: &Candidate<'_>| {
        let (width, height) = (candidate.facts.width_px?, candidate.facts.height_px?);
        (width > 0 && height > 0).then(|| f64::from(width.max(height)) / f64::from(width.min(height)))
    };
    match (ratio(a), ratio(b)) {
        (Some(first), Some(second)) if (first / second - 1.0).abs() <= 0.02 => Verdict::Same,
        (Some(_), Some(_)) => Verdict::Different,
        _ => Verdict::Unknown,
    }
}

/// The longer side in pixels.
pub(super) fn longest_side(candidate: &Candidate<'_>) -> Option<u32> {
    Some(candidate.facts.width_px?.max(candidate.facts.height_px?))
}

fn shows_editing(version: &Candidate<'_>, original: &Candidate<'_>) -> bool {
    let resized = match (longest_side(version), longest_side(original)) {
        (Some(first), Some(second)) => first.min(second) * 10 < first.max(second).saturating_mul(9),
        _ => false,
    };
    let cropped = !is_raw(original) && shapes(version, original) == Verdict::Different;
    let fraction = |candidate: &Candidate<'_>| candidate.facts.captured_at.as_ref().map_or(0, |time| time.local.nanosecond());
    let same_fraction = fraction(version) != 0 && fraction(original) != 0;
    resized || cropped || same_fraction || (has_editor(version) && version.facts.software != original.facts.software)
}

/// Whether a program for editing wrote the file, as against a camera's firmware.
pub(super) fn has_editor(candidate: &Candidate<'_>) -> bool {
    const EDITORS: &[&str] = &[
        "lightroom",
        "photoshop",
        "darktable",
        "rawtherapee",
        "digikam",
        "gimp",
        "capture one",
        "dxo",
        "affinity",
        "snapseed",
        "luminar",
        "on1",
        "photolab",
        "picasa",
        "viewnx",
        "nx studio",
        "nx-d",
        "digital photo professional",
        "silkypix",
        "acdsee",
        "topaz",
        "art ",
        "ansel",
    ];
    let Some(software) = &candidate.facts.software else { return false };
    let software = software.to_lowercase();
    EDITORS.iter().any(|editor| software.contains(editor))
}

/// Whether a phone made the file.
pub(super) fn is_phone(candidate: &Candidate<'_>) -> bool {
    const PHONES: &[&str] = &[
        "google",
        "apple",
        "samsung",
        "huawei",
        "honor",
        "xiaomi",
        "redmi",
        "oneplus",
        "oppo",
        "vivo",
        "motorola",
        "lg",
        "lge",
        "htc",
        "nokia",
        "hmd",
        "realme",
        "asus",
        "zte",
        "nothing",
        "fairphone",
        "essential",
    ];
    candidate.facts.make.as_deref().is_some_and(|make| PHONES.contains(&maker(make).as_str()))
}

fn is_phone_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    ["img_", "mvimg_", "pxl_"].iter().any(|start| lower.starts_with(start))
}

fn is_raw(candidate: &Candidate<'_>) -> bool {
    candidate.format.kind() == FileKind::Raw
}
