//! Decides, before a pixel is painted, which pictures the demo has: the household's outings over fifteen years, with the cameras of their
//! time, and the sets of files each camera leaves.

use chrono::{Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::{
    household::{CAMERAS, Camera, DOG, HOME, Naming, OUTINGS, Outing, SCANNER},
    noise::Rng,
    scene::Scene::{self, Beach, Cake, Desert, Fields, Group, Houses, Lake, Mountains, Person, Sea, Skyline, Snow, Vehicle},
    sky::Light,
    town::Wheels,
    xmp::Words,
};

/// The files a moment leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    /// One JPEG.
    Jpeg,
    /// A DNG and a JPEG of the same name.
    RawAndJpeg,
    /// `X.RAW-01.COVER.jpg` and `X.RAW-02.ORIGINAL.dng`.
    PixelPair,
    /// A drawing with a transparent ground.
    Png,
    /// A wide JPEG.
    Panorama,
    /// A print on the scanner.
    Scan,
}

/// How a sidecar is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sidecar {
    /// `IMG.DNG.xmp`, as darktable and digiKam do.
    Appended,
    /// `IMG.xmp`, as Lightroom does.
    Replaced,
    /// Inside the JPEG.
    Embedded,
}

/// One moment and all that will be written about it.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    /// Number of its random sequence; frames of a burst share one.
    pub(super) stream: u64,
    /// 0, or the frame of the burst.
    pub(super) frame: u32,
    pub(super) scene: Scene,
    pub(super) light: Light,
    pub(super) upright: bool,
    pub(super) camera: &'static Camera,
    pub(super) lens: usize,
    pub(super) local: NaiveDateTime,
    pub(super) offset_minutes: i32,
    /// Degrees and metres; `None` where the camera has no GPS.
    pub(super) position: Option<(f64, f64, u32)>,
    /// Below the library, without a slash at its end.
    pub(super) folder: String,
    pub(super) stem: String,
    pub(super) files: Files,
    pub(super) words: Words,
    pub(super) sidecar: Option<Sidecar>,
    /// `X-Edit.jpg`: black and white.
    pub(super) edited: bool,
    /// `X_001.jpg`: a crop.
    pub(super) cropped: bool,
    /// A smaller JPEG in `Exports`.
    pub(super) exported: bool,
    /// The same bytes once more in `Backup`.
    pub(super) copied: bool,
}

const FIRST_DAY: (i32, u32, u32) = (2011, 2, 1);
const DAYS: f32 = 14.8 * 365.25;

/// Plans `count` moments; the same for the same seed.
pub(super) fn moments(count: usize, seed: u64) -> Vec<Moment> {
    let mut rng = Rng::new(seed, 0);
    let scans = count / 50;
    let frames = if count >= 20 { 6 } else { 0 };
    let wanted = (count - scans).saturating_sub(frames.max(1) - 1);
    let mut moments = taken(wanted, &mut rng);
    moments.sort_by_key(|moment| moment.local);
    for index in 1..moments.len() {
        let earliest = moments[index - 1].local + Duration::seconds(2);
        moments[index].local = moments[index].local.max(earliest);
    }
    specials(&mut moments);
    if frames > 0 {
        burst(&mut moments, frames as u32);
    }
    moments.extend((0..scans).map(|number| scan(number, &mut rng)));
    name(&mut moments);
    moments
}

fn taken(count: usize, rng: &mut Rng) -> Vec<Moment> {
    let outings = count.div_ceil(8).max(1);
    let first = NaiveDate::from_ymd_opt(FIRST_DAY.0, FIRST_DAY.1, FIRST_DAY.2).expect("a real date");
    let mut moments = Vec::with_capacity(count);
    let mut visits = [0_usize; OUTINGS.len()];
    for number in 0..outings {
        let start = first + Duration::days(((number as f32 + rng.range(0.1, 0.9)) / outings as f32 * DAYS) as i64);
        let in_season = |outing: &Outing| {
            let (from, to) = outing.months;
            if from <= to { (from..=to).contains(&start.month()) } else { start.month() >= from || start.month() <= to }
        };
        let outing = (0..OUTINGS.len()).filter(|i| in_season(&OUTINGS[*i])).min_by_key(|i| visits[*i]).unwrap_or(0);
        visits[outing] += 1;
        let share = (number + 1) * count / outings - number * count / outings;
        moments.extend(outing_moments(&OUTINGS[outing], start, share, rng));
    }
    moments
}

