//! A page of the gallery: its cards, the ways to the pages beside it, and the days that it cuts, from one plan for all of them.

use chrono::NaiveDate;
use diesel::{PgConnection, QueryResult};

use super::{
    GalleryCard, Range,
    gathered::{Gathered, MOST_IMAGES, Matches},
    load_as, newest_first, plan, walk,
};
use crate::{
    db::{
        sql::Wanted,
        timeline::{TimelineDay, count_day},
    },
    models::{Cursor, Direction, Filter},
};

/// The cards of a page, and the cursors of the pages on both sides where there are such.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CardsPage {
    /// Newest first.
    pub cards: Vec<GalleryCard>,
    /// Where the newer page ends.
    pub newer: Option<Cursor>,
    /// Where the older page begins.
    pub older: Option<Cursor>,
    /// The whole of the days at its ends that may go on beyond it.
    pub cut: Vec<TimelineDay>,
    /// Whether pages of this filter would be quicker if it were gathered: [`Gathered::gather`].
    pub is_worth_gathering: bool,
}

/// Finds the page of up to `size` cards older (or newer) than `from`. Without `from`: from that end of the timeline.
///
/// What walks the timeline answers at once and leaves it to the caller to gather; what has to gather keeps it.
///
/// # Errors
/// When the database fails.
pub fn find_page(
    conn: &mut PgConnection,
    gathered: &Gathered,
    filter: &Filter,
    from: Option<Cursor>,
    direction: Direction,
    size: usize,
) -> QueryResult<CardsPage> {
    if let Some(matches) = gathered.kept(conn, filter)? {
        return page_of(conn, &matches, from, direction, size);
    }
    let wanted = Wanted::resolve(conn, filter)?;
    let range = Range { wanted: &wanted, days: None, from, direction, limit: size as i64 + 1 };
    let mut plan = plan(conn, &range)?;
    let mut cards = Vec::new();
    if plan.walks {
        cards = newest_first(&range, diesel::RunQueryDsl::load(walk(&range).query(), conn)?);
        plan.walks = cards.len() as i64 == range.limit;
    }
    if !plan.walks {
        if plan.is_mixed
            && let Some(matches) = gathered.gather(conn, filter)?
        {
            return page_of(conn, &matches, from, direction, size);
        }
        cards = load_as(conn, &range, plan)?;
    }
    let has_other_side = match (from, cards.first()) {
        (Some(_), Some(first)) if direction == Direction::Older => {
            let newer = Range { from: Some(first.cursor()), direction: Direction::Newer, limit: 1, ..range };
            !load_as(conn, &newer, plan)?.is_empty()
        }
        (from, _) => from.is_some(),
    };
    let mut page = CardsPage::cut(cards, direction, size, has_other_side);
    page.is_worth_gathering = plan.walks && plan.expected <= MOST_IMAGES;
    for day in page.cut_days() {
        page.cut.extend(count_day(conn, &wanted, day)?);
    }
    Ok(page)
}

/// The same page of what is gathered.
fn page_of(conn: &mut PgConnection, matches: &Matches, from: Option<Cursor>, direction: Direction, size: usize) -> QueryResult<CardsPage> {
    let (cards, has_newer, has_older) = match direction {
        Direction::Older => {
            let (cards, has_older, has_newer) = matches.older_cards(conn, from, size)?;
            (cards, has_newer, has_older)
        }
        Direction::Newer => matches.newer_cards(conn, from, size)?,
    };
    let mut page = CardsPage::between(cards, has_newer, has_older);
    page.cut = page.cut_days().into_iter().filter_map(|day| matches.day(day)).collect();
    Ok(page)
}

impl CardsPage {
    /// Takes off the card too many that tells that there is more in this direction.
    fn cut(mut cards: Vec<GalleryCard>, direction: Direction, size: usize, has_other_side: bool) -> Self {
        let has_more = cards.len() > size;
        if has_more {
            match direction {
                Direction::Older => cards.truncate(size),
                Direction::Newer => drop(cards.remove(0)),
            }
        }
        match direction {
            Direction::Older => Self::between(cards, has_other_side, has_more),
            Direction::Newer => Self::between(cards, has_more, has_other_side),
        }
    }

    fn between(cards: Vec<GalleryCard>, has_newer: bool, has_older: bool) -> Self {
        let newer = cards.first().filter(|_| has_newer).map(GalleryCard::cursor);
        let older = cards.last().filter(|_| has_older).map(GalleryCard::cursor);
        Self { cards, newer, older, ..Self::default() }
    }

    /// The days at the ends that may go on beyond it.
    fn cut_days(&self) -> Vec<NaiveDate> {
        let ends = [self.newer, self.older].into_iter().flatten();
        let mut days: Vec<NaiveDate> = ends.map(|cursor| cursor.captured_at.date()).collect();
        days.dedup();
        days
    }
}
