//! Files of weights from another machine: asked for by name or address, resumed where a connection broke, compared with the digest that
//! the hub states or somebody gives. Apart from importing, because it is the one part of `infer` that speaks with other machines, and never
//! does unless a person asks for it. Imports the shelf for its rooms.
//!
//! ```text
//! address → look: redirects → size, digest → fetch: FILE.part, from where it ends (Range, If-Range) → length, digest → FILE
//! ```

mod catalogue;
mod wire;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{InferError, Result, manifest, shelf::need_room};

pub use catalogue::{CATALOGUE, Hub, Offer, OfferedFile, offer};
use wire::Answer;
pub use wire::Client;

/// Largest file that is fetched, in bytes, whatever a server says.
const MOST_BYTES: u64 = 64 << 30;

/// Tries in a row that bring nothing before it is given up.
const MOST_TRIES: u32 = 5;

/// Pause before the second try; it doubles with each one that brings nothing.
const PAUSE: Duration = Duration::from_millis(500);

/// What a server says of a file before it is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Looked {
    /// Its size, if the server says.
    pub bytes: Option<u64>,
    /// Its digest in hexadecimal digits, if the server says.
    pub sha256: Option<String>,
}

/// Where the rest of a half file may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    address: String,
    /// What `If-Range` takes: without it, another file of the same name would be put behind the first half.
    validator: Option<String>,
}

/// How one try ended.
enum Tried {
    /// The file is whole as far as the server says.
    Whole,
    /// The connection broke, or the server wants to be asked later.
    Broken(String),
}

impl Client {
    /// Asks what a file is, without fetching it; `None` when the server has none at that address.
    ///
    /// # Errors
    /// [`InferError::Fetch`] when the server does not answer, or refuses.
    pub fn look(&self, address: &str) -> Result<Option<Looked>> {
        let answer = self.send("HEAD", address, &[])?;
        match answer.status {
            404 | 410 => Ok(None),
            200..=299 => Ok(Some(Looked { bytes: answer.linked_bytes.or(answer.length()), sha256: answer.sha256 })),
            // Some servers know only GET.
            405 | 501 => Ok(Some(Looked::default())),
            status => Err(refusal(address, status)),
        }
    }

