//! Groups of images that show nearly the same: second tries, and frames of a burst. To be looked at by a person; nothing acts on them.
//!
//! Images are alike when their vectors are nearly one, and they were taken soon after each other; frames of a burst are what one camera took
//! within seconds. Groups are looked for along the timeline, a bounded stretch at a time, so that no list of pairs is kept that could be old.
//! What a person has decided is left out: rejected images, two that are both picked, and what they said to be no duplicates. Copies of files are found in [`super::duplicates`].

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use chrono::{NaiveDateTime, TimeDelta};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Double, Timestamp},
};

use super::{duplicates::without_apart, results::LATEST};
use crate::models::{Cursor, ImageId, NetworkId};

/// Images of the timeline that one step looks at.
const STEP: i64 = 2_000;
/// How many that come next in the timeline an image is compared with: a burst is longer, and its frames are each like the next.
const COMPARED: i64 = 30;

/// Images of the timeline that one step looks at for bursts, which needs no vectors.
const STEP_OF_BURSTS: i64 = 10_000;
/// How many more it reads, to see how far the burst at its end goes.
const BEHIND: i64 = 200;
/// Frames of a burst follow one another within so many seconds, as the rating run has it.
const BURST_S: f64 = 3.0;

/// When images are alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likeness {
    /// At least this cosine of the angle between their vectors.
    pub cosine: f64,
    /// Taken at most so long after each other.
    pub within: TimeDelta,
}

impl Default for Likeness {
    /// What a person takes for the same picture twice: within ten minutes, and nearly no difference.
    fn default() -> Self {
        Self { cosine: 0.95, within: TimeDelta::minutes(10) }
    }
}

/// Images that are alike, each to at least one other.
#[derive(Debug, Clone, PartialEq)]
pub struct AlikeGroup {
    /// Two or more, newest first.
    pub images: Vec<ImageId>,
    /// The smallest cosine by which one of them was found; 1 where no vectors were compared.
    pub cosine: f64,
    /// The place of the first of them in the timeline.
    pub newest: Cursor,
    /// The place of the last.
    pub oldest: Cursor,
}

/// The groups of a stretch of the timeline.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlikeStretch {
    /// By their newest image, newest first.
    pub groups: Vec<AlikeGroup>,
    /// Where to go on; `None` at the end of the timeline.
    pub next: Option<Cursor>,
}

/// Two images that belong together.
#[derive(Debug, QueryableByName)]
pub(super) struct Pair {
    #[diesel(sql_type = BigInt)]
    pub(super) newer: ImageId,
    #[diesel(sql_type = Timestamp)]
    pub(super) newer_at: NaiveDateTime,
    #[diesel(sql_type = BigInt)]
    pub(super) older: ImageId,
    #[diesel(sql_type = Timestamp)]
    pub(super) older_at: NaiveDateTime,
    #[diesel(sql_type = Double)]
    pub(super) cosine: f64,
}

#[derive(QueryableByName)]
struct End {
    #[diesel(sql_type = Timestamp)]
    captured_at: NaiveDateTime,
    #[diesel(sql_type = BigInt)]
    id: ImageId,
}

/// Finds the groups of a stretch just older than `after`, or from the newest on. It may have none although there are some farther on.
///
/// # Errors
/// When the database fails, as it does where it cannot hold vectors.
pub fn list_alike(conn: &mut PgConnection, network: NetworkId, likeness: Likeness, after: Option<Cursor>) -> QueryResult<AlikeStretch> {
    let from = after.unwrap_or(Cursor { captured_at: LATEST, image: ImageId(i64::MAX) });
    let pairs: Vec<Pair> = sql_query(include_str!("alike.sql"))
        .bind::<BigInt, _>(network)
        .bind::<Timestamp, _>(from.captured_at)
        .bind::<BigInt, _>(from.image)
        .bind::<BigInt, _>(STEP)
        .bind::<Double, _>(1.0 - likeness.cosine)
        .bind::<Double, _>(likeness.within.num_milliseconds() as f64 / 1e3)
        .bind::<BigInt, _>(COMPARED)
        .load(conn)?;
    let end = end(conn, from, STEP)?;
    Ok(stretch(without_apart(conn, pairs)?, from, end))
}

