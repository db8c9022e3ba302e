//! What the server does behind the pages: makes pictures, by priority, for as long as some are lacking, removes those that no image names
//! any more, writes people's changes into sidecars, names the coordinates of images that lack it, gives networks work and keeps their
//! answers, and wakes workers for whom work waits.
//!
//! Everything here is idempotent: the database says what is lacking, and doing a thing twice equals doing it once.
//! May import models, media, db, queue, infer and config.

mod board;
mod findings;
mod pictures;
mod place_names;
mod sources;
mod store;
mod sweep;
mod wake;
mod write_back;

pub use findings::{Findings, FindingsContext, FindingsProgress, LaneProgress, NetworkOnOffer, NetworksOnOffer, ShelfOnOffer};
pub use pictures::{PictureContext, PictureMaker, PictureProgress, WantedPictures};
pub use place_names::PlaceNamer;
pub use store::PictureStore;
pub use wake::{WakeContext, Waker};
pub use write_back::{BatchOutcome, SidecarWriter, WritableVault, WriteBackContext, writable_vaults, write_batch};
