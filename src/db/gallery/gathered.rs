//! What passes a filter, gathered once and kept for as long as nothing changes.
//!
//! A filter that no index answers in the order of the timeline is read whole for any of its pages. Of the images that pass, time,
//! number and shape are kept, so that the pages after the first, the counts of their days and the ways to the pages beside them need
//! not ask again. Apart from the pages because this alone remembers.
//!
//! What is kept is known by PostgreSQL's snapshot that it was read in. As long as the same snapshot is given, no transaction that
//! writes has begun or ended, and what is kept is what would be read now: nobody is shown what was there before an edit. While a
//! scan writes, every page asks. Inside a transaction that has itself written, a snapshot does not tell: nothing here is for those.

use std::{
    cmp::Reverse,
    sync::{Arc, Mutex, PoisonError, TryLockError},
};

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Binary, Nullable, Text},
};

use super::{GalleryCard, list_cards_by_id};
use crate::{
    db::{
        sql::{Sql, Value, Wanted},
        timeline::TimelineDay,
    },
    models::{Cursor, Filter, ImageId},
};

/// Most images of a filter that is kept, 24 bytes each.
pub(super) const MOST_IMAGES: i64 = 50_000;
/// Filters kept at the same time.
const MOST_FILTERS: usize = 16;
/// Bytes of an image on its way from the database: time, number, shape.
const PACKED: usize = 8 + 8 + 4;
/// From where PostgreSQL counts time, 2000-01-01, since 1970.
const POSTGRES_EPOCH: TimeDelta = TimeDelta::seconds(946_684_800);

/// A filter as the pairs of its address, which can be compared.
type Question = Vec<(&'static str, String)>;

/// What is known of a filter.
#[derive(Debug)]
struct Kept {
    snapshot: String,
    /// `None` where there are too many.
    matches: Option<Arc<Matches>>,
}

/// Whoever holds it gathers; others who ask the same wait for the answer.
type Slot = Arc<Mutex<Option<Kept>>>;

/// Answers by filter, the one that was asked for last at the end.
#[derive(Debug, Default)]
pub struct Gathered {
    slots: Mutex<Vec<(Question, Slot)>>,
}

/// An image that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Match {
    captured_at: NaiveDateTime,
    id: ImageId,
    ratio_milli: i32,
}

impl Match {
    fn place(&self) -> (NaiveDateTime, ImageId) {
        (self.captured_at, self.id)
    }
}

/// The images that pass a filter, newest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Matches {
    images: Vec<Match>,
}

#[derive(QueryableByName)]
struct Snapshot {
    #[diesel(sql_type = Text)]
    snapshot: String,
}

#[derive(QueryableByName)]
struct Packed {
    #[diesel(sql_type = Text)]
    snapshot: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Nullable<Binary>)]
    packed: Option<Vec<u8>>,
}

/// The name of what the database shows now.
///
/// # Errors
/// When the database fails.
pub fn find_snapshot(conn: &mut PgConnection) -> QueryResult<String> {
    let found: Snapshot = sql_query("SELECT pg_current_snapshot()::text AS snapshot").get_result(conn)?;
    Ok(found.snapshot)
}

impl Gathered {
    /// The images of a filter if they are kept and nothing has changed since; never waits for others.
    ///
    /// # Errors
    /// When the database fails.
    pub fn kept(&self, conn: &mut PgConnection, filter: &Filter) -> QueryResult<Option<Arc<Matches>>> {
        let Some(slot) = self.slot(&filter.to_pairs(), false) else { return Ok(None) };
        let held = match slot.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        let Some(Kept { snapshot, matches: Some(matches) }) = held.as_ref() else { return Ok(None) };
        Ok((find_snapshot(conn)? == *snapshot).then(|| matches.clone()))
    }

