//! The networks against numbers of their reference implementations, and on real photographs where weights are at hand.

mod embed;
pub(crate) mod sam;
mod weights;
mod yolo;

use std::path::{Path, PathBuf};

/// A file or folder of the developers' data, if it is at hand; a test without it says so and passes.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: there is no {}", path.display());
    None
}
