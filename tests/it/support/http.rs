//! A server on a free port, and requests as they stand on the wire: nothing between the test and what a browser would get.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use actix_web::{dev::ServerHandle, rt::System, web::Data};
use hm::{
    config::MapConfig,
    db::Db,
    queue::Queue,
    web::{State, server},
};

use super::library::HOST;

/// A running server; stopped with the value.
pub(crate) struct App {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    handle: ServerHandle,
}

impl App {
    /// Starts one on a database and a folder of pictures.
    pub(crate) fn start(db: Db, thumbs_dir: &Path) -> Self {
        Self::start_with_queue(db, thumbs_dir, None)
    }

    /// Starts one that also has the tests' Redis, in a name space of its own.
    pub(crate) fn start_with_queue(db: Db, thumbs_dir: &Path, space: Option<&str>) -> Self {
        Self::start_as(db, thumbs_dir, space, |state| state)
    }

    /// Starts one that shows the map as configured.
    pub(crate) fn start_with_map(db: Db, thumbs_dir: &Path, map: MapConfig) -> Self {
        Self::start_as(db, thumbs_dir, None, move |state| state.with_map(map))
    }

    /// Starts one of a state that `change` made its own.
    pub(crate) fn start_as(db: Db, thumbs_dir: &Path, space: Option<&str>, change: impl FnOnce(State) -> State + Send + 'static) -> Self {
        let (thumbs_dir, space) = (thumbs_dir.to_owned(), space.map(str::to_owned));
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            System::new().block_on(async move {
                let queue = match space {
                    Some(space) => Some(Queue::connect(&super::redis_url()).await.expect("Redis answers").within(&space)),
                    None => None,
                };
                let state = change(State::new(db, queue, thumbs_dir, HOST.to_owned()));
                let listening = server(Data::new(state), "127.0.0.1:0".parse().expect("an address"), 1).expect("a free port");
                send.send((listening.address, listening.server.handle())).expect("the test waits");
                listening.server.await
            })
        });
        let (address, handle) = receive.recv_timeout(Duration::from_secs(10)).expect("the server starts");
        Self { address, handle }
    }

    /// Asks for an address.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    /// Asks with further headers.
    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, "")
    }

    /// Sends a form.
    pub(crate) fn post(&self, path: &str, form: &str) -> Answer {
        self.send("POST", path, &[("Content-Type", "application/x-www-form-urlencoded")], form)
    }

    /// Sends any request; `Host` is set unless the headers have one.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        ask(self.address, method, path, headers, body)
    }
}

/// Sends any request to a server; `Host` is set unless the headers have one.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if headers.iter().all(|(name, _)| *name != "Host") {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).expect("the server reads");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the server answers");
    Answer::read(&bytes)
}

impl Drop for App {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Whether a body that came in pieces came to its end.
    pub(crate) is_whole: bool,
}

/// The pieces of a chunked body, and whether the last of them is there.
fn put_together(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let length = std::str::from_utf8(&rest[..line]).ok().and_then(|text| usize::from_str_radix(text, 16).ok()).expect("a length");
        rest = &rest[line + 2..];
        if length == 0 {
            return (body, true);
        }
        body.extend_from_slice(&rest[..length.min(rest.len())]);
        rest = rest.get(length + 2..).unwrap_or_default();
    }
    (body, false)
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).expect("a status line");
        let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        let headers: BTreeMap<String, String> = headers.collect();
        let body = &bytes[end + 4..];
        if headers.get("transfer-encoding").is_none_or(|coding| coding != "chunked") {
            return Self { status, headers, body: body.to_vec(), is_whole: true };
        }
        let (body, is_whole) = put_together(body);
        Self { status, headers, body, is_whole }
    }

    /// A header's value; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: status {}, {}", self.status, self.text()))
    }
}
