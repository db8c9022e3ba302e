//! Pictures of places without people: sea, mountains, snow, fields, desert, forest, the night sky.

use super::{
    canvas::{Canvas, Colour, gradient, hex, mix, scaled, smooth},
    noise::Rng,
    sky::{Light, Sky, moon, stars, sun},
};

fn times(a: Colour, b: Colour) -> Colour {
    [a[0] * b[0], a[1] * b[1], a[2] * b[2]]
}

/// Open water up to the horizon, with the sun's path on it.
pub(super) fn sea(canvas: &mut Canvas, light: Light, rng: &mut Rng) {
    let (width, height) = (canvas.width(), canvas.height());
    let sky = Sky::of(light, rng);
    let horizon = height * rng.range(0.45, 0.62);
    sky.paint(canvas, horizon, rng.range(0.3, 0.9), rng);
    let sun_x = width * rng.range(0.25, 0.75);
    let low = matches!(light, Light::Golden | Light::Dusk);
    let glitter = if low { hex(0xffe2a8) } else { hex(0xf4fbff) };
    if low {
        sun(canvas, sun_x, horizon - rng.range(-8.0, 110.0), rng.range(24.0, 42.0), hex(0xffc266));
    }
    let (swell, sparkle) = (rng.noise(), rng.noise());
    let (near, far) = (times(hex(0x0f4a66), sky.ground), mix(times(hex(0x3f8fa8), sky.ground), sky.haze, 0.45));
    canvas.fill_below(
        |_| horizon,
        |x, y| {
            let depth = (y - horizon) / (height - horizon);
            let (u, v) = (x / (26.0 + 260.0 * depth), 34.0 / (depth + 0.045));
            let wave = swell.layers(u, v, 3);
            let water = mix(far, near, depth.powf(0.6) + (wave - 0.5) * 0.9);
            let path = 1.0 - ((x - sun_x).abs() / (36.0 + 330.0 * depth)).min(1.0);
            let spark = smooth(0.55, 0.72, sparkle.layers(u * 1.9, v * 1.9, 2)) * path * (1.1 - 0.5 * depth);
            mix(water, glitter, spark.min(1.0) * if low { 0.95 } else { 0.45 })
        },
    );
    if rng.chance(0.5) {
        sailboat(canvas, width * rng.range(0.2, 0.8), horizon + rng.range(6.0, 60.0), rng.range(0.5, 1.2), light, rng);
    }
    if low && rng.chance(0.5) {
        let ridge = rng.noise();
        let (start, colour) = (rng.range(-0.3, 0.5) * width, mix(scaled(sky.ground, 0.22), sky.haze, 0.18));
        let shape = |x: f32| smooth(0.0, 260.0, x - start) * smooth(0.0, 240.0, start + width * 0.55 - x);
        let line = |x: f32| horizon - 90.0 * ridge.layers(x / 220.0, 0.0, 3) * shape(x);
        canvas.paint([0.0, horizon - 100.0, width, horizon], 0.0, |x, y| (line(x) - y).max(y - horizon), |_, _| (colour, 1.0));
    }
}

/// A small boat; `size` 1 is about 150 units high.
fn sailboat(canvas: &mut Canvas, x: f32, y: f32, size: f32, light: Light, rng: &mut Rng) {
    let dim = if light == Light::Day { 1.0 } else { 0.35 };
    let at = |dx: f32, dy: f32| (x + dx * size, y + dy * size);
    let sail = scaled(rng.pick(&[hex(0xfdfaf2), hex(0xe8563f), hex(0xf2c14e)]), dim);
    canvas.polygon(&[at(-4.0, -150.0), at(-4.0, -18.0), at(-62.0, -18.0)], sail);
    canvas.polygon(&[at(4.0, -135.0), at(4.0, -18.0), at(48.0, -18.0)], scaled(sail, 0.9));
    canvas.polygon(&[at(-72.0, -12.0), at(70.0, -12.0), at(48.0, 14.0), at(-54.0, 14.0)], scaled(hex(0x7a3b2a), dim));
}

