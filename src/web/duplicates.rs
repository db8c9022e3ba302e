//! Photos that may be one too many: copies of files, bursts, and what looks alike, group by group, with what differs; and what is decided
//! about them. Picking and rejecting are edits like any other; “not duplicates” is remembered for itself. Nothing is deleted or moved.

mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use askama::Template;

use self::view::{ApartView, GroupView, group_view};
use super::{
    State, WebError, Who, ask,
    edits::{Fields, Said, flag, in_words},
    page::{self, Layout, Pairs, Tab, grouped, is_local, photos, see_other, value_of},
    ranked::note,
};
use crate::{
    db::{
        DbError,
        alike::Likeness,
        duplicates::{self, Apart, Asked, GroupsPage, Kind, Member, MemberFile, Place, count_apart, list_apart, list_groups, list_members},
        edits::apply_each,
        networks,
        ranked::Seen,
        vectors::find_vectors,
    },
    models::{ApartId, BatchId, Filter, ImageId, NetworkId, task::NetworkVersion, task::TaskKind},
};

/// Groups of a page.
const PAGE_SIZE: usize = 10;
/// Decisions of a page.
const MOST_APART: i64 = 50;
/// About how long a page looks for groups, before it shows what it has and where to go on.
const PATIENCE: Duration = Duration::from_millis(800);

/// Groups with all that is shown of them.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) page: GroupsPage,
    pub(super) members: BTreeMap<ImageId, (Member, Vec<MemberFile>)>,
    /// Who says that they are alike, and how far it has come.
    pub(super) network: Option<(NetworkVersion, Seen)>,
}

/// Finds groups of a kind from a place on.
///
/// # Errors
/// For what looks alike [`WebError::NoNetwork`] when no network has ever looked, and [`WebError::NoVectors`].
pub(super) async fn find(state: &Data<State>, kind: Kind, after: Option<Place>, limit: usize) -> Result<Found, WebError> {
    let (asked, network) = match kind {
        Kind::Copies => (Asked::Copies, None),
        Kind::Bursts => (Asked::Bursts, None),
        Kind::Alike => {
            let (version, id) = network(state).await?;
            let seen = *state.seen(&Filter::default(), id).await?;
            let Some(id) = id else {
                let page = GroupsPage { groups: Vec::new(), next: None };
                return Ok(Found { page, members: BTreeMap::new(), network: Some((version, seen)) });
            };
            (Asked::Alike(id, Likeness::default()), Some((version, seen)))
        }
    };
    let look = move |conn: &mut crate::db::PgConnection| {
        let page = list_groups(conn, asked, after.as_ref(), limit, PATIENCE)?;
        let images: Vec<ImageId> = page.groups.iter().flat_map(|group| group.images.iter().copied()).collect();
        let members = list_members(conn, &images)?;
        Ok::<_, DbError>((page, members))
    };
    let (page, members) = state.db.run(look).await?;
    Ok(Found { page, members, network })
}

/// The network that says what is alike: the one in use, else the one that has looked at most.
async fn network(state: &Data<State>) -> Result<(NetworkVersion, Option<NetworkId>), WebError> {
    let in_use = match &state.ask {
        Some(ask) => ask.network().await.ok(),
        None => None,
    };
    let wanted = in_use.clone();
    let known = state.db.run(move |conn| {
        let vectors = find_vectors(conn)?;
        let known = match &wanted {
            Some(wanted) => networks::find(conn, TaskKind::Embed, wanted)?,
            None => {
                let all = networks::list(conn)?.into_iter();
                all.filter(|known| known.card.lane.kind == TaskKind::Embed && known.done > 0).max_by_key(|known| known.done)
            }
        };
        Ok::<_, DbError>((known, vectors))
    });
    let (known, vectors) = known.await?;
    if let Some(problem) = vectors.problem() {
        return Err(ask::no_vectors(&problem));
    }
    match (in_use, known) {
        (Some(network), known) => Ok((network, known.map(|known| known.id))),
        (None, Some(known)) => Ok((known.card.lane.network, Some(known.id))),
        (None, None) => Err(ask::none_imported()),
    }
}

