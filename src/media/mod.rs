//! media

pub mod demo;
