"""A PostgreSQL of this run alone: durable, as in production, while something is measured; careless while rows are made."""

import os
import pwd
import re
import shutil
from pathlib import Path

from machine import ALL, LOAD, SERVER, pinned
from processes import Failed, must, run

# The same for us and for the floors. A quarter of the memory is the usual advice, and the rest is the system's cache.
_BUFFERS_MIB = min(4096, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 // 4)
_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "200",
    "shared_buffers": f"{_BUFFERS_MIB}MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "maintenance_work_mem": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_min_messages": "error",
}
_CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Database:
    """`folder` lies where PostgreSQL's own user can reach it, and its path is short enough for a socket."""

    def __init__(self, folder, bindir):
        self.folder = folder
        # Some systems link only the server itself to where it is found.
        self.bindir = (Path(bindir) / "postgres").resolve().parent
        self._owner = _owner()
        self._durable = None
        if self._owner:
            shutil.chown(folder, self._owner)
        made = ["-U", "jobpass", "-A", "trust", "--locale=C", "-E", "UTF8", "--no-sync"]
        self._as_owner([self.bindir / "initdb", "-D", self._data, *made], timeout=120)

    @property
    def _data(self):
        return self.folder / "data"

    def version(self):
        return must([self.bindir / "postgres", "--version"], timeout=10).split()[2]

    def durable(self, wanted):
        """Started, or restarted, on the servers' core when it is to be durable, and on all cores otherwise."""
        if self._durable is wanted:
            return
        self.stop()
        settings = dict(_SETTINGS, unix_socket_directories=self.folder, **({} if wanted else _CARELESS))
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        start = [self.bindir / "pg_ctl", "start", "-D", self._data, "-l", self.folder / "log", "-w", "-t", "120", "-o", options]
        self._as_owner(pinned(SERVER if wanted else ALL, start), timeout=150)
        self._durable = wanted
        if wanted:
            # What was written carelessly is on the disk, and read into memory as far as it goes, before anything counts.
            must(["sync"], timeout=300)

    def stop(self):
        if self._durable is not None:
            self._as_owner([self.bindir / "pg_ctl", "stop", "-D", self._data, "-m", "fast", "-w", "-t", "240"], timeout=270)
            self._durable = None

    def url(self, name):
        return f"postgres://jobpass@localhost/{name}?host={self.folder}"

    def sql(self, name, text, timeout=120):
        """What psql answers, unaligned; the first error ends it."""
        command = [self.bindir / "psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-d", self.url(name), "-f", "-"]
        return must(command, timeout=timeout, stdin=text).strip()

    def copy(self, source, target):
        """A new database that is the same, file by file."""
        self.sql("postgres", f"create database {target} template {source} strategy file_copy", timeout=600)

    def drop(self, name):
        self.sql("postgres", f"drop database if exists {name} with (force)", timeout=120)

    def pgbench(self, name, script, *, seconds, clients, defines=()):
        """Transactions a second of a script, prepared, on kept connections."""
        file = self.folder / "script.sql"
        file.write_text(script)
        given = [word for key, value in defines for word in ("-D", f"{key}={value}")]
        command = [self.bindir / "pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(max(1, round(seconds)))]
        env = {"PGHOST": str(self.folder), "PGUSER": "jobpass"}
        done = run(pinned(LOAD, [*command, *given, "-f", file, name]), timeout=seconds + 60, env=env)
        return pgbench_rate(done)

    def _as_owner(self, command, timeout):
        become = ["runuser", "-u", self._owner, "--"] if self._owner else []
        return must([*become, *command], timeout=timeout, cwd="/")


def pgbench_rate(done):
    """A transaction that failed is no figure."""
    rate = re.search(r"^tps = ([0-9.]+) ", done.stdout, re.MULTILINE)
    failed = re.search(r"^number of failed transactions: (\d+)", done.stdout, re.MULTILINE)
    if done.returncode != 0 or rate is None or (failed and failed.group(1) != "0"):
        raise Failed(f"pgbench: {(done.stderr or done.stdout).strip()[-500:]}")
    return float(rate.group(1))


def _owner():
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"
