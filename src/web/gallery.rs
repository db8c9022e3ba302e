//! The gallery: the page with its first rows, the rows of any days, and the days of the whole timeline.

use std::time::Duration;

use actix_web::{HttpResponse, http::header::CACHE_CONTROL, web::Data};
use askama::Template;
use chrono::{Datelike, Days, NaiveDate, NaiveTime};
use serde::Serialize;

use super::{
    State, WebError,
    edits::color_words,
    error::or_not_found,
    folders::FolderHead,
    map::query_words,
    page::{self, Layout, Pairs, Tab},
    ranked,
    tiles::{Day, count_days, days},
};
use crate::{
    db::{
        PgConnection,
        folders::breadcrumbs,
        gallery::{find_page, find_snapshot, list_cards_of_days, list_ids_between},
        image::find_cursor,
        timeline::list_marks,
    },
    models::{Cursor, Direction, Filter, FilterError, ImageId, MediaType, Query, edit::ColorLabel},
};

/// Images that a page brings along: enough for a tall screen.
const PAGE_SIZE: usize = 120;
/// How long the database has been left alone when it is at rest.
const REST: Duration = Duration::from_millis(100);
/// Most images in one answer with days.
const LONGEST_ANSWER: i64 = 500;
/// Most images that are selected by naming them.
const MOST_SELECTED: i64 = 100_000;

/// A filter in force, and the address without it.
#[derive(Debug)]
pub(super) struct Chip {
    pub(super) words: String,
    pub(super) without: String,
}

/// What the gallery shows, on its own page or below a folder's head.
#[derive(Debug)]
pub(super) struct GalleryView {
    days: Vec<Day>,
    /// The filter as a query, for the script.
    query: String,
    timeline_href: String,
    /// The day to start at.
    at: Option<NaiveDate>,
    newer: Option<String>,
    older: Option<String>,
    chips: Vec<Chip>,
    is_all: bool,
    /// Ways to take along what passes: words and address.
    exports: Vec<(&'static str, String)>,
    /// This page, for forms that lead back to it.
    here: String,
    /// Where the row of pictures comes from that show the words of the search.
    best: Option<String>,
    /// Why words were looked for in texts alone.
    lack: Option<&'static str>,
}

impl GalleryView {
    /// The colours to choose from: name and words.
    fn colors(&self) -> Vec<(&'static str, String)> {
        colors()
    }
}

/// The colours to choose from: name and words.
pub(super) fn colors() -> Vec<(&'static str, String)> {
    let colors = ColorLabel::ALL.iter().filter(|color| **color != ColorLabel::None);
    colors.map(|color| (color.name(), color_words(*color))).collect()
}

/// A gallery page.
#[derive(Template)]
#[template(path = "gallery.html")]
struct GalleryPage {
    layout: Layout,
    view: GalleryView,
    folder: Option<FolderHead>,
}

/// Rows of days alone.
#[derive(Template)]
#[template(path = "days.html")]
struct DaysFragment {
    days: Vec<Day>,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Start {
    from: Option<Cursor>,
    direction: Direction,
    at: Option<NaiveDate>,
}

impl Start {
    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, FilterError> {
        if let Some(text) = page::value_of(pairs, "before") {
            return Ok(Self { from: Some(text.parse()?), direction: Direction::Newer, at: None });
        }
        if let Some(text) = page::value_of(pairs, "after") {
            return Ok(Self { from: Some(text.parse()?), ..Self::default() });
        }
        let Some(text) = page::value_of(pairs, "at") else { return Ok(Self::default()) };
        let at = last_day_of(text).ok_or_else(|| FilterError {
            key: "at".into(),
            value: text.into(),
            expected: "a day, month or year such as 2019-08-03, 2019-08 or 2019",
        })?;
        let next_day = at.checked_add_days(Days::new(1)).unwrap_or(at);
        let from = Cursor { captured_at: next_day.and_time(NaiveTime::MIN), image: ImageId(0) };
        Ok(Self { from: Some(from), direction: Direction::Older, at: Some(at) })
    }
}

/// The last day of what `2019-08-03`, `2019-08` or `2019` means.
fn last_day_of(text: &str) -> Option<NaiveDate> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<u32>().ok());
    let year = i32::try_from(parts.next()??).ok().filter(|year| (1..=9999).contains(year))?;
    match (parts.next(), parts.next()) {
        (None, _) => NaiveDate::from_ymd_opt(year, 12, 31),
        (Some(month), None) => {
            let first = NaiveDate::from_ymd_opt(year, month?, 1)?;
            first.checked_add_months(chrono::Months::new(1))?.pred_opt()
        }
        (Some(month), Some(day)) => NaiveDate::from_ymd_opt(year, month?, day?),
    }
}

