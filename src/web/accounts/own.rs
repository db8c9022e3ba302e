//! One's own account: password, browsers and tokens.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Path},
};
use askama::Template;

use super::{Fields, MOST_FAILURES, hashed, kept, typed};
use crate::{
    db::accounts::{
        Action, ApiToken, Session, count_failures, delete_session, delete_token, find_password, insert_audit, insert_token, list_sessions,
        list_tokens, set_password,
    },
    models::{
        SessionId, TokenId,
        account::{Role, SHORTEST_PASSWORD, Secret},
    },
    web::{
        State, WebError, Who,
        error::or_not_found,
        page::{self, Layout, Tab, see_other},
        session,
    },
};

/// Longest name of a token, in characters.
const LONGEST_TOKEN_NAME: usize = 100;
/// Longest life of a token, in days.
const MOST_TOKEN_DAYS: i32 = 3650;

#[derive(Template)]
#[template(path = "me.html")]
struct OwnPage {
    layout: Layout,
    who: Who,
    trouble: Option<String>,
    done: Option<&'static str>,
    /// A token that was just made: shown once.
    token: Option<String>,
    sessions: Vec<Session>,
    tokens: Vec<ApiToken>,
    /// What a token may be for.
    scopes: Vec<Role>,
    shortest: usize,
}

/// What the page of one's own account says above.
#[derive(Default)]
struct Said {
    trouble: Option<String>,
    done: Option<&'static str>,
    token: Option<String>,
}

impl Said {
    fn trouble(words: impl Into<String>) -> Self {
        Self { trouble: Some(words.into()), ..Self::default() }
    }
}

async fn own_page(state: &State, who: Who, said: Said) -> Result<HttpResponse, WebError> {
    let (sessions, tokens) = match who.account {
        Some(account) => {
            let this = who.session;
            let asked = state.db.run(move |conn| {
                Ok::<_, crate::db::QueryError>((list_sessions(conn, account, this.as_ref())?, list_tokens(conn, account)?))
            });
            asked.await?
        }
        None => (Vec::new(), Vec::new()),
    };
    let status = if said.trouble.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let Said { trouble, done, token } = said;
    let scopes = Role::ALL.into_iter().filter(|role| *role <= who.role).collect();
    let layout = Layout::new("Your account", Tab::None);
    let mut page = page::html(&OwnPage { layout, who, trouble, done, token, sessions, tokens, scopes, shortest: SHORTEST_PASSWORD })?;
    *page.status_mut() = status;
    Ok(page)
}

/// `GET /me`.
pub(in crate::web) async fn show_own(state: Data<State>, who: Who) -> Result<HttpResponse, WebError> {
    own_page(&state, who, Said::default()).await
}

/// `POST /me/password`: signs all other browsers out.
pub(in crate::web) async fn change_own_password(
    state: Data<State>,
    request: HttpRequest,
    who: Who,
    fields: Fields,
) -> Result<HttpResponse, WebError> {
    let account = who.account()?;
    if typed(&fields, "password") != typed(&fields, "again") {
        return own_page(&state, who, Said::trouble("The two passwords differ.")).await;
    }
    let (name, address) = (who.name.clone(), session::address(&request));
    let from = address.clone();
    let (failures, before) = state
        .db
        .run(move |conn| Ok::<_, crate::db::QueryError>((count_failures(conn, &name, &from)?, find_password(conn, account)?)))
        .await?;
    if failures.of_both >= MOST_FAILURES.of_both {
        return Err(WebError::LockedOut);
    }
    let old = typed(&fields, "old").to_owned();
    if !hashed(&state, move || before.is(&old)).await? {
        let name = who.name.clone();
        state.db.run(move |conn| insert_audit(conn, &name, Action::SignInFailed, "change of password", &address)).await?;
        return own_page(&state, who, Said::trouble("The old password is wrong.")).await;
    }
    let password = match kept(&state, typed(&fields, "password"), &who.name).await? {
        Ok(password) => password,
        Err(trouble) => return own_page(&state, who, Said::trouble(trouble)).await,
    };
    let (name, keep) = (who.name.clone(), who.session);
    let changed = state.db.run(move |conn| {
        set_password(conn, account, &password, keep.as_ref())?;
        insert_audit(conn, &name, Action::PasswordChanged, "", &address)
    });
    changed.await?;
    state.gate.forget();
    own_page(&state, who, Said { done: Some("The password is changed. All other browsers are signed out."), ..Said::default() }).await
}

/// `POST /me/tokens`: shows the token, once.
pub(in crate::web) async fn make_token(
    state: Data<State>,
    request: HttpRequest,
    who: Who,
    fields: Fields,
) -> Result<HttpResponse, WebError> {
    let account = who.account()?;
    let name = typed(&fields, "name").trim().to_owned();
    let is_name = !name.is_empty() && name.chars().count() <= LONGEST_TOKEN_NAME && !name.contains(char::is_control);
    let scope: Option<Role> = typed(&fields, "scope").parse().ok();
    let days = match typed(&fields, "days").trim() {
        "" => Some(None),
        days => days.parse().ok().filter(|days| (1..=MOST_TOKEN_DAYS).contains(days)).map(Some),
    };
    let (Some(scope), Some(days), true) = (scope, days, is_name) else {
        let words =
            format!("A token needs a name of 1 to {LONGEST_TOKEN_NAME} characters, a role, and 1 to {MOST_TOKEN_DAYS} days, or none.");
        return own_page(&state, who, Said::trouble(words)).await;
    };
    if scope > who.role {
        return own_page(&state, who, Said::trouble("A token may not do more than you.")).await;
    }
    let secret = Secret::random();
    let (hash, actor, address) = (secret.hash(), who.name.clone(), session::address(&request));
    let made = state.db.run(move |conn| {
        insert_token(conn, account, &hash, &name, scope, days)?;
        insert_audit(conn, &actor, Action::TokenAdded, &format!("{name}: {scope}"), &address)
    });
    made.await?;
    own_page(&state, who, Said { token: Some(secret.expose_token()), ..Said::default() }).await
}

/// `POST /me/tokens/{id}/delete`.
pub(in crate::web) async fn revoke_token(
    state: Data<State>,
    request: HttpRequest,
    who: Who,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let id = id.parse().map_err(|_| WebError::NotFound("token"))?;
    take_away(&state, &request, who, Key::Token(id)).await
}

/// `POST /me/sessions/{id}/delete`.
pub(in crate::web) async fn end_session(
    state: Data<State>,
    request: HttpRequest,
    who: Who,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let id = id.parse().map_err(|_| WebError::NotFound("session"))?;
    take_away(&state, &request, who, Key::Session(id)).await
}

/// What lets a program or a browser in.
#[derive(Clone, Copy)]
enum Key {
    Token(TokenId),
    Session(SessionId),
}

/// Takes one of one's own keys away, from the next request on.
async fn take_away(state: &State, request: &HttpRequest, who: Who, key: Key) -> Result<HttpResponse, WebError> {
    let (account, address) = (who.account()?, session::address(request));
    let what = match key {
        Key::Token(_) => "token",
        Key::Session(_) => "session",
    };
    let taken = state.db.run(move |conn| match key {
        Key::Token(id) => {
            delete_token(conn, account, id)?;
            insert_audit(conn, &who.name, Action::TokenRevoked, &id.to_string(), &address)
        }
        Key::Session(id) => {
            delete_session(conn, account, id)?;
            insert_audit(conn, &who.name, Action::SessionEnded, "", &address)
        }
    });
    taken.await.map_err(or_not_found(what))?;
    state.gate.forget();
    Ok(see_other("/me"))
}
