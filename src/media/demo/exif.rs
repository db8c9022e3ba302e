//! The facts of a moment as EXIF tags.
//!
//! # Source
//! Exif 2.32 (CIPA DC-008), sections 4.6.4 to 4.6.6.

use chrono::{Duration, NaiveDateTime, Timelike};

use super::{
    noise::Rng,
    plan::{Files, Moment},
    sky::Light,
    tiff::{Directory, Value},
};

/// How a stored picture has to be turned to stand upright: the EXIF orientation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// As it is.
    None = 1,
    /// A quarter clockwise.
    Clockwise = 6,
    /// A quarter against the clock.
    Anticlockwise = 8,
}

/// The main directory with its EXIF and GPS directories, for a picture stored as `width_px` × `height_px`.
pub(super) fn directory(moment: &Moment, width_px: usize, height_px: usize, turn: Turn, software: &str) -> Directory {
    let camera = moment.camera;
    let mut root = Directory::default();
    if !moment.words.description.is_empty() {
        root.text(0x010e, &moment.words.description);
    }
    root.text(0x010f, camera.make).text(0x0110, camera.model).short(0x0112, turn as u16);
    root.rational(0x011a, 72, 1).rational(0x011b, 72, 1).short(0x0128, 2).short(0x0213, 1);
    if !software.is_empty() {
        root.text(0x0131, software);
    }
    let written = if moment.files == Files::Scan { scanned(moment) } else { moment.local };
    root.text(0x0132, &stamp(written));
    root.set(0x8769, Value::Directory(exposure(moment, width_px, height_px, written)));
    if let Some(position) = moment.position {
        root.set(0x8825, Value::Directory(gps(moment, position)));
    }
    root
}

/// When the print was put on the scanner.
fn scanned(moment: &Moment) -> NaiveDateTime {
    let number = moment.stem.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
    chrono::NaiveDate::from_ymd_opt(2016, 2, 6).and_then(|day| day.and_hms_opt(14, 0, 0)).expect("a real date") + Duration::minutes(number)
}

fn stamp(time: NaiveDateTime) -> String {
    time.format("%Y:%m:%d %H:%M:%S").to_string()
}

fn exposure(moment: &Moment, width_px: usize, height_px: usize, digitized: NaiveDateTime) -> Directory {
    let mut rng = Rng::new(moment.stream, 77);
    let mut exif = Directory::default();
    exif.set(0x9000, Value::Opaque(b"0232".to_vec()));
    exif.text(0x9003, &stamp(moment.local)).text(0x9004, &stamp(digitized));
    exif.set(0x9101, Value::Opaque(vec![1, 2, 3, 0])).set(0xa000, Value::Opaque(b"0100".to_vec()));
    exif.short(0xa001, 1).long(0xa002, width_px as u32).long(0xa003, height_px as u32);
    if moment.camera.offset {
        let offset = moment.offset_minutes;
        let text = format!("{}{:02}:{:02}", if offset < 0 { '-' } else { '+' }, offset.abs() / 60, offset.abs() % 60);
        let fraction = format!("{:03}", moment.local.nanosecond() / 1_000_000);
        for tag in [0x9010, 0x9011, 0x9012] {
            exif.text(tag, &text);
        }
        for tag in [0x9290, 0x9291, 0x9292] {
            exif.text(tag, &fraction);
        }
    }
    if moment.files == Files::Scan {
        return exif;
    }
    let (lens, shortest, longest, aperture) = moment.camera.lenses[moment.lens];
    let (speeds, isos): (&[u32], &[u16]) = match moment.light {
        Light::Day => (&[125, 250, 320, 500, 1000], &[80, 100, 200]),
        Light::Golden => (&[60, 125, 200], &[100, 200, 400]),
        Light::Dusk => (&[30, 60, 80], &[800, 1600]),
        Light::Night => (&[4, 10, 15], &[1600, 3200, 6400]),
    };
    exif.rational(0x829a, 1, rng.pick(speeds)).short(0x8827, rng.pick(isos)).short(0x8822, 2);
    let stop = if moment.camera.gps { 1.0 } else { rng.pick(&[1.0, 1.0, 1.4, 2.0, 2.8]) };
    exif.rational(0x829d, (aperture * stop * 10.0).round() as u32, 10);
    exif.set(0x9204, Value::Signed(vec![(rng.pick(&[0, 0, 0, -1, 1]), 3)]));
    exif.short(0x9207, 5).short(0x9209, if moment.camera.gps { 24 } else { 16 }).short(0xa402, 0).short(0xa403, 0);
    exif.rational(0x920a, shortest + rng.below((longest - shortest + 1) as usize) as u32, 1);
    if !lens.is_empty() {
        exif.text(0xa434, lens);
    }
    exif
}

fn gps(moment: &Moment, (north, east, altitude_m): (f64, f64, u32)) -> Directory {
    let utc = moment.local - Duration::minutes(i64::from(moment.offset_minutes));
    let degrees = |value: f64| {
        let hundredths = (value.abs() * 360_000.0).round() as u32;
        Value::Rational(vec![(hundredths / 360_000, 1), (hundredths / 6000 % 60, 1), (hundredths % 6000, 100)])
    };
    let mut gps = Directory::default();
    gps.set(0, Value::Bytes(vec![2, 3, 0, 0]));
    gps.text(1, if north < 0.0 { "S" } else { "N" }).set(2, degrees(north));
    gps.text(3, if east < 0.0 { "W" } else { "E" }).set(4, degrees(east));
    gps.set(5, Value::Bytes(vec![0])).rational(6, altitude_m * 10, 10);
    gps.set(7, Value::Rational(vec![(utc.hour(), 1), (utc.minute(), 1), (utc.second(), 1)]));
    gps.text(0x1d, &utc.format("%Y:%m:%d").to_string());
    gps
}
