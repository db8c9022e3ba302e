//! Metadata: from a file's bytes to [`Facts`], each read with one open and as few reads as will do.
//!
//! Fast readers in this process take every format apart that they read right; exiv2, in child processes, is asked for what it alone knows.
//! Whatever the bytes are, a reading comes back: with facts, with what went wrong, or with both.

mod boxes;
mod chunks;
pub(super) mod dates;
mod draft;
mod exif;
pub mod exiv2;
mod iptc;
mod jpeg;
mod jxl;
pub(super) mod labels;
mod place;
mod raw;
mod sidecar;
mod sniff;
mod source;
mod text;
mod tiff;
mod video;
mod xmp;
mod xmp_names;

use std::{
    cell::RefCell,
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use draft::Draft;
use sniff::Content;
use source::{HEAD_BYTES, Source, TAIL_BYTES};

use crate::{
    media::child::ChildPool,
    models::{Facts, FileFormat, FileKind},
};

/// How much the readers know. Raise it whenever they learn to read something that files of a library may have: such files are then read
/// again by the next scan, although they have not changed.
pub const READING_VERSION: u16 = 5;
/// The same for sidecars, which alone are read again where it is raised: they are small, and originals may lie far away.
const SIDECAR_READING_VERSION: u16 = 6;

/// How much the readers know about files of a format.
pub const fn reading_version(format: FileFormat) -> u16 {
    match format {
        FileFormat::Xmp if SIDECAR_READING_VERSION > READING_VERSION => SIDECAR_READING_VERSION,
        _ => READING_VERSION,
    }
}

/// How to read.
#[derive(Debug, Clone)]
pub struct MetaOptions {
    /// Child processes for exiv2; 0 = one for each core.
    pub workers: usize,
    /// How long a child may think about one file.
    pub timeout: Duration,
    /// The program whose `meta-worker` is started; this one if `None`.
    pub program: Option<PathBuf>,
}

/// What came of one file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FileReading {
    /// What the file says; perhaps in part, beside an error.
    pub facts: Facts,
    /// The file's identity: BLAKE3 over its size and its first and last 64 KiB, the first 16 bytes of it. `None` when it could not be read.
    pub fingerprint: Option<[u8; 16]>,
    /// What went wrong, for a person.
    pub error: Option<String>,
}

/// Reads metadata; shared by many threads.
#[derive(Debug)]
pub struct MetaReader {
    exiv2: Option<ChildPool>,
    timeout: Duration,
}

/// Head and tail of the file being read, kept from file to file.
struct Buffers {
    head: Vec<u8>,
    tail: Vec<u8>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers { head: vec![0; HEAD_BYTES], tail: vec![0; TAIL_BYTES] });
}

impl MetaReader {
    /// A reader; children start when the first file needs one.
    pub fn new(options: MetaOptions) -> Self {
        let workers = if options.workers == 0 { thread::available_parallelism().map_or(2, Into::into) } else { options.workers };
        let program = options.program.or_else(|| std::env::current_exe().ok()).unwrap_or_else(|| PathBuf::from("hm"));
        Self { exiv2: Some(ChildPool::new(program, ["meta-worker"], workers)), timeout: options.timeout }
    }

    /// A reader that starts no child: without the lens names that only makers' notes have, and without CRW.
    pub fn in_process() -> Self {
        Self { exiv2: None, timeout: Duration::ZERO }
    }

