//! Programs that act for an account by a token.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Binary, Integer, Nullable, Text, Timestamptz},
};

use super::{Bearer, SEEN_EVERY_MINUTES, one};
use crate::models::{
    AccountId, TokenId,
    account::{Role, SecretHash},
};

/// Finds whose token this is, unless it ran out, and notes that it is used.
///
/// # Errors
/// When the database fails.
pub fn find_token(conn: &mut PgConnection, secret: &SecretHash) -> QueryResult<Option<Bearer>> {
    let found = sql_query(
        "SELECT a.id AS account, a.name, a.role, t.scope FROM api_tokens AS t JOIN accounts AS a ON a.id = t.account_id \
         WHERE t.secret_hash = $1 AND (t.expires_at IS NULL OR t.expires_at > now())",
    )
    .bind::<Binary, _>(secret.as_slice())
    .get_result(conn)
    .optional()?;
    if found.is_some() {
        sql_query(
            "UPDATE api_tokens SET used_at = now() WHERE secret_hash = $1 AND (used_at IS NULL OR used_at < now() - make_interval(mins => $2))",
        )
        .bind::<Binary, _>(secret.as_slice())
        .bind::<Integer, _>(SEEN_EVERY_MINUTES)
        .execute(conn)?;
    }
    Ok(found)
}

/// A program that acts for an account.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ApiToken {
    /// The token.
    #[diesel(sql_type = BigInt)]
    pub id: TokenId,
    /// What it is for.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// The most it may do.
    #[diesel(sql_type = Text)]
    pub scope: Role,
    /// Since when it is there.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// When it runs out; `None`: never.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to a few minutes.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub used_at: Option<DateTime<Utc>>,
}

/// Adds a token that runs out after `days`, or never.
///
/// # Errors
/// When the database fails.
pub fn insert_token(
    conn: &mut PgConnection,
    account: AccountId,
    secret: &SecretHash,
    name: &str,
    scope: Role,
    days: Option<i32>,
) -> QueryResult<()> {
    sql_query(
        "INSERT INTO api_tokens (secret_hash, account_id, name, scope, expires_at) \
         VALUES ($1, $2, $3, $4, now() + make_interval(days => $5))",
    )
    .bind::<Binary, _>(secret.as_slice())
    .bind::<BigInt, _>(account)
    .bind::<Text, _>(name)
    .bind::<Text, _>(scope.word())
    .bind::<Nullable<Integer>, _>(days)
    .execute(conn)
    .map(|_| ())
}

/// Lists the tokens of an account, the newest first; ones that ran out are among them.
///
/// # Errors
/// When the database fails.
pub fn list_tokens(conn: &mut PgConnection, account: AccountId) -> QueryResult<Vec<ApiToken>> {
    sql_query("SELECT id, name, scope, created_at, expires_at, used_at FROM api_tokens WHERE account_id = $1 ORDER BY id DESC")
        .bind::<BigInt, _>(account)
        .load(conn)
}

/// Revokes a token of an account.
///
/// # Errors
/// `NotFound` when the account has no such token, or when the database fails.
pub fn delete_token(conn: &mut PgConnection, account: AccountId, id: TokenId) -> QueryResult<()> {
    one(sql_query("DELETE FROM api_tokens WHERE id = $1 AND account_id = $2")
        .bind::<BigInt, _>(id)
        .bind::<BigInt, _>(account)
        .execute(conn)?)
}
