//! From the decoder's small maps of logits to masks at the size of the image, and what they say about themselves. Apart, because
//! it is arithmetic on numbers and no network.
//!
//! # Source
//! facebookresearch/segment-anything, `modeling/sam.py` and `utils/amg.py`; facebookresearch/sam2 at 0c5f8c5, `utils/transforms.py`.

use super::Transform;
use crate::{
    infer::{InferError, Result},
    models::vision::Mask,
};

/// A square or rectangular map of logits, row after row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Logits {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: Vec<f32>,
}

/// Where a pixel of a stretched line lies between two of the source: (one, the next, how far).
fn between(at: usize, from: usize, to: usize) -> (usize, usize, f32) {
    let place = ((at as f32 + 0.5) * (from as f32 / to as f32) - 0.5).max(0.0);
    let first = (place as usize).min(from - 1);
    (first, (first + 1).min(from - 1), place - first as f32)
}

fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

impl Logits {
    /// Stretched bilinearly, a pixel being a square (`align_corners=False`).
    fn resized(&self, width: usize, height: usize) -> Self {
        let columns: Vec<_> = (0..width).map(|x| between(x, self.width, width)).collect();
        let mut values = Vec::with_capacity(width * height);
        for y in 0..height {
            let (above, below, down) = between(y, self.height, height);
            let (above, below) = (&self.values[above * self.width..], &self.values[below * self.width..]);
            values.extend(
                columns.iter().map(|&(left, right, across)| {
                    mix(mix(above[left], above[right], across), mix(below[left], below[right], across), down)
                }),
            );
        }
        Self { width, height, values }
    }

    /// The top left part.
    fn cropped(&self, width: usize, height: usize) -> Self {
        let values = self.values.chunks_exact(self.width).take(height).flat_map(|row| &row[..width]).copied().collect();
        Self { width, height, values }
    }

    /// The mask of the upright image: where the stretched logits are above 0, without the padding.
    ///
    /// # Errors
    /// [`InferError::BadInput`] for an image that no mask can be of.
    pub(super) fn mask(&self, transform: &Transform) -> Result<Mask> {
        let (width, height) = (transform.image_width_px as usize, transform.image_height_px as usize);
        let side = transform.input_px as usize;
        let is_padded = (transform.input_width_px, transform.input_height_px) != (transform.input_px, transform.input_px);
        // SAM stretches to the input first, takes the padding away and stretches again; where there is none, the second step alone
        // is what SAM 2 does. A square image of SAM's takes the short way too: both give the same but for rounding of the outline.
        let cropped;
        let logits = if is_padded {
            cropped = self.resized(side, side).cropped(transform.input_width_px as usize, transform.input_height_px as usize);
            &cropped
        } else {
            self
        };
        logits.stretched_mask(width, height)
    }

    /// The mask of `width` × `height` where the stretched logits are above 0. Between two rows of logits each column crosses 0 at most
    /// once, so its pixels need no looking at one by one.
    fn stretched_mask(&self, width: usize, height: usize) -> Result<Mask> {
        let rows: Vec<_> = (0..height).map(|y| between(y, self.height, height)).collect();
        // Pixels between the same two rows.
        let mut bands: Vec<(usize, usize)> = Vec::new();
        for y in 0..height {
            match bands.last_mut() {
                Some(band) if rows[band.0].0 == rows[y].0 => band.1 = y + 1,
                _ => bands.push((y, y + 1)),
            }
        }
        let mut column = vec![0.0_f32; self.height];
        let mut fills = Vec::new();
        for x in 0..width {
            let (left, right, across) = between(x, self.width, width);
            for (value, row) in column.iter_mut().zip(self.values.chunks_exact(self.width)) {
                *value = mix(row[left], row[right], across);
            }
            let is_set = |y: usize| {
                let (above, below, down) = rows[y];
                mix(column[above], column[below], down) > 0.0
            };
            let start = x * height;
            for &(from, to) in &bands {
                let (from_set, to_set) = (is_set(from), is_set(to - 1));
                // Of a band whose ends differ, where the change is.
                let change = || {
                    let (mut low, mut high) = (from, to - 1);
                    while high - low > 1 {
                        let middle = low.midpoint(high);
                        if is_set(middle) == from_set { low = middle } else { high = middle }
                    }
                    high
                };
                match (from_set, to_set) {
                    (true, true) => fills.push((start + from, start + to)),
                    (true, false) => fills.push((start + from, start + change())),
                    (false, true) => fills.push((start + change(), start + to)),
                    (false, false) => {}
                }
            }
        }
        let fills = fills.into_iter().map(|(from, to)| (from as u32, to as u32));
        Mask::of_fills(width as u32, height as u32, fills).map_err(|error| InferError::BadInput(error.to_string()))
    }

