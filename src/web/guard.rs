//! What holds for every request: who may ask, and what a browser is told about the answer.
//!
//! Without accounts the loopback address is the only wall, so two ways around it are closed here: a site of somebody else that
//! makes the browser send a form (cross-origin), and one that lets its own name point to 127.0.0.1 (DNS rebinding). With accounts the
//! first would let another site act for whoever is signed in. Who that is, `session` finds out.

use std::net::{IpAddr, SocketAddr};

use actix_web::{
    HttpRequest,
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};

use super::error::WebError;

const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self'; \
    style-src-attr 'unsafe-inline'; script-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Headers of every answer.
const HEADERS: [(&str, &str); 5] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// The policy of a page that also shows pictures of one other place, such as `https://tiles.example`.
pub(super) fn policy_with_images_of(origin: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&CONTENT_SECURITY_POLICY.replace("img-src 'self'", &format!("img-src 'self' {origin}"))).ok()
}

/// The names by which a request may call this server.
#[derive(Debug, Clone)]
pub(super) struct AllowedHosts {
    /// The address listened on.
    address: IpAddr,
    /// Names that the owner gave it.
    names: Vec<String>,
}

impl AllowedHosts {
    /// Loopback's names, the address listened on, and those of the configuration. Off loopback everybody signs in, and a cookie goes to
    /// no other name: any name will do.
    pub(super) fn of(address: SocketAddr, names: &[String]) -> Self {
        Self { address: address.ip(), names: names.to_vec() }
    }

    /// Any port will do: a forwarded one is not the server's own.
    fn allow(&self, host: &str) -> bool {
        if !self.address.is_loopback() {
            return true;
        }
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
            None => host.split_once(':').map_or(host, |(name, _)| name),
        };
        let is_own = |own: &String| own.eq_ignore_ascii_case(name);
        name.eq_ignore_ascii_case("localhost")
            || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback() || ip == self.address)
            || self.names.iter().any(is_own)
    }
}

/// Puts the headers on an answer, whatever it is; one that the handler set already stays.
pub(super) fn add_headers(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        if !headers.contains_key(name) {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
    }
    let is_html = headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if is_html {
        headers.append(header::VARY, HeaderValue::from_static("HX-Request"));
    }
}

/// Why a request may not be answered at all, if so.
pub(super) fn refusal(request: &HttpRequest) -> Option<WebError> {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let allowed = request.app_data::<AllowedHosts>();
    if let (Some(host), Some(allowed)) = (host, allowed)
        && !allowed.allow(host)
    {
        return Some(WebError::WrongHost);
    }
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    (!only_reads && !is_same_origin(headers, host)).then_some(WebError::CrossOrigin)
}

/// Refuses a change that carries a browser's cookie and does not say that it comes from a page of this server.
///
/// # Errors
/// [`WebError::CrossOrigin`].
pub(super) fn check_own_form(request: &HttpRequest) -> Result<(), WebError> {
    let headers = request.headers();
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let says_where = headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN);
    if only_reads || says_where { Ok(()) } else { Err(WebError::CrossOrigin) }
}

/// Browsers say where a form comes from; programs that say nothing are no browser and carry nobody's trust.
fn is_same_origin(headers: &HeaderMap, host: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin.split_once("://").is_some_and(|(_, origin)| Some(origin) == host),
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let hosts = AllowedHosts::of("127.0.0.2:80".parse().unwrap(), &["Photos.example".to_owned()]);
        for good in ["localhost", "LOCALHOST:8017", "127.0.0.1:9000", "[::1]:8017", "127.0.0.2", "photos.example:443"] {
            assert!(hosts.allow(good), "{good}");
        }
        for bad in ["evil.example", "evil.example:8017", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.2", "", "[::2]"] {
            assert!(!hosts.allow(bad), "{bad}");
        }
        assert!(AllowedHosts::of("192.168.1.2:80".parse().unwrap(), &[]).allow("nas.local"));
    }

    #[test]
    fn pictures_of_one_other_place_are_allowed_and_nothing_else_of_it() {
        let policy = policy_with_images_of("https://tiles.example").unwrap();
        let policy = policy.to_str().unwrap();
        assert_eq!(policy.matches("tiles.example").count(), 1);
        assert!(policy.contains("img-src 'self' https://tiles.example data:"), "{policy}");
    }

    #[test]
    fn only_forms_of_this_server_may_write() {
        let same = |pairs: &[(&'static str, &'static str)]| {
            let request = pairs.iter().fold(TestRequest::post(), |request, pair| request.insert_header(*pair)).to_http_request();
            is_same_origin(request.headers(), Some("localhost:8017"))
        };
        assert!(same(&[]));
        assert!(same(&[("origin", "http://localhost:8017")]));
        assert!(same(&[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8017")]));
        assert!(!same(&[("origin", "http://localhost:9999")]));
        assert!(!same(&[("origin", "null")]));
        assert!(!same(&[("sec-fetch-site", "cross-site")]));
        assert!(!same(&[("sec-fetch-site", "same-site"), ("origin", "http://localhost:8017")]));
    }
}
