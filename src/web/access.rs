//! Who may ask for what: the rule for each address, kept in one place.
//!
//! Looking needs a viewer, changing an editor; cutting something out changes nothing, but takes all cores for a second, and so needs an
//! editor too, as does stopping what networks do or having it done again, which a viewer may watch. The exceptions are listed here, and `tests/it/accounts.rs` has every address with every
//! role. The rule is looked up by the address of the table that answers, never by the text of the request, so that no other way of
//! writing an address gets around it.

use actix_web::http::Method;

use crate::models::account::Role;

/// What an address asks of whoever comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: it is needed to sign in, or says nothing.
    Public,
    /// At least this role, in a browser or by a token.
    AtLeast(Role),
    /// At least this role, and no token: so that none can raise itself.
    InPerson(Role),
}

/// Addresses that anybody may ask for.
const PUBLIC: [&str; 4] = ["/static/{version}/{name}", "/login", "/welcome", "/healthz"];

/// What is asked for by who changes things, and by nobody else.
const FOR_CHANGING: [&str; 3] = ["/rate", "/rate/moments", "/edits/progress/{word}"];

/// What belongs to whoever is signed in.
const OWN: [&str; 6] = ["/me", "/me/password", "/me/tokens", "/me/tokens/{id}/delete", "/me/sessions/{id}/delete", "/logout"];

/// What belongs to owners.
const OWNERS: [&str; 5] = ["/accounts", "/accounts/{id}/role", "/accounts/{id}/password", "/accounts/{id}/delete", "/audit"];

/// What a machine that was invited to work fetches: whoever may look may, too.
const WORKERS: [&str; 4] =
    ["/api/v1/images/{id}/thumbnail", "/api/v1/images/{id}/original", "/api/v1/models", "/api/v1/models/{name}/{file}"];

/// The rule for an address of the table.
pub fn access(method: &Method, path: &str) -> Access {
    if PUBLIC.contains(&path) {
        return Access::Public;
    }
    if OWN.contains(&path) {
        return Access::InPerson(Role::Viewer);
    }
    if OWNERS.contains(&path) {
        return Access::InPerson(Role::Owner);
    }
    if FOR_CHANGING.contains(&path) {
        return Access::AtLeast(Role::Editor);
    }
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS if WORKERS.contains(&path) => Access::AtLeast(Role::Worker),
        Method::GET | Method::HEAD | Method::OPTIONS => Access::AtLeast(Role::Viewer),
        _ => Access::AtLeast(Role::Editor),
    }
}
