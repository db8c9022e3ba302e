//! From coefficients and prototypes to a bitmap. Apart, because it runs in whatever frame the mask is wanted in. Pure; no Candle.
//! Imports the letterbox.

use rayon::prelude::*;

use super::letterbox::Letterbox;

/// Which pixels of a picture belong to an object: those of a rectangle, 1 or 0; outside of it, none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    /// Left edge of the rectangle in px of the picture.
    pub left_px: usize,
    /// Its top edge.
    pub top_px: usize,
    /// Its width.
    pub width_px: usize,
    /// Its height.
    pub height_px: usize,
    /// Lines from the top, one byte a pixel.
    pub pixels: Vec<u8>,
}

impl Bitmap {
    /// Whether a pixel of the picture belongs to the object.
    pub fn contains(&self, x: usize, y: usize) -> bool {
        let inside = (self.left_px..self.left_px + self.width_px).contains(&x) && (self.top_px..self.top_px + self.height_px).contains(&y);
        inside && self.pixels[(y - self.top_px) * self.width_px + x - self.left_px] != 0
    }

    /// How many pixels belong to the object.
    pub fn area_px(&self) -> usize {
        self.pixels.iter().filter(|&&pixel| pixel != 0).count()
    }
}

/// The prototypes of one picture on the host: (height, width, count) f32.
#[derive(Debug, Clone)]
pub(super) struct Prototypes {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) count: usize,
    pub(super) values: Vec<f32>,
}

impl Prototypes {
    /// An object's logits: (height, width).
    pub(super) fn logits(&self, coefficients: &[f32]) -> Vec<f32> {
        let product = |pixel: &[f32]| pixel.iter().zip(coefficients).map(|(value, coefficient)| value * coefficient).sum();
        self.values.chunks_exact(self.count).map(product).collect()
    }
}

/// Where the logits above 0 are, within a box (left, top, right, bottom in px of the picture).
///
/// Bilinear between the centres of the prototypes' pixels, which cover the network's input; a pixel is in the box when its whole
/// coordinate is at or past the left and upper side and short of the right and lower.
pub(super) fn bitmap(logits: &[f32], prototypes: &Prototypes, letterbox: &Letterbox, box_px: &[f32; 4]) -> Bitmap {
    let (width, height) = letterbox.picture_px;
    let range = |first: f32, last: f32, px: usize| {
        let (first, last) = (first.ceil().max(0.0) as usize, last.ceil().max(0.0) as usize);
        (first.min(px), last.clamp(first.min(px), px))
    };
    let ((left, right), (top, bottom)) = (range(box_px[0], box_px[2], width), range(box_px[1], box_px[3], height));
    let scaled = letterbox.scaled_px;
    let across = |x: usize| place(x, width, scaled.0, letterbox.offset_px.0, letterbox.input_px.0, prototypes.width);
    let down = |y: usize| place(y, height, scaled.1, letterbox.offset_px.1, letterbox.input_px.1, prototypes.height);
    let columns: Vec<_> = (left..right).map(across).collect();
    let mut pixels = vec![0u8; columns.len() * (bottom - top)];
    if !pixels.is_empty() {
        pixels.par_chunks_mut(columns.len()).enumerate().for_each(|(line, pixels)| {
            let (above, below, fraction) = down(top + line);
            let (above, below) = (&logits[above * prototypes.width..][..prototypes.width], &logits[below * prototypes.width..]);
            let mixed: Vec<f32> = above.iter().zip(below).map(|(above, below)| above + (below - above) * fraction).collect();
            for (pixel, &(first, second, fraction)) in pixels.iter_mut().zip(&columns) {
                *pixel = u8::from(mixed[first] + (mixed[second] - mixed[first]) * fraction > 0.0);
            }
        });
    }
    Bitmap { left_px: left, top_px: top, width_px: right - left, height_px: bottom - top, pixels }
}

/// Between which two of `count` prototype pixels the middle of a picture's pixel lies, and how far towards the second.
fn place(at: usize, picture: usize, scaled: usize, offset: usize, input: usize, count: usize) -> (usize, usize, f32) {
    let in_input = (at as f64 + 0.5) * scaled as f64 / picture as f64 + offset as f64;
    let place = (in_input * count as f64 / input as f64 - 0.5).clamp(0.0, (count - 1) as f64);
    let first = place as usize;
    (first, (first + 1).min(count - 1), (place - first as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_ends_at_its_box() {
        let prototypes = Prototypes { height: 8, width: 8, count: 1, values: vec![1.0; 64] };
        let letterbox = Letterbox::new((32, 32), 32, true).expect("fits");
        let logits = prototypes.logits(&[2.0]);
        let bitmap = bitmap(&logits, &prototypes, &letterbox, &[3.5, 4.0, 10.0, 40.0]);
        assert_eq!((bitmap.left_px, bitmap.top_px, bitmap.width_px, bitmap.height_px), (4, 4, 6, 28));
        assert_eq!(bitmap.area_px(), 6 * 28);
        assert!(bitmap.contains(4, 4) && !bitmap.contains(3, 4) && !bitmap.contains(10, 4));
    }

    #[test]
    fn the_edge_between_two_logits_is_where_they_cancel() {
        // Left half -1, right half +1: in four times the size, the edge is in the middle.
        let values = (0..64).map(|i| if i % 8 < 4 { -1.0 } else { 1.0 }).collect();
        let prototypes = Prototypes { height: 8, width: 8, count: 1, values };
        let letterbox = Letterbox::new((32, 32), 32, true).expect("fits");
        let bitmap = bitmap(&prototypes.logits(&[1.0]), &prototypes, &letterbox, &[0.0, 0.0, 32.0, 32.0]);
        assert_eq!(bitmap.area_px(), 16 * 32);
        assert!(bitmap.contains(16, 0) && !bitmap.contains(15, 31));
    }

    #[test]
    fn a_box_without_pixels_gives_an_empty_mask() {
        let prototypes = Prototypes { height: 8, width: 8, count: 1, values: vec![1.0; 64] };
        let letterbox = Letterbox::new((32, 32), 32, true).expect("fits");
        assert_eq!(bitmap(&prototypes.logits(&[1.0]), &prototypes, &letterbox, &[50.0, 5.0, 60.0, 5.0]).area_px(), 0);
    }
}
