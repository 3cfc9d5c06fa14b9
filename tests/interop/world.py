"""What a row works with: a group, projects, a runner, a service and a grant of its own, made over REST."""

import base64
import itertools
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone


@dataclass(frozen=True)
class Answer:
    status: int
    headers: object
    body: bytes

    def json(self):
        return json.loads(self.body)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


# No proxy of the environment: everything here is on loopback.
_opener = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))


def http(method, url, *, headers=None, body=None, timeout=20):
    """One request, whatever the status."""
    request = urllib.request.Request(url, method=method, data=body, headers=headers or {})
    try:
        with _opener.open(request, timeout=timeout) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return Answer(refused.code, refused.headers, refused.read())


@dataclass(frozen=True)
class Token:
    """A job token, and what it belongs to."""

    text: str
    id: str
    job: str
    pipeline: str
    expires_at: float


class World:
    """Everything lies under the group `<row>`: jobs of `web` may read and create packages and repositories of `lib`, jobs of
    `other` may nothing."""

    GRANTED = ["packages:read", "packages:create", "repositories:read", "repositories:create"]

    def __init__(self, server, name):
        self.server = server
        self.url = server.url
        self.issuer = server.issuer
        self.admin = server.admin
        self.binary = server.binary
        self._keys = itertools.count(1)
        self.group = name
        self.rest("POST", "/v1/groups", {"path": name})
        self.source = self.project("web")
        self.target = self.project("lib")
        self.stranger = self.project("other")
        self.grant(self.source, self.target, self.GRANTED)
        self.runner = self.rest("POST", "/v1/runners", {"name": name, "protected": True})
        self.service = self.new_service(name)

    # Making

    def rest(self, method, path, body=None, *, token=None, expect=(200, 201, 204), headers=None):
        """One call of the API, as the administrator unless told otherwise; another status is an error."""
        sent = {"Authorization": f"Bearer {token or self.admin}", "Content-Type": "application/json", **(headers or {})}
        answer = http(method, self.url + path, headers=sent, body=json.dumps(body).encode() if body is not None else None)
        if answer.status not in expect:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.body.decode(errors='replace')[:1000]}")
        return answer.json() if answer.body else None

    def rest_text(self, method, path, text, content_type):
        """One call of the API, as the administrator, with a body that is no JSON."""
        sent = {"Authorization": f"Bearer {self.admin}", "Content-Type": content_type}
        answer = http(method, self.url + path, headers=sent, body=text.encode())
        assert answer.status in (200, 201), (answer.status, answer.body)

    def project(self, name, **facts):
        path = f"{self.group}/{name}"
        self.rest("POST", "/v1/projects", {"path": path, **facts})
        return path

    def grant(self, source, target, permissions, **facts):
        body = {"source": {"project": source}, "permissions": permissions, **facts}
        return self.rest("POST", f"/v1/projects/{quoted(target)}/grants", body)

    def new_service(self, name, **facts):
        """`client_id` and `client_secret`; for all resource types and projects unless told otherwise."""
        return self.rest("POST", "/v1/services", {"name": name, **facts})

    def mint(self, project=None, *, ref="main", **facts):
        key = str(next(self._keys))
        body = {
            "project": project or self.source,
            "pipeline": {"key": key, "ref": ref, "ref_type": "branch", "sha": "c0ffee", "trigger": "push"},
            "job": {"key": f"{key}/build", "name": "build", "timeout_secs": 3600},
            **facts,
        }
        return _token(self.rest("POST", "/v1/job-tokens", body, token=self.runner["token"]))

    # The four tokens that every row shows

    def allowed(self):
        return self.mint()

    def denied(self):
        """A live token that nothing was granted to."""
        return self.mint(self.stranger)

    def revoked(self):
        token = self.mint()
        self.revoke(token)
        return token

    def expired(self):
        """A token that has really expired: narrowed from a live one to two seconds, and waited for."""
        token = self.expiring(2)
        self.wait_for_end(token)
        return token

    # Ending

    def expiring(self, seconds):
        """A live token that expires so many seconds from now."""
        end = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        body = {"expires_at": end.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        return _token(self.rest("POST", "/v1/job-tokens/narrow", body, token=self.mint().text))

    def wait_for_end(self, token):
        # Its life is counted by the database's clock, which is this machine's.
        time.sleep(max(0, token.expires_at - time.time()) + 0.3)

    def revoke(self, token):
        self.rest("DELETE", f"/v1/job-tokens/{token.id}")

    def finish(self, token):
        self.rest("POST", f"/v1/jobs/{token.job}/finish", {}, token=self.runner["token"])


def _token(answer):
    end = datetime.fromisoformat(answer["expires_at"].replace("Z", "+00:00"))
    return Token(answer["token"], answer["id"], answer["job_id"], answer["pipeline_id"], end.timestamp())


def quoted(path):
    """A path as one segment of a URL."""
    return urllib.parse.quote(path, safe="")


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
