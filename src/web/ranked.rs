//! Images in the order of their likeness to something: the page of a search with `like:`, its next rows, and the row of the best above
//! what is found by text.
//!
//! Apart from the gallery, because here nothing is a matter of days: a page is so many images from a place in the order on.

use actix_web::{HttpResponse, web::Data};
use askama::Template;

use super::{
    State, WebError,
    error::or_not_found,
    gallery::{Chip, chips, colors},
    page::{self, Layout, Pairs, Tab},
    tiles::Tile,
};
use crate::{
    db::{
        DbError, PgConnection,
        folders::breadcrumbs,
        gallery::{GalleryCard, list_cards_by_id},
        nearest::{MOST_RANKED, nearest_but},
        ranked::Seen,
        regions::find_region,
    },
    models::{
        Filter, FilterError, ImageId, NetworkId, Query,
        query::{Like, Term},
        task::NetworkVersion,
    },
};

/// Images that a page brings along: with one more, what is ranked at once.
const PAGE_SIZE: usize = 100;
/// Images in the row of the best.
const BEST: usize = 12;
/// A piece of an order.
#[derive(Debug)]
pub(super) struct Ranking {
    /// Who put them into this order.
    pub(super) network: NetworkVersion,
    /// From the place on that was asked for, the most alike first, each with the cosine of its likeness.
    pub(super) cards: Vec<(GalleryCard, f32)>,
    /// Whether the order goes on.
    pub(super) has_more: bool,
    /// How many images of the filter could stand in it; asked for with its beginning alone.
    pub(super) seen: Option<Seen>,
}

/// Puts what passes a filter with a `like:` into its order, and finds `limit` images of it from `offset` on.
///
/// # Errors
/// As `Ask::direction`.
pub(super) async fn rank(state: &Data<State>, filter: &Filter, offset: usize, limit: usize) -> Result<Ranking, WebError> {
    let like = filter.query.like().ok_or_else(|| WebError::Internal("an order is asked for, and there is no `like:`".to_owned()))?;
    let ask = state.ask.as_ref().ok_or_else(super::ask::none_imported)?;
    let direction = ask.direction(state, like).await?;
    // What others are to be like is no answer.
    let but = match like {
        Like::Image(image) => Some(*image),
        Like::Words(_) | Like::Region(_) => None,
    };
    let within = filter.without_like();
    let most = usize::try_from(MOST_RANKED).unwrap_or(usize::MAX);
    let limit = limit.min(most.saturating_sub(offset));
    let seen = if offset == 0 { Some(*state.seen(&within, direction.id).await?) } else { None };
    let Some(id) = direction.id else {
        return Ok(Ranking { network: direction.network, cards: Vec::new(), has_more: false, seen });
    };
    let vector = direction.vector;
    let (mut cards, found) = state.db.run(move |conn| find(conn, id, &vector, (&within, but), offset, limit + 1)).await?;
    cards.truncate(limit);
    Ok(Ranking { network: direction.network, cards, has_more: found > limit && offset + limit < most, seen })
}

/// The cards of what passes a filter but one image, and how many images were found: one may be gone between the two questions.
fn find(
    conn: &mut PgConnection,
    network: NetworkId,
    vector: &[f32],
    (within, but): (&Filter, Option<ImageId>),
    offset: usize,
    limit: usize,
) -> Result<(Vec<(GalleryCard, f32)>, usize), DbError> {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let found = nearest_but(conn, network, vector, within, but, number(limit), number(offset))?;
    let ids: Vec<ImageId> = found.iter().map(|(id, _)| *id).collect();
    let mut cards = list_cards_by_id(conn, &ids)?;
    let scored = found.iter().filter_map(|(id, score)| {
        let at = cards.iter().position(|card| card.id == *id)?;
        Some((cards.swap_remove(at), *score))
    });
    Ok((scored.collect(), found.len()))
}

