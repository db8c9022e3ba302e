//! Masks turned, mirrored and scaled, by their runs. Mirroring and scaling cost as much as there are runs and columns, turning over
//! as much as the outline is long.

use super::{InvalidMask, Mask, coco};
use crate::models::Orientation;

impl Mask {
    /// The same mask after the image, stored as this mask has it, was brought upright.
    pub fn turned(&self, orientation: Orientation) -> Self {
        match orientation.exif() {
            2 => self.mirrored(),
            3 => self.reversed(),
            4 => self.reversed().mirrored(),
            5 => self.transposed(),
            6 => self.transposed().mirrored(),
            7 => self.transposed().reversed(),
            8 => self.transposed().reversed().mirrored(),
            _ => self.clone(),
        }
    }

    /// The mask of the image as stored, from that of the upright one: undoes [`Mask::turned`].
    pub fn turned_back(&self, orientation: Orientation) -> Self {
        match orientation.exif() {
            6 => self.transposed().reversed().mirrored(),
            8 => self.transposed().mirrored(),
            _ => self.turned(orientation),
        }
    }

    /// Turned by half: the runs from the end.
    fn reversed(&self) -> Self {
        let pixels = self.width_px * self.height_px;
        let fills: Vec<_> = self.fills().map(|(from, to)| (pixels - to, pixels - from)).collect();
        self.of_same_pixels(self.width_px, self.height_px, fills.into_iter().rev())
    }

    /// Left and right exchanged.
    fn mirrored(&self) -> Self {
        let mut columns: Vec<Vec<(u32, u32)>> = vec![Vec::new(); self.width_px as usize];
        for (x, from, to) in self.segments() {
            columns[x as usize].push((from, to));
        }
        let height = self.height_px;
        let fills = columns.into_iter().rev().zip(0_u32..).flat_map(|(pieces, x)| {
            let start = x * height;
            pieces.into_iter().map(move |(from, to)| (start + from, start + to))
        });
        self.of_same_pixels(self.width_px, self.height_px, fills)
    }

    /// Rows and columns exchanged.
    fn transposed(&self) -> Self {
        // Of every row, the columns at which it changes between outside and inside.
        let mut changes: Vec<Vec<u32>> = vec![Vec::new(); self.height_px as usize];
        self.for_each_change(|x, from, to| {
            for y in from..to {
                changes[y as usize].push(x);
            }
        });
        let width = self.width_px;
        let fills = changes.into_iter().zip(0_u32..).flat_map(|(columns, y)| {
            let start = y * width;
            (0..columns.len() / 2).map(move |pair| (start + columns[2 * pair], start + columns[2 * pair + 1]))
        });
        self.of_same_pixels(self.height_px, self.width_px, fills)
    }

    /// Calls with (x, from y, to y) where column x differs from the one left of it, the image having nothing on either side;
    /// columns from the left, downwards.
    pub(super) fn for_each_change(&self, mut each: impl FnMut(u32, u32, u32)) {
        let mut segments = self.segments().peekable();
        let mut before: Vec<(u32, u32)> = Vec::new();
        for x in 0..=self.width_px {
            let mut here = Vec::new();
            while let Some(&(_, from, to)) = segments.peek().filter(|segment| segment.0 == x) {
                here.push((from, to));
                segments.next();
            }
            // The ends of both columns' pieces in order: between an odd one and the next, the columns differ. Ends at the same
            // place cancel out.
            let mut ends: Vec<u32> = before.iter().chain(&here).flat_map(|&(from, to)| [from, to]).collect();
            ends.sort_unstable();
            for pair in ends.chunks_exact(2) {
                if pair[0] < pair[1] {
                    each(x, pair[0], pair[1]);
                }
            }
            before = here;
        }
    }

    /// From stretches that come from this mask.
    fn of_same_pixels(&self, width_px: u32, height_px: u32, fills: impl Iterator<Item = (u32, u32)>) -> Self {
        Self::of_fills(width_px, height_px, fills).expect("as many pixels as before, in order")
    }

