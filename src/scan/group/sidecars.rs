//! Which picture or video a sidecar speaks about.
//!
//! The conventions are older than any standard: `IMG.CR2.xmp` (darktable, digiKam), `IMG.xmp` (Lightroom, Capture One),
//! `IMG_01.CR2.xmp` (a darktable duplicate of `IMG.CR2`, unless `IMG_01.CR2` is there), `MVI.THM`, `IMG_O1234.AAE`, `GL010048.LRV`, and Google Takeout's
//! `IMG.jpg.supplemental-metadata.json` with its cut names and wandering counters.

use super::{
    Candidate,
    moments::{Moments, rank},
    names::{self, MediaName},
};
use crate::models::{FileFormat, FileKind};

/// What Takeout puts between a picture's name and `.json`, whole or cut short.
const TAKEOUT_INFIX: &str = "supplemental-metadata";
/// Takeout cuts names so that with `.json` they have this many characters fewer than 52.
const TAKEOUT_CUT_CHARS: usize = 46;
/// As many namesakes as are looked at.
const MOST_RIVALS: usize = 64;

/// How directly a sidecar's name says whose it is; smaller is more direct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Link {
    /// `IMG.CR2.xmp`.
    FullName,
    /// `IMG.xmp`.
    Stem,
    /// A cut or changed name, or a picture whose own file is gone.
    Guess,
    /// `IMG_01.CR2.xmp`: another development of the same picture.
    Duplicate,
}

/// The names of a folder's pictures and videos, to find the owners of sidecars.
pub(super) struct Owners<'a> {
    files: &'a [Candidate<'a>],
    moments: &'a Moments,
    /// Whole names in lower case, sorted: asked for whole, and by their start where Takeout cut them. Empty in a folder without sidecars.
    names: Vec<(Box<str>, usize)>,
}

impl<'a> Owners<'a> {
    /// Indexes the folder. `order` as for [`Moments::find`].
    pub(super) fn new(files: &'a [Candidate<'a>], order: &[usize], moments: &'a Moments) -> Self {
        let mut names = Vec::new();
        if files.iter().any(|file| file.format.kind() == FileKind::Sidecar) {
            let media = order.iter().copied().filter(|&file| moments.names[file].is_some());
            names.extend(media.map(|file| (files[file].name.to_lowercase().into_boxed_str(), file)));
            names.sort_by(|a: &(Box<str>, usize), b| a.0.cmp(&b.0));
        }
        Self { files, moments, names }
    }

    /// The picture or video that `sidecar` speaks about.
    pub(super) fn owner(&self, sidecar: usize) -> Option<(usize, Link)> {
        let candidate = &self.files[sidecar];
        let stem = names::stem(candidate.name);
        match candidate.format {
            FileFormat::TakeoutJson => self.owner_of_takeout(candidate, stem),
            FileFormat::Aae => self.owner_of_aae(candidate, stem),
            FileFormat::Lrv | FileFormat::Xml => self.owner_of_camera_companion(candidate, stem),
            _ => self.owner_by_name(candidate, stem),
        }
    }

    fn owner_by_name(&self, sidecar: &Candidate<'_>, stem: &str) -> Option<(usize, Link)> {
        if let Some(owner) = self.named(stem) {
            return Some((owner, Link::FullName));
        }
        if let Some(owner) = self.of_stem(sidecar, stem) {
            return Some((owner, Link::Stem));
        }
        // `IMG.CR2.xmp` without `IMG.CR2`: a duplicate's number before the extension, or a picture that lost its RAW.
        let (inner, extension) = stem.rsplit_once('.')?;
        names::format_of_name(stem)?;
        let duplicate = inner.rsplit_once('_').filter(|(_, number)| number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(owner) = duplicate.and_then(|(base, _)| self.named(&format!("{base}.{extension}"))) {
            return Some((owner, Link::Duplicate));
        }
        Some((self.of_stem(sidecar, inner)?, Link::Guess))
    }

    /// GoPro's small twin and Sony's clip data are named after a video in ways of their own.
    fn owner_of_camera_companion(&self, sidecar: &Candidate<'_>, stem: &str) -> Option<(usize, Link)> {
        if sidecar.format == FileFormat::Lrv
            && let Some(found) = self.owner_by_name(sidecar, stem)
        {
            return Some(found);
        }
        let stems = names::owners_of_companion(sidecar.name, sidecar.format);
        stems.iter().find_map(|stem| Some((self.of_stem(sidecar, stem)?, Link::Stem)))
    }

    fn owner_of_aae(&self, sidecar: &Candidate<'_>, stem: &str) -> Option<(usize, Link)> {
        if let Some(found) = self.owner_by_name(sidecar, stem) {
            return Some(found);
        }
        // `IMG_O1234.AAE` keeps the original's adjustments, `IMG_E1234.AAE` the edit's.
        let lower = stem.to_lowercase();
        let number = lower.strip_prefix("img_o").or_else(|| lower.strip_prefix("img_e"))?;
        Some((self.of_stem(sidecar, &format!("img_{number}"))?, Link::Guess))
    }

    fn owner_of_takeout(&self, sidecar: &Candidate<'_>, stem: &str) -> Option<(usize, Link)> {
        let (uncounted, counter) = split_counter(stem);
        let plain = without_infix(uncounted);
        for name in [Some(stem), Some(uncounted), plain].into_iter().flatten() {
            // The counter wanders: `IMG(1).jpg` has `IMG.jpg(1).json` or `IMG.jpg.supplemental-metadata(1).json`.
            let name = if name.len() < stem.len() { with_counter(name, counter) } else { name.to_owned() };
            if let Some(owner) = self.named(&name) {
                return Some((owner, Link::FullName));
            }
        }
        if let Some(owner) = self.of_stem(sidecar, stem) {
            return Some((owner, Link::Stem));
        }
        if counter.is_none()
            && let Some(title) = &sidecar.facts.sidecar_for
            && let Some(owner) = self.named(title).or_else(|| self.named(&as_takeout_writes(title)))
        {
            return Some((owner, Link::Guess));
        }
        let start = plain.unwrap_or(uncounted);
        let cut = uncounted.chars().count() + counter.map_or(0, |counter| counter.len()) >= TAKEOUT_CUT_CHARS;
        cut.then(|| self.starting_with(start, counter, sidecar.facts.sidecar_for.as_deref())).flatten().map(|owner| (owner, Link::Guess))
    }

    /// The file of this whole name, exact case first.
    fn named(&self, name: &str) -> Option<usize> {
        let key = name.to_lowercase();
        let mut namesakes =
            self.starting_at(&key).iter().take(MOST_RIVALS).take_while(|(known, _)| **known == *key).map(|(_, file)| *file).peekable();
        let first = *namesakes.peek()?;
        Some(namesakes.find(|&file| self.files[file].name == name).unwrap_or(first))
    }

    /// The names from `key` on.
    fn starting_at(&self, key: &str) -> &[(Box<str>, usize)] {
        &self.names[self.names.partition_point(|(name, _)| **name < *key)..]
    }

    /// The best owner among the files of this stem.
    fn of_stem(&self, sidecar: &Candidate<'_>, stem: &str) -> Option<usize> {
        // The name is a stem already: one more known extension is left alone, phone marks come off.
        let key = MediaName::parse(&format!("{stem}.jpg")).key;
        let rivals =
            self.moments.with_key(&key).iter().flat_map(|&moment| self.moments.all[moment].files.iter().take(MOST_RIVALS).copied());
        let namesakes = rivals.filter(|&file| self.moments.names[file].as_ref().is_some_and(|name| name.key == key));
        use FileFormat::{Lrf, Lrv, Srt, Thm, Xml};
        let of_a_video = matches!(sidecar.format, Thm | Lrv | Lrf | Srt | Xml);
        namesakes.min_by_key(|&file| {
            let candidate = &self.files[file];
            let misfit = of_a_video && candidate.format.kind() != FileKind::Video;
            (misfit, self.times_differ(sidecar, candidate), self.moments.is_version(file), rank(candidate), candidate.name)
        })
    }

    /// Whether a sidecar that repeats the capture time repeats another picture's.
    fn times_differ(&self, sidecar: &Candidate<'_>, owner: &Candidate<'_>) -> bool {
        match (&sidecar.facts.captured_at, &owner.facts.captured_at) {
            (Some(a), Some(b)) => (a.local - b.local).num_seconds().abs() > 2,
            _ => false,
        }
    }

    /// The file whose whole name starts with what is left of it.
    fn starting_with(&self, start: &str, counter: Option<&str>, title: Option<&str>) -> Option<usize> {
        let start = start.to_lowercase();
        let title = title.map(|title| as_takeout_writes(title).to_lowercase());
        let rivals = self.starting_at(&start).iter().take_while(|(name, _)| name.starts_with(&start)).take(MOST_RIVALS);
        let fitting = rivals.filter(|(name, _)| split_counter(names::stem(name)).1 == counter);
        let by_title = |name: &str| title.as_deref().is_some_and(|title| title.starts_with(split_counter(names::stem(name)).0));
        fitting.min_by_key(|(name, _)| (!by_title(name), name.len())).map(|(_, file)| *file)
    }
}

