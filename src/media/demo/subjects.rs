//! Pictures of somebody or something close: people, animals, flowers, cake, fruit. Flat shapes before a blurred background.

use super::{
    canvas::{Canvas, Colour, Point, gradient, hex, mix, scaled, smooth},
    noise::Rng,
};

/// Discs of light out of focus on a soft gradient.
fn bokeh(canvas: &mut Canvas, stops: &[Colour], rng: &mut Rng) {
    let (width, height) = (canvas.width(), canvas.height());
    let cloud = rng.noise();
    canvas.fill(|x, y| gradient(stops, y / height + 0.5 * (cloud.layers(x / 420.0, y / 420.0, 2) - 0.5)));
    for _ in 0..26 {
        let centre = (rng.unit() * width, rng.unit().powf(1.3) * height * 0.9);
        let (size, alpha) = (rng.range(22.0, 92.0), rng.range(0.1, 0.34));
        let colour = mix(gradient(stops, rng.unit()), [1.0, 0.97, 0.86], 0.6);
        canvas.ellipse_of(centre, (size, size), 0.0, 9.0, |_, _| (colour, alpha));
    }
    canvas.blur(4.0);
}

fn backdrop(canvas: &mut Canvas, rng: &mut Rng) {
    let stops = rng.pick(&[
        [0xbfd98a, 0x5f8f4a, 0x35603a],
        [0xf6c58a, 0xc9745a, 0x6a3f4e],
        [0xa8cfe8, 0x6f9fc4, 0x48688c],
        [0xe9d8c3, 0xb89a80, 0x7d6152],
        [0xd8c4e8, 0x9a7fb8, 0x5a4a7c],
        [0x2c3558, 0x4a4068, 0x7a5068],
    ]);
    bokeh(canvas, &stops.map(hex), rng);
}

/// A person who always looks the same, whatever they wear.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    skin: u32,
    hair: u32,
    /// 0 short, 1 long, 2 curls, 3 a bun, 4 white beard.
    style: u8,
    glasses: bool,
}

/// The family of the demo.
pub(super) const FAMILY: [Person; 6] = [
    Person { skin: 0xf0c8a4, hair: 0x5a3a22, style: 1, glasses: false },
    Person { skin: 0xe8b88f, hair: 0x2a2420, style: 0, glasses: true },
    Person { skin: 0xf6d2b4, hair: 0xd8a24a, style: 3, glasses: false },
    Person { skin: 0x9a6a48, hair: 0x1c1614, style: 2, glasses: false },
    Person { skin: 0xeec6a6, hair: 0xe6e2dc, style: 4, glasses: true },
    Person { skin: 0xd8a27a, hair: 0x7a2f1c, style: 1, glasses: true },
];

/// One or more people, looking at the camera.
pub(super) fn people(canvas: &mut Canvas, who: &[Person], rng: &mut Rng) {
    backdrop(canvas, rng);
    let (width, height) = (canvas.width(), canvas.height());
    let step = width / (who.len() as f32 + if who.len() > 1 { 0.6 } else { 0.0 });
    let size = (height / 1000.0).min(step / 560.0).min(1.5);
    for (index, person) in who.iter().enumerate() {
        let x = width / 2.0 + (index as f32 - (who.len() - 1) as f32 / 2.0) * step + rng.range(-12.0, 12.0);
        bust(canvas, *person, (x, height * rng.range(0.44, 0.5)), size * rng.range(0.94, 1.04), rng);
    }
}

