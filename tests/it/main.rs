//! Integration tests: one binary, one module an area. They need no network; `make test` starts the database they use.

#![cfg(test)] // tells clippy that helpers outside `#[test]` functions are tests too

mod api;
mod browser;
mod db;
mod layers;
mod migrations;
mod pages;
mod queue;
mod services;
mod support;
