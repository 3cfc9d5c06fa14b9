"""What stands behind a gateway and remembers what reached it; and a gateway's files of deploy/gateways, as they lie there."""

import base64
import contextlib
import hashlib
import http.client
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2] / "deploy/gateways"

BY_HEADERS = {"source": "headers", "method_header": "X-Forwarded-Method", "path_header": "X-Forwarded-Uri"}
BY_REQUEST = {"source": "request"}


def mixes(name):
    """A header's name with `_` for none, some or all of its `-`: CGI and WSGI read all of them as one."""
    first, *rest = name.split("-")
    written = [first]
    for part in rest:
        written = [f"{before}{between}{part}" for before in written for between in "-_"]
    return written


# By these some frameworks would do something else than the request line says.
OVERRIDING = ["x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url"]
OVERRIDING = [mix for name in OVERRIDING for mix in mixes(name)]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived: headers as (lower-case name, value), in order."""

    method: str
    path: str
    headers: list
    digest: str

    def values(self, name):
        return [value for header, value in self.headers if header == name.lower()]


class Handler(BaseHTTPRequestHandler):
    """Reads the whole body, tells the server what arrived, and leaves the answer to `answer(body)`."""

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

    def _handle(self):
        body = self._body()
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        self.server.seen.append(Seen(self.command, self.path, headers, hashlib.sha256(body).hexdigest()))
        self.answer(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _handle

    def reply(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class _Echo(Handler):
    def answer(self, body):
        headers = {"X-Behind": "yes", "Content-Type": "application/x-behind"}
        if upgrade := self.headers.get("Upgrade"):
            self.close_connection = True
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", upgrade)
            # RFC 6455, section 4.2.2: a gateway may look whether it was understood.
            understood = self.headers.get("Sec-WebSocket-Key", "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(understood.encode()).digest()).decode())
            return self.end_headers()
        if "teapot" in self.path:
            self.reply(418, b"short and stout", headers)
        else:
            self.reply(201, hashlib.sha256(body).hexdigest().encode(), headers)


class Behind(ThreadingHTTPServer):
    """A service that asks nobody, and remembers what reached it."""

    daemon_threads = True

    def __init__(self, handler, root):
        super().__init__(("127.0.0.1", 0), handler)
        self.seen = []
        # For stand-ins that keep what they are given.
        self.root, self.uploaded = root, {}
        self.port = self.server_address[1]

    def handle_error(self, *_):
        """A connection that the gateway dropped is no news."""

    def take(self):
        """What reached it since the last time."""
        seen, self.seen = self.seen, []
        return seen


@contextlib.contextmanager
def service_behind(handler=_Echo, root=None):
    behind = Behind(handler, root)
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