fn bust(canvas: &mut Canvas, person: Person, head: Point, size: f32, rng: &mut Rng) {
    let at = |dx: f32, dy: f32| (head.0 + dx * size, head.1 + dy * size);
    let (skin, hair) = (hex(person.skin), hex(person.hair));
    let shirt = rng.pick(&[hex(0x2f5d8a), hex(0xc8473c), hex(0x3f7d58), hex(0xe2b13c), hex(0x6a4a8a), hex(0xe8e2d6), hex(0x38404c)]);
    if person.style == 1 {
        canvas.ellipse(at(0.0, 40.0), (182.0 * size, 250.0 * size), scaled(hair, 0.85));
    }
    if person.style == 3 {
        canvas.disc(at(20.0, -225.0), 66.0 * size, scaled(hair, 0.9));
    }
    canvas.ellipse(at(0.0, 640.0), (300.0 * size, 350.0 * size), shirt);
    canvas.rectangle(at(-58.0, 110.0), at(58.0, 318.0), 50.0 * size, scaled(skin, 0.86));
    canvas.ellipse(at(0.0, 318.0), (88.0 * size, 42.0 * size), scaled(skin, 0.9));
    for side in [-1.0, 1.0] {
        canvas.ellipse(at(side * 148.0, 12.0), (26.0 * size, 40.0 * size), scaled(skin, 0.88));
    }
    canvas.ellipse(at(0.0, 0.0), (150.0 * size, 190.0 * size), skin);
    match person.style {
        2 => {
            for curl in 0..13 {
                let (sin, cos) = (std::f32::consts::PI * (1.04 + 0.92 * curl as f32 / 12.0)).sin_cos();
                canvas.disc(at(cos * 150.0, sin * 172.0 - 8.0), 50.0 * size, scaled(hair, 1.0 + 0.25 * (curl % 2) as f32));
            }
        }
        4 => {
            canvas.paint(
                [at(-160.0, 0.0).0, at(0.0, 60.0).1, at(160.0, 0.0).0, at(0.0, 260.0).1],
                0.0,
                |x, y| {
                    let (dx, dy) = ((x - head.0) / size, (y - head.1) / size);
                    (((dx / 142.0).powi(2) + ((dy - 90.0) / 130.0).powi(2)).sqrt() - 1.0)
                        .max((66.0 + 30.0 * (dx / 140.0).abs() - dy) / 100.0)
                        * 100.0
                        * size
                },
                |_, y| (scaled(hair, 1.0 - 0.1 * ((y - head.1) / size / 250.0)), 1.0),
            );
            fringe(canvas, head, size, scaled(hair, 0.95), -118.0);
        }
        _ => fringe(canvas, head, size, hair, if person.style == 0 { -96.0 } else { -80.0 }),
    }
    let gaze = rng.range(-5.0, 5.0);
    for side in [-1.0, 1.0] {
        let eye = at(side * 56.0, -6.0);
        canvas.ellipse(eye, (25.0 * size, 17.0 * size), hex(0xfdfdfb));
        canvas.disc((eye.0 + gaze * size, eye.1), 13.0 * size, hex(0x4a3426));
        canvas.disc((eye.0 + (gaze + 4.0) * size, eye.1 - 4.0 * size), 4.0 * size, [1.0; 3]);
        canvas.line(at(side * 82.0, -42.0), at(side * 34.0, -48.0), (5.0 * size, 6.0 * size), scaled(hair, 0.8));
        let cheek = at(side * 84.0, 58.0);
        canvas.ellipse_of(cheek, (30.0 * size, 20.0 * size), 0.0, 22.0 * size, |_, _| (hex(0xe8796a), 0.35));
        if person.glasses {
            canvas.paint(
                [eye.0 - 60.0 * size, eye.1 - 60.0 * size, eye.0 + 60.0 * size, eye.1 + 60.0 * size],
                0.0,
                |x, y| (((x - eye.0).powi(2) + (y - eye.1).powi(2)).sqrt() - 42.0 * size).abs() - 4.0 * size,
                |_, _| (hex(0x2c2c30), 1.0),
            );
        }
    }
    if person.glasses {
        canvas.line(at(-15.0, -8.0), at(15.0, -8.0), (4.0 * size, 4.0 * size), hex(0x2c2c30));
    }
    canvas.line(at(2.0, 18.0), at(8.0, 50.0), (5.0 * size, 10.0 * size), scaled(skin, 0.84));
    let open = rng.chance(0.5);
    let smile = |dx: f32| 92.0 + 26.0 * (1.0 - (dx / 56.0).powi(2));
    let top = |dx: f32| if open { 94.0 } else { smile(dx) - 7.0 };
    canvas.paint(
        [at(-56.0, 0.0).0, at(0.0, 80.0).1, at(56.0, 0.0).0, at(0.0, 130.0).1],
        0.0,
        |x, y| {
            let (dx, dy) = ((x - head.0) / size, (y - head.1) / size);
            (top(dx) - dy).max(dy - smile(dx)).max(dx.abs() - 56.0) * size
        },
        |_, _| (if open { hex(0xf8f4ee) } else { hex(0x9a4038) }, 1.0),
    );
}

