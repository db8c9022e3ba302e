//! What a backup has to ask of the database and a restore has to do in it; and the record of both.
//!
//! A restore fills a schema beside the library's own, brings it up to date there, and takes its place in one short transaction: until
//! then nothing has changed, whatever goes wrong. An archive names the schema it came from, so while it is read, in a transaction of
//! its own, the library's schema stands aside under another name; from outside that is never seen.

use std::collections::BTreeMap;

use super::{
    DbError, MIGRATION_LOCK, MIGRATIONS, QueryError, bring_up_to_date, health::server_version, schema::backups, vectors::install_extension,
};
use crate::models::backup::BackupKind;
use chrono::{DateTime, Utc};
use diesel::{
    Connection, ExpressionMethods, PgConnection, QueryDsl, QueryResult, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    pg::Pg,
    sql_query,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz},
};

/// Extensions whose types and operators the library's tables name.
const EXTENSIONS: [&str; 3] = ["ltree", "pg_trgm", "vector"];
/// Filled by a restore, beside the library.
const RESTORED: &str = "hm_restored";
/// What the library's schema is called while an archive is read, and before it goes.
const ASIDE: &str = "hm_aside";
/// The table that no backup holds.
const OWN_TABLE: &str = "backups";
/// The table that a server without pgvector cannot hold.
pub const VECTORS: &str = "embeddings";

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn lines(conn: &mut PgConnection, question: &str, schema: &str) -> QueryResult<Vec<String>> {
    let found: Vec<Line> = sql_query(question).bind::<Text, _>(schema).load(conn)?;
    Ok(found.into_iter().map(|row| row.line).collect())
}

/// A name as SQL takes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// One state of the whole library, which `pg_dump` can be told to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Names it to the server, for as long as it is held.
    pub id: String,
    /// The schema of the library's tables.
    pub schema: String,
    /// The server's version, such as `15.20`.
    pub server_version: String,
    /// Versions of the migrations done, oldest first.
    pub migrations: Vec<String>,
    /// Rows of each table that a backup holds.
    pub rows: BTreeMap<String, i64>,
}

/// The schema in which this connection sees the library.
///
/// # Errors
/// When the database fails.
pub fn library_schema(conn: &mut PgConnection) -> QueryResult<String> {
    sql_query("SELECT current_schema()::text AS line").get_result(conn).map(|row: Line| row.line)
}

/// Whether the database has a schema of this name.
///
/// # Errors
/// When the database fails.
pub fn has_schema(conn: &mut PgConnection, name: &str) -> QueryResult<bool> {
    let found: Vec<Line> =
        sql_query("SELECT nspname::text AS line FROM pg_namespace WHERE nspname = $1").bind::<Text, _>(name).load(conn)?;
    Ok(!found.is_empty())
}

/// Holds one state of the library for as long as `work` lasts.
///
/// # Errors
/// What `work` returned, or the database's own.
pub fn with_snapshot<T, E: From<QueryError>>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection, &Snapshot) -> Result<T, E>,
) -> Result<T, E> {
    conn.build_transaction().repeatable_read().read_only().run(|conn| {
        let id: Line = sql_query("SELECT pg_export_snapshot() AS line").get_result(conn)?;
        let schema = library_schema(conn)?;
        let snapshot = Snapshot {
            id: id.line,
            server_version: server_version(conn)?,
            migrations: migrations_done(conn, &schema)?,
            rows: count_rows(conn, &schema)?,
            schema,
        };
        work(conn, &snapshot)
    })
}

/// The table that a backup leaves out, as `pg_dump` takes it.
pub fn left_out(schema: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(OWN_TABLE))
}

/// Rows of every table of a schema but the one that backups leave out.
fn count_rows(conn: &mut PgConnection, schema: &str) -> QueryResult<BTreeMap<String, i64>> {
    let tables = "SELECT c.relname::text AS line FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
        WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 1";
    let mut rows = BTreeMap::new();
    for table in lines(conn, tables, schema)?.into_iter().filter(|table| table != OWN_TABLE) {
        let question = format!("SELECT count(*) AS count FROM {}.{}", quoted(schema), quoted(&table));
        let counted: Count = sql_query(question).get_result(conn)?;
        rows.insert(table, counted.count);
    }
    Ok(rows)
}

