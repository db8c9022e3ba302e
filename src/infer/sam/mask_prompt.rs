//! A mask to go on from, as the logits that a network reads. Apart from [`super::logits`], which goes the other way.
//!
//! # Source
//! facebookresearch/sam2 at 0c5f8c5, `modeling/sam2_base.py`, `_use_mask_as_output`: a mask that a person gives counts as logits of 10
//! inside and -10 outside (`out_scale, out_bias = 20.0, -10.0`), made smaller by the share of each cell that it covers.

use super::ImageEmbedding;
use crate::models::vision::Mask;

/// The logit of a cell that is wholly inside; outside it is as far below 0.
const SURE: f32 = 10.0;

impl ImageEmbedding {
    /// What [`super::Prompts::mask`] takes for a mask over the whole upright image, of whatever size in px: `(4 · grid, 4 · grid)` logits in
    /// the frame of the network's input, in -10..=10.
    pub fn mask_prompt(&self, mask: &Mask) -> Vec<f32> {
        let transform = self.transform();
        let grid = self.features().embedding.dims().get(1).copied().unwrap_or(0);
        let side = 4 * grid;
        // From px of the mask to cells.
        let scale =
            |filled_px: u32, mask_px: u32| side as f64 * f64::from(filled_px) / (f64::from(transform.input_px) * f64::from(mask_px));
        let across = scale(transform.input_width_px, mask.width_px());
        let down = scale(transform.input_height_px, mask.height_px());
        let mut covered = vec![0.0_f64; side * side];
        for (x, top, bottom) in mask.segments() {
            let rows = Overlaps::new(f64::from(top) * down, f64::from(bottom) * down, side);
            for (column, width) in Overlaps::new(f64::from(x) * across, f64::from(x + 1) * across, side) {
                for (row, height) in rows.clone() {
                    covered[row * side + column] += width * height;
                }
            }
        }
        covered.into_iter().map(|share| SURE * (2.0 * share.min(1.0) as f32 - 1.0)).collect()
    }
}

/// The cells that a stretch from one place to another meets, and how much of each it covers.
#[derive(Clone)]
struct Overlaps {
    from: f64,
    to: f64,
    cell: usize,
    cells: usize,
}

impl Overlaps {
    fn new(from: f64, to: f64, cells: usize) -> Self {
        Self { from, to, cell: from as usize, cells }
    }
}

impl Iterator for Overlaps {
    type Item = (usize, f64);

    fn next(&mut self) -> Option<(usize, f64)> {
        let cell = self.cell;
        let share = self.to.min((cell + 1) as f64) - self.from.max(cell as f64);
        self.cell += 1;
        (cell < self.cells && share > 0.0).then_some((cell, share))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::*;
    use crate::infer::sam::{Features, Transform};

    /// An embedding with this many cells of 4 by 4 logits a side.
    fn embedding(grid: usize, transform: Transform) -> ImageEmbedding {
        let embedding = Tensor::zeros((1, grid, grid, 8), DType::F32, &Device::Cpu).unwrap();
        ImageEmbedding::new(Features { embedding, fine: None }, transform)
    }

    fn rectangle(width: u32, height: u32, inside: impl Fn(u32, u32) -> bool) -> Mask {
        let bitmap: Vec<bool> = (0..width * height).map(|place| inside(place % width, place / width)).collect();
        Mask::of_bitmap(width, height, &bitmap).unwrap()
    }

    #[test]
    fn a_mask_covers_its_cells_whatever_its_size() {
        // 8 by 8 logits over an input of 32 px that a square image fills: its left half and its uppermost quarter of the right one.
        let image = embedding(2, Transform::square(64, 64, 32));
        for (width, height) in [(64, 64), (8, 8), (16, 4), (200, 100)] {
            let logits = image.mask_prompt(&rectangle(width, height, |x, y| x < width / 2 || y < height / 4));
            assert_eq!(logits.len(), 64);
            for (place, logit) in logits.into_iter().enumerate() {
                let expected = if place % 8 < 4 || place / 8 < 2 { 10.0 } else { -10.0 };
                assert!((logit - expected).abs() < 1e-4, "{width} × {height}, cell {place}: {logit}");
            }
        }
    }

    #[test]
    fn cells_covered_in_part_lie_between_and_padding_is_outside() {
        // SAM: an image of twice the width fills the upper half of the input.
        let image = embedding(1, Transform::longest_side(100, 50, 16));
        let logits = image.mask_prompt(&rectangle(8, 4, |x, _| x < 3));
        assert_eq!(logits[..4], [10.0, 0.0, -10.0, -10.0]);
        assert_eq!(logits[4..8], [10.0, 0.0, -10.0, -10.0]);
        assert!(logits[8..].iter().all(|&logit| logit == -10.0), "{logits:?}");
        let nothing = image.mask_prompt(&Mask::empty(9, 9).unwrap());
        assert!(nothing.iter().all(|&logit| logit == -10.0));
    }
}
