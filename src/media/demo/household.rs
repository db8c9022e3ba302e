//! The household whose library the demo is: its cameras, with what they write, and its outings, with their places and clocks.

use chrono::{Datelike, NaiveDate};

use super::{
    scene::Scene::{
        self, Aurora, Autumn, Balloons, Beach, Cake, Desert, Fields, Flower, Forest, Group, Houses, Lake, Mountains, Person, Sea, Skyline,
        Snow, Stars, Table, Vehicle,
    },
    subjects::Animal,
    town::Wheels,
};

/// How a camera names its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// A counter behind these letters.
    Counter(&'static str),
    /// The time of capture: the photographer's import renames them.
    Time,
    /// Google's `PXL_` names, in UTC.
    Pixel,
}

/// A camera of the household.
#[derive(Debug)]
pub(super) struct Camera {
    /// As in EXIF.
    pub(super) make: &'static str,
    /// As in EXIF.
    pub(super) model: &'static str,
    /// Name, shortest and longest focal length in mm, widest aperture.
    pub(super) lenses: &'static [(&'static str, u32, u32, f32)],
    /// As in EXIF's `Software`.
    pub(super) software: &'static str,
    pub(super) naming: Naming,
    /// First and last year of use.
    pub(super) years: (i32, i32),
    /// Writes GPS.
    pub(super) gps: bool,
    /// Writes the offset from UTC and fractions of seconds.
    pub(super) offset: bool,
    /// Share of pictures with a DNG beside the JPEG.
    pub(super) raw: f32,
    /// 4:3 instead of 3:2.
    pub(super) narrow: bool,
}

/// All but the scanner.
pub(super) const CAMERAS: [Camera; 7] = [
    Camera {
        make: "PENTAX",
        model: "PENTAX K-5",
        lenses: &[("smc PENTAX-DA* 16-50mm F2.8 ED AL [IF] SDM", 16, 50, 2.8), ("smc PENTAX-DA 35mm F2.4 AL", 35, 35, 2.4)],
        software: "PENTAX K-5 Ver 1.16",
        naming: Naming::Time,
        years: (2011, 2017),
        gps: false,
        offset: false,
        raw: 0.7,
        narrow: false,
    },
    Camera {
        make: "RICOH IMAGING COMPANY, LTD.",
        model: "PENTAX K-1",
        lenses: &[
            ("HD PENTAX-D FA 24-70mm F2.8 ED SDM WR", 24, 70, 2.8),
            ("HD PENTAX-D FA* 50mm F1.4 SDM AW", 50, 50, 1.4),
            ("HD PENTAX-D FA 150-450mm F4.5-5.6 ED DC AW", 150, 450, 4.5),
        ],
        software: "PENTAX K-1 Ver 1.56",
        naming: Naming::Time,
        years: (2017, 2025),
        gps: false,
        offset: false,
        raw: 0.7,
        narrow: false,
    },
    Camera {
        make: "FUJIFILM",
        model: "X-T30",
        lenses: &[("XF18-55mmF2.8-4 R LM OIS", 18, 55, 2.8), ("XF35mmF2 R WR", 35, 35, 2.0)],
        software: "Digital Camera X-T30 Ver1.51",
        naming: Naming::Counter("DSCF"),
        years: (2019, 2025),
        gps: false,
        offset: true,
        raw: 0.0,
        narrow: false,
    },
    Camera {
        make: "Canon",
        model: "Canon PowerShot S95",
        lenses: &[("6.0-22.5 mm", 6, 22, 2.0)],
        software: "",
        naming: Naming::Counter("IMG_"),
        years: (2011, 2015),
        gps: false,
        offset: false,
        raw: 0.0,
        narrow: true,
    },
    Camera {
        make: "Apple",
        model: "iPhone 6",
        lenses: &[("iPhone 6 back camera 4.15mm f/2.2", 4, 4, 2.2)],
        software: "9.3.5",
        naming: Naming::Counter("IMG_"),
        years: (2014, 2019),
        gps: true,
        offset: false,
        raw: 0.0,
        narrow: true,
    },
    Camera {
        make: "Apple",
        model: "iPhone 12",
        lenses: &[("iPhone 12 back dual wide camera 4.2mm f/1.6", 4, 4, 1.6)],
        software: "15.1",
        naming: Naming::Counter("IMG_"),
        years: (2020, 2025),
        gps: true,
        offset: true,
        raw: 0.0,
        narrow: true,
    },
    Camera {
        make: "Google",
        model: "Pixel 7",
        lenses: &[("Pixel 7 back camera 6.81mm f/1.85", 6, 6, 1.85)],
        software: "HDR+ 1.0.540104767zd",
        naming: Naming::Pixel,
        years: (2022, 2025),
        gps: true,
        offset: true,
        raw: 0.4,
        narrow: true,
    },
];

