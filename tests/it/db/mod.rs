//! The questions of the gallery, each against a plain Rust answer over the same rows.

mod gallery;
mod grouping;
mod image;
mod query;
