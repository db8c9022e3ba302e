//! Names of places on earth, without a network: coordinates → town, region and country.
//!
//! Three sources are built in, and each answers what it knows best: borders of countries (OpenStreetMap, by the crate
//! `country-boundaries`) say which country, towns of more than about a thousand people (GeoNames) give town and region, and a
//! coastline (Natural Earth) tells land from sea where no town is near. Everything is a pure function of two numbers. The data
//! takes some 15 MiB of memory once it is first asked for. `scripts/build-places.py` makes the files.
//!
//! ```
//! let place = hm::models::gazetteer::whereabouts(47.3769, 8.5417);
//! assert_eq!((place.city.as_deref(), place.country_code.as_deref()), (Some("Zürich"), Some("CH")));
//! ```

mod bytes;
mod land;
mod towns;

use std::{
    sync::{LazyLock, Once},
    thread,
};

use country_boundaries::{BOUNDARIES_ODBL_360X180, CountryBoundaries, LatLon};

use self::{land::Land, towns::Towns};
use super::{edit::Place, fold};

/// Names that were found with another edition of data or rules are found anew.
pub const EDITION: i16 = 1;

/// Whose data the names are, as its licences want it said.
pub const ATTRIBUTION: &str = "Place names © GeoNames (CC BY 4.0), borders © OpenStreetMap contributors (ODbL), coastlines: Natural Earth";

/// The same where there is little room.
pub const SHORT_ATTRIBUTION: &str = "© GeoNames, © OpenStreetMap contributors";

/// How far from its middle a town still names a place on land.
const TOWN_REACH_KM: f64 = 25.0;
/// How far it does on water, where coastlines end short of piers, islets and boats.
const HARBOUR_REACH_KM: f64 = 10.0;
/// Twelve nautical miles: so far out the sea belongs to a country.
const COASTAL_SEA_KM: f64 = 22.224;
/// How far from a town its region is still taken for the place's.
const REGION_REACH_KM: f64 = 100.0;

static BORDERS: LazyLock<CountryBoundaries> =
    LazyLock::new(|| CountryBoundaries::from_reader(BOUNDARIES_ODBL_360X180).expect("the crate reads its own file"));
static TOWNS: LazyLock<Towns> = LazyLock::new(Towns::read);
static LAND: LazyLock<Land> = LazyLock::new(Land::read);

/// Begins to read the data on threads of its own, so that whoever asks soon waits for less of it. Costs nothing when called again.
pub fn prepare() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        // Whoever asks reads what no thread could be had for.
        let _ = thread::Builder::new().name("towns".to_owned()).spawn(|| LazyLock::force(&TOWNS));
        let _ = thread::Builder::new().name("borders".to_owned()).spawn(|| (LazyLock::force(&BORDERS), LazyLock::force(&LAND)));
    });
}

/// Names the place at a latitude and longitude in degrees; what is not known is left out, and far out at sea that is everything.
///
/// The town is the one that dominates the place, not the nearest: a great city reaches farther than a village. Region and country
/// are the town's. On the high seas, and outside of the range of degrees, nothing is named.
pub fn whereabouts(latitude_deg: f64, longitude_deg: f64) -> Place {
    let Ok(position) = LatLon::new(latitude_deg, longitude_deg) else { return Place::default() };
    let towns = &*TOWNS;
    let place = towns::Point { latitude_deg, longitude_deg };
    let ids = BORDERS.ids(position);
    let Some(country) = country_of(&ids) else { return without_country(place) };
    let region = ids.iter().find_map(|id| towns.region(id));
    let is_mine = |town: usize| match region {
        Some(region) => towns.region_of(town) == region,
        None => towns.country_of(towns.region_of(town)) == country,
    };
    if let Some(town) = towns.dominant(place, TOWN_REACH_KM, is_mine) {
        let km = towns.distance_km(place, town);
        return match () {
            () if km <= HARBOUR_REACH_KM || LAND.contains(latitude_deg, longitude_deg) => towns.whole_place(town),
            () if km <= COASTAL_SEA_KM => towns.region_place(towns.region_of(town)),
            () => Place::default(),
        };
    }
    // A territory that has a code of its own, or is claimed by two: borders and towns say different things, and a town has a name.
    let is_disputed = |town: usize| {
        let towns::Point { latitude_deg, longitude_deg } = towns.point(town);
        LatLon::new(latitude_deg, longitude_deg).is_ok_and(|middle| country_of(&BORDERS.ids(middle)) == Some(country))
    };
    if let Some(town) = towns.dominant(place, TOWN_REACH_KM, is_disputed) {
        return towns.whole_place(town);
    }
    if !LAND.contains(latitude_deg, longitude_deg) {
        return Place::default();
    }
    let region = region.or_else(|| towns.nearest(place, REGION_REACH_KM, is_mine).map(|town| towns.region_of(town)));
    region.map_or_else(|| towns.country_place(country), |region| towns.region_place(region))
}

