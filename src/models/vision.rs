//! What networks say about images, as plain values: embeddings, boxes, regions and masks. One frame everywhere: px of the upright
//! image (EXIF orientation applied), origin at its top left corner, y down; a pixel's middle is half a pixel from its corner.

mod coco;
mod outline;
mod simplify;
mod turn;

use serde::{Deserialize, Serialize};

use super::Orientation;
pub use coco::InvalidMask;
pub use outline::Polygon;

/// What a network makes of a picture or a text: a direction. Vectors of different networks or versions are not comparable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// Which network made it.
    pub network: String,
    /// Which version of it.
    pub version: String,
    /// The vector, of unit length.
    pub vector: Vec<f32>,
}

impl Embedding {
    /// The cosine of the angle between two embeddings, in -1..=1; `None` when they are of different networks, versions or lengths.
    pub fn cosine(&self, other: &Self) -> Option<f32> {
        let is_comparable = self.network == other.network && self.version == other.version && self.vector.len() == other.vector.len();
        is_comparable.then(|| self.vector.iter().zip(&other.vector).map(|(a, b)| a * b).sum())
    }
}

/// A rectangle in px of the upright image; right and bottom are just outside.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoundingBox {
    /// Left edge.
    pub left_px: f32,
    /// Top edge.
    pub top_px: f32,
    /// Right edge.
    pub right_px: f32,
    /// Bottom edge.
    pub bottom_px: f32,
}

impl BoundingBox {
    /// Width, 0 when the edges are the wrong way round.
    pub fn width_px(&self) -> f32 {
        (self.right_px - self.left_px).max(0.0)
    }

    /// Height, 0 when the edges are the wrong way round.
    pub fn height_px(&self) -> f32 {
        (self.bottom_px - self.top_px).max(0.0)
    }

    /// Width times height.
    pub fn area_px(&self) -> f32 {
        self.width_px() * self.height_px()
    }

    /// What both boxes cover; of no area when they do not meet.
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            left_px: self.left_px.max(other.left_px),
            top_px: self.top_px.max(other.top_px),
            right_px: self.right_px.min(other.right_px),
            bottom_px: self.bottom_px.min(other.bottom_px),
        }
    }

    /// Intersection over union, 0..=1.
    pub fn iou(&self, other: &Self) -> f32 {
        let shared = self.intersection(other).area_px();
        let all = self.area_px() + other.area_px() - shared;
        if all > 0.0 { shared / all } else { 0.0 }
    }

    /// The part inside an image of this size.
    pub fn clipped(&self, width_px: u32, height_px: u32) -> Self {
        self.intersection(&Self { left_px: 0.0, top_px: 0.0, right_px: width_px as f32, bottom_px: height_px as f32 })
    }

    /// The same box after the image was made wider and higher by these factors.
    pub fn scaled(&self, horizontally: f32, vertically: f32) -> Self {
        Self {
            left_px: self.left_px * horizontally,
            top_px: self.top_px * vertically,
            right_px: self.right_px * horizontally,
            bottom_px: self.bottom_px * vertically,
        }
    }

    /// The same box after an image stored as `width_px` × `height_px` was brought upright.
    pub fn turned(&self, orientation: Orientation, width_px: u32, height_px: u32) -> Self {
        let (width, height) = (width_px as f32, height_px as f32);
        let Self { left_px: left, top_px: top, right_px: right, bottom_px: bottom } = *self;
        let (left_px, top_px, right_px, bottom_px) = match orientation.exif() {
            2 => (width - right, top, width - left, bottom),
            3 => (width - right, height - bottom, width - left, height - top),
            4 => (left, height - bottom, right, height - top),
            5 => (top, left, bottom, right),
            6 => (height - bottom, left, height - top, right),
            7 => (height - bottom, width - right, height - top, width - left),
            8 => (top, width - right, bottom, width - left),
            _ => (left, top, right, bottom),
        };
        Self { left_px, top_px, right_px, bottom_px }
    }
}

/// Something a network or a person found in an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// What it is: a class of the network, or a label.
    pub label: String,
    /// How sure the network is, 0..=1.
    pub score: f32,
    /// Where it is.
    pub bounds: BoundingBox,
    /// Which pixels it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mask: Option<Mask>,
    /// Which network found it.
    pub network: String,
    /// Which version of it.
    pub version: String,
}