/// Ridges behind ridges, snow on the highest, and perhaps a lake that mirrors them.
pub(super) fn mountains(canvas: &mut Canvas, light: Light, lake: bool, rng: &mut Rng) {
    let (width, height) = (canvas.width(), canvas.height());
    let sky = Sky::of(light, rng);
    let shore = height * if lake { rng.range(0.58, 0.68) } else { 1.02 };
    sky.paint(canvas, shore * 0.8, rng.range(0.2, 0.8), rng);
    if light == Light::Golden {
        sun(canvas, width * rng.range(0.15, 0.85), shore * rng.range(0.25, 0.4), 26.0, hex(0xffd08a));
    }
    let layers = 4 + rng.below(2);
    let rock = rng.pick(&[hex(0x55606e), hex(0x6a5f5a), hex(0x4d5a66)]);
    let wood = rng.pick(&[hex(0x27452f), hex(0x34502c), hex(0x1f3d3a)]);
    for layer in 0..layers {
        let near = layer as f32 / (layers - 1) as f32;
        let (ridge, relief) = (rng.noise(), rng.noise());
        let base = shore * (0.60 + 0.36 * near);
        let rise = shore * (0.50 - 0.34 * near) * rng.range(0.85, 1.15);
        let broad = 560.0 - 300.0 * near;
        let line = move |x: f32| {
            let peak = 1.0 - (2.0 * ridge.layers(x / broad, 3.7, 2) - 1.0).abs() * 2.6;
            let crag = ridge.layers(x / 96.0, 9.1, 5) - 0.5;
            base - rise * (0.78 * peak + 0.42 * crag)
        };
        let snowline = base - rise * rng.range(0.22, 0.42);
        let has_snow = near < 0.45;
        let body = mix(rock, wood, smooth(0.35, 0.8, near));
        let (ground, haze) = (sky.ground, sky.haze);
        let floor = if layer + 1 == layers { f32::MAX } else { base + shore * 0.28 };
        canvas.fill_band(line, floor, |x, y| {
            // Light from the upper left on slopes that run down to both sides.
            let (u, v) = (x / 150.0 + y / 260.0, y / 190.0);
            let here = relief.layers(u, v, 4);
            let slope = here - relief.layers(u - 0.09, v - 0.07, 3);
            let lit = 0.92 + (slope * 3.4).clamp(-0.38, 0.34);
            let mut colour = scaled(body, lit);
            if has_snow {
                let cover = smooth(-16.0, 26.0, snowline - y + (here - 0.5) * 230.0);
                colour = mix(colour, scaled(hex(0xf6f9fd), 0.45 + 0.55 * lit.min(1.08)), cover);
            }
            mix(times(colour, ground), haze, 0.62 * (1.0 - near).powf(0.9) + 0.14 * smooth(-80.0, 140.0, y - base))
        });
    }
    if lake {
        let water = mix(times(hex(0x1d4c5c), sky.ground), sky.haze, 0.15);
        canvas.reflect(shore, water, rng);
    }
    conifers(canvas, height, if lake { 7 } else { 16 }, mix(times(hex(0x14261c), sky.ground), sky.haze, 0.04), rng);
}

/// A row of firs along the lower edge, the tallest at the sides.
fn conifers(canvas: &mut Canvas, ground: f32, count: usize, colour: Colour, rng: &mut Rng) {
    let width = canvas.width();
    for _ in 0..count {
        let mut x = rng.unit();
        x = if x < 0.5 { x * x } else { 1.0 - (1.0 - x) * (1.0 - x) };
        let tall = rng.range(130.0, 330.0);
        conifer(canvas, x * width, ground + rng.range(5.0, 50.0), tall, scaled(colour, rng.range(0.75, 1.3)), None);
    }
}

