//! Masks as polygons along the edges of pixels, and back. Apart, because corners need other bookkeeping than runs; the cost goes
//! with the length of the outline, not with the area.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{InvalidMask, Mask};

/// A connected area: corners (x, y) in px of the upright image, the last joined to the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Polygon {
    /// Around the area; clockwise as seen on a screen when it comes from a mask.
    pub outer: Vec<(f64, f64)>,
    /// Around what is missing inside; counter-clockwise when they come from a mask.
    pub holes: Vec<Vec<(f64, f64)>>,
}

/// A stretch of outline with the inside to its right, seen along its way.
#[derive(Debug, Clone, Copy)]
struct Edge {
    to: (u32, u32),
    is_used: bool,
}

/// Stretches by where they begin; two begin where pixels touch at a corner only.
type Edges = HashMap<(u32, u32), Vec<Edge>>;

/// A closed outline.
type Ring = Vec<(u32, u32)>;

impl Mask {
    /// The outlines of its connected areas; pixels that touch at a corner only are not connected. By the top of their leftmost column.
    pub fn to_polygons(&self) -> Vec<Polygon> {
        let mut edges = self.edges();
        let mut starts: Vec<(u32, u32)> = edges.keys().copied().collect();
        starts.sort_unstable();
        let (mut outer, mut holes): (Vec<Ring>, Vec<Ring>) = (Vec::new(), Vec::new());
        for start in starts {
            while let Some(ring) = take_ring(&mut edges, start) {
                if is_clockwise(&ring) { outer.push(ring) } else { holes.push(ring) }
            }
        }
        let mut polygons: Vec<Polygon> = outer.iter().map(|ring| Polygon { outer: corners(ring), holes: Vec::new() }).collect();
        for hole in holes {
            // Just left of a hole's leftmost edge lies a pixel of the area around it; of all areas around it that is the innermost,
            // which is the one whose outline is found last.
            if let Some(&(x, y)) = hole.iter().min() {
                let place = (f64::from(x) - 0.5, f64::from(y) + 0.5);
                let owner = (0..polygons.len()).rev().find(|&index| is_inside(&polygons[index].outer, place));
                if let Some(owner) = owner {
                    polygons[owner].holes.push(corners(&hole));
                }
            }
        }
        polygons
    }

    /// All stretches of outline: along columns from where neighbours differ, along rows from the ends of their pieces.
    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        let mut add = |from: (u32, u32), to: (u32, u32)| edges.entry(from).or_default().push(Edge { to, is_used: false });
        for (x, top, bottom) in self.segments() {
            add((x, top), (x + 1, top));
            add((x + 1, bottom), (x, bottom));
        }
        let mut before: Vec<(u32, u32)> = Vec::new();
        let mut segments = self.segments().peekable();
        for x in 0..=self.width_px {
            let mut here = Vec::new();
            while let Some(&(_, from, to)) = segments.peek().filter(|segment| segment.0 == x) {
                here.push((from, to));
                segments.next();
            }
            // Inside begins here: upwards. Inside ends here: downwards.
            for (from, to) in without(&here, &before) {
                add((x, to), (x, from));
            }
            for (from, to) in without(&before, &here) {
                add((x, from), (x, to));
            }
            before = here;
        }
        edges
    }

    /// The pixels whose middle lies inside a polygon and in none of its holes. Corners may lie anywhere, outside the image too.
    ///
    /// # Errors
    /// [`InvalidMask::TooLarge`].
    pub fn of_polygons(width_px: u32, height_px: u32, polygons: &[Polygon]) -> Result<Self, InvalidMask> {
        let mut mask = Self::empty(width_px, height_px)?;
        for polygon in polygons {
            // Of every column, where its middle line crosses the outlines: inside lies between an odd crossing and the next.
            let mut crossings: Vec<Vec<f64>> = vec![Vec::new(); width_px as usize];
            for ring in std::iter::once(&polygon.outer).chain(&polygon.holes) {
                for (index, &a) in ring.iter().enumerate() {
                    cross_columns(&mut crossings, a, ring[(index + 1) % ring.len()]);
                }
            }
            let fills = crossings.iter_mut().zip(0_u32..).flat_map(|(crossings, x)| {
                crossings.sort_unstable_by(f64::total_cmp);
                // A pixel is inside when its middle is, half a pixel below its number.
                let row = |y: f64| (y - 0.5).ceil().clamp(0.0, f64::from(height_px)) as u32;
                crossings.chunks_exact(2).map(move |pair| (x * height_px + row(pair[0]), x * height_px + row(pair[1])))
            });
            mask = mask.union(&Self::of_fills(width_px, height_px, fills)?)?;
        }
        Ok(mask)
    }
}

