//! Which file is an image's sidecar: one that is there already, or how a new one is to be called.
//!
//! `IMG.CR2.xmp` (darktable, digiKam) says whose it is. `IMG.xmp` (Adobe) does not: with `IMG.CR2` and `IMG.JPG` beside it, Lightroom means
//! the RAW. So it has one owner among its namesakes, RAW first, whatever images they are filed under; the others get the long name.
//! darktable's `IMG_01.CR2.xmp` is another development of `IMG.CR2`, and is never taken for the picture's own: no name made here can be
//! that of a duplicate unless the picture itself is called so.

use std::ffi::{OsStr, OsString};

use crate::models::{FileFormat, FileKind, FileRole, edit::SidecarNaming, nfc};

/// A file of the folder that has pixels.
#[derive(Debug, Clone)]
pub struct Pictured<'a> {
    /// Its exact name.
    pub name: &'a OsStr,
    /// By its extension.
    pub format: FileFormat,
    /// Its role, if it is a file of the image in question.
    pub own: Option<FileRole>,
}

/// The file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its exact name in the folder.
    pub name: OsString,
    /// Whether it is there.
    pub exists: bool,
}

/// Chooses the sidecar of an image. `pictured` are the pictures and videos of its folder, `sidecars` the names that end in `.xmp` there and
/// belong to no other image. `None` when none of the image's files is there.
pub fn choose(pictured: &[Pictured<'_>], sidecars: &[OsString], naming: SidecarNaming) -> Option<Choice> {
    let mut own: Vec<&Pictured<'_>> = pictured.iter().filter(|file| file.own.is_some()).collect();
    own.sort_by_key(|file| (file.own.map(role_rank), kind_rank(file.format), file.name));
    let owner = *own.first()?;
    let there = |name: &str| find(sidecars, name).map(|name| Choice { name, exists: true });
    for file in &own {
        let long = there(&format!("{}.xmp", nfc(file.name)));
        let found = long.or_else(|| short_name(file, pictured).and_then(|short| there(&short)));
        if found.is_some() {
            return found;
        }
    }
    let short = (naming == SidecarNaming::Stem).then(|| short_os_name(owner, pictured)).flatten();
    let mut long = owner.name.to_owned();
    long.push(".xmp");
    Some(Choice { name: short.unwrap_or(long), exists: false })
}

fn role_rank(role: FileRole) -> u8 {
    match role {
        FileRole::Original => 0,
        FileRole::Cover => 1,
        FileRole::Export => 2,
        FileRole::Unknown => 3,
        FileRole::Derivative => 4,
        // The moving part of a live photo.
        FileRole::Sidecar => 5,
    }
}

fn kind_rank(format: FileFormat) -> u8 {
    match format.kind() {
        FileKind::Raw => 0,
        FileKind::Picture => 1,
        FileKind::Video => 2,
        FileKind::Sidecar => 3,
    }
}

/// `IMG.xmp`, if the file owns that name among its namesakes.
fn short_name(file: &Pictured<'_>, pictured: &[Pictured<'_>]) -> Option<String> {
    short_os_name(file, pictured).map(|name| nfc(&name))
}

fn short_os_name(file: &Pictured<'_>, pictured: &[Pictured<'_>]) -> Option<OsString> {
    let own_stem = stem(file.name)?;
    let rank = |file: &Pictured<'_>| (kind_rank(file.format), nfc(file.name));
    let namesakes = pictured.iter().filter(|other| stem(other.name).is_some_and(|stem| same_name(&nfc(&stem), &nfc(&own_stem))));
    let owns = namesakes.map(rank).min()? == rank(file);
    let mut name = own_stem;
    name.push(".xmp");
    owns.then_some(name)
}

fn stem(name: &OsStr) -> Option<OsString> {
    std::path::Path::new(name).file_stem().map(OsStr::to_owned)
}

/// A name of the folder, exact before one that differs in case.
fn find(names: &[OsString], wanted: &str) -> Option<OsString> {
    let exact = names.iter().find(|name| nfc(name) == wanted);
    exact.or_else(|| names.iter().find(|name| same_name(&nfc(name), wanted))).cloned()
}

