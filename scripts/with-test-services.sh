#!/usr/bin/env bash
# Runs a command beside a PostgreSQL and a Redis of its own, on unix sockets in a temporary folder, and removes both afterwards.
#
#   scripts/with-test-services.sh cargo nextest run
#
# The command finds them by HM_TEST_DATABASE_URL (a maintenance database whose user may CREATE DATABASE) and HM_TEST_REDIS_URL.
# Durability is off: never point a library at these. As root, PostgreSQL runs as `postgres` or `nobody`, because it refuses root.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: with-test-services.sh COMMAND…" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)

bin=$("$root/scripts/find-postgres.sh")
command -v redis-server >/dev/null || { echo "redis-server not found; scripts/install-packages.sh run installs it" >&2; exit 1; }

# Short and plain: a socket's path may have 107 bytes, and it goes into a URL.
dir=$(mktemp -d /tmp/hm-test.XXXXXX)
postgres_pid=""
redis_pid=""

stop() { # pid signal: asks, waits ten seconds, then insists
    [ -n "$1" ] || return 0
    kill -s "$2" "$1" 2>/dev/null || return 0
    local tenth
    for tenth in $(seq 100); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -s QUIT "$1" 2>/dev/null || true
}

cleanup() {
    status=$?
    trap - EXIT
    stop "$postgres_pid" INT
    stop "$redis_pid" TERM
    rm -rf "$dir"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The services end with this script even when it is killed, where the system can do that (Linux).
guarded() { # signal command…
    if command -v setpriv >/dev/null; then exec setpriv --pdeathsig "$@"; else shift && exec "$@"; fi
}
identity=()
if [ "$(id -u)" -eq 0 ]; then
    user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    chown "$user" "$dir"
    identity=(--reuid "$user" --regid "$(id -g "$user")" --clear-groups)
fi

cd "$dir"
(guarded INT ${identity[@]+"${identity[@]}"} "$bin/initdb" -D "$dir/data" -U hm -A trust -E UTF8 --locale=C --no-sync --no-instructions) >"$dir/initdb.log" 2>&1 ||
    { cat "$dir/initdb.log" >&2; exit 1; }
cat >>"$dir/data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$dir'
max_connections = 100
shared_buffers = 128MB
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
jit = off
# What the planner goes by, as in a cluster of hm's own: tests hold it to its plans.
random_page_cost = 1.1
work_mem = 32MB
END
(guarded INT ${identity[@]+"${identity[@]}"} "$bin/postgres" -D "$dir/data") >"$dir/postgres.log" 2>&1 &
postgres_pid=$!
(guarded TERM redis-server --port 0 --unixsocket "$dir/redis.sock" --unixsocketperm 700 --dir "$dir" --save "" --appendonly no) >"$dir/redis.log" 2>&1 &
redis_pid=$!

ready=""
for _ in $(seq 300); do
    kill -0 "$postgres_pid" 2>/dev/null || { cat "$dir/postgres.log" >&2; exit 1; }
    kill -0 "$redis_pid" 2>/dev/null || { cat "$dir/redis.log" >&2; exit 1; }
    if [ "$(sed -n 8p "$dir/data/postmaster.pid" 2>/dev/null | tr -d ' ')" = ready ] && [ -S "$dir/redis.sock" ]; then ready=yes && break; fi
    sleep 0.1
done
[ -n "$ready" ] || { echo "the test services did not start within 30 seconds" >&2; cat "$dir/postgres.log" >&2; exit 1; }

cd "$root"
export HM_TEST_DATABASE_URL="postgres:///postgres?host=$dir&user=hm"
export HM_TEST_REDIS_URL="unix://$dir/redis.sock"
"$@"
