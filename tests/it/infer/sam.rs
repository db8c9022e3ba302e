//! SAM, MobileSAM and SAM 2 against the reference implementations' numbers, and what holds whatever the weights are.
//!
//! The goldens are not part of the repository: where they are missing, their tests say so and pass. Everything else runs on
//! networks with weights from a seed.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use hm::{
    infer::Rgb8,
    infer::sam::{
        DecoderConfig, EncoderConfig, Features, FineMaps, ImageEmbedding, InputPoint, MaskChoice, Naming, PointLabel, Predictor,
        PromptPoint, Prompts, SamConfig, SamNetwork, TinyVitConfig, VitConfig,
    },
    infer::sam2::HieraConfig,
    models::vision::BoundingBox,
};

use super::shared;

/// What the goldens' README allows for embeddings, masks and scores alike.
const TOLERANCE: f32 = 1e-4;

/// A folder of goldens, where they are.
fn goldens(case: &str) -> Option<PathBuf> {
    shared(&format!("goldens/{case}"))
}

fn tensors(path: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

/// The greatest difference between two tensors of one shape.
fn difference(got: &Tensor, expected: &Tensor) -> f32 {
    assert_eq!(got.dims(), expected.dims());
    let difference = (got.to_dtype(DType::F32).unwrap() - expected).unwrap().abs().unwrap();
    difference
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap()
        .into_iter()
        .fold(0.0, |most, x| if x > most || x.is_nan() { x } else { most })
}

fn channels_last(x: &Tensor) -> Tensor {
    x.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()
}

fn channels_first(x: &Tensor) -> Tensor {
    x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap()
}

/// Points and boxes of a prompt of the goldens, in px of the input.
fn prompt(golden: &HashMap<String, Tensor>, name: &str) -> (Vec<InputPoint>, Vec<[f32; 4]>) {
    let numbers = |key: &str| {
        golden.get(&format!("in.{name}.{key}")).map(|x| x.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap())
    };
    let labels = numbers("input_labels").unwrap_or_default();
    let points = numbers("input_points").unwrap_or_default();
    let points = points
        .chunks(2)
        .zip(labels)
        .map(|(place, label)| (place[0], place[1], if label == 1.0 { PointLabel::Foreground } else { PointLabel::Background }))
        .collect();
    let boxes =
        numbers("input_boxes").unwrap_or_default().chunks(4).map(|corners| [corners[0], corners[1], corners[2], corners[3]]).collect();
    (points, boxes)
}

/// Compares every prompt of a golden file; returns the greatest error of masks and of scores.
fn check_prompts(network: &SamNetwork, features: &Features, golden: &HashMap<String, Tensor>) -> (f32, f32) {
    let (mut mask_error, mut score_error) = (0.0_f32, 0.0_f32);
    for name in ["point1", "points_fg_bg", "box", "box_point"] {
        let (points, boxes) = prompt(golden, name);
        let decoded = network.decode(features, &points, &boxes, None).unwrap();
        let scores = decoded.scores.to_vec2::<f32>().unwrap();
        let single =
            network.single_token(&scores[0], &decoded.masks.get(0).unwrap().get(0).unwrap().flatten_all().unwrap().to_vec1().unwrap());
        for (kind, first, count) in [("multi", 1, 3), ("single", single, 1)] {
            let masks = decoded.masks.narrow(1, first, count).unwrap().unsqueeze(0).unwrap();
            let error = difference(&masks, &golden[&format!("{name}.{kind}.low_res_masks")]);
            let scores = decoded.scores.narrow(1, first, count).unwrap().unsqueeze(0).unwrap();
            let iou = difference(&scores, &golden[&format!("{name}.{kind}.iou")]);
            println!("{name}.{kind} (token {first}): masks {error:.1e}, scores {iou:.1e}");
            mask_error = mask_error.max(error);
            score_error = score_error.max(iou);
            if let Some(expected) = golden.get(&format!("{name}.{kind}.object_score_logits")) {
                let object = difference(&decoded.object.clone().unwrap().unsqueeze(0).unwrap(), expected);
                println!("{name}.{kind}: object {object:.1e}");
                score_error = score_error.max(object);
            }
        }
    }
    (mask_error, score_error)
}

#[test]
fn sam_matches_the_reference_under_both_names() {
    let Some(folder) = goldens("sam_tiny") else { return };
    let golden = tensors(&folder.join("golden.safetensors"));
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    for file in ["model.safetensors", "model_original_names.safetensors"] {
        let network = SamNetwork::of_tensors(tensors(&folder.join(file)), Some(&config), &Device::Cpu).unwrap();
        let features = network.encode(&channels_last(&golden["in.pixel_values"])).unwrap();
        let embedding = difference(&channels_first(&features.embedding), &golden["image_embeddings"]);
        let (masks, scores) = check_prompts(&network, &features, &golden);
        println!("{file}: embedding {embedding:.1e}, masks {masks:.1e}, scores {scores:.1e}");
        assert!(embedding < TOLERANCE && masks < TOLERANCE && scores < TOLERANCE, "{file}: {embedding} {masks} {scores}");
    }
}

/// SAM 2 of the goldens, computing in `dtype`, with the greatest errors of what its encoder makes.
fn sam2(folder: &Path, golden: &HashMap<String, Tensor>, dtype: DType) -> (SamNetwork, Features, f32) {
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let weights = tensors(&folder.join("model.safetensors"));
    let config = SamConfig::of_weights(|name| weights.get(name).map(|tensor| tensor.dims().to_vec()), Some(&config)).unwrap();
    let network = SamNetwork::new(&config, &VarBuilder::from_tensors(weights, dtype, &Device::Cpu)).unwrap();
    let images = channels_last(&golden["in.pixel_values"]).to_dtype(dtype).unwrap();
    let encoder = network.sam2_encoder().unwrap();
    let mut largest = 0.0_f32;
    for (stage, map) in encoder.stages(&images).unwrap().iter().enumerate() {
        let error = difference(map, &golden[&format!("backbone.stage{stage}")]);
        println!("{dtype:?}: stage {stage}: {error:.1e}");
        largest = largest.max(error);
    }
    let features = encoder.forward(&images).unwrap();
    for (level, map) in [&features.fine[0], &features.fine[1], &features.embedding].into_iter().enumerate() {
        let error = difference(&channels_first(map), &golden[&format!("image_embeddings.{level}")]);
        println!("{dtype:?}: level {level}: {error:.1e}");
        largest = largest.max(error);
    }
    let features = network.encode(&images).unwrap();
    (network, features, largest)
}

/// In double precision, in which the reference was computed: what is left is the rounding of the numbers written down.
#[test]
fn sam2_matches_the_reference() {
    let Some(folder) = goldens("sam2_tiny") else { return };
    let golden = tensors(&folder.join("golden.safetensors"));
    let (network, features, encoder) = sam2(&folder, &golden, DType::F64);
    let (masks, scores) = check_prompts(&network, &features, &golden);
    println!("F64: encoder {encoder:.1e}, masks {masks:.1e}, scores {scores:.1e}");
    assert!(encoder < TOLERANCE && masks < TOLERANCE && scores < TOLERANCE, "{encoder} {masks} {scores}");
}

/// In single precision, as it runs. Logits of this network reach 87, where the tolerance is twelve steps of a single; after a whole
/// encoder they are held to the pixels of the masks (all whose logit is not 0 within the tolerance), and to the tolerance when the decoder starts from the reference's embedding.
#[test]
fn sam2_in_single_precision_gives_the_masks_of_the_reference() {
    let Some(folder) = goldens("sam2_tiny") else { return };
    let golden = tensors(&folder.join("golden.safetensors"));
    let (network, features, encoder) = sam2(&folder, &golden, DType::F32);
    let (masks, scores) = check_prompts(&network, &features, &golden);
    println!("F32: encoder {encoder:.1e}, masks {masks:.1e}, scores {scores:.1e}");
    assert!(encoder < TOLERANCE && scores < TOLERANCE, "{encoder} {scores}");

    let level = |level: usize| channels_last(&golden[&format!("image_embeddings.{level}")]);
    let exact = Features { embedding: level(2), fine: Some(FineMaps::of(&level(0), &level(1)).unwrap()) };
    let (masks_alone, scores_alone) = check_prompts(&network, &exact, &golden);
    println!("F32: the decoder alone: masks {masks_alone:.1e}, scores {scores_alone:.1e}");
    assert!(masks_alone < TOLERANCE && scores_alone < TOLERANCE, "{masks_alone} {scores_alone}");

    for name in ["point1", "points_fg_bg", "box", "box_point"] {
        let (points, boxes) = prompt(&golden, name);
        let decoded = network.decode(&features, &points, &boxes, None).unwrap();
        let logits = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let got = logits(&decoded.masks.narrow(1, 1, 3).unwrap());
        let expected = logits(&golden[&format!("{name}.multi.low_res_masks")]);
        for (got, expected) in got.iter().zip(&expected).filter(|(_, expected)| expected.abs() > TOLERANCE) {
            assert_eq!(*got > 0.0, *expected > 0.0, "{name}: {got}, not {expected}");
        }
    }
}

/// Numbers in -1..1 from a seed.
struct Seed(u64);

impl Seed {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1_u64 << 23) as f32) - 1.0
    }
}

