//! Questions about the server and the schema, for those who look after them.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    pg::Pg,
    sql_query,
    sql_types::{Bool, Text},
};
use diesel_migrations::MigrationHarness;

use super::{DbError, MIGRATIONS};

/// The server's version, such as `15.20`.
///
/// # Errors
/// When the database fails.
pub fn server_version(conn: &mut PgConnection) -> QueryResult<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        version: String,
    }
    let row: Row = sql_query("SELECT split_part(current_setting('server_version'), ' ', 1) AS version").get_result(conn)?;
    Ok(row.version)
}

/// Whether the server has an extension installed that a database could make use of.
///
/// # Errors
/// When the database fails.
pub fn has_extension(conn: &mut PgConnection, name: &str) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        is_there: bool,
    }
    let question = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = $1) AS is_there";
    let row: Row = sql_query(question).bind::<Text, _>(name).get_result(conn)?;
    Ok(row.is_there)
}

/// How many migrations of this program the database has not seen yet.
///
/// # Errors
/// [`DbError::Migrate`] when they cannot be compared.
pub fn pending_migrations(conn: &mut PgConnection) -> Result<usize, DbError> {
    let pending = MigrationHarness::<Pg>::pending_migrations(conn, MIGRATIONS);
    pending.map(|pending| pending.len()).map_err(|error| DbError::Migrate(error.to_string()))
}