/// `GET /`.
pub(super) async fn show(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let filter = page::filter_of(&pairs)?;
    if filter.query.like().is_some() {
        return ranked::show(&state, &pairs, filter).await;
    }
    let mut view = view(&state, &pairs, &filter, "/").await?;
    if view.days.is_empty()
        && let Some(instead) = ranked::show_instead(&state, &filter).await?
    {
        return Ok(instead);
    }
    if Start::from_pairs(&pairs)? == Start::default() && ranked::by_words(&filter).is_some() {
        let has_network = knows_words(&state).await;
        view.best = (has_network && !view.days.is_empty()).then(|| page::address("/ranked/best", &filter, &[]));
        view.lack = (!has_network).then_some("With a network imported, hm also looks for what the pictures show.");
    }
    let layout = Layout { title: title(&filter), tab: Tab::Photos, filter };
    page::html(&GalleryPage { layout, view, folder: None })
}

/// The gallery below a folder's head: `filter` names the folder.
pub(super) async fn show_in_folder(
    state: &Data<State>,
    pairs: &[(String, String)],
    filter: Filter,
    folder: FolderHead,
) -> Result<HttpResponse, WebError> {
    let mut view = view(state, pairs, &filter, &folder.href()).await?;
    view.chips.clear();
    view.is_all = false;
    let layout = Layout { title: folder.name.clone(), tab: Tab::Folders, filter };
    page::html(&GalleryPage { layout, view, folder: Some(folder) })
}

/// Whether there is a network that knows words and pictures.
async fn knows_words(state: &State) -> bool {
    match &state.ask {
        Some(ask) => ask.network().await.is_ok(),
        None => false,
    }
}

fn title(filter: &Filter) -> String {
    match (filter.year, filter.month.and_then(month_name)) {
        (Some(year), Some(month)) => format!("{month} {year}"),
        (Some(year), None) => year.to_string(),
        _ => "Photos".to_owned(),
    }
}

/// `August`.
pub(super) fn month_name(month: u32) -> Option<String> {
    NaiveDate::from_ymd_opt(2000, month, 1).map(|day| day.format("%B").to_string())
}

async fn view(state: &Data<State>, pairs: &[(String, String)], filter: &Filter, path: &str) -> Result<GalleryView, WebError> {
    let start = Start::from_pairs(pairs)?;
    let wanted = filter.clone();
    let gathered = state.gathered.clone();
    let (page, folder_name) = state
        .db
        .run(move |conn| {
            let page = find_page(conn, &gathered, &wanted, start.from, start.direction, PAGE_SIZE)?;
            let steps = wanted.folder.map(|folder| breadcrumbs(conn, folder)).transpose()?.flatten();
            let folder = steps.map(|steps| steps.into_iter().map(|step| step.name).collect::<Vec<_>>().join("/"));
            Ok::<_, crate::db::DbError>((page, folder))
        })
        .await?;
    if page.is_worth_gathering {
        actix_web::rt::spawn(gather(state.clone(), filter.clone()));
    }
    state.want_findings(page.cards.iter().map(|card| card.id).collect());
    let mut days = days(&page.cards, filter);
    count_days(&mut days, &page.cut);
    let turn = |key, cursor: Option<Cursor>| cursor.map(|cursor| page::address(path, filter, &[(key, cursor.to_string())]));
    Ok(GalleryView {
        query: page::query(filter, &[]),
        timeline_href: page::address("/timeline.json", filter, &[]),
        at: start.at,
        newer: turn("before", page.newer),
        older: turn("after", page.older),
        chips: chips(filter, folder_name),
        is_all: filter.is_all(),
        exports: super::export::links(filter),
        here: page::address(path, filter, &[]),
        best: None,
        lack: None,
        days,
    })
}

/// Gathers a filter for its next pages, if the library is at rest: while something writes, it would be for nothing.
async fn gather(state: Data<State>, filter: Filter) {
    let Ok(before) = state.db.run(find_snapshot).await else { return };
    actix_web::rt::time::sleep(REST).await;
    let gathered = state.gathered.clone();
    let gather = move |conn: &mut PgConnection| match find_snapshot(conn)? == before {
        true => gathered.gather(conn, &filter).map(drop),
        false => Ok(()),
    };
    if let Err(error) = state.db.run(gather).await {
        tracing::debug!("a filter is not gathered for its next pages: {error}");
    }
}

