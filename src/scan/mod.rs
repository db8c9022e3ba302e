//! scan

pub mod group;
pub mod merge;
pub mod tables;
