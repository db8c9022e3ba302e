//! Bytes to facts and pixels, and what people say into sidecars: the only place that decodes pictures, speaks rexiv2 or writes into a
//! vault. It imports `models` alone.

pub mod child;
pub mod demo;
pub mod meta;
pub mod pixels;
pub mod sidecar_write;

pub use meta::{FileReading, MetaOptions, MetaReader, READING_VERSION, fingerprint_of, fingerprint_of_content, reading_version};