/// The filters in force as words, each with the address without it.
pub(super) fn chips(filter: &Filter, folder_name: Option<String>) -> Vec<Chip> {
    let without = |change: fn(&mut Filter)| {
        let mut other = filter.clone();
        change(&mut other);
        page::address("/", &other, &[])
    };
    let mut chips = query_chips(filter);
    let mut add = |words: Option<String>, change: fn(&mut Filter)| {
        chips.extend(words.map(|words| Chip { words, without: without(change) }));
    };
    add(filter.year.map(|year| year.to_string()), |filter| {
        filter.year = None;
        filter.month = None;
    });
    add(filter.month.and_then(month_name), |filter| filter.month = None);
    add(filter.camera.clone(), |filter| filter.camera = None);
    add(filter.lens.clone(), |filter| filter.lens = None);
    add(filter.rating.map(rating_words), |filter| filter.rating = None);
    add(filter.media_type.map(|media_type| type_words(media_type).to_owned()), |filter| filter.media_type = None);
    add(filter.folder.map(|_| format!("Folder {}", folder_name.unwrap_or_default())), |filter| filter.folder = None);
    add(filter.has_gps.map(|has| gps_words(has).to_owned()), |filter| filter.has_gps = None);
    chips
}

/// Each condition of the search that must hold, with the address without it.
fn query_chips(filter: &Filter) -> Vec<Chip> {
    let parts = filter.query.conjuncts();
    let chip = |(gone, part): (usize, &Query)| {
        let others = parts.iter().enumerate().filter(|(index, _)| *index != gone).map(|(_, part)| part.clone());
        let other = Filter { query: Query::all(others), ..filter.clone() };
        Chip { words: query_words(part), without: page::address("/", &other, &[]) }
    };
    parts.iter().enumerate().map(chip).collect()
}

/// A rating filter in words.
pub(super) fn rating_words(rating: i8) -> String {
    match rating {
        -1 => "Rejected".to_owned(),
        0 => "Not rated".to_owned(),
        5 => "5 stars".to_owned(),
        1 => "1 star or more".to_owned(),
        stars => format!("{stars} stars or more"),
    }
}

/// A kind of file in words.
pub(super) fn type_words(media_type: MediaType) -> &'static str {
    match media_type {
        MediaType::Raw => "With RAW",
        MediaType::Jpeg => "With JPEG",
        MediaType::Video => "Videos",
    }
}

/// Whether there is a place, in words.
pub(super) fn gps_words(has_gps: bool) -> &'static str {
    if has_gps { "With a place" } else { "Without a place" }
}

/// `GET /days?newest=&oldest=&after=&limit=`: the rows of these days, as a fragment.
pub(super) async fn show_days(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let filter = page::set_of(&pairs)?;
    let newest = day_of(&pairs, "newest")?;
    let oldest = day_of(&pairs, "oldest")?;
    let after: Option<Cursor> = page::value_of(&pairs, "after").map(str::parse).transpose()?;
    let limit = number_of(&pairs, "limit", LONGEST_ANSWER)?;
    let wanted = filter.clone();
    let gathered = state.gathered.clone();
    let list = move |conn: &mut PgConnection| match gathered.kept(conn, &wanted)? {
        Some(matches) => matches.list_cards_of_days(conn, newest, oldest, after, limit),
        None => list_cards_of_days(conn, &wanted, newest, oldest, after, limit),
    };
    let cards = state.db.run(list).await?;
    state.want_findings(cards.iter().map(|card| card.id).collect());
    page::html(&DaysFragment { days: days(&cards, &filter) })
}

fn day_of(pairs: &[(String, String)], key: &'static str) -> Result<NaiveDate, FilterError> {
    let text = page::value_of(pairs, key).unwrap_or_default();
    let expected = "a day such as 2019-08-03";
    text.parse().map_err(|_| FilterError { key: key.into(), value: text.into(), expected })
}

fn number_of(pairs: &[(String, String)], key: &'static str, most: i64) -> Result<i64, FilterError> {
    let Some(text) = page::value_of(pairs, key) else { return Ok(most) };
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| FilterError { key: key.into(), value: text.into(), expected: "a whole number from 1 to 500" })
}

