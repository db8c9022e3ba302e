//! How the library is: vaults, scans, and counts for those who watch over it.

use chrono::{DateTime, Utc};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz},
};
use serde_json::Value;

use crate::models::{ScanId, VaultId};

/// A vault as it is now.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct VaultStatus {
    /// The vault.
    #[diesel(sql_type = BigInt)]
    pub id: VaultId,
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Since when it cannot be read; `None` while it can.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub offline_since: Option<DateTime<Utc>>,
    /// Why it cannot be read.
    #[diesel(sql_type = Nullable<Text>)]
    pub offline_reason: Option<String>,
    /// Whether this host has a place for it.
    #[diesel(sql_type = Bool)]
    pub is_mounted_here: bool,
    /// Its folders.
    #[diesel(sql_type = BigInt)]
    pub folder_count: i64,
}

/// Lists the vaults by name.
///
/// # Errors
/// When the database fails.
pub fn list_vaults(conn: &mut PgConnection, host: &str) -> QueryResult<Vec<VaultStatus>> {
    sql_query(
        "SELECT v.id, v.name, v.offline_since, v.offline_reason, \
         EXISTS (SELECT FROM vault_mounts AS m WHERE m.vault_id = v.id AND m.host = $1) AS is_mounted_here, \
         (SELECT count(*) FROM folders AS f WHERE f.vault_id = v.id) AS folder_count \
         FROM vaults AS v ORDER BY v.name",
    )
    .bind::<Text, _>(host)
    .load(conn)
}

/// One run of the scanner.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct ScanStatus {
    /// The scan.
    #[diesel(sql_type = BigInt)]
    pub id: ScanId,
    /// The machine it runs on.
    #[diesel(sql_type = Text)]
    pub host: String,
    /// What it scans.
    #[diesel(sql_type = Array<Text>)]
    pub paths: Vec<String>,
    /// `running`, `done`, `problems`, `offline`, `interrupted` or `failed`.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// Counters as the scanner writes them.
    #[diesel(sql_type = Jsonb)]
    pub progress: Value,
    /// What it has to say.
    #[diesel(sql_type = Nullable<Text>)]
    pub message: Option<String>,
    /// When it began.
    #[diesel(sql_type = Timestamptz)]
    pub started_at: DateTime<Utc>,
    /// Its last sign of life.
    #[diesel(sql_type = Timestamptz)]
    pub updated_at: DateTime<Utc>,
    /// When it ended.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub finished_at: Option<DateTime<Utc>>,
    /// Whether it calls itself running and gave a sign of life within the last half minute.
    #[diesel(sql_type = Bool)]
    pub is_alive: bool,
}

impl ScanStatus {
    /// A counter of its progress; 0 when the scanner has not written it.
    pub fn counter(&self, name: &str) -> u64 {
        self.progress
            .get(name)
            .and_then(|value| value.as_u64().or_else(|| value.as_f64().map(|number| number.max(0.0) as u64)))
            .unwrap_or(0)
    }

    /// A measure of its progress, such as `rate_per_s`.
    pub fn measure(&self, name: &str) -> Option<f64> {
        self.progress.get(name).and_then(Value::as_f64)
    }
}

/// Lists up to `limit` scans, newest first.
///
/// # Errors
/// When the database fails.
pub fn list_scans(conn: &mut PgConnection, limit: i64) -> QueryResult<Vec<ScanStatus>> {
    sql_query(
        "SELECT id, host, paths, state, progress, message, started_at, updated_at, finished_at, \
         state = 'running' AND updated_at > now() - interval '30 seconds' AS is_alive \
         FROM scans ORDER BY started_at DESC, id DESC LIMIT $1",
    )
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// How many there are of everything.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Counts {
    /// Images.
    #[diesel(sql_type = BigInt)]
    pub images: i64,
    /// Files.
    #[diesel(sql_type = BigInt)]
    pub files: i64,
    /// Files gone from a healthy vault.
    #[diesel(sql_type = BigInt)]
    pub files_missing: i64,
    /// Files that could not be read, whole or in part.
    #[diesel(sql_type = BigInt)]
    pub files_broken: i64,
    /// Images whose pictures are still to be made.
    #[diesel(sql_type = BigInt)]
    pub pictures_lacking: i64,
    /// Images of which no picture could be made.
    #[diesel(sql_type = BigInt)]
    pub pictures_failed: i64,
    /// Scans that run.
    #[diesel(sql_type = BigInt)]
    pub scans_running: i64,
    /// Vaults that cannot be read.
    #[diesel(sql_type = BigInt)]
    pub vaults_offline: i64,
}

/// Counts everything. Reads all images once: about a second at a million, so keep the answer for a while.
///
/// # Errors
/// When the database fails.
pub fn counts(conn: &mut PgConnection) -> QueryResult<Counts> {
    sql_query(include_str!("counts.sql")).get_result(conn)
}

/// Asks the database for nothing: whether it answers.
///
/// # Errors
/// When it does not.
pub fn ping(conn: &mut PgConnection) -> QueryResult<()> {
    sql_query("SELECT 1").execute(conn).map(|_| ())
}
