//! PIXELS → VECTORS AND MASKS — the only module that speaks Candle. May import models and config.

mod error;

pub use error::{InferError, Result};
