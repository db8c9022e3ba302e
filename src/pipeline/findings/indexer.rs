//! The indexer: builds the index of a network's vectors behind the pages, once there are so many that comparing all of them takes long.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use super::Shared;
use crate::{
    db::{
        DbError,
        nearest::count_embedded,
        vectors::{self, IndexState, find_index},
    },
    models::NetworkId,
};

/// How often it is looked whether an index is wanted.
const LOOK_EVERY: Duration = Duration::from_secs(30);

impl Shared {
    /// Builds indexes until the end.
    pub(super) fn index(&self) {
        while !self.is_stopping() {
            let networks = self.offered().with_vectors.clone();
            for network in networks {
                if let Err(error) = self.look_after_index(network) {
                    // Until then every vector is compared: slower, and the same answer.
                    tracing::debug!(%error, network.id = %network, "the index of vectors is not looked after now");
                }
            }
            self.rest(LOOK_EVERY);
        }
    }

    fn look_after_index(&self, network: NetworkId) -> Result<(), DbError> {
        let state = self.ask(|conn| {
            let lacking = count_embedded(conn, network)?.to_come();
            find_index(conn, network, lacking)
        })?;
        if !matches!(state, IndexState::Wanted | IndexState::Broken) || self.is_stopping() {
            return Ok(());
        }
        let mut conn = self.context.db.get()?;
        vectors::with_index_turn(&mut conn, network, |conn| {
            if state == IndexState::Broken {
                vectors::drop_index(conn, network)?;
            }
            *self.building.lock().unwrap_or_else(PoisonError::into_inner) = Some(vectors::backend_of(conn)?);
            let started = Instant::now();
            tracing::info!(network.id = %network, "building the index of vectors; searches by words are slower until it is there");
            let built = vectors::build_index(conn, network, self.context.index_memory_mib);
            *self.building.lock().unwrap_or_else(PoisonError::into_inner) = None;
            if built.is_ok() {
                tracing::info!(network.id = %network, duration_s = started.elapsed().as_secs(), "the index of vectors is there");
            }
            built
        })?;
        Ok(())
    }

    /// Stops the building of an index, at the end of the program: it would go on without us for minutes.
    pub(super) fn cancel_building(&self) {
        let building = *self.building.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pid) = building
            && let Err(error) = self.ask(|conn| vectors::cancel_backend(conn, pid))
        {
            tracing::debug!(%error, "the building of an index goes on");
        }
    }
}
