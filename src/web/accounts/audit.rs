//! The audit log as a page.

use actix_web::{HttpResponse, web::Data};
use askama::Template;
use chrono::{DateTime, Utc};

use crate::{
    db::accounts::{AuditLine, list_audit},
    web::{
        State, WebError,
        page::{self, Layout, Pairs, Tab},
    },
};

/// Lines of a page of the audit log.
const AUDIT_PAGE: i64 = 200;

/// A line of the audit log as it is shown.
struct ShownLine {
    at: DateTime<Utc>,
    actor: String,
    words: &'static str,
    is_alarm: bool,
    detail: String,
    address: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    layout: Layout,
    lines: Vec<ShownLine>,
    older_href: Option<String>,
}

/// `GET /audit?before=`.
pub(in crate::web) async fn show_audit(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let before = match page::value_of(&pairs, "before") {
        Some(text) => DateTime::parse_from_rfc3339(text)
            .map_err(|_| {
                WebError::BadRequest(format!("`before={text}` is not understood: expected a moment such as 2019-08-03T12:00:00Z"))
            })?
            .with_timezone(&Utc),
        None => DateTime::<Utc>::MAX_UTC.with_timezone(&Utc).min(Utc::now() + chrono::TimeDelta::days(1)),
    };
    let lines = state.db.run(move |conn| list_audit(conn, before, AUDIT_PAGE)).await?;
    let is_full = lines.len() as i64 == AUDIT_PAGE;
    let older_href = lines.last().filter(|_| is_full).map(|last| {
        let before = last.at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        page::address("/audit", &crate::models::Filter::default(), &[("before", before)])
    });
    let lines = lines.into_iter().map(shown).collect();
    page::html(&AuditPage { layout: Layout::new("Audit log", Tab::None), lines, older_href })
}

fn shown(line: AuditLine) -> ShownLine {
    let words = match line.action.as_str() {
        "sign-in" => "signed in",
        "sign-in-failed" => "could not sign in",
        "sign-out" => "signed out",
        "session-ended" => "signed another browser out",
        "account-added" => "added an account",
        "account-removed" => "removed an account",
        "role-changed" => "changed a role",
        "password-changed" => "changed a password",
        "token-added" => "made a token",
        "token-revoked" => "revoked a token",
        "worker-invited" => "invited a worker",
        "worker-revoked" => "revoked a worker",
        "edit" => "changed",
        "edit-undone" => "undid a change of",
        _ => "did",
    };
    let actor = if line.actor.is_empty() { "somebody".to_owned() } else { line.actor };
    ShownLine { at: line.at, actor, words, is_alarm: line.action == "sign-in-failed", detail: line.detail, address: line.address }
}
