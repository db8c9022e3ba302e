//! What is seen in an image, as JSON.

use actix_web::{
    HttpResponse,
    web::{self, Data},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::json;
use crate::{
    db::regions::{Decision, Origin, StoredRegion},
    models::{ImageId, vision::Mask},
    web::{State, WebError, error::ErrorBody, regions},
};

/// What networks and people see in an image.
#[derive(Serialize, ToSchema)]
pub(super) struct RegionList {
    /// The surest first; what people drew before that.
    regions: Vec<RegionDetail>,
}

/// A region of an image.
#[derive(Serialize, ToSchema)]
pub(super) struct RegionDetail {
    id: i64,
    /// A class in the words of the network, or a person's word.
    label: String,
    /// How sure the network is, 0 to 1; null for a person's.
    score: Option<f32>,
    /// Where it is, in px of the frame.
    bounds: RegionBounds,
    /// Width of the upright picture that box and mask are measured in; the image itself may be larger.
    frame_width_px: u32,
    /// Height of it.
    frame_height_px: u32,
    /// Its pixels in the frame as COCO's compressed run lengths, `{"size": [height, width], "counts": "…"}`; null without a mask.
    #[schema(value_type = Option<Object>)]
    mask: Option<Mask>,
    /// Which network found it; null for a person's.
    network: Option<String>,
    /// Which version of it.
    network_version: Option<String>,
    /// `confirmed` by a person; null while nobody has decided. What was rejected is left out.
    decision: Option<&'static str>,
    created_at: DateTime<Utc>,
}

/// A box; right and bottom are just outside.
#[derive(Serialize, ToSchema)]
pub(super) struct RegionBounds {
    left_px: f32,
    top_px: f32,
    right_px: f32,
    bottom_px: f32,
}

impl From<StoredRegion> for RegionDetail {
    fn from(region: StoredRegion) -> Self {
        let (network, network_version) = match region.origin {
            Origin::Network(network) => (Some(network.name), Some(network.version)),
            Origin::Person => (None, None),
        };
        Self {
            id: region.id.0,
            label: region.label,
            score: region.score,
            bounds: RegionBounds {
                left_px: region.bounds.left_px,
                top_px: region.bounds.top_px,
                right_px: region.bounds.right_px,
                bottom_px: region.bounds.bottom_px,
            },
            frame_width_px: region.width_px,
            frame_height_px: region.height_px,
            mask: region.mask,
            network,
            network_version,
            decision: region.decision.map(|decision| match decision {
                Decision::Confirmed => "confirmed",
                Decision::Rejected => "rejected",
            }),
            created_at: region.created_at,
        }
    }
}

/// What networks and people see in an image, and where: in px of the upright picture that was looked at.
#[utoipa::path(get, path = "/api/v1/images/{id}/regions", tag = "images", params(("id" = i64, Path)), responses(
    (status = 200, body = RegionList),
    (status = 404, description = "No such image", body = ErrorBody),
))]
pub(in crate::web) async fn list_image_regions(state: Data<State>, id: web::Path<String>) -> Result<HttpResponse, WebError> {
    let id: ImageId = id.parse().map_err(|_| WebError::NotFound("image"))?;
    let found = regions::list(&state, id).await?;
    let shown = found.into_iter().filter(|region| region.decision != Some(Decision::Rejected));
    Ok(json(&RegionList { regions: shown.map(RegionDetail::from).collect() }))
}
