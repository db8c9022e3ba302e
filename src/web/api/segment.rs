//! Masks by pointing: places and boxes in, pixels out.

use actix_web::{
    HttpResponse,
    web::{self, Data},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::{
    edits::{bad, list, object},
    json,
};
use crate::{
    infer::sam::{ImageEmbedding, MaskChoice, PredictedMask, PromptPoint, Prompts},
    models::{
        ImageId,
        vision::{BoundingBox, Mask},
    },
    web::{
        State, WebError,
        error::ErrorBody,
        segment::{Cut, none_imported},
    },
};

/// Places of one request.
const MOST_POINTS: usize = 64;
/// Boxes of one request: each is decoded on its own.
const MOST_BOXES: usize = 16;
/// Longest side of a mask that is gone on from, in px.
const LARGEST_MASK_PX: u32 = 20_000;

/// What is meant. All places are in fractions of the upright image: 0, 0 is its upper left corner, 1, 1 its lower right one, whatever its
/// size. At least a place to include, a box or a mask is needed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what segment reads")]
pub(super) struct SegmentRequest {
    /// Places that belong to what is meant, or do not; at most 64.
    points: Option<Vec<SegmentPoint>>,
    /// Boxes around what is meant, each around a thing of its own; at most 16.
    boxes: Option<Vec<FractionBox>>,
    /// A mask of an earlier answer, or any other over the whole image, to go on from.
    #[schema(value_type = Option<CocoMask>)]
    mask: Option<Mask>,
}

/// A place that somebody points at.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what segment reads")]
pub(super) struct SegmentPoint {
    /// From the left edge, in fractions of the width.
    #[schema(minimum = 0, maximum = 1)]
    x: f32,
    /// From the upper edge, in fractions of the height.
    #[schema(minimum = 0, maximum = 1)]
    y: f32,
    /// `include` or `exclude`; `include` where it is left out.
    label: Option<String>,
}

/// A box in fractions of the upright image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(super) struct FractionBox {
    #[schema(minimum = 0, maximum = 1)]
    left: f32,
    #[schema(minimum = 0, maximum = 1)]
    top: f32,
    #[schema(minimum = 0, maximum = 1)]
    right: f32,
    #[schema(minimum = 0, maximum = 1)]
    bottom: f32,
}

/// Which pixels, as COCO writes it: down the columns, from the left.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes models::vision::Mask as JSON")]
pub(super) struct CocoMask {
    /// Height and width in px.
    #[schema(min_items = 2, max_items = 2)]
    size: Vec<u32>,
    /// Run lengths, packed as pycocotools does; a list of numbers is read, too.
    counts: String,
}

/// What was cut out.
#[derive(Serialize, ToSchema)]
pub(super) struct SegmentAnswer {
    image: i64,
    /// Which state of the picture it is of: another when the pixels changed.
    picture_key: String,
    /// Which network says so: `NAME@VERSION`.
    #[schema(example = "mobilesam@0a1b2c3d4e5f")]
    network: String,
    /// Width of the masks: that of the upright picture that the network saw.
    width_px: u32,
    /// Height of the masks.
    height_px: u32,
    /// The best first. For a single place, which may mean a part or the whole, three that may be meant; else one for each box, or one.
    masks: Vec<SegmentMask>,
}

/// One way to understand it.
#[derive(Serialize, ToSchema)]
pub(super) struct SegmentMask {
    #[schema(value_type = CocoMask)]
    mask: Mask,
    /// How well the network thinks it fits, about 0 to 1.
    score: f32,
    /// How little it depends on the network's threshold, 0 to 1.
    stability: f32,
    /// Which of the boxes it is of; 0 without boxes.
    #[serde(rename = "box")]
    of_box: usize,
    /// The smallest box around it, in fractions; null of an empty mask.
    bounds: Option<FractionBox>,
}

impl SegmentAnswer {
    fn new(image: ImageId, cut: Cut) -> Self {
        let (width_px, height_px) = (cut.width_px, cut.height_px);
        Self {
            image: image.0,
            picture_key: cut.picture.to_string(),
            network: cut.network.to_string(),
            width_px,
            height_px,
            masks: cut.masks.into_iter().map(|mask| SegmentMask::new(mask, width_px as f32, height_px as f32)).collect(),
        }
    }
}

impl SegmentMask {
    fn new(predicted: PredictedMask, width: f32, height: f32) -> Self {
        let bounds = predicted.mask.bounds().map(|bounds| FractionBox {
            left: bounds.left_px / width,
            top: bounds.top_px / height,
            right: bounds.right_px / width,
            bottom: bounds.bottom_px / height,
        });
        Self { bounds, score: predicted.score, stability: predicted.stability, of_box: predicted.object, mask: predicted.mask }
    }
}

