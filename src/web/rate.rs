//! The rating run: one photo after another, those without stars first, by keyboard alone. What was taken within a moment stands side by
//! side, to pick from, and so do the tries of one picture. The page holds a stretch of the run and asks for the next before it is needed.

mod alike;

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web::Data};
use askama::Template;
use chrono::{Datelike, TimeDelta};

use self::alike::are_alike;
use super::{
    State, WebError,
    gallery::month_name,
    page::{self, Layout, Pairs, Tab, photos, value_of},
    tiles,
};
use crate::{
    db::{
        gallery::{GalleryCard, list_cards},
        timeline::TimelineDay,
    },
    models::{Cursor, Direction, Filter, FilterError, Query, query::Is, query::Term},
};

/// Photos of one answer.
const STRETCH: i64 = 60;
/// Photos no farther apart than this are of one moment, as frames of a burst are.
const NEAR: TimeDelta = TimeDelta::seconds(3);
/// Photos no farther apart than this are tries of one picture where they look alike.
const SOON: TimeDelta = TimeDelta::seconds(60);
/// More than these do not fit side by side.
const MOST_FRAMES: usize = 6;

/// Which photos come, and from which end.
#[derive(Debug, Clone, PartialEq)]
struct Run {
    /// What the person asked for.
    filter: Filter,
    /// Those that have stars already, or are rejected.
    is_second: bool,
    is_newest_first: bool,
}

impl Run {
    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, WebError> {
        let is_newest_first = match value_of(pairs, "order") {
            None | Some("oldest") => false,
            Some("newest") => true,
            Some(other) => {
                return Err(FilterError { key: "order".into(), value: other.into(), expected: "`oldest` or `newest`" }.into());
            }
        };
        Ok(Self { filter: page::set_of(pairs)?, is_second: value_of(pairs, "rated").is_some(), is_newest_first })
    }

    /// The photos of this run.
    fn wanted(&self) -> Filter {
        let unrated = Query::from(Term::Is(vec![Is::Unrated]));
        let which = if self.is_second { Query::Not(Box::new(unrated)) } else { unrated };
        let query = Query::all(self.filter.query.conjuncts().iter().cloned().chain([which]));
        Filter { query, ..self.filter.clone() }
    }

    /// An address of this run, or of one that differs in some pairs.
    fn href(&self, path: &str, is_second: bool, is_newest_first: bool) -> String {
        let mut more = vec![("all", "1".to_owned())];
        if is_second {
            more.push(("rated", "1".to_owned()));
        }
        if is_newest_first {
            more.push(("order", "newest".to_owned()));
        }
        page::address(path, &self.filter, &more)
    }

