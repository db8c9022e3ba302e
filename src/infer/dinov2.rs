//! DINOv2: one vector for what a picture, or the cut-out of one object, looks like, learnt without words.
//!
//! Papers: Oquab et al., “DINOv2: Learning Robust Visual Features without Supervision” (2023); Darcet et al., “Vision Transformers Need
//! Registers” (2023). Reference: `modeling_dinov2.py` and `modeling_dinov2_with_registers.py` of Hugging Face's transformers 5.23.
//! Checkpoints: `facebook/dinov2-small`, `-base`, `-large`, `-giant` and those `-with-registers` (Apache-2.0), in Hugging Face's names, old or
//! new, or in those of facebookresearch, where query, key and value are one matrix. Candle's own takes only 518 px and the latter names. Imports the
//! transformer's block.

use candle_core::{IndexOp, Tensor};
use candle_nn::VarBuilder;
use serde::Deserialize;

use super::clip::{activation, check_patches, check_sizes};
use super::input;
use super::ops::Activation;
use super::transformer::{Block, BlockConfig, BlockNames, Mask, Norm, PatchEmbedding, resized_positions, unit_length, with_first_token};
use super::{InferError, Result};

/// What the network is made like.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its blocks.
    pub block: BlockConfig,
    /// How many of them.
    pub layers: usize,
    /// Side of the square images that it was trained on, in px: how many positions it stores.
    pub image_px: usize,
    /// Side of a square patch, in px.
    pub patch_px: usize,
    /// Channels of the image.
    pub channels: usize,
    /// Tokens beside the patches that take what would disturb them.
    pub registers: usize,
    /// Whether the feed-forward part is gated (giant).
    pub gated: bool,
}

impl Config {
    /// `facebook/dinov2-small`: 384 numbers, 22 million weights.
    pub fn vit_small() -> Self {
        Self::named(384, 12)
    }

    /// `facebook/dinov2-base`: 768 numbers, 87 million weights.
    pub fn vit_base() -> Self {
        Self::named(768, 12)
    }

    /// `facebook/dinov2-large`: 1024 numbers, 304 million weights.
    pub fn vit_large() -> Self {
        Self::named(1024, 24)
    }

    /// `facebook/dinov2-giant`: 1536 numbers, 1.1 billion weights.
    pub fn vit_giant() -> Self {
        let mut config = Self::named(1536, 40);
        config.gated = true;
        config.block.inner_dim = gated_inner_dim(4 * 1536);
        config
    }

    /// The same with four registers, as in the checkpoints `-with-registers`.
    pub fn with_registers(self) -> Self {
        Self { registers: 4, ..self }
    }

    fn named(dim: usize, layers: usize) -> Self {
        Self {
            block: BlockConfig { dim, heads: dim / 64, inner_dim: 4 * dim, activation: Activation::Gelu, norm_eps: 1e-6 },
            layers,
            image_px: 518,
            patch_px: 14,
            channels: 3,
            registers: 0,
            gated: false,
        }
    }

    /// From the text of a Hugging Face `config.json`; what is not stated has the values of its class, as there.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when it is no DINOv2's, no JSON or says what cannot be.
    pub fn from_json(json: &str) -> Result<Self> {
        let stated: Stated =
            serde_json::from_str(json).map_err(|error| InferError::BadInput(format!("config.json of a DINOv2: {error}")))?;
        let registers = match stated.model_type.as_str() {
            "dinov2" => 0,
            "dinov2_with_registers" => stated.num_register_tokens,
            other => return Err(InferError::BadInput(format!("config.json is of a `{other}`, not of a `dinov2`"))),
        };
        let inner_dim = (stated.hidden_size as f64 * stated.mlp_ratio) as usize;
        let config = Self {
            block: BlockConfig {
                dim: stated.hidden_size,
                heads: stated.num_attention_heads,
                inner_dim: if stated.use_swiglu_ffn { gated_inner_dim(inner_dim) } else { inner_dim },
                activation: activation(&stated.hidden_act)?,
                norm_eps: stated.layer_norm_eps,
            },
            layers: stated.num_hidden_layers,
            image_px: stated.image_size,
            patch_px: stated.patch_size,
            channels: stated.num_channels,
            registers,
            gated: stated.use_swiglu_ffn,
        };
        check_sizes(&config.block, config.layers)?;
        check_patches(config.image_px, config.patch_px)?;
        if registers > 64 {
            return Err(InferError::BadInput(format!("config.json describes no network: {registers} registers")));
        }
        Ok(config)
    }
}

