//! The gallery's pages: cards in the order of the timeline, newest first, by keyset and never by OFFSET.
//!
//! Here are the plans by which a stretch is found; [`find_page`] puts together what a page needs, and [`Gathered`] keeps what passes.

mod gathered;
mod page;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, deserialize,
    pg::Pg,
    row::NamedRow,
    sql_types::{BigInt, Binary, Bool, Integer, Nullable, SmallInt, Text, Timestamp},
};

pub use self::{
    gathered::{Gathered, Matches, find_snapshot},
    page::{CardsPage, find_page},
};
use super::sql::{Sql, Value, Wanted};
use crate::models::{Cursor, Direction, Filter, ImageId};

/// How far a page is looked for by walking the timeline, in images, before all that match are gathered and sorted.
const LONGEST_WALK: i64 = 10_000;
/// Images that are gathered at once where the planner expects no more.
const FEW: i64 = 2000;

/// One image in the grid: what is needed to place and paint it, no more.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct GalleryCard {
    /// The image.
    #[diesel(sql_type = BigInt)]
    pub id: ImageId,
    /// Local capture time.
    #[diesel(sql_type = Timestamp)]
    pub captured_at: NaiveDateTime,
    /// Upright width / height in thousandths.
    #[diesel(sql_type = Integer)]
    pub ratio_milli: i32,
    /// Names the thumbnail; `None` when there is nothing to show.
    #[diesel(sql_type = Nullable<Text>)]
    pub picture_key: Option<String>,
    /// ThumbHash of the current picture; `None` until it is made.
    #[diesel(sql_type = Nullable<Binary>)]
    pub placeholder: Option<Vec<u8>>,
    /// Name without suffixes.
    #[diesel(sql_type = Text)]
    pub base_name: String,
    /// A video of its own.
    #[diesel(sql_type = Bool)]
    pub is_video: bool,
    /// Gone from its healthy vault.
    #[diesel(sql_type = Bool)]
    pub is_missing: bool,
    /// A RAW is among its files.
    #[diesel(sql_type = Bool)]
    pub has_raw: bool,
    /// -1 rejected, 0 unrated, 1..=5 stars.
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub rating: Option<i16>,
    /// Flag beside the stars: `none`, `pending` or `picked`.
    #[diesel(sql_type = Text)]
    pub pick: String,
    /// `none`, `red`, `yellow`, `green`, `blue` or `purple`.
    #[diesel(sql_type = Text)]
    pub color_label: String,
    /// Files of the image.
    #[diesel(sql_type = Integer)]
    pub file_count: i32,
}

impl GalleryCard {
    /// The place just after this card.
    pub fn cursor(&self) -> Cursor {
        Cursor { captured_at: self.captured_at, image: self.id }
    }
}

const CARDS_HEAD: &str = "SELECT i.id, i.captured_at, i.ratio_milli, i.picture_key, p.placeholder, i.base_name, i.is_video, \
    i.is_missing, i.has_raw, i.rating, i.pick, i.color_label, i.file_count FROM (";
const CARDS_TAIL: &str = ") AS k JOIN images AS i ON i.id = k.id \
    LEFT JOIN pictures AS p ON p.image_id = i.id AND p.key = i.picture_key ORDER BY i.captured_at DESC, i.id DESC";

/// Lists up to `limit` cards older (or newer) than `from`, always newest first. Without `from`: from that end of the timeline.
///
/// # Errors
/// When the database fails.
pub fn list_cards(
    conn: &mut PgConnection,
    filter: &Filter,
    from: Option<Cursor>,
    direction: Direction,
    limit: i64,
) -> QueryResult<Vec<GalleryCard>> {
    let wanted = Wanted::resolve(conn, filter)?;
    load_cards(conn, &Range { wanted: &wanted, days: None, from, direction, limit })
}

/// Lists up to `limit` cards of the local days `oldest..=newest`, newest first, older than `after`.
///
/// # Errors
/// When the database fails.
pub fn list_cards_of_days(
    conn: &mut PgConnection,
    filter: &Filter,
    newest: NaiveDate,
    oldest: NaiveDate,
    after: Option<Cursor>,
    limit: i64,
) -> QueryResult<Vec<GalleryCard>> {
    let wanted = Wanted::resolve(conn, filter)?;
    let days = Some((oldest, newest.succ_opt().unwrap_or(newest)));
    load_cards(conn, &Range { wanted: &wanted, days, from: after, direction: Direction::Older, limit })
}

/// The cards of these images, in any order; those that are gone are left out.
///
/// # Errors
/// When the database fails.
pub fn list_cards_by_id(conn: &mut PgConnection, ids: &[ImageId]) -> QueryResult<Vec<GalleryCard>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(CARDS_HEAD);
    sql.text("SELECT unnest(").bind(Value::BigInts(ids.iter().map(|id| id.0).collect())).text(") AS id").text(CARDS_TAIL);
    sql.query().load(conn)
}

