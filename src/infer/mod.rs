//! PIXELS → VECTORS AND MASKS — the only module that speaks Candle. May import models and config.

pub mod check;
pub mod clip;
pub mod dinov2;
pub mod engine;
mod error;
pub mod input;
pub mod kept;
pub mod manifest;
pub mod ops;
pub mod pull;
pub mod sam;
pub mod sam2;
pub mod shelf;
pub mod siglip;
pub mod tokenizer;
pub mod transformer;
pub mod weights;
pub mod yolo;

pub use error::{InferError, Result};
pub use input::Rgb8;