/// Which pixels of an upright image belong to something: run lengths in COCO's order (down each column, columns from the left),
/// pixels outside and inside by turns, outside first. As JSON it is COCO's `{"size": [height, width], "counts": "…"}`.
///
/// Two masks of the same pixels are equal: no run but the first is empty, and the runs cover the image exactly.
///
/// # Source
/// Lin et al., "Microsoft COCO", 2014; the format as pycocotools writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "coco::Coco", into = "coco::Coco")]
pub struct Mask {
    width_px: u32,
    height_px: u32,
    runs: Vec<u32>,
}

impl Mask {
    /// No pixel of an image of this size.
    ///
    /// # Errors
    /// [`InvalidMask::TooLarge`] beyond 2^32 - 1 pixels.
    pub fn empty(width_px: u32, height_px: u32) -> Result<Self, InvalidMask> {
        Self::of_fills(width_px, height_px, [])
    }

    /// The pixels in these stretches of column-major places, each from its first up to and without its second, in rising order.
    ///
    /// # Errors
    /// [`InvalidMask::TooLarge`]; [`InvalidMask::WrongLength`] when a stretch begins before the last one ended or leaves the image.
    pub fn of_fills(width_px: u32, height_px: u32, fills: impl IntoIterator<Item = (u32, u32)>) -> Result<Self, InvalidMask> {
        let pixels = coco::pixels(width_px, height_px)?;
        let mut runs = Vec::new();
        let mut end = 0;
        for (from, to) in fills {
            if from < end || to < from || to > pixels {
                return Err(InvalidMask::WrongLength { width_px, height_px, covered: u64::from(to) });
            }
            push_fill(&mut runs, &mut end, from, to);
        }
        finish_runs(&mut runs, end, pixels);
        Ok(Self { width_px, height_px, runs })
    }

    /// From a bitmap, row after row from the top.
    ///
    /// # Errors
    /// [`InvalidMask::TooLarge`]; [`InvalidMask::WrongLength`] when the bitmap is not of this size.
    pub fn of_bitmap(width_px: u32, height_px: u32, bitmap: &[bool]) -> Result<Self, InvalidMask> {
        if bitmap.len() as u64 != u64::from(coco::pixels(width_px, height_px)?) {
            return Err(InvalidMask::WrongLength { width_px, height_px, covered: bitmap.len() as u64 });
        }
        let mut fills = Vec::new();
        for x in 0..width_px {
            let mut from = None;
            for y in 0..=height_px {
                let is_set = y < height_px && bitmap[y as usize * width_px as usize + x as usize];
                match (is_set, from) {
                    (true, None) => from = Some(x * height_px + y),
                    (false, Some(start)) => {
                        fills.push((start, x * height_px + y));
                        from = None;
                    }
                    _ => {}
                }
            }
        }
        Self::of_fills(width_px, height_px, fills)
    }

    /// The bitmap, row after row from the top.
    pub fn to_bitmap(&self) -> Vec<bool> {
        let mut bitmap = vec![false; self.width_px as usize * self.height_px as usize];
        for (x, from, to) in self.segments() {
            for y in from..to {
                bitmap[y as usize * self.width_px as usize + x as usize] = true;
            }
        }
        bitmap
    }

    /// Width of the image.
    pub fn width_px(&self) -> u32 {
        self.width_px
    }

    /// Height of the image.
    pub fn height_px(&self) -> u32 {
        self.height_px
    }

    /// Lengths of the runs, outside and inside by turns, outside first: COCO's uncompressed `counts`.
    pub fn runs(&self) -> &[u32] {
        &self.runs
    }

    /// Stretches of column-major places inside, each without its end, apart from each other.
    pub fn fills(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut at = 0;
        self.runs.chunks(2).filter_map(move |pair| {
            let from = at + pair[0];
            at = from + pair.get(1).copied().unwrap_or(0);
            (pair.len() == 2).then_some((from, at))
        })
    }

