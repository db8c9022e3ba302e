//! The squares that the map is counted by: the web's projection (Mercator's, as every tile server has it), cut in four again and
//! again, in Morton's order. The database's function `map_cell` has the same rule.

use std::f64::consts::PI;

use super::query::Area;

/// The level that the database knows every image's square of: some two metres at the equator.
pub const FINEST_LEVEL: u8 = 24;
/// The map ends there, north and south, so that it is a square itself.
pub const LAST_LATITUDE_DEG: f64 = 85.051_128_779_8;
/// Clusters of a zoom are squares of that many levels more: a quarter of a tile, 64 pixels wide.
const CLUSTER_LEVELS: u8 = 2;
/// Blocks are squares of so many levels less than clusters, 512 pixels wide: an answer consists of whole blocks.
const BLOCK_LEVELS: u8 = 3;
/// Most blocks of one answer; for a larger box a lower zoom is answered.
const MOST_BLOCKS: u64 = 64;
/// Closest zoom.
pub const CLOSEST_ZOOM: u8 = 20;

/// A square of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// 2^level squares lie side by side around the earth; 0..=24.
    pub level: u8,
    /// Bits of east and south by turns, south the higher.
    pub code: i64,
}

/// Places on the map's square: from the west, from the north, both 0..=1.
fn projected(latitude_deg: f64, longitude_deg: f64) -> (f64, f64) {
    let latitude = latitude_deg.clamp(-LAST_LATITUDE_DEG, LAST_LATITUDE_DEG).to_radians();
    ((longitude_deg + 180.0) / 360.0, (1.0 - latitude.tan().asinh() / PI) / 2.0)
}

