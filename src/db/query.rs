//! A query of the search language as conditions on `images AS i`: names looked up first, every value bound.
//!
//! Names of cameras, lenses, folders and tags become ids and keys before the question about images is asked, so that its
//! conditions are plain comparisons that indexes answer and the planner can estimate. A condition that is unknown (a camera that
//! no file names) does not hold, and its negation does: a query and its negation part the library in two.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Integer, Text},
};

use super::sql::{Sql, Value, Wanted};
use crate::models::{
    edit::{ColorLabel, Pick},
    fold,
    query::{Area, Bounds, EARTH_RADIUS_M, FileType, Has, Is, Name, Near, PartialDate, Query, Term},
    words,
};

/// Most names of tags that a pattern stands for.
const MOST_TAGS: i64 = 1000;
/// Longest name of a tag, in characters; `tag_levels` cuts there too.
const LONGEST_TAG: usize = 200;
/// Where a word may begin inside a file name.
const SEPARATORS: &str = " _-.,()[]+~#@&=";

/// A query ready to be written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    /// Always true, or never.
    Always(bool),
    One(One),
}

/// One condition with its names looked up.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum One {
    /// Text of a tsquery.
    Words(String),
    /// Text of a tsquery that finds candidates, and the pattern that they are judged by where words alone do not say it.
    Phrase(String, Option<String>),
    Rating(Bounds<i64>),
    /// A column of whole numbers.
    Whole(&'static str, Bounds<i64>),
    /// A column of measured numbers.
    Measured(&'static str, Bounds<f64>),
    /// From the first moment until before the second.
    Stretch(Option<NaiveDateTime>, Option<NaiveDateTime>),
    /// Month × 100 + day.
    MonthDay(i32),
    Recurring(PartialDate),
    Month(Bounds<i64>),
    Cameras(Vec<i32>),
    Lenses(Vec<i32>),
    Folders(Vec<i64>),
    /// Folded names, one of which is there.
    Tags(Vec<String>),
    /// Labels, one of which is that of a region.
    Shows(Vec<String>),
    /// A column of text and the pattern of it folded.
    Text(&'static str, String),
    File(FilePattern),
    /// Columns of names, in one of which is one of these; and a country's code.
    Places(Vec<(&'static str, Vec<String>)>, Option<String>),
    Label(ColorLabel),
    Pick(Pick),
    Type(FileType),
    Has(Has),
    Is(Is),
    Near(Near),
    Within(Area),
}

/// How file names are looked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FilePattern {
    /// Text of a tsquery that all images with such a file pass; `None` when the pattern has no word that is whole at its beginning.
    words: Option<String>,
    /// Patterns of the folded name, or of the folded path.
    patterns: Vec<String>,
    is_path: bool,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Integer)]
    id: i32,
}

#[derive(QueryableByName)]
struct BigId {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct TagName {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Folders whose name or path is like `$1` or `$2`, and all below them; a vault's root is called by its vault's name.
const FOLDERS: &str = "WITH RECURSIVE below AS ( \
        SELECT f.id FROM folders AS f JOIN vaults AS v ON v.id = f.vault_id \
        WHERE fold(f.rel_path) LIKE ANY (ARRAY[$1, $2]) OR fold(CASE WHEN f.parent_id IS NULL THEN v.name ELSE f.name END) LIKE ANY (ARRAY[$1, $2]) \
        UNION SELECT f.id FROM folders AS f JOIN below ON f.parent_id = below.id) \
    SELECT id FROM below ORDER BY id";

impl Wanted {
    /// Adds what a query asks for: words and days where they have a place of their own, the rest as conditions.
    pub(super) fn add_query(&mut self, conn: &mut PgConnection, query: &Query) -> QueryResult<()> {
        for part in query.conjuncts() {
            match Condition::resolve(conn, part)? {
                Condition::Always(true) => {}
                Condition::One(One::Words(words) | One::Phrase(words, None)) => {
                    self.text = Some(match self.text.take() {
                        Some(before) => format!("{before} & {words}"),
                        None => words,
                    });
                }
                Condition::One(One::Stretch(first, after)) => self.narrow_days(first, after),
                Condition::One(One::Folders(ids)) => {
                    self.folders = Some(match self.folders.take() {
                        Some(before) => before.into_iter().filter(|id| ids.binary_search(id).is_ok()).collect(),
                        None => ids,
                    });
                }
                condition => self.conditions.push(condition),
            }
        }
        Ok(())
    }

    fn narrow_days(&mut self, first: Option<NaiveDateTime>, after: Option<NaiveDateTime>) {
        // Years of four digits are all that captures can have; both ends are midnights.
        let begin = first.map_or(NaiveDate::from_ymd_opt(1, 1, 1), |first| Some(first.date())).unwrap_or(NaiveDate::MIN);
        let end = after.map_or(NaiveDate::from_ymd_opt(10_000, 1, 1), |after| Some(after.date())).unwrap_or(NaiveDate::MAX);
        self.days = Some(match self.days {
            Some((first, after)) => (first.max(begin), after.min(end)),
            None => (begin, end),
        });
    }
}

impl Condition {
    /// Looks up the names of a query.
    pub(super) fn resolve(conn: &mut PgConnection, query: &Query) -> QueryResult<Self> {
        Ok(match query {
            Query::And(parts) => Self::all(parts.iter().map(|part| Self::resolve(conn, part)).collect::<QueryResult<_>>()?),
            Query::Or(parts) => Self::any(parts.iter().map(|part| Self::resolve(conn, part)).collect::<QueryResult<_>>()?),
            Query::Not(inner) => match Self::resolve(conn, inner)? {
                Self::Always(holds) => Self::Always(!holds),
                inner => Self::Not(Box::new(inner)),
            },
            Query::Term(term) => Self::of_term(conn, term)?,
        })
    }

    fn all(mut parts: Vec<Self>) -> Self {
        if parts.contains(&Self::Always(false)) {
            return Self::Always(false);
        }
        parts.retain(|part| *part != Self::Always(true));
        match parts.len() {
            0 => Self::Always(true),
            1 => parts.remove(0),
            _ => Self::And(parts),
        }
    }

    fn any(mut parts: Vec<Self>) -> Self {
        if parts.contains(&Self::Always(true)) {
            return Self::Always(true);
        }
        parts.retain(|part| *part != Self::Always(false));
        match parts.len() {
            0 => Self::Always(false),
            1 => parts.remove(0),
            _ => Self::Or(parts),
        }
    }

    fn of_term(conn: &mut PgConnection, term: &Term) -> QueryResult<Self> {
        let one = match term {
            Term::Words(text) => match tsquery(&words(text), ":*") {
                Some(query) => One::Words(query),
                None => return Ok(Self::Always(true)),
            },
            Term::Phrase(text) => match phrase(text) {
                Some(phrase) => phrase,
                None => return Ok(Self::Always(true)),
            },
            Term::Rating(bounds) => One::Rating(*bounds),
            Term::Iso(bounds) => One::Whole("i.iso", *bounds),
            Term::Size(bounds) => One::Whole("i.total_size_bytes", *bounds),
            Term::Width(bounds) => One::Whole("i.width_px", *bounds),
            Term::Height(bounds) => One::Whole("i.height_px", *bounds),
            Term::FNumber(bounds) => One::Measured("i.f_number", *bounds),
            Term::Exposure(bounds) => One::Measured("i.exposure_s", *bounds),
            Term::Focal(bounds) => One::Measured("i.focal_length_mm", *bounds),
            Term::Date(bounds) => match date(bounds) {
                Some(one) => one,
                None => return Ok(Self::Always(true)),
            },
            Term::Year(bounds) => match years(*bounds).stretch() {
                Some((first, after)) => One::Stretch(first, after),
                None => return Ok(Self::Always(false)),
            },
            Term::Month(bounds) => One::Month(*bounds),
            Term::Camera(name) => return find_ids(conn, "SELECT id FROM cameras WHERE fold(name) LIKE $1", name, One::Cameras),
            Term::Lens(name) => return find_ids(conn, "SELECT id FROM lenses WHERE fold(name) LIKE $1", name, One::Lenses),
            Term::Tag(name) => return tags(conn, name),
            Term::Shows(name) => return shows(conn, name),
            Term::Title(name) => One::Text("i.title", within(name)),
            Term::Description(name) => One::Text("i.description", within(name)),
            Term::File(name) => One::File(file(name)),
            Term::Folder(name) => return folders(conn, name),
            Term::City(name) => return places(conn, name, &[CITY]),
            Term::State(name) => return places(conn, name, &[STATE]),
            Term::Country(name) => return places(conn, name, &[COUNTRY]),
            Term::Place(name) => return places(conn, name, &[CITY, STATE, COUNTRY]),
            Term::Label(labels) => return Ok(Self::any(labels.iter().map(|one| Self::One(One::Label(*one))).collect())),
            Term::Pick(picks) => return Ok(Self::any(picks.iter().map(|one| Self::One(One::Pick(*one))).collect())),
            Term::Type(types) => return Ok(Self::any(types.iter().map(|one| Self::One(One::Type(*one))).collect())),
            Term::Has(all) => return Ok(Self::any(all.iter().map(|one| Self::One(One::Has(*one))).collect())),
            Term::Is(all) => return Ok(Self::any(all.iter().map(|one| Self::One(One::Is(*one))).collect())),
            Term::Near(near) => One::Near(*near),
            Term::Within(area) => One::Within(*area),
            // An order is no condition. Whoever can follow it takes it out of the filter before; where it is forgotten, nothing
            // passes, so that no edit or export ever takes in more than was meant.
            Term::Like(_) => return Ok(Self::Always(false)),
        };
        Ok(Self::One(one))
    }

    /// Whether an index leads through the images that pass in the order of the timeline.
    pub(super) fn is_ordered(&self) -> bool {
        match self {
            Self::One(one) => match one {
                One::Rating(_) | One::MonthDay(_) | One::Type(FileType::Raw | FileType::Video) => true,
                One::Has(has) => matches!(has, Has::Gps | Has::Raw | Has::Sidecar | Has::Tags),
                One::Label(label) => *label != ColorLabel::None,
                One::Pick(pick) => *pick != Pick::None,
                One::Is(is) => matches!(is, Is::Picked | Is::Missing | Is::Rejected | Is::Rated | Is::Unrated | Is::Video),
                One::Cameras(ids) | One::Lenses(ids) => ids.len() == 1,
                One::Places(columns, None) => matches!(columns.as_slice(), [(_, names)] if names.len() == 1),
                _ => false,
            },
            Self::Always(_) => true,
            Self::And(_) | Self::Or(_) | Self::Not(_) => false,
        }
    }

    /// Whether it is only about what `facet_counts` tells apart.
    pub(super) fn is_counted(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().all(Self::is_counted),
            Self::Not(inner) => inner.is_counted(),
            Self::Always(_) => true,
            Self::One(one) => match one {
                One::Rating(_) | One::Cameras(_) | One::Lenses(_) => true,
                One::Type(file_type) => !matches!(file_type, FileType::Format(_)),
                One::Has(has) => matches!(has, Has::Gps | Has::Raw | Has::Jpeg | Has::Camera | Has::Lens),
                One::Is(is) => matches!(is, Is::Unrated | Is::Rated | Is::Rejected | Is::Video),
                _ => false,
            },
        }
    }

    /// Whether it is only about what `map_cells` tells apart.
    pub(super) fn is_of_kinds(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().all(Self::is_of_kinds),
            Self::Not(inner) => inner.is_of_kinds(),
            Self::Always(_) => true,
            Self::One(one) => match one {
                One::Type(file_type) => !matches!(file_type, FileType::Format(_)),
                One::Has(has) => matches!(has, Has::Raw | Has::Jpeg),
                One::Is(is) => matches!(is, Is::Video),
                _ => false,
            },
        }
    }

    /// Writes it, in parentheses where it needs them, about `images AS i`.
    pub(super) fn write(&self, sql: &mut Sql) {
        match self {
            Self::And(parts) => join(sql, parts, " AND "),
            Self::Or(parts) => join(sql, parts, " OR "),
            Self::Not(inner) => {
                sql.text("(");
                inner.write(sql);
                sql.text(") IS NOT TRUE");
            }
            Self::Always(holds) => _ = sql.text(if *holds { "true" } else { "false" }),
            Self::One(one) => {
                sql.text("(");
                one.write(sql);
                sql.text(")");
            }
        }
    }
}

fn join(sql: &mut Sql, parts: &[Condition], between: &'static str) {
    sql.text("(");
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            sql.text(between);
        }
        part.write(sql);
    }
    sql.text(")");
}

