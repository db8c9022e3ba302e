//! Integration tests: one binary, one module an area. They need no network; `make test` starts the database they use.

mod demo;