fn outing_moments(outing: &'static Outing, start: NaiveDate, count: usize, rng: &mut Rng) -> Vec<Moment> {
    let in_use = |camera: &&'static Camera| (camera.years.0..=camera.years.1).contains(&start.year());
    let cameras: Vec<&'static Camera> = CAMERAS.iter().filter(in_use).filter(|camera| !camera.gps).collect();
    let phones: Vec<&'static Camera> = CAMERAS.iter().filter(in_use).filter(|camera| camera.gps).collect();
    let main = rng.pick(&cameras);
    let phone = if phones.is_empty() { main } else { rng.pick(&phones) };
    let first_scene = rng.below(outing.scenes.len());
    let days = if outing.event.is_empty() && outing.place.keyword != HOME.keyword { 3 } else { 1 };
    let folder = |date: NaiveDate| match outing.event {
        "" => date.format("%Y/%m/%d").to_string(),
        event => format!("Events/{} {event}", start.year()),
    };
    (0..count)
        .map(|index| {
            let scene = outing.scenes[(first_scene + index) % outing.scenes.len()];
            let light = rng.pick(scene.lights());
            let date = start + Duration::days((index * days / count) as i64);
            let local = date.and_time(hour(light, date, rng));
            let camera = if rng.chance(0.62) { main } else { phone };
            let lens = rng.below(camera.lenses.len());
            let near = |degrees: f64, spread: f32, rng: &mut Rng| degrees + f64::from(rng.range(-spread, spread));
            let position = (near(outing.place.position.0, 0.02, rng), near(outing.place.position.1, 0.03, rng), outing.place.altitude_m);
            let raw = rng.chance(camera.raw);
            let files = match camera.naming {
                Naming::Pixel if raw => Files::PixelPair,
                Naming::Time if raw => Files::RawAndJpeg,
                _ => Files::Jpeg,
            };
            let curated = camera.naming == Naming::Time || (!camera.gps && rng.chance(0.4));
            let sidecar = curated.then(|| match files {
                Files::Jpeg if rng.chance(0.5) => Sidecar::Embedded,
                _ if rng.chance(0.5) => Sidecar::Appended,
                _ => Sidecar::Replaced,
            });
            Moment {
                stream: rng.next(),
                frame: 0,
                scene,
                light,
                upright: scene.fits_upright() && rng.chance(0.24),
                camera,
                lens,
                local,
                offset_minutes: outing.place.offset_at(date),
                position: (camera.gps && rng.chance(0.93)).then_some(position),
                folder: folder(date),
                stem: String::new(),
                files,
                words: if curated { words(scene, light, outing, rng) } else { Words::default() },
                sidecar,
                edited: false,
                cropped: false,
                exported: false,
                copied: false,
            }
        })
        .collect()
}

fn words(scene: Scene, light: Light, outing: &Outing, rng: &mut Rng) -> Words {
    let rating = rng.pick(&[None, None, Some(1), Some(2), Some(3), Some(3), Some(4), Some(4), Some(5), Some(-1)]);
    let town = outing.place.keyword.rsplit('|').next().unwrap_or_default();
    Words {
        rating,
        title: if rng.chance(0.6) { scene.title(light) } else { String::new() },
        description: if rng.chance(0.2) { format!("{}, {town}", scene.title(light)) } else { String::new() },
        keywords: vec![scene.keyword(), outing.place.keyword.to_owned()],
    }
}

