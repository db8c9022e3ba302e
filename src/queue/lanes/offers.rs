//! Which lanes there are: a server says so, and what a worker must know of each network.

use super::{
    ms,
    scripts::{OFFER, OFFERED},
};
use crate::{
    models::task::Lane,
    queue::{Queue, QueueError},
};

/// A lane that a server wants worked on.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneOffer {
    /// Kind and network.
    pub lane: Lane,
    /// What a worker must know of the network: its manifest, where its weights are.
    pub facts: serde_json::Value,
}

impl Queue {
    /// Offers lanes for [`offer_lasts`](super::Settings::offer_lasts); a server renews its offers before. Others stay as they are.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn offer_lanes(&self, offers: &[LaneOffer]) -> Result<(), QueueError> {
        let mut call = self.call(&OFFER);
        call.arg(ms(self.settings.offer_lasts));
        for offer in offers {
            call.arg(offer.lane.to_string()).arg(offer.facts.to_string());
        }
        self.run(&call).await
    }

    /// The lanes that are offered now, by name. Kinds that this program does not know are left out.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked; [`QueueError::Foreign`] when facts are not JSON.
    pub async fn offered_lanes(&self) -> Result<Vec<LaneOffer>, QueueError> {
        let rows: Vec<(String, String)> = self.run(&self.call(&OFFERED)).await?;
        let mut offers = Vec::new();
        for (lane, facts) in rows {
            let Ok(lane) = lane.parse() else { continue };
            match serde_json::from_str(&facts) {
                Ok(facts) => offers.push(LaneOffer { lane, facts }),
                Err(_) => return Err(QueueError::Foreign { key: self.key("offer-facts"), found: facts }),
            }
        }
        offers.sort_by(|a, b| a.lane.cmp(&b.lane));
        Ok(offers)
    }
}
