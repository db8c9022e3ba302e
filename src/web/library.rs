//! The library at a glance: what is there by year, camera, lens, rating and kind, what stands out, how it grew, and its backups. Charts are
//! tables with bars, and every figure leads to the photos it counts.

use actix_web::{HttpResponse, web::Data};
use askama::Template;
use chrono::{DateTime, Local, Utc};

use super::{
    State, WebError,
    page::{self, Layout, Tab, grouped},
    search::gallery_href,
};
use crate::{
    db::{
        backups::{BackupEntry, list_backups},
        facets::FacetValue,
        library::{Kind, LibrarySummary, Sum},
    },
    models::{
        Filter, Query,
        query::{Bounds, FileType, Has, Is, Name, Term},
        size_words,
    },
};

/// Rows of a table that are shown at once.
const MOST_ROWS: usize = 10;
/// Backups listed.
const MOST_BACKUPS: i64 = 12;
/// Size of the drawing of growth, in its own units.
const DRAWING: (f64, f64) = (960.0, 180.0);

/// A figure with its photos.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Figure {
    label: String,
    value: String,
    note: String,
    href: String,
}

/// A line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    label: String,
    href: String,
    count: String,
    /// Of all images, for people.
    share: String,
    /// Empty where it is not known.
    size: String,
    /// Length of the bar, in percent of the longest.
    bar: i64,
}

/// A chart that is a table.
#[derive(Debug)]
struct Chart {
    id: &'static str,
    title: &'static str,
    /// What its lines are.
    head: &'static str,
    has_sizes: bool,
    rows: Vec<Row>,
    more: Vec<Row>,
}

/// A year in the drawing of growth.
#[derive(Debug, PartialEq)]
struct Point {
    label: String,
    x: String,
    y: String,
    href: String,
    words: String,
}

/// How the library grew.
#[derive(Debug, Default)]
struct Growth {
    points: Vec<Point>,
    /// Corners of the area, as SVG takes them.
    area: String,
    line: String,
    /// First and last year.
    from: String,
    to: String,
    rows: Vec<Row>,
}

/// A backup as it is listed.
#[derive(Debug)]
struct BackupRow {
    kind: &'static str,
    when: String,
    machine_time: String,
    words: String,
    path: String,
    is_failure: bool,
}

