#!/usr/bin/env python3
"""Drives real clients that nobody here wrote against a running Jobpass: `make interop`, or `make interop ROWS="curl jose"`.

It ends with 0 when every check passed. A package whose registry cannot be reached at all makes it end with 1, too, unless
JOBPASS_INTEROP_OFFLINE=1 says that the place is known to be without: then the row says so, and counts as not run."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))
# No caches of Python in the project.
sys.dont_write_bytecode = True

import report  # noqa: E402
from row import attempt, load  # noqa: E402
from server import Server  # noqa: E402
from world import World  # noqa: E402


def main():
    arguments = parse()
    offline_is_fine = os.environ.get("JOBPASS_INTEROP_OFFLINE") == "1"
    chosen = choose(load(), arguments.rows)
    if arguments.list:
        print("\n".join(row.name for row in chosen))
        return 0
    # A request to end is an exception, so that everything that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    folder = Path(tempfile.mkdtemp(prefix="jobpass-interop-"))
    folder.chmod(0o711)
    server = None
    try:
        server = Server(Path(arguments.binary or target / "debug/jobpass"), folder)
        results = [told(row, server, target / "interop/cache") for row in chosen]
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    report.write(target / "interop/results.json", server.version, results)
    return conclude(results, offline_is_fine)


def parse():
    parser = argparse.ArgumentParser(description="Real clients against a running Jobpass.")
    parser.add_argument("rows", nargs="*", help="rows to run, by a part of their names [default: all]")
    parser.add_argument("--list", action="store_true", help="print the rows, and run none")
    parser.add_argument("--binary", help="the jobpass to test [default: target/debug/jobpass]")
    return parser.parse_args()


def choose(rows, words):
    if not words:
        return rows
    for word in words:
        if not any(word.lower() in row.name.lower() for row in rows):
            sys.exit(f"no row is called {word}; --list prints them")
    return [row for row in rows if any(word.lower() in row.name.lower() for word in words)]


def told(row, server, cache):
    began = time.monotonic()
    result = attempt(row, lambda name: World(server, name), cache)
    failed = any(check.outcome in ("failed", "refused") for check in result.checks)
    print(f"{'FAILED' if failed else 'done'}  {row.name} ({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)
    return result


def conclude(results, offline_is_fine):
    print(report.table(results))
    for trouble in report.troubles(results):
        print(trouble)
    outcomes = [check.outcome for result in results for check in result.checks]
    bad = outcomes.count("failed") + outcomes.count("refused")
    absent = outcomes.count("unreachable")
    passed = outcomes.count("passed")
    print(f"interop: {len(results)} clients, {passed} checks passed, {bad} failed, {absent} clients not run")
    return 1 if bad or (absent and not offline_is_fine) else 0


if __name__ == "__main__":
    sys.exit(main())
