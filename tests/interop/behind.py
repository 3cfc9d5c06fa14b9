"""What stands behind a gateway, and what every gateway is asked: that nothing passes which Jobpass does not let through, and
that what passes arrives as it was sent."""

import contextlib
import hashlib
import http.client
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from world import basic, quoted

DEPLOY = Path(__file__).resolve().parents[2] / "deploy/gateways"

BY_HEADERS = {"source": "headers", "method_header": "X-Forwarded-Method", "path_header": "X-Forwarded-Uri"}
BY_REQUEST = {"source": "request"}

IDENTITY = ["Project", "Project-Id", "Pipeline-Id", "Job-Id", "Token-Id", "Subject", "Ref", "Protected", "Permissions", "Would-Deny"]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived: headers as (lower-case name, value), in order."""

    method: str
    path: str
    headers: list
    digest: str

    def values(self, name):
        return [value for header, value in self.headers if header == name.lower()]


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            whole = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return whole
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self):
        digest = hashlib.sha256(self._body()).hexdigest()
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        self.server.seen.append(Seen(self.command, self.path, headers, digest))
        status, body = (418, b"short and stout") if "teapot" in self.path else (201, digest.encode())
        self.send_response(status)
        self.send_header("X-Behind", "yes")
        self.send_header("Content-Type", "application/x-behind")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def log_message(self, *_):
        pass


class Behind(ThreadingHTTPServer):
    """A service that asks nobody, and remembers what reached it."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Echo)
        self.seen = []
        self.port = self.server_address[1]

    def handle_error(self, *_):
        """A connection that the gateway dropped is no news."""

    def take(self):
        """What reached it since the last time."""
        seen, self.seen = self.seen, []
        return seen


@contextlib.contextmanager
def service_behind():
    behind = Behind()
    thread = threading.Thread(target=behind.serve_forever, daemon=True)
    thread.start()
    try:
        yield behind
    finally:
        behind.shutdown()
        behind.server_close()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: object
    body: bytes


def send(port, method, target, headers=(), body=None):
    """One request as it is: no path is tidied up, and a header may come twice."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def configuration(it, name, values):
    """A file of deploy/gateways as it lies there, but for these values, in the row's own folder."""
    text = (DEPLOY / name).read_text()
    for value, here in values.items():
        if value not in text:
            raise AssertionError(f"{name} has no {value}")
        text = text.replace(value, str(here))
    file = it.folder / name
    file.write_text(text)
    return file


def values(port, jobpass, behind_port, service):
    return {
        "127.0.0.1:8080": f"127.0.0.1:{port}",
        "127.0.0.1:8787": jobpass,
        "127.0.0.1:9000": f"127.0.0.1:{behind_port}",
        "CLIENT_ID": service["client_id"],
        "CLIENT_SECRET": service["client_secret"],
    }


def apart(values):
    """For files that write address and port apart."""
    ports = {key: value for key, value in values.items() if ":" in key}
    written = {f"port_value: {key.rpartition(':')[2]}": f"port_value: {value.rpartition(':')[2]}" for key, value in ports.items()}
    return {**written, **{key: value for key, value in values.items() if key not in ports}}


def gateway(it, start, forward_auth=BY_HEADERS):
    """All checks of a gateway. `start(values)` starts it with these values in place of those in its files."""
    service = it.world.new_service("gateway", forward_auth=forward_auth)
    jobpass = it.world.url.removeprefix("http://")
    with service_behind() as behind:
        port = it.free_port()
        start(values(port, jobpass, behind.port, service))
        _Asked(it, port, behind).all()
        with it.check("jobpass away"):
            # Nothing listens there: whatever the gateway makes of it, it is no yes.
            lonely = it.free_port()
            start(values(lonely, f"127.0.0.1:{it.free_port()}", behind.port, service))
            reply = send(lonely, "GET", "/api/v4/projects/x/packages", [("Authorization", f"Bearer {it.world.allowed().text}")])
            assert reply.status >= 400 and not behind.take(), reply


