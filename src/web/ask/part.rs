//! A region cut out of a proxy, as an embedding network wants to see it. Pure.

use crate::{models::vision::BoundingBox, web::segment::Proxy};

/// How much of what is around a region is taken along on every side, as a share of its longer side: without any, a network sees a thing
/// without its outline.
const MARGIN: f32 = 0.08;

/// The part of a picture around a box in a frame of `size_px`, which shows the same picture at another size.
///
/// The part is a square wherever the picture reaches: these networks see squares, and would cut off the ends of a long thing.
pub(super) fn part(picture: &Proxy, bounds: BoundingBox, size_px: (u32, u32)) -> Proxy {
    let (width, height) = (picture.width_px as f32, picture.height_px as f32);
    let scaled = bounds.scaled(width / size_px.0.max(1) as f32, height / size_px.1.max(1) as f32);
    let side = scaled.width_px().max(scaled.height_px()) * (1.0 + 2.0 * MARGIN);
    let (left, right) = stretch(scaled.left_px, scaled.right_px, side, picture.width_px);
    let (top, bottom) = stretch(scaled.top_px, scaled.bottom_px, side, picture.height_px);
    let line = |y: u32| {
        let start = (y as usize * picture.width_px as usize + left as usize) * 3;
        &picture.rgb[start..start + (right - left) as usize * 3]
    };
    let rgb = (top..bottom).flat_map(line).copied().collect();
    Proxy { width_px: right - left, height_px: bottom - top, rgb }
}

/// A stretch of `side` pixels around the middle of another, moved into and cut down to `0..all`; at least one pixel long.
fn stretch(from: f32, to: f32, side: f32, all: u32) -> (u32, u32) {
    let side = (side.ceil().max(1.0) as u32).min(all);
    let middle = (from + to) / 2.0;
    let start = (middle - side as f32 / 2.0).round().clamp(0.0, (all - side) as f32) as u32;
    (start, start + side)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture whose pixels say where they are.
    fn picture(width_px: u32, height_px: u32) -> Proxy {
        let rgb = (0..height_px).flat_map(|y| (0..width_px).flat_map(move |x| [x as u8, y as u8, 0])).collect();
        Proxy { width_px, height_px, rgb }
    }

    fn cut(bounds: [f32; 4], size_px: (u32, u32)) -> (u32, u32, [u8; 2]) {
        let [left_px, top_px, right_px, bottom_px] = bounds;
        let part = part(&picture(100, 50), BoundingBox { left_px, top_px, right_px, bottom_px }, size_px);
        assert_eq!(part.rgb.len(), (part.width_px * part.height_px * 3) as usize);
        (part.width_px, part.height_px, [part.rgb[0], part.rgb[1]])
    }

    #[test]
    fn a_region_is_seen_in_a_square_as_far_as_the_picture_reaches() {
        // 20 × 10 around (50, 25): 24 px with the margin.
        assert_eq!(cut([40.0, 20.0, 60.0, 30.0], (100, 50)), (24, 24, [38, 13]));
        // The same in a frame of twice the size.
        assert_eq!(cut([80.0, 40.0, 120.0, 60.0], (200, 100)), (24, 24, [38, 13]));
        // At the edge it moves inwards, and what is higher than the picture is cut.
        assert_eq!(cut([0.0, 0.0, 10.0, 10.0], (100, 50)), (12, 12, [0, 0]));
        assert_eq!(cut([0.0, 0.0, 100.0, 50.0], (100, 50)), (100, 50, [0, 0]));
    }

    #[test]
    fn no_box_is_too_small_or_too_far_out() {
        assert_eq!(cut([30.0, 30.0, 30.0, 30.0], (100, 50)).0, 1);
        assert_eq!(cut([200.0, 90.0, 210.0, 100.0], (100, 50)), (12, 12, [88, 38]));
        assert_eq!(cut([-50.0, -50.0, -40.0, -40.0], (100, 50)), (12, 12, [0, 0]));
        assert_eq!(cut([0.0, 0.0, 1.0, 1.0], (0, 0)), (100, 50, [0, 0]));
    }
}