    /// Pieces of columns inside, `(x, from y, to y)` without the end, column by column from the left, downwards.
    pub fn segments(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        let height = self.height_px;
        self.fills().flat_map(move |(from, to)| {
            (from / height..=(to - 1) / height).map(move |x| {
                let top = if x == from / height { from % height } else { 0 };
                let bottom = if x == (to - 1) / height { (to - 1) % height + 1 } else { height };
                (x, top, bottom)
            })
        })
    }

    /// How many pixels it has.
    pub fn area_px(&self) -> u32 {
        self.runs.iter().skip(1).step_by(2).sum()
    }

    /// Whether it has no pixel.
    pub fn is_empty(&self) -> bool {
        self.runs.len() < 2
    }

    /// Whether the pixel in this column and row belongs to it; none outside the image does.
    pub fn contains(&self, x_px: u32, y_px: u32) -> bool {
        if x_px >= self.width_px || y_px >= self.height_px {
            return false;
        }
        let place = x_px * self.height_px + y_px;
        self.fills().take_while(|fill| fill.0 <= place).any(|fill| place < fill.1)
    }

    /// The smallest box around all pixels; `None` without any.
    pub fn bounds(&self) -> Option<BoundingBox> {
        let height = self.height_px;
        let mut fills = self.fills();
        let (first, mut last) = fills.next()?;
        let (mut top, mut bottom) = (height, 0);
        for (from, to) in self.fills() {
            let spans_columns = from / height != (to - 1) / height;
            top = if spans_columns { 0 } else { top.min(from % height) };
            bottom = if spans_columns { height } else { bottom.max((to - 1) % height + 1) };
            last = to;
        }
        Some(BoundingBox {
            left_px: (first / height) as f32,
            top_px: top as f32,
            right_px: ((last - 1) / height + 1) as f32,
            bottom_px: bottom as f32,
        })
    }

    /// The pixels of both.
    ///
    /// # Errors
    /// [`InvalidMask::OtherSize`] when the images differ in size. So for the other three.
    pub fn intersection(&self, other: &Self) -> Result<Self, InvalidMask> {
        self.combined(other, |a, b| a && b)
    }

    /// The pixels of either.
    ///
    /// # Errors
    /// [`InvalidMask::OtherSize`].
    pub fn union(&self, other: &Self) -> Result<Self, InvalidMask> {
        self.combined(other, |a, b| a || b)
    }

    /// The pixels that `other` does not have.
    ///
    /// # Errors
    /// [`InvalidMask::OtherSize`].
    pub fn difference(&self, other: &Self) -> Result<Self, InvalidMask> {
        self.combined(other, |a, b| a && !b)
    }

    /// Intersection over union, 0..=1; 0 of two empty masks.
    ///
    /// # Errors
    /// [`InvalidMask::OtherSize`].
    pub fn iou(&self, other: &Self) -> Result<f64, InvalidMask> {
        let shared = self.intersection(other)?.area_px();
        let all = u64::from(self.area_px()) + u64::from(other.area_px()) - u64::from(shared);
        Ok(if all == 0 { 0.0 } else { f64::from(shared) / all as f64 })
    }

    /// The pixels that it does not have.
    pub fn inverted(&self) -> Self {
        let mut runs = self.runs.clone();
        if runs[0] == 0 && runs.len() > 1 {
            runs.remove(0);
        } else if runs[0] > 0 {
            runs.insert(0, 0);
        }
        Self { runs, ..*self }
    }

    /// Walks both masks run by run. `rule` must leave what is outside both outside.
    fn combined(&self, other: &Self, rule: impl Fn(bool, bool) -> bool) -> Result<Self, InvalidMask> {
        if (self.width_px, self.height_px) != (other.width_px, other.height_px) {
            return Err(InvalidMask::OtherSize {
                width_px: self.width_px,
                height_px: self.height_px,
                other_width_px: other.width_px,
                other_height_px: other.height_px,
            });
        }
        let mut runs = Vec::new();
        let (mut at, mut end) = (0, 0);
        let (mut a, mut b) = (0, 0);
        let (mut a_end, mut b_end) = (self.runs[0], other.runs[0]);
        while a < self.runs.len() && b < other.runs.len() {
            let to = a_end.min(b_end);
            if to > at && rule(a % 2 == 1, b % 2 == 1) {
                push_fill(&mut runs, &mut end, at, to);
            }
            at = to;
            if a_end == to {
                a += 1;
                a_end += self.runs.get(a).copied().unwrap_or(0);
            }
            if b_end == to {
                b += 1;
                b_end += other.runs.get(b).copied().unwrap_or(0);
            }
        }
        let pixels = self.width_px * self.height_px;
        finish_runs(&mut runs, end, pixels);
        Ok(Self { runs, ..*self })
    }
}

