"""Small services behind a gateway, for clients that publish: they ask nobody, and do just what the client needs to be content."""

import gzip
import hashlib
import json
import os
import struct
import subprocess
from urllib.parse import unquote, urlsplit

from behind import Handler


class Git(Handler):
    """Git's own `http-backend`, on the repositories under `server.root`."""

    def answer(self, body):
        url = urlsplit(self.path)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        env = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(url.path),
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            # Who pushes: whoever the gateway says.
            "REMOTE_USER": self.headers.get("Jobpass-Subject", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, timeout=30, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        self.reply(status, content, headers)


class Pypi(Handler):
    """Takes uploads, and has a simple index of what it took."""

    def answer(self, body):
        if self.command == "POST":
            name = body.partition(b'filename="')[2].partition(b'"')[0].decode()
            self.server.uploaded[name] = _part(body, b'name="content"')
            return self.reply(200, b"")
        name = self.path.rpartition("/")[2]
        if name in self.server.uploaded:
            return self.reply(200, self.server.uploaded[name])
        links = "".join(f'<a href="/files/{name}">{name}</a>' for name in self.server.uploaded)
        return self.reply(200, links.encode(), {"Content-Type": "text/html"})


class NpmRegistry(Handler):
    """Takes what `npm publish` sends: a document with the tarball in it."""

    def answer(self, body):
        if self.command != "PUT":
            return self.reply(404, b"{}", {"Content-Type": "application/json"})
        package = json.loads(body)
        self.server.uploaded[package["name"]] = package
        return self.reply(200, b"{}", {"Content-Type": "application/json"})


class Cargo(Handler):
    """A sparse registry: an index with one file a crate, and an API that takes crates."""

    def answer(self, body):
        if self.path == "/config.json":
            # As the client sees it: through the gateway.
            here = f"http://{self.headers['Host']}"
            config = {"dl": f"{here}/api/v1/crates", "api": here, "auth-required": True}
            return self.reply(200, json.dumps(config).encode())
        if self.command == "PUT" and self.path == "/api/v1/crates/new":
            (length,) = struct.unpack("<I", body[:4])
            meta, rest = json.loads(body[4 : 4 + length]), body[4 + length :]
            checksum = hashlib.sha256(rest[4:]).hexdigest()
            line = {"name": meta["name"], "vers": meta["vers"], "deps": [], "cksum": checksum, "features": {}, "yanked": False}
            self.server.uploaded[meta["name"]] = line
            return self.reply(200, b'{"warnings":{"invalid_categories":[],"invalid_badges":[],"other":[]}}')
        line = self.server.uploaded.get(self.path.rpartition("/")[2])
        return self.reply(200, json.dumps(line).encode()) if line else self.reply(404, b"")


def _part(body, name):
    """The content of one part of a multipart body."""
    boundary = body.partition(b"\r\n")[0]
    (part,) = [part for part in body.split(boundary) if name in part.partition(b"\r\n\r\n")[0]]
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
