//! A server of files that behaves as hubs do, well or badly: parts, tags, redirects, broken connections.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// A file, and how it is served.
#[derive(Clone, Default)]
pub(crate) struct Served {
    pub(crate) bytes: Vec<u8>,
    /// The tag; without it, no part can be asked for safely.
    pub(crate) etag: Option<String>,
    /// The digest that the redirect states.
    pub(crate) sha256: Option<String>,
    /// Answers with this status instead of the file.
    pub(crate) status: Option<u16>,
    /// After so many bytes of a body the connection breaks, each time.
    pub(crate) cut_after: Option<usize>,
    /// After that, nothing more comes, and the connection stays.
    pub(crate) stalls: bool,
    /// The whole file comes whatever part is asked for.
    pub(crate) ignores_ranges: bool,
    /// Leads to `/elsewhere…` first.
    pub(crate) redirects: bool,
}

impl Served {
    pub(crate) fn of(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), etag: Some("\"one\"".into()), ..Self::default() }
    }
}

type Files = Arc<Mutex<BTreeMap<String, Served>>>;

/// A running server. Its thread ends with the process.
pub(crate) struct Hub {
    address: SocketAddr,
    files: Files,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (files, requests): (Files, Arc<Mutex<Vec<String>>>) = Default::default();
        let hub = Self { address, files: Arc::clone(&files), requests: Arc::clone(&requests) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, requests) = (Arc::clone(&files), Arc::clone(&requests));
                // A client that has gone is its own business.
                thread::spawn(move || answer(stream, &files, &requests).ok());
            }
        });
        hub
    }

    pub(crate) fn put(&self, path: &str, served: Served) {
        self.files.lock().unwrap().insert(path.to_owned(), served);
    }

    /// What its addresses begin with.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base())
    }

    /// Every request so far: method, path, range and the tag it goes by.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(stream: TcpStream, files: &Files, requests: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    requests.lock().unwrap().push(format!("{method} {target} {} {}", header("range"), header("if-range")).trim_end().to_owned());

    let mut out = stream;
    let path = target.split('?').next().unwrap_or_default();
    let (path, is_elsewhere) = path.strip_prefix("/elsewhere").map_or((path, false), |rest| (rest, true));
    let Some(served) = files.lock().unwrap().get(path).cloned() else {
        return write!(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    if let Some(status) = served.status {
        return write!(out, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if served.redirects && !is_elsewhere {
        let digest = served.sha256.iter().map(|digest| format!("X-Linked-ETag: \"{digest}\"\r\n")).collect::<String>();
        let size = format!("X-Linked-Size: {}\r\n", served.bytes.len());
        let head = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n";
        return write!(out, "{head}Location: /elsewhere{path}\r\n{digest}{size}\r\n");
    }
    let whole = served.bytes.len();
    let is_same = headers.get("if-range").is_none_or(|tag| Some(tag) == served.etag.as_ref());
    let start = header("range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse().ok());
    let start: usize = start.filter(|_| is_same && !served.ignores_ranges).unwrap_or(0);
    let tag = served.etag.iter().map(|tag| format!("ETag: {tag}\r\n")).collect::<String>();
    if start >= whole && start > 0 {
        let head = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n";
        return write!(out, "{head}Content-Range: bytes */{whole}\r\n\r\n");
    }
    let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
    let range = if start > 0 { format!("Content-Range: bytes {start}-{}/{whole}\r\n", whole - 1) } else { String::new() };
    write!(out, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{tag}{range}\r\n", whole - start)?;
    if method == "HEAD" {
        return Ok(());
    }
    let body = &served.bytes[start..];
    out.write_all(&body[..served.cut_after.unwrap_or(body.len()).min(body.len())])?;
    out.flush()?;
    if served.stalls {
        thread::sleep(Duration::from_secs(120));
    }
    Ok(())
}
