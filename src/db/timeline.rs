//! The timeline: how many images each local day holds, and how wide they are, so that a page can be laid out before it is loaded.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::{
    ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryResult, Queryable, QueryableByName, RunQueryDsl, Selectable,
    SelectableHelper,
    sql_types::{BigInt, Date, Integer, Timestamp},
};

use super::{
    schema::timeline_days,
    sql::{Sql, Value, Wanted, write_days},
};
use crate::models::{Cursor, Filter, ImageId};

/// One local day that has images.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, QueryableByName)]
#[diesel(table_name = timeline_days)]
pub struct TimelineDay {
    /// The day.
    #[diesel(sql_type = Date)]
    pub day: NaiveDate,
    /// Its images.
    #[diesel(sql_type = Integer)]
    pub image_count: i32,
    /// Sum of their upright width / height, in thousandths: the length of the day as one row of height 1.
    #[diesel(sql_type = BigInt)]
    pub ratio_milli_sum: i64,
}

/// Lists the days that have images of the filter, newest first. Without conditions but year and month it is one small table's rows.
///
/// # Errors
/// When the database fails.
pub fn timeline(conn: &mut PgConnection, filter: &Filter) -> QueryResult<Vec<TimelineDay>> {
    let wanted = Wanted::resolve(conn, filter)?;
    if wanted.is_only_days() {
        let mut days = timeline_days::table.filter(timeline_days::image_count.gt(0)).into_boxed();
        if let Some((first, after)) = wanted.days {
            days = days.filter(timeline_days::day.ge(first)).filter(timeline_days::day.lt(after));
        }
        return days.order(timeline_days::day.desc()).select(TimelineDay::as_select()).load(conn);
    }
    let mut sql =
        Sql::new("SELECT i.day, count(*)::int AS image_count, sum(i.ratio_milli)::bigint AS ratio_milli_sum FROM images AS i WHERE true");
    wanted.write(&mut sql);
    sql.text(" GROUP BY i.day ORDER BY i.day DESC");
    sql.query().load(conn)
}

/// Counts one local day; `None` when it has no image of the filter.
pub(super) fn count_day(conn: &mut PgConnection, wanted: &Wanted, day: NaiveDate) -> QueryResult<Option<TimelineDay>> {
    if wanted.is_only_days() {
        let counted = timeline_days::table.find(day).filter(timeline_days::image_count.gt(0));
        return counted.select(TimelineDay::as_select()).first(conn).optional();
    }
    let mut sql =
        Sql::new("SELECT i.day, count(*)::int AS image_count, sum(i.ratio_milli)::bigint AS ratio_milli_sum FROM images AS i WHERE true");
    wanted.write(&mut sql);
    write_days(&mut sql, day, day.succ_opt().unwrap_or(day));
    sql.text(" GROUP BY i.day");
    sql.query().get_result(conn).optional()
}

#[derive(QueryableByName)]
struct Mark {
    #[diesel(sql_type = Timestamp)]
    captured_at: NaiveDateTime,
    #[diesel(sql_type = BigInt)]
    id: ImageId,
}

/// Lists every `every`-th image of a local day, newest first: from each of them the next piece of the day can be asked for, so
/// that the middle of a day of 70,000 is as near as its beginning.
///
/// # Errors
/// When the database fails.
pub fn list_marks(conn: &mut PgConnection, filter: &Filter, day: NaiveDate, every: i64) -> QueryResult<Vec<Cursor>> {
    let wanted = Wanted::resolve(conn, filter)?;
    let mut sql = Sql::new(
        "SELECT captured_at, id FROM (SELECT i.captured_at, i.id, row_number() OVER (ORDER BY i.captured_at DESC, i.id DESC) AS n \
         FROM images AS i WHERE true",
    );
    wanted.write(&mut sql);
    write_days(&mut sql, day, day.succ_opt().unwrap_or(day));
    sql.text(") AS numbered WHERE n % ").bind(Value::BigInt(every.max(1))).text(" = 0 ORDER BY n");
    let marks: Vec<Mark> = sql.query().load(conn)?;
    Ok(marks.into_iter().map(|mark| Cursor { captured_at: mark.captured_at, image: mark.id }).collect())
}