/// The country among the ids of borders.
fn country_of(ids: &[&str]) -> Option<u16> {
    ids.iter().find(|id| id.len() == 2).and_then(|id| TOWNS.country(id))
}

/// A place on no country's land: islands too small for the borders are left out there, and boats lie before the harbour.
fn without_country(place: towns::Point) -> Place {
    if let Some(town) = TOWNS.dominant(place, HARBOUR_REACH_KM, |_| true) {
        return TOWNS.whole_place(town);
    }
    if let Some(town) = TOWNS.nearest(place, COASTAL_SEA_KM, |_| true) {
        return TOWNS.region_place(TOWNS.region_of(town));
    }
    // The land that is nobody's has a name all the same.
    let is_antarctic = place.latitude_deg < -60.0 && LAND.contains(place.latitude_deg, place.longitude_deg);
    TOWNS.country("AQ").filter(|_| is_antarctic).map(|country| TOWNS.country_place(country)).unwrap_or_default()
}

/// A town for a map's labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Town {
    /// As its people or English write it.
    pub name: &'static str,
    /// Degrees north.
    pub latitude_deg: f64,
    /// Degrees east.
    pub longitude_deg: f64,
    /// People, to a few parts in a hundred.
    pub people: f64,
}

/// The towns of more than `least` people in a box, the greatest first; `west` is greater than `east` where the box crosses the
/// antimeridian. At most `most`.
pub fn towns_within(south: f64, west: f64, north: f64, east: f64, least: f64, most: usize) -> Vec<Town> {
    TOWNS.within(south, west, north, east, least, most)
}

/// A town found by its name.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTown {
    /// The town.
    pub town: Town,
    /// Its name, region and country.
    pub place: Place,
}

