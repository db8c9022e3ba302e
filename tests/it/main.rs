//! Integration tests: one binary, one module an area. They need no network; `make test` starts the database they use.

#![cfg(test)] // tells clippy that helpers outside `#[test]` functions are tests too

mod accounts;
mod api;
mod backup;
mod browser;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod cuda;
mod damage;
mod db;
mod demo;
mod doctor;
mod duplicates;
mod edits;
mod export;
mod findings;
mod grouping;
mod infer;
mod layers;
mod library;
mod map;
mod metadata;
mod migrations;
mod models;
mod pages;
mod pictures;
mod query;
mod queue;
mod ranked;
mod reference;
mod scan;
mod segment;
mod services;
mod sidecars;
mod support;
mod tables;
mod tasks;
mod work;
mod write_back;
