#!/usr/bin/env bash
# Installs the system packages hm needs and this machine lacks, and says of each what it is for.
#
#   scripts/install-packages.sh [build] [run] [test] [bench] [worker] [cuda]      groups; default: build run
#
# worker is what an hm that only runs networks is built with, and cuda what that needs beside for NVIDIA cards.
#
# Nothing missing: it says so and needs neither network nor root. Otherwise it calls apt-get (Debian 12 and 13,
# Ubuntu 24.04) or brew (macOS), with sudo only when it is not root. It starts no service: hm runs a PostgreSQL and a
# Redis of its own, so Debian's `main` cluster is not created and the redis-server service is left off.
# The Rust toolchain is asked for, never installed.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
die() { say "install-packages: $*"; exit 1; }

groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(build run)
for group in "${groups[@]}"; do
    case $group in build | run | test | bench | worker | cuda) ;; *) die "unknown group \`$group\`; there are build, run, test, bench, worker and cuda" ;; esac
done
wants() { case " ${groups[*]} " in *" $1 "*) true ;; *) false ;; esac; }

system=unknown
if [ "$(uname -s)" = Darwin ]; then
    system=macos
elif [ -r /etc/os-release ]; then
    system=$(. /etc/os-release && printf '%s' "${ID:-unknown}-${VERSION_ID:-}")
fi
case $system in
    macos | debian-12 | debian-13 | ubuntu-24.04) ;;
    debian-* | ubuntu-*) say "note: $system is not one of the systems hm is written for (Debian 12, 13, Ubuntu 24.04, macOS); trying its packages" ;;
    *) command -v apt-get >/dev/null || die "no package list for \`$system\`
hint: install by hand what README.md names under \"Without the script\", then run cargo build --release" ;;
esac

has_command() { command -v "$1" >/dev/null 2>&1; }

# --- the Rust toolchain, first: without it the rest is for nothing --------------------------------------------------
if wants build || wants worker; then
    needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    has_command cargo || die "the Rust toolchain is missing: cargo is not on PATH
hint: install it from https://rustup.rs (version $needed or newer), open a new shell, and start again"
    found=$(rustc --version | cut -d ' ' -f 2)
    older=$(printf '%s\n%s\n' "$needed" "${found%%-*}" | sort -t . -k 1,1n -k 2,2n -k 3,3n | head -n 1)
    [ "$older" = "$needed" ] || die "rustc $found is too old: hm needs $needed
hint: rustup update stable"
fi

# --- what is there -------------------------------------------------------------------------------------------------
has_module() { has_command pkg-config && pkg-config --exists "$1" 2>/dev/null; }
# bindgen loads libclang and reads the compiler's own headers; libclang-cpp, which other packages bring, is neither.
has_libclang() {
    [ "$system" = macos ] && { xcode-select -p >/dev/null 2>&1; return; }
    [ -z "${LIBCLANG_PATH:-}" ] || return 0
    any_file '/usr/lib/llvm-*/lib/libclang.so*' '/usr/lib/llvm-*/lib/libclang-[0-9]*.so*' '/usr/lib/*/libclang-[0-9]*.so*' &&
        any_file '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' '/usr/lib/clang/*/include/stddef.h'
}
any_file() {
    local pattern
    for pattern in "$@"; do
        if compgen -G "$pattern" >/dev/null; then return 0; fi
    done
    return 1
}
has_postgres() { scripts/find-postgres.sh >/dev/null 2>&1; }
has_chromium() { has_command chromium || has_command chromium-browser || has_command google-chrome ||
    [ -d "/Applications/Chromium.app" ] || [ -d "/Applications/Google Chrome.app" ]; }
has_pip() { has_command python3 && python3 -m pip --version >/dev/null 2>&1; }
has_python_module() { /usr/bin/python3 -c "import $1" 2>/dev/null; }
# The encoder comes with libheif itself on Debian 12, as a plug-in since.
has_hevc_encoder() { has_command heif-enc && heif-enc --list-encoders 2>&1 | grep x265 >/dev/null; }
heif_packages=libheif-examples
[ "$system" = debian-12 ] || heif_packages="libheif-examples libheif-plugin-x265"
# An x265 development package makes the bundled libheif link against it, and x265's own pkg-config file asks for libnuma.
has_numa_if_x265() { ! has_module x265 || has_module numa || [ "$system" = macos ]; }