/// Cuts out what is pointed at. The first question about an image takes a second or two on two cores, the next ones a fraction of one.
#[utoipa::path(post, path = "/api/v1/images/{id}/segment", tag = "images", request_body = SegmentRequest,
    params(("id" = i64, Path, description = "The image")),
    responses(
        (status = 200, body = SegmentAnswer),
        (status = 400, description = "A key that is not understood; the message names it", body = ErrorBody),
        (status = 403, description = "Sent by another site, or by somebody who may only look", body = ErrorBody),
        (status = 404, description = "No such image, or no picture of it", body = ErrorBody),
        (status = 409, description = "No network for it is imported, or it cannot be used (`no_network`)", body = ErrorBody),
        (status = 503, description = "Others are served first, or the picture is being made; try again after `Retry-After` seconds",
            body = ErrorBody),
    )
)]
pub(in crate::web) async fn segment(state: Data<State>, id: web::Path<String>, body: web::Bytes) -> Result<HttpResponse, WebError> {
    let image: ImageId = id.parse().map_err(|_| WebError::NotFound("image"))?;
    let asked = Asked::read(&body)?;
    let segmenting = state.segmenting.clone().ok_or_else(|| none_imported(""))?;
    let cut = segmenting.cut(&state, image, move |embedding| asked.prompts(embedding)).await?;
    Ok(json(&SegmentAnswer::new(image, cut)))
}

/// A request, understood.
#[derive(Debug, PartialEq)]
struct Asked {
    points: Vec<(f32, f32, bool)>,
    boxes: Vec<FractionBox>,
    mask: Option<Mask>,
}

impl Asked {
    fn read(body: &[u8]) -> Result<Self, WebError> {
        let request = object(body, &["points", "boxes", "mask"])?;
        let points = entries(&request, "points", MOST_POINTS, point)?;
        let boxes = entries(&request, "boxes", MOST_BOXES, fraction_box)?;
        let mask = match request.get("mask") {
            None | Some(Json::Null) => None,
            Some(mask) => Some(read_mask(mask)?),
        };
        if boxes.is_empty() && mask.is_none() && !points.iter().any(|(_, _, is_meant)| *is_meant) {
            return Err(bad("One of `points` (with at least one to include), `boxes` and `mask` is expected, to say what is meant"));
        }
        Ok(Self { points, boxes, mask })
    }

    /// In px of the image that was embedded.
    fn prompts(&self, image: &ImageEmbedding) -> Prompts {
        let transform = image.transform();
        let (width, height) = (transform.image_width_px as f32, transform.image_height_px as f32);
        let point = |&(x, y, is_foreground): &(f32, f32, bool)| PromptPoint { x_px: x * width, y_px: y * height, is_foreground };
        let bounds = |bounds: &FractionBox| BoundingBox {
            left_px: bounds.left * width,
            top_px: bounds.top * height,
            right_px: bounds.right * width,
            bottom_px: bounds.bottom * height,
        };
        let is_ambiguous = self.points.len() == 1 && self.boxes.is_empty() && self.mask.is_none();
        Prompts {
            points: self.points.iter().map(point).collect(),
            boxes: self.boxes.iter().map(bounds).collect(),
            mask: self.mask.as_ref().map(|mask| image.mask_prompt(mask)),
            choice: if is_ambiguous { MaskChoice::All } else { MaskChoice::Auto },
            ..Prompts::default()
        }
    }
}

/// The entries of a list that may be left out, each an object.
fn entries<T>(
    request: &Map<String, Json>,
    key: &str,
    most: usize,
    read: impl Fn(&Map<String, Json>, &str) -> Result<T, WebError>,
) -> Result<Vec<T>, WebError> {
    let entries = match request.get(key) {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Array(entries)) if entries.len() <= most => entries,
        Some(_) => return Err(bad(format!("`{key}` is expected to be a list of at most {most} objects"))),
    };
    let read_one = |(at, entry): (usize, &Json)| {
        let place = format!("{key}[{at}]");
        let Json::Object(entry) = entry else { return Err(bad(format!("`{place}` is expected to be an object"))) };
        read(entry, &place)
    };
    entries.iter().enumerate().map(read_one).collect()
}

/// Refuses keys that would do nothing.
fn only(entry: &Map<String, Json>, known: &[&str], place: &str) -> Result<(), WebError> {
    match entry.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(bad(format!("`{place}.{key}` is not known: expected any of {}", list(known)))),
        None => Ok(()),
    }
}

fn fraction(entry: &Map<String, Json>, key: &str, place: &str) -> Result<f32, WebError> {
    let number = entry.get(key).and_then(Json::as_f64).filter(|number| (0.0..=1.0).contains(number));
    number.map(|number| number as f32).ok_or_else(|| bad(format!("`{place}.{key}` is expected to be a number from 0 to 1")))
}

