//! Towns by place: which dominates a point, and which are the greatest of a box; and by name.

use std::{io::Read, sync::OnceLock};

use super::{
    super::{edit::Place, fold},
    NamedTown, Town,
    bytes::Bytes,
};

/// Units of the file in a degree.
const UNIT: f64 = 10_000.0;
const ROWS: usize = 180;
const COLUMNS: usize = 360;
/// Kilometres of a degree of latitude.
const DEGREE_KM: f64 = 111.195;
/// Nearer than this all are at the middle of the town.
const MIDDLE_KM: f64 = 0.5;

/// A place, in degrees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) latitude_deg: f64,
    pub(super) longitude_deg: f64,
}

struct Country {
    code: &'static str,
    name: &'static str,
}

struct Region {
    country: u16,
    /// GeoNames' own; that of ISO 3166-2 in some countries, the United States among them.
    code: &'static str,
    /// Empty for what has no region.
    name: &'static str,
}

pub(super) struct Towns {
    countries: Vec<Country>,
    regions: Vec<Region>,
    latitude: Vec<i32>,
    longitude: Vec<i32>,
    region: Vec<u16>,
    /// Ten times the binary logarithm.
    people: Vec<u8>,
    names: &'static str,
    name_ends: Vec<u32>,
    /// Where the towns of each square degree begin, and the end of all. They lie by rows from the south-west, the greatest first.
    cells: Vec<u32>,
    /// The names as they are compared, a line each: once somebody looks for one.
    folded: OnceLock<String>,
}