/// Lists up to `limit` images from `oldest` to `newest`, both included where they pass, newest first.
///
/// # Errors
/// When the database fails.
pub fn list_ids_between(conn: &mut PgConnection, filter: &Filter, oldest: Cursor, newest: Cursor, limit: i64) -> QueryResult<Vec<ImageId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: ImageId,
    }
    let wanted = Wanted::resolve(conn, filter)?;
    let mut sql = Sql::new("SELECT i.id FROM images AS i WHERE true");
    wanted.write(&mut sql);
    for (end, cursor) in [(" AND (i.captured_at, i.id) >= (", oldest), (" AND (i.captured_at, i.id) <= (", newest)] {
        sql.text(end).bind(Value::Timestamp(cursor.captured_at)).text(", ").bind(Value::BigInt(cursor.image.0)).text(")");
    }
    sql.text(" ORDER BY i.captured_at DESC, i.id DESC LIMIT ").bind(Value::BigInt(limit));
    let rows: Vec<Row> = sql.query().load(conn)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// The nearest images of the filter before and after a place, as (newer, older).
///
/// # Errors
/// When the database fails.
pub(super) fn nearest(conn: &mut PgConnection, filter: &Filter, place: Cursor) -> QueryResult<(Option<ImageId>, Option<ImageId>)> {
    let wanted = Wanted::resolve(conn, filter)?;
    let mut one = |direction| {
        let range = Range { wanted: &wanted, days: None, from: Some(place), direction, limit: 1 };
        load_cards(conn, &range).map(|cards| cards.first().map(|card| card.id))
    };
    Ok((one(Direction::Newer)?, one(Direction::Older)?))
}

/// A stretch of the timeline.
#[derive(Clone, Copy)]
struct Range<'a> {
    wanted: &'a Wanted,
    /// First day, and first day after.
    days: Option<(NaiveDate, NaiveDate)>,
    from: Option<Cursor>,
    direction: Direction,
    limit: i64,
}

/// Finds the cards of a stretch by the plan that fits its conditions.
fn load_cards(conn: &mut PgConnection, range: &Range<'_>) -> QueryResult<Vec<GalleryCard>> {
    let plan = plan(conn, range)?;
    load_as(conn, range, plan)
}

/// How the cards of a stretch are found.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// By walking the timeline first.
    walks: bool,
    /// There is more than one condition, or one that no index answers in the order of the timeline.
    is_mixed: bool,
    /// Images that pass, as far as that was asked.
    expected: i64,
}

/// Chooses the plan of a stretch.
///
/// One condition has an index in the order of the timeline, or is met often enough that walking the timeline finds a page at
/// once. Folder, text and mixtures have neither: a short walk finds the page where much matches, and where little matches
/// gathering and sorting it all is quick. Which it will be is known beforehand for folders, by the number of their images, and
/// guessed for all else, by what share of the stretch the planner expects to pass: a walk that would end without a full page is
/// not begun. Left to itself the planner would walk the whole timeline for a few matches.
fn plan(conn: &mut PgConnection, range: &Range<'_>) -> QueryResult<Plan> {
    let wanted = range.wanted;
    let is_mixed = wanted.gathers() || wanted.conditions() > 1;
    if !is_mixed {
        return Ok(Plan { walks: false, is_mixed, expected: i64::MAX });
    }
    let only_folders = wanted.folders.is_some() && wanted.text.is_none() && wanted.conditions.is_empty();
    if only_folders {
        return Ok(Plan { walks: candidates(conn, range)? > LONGEST_WALK, is_mixed, expected: i64::MAX });
    }
    let expected = expected(conn, range, true)?;
    Ok(Plan { walks: walk_is_worth(conn, range, expected)?, is_mixed, expected })
}

/// Finds the cards of a stretch by a plan; a walk that does not fill the page is followed by the rest.
fn load_as(conn: &mut PgConnection, range: &Range<'_>, plan: Plan) -> QueryResult<Vec<GalleryCard>> {
    if plan.walks {
        let cards = newest_first(range, walk(range).query().load(conn)?);
        if cards.len() as i64 == range.limit {
            return Ok(cards);
        }
    }
    let query = if range.wanted.gathers() { gather(range) } else { follow_index(range) };
    Ok(newest_first(range, query.query().load(conn)?))
}

/// The first line of a plan.
struct PlanLine(String);

impl QueryableByName<Pg> for PlanLine {
    fn build<'a>(row: &impl NamedRow<'a, Pg>) -> deserialize::Result<Self> {
        NamedRow::get::<Text, String>(row, "QUERY PLAN").map(Self)
    }
}

/// Whether a walk is likely to find a whole page, with as much again to spare: a millisecond that saves one in vain.
fn walk_is_worth(conn: &mut PgConnection, range: &Range<'_>, passing: i64) -> QueryResult<bool> {
    if passing <= FEW {
        return Ok(false);
    }
    let all = expected(conn, range, false)?.max(1);
    Ok(passing.saturating_mul(LONGEST_WALK) / all >= range.limit.saturating_mul(2))
}

