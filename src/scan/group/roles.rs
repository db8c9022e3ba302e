//! What each file is to its moment, and which file leads.

use std::collections::{HashMap, HashSet};

use super::{
    Candidate, Group, Member,
    evidence::{has_editor, is_phone, longest_side},
    moments::{Moments, compare_files, rank},
    names::{Mark, base_name, possible_bases},
    sidecars::Link,
};
use crate::models::{FileFormat, FileKind, FileRole};

/// A camera's JPEG this large is good enough to look at, however large the RAW is.
const GOOD_PX: u32 = 2000;

/// The files of one image before roles are given.
pub(super) struct Parts {
    /// Pictures and videos.
    pub(super) media: Vec<usize>,
    /// Sidecars, with the file each speaks about and how directly.
    pub(super) sidecars: Vec<(usize, Option<(usize, Link)>)>,
    /// A person put these together.
    pub(super) pinned: bool,
}

/// Makes the group; `parts.media` is not empty.
pub(super) fn assign(files: &[Candidate<'_>], moments: &Moments, parts: Parts) -> Group {
    let is_still = |file: usize| files[file].format.kind() != FileKind::Video;
    let mark = |file: usize| moments.names[file].as_ref().map_or(Mark::Plain, |name| name.mark);
    let by_name = |a: &usize, b: &usize| compare_files(&files[*a], &files[*b]);
    let stems: HashSet<&str> = parts.media.iter().filter_map(|&file| Some(&*moments.names[file].as_ref()?.key)).collect();
    let original = parts
        .media
        .iter()
        .copied()
        .min_by(|a, b| {
            let key = |file: usize| {
                let version = if parts.pinned { is_named_after(&stems, moments, file) } else { moments.is_version(file) };
                (
                    !is_still(file),
                    version,
                    mark(file) == Mark::Edited,
                    mark(file) != Mark::Original,
                    mark(file) == Mark::Cover,
                    rank(&files[file]),
                )
            };
            key(*a).cmp(&key(*b)).then_with(|| by_name(a, b))
        })
        .expect("a group has at least one picture or video");
    let mut members: Vec<Member> =
        parts.media.iter().map(|&file| Member { file, role: role_beside(files, moments, &parts, original, file), about: None }).collect();
    members.extend(parts.sidecars.iter().map(|&(file, owner)| Member {
        file,
        role: FileRole::Sidecar,
        about: owner.map(|(owner, _)| owner),
    }));
    let links: HashMap<usize, Link> = parts.sidecars.iter().filter_map(|&(file, owner)| Some((file, owner?.1))).collect();
    members.sort_by(|a, b| {
        let key = |member: &Member| {
            let order = match member.role {
                FileRole::Original => 0,
                FileRole::Cover => 1,
                FileRole::Export => 2,
                FileRole::Derivative => 3,
                FileRole::Unknown => 4,
                FileRole::Sidecar => 5,
            };
            (order, member.about != Some(original), precedence(files[member.file].format), links.get(&member.file))
        };
        key(a).cmp(&key(b)).then_with(|| by_name(&a.file, &b.file))
    });
    let primary = if files[original].readable {
        original
    } else {
        let spare = members.iter().find(|member| member.role != FileRole::Sidecar && files[member.file].readable);
        spare.map_or(original, |member| member.file)
    };
    Group {
        base_name: base_name(files[original].name).into_owned(),
        rule: rule(files, moments, &parts, &members),
        picture: picture(files, &members, original),
        members,
        primary,
    }
}

/// Whether the file's stem extends another stem of its image.
fn is_named_after(stems: &HashSet<&str>, moments: &Moments, file: usize) -> bool {
    let bases = moments.names[file].as_ref().map(|name| possible_bases(&name.key)).unwrap_or_default();
    bases.iter().any(|(base, _)| stems.contains(base.as_str()))
}

/// Which sidecar to believe first.
fn precedence(format: FileFormat) -> u8 {
    match format {
        FileFormat::Xmp => 0,
        FileFormat::Pp3 => 1,
        FileFormat::Aae => 2,
        FileFormat::Thm => 3,
        FileFormat::TakeoutJson => 4,
        _ => 5,
    }
}

fn role_beside(files: &[Candidate<'_>], moments: &Moments, parts: &Parts, original: usize, file: usize) -> FileRole {
    if file == original {
        return FileRole::Original;
    }
    let (candidate, first) = (&files[file], &files[original]);
    let video = candidate.format.kind() == FileKind::Video;
    if video && first.format.kind() != FileKind::Video {
        return FileRole::Sidecar;
    }
    if parts.pinned {
        return role_by_decree(files, moments, original, file);
    }
    if moments.is_back_of_scan(file) {
        return FileRole::Unknown;
    }
    if moments.is_version(file) {
        return FileRole::Derivative;
    }
    beside_original(moments, candidate, first, file)
}

fn beside_original(moments: &Moments, candidate: &Candidate<'_>, first: &Candidate<'_>, file: usize) -> FileRole {
    let name = moments.names[file].as_ref();
    if name.is_some_and(|name| name.mark == Mark::Cover) {
        return FileRole::Cover;
    }
    if candidate.format == first.format {
        return FileRole::Derivative;
    }
    let pixel = name.is_some_and(|name| name.pixel);
    let rendering = matches!(candidate.format, FileFormat::Jpeg | FileFormat::Heif);
    let phone_raw = first.format == FileFormat::Dng && (pixel || is_phone(first) || is_phone(candidate));
    if phone_raw && rendering && !has_editor(candidate) { FileRole::Cover } else { FileRole::Export }
}

/// Where a person merged files, names say what they can and the rest is left open.
fn role_by_decree(files: &[Candidate<'_>], moments: &Moments, original: usize, file: usize) -> FileRole {
    let (Some(first), Some(name)) = (&moments.names[original], &moments.names[file]) else { return FileRole::Unknown };
    if name.mark == Mark::Edited {
        return FileRole::Derivative;
    }
    if name.key == first.key {
        return beside_original(moments, &files[file], &files[original], file);
    }
    let raw = files[file].format.kind() == FileKind::Raw;
    if !raw && possible_bases(&name.key).iter().any(|(base, _)| **base == *first.key) { FileRole::Derivative } else { FileRole::Unknown }
}

fn rule(files: &[Candidate<'_>], moments: &Moments, parts: &Parts, members: &[Member]) -> &'static str {
    if parts.pinned {
        return "person";
    }
    let media = members.iter().filter(|member| moments.names[member.file].is_some());
    let (mut raw, mut rendering, mut moving, mut version, mut scan, mut count) = (false, false, false, false, false, 0);
    for member in media {
        count += 1;
        raw |= files[member.file].format.kind() == FileKind::Raw;
        rendering |= matches!(member.role, FileRole::Cover | FileRole::Export);
        moving |= member.role == FileRole::Sidecar;
        version |= member.role == FileRole::Derivative;
        scan |= moments.is_part_of_scan(member.file);
    }
    let pixel = moments.names[members[0].file].as_ref().is_some_and(|name| name.pixel);
    let takeout = parts.sidecars.iter().any(|(file, _)| files[*file].format == FileFormat::TakeoutJson);
    match () {
        () if count > 1 && pixel => "pixel",
        () if raw && rendering => "raw+jpeg",
        () if moving => "live-photo",
        () if scan => "scan",
        () if version => "derivative",
        () if count > 1 => "same-stem",
        () if takeout => "takeout",
        () if !parts.sidecars.is_empty() => "sidecar",
        () => "single",
    }
}

/// The cheapest good picture of the moment: the camera's own rendering where it is large enough, else the original; for a video the
/// camera's thumbnail, else the video.
fn picture(files: &[Candidate<'_>], members: &[Member], original: usize) -> Option<usize> {
    let first = &files[original];
    if first.format.kind() == FileKind::Video {
        let thumbnail = members.iter().find(|member| files[member.file].format == FileFormat::Thm && files[member.file].readable);
        return Some(thumbnail.map_or(original, |member| member.file));
    }
    let is_still = |member: &&Member| matches!(files[member.file].format.kind(), FileKind::Raw | FileKind::Picture);
    let readable: Vec<&Member> = members.iter().filter(is_still).filter(|member| files[member.file].readable).collect();
    if first.format.kind() == FileKind::Raw {
        let good = |member: &&&Member| {
            let candidate = &files[member.file];
            let rendering = matches!(member.role, FileRole::Cover | FileRole::Export)
                && matches!(candidate.format, FileFormat::Jpeg | FileFormat::Heif);
            let enough = |side: u32| side >= GOOD_PX || longest_side(first).is_some_and(|raw_side| side >= raw_side.div_ceil(2));
            rendering && longest_side(candidate).is_some_and(enough)
        };
        let jpeg_first = |member: &&&Member| (files[member.file].format != FileFormat::Jpeg, member.role);
        if let Some(member) = readable.iter().filter(good).min_by_key(jpeg_first) {
            return Some(member.file);
        }
    }
    if first.readable {
        return Some(original);
    }
    Some(readable.first().map_or(original, |member| member.file))
}
