//! The networks that work on this library, each version of weights one.

use chrono::{DateTime, Utc};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    prelude::*,
    sql_query,
    sql_types::{BigInt, Integer, Nullable, Text, Timestamptz},
};

use super::{image::unreadable, schema::networks};
use crate::models::{
    NetworkId,
    task::{Lane, NetworkVersion, TaskKind},
};

/// What is known of a network before it has worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkCard {
    /// What it is asked, and which it is.
    pub lane: Lane,
    /// Its family, such as `clip`.
    pub family: String,
    /// What people call it.
    pub title: String,
    /// Numbers of its vectors, where that is known; else the first vector says it.
    pub dimensions: Option<u32>,
}

/// A network that has been given work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredNetwork {
    /// Its row.
    pub id: NetworkId,
    /// What it is.
    pub card: NetworkCard,
    /// Images it has answered for.
    pub done: i64,
    /// Images it could not answer for.
    pub failed: i64,
    /// When it first came.
    pub registered_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: NetworkId,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    family: String,
    #[diesel(sql_type = Text)]
    title: String,
    #[diesel(sql_type = Nullable<Integer>)]
    dimensions: Option<i32>,
    #[diesel(sql_type = Integer)]
    done_count: i32,
    #[diesel(sql_type = Integer)]
    failed_count: i32,
    #[diesel(sql_type = Timestamptz)]
    registered_at: DateTime<Utc>,
}

impl TryFrom<Row> for StoredNetwork {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let kind = kind_of(&row.kind)?;
        let lane = Lane { kind, network: NetworkVersion { name: row.name, version: row.version } };
        let dimensions = row.dimensions.and_then(|dimensions| u32::try_from(dimensions).ok());
        Ok(Self {
            id: row.id,
            card: NetworkCard { lane, family: row.family, title: row.title, dimensions },
            done: row.done_count.into(),
            failed: row.failed_count.into(),
            registered_at: row.registered_at,
        })
    }
}

/// The kind that a column names.
pub(super) fn kind_of(text: &str) -> QueryResult<TaskKind> {
    let known = TaskKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    known.ok_or_else(|| unreadable(format!("`{text}` is no kind of network").into()))
}

/// Makes a network known, or finds the row it has.
///
/// # Errors
/// When the database fails.
pub fn register(conn: &mut PgConnection, card: &NetworkCard) -> QueryResult<NetworkId> {
    let Lane { kind, network } = &card.lane;
    let dimensions = card.dimensions.and_then(|dimensions| i32::try_from(dimensions).ok());
    if let Some(known) = find(conn, *kind, network)?
        && known.card.title == card.title
        && known.card.family == card.family
        && (known.card.dimensions.is_some() || dimensions.is_none())
    {
        return Ok(known.id);
    }
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = BigInt)]
        id: NetworkId,
    }
    sql_query(
        "INSERT INTO networks AS n (kind, name, version, family, title, dimensions) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (kind, name, version) DO UPDATE SET family = excluded.family, title = excluded.title, \
            dimensions = coalesce(n.dimensions, excluded.dimensions) RETURNING id",
    )
    .bind::<Text, _>(kind.as_str())
    .bind::<Text, _>(&network.name)
    .bind::<Text, _>(&network.version)
    .bind::<Text, _>(&card.family)
    .bind::<Text, _>(&card.title)
    .bind::<Nullable<Integer>, _>(dimensions)
    .get_result(conn)
    .map(|row: Id| row.id)
}

const COLUMNS: &str = "SELECT id, kind, name, version, family, title, dimensions, done_count, failed_count, registered_at FROM networks";

/// Lists the networks, the newest first.
///
/// # Errors
/// When the database fails.
pub fn list(conn: &mut PgConnection) -> QueryResult<Vec<StoredNetwork>> {
    let rows: Vec<Row> = sql_query(format!("{COLUMNS} ORDER BY registered_at DESC, id DESC")).load(conn)?;
    rows.into_iter().map(StoredNetwork::try_from).collect()
}

/// Finds a network by what it is; `None` when it has never been given work here.
///
/// # Errors
/// When the database fails.
pub fn find(conn: &mut PgConnection, kind: TaskKind, network: &NetworkVersion) -> QueryResult<Option<StoredNetwork>> {
    let row: Option<Row> = sql_query(format!("{COLUMNS} WHERE kind = $1 AND name = $2 AND version = $3"))
        .bind::<Text, _>(kind.as_str())
        .bind::<Text, _>(&network.name)
        .bind::<Text, _>(&network.version)
        .get_result(conn)
        .optional()?;
    row.map(StoredNetwork::try_from).transpose()
}

/// Removes a network that nothing is held of; false when something still is, such as what a person has decided on.
///
/// # Errors
/// When the database fails.
pub fn delete_network(conn: &mut PgConnection, network: NetworkId) -> QueryResult<bool> {
    let deleted = sql_query(
        "DELETE FROM networks AS n WHERE n.id = $1 AND NOT EXISTS (SELECT FROM image_results AS r WHERE r.network_id = n.id) \
         AND NOT EXISTS (SELECT FROM regions AS r WHERE r.network_id = n.id)",
    )
    .bind::<BigInt, _>(network)
    .execute(conn)?;
    Ok(deleted > 0)
}

/// Notes how many numbers the vectors of a network have, unless that is known.
pub(super) fn note_dimensions(conn: &mut PgConnection, network: NetworkId, dimensions: i32) -> QueryResult<()> {
    diesel::update(networks::table.filter(networks::id.eq(network)).filter(networks::dimensions.is_null()))
        .set(networks::dimensions.eq(dimensions))
        .execute(conn)
        .map(|_| ())
}
