"""Other programs: run to their end or kept running, always with a time limit, and ended by their own process group."""

import contextlib
import os
import signal
import socket
import subprocess
import time


class Failed(Exception):
    """A program that ended badly, or took too long."""


def run(command, *, timeout, cwd=None, env=None, stdin=None):
    """What it wrote to standard output and standard error, together with its exit code."""
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"{command[0]} took longer than {timeout} s") from None
    finally:
        # The whole group, so that nothing that it started outlives it.
        _signal_group(process, signal.SIGKILL)
        process.wait()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def must(command, **options):
    """Like `run`, but a bad end is an exception that tells the end of what it said."""
    done = run(command, **options)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise Failed(f"{command[0]} ended with {done.returncode}: {said}")
    return done.stdout


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    """A program that stays until `stop`; its log is a file."""

    def __init__(self, command, *, log, cwd=None, env=None):
        self.log = log
        self.command = [str(word) for word in command]
        with open(log, "wb") as sink:
            self.process = subprocess.Popen(
                self.command,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for_port(self, port, timeout=20):
        """Returns once something listens there; fails when the program ends or takes too long."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.closing(socket.socket()) as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise Failed(f"{self.command[0]} does not listen on {port}: {self.said()}")

    def said(self):
        with open(self.log, errors="replace") as log:
            return log.read()[-2000:].strip()

    def stop(self, patience=10):
        _signal_group(self.process, signal.SIGTERM)
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _signal_group(self.process, signal.SIGKILL)
            self.process.wait()


def _signal_group(process, what):
    # It leads its own group, whose number stays taken while a member lives.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, what)