/// One fir with its foot at `(x, y)`; `snow` lies on its branches.
fn conifer(canvas: &mut Canvas, x: f32, y: f32, tall: f32, colour: Colour, snow: Option<Colour>) {
    canvas.rectangle((x - tall * 0.025, y - tall * 0.2), (x + tall * 0.025, y), 0.0, scaled(hex(0x3a2a20), 0.7));
    for tier in 0..5 {
        let t = tier as f32 / 5.0;
        let (top, bottom) = (y - tall * (1.0 - 0.16 * tier as f32), y - tall * (0.66 - 0.145 * tier as f32));
        let half = tall * (0.1 + 0.055 * tier as f32);
        canvas.polygon(&[(x, top), (x + half, bottom), (x, bottom - tall * 0.03), (x - half, bottom)], scaled(colour, 1.15 - 0.3 * t));
        if let Some(snow) = snow {
            canvas.polygon(
                &[
                    (x, top),
                    (x + half * 0.62, bottom - tall * 0.09),
                    (x - half * 0.1, bottom - tall * 0.1),
                    (x - half * 0.66, bottom - tall * 0.07),
                ],
                snow,
            );
        }
    }
}

/// Hills under snow, firs, a hut with light in its window, and flakes in the air.
pub(super) fn snow(canvas: &mut Canvas, light: Light, rng: &mut Rng) {
    let (width, height) = (canvas.width(), canvas.height());
    let sky = Sky::of(light, rng);
    sky.paint(canvas, height * 0.62, 0.6, rng);
    if light == Light::Night {
        stars(canvas, height * 0.5, 160, false, rng);
        moon(canvas, width * rng.range(0.2, 0.8), height * 0.16, 36.0, rng);
    }
    let bright = if light == Light::Night { [0.42, 0.5, 0.72] } else { mix(sky.ground, [1.0; 3], 0.45) };
    for layer in 0..3 {
        let near = layer as f32 / 2.0;
        let (hill, drift) = (rng.noise(), rng.noise());
        let base = height * (0.5 + 0.2 * near);
        let line = move |x: f32| base - 150.0 * (1.0 - near * 0.5) * (hill.layers(x / (520.0 - 120.0 * near), 0.0, 3) - 0.35);
        let haze = sky.haze;
        let floor = if layer == 2 { f32::MAX } else { base + height * 0.22 };
        canvas.fill_band(line, floor, |x, y| {
            let relief = drift.layers(x / 170.0, y / 46.0, 3) - 0.5;
            let slope = (line(x + 20.0) - line(x - 20.0)) / 40.0;
            let white = times(mix(hex(0xc3d3ea), hex(0xffffff), 0.62 + relief * 0.8 - slope * 0.9), bright);
            mix(white, haze, 0.4 * (1.0 - near))
        });
        for _ in 0..5 + 3 * layer {
            let x = rng.unit() * width;
            let tall = rng.range(90.0, 150.0) * (0.55 + 0.85 * near);
            let foot = line(x) + rng.range(4.0, 40.0 + 60.0 * near);
            conifer(
                canvas,
                x,
                foot,
                tall,
                mix(times(hex(0x24423a), bright), haze, 0.45 * (1.0 - near)),
                Some(times(hex(0xf2f6fc), bright)),
            );
        }
    }
    if rng.chance(0.7) {
        hut(canvas, width * rng.range(0.25, 0.65), height * rng.range(0.78, 0.86), rng.range(0.9, 1.4), bright);
    }
    if rng.chance(0.6) {
        for _ in 0..170 {
            let size = rng.range(1.5, 6.5);
            let (x, y, fade) = (rng.unit() * width, rng.unit() * height, rng.range(0.35, 0.9));
            canvas.ellipse_of((x, y), (size, size), 0.0, size, |_, _| ([1.0; 3], fade));
        }
    }
}

fn hut(canvas: &mut Canvas, x: f32, y: f32, size: f32, bright: Colour) {
    let at = |dx: f32, dy: f32| (x + dx * size, y + dy * size);
    canvas.glow(at(100.0, -60.0), 260.0 * size, hex(0xffc060), 0.4);
    canvas.rectangle(at(0.0, -120.0), at(200.0, 0.0), 0.0, times(hex(0x6b4226), mix(bright, [1.0; 3], 0.3)));
    for plank in 1..6 {
        let height = -20.0 * plank as f32;
        canvas.line(at(0.0, height), at(200.0, height), (1.0, 1.0), times(hex(0x4a2c18), bright));
    }
    canvas.polygon(&[at(-28.0, -112.0), at(100.0, -205.0), at(228.0, -112.0)], times(hex(0xf4f8ff), bright));
    canvas.rectangle(at(30.0, -85.0), at(75.0, -40.0), 3.0, hex(0xffd77a));
    canvas.line(at(52.5, -85.0), at(52.5, -40.0), (2.0, 2.0), hex(0x4a2c18));
    canvas.rectangle(at(120.0, -88.0), at(165.0, 0.0), 3.0, times(hex(0x3c2415), bright));
}

