//! Regions as shapes of a drawing that lies over the picture. Pure.
//!
//! A region is measured in px of the upright picture that a network saw, whatever its size was: the drawing has that frame as its view
//! box and fills the place of the picture as the picture does, so that it is right for every size of picture, at any zoom, and for every
//! way up that the file may be stored.

use std::fmt::Write;

use super::hue;
use crate::{db::regions::StoredRegion, models::vision::Mask};

/// How far an outline may leave the edges of its mask's pixels, in px of the frame: the corners of a stair of any slope lie less than a
/// pixel from the line through the others.
const TOLERANCE_PX: f64 = 1.0;
/// Outlines with more corners are drawn as boxes: they are noise, and would keep the browser busy.
const MOST_CORNERS: usize = 20_000;

/// The regions seen in a picture of one size.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::web) struct Frame {
    pub(in crate::web) width_px: u32,
    pub(in crate::web) height_px: u32,
    /// Large ones first, so that small ones lie above them.
    pub(in crate::web) shapes: Vec<Shape>,
}

/// A region to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::web) struct Shape {
    pub(in crate::web) id: i64,
    pub(in crate::web) hue: u32,
    pub(in crate::web) label: String,
    /// The outline of its mask, holes by the rule of even and odd; `None` where it has none.
    pub(in crate::web) path: Option<String>,
    pub(in crate::web) x: f32,
    pub(in crate::web) y: f32,
    pub(in crate::web) width: f32,
    pub(in crate::web) height: f32,
}

/// The drawings of regions.
pub(super) fn frames(regions: &[StoredRegion]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for region in regions {
        let (width_px, height_px) = (region.width_px, region.height_px);
        let at = frames.iter().position(|frame| (frame.width_px, frame.height_px) == (width_px, height_px)).unwrap_or_else(|| {
            frames.push(Frame { width_px, height_px, shapes: Vec::new() });
            frames.len() - 1
        });
        frames[at].shapes.push(Shape::of(region));
    }
    for frame in &mut frames {
        frame.shapes.sort_by(|one, other| (other.width * other.height).total_cmp(&(one.width * one.height)));
    }
    frames
}

impl Shape {
    fn of(region: &StoredRegion) -> Self {
        let bounds = region.bounds.clipped(region.width_px, region.height_px);
        Self {
            id: region.id.0,
            hue: hue(&region.label),
            label: region.label.clone(),
            path: region.mask.as_ref().and_then(outline),
            x: bounds.left_px,
            y: bounds.top_px,
            width: bounds.width_px(),
            height: bounds.height_px(),
        }
    }
}

