//! What a CLIP is made like, by name or from Hugging Face's `config.json`. Apart from the encoders, because names of fields and their
//! defaults are the checkpoint's business. Imports the activation.

use serde::Deserialize;

use crate::infer::ops::Activation;
use crate::infer::transformer::BlockConfig;
use crate::infer::{InferError, Result};

/// Both encoders.
#[derive(Debug, Clone)]
pub struct Config {
    /// The encoder for images.
    pub vision: VisionConfig,
    /// The encoder for sentences.
    pub text: TextConfig,
    /// Numbers of an embedding.
    pub projection_dim: usize,
}

/// The encoder for images.
#[derive(Debug, Clone)]
pub struct VisionConfig {
    /// Its blocks.
    pub block: BlockConfig,
    /// How many of them.
    pub layers: usize,
    /// Side of the square image, in px.
    pub image_px: usize,
    /// Side of a square patch, in px.
    pub patch_px: usize,
    /// Channels of the image.
    pub channels: usize,
}

/// The encoder for sentences.
#[derive(Debug, Clone)]
pub struct TextConfig {
    /// Its blocks.
    pub block: BlockConfig,
    /// How many of them.
    pub layers: usize,
    /// Tokens that it knows.
    pub vocabulary: usize,
    /// Longest sentence, in tokens, its start and end counted.
    pub context: usize,
    /// The token that ends a sentence; none where the largest number of the sentence is its end (checkpoints of old).
    pub end_token: Option<u32>,
}

impl VisionConfig {
    /// Tokens of an image: its patches and the one that gathers.
    pub fn tokens(&self) -> usize {
        (self.image_px / self.patch_px).pow(2) + 1
    }
}

impl Config {
    /// `openai/clip-vit-base-patch32`: 512 numbers, 88 + 38 million weights.
    pub fn vit_base_patch32() -> Self {
        Self::openai(768, 12, 32, 512, 512)
    }

    /// `openai/clip-vit-base-patch16`: as patch 32 with four times the patches.
    pub fn vit_base_patch16() -> Self {
        Self::openai(768, 12, 16, 512, 512)
    }

    /// `openai/clip-vit-large-patch14`: 768 numbers, 304 + 85 million weights.
    pub fn vit_large_patch14() -> Self {
        Self::openai(1024, 24, 14, 768, 768)
    }

    fn openai(vision_dim: usize, vision_layers: usize, patch_px: usize, text_dim: usize, projection_dim: usize) -> Self {
        let block =
            |dim: usize| BlockConfig { dim, heads: dim / 64, inner_dim: 4 * dim, activation: Activation::QuickGelu, norm_eps: 1e-5 };
        Self {
            vision: VisionConfig { block: block(vision_dim), layers: vision_layers, image_px: 224, patch_px, channels: 3 },
            text: TextConfig { block: block(text_dim), layers: 12, vocabulary: 49_408, context: 77, end_token: None },
            projection_dim,
        }
    }

    /// From the text of a Hugging Face `config.json`; what is not stated has the values of `openai/clip-vit-base-patch32`, as there.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when it is no CLIP's, no JSON or says what cannot be.
    pub fn from_json(json: &str) -> Result<Self> {
        let stated: Stated = serde_json::from_str(json).map_err(|error| InferError::BadInput(format!("config.json of a CLIP: {error}")))?;
        if stated.model_type != "clip" {
            return Err(InferError::BadInput(format!("config.json is of a `{}`, not of a `clip`", stated.model_type)));
        }
        let Stated { vision_config: vision, text_config: text, projection_dim, .. } = stated;
        let config = Self {
            vision: VisionConfig {
                block: BlockConfig {
                    dim: vision.hidden_size,
                    heads: vision.num_attention_heads,
                    inner_dim: vision.intermediate_size,
                    activation: activation(&vision.hidden_act)?,
                    norm_eps: vision.layer_norm_eps,
                },
                layers: vision.num_hidden_layers,
                image_px: vision.image_size,
                patch_px: vision.patch_size,
                channels: vision.num_channels,
            },
            text: TextConfig {
                block: BlockConfig {
                    dim: text.hidden_size,
                    heads: text.num_attention_heads,
                    inner_dim: text.intermediate_size,
                    activation: activation(&text.hidden_act)?,
                    norm_eps: text.layer_norm_eps,
                },
                layers: text.num_hidden_layers,
                vocabulary: text.vocab_size,
                context: text.max_position_embeddings,
                // 2 is what configurations said by mistake before transformers 4.24; the reference then takes the largest number.
                end_token: text.eos_token_id.filter(|&token| token != 2),
            },
            projection_dim,
        };
        check_sizes(&config.vision.block, config.vision.layers)?;
        check_sizes(&config.text.block, config.text.layers)?;
        check_patches(config.vision.image_px, config.vision.patch_px)?;
        Ok(config)
    }
}

