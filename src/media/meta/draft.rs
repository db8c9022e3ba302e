//! What the parts of a file say, before one value is chosen for each fact. The order of precedence stands here and nowhere else.

use super::{
    dates,
    exif::{self, ExifTags},
    iptc::IptcTags,
    labels, place, text,
    xmp::{Key, XmpTags},
};
use crate::models::{CapturedAt, Facts, Orientation};

/// Everything read from one file.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) exif: ExifTags,
    pub(super) xmp: XmpTags,
    pub(super) iptc: IptcTags,
    /// Size from the decoder's own headers, in pixels.
    pub(super) size: Option<(u32, u32)>,
    /// Another sign of a video inside than XMP's.
    pub(super) motion_photo: bool,
    /// The way up that the container states and its decoder obeys; EXIF's is then only a remark.
    pub(super) container_orientation: Option<Orientation>,
    /// When a video without EXIF says it was taken, and which tag says so.
    pub(super) video_time: Option<(dates::Moment, &'static str)>,
    /// Where the EXIF structure lies: place and length in bytes.
    pub(super) exif_block: Option<(u64, usize)>,
    /// There is metadata here that only exiv2 unpacks.
    pub(super) second_opinion: bool,
}

impl Draft {
    /// Chooses. Words: XMP, then IPTC, then EXIF (people write with programs that write XMP); what the camera knows: EXIF, then XMP.
    pub(super) fn into_facts(self, reader: &str) -> Facts {
        let captured_at = self.captured_at();
        let Self { exif, xmp, iptc, size, motion_photo, container_orientation, .. } = self;
        let xmp_text = |key| xmp.first(key).map(str::to_owned);
        let positive = |key| xmp.number(key).filter(|number| *number > 0.0);
        let mut keywords = Vec::new();
        text::add_new(&mut keywords, xmp.all(Key::Subject).map(str::to_owned));
        text::add_new(&mut keywords, iptc.keywords);
        if keywords.is_empty() {
            keywords = exif.xp_keywords;
        }
        let described = |text: Option<String>| text.and_then(text::meaningful);
        let orientation = exif.orientation.or_else(|| Orientation::try_from(xmp.first(Key::Orientation)?.parse::<u8>().ok()?).ok());
        let says_so = |key| xmp.first(key).is_some_and(|text| text == "1" || text.eq_ignore_ascii_case("true"));
        Facts {
            captured_at,
            make: exif.make.or_else(|| xmp_text(Key::Make)),
            model: exif.model.or_else(|| xmp_text(Key::Model)),
            lens: exif
                .lens
                .or_else(|| xmp_text(Key::AuxLens))
                .or_else(|| xmp_text(Key::LensModel))
                .filter(|lens| exif::lens_is_named(lens)),
            iso: exif.iso.or_else(|| xmp_iso(&xmp)),
            f_number: exif.f_number.or_else(|| positive(Key::FNumber)),
            exposure_s: exif.exposure_s.or_else(|| positive(Key::ExposureTime)),
            focal_length_mm: exif.focal_length_mm.or_else(|| positive(Key::FocalLength)),
            gps: exif.gps.or_else(|| place::from_xmp(&xmp)),
            orientation: container_orientation.or(orientation),
            decoder_turns: container_orientation.is_some(),
            width_px: size.map(|(width, _)| width),
            height_px: size.map(|(_, height)| height),
            title: described(xmp_text(Key::Title)).or_else(|| described(iptc.title)).or_else(|| described(exif.xp_title)),
            description: described(xmp_text(Key::Description))
                .or_else(|| described(iptc.caption))
                .or_else(|| described(exif.description))
                .or_else(|| described(exif.xp_comment)),
            rating: xmp_rating(&xmp).or_else(|| labels::is_rejected(&xmp).then_some(-1)).or(exif.rating),
            pick: labels::pick(&xmp),
            color_label: labels::color_label(&xmp),
            place: labels::place(&xmp),
            keywords,
            hierarchical_keywords: hierarchy(&xmp),
            content_id: exif.content_id,
            software: exif.software.or_else(|| xmp_text(Key::CreatorTool)).or_else(|| xmp_text(Key::Software)),
            motion_photo: motion_photo || says_so(Key::MotionPhoto) || says_so(Key::MicroVideo),
            cleared: Vec::new(),
            sidecar_for: None,
            reader: reader.to_owned(),
            version: 0,
        }
    }

    /// The shutter's time before the file's: EXIF's original, what people or programs say the picture's time is, then when the file came to be.
    fn captured_at(&self) -> Option<CapturedAt> {
        let xmp_time = |key| self.xmp.first(key).and_then(dates::parse);
        let xmp_original = || {
            let moment = xmp_time(Key::DateTimeOriginal)?;
            Some(moment.with_subseconds(self.xmp.first(Key::SubSecTimeOriginal)).with_offset(self.xmp.first(Key::OffsetTimeOriginal)))
        };
        let exif = &self.exif;
        let found = exif.original.map(|moment| (moment, "EXIF:DateTimeOriginal"));
        let found = found.or(self.video_time);
        let found = found.or_else(|| xmp_original().map(|moment| (moment, "XMP:DateTimeOriginal")));
        let found = found.or_else(|| xmp_time(Key::DateCreated).map(|moment| (moment, "XMP:DateCreated")));
        let found = found.or_else(|| self.iptc.created.map(|moment| (moment, "IPTC:DateCreated")));
        let found = found.or_else(|| exif.digitized.map(|moment| (moment, "EXIF:CreateDate")));
        let found = found.or_else(|| xmp_time(Key::DateTimeDigitized).map(|moment| (moment, "XMP:DateTimeDigitized")));
        let found = found.or_else(|| xmp_time(Key::CreateDate).map(|moment| (moment, "XMP:CreateDate")));
        let found = found.or_else(|| exif.modified.map(|moment| (moment, "EXIF:ModifyDate")));
        found.map(|(moment, source)| moment.captured(source))
    }
}

