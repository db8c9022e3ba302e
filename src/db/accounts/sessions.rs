//! Browsers that are signed in.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text, Timestamptz},
};

use super::{Bearer, SEEN_EVERY_MINUTES, one};
use crate::{
    db::columns::PlainText,
    models::{AccountId, SessionId, account::SecretHash},
};

/// How long a browser stays signed in without being used, in days.
pub const SESSION_DAYS: i32 = 30;

/// Opens a session; ones that ended long ago are forgotten.
///
/// # Errors
/// When the database fails.
pub fn insert_session(conn: &mut PgConnection, account: AccountId, secret: &SecretHash, agent: &str, address: &str) -> QueryResult<()> {
    sql_query("DELETE FROM sessions WHERE seen_at < now() - make_interval(days => $1)").bind::<Integer, _>(SESSION_DAYS).execute(conn)?;
    sql_query("INSERT INTO sessions (secret_hash, account_id, agent, address) VALUES ($1, $2, $3, $4)")
        .bind::<Binary, _>(secret.as_slice())
        .bind::<BigInt, _>(account)
        .bind::<Text, _>(PlainText::from(agent))
        .bind::<Text, _>(address)
        .execute(conn)?;
    Ok(())
}

/// Finds whose session this is, unless it ended, and notes that it is used.
///
/// # Errors
/// When the database fails.
pub fn find_session(conn: &mut PgConnection, secret: &SecretHash) -> QueryResult<Option<Bearer>> {
    let found = sql_query(
        "SELECT a.id AS account, a.name, a.role, a.role AS scope FROM sessions AS s JOIN accounts AS a ON a.id = s.account_id \
         WHERE s.secret_hash = $1 AND s.seen_at >= now() - make_interval(days => $2)",
    )
    .bind::<Binary, _>(secret.as_slice())
    .bind::<Integer, _>(SESSION_DAYS)
    .get_result(conn)
    .optional()?;
    if found.is_some() {
        sql_query("UPDATE sessions SET seen_at = now() WHERE secret_hash = $1 AND seen_at < now() - make_interval(mins => $2)")
            .bind::<Binary, _>(secret.as_slice())
            .bind::<Integer, _>(SEEN_EVERY_MINUTES)
            .execute(conn)?;
    }
    Ok(found)
}

/// Ends a session by its secret; one that is gone already is no error.
///
/// # Errors
/// When the database fails.
pub fn delete_session_of_secret(conn: &mut PgConnection, secret: &SecretHash) -> QueryResult<()> {
    sql_query("DELETE FROM sessions WHERE secret_hash = $1").bind::<Binary, _>(secret.as_slice()).execute(conn).map(|_| ())
}

/// Ends a session of an account.
///
/// # Errors
/// `NotFound` when the account has no such session, or when the database fails.
pub fn delete_session(conn: &mut PgConnection, account: AccountId, id: SessionId) -> QueryResult<()> {
    one(sql_query("DELETE FROM sessions WHERE id = $1 AND account_id = $2")
        .bind::<BigInt, _>(id)
        .bind::<BigInt, _>(account)
        .execute(conn)?)
}

/// A browser that is signed in.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Session {
    /// The session.
    #[diesel(sql_type = BigInt)]
    pub id: SessionId,
    /// What the browser calls itself.
    #[diesel(sql_type = Text)]
    pub agent: String,
    /// Where it signed in from.
    #[diesel(sql_type = Text)]
    pub address: String,
    /// When it signed in.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// When it was last used, to a few minutes.
    #[diesel(sql_type = Timestamptz)]
    pub seen_at: DateTime<Utc>,
    /// Whether it is the one that asks.
    #[diesel(sql_type = Bool)]
    pub is_this: bool,
}

/// Lists the browsers that are signed in for an account, the last used first.
///
/// # Errors
/// When the database fails.
pub fn list_sessions(conn: &mut PgConnection, account: AccountId, this: Option<&SecretHash>) -> QueryResult<Vec<Session>> {
    sql_query(
        "SELECT id, agent, address, created_at, seen_at, coalesce(secret_hash = $2, false) AS is_this FROM sessions \
         WHERE account_id = $1 AND seen_at >= now() - make_interval(days => $3) ORDER BY seen_at DESC, id DESC",
    )
    .bind::<BigInt, _>(account)
    .bind::<Nullable<Binary>, _>(this.map(SecretHash::as_slice))
    .bind::<Integer, _>(SESSION_DAYS)
    .load(conn)
}