/// The activation that `hidden_act` names.
pub(crate) fn activation(name: &str) -> Result<Activation> {
    Activation::from_hidden_act(name).ok_or_else(|| {
        InferError::BadInput(format!("config.json asks for the activation `{name}`; known are quick_gelu, gelu and gelu_pytorch_tanh"))
    })
}

/// Refuses sizes that no network has, before memory is asked for them.
pub(crate) fn check_sizes(block: &BlockConfig, layers: usize) -> Result<()> {
    let BlockConfig { dim, heads, inner_dim, .. } = *block;
    let sane = (1..=16_384).contains(&dim) && (1..=dim).contains(&heads) && dim.is_multiple_of(heads) && (1..=131_072).contains(&inner_dim);
    if sane && (1..=256).contains(&layers) {
        return Ok(());
    }
    Err(InferError::BadInput(format!(
        "config.json describes no network: {layers} layers of {dim} numbers, {heads} heads, {inner_dim} inside"
    )))
}

/// Refuses patches that do not fit the image.
pub(crate) fn check_patches(image_px: usize, patch_px: usize) -> Result<()> {
    if patch_px > 0 && (patch_px..=8_192).contains(&image_px) {
        return Ok(());
    }
    Err(InferError::BadInput(format!("config.json describes no network: patches of {patch_px} px in an image of {image_px} px")))
}

#[derive(Deserialize)]
struct Stated {
    model_type: String,
    #[serde(default)]
    vision_config: StatedVision,
    #[serde(default)]
    text_config: StatedText,
    #[serde(default = "projection_dim")]
    projection_dim: usize,
}

fn projection_dim() -> usize {
    512
}

#[derive(Deserialize)]
#[serde(default)]
struct StatedVision {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_channels: usize,
    image_size: usize,
    patch_size: usize,
    hidden_act: String,
    layer_norm_eps: f64,
}

impl Default for StatedVision {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: "quick_gelu".into(),
            layer_norm_eps: 1e-5,
        }
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct StatedText {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    hidden_act: String,
    layer_norm_eps: f64,
    eos_token_id: Option<u32>,
}

impl Default for StatedText {
    fn default() -> Self {
        Self {
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: "quick_gelu".into(),
            layer_norm_eps: 1e-5,
            eos_token_id: Some(49_407),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_configuration_is_base_patch32() {
        let stated = Config::from_json(r#"{"model_type": "clip"}"#).unwrap();
        let named = Config::vit_base_patch32();
        assert_eq!(format!("{:?}", stated.vision), format!("{:?}", named.vision));
        assert_eq!(stated.text.end_token, Some(49_407));
        assert_eq!(stated.vision.tokens(), 50);
    }

    #[test]
    fn the_old_end_token_means_the_largest_number() {
        let json = r#"{"model_type": "clip", "text_config": {"eos_token_id": 2, "hidden_act": "gelu"}}"#;
        let config = Config::from_json(json).unwrap();
        assert_eq!(config.text.end_token, None);
        assert_eq!(config.text.block.activation, Activation::Gelu);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for json in [
            "",
            "{}",
            r#"{"model_type": "bert"}"#,
            r#"{"model_type": "clip", "vision_config": {"hidden_act": "relu"}}"#,
            r#"{"model_type": "clip", "vision_config": {"num_attention_heads": 0}}"#,
            r#"{"model_type": "clip", "vision_config": {"num_attention_heads": 7}}"#,
            r#"{"model_type": "clip", "vision_config": {"patch_size": 0}}"#,
            r#"{"model_type": "clip", "text_config": {"hidden_size": 99999999999}}"#,
        ] {
            assert!(Config::from_json(json).is_err(), "{json}");
        }
    }
}
