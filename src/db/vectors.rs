//! Where vectors lie: whether this database can hold any, and the index of each network's.
//!
//! Apart from the questions about vectors because a library without pgvector works too, and must be able to say why it finds nothing by
//! words. The table is no migration: it comes to be at the first start that finds the extension.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Bool, Integer, Nullable, Text},
};

use crate::models::NetworkId;

/// From here on an index is worth its while: below it, comparing with every vector takes some 20 ms.
const WORTH_AN_INDEX: i64 = 50_000;
/// Most numbers of a vector that an index of pgvector holds, at half precision.
const MOST_DIMENSIONS: i32 = 4_000;
/// What building takes for each vector beside its numbers, in bytes: links to its neighbours, and room to search.
const BUILD_BYTES: i64 = 1_100;
/// Neighbours of each vector in the index, and how many are looked at to find them. With pgvector's own 16 and 64 the ten nearest among a
/// million are found to 0.97 at best, whatever a search may take; so to 0.999. It takes about twice as long to build.
const NEIGHBOURS: (u32, u32) = (24, 128);
/// Building within less memory than this takes many times as long.
const LEAST_BUILD_MIB: i64 = 64;

/// The lock of whoever builds an index: any number nobody else uses.
const INDEX_LOCK: i32 = 0x686d_6978;

/// Whether vectors can be kept and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vectors {
    /// They can.
    Ready,
    /// The server has no pgvector.
    Missing,
    /// The server's pgvector knows no half precision: its version.
    TooOld(String),
    /// The server has it, but this database does not: nobody started hm since, or its user may not install extensions.
    Unused,
}

impl Vectors {
    /// Whether they can.
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }

    /// Why they cannot, and after `hint: ` what to do about it; `None` when they can.
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Ready => None,
            Self::Missing => Some(format!("the database server has no extension `vector` (pgvector)\nhint: {INSTALL_HINT}")),
            Self::TooOld(version) => {
                Some(format!("the database server's extension `vector` is version {version}, and 0.7 is needed\nhint: {INSTALL_HINT}"))
            }
            Self::Unused => Some(
                "the extension `vector` is not installed in this database\nhint: start `hm serve` once; if that does not help, let an \
                 administrator of the database run `CREATE EXTENSION vector`"
                    .to_owned(),
            ),
        }
    }
}

/// What to do without the extension.
const INSTALL_HINT: &str =
    "run scripts/install-pgvector.sh on its machine (Debian 13 has postgresql-17-pgvector, Homebrew pgvector), then start hm again";

/// Makes the table of vectors in the schema that the connection sees first, where the server can hold them and it is not there.
///
/// # Errors
/// When the database fails; that it cannot hold vectors is no failure.
pub(super) fn make_table(conn: &mut PgConnection) -> QueryResult<()> {
    install_extension(conn)?;
    conn.batch_execute(include_str!("embeddings.sql"))
}

/// Installs pgvector into this database where the server has it and lets us.
///
/// # Errors
/// When the database fails; that it cannot hold vectors is no failure.
pub(super) fn install_extension(conn: &mut PgConnection) -> QueryResult<()> {
    conn.batch_execute(include_str!("vector_extension.sql"))
}

/// Whether this database can hold vectors.
///
/// # Errors
/// When the database fails.
pub fn find_vectors(conn: &mut PgConnection) -> QueryResult<Vectors> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        has_table: bool,
        #[diesel(sql_type = Nullable<Text>)]
        available: Option<String>,
        #[diesel(sql_type = Nullable<Bool>)]
        is_new_enough: Option<bool>,
    }
    let question = "SELECT to_regclass('embeddings') IS NOT NULL AS has_table, e.default_version AS available, \
        (regexp_match(e.default_version, '^(\\d+)\\.(\\d+)'))::int[] >= ARRAY[0, 7] AS is_new_enough \
        FROM (VALUES ('vector')) AS wanted (name) LEFT JOIN pg_available_extensions AS e ON e.name = wanted.name";
    let row: Row = sql_query(question).get_result(conn)?;
    Ok(match row {
        Row { available: None, .. } => Vectors::Missing,
        Row { has_table: true, .. } => Vectors::Ready,
        Row { available: Some(version), is_new_enough, .. } if is_new_enough != Some(true) => Vectors::TooOld(version),
        Row { .. } => Vectors::Unused,
    })
}

/// How the index of a network's vectors is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexState {
    /// There is none, and too few vectors for one, or too many of them still to come.
    Unneeded,
    /// There is none, and it would be worth its while.
    Wanted,
    /// Somebody builds it now.
    InTheMaking,
    /// Its builder was ended before it was done.
    Broken,
    /// It is there.
    Ready,
}