/// The towns whose name begins with what is typed, the greatest first, at most `most`. What stands behind a comma is the beginning of the
/// region or country, or the country's code: `paris, tex`, `Bergen, NO`. Accents and capitals do not count.
pub fn towns_named(typed: &str, most: usize) -> Vec<NamedTown> {
    let mut parts = typed.split(',').map(|part| fold(part.trim()));
    let name = parts.next().unwrap_or_default();
    if name.is_empty() {
        return Vec::new();
    }
    let around: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    TOWNS.named(&name, &around, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towns_are_found_by_the_beginning_of_their_names() {
        let found = |typed: &str| {
            let line = |one: &NamedTown| {
                let Place { city, state, country, .. } = one.place.clone();
                [city, state, country].into_iter().flatten().collect::<Vec<_>>().join(", ")
            };
            towns_named(typed, 3).iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(found("paris")[0], "Paris, Île-de-France, France");
        assert_eq!(found("Paris, tex"), ["Paris, Texas, United States"]);
        assert_eq!(found("zurich")[0], "Zürich, Zurich, Switzerland");
        assert!(found("bergen , no")[0].starts_with("Bergen, ") && found("bergen, NO")[0].ends_with("Norway"), "{:?}", found("bergen,no"));
        assert!(found("new y")[0].starts_with("New York City, New York"), "{:?}", found("new y"));
        for nothing in ["", " , France", "Paris, nowhere", "\n", "%"] {
            assert_eq!(found(nothing), Vec::<String>::new(), "{nothing:?}");
        }
        let tokyo = &towns_named("tokyo", 1)[0].town;
        assert!((tokyo.latitude_deg - 35.69).abs() < 0.1 && (tokyo.longitude_deg - 139.69).abs() < 0.1, "{tokyo:?}");
    }

    fn names(latitude_deg: f64, longitude_deg: f64) -> (Option<String>, Option<String>, Option<String>, Option<String>) {
        let Place { city, state, country, country_code } = whereabouts(latitude_deg, longitude_deg);
        (city, state, country, country_code)
    }

    fn words(latitude_deg: f64, longitude_deg: f64) -> String {
        let (city, state, country, _) = names(latitude_deg, longitude_deg);
        [city, state, country].into_iter().map(|name| name.unwrap_or_else(|| "-".to_owned())).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn cities_are_named_with_region_and_country() {
        for (latitude_deg, longitude_deg, expected) in [
            (47.3769, 8.5417, "Zürich, Zurich, Switzerland"),
            (48.8584, 2.2945, "Paris, Île-de-France, France"),
            (52.4977, 13.4180, "Berlin, State of Berlin, Germany"),
            (-33.8568, 151.2153, "Sydney, New South Wales, Australia"),
            (35.6586, 139.7454, "Tokyo, Tokyo, Japan"),
            (37.8199, -122.4783, "San Francisco, California, United States"),
            (64.1466, -21.9426, "Reykjavík, Capital Region, Iceland"),
            (-22.9519, -43.2105, "Rio de Janeiro, Rio de Janeiro, Brazil"),
            (30.0444, 31.2357, "Cairo, Cairo, Egypt"),
        ] {
            assert_eq!(words(latitude_deg, longitude_deg), expected, "{latitude_deg}, {longitude_deg}");
        }
        assert_eq!(names(40.7580, -73.9855).1.as_deref(), Some("New York"));
    }

    #[test]
    fn a_border_is_not_crossed_for_a_nearer_town() {
        // Either side of the river that parts Laufenburg in two, and of the street that parts Konstanz from Kreuzlingen.
        for (latitude_deg, longitude_deg, code) in [
            (47.5675, 8.0600, "DE"),
            (47.5580, 8.0610, "CH"),
            (47.6603, 9.1758, "DE"),
            (47.6500, 9.1780, "CH"),
            // Zermatt's mountain from its Italian side, and the enclaves of Campione and Büsingen.
            (45.9360, 7.6290, "IT"),
            (45.9686, 8.9710, "IT"),
            (47.6973, 8.6910, "DE"),
            (31.7619, -106.4850, "US"),
            (31.7300, -106.4850, "MX"),
        ] {
            assert_eq!(names(latitude_deg, longitude_deg).3.as_deref(), Some(code), "{latitude_deg}, {longitude_deg}");
        }
        assert_eq!(words(39.1145, -94.6500), "Kansas City, Kansas, United States");
    }

    #[test]
    fn the_high_seas_have_no_name_and_coasts_have_one() {
        for (latitude_deg, longitude_deg) in [(0.0, -30.0), (30.0, -50.0), (-40.0, -100.0), (43.0, 180.0), (43.0, -180.0), (38.0, -11.5)] {
            assert_eq!(whereabouts(latitude_deg, longitude_deg), Place::default(), "{latitude_deg}, {longitude_deg}");
        }
        // A pier, a boat before the harbour, and one farther out.
        assert_eq!(words(34.0083, -118.4988), "Santa Monica, California, United States");
        assert_eq!(names(43.6700, 7.2900).0.as_deref(), Some("Nice"));
        let (city, _, country, _) = names(43.5300, 7.3200);
        assert_eq!((city, country.as_deref()), (None, Some("France")));
    }

    #[test]
    fn poles_and_the_antimeridian_are_places_as_well() {
        assert_eq!(whereabouts(90.0, 0.0), Place::default());
        assert_eq!(words(-90.0, 0.0), "-, -, Antarctica");
        assert_eq!(words(-75.0, 100.0), "-, -, Antarctica");
        assert_eq!(names(-16.8500, -179.9500).3.as_deref(), Some("FJ"));
        assert_eq!(names(-16.7800, 179.3300).3.as_deref(), Some("FJ"));
        assert_eq!(names(67.5, -179.5).3.as_deref(), Some("RU"));
        assert_eq!(whereabouts(47.3769, 8.5417 + 360.0).country_code, whereabouts(47.3769, 8.5417).country_code);
        for (latitude_deg, longitude_deg) in [(91.0, 0.0), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(whereabouts(latitude_deg, longitude_deg), Place::default());
        }
    }

    #[test]
    fn emptiness_on_land_still_lies_in_a_country() {
        assert_eq!(words(72.0, -40.0), "-, -, Greenland");
        assert_eq!(names(24.0, 4.0).2.as_deref(), Some("Algeria"));
        assert_eq!(words(18.4655, -66.1057), "San Juan, San Juan, Puerto Rico");
        // Claimed by two.
        assert_eq!(words(44.6054, 33.5220), "Sevastopol, Sevastopol City, Ukraine");
    }

    #[test]
    fn towns_of_a_box_are_listed_by_their_size() {
        let europe = towns_within(45.0, -5.0, 60.0, 20.0, 1e6, 5);
        let names: Vec<_> = europe.iter().map(|town| town.name).collect();
        assert_eq!(names[0], "London");
        assert!(names.contains(&"Berlin") && names.len() == 5, "{names:?}");
        let pacific = towns_within(-20.0, 177.0, -15.0, -178.0, 50_000.0, 9);
        assert!(pacific.iter().any(|town| town.name == "Suva"), "{pacific:?}");
    }

    #[test]
    fn towns_lie_in_their_own_country_as_far_as_borders_are_agreed_on() {
        let towns = &*TOWNS;
        let mut wrong = 0;
        let step = 37;
        for town in (0..towns.len()).step_by(step) {
            let point = towns.point(town);
            let code = whereabouts(point.latitude_deg, point.longitude_deg).country_code;
            wrong += usize::from(code.as_deref() != Some(towns.country_code(towns.country_of(towns.region_of(town)))));
        }
        let asked = towns.len().div_ceil(step);
        assert!(wrong * 100 < asked, "{wrong} of {asked}");
    }
}
