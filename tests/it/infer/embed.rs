//! The embedding networks and the tokenizer against the reference implementations' numbers, alone and in a batch.
//!
//! The numbers are not part of the repository: where they are missing, the tests say so and pass.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use hm::infer::{clip, dinov2, input, siglip, tokenizer::Tokenizer, weights::Weights};

use super::shared;

/// The folder of one case of the goldens, if it is at hand.
fn golden(case: &str) -> Option<PathBuf> {
    shared(&format!("goldens/{case}"))
}

/// What a case holds: the weights, the configuration, the inputs and outputs.
struct Case {
    vb: VarBuilder<'static>,
    config: String,
    golden: std::collections::HashMap<String, Tensor>,
}

fn case(name: &str) -> Option<Case> {
    let folder = golden(name)?;
    let vb = Weights::open(&folder).unwrap().var_builder(DType::F32, &Device::Cpu);
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let golden = candle_core::safetensors::load(folder.join("golden.safetensors"), &Device::Cpu).unwrap();
    Some(Case { vb, config, golden })
}

impl Case {
    /// The largest difference to the output of that name, which must have the same shape.
    fn check(&self, name: &str, ours: &Tensor, tolerance: f32) {
        let truth = &self.golden[name];
        assert_eq!(ours.dims(), truth.dims(), "{name}");
        let worst = worst(ours, truth);
        println!("{name}: {worst:.2e} of {tolerance:.0e}");
        assert!(worst <= tolerance, "{name} is off by {worst:e}");
    }

    fn input(&self, name: &str) -> &Tensor {
        &self.golden[name]
    }
}

fn worst(ours: &Tensor, truth: &Tensor) -> f32 {
    (ours - truth).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

fn check_unit_length(embeddings: &Tensor) {
    for row in embeddings.sqr().unwrap().sum(1).unwrap().to_vec1::<f32>().unwrap() {
        assert!((row - 1.0).abs() < 1e-6, "length² {row}");
    }
}

/// Each item alone gives what it gives in the batch.
fn check_alone(pixels: &Tensor, embed: impl Fn(&Tensor) -> Tensor) {
    let together = embed(pixels);
    check_unit_length(&together);
    for item in 0..pixels.dim(0).unwrap() {
        let alone = embed(&pixels.narrow(0, item, 1).unwrap());
        let off = worst(&alone, &together.narrow(0, item, 1).unwrap());
        println!("alone and in a batch: {off:.2e}");
        assert!(off < 1e-6, "item {item} alone is off by {off:e}");
    }
}

fn sentences(ids: &Tensor) -> Vec<Vec<u32>> {
    ids.to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap()
}

fn clip_matches(name: &str) {
    let Some(case) = case(name) else { return };
    let config = clip::Config::from_json(&case.config).unwrap();
    let images = clip::ImageEncoder::new(&case.vb, &config).unwrap();
    let texts = clip::TextEncoder::new(&case.vb, &config).unwrap();

    let pixels = case.input("in.pixel_values");
    let seen = images.features(pixels).unwrap();
    // The states before the projection are not named in the tolerances' table; they get that of the logits.
    case.check("vision.last_hidden_state", &seen.last_hidden_state, 1e-4);
    case.check("vision.pooler_output", &seen.pooled, 1e-4);
    case.check("image_embeds", &seen.embeddings, 1e-5);

    let ids = sentences(case.input("in.input_ids"));
    let read = texts.features(&ids).unwrap();
    let length = read.last_hidden_state.dim(1).unwrap();
    assert_eq!(length, 6, "what stands behind the longest sentence is not computed");
    let truth = case.golden["text.last_hidden_state"].narrow(1, 0, length).unwrap();
    assert!(worst(&read.last_hidden_state, &truth) <= 1e-4);
    case.check("text.pooler_output", &read.pooled, 1e-4);
    case.check("text_embeds", &read.embeddings, 1e-5);

    let scale = clip::logit_scale(&case.vb).unwrap();
    let logits = clip::logits_per_image(&seen.embeddings, &read.embeddings, scale).unwrap();
    case.check("logits_per_image", &logits, 1e-4);
    case.check("logits_per_text", &logits.t().unwrap(), 1e-4);

    check_alone(pixels, |pixels| images.embed(pixels).unwrap());
    check_unit_length(&read.embeddings);
    for (item, ids) in ids.iter().enumerate() {
        let alone = texts.embed(std::slice::from_ref(ids)).unwrap();
        assert!(worst(&alone, &read.embeddings.narrow(0, item, 1).unwrap()) < 1e-6);
        // Without padding, too.
        let end = ids.iter().position(|&id| id == 599).unwrap();
        let bare = texts.embed(&[ids[..=end].to_vec()]).unwrap();
        assert_eq!(worst(&bare, &alone), 0.0);
    }
}

#[test]
fn clip_with_openais_activation_matches_the_reference() {
    clip_matches("clip_tiny_quick_gelu");
}

#[test]
fn clip_with_laions_activation_matches_the_reference() {
    clip_matches("clip_tiny_gelu");
}

#[test]
fn the_configurations_activation_decides() {
    // The two cases share their weights: with the other's configuration the numbers must be others.
    let (Some(case), Some(other)) = (case("clip_tiny_gelu"), case("clip_tiny_quick_gelu")) else { return };
    let wrong = clip::ImageEncoder::new(&case.vb, &clip::Config::from_json(&other.config).unwrap()).unwrap();
    let embeddings = wrong.embed(case.input("in.pixel_values")).unwrap();
    assert!(worst(&embeddings, &case.golden["image_embeds"]) > 1e-3);
}

#[test]
fn the_text_encoder_needs_no_image_encoder() {
    let Some(case) = case("clip_tiny_gelu") else { return };
    let config = clip::Config::from_json(&case.config).unwrap();
    let folder = golden("clip_tiny_gelu").unwrap();
    let only_text: std::collections::HashMap<String, Tensor> =
        candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu)
            .unwrap()
            .into_iter()
            .filter(|(name, _)| name.starts_with("text_"))
            .collect();
    let vb = VarBuilder::from_tensors(only_text, DType::F32, &Device::Cpu);
    let texts = clip::TextEncoder::new(&vb, &config).unwrap();
    let embeddings = texts.embed(&sentences(case.input("in.input_ids"))).unwrap();
    case.check("text_embeds", &embeddings, 1e-5);
    let error = clip::ImageEncoder::new(&vb, &config).unwrap_err().to_string();
    assert!(error.contains("CLIP") && error.contains("vision_model"), "{error}");
}