impl Towns {
    pub(super) fn read() -> Self {
        let mut unpacked = Vec::new();
        let packed: &[u8] = include_bytes!("places.br");
        brotli_decompressor::Decompressor::new(packed, 1 << 16).read_to_end(&mut unpacked).expect("the built-in file is whole");
        // Names point into it for as long as the program lives.
        let mut file = Bytes::of(unpacked.leak(), "hm places 1\n");
        let countries = (0..file.number()).map(|_| Country { code: file.text(), name: file.text() }).collect();
        let regions = (0..file.number()).map(|_| Region { country: file.number() as u16, code: file.text(), name: file.text() }).collect();
        let count = file.number();
        let mut before = 0;
        let mut degrees = |file: &mut Bytes<'static>| {
            before += file.signed();
            before
        };
        let latitude: Vec<i32> = (0..count).map(|_| degrees(&mut file)).collect();
        let longitude: Vec<i32> = (0..count).map(|_| degrees(&mut file)).collect();
        let region = (0..count).map(|_| file.number() as u16).collect();
        let people = (0..count).map(|_| file.byte()).collect();
        let names = std::str::from_utf8(file.rest()).expect("the built-in file holds UTF-8");
        let ends = names.match_indices('\n').map(|(at, _)| at as u32);
        let name_ends = ends.chain([names.len() as u32]).collect();
        let place = |town: usize| cell(f64::from(latitude[town]) / UNIT, f64::from(longitude[town]) / UNIT);
        let mut cells = vec![0; ROWS * COLUMNS + 1];
        for town in 0..count {
            cells[place(town) + 1] += 1;
        }
        for at in 1..cells.len() {
            cells[at] += cells[at - 1];
        }
        Self { countries, regions, latitude, longitude, region, people, names, name_ends, cells, folded: OnceLock::new() }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.latitude.len()
    }

    /// The number of the country with an ISO 3166 code.
    pub(super) fn country(&self, code: &str) -> Option<u16> {
        self.countries.binary_search_by(|country| country.code.cmp(code)).ok().map(|at| at as u16)
    }

    /// The region with a code of ISO 3166-2, of those countries where GeoNames goes by it.
    pub(super) fn region(&self, code: &str) -> Option<u16> {
        let (country, part) = code.split_once('-')?;
        let country = Some(country).filter(|country| matches!(*country, "US" | "GB")).and_then(|country| self.country(country))?;
        self.regions.binary_search_by(|region| (region.country, region.code).cmp(&(country, part))).ok().map(|at| at as u16)
    }

    pub(super) fn region_of(&self, town: usize) -> u16 {
        self.region[town]
    }

    pub(super) fn country_of(&self, region: u16) -> u16 {
        self.regions[usize::from(region)].country
    }

    #[cfg(test)]
    pub(super) fn country_code(&self, country: u16) -> &'static str {
        self.countries[usize::from(country)].code
    }

    pub(super) fn point(&self, town: usize) -> Point {
        Point { latitude_deg: f64::from(self.latitude[town]) / UNIT, longitude_deg: f64::from(self.longitude[town]) / UNIT }
    }

    fn name(&self, town: usize) -> &'static str {
        let begin = if town == 0 { 0 } else { self.name_ends[town - 1] as usize + 1 };
        &self.names[begin..self.name_ends[town] as usize]
    }

    fn people(&self, town: usize) -> f64 {
        (f64::from(self.people[town]) / 10.0).exp2() - 1.0
    }

    pub(super) fn country_place(&self, country: u16) -> Place {
        let Country { code, name } = &self.countries[usize::from(country)];
        let named = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Place { country: named(name), country_code: named(code), ..Place::default() }
    }

    pub(super) fn region_place(&self, region: u16) -> Place {
        let Region { country, name, .. } = &self.regions[usize::from(region)];
        Place { state: Some((*name).to_owned()).filter(|name| !name.is_empty()), ..self.country_place(*country) }
    }

    pub(super) fn whole_place(&self, town: usize) -> Place {
        Place { city: Some(self.name(town).to_owned()), ..self.region_place(self.region[town]) }
    }

    /// Kilometres along the great circle.
    pub(super) fn distance_km(&self, from: Point, town: usize) -> f64 {
        let to = self.point(town);
        let (here, there) = (from.latitude_deg.to_radians(), to.latitude_deg.to_radians());
        let north = ((there - here) / 2.0).sin();
        let east = ((to.longitude_deg - from.longitude_deg).to_radians() / 2.0).sin();
        let share = north * north + here.cos() * there.cos() * east * east;
        2.0 * DEGREE_KM * share.sqrt().min(1.0).asin().to_degrees()
    }

    /// The town that dominates a place, of those within reach that pass. How far a town reaches grows with the fourth
    /// root of its people: a city of a million reaches five times and a half as far as a village of a thousand.
    pub(super) fn dominant(&self, place: Point, reach_km: f64, passes: impl Fn(usize) -> bool) -> Option<usize> {
        let pull = |(town, km): &(usize, f64)| km.max(MIDDLE_KM).powi(4) / self.people(*town).max(100.0);
        self.within_reach(place, reach_km, passes).into_iter().min_by(|one, other| pull(one).total_cmp(&pull(other))).map(|(town, _)| town)
    }

    /// The nearest town within reach that passes.
    pub(super) fn nearest(&self, place: Point, reach_km: f64, passes: impl Fn(usize) -> bool) -> Option<usize> {
        let found = self.within_reach(place, reach_km, passes).into_iter();
        found.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(town, _)| town)
    }

    fn within_reach(&self, place: Point, reach_km: f64, passes: impl Fn(usize) -> bool) -> Vec<(usize, f64)> {
        let high = reach_km / DEGREE_KM;
        let (south, north) = (place.latitude_deg - high, place.latitude_deg + high);
        let narrowest = south.abs().max(north.abs()).min(90.0).to_radians().cos();
        let wide = if narrowest * 180.0 <= high { 180.0 } else { high / narrowest };
        let mut found = Vec::new();
        for cell in cells_within(south, place.longitude_deg - wide, north, place.longitude_deg + wide) {
            for town in self.cells[cell] as usize..self.cells[cell + 1] as usize {
                // Degrees first: most are out of reach, and a cosine is dear.
                let is_high = (f64::from(self.latitude[town]) / UNIT - place.latitude_deg).abs() <= high;
                if is_high && passes(town) {
                    let km = self.distance_km(place, town);
                    if km <= reach_km {
                        found.push((town, km));
                    }
                }
            }
        }
        found
    }

    pub(super) fn within(&self, south: f64, west: f64, north: f64, east: f64, least: f64, most: usize) -> Vec<Town> {
        let east = if west > east { east + 360.0 } else { east };
        let mut found = Vec::new();
        for cell in cells_within(south, west, north, east) {
            let towns = self.cells[cell] as usize..self.cells[cell + 1] as usize;
            // The greatest of a cell come first.
            for town in towns.take_while(|town| self.people(*town) >= least) {
                let Point { latitude_deg, longitude_deg } = self.point(town);
                let turned = if longitude_deg < west { longitude_deg + 360.0 } else { longitude_deg };
                if (south..=north).contains(&latitude_deg) && turned <= east {
                    found.push(self.town(town));
                }
            }
        }
        found.sort_by(|one, other| other.people.total_cmp(&one.people));
        found.truncate(most);
        found
    }

    fn town(&self, town: usize) -> Town {
        let Point { latitude_deg, longitude_deg } = self.point(town);
        Town { name: self.name(town), latitude_deg, longitude_deg, people: self.people(town) }
    }

    /// The towns whose folded name begins with `name`, in a region or country that each of `around` begins, the greatest first.
    pub(super) fn named(&self, name: &str, around: &[String], most: usize) -> Vec<NamedTown> {
        let folded = self.folded.get_or_init(|| self.names.split('\n').map(fold).collect::<Vec<_>>().join("\n"));
        let is_there = |town: usize| {
            let region = &self.regions[usize::from(self.region[town])];
            let country = &self.countries[usize::from(region.country)];
            let names = [fold(region.name), fold(country.name)];
            around.iter().all(|part| part.eq_ignore_ascii_case(country.code) || names.iter().any(|name| name.starts_with(part)))
        };
        let begins = folded.split('\n').enumerate().filter(|(_, line)| line.starts_with(name)).map(|(town, _)| town);
        let mut found: Vec<usize> = begins.filter(|town| is_there(*town)).collect();
        found.sort_by_key(|town| std::cmp::Reverse(self.people[*town]));
        found.truncate(most);
        found.into_iter().map(|town| NamedTown { town: self.town(town), place: self.whole_place(town) }).collect()
    }
}

