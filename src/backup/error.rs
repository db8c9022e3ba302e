//! What keeps a backup from being made or brought back, by who can act on it.

use std::{io, path::PathBuf};

use crate::{
    db::{DbError, QueryError},
    models::backup::UnreadableManifest,
    services::{ServicesError, free_bytes},
};

/// A backup cannot be made or brought back; the text ends in a hint where a person can do something.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder or file cannot be written.
    #[error("cannot write `{}`: {source}{}", path.display(), hint_for_writing(source, path))]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The programs of PostgreSQL are missing or too old.
    #[error(transparent)]
    Program(#[from] ServicesError),
    /// One of them failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// The file is no backup of hm.
    #[error("`{}` is no backup of hm: {why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A backup that is not as it was written.
    #[error("the backup `{}` is damaged: {what}\nhint: nothing was changed; restore an older one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A backup that this program does not understand.
    #[error("`{}` cannot be restored: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: UnreadableManifest,
    },
    /// A backup from a newer server than there is.
    #[error("`{}` was made from PostgreSQL {made_from}, and the library is in PostgreSQL {here}\nhint: restore it into PostgreSQL {made_from} or newer", path.display())]
    OldServer {
        /// The file.
        path: PathBuf,
        /// Major version it was made from.
        made_from: u32,
        /// Major version of this server.
        here: u32,
    },
    /// There is a library already.
    #[error(
        "the library is not empty: it has {images} images\nhint: `hm restore --replace FILE` puts the backup in its place, and makes a backup of what is there first"
    )]
    NotEmpty {
        /// Its images.
        images: i64,
    },
    /// The backup's schema is in use beside the library's.
    #[error(
        "the backup was made from the schema `{made_from}`, which this database also has beside the library's own, `{here}`\nhint: restore it into a database without a schema `{made_from}`, or name that one in `database.url` (`?options=-csearch_path%3D{made_from}`)"
    )]
    OtherSchema {
        /// The schema that the backup was made from.
        made_from: String,
        /// The library's.
        here: String,
    },
    /// Others use the library.
    #[error("{0} other connection(s) use the library\nhint: stop `hm serve` and scans, then start again")]
    InUse(i64),
    /// What was restored is not what the manifest says.
    #[error("the backup was read, but `{table}` has {found} rows where its manifest says {expected}: nothing was changed")]
    Incomplete {
        /// A table.
        table: String,
        /// Rows it has.
        found: i64,
        /// Rows it should have.
        expected: i64,
    },
    /// The program is asked to end.
    #[error("given up because hm ends")]
    Stopped,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<QueryError> for BackupError {
    fn from(error: QueryError) -> Self {
        Self::Db(error.into())
    }
}

fn hint_for_writing(source: &io::Error, path: &std::path::Path) -> String {
    let place = "choose another folder with --to or backup.dir (HM_BACKUP_DIR)";
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let free = free_bytes(path).map_or_else(|_| String::new(), |bytes| format!(" ({} MiB are free)", bytes >> 20));
            format!("{free}\nhint: make room there, or {place}")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotADirectory => format!("\nhint: {place}"),
        io::ErrorKind::NotFound => format!("\nhint: connect its disk, or {place}"),
        _ => String::new(),
    }
}
