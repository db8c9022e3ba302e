//! What a person sees: pages (actix, askama, htmx) and the JSON API. May import models, db, queue, export, infer
//! and config.
//!
//! Handlers parse, ask the database once or a few times, fill a struct and render it; rules live below. The whole URL space is
//! the list in `routes`, the refusals that hold for all of it are in `guard`.

mod access;
mod accounts;
pub mod api;
mod ask;
mod assets;
mod cache;
mod duplicates;
mod edits;
pub mod error;
mod export;
mod files;
mod filters;
mod folders;
mod frame;
mod gallery;
mod grouping;
mod guard;
mod image;
mod library;
mod map;
pub mod metrics;
mod models;
mod outbox;
mod page;
mod ranked;
mod rate;
mod regions;
mod routes;
mod search;
mod segment;
mod session;
mod state;
mod status;
mod summary;
mod tasks;
mod tiles;
mod tracks;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::Server,
    middleware::{Compress, from_fn},
    web::{Data, FormConfig, PayloadConfig},
};

pub use access::{Access, access};
pub use ask::{Ask, Encoders, ShelfEncoders};
pub use error::WebError;
pub use routes::{ROUTES, Route};
pub use segment::{DecodeProxy, Proxy, Segmenting};
pub use session::{Gate, Who};
pub use state::State;

/// Most threads that answer requests when the machine decides.
const MOST_WORKERS: usize = 8;
/// Longest body of a request that is read as a whole: the ids of some hundred thousand images.
const LONGEST_BODY_BYTES: usize = 4 << 20;
/// How long an answer under way may take at the end, in seconds.
const SHUTDOWN_S: u64 = 5;

/// The server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Other machines could reach it, and nobody would have to sign in.
    #[error("web.bind = `{0}` can be reached from other machines: accounts have to be required")]
    NotLoopback(SocketAddr),
    /// Somebody listens there already.
    #[error(
        "port {port} on {ip} is taken by another program\n\
         hint: stop that program (`ss -ltnp | grep {port}` or `lsof -i :{port}` names it), or choose another port: hm serve --bind {bind}",
        port = .0.port(), ip = .0.ip(), bind = SocketAddr::new(.0.ip(), .0.port().wrapping_add(1).max(1024))
    )]
    Taken(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A server that listens and will answer once its future is awaited.
pub struct Listening {
    /// The address, with the port that was found when 0 was asked for.
    pub address: SocketAddr,
    /// Runs until its handle is stopped; it takes no signals itself.
    pub server: Server,
}

/// Listens on `bind` (port 0: any free one) with `workers` threads (0: as many as cores, at most eight).
///
/// # Errors
/// [`StartError`] says which address, and the way out.
pub fn server(state: Data<State>, bind: SocketAddr, workers: usize) -> Result<Listening, StartError> {
    if !bind.ip().is_loopback() && state.gate.code().is_none() {
        return Err(StartError::NotLoopback(bind));
    }
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::Taken(bind),
        _ => StartError::Listen { address: bind, source },
    };
    let listener = TcpListener::bind(bind).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let workers = match workers {
        0 => thread::available_parallelism().map_or(2, usize::from).min(MOST_WORKERS),
        workers => workers,
    };
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(guard::AllowedHosts::of(address, &state.hosts))
            .app_data(PayloadConfig::new(LONGEST_BODY_BYTES))
            .app_data(FormConfig::default().limit(LONGEST_BODY_BYTES))
            .configure(routes::configure)
            .default_service(actix_web::web::to(routes::not_found))
            .wrap(Compress::default())
            .wrap(from_fn(frame::frame))
    })
    .workers(workers)
    .tcp_nodelay(true)
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(SHUTDOWN_S)
    .disable_signals()
    .listen(listener)
    .map_err(failed)?
    .run();
    Ok(Listening { address, server })
}
