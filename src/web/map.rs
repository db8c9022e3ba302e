//! The map: its page with the countries and towns of a filter, the names of towns and places for its script, and what the viewer says
//! about an image's place. The clusters themselves come from `/api/v1/map`.

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION},
    web::{Data, Path},
};
use askama::Template;
use serde::Serialize;

use super::{
    State, WebError, Who, api,
    error::or_not_found,
    guard,
    page::{self, Layout, Pairs, Tab},
};
use crate::{
    db::{
        edits::{Selection, apply_edits},
        image::{ImageRow, find_image},
        map::{CountryCount, TownCount},
    },
    models::{
        Filter, ImageId, Query,
        edit::{Change, Place},
        gazetteer::{self, NamedTown, towns_named, towns_within, whereabouts},
        query::{Like, Name, Term},
    },
};

/// `pick=` of what is selected in the gallery.
const SELECTION: &str = "selection";
/// Towns of a country that are listed at once; the others are behind a click.
const TOWNS_AT_ONCE: usize = 5;
/// Towns offered by their names at a time.
const MOST_CHOICES: usize = 8;
/// Towns written on the map.
const MOST_LABELS: usize = 60;
/// The towns written on a map of the whole earth have more people than this; a zoom closer halves it and more.
const LABEL_PEOPLE: f64 = 8e6;

/// A country or town as a link to its photos.
#[derive(Debug)]
struct PlaceLink {
    name: String,
    count: String,
    href: String,
    towns: Vec<PlaceLink>,
}

impl PlaceLink {
    fn new(filter: &Filter, name: &str, count: i64, terms: Vec<Term>) -> Self {
        let query = Query::all(std::iter::once(filter.query.clone()).chain(terms.into_iter().map(Query::Term)));
        let href = page::address("/", &Filter { query, ..filter.clone() }, &[]);
        Self { name: name.to_owned(), count: page::photos(count), href, towns: Vec::new() }
    }

    fn country(filter: &Filter, country: &CountryCount) -> Self {
        let term = Name::whole(&country.name).map(Term::Country);
        let town = |town: &TownCount| {
            let terms = Name::whole(&town.name).map(Term::City).into_iter().chain(term.clone()).collect();
            Self::new(filter, &town.name, town.image_count, terms)
        };
        let towns = country.towns.iter().map(town).collect();
        Self { towns, ..Self::new(filter, &country.name, country.image_count, term.clone().into_iter().collect()) }
    }

    fn first_towns(&self) -> &[Self] {
        &self.towns[..self.towns.len().min(TOWNS_AT_ONCE)]
    }

    fn other_towns(&self) -> &[Self] {
        &self.towns[self.towns.len().min(TOWNS_AT_ONCE)..]
    }
}

/// What is to get a place.
#[derive(Debug)]
struct Pick {
    /// An image's id, or `selection`: what the script keeps of the gallery's.
    id: String,
    question: String,
    src: Option<String>,
    /// Latitude and longitude, where there is a place already.
    place: Option<String>,
    back: String,
}

#[derive(Template)]
#[template(path = "map.html")]
struct MapPage {
    layout: Layout,
    /// The filter as a query, for the script.
    query: String,
    chips: Vec<(String, String)>,
    countries: Vec<PlaceLink>,
    pick: Option<Pick>,
    tiles: Option<String>,
    tile_attribution: Option<String>,
    attribution: &'static str,
    short_attribution: &'static str,
}