fn has_table(conn: &mut PgConnection, schema: &str, table: &str) -> QueryResult<bool> {
    let question = "SELECT count(*) AS count FROM pg_tables WHERE schemaname = $1 AND tablename = $2";
    let found: Count = sql_query(question).bind::<Text, _>(schema).bind::<Text, _>(table).get_result(conn)?;
    Ok(found.count > 0)
}

fn migrations_done(conn: &mut PgConnection, schema: &str) -> QueryResult<Vec<String>> {
    const TABLE: &str = "__diesel_schema_migrations";
    if !has_table(conn, schema, TABLE)? {
        return Ok(Vec::new());
    }
    let found: Vec<Line> = sql_query(format!("SELECT version AS line FROM {}.{TABLE} ORDER BY 1", quoted(schema))).load(conn)?;
    Ok(found.into_iter().map(|row| row.line).collect())
}

/// Versions of the migrations that are built into this program.
///
/// # Errors
/// [`DbError::Migrate`] when one has no version.
pub fn known_migrations() -> Result<Vec<String>, DbError> {
    use diesel::migration::{Migration, MigrationSource};
    let all: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().map_err(|error| DbError::Migrate(error.to_string()))?;
    Ok(all.iter().map(|migration| migration.name().version().to_string()).collect())
}

/// What is in the library that a restore would replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Images.
    pub images: i64,
    /// Whatever else was scanned, said or saved: vaults, files, edits, searches.
    pub others: i64,
}

