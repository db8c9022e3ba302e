//! What the server does behind the pages: makes pictures, by priority, for as long as some are lacking.
//!
//! Everything here is idempotent: the database says what is lacking, and doing a thing twice equals doing it once.
//! May import models, media, db, queue and config.

mod board;
mod pictures;
mod sources;
mod store;

pub use pictures::{PictureContext, PictureMaker, PictureProgress, WantedPictures};
pub use store::PictureStore;