/// The number of a square degree.
fn cell(latitude_deg: f64, longitude_deg: f64) -> usize {
    let row = ((latitude_deg + 90.0).max(0.0) as usize).min(ROWS - 1);
    let column = ((longitude_deg + 180.0).rem_euclid(360.0) as usize).min(COLUMNS - 1);
    row * COLUMNS + column
}

/// The square degrees that a box touches, each once; longitudes may go on beyond 180°.
fn cells_within(south: f64, west: f64, north: f64, east: f64) -> impl Iterator<Item = usize> {
    let (first_row, last_row) = (cell(south, -180.0) / COLUMNS, cell(north, -180.0) / COLUMNS);
    let columns = ((east.floor() - west.floor()) as usize + 1).min(COLUMNS);
    let first_column = cell(0.0, west) % COLUMNS;
    (first_row..=last_row).flat_map(move |row| (0..columns).map(move |step| row * COLUMNS + (first_column + step) % COLUMNS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_over_the_antimeridian_has_the_cells_of_both_sides() {
        let cells: Vec<usize> = cells_within(0.5, 178.5, 0.6, 181.5).map(|cell| cell % COLUMNS).collect();
        assert_eq!(cells, [358, 359, 0, 1]);
        assert_eq!(cells_within(89.0, -180.0, 95.0, 180.0).count(), COLUMNS);
        assert_eq!(cells_within(-95.0, 10.0, -89.5, 10.5).collect::<Vec<_>>(), [190]);
    }

    #[test]
    fn numbers_of_the_file_come_to_their_places() {
        let towns = Towns::read();
        assert!(towns.len() > 150_000 && towns.name_ends.len() == towns.len(), "{}", towns.len());
        let tokyo = towns.within(35.0, 139.0, 36.0, 140.0, 5e6, 1)[0];
        assert!(tokyo.name == "Tokyo" && (8e6..15e6).contains(&tokyo.people), "{tokyo:?}");
        assert_eq!(towns.country_code(towns.country("CH").unwrap()), "CH");
        assert_eq!(towns.regions[usize::from(towns.region("US-TX").unwrap())].name, "Texas");
        assert_eq!(towns.region("CA-ON"), None);
    }

    #[test]
    fn the_towns_within_reach_are_those_of_a_plain_search() {
        let towns = Towns::read();
        for (latitude_deg, longitude_deg, reach_km) in [(47.0, 8.0, 25.0), (-17.0, 179.99, 80.0), (78.2, 15.6, 100.0), (89.9, 5.0, 100.0)] {
            let place = Point { latitude_deg, longitude_deg };
            let mut found: Vec<usize> = towns.within_reach(place, reach_km, |_| true).into_iter().map(|(town, _)| town).collect();
            found.sort_unstable();
            let plain: Vec<usize> = (0..towns.len()).filter(|town| towns.distance_km(place, *town) <= reach_km).collect();
            assert_eq!(found, plain, "{latitude_deg}, {longitude_deg}");
        }
    }
}
