//! The outbox as a page: what waits to be written into sidecars and why, what failed, and what library and vault say differently, each with
//! both values and one key to choose.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use askama::Template;

use super::{
    State, WebError, Who,
    edits::{Fields, Said, answer, field_words, value_words},
    error::or_not_found,
    page::{self, Layout, Pairs, Tab, grouped, value_of},
};
use crate::{
    db::edits::{
        Keep, OutboxCursor, OutboxEntry, WaitingVault, count_outbox, list_outbox, list_waiting_vaults, resolve_conflict, retry_failed,
    },
    models::{
        ImageId,
        edit::{Field, WriteState},
    },
};

/// Entries of each kind on the page of all kinds.
const FEW: i64 = 24;
/// Entries of the page of one kind.
const MANY: i64 = 200;

/// An image of the outbox.
#[derive(Debug)]
struct Line {
    id: ImageId,
    name: String,
    vault: String,
    /// Its sidecar, or the photograph where none is there yet.
    path: Option<String>,
    src: Option<String>,
    fields: Vec<FieldLine>,
}

/// One field of it.
#[derive(Debug)]
struct FieldLine {
    name: &'static str,
    words: &'static str,
    /// What the person says.
    ours: String,
    /// In a conflict, what the vault says.
    theirs: String,
    /// Why it failed, and how often.
    reason: String,
}

impl FieldLine {
    fn new(entry: &OutboxEntry) -> Self {
        let field = entry.standing.value.field();
        let times = if entry.attempts == 1 { "once".to_owned() } else { format!("{} times", entry.attempts) };
        Self {
            name: field.name(),
            words: field_words(field),
            ours: value_words(&entry.standing.value),
            theirs: entry.standing.outside.as_ref().map(value_words).unwrap_or_default(),
            reason: entry.reason.as_ref().map(|reason| format!("{reason} (tried {times})")).unwrap_or_default(),
        }
    }
}

/// Entries by image, which they come sorted by.
fn lines(entries: &[OutboxEntry]) -> Vec<Line> {
    let line = |entries: &[OutboxEntry]| Line {
        id: entries[0].image,
        name: entries[0].base_name.clone(),
        vault: entries[0].vault_name.clone(),
        path: entries[0].path.clone(),
        src: entries[0].picture_key.as_deref().map(|key| page::thumbnail_src(entries[0].image, key)),
        fields: once(entries.iter().map(FieldLine::new).collect()),
    };
    entries.chunk_by(|one, next| one.image == next.image).map(line).collect()
}

/// Says a reason that several fields after one another have once, behind the last of them: it is the sidecar's, and theirs alike.
fn once(mut fields: Vec<FieldLine>) -> Vec<FieldLine> {
    for index in 1..fields.len() {
        if fields[index - 1].reason == fields[index].reason {
            fields[index - 1].reason.clear();
        }
    }
    fields
}

/// Why what waits for a vault waits.
#[derive(Debug, PartialEq, Eq)]
struct Waiting {
    vault: String,
    count: String,
    kind: WaitingKind,
}

#[derive(Debug, PartialEq, Eq)]
enum WaitingKind {
    /// This host does not write to it: the lines of the configuration that change that.
    Off(String),
    /// It is not connected.
    Offline,
    /// It is being written.
    Writing,
}

impl Waiting {
    fn new(vault: &WaitingVault, is_written: bool) -> Self {
        let kind = match (is_written, vault.is_offline) {
            (false, _) => WaitingKind::Off(settings(&vault.name, vault.mount().as_deref())),
            (true, true) => WaitingKind::Offline,
            (true, false) => WaitingKind::Writing,
        };
        Self { vault: vault.name.clone(), count: changes(vault.pending), kind }
    }
}

/// `1 change`, `1,200 changes`.
fn changes(count: i64) -> String {
    format!("{} {}", grouped(count), if count == 1 { "change" } else { "changes" })
}

/// What has to stand in the configuration for a vault to be written to.
fn settings(vault: &str, mount: Option<&str>) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let is_bare = !vault.is_empty() && vault.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let name = if is_bare { vault.to_owned() } else { quoted(vault) };
    format!("[vaults.{name}]\npath = {}\nwrite_back = true", quoted(mount.unwrap_or("/where/it/is/mounted")))
}

/// Entries in one state.
#[derive(Debug, Default)]
struct Section {
    lines: Vec<Line>,
    count: String,
    is_empty: bool,
    /// The rest of them.
    more: Option<String>,
}

impl Section {
    fn new(entries: &[OutboxEntry], limit: i64, count: i64, state: WriteState) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let shown = &entries[..entries.len().min(limit)];
        let more = shown.last().filter(|_| entries.len() > limit);
        Self {
            lines: lines(shown),
            count: grouped(count),
            is_empty: count == 0,
            more: more.map(|last| format!("/outbox?state={state}&cursor={}", last.cursor())),
        }
    }
}

#[derive(Template)]
#[template(path = "outbox.html")]
struct OutboxPage {
    layout: Layout,
    conflicts: Section,
    failed: Section,
    pending: Section,
    waiting: Vec<Waiting>,
    /// The one kind that is shown; `None` for all.
    only: Option<WriteState>,
}