/// `GET /map?at=LATITUDE,LONGITUDE,ZOOM`: the photos of a filter on the map; with `pick=` the choice of the place of one image,
/// or of the gallery's selection.
pub(super) async fn show(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let filter = page::filter_of(&pairs)?;
    if filter.query.like().is_some() {
        // An order has no place on the map; the box on this page takes any search.
        return Ok(page::see_other(&page::address("/", &filter, &[])));
    }
    let pick = match page::value_of(&pairs, "pick") {
        None => None,
        Some(SELECTION) => Some(Pick {
            id: SELECTION.to_owned(),
            question: "Where were these photos taken?".to_owned(),
            src: None,
            place: None,
            back: page::address("/", &filter, &[]),
        }),
        Some(id) => {
            let id: ImageId = id.parse().map_err(|_| WebError::NotFound("image"))?;
            let image = state.db.run(move |conn| find_image(conn, id)).await.map_err(or_not_found("image"))?.image;
            Some(Pick {
                id: id.to_string(),
                src: image.picture_key.as_deref().map(|key| page::thumbnail_src(id, key)),
                place: image.latitude_deg.zip(image.longitude_deg).map(|(latitude, longitude)| format!("{latitude},{longitude}")),
                back: page::address(&format!("/images/{id}"), &filter, &[]),
                question: format!("Where was {} taken?", image.title.unwrap_or(image.base_name)),
            })
        }
    };
    let countries = state.places(&filter).await?;
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let answer = page::html(&MapPage {
        query: page::query(&filter, &[]),
        chips: chips(&filter),
        countries: countries.iter().map(|country| PlaceLink::country(&filter, country)).collect(),
        pick,
        tiles: given(&state.map.tile_url),
        tile_attribution: given(&state.map.tile_attribution),
        attribution: gazetteer::ATTRIBUTION,
        short_attribution: gazetteer::SHORT_ATTRIBUTION,
        layout: Layout { title: "Map".to_owned(), tab: Tab::Map, filter },
    });
    let mut answer = answer?;
    // Tiles are fetched from the one place that the owner named, and on this page alone.
    if let Some(policy) = state.map.tile_origin().and_then(|origin| guard::policy_with_images_of(&origin)) {
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    Ok(answer)
}

/// The conditions in force, each with the map without it.
fn chips(filter: &Filter) -> Vec<(String, String)> {
    let parts = filter.query.conjuncts();
    let of_query = parts.iter().enumerate().map(|(gone, part)| {
        let others = parts.iter().enumerate().filter(|(index, _)| *index != gone).map(|(_, part)| part.clone());
        (query_words(part), page::address("/map", &Filter { query: Query::all(others), ..filter.clone() }, &[]))
    });
    let pairs = filter.to_pairs();
    let of_pairs = pairs.iter().filter(|(key, _)| *key != "q").filter_map(|(gone, value)| {
        let others = pairs.iter().filter(|(key, _)| key != gone && (*gone != "year" || *key != "month"));
        let other = Filter::from_pairs(others.map(|(key, value)| (*key, value.as_str()))).ok()?;
        let words = if *gone == "folder" { "One folder".to_owned() } else { format!("{gone}: {value}") };
        Some((words, page::address("/map", &other, &[])))
    });
    of_query.chain(of_pairs).collect()
}

/// A condition of a search as a chip says it.
pub(super) fn query_words(part: &Query) -> String {
    match part {
        Query::Term(Term::Words(text) | Term::Phrase(text)) => format!("“{text}”"),
        Query::Term(Term::Within(_)) => "A part of the map".to_owned(),
        Query::Term(Term::Like(Like::Words(words))) => format!("Shows “{words}”"),
        Query::Term(Term::Like(Like::Image(_))) => "Like a picture".to_owned(),
        Query::Term(Term::Like(Like::Region(_))) => "Like a part of a picture".to_owned(),
        part => part.to_string(),
    }
}

#[derive(Serialize)]
struct TownLabel {
    name: &'static str,
    latitude_deg: f64,
    longitude_deg: f64,
    people: f64,
}

/// `GET /map/towns.json?bbox=&zoom=`: the greatest towns of a box, to be written on the map.
pub(super) async fn show_towns(pairs: Pairs) -> Result<HttpResponse, WebError> {
    let area = page::value_of(&pairs, "bbox").and_then(api::map::area_of);
    let area = area.ok_or_else(|| WebError::BadRequest("`bbox` is expected to be west, south, east and north in degrees".to_owned()))?;
    let zoom: f64 = page::value_of(&pairs, "zoom").and_then(|zoom| zoom.parse().ok()).unwrap_or(2.0);
    let least = LABEL_PEOPLE / 2.6_f64.powf(zoom.clamp(0.0, 20.0) - 1.0);
    let towns = towns_within(area.south_deg, area.west_deg, area.north_deg, area.east_deg, least, MOST_LABELS);
    let labels: Vec<TownLabel> = towns
        .into_iter()
        .map(|town| TownLabel { name: town.name, latitude_deg: town.latitude_deg, longitude_deg: town.longitude_deg, people: town.people })
        .collect();
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "private, max-age=86400")).json(labels))
}

/// A town that could be meant.
#[derive(Debug)]
struct TownChoice {
    /// As it is put in: `Paris, Texas, United States`.
    words: String,
    name: &'static str,
    around: String,
    /// Latitude and longitude.
    place: String,
}

#[derive(Template)]
#[template(path = "towns.html")]
struct TownChoices {
    choices: Vec<TownChoice>,
}

/// `GET /map/towns?words=`: towns that could be meant by what is typed, the greatest first.
pub(super) async fn find_towns(pairs: Pairs) -> Result<HttpResponse, WebError> {
    let typed = page::value_of(&pairs, "words").unwrap_or_default().to_owned();
    // The first question folds the names of all towns.
    let found = actix_web::web::block(move || towns_named(&typed, MOST_CHOICES)).await;
    let choice = |NamedTown { town, place }: NamedTown| TownChoice {
        words: place_words(&place).unwrap_or_default(),
        name: town.name,
        around: place_words(&Place { city: None, ..place }).unwrap_or_default(),
        place: format!("{:.4},{:.4}", town.latitude_deg, town.longitude_deg),
    };
    let choices = found.map_err(|error| WebError::Internal(error.to_string()))?.into_iter().map(choice).collect();
    page::html(&TownChoices { choices })
}

