//! Split and merge: forms of the viewer and the gallery that answer 303 to where one came from.

use actix_web::{
    HttpResponse,
    http::header::LOCATION,
    web::{Data, Form, Path},
};

use super::{State, WebError, error::or_not_found, page::is_local};
use crate::{
    db::{
        DbError,
        grouping::{Outcome, merge_images, split_image},
    },
    models::{FileId, ImageId},
};

/// Key of a new image's address that says which image it was split from.
pub(super) const SPLIT_FROM: &str = "split_from";

/// The fields of a form, in their order.
type Fields = Form<Vec<(String, String)>>;

/// `POST /images/{id}/split`: each `file` becomes part of a new image; then to `back`, or to the new image with a way to undo it.
pub(super) async fn split(state: Data<State>, id: Path<String>, fields: Fields) -> Result<HttpResponse, WebError> {
    let image: ImageId = id.parse().map_err(|_| WebError::NotFound("image"))?;
    let chosen: Vec<FileId> = ids(&fields, "file", FileId)?;
    let outcome = state.db.run(move |conn| split_image(conn, image, &chosen)).await;
    see_other(&fields, outcome, |new| format!("/images/{new}?{SPLIT_FROM}={image}"))
}

/// `POST /images/merge`: all `image`s become one; then to `back`, or to that image.
pub(super) async fn merge(state: Data<State>, fields: Fields) -> Result<HttpResponse, WebError> {
    let chosen: Vec<ImageId> = ids(&fields, "image", ImageId)?;
    let outcome = state.db.run(move |conn| merge_images(conn, &chosen)).await;
    see_other(&fields, outcome, |image| format!("/images/{image}"))
}

fn ids<T>(fields: &Fields, name: &str, make: impl Fn(i64) -> T) -> Result<Vec<T>, WebError> {
    let values = fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
    let id = |value: &String| match value.parse::<i64>() {
        Ok(number) if number > 0 => Ok(make(number)),
        _ => Err(WebError::BadRequest(format!("`{name}={value}` is not understood: expected an id"))),
    };
    values.map(id).collect()
}

fn see_other(fields: &Fields, outcome: Result<Outcome, DbError>, otherwise: impl Fn(ImageId) -> String) -> Result<HttpResponse, WebError> {
    let image = outcome.map_err(or_not_found("image"))?.map_err(|refused| WebError::Conflict(refused.to_string()))?;
    let back = fields.iter().find(|(key, _)| key == "back").map(|(_, value)| value.as_str()).filter(|back| is_local(back));
    let location = back.map_or_else(|| otherwise(image), str::to_owned);
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, location)).finish())
}
