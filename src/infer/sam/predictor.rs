//! Masks of photographs: the image once, then prompts in px of the upright image. Apart from [`super::SamNetwork`], which knows
//! nothing of photographs.

use candle_core::{DType, Device, Tensor};
use half::f16;
use serde::{Deserialize, Serialize};

use super::{Decoded, Features, FineMaps, InputPoint, PointLabel, SamNetwork, Transform, decoder::MASK_TOKENS, logits::Logits};
use crate::{
    infer::{InferError, Result, Rgb8},
    models::vision::{BoundingBox, Mask},
};

/// Logits within which a mask's outline may move when its stability is told.
///
/// # Source
/// `stability_score_offset` of facebookresearch/segment-anything's automatic mask generator.
const STABILITY_OFFSET: f32 = 1.0;

/// A place someone pointed at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PromptPoint {
    /// From the left edge of the upright image.
    pub x_px: f32,
    /// From its top edge.
    pub y_px: f32,
    /// Whether the place belongs to the object, or must not.
    pub is_foreground: bool,
}

/// Which of the decoder's four masks to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskChoice {
    /// For one point alone, which may mean a part or the whole, the best of three; else the one that the prompts mean together.
    #[default]
    Auto,
    /// The one made for prompts that can mean one thing only; from SAM 2 the best of the others when it is unsteady.
    Single,
    /// The best of the three alternatives by predicted score.
    Best,
    /// All three alternatives, in the decoder's order.
    All,
}

/// What to look for. Points belong to every object; each box is an object of its own.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prompts {
    /// Places that belong to the object, or do not.
    pub points: Vec<PromptPoint>,
    /// One object each.
    pub boxes: Vec<BoundingBox>,
    /// The low logits of an earlier answer, to go on from.
    pub mask: Option<Vec<f32>>,
    /// Which masks to give.
    pub choice: MaskChoice,
    /// Fill holes of at most so many cells of the low logits (a cell is 4 px of the input wide); 0 fills none.
    pub fill_holes_of: usize,
}

/// A mask with what the network thinks of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictedMask {
    /// Which of the boxes it is of; 0 without boxes.
    pub object: usize,
    /// The pixels, of the upright image.
    pub mask: Mask,
    /// Predicted overlap with the truth, about 0..=1.
    pub score: f32,
    /// How little the mask depends on its threshold, 0..=1.
    pub stability: f32,
    /// How likely the object is there at all, 0..=1; 1 from networks that do not say.
    pub object_score: f32,
    /// `(4 · grid, 4 · grid)`, row after row: logits in the frame of the network's input, as [`Prompts::mask`] takes them.
    pub low_logits: Vec<f32>,
}

/// An image as the network sees it, to be asked again and again.
#[derive(Debug, Clone)]
pub struct ImageEmbedding {
    features: Features,
    transform: Transform,
}

impl ImageEmbedding {
    /// Of any numbers, for tests.
    #[cfg(test)]
    pub(in crate::infer) fn new(features: Features, transform: Transform) -> Self {
        Self { features, transform }
    }

    /// What it takes in memory, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let fine = self.features.fine.iter().flat_map(|fine| [&fine.finest, &fine.finer]);
        let tensors = std::iter::once(&self.features.embedding).chain(fine);
        tensors.map(|tensor| (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64).sum()
    }

    /// How the image lies in the network's input.
    pub fn transform(&self) -> &Transform {
        &self.transform
    }