/// Words as a tsquery, all of which must occur; `None` of no words.
fn tsquery(words: &[String], ending: &str) -> Option<String> {
    let terms: Vec<String> = words.iter().map(|word| format!("'{word}'{ending}")).collect();
    Some(terms.join(" & ")).filter(|query| !query.is_empty())
}

fn phrase(text: &str) -> Option<One> {
    let found = words(text);
    let folded = fold(text.trim());
    let says_more = found.len() != 1 || found[0] != folded;
    Some(One::Phrase(tsquery(&found, "")?, says_more.then(|| format!("%{}%", like(&folded, false)))))
}

/// A folded text as a pattern of LIKE in which only `*` means other than itself, and that only where it may.
fn like(folded: &str, has_stars: bool) -> String {
    let mut pattern = String::with_capacity(folded.len());
    for c in folded.chars() {
        match c {
            '*' if has_stars => pattern.push('%'),
            '%' | '_' | '\\' => pattern.extend(['\\', c]),
            c => pattern.push(c),
        }
    }
    pattern
}

/// The pattern of a name: the whole of it, or a part.
fn within(name: &Name) -> String {
    let pattern = like(&fold(&name.text), true);
    if name.is_whole { pattern } else { format!("%{pattern}%") }
}

fn find_ids(conn: &mut PgConnection, question: &'static str, name: &Name, make: fn(Vec<i32>) -> One) -> QueryResult<Condition> {
    let found: Vec<Id> = sql_query(question).bind::<Text, _>(within(name)).load(conn)?;
    let ids: Vec<i32> = found.into_iter().map(|row| row.id).collect();
    Ok(if ids.is_empty() { Condition::Always(false) } else { Condition::One(make(ids)) })
}

