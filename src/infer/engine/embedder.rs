//! Pictures → vectors. Apart from words → vectors, because a worker needs no words and a server that only answers questions no pictures.

use candle_core::{Device, Tensor};

use super::{DTYPE, Prepared, config, open, prepared::Shape};
use crate::infer::{
    InferError, Result, Rgb8, clip, dinov2, input,
    shelf::{Shelved, Use},
    siglip,
    weights::Family,
};

enum Encoder {
    Clip(clip::ImageEncoder),
    Siglip(Box<siglip::ImageEncoder>),
    Dinov2(dinov2::Dinov2),
}

/// CLIP, SigLIP or DINOv2 on a device: pictures → vectors.
pub struct PictureEmbedder {
    encoder: Encoder,
    input: input::Config,
    dimensions: usize,
    device: Device,
    title: String,
}

impl PictureEmbedder {
    /// Reads the half of the network that sees onto a device.
    ///
    /// # Errors
    /// [`InferError::Refused`] for a network of another use; [`InferError::WrongWeights`] or [`InferError::BadInput`] when it cannot be built;
    /// [`InferError::Read`] and [`InferError::BadFile`]; [`InferError::Candle`] when the device has no memory.
    pub fn open(shelved: &Shelved, device: &Device) -> Result<Self> {
        let weights = open(shelved, &[Use::Embed, Use::Objects], "makes no vectors of pictures")?;
        let config = config(&weights, &shelved.manifest.title)?;
        let vb = weights.var_builder(DTYPE, device);
        let (encoder, input, dimensions) = match shelved.family() {
            Family::Siglip => {
                let config = siglip::Config::from_json(&config)?;
                let encoder = siglip::ImageEncoder::new(&vb, &config)?;
                let input = encoder.input();
                (Encoder::Siglip(Box::new(encoder)), input, config.vision.block.dim)
            }
            Family::Dinov2 => {
                let config = dinov2::Config::from_json(&config)?;
                let encoder = dinov2::Dinov2::new(&vb, &config)?;
                let input = encoder.input();
                (Encoder::Dinov2(encoder), input, config.block.dim)
            }
            // Others are of other uses.
            _ => {
                let config = clip::Config::from_json(&config)?;
                let encoder = clip::ImageEncoder::new(&vb, &config)?;
                let input = encoder.input();
                (Encoder::Clip(encoder), input, config.projection_dim)
            }
        };
        Ok(Self { encoder, input, dimensions, device: device.clone(), title: shelved.manifest.title.clone() })
    }

    /// How many numbers a vector has.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The CPU's half: an upright picture, resampled, cut and normalised.
    ///
    /// # Errors
    /// [`InferError::BadInput`] for a picture without pixels, or with too few bytes.
    pub fn prepare(&self, picture: &Rgb8<'_>) -> Result<Prepared> {
        Ok(Prepared { values: self.input.prepare(picture)?, shape: Shape::Square { side_px: self.input.side_px() as usize } })
    }

    /// The device's half: a vector of unit length for each picture, in their order, each as if it were alone.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when one was prepared for another network; [`InferError::WrongWeights`] when what comes out is no vector;
    /// [`InferError::Candle`] when memory or the device fails.
    pub fn run(&self, pictures: &[Prepared]) -> Result<Vec<Vec<f32>>> {
        if pictures.is_empty() {
            return Ok(Vec::new());
        }
        let side_px = self.input.side_px() as usize;
        if pictures.iter().any(|picture| picture.shape != Shape::Square { side_px }) {
            return Err(InferError::BadInput(format!("a picture was not prepared for {}", self.title)));
        }
        let mut values = Vec::with_capacity(pictures.len() * 3 * side_px * side_px);
        pictures.iter().for_each(|picture| values.extend_from_slice(&picture.values));
        let pixels = Tensor::from_vec(values, (pictures.len(), 3, side_px, side_px), &self.device)?;
        let embeddings = match &self.encoder {
            Encoder::Clip(encoder) => encoder.embed(&pixels)?,
            Encoder::Siglip(encoder) => encoder.embed(&pixels)?,
            Encoder::Dinov2(encoder) => encoder.embed(&pixels)?,
        };
        checked(embeddings.to_vec2()?, &self.title)
    }

    /// Both halves: a vector of unit length for each upright picture, in their order.
    ///
    /// # Errors
    /// As [`Self::prepare`] and [`Self::run`].
    pub fn embed(&self, pictures: &[Rgb8<'_>]) -> Result<Vec<Vec<f32>>> {
        self.run(&pictures.iter().map(|picture| self.prepare(picture)).collect::<Result<Vec<_>>>()?)
    }
}

/// Vectors of finite numbers: damaged weights give others, which nothing could be compared with.
pub(super) fn checked(vectors: Vec<Vec<f32>>, title: &str) -> Result<Vec<Vec<f32>>> {
    if vectors.iter().flatten().all(|number| number.is_finite()) {
        return Ok(vectors);
    }
    Err(InferError::WrongWeights {
        network: title.to_owned(),
        why: "what comes out are no finite numbers; hint: `hm models verify` tells whether the files are whole".into(),
    })
}
