//! What a file name says: its stem, the marks phones put on it, and which other name it may be a version of.
//!
//! Names only propose here; [`super::evidence`] decides. Everything works on NFC text and compares in lower case.

use std::{borrow::Cow, collections::HashSet};

use crate::models::{FileFormat, FileKind};

/// What a phone's naming says about a file beside others of its stem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// Nothing.
    Plain,
    /// `.ORIGINAL`: the capture itself.
    Original,
    /// `.COVER`: the phone's rendering.
    Cover,
    /// `~2`: an edited copy.
    Edited,
}

/// A media file's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MediaName {
    /// [`base_name`] in lower case: files of one moment usually share it.
    pub(super) key: Box<str>,
    /// What the marks say.
    pub(super) mark: Mark,
    /// The stem is a Pixel time stamp to the millisecond, which alone names a moment.
    pub(super) pixel: bool,
}

/// How a longer stem differs from the one it may be a version of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suffix {
    /// A word that programs and phones put on edited copies, or Apple's `IMG_E`.
    Word,
    /// Digits, `(1)`, `copy`: as likely another picture as a version.
    Counter,
    /// Epson FastFoto's `_a`: the enhanced copy of a scanned print.
    ScanEnhanced,
    /// Epson FastFoto's `_b`: the back of it.
    ScanBack,
    /// Anything else after a separator.
    Free,
}

/// Words of edited copies, in lower case: photo programs, and Google's localised `-edited`.
const EDIT_WORDS: &[&str] = &[
    "edit",
    "edits",
    "edited",
    "effects",
    "smile",
    "mix",
    "bearbeitet",
    "modifié",
    "modificato",
    "bewerkt",
    "edytowane",
    "編集済み",
    "ha editado",
    "editat",
    "editado",
    "redigerad",
    "redigeret",
    "redigert",
    "muokattu",
    "upraveno",
    "изменено",
    "已修改",
    "已編輯",
    "enhanced",
    "enhanced-nr",
    "enhanced-sr",
    "hdr",
    "pano",
    "crop",
    "cropped",
    "bw",
    "b&w",
    "mono",
    "small",
    "web",
    "resized",
    "export",
    "exported",
    "print",
    "final",
    "retouched",
    "denoise",
];

/// Words that stand right after a number, without a separator.
const GLUED_WORDS: &[&str] = &["bw", "sw", "hdr", "edit", "edited", "crop", "small"];

/// Words that file managers put on copies.
const COPY_WORDS: &[&str] = &["copy", "kopie", "copie", "copia", "kopia", "kopi", "cópia"];

/// Tokens between stem and extension on Pixel phones; a token may carry `-NN`.
const PIXEL_TOKENS: &[&str] = &[
    "MP",
    "RAW",
    "COVER",
    "ORIGINAL",
    "PORTRAIT",
    "NIGHT",
    "PANO",
    "MOTION",
    "LONG_EXPOSURE",
    "LS",
    "TS",
    "VB",
    "BURST",
    "PHOTOSPHERE",
    "ACTION_PAN",
    "MACRO",
    "ASTRO",
];

/// Tokens believed on any stem.
const GENERAL_TOKENS: &[&str] = &["MP", "RAW", "COVER", "ORIGINAL"];

/// The format a file name stands for, by extension and by the odd names of phones (`X.MP`, `X.MP~2` are the video of a motion photo).
pub fn format_of_name(name: &str) -> Option<FileFormat> {
    let (_, extension) = name.rsplit_once('.')?;
    if is_bare_motion_part(extension) { Some(FileFormat::Mp4) } else { FileFormat::from_extension(extension) }
}

/// The stems, in lower case, of the pictures and videos that a companion of this name may belong to: `IMG_1.wav`, `IMG_1.CR2.dop`,
/// GoPro's `GL010048.LRV` of `GX010048.MP4`, Sony's `C0001M01.XML` of `C0001.MP4`.
pub(super) fn owners_of_companion(name: &str, format: FileFormat) -> Vec<String> {
    let whole = stem(name).to_lowercase();
    let mut stems = Vec::new();
    if format == FileFormat::Lrv
        && let Some(rest) = whole.strip_prefix("gl").filter(|rest| is_digits(rest))
    {
        stems.extend([format!("gx{rest}"), format!("gh{rest}")]);
    }
    if format == FileFormat::Xml {
        // Any other XML is none of ours.
        let clip = whole.len().checked_sub(3).and_then(|at| whole.split_at_checked(at));
        let clip = clip.filter(|(_, end)| end.strip_prefix('m').is_some_and(is_digits)).map(|(clip, _)| clip.to_owned());
        return clip.into_iter().collect();
    }
    if format_of_name(&whole).is_some() {
        stems.push(stem(&whole).to_owned());
    }
    stems.push(whole);
    stems
}

