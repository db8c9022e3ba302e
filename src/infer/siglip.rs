//! SigLIP and SigLIP 2 at fixed sizes: images and sentences in one space, trained pair by pair.
//!
//! Papers: Zhai et al., “Sigmoid Loss for Language Image Pre-Training” (2023); Tschannen et al., “SigLIP 2” (2025). Reference:
//! `modeling_siglip.py` of Hugging Face's transformers 5.23. Checkpoints: `google/siglip-base-patch16-224` and its kin, `google/siglip2-*`
//! with `model_type: siglip` (Apache-2.0). Names as in those checkpoints. The two encoders are apart, as CLIP's. Imports the transformer's
//! block.

use candle_core::{DType, IndexOp, Tensor};
use candle_nn::VarBuilder;
use serde::Deserialize;

use super::clip::{activation, check_patches, check_sizes};
use super::input;
use super::transformer::{Block, BlockConfig, CLIP_NAMES, Mask, Norm, PatchEmbedding, Projection, unit_length};
use super::{InferError, Result};
use crate::infer::ops::Activation;

/// Both encoders.
#[derive(Debug, Clone)]
pub struct Config {
    /// The encoder for images.
    pub vision: VisionConfig,
    /// The encoder for sentences.
    pub text: TextConfig,
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
    /// Tokens of every sentence: it was trained on padded ones and reads the last token.
    pub context: usize,
    /// What shorter sentences are filled with.
    pub pad_token: u32,
    /// Numbers of an embedding.
    pub projection_dim: usize,
}

impl Config {
    /// `google/siglip-base-patch16-224`: 768 numbers, 93 + 110 million weights.
    pub fn base_patch16_224() -> Self {
        Self::from_stated(Stated::default()).expect("the defaults are that network")
    }

    /// From the text of a Hugging Face `config.json`; what is not stated has the values of `google/siglip-base-patch16-224`, as there.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when it is no SigLIP's, no JSON or says what cannot be.
    pub fn from_json(json: &str) -> Result<Self> {
        let stated: Stated =
            serde_json::from_str(json).map_err(|error| InferError::BadInput(format!("config.json of a SigLIP: {error}")))?;
        if stated.model_type != "siglip" {
            return Err(InferError::BadInput(format!("config.json is of a `{}`, not of a `siglip`", stated.model_type)));
        }
        Self::from_stated(stated)
    }

    fn from_stated(Stated { vision_config: vision, text_config: text, .. }: Stated) -> Result<Self> {
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
                pad_token: text.pad_token_id.unwrap_or(1),
                projection_dim: text.projection_size.unwrap_or(text.hidden_size),
            },
        };
        check_sizes(&config.vision.block, config.vision.layers)?;
        check_sizes(&config.text.block, config.text.layers)?;
        check_patches(config.vision.image_px, config.vision.patch_px)?;
        Ok(config)
    }
}

/// Pixels → an embedding.
#[derive(Debug, Clone)]
pub struct ImageEncoder {
    patches: PatchEmbedding,
    /// `(1, patches, dim)`.
    positions: Tensor,
    blocks: Vec<Block>,
    norm_after: Norm,
    head: PoolingHead,
    config: VisionConfig,
}

/// What the encoder knows of a batch of images.
#[derive(Debug, Clone)]
pub struct ImageFeatures {
    /// `(batch, patches, dim)`: after the last block, normalised.
    pub last_hidden_state: Tensor,
    /// `(batch, dim)`: what the head gathers from them.
    pub pooled: Tensor,
    /// `(batch, dim)`, unit length.
    pub embeddings: Tensor,
}

impl ImageEncoder {
    /// Reads the encoder from weights in Hugging Face's names: `vision_model.*`.
    ///
    /// # Errors
    /// [`InferError::WrongWeights`] when a tensor is missing or has another shape.
    pub fn new(vb: &VarBuilder, config: &Config) -> Result<Self> {
        Self::load(vb, config).map_err(wrong)
    }

    fn load(vb: &VarBuilder, config: &Config) -> candle_core::Result<Self> {
        let vision = &config.vision;
        let (dim, eps) = (vision.block.dim, vision.block.norm_eps);
        let model = vb.pp("vision_model");
        let patches = (vision.image_px / vision.patch_px).pow(2);
        let blocks = (0..vision.layers)
            .map(|layer| Block::load(&vision.block, &CLIP_NAMES, false, &model.pp("encoder.layers").pp(layer)))
            .collect::<candle_core::Result<_>>()?;
        Ok(Self {
            patches: PatchEmbedding::load(vision.channels, dim, vision.patch_px, true, &model.pp("embeddings.patch_embedding"))?,
            positions: model.get((patches, dim), "embeddings.position_embedding.weight")?.unsqueeze(0)?,
            blocks,
            norm_after: Norm::load(dim, eps, &model.pp("post_layernorm"))?,
            head: PoolingHead::load(&vision.block, &model.pp("head"))?,
            config: vision.clone(),
        })
    }

    /// How its pixels are made.
    pub fn input(&self) -> input::Config {
        input::Config::siglip(self.config.image_px as u32)
    }

