//! Cards of the database as tiles of the grid, day by day.

use chrono::{NaiveDate, NaiveDateTime};

use super::page;
use crate::{db::gallery::GalleryCard, models::Filter};

/// Panoramas and slivers are shown cropped between these ratios, in thousandths; `static/layout.js` knows the same.
const RATIOS_MILLI: (i32, i32) = (500, 3500);

/// One image in the grid, ready to be written.
#[derive(Debug, Clone)]
pub(super) struct Tile {
    pub(super) id: i64,
    pub(super) name: String,
    /// Width / height for CSS.
    pub(super) ratio: String,
    pub(super) colour: Option<String>,
    pub(super) placeholder: Option<String>,
    pub(super) href: String,
    pub(super) src: Option<String>,
    pub(super) alt: String,
    /// Why there is no picture.
    pub(super) lack: &'static str,
    pub(super) stars: i16,
    pub(super) is_video: bool,
    pub(super) is_missing: bool,
    pub(super) has_raw: bool,
}

impl Tile {
    /// A card, opened within the filter it was found by.
    fn new(card: &GalleryCard, filter: &Filter) -> Self {
        let ratio_milli = card.ratio_milli.clamp(RATIOS_MILLI.0, RATIOS_MILLI.1);
        let placeholder = card.placeholder.as_deref();
        Self {
            id: card.id.0,
            name: card.base_name.clone(),
            ratio: format!("{}.{:03}", ratio_milli / 1000, ratio_milli % 1000),
            colour: page::mean_colour(placeholder),
            placeholder: page::placeholder_text(placeholder),
            href: page::address(&format!("/images/{}", card.id), filter, &[]),
            src: card.picture_key.as_deref().map(|key| page::thumbnail_src(card.id, key)),
            alt: alt(card.is_video, card.captured_at, &card.base_name),
            lack: if card.is_missing { "No longer on its disk" } else { "No picture in its files" },
            stars: card.rating.unwrap_or(0).max(0),
            is_video: card.is_video,
            is_missing: card.is_missing,
            has_raw: card.has_raw,
        }
    }
}

/// What a picture is, for who cannot see it: `Photo, 3 August 2019, 14:03, IMG_1234`.
pub(super) fn alt(is_video: bool, captured_at: NaiveDateTime, name: &str) -> String {
    let what = if is_video { "Video" } else { "Photo" };
    format!("{what}, {}, {name}", captured_at.format("%-d %B %Y, %H:%M"))
}

/// `Saturday, 3 August 2019`.
pub(super) fn long_day(day: NaiveDate) -> String {
    day.format("%A, %-d %B %Y").to_string()
}

/// A day and its tiles, or those of its tiles that are on this page.
#[derive(Debug, Clone)]
pub(super) struct Day {
    pub(super) date: NaiveDate,
    pub(super) words: String,
    pub(super) tiles: Vec<Tile>,
}

/// Cuts cards, which come in the order of the timeline, into days.
pub(super) fn days(cards: &[GalleryCard], filter: &Filter) -> Vec<Day> {
    let by_day = cards.chunk_by(|one, next| one.captured_at.date() == next.captured_at.date());
    let day = |cards: &[GalleryCard]| {
        let date = cards[0].captured_at.date();
        Day { date, words: long_day(date), tiles: cards.iter().map(|card| Tile::new(card, filter)).collect() }
    };
    by_day.map(day).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ImageId;

    fn card(id: i64, time: &str, ratio_milli: i32) -> GalleryCard {
        GalleryCard {
            id: ImageId(id),
            captured_at: time.parse().unwrap(),
            ratio_milli,
            picture_key: None,
            placeholder: None,
            base_name: format!("IMG_{id}"),
            is_video: false,
            is_missing: false,
            has_raw: false,
            rating: None,
            file_count: 1,
        }
    }

    #[test]
    fn cards_are_cut_at_midnight_and_keep_their_order() {
        let cards = [card(3, "2019-08-04T00:00:00", 1500), card(2, "2019-08-03T23:59:59", 90), card(1, "2019-08-03T01:00:00", 12_345)];
        let days = days(&cards, &Filter::default());
        assert_eq!(days.iter().map(|day| day.words.as_str()).collect::<Vec<_>>(), ["Sunday, 4 August 2019", "Saturday, 3 August 2019"]);
        assert_eq!(days[1].tiles.iter().map(|tile| (tile.id, tile.ratio.as_str())).collect::<Vec<_>>(), [(2, "0.500"), (1, "3.500")]);
        assert_eq!(days[1].tiles[0].alt, "Photo, 3 August 2019, 23:59, IMG_2");
    }
}