    /// The images of a filter, read unless they are kept; `None` when there are too many to be kept.
    ///
    /// # Errors
    /// When the database fails.
    pub fn gather(&self, conn: &mut PgConnection, filter: &Filter) -> QueryResult<Option<Arc<Matches>>> {
        let Some(slot) = self.slot(&filter.to_pairs(), true) else { return Ok(None) };
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let before = find_snapshot(conn)?;
        if let Some(Kept { snapshot, matches }) = held.as_ref()
            && *snapshot == before
        {
            return Ok(matches.clone());
        }
        let (snapshot, matches) = read(conn, filter)?;
        let matches = matches.map(Arc::new);
        // Names were looked up before: only where nothing came between is all of it of one moment.
        *held = (snapshot == before).then(|| Kept { snapshot, matches: matches.clone() });
        Ok(matches)
    }

    /// The place of a filter's answer, made where there is none if asked to.
    fn slot(&self, question: &Question, makes: bool) -> Option<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let (question, slot) = match slots.iter().position(|(known, _)| known == question) {
            Some(index) => slots.remove(index),
            None if makes => (question.clone(), Slot::default()),
            None => return None,
        };
        if slots.len() >= MOST_FILTERS {
            slots.remove(0);
        }
        slots.push((question, slot.clone()));
        Some(slot)
    }
}

/// Reads what passes, in any order and in one piece, because rows of three numbers would take longer to send than to find.
fn read(conn: &mut PgConnection, filter: &Filter) -> QueryResult<(String, Option<Matches>)> {
    let wanted = Wanted::resolve(conn, filter)?;
    let mut sql = Sql::new(
        "SELECT pg_current_snapshot()::text AS snapshot, count(*) AS count, \
         string_agg(timestamp_send(k.captured_at) || int8send(k.id) || int4send(k.ratio_milli), ''::bytea) AS packed \
         FROM (SELECT i.captured_at, i.id, i.ratio_milli FROM images AS i WHERE true",
    );
    wanted.write(&mut sql);
    sql.text(" LIMIT ").bind(Value::BigInt(MOST_IMAGES + 1)).text(") AS k");
    let Packed { snapshot, count, packed } = sql.query().get_result(conn)?;
    let matches = (count <= MOST_IMAGES).then(|| Matches::unpack(&packed.unwrap_or_default()));
    Ok((snapshot, matches))
}

impl Matches {
    /// Reads what `timestamp_send`, `int8send` and `int4send` wrote: microseconds since 2000, number and shape, highest byte first.
    fn unpack(packed: &[u8]) -> Self {
        let since = DateTime::UNIX_EPOCH.naive_utc() + POSTGRES_EPOCH;
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let image = |one: &[u8]| Match {
            captured_at: since + TimeDelta::microseconds(number(&one[..8]).cast_signed()),
            id: ImageId(number(&one[8..16]).cast_signed()),
            ratio_milli: number(&one[16..]) as i32,
        };
        let mut images: Vec<Match> = packed.chunks_exact(PACKED).map(image).collect();
        images.sort_unstable_by_key(|image| Reverse(image.place()));
        Self { images }
    }

    /// Those older than a place, or all.
    fn older_than(&self, from: Option<Cursor>) -> &[Match] {
        let Some(from) = from else { return &self.images };
        &self.images[self.images.partition_point(|image| image.place() >= (from.captured_at, from.image))..]
    }

    /// Those newer than a place, or all.
    fn newer_than(&self, from: Option<Cursor>) -> &[Match] {
        let Some(from) = from else { return &self.images };
        &self.images[..self.images.partition_point(|image| image.place() > (from.captured_at, from.image))]
    }

    /// Counts the local days, newest first.
    pub fn days(&self) -> Vec<TimelineDay> {
        let by_day = self.images.chunk_by(|one, other| one.captured_at.date() == other.captured_at.date());
        by_day.map(count).collect()
    }

    /// Counts one local day; `None` when nothing of it passes.
    pub(super) fn day(&self, day: NaiveDate) -> Option<TimelineDay> {
        let begin = self.images.partition_point(|image| image.captured_at.date() > day);
        let end = self.images.partition_point(|image| image.captured_at.date() >= day);
        Some(&self.images[begin..end]).filter(|images| !images.is_empty()).map(count)
    }

