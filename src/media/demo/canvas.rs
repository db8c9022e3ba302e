//! A canvas and its brushes: soft-edged shapes in floating point, measured in units that do not depend on the picture's size.
//!
//! The short side of every canvas is 1000 units long, the origin is at the top left. Shapes are given by their signed distance (in
//! units, negative inside), so that every edge is anti-aliased in one place.

use super::noise::Rng;

/// Red, green and blue as displayed (sRGB), each in `0..=1`.
pub(super) type Colour = [f32; 3];

/// A point, in units.
pub(super) type Point = (f32, f32);

/// The colour `0xRRGGBB`.
pub(super) fn hex(value: u32) -> Colour {
    [value >> 16, value >> 8, value].map(|channel| (channel & 255) as f32 / 255.0)
}

/// From `a` to `b` by `t` in `0..=1`.
pub(super) fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    let t = t.clamp(0.0, 1.0);
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * t)
}

/// Brighter (`> 1`) or darker.
pub(super) fn scaled(colour: Colour, factor: f32) -> Colour {
    colour.map(|channel| channel * factor)
}

/// 0 below `low`, 1 above `high`, smooth between.
pub(super) fn smooth(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Colours along a line, evenly spaced; `t` in `0..=1`.
pub(super) fn gradient(stops: &[Colour], t: f32) -> Colour {
    let place = t.clamp(0.0, 1.0) * (stops.len() - 1) as f32;
    let index = (place as usize).min(stops.len() - 2);
    mix(stops[index], stops[index + 1], place - index as f32)
}

/// Eight-bit pixels, rows from the top, red first.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    /// Columns.
    pub(super) width_px: usize,
    /// Rows.
    pub(super) height_px: usize,
    /// `width_px * height_px * 3` bytes.
    pub(super) rgb: Vec<u8>,
}

/// The picture while it is painted.
#[derive(Debug, Clone)]
pub(super) struct Canvas {
    width_px: usize,
    height_px: usize,
    pixels_per_unit: f32,
    pixels: Vec<Colour>,
}

impl Canvas {
    /// A black canvas.
    pub(super) fn new(width_px: usize, height_px: usize) -> Self {
        let pixels_per_unit = width_px.min(height_px) as f32 / 1000.0;
        Self { width_px, height_px, pixels_per_unit, pixels: vec![[0.0; 3]; width_px * height_px] }
    }

    /// Width, in units.
    pub(super) fn width(&self) -> f32 {
        self.width_px as f32 / self.pixels_per_unit
    }

    /// Height, in units.
    pub(super) fn height(&self) -> f32 {
        self.height_px as f32 / self.pixels_per_unit
    }

    /// Gives every pixel the colour of its place.
    pub(super) fn fill(&mut self, colour: impl Fn(f32, f32) -> Colour) {
        self.fill_below(|_| -1.0, colour);
    }

    /// Gives the pixels below a line their colour; the line is a height over `x`.
    pub(super) fn fill_below(&mut self, line: impl Fn(f32) -> f32, colour: impl Fn(f32, f32) -> Colour) {
        self.fill_band(line, f32::MAX, colour);
    }

    /// As [`Self::fill_below`], but no further down than `floor`: for what something nearer will cover.
    pub(super) fn fill_band(&mut self, line: impl Fn(f32) -> f32, floor: f32, colour: impl Fn(f32, f32) -> Colour) {
        let unit = self.pixels_per_unit;
        let tops: Vec<f32> = (0..self.width_px).map(|column| line((column as f32 + 0.5) / unit) * unit).collect();
        let first = tops.iter().copied().fold(f32::MAX, f32::min).floor().max(0.0) as usize;
        let last = ((floor * unit).ceil().max(0.0) as usize).min(self.height_px);
        for row in first..last {
            let y = (row as f32 + 0.5) / unit;
            for (column, top) in tops.iter().enumerate() {
                let cover = (row as f32 + 1.0 - top).clamp(0.0, 1.0);
                if cover > 0.0 {
                    let pixel = &mut self.pixels[row * self.width_px + column];
                    *pixel = mix(*pixel, colour((column as f32 + 0.5) / unit, y), cover);
                }
            }
        }
    }