    /// `(batch, 3, image_px, image_px)`, normalised as [`Self::input`] says → what is known of them.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when the shape is another one, [`InferError::Candle`] when memory or the device fails.
    pub fn features(&self, pixels: &Tensor) -> Result<ImageFeatures> {
        let side = self.config.image_px;
        input::check_pixels(pixels, "SigLIP", |_, channels, height, width| {
            channels == self.config.channels && (height, width) == (side, side)
        })?;
        let mut x = self.patches.forward(pixels)?.broadcast_add(&self.positions)?;
        for block in &self.blocks {
            x = block.forward(&x, &Mask::NONE)?;
        }
        let last_hidden_state = self.norm_after.forward(&x)?;
        let pooled = self.head.forward(&last_hidden_state)?;
        let embeddings = unit_length(&pooled)?;
        Ok(ImageFeatures { last_hidden_state, pooled, embeddings })
    }

    /// `(batch, 3, image_px, image_px)`, normalised as [`Self::input`] says → `(batch, dim)`, unit length.
    ///
    /// # Errors
    /// As [`Self::features`].
    pub fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        Ok(self.features(pixels)?.embeddings)
    }
}

/// One learnt question that all patches answer.
#[derive(Debug, Clone)]
struct PoolingHead {
    /// `(1, heads, 1, width)`: the question, projected and scaled once.
    query: Tensor,
    keys: Projection,
    values: Projection,
    out: Projection,
    norm: Norm,
    up: Projection,
    down: Projection,
    activation: Activation,
    heads: usize,
}

impl PoolingHead {
    fn load(block: &BlockConfig, vb: &VarBuilder) -> candle_core::Result<Self> {
        let BlockConfig { dim, heads, inner_dim, activation, norm_eps } = *block;
        let width = dim / heads;
        let attention = vb.pp("attention");
        let weight = attention.get((3 * dim, dim), "in_proj_weight")?;
        let bias = attention.get(3 * dim, "in_proj_bias")?;
        let part = |index: usize| Projection::new(&weight.narrow(0, index * dim, dim)?, &bias.narrow(0, index * dim, dim)?);
        let query = part(0)?.forward(&vb.get((1, 1, dim), "probe")?)?;
        Ok(Self {
            query: (query.reshape((1, heads, 1, width))? * (width as f64).sqrt().recip())?,
            keys: part(1)?,
            values: part(2)?,
            out: Projection::load(dim, dim, &attention.pp("out_proj"))?,
            norm: Norm::load(dim, norm_eps, &vb.pp("layernorm"))?,
            up: Projection::load(dim, inner_dim, &vb.pp("mlp.fc1"))?,
            down: Projection::load(inner_dim, dim, &vb.pp("mlp.fc2"))?,
            activation,
            heads,
        })
    }

    /// `(batch, patches, dim) → (batch, dim)`.
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (batch, patches, dim) = x.dims3()?;
        // (batch, patches, dim) → (batch, heads, patches, width)
        let by_head = |x: Tensor| x.reshape((batch, patches, self.heads, dim / self.heads))?.transpose(1, 2)?.contiguous();
        let (keys, values) = (by_head(self.keys.forward(x)?)?, by_head(self.values.forward(x)?)?);
        // (batch, heads, 1, patches): one question, so products of numbers do as well as products of matrices.
        let scores = keys.broadcast_mul(&self.query)?.sum(3)?.unsqueeze(2)?;
        let shares = candle_nn::ops::softmax_last_dim(&scores.to_dtype(DType::F32)?)?.to_dtype(values.dtype())?;
        // (batch, heads, 1, width) → (batch, dim)
        let answer = self.out.forward(&shares.matmul(&values)?.reshape((batch, dim))?)?;
        let inner = self.up.forward_activated(&self.norm.forward(&answer)?, self.activation)?;
        self.down.forward_onto(&inner, &answer)
    }
}

/// Tokens → an embedding.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    /// `(vocabulary, dim)`.
    tokens: Tensor,
    /// `(context, dim)`.
    positions: Tensor,
    blocks: Vec<Block>,
    norm_after: Norm,
    head: Projection,
    config: TextConfig,
}

/// What the encoder knows of a batch of sentences.
#[derive(Debug, Clone)]
pub struct TextFeatures {
    /// `(batch, context, dim)`: after the last block, normalised.
    pub last_hidden_state: Tensor,
    /// `(batch, projection_dim)`: the last token, projected.
    pub pooled: Tensor,
    /// `(batch, projection_dim)`, unit length.
    pub embeddings: Tensor,
}

impl TextEncoder {
    /// Reads the encoder from weights in Hugging Face's names: `text_model.*`.
    ///
    /// # Errors
    /// [`InferError::WrongWeights`] when a tensor is missing or has another shape.
    pub fn new(vb: &VarBuilder, config: &Config) -> Result<Self> {
        Self::load(vb, config).map_err(wrong)
    }

