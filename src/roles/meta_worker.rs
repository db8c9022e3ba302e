//! `hm meta-worker`: a child that reads metadata with exiv2 for a scan. Started and ended by the scan itself.

use crate::{
    media::{child, meta::exiv2},
    roles::Exit,
};

/// Answers until the parent is gone.
///
/// # Errors
/// When exiv2 does not start, or stdin is not the socket of a parent.
pub(super) fn run() -> anyhow::Result<Exit> {
    exiv2::prepare().map_err(|error| anyhow::anyhow!("exiv2 does not start: {error}"))?;
    child::serve(Some(exiv2::WORKER_ADDRESS_SPACE_BYTES), exiv2::answer)?;
    Ok(Exit::Done)
}
