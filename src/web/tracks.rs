//! Places from a GPX track: the file is taken in hand, what it would do to a selection is told, and then done as one action.
//!
//! A track in hand is no truth: it is kept in memory for as long as few others come after it, and whoever comes back too late chooses the
//! file again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Path, Payload},
};
use askama::Template;
use chrono::TimeDelta;

use super::{
    State, WebError, Who,
    edits::{Fields, Said, answer, in_words, selection, tell},
    page::{self, grouped, photos, value_of},
};
use crate::{
    db::edits::{TakenImage, apply_places, list_taken},
    models::{
        Gps, ImageId, Track,
        edit::{EditError, parse_shift, parse_zone},
    },
};

/// Largest file that is read: a day of every second has a third of it.
const LARGEST_BYTES: usize = 32 << 20;
/// Tracks in hand.
const MOST_TRACKS: usize = 8;

/// Tracks in hand, newest last.
#[derive(Default)]
pub(super) struct Tracks(Mutex<VecDeque<(u64, Arc<Track>)>>);

impl Tracks {
    fn keep(&self, track: Track) -> u64 {
        let number = u64::from(rand::random::<u32>()) + 1;
        let mut tracks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tracks.push_back((number, Arc::new(track)));
        while tracks.len() > MOST_TRACKS {
            tracks.pop_front();
        }
        number
    }

    fn find(&self, number: &str) -> Result<Arc<Track>, WebError> {
        let tracks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = number.parse().ok().and_then(|number: u64| tracks.iter().find(|(known, _)| *known == number));
        found.map(|(_, track)| Arc::clone(track)).ok_or(WebError::NotFound("track any more; choose the file again"))
    }
}

#[derive(Template)]
#[template(path = "track.html")]
struct TrackView {
    track: u64,
    words: String,
}

/// The body of a request that brings a track.
pub(super) async fn body_of(body: Payload) -> Result<Bytes, WebError> {
    let too_large = || WebError::BadRequest(format!("The file is larger than {} MB, which no track is", LARGEST_BYTES >> 20));
    let bytes = body.to_bytes_limited(LARGEST_BYTES).await.map_err(|_| too_large())?;
    bytes.map_err(|error| WebError::BadRequest(format!("The file did not arrive: {error}")))
}

/// Reads a track, beside the threads that answer.
pub(super) async fn read_gpx(bytes: impl AsRef<[u8]> + Send + 'static) -> Result<Track, WebError> {
    let read = actix_web::web::block(move || Track::from_gpx(&String::from_utf8_lossy(bytes.as_ref())));
    let track = read.await.map_err(|error| WebError::Internal(error.to_string()))?;
    track.map_err(|error| WebError::BadRequest(format!("It cannot be used: {error}")))
}

/// `POST /tracks`, with the file as the body.
pub(super) async fn upload(state: Data<State>, body: Payload) -> Result<HttpResponse, WebError> {
    let track = read_gpx(body_of(body).await?).await?;
    let words = match track.span() {
        Some((first, last)) => {
            let at = |time: chrono::DateTime<chrono::Utc>| time.format("%-d %B %Y, %H:%M").to_string();
            format!("{} points, {} to {} UTC", grouped(track.len() as i64), at(first), at(last))
        }
        None => String::new(),
    };
    page::html(&TrackView { track: state.tracks.keep(track), words })
}

/// How times of photos become moments of the track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    /// How far the camera was ahead.
    pub(super) ahead: TimeDelta,
    /// Minutes east of UTC, for photos that do not say.
    pub(super) zone_minutes: Option<i16>,
    /// Those that have a place get another.
    pub(super) replaces: bool,
}

impl Clock {
    fn from_fields(fields: &[(String, String)]) -> Result<Self, EditError> {
        let ahead = value_of(fields, "clock").map_or(Ok(TimeDelta::zero()), parse_shift)?;
        let zone_minutes = value_of(fields, "zone").map_or(Ok(None), parse_zone)?;
        Ok(Self { ahead, zone_minutes, replaces: value_of(fields, "replace").is_some() })
    }
}

/// What a track knows of some photos.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Places {
    pub(super) found: BTreeMap<ImageId, Gps>,
    /// They have a place, and keep it.
    pub(super) placed: usize,
    /// Nobody knows their zone.
    pub(super) without_zone: usize,
    /// The track does not know where they were.
    pub(super) outside: usize,
}

/// Looks up where each photo was.
pub(super) fn places(track: &Track, images: &[TakenImage], clock: Clock) -> Places {
    let mut places = Places::default();
    for image in images {
        if image.has_place && !clock.replaces {
            places.placed += 1;
            continue;
        }
        let Some(offset) = image.captured_offset_minutes.or(clock.zone_minutes) else {
            places.without_zone += 1;
            continue;
        };
        let at = image.captured_at.checked_sub_signed(clock.ahead + TimeDelta::minutes(i64::from(offset)));
        match at.and_then(|at| track.place_at(at.and_utc())) {
            Some(place) => {
                places.found.insert(image.id, place);
            }
            None => places.outside += 1,
        }
    }
    places
}