/// Rolling fields with a tree, perhaps balloons above.
pub(super) fn fields(canvas: &mut Canvas, light: Light, balloons: bool, rng: &mut Rng) {
    let (width, height) = (canvas.width(), canvas.height());
    let sky = Sky::of(light, rng);
    let horizon = height * rng.range(0.5, 0.62);
    sky.paint(canvas, horizon, rng.range(0.4, 0.9), rng);
    if light == Light::Golden {
        sun(canvas, width * rng.range(0.2, 0.8), horizon - 70.0, 30.0, hex(0xffce7a));
    }
    let crops = [0x7fae3f, 0xd9b64a, 0x9cbf4c, 0xe3cf6a, 0x5f9440, 0xb98ac0, 0xf0d230].map(hex);
    for layer in 0..5 {
        let near = layer as f32 / 4.0;
        let (hill, blades) = (rng.noise(), rng.noise());
        let base = horizon + (height - horizon) * near.powf(1.5) * 0.75;
        let rise = 40.0 + 70.0 * near;
        let line = move |x: f32| base + rise * (0.5 - hill.layers(x / (330.0 + 300.0 * near), 0.0, 2));
        let (crop, lean, rows) = (rng.pick(&crops), rng.range(-1.2, 1.2), rng.range(14.0, 26.0) * (0.5 + 1.6 * near));
        let (ground, haze) = (sky.ground, sky.haze);
        let floor = if layer == 4 { f32::MAX } else { base + height * 0.3 };
        canvas.fill_band(line, floor, |x, y| {
            let stripe = (((x + lean * (y - base) * 2.0) / rows).sin() * 0.5 + 0.5) * (0.16 + 0.1 * near);
            let texture = blades.layers(x / (14.0 + 18.0 * near), y / (9.0 + 26.0 * near), 3) - 0.5;
            let colour = scaled(crop, 0.92 - stripe + texture * 0.34);
            mix(times(colour, ground), haze, 0.5 * (1.0 - near).powi(2))
        });
        if (1..4).contains(&layer) {
            for _ in 0..2 + rng.below(4) {
                let x = rng.unit() * width;
                leaf_tree(
                    canvas,
                    x,
                    line(x) + 4.0,
                    50.0 + 130.0 * near * near,
                    mix(times(hex(0x3c6b2c), ground), haze, 0.4 * (1.0 - near)),
                    rng,
                );
            }
        }
    }
    if balloons {
        for _ in 0..2 + rng.below(4) {
            let place = (rng.range(0.1, 0.9) * width, rng.range(0.12, 0.72) * horizon);
            balloon(canvas, place, rng.range(28.0, 120.0), sky.ground, rng);
        }
    }
}

/// A round tree with its foot at `(x, y)`.
fn leaf_tree(canvas: &mut Canvas, x: f32, y: f32, tall: f32, colour: Colour, rng: &mut Rng) {
    canvas.line((x, y), (x, y - tall * 0.5), (tall * 0.05, tall * 0.03), scaled(hex(0x4a3524), 0.8));
    for blob in 0..9 {
        let (angle, away) = (blob as f32 * 0.7 + rng.unit(), tall * rng.range(0.05, 0.27));
        let centre = (x + angle.cos() * away * 1.15, y - tall * 0.68 + angle.sin() * away);
        let lit = 0.8 + 0.35 * (0.5 - angle.sin() * 0.5);
        let size = tall * rng.range(0.13, 0.22);
        canvas.ellipse_of(centre, (size, size * 0.92), 0.0, tall * 0.03, |_, _| (scaled(colour, lit), 0.95));
    }
}

