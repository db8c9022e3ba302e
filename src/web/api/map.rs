//! `/api/v1/map`: the placed images of a filter, gathered into clusters.

use actix_web::{HttpResponse, web::Data};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    images::{FilterParams, Pairs, PlaceNames, hexadecimal, picture_url, set_of},
    json,
};
use crate::{
    db::map::Cluster,
    models::{
        edit::Place,
        map::{CLOSEST_ZOOM, View},
        query::{Area, Term},
    },
    web::{State, WebError, error::ErrorBody, page::value_of},
};

/// The whole earth.
pub(in crate::web) const WORLD: Area = Area { south_deg: -90.0, west_deg: -180.0, north_deg: 90.0, east_deg: 180.0 };
const DEFAULT_ZOOM: u8 = 2;

/// Which part of the map.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the keys that get_map reads")]
pub(super) struct MapParams {
    /// West, south, east and north in degrees; west is greater than east over the antimeridian. Without it, the whole earth.
    #[param(example = "8.4,47.3,8.7,47.5")]
    bbox: Option<String>,
    /// Zoom of the web's maps: the earth is 256 × 2^zoom pixels wide. A box that is too large for it is answered at a lower zoom.
    #[param(minimum = 0, maximum = 20, default = 2)]
    zoom: Option<u8>,
}

/// Clusters of whole squares of the map.
#[derive(Serialize, ToSchema)]
pub(super) struct MapAnswer {
    /// The zoom answered.
    zoom: u8,
    /// West, south, east and north of what the clusters cover: the box asked for and a little around it.
    bbox: [f64; 4],
    /// Images of all clusters.
    image_count: i64,
    /// Each placed image of the filter in this box is in exactly one.
    clusters: Vec<ClusterEntry>,
}

/// Images that lie close to one another at this zoom.
#[derive(Serialize, ToSchema)]
pub(super) struct ClusterEntry {
    /// Where they lie in the middle.
    latitude_deg: f64,
    /// Where they lie in the middle.
    longitude_deg: f64,
    image_count: i64,
    /// West, south, east and north of their square.
    bbox: [f64; 4],
    /// A condition of the search language that they pass, and of the filter's images no others.
    #[schema(example = "within:47.3,8.4,47.5,8.7")]
    query: String,
    /// One of them.
    image: i64,
    /// Where that one was taken, as a file, a person or the coordinates call it.
    place: Option<PlaceNames>,
    /// Its picture; null when there is nothing to show.
    thumbnail_url: Option<String>,
    /// Its ThumbHash in hexadecimal; null until it is made.
    placeholder: Option<String>,
}

fn bbox(area: &Area) -> [f64; 4] {
    [area.west_deg, area.south_deg, area.east_deg, area.north_deg]
}

impl From<Cluster> for ClusterEntry {
    fn from(cluster: Cluster) -> Self {
        let area = cluster.cell.area();
        let Cluster { city, state, country, .. } = cluster;
        Self {
            latitude_deg: cluster.latitude_deg,
            longitude_deg: cluster.longitude_deg,
            image_count: cluster.image_count,
            bbox: bbox(&area),
            query: Term::Within(area).to_string(),
            image: cluster.image.0,
            place: PlaceNames::of(Place { city, state, country, country_code: None }),
            thumbnail_url: picture_url(cluster.image, "thumbnail", cluster.picture_key.as_deref()),
            placeholder: cluster.placeholder.as_deref().map(hexadecimal),
        }
    }
}

/// Reads west, south, east and north.
pub(in crate::web) fn area_of(text: &str) -> Option<Area> {
    let mut sides = text.split(',').map(|side| side.trim().parse::<f64>().ok().filter(|degrees| degrees.is_finite()));
    let mut side = || sides.next().flatten();
    let (west_deg, south_deg, east_deg, north_deg) = (side()?, side()?, side()?, side()?);
    let is_one = [west_deg, east_deg].iter().all(|degrees| degrees.abs() <= 180.0)
        && [south_deg, north_deg].iter().all(|degrees| degrees.abs() <= 90.0)
        && south_deg <= north_deg
        && sides.next().is_none();
    is_one.then_some(Area { south_deg, west_deg, north_deg, east_deg })
}

/// The placed images of a filter as clusters.
#[utoipa::path(get, path = "/api/v1/map", tag = "images", params(MapParams, FilterParams), responses(
    (status = 200, body = MapAnswer),
    (status = 400, description = "A key that is not understood", body = ErrorBody),
))]
pub(in crate::web) async fn get_map(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let filter = set_of(&pairs)?;
    let bad =
        |key: &str, value: &str, expected: &str| WebError::BadRequest(format!("`{key}={value}` is not understood: expected {expected}"));
    let area = match value_of(&pairs, "bbox") {
        None => WORLD,
        Some(text) => {
            area_of(text).ok_or_else(|| bad("bbox", text, "west, south, east and north in degrees, such as 8.4,47.3,8.7,47.5"))?
        }
    };
    let zoom = match value_of(&pairs, "zoom") {
        None => DEFAULT_ZOOM,
        Some(text) => {
            let zoom = text.parse().ok().filter(|zoom| *zoom <= CLOSEST_ZOOM);
            zoom.ok_or_else(|| bad("zoom", text, "a whole number from 0 to 20"))?
        }
    };
    let view = View::of(&area, zoom);
    let clusters = state.clusters(&filter, &view).await?;
    Ok(json(&MapAnswer {
        zoom: view.zoom,
        bbox: bbox(view.area.as_ref().unwrap_or(&WORLD)),
        image_count: clusters.iter().map(|cluster| cluster.image_count).sum(),
        clusters: clusters.iter().cloned().map(ClusterEntry::from).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_four_numbers_on_earth() {
        let fiji = area_of("177, -20,-178,-15").unwrap();
        assert_eq!((fiji.west_deg, fiji.south_deg, fiji.east_deg, fiji.north_deg), (177.0, -20.0, -178.0, -15.0));
        for bad in ["", "1,2,3", "1,2,3,4,5", "1,5,3,4", "181,0,0,1", "0,-91,1,0", "nan,0,1,1", "a,b,c,d"] {
            assert_eq!(area_of(bad), None, "{bad}");
        }
    }
}
