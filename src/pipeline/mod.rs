//! What the server does behind the pages: makes pictures, by priority, for as long as some are lacking, removes those that no image names
//! any more, writes people's changes into sidecars, and names the coordinates of images that lack it.
//!
//! Everything here is idempotent: the database says what is lacking, and doing a thing twice equals doing it once.
//! May import models, media, db, queue and config.

mod board;
mod pictures;
mod place_names;
mod sources;
mod store;
mod sweep;
mod write_back;

pub use pictures::{PictureContext, PictureMaker, PictureProgress, WantedPictures};
pub use place_names::PlaceNamer;
pub use store::PictureStore;
pub use write_back::{BatchOutcome, SidecarWriter, WritableVault, WriteBackContext, writable_vaults, write_batch};