/// Makes any tensor that is asked for, from its name: scales near 1, everything else small. Answers to one naming only, and has no
/// biases where checkpoints have none.
struct SeededWeights(Naming);

impl candle_nn::var_builder::SimpleBackend for SeededWeights {
    fn get(&self, shape: candle_core::Shape, name: &str, _: candle_nn::Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let mut seed = Seed(name.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte)));
        let fan = shape.dims().iter().skip(1).product::<usize>().max(1) as f32;
        let is_scale = shape.rank() == 1 && (name.ends_with("weight") || name.ends_with("running_var"));
        let number = |seed: &mut Seed| match shape.rank() {
            1 if is_scale => 1.0 + 0.3 * seed.next(),
            1 => 0.1 * seed.next(),
            _ => 1.7 / fan.sqrt() * seed.next(),
        };
        let numbers: Vec<f32> = (0..shape.elem_count()).map(|_| number(&mut seed)).collect();
        Tensor::from_vec(numbers, shape, device)?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("the shape of {name} is not said")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        match name {
            "image_encoder.trunk.patch_embed.proj.weight" => self.0 == Naming::Sam2,
            _ if name.starts_with("vision_encoder.") => false,
            _ => !(name.starts_with("image_encoder.neck.") && name.ends_with("bias") && self.0 == Naming::Sam),
        }
    }
}

