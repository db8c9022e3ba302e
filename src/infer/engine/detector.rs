//! Pictures → what can be seen in them, and where. Apart, because it translates between a network's detections and the answers that go
//! over the wire.

use std::collections::HashMap;

use candle_core::{DType, Device};

use super::{DTYPE, Prepared, open, prepared::Shape};
use crate::{
    infer::{
        InferError, Result, Rgb8,
        ops::{Backend, Map},
        shelf::{Shelved, Use},
        yolo::{Bitmap, Config, Detection, Letterbox, Options, Yolo},
    },
    models::{
        task::{Answer, Found},
        vision::{BoundingBox, Mask},
    },
};

/// YOLOv8 or YOLO11 on a device: pictures → regions.
pub struct Detector {
    yolo: Yolo,
    options: Options,
    device: Device,
    title: String,
}

impl Detector {
    /// Reads the network onto a device.
    ///
    /// # Errors
    /// As [`super::PictureEmbedder::open`].
    pub fn open(shelved: &Shelved, device: &Device) -> Result<Self> {
        let weights = open(shelved, &[Use::Detect], "finds no things in pictures")?;
        let shapes: HashMap<String, Vec<usize>> =
            weights.names().filter_map(|name| Some((name.to_owned(), weights.shape(name)?))).collect();
        let title = shelved.manifest.title.clone();
        let yolo = Yolo::new(weights.var_builder(DTYPE, device), &Config::from_shapes(&shapes)?);
        // Candle's error for a tensor that lacks does not say of which network.
        let yolo = yolo.map_err(|error| match error {
            InferError::Candle(error) => InferError::WrongWeights { network: title.clone(), why: error.to_string() },
            other => other,
        })?;
        let classes = &shelved.manifest.classes;
        let yolo = if classes.is_empty() { yolo } else { yolo.named(classes.clone())? };
        Ok(Self { yolo, options: Options::default(), device: device.clone(), title })
    }

    /// The names of what it can find.
    pub fn classes(&self) -> &[String] {
        self.yolo.names()
    }

    /// Whether it says which pixels a thing is, and not its box alone.
    pub fn makes_masks(&self) -> bool {
        self.yolo.config().masks.is_some()
    }

    /// The CPU's half: an upright picture, scaled to fit and letterboxed.
    ///
    /// # Errors
    /// [`InferError::BadInput`] for a picture without pixels, or with too few bytes.
    pub fn prepare(&self, picture: &Rgb8<'_>) -> Result<Prepared> {
        let size = (picture.width_px as usize, picture.height_px as usize);
        let letterbox = Letterbox::new(size, self.options.side_px, self.options.square)?;
        Ok(Prepared { values: letterbox.input(picture.bytes)?, shape: Shape::Letterboxed(letterbox) })
    }

    /// The device's half: for each picture, in their order, an [`Answer::Regions`] in px of the picture that was handed in, the surest
    /// first; each as if it were alone. Pictures of one shape run together.
    ///
    /// # Errors
    /// [`InferError::BadInput`] when one was prepared for another network; [`InferError::Candle`] when memory or the device fails.
    pub fn run(&self, pictures: &[Prepared]) -> Result<Vec<Answer>> {
        let mut answers: Vec<Option<Answer>> = vec![None; pictures.len()];
        for first in 0..pictures.len() {
            if answers[first].is_some() {
                continue;
            }
            let (width, height) = pictures[first].input_px();
            let batch: Vec<usize> = (first..pictures.len()).filter(|&at| pictures[at].input_px() == (width, height)).collect();
            let letterboxes = batch.iter().map(|&at| self.letterbox(&pictures[at])).collect::<Result<Vec<_>>>()?;
            let mut values = Vec::with_capacity(batch.len() * width * height * 3);
            batch.iter().for_each(|&at| values.extend_from_slice(&pictures[at].values));
            let input = Map::from_pixels(values, (batch.len(), height, width, 3), &self.device, Backend::of(&self.device, DType::F32))?;
            let output = self.yolo.run(&input)?;
            for (image, (&at, letterbox)) in batch.iter().zip(&letterboxes).enumerate() {
                let found = self.yolo.objects(&output, image, letterbox, &self.options.thresholds)?;
                answers[at] = Some(answer(letterbox.picture_px, found)?);
            }
        }
        Ok(answers.into_iter().map(|answer| answer.expect("every picture was in some batch")).collect())
    }

