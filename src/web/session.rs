//! Who asks: found out before every handler, by the cookie of a browser or the token of a program, and held against the rule of the
//! address.
//!
//! Without any account, whoever reaches the loopback address is the owner, as ever. As soon as there is one, everybody signs in, also
//! on this machine: a proxy on it would look the same. Off loopback, or behind a proxy, the first visitor has to bring the code that the
//! server printed, and becomes the owner.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest,
    body::MessageBody,
    cookie::{Cookie, SameSite, time::Duration as CookieDuration},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header::{AUTHORIZATION, USER_AGENT},
    middleware::Next,
    web::Data,
};
use tokio::sync::Semaphore;

use super::{
    State, WebError,
    access::{Access, access},
    guard,
};
use crate::{
    db::{
        accounts::{self, Bearer, SESSION_DAYS},
        workers::find_worker,
    },
    models::{
        AccountId,
        account::{Role, Secret, SecretHash, one_time_code},
    },
};

/// Name of the cookie over plain HTTP; over TLS the browser is told to send it nowhere else.
const COOKIE: &str = "hm_session";
const COOKIE_TLS: &str = "__Host-hm_session";
/// How long it is believed who a secret stands for: a role that was changed on the command line holds from then on.
const BELIEVED: Duration = Duration::from_secs(5);
/// Secrets remembered at the same time.
const MOST_KNOWN: usize = 1000;
/// Passwords checked at the same time: each takes 19 MiB.
const MOST_HASHING: usize = 2;
/// Where whoever restarts the server asks how it is.
const HEALTH: &str = "/healthz";
/// How long it may take there to find out who asks.
const HEALTH_PATIENCE: Duration = Duration::from_millis(400);
/// Who acts while there are no accounts.
const NOBODY: &str = "owner";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The account; `None` while there are none, and for an invited worker.
    pub account: Option<AccountId>,
    /// Its name, as the history shows it.
    pub name: String,
    /// What they may do now: the role, and no more than a token is for.
    pub role: Role,
    /// The session, of a browser that is signed in.
    pub session: Option<SecretHash>,
}

impl Who {
    fn nobody() -> Self {
        Self { account: None, name: NOBODY.to_owned(), role: Role::Owner, session: None }
    }

    /// A machine that was invited.
    fn worker(name: String) -> Self {
        Self { account: None, name: format!("worker {name}"), role: Role::Worker, session: None }
    }

    /// The account.
    ///
    /// # Errors
    /// [`WebError::NotFound`] where there is none.
    pub(super) fn account(&self) -> Result<AccountId, WebError> {
        self.account.ok_or(WebError::NotFound("account"))
    }

    /// Whether they may change things.
    pub fn may_edit(&self) -> bool {
        self.role >= Role::Editor
    }

    /// Whether they may manage accounts.
    pub fn is_owner(&self) -> bool {
        self.role == Role::Owner
    }
}

/// The gate has put it there.
impl FromRequest for Who {
    type Error = WebError;
    type Future = Ready<Result<Self, WebError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let who = request.extensions().get::<Self>().cloned();
        ready(who.ok_or_else(|| WebError::Internal(format!("nobody knows who asks for {}", request.path()))))
    }
}

tokio::task_local! {
    static CURRENT: Option<Who>;
}

/// Who asked for the page that is being made: the frame around every page shows it.
pub(super) fn current() -> Option<Who> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Whether whoever asked for the page may change things: templates leave out what would only be refused.
pub(super) fn may_edit() -> bool {
    current().is_none_or(|who| who.may_edit())
}

/// What the server remembers of who may come in.
pub struct Gate {
    /// Set where everybody has to sign in from the start: what the first visitor has to bring.
    code: Option<String>,
    /// Whether there are accounts, and since when that is known. Once there are, there always are.
    any: Mutex<Option<(Instant, bool)>>,
    known: Mutex<HashMap<SecretHash, (Instant, Who)>>,
    /// Places for checking passwords.
    pub(super) hashing: Semaphore,
}

impl Gate {
    /// One through which everybody passes until there are accounts; or nobody, where they are `required`.
    pub(super) fn new(required: bool) -> Self {
        Self { code: required.then(one_time_code), any: Mutex::default(), known: Mutex::default(), hashing: Semaphore::new(MOST_HASHING) }
    }

    /// What the first visitor has to bring, where accounts are required.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Forgets what is believed: roles, passwords or sessions changed.
    pub(super) fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.any.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether there are accounts.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn has_accounts(&self, state: &State) -> Result<bool, WebError> {
        let known = *self.any.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, any)) = known
            && at.elapsed() < BELIEVED
        {
            return Ok(any);
        }
        let any = state.db.run(accounts::has_accounts).await?;
        *self.any.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), any));
        Ok(any)
    }

    /// Whose secret this was, by what is remembered alone: for a server whose database does not answer.
    fn remembered(&self, request: &HttpRequest) -> Option<Who> {
        let secret = token(request).flatten().or_else(|| cookie(request))?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&secret.hash()).map(|(_, who)| who.clone())
    }

    /// Whose secret this is.
    async fn bearer(&self, state: &State, secret: &Secret, is_token: bool) -> Result<Option<Who>, WebError> {
        let hash = secret.hash();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        // A token is no cookie and a cookie no token.
        if let Some((at, who)) = known
            && at.elapsed() < BELIEVED
            && who.session.is_none() == is_token
        {
            return Ok(Some(who));
        }
        let of_account = move |Bearer { account, name, role, scope }| Who {
            account: Some(account),
            name,
            role: role.min(scope),
            session: (!is_token).then_some(hash),
        };
        let found = state.db.run(move |conn| {
            let find = if is_token { accounts::find_token } else { accounts::find_session };
            match find(conn, &hash)? {
                Some(bearer) => Ok::<_, crate::db::QueryError>(Some(of_account(bearer))),
                None if is_token => Ok(find_worker(conn, &hash)?.map(Who::worker)),
                None => Ok(None),
            }
        });
        let Some(who) = found.await? else { return Ok(None) };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(hash, (Instant::now(), who.clone()));
        Ok(Some(who))
    }
}

