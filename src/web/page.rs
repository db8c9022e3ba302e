//! What all pages share: the frame around them, how they are sent, and how addresses are written.

use std::{
    convert::Infallible,
    future::{Ready, ready},
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::{CACHE_CONTROL, LOCATION},
    web::Query,
};
use askama::Template;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    WebError, assets,
    session::{self, Who},
};
use crate::models::{self, Filter, ImageId, InvalidFilter, QueryError};

/// Whether htmx (or our own script) asks for a fragment instead of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Htmx(pub(super) bool);

impl FromRequest for Htmx {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(is_fragment(request))))
    }
}

/// Whether the request wants a fragment.
pub(super) fn is_fragment(request: &HttpRequest) -> bool {
    request.headers().contains_key("HX-Request")
}

/// The pairs of an address, in their order.
pub(super) type Pairs = Query<Vec<(String, String)>>;

/// The part of the bar that is marked as current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    /// The gallery.
    Photos,
    /// The folders.
    Folders,
    /// The library at a glance.
    Library,
    /// The map.
    Map,
    /// Neither.
    None,
}

/// What the frame around a page shows.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Title of the window, without the program's name.
    pub(super) title: String,
    /// Where in the library one is.
    pub(super) tab: Tab,
    /// The filter in force: the search field keeps it.
    pub(super) filter: Filter,
}

impl Layout {
    /// A frame without a filter.
    pub(super) fn new(title: impl Into<String>, tab: Tab) -> Self {
        Self { title: title.into(), tab, filter: Filter::default() }
    }

    /// The folder of scripts and styles.
    pub(super) fn assets(&self) -> &'static str {
        assets::prefix()
    }

    /// The search in force, as text.
    pub(super) fn text(&self) -> String {
        self.filter.query.to_string()
    }

    /// What the search form carries along.
    pub(super) fn other_pairs(&self) -> Vec<(&'static str, String)> {
        self.filter.to_pairs().into_iter().filter(|(key, _)| *key != "q").collect()
    }

    /// Whether anything but words narrows the gallery.
    pub(super) fn is_filtered(&self) -> bool {
        !self.other_pairs().is_empty()
    }

    /// The page of all filters, with these set.
    pub(super) fn filters_href(&self) -> String {
        address("/filters", &self.filter, &[])
    }

    /// The rating run through what is shown.
    pub(super) fn rate_href(&self) -> String {
        address("/rate", &self.filter.without_like(), &[])
    }

    /// Who asks: `None` on the pages before the door, and where something went wrong.
    pub(super) fn who(&self) -> Option<Who> {
        session::current()
    }

    /// Whether the gallery is current.
    pub(super) fn is_photos(&self) -> bool {
        self.tab == Tab::Photos
    }

    /// Whether the library at a glance is current.
    pub(super) fn is_library(&self) -> bool {
        self.tab == Tab::Library
    }

    /// Whether the map is current.
    pub(super) fn is_map(&self) -> bool {
        self.tab == Tab::Map
    }

    /// The map of this filter.
    pub(super) fn map_href(&self) -> String {
        address("/map", &self.filter.without_like(), &[])
    }

    /// Whether the folders are current.
    pub(super) fn is_folders(&self) -> bool {
        self.tab == Tab::Folders
    }
}

/// Sends a page or fragment that shows the library as it is now.
///
/// # Errors
/// [`WebError::Internal`] when the template fails.
pub(super) fn html(template: &impl Template) -> Result<HttpResponse, WebError> {
    let body = template.render().map_err(|error| WebError::Internal(error.to_string()))?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").insert_header((CACHE_CONTROL, "private, no-cache")).body(body))
}

/// Leads a browser on after a form.
pub(super) fn see_other(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, address)).finish()
}

/// The page of an error.
#[derive(Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage {
    layout: Layout,
    message: String,
    request_id: String,
    recovery: Option<(&'static str, &'static str)>,
    trouble: Option<SearchTrouble>,
}

/// The error where a fragment was asked for.
#[derive(Template)]
#[template(path = "error.html", block = "message")]
pub(super) struct ErrorFragment {
    message: String,
    request_id: String,
    recovery: Option<(&'static str, &'static str)>,
    trouble: Option<SearchTrouble>,
}

/// A search that is not understood, as it is shown: the text with a caret below the place, what was expected, and the way out.
#[derive(Debug)]
pub(super) struct SearchTrouble {
    /// The text as it was typed, whole.
    pub(super) text: String,
    /// The part of it around the place.
    pub(super) shown: String,
    /// Carets below the place.
    pub(super) caret: String,
    /// What is wrong, where, and what would be right.
    pub(super) words: String,
    /// The corrected text, and where it leads.
    pub(super) correction: Option<(String, String)>,
}

impl SearchTrouble {
    /// Dresses an error; a correction keeps the `other` conditions.
    pub(super) fn of(error: &QueryError, other: &Filter) -> Self {
        let (shown, caret) = error.pointer();
        let correction = error.corrected().map(|text| {
            let other = Filter { query: models::Query::default(), ..other.clone() };
            let href = address("/", &other, &[("q", text.clone())]);
            (text, href)
        });
        Self { text: error.text.clone(), shown, caret, words: error.to_string(), correction }
    }
}

