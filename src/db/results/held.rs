//! What a network has found, counted and removed. Apart, because no server asks for it: networks come and go, and what they found stays
//! until a person says otherwise.

use diesel::{
    Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Bool},
};

use crate::{
    db::{
        networks::{self, StoredNetwork},
        vectors::find_vectors,
    },
    models::{ImageId, NetworkId},
};

/// What the library holds of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldResults {
    /// The network.
    pub network: StoredNetwork,
    /// Images that it has seen, or failed to.
    pub images: i64,
    /// Things that it found in them, and nobody has decided on.
    pub regions: i64,
    /// Things that it found and a person decided on: those are that person's.
    pub decided: i64,
}

impl HeldResults {
    /// Whether anything of it could be removed.
    pub fn has_any(&self) -> bool {
        self.images > 0 || self.regions > 0
    }
}

/// Lists what the library holds of each network, the newest first; nothing where no library was made yet. Reads the indexes of all results:
/// seconds at some millions.
///
/// # Errors
/// When the database fails.
pub fn list_held_results(conn: &mut PgConnection) -> QueryResult<Vec<HeldResults>> {
    #[derive(QueryableByName)]
    struct Made {
        #[diesel(sql_type = Bool)]
        is_made: bool,
    }
    let Made { is_made } = sql_query("SELECT to_regclass('networks') IS NOT NULL AS is_made").get_result(conn)?;
    if !is_made {
        return Ok(Vec::new());
    }
    let networks = networks::list(conn)?;
    networks.into_iter().map(|network| count_held_results(conn, network)).collect()
}

fn count_held_results(conn: &mut PgConnection, network: StoredNetwork) -> QueryResult<HeldResults> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        images: i64,
        #[diesel(sql_type = BigInt)]
        regions: i64,
        #[diesel(sql_type = BigInt)]
        decided: i64,
    }
    let row: Row = sql_query(
        "SELECT (SELECT count(*) FROM image_results AS r WHERE r.network_id = $1) AS images, r.regions, r.decided \
         FROM (SELECT count(*) FILTER (WHERE decision IS NULL) AS regions, count(decision) AS decided FROM regions WHERE network_id = $1) AS r",
    )
    .bind::<BigInt, _>(network.id)
    .get_result(conn)?;
    Ok(HeldResults { network, images: row.images, regions: row.regions, decided: row.decided })
}

/// Where images stand of which a network has said something: results first, without which an image lacks an answer, so that nothing is
/// taken for answered that is half removed.
const PLACES: [&str; 2] = [
    "SELECT image_id FROM image_results WHERE network_id = $1 ORDER BY image_id LIMIT $2 FOR UPDATE",
    "SELECT DISTINCT image_id FROM regions WHERE network_id = $1 AND decision IS NULL ORDER BY image_id LIMIT $2",
];
/// The third, where there are vectors.
const PLACE_OF_VECTORS: &str = "SELECT image_id FROM embeddings WHERE network_id = $1 ORDER BY image_id LIMIT $2";

/// Removes what a network has said about up to `most` images, but for what a person has decided on; how many images that were, and 0 when
/// nothing is left. One transaction: whoever is interrupted begins where it ended.
///
/// # Errors
/// When the database fails; then nothing is removed.
pub fn delete_results(conn: &mut PgConnection, network: NetworkId, most: i64) -> QueryResult<usize> {
    let has_vectors = find_vectors(conn)?.is_ready();
    conn.transaction(|conn| {
        let places = PLACES.into_iter().chain(has_vectors.then_some(PLACE_OF_VECTORS));
        for place in places {
            let images = images_at(conn, place, network, most)?;
            if images.is_empty() {
                continue;
            }
            let tables = [("image_results", ""), ("regions", " AND decision IS NULL"), ("embeddings", "")];
            for (table, condition) in tables.into_iter().take(if has_vectors { 3 } else { 2 }) {
                sql_query(format!("DELETE FROM {table} WHERE network_id = $1 AND image_id = ANY ($2){condition}"))
                    .bind::<BigInt, _>(network)
                    .bind::<Array<BigInt>, _>(images.iter().map(|image| image.0).collect::<Vec<_>>())
                    .execute(conn)?;
            }
            return Ok(images.len());
        }
        Ok(0)
    })
}

fn images_at(conn: &mut PgConnection, place: &str, network: NetworkId, most: i64) -> QueryResult<Vec<ImageId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        image_id: ImageId,
    }
    let rows: Vec<Row> = sql_query(place).bind::<BigInt, _>(network).bind::<BigInt, _>(most).load(conn)?;
    Ok(rows.into_iter().map(|row| row.image_id).collect())
}