    /// Up to `limit` cards just older than a place, newest first, and whether there are more of them and any on the other side.
    pub(super) fn older_cards(
        &self,
        conn: &mut PgConnection,
        from: Option<Cursor>,
        limit: usize,
    ) -> QueryResult<(Vec<GalleryCard>, bool, bool)> {
        let older = self.older_than(from);
        let has_newer = older.len() < self.images.len();
        Ok((cards(conn, &older[..limit.min(older.len())])?, older.len() > limit, has_newer))
    }

    /// Up to `limit` cards just newer than a place, newest first, and whether there are more of them and any on the other side.
    pub(super) fn newer_cards(
        &self,
        conn: &mut PgConnection,
        from: Option<Cursor>,
        limit: usize,
    ) -> QueryResult<(Vec<GalleryCard>, bool, bool)> {
        let newer = self.newer_than(from);
        let has_older = newer.len() < self.images.len();
        Ok((cards(conn, &newer[newer.len() - limit.min(newer.len())..])?, newer.len() > limit, has_older))
    }

    /// Lists up to `limit` cards of the local days `oldest..=newest`, newest first, older than `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn list_cards_of_days(
        &self,
        conn: &mut PgConnection,
        newest: NaiveDate,
        oldest: NaiveDate,
        after: Option<Cursor>,
        limit: i64,
    ) -> QueryResult<Vec<GalleryCard>> {
        let older = self.older_than(after);
        let begin = older.partition_point(|image| image.captured_at.date() > newest);
        let end = older.partition_point(|image| image.captured_at.date() >= oldest).max(begin);
        let limit = usize::try_from(limit).unwrap_or(0).min(end - begin);
        cards(conn, &older[begin..begin + limit])
    }
}

/// Counts images of one day, of which there is at least one.
fn count(images: &[Match]) -> TimelineDay {
    TimelineDay {
        day: images[0].captured_at.date(),
        image_count: i32::try_from(images.len()).unwrap_or(i32::MAX),
        ratio_milli_sum: images.iter().map(|image| i64::from(image.ratio_milli)).sum(),
    }
}

fn cards(conn: &mut PgConnection, images: &[Match]) -> QueryResult<Vec<GalleryCard>> {
    list_cards_by_id(conn, &images.iter().map(|image| image.id).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_database_packs_is_read_newest_first() {
        let packed = |micros: i64, id: i64, ratio: i32| [&micros.to_be_bytes()[..], &id.to_be_bytes(), &ratio.to_be_bytes()].concat();
        let matches =
            Matches::unpack(&[packed(-1, 7, 667), packed(86_400_000_000, 3, 1500), packed(0, 9, 1500), packed(0, 8, 1000)].concat());
        let read: Vec<_> = matches.images.iter().map(|one| (one.captured_at.to_string(), one.id.0, one.ratio_milli)).collect();
        let expected = [
            ("2000-01-02 00:00:00", 3, 1500),
            ("2000-01-01 00:00:00", 9, 1500),
            ("2000-01-01 00:00:00", 8, 1000),
            ("1999-12-31 23:59:59.999999", 7, 667),
        ];
        assert_eq!(read, expected.map(|(time, id, ratio)| (time.to_owned(), id, ratio)));
        let days: Vec<_> = matches.days().iter().map(|day| (day.day.to_string(), day.image_count, day.ratio_milli_sum)).collect();
        let expected = [("2000-01-02", 1, 1500), ("2000-01-01", 2, 2500), ("1999-12-31", 1, 667)];
        assert_eq!(days, expected.map(|(day, count, sum)| (day.to_owned(), count, sum)));
    }

    #[test]
    fn only_the_filters_asked_for_last_are_kept() {
        let gathered = Gathered::default();
        let question = |number: usize| vec![("q", number.to_string())];
        for number in 0..MOST_FILTERS {
            assert!(gathered.slot(&question(number), true).is_some());
        }
        assert!(gathered.slot(&question(0), false).is_some());
        assert!(gathered.slot(&question(MOST_FILTERS), true).is_some());
        assert!(gathered.slot(&question(1), false).is_none(), "asked for longest ago");
        assert!(gathered.slot(&question(0), false).is_some());
    }
}
