//! Images by how near their vectors are to another: what a text means, or what another picture shows.
//!
//! Always within a filter. Where few images pass it, each of them is compared; where many do, the index of the network is followed from the
//! nearest on, and what does not pass is passed over (pgvector's iterative scan). Which of both is quicker is told by how many pass, which
//! is counted only as far as that takes. An index finds nearly all of the nearest, not surely all.

use diesel::{
    Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    prelude::*,
    result::Error,
    sql_query,
    sql_types::{Array, BigInt, Bool, Double, Integer, Nullable},
};
use pgvector::HalfVector;

use super::sql::{Sql, Value, Wanted};
use crate::models::{Filter, ImageId, NetworkId};

/// Most images that are ranked: nobody pages farther, and what is that far is near no more.
pub const MOST_RANKED: i64 = 2_000;
/// How many are ranked at once, so that pages which begin anywhere within them fit each other.
const DEPTHS: [i64; 3] = [120, 600, MOST_RANKED];
/// Candidates that a step of a search in the index keeps: the most that pgvector allows.
const CANDIDATES: i64 = 1_000;
/// How many of the nearest an answer is chosen from. What a text means lies apart from all pictures, and a search that comes from there
/// takes wrong turns: of the ten nearest among a million (the vectors of `tests/bench/directions.py`) it found 0.87 with 1,000, 0.97 with
/// 2,500 and 0.99 with 5,000. For the likes of a picture a tenth of that would do.
const LOOKS: i64 = 5_000;
/// Most vectors that are looked at in the index for one answer.
const MOST_LOOKS: i64 = 200_000;
/// How much longer one look along the index takes than comparing with one vector that is known.
const LOOK_COST: f64 = 8.0;

#[derive(QueryableByName)]
struct Near {
    #[diesel(sql_type = BigInt)]
    id: ImageId,
    #[diesel(sql_type = Double)]
    distance: f64,
}

/// What is known of a network's vectors.
#[derive(QueryableByName)]
struct Space {
    #[diesel(sql_type = Nullable<Integer>)]
    dimensions: Option<i32>,
    #[diesel(sql_type = Integer)]
    done: i32,
    #[diesel(sql_type = Bool)]
    has_index: bool,
    /// Whether a search in the index goes on until enough images pass the filter.
    #[diesel(sql_type = Bool)]
    iterates: bool,
}

const SPACE: &str = "SELECT n.dimensions, n.done_count AS done, \
    EXISTS (SELECT FROM pg_index AS x WHERE x.indexrelid = to_regclass('embeddings_network_' || n.id) AND x.indisvalid) AS has_index, \
    coalesce((SELECT (regexp_match(e.extversion, '^(\\d+)\\.(\\d+)'))::int[] >= ARRAY[0, 8] FROM pg_extension AS e \
        WHERE e.extname = 'vector'), false) AS iterates \
    FROM networks AS n WHERE n.id = $1";

/// A search in hand.
struct Search<'a> {
    network: NetworkId,
    dimensions: i32,
    vector: HalfVector,
    wanted: &'a Wanted,
    /// How many are ranked.
    depth: i64,
}

/// Lists images that pass a filter by how near their vectors are to one, the nearest first, each with the cosine of the angle between both,
/// -1..=1. Skips `offset`, and ranks [`MOST_RANKED`] at most. Images that the network has not answered for yet are left out.
///
/// # Errors
/// `NotFound` when there is no such network; `QueryBuilderError` for a vector of another length than the network's; otherwise when the
/// database fails, as it does where it cannot hold vectors ([`super::vectors::find_vectors`]).
pub fn nearest(
    conn: &mut PgConnection,
    network: NetworkId,
    vector: &[f32],
    filter: &Filter,
    limit: i64,
    offset: i64,
) -> QueryResult<Vec<(ImageId, f32)>> {
    nearest_but(conn, network, vector, filter, None, limit, offset)
}

