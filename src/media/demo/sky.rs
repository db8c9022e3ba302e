//! What is behind every outdoor picture: the hour's light, the sky with its clouds, sun, moon and stars.

use super::{
    canvas::{Canvas, Colour, gradient, hex, mix, scaled, smooth},
    noise::Rng,
};

/// The hour of a picture, which decides its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Light {
    /// Sun up.
    Day,
    /// The low sun of the evening.
    Golden,
    /// After sunset.
    Dusk,
    /// Dark.
    Night,
}

/// The colours of one sky.
#[derive(Debug, Clone)]
pub(super) struct Sky {
    /// From the zenith to the horizon.
    pub(super) stops: Vec<Colour>,
    /// The haze that swallows what is far away.
    pub(super) haze: Colour,
    /// The light on the ground: colours are multiplied by it.
    pub(super) ground: Colour,
    /// Lit side of the clouds.
    cloud: Colour,
}

impl Sky {
    /// One of the skies of this hour.
    pub(super) fn of(light: Light, rng: &mut Rng) -> Self {
        let palette = |stops: &[u32], ground: Colour, cloud: u32| Self {
            stops: stops.iter().map(|stop| hex(*stop)).collect(),
            haze: hex(stops[stops.len() - 1]),
            ground,
            cloud: hex(cloud),
        };
        match light {
            Light::Day => match rng.below(3) {
                0 => palette(&[0x2f7fc8, 0x6fb1e2, 0xcfe6f2], [1.0, 1.0, 1.0], 0xffffff),
                1 => palette(&[0x3a8fd9, 0x8cc6ec, 0xe6f0ea], [1.04, 1.02, 0.96], 0xfffdf6),
                _ => palette(&[0x4f8fb8, 0x9cc4d8, 0xdfe8e6], [0.94, 0.97, 1.0], 0xf6f8fa),
            },
            Light::Golden => match rng.below(3) {
                0 => palette(&[0x33558c, 0xc98a7a, 0xffc46b, 0xffe3a0], [1.08, 0.9, 0.72], 0xffc890),
                1 => palette(&[0x2c4a7c, 0x8d6f97, 0xf58e5c, 0xffd27a], [1.05, 0.84, 0.72], 0xff9f7a),
                _ => palette(&[0x5585b5, 0xe0a98a, 0xffd9a0, 0xfff0c8], [1.1, 0.95, 0.78], 0xffe0b4),
            },
            Light::Dusk => match rng.below(3) {
                0 => palette(&[0x141c44, 0x4a3a78, 0xb85c84, 0xf7a072], [0.62, 0.52, 0.66], 0xd0708a),
                1 => palette(&[0x1a2550, 0x3f5a96, 0x9a86b8, 0xf0b8a8], [0.6, 0.6, 0.78], 0x9c7fae),
                _ => palette(&[0x101638, 0x31407c, 0x7a5a94, 0xe08870], [0.5, 0.48, 0.64], 0x8a5c8c),
            },
            Light::Night => match rng.below(2) {
                0 => palette(&[0x040817, 0x0b1838, 0x1e3458], [0.2, 0.25, 0.4], 0x1c2a48),
                _ => palette(&[0x06060f, 0x12122c, 0x3a2c50], [0.22, 0.2, 0.34], 0x2c2444),
            },
        }
    }

    /// Paints the sky over the whole canvas, its horizon at `horizon`. `cloudiness` in `0..=1`.
    pub(super) fn paint(&self, canvas: &mut Canvas, horizon: f32, cloudiness: f32, rng: &mut Rng) {
        let (shape, detail) = (rng.noise(), rng.noise());
        let stretch = rng.range(2.2, 4.5);
        canvas.fill(|x, y| {
            let height = (y / horizon).min(1.0);
            let clear = gradient(&self.stops, height.powf(0.9));
            if cloudiness <= 0.0 || y > horizon {
                return clear;
            }
            // Clouds get thinner and closer towards the horizon, as a ceiling does.
            let far = 0.25 + 1.1 * (1.0 - height);
            let (u, v) = (x / (360.0 * far), y * stretch / (360.0 * far));
            let cover = shape.layers(u, v, 4);
            let amount = smooth(0.68 - 0.3 * cloudiness, 0.86 - 0.2 * cloudiness, cover);
            let lit = detail.layers(u * 1.7 + 0.6, v * 1.7 - 0.5, 2);
            let colour = mix(scaled(mix(self.cloud, clear, 0.45), 0.88), self.cloud, smooth(0.25, 0.75, lit));
            mix(clear, colour, amount * (0.85 - 0.45 * height * height))
        });
    }
}

/// The sun with the light around it.
pub(super) fn sun(canvas: &mut Canvas, x: f32, y: f32, radius: f32, colour: Colour) {
    canvas.glow((x, y), radius * 14.0, colour, 0.55);
    canvas.glow((x, y), radius * 5.0, mix(colour, [1.0; 3], 0.4), 0.75);
    canvas.ellipse_of((x, y), (radius, radius), 0.0, radius * 0.25, |_, _| (mix(colour, [1.0; 3], 0.75), 1.0));
}

/// A moon, full or not.
pub(super) fn moon(canvas: &mut Canvas, x: f32, y: f32, radius: f32, rng: &mut Rng) {
    canvas.glow((x, y), radius * 6.0, hex(0xaec4f0), 0.35);
    let (phase, craters) = (rng.range(-0.9, 2.2), rng.noise());
    canvas.ellipse_of((x, y), (radius, radius), 0.0, 2.0, |px, py| {
        let shade = 0.82 + 0.18 * craters.layers(px / radius * 2.0, py / radius * 2.0, 3);
        let shadow = ((px - x - phase * radius).powi(2) + (py - y).powi(2)).sqrt() / radius;
        (scaled(hex(0xf4efdd), shade), if phase < 0.0 { 1.0 } else { smooth(0.95, 1.08, shadow) })
    });
}

/// Stars above `horizon`, with the band of the Milky Way when `band`.
pub(super) fn stars(canvas: &mut Canvas, horizon: f32, count: usize, band: bool, rng: &mut Rng) {
    let (width, tilt, noise) = (canvas.width(), rng.range(-0.9, 0.9), rng.noise());
    let middle = rng.range(0.25, 0.6) * horizon;
    let across = move |x: f32, y: f32| (y - middle - (x - width / 2.0) * tilt) / 170.0;
    if band {
        canvas.paint(
            [0.0, 0.0, width, horizon],
            0.0,
            |_, _| -10.0,
            |x, y| {
                let dust = noise.layers(x / 130.0, y / 130.0, 4);
                let glow = (-across(x, y).powi(2)).exp() * smooth(0.2, 0.8, dust);
                (mix(hex(0x8f9fd8), hex(0xf0d8d8), dust), 0.55 * glow * (1.0 - y / horizon * 0.6))
            },
        );
    }
    for _ in 0..count {
        let (x, mut y) = (rng.unit() * width, rng.unit() * horizon);
        if band && rng.chance(0.45) {
            y = (middle + (x - width / 2.0) * tilt + rng.range(-190.0, 190.0)).clamp(0.0, horizon);
        }
        let size = 0.5 + 1.6 * rng.unit().powi(6);
        let colour = mix(hex(0xbfd2ff), hex(0xffe6c8), rng.unit());
        let fade = (0.35 + 0.65 * rng.unit()) * (1.0 - (y / horizon).powi(3));
        canvas.ellipse_of((x, y), (size, size), 0.0, 1.2, |_, _| (colour, fade));
    }
}
