//! Images that share a file, by size and content: looked for along the index of contents, so that a library without copies is read through
//! in a second, and one with many is paged.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDateTime;
use diesel::{
    OptionalExtension, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Binary, Bool, Timestamp},
};

use super::{MOST_SHOWN, Place, without_apart};
use crate::{
    db::alike::{AlikeGroup, Pair, grouped},
    models::ImageId,
};

/// Files that one step looks at.
const STEP: i64 = 100_000;
/// How often what a group shares is followed to further images: `A.RAW` leads from one to another, its `A.JPG` on to a third.
const ROUNDS: usize = 4;
/// Comes behind every content.
const LAST: [u8; 17] = [0xff; 17];

/// What counts as a content: as the index `files_content` has it.
const COUNTS: &str = "f.fingerprint IS NOT NULL AND f.role <> 'SIDECAR' AND f.missing_since IS NULL AND f.image_id IS NOT NULL";

#[derive(QueryableByName)]
struct Content {
    #[diesel(sql_type = Binary)]
    fingerprint: Vec<u8>,
}

#[derive(QueryableByName)]
struct Holder {
    #[diesel(sql_type = Binary)]
    fingerprint: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    id: ImageId,
    #[diesel(sql_type = Timestamp)]
    captured_at: NaiveDateTime,
    #[diesel(sql_type = Bool)]
    is_picked: bool,
}

/// The groups whose first shared content comes behind `after`, up to so many, and where the next begin.
pub(super) fn step(conn: &mut PgConnection, after: &[u8], most: usize) -> QueryResult<(Vec<AlikeGroup>, Option<Place>)> {
    let end: Option<Content> = sql_query(format!(
        "SELECT f.fingerprint FROM files AS f WHERE {COUNTS} AND f.fingerprint > $1 ORDER BY f.fingerprint OFFSET $2 - 1 LIMIT 1"
    ))
    .bind::<Binary, _>(after)
    .bind::<BigInt, _>(STEP)
    .get_result(conn)
    .optional()?;
    let found: Vec<Content> = sql_query(format!(
        "SELECT f.fingerprint FROM files AS f WHERE {COUNTS} AND f.fingerprint > $1 AND f.fingerprint <= $2 \
         GROUP BY f.fingerprint HAVING min(f.image_id) <> max(f.image_id) ORDER BY f.fingerprint LIMIT $3"
    ))
    .bind::<Binary, _>(after)
    .bind::<Binary, _>(end.as_ref().map_or(&LAST[..], |end| end.fingerprint.as_slice()))
    .bind::<BigInt, _>(i64::try_from(most).unwrap_or(i64::MAX))
    .load(conn)?;
    let next = if found.len() >= most { found.last().map(|last| last.fingerprint.clone()) } else { end.map(|end| end.fingerprint) };
    let contents: BTreeSet<Vec<u8>> = found.into_iter().map(|content| content.fingerprint).collect();
    let groups = groups(conn, &contents)?;
    Ok((groups, next.map(Place::Content)))
}

/// The groups whose first shared content is one of these.
fn groups(conn: &mut PgConnection, first: &BTreeSet<Vec<u8>>) -> QueryResult<Vec<AlikeGroup>> {
    let mut holders: BTreeMap<Vec<u8>, Vec<(NaiveDateTime, ImageId)>> = BTreeMap::new();
    let (mut asked, mut picked, mut wanted) = (BTreeSet::new(), BTreeSet::new(), first.clone());
    for _ in 0..ROUNDS {
        if wanted.is_empty() {
            break;
        }
        for Holder { fingerprint, id, captured_at, is_picked } in holders_of(conn, &wanted)? {
            if is_picked {
                picked.insert(id);
            }
            holders.entry(fingerprint).or_default().push((captured_at, id));
        }
        let images: BTreeSet<ImageId> = holders.values().flatten().map(|(_, id)| *id).filter(|id| asked.insert(*id)).collect();
        wanted = shared_by(conn, images)?.into_iter().filter(|content| !holders.contains_key(content)).collect();
    }
    let mut pairs = Vec::new();
    for images in holders.values_mut() {
        images.sort_unstable_by(|one, other| other.cmp(one));
        for (at, (newer_at, newer)) in images.iter().enumerate() {
            let pair = |(older_at, older): &(NaiveDateTime, ImageId)| Pair {
                newer: *newer,
                newer_at: *newer_at,
                older: *older,
                older_at: *older_at,
                cosine: 1.0,
            };
            let is_open = |(_, older): &&(NaiveDateTime, ImageId)| !(picked.contains(newer) && picked.contains(older));
            pairs.extend(images[at + 1..].iter().filter(is_open).map(pair));
        }
    }
    let pairs = without_apart(conn, pairs)?;
    let joined: BTreeSet<(ImageId, ImageId)> = pairs.iter().map(|pair| (pair.newer, pair.older)).collect();
    let mut groups: Vec<(&[u8], AlikeGroup)> = Vec::new();
    for group in grouped(&pairs) {
        let group = group.plain();
        let members: BTreeSet<ImageId> = group.images.iter().copied().collect();
        let is_shared = |images: &[(NaiveDateTime, ImageId)]| {
            let inside: Vec<ImageId> = images.iter().map(|(_, id)| *id).filter(|id| members.contains(id)).collect();
            inside.iter().enumerate().any(|(at, newer)| inside[at + 1..].iter().any(|older| joined.contains(&(*newer, *older))))
        };
        let Some((content, _)) = holders.iter().find(|(_, images)| is_shared(images)) else { continue };
        if first.contains(content) {
            groups.push((content.as_slice(), group));
        }
    }
    groups.sort_by(|one, other| one.0.cmp(other.0));
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

/// Images that have a file of one of these contents and are not rejected: of each the first, as many as are shown at once.
fn holders_of(conn: &mut PgConnection, contents: &BTreeSet<Vec<u8>>) -> QueryResult<Vec<Holder>> {
    sql_query(format!(
        "SELECT c.fingerprint, h.id, h.captured_at, h.is_picked FROM unnest($1) AS c (fingerprint) CROSS JOIN LATERAL (\
            SELECT DISTINCT i.id, i.captured_at, i.pick = 'picked' AS is_picked FROM files AS f JOIN images AS i ON i.id = f.image_id \
            WHERE f.fingerprint = c.fingerprint AND {COUNTS} AND i.rating IS DISTINCT FROM -1 ORDER BY i.id LIMIT $2\
         ) AS h"
    ))
    .bind::<Array<Binary>, _>(contents.iter().map(Vec::as_slice).collect::<Vec<_>>())
    .bind::<BigInt, _>(MOST_SHOWN as i64)
    .load(conn)
}

/// Contents of these images that others have, too.
fn shared_by(conn: &mut PgConnection, images: BTreeSet<ImageId>) -> QueryResult<Vec<Vec<u8>>> {
    let found: Vec<Content> = sql_query(format!(
        "SELECT DISTINCT f.fingerprint FROM files AS f WHERE f.image_id = ANY($1) AND {COUNTS} AND EXISTS (\
            SELECT FROM files AS o WHERE o.fingerprint = f.fingerprint AND o.role <> 'SIDECAR' AND o.missing_since IS NULL \
            AND o.image_id <> f.image_id\
         )"
    ))
    .bind::<Array<BigInt>, _>(images.into_iter().collect::<Vec<_>>())
    .load(conn)?;
    Ok(found.into_iter().map(|content| content.fingerprint).collect())
}