#[test]
fn clip_refuses_what_it_does_not_take() {
    let Some(case) = case("clip_tiny_gelu") else { return };
    let config = clip::Config::from_json(&case.config).unwrap();
    let images = clip::ImageEncoder::new(&case.vb, &config).unwrap();
    let texts = clip::TextEncoder::new(&case.vb, &config).unwrap();
    for shape in [&[2usize, 3, 64, 63][..], &[0, 3, 64, 64], &[1, 4, 64, 64], &[3, 64, 64]] {
        assert!(images.embed(&Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()).is_err(), "{shape:?}");
    }
    let long = std::iter::once(598).chain([5; 20]).chain([599]).collect();
    for sentences in [vec![], vec![vec![]], vec![vec![598, 600, 599]], vec![vec![598, 5]], vec![long]] {
        assert!(texts.embed(&sentences).is_err(), "{sentences:?}");
    }
}

#[test]
fn siglip_matches_the_reference() {
    let Some(case) = case("siglip_tiny") else { return };
    let config = siglip::Config::from_json(&case.config).unwrap();
    let images = siglip::ImageEncoder::new(&case.vb, &config).unwrap();
    let texts = siglip::TextEncoder::new(&case.vb, &config).unwrap();

    let pixels = case.input("in.pixel_values");
    let seen = images.features(pixels).unwrap();
    case.check("vision.last_hidden_state", &seen.last_hidden_state, 1e-4);
    case.check("vision.pooler_output", &seen.pooled, 1e-4);
    case.check("image_embeds", &seen.embeddings, 1e-5);

    let ids = sentences(case.input("in.input_ids"));
    let read = texts.features(&ids).unwrap();
    case.check("text.pooler_output", &read.pooled, 1e-4);
    case.check("text_embeds", &read.embeddings, 1e-5);

    let logits = siglip::Calibration::new(&case.vb).unwrap().logits_per_image(&seen.embeddings, &read.embeddings).unwrap();
    case.check("logits_per_image", &logits, 1e-4);
    case.check("logits_per_text", &logits.t().unwrap(), 1e-4);

    check_alone(pixels, |pixels| images.embed(pixels).unwrap());
    check_unit_length(&read.embeddings);
    // Shorter sentences are padded as the reference's were.
    let bare = texts.embed(&[ids[0][..6].to_vec()]).unwrap();
    assert!(worst(&bare, &read.embeddings.narrow(0, 0, 1).unwrap()) < 1e-6);
    assert!(texts.embed(&[vec![1; 17]]).is_err());
    assert!(texts.embed(&[vec![600]]).is_err());
    assert!(texts.embed(&[]).is_err());
}

