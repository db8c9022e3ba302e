//! Words → vectors, on the CPU: a question must find its answer while the machine with the GPU sleeps.

use std::path::Path;

use candle_core::Device;

use super::{DTYPE, config, embedder::checked, open};
use crate::infer::{
    InferError, Result, clip,
    shelf::{Shelved, Use},
    siglip,
    tokenizer::Tokenizer,
    weights::Family,
};

/// The half of a network that reads.
pub(super) enum Encoder {
    Clip(clip::TextEncoder, usize),
    Siglip(siglip::TextEncoder, usize),
}

impl Encoder {
    /// Reads it, and how many tokens it knows.
    pub(super) fn open(shelved: &Shelved) -> Result<Self> {
        let weights = open(shelved, &[Use::Embed], "reads no words")?;
        let config = config(&weights, &shelved.manifest.title)?;
        let vb = weights.var_builder(DTYPE, &Device::Cpu);
        if shelved.family() == Family::Siglip {
            let config = siglip::Config::from_json(&config)?;
            return Ok(Self::Siglip(siglip::TextEncoder::new(&vb, &config)?, config.text.vocabulary));
        }
        let config = clip::Config::from_json(&config)?;
        Ok(Self::Clip(clip::TextEncoder::new(&vb, &config)?, config.text.vocabulary))
    }

    fn vocabulary(&self) -> usize {
        match self {
            Self::Clip(_, vocabulary) | Self::Siglip(_, vocabulary) => *vocabulary,
        }
    }
}

/// CLIP or SigLIP on the CPU: words → a vector in the space of its pictures.
pub struct WordEncoder {
    encoder: Encoder,
    tokenizer: Tokenizer,
    title: String,
}

impl WordEncoder {
    /// Reads the half of the network that reads, and its tokenizer.
    ///
    /// # Errors
    /// [`InferError::Refused`] for a network that reads no words, was imported without a tokenizer, or has another's; else as
    /// [`super::PictureEmbedder::open`].
    pub fn open(shelved: &Shelved) -> Result<Self> {
        let Some(tokenizer) = shelved.tokenizer() else {
            open(shelved, &[Use::Embed], "reads no words")?;
            return Err(InferError::Refused(format!(
                "{} ({}) was imported without a tokenizer, so that it cannot be asked with words\n\
                 hint: import it again with --tokenizer FILE; tokenizer.json is on the page that the weights are from",
                shelved.manifest.title, shelved.manifest.name
            )));
        };
        Self::with_tokenizer(shelved, &tokenizer)
    }

    /// With a tokenizer from anywhere.
    pub(super) fn with_tokenizer(shelved: &Shelved, file: &Path) -> Result<Self> {
        let tokenizer = Tokenizer::from_file(file)?;
        let encoder = Encoder::open(shelved)?;
        if tokenizer.vocabulary() > encoder.vocabulary() {
            return Err(InferError::Refused(format!(
                "`{}` knows {} tokens and {} only {}: it is another network's tokenizer\nhint: take the one from the page that the weights are from",
                file.display(),
                tokenizer.vocabulary(),
                shelved.manifest.title,
                encoder.vocabulary()
            )));
        }
        Ok(Self { encoder, tokenizer, title: shelved.manifest.title.clone() })
    }

    /// Words, as a person types them → a vector of unit length. What is longer than the network reads is cut off.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when there is nothing to read; [`InferError::WrongWeights`] when what comes out is no vector;
    /// [`InferError::Candle`] when memory fails.
    pub fn embed(&self, words: &str) -> Result<Vec<f32>> {
        let words = words.trim();
        if words.is_empty() {
            return Err(InferError::BadInput("there are no words to look for".into()));
        }
        let embeddings = match &self.encoder {
            Encoder::Clip(encoder, _) => encoder.embed(&[self.tokenizer.encode(words, encoder.context())?])?,
            // It was trained on small letters alone.
            Encoder::Siglip(encoder, _) => encoder.embed(&[self.tokenizer.encode(&words.to_lowercase(), encoder.context())?])?,
        };
        let mut vectors = checked(embeddings.to_vec2()?, &self.title)?;
        vectors.pop().ok_or_else(|| InferError::BadInput("there are no words to look for".into()))
    }
}
