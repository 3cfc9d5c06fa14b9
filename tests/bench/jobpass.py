"""The server that is measured: the release build, on the servers' core."""

import contextlib
import os
import re
import socket
import time

from machine import SERVER, pinned, rss
from processes import Daemon, Failed, free_port, must


class Jobpass:
    """A process of `jobpass serve` on a database, for as long as a `with` block."""

    def __init__(self, binary, folder, url, *arguments):
        for name in [name for name in os.environ if name.startswith("JOBPASS_")]:
            del os.environ[name]
        self.binary = binary
        self.port = free_port()
        self._env = {"DATABASE_URL": url, "JOBPASS_DATA_DIR": str(folder / "jobpass")}
        command = [str(binary), "serve", "--listen", f"127.0.0.1:{self.port}", *arguments]
        self.began = time.monotonic()
        self.daemon = Daemon(pinned(SERVER, command), log=folder / f"jobpass-{self.port}.log", env=self._env)
        try:
            self.ready_after = self._ready() - self.began
        except BaseException:
            self.stop()
            raise
        self.url = self.issuer = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def bootstrap_admin(self):
        return must([self.binary, "bootstrap-admin"], env=self._env, timeout=30).strip()

    def rss(self):
        # taskset becomes the server: it has the same number.
        return rss(self.daemon.process.pid)

    def metric(self, name):
        """The sum of a figure over its labels, as /metrics has it; `None` when it has none of that name."""
        _, body = _get(self.port, "/metrics")
        values = re.findall(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+]+)$", body, re.MULTILINE)
        return sum(map(float, values)) if values else None

    def stop(self):
        self.daemon.stop(patience=30)

    def _ready(self):
        """When /readyz first answered 200."""
        deadline = self.began + 120
        while time.monotonic() < deadline and self.daemon.process.poll() is None:
            with contextlib.suppress(OSError, ValueError, IndexError):
                status, _ = _get(self.port, "/readyz")
                if status == 200:
                    return time.monotonic()
            time.sleep(0.001)
        raise Failed(f"jobpass does not start: {self.daemon.said()}")


def _get(port, path):
    """By hand, so that asking takes no longer than it must."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := stream.recv(65536):
            answer += part
    head, _, body = answer.decode(errors="replace").partition("\r\n\r\n")
    return int(head.split()[1]), body