    /// The numbers, for a look.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// As bytes for a cache, numbers in half precision: 2 MB for SAM and 8 MB for SAM 2 at 1024 px. What network made it is for the
    /// cache to know.
    ///
    /// # Errors
    /// [`InferError::Candle`] when the device fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = MAGIC.to_vec();
        let transform = &self.transform;
        let sides =
            [transform.image_width_px, transform.image_height_px, transform.input_width_px, transform.input_height_px, transform.input_px];
        sides.iter().for_each(|side| bytes.extend(side.to_le_bytes()));
        let fine = self.features.fine.iter().flat_map(|fine| [&fine.finest, &fine.finer]);
        for tensor in std::iter::once(&self.features.embedding).chain(fine) {
            bytes.push(tensor.rank() as u8);
            tensor.dims().iter().for_each(|&length| bytes.extend((length as u32).to_le_bytes()));
            let numbers = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            numbers.iter().for_each(|&number| bytes.extend(f16::from_f32(number).to_le_bytes()));
        }
        Ok(bytes)
    }

    /// Reads what [`ImageEmbedding::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`InferError::BadInput`] for anything else.
    pub fn of_bytes(bytes: &[u8], device: &Device) -> Result<Self> {
        let mut reader = Reader { bytes };
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(bad_bytes());
        }
        let transform = Transform {
            image_width_px: reader.number()?,
            image_height_px: reader.number()?,
            input_width_px: reader.number()?,
            input_height_px: reader.number()?,
            input_px: reader.number()?,
        };
        let fits = |filled: u32| filled > 0 && filled <= transform.input_px;
        if transform.image_width_px == 0 || transform.image_height_px == 0 {
            return Err(bad_bytes());
        }
        if !fits(transform.input_width_px) || !fits(transform.input_height_px) {
            return Err(bad_bytes());
        }
        let embedding = reader.tensor(4, device)?;
        let fine = if reader.bytes.is_empty() {
            None
        } else {
            Some(FineMaps { finest: reader.tensor(3, device)?, finer: reader.tensor(3, device)? })
        };
        if reader.bytes.is_empty() { Ok(Self { features: Features { embedding, fine }, transform }) } else { Err(bad_bytes()) }
    }
}

/// Begins the bytes of an embedding; the last character is the version of the layout.
const MAGIC: &[u8; 8] = b"hm.sam.1";