/// What the page is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Groups(Kind),
    /// What was said to be no duplicates.
    Apart,
}

impl Shown {
    fn of(name: Option<&str>) -> Result<Self, WebError> {
        match name {
            None => Ok(Self::Groups(Kind::Copies)),
            Some("apart") => Ok(Self::Apart),
            Some(name) => kind_of(name).map(Self::Groups),
        }
    }
}

/// The kind that an address names.
pub(super) fn kind_of(name: &str) -> Result<Kind, WebError> {
    let expected = || WebError::BadRequest(format!("`kind={name}` is not understood: expected `copies`, `bursts` or `alike`"));
    Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(expected)
}

/// The place that an address names, of a kind: a content for copies, a moment for the others.
pub(super) fn place_of(kind: Kind, key: &str, text: Option<&str>) -> Result<Option<Place>, WebError> {
    let Some(text) = text else { return Ok(None) };
    let place: Option<Place> = text.parse().ok();
    let fits = |place: &Place| matches!(place, Place::Content(_)) == (kind == Kind::Copies);
    let expected = || WebError::BadRequest(format!("`{key}={text}` is not understood: expected a place from an earlier page"));
    place.filter(fits).map(Some).ok_or_else(expected)
}

#[derive(Template)]
#[template(path = "duplicates.html")]
struct DuplicatesPage {
    layout: Layout,
    shown: Shown,
    /// How these groups come about.
    how: String,
    /// What is not looked at yet.
    note: Option<String>,
    groups: Vec<GroupView>,
    /// Why there are none: a sentence, and a way on.
    lack: Option<(String, Option<(&'static str, &'static str)>)>,
    apart: Vec<ApartView>,
    /// How many decisions there are.
    apart_count: String,
    /// What follows, and what that is called.
    next: Option<(String, &'static str)>,
    /// The beginning, from any page behind it.
    first: Option<String>,
    /// This page.
    here: String,
    /// What was just done: where it is taken back, and the words.
    done: Option<(String, &'static str)>,
}

impl DuplicatesPage {
    fn is(&self, name: &str) -> bool {
        match self.shown {
            Shown::Groups(kind) => kind.name() == name,
            Shown::Apart => name == "apart",
        }
    }
}

/// `GET /duplicates?kind=&after=`: groups to choose from; `kind=apart` what was said to be none.
pub(super) async fn show(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let shown = Shown::of(value_of(&pairs, "kind"))?;
    let after = value_of(&pairs, "after");
    let name = match shown {
        Shown::Groups(kind) => kind.name(),
        Shown::Apart => "apart",
    };
    let address = |after: Option<String>| {
        let more: Vec<(&str, String)> =
            [Some(("kind", name.to_owned())), after.map(|after| ("after", after))].into_iter().flatten().collect();
        page::address("/duplicates", &Filter::default(), &more)
    };
    let apart_count = state.db.run(count_apart).await?;
    let mut page = DuplicatesPage {
        layout: Layout::new("Duplicates", Tab::Library),
        shown,
        how: String::new(),
        note: None,
        groups: Vec::new(),
        lack: None,
        apart: Vec::new(),
        apart_count: grouped(apart_count),
        next: None,
        first: after.is_some().then(|| address(None)),
        here: address(after.map(str::to_owned)),
        done: done_of(&pairs),
    };
    match shown {
        Shown::Groups(kind) => {
            let place = place_of(kind, "after", after)?;
            match find(&state, kind, place, PAGE_SIZE).await {
                Ok(found) => show_groups(&mut page, kind, found, address),
                Err(error @ (WebError::NoNetwork(_) | WebError::NoVectors(_))) => {
                    page.how = how(kind, None);
                    page.lack = Some((error.to_string(), error.recovery()));
                }
                Err(error) => return Err(error),
            }
        }
        Shown::Apart => {
            let expected = || WebError::BadRequest("`after` is expected to be a number from an earlier page".to_owned());
            let before: Option<ApartId> = after.map(str::parse).transpose().map_err(|_| expected())?;
            let found = state.db.run(move |conn| {
                let all = list_apart(conn, before, MOST_APART + 1)?;
                let images: Vec<ImageId> = all.iter().flat_map(|apart| apart.images.iter().copied()).collect();
                Ok::<_, DbError>((list_members(conn, &images)?, all))
            });
            let (members, mut all): (_, Vec<Apart>) = found.await?;
            let has_more = all.len() as i64 > MOST_APART;
            all.truncate(MOST_APART as usize);
            page.how =
                "What was said to be no duplicates of each other: it is not shown as such again, whatever a scan or a network finds. \
                        Taken back, it is."
                    .to_owned();
            page.next = all.last().filter(|_| has_more).map(|last| (address(Some(last.id.to_string())), "More"));
            page.apart = all.iter().map(|apart| ApartView::new(apart, &members)).collect();
            if page.apart.is_empty() {
                page.lack = Some(("Nothing was set aside yet.".to_owned(), None));
            }
        }
    }
    page::html(&page)
}

fn show_groups(page: &mut DuplicatesPage, kind: Kind, found: Found, address: impl Fn(Option<String>) -> String) {
    let Found { page: GroupsPage { groups, next }, members, network } = found;
    page.how = how(kind, network.as_ref().map(|(network, _)| network.name.as_str()));
    page.note = network.as_ref().and_then(|(_, seen)| note(*seen));
    let is_full = groups.len() >= PAGE_SIZE;
    page.groups = groups.iter().filter_map(|group| group_view(kind, group, &members)).collect();
    if page.groups.is_empty() {
        let words = match (kind, &next, &network) {
            (_, Some(_), _) => "Nothing to decide up to here: there was no time to look through all at once.",
            (Kind::Alike, None, Some((_, seen))) if seen.lacking == seen.all && seen.all > 0 => {
                "The network has not looked at any picture yet. It will, the newest first."
            }
            (Kind::Copies, None, _) => "No two photos have the same file, as far as nobody has decided on them.",
            (Kind::Bursts, None, _) => "There is no burst that nobody has decided on.",
            (Kind::Alike, None, _) => "No pictures look alike that nobody has decided on.",
        };
        page.lack = Some((words.to_owned(), None));
    }
    page.next = next.map(|next| (address(Some(next.to_string())), if is_full { "More" } else { "Look on" }));
}

/// How groups of a kind come about.
fn how(kind: Kind, network: Option<&str>) -> String {
    match kind {
        Kind::Copies => "Photos of which a file is the same, by its size and its beginning and end.".to_owned(),
        Kind::Bursts => "What one camera took within three seconds of each other, by its own clock, newest first.".to_owned(),
        Kind::Alike => {
            let who = network.unwrap_or("a network");
            format!("Pictures in which {who} sees nearly the same, taken within ten minutes of each other, newest first.")
        }
    }
}

/// What was just done, as the address tells where there are no scripts.
fn done_of(pairs: &[(String, String)]) -> Option<(String, &'static str)> {
    if let Some(batch) = value_of(pairs, "done").and_then(|id| id.parse::<BatchId>().ok()) {
        return Some((format!("/edits/{batch}/undo"), "The best is picked, the others are rejected."));
    }
    let id: ApartId = value_of(pairs, "apart").and_then(|id| id.parse().ok())?;
    Some((undo_address(id), "They are no duplicates, and not shown as such again."))
}

/// Where a decision is taken back.
fn undo_address(id: ApartId) -> String {
    format!("/duplicates/apart/{id}/undo")
}

/// Says what was done, or leads back to the page of the groups, which then offers to take it back.
fn lead_on(request: &HttpRequest, fields: &[(String, String)], said: &Said, done: Option<(&str, i64)>) -> Result<HttpResponse, WebError> {
    if page::is_fragment(request) {
        return page::html(said);
    }
    let back = value_of(fields, "back").filter(|back| is_local(back) && !back.contains('#')).unwrap_or("/duplicates");
    let Some((key, id)) = done else { return Ok(see_other(back)) };
    let sign = if back.contains('?') { '&' } else { '?' };
    Ok(see_other(&format!("{back}{sign}{key}={id}")))
}

/// The ids that a form has under a name.
fn ids(fields: &[(String, String)], name: &str) -> Result<BTreeSet<ImageId>, WebError> {
    let id = |value: &str| value.parse().map_err(|_| WebError::BadRequest(format!("`{name}={value}` is not understood: expected an id")));
    fields.iter().filter(|(key, _)| key == name).map(|(_, value)| id(value)).collect()
}

/// `POST /duplicates/best`: picks each `best` of the group that its `image`s are, and rejects the others, as one edit.
pub(super) async fn choose(state: Data<State>, who: Who, fields: Fields, request: HttpRequest) -> Result<HttpResponse, WebError> {
    let (images, best) = (ids(&fields, "image")?, ids(&fields, "best")?);
    if images.len() < 2 {
        return Err(WebError::BadRequest("A group of at least two photos is expected.".to_owned()));
    }
    if best.is_empty() || !best.is_subset(&images) {
        return Err(WebError::BadRequest("Mark the photo that is the best of the group, or several.".to_owned()));
    }
    let changes = |is_best: bool| flag(if is_best { "pick" } else { "reject" }).unwrap_or_default();
    let each = images.iter().map(|image| (*image, changes(best.contains(image)))).collect();
    let edited = state.db.run(move |conn| apply_each(conn, &who.name, &each, &mut |_, _| {}));
    let batch = edited.await?.map_err(in_words)?;
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let rejected = images.len() - best.len();
    let mut words = format!("{} picked", photos(count(best.len())));
    if rejected > 0 {
        words.push_str(&format!(", {} rejected", grouped(count(rejected))));
    }
    if batch.changed == 0 {
        words.push_str(", as before");
    }
    let id = batch.id.map(|id| id.0);
    let said = Said { batch: id, changed: batch.changed, words, ..Said::default() };
    lead_on(&request, &fields, &said, id.map(|id| ("done", id)))
}

/// `POST /duplicates/apart`: remembers that no two of its `image`s are duplicates.
pub(super) async fn set_apart(state: Data<State>, who: Who, fields: Fields, request: HttpRequest) -> Result<HttpResponse, WebError> {
    let images: Vec<ImageId> = ids(&fields, "image")?.into_iter().collect();
    if images.len() < 2 {
        return Err(WebError::BadRequest("A group of at least two photos is expected.".to_owned()));
    }
    let set = state.db.run(move |conn| duplicates::set_apart(conn, &who.name, &images)).await?;
    let gone = || WebError::Conflict("Fewer than two of these photos are still in the library.".to_owned());
    let Apart { id, images, .. } = set.ok_or_else(gone)?;
    let words = format!("{} set aside as no duplicates", photos(i64::try_from(images.len()).unwrap_or(i64::MAX)));
    let said = Said { undo: Some(undo_address(id)), changed: images.len(), words, ..Said::default() };
    lead_on(&request, &fields, &said, Some(("apart", id.0)))
}

/// `POST /duplicates/apart/{id}/undo`: takes that back.
pub(super) async fn forget_apart(
    state: Data<State>,
    id: Path<String>,
    fields: Fields,
    request: HttpRequest,
) -> Result<HttpResponse, WebError> {
    let id: ApartId = id.parse().map_err(|_| WebError::NotFound("decision"))?;
    if !state.db.run(move |conn| duplicates::forget_apart(conn, id)).await? {
        return Err(WebError::NotFound("decision"));
    }
    let said = Said { words: "Taken back: they may be duplicates".to_owned(), ..Said::default() };
    lead_on(&request, &fields, &said, None)
}