/// As [`nearest`], without one image: the one that the others are to be like.
///
/// # Errors
/// As [`nearest`].
pub fn nearest_but(
    conn: &mut PgConnection,
    network: NetworkId,
    vector: &[f32],
    filter: &Filter,
    but: Option<ImageId>,
    limit: i64,
    offset: i64,
) -> QueryResult<Vec<(ImageId, f32)>> {
    let space: Space = sql_query(SPACE).bind::<BigInt, _>(network).get_result(conn)?;
    let Some(dimensions) = space.dimensions else { return Ok(Vec::new()) };
    if vector.len() as i64 != i64::from(dimensions) {
        return Err(Error::QueryBuilderError(format!("a vector of {} numbers, where {dimensions} were expected", vector.len()).into()));
    }
    let (offset, limit) = (offset.max(0), limit.max(0));
    let end = offset.saturating_add(limit).min(MOST_RANKED);
    if offset >= end {
        return Ok(Vec::new());
    }
    let needed = end + i64::from(but.is_some());
    let depth = DEPTHS.into_iter().find(|depth| *depth >= needed).unwrap_or(MOST_RANKED);
    let wanted = Wanted::resolve(conn, filter)?;
    let search = Search { network, dimensions, vector: HalfVector::from_f32_slice(vector), wanted: &wanted, depth };
    let mut near = search.run(conn, &space)?;
    near.sort_by(|one, other| one.distance.total_cmp(&other.distance).then(one.id.cmp(&other.id)));
    near.retain(|near| Some(near.id) != but);
    let page = near.into_iter().take(end as usize).skip(offset as usize);
    Ok(page.map(|near| (near.id, (1.0 - near.distance) as f32)).collect())
}

impl Search<'_> {
    fn run(&self, conn: &mut PgConnection, space: &Space) -> QueryResult<Vec<Near>> {
        let is_filtered = self.wanted.days.is_some() || !self.wanted.is_only_days();
        match (space.has_index, is_filtered) {
            (false, _) => self.compare_all(conn, is_filtered),
            (true, false) => self.follow_index(conn, space.iterates, Within::All),
            (true, true) => match self.passing(conn, most_compared(self.depth, space.done.into()))? {
                Some(few) => self.compare(conn, few),
                None => {
                    for within in [Within::Nearest, Within::Passing] {
                        let near = self.follow_index(conn, space.iterates, within)?;
                        if near.len() as i64 >= self.depth {
                            return Ok(near);
                        }
                    }
                    // It gave up before enough were found.
                    self.compare_all(conn, true)
                }
            },
        }
    }

    /// The images that pass, unless there are more than `most`.
    fn passing(&self, conn: &mut PgConnection, most: i64) -> QueryResult<Option<Vec<i64>>> {
        #[derive(QueryableByName)]
        struct Passing {
            #[diesel(sql_type = Array<BigInt>)]
            ids: Vec<i64>,
        }
        let mut sql = Sql::new("SELECT coalesce(array_agg(k.id), '{}') AS ids FROM (SELECT i.id FROM images AS i WHERE true");
        self.wanted.write(&mut sql);
        sql.text(" LIMIT ").bind(Value::BigInt(most.saturating_add(1))).text(") AS k");
        let Passing { ids } = sql.query().get_result(conn)?;
        Ok(Some(ids).filter(|ids| ids.len() as i64 <= most))
    }

    /// Compares with the vectors of these images, each found by its number.
    fn compare(&self, conn: &mut PgConnection, images: Vec<i64>) -> QueryResult<Vec<Near>> {
        let mut sql = Sql::new("SELECT e.image_id AS id, e.distance FROM unnest(");
        sql.bind(Value::BigInts(images)).text(") AS k (id) CROSS JOIN LATERAL (SELECT e.image_id, e.vector <=> ");
        sql.bind(Value::Vector(self.vector.clone())).text(" AS distance FROM embeddings AS e WHERE e.network_id = ");
        sql.number(self.network.0).text(" AND e.image_id = k.id OFFSET 0) AS e ORDER BY e.distance, e.image_id LIMIT ");
        sql.bind(Value::BigInt(self.depth));
        sql.query().load(conn)
    }

    /// Compares with all vectors, or those of all images that pass. Not along an index: those are of vectors of a stated length.
    fn compare_all(&self, conn: &mut PgConnection, is_filtered: bool) -> QueryResult<Vec<Near>> {
        let mut sql = Sql::new("SELECT e.image_id AS id, e.vector <=> ");
        sql.bind(Value::Vector(self.vector.clone())).text(" AS distance FROM embeddings AS e");
        if is_filtered {
            sql.text(" JOIN images AS i ON i.id = e.image_id");
        }
        sql.text(" WHERE e.network_id = ").number(self.network.0);
        if is_filtered {
            self.wanted.write(&mut sql);
        }
        sql.text(" ORDER BY distance, id LIMIT ").bind(Value::BigInt(self.depth));
        sql.query().load(conn)
    }

    /// Follows the index from the nearest on. Whether an image passes is asked of each by its number, behind a fence (`OFFSET 0`): a join
    /// would tempt the planner to compare all that pass.
    fn follow_index(&self, conn: &mut PgConnection, iterates: bool, within: Within) -> QueryResult<Vec<Near>> {
        let mut sql = Sql::new("SELECT e.id, e.distance FROM (SELECT e.image_id AS id, e.vector::halfvec(");
        sql.number(self.dimensions.into()).text(") <=> ").bind(Value::Vector(self.vector.clone()));
        sql.text(" AS distance FROM embeddings AS e WHERE e.network_id = ").number(self.network.0);
        if within == Within::Passing {
            self.write_passes(&mut sql, "e.image_id");
        }
        let found = if within == Within::Passing { self.depth } else { self.depth.max(LOOKS) };
        // The first placeholder is the vector's.
        sql.text(" ORDER BY e.vector::halfvec(").number(self.dimensions.into()).text(") <=> $1 LIMIT ");
        sql.bind(Value::BigInt(found)).text(" OFFSET 0) AS e WHERE true");
        if within == Within::Nearest {
            self.write_passes(&mut sql, "e.id");
        }
        conn.transaction(|conn| {
            conn.batch_execute(&format!(
                "SET LOCAL hnsw.ef_search = {CANDIDATES}; SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off"
            ))?;
            if iterates {
                conn.batch_execute(&format!(
                    "SET LOCAL hnsw.iterative_scan = relaxed_order; SET LOCAL hnsw.max_scan_tuples = {MOST_LOOKS}"
                ))?;
            }
            sql.query().load(conn)
        })
    }

    /// That the image whose number stands in a column passes.
    fn write_passes(&self, sql: &mut Sql, image: &'static str) {
        sql.text(" AND EXISTS (SELECT FROM images AS i WHERE i.id = ").text(image);
        self.wanted.write(sql);
        sql.text(" OFFSET 0)");
    }
}

