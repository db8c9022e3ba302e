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
    /// A file or folder could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
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
    /// What was asked cannot be done as things are; the text says why, and the way out.
    #[error("{0}")]
    Refused(String),
    /// A file could not be had from another machine.
    #[error("cannot fetch {address}: {why}")]
    Fetch {
        /// Where it was asked for.
        address: String,
        /// What went wrong, and what to do about it.
        why: String,
    },
    /// Candle failed: memory, device or shapes.
    #[error("the network failed: {}", plain(.0))]
    Candle(#[from] candle_core::Error),
}

impl InferError {
    /// Whether the device had no memory for it: the same may go well with fewer pictures at a time.
    pub fn is_out_of_memory(&self) -> bool {
        let Self::Candle(error) = self else { return false };
        let said = error.to_string().to_lowercase().replace('_', " ");
        said.contains("out of memory") || said.contains("failed to allocate")
    }
}

/// What Candle says, without the backtrace that it takes along where `RUST_BACKTRACE` is set.
pub(super) fn plain(error: &candle_core::Error) -> String {
    use candle_core::Error;
    match error {
        Error::WithBacktrace { inner, .. } => plain(inner),
        Error::Context { inner, context } => format!("{context}: {}", plain(inner)),
        Error::WithPath { inner, path } => format!("{}: {}", path.display(), plain(inner)),
        other => other.to_string(),
    }
}

/// For networks that are written in Candle's terms.
impl From<InferError> for candle_core::Error {
    fn from(error: InferError) -> Self {
        match error {
            InferError::Candle(error) => error,
            other => Self::msg(other),
        }
    }
}

/// A result of this module.
pub type Result<T> = std::result::Result<T, InferError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_memory_is_told_from_other_failures() {
        let of = |text: &str| InferError::Candle(candle_core::Error::Msg(text.to_owned()));
        assert!(of("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")").is_out_of_memory());
        assert!(!of("shape mismatch in matmul").is_out_of_memory());
        assert!(!InferError::BadInput("out of memory".into()).is_out_of_memory());
    }

    #[test]
    fn a_backtrace_is_for_nobody_who_reads_what_failed() {
        let inner = Box::new(candle_core::Error::Msg("shape mismatch".to_owned()));
        let backtrace = Box::new(std::backtrace::Backtrace::force_capture());
        let error = candle_core::Error::WithBacktrace { inner, backtrace }.context("in the decoder");
        assert_eq!(InferError::from(error).to_string(), "the network failed: in the decoder: shape mismatch");
    }
}
