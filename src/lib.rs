//! `hm`: a private, distributed library for a household's photo collection, in one binary with roles.
//!
//! This page is the map. Postgres holds truth, Redis holds work in flight, the vault (the disk with the photographs) holds
//! originals, which `hm` never writes to.
//!
//! ```text
//! main.rs       parse, start logs, run one role, print error and hint, exit code
//! cli.rs        clap types only
//! config.rs     default.toml < local.toml < HM_* < flags, checked once
//! telemetry.rs  tracing to stderr; progress bars that share the terminal with it
//! roles/        WHAT RUNS: serve, work, scan, export, backup, restore, models, user, demo, doctor and the hidden children; wiring only
//! services/     the embedded default: finds, starts, guards and joins a private Postgres and Redis
//! models/       the nouns: plain values, no I/O; what places on earth are called
//! media/        bytes to facts and pixels, and changes into sidecars; the only place that decodes pictures or speaks rexiv2
//! scan/         find and file: walk, read, group, ingest
//! db/           the truth: Diesel, one file per area of questions
//! export/       images and files on their way out: tables, lists, archives, in bounded memory
//! backup/       the library as one file, and back: archive, pg_dump and pg_restore, the nightly one
//! infer/        pixels and words to vectors, boxes and masks: the networks, their weights; the only place that speaks Candle
//! queue/        work in flight: the only place that speaks Redis
//! work/         what a worker does: tasks, pictures, networks, answers; knows no database
//! pipeline/     what the server does behind the pages: pictures, by priority, for as long as some are lacking; sidecars; names of places
//! web/          what a person sees: actix, askama, htmx, and the JSON API
//! ```
//!
//! # Layers
//!
//! Arrows point down; `tests/it/layers.rs` reads the `use crate::` lines and fails on any other.
//!
//! ```text
//! main     → cli telemetry config roles
//! roles    → everything
//! web      → models db queue config export infer
//! pipeline → models media db queue config infer
//! work     → models media queue config infer
//! backup   → models db services config
//! export   → models db config
//! scan     → models media db config export
//! db queue → models config
//! infer    → models config
//! services → config
//! media    → models
//! config   → models          cli → models config          models → nothing of ours
//! ```
//!
//! A build for workers (`--no-default-features --features work`) has no backup, db, export, pipeline, scan and web, and of media only the
//! proxies, so that it makes none of mounted originals: it needs neither libpq nor gexiv2. `tests/it/layers.rs` holds that, too.
//!
//! # Flows
//!
//! ```text
//! scan    vault → walk (size, mtime; unchanged skipped) → facts → group → ingest (one transaction a batch) → what is lacking
//! pictures  what is on a screen, then what is lacking → cheapest good source → upright sRGB → proxy + thumbnail + placeholder
//! edit    change → value, history and outbox (one transaction); each scan compares with what the vault says, field by field
//! masks   points, boxes → embedding kept? else the proxy's, one at a time → network → masks, the best first
//! track   GPX → where it was at each chosen image's moment → places, as one edit
//! write   outbox → sidecar as the last scan saw it → its text, edited → temporary file, flushed, read back, renamed → written
//! request same origin? → who asks (cookie, token, or nobody while there are no accounts) → may they? (web::access) → handler
//! page    filter + cursor → what passes, gathered and kept until something is written, or at most three queries → struct → template
//! backup  one snapshot → counts + pg_dump → archive, read back → renamed; restore: beside the library, counted, migrated → in its place
//! export  filter → rows through a cursor → table, list or zip, sent as it grows
//! places  coordinates → models::gazetteer → gps_… columns and words (scan and edit at once, the rest in the background); said ones win
//! map     box + zoom → whole squares → counted by trigger, by kind of file, or the filter's images one by one → clusters → marks in the browser
//! tasks   what is lacking → lane: screen, new, backlog → claimed in batches, kept by heartbeats → answered → stored → settled
//! pixels  of a task: the server's proxy, or where the vault is mounted on the worker's machine, the same made of the original as its key names it
//! search  text → models::query → db::query: names looked up, then conditions with bound values → page
//! review  copies by content, bursts by time, what vectors are nearly one → a page at a time, in bounded steps → edits, or set apart for good
//! like    like: → web::ask: words, an image or a part of one → vector → db::nearest, within the conditions → page, the most alike first
//! ```

#[cfg(feature = "library")]
pub mod backup;
pub mod cli;
pub mod config;
#[cfg(feature = "library")]
pub mod db;
#[cfg(feature = "library")]
pub mod export;
pub mod infer;
pub mod media;
pub mod models;
#[cfg(feature = "library")]
pub mod pipeline;
pub mod queue;
pub mod roles;
#[cfg(feature = "library")]
pub mod scan;
pub mod services;
pub mod telemetry;
#[cfg(feature = "library")]
pub mod web;
pub mod work;