/// Writes an error as a page, or as a fragment of one.
pub(super) fn error_html(error: &WebError, request_id: &str, is_fragment: bool) -> Option<String> {
    let (message, request_id, recovery) = (error.to_string(), request_id.to_owned(), error.recovery());
    let trouble = match error {
        WebError::Query(error) => Some(SearchTrouble::of(error, &Filter::default())),
        _ => None,
    };
    if is_fragment {
        return ErrorFragment { message, request_id, recovery, trouble }.render().ok();
    }
    ErrorPage { layout: Layout::new("Not shown", Tab::None), message, request_id, recovery, trouble }.render().ok()
}

/// Reads the filter of an address.
///
/// # Errors
/// [`InvalidFilter`] names the first pair that cannot be understood, or the place in the search.
pub(super) fn filter_of(pairs: &[(String, String)]) -> Result<Filter, InvalidFilter> {
    Filter::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

/// What is said to an order where a set is asked for.
const NO_ORDER: &str =
    "`like:` puts all pictures into an order and leaves none out: say without it which are meant, or name them one by one";

/// Reads the filter of an address that says which images are meant, for what is done with all of them.
///
/// # Errors
/// As [`filter_of`]; [`WebError::BadRequest`] when it has a `like:`.
pub(super) fn set_of(pairs: &[(String, String)]) -> Result<Filter, WebError> {
    without_order(filter_of(pairs)?)
}

/// Refuses a filter with a `like:`.
pub(super) fn without_order(filter: Filter) -> Result<Filter, WebError> {
    match filter.query.like() {
        Some(_) => Err(WebError::BadRequest(NO_ORDER.to_owned())),
        None => Ok(filter),
    }
}

/// The last value of a key, unless it is empty.
pub(super) fn value_of<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().rev().find(|(name, value)| name == key && !value.is_empty()).map(|(_, value)| value.as_str())
}

/// Whether an address stays on this server, however a browser reads it, and fits into a header.
pub(super) fn is_local(address: &str) -> bool {
    let mut bytes = address.bytes();
    let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    is_plain && bytes.next() == Some(b'/') && bytes.next() != Some(b'/')
}

/// What a query may hold as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The query of a filter and further pairs, without a question mark.
pub(super) fn query(filter: &Filter, more: &[(&str, String)]) -> String {
    let pairs = filter.to_pairs();
    let all = pairs.iter().map(|(key, value)| (*key, value)).chain(more.iter().map(|(key, value)| (*key, value)));
    all.map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, PLAIN))).collect::<Vec<_>>().join("&")
}

/// An address with the query of a filter and further pairs.
pub(super) fn address(path: &str, filter: &Filter, more: &[(&str, String)]) -> String {
    let query = query(filter, more);
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The address of an image's picture; the key makes it another address whenever the pixels change.
pub(super) fn picture_src(id: ImageId, size: &str, key: &str) -> String {
    format!("/pictures/{id}/{size}?key={}", utf8_percent_encode(key, PLAIN))
}

/// How long the server waits for a thumbnail that is still to be made, in milliseconds. A browser has few connections: a grid that
/// waits long for its pictures would keep the rows from coming, so the script asks again instead.
const THUMBNAIL_WAIT_MS: u32 = 0;

/// The address of an image's thumbnail.
pub(super) fn thumbnail_src(id: ImageId, key: &str) -> String {
    format!("{}&wait={THUMBNAIL_WAIT_MS}", picture_src(id, "thumbnail", key))
}

/// The mean colour of a placeholder, for CSS.
pub(super) fn mean_colour(placeholder: Option<&[u8]>) -> Option<String> {
    let hash = placeholder.filter(|hash| hash.len() >= 5)?;
    let (red, green, blue, _) = thumbhash::thumb_hash_to_average_rgba(hash).ok()?;
    let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    Some(format!("#{:02x}{:02x}{:02x}", byte(red), byte(green), byte(blue)))
}

/// A placeholder as the script reads it: hexadecimal.
pub(super) fn placeholder_text(placeholder: Option<&[u8]>) -> Option<String> {
    Some(placeholder?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A whole number with commas between thousands.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// `1 photo`, `1,204 photos`.
pub(super) fn photos(count: i64) -> String {
    format!("{} {}", grouped(count), if count == 1 { "photo" } else { "photos" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_leads_back_to_this_server_only() {
        assert!(is_local("/?year=2019#i7"));
        assert!(is_local("/"));
        for bad in ["", "https://evil.example/", "//evil.example", "/\\evil.example", "/\r\nX: y", "javascript:alert(1)", "/a b"] {
            assert!(!is_local(bad), "{bad:?}");
        }
    }

    #[test]
    fn an_address_keeps_every_letter_of_a_filter() {
        let filter = Filter { camera: Some("A&B \"<x>\" é".to_owned()), year: Some(2019), ..Filter::default() };
        let address = address("/", &filter, &[("at", "2019-08".to_owned())]);
        assert_eq!(address, "/?year=2019&camera=A%26B%20%22%3Cx%3E%22%20%C3%A9&at=2019-08");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([photos(1), photos(70_000)], ["1 photo", "70,000 photos"]);
    }

    #[test]
    fn a_damaged_placeholder_has_no_colour() {
        assert_eq!(mean_colour(Some(&[1, 2])), None);
        let red = thumbhash::rgba_to_thumb_hash(1, 1, &[250, 0, 0, 255]);
        let colour = mean_colour(Some(&red)).unwrap();
        assert!(colour.starts_with("#f") || colour.starts_with("#e"), "{colour}");
    }
}
