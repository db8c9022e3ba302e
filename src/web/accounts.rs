//! Signing in and out, one's own account, the accounts of all, and the audit log.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Form, Path},
};
use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    State, WebError, Who,
    error::or_not_found,
    grouping::is_local,
    page::{self, Layout, Pairs, Tab, see_other},
    session,
};
use crate::{
    db::accounts::{
        Account, AccountRefusal, Action, ApiToken, AuditLine, Failures, Session, count_failures, delete_account, delete_session,
        delete_session_of_secret, delete_token, find_account, find_account_by_name, find_password, insert_account, insert_audit,
        insert_session, insert_token, list_accounts, list_audit, list_sessions, list_tokens, set_password, set_role,
    },
    models::{
        AccountId, SessionId, TokenId,
        account::{PasswordKept, Role, SHORTEST_PASSWORD, Secret, checked_name, is_code},
    },
};

/// Failures after which nobody may try again for a while: of one name from one address, of one address, of one name.
const MOST_FAILURES: Failures = Failures { of_both: 5, of_address: 30, of_name: 60 };
/// Longest name of a token, in characters.
const LONGEST_TOKEN_NAME: usize = 100;
/// Longest life of a token, in days.
const MOST_TOKEN_DAYS: i32 = 3650;
/// Lines of a page of the audit log.
const AUDIT_PAGE: i64 = 200;

/// The fields of a form, in their order.
type Fields = Form<Vec<(String, String)>>;

/// A field of a form exactly as typed; empty where it is not there.
fn typed<'a>(fields: &'a [(String, String)], key: &str) -> &'a str {
    page::value_of(fields, key).unwrap_or_default()
}

/// The page that signs in, and then leads to `path`.
pub(super) fn login_href(path: &str) -> String {
    match own_path(path) {
        "/" => "/login".to_owned(),
        path => page::address("/login", &crate::models::Filter::default(), &[("to", path.to_owned())]),
    }
}

/// A path on this server: nobody is led elsewhere after signing in, nor out again.
fn own_path(path: &str) -> &str {
    if is_local(path) && !path.starts_with("/login") && !path.starts_with("/logout") { path } else { "/" }
}

/// Checks a password where at most a few are checked at a time.
async fn hashed<T: Send + 'static>(state: &State, work: impl FnOnce() -> T + Send + 'static) -> Result<T, WebError> {
    let _place = state.gate.hashing.acquire().await.map_err(|error| WebError::Internal(error.to_string()))?;
    tokio::task::spawn_blocking(work).await.map_err(|error| WebError::Internal(error.to_string()))
}

/// What to keep of a new password, or why it may not be one.
async fn kept(state: &State, password: &str, name: &str) -> Result<Result<PasswordKept, String>, WebError> {
    let (password, name) = (password.to_owned(), name.to_owned());
    hashed(state, move || PasswordKept::of(&password, &name).map_err(|error| sentence(&error.to_string()))).await
}

/// An error's words as a sentence of its own.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str().trim_end_matches('.')))
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    layout: Layout,
    /// What went wrong.
    trouble: Option<String>,
    name: String,
    to: String,
}

fn login_page(trouble: Option<String>, name: &str, to: &str, status: StatusCode) -> Result<HttpResponse, WebError> {
    let layout = Layout::new("Sign in", Tab::None);
    let mut page = page::html(&LoginPage { layout, trouble, name: name.to_owned(), to: own_path(to).to_owned() })?;
    *page.status_mut() = status;
    Ok(page)
}

/// `GET /login?to=`.
pub(super) async fn show_login(state: Data<State>, request: HttpRequest, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let to = own_path(page::value_of(&pairs, "to").unwrap_or("/"));
    if !state.gate.has_accounts(&state).await? {
        return Ok(see_other(if state.gate.code().is_some() { "/welcome" } else { "/" }));
    }
    use actix_web::HttpMessage;
    if request.extensions().get::<Who>().is_some() {
        return Ok(see_other(to));
    }
    login_page(None, "", to, StatusCode::OK)
}

