//! Machines that were invited to run networks: their names, and what is kept of their tokens.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    result::{DatabaseErrorKind, Error},
    sql_query,
    sql_types::{Binary, Integer, Nullable, Text, Timestamptz},
};

use crate::models::account::SecretHash;

/// How exact the time of last use is, in minutes.
const SEEN_EVERY_MINUTES: i32 = 5;

/// A machine that was invited.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct InvitedWorker {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// The hardware address that wakes it, if anybody should.
    #[diesel(sql_type = Nullable<Text>)]
    pub wake_address: Option<String>,
    /// When it was invited.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// When it last fetched something, to a few minutes.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub used_at: Option<DateTime<Utc>>,
}

/// Another worker has that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another worker has this name")]
pub struct WorkerNameTaken;

/// Adds a worker under a name of [`crate::models::invitation::is_worker_name`].
///
/// # Errors
/// When the database fails.
pub fn insert_worker(
    conn: &mut PgConnection,
    name: &str,
    secret: &SecretHash,
    wake_address: Option<&str>,
) -> QueryResult<Result<(), WorkerNameTaken>> {
    let inserted = sql_query("INSERT INTO workers (name, secret_hash, wake_address) VALUES ($1, $2, $3)")
        .bind::<Text, _>(name)
        .bind::<Binary, _>(secret.as_slice())
        .bind::<Nullable<Text>, _>(wake_address)
        .execute(conn);
    match inserted {
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(Err(WorkerNameTaken)),
        inserted => inserted.map(|_| Ok(())),
    }
}

/// Lists all by name.
///
/// # Errors
/// When the database fails.
pub fn list_workers(conn: &mut PgConnection) -> QueryResult<Vec<InvitedWorker>> {
    sql_query("SELECT name, wake_address, created_at, used_at FROM workers ORDER BY name").load(conn)
}

/// Finds whose token this is, and notes that it is used.
///
/// # Errors
/// When the database fails.
pub fn find_worker(conn: &mut PgConnection, secret: &SecretHash) -> QueryResult<Option<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let found: Option<Row> =
        sql_query("SELECT name FROM workers WHERE secret_hash = $1").bind::<Binary, _>(secret.as_slice()).get_result(conn).optional()?;
    if found.is_some() {
        sql_query(
            "UPDATE workers SET used_at = now() WHERE secret_hash = $1 AND (used_at IS NULL OR used_at < now() - make_interval(mins => $2))",
        )
        .bind::<Binary, _>(secret.as_slice())
        .bind::<Integer, _>(SEEN_EVERY_MINUTES)
        .execute(conn)?;
    }
    Ok(found.map(|row| row.name))
}

/// Removes a worker; false where there is none of that name.
///
/// # Errors
/// When the database fails.
pub fn delete_worker(conn: &mut PgConnection, name: &str) -> QueryResult<bool> {
    sql_query("DELETE FROM workers WHERE name = $1").bind::<Text, _>(name).execute(conn).map(|deleted| deleted > 0)
}
