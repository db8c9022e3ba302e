//! The search box and what belongs to it: completions while somebody types, the page of the language, and searches with a name.

use actix_web::{
    HttpResponse,
    web::{Data, Form, Path},
};
use askama::Template;

use super::{
    State, WebError,
    error::or_not_found,
    page::{self, Layout, Pairs, SearchTrouble, Tab},
    ranked::by_words,
};
use crate::{
    db::{
        folders::folder_path,
        searches::{SavedSearch, delete_search, list_searches, rename_search, upsert_search},
        suggest::{Suggestion, suggest},
    },
    models::{
        Filter, Query, SearchId, fold,
        query::{Completion, Has, Is, KEYS, KeyHelp, Like, Slot, Term},
    },
};

/// Completions of one answer.
const MOST_SUGGESTIONS: usize = 8;
/// Searches with a name among them.
const MOST_SAVED: usize = 4;
/// Longest name of a search, in characters.
const LONGEST_NAME: usize = 100;

/// A completion as it is shown.
#[derive(Debug, PartialEq, Eq)]
struct Choice {
    /// The whole text with the completion in place.
    text: String,
    /// Where the cursor stands then, in UTF-16 units as scripts count.
    cursor: usize,
    /// What is put in.
    words: String,
    /// What it means or leads to.
    note: String,
}

#[derive(Template)]
#[template(path = "suggestions.html")]
struct Suggestions {
    choices: Vec<Choice>,
    trouble: Option<SearchTrouble>,
    /// Where this search is given a name; `None` while there is none.
    save_href: Option<String>,
}

/// `GET /search/suggest?q=&at=`: completions at the cursor, counted within the rest of the query and the other conditions.
pub(super) async fn suggestions(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let text = page::value_of(&pairs, "q").unwrap_or_default().to_owned();
    let at = page::value_of(&pairs, "at").and_then(|at| at.parse().ok()).unwrap_or(usize::MAX);
    let others: Vec<(String, String)> = pairs.iter().filter(|(key, _)| key != "q").cloned().collect();
    let other = page::filter_of(&others)?;
    let parsed = text.parse::<Query>();
    let completion = Completion::at(&text, at.min(text.chars().count()));
    let rest = Filter { query: completion.rest.without_like(), ..other.clone() };
    let slot = completion.slot.clone();
    let (found, saved) = state
        .db
        .run(move |conn| {
            let found = suggest(conn, &rest, &slot, MOST_SUGGESTIONS)?;
            let saved = if matches!(slot, Slot::Word(_)) { list_searches(conn)? } else { Vec::new() };
            Ok::<_, crate::db::QueryError>((found, saved))
        })
        .await?;
    let mut choices = choices(&text, &completion, &found, &saved);
    if let (Ok(query), Slot::Word(_)) = (&parsed, &completion.slot)
        && let Some(ask) = &state.ask
        && let Some(choice) = by_likeness(query)
        && ask.network().await.is_ok()
    {
        choices.insert(0, choice);
    }
    let save_href = parsed.as_ref().ok().and_then(|query| save_href(&Filter { query: query.clone(), ..other.clone() }));
    let trouble = parsed.err().map(|error| SearchTrouble::of(&error, &other));
    page::html(&Suggestions { choices, trouble, save_href })
}

/// The words of a search in pictures instead of in texts.
fn by_likeness(query: &Query) -> Option<Choice> {
    let (words, _) = query.words_and_rest().filter(|(words, _)| words.chars().count() > 1)?;
    let (_, ordered) = by_words(&Filter { query: query.clone(), ..Filter::default() })?;
    let text = ordered.query.to_string();
    let words = Term::Like(Like::Words(words)).to_string();
    Some(Choice { cursor: text.encode_utf16().count(), text, words, note: "pictures that show it".to_owned() })
}