fn bad_bytes() -> InferError {
    InferError::BadInput("these bytes are no embedding of an image; embed the image again".to_owned())
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(bad_bytes)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32> {
        let bytes = self.take(4)?.try_into().map_err(|_| bad_bytes())?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn tensor(&mut self, rank: u8, device: &Device) -> Result<Tensor> {
        if self.take(1)? != [rank] {
            return Err(bad_bytes());
        }
        let dims = (0..rank).map(|_| Ok(self.number()? as usize)).collect::<Result<Vec<_>>>()?;
        let count = dims.iter().try_fold(2_usize, |count, &length| count.checked_mul(length)).ok_or_else(bad_bytes)?;
        let numbers: Vec<f32> = self.take(count)?.chunks_exact(2).map(|pair| f16::from_le_bytes([pair[0], pair[1]]).to_f32()).collect();
        Ok(Tensor::from_vec(numbers, dims, device)?)
    }
}

/// A network of this family for photographs.
pub struct Predictor {
    network: SamNetwork,
}

impl Predictor {
    /// A predictor on a network.
    pub fn new(network: SamNetwork) -> Self {
        Self { network }
    }

    /// The network.
    pub fn network(&self) -> &SamNetwork {
        &self.network
    }

    /// How an image of this size lies in the input of this network.
    pub fn transform(&self, width_px: u32, height_px: u32) -> Transform {
        let input_px = self.network.config().image_px as u32;
        if self.network.config().decoder.is_sam2 {
            Transform::square(width_px, height_px, input_px)
        } else {
            Transform::longest_side(width_px, height_px, input_px)
        }
    }

    /// Embeds one image.
    ///
    /// # Errors
    /// [`InferError::BadInput`] for an image without pixels or with too few bytes; [`InferError::Candle`] when memory or the device fails.
    pub fn embed(&self, image: Rgb8<'_>) -> Result<ImageEmbedding> {
        let mut embeddings = self.embed_batch(&[image])?;
        embeddings.pop().ok_or_else(|| InferError::BadInput("no image to embed".to_owned()))
    }

    /// Embeds images at once; each as if it were alone.
    ///
    /// # Errors
    /// As [`Predictor::embed`].
    pub fn embed_batch(&self, images: &[Rgb8<'_>]) -> Result<Vec<ImageEmbedding>> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let side = self.network.config().image_px;
        let mut numbers = Vec::with_capacity(images.len() * side * side * 3);
        let mut transforms = Vec::with_capacity(images.len());
        for image in images {
            image.check()?;
            let transform = self.transform(image.width_px, image.height_px);
            numbers.extend(transform.input(image.bytes, !self.network.config().decoder.is_sam2));
            transforms.push(transform);
        }
        let input = Tensor::from_vec(numbers, (images.len(), side, side, 3), self.network.device())?;
        let features = self.network.encode(&input.to_dtype(self.network.dtype())?)?;
        let of = |tensor: &Tensor, index: usize| tensor.narrow(0, index, 1)?.contiguous();
        transforms
            .into_iter()
            .enumerate()
            .map(|(index, transform)| {
                let fine = match &features.fine {
                    Some(fine) => Some(FineMaps { finest: of(&fine.finest, index)?, finer: of(&fine.finer, index)? }),
                    None => None,
                };
                Ok(ImageEmbedding { features: Features { embedding: of(&features.embedding, index)?, fine }, transform })
            })
            .collect()
    }

    /// Masks for prompts: for each object (each box, or one without boxes) one, or three when all are asked for.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when nothing is asked, a number is not finite, the mask prompt has another size, or the embedding is
    /// of another network; [`InferError::Candle`] when memory or the device fails.
    pub fn masks(&self, image: &ImageEmbedding, prompts: &Prompts) -> Result<Vec<PredictedMask>> {
        self.check(image)?;
        let transform = &image.transform;
        let points = prompts.points.iter().map(|point| input_point(transform, point)).collect::<Result<Vec<_>>>()?;
        let boxes = prompts.boxes.iter().map(|bounds| input_box(transform, bounds)).collect::<Result<Vec<_>>>()?;
        if points.is_empty() && boxes.is_empty() && prompts.mask.is_none() {
            return Err(InferError::BadInput("a mask needs at least one point, box or mask to go by".to_owned()));
        }
        let side = 4 * self.network.config().grid();
        let mask = match &prompts.mask {
            Some(logits) if logits.len() != side * side => {
                return Err(InferError::BadInput(format!("a mask prompt must have {side} × {side} logits, got {}", logits.len())));
            }
            Some(logits) => Some(Tensor::from_slice(logits, (1, side, side), self.network.device())?.to_dtype(self.network.dtype())?),
            None => None,
        };
        let decoded = self.network.decode(&image.features, &points, &boxes, mask.as_ref())?;
        self.answers(&decoded, prompts, transform)
    }

    /// Whether the embedding can be of this network.
    fn check(&self, image: &ImageEmbedding) -> Result<()> {
        let config = self.network.config();
        let (grid, dim) = (config.grid(), config.decoder.dim);
        let cells = grid * grid;
        let fine = image.features.fine.as_ref().map(|fine| (fine.finest.dims(), fine.finer.dims()));
        let fine_fits = match fine {
            Some((finest, finer)) => config.decoder.is_sam2 && finest == [1, 16 * cells, dim / 8] && finer == [1, 4 * cells, dim / 4],
            None => !config.decoder.is_sam2,
        };
        let is_ours = image.features.embedding.dims() == [1, grid, grid, dim] && image.transform.input_px as usize == config.image_px;
        if is_ours && fine_fits {
            Ok(())
        } else {
            Err(InferError::BadInput("this embedding is of another network; embed the image again".to_owned()))
        }
    }

    fn answers(&self, decoded: &Decoded, prompts: &Prompts, transform: &Transform) -> Result<Vec<PredictedMask>> {
        let (objects, _, height, width) = decoded.masks.dims4()?;
        let logits = decoded.masks.flatten_all()?.to_vec1::<f32>()?;
        let scores = decoded.scores.to_vec2::<f32>()?;
        let object_scores = match &decoded.object {
            Some(object) => candle_nn::ops::sigmoid(&object.to_dtype(DType::F32)?)?.flatten_all()?.to_vec1::<f32>()?,
            None => vec![1.0; objects],
        };
        let of_token = |object: usize, token: usize| &logits[(object * MASK_TOKENS + token) * height * width..][..height * width];
        let mut answers = Vec::new();
        for (object, scores) in scores.iter().enumerate() {
            let tokens = self.chosen(prompts, scores, of_token(object, 0));
            for token in tokens {
                let values = of_token(object, token).to_vec();
                let mut map = Logits { width, height, values: values.clone() };
                if prompts.fill_holes_of > 0 {
                    map.fill_holes(prompts.fill_holes_of);
                }
                answers.push(PredictedMask {
                    object,
                    mask: map.mask(transform)?,
                    score: scores[token],
                    stability: map.stability(transform, STABILITY_OFFSET),
                    object_score: object_scores[object],
                    low_logits: values,
                });
            }
        }
        Ok(answers)
    }

    /// Which mask tokens to answer with.
    fn chosen(&self, prompts: &Prompts, scores: &[f32], single: &[f32]) -> Vec<usize> {
        let is_ambiguous = prompts.points.len() == 1 && prompts.boxes.is_empty() && prompts.mask.is_none();
        match prompts.choice {
            MaskChoice::All => (1..MASK_TOKENS).collect(),
            MaskChoice::Best => vec![best(scores)],
            MaskChoice::Auto if is_ambiguous => vec![best(scores)],
            MaskChoice::Auto | MaskChoice::Single => vec![self.network.single_token(scores, single)],
        }
    }
}

/// The alternative with the best score.
fn best(scores: &[f32]) -> usize {
    (1..scores.len()).fold(1, |best, token| if scores[token] > scores[best] { token } else { best })
}

impl SamNetwork {
    /// The mask that stands for prompts that can mean one thing only: the first, or for SAM 2, when that is unsteady, the best of the
    /// others. `scores` are those of the four masks, `single` the logits of the first.
    pub fn single_token(&self, scores: &[f32], single: &[f32]) -> usize {
        let Some((delta, threshold)) = self.config().decoder.single_mask_stability else { return 0 };
        let count = |above: f32| single.iter().filter(|&&logit| logit > above).count() as f32;
        let (inner, outer) = (count(delta), count(-delta));
        let stability = if outer > 0.0 { inner / outer } else { 1.0 };
        if stability >= threshold { 0 } else { best(scores) }
    }
}

fn input_point(transform: &Transform, point: &PromptPoint) -> Result<InputPoint> {
    let label = if point.is_foreground { PointLabel::Foreground } else { PointLabel::Background };
    if !point.x_px.is_finite() || !point.y_px.is_finite() {
        return Err(InferError::BadInput(format!("a point at ({}, {}) is nowhere", point.x_px, point.y_px)));
    }
    let (x, y) = transform.to_input(point.x_px, point.y_px);
    Ok((x, y, label))
}

fn input_box(transform: &Transform, bounds: &BoundingBox) -> Result<[f32; 4]> {
    let (left, top) = transform.to_input(bounds.left_px, bounds.top_px);
    let (right, bottom) = transform.to_input(bounds.right_px, bounds.bottom_px);
    if !(left < right && top < bottom && (right - left).is_finite() && (bottom - top).is_finite()) {
        return Err(InferError::BadInput(format!(
            "a box from ({}, {}) to ({}, {}) holds nothing",
            bounds.left_px, bounds.top_px, bounds.right_px, bounds.bottom_px
        )));
    }
    Ok([left, top, right, bottom])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_alternative_is_never_the_single_mask() {
        assert_eq!(best(&[9.0, 0.1, 0.7, 0.3]), 2);
        assert_eq!(best(&[9.0, f32::NAN, f32::NAN, f32::NAN]), 1);
    }

    #[test]
    fn bytes_that_are_no_embedding_are_refused() {
        let image = ImageEmbedding {
            features: Features { embedding: Tensor::zeros((1, 2, 2, 8), DType::F32, &Device::Cpu).unwrap(), fine: None },
            transform: Transform::square(5, 5, 32),
        };
        let bytes = image.to_bytes().unwrap();
        assert!(ImageEmbedding::of_bytes(&bytes, &Device::Cpu).is_ok());
        for cut in 0..bytes.len() {
            assert!(ImageEmbedding::of_bytes(&bytes[..cut], &Device::Cpu).is_err(), "cut at {cut}");
        }
        let mut huge = bytes.clone();
        huge[29..45].fill(255);
        assert!(ImageEmbedding::of_bytes(&huge, &Device::Cpu).is_err());
        assert!(ImageEmbedding::of_bytes(&[bytes, vec![0]].concat(), &Device::Cpu).is_err());
    }
}