    fn words(&self) -> String {
        let Filter { year, month, .. } = &self.filter;
        let time = match (year, month.and_then(month_name)) {
            (Some(year), Some(month)) => format!("{month} {year}"),
            (Some(year), None) => year.to_string(),
            _ => String::new(),
        };
        let rest = Filter { year: None, month: None, folder: None, ..self.filter.clone() }.to_query(None).to_string();
        let folder = if self.filter.folder.is_some() { "one folder" } else { "" };
        let parts: Vec<&str> = [time.as_str(), folder, rest.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { "All photos".to_owned() } else { parts.join(" · ") }
    }
}

/// One photo of a moment.
#[derive(Debug)]
struct Shot {
    id: i64,
    name: String,
    when: String,
    alt: String,
    ratio: String,
    colour: Option<String>,
    placeholder: Option<String>,
    thumbnail: Option<String>,
    proxy: Option<String>,
    rating: i16,
    pick: String,
    color: String,
    is_video: bool,
    has_raw: bool,
}

impl Shot {
    fn new(card: &GalleryCard) -> Self {
        let ratio_milli = card.ratio_milli.clamp(50, 20_000);
        let picture = |size| card.picture_key.as_deref().map(|key| page::picture_src(card.id, size, key));
        Self {
            id: card.id.0,
            name: card.base_name.clone(),
            when: card.captured_at.format("%-d %B %Y, %H:%M:%S").to_string(),
            alt: tiles::alt(card.is_video, card.captured_at, &card.base_name),
            ratio: format!("{}.{:03}", ratio_milli / 1000, ratio_milli % 1000),
            colour: page::mean_colour(card.placeholder.as_deref()),
            placeholder: page::placeholder_text(card.placeholder.as_deref()),
            thumbnail: card.picture_key.as_deref().map(|key| page::thumbnail_src(card.id, key)),
            proxy: picture("proxy"),
            rating: card.rating.unwrap_or(0),
            pick: card.pick.clone(),
            color: card.color_label.clone(),
            is_video: card.is_video,
            has_raw: card.has_raw,
        }
    }
}

/// A part of the run.
#[derive(Debug)]
struct Stretch {
    moments: Vec<Vec<Shot>>,
    /// Where the next part begins; `None` at the end.
    next: Option<Cursor>,
}

/// Whether two photos that follow one another are to be picked from.
fn belong_together(one: &GalleryCard, next: &GalleryCard) -> bool {
    let apart = (next.captured_at - one.captured_at).abs();
    let look_alike = || matches!((&one.placeholder, &next.placeholder), (Some(one), Some(next)) if are_alike(one, next));
    apart <= NEAR || (apart <= SOON && !one.is_video && !next.is_video && look_alike())
}

/// Cuts cards, in the order of the run, into moments. What may go on beyond the last card is left for the next part.
fn stretch(cards: &[GalleryCard], has_more: bool) -> Stretch {
    let mut groups: Vec<&[GalleryCard]> = Vec::new();
    for near in cards.chunk_by(belong_together) {
        groups.extend(near.chunks(MOST_FRAMES));
    }
    if has_more && groups.len() > 1 {
        groups.pop();
    }
    let last = groups.last().and_then(|group| group.last());
    Stretch {
        next: last.filter(|_| has_more).map(GalleryCard::cursor),
        moments: groups.iter().map(|group| group.iter().map(Shot::new).collect()).collect(),
    }
}

async fn load(state: &State, run: &Run, after: Option<Cursor>) -> Result<Stretch, WebError> {
    let (wanted, direction) = (run.wanted(), if run.is_newest_first { Direction::Older } else { Direction::Newer });
    let mut cards = state.db.run(move |conn| list_cards(conn, &wanted, after, direction, STRETCH + 1)).await?;
    if direction == Direction::Newer {
        cards.reverse();
    }
    let has_more = cards.len() as i64 > STRETCH;
    cards.truncate(STRETCH as usize);
    Ok(stretch(&cards, has_more))
}

#[derive(Template)]
#[template(path = "rate.html")]
struct RatePage {
    layout: Layout,
    words: String,
    stretch: Stretch,
    /// How many photos the run has.
    count: i64,
    query: String,
    is_second: bool,
    /// The same photos from the other end, and its name.
    other_order: (String, &'static str),
    /// Those that have stars.
    second: String,
    close: String,
}

#[derive(Template)]
#[template(path = "rate.html", block = "moments")]
struct MomentsFragment {
    stretch: Stretch,
}

/// A month of which some photos have no stars.
#[derive(Debug, PartialEq, Eq)]
struct Month {
    name: String,
    words: String,
    href: String,
}

/// A year with its months.
#[derive(Debug, PartialEq, Eq)]
struct Year {
    year: i32,
    words: String,
    href: String,
    months: Vec<Month>,
}

#[derive(Template)]
#[template(path = "rate_choice.html")]
struct ChoicePage {
    layout: Layout,
    years: Vec<Year>,
    words: String,
    all: String,
}

/// Unrated photos by year and month, newest first.
fn years(days: &[TimelineDay]) -> Vec<Year> {
    let mut counts: BTreeMap<(i32, u32), i64> = BTreeMap::new();
    for day in days {
        *counts.entry((day.day.year(), day.day.month())).or_default() += i64::from(day.image_count);
    }
    let href = |year, month| page::address("/rate", &Filter { year: Some(year), month, ..Filter::default() }, &[]);
    let months: Vec<((i32, u32), i64)> = counts.into_iter().rev().collect();
    let year = |months: &[((i32, u32), i64)]| {
        let year = months[0].0.0;
        Year {
            year,
            words: photos(months.iter().map(|(_, count)| count).sum()),
            href: href(year, None),
            months: months
                .iter()
                .map(|((year, month), count)| Month {
                    name: month_name(*month).unwrap_or_default(),
                    words: page::grouped(*count),
                    href: href(*year, Some(*month)),
                })
                .collect(),
        }
    };
    months.chunk_by(|one, next| one.0.0 == next.0.0).map(year).collect()
}

fn total(days: &[TimelineDay]) -> i64 {
    days.iter().map(|day| i64::from(day.image_count)).sum()
}

/// `GET /rate`: without a filter the years and months to choose from, else the run; `all` is the run through everything.
pub(super) async fn show(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let run = Run::from_pairs(&pairs)?;
    let days = state.timeline(&run.wanted()).await?;
    if run.filter.is_all() && value_of(&pairs, "all").is_none() {
        let layout = Layout::new("Rate", Tab::None);
        let words = photos(total(&days));
        return page::html(&ChoicePage { layout, years: years(&days), words, all: run.href("/rate", false, false) });
    }
    let stretch = load(&state, &run, None).await?;
    let mut query = vec![("all", "1".to_owned())];
    if run.is_second {
        query.push(("rated", "1".to_owned()));
    }
    if run.is_newest_first {
        query.push(("order", "newest".to_owned()));
    }
    page::html(&RatePage {
        layout: Layout { title: format!("Rate: {}", run.words()), tab: Tab::None, filter: run.filter.clone() },
        words: run.words(),
        stretch,
        count: total(&days),
        query: page::query(&run.filter, &query),
        is_second: run.is_second,
        other_order: (
            run.href("/rate", run.is_second, !run.is_newest_first),
            if run.is_newest_first { "Oldest first" } else { "Newest first" },
        ),
        second: run.href("/rate", true, run.is_newest_first),
        close: page::address("/", &run.filter, &[]),
    })
}

/// `GET /rate/moments?after=`: the next part of a run.
pub(super) async fn moments(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let run = Run::from_pairs(&pairs)?;
    let after: Option<Cursor> = value_of(&pairs, "after").map(str::parse).transpose()?;
    page::html(&MomentsFragment { stretch: load(&state, &run, after).await? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(id: i64, time: &str) -> GalleryCard {
        crate::web::tiles::tests::card(id, time, 1500)
    }

    fn ids(stretch: &Stretch) -> Vec<Vec<i64>> {
        stretch.moments.iter().map(|moment| moment.iter().map(|shot| shot.id).collect()).collect()
    }

    #[test]
    fn what_was_taken_within_a_moment_stands_side_by_side() {
        let cards = [
            card(1, "2019-08-03T12:00:00"),
            card(2, "2019-08-03T12:00:02"),
            card(3, "2019-08-03T12:00:05"),
            card(4, "2019-08-03T12:00:09"),
        ];
        let whole = stretch(&cards, false);
        assert_eq!((ids(&whole), whole.next), (vec![vec![1, 2, 3], vec![4]], None));
        // The last may go on in the next part.
        let part = stretch(&cards, true);
        assert_eq!((ids(&part), part.next), (vec![vec![1, 2, 3]], Some(cards[2].cursor())));
        // So it is from the other end.
        let back: Vec<GalleryCard> = cards.iter().rev().cloned().collect();
        assert_eq!(ids(&stretch(&back, false)), [vec![4], vec![3, 2, 1]]);
    }

    #[test]
    fn tries_of_one_picture_stand_side_by_side_for_a_minute() {
        // A bright disc before a dark ground, at a share of the width.
        let disc = |x: f32| {
            let is_bright = |at: usize| ((at % 60) as f32 / 60.0 - x).hypot((at / 60) as f32 / 60.0 - 0.35) < 0.2;
            let rgba: Vec<u8> = (0..60 * 40).flat_map(|at| if is_bright(at) { [240, 220, 200, 255] } else { [40, 60, 50, 255] }).collect();
            thumbhash::rgba_to_thumb_hash(60, 40, &rgba)
        };
        let shot = |id, time: &str, x| GalleryCard { placeholder: Some(disc(x)), ..card(id, time) };
        let cards = [
            shot(1, "2019-08-03T12:00:00", 0.30),
            shot(2, "2019-08-03T12:00:40", 0.32),
            shot(3, "2019-08-03T12:01:20", 0.31),
            // Another picture; the same again, and long after.
            shot(4, "2019-08-03T12:01:30", 0.75),
            shot(5, "2019-08-03T12:01:40", 0.30),
            shot(6, "2019-08-03T12:02:50", 0.30),
            // A video of the same, and nothing to tell by.
            GalleryCard { is_video: true, ..shot(7, "2019-08-03T12:03:00", 0.30) },
            card(8, "2019-08-03T12:03:10"),
        ];
        assert_eq!(ids(&stretch(&cards, false)), [vec![1, 2, 3], vec![4], vec![5], vec![6], vec![7], vec![8]]);
        let grey = |id, time: &str| GalleryCard {
            placeholder: Some(thumbhash::rgba_to_thumb_hash(60, 40, &[90, 90, 90, 255].repeat(60 * 40))),
            ..card(id, time)
        };
        let flat = [grey(1, "2019-08-03T12:00:00"), grey(2, "2019-08-03T12:00:10")];
        assert_eq!(ids(&stretch(&flat, false)), [vec![1], vec![2]], "where there is nothing to see nothing is alike");
    }

    #[test]
    fn a_long_burst_is_cut_and_never_stops_the_run() {
        let cards: Vec<GalleryCard> = (1..=60).map(|id| card(id, &format!("2019-08-03T12:00:{:02}", id % 60))).collect();
        let cards = &cards[..20];
        let part = stretch(cards, true);
        assert_eq!(ids(&part), [(1..=6).collect::<Vec<_>>(), (7..=12).collect(), (13..=18).collect()]);
        assert_eq!(part.next, Some(cards[17].cursor()));
        let one = stretch(&cards[..3], true);
        assert_eq!((ids(&one), one.next), (vec![vec![1, 2, 3]], Some(cards[2].cursor())), "a lone group is not left out");
    }

    #[test]
    fn a_run_asks_for_those_without_stars_first() {
        let run = |text: &str| {
            let pairs: Vec<(String, String)> =
                text.split('&').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            Run::from_pairs(&pairs)
        };
        let first = run("year=2019&month=8&q=lake").unwrap();
        assert_eq!((first.wanted().query.to_string(), first.words()), ("lake is:unrated".to_owned(), "August 2019 · lake".to_owned()));
        let second = run("rated=1&order=newest").unwrap();
        assert_eq!((second.wanted().query.to_string(), second.words()), ("-is:unrated".to_owned(), "All photos".to_owned()));
        assert_eq!(second.href("/rate", true, false), "/rate?all=1&rated=1");
        assert!(run("order=best").is_err());
    }

    #[test]
    fn months_are_counted_newest_first() {
        let day = |day: &str, image_count| TimelineDay { day: day.parse().unwrap(), image_count, ratio_milli_sum: 0 };
        let years = years(&[day("2020-01-05", 3), day("2019-08-04", 2), day("2019-08-03", 1_200), day("2019-02-03", 5)]);
        let told: Vec<(i32, &str, usize)> = years.iter().map(|year| (year.year, year.words.as_str(), year.months.len())).collect();
        assert_eq!(told, [(2020, "3 photos", 1), (2019, "1,207 photos", 2)]);
        let august = &years[1].months[0];
        assert_eq!((august.name.as_str(), august.words.as_str(), august.href.as_str()), ("August", "1,202", "/rate?year=2019&month=8"));
    }
}
