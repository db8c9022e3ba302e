//! Changing images from a page: one in the viewer, many in the gallery, taking it back, and the history of one image.
//!
//! Every change is an ordinary form. With `HX-Request` the answer is what the page shows next: the panel of the image, or a sentence that
//! names the batch so that it can be taken back; without it, the way back to where the form stood.

mod form;
mod progress;
mod words;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Form, Path, Query},
};
use askama::Template;

use self::form::{Asked, asked};
pub(super) use self::form::{flag, in_words};
pub(super) use self::progress::{UnderWay, progress, tell};
pub(super) use self::words::{change_words, color_words, field_words, number_of_stars, offset_words, place_name, place_words, value_words};
use super::{
    State, WebError, Who,
    error::or_not_found,
    image,
    page::{self, Htmx, Layout, Pairs, Tab, grouped, is_local, photos, see_other, value_of},
};
use crate::{
    db::{
        DbError,
        edits::{
            Batch, HistoryEntry, Selection, Turn, Undone, apply_edits, apply_edits_telling, list_history, turn_batch_telling, turn_edit,
        },
        image::find_image,
        suggest::suggest,
    },
    models::{
        BatchId, Filter, Gps, ImageId,
        edit::{Change, Place, Value},
        query::Slot,
    },
};

/// The fields of a form, in their order.
pub(super) type Fields = Form<Vec<(String, String)>>;

/// Entries of a history that are shown at a time.
const MOST_ENTRIES: i64 = 50;
/// Keywords offered at a time.
const MOST_KEYWORDS: usize = 10;

/// What was done, for whoever did it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Template)]
#[template(path = "said.html")]
pub(super) struct Said {
    /// Names it, to take it back; `None` when nothing changed.
    pub(super) batch: Option<i64>,
    /// Where it is taken back, if it is no edit of images.
    pub(super) undo: Option<String>,
    /// Images that are different now.
    pub(super) changed: usize,
    /// The sentence.
    pub(super) words: String,
}

impl Said {
    pub(super) fn of_many(batch: Batch, words: &str) -> Self {
        let Batch { changed, unchanged, missing, .. } = batch;
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let mut said = format!("{}: {words}", photos(count(changed + unchanged)));
        if changed == 0 {
            said.push_str(", as before");
        } else if unchanged > 0 {
            said.push_str(&format!(" ({} were so already)", grouped(count(unchanged))));
        }
        if missing > 0 {
            said.push_str(&format!("; {} no longer in the library", photos(count(missing))));
        }
        Self { batch: batch.id.map(|id| id.0), changed, words: said, ..Self::default() }
    }

    fn of_turn(turned: Undone, turn: Turn) -> Self {
        let Undone { changed, skipped } = turned;
        let verb = match turn {
            Turn::Back => "Undone",
            Turn::Again => "Done again",
        };
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let mut words = if changed == 0 { format!("{verb}: nothing") } else { format!("{verb}: {}", photos(count(changed))) };
        if skipped > 0 {
            let left = if skipped == 1 {
                "1 change was left alone: it was"
            } else {
                &format!("{} changes were left alone: they were", grouped(count(skipped)))
            };
            words.push_str(&format!("; {left} changed again since"));
        }
        Self { changed, words, ..Self::default() }
    }
}

/// `POST /images/{id}/edit`: changes one image; then its page, or its panel.
pub(super) async fn edit_one(
    state: Data<State>,
    who: Who,
    id: Path<String>,
    pairs: Pairs,
    fields: Fields,
    htmx: Htmx,
) -> Result<HttpResponse, WebError> {
    let id: ImageId = id.parse().map_err(|_| WebError::NotFound("image"))?;
    let filter = page::filter_of(&pairs)?;
    let Asked { changes, words } = asked_in(&state, &fields).await?;
    let edited = state.db.run(move |conn| match apply_edits(conn, &who.name, &Selection::Images(vec![id]), &changes)? {
        Ok(batch) => find_image(conn, id).map(|found| Ok((batch, found))),
        Err(error) => Ok(Err(error)),
    });
    let (batch, found) = edited.await.map_err(or_not_found("image"))?.map_err(in_words)?;
    if !htmx.0 {
        return Ok(see_other(&page::address(&format!("/images/{id}"), &filter, &[])));
    }
    let said = Said { batch: batch.id.map(|id| id.0), changed: batch.changed, words, ..Said::default() };
    page::html(&image::panel(&found, &filter, said))
}