/// The flatbed that brought in the album.
pub(super) const SCANNER: Camera = Camera {
    make: "EPSON",
    model: "Perfection V600",
    lenses: &[("", 0, 0, 0.0)],
    software: "EPSON Scan",
    naming: Naming::Counter("scan"),
    years: (2016, 2016),
    gps: false,
    offset: false,
    raw: 0.0,
    narrow: false,
};

/// Somewhere pictures are taken.
#[derive(Debug)]
pub(super) struct Place {
    /// Path in the tree of keywords.
    pub(super) keyword: &'static str,
    /// Degrees, north and east positive.
    pub(super) position: (f64, f64),
    /// Above the sea, in metres.
    pub(super) altitude_m: u32,
    /// Winter time, in minutes east of UTC.
    offset_minutes: i32,
    /// Whether clocks go forward from April to October.
    summer_time: bool,
}

impl Place {
    /// Minutes east of UTC at that date.
    pub(super) fn offset_at(&self, date: NaiveDate) -> i32 {
        self.offset_minutes + if self.summer_time && (4..=10).contains(&date.month()) { 60 } else { 0 }
    }
}

/// A day or some days out, and what there is to see.
pub(super) struct Outing {
    pub(super) place: Place,
    /// Folder below `Events`, or empty for the folders by date.
    pub(super) event: &'static str,
    /// First and last month of its season, which may go over the turn of the year.
    pub(super) months: (u32, u32),
    pub(super) scenes: &'static [Scene],
}

const fn place(keyword: &'static str, north: f64, east: f64, altitude_m: u32, offset_minutes: i32, summer_time: bool) -> Place {
    Place { keyword, position: (north, east), altitude_m, offset_minutes, summer_time }
}

/// Where the household lives.
pub(super) const HOME: Place = place("Places|Germany|Tübingen", 48.5216, 9.0576, 341, 60, true);

const CAT: Scene = Scene::Animal(Animal::Cat);
pub(super) const DOG: Scene = Scene::Animal(Animal::Dog);

