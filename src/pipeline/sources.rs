//! Which of an image's files its pictures are made from, and whether such a file is there as the database knows it.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use crate::{
    db::pictures::PictureFile,
    models::{FileFormat, FileKind, FileRole, Orientation, SAME_TIME_NS},
};

/// What became of a source file since the scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Presence {
    /// As the scan saw it.
    AsScanned(PathBuf),
    /// Changed or gone from a disk that is there: the next scan will say what it is now.
    Changed,
    /// The disk is not there.
    Unreachable,
}

/// Files with pixels, the best to start with first: the chosen one, then developed pictures, then RAW, then videos; edits and
/// thumbnails beside a video only when nothing else is there.
pub(super) fn in_order(mut sources: Vec<PictureFile>) -> Vec<PictureFile> {
    sources.retain(|source| rank(source).is_some());
    sources.sort_by_key(|source| (rank(source), source.id));
    sources
}

fn rank(source: &PictureFile) -> Option<u8> {
    let by_kind = match source.format.kind() {
        FileKind::Picture => 1,
        FileKind::Raw => 2,
        FileKind::Video if source.role != FileRole::Sidecar => 3,
        _ if source.format == FileFormat::Thm => 5,
        _ => return None,
    };
    Some(match source.role {
        _ if source.is_chosen => 0,
        FileRole::Derivative => 4,
        _ => by_kind,
    })
}

/// Looks whether the file is as it was scanned.
pub(super) fn presence(source: &PictureFile) -> Presence {
    let path = source.path.on(&source.mount);
    let Ok(metadata) = fs::metadata(&path) else {
        return if fs::read_dir(&source.mount).is_ok_and(|mut entries| entries.next().is_some()) {
            Presence::Changed
        } else {
            Presence::Unreachable
        };
    };
    let modified_at_ns = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
    let is_same = i64::try_from(metadata.len()) == Ok(source.size_bytes) && modified_at_ns.abs_diff(source.modified_at_ns) <= SAME_TIME_NS;
    if is_same { Presence::AsScanned(path) } else { Presence::Changed }
}

/// How the decoded pixels must be turned: as the file's own metadata states, unless the decoder did it.
pub(super) fn orientation(source: &PictureFile) -> Option<Orientation> {
    Orientation::after_decoder(source.facts.orientation, source.facts.decoder_turns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Facts, FileId, RelPath, VaultId};

    fn source(id: i64, name: &str, role: FileRole) -> PictureFile {
        let (_, extension) = name.rsplit_once('.').unwrap();
        PictureFile {
            id: FileId(id),
            vault: VaultId(1),
            mount: PathBuf::from("/nowhere"),
            path: RelPath::from_bytes(name.as_bytes()).unwrap(),
            format: FileFormat::from_extension(extension).unwrap(),
            role,
            size_bytes: 3,
            modified_at_ns: 0,
            facts: Facts::default(),
            is_chosen: false,
        }
    }

    #[test]
    fn cheap_and_true_sources_come_first_and_words_never() {
        let mut chosen = source(9, "a_edit.jpg", FileRole::Derivative);
        chosen.is_chosen = true;
        let files = vec![
            source(1, "a.xmp", FileRole::Sidecar),
            source(2, "a.cr2", FileRole::Original),
            source(3, "a.jpg", FileRole::Export),
            source(4, "a.mov", FileRole::Sidecar),
            source(5, "b.mp4", FileRole::Original),
            source(6, "b.thm", FileRole::Sidecar),
            source(7, "a-2.jpg", FileRole::Derivative),
            chosen,
        ];
        let order: Vec<i64> = in_order(files).iter().map(|source| source.id.0).collect();
        assert_eq!(order, [9, 3, 2, 5, 7, 6]);
    }

    #[test]
    fn an_absent_disk_is_told_from_a_changed_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = source(1, "a.jpg", FileRole::Original);
        assert_eq!(presence(&file), Presence::Unreachable);
        file.mount = dir.path().to_owned();
        assert_eq!(presence(&file), Presence::Unreachable, "an empty mount point is no disk");
        fs::write(dir.path().join("b.jpg"), "x").unwrap();
        assert_eq!(presence(&file), Presence::Changed);
        let path = dir.path().join("a.jpg");
        fs::write(&path, "abc").unwrap();
        assert_eq!(presence(&file), Presence::Changed, "another time");
        file.modified_at_ns = fs::metadata(&path).unwrap().mtime() * 1_000_000_000;
        assert_eq!(presence(&file), Presence::AsScanned(path));
        file.size_bytes = 4;
        assert_eq!(presence(&file), Presence::Changed, "another size");
    }
}
