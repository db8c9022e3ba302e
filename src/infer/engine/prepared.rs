//! A picture as a network takes it. Apart, because every kind of network has its own shape of it, and workers carry it about without
//! caring which.

use crate::infer::yolo::Letterbox;

/// A picture as numbers in the shape of one network: what the CPU has done before the device begins.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The numbers, `width · height · 3` of them, in the order that the network reads.
    pub(super) values: Vec<f32>,
    pub(super) shape: Shape,
}

/// How a picture lies in a network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    /// `(3, side, side)`.
    Square {
        /// In px.
        side_px: usize,
    },
    /// `(height, width, 3)`.
    Letterboxed(Letterbox),
}

impl Prepared {
    /// Width and height of the network's input, in px. Pictures of one size run in one batch.
    pub fn input_px(&self) -> (usize, usize) {
        match self.shape {
            Shape::Square { side_px } => (side_px, side_px),
            Shape::Letterboxed(letterbox) => letterbox.input_px,
        }
    }

    /// How much memory it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }
}
