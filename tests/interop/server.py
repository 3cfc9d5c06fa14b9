"""The server under test: the real binary on a free port of loopback, beside the throw-away PostgreSQL that make started."""

import os
import re
import time

from processes import Daemon, Failed, must


class Server:
    """`url` is where it answers, `issuer` what it calls itself, `admin` an administrator's token."""

    def __init__(self, binary, folder):
        database = os.environ.get("JOBPASS_TEST_DATABASE_URL")
        if not database:
            raise Failed("start this with `make interop`, or as scripts/with-postgres.sh tests/interop/run.py")
        self.binary = binary
        # Nothing of the caller's own settings.
        env = {name: "" for name in os.environ if name.startswith("JOBPASS_")}
        for name in env:
            os.environ.pop(name)
        self.env = {"DATABASE_URL": database, "JOBPASS_DATA_DIR": str(folder / "data")}
        self.version = must([binary, "--version"], timeout=10).split()[-1]
        self.daemon = Daemon(self.command("127.0.0.1:0"), log=folder / "jobpass.log", env=self.env)
        try:
            self.url = self._listening()
            self.issuer = self.url
            self.admin = must([binary, "bootstrap-admin"], env=self.env, timeout=30).strip()
        except BaseException:
            self.stop()
            raise

    def command(self, listen, *arguments):
        """Starts a server on the database of this one; with `env`, it is a replica."""
        return [self.binary, "serve", "--listen", listen, *arguments]

    def _listening(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.daemon.process.poll() is None:
            found = re.search(r"listening on (http://[0-9.:]+)", self.daemon.said())
            if found:
                return found.group(1)
            time.sleep(0.05)
        raise Failed(f"jobpass does not start: {self.daemon.said()}")

    def stop(self):
        self.daemon.stop(patience=30)
