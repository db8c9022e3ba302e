#!/usr/bin/env bash
# macOS: builds gexiv2 0.14.6 into .hm/prefix, because Homebrew's 0.16 has another name and interface than rexiv2 0.10 expects.
#
# Written from the documentation of Homebrew, Meson and gexiv2; not tried on a Mac yet. The Makefile puts .hm/prefix on
# PKG_CONFIG_PATH. Remove .hm to undo.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.14.6
sha256=606c28aaae7b1f3ef5c8eabe5e7dffd7c5a1c866d25b7671fb847fe287a72b8b
prefix=$PWD/.hm/prefix
if [ -f "$prefix/lib/pkgconfig/gexiv2.pc" ]; then exit 0; fi

brew install exiv2 glib meson ninja pkgconf >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
archive=$work/gexiv2.tar.xz
curl --fail --location --silent --show-error --output "$archive" "https://download.gnome.org/sources/gexiv2/${version%.*}/gexiv2-$version.tar.xz"
printf '%s  %s\n' "$sha256" "$archive" | shasum -a 256 -c - >&2
tar -xf "$archive" -C "$work"
meson setup "$work/build" "$work/gexiv2-$version" --prefix "$prefix" --libdir lib --buildtype release \
    -Dintrospection=false -Dvapi=false -Dpython3=false -Dgtk_doc=false -Dtests=false -Dtools=false >&2
meson install -C "$work/build" >&2