    /// The mask of the same image at another size: every pixel takes that below its middle.
    ///
    /// # Errors
    /// [`InvalidMask::TooLarge`].
    pub fn scaled(&self, width_px: u32, height_px: u32) -> Result<Self, InvalidMask> {
        coco::pixels(width_px, height_px)?;
        if self.width_px == 0 || self.height_px == 0 {
            return Self::empty(width_px, height_px);
        }
        let mut columns: Vec<Vec<(u32, u32)>> = vec![Vec::new(); self.width_px as usize];
        for (x, from, to) in self.segments() {
            let from = first_above(from, self.height_px, height_px);
            columns[x as usize].push((from, first_above(to, self.height_px, height_px)));
        }
        let source = |x: u32| ((2 * u64::from(x) + 1) * u64::from(self.width_px) / (2 * u64::from(width_px))) as usize;
        let fills = (0..width_px).flat_map(|x| {
            let start = x * height_px;
            columns[source(x)].iter().map(move |&(from, to)| (start + from, start + to))
        });
        Self::of_fills(width_px, height_px, fills)
    }
}

/// The first of `to` pixels whose middle lies at or below the top of pixel `at` of `from`.
fn first_above(at: u32, from: u32, to: u32) -> u32 {
    let (at, from, to) = (u64::from(at), u64::from(from), u64::from(to));
    ((2 * at * to).saturating_sub(from).div_ceil(2 * from)) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::models::vision::tests::any_mask;

    /// Where every orientation takes the six pixels 0 1 2 / 3 4 5: the width and the rows, as EXIF says.
    const TURNED: [(u32, [usize; 6]); 8] = [
        (3, [0, 1, 2, 3, 4, 5]),
        (3, [2, 1, 0, 5, 4, 3]),
        (3, [5, 4, 3, 2, 1, 0]),
        (3, [3, 4, 5, 0, 1, 2]),
        (2, [0, 3, 1, 4, 2, 5]),
        (2, [3, 0, 4, 1, 5, 2]),
        (2, [5, 2, 4, 1, 3, 0]),
        (2, [2, 5, 1, 4, 0, 3]),
    ];

    #[test]
    fn every_orientation_puts_each_pixel_where_exif_says() {
        for bits in 0..64_usize {
            let stored: Vec<bool> = (0..6).map(|place| bits >> place & 1 == 1).collect();
            let mask = Mask::of_bitmap(3, 2, &stored).unwrap();
            for (number, (width, places)) in (1..).zip(TURNED) {
                let orientation = Orientation::try_from(number).unwrap();
                let expected = Mask::of_bitmap(width, 6 / width, &places.map(|place| stored[place])).unwrap();
                assert_eq!(mask.turned(orientation), expected, "orientation {number} of {bits:06b}");
            }
        }
    }

    #[test]
    fn an_image_without_pixels_turns_and_scales() {
        let mask = Mask::empty(0, 4).unwrap();
        for number in 1..=8 {
            assert!(mask.turned(Orientation::try_from(number).unwrap()).is_empty());
        }
        assert_eq!(mask.scaled(2, 2), Mask::empty(2, 2));
    }

    proptest! {
        #[test]
        fn turning_back_undoes_turning((mask, _) in any_mask(), number in 1_u8..=8) {
            let orientation = Orientation::try_from(number).unwrap();
            prop_assert_eq!(mask.turned(orientation).turned_back(orientation), mask);
        }

        #[test]
        fn scaling_takes_the_pixel_below_the_middle((mask, bitmap) in any_mask(), width in 1_u32..20, height in 1_u32..20) {
            let mut expected = Vec::new();
            for y in 0..height {
                for x in 0..width {
                    let (from_x, from_y) = ((2 * x + 1) * mask.width_px() / (2 * width), (2 * y + 1) * mask.height_px() / (2 * height));
                    expected.push(bitmap[(from_y * mask.width_px() + from_x) as usize]);
                }
            }
            prop_assert_eq!(mask.scaled(width, height).unwrap(), Mask::of_bitmap(width, height, &expected).unwrap());
        }
    }
}