fn same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(own: &[(&str, FileRole)], others: &[&str], sidecars: &[&str], naming: SidecarNaming) -> (String, bool) {
        let format = |name: &str| FileFormat::from_extension(name.rsplit_once('.').unwrap().1).unwrap();
        let mut pictured: Vec<Pictured<'_>> =
            own.iter().map(|(name, role)| Pictured { name: OsStr::new(*name), format: format(name), own: Some(*role) }).collect();
        pictured.extend(others.iter().map(|name| Pictured { name: OsStr::new(*name), format: format(name), own: None }));
        let sidecars: Vec<OsString> = sidecars.iter().map(OsString::from).collect();
        let choice = choose(&pictured, &sidecars, naming).unwrap();
        (choice.name.into_string().unwrap(), choice.exists)
    }

    const RAW_AND_JPEG: &[(&str, FileRole)] = &[("IMG.JPG", FileRole::Export), ("IMG.CR2", FileRole::Original)];

    #[test]
    fn a_name_that_is_there_wins_over_any_policy() {
        for naming in [SidecarNaming::WholeName, SidecarNaming::Stem] {
            assert_eq!(chosen(RAW_AND_JPEG, &[], &["IMG.xmp"], naming), ("IMG.xmp".into(), true));
            assert_eq!(chosen(RAW_AND_JPEG, &[], &["IMG.CR2.xmp"], naming), ("IMG.CR2.xmp".into(), true));
            assert_eq!(chosen(RAW_AND_JPEG, &[], &["IMG.xmp", "IMG.CR2.xmp"], naming), ("IMG.CR2.xmp".into(), true));
            assert_eq!(chosen(RAW_AND_JPEG, &[], &["IMG.JPG.xmp"], naming), ("IMG.JPG.xmp".into(), true));
            assert_eq!(chosen(RAW_AND_JPEG, &[], &["img.cr2.XMP"], naming), ("img.cr2.XMP".into(), true));
        }
    }

    #[test]
    fn a_new_one_is_called_as_the_vault_wants() {
        assert_eq!(chosen(RAW_AND_JPEG, &[], &[], SidecarNaming::WholeName), ("IMG.CR2.xmp".into(), false));
        assert_eq!(chosen(RAW_AND_JPEG, &[], &[], SidecarNaming::Stem), ("IMG.xmp".into(), false));
    }

    #[test]
    fn the_short_name_has_one_owner_among_three() {
        let jpeg: &[(&str, FileRole)] = &[("IMG.JPG", FileRole::Original)];
        for naming in [SidecarNaming::WholeName, SidecarNaming::Stem] {
            assert_eq!(chosen(jpeg, &["IMG.CR2", "IMG.PNG"], &["IMG.xmp"], naming), ("IMG.JPG.xmp".into(), false));
            assert_eq!(chosen(jpeg, &["IMG.PNG", "IMG.MOV"], &["IMG.xmp"], naming), ("IMG.xmp".into(), true));
        }
    }

    #[test]
    fn darktables_duplicates_are_not_the_picture() {
        let raw: &[(&str, FileRole)] = &[("IMG.CR2", FileRole::Original)];
        assert_eq!(chosen(raw, &[], &["IMG_01.CR2.xmp"], SidecarNaming::WholeName), ("IMG.CR2.xmp".into(), false));
        let numbered: &[(&str, FileRole)] = &[("IMG_01.CR2", FileRole::Original)];
        assert_eq!(chosen(numbered, &["IMG.CR2"], &["IMG_01.CR2.xmp"], SidecarNaming::WholeName), ("IMG_01.CR2.xmp".into(), true));
    }

    #[test]
    fn a_live_photos_still_owns_the_sidecar() {
        let live: &[(&str, FileRole)] = &[("IMG_1.MOV", FileRole::Sidecar), ("IMG_1.HEIC", FileRole::Original)];
        assert_eq!(chosen(live, &[], &[], SidecarNaming::WholeName), ("IMG_1.HEIC.xmp".into(), false));
        assert_eq!(chosen(live, &[], &["IMG_1.xmp"], SidecarNaming::WholeName), ("IMG_1.xmp".into(), true));
    }
}
