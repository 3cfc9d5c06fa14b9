"""The server under test: the real binary on a free port of loopback, beside the throw-away PostgreSQL that make started."""

import os
import re
import time

from processes import Daemon, Failed, must


def self_signed(it, *extensions):
    """A certificate for loopback that vouches for itself, and its key: two files in the row's folder."""
    certificate, key = it.folder / "cert.pem", it.folder / "key.pem"
    made = ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    more = [word for extension in extensions for word in ("-addext", extension)]
    must(["openssl", "req", "-x509", *curve, *made, *more, "-keyout", key, "-out", certificate], timeout=30)
    return certificate, key


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
        self._env = {"DATABASE_URL": database, "JOBPASS_DATA_DIR": str(folder / "data")}
        self.version = must([binary, "--version"], timeout=10).split()[-1]
        self.daemon = Daemon([binary, "serve", "--listen", "127.0.0.1:0"], log=folder / "jobpass.log", env=self._env)
        try:
            self.url = self._listening()
            self.issuer = self.url
            self.admin = must([binary, "bootstrap-admin"], env=self._env, timeout=30).strip()
        except BaseException:
            self.stop()
            raise

    def replica(self, it, *arguments):
        """A second server on this one's database, with settings of its own, for as long as the row: where it answers."""
        port = it.free_port()
        it.start([self.binary, "serve", "--listen", f"127.0.0.1:{port}", *arguments], port=port, env=self._env)
        return f"127.0.0.1:{port}"

    def over_tls(self, it):
        """One whose listener speaks TLS: where it answers, and the certificate to trust."""
        certificate, key = self_signed(it)
        return self.replica(it, "--tls-cert-file", certificate, "--tls-key-file", key), certificate

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
