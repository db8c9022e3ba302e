#!/usr/bin/env bash
# Prints the folder of a PostgreSQL server's programs (postgres, initdb): HM_DATABASE_BIN_DIR, Debian's newest, Homebrew's, PATH.
set -euo pipefail

candidates() {
    [ -z "${HM_DATABASE_BIN_DIR:-}" ] || printf '%s\n' "$HM_DATABASE_BIN_DIR"
    printf '%s\n' /usr/lib/postgresql/*/bin | sort -t / -k 5 -rn
    printf '%s\n' /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin | sort -r
    printf '%s' "${PATH:-}" | tr ':' '\n'
}

while IFS= read -r dir; do
    if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
        printf '%s\n' "$dir"
        exit 0
    fi
done < <(candidates)
echo "no PostgreSQL server (postgres, initdb) found" >&2
exit 1