/// A time of day that goes with the light, to the millisecond.
fn hour(light: Light, date: NaiveDate, rng: &mut Rng) -> NaiveTime {
    let summer = (4..=9).contains(&date.month());
    let (from, to) = match (light, summer) {
        (Light::Day, _) => (9.0, 16.5),
        (Light::Golden, true) => (19.0, 20.5),
        (Light::Golden, false) => (15.5, 16.8),
        (Light::Dusk, true) => (20.8, 21.7),
        (Light::Dusk, false) => (17.0, 18.0),
        (Light::Night, _) => (22.0, 23.8),
    };
    let milliseconds = (rng.range(from, to) * 3_600_000.0) as u32;
    NaiveTime::from_num_seconds_from_midnight_opt(milliseconds / 1000, milliseconds % 1000 * 1_000_000).expect("before midnight")
}

/// Gives some moments what a library has here and there: edits, crops, exports, a copy, panoramas, a drawing.
fn specials(moments: &mut [Moment]) {
    let raws: Vec<usize> = (0..moments.len()).filter(|i| moments[*i].files == Files::RawAndJpeg).collect();
    for (number, index) in raws.iter().enumerate() {
        moments[*index].edited = number % 11 == 2;
        moments[*index].cropped = number % 13 == 5;
        moments[*index].exported = number % 15 == 7;
    }
    let plain: Vec<usize> = (0..moments.len()).filter(|i| moments[*i].files == Files::Jpeg && moments[*i].frame == 0).collect();
    if let Some(index) = plain.get(plain.len() / 3) {
        moments[*index].copied = true;
    }
    let wide = |moment: &Moment| matches!(moment.scene, Mountains | Lake | Sea | Fields | Skyline | Houses | Desert | Beach);
    let landscapes: Vec<usize> =
        plain.iter().copied().filter(|i| wide(&moments[*i]) && !moments[*i].copied && moments[*i].camera.gps).collect();
    for index in landscapes.iter().skip(landscapes.len() / 4).step_by(landscapes.len().div_ceil(2).max(1)).take(2) {
        moments[*index].files = Files::Panorama;
        moments[*index].upright = false;
    }
    let drawing = plain.iter().rev().copied().find(|i| matches!(moments[*i].scene, Scene::Animal(_)) && !moments[*i].copied);
    if let Some(index) = drawing {
        moments[index].files = Files::Png;
        moments[index].upright = false;
    }
}

/// Turns one moment of the camera that is fast enough into frames a tenth of a second apart.
fn burst(moments: &mut Vec<Moment>, frames: u32) {
    let fast = &CAMERAS[2];
    let suits = |m: &Moment| m.camera.model == fast.model && m.files == Files::Jpeg && !m.copied;
    let Some(last) = moments.len().checked_sub(1) else { return };
    let index = moments.iter().position(suits).unwrap_or(last);
    let first = &mut moments[index];
    let whole_second = first.local.with_nanosecond(30_000_000).expect("less than a second");
    if first.camera.model != fast.model {
        *first = Moment { camera: fast, lens: 0, position: None, files: Files::Jpeg, ..first.clone() };
    }
    *first = Moment { local: whole_second, upright: false, edited: false, cropped: false, exported: false, ..first.clone() };
    let first = first.clone();
    for frame in 1..frames {
        let local = whole_second + Duration::milliseconds(110 * i64::from(frame));
        moments.push(Moment { frame, local, words: Words::default(), sidecar: None, copied: false, ..first.clone() });
    }
}

/// A print of the eighties: taken then, scanned later.
fn scan(number: usize, rng: &mut Rng) -> Moment {
    let date = NaiveDate::from_ymd_opt(1986, 7, 12).expect("a real date") + Duration::days(number as i64 * 97);
    let scene = rng.pick(&[Beach, Vehicle(Wheels::Car), Person(2), Group, Snow, Fields, Cake, DOG]);
    Moment {
        stream: rng.next(),
        frame: 0,
        scene,
        light: Light::Day,
        upright: false,
        camera: &SCANNER,
        lens: 0,
        local: date.and_time(NaiveTime::from_hms_opt(12, 0, 0).expect("noon")),
        offset_minutes: HOME.offset_at(date),
        position: None,
        folder: "Scans/Album 1986".into(),
        stem: format!("scan{:04}", number + 1),
        files: Files::Scan,
        words: Words { description: format!("{}, {}", scene.title(Light::Day), date.year()), ..Words::default() },
        sidecar: None,
        edited: false,
        cropped: false,
        exported: false,
        copied: false,
    }
}