impl Holdings {
    /// Whether there is nothing to lose.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Counts what is in the library; a database without its tables holds nothing.
///
/// # Errors
/// When the database fails.
pub fn holdings(conn: &mut PgConnection) -> QueryResult<Holdings> {
    let schema = library_schema(conn)?;
    let mut count = |table: &str| {
        if !has_table(conn, &schema, table)? {
            return Ok(0);
        }
        let question = format!("SELECT count(*) AS count FROM {}.{}", quoted(&schema), quoted(table));
        sql_query(question).get_result(conn).map(|row: Count| row.count)
    };
    let images = count("images")?;
    let others = ["vaults", "files", "edits", "searches"].into_iter().map(&mut count).sum::<QueryResult<i64>>()?;
    Ok(Holdings { images, others })
}

/// How many other programs are connected to this database.
///
/// # Errors
/// When the database fails.
pub fn count_others(conn: &mut PgConnection) -> QueryResult<i64> {
    let question = "SELECT count(*) AS count FROM pg_stat_activity \
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    sql_query(question).get_result(conn).map(|row: Count| row.count)
}

/// Makes ready for an archive to be read: the extensions are there, `pg_trgm` and `vector` where the server allows them, and nothing of an
/// earlier attempt. Says whether the table of vectors can be read.
///
/// # Errors
/// When the database fails.
pub fn prepare_restore(conn: &mut PgConnection) -> QueryResult<bool> {
    conn.batch_execute(&format!(
        "SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS ltree WITH SCHEMA public; \
         DO $do$ BEGIN IF to_regnamespace('public') IS NULL THEN CREATE EXTENSION IF NOT EXISTS pg_trgm; \
         ELSE CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public; END IF; \
         EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file THEN NULL; END $do$; \
         DROP SCHEMA IF EXISTS {RESTORED} CASCADE"
    ))?;
    install_extension(conn)?;
    let found: Line = sql_query("SELECT (to_regtype('halfvec') IS NOT NULL)::text AS line").get_result(conn)?;
    Ok(found.line == "true")
}

/// Whether a name in an archive is of the table of vectors that [`VECTORS`] is, or of what belongs to it.
pub fn is_of_vectors(name: &str) -> bool {
    let parts = ["", ".vector", "_pkey", "_image_id", "_image_id_fkey", "_network_id_fkey"];
    name.strip_prefix(VECTORS).is_some_and(|rest| parts.contains(&rest)) || is_index_of_vectors(name)
}

/// Whether a name in an archive is of the index of a network's vectors.
pub fn is_index_of_vectors(name: &str) -> bool {
    let network = name.strip_prefix("embeddings_network_").unwrap_or_default();
    !network.is_empty() && network.bytes().all(|byte| byte.is_ascii_digit())
}

/// What goes before and after the text of an archive that came from the schema `from`, to be run in one session: at its end its tables are
/// beside the library `live`. Without the second part nothing has happened.
pub fn around_archive(live: &str, from: &str) -> (String, String) {
    let (live, from) = (quoted(live), quoted(from));
    let lent = move_extensions(&format!("'{ASIDE}'"), &from);
    let before = format!(
        "SET client_min_messages = warning;\nBEGIN;\nSELECT pg_advisory_xact_lock({MIGRATION_LOCK});\n\
         ALTER SCHEMA {live} RENAME TO {ASIDE};\nCREATE SCHEMA {from};\n{lent}"
    );
    let after = format!(
        "\nALTER SCHEMA {from} RENAME TO {RESTORED};\nALTER SCHEMA {ASIDE} RENAME TO {live};\n{}COMMIT;\n",
        extensions_back_to(&live)
    );
    (before, after)
}

/// Moves the extensions out of the restored schema, where they went to be found.
fn extensions_back_to(quoted_live: &str) -> String {
    move_extensions(&format!("'{RESTORED}', '{ASIDE}'"), quoted_live)
}

/// Moves those of the extensions that the library has which are in one of some schemas. Their names are fixed.
fn move_extensions(literal_schemas: &str, quoted_to: &str) -> String {
    let one = |name| {
        format!(
            "DO $do$ BEGIN IF EXISTS (SELECT FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace \
             WHERE e.extname = '{name}' AND n.nspname IN ({literal_schemas})) THEN ALTER EXTENSION {name} SET SCHEMA {quoted_to}; END IF; END $do$;\n"
        )
    };
    EXTENSIONS.map(one).concat()
}

/// Rows of every restored table.
///
/// # Errors
/// When the database fails.
pub fn count_restored(conn: &mut PgConnection) -> QueryResult<BTreeMap<String, i64>> {
    count_rows(conn, RESTORED)
}

/// Brings the restored tables up to date, before anybody sees them.
///
/// # Errors
/// [`DbError::Migrate`] names the migration that failed.
pub fn migrate_restored(conn: &mut PgConnection) -> Result<(), DbError> {
    let live = library_schema(conn)?;
    // The live schema only lends the types of its extension: whatever a migration names is in the restored one, or made there.
    conn.batch_execute(&format!("SET search_path = {RESTORED}, {}", quoted(&live)))?;
    let migrated = bring_up_to_date(conn);
    conn.batch_execute("RESET search_path")?;
    migrated
}

/// Puts the restored tables into the library's place in one transaction; what was there is gone. The record of backups stays.
///
/// # Errors
/// When the database fails, or somebody holds on to the library for half a minute; nothing has changed then.
pub fn take_place(conn: &mut PgConnection) -> QueryResult<()> {
    let schema = library_schema(conn)?;
    conn.transaction(|conn| {
        conn.batch_execute("SET LOCAL client_min_messages = warning; SET LOCAL lock_timeout = '30s'")?;
        sql_query("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(MIGRATION_LOCK).execute(conn)?;
        let live = quoted(&schema);
        conn.batch_execute(&format!("ALTER SCHEMA {live} RENAME TO {ASIDE}; ALTER SCHEMA {RESTORED} RENAME TO {live}"))?;
        conn.batch_execute(&extensions_back_to(&live))?;
        if has_table(conn, ASIDE, OWN_TABLE)? {
            let columns = "kind, host, path, size_bytes, image_count, error, started_at, finished_at, removed_at";
            conn.batch_execute(&format!(
                "INSERT INTO {live}.{OWN_TABLE} ({columns}) SELECT {columns} FROM {ASIDE}.{OWN_TABLE} ORDER BY id"
            ))?;
        }
        conn.batch_execute(&format!("DROP SCHEMA {ASIDE} CASCADE"))
    })
}

/// Removes what an attempt left beside the library.
///
/// # Errors
/// When the database fails.
pub fn clear_restored(conn: &mut PgConnection) -> QueryResult<()> {
    conn.batch_execute(&format!("SET client_min_messages = warning; DROP SCHEMA IF EXISTS {RESTORED} CASCADE"))
}

/// Tells the planner about tables that were just filled.
///
/// # Errors
/// When the database fails.
pub fn vacuum(conn: &mut PgConnection) -> QueryResult<()> {
    conn.batch_execute("VACUUM (ANALYZE)")
}

/// Keys of up to `most` pictures that were made, behind `after`.
///
/// # Errors
/// When the database fails.
pub fn list_made_pictures(conn: &mut PgConnection, after: &str, most: i64) -> QueryResult<Vec<String>> {
    use super::schema::pictures;
    let made = pictures::table.filter(pictures::error.is_null()).filter(pictures::key.gt(after));
    made.order(pictures::key).limit(most).select(pictures::key).distinct().load(conn)
}

/// What became of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupOutcome {
    /// It is there, whole.
    Made {
        /// Its length.
        size_bytes: i64,
        /// Images in it.
        images: i64,
    },
    /// It is not, and why.
    Failed(String),
}

/// Records a backup that was made, or could not be.
///
/// # Errors
/// When the database fails.
pub fn record_backup(
    conn: &mut PgConnection,
    kind: BackupKind,
    host: &str,
    path: &str,
    started_at: DateTime<Utc>,
    outcome: &BackupOutcome,
) -> QueryResult<()> {
    let (size_bytes, image_count, error) = match outcome {
        BackupOutcome::Made { size_bytes, images } => (Some(*size_bytes), Some(*images), None),
        BackupOutcome::Failed(reason) => (None, None, Some(reason.replace('\0', ""))),
    };
    diesel::insert_into(backups::table)
        .values((
            backups::kind.eq(kind.name()),
            backups::host.eq(host),
            backups::path.eq(path.replace('\0', "")),
            backups::size_bytes.eq(size_bytes),
            backups::image_count.eq(image_count),
            backups::error.eq(error),
            backups::started_at.eq(started_at),
        ))
        .execute(conn)
        .map(|_| ())
}

/// Records that newer backups took the place of these.
///
/// # Errors
/// When the database fails.
pub fn record_removed(conn: &mut PgConnection, host: &str, paths: &[String]) -> QueryResult<()> {
    sql_query("UPDATE backups SET removed_at = now() WHERE removed_at IS NULL AND host = $1 AND path = ANY ($2)")
        .bind::<Text, _>(host)
        .bind::<Array<Text>, _>(paths)
        .execute(conn)
        .map(|_| ())
}

/// A backup as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct BackupEntry {
    /// `nightly`, `manual` or `replaced`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// The machine that made it.
    #[diesel(sql_type = Text)]
    pub host: String,
    /// Where it lies on that machine.
    #[diesel(sql_type = Text)]
    pub path: String,
    /// Its length; `None` where it failed.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub size_bytes: Option<i64>,
    /// Images in it; `None` where it failed.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub image_count: Option<i64>,
    /// Why there is none.
    #[diesel(sql_type = Nullable<Text>)]
    pub error: Option<String>,
    /// When it was begun.
    #[diesel(sql_type = Timestamptz)]
    pub started_at: DateTime<Utc>,
    /// When it was done.
    #[diesel(sql_type = Timestamptz)]
    pub finished_at: DateTime<Utc>,
}

