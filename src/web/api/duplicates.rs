//! `/api/v1/duplicates`: groups of images of which some may be one too many, with what differs.

use actix_web::{
    HttpResponse,
    web::{Data, Query},
};
use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    images::{NotSeen, hexadecimal, picture_url},
    json,
    paging::limit_of,
};
use crate::{
    db::duplicates::{Kind, Member, MemberFile},
    web::{
        State, WebError,
        duplicates::{Found, find, kind_of, place_of},
        error::ErrorBody,
    },
};

/// Which groups.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct DuplicatesQuery {
    /// `copies` (a file of each is the same, by size and content), `bursts` (what one camera took within three seconds of each other) or
    /// `alike` (what a network sees nearly the same in, taken within ten minutes).
    #[param(default = "copies")]
    kind: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// About how many groups; there may be a few more or, where looking takes long, fewer or none although others follow.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500, default = 100)]
    limit: Option<String>,
}

/// A page of groups.
#[derive(Serialize, ToSchema)]
pub(super) struct DuplicateList {
    /// `copies`, `bursts` or `alike`.
    kind: String,
    groups: Vec<DuplicateGroup>,
    /// Pass it as `cursor` to go on; null at the end.
    next_cursor: Option<String>,
    /// Who says what is alike: name and version of the network; null for the other kinds.
    network: Option<String>,
    /// What it has yet to look at; null for the other kinds.
    not_seen: Option<NotSeen>,
}

/// Images to choose from: none of them is rejected, not all are picked, and nobody has said that they are no duplicates.
#[derive(Serialize, ToSchema)]
pub(super) struct DuplicateGroup {
    /// How many there are, with those that are not listed.
    image_count: usize,
    /// The smallest cosine by which one of them was found; null where no vectors were compared.
    likeness: Option<f64>,
    /// Newest first, 24 at most.
    images: Vec<DuplicateImage>,
}

/// An image of a group.
#[derive(Serialize, ToSchema)]
pub(super) struct DuplicateImage {
    id: i64,
    base_name: String,
    /// Local wall-clock time.
    #[schema(example = "2019-08-03T12:33:00")]
    captured_at: NaiveDateTime,
    camera: Option<String>,
    /// Upright.
    width_px: Option<i32>,
    /// Upright.
    height_px: Option<i32>,
    total_size_bytes: i64,
    /// 0 unrated, 1 to 5 stars; null where no file says anything.
    rating: Option<i16>,
    /// Flag beside the stars: `none`, `pending` or `picked`.
    pick: String,
    /// Null when there is nothing to show.
    thumbnail_url: Option<String>,
    files: Vec<DuplicateFile>,
}

/// A file of such an image.
#[derive(Serialize, ToSchema)]
pub(super) struct DuplicateFile {
    vault: String,
    /// Folder inside the vault; empty for its root.
    subdirectory: String,
    name: String,
    format: String,
    size_bytes: i64,
    is_sidecar: bool,
    is_missing: bool,
    /// Two files that have the same are taken for copies; null until the file was read.
    fingerprint: Option<String>,
}

impl From<&(Member, Vec<MemberFile>)> for DuplicateImage {
    fn from((member, files): &(Member, Vec<MemberFile>)) -> Self {
        let file = |file: &MemberFile| DuplicateFile {
            vault: file.vault.clone(),
            subdirectory: file.folder.clone(),
            name: file.name.clone(),
            format: file.format.clone(),
            size_bytes: file.size_bytes,
            is_sidecar: file.is_sidecar,
            is_missing: file.is_missing,
            fingerprint: file.fingerprint.as_deref().map(hexadecimal),
        };
        Self {
            id: member.id.0,
            base_name: member.base_name.clone(),
            captured_at: member.captured_at,
            camera: member.camera.clone(),
            width_px: member.width_px,
            height_px: member.height_px,
            total_size_bytes: member.total_size_bytes,
            rating: member.rating,
            pick: member.pick.clone(),
            thumbnail_url: picture_url(member.id, "thumbnail", member.picture_key.as_deref()),
            files: files.iter().map(file).collect(),
        }
    }
}

/// Groups of images of which some may be one too many. To decide about them, edit the images (`POST /api/v1/edits`): what is rejected leaves
/// its group, and so do images that are all picked. Those that are no duplicates are set apart (`POST /api/v1/duplicates/apart`).
#[utoipa::path(get, path = "/api/v1/duplicates", tag = "images", params(DuplicatesQuery), responses(
    (status = 200, body = DuplicateList),
    (status = 400, description = "A key that is not understood", body = ErrorBody),
    (status = 409, description = "`alike` where no network has looked (`no_network`), or in a database that cannot compare (`no_vectors`)", body = ErrorBody),
))]
pub(in crate::web) async fn list_duplicates(state: Data<State>, asked: Query<DuplicatesQuery>) -> Result<HttpResponse, WebError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let kind = given(&asked.kind).map_or(Ok(Kind::Copies), |name| kind_of(&name))?;
    let after = place_of(kind, "cursor", given(&asked.cursor).as_deref())?;
    let limit = usize::try_from(limit_of(asked.limit.as_deref())?).unwrap_or(usize::MAX);
    let Found { page, members, network } = find(&state, kind, after, limit).await?;
    let group = |group: &crate::db::duplicates::Group| DuplicateGroup {
        image_count: group.count,
        likeness: (kind == Kind::Alike).then_some(group.cosine),
        images: group.images.iter().filter_map(|image| members.get(image)).map(DuplicateImage::from).collect(),
    };
    let seen = network.as_ref().map(|(_, seen)| NotSeen { not_seen_count: seen.lacking, image_count: seen.all });
    Ok(json(&DuplicateList {
        kind: kind.name().to_owned(),
        groups: page.groups.iter().map(group).collect(),
        next_cursor: page.next.map(|next| next.to_string()),
        network: network.map(|(network, _)| network.to_string()),
        not_seen: seen,
    }))
}
