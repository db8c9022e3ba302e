//! What goes wrong in a request, as a person and a program read it: a stable code, a sentence, and a way on.
//!
//! A handler returns the error; `render` dresses it for who asked: JSON under `/api`, a fragment for htmx, else a page.

use std::fmt;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{
        Method, StatusCode,
        header::{ACCEPT, ALLOW, CACHE_CONTROL, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    accounts::sign_in::login_href,
    page::{error_html, is_fragment},
};
use crate::{
    db::DbError,
    models::{
        FilterError, InvalidFilter, ParseIdError, QueryError,
        account::{LOCK_MINUTES, Role},
    },
};

/// Why a request was not answered as asked.
#[derive(Debug)]
pub enum WebError {
    /// There is no such image, file, folder or page; the word says which.
    NotFound(&'static str),
    /// The address has no such method; the text names those it has, as `Allow` does.
    Method(String),
    /// A part of the address cannot be understood.
    Filter(FilterError),
    /// The search cannot be understood.
    Query(QueryError),
    /// A part of the request cannot be understood; the text says which and what was expected.
    BadRequest(String),
    /// The request makes sense, but not for what the library holds now.
    Conflict(String),
    /// More is asked for than one answer takes; the text says how much that is.
    TooLarge(String),
    /// Others are served first; the text says with what.
    Busy(&'static str),
    /// No network can do what is asked; the text says why, and the way out.
    NoNetwork(String),
    /// The database cannot compare pictures; the text says why, and the way out.
    NoVectors(String),
    /// No picture can be made of the image; the text says why.
    NoPicture(String),
    /// The picture is being made.
    PicturePending,
    /// The vault with the file cannot be read; name and reason.
    VaultOffline(String, String),
    /// The file is gone from its healthy vault.
    FileMissing(String),
    /// Another site sent this request.
    CrossOrigin,
    /// Nobody is signed in.
    SignIn,
    /// There are no accounts yet, and there have to be.
    NoOwner,
    /// The token is none, or it ran out or was revoked.
    BadToken,
    /// The address is for people alone.
    NoTokens,
    /// It needs this role.
    Forbidden(Role),
    /// Too many attempts to sign in.
    LockedOut,
    /// The server was asked by a name that is not its own.
    WrongHost,
    /// A service that is needed does not answer; the word says which.
    Unavailable(&'static str, String),
    /// A mistake of the program; the text is for the log alone.
    Internal(String),
}

impl WebError {
    /// The word for programs; it never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Method(_) => "method_not_allowed",
            Self::Filter(_) => "bad_filter",
            Self::Query(_) => "bad_query",
            Self::BadRequest(_) => "bad_request",
            Self::Conflict(_) => "conflict",
            Self::TooLarge(_) => "too_large",
            Self::Busy(_) => "busy",
            Self::NoNetwork(_) => "no_network",
            Self::NoVectors(_) => "no_vectors",
            Self::NoPicture(_) => "no_picture",
            Self::PicturePending => "picture_pending",
            Self::VaultOffline(..) => "vault_offline",
            Self::FileMissing(_) => "file_missing",
            Self::CrossOrigin => "cross_origin",
            Self::SignIn => "sign_in",
            Self::NoOwner => "no_owner",
            Self::BadToken => "bad_token",
            Self::NoTokens => "no_tokens",
            Self::Forbidden(_) => "forbidden",
            Self::LockedOut => "locked_out",
            Self::WrongHost => "wrong_host",
            Self::Unavailable(..) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// A way on, as address and words.
    pub fn recovery(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::NotFound("folder") => Some(("/folders", "All folders")),
            Self::Query(_) => Some(("/search/help", "How to search")),
            Self::NotFound(_) | Self::Method(_) | Self::Filter(_) | Self::BadRequest(_) | Self::Conflict(_) | Self::TooLarge(_) => {
                Some(("/", "All photos"))
            }
            Self::VaultOffline(..) | Self::FileMissing(_) | Self::NoPicture(_) => Some(("/", "Back to the photos")),
            Self::Forbidden(_) => Some(("/", "Back to the photos")),
            Self::NoNetwork(_) => Some(("/models", "Networks")),
            Self::SignIn | Self::LockedOut => Some(("/login", "Sign in")),
            Self::NoOwner => Some(("/welcome", "Create the first account")),
            Self::Busy(_)
            | Self::NoVectors(_)
            | Self::PicturePending
            | Self::CrossOrigin
            | Self::BadToken
            | Self::NoTokens
            | Self::WrongHost
            | Self::Unavailable(..)
            | Self::Internal(_) => None,
        }
    }
}

/// The sentence for people; causes that only a maintainer understands stay in the log.
impl fmt::Display for WebError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(what) => write!(f, "There is no such {what}."),
            Self::Method(allowed) => write!(f, "This address cannot be asked in this way, but by {allowed}."),
            Self::Filter(error) => write!(f, "{error}"),
            Self::Query(error) => write!(f, "{error}"),
            Self::BadRequest(text) | Self::Conflict(text) | Self::TooLarge(text) => f.write_str(text),
            Self::Busy(text) => f.write_str(text),
            Self::NoNetwork(text) | Self::NoVectors(text) => f.write_str(text),
            Self::NoPicture(reason) => write!(f, "No picture can be made of this image: {reason}."),
            Self::PicturePending => f.write_str("The picture is being made. Try again in a moment."),
            Self::VaultOffline(vault, reason) => write!(f, "The vault `{vault}` is offline: {reason}. Connect the disk and try again."),
            Self::FileMissing(name) => write!(f, "`{name}` is no longer on its vault. It stays in the library until you say otherwise."),
            Self::CrossOrigin => f.write_str("This request came from another site and was refused."),
            Self::SignIn => f.write_str("Sign in first."),
            Self::NoOwner => f.write_str("This library has no owner yet. Create the first account with the code that the server printed."),
            Self::BadToken => f.write_str("This token is unknown, ran out or was revoked."),
            Self::NoTokens => f.write_str("A token cannot do this. Sign in with a browser."),
            Self::Forbidden(role) => write!(f, "This needs an account that is {} {role}.", if *role == Role::Viewer { "a" } else { "an" }),
            Self::LockedOut => write!(f, "Too many attempts. Wait {LOCK_MINUTES} minutes and try again."),
            Self::WrongHost => f.write_str(
                "This server answers only to localhost, the address it listens on, and the names in `web.hosts` of its configuration.",
            ),
            Self::Unavailable(service, _) => write!(f, "The {service} does not answer. Try again in a moment; `hm doctor` says more."),
            Self::Internal(_) => f.write_str("Something went wrong on the server. The log has the cause under this request's id."),
        }
    }
}