fn xmp_iso(xmp: &XmpTags) -> Option<u32> {
    let number = xmp.number(Key::Iso).or_else(|| xmp.number(Key::Sensitivity))?;
    (1.0..4e9).contains(&number).then_some(number as u32)
}

/// -1..=5, or Windows' percent.
fn xmp_rating(xmp: &XmpTags) -> Option<i8> {
    if let Some(stars) = xmp.number(Key::Rating).map(f64::round) {
        return (-1.0..=5.0).contains(&stars).then_some(stars as i8);
    }
    let percent = xmp.number(Key::RatingPercent)?;
    Some(match percent {
        percent if percent < 1.0 => 0,
        percent if percent < 13.0 => 1,
        percent if percent < 38.0 => 2,
        percent if percent < 63.0 => 3,
        percent if percent < 88.0 => 4,
        _ => 5,
    })
}

/// Lightroom's tree with `|`, then digiKam's and Windows' with `/`; one mark for all.
fn hierarchy(xmp: &XmpTags) -> Vec<String> {
    let mut found = Vec::new();
    text::add_new(&mut found, xmp.all(Key::HierarchicalSubject).map(str::to_owned));
    // digiKam writes a `/` within a level as `\`.
    let slashed = |path: &str| path.replace('/', "|").replace('\\', "/");
    text::add_new(&mut found, xmp.all(Key::TagsList).map(slashed));
    text::add_new(&mut found, xmp.all(Key::LastKeyword).map(slashed));
    text::add_new(&mut found, xmp.all(Key::CatalogSets).map(str::to_owned));
    found
}

/// Fills what `facts` lacks from `other`, a second reader's; says whether anything came of it.
pub(super) fn fill(facts: &mut Facts, other: Facts) -> bool {
    let before = facts.clone();
    macro_rules! fill {
        ($($field:ident),+) => { $(facts.$field = facts.$field.take().or(other.$field);)+ };
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
        software,
        sidecar_for
    );
    if facts.width_px.is_none() || facts.height_px.is_none() {
        (facts.width_px, facts.height_px) = (other.width_px, other.height_px);
    }
    facts.orientation = facts.orientation.or(other.orientation);
    if facts.keywords.is_empty() {
        facts.keywords = other.keywords;
    }
    if facts.hierarchical_keywords.is_empty() {
        facts.hierarchical_keywords = other.hierarchical_keywords;
    }
    facts.motion_photo |= other.motion_photo;
    *facts != before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::meta::xmp;

    fn from_xmp(attributes: &str) -> Draft {
        let packet = format!(
            r#"<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0"><rdf:Description {attributes}/></rdf:RDF>"#
        );
        Draft { xmp: xmp::read(packet.as_bytes()).0, ..Draft::default() }
    }

    #[test]
    fn the_shutters_time_wins_over_the_files() {
        let mut draft = from_xmp(r#"xmp:CreateDate="2003-01-01" photoshop:DateCreated="2002-01-01""#);
        draft.exif.modified = dates::parse("2005:01:01 00:00:00");
        let source = |draft: &Draft| draft.captured_at().unwrap().source;
        assert_eq!(source(&draft), "XMP:DateCreated");
        draft.exif.original = dates::parse("2001:01:01 00:00:00");
        assert_eq!(source(&draft), "EXIF:DateTimeOriginal");
        let mut draft = from_xmp(r#"xmp:CreateDate="2003-01-01""#);
        draft.exif.modified = dates::parse("2005:01:01 00:00:00");
        assert_eq!(source(&draft), "XMP:CreateDate");
    }

    #[test]
    fn ratings_are_stars_however_they_are_written() {
        let rating = |attributes| from_xmp(attributes).into_facts("").rating;
        assert_eq!(rating(r#"xmp:Rating="-1""#), Some(-1));
        assert_eq!(rating(r#"xmp:Rating="4.6""#), Some(5));
        assert_eq!(rating(r#"xmp:Rating="7""#), None);
        assert_eq!(rating(r#"MicrosoftPhoto:Rating="75""#), Some(4));
        assert_eq!(rating(r#"xmp:Rating="1" MicrosoftPhoto:Rating="99""#), Some(1));
    }

    #[test]
    fn places_in_xmp_are_read_in_both_forms() {
        let place =
            from_xmp(r#"exif:GPSLatitude="59,54.5S" exif:GPSLongitude="10,30,36E" exif:GPSAltitude="123/10" exif:GPSAltitudeRef="1""#)
                .into_facts("")
                .gps
                .unwrap();
        assert!((place.latitude_deg + 59.908_333).abs() < 1e-5 && (place.longitude_deg - 10.51).abs() < 1e-9, "{place:?}");
        assert_eq!(place.altitude_m, Some(-12.3));
        assert_eq!(from_xmp(r#"exif:GPSLatitude="99,0N" exif:GPSLongitude="1,0E""#).into_facts("").gps, None);
    }
}
