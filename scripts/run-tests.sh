#!/usr/bin/env bash
# Runs every unit and integration test: by cargo-nextest where it is installed, which knows how many heavy ones may run
# at a time (.config/nextest.toml), else by cargo test. Its last lines are the runner's own summary.
set -euo pipefail
cd "$(dirname "$0")/.."
if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --locked --no-fail-fast "$@"
fi
echo "cargo-nextest is not installed (cargo install --locked cargo-nextest): using cargo test" >&2
exec cargo test --locked --no-fail-fast --lib --bins --tests "$@" -- --test-threads=2