fn choices(text: &str, completion: &Completion, found: &[Suggestion], saved: &[SavedSearch]) -> Vec<Choice> {
    let before: String = text.chars().take(completion.from).collect();
    let after: String = text.chars().skip(completion.to).collect();
    let after = after.trim_start();
    let put = |insert: &str, is_done: bool, note: String| {
        let gap = if is_done { " " } else { "" };
        let head = format!("{before}{insert}{gap}");
        Choice { cursor: head.encode_utf16().count(), text: format!("{head}{after}"), words: insert.to_owned(), note }
    };
    let mut all = Vec::new();
    if let Slot::Word(typed) = &completion.slot {
        let folded = fold(typed);
        let is_alone = before.trim().is_empty() && after.is_empty();
        let named = saved.iter().filter(|search| is_alone && fold(&search.name).contains(&folded)).take(MOST_SAVED);
        all.extend(named.map(|search| Choice {
            text: search.query.clone(),
            cursor: search.query.encode_utf16().count(),
            words: search.name.clone(),
            note: "saved search".to_owned(),
        }));
        let keys = KEYS.iter().filter(|key| key.key.starts_with(&folded) || key.aliases.iter().any(|alias| alias.starts_with(&folded)));
        let keys = keys.take(if typed.is_empty() { KEYS.len() } else { MOST_SUGGESTIONS });
        all.extend(keys.map(|key| put(&format!("{}:", key.key), false, key.what.to_owned())));
        all.extend(found.iter().map(|one| put(&format!("{}:{}", one.key, one.value), true, counted(one))));
        return all;
    }
    all.extend(found.iter().map(|one| put(&one.value, true, counted(one))));
    if let (Slot::Value { key, typed }, true) = (&completion.slot, found.is_empty()) {
        // Nothing to count: the forms of the value, from the help.
        let examples = KEYS.iter().filter(|known| known.key == *key).flat_map(|known| known.examples);
        let values = examples.filter_map(|example| example.trim_start_matches('-').split_once(':')).map(|(_, value)| value);
        let noted = |value: &str| put(value, true, "for example".to_owned());
        all.extend(values.filter(|value| value.starts_with(typed.as_str()) && *value != typed).map(noted));
    }
    all
}

fn counted(one: &Suggestion) -> String {
    format!("{}{}", page::grouped(one.count), if one.is_more { "+" } else { "" })
}

/// A word of a list, with what it means.
#[derive(Debug)]
struct WordHelp {
    query: String,
    href: String,
    what: &'static str,
}

/// A key with its examples as links.
#[derive(Debug)]
struct KeyRow {
    key: &'static KeyHelp,
    examples: Vec<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "search_help.html")]
struct HelpPage {
    layout: Layout,
    keys: Vec<KeyRow>,
    has: Vec<WordHelp>,
    is: Vec<WordHelp>,
    /// How conditions are put together: an example, its address, and what it means.
    forms: Vec<(&'static str, String, &'static str)>,
}

/// How conditions are put together.
const FORMS: &[(&str, &str)] = &[
    (
        "lake trip",
        "both words, each at the beginning of a word of title, description, keywords, place, file or folder name; case and accents do not matter",
    ),
    ("\"lake geneva\"", "these words whole and in this order"),
    ("-lake -tag:private", "without what stands behind the dash"),
    ("lake OR sea", "one or the other (| means the same)"),
    ("(lake OR sea) rating:>=4", "parentheses; side by side means all of them, and binds closer than OR"),
    ("rating:3..5 iso:>=3200", "ranges and comparisons: >, >=, <, <=, from..to"),
    ("has:raw|sidecar", "one of a list"),
    ("like:\"snow on a roof\" year:2019", "what a condition lets pass, in the order of how much the pictures show what the words say"),
];

/// `GET /search/help`: the whole language, each example a link.
pub(super) async fn help() -> Result<HttpResponse, WebError> {
    let keys =
        KEYS.iter().map(|key| KeyRow { key, examples: key.examples.iter().map(|example| (*example, gallery_href(example))).collect() });
    let word = |query: String, what| WordHelp { href: gallery_href(&query), query, what };
    page::html(&HelpPage {
        layout: Layout::new("How to search", Tab::None),
        keys: keys.collect(),
        has: Has::ALL.iter().map(|has| word(format!("has:{}", has.word()), has.help())).collect(),
        is: Is::ALL.iter().map(|is| word(format!("is:{}", is.word()), is.help())).collect(),
        forms: FORMS.iter().map(|(example, what)| (*example, gallery_href(example), *what)).collect(),
    })
}

/// A search with its name, as a link.
#[derive(Debug)]
pub(super) struct SavedLink {
    pub(super) id: SearchId,
    pub(super) name: String,
    pub(super) query: String,
    pub(super) href: String,
}

impl SavedLink {
    /// Dresses a row.
    pub(super) fn of(search: SavedSearch) -> Self {
        Self { id: search.id, href: gallery_href(&search.query), name: search.name, query: search.query }
    }
}

/// The gallery of a query.
pub(super) fn gallery_href(query: &str) -> String {
    page::address("/", &Filter::default(), &[("q", query.to_owned())])
}

/// The page that gives a filter a name; `None` for the filter that lets all pass.
pub(super) fn save_href(filter: &Filter) -> Option<String> {
    (!filter.is_all()).then(|| page::address("/searches", filter, &[]))
}

#[derive(Template)]
#[template(path = "searches.html")]
struct SearchesPage {
    layout: Layout,
    saved: Vec<SavedLink>,
    /// What the form would save.
    query: String,
}

/// `GET /searches`.
pub(super) async fn index(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let filter = page::filter_of(&pairs)?;
    let folder = filter.folder;
    let (saved, path) = state
        .db
        .run(move |conn| {
            Ok::<_, crate::db::QueryError>((list_searches(conn)?, folder.map(|id| folder_path(conn, id)).transpose()?.flatten()))
        })
        .await?;
    let query = filter.to_query(path.as_deref()).to_string();
    let layout = Layout { title: "Saved searches".to_owned(), tab: Tab::None, filter };
    page::html(&SearchesPage { layout, saved: saved.into_iter().map(SavedLink::of).collect(), query })
}

