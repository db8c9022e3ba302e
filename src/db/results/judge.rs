//! Whether an answer can be kept. Workers are other machines and other versions: what they send is checked before it is written.

use diesel::Insertable;

use crate::{
    db::columns::PlainText,
    models::{
        ImageId, NetworkId, PictureKey,
        task::{Answer, Found, TaskKind},
    },
};

/// Longest word for what a region is, in characters.
const LONGEST_LABEL: usize = 200;
/// Longest side of a picture, in px.
const LARGEST_SIDE: u32 = 100_000;
/// Regions of one picture that are kept, the surest.
const MOST_REGIONS: usize = 1_000;
/// Most numbers of a vector that pgvector keeps at half precision.
const MOST_NUMBERS: usize = 16_000;
/// How far the length of a vector may be from 1: rounding at half precision, no more.
const LENGTH_TOLERANCE: f32 = 0.05;

/// An answer that can be kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kept {
    Vector(Vec<f32>),
    Regions { width_px: u32, height_px: u32, found: Vec<Found> },
}

/// Checks an answer of a network of this kind, whose vectors have so many numbers, where that is known. The error is for a person.
pub(super) fn judge(kind: TaskKind, dimensions: Option<u32>, answer: &Answer) -> Result<Kept, String> {
    match (kind, answer) {
        (TaskKind::Embed, Answer::Embedding { vector }) => judge_vector(dimensions, vector),
        (TaskKind::Detect, Answer::Regions { width_px, height_px, regions }) => {
            let sides = 1..=LARGEST_SIDE;
            if !sides.contains(width_px) || !sides.contains(height_px) {
                return Err(format!("the worker answered for a picture of {width_px} × {height_px} px"));
            }
            let mut found: Vec<Found> = regions.clone();
            found.sort_by(|one, other| other.score.total_cmp(&one.score));
            found.truncate(MOST_REGIONS);
            for region in &mut found {
                judge_region(*width_px, *height_px, region)?;
            }
            Ok(Kept::Regions { width_px: *width_px, height_px: *height_px, found })
        }
        (TaskKind::Embed, _) => Err("the worker answered with regions where a vector was asked for".to_owned()),
        (TaskKind::Detect, _) => Err("the worker answered with a vector where regions were asked for".to_owned()),
    }
}

fn judge_vector(dimensions: Option<u32>, vector: &[f32]) -> Result<Kept, String> {
    if let Some(expected) = dimensions
        && vector.len() != expected as usize
    {
        return Err(format!("the worker answered with a vector of {} numbers where the network's have {expected}", vector.len()));
    }
    if vector.len() > MOST_NUMBERS {
        return Err(format!("the worker answered with a vector of {} numbers; {MOST_NUMBERS} can be kept", vector.len()));
    }
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    // Of no numbers, of infinite ones and of none at all alike.
    if !((1.0 - LENGTH_TOLERANCE)..=(1.0 + LENGTH_TOLERANCE)).contains(&length) {
        return Err(format!("the worker answered with a vector of length {length} where 1 was expected"));
    }
    Ok(Kept::Vector(vector.to_vec()))
}

fn judge_region(width_px: u32, height_px: u32, region: &mut Found) -> Result<(), String> {
    let sides = [region.bounds.left_px, region.bounds.top_px, region.bounds.right_px, region.bounds.bottom_px];
    if !region.score.is_finite() || sides.iter().any(|side| !side.is_finite()) {
        return Err("the worker answered with a region without a score or a box".to_owned());
    }
    if let Some(mask) = &region.mask
        && (mask.width_px(), mask.height_px()) != (width_px, height_px)
    {
        let (width, height) = (mask.width_px(), mask.height_px());
        return Err(format!("the worker answered with a mask of {width} × {height} px for a picture of {width_px} × {height_px} px"));
    }
    region.score = region.score.clamp(0.0, 1.0);
    let inside = region.bounds.clipped(width_px, height_px);
    region.bounds = inside;
    // A box outside the picture, or the wrong way round, has no extent.
    region.bounds.right_px = inside.right_px.max(inside.left_px);
    region.bounds.bottom_px = inside.bottom_px.max(inside.top_px);
    region.label = region.label.chars().take(LONGEST_LABEL).collect();
    Ok(())
}

