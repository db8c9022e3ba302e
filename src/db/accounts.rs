//! Accounts, the browsers and programs that act for them, and the log of who did what to them.

use chrono::{DateTime, Utc};
use diesel::{
    Connection, OptionalExtension, PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    result::{DatabaseErrorKind, Error},
    sql_query,
    sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text, Timestamptz},
};

use super::columns::PlainText;
use crate::models::{
    AccountId, BatchId, SessionId, TokenId,
    account::{LOCK_MINUTES, PasswordKept, Role, SecretHash},
};

/// How long a browser stays signed in without being used, in days.
pub const SESSION_DAYS: i32 = 30;
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

/// What the audit log knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Somebody signed in.
    SignIn,
    /// Somebody tried.
    SignInFailed,
    /// Somebody signed out.
    SignOut,
    /// Somebody ended a session of theirs elsewhere.
    SessionEnded,
    /// An account was added.
    AccountAdded,
    /// An account was removed.
    AccountRemoved,
    /// An account got another role.
    RoleChanged,
    /// An account got another password.
    PasswordChanged,
    /// A token was added.
    TokenAdded,
    /// A token was revoked.
    TokenRevoked,
}

impl Action {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::SignInFailed => "sign-in-failed",
            Self::SignOut => "sign-out",
            Self::SessionEnded => "session-ended",
            Self::AccountAdded => "account-added",
            Self::AccountRemoved => "account-removed",
            Self::RoleChanged => "role-changed",
            Self::PasswordChanged => "password-changed",
            Self::TokenAdded => "token-added",
            Self::TokenRevoked => "token-revoked",
        }
    }
}

/// Writes a line of the audit log.
///
/// # Errors
/// When the database fails.
pub fn insert_audit(conn: &mut PgConnection, actor: &str, action: Action, detail: &str, address: &str) -> QueryResult<()> {
    sql_query("INSERT INTO audit (actor, action, detail, address) VALUES (left($1, 100), $2, left($3, 500), left($4, 100))")
        .bind::<Text, _>(PlainText::from(actor))
        .bind::<Text, _>(action.word())
        .bind::<Text, _>(PlainText::from(detail))
        .bind::<Text, _>(PlainText::from(address))
        .execute(conn)
        .map(|_| ())
}

/// Failures to sign in during the last minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Failures {
    /// With this name from this address, since the last success of both.
    #[diesel(sql_type = BigInt)]
    pub of_both: i64,
    /// With this name, from anywhere.
    #[diesel(sql_type = BigInt)]
    pub of_name: i64,
    /// From this address, with any name.
    #[diesel(sql_type = BigInt)]
    pub of_address: i64,
}

/// Counts the failures of the last [`LOCK_MINUTES`].
///
/// # Errors
/// When the database fails.
pub fn count_failures(conn: &mut PgConnection, name: &str, address: &str) -> QueryResult<Failures> {
    sql_query(
        "WITH recent AS (SELECT at, fold(actor) = fold(left($1, 100)) AS by_name, address = left($2, 100) AS from_here FROM audit \
             WHERE action = 'sign-in-failed' AND at > now() - make_interval(mins => $3)), \
         good AS (SELECT coalesce(max(at), '-infinity') AS at FROM audit WHERE action = 'sign-in' AND fold(actor) = fold(left($1, 100)) \
             AND address = left($2, 100) AND at > now() - make_interval(mins => $3)) \
         SELECT count(*) FILTER (WHERE by_name AND from_here AND recent.at > good.at) AS of_both, count(*) FILTER (WHERE by_name) AS of_name, \
             count(*) FILTER (WHERE from_here) AS of_address FROM recent, good",
    )
    .bind::<Text, _>(PlainText::from(name))
    .bind::<Text, _>(PlainText::from(address))
    .bind::<Integer, _>(LOCK_MINUTES)
    .get_result(conn)
}

/// One line of the audit log: of accounts, or an action on images.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct AuditLine {
    /// When.
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    /// Who.
    #[diesel(sql_type = Text)]
    pub actor: String,
    /// What: a word of [`Action`], `edit` or `edit-undone`.
    #[diesel(sql_type = Text)]
    pub action: String,
    /// To what.
    #[diesel(sql_type = Text)]
    pub detail: String,
    /// Where the request came from; empty where it is not known.
    #[diesel(sql_type = Text)]
    pub address: String,
    /// The action on images, to undo it.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub batch: Option<BatchId>,
}

/// Lists what happened before `before`, the newest first, up to `limit` lines: accounts and edits together.
///
/// # Errors
/// When the database fails.
pub fn list_audit(conn: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> QueryResult<Vec<AuditLine>> {
    // Batches have rising numbers: the newest are found from the end of their index, each with its first row.
    sql_query(
        "WITH RECURSIVE batches AS ( \
             (SELECT batch_id, 1 AS n FROM edits WHERE made_at < $1 ORDER BY batch_id DESC LIMIT 1) \
             UNION ALL \
             SELECT (SELECT e.batch_id FROM edits AS e WHERE e.batch_id < b.batch_id ORDER BY e.batch_id DESC LIMIT 1), b.n + 1 \
             FROM batches AS b WHERE b.batch_id IS NOT NULL AND b.n < $2 \
         ), \
         edited AS ( \
             SELECT b.batch_id, min(e.made_at) AS at, min(e.author) AS author, count(DISTINCT e.image_id) AS images, \
                 string_agg(DISTINCT replace(e.field, '_', ' '), ', ') AS fields, max(e.undone_at) AS undone_at, min(e.undone_by) AS undone_by \
             FROM batches AS b JOIN edits AS e USING (batch_id) GROUP BY b.batch_id \
         ) \
         SELECT * FROM ( \
             SELECT at, actor, action, detail, address, NULL::bigint AS batch FROM audit WHERE at < $1 \
             UNION ALL \
             SELECT at, author, 'edit', fields || ' of ' || images || CASE images WHEN 1 THEN ' photo' ELSE ' photos' END, '', batch_id FROM edited \
             UNION ALL \
             SELECT undone_at, undone_by, 'edit-undone', fields || ' of ' || images || CASE images WHEN 1 THEN ' photo' ELSE ' photos' END, '', batch_id \
             FROM edited WHERE undone_at IS NOT NULL \
         ) AS lines WHERE at < $1 ORDER BY at DESC LIMIT $2",
    )
    .bind::<Timestamptz, _>(before)
    .bind::<BigInt, _>(limit)
    .load(conn)
}
