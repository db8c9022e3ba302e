//! What the server does behind the pages: makes pictures, by priority, for as long as some are lacking, and removes those that no
//! image names any more.
//!
//! Everything here is idempotent: the database says what is lacking, and doing a thing twice equals doing it once.
//! May import models, media, db, queue and config.

mod board;
mod pictures;
mod sources;
mod store;
mod sweep;

pub use pictures::{PictureContext, PictureMaker, PictureProgress, WantedPictures};
pub use store::PictureStore;
