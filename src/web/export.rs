//! Whatever passes a filter, taken along: as a table, a list, or an archive of originals or proxies. Sent while it is read, by a thread of its
//! own that waits for whoever takes it; what goes wrong on the way cuts the answer off, so that nobody takes it for whole.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    http::{
        Method,
        header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING},
    },
    web::{Bytes, Data},
};
use chrono::{DateTime, Local};
use tokio::{
    runtime::Handle,
    sync::mpsc::{Receiver, Sender, channel},
};

use super::{
    State, WebError,
    page::{self, Pairs},
};
use crate::{
    db::{
        Db,
        export::{ExportSize, ExportedFile, ExportedProxy, Numbering, as_of_one_moment, export_files, list_proxies, measure_export},
    },
    export::{
        ExportError, TableOf,
        archive::{Packer, open_inside},
        tables::Format,
        write_ids, write_paths, write_table,
    },
    models::{Filter, PictureKey, PictureSize, RelPath, size_words},
};

/// Bytes gathered before they are sent.
const PIECE: usize = 64 << 10;
/// Pieces that wait to be taken.
const PIECES_AHEAD: usize = 4;
/// How long one may wait to be taken before whoever should take it is given up.
const STALLED: Duration = Duration::from_secs(120);
/// Most files in one archive.
pub(super) const MOST_FILES: i64 = 20_000;
/// Most bytes of originals in one archive.
pub(super) const MOST_BYTES: i64 = 200_000_000_000;

/// What the pages offer: words, and the query beside the filter.
const LINKS: &[(&str, &str)] = &[
    ("Originals (zip)", "format=zip"),
    ("JPEGs for a screen (zip)", "format=zip&of=proxies"),
    ("Table of photos (CSV)", "format=csv"),
    ("Table of files (CSV)", "format=csv&of=files"),
    ("Table of photos (Parquet)", "format=parquet"),
    ("Paths of all files", "format=paths"),
];

/// Ways to take along what passes a filter: words and address.
pub(super) fn links(filter: &Filter) -> Vec<(&'static str, String)> {
    let query = page::query(filter, &[]);
    let href = |own: &str| if query.is_empty() { format!("/api/v1/export?{own}") } else { format!("/api/v1/export?{own}&{query}") };
    LINKS.iter().map(|(words, own)| (*words, href(own))).collect()
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Paths,
    Ids,
    Table(Format, TableOf),
    Originals,
    Proxies,
}

impl What {
    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, WebError> {
        let format = page::value_of(pairs, "format").unwrap_or("csv");
        let of = page::value_of(pairs, "of");
        let not_understood = |key: &str, value: &str, expected: &str| {
            Err(WebError::BadRequest(format!("`{key}={value}` is not understood: expected {expected}")))
        };
        let table = match format {
            "paths" => return Ok(Self::Paths),
            "ids" => return Ok(Self::Ids),
            "zip" => {
                return match of.unwrap_or("originals") {
                    "originals" => Ok(Self::Originals),
                    "proxies" => Ok(Self::Proxies),
                    other => not_understood("of", other, "`originals` or `proxies`"),
                };
            }
            "csv" => Format::Csv,
            "jsonl" => Format::Jsonl,
            "parquet" => Format::Parquet,
            other => return not_understood("format", other, "`paths`, `ids`, `csv`, `jsonl`, `parquet` or `zip`"),
        };
        match of.unwrap_or("images") {
            "images" => Ok(Self::Table(table, TableOf::Images)),
            "files" => Ok(Self::Table(table, TableOf::Files)),
            other => not_understood("of", other, "`images` or `files`"),
        }
    }

    /// Media type and file name.
    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Paths => ("text/plain; charset=utf-8", "paths.txt"),
            Self::Ids => ("text/plain; charset=utf-8", "ids.txt"),
            Self::Table(Format::Csv, TableOf::Images) => ("text/csv; charset=utf-8", "images.csv"),
            Self::Table(Format::Csv, TableOf::Files) => ("text/csv; charset=utf-8", "files.csv"),
            Self::Table(Format::Jsonl, TableOf::Images) => ("application/x-ndjson", "images.jsonl"),
            Self::Table(Format::Jsonl, TableOf::Files) => ("application/x-ndjson", "files.jsonl"),
            Self::Table(Format::Parquet, TableOf::Images) => ("application/vnd.apache.parquet", "images.parquet"),
            Self::Table(Format::Parquet, TableOf::Files) => ("application/vnd.apache.parquet", "files.parquet"),
            Self::Originals => ("application/zip", "originals.zip"),
            Self::Proxies => ("application/zip", "photos.zip"),
        }
    }

    fn is_packed(self) -> bool {
        matches!(self, Self::Originals | Self::Proxies | Self::Table(Format::Parquet, _))
    }
}