/// `POST /login`.
pub(super) async fn sign_in(state: Data<State>, request: HttpRequest, fields: Fields) -> Result<HttpResponse, WebError> {
    let (name, password, to) = (typed(&fields, "name").trim().to_owned(), typed(&fields, "password").to_owned(), typed(&fields, "to"));
    let address = session::address(&request);
    let place = state.gate.hashing.acquire().await.map_err(|error| WebError::Internal(error.to_string()))?;
    // Asked in the place where passwords are checked, so that many tries at once do not all get past it.
    let (who, from) = (name.clone(), address.clone());
    let (failures, account) = state
        .db
        .run(move |conn| {
            let account = match find_account_by_name(conn, &who)? {
                Some(account) => Some((find_password(conn, account.id)?, account)),
                None => None,
            };
            Ok::<_, crate::db::QueryError>((count_failures(conn, &who, &from)?, account))
        })
        .await?;
    if failures.of_both >= MOST_FAILURES.of_both
        || failures.of_address >= MOST_FAILURES.of_address
        || failures.of_name >= MOST_FAILURES.of_name
    {
        return Err(WebError::LockedOut);
    }
    let checked = tokio::task::spawn_blocking(move || match account {
        Some((kept, account)) => kept.is(&password).then_some(account),
        None => {
            PasswordKept::pretend(&password);
            None
        }
    });
    let account = checked.await.map_err(|error| WebError::Internal(error.to_string()))?;
    let Some(account) = account else {
        let who = name.clone();
        state.db.run(move |conn| insert_audit(conn, &who, Action::SignInFailed, "", &address)).await?;
        drop(place);
        return login_page(Some("Name or password is wrong.".to_owned()), &name, to, StatusCode::UNAUTHORIZED);
    };
    drop(place);
    open_session(&state, &request, &account, own_path(to)).await
}

/// Signs a browser in, and leads it on.
async fn open_session(state: &State, request: &HttpRequest, account: &Account, to: &str) -> Result<HttpResponse, WebError> {
    let secret = Secret::random();
    let (hash, agent, address) = (secret.hash(), session::agent(request), session::address(request));
    let (id, name) = (account.id, account.name.clone());
    let opened = state.db.run(move |conn| {
        insert_session(conn, id, &hash, &agent, &address)?;
        insert_audit(conn, &name, Action::SignIn, "", &address)
    });
    opened.await?;
    let mut answer = see_other(to);
    answer.add_cookie(&session::signed_in(request, &secret)).map_err(|error| WebError::Internal(error.to_string()))?;
    Ok(answer)
}

