//! Who may do what: every address with every role and method, signing in and out, tokens, and the log of it.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

use diesel::{QueryableByName, RunQueryDsl, sql_query, sql_types::Text};
use hm::{
    db::{
        accounts::{Action, insert_account, insert_audit, insert_session, insert_token},
        edits::{Selection, apply_edits},
        workers::{delete_worker, insert_worker},
    },
    models::{
        account::{PasswordKept, Role, Secret},
        edit::{Change, ColorLabel, Keywords, Pick, Value},
    },
    web::ROUTES,
};

use crate::support::{
    TestDatabase,
    http::{Answer, App},
    library::{folder, image, vault},
    temp_dir,
};

const PASSWORD: &str = "correct horse battery";

/// A server with one account a role, all with [`PASSWORD`], named after their roles.
struct House {
    app: App,
    database: TestDatabase,
}

impl House {
    fn new() -> Self {
        let database = TestDatabase::new();
        let mut conn = database.connection();
        let password = PasswordKept::of(PASSWORD, "somebody").unwrap();
        for role in [Role::Owner, Role::Editor, Role::Viewer] {
            insert_account(&mut conn, role.word(), role, &password, false).unwrap().unwrap();
        }
        let root = vault(&mut conn, "photos", std::path::Path::new("/nowhere"));
        let summer = folder(&mut conn, root, "summer");
        image("IMG_1").file("IMG_1.JPG", "jpeg", "ORIGINAL").insert(&mut conn, summer);
        let app = App::start(database.pool(), std::path::Path::new("/nowhere/thumbs"));
        Self { app, database }
    }

    fn account(&self, role: Role) -> hm::models::AccountId {
        hm::db::accounts::find_account_by_name(&mut self.database.connection(), role.word()).unwrap().unwrap().id
    }

    /// A cookie of a new session.
    fn session(&self, role: Role) -> String {
        let secret = Secret::random();
        insert_session(&mut self.database.connection(), self.account(role), &secret.hash(), "test", "127.0.0.1").unwrap();
        format!("hm_session={}", secret.expose())
    }

    /// A new token.
    fn token(&self, role: Role, scope: Role) -> String {
        let secret = Secret::random();
        insert_token(&mut self.database.connection(), self.account(role), &secret.hash(), "test", scope, None).unwrap();
        secret.expose_token()
    }

    /// The token of a new worker.
    fn worker(&self, name: &str) -> String {
        let secret = Secret::random();
        insert_worker(&mut self.database.connection(), name, &secret.hash(), None).unwrap().unwrap();
        secret.expose_token()
    }

    fn ask(&self, method: &str, path: &str, who: Caller<'_>, body: &str) -> Answer {
        let origin = format!("http://{}", self.app.address);
        let kind = if path.starts_with("/api/") { "application/json" } else { "application/x-www-form-urlencoded" };
        let mut headers = vec![("Content-Type", kind)];
        let bearer;
        match who {
            Caller::Nobody => headers.push(("Origin", &origin)),
            Caller::Browser(cookie) => headers.extend([("Cookie", cookie), ("Origin", &origin)]),
            Caller::Program(token) => {
                bearer = format!("Bearer {token}");
                headers.push(("Authorization", &bearer));
            }
        }
        self.app.send(method, path, &headers, body)
    }

    fn sign_in(&self, name: &str, password: &str) -> Answer {
        self.ask("POST", "/login", Caller::Nobody, &format!("name={name}&password={}", password.replace(' ', "+")))
    }

    fn audit(&self) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            line: String,
        }
        let rows: Vec<Row> = sql_query("SELECT concat_ws(' ', actor, action, nullif(detail, '')) AS line FROM audit ORDER BY id")
            .load(&mut self.database.connection())
            .unwrap();
        rows.into_iter().map(|row| row.line).collect()
    }
}

#[derive(Clone, Copy)]
enum Caller<'a> {
    Nobody,
    Browser(&'a str),
    Program(&'a str),
}

/// Who may ask for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Invited to work, or more.
    Worker,
    Viewer,
    Editor,
    /// Signed in with a browser.
    ViewerInPerson,
    OwnerInPerson,
}

use Needs::{Editor, Nothing, OwnerInPerson, Viewer, ViewerInPerson, Worker};