    /// Reads the file at `path`, whose name says `format` and whose listing says `size_bytes`. Never fails as a whole.
    pub fn read(&self, path: &Path, format: FileFormat, size_bytes: u64) -> FileReading {
        let failed = |error: String| FileReading { error: Some(error), ..FileReading::default() };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) => return failed(format!("cannot be opened: {error}")),
        };
        if size_bytes == 0 && !format.is_companion() {
            return FileReading { fingerprint: Some(fingerprint(0, &[], &[])), ..failed("empty file".to_owned()) };
        }
        BUFFERS.with_borrow_mut(|buffers| match read_ends(&file, size_bytes, buffers) {
            Ok((head, tail)) => {
                let mut source = Source::new(&file, size_bytes, head, tail);
                // The readers are written not to panic; one that does must not end the scan.
                let reading = catch_unwind(AssertUnwindSafe(|| self.read_source(&mut source, path, format)));
                let mut reading = reading.unwrap_or_else(|_| failed("the reader broke down on it".to_owned()));
                reading.fingerprint = Some(fingerprint(size_bytes, head, tail));
                reading.facts.version = reading_version(format);
                reading
            }
            Err(error) => failed(error),
        })
    }

    /// What exiv2 says, for the tests that compare it with the fast reader.
    ///
    /// # Errors
    /// For a person.
    pub fn read_with_exiv2(&self, path: &Path) -> Result<Facts, String> {
        let pool = self.exiv2.as_ref().ok_or("this reader has no children")?;
        exiv2::ask_about_path(pool, path, self.timeout)
    }

    fn read_source(&self, source: &mut Source<'_>, path: &Path, format: FileFormat) -> FileReading {
        if format.is_companion() {
            return FileReading { facts: Facts { reader: format.name().to_owned(), ..Facts::default() }, ..FileReading::default() };
        }
        if format.kind() == FileKind::Sidecar && format != FileFormat::Thm {
            return read_sidecar(source, format);
        }
        let content = Content::of(source.head());
        if let Content::Other(what) = content {
            return FileReading { error: Some(format!("not a picture: {what}")), ..FileReading::default() };
        }
        let misnamed = (!content.fits(format)).then(|| format!("named {format}, but the content is {}", content.name()));
        let mut reading = match content {
            Content::Movie => match video::read(source) {
                Some(facts) => FileReading { facts, ..FileReading::default() },
                None => FileReading { error: Some("no movie header: the file is cut off or damaged".to_owned()), ..FileReading::default() },
            },
            _ => self.read_still(source, path, content, format),
        };
        reading.error = match (misnamed, reading.error) {
            (Some(misnamed), Some(error)) => Some(format!("{misnamed}; {error}")),
            (misnamed, error) => misnamed.or(error),
        };
        reading
    }

    fn read_still(&self, source: &mut Source<'_>, path: &Path, content: Content, format: FileFormat) -> FileReading {
        let mut draft = Draft::default();
        let whole = match content {
            Content::Jpeg => {
                draft.motion_photo = jpeg::has_samsung_video(source.tail());
                jpeg::read(source, 0, &mut draft)
            }
            Content::Png => chunks::png(source, &mut draft),
            Content::Webp => chunks::webp(source, &mut draft),
            Content::Avi => chunks::avi(source, &mut draft),
            Content::Tiff | Content::Orf | Content::Rw2 => raw::tiff(source, format, &mut draft),
            Content::Heif | Content::Avif => boxes::heif(source, &mut draft),
            Content::Cr3 => boxes::cr3(source, &mut draft),
            Content::Jxl => jxl::read(source, &mut draft),
            Content::Raf => raw::raf(source, &mut draft),
            Content::X3f => raw::x3f(source, &mut draft),
            Content::Crw => {
                packet_at_the_end(source, &mut draft);
                None
            }
            Content::Movie | Content::Other(_) => None,
        };
        let need = Need::of(&draft, content, whole.is_some());
        let exif_block = draft.exif_block;
        // Some RAW have the notes behind their pictures.
        let note_is_in = |(at, length): &(u64, usize)| draft.exif.maker_note_end <= at + *length as u64;
        let notes_are_far = matches!(content, Content::Tiff | Content::Orf | Content::Rw2) && !exif_block.as_ref().is_some_and(note_is_in);
        let mut facts = draft.into_facts("fast");
        let broken = || format!("{} that is cut off or damaged", content.name());
        let error = match (need, &self.exiv2) {
            (Need::Nothing, _) => None,
            (Need::Lens, None) => None,
            (Need::Lens, Some(pool)) => {
                let second = if notes_are_far {
                    Some(exiv2::ask_about_path(pool, path, self.timeout))
                } else {
                    let block = exif_block.and_then(|(at, length)| source.up_to(at, length));
                    block.map(|block| exiv2::ask_about_bytes(pool, block, self.timeout))
                };
                if let Some(Ok(second)) = second {
                    add(&mut facts, Facts { lens: second.lens, ..Facts::default() });
                }
                None
            }
            (Need::Everything, None) => whole.is_none().then(broken),
            (Need::Everything, Some(pool)) => match exiv2::ask_about_path(pool, path, self.timeout) {
                Ok(mut second) => {
                    // exiv2 knows what EXIF says, not whether the decoder cares.
                    second.orientation = second.orientation.filter(|_| !facts.decoder_turns);
                    add(&mut facts, second);
                    (whole.is_none() && content != Content::Crw).then(broken)
                }
                Err(error) => Some(if whole.is_none() { format!("{} ({error})", broken()) } else { error }),
            },
        };
        FileReading { facts, error, fingerprint: None }
    }
}