impl OutboxPage {
    fn shows(&self, state: &str) -> bool {
        self.only.is_none_or(|only| only.name() == state)
    }

    fn is_empty(&self) -> bool {
        self.conflicts.is_empty && self.failed.is_empty && self.pending.is_empty
    }
}

/// `GET /outbox?state=&cursor=`.
pub(super) async fn show(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let only = match value_of(&pairs, "state") {
        None => None,
        Some(name) => match name.parse() {
            Ok(WriteState::Written) | Err(_) => {
                return Err(WebError::BadRequest(format!("`state={name}` is not understood: expected `conflict`, `failed` or `pending`")));
            }
            Ok(state) => Some(state),
        },
    };
    let after: Option<OutboxCursor> = value_of(&pairs, "cursor")
        .map(|cursor| {
            cursor.parse().map_err(|expected| WebError::BadRequest(format!("`cursor={cursor}` is not understood: expected {expected}")))
        })
        .transpose()?;
    let limit = if only.is_some() { MANY } else { FEW };
    let host = state.host.clone();
    let (count, waiting, lists) = state
        .db
        .run(move |conn| {
            let mut lists = Vec::new();
            for state in [WriteState::Conflict, WriteState::Failed, WriteState::Pending] {
                let is_shown = only.is_none_or(|only| only == state);
                lists.push(if is_shown { list_outbox(conn, Some(state), after, limit + 1)? } else { Vec::new() });
            }
            Ok::<_, crate::db::QueryError>((count_outbox(conn)?, list_waiting_vaults(conn, &host)?, lists))
        })
        .await?;
    let section = |at: usize, count, kind| Section::new(&lists[at], limit, count, kind);
    page::html(&OutboxPage {
        layout: Layout::new("Outbox", Tab::None),
        conflicts: section(0, count.conflict, WriteState::Conflict),
        failed: section(1, count.failed, WriteState::Failed),
        pending: section(2, count.pending, WriteState::Pending),
        waiting: waiting.iter().map(|vault| Waiting::new(vault, state.written_vaults.contains(&vault.name))).collect(),
        only,
    })
}

/// `POST /outbox/resolve`: `keep`s `ours` or `theirs` of a `field` of an `image`; then back to the outbox.
pub(super) async fn resolve(state: Data<State>, who: Who, fields: Fields, request: HttpRequest) -> Result<HttpResponse, WebError> {
    let text = |name| value_of(&fields, name).unwrap_or_default();
    let bad = |name: &str, expected: &str| WebError::BadRequest(format!("`{name}` is expected to be {expected}"));
    let image: ImageId = text("image").parse().map_err(|_| bad("image", "an id"))?;
    let field: Field = text("field").parse().map_err(|_| bad("field", "the name of a field"))?;
    let (keep, whose) = match text("keep") {
        "ours" => (Keep::Ours, "the library's value holds"),
        "theirs" => (Keep::Theirs, "the sidecar's value holds"),
        _ => return Err(bad("keep", "`ours` or `theirs`")),
    };
    let resolved = state.db.run(move |conn| resolve_conflict(conn, &who.name, image, field, keep));
    let batch = resolved.await.map_err(or_not_found("conflict any more"))?;
    let said = Said { batch: batch.map(|id| id.0), changed: 1, words: format!("{}: {whose}", field_words(field)), ..Said::default() };
    answer(&request, &fields, "/outbox", said)
}

/// `POST /outbox/retry`: lets what failed be tried again now; then back to the outbox.
pub(super) async fn retry(state: Data<State>, fields: Fields, request: HttpRequest) -> Result<HttpResponse, WebError> {
    let count = state.db.run(|conn| retry_failed(conn, None)).await?;
    let words = format!("{} will be tried again", changes(i64::try_from(count).unwrap_or(i64::MAX)));
    answer(&request, &fields, "/outbox", Said { changed: count, words, ..Said::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_once_for_all_fields_that_share_it() {
        let line = |reason: &str| FieldLine { name: "", words: "", ours: String::new(), theirs: String::new(), reason: reason.to_owned() };
        let lines = once(["no room", "no room", "not XML", "no room", ""].map(line).into());
        assert_eq!(lines.iter().map(|line| line.reason.as_str()).collect::<Vec<_>>(), ["", "no room", "not XML", "no room", ""]);
    }

    #[test]
    fn the_settings_that_turn_writing_on_can_be_pasted_as_they_are() {
        assert_eq!(settings("nas", Some("/Volumes/Photos")), "[vaults.nas]\npath = \"/Volumes/Photos\"\nwrite_back = true");
        let strange = settings("Family <NAS> \"x\"", Some("/mnt/a\\b"));
        let parsed: toml::Table = strange.parse().unwrap_or_else(|error| panic!("{error}: {strange}"));
        let vault = &parsed["vaults"]["Family <NAS> \"x\""];
        assert_eq!((vault["path"].as_str(), vault["write_back"].as_bool()), (Some("/mnt/a\\b"), Some(true)));
        assert!(settings("nas", None).contains("path = \"/"));
    }
}