/// Adds a stretch inside to runs that reach to `end`, which lies inside unless nothing was added yet.
fn push_fill(runs: &mut Vec<u32>, end: &mut u32, from: u32, to: u32) {
    if from == to {
        return;
    }
    match runs.last_mut() {
        Some(last) if from == *end => *last += to - from,
        _ => runs.extend([from - *end, to - from]),
    }
    *end = to;
}

/// Adds what lies outside to the last pixel.
fn finish_runs(runs: &mut Vec<u32>, end: u32, pixels: u32) {
    if end < pixels || runs.is_empty() {
        runs.push(pixels - end);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A mask of any small size and pixels, and its bitmap.
    pub(super) fn any_mask() -> impl Strategy<Value = (Mask, Vec<bool>)> {
        (1_u32..9, 1_u32..9).prop_flat_map(|(width, height)| sized_mask(width, height))
    }

    pub(super) fn sized_mask(width: u32, height: u32) -> impl Strategy<Value = (Mask, Vec<bool>)> {
        proptest::collection::vec(any::<bool>(), (width * height) as usize)
            .prop_map(move |bitmap| (Mask::of_bitmap(width, height, &bitmap).unwrap(), bitmap))
    }

    fn two_masks() -> impl Strategy<Value = ((Mask, Vec<bool>), (Mask, Vec<bool>))> {
        (1_u32..9, 1_u32..9).prop_flat_map(|(width, height)| (sized_mask(width, height), sized_mask(width, height)))
    }

    #[test]
    fn runs_go_down_the_columns() {
        // . # #
        // . # .
        let mask = Mask::of_bitmap(3, 2, &[false, true, true, false, true, false]).unwrap();
        assert_eq!(mask.runs(), [2, 3, 1]);
        assert_eq!(mask.segments().collect::<Vec<_>>(), [(1, 0, 2), (2, 0, 1)]);
        assert_eq!(mask.bounds(), Some(BoundingBox { left_px: 1.0, top_px: 0.0, right_px: 3.0, bottom_px: 2.0 }));
        assert!(mask.contains(2, 0) && !mask.contains(2, 1) && !mask.contains(3, 0) && !mask.contains(0, 2));
    }

    #[test]
    fn full_and_empty_masks_have_one_form_each() {
        let full = Mask::of_bitmap(2, 2, &[true; 4]).unwrap();
        assert_eq!(full.runs(), [0, 4]);
        let empty = Mask::empty(2, 2).unwrap();
        assert_eq!((empty.runs(), empty.bounds(), empty.area_px()), ([4].as_slice(), None, 0));
        assert_eq!((full.inverted(), empty.inverted()), (empty.clone(), full.clone()));
        assert_eq!(Mask::empty(0, 5).unwrap().runs(), [0]);
        assert_eq!(full.difference(&full), Ok(empty));
    }

    #[test]
    fn masks_of_different_images_do_not_combine() {
        let error = Mask::empty(2, 3).unwrap().union(&Mask::empty(3, 2).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "masks of different images: 2 × 3 px and 3 × 2 px");
        assert!(matches!(Mask::empty(70_000, 70_000), Err(InvalidMask::TooLarge { .. })));
        assert!(Mask::of_fills(2, 2, [(2, 3), (1, 2)]).is_err());
        assert!(Mask::of_fills(2, 2, [(2, 5)]).is_err());
    }

    #[test]
    fn a_box_turns_as_its_mask_does() {
        let bitmap: Vec<bool> = (0..12).map(|place| matches!(place, 1 | 2 | 5 | 6)).collect();
        let mask = Mask::of_bitmap(4, 3, &bitmap).unwrap();
        for number in 1..=8 {
            let orientation = Orientation::try_from(number).unwrap();
            let turned = mask.bounds().unwrap().turned(orientation, 4, 3);
            assert_eq!(Some(turned), mask.turned(orientation).bounds(), "orientation {number}");
        }
    }

    #[test]
    fn boxes_overlap_as_areas_do() {
        let a = BoundingBox { left_px: 0.0, top_px: 0.0, right_px: 4.0, bottom_px: 2.0 };
        let b = BoundingBox { left_px: 2.0, top_px: 0.0, right_px: 6.0, bottom_px: 2.0 };
        assert_eq!(a.iou(&b), 4.0 / 12.0);
        assert_eq!(a.iou(&BoundingBox { left_px: 9.0, right_px: 10.0, ..a }), 0.0);
        assert_eq!(b.clipped(5, 1).area_px(), 3.0);
        assert_eq!(a.scaled(0.5, 2.0), BoundingBox { left_px: 0.0, top_px: 0.0, right_px: 2.0, bottom_px: 4.0 });
    }

    #[test]
    fn embeddings_of_two_networks_do_not_compare() {
        let a = Embedding { network: "clip".to_owned(), version: "1".to_owned(), vector: vec![0.6, 0.8] };
        assert_eq!(a.cosine(&Embedding { vector: vec![1.0, 0.0], ..a.clone() }), Some(0.6));
        assert_eq!(a.cosine(&Embedding { version: "2".to_owned(), ..a.clone() }), None);
    }

    proptest! {
        #[test]
        fn a_bitmap_comes_back((mask, bitmap) in any_mask()) {
            prop_assert_eq!(mask.to_bitmap(), bitmap.clone());
            prop_assert_eq!(mask.area_px() as usize, bitmap.iter().filter(|&&is_set| is_set).count());
            prop_assert!(mask.runs()[1..].iter().all(|&run| run > 0));
            prop_assert_eq!(mask.runs().iter().sum::<u32>(), mask.width_px() * mask.height_px());
            let again = Mask::of_fills(mask.width_px(), mask.height_px(), mask.fills()).unwrap();
            prop_assert_eq!(&again, &mask);
            prop_assert_eq!(mask.inverted().to_bitmap(), bitmap.iter().map(|is_set| !is_set).collect::<Vec<_>>());
            for y in 0..mask.height_px() {
                for x in 0..mask.width_px() {
                    prop_assert_eq!(mask.contains(x, y), bitmap[(y * mask.width_px() + x) as usize]);
                }
            }
        }

        #[test]
        fn the_box_is_the_smallest((mask, bitmap) in any_mask()) {
            let places = || (0..bitmap.len() as u32).filter(|&place| bitmap[place as usize]);
            let (x, y) = (|place: u32| place % mask.width_px(), |place: u32| place / mask.width_px());
            let expected = places().next().map(|_| BoundingBox {
                left_px: places().map(x).min().unwrap() as f32,
                top_px: places().map(y).min().unwrap() as f32,
                right_px: (places().map(x).max().unwrap() + 1) as f32,
                bottom_px: (places().map(y).max().unwrap() + 1) as f32,
            });
            prop_assert_eq!(mask.bounds(), expected);
        }

        #[test]
        fn masks_combine_as_bitmaps_do(((a, a_bits), (b, b_bits)) in two_masks()) {
            let expected = |rule: fn(bool, bool) -> bool| a_bits.iter().zip(&b_bits).map(|(&a, &b)| rule(a, b)).collect::<Vec<_>>();
            let canonical = |mask: &Mask| Mask::of_bitmap(mask.width_px(), mask.height_px(), &mask.to_bitmap()).unwrap();
            for (mask, rule) in [
                (a.intersection(&b).unwrap(), (|a, b| a && b) as fn(bool, bool) -> bool),
                (a.union(&b).unwrap(), |a, b| a || b),
                (a.difference(&b).unwrap(), |a, b| a && !b),
            ] {
                prop_assert_eq!(mask.to_bitmap(), expected(rule));
                prop_assert_eq!(&canonical(&mask), &mask);
            }
            let count = |rule| expected(rule).iter().filter(|&&is_set| is_set).count() as f64;
            let all = count(|a, b| a || b);
            let iou = if all == 0.0 { 0.0 } else { count(|a, b| a && b) / all };
            prop_assert_eq!(a.iou(&b).unwrap(), iou);
        }
    }
}
