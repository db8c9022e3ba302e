//! What can go wrong between a file of weights and a result. Apart, because every network shares it. Imports nothing of ours.

use std::path::PathBuf;

/// Why a network could not be read or run.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it says, is cut short or was made to do harm.
    #[error("{path} is not a usable file of weights: {why}")]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do about it.
        why: String,
    },
    /// The weights are whole, but not those of this network.
    #[error("{network} cannot take these weights: {why}")]
    WrongWeights {
        /// The network that was to be built.
        network: String,
        /// Which tensor is missing or has another shape.
        why: String,
    },
    /// An input has a shape or values that the network does not take.
    #[error("{0}")]
    BadInput(String),
    /// Candle failed: memory, device or shapes.
    #[error("the network failed: {0}")]
    Candle(#[from] candle_core::Error),
}

/// A result of this module.
pub type Result<T> = std::result::Result<T, InferError>;
