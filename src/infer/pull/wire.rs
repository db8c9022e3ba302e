//! One request to a hub, with its redirects. Apart, because hubs say what a file is on the way to it: the digest and size of a large one
//! stand in the redirect to the machine that has its bytes.

use std::{fmt, io::Read, time::Duration};

use ureq::{Agent, config::Config};

use crate::infer::{InferError, Result};

/// Most redirects that are followed.
const MOST_REDIRECTS: usize = 10;

/// How long a server may take to be reached, and then to say anything, in seconds.
const PATIENCE_S: u64 = 30;

/// Asks hubs for files.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    pass: Option<Pass>,
}

/// What one server, and no other that it leads on to, is told about who asks.
#[derive(Clone)]
struct Pass {
    base: String,
    authorization: String,
}

/// It is a secret.
impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pass({})", self.base)
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// What a server answered in the end.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The digest that it, or a redirect to it, states.
    pub(super) sha256: Option<String>,
    /// The size that a redirect to it states.
    pub(super) linked_bytes: Option<u64>,
    length: Option<u64>,
    range: Option<String>,
    etag: Option<String>,
    modified: Option<String>,
    pub(super) body: Box<dyn Read>,
}

impl Client {
    /// A client that gives up on a server which says nothing for half a minute.
    pub fn new() -> Self {
        let patience = Some(Duration::from_secs(PATIENCE_S));
        let config: Config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_resolve(patience)
            .timeout_connect(patience)
            .timeout_recv_response(patience)
            .timeout_per_read(patience)
            .user_agent(concat!("hm/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), pass: None }
    }

    /// One that says who asks to the addresses that begin with `base`, which ends in a slash: `authorization` is the value of the header.
    pub fn for_server(base: &str, authorization: &str) -> Self {
        Self { pass: Some(Pass { base: base.to_owned(), authorization: authorization.to_owned() }), ..Self::new() }
    }

    /// Sends a request and follows where it is led.
    ///
    /// # Errors
    /// [`InferError::Fetch`] when no answer comes, or it leads nowhere.
    pub(super) fn send(&self, method: &str, address: &str, headers: &[(&str, String)]) -> Result<Answer> {
        let fail = |why: String| InferError::Fetch { address: address.to_owned(), why };
        let mut at = address.to_owned();
        let (mut sha256, mut linked_bytes) = (None, None);
        for _ in 0..=MOST_REDIRECTS {
            if !at.starts_with("https://") && !at.starts_with("http://") {
                return Err(fail(format!("`{at}` is no address of the web")));
            }
            let mut request = if method == "HEAD" { self.agent.head(&at) } else { self.agent.get(&at) };
            // A packed answer would have another length and digest than the file.
            request = request.header("Accept-Encoding", "identity");
            if let Some(pass) = self.pass.as_ref().filter(|pass| at.starts_with(&pass.base)) {
                request = request.header("Authorization", &pass.authorization);
            }
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            let response = request.call().map_err(|error| fail(error.to_string()))?;
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            sha256 = sha256.or_else(|| digest(&header("x-linked-etag")?));
            linked_bytes = linked_bytes.or_else(|| header("x-linked-size")?.parse().ok());
            let status = response.status().as_u16();
            if matches!(status, 301 | 302 | 303 | 307 | 308) {
                let location = header("location").ok_or_else(|| fail("the server leads on, but not where to".into()))?;
                let next =
                    joined(&at, &location).ok_or_else(|| fail(format!("the server leads on to `{location}`, which is no address")))?;
                if at.starts_with("https://") && !next.starts_with("https://") {
                    return Err(fail(format!("the server leads from an encrypted connection to one that is not: {next}")));
                }
                at = next;
                continue;
            }
            return Ok(Answer {
                status,
                sha256,
                linked_bytes,
                length: header("content-length").and_then(|length| length.parse().ok()),
                range: header("content-range"),
                etag: header("etag"),
                modified: header("last-modified"),
                body: Box::new(response.into_body().into_reader()),
            });
        }
        Err(fail(format!("the server leads on more than {MOST_REDIRECTS} times")))
    }
}

impl Answer {
    /// How many bytes are to come.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Where the part that comes begins, and how long the whole is.
    pub(super) fn range(&self) -> Option<(u64, Option<u64>)> {
        let (part, total) = self.range.as_deref()?.strip_prefix("bytes ")?.split_once('/')?;
        Some((part.split_once('-')?.0.trim().parse().ok()?, total.trim().parse().ok()))
    }

    /// How long the whole is, of an answer that has no part of it.
    pub(super) fn range_total(&self) -> Option<u64> {
        self.range.as_deref()?.strip_prefix("bytes ")?.split_once('/')?.1.trim().parse().ok()
    }

    /// What tells this file from another at the same address: a strong tag, or when it was changed.
    pub(super) fn validator(&self) -> Option<String> {
        self.etag.clone().filter(|etag| etag.starts_with('"')).or_else(|| self.modified.clone())
    }
}

/// The digest in a tag, if it is one: short files have another kind of it.
fn digest(etag: &str) -> Option<String> {
    let digits = etag.trim_start_matches("W/").trim_matches('"');
    let is_digest = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| digits.to_ascii_lowercase())
}

/// Where a `Location` leads from an address.
fn joined(from: &str, location: &str) -> Option<String> {
    if location.contains("://") {
        return (location.starts_with("https://") || location.starts_with("http://")).then(|| location.to_owned());
    }
    let (scheme, rest) = from.split_once("://")?;
    if location.starts_with("//") {
        return Some(format!("{scheme}:{location}"));
    }
    let path = rest.split(['?', '#']).next()?;
    let host = path.split('/').next()?;
    if location.starts_with('/') {
        return Some(format!("{scheme}://{host}{location}"));
    }
    let folder = path.rsplit_once('/').map_or(host, |(folder, _)| folder);
    Some(format!("{scheme}://{folder}/{location}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let from = "https://h.example/a/b?x=1";
        assert_eq!(joined(from, "https://c.example/y").unwrap(), "https://c.example/y");
        assert_eq!(joined(from, "//c.example/y").unwrap(), "https://c.example/y");
        assert_eq!(joined(from, "/y?z").unwrap(), "https://h.example/y?z");
        assert_eq!(joined(from, "c").unwrap(), "https://h.example/a/c");
        assert_eq!(joined("http://h", "c").unwrap(), "http://h/c");
        assert_eq!(joined(from, "file:///etc/passwd"), None);
    }

    #[test]
    fn only_a_digest_is_taken_for_one() {
        let digits = "A".repeat(64);
        assert_eq!(digest(&format!("\"{digits}\"")), Some("a".repeat(64)));
        for other in ["\"abc\"", "", &"g".repeat(64), &format!("\"{}\"", "a".repeat(40))] {
            assert_eq!(digest(other), None, "{other}");
        }
    }

    #[test]
    fn parts_are_told_from_the_whole() {
        let answer = |range: &str, etag: Option<&str>| Answer {
            status: 206,
            sha256: None,
            linked_bytes: None,
            length: Some(5),
            range: Some(range.into()),
            etag: etag.map(str::to_owned),
            modified: Some("Mon".into()),
            body: Box::new(std::io::empty()),
        };
        assert_eq!(answer("bytes 5-9/10", None).range(), Some((5, Some(10))));
        assert_eq!(answer("bytes 5-9/*", None).range(), Some((5, None)));
        assert_eq!(answer("bytes */10", None).range(), None);
        assert_eq!(answer("bytes */10", None).range_total(), Some(10));
        assert_eq!(answer("items 1-2/3", None).range(), None);
        // A weak tag promises no equal bytes.
        assert_eq!(answer("", Some("W/\"x\"")).validator(), Some("Mon".into()));
        assert_eq!(answer("", Some("\"x\"")).validator(), Some("\"x\"".into()));
    }
}
