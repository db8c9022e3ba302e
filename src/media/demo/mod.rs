//! Renders a small library to try hm on: pictures nobody took, with the metadata real cameras write.
//!
//! Everything here is made from a seed, by `plan` (what there is), `scene` and its neighbours (how it looks) and `encode` (how it
//! is written). Nothing is downloaded, nothing is anybody's; the same seed gives the same bytes. May import models only.

mod canvas;
mod encode;
mod exif;
mod household;
mod landscape;
mod noise;
mod plan;
mod scene;
mod sky;
mod subjects;
mod tiff;
mod town;
mod write;
mod xmp;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

/// Says that a folder is a demo of ours, and whether it is complete.
const MARKER: &str = ".hm-demo";

/// The demo could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The folder holds something that is no demo.
    #[error("`{path}` is not empty and no demo of hm's\nhint: name a folder that is empty or does not exist yet", path = .0.display())]
    NotEmpty(PathBuf),
    /// A file or folder could not be read or written.
    #[error("cannot write `{path}`: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An encoder refused.
    #[error("cannot encode a picture: {0}")]
    Encode(String),
}

/// What to render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoOptions {
    /// Moments; each leaves one to three files.
    pub count: usize,
    /// Another seed gives other pictures.
    pub seed: u64,
    /// Longest side of a picture, in pixels.
    pub long_side_px: usize,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self { count: 300, seed: 1, long_side_px: 1600 }
    }
}

/// What was rendered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DemoSummary {
    /// Files written; 0 when the demo was there already.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
}

/// Renders a demo library into `dir`, calling `progress` after each moment.
///
/// A folder that already holds a complete demo is left as it is, whatever its size; one that was interrupted is completed.
///
/// # Errors
/// [`DemoError::NotEmpty`] when `dir` holds anything else; [`DemoError::Io`] when it cannot be written.
pub fn render_library(dir: &Path, options: &DemoOptions, progress: impl Fn() + Sync) -> Result<DemoSummary, DemoError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| DemoError::Io { path, source }
    };
    fs::create_dir_all(dir).map_err(at(dir))?;
    let marker = dir.join(MARKER);
    match fs::read_to_string(&marker) {
        Ok(state) if state.starts_with("complete") => return Ok(DemoSummary::default()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::read_dir(dir).map_err(at(dir))?.next().is_some() {
                return Err(DemoError::NotEmpty(dir.to_owned()));
            }
        }
        Err(error) => return Err(at(&marker)(error)),
    }
    fs::write(&marker, "unfinished\n").map_err(at(&marker))?;
    let moments = plan::moments(options.count, options.seed);
    let written: Result<Vec<DemoSummary>, DemoError> = moments
        .par_iter()
        .map(|moment| {
            let summary = write::moment(dir, moment, options.long_side_px)?;
            progress();
            Ok(summary)
        })
        .collect();
    let mut total = written?.into_iter().fold(DemoSummary::default(), DemoSummary::plus);
    if let Some(moment) = moments.iter().find(|moment| moment.files == plan::Files::Jpeg) {
        total = total.plus(write::broken(dir, moment, options.long_side_px)?);
    }
    let note = format!("complete\nRendered by `hm demo`: {} moments in {} files, seed {}.\n", moments.len(), total.files, options.seed);
    fs::write(&marker, note).map_err(at(&marker))?;
    Ok(total)
}

impl DemoSummary {
    fn plus(self, other: Self) -> Self {
        Self { files: self.files + other.files, bytes: self.bytes + other.bytes }
    }
}
