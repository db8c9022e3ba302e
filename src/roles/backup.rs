//! `hm backup`: the library's database as one file, read back before it counts.

use std::{
    io::Write,
    sync::{Arc, atomic::AtomicBool},
};

use super::{Exit, host::host_name, scan::stop_on_signal};
use crate::{
    backup::{BackupContext, make_backup},
    cli::BackupArgs,
    config::Config,
    db,
    models::{backup::BackupKind, size_words},
    services::Services,
};

/// Runs the role. The path of the backup goes to stdout.
///
/// # Errors
/// When the backup cannot be made, or is not what was written.
pub(super) fn run(args: &BackupArgs, config: &Config) -> anyhow::Result<Exit> {
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signal(&stop)?;
    let services = Services::open(config)?;
    db::migrate(services.database_url())?;
    let host = host_name(config)?;
    let context = BackupContext { url: services.database_url(), config, host: &host, stop: &stop };
    let made = make_backup(&context, BackupKind::Manual, args.to.as_deref(), args.thumbnails)?;
    let pictures = if args.thumbnails { format!(", {} pictures", made.manifest.thumbnails) } else { String::new() };
    eprintln!(
        "done: {} images{pictures}, {} in {:.1} s, read back whole",
        made.images(),
        size_words(made.size_bytes),
        made.elapsed.as_secs_f64()
    );
    writeln!(std::io::stdout(), "{}", made.path.display())?;
    Ok(Exit::Done)
}
