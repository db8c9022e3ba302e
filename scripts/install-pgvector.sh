#!/usr/bin/env bash
# Installs pgvector 0.7 or newer for this machine's PostgreSQL: with it photographs are found by what they show. hm runs without.
#
#   scripts/install-pgvector.sh          scripts/install-packages.sh calls it for `run` and `test`, and goes on when it fails
#   scripts/install-pgvector.sh check    only says by its exit code whether it is there; needs neither network nor root
#
# Debian 13 has a package that is new enough. Debian 12 has none: there the source package of Debian 13 is built into a .deb for
# PostgreSQL 15, which dpkg then knows and can remove. It is fetched with package lists of its own; the machine's sources stay as they are.
# Ubuntu 24.04's package (0.6) is too old: the same build works from a Debian mirror named in HM_DEBIAN_MIRROR (not tried yet).
set -euo pipefail
cd "$(dirname "$0")/.."

die() { echo "install-pgvector: $*" >&2; exit 1; }
bin=$(scripts/find-postgres.sh)
major=$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
new_enough() { [ "$(printf '%s\n0.7\n' "$1" | sort -V | head -n 1)" = 0.7 ]; }
# Debian's folder, and those beside the server's own programs.
is_there() {
    local control
    for control in "/usr/share/postgresql/$major/extension" "$bin/../share/extension" "$bin"/../share/postgresql*/extension; do
        control=$control/vector.control
        if [ -f "$control" ] && new_enough "$(sed -n "s/^default_version = '\(.*\)'/\1/p" "$control")"; then return 0; fi
    done
    return 1
}
if is_there; then
    [ "${1:-}" = check ] || echo "pgvector for PostgreSQL $major: there" >&2
    exit 0
fi
[ "${1:-}" != check ] || exit 1
if [ "$(uname -s)" = Darwin ]; then exec brew install pgvector; fi
[ "$(id -u)" -eq 0 ] || die "not root
hint: sudo scripts/install-pgvector.sh"

export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -q -o DPkg::Lock::Timeout=300 "$@" >&2; }
apt update
package=postgresql-$major-pgvector
candidate=$(apt-cache policy "$package" | sed -n 's/^  Candidate: \([0-9.]*\).*/\1/p')
if [ -n "$candidate" ] && new_enough "$candidate"; then
    apt install -y --no-install-recommends "$package"
    exit 0
fi

mirror=${HM_DEBIAN_MIRROR:-}
if [ -z "$mirror" ] && [ "$(. /etc/os-release && echo "$ID")" = debian ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | head -n 1)
fi
[ -n "$mirror" ] || die "$package is missing or too old
hint: HM_DEBIAN_MIRROR=<address of a Debian mirror> scripts/install-pgvector.sh"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f $keyring ] || apt install -y --no-install-recommends debian-archive-keyring
apt install -y --no-install-recommends build-essential dpkg-dev debhelper fakeroot "postgresql-server-dev-$major" postgresql-server-dev-all

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
echo "deb-src [signed-by=$keyring] $mirror trixie main" >"$work/sources.list"
own=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
apt "${own[@]}" update
(
    cd "$work"
    apt "${own[@]}" source pgvector
    cd pgvector-*/
    echo "$major" >debian/pgversions
    pg_buildext updatecontrol
    DEB_BUILD_OPTIONS="nocheck noddebs parallel=$(nproc)" dpkg-buildpackage -b -uc -us -d
) >&2
apt install -y "$work"/postgresql-"$major"-pgvector_*.deb