/// `GET /api/v1/export?format=&of=` and a filter.
pub(super) async fn export(request: &HttpRequest, state: &Data<State>, pairs: &Pairs) -> Result<HttpResponse, WebError> {
    let filter = page::set_of(pairs)?;
    let what = What::from_pairs(pairs)?;
    if matches!(what, What::Originals | What::Proxies) {
        let wanted = filter.clone();
        check_size(what, state.db.run(move |conn| measure_export(conn, &wanted)).await?)?;
    }
    let (media_type, name) = what.labels();
    let mut response = HttpResponse::Ok();
    response.content_type(media_type).insert_header((CACHE_CONTROL, "private, no-store"));
    response.insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")));
    if what.is_packed() {
        // It would be packed once more, in vain.
        response.insert_header((CONTENT_ENCODING, "identity"));
    }
    if *request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let turn = state.export_turn().ok_or(WebError::Busy("Other exports are under way. Try again when one of them is done."))?;
    let (sender, receiver) = channel(PIECES_AHEAD);
    let job = Job { db: state.db.clone(), host: state.host.clone(), thumbs_dir: state.thumbs_dir.clone(), filter, what };
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut to = Pieces { sender, runtime, gathered: Vec::with_capacity(PIECE) };
        let sent = job.run(&mut to).and_then(|()| Ok(to.end()?));
        if let Err(error) = sent {
            tracing::info!("an export ended early: {error}");
        }
    });
    Ok(response.body(Arriving { pieces: receiver, is_over: false }))
}

/// Refuses an archive that nobody could want.
fn check_size(what: What, size: ExportSize) -> Result<(), WebError> {
    let (count, bytes, noun) = match what {
        What::Proxies => (size.images, 0, "photos"),
        _ => (size.files, size.bytes, "files"),
    };
    if size.images == 0 {
        return Err(WebError::Conflict("No photo passes this filter: there is nothing to pack.".to_owned()));
    }
    if count > MOST_FILES || bytes > MOST_BYTES {
        return Err(WebError::TooLarge(format!(
            "That would be {} {noun}{}: one archive takes {} at most, of {}. Narrow the filter, for example to a month, or export the paths.",
            page::grouped(count),
            if bytes > 0 { format!(" of {}", size_words(bytes)) } else { String::new() },
            page::grouped(MOST_FILES),
            size_words(MOST_BYTES)
        )));
    }
    Ok(())
}

/// An export, with all it needs.
struct Job {
    db: Db,
    host: String,
    thumbs_dir: std::path::PathBuf,
    filter: Filter,
    what: What,
}

impl Job {
    fn run(&self, to: &mut Pieces) -> Result<(), ExportError> {
        let mut conn = self.db.get().map_err(|error| io::Error::other(error.to_string()))?;
        match self.what {
            What::Paths => write_paths(&mut conn, &self.host, &self.filter, to),
            What::Ids => write_ids(&mut conn, &self.filter, to),
            What::Table(format, of) => write_table(&mut conn, &self.host, &self.filter, of, format, to).map(|_| ()),
            What::Originals => {
                // Read before the first is packed: nothing of the database is held while somebody takes their time.
                let mut files = Vec::new();
                as_of_one_moment(&mut conn, |conn| {
                    export_files(conn, &self.host, Some(&self.filter), Numbering::Id, |file| {
                        files.push(file);
                        Ok::<_, ExportError>(())
                    })
                })?;
                drop(conn);
                pack_originals(&files, to)
            }
            What::Proxies => {
                let proxies = list_proxies(&mut conn, &self.filter, MOST_FILES)?;
                drop(conn);
                self.pack_proxies(&proxies, to)
            }
        }
    }