/// `POST /edits`: changes each `image`, or with `all` those of `filter` but each `except`; then back. Meanwhile it is told by the word in
/// `progress` how far it is.
pub(super) async fn edit_many(state: Data<State>, who: Who, fields: Fields, request: HttpRequest) -> Result<HttpResponse, WebError> {
    let selection = selection(&fields)?;
    let Asked { changes, words } = asked_in(&state, &fields).await?;
    let told = tell(&state, &fields);
    let mut teller = told.teller();
    let edited = state.db.run(move |conn| apply_edits_telling(conn, &who.name, &selection, &changes, &mut teller));
    let batch = edited.await?.map_err(in_words)?;
    drop(told);
    answer(&request, &fields, "/", Said::of_many(batch, &words))
}

pub(super) fn selection(fields: &[(String, String)]) -> Result<Selection, WebError> {
    let ids = |name: &str| -> Result<Vec<ImageId>, WebError> {
        let values = fields.iter().filter(|(key, _)| key == name);
        let id =
            |value: &str| value.parse().map_err(|_| WebError::BadRequest(format!("`{name}={value}` is not understood: expected an id")));
        values.map(|(_, value)| id(value)).collect()
    };
    if value_of(fields, "all").is_none() {
        let images = ids("image")?;
        if images.is_empty() {
            return Err(WebError::BadRequest("No photos are selected.".to_owned()));
        }
        return Ok(Selection::Images(images));
    }
    let filter = value_of(fields, "filter").unwrap_or_default();
    let pairs = Query::<Vec<(String, String)>>::from_query(filter)
        .map_err(|_| WebError::BadRequest("`filter` is expected to be the query of an address".to_owned()))?;
    Ok(Selection::AllBut(page::set_of(&pairs)?, ids("except")?))
}

/// The changes of a form, with the place of another image looked up where it names one.
async fn asked_in(state: &State, fields: &[(String, String)]) -> Result<Asked, WebError> {
    let Some(source) = place_source(fields) else { return asked(fields) };
    let found = state.db.run(move |conn| find_image(conn, source)).await.map_err(or_not_found("image"))?.image;
    let (Some(latitude_deg), Some(longitude_deg)) = (found.latitude_deg, found.longitude_deg) else {
        return Err(WebError::Conflict(format!("`{}` has no place that could be copied.", found.base_name)));
    };
    let gps = Gps { latitude_deg, longitude_deg, altitude_m: found.altitude_m };
    let mut changes = vec![Change::Set(Value::Gps(Some(gps)))];
    let place = Place { city: found.city, state: found.state, country: found.country, country_code: found.country_code };
    if !place.is_empty() {
        changes.push(Change::Set(Value::Place(place)));
    }
    Ok(Asked { changes, words: format!("Place of {}", found.base_name) })
}

