//! The two little networks of `tests/reference/`, trained on drawn scenes: the whole path from a file of weights to an answer that can be judged.
//! Words find the pictures they describe, a click selects the shape under it. Scenes are drawn here, not those of the training.

mod end_to_end;

use std::path::{Path, PathBuf};

use candle_core::Device;
use hm::{
    infer::{
        Rgb8,
        engine::{PictureEmbedder, Segmenter, WordEncoder},
        manifest::Provenance,
        sam::{PromptPoint, Prompts},
        shelf::{Shelf, Shelved, Use},
    },
    models::vision::{BoundingBox, Mask},
};

use crate::support::{
    scenes::{COLOURS, Drawn, SHAPES, Scene, phrase},
    temp_dir,
};

/// The folder of one of the two, as `hm models import` takes it; a test without it says so and passes.
fn weights(network: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/weights").join(network);
    if folder.join("model.safetensors").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: there is no {}; tests/reference/train.sh makes it", folder.display());
    None
}

/// Imports one of them, as a person would.
fn imported(shelf: &Shelf, network: &str) -> Option<Shelved> {
    let provenance =
        Provenance { name: Some(format!("scenes-{network}")), licence: Some("GPL-3.0-or-later".into()), source: "tests".into() };
    Some(shelf.import(&weights(network)?, None, &provenance).unwrap().shelved().clone())
}

fn picture(drawn: &Drawn) -> Rgb8<'_> {
    Rgb8 { width_px: drawn.width_px, height_px: drawn.height_px, bytes: &drawn.rgb }
}

/// Twice each colour, shape and number, and 60 of two kinds: wide, upright and square.
fn library() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for _ in 0..2 {
        for (colour, _) in COLOURS {
            for (shape, _) in SHAPES {
                for count in 1..=3 {
                    scenes.push(Scene::of(&[(colour, shape, count)], scenes.len() as u64));
                }
            }
        }
    }
    for number in 0..60_usize {
        let kind = |step: usize| (COLOURS[(number + step) % 6].0, SHAPES[(number / 6 + 2 * step) % 3].0);
        let ((colour, shape), (other_colour, other_shape)) = (kind(0), kind(1 + number % 4));
        let (count, other_count) = [(1, 1), (1, 2), (2, 1)][number % 3];
        scenes.push(Scene::of(&[(colour, shape, count), (other_colour, other_shape, other_count)], 5000 + number as u64));
    }
    scenes
}

fn size_of(number: usize) -> (u32, u32) {
    [(240, 180), (180, 240), (200, 200)][number % 3]
}

/// The scenes by falling likeness to the words.
fn ranked(pictures: &[Vec<f32>], words: &[f32]) -> Vec<usize> {
    let likeness = |picture: &[f32]| picture.iter().zip(words).map(|(a, b)| a * b).sum::<f32>();
    let mut order: Vec<usize> = (0..pictures.len()).collect();
    order.sort_by(|&a, &b| likeness(&pictures[b]).total_cmp(&likeness(&pictures[a])));
    order
}

#[test]
fn words_find_the_scenes_they_describe() {
    let dir = temp_dir();
    let shelf = Shelf::new(dir.path());
    let Some(clip) = imported(&shelf, "clip") else { return };
    assert_eq!(shelf.choose(Use::Embed, "").unwrap().unwrap().manifest.name, clip.manifest.name);
    clip.manifest.verify(&clip.folder).unwrap();
    let (eyes, reader) = (PictureEmbedder::open(&clip, &Device::Cpu).unwrap(), WordEncoder::open(&clip).unwrap());

    let scenes = library();
    let mut pictures = Vec::new();
    for (chunk, part) in scenes.chunks(16).enumerate() {
        let drawn: Vec<Drawn> = part
            .iter()
            .enumerate()
            .map(|(at, scene)| {
                let (width, height) = size_of(16 * chunk + at);
                scene.draw(width, height)
            })
            .collect();
        pictures.extend(eyes.embed(&drawn.iter().map(picture).collect::<Vec<_>>()).unwrap());
    }
    assert!(pictures.iter().all(|picture| picture.len() == eyes.dimensions()));

    let (mut asked, mut first_right, mut right, mut wanted) = (0, 0, 0, 0);
    for (colour, _) in COLOURS {
        for (shape, _) in SHAPES {
            for count in 1..=3 {
                let words = phrase(colour, shape, count);
                let is_right = |&scene: &usize| scenes[scene].counts().get(&(colour, shape)) == Some(&count);
                let there = (0..scenes.len()).filter(|scene| is_right(scene)).count();
                let order = ranked(&pictures, &reader.embed(&words).unwrap());
                let found = order[..there].iter().filter(|scene| is_right(scene)).count();
                (asked, wanted, right) = (asked + 1, wanted + there, right + found);
                first_right += usize::from(is_right(&order[0]));
                if words == "two red circles" {
                    assert!(
                        is_right(&order[0]) && is_right(&order[1]),
                        "{words}: {:?}",
                        order[..5].iter().map(|&scene| scenes[scene].caption()).collect::<Vec<_>>()
                    );
                }
            }
        }
    }
    let (first, all) = (first_right as f64 / asked as f64, right as f64 / wanted as f64);
    eprintln!(
        "{asked} questions to {} scenes: the first answer is right {first:.3}, of all right ones found in time {all:.3}",
        scenes.len()
    );
    assert!(first > 0.9, "the first answer is right to only {first:.3} of the questions");
    assert!(all >= 0.85, "only {all:.3} of the right scenes come before the first wrong places are taken");
}

