//! The engine on imported networks: vectors, regions and masks, alone as in a batch, prepared apart as in one go.

use std::path::Path;

use hm::{
    infer::{
        Rgb8,
        engine::{Detector, Device, PictureEmbedder, Segmenter, WordEncoder},
        manifest::Provenance,
        sam::{ImageEmbedding, MaskChoice, PromptPoint, Prompts},
        shelf::{Shelf, Shelved},
    },
    models::task::Answer,
};

use crate::{
    infer::shared,
    support::{networks, temp_dir},
};

/// A shelf in a folder that goes with it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: temp_dir() }
    }

    fn import(&self, path: &Path) -> Shelved {
        let imported = Shelf::new(&self.dir.path().join("models")).import(path, None, &Provenance::default());
        imported.unwrap().shelved().clone()
    }

    fn clip(&self) -> Shelved {
        let folder = self.dir.path().join("clip");
        networks::clip(&folder, 1);
        std::fs::write(folder.join("tokenizer.json"), networks::tokenizer()).unwrap();
        self.import(&folder)
    }

    fn yolo(&self) -> Shelved {
        networks::yolo(self.dir.path(), "yolo.safetensors", 2);
        self.import(&self.dir.path().join("yolo.safetensors"))
    }

    fn sam(&self) -> Shelved {
        networks::mobile_sam(&self.dir.path().join("sam"), 3);
        self.import(&self.dir.path().join("sam"))
    }

    fn dinov2(&self) -> Shelved {
        networks::dinov2(&self.dir.path().join("dino"), 4);
        self.import(&self.dir.path().join("dino"))
    }
}

/// A picture of stripes that no other width, height or seed has.
fn picture(width: u32, height: u32, seed: u32) -> Vec<u8> {
    (0..width * height * 3).map(|at| ((at * 7 + at / width * seed * 13) % 251) as u8).collect()
}

fn rgb(width_px: u32, height_px: u32, bytes: &[u8]) -> Rgb8<'_> {
    Rgb8 { width_px, height_px, bytes }
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn pictures_and_words_get_vectors_of_one_space() {
    let place = Place::new();
    let shelved = place.clip();
    let embedder = PictureEmbedder::open(&shelved, &Device::Cpu).unwrap();
    let (one, two) = (picture(90, 60, 1), picture(33, 70, 2));
    let pictures = [rgb(90, 60, &one), rgb(33, 70, &two)];
    let together = embedder.embed(&pictures).unwrap();
    assert_eq!((together.len(), together[0].len(), embedder.dimensions()), (2, 16, 16));
    assert!(together.iter().all(|vector| (length(vector) - 1.0).abs() < 1e-5));
    assert!(difference(&together[0], &together[1]) > 1e-3, "two pictures are two vectors");
    for (picture, in_batch) in pictures.iter().zip(&together) {
        // Prepared by another thread, and alone.
        let prepared = std::thread::scope(|scope| scope.spawn(|| embedder.prepare(picture).unwrap()).join().unwrap());
        assert_eq!((prepared.input_px(), prepared.bytes()), ((32, 32), 4 * 3 * 32 * 32));
        let alone = embedder.run(&[prepared]).unwrap();
        assert!(difference(&alone[0], in_batch) < 1e-6);
    }
    assert_eq!(embedder.run(&[]).unwrap(), Vec::<Vec<f32>>::new());
    assert!(embedder.prepare(&rgb(90, 61, &one)).is_err());

    let words = WordEncoder::open(&shelved).unwrap();
    let vector = words.embed("a red truck in snow").unwrap();
    assert_eq!(vector.len(), embedder.dimensions());
    assert!((length(&vector) - 1.0).abs() < 1e-5);
    assert_eq!(vector, words.embed("  A Red truck in snow ").unwrap());
    assert!(difference(&vector, &words.embed("snow").unwrap()) > 1e-3);
    // Longer than the network reads, and words that nobody knows.
    assert!((length(&words.embed(&"truck ".repeat(500)).unwrap()) - 1.0).abs() < 1e-5);
    words.embed("日本語 🎉 \u{0}").unwrap();
    assert!(words.embed(" \n").unwrap_err().to_string().contains("no words"));
}

#[test]
fn single_things_get_vectors_too_and_no_words() {
    let place = Place::new();
    let shelved = place.dinov2();
    let embedder = PictureEmbedder::open(&shelved, &Device::Cpu).unwrap();
    let bytes = picture(40, 30, 3);
    let vectors = embedder.embed(&[rgb(40, 30, &bytes)]).unwrap();
    assert_eq!((vectors[0].len(), embedder.dimensions()), (24, 24));
    assert!((length(&vectors[0]) - 1.0).abs() < 1e-5);
    let error = WordEncoder::open(&shelved).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("reads no words") && error.contains("recognising"), "{error}");
}

