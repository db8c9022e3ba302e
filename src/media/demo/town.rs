//! Pictures of what people built: a skyline at night, a row of old houses, things on wheels.

use super::{
    canvas::{Canvas, Colour, hex, mix, scaled, smooth},
    noise::Rng,
    sky::{Light, Sky, moon, stars},
};

/// Towers with lit windows over water.
pub(super) fn skyline(canvas: &mut Canvas, light: Light, rng: &mut Rng) {
    let (width, height) = (canvas.width(), canvas.height());
    let sky = Sky::of(light, rng);
    let shore = height * rng.range(0.66, 0.74);
    sky.paint(canvas, shore, if light == Light::Night { 0.25 } else { 0.7 }, rng);
    if light == Light::Night {
        stars(canvas, shore * 0.6, 130, false, rng);
        moon(canvas, width * rng.range(0.12, 0.88), height * rng.range(0.1, 0.2), rng.range(26.0, 44.0), rng);
    }
    canvas.glow((width / 2.0, shore), width * 0.8, mix(hex(0xffa860), sky.haze, 0.25), 0.75);
    for layer in 0..3 {
        let near = layer as f32 / 2.0;
        let wall = mix(sky.haze, hex(0x0c1020), 0.35 + 0.6 * near);
        let mut x = -rng.range(0.0, 60.0);
        while x < width {
            let broad = rng.range(44.0, 110.0);
            let middle = 1.0 - ((x / width - 0.5).abs() * 1.7).powi(2);
            let tall = rng.range(0.28, 1.0) * (430.0 - 130.0 * near) * (0.4 + 0.6 * middle.max(0.1));
            tower(canvas, (x, shore - tall), (x + broad, shore + 2.0), wall, near, light, rng);
            x += broad + rng.range(-6.0, 34.0);
        }
    }
    canvas.reflect(shore, mix(sky.stops[0], hex(0x081018), 0.5), rng);
}

fn tower(canvas: &mut Canvas, left_top: (f32, f32), right_bottom: (f32, f32), wall: Colour, near: f32, light: Light, rng: &mut Rng) {
    let (broad, middle) = (right_bottom.0 - left_top.0, (left_top.0 + right_bottom.0) / 2.0);
    canvas.rectangle(left_top, right_bottom, 0.0, wall);
    match rng.below(5) {
        0 => canvas.line((middle, left_top.1), (middle, left_top.1 - rng.range(30.0, 90.0)), (2.0, 1.0), wall),
        1 => {
            canvas.polygon(&[(left_top.0, left_top.1 + 1.0), (middle, left_top.1 - broad * 0.6), (right_bottom.0, left_top.1 + 1.0)], wall)
        }
        2 => canvas.rectangle((middle - broad * 0.28, left_top.1 - 30.0), (middle + broad * 0.28, left_top.1 + 4.0), 0.0, wall),
        _ => {}
    }
    let lit = if light == Light::Night { 0.62 } else { 0.42 };
    let warm = rng.pick(&[hex(0xffd98a), hex(0xfff0c8), hex(0xffc070), hex(0xcfe4ff)]);
    let (step_x, step_y) = (rng.range(10.0, 15.0), rng.range(13.0, 19.0));
    let mut y = left_top.1 + 10.0;
    while y < right_bottom.1 - 14.0 {
        let mut x = left_top.0 + 7.0;
        while x < right_bottom.0 - 9.0 {
            if rng.chance(lit) {
                let glow = scaled(mix(wall, warm, 0.55 + 0.45 * near), rng.range(0.85, 1.25));
                canvas.rectangle((x, y), (x + step_x * 0.56, y + step_y * 0.56), 0.0, glow);
            }
            x += step_x;
        }
        y += step_y;
    }
}