impl ResponseError for WebError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound(_) | Self::NoPicture(_) | Self::FileMissing(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Filter(_) | Self::Query(_) | Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) | Self::NoNetwork(_) | Self::NoVectors(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy(_) | Self::PicturePending | Self::VaultOffline(..) | Self::Unavailable(..) => StatusCode::SERVICE_UNAVAILABLE,
            Self::CrossOrigin | Self::NoTokens | Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::SignIn | Self::NoOwner | Self::BadToken => StatusCode::UNAUTHORIZED,
            Self::LockedOut => StatusCode::TOO_MANY_REQUESTS,
            Self::WrongHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<DbError> for WebError {
    fn from(error: DbError) -> Self {
        match error {
            error if error.is_not_found() => Self::NotFound("page"),
            DbError::Connect(reason) => Self::Unavailable("database", reason),
            DbError::Query(_) | DbError::Migrate(_) | DbError::GivenUp => Self::Internal(error.to_string()),
        }
    }
}

impl From<FilterError> for WebError {
    fn from(error: FilterError) -> Self {
        Self::Filter(error)
    }
}

impl From<InvalidFilter> for WebError {
    fn from(error: InvalidFilter) -> Self {
        match error {
            InvalidFilter::Pair(error) => Self::Filter(error),
            InvalidFilter::Query(error) => Self::Query(error),
        }
    }
}

impl From<QueryError> for WebError {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl From<ParseIdError> for WebError {
    fn from(_: ParseIdError) -> Self {
        Self::NotFound("page")
    }
}

/// Turns "no row" into the page of a missing thing; other errors pass.
pub fn or_not_found(what: &'static str) -> impl FnOnce(DbError) -> WebError {
    move |error| if error.is_not_found() { WebError::NotFound(what) } else { error.into() }
}

/// The body of an error under `/api`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// Word for programs; it never changes.
    #[schema(example = "not_found")]
    pub code: String,
    /// Sentence for people.
    pub message: String,
    /// Names the request in the server's log.
    pub request_id: String,
    /// Where in a search the trouble is; only with `bad_query`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<QueryPlace>,
}

/// A place in a search that is not understood.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueryPlace {
    /// Characters before it.
    pub at: usize,
    /// How many characters it spans; 0 where something is missing.
    pub length: usize,
    /// What stands there; empty where something is missing.
    pub found: String,
    /// What would be understood there.
    pub expected: String,
    /// What was probably meant instead of `found`.
    pub suggestion: Option<String>,
}

