//! Backups of the library, and the way back: one archive that anybody can open, written beside its place, read back before it counts.
//!
//! ```text
//! hm-nightly-20261126T031500Z.zip   stored, not packed: the dump is packed already
//!   database.dump                    pg_dump's custom format; `pg_restore` reads it without hm
//!   thumbnails.tar                   where they were asked for
//!   manifest.json                    versions, migrations, rows of each table, length and SHA-256 of each part
//!
//! make     snapshot → counts, pg_dump → archive under a temporary name → flushed → read back whole → renamed → older ones pruned
//! restore  archive read whole → the library, if it is not empty, backed up → read into a schema beside it → counted, migrated →
//!          takes its place in one transaction
//! ```
//!
//! Apart because it alone needs both the database and the programs of its server. May import models, config, db and services.

mod archive;
mod error;
mod make;
mod nightly;
mod restore;
mod thumbnails;
mod tools;

pub use archive::check_backup;
pub use error::BackupError;
pub use make::{BackupContext, MadeBackup, make_backup};
pub use nightly::Nightly;
pub use restore::{Restored, restore_backup};