    fn load(vb: &VarBuilder, config: &Config) -> candle_core::Result<Self> {
        let text = &config.text;
        let dim = text.block.dim;
        let model = vb.pp("text_model");
        let blocks = (0..text.layers)
            .map(|layer| Block::load(&text.block, &CLIP_NAMES, false, &model.pp("encoder.layers").pp(layer)))
            .collect::<candle_core::Result<_>>()?;
        Ok(Self {
            tokens: model.get((text.vocabulary, dim), "embeddings.token_embedding.weight")?,
            positions: model.get((text.context, dim), "embeddings.position_embedding.weight")?,
            blocks,
            norm_after: Norm::load(dim, text.block.norm_eps, &model.pp("final_layer_norm"))?,
            head: Projection::load(dim, text.projection_dim, &model.pp("head"))?,
            config: text.clone(),
        })
    }

    /// Tokens that every sentence is filled to.
    pub fn context(&self) -> usize {
        self.config.context
    }

    /// Sentences as tokens, which are filled to the context with the padding token → what is known of them.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when there is none, one is longer than the context or has unknown tokens;
    /// [`InferError::Candle`] when memory or the device fails.
    pub fn features(&self, sentences: &[Vec<u32>]) -> Result<TextFeatures> {
        let TextConfig { vocabulary, context, pad_token, .. } = self.config;
        if sentences.is_empty() {
            return Err(InferError::BadInput("there is no sentence to embed".into()));
        }
        let mut ids = Vec::with_capacity(sentences.len() * context);
        for sentence in sentences {
            if sentence.len() > context {
                return Err(InferError::BadInput(format!("a sentence of {} tokens; this SigLIP reads {context}", sentence.len())));
            }
            ids.extend(sentence.iter().copied().chain(std::iter::repeat_n(pad_token, context - sentence.len())));
        }
        if let Some(token) = ids.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(InferError::BadInput(format!(
                "token {token} is not one of the {vocabulary} that this SigLIP knows; is the tokenizer its own?"
            )));
        }
        let (batch, dim) = (sentences.len(), self.config.block.dim);
        let ids = Tensor::from_vec(ids, batch * context, self.tokens.device())?;
        let tokens = self.tokens.index_select(&ids, 0)?.reshape((batch, context, dim))?;
        let mut x = tokens.broadcast_add(&self.positions)?;
        for block in &self.blocks {
            x = block.forward(&x, &Mask::NONE)?;
        }
        let last_hidden_state = self.norm_after.forward(&x)?;
        let pooled = self.head.forward(&last_hidden_state.i((.., context - 1))?)?;
        let embeddings = unit_length(&pooled)?;
        Ok(TextFeatures { last_hidden_state, pooled, embeddings })
    }

    /// Sentences as tokens → `(batch, projection_dim)`, unit length.
    ///
    /// # Errors
    /// As [`Self::features`].
    pub fn embed(&self, sentences: &[Vec<u32>]) -> Result<Tensor> {
        Ok(self.features(sentences)?.embeddings)
    }
}

/// How likely an image and a sentence belong together: the sigmoid of `cosine · scale + bias`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// What the cosine is multiplied with, after the exponential.
    pub scale: f32,
    /// What is added.
    pub bias: f32,
}

impl Calibration {
    /// Reads `logit_scale` and `logit_bias`.
    ///
    /// # Errors
    /// [`InferError::WrongWeights`] when one is missing.
    pub fn new(vb: &VarBuilder) -> Result<Self> {
        let read = |name: &str| -> candle_core::Result<f32> { vb.get(1, name)?.to_dtype(DType::F32)?.reshape(())?.to_scalar() };
        Ok(Self { scale: read("logit_scale").map_err(wrong)?.exp(), bias: read("logit_bias").map_err(wrong)? })
    }

    /// `(images, dim)` and `(texts, dim)` of unit length → `(images, texts)`; their sigmoid is a probability.
    ///
    /// # Errors
    /// [`InferError::Candle`] when the widths differ.
    pub fn logits_per_image(&self, images: &Tensor, texts: &Tensor) -> Result<Tensor> {
        Ok(images.matmul(&texts.t()?)?.affine(f64::from(self.scale), f64::from(self.bias))?)
    }
}

fn wrong(why: impl ToString) -> InferError {
    InferError::WrongWeights { network: "SigLIP".into(), why: why.to_string() }
}

#[derive(Deserialize, Default)]
struct Stated {
    #[serde(default)]
    model_type: String,
    #[serde(default)]
    vision_config: StatedVision,
    #[serde(default)]
    text_config: StatedText,
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
            patch_size: 16,
            hidden_act: "gelu_pytorch_tanh".into(),
            layer_norm_eps: 1e-6,
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
    pad_token_id: Option<u32>,
    projection_size: Option<usize>,
}

impl Default for StatedText {
    fn default() -> Self {
        Self {
            vocab_size: 32_000,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            max_position_embeddings: 64,
            hidden_act: "gelu_pytorch_tanh".into(),
            layer_norm_eps: 1e-6,
            pad_token_id: Some(1),
            projection_size: None,
        }
    }
}