impl From<&QueryError> for QueryPlace {
    fn from(error: &QueryError) -> Self {
        Self {
            at: error.at,
            length: error.length,
            found: error.found.clone(),
            expected: error.expected.clone(),
            suggestion: error.suggestion.clone(),
        }
    }
}

/// Dresses an error for whoever asked.
pub(super) fn render(error: &WebError, request: &HttpRequest, request_id: &str) -> HttpResponse {
    let mut response = HttpResponse::build(error.status_code());
    response.insert_header((CACHE_CONTROL, "no-store"));
    if error.status_code() == StatusCode::SERVICE_UNAVAILABLE {
        response.insert_header((RETRY_AFTER, "2"));
    }
    if let WebError::Method(allowed) = error {
        response.insert_header((ALLOW, allowed.as_str()));
    }
    if matches!(error, WebError::LockedOut) {
        response.insert_header((RETRY_AFTER, (LOCK_MINUTES * 60).to_string()));
    }
    if request.path().starts_with("/api/") {
        if error.status_code() == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        let place = match error {
            WebError::Query(error) => Some(QueryPlace::from(error)),
            _ => None,
        };
        let body = ErrorBody { code: error.code().to_owned(), message: error.to_string(), request_id: request_id.to_owned(), place };
        return response.json(body);
    }
    let is_for_people =
        request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_none_or(|accept| !accept.starts_with("image/"));
    if let Some(href) = door(error, request) {
        if is_fragment(request) {
            response.insert_header(("HX-Redirect", href));
        } else if *request.method() == Method::GET && is_for_people {
            return HttpResponse::SeeOther().insert_header((CACHE_CONTROL, "no-store")).insert_header((LOCATION, href)).finish();
        }
    }
    match error_html(error, request_id, is_fragment(request)) {
        Some(html) if is_for_people => response.content_type("text/html; charset=utf-8").body(html),
        _ => response.content_type("text/plain; charset=utf-8").body(format!("{error}\n\n{}, request {request_id}\n", error.code())),
    }
}

/// Where somebody has to go who may not come in yet.
fn door(error: &WebError, request: &HttpRequest) -> Option<String> {
    match error {
        WebError::NoOwner => Some("/welcome".to_owned()),
        WebError::SignIn if is_fragment(request) => {
            // What the browser shows, not the piece of it that was asked for.
            let shown = request.headers().get("HX-Current-URL").and_then(|value| value.to_str().ok());
            let path = shown.and_then(|url| url.split_once("://")).and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
            Some(login_href(path.unwrap_or("/")))
        }
        WebError::SignIn => Some(login_href(request.uri().path_and_query().map_or("/", |path| path.as_str()))),
        _ => None,
    }
}