/// Spreads the lower 24 bits out to every other.
fn spread(bits: u32) -> i64 {
    let mut bits = i64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Every other bit, put together.
fn gathered(code: i64) -> u32 {
    let mut bits = code & 0x5555_5555_5555_5555;
    for (shift, mask) in
        [(1, 0x3333_3333_3333_3333), (2, 0x0F0F_0F0F_0F0F_0F0F), (4, 0x00FF_00FF_00FF_00FF), (8, 0x0000_FFFF_0000_FFFF), (16, 0xFFFF_FFFF)]
    {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

impl Cell {
    /// The square of a level that a place lies in; beyond the map's end, its last.
    pub fn of(latitude_deg: f64, longitude_deg: f64, level: u8) -> Self {
        let (x, y) = projected(latitude_deg, longitude_deg);
        let number = |share: f64| (share * f64::from(1 << FINEST_LEVEL)).floor().clamp(0.0, f64::from((1 << FINEST_LEVEL) - 1)) as u32;
        Self::at(number(x) >> (FINEST_LEVEL - level), number(y) >> (FINEST_LEVEL - level), level)
    }

    /// The square so many squares of a level from the west and the north.
    pub fn at(x: u32, y: u32, level: u8) -> Self {
        Self { level, code: spread(x) | spread(y) << 1 }
    }

    /// Squares from the west, and from the north.
    pub fn x_y(self) -> (u32, u32) {
        (gathered(self.code), gathered(self.code >> 1))
    }

    /// Its sides, to a centimetre, so that no place is in two squares. The first and last rows reach to the poles.
    pub fn area(self) -> Area {
        const UNITS: f64 = 1e7;
        let from = |degrees: f64| (degrees * UNITS).ceil() / UNITS;
        let before = |degrees: f64| ((degrees * UNITS).ceil() - 1.0) / UNITS;
        let (x, y) = self.x_y();
        let count = f64::from(1_u32 << self.level);
        let longitude = |x: f64| x / count * 360.0 - 180.0;
        let latitude = |y: f64| (PI * (1.0 - 2.0 * y / count)).sinh().atan().to_degrees();
        let is_last = |number: u32| number + 1 == 1 << self.level;
        Area {
            south_deg: if is_last(y) { -90.0 } else { -before(-latitude(f64::from(y + 1))) },
            west_deg: from(longitude(f64::from(x))),
            north_deg: if y == 0 { 90.0 } else { -from(-latitude(f64::from(y))) },
            east_deg: if is_last(x) { 180.0 } else { before(longitude(f64::from(x + 1))) },
        }
    }

    /// Its stretch of the squares of a finer level: the first, and the first after.
    pub fn stretch(self, level: u8) -> (i64, i64) {
        let shift = 2 * (level - self.level);
        (self.code << shift, (self.code + 1) << shift)
    }
}

/// What one answer of the map covers: whole blocks of clusters around a box.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The zoom of the answer: that asked for, or a lower one where the box is too large for it.
    pub zoom: u8,
    /// The blocks, in their order.
    pub blocks: Vec<Cell>,
    /// Their sides together; `None` for the whole map.
    pub area: Option<Area>,
}

impl View {
    /// The blocks that a box touches.
    pub fn of(area: &Area, zoom: u8) -> Self {
        let mut zoom = zoom.min(CLOSEST_ZOOM);
        loop {
            let level = Self { zoom, blocks: Vec::new(), area: None }.block_level();
            let side = 1_u32 << level;
            let (west, north) = Cell::of(area.north_deg, area.west_deg, level).x_y();
            let (east, south) = Cell::of(area.south_deg, area.east_deg, level).x_y();
            // Over the antimeridian, or all around the earth to where it began.
            let columns = match area.west_deg > area.east_deg {
                true if east >= west => side,
                true => side - west + east + 1,
                false => east - west + 1,
            };
            let rows = south - north + 1;
            if u64::from(columns) * u64::from(rows) > MOST_BLOCKS {
                zoom -= 1;
                continue;
            }
            let column = |step: u32| (west + step) % side;
            let mut blocks: Vec<Cell> =
                (0..rows).flat_map(|row| (0..columns).map(move |step| Cell::at(column(step), north + row, level))).collect();
            blocks.sort_unstable();
            let covered = Area {
                south_deg: Cell::at(0, south, level).area().south_deg,
                west_deg: if columns == side { -180.0 } else { Cell::at(west, 0, level).area().west_deg },
                north_deg: Cell::at(0, north, level).area().north_deg,
                east_deg: if columns == side { 180.0 } else { Cell::at(column(columns - 1), 0, level).area().east_deg },
            };
            return Self { zoom, area: Some(covered).filter(|_| columns < side || rows < side), blocks };
        }
    }

    /// The level of its clusters.
    pub fn level(&self) -> u8 {
        (self.zoom + CLUSTER_LEVELS).min(FINEST_LEVEL)
    }

    fn block_level(&self) -> u8 {
        self.level().saturating_sub(BLOCK_LEVELS)
    }

    /// The blocks as stretches of the squares of a level, those that touch made one.
    pub fn stretches(&self, level: u8) -> Vec<(i64, i64)> {
        let mut stretches: Vec<(i64, i64)> = Vec::new();
        for (first, after) in self.blocks.iter().map(|block| block.stretch(level)) {
            match stretches.last_mut() {
                Some(last) if last.1 == first => last.1 = after,
                _ => stretches.push((first, after)),
            }
        }
        stretches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORLD: Area = Area { south_deg: -90.0, west_deg: -180.0, north_deg: 90.0, east_deg: 180.0 };

    #[test]
    fn a_square_knows_its_place_and_its_sides_hold_what_is_in_it() {
        for (latitude_deg, longitude_deg) in
            [(47.3769, 8.5417), (-33.86, 151.21), (0.0, 0.0), (89.9, -180.0), (-89.9, 179.999), (64.1, -21.9)]
        {
            for level in 0..=FINEST_LEVEL {
                let cell = Cell::of(latitude_deg, longitude_deg, level);
                let (x, y) = cell.x_y();
                assert_eq!(Cell::at(x, y, level), cell);
                assert!(cell.area().holds(latitude_deg, longitude_deg), "{cell:?} {latitude_deg} {longitude_deg}");
                let (first, after) = cell.stretch(FINEST_LEVEL);
                assert!((first..after).contains(&Cell::of(latitude_deg, longitude_deg, FINEST_LEVEL).code));
            }
        }
        assert_eq!(Cell::of(47.3769, 8.5417, 1), Cell { level: 1, code: 1 });
        assert_eq!(Cell::of(-10.0, -10.0, 1), Cell { level: 1, code: 2 });
    }

    #[test]
    fn the_whole_earth_is_every_block_once() {
        for zoom in 0..=CLOSEST_ZOOM {
            let view = View::of(&WORLD, zoom);
            assert_eq!(view.area, None);
            let level = view.level();
            assert_eq!(view.stretches(level), [(0, 1_i64 << (2 * level))], "zoom {zoom}");
            assert!(view.blocks.len() as u64 <= MOST_BLOCKS && view.zoom <= 4.min(zoom), "{}", view.zoom);
        }
    }

    #[test]
    fn a_box_is_covered_by_blocks_also_over_the_antimeridian() {
        let fiji = Area { south_deg: -20.0, west_deg: 176.0, north_deg: -15.0, east_deg: -178.0 };
        let view = View::of(&fiji, 8);
        let covered = view.area.unwrap();
        assert!(covered.west_deg <= 176.0 && covered.east_deg >= -178.0 && covered.west_deg > covered.east_deg, "{covered:?}");
        let has = |latitude_deg, longitude_deg| {
            let code = Cell::of(latitude_deg, longitude_deg, FINEST_LEVEL).code;
            view.stretches(FINEST_LEVEL).iter().any(|(first, after)| (*first..*after).contains(&code))
        };
        for (latitude_deg, longitude_deg, is_in) in [(-17.0, 179.9, true), (-17.0, -179.9, true), (-17.0, 0.0, false), (40.0, 179.9, false)]
        {
            assert_eq!((has(latitude_deg, longitude_deg), covered.holds(latitude_deg, longitude_deg)), (is_in, is_in), "{longitude_deg}");
        }
        // All the way round to just before where it began.
        let ring = Area { south_deg: -20.0, west_deg: 10.0, north_deg: -15.0, east_deg: 9.0 };
        let view = View::of(&ring, 3);
        assert!(view.blocks.windows(2).all(|pair| pair[0] != pair[1]) && view.area.unwrap().holds(-17.0, 9.5), "{view:?}");
    }
}