/// An XMP packet behind the last structure of a file, where exiftool puts it and exiv2 does not look.
fn packet_at_the_end(source: &mut Source<'_>, draft: &mut Draft) {
    const START: &[u8] = b"<?xpacket begin";
    let tail = source.tail();
    if let Some(start) = tail.windows(START.len()).rposition(|bytes| bytes == START) {
        draft.xmp.extend(xmp::read(&tail[start..]).0);
    }
}

/// What the fast reader leaves open.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Need {
    Nothing,
    Lens,
    Everything,
}

impl Need {
    fn of(draft: &Draft, content: Content, whole: bool) -> Self {
        let exif = &draft.exif;
        if !whole || draft.second_opinion {
            // Its video reader crashes, and it cannot read AVI or X3F at all.
            return if matches!(content, Content::Avi | Content::X3f) { Self::Nothing } else { Self::Everything };
        }
        let lensless = exif.lens.is_none() && draft.xmp.first(xmp::Key::AuxLens).is_none();
        let changeable = changes_lenses(exif.make.as_deref().unwrap_or_default(), exif.model.as_deref().unwrap_or_default());
        if lensless && exif.has_maker_note && changeable { Self::Lens } else { Self::Nothing }
    }
}

/// Whether a camera takes different lenses, so that its notes may name one. Compacts and phones would be asked in vain.
fn changes_lenses(make: &str, model: &str) -> bool {
    let (make, model) = (make.to_ascii_lowercase(), model.to_ascii_lowercase());
    let any = |starts: &[&str]| starts.iter().any(|start| model.contains(start));
    match make.split([' ', '_', ',']).next().unwrap_or_default() {
        "canon" => any(&["eos"]),
        "nikon" => any(&["nikon d", "nikon z", "nikon 1 "]),
        "pentax" | "ricoh" | "asahi" => any(&["pentax k", "*ist", "645"]),
        "olympus" | "om" => any(&["e-", "om-"]),
        "sony" => any(&["dslr-", "slt-", "ilce-", "ilca-", "nex-"]),
        "konica" | "minolta" => any(&["dynax", "maxxum", "alpha"]),
        "panasonic" => any(&["dmc-g", "dc-g", "dmc-l1", "dc-s"]),
        "samsung" => any(&["nx", "gx"]),
        "leica" | "sigma" | "hasselblad" => true,
        _ => false,
    }
}

/// Fills `facts` and notes who helped.
fn add(facts: &mut Facts, second: Facts) {
    let alone = *facts == Facts { reader: facts.reader.clone(), ..Facts::default() };
    if draft::fill(facts, second) {
        facts.reader = if alone { "rexiv2" } else { "fast+rexiv2" }.to_owned();
    }
}

fn read_sidecar(source: &mut Source<'_>, format: FileFormat) -> FileReading {
    if source.size() > sidecar::LONGEST_BYTES {
        // Long JSON is some other program's.
        let error = (format != FileFormat::TakeoutJson).then(|| "too long for a sidecar".to_owned());
        return FileReading { error, ..FileReading::default() };
    }
    let length = source.size() as usize;
    match source.bytes(0, length) {
        Some(content) => sidecar::read(content, format),
        None => FileReading { error: Some("could not be read to its end".to_owned()), ..FileReading::default() },
    }
}

/// Reads the head and, where the head is not all, the tail.
fn read_ends<'b>(file: &File, size_bytes: u64, buffers: &'b mut Buffers) -> Result<(&'b [u8], &'b [u8]), String> {
    let head_bytes = usize::try_from(size_bytes).unwrap_or(usize::MAX).min(HEAD_BYTES);
    let tail_bytes = usize::try_from(size_bytes - head_bytes as u64).unwrap_or(usize::MAX).min(TAIL_BYTES);
    let head = &mut buffers.head[..head_bytes];
    let tail = &mut buffers.tail[..tail_bytes];
    for (buffer, at) in [(&mut *head, 0), (&mut *tail, size_bytes - tail_bytes as u64)] {
        let read = source::read_at_most(file, buffer, at).map_err(|error| format!("cannot be read: {error}"))?;
        if read < buffer.len() {
            return Err("shorter than the folder's listing says: it is being written, or was cut off just now".to_owned());
        }
    }
    Ok((head, tail))
}