/// The hair above the forehead, down to `edge` in the middle.
fn fringe(canvas: &mut Canvas, head: Point, size: f32, hair: Colour, edge: f32) {
    let bounds = [head.0 - 165.0 * size, head.1 - 210.0 * size, head.0 + 165.0 * size, head.1 + 20.0 * size];
    let distance = |x: f32, y: f32| {
        let (dx, dy) = ((x - head.0) / size, (y - head.1) / size);
        let cap = (((dx / 160.0).powi(2) + ((dy + 6.0) / 200.0).powi(2)).sqrt() - 1.0) * 150.0;
        cap.max(dy - edge - 0.0042 * (dx - 40.0).powi(2)) * size
    };
    canvas.paint(bounds, 0.0, distance, |x, y| (scaled(hair, 1.0 + 0.16 * ((x - y) / (23.0 * size)).sin().abs()), 1.0));
}

/// Whose head is in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Animal {
    /// The family's cat.
    Cat,
    /// The family's dog.
    Dog,
    /// A fox in the snow or in leaves.
    Fox,
    /// A bear.
    Bear,
    /// A rabbit.
    Rabbit,
    /// An owl.
    Owl,
    /// A penguin.
    Penguin,
}

/// An animal's portrait.
pub(super) fn animal(canvas: &mut Canvas, kind: Animal, rng: &mut Rng) {
    backdrop(canvas, rng);
    let (width, height) = (canvas.width(), canvas.height());
    let size = (height.min(width) / 1000.0) * rng.range(0.92, 1.15);
    let head = (width * rng.range(0.42, 0.58), height * rng.range(0.46, 0.52));
    let at = |dx: f32, dy: f32| (head.0 + dx * size, head.1 + dy * size);
    let (fur, light, inner) = match kind {
        Animal::Cat => (hex(0xd98e48), hex(0xf8e6cc), hex(0xe8a8a0)),
        Animal::Dog => (hex(0xb8865a), hex(0xf2e2ca), hex(0x7a5238)),
        Animal::Fox => (hex(0xd9602a), hex(0xfaf2e8), hex(0x3a2420)),
        Animal::Bear => (hex(0x6a4630), hex(0xc8a27c), hex(0x9a6f50)),
        Animal::Rabbit => (hex(0xc9c2ba), hex(0xf8f4f0), hex(0xe8b4b4)),
        Animal::Owl => (hex(0x8a6a48), hex(0xe8d6b4), hex(0x5a4430)),
        Animal::Penguin => (hex(0x262c38), hex(0xf8f8f6), hex(0xf0a030)),
    };
    canvas.ellipse(at(0.0, 560.0), (290.0 * size, 360.0 * size), scaled(fur, 0.88));
    canvas.ellipse(at(0.0, 600.0), (170.0 * size, 310.0 * size), light);
    for side in [-1.0, 1.0] {
        match kind {
            Animal::Cat | Animal::Fox => {
                canvas.polygon(&[at(side * 60.0, -170.0), at(side * 215.0, -70.0), at(side * 205.0, -310.0)], fur);
                canvas.polygon(&[at(side * 105.0, -165.0), at(side * 188.0, -110.0), at(side * 188.0, -262.0)], inner);
            }
            Animal::Bear => {
                canvas.disc(at(side * 165.0, -175.0), 74.0 * size, fur);
                canvas.disc(at(side * 165.0, -175.0), 42.0 * size, inner);
            }
            Animal::Rabbit => {
                let turn = side * 0.16;
                canvas.ellipse_of(at(side * 88.0, -345.0), (58.0 * size, 215.0 * size), turn, 0.0, |_, _| (fur, 1.0));
                canvas.ellipse_of(at(side * 88.0, -335.0), (31.0 * size, 165.0 * size), turn, 0.0, |_, _| (inner, 1.0));
            }
            Animal::Owl => canvas.polygon(&[at(side * 70.0, -190.0), at(side * 205.0, -130.0), at(side * 198.0, -290.0)], fur),
            Animal::Dog | Animal::Penguin => {}
        }
    }
    canvas.ellipse(at(0.0, 0.0), (236.0 * size, 222.0 * size), fur);
    match kind {
        Animal::Fox | Animal::Penguin => {
            for side in [-1.0, 1.0] {
                canvas.ellipse(at(side * 92.0, 42.0), (118.0 * size, 136.0 * size), light);
            }
            if kind == Animal::Fox {
                canvas.polygon(&[at(-70.0, -120.0), at(70.0, -120.0), at(0.0, 130.0)], fur);
            }
        }
        Animal::Owl => {
            for side in [-1.0, 1.0] {
                canvas.disc(at(side * 96.0, -30.0), 112.0 * size, light);
                canvas.disc(at(side * 96.0, -30.0), 84.0 * size, scaled(light, 0.9));
            }
            for feather in 0..24 {
                let (row, column) = (feather / 6, feather % 6);
                let place = at(-140.0 + 56.0 * column as f32 + 28.0 * (row % 2) as f32, 330.0 + 62.0 * row as f32);
                canvas.ellipse(place, (24.0 * size, 30.0 * size), inner);
            }
        }
        Animal::Dog => {
            canvas.polygon(&[at(-46.0, -222.0), at(46.0, -222.0), at(60.0, 60.0), at(-60.0, 60.0)], light);
            for side in [-1.0, 1.0] {
                canvas.ellipse_of(at(side * 218.0, 10.0), (76.0 * size, 178.0 * size), side * 0.22, 0.0, |_, y| {
                    (scaled(inner, 1.1 - 0.2 * (y - head.1) / (200.0 * size)), 1.0)
                });
            }
        }
        Animal::Cat => {
            for stripe in [-1.0, 0.0, 1.0] {
                canvas.line(at(stripe * 46.0, -206.0), at(stripe * 30.0, -126.0), (12.0 * size, 5.0 * size), scaled(fur, 0.66));
            }
        }
        _ => {}
    }
    if !matches!(kind, Animal::Owl | Animal::Penguin) {
        canvas.ellipse(at(0.0, 96.0), (112.0 * size, 90.0 * size), light);
    }
    let iris = match kind {
        Animal::Cat => Some(hex(0x7fae4a)),
        Animal::Owl => Some(hex(0xf2a62a)),
        _ => None,
    };
    for side in [-1.0, 1.0] {
        let (eye, radius) = (at(side * 94.0, -30.0), if kind == Animal::Owl { 62.0 } else { 42.0 });
        if let Some(iris) = iris {
            canvas.disc(eye, radius * size, iris);
            let pupil = if kind == Animal::Cat { (15.0, 36.0) } else { (34.0, 34.0) };
            canvas.ellipse(eye, (pupil.0 * size, pupil.1 * size), hex(0x14100e));
        } else {
            canvas.disc(eye, 36.0 * size, hex(0x1c1412));
        }
        canvas.disc((eye.0 + 11.0 * size, eye.1 - 13.0 * size), 10.0 * size, [1.0; 3]);
        if kind == Animal::Cat || kind == Animal::Rabbit {
            for whisker in [-1.0, 0.0, 1.0] {
                canvas.line(
                    at(side * 70.0, 96.0 + 14.0 * whisker),
                    at(side * 290.0, 90.0 + 46.0 * whisker),
                    (2.0 * size, 1.0 * size),
                    hex(0xfaf6f0),
                );
            }
        }
    }
    let beak = matches!(kind, Animal::Owl | Animal::Penguin);
    let nose = if beak {
        hex(0xf0a030)
    } else if matches!(kind, Animal::Cat | Animal::Rabbit) {
        hex(0xd9827a)
    } else {
        hex(0x241a18)
    };
    let low = if beak { 112.0 } else { 92.0 };
    canvas.polygon(&[at(-36.0, 44.0), at(36.0, 44.0), at(0.0, low)], nose);
    if !beak {
        canvas.ellipse(at(0.0, 52.0), (38.0 * size, 18.0 * size), nose);
        canvas.line(at(0.0, 88.0), at(0.0, 122.0), (3.5 * size, 3.5 * size), scaled(nose, 0.7));
        for side in [-1.0, 1.0] {
            canvas.line(at(0.0, 122.0), at(side * 26.0, 136.0), (3.5 * size, 3.5 * size), scaled(nose, 0.7));
            canvas.line(at(side * 26.0, 136.0), at(side * 56.0, 120.0), (3.5 * size, 2.5 * size), scaled(nose, 0.7));
        }
        if kind == Animal::Dog && rng.chance(0.7) {
            canvas.rectangle(at(-26.0, 130.0), at(26.0, 200.0), 26.0 * size, hex(0xe8788a));
        }
    }
    if matches!(kind, Animal::Cat | Animal::Dog) {
        let collar = rng.pick(&[hex(0xc8382c), hex(0x2c6fb0), hex(0x3f8f5a)]);
        canvas.line(at(-140.0, 214.0), at(140.0, 214.0), (17.0 * size, 17.0 * size), collar);
        canvas.disc(at(0.0, 240.0), 22.0 * size, hex(0xe8c04a));
    }
}

