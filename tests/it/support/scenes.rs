//! Scenes of coloured shapes, drawn here: what the two little networks of `tests/reference/` were trained on, by another hand. Shapes and colours are
//! those of its `scenes.py`; places, sizes and backgrounds are this file's own, so that nothing here was seen in training.

use std::{collections::BTreeMap, f64::consts::TAU, path::Path};

/// Hues in degrees.
pub(crate) const COLOURS: [(&str, f64); 6] =
    [("red", 0.0), ("orange", 28.0), ("yellow", 54.0), ("green", 125.0), ("blue", 222.0), ("purple", 285.0)];

/// What there is, and how several are called.
pub(crate) const SHAPES: [(&str, &str); 3] = [("circle", "circles"), ("square", "squares"), ("triangle", "triangles")];

/// Samples of a pixel to each side: edges as soft as a camera's.
const SAMPLES: usize = 4;

/// One shape; the middle and the distance of its farthest point as shares of the shorter side of the picture.
#[derive(Debug, Clone)]
pub(crate) struct Thing {
    pub(crate) colour: &'static str,
    pub(crate) shape: &'static str,
    rgb: [f64; 3],
    x: f64,
    y: f64,
    radius: f64,
    /// In radians.
    turn: f64,
}

/// Shapes on a background that goes from one grey tint to another.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) things: Vec<Thing>,
    background: [[f64; 3]; 2],
    /// How much each pixel is off, in 0..=255.
    grain: f64,
    seed: u64,
}

/// A scene that was drawn.
pub(crate) struct Drawn {
    pub(crate) width_px: u32,
    pub(crate) height_px: u32,
    /// Three bytes a pixel.
    pub(crate) rgb: Vec<u8>,
    /// For each thing, which pixels are more than half its own.
    pub(crate) masks: Vec<Vec<bool>>,
}

/// Numbers that look random and are the same everywhere (xorshift64*).
struct Numbers(u64);

impl Numbers {
    /// In 0..1.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f64 / f64::from(1 << 24)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }
}

fn of_hue(hue: f64, saturation: f64, value: f64) -> [f64; 3] {
    [5.0, 3.0, 1.0].map(|shift| {
        let k: f64 = (shift + hue.rem_euclid(360.0) / 60.0) % 6.0;
        255.0 * value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0))
    })
}

impl Scene {
    /// A scene of these kinds of things: colour, shape and how many, three in all at most.
    pub(crate) fn of(kinds: &[(&'static str, &'static str, usize)], seed: u64) -> Self {
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            numbers.unit();
        }
        let wanted: Vec<_> = kinds.iter().flat_map(|&(colour, shape, count)| vec![(colour, shape); count]).collect();
        let largest = [0.26, 0.2, 0.17][wanted.len() - 1];
        let mut places: Vec<(f64, f64, f64)> = Vec::new();
        let mut tries = 0;
        while places.len() < wanted.len() {
            let radius = numbers.between(0.12, largest);
            let (x, y) = (numbers.between(radius - 0.46, 0.46 - radius), numbers.between(radius - 0.46, 0.46 - radius));
            tries += 1;
            if places.iter().all(|(other_x, other_y, other)| (x - other_x).hypot(y - other_y) > radius + other + 0.04) {
                places.push((x, y, radius));
            } else if tries % 50 == 0 {
                places.clear();
            }
        }
        let mut thing = |(&(colour, shape), (x, y, radius)): (&(&'static str, &'static str), (f64, f64, f64))| {
            let hue = COLOURS.iter().find(|(name, _)| *name == colour).expect("a colour that has a hue").1;
            let rgb = of_hue(hue + numbers.between(-4.0, 4.0), numbers.between(0.82, 1.0), numbers.between(0.78, 1.0));
            let turn = numbers.between(-0.25, 0.25);
            Thing { colour, shape, rgb, x, y, radius, turn }
        };
        let things = wanted.iter().zip(places).map(&mut thing).collect();
        let mut tint = || of_hue(numbers.between(0.0, 360.0), numbers.between(0.0, 0.18), numbers.between(0.15, 0.92));
        let background = [tint(), tint()];
        let grain = numbers.between(0.0, 12.0);
        Self { things, background, grain, seed }
    }

    /// How many there are of each colour and shape.
    pub(crate) fn counts(&self) -> BTreeMap<(&'static str, &'static str), usize> {
        let mut counts = BTreeMap::new();
        self.things.iter().for_each(|thing| *counts.entry((thing.colour, thing.shape)).or_default() += 1);
        counts
    }

    /// What is to be seen: `two red circles and a blue star`.
    pub(crate) fn caption(&self) -> String {
        let parts: Vec<String> = self.counts().into_iter().map(|((colour, shape), count)| phrase(colour, shape, count)).collect();
        parts.join(" and ")
    }

    /// Draws it.
    pub(crate) fn draw(&self, width_px: u32, height_px: u32) -> Drawn {
        let (width, height) = (width_px as usize, height_px as usize);
        let short = width.min(height) as f64;
        let mut numbers = Numbers(self.seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut masks = vec![vec![false; width * height]; self.things.len()];
        let mut rgb = Vec::with_capacity(width * height * 3);
        let outlines: Vec<_> = self.things.iter().map(|thing| outline(thing.shape, thing.turn)).collect();
        for row in 0..height {
            for column in 0..width {
                let share = (row as f64 / height as f64 + column as f64 / width as f64) / 2.0;
                let mut color = [0, 1, 2].map(|channel| {
                    self.background[0][channel] * (1.0 - share)
                        + self.background[1][channel] * share
                        + self.grain * (numbers.unit() - 0.5) * 2.0
                });
                for (index, (thing, outline)) in self.things.iter().zip(&outlines).enumerate() {
                    let place = |at: f64, side: usize, middle: f64| ((at - side as f64 / 2.0) / short - middle) / thing.radius;
                    let (x, y) = (place(column as f64 + 0.5, width, thing.x), place(row as f64 + 0.5, height, thing.y));
                    if x.hypot(y) > 1.0 + 2.0 / (thing.radius * short) {
                        continue;
                    }
                    let step = 1.0 / (SAMPLES as f64 * thing.radius * short);
                    let offset = |sample: usize| (sample as f64 - (SAMPLES as f64 - 1.0) / 2.0) * step;
                    let samples = (0..SAMPLES * SAMPLES)
                        .filter(|sample| is_inside(outline.as_deref(), x + offset(sample % SAMPLES), y + offset(sample / SAMPLES)));
                    let cover = samples.count() as f64 / (SAMPLES * SAMPLES) as f64;
                    masks[index][row * width + column] = cover > 0.5;
                    for (channel, value) in color.iter_mut().enumerate() {
                        *value += (thing.rgb[channel] - *value) * cover;
                    }
                }
                rgb.extend(color.map(|value| value.round().clamp(0.0, 255.0) as u8));
            }
        }
        Drawn { width_px, height_px, rgb, masks }
    }

    /// The middle of a thing in a picture of this size, in px.
    pub(crate) fn middle_px(&self, thing: &Thing, width_px: u32, height_px: u32) -> (f32, f32) {
        let short = f64::from(width_px.min(height_px));
        ((f64::from(width_px) / 2.0 + thing.x * short) as f32, (f64::from(height_px) / 2.0 + thing.y * short) as f32)
    }
}

