#!/usr/bin/env bash
# Prints the schema of a migrated database into src/db/schema.rs. Needs diesel_cli; the database's URL is the first argument.
set -euo pipefail
cd "$(dirname "$0")/.."
diesel --config-file config/diesel.toml --database-url "$1" print-schema > src/db/schema.rs
