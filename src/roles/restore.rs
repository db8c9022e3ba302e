//! `hm restore`: brings a backup back, or only reads it.

use std::sync::{Arc, atomic::AtomicBool};

use super::{Exit, host::host_name, scan::stop_on_signal};
use crate::{
    backup::{BackupContext, check_backup, restore_backup},
    cli::RestoreArgs,
    config::Config,
    models::backup::BackupManifest,
    services::Services,
};

/// Runs the role.
///
/// # Errors
/// When the backup is damaged, from a newer program, or would replace a library that nobody gave up; the library is as it was then.
pub(super) fn run(args: &RestoreArgs, config: &Config) -> anyhow::Result<Exit> {
    if args.check {
        let manifest = check_backup(&args.file, &config.database)?;
        eprintln!("`{}` is whole: {}", args.file.display(), words(&manifest));
        return Ok(Exit::Done);
    }
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signal(&stop)?;
    let services = Services::open(config)?;
    let host = host_name(config)?;
    let context = BackupContext { url: services.database_url(), config, host: &host, stop: &stop };
    let restored = restore_backup(&context, &args.file, args.replace)?;
    eprintln!("done: {}", words(&restored.manifest));
    if let Some(replaced) = &restored.replaced {
        eprintln!("what was there before is in `{}`", replaced.path.display());
    }
    if restored.thumbnails > 0 {
        eprintln!("{} pictures were put back", restored.thumbnails);
    }
    Ok(Exit::Done)
}

/// What is in a backup, for a person.
fn words(manifest: &BackupManifest) -> String {
    format!(
        "{} images, {} edits, {} saved searches as of {} (hm {}, PostgreSQL {})",
        manifest.rows_of("images"),
        manifest.rows_of("edits"),
        manifest.rows_of("searches"),
        manifest.made_at.format("%Y-%m-%d %H:%M:%S UTC"),
        manifest.program,
        manifest.postgres
    )
}
