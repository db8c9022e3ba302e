//! The whole URL space in one list. HTML addresses may change any day; `/api/v1` may not.
//!
//! An address is found by its path alone, the first that fits: a fixed word stands before a `{name}` in its place. A method that it does
//! not have is refused with those it has, and `OPTIONS` names them.

use actix_web::{
    HttpRequest, HttpResponse, Resource, guard,
    http::{Method, header::ALLOW},
    middleware::from_fn,
    web::{self, ServiceConfig},
};

use super::{
    accounts, api, assets, duplicates, edits, error::WebError, files, filters, folders, gallery, grouping, image, library, map, metrics,
    models, outbox, ranked, rate, regions, search, session, status, tasks, tracks,
};

/// One address, for the tests and for whoever wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// `get` (which answers HEAD too), `post`, `patch` or `delete`.
    pub method: &'static str,
    /// The address, with `{names}`.
    pub path: &'static str,
    /// What it is for.
    pub what: &'static str,
}

macro_rules! routes {
    ($(#[doc = $what:literal] $method:ident $path:literal => $handler:path;)+) => {
        /// Every address there is.
        pub const ROUTES: &[Route] = &[$(Route { method: stringify!($method), path: $path, what: $what.trim_ascii() }),+];

        /// Puts every address into the application.
        pub(super) fn configure(config: &mut ServiceConfig) {
            let mut resources = Vec::new();
            $(add(&mut resources, $path, $method().to($handler));)+
            for (path, resource) in resources {
                let resource = resource.default_service(web::to(other_method));
                config.service(resource.wrap(from_fn(move |request, next| session::gate(path, request, next))));
            }
        }
    };
}

routes! {
    /// The gallery: filters, and `at=`, `before=` or `after=` for the place.
    get "/" => gallery::show;
    /// The rows of some days, for the gallery.
    get "/days" => gallery::show_days;
    /// Where the pieces of a long day begin, for the gallery.
    get "/days/marks" => gallery::show_marks;
    /// Every day with its images, for the gallery.
    get "/timeline.json" => gallery::show_timeline;
    /// The rows of a search with `like:`, the most alike first, `offset=` for the place.
    get "/ranked" => ranked::rows;
    /// The pictures that show the words of a search, for above what its text finds.
    get "/ranked/best" => ranked::best;
    /// What a filter can be, with counts.
    get "/filters" => filters::show;
    /// Folders that a filter could be narrowed to, found by words.
    get "/filters/folders" => filters::show_folders;
    /// Completions of a search that is being typed, with counts, and what is wrong with it so far.
    get "/search/suggest" => search::suggestions;
    /// The search language.
    get "/search/help" => search::help;
    /// Searches with a name, and a form that gives one to `q`.
    get "/searches" => search::index;
    /// Gives a search a name.
    post "/searches" => search::save;
    /// Gives a search another name.
    post "/searches/{id}" => search::rename;
    /// Forgets a search.
    post "/searches/{id}/delete" => search::forget;
    /// The newest image of a filter.
    get "/images/newest" => image::newest;
    /// The oldest image of a filter.
    get "/images/oldest" => image::oldest;
    /// Images of a filter between two of them, or of a day, for the selection.
    get "/images/ids" => gallery::show_ids;
    /// Makes one image of several.
    post "/images/merge" => grouping::merge;
    /// One image with its facts and files.
    get "/images/{id}" => image::show;
    /// What networks and people see in an image, and where.
    get "/images/{id}/regions" => regions::show;
    /// Changes one image.
    post "/images/{id}/edit" => edits::edit_one;
    /// Who changed what about an image, and when.
    get "/images/{id}/history" => edits::history;
    /// Takes one change of an image back.
    post "/images/{id}/history/{edit}/undo" => edits::undo_one;
    /// Does it again.
    post "/images/{id}/history/{edit}/redo" => edits::redo_one;
    /// Changes chosen images, or all of a filter.
    post "/edits" => edits::edit_many;
    /// How far a large edit is, for the page that waits for it.
    get "/edits/progress/{word}" => edits::progress;
    /// Takes an action back.
    post "/edits/{batch}/undo" => edits::undo;
    /// Does again what was taken back.
    post "/edits/{batch}/redo" => edits::redo;
    /// A rating run through a filter, or the years and months to choose from.
    get "/rate" => rate::show;
    /// The next photos of a rating run.
    get "/rate/moments" => rate::moments;
    /// Copies, bursts and what looks alike, side by side, `?kind=`.
    get "/duplicates" => duplicates::show;
    /// Picks the best of a group and rejects the others.
    post "/duplicates/best" => duplicates::choose;
    /// Remembers that some photos are no duplicates.
    post "/duplicates/apart" => duplicates::set_apart;
    /// Takes that back.
    post "/duplicates/apart/{id}/undo" => duplicates::forget_apart;
    /// What is on its way to the sidecars: waiting, failed, in conflict.
    get "/outbox" => outbox::show;
    /// Ends a conflict between library and vault.
    post "/outbox/resolve" => outbox::resolve;
    /// Lets everything that failed be tried again now.
    post "/outbox/retry" => outbox::retry;
    /// What networks do: lanes, workers, failures.
    get "/tasks" => tasks::show;
    /// Stops a lane.
    post "/tasks/pause" => tasks::pause;
    /// Lets a lane go on.
    post "/tasks/resume" => tasks::resume;
    /// Lets what networks could not do be tried again.
    post "/tasks/retry" => tasks::retry;
    /// Puts the images of a search first.
    post "/tasks/first" => tasks::first;
    /// Takes a GPX track in hand.
    post "/tracks" => tracks::upload;
    /// How many of the chosen images would get a place from it.
    post "/tracks/{track}/preview" => tracks::preview;
    /// Gives them those places.
    post "/tracks/{track}/apply" => tracks::apply;
    /// Keywords that could be meant by what is typed.
    get "/keywords" => edits::keywords;
    /// Makes what an image's coordinates are called what the owner says.
    post "/images/{id}/place-names" => map::name_place;
    /// The photos of a filter on the map, `?at=` for the place; `?pick=` to choose the place of an image.
    get "/map" => map::show;
    /// The greatest towns of a part of the map.
    get "/map/towns.json" => map::show_towns;
    /// Towns that could be meant by what is typed.
    get "/map/towns" => map::find_towns;
    /// What a place is called.
    get "/map/place.json" => map::show_place;
    /// The roots of all vaults.
    get "/folders" => folders::index;
    /// One folder: what is in it, and the gallery of what lies below.
    get "/folders/{id}" => folders::show;
    /// Style, scripts and icons.
    get "/static/{version}/{name}" => assets::asset;
    /// The library at a glance: figures, charts, exports and backups.
    get "/library" => library::show;
    /// The networks: which are imported, and which files to get for what is not there yet.
    get "/models" => models::show;
    /// What goes on behind the pages: a strip that renews itself.
    get "/status" => status::show;
    /// Starts a scan of everything known.
    post "/scans" => status::start_scan;
    /// Makes an image of its own from chosen files.
    post "/images/{id}/split" => grouping::split;
    /// A picture of an image, `thumbnail` or `proxy`; with `?key=` it may be kept for ever.
    get "/pictures/{image}/{size}" => files::picture;
    /// An original, with ranges; `?download=1` to save it.
    get "/files/{id}" => files::file;
    /// The form that signs in.
    get "/login" => accounts::sign_in::show_login;
    /// Signs in.
    post "/login" => accounts::sign_in::sign_in;
    /// Signs out.
    post "/logout" => accounts::sign_in::sign_out;
    /// The form for the first account, where accounts are required.
    get "/welcome" => accounts::sign_in::show_welcome;
    /// Creates the first account, by the code that the server printed.
    post "/welcome" => accounts::sign_in::create_owner;
    /// One's own account: password, browsers, tokens.
    get "/me" => accounts::own::show_own;
    /// Changes one's own password.
    post "/me/password" => accounts::own::change_own_password;
    /// Makes a token for a program.
    post "/me/tokens" => accounts::own::make_token;
    /// Revokes a token.
    post "/me/tokens/{id}/delete" => accounts::own::revoke_token;
    /// Signs a browser out.
    post "/me/sessions/{id}/delete" => accounts::own::end_session;
    /// All accounts.
    get "/accounts" => accounts::index;
    /// Adds an account.
    post "/accounts" => accounts::add;
    /// Gives an account another role.
    post "/accounts/{id}/role" => accounts::change_role;
    /// Gives an account another password.
    post "/accounts/{id}/password" => accounts::reset_password;
    /// Removes an account.
    post "/accounts/{id}/delete" => accounts::remove;
    /// Who signed in, changed accounts, or edited what.
    get "/audit" => accounts::audit::show_audit;
    /// Images that pass a filter, newest first, page by page.
    get "/api/v1/images" => api::list_images;
    /// One image with its files.
    get "/api/v1/images/{id}" => api::get_image;
    /// What networks and people see in an image, and where.
    get "/api/v1/images/{id}/regions" => api::list_image_regions;
    /// Changes one image.
    patch "/api/v1/images/{id}" => api::edit_image;
    /// Who changed what about an image, and when.
    get "/api/v1/images/{id}/history" => api::history;
    /// Takes one change of an image back.
    post "/api/v1/images/{id}/history/{edit}/undo" => api::undo_one;
    /// Does it again.
    post "/api/v1/images/{id}/history/{edit}/redo" => api::redo_one;
    /// Does one action to many images.
    post "/api/v1/edits" => api::edit_many;
    /// Takes an action back.
    post "/api/v1/edits/{batch}/undo" => api::undo;
    /// Does again what was taken back.
    post "/api/v1/edits/{batch}/redo" => api::redo;
    /// Gives images the places of a GPX track, or says which.
    post "/api/v1/tracks" => api::place_by_track;
    /// What is on its way to the sidecars, field by field.
    get "/api/v1/outbox" => api::outbox;
    /// Ends a conflict between library and vault.
    post "/api/v1/outbox/resolve" => api::resolve;
    /// Lets everything that failed be tried again now.
    post "/api/v1/outbox/retry" => api::retry;
    /// Cuts out what is pointed at.
    post "/api/v1/images/{id}/segment" => api::segment;
    /// What networks do: lanes, workers, failures.
    get "/api/v1/tasks" => api::list_tasks;
    /// Lets what networks could not do be tried again.
    post "/api/v1/tasks/retry" => api::retry_tasks;
    /// Stops a lane.
    post "/api/v1/tasks/pause" => api::pause_lane;
    /// Lets a lane go on.
    post "/api/v1/tasks/resume" => api::resume_lane;
    /// The picture of an image, `?size=thumbnail` or `proxy`.
    get "/api/v1/images/{id}/thumbnail" => api::thumbnail;
    /// The file that the picture of an image is made from, for workers that have its vault mounted.
    get "/api/v1/images/{id}/original" => api::original;
    /// The imported networks.
    get "/api/v1/models" => api::list_models;
    /// The bytes of a network's file, with ranges.
    get "/api/v1/models/{name}/{file}" => api::model_file;
    /// The bytes of a file, with ranges.
    get "/api/v1/files/{id}" => api::file;
    /// Whatever passes a filter: a table, a list of paths or ids, an archive of originals or proxies.
    get "/api/v1/export" => api::export;
    /// The library at a glance.
    get "/api/v1/library" => api::get_library;
    /// Copies, bursts or what looks alike, group by group.
    get "/api/v1/duplicates" => api::list_duplicates;
    /// What was said to be no duplicates.
    get "/api/v1/duplicates/apart" => api::list_decisions;
    /// Remembers that some images are no duplicates.
    post "/api/v1/duplicates/apart" => api::decide_apart;
    /// Takes that back.
    delete "/api/v1/duplicates/apart/{id}" => api::forget_decision;
    /// How many images each day holds.
    get "/api/v1/timeline" => api::get_timeline;
    /// Which values a filter could take next.
    get "/api/v1/facets" => api::get_facets;
    /// The placed images of a filter as clusters, `?bbox=&zoom=`.
    get "/api/v1/map" => api::get_map;
    /// The folders below one, or the vaults' roots.
    get "/api/v1/folders" => api::list_all_folders;
    /// Searches with a name.
    get "/api/v1/searches" => api::list_all_searches;
    /// Gives a search a name.
    post "/api/v1/searches" => api::save_search;
    /// Forgets a search.
    delete "/api/v1/searches/{id}" => api::forget_search;
    /// The last scans.
    get "/api/v1/scans" => api::list_all_scans;
    /// Starts a scan of everything known.
    post "/api/v1/scans" => api::start_scan;
    /// The vaults, and which are offline.
    get "/api/v1/vaults" => api::list_all_vaults;
    /// The description of the API.
    get "/api/v1/openapi.json" => api::openapi_json;
    /// Whether the server can do its work.
    get "/healthz" => api::healthz;
    /// Numbers of this server for Prometheus.
    get "/metrics" => metrics::metrics;
}

fn get() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

fn post() -> actix_web::Route {
    web::post()
}

fn patch() -> actix_web::Route {
    web::patch()
}

fn delete() -> actix_web::Route {
    web::delete()
}

/// Adds a method to an address.
fn add(resources: &mut Vec<(&'static str, Resource)>, path: &'static str, route: actix_web::Route) {
    let at = resources.iter().position(|(known, _)| *known == path).unwrap_or(resources.len());
    let resource = if at < resources.len() { resources.remove(at).1 } else { web::resource(path) };
    resources.insert(at, (path, resource.route(route)));
}

/// The methods of an address as `Allow` names them.
fn allowed(path: &str) -> String {
    let methods = ROUTES.iter().filter(|route| route.path == path).map(|route| match route.method {
        "get" => "GET, HEAD".to_owned(),
        method => method.to_ascii_uppercase(),
    });
    methods.chain(["OPTIONS".to_owned()]).collect::<Vec<_>>().join(", ")
}

/// An address asked by a method it does not have.
async fn other_method(request: HttpRequest) -> Result<HttpResponse, WebError> {
    let allowed = allowed(&request.match_pattern().unwrap_or_default());
    if *request.method() == Method::OPTIONS {
        return Ok(HttpResponse::NoContent().insert_header((ALLOW, allowed)).finish());
    }
    Err(WebError::Method(allowed))
}

/// Any other address.
pub(super) async fn not_found() -> Result<actix_web::HttpResponse, WebError> {
    Err(WebError::NotFound("page"))
}