/// Names the files as their cameras do: counters run with time and wrap at 9999.
fn name(moments: &mut [Moment]) {
    moments.sort_by_key(|moment| moment.local);
    let mut counters: Vec<(&str, u32)> = CAMERAS.iter().enumerate().map(|(i, camera)| (camera.model, 1200 + 1931 * i as u32)).collect();
    for moment in moments.iter_mut().filter(|moment| moment.stem.is_empty()) {
        moment.stem = match moment.camera.naming {
            Naming::Time => moment.local.format("%Y-%m-%d_%H-%M-%S").to_string(),
            Naming::Pixel => {
                let utc = moment.local - Duration::minutes(i64::from(moment.offset_minutes));
                format!("PXL_{}{:03}", utc.format("%Y%m%d_%H%M%S"), utc.nanosecond() / 1_000_000)
            }
            Naming::Counter(letters) => {
                let counter = counters.iter_mut().find(|(model, _)| *model == moment.camera.model).expect("every camera has one");
                counter.1 = counter.1 % 9999 + if moment.frame > 0 { 1 } else { 7 };
                format!("{letters}{:04}", counter.1)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_count_is_kept_and_no_two_moments_share_a_name() {
        for count in [1, 2, 7, 19, 20, 60, 300, 1000] {
            let moments = moments(count, 1);
            assert_eq!(moments.len(), count);
            let names: BTreeSet<String> = moments.iter().map(|m| format!("{}/{}", m.folder, m.stem)).collect();
            assert_eq!(names.len(), count, "names collide among {count}");
        }
    }

    #[test]
    fn the_default_library_has_all_it_promises() {
        let moments = moments(300, 1);
        let count = |wanted: &dyn Fn(&Moment) -> bool| moments.iter().filter(|m| wanted(m)).count();
        assert_eq!(count(&|m| m.files == Files::Panorama), 2);
        assert_eq!(count(&|m| m.files == Files::Png), 1);
        assert_eq!(count(&|m| m.copied), 1);
        assert_eq!(count(&|m| m.frame > 0), 5);
        assert!(count(&|m| m.files == Files::RawAndJpeg) >= 30);
        assert!(count(&|m| m.files == Files::PixelPair) >= 3);
        assert!(count(&|m| m.edited) >= 2 && count(&|m| m.cropped) >= 2 && count(&|m| m.exported) >= 2);
        assert!(count(&|m| m.upright) >= 30);
        assert!(count(&|m| m.folder.starts_with("Events/")) >= 10);
        for sidecar in [Sidecar::Appended, Sidecar::Replaced, Sidecar::Embedded] {
            assert!(count(&|m| m.sidecar == Some(sidecar)) >= 5, "{sidecar:?}");
        }
        let models: BTreeSet<&str> = moments.iter().map(|m| m.camera.model).collect();
        assert_eq!(models.len(), CAMERAS.len() + 1);
        let years: BTreeSet<i32> = moments.iter().map(|m| m.local.year()).collect();
        assert!(years.len() >= 15, "{years:?}");
    }

    #[test]
    fn a_burst_lies_within_a_second_and_has_names_in_a_row() {
        let moments = moments(300, 1);
        let stream = moments.iter().find(|m| m.frame > 0).unwrap().stream;
        let frames: Vec<&Moment> = moments.iter().filter(|m| m.stream == stream).collect();
        assert_eq!(frames.len(), 6);
        assert_eq!(frames[0].local.and_utc().timestamp(), frames[5].local.and_utc().timestamp());
        assert_eq!(frames.iter().map(|m| m.frame).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    }
}