/// Every address there is. A new one has to be put here, with a thought about who may ask for it.
const TABLE: &[(&str, &str, Needs)] = &[
    ("get", "/", Viewer),
    ("get", "/days", Viewer),
    ("get", "/days/marks", Viewer),
    ("get", "/ranked", Viewer),
    ("get", "/ranked/best", Viewer),
    ("get", "/images/{id}/regions", Viewer),
    ("get", "/api/v1/images/{id}/regions", Viewer),
    ("get", "/timeline.json", Viewer),
    ("get", "/filters", Viewer),
    ("get", "/filters/folders", Viewer),
    ("get", "/search/suggest", Viewer),
    ("get", "/search/help", Viewer),
    ("get", "/searches", Viewer),
    ("post", "/searches", Editor),
    ("post", "/searches/{id}", Editor),
    ("post", "/searches/{id}/delete", Editor),
    ("get", "/images/newest", Viewer),
    ("get", "/images/oldest", Viewer),
    ("post", "/images/merge", Editor),
    ("get", "/images/{id}", Viewer),
    ("post", "/images/{id}/split", Editor),
    ("get", "/images/ids", Viewer),
    ("post", "/images/{id}/edit", Editor),
    ("get", "/images/{id}/history", Viewer),
    ("post", "/images/{id}/history/{edit}/undo", Editor),
    ("post", "/images/{id}/history/{edit}/redo", Editor),
    ("post", "/edits", Editor),
    ("get", "/edits/progress/{word}", Editor),
    ("post", "/edits/{batch}/undo", Editor),
    ("post", "/edits/{batch}/redo", Editor),
    ("get", "/rate", Editor),
    ("get", "/rate/moments", Editor),
    ("get", "/duplicates", Viewer),
    ("post", "/duplicates/best", Editor),
    ("post", "/duplicates/apart", Editor),
    ("post", "/duplicates/apart/{id}/undo", Editor),
    ("get", "/api/v1/duplicates", Viewer),
    ("get", "/api/v1/duplicates/apart", Viewer),
    ("post", "/api/v1/duplicates/apart", Editor),
    ("delete", "/api/v1/duplicates/apart/{id}", Editor),
    ("get", "/outbox", Viewer),
    ("post", "/outbox/resolve", Editor),
    ("post", "/outbox/retry", Editor),
    ("post", "/tracks", Editor),
    ("post", "/tracks/{track}/preview", Editor),
    ("post", "/tracks/{track}/apply", Editor),
    ("get", "/keywords", Viewer),
    ("post", "/images/{id}/place-names", Editor),
    ("get", "/map", Viewer),
    ("get", "/map/towns.json", Viewer),
    ("get", "/map/towns", Viewer),
    ("get", "/map/place.json", Viewer),
    ("get", "/library", Viewer),
    ("get", "/models", Viewer),
    ("get", "/api/v1/export", Viewer),
    ("get", "/api/v1/library", Viewer),
    ("get", "/api/v1/map", Viewer),
    ("get", "/folders", Viewer),
    ("get", "/folders/{id}", Viewer),
    ("get", "/static/{version}/{name}", Nothing),
    ("get", "/status", Viewer),
    ("post", "/scans", Editor),
    ("get", "/pictures/{image}/{size}", Viewer),
    ("get", "/files/{id}", Viewer),
    ("get", "/login", Nothing),
    ("post", "/login", Nothing),
    ("post", "/logout", ViewerInPerson),
    ("get", "/tasks", Viewer),
    ("post", "/tasks/pause", Editor),
    ("post", "/tasks/resume", Editor),
    ("post", "/tasks/retry", Editor),
    ("post", "/tasks/first", Editor),
    ("get", "/api/v1/tasks", Viewer),
    ("post", "/api/v1/tasks/pause", Editor),
    ("post", "/api/v1/tasks/resume", Editor),
    ("post", "/api/v1/tasks/retry", Editor),
    ("get", "/welcome", Nothing),
    ("post", "/welcome", Nothing),
    ("get", "/me", ViewerInPerson),
    ("post", "/me/password", ViewerInPerson),
    ("post", "/me/tokens", ViewerInPerson),
    ("post", "/me/tokens/{id}/delete", ViewerInPerson),
    ("post", "/me/sessions/{id}/delete", ViewerInPerson),
    ("get", "/accounts", OwnerInPerson),
    ("post", "/accounts", OwnerInPerson),
    ("post", "/accounts/{id}/role", OwnerInPerson),
    ("post", "/accounts/{id}/password", OwnerInPerson),
    ("post", "/accounts/{id}/delete", OwnerInPerson),
    ("get", "/audit", OwnerInPerson),
    ("get", "/api/v1/images", Viewer),
    ("get", "/api/v1/images/{id}", Viewer),
    ("patch", "/api/v1/images/{id}", Editor),
    ("get", "/api/v1/images/{id}/history", Viewer),
    ("post", "/api/v1/images/{id}/history/{edit}/undo", Editor),
    ("post", "/api/v1/images/{id}/history/{edit}/redo", Editor),
    ("post", "/api/v1/edits", Editor),
    ("post", "/api/v1/edits/{batch}/undo", Editor),
    ("post", "/api/v1/edits/{batch}/redo", Editor),
    ("post", "/api/v1/tracks", Editor),
    ("get", "/api/v1/outbox", Viewer),
    ("post", "/api/v1/outbox/resolve", Editor),
    ("post", "/api/v1/outbox/retry", Editor),
    // Nothing is changed by it, but it takes all cores.
    ("post", "/api/v1/images/{id}/segment", Editor),
    ("get", "/api/v1/images/{id}/thumbnail", Worker),
    ("get", "/api/v1/images/{id}/original", Worker),
    ("get", "/api/v1/models", Worker),
    ("get", "/api/v1/models/{name}/{file}", Worker),
    ("get", "/api/v1/files/{id}", Viewer),
    ("get", "/api/v1/timeline", Viewer),
    ("get", "/api/v1/facets", Viewer),
    ("get", "/api/v1/folders", Viewer),
    ("get", "/api/v1/searches", Viewer),
    ("post", "/api/v1/searches", Editor),
    ("delete", "/api/v1/searches/{id}", Editor),
    ("get", "/api/v1/scans", Viewer),
    ("post", "/api/v1/scans", Editor),
    ("get", "/api/v1/vaults", Viewer),
    ("get", "/api/v1/openapi.json", Viewer),
    ("get", "/healthz", Nothing),
    ("get", "/metrics", Viewer),
];