/// How many images of a stretch the planner expects, those that pass or all.
fn expected(conn: &mut PgConnection, range: &Range<'_>, only_passing: bool) -> QueryResult<i64> {
    let mut sql = Sql::new("EXPLAIN SELECT FROM images AS i WHERE true");
    if only_passing {
        range.wanted.write_conditions(&mut sql);
    }
    range.write_place(&mut sql);
    let plan: Vec<PlanLine> = sql.query().load(conn)?;
    let rows = plan.first().and_then(|line| line.0.split_once(" rows=")?.1.split(' ').next()?.parse().ok());
    Ok(rows.unwrap_or(i64::MAX))
}

#[derive(QueryableByName)]
struct Candidates {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many images of its folders a stretch has, counted up to a little more than a walk is long.
fn candidates(conn: &mut PgConnection, range: &Range<'_>) -> QueryResult<i64> {
    let only_folders = Wanted { folders: range.wanted.folders.clone(), days: range.wanted.days, ..Wanted::default() };
    let stretch = Range { wanted: &only_folders, ..*range };
    let mut sql = Sql::new("SELECT count(*) AS count FROM (SELECT FROM images AS i WHERE true");
    only_folders.write_conditions(&mut sql);
    stretch.write_place(&mut sql);
    sql.text(" LIMIT ").bind(Value::BigInt(LONGEST_WALK + 1)).text(") AS counted");
    sql.query().get_result(conn).map(|found: Candidates| found.count)
}

fn newest_first(range: &Range<'_>, mut cards: Vec<GalleryCard>) -> Vec<GalleryCard> {
    if range.direction == Direction::Newer {
        cards.sort_by_key(|card| std::cmp::Reverse((card.captured_at, card.id)));
    }
    cards
}

/// The whole condition at once; an index gives the order.
fn follow_index(range: &Range<'_>) -> Sql {
    let mut sql = Sql::new(CARDS_HEAD);
    sql.text("SELECT i.id FROM images AS i WHERE true");
    range.wanted.write_conditions(&mut sql);
    range.write_place(&mut sql);
    range.write_order(&mut sql);
    sql.text(CARDS_TAIL);
    sql
}

/// The next images of the timeline, and those of them that pass.
fn walk(range: &Range<'_>) -> Sql {
    let mut sql = Sql::new(CARDS_HEAD);
    sql.text("SELECT i.id FROM (SELECT * FROM images AS i WHERE true");
    range.write_place(&mut sql);
    range.write_order_by(&mut sql);
    sql.text(" LIMIT ").bind(Value::BigInt(LONGEST_WALK)).text(") AS i WHERE true");
    range.wanted.write_conditions(&mut sql);
    range.write_order(&mut sql);
    sql.text(CARDS_TAIL);
    sql
}

/// All images that pass, behind a fence (`OFFSET 0`) that keeps the planner from walking the timeline, then the first of them.
fn gather(range: &Range<'_>) -> Sql {
    let mut sql = Sql::new(CARDS_HEAD);
    sql.text("SELECT i.id FROM (SELECT i.id, i.captured_at FROM images AS i WHERE true");
    range.wanted.write_conditions(&mut sql);
    range.write_place(&mut sql);
    sql.text(" OFFSET 0) AS i");
    range.write_order(&mut sql);
    sql.text(CARDS_TAIL);
    sql
}

impl Range<'_> {
    /// Writes one bound for each end. Two bounds for the same end, one of them of a pair, would make PostgreSQL begin at the one
    /// that is farther away and walk the index to the nearer.
    fn write_place(&self, sql: &mut Sql) {
        let days = match (self.wanted.days, self.days) {
            (Some(one), Some(other)) => Some((one.0.max(other.0), one.1.min(other.1))),
            (one, other) => one.or(other),
        };
        let mut first = days.map(|(first, _)| first.and_time(NaiveTime::MIN));
        let mut after = days.map(|(_, after)| after.and_time(NaiveTime::MIN));
        let mut from = self.from;
        if let Some(place) = self.from {
            match self.direction {
                Direction::Older if after.is_some_and(|after| place.captured_at >= after) => from = None,
                Direction::Older => after = None,
                Direction::Newer if first.is_some_and(|first| place.captured_at < first) => from = None,
                Direction::Newer => first = None,
            }
        }
        if let Some(first) = first {
            sql.text(" AND i.captured_at >= ").bind(Value::Timestamp(first));
        }
        if let Some(after) = after {
            sql.text(" AND i.captured_at < ").bind(Value::Timestamp(after));
        }
        if let Some(from) = from {
            sql.text(match self.direction {
                Direction::Older => " AND (i.captured_at, i.id) < (",
                Direction::Newer => " AND (i.captured_at, i.id) > (",
            });
            sql.bind(Value::Timestamp(from.captured_at)).text(", ").bind(Value::BigInt(from.image.0)).text(")");
        }
    }

    fn write_order_by(&self, sql: &mut Sql) {
        sql.text(match self.direction {
            Direction::Older => " ORDER BY i.captured_at DESC, i.id DESC",
            Direction::Newer => " ORDER BY i.captured_at, i.id",
        });
    }

    fn write_order(&self, sql: &mut Sql) {
        self.write_order_by(sql);
        sql.text(" LIMIT ").bind(Value::BigInt(self.limit));
    }
}
