#!/usr/bin/env bash
# Measures hm's networks beside PyTorch, which is installed in an environment that is removed afterwards (2 GB, below TMPDIR).
#
#   tests/bench/networks.sh [clip] [yolo] [mobile_sam]      default: all; see networks.py for what can be set
#
#   HM_REFERENCE_VENV=…         an environment that is kept and used again
#   HM_BENCH_NETWORK_SPEED=…    examples/network_speed, built already
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONDONTWRITEBYTECODE=1
if [ -z "${HM_BENCH_NETWORK_SPEED:-}" ]; then
    cargo build --release --locked --example network_speed
    target=$(cargo metadata --locked --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    export HM_BENCH_NETWORK_SPEED="$target/release/examples/network_speed"
fi
venv=${HM_REFERENCE_VENV:-}
if [ -z "$venv" ]; then
    venv=$(mktemp -d "${TMPDIR:-/tmp}/hm-reference.XXXXXX")
    trap 'rm -rf "$venv"' EXIT
fi
tests/reference/install.sh "$venv"
"$venv/bin/python" tests/bench/networks.py "$@"
