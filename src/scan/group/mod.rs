//! Which files of a folder are one moment, and what each of them is to it.
//!
//! Pure functions over plain values: one folder in, a partition of its files out. Names propose, evidence (capture time, camera,
//! Apple's content identifier, a person's pin) decides; two files that merely share a name stay two images.
//! Every file lands in exactly one group or among the loose ones, whatever the order they come in, and a folder of a million files
//! takes one sort and a few hash look-ups a file.

mod evidence;
mod moments;
mod names;
mod roles;
mod sidecars;
mod time_in_name;

use chrono::NaiveDateTime;

pub(crate) use self::names::without_strays;
use self::{moments::Moments, roles::Parts, sidecars::Owners};
pub use self::{
    names::{format_of_name, stem},
    time_in_name::{captured_from_name, utc_from_name},
};
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
    /// Why these files are one image: `person`, `pixel`, `raw+jpeg`, `live-photo`, `scan`, `derivative`, `same-stem`, `takeout`, `sidecar`,
    /// `single`.
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
    /// For a sidecar: the file (index into the folder's slice) it speaks about, where its name says so.
    pub about: Option<usize>,
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
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by(|&a, &b| moments::compare_files(&files[a], &files[b]));
    let moments = Moments::find(files, &order);
    let owners = Owners::new(files, &order, &moments);

    // One slot a moment: those that are versions of another leave theirs empty.
    let mut parts: Vec<Parts> =
        moments.all.iter().map(|moment| Parts { media: Vec::new(), sidecars: Vec::new(), pinned: moment.pinned }).collect();
    let mut loose = Vec::new();
    for &file in &order {
        if moments.names[file].is_some() {
            let moment = moments.of_file[file].expect("every picture and video has a moment");
            parts[moments.root(moment)].media.push(file);
            continue;
        }
        let owner = owners.owner(file);
        let home = moments.of_file[file].or_else(|| owner.and_then(|(owner, _)| moments.of_file[owner]));
        match home {
            Some(moment) => {
                let home = moments.root(moment);
                let here = |owner: usize| moments.of_file[owner].is_some_and(|moment| moments.root(moment) == home);
                parts[home].sidecars.push((file, owner.filter(|(owner, _)| here(*owner))));
            }
            None => loose.push(file),
        }
    }

    let mut groups = Vec::with_capacity(parts.len());
    for part in parts {
        if part.media.is_empty() {
            // A pin that is left with sidecars alone shows nothing.
            loose.extend(part.sidecars.into_iter().map(|(file, _)| file));
        } else {
            groups.push(roles::assign(files, &moments, part));
        }
    }
    groups.sort_by(|a, b| moments::compare_files(&files[a.members[0].file], &files[b.members[0].file]));
    Grouping { groups, loose }
}
