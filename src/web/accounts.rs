//! Signing in and out, one's own account, the accounts of all, and the audit log.

pub(super) mod audit;
pub(super) mod own;
pub(super) mod sign_in;

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Form, Path},
};
use askama::Template;

use self::sign_in::open_session;
use super::{
    State, WebError, Who,
    error::or_not_found,
    page::{self, Layout, Tab, see_other},
    session,
};
use crate::{
    db::accounts::{
        Account, AccountRefusal, Action, Failures, delete_account, find_account, insert_account, insert_audit, list_accounts, set_password,
        set_role,
    },
    models::{
        AccountId,
        account::{PasswordKept, Role, SHORTEST_PASSWORD, checked_name},
    },
};

/// Failures after which nobody may try again for a while: of one name from one address, of one address, of one name.
const MOST_FAILURES: Failures = Failures { of_both: 5, of_address: 30, of_name: 60 };

/// The fields of a form, in their order.
type Fields = Form<Vec<(String, String)>>;

/// A field of a form exactly as typed; empty where it is not there.
fn typed<'a>(fields: &'a [(String, String)], key: &str) -> &'a str {
    page::value_of(fields, key).unwrap_or_default()
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