/// Finds the bursts of a stretch just older than `after`, or from the newest on: pictures that one camera took within seconds of each other,
/// where the time is that of the camera. It may have none although there are some farther on.
///
/// # Errors
/// When the database fails.
pub fn list_bursts(conn: &mut PgConnection, after: Option<Cursor>) -> QueryResult<AlikeStretch> {
    let from = after.unwrap_or(Cursor { captured_at: LATEST, image: ImageId(i64::MAX) });
    let pairs: Vec<Pair> = sql_query(include_str!("bursts.sql"))
        .bind::<Timestamp, _>(from.captured_at)
        .bind::<BigInt, _>(from.image)
        .bind::<BigInt, _>(STEP_OF_BURSTS)
        .bind::<Double, _>(BURST_S)
        .bind::<BigInt, _>(BEHIND)
        .load(conn)?;
    let end = end(conn, from, STEP_OF_BURSTS)?;
    Ok(stretch(without_apart(conn, pairs)?, from, end))
}

/// The last image of a stretch that is so long; `None` where the timeline ends before.
fn end(conn: &mut PgConnection, from: Cursor, step: i64) -> QueryResult<Option<Cursor>> {
    let end: Vec<End> = sql_query(
        "SELECT captured_at, id FROM images WHERE (captured_at, id) < ($1, $2) ORDER BY captured_at DESC, id DESC OFFSET $3 - 1 LIMIT 1",
    )
    .bind::<Timestamp, _>(from.captured_at)
    .bind::<BigInt, _>(from.image)
    .bind::<BigInt, _>(step)
    .load(conn)?;
    Ok(end.first().map(|end| Cursor { captured_at: end.captured_at, image: end.id }))
}

/// Puts pairs together. A group that goes on behind the end of the stretch is left to the next one, which begins with it; so is whatever reaches
/// beyond that place. One that fills the whole stretch is cut.
fn stretch(pairs: Vec<Pair>, from: Cursor, end: Option<Cursor>) -> AlikeStretch {
    let groups = grouped(&pairs);
    let all = |groups: Vec<Grouped>| groups.into_iter().map(Grouped::plain).collect();
    let Some(end) = end else { return AlikeStretch { groups: all(groups), next: None } };
    let Some(mut cut) = groups.iter().filter(|group| group.oldest() < (end.captured_at, end.image)).map(Grouped::newest).max() else {
        return AlikeStretch { groups: all(groups), next: Some(end) };
    };
    while let Some(reaches) = groups.iter().filter(|group| group.oldest() <= cut).map(Grouped::newest).max().filter(|newest| *newest > cut)
    {
        cut = reaches;
    }
    let next = Cursor { captured_at: cut.0, image: ImageId(cut.1.0.saturating_add(1)) };
    if (next.captured_at, next.image) >= (from.captured_at, from.image) {
        return AlikeStretch { groups: all(groups), next: Some(end) };
    }
    AlikeStretch { groups: all(groups.into_iter().filter(|group| group.newest() > cut).collect()), next: Some(next) }
}

/// A group with the places of its images in the timeline.
pub(super) struct Grouped {
    /// Newest first.
    places: Vec<(NaiveDateTime, ImageId)>,
    cosine: f64,
}

impl Grouped {
    fn newest(&self) -> (NaiveDateTime, ImageId) {
        self.places[0]
    }

    fn oldest(&self) -> (NaiveDateTime, ImageId) {
        self.places[self.places.len() - 1]
    }

    pub(super) fn plain(self) -> AlikeGroup {
        let cursor = |(captured_at, image)| Cursor { captured_at, image };
        let (newest, oldest) = (cursor(self.newest()), cursor(self.oldest()));
        AlikeGroup { images: self.places.into_iter().map(|(_, image)| image).collect(), cosine: self.cosine, newest, oldest }
    }
}

