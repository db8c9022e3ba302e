//! PIXELS → VECTORS AND MASKS — the only module that speaks Candle. May import models and config.

pub mod clip;
pub mod dinov2;
mod error;
pub mod input;
pub mod manifest;
pub mod ops;
pub mod ops_elementwise;
pub mod sam;
pub mod sam2;
pub mod siglip;
pub mod tokenizer;
pub mod transformer;
pub mod weights;
pub mod yolo;

pub use error::{InferError, Result};
pub use input::Rgb8;
