//! The server of a worker on another machine: asked for pictures and networks over HTTP, with the token of the invitation.

use std::{fmt, time::Duration};

use ureq::{Agent, Body, http::Response};

/// How long the server may take to be reached.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may take: the server waits itself for a picture that is being made.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// How long the rest of a picture may take.
const BODY_PATIENCE: Duration = Duration::from_secs(60);
/// Largest answer that is read as a whole, in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// The server, cheap to clone: connections are kept and shared.
#[derive(Clone)]
pub struct Server {
    agent: Agent,
    base: String,
    token: String,
}

/// The token is a secret.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.base)
    }
}

/// What it says instead of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It cannot be reached, is not itself, or does not let us in: it is asked again.
    Away(String),
    /// It has an answer, which is a refusal.
    Said {
        /// The stable word of it; empty where there is none.
        code: String,
        /// For people.
        message: String,
    },
}

/// A body, and the tag it came with.
pub(super) struct Answer {
    pub(super) etag: String,
    pub(super) bytes: Vec<u8>,
}

impl Server {
    /// The server at an address such as `http://192.168.1.5:8017`.
    pub fn new(base: &str, token: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_PATIENCE))
            .timeout_recv_response(Some(ANSWER_PATIENCE))
            .timeout_recv_body(Some(BODY_PATIENCE))
            // The token is for this server alone.
            .max_redirects(0)
            .user_agent(concat!("hm/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), base: base.trim_end_matches('/').to_owned(), token: token.to_owned() }
    }

    /// The whole address of a path.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// What `Authorization` says.
    pub(super) fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(super) fn get(&self, path: &str) -> Result<Answer, Refusal> {
        let request = self.agent.get(self.address(path)).header("Authorization", self.authorization());
        let mut response = request.call().map_err(|error| Refusal::Away(error.to_string()))?;
        let status = response.status().as_u16();
        let etag = response.headers().get("etag").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let bytes = read(&mut response).map_err(Refusal::Away)?;
        if status == 200 {
            return Ok(Answer { etag, bytes });
        }
        Err(refusal(status, &bytes))
    }
}

fn read(response: &mut Response<Body>) -> Result<Vec<u8>, String> {
    response.body_mut().with_config().limit(MOST_BYTES).read_to_vec().map_err(|error| error.to_string())
}

/// What an answer other than 200 means.
fn refusal(status: u16, body: &[u8]) -> Refusal {
    let said: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let word = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
    let (code, message) = (word("code"), word("message"));
    match status {
        401 | 403 => {
            Refusal::Away(format!("it does not let this worker in ({status}); was the invitation revoked? `hm worker list` there"))
        }
        404 if !code.is_empty() => Refusal::Said { code, message },
        503 if code == "picture_pending" => Refusal::Said { code, message },
        _ => Refusal::Away(format!("it answers with {status} {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_ill_is_told_from_one_that_has_no_picture() {
        let said = |code: &str| Refusal::Said { code: code.into(), message: "M".into() };
        assert_eq!(refusal(404, br#"{"code":"no_picture","message":"M"}"#), said("no_picture"));
        assert_eq!(refusal(503, br#"{"code":"picture_pending","message":"M"}"#), said("picture_pending"));
        for (status, body) in
            [(503, r#"{"code":"unavailable"}"#), (404, "<h1>nginx</h1>"), (502, ""), (401, r#"{"code":"bad_token"}"#), (302, "")]
        {
            assert!(matches!(refusal(status, body.as_bytes()), Refusal::Away(_)), "{status} {body}");
        }
    }

    #[test]
    fn the_token_is_in_no_log() {
        assert_eq!(format!("{:?}", Server::new("http://h:1/", "hm_secret")), "Server(http://h:1)");
    }
}
