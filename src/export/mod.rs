//! Images and files on their way out: whatever passes a filter as tables, as lists of paths and ids, or as one archive of originals or
//! proxies. Everything is sent while it is read, so that a library of a million images takes no more memory than one of ten.
//!
//! Apart because the scanner, the command line and the web all hand out the same rows. May import models, db and config.

pub mod archive;
mod lists;
mod rows;
pub mod tables;

pub use lists::{ExportError, TableOf, write_ids, write_paths, write_table};
pub use rows::{BadRow, file_row, image_row};
