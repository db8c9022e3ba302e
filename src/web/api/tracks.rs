//! Places from a GPX track, in one call that needs nothing before it: a dry run says what it would do.

use actix_web::{
    HttpResponse,
    web::{Data, Payload},
};
use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::{
    edits::{bad, object, selection},
    json,
};
use crate::{
    db::edits::{Batch, apply_places, list_taken},
    models::{Gps, ImageId},
    web::{
        State, WebError, Who,
        error::ErrorBody,
        tracks::{self, Clock, Places, read_gpx},
    },
};

/// A track, and which images get their places from it; one of `images` and `filter` says on which.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what place_by_track reads")]
pub(super) struct TrackRequest {
    /// The file, as text.
    gpx: String,
    /// Ids.
    images: Option<Vec<i64>>,
    /// The keys of a filter as in the address of the list of images; `{}` means all images.
    #[schema(value_type = Option<Object>, example = json!({"year": 2019}))]
    filter: Option<Json>,
    /// Only beside `filter`: ids of images that are left out.
    except: Option<Vec<i64>>,
    /// Seconds by which the camera's clock was ahead; negative where it was behind.
    clock_ahead_s: Option<i64>,
    /// The zone that the camera's clock showed, in minutes east of UTC, for images that do not say.
    zone_minutes: Option<i16>,
    /// Gives another place also to those that have one.
    replace: Option<bool>,
    /// Says what it would do, and changes nothing.
    dry_run: Option<bool>,
}

/// What a track knows of the chosen images.
#[derive(Serialize, ToSchema)]
pub(super) struct TrackResult {
    /// Names the action, to undo it; null in a dry run, and when nothing changed.
    batch: Option<i64>,
    /// Images that are different now.
    changed: usize,
    /// Where each image was of which the track knows it.
    places: Vec<TrackPlace>,
    /// Images that have a place and keep it.
    placed: usize,
    /// Images of which nobody knows the zone.
    without_zone: usize,
    /// Images taken where the track is silent.
    outside: usize,
}

/// Where an image was, WGS 84.
#[derive(Serialize, ToSchema)]
pub(super) struct TrackPlace {
    image: i64,
    latitude_deg: f64,
    longitude_deg: f64,
    altitude_m: Option<f64>,
}

impl TrackResult {
    fn new(places: Places, batch: Batch) -> Self {
        let place = |(image, gps): (ImageId, Gps)| TrackPlace {
            image: image.0,
            latitude_deg: gps.latitude_deg,
            longitude_deg: gps.longitude_deg,
            altitude_m: gps.altitude_m,
        };
        Self {
            batch: batch.id.map(|id| id.0),
            changed: batch.changed,
            placed: places.placed,
            without_zone: places.without_zone,
            outside: places.outside,
            places: places.found.into_iter().map(place).collect(),
        }
    }
}

/// Gives images the places where a GPX track was at their moments, whole or not at all.
#[utoipa::path(post, path = "/api/v1/tracks", tag = "edits", request_body = TrackRequest, responses(
    (status = 200, body = TrackResult),
    (status = 400, description = "A track or a key that makes no sense; the message says which", body = ErrorBody),
    (status = 403, description = "Sent by another site", body = ErrorBody),
))]
pub(in crate::web) async fn place_by_track(state: Data<State>, who: Who, body: Payload) -> Result<HttpResponse, WebError> {
    const KEYS: [&str; 8] = ["gpx", "images", "filter", "except", "clock_ahead_s", "zone_minutes", "replace", "dry_run"];
    let request = object(&tracks::body_of(body).await?, &KEYS)?;
    let (selection, clock, is_dry_run) = (selection(&request)?, clock(&request)?, flag(&request, "dry_run")?);
    let gpx = request.get("gpx").and_then(Json::as_str).ok_or_else(|| bad("`gpx` is expected to be the text of a GPX file"))?.to_owned();
    let track = read_gpx(gpx.into_bytes()).await?;
    let taken = state.db.run(move |conn| list_taken(conn, &selection)).await?;
    let places = tracks::places(&track, &taken, clock);
    if is_dry_run || places.found.is_empty() {
        return Ok(json(&TrackResult::new(places, Batch::default())));
    }
    let found = places.found.clone();
    let batch = state.db.run(move |conn| apply_places(conn, &who.name, &found, &mut |_, _| {})).await??;
    Ok(json(&TrackResult::new(places, batch)))
}

fn clock(request: &Map<String, Json>) -> Result<Clock, WebError> {
    let ahead = match request.get("clock_ahead_s") {
        None => Some(TimeDelta::zero()),
        Some(seconds) => seconds.as_i64().and_then(TimeDelta::try_seconds),
    };
    let zone_minutes = match request.get("zone_minutes") {
        None | Some(Json::Null) => Ok(None),
        // The widest zones that there are.
        Some(minutes) => {
            let minutes = minutes.as_i64().and_then(|minutes| i16::try_from(minutes).ok());
            minutes.filter(|minutes| (-14 * 60..=14 * 60).contains(minutes)).map(Some).ok_or(())
        }
    };
    Ok(Clock {
        ahead: ahead.ok_or_else(|| bad("`clock_ahead_s` is expected to be a whole number of seconds"))?,
        zone_minutes: zone_minutes.map_err(|()| bad("`zone_minutes` is expected to be a whole number from -840 to 840, or null"))?,
        replaces: flag(request, "replace")?,
    })
}

fn flag(request: &Map<String, Json>, key: &str) -> Result<bool, WebError> {
    match request.get(key) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| bad(format!("`{key}` is expected to be true or false"))),
    }
}