/// Stands before every address: lets in who may, and tells the handler who it is.
pub(super) async fn gate(
    path: &'static str,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let who = match admit(path, request.request()).await {
        Ok(who) => who,
        Err(refusal) => return Ok(request.error_response(refusal).map_into_right_body()),
    };
    if let Some(who) = &who {
        request.extensions_mut().insert(who.clone());
    }
    Ok(CURRENT.scope(who, next.call(request)).await?.map_into_left_body())
}

/// Who comes in; `None` where anybody may and nobody said who they are.
async fn admit(path: &'static str, request: &HttpRequest) -> Result<Option<Who>, WebError> {
    let access = access(request.method(), path);
    let Some(state) = request.app_data::<Data<State>>() else { return Err(WebError::Internal("there is no state".to_owned())) };
    if access == Access::Public && path.starts_with("/static/") {
        return Ok(None);
    }
    if path == HEALTH {
        // The one page that is asked for when nothing else works, and by somebody who does not wait.
        let found = tokio::time::timeout(HEALTH_PATIENCE, found(state, request)).await;
        return Ok(match found {
            Ok(Ok((who, _))) => who,
            Ok(Err(_)) | Err(_) => state.gate.remembered(request),
        });
    }
    let (who, is_token) = found(state, request).await?;
    if is_token && who.is_none() && access != Access::Public {
        return Err(WebError::BadToken);
    }
    let needed = match access {
        Access::Public => return Ok(who),
        Access::InPerson(_) if is_token => return Err(WebError::NoTokens),
        Access::AtLeast(role) | Access::InPerson(role) => role,
    };
    match who {
        Some(who) if who.role >= needed => Ok(Some(who)),
        Some(_) => Err(WebError::Forbidden(needed)),
        None if !state.gate.has_accounts(state).await? => Err(WebError::NoOwner),
        None => Err(WebError::SignIn),
    }
}

/// Who a request is from, and whether it names a token.
async fn found(state: &State, request: &HttpRequest) -> Result<(Option<Who>, bool), WebError> {
    let (who, is_token) = match token(request) {
        Some(Some(token)) => (state.gate.bearer(state, &token, true).await?, true),
        Some(None) => (None, true),
        None => match cookie(request) {
            Some(secret) => {
                guard::check_own_form(request)?;
                (state.gate.bearer(state, &secret, false).await?, false)
            }
            None => (None, false),
        },
    };
    let who = match who {
        None if is_token => None,
        None if state.gate.code().is_none() && !state.gate.has_accounts(state).await? => Some(Who::nobody()),
        who => who,
    };
    Ok((who, is_token))
}

/// The token in `Authorization: Bearer …`; `Some(None)` where there is something that is none.
fn token(request: &HttpRequest) -> Option<Option<Secret>> {
    let text = request.headers().get(AUTHORIZATION)?.to_str().unwrap_or_default();
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(scheme.eq_ignore_ascii_case("bearer").then(|| Secret::parse(rest.trim())).flatten())
}

fn cookie(request: &HttpRequest) -> Option<Secret> {
    let name = if is_tls(request) { COOKIE_TLS } else { COOKIE };
    request.cookie(name).and_then(|cookie| Secret::parse(cookie.value()))
}

/// Whether the browser speaks TLS with the proxy before us. Anybody may say so: all it does is to bind their own cookie to TLS.
fn is_tls(request: &HttpRequest) -> bool {
    let forwarded = request.headers().get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    forwarded.is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

/// Where a request comes from: what the proxy on this machine says, else the other end of the connection.
pub(super) fn address(request: &HttpRequest) -> String {
    let Some(peer) = request.peer_addr() else { return String::new() };
    let forwarded = request.headers().get("x-forwarded-for").and_then(|value| value.to_str().ok());
    match forwarded.and_then(|text| text.rsplit(',').next()).map(str::trim) {
        // The last one is who spoke with the proxy; what stands before it anybody can write.
        Some(last) if peer.ip().is_loopback() && last.parse::<std::net::IpAddr>().is_ok() => last.to_owned(),
        _ => peer.ip().to_string(),
    }
}

/// What the browser calls itself, not endlessly.
pub(super) fn agent(request: &HttpRequest) -> String {
    let agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    agent.chars().filter(|letter| !letter.is_control()).take(300).collect()
}

/// The cookie that signs in.
pub(super) fn signed_in(request: &HttpRequest, secret: &Secret) -> Cookie<'static> {
    let is_tls = is_tls(request);
    Cookie::build(if is_tls { COOKIE_TLS } else { COOKIE }, secret.expose().to_owned())
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(is_tls)
        .max_age(CookieDuration::days(i64::from(SESSION_DAYS)))
        .finish()
}

/// The cookie that takes it away.
pub(super) fn signed_out(request: &HttpRequest) -> Cookie<'static> {
    let mut cookie = Cookie::build(if is_tls(request) { COOKIE_TLS } else { COOKIE }, "").path("/").secure(is_tls(request)).finish();
    cookie.make_removal();
    cookie
}
