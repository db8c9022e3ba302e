//! A group as it is shown: its photos side by side, each with the same facts, and which of those differ.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Local;

use crate::{
    db::duplicates::{Apart, Group, Kind, Member, MemberFile},
    models::{ImageId, size_words},
    web::{
        edits::number_of_stars,
        page::{self, photos},
        tiles,
    },
};

/// Photos of a decision that are shown.
const MOST_OF_DECISION: usize = 8;

/// A fact of a photo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) value: String,
    /// Another photo of the group has another value.
    pub(super) differs: bool,
}

/// A file of a photo.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileView {
    pub(super) path: String,
    /// `CR2, 24.3 MB`.
    pub(super) words: String,
    /// Another photo of the group has the same.
    pub(super) is_shared: bool,
    pub(super) is_missing: bool,
}

/// A photo of a group.
#[derive(Debug)]
pub(super) struct PhotoView {
    pub(super) id: ImageId,
    pub(super) name: String,
    pub(super) alt: String,
    pub(super) src: Option<String>,
    pub(super) is_picked: bool,
    pub(super) facts: Vec<Fact>,
    pub(super) files: Vec<FileView>,
}

/// A group.
#[derive(Debug)]
pub(super) struct GroupView {
    pub(super) heading: String,
    pub(super) words: String,
    pub(super) photos: Vec<PhotoView>,
}

/// A decision, with photos of it.
#[derive(Debug)]
pub(super) struct ApartView {
    pub(super) id: i64,
    pub(super) words: String,
    /// Who and when.
    pub(super) by: String,
    /// Address, thumbnail and name.
    pub(super) photos: Vec<(String, Option<String>, String)>,
}

impl ApartView {
    pub(super) fn new(apart: &Apart, members: &BTreeMap<ImageId, (Member, Vec<MemberFile>)>) -> Self {
        let shown = apart.images.iter().filter_map(|image| members.get(image)).take(MOST_OF_DECISION);
        let photo = |(member, _): &(Member, Vec<MemberFile>)| {
            let src = member.picture_key.as_deref().map(|key| page::thumbnail_src(member.id, key));
            (format!("/images/{}", member.id), src, member.base_name.clone())
        };
        Self {
            id: apart.id.0,
            words: photos(i64::try_from(apart.images.len()).unwrap_or(i64::MAX)),
            by: format!("{}, {}", apart.author, apart.decided_at.with_timezone(&Local).format("%-d %b %Y, %H:%M")),
            photos: shown.map(photo).collect(),
        }
    }
}

/// Dresses a group; `None` where fewer than two of it are left.
pub(super) fn group_view(kind: Kind, group: &Group, members: &BTreeMap<ImageId, (Member, Vec<MemberFile>)>) -> Option<GroupView> {
    let shown: Vec<&(Member, Vec<MemberFile>)> = group.images.iter().filter_map(|image| members.get(image)).collect();
    if shown.len() < 2 {
        return None;
    }
    let (shared, excess) = shared(&shown);
    let mut facts: Vec<Vec<Fact>> = shown.iter().map(|(member, files)| facts(member, files)).collect();
    for at in 0..facts[0].len() {
        let differs = facts.iter().any(|of| of[at].value != facts[0][at].value);
        facts.iter_mut().for_each(|of| of[at].differs = differs);
    }
    let photo = |((member, files), facts): (&&(Member, Vec<MemberFile>), Vec<Fact>)| PhotoView {
        id: member.id,
        name: member.base_name.clone(),
        alt: tiles::alt(member.is_video, member.captured_at, &member.base_name),
        src: member.picture_key.as_deref().map(|key| page::thumbnail_src(member.id, key)),
        is_picked: member.pick == "picked",
        facts,
        files: files.iter().map(|file| file_view(file, &shared)).collect(),
    };
    let count = photos(i64::try_from(group.count).unwrap_or(i64::MAX));
    let newest = shown.iter().map(|(member, _)| member.captured_at).max()?;
    let oldest = shown.iter().map(|(member, _)| member.captured_at).min()?;
    let (heading, words) = match kind {
        Kind::Copies => (format!("{count} with the same file"), format!("{} too much", size_words(excess))),
        Kind::Bursts => (format!("A burst of {count}"), format!("within {}", span_words((newest - oldest).num_seconds()))),
        Kind::Alike => (format!("{count} that look alike"), format!("likeness {:.2} or more", (group.cosine * 100.0).floor() / 100.0)),
    };
    let left = group.count - group.images.len();
    let words = if left > 0 { format!("{words}; {left} more follow when these are decided") } else { words };
    Some(GroupView { heading, words, photos: shown.iter().zip(facts).map(photo).collect() })
}

/// `4 s`, `12 min`.
fn span_words(seconds: i64) -> String {
    match seconds {
        ..=1 => "a second".to_owned(),
        2..=119 => format!("{seconds} seconds"),
        _ => format!("{} minutes", (seconds + 30) / 60),
    }
}

