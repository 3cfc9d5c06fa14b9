"""Installs what nobody here wrote: Debian packages only when they are missing, PyPI into a venv and npm into a folder,
crates into a target folder, all in the cache folder. Versions are pinned where the registry keeps old ones."""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from processes import Failed, must, run

# A package whose registry is slow is not waited for longer than this.
PATIENCE = 300
# A build of what was fetched may take longer.
BUILDING = 900

_ROOT = Path(__file__).resolve().parents[2]


class Refused(Exception):
    """The registry was there, and the package could not be had."""


class Unreachable(Exception):
    """The registry itself could not be reached."""


@dataclass(frozen=True)
class Installed:
    """Where it is and which version: `path` is the venv, the folder with node_modules, or `/`."""

    version: str
    path: Path

    def on_path(self):
        """A PATH on which its own programs come first."""
        return f"{self.path / 'bin'}:{os.environ.get('PATH', '')}"

    def program(self, name):
        for folder in (self.path / "bin", self.path / "node_modules/.bin", self.path):
            if (folder / name).exists():
                return folder / name
        # Debian keeps daemons where an ordinary PATH does not look.
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
        if found is None:
            raise Refused(f"it has no program {name}")
        return Path(found)


@dataclass(frozen=True)
class Apt:
    """Debian packages; the version shown is that of the first."""

    names: tuple

    def install(self, _cache):
        missing = [name for name in self.names if _deb_version(name) is None]
        if missing:
            _apt(missing)
        return Installed(_deb_version(self.names[0]) or "?", Path("/usr"))


@dataclass(frozen=True)
class Pip:
    """Requirements of one venv, as in `PyJWT[crypto]==2.15.1`; the version shown is that of the first."""

    requirements: tuple

    def install(self, cache):
        venv = cache / "pip" / _folder_of(self.requirements)
        with _made_whole(venv) as fresh:
            if fresh:
                self._fill(venv)
        name = self.requirements[0].split("==")[0].split("[")[0]
        version = must([venv / "bin/python", "-c", f"import importlib.metadata as m; print(m.version({name!r}))"], timeout=30)
        return Installed(version.strip(), venv)

    def _fill(self, venv):
        if run([sys.executable, "-c", "import ensurepip, venv"], timeout=30).returncode != 0:
            _apt(["python3-venv"])
        must([sys.executable, "-m", "venv", venv], timeout=PATIENCE)
        _twice(
            [venv / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *self.requirements],
            ask=[venv / "bin/python", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", venv / "probe", "six"],
            registry="PyPI",
        )


@dataclass(frozen=True)
class Npm:
    """Packages of one folder, as in `jose@6.2.17`; the version shown is that of the first."""

    packages: tuple

    def install(self, cache):
        if shutil.which("npm") is None:
            _apt(["npm"])
        folder = cache / "npm" / _folder_of(self.packages)
        with _made_whole(folder) as fresh:
            if fresh:
                folder.mkdir(parents=True)
                (folder / "package.json").write_text("{}")
                quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
                _twice(
                    ["npm", "install", "--prefix", folder, *quiet, *self.packages],
                    ask=["npm", "view", "npm", "version"],
                    registry="npm's registry",
                )
        name = self.packages[0].rpartition("@")[0]
        version = json.loads((folder / "node_modules" / name / "package.json").read_text())["version"]
        return Installed(version, folder)


@dataclass(frozen=True)
class Here:
    """A Rust tool, which this project cannot be built without, as it is used for that."""

    tool: str

    def install(self, _cache):
        found = run(["rustup", "which", self.tool], timeout=30, cwd=_ROOT) if shutil.which("rustup") else None
        path = found.stdout.strip() if found and found.returncode == 0 else shutil.which(self.tool)
        if path is None:
            raise Refused(f"there is no {self.tool} here")
        return Installed(must([path, "--version"], timeout=30).split()[1], Path(path).parent.parent)


@dataclass(frozen=True)
class Crates:
    """The drivers in Rust, built; the version shown is that of this crate in their Cargo.lock."""

    name: str

    def install(self, cache):
        workspace = Path(__file__).resolve().parent / "rust"
        target = cache / "cargo"
        _twice(
            ["cargo", "build", "--locked", "--quiet", "--manifest-path", workspace / "Cargo.toml", "--target-dir", target],
            ask=["cargo", "search", "--quiet", "--limit", "1", "serde"],
            registry="crates.io",
            patience=BUILDING,
        )
        known = tomllib.loads((workspace / "Cargo.lock").read_text())["package"]
        version = next(package["version"] for package in known if package["name"] == self.name)
        return Installed(version, target / "debug")


def apt(*names):
    return Apt(names)


def pip(*requirements):
    return Pip(requirements)


def npm(*packages):
    return Npm(packages)


def here(tool):
    return Here(tool)


def crates(name):
    return Crates(name)


def _folder_of(texts):
    first = "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in texts[0])
    return f"{first}-{hashlib.sha256(' '.join(texts).encode()).hexdigest()[:8]}"


@contextlib.contextmanager
def _made_whole(folder):
    """True when the folder is to be filled; one that was not filled to the end does not stay."""
    done = folder / ".whole"
    if done.exists():
        yield False
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield True
        done.touch()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _twice(command, *, ask, registry, patience=PATIENCE):
    """Installs; a failure is tried once more, and then the registry is asked for what it surely has."""
    for _ in range(2):
        try:
            must(command, timeout=patience)
            return
        except Failed as failed:
            failure = failed
    try:
        must(ask, timeout=60)
    except Failed:
        raise Unreachable(f"{registry} cannot be reached from here") from None
    raise Refused(str(failure))


def _deb_version(name):
    if shutil.which("dpkg-query") is None:
        return None
    done = run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", name], timeout=30)
    return done.stdout[3:].strip() if done.returncode == 0 and done.stdout.startswith("ii") else None


def _apt(names):
    """Installs with apt-get, starting none of the services that come with the packages."""
    if shutil.which("apt-get") is None:
        raise Refused("it comes from Debian, and there is no apt-get here")
    _apt_update()
    with _no_services():
        done = run([*_as_root(), "apt-get", *_APT, "install", "-y", "--no-install-recommends", *names], timeout=PATIENCE)
    if done.returncode == 0:
        return
    raise _apt_failure(done.stderr)


# Another apt may be at work on the same machine.
_APT = ("-o", "DPkg::Lock::Timeout=240", "-o", "Acquire::Retries=2", "-qq")


@functools.cache
def _apt_update():
    done = run([*_as_root(), "apt-get", *_APT, "update"], timeout=PATIENCE)
    if done.returncode != 0 or "Failed to fetch" in done.stderr:
        raise _apt_failure(done.stderr)


def _apt_failure(said):
    """A mirror that is away is told apart from whatever else may be wrong, which is never excused."""
    away = ("Failed to fetch", "Temporary failure", "Could not resolve", "Could not connect", "Connection timed out")
    if any(sign in said for sign in away):
        return Unreachable("Debian's mirror cannot be reached from here")
    return Refused(said.strip()[-500:])


def _as_root():
    env = ["env", "DEBIAN_FRONTEND=noninteractive"]
    # `sudo -n` never asks: a hidden question would look like a hang.
    return env if os.geteuid() == 0 else ["sudo", "-n", *env]


@contextlib.contextmanager
def _no_services():
    """Debian starts a daemon with its package unless this file says no (its policy, section 9.3.3.1)."""
    policy = Path("/usr/sbin/policy-rc.d")
    ours = os.geteuid() == 0 and not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            policy.unlink()
