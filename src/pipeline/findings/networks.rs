//! Which networks shall work. Apart behind a trait, so that the rest is tested without any.

use crate::db::networks::NetworkCard;

/// A network that shall work.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkOnOffer {
    /// What the database is told.
    pub card: NetworkCard,
    /// What the workers are told.
    pub facts: serde_json::Value,
}

/// Who knows the networks.
pub trait NetworksOnOffer: Send + Sync {
    /// Those that shall work now; asked every few seconds.
    ///
    /// # Errors
    /// Why that cannot be told now; what was told last holds.
    fn list(&self) -> Result<Vec<NetworkOnOffer>, String>;
}
