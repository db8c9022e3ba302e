//! The whole URL space in one list. HTML addresses may change any day; `/api/v1` may not.

use actix_web::{
    guard,
    web::{self, ServiceConfig},
};

use super::{error::WebError, files, metrics};

/// One address, for the tests and for whoever wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// `get` (which answers HEAD too) or `post`.
    pub method: &'static str,
    /// The address, with `{names}`.
    pub path: &'static str,
    /// What it is for.
    pub what: &'static str,
}

macro_rules! routes {
    ($(#[doc = $what:literal] $method:ident $path:literal => $handler:path;)+) => {
        /// Every address there is.
        pub const ROUTES: &[Route] = &[$(Route { method: stringify!($method), path: $path, what: $what.trim_ascii() }),+];

        /// Puts every address into the application.
        pub(super) fn configure(config: &mut ServiceConfig) {
            $(config.route($path, $method().to($handler));)+
        }
    };
}

routes! {
    /// A picture of an image, `thumbnail` or `proxy`; with `?key=` it may be kept for ever.
    get "/pictures/{image}/{size}" => files::picture;
    /// An original, with ranges; `?download=1` to save it.
    get "/files/{id}" => files::file;
    /// Numbers of this server for Prometheus.
    get "/metrics" => metrics::metrics;
}

fn get() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Any other address.
pub(super) async fn not_found() -> Result<actix_web::HttpResponse, WebError> {
    Err(WebError::NotFound("page"))
}
