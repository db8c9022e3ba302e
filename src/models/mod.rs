//! The nouns of the library: plain values that parse, format and compare. No I/O, no async, nothing of ours imported.

pub mod account;
pub mod backup;
pub mod edit;
mod filter;
pub mod gazetteer;
mod id;
mod image;
pub mod invitation;
mod location;
pub mod map;
mod original;
mod picture;
pub mod query;
mod size;
pub mod task;
mod track;
pub mod vision;
mod words;

pub use filter::{Cursor, Direction, Filter, FilterError, InvalidFilter, MediaType};
pub use id::{
    AccountId, ApartId, BatchId, FileId, FolderId, ImageId, NetworkId, ParseIdError, RegionId, ScanId, SearchId, SessionId, TokenId,
    VaultId,
};
pub use image::{CapturedAt, Facts, FileFormat, FileKind, FileRole, Gps, Orientation, UnknownName};
#[cfg(feature = "library")]
pub(crate) use location::nfc;
pub use location::{InvalidPath, RelPath, SAME_TIME_NS, suffix_of};
pub use original::Original;
pub use picture::{InvalidPictureKey, PictureKey, PictureSize};
pub use query::{Query, QueryError};
pub use size::size_words;
pub use track::{Track, TrackError};
pub use words::{fold, words};
