//! From files to moments: pictures of one stem that agree, their moving parts, and the versions made of them.

use std::{cmp::Ordering, collections::HashMap};

use super::{
    Candidate,
    evidence::{is_part_of_scan, is_version, stills_belong_together, video_goes_with},
    names::{Mark, MediaName, Suffix, possible_bases},
    time_in_name::states_a_second,
};
use crate::models::{FileFormat, FileKind};

/// No honest stem has more files than this; what lies beyond stays an image of its own, so that a hostile folder costs no more than a large one.
const MOST_RIVALS: usize = 64;

/// Some pictures and videos of one moment.
#[derive(Debug)]
pub(super) struct Moment {
    /// The file the others were compared with.
    anchor: usize,
    /// Indices into the folder, in the order of [`compare_files`].
    pub(super) files: Vec<usize>,
    /// A person said so.
    pub(super) pinned: bool,
    /// The moment this one is a version of; its key is shorter, so chains end.
    version_of: Option<usize>,
}

/// The moments of a folder and the ways to find them.
#[derive(Debug, Default)]
pub(super) struct Moments {
    pub(super) all: Vec<Moment>,
    /// The moment of each file of the folder; `None` for sidecars without a pin.
    pub(super) of_file: Vec<Option<usize>>,
    /// The name of each picture and video.
    pub(super) names: Vec<Option<MediaName>>,
    /// Moments that hold a file of this key, best first.
    by_key: HashMap<Box<str>, Vec<usize>>,
}

/// The order that makes grouping independent of how the folder was listed.
pub(super) fn compare_files(a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
    let known = |candidate: &Candidate<'_>| {
        (candidate.size_bytes, candidate.modified_at, candidate.fingerprint, candidate.format, candidate.readable)
    };
    a.name
        .cmp(b.name)
        .then_with(|| known(a).cmp(&known(b)))
        .then_with(|| a.pin.cmp(&b.pin))
        .then_with(|| if a.facts == b.facts { Ordering::Equal } else { format!("{:?}", a.facts).cmp(&format!("{:?}", b.facts)) })
}

/// Smaller is closer to the sensor: which of two pictures of one moment is the original.
pub(super) fn rank(candidate: &Candidate<'_>) -> u8 {
    use FileFormat::{Avif, Dng, Heif, Jpeg, Jxl, Png, Tiff, Webp};
    match candidate.format {
        Dng => 1,
        format if format.kind() == FileKind::Raw => 0,
        Heif => 2,
        // A camera writes JPEG; without one behind it (scans, screenshots) the lossless file came first.
        Jpeg if candidate.facts.make.is_some() => 3,
        Tiff => 4,
        Png => 5,
        Jpeg => 6,
        Jxl => 7,
        Avif => 8,
        Webp => 9,
        format if format.kind() == FileKind::Video => 10,
        _ => 11,
    }
}

impl Moments {
    /// Finds the moments. `order` lists the folder's files by [`compare_files`].
    pub(super) fn find(files: &[Candidate<'_>], order: &[usize]) -> Self {
        let mut moments = Self { of_file: vec![None; files.len()], names: vec![None; files.len()], ..Self::default() };
        for &file in order {
            if matches!(files[file].format.kind(), FileKind::Raw | FileKind::Picture | FileKind::Video) {
                moments.names[file] = Some(MediaName::parse(files[file].name));
            }
        }
        moments.gather_pinned(files, order);
        moments.gather_stills(files, order);
        moments.index_keys(order, None);
        moments.gather_videos(files, order);
        moments.link_versions(files);
        moments
    }

    /// Moments that hold a file of this key (lower-case stem).
    pub(super) fn with_key(&self, key: &str) -> &[usize] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }

    /// The moment at the end of the chain of versions.
    pub(super) fn root(&self, mut moment: usize) -> usize {
        while let Some(earlier) = self.all[moment].version_of {
            moment = earlier;
        }
        moment
    }

    /// How the file extends the scan of a print that it belongs to: `_a` or `_b` behind its name.
    fn scan_mark(&self, file: usize) -> Option<&str> {
        let moment = &self.all[self.of_file[file]?];
        let front = &self.name(self.all[moment.version_of?].anchor).key;
        self.names[file].as_ref()?.key.strip_prefix(&**front).filter(|mark| matches!(*mark, "_a" | "_b"))
    }

