//! The encoders of the network on the shelf: opened when somebody asks, kept while it is the one in use.

use std::sync::{Mutex, PoisonError};

use super::Encoders;
use crate::{
    infer::{
        InferError, Rgb8,
        engine::{PictureEmbedder, WordEncoder, device},
        shelf::{Shelf, Shelved, Use},
    },
    models::task::NetworkVersion,
};

/// The encoders of one shelf.
pub struct ShelfEncoders {
    shelf: Shelf,
    /// Name of the network to use, or empty.
    preferred: String,
    words: Mutex<Option<(NetworkVersion, WordEncoder)>>,
    pictures: Mutex<Option<(NetworkVersion, PictureEmbedder)>>,
}

impl ShelfEncoders {
    /// Those of `preferred`, or when that is empty of the network imported first.
    pub fn new(shelf: Shelf, preferred: String) -> Self {
        Self { shelf, preferred, words: Mutex::default(), pictures: Mutex::default() }
    }

    fn chosen(&self) -> Result<Option<Shelved>, String> {
        self.shelf.choose(Use::Embed, &self.preferred).map_err(|error| error.to_string())
    }

    /// Does something with an encoder of a network, opened unless it is open.
    fn with<T>(
        &self,
        slot: &Mutex<Option<(NetworkVersion, T)>>,
        network: &NetworkVersion,
        open: impl FnOnce(&Shelved) -> Result<T, InferError>,
        work: impl FnOnce(&T) -> Result<Vec<f32>, InferError>,
    ) -> Result<Vec<f32>, String> {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_none_or(|(known, _)| known != network) {
            // The old one leaves before the new one comes: both may not fit.
            *slot = None;
            let shelved = self.chosen()?.filter(|shelved| shelved.network() == *network);
            let shelved = shelved.ok_or_else(|| format!("{network} is no longer on the shelf"))?;
            *slot = Some((network.clone(), open(&shelved).map_err(|error| error.to_string())?));
            tracing::info!("{network} is ready for who searches");
        }
        let (_, encoder) = slot.as_ref().ok_or("it was closed")?;
        work(encoder).map_err(|error| error.to_string())
    }
}

impl Encoders for ShelfEncoders {
    fn network(&self) -> Result<Option<NetworkVersion>, String> {
        Ok(self.chosen()?.map(|shelved| shelved.network()))
    }

    fn words(&self, network: &NetworkVersion, words: &str) -> Result<Vec<f32>, String> {
        self.with(&self.words, network, WordEncoder::open, |encoder| encoder.embed(words))
    }

    fn picture(&self, network: &NetworkVersion, picture: &Rgb8<'_>) -> Result<Vec<f32>, String> {
        let open = |shelved: &Shelved| PictureEmbedder::open(shelved, &device(false)?);
        let look = |embedder: &PictureEmbedder| {
            let mut vectors = embedder.embed(std::slice::from_ref(picture))?;
            vectors.pop().ok_or_else(|| InferError::BadInput("no vector came back".to_owned()))
        };
        self.with(&self.pictures, network, open, look)
    }

    fn rest(&self) {
        *self.words.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.pictures.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