class _Asked:
    def __init__(self, it, port, behind):
        self.it, self.port, self.behind, self.world = it, port, behind, it.world
        self.packages = f"/api/v4/projects/{quoted(self.world.target)}/packages"
        self.npm = f"{self.packages}/npm/@acme%2Fui"

    def all(self):
        it = self.it
        for name, check in [
            ("allowed", self.allowed),
            ("denied", self.denied),
            ("revoked", self.revoked),
            ("expired", self.expired),
            ("challenge", self.challenge),
            ("untouched", self.untouched),
            ("identity", self.identity),
            ("smuggled", self.smuggled),
            ("paths", self.paths),
            ("public", self.public),
        ]:
            with it.check(name):
                self.behind.take()
                check()

    def send(self, method, target, token=None, headers=(), body=None):
        bearer = [("Authorization", f"Bearer {token.text}")] if token else []
        return send(self.port, method, target, [*bearer, *headers], body)

    def refused(self, reply, status):
        assert reply.status == status, (reply.status, reply.body[:300])
        assert reply.headers["X-Behind"] is None and not self.behind.take(), "it reached the service"

    def passed(self, reply, status=201):
        assert reply.status == status, (reply.status, reply.body[:300], dict(reply.headers))
        (seen,) = self.behind.take()
        return seen

    def allowed(self):
        token = self.world.allowed()
        for method in ["GET", "HEAD", "PUT"]:
            seen = self.passed(self.send(method, self.npm, token))
            assert (seen.method, seen.path) == (method, self.npm), seen
        for header in [
            ("Authorization", basic("__token__", token.text)),
            ("Authorization", token.text),
            ("JOB-TOKEN", token.text),
            ("PRIVATE-TOKEN", token.text),
        ]:
            seen = self.passed(self.send("GET", self.npm, headers=[header]))
            assert not any(token.text in value for _, value in seen.headers), f"the token went on: {seen}"

    def denied(self):
        reply = self.send("GET", self.npm, self.world.denied())
        self.refused(reply, 403)
        assert reply.headers["Jobpass-Reason"] == "no_grant", dict(reply.headers)
        assert reply.headers["Content-Type"].startswith("text/plain") and b"no_grant" in reply.body, "git would show nothing"
        self.refused(self.send("DELETE", f"{self.packages}/7", self.world.allowed()), 403)

    def revoked(self):
        self.refused(self.send("GET", self.npm, self.world.revoked()), 401)
        # One that has just passed is not remembered.
        token = self.world.allowed()
        self.passed(self.send("GET", self.npm, token))
        self.world.revoke(token)
        self.refused(self.send("GET", self.npm, token), 401)
        token = self.world.allowed()
        self.passed(self.send("PUT", self.npm, token, body=b"x"))
        self.world.finish(token)
        self.refused(self.send("PUT", self.npm, token, body=b"x"), 401)

    def expired(self):
        self.refused(self.send("GET", self.npm, self.world.expired()), 401)

    def challenge(self):
        reply = self.send("GET", self.npm)
        self.refused(reply, 401)
        assert reply.headers["WWW-Authenticate"].startswith("Basic realm="), "git and pip would send no password"

    def untouched(self):
        token, body = self.world.allowed(), bytes(range(256)) * 8192
        reply = self.send("PUT", f"{self.npm}?a=%20b&c=d+e", token, [("X-Mine", "as it is"), ("Content-Type", "x/y")], body)
        seen = self.passed(reply)
        assert seen.digest == hashlib.sha256(body).hexdigest() == reply.body.decode()
        assert seen.path == f"{self.npm}?a=%20b&c=d+e", seen.path
        assert seen.values("x-mine") == ["as it is"] and seen.values("content-type") == ["x/y"]
        reply = self.send("GET", f"{self.packages}/npm/teapot", token)
        self.passed(reply, 418)
        assert reply.body == b"short and stout" and reply.headers["Content-Type"] == "application/x-behind"
        # What Jobpass told the gateway is not the client's.
        assert not [name for name in reply.headers if name.lower().startswith("jobpass-")], dict(reply.headers)

    def identity(self):
        token = self.world.mint(ref="zweig/\u00fc,1")
        forged = [(f"Jobpass-{name}", "forged") for name in IDENTITY]
        forged += [(name.upper(), "forged") for name, _ in forged] + [(name.replace("-", "_"), "forged") for name, _ in forged]
        forged += [("jobpass_project", "forged"), ("Jobpass-Reason", "forged"), ("X-Jobpass-Service", "forged")]
        seen = self.passed(self.send("GET", self.npm, token, forged))
        assert not [header for header in seen.headers if "forged" in header[1]], seen
        told = {name: [value for value in seen.values(f"Jobpass-{name}") if value] for name in IDENTITY}
        assert told["Project"] == [self.world.source] and told["Ref"] == ["zweig/%C3%BC%2C1"], told
        assert told["Protected"] == ["false"] and told["Permissions"] == ["packages:read"] and told["Would-Deny"] == [], told
        assert told["Token-Id"] == [token.id] and told["Job-Id"] == [token.job] and told["Pipeline-Id"] == [token.pipeline], told
        assert len(told["Subject"]) == len(told["Project-Id"]) == 1, told
        assert not seen.values("x-jobpass-service"), "the gateway's own secret went on"

    def smuggled(self):
        token = self.world.allowed()
        other = f"{self.packages}/7"
        for method, path in [("X-Forwarded-Method", "X-Forwarded-Uri"), ("X-Original-Method", "X-Original-URI"),
                             ("X_Forwarded_Method", "X_Forwarded_Uri"), ("X-HTTP-Method-Override", "X-Envoy-Original-Path")]:
            forged = [(method, "GET"), (path, self.npm)]
            self.refused(self.send("DELETE", other, token, forged), 403)
            self.refused(self.send("DELETE", other, token, [*forged, *forged]), 403)
        # A second token does not become somebody else's first.
        denied = self.world.denied().text
        for name in ["Job-Token", "Private-Token"]:
            self.refused(self.send("GET", self.npm, token, [(name, denied)]), 403)
        self.refused(self.send("GET", f"{self.npm}?private_token={token.text}", token), 403)
        # Without its proof, or with another's, a gateway is nobody; a client cannot lend it one.
        self.refused(self.send("GET", self.npm, headers=[("X-Jobpass-Service", self.world.service["client_secret"])]), 401)

    def paths(self):
        token = self.world.allowed()
        granted, hidden = self.packages, f"/api/v4/projects/{quoted(self.world.stranger)}/packages"
        up = "/..".join(["", "", "", ""])
        for path in [
            hidden,
            f"{granted}{up}{hidden.removeprefix('/api')}",
            f"{granted}{up.replace('..', '%2e%2e')}{hidden.removeprefix('/api')}",
            f"{granted}/npm/..%2f..%2f..%2f{quoted(self.world.stranger)}",
            f"{granted}/npm/%252e%252e/x",
            f"{granted}/;/npm/x",
            f"{granted}/npm/x%5C..%5Cy",
            f"{granted}/npm/x%00",
            f"/{granted}",
            f"{granted}/",
            f"/api/v4/projects/{quoted(quoted(self.world.target))}/packages",
            f"http://127.0.0.1{hidden}",
        ]:
            reply = self.send("GET", path, token)
            arrived = [seen.path for seen in self.behind.take()]
            # Refused by whoever comes first; or tidied up before it was decided, and then that is what arrives.
            tidy = reply.status == 201 and all(path == granted or path.startswith(f"{granted}/npm/") for path in arrived)
            assert (400 <= reply.status < 500 and not arrived) or (tidy and ".." not in arrived[0]), (path, reply.status, arrived)

    def public(self):
        path = self.world.project("open", visibility="public")
        seen = self.passed(self.send("GET", f"/api/v4/projects/{quoted(path)}/packages"))
        assert not [value for value in seen.values("Jobpass-Subject") if value], seen
        self.refused(self.send("PUT", f"/api/v4/projects/{quoted(path)}/packages/npm/x"), 401)