/// One blossom, close.
pub(super) fn flower(canvas: &mut Canvas, rng: &mut Rng) {
    bokeh(
        canvas,
        &rng.pick(&[[0xc8e09a, 0x6f9f50, 0x2f5a34], [0xe6f0c8, 0x8fb87a, 0x3f6f4a], [0xf4e0c8, 0x9ab070, 0x4a6a3a]]).map(hex),
        rng,
    );
    let (width, height) = (canvas.width(), canvas.height());
    for (index, far) in [0.75_f32, 0.5, 0.0].into_iter().enumerate() {
        let size = (1.0 - 0.45 * far) * rng.range(0.85, 1.1);
        let centre =
            (width * [0.2, 0.82, 0.5][index] + rng.range(-60.0, 60.0), height * [0.32, 0.36, 0.46][index] + rng.range(-30.0, 30.0));
        canvas.line(centre, (centre.0 + rng.range(-90.0, 90.0), height + 60.0), (13.0 * size, 17.0 * size), hex(0x4f7f3a));
        blossom(canvas, centre, 300.0 * size, rng);
        canvas.blur(13.0 * far);
    }
}

fn blossom(canvas: &mut Canvas, centre: Point, reach: f32, rng: &mut Rng) {
    let (petal, core) = rng.pick(&[
        (0xf48fb1, 0xf6d25a),
        (0xfafaf4, 0xf2b632),
        (0xf2a93b, 0x6a3f1c),
        (0x9b7fe0, 0xf6e27a),
        (0xe8483f, 0x2a1a1c),
        (0x7fb2f0, 0xfff0b0),
    ]);
    let (petal, core) = (hex(petal), hex(core));
    let count = 8 + rng.below(9);
    let start = rng.unit();
    for ring in 0..2 {
        for index in 0..count {
            let turn = std::f32::consts::TAU * (index as f32 + 0.5 * ring as f32) / count as f32 + start;
            let length = reach * (1.0 - 0.26 * ring as f32);
            let (sin, cos) = turn.sin_cos();
            let middle = (centre.0 + cos * length * 0.58, centre.1 + sin * length * 0.58 * 0.88);
            let tone = rng.range(0.86, 1.04) * (0.86 + 0.14 * ring as f32);
            canvas.ellipse_of(middle, (length * 0.44, length * 2.1 / count as f32), turn, 0.0, |x, y| {
                let out = ((x - centre.0).powi(2) + (y - centre.1).powi(2)).sqrt() / length;
                (mix(scaled(petal, 0.72 * tone), scaled(petal, 1.04 * tone), smooth(0.1, 0.8, out)), 1.0)
            });
        }
    }
    canvas.ellipse(centre, (reach * 0.25, reach * 0.22), core);
    for seed in 0..70 {
        let (turn, out) = (seed as f32 * 2.4, reach * 0.235 * (seed as f32 / 70.0).sqrt());
        canvas.disc((centre.0 + turn.cos() * out, centre.1 + turn.sin() * out * 0.88), reach * 0.013, scaled(core, 0.72));
    }
}