fn tags(conn: &mut PgConnection, name: &Name) -> QueryResult<Condition> {
    let folded: String = fold(&name.text).chars().take(LONGEST_TAG).collect();
    if !folded.contains('*') {
        // Programs that write `animal/dog` mean the same as those that write `animal|dog`.
        let levels = folded.replace('/', "|");
        let mut names = vec![folded];
        if levels != names[0] {
            names.push(levels);
        }
        return Ok(Condition::One(One::Tags(names)));
    }
    let found: Vec<TagName> = sql_query("SELECT name FROM tags WHERE name LIKE $1 AND image_count > 0 ORDER BY name LIMIT $2")
        .bind::<Text, _>(like(&folded, true))
        .bind::<BigInt, _>(MOST_TAGS)
        .load(conn)?;
    let names: Vec<String> = found.into_iter().map(|row| row.name).collect();
    Ok(if names.is_empty() { Condition::Always(false) } else { Condition::One(One::Tags(names)) })
}

/// Most labels that a pattern stands for.
const MOST_LABELS: i64 = 1000;

/// The labels of regions that are like `$1`: an index is skipped through from label to label.
const LABELS: &str = "WITH RECURSIVE labels AS ((SELECT r.label FROM regions AS r ORDER BY r.label LIMIT 1) \
    UNION ALL SELECT (SELECT r.label FROM regions AS r WHERE r.label > labels.label ORDER BY r.label LIMIT 1) \
    FROM labels WHERE labels.label IS NOT NULL) \
    SELECT label AS name FROM labels WHERE label IS NOT NULL AND fold(label) LIKE $1 ORDER BY label LIMIT $2";

