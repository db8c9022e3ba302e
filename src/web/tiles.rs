//! Cards of the database as tiles of the grid, day by day.

use chrono::{NaiveDate, NaiveDateTime};

use super::page;
use crate::{
    db::{gallery::GalleryCard, timeline::TimelineDay},
    models::Filter,
};

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
    /// -1 rejected, 0 unrated, 1..=5 stars.
    pub(super) rating: i16,
    pub(super) pick: String,
    pub(super) color: String,
    pub(super) is_video: bool,
    pub(super) is_missing: bool,
    pub(super) has_raw: bool,
    /// How alike it is to what was asked for, in words.
    pub(super) likeness: Option<String>,
}

impl Tile {
    /// A card, opened within the filter it was found by.
    fn new(card: &GalleryCard, filter: &Filter) -> Self {
        let placeholder = card.placeholder.as_deref();
        Self {
            id: card.id.0,
            name: card.base_name.clone(),
            ratio: thousandths(shown_ratio_milli(card)),
            colour: page::mean_colour(placeholder),
            placeholder: page::placeholder_text(placeholder),
            href: page::address(&format!("/images/{}", card.id), filter, &[]),
            src: card.picture_key.as_deref().map(|key| page::thumbnail_src(card.id, key)),
            alt: alt(card.is_video, card.captured_at, &card.base_name),
            lack: if card.is_missing { "No longer on its disk" } else { "No picture in its files" },
            rating: card.rating.unwrap_or(0),
            pick: card.pick.clone(),
            color: card.color_label.clone(),
            is_video: card.is_video,
            is_missing: card.is_missing,
            has_raw: card.has_raw,
            likeness: None,
        }
    }

    /// A card at a place in an order, opened within that order.
    pub(super) fn ranked(card: &GalleryCard, filter: &Filter, place: usize, score: f32) -> Self {
        Self {
            href: page::address(&format!("/images/{}", card.id), filter, &[("place", place.to_string())]),
            likeness: Some(format!("Likeness {score:.2}")),
            ..Self::new(card, filter)
        }
    }
}

/// What a picture is, for who cannot see it: `Photo, 3 August 2019, 14:03, IMG_1234`.
pub(super) fn alt(is_video: bool, captured_at: NaiveDateTime, name: &str) -> String {
    let what = if is_video { "Video" } else { "Photo" };
    format!("{what}, {}, {name}", captured_at.format("%-d %B %Y, %H:%M"))
}

/// The ratio a tile is shown at, in thousandths.
fn shown_ratio_milli(card: &GalleryCard) -> i32 {
    card.ratio_milli.clamp(RATIOS_MILLI.0, RATIOS_MILLI.1)
}

/// A number of thousandths for CSS: `1.500`.
fn thousandths(milli: i32) -> String {
    format!("{}.{:03}", milli / 1000, milli % 1000)
}

/// `Saturday, 3 August 2019`.
pub(super) fn long_day(day: NaiveDate) -> String {
    day.format("%A, %-d %B %Y").to_string()
}

/// A day and its tiles, or those of its tiles that are on this page.
#[derive(Debug, Clone)]
pub(super) struct Day {
    pub(super) date: NaiveDate,
    /// `Saturday`.
    pub(super) weekday: String,
    /// `3 August 2019`.
    pub(super) words: String,
    /// `1 photo`, of the whole day; `None` until [`count_days`] says it.
    pub(super) count: Option<String>,
    /// Sum of the tiles' ratios, for CSS: how wide they are in one line of height 1.
    pub(super) ratio_sum: String,
    pub(super) tiles: Vec<Tile>,
}

/// Cuts cards, which come in the order of the timeline, into days.
pub(super) fn days(cards: &[GalleryCard], filter: &Filter) -> Vec<Day> {
    let by_day = cards.chunk_by(|one, next| one.captured_at.date() == next.captured_at.date());
    let day = |cards: &[GalleryCard]| {
        let date = cards[0].captured_at.date();
        Day {
            date,
            weekday: date.format("%A").to_string(),
            words: date.format("%-d %B %Y").to_string(),
            count: None,
            ratio_sum: thousandths(cards.iter().map(shown_ratio_milli).sum()),
            tiles: cards.iter().map(|card| Tile::new(card, filter)).collect(),
        }
    };
    by_day.map(day).collect()
}

/// Writes into the days how many images they hold. `cut` are the counts of days that are not whole on this page.
pub(super) fn count_days(days: &mut [Day], cut: &[TimelineDay]) {
    for day in days {
        let on_page = day.tiles.len() as i64;
        let counted = cut.iter().find(|counted| counted.day == day.date).map_or(on_page, |counted| i64::from(counted.image_count));
        // A scan may have come between the two questions.
        day.count = Some(page::photos(counted.max(on_page)));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::models::ImageId;

    /// A card with nothing to it but its number, time and shape.
    pub(in crate::web) fn card(id: i64, time: &str, ratio_milli: i32) -> GalleryCard {
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
            pick: "none".to_owned(),
            color_label: "none".to_owned(),
            file_count: 1,
        }
    }

    #[test]
    fn cards_are_cut_at_midnight_and_keep_their_order() {
        let cards = [card(3, "2019-08-04T00:00:00", 1500), card(2, "2019-08-03T23:59:59", 90), card(1, "2019-08-03T01:00:00", 12_345)];
        let days = days(&cards, &Filter::default());
        let words: Vec<_> = days.iter().map(|day| (day.weekday.as_str(), day.words.as_str())).collect();
        assert_eq!(words, [("Sunday", "4 August 2019"), ("Saturday", "3 August 2019")]);
        assert_eq!(days[1].tiles.iter().map(|tile| (tile.id, tile.ratio.as_str())).collect::<Vec<_>>(), [(2, "0.500"), (1, "3.500")]);
        assert_eq!(days[1].tiles[0].alt, "Photo, 3 August 2019, 23:59, IMG_2");
        assert_eq!(days[1].ratio_sum, "4.000");
    }

    #[test]
    fn a_tile_of_an_order_opens_at_its_place_and_says_how_alike_it_is() {
        let filter = Filter { query: "like:snow".parse().unwrap(), ..Filter::default() };
        let tile = Tile::ranked(&card(7, "2019-08-03T12:00:00", 1500), &filter, 12, 0.2749);
        assert_eq!(tile.href, "/images/7?q=like%3A%22snow%22&place=12");
        assert_eq!(tile.likeness.as_deref(), Some("Likeness 0.27"));
    }

    #[test]
    fn a_day_cut_by_its_page_says_how_many_there_are_in_all() {
        let cards = [card(3, "2019-09-01T08:00:00", 1500), card(2, "2019-08-31T08:00:00", 1500), card(1, "2019-08-30T08:00:00", 1500)];
        let mut days = days(&cards, &Filter::default());
        let counted = |day: &str, image_count| TimelineDay { day: day.parse().unwrap(), image_count, ratio_milli_sum: 0 };
        count_days(&mut days, &[counted("2019-08-30", 1_204)]);
        assert_eq!(days.iter().map(|day| day.count.clone().unwrap()).collect::<Vec<_>>(), ["1 photo", "1 photo", "1,204 photos"]);
    }
}