/// Coloured gables side by side on a quay.
pub(super) fn houses(canvas: &mut Canvas, light: Light, rng: &mut Rng) {
    let (width, height) = (canvas.width(), canvas.height());
    let sky = Sky::of(light, rng);
    let quay = height * 0.74;
    sky.paint(canvas, quay, rng.range(0.3, 0.9), rng);
    let shade = mix(sky.ground, [1.0; 3], 0.25);
    let paints = [0xc8553d, 0xe3b23c, 0x588b8b, 0xf28f3b, 0x8a9a5b, 0xd8a48f, 0x5b7db1, 0xb8405e, 0xf2e2c4].map(hex);
    let lamps = matches!(light, Light::Dusk | Light::Night);
    let mut x = -20.0;
    while x < width {
        let (broad, tall) = (rng.range(120.0, 190.0), rng.range(280.0, 430.0));
        let paint = rng.pick(&paints);
        let wall: Colour = std::array::from_fn(|i| paint[i] * shade[i]);
        let roof = quay - tall;
        let peak = broad * rng.range(0.45, 0.75);
        let tile = scaled(hex(0x7a4034), shade[0]);
        match rng.below(3) {
            0 => {
                canvas.polygon(&[(x - 6.0, roof + 3.0), (x + broad / 2.0, roof - peak), (x + broad + 6.0, roof + 3.0)], tile);
                canvas.polygon(
                    &[(x + 8.0, roof + 3.0), (x + broad / 2.0, roof - peak + 16.0), (x + broad - 8.0, roof + 3.0)],
                    scaled(wall, 0.95),
                );
            }
            1 => {
                for step in 0..5 {
                    let (inset, up) = (broad * 0.1 * step as f32, peak * 0.2 * step as f32);
                    canvas.rectangle((x + inset, roof - up - peak * 0.22), (x + broad - inset, roof + 4.0), 0.0, scaled(wall, 0.95));
                }
            }
            _ => {
                canvas.polygon(
                    &[
                        (x - 4.0, roof + 3.0),
                        (x + 16.0, roof - peak * 0.6),
                        (x + broad - 16.0, roof - peak * 0.6),
                        (x + broad + 4.0, roof + 3.0),
                    ],
                    tile,
                );
            }
        }
        canvas.rectangle((x, roof), (x + broad, quay), 0.0, wall);
        let (columns, floors) = (2 + rng.below(2), (tall / 88.0) as usize);
        for floor in 0..floors {
            let y = roof + 20.0 + 84.0 * floor as f32;
            for column in 0..columns {
                let cell = broad / columns as f32;
                let left = x + cell * column as f32 + cell * 0.24;
                let door = floor == floors - 1 && column == 0;
                let glass = if lamps && rng.chance(0.6) { hex(0xffd48a) } else { mix(scaled(hex(0x2c3a4a), 1.0), sky.haze, 0.25) };
                let (bottom, fill) = if door { (quay, scaled(hex(0x4a2c20), 1.0)) } else { (y + 56.0, glass) };
                canvas.rectangle((left - 4.0, y - 4.0), (left + cell * 0.52 + 4.0, bottom + 4.0), 2.0, scaled(hex(0xf6f0e2), shade[1]));
                canvas.rectangle((left, y), (left + cell * 0.52, bottom), 1.0, fill);
                if !door {
                    canvas.rectangle((left + cell * 0.24, y), (left + cell * 0.28, bottom), 0.0, scaled(hex(0xf6f0e2), shade[1]));
                    canvas.rectangle((left, y + 20.0), (left + cell * 0.52, y + 23.0), 0.0, scaled(hex(0xf6f0e2), shade[1]));
                }
            }
        }
        x += broad + if rng.chance(0.2) { 14.0 } else { 0.0 };
    }
    canvas.rectangle((-5.0, quay), (width + 5.0, quay + 26.0), 0.0, scaled(hex(0x8a8378), shade[1]));
    canvas.reflect(quay + 26.0, scaled(hex(0x2c5a66), shade[1]), rng);
}

/// What drives through the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wheels {
    /// A lorry.
    Truck,
    /// A small car.
    Car,
    /// A camper van.
    Van,
    /// A steam train.
    Train,
    /// A bicycle.
    Bicycle,
}