/// An address with everything in braces filled in by what is not there: nothing is changed by asking for it.
fn filled(path: &str) -> String {
    let mut filled = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap();
        filled.push_str(before);
        filled.push_str(match name {
            "size" => "thumbnail",
            "version" => "0",
            "name" => "hm.js",
            _ => "987654321",
        });
        rest = after;
    }
    filled + rest
}

#[test]
fn every_address_lets_in_whom_the_table_says() {
    let table: BTreeMap<(&str, &str), Needs> = TABLE.iter().map(|(method, path, needs)| ((*method, *path), *needs)).collect();
    assert_eq!(table.len(), TABLE.len(), "no address stands twice");
    for route in ROUTES {
        assert!(
            table.contains_key(&(route.method, route.path)),
            "{} {} is not in the table: who may ask for it?",
            route.method,
            route.path
        );
    }
    assert_eq!(table.len(), ROUTES.len(), "no address of the table is gone");

    let house = House::new();
    let cookies = Role::ALL.map(|role| (role, house.session(role)));
    let tokens = Role::ALL.map(|role| (role, house.token(Role::Owner, role))).into_iter().chain([(Role::Worker, house.worker("attic"))]);
    let tokens: Vec<_> = tokens.collect();
    let is_refused = |answer: &Answer| {
        answer.status == 403 || answer.status == 401 || (answer.status == 303 && answer.header("location").starts_with("/login"))
    };
    let mut asked = 0;
    for (method, path, needs) in TABLE {
        let least = match needs {
            Nothing => None,
            Worker => Some(Role::Worker),
            Viewer | ViewerInPerson => Some(Role::Viewer),
            Editor => Some(Role::Editor),
            OwnerInPerson => Some(Role::Owner),
        };
        let in_person = matches!(needs, ViewerInPerson | OwnerInPerson);
        let path = filled(path);
        let what = format!("{method} {path}");
        let method = method.to_ascii_uppercase();
        let nobody = house.ask(&method, &path, Caller::Nobody, "");
        // A wrong password is refused, too, but not for want of a session.
        assert_eq!(is_refused(&nobody), least.is_some() || what == "post /login", "{what} by nobody: {}", nobody.status);
        for (role, cookie) in &cookies {
            // Signing out would end the session that the others are tried with.
            let own;
            let cookie = if what == "post /logout" {
                own = house.session(*role);
                &own
            } else {
                cookie
            };
            let answer = house.ask(&method, &path, Caller::Browser(cookie), "");
            let is_let_in = least.is_none_or(|least| *role >= least);
            let is_refused = is_refused(&answer) && !matches!(what.as_str(), "post /login" | "post /logout");
            assert_eq!(!is_refused, is_let_in, "{what} by a browser of the {role}: {} {}", answer.status, answer.header("location"));
            // Without a queue no scan can be asked for.
            assert!(answer.status < 500 || answer.status == 503, "{what} by the {role}: {}", answer.status);
            asked += 1;
        }
        for (scope, token) in &tokens {
            let answer = house.ask(&method, &path, Caller::Program(token), "");
            let is_let_in = least.is_none_or(|least| *scope >= least && !in_person);
            assert_eq!(!is_refused(&answer) || what == "post /login", is_let_in, "{what} by a token for {scope}: {}", answer.status);
            asked += 1;
        }
        // Methods that the address does not have are never let further than those it has.
        for other in ["POST", "PUT", "PATCH", "DELETE"] {
            if !ROUTES.iter().any(|route| route.method.eq_ignore_ascii_case(other) && filled(route.path) == path) {
                let answer = house.ask(other, &path, Caller::Nobody, "");
                assert!(is_refused(&answer) || answer.status == 405, "{other} {path} by nobody: {}", answer.status);
            }
        }
    }
    assert_eq!(asked, TABLE.len() * 7);
}