#[test]
fn regions_are_in_the_pictures_own_pixels_the_surest_first() {
    let place = Place::new();
    let shelved = place.yolo();
    let detector = Detector::open(&shelved, &Device::Cpu).unwrap();
    assert!(detector.makes_masks());
    assert_eq!(detector.classes(), ["class 0", "class 1", "class 2"]);
    let (one, two, three) = (picture(96, 60, 1), picture(40, 96, 2), picture(48, 30, 3));
    let pictures = [rgb(96, 60, &one), rgb(40, 96, &two), rgb(48, 30, &three)];
    let together = detector.detect(&pictures).unwrap();
    assert_eq!(together.len(), 3);
    for (picture, answer) in pictures.iter().zip(&together) {
        let Answer::Regions { width_px, height_px, regions } = answer else { panic!("{answer:?}") };
        assert_eq!((*width_px, *height_px), (picture.width_px, picture.height_px));
        assert!(regions.is_sorted_by(|a, b| a.score >= b.score));
        for found in regions {
            let bounds = &found.bounds;
            assert!(bounds.left_px >= 0.0 && bounds.right_px <= picture.width_px as f32 + 0.01, "{bounds:?}");
            assert!(bounds.top_px >= 0.0 && bounds.bottom_px <= picture.height_px as f32 + 0.01, "{bounds:?}");
            assert!((0.25..=1.0).contains(&found.score));
            if let Some(mask) = &found.mask {
                assert_eq!((mask.width_px(), mask.height_px()), (picture.width_px, picture.height_px));
                let around = mask.bounds().unwrap();
                assert!(around.left_px + 1.0 >= bounds.left_px && around.right_px <= bounds.right_px + 1.0, "{around:?} in {bounds:?}");
            }
        }
    }
    assert_eq!(detector.detect(&pictures[1..2]).unwrap()[0], together[1], "alone as in a batch");
    let found: usize = together.iter().map(|answer| if let Answer::Regions { regions, .. } = answer { regions.len() } else { 0 }).sum();
    println!("{found} regions on stripes");
    assert!(found > 0, "nothing was looked at");
    assert_eq!(detector.run(&[]).unwrap(), []);

    // What was prepared for another kind of network is refused, and so is another use.
    let embedder = PictureEmbedder::open(&place.clip(), &Device::Cpu).unwrap();
    let bytes = picture(64, 64, 1);
    assert!(detector.run(&[embedder.prepare(&rgb(64, 64, &bytes)).unwrap()]).is_err());
    assert!(embedder.run(&[detector.prepare(&rgb(64, 64, &bytes)).unwrap()]).is_err());
    let error = PictureEmbedder::open(&shelved, &Device::Cpu).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("makes no vectors") && error.contains("finding things"), "{error}");
}

#[test]
fn a_picture_is_embedded_once_and_asked_again_and_again() {
    let place = Place::new();
    let shelved = place.sam();
    assert_eq!(shelved.lane(), None);
    let segmenter = Segmenter::open(&shelved, &Device::Cpu).unwrap();
    let bytes = picture(90, 60, 5);
    let embedding = segmenter.embed(&rgb(90, 60, &bytes)).unwrap();
    let point = PromptPoint { x_px: 40.0, y_px: 30.0, is_foreground: true };
    let prompts = Prompts { points: vec![point], choice: MaskChoice::All, ..Prompts::default() };
    let masks = segmenter.masks(&embedding, &prompts).unwrap();
    assert_eq!(masks.len(), 3);
    assert!(masks.iter().all(|mask| (mask.mask.width_px(), mask.mask.height_px()) == (90, 60)));
    // From a cache, in half precision.
    let kept = ImageEmbedding::of_bytes(&embedding.to_bytes().unwrap(), segmenter.device()).unwrap();
    assert_eq!(segmenter.masks(&kept, &prompts).unwrap().len(), 3);
    assert!(segmenter.masks(&embedding, &Prompts::default()).is_err());
    assert!(Segmenter::open(&place.yolo(), &Device::Cpu).is_err());
}

#[test]
fn trained_weights_find_the_bus() {
    let (Some(weights), Some(photo)) = (shared("weights/yolo/yolov8n-seg_from_int8.safetensors"), shared("weights/photos/bus.jpg")) else {
        return;
    };
    let place = Place::new();
    let detector = Detector::open(&place.import(&weights), &Device::Cpu).unwrap();
    assert_eq!((detector.classes().len(), detector.classes()[5].as_str()), (80, "bus"));
    let decoded = turbojpeg::decompress(&std::fs::read(photo).unwrap(), turbojpeg::PixelFormat::RGB).unwrap();
    let answers = detector.detect(&[rgb(decoded.width as u32, decoded.height as u32, &decoded.pixels)]).unwrap();
    let Answer::Regions { regions, .. } = &answers[0] else { panic!("{answers:?}") };
    let bus = regions.iter().find(|found| found.label == "bus").unwrap();
    assert!(bus.score > 0.8, "{}", bus.score);
    let share = bus.mask.as_ref().unwrap().area_px() as f32 / bus.bounds.area_px();
    assert!((0.5..0.95).contains(&share), "its mask fills {share} of its box");
    assert!(regions.iter().filter(|found| found.label == "person").count() >= 3);
}