# group | check | Debian and Ubuntu | Homebrew | what for.  `-`: comes with the system. `?` before the check: may fail.
needs() {
    cat <<'END'
build|has_command cc|build-essential|-|C compiler: the image decoders that are built into hm
build|has_command c++|build-essential|-|C++ compiler: libheif and LibRaw, built into hm
build|has_command cmake|cmake|cmake|builds libjpeg-turbo and libheif
build|has_command nasm|nasm|nasm|the fast paths of libjpeg-turbo
build|has_command pkg-config|pkg-config|pkgconf|finds the libraries below
build|has_libclang|libclang-dev|-|reads LibRaw's headers
build|has_module gexiv2|libgexiv2-dev|@gexiv2|metadata: EXIF, IPTC and XMP of every camera
build|has_module libde265|libde265-dev|libde265|decodes HEIC
build|has_module dav1d|libdav1d-dev|dav1d|decodes AVIF
build|has_module libpq|libpq-dev|libpq|speaks to PostgreSQL
build|has_numa_if_x265|libnuma-dev|-|goes with the x265 development files that are installed here
worker|has_command cc|build-essential|-|C compiler: libjpeg-turbo, built into hm
worker|has_command cmake|cmake|cmake|builds libjpeg-turbo
worker|has_command nasm|nasm|nasm|the fast paths of libjpeg-turbo
cuda|has_command c++|build-essential|-|C++ compiler: NVIDIA's own uses it
cuda|has_pip|python3-pip|-|fetches NVIDIA's compiler
run|has_postgres|postgresql|postgresql@17|the private database hm starts for itself
run|has_command redis-server|redis-server|redis|the private queue hm starts for itself
run|?has_command ffmpeg|ffmpeg|ffmpeg|poster frames of videos; hm works without
test|has_chromium|chromium|cask:chromium|browser tests
test|has_command chromedriver|chromium-driver|cask:chromedriver|drives the browser tests
test|has_command exiftool|libimage-exiftool-perl|exiftool|the second opinion on metadata
test|has_command exiv2|exiv2|exiv2|the third, on sidecars that hm wrote
test|?has_command mkfs.exfat|exfatprogs|-|a file system that ignores case, for the tests of renames
test|?has_command mount.exfat-fuse|exfat-fuse|-|mounts it
test|?has_command strace|strace|-|counts what a scan asks of the disk
test|has_command cjxl|libjxl-tools|jpeg-xl|makes the JPEG XL that the tests of pictures read
test|has_command avifenc|libavif-bin|libavif|makes their AVIF
test|has_command python3|python3|-|makes the stand-ins for CUDA's libraries, which are tested too
bench|has_command exiftool|libimage-exiftool-perl|exiftool|reads metadata beside hm
bench|has_command vipsthumbnail|libvips-tools|vips|makes thumbnails beside hm
bench|?has_module fuse3|libfuse3-dev|-|a disk as slow as a NAS
bench|?has_command fusermount3|fuse3|-|mounts it
bench|?has_python_module PIL|python3-pil|-|renders the sample library
bench|?has_python_module numpy|python3-numpy|-|compares pictures
END
    echo "test|has_hevc_encoder|$heif_packages|libheif|makes their HEIC"
}


required=""
optional=""
lacking=0
while IFS='|' read -r group check debian brew why; do
    wants "$group" || continue
    kind=required
    case $check in \?*) kind=optional check=${check#\?} ;; esac
    if eval "$check"; then continue; fi
    if [ "$system" = macos ]; then package=$brew; else package=$debian; fi
    if [ "$package" = - ]; then
        [ "$system" != macos ] || die "the compilers of Xcode are missing
hint: xcode-select --install"
        continue
    fi
    [ $lacking -gt 0 ] || say "hm lacks on this machine:"
    lacking=$((lacking + 1))
    say "$(printf '  %-24s %s' "$package" "$why")"
    if [ $kind = required ]; then
        case " $required " in *" $package "*) ;; *) required="$required $package" ;; esac
    else
        optional="$optional $package"
    fi
