//! An archive that is sent while it is packed: a zip without compression, for photographs have theirs already. Nothing of it is ever held
//! but the names of what is in it.

use std::{
    cell::Cell,
    collections::HashSet,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    rc::Rc,
};

use chrono::{Datelike, NaiveDateTime, Timelike};
use zip::{
    CompressionMethod, ZipWriter,
    result::ZipError,
    write::{SimpleFileOptions, StreamWriter},
};

/// Files as large as this need the zip's long form, which old programs do not read.
const LARGE_BYTES: u64 = u32::MAX as u64 - 65_536;
/// Bytes moved at a time.
const PIECE: usize = 128 << 10;
/// The list of what could not be packed.
const LEFT_OUT: &str = "NOT INCLUDED.txt";

/// An archive on its way to somebody. Dropped before its end, it stays without one, so that nobody takes it for whole.
pub struct Packer<W: Write> {
    zip: Option<ZipWriter<StreamWriter<Sink<W>>>>,
    is_given_up: Rc<Cell<bool>>,
    names: HashSet<String>,
    packed: u64,
    left_out: Vec<String>,
}

impl<W: Write> Packer<W> {
    /// Begins one.
    pub fn new(to: W) -> Self {
        let is_given_up = Rc::new(Cell::new(false));
        let sink = Sink { to, is_given_up: Rc::clone(&is_given_up) };
        Self { zip: Some(ZipWriter::new_stream(sink)), is_given_up, names: HashSet::new(), packed: 0, left_out: Vec::new() }
    }

    /// Packs a file under `name`, or one like it where that is taken. What cannot be read to its end is packed as far as it goes and listed.
    ///
    /// # Errors
    /// When nobody takes the archive any more.
    pub fn add(&mut self, name: &str, modified: Option<NaiveDateTime>, file: File) -> io::Result<()> {
        let size_bytes = match file.metadata() {
            Ok(facts) => facts.len(),
            Err(error) => {
                self.leave_out(name, &error.to_string());
                return Ok(());
            }
        };
        let name = self.unique(name);
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).unix_permissions(0o644);
        let options =
            options.large_file(size_bytes >= LARGE_BYTES).last_modified_time(modified.map_or_else(zip::DateTime::default, zip_time));
        let zip = self.zip.as_mut().expect("an archive ends once");
        zip.start_file(&name, options).map_err(io_error)?;
        self.packed += 1;
        // A file that grows meanwhile is packed as long as it was.
        let mut rest = file.take(size_bytes);
        let mut buffer = vec![0; PIECE];
        let mut packed_bytes = 0;
        let trouble = loop {
            match rest.read(&mut buffer) {
                Ok(0) => break (packed_bytes < size_bytes).then(|| "it became shorter while it was read".to_owned()),
                Ok(length) => {
                    zip.write_all(&buffer[..length])?;
                    packed_bytes += length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error.to_string()),
            }
        };
        if let Some(trouble) = trouble {
            self.left_out.push(format!("{name}: only in part, {trouble}"));
        }
        Ok(())
    }

    /// Notes a file that cannot be packed.
    pub fn leave_out(&mut self, name: &str, reason: &str) {
        self.left_out.push(format!("{name}: {reason}"));
    }

    /// Packs the list of what is not in it, and ends the archive.
    ///
    /// # Errors
    /// When nobody takes it any more.
    pub fn finish(mut self) -> io::Result<()> {
        let list = (!self.left_out.is_empty())
            .then(|| format!("{} packed; these were not, or not whole:\n\n{}\n", self.packed, self.left_out.join("\n")));
        let mut zip = self.zip.take().expect("an archive ends once");
        if let Some(list) = list {
            zip.start_file(LEFT_OUT, SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).map_err(io_error)?;
            zip.write_all(list.as_bytes())?;
        }
        let mut sink = zip.finish().map_err(io_error)?.into_inner();
        sink.flush()
    }

    /// A name that no other entry has, also on disks that ignore case.
    fn unique(&mut self, wanted: &str) -> String {
        let wanted: String = wanted.chars().map(|c| if c.is_control() || c == '\\' { '_' } else { c }).collect();
        let (stem, extension) = match wanted.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() && !extension.contains('/') => (stem, format!(".{extension}")),
            _ => (wanted.as_str(), String::new()),
        };
        let mut name = wanted.clone();
        let mut number = 1;
        while name == LEFT_OUT || !self.names.insert(name.to_lowercase()) {
            number += 1;
            name = format!("{stem} ({number}){extension}");
        }
        name
    }
}

