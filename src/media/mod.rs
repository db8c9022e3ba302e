//! Bytes to facts and pixels, and what people say into sidecars: the only place that decodes pictures, speaks rexiv2 or writes into a
//! vault. It imports `models` alone.

#[cfg(feature = "library")]
pub mod child;
#[cfg(feature = "library")]
pub mod demo;
#[cfg(feature = "library")]
pub mod meta;
#[cfg(feature = "library")]
pub mod pixels;
mod proxy;
#[cfg(feature = "library")]
pub mod sidecar_write;

#[cfg(feature = "library")]
pub use meta::{FileReading, MetaOptions, MetaReader, READING_VERSION, fingerprint_of, fingerprint_of_content, reading_version};
pub use proxy::{BrokenProxy, ProxyPixels, decode_proxy};