/// What a search along the index looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// The nearest of all.
    All,
    /// Those of the nearest that pass the filter.
    Nearest,
    /// The nearest that pass the filter, however far it has to go for them.
    Passing,
}

/// Up to how many images that pass comparing each is quicker than following the index, which looks at `depth × all / passing` of them.
fn most_compared(depth: i64, all: i64) -> i64 {
    (LOOK_COST * depth as f64 * all.max(1) as f64).sqrt() as i64
}

/// The vector that a network made of an image; `None` when it has yet to.
///
/// # Errors
/// When the database fails.
pub fn embedding_of(conn: &mut PgConnection, network: NetworkId, image: ImageId) -> QueryResult<Option<Vec<f32>>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = pgvector::sql_types::HalfVector)]
        vector: HalfVector,
    }
    let row: Option<Row> = sql_query("SELECT vector FROM embeddings WHERE network_id = $1 AND image_id = $2")
        .bind::<BigInt, _>(network)
        .bind::<BigInt, _>(image)
        .get_result(conn)
        .optional()?;
    Ok(row.map(|row| row.vector.as_slice().iter().map(|number| number.to_f32()).collect()))
}

/// How far a network has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, QueryableByName)]
pub struct Embedded {
    /// Images it has answered for.
    #[diesel(sql_type = BigInt)]
    pub embedded: i64,
    /// Images it could not answer for.
    #[diesel(sql_type = BigInt)]
    pub failed: i64,
    /// Images that have a picture, or will have one.
    #[diesel(sql_type = BigInt)]
    pub all: i64,
}

impl Embedded {
    /// Images whose answer is still to come.
    pub fn to_come(&self) -> i64 {
        (self.all - self.embedded - self.failed).max(0)
    }
}

/// Counts how far a network has come, from counts that are kept.
///
/// # Errors
/// When the database fails; `NotFound` when there is no such network.
pub fn count_embedded(conn: &mut PgConnection, network: NetworkId) -> QueryResult<Embedded> {
    sql_query(
        "SELECT n.done_count::bigint AS embedded, n.failed_count::bigint AS failed, \
         (SELECT coalesce(sum(image_count), 0)::bigint FROM timeline_days) - (SELECT count(*) FROM images WHERE picture_key IS NULL) \
         - (SELECT count(*) FROM pictures WHERE error IS NOT NULL) AS \"all\" FROM networks AS n WHERE n.id = $1",
    )
    .bind::<BigInt, _>(network)
    .get_result(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_compared_one_by_one_and_many_found_along_the_index() {
        // A hundredth of a million is compared; a tenth is not.
        assert!((10_000..100_000).contains(&most_compared(DEPTHS[0], 1_000_000)));
        // Ranking more takes more looks along the index.
        assert!(most_compared(MOST_RANKED, 1_000_000) > most_compared(DEPTHS[0], 1_000_000));
        assert!(most_compared(DEPTHS[0], 0) > 0);
    }
}
