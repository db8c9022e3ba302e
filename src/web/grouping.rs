//! Split and merge: forms of the viewer and the gallery that answer 303 to where one came from.

use actix_web::{
    HttpResponse,
    http::header::LOCATION,
    web::{Data, Form, Path},
};

use super::{State, WebError, error::or_not_found};
use crate::{
    db::{
        DbError,
        grouping::{Outcome, merge_images, split_image},
    },
    models::{FileId, ImageId},
};

/// The fields of a form, in their order.
type Fields = Form<Vec<(String, String)>>;

/// `POST /images/{id}/split`: each `file` becomes part of a new image; then to `back`, or to the new image.
pub(super) async fn split(state: Data<State>, id: Path<String>, fields: Fields) -> Result<HttpResponse, WebError> {
    let image: ImageId = id.parse().map_err(|_| WebError::NotFound("image"))?;
    let chosen: Vec<FileId> = ids(&fields, "file", FileId)?;
    let outcome = state.db.run(move |conn| split_image(conn, image, &chosen)).await;
    see_other(&fields, outcome)
}

/// `POST /images/merge`: all `image`s become one; then to `back`, or to that image.
pub(super) async fn merge(state: Data<State>, fields: Fields) -> Result<HttpResponse, WebError> {
    let chosen: Vec<ImageId> = ids(&fields, "image", ImageId)?;
    let outcome = state.db.run(move |conn| merge_images(conn, &chosen)).await;
    see_other(&fields, outcome)
}

fn ids<T>(fields: &Fields, name: &str, make: impl Fn(i64) -> T) -> Result<Vec<T>, WebError> {
    let values = fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
    let id = |value: &String| match value.parse::<i64>() {
        Ok(number) if number > 0 => Ok(make(number)),
        _ => Err(WebError::BadRequest(format!("`{name}={value}` is not understood: expected an id"))),
    };
    values.map(id).collect()
}

fn see_other(fields: &Fields, outcome: Result<Outcome, DbError>) -> Result<HttpResponse, WebError> {
    let image = outcome.map_err(or_not_found("image"))?.map_err(|refused| WebError::Conflict(refused.to_string()))?;
    let back = fields.iter().find(|(key, _)| key == "back").map(|(_, value)| value.as_str()).filter(|back| is_local(back));
    let location = back.map_or_else(|| format!("/images/{image}"), str::to_owned);
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, location)).finish())
}

/// Whether an address stays on this server, however a browser reads it, and fits into a header.
pub(super) fn is_local(address: &str) -> bool {
    let mut bytes = address.bytes();
    let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    is_plain && bytes.next() == Some(b'/') && bytes.next() != Some(b'/')
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
}
