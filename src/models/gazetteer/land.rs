//! Land or sea, by a coastline of the scale 1:10,000,000: right to a kilometre or so.
//!
//! The coast is a set of short lines. From a place in the sea one crosses it an even number of times on the way north to the pole,
//! which is sea, and an odd number from land. Lines are kept by the degree of longitude they lie in.

use super::bytes::Bytes;

/// Units of the file in a degree.
const UNIT: f64 = 10_000.0;
const TURN: i32 = 3_600_000;
const COLUMNS: usize = 360;

/// A line of the coast: west end, east end; longitudes may go on beyond 180° where it crosses the antimeridian.
type Line = [i32; 4];

pub(super) struct Land {
    lines: Vec<Line>,
    /// Where the lines of each column begin, and the end of all.
    columns: Vec<u32>,
}

impl Land {
    pub(super) fn read() -> Self {
        let mut file = Bytes::of(include_bytes!("../../../static/world-10m.bin"), "hm world 1\n");
        let (_, coasts) = (file.number(), file.number());
        let mut lines = Vec::new();
        for _ in 0..coasts {
            let points = file.number();
            let (mut x, mut y) = (file.signed(), file.signed());
            for _ in 1..points {
                let (from_x, from_y) = (x, y);
                x += file.signed();
                y += file.signed();
                lines.push(line(from_x, from_y, x, y));
            }
        }
        // An upright line is crossed by no meridian. The few that span columns stand in each of them.
        lines.retain(|line: &Line| line[0] != line[2]);
        let mut columns = vec![0; COLUMNS + 1];
        for at in lines.iter().flat_map(columns_of) {
            columns[at + 1] += 1;
        }
        for at in 1..columns.len() {
            columns[at] += columns[at - 1];
        }
        // Where the next line of each column belongs.
        let mut next = columns.clone();
        let mut placed = vec![Line::default(); columns[COLUMNS] as usize];
        for line in &lines {
            for at in columns_of(line) {
                placed[next[at] as usize] = *line;
                next[at] += 1;
            }
        }
        Self { lines: placed, columns }
    }

    /// Whether a place is on land.
    pub(super) fn contains(&self, latitude_deg: f64, longitude_deg: f64) -> bool {
        let x = ((longitude_deg + 180.0).rem_euclid(360.0) - 180.0) * UNIT;
        let y = latitude_deg * UNIT;
        let column = column(x.floor() as i32);
        let lines = &self.lines[self.columns[column] as usize..self.columns[column + 1] as usize];
        let crosses = |[west, south_of_west, east, south_of_east]: &Line| {
            let (west, east) = (f64::from(*west), f64::from(*east));
            let x = if x < west { x + f64::from(TURN) } else { x };
            let share = (x - west) / (east - west);
            let at = f64::from(*south_of_west) + share * f64::from(south_of_east - south_of_west);
            (west..east).contains(&x) && at > y
        };
        lines.iter().filter(|line| crosses(line)).count() % 2 == 1
    }
}

/// The columns that a line touches.
fn columns_of(line: &Line) -> impl Iterator<Item = usize> + use<> {
    let (first, last) = (column(line[0]), column(line[2]));
    (0..=(last + COLUMNS - first) % COLUMNS).map(move |step| (first + step) % COLUMNS)
}

/// From west to east, the short way round.
fn line(from_x: i32, from_y: i32, to_x: i32, to_y: i32) -> Line {
    let (mut west, mut east) = ([from_x, from_y], [to_x, to_y]);
    if west[0] > east[0] {
        std::mem::swap(&mut west, &mut east);
    }
    if east[0] - west[0] > TURN / 2 {
        west[0] += TURN;
        std::mem::swap(&mut west, &mut east);
    }
    [west[0], west[1], east[0], east[1]]
}

fn column(x: i32) -> usize {
    ((x + TURN / 2).rem_euclid(TURN) as usize / UNIT as usize).min(COLUMNS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn land_and_sea_are_told_apart() {
        let land = Land::read();
        for (latitude_deg, longitude_deg) in [
            (48.0, 11.0),
            (-75.0, 0.0),
            (-85.0, 180.0),
            (-90.0, 10.0),
            (67.5, -179.0),
            (67.5, 179.0),
            (-25.0, 135.0),
            (72.0, -40.0),
            (21.45, -158.0),
        ] {
            assert!(land.contains(latitude_deg, longitude_deg), "{latitude_deg}, {longitude_deg}");
        }
        for (latitude_deg, longitude_deg) in [
            (0.0, 0.0),
            (90.0, 0.0),
            (40.0, 180.0),
            (40.0, -180.0),
            (35.0, 18.0),
            (-60.0, -60.0),
            (57.0, 20.0),
            (0.0, -180.0),
            (75.0, 180.0),
        ] {
            assert!(!land.contains(latitude_deg, longitude_deg), "{latitude_deg}, {longitude_deg}");
        }
    }

    #[test]
    fn a_line_over_the_antimeridian_stays_short() {
        assert_eq!(line(1_799_000, 5, -1_799_000, 7), [1_799_000, 5, 1_801_000, 7]);
        assert_eq!(line(-1_799_000, 7, 1_799_000, 5), [1_799_000, 5, 1_801_000, 7]);
        assert_eq!(line(20, 1, 10, 2), [10, 2, 20, 1]);
    }
}