/// A vehicle from the side on a country road.
pub(super) fn vehicle(canvas: &mut Canvas, kind: Wheels, light: Light, rng: &mut Rng) {
    let (width, height) = (canvas.width(), canvas.height());
    let sky = Sky::of(light, rng);
    let road = height * 0.8;
    sky.paint(canvas, height * 0.66, rng.range(0.4, 0.9), rng);
    for layer in 0..3 {
        let near = layer as f32 / 2.0;
        let (hill, grass) = (rng.noise(), rng.noise());
        let base = height * (0.56 + 0.09 * near);
        let line = move |x: f32| base - 120.0 * (1.0 - 0.55 * near) * (hill.layers(x / 360.0, 0.0, 3) - 0.2);
        let (meadow, haze, ground) = (rng.pick(&[hex(0x6f9a44), hex(0x88a854), hex(0xa3a24e)]), sky.haze, sky.ground);
        canvas.fill_below(line, |x, y| {
            let colour = scaled(meadow, 0.86 + 0.3 * grass.layers(x / 40.0, y / 15.0, 3));
            let lit: Colour = std::array::from_fn(|i| colour[i] * ground[i]);
            mix(lit, haze, 0.55 * (1.0 - near))
        });
    }
    canvas.blur(6.0);
    let tar = rng.noise();
    let ground = mix(sky.ground, [1.0; 3], 0.3);
    let lit = |colour: Colour| -> Colour { std::array::from_fn(|i| colour[i] * ground[i]) };
    canvas.fill_below(|_| road, |x, y| lit(scaled(hex(0x6a6866), 0.86 + 0.25 * tar.layers(x / 9.0, y / 5.0, 3))));
    for dash in 0..14 {
        let x = -40.0 + 140.0 * dash as f32;
        canvas.polygon(&[(x, road + 92.0), (x + 76.0, road + 92.0), (x + 70.0, road + 104.0), (x - 8.0, road + 104.0)], lit(hex(0xeee8d8)));
    }
    let length = match kind {
        Wheels::Truck | Wheels::Train => 720.0,
        Wheels::Car | Wheels::Bicycle => 470.0,
        Wheels::Van => 560.0,
    };
    let size = (width / 1500.0).clamp(0.75, 1.2);
    let left = width * rng.range(0.42, 0.58) - length * size / 2.0;
    let foot = road + 60.0;
    let at = |dx: f32, dy: f32| (left + dx * size, foot - dy * size);
    canvas.ellipse_of(at(length / 2.0, -6.0), (length * 0.54 * size, 20.0 * size), 0.0, 24.0, |_, _| ([0.05, 0.05, 0.07], 0.6));
    let paint = lit(rng.pick(&[hex(0xd6453d), hex(0x2f74b5), hex(0xf0b429), hex(0x3b8f6b), hex(0xe8ddca), hex(0x8fbcc9)]));
    let (glass, dark, chrome) = (lit(hex(0xbfe0ee)), lit(hex(0x24262c)), lit(hex(0xd8dade)));
    let wheel = |canvas: &mut Canvas, dx: f32, radius: f32| {
        canvas.disc(at(dx, radius), radius * size, lit(hex(0x1c1c20)));
        canvas.disc(at(dx, radius), radius * 0.56 * size, chrome);
        canvas.disc(at(dx, radius), radius * 0.2 * size, dark);
    };
    match kind {
        Wheels::Truck => {
            canvas.rectangle(at(0.0, 330.0), at(500.0, 70.0), 8.0, lit(hex(0xf0ece2)));
            canvas.rectangle(at(0.0, 205.0), at(500.0, 160.0), 0.0, paint);
            canvas.rectangle(at(-6.0, 74.0), at(700.0, 46.0), 4.0, dark);
            canvas.polygon(
                &[at(516.0, 60.0), at(516.0, 285.0), at(625.0, 285.0), at(690.0, 175.0), at(706.0, 165.0), at(706.0, 60.0)],
                paint,
            );
            canvas.polygon(&[at(560.0, 265.0), at(616.0, 265.0), at(668.0, 178.0), at(560.0, 178.0)], glass);
            canvas.rectangle(at(680.0, 120.0), at(708.0, 92.0), 4.0, hex(0xfff0b0));
            for dx in [90.0, 175.0, 610.0] {
                wheel(canvas, dx, 52.0);
            }
        }
        Wheels::Car => {
            canvas.polygon(&[at(90.0, 120.0), at(160.0, 205.0), at(310.0, 205.0), at(385.0, 120.0)], paint);
            canvas.polygon(&[at(118.0, 124.0), at(170.0, 190.0), at(232.0, 190.0), at(232.0, 124.0)], glass);
            canvas.polygon(&[at(246.0, 190.0), at(303.0, 190.0), at(360.0, 124.0), at(246.0, 124.0)], glass);
            canvas.rectangle(at(0.0, 132.0), at(470.0, 38.0), 34.0, paint);
            canvas.rectangle(at(0.0, 66.0), at(470.0, 52.0), 6.0, chrome);
            canvas.disc(at(448.0, 102.0), 15.0 * size, hex(0xfff0b0));
            canvas.rectangle(at(6.0, 112.0), at(22.0, 88.0), 4.0, hex(0xe03a2a));
            wheel(canvas, 105.0, 47.0);
            wheel(canvas, 365.0, 47.0);
        }
        Wheels::Van => {
            canvas.rectangle(at(0.0, 275.0), at(545.0, 45.0), 46.0, lit(hex(0xf4efe2)));
            canvas.rectangle(at(0.0, 160.0), at(545.0, 45.0), 36.0, paint);
            canvas.rectangle(at(0.0, 168.0), at(545.0, 158.0), 2.0, chrome);
            for window in 0..4 {
                let dx = 34.0 + 122.0 * window as f32;
                canvas.rectangle(at(dx, 250.0), at(dx + 104.0, 180.0), 14.0, glass);
            }
            canvas.rectangle(at(60.0, 305.0), at(320.0, 278.0), 8.0, lit(hex(0x9a7048)));
            canvas.rectangle(at(90.0, 335.0), at(250.0, 305.0), 10.0, lit(hex(0x6b4a30)));
            canvas.disc(at(524.0, 120.0), 16.0 * size, hex(0xfff0b0));
            wheel(canvas, 115.0, 50.0);
            wheel(canvas, 440.0, 50.0);
        }
        Wheels::Train => {
            canvas.rectangle(at(-900.0, 8.0), at(1700.0, -4.0), 0.0, lit(hex(0x5a4a40)));
            canvas.rectangle(at(180.0, 230.0), at(640.0, 90.0), 60.0, paint);
            canvas.rectangle(at(0.0, 330.0), at(210.0, 80.0), 6.0, scaled(paint, 0.8));
            canvas.rectangle(at(-20.0, 352.0), at(230.0, 328.0), 8.0, dark);
            canvas.rectangle(at(50.0, 300.0), at(160.0, 220.0), 8.0, glass);
            canvas.polygon(&[at(540.0, 220.0), at(525.0, 345.0), at(605.0, 345.0), at(590.0, 220.0)], dark);
            canvas.disc(at(410.0, 232.0), 34.0 * size, lit(hex(0xd8b04a)));
            canvas.rectangle(at(-10.0, 92.0), at(690.0, 66.0), 4.0, dark);
            canvas.polygon(&[at(650.0, 80.0), at(720.0, 8.0), at(640.0, 8.0)], dark);
            for puff in 0..9 {
                let (t, wobble) = (puff as f32 / 8.0, rng.range(-16.0, 16.0));
                let (centre, radius) = (at(565.0 - 430.0 * t, 375.0 + 190.0 * t + wobble), (28.0 + 62.0 * t) * size);
                canvas.ellipse_of(centre, (radius, radius * 0.9), 0.0, radius * 0.5, |_, _| ([0.94, 0.94, 0.95], 0.75 - 0.5 * t));
            }
            for dx in [80.0, 250.0, 380.0, 510.0, 620.0] {
                wheel(canvas, dx, if dx > 200.0 && dx < 600.0 { 60.0 } else { 42.0 });
            }
        }
        Wheels::Bicycle => {
            for dx in [100.0, 370.0] {
                canvas.paint(
                    [at(dx - 110.0, 0.0).0, at(0.0, 220.0).1, at(dx + 110.0, 0.0).0, at(0.0, -5.0).1],
                    0.0,
                    |x, y| (((x - at(dx, 0.0).0).powi(2) + (y - at(0.0, 100.0).1).powi(2)).sqrt() - 96.0 * size).abs() - 6.0 * size,
                    |_, _| (dark, 1.0),
                );
                for spoke in 0..9 {
                    let (sin, cos) = (spoke as f32 * 0.698).sin_cos();
                    canvas.line(at(dx, 100.0), at(dx + 94.0 * cos, 100.0 + 94.0 * sin), (1.0, 1.0), chrome);
                }
            }
            let (pedal, saddle, head, fork) = (at(220.0, 95.0), at(180.0, 235.0), at(330.0, 240.0), at(370.0, 100.0));
            for (from, to) in
                [(at(100.0, 100.0), pedal), (pedal, saddle), (pedal, head), (saddle, head), (at(100.0, 100.0), saddle), (head, fork)]
            {
                canvas.line(from, to, (7.0 * size, 7.0 * size), paint);
            }
            canvas.line(head, at(318.0, 285.0), (6.0, 6.0), chrome);
            canvas.line(at(318.0, 285.0), at(360.0, 296.0), (7.0, 7.0), dark);
            canvas.rectangle(at(140.0, 262.0), at(216.0, 238.0), 12.0, hex(0x6b4226));
            canvas.disc(pedal, 24.0 * size, chrome);
            canvas.rectangle(at(375.0, 262.0), at(450.0, 200.0), 10.0, lit(hex(0xb98a52)));
            for flower in 0..7 {
                let colour = rng.pick(&[hex(0xf2789f), hex(0xffd24a), hex(0xf4f4f4), hex(0xb07ae0)]);
                canvas.disc(at(382.0 + 11.0 * flower as f32, 272.0 + rng.range(-6.0, 14.0)), 12.0 * size, colour);
            }
        }
    }
    let front = rng.noise();
    let verge = lit(hex(0x4f7434));
    let line = |x: f32| height - 46.0 + 34.0 * (front.layers(x / 10.0, 0.0, 2) - 0.5) - 26.0 * smooth(0.3, 0.9, front.at(x / 200.0, 4.0));
    canvas.fill_below(line, |x, _| scaled(verge, 0.8 + 0.35 * front.at(x / 6.0, 9.0)));
}
