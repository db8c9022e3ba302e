//! How much of what passes a filter a network has looked at: what an order of likeness leaves out.

use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_types::BigInt};

use super::{
    nearest::count_embedded,
    sql::{Sql, Value, Wanted},
};
use crate::models::{Filter, NetworkId};

/// How far a network has come within a filter. Images without a picture, and those that it could not answer for, count as looked at: it
/// is not behind because of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Images it has yet to look at.
    pub lacking: i64,
    /// Images with a picture.
    pub all: i64,
}

/// Stands for a network that has never been given work: ids are positive.
const NONE: NetworkId = NetworkId(-1);

/// Counts what of a filter a network has looked at; `None` is one that has never been given work here.
///
/// # Errors
/// When the database fails.
pub fn count_seen(conn: &mut PgConnection, network: Option<NetworkId>, filter: &Filter) -> QueryResult<Seen> {
    if let (Some(network), true) = (network, filter.is_all()) {
        let counted = count_embedded(conn, network)?;
        return Ok(Seen { lacking: counted.to_come(), all: counted.all });
    }
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        lacking: i64,
        #[diesel(sql_type = BigInt)]
        all: i64,
    }
    let wanted = Wanted::resolve(conn, filter)?;
    let mut sql = Sql::new(
        "SELECT count(*) AS \"all\", count(*) FILTER (WHERE r.image_id IS NULL) AS lacking FROM images AS i \
         LEFT JOIN image_results AS r ON r.image_id = i.id AND r.picture_key = i.picture_key AND r.done_at IS NOT NULL AND r.network_id = ",
    );
    sql.bind(Value::BigInt(network.unwrap_or(NONE).0));
    sql.text(" WHERE i.picture_key IS NOT NULL AND NOT EXISTS (SELECT FROM pictures AS p WHERE p.image_id = i.id AND p.error IS NOT NULL)");
    wanted.write(&mut sql);
    let Row { lacking, all } = sql.query().get_result(conn)?;
    Ok(Seen { lacking, all })
}