/// Leaves out of a folder's files the companions of nothing: music, subtitles, any XML. `name_of` gives a file's name.
pub(crate) fn without_strays<T>(files: &mut Vec<T>, name_of: impl Fn(&T) -> String, format_of: impl Fn(&T) -> FileFormat) {
    if !files.iter().any(|file| format_of(file).is_companion()) {
        return;
    }
    let media: HashSet<String> = files
        .iter()
        .filter(|file| format_of(file).kind() != FileKind::Sidecar)
        .map(|file| base_name(&name_of(file)).to_lowercase())
        .collect();
    files.retain(|file| {
        let format = format_of(file);
        !format.is_companion() || owners_of_companion(&name_of(file), format).iter().any(|stem| media.contains(stem.as_str()))
    });
}

/// The name without its extension, if that is a known one; other dots stay (`Dr. No.jpg` → `Dr. No`).
pub fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() && format_of_name(name).is_some() => stem,
        _ => name,
    }
}

fn is_bare_motion_part(extension: &str) -> bool {
    let Some(rest) = extension.strip_prefix("MP") else { return false };
    rest.is_empty() || rest.strip_prefix('~').is_some_and(is_digits)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl MediaName {
    /// Takes the name of a picture or video apart.
    pub(super) fn parse(name: &str) -> Self {
        let (base, mark, pixel) = take_apart(name);
        Self { key: base.to_lowercase().into_boxed_str(), mark, pixel }
    }
}

/// The stem as written, without extension and phone marks: what an image is called.
pub(super) fn base_name(name: &str) -> Cow<'_, str> {
    take_apart(name).0
}

fn take_apart(name: &str) -> (Cow<'_, str>, Mark, bool) {
    let whole_stem = stem(name);
    let edited_part = name[whole_stem.len()..].contains('~');
    let (base, mark, pixel) = match pixel_stamp(whole_stem) {
        Some(stamp) => {
            let (rest, mark) = strip_pixel_marks(stamp.len(), whole_stem);
            let base = if rest.is_empty() { Cow::Borrowed(stamp) } else { Cow::Owned(format!("{stamp}{rest}")) };
            (base, mark, rest.is_empty())
        }
        None => {
            let (base, mark) = strip_general_marks(whole_stem);
            (Cow::Borrowed(base), mark, false)
        }
    };
    (base, if edited_part { Mark::Edited } else { mark }, pixel)
}

/// `PXL_20240704_194543217` at the start of a stem.
fn pixel_stamp(stem: &str) -> Option<&str> {
    let bytes = stem.as_bytes();
    let digits = |from: usize, to: usize| bytes.get(from..to).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let fits = bytes.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"PXL_"))
        && digits(4, 12)
        && bytes.get(12) == Some(&b'_')
        && digits(13, 22);
    (fits && !digits(22, 23)).then(|| &stem[..22])
}

/// Takes `.TOKEN`, `.TOKEN-01` and `~2` off behind the stamp; returns what is left behind them, and what they said.
fn strip_pixel_marks(stamp_len: usize, stem: &str) -> (&str, Mark) {
    let mut rest = &stem[stamp_len..];
    let mut mark = Mark::Plain;
    loop {
        if let Some(behind) = rest.strip_prefix('~') {
            let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 || digits > 3 {
                return (rest, mark);
            }
            mark = Mark::Edited;
            rest = &behind[digits..];
            continue;
        }
        let Some(behind) = rest.strip_prefix('.') else { return (rest, mark) };
        let end = behind.find(['.', '~', ' ', '(']).unwrap_or(behind.len());
        let token = &behind[..end];
        let (word, length) = match PIXEL_TOKENS.iter().find(|known| is_token(token, known)) {
            Some(word) => (*word, end),
            // `.MP-edited`: the token ends where Takeout's word begins.
            None => {
                match token.split_once('-').and_then(|(first, _)| PIXEL_TOKENS.iter().find(|known| known.eq_ignore_ascii_case(first))) {
                    Some(word) => (*word, word.len()),
                    None => return (rest, mark),
                }
            }
        };
        mark = mark.max(mark_of(word));
        rest = &behind[length..];
    }
}

