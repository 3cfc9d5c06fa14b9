#!/bin/sh
# Runs a command beside a throw-away PostgreSQL, which ends with it: scripts/with-postgres.sh CMD [ARG…]
# The command finds it by JOBPASS_TEST_DATABASE_URL. Nothing in it is durable.
set -eu

[ $# -gt 0 ] || { echo "usage: $0 CMD [ARG...]" >&2; exit 2; }

here=$(cd "$(dirname "$0")" && pwd)
bin=$("$here/install-postgres.sh" --bindir)

# A socket's path must be short, so a deep TMPDIR is passed over.
parent=${TMPDIR:-/tmp}
[ ${#parent} -le 60 ] || parent=/tmp
dir=$(mktemp -d "${parent%/}/jobpass-test.XXXXXX")

# PostgreSQL refuses to run as root.
if [ "$(id -u)" -ne 0 ]; then
    as_owner() { "$@"; }
else
    owner=nobody
    if id postgres >/dev/null 2>&1; then owner=postgres; fi
    chown "$owner" "$dir"
    if command -v runuser >/dev/null 2>&1; then
        as_owner() { runuser -u "$owner" -- "$@"; }
    else
        as_owner() { sudo -n -u "$owner" "$@"; }
    fi
fi

finish() {
    status=$?
    trap '' INT TERM HUP
    trap - EXIT
    if [ -f "$dir/data/postmaster.pid" ]; then
        as_owner "$bin/pg_ctl" stop -D "$dir/data" -m immediate -w >/dev/null 2>&1 || true
    fi
    rm -rf "$dir"
    exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

quietly() {
    "$@" >"$dir.out" 2>&1 || { cat "$dir.out" "$dir/log" 2>/dev/null >&2; rm -f "$dir.out"; exit 1; }
    rm -f "$dir.out"
}

# The folder is its owner's alone (mktemp), so everybody who can reach the socket may be trusted.
cd /
quietly as_owner "$bin/initdb" -D "$dir/data" -U jobpass -A trust --locale=C -E UTF8 --no-sync
settings="-c listen_addresses= -c unix_socket_directories='$dir' -c port=5432 -c max_connections=300 -c shared_buffers=128MB"
settings="$settings -c fsync=off -c full_page_writes=off -c synchronous_commit=off"
quietly as_owner "$bin/pg_ctl" start -D "$dir/data" -l "$dir/log" -w -t 60 -o "$settings"
cd "$OLDPWD"

export JOBPASS_TEST_DATABASE_URL="postgres://jobpass@localhost/postgres?host=$dir"
# psql and pg_dump of the same version, for commands that want them; the caller's own programs come first.
PATH="$PATH:$bin" "$@"