/// Labels of regions that are like a pattern of LIKE.
pub(super) fn labels(conn: &mut PgConnection, pattern: String, most: i64) -> QueryResult<Vec<String>> {
    let found: Vec<TagName> = sql_query(LABELS).bind::<Text, _>(pattern).bind::<BigInt, _>(most).load(conn)?;
    Ok(found.into_iter().map(|row| row.name).collect())
}

fn shows(conn: &mut PgConnection, name: &Name) -> QueryResult<Condition> {
    let found = labels(conn, like(&fold(&name.text), true), MOST_LABELS)?;
    Ok(if found.is_empty() { Condition::Always(false) } else { Condition::One(One::Shows(found)) })
}

/// A column of places, and the question for its names like `$1` or `$2`: an index is skipped through from name to name.
pub(super) type PlaceColumn = (&'static str, &'static str);

macro_rules! place_column {
    ($said:literal, $derived:literal) => {
        (
            concat!("coalesce(i.", $said, ", i.", $derived, ")"),
            concat!(
                "WITH RECURSIVE names AS ((SELECT coalesce(i.",
                $said,
                ", i.",
                $derived,
                ") AS name FROM images AS i \
                    WHERE coalesce(i.",
                $said,
                ", i.",
                $derived,
                ") IS NOT NULL ORDER BY 1 LIMIT 1) \
                 UNION ALL SELECT (SELECT coalesce(i.",
                $said,
                ", i.",
                $derived,
                ") FROM images AS i \
                    WHERE coalesce(i.",
                $said,
                ", i.",
                $derived,
                ") > names.name ORDER BY 1 LIMIT 1) \
                 FROM names WHERE names.name IS NOT NULL) \
                 SELECT name FROM names WHERE name IS NOT NULL AND (fold(name) LIKE $1 OR fold(name) LIKE $2) LIMIT $3"
            ),
        )
    };
}

// What files and people say comes before what the coordinates are called.
pub(super) const CITY: PlaceColumn = place_column!("city", "gps_city");
pub(super) const STATE: PlaceColumn = place_column!("state", "gps_state");
pub(super) const COUNTRY: PlaceColumn = place_column!("country", "gps_country");

/// Names of a column that a word in them begins with, or that are the whole name.
pub(super) fn place_names(conn: &mut PgConnection, column: PlaceColumn, name: &Name, most: i64) -> QueryResult<Vec<String>> {
    let pattern = like(&fold(&name.text), true);
    let (beginning, inside) = if name.is_whole { (pattern.clone(), pattern) } else { (format!("{pattern}%"), format!("% {pattern}%")) };
    let found: Vec<TagName> = sql_query(column.1).bind::<Text, _>(beginning).bind::<Text, _>(inside).bind::<BigInt, _>(most).load(conn)?;
    Ok(found.into_iter().map(|row| row.name).collect())
}

fn places(conn: &mut PgConnection, name: &Name, columns: &[PlaceColumn]) -> QueryResult<Condition> {
    let mut found = Vec::new();
    for column in columns {
        let names = place_names(conn, *column, name, MOST_TAGS)?;
        if !names.is_empty() {
            found.push((column.0, names));
        }
    }
    let is_code =
        columns.contains(&COUNTRY) && (2..=3).contains(&name.text.len()) && name.text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let code = is_code.then(|| name.text.to_ascii_uppercase());
    Ok(if found.is_empty() && code.is_none() { Condition::Always(false) } else { Condition::One(One::Places(found, code)) })
}