/// The fields of a form, in their order.
type Fields = Form<Vec<(String, String)>>;

/// `POST /searches`: saves `q` as `name`; then to its gallery.
pub(super) async fn save(state: Data<State>, fields: Fields) -> Result<HttpResponse, WebError> {
    let name = checked_name(page::value_of(&fields, "name").unwrap_or_default())?;
    let query = page::value_of(&fields, "q").unwrap_or_default().parse::<Query>()?.to_string();
    if query.is_empty() {
        return Err(WebError::BadRequest("there is no search to save: expected `q`".to_owned()));
    }
    state.db.run(move |conn| upsert_search(conn, &name, &query)).await?;
    Ok(back_to_list())
}

/// `POST /searches/{id}`: gives it another `name`.
pub(super) async fn rename(state: Data<State>, id: Path<String>, fields: Fields) -> Result<HttpResponse, WebError> {
    let id: SearchId = id.parse().map_err(|_| WebError::NotFound("search"))?;
    let name = checked_name(page::value_of(&fields, "name").unwrap_or_default())?;
    let wanted = name.clone();
    let renamed = state.db.run(move |conn| rename_search(conn, id, &wanted)).await.map_err(or_not_found("search"))?;
    renamed.ok_or_else(|| WebError::Conflict(format!("Another search is called “{name}” already.")))?;
    Ok(back_to_list())
}

/// `POST /searches/{id}/delete`.
pub(super) async fn forget(state: Data<State>, id: Path<String>) -> Result<HttpResponse, WebError> {
    let id: SearchId = id.parse().map_err(|_| WebError::NotFound("search"))?;
    state.db.run(move |conn| delete_search(conn, id)).await.map_err(or_not_found("search"))?;
    Ok(back_to_list())
}

fn back_to_list() -> HttpResponse {
    page::see_other("/searches")
}

/// A name as it is kept: without white space around it, not empty, not endless.
pub(super) fn checked_name(name: &str) -> Result<String, WebError> {
    let name = name.trim();
    let is_fine = !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.contains(char::is_control);
    if is_fine {
        return Ok(name.to_owned());
    }
    Err(WebError::BadRequest(format!("the name of a search is not understood: expected 1 to {LONGEST_NAME} characters")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, found: &[Suggestion], saved: &[SavedSearch]) -> Vec<(String, String, usize)> {
        let completion = Completion::at(text, text.chars().count());
        choices(text, &completion, found, saved).into_iter().map(|choice| (choice.words, choice.text, choice.cursor)).collect()
    }

    fn camera(name: &str) -> Suggestion {
        Suggestion { key: "camera", value: format!("\"{name}\""), shown: name.to_owned(), count: 7, is_more: false }
    }

    #[test]
    fn a_completion_takes_the_place_of_what_is_typed() {
        let found = [camera("Canon EOS R5")];
        assert_eq!(
            shown("é camera:ca", &found, &[]),
            [("\"Canon EOS R5\"".into(), "é camera:\"Canon EOS R5\" ".into(), 24)] as [(String, String, usize); 1]
        );
        let keys = shown("-cam", &found, &[]);
        assert_eq!(keys[0], ("camera:".into(), "-camera:".into(), 8));
        assert_eq!(keys[1], ("camera:\"Canon EOS R5\"".into(), "-camera:\"Canon EOS R5\" ".into(), 23));
    }

    #[test]
    fn a_saved_search_is_offered_by_its_name_while_nothing_else_stands_there() {
        let saved = [SavedSearch { id: SearchId(1), name: "Été au lac".into(), query: "tag:summer lake".into() }];
        assert_eq!(shown("ete", &[], &saved)[0].1, "tag:summer lake");
        assert!(shown("lake ete", &[], &saved).is_empty());
    }

    #[test]
    fn the_words_of_a_search_are_offered_as_what_pictures_show() {
        let offered = |text: &str| by_likeness(&text.parse().unwrap()).map(|choice| (choice.words, choice.text, choice.cursor));
        let expected = ("like:\"red truck\"".to_owned(), "like:\"red truck\" rating:5".to_owned(), 25);
        assert_eq!(offered("red rating:5 truck"), Some(expected));
        assert!(offered("rating:5").is_none() && offered("a").is_none() && offered("lake like:snow").is_none());
    }

    #[test]
    fn where_nothing_is_counted_the_forms_are_shown() {
        let forms: Vec<String> = shown("iso:", &[], &[]).into_iter().map(|(words, ..)| words).collect();
        assert_eq!(forms, [">=3200", "100..400"]);
    }
}
