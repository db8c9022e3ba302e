//! The logs of the guard and of what it guards: opened to append, kept small, and their last lines for error messages.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::ServicesError;

/// A log is cut when it is longer than this.
const LONGEST_BYTES: u64 = 4 << 20;

/// What remains of it then, beside it as `NAME.log.old`.
const KEPT_BYTES: u64 = 1 << 20;

/// Lines shown in an error.
const SHOWN_LINES: usize = 12;

/// Opens a log to write at its end.
///
/// # Errors
/// [`ServicesError::Write`].
pub(super) fn open(path: &Path) -> Result<File, ServicesError> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|source| ServicesError::Write { path: path.to_owned(), source })
}

/// The length of a log now, in bytes, as a place from which [`tail`] reads later.
pub(super) fn end_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |facts| facts.len())
}

/// The last lines written since `start`, each behind a line break and indented; empty when there are none.
pub(super) fn tail(path: &Path, start: u64) -> String {
    let end = end_of(path);
    let from = start.min(end).max(end.saturating_sub(16 << 10));
    let text = read_from(path, from).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].iter().map(|line| format!("\n    {line}")).collect()
}

/// Cuts a log that has grown long. Those who append to it go on at its new end.
pub(super) fn trim(path: &Path) {
    let length = end_of(path);
    if length <= LONGEST_BYTES {
        return;
    }
    let kept = read_from(path, length - KEPT_BYTES).and_then(|text| fs::write(path.with_extension("log.old"), text));
    let cut = kept.and_then(|()| OpenOptions::new().write(true).open(path)).and_then(|file| file.set_len(0));
    if let Err(error) = cut {
        tracing::warn!(file.path = %path.display(), %error, "cannot cut a long log");
    }
}

fn read_from(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LONGEST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_tail_is_what_was_written_since() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut log = open(&path).unwrap();
        writeln!(log, "before").unwrap();
        let start = end_of(&path);
        assert_eq!(tail(&path, start), "");
        writeln!(log, "one\n\ntwo").unwrap();
        assert_eq!(tail(&path, start), "\n    one\n    two");
    }

    #[test]
    fn a_long_log_is_cut_and_written_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut log = open(&path).unwrap();
        log.write_all(&vec![b'x'; LONGEST_BYTES as usize]).unwrap();
        trim(&path);
        assert_eq!(end_of(&path), LONGEST_BYTES, "not longer than allowed");
        writeln!(log, "last").unwrap();
        trim(&path);
        assert_eq!(end_of(&path), 0);
        assert!(fs::read_to_string(dir.path().join("x.log.old")).unwrap().ends_with("last\n"));
        writeln!(log, "on").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "on\n");
    }
}
