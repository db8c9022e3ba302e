//! Places on earth, in the ways that EXIF, XMP and videos write them, and which of them are none.
//!
//! # Source
//! EXIF 2.32 (GPS tags); XMP part 2 (GPSCoordinate); ISO 6709.

use super::xmp::{Key, XmpTags};
use crate::models::Gps;

/// Degrees, minutes, seconds; minutes and seconds may be missing.
pub(super) fn sexagesimal(parts: &[f64]) -> Option<f64> {
    let part = |index: usize| parts.get(index).copied().filter(|number| number.is_finite()).unwrap_or(0.0);
    let degrees = parts.first().copied().filter(|degrees| degrees.is_finite())?;
    Some(degrees + part(1) / 60.0 + part(2) / 3_600.0)
}

/// A place with possible coordinates; exactly 0, 0 is what devices write without a fix.
pub(super) fn on_earth(latitude_deg: f64, longitude_deg: f64, altitude_m: Option<f64>) -> Option<Gps> {
    let possible = latitude_deg.abs() <= 90.0 && longitude_deg.abs() <= 180.0;
    let no_fix = latitude_deg == 0.0 && longitude_deg == 0.0;
    let altitude_m = altitude_m.filter(|metres| metres.is_finite() && (-12_000.0..=100_000.0).contains(metres));
    // Adding zero makes -0 plain.
    let plain = |number: f64| number + 0.0;
    (possible && !no_fix).then_some(Gps {
        latitude_deg: plain(latitude_deg),
        longitude_deg: plain(longitude_deg),
        altitude_m: altitude_m.map(plain),
    })
}

/// The place of an XMP packet, written as `59,54.83N` or `59,54,50N`.
pub(super) fn from_xmp(xmp: &XmpTags) -> Option<Gps> {
    let degrees = |key, positive: char, negative: char| -> Option<f64> {
        let text = xmp.first(key)?.to_ascii_uppercase();
        let sign = if text.ends_with(negative) { -1.0 } else { 1.0 };
        let numbers: Result<Vec<f64>, _> =
            text.trim_end_matches([positive, negative]).split(',').map(|part| part.trim().parse::<f64>()).collect();
        let numbers = numbers.ok().filter(|numbers| (1..=3).contains(&numbers.len()))?;
        let sum: f64 = numbers.iter().zip([1.0, 60.0, 3_600.0]).map(|(number, divisor)| number / divisor).sum();
        sum.is_finite().then_some(sign * sum)
    };
    let altitude = xmp.number(Key::GpsAltitude).map(|metres| if xmp.first(Key::GpsAltitudeRef) == Some("1") { -metres } else { metres });
    on_earth(degrees(Key::GpsLatitude, 'N', 'S')?, degrees(Key::GpsLongitude, 'E', 'W')?, altitude)
}

/// The place in a video, written as `+48.7758+009.1829+245.000/`.
pub(super) fn from_iso6709(iso6709: &str) -> Option<Gps> {
    let body = iso6709.split('/').next()?;
    let starts: Vec<usize> = body.char_indices().filter(|(_, character)| matches!(character, '+' | '-')).map(|(index, _)| index).collect();
    let mut numbers = starts.iter().enumerate().map_while(|(index, start)| {
        let end = starts.get(index + 1).copied().unwrap_or(body.len());
        body[*start..end].trim_end_matches(|character: char| !character.is_ascii_digit()).parse::<f64>().ok()
    });
    on_earth(numbers.next()?, numbers.next()?, numbers.next())
}
