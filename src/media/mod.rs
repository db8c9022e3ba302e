//! Bytes to facts and pixels: the only place that decodes pictures or speaks rexiv2. It imports `models` alone.

pub mod child;
pub mod demo;
pub mod meta;
pub mod pixels;

pub use meta::{FileReading, MetaOptions, MetaReader, READING_VERSION, fingerprint_of};
