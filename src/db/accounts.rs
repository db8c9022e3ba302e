//! Accounts, the browsers and programs that act for them, and the log of who did what to them.

mod audit;
mod sessions;
mod tokens;

use chrono::{DateTime, Utc};
use diesel::{
    Connection, OptionalExtension, PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    result::{DatabaseErrorKind, Error},
    sql_query,
    sql_types::{BigInt, Binary, Bool, Nullable, Text, Timestamptz},
};

pub use self::{
    audit::{Action, AuditLine, Failures, count_failures, insert_audit, list_audit},
    sessions::{SESSION_DAYS, Session, delete_session, delete_session_of_secret, find_session, insert_session, list_sessions},
    tokens::{ApiToken, delete_token, find_token, insert_token, list_tokens},
};
use super::columns::PlainText;
use crate::models::{
    AccountId,
    account::{PasswordKept, Role, SecretHash},
};

/// How exact the time of last use is, in minutes.
const SEEN_EVERY_MINUTES: i32 = 5;
/// Two processes that change accounts take turns: any number nobody else uses.
const ACCOUNTS_LOCK: i64 = 0x686d_6163_6374;

/// A person who may sign in.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Account {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub id: AccountId,
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// What it may do.
    #[diesel(sql_type = Text)]
    pub role: Role,
    /// Since when it is there.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// When one of its browsers was last used, to a few minutes.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub seen_at: Option<DateTime<Utc>>,
}

const ACCOUNT: &str = "SELECT a.id, a.name, a.role, a.created_at, (SELECT max(s.seen_at) FROM sessions AS s WHERE s.account_id = a.id) AS seen_at \
    FROM accounts AS a";

/// Whether there is any account.
///
/// # Errors
/// When the database fails.
pub fn has_accounts(conn: &mut PgConnection) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    sql_query("SELECT EXISTS (SELECT FROM accounts) AS found").get_result::<Row>(conn).map(|row| row.found)
}

/// Lists all by name.
///
/// # Errors
/// When the database fails.
pub fn list_accounts(conn: &mut PgConnection) -> QueryResult<Vec<Account>> {
    sql_query(format!("{ACCOUNT} ORDER BY fold(a.name)")).load(conn)
}

/// Finds an account.
///
/// # Errors
/// `NotFound` when there is no such account, or when the database fails.
pub fn find_account(conn: &mut PgConnection, id: AccountId) -> QueryResult<Account> {
    sql_query(format!("{ACCOUNT} WHERE a.id = $1")).bind::<BigInt, _>(id).get_result(conn)
}

/// Finds an account by its name, in whatever case and accents.
///
/// # Errors
/// When the database fails.
pub fn find_account_by_name(conn: &mut PgConnection, name: &str) -> QueryResult<Option<Account>> {
    sql_query(format!("{ACCOUNT} WHERE fold(a.name) = fold($1)")).bind::<Text, _>(PlainText::from(name)).get_result(conn).optional()
}

/// What is kept of an account's password.
///
/// # Errors
/// `NotFound` when there is no such account, or when the database fails.
pub fn find_password(conn: &mut PgConnection, id: AccountId) -> QueryResult<PasswordKept> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        password_hash: String,
    }
    let row: Row = sql_query("SELECT password_hash FROM accounts WHERE id = $1").bind::<BigInt, _>(id).get_result(conn)?;
    Ok(PasswordKept::stored(row.password_hash))
}

/// Why an account was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountRefusal {
    /// Another has that name.
    #[error("another account has this name")]
    NameTaken,
    /// Nobody could manage accounts any more.
    #[error("this is the only owner: make another account an owner first")]
    LastOwner,
    /// The first account owns the library.
    #[error("the first account has to be an owner")]
    FirstIsNoOwner,
    /// There are accounts already: only an owner adds more.
    #[error("there is an owner already, who can add accounts")]
    NotFirst,
}

