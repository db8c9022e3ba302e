//! What can be seen in an image, and where: what networks found, and what people drew or decided on.
//!
//! Rows of networks come and go with their answers ([`super::results::record`]); those with a person's word in them are only ever moved to
//! the image that their picture belongs to now.

use chrono::{DateTime, Utc};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Float, Integer, Nullable, Text, Timestamptz},
};

use super::image::unreadable;
use crate::models::{
    ImageId, RegionId,
    task::NetworkVersion,
    vision::{BoundingBox, Mask},
};

/// Who says that something is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A network.
    Network(NetworkVersion),
    /// A person, who drew it.
    Person,
}

/// A person's word on a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is there.
    Confirmed,
    /// It is not.
    Rejected,
}

/// A region of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRegion {
    /// Its row.
    pub id: RegionId,
    /// The image.
    pub image: ImageId,
    /// What it is: a class in the words of the network, or a person's word.
    pub label: String,
    /// How sure the network is, 0..=1; `None` for a person's.
    pub score: Option<f32>,
    /// Where it is, in px of a picture of the size below, upright.
    pub bounds: BoundingBox,
    /// Width of that picture.
    pub width_px: u32,
    /// Height of it.
    pub height_px: u32,
    /// Which pixels it is, of that picture.
    pub mask: Option<Mask>,
    /// Who says so.
    pub origin: Origin,
    /// What a person says about it.
    pub decision: Option<Decision>,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: RegionId,
    #[diesel(sql_type = BigInt)]
    image_id: ImageId,
    #[diesel(sql_type = Text)]
    label: String,
    #[diesel(sql_type = Nullable<Float>)]
    score: Option<f32>,
    #[diesel(sql_type = Float)]
    left_px: f32,
    #[diesel(sql_type = Float)]
    top_px: f32,
    #[diesel(sql_type = Float)]
    right_px: f32,
    #[diesel(sql_type = Float)]
    bottom_px: f32,
    #[diesel(sql_type = Integer)]
    frame_width_px: i32,
    #[diesel(sql_type = Integer)]
    frame_height_px: i32,
    #[diesel(sql_type = Nullable<Text>)]
    mask: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    network: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    version: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    decision: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for StoredRegion {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let side = |px: i32| u32::try_from(px).map_err(|error| unreadable(error.into()));
        let (width_px, height_px) = (side(row.frame_width_px)?, side(row.frame_height_px)?);
        let mask = row.mask.map(|counts| Mask::of_counts_string(width_px, height_px, &counts)).transpose();
        let decision = match row.decision.as_deref() {
            None => None,
            Some("confirmed") => Some(Decision::Confirmed),
            Some("rejected") => Some(Decision::Rejected),
            Some(other) => return Err(unreadable(format!("`{other}` is no decision").into())),
        };
        Ok(Self {
            id: row.id,
            image: row.image_id,
            label: row.label,
            score: row.score,
            bounds: BoundingBox { left_px: row.left_px, top_px: row.top_px, right_px: row.right_px, bottom_px: row.bottom_px },
            width_px,
            height_px,
            mask: mask.map_err(|error| unreadable(error.into()))?,
            origin: match (row.network, row.version) {
                (Some(name), Some(version)) => Origin::Network(NetworkVersion { name, version }),
                _ => Origin::Person,
            },
            decision,
            created_at: row.created_at,
        })
    }
}

const COLUMNS: &str = "SELECT r.id, r.image_id, r.label, r.score, r.left_px, r.top_px, r.right_px, r.bottom_px, r.frame_width_px, \
    r.frame_height_px, r.mask, n.name AS network, n.version, r.decision, r.created_at \
    FROM regions AS r LEFT JOIN networks AS n ON n.id = r.network_id";

/// Lists the regions of an image: those with a person's word, and what networks found in its picture as it is now; the surest first.
///
/// # Errors
/// When the database fails, or holds a mask that is none.
pub fn list_regions(conn: &mut PgConnection, image: ImageId) -> QueryResult<Vec<StoredRegion>> {
    let rows: Vec<Row> = sql_query(format!(
        "{COLUMNS} JOIN images AS i ON i.id = r.image_id \
         WHERE r.image_id = $1 AND (r.origin = 'person' OR r.decision IS NOT NULL OR r.picture_key = i.picture_key) \
         ORDER BY r.score DESC NULLS FIRST, r.id"
    ))
    .bind::<BigInt, _>(image)
    .load(conn)?;
    rows.into_iter().map(StoredRegion::try_from).collect()
}

/// Finds a region.
///
/// # Errors
/// `NotFound` when there is none, or no more; otherwise when the database fails.
pub fn find_region(conn: &mut PgConnection, region: RegionId) -> QueryResult<StoredRegion> {
    let row: Row = sql_query(format!("{COLUMNS} WHERE r.id = $1")).bind::<BigInt, _>(region).get_result(conn)?;
    row.try_into()
}

/// Gives what people drew and decided on in one image to another that has its files now.
pub(super) fn carry_regions(conn: &mut PgConnection, from: ImageId, to: ImageId) -> QueryResult<()> {
    sql_query("UPDATE regions SET image_id = $2 WHERE image_id = $1 AND (origin = 'person' OR decision IS NOT NULL)")
        .bind::<BigInt, _>(from)
        .bind::<BigInt, _>(to)
        .execute(conn)
        .map(|_| ())
}

/// Gives what people drew and decided on along to an image that was split from another, where it was in the picture that is the new one's.
pub(super) fn part_regions(conn: &mut PgConnection, from: ImageId, to: ImageId) -> QueryResult<()> {
    sql_query(
        "UPDATE regions AS r SET image_id = $2 FROM images AS i WHERE i.id = $2 AND r.image_id = $1 AND r.picture_key = i.picture_key \
         AND (r.origin = 'person' OR r.decision IS NOT NULL)",
    )
    .bind::<BigInt, _>(from)
    .bind::<BigInt, _>(to)
    .execute(conn)
    .map(|_| ())
}
