#!/bin/sh
# Installs what building and running Jobpass needs and this machine lacks; says nothing when all is there.
# With --bindir it prints the folder of PostgreSQL's programs, installing nothing.
set -eu

oldest=15

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# The embedded server looks in the same places: crates/persistence/src/embedded/binaries.rs.
places() {
    printf '%s\n' "$PATH" | tr ':' '\n'
    if has pg_config; then pg_config --bindir 2>/dev/null || true; fi
    for place in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin \
        /usr/local/opt/postgresql@*/bin; do
        printf '%s\n' "$place"
    done | sort -rV
    echo /usr/local/pgsql/bin
}

bindir() {
    places | while IFS= read -r place; do
        [ -x "$place/initdb" ] && [ -x "$place/postgres" ] && [ -x "$place/pg_ctl" ] || continue
        major=$("$place/postgres" --version 2>/dev/null | sed -n 's/^[^0-9]*\([0-9][0-9]*\).*/\1/p')
        if [ "${major:-0}" -ge "$oldest" ]; then
            printf '%s\n' "$place"
            break
        fi
    done
}

# `sudo -n` never asks: a hidden question would look like a hang.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi >&2
}

may_be_root() {
    [ "$(id -u)" -eq 0 ] || { has sudo && sudo -n true 2>/dev/null; }
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# Debian starts a server on port 5432 with the package. Jobpass has its own, so that one is asked not to be made.
apt_install_postgres() {
    apt_install postgresql-common
    conf=/etc/postgresql-common/createcluster.conf
    as_root cp -p "$conf" "$conf.before-jobpass"
    as_root sed -i 's/^#* *create_main_cluster.*/create_main_cluster = false/' "$conf"
    status=0
    apt_install postgresql || status=$?
    as_root mv "$conf.before-jobpass" "$conf"
    return "$status"
}

# The packages of $missing by the names that a package manager has for them.
packages() {
    for name in $missing; do
        case $1:$name in
            apt:postgres) echo postgresql ;;
            dnf:postgres) echo postgresql-server ;;
            brew:postgres) echo postgresql@16 ;;
            apt:cc) echo build-essential ;;
            dnf:cc) echo gcc ;;
            brew:cc) fail "A C compiler is needed: run xcode-select --install, then try again." ;;
            *) echo "$name" ;;
        esac
    done
}

install() {
    # shellcheck disable=SC2046 # one word is one package
    set -- "$1" $(packages "$1")
    manager=$1
    shift
    say "Missing:$missing. Installing: $*"
    case $manager in
        brew) brew install "$@" >&2; return ;;
        apt) command="apt-get install -y $*" ;;
        dnf) command="dnf install -y $*" ;;
    esac
    may_be_root || fail "Root must install that. Run this, then try again:
    sudo $command"
    case $manager in
        dnf) as_root dnf install -y "$@" ;;
        apt)
            as_root apt-get update
            for package in "$@"; do
                if [ "$package" = postgresql ]; then apt_install_postgres; else apt_install "$package"; fi
            done
            ;;
    esac
}

if [ "${1:-}" = --bindir ]; then
    found=$(bindir)
    [ -n "$found" ] || fail "PostgreSQL $oldest or newer is not installed; scripts/install-postgres.sh installs it."
    printf '%s\n' "$found"
    exit
fi

missing=
[ -n "$(bindir)" ] || missing="$missing postgres"
for program in cc git; do
    has "$program" || missing="$missing $program"
done

if [ -n "$missing" ]; then
    if has apt-get; then install apt
    elif has dnf; then install dnf
    elif has brew; then install brew
    else fail "This script knows apt, dnf and brew. Install with your package manager:$missing
(for postgres: the server of PostgreSQL $oldest or newer, with initdb and pg_ctl)."
    fi
    [ -n "$(bindir)" ] || fail "The PostgreSQL of this system's packages is older than $oldest. Newer ones are at
https://www.postgresql.org/download/ ; install one of them, then try again."
fi

has cargo || fail "Rust is needed. Install it, then try again:
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y"
