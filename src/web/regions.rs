//! What is seen in an image, drawn over it and listed: a fragment for the viewer's script, and a page of the viewer for who has none.

mod draw;

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use askama::Template;

use self::draw::{Frame, frames};
use super::{
    State, WebError,
    error::or_not_found,
    image,
    page::{self, Htmx, Pairs},
    search::gallery_href,
};
use crate::{
    db::{
        DbError,
        image::find_cursor,
        regions::{Decision, Origin, StoredRegion, list_regions},
    },
    models::{
        ImageId,
        query::{Like, Term},
    },
};

/// Regions that are drawn; more on one picture nobody can tell apart.
const MOST: usize = 300;
/// Colours in viewer.css.
const HUES: u32 = 8;

/// What is seen in an image.
#[derive(Debug, Clone, Default)]
pub(super) struct RegionsView {
    /// A drawing for each size of picture that something was seen in; each fills the whole picture.
    pub(super) frames: Vec<Frame>,
    pub(super) lines: Vec<RegionLine>,
    /// Regions that are not drawn.
    pub(super) more: usize,
}

/// A region in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RegionLine {
    pub(super) id: i64,
    pub(super) hue: u32,
    pub(super) label: String,
    /// `93 %`; empty for a person's.
    pub(super) score: String,
    /// Who says so.
    pub(super) by: String,
    /// The pictures that look like it.
    pub(super) alike: String,
}

#[derive(Template)]
#[template(path = "regions.html")]
struct RegionsFragment {
    regions: RegionsView,
}

/// `GET /images/{id}/regions`.
pub(super) async fn show(state: Data<State>, path: Path<String>, pairs: Pairs, htmx: Htmx) -> Result<HttpResponse, WebError> {
    let id: ImageId = path.parse().map_err(|_| WebError::NotFound("image"))?;
    let regions = RegionsView::of(list(&state, id).await?);
    if htmx.0 {
        return page::html(&RegionsFragment { regions });
    }
    image::show_with(&state, id, &pairs, regions).await
}

/// The regions of an image that a person has not rejected, the surest first.
pub(super) async fn list(state: &Data<State>, id: ImageId) -> Result<Vec<StoredRegion>, WebError> {
    let found = state.db.run(move |conn| {
        find_cursor(conn, id)?;
        list_regions(conn, id).map_err(DbError::from)
    });
    found.await.map_err(or_not_found("image"))
}

impl RegionsView {
    fn of(mut regions: Vec<StoredRegion>) -> Self {
        regions.retain(|region| region.decision != Some(Decision::Rejected));
        let more = regions.len().saturating_sub(MOST);
        regions.truncate(MOST);
        Self { frames: frames(&regions), lines: regions.iter().map(RegionLine::of).collect(), more }
    }
}

impl RegionLine {
    fn of(region: &StoredRegion) -> Self {
        let by = match (&region.origin, region.decision) {
            (Origin::Person, _) => "drawn by hand".to_owned(),
            (Origin::Network(network), Some(Decision::Confirmed)) => format!("{}, confirmed", network.name),
            (Origin::Network(network), _) => network.name.clone(),
        };
        Self {
            id: region.id.0,
            hue: hue(&region.label),
            label: region.label.clone(),
            score: region.score.map_or_else(String::new, |score| format!("{:.0} %", score * 100.0)),
            by,
            alike: gallery_href(&Term::Like(Like::Region(region.id)).to_string()),
        }
    }
}

/// The colour of a label: the same on every picture.
fn hue(label: &str) -> u32 {
    label.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % HUES
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::models::{
        RegionId,
        task::NetworkVersion,
        vision::{BoundingBox, Mask},
    };

    /// A region found in a picture of 400 × 300.
    pub(super) fn region(id: i64, bounds: [f32; 4], mask: Option<Mask>) -> StoredRegion {
        let [left_px, top_px, right_px, bottom_px] = bounds;
        StoredRegion {
            id: RegionId(id),
            image: ImageId(1),
            label: "dog".into(),
            score: Some(0.934),
            bounds: BoundingBox { left_px, top_px, right_px, bottom_px },
            width_px: 400,
            height_px: 300,
            mask,
            origin: Origin::Network(NetworkVersion { name: "yolo11n-seg".into(), version: "0a1b".into() }),
            decision: None,
            created_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_line_says_what_how_surely_and_who() {
        let one = region(45, [1.0, 2.0, 3.0, 4.0], None);
        let line = RegionLine::of(&one);
        assert_eq!((line.score.as_str(), line.by.as_str(), line.alike.as_str()), ("93 %", "yolo11n-seg", "/?q=like%3Aregion%3A45"));
        let drawn = StoredRegion { origin: Origin::Person, score: None, ..one.clone() };
        assert_eq!((RegionLine::of(&drawn).score.as_str(), RegionLine::of(&drawn).by.as_str()), ("", "drawn by hand"));
        let confirmed = StoredRegion { decision: Some(Decision::Confirmed), ..one };
        assert_eq!(RegionLine::of(&confirmed).by, "yolo11n-seg, confirmed");
    }

    #[test]
    fn what_a_person_rejected_is_not_shown() {
        let one = region(1, [1.0, 2.0, 3.0, 4.0], None);
        let rejected = StoredRegion { id: RegionId(2), decision: Some(Decision::Rejected), ..one.clone() };
        let view = RegionsView::of(vec![one, rejected]);
        assert_eq!(view.lines.iter().map(|line| line.id).collect::<Vec<_>>(), [1]);
    }
}