/// How the index of a network is, of which `lacking` images have yet to get their vectors.
///
/// An index is built when most vectors are there: every one that comes later takes some milliseconds to be put into it.
///
/// # Errors
/// When the database fails; `NotFound` when there is no such network.
pub fn find_index(conn: &mut PgConnection, network: NetworkId, lacking: i64) -> QueryResult<IndexState> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        done: i32,
        #[diesel(sql_type = Nullable<Integer>)]
        dimensions: Option<i32>,
        #[diesel(sql_type = Nullable<Bool>)]
        is_valid: Option<bool>,
        #[diesel(sql_type = Bool)]
        is_made: bool,
    }
    let question = "SELECT n.done_count AS done, n.dimensions, \
        (SELECT x.indisvalid FROM pg_index AS x WHERE x.indexrelid = to_regclass('embeddings_network_' || n.id)) AS is_valid, \
        EXISTS (SELECT FROM pg_stat_progress_create_index AS p WHERE p.datname = current_database() \
            AND p.index_relid = to_regclass('embeddings_network_' || n.id)) AS is_made \
        FROM networks AS n WHERE n.id = $1";
    let row: Row = sql_query(question).bind::<BigInt, _>(network).get_result(conn)?;
    let done = i64::from(row.done);
    Ok(match row.is_valid {
        Some(true) => IndexState::Ready,
        _ if row.is_made => IndexState::InTheMaking,
        Some(false) => IndexState::Broken,
        None if row.dimensions.is_none_or(|dimensions| dimensions > MOST_DIMENSIONS) => IndexState::Unneeded,
        None if done >= WORTH_AN_INDEX && lacking.saturating_mul(5) <= done => IndexState::Wanted,
        None => IndexState::Unneeded,
    })
}

/// Builds the index of a network's vectors while others go on reading and writing them: minutes at a million. Takes up to `most_mib` of the
/// server's memory. Not within a transaction.
///
/// # Errors
/// When the database fails or the building is cancelled: then the index is [`IndexState::Broken`]. `NotFound` when there is no such network
/// or it has no vector yet.
pub fn build_index(conn: &mut PgConnection, network: NetworkId, most_mib: i64) -> QueryResult<()> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        dimensions: i32,
        #[diesel(sql_type = Integer)]
        done: i32,
    }
    let facts = "SELECT dimensions, done_count AS done FROM networks WHERE id = $1 AND dimensions IS NOT NULL";
    let Row { dimensions, done } = sql_query(facts).bind::<BigInt, _>(network).get_result(conn)?;
    let needed_mib = i64::from(done) * (i64::from(dimensions) * 2 + BUILD_BYTES) / (1 << 20);
    let memory_mib = needed_mib.min(most_mib).max(LEAST_BUILD_MIB);
    // Several workers may write past their memory (pgvector 0.6 to 0.8.1, CVE-2026-3172).
    conn.batch_execute("SET max_parallel_maintenance_workers = 0")?;
    conn.batch_execute(&format!("SET maintenance_work_mem = '{memory_mib}MB'"))?;
    let (neighbours, looks) = NEIGHBOURS;
    let built = conn.batch_execute(&format!(
        "CREATE INDEX CONCURRENTLY embeddings_network_{network} ON embeddings \
         USING hnsw ((vector::halfvec({dimensions})) halfvec_cosine_ops) \
         WITH (m = {neighbours}, ef_construction = {looks}) WHERE network_id = {network}"
    ));
    let reset = conn.batch_execute("RESET max_parallel_maintenance_workers; RESET maintenance_work_mem");
    built.and(reset)
}

/// Does something with the index of a network's vectors unless somebody else does now: then `None`.
///
/// # Errors
/// What `work` returned, or the database's own.
pub fn with_index_turn<T>(
    conn: &mut PgConnection,
    network: NetworkId,
    work: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<Option<T>> {
    #[derive(QueryableByName)]
    struct Turn {
        #[diesel(sql_type = Bool)]
        is_ours: bool,
    }
    let lock = |function: &str| format!("SELECT {function}({INDEX_LOCK}, {}) AS is_ours", network.0 as i32);
    let turn: Turn = sql_query(lock("pg_try_advisory_lock")).get_result(conn)?;
    if !turn.is_ours {
        return Ok(None);
    }
    let done = work(conn);
    let unlocked = sql_query(lock("pg_advisory_unlock")).execute(conn);
    let done = done?;
    unlocked.map(|_| Some(done))
}

/// Removes the index of a network's vectors, whole or broken.
///
/// # Errors
/// When the database fails.
pub fn drop_index(conn: &mut PgConnection, network: NetworkId) -> QueryResult<()> {
    conn.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS embeddings_network_{network}"))
}

/// The number by which the server knows a connection.
///
/// # Errors
/// When the database fails.
pub fn backend_of(conn: &mut PgConnection) -> QueryResult<i32> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        pid: i32,
    }
    sql_query("SELECT pg_backend_pid() AS pid").get_result(conn).map(|row: Row| row.pid)
}

/// Stops what another connection of the same user is doing.
///
/// # Errors
/// When the database fails.
pub fn cancel_backend(conn: &mut PgConnection, pid: i32) -> QueryResult<()> {
    sql_query("SELECT pg_cancel_backend($1)").bind::<Integer, _>(pid).execute(conn).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_says_what_to_do() {
        assert_eq!(Vectors::Ready.problem(), None);
        for vectors in [Vectors::Missing, Vectors::TooOld("0.6.0".to_owned()), Vectors::Unused] {
            let problem = vectors.problem().unwrap();
            assert!(problem.contains("\nhint: ") && !vectors.is_ready(), "{problem}");
        }
    }
}
