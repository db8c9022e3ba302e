//! One image, summed up from its files: the values that the database and the tables both show.

use super::{
    group::Group,
    merge,
    read::{FolderScan, ScannedFile},
};
use crate::models::{CapturedAt, Facts, FileFormat, FileKind, FileRole, Orientation, PictureKey, suffix_of};

/// Ratio of width to height, in thousandths, of a picture whose size nobody knows.
const UNKNOWN_RATIO_MILLI: i32 = 1500;

/// What an image shows, whoever asks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moment {
    pub(crate) base_name: String,
    pub(crate) rule: &'static str,
    pub(crate) captured_at: CapturedAt,
    /// Of the whole image: the original's, its companions', its sidecars'.
    pub(crate) facts: Facts,
    /// Upright, of the best file.
    pub(crate) size_px: Option<(u32, u32)>,
    pub(crate) ratio_milli: i32,
    pub(crate) file_count: usize,
    pub(crate) total_size_bytes: u64,
    pub(crate) suffixes: Vec<String>,
    pub(crate) has_raw: bool,
    pub(crate) has_jpeg: bool,
    pub(crate) has_sidecar: bool,
    pub(crate) is_video: bool,
    /// Index of the file that pictures are made from, and the name of what is made.
    pub(crate) picture: Option<(usize, PictureKey)>,
}

impl Moment {
    /// Sums up every group of a folder.
    pub(crate) fn all(scan: &FolderScan) -> Vec<Self> {
        let candidates = scan.candidates();
        scan.grouping.groups.iter().map(|group| Self::with_facts(scan, group, merge::group_facts(group, &candidates))).collect()
    }

    fn with_facts(scan: &FolderScan, group: &Group, facts: Facts) -> Self {
        let file = |index: usize| &scan.files[index];
        let primary = file(group.primary);
        let mut suffixes: Vec<String> = group.members.iter().map(|member| suffix_of(&group.base_name, &file(member.file).name)).collect();
        suffixes.sort_unstable();
        suffixes.dedup();
        let any = |test: &dyn Fn(FileFormat, FileRole) -> bool| {
            group.members.iter().any(|member| test(file(member.file).entry.format, member.role))
        };
        let size_px = upright_size(primary)
            .or_else(|| group.picture.and_then(|picture| upright_size(file(picture))))
            .or_else(|| group.members.iter().find_map(|member| upright_size(file(member.file))));
        let stem = primary.name.rsplit_once('.').map_or(primary.name.as_str(), |(stem, _)| stem);
        Self {
            base_name: group.base_name.clone(),
            rule: group.rule,
            captured_at: merge::captured_at(&facts, stem, primary.modified_at()),
            size_px,
            ratio_milli: size_px.map_or(UNKNOWN_RATIO_MILLI, ratio_milli),
            file_count: group.members.len(),
            total_size_bytes: group.members.iter().map(|member| file(member.file).entry.size_bytes).sum(),
            suffixes,
            has_raw: any(&|format, _| format.kind() == FileKind::Raw),
            has_jpeg: any(&|format, role| format == FileFormat::Jpeg && role != FileRole::Sidecar),
            has_sidecar: any(&|format, _| format.kind() == FileKind::Sidecar),
            is_video: primary.entry.format.kind() == FileKind::Video,
            picture: group.picture.and_then(|picture| Some((picture, picture_key(file(picture))?))),
            facts,
        }
    }
}

/// The size of a file's picture as it stands upright.
fn upright_size(file: &ScannedFile) -> Option<(u32, u32)> {
    let facts = &file.reading.facts;
    let (width, height) = (facts.width_px.filter(|px| *px > 0)?, facts.height_px.filter(|px| *px > 0)?);
    Some(facts.orientation.unwrap_or(Orientation::UPRIGHT).upright_size(width, height))
}

/// Kept within what a row of a gallery can show, so that one slit scan does not break the page.
fn ratio_milli((width_px, height_px): (u32, u32)) -> i32 {
    let ratio = u64::from(width_px) * 1000 / u64::from(height_px);
    i32::try_from(ratio.clamp(100, 20_000)).expect("clamped to what fits")
}

fn picture_key(file: &ScannedFile) -> Option<PictureKey> {
    let fingerprint = file.reading.fingerprint?;
    Some(PictureKey::of(&fingerprint, file.entry.modified_at_ns, file.reading.facts.orientation))
}

/// How a camera is shown: maker and model, without the maker said twice.
pub(crate) fn camera_name(make: Option<&str>, model: Option<&str>) -> Option<String> {
    let make = make.map(str::trim).filter(|make| !make.is_empty());
    let model = model.map(str::trim).filter(|model| !model.is_empty());
    let (make, model) = match (make, model) {
        (None, None) => return None,
        (Some(one), None) | (None, Some(one)) => return Some(one.to_owned()),
        (Some(make), Some(model)) => (make, model),
    };
    let brand = make.split([' ', ',']).next().unwrap_or(make);
    if model.to_lowercase().starts_with(&brand.to_lowercase()) { Some(model.to_owned()) } else { Some(format!("{brand} {model}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_not_named_twice() {
        let named = |make, model| camera_name(make, model).unwrap();
        assert_eq!(named(Some("Canon"), Some("Canon EOS R6")), "Canon EOS R6");
        assert_eq!(named(Some("NIKON CORPORATION"), Some("NIKON D90")), "NIKON D90");
        assert_eq!(named(Some("OLYMPUS IMAGING CORP."), Some("E-P3")), "OLYMPUS E-P3");
        assert_eq!(named(Some("Apple"), Some("iPhone 7")), "Apple iPhone 7");
        assert_eq!(named(None, Some("X100")), "X100");
        assert_eq!(camera_name(Some(" "), None), None);
    }

    #[test]
    fn a_ratio_never_breaks_a_page() {
        assert_eq!(ratio_milli((3000, 2000)), 1500);
        assert_eq!(ratio_milli((100_000, 1)), 20_000);
        assert_eq!(ratio_milli((1, 100_000)), 100);
    }
}
