//! Images in the order of their likeness to something, as pages of a list.

use std::{fmt, str::FromStr};

use actix_web::web::Data;

use super::images::{ImageCard, ImageList, NotSeen, Order};
use crate::{
    models::{Filter, FilterError},
    web::{
        State, WebError,
        ranked::{Ranking, rank},
    },
};

/// A place in an order, and by whom it is: `alike-100-0a1b2c3d4e5f`. Another network has another order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    offset: usize,
    version: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "alike-{}-{}", self.offset, self.version)
    }
}

fn not_understood(text: &str) -> FilterError {
    FilterError { key: "cursor".into(), value: text.to_owned(), expected: "a cursor from an earlier page of this search" }
}

impl FromStr for Place {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let mut parts = text.splitn(3, '-');
        let (word, offset, version) = (parts.next(), parts.next(), parts.next());
        match (word, offset.and_then(|offset| offset.parse().ok()), version) {
            (Some("alike"), Some(offset), Some(version)) => Ok(Self { offset, version: version.to_owned() }),
            _ => Err(not_understood(text)),
        }
    }
}

/// A page of a filter with a `like:`.
pub(super) async fn list(state: &Data<State>, filter: &Filter, cursor: Option<&str>, limit: usize) -> Result<ImageList, WebError> {
    let place: Option<Place> = cursor.map(str::parse).transpose()?;
    let offset = place.as_ref().map_or(0, |place| place.offset);
    let Ranking { network, cards, has_more, seen } = rank(state, filter, offset, limit).await?;
    if let Some(place) = place.filter(|place| place.version != network.version) {
        return Err(not_understood(&place.to_string()).into());
    }
    let next = Place { offset: offset + cards.len(), version: network.version.clone() };
    let images = cards.into_iter().map(|(card, score)| ImageCard::scored(card, score));
    Ok(ImageList {
        next_cursor: (has_more && next.offset > offset).then(|| next.to_string()),
        images: images.collect(),
        order: Order::MostAlikeFirst,
        network: Some(network.to_string()),
        not_seen: seen.map(|seen| NotSeen { not_seen_count: seen.lacking, image_count: seen.all }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_an_order_survives_its_text_form() {
        let place = Place { offset: 100, version: "0a1b2c3d4e5f".into() };
        assert_eq!(place.to_string(), "alike-100-0a1b2c3d4e5f");
        assert_eq!(place.to_string().parse(), Ok(place));
        for bad in ["", "alike", "alike-x-0a", "alike-5", "20190803T123300.123456-4711", "other-5-0a"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}
