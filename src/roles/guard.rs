//! `hm guard`: keeps PostgreSQL and Redis alive while an hm needs them. Started by hm itself.

use super::Exit;
use crate::{config::Config, services};

/// Runs until nobody needs the services.
pub(super) fn run(config: &Config) -> anyhow::Result<Exit> {
    services::run_guard(config)?;
    Ok(Exit::Done)
}