impl Drawn {
    /// Writes it as a JPEG.
    pub(crate) fn write_jpeg(&self, path: &Path) {
        let image = turbojpeg::Image {
            pixels: self.rgb.as_slice(),
            width: self.width_px as usize,
            pitch: self.width_px as usize * 3,
            height: self.height_px as usize,
            format: turbojpeg::PixelFormat::RGB,
        };
        let jpeg = turbojpeg::compress(image, 90, turbojpeg::Subsamp::Sub2x2).expect("a picture becomes a JPEG");
        std::fs::write(path, jpeg).expect("the test's folder is writable");
    }
}

/// `a red circle`, `two red circles`.
pub(crate) fn phrase(colour: &str, shape: &str, count: usize) -> String {
    if count == 1 {
        let article = if colour.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        return format!("{article} {colour} {shape}");
    }
    let plural = SHAPES.iter().find(|(one, _)| *one == shape).expect("a shape that has a plural").1;
    format!("{} {colour} {plural}", if count == 2 { "two" } else { "three" })
}

/// The corners of a shape whose farthest point lies 1 from its middle; none of a circle.
fn outline(shape: &str, turn: f64) -> Option<Vec<(f64, f64)>> {
    let (corners, start) = match shape {
        "circle" => return None,
        "square" => (4, TAU / 8.0),
        _ => (3, TAU / 4.0),
    };
    let angles = (0..corners).map(|corner| start + turn + TAU * f64::from(corner) / f64::from(corners));
    Some(angles.map(|angle| (angle.cos(), -angle.sin())).collect())
}

/// Whether a place lies inside: by how often a line to the right crosses the outline.
fn is_inside(outline: Option<&[(f64, f64)]>, x: f64, y: f64) -> bool {
    let Some(corners) = outline else { return x.hypot(y) <= 1.0 };
    let edges = corners.iter().zip(corners.iter().cycle().skip(1));
    edges.filter(|((ax, ay), (bx, by))| (*ay > y) != (*by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax).count() % 2 == 1
}

#[test]
fn shapes_have_the_area_that_they_should() {
    let share = |shape: &'static str| {
        let scene = Scene::of(&[("red", shape, 1)], 3);
        let drawn = scene.draw(200, 160);
        let circle = std::f64::consts::PI * (scene.things[0].radius * 160.0).powi(2);
        drawn.masks[0].iter().filter(|&&set| set).count() as f64 / circle
    };
    let expected = [("circle", 1.0), ("square", 0.637), ("triangle", 0.413)];
    for (shape, area) in expected {
        assert!((share(shape) - area).abs() < 0.02, "{shape}: {} of its circle instead of {area}", share(shape));
    }
}
