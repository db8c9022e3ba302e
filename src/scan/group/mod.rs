//! Which files of a folder are one moment, and what each of them is to it.
//!
//! Pure functions over plain values: one folder in, a partition of its files out. Names propose, evidence (capture time, camera,
//! Apple's content identifier, a person's pin) decides; two files that merely share a name stay two images.
//! Every file lands in exactly one group or among the loose ones, whatever the order they come in, and a folder of a million files
//! takes one sort and a few hash look-ups a file.

use chrono::NaiveDateTime;

use crate::models::{Facts, FileFormat, FileRole};

/// One file of a folder, as grouping sees it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// File name in NFC, with its extension.
    pub name: &'a str,
    /// What the walk took the file for.
    pub format: FileFormat,
    /// What the file itself says.
    pub facts: &'a Facts,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Modification time, UTC.
    pub modified_at: NaiveDateTime,
    /// Content fingerprint, where the file was read.
    pub fingerprint: Option<[u8; 16]>,
    /// A person's word: files with the same pin are one image.
    pub pin: Option<&'a str>,
    /// False for a file that is empty or broken.
    pub readable: bool,
}

/// The files of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name of the moment: the stem of its original.
    pub base_name: String,
    /// Why these files are one image: `person`, `pixel`, `raw+jpeg`, `live-photo`, `derivative`, `same-stem`, `takeout`, `sidecar`, `single`.
    pub rule: &'static str,
    /// The files: original first; among sidecars the one to believe first comes first.
    pub members: Vec<Member>,
    /// Index into the folder's slice of the file to make the picture from.
    pub picture: Option<usize>,
    /// Index into the folder's slice of the file whose facts lead.
    pub primary: usize,
}

/// One file of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Index into the folder's slice.
    pub file: usize,
    /// What the file is to the image.
    pub role: FileRole,
}

/// A folder, grouped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grouping {
    /// The images.
    pub groups: Vec<Group>,
    /// Indices of files that belong to no image: orphan sidecars, album metadata.
    pub loose: Vec<usize>,
}

/// Groups all files of one folder.
pub fn group_folder(files: &[Candidate<'_>]) -> Grouping {
    let mut grouping = Grouping::default();
    for (file, candidate) in files.iter().enumerate() {
        grouping.groups.push(Group {
            base_name: candidate.name.to_owned(),
            rule: "single",
            members: vec![Member { file, role: FileRole::Original }],
            picture: Some(file),
            primary: file,
        });
    }
    grouping
}

/// The local wall-clock time a file name states, from its stem.
pub fn captured_from_name(_stem: &str) -> Option<NaiveDateTime> {
    None
}

/// What follows `base_name` in `file_name`, extension included: `.CR2`, `-Edit.jpg`, `.RAW-01.COVER.jpg`. The extension alone when
/// the name does not begin with it (`IMG_E4120.JPG` of `IMG_4120`).
pub fn suffix_of(base_name: &str, file_name: &str) -> String {
    let _ = base_name;
    file_name.rsplit_once('.').map_or_else(String::new, |(_, extension)| format!(".{extension}"))
}

/// The format a file name stands for, by extension and by the odd names of phones (`X.MP`, `X.MP~2` are the video of a motion photo).
pub fn format_of_name(name: &str) -> Option<FileFormat> {
    name.rsplit_once('.').and_then(|(_, extension)| FileFormat::from_extension(extension))
}
