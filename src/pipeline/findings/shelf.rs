//! The networks that work are those of the shelf that the settings choose; what is wrong with the shelf is said when it changes.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use super::{NetworkOnOffer, NetworksOnOffer};
use crate::{
    config::ModelsConfig,
    db::networks::NetworkCard,
    infer::shelf::{Shelf, Shelved},
};

/// The networks of the shelf.
pub struct ShelfOnOffer {
    shelf: Shelf,
    config: ModelsConfig,
    /// What was on the shelf when it was last looked at, and what was chosen of it.
    last: Mutex<Option<Seen>>,
}

/// The shelf at one moment.
struct Seen {
    unusable: Vec<PathBuf>,
    shelved: Vec<Shelved>,
    chosen: Vec<NetworkOnOffer>,
}

impl ShelfOnOffer {
    /// Those that the settings choose.
    pub fn new(config: ModelsConfig) -> Self {
        Self { shelf: Shelf::new(&config.dir), config, last: Mutex::default() }
    }
}

impl NetworksOnOffer for ShelfOnOffer {
    fn list(&self) -> Result<Vec<NetworkOnOffer>, String> {
        let (shelved, unusable) = self.shelf.survey().map_err(|error| error.to_string())?;
        let unusable: Vec<PathBuf> = unusable.into_iter().map(|unusable| unusable.folder).collect();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = &*last
            && (&seen.unusable, &seen.shelved) == (&unusable, &shelved)
        {
            return Ok(seen.chosen.clone());
        }
        // Whatever is wrong with the shelf is said here, once each time it changes.
        let chosen = self.shelf.in_use(&self.config).map_err(|error| error.to_string())?;
        let chosen: Vec<NetworkOnOffer> = chosen.iter().filter_map(on_offer).collect();
        *last = Some(Seen { unusable, shelved, chosen: chosen.clone() });
        Ok(chosen)
    }
}

/// `None` for a network that is asked in person.
fn on_offer(shelved: &Shelved) -> Option<NetworkOnOffer> {
    let card = NetworkCard {
        lane: shelved.lane()?,
        family: shelved.manifest.family.clone(),
        title: shelved.manifest.title.clone(),
        dimensions: None,
    };
    let facts = serde_json::to_value(&shelved.manifest).ok()?;
    Some(NetworkOnOffer { card, facts })
}