/// The identity of a file with this content, as [`MetaReader::read`] gives it.
pub fn fingerprint_of_content(content: &[u8]) -> [u8; 16] {
    let (head, rest) = content.split_at(content.len().min(HEAD_BYTES));
    let tail = &rest[rest.len().saturating_sub(TAIL_BYTES)..];
    fingerprint(content.len() as u64, head, tail)
}

/// The identity of the file at `path`, as [`FileReading::fingerprint`] has it, without reading what it says.
///
/// # Errors
/// When it cannot be read to its end.
pub fn fingerprint_of(path: &Path) -> std::io::Result<[u8; 16]> {
    let file = File::open(path)?;
    let size_bytes = file.metadata()?.len();
    BUFFERS.with_borrow_mut(|buffers| {
        let (head, tail) = read_ends(&file, size_bytes, buffers).map_err(std::io::Error::other)?;
        Ok(fingerprint(size_bytes, head, tail))
    })
}

/// BLAKE3 over size, first and last 64 KiB; of a file of at most 128 KiB, over size and the whole of it.
fn fingerprint(size_bytes: u64, head: &[u8], tail: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size_bytes.to_le_bytes());
    if tail.is_empty() {
        hasher.update(head);
    } else {
        // The tail may be shorter than 64 KiB by what the head already has.
        let missing = TAIL_BYTES - tail.len();
        hasher.update(&head[..TAIL_BYTES]).update(&head[head.len() - missing..]).update(tail);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    fn read(content: &[u8], format: FileFormat) -> FileReading {
        MetaReader::in_process().read(written(content).path(), format, content.len() as u64)
    }

    #[test]
    fn what_is_no_picture_is_said_to_be_none() {
        assert_eq!(read(b"", FileFormat::Jpeg).error.as_deref(), Some("empty file"));
        assert_eq!(read(b"Dear diary, nothing today.", FileFormat::Jpeg).error.as_deref(), Some("not a picture: text"));
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x20\0\0\0\x10";
        let reading = read(png, FileFormat::Nef);
        assert_eq!(reading.error.as_deref(), Some("named nef, but the content is a PNG"));
        assert_eq!((reading.facts.width_px, reading.facts.height_px), (Some(32), Some(16)));
    }

    #[test]
    fn a_file_that_shrank_is_not_taken_for_whole() {
        let file = written(&[0; 1000]);
        let reading = MetaReader::in_process().read(file.path(), FileFormat::Jpeg, 2000);
        assert!(reading.error.unwrap().contains("shorter") && reading.fingerprint.is_none());
    }

    #[test]
    fn the_fingerprint_covers_size_start_and_end() {
        let base: Vec<u8> = (0..400_000u32).map(|index| (index % 251) as u8).collect();
        let print = |content: &[u8]| {
            let fingerprint = read(content, FileFormat::Jpeg).fingerprint.unwrap();
            assert_eq!(fingerprint_of(written(content).path()).unwrap(), fingerprint);
            fingerprint
        };
        for length in [1, 70_000, 130_000, 140_000, 195_000, 400_000] {
            let content = &base[..length];
            let mut seen = vec![print(content)];
            for changed in [0, length / 3 % 60_000, length - 1, length.saturating_sub(60_000)] {
                let mut other = content.to_vec();
                other[changed] ^= 1;
                let other = print(&other);
                assert_ne!(seen[0], other, "{length} {changed}");
            }
            seen.push(print(&base[..length - 1]));
            assert_ne!(seen[0], seen[1]);
        }
        // The definition, spelled out once for a file that is longer than head and shorter than head and tail.
        let content = &base[..140_000];
        let expected = blake3::Hasher::new()
            .update(&140_000u64.to_le_bytes())
            .update(&content[..65_536])
            .update(&content[140_000 - 65_536..])
            .finalize();
        assert_eq!(print(content), expected.as_bytes()[..16]);
        for length in [0, 1, 65_536, 65_537, 131_072, 131_073, 400_000] {
            assert_eq!(fingerprint_of_content(&base[..length]), print(&base[..length]), "{length}");
        }
    }
}
