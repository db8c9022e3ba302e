//! The questions of the gallery, each against a plain Rust answer over the same rows; and what a scan writes.

mod alike;
mod duplicates;
mod edits;
mod gallery;
mod grouping;
mod held;
mod image;
mod ingest;
mod map;
mod nearest;
mod places;
mod query;
mod regions;
mod results;