/// The image whose place is to be copied: `place_of`, or an image's address typed as a place.
fn place_source(fields: &[(String, String)]) -> Option<ImageId> {
    if let Some(id) = value_of(fields, "place_of") {
        return id.parse().ok();
    }
    let (_, rest) = value_of(fields, "place")?.trim().split_once("/images/")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// `POST /edits/{batch}/undo`: takes an action back; then back.
pub(super) async fn undo(
    state: Data<State>,
    who: Who,
    batch: Path<String>,
    fields: Fields,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    turn_many(state, who, &batch, &fields, &request, Turn::Back).await
}

/// `POST /edits/{batch}/redo`: does again what was taken back; then back.
pub(super) async fn redo(
    state: Data<State>,
    who: Who,
    batch: Path<String>,
    fields: Fields,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    turn_many(state, who, &batch, &fields, &request, Turn::Again).await
}

/// Turns an action as [`edit_many`] does one: told by the word in `progress` how far it is.
async fn turn_many(
    state: Data<State>,
    who: Who,
    batch: &str,
    fields: &[(String, String)],
    request: &HttpRequest,
    turn: Turn,
) -> Result<HttpResponse, WebError> {
    let batch: BatchId = batch.parse().map_err(|_| WebError::NotFound("edit"))?;
    let told = tell(&state, fields);
    let mut teller = told.teller();
    let turned = state.db.run(move |conn| turn_batch_telling(conn, &who.name, batch, turn, &mut teller));
    let turned = turned.await.map_err(or_not_found("edit"))?;
    drop(told);
    answer(request, fields, "/", Said::of_turn(turned, turn))
}

/// Says what was done, or leads back: to `back`, else to `otherwise`.
pub(super) fn answer(request: &HttpRequest, fields: &[(String, String)], otherwise: &str, said: Said) -> Result<HttpResponse, WebError> {
    if page::is_fragment(request) {
        return page::html(&said);
    }
    Ok(see_other(value_of(fields, "back").filter(|back| is_local(back)).unwrap_or(otherwise)))
}

/// One change in the history of an image.
#[derive(Debug)]
struct Entry {
    field: &'static str,
    words: String,
    /// Who and when.
    by: String,
    /// Who took it back and when; `None` while it holds.
    undone: Option<String>,
    /// Where it is taken back, or done again.
    action: String,
}

impl Entry {
    fn new(entry: &HistoryEntry) -> Self {
        // The clock of the server's house is the one of whoever reads it.
        let at = |time: &chrono::DateTime<chrono::Utc>| time.with_timezone(&chrono::Local).format("%-d %b %Y, %H:%M").to_string();
        let verb = if entry.undone.is_some() { "redo" } else { "undo" };
        Self {
            field: field_words(entry.after.field()),
            words: change_words(&entry.before, &entry.after),
            by: format!("{}, {}", author_words(&entry.author), at(&entry.made_at)),
            undone: entry.undone.as_ref().map(|(time, by)| format!("Taken back: {}, {}", author_words(by), at(time))),
            action: format!("/images/{}/history/{}/{verb}", entry.image, entry.id),
        }
    }
}

/// Who somebody is.
fn author_words(author: &str) -> &str {
    match author {
        "outside" => "another program",
        "merge" => "merging images",
        author => author,
    }
}

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    layout: Layout,
    id: ImageId,
    name: String,
    entries: Vec<Entry>,
    older: Option<String>,
}

#[derive(Template)]
#[template(path = "history.html", block = "entries")]
struct HistoryFragment {
    entries: Vec<Entry>,
    older: Option<String>,
}

/// `GET /images/{id}/history?before=`: who changed what, and when, newest first.
pub(super) async fn history(state: Data<State>, id: Path<String>, pairs: Pairs, htmx: Htmx) -> Result<HttpResponse, WebError> {
    let id: ImageId = id.parse().map_err(|_| WebError::NotFound("image"))?;
    let before = value_of(&pairs, "before").and_then(|before| before.parse().ok());
    let read = state.db.run(move |conn| {
        let name = find_image(conn, id)?.image.base_name;
        Ok::<_, DbError>((name, list_history(conn, id, before, MOST_ENTRIES + 1)?))
    });
    let (name, mut found) = read.await.map_err(or_not_found("image"))?;
    let has_more = found.len() as i64 > MOST_ENTRIES;
    found.truncate(MOST_ENTRIES as usize);
    let older = found.last().filter(|_| has_more).map(|last| format!("/images/{id}/history?before={}", last.id));
    let entries = found.iter().map(Entry::new).collect();
    if htmx.0 {
        return page::html(&HistoryFragment { entries, older });
    }
    page::html(&HistoryPage { layout: Layout::new(format!("History of {name}"), Tab::None), id, name, entries, older })
}

/// `POST /images/{id}/history/{edit}/undo`: takes one change of one image back.
pub(super) async fn undo_one(
    state: Data<State>,
    who: Who,
    path: Path<(String, String)>,
    fields: Fields,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    turn_one(&state, who, &path, &fields, &request, Turn::Back).await
}

/// `POST /images/{id}/history/{edit}/redo`: does it again.
pub(super) async fn redo_one(
    state: Data<State>,
    who: Who,
    path: Path<(String, String)>,
    fields: Fields,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    turn_one(&state, who, &path, &fields, &request, Turn::Again).await
}