    /// Paints a shape inside `bounds` (left, top, right, bottom) with a colour that may change over it.
    /// `edge` is the width of its soft rim, in units; 0 is as sharp as pixels are.
    pub(super) fn paint(
        &mut self,
        bounds: [f32; 4],
        edge: f32,
        distance: impl Fn(f32, f32) -> f32,
        colour: impl Fn(f32, f32) -> (Colour, f32),
    ) {
        let unit = self.pixels_per_unit;
        let margin = edge + 2.0 / unit;
        let clip = |value: f32, limit: usize| (value * unit).clamp(0.0, limit as f32) as usize;
        let (left, right) = (clip(bounds[0] - margin, self.width_px), clip(bounds[2] + margin, self.width_px));
        let (top, bottom) = (clip(bounds[1] - margin, self.height_px), clip(bounds[3] + margin, self.height_px));
        let softness = edge.max(1.0 / unit);
        for row in top..bottom {
            let y = (row as f32 + 0.5) / unit;
            for column in left..right {
                let x = (column as f32 + 0.5) / unit;
                let cover = (0.5 - distance(x, y) / softness).clamp(0.0, 1.0);
                if cover > 0.0 {
                    let (paint, alpha) = colour(x, y);
                    let pixel = &mut self.pixels[row * self.width_px + column];
                    *pixel = mix(*pixel, paint, cover * alpha);
                }
            }
        }
    }

    /// A disc.
    pub(super) fn disc(&mut self, centre: Point, radius: f32, colour: Colour) {
        self.ellipse(centre, (radius, radius), colour);
    }

    /// An ellipse, lit a little from above so that it looks round.
    pub(super) fn ellipse(&mut self, centre: Point, radii: (f32, f32), colour: Colour) {
        self.ellipse_of(centre, radii, 0.0, 0.0, |_, y| (scaled(colour, 1.06 - 0.14 * (y - centre.1 + radii.1) / (2.0 * radii.1)), 1.0));
    }

    /// An ellipse turned by `turn` radians, with a soft rim and a colour of its place.
    pub(super) fn ellipse_of(
        &mut self,
        centre: Point,
        radii: (f32, f32),
        turn: f32,
        edge: f32,
        colour: impl Fn(f32, f32) -> (Colour, f32),
    ) {
        let reach = radii.0.max(radii.1);
        let (sin, cos) = turn.sin_cos();
        let distance = |x: f32, y: f32| {
            let (dx, dy) = (x - centre.0, y - centre.1);
            let (across, along) = ((dx * cos + dy * sin) / radii.0, (dy * cos - dx * sin) / radii.1);
            let length = (across * across + along * along).sqrt();
            let slope = ((across / radii.0).powi(2) + (along / radii.1).powi(2)).sqrt().max(1e-6);
            (length - 1.0) * length.max(1e-3) / slope
        };
        self.paint([centre.0 - reach, centre.1 - reach, centre.0 + reach, centre.1 + reach], edge, distance, colour);
    }

    /// A rectangle with rounded corners.
    pub(super) fn rectangle(&mut self, left_top: Point, right_bottom: Point, radius: f32, colour: Colour) {
        let (half_width, half_height) = ((right_bottom.0 - left_top.0) / 2.0, (right_bottom.1 - left_top.1) / 2.0);
        let (cx, cy) = (left_top.0 + half_width, left_top.1 + half_height);
        let radius = radius.min(half_width).min(half_height);
        let distance = |x: f32, y: f32| {
            let (qx, qy) = ((x - cx).abs() - half_width + radius, (y - cy).abs() - half_height + radius);
            (qx.max(0.0).powi(2) + qy.max(0.0).powi(2)).sqrt() + qx.max(qy).min(0.0) - radius
        };
        self.paint([left_top.0, left_top.1, right_bottom.0, right_bottom.1], 0.0, distance, |_, _| (colour, 1.0));
    }

    /// A polygon of any shape.
    pub(super) fn polygon(&mut self, corners: &[Point], colour: Colour) {
        let fold = |pick: fn(f32, f32) -> f32, of: fn(&Point) -> f32, start| corners.iter().map(of).fold(start, pick);
        let bounds = [
            fold(f32::min, |p| p.0, f32::MAX),
            fold(f32::min, |p| p.1, f32::MAX),
            fold(f32::max, |p| p.0, f32::MIN),
            fold(f32::max, |p| p.1, f32::MIN),
        ];
        self.paint(bounds, 0.0, |x, y| polygon_distance(corners, x, y), |_, _| (colour, 1.0));
    }

    /// A line with round ends whose radius goes from `radii.0` to `radii.1`.
    pub(super) fn line(&mut self, from: Point, to: Point, radii: (f32, f32), colour: Colour) {
        let reach = radii.0.max(radii.1);
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let square = (dx * dx + dy * dy).max(1e-6);
        let distance = |x: f32, y: f32| {
            let t = (((x - from.0) * dx + (y - from.1) * dy) / square).clamp(0.0, 1.0);
            let (ex, ey) = (x - from.0 - dx * t, y - from.1 - dy * t);
            (ex * ex + ey * ey).sqrt() - radii.0 - (radii.1 - radii.0) * t
        };
        let bounds = [from.0.min(to.0) - reach, from.1.min(to.1) - reach, from.0.max(to.0) + reach, from.1.max(to.1) + reach];
        self.paint(bounds, 0.0, distance, |_, _| (colour, 1.0));
    }