/// The images before and after a place in the order, each with its own place.
pub(super) async fn around(
    state: &Data<State>,
    filter: &Filter,
    place: usize,
) -> Result<(Option<(ImageId, usize)>, Option<(ImageId, usize)>), WebError> {
    let first = place.saturating_sub(1);
    let found = rank(state, filter, first, place - first + 2).await?;
    let at = |place: usize| found.cards.get(place - first).map(|(card, _)| (card.id, place));
    Ok((place.checked_sub(1).and_then(at), at(place + 1)))
}

/// What the page shows.
#[derive(Debug)]
pub(super) struct RankedView {
    /// `Pictures that show “snow”`.
    heading: String,
    /// What comes before that, where the search was another.
    before: Option<String>,
    /// How much of the library the order is of.
    note: Option<String>,
    /// The picture that they are like.
    source: Option<Source>,
    tiles: Vec<Tile>,
    /// Why there are none: a sentence, and a way on.
    lack: Option<(String, Option<(String, &'static str)>)>,
    /// The filter as a query, for the script.
    query: String,
    /// The page of the images that follow, and their rows alone.
    next: Option<(String, String)>,
    /// The beginning, from any place behind it.
    first: Option<String>,
    chips: Vec<Chip>,
    /// An order is not taken along.
    exports: Vec<(&'static str, String)>,
    here: String,
}

impl RankedView {
    /// The colours to choose from: name and words.
    fn colors(&self) -> Vec<(&'static str, String)> {
        colors()
    }
}

/// The picture that others are like.
#[derive(Debug)]
struct Source {
    href: String,
    src: Option<String>,
    alt: String,
}

#[derive(Template)]
#[template(path = "ranked.html")]
struct RankedPage {
    layout: Layout,
    view: RankedView,
}

#[derive(Template)]
#[template(path = "ranked_more.html")]
struct RowsFragment {
    view: RankedView,
}

/// The best of an order, above what text finds.
#[derive(Template)]
#[template(path = "best.html")]
struct BestFragment {
    heading: String,
    tiles: Vec<Tile>,
    note: Option<String>,
    all: String,
}

/// `offset=` of an address.
fn offset_of(pairs: &[(String, String)]) -> Result<usize, FilterError> {
    let Some(text) = page::value_of(pairs, "offset") else { return Ok(0) };
    let offset = text.parse().ok().filter(|offset| i64::try_from(*offset).is_ok_and(|offset| offset < MOST_RANKED));
    offset.ok_or_else(|| FilterError { key: "offset".into(), value: text.into(), expected: "a whole number below 2000" })
}

/// The page of a filter with a `like:`.
pub(super) async fn show(state: &Data<State>, pairs: &[(String, String)], filter: Filter) -> Result<HttpResponse, WebError> {
    let offset = offset_of(pairs)?;
    let ranking = rank(state, &filter, offset, PAGE_SIZE).await;
    let view = RankedView { chips: chips_of(state, &filter).await?, ..view(state, &filter, offset, ranking).await? };
    page::html(&RankedPage { layout: Layout { title: view.heading.clone(), tab: Tab::Photos, filter }, view })
}

/// The page of words that no text has, by what pictures show; `None` where nothing has been looked at, or nothing can be.
pub(super) async fn show_instead(state: &Data<State>, filter: &Filter) -> Result<Option<HttpResponse>, WebError> {
    let Some((words, ordered)) = by_words(filter) else { return Ok(None) };
    let ranking = match rank(state, &ordered, 0, PAGE_SIZE).await {
        Ok(ranking) if !ranking.cards.is_empty() => ranking,
        Ok(_) | Err(WebError::NoNetwork(_) | WebError::NoVectors(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let view = RankedView {
        before: Some(format!("No title, keyword, place or name has “{words}”.")),
        chips: chips_of(state, filter).await?,
        ..view(state, &ordered, 0, Ok(ranking)).await?
    };
    Ok(Some(page::html(&RankedPage { layout: Layout { title: view.heading.clone(), tab: Tab::Photos, filter: filter.clone() }, view })?))
}

/// The filter that asks for the words of a search in pictures instead of in texts.
pub(super) fn by_words(filter: &Filter) -> Option<(String, Filter)> {
    let (words, rest) = filter.query.words_and_rest()?;
    let query = Query::all([Query::Term(Term::Like(Like::Words(words.clone()))), rest]);
    // Two orders there cannot be.
    filter.query.like().is_none().then(|| (words, Filter { query, ..filter.clone() }))
}

async fn chips_of(state: &Data<State>, filter: &Filter) -> Result<Vec<Chip>, WebError> {
    let Some(folder) = filter.folder else { return Ok(chips(filter, None)) };
    let steps = state.db.run(move |conn| breadcrumbs(conn, folder)).await?;
    let name = steps.map(|steps| steps.into_iter().map(|step| step.name).collect::<Vec<_>>().join("/"));
    Ok(chips(filter, name))
}

async fn view(state: &Data<State>, filter: &Filter, offset: usize, ranking: Result<Ranking, WebError>) -> Result<RankedView, WebError> {
    let (heading, source) = match describe(state, filter).await {
        Ok(described) => described,
        // An old address, or a number that was typed: the page says so, and has the search to go on with.
        Err(WebError::NotFound(what)) => return Ok(gone(what, filter)),
        Err(error) => return Err(error),
    };
    let (ranking, lack) = match ranking {
        Ok(ranking) => {
            let lack = ranking.cards.is_empty().then(|| (nothing(&ranking), None));
            (Some(ranking), lack)
        }
        Err(error @ (WebError::NoNetwork(_) | WebError::NoVectors(_))) => {
            (None, Some((error.to_string(), error.recovery().map(|(href, name)| (href.to_owned(), name)))))
        }
        Err(error) => return Err(error),
    };
    let (cards, has_more) = ranking.as_ref().map_or((&[][..], false), |ranking| (ranking.cards.as_slice(), ranking.has_more));
    let tile = |(index, (card, score)): (usize, &(GalleryCard, f32))| Tile::ranked(card, filter, offset + index, *score);
    let tiles: Vec<Tile> = cards.iter().enumerate().map(tile).collect();
    let after = [("offset", (offset + PAGE_SIZE).to_string())];
    Ok(RankedView {
        heading,
        before: None,
        note: ranking.as_ref().and_then(|ranking| note(ranking.seen?)),
        source,
        tiles,
        lack,
        query: page::query(filter, &[]),
        next: has_more.then(|| (page::address("/", filter, &after), page::address("/ranked", filter, &after))),
        first: (offset > 0).then(|| page::address("/", filter, &[])),
        chips: Vec::new(),
        exports: Vec::new(),
        here: page::address("/", filter, &[]),
    })
}

/// What is shown where the image or region that others are to be like is not there.
fn gone(what: &'static str, filter: &Filter) -> RankedView {
    let is_image = what == "image";
    let heading = if is_image { "Pictures like one that is gone" } else { "Pictures like a part of one that is gone" };
    let words = if is_image {
        "There is no photo of this number: it may have become one with another, or its folder left the library."
    } else {
        "What was seen there is no longer known: its photo may be gone, or a network has looked at it anew."
    };
    RankedView {
        heading: heading.to_owned(),
        before: None,
        note: None,
        source: None,
        tiles: Vec::new(),
        lack: Some((words.to_owned(), Some((page::address("/", &filter.without_like(), &[]), "Photos without this condition")))),
        query: page::query(filter, &[]),
        next: None,
        first: None,
        chips: Vec::new(),
        exports: Vec::new(),
        here: page::address("/", filter, &[]),
    }
}

/// `GET /ranked?offset=`: the rows from a place in the order on.
pub(super) async fn rows(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let filter = page::filter_of(&pairs)?;
    if filter.query.like().is_none() {
        return Err(WebError::BadRequest("`q` is expected to have a `like:`".to_owned()));
    }
    let offset = offset_of(&pairs)?;
    let ranking = rank(&state, &filter, offset, PAGE_SIZE).await?;
    page::html(&RowsFragment { view: view(&state, &filter, offset, Ok(ranking)).await? })
}

/// `GET /ranked/best`: the pictures that show the words of a search, for above what its text finds.
pub(super) async fn best(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let filter = page::filter_of(&pairs)?;
    let (words, ordered) = by_words(&filter).ok_or_else(|| WebError::BadRequest("`q` is expected to have words".to_owned()))?;
    let ranking = rank(&state, &ordered, 0, BEST).await?;
    let tile = |(index, (card, score)): (usize, &(GalleryCard, f32))| Tile::ranked(card, &ordered, index, *score);
    page::html(&BestFragment {
        heading: shows(&words),
        tiles: ranking.cards.iter().enumerate().map(tile).collect(),
        note: ranking.seen.and_then(note),
        all: page::address("/", &ordered, &[]),
    })
}

fn shows(words: &str) -> String {
    format!("Pictures that show “{words}”")
}

/// What the images are like: in words, and the picture where there is one.
async fn describe(state: &Data<State>, filter: &Filter) -> Result<(String, Option<Source>), WebError> {
    let like = match filter.query.like() {
        Some(Like::Words(words)) => return Ok((shows(words), None)),
        Some(like) => like.clone(),
        None => return Ok(("Pictures".to_owned(), None)),
    };
    let found = state.db.run(move |conn| {
        let (image, label) = match like {
            Like::Image(image) => (image, None),
            Like::Region(region) => find_region(conn, region).map(|found| (found.image, Some(found.label)))?,
            Like::Words(_) => return Ok::<_, crate::db::QueryError>((None, None)),
        };
        Ok((list_cards_by_id(conn, &[image])?.pop(), label))
    });
    let (card, label) = found.await.map_err(or_not_found("region"))?;
    let card = card.ok_or(WebError::NotFound("image"))?;
    let heading = match label {
        Some(label) => format!("Pictures like the {label} in {}", card.base_name),
        None => format!("Pictures like {}", card.base_name),
    };
    let source = Source {
        href: format!("/images/{}", card.id),
        src: card.picture_key.as_deref().map(|key| page::thumbnail_src(card.id, key)),
        alt: card.base_name,
    };
    Ok((heading, Some(source)))
}

/// `12,000 of 700,000 pictures are not looked at yet.`
pub(super) fn note(seen: Seen) -> Option<String> {
    let Seen { lacking, all } = seen;
    let verb = if lacking == 1 { "is" } else { "are" };
    (lacking > 0).then(|| format!("{} of {} pictures {verb} not looked at yet.", page::grouped(lacking), page::grouped(all)))
}

fn nothing(ranking: &Ranking) -> String {
    match ranking.seen {
        Some(Seen { all: 0, .. }) => "No picture passes the other filters.".to_owned(),
        Some(Seen { lacking, all }) if lacking == all => {
            format!("{} has not looked at any of these pictures yet. It will, the newest first.", ranking.network.name)
        }
        Some(_) => "No other picture was found.".to_owned(),
        None => "The order ends here.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_looked_at_is_counted() {
        let note = |lacking, all| note(Seen { lacking, all });
        assert_eq!(note(12_000, 700_000).as_deref(), Some("12,000 of 700,000 pictures are not looked at yet."));
        assert_eq!(note(1, 7).as_deref(), Some("1 of 7 pictures is not looked at yet."));
        assert_eq!(note(0, 7), None);
    }

    #[test]
    fn the_words_of_a_text_search_become_the_order_within_the_rest() {
        let filter = |q: &str| Filter { query: q.parse().unwrap(), year: Some(2019), ..Filter::default() };
        let (words, ordered) = by_words(&filter("red truck rating:>=3")).unwrap();
        assert_eq!((words.as_str(), ordered), ("red truck", filter("like:\"red truck\" rating:>=3")));
        assert!(by_words(&filter("rating:5")).is_none() && by_words(&filter("lake like:snow")).is_none());
    }

    #[test]
    fn a_place_in_the_order_is_a_number_below_its_end() {
        let offset = |text: &str| offset_of(&[("offset".to_owned(), text.to_owned())]);
        assert_eq!((offset("120").unwrap(), offset("").unwrap()), (120, 0));
        assert!(offset("-1").is_err() && offset("2000").is_err() && offset("x").is_err());
    }
}