fn folders(conn: &mut PgConnection, name: &Name) -> QueryResult<Condition> {
    let folded = fold(name.text.trim_matches('/'));
    let pattern = like(&folded, true);
    let beginning = if name.is_whole || folded.contains('*') { pattern.clone() } else { format!("{pattern}%") };
    let found: Vec<BigId> = sql_query(FOLDERS).bind::<Text, _>(pattern).bind::<Text, _>(beginning).load(conn)?;
    let ids: Vec<i64> = found.into_iter().map(|row| row.id).collect();
    Ok(if ids.is_empty() { Condition::Always(false) } else { Condition::One(One::Folders(ids)) })
}

fn file(name: &Name) -> FilePattern {
    let folded = fold(name.text.trim_start_matches('/'));
    let pattern = like(&folded, true);
    let is_path = folded.contains('/');
    let has_stars = folded.contains('*');
    let patterns = match (name.is_whole, has_stars, is_path) {
        // Without its extension a name is whole too.
        (true, _, _) => vec![pattern.clone(), format!("{pattern}.%")],
        (false, true, _) => vec![pattern],
        (false, false, true) => vec![format!("{pattern}%")],
        (false, false, false) => {
            let inside = SEPARATORS.chars().map(|separator| format!("%{}{pattern}%", like(&separator.to_string(), false)));
            std::iter::once(format!("{pattern}%")).chain(inside).collect()
        }
    };
    FilePattern { words: word_of_pattern(&folded), patterns, is_path }
}

/// The word of a pattern that the fewest names have, as far as that can be told from the word: the longest with a digit, else the
/// longest. Its pattern judges what it finds, and `img`, which every second name begins with, would be looked up for nothing.
/// Behind a `*` the first letters may be the end of a word.
fn word_of_pattern(folded: &str) -> Option<String> {
    let mut all = Vec::new();
    for (index, piece) in folded.split('*').enumerate() {
        let begins_inside = index > 0 && piece.starts_with(char::is_alphanumeric);
        all.extend(words(piece).into_iter().skip(usize::from(begins_inside)));
    }
    let rarest = all.into_iter().max_by_key(|word| (word.contains(|c: char| c.is_ascii_digit()), word.chars().count()));
    tsquery(rarest.as_slice(), ":*")
}

fn date(bounds: &Bounds<PartialDate>) -> Option<One> {
    if let Some((first, after)) = bounds.stretch() {
        return Some(One::Stretch(first, after));
    }
    let Bounds::Is(date) = *bounds else { return None };
    match (date.year, date.month, date.day) {
        (None, None, None) => None,
        (None, Some(month), Some(day)) => i32::try_from(month * 100 + day).ok().map(One::MonthDay),
        _ => Some(One::Recurring(date)),
    }
}

/// Years as dates.
fn years(bounds: Bounds<i64>) -> Bounds<PartialDate> {
    let date = |year: i64| PartialDate { year: i32::try_from(year).ok(), month: None, day: None };
    match bounds {
        Bounds::Is(year) => Bounds::Is(date(year)),
        Bounds::Above(year) => Bounds::Above(date(year)),
        Bounds::AtLeast(year) => Bounds::AtLeast(date(year)),
        Bounds::Below(year) => Bounds::Below(date(year)),
        Bounds::AtMost(year) => Bounds::AtMost(date(year)),
        Bounds::Between(low, high) => Bounds::Between(date(low), date(high)),
    }
}

