"""What every gateway is asked: that nothing passes which Jobpass does not let through, and that what passes arrives as it was sent."""

import hashlib

import behind
from world import basic, quoted

IDENTITY = ["Project", "Project-Id", "Pipeline-Id", "Job-Id", "Token-Id", "Subject", "Ref", "Protected", "Permissions", "Would-Deny"]
# Every spelling in which the service behind might take a client's own for them.
FORGED = [(mix, "forged") for name in [*IDENTITY, "Reason"] for mix in behind.mixes(f"Jobpass-{name}")]
# A proxy removes what a client's Connection names (RFC 9110, section 7.6.1).
CONNECTION = ", ".join(["keep-alive", *[f"Jobpass-{name}" for name in IDENTITY]])


def gateway(it, start, forward_auth=behind.BY_HEADERS, websockets=False):
    """All checks of a gateway. `start(values)` starts it with these values in place of those in its files. `websockets`: whether they pass."""
    service = it.world.new_service("gateway", forward_auth=forward_auth)
    jobpass = it.world.url.removeprefix("http://")
    with behind.service_behind() as reached:
        port = it.free_port()
        start(behind.values(port, jobpass, reached.port, service))
        asked = _Asked(it, port, reached)
        asked.all()
        if websockets:
            with it.check("websocket"):
                asked.websocket()
        with it.check("jobpass away"):
            # Nothing listens there: whatever the gateway makes of it, it is no yes.
            lonely = it.free_port()
            start(behind.values(lonely, f"127.0.0.1:{it.free_port()}", reached.port, service))
            reply = behind.send(lonely, "GET", "/api/v4/projects/x/packages", [("Authorization", f"Bearer {it.world.allowed().text}")])
            assert reply.status >= 400 and not reached.take(), reply


class _Asked:
    def __init__(self, it, port, reached):
        self.it, self.port, self.reached, self.world = it, port, reached, it.world
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
            ("hop by hop", self.hop_by_hop),
            ("smuggled", self.smuggled),
            ("paths", self.paths),
            ("public", self.public),
        ]:
            with it.check(name):
                self.reached.take()
                check()

    def send(self, method, target, token=None, headers=(), body=None):
        bearer = [("Authorization", f"Bearer {token.text}")] if token else []
        return behind.send(self.port, method, target, [*bearer, *headers], body)

    def refused(self, reply, status):
        assert reply.status == status, (reply.status, reply.body[:300])
        assert reply.headers["X-Behind"] is None and not self.reached.take(), "it reached the service"

    def passed(self, reply, status=201):
        assert reply.status == status, (reply.status, reply.body[:300], dict(reply.headers))
        (seen,) = self.reached.take()
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
        forged = [*FORGED, *[(name.upper(), value) for name, value in FORGED], ("X-Jobpass-Service", "forged")]
        seen = self.passed(self.send("GET", self.npm, token, forged))
        assert not [header for header in seen.headers if "forged" in header[1]], seen
        told = {name: [value for value in seen.values(f"Jobpass-{name}") if value] for name in IDENTITY}
        assert told["Project"] == [self.world.source] and told["Ref"] == ["zweig/%C3%BC%2C1"], told
        assert told["Protected"] == ["false"] and told["Permissions"] == ["packages:read"] and told["Would-Deny"] == [], told
        assert told["Token-Id"] == [token.id] and told["Job-Id"] == [token.job] and told["Pipeline-Id"] == [token.pipeline], told
        assert len(told["Subject"]) == len(told["Project-Id"]) == 1, told
        assert not seen.values("x-jobpass-service"), "the gateway's own secret went on"

    def hop_by_hop(self):
        token = self.world.allowed()
        one_each = [[f"keep-alive, Jobpass-{name}"] for name in IDENTITY]
        gateways_own = [["X-Jobpass-Service"], ["X-Forwarded-Method, X-Forwarded-Uri"]]
        all_at_once = [[CONNECTION], ["keep-alive", CONNECTION.upper()], [f"close, {CONNECTION}"]]
        for connection in [*one_each, *gateways_own, *all_at_once]:
            reply = self.send("GET", self.npm, token, [("Connection", value) for value in connection])
            if reply.status == 400 and connection not in one_each:
                # Envoy takes no request that names so many, or what it sets itself.
                self.refused(reply, 400)
                continue
            seen = self.passed(reply)
            told = {name: seen.values(f"Jobpass-{name}") for name in ["Project", "Ref", "Protected", "Token-Id", "Job-Id"]}
            assert list(told.values()) == [[self.world.source], ["main"], ["true"], [token.id], [token.job]], (connection, seen)
            assert len(seen.values("Jobpass-Subject")) == len(seen.values("Jobpass-Project-Id")) == 1, (connection, seen)
            assert "jobpass" not in ",".join(seen.values("Connection")).lower(), "the next proxy would remove them"

    def websocket(self):
        token = self.world.allowed()
        upgrade = [("Connection", f"Upgrade, {CONNECTION}"), ("Upgrade", "websocket")]
        upgrade += [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13")]
        reply = self.send("GET", self.npm, token, upgrade)
        assert reply.status == 101 and reply.headers["Upgrade"] == "websocket", (reply.status, dict(reply.headers))
        (seen,) = self.reached.take()
        assert seen.values("Jobpass-Project") == [self.world.source], seen
        self.refused(self.send("GET", self.npm, self.world.denied(), upgrade), 403)

    def smuggled(self):
        token = self.world.allowed()
        other = f"{self.packages}/7"
        for method, path in [("X-Forwarded-Method", "X-Forwarded-Uri"), ("X-Original-Method", "X-Original-URI"),
                             ("X_Forwarded_Method", "X_Forwarded_Uri"), ("X-HTTP-Method-Override", "X-Envoy-Original-Path")]:
            forged = [(method, "GET"), (path, self.npm)]
            self.refused(self.send("DELETE", other, token, forged), 403)
            self.refused(self.send("DELETE", other, token, [*forged, *forged]), 403)
        # What the service behind might take for a method or a path ends here.
        overriding = [(name, "DELETE") for name in behind.OVERRIDING]
        seen = self.passed(self.send("PUT", self.npm, token, overriding))
        assert not [name for name, _ in seen.headers if name in behind.OVERRIDING], seen
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
            f"{granted}#{up}",
            f"{granted}/npm/x?y#z",
        ]:
            reply = self.send("GET", path, token)
            arrived = [seen.path for seen in self.reached.take()]
            # Refused by whoever comes first; or tidied up before it was decided, and then that is what arrives.
            tidy = reply.status == 201 and all(path == granted or path.startswith(f"{granted}/npm/") for path in arrived)
            assert (400 <= reply.status < 500 and not arrived) or (tidy and not any(odd in arrived[0] for odd in ("..", "#"))), (path, reply.status, arrived)

    def public(self):
        path = self.world.project("open", visibility="public")
        seen = self.passed(self.send("GET", f"/api/v4/projects/{quoted(path)}/packages"))
        assert not [value for value in seen.values("Jobpass-Subject") if value], seen
        self.refused(self.send("PUT", f"/api/v4/projects/{quoted(path)}/packages/npm/x"), 401)