/// Groups by their newest image, newest first.
pub(super) fn grouped(pairs: &[Pair]) -> Vec<Grouped> {
    let mut roots: HashMap<ImageId, ImageId> = HashMap::new();
    let mut places: BTreeMap<ImageId, NaiveDateTime> = BTreeMap::new();
    for pair in pairs {
        places.extend([(pair.newer, pair.newer_at), (pair.older, pair.older_at)]);
        let (one, other) = (root(&roots, pair.newer), root(&roots, pair.older));
        roots.insert(one, other);
    }
    let mut groups: HashMap<ImageId, Grouped> = HashMap::new();
    for (image, captured_at) in places {
        let group = groups.entry(root(&roots, image)).or_insert(Grouped { places: Vec::new(), cosine: 1.0 });
        group.places.push((captured_at, image));
    }
    for pair in pairs {
        if let Some(group) = groups.get_mut(&root(&roots, pair.newer)) {
            group.cosine = group.cosine.min(pair.cosine);
        }
    }
    let mut groups: Vec<Grouped> = groups.into_values().collect();
    for group in &mut groups {
        group.places.sort_unstable_by_key(|place| Reverse(*place));
    }
    groups.sort_unstable_by_key(|group| Reverse(group.newest()));
    groups
}

/// The image that stands for the group of another.
fn root(roots: &HashMap<ImageId, ImageId>, image: ImageId) -> ImageId {
    let mut at = image;
    while let Some(next) = roots.get(&at).filter(|next| **next != at) {
        at = *next;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> NaiveDateTime {
        chrono::DateTime::UNIX_EPOCH.naive_utc() + TimeDelta::seconds(second)
    }

    /// Images are numbered by their seconds.
    fn pair(newer: i64, older: i64) -> Pair {
        Pair { newer: ImageId(newer), newer_at: at(newer), older: ImageId(older), older_at: at(older), cosine: 0.97 }
    }

    fn cursor(second: i64) -> Cursor {
        Cursor { captured_at: at(second), image: ImageId(second) }
    }

    fn numbers(stretch: &AlikeStretch) -> Vec<Vec<i64>> {
        stretch.groups.iter().map(|group| group.images.iter().map(|image| image.0).collect()).collect()
    }

    #[test]
    fn pairs_become_groups() {
        let found = stretch(vec![pair(9, 8), pair(5, 4), pair(8, 6), pair(4, 2)], cursor(100), None);
        assert_eq!(numbers(&found), [vec![9, 8, 6], vec![5, 4, 2]]);
        assert_eq!(found.next, None);
        assert_eq!(stretch(Vec::new(), cursor(100), Some(cursor(3))).next, Some(cursor(3)));
    }

    #[test]
    fn a_group_that_goes_on_is_left_to_the_next_stretch() {
        let pairs = || vec![pair(9, 8), pair(6, 3), pair(5, 4)];
        let found = stretch(pairs(), cursor(100), Some(cursor(4)));
        assert_eq!((numbers(&found), found.next), (vec![vec![9, 8]], Some(Cursor { captured_at: at(6), image: ImageId(7) })));
        // The next one begins with it, and takes it as it is if it is longer than a stretch.
        let found = stretch(pairs()[1..].iter().map(|one| pair(one.newer.0, one.older.0)).collect(), found.next.unwrap(), Some(cursor(4)));
        assert_eq!((numbers(&found), found.next), (vec![vec![6, 3], vec![5, 4]], Some(cursor(4))));
    }

    #[test]
    fn what_reaches_beyond_the_cut_is_left_too() {
        let found = stretch(vec![pair(20, 19), pair(9, 6), pair(8, 5), pair(7, 2)], cursor(100), Some(cursor(4)));
        assert_eq!((numbers(&found), found.next), (vec![vec![20, 19]], Some(Cursor { captured_at: at(9), image: ImageId(10) })));
    }
}