fn network(config: &SamConfig) -> SamNetwork {
    let naming = if config.decoder.is_sam2 { Naming::Sam2 } else { Naming::Sam };
    SamNetwork::new(config, &VarBuilder::from_backend(Box::new(SeededWeights(naming)), DType::F32, Device::Cpu)).unwrap()
}

/// Passes weights from a seed on, and remembers which were asked for: all that a network has.
struct Remembered(SeededWeights, std::sync::Arc<std::sync::Mutex<HashMap<String, Tensor>>>);

impl candle_nn::var_builder::SimpleBackend for Remembered {
    fn get(
        &self,
        shape: candle_core::Shape,
        name: &str,
        init: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let tensor = self.0.get(shape, name, init, dtype, device)?;
        self.1.lock().unwrap().insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        self.0.get_unchecked(name, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains_tensor(name)
    }
}

/// Writes SAM or MobileSAM with weights from a seed, as a checkpoint that can be imported.
pub(crate) fn write_checkpoint(config: &SamConfig, path: &Path) {
    let tensors = std::sync::Arc::default();
    let weights = Remembered(SeededWeights(Naming::Sam), std::sync::Arc::clone(&tensors));
    SamNetwork::new(config, &VarBuilder::from_backend(Box::new(weights), DType::F32, Device::Cpu)).unwrap();
    candle_core::safetensors::save(&tensors.lock().unwrap(), path).unwrap();
}

/// A small SAM that its file alone tells all about, for an input of 128 px.
pub(crate) fn small_sam() -> SamConfig {
    let encoder = VitConfig { dim: 48, depth: 2, heads: 3, mlp_dim: 96, patch_px: 16, window: 3, global_blocks: vec![1] };
    let decoder = DecoderConfig { dim: 32, mlp_dim: 64, score_hidden_dim: 32, ..DecoderConfig::sam() };
    SamConfig { image_px: 128, mask_channels: 16, encoder: EncoderConfig::Vit(encoder), decoder }
}

/// Small networks of all three kinds, for an input of 128 px, which no window but ViT's fits evenly.
fn small_configs() -> [SamConfig; 3] {
    let sam = DecoderConfig { dim: 32, heads: 4, mlp_dim: 64, score_hidden_dim: 32, ..DecoderConfig::sam() };
    let sam2 = DecoderConfig { dim: 32, heads: 4, mlp_dim: 64, score_hidden_dim: 32, ..DecoderConfig::sam2() };
    let of = |encoder, decoder: &DecoderConfig| SamConfig { image_px: 128, mask_channels: 16, encoder, decoder: decoder.clone() };
    [
        of(
            EncoderConfig::Vit(VitConfig { dim: 48, depth: 2, heads: 3, mlp_dim: 96, patch_px: 16, window: 3, global_blocks: vec![1] }),
            &sam,
        ),
        of(
            EncoderConfig::TinyVit(TinyVitConfig {
                dims: vec![16, 32, 32, 320],
                depths: vec![1, 1, 2, 1],
                heads: vec![1, 2, 2, 4],
                windows: vec![7, 7, 3, 7],
            }),
            &sam,
        ),
        of(
            EncoderConfig::Hiera(HieraConfig {
                dim: 16,
                heads: 1,
                blocks: vec![1, 2, 3, 1],
                global_blocks: vec![4],
                windows: vec![8, 4, 6, 3],
                position_side: 7,
            }),
            &sam2,
        ),
    ]
}

fn picture(width_px: u32, height_px: u32, seed: u64) -> Vec<u8> {
    let mut seed = Seed(seed);
    (0..width_px * height_px * 3).map(|_| ((seed.next() + 1.0) * 127.0) as u8).collect()
}

#[test]
fn an_image_alone_is_as_in_a_batch() {
    for config in small_configs() {
        let predictor = Predictor::new(network(&config));
        let pictures = [picture(90, 60, 1), picture(40, 80, 2)];
        let images = [Rgb8 { width_px: 90, height_px: 60, bytes: &pictures[0] }, Rgb8 { width_px: 40, height_px: 80, bytes: &pictures[1] }];
        let together = predictor.embed_batch(&images).unwrap();
        for (image, in_batch) in images.into_iter().zip(&together) {
            let alone = predictor.embed(image).unwrap();
            assert_eq!(alone.transform(), in_batch.transform());
            let error = difference(&alone.features().embedding, &in_batch.features().embedding);
            println!("{:?}: {error:.1e}", config.encoder);
            assert!(error < 1e-5, "{error}");
        }
        // The two images must not have come out the same.
        assert!(difference(&together[0].features().embedding, &together[1].features().embedding) > 1e-3);
    }
}

#[test]
fn a_box_alone_is_as_among_others() {
    for config in small_configs() {
        let predictor = Predictor::new(network(&config));
        let rgb = picture(90, 60, 3);
        let image = predictor.embed(Rgb8 { width_px: 90, height_px: 60, bytes: &rgb }).unwrap();
        let bounds = |left_px, top_px, right_px, bottom_px| BoundingBox { left_px, top_px, right_px, bottom_px };
        let boxes = vec![bounds(5.0, 5.0, 40.0, 30.0), bounds(50.0, 20.0, 89.0, 59.0)];
        let points = vec![PromptPoint { x_px: 20.0, y_px: 20.0, is_foreground: true }];
        let together = predictor
            .masks(&image, &Prompts { boxes: boxes.clone(), points: points.clone(), choice: MaskChoice::All, ..Prompts::default() })
            .unwrap();
        assert_eq!(together.iter().map(|mask| mask.object).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1]);
        for (object, bounds) in boxes.into_iter().enumerate() {
            let prompts = Prompts { boxes: vec![bounds], points: points.clone(), choice: MaskChoice::All, ..Prompts::default() };
            for (alone, in_batch) in predictor.masks(&image, &prompts).unwrap().iter().zip(&together[3 * object..]) {
                let error = alone.low_logits.iter().zip(&in_batch.low_logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(error < 1e-4, "{error}");
                assert!((alone.score - in_batch.score).abs() < 1e-5);
                assert_eq!((alone.mask.width_px(), alone.mask.height_px()), (90, 60));
            }
        }
    }
}

#[test]
fn a_mask_prompt_and_the_choice_change_the_answer() {
    for config in small_configs() {
        let predictor = Predictor::new(network(&config));
        let rgb = picture(64, 64, 4);
        let image = predictor.embed(Rgb8 { width_px: 64, height_px: 64, bytes: &rgb }).unwrap();
        let prompts = Prompts { points: vec![PromptPoint { x_px: 30.0, y_px: 30.0, is_foreground: true }], ..Prompts::default() };
        let all = predictor.masks(&image, &Prompts { choice: MaskChoice::All, ..prompts.clone() }).unwrap();
        let best = predictor.masks(&image, &prompts).unwrap();
        assert_eq!((all.len(), best.len()), (3, 1));
        assert_eq!(best[0].score, all.iter().map(|mask| mask.score).fold(f32::MIN, f32::max));
        let again =
            predictor.masks(&image, &Prompts { mask: Some(best[0].low_logits.clone()), choice: MaskChoice::All, ..prompts }).unwrap();
        assert_ne!(again[0].low_logits, all[0].low_logits);
    }
}

#[test]
fn an_embedding_survives_the_cache() {
    for config in small_configs() {
        let predictor = Predictor::new(network(&config));
        let rgb = picture(64, 48, 5);
        let image = predictor.embed(Rgb8 { width_px: 64, height_px: 48, bytes: &rgb }).unwrap();
        let kept = ImageEmbedding::of_bytes(&image.to_bytes().unwrap(), &Device::Cpu).unwrap();
        assert_eq!(kept.transform(), image.transform());
        let prompts = Prompts { points: vec![PromptPoint { x_px: 30.0, y_px: 30.0, is_foreground: true }], ..Prompts::default() };
        let (before, after) = (predictor.masks(&image, &prompts).unwrap(), predictor.masks(&kept, &prompts).unwrap());
        let largest = before[0].low_logits.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let error = before[0].low_logits.iter().zip(&after[0].low_logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("half precision: logits off by {error:.1e} of {largest:.1}");
        assert!(error < 0.01 * largest, "{error} of {largest}");
    }
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let configs = small_configs();
    let predictor = Predictor::new(network(&configs[1]));
    let rgb = picture(64, 48, 6);
    let image = predictor.embed(Rgb8 { width_px: 64, height_px: 48, bytes: &rgb }).unwrap();
    let point = PromptPoint { x_px: 30.0, y_px: f32::NAN, is_foreground: true };
    let flat = BoundingBox { left_px: 9.0, top_px: 9.0, right_px: 9.0, bottom_px: 20.0 };
    for prompts in [
        Prompts::default(),
        Prompts { points: vec![point], ..Prompts::default() },
        Prompts { boxes: vec![flat], ..Prompts::default() },
        Prompts { mask: Some(vec![0.0; 5]), ..Prompts::default() },
    ] {
        assert!(predictor.masks(&image, &prompts).is_err(), "{prompts:?}");
    }
    assert!(predictor.embed(Rgb8 { width_px: 64, height_px: 49, bytes: &rgb }).is_err());
    assert!(predictor.embed(Rgb8 { width_px: 0, height_px: 0, bytes: &[] }).is_err());
    let other = Predictor::new(network(&configs[2]));
    let prompts = Prompts { points: vec![PromptPoint { y_px: 3.0, ..point }], ..Prompts::default() };
    let error = other.masks(&image, &prompts).unwrap_err();
    assert!(error.to_string().contains("another network"), "{error}");
}

/// Processor time of this process so far, in ms, where the system tells (in steps of 10).
fn processor_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    10.0 * (ticks(11) + ticks(12))
}

/// How long the first and the next clicks take at full size, with weights from a seed; `cargo test --release -- --ignored sam_speed`.
#[test]
#[ignore = "a measurement: minutes without optimisation"]
fn sam_speed() {
    let name = std::env::var("HM_SAM_NETWORK").unwrap_or_else(|_| "mobile_sam".to_owned());
    let predictor = Predictor::new(network(&SamConfig::named(&name).unwrap()));
    let rgb = picture(2048, 1365, 7);
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let mut embedded = None;
    let before = processor_ms();
    let embedding = median(
        (0..7)
            .map(|_| {
                let start = std::time::Instant::now();
                embedded = Some(predictor.embed(Rgb8 { width_px: 2048, height_px: 1365, bytes: &rgb }).unwrap());
                start.elapsed().as_secs_f64() * 1000.0
            })
            .collect(),
    );
    let embedding_cpu = (processor_ms() - before) / 7.0;
    let image = embedded.unwrap();
    let before = processor_ms();
    let click = median(
        (0..15)
            .map(|at| {
                let prompts = Prompts {
                    points: vec![PromptPoint { x_px: 100.0 * at as f32, y_px: 700.0, is_foreground: true }],
                    ..Prompts::default()
                };
                let start = std::time::Instant::now();
                predictor.masks(&image, &prompts).unwrap();
                start.elapsed().as_secs_f64() * 1000.0
            })
            .collect(),
    );
    let click_cpu = (processor_ms() - before) / 15.0;
    println!("{name}: embed {embedding:.0} ms, click {click:.0} ms (medians of 7 and 15)");
    println!("{name}: processor time {embedding_cpu:.0} ms and {click_cpu:.0} ms each");
}