fn balloon(canvas: &mut Canvas, centre: (f32, f32), radius: f32, ground: Colour, rng: &mut Rng) {
    let (x, y) = centre;
    let pair = rng.pick(&[(0xe8483f, 0xffd24a), (0x2f7fc1, 0xf4f1e6), (0xf08a24, 0x7a2f6f), (0x3aa76d, 0xf6e27a), (0xc2438f, 0xffc4d6)]);
    let (first, second) = (hex(pair.0), hex(pair.1));
    let basket = (x, y + radius * 1.75);
    for side in [-1.0, 1.0] {
        canvas.line((x + side * radius * 0.45, y + radius * 0.95), (x + side * radius * 0.1, basket.1), (0.8, 0.8), hex(0x4a3a2a));
    }
    let panels = rng.range(5.0, 8.0).round();
    let bounds = [x - radius, y - radius, x + radius, y + radius * 1.35];
    let distance = |px: f32, py: f32| {
        let dy = if py > y { (py - y) / 1.32 } else { py - y };
        ((px - x).powi(2) + dy * dy).sqrt() - radius + if py > y { ((py - y) / radius).powi(2) * radius * 0.1 } else { 0.0 }
    };
    canvas.paint(bounds, 0.0, distance, |px, py| {
        let reach = (radius * radius - (py - y).powi(2) * if py > y { 0.57 } else { 1.0 }).max(1.0).sqrt();
        let around = ((px - x) / reach).clamp(-1.0, 1.0).asin();
        let colour = if ((around / std::f32::consts::PI + 0.5) * panels) as i32 % 2 == 0 { first } else { second };
        (times(scaled(colour, 0.72 + 0.32 * (1.0 - ((px - x) / radius + 0.35).abs())), mix(ground, [1.0; 3], 0.5)), 1.0)
    });
    canvas.rectangle((basket.0 - radius * 0.14, basket.1), (basket.0 + radius * 0.14, basket.1 + radius * 0.24), 2.0, hex(0x6b4a2a));
}

/// Dunes with a lit and a shaded side.
pub(super) fn desert(canvas: &mut Canvas, light: Light, rng: &mut Rng) {
    let (width, height) = (canvas.width(), canvas.height());
    let sky = Sky::of(light, rng);
    sky.paint(canvas, height * 0.48, 0.25, rng);
    sun(canvas, width * rng.range(0.15, 0.85), height * rng.range(0.1, 0.32), 26.0, hex(0xffe0a0));
    let sand = rng.pick(&[hex(0xe2a860), hex(0xd98e54), hex(0xecc488)]);
    for layer in 0..5 {
        let near = layer as f32 / 4.0;
        let (dune, crest, ripple) = (rng.noise(), rng.noise(), rng.noise());
        let base = height * (0.44 + 0.42 * near);
        let line = move |x: f32| base - (70.0 + 120.0 * near) * (dune.layers(x / (300.0 + 260.0 * near), 0.0, 2) - 0.3);
        let (ground, haze) = (sky.ground, sky.haze);
        let floor = if layer == 4 { f32::MAX } else { base + height * 0.26 };
        canvas.fill_band(line, floor, |x, y| {
            let below = (y - line(x)) / (120.0 + 160.0 * near);
            let divide = x + (crest.layers(below * 1.4, layer as f32, 3) - 0.5) * 460.0;
            let shadow = smooth(-0.25, 0.25, (divide / (190.0 + 210.0 * near)).sin());
            let waves = ((y * 0.9 + 26.0 * ripple.layers(x / 90.0, y / 70.0, 3)) / (1.5 + 3.6 * near)).sin() * 0.035;
            let colour =
                mix(scaled(sand, 1.05), scaled(mix(sand, hex(0x7a3f3a), 0.45), 0.72), shadow * (1.0 - below * 0.45).clamp(0.2, 1.0));
            mix(times(scaled(colour, 1.0 + waves), mix(ground, [1.0; 3], 0.5)), haze, 0.42 * (1.0 - near))
        });
    }
}