#[test]
fn no_other_way_of_writing_an_address_gets_around_its_rule() {
    let house = House::new();
    let cookie = house.session(Role::Viewer);
    for path in [
        "/%61ccounts",
        "/accounts/",
        "//accounts",
        "/./accounts",
        "/accounts?x=/me",
        "/ACCOUNTS",
        "/me/../accounts",
        "/accounts%2f",
        "/%61udit",
    ] {
        let answer = house.ask("GET", path, Caller::Browser(&cookie), "");
        assert!(matches!(answer.status, 403 | 404 | 400), "{path}: {}", answer.status);
        assert!(!answer.text().contains("Another account"), "{path}");
    }
    let answer = house.ask("POST", "/%61ccounts", Caller::Browser(&cookie), "name=mallory&role=owner&password=correct+horse+battery");
    assert!(matches!(answer.status, 403 | 404), "{}", answer.status);
    assert!(hm::db::accounts::find_account_by_name(&mut house.database.connection(), "mallory").unwrap().is_none());
}

#[test]
fn a_person_signs_in_looks_and_signs_out() {
    let house = House::new();
    let turned_away = house.ask("GET", "/images/1?q=a%20b", Caller::Nobody, "");
    assert_eq!((turned_away.status, turned_away.header("location")), (303, "/login?to=%2Fimages%2F1%3Fq%3Da%2520b"));
    assert_eq!(turned_away.header("cache-control"), "no-store");
    let fragment = house.app.get_with("/status", &[("HX-Request", "true"), ("HX-Current-URL", "http://x/folders?a=1")]);
    assert_eq!((fragment.status, fragment.header("hx-redirect")), (401, "/login?to=%2Ffolders%3Fa%3D1"));
    let api = house.app.get("/api/v1/images");
    assert_eq!((api.status, api.json()["code"].as_str().unwrap(), api.header("www-authenticate")), (401, "sign_in", "Bearer"));

    assert_eq!(house.sign_in("editor", "wrong password").status, 401);
    assert_eq!(house.sign_in("nobody", PASSWORD).status, 401);
    let answer = house.ask("POST", "/login", Caller::Nobody, "name=EDITOR&password=correct+horse+battery&to=//evil.example");
    assert_eq!((answer.status, answer.header("location")), (303, "/"), "nobody is led elsewhere");
    let cookie = answer.header("set-cookie").to_owned();
    for part in ["hm_session=", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(part), "{cookie} has no {part}");
    }
    assert!(!cookie.contains("Secure"), "over plain HTTP it would not come back");
    let cookie = cookie.split(';').next().unwrap();
    let home = house.ask("GET", "/", Caller::Browser(cookie), "");
    assert_eq!(home.status, 200);
    assert!(home.text().contains("Account: editor") && home.text().contains("data-role=\"editor\""));
    // Whoever is in need not sign in.
    assert_eq!(house.ask("GET", "/login?to=/folders", Caller::Browser(cookie), "").header("location"), "/folders");

    // The history says who did it.
    let patch = |body: &str| house.ask("PATCH", "/api/v1/images/1", Caller::Browser(cookie), body);
    assert_eq!(patch("{\"rating\": 4}").status, 200);
    let history = house.ask("GET", "/api/v1/images/1/history", Caller::Browser(cookie), "").json();
    assert_eq!(history["entries"][0]["author"], "editor");

    let out = house.ask("POST", "/logout", Caller::Browser(cookie), "");
    assert_eq!((out.status, out.header("location")), (303, "/login"));
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));
    assert_eq!(house.ask("GET", "/api/v1/images", Caller::Browser(cookie), "").status, 401, "the session is over on the server, too");
    assert_eq!(house.audit(), ["editor sign-in-failed", "nobody sign-in-failed", "editor sign-in", "editor sign-out"]);
}