/// Contents that several of these photos have, and the bytes that would be free if each were there once.
fn shared<'a>(shown: &[&'a (Member, Vec<MemberFile>)]) -> (BTreeSet<&'a [u8]>, i64) {
    let mut holders: BTreeMap<&[u8], (BTreeSet<ImageId>, i64, i64)> = BTreeMap::new();
    for file in shown.iter().flat_map(|(_, files)| files).filter(|file| !file.is_sidecar && !file.is_missing) {
        let Some(content) = file.fingerprint.as_deref() else { continue };
        let (images, count, size) = holders.entry(content).or_default();
        images.insert(file.image);
        *count += 1;
        *size = file.size_bytes;
    }
    let several = || holders.iter().filter(|(_, (images, ..))| images.len() > 1);
    (several().map(|(content, _)| *content).collect(), several().map(|(_, (_, count, size))| (count - 1) * size).sum())
}

fn facts(member: &Member, files: &[MemberFile]) -> Vec<Fact> {
    let fact = |label, value: String| Fact { label, value, differs: false };
    let formats: BTreeSet<String> =
        files.iter().filter(|file| !file.is_sidecar && !file.is_missing).map(|file| file.format.to_uppercase()).collect();
    let pixels = match (member.width_px, member.height_px) {
        (Some(width), Some(height)) => format!("{width} × {height} px"),
        _ => "not known".to_owned(),
    };
    vec![
        fact("Taken", member.captured_at.format("%-d %b %Y, %H:%M:%S").to_string()),
        fact("Camera", member.camera.clone().unwrap_or_else(|| "not known".to_owned())),
        fact("Pixels", pixels),
        fact("Format", if formats.is_empty() { "none".to_owned() } else { formats.into_iter().collect::<Vec<_>>().join(" + ") }),
        fact("Size", size_words(member.total_size_bytes)),
        fact("Rating", rating_words(member.rating, &member.pick)),
    ]
}

fn rating_words(rating: Option<i16>, pick: &str) -> String {
    let stars = number_of_stars(rating.and_then(|rating| i8::try_from(rating).ok()));
    if pick == "picked" { format!("{stars}, picked") } else { stars }
}

fn file_view(file: &MemberFile, shared: &BTreeSet<&[u8]>) -> FileView {
    let parts = [file.vault.as_str(), file.folder.as_str(), file.name.as_str()];
    FileView {
        path: parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"),
        words: format!("{}, {}", file.format.to_uppercase(), size_words(file.size_bytes)),
        is_shared: !file.is_sidecar && !file.is_missing && file.fingerprint.as_deref().is_some_and(|content| shared.contains(content)),
        is_missing: file.is_missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: i64, size: i64, rating: Option<i16>) -> (ImageId, (Member, Vec<MemberFile>)) {
        let member = Member {
            id: ImageId(id),
            base_name: format!("IMG_{id}"),
            captured_at: "2019-08-03T12:33:00".parse().unwrap(),
            camera: Some("Canon EOS R6".to_owned()),
            width_px: Some(6000),
            height_px: Some(4000),
            total_size_bytes: size,
            rating,
            pick: "none".to_owned(),
            is_video: false,
            picture_key: None,
        };
        let file = MemberFile {
            image: ImageId(id),
            vault: "nas".to_owned(),
            folder: String::new(),
            name: format!("IMG_{id}.JPG"),
            format: "jpeg".to_owned(),
            is_sidecar: false,
            is_missing: false,
            size_bytes: size,
            fingerprint: Some(vec![1]),
        };
        let sidecar = MemberFile { is_sidecar: true, fingerprint: Some(vec![2]), ..file.clone() };
        (ImageId(id), (member, vec![file, sidecar]))
    }

    #[test]
    fn what_differs_is_told_and_what_is_shared_is_counted() {
        let members: BTreeMap<_, _> = [member(1, 5_000_000, Some(3)), member(2, 5_000_000, None)].into();
        let group = |images: &[i64]| Group { images: images.iter().copied().map(ImageId).collect(), count: images.len(), cosine: 1.0 };
        let view = group_view(Kind::Copies, &group(&[1, 2]), &members).unwrap();
        assert_eq!((view.heading.as_str(), view.words.as_str()), ("2 photos with the same file", "5.0 MB too much"));
        let differ: Vec<_> = view.photos[0].facts.iter().filter(|fact| fact.differs).map(|fact| fact.value.as_str()).collect();
        assert_eq!(differ, ["3 stars"]);
        let files: Vec<_> = view.photos[1].files.iter().map(|file| (file.path.as_str(), file.words.as_str(), file.is_shared)).collect();
        assert_eq!(files, [("nas/IMG_2.JPG", "JPEG, 5.0 MB", true), ("nas/IMG_2.JPG", "JPEG, 5.0 MB", false)]);
        assert!(group_view(Kind::Copies, &group(&[1, 9]), &members).is_none(), "one of it is gone");
    }

    #[test]
    fn a_span_reads_as_people_say_it() {
        assert_eq!([0, 1, 2, 90, 300].map(span_words), ["a second", "a second", "2 seconds", "90 seconds", "5 minutes"]);
    }
}