/// A birthday cake with candles.
pub(super) fn cake(canvas: &mut Canvas, candles: usize, rng: &mut Rng) {
    bokeh(
        canvas,
        &rng.pick(&[[0x3a2a48, 0x6a3f58, 0x8a5a4a], [0x24304e, 0x4a4a70, 0x7a5a5a], [0xf0d6c0, 0xd8a890, 0xa8705c]]).map(hex),
        rng,
    );
    let (width, height) = (canvas.width(), canvas.height());
    let (x, table) = (width / 2.0, height * 0.82);
    canvas.fill_below(|_| table - 30.0, |px, _| scaled(hex(0xa87850), 0.9 + 0.12 * (px / 47.0).sin() * (px / 13.0).sin()));
    canvas.ellipse(((x), table), (330.0, 52.0), hex(0xf2f2f4));
    let (dough, icing) = rng.pick(&[(0xd9a066, 0xfff2e2), (0x6a4028, 0xf6c8d4), (0xe8c48a, 0xbfe3d8), (0x7a4a30, 0xfff6ea)]);
    for (half, foot, tall) in [(250.0, table - 8.0, 150.0), (170.0, table - 140.0, 125.0)] {
        canvas.ellipse((x, foot), (half, half * 0.15), scaled(hex(dough), 0.7));
        canvas.rectangle((x - half, foot - tall), (x + half, foot), 0.0, hex(dough));
        canvas.rectangle((x - half, foot - tall * 0.56), (x + half, foot - tall * 0.44), 0.0, hex(icing));
        canvas.ellipse((x, foot - tall), (half, half * 0.16), hex(icing));
        for drop in 0..11 {
            let place = x - half + half * 2.0 * (drop as f32 + 0.5) / 11.0;
            canvas.line((place, foot - tall), (place, foot - tall + rng.range(16.0, 56.0)), (half * 0.09, half * 0.075), hex(icing));
        }
        for _ in 0..24 {
            let colour = rng.pick(&[hex(0xe8483f), hex(0x3a8fd0), hex(0xf2c23a), hex(0x4fae6a), hex(0xc060c0)]);
            canvas.disc((x + rng.range(-0.92, 0.92) * half, foot - rng.range(0.05, 0.4) * tall), 5.0, colour);
        }
    }
    for candle in 0..candles {
        let place = x - 125.0 + 250.0 * (candle as f32 + 0.5) / candles as f32;
        let foot = table - 268.0 + 12.0 * (candle % 2) as f32;
        canvas.rectangle(
            (place - 6.0, foot - 80.0),
            (place + 6.0, foot),
            3.0,
            rng.pick(&[hex(0xf47a8a), hex(0x6fb8e8), hex(0xf6d25a), hex(0x9ad08a)]),
        );
        canvas.glow((place, foot - 100.0), 130.0, hex(0xffb840), 0.55);
        canvas.ellipse((place, foot - 98.0), (8.0, 19.0), hex(0xffd86a));
        canvas.ellipse((place, foot - 93.0), (4.0, 10.0), hex(0xfffbe8));
    }
}

