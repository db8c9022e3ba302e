//! Small networks with weights from a seed, as files that people import: so that something runs where no weights are at hand.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};
use hm::infer::{
    clip, dinov2,
    sam::{DecoderConfig, EncoderConfig, SamConfig, SamNetwork, TinyVitConfig},
    weights::{Weights, write_safetensors},
    yolo,
};
use serde_json::json;

/// Makes whatever tensor is asked for, from its name and a seed, and remembers it.
struct Recorder {
    seed: u64,
    contains: fn(&str) -> bool,
    made: Arc<Mutex<BTreeMap<String, Tensor>>>,
}

impl SimpleBackend for Recorder {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let mut state = name.bytes().fold(self.seed, |state, byte| state.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1_u64 << 23) as f32) - 1.0
        };
        let fan = shape.dims().iter().skip(1).product::<usize>().max(1) as f32;
        let is_scale = shape.rank() == 1 && (name.ends_with("weight") || name.ends_with("running_var"));
        let numbers: Vec<f32> = (0..shape.elem_count())
            .map(|_| match shape.rank() {
                0 => 1.0,
                1 if is_scale => 1.0 + 0.3 * next(),
                1 => 0.1 * next(),
                _ => 1.7 / fan.sqrt() * next(),
            })
            .collect();
        let tensor = Tensor::from_vec(numbers, shape, device)?.to_dtype(dtype)?;
        self.made.lock().unwrap().insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("the shape of {name} is not said")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        (self.contains)(name)
    }
}

/// The tensors that a network asks for when it is built.
fn tensors(seed: u64, contains: fn(&str) -> bool, build: impl FnOnce(&VarBuilder<'static>)) -> BTreeMap<String, Tensor> {
    let made = Arc::new(Mutex::new(BTreeMap::new()));
    let recorder = Recorder { seed, contains, made: Arc::clone(&made) };
    build(&VarBuilder::from_backend(Box::new(recorder), DType::F32, Device::Cpu));
    let made = made.lock().unwrap();
    made.clone()
}

fn write(folder: &Path, file: &str, tensors: BTreeMap<String, Tensor>) {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join(file);
    write_safetensors(&Weights::from_tensors(&path, tensors), &path).unwrap();
}

/// The words that [`clip`]'s tokenizer knows, in the order of their tokens.
const WORDS: [&str; 8] = ["<s>", "</s>", "<unk>", "a", "red", "truck", "in", "snow"];

/// A `tokenizer.json` of eight words.
pub(crate) fn tokenizer() -> String {
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        WORDS.iter().enumerate().map(|(id, word)| ((*word).to_owned(), id.into())).collect();
    let mark = |word: &str, id: u32| json!({"id": word, "ids": [id], "tokens": [word]});
    json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "</s>", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": mark("<s>", 0), "</s>": mark("</s>", 1)},
        },
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    })
    .to_string()
}

/// A CLIP of Hugging Face's layout for 32 px, with 16 numbers for each picture: `model.safetensors` and `config.json`, no tokenizer.
pub(crate) fn clip(folder: &Path, seed: u64) {
    let config = json!({
        "model_type": "clip",
        "projection_dim": 16,
        "vision_config": {
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 16,
        },
        "text_config": {
            "vocab_size": 8, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "max_position_embeddings": 16, "eos_token_id": 1,
        },
    })
    .to_string();
    let parsed = clip::Config::from_json(&config).unwrap();
    let mut tensors = tensors(
        seed,
        |_| false,
        |vb| {
            clip::ImageEncoder::new(vb, &parsed).unwrap();
            clip::TextEncoder::new(vb, &parsed).unwrap();
        },
    );
    tensors.insert("logit_scale".into(), Tensor::new(4.6f32, &Device::Cpu).unwrap());
    write(folder, "model.safetensors", tensors);
    fs::write(folder.join("config.json"), config).unwrap();
}

/// A DINOv2 of Hugging Face's layout with 24 numbers for each picture.
pub(crate) fn dinov2(folder: &Path, seed: u64) {
    let config = json!({
        "model_type": "dinov2", "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2, "image_size": 56, "patch_size": 14,
    })
    .to_string();
    let parsed = dinov2::Config::from_json(&config).unwrap();
    write(folder, "model.safetensors", tensors(seed, |_| false, |vb| drop(dinov2::Dinov2::new(vb, &parsed).unwrap())));
    fs::write(folder.join("config.json"), config).unwrap();
}

/// A YOLOv8-seg of three classes, as one file.
pub(crate) fn yolo(folder: &Path, file: &str, seed: u64) {
    let config = yolo::Config::scaled(yolo::Generation::V8, (0.34, 0.125, 640), false, 3, true);
    let mut tensors = tensors(seed, |_| false, |vb| drop(yolo::Yolo::new(vb.clone(), &config).unwrap()));
    // Few of its thousands of candidates are to be things: those of the coarsest level, of the first class.
    for (level, first) in [-9.0f32, -9.0, 0.0].into_iter().enumerate() {
        tensors.insert(format!("model.22.cv3.{level}.2.bias"), Tensor::new(&[first, -9.0, -9.0], &Device::Cpu).unwrap());
    }
    write(folder, file, tensors);
}

/// A MobileSAM for 128 px.
pub(crate) fn mobile_sam(folder: &Path, seed: u64) {
    let encoder = EncoderConfig::TinyVit(TinyVitConfig {
        dims: vec![16, 32, 32, 320],
        depths: vec![1, 1, 2, 1],
        heads: vec![1, 2, 2, 4],
        windows: vec![7, 7, 3, 7],
    });
    let decoder = DecoderConfig { dim: 32, heads: 4, mlp_dim: 64, score_hidden_dim: 32, ..DecoderConfig::sam() };
    let config = SamConfig { image_px: 128, mask_channels: 16, encoder, decoder };
    // Their authors' names, and no biases where their checkpoints have none.
    let contains = |name: &str| {
        let is_other = name.starts_with("vision_encoder.") || name == "image_encoder.trunk.patch_embed.proj.weight";
        !(is_other || name.starts_with("image_encoder.neck.") && name.ends_with("bias"))
    };
    write(folder, "model.safetensors", tensors(seed, contains, |vb| drop(SamNetwork::new(&config, vb).unwrap())));
    let config = json!({"prompt_encoder_config": {"image_size": 128}, "mask_decoder_config": {"num_attention_heads": 4}});
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}
