//! Outlines with fewer corners: those of masks follow every pixel's edge, and to be looked at they need not.

use super::Polygon;

/// A place in px.
type Place = (f64, f64);

impl Polygon {
    /// The polygon without the corners that lie within `tolerance_px` of a straight line between others. Outlines that have nothing left
    /// then, specks and pinholes, are dropped; the outer one never is.
    ///
    /// # Source
    /// Douglas and Peucker, "Algorithms for the reduction of the number of points required to represent a digitized line", 1973.
    #[must_use]
    pub fn simplified(&self, tolerance_px: f64) -> Self {
        let keep = |ring: &Vec<Place>| Some(simplified(ring, tolerance_px)).filter(|ring| ring.len() > 2);
        Self { outer: keep(&self.outer).unwrap_or_else(|| self.outer.clone()), holes: self.holes.iter().filter_map(keep).collect() }
    }
}

/// A closed outline in two halves, from its first corner to the one farthest away and back: neither end of a half moves.
fn simplified(ring: &[Place], tolerance_px: f64) -> Vec<Place> {
    if ring.len() < 4 {
        return ring.to_vec();
    }
    let far = (1..ring.len()).max_by(|&a, &b| square(ring[0], ring[a]).total_cmp(&square(ring[0], ring[b]))).unwrap_or(0);
    let closed: Vec<Place> = ring.iter().copied().chain([ring[0]]).collect();
    let mut kept = vec![false; closed.len()];
    kept[0] = true;
    kept[far] = true;
    let mut open = vec![(0, far), (far, ring.len())];
    while let Some((from, to)) = open.pop() {
        let distance = |at: usize| distance(closed[at], closed[from], closed[to]);
        let farthest = (from + 1..to).max_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        if let Some(at) = farthest.filter(|&at| distance(at) > tolerance_px) {
            kept[at] = true;
            open.extend([(from, at), (at, to)]);
        }
    }
    ring.iter().zip(kept).filter_map(|(place, is_kept)| is_kept.then_some(*place)).collect()
}

fn square(a: Place, b: Place) -> f64 {
    (a.0 - b.0).powi(2) + (a.1 - b.1).powi(2)
}

/// How far a place is from the stretch between two others.
fn distance(place: Place, from: Place, to: Place) -> f64 {
    let length = square(from, to);
    if length == 0.0 {
        return square(place, from).sqrt();
    }
    let along = (((place.0 - from.0) * (to.0 - from.0) + (place.1 - from.1) * (to.1 - from.1)) / length).clamp(0.0, 1.0);
    square(place, (from.0 + along * (to.0 - from.0), from.1 + along * (to.1 - from.1))).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::vision::Mask;

    /// A disk of this radius in the middle of a square image, without a smaller disk in it.
    fn ring(radius: f64, hole: f64) -> Mask {
        let side = (radius * 2.0) as u32 + 6;
        let middle = f64::from(side) / 2.0;
        let bitmap: Vec<bool> = (0..side * side)
            .map(|at| {
                let (x, y) = (f64::from(at % side) + 0.5 - middle, f64::from(at / side) + 0.5 - middle);
                (hole * hole..radius * radius).contains(&(x * x + y * y))
            })
            .collect();
        Mask::of_bitmap(side, side, &bitmap).unwrap()
    }

    #[test]
    fn an_outline_loses_its_stairs_and_keeps_its_shape() {
        let mask = ring(100.0, 40.0);
        let whole = mask.to_polygons();
        let fewer: Vec<Polygon> = whole.iter().map(|polygon| polygon.simplified(1.0)).collect();
        assert!(fewer[0].outer.len() * 4 < whole[0].outer.len(), "{} of {}", fewer[0].outer.len(), whole[0].outer.len());
        assert_eq!(fewer[0].holes.len(), 1);
        let back = Mask::of_polygons(mask.width_px(), mask.height_px(), &fewer).unwrap();
        assert!(back.iou(&mask).unwrap() > 0.985, "{}", back.iou(&mask).unwrap());
    }

    #[test]
    fn corners_stay_where_they_are_and_specks_are_not_lost() {
        let bitmap: Vec<bool> = (0..100).map(|at| (2..7).contains(&(at % 10)) && (1..9).contains(&(at / 10))).collect();
        let polygons = Mask::of_bitmap(10, 10, &bitmap).unwrap().to_polygons();
        assert_eq!(polygons[0].simplified(1.0), polygons[0]);
        let speck = Mask::of_fills(10, 10, [(33, 34)]).unwrap().to_polygons();
        assert_eq!(speck[0].simplified(5.0).outer.len(), 4);
    }
}
