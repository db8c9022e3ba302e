#!/usr/bin/env bash
# Builds hm, measures it beside the programs people know, prints a table and writes tests/bench/RESULTS.md.
#
#   tests/bench/run.sh [scan] [rescan] [agreement] [slow] [thumbs] [pages] [map] [nearest] [edits] [outbox] [segment] [queue] [worker] [start] [memory]      default: all of them
#
# Everything it makes lies in a temporary folder (below TMPDIR, a few GiB) and is removed. Programs that are not installed
# (exiftool, vipsthumbnail, libfuse3, Python's numpy and Pillow) leave their rows out, and the table says so.
#
#   HM_BENCH_RUNS=3         runs of each thing; the median counts
#   HM_BENCH_FILES=1000000  files of the row about memory
#   HM_BENCH_MIXED_FILES=100000  files of the row about memory with metadata children
#   HM_BENCH_IMAGES=10000,100000,1000000  libraries of the rows about pages
#   HM_BENCH_PLACED=1000000  library of the rows about the map
#   HM_BENCH_VECTORS=1000000  vectors of the rows about likeness
#   HM_BENCH_SIDECARS=300   moments of the library whose sidecars are written
#   HM_BENCH_PROGRAM=…      an hm that is built already
#   HM_BENCH_PROXIES=240    pictures that a worker looks at
#   HM_BENCH_QUEUE_SPEED=…, HM_BENCH_NETWORK_SPEED=…  examples/queue_speed and network_speed, built already
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONDONTWRITEBYTECODE=1
if [ -z "${HM_BENCH_PROGRAM:-}" ]; then
    cargo build --release --locked
    target=$(cargo metadata --locked --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    export HM_BENCH_PROGRAM="$target/release/hm"
else
    export HM_BENCH_REMARK=" (hm built beforehand)"
fi
exec python3 tests/bench/bench.py "$@"