    /// Fetches a file to `to`, going on where an earlier try of the same address ended. `progress` is told the bytes that are there, and
    /// of how many.
    ///
    /// # Errors
    /// [`InferError::Fetch`] when the server refuses, ends the connection again and again, or sends something else than `expected`;
    /// [`InferError::Refused`] when the disk has no room; [`InferError::Read`] and [`InferError::Write`].
    pub fn fetch(&self, address: &str, to: &Path, expected: &Looked, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<()> {
        let (part, note) = (beside(to, "part"), beside(to, "part.json"));
        if begun(&note).is_none_or(|begun| begun.address != address) {
            forget(&part)?;
        }
        let mut most_bytes = length(&part);
        let mut in_vain = 0;
        let digest = loop {
            match self.try_once(address, (&part, &note), expected, progress)? {
                (Tried::Whole, digest) => break expected.sha256.clone().or(digest),
                (Tried::Broken(why), _) => {
                    let bytes = length(&part);
                    in_vain = if bytes > most_bytes { 0 } else { in_vain + 1 };
                    most_bytes = bytes.max(most_bytes);
                    if in_vain >= MOST_TRIES {
                        let why = format!("{why}\nhint: the {bytes} bytes that came are kept: the same command goes on from there");
                        return Err(InferError::Fetch { address: address.to_owned(), why });
                    }
                    tracing::debug!("{address}: {why}; {bytes} bytes are there");
                    thread::sleep(PAUSE * 2u32.pow(in_vain));
                }
            }
        };
        verify(address, (&part, &note), expected.bytes, digest.as_deref())?;
        fs::rename(&part, to).map_err(|source| InferError::Write { path: to.to_owned(), source })?;
        forget(&note)
    }

    /// One request for what is still lacking. Says how it ended, and the digest that the server states.
    fn try_once(
        &self,
        address: &str,
        (part, note): (&Path, &Path),
        expected: &Looked,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<(Tried, Option<String>)> {
        let begun = begun(note).and_then(|begun| begun.validator);
        // Without a validator only a digest tells whether the halves belong together.
        let have = if begun.is_some() || expected.sha256.is_some() { length(part) } else { 0 };
        let mut headers = Vec::new();
        if have > 0 {
            headers.push(("Range", format!("bytes={have}-")));
            headers.extend(begun.map(|validator| ("If-Range", validator)));
        }
        let mut answer = match self.send("GET", address, &headers) {
            Ok(answer) => answer,
            Err(InferError::Fetch { why, .. }) => return Ok((Tried::Broken(why), None)),
            Err(other) => return Err(other),
        };
        let (start, total) = match answer.status {
            200 => (0, answer.length()),
            206 => match answer.range() {
                Some((start, total)) if start == have => (start, total),
                _ => {
                    forget(part)?;
                    return Ok((Tried::Broken("the server sent another part than it was asked for".into()), None));
                }
            },
            // There is nothing behind what is there, or the file has become shorter.
            416 if answer.range_total() == Some(have) => return Ok((Tried::Whole, answer.sha256)),
            416 => {
                forget(part)?;
                return Ok((Tried::Broken("the file has changed on the server".into()), None));
            }
            408 | 425 | 429 | 500..=599 => return Ok((Tried::Broken(format!("the server answers with {}", answer.status)), None)),
            status => return Err(refusal(address, status)),
        };
        let total = total.or(expected.bytes);
        let too_large = |bytes: u64| InferError::Fetch {
            address: address.to_owned(),
            why: format!("it has {bytes} bytes and more; no network is that large"),
        };
        if let Some(total) = total {
            if total > MOST_BYTES {
                return Err(too_large(total));
            }
            need_room(part.parent().unwrap_or(Path::new(".")), total.saturating_sub(start))?;
        }
        let told = Begun { address: address.to_owned(), validator: answer.validator() };
        write(note, &serde_json::to_vec(&told).map_err(|error| InferError::BadInput(error.to_string()))?)?;
        let mut file = if start == 0 { File::create(part) } else { OpenOptions::new().append(true).open(part) }
            .map_err(|source| InferError::Write { path: part.to_owned(), source })?;
        let broken =
            copy(&mut answer, &mut file, start, total, progress).map_err(|source| InferError::Write { path: part.to_owned(), source })?;
        let bytes = length(part);
        if bytes > MOST_BYTES {
            return Err(too_large(bytes));
        }
        let lacks = total.is_some_and(|total| bytes < total);
        Ok(match broken {
            Some(why) => (Tried::Broken(why), None),
            None if lacks => (Tried::Broken(format!("the connection ended after {bytes} bytes")), None),
            None => (Tried::Whole, answer.sha256),
        })
    }
}

/// Writes what comes to the file; says why no more came, if it was not the end. An error is the file's.
fn copy(
    answer: &mut Answer,
    file: &mut File,
    start: u64,
    total: Option<u64>,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> io::Result<Option<String>> {
    let mut buffer = vec![0u8; 1 << 18];
    let mut bytes = start;
    progress(bytes, total);
    loop {
        let count = match answer.body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => {
                file.sync_all()?;
                return Ok(Some(format!("the connection broke: {error}")));
            }
        };
        file.write_all(&buffer[..count])?;
        bytes += count as u64;
        progress(bytes, total);
        // More than was announced, or than can be: what came is judged by the caller.
        if bytes > total.unwrap_or(MOST_BYTES) {
            break;
        }
    }
    file.sync_all()?;
    Ok(None)
}

/// Compares a whole file with what it should be; another one is of no use, and goes.
fn verify(address: &str, (part, note): (&Path, &Path), bytes: Option<u64>, sha256: Option<&str>) -> Result<()> {
    let came = length(part);
    let wrong = if let Some(bytes) = bytes.filter(|bytes| *bytes != came) {
        format!("what came has {came} bytes instead of {bytes}")
    } else if let Some(expected) = sha256 {
        let (_, sha256) = manifest::digest(part)?;
        if sha256.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        format!("what came has the sha256 {sha256} instead of {expected}")
    } else {
        return Ok(());
    };
    forget(part)?;
    forget(note)?;
    let hint = "fetch it again; when that happens twice, it is not the file that was meant";
    Err(InferError::Fetch { address: address.to_owned(), why: format!("{wrong}, and was deleted\nhint: {hint}") })
}

/// What a server's refusal means for a person.
fn refusal(address: &str, status: u16) -> InferError {
    let why = match status {
        404 | 410 => "there is no such file\nhint: look at the page of the network for what its files are called".to_owned(),
        401 | 403 => "the server wants you to sign in, or to agree to something first\n\
                      hint: fetch it with a browser, then: hm models import FILE"
            .to_owned(),
        status => format!("the server answers with {status}"),
    };
    InferError::Fetch { address: address.to_owned(), why }
}

fn beside(to: &Path, ending: &str) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn begun(note: &Path) -> Option<Begun> {
    serde_json::from_slice(&fs::read(note).ok()?).ok()
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn forget(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(InferError::Write { path: path.to_owned(), source: error }),
        _ => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|source| InferError::Write { path: path.to_owned(), source })
}

/// The last part of an address, as a plain name for a file.
///
/// # Errors
/// [`InferError::Refused`] when it has none.
pub fn file_name(address: &str) -> Result<String> {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let rest = path.split_once("://").map_or("", |(_, rest)| rest);
    let name = rest.split_once('/').map_or("", |(_, path)| path).rsplit('/').next().unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+');
    if name.is_empty() || name.starts_with('.') || name.len() > 200 || !name.bytes().all(is_plain) {
        return Err(InferError::Refused(format!(
            "`{address}` does not end in the name of a file\nhint: give the address of the file itself"
        )));
    }
    Ok(name.to_owned())
}

/// The address of a file beside another, with the same question behind it.
pub fn sibling(address: &str, name: &str) -> Option<String> {
    let (path, question) = address.split_at(address.find('?').unwrap_or(address.len()));
    let (folder, _) = path.rsplit_once('/')?;
    Some(format!("{folder}/{name}{question}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_end_in_a_plain_name() {
        assert_eq!(file_name("https://h/a/b/model.safetensors?download=true").unwrap(), "model.safetensors");
        assert_eq!(file_name("http://127.0.0.1:1/x.pt#y").unwrap(), "x.pt");
        for address in
            ["https://h", "https://h/", "https://h/a/", "https://h/..", "https://h/.x", "https://h/a%2fb", "model.pt", "https://h/a\\b"]
        {
            assert!(file_name(address).is_err(), "{address}");
        }
    }

    #[test]
    fn files_beside_another_keep_its_question() {
        let address = "https://h/a/model.safetensors?download=true";
        assert_eq!(sibling(address, "config.json").unwrap(), "https://h/a/config.json?download=true");
        assert_eq!(sibling("https://h/a/b/x.pt", "y").unwrap(), "https://h/a/b/y");
    }
}