/// `IMG.jpg(1)` → `IMG.jpg` and `(1)`.
fn split_counter(stem: &str) -> (&str, Option<&str>) {
    let Some(start) = stem.rfind('(').filter(|start| *start > 0 && stem.ends_with(')')) else { return (stem, None) };
    let digits = &stem[start + 1..stem.len() - 1];
    let is_counter = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_counter { (&stem[..start], Some(&stem[start..])) } else { (stem, None) }
}

/// `IMG.jpg` and `(1)` → `IMG(1).jpg`.
fn with_counter(name: &str, counter: Option<&str>) -> String {
    let Some(counter) = counter else { return name.to_owned() };
    match name.rsplit_once('.') {
        Some((stem, extension)) => format!("{stem}{counter}.{extension}"),
        None => format!("{name}{counter}"),
    }
}

/// Takes a whole or cut `.supplemental-metadata` off.
fn without_infix(name: &str) -> Option<&str> {
    let (start, infix) = name.rsplit_once('.')?;
    (!start.is_empty() && TAKEOUT_INFIX.starts_with(infix)).then_some(start)
}

/// A title as Takeout writes it into a file name.
fn as_takeout_writes(title: &str) -> String {
    title.chars().map(|character| if "%&=?/\\:*\"<>|+'#".contains(character) { '_' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takeout_names_come_apart() {
        assert_eq!(split_counter("IMG.jpg(12)"), ("IMG.jpg", Some("(12)")));
        assert_eq!(split_counter("IMG (a)"), ("IMG (a)", None));
        assert_eq!(split_counter("(1)"), ("(1)", None));
        assert_eq!(with_counter("IMG.jpg", Some("(1)")), "IMG(1).jpg");
        assert_eq!(without_infix("IMG.jpg.supplemental-metadata"), Some("IMG.jpg"));
        assert_eq!(without_infix("IMG.jpg.supple"), Some("IMG.jpg"));
        assert_eq!(without_infix("IMG.jpg."), Some("IMG.jpg"));
        assert_eq!(without_infix("IMG.jpg"), None);
    }
}