fn point(entry: &Map<String, Json>, place: &str) -> Result<(f32, f32, bool), WebError> {
    only(entry, &["x", "y", "label"], place)?;
    let is_meant = match entry.get("label").map(Json::as_str) {
        None | Some(Some("include")) => true,
        Some(Some("exclude")) => false,
        Some(_) => return Err(bad(format!("`{place}.label` is expected to be `include` or `exclude`"))),
    };
    Ok((fraction(entry, "x", place)?, fraction(entry, "y", place)?, is_meant))
}

fn fraction_box(entry: &Map<String, Json>, place: &str) -> Result<FractionBox, WebError> {
    only(entry, &["left", "top", "right", "bottom"], place)?;
    let side = |key| fraction(entry, key, place);
    let found = FractionBox { left: side("left")?, top: side("top")?, right: side("right")?, bottom: side("bottom")? };
    if found.left >= found.right || found.top >= found.bottom {
        return Err(bad(format!("`{place}` is expected to hold something: `left` below `right`, `top` below `bottom`")));
    }
    Ok(found)
}

fn read_mask(json: &Json) -> Result<Mask, WebError> {
    let mask = Mask::deserialize(json).map_err(|error| {
        bad(format!("`mask` is expected to be a mask as answers have it, {{\"size\": [height, width], \"counts\": \"…\"}}: {error}"))
    })?;
    let is_usable = |side: u32| (1..=LARGEST_MASK_PX).contains(&side);
    if !is_usable(mask.width_px()) || !is_usable(mask.height_px()) {
        return Err(bad(format!("`mask.size` is expected to be two numbers from 1 to {LARGEST_MASK_PX}")));
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> String {
        Asked::read(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_request_is_read_as_it_is_described() {
        let body = "{\"points\": [{\"x\": 0.5, \"y\": 0}, {\"x\": 1, \"y\": 0.25, \"label\": \"exclude\"}], \
            \"boxes\": [{\"left\": 0, \"top\": 0.5, \"right\": 1, \"bottom\": 1}], \"mask\": {\"size\": [2, 2], \"counts\": [1, 3]}}";
        let asked = Asked::read(body.as_bytes()).unwrap();
        assert_eq!(asked.points, [(0.5, 0.0, true), (1.0, 0.25, false)]);
        assert_eq!(asked.boxes, [FractionBox { left: 0.0, top: 0.5, right: 1.0, bottom: 1.0 }]);
        assert_eq!(asked.mask.as_ref().map(Mask::area_px), Some(3));
        let packed = serde_json::json!({ "mask": asked.mask }).to_string();
        assert_eq!(Asked::read(packed.as_bytes()).unwrap().mask, asked.mask);
    }

    #[test]
    fn a_refusal_names_the_field() {
        for (body, named) in [
            ("[]", "object"),
            ("{}", "`points`"),
            ("{\"points\": [], \"boxes\": null}", "`boxes`"),
            ("{\"points\": 3}", "`points`"),
            ("{\"points\": [3]}", "`points[0]`"),
            ("{\"points\": [{\"x\": 0.5}]}", "`points[0].y`"),
            ("{\"points\": [{\"x\": 0, \"y\": 0}, {\"x\": 1.5, \"y\": 0}]}", "`points[1].x`"),
            ("{\"points\": [{\"x\": \"0.5\", \"y\": 0}]}", "`points[0].x`"),
            ("{\"points\": [{\"x\": 0.5, \"y\": 0, \"label\": \"in\"}]}", "`points[0].label`"),
            ("{\"points\": [{\"x\": 0.5, \"y\": 0, \"label\": null}]}", "`points[0].label`"),
            ("{\"points\": [{\"x\": 0.5, \"y\": 0, \"z\": 1}]}", "`points[0].z`"),
            ("{\"points\": [{\"x\": 0.5, \"y\": 0.5, \"label\": \"exclude\"}]}", "include"),
            ("{\"boxes\": [{\"left\": 0.5, \"top\": 0, \"right\": 0.5, \"bottom\": 1}]}", "`boxes[0]`"),
            ("{\"boxes\": [{\"left\": 0, \"top\": 0, \"right\": 1}]}", "`boxes[0].bottom`"),
            ("{\"mask\": {\"size\": [2, 2], \"counts\": [1, 2]}}", "`mask`"),
            ("{\"mask\": {\"size\": [1, 400000000], \"counts\": [0, 400000000]}}", "`mask.size`"),
            ("{\"mask\": {\"size\": [0, 0], \"counts\": [0]}}", "`mask.size`"),
            ("{\"boxs\": []}", "`boxs`"),
        ] {
            let refusal = refusal(body);
            assert!(refusal.contains(named), "{body}: {refusal}");
        }
        let many = vec!["{\"x\": 0.5, \"y\": 0.5}"; MOST_POINTS + 1].join(",");
        assert!(refusal(&format!("{{\"points\": [{many}]}}")).contains("at most 64"));
    }
}