impl One {
    fn write(&self, sql: &mut Sql) {
        match self {
            Self::Words(query) => _ = sql.text("i.search_words @@ ").bind(Value::Text(query.clone())).text("::tsquery"),
            Self::Phrase(query, pattern) => {
                sql.text("i.search_words @@ ").bind(Value::Text(query.clone())).text("::tsquery");
                if let Some(pattern) = pattern {
                    write_phrase(sql, pattern);
                }
            }
            // Without an operator on the bare column the index of ratings does not serve.
            Self::Rating(bounds) => write_rating(sql, bounds),
            Self::Whole(column, bounds) => write_whole(sql, column, bounds),
            Self::Measured(column, bounds) => write_measured(sql, column, bounds),
            Self::Stretch(first, after) => {
                sql.text("true");
                for (sign, time) in [(" AND i.captured_at >= ", first), (" AND i.captured_at < ", after)] {
                    if let Some(time) = time {
                        sql.text(sign).bind(Value::Timestamp(*time));
                    }
                }
            }
            Self::MonthDay(number) => _ = sql.text("month_day(i.captured_at) = ").bind(Value::Integer(*number)),
            Self::Recurring(date) => {
                sql.text("true");
                if let Some(year) = date.year.and_then(|year| NaiveDate::from_ymd_opt(year, 1, 1)) {
                    sql.text(" AND i.captured_at >= ").bind(Value::Timestamp(year.and_time(NaiveTime::MIN)));
                    let next = NaiveDate::from_ymd_opt(year.year() + 1, 1, 1).unwrap_or(NaiveDate::MAX);
                    sql.text(" AND i.captured_at < ").bind(Value::Timestamp(next.and_time(NaiveTime::MIN)));
                }
                if let Some(month) = date.month.and_then(|month| i32::try_from(month).ok()) {
                    sql.text(" AND month_day(i.captured_at) / 100 = ").bind(Value::Integer(month));
                }
                if let Some(day) = date.day.and_then(|day| i32::try_from(day).ok()) {
                    sql.text(" AND month_day(i.captured_at) % 100 = ").bind(Value::Integer(day));
                }
            }
            Self::Month(bounds) => write_whole(sql, "month_day(i.captured_at) / 100", bounds),
            Self::Cameras(ids) => write_ids(sql, "i.camera_id", ids),
            Self::Lenses(ids) => write_ids(sql, "i.lens_id", ids),
            Self::Folders(ids) => _ = sql.text("i.folder_id = ANY(").bind(Value::BigInts(ids.clone())).text(")"),
            Self::Tags(names) => {
                sql.text("i.tag_names <> '{}' AND i.tag_names && ");
                sql.bind(Value::Texts(names.clone()));
            }
            Self::Shows(labels) => {
                sql.text(REGION).text(" AND r.label = ANY(").bind(Value::Texts(labels.clone())).text("))");
            }
            // An index knows which have a text at all.
            Self::Text(column, pattern) => {
                sql.text(column).text(" <> '' AND fold(").text(column).text(") LIKE ").bind(Value::Text(pattern.clone()));
            }
            Self::File(file) => file.write(sql),
            Self::Places(columns, code) => {
                sql.text("false");
                for (column, names) in columns {
                    sql.text(" OR ").text(column);
                    match names.as_slice() {
                        [name] => _ = sql.text(" = ").bind(Value::Text(name.clone())),
                        names => _ = sql.text(" = ANY(").bind(Value::Texts(names.to_vec())).text(")"),
                    }
                }
                if let Some(code) = code {
                    sql.text(" OR coalesce(i.country_code, i.gps_country_code) = ").bind(Value::Text(code.clone()));
                }
            }
            // The indexes leave out `none`.
            Self::Label(label) => {
                sql.text(if *label == ColorLabel::None { "" } else { "i.color_label <> 'none' AND " }).text("i.color_label = ");
                sql.bind(Value::Text(label.name().to_owned()));
            }
            Self::Pick(pick) => {
                sql.text(if *pick == Pick::None { "" } else { "i.pick <> 'none' AND " }).text("i.pick = ");
                sql.bind(Value::Text(pick.name().to_owned()));
            }
            Self::Type(file_type) => match file_type {
                FileType::Raw => _ = sql.text("i.has_raw"),
                FileType::Jpeg => _ = sql.text("i.has_jpeg"),
                FileType::Video => _ = sql.text("i.is_video"),
                FileType::Photo => _ = sql.text("NOT i.is_video"),
                FileType::Format(format) => {
                    sql.text("EXISTS (SELECT FROM files AS f WHERE f.image_id = i.id AND f.format = ");
                    sql.bind(Value::Text(format.name().to_owned())).text(")");
                }
            },
            Self::Has(has) => _ = sql.text(has_sql(*has)),
            Self::Is(is) => _ = sql.text(is_sql(*is)),
            Self::Near(near) => write_near(sql, near),
            Self::Within(area) => write_within(sql, area),
        }
    }
}

/// A region of an image as it is now that nobody rejected, to be closed by a parenthesis.
const REGION: &str = "EXISTS (SELECT FROM regions AS r WHERE r.image_id = i.id AND r.decision IS DISTINCT FROM 'rejected' \
    AND (r.origin = 'person' OR r.decision IS NOT NULL OR r.picture_key = i.picture_key)";

fn has_sql(has: Has) -> &'static str {
    match has {
        Has::Gps => "i.latitude_deg IS NOT NULL",
        Has::Raw => "i.has_raw",
        Has::Jpeg => "i.has_jpeg",
        Has::Sidecar => "i.has_sidecar",
        Has::Title => "i.title <> ''",
        Has::Description => "i.description <> ''",
        Has::Tags => "i.tag_names <> '{}'",
        Has::Camera => "i.camera_id IS NOT NULL",
        Has::Lens => "i.lens_id IS NOT NULL",
        Has::Place => "i.city IS NOT NULL OR i.state IS NOT NULL OR i.country IS NOT NULL OR i.country_code IS NOT NULL",
        Has::Edits => "EXISTS (SELECT FROM image_edits AS e WHERE e.image_id = i.id)",
        Has::Regions => {
            "EXISTS (SELECT FROM regions AS r WHERE r.image_id = i.id AND r.decision IS DISTINCT FROM 'rejected' \
             AND (r.origin = 'person' OR r.decision IS NOT NULL OR r.picture_key = i.picture_key))"
        }
    }
}