/// `POST /logout`.
pub(super) async fn sign_out(state: Data<State>, request: HttpRequest, who: Who) -> Result<HttpResponse, WebError> {
    if let Some(hash) = who.session {
        let address = session::address(&request);
        let ended = state.db.run(move |conn| {
            delete_session_of_secret(conn, &hash)?;
            insert_audit(conn, &who.name, Action::SignOut, "", &address)
        });
        ended.await?;
        state.gate.forget();
    }
    let mut answer = see_other("/login");
    answer.add_cookie(&session::signed_out(&request)).map_err(|error| WebError::Internal(error.to_string()))?;
    Ok(answer)
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage {
    layout: Layout,
    trouble: Option<String>,
    name: String,
}

fn welcome_page(trouble: Option<String>, name: &str) -> Result<HttpResponse, WebError> {
    let status = if trouble.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let mut page = page::html(&WelcomePage { layout: Layout::new("Welcome", Tab::None), trouble, name: name.to_owned() })?;
    *page.status_mut() = status;
    Ok(page)
}

/// `GET /welcome`.
pub(super) async fn show_welcome(state: Data<State>) -> Result<HttpResponse, WebError> {
    if state.gate.has_accounts(&state).await? || state.gate.code().is_none() {
        return Ok(see_other("/"));
    }
    welcome_page(None, "")
}

/// `POST /welcome`.
pub(super) async fn create_owner(state: Data<State>, request: HttpRequest, fields: Fields) -> Result<HttpResponse, WebError> {
    let Some(code) = state.gate.code() else { return Err(WebError::NotFound("page")) };
    let address = session::address(&request);
    let from = address.clone();
    let failures = state.db.run(move |conn| count_failures(conn, "", &from)).await?;
    if failures.of_address >= MOST_FAILURES.of_address {
        return Err(WebError::LockedOut);
    }
    if !is_code(typed(&fields, "code"), code) {
        state.db.run(move |conn| insert_audit(conn, "", Action::SignInFailed, "code of the first start", &address)).await?;
        return welcome_page(Some("This is not the code that the server printed.".to_owned()), typed(&fields, "name"));
    }
    let name = match checked_name(typed(&fields, "name")) {
        Ok(name) => name,
        Err(error) => return welcome_page(Some(sentence(&error.to_string())), ""),
    };
    if typed(&fields, "password") != typed(&fields, "again") {
        return welcome_page(Some("The two passwords differ.".to_owned()), &name);
    }
    let password = match kept(&state, typed(&fields, "password"), &name).await? {
        Ok(password) => password,
        Err(trouble) => return welcome_page(Some(trouble), &name),
    };
    let created = state.db.run(move |conn| {
        let created = insert_account(conn, &name, Role::Owner, &password, true)?;
        if let Ok(account) = &created {
            insert_audit(conn, &account.name, Action::AccountAdded, "first owner, by the code", &address)?;
        }
        Ok::<_, crate::db::QueryError>(created)
    });
    let account = created.await?.map_err(|refusal| WebError::Conflict(sentence(&refusal.to_string())))?;
    state.gate.forget();
    open_session(&state, &request, &account, "/").await
}

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
pub(super) async fn show_own(state: Data<State>, who: Who) -> Result<HttpResponse, WebError> {
    own_page(&state, who, Said::default()).await
}

/// `POST /me/password`: signs all other browsers out.
pub(super) async fn change_own_password(
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
pub(super) async fn make_token(state: Data<State>, request: HttpRequest, who: Who, fields: Fields) -> Result<HttpResponse, WebError> {
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
pub(super) async fn revoke_token(state: Data<State>, request: HttpRequest, who: Who, id: Path<String>) -> Result<HttpResponse, WebError> {
    let (account, id) = (who.account()?, id.parse::<TokenId>().map_err(|_| WebError::NotFound("token"))?);
    let address = session::address(&request);
    let revoked = state.db.run(move |conn| {
        delete_token(conn, account, id)?;
        insert_audit(conn, &who.name, Action::TokenRevoked, &id.to_string(), &address)
    });
    revoked.await.map_err(or_not_found("token"))?;
    state.gate.forget();
    Ok(see_other("/me"))
}

/// `POST /me/sessions/{id}/delete`.
pub(super) async fn end_session(state: Data<State>, request: HttpRequest, who: Who, id: Path<String>) -> Result<HttpResponse, WebError> {
    let (account, id) = (who.account()?, id.parse::<SessionId>().map_err(|_| WebError::NotFound("session"))?);
    let address = session::address(&request);
    let ended = state.db.run(move |conn| {
        delete_session(conn, account, id)?;
        insert_audit(conn, &who.name, Action::SessionEnded, "", &address)
    });
    ended.await.map_err(or_not_found("session"))?;
    state.gate.forget();
    Ok(see_other("/me"))
}

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    layout: Layout,
    trouble: Option<String>,
    accounts: Vec<Account>,
    /// Who looks; `None` while there are no accounts.
    own: Option<AccountId>,
    roles: [Role; 3],
    shortest: usize,
}

impl AccountsPage {
    fn is_own(&self, account: &Account) -> bool {
        self.own == Some(account.id)
    }
}

async fn accounts_page(state: &State, who: &Who, trouble: Option<String>) -> Result<HttpResponse, WebError> {
    let accounts = state.db.run(list_accounts).await?;
    let status = if trouble.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let layout = Layout::new("Accounts", Tab::None);
    let page = AccountsPage { layout, trouble, accounts, own: who.account, roles: Role::ALL, shortest: SHORTEST_PASSWORD };
    let mut page = page::html(&page)?;
    *page.status_mut() = status;
    Ok(page)
}

/// `GET /accounts`.
pub(super) async fn index(state: Data<State>, who: Who) -> Result<HttpResponse, WebError> {
    accounts_page(&state, &who, None).await
}

/// `POST /accounts`: the first one signs in with it, for everybody has to from then on.
pub(super) async fn add(state: Data<State>, request: HttpRequest, who: Who, fields: Fields) -> Result<HttpResponse, WebError> {
    let asked = checked_name(typed(&fields, "name")).and_then(|name| Ok((name, typed(&fields, "role").parse::<Role>()?)));
    let (name, role) = match asked {
        Ok(asked) => asked,
        Err(error) => return accounts_page(&state, &who, Some(sentence(&error.to_string()))).await,
    };
    let password = match kept(&state, typed(&fields, "password"), &name).await? {
        Ok(password) => password,
        Err(trouble) => return accounts_page(&state, &who, Some(trouble)).await,
    };
    let is_first = who.account.is_none();
    let (actor, address) = (who.name.clone(), session::address(&request));
    let added = state.db.run(move |conn| {
        let added = insert_account(conn, &name, role, &password, is_first)?;
        if added.is_ok() {
            insert_audit(conn, &actor, Action::AccountAdded, &format!("{name}: {role}"), &address)?;
        }
        Ok::<_, crate::db::QueryError>(added)
    });
    let account = match added.await? {
        Ok(account) => account,
        Err(refusal) => return accounts_page(&state, &who, Some(sentence(&refusal.to_string()))).await,
    };
    state.gate.forget();
    if is_first {
        return open_session(&state, &request, &account, "/accounts").await;
    }
    Ok(see_other("/accounts"))
}

/// A change of one account by an owner, with a line in the audit log.
async fn change(
    state: &State,
    request: &HttpRequest,
    who: &Who,
    id: &str,
    action: Action,
    detail: impl Fn(&Account) -> String + Send + 'static,
    work: impl FnOnce(&mut crate::db::PgConnection, AccountId) -> Result<Result<(), AccountRefusal>, crate::db::QueryError> + Send + 'static,
) -> Result<HttpResponse, WebError> {
    let id: AccountId = id.parse().map_err(|_| WebError::NotFound("account"))?;
    let (actor, address) = (who.name.clone(), session::address(request));
    let changed = state.db.run(move |conn| {
        let account = find_account(conn, id)?;
        let changed = work(conn, id)?;
        if changed.is_ok() {
            insert_audit(conn, &actor, action, &detail(&account), &address)?;
        }
        Ok::<_, crate::db::QueryError>(changed)
    });
    let changed = changed.await.map_err(or_not_found("account"))?;
    state.gate.forget();
    match changed {
        Ok(()) => Ok(see_other("/accounts")),
        Err(refusal) => accounts_page(state, who, Some(sentence(&refusal.to_string()))).await,
    }
}

/// `POST /accounts/{id}/role`.
pub(super) async fn change_role(
    state: Data<State>,
    request: HttpRequest,
    who: Who,
    id: Path<String>,
    fields: Fields,
) -> Result<HttpResponse, WebError> {
    let role: Role = match typed(&fields, "role").parse() {
        Ok(role) => role,
        Err(error) => return accounts_page(&state, &who, Some(sentence(&format!("{error}")))).await,
    };
    let detail = move |account: &Account| format!("{}: {} → {role}", account.name, account.role);
    change(&state, &request, &who, &id, Action::RoleChanged, detail, move |conn, id| set_role(conn, id, role)).await
}

/// `POST /accounts/{id}/password`: signs its browsers out.
pub(super) async fn reset_password(
    state: Data<State>,
    request: HttpRequest,
    who: Who,
    id: Path<String>,
    fields: Fields,
) -> Result<HttpResponse, WebError> {
    let account: AccountId = id.parse().map_err(|_| WebError::NotFound("account"))?;
    let account = state.db.run(move |conn| find_account(conn, account)).await.map_err(or_not_found("account"))?;
    let password = match kept(&state, typed(&fields, "password"), &account.name).await? {
        Ok(password) => password,
        Err(trouble) => return accounts_page(&state, &who, Some(trouble)).await,
    };
    let keep = who.session;
    let detail = |account: &Account| account.name.clone();
    let work = move |conn: &mut crate::db::PgConnection, id| set_password(conn, id, &password, keep.as_ref()).map(Ok);
    change(&state, &request, &who, &id, Action::PasswordChanged, detail, work).await
}

/// `POST /accounts/{id}/delete`.
pub(super) async fn remove(state: Data<State>, request: HttpRequest, who: Who, id: Path<String>) -> Result<HttpResponse, WebError> {
    let detail = |account: &Account| format!("{}: {}", account.name, account.role);
    change(&state, &request, &who, &id, Action::AccountRemoved, detail, delete_account).await
}

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
pub(super) async fn show_audit(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
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
        "edit" => "changed",
        "edit-undone" => "undid a change of",
        _ => "did",
    };
    let actor = if line.actor.is_empty() { "somebody".to_owned() } else { line.actor };
    ShownLine { at: line.at, actor, words, is_alarm: line.action == "sign-in-failed", detail: line.detail, address: line.address }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for own in ["/", "/images/3?q=a", "/folders"] {
            assert_eq!(own_path(own), own);
        }
        for other in ["", "https://evil.example/", "//evil.example", "/\\evil.example", "evil", "/a\r\nb", "/login?to=/login", "/logout"] {
            assert_eq!(own_path(other), "/", "{other}");
        }
        assert_eq!(login_href("/images/3?q=a%20b"), "/login?to=%2Fimages%2F3%3Fq%3Da%2520b");
        assert_eq!(login_href("//evil.example"), "/login");
    }
}