/// Lists up to `most` backups that have not been removed, newest first; of failures only those since the last that was made.
///
/// # Errors
/// When the database fails.
pub fn list_backups(conn: &mut PgConnection, most: i64) -> QueryResult<Vec<BackupEntry>> {
    sql_query(
        "SELECT kind, host, path, size_bytes, image_count, error, started_at, finished_at FROM backups AS b WHERE removed_at IS NULL \
         AND (error IS NULL OR NOT EXISTS (SELECT FROM backups AS o WHERE o.error IS NULL AND o.finished_at > b.finished_at)) \
         ORDER BY finished_at DESC, id DESC LIMIT $1",
    )
    .bind::<BigInt, _>(most)
    .load(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_vectors_is_told_from_others() {
        for name in [
            "embeddings",
            "embeddings.vector",
            "embeddings_pkey",
            "embeddings_image_id",
            "embeddings_network_id_fkey",
            "embeddings_network_12",
        ] {
            assert!(is_of_vectors(name), "{name}");
        }
        for name in ["images", "embeddings_network_", "embeddings_network_id", "embeddings_of_mine", "my_embeddings"] {
            assert!(!is_of_vectors(name), "{name}");
        }
        assert!(is_index_of_vectors("embeddings_network_12") && !is_index_of_vectors("embeddings_image_id"));
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(quoted("a\"; DROP"), "\"a\"\"; DROP\"");
        let (before, after) = around_archive("public", "od\"d");
        assert!(before.contains("CREATE SCHEMA \"od\"\"d\";") && after.trim_end().ends_with("COMMIT;"), "{before}{after}");
    }
}
