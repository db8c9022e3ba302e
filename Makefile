# hm from the outside: run it, test it, measure it. `make help` lists what there is.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
comma := ,

# As given, whatever is in it: neither make nor the shell looks inside.
export LIBRARY_FOLDER := $(value PHOTOS)

# gexiv2 of scripts/build-gexiv2.sh, and Homebrew's libpq, which pkg-config does not find by itself.
ifeq ($(shell uname -s),Darwin)
export PKG_CONFIG_PATH := $(CURDIR)/.hm/prefix/lib/pkgconfig:/opt/homebrew/opt/libpq/lib/pkgconfig:/usr/local/opt/libpq/lib/pkgconfig:$(PKG_CONFIG_PATH)
endif

.PHONY: help run build worker cuda test check bench networks

help: ## List the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

run: ## Look at the photographs below PHOTOS=/path, or at a demo library without it
	@scripts/run.sh check
	@scripts/install-packages.sh build run
	cargo build --release --locked
	@scripts/run.sh

build: ## Build target/release/hm
	@scripts/install-packages.sh build
	cargo build --release --locked

worker: ## Build an hm that only runs networks, without libpq and gexiv2
	@scripts/install-packages.sh worker
	cargo build --release --locked --no-default-features --features $(or $(FEATURES),work)

cuda: ## The same for NVIDIA cards, on a machine without one; FEATURES=library,work,cuda: all of hm
	@scripts/install-packages.sh worker cuda
	@scripts/build-cuda.sh $(or $(FEATURES),work$(comma)cuda)

test: ## Install what the tests need and run all of them, in a browser too
	@scripts/install-packages.sh build run test
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib
	cargo test --locked --doc
	HM_REQUIRE_BROWSER=1 scripts/with-test-services.sh scripts/run-tests.sh

check: ## The quick checks: format, lints, unit tests
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked --lib

bench: ## Measure beside exiftool, find and vipsthumbnail; writes tests/bench/RESULTS.md
	@scripts/install-packages.sh build run bench
	tests/bench/run.sh

networks: ## Measure the networks beside PyTorch, which it installs for the time being; writes tests/bench/NETWORKS.md
	tests/bench/networks.sh
