//! Signing in and out, and the first owner.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, http::StatusCode, web::Data};
use askama::Template;

use super::{Fields, MOST_FAILURES, kept, sentence, typed};
use crate::{
    db::accounts::{
        Account, Action, count_failures, delete_session_of_secret, find_account_by_name, find_password, insert_account, insert_audit,
        insert_session,
    },
    models::account::{PasswordKept, Role, Secret, checked_name, is_code},
    web::{
        State, WebError, Who,
        page::{self, Layout, Pairs, Tab, is_local, see_other},
        session,
    },
};

/// The page that signs in, and then leads to `path`.
pub(in crate::web) fn login_href(path: &str) -> String {
    match own_path(path) {
        "/" => "/login".to_owned(),
        path => page::address("/login", &crate::models::Filter::default(), &[("to", path.to_owned())]),
    }
}

/// A path on this server: nobody is led elsewhere after signing in, nor out again.
fn own_path(path: &str) -> &str {
    if is_local(path) && !path.starts_with("/login") && !path.starts_with("/logout") { path } else { "/" }
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
pub(in crate::web) async fn show_login(state: Data<State>, request: HttpRequest, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let to = own_path(page::value_of(&pairs, "to").unwrap_or("/"));
    if !state.gate.has_accounts(&state).await? {
        return Ok(see_other(if state.gate.code().is_some() { "/welcome" } else { "/" }));
    }
    if request.extensions().get::<Who>().is_some() {
        return Ok(see_other(to));
    }
    login_page(None, "", to, StatusCode::OK)
}

/// `POST /login`.
pub(in crate::web) async fn sign_in(state: Data<State>, request: HttpRequest, fields: Fields) -> Result<HttpResponse, WebError> {
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
pub(super) async fn open_session(state: &State, request: &HttpRequest, account: &Account, to: &str) -> Result<HttpResponse, WebError> {
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
pub(in crate::web) async fn sign_out(state: Data<State>, request: HttpRequest, who: Who) -> Result<HttpResponse, WebError> {
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
pub(in crate::web) async fn show_welcome(state: Data<State>) -> Result<HttpResponse, WebError> {
    if state.gate.has_accounts(&state).await? || state.gate.code().is_none() {
        return Ok(see_other("/"));
    }
    welcome_page(None, "")
}

/// `POST /welcome`.
pub(in crate::web) async fn create_owner(state: Data<State>, request: HttpRequest, fields: Fields) -> Result<HttpResponse, WebError> {
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