    /// How little the mask depends on its threshold: pixels above `offset` as a share of those above `-offset`; 1 without any.
    /// Counts the part of the map that the image fills.
    pub(super) fn stability(&self, transform: &Transform, offset: f32) -> f32 {
        let part = |side: usize, filled: u32| (side * filled as usize).div_ceil(transform.input_px as usize);
        let (width, height) = (part(self.width, transform.input_width_px), part(self.height, transform.input_height_px));
        let (mut inner, mut outer) = (0_u32, 0_u32);
        for row in self.values.chunks_exact(self.width).take(height) {
            for &value in &row[..width] {
                inner += u32::from(value > offset);
                outer += u32::from(value > -offset);
            }
        }
        if outer == 0 { 1.0 } else { inner as f32 / outer as f32 }
    }

    /// Fills areas of at most `most` cells outside the mask (connected by sides and corners) that do not reach the border.
    pub(super) fn fill_holes(&mut self, most: usize) {
        let mut is_seen: Vec<bool> = self.values.iter().map(|&value| value > 0.0).collect();
        for start in 0..self.values.len() {
            if is_seen[start] {
                continue;
            }
            is_seen[start] = true;
            let mut area = vec![start];
            let mut reaches_border = false;
            let mut next = 0;
            while next < area.len() {
                let (x, y) = (area[next] % self.width, area[next] / self.width);
                reaches_border |= x == 0 || y == 0 || x + 1 == self.width || y + 1 == self.height;
                for near_y in y.saturating_sub(1)..(y + 2).min(self.height) {
                    for near_x in x.saturating_sub(1)..(x + 2).min(self.width) {
                        let near = near_y * self.width + near_x;
                        if !std::mem::replace(&mut is_seen[near], true) {
                            area.push(near);
                        }
                    }
                }
                next += 1;
            }
            if !reaches_border && area.len() <= most {
                /// Clearly inside, as SAM 2 has it.
                const FILLED: f32 = 10.0;
                area.into_iter().for_each(|cell| self.values[cell] = FILLED);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A smooth map from a seed.
    fn waves(width: usize, height: usize, seed: f32) -> Logits {
        let value = |x: usize, y: usize| (x as f32 * 0.9 + seed).sin() * 3.0 + (y as f32 * 0.7 - seed).cos() * 2.0 + seed.sin();
        let values = (0..width * height).map(|cell| value(cell % width, cell / width)).collect();
        Logits { width, height, values }
    }

    fn naive(logits: &Logits, width: usize, height: usize) -> Vec<bool> {
        logits.resized(width, height).values.iter().map(|&value| value > 0.0).collect()
    }

    #[test]
    fn stretching_is_linear_between_middles() {
        let logits = Logits { width: 2, height: 1, values: vec![0.0, 1.0] };
        assert_eq!(logits.resized(4, 1).values, [0.0, 0.25, 0.75, 1.0]);
    }

    #[test]
    fn crossings_are_where_the_pixels_say() {
        for (width, height) in [(64, 64), (100, 37), (37, 100), (5, 9), (16, 16), (1, 300)] {
            for seed in [0.3, 1.7, 4.4] {
                let logits = waves(16, 16, seed);
                let mask = logits.stretched_mask(width, height).unwrap();
                assert_eq!(mask.to_bitmap(), naive(&logits, width, height), "{width} × {height}, seed {seed}");
            }
        }
    }

    #[test]
    fn padding_is_taken_away_before_the_last_stretch() {
        let logits = waves(16, 16, 2.0);
        let transform = Transform::longest_side(300, 200, 64);
        let expected = naive(&logits.resized(64, 64).cropped(64, 43), 300, 200);
        assert_eq!(logits.mask(&transform).unwrap().to_bitmap(), expected);
    }

    #[test]
    fn small_holes_are_filled_and_bays_are_not() {
        let rows = ["#####", "#.#.#", "#####", "#...#", "#####", "##.##"];
        let values = rows.iter().flat_map(|row| row.chars()).map(|cell| if cell == '#' { 1.0 } else { -1.0 }).collect();
        let mut logits = Logits { width: 5, height: 6, values };
        logits.fill_holes(2);
        let outside: Vec<usize> = (0..30).filter(|&cell| logits.values[cell] < 0.0).collect();
        assert_eq!(outside, [16, 17, 18, 27]);
    }

    #[test]
    fn a_sharp_mask_is_stable() {
        let transform = Transform::square(4, 4, 16);
        let of = |values: Vec<f32>| Logits { width: 2, height: 2, values }.stability(&transform, 1.0);
        assert_eq!(of(vec![9.0, 9.0, -9.0, -9.0]), 1.0);
        assert_eq!(of(vec![9.0, 0.5, -0.5, -9.0]), 1.0 / 3.0);
        assert_eq!(of(vec![-9.0; 4]), 1.0);
        let half = Transform::longest_side(4, 2, 16);
        assert_eq!(Logits { width: 2, height: 2, values: vec![9.0, 9.0, 0.0, 0.0] }.stability(&half, 1.0), 1.0);
    }
}
