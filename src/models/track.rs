//! Where somebody was, and when: a GPX track, and the place of any moment on it.
//!
//! # Source
//! GPX 1.1 (`trkpt` with `lat`, `lon`, `ele`, `time`); times are UTC. Other programs' additions and other versions are passed over.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use quick_xml::{Reader, XmlVersion, events::BytesStart, events::Event};

use super::Gps;

/// More points than a year of every half minute.
const MOST_POINTS: usize = 1_000_000;
/// Between two points that are farther apart in time nobody knows the way.
const LONGEST_WAY: TimeDelta = TimeDelta::minutes(10);
/// So long one is taken to stay where the last point was.
const STAY: TimeDelta = TimeDelta::minutes(1);

/// A file is no track that could be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrackError {
    /// It is no XML.
    #[error("the file is not readable as GPX: {0}")]
    Broken(String),
    /// It is XML, but says of no moment where somebody was.
    #[error("the file has no track points with a time")]
    Empty,
    /// It is longer than any track.
    #[error("the file has more than {MOST_POINTS} track points")]
    TooLong,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    at: DateTime<Utc>,
    place: Gps,
}

/// Points in the order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    points: Vec<Point>,
}

/// A point that is being read.
#[derive(Default)]
struct Draft {
    latitude_deg: Option<f64>,
    longitude_deg: Option<f64>,
    altitude_m: Option<f64>,
    at: Option<DateTime<Utc>>,
}

impl Draft {
    fn begin(element: &BytesStart<'_>) -> Self {
        let number = |name: &str| {
            let attribute = element.try_get_attribute(name).ok().flatten()?;
            attribute.normalized_value(XmlVersion::Implicit1_0).ok()?.trim().parse().ok()
        };
        Self { latitude_deg: number("lat"), longitude_deg: number("lon"), ..Self::default() }
    }

    /// A point that says where and when.
    fn finish(self) -> Option<Point> {
        let latitude_deg = self.latitude_deg.filter(|latitude| (-90.0..=90.0).contains(latitude))?;
        let longitude_deg = self.longitude_deg.filter(|longitude| (-180.0..=180.0).contains(longitude))?;
        let altitude_m = self.altitude_m.filter(|metres| (-12_000.0..=100_000.0).contains(metres));
        Some(Point { at: self.at?, place: Gps { latitude_deg, longitude_deg, altitude_m } })
    }
}