async fn turn_one(
    state: &State,
    who: Who,
    path: &(String, String),
    fields: &[(String, String)],
    request: &HttpRequest,
    turn: Turn,
) -> Result<HttpResponse, WebError> {
    let image: ImageId = path.0.parse().map_err(|_| WebError::NotFound("image"))?;
    let edit: i64 = path.1.parse().map_err(|_| WebError::NotFound("edit"))?;
    let turned = state.db.run(move |conn| turn_edit(conn, &who.name, image, edit, turn)).await.map_err(or_not_found("edit"))?;
    answer(request, fields, &format!("/images/{image}/history"), Said::of_turn(turned, turn))
}

/// A keyword that could be meant.
#[derive(Debug)]
struct KeywordChoice {
    /// As it is put in: `vehicle|car`.
    value: String,
    /// As it is shown: `vehicle › car`.
    words: String,
    /// How many images have it.
    count: String,
}

#[derive(Template)]
#[template(path = "keywords.html")]
struct Keywords {
    choices: Vec<KeywordChoice>,
}

/// `GET /keywords?words=`: keywords that there are, those of several levels first and of them most images first, of
/// which a level begins with what is typed.
pub(super) async fn keywords(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let typed = value_of(&pairs, "words").unwrap_or_default().replace(['>', '›'], "|");
    let typed = typed.split('|').map(str::trim).collect::<Vec<_>>().join("|");
    let slot = Slot::Value { key: "tag", typed };
    let mut found = state.db.run(move |conn| suggest(conn, &Filter::default(), &slot, MOST_KEYWORDS)).await?;
    // `Zoey` is there because `animal|dog|Zoey` is: whoever completes it means the whole.
    found.sort_by_key(|one| !one.shown.contains('|'));
    let choice = |one: crate::db::suggest::Suggestion| KeywordChoice {
        words: one.shown.replace('|', " › "),
        count: grouped(one.count),
        value: one.shown,
    };
    page::html(&Keywords { choices: found.into_iter().map(choice).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_selection_is_a_list_or_all_of_a_filter_but_some() {
        assert_eq!(selection(&fields(&[("image", "3"), ("image", "4")])).unwrap(), Selection::Images(vec![ImageId(3), ImageId(4)]));
        let all = selection(&fields(&[("all", "1"), ("filter", "year=2019&q=lake%20trip"), ("except", "5"), ("image", "9")])).unwrap();
        let filter = Filter { year: Some(2019), query: "lake trip".parse().unwrap(), ..Filter::default() };
        assert_eq!(all, Selection::AllBut(filter, vec![ImageId(5)]));
        for bad in [&[][..], &[("image", "x")], &[("all", "1"), ("filter", "year=x")], &[("all", "1"), ("except", "-1")]] {
            assert!(selection(&fields(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_place_is_copied_from_an_address_or_an_id() {
        assert_eq!(place_source(&fields(&[("place", "http://localhost:8017/images/42?year=2019")])), Some(ImageId(42)));
        assert_eq!(place_source(&fields(&[("place_of", "7")])), Some(ImageId(7)));
        assert_eq!(place_source(&fields(&[("place", "48.1, 11.5")])), None);
        assert_eq!(place_source(&fields(&[("place", "/images/")])), None);
    }

    #[test]
    fn what_was_done_is_said_with_its_count() {
        let batch = |changed, unchanged, missing| Batch { id: (changed > 0).then_some(BatchId(7)), changed, unchanged, missing };
        assert_eq!(Said::of_many(batch(1200, 0, 0), "4 stars").words, "1,200 photos: 4 stars");
        assert_eq!(Said::of_many(batch(1, 2, 0), "4 stars").words, "3 photos: 4 stars (2 were so already)");
        assert_eq!(Said::of_many(batch(0, 1, 1), "4 stars").words, "1 photo: 4 stars, as before; 1 photo no longer in the library");
        assert_eq!(Said::of_turn(Undone { changed: 3, skipped: 0 }, Turn::Back).words, "Undone: 3 photos");
        assert_eq!(
            Said::of_turn(Undone { changed: 0, skipped: 1 }, Turn::Back).words,
            "Undone: nothing; 1 change was left alone: it was changed again since"
        );
    }
}