fn is_sql(is: Is) -> &'static str {
    match is {
        Is::Unrated => "i.rating IS NULL OR i.rating = 0",
        Is::Rated => "i.rating > 0",
        Is::Rejected => "i.rating = -1",
        Is::Picked => "i.pick <> 'none' AND i.pick = 'picked'",
        Is::Edited => "EXISTS (SELECT FROM image_edits AS e WHERE e.image_id = i.id)",
        Is::Pending => {
            "EXISTS (SELECT FROM image_edits AS e WHERE e.image_id = i.id AND e.state <> 'written' AND e.state IN ('pending', 'failed'))"
        }
        Is::Conflict => "EXISTS (SELECT FROM image_edits AS e WHERE e.image_id = i.id AND e.state <> 'written' AND e.state = 'conflict')",
        Is::Missing => "i.is_missing",
        Is::Offline => "i.vault_id IN (SELECT v.id FROM vaults AS v WHERE v.offline_since IS NOT NULL)",
        Is::Video => "i.is_video",
        // The camera's own JPEG beside a RAW is an EXPORT too, but says the same software as the RAW, or none.
        Is::Final => {
            "EXISTS (SELECT FROM files AS f WHERE f.image_id = i.id AND f.role IN ('EXPORT', 'DERIVATIVE') AND (f.role = 'DERIVATIVE' OR \
             f.facts->>'software' IS NOT NULL AND NOT EXISTS (SELECT FROM files AS o WHERE o.image_id = i.id AND o.role = 'ORIGINAL' \
             AND o.facts->>'software' = f.facts->>'software')))"
        }
        // Few contents are there twice, which the planner cannot know: each looks up its files, where a join would read all files.
        Is::Duplicate => {
            "i.id IN (SELECT f.image_id FROM (SELECT o.fingerprint FROM files AS o WHERE o.fingerprint IS NOT NULL AND o.role <> 'SIDECAR' \
             AND o.missing_since IS NULL AND o.image_id IS NOT NULL GROUP BY o.fingerprint HAVING count(*) > 1 OFFSET 0) AS c \
             CROSS JOIN LATERAL (SELECT f.image_id FROM files AS f WHERE f.fingerprint = c.fingerprint AND f.role <> 'SIDECAR' \
             AND f.missing_since IS NULL AND f.image_id IS NOT NULL OFFSET 0) AS f)"
        }
        Is::Broken => "i.id IN (SELECT f.image_id FROM files AS f WHERE f.error IS NOT NULL AND f.image_id IS NOT NULL)",
    }
}

fn write_phrase(sql: &mut Sql, pattern: &str) {
    sql.text(
        " AND (fold(concat_ws(E'\\n', i.title, i.description, array_to_string(i.keywords, E'\\n'), \
         array_to_string(i.hierarchical_keywords, E'\\n'), i.base_name, i.city, i.state, i.country, i.gps_city, i.gps_state, \
         i.gps_country)) LIKE ",
    );
    sql.bind(Value::Text(pattern.to_owned()));
    sql.text(" OR EXISTS (SELECT FROM folders AS f WHERE f.id = i.folder_id AND fold(f.rel_path) LIKE ");
    sql.bind(Value::Text(pattern.to_owned()));
    sql.text(") OR EXISTS (SELECT FROM files AS f WHERE f.image_id = i.id AND fold(f.name) LIKE ");
    sql.bind(Value::Text(pattern.to_owned())).text("))");
}

/// Null counts as unrated. Where only stars can pass, the index of ratings serves.
fn write_rating(sql: &mut Sql, bounds: &Bounds<i64>) {
    let passes: Vec<i64> = (-1..=5).filter(|rating| bounds.hold(rating)).collect();
    match (passes.first(), passes.last()) {
        (Some(low), Some(5)) if *low > 0 => {
            sql.text("i.rating > 0 AND i.rating >= ").bind(Value::SmallInt(*low as i16));
        }
        (Some(low), Some(high)) if low == high && *low != 0 => {
            sql.text("i.rating <> 0 AND i.rating = ").bind(Value::SmallInt(*low as i16));
        }
        (Some(low), Some(high)) => {
            sql.text("coalesce(i.rating, 0) BETWEEN ").bind(Value::SmallInt(*low as i16));
            sql.text(" AND ").bind(Value::SmallInt(*high as i16));
        }
        _ => _ = sql.text("false"),
    }
}

fn write_whole(sql: &mut Sql, column: &'static str, bounds: &Bounds<i64>) {
    let mut compare = |sign: &'static str, value: i64| {
        sql.text(column).text(sign).bind(Value::BigInt(value));
    };
    match *bounds {
        Bounds::Is(value) => compare(" = ", value),
        Bounds::Above(value) => compare(" > ", value),
        Bounds::AtLeast(value) => compare(" >= ", value),
        Bounds::Below(value) => compare(" < ", value),
        Bounds::AtMost(value) => compare(" <= ", value),
        Bounds::Between(low, high) => {
            compare(" >= ", low);
            sql.text(" AND ").text(column).text(" <= ").bind(Value::BigInt(high));
        }
    }
}

