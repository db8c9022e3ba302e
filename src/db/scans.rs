//! Runs of the scanner: what a person sees of them while they run and afterwards.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};

use super::{quick_transaction, schema::scans};
use crate::models::{ScanId, VaultId};

/// A running scan that has not beaten for this long has died.
const DEAD_AFTER_S: i64 = 60;

/// One run.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = scans)]
pub struct ScanRow {
    /// Its id.
    pub id: ScanId,
    /// Where it runs.
    pub host: String,
    /// Paths it was given.
    pub paths: Vec<Option<String>>,
    /// `running`, `done`, `problems`, `offline`, `interrupted`, `failed`.
    pub state: String,
    /// Counters as in `hm::scan::Summary`.
    pub progress: serde_json::Value,
    /// What a person should know.
    pub message: Option<String>,
    /// Start.
    pub started_at: DateTime<Utc>,
    /// Last beat.
    pub updated_at: DateTime<Utc>,
    /// End.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Opens a run, and closes those whose process died without a word.
///
/// # Errors
/// Only the database's own.
pub fn start_scan(conn: &mut PgConnection, host: &str, paths: &[String]) -> QueryResult<ScanId> {
    let dead = Utc::now() - chrono::TimeDelta::seconds(DEAD_AFTER_S);
    let process = i32::try_from(std::process::id()).unwrap_or(0);
    quick_transaction(conn, |conn| {
        diesel::update(scans::table.filter(scans::state.eq("running")).filter(scans::updated_at.lt(dead)))
            .set((
                scans::state.eq("interrupted"),
                scans::finished_at.eq(scans::updated_at.nullable()),
                scans::message.eq("ended without a word"),
            ))
            .execute(conn)?;
        diesel::insert_into(scans::table)
            .values((scans::host.eq(host), scans::process_id.eq(process), scans::paths.eq(paths)))
            .returning(scans::id)
            .get_result(conn)
    })
}

/// Beats: says that the run lives and how far it is.
///
/// # Errors
/// Only the database's own.
pub fn record_scan_progress(conn: &mut PgConnection, id: ScanId, progress: &serde_json::Value) -> QueryResult<()> {
    diesel::update(scans::table.filter(scans::id.eq(id)))
        .set((scans::progress.eq(progress), scans::updated_at.eq(now)))
        .execute(conn)
        .map(|_| ())
}

/// Closes a run.
///
/// # Errors
/// Only the database's own.
pub fn finish_scan(
    conn: &mut PgConnection,
    id: ScanId,
    state: &str,
    progress: &serde_json::Value,
    message: Option<&str>,
) -> QueryResult<()> {
    diesel::update(scans::table.filter(scans::id.eq(id)))
        .set((
            scans::state.eq(state),
            scans::progress.eq(progress),
            scans::message.eq(message),
            scans::updated_at.eq(now),
            scans::finished_at.eq(now),
        ))
        .execute(conn)
        .map(|_| ())
}

/// The latest runs, newest first.
///
/// # Errors
/// Only the database's own.
pub fn list_scans(conn: &mut PgConnection, limit: i64) -> QueryResult<Vec<ScanRow>> {
    scans::table.order(scans::started_at.desc()).limit(limit).select(ScanRow::as_select()).load(conn)
}

/// Any number nobody else uses as the first half of an advisory lock.
const SCAN_LOCK: i32 = 0x686d_7363;

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    locked: bool,
}

/// Takes the right to scan a vault for this connection's session; `false` when another scan has it.
///
/// # Errors
/// Only the database's own.
pub fn try_lock_vault(conn: &mut PgConnection, id: VaultId) -> QueryResult<bool> {
    lock_function(conn, "SELECT pg_try_advisory_lock($1, $2) AS locked", id)
}

/// Gives the right back; `false` when this session did not have it.
///
/// # Errors
/// Only the database's own.
pub fn unlock_vault(conn: &mut PgConnection, id: VaultId) -> QueryResult<bool> {
    lock_function(conn, "SELECT pg_advisory_unlock($1, $2) AS locked", id)
}

fn lock_function(conn: &mut PgConnection, sql: &str, id: VaultId) -> QueryResult<bool> {
    let vault = i32::try_from(id.0).unwrap_or(i32::MAX);
    let row: Locked = diesel::sql_query(sql)
        .bind::<diesel::sql_types::Integer, _>(SCAN_LOCK)
        .bind::<diesel::sql_types::Integer, _>(vault)
        .get_result(conn)?;
    Ok(row.locked)
}
