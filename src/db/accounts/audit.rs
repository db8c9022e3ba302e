//! The log of who signed in, failed to, and changed accounts; it counts the failures that lock a name out.

use chrono::{DateTime, Utc};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Integer, Nullable, Text, Timestamptz},
};

use crate::{
    db::columns::PlainText,
    models::{BatchId, account::LOCK_MINUTES},
};

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
    /// A machine was invited to run networks.
    WorkerInvited,
    /// It may no more.
    WorkerRevoked,
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
            Self::WorkerInvited => "worker-invited",
            Self::WorkerRevoked => "worker-revoked",
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