pub(super) const OUTINGS: [Outing; 18] = [
    Outing {
        place: HOME,
        event: "",
        months: (4, 9),
        scenes: &[CAT, DOG, Flower, Table, Person(0), Fields, Vehicle(Wheels::Bicycle), Flower, Forest],
    },
    Outing {
        place: place("Places|Switzerland|Zermatt", 45.9763, 7.6586, 1620, 60, true),
        event: "",
        months: (6, 10),
        scenes: &[Mountains, Lake, Mountains, Person(1), Lake, Vehicle(Wheels::Train), Stars, Flower, Mountains],
    },
    Outing { place: HOME, event: "Birthday Greta", months: (1, 12), scenes: &[Cake, Group, Person(2), Table, DOG, Person(4), Cake, CAT] },
    Outing {
        place: place("Places|Portugal|Lisbon", 38.7139, -9.1394, 12, 0, true),
        event: "",
        months: (4, 10),
        scenes: &[Houses, Sea, Beach, Table, Sea, Person(3), Houses, Beach, Group],
    },
    Outing {
        place: HOME,
        event: "",
        months: (9, 11),
        scenes: &[Autumn, DOG, Autumn, Vehicle(Wheels::Truck), Person(5), Fields, CAT, Autumn],
    },
    Outing {
        place: place("Places|Norway|Lofoten", 68.1456, 13.6110, 8, 60, true),
        event: "",
        months: (1, 3),
        scenes: &[Aurora, Snow, Lake, Aurora, Sea, Houses, Snow, Person(1), Aurora],
    },
    Outing {
        place: place("Places|United States|New York", 40.7033, -73.9903, 14, -300, true),
        event: "",
        months: (3, 11),
        scenes: &[Skyline, Vehicle(Wheels::Truck), Skyline, Group, Table, Skyline, Person(0), Houses],
    },
    Outing {
        place: place("Places|Italy|Pienza", 43.0767, 11.6789, 491, 60, true),
        event: "",
        months: (5, 9),
        scenes: &[Fields, Fields, Table, Houses, Vehicle(Wheels::Car), Flower, Fields, Group, Vehicle(Wheels::Van)],
    },
    Outing { place: HOME, event: "", months: (12, 2), scenes: &[Snow, DOG, Snow, Group, CAT, Table, Snow, Person(4)] },
    Outing {
        place: place("Places|Namibia|Sesriem", -24.4864, 15.7997, 880, 120, false),
        event: "",
        months: (5, 9),
        scenes: &[Desert, Stars, Desert, Vehicle(Wheels::Van), Desert, Person(3), Stars, Desert],
    },
    Outing {
        place: place("Places|Germany|Stuttgart", 48.8044, 9.2050, 250, 60, true),
        event: "Zoo",
        months: (3, 10),
        scenes: &[
            Scene::Animal(Animal::Penguin),
            Scene::Animal(Animal::Owl),
            Scene::Animal(Animal::Bear),
            Scene::Animal(Animal::Fox),
            Scene::Animal(Animal::Rabbit),
            Person(2),
            Group,
            Flower,
        ],
    },
    Outing {
        place: place("Places|Türkiye|Göreme", 38.6431, 34.8289, 1105, 180, false),
        event: "",
        months: (4, 10),
        scenes: &[Balloons, Balloons, Desert, Balloons, Table, Person(5), Balloons],
    },
    Outing {
        place: place("Places|Denmark|Copenhagen", 55.6797, 12.5914, 3, 60, true),
        event: "",
        months: (5, 9),
        scenes: &[Houses, Vehicle(Wheels::Bicycle), Houses, Sea, Table, Skyline, Person(0), Houses],
    },
    Outing {
        place: place("Places|Nepal|Pokhara", 28.2096, 83.9856, 822, 345, false),
        event: "",
        months: (10, 12),
        scenes: &[Lake, Mountains, Mountains, Person(1), Stars, Lake, Vehicle(Wheels::Truck), Mountains],
    },
    Outing {
        place: HOME,
        event: "Wedding Amara and Jonas",
        months: (5, 9),
        scenes: &[Group, Person(3), Person(1), Cake, Table, Flower, Group, Vehicle(Wheels::Car), Group, Person(4)],
    },
    Outing {
        place: place("Places|Japan|Kyoto", 35.0116, 135.7681, 50, 540, false),
        event: "",
        months: (10, 11),
        scenes: &[Autumn, Lake, Table, Autumn, Skyline, Vehicle(Wheels::Train), Flower, CAT],
    },
    Outing {
        place: place("Places|Argentina|Mar del Plata", -38.0055, -57.5426, 20, -180, false),
        event: "",
        months: (12, 3),
        scenes: &[Beach, Sea, Beach, DOG, Sea, Table, Person(2), Houses],
    },
    Outing { place: HOME, event: "", months: (1, 12), scenes: &[CAT, DOG, Table, Person(2), Vehicle(Wheels::Car), CAT, Person(5), Flower] },
];
