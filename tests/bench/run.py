#!/usr/bin/env python3
"""Measures what Jobpass costs, beside what the machine could do at best and what others do: `make bench`.

BENCH=quick shows in minutes that the harness works; its figures mean little. FIGURES="mint decide" measures some.
It ends with 0 when every figure is there; whether one is as good as wished stands in the table."""

import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT / "tests/interop")]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
# No caches of Python in the project.
sys.dont_write_bytecode = True

import figures  # noqa: E402, F401
import machine  # noqa: E402
import scale  # noqa: E402
from bench import Bench  # noqa: E402
from figure import FAMILIES  # noqa: E402
from packages import apt  # noqa: E402
from processes import must  # noqa: E402
from report import Results  # noqa: E402


class OutOfTime(Exception):
    """The whole run may take so long and no longer."""


def main():
    size = scale.named(os.environ.get("BENCH") or "full")
    chosen = choose(FAMILIES, os.environ.get("FIGURES", "").split())
    results = Results({"scale": size.name, **machine.described(ROOT)}, {name: reach for one in chosen for name, reach in one.names.items()})
    began = time.monotonic()
    pictures = {}
    limited(size.minutes)
    try:
        measure(size, chosen, results, pictures)
    except BaseException as failure:
        missing = [name for one in chosen for name in one.names if name not in results.figures and name not in results.failures]
        results.fail(missing, describe(failure))
    finally:
        signal.alarm(0)
        results.about["machine"]["load_average_after"] = round(os.getloadavg()[0], 2)
        results.about["minutes"] = round((time.monotonic() - began) / 60, 1)
        results.write(TARGET / "bench", pictures)
    print(results.table())
    for name, reason in results.failures.items():
        print(f"{name} failed: {reason}")
    return 1 if results.failures else 0


def choose(families, words):
    known = {name for one in families for name in one.names}
    for word in words:
        if word not in known:
            sys.exit(f"no figure is called {word}; there are {', '.join(sorted(known))}")
    return [one for one in families if not words or any(name in words for name in one.names)]


def limited(minutes):
    """Asked to end, or out of time: an exception, so that all is ended that was started, and what is known is written."""

    def late(*_):
        raise OutOfTime(f"the run may take {minutes} minutes")

    signal.signal(signal.SIGALRM, late)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.alarm(minutes * 60)


def measure(size, chosen, results, pictures):
    bindir = install(results)
    build()
    machine.step_aside()
    folder = Path(tempfile.mkdtemp(prefix="jobpass-bench-", dir="/tmp" if len(tempfile.gettempdir()) > 50 else None))
    folder.chmod(0o711)
    bench = None
    try:
        bench = Bench(size, folder, TARGET / "bench/cache", bindir, TARGET / "release")
        bench.pictures = pictures
        for family in chosen:
            attempt(family, bench, results)
        results.about["versions"] |= bench.versions
    finally:
        if bench is not None:
            bench.close()
        shutil.rmtree(folder, ignore_errors=True)


def install(results):
    """The tools, from packages; answers where PostgreSQL's programs are."""
    versions = {package: apt(package).install(None).version for package in ("wrk", "util-linux")}
    results.about["versions"] = versions
    must([ROOT / "scripts/install-postgres.sh"], timeout=600)
    return must([ROOT / "scripts/install-postgres.sh", "--bindir"], timeout=30).strip()


def build():
    """What is measured and what measures it, as it is shipped."""
    cargo = ["cargo", "build", "--locked", "--quiet", "--release", "--bins", "-p", "jobpass", "-p", "jobpass-bench"]
    must(cargo, timeout=1800, cwd=ROOT)
    must(["cargo", "bench", "--locked", "--quiet", "-p", "jobpass-domain", "--bench", "decide", "--no-run"], timeout=900, cwd=ROOT)


def attempt(family, bench, results):
    """What fails here fails alone, unless the time is over."""
    began = time.monotonic()
    names = ", ".join(family.names)
    try:
        results.add(family.measure(bench))
        done = "done  "
    except OutOfTime:
        raise
    except Exception as failure:
        traceback.print_exc()
        results.fail(family.names, describe(failure))
        done = "FAILED"
    print(f"{done} {names} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)


def describe(failure):
    return f"{type(failure).__name__}: {failure}"


if __name__ == "__main__":
    sys.exit(main())