/// A table from above: plates, fruit, a cup.
pub(super) fn table(canvas: &mut Canvas, rng: &mut Rng) {
    let (width, height) = (canvas.width(), canvas.height());
    let grain = rng.noise();
    let wood = rng.pick(&[hex(0x9a6b42), hex(0xc8a070), hex(0x5a4032), hex(0xd8d2c8)]);
    canvas.fill(|x, y| {
        let board = (y / 165.0).floor();
        let seam = smooth(0.0, 3.5, (y / 165.0 - board) * 165.0);
        let vein = grain.layers(x / 240.0 + board * 31.0, y / 11.0, 4);
        scaled(wood, (0.82 + 0.32 * vein) * (0.55 + 0.45 * seam) * (0.96 + 0.05 * (board * 2.3).sin()))
    });
    let mut places: Vec<(Point, f32)> = Vec::new();
    for attempt in 0..60 {
        let radius = if places.is_empty() { 235.0 } else { rng.range(95.0, 190.0) };
        let place = (rng.range(0.08, 0.92) * width, rng.range(0.1, 0.9) * height);
        if places.len() < 7 && places.iter().all(|(other, reach)| (other.0 - place.0).hypot(other.1 - place.1) > reach + radius + 14.0) {
            places.push((place, radius));
            dish(canvas, place, radius, attempt % 4, rng);
        }
    }
}