/// Two thirds of the plain width, up to the next multiple of eight: the gate costs the third.
fn gated_inner_dim(plain: usize) -> usize {
    (plain * 2 / 3).div_ceil(8) * 8
}

/// The names of Hugging Face's transformers since version 5.
const HUGGING_FACE: BlockNames = BlockNames {
    norm1: "norm1",
    qkv: &["attention.q_proj", "attention.k_proj", "attention.v_proj"],
    out: "attention.o_proj",
    scale1: Some("layer_scale1.lambda1"),
    norm2: "norm2",
    up: "mlp.fc1",
    down: "mlp.fc2",
    scale2: Some("layer_scale2.lambda1"),
};

/// The names of the checkpoints that were published with its version 4.
const HUGGING_FACE_4: BlockNames = BlockNames {
    qkv: &["attention.attention.query", "attention.attention.key", "attention.attention.value"],
    out: "attention.output.dense",
    ..HUGGING_FACE
};

/// The names of facebookresearch.
const FACEBOOK: BlockNames = BlockNames {
    norm1: "norm1",
    qkv: &["attn.qkv"],
    out: "attn.proj",
    scale1: Some("ls1.gamma"),
    norm2: "norm2",
    up: "mlp.fc1",
    down: "mlp.fc2",
    scale2: Some("ls2.gamma"),
};

/// Pixels → an embedding.
#[derive(Debug, Clone)]
pub struct Dinov2 {
    patches: PatchEmbedding,
    /// `(1, 1, dim)`.
    class_token: Tensor,
    /// `(1, 1, dim)`.
    class_position: Tensor,
    /// `(patches, dim)`.
    positions: Tensor,
    /// `(1, registers, dim)`.
    registers: Option<Tensor>,
    blocks: Vec<Block>,
    norm: Norm,
    config: Config,
}

/// What the network knows of a batch of images.
#[derive(Debug, Clone)]
pub struct Features {
    /// `(batch, 1 + registers + patches, dim)`, normalised.
    pub last_hidden_state: Tensor,
    /// `(batch, dim)`: the gathering token of it.
    pub pooled: Tensor,
    /// `(batch, dim)`, unit length.
    pub embeddings: Tensor,
}

impl Dinov2 {
    /// Reads the network from weights in Hugging Face's or facebookresearch's names.
    ///
    /// # Errors
    /// [`InferError::WrongWeights`] when a tensor is missing or has another shape.
    pub fn new(vb: &VarBuilder, config: &Config) -> Result<Self> {
        Self::load(vb, config).map_err(|error| InferError::WrongWeights { network: "DINOv2".into(), why: error.to_string() })
    }

    fn load(vb: &VarBuilder, config: &Config) -> candle_core::Result<Self> {
        let dim = config.block.dim;
        let facebook = vb.contains_tensor("cls_token");
        // (names, prefix of the embeddings, positions, patches, blocks, last normalisation)
        let (mut names, embeddings, positions, patches, blocks, norm) = if facebook {
            (FACEBOOK, vb.clone(), "pos_embed", "patch_embed.proj", "blocks", "norm")
        } else {
            let older = vb.contains_tensor("encoder.layer.0.attention.attention.query.weight");
            let names = if older { HUGGING_FACE_4 } else { HUGGING_FACE };
            (names, vb.pp("embeddings"), "position_embeddings", "patch_embeddings.projection", "encoder.layer", "layernorm")
        };
        if config.gated {
            (names.up, names.down) = if facebook { ("mlp.w12", "mlp.w3") } else { ("mlp.weights_in", "mlp.weights_out") };
        }
        let count = (config.image_px / config.patch_px).pow(2);
        let positions = embeddings.get((1, 1 + count, dim), positions)?;
        let registers = match config.registers {
            0 => None,
            several => Some(embeddings.get((1, several, dim), "register_tokens")?),
        };
        Ok(Self {
            patches: PatchEmbedding::load(config.channels, dim, config.patch_px, true, &embeddings.pp(patches))?,
            class_token: embeddings.get((1, 1, dim), "cls_token")?,
            class_position: positions.narrow(1, 0, 1)?.contiguous()?,
            positions: positions.narrow(1, 1, count)?.squeeze(0)?.contiguous()?,
            registers,
            blocks: (0..config.layers)
                .map(|layer| Block::load(&config.block, &names, config.gated, &vb.pp(blocks).pp(layer)))
                .collect::<candle_core::Result<_>>()?,
            norm: Norm::load(dim, config.block.norm_eps, &vb.pp(norm))?,
            config: config.clone(),
        })
    }