/// Adds an account. The first has to be an owner; `only_first` refuses any other.
///
/// # Errors
/// When the database fails.
pub fn insert_account(
    conn: &mut PgConnection,
    name: &str,
    role: Role,
    password: &PasswordKept,
    only_first: bool,
) -> QueryResult<Result<Account, AccountRefusal>> {
    in_turn(conn, |conn| {
        match (has_accounts(conn)?, only_first) {
            (true, true) => return Ok(Err(AccountRefusal::NotFirst)),
            (false, _) if role != Role::Owner => return Ok(Err(AccountRefusal::FirstIsNoOwner)),
            _ => {}
        }
        // A refused row ends its transaction: a small one of its own.
        let inserted = conn.transaction(|conn| {
            sql_query(
                "INSERT INTO accounts (name, role, password_hash) VALUES ($1, $2, $3) \
                 RETURNING id, name, role, created_at, NULL::timestamptz AS seen_at",
            )
            .bind::<Text, _>(name)
            .bind::<Text, _>(role.word())
            .bind::<Text, _>(password.as_str())
            .get_result(conn)
        });
        match inserted {
            Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(Err(AccountRefusal::NameTaken)),
            inserted => inserted.map(Ok),
        }
    })
}

/// Gives an account another role.
///
/// # Errors
/// `NotFound` when there is no such account, or when the database fails.
pub fn set_role(conn: &mut PgConnection, id: AccountId, role: Role) -> QueryResult<Result<(), AccountRefusal>> {
    in_turn(conn, |conn| {
        if role != Role::Owner && is_last_owner(conn, id)? {
            return Ok(Err(AccountRefusal::LastOwner));
        }
        let changed =
            sql_query("UPDATE accounts SET role = $2 WHERE id = $1").bind::<BigInt, _>(id).bind::<Text, _>(role.word()).execute(conn)?;
        one(changed).map(Ok)
    })
}

/// Gives an account another password, which ends all its sessions but `keep`. Tokens stay: they have their own secrets.
///
/// # Errors
/// `NotFound` when there is no such account, or when the database fails.
pub fn set_password(conn: &mut PgConnection, id: AccountId, password: &PasswordKept, keep: Option<&SecretHash>) -> QueryResult<()> {
    conn.transaction(|conn| {
        let changed = sql_query("UPDATE accounts SET password_hash = $2 WHERE id = $1")
            .bind::<BigInt, _>(id)
            .bind::<Text, _>(password.as_str())
            .execute(conn)?;
        one(changed)?;
        sql_query("DELETE FROM sessions WHERE account_id = $1 AND secret_hash IS DISTINCT FROM $2")
            .bind::<BigInt, _>(id)
            .bind::<Nullable<Binary>, _>(keep.map(SecretHash::as_slice))
            .execute(conn)?;
        Ok(())
    })
}

/// Removes an account with its sessions and tokens. What it did stays in the history, under its name.
///
/// # Errors
/// `NotFound` when there is no such account, or when the database fails.
pub fn delete_account(conn: &mut PgConnection, id: AccountId) -> QueryResult<Result<(), AccountRefusal>> {
    in_turn(conn, |conn| {
        if is_last_owner(conn, id)? {
            return Ok(Err(AccountRefusal::LastOwner));
        }
        one(sql_query("DELETE FROM accounts WHERE id = $1").bind::<BigInt, _>(id).execute(conn)?).map(Ok)
    })
}

/// So that two owners who remove each other at once do not both succeed, nor two first owners.
fn in_turn<T>(conn: &mut PgConnection, work: impl FnOnce(&mut PgConnection) -> QueryResult<T>) -> QueryResult<T> {
    conn.transaction(|conn| {
        sql_query("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(ACCOUNTS_LOCK).execute(conn)?;
        work(conn)
    })
}

fn is_last_owner(conn: &mut PgConnection, id: AccountId) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        last: bool,
    }
    let question = "SELECT coalesce(array_agg(id) = ARRAY[$1], false) AS last FROM accounts WHERE role = 'owner'";
    sql_query(question).bind::<BigInt, _>(id).get_result::<Row>(conn).map(|row| row.last)
}

fn one(changed: usize) -> QueryResult<()> {
    if changed == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Who a secret stands for, and what they may do with it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Bearer {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account: AccountId,
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// The role of the account.
    #[diesel(sql_type = Text)]
    pub role: Role,
    /// The most that the secret is for: the role itself for a session.
    #[diesel(sql_type = Text)]
    pub scope: Role,
}