impl<W: Write> Drop for Packer<W> {
    fn drop(&mut self) {
        self.is_given_up.set(true);
    }
}

/// The receiver, which gets no more once the archive is given up: the zip's own writer would end it as if it were whole.
struct Sink<W> {
    to: W,
    is_given_up: Rc<Cell<bool>>,
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_given_up.get() { Ok(bytes.len()) } else { self.to.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_given_up.get() { Ok(()) } else { self.to.flush() }
    }
}

fn io_error(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

/// A time as a zip holds it: local, from 1980 on, to two seconds.
fn zip_time(time: NaiveDateTime) -> zip::DateTime {
    let part = |number: u32| u8::try_from(number).unwrap_or(0);
    let year = u16::try_from(time.year()).unwrap_or(0);
    let (date, clock) = ((part(time.month()), part(time.day())), (part(time.hour()), part(time.minute()), part(time.second())));
    zip::DateTime::from_date_and_time(year, date.0, date.1, clock.0, clock.1, clock.2).unwrap_or_default()
}

/// Opens a regular file that, symlinks followed, lies below `mount`, and says where it really is. A pipe would keep the thread waiting for
/// ever.
///
/// # Errors
/// `NotFound` for whatever else it is; otherwise what the disk says.
pub fn open_inside(mount: &Path, path: &Path) -> io::Result<(File, PathBuf)> {
    let real: PathBuf = path.canonicalize()?;
    let is_inside = real.starts_with(mount.canonicalize()?);
    if !is_inside || !real.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no regular file of this vault"));
    }
    Ok((File::open(&real)?, real))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn entries(bytes: Vec<u8>) -> Vec<(String, String)> {
        let mut zip = zip::ZipArchive::new(io::Cursor::new(bytes)).unwrap();
        let count = zip.len();
        let one = |index| {
            let mut entry = zip.by_index(index).unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.name().unwrap().into_owned(), text)
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn every_file_has_a_name_of_its_own_and_what_lacks_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        let file = |text: &str| {
            fs::write(dir.path().join(text), text).unwrap();
            File::open(dir.path().join(text)).unwrap()
        };
        let mut bytes = Vec::new();
        let mut packer = Packer::new(&mut bytes);
        for (name, text) in
            [("2019/Zoé.jpg", "a"), ("2019/ZOÉ.JPG", "b"), ("2019/Zoé.jpg", "c"), ("NOT INCLUDED.txt", "d"), ("e\\..\r\nx", "e")]
        {
            packer.add(name, Some("2019-08-03T12:33:01".parse().unwrap()), file(text)).unwrap();
        }
        packer.leave_out("gone.jpg", "it is gone");
        packer.finish().unwrap();
        let found = entries(bytes);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["2019/Zoé.jpg", "2019/ZOÉ (2).JPG", "2019/Zoé (3).jpg", "NOT INCLUDED (2).txt", "e_..__x", "NOT INCLUDED.txt"]);
        assert_eq!(found.iter().take(5).map(|(_, text)| text.as_str()).collect::<String>(), "abcde");
        assert_eq!(found[5].1, "5 packed; these were not, or not whole:\n\ngone.jpg: it is gone\n");
    }

    #[test]
    fn an_archive_that_is_given_up_has_no_end() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "a").unwrap();
        let mut bytes = Vec::new();
        let mut packer = Packer::new(&mut bytes);
        packer.add("a", None, File::open(dir.path().join("a")).unwrap()).unwrap();
        drop(packer);
        assert!(!bytes.is_empty() && zip::ZipArchive::new(io::Cursor::new(bytes)).is_err());
    }

    /// Holds an archive whose files are nothing but zeros: pieces of zeros are counted, not kept.
    #[derive(Default)]
    struct Holes {
        length: u64,
        kept: std::collections::BTreeMap<u64, Vec<u8>>,
        at: u64,
    }

    static ZEROS: [u8; PIECE] = [0; PIECE];

    impl Write for Holes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() > PIECE || bytes != &ZEROS[..bytes.len()] {
                self.kept.insert(self.length, bytes.to_vec());
            }
            self.length += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for Holes {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let wanted = out.len().min(PIECE).min(usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX));
            let (from, to) = (self.at, self.at + wanted as u64);
            out[..wanted].fill(0);
            let first = self.kept.range(..=from).next_back().map_or(from, |(start, _)| *start);
            for (start, bytes) in self.kept.range(first..to) {
                let (begin, end) = (from.max(*start), to.min(start + bytes.len() as u64));
                if begin < end {
                    let piece = &bytes[(begin - start) as usize..(end - start) as usize];
                    out[(begin - from) as usize..(end - from) as usize].copy_from_slice(piece);
                }
            }
            self.at = to;
            Ok(wanted)
        }
    }

    impl io::Seek for Holes {
        fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
            let place = match to {
                io::SeekFrom::Start(at) => Some(at),
                io::SeekFrom::End(by) => self.length.checked_add_signed(by),
                io::SeekFrom::Current(by) => self.at.checked_add_signed(by),
            };
            self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
            Ok(self.at)
        }
    }

    #[test]
    fn a_file_and_an_archive_of_more_than_four_gigabytes_are_whole() {
        const LARGE: u64 = (4 << 30) + 4321;
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("large")).unwrap().set_len(LARGE).unwrap();
        fs::write(dir.path().join("small"), "behind it").unwrap();
        let mut holes = Holes::default();
        let mut packer = Packer::new(&mut holes);
        for name in ["large", "small"] {
            packer.add(name, None, File::open(dir.path().join(name)).unwrap()).unwrap();
        }
        packer.finish().unwrap();
        let kept: usize = holes.kept.values().map(Vec::len).sum();
        assert!(holes.length > LARGE && kept < 2 * PIECE, "{kept} of {}", holes.length);
        let mut zip = zip::ZipArchive::new(holes).unwrap();
        assert_eq!(zip.by_name("large").unwrap().size(), LARGE);
        let mut text = String::new();
        zip.by_name("small").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "behind it");
    }

    #[test]
    fn an_archive_of_more_than_65_535_files_holds_them_all() {
        const COUNT: usize = 65_600;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "a").unwrap();
        let mut bytes = Vec::new();
        let mut packer = Packer::new(&mut bytes);
        for number in 0..COUNT {
            packer.add(&format!("{number}.jpg"), None, File::open(dir.path().join("a")).unwrap()).unwrap();
        }
        packer.finish().unwrap();
        let mut zip = zip::ZipArchive::new(io::Cursor::new(bytes)).unwrap();
        assert_eq!(zip.len(), COUNT);
        let mut text = String::new();
        zip.by_name(&format!("{}.jpg", COUNT - 1)).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "a");
    }

    #[test]
    fn what_lies_outside_the_vault_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().join("vault");
        fs::create_dir_all(vault.join("folder")).unwrap();
        fs::write(dir.path().join("secret.jpg"), "secret").unwrap();
        fs::write(vault.join("a.jpg"), "a").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret.jpg"), vault.join("link.jpg")).unwrap();
        std::os::unix::fs::symlink(vault.join("a.jpg"), vault.join("inside.jpg")).unwrap();
        assert!(open_inside(&vault, &vault.join("a.jpg")).is_ok());
        assert!(open_inside(&vault, &vault.join("inside.jpg")).is_ok());
        for bad in ["link.jpg", "../secret.jpg", "folder", "none.jpg"] {
            assert_eq!(open_inside(&vault, &vault.join(bad)).err().map(|error| error.kind()), Some(io::ErrorKind::NotFound), "{bad}");
        }
    }
}