done <<END
$(needs)
END

# --- Debian and Ubuntu ---------------------------------------------------------------------------------------------
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif has_command sudo; then
        sudo "$@"
    else
        die "not root, and there is no sudo
hint: run this as root, then start again:
  apt-get update && apt-get install --no-install-recommends$required$optional"
    fi
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" >&2; }

cluster_file=/etc/postgresql-common/createcluster.d/hm-no-main-cluster.conf
policy_file=/usr/sbin/policy-rc.d
mark="# of hm's install-packages.sh, for the time of one installation"

# Keeps what is installed now from being started, and from making a cluster nobody asked for.
hold_services() {
    if [ -e $policy_file ] && grep -qF "$mark" $policy_file 2>/dev/null; then as_root rm -f $policy_file; fi
    trap release_services EXIT
    case " $required " in
        *" postgresql "*)
            as_root mkdir -p "${cluster_file%/*}"
            printf '%s\ncreate_main_cluster = false\n' "$mark" | as_root tee $cluster_file >/dev/null
            ;;
    esac
    if [ ! -e $policy_file ]; then
        printf '#!/bin/sh\n%s\ncase $1 in redis-server* | postgresql*) exit 101 ;; *) exit 0 ;; esac\n' "$mark" | as_root tee $policy_file >/dev/null
        as_root chmod 755 $policy_file
    fi
}

release_services() {
    [ ! -e $cluster_file ] || as_root rm -f $cluster_file
    if [ -e $policy_file ] && grep -qF "$mark" $policy_file; then as_root rm -f $policy_file; fi
}

install_debian() {
    hold_services
    apt update
    # shellcheck disable=SC2086  # lists of plain package names
    [ -z "$required" ] || apt install -y --no-install-recommends $required
    # shellcheck disable=SC2086
    if [ -n "$optional" ] && ! apt install -y --no-install-recommends $optional; then
        say "warning: could not install$optional; hm works without"
    fi
    case " $required " in
        *" redis-server "*) if has_command systemctl; then as_root systemctl disable --quiet redis-server 2>/dev/null || true; fi ;;
    esac
    release_services
    trap - EXIT
}

# --- macOS: written from Homebrew's and gexiv2's documentation, not tried --------------------------------------------
install_macos() {
    has_command brew || die "Homebrew is missing
hint: see https://brew.sh, then start again"
    local package
    for package in $required; do
        case $package in
            @gexiv2) scripts/build-gexiv2.sh ;;
            cask:*) brew install --cask "${package#cask:}" >&2 ;;
            *) brew install "$package" >&2 ;;
        esac
    done
    for package in $optional; do brew install "$package" >&2 || say "warning: could not install $package; hm works without"; done
}

if [ $lacking -gt 0 ]; then
    if [ "$system" = macos ]; then install_macos; else install_debian; fi
    say "installed:$required$optional"
else
    say "system packages (${groups[*]}): all there"
fi

# --- pgvector, which is no plain package everywhere; tried once, because it needs root, a network and half a minute ------------
without_vectors=.hm/pgvector-could-not-be-installed
if { wants run || wants test; } && ! scripts/install-pgvector.sh check 2>/dev/null && [ ! -e $without_vectors ]; then
    say "hm lacks pgvector: with it photographs are found by what they show, without it everything else works"
    as_whoever_may() {
        if [ "$system" = macos ] || [ "$(id -u)" -eq 0 ]; then "$@"; else has_command sudo && sudo "$@"; fi
    }
    if ! as_whoever_may env HM_DEBIAN_MIRROR="${HM_DEBIAN_MIRROR:-}" HM_DATABASE_BIN_DIR="${HM_DATABASE_BIN_DIR:-}" scripts/install-pgvector.sh >&2; then
        mkdir -p .hm
        date >$without_vectors
        say "warning: could not install pgvector; hm works without
hint: scripts/install-pgvector.sh tries again"
    fi
fi