    /// Both halves, for pictures at hand.
    ///
    /// # Errors
    /// As [`Self::prepare`] and [`Self::run`].
    pub fn detect(&self, pictures: &[Rgb8<'_>]) -> Result<Vec<Answer>> {
        self.run(&pictures.iter().map(|picture| self.prepare(picture)).collect::<Result<Vec<_>>>()?)
    }

    fn letterbox(&self, picture: &Prepared) -> Result<Letterbox> {
        match picture.shape {
            Shape::Letterboxed(letterbox) => Ok(letterbox),
            Shape::Square { .. } => Err(InferError::BadInput(format!("a picture was not prepared for {}", self.title))),
        }
    }
}

fn answer((width, height): (usize, usize), found: Vec<Detection>) -> Result<Answer> {
    let (width_px, height_px) = (width as u32, height as u32);
    let regions = found.into_iter().map(|detection| region(width_px, height_px, detection)).collect::<Result<Vec<_>>>()?;
    Ok(Answer::Regions { width_px, height_px, regions })
}

fn region(width_px: u32, height_px: u32, detection: Detection) -> Result<Found> {
    let Detection { name, score, x_px, y_px, .. } = detection;
    let bounds = BoundingBox { left_px: x_px, top_px: y_px, right_px: x_px + detection.width_px, bottom_px: y_px + detection.height_px };
    let mask = detection.mask.map(|bitmap| mask(width_px, height_px, &bitmap)).transpose()?;
    // A box too narrow for any pixel of its mask still says where the thing is.
    Ok(Found { label: name, score, bounds, mask: mask.filter(|mask| !mask.is_empty()) })
}

/// A bitmap of a part of the picture → a mask of the picture: down each column, columns from the left.
fn mask(width_px: u32, height_px: u32, bitmap: &Bitmap) -> Result<Mask> {
    let mut fills = Vec::new();
    let height = height_px as usize;
    for x in bitmap.left_px..bitmap.left_px + bitmap.width_px {
        let mut start = None;
        for y in bitmap.top_px..bitmap.top_px + bitmap.height_px {
            match (start, bitmap.contains(x, y)) {
                (None, true) => start = Some(y),
                (Some(from), false) => {
                    fills.push(((x * height + from) as u32, (x * height + y) as u32));
                    start = None;
                }
                _ => {}
            }
        }
        if let Some(from) = start {
            fills.push(((x * height + from) as u32, (x * height + bitmap.top_px + bitmap.height_px) as u32));
        }
    }
    Mask::of_fills(width_px, height_px, fills).map_err(|error| InferError::BadInput(format!("a mask does not fit its picture: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitmap_of_a_part_becomes_a_mask_of_the_whole() {
        // Rows: .#. / ##. / ### at 1, 2 of a picture of 5 × 6 px; the last row ends at the bottom of the bitmap.
        let pixels = vec![0, 1, 0, 1, 1, 0, 1, 1, 1];
        let bitmap = Bitmap { left_px: 1, top_px: 2, width_px: 3, height_px: 3, pixels };
        let mask = mask(5, 6, &bitmap).unwrap();
        for y in 0..6 {
            for x in 0..5 {
                assert_eq!(mask.contains(x, y), bitmap.contains(x as usize, y as usize), "{x}, {y}");
            }
        }
        assert_eq!(mask.area_px(), 6);
    }

    #[test]
    fn a_bitmap_at_the_border_stays_within_the_picture() {
        let bitmap = Bitmap { left_px: 2, top_px: 0, width_px: 1, height_px: 4, pixels: vec![1; 4] };
        assert_eq!(mask(3, 4, &bitmap).unwrap().area_px(), 4);
        let outside = Bitmap { left_px: 3, ..bitmap };
        assert!(mask(3, 4, &outside).is_err());
    }

    #[test]
    fn an_empty_mask_is_none() {
        let bitmap = Bitmap { left_px: 0, top_px: 0, width_px: 1, height_px: 1, pixels: vec![0] };
        let detection =
            Detection { class: 0, name: "dog".into(), score: 0.5, x_px: 1.0, y_px: 2.0, width_px: 3.0, height_px: 4.0, mask: Some(bitmap) };
        let found = region(10, 10, detection).unwrap();
        assert_eq!(found.mask, None);
        assert_eq!(found.bounds, BoundingBox { left_px: 1.0, top_px: 2.0, right_px: 4.0, bottom_px: 6.0 });
    }
}