#[derive(Template)]
#[template(path = "library.html")]
struct LibraryPage {
    layout: Layout,
    is_empty: bool,
    headline: String,
    /// When the figures were counted, where more has been written since.
    counted_at: Option<String>,
    figures: Vec<Figure>,
    troubles: Vec<Figure>,
    charts: Vec<Chart>,
    growth: Growth,
    backups: Vec<BackupRow>,
    exports: Vec<(&'static str, String)>,
}

/// `GET /library`.
pub(super) async fn show(state: Data<State>) -> Result<HttpResponse, WebError> {
    let (counted, is_current) = state.summaries.at_once(&state.db).await?;
    let summary = &counted.summary;
    let backups = state.db.run(|conn| list_backups(conn, MOST_BACKUPS)).await?;
    page::html(&LibraryPage {
        layout: Layout::new("Library", Tab::Library),
        is_empty: summary.total.images == 0,
        headline: headline(summary),
        counted_at: (!is_current).then(|| counted.at.format("%H:%M on %-d %B").to_string()),
        figures: figures(summary),
        troubles: troubles(summary),
        charts: charts(summary),
        growth: growth(summary),
        backups: backups.iter().map(backup_row).collect(),
        // Of everything: too much for one archive.
        exports: super::export::links(&Filter::default()).into_iter().filter(|(_, href)| !href.contains("format=zip")).collect(),
    })
}

/// The search that finds what a figure counts.
pub(super) fn query_of(parts: impl IntoIterator<Item = Query>) -> String {
    Query::all(parts).to_string()
}

fn not(query: Query) -> Query {
    Query::Not(Box::new(query))
}

/// The search for a year.
pub(super) fn year_query(year: i32) -> String {
    query_of([Term::Year(Bounds::Is(i64::from(year))).into()])
}

/// The search for a kind.
pub(super) fn kind_query(kind: Kind) -> String {
    let is = |file_type| Query::from(Term::Type(vec![file_type]));
    match kind {
        Kind::Video => query_of([is(FileType::Video)]),
        Kind::RawAndJpeg => query_of([is(FileType::Photo), is(FileType::Raw), is(FileType::Jpeg)]),
        Kind::Raw => query_of([is(FileType::Photo), is(FileType::Raw), not(is(FileType::Jpeg))]),
        Kind::Jpeg => query_of([is(FileType::Photo), is(FileType::Jpeg), not(is(FileType::Raw))]),
        Kind::Other => query_of([is(FileType::Photo), not(is(FileType::Raw)), not(is(FileType::Jpeg))]),
    }
}

/// The search for a camera, or for none.
pub(super) fn camera_query(name: Option<&str>) -> String {
    match name.and_then(Name::whole) {
        Some(name) => query_of([Term::Camera(name).into()]),
        None => query_of([not(Term::Has(vec![Has::Camera]).into())]),
    }
}

/// The search for a lens, or for none.
pub(super) fn lens_query(name: Option<&str>) -> String {
    match name.and_then(Name::whole) {
        Some(name) => query_of([Term::Lens(name).into()]),
        None => query_of([not(Term::Has(vec![Has::Lens]).into())]),
    }
}

/// The search for exactly so many stars.
pub(super) fn rating_query(rating: i8) -> String {
    match rating {
        -1 => query_of([Term::Is(vec![Is::Rejected]).into()]),
        0 => query_of([Term::Is(vec![Is::Unrated]).into()]),
        stars => query_of([Term::Rating(Bounds::Is(i64::from(stars))).into()]),
    }
}

/// The search for what is so.
pub(super) fn is_query(is: Is) -> String {
    query_of([Term::Is(vec![is]).into()])
}

/// The search for what has something.
pub(super) fn has_query(has: Has) -> String {
    query_of([Term::Has(vec![has]).into()])
}

fn headline(summary: &LibrarySummary) -> String {
    let total = summary.total;
    let years = match (summary.years.first(), summary.years.last()) {
        (Some((first, _)), Some((last, _))) if first == last => format!(", all of {first}"),
        (Some((first, _)), Some((last, _))) => format!(", from {first} to {last}"),
        _ => String::new(),
    };
    format!("{} in {} files, {}{years}", page::photos(total.images), grouped(total.files), size_words(total.bytes))
}

/// `12 %`; what is there at all is never 0, and what lacks is never 100.
fn percent(part: i64, whole: i64) -> String {
    match (part, whole) {
        (_, 0) | (0, _) => "0 %".to_owned(),
        _ if part == whole => "100 %".to_owned(),
        _ if part * 100 < whole => "< 1 %".to_owned(),
        _ => format!("{} %", ((part * 200 + whole) / (whole * 2)).min(99)),
    }
}

fn figures(summary: &LibrarySummary) -> Vec<Figure> {
    let all = summary.total.images;
    let rated = summary.rated(|stars| stars > 0);
    let figure = |label: &str, count: i64, query: String, lacking: String| Figure {
        label: label.to_owned(),
        value: percent(count, all),
        note: lacking,
        href: gallery_href(&query),
    };
    let words = |count: i64| page::photos(count);
    vec![
        figure("have a place", summary.placed, has_query(Has::Gps), words(summary.placed)),
        figure("are rated", rated, is_query(Is::Rated), words(rated)),
        figure("have keywords", summary.tagged, has_query(Has::Tags), words(summary.tagged)),
    ]
}

fn troubles(summary: &LibrarySummary) -> Vec<Figure> {
    let figure = |label: &str, count: i64, is: Is, note: String| Figure {
        label: label.to_owned(),
        value: grouped(count),
        note,
        href: gallery_href(&is_query(is)),
    };
    let twice = if summary.duplicates == 0 {
        "no file is there twice".to_owned()
    } else {
        format!("the same file more than once; {} too much", size_words(summary.duplicate_bytes))
    };
    vec![
        figure("missing", summary.missing, Is::Missing, "gone from a disk that can be read".to_owned()),
        figure("broken", summary.broken, Is::Broken, "a file could not be read, whole or in part".to_owned()),
        figure("duplicate", summary.duplicates, Is::Duplicate, twice),
    ]
}

/// Rows with bars in proportion; `None` for a size that is not known.
fn rows(all: i64, values: impl IntoIterator<Item = (String, String, i64, Option<i64>)>) -> Vec<Row> {
    let values: Vec<_> = values.into_iter().collect();
    let longest = values.iter().map(|(_, _, count, _)| *count).max().unwrap_or(0).max(1);
    let row = |(label, query, count, bytes): (String, String, i64, Option<i64>)| Row {
        label,
        href: gallery_href(&query),
        count: grouped(count),
        share: percent(count, all),
        size: bytes.map_or_else(String::new, size_words),
        bar: (count * 100 + longest - 1) / longest,
    };
    values.into_iter().map(row).collect()
}

fn chart(id: &'static str, title: &'static str, head: &'static str, mut rows: Vec<Row>) -> Chart {
    let has_sizes = rows.iter().any(|row| !row.size.is_empty());
    // One line more is no reason to open something.
    let more = if rows.len() > MOST_ROWS + 1 { rows.split_off(MOST_ROWS) } else { Vec::new() };
    Chart { id, title, head, has_sizes, rows, more }
}

fn charts(summary: &LibrarySummary) -> Vec<Chart> {
    let all = summary.total.images;
    let named = |names: &[FacetValue<String>], lacking: i64, none: &str, query: fn(Option<&str>) -> String| {
        let known = names.iter().map(|name| (name.value.clone(), query(Some(&name.value)), name.count, None));
        let unknown = (lacking > 0).then(|| (none.to_owned(), query(None), lacking, None));
        rows(all, known.chain(unknown))
    };
    let sums = |label: String, query: String, sum: &Sum| (label, query, sum.images, Some(sum.bytes));
    let years = summary.years.iter().rev().map(|(year, sum)| sums(year.to_string(), year_query(*year), sum));
    let kinds = summary.kinds.iter().map(|(kind, sum)| sums(kind_words(*kind).to_owned(), kind_query(*kind), sum));
    let ratings = summary.ratings.iter().map(|rating| (stars_words(rating.value), rating_query(rating.value), rating.count, None));
    let all_charts = [
        chart("years", "By year", "Year", rows(all, years)),
        chart("kinds", "By kind", "Kind", rows(all, kinds)),
        chart("ratings", "By rating", "Rating", rows(all, ratings)),
        chart("cameras", "By camera", "Camera", named(&summary.cameras, summary.without_camera, "Unknown camera", camera_query)),
        chart("lenses", "By lens", "Lens", named(&summary.lenses, summary.without_lens, "Unknown lens", lens_query)),
    ];
    all_charts.into_iter().filter(|chart| !chart.rows.is_empty()).collect()
}

fn kind_words(kind: Kind) -> &'static str {
    match kind {
        Kind::RawAndJpeg => "RAW with JPEG",
        Kind::Raw => "RAW alone",
        Kind::Jpeg => "JPEG",
        Kind::Video => "Videos",
        Kind::Other => "Other pictures",
    }
}