#[test]
fn other_words_for_the_same_find_the_same() {
    let dir = temp_dir();
    let Some(clip) = imported(&Shelf::new(dir.path()), "clip") else { return };
    let reader = WordEncoder::open(&clip).unwrap();
    let of = |words: &str| reader.embed(words).unwrap();
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let plain = of("two red circles");
    let length = cosine(&plain, &plain);
    assert!((length - 1.0).abs() < 1e-3, "{length}");
    for same in ["a photo of two red circles", "Two RED circles", "2 red circles", "a photo of two red circles zzz"] {
        let nearest =
            ["three red circles", "two blue circles", "two red squares", "a red circle"].map(|other| cosine(&of(same), &of(other)));
        let likeness = cosine(&of(same), &plain);
        assert!(nearest.iter().all(|&other| other < likeness), "{same}: {likeness} and {nearest:?}");
    }
}

/// What a click, a box or both select in a picture.
fn selected(segmenter: &Segmenter, drawn: &Drawn, prompts: &[Prompts]) -> Vec<(Mask, f32)> {
    let embedding = segmenter.embed(&picture(drawn)).unwrap();
    let one = |prompts: &Prompts| {
        let mut masks = segmenter.masks(&embedding, prompts).unwrap();
        assert_eq!(masks.len(), 1, "one object is one mask");
        let mask = masks.pop().unwrap();
        (mask.mask, mask.score)
    };
    prompts.iter().map(one).collect()
}

fn click((x_px, y_px): (f32, f32)) -> Prompts {
    Prompts { points: vec![PromptPoint { x_px, y_px, is_foreground: true }], ..Prompts::default() }
}

#[test]
fn a_click_selects_the_shape_under_it() {
    let dir = temp_dir();
    let shelf = Shelf::new(dir.path());
    let Some(sam) = imported(&shelf, "sam") else { return };
    assert_eq!(shelf.choose(Use::Segment, "").unwrap().unwrap().manifest.name, sam.manifest.name);
    let segmenter = Segmenter::open(&sam, &Device::Cpu).unwrap();
    let (mut overlaps, mut boxed) = (Vec::new(), Vec::new());
    for (number, scene) in library().iter().enumerate().filter(|(number, _)| number % 11 == 0) {
        let (width, height) = [(640, 480), (480, 640), (500, 500)][number / 11 % 3];
        let drawn = scene.draw(width, height);
        let truths: Vec<Mask> = drawn.masks.iter().map(|bitmap| Mask::of_bitmap(width, height, bitmap).unwrap()).collect();
        let clicks: Vec<Prompts> = scene.things.iter().map(|thing| click(scene.middle_px(thing, width, height))).collect();
        for ((thing, truth), (mask, score)) in scene.things.iter().zip(&truths).zip(selected(&segmenter, &drawn, &clicks)) {
            let overlap = mask.iou(truth).unwrap();
            assert!(
                overlap > 0.5,
                "scene {number}, {}: a click on the {} {} selects {overlap:.2} of it, by its own word {score:.2}",
                scene.caption(),
                thing.colour,
                thing.shape
            );
            overlaps.push(overlap);
        }
        let boxes: Vec<Prompts> =
            truths.iter().map(|truth| Prompts { boxes: vec![truth.bounds().unwrap()], ..Prompts::default() }).collect();
        boxed.extend(truths.iter().zip(selected(&segmenter, &drawn, &boxes)).map(|(truth, (mask, _))| mask.iou(truth).unwrap()));
    }
    let mean = |overlaps: &[f64]| overlaps.iter().sum::<f64>() / overlaps.len() as f64;
    let good = overlaps.iter().filter(|&&overlap| overlap > 0.8).count() as f64 / overlaps.len() as f64;
    eprintln!("{} clicks: overlap {:.3}, above 0.8 {good:.3}; boxes: {:.3}", overlaps.len(), mean(&overlaps), mean(&boxed));
    assert!(mean(&overlaps) > 0.85 && good >= 0.9, "{} of the clicks are good, {} on average", good, mean(&overlaps));
    assert!(mean(&boxed) > 0.8, "boxes: {}", mean(&boxed));
}

#[test]
fn a_click_elsewhere_selects_something_else() {
    let dir = temp_dir();
    let Some(sam) = imported(&Shelf::new(dir.path()), "sam") else { return };
    let segmenter = Segmenter::open(&sam, &Device::Cpu).unwrap();
    let scene = Scene::of(&[("red", "circle", 1), ("blue", "triangle", 1)], 11);
    let drawn = scene.draw(640, 480);
    let clicks: Vec<Prompts> = scene.things.iter().map(|thing| click(scene.middle_px(thing, 640, 480))).collect();
    let masks = selected(&segmenter, &drawn, &clicks);
    assert!(masks[0].0.iou(&masks[1].0).unwrap() < 0.05, "both clicks select the same");
    let around = BoundingBox { left_px: 0.0, top_px: 0.0, right_px: 640.0, bottom_px: 480.0 };
    assert!(
        masks.iter().all(|(mask, _)| mask.bounds().unwrap().area_px() < around.area_px() / 4.0),
        "a click selects no more than a shape"
    );
}