#[derive(Serialize)]
struct PlaceWords {
    words: String,
}

/// `GET /map/place.json?at=LATITUDE,LONGITUDE`: what a place is called.
pub(super) async fn show_place(pairs: Pairs) -> Result<HttpResponse, WebError> {
    let degrees = page::value_of(&pairs, "at").and_then(|at| at.split_once(','));
    let degrees = degrees.and_then(|(latitude, longitude)| Some((latitude.parse().ok()?, longitude.parse().ok()?)));
    let (latitude_deg, longitude_deg): (f64, f64) =
        degrees.ok_or_else(|| WebError::BadRequest("`at` is expected to be a latitude and a longitude in degrees".to_owned()))?;
    let words = place_words(&whereabouts(latitude_deg, longitude_deg)).unwrap_or_else(|| "At sea, or far from any town".to_owned());
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "private, max-age=86400")).json(PlaceWords { words }))
}

/// `Zürich, Switzerland`, each name once; `None` of no name.
fn place_words(place: &Place) -> Option<String> {
    let mut names: Vec<&str> = [&place.city, &place.state, &place.country].into_iter().flatten().map(String::as_str).collect();
    names.dedup();
    Some(names.join(", ")).filter(|words| !words.is_empty())
}

/// `POST /images/{id}/place-names`: makes what the coordinates are called what the owner says, where nobody has named the place.
pub(super) async fn name_place(state: Data<State>, who: Who, id: Path<String>) -> Result<HttpResponse, WebError> {
    let image: ImageId = id.parse().map_err(|_| WebError::NotFound("image"))?;
    let named = state.db.run(move |conn| {
        crate::db::image::find_cursor(conn, image)?;
        apply_edits(conn, &who.name, &Selection::Images(vec![image]), &[Change::NamePlace])
    });
    named.await.map_err(or_not_found("image"))??;
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, format!("/images/{image}"))).finish())
}

/// What the viewer says about an image's place beside what its file or a person says.
#[derive(Debug)]
pub(super) struct PlaceView {
    /// What the coordinates are called, unless that is said already.
    pub(super) derived: Option<String>,
    /// Where the form leads that keeps these names; `None` where the place has names.
    pub(super) keep: Option<String>,
    /// The image's place on the map.
    pub(super) map: Option<String>,
    /// Where its place is chosen.
    pub(super) pick: String,
}

impl PlaceView {
    /// Of an image, found by a filter.
    pub(super) fn of(image: &ImageRow, filter: &Filter) -> Self {
        let said = [&image.city, &image.state, &image.country, &image.country_code];
        let derived = Place {
            city: image.gps_city.clone(),
            state: image.gps_state.clone(),
            country: image.gps_country.clone(),
            country_code: image.gps_country_code.clone(),
        };
        let is_said = said.iter().any(|name| name.is_some());
        let says_the_same = [&image.city, &image.state, &image.country] == [&derived.city, &derived.state, &derived.country];
        let words = place_words(&derived).filter(|_| !says_the_same);
        let at = image.latitude_deg.zip(image.longitude_deg).map(|(latitude, longitude)| format!("{latitude:.5},{longitude:.5},14"));
        Self {
            keep: words.is_some().then(|| format!("/images/{}/place-names", image.id)).filter(|_| !is_said),
            derived: words,
            map: at.map(|at| page::address("/map", filter, &[("at", at)])),
            pick: page::address("/map", filter, &[("pick", image.id.to_string())]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_said_with_each_name_once() {
        let named = |city: &str, state: &str, country: &str| {
            let name = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            place_words(&Place { city: name(city), state: name(state), country: name(country), country_code: None })
        };
        assert_eq!(named("Singapore", "Singapore", "Singapore").as_deref(), Some("Singapore"));
        assert_eq!(named("Bern", "", "Switzerland").as_deref(), Some("Bern, Switzerland"));
        assert_eq!(named("", "", ""), None);
    }

    #[test]
    fn chips_lead_to_the_map_without_their_condition() {
        let filter = Filter::from_pairs([("year", "2019"), ("month", "8"), ("q", "lake within:1,2,3,4")]).unwrap();
        let chips = chips(&filter);
        let words: Vec<&str> = chips.iter().map(|(words, _)| words.as_str()).collect();
        assert_eq!(words, ["“lake”", "A part of the map", "year: 2019", "month: 8"]);
        assert_eq!(chips[1].1, "/map?year=2019&month=8&q=lake");
        assert_eq!(chips[2].1, "/map?q=lake%20within%3A1%2C2%2C3%2C4");
    }
}