/// Trunks and leaves, of summer or autumn, with light between them.
pub(super) fn forest(canvas: &mut Canvas, autumn: bool, rng: &mut Rng) {
    let (width, height) = (canvas.width(), canvas.height());
    let leaves: &[u32] =
        if autumn { &[0xd9772b, 0xe8a33a, 0xb8432a, 0xf0c454, 0x9a5a2a] } else { &[0x4f8f3a, 0x78ad48, 0x2f6b35, 0x9cc45a, 0x3d7a4a] };
    let (top, bottom) = if autumn { (hex(0xf7dfa6), hex(0x8a5a30)) } else { (hex(0xe3f0b8), hex(0x35552c)) };
    let light = rng.noise();
    canvas.fill(|x, y| mix(top, bottom, (y / height) * 0.85 + 0.5 * (light.layers(x / 260.0, y / 260.0, 3) - 0.5)));
    for layer in 0..4 {
        let near = layer as f32 / 3.0;
        let floor = height * (0.68 + 0.3 * near);
        for _ in 0..(11 - 2 * layer) {
            let (x, half) = (rng.unit() * width, rng.range(6.0, 11.0) * (0.7 + 2.6 * near));
            let trunk = mix(mix(top, bottom, 0.35), hex(0x2c2019), 0.25 + 0.7 * near);
            canvas.line((x, floor), (x + rng.range(-40.0, 40.0), -50.0), (half, half * 0.7), trunk);
        }
        for _ in 0..260 {
            let leaf = hex(rng.pick(leaves));
            let y = height * (1.1 * rng.unit().powf(1.7) - 0.15);
            if (0.42 + 0.12 * near..0.78).contains(&(y / height)) && rng.chance(0.82) {
                continue;
            }
            let size = rng.range(10.0, 26.0) * (0.6 + near);
            let (x, turn, lit) = (rng.unit() * width, rng.range(0.0, 3.1), rng.range(0.75, 1.15));
            canvas.ellipse_of((x, y), (size, size * 0.6), turn, 3.0, |_, _| (mix(scaled(leaf, lit), top, 0.55 * (1.0 - near)), 0.85));
        }
        canvas.blur(7.0 * (1.0 - near) * (1.0 - near));
    }
    let litter = rng.noise();
    let ground = hex(leaves[4]);
    canvas.paint(
        [0.0, height * 0.8, width, height],
        120.0,
        |_, y| height * 0.86 - y,
        |x, y| (scaled(mix(ground, hex(leaves[0]), litter.layers(x / 22.0, y / 10.0, 4) * 0.8), 0.75), 0.8),
    );
    let ray = width * rng.range(0.2, 0.8);
    canvas.glow((ray, -40.0), 760.0, top, 0.75);
}

/// A dark hill under stars, the Milky Way or northern lights.
pub(super) fn night_sky(canvas: &mut Canvas, aurora: bool, rng: &mut Rng) {
    let (width, height) = (canvas.width(), canvas.height());
    let sky = Sky::of(Light::Night, rng);
    let horizon = height * 0.86;
    sky.paint(canvas, horizon, 0.0, rng);
    stars(canvas, horizon, 900, !aurora, rng);
    if aurora {
        for _ in 0..3 {
            let (fold, ray) = (rng.noise(), rng.noise());
            let (base, tall) = (height * rng.range(0.42, 0.68), height * rng.range(0.3, 0.45));
            let colours = rng.pick(&[[0x3dffa0, 0x58e0c0, 0x6a58d8], [0x52ff86, 0x9affc0, 0xc050d0]]).map(hex);
            canvas.paint(
                [0.0, 0.0, width, horizon],
                0.0,
                |_, _| -10.0,
                |x, y| {
                    let foot = base + 240.0 * (fold.layers(x / 420.0, 0.5, 3) - 0.5);
                    let up = (foot - y) / tall;
                    if !(-0.06..1.0).contains(&up) {
                        return ([0.0; 3], 0.0);
                    }
                    let streak = 0.35 + 0.65 * ray.layers(x / 26.0, 0.2, 3);
                    let fade = if up < 0.0 { 1.0 + up / 0.06 } else { (1.0 - up).powf(1.6) };
                    (gradient(&colours, up), 0.75 * streak * fade)
                },
            );
        }
    }
    let (ridge, dark) = (rng.noise(), scaled(sky.haze, 0.14));
    let line = move |x: f32| horizon - 130.0 * (ridge.layers(x / 380.0, 0.0, 5) - 0.4);
    canvas.fill_below(line, |_, _| dark);
    for _ in 0..9 {
        let x = rng.unit() * width;
        conifer(canvas, x, line(x) + 14.0, rng.range(60.0, 170.0), scaled(dark, 0.6), None);
    }
    if rng.chance(0.5) {
        let (x, y) = (width * rng.range(0.3, 0.7), height * 0.96);
        canvas.glow((x, y - 20.0), 190.0, hex(0xffb050), 0.55);
        canvas.polygon(&[(x - 62.0, y), (x, y - 74.0), (x + 62.0, y)], hex(0xf0a040));
        canvas.polygon(&[(x - 10.0, y), (x, y - 44.0), (x + 16.0, y)], hex(0x7a3a14));
    }
}

