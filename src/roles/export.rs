//! `hm export`: the library, or what of it passes a filter, as tables.

use std::path::Path;

use anyhow::Context;

use super::{Exit, host::host_name, scan::table_format};
use crate::{
    cli::ExportArgs,
    config::Config,
    db::{
        self, Db,
        export::{Numbering, export_library},
    },
    export::{
        file_row, image_row,
        tables::{Format, TableWriter},
    },
    models::{Filter, Query},
    services::Services,
};

/// Runs the role.
///
/// # Errors
/// When the filter is not understood, the database cannot be opened or the tables cannot be written.
pub(super) fn run(args: &ExportArgs, config: &Config) -> anyhow::Result<Exit> {
    let filter = args.filter.as_deref().map(parse_filter).transpose()?;
    let services = Services::open(config)?;
    db::migrate(services.database_url())?;
    let db = Db::connect(services.database_url(), config.database.pool_size)?;
    write(&db, &host_name(config)?, filter.as_ref(), &args.dir, table_format(args.format))?;
    Ok(Exit::Done)
}

/// A search as a filter; what is not understood is pointed at.
fn parse_filter(text: &str) -> anyhow::Result<Filter> {
    let query: Query = text.parse().map_err(|error: crate::models::QueryError| {
        let (shown, caret) = error.pointer();
        anyhow::anyhow!("the filter is not understood\n  {shown}\n  {caret}\n{error}\nhint: the language is on the page /search/help of a running `hm serve`")
    })?;
    anyhow::ensure!(
        query.like().is_none(),
        "the filter has a `like:`, which puts images into an order and leaves none out\nhint: leave it out"
    );
    Ok(Filter { query, ..Filter::default() })
}

/// Writes `images.*` and `files.*` into `dir`: of all images that are there, or of those that pass the filter.
pub(super) fn write(db: &Db, host: &str, filter: Option<&Filter>, dir: &Path, format: Format) -> anyhow::Result<()> {
    let while_writing = || format!("while writing tables to `{}`", dir.display());
    let mut conn = db.get()?;
    // Both closures write to the same pair of files, one after the other.
    let writer = std::cell::RefCell::new(TableWriter::create(dir, format).with_context(while_writing)?);
    export_library(
        &mut conn,
        host,
        filter,
        Numbering::Running,
        |image| Ok::<_, anyhow::Error>(writer.borrow_mut().push_image(image_row(image))?),
        |file| Ok(writer.borrow_mut().push_file(file_row(file)?)?),
    )
    .with_context(while_writing)?;
    writer.into_inner().finish().with_context(while_writing)
}