#[test]
fn dinov2_matches_the_reference() {
    let Some(case) = case("dinov2_tiny") else { return };
    let config = dinov2::Config::from_json(&case.config).unwrap();
    let network = dinov2::Dinov2::new(&case.vb, &config).unwrap();
    let pixels = case.input("in.pixel_values");
    let features = network.features(pixels).unwrap();
    case.check("last_hidden_state", &features.last_hidden_state, 1e-4);
    case.check("pooler_output", &features.pooled, 1e-4);
    check_alone(pixels, |pixels| network.embed(pixels).unwrap());
    // Other sizes have their positions interpolated.
    let small = pixels.narrow(2, 0, 28).unwrap().narrow(3, 0, 56).unwrap();
    assert_eq!(network.features(&small).unwrap().last_hidden_state.dims(), [2, 1 + 2 * 4, 48]);
    assert!(network.embed(&pixels.narrow(2, 0, 69).unwrap()).is_err());
}

#[test]
fn tokens_are_those_of_the_reference() {
    let Some(folder) = golden("clip_tokenizer") else { return };
    #[derive(serde::Deserialize)]
    struct Line {
        text: String,
        ids: Vec<u32>,
    }
    let lines: Vec<Line> = serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
    assert_eq!(lines.len(), 12);
    let merges = folder.join("../../weights/clip/bpe_simple_vocab_16e6.txt.gz");
    for file in [folder.join("tokenizer.json"), merges] {
        let tokenizer = Tokenizer::from_file(&file).unwrap();
        assert_eq!(tokenizer.vocabulary(), 49_408);
        for Line { text, ids } in &lines {
            assert_eq!(&tokenizer.encode(text, usize::MAX).unwrap(), ids, "{text} by {}", file.display());
            let cut = tokenizer.encode(text, 5).unwrap();
            if ids.len() <= 5 {
                assert_eq!(&cut, ids);
            } else {
                assert_eq!(cut[..4], ids[..4]);
                assert_eq!(cut[4..], [49_407]);
            }
        }
        let long = tokenizer.encode(&"a red truck in snow, ".repeat(2000), 77).unwrap();
        assert_eq!((long.len(), long[76]), (77, 49_407));
        assert!(long[..76].iter().all(|&id| id != 49_407));
    }
}

#[test]
fn files_that_are_no_tokenizer_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    for path in [
        write("tokenizer.json", b"{}"),
        write("empty.json", b""),
        write("merges.txt", b"#version: 0.2\na b\n"),
        write("merges.txt.gz", b"not gzip"),
        folder.path().join("missing.json"),
        folder.path().to_owned(),
    ] {
        let error = Tokenizer::from_file(&path).unwrap_err().to_string();
        assert!(error.contains(&*path.to_string_lossy()), "{error}");
    }
}

#[test]
fn prepared_pictures_find_their_way_into_the_networks() {
    let Some(case) = case("clip_tiny_gelu") else { return };
    let config = clip::Config::from_json(&case.config).unwrap();
    let images = clip::ImageEncoder::new(&case.vb, &config).unwrap();
    let bytes: Vec<u8> = (0..90 * 70 * 3).map(|index| (index * 31 % 251) as u8).collect();
    let picture = input::Rgb8 { width_px: 90, height_px: 70, bytes: &bytes };
    let pixels = images.input().batch(&[picture], &Device::Cpu).unwrap();
    check_unit_length(&images.embed(&pixels).unwrap());
}