fn write_measured(sql: &mut Sql, column: &'static str, bounds: &Bounds<f64>) {
    sql.text(column).text(" IS NOT NULL");
    let (low, high) = bounds.limits();
    for (sign, limit) in [(" >= ", low), (" <= ", high)] {
        if let Some(limit) = limit {
            sql.text(" AND ").text(column).text(sign).bind(Value::Double(limit));
        }
    }
}

fn write_ids(sql: &mut Sql, column: &'static str, ids: &[i32]) {
    match ids {
        // The planner follows an index in the order of the timeline for one value alone.
        [id] => _ = sql.text(column).text(" = ").bind(Value::Integer(*id)),
        ids => _ = sql.text(column).text(" = ANY(").bind(Value::Integers(ids.to_vec())).text(")"),
    }
}

/// A box, over the antimeridian where west is greater than east.
fn write_within(sql: &mut Sql, area: &Area) {
    sql.text("i.latitude_deg BETWEEN ").bind(Value::Double(area.south_deg)).text(" AND ").bind(Value::Double(area.north_deg));
    write_sides(sql, area.west_deg, area.east_deg);
}

fn write_sides(sql: &mut Sql, west: f64, east: f64) {
    let crosses = west > east;
    sql.text(" AND (i.longitude_deg >= ").bind(Value::Double(west));
    sql.text(if crosses { " OR i.longitude_deg <= " } else { " AND i.longitude_deg <= " }).bind(Value::Double(east)).text(")");
}

/// A box, which an index knows, and within it the circle.
fn write_near(sql: &mut Sql, near: &Near) {
    let (south, north, sides) = near.around();
    sql.text("i.latitude_deg BETWEEN ").bind(Value::Double(south)).text(" AND ").bind(Value::Double(north));
    if let Some((west, east)) = sides {
        write_sides(sql, west, east);
    }
    // `Near::distance_m`, compared without its arc sine.
    let share = (near.radius_m / (2.0 * EARTH_RADIUS_M)).min(std::f64::consts::FRAC_PI_2).sin().powi(2);
    sql.text(" AND power(sin(radians(i.latitude_deg - ").bind(Value::Double(near.latitude_deg));
    sql.text(") / 2), 2) + ").bind(Value::Double(near.latitude_deg.to_radians().cos()));
    sql.text(" * cos(radians(i.latitude_deg)) * power(sin(radians(i.longitude_deg - ").bind(Value::Double(near.longitude_deg));
    sql.text(") / 2), 2) <= ").bind(Value::Double(share));
}

impl FilePattern {
    fn write(&self, sql: &mut Sql) {
        if let Some(words) = &self.words {
            sql.text("i.search_words @@ ").bind(Value::Text(words.clone())).text("::tsquery AND ");
        }
        sql.text("EXISTS (SELECT FROM files AS f");
        if self.is_path {
            sql.text(
                " JOIN folders AS d ON d.id = f.folder_id WHERE f.image_id = i.id AND fold(concat_ws('/', nullif(d.rel_path, ''), f.name))",
            );
        } else {
            sql.text(" WHERE f.image_id = i.id AND fold(f.name)");
        }
        sql.text(" LIKE ANY(").bind(Value::Texts(self.patterns.clone())).text("))");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_text_cannot_leave_its_quotes() {
        assert_eq!(tsquery(&words("Zoé's | lake:*"), ":*").as_deref(), Some("'zoe':* & 's':* & 'lake':*"));
        assert_eq!(tsquery(&words("' \\ & !"), ":*"), None);
    }

    #[test]
    fn only_a_star_means_other_than_itself() {
        assert_eq!(like("50%_a*\\", true), "50\\%\\_a%\\\\");
        assert_eq!(like("a*", false), "a*");
    }

    #[test]
    fn a_pattern_is_looked_up_by_its_rarest_word_that_every_name_has() {
        assert_eq!(word_of_pattern("img_12345*.cr2").as_deref(), Some("'12345':*"));
        assert_eq!(word_of_pattern("holiday_in.*").as_deref(), Some("'holiday':*"));
        assert_eq!(word_of_pattern("*1234").as_deref(), None);
        assert_eq!(word_of_pattern("*mg_12").as_deref(), Some("'12':*"));
    }

    #[test]
    fn a_single_word_in_quotes_needs_no_second_look() {
        assert_eq!(phrase("Zoé"), Some(One::Phrase("'zoe'".to_owned(), None)));
        assert_eq!(phrase("lake  a"), Some(One::Phrase("'lake' & 'a'".to_owned(), Some("%lake  a%".to_owned()))));
    }
}
