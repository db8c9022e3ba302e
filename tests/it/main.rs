//! Integration tests: one binary, one module an area. They need no network; `make test` starts the database they use.

#![cfg(test)] // tells clippy that helpers outside `#[test]` functions are tests too

mod doctor;
mod grouping;
mod api;
mod db;
mod layers;
mod metadata;
mod migrations;
mod pictures;
mod scan;
mod queue;
mod services;
mod support;
mod tables;
mod demo;