    /// How its pixels are made.
    pub fn input(&self) -> input::Config {
        input::Config::dinov2()
    }

    /// `(batch, 3, height, width)`, both sides multiples of the patch, normalised as [`Self::input`] says → what is known of them.
    ///
    /// Other sizes than the trained one have their positions interpolated.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when the shape is another one, [`InferError::Candle`] when memory or the device fails.
    pub fn features(&self, pixels: &Tensor) -> Result<Features> {
        let patch = self.config.patch_px;
        input::check_pixels(pixels, "DINOv2", |_, channels, height, width| {
            channels == self.config.channels
                && height >= patch
                && width >= patch
                && height.is_multiple_of(patch)
                && width.is_multiple_of(patch)
        })?;
        let (_, _, height, width) = pixels.dims4()?;
        let positions = resized_positions(&self.positions, height / patch, width / patch)?.unsqueeze(0)?;
        let tokens = self.patches.forward(pixels)?.broadcast_add(&positions)?;
        let tokens = match &self.registers {
            Some(registers) => {
                let (batch, _, dim) = tokens.dims3()?;
                Tensor::cat(&[&registers.expand((batch, self.config.registers, dim))?.contiguous()?, &tokens], 1)?
            }
            None => tokens,
        };
        let mut x = with_first_token(&(&self.class_token + &self.class_position)?, &tokens)?;
        for block in &self.blocks {
            x = block.forward(&x, &Mask::NONE)?;
        }
        let last_hidden_state = self.norm.forward(&x)?;
        let pooled = last_hidden_state.i((.., 0))?;
        let embeddings = unit_length(&pooled)?;
        Ok(Features { last_hidden_state, pooled, embeddings })
    }

    /// `(batch, 3, height, width)`, normalised as [`Self::input`] says → `(batch, dim)`, unit length.
    ///
    /// # Errors
    /// As [`Self::features`].
    pub fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        Ok(self.features(pixels)?.embeddings)
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct Stated {
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    mlp_ratio: f64,
    hidden_act: String,
    layer_norm_eps: f64,
    image_size: usize,
    patch_size: usize,
    num_channels: usize,
    num_register_tokens: usize,
    use_swiglu_ffn: bool,
}

impl Default for Stated {
    fn default() -> Self {
        Self {
            model_type: String::new(),
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            mlp_ratio: 4.0,
            hidden_act: "gelu".into(),
            layer_norm_eps: 1e-6,
            image_size: 224,
            patch_size: 14,
            num_channels: 3,
            num_register_tokens: 4,
            use_swiglu_ffn: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_giants_gate_has_the_published_width() {
        assert_eq!(Config::vit_giant().block.inner_dim, 4096);
    }

    #[test]
    fn configurations_say_what_they_are() {
        let config =
            Config::from_json(r#"{"model_type": "dinov2", "hidden_size": 384, "num_attention_heads": 6, "image_size": 518}"#).unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::vit_small()));
        let with = Config::from_json(r#"{"model_type": "dinov2_with_registers"}"#).unwrap();
        assert_eq!(with.registers, 4);
        assert!(Config::from_json(r#"{"model_type": "dinov3_vit"}"#).is_err());
        assert!(Config::from_json(r#"{"model_type": "dinov2", "mlp_ratio": 1e30}"#).is_err());
        assert!(Config::from_json(r#"{"model_type": "dinov2", "mlp_ratio": -1}"#).is_err());
    }
}