impl Track {
    /// Reads a track. Points without place or time are left out.
    ///
    /// # Errors
    /// [`TrackError`] says why there is no track in it.
    pub fn from_gpx(text: &str) -> Result<Self, TrackError> {
        let mut reader = Reader::from_str(text);
        let mut points = Vec::new();
        let mut draft: Option<Draft> = None;
        let mut said = String::new();
        loop {
            match reader.read_event().map_err(|error| TrackError::Broken(error.to_string()))? {
                Event::Start(element) => {
                    said.clear();
                    if element.local_name().as_ref() == "trkpt" {
                        draft = Some(Draft::begin(&element));
                    }
                }
                Event::Text(text) => said.push_str(&text),
                Event::End(element) => {
                    match (element.local_name().as_ref(), &mut draft) {
                        ("trkpt", _) => points.extend(draft.take().and_then(Draft::finish)),
                        ("time", Some(draft)) => draft.at = time(said.trim()),
                        ("ele", Some(draft)) => draft.altitude_m = said.trim().parse().ok(),
                        _ => {}
                    }
                    said.clear();
                    if points.len() > MOST_POINTS {
                        return Err(TrackError::TooLong);
                    }
                }
                Event::Eof => break,
                _ => {}
            }
        }
        if points.is_empty() {
            return Err(TrackError::Empty);
        }
        points.sort_by_key(|point| point.at);
        Ok(Self { points })
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there are none, which no track that was read has.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The first and the last moment.
    pub fn span(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        Some((self.points.first()?.at, self.points.last()?.at))
    }

    /// Where it was at a moment: evenly between two points that are at most ten minutes apart, else where the nearest one within a minute is.
    pub fn place_at(&self, at: DateTime<Utc>) -> Option<Gps> {
        let after = self.points.partition_point(|point| point.at < at);
        let (before, after) = (after.checked_sub(1).map(|index| self.points[index]), self.points.get(after).copied());
        if let (Some(before), Some(after)) = (before, after)
            && after.at - before.at <= LONGEST_WAY
        {
            return Some(between(before, after, at));
        }
        let near = |point: &Point| (point.at - at).abs() <= STAY;
        let nearest = [before, after].into_iter().flatten().filter(near).min_by_key(|point| (point.at - at).abs());
        nearest.map(|point| point.place)
    }
}

/// The place on the straight way between two points, over the 180th meridian where that is shorter.
fn between(before: Point, after: Point, at: DateTime<Utc>) -> Gps {
    let whole = (after.at - before.at).num_milliseconds();
    let share = if whole == 0 { 0.0 } else { (at - before.at).num_milliseconds() as f64 / whole as f64 };
    let way = |from: f64, to: f64| from + (to - from) * share;
    let (from, to) = (before.place, after.place);
    let east = (to.longitude_deg - from.longitude_deg + 540.0).rem_euclid(360.0) - 180.0;
    let longitude_deg = (from.longitude_deg + east * share + 540.0).rem_euclid(360.0) - 180.0;
    Gps {
        latitude_deg: way(from.latitude_deg, to.latitude_deg),
        longitude_deg,
        altitude_m: from.altitude_m.zip(to.altitude_m).map(|(from, to)| way(from, to)),
    }
}

/// A time as GPX has it; some devices leave out the zone, which is UTC all the same.
fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gpx(points: &[(&str, f64, f64, &str)]) -> String {
        let point = |(at, latitude, longitude, more): &(&str, f64, f64, &str)| {
            format!(r#"<trkpt lat="{latitude}" lon="{longitude}">{more}<time>{at}</time></trkpt>"#)
        };
        let points: String = points.iter().map(point).collect();
        format!(
            r#"<?xml version="1.0"?><gpx xmlns="http://www.topografix.com/GPX/1/1"><wpt lat="1" lon="1"><time>2019-08-03T10:00:00Z</time></wpt>
            <trk><name>A &amp; B</name><trkseg>{points}</trkseg></trk></gpx>"#
        )
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn near(gps: Option<Gps>, latitude: f64, longitude: f64) {
        let gps = gps.expect("there is a place");
        assert!((gps.latitude_deg - latitude).abs() < 1e-9 && (gps.longitude_deg - longitude).abs() < 1e-9, "{gps:?}");
    }

    #[test]
    fn a_moment_between_two_points_is_on_the_way_between_them() {
        let text = gpx(&[
            ("2019-08-03T10:04:00Z", 48.2, 11.4, "<ele>500</ele>"),
            ("2019-08-03T12:00:00+02:00", 48.0, 11.0, "<ele>400</ele><extensions><hr>90</hr></extensions>"),
        ]);
        let track = Track::from_gpx(&text).unwrap();
        assert_eq!((track.len(), track.span()), (2, Some((at("2019-08-03T10:00:00Z"), at("2019-08-03T10:04:00Z")))));
        let place = track.place_at(at("2019-08-03T10:01:00Z"));
        near(place, 48.05, 11.1);
        assert_eq!(place.unwrap().altitude_m, Some(425.0));
        near(track.place_at(at("2019-08-03T10:04:00Z")), 48.2, 11.4);
        near(track.place_at(at("2019-08-03T09:59:10Z")), 48.0, 11.0);
        assert_eq!(track.place_at(at("2019-08-03T09:58:00Z")), None);
    }

    #[test]
    fn where_the_track_is_silent_for_long_nobody_knows_the_way() {
        let track = Track::from_gpx(&gpx(&[("2019-08-03T10:00:00", 48.0, 11.0, ""), ("2019-08-03T11:00:00", 49.0, 12.0, "")])).unwrap();
        assert_eq!(track.place_at(at("2019-08-03T10:30:00Z")), None);
        near(track.place_at(at("2019-08-03T10:59:30Z")), 49.0, 12.0);
    }

    #[test]
    fn the_way_over_the_date_line_is_the_short_one() {
        let track = Track::from_gpx(&gpx(&[("2019-08-03T10:00:00Z", 0.0, 179.0, ""), ("2019-08-03T10:04:00Z", 0.0, -179.0, "")])).unwrap();
        near(track.place_at(at("2019-08-03T10:01:00Z")), 0.0, 179.5);
        near(track.place_at(at("2019-08-03T10:03:00Z")), 0.0, -179.5);
    }

    #[test]
    fn what_is_no_track_says_so() {
        assert_eq!(Track::from_gpx(&gpx(&[])), Err(TrackError::Empty));
        assert_eq!(Track::from_gpx("lorem ipsum"), Err(TrackError::Empty));
        assert!(matches!(Track::from_gpx("<gpx><trkpt></gpx>"), Err(TrackError::Broken(_))));
        let odd = gpx(&[("soon", 48.0, 11.0, ""), ("2019-08-03T10:00:00Z", 480.0, 11.0, ""), ("2019-08-03T10:00:00Z", 48.0, 11.0, "")]);
        assert_eq!(Track::from_gpx(&odd).unwrap().len(), 1, "points that make no sense are left out");
    }

    proptest! {
        #[test]
        fn every_place_lies_between_its_points(latitudes in prop::collection::vec(-80.0..80.0f64, 2..20), second in 0i64..1200) {
            let start = at("2019-08-03T10:00:00Z");
            let times: Vec<String> = (0..latitudes.len()).map(|n| (start + TimeDelta::minutes(n as i64)).to_rfc3339()).collect();
            let points: Vec<_> = times.iter().zip(&latitudes).map(|(time, latitude)| (time.as_str(), *latitude, 10.0, "")).collect();
            let track = Track::from_gpx(&gpx(&points)).unwrap();
            let (low, high) = latitudes.iter().fold((90.0f64, -90.0f64), |(low, high), one| (low.min(*one), high.max(*one)));
            if let Some(place) = track.place_at(start + TimeDelta::seconds(second)) {
                prop_assert!((low - 1e-9..=high + 1e-9).contains(&place.latitude_deg));
            } else {
                prop_assert!(second > (latitudes.len() as i64 - 1) * 60 + 60);
            }
        }

        #[test]
        fn no_text_is_too_much(text in "\\PC{0,80}") {
            drop(Track::from_gpx(&text));
        }
    }
}