/// Parts of the pieces `a` that no piece of `b` covers; both in order.
fn without(a: &[(u32, u32)], b: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut rest = Vec::new();
    let mut next = 0;
    for &(mut from, to) in a {
        while next < b.len() && b[next].1 <= from {
            next += 1;
        }
        for &(other_from, other_to) in b[next..].iter().take_while(|piece| piece.0 < to) {
            if other_from > from {
                rest.push((from, other_from));
            }
            from = from.max(other_to);
        }
        if from < to {
            rest.push((from, to));
        }
    }
    rest
}

/// Walks from `start` along edges not yet walked, back to `start`; `None` when all that begin there were. Corners only.
fn take_ring(edges: &mut Edges, start: (u32, u32)) -> Option<Ring> {
    let mut ring: Ring = Vec::new();
    let mut at = start;
    let mut direction = None;
    loop {
        let leaving = edges.get_mut(&at)?.iter_mut().filter(|edge| !edge.is_used);
        // Where two ways lead on, the turn to the right stays with the pixel.
        let edge = leaving.min_by_key(|edge| direction.map_or(0, |came| turn(came, heading(at, edge.to))))?;
        edge.is_used = true;
        let to = edge.to;
        let heading = heading(at, to);
        if direction != Some(heading) {
            ring.push(at);
        }
        direction = Some(heading);
        at = to;
        if at == start {
            break;
        }
    }
    if let (Some(&first), Some(&second)) = (ring.first(), ring.get(1)) {
        // The start is no corner when the last edge goes straight on into the first.
        if direction == Some(heading(first, second)) {
            ring.remove(0);
        }
    }
    Some(ring)
}

/// 0 right, 1 down, 2 left, 3 up.
fn heading(from: (u32, u32), to: (u32, u32)) -> u8 {
    match (to.0.cmp(&from.0), to.1.cmp(&from.1)) {
        (std::cmp::Ordering::Greater, _) => 0,
        (std::cmp::Ordering::Less, _) => 2,
        (_, std::cmp::Ordering::Greater) => 1,
        _ => 3,
    }
}

/// 0 to the right, 1 straight on, 2 to the left.
fn turn(came: u8, goes: u8) -> u8 {
    match (goes + 4 - came) % 4 {
        1 => 0,
        0 => 1,
        _ => 2,
    }
}

/// Whether a ring has its inside to the right, as outlines of areas have.
fn is_clockwise(ring: &Ring) -> bool {
    let mut doubled_area = 0_i64;
    for (index, a) in ring.iter().enumerate() {
        let b = ring[(index + 1) % ring.len()];
        doubled_area += i64::from(a.0) * i64::from(b.1) - i64::from(b.0) * i64::from(a.1);
    }
    doubled_area > 0
}

fn corners(ring: &Ring) -> Vec<(f64, f64)> {
    ring.iter().map(|&(x, y)| (f64::from(x), f64::from(y))).collect()
}

/// Whether a place lies inside a ring.
fn is_inside(ring: &[(f64, f64)], (x, y): (f64, f64)) -> bool {
    let mut inside = false;
    for (index, a) in ring.iter().enumerate() {
        let b = ring[(index + 1) % ring.len()];
        if (a.1 > y) != (b.1 > y) && x < a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0) {
            inside = !inside;
        }
    }
    inside
}

