//! The folder view: what lies below a folder, and the way up from it.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Nullable, Text},
};

use super::sql::{Sql, Value, Wanted};
use crate::models::{Filter, FolderId, VaultId};

/// A folder as its parent shows it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct FolderCard {
    /// The folder.
    #[diesel(sql_type = BigInt)]
    pub id: FolderId,
    /// Its vault.
    #[diesel(sql_type = BigInt)]
    pub vault_id: VaultId,
    /// Its vault's name.
    #[diesel(sql_type = Text)]
    pub vault_name: String,
    /// Its own name; empty for a vault's root.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Path inside the vault, for people; empty for the root.
    #[diesel(sql_type = Text)]
    pub rel_path: String,
    /// Folders directly in it.
    #[diesel(sql_type = BigInt)]
    pub folder_count: i64,
    /// Images in it and below it.
    #[diesel(sql_type = BigInt)]
    pub image_count: i64,
    /// Up to four pictures from it and below it, newest first.
    #[diesel(sql_type = Array<Text>)]
    pub cover_keys: Vec<String>,
    /// The images of `cover_keys`, in the same order.
    #[diesel(sql_type = Array<BigInt>)]
    pub cover_images: Vec<i64>,
}

/// One step of the way to a folder.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Breadcrumb {
    /// The folder.
    #[diesel(sql_type = BigInt)]
    pub id: FolderId,
    /// What to show: its name, or the vault's for the root.
    #[diesel(sql_type = Text)]
    pub name: String,
}

/// A folder that a filter could be narrowed to.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct FolderFacet {
    /// The folder.
    #[diesel(sql_type = BigInt)]
    pub id: FolderId,
    /// Its vault's name and its path in it: `Photos/2019/Lake`.
    #[diesel(sql_type = Text)]
    pub path: String,
    /// Images of the filter in it and below it.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

/// Lists up to `limit` folders that have images of the filter (whose own folder is passed over) and whose path has every word of `words`
/// somewhere, those with most images first. Reads every image that passes: whoever shows it often keeps it.
///
/// # Errors
/// When the database fails.
pub fn list_folder_facets(conn: &mut PgConnection, filter: &Filter, words: &str, limit: i64) -> QueryResult<Vec<FolderFacet>> {
    let wanted = Wanted::resolve(conn, &Filter { folder: None, ..filter.clone() })?;
    let mut sql = Sql::new("WITH counted AS (SELECT i.folder_id, count(*) AS n FROM images AS i WHERE true");
    wanted.write(&mut sql);
    sql.text(
        " GROUP BY i.folder_id), summed AS (SELECT substr(label, 2)::bigint AS id, sum(c.n)::bigint AS count \
         FROM counted AS c JOIN folders AS f ON f.id = c.folder_id, unnest(string_to_array(f.tree::text, '.')) AS label GROUP BY 1) \
         SELECT f.id, p.path, s.count FROM summed AS s JOIN folders AS f USING (id) JOIN vaults AS v ON v.id = f.vault_id, \
         concat_ws('/', v.name, nullif(f.rel_path, '')) AS p (path) WHERE true",
    );
    for word in words.to_lowercase().split_whitespace() {
        sql.text(" AND strpos(lower(p.path), ").bind(Value::Text(word.to_owned())).text(") > 0");
    }
    sql.text(" ORDER BY s.count DESC, lower(p.path), f.id LIMIT ").bind(Value::BigInt(limit));
    sql.query().load(conn)
}

/// Lists the folders directly below `parent`, or the roots of all vaults, by name.
///
/// # Errors
/// When the database fails.
pub fn list_folders(conn: &mut PgConnection, parent: Option<FolderId>) -> QueryResult<Vec<FolderCard>> {
    sql_query(include_str!("folders.sql")).bind::<Nullable<BigInt>, _>(parent).load(conn)
}

/// Lists the way from the vault's root down to a folder, itself last; `None` when there is no such folder.
///
/// # Errors
/// When the database fails.
pub fn breadcrumbs(conn: &mut PgConnection, id: FolderId) -> QueryResult<Option<Vec<Breadcrumb>>> {
    let steps: Vec<Breadcrumb> = sql_query(
        "SELECT a.id, CASE WHEN a.parent_id IS NULL THEN v.name ELSE a.name END AS name \
         FROM folders AS f JOIN folders AS a ON a.tree @> f.tree JOIN vaults AS v ON v.id = a.vault_id \
         WHERE f.id = $1 ORDER BY nlevel(a.tree)",
    )
    .bind::<BigInt, _>(id)
    .load(conn)?;
    Ok(Some(steps).filter(|steps| !steps.is_empty()))
}
