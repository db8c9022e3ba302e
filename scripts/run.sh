#!/usr/bin/env bash
# Starts the built hm on the folder in LIBRARY_FOLDER, or on a demo library when that is empty.
#
#   scripts/run.sh check     only says whether the folder can be used, before a long build
#   scripts/run.sh           serves it
#
# The demo keeps to itself: pictures, database and thumbnails are in a folder `hm-demo` beside hm's data directory.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${LIBRARY_FOLDER:-}
# zsh leaves the tilde of PHOTOS=~/Pictures as it is.
case $folder in '~' | '~/'*) folder=$HOME${folder#\~} ;; esac
if [ -n "$folder" ] && ! { [ -d "$folder" ] && [ -r "$folder" ]; }; then
    printf 'make run: `%s` is not a folder that can be read\nhint: make run PHOTOS=/path/to/your/photos\n' "$folder" >&2
    exit 1
fi
[ "${1:-}" != check ] || exit 0

hm=${CARGO_TARGET_DIR:-target}/release/hm
if [ -n "$folder" ]; then
    exec "$hm" serve -- "$folder"
fi

if [ -n "${HM_DATA_DIR:-}" ]; then
    data=$HM_DATA_DIR
elif [ "$(id -u)" -eq 0 ]; then
    data=/var/lib/hm
elif [ "$(uname -s)" = Darwin ]; then
    data="$HOME/Library/Application Support/hm"
else
    data=${XDG_DATA_HOME:-$HOME/.local/share}/hm
fi
demo=${data%/}-demo
echo "No PHOTOS given: showing a demo library of pictures nobody took, in $demo/photos" >&2
"$hm" demo "$demo/photos"
exec "$hm" --data-dir "$demo/data" serve -- "$demo/photos"
