//! What of the images of a group may differ: asked for side by side, two questions for a whole page.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, SmallInt, Text, Timestamp},
};

use crate::models::ImageId;

/// An image beside others.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Member {
    /// The image.
    #[diesel(sql_type = BigInt)]
    pub id: ImageId,
    /// Name without suffixes.
    #[diesel(sql_type = Text)]
    pub base_name: String,
    /// Local capture time.
    #[diesel(sql_type = Timestamp)]
    pub captured_at: NaiveDateTime,
    /// As shown.
    #[diesel(sql_type = Nullable<Text>)]
    pub camera: Option<String>,
    /// Upright, of the best file.
    #[diesel(sql_type = Nullable<Integer>)]
    pub width_px: Option<i32>,
    /// The same.
    #[diesel(sql_type = Nullable<Integer>)]
    pub height_px: Option<i32>,
    /// Of all its files.
    #[diesel(sql_type = BigInt)]
    pub total_size_bytes: i64,
    /// -1 rejected, 0 unrated, 1..=5 stars.
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub rating: Option<i16>,
    /// `none`, `pending` or `picked`.
    #[diesel(sql_type = Text)]
    pub pick: String,
    /// A video of its own.
    #[diesel(sql_type = Bool)]
    pub is_video: bool,
    /// Names the thumbnail; `None` when there is nothing to show.
    #[diesel(sql_type = Nullable<Text>)]
    pub picture_key: Option<String>,
}

/// A file of such an image.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct MemberFile {
    /// Whose.
    #[diesel(sql_type = BigInt)]
    pub image: ImageId,
    /// The disk.
    #[diesel(sql_type = Text)]
    pub vault: String,
    /// Folder inside it; empty for its root.
    #[diesel(sql_type = Text)]
    pub folder: String,
    /// File name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// `hm::models::FileFormat`.
    #[diesel(sql_type = Text)]
    pub format: String,
    /// A sidecar beside the picture.
    #[diesel(sql_type = Bool)]
    pub is_sidecar: bool,
    /// Gone from its healthy vault.
    #[diesel(sql_type = Bool)]
    pub is_missing: bool,
    /// Its size.
    #[diesel(sql_type = BigInt)]
    pub size_bytes: i64,
    /// Its content, as far as two files are compared; `None` until it is read.
    #[diesel(sql_type = Nullable<Binary>)]
    pub fingerprint: Option<Vec<u8>>,
}

/// These images, each with its files, sidecars last; those that are gone are left out.
///
/// # Errors
/// When the database fails.
pub fn list_members(conn: &mut PgConnection, images: &[ImageId]) -> QueryResult<BTreeMap<ImageId, (Member, Vec<MemberFile>)>> {
    let members: Vec<Member> = sql_query(
        "SELECT i.id, i.base_name, i.captured_at, c.name AS camera, i.width_px, i.height_px, i.total_size_bytes, i.rating, i.pick, \
            i.is_video, i.picture_key FROM images AS i LEFT JOIN cameras AS c ON c.id = i.camera_id WHERE i.id = ANY($1)",
    )
    .bind::<Array<BigInt>, _>(images)
    .load(conn)?;
    let files: Vec<MemberFile> = sql_query(
        "SELECT f.image_id AS image, v.name AS vault, d.rel_path AS folder, f.name, f.format, f.role = 'SIDECAR' AS is_sidecar, \
            f.missing_since IS NOT NULL AS is_missing, f.size_bytes, f.fingerprint \
         FROM files AS f JOIN folders AS d ON d.id = f.folder_id JOIN vaults AS v ON v.id = f.vault_id \
         WHERE f.image_id = ANY($1) ORDER BY f.image_id, f.role = 'SIDECAR', f.name, f.id",
    )
    .bind::<Array<BigInt>, _>(images)
    .load(conn)?;
    let mut all: BTreeMap<ImageId, (Member, Vec<MemberFile>)> =
        members.into_iter().map(|member| (member.id, (member, Vec::new()))).collect();
    for file in files {
        if let Some((_, files)) = all.get_mut(&file.image) {
            files.push(file);
        }
    }
    Ok(all)
}
