//! What a person has said to be no duplicates: kept for ever, whatever finds those images alike again, and taken back like any decision.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::{
    Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Text, Timestamptz},
};

use crate::{
    db::alike::Pair,
    models::{ApartId, ImageId},
};

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    /// Names it, to take it back.
    pub id: ApartId,
    /// Who said so.
    pub author: String,
    /// When.
    pub decided_at: DateTime<Utc>,
    /// What of them is still in the library.
    pub images: Vec<ImageId>,
}

/// Says that no two of these images are duplicates; those that are gone do not count. `None` when fewer than two are left.
///
/// # Errors
/// When the database fails.
pub fn set_apart(conn: &mut PgConnection, author: &str, images: &[ImageId]) -> QueryResult<Option<Apart>> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = BigInt)]
        id: ImageId,
    }
    #[derive(QueryableByName)]
    struct Made {
        #[diesel(sql_type = BigInt)]
        id: ApartId,
        #[diesel(sql_type = Timestamptz)]
        decided_at: DateTime<Utc>,
    }
    let images: BTreeSet<ImageId> = images.iter().copied().collect();
    conn.transaction(|conn| {
        let found: Vec<Id> = sql_query("SELECT id FROM images WHERE id = ANY($1) ORDER BY id FOR KEY SHARE")
            .bind::<Array<BigInt>, _>(images.into_iter().collect::<Vec<_>>())
            .load(conn)?;
        if found.len() < 2 {
            return Ok(None);
        }
        let images: Vec<ImageId> = found.into_iter().map(|found| found.id).collect();
        let Made { id, decided_at } = sql_query("INSERT INTO not_duplicates (author) VALUES ($1) RETURNING id, decided_at")
            .bind::<Text, _>(author)
            .get_result(conn)?;
        sql_query("INSERT INTO not_duplicate_images (decision_id, image_id) SELECT $1, unnest($2)")
            .bind::<BigInt, _>(id)
            .bind::<Array<BigInt>, _>(&images)
            .execute(conn)?;
        Ok(Some(Apart { id, author: author.to_owned(), decided_at, images }))
    })
}

/// Takes a decision back; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn forget_apart(conn: &mut PgConnection, id: ApartId) -> QueryResult<bool> {
    Ok(sql_query("DELETE FROM not_duplicates WHERE id = $1").bind::<BigInt, _>(id).execute(conn)? > 0)
}

/// How many decisions hold.
///
/// # Errors
/// When the database fails.
pub fn count_apart(conn: &mut PgConnection) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    sql_query("SELECT count(*) AS count FROM not_duplicates").get_result(conn).map(|row: Count| row.count)
}

/// Lists decisions, the last first, from before one of them on.
///
/// # Errors
/// When the database fails.
pub fn list_apart(conn: &mut PgConnection, before: Option<ApartId>, limit: i64) -> QueryResult<Vec<Apart>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: ApartId,
        #[diesel(sql_type = Text)]
        author: String,
        #[diesel(sql_type = Timestamptz)]
        decided_at: DateTime<Utc>,
        #[diesel(sql_type = Array<BigInt>)]
        images: Vec<i64>,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT d.id, d.author, d.decided_at, \
            ARRAY(SELECT o.image_id FROM not_duplicate_images AS o WHERE o.decision_id = d.id ORDER BY o.image_id) AS images \
         FROM not_duplicates AS d WHERE d.id < $1 ORDER BY d.id DESC LIMIT $2",
    )
    .bind::<BigInt, _>(before.unwrap_or(ApartId(i64::MAX)))
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    let plain = |row: Row| Apart {
        id: row.id,
        author: row.author,
        decided_at: row.decided_at,
        images: row.images.into_iter().map(ImageId).collect(),
    };
    Ok(rows.into_iter().map(plain).collect())
}

/// Gives the decisions about an image to the one that it becomes part of.
pub(in crate::db) fn carry_apart(conn: &mut PgConnection, from: ImageId, to: ImageId) -> QueryResult<()> {
    sql_query(
        "INSERT INTO not_duplicate_images (decision_id, image_id) SELECT o.decision_id, $2 FROM not_duplicate_images AS o \
         WHERE o.image_id = $1 ON CONFLICT DO NOTHING",
    )
    .bind::<BigInt, _>(from)
    .bind::<BigInt, _>(to)
    .execute(conn)
    .map(|_| ())
}

/// The pairs that nobody has set apart.
pub(in crate::db) fn without_apart(conn: &mut PgConnection, mut pairs: Vec<Pair>) -> QueryResult<Vec<Pair>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        decision_id: ApartId,
        #[diesel(sql_type = BigInt)]
        image_id: ImageId,
    }
    let images: BTreeSet<ImageId> = pairs.iter().flat_map(|pair| [pair.newer, pair.older]).collect();
    if images.is_empty() {
        return Ok(pairs);
    }
    let rows: Vec<Row> = sql_query("SELECT decision_id, image_id FROM not_duplicate_images WHERE image_id = ANY($1)")
        .bind::<Array<BigInt>, _>(images.into_iter().collect::<Vec<_>>())
        .load(conn)?;
    let mut decisions: BTreeMap<ImageId, BTreeSet<ApartId>> = BTreeMap::new();
    for row in rows {
        decisions.entry(row.image_id).or_default().insert(row.decision_id);
    }
    let is_apart = |pair: &Pair| match (decisions.get(&pair.newer), decisions.get(&pair.older)) {
        (Some(one), Some(other)) => !one.is_disjoint(other),
        _ => false,
    };
    pairs.retain(|pair| !is_apart(pair));
    Ok(pairs)
}
