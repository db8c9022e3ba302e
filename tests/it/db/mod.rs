//! The questions of the gallery, each against a plain Rust answer over the same rows; and what a scan writes.

mod edits;
mod gallery;
mod grouping;
mod image;
mod ingest;
mod map;
mod places;
mod query;