/// Notes where the line from `a` to `b` crosses the middle of each column.
fn cross_columns(crossings: &mut [Vec<f64>], a: (f64, f64), b: (f64, f64)) {
    let (left, right) = if a.0 <= b.0 { (a, b) } else { (b, a) };
    if !(left.0.is_finite() && right.0.is_finite() && left.1.is_finite() && right.1.is_finite()) {
        return;
    }
    // A column belongs to the line when its middle lies in left..right, so that a corner is crossed once.
    let columns = crossings.len() as f64;
    let first = (left.0 - 0.5).ceil().clamp(0.0, columns) as usize;
    let last = (right.0 - 0.5).ceil().clamp(0.0, columns) as usize;
    for (x, crossings) in crossings.iter_mut().enumerate().take(last).skip(first) {
        let along = (x as f64 + 0.5 - left.0) / (right.0 - left.0);
        crossings.push(left.1 + along * (right.1 - left.1));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::models::vision::tests::any_mask;

    fn mask(rows: &[&str]) -> Mask {
        let bitmap: Vec<bool> = rows.iter().flat_map(|row| row.chars()).map(|pixel| pixel == '#').collect();
        Mask::of_bitmap(rows[0].len() as u32, rows.len() as u32, &bitmap).unwrap()
    }

    #[test]
    fn an_area_with_a_hole_has_two_rings() {
        let polygons = mask(&["....", "####", "#..#", "####"]).to_polygons();
        let outer = vec![(0.0, 1.0), (4.0, 1.0), (4.0, 4.0), (0.0, 4.0)];
        let hole = vec![(1.0, 3.0), (3.0, 3.0), (3.0, 2.0), (1.0, 2.0)];
        assert_eq!(polygons.len(), 1);
        let rotated = |ring: &[(f64, f64)]| {
            let first = (0..ring.len()).min_by(|&a, &b| ring[a].partial_cmp(&ring[b]).unwrap()).unwrap();
            [&ring[first..], &ring[..first]].concat()
        };
        assert_eq!(rotated(&polygons[0].outer), rotated(&outer));
        assert_eq!(polygons[0].holes.iter().map(|ring| rotated(ring)).collect::<Vec<_>>(), [rotated(&hole)]);
    }

    #[test]
    fn pixels_that_touch_at_a_corner_are_two_areas() {
        let polygons = mask(&["#.", ".#"]).to_polygons();
        assert_eq!(polygons.iter().map(|polygon| polygon.outer.len()).collect::<Vec<_>>(), [4, 4]);
    }

    #[test]
    fn an_island_in_a_hole_is_an_area_of_its_own() {
        let mask = mask(&["#####", "#...#", "#.#.#", "#...#", "#####"]);
        let polygons = mask.to_polygons();
        assert_eq!(polygons.iter().map(|polygon| polygon.holes.len()).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(Mask::of_polygons(5, 5, &polygons), Ok(mask));
    }

    #[test]
    fn polygons_reach_beyond_the_image() {
        let triangle = Polygon { outer: vec![(-10.0, -10.0), (10.0, -10.0), (-10.0, 10.0)], holes: Vec::new() };
        let drawn = Mask::of_polygons(3, 2, &[triangle]).unwrap();
        // Middles with x + y < 0 are inside: none.
        assert!(drawn.is_empty());
        let square = Polygon { outer: vec![(1.0, -5.0), (9.0, -5.0), (9.0, 1.4), (1.0, 1.4)], holes: Vec::new() };
        assert_eq!(Mask::of_polygons(3, 2, &[square]).unwrap(), mask(&[".##", "..."]));
        let nonsense = Polygon { outer: vec![(f64::NAN, 0.0), (1.0, f64::INFINITY)], holes: vec![Vec::new()] };
        assert!(Mask::of_polygons(3, 2, &[nonsense]).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn outlines_give_the_mask_back((mask, bitmap) in any_mask()) {
            let polygons = mask.to_polygons();
            prop_assert_eq!(Mask::of_polygons(mask.width_px(), mask.height_px(), &polygons).unwrap(), mask.clone());
            prop_assert_eq!(polygons.len(), areas(&bitmap, mask.width_px() as usize));
        }

        #[test]
        fn every_pixel_whose_middle_is_inside_is_drawn(corners in proptest::collection::vec((-2.0_f64..10.0, -2.0_f64..10.0), 3..7)) {
            let polygon = Polygon { outer: corners, holes: Vec::new() };
            let drawn = Mask::of_polygons(8, 8, std::slice::from_ref(&polygon)).unwrap();
            for y in 0..8 {
                for x in 0..8 {
                    let place = (f64::from(x) + 0.5, f64::from(y) + 0.5);
                    prop_assert_eq!(drawn.contains(x, y), is_inside(&polygon.outer, place), "pixel ({}, {})", x, y);
                }
            }
        }
    }

    /// Number of areas connected by sides, by flooding each.
    fn areas(bitmap: &[bool], width: usize) -> usize {
        let mut left = bitmap.to_vec();
        let mut areas = 0;
        while let Some(start) = left.iter().position(|&is_set| is_set) {
            areas += 1;
            let mut open = vec![start];
            while let Some(place) = open.pop() {
                if !std::mem::take(&mut left[place]) {
                    continue;
                }
                let (x, y) = (place % width, place / width);
                let neighbours = [
                    (x > 0).then(|| place - 1),
                    (x + 1 < width).then_some(place + 1),
                    (y > 0).then(|| place - width),
                    (place + width < left.len()).then_some(place + width),
                ];
                open.extend(neighbours.into_iter().flatten().filter(|&other| left[other]));
            }
        }
        areas
    }
}
