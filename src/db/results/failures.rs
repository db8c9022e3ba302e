//! What networks could not answer for, and asking them again.

use chrono::{DateTime, Utc};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Integer, Nullable, Text, Timestamptz},
};

use crate::{
    db::networks::kind_of,
    models::{
        ImageId, NetworkId,
        task::{Lane, NetworkVersion},
    },
};

/// One error and how many images have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureGroup {
    /// The network.
    pub network: NetworkId,
    /// What it was asked.
    pub lane: Lane,
    /// What people call it.
    pub title: String,
    /// The error.
    pub error: String,
    /// Images.
    pub images: i64,
    /// When it last happened.
    pub last_at: DateTime<Utc>,
}

/// An image that a network could not answer for.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct FailedImage {
    /// The image.
    #[diesel(sql_type = BigInt)]
    pub image: ImageId,
    /// The network.
    #[diesel(sql_type = BigInt)]
    pub network: NetworkId,
    /// Name without suffixes.
    #[diesel(sql_type = Text)]
    pub base_name: String,
    /// Names its thumbnail; `None` when there is nothing to show any more.
    #[diesel(sql_type = Nullable<Text>)]
    pub picture_key: Option<String>,
    /// The error.
    #[diesel(sql_type = Text)]
    pub error: String,
    /// Tries.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    /// When it last happened.
    #[diesel(sql_type = Timestamptz)]
    pub failed_at: DateTime<Utc>,
}

/// Which failures are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failures {
    /// Of this network; else of all.
    pub network: Option<NetworkId>,
    /// With this error; else with any.
    pub error: Option<String>,
}

/// Lists up to `limit` errors, each with the number of its images, the most frequent first.
///
/// # Errors
/// When the database fails.
pub fn list_failure_groups(conn: &mut PgConnection, limit: i64) -> QueryResult<Vec<FailureGroup>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        network: NetworkId,
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        version: String,
        #[diesel(sql_type = Text)]
        title: String,
        #[diesel(sql_type = Text)]
        error: String,
        #[diesel(sql_type = BigInt)]
        images: i64,
        #[diesel(sql_type = Timestamptz)]
        last_at: DateTime<Utc>,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT n.id AS network, n.kind, n.name, n.version, n.title, f.error, f.images, f.last_at \
         FROM (SELECT network_id, error, count(*) AS images, max(done_at) AS last_at FROM image_results WHERE error IS NOT NULL \
            GROUP BY network_id, error) AS f JOIN networks AS n ON n.id = f.network_id \
         ORDER BY f.images DESC, f.last_at DESC, f.error LIMIT $1",
    )
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    let group = |row: Row| {
        Ok(FailureGroup {
            network: row.network,
            lane: Lane { kind: kind_of(&row.kind)?, network: NetworkVersion { name: row.name, version: row.version } },
            title: row.title,
            error: row.error,
            images: row.images,
            last_at: row.last_at,
        })
    };
    rows.into_iter().map(group).collect()
}

/// Lists up to `limit` failed images behind `after`, by the numbers of image and network.
///
/// # Errors
/// When the database fails.
pub fn list_failures(
    conn: &mut PgConnection,
    which: &Failures,
    after: Option<(ImageId, NetworkId)>,
    limit: i64,
) -> QueryResult<Vec<FailedImage>> {
    let (image, network) = after.unwrap_or((ImageId(0), NetworkId(0)));
    sql_query(
        "SELECT r.image_id AS image, r.network_id AS network, i.base_name, i.picture_key, r.error, r.attempts, r.done_at AS failed_at \
         FROM image_results AS r JOIN images AS i ON i.id = r.image_id \
         WHERE r.error IS NOT NULL AND ($1 IS NULL OR r.network_id = $1) AND ($2 IS NULL OR r.error = $2) \
            AND (r.image_id, r.network_id) > ($3, $4) \
         ORDER BY r.image_id, r.network_id LIMIT $5",
    )
    .bind::<Nullable<BigInt>, _>(which.network)
    .bind::<Nullable<Text>, _>(which.error.as_deref())
    .bind::<BigInt, _>(image)
    .bind::<BigInt, _>(network)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// What is asked for again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retry {
    /// One image of one network, also when it has been answered for.
    One(NetworkId, ImageId),
    /// All failures of a kind.
    Failed(Failures),
}

/// Asks for answers again, and says how many: the images lack them from now on.
///
/// # Errors
/// When the database fails.
pub fn retry(conn: &mut PgConnection, retry: &Retry) -> QueryResult<usize> {
    match retry {
        Retry::One(network, image) => {
            sql_query("UPDATE image_results SET done_at = NULL, error = NULL WHERE network_id = $1 AND image_id = $2")
                .bind::<BigInt, _>(*network)
                .bind::<BigInt, _>(*image)
                .execute(conn)
        }
        Retry::Failed(which) => sql_query(
            "UPDATE image_results SET done_at = NULL, error = NULL \
             WHERE error IS NOT NULL AND ($1 IS NULL OR network_id = $1) AND ($2 IS NULL OR error = $2)",
        )
        .bind::<Nullable<BigInt>, _>(which.network)
        .bind::<Nullable<Text>, _>(which.error.as_deref())
        .execute(conn),
    }
}