/// Sand, shallow water, a parasol.
pub(super) fn beach(canvas: &mut Canvas, light: Light, rng: &mut Rng) {
    let (width, height) = (canvas.width(), canvas.height());
    let sky = Sky::of(light, rng);
    let horizon = height * rng.range(0.36, 0.46);
    sky.paint(canvas, horizon, rng.range(0.3, 0.8), rng);
    let (swell, foam, grains) = (rng.noise(), rng.noise(), rng.noise());
    let shore_tilt = rng.range(-0.16, 0.16);
    let shore = move |x: f32| height * 0.66 + (x - width / 2.0) * shore_tilt + 34.0 * (foam.layers(x / 210.0, 0.0, 3) - 0.5);
    let ground = mix(sky.ground, [1.0; 3], 0.4);
    canvas.fill_below(
        |_| horizon,
        |x, y| {
            let depth = ((y - horizon) / (shore(x) - horizon)).clamp(0.0, 1.0);
            let wave = swell.layers(x / (40.0 + 200.0 * depth), 26.0 / (depth + 0.08), 3) - 0.5;
            times(gradient(&[0x1b6f9c, 0x2fa3bd, 0x86dccb].map(hex), depth + wave * 0.35), ground)
        },
    );
    canvas.fill_below(shore, |x, y| {
        let away = y - shore(x);
        let sand =
            scaled(mix(hex(0xf0dcae), hex(0xdcbc84), grains.layers(x / 60.0, y / 24.0, 4)), 0.94 + 0.12 * grains.at(x * 1.3, y * 1.3));
        let wet = mix(scaled(sand, 0.72), sand, smooth(20.0, 110.0, away));
        times(mix([1.0; 3], wet, smooth(6.0, 26.0, away + 12.0 * foam.at(x / 16.0, y / 16.0))), ground)
    });
    if rng.chance(0.8) {
        let (x, y, size) = (width * rng.range(0.2, 0.75), height * rng.range(0.84, 0.92), rng.range(0.9, 1.5));
        let colours = rng.pick(&[[0xe8483f, 0xfdf6e8], [0x2f8fc1, 0xfdf6e8], [0xf2b632, 0xe8703a]]).map(hex);
        let at = |dx: f32, dy: f32| (x + dx * size, y + dy * size);
        canvas.ellipse_of(at(60.0, 6.0), (150.0 * size, 17.0 * size), 0.0, 14.0, |_, _| (times(hex(0x8a6a42), ground), 0.55));
        canvas.line(at(0.0, 0.0), at(26.0, -240.0), (4.0, 4.0), hex(0xe8e0d0));
        for panel in 0..6 {
            let edge = |i: i32| at(-130.0 + 52.0 * i as f32, -176.0 + 9.0 * ((i - 3).abs() as f32) - if i % 6 == 0 { 4.0 } else { 0.0 });
            canvas.polygon(
                &[at(27.0, -262.0), edge(panel), edge(panel + 1)],
                scaled(colours[panel as usize % 2], 0.86 + 0.05 * panel as f32),
            );
        }
        canvas.rectangle(at(-120.0, -12.0), at(-20.0, 8.0), 6.0, colours[0]);
    }
    if rng.chance(0.6) {
        sailboat(canvas, width * rng.range(0.15, 0.85), horizon + rng.range(4.0, 40.0), rng.range(0.35, 0.7), light, rng);
    }
}