#[test]
fn behind_a_proxy_with_tls_the_cookie_goes_nowhere_else() {
    let house = House::new();
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-For", "6.6.6.6, 203.0.113.7"),
        ("User-Agent", "Tester/1"),
    ];
    let answer = house.app.send("POST", "/login", &headers, "name=viewer&password=correct+horse+battery");
    let cookie = answer.header("set-cookie").to_owned();
    assert!(cookie.starts_with("__Host-hm_session=") && cookie.contains("Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let page = house.app.get_with("/me", &[("Cookie", cookie), ("X-Forwarded-Proto", "https")]);
    assert!(page.status == 200 && page.text().contains("203.0.113.7") && !page.text().contains("6.6.6.6"), "{}", page.text());
}

#[test]
fn a_form_of_another_site_is_refused_with_the_cookie_that_the_browser_adds() {
    let house = House::new();
    let cookie = house.session(Role::Owner);
    let form = "name=mallory&role=owner&password=correct+horse+battery";
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    for header in
        [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site"), ("Origin", "null")]
    {
        let answer = house.app.send("POST", "/accounts", &[kind, ("Cookie", &cookie), header], form);
        assert_eq!(answer.status, 403, "{header:?}");
    }
    // One that does not say where it comes from is no page of ours either.
    assert_eq!(house.app.send("POST", "/accounts", &[kind, ("Cookie", &cookie)], form).status, 403);
    assert_eq!(house.ask("POST", "/accounts", Caller::Browser(&cookie), form).status, 303);
}

#[test]
fn guessing_is_slowed_down_and_written_down() {
    let house = House::new();
    for _ in 0..5 {
        assert_eq!(house.sign_in("viewer", "a wrong password").status, 401);
    }
    let locked = house.sign_in("viewer", PASSWORD);
    assert_eq!((locked.status, locked.header("retry-after")), (429, "900"), "the right one does not help any more");
    assert_eq!(house.sign_in("editor", PASSWORD).status, 303, "another is not locked out with it");
    // Names change, the address does not.
    let mut conn = house.database.connection();
    for number in 0..30 {
        insert_audit(&mut conn, &format!("guess {number}"), Action::SignInFailed, "", "127.0.0.1").unwrap();
    }
    assert_eq!(house.sign_in("owner", PASSWORD).status, 429);
    sql_query("UPDATE audit SET at = at - interval '16 minutes'").execute(&mut conn).unwrap();
    assert_eq!(house.sign_in("owner", PASSWORD).status, 303, "after a while it is forgiven");
    assert_eq!(house.sign_in("viewer", PASSWORD).status, 303);
    let cookie = house.session(Role::Owner);
    let log = house.ask("GET", "/audit", Caller::Browser(&cookie), "").text();
    assert!(log.contains("could not sign in") && log.contains("guess 7"), "{log}");
}

#[test]
fn a_token_does_what_it_is_for_and_cannot_raise_itself() {
    let house = House::new();
    let cookie = house.session(Role::Editor);
    let make = |form: &str| house.ask("POST", "/me/tokens", Caller::Browser(&cookie), form);
    assert_eq!(make("name=too+much&scope=owner&days=").status, 400);
    assert_eq!(make("name=&scope=viewer").status, 400);
    assert_eq!(make("name=x&scope=viewer&days=0").status, 400);
    let page = make("name=frame+%3Cb%3E&scope=viewer&days=30").text();
    assert!(page.contains("frame &#60;b&#62;") && !page.contains("frame <b>"), "{page}");
    let start = page.find("hm_").map(|_| {
        page.match_indices("hm_").map(|(at, _)| at).find(|at| page[at + 3..].starts_with(|c: char| c.is_ascii_hexdigit())).unwrap()
    });
    let token = page[start.unwrap()..start.unwrap() + 67].to_owned();
    let with = |method: &str, path: &str, body: &str| house.ask(method, path, Caller::Program(&token), body);
    assert_eq!(with("GET", "/api/v1/images", "").status, 200);
    assert_eq!(with("PATCH", "/api/v1/images/1", "{\"rating\": 3}").status, 403, "it looks only");
    for path in ["/me", "/accounts", "/audit"] {
        let refusal = with("GET", path, "");
        assert_eq!(refusal.status, 403, "{path}");
    }
    assert_eq!(with("POST", "/me/tokens", "name=x&scope=editor&days=").status, 403);
    // As a cookie it is nothing, nor is a cookie a token.
    assert_eq!(house.ask("GET", "/api/v1/images", Caller::Browser(&format!("hm_session={token}")), "").status, 401);
    let secret = cookie.split_once('=').unwrap().1;
    assert_eq!(house.ask("GET", "/api/v1/images", Caller::Program(secret), "").status, 401);
    // A token falls with the role of its account.
    let mut conn = house.database.connection();
    let strong = house.token(Role::Editor, Role::Editor);
    hm::db::accounts::set_role(&mut conn, house.account(Role::Editor), Role::Viewer).unwrap().unwrap();
    assert_eq!(house.ask("PATCH", "/api/v1/images/1", Caller::Program(&strong), "{\"rating\": 3}").status, 403);
    sql_query("UPDATE api_tokens SET expires_at = now() - interval '1 day' WHERE name LIKE 'frame%'").execute(&mut conn).unwrap();
    // What was believed a moment ago is forgotten by then.
    std::thread::sleep(std::time::Duration::from_millis(5_100));
    let expired = with("GET", "/api/v1/images", "");
    assert_eq!((expired.status, expired.json()["code"].as_str().unwrap()), (401, "bad_token"));
}

#[test]
fn a_worker_fetches_pictures_and_networks_until_it_is_revoked() {
    let house = House::new();
    let token = house.worker("attic");
    let with = |method: &str, path: &str, body: &str| house.ask(method, path, Caller::Program(&token), body);
    assert_eq!(with("GET", "/api/v1/models", "").json()["models"], serde_json::json!([]));
    assert_eq!(with("GET", "/api/v1/images/1/thumbnail?size=proxy&wait=0", "").json()["code"], "no_picture");
    assert_eq!(with("GET", "/pictures/1/proxy?wait=0", "").status, 403, "one address is enough");
    assert_eq!(with("GET", "/api/v1/images", "").status, 403);
    assert_eq!(with("POST", "/me/tokens", "name=x&scope=viewer&days=").status, 403, "it cannot raise itself");
    assert_eq!(with("POST", "/api/v1/models", "{}").status, 403);
    // As a cookie it is nothing.
    assert_eq!(house.ask("GET", "/api/v1/models", Caller::Browser(&format!("hm_session={token}")), "").status, 401);
    let mut conn = house.database.connection();
    assert!(insert_worker(&mut conn, "attic", &Secret::random().hash(), None).unwrap().is_err(), "the name is taken");
    assert!(delete_worker(&mut conn, "attic").unwrap() && !delete_worker(&mut conn, "attic").unwrap());
    // What was believed a moment ago is forgotten by then.
    std::thread::sleep(std::time::Duration::from_millis(5_100));
    let refused = with("GET", "/api/v1/models", "");
    assert_eq!((refused.status, refused.json()["code"].as_str().unwrap()), (401, "bad_token"));
}

#[test]
fn an_owner_manages_accounts_but_never_the_last_owner_away() {
    let house = House::new();
    let cookie = house.session(Role::Owner);
    let post = |path: &str, form: &str| house.ask("POST", path, Caller::Browser(&cookie), form);
    assert_eq!(post("/accounts", "name=Zo%C3%AB&role=editor&password=short").status, 400);
    assert_eq!(post("/accounts", "name=Zo%C3%AB&role=king&password=correct+horse+battery").status, 400);
    assert_eq!(post("/accounts", "name=Zo%C3%AB&role=editor&password=correct+horse+battery").status, 303);
    let taken = post("/accounts", "name=ZOE&role=viewer&password=correct+horse+battery");
    assert!(taken.status == 400 && taken.text().contains("Another account has this name"), "{}", taken.text());
    assert_eq!(house.sign_in("zoe", PASSWORD).status, 303);

    let owner = house.account(Role::Owner);
    for (path, form) in [(format!("/accounts/{owner}/role"), "role=viewer"), (format!("/accounts/{owner}/delete"), "")] {
        let answer = post(&path, form);
        assert!(answer.status == 400 && answer.text().contains("only owner"), "{path}: {}", answer.status);
    }
    // A new password signs the others out.
    let viewer = (house.account(Role::Viewer), house.session(Role::Viewer));
    assert_eq!(post(&format!("/accounts/{}/password", viewer.0), "password=another+long+password").status, 303);
    assert_eq!(house.ask("GET", "/api/v1/images", Caller::Browser(&viewer.1), "").status, 401);
    assert_eq!(house.sign_in("viewer", PASSWORD).status, 401);
    assert_eq!(house.sign_in("viewer", "another long password").status, 303);
    // Whoever is gone is out at once.
    let editor = (house.account(Role::Editor), house.session(Role::Editor));
    assert_eq!(house.ask("GET", "/api/v1/images", Caller::Browser(&editor.1), "").status, 200);
    assert_eq!(post(&format!("/accounts/{}/delete", editor.0), "").status, 303);
    assert_eq!(house.ask("GET", "/api/v1/images", Caller::Browser(&editor.1), "").status, 401);
    // One changes one's own password with the old one.
    assert_eq!(post("/me/password", "old=wrong&password=another+long+password&again=another+long+password").status, 400);
    assert_eq!(post("/me/password", "old=correct+horse+battery&password=another+long+password&again=different").status, 400);
    let changed = post("/me/password", "old=correct+horse+battery&password=another+long+password&again=another+long+password");
    assert_eq!(changed.status, 200);
    assert_eq!(house.ask("GET", "/me", Caller::Browser(&cookie), "").status, 200, "this browser stays");
    let log = house.audit();
    for line in [
        "owner account-added Zoë: editor",
        "owner password-changed viewer",
        "owner account-removed editor: editor",
        "owner password-changed",
    ] {
        assert!(log.iter().any(|found| found == line), "{line} is not in {log:?}");
    }
}

/// Fields and buttons that would only be refused are not there; what they hold is told as text.
#[test]
fn who_may_only_look_is_shown_words_and_no_fields() {
    let house = House::new();
    let conn = &mut house.database.connection();
    let more = vault(conn, "more", std::path::Path::new("/nowhere/more"));
    let sea = folder(conn, more, "sea");
    let id = image("IMG_2").file("IMG_2.JPG", "jpeg", "ORIGINAL").file("IMG_2.CR2", "cr2", "ORIGINAL").insert(conn, sea);
    let said = [
        Value::Title(Some("Harbour <b>".into())),
        Value::Description(Some("Two\nlines".into())),
        Value::Keywords(Keywords::new(["lake"], [""; 0])),
        Value::Rating(Some(4)),
        Value::Pick(Pick::Picked),
        Value::ColorLabel(ColorLabel::Red),
    ];
    let said = said.map(Change::Set);
    apply_edits(conn, "editor", &Selection::Images(vec![id]), &said).unwrap().unwrap();
    let pages = [format!("/images/{id}"), format!("/images/{id}/history"), "/".into(), "/map".into(), "/outbox".into(), "/searches".into()];
    let pages = pages.into_iter().chain(["/folders".into(), "/library".into()]);
    let (viewer, editor) = (house.session(Role::Viewer), house.session(Role::Editor));
    let is_form = |tag: &str| tag.contains("method=\"post\"") && !tag.contains("action=\"/logout\"");
    let forms = |text: &str| text.split("<form").skip(1).filter_map(|rest| rest.split_once('>')).filter(|(tag, _)| is_form(tag)).count();
    for page in pages {
        let of = |cookie: &str| house.ask("GET", &page, Caller::Browser(cookie), "");
        let (seen, edited) = (of(&viewer), of(&editor));
        assert_eq!((seen.status, edited.status), (200, 200), "{page}");
        assert_eq!(forms(&seen.text()), 0, "{page}: {}", seen.text());
        assert!(page == "/map" || page == "/outbox" || page == "/library" || forms(&edited.text()) > 0, "{page}");
    }
    let image = house.ask("GET", &format!("/images/{id}"), Caller::Browser(&viewer), "").text();
    for words in [
        "<h3 class=\"title\">Harbour &#60;b&#62;</h3>",
        "<p class=\"description\">Two\nlines</p>",
        ">lake</a>",
        "aria-label=\"4 stars\"",
        "Picked</span>",
        "</span>Red</span>",
    ] {
        assert!(image.contains(words), "{words} is not in {image}");
    }
    assert!(!image.contains("<textarea") && !image.contains("name=\"title\""), "{image}");
    let panel = house.app.get_with(&format!("/images/{id}"), &[("Cookie", &viewer), ("HX-Request", "true")]).text();
    assert_eq!(forms(&panel), 0, "{panel}");
    assert_eq!(house.ask("GET", "/rate", Caller::Browser(&viewer), "").status, 403);
}

#[test]
fn why_the_database_fails_is_not_told_to_everybody() {
    let house = House::new();
    let cookie = house.session(Role::Viewer);
    let health = |app: &App, headers: &[(&str, &str)]| {
        let answer = app.get_with("/healthz", headers);
        (answer.status, answer.json()["status"].clone(), answer.json()["database"].clone())
    };
    let House { app, database } = house;
    assert_eq!(health(&app, &[]), (200, "ok".into(), "ok".into()));
    assert_eq!(health(&app, &[("Cookie", &cookie)]), (200, "ok".into(), "ok".into()));
    drop(database);
    let asked = Instant::now();
    assert_eq!(health(&app, &[]), (503, "failing".into(), "failing".into()));
    assert!(asked.elapsed() < Duration::from_secs(3), "the answer took {:?}", asked.elapsed());
    assert_eq!(health(&app, &[("Cookie", "hm_session=nobodys")]), (503, "failing".into(), "failing".into()));
    assert_eq!(health(&app, &[("Authorization", "Bearer nobodys")]), (503, "failing".into(), "failing".into()));
    let (status, _, reason) = health(&app, &[("Cookie", &cookie)]);
    assert_eq!(status, 503);
    assert!(!["ok", "failing"].contains(&reason.as_str().unwrap()), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_look_is_told_soon_and_shortens_nobody_elses_wait() {
    let database = TestDatabase::new();
    let db = database.pool();
    assert!(db.ping(Duration::from_secs(5)).await.is_ok());
    let held: Vec<_> = (0..4).map(|_| db.get().unwrap()).collect();
    let patient = std::thread::spawn({
        let db = db.clone();
        move || db.get().is_ok()
    });
    let asked = Instant::now();
    let error = db.ping(Duration::from_millis(500)).await.unwrap_err();
    assert!(asked.elapsed() < Duration::from_secs(1), "{error} after {:?}", asked.elapsed());
    std::thread::sleep(Duration::from_millis(300));
    assert!(!patient.is_finished(), "who asks for more waits on");
    drop(held);
    assert!(patient.join().unwrap());
    assert!(db.ping(Duration::from_secs(5)).await.is_ok());
}

#[test]
fn the_first_visitor_from_elsewhere_brings_the_code() {
    let (database, thumbs) = (TestDatabase::new(), temp_dir());
    let (send, receive) = mpsc::channel();
    let app = App::start_as(database.pool(), thumbs.path(), None, move |state| {
        let state = state.with_accounts(vec!["photos.example".to_owned()]);
        send.send(state.gate.code().unwrap().to_owned()).unwrap();
        state
    });
    let code = receive.recv().unwrap();
    assert_eq!(app.get("/").header("location"), "/welcome");
    assert_eq!(app.get("/api/v1/images").json()["code"], "no_owner");
    assert_eq!(app.get_with("/healthz", &[("Host", "photos.example")]).status, 200, "it is called by its name");
    assert_eq!(app.get_with("/healthz", &[("Host", "evil.example")]).status, 421);
    let form = |code: &str, again: &str| format!("code={code}&name=Anna&password=correct+horse+battery&again={}", again.replace(' ', "+"));
    assert_eq!(app.post("/welcome", &form("AAAA-AAAA-AAAA", PASSWORD)).status, 400);
    assert_eq!(app.post("/welcome", &form(&code, "something else")).status, 400);
    assert_eq!(app.post("/accounts", "name=Anna&role=owner&password=correct+horse+battery").header("location"), "", "no other door");
    let answer = app.post("/welcome", &form(&code.to_lowercase(), PASSWORD));
    assert_eq!((answer.status, answer.header("location")), (303, "/"));
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_eq!(app.get_with("/accounts", &[("Cookie", &cookie)]).status, 200);
    assert_eq!(app.get("/welcome").header("location"), "/");
    assert_eq!(app.post("/welcome", &form(&code, PASSWORD)).status, 409, "the code works once");
}

#[test]
fn without_accounts_this_machine_is_the_owner_until_there_is_one() {
    let (database, thumbs) = (TestDatabase::new(), temp_dir());
    let app = App::start(database.pool(), thumbs.path());
    assert_eq!(app.get("/").status, 200);
    assert!(app.get("/me").text().contains("Create the first account"));
    assert_eq!(app.get("/login").header("location"), "/");
    assert_eq!(app.post("/accounts", "name=Anna&role=viewer&password=correct+horse+battery").status, 400, "the first owns the library");
    let answer = app.post("/accounts", "name=Anna&role=owner&password=correct+horse+battery");
    assert_eq!((answer.status, answer.header("location")), (303, "/accounts"));
    assert!(answer.header("set-cookie").starts_with("hm_session="), "and is signed in");
    assert_eq!(app.get("/").header("location"), "/login", "from now on everybody signs in");
}

#[test]
fn accounts_are_managed_from_the_command_line() {
    let database = TestDatabase::new();
    let dir = temp_dir();
    let hm = |args: &[&str], input: &str| {
        use std::io::Write;
        let mut child = Command::new(env!("CARGO_BIN_EXE_hm"))
            .args(["--data-dir", dir.path().to_str().unwrap(), "user"])
            .args(args)
            .env("HM_DATABASE_URL", database.url())
            .env("HM_REDIS_URL", crate::support::redis_url())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    assert!(hm(&["list"], "").1.contains("No accounts yet"));
    let (done, said) = hm(&["add", "Anna"], "correct horse battery\n");
    assert!(done && said.contains("`Anna` may sign in as owner"), "{said}");
    assert!(!hm(&["add", "ANNA"], "correct horse battery\n").0);
    assert!(!hm(&["add", "Ben"], "short\n").0);
    assert!(!hm(&["add", "Ben"], "").0);
    assert!(hm(&["add", "Ben"], "correct horse battery\n").1.contains("as viewer"));
    let (done, said) = hm(&["role", "anna", "viewer"], "");
    assert!(!done && said.contains("only owner"), "{said}");
    assert!(hm(&["role", "ben", "editor"], "").0 && hm(&["password", "ben"], "another long password\n").0);
    assert!(!hm(&["role", "ben", "king"], "").0);
    let (_, list) = hm(&["list"], "");
    assert_eq!(list, "Anna  owner   never signed in\nBen   editor  never signed in\n");
    assert!(hm(&["remove", "Ben"], "").0);
    let (done, said) = hm(&["remove", "Ben"], "");
    assert!(!done && said.contains("no account called `Ben`") && said.contains("hm user list"), "{said}");
    let app = App::start(database.pool(), dir.path());
    assert_eq!(app.post("/login", "name=anna&password=correct+horse+battery").status, 303);
}