    fn pack_proxies(&self, proxies: &[ExportedProxy], to: &mut Pieces) -> Result<(), ExportError> {
        let mut packer = Packer::new(to);
        for proxy in proxies {
            let name = format!("{}_{}.jpg", proxy.captured_at.format("%Y-%m-%d_%H-%M-%S"), proxy.base_name.replace('/', "_"));
            let key = proxy.picture_key.as_deref().and_then(|key| key.parse::<PictureKey>().ok());
            let lack = match (&key, &proxy.error) {
                (None, _) => Some("none of its files has pixels"),
                (_, Some(reason)) => Some(reason.as_str()),
                _ => None,
            };
            if let Some(reason) = lack {
                packer.leave_out(&name, reason);
                continue;
            }
            let path = key.map(|key| self.thumbs_dir.join(key.relative_path(PictureSize::Proxy))).unwrap_or_default();
            match File::open(path) {
                Ok(file) => packer.add(&name, Some(proxy.captured_at), file)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => packer.leave_out(&name, "its picture is still to be made"),
                Err(error) => packer.leave_out(&name, &error.to_string()),
            }
        }
        Ok(packer.finish()?)
    }
}

/// Packs files under their paths; those of several vaults below the names of these.
fn pack_originals(files: &[ExportedFile], to: &mut Pieces) -> Result<(), ExportError> {
    let has_vaults = files.iter().any(|file| file.vault_name != files[0].vault_name);
    let mut packer = Packer::new(to);
    for file in files {
        let folder = if has_vaults { format!("{}/", file.vault_name.replace('/', "_")) } else { String::new() };
        let path = RelPath::from_bytes(&file.rel_path_bytes).and_then(|folder| folder.join(OsStr::from_bytes(&file.name_bytes)));
        let path = path.map_err(crate::export::BadRow::from)?;
        let name = format!("{folder}{}", path.to_nfc());
        let mount = file.mount.as_deref().map(|mount| Path::new(OsStr::from_bytes(mount)));
        let opened = match (mount, &file.offline) {
            (_, Some(reason)) => Err(format!("its vault is offline: {reason}")),
            (None, None) => Err("this machine does not mount its vault".to_owned()),
            (Some(mount), None) => open_inside(mount, &path.on(mount)).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => "it is no longer on its vault".to_owned(),
                _ => error.to_string(),
            }),
        };
        let modified = DateTime::from_timestamp_nanos(file.modified_at_ns).with_timezone(&Local).naive_local();
        match opened {
            Ok((opened, _)) => packer.add(&name, Some(modified), opened)?,
            Err(reason) => packer.leave_out(&name, &reason),
        }
    }
    Ok(packer.finish()?)
}

/// What a thread sends: bytes, or that there are no more. Whoever sees it fall silent without that knows that it failed.
enum Piece {
    Bytes(Bytes),
    End,
}

/// Gathers bytes and hands them over in pieces, waiting where they are not taken.
struct Pieces {
    sender: Sender<Piece>,
    runtime: Handle,
    gathered: Vec<u8>,
}

impl Pieces {
    fn send(&self, piece: Piece) -> io::Result<()> {
        let sent = self.runtime.block_on(tokio::time::timeout(STALLED, self.sender.send(piece)));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "nobody takes it any more")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "nobody took a piece of it for two minutes")),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        self.send(Piece::End)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE)));
        self.send(Piece::Bytes(piece))
    }
}

/// The pieces as the body of an answer: cut off, with an error, where their end does not come.
struct Arriving {
    pieces: Receiver<Piece>,
    is_over: bool,
}

impl MessageBody for Arriving {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Piece::End) => {
                self.is_over = true;
                None
            }
            None => {
                self.is_over = true;
                Some(Err(io::Error::other("the export failed on its way")))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_its_limits_and_says_so() {
        let size = |files, bytes| ExportSize { images: 3, files, bytes };
        assert!(check_size(What::Originals, size(MOST_FILES, MOST_BYTES)).is_ok());
        let error = check_size(What::Originals, size(MOST_FILES + 1, 5_000_000)).unwrap_err().to_string();
        assert!(error.contains("20,001 files of 5.0 MB") && error.contains("20,000") && error.contains("200 GB"), "{error}");
        assert!(check_size(What::Proxies, size(MOST_FILES + 1, MOST_BYTES + 1)).is_ok(), "proxies are few and small");
        assert!(check_size(What::Originals, ExportSize { images: 0, files: 0, bytes: 0 }).is_err());
    }
}