/// The outline of a mask as the data of a path; `None` of an empty one, and of noise.
fn outline(mask: &Mask) -> Option<String> {
    if mask.runs().len() > 2 * MOST_CORNERS {
        return None;
    }
    let polygons = mask.to_polygons();
    let rings = || polygons.iter().flat_map(|polygon| std::iter::once(&polygon.outer).chain(&polygon.holes));
    if rings().map(Vec::len).sum::<usize>() > MOST_CORNERS {
        return None;
    }
    let mut path = String::new();
    for polygon in polygons.iter().map(|polygon| polygon.simplified(TOLERANCE_PX)) {
        for ring in std::iter::once(&polygon.outer).chain(&polygon.holes) {
            for (index, (x, y)) in ring.iter().enumerate() {
                let command = if index == 0 { 'M' } else { 'L' };
                write!(path, "{command}{x} {y}").ok()?;
            }
            path.push('Z');
        }
    }
    Some(path).filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::region, *};
    use crate::models::{
        Orientation,
        vision::{BoundingBox, Polygon},
    };

    /// What a browser fills of a path: rings of straight lines, by the rule of even and odd.
    fn filled(path: &str, width_px: u32, height_px: u32) -> Mask {
        let ring = |text: &str| -> Vec<(f64, f64)> {
            let places = text.trim_start_matches('M').split('L');
            places.map(|place| place.split_once(' ').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).unwrap()).collect()
        };
        let mut rings: Vec<_> = path.split_terminator('Z').map(ring).collect();
        let outer = rings.remove(0);
        Mask::of_polygons(width_px, height_px, &[Polygon { outer, holes: rings }]).unwrap()
    }

    /// A picture stored as 80 × 60 with a thing of the shape of an L in it, and where that is once the picture is upright: the way up,
    /// the size of the frame, and the box.
    const WAYS_UP: [(u8, (u32, u32), [f32; 4]); 8] = [
        (1, (80, 60), [10.0, 20.0, 40.0, 60.0]),
        (2, (80, 60), [40.0, 20.0, 70.0, 60.0]),
        (3, (80, 60), [40.0, 0.0, 70.0, 40.0]),
        (4, (80, 60), [10.0, 0.0, 40.0, 40.0]),
        (5, (60, 80), [20.0, 10.0, 60.0, 40.0]),
        (6, (60, 80), [0.0, 10.0, 40.0, 40.0]),
        (7, (60, 80), [0.0, 40.0, 40.0, 70.0]),
        (8, (60, 80), [20.0, 40.0, 60.0, 70.0]),
    ];

    /// Where a stored pixel is once the picture is upright: EXIF's words on each way up, the row and column that come to be top and left.
    fn upright(exif: u8, x: u32, y: u32) -> (u32, u32) {
        let (right, bottom) = (79 - x, 59 - y);
        match exif {
            2 => (right, y),
            3 => (right, bottom),
            4 => (x, bottom),
            5 => (y, x),
            6 => (bottom, x),
            7 => (bottom, right),
            8 => (y, right),
            _ => (x, y),
        }
    }

    #[test]
    fn shapes_lie_on_what_they_are_of_whichever_way_up_the_file_is_stored() {
        let is_thing = |x: u32, y: u32| (10..40).contains(&x) && (20..60).contains(&y) && (x < 20 || y >= 50);
        let bitmap: Vec<bool> = (0..80 * 60).map(|at| is_thing(at % 80, at / 80)).collect();
        let stored = Mask::of_bitmap(80, 60, &bitmap).unwrap();
        let bounds = BoundingBox { left_px: 10.0, top_px: 20.0, right_px: 40.0, bottom_px: 60.0 };
        for (exif, (width_px, height_px), [left, top, right, bottom]) in WAYS_UP {
            let orientation = Orientation::try_from(exif).unwrap();
            let seen = StoredRegion {
                bounds: bounds.turned(orientation, 80, 60),
                width_px,
                height_px,
                mask: Some(stored.turned(orientation)),
                ..region(1, [0.0; 4], None)
            };
            let frame = &frames(&[seen])[0];
            assert_eq!((frame.width_px, frame.height_px), (width_px, height_px), "way up {exif}");
            let shape = &frame.shapes[0];
            assert_eq!([shape.x, shape.y, shape.x + shape.width, shape.y + shape.height], [left, top, right, bottom], "way up {exif}");
            let drawn = filled(shape.path.as_deref().unwrap(), width_px, height_px);
            for (x, y) in (0..80 * 60).map(|at| (at % 80, at / 80)) {
                let (at_x, at_y) = upright(exif, x, y);
                assert_eq!(drawn.contains(at_x, at_y), is_thing(x, y), "way up {exif}: stored {x}, {y}");
            }
        }
    }

    #[test]
    fn a_frame_for_each_size_of_picture_small_things_above_large_ones() {
        let small = region(1, [10.0, 10.0, 20.0, 20.0], None);
        let large = region(2, [0.0, 0.0, 300.0, 300.0], None);
        let elsewhere = StoredRegion { width_px: 2048, height_px: 1536, ..region(3, [0.0, 0.0, 9000.0, 10.0], None) };
        let frames = frames(&[small, elsewhere, large]);
        let ids: Vec<Vec<i64>> = frames.iter().map(|frame| frame.shapes.iter().map(|shape| shape.id).collect()).collect();
        assert_eq!(ids, [vec![2, 1], vec![3]]);
        assert_eq!(frames[1].shapes[0].width, 2048.0, "what leaves the picture is cut");
    }

    #[test]
    fn noise_is_drawn_as_its_box_and_holes_stay_open() {
        let checks: Vec<bool> = (0..400 * 300).map(|at| (at % 400 + at / 400) % 2 == 0).collect();
        assert_eq!(outline(&Mask::of_bitmap(400, 300, &checks).unwrap()), None);
        assert_eq!(outline(&Mask::empty(4, 3).unwrap()), None);
        let ring: Vec<bool> = (0..100).map(|at| !((3..7).contains(&(at % 10)) && (3..7).contains(&(at / 10)))).collect();
        let ring = Mask::of_bitmap(10, 10, &ring).unwrap();
        let path = outline(&ring).unwrap();
        assert_eq!(path.matches('Z').count(), 2);
        assert_eq!(filled(&path, 10, 10), ring);
    }
}