/// Takes `.MP`, `.RAW-01.COVER` and the like off any stem.
fn strip_general_marks(stem: &str) -> (&str, Mark) {
    let (mut base, mut mark) = (stem, Mark::Plain);
    while let Some((start, token)) = base.rsplit_once('.') {
        let Some(word) = GENERAL_TOKENS.iter().find(|known| token.starts_with(**known) && is_token(token, known)) else { break };
        if start.is_empty() {
            break;
        }
        mark = mark.max(mark_of(word));
        base = start;
    }
    (base, mark)
}

/// Whether `token` is `known` or `known-NN`.
fn is_token(token: &str, known: &str) -> bool {
    let Some(start) = token.get(..known.len()) else { return false };
    let rest = &token[known.len()..];
    start.eq_ignore_ascii_case(known) && (rest.is_empty() || rest.strip_prefix('-').is_some_and(is_digits))
}

fn mark_of(token: &str) -> Mark {
    match token {
        "COVER" => Mark::Cover,
        "ORIGINAL" => Mark::Original,
        _ => Mark::Plain,
    }
}

/// The stems (lower case) that `key` may be a version of, nearest first, with how they differ. Each is shorter than `key`.
pub(super) fn possible_bases(key: &str) -> Vec<(String, Suffix)> {
    let mut bases = Vec::new();
    if let Some(rest) = key.strip_prefix("img_e").filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit())) {
        bases.push((format!("img_{rest}"), Suffix::Word));
    }
    for word in GLUED_WORDS {
        if let Some(base) = key.strip_suffix(word).filter(|base| base.ends_with(|last: char| last.is_ascii_digit())) {
            bases.push((base.to_owned(), Suffix::Word));
        }
    }
    // A burst's frames are named after their first; none is a version of another.
    let burst = key.contains("burst");
    let mut previous = usize::MAX;
    for (at, _) in key.char_indices().rev().filter(|(_, character)| is_separator(*character) && !matches!(character, ')' | ']')).take(16) {
        let base = key[..at].trim_end_matches(is_separator);
        if base.is_empty() || base.len() == previous {
            continue;
        }
        previous = base.len();
        let suffix = kind_of_suffix(&key[base.len()..]);
        if !burst || suffix == Suffix::Word {
            bases.push((base.to_owned(), suffix));
        }
    }
    bases
}

fn is_separator(character: char) -> bool {
    matches!(character, ' ' | '-' | '_' | '~' | '(' | ')' | '.' | '+' | '[' | ']')
}