fn stars_words(rating: i8) -> String {
    match rating {
        -1 => "Rejected".to_owned(),
        0 => "Not rated".to_owned(),
        1 => "1 star".to_owned(),
        stars => format!("{stars} stars"),
    }
}

/// Every year with all that was there at its end.
fn growth(summary: &LibrarySummary) -> Growth {
    let (Some((first, _)), Some((last, _))) = (summary.years.first(), summary.years.last()) else { return Growth::default() };
    if first == last {
        return Growth::default();
    }
    let (width, height) = DRAWING;
    let span = f64::from(last - first);
    let total = summary.total.images.max(1) as f64;
    let mut so_far = Sum::default();
    let mut growth = Growth { from: first.to_string(), to: last.to_string(), ..Growth::default() };
    let mut values = Vec::new();
    for (year, sum) in &summary.years {
        so_far = Sum { images: so_far.images + sum.images, files: so_far.files + sum.files, bytes: so_far.bytes + sum.bytes };
        let query = query_of([Term::Year(Bounds::AtMost(i64::from(*year))).into()]);
        let (x, y) = (f64::from(year - first) / span * width, height - so_far.images as f64 / total * height);
        growth.points.push(Point {
            label: year.to_string(),
            x: format!("{x:.1}"),
            y: format!("{y:.1}"),
            href: gallery_href(&query),
            words: format!("until {year}: {}, {}", page::photos(so_far.images), size_words(so_far.bytes)),
        });
        values.push((format!("until {year}"), query, so_far.images, Some(so_far.bytes)));
    }
    growth.line = growth.points.iter().map(|point| format!("{},{}", point.x, point.y)).collect::<Vec<_>>().join(" ");
    growth.area = format!("0,{height} {} {width},{height}", growth.line);
    values.reverse();
    growth.rows = rows(summary.total.images, values);
    growth
}

