//! Searches that were given a name.

use diesel::{
    ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryResult, Queryable, QueryableByName, RunQueryDsl, Selectable,
    SelectableHelper, sql_query,
    sql_types::{BigInt, Text},
};

use super::schema::searches;
use crate::models::SearchId;

/// A search with its name.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, QueryableByName)]
#[diesel(table_name = searches)]
pub struct SavedSearch {
    /// The search.
    #[diesel(sql_type = BigInt)]
    pub id: SearchId,
    /// Its name; no two differ in case or accents alone.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// In the search language, as it is printed.
    #[diesel(sql_type = Text)]
    pub query: String,
}

/// Lists all by name.
///
/// # Errors
/// When the database fails.
pub fn list_searches(conn: &mut PgConnection) -> QueryResult<Vec<SavedSearch>> {
    sql_query("SELECT id, name, query FROM searches ORDER BY fold(name), id").load(conn)
}

/// Saves a search; a name that there is already takes the new query.
///
/// # Errors
/// When the database fails.
pub fn upsert_search(conn: &mut PgConnection, name: &str, query: &str) -> QueryResult<SavedSearch> {
    sql_query(
        "INSERT INTO searches (name, query) VALUES ($1, $2) \
         ON CONFLICT (fold(name)) DO UPDATE SET name = excluded.name, query = excluded.query RETURNING id, name, query",
    )
    .bind::<Text, _>(name)
    .bind::<Text, _>(query)
    .get_result(conn)
}

/// Gives a search another name; `None` when another has that name already.
///
/// # Errors
/// `NotFound` when there is no such search, or when the database fails.
pub fn rename_search(conn: &mut PgConnection, id: SearchId, name: &str) -> QueryResult<Option<SavedSearch>> {
    let renamed = diesel::update(searches::table.find(id))
        .set(searches::name.eq(name))
        .returning(SavedSearch::as_returning())
        .get_result(conn)
        .optional();
    match renamed {
        Ok(Some(search)) => Ok(Some(search)),
        Ok(None) => Err(diesel::result::Error::NotFound),
        Err(diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, _)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Forgets a search.
///
/// # Errors
/// `NotFound` when there is no such search, or when the database fails.
pub fn delete_search(conn: &mut PgConnection, id: SearchId) -> QueryResult<()> {
    match diesel::delete(searches::table.find(id)).execute(conn)? {
        0 => Err(diesel::result::Error::NotFound),
        _ => Ok(()),
    }
}