    /// Light around a point that fades towards `radius`.
    pub(super) fn glow(&mut self, centre: Point, radius: f32, colour: Colour, strength: f32) {
        let distance = |x: f32, y: f32| ((x - centre.0).powi(2) + (y - centre.1).powi(2)).sqrt() - radius;
        let light = |x: f32, y: f32| {
            let away = ((x - centre.0).powi(2) + (y - centre.1).powi(2)).sqrt() / radius;
            (colour, strength * (1.0 - away).max(0.0).powi(2))
        };
        self.paint([centre.0 - radius, centre.1 - radius, centre.0 + radius, centre.1 + radius], 0.0, distance, light);
    }

    /// The colour at a place, clamped to the canvas.
    pub(super) fn at(&self, x: f32, y: f32) -> Colour {
        let place = |value: f32, limit: usize| ((value * self.pixels_per_unit).max(0.0) as usize).min(limit - 1);
        self.pixels[place(y, self.height_px) * self.width_px + place(x, self.width_px)]
    }

    /// Mirrors what is above `horizon` into the part below it, as water with waves does.
    pub(super) fn reflect(&mut self, horizon: f32, tint: Colour, rng: &mut Rng) {
        let above = self.clone();
        let noise = rng.noise();
        let depth = self.height() - horizon;
        self.fill_below(
            |_| horizon,
            |x, y| {
                let near = (y - horizon) / depth;
                let wave = noise.layers(x / (50.0 + 220.0 * near), 26.0 / (near + 0.06), 2) - 0.5;
                let mirrored = above.at(x + wave * 60.0 * near, horizon - (y - horizon) * (0.92 + 0.1 * wave) - 1.0);
                mix(scaled(mirrored, 0.9 + 0.25 * wave), tint, 0.22 + 0.3 * near)
            },
        );
    }

    /// Blurs everything so far, as a lens does with what is far behind the subject. `radius` in units.
    pub(super) fn blur(&mut self, radius: f32) {
        let reach = (radius * self.pixels_per_unit).round() as usize;
        if reach == 0 {
            return;
        }
        let width = self.width_px;
        let share = 1.0 / (2 * reach + 1) as f32;
        for _ in 0..2 {
            for row in self.pixels.chunks_mut(width) {
                let line = row.to_vec();
                let at = |index: isize| line[index.clamp(0, width as isize - 1) as usize];
                let mut sum = [0.0; 3];
                (-(reach as isize)..=reach as isize).for_each(|index| add(&mut sum, at(index), 1.0));
                for (index, pixel) in row.iter_mut().enumerate() {
                    *pixel = scaled(sum, share);
                    add(&mut sum, at((index + reach + 1) as isize), 1.0);
                    add(&mut sum, at(index as isize - reach as isize), -1.0);
                }
            }
            // All columns of a row together, because memory is read in rows.
            let source = self.pixels.clone();
            let row_of = |row: isize| &source[row.clamp(0, self.height_px as isize - 1) as usize * width..][..width];
            let mut sums = vec![[0.0; 3]; width];
            for row in -(reach as isize)..=reach as isize {
                sums.iter_mut().zip(row_of(row)).for_each(|(sum, pixel)| add(sum, *pixel, 1.0));
            }
            for (row, pixels) in self.pixels.chunks_mut(width).enumerate() {
                let (enters, leaves) = (row_of((row + reach + 1) as isize), row_of(row as isize - reach as isize));
                for (index, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = scaled(sums[index], share);
                    add(&mut sums[index], enters[index], 1.0);
                    add(&mut sums[index], leaves[index], -1.0);
                }
            }
        }
    }

