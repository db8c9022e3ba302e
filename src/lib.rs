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
//! roles/        WHAT RUNS: serve, scan, export, demo, doctor and the hidden children; wiring only
//! services/     the embedded default: finds, starts, guards and joins a private Postgres and Redis
//! models/       the nouns: plain values, no I/O
//! media/        bytes to facts and pixels, and changes into sidecars; the only place that decodes pictures or speaks rexiv2
//! scan/         find and file: walk, read, group, ingest
//! db/           the truth: Diesel, one file per area of questions
//! queue/        work in flight: the only place that speaks Redis
//! pipeline/     what the server does behind the pages: pictures, by priority, for as long as some are lacking; sidecars
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
//! web      → models db queue config
//! pipeline → models media db queue config
//! scan     → models media db config
//! db queue → models config
//! services → config
//! media    → models
//! config   → models          cli → models config          models → nothing of ours
//! ```
//!
//! # Flows
//!
//! ```text
//! scan    vault → walk (size, mtime; unchanged skipped) → facts → group → ingest (one transaction a batch) → what is lacking
//! pictures  what is on a screen, then what is lacking → cheapest good source → upright sRGB → proxy + thumbnail + placeholder
//! edit    change → value, history and outbox (one transaction); each scan compares with what the vault says, field by field
//! track   GPX → where it was at each chosen image's moment → places, as one edit
//! write   outbox → sidecar as the last scan saw it → its text, edited → temporary file, flushed, read back, renamed → written
//! page    filter + cursor → at most three queries → struct → template
//! search  text → models::query → db::query: names looked up, then conditions with bound values → page
//! ```

pub mod cli;
pub mod config;
pub mod db;
pub mod media;
pub mod models;
pub mod pipeline;
pub mod queue;
pub mod roles;
pub mod scan;
pub mod services;
pub mod telemetry;
pub mod web;