    /// Whether the file is the enhanced copy or the back of a scanned print.
    pub(super) fn is_part_of_scan(&self, file: usize) -> bool {
        self.scan_mark(file).is_some()
    }

    /// Whether the file is the back of a scanned print.
    pub(super) fn is_back_of_scan(&self, file: usize) -> bool {
        self.scan_mark(file) == Some("_b")
    }

    /// Whether the file was made from another moment's picture, or is marked as an edited copy.
    pub(super) fn is_version(&self, file: usize) -> bool {
        let edited = self.names[file].as_ref().is_some_and(|name| name.mark == Mark::Edited);
        edited || self.of_file[file].is_some_and(|moment| self.all[moment].version_of.is_some())
    }

    fn name(&self, file: usize) -> &MediaName {
        self.names[file].as_ref().expect("only pictures and videos are asked for their names")
    }

    fn add(&mut self, files: Vec<usize>, pinned: bool) -> usize {
        let id = self.all.len();
        for &file in &files {
            self.of_file[file] = Some(id);
        }
        self.all.push(Moment { anchor: files[0], files, pinned, version_of: None });
        id
    }

    fn join(&mut self, file: usize, moment: usize) {
        self.of_file[file] = Some(moment);
        self.all[moment].files.push(file);
    }

    fn gather_pinned(&mut self, files: &[Candidate<'_>], order: &[usize]) {
        let mut by_pin: HashMap<&str, usize> = HashMap::new();
        for &file in order {
            let Some(pin) = files[file].pin else { continue };
            match by_pin.get(pin) {
                Some(&moment) => self.join(file, moment),
                None => {
                    by_pin.insert(pin, self.add(vec![file], true));
                }
            }
        }
    }

    fn gather_stills(&mut self, files: &[Candidate<'_>], order: &[usize]) {
        let mut buckets: HashMap<&str, usize> = HashMap::new();
        let mut stems: Vec<Vec<usize>> = Vec::new();
        for &file in order {
            let kind = files[file].format.kind();
            if self.of_file[file].is_some() || !matches!(kind, FileKind::Raw | FileKind::Picture) {
                continue;
            }
            let bucket = *buckets.entry(&*self.name(file).key).or_insert(stems.len());
            if bucket == stems.len() {
                stems.push(Vec::new());
            }
            stems[bucket].push(file);
        }
        for mut bucket in stems {
            // Edited copies find their original, files without a time find one with: so these come later.
            bucket.sort_by_key(|&file| (self.name(file).mark == Mark::Edited, files[file].facts.captured_at.is_none(), rank(&files[file])));
            let first_of_bucket = self.all.len();
            for file in bucket {
                let rivals = first_of_bucket..self.all.len().min(first_of_bucket + MOST_RIVALS);
                match rivals.into_iter().find(|&moment| self.still_joins(files, file, moment)) {
                    Some(moment) => self.join(file, moment),
                    None => {
                        self.add(vec![file], false);
                    }
                }
            }
        }
    }

    fn still_joins(&self, files: &[Candidate<'_>], file: usize, moment: usize) -> bool {
        let pixel = self.name(file).pixel;
        let moment = &self.all[moment];
        let mut twins = moment.files.iter().take(MOST_RIVALS).filter(|&&other| files[other].format == files[file].format);
        stills_belong_together(&files[file], &files[moment.anchor], pixel)
            && twins.all(|&twin| stills_belong_together(&files[file], &files[twin], pixel))
    }

    /// Adds moments to the index of keys: all of them, or one.
    fn index_keys(&mut self, order: &[usize], only: Option<usize>) {
        for &file in order {
            let (Some(name), Some(moment)) = (&self.names[file], self.of_file[file]) else { continue };
            if only.is_some_and(|only| only != moment) {
                continue;
            }
            let moments = self.by_key.entry(name.key.clone()).or_default();
            if !moments.contains(&moment) && moments.len() < MOST_RIVALS {
                moments.push(moment);
            }
        }
        if only.is_none() {
            // What a person set apart is asked last, and the moment with the best file first.
            for moments in self.by_key.values_mut() {
                moments.sort_by_key(|&moment| (self.all[moment].pinned, moment));
            }
        }
    }

    fn gather_videos(&mut self, files: &[Candidate<'_>], order: &[usize]) {
        let mut by_content_id: HashMap<&str, Vec<usize>> = HashMap::new();
        for &file in order {
            let is_still = matches!(files[file].format.kind(), FileKind::Raw | FileKind::Picture);
            if let (true, Some(id)) = (is_still, &files[file].facts.content_id) {
                let stills = by_content_id.entry(id).or_default();
                if stills.len() < MOST_RIVALS {
                    stills.push(file);
                }
            }
        }
        for &file in order {
            if self.of_file[file].is_some() || files[file].format.kind() != FileKind::Video {
                continue;
            }
            let twins: &[usize] = files[file].facts.content_id.as_deref().and_then(|id| by_content_id.get(id)).map_or(&[], Vec::as_slice);
            match self.home_of_video(files, file, twins) {
                Some(moment) => self.join(file, moment),
                None => {
                    let moment = self.add(vec![file], false);
                    self.index_keys(&[file], Some(moment));
                }
            }
        }
    }

    /// The moment a video moves in, `twins` being the stills with its content identifier.
    fn home_of_video(&self, files: &[Candidate<'_>], video: usize, twins: &[usize]) -> Option<usize> {
        let key = &*self.name(video).key;
        let plain_key = key.strip_suffix("_hevc").unwrap_or(key);
        let namesake = twins.iter().find(|&&still| [key, plain_key].contains(&&*self.name(still).key));
        if let Some(&still) = namesake.or(twins.first()) {
            return self.of_file[still];
        }
        let same_stem = self.with_key(key).iter().map(|&moment| (moment, false));
        let hevc = if plain_key == key { &[][..] } else { self.with_key(plain_key) };
        same_stem
            .chain(hevc.iter().map(|&moment| (moment, true)))
            .find(|&(moment, hevc)| self.video_joins(files, video, moment, hevc))
            .map(|(moment, _)| moment)
    }

    fn video_joins(&self, files: &[Candidate<'_>], video: usize, moment: usize, hevc: bool) -> bool {
        let moment = &self.all[moment];
        let is_still = |file: &&usize| matches!(files[**file].format.kind(), FileKind::Raw | FileKind::Picture);
        let mut stills = moment.files.iter().take(MOST_RIVALS).filter(is_still).peekable();
        if stills.peek().is_some() {
            return stills.any(|&still| video_goes_with(&files[video], &files[still], hevc));
        }
        // Two containers of one clip, or two clips that share a counter?
        !moment.pinned && files[moment.anchor].format != files[video].format && {
            let (a, b) = (&files[moment.anchor].facts, &files[video].facts);
            a.captured_at.is_some() && b.captured_at.is_some() && stills_belong_together(&files[moment.anchor], &files[video], false)
        }
    }

    fn link_versions(&mut self, files: &[Candidate<'_>]) {
        for id in 0..self.all.len() {
            if self.all[id].pinned {
                continue;
            }
            let version = self.all[id].anchor;
            let key = &self.name(version).key;
            let found = possible_bases(key).into_iter().find_map(|(base, suffix)| {
                let rivals = self.with_key(&base);
                if rivals.is_empty() {
                    return None;
                }
                let needs_proof = states_a_second(&base);
                rivals.iter().copied().find(|&rival| self.extends(files, id, rival, &base, suffix, needs_proof))
            });
            self.all[id].version_of = found;
        }
    }

    fn extends(&self, files: &[Candidate<'_>], id: usize, rival: usize, base: &str, suffix: Suffix, needs_proof: bool) -> bool {
        let (moment, original) = (&self.all[id], &self.all[rival]);
        // By its anchor's name, so that a chain of versions always leads to shorter names and ends.
        if id == rival || original.pinned || *self.name(original.anchor).key != *base {
            return false;
        }
        let version = &files[moment.anchor];
        let both_videos = |file: usize| (files[file].format.kind() == FileKind::Video) == (version.format.kind() == FileKind::Video);
        if matches!(suffix, Suffix::ScanEnhanced | Suffix::ScanBack) {
            let other = if suffix == Suffix::ScanEnhanced { "_b" } else { "_a" };
            let all_three = !self.with_key(&format!("{base}{other}")).is_empty();
            return is_part_of_scan(version, &files[original.anchor], all_three);
        }
        let words = suffix == Suffix::Word;
        let mut originals = original.files.iter().take(MOST_RIVALS).filter(|&&file| both_videos(file) && !self.is_marked_edited(file));
        originals.any(|&file| is_version(version, &files[file], words, needs_proof))
    }

    fn is_marked_edited(&self, file: usize) -> bool {
        self.name(file).mark == Mark::Edited
    }
}