fn backup_row(entry: &BackupEntry) -> BackupRow {
    let kind = match entry.kind.as_str() {
        "nightly" => "Nightly",
        "replaced" => "Before a restore",
        _ => "By hand",
    };
    let local: DateTime<Local> = entry.finished_at.with_timezone(&Local);
    let words = match (&entry.error, entry.size_bytes, entry.image_count) {
        (Some(error), ..) => error.split("\nhint: ").next().unwrap_or_default().to_owned(),
        (None, size, images) => format!("{}, {}", page::photos(images.unwrap_or(0)), size_words(size.unwrap_or(0))),
    };
    BackupRow {
        kind,
        when: local.format("%-d %B %Y, %H:%M").to_string(),
        machine_time: entry.finished_at.with_timezone(&Utc).format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        words,
        path: format!("{} on {}", entry.path, entry.host),
        is_failure: entry.error.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> LibrarySummary {
        let sum = |images| Sum { images, files: images * 2, bytes: images * 10_000_000 };
        LibrarySummary {
            total: sum(100),
            years: vec![(2003, sum(10)), (2019, sum(85)), (2020, sum(5))],
            kinds: vec![(Kind::RawAndJpeg, sum(60)), (Kind::Other, sum(40))],
            cameras: (0..13).map(|n| FacetValue { value: format!("Camera \"{n}\""), count: 7 }).collect(),
            without_camera: 9,
            ratings: vec![FacetValue { value: 5, count: 1 }, FacetValue { value: 0, count: 98 }, FacetValue { value: -1, count: 1 }],
            placed: 33,
            ..LibrarySummary::default()
        }
    }

    #[test]
    fn every_search_of_a_figure_is_understood_and_printed_as_it_stands() {
        let summary = summary();
        let mut queries: Vec<String> = Kind::ALL.into_iter().map(kind_query).collect();
        queries.extend((-1..=5).map(rating_query));
        queries.extend([year_query(2019), camera_query(None), lens_query(None), camera_query(Some("Canon \"EOS\" R5 (II)"))]);
        for query in queries {
            assert_eq!(query.parse::<Query>().map(|parsed| parsed.to_string()), Ok(query));
        }
        assert_eq!(kind_query(Kind::Raw), "type:photo type:raw -type:jpeg");
        assert_eq!(figures(&summary)[0].href, "/?q=has%3Agps");
    }

    #[test]
    fn long_tables_are_folded_and_bars_are_in_proportion() {
        let charts = charts(&summary());
        let cameras = charts.iter().find(|chart| chart.id == "cameras").unwrap();
        assert_eq!((cameras.rows.len(), cameras.more.len(), cameras.more[3].label.as_str()), (10, 4, "Unknown camera"));
        let years = &charts[0];
        assert_eq!(
            years.rows.iter().map(|row| (row.label.as_str(), row.bar)).collect::<Vec<_>>(),
            [("2020", 6), ("2019", 100), ("2003", 12)]
        );
        assert!(years.has_sizes && !cameras.has_sizes);
        assert!(charts.iter().all(|chart| chart.id != "lenses"), "a table of nothing is not shown");
    }

    #[test]
    fn growth_ends_with_all_there_is() {
        let growth = growth(&summary());
        assert_eq!(
            growth.points.iter().map(|point| (point.x.as_str(), point.y.as_str())).collect::<Vec<_>>(),
            [("0.0", "162.0"), ("903.5", "9.0"), ("960.0", "0.0")]
        );
        assert_eq!((growth.rows[0].label.as_str(), growth.rows[0].count.as_str()), ("until 2020", "100"));
        assert_eq!(growth.rows[2].href, "/?q=year%3A%3C%3D2003");
        assert!(growth.points[0].words.contains("10 photos"));
    }

    #[test]
    fn shares_are_rounded_without_hiding_what_is_there() {
        assert_eq!(
            [(0, 10), (1, 1000), (33, 100), (999, 1000), (7, 7), (0, 0)].map(|(part, whole)| percent(part, whole)),
            ["0 %", "< 1 %", "33 %", "99 %", "100 %", "0 %"]
        );
    }
}
