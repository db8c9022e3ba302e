//! The half of CLIP that reads. Apart from the other half, because the server answers questions with it alone, on the CPU. Imports the
//! transformer's block.

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;

use super::{Config, TextConfig, wrong};
use crate::infer::transformer::{Block, CLIP_NAMES, Mask, Norm, rows_at, unit_length};
use crate::infer::{InferError, Result};

/// Tokens → an embedding.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    /// `(vocabulary, dim)`.
    tokens: Tensor,
    /// `(context, dim)`.
    positions: Tensor,
    blocks: Vec<Block>,
    norm_after: Norm,
    /// `(dim, projection_dim)`.
    projection: Tensor,
    config: TextConfig,
}

/// What the encoder knows of a batch of sentences.
#[derive(Debug, Clone)]
pub struct TextFeatures {
    /// `(batch, tokens, dim)`: after the last block, normalised. `tokens` is the length of the longest sentence of the batch.
    pub last_hidden_state: Tensor,
    /// `(batch, dim)`: the token that ends each sentence.
    pub pooled: Tensor,
    /// `(batch, projection_dim)`, unit length.
    pub embeddings: Tensor,
}

impl TextEncoder {
    /// Reads the encoder from weights in Hugging Face's names: `text_model.*` and `text_projection.weight`.
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
            // (projection_dim, dim) → (dim, projection_dim)
            projection: vb.get((config.projection_dim, dim), "text_projection.weight")?.t()?.contiguous()?,
            config: text.clone(),
        })
    }

    /// Longest sentence, in tokens, its start and end counted.
    pub fn context(&self) -> usize {
        self.config.context
    }

    /// Sentences as tokens, each with its start and end, padded behind the end or not → what is known of them.
    ///
    /// No token looks ahead, so what stands behind the end of a sentence changes nothing and is not computed: ten words take a fifth of the
    /// time of a full context, with the same result.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when the batch or a sentence is empty, longer than the context, without an end or has unknown tokens;
    /// [`InferError::Candle`] when memory or the device fails.
    pub fn features(&self, sentences: &[Vec<u32>]) -> Result<TextFeatures> {
        let ends = sentences.iter().map(|sentence| self.end_of(sentence)).collect::<Result<Vec<_>>>()?;
        let Some(&last) = ends.iter().max() else {
            return Err(InferError::BadInput("there is no sentence to embed".into()));
        };
        let (batch, length, dim) = (sentences.len(), last + 1, self.config.block.dim);
        // Shorter sentences are filled with their own end: any known token would do.
        let ids: Vec<u32> =
            sentences.iter().zip(&ends).flat_map(|(sentence, &end)| (0..length).map(move |position| sentence[position.min(end)])).collect();
        let ids = Tensor::from_vec(ids, batch * length, self.tokens.device())?;
        let tokens = self.tokens.index_select(&ids, 0)?.reshape((batch, length, dim))?;
        let mut x = tokens.broadcast_add(&self.positions.narrow(0, 0, length)?)?;
        let mask = Mask { causal: true, lengths: Some(ends.iter().map(|end| end + 1).collect()) };
        for block in &self.blocks {
            x = block.forward(&x, &mask)?;
        }
        let last_hidden_state = self.norm_after.forward(&x)?;
        let pooled = rows_at(&last_hidden_state, &ends)?;
        let embeddings = unit_length(&pooled.matmul(&self.projection)?)?;
        Ok(TextFeatures { last_hidden_state, pooled, embeddings })
    }

    /// Sentences as tokens → `(batch, projection_dim)`, unit length.
    ///
    /// # Errors
    /// As [`Self::features`].
    pub fn embed(&self, sentences: &[Vec<u32>]) -> Result<Tensor> {
        Ok(self.features(sentences)?.embeddings)
    }

    /// Where a sentence ends.
    fn end_of(&self, sentence: &[u32]) -> Result<usize> {
        let TextConfig { vocabulary, context, end_token, .. } = self.config;
        if let Some(token) = sentence.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(InferError::BadInput(format!(
                "token {token} is not one of the {vocabulary} that this CLIP knows; is the tokenizer its own?"
            )));
        }
        let end = match end_token {
            Some(end_token) => sentence.iter().position(|&token| token == end_token),
            // The first of the largest.
            None => sentence
                .iter()
                .enumerate()
                .max_by_key(|&(position, token)| (token, std::cmp::Reverse(position)))
                .map(|(position, _)| position),
        };
        match end {
            Some(end) if end < context => Ok(end),
            Some(end) => Err(InferError::BadInput(format!("a sentence of {} tokens; this CLIP reads {context}", end + 1))),
            None => Err(InferError::BadInput("a sentence without the token that ends it".into())),
        }
    }

    /// The kind of number that its weights are.
    pub fn dtype(&self) -> DType {
        self.tokens.dtype()
    }
}