impl Places {
    /// `12 photos get a place; 3 keep theirs, 2 were taken while the track was silent`.
    fn words(&self) -> String {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let mut rest = Vec::new();
        for (number, what) in [
            (self.placed, "have one already"),
            (self.without_zone, "have no zone: say which the camera had"),
            (self.outside, "were taken where the track is silent"),
        ] {
            if number > 0 {
                rest.push(format!("{} {what}", grouped(count(number))));
            }
        }
        let found = match self.found.len() {
            0 => "No photo gets a place".to_owned(),
            1 => "1 photo gets a place".to_owned(),
            number => format!("{} get a place", photos(count(number))),
        };
        if rest.is_empty() { found } else { format!("{found}; {}", rest.join(", ")) }
    }
}

async fn look_up(state: &State, track: &str, fields: &[(String, String)]) -> Result<Places, WebError> {
    let track = state.tracks.find(track)?;
    let (selection, clock) = (selection(fields)?, Clock::from_fields(fields).map_err(in_words)?);
    let images = state.db.run(move |conn| list_taken(conn, &selection)).await?;
    Ok(places(&track, &images, clock))
}

/// `POST /tracks/{track}/preview`: what [`apply`] would do; changes nothing.
pub(super) async fn preview(state: Data<State>, track: Path<String>, fields: Fields) -> Result<HttpResponse, WebError> {
    let places = look_up(&state, &track, &fields).await?;
    page::html(&Said { changed: places.found.len(), words: places.words(), ..Said::default() })
}

/// `POST /tracks/{track}/apply`: gives the chosen photos their places; then back. Meanwhile it is told by the word in `progress` how far
/// it is.
pub(super) async fn apply(
    state: Data<State>,
    who: Who,
    track: Path<String>,
    fields: Fields,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let places = look_up(&state, &track, &fields).await?;
    if places.found.is_empty() {
        return Err(WebError::Conflict(format!("{}.", places.words())));
    }
    let told = tell(&state, &fields);
    let mut teller = told.teller();
    let placed = state.db.run(move |conn| apply_places(conn, &who.name, &places.found, &mut teller));
    let batch = placed.await?.map_err(in_words)?;
    drop(told);
    answer(&request, &fields, "/", Said::of_many(batch, "place from the track"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(id: i64, at: &str, offset: Option<i16>, has_place: bool) -> TakenImage {
        TakenImage { id: ImageId(id), captured_at: at.parse().unwrap(), captured_offset_minutes: offset, has_place }
    }

    #[test]
    fn each_photo_is_looked_up_at_its_own_moment() {
        let point = |at: &str, latitude: f64| format!(r#"<trkpt lat="{latitude}" lon="11"><time>{at}</time></trkpt>"#);
        let text = format!("<gpx>{}{}</gpx>", point("2019-08-03T10:00:00Z", 48.0), point("2019-08-03T10:08:00Z", 48.8));
        let track = Track::from_gpx(&text).unwrap();
        let images = [
            taken(1, "2019-08-03T12:04:00", Some(120), false),
            taken(2, "2019-08-03T12:04:00", None, false),
            taken(3, "2019-08-03T12:04:00", Some(120), true),
            taken(4, "2019-08-03T18:00:00", Some(120), false),
        ];
        let clock = Clock { ahead: TimeDelta::zero(), zone_minutes: None, replaces: false };
        let found = places(&track, &images, clock);
        assert_eq!(found.found.keys().copied().collect::<Vec<_>>(), [ImageId(1)]);
        assert!((found.found[&ImageId(1)].latitude_deg - 48.4).abs() < 1e-9);
        let words =
            "1 photo gets a place; 1 have one already, 1 have no zone: say which the camera had, 1 were taken where the track is silent";
        assert_eq!(found.words(), words);
        // A camera two minutes ahead, whose zone is said, and places that are replaced.
        let clock = Clock { ahead: TimeDelta::minutes(2), zone_minutes: Some(120), replaces: true };
        let found = places(&track, &images, clock);
        assert_eq!((found.found.len(), found.outside, found.placed), (3, 1, 0));
        assert!((found.found[&ImageId(2)].latitude_deg - 48.2).abs() < 1e-9);
    }

    #[test]
    fn the_clock_is_read_from_the_form() {
        let fields = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let clock = Clock::from_fields(&fields(&[("clock", "-0:00:42"), ("zone", "+2"), ("replace", "1")])).unwrap();
        assert_eq!(clock, Clock { ahead: TimeDelta::seconds(-42), zone_minutes: Some(120), replaces: true });
        let plain = Clock::from_fields(&fields(&[("clock", ""), ("zone", "")])).unwrap();
        assert_eq!(plain, Clock { ahead: TimeDelta::zero(), zone_minutes: None, replaces: false });
        assert!(Clock::from_fields(&fields(&[("clock", "soon")])).is_err());
    }

    #[test]
    fn old_tracks_make_room_for_new_ones() {
        let track = Track::from_gpx(r#"<gpx><trkpt lat="1" lon="1"><time>2019-08-03T10:00:00Z</time></trkpt></gpx>"#).unwrap();
        let tracks = Tracks::default();
        let first = tracks.keep(track.clone());
        assert!(tracks.find(&first.to_string()).is_ok());
        for _ in 0..MOST_TRACKS {
            tracks.keep(track.clone());
        }
        assert!(tracks.find(&first.to_string()).is_err() && tracks.find("x").is_err());
    }
}