fn kind_of_suffix(suffix: &str) -> Suffix {
    if suffix.strip_prefix('~').is_some_and(is_digits) {
        return Suffix::Word;
    }
    let words = suffix.trim_matches(is_separator);
    let word = words.trim_end_matches(|character: char| character.is_ascii_digit() || is_separator(character));
    if matches!(suffix, "_a" | "_b") {
        if suffix == "_a" { Suffix::ScanEnhanced } else { Suffix::ScanBack }
    } else if word.is_empty() || COPY_WORDS.contains(&word) {
        Suffix::Counter
    } else if EDIT_WORDS.contains(&words) || EDIT_WORDS.contains(&word) {
        Suffix::Word
    } else {
        Suffix::Free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phone_marks_come_off_the_stem() {
        let cases = [
            ("PXL_20240704_194543217.RAW-01.COVER.jpg", "PXL_20240704_194543217", Mark::Cover, true),
            ("PXL_20240704_194543217.RAW-01.MP.COVER.jpg", "PXL_20240704_194543217", Mark::Cover, true),
            ("PXL_20240704_194543217.RAW-02.ORIGINAL.dng", "PXL_20240704_194543217", Mark::Original, true),
            ("PXL_20240704_194543217.dng", "PXL_20240704_194543217", Mark::Plain, true),
            ("PXL_20240704_194543217.MP.jpg", "PXL_20240704_194543217", Mark::Plain, true),
            ("PXL_20240704_194543217.MP", "PXL_20240704_194543217", Mark::Plain, true),
            ("PXL_20240704_194543217.MP~2", "PXL_20240704_194543217", Mark::Edited, true),
            ("PXL_20240704_194543217.MP~2.jpg", "PXL_20240704_194543217", Mark::Edited, true),
            ("PXL_20240704_194543217~3.jpg", "PXL_20240704_194543217", Mark::Edited, true),
            ("PXL_20240704_194543217.MP-edited.jpg", "PXL_20240704_194543217-edited", Mark::Plain, false),
            ("PXL_20240704_194543217.MP(1).jpg", "PXL_20240704_194543217(1)", Mark::Plain, false),
            ("PXL_20240704_194543217.LONG_EXPOSURE-01.COVER.jpg", "PXL_20240704_194543217", Mark::Cover, true),
            ("PXL_20240704_194543217.LS.mp4", "PXL_20240704_194543217", Mark::Plain, true),
            ("holiday.v2.jpg", "holiday.v2", Mark::Plain, false),
            ("IMG_1.MP.jpg", "IMG_1", Mark::Plain, false),
            ("Dr. No.jpg", "Dr. No", Mark::Plain, false),
            ("no extension.doc", "no extension.doc", Mark::Plain, false),
            (".jpg", ".jpg", Mark::Plain, false),
            ("", "", Mark::Plain, false),
        ];
        for (name, base, mark, pixel) in cases {
            let parsed = MediaName::parse(name);
            assert_eq!((&*base_name(name), parsed.mark, parsed.pixel), (base, mark, pixel), "{name}");
            assert_eq!(*parsed.key, base.to_lowercase());
        }
    }

    #[test]
    fn a_stem_proposes_what_it_may_be_a_version_of() {
        let cases: &[(&str, &[(&str, Suffix)])] = &[
            ("img_e4120", &[("img_4120", Suffix::Word), ("img", Suffix::Free)]),
            ("foto001bw", &[("foto001", Suffix::Word)]),
            ("img_1503_001", &[("img_1503", Suffix::Counter), ("img", Suffix::Counter)]),
            ("100_0275-edit", &[("100_0275", Suffix::Word), ("100", Suffix::Free)]),
            ("a-ha editado", &[("a-ha", Suffix::Word), ("a", Suffix::Word)]),
            ("x-edit-2", &[("x-edit", Suffix::Counter), ("x", Suffix::Word)]),
            ("img (1)", &[("img", Suffix::Counter)]),
            ("img - copy", &[("img", Suffix::Counter)]),
            ("mvimg~2", &[("mvimg", Suffix::Word)]),
            ("dsc_burst20200101", &[]),
            ("plain", &[]),
            ("oma_0001_a", &[("oma_0001", Suffix::ScanEnhanced), ("oma", Suffix::Free)]),
            ("oma_0001_b", &[("oma_0001", Suffix::ScanBack), ("oma", Suffix::Free)]),
            ("-edit", &[]),
        ];
        for (key, expected) in cases {
            let found = possible_bases(key);
            let found: Vec<(&str, Suffix)> = found.iter().map(|(base, suffix)| (base.as_str(), *suffix)).collect();
            assert_eq!(&found, expected, "{key}");
        }
    }

    #[test]
    fn companions_name_their_owners_and_strays_are_left_out() {
        for (name, expected) in [
            ("IMG_1.WAV", &["img_1"][..]),
            ("IMG_1.CR2.dop", &["img_1", "img_1.cr2"]),
            ("GL010048.LRV", &["gx010048", "gh010048", "gl010048"]),
            ("GOPR0001.LRV", &["gopr0001"]),
            ("C0001M01.XML", &["c0001"]),
            ("config.xml", &[]),
            ("é1.xml", &[]),
        ] {
            assert_eq!(owners_of_companion(name, format_of_name(name).unwrap()), expected, "{name}");
        }
        let mut files: Vec<&str> = vec!["IMG_1.CR2", "IMG_1.WAV", "song.wav", "film.srt", "C0001.MP4", "C0001M01.XML", "pom.xml", "a.xmp"];
        without_strays(&mut files, |name| (*name).to_owned(), |name| format_of_name(name).unwrap());
        assert_eq!(files, ["IMG_1.CR2", "IMG_1.WAV", "C0001.MP4", "C0001M01.XML", "a.xmp"]);
    }

    #[test]
    fn bare_motion_parts_are_videos() {
        assert_eq!(format_of_name("PXL_1.MP"), Some(FileFormat::Mp4));
        assert_eq!(format_of_name("PXL_1.MP~2"), Some(FileFormat::Mp4));
        assert_eq!(format_of_name("song.MP3"), None);
    }
}