fn dish(canvas: &mut Canvas, centre: Point, radius: f32, what: usize, rng: &mut Rng) {
    let (x, y) = centre;
    canvas.ellipse_of((x + 12.0, y + 18.0), (radius, radius), 0.0, 34.0, |_, _| ([0.05, 0.03, 0.02], 0.5));
    let china = rng.pick(&[hex(0xf6f4ee), hex(0xdfe8ea), hex(0xe8dccb), hex(0x35506a)]);
    canvas.disc(centre, radius, china);
    canvas.disc(centre, radius * 0.74, scaled(china, 0.93));
    match what {
        0 => {
            for index in 0..9 {
                let (sin, cos) = (index as f32 * 2.4).sin_cos();
                let out = radius * 0.5 * (index as f32 / 9.0).sqrt();
                let fruit = rng.pick(&[hex(0xd8382c), hex(0xf2a02a), hex(0x8fb83a), hex(0x7a2f5a), hex(0xf2d24a)]);
                let place = (x + cos * out, y + sin * out);
                canvas.disc(place, radius * 0.2, fruit);
                canvas.glow((place.0 - radius * 0.06, place.1 - radius * 0.07), radius * 0.12, [1.0; 3], 0.6);
            }
        }
        1 => {
            canvas.disc(centre, radius * 0.62, hex(0x4a2c1c));
            canvas.disc(centre, radius * 0.56, hex(0xb98a5c));
            canvas.ellipse_of((x, y), (radius * 0.2, radius * 0.34), 0.5, 6.0, |_, _| (hex(0xf4e6d0), 0.95));
            canvas.line((x + radius * 0.98, y), (x + radius * 1.25, y), (radius * 0.1, radius * 0.1), china);
        }
        2 => {
            canvas.disc(centre, radius * 0.7, hex(0xd8984a));
            canvas.disc(centre, radius * 0.62, hex(0xc8402c));
            let cheese = rng.noise();
            canvas.ellipse_of(centre, (radius * 0.6, radius * 0.6), 0.0, 5.0, |px, py| {
                (hex(0xf6d98a), smooth(0.4, 0.6, cheese.layers(px / 46.0, py / 46.0, 3)))
            });
            for _ in 0..8 {
                let (turn, out) = (rng.range(0.0, 6.3), radius * rng.range(0.1, 0.5));
                let leaf = rng.pick(&[hex(0x3a7a3a), hex(0x2a2226), hex(0xa8302a)]);
                canvas.ellipse((x + turn.cos() * out, y + turn.sin() * out), (radius * 0.075, radius * 0.06), leaf);
            }
            for cut in 0..4 {
                let (sin, cos) = (cut as f32 * 0.785).sin_cos();
                canvas.line(
                    (x - cos * radius * 0.7, y - sin * radius * 0.7),
                    (x + cos * radius * 0.7, y + sin * radius * 0.7),
                    (1.5, 1.5),
                    hex(0x7a4a24),
                );
            }
        }
        _ => {
            for index in 0..26 {
                let (sin, cos) = (index as f32 * 2.4).sin_cos();
                let out = radius * 0.58 * (index as f32 / 26.0).sqrt();
                let leaf = rng.pick(&[hex(0x5f9f3a), hex(0x8fc05a), hex(0x3f7a34), hex(0xe04a3a), hex(0xf2e2b0)]);
                canvas.ellipse_of((x + cos * out, y + sin * out), (radius * 0.19, radius * 0.1), index as f32 * 1.3, 3.0, |_, _| {
                    (leaf, 0.95)
                });
            }
        }
    }
}