/// A region as its row.
#[derive(Debug, Insertable)]
#[diesel(table_name = crate::db::schema::regions)]
pub(super) struct RegionRow {
    image_id: i64,
    network_id: i64,
    picture_key: String,
    label: PlainText,
    score: f32,
    left_px: f32,
    top_px: f32,
    right_px: f32,
    bottom_px: f32,
    frame_width_px: i32,
    frame_height_px: i32,
    mask: Option<String>,
    origin: &'static str,
}

impl RegionRow {
    pub(super) fn new(network: NetworkId, image: ImageId, key: &PictureKey, frame: (u32, u32), found: &Found) -> Self {
        Self {
            image_id: image.0,
            network_id: network.0,
            picture_key: key.as_str().to_owned(),
            label: found.label.as_str().into(),
            score: found.score,
            left_px: found.bounds.left_px,
            top_px: found.bounds.top_px,
            right_px: found.bounds.right_px,
            bottom_px: found.bounds.bottom_px,
            frame_width_px: frame.0 as i32,
            frame_height_px: frame.1 as i32,
            mask: found.mask.as_ref().map(|mask| mask.to_counts_string()),
            origin: "network",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::vision::{BoundingBox, Mask};

    fn found(label: &str, score: f32, left_px: f32, right_px: f32) -> Found {
        Found { label: label.to_owned(), score, bounds: BoundingBox { left_px, top_px: 0.0, right_px, bottom_px: 5.0 }, mask: None }
    }

    fn regions(regions: Vec<Found>) -> Result<Kept, String> {
        judge(TaskKind::Detect, None, &Answer::Regions { width_px: 10, height_px: 5, regions })
    }

    #[test]
    fn a_vector_is_of_unit_length_and_of_its_network() {
        let vector = |vector: &[f32]| judge(TaskKind::Embed, Some(2), &Answer::Embedding { vector: vector.to_vec() });
        assert_eq!(vector(&[0.6, -0.8]), Ok(Kept::Vector(vec![0.6, -0.8])));
        for bad in [&[1.0][..], &[0.6, -0.8, 0.0], &[0.0, 0.0], &[f32::NAN, 1.0], &[f32::INFINITY, 0.0], &[3.0, 4.0]] {
            assert!(vector(bad).is_err(), "{bad:?}");
        }
        assert!(judge(TaskKind::Embed, None, &Answer::Embedding { vector: vec![] }).is_err());
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        assert!(judge(TaskKind::Detect, None, &Answer::Embedding { vector: vec![1.0] }).is_err());
        assert!(judge(TaskKind::Embed, None, &Answer::Regions { width_px: 1, height_px: 1, regions: Vec::new() }).is_err());
        assert!(judge(TaskKind::Detect, None, &Answer::Regions { width_px: 0, height_px: 1, regions: Vec::new() }).is_err());
    }

    #[test]
    fn regions_lie_in_their_picture_the_surest_first() {
        let Ok(Kept::Regions { found, .. }) = regions(vec![found("a", 0.2, -3.0, 4.0), found("b", 1.5, 20.0, 30.0)]) else { panic!() };
        assert_eq!((found[0].label.as_str(), found[0].score, found[0].bounds.area_px()), ("b", 1.0, 0.0));
        assert_eq!((found[1].bounds.left_px, found[1].bounds.right_px), (0.0, 4.0));
        assert!(found[0].bounds.left_px <= found[0].bounds.right_px);
    }

    #[test]
    fn regions_without_a_place_or_with_anothers_mask_are_refused() {
        assert!(regions(vec![found("a", 0.5, f32::NAN, 4.0)]).is_err());
        assert!(regions(vec![found("a", f32::NAN, 0.0, 4.0)]).is_err());
        let masked = |width| Found { mask: Some(Mask::empty(width, 5).unwrap()), ..found("a", 0.5, 0.0, 4.0) };
        assert!(regions(vec![masked(10)]).is_ok());
        assert!(regions(vec![masked(11)]).unwrap_err().contains("11 × 5 px"));
    }

    #[test]
    fn of_too_many_regions_the_surest_are_kept() {
        let many = (0..1_200).map(|number| found("a", number as f32 / 1_200.0, 0.0, 1.0)).collect();
        let Ok(Kept::Regions { found, .. }) = regions(many) else { panic!() };
        assert_eq!(found.len(), MOST_REGIONS);
        assert!(found[MOST_REGIONS - 1].score > 0.16);
    }
}
