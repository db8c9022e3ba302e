//! What passes a filter, written into whatever takes bytes: a table, the paths of all files, or the ids of all images.

use std::{
    ffi::OsStr,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use super::{
    rows::{BadRow, file_row, image_row},
    tables::{Format, TableStream},
};
use crate::{
    db::{
        PgConnection, QueryError,
        export::{Numbering, as_of_one_moment, export_files, export_ids, export_images},
    },
    models::{Filter, RelPath},
};

/// What keeps an export from its end.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database.
    #[error("database: {0}")]
    Db(#[from] QueryError),
    /// A row of it.
    #[error(transparent)]
    Row(#[from] BadRow),
    /// Whoever should take it.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What a table has rows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableOf {
    /// Images; a row's `image_index` is the image's id.
    Images,
    /// Their files; a row's `image_index` is the id of its image.
    Files,
}

/// Writes the images that pass, or their files, as a table.
///
/// # Errors
/// [`ExportError`].
pub fn write_table<W: Write + Send>(
    conn: &mut PgConnection,
    host: &str,
    filter: &Filter,
    of: TableOf,
    format: Format,
    to: W,
) -> Result<W, ExportError> {
    as_of_one_moment(conn, |conn| match of {
        TableOf::Images => {
            let mut table = TableStream::of_images(to, format)?;
            export_images(conn, Some(filter), Numbering::Id, |image| Ok::<_, ExportError>(table.push_image(&image_row(image))?))?;
            Ok(table.finish()?)
        }
        TableOf::Files => {
            let mut table = TableStream::of_files(to, format)?;
            export_files(conn, host, Some(filter), Numbering::Id, |file| Ok::<_, ExportError>(table.push_file(&file_row(file)?)?))?;
            Ok(table.finish()?)
        }
    })
}

/// Writes the ids of all images that pass, newest first, one a line.
///
/// # Errors
/// [`ExportError`].
pub fn write_ids(conn: &mut PgConnection, filter: &Filter, to: &mut impl Write) -> Result<(), ExportError> {
    as_of_one_moment(conn, |conn| export_ids(conn, filter, |id| Ok::<_, ExportError>(writeln!(to, "{id}")?)))
}

/// Writes the paths of all files of the images that pass, one a line, in their exact bytes: on this host, or inside their vault where it is
/// not mounted here.
///
/// # Errors
/// [`ExportError`].
pub fn write_paths(conn: &mut PgConnection, host: &str, filter: &Filter, to: &mut impl Write) -> Result<(), ExportError> {
    as_of_one_moment(conn, |conn| {
        export_files(conn, host, Some(filter), Numbering::Id, |file| {
            let folder = RelPath::from_bytes(&file.rel_path_bytes).map_err(BadRow::from)?;
            let path = folder.join(OsStr::from_bytes(&file.name_bytes)).map_err(BadRow::from)?;
            match &file.mount {
                Some(mount) => to.write_all(path.on(Path::new(OsStr::from_bytes(mount))).as_os_str().as_bytes())?,
                None => to.write_all(path.as_bytes())?,
            }
            Ok::<_, ExportError>(to.write_all(b"\n")?)
        })
    })
}
