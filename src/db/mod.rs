//! The truth: PostgreSQL through Diesel, one file per area of questions.
//!
//! Queries are plain functions over `&mut PgConnection`; the scanner calls them directly, the web through [`Db::run`].
//! May import models and config.

pub mod accounts;
pub mod alike;
pub mod backups;
mod columns;
pub mod duplicates;
pub mod edits;
pub mod export;
pub mod facets;
pub mod folders;
pub mod gallery;
pub mod grouping;
pub mod health;
pub mod image;
pub mod ingest;
pub mod known;
pub mod library;
pub mod map;
pub mod nearest;
pub mod networks;
pub mod pictures;
pub mod places;
mod query;
pub mod ranked;
pub mod regions;
pub mod results;
pub mod scans;
#[expect(unreachable_pub, reason = "printed by `diesel print-schema`")]
mod schema;
pub mod searches;
pub mod sidecars;
mod sql;
pub mod status;
pub mod suggest;
pub mod timeline;
pub mod vaults;
pub mod vectors;
pub mod workers;

pub use diesel::{PgConnection, result::Error as QueryError};

use std::time::Duration;

use diesel::{
    Connection,
    connection::SimpleConnection,
    r2d2::{ConnectionManager, Pool, PooledConnection},
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

/// Every change of the schema, built into the program.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The lock that lets one process migrate while the others wait: any number nobody else uses.
const MIGRATION_LOCK: i64 = 0x686d_6d69_6772;

/// The database could not be reached or brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection.
    #[error("cannot connect to the database: {0}")]
    Connect(String),
    /// A migration failed; the database is as it was before it.
    #[error("cannot bring the database up to date: {0}")]
    Migrate(String),
    /// The question itself failed.
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
    /// The thread that asked was stopped.
    #[error("the query was given up")]
    GivenUp,
}

impl DbError {
    /// Whether the question was fine and there is no such row.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Query(diesel::result::Error::NotFound))
    }
}

/// A connection lent by the pool.
pub type PooledPg = PooledConnection<ConnectionManager<PgConnection>>;

/// The pool, cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: Pool<ConnectionManager<PgConnection>>,
}

impl Db {
    /// Connects with `size` connections at most.
    ///
    /// # Errors
    /// [`DbError::Connect`] when the server does not answer within ten seconds.
    pub fn connect(url: &str, size: u32) -> Result<Self, DbError> {
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            // One short question a page, so that a database that was restarted is found again.
            .test_on_check_out(true)
            .connection_timeout(Duration::from_secs(10))
            .build(ConnectionManager::new(url))
            .map_err(|error| DbError::Connect(error.to_string()))?;
        Ok(Self { pool })
    }

    /// Lends a connection; for threads that may block.
    ///
    /// # Errors
    /// [`DbError::Connect`] when none is free within ten seconds or the server is gone.
    pub fn get(&self) -> Result<PooledPg, DbError> {
        self.pool.get().map_err(|error| DbError::Connect(error.to_string()))
    }

    /// Whether the database answers within `patience`, waiting for a free connection included; other questions wait as long as ever.
    ///
    /// # Errors
    /// [`DbError::Connect`] when it does not, [`DbError::Query`] when it answers with an error.
    pub async fn ping(&self, patience: Duration) -> Result<(), DbError> {
        let pool = self.pool.clone();
        let answer = tokio::task::spawn_blocking(move || {
            // The pool gives up first: it knows why.
            let mut conn = pool.get_timeout(patience * 4 / 5).map_err(|error| DbError::Connect(error.to_string()))?;
            status::ping(&mut conn).map_err(DbError::from)
        });
        // A server that takes connections and says nothing keeps the thread, not whoever asks.
        let silent = || DbError::Connect(format!("no answer within {patience:?}"));
        tokio::time::timeout(patience, answer).await.map_err(|_| silent())?.map_err(|_| DbError::GivenUp)?
    }

    /// Runs a blocking question on a thread made for it: the only bridge between async and blocking.
    ///
    /// # Errors
    /// What `question` returned, or [`DbError::Connect`].
    pub async fn run<T, E, F>(&self, question: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        E: Send + 'static,
        DbError: From<E>,
        F: FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    {
        let db = self.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let mut conn = db.get()?;
            question(&mut conn).map_err(DbError::from)
        });
        answer.await.map_err(|_| DbError::GivenUp)?
    }
}

/// Brings the schema up to date, and makes the table of vectors where the server can hold them; processes that start together take turns.
///
/// # Errors
/// [`DbError::Migrate`] names the migration that failed.
pub fn migrate(url: &str) -> Result<(), DbError> {
    use diesel::RunQueryDsl;
    let mut conn = PgConnection::establish(url).map_err(|error| DbError::Connect(error.to_string()))?;
    diesel::sql_query(format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")).execute(&mut conn)?;
    let migrated = bring_up_to_date(&mut conn);
    diesel::sql_query(format!("SELECT pg_advisory_unlock({MIGRATION_LOCK})")).execute(&mut conn)?;
    migrated
}

/// The migrations, in the schema that the connection sees first, and what depends on extensions that a server may lack.
fn bring_up_to_date(conn: &mut PgConnection) -> Result<(), DbError> {
    let failed = |error: &dyn std::fmt::Display| DbError::Migrate(error.to_string());
    conn.run_pending_migrations(MIGRATIONS).map_err(|error| failed(&error))?;
    vectors::make_table(conn).map_err(|error| failed(&error))
}

/// Runs `work` whole or not at all, and does not wait for the disk at the end. For what a scan finds, in thousands of small
/// transactions: after a power cut the last half second of it may be gone, whole and without harm; the next scan finds it again.
///
/// The setting ends with the transaction, so that the connection goes back to its pool as it was.
///
/// # Errors
/// What `work` returned, or the database's own at commit.
fn quick_transaction<T>(conn: &mut PgConnection, work: impl FnOnce(&mut PgConnection) -> Result<T, QueryError>) -> Result<T, QueryError> {
    conn.transaction(|conn| {
        conn.batch_execute("SET LOCAL synchronous_commit = off")?;
        work(conn)
    })
}
