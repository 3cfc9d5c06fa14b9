"""What a row is: a client, what it needs, and the checks that it makes of it."""

import contextlib
import importlib
import json
import pkgutil
import shutil
import signal
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from packages import Refused, Unreachable
from processes import Daemon, free_port, run

# Every row shows these, or says why it cannot.
STANDARD = ("allowed", "denied", "revoked", "expired")

ROWS = []


@dataclass(frozen=True)
class Row:
    name: str
    needs: tuple
    check: object
    timeout: int
    without: dict

    @property
    def slug(self):
        return "".join(letter if letter.isalnum() else "-" for letter in self.name.lower()).strip("-")


def row(name, *needs, timeout=120, without=None):
    """Registers a function as the row `name`. `without` says, by check, why one of the four cannot be."""

    def register(function):
        ROWS.append(Row(name, needs, function, timeout, without or {}))
        return function

    return register


def load():
    """All rows, in the order of their files."""
    import rows

    for module in sorted(module.name for module in pkgutil.iter_modules(rows.__path__)):
        importlib.import_module(f"rows.{module}")
    return ROWS


@dataclass
class Check:
    name: str
    # passed, failed, refused, unreachable, or why there is none
    outcome: str
    detail: str = ""
    seconds: float = 0.0


@dataclass
class Result:
    row: str
    version: str = ""
    checks: list = field(default_factory=list)


class Attempt:
    """One run of a row: what its function is given, called `it` there."""

    def __init__(self, world, kit, folder, result):
        self.world = world
        # What it needs, installed, in the order of the decorator.
        self.kit = kit
        # A folder of its own, readable for the unprivileged users that daemons become.
        self.folder = folder
        self._result = result
        self._daemons = []

    @contextlib.contextmanager
    def check(self, name):
        """A check passes unless its block raises; the row goes on either way."""
        began = time.monotonic()
        try:
            yield
            outcome, detail = "passed", ""
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is this check's failure
            outcome, detail = "failed", _told(error)
        self.record(name, outcome, detail, time.monotonic() - began)

    def record(self, name, outcome, detail="", seconds=0.0):
        self._result.checks.append(Check(name, outcome, detail, seconds))

    def run(self, command, *, timeout=60, **options):
        return run(command, timeout=timeout, **options)

    def start(self, command, *, port=None, **options):
        """A program that is ended with the row; waits until it listens on the port."""
        log = self.folder / f"{len(self._daemons)}-{Path(str(command[0])).name}.log"
        daemon = Daemon(command, log=log, **options)
        self._daemons.append(daemon)
        if port is not None:
            daemon.wait_for_port(port)
        return daemon

    def free_port(self):
        return free_port()

    def drive(self, command, asked, *, timeout=90, env=None):
        """Runs a driver in another language or venv: it reads `asked` as JSON on standard input and prints one JSON object a
        line for each check, `{"check":…,"ok":…,"detail":…}`. A driver that dies fails the row."""
        done = run(command, timeout=timeout, stdin=json.dumps(asked), env=env)
        for line in done.stdout.splitlines():
            if line.startswith('{"check"'):
                told = json.loads(line)
                self.record(told["check"], "passed" if told["ok"] else "failed", told.get("detail", ""), told.get("seconds", 0))
        if done.returncode != 0:
            self.record("driver", "failed", f"ended with {done.returncode}: {done.stderr.strip()[-1500:]}")

    def stop(self):
        for daemon in reversed(self._daemons):
            daemon.stop()


class TimedOut(BaseException):
    """The row took longer than it may; no check may swallow this."""


@contextlib.contextmanager
def _within(seconds):
    def ring(*_):
        raise TimedOut(f"not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(row, make_world, cache):
    """Installs, makes a world, runs the checks, and ends whatever was started. Never raises for what a row does."""
    result = Result(row.name)
    try:
        kit = [need.install(cache) for need in row.needs]
    except (Refused, Unreachable) as error:
        outcome = "refused" if isinstance(error, Refused) else "unreachable"
        result.checks.append(Check("install", outcome, str(error)))
        return result
    except Exception as error:  # noqa: BLE001 - an installation that breaks in a new way is a refusal
        result.checks.append(Check("install", "refused", _told(error)))
        return result
    result.version = kit[0].version if kit else ""
    folder = Path(tempfile.mkdtemp(prefix="jobpass-interop-"))
    folder.chmod(0o755)
    it = Attempt(None, kit, folder, result)
    try:
        with _within(row.timeout):
            it.world = make_world(row.slug)
            row.check(it)
    except (Exception, TimedOut, SystemExit) as error:  # noqa: BLE001 - a row that breaks fails, the others go on
        it.record("row", "failed", _told(error))
    finally:
        it.stop()
        shutil.rmtree(folder, ignore_errors=True)
    made = {check.name for check in result.checks}
    for name in STANDARD:
        if name in row.without:
            it.record(name, "none", row.without[name])
        elif name not in made:
            it.record(name, "failed", "the row did not check this")
    return result


def _told(error):
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/rows/" in frame.filename]
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno}: {frames[-1].line})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