/// `GET /images/ids?from=&to=` or `?day=`: the images of a filter between two of them, or of a day, for a selection of what is not on the page.
pub(super) async fn show_ids(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let filter = page::set_of(&pairs)?;
    let day = page::value_of(&pairs, "day").is_some().then(|| day_of(&pairs, "day")).transpose()?;
    let image = |key| page::value_of(&pairs, key).unwrap_or_default().parse::<ImageId>().map_err(|_| WebError::NotFound("image"));
    let ends = if day.is_none() { Some((image("from")?, image("to")?)) } else { None };
    let read = state.db.run(move |conn| {
        let (oldest, newest) = match (day, ends) {
            (Some(day), _) => {
                let end = day.succ_opt().unwrap_or(day).and_time(NaiveTime::MIN);
                (Cursor { captured_at: day.and_time(NaiveTime::MIN), image: ImageId(0) }, Cursor { captured_at: end, image: ImageId(0) })
            }
            (None, Some((from, to))) => {
                let ends = [find_cursor(conn, from)?, find_cursor(conn, to)?];
                let by_place = |cursor: &Cursor| (cursor.captured_at, cursor.image);
                let older = ends.into_iter().min_by_key(by_place);
                let newer = ends.into_iter().max_by_key(by_place);
                (older.unwrap_or(ends[0]), newer.unwrap_or(ends[1]))
            }
            (None, None) => return Ok(Vec::new()),
        };
        list_ids_between(conn, &filter, oldest, newest, MOST_SELECTED + 1)
    });
    let ids = read.await.map_err(or_not_found("image"))?;
    if ids.len() as i64 > MOST_SELECTED {
        return Err(WebError::Conflict(
            "These are more photos than can be selected one by one: select all of a filter instead.".to_owned(),
        ));
    }
    let ids: Vec<i64> = ids.into_iter().map(|id| id.0).collect();
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "private, no-cache")).json(ids))
}

/// The days of the timeline as the script reads them.
#[derive(Debug, Serialize)]
struct TimelineAnswer {
    /// Newest first: days back from the one before (the first: from 1970-01-01), images, sum of ratios in thousandths.
    days: Vec<(i64, i32, i64)>,
}

/// `GET /timeline.json`: every day with its images, small enough to be sent whole.
pub(super) async fn show_timeline(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let filter = page::set_of(&pairs)?;
    let days = state.timeline(&filter).await?;
    let mut before = 0;
    let days = days.iter().map(|day| {
        let number = i64::from(day.day.num_days_from_ce()) - i64::from(NaiveDate::default().num_days_from_ce());
        let back = before - number;
        before = number;
        (back, day.image_count, day.ratio_milli_sum)
    });
    let answer = TimelineAnswer { days: days.collect() };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "private, no-cache")).json(answer))
}

/// `GET /days/marks?day=&every=`: the cursors after every so many images of a long day, so that any piece of it can be asked for.
pub(super) async fn show_marks(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let filter = page::set_of(&pairs)?;
    let day = day_of(&pairs, "day")?;
    let every = number_of(&pairs, "every", LONGEST_ANSWER)?;
    let marks = state.db.run(move |conn| list_marks(conn, &filter, day, every)).await?;
    let marks: Vec<String> = marks.iter().map(Cursor::to_string).collect();
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "private, no-cache")).json(marks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_starts_at_the_end_of_what_it_names() {
        let day = |text| last_day_of(text).map(|day| day.to_string());
        assert_eq!(day("2019-08-03").as_deref(), Some("2019-08-03"));
        assert_eq!(day("2020-02").as_deref(), Some("2020-02-29"));
        assert_eq!(day("2019-12").as_deref(), Some("2019-12-31"));
        assert_eq!(day("2019").as_deref(), Some("2019-12-31"));
        for bad in ["", "x", "2019-13", "2019-02-30", "2019-02-03-04", "-5", "99999"] {
            assert_eq!(last_day_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_condition_of_a_search_is_a_chip() {
        let filter = Filter { query: "lake -tag:private (a OR b)".parse().unwrap(), year: Some(2019), ..Filter::default() };
        let chips: Vec<_> = chips(&filter, None).into_iter().map(|chip| (chip.words, chip.without)).collect();
        let expected = [
            ("“lake”", "/?year=2019&q=-tag%3Aprivate%20%28a%20OR%20b%29"),
            ("-tag:private", "/?year=2019&q=lake%20%28a%20OR%20b%29"),
            ("a OR b", "/?year=2019&q=lake%20-tag%3Aprivate"),
            ("2019", "/?q=lake%20-tag%3Aprivate%20%28a%20OR%20b%29"),
        ];
        assert_eq!(chips, expected.map(|(words, without)| (words.to_owned(), without.to_owned())));
    }

    #[test]
    fn each_chip_takes_away_only_itself_but_a_year_takes_its_month() {
        let filter = Filter { year: Some(2019), month: Some(8), camera: Some("A & B".to_owned()), ..Filter::default() };
        let chips: Vec<_> = chips(&filter, None).into_iter().map(|chip| (chip.words, chip.without)).collect();
        let expected = [("2019", "/?camera=A%20%26%20B"), ("August", "/?year=2019&camera=A%20%26%20B"), ("A & B", "/?year=2019&month=8")];
        assert_eq!(chips, expected.map(|(words, without)| (words.to_owned(), without.to_owned())));
    }
}