    /// Develops the picture: darker corners, a warmer or cooler cast, and the grain of a sensor.
    pub(super) fn develop(&self, vignette: f32, cast: Colour, grain: f32, rng: &mut Rng) -> Picture {
        let mut rgb = Vec::with_capacity(self.pixels.len() * 3);
        let (cx, cy) = (self.width_px as f32 / 2.0, self.height_px as f32 / 2.0);
        let reach = cx * cx + cy * cy;
        let mut state = rng.next() as u32 | 1;
        for (index, pixel) in self.pixels.iter().enumerate() {
            let (x, y) = ((index % self.width_px) as f32 - cx, (index / self.width_px) as f32 - cy);
            let shade = 1.0 - vignette * ((x * x + y * y) / reach).powi(2);
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let speck = ((state >> 16) as f32 + (state & 0xFFFF) as f32) / 65536.0 - 1.0;
            for channel in 0..3 {
                let value = pixel[channel] * cast[channel] * shade + speck * grain;
                rgb.push((value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8);
            }
        }
        Picture { width_px: self.width_px, height_px: self.height_px, rgb }
    }
}

fn add(sum: &mut Colour, colour: Colour, sign: f32) {
    (0..3).for_each(|channel| sum[channel] += sign * colour[channel]);
}

fn polygon_distance(corners: &[Point], x: f32, y: f32) -> f32 {
    let mut nearest = f32::MAX;
    let mut inside = false;
    let mut previous = corners[corners.len() - 1];
    for &corner in corners {
        let (ex, ey) = (previous.0 - corner.0, previous.1 - corner.1);
        let (wx, wy) = (x - corner.0, y - corner.1);
        let t = ((wx * ex + wy * ey) / (ex * ex + ey * ey).max(1e-6)).clamp(0.0, 1.0);
        nearest = nearest.min((wx - ex * t).powi(2) + (wy - ey * t).powi(2));
        if (corner.1 > y) != (previous.1 > y) && x < (previous.0 - corner.0) * (y - corner.1) / (previous.1 - corner.1) + corner.0 {
            inside = !inside;
        }
        previous = corner;
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}

impl Picture {
    /// Turned by a quarter: clockwise or against it.
    pub(super) fn turned(&self, clockwise: bool) -> Self {
        let (width, height) = (self.height_px, self.width_px);
        let mut rgb = Vec::with_capacity(self.rgb.len());
        for row in 0..height {
            for column in 0..width {
                let (x, y) = if clockwise { (row, self.height_px - 1 - column) } else { (self.width_px - 1 - row, column) };
                let at = (y * self.width_px + x) * 3;
                rgb.extend_from_slice(&self.rgb[at..at + 3]);
            }
        }
        Self { width_px: width, height_px: height, rgb }
    }

    /// Made smaller by averaging; never larger than it is.
    pub(super) fn shrunk(&self, width_px: usize, height_px: usize) -> Self {
        let (width_px, height_px) = (width_px.clamp(1, self.width_px), height_px.clamp(1, self.height_px));
        let mut rgb = Vec::with_capacity(width_px * height_px * 3);
        for row in 0..height_px {
            let (top, bottom) = (row * self.height_px / height_px, ((row + 1) * self.height_px).div_ceil(height_px));
            for column in 0..width_px {
                let (left, right) = (column * self.width_px / width_px, ((column + 1) * self.width_px).div_ceil(width_px));
                let mut sum = [0_u32; 3];
                for y in top..bottom {
                    for pixel in self.rgb[(y * self.width_px + left) * 3..(y * self.width_px + right) * 3].chunks_exact(3) {
                        (0..3).for_each(|i| sum[i] += u32::from(pixel[i]));
                    }
                }
                let count = ((bottom - top) * (right - left)) as u32;
                rgb.extend(sum.map(|channel| (channel / count) as u8));
            }
        }
        Self { width_px, height_px, rgb }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(width_px: usize, height_px: usize) -> Picture {
        Picture { width_px, height_px, rgb: (0..width_px * height_px).flat_map(|i| [i as u8; 3]).collect() }
    }

    #[test]
    fn a_quarter_turn_and_its_opposite_cancel() {
        let picture = numbered(4, 3);
        let turned = picture.turned(true);
        assert_eq!((turned.width_px, turned.height_px), (3, 4));
        assert_eq!(turned.rgb[..9], [8, 8, 8, 4, 4, 4, 0, 0, 0], "the left column becomes the top row, read from below");
        assert_eq!(turned.turned(false).rgb, picture.rgb);
    }

    #[test]
    fn shrinking_averages() {
        let picture = Picture { width_px: 2, height_px: 2, rgb: [0, 40, 80, 120].iter().flat_map(|v| [*v; 3]).collect() };
        assert_eq!(picture.shrunk(1, 1).rgb, [60, 60, 60]);
    }

    #[test]
    fn blurring_keeps_an_even_colour_and_shapes_stay_inside_the_canvas() {
        let mut canvas = Canvas::new(30, 20);
        canvas.fill(|_, _| [0.5, 0.25, 1.0]);
        canvas.blur(200.0);
        assert!(canvas.pixels.iter().all(|p| (p[0] - 0.5).abs() < 1e-3 && (p[2] - 1.0).abs() < 1e-3));
        canvas.disc((-500.0, 5000.0), 100.0, [1.0; 3]);
        canvas.polygon(&[(-100.0, -100.0), (3000.0, 500.0), (0.0, 3000.0)], [1.0; 3]);
    }
}
