//! The frame around every request: refusals, errors dressed for who asked, headers, one line of log and one count.

use std::time::{Duration, Instant};

use actix_web::{
    Error, HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{HeaderName, HeaderValue},
    },
    middleware::Next,
    web::Data,
};

use super::{
    State,
    error::{WebError, render},
    guard,
};

/// Wraps everything else: what leaves here is final.
pub(super) async fn frame(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let id = format!("{:016x}", rand::random::<u64>());
    let response = match guard::refusal(request.request()) {
        Some(refusal) => request.error_response(refusal).map_into_right_body(),
        None => next.call(request).await?.map_into_left_body(),
    };
    let mut response = dress(response, &id);
    let headers = response.headers_mut();
    guard::add_headers(headers);
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    record(response.request(), response.status(), started.elapsed(), &id);
    Ok(response)
}

/// Replaces the bare error of a handler or extractor by what the asker can read, and logs a cause that is ours.
fn dress<B: MessageBody>(response: ServiceResponse<B>, id: &str) -> ServiceResponse<EitherBody<B>> {
    let Some(error) = response.response().error() else { return response.map_into_left_body() };
    let generic;
    let error = match error.as_error::<WebError>() {
        Some(error) => error,
        None => {
            generic = generic_error(error, response.status());
            &generic
        }
    };
    match error {
        WebError::Internal(cause) => {
            tracing::error!(request.id = id, "{} {}: {cause}", response.request().method(), response.request().path())
        }
        WebError::Unavailable(service, cause) => tracing::warn!(request.id = id, "the {service} does not answer: {cause}"),
        _ => {}
    }
    let dressed = render(error, response.request(), id);
    response.into_response(dressed).map_into_right_body()
}

/// What actix itself refused: an address or form that does not parse, a body too large.
fn generic_error(error: &Error, status: StatusCode) -> WebError {
    match status {
        StatusCode::NOT_FOUND => WebError::NotFound("page"),
        status if status.is_client_error() => WebError::BadRequest(error.to_string()),
        _ => WebError::Internal(error.to_string()),
    }
}

fn record(request: &HttpRequest, status: StatusCode, elapsed: Duration, id: &str) {
    let route = request.match_pattern().unwrap_or_else(|| "none".to_owned());
    let duration_ms = elapsed.as_secs_f64() * 1000.0;
    let (method, path, status_code) = (request.method().as_str(), request.path(), status.as_u16());
    if is_picture(&route) {
        tracing::debug!(request.id = id, status = status_code, duration_ms, "{method} {path}");
    } else {
        tracing::debug!(request.id = id, status = status_code, duration_ms, "{method} {path}");
    }
    if let Some(state) = request.app_data::<Data<State>>() {
        state.metrics.record(request.method(), route, status_code, elapsed);
    }
}

/// A page of thumbnails is two hundred requests; they are no news.
fn is_picture(route: &str) -> bool {
    route.starts_with("/pictures/") || route.starts_with("/static/")
}
