"""What drivers in Python share: what was asked, and one line for each check."""

import contextlib
import json
import sys
import time
import traceback
import urllib.error
import urllib.request

asked = json.load(sys.stdin)


@contextlib.contextmanager
def check(name):
    began = time.monotonic()
    told = {"check": name, "ok": True}
    try:
        yield
    except Exception:
        told = {"check": name, "ok": False, "detail": traceback.format_exc()[-1500:]}
    print(json.dumps({**told, "seconds": time.monotonic() - began}), flush=True)


@contextlib.contextmanager
def refused(kind, sees=lambda error: True):
    try:
        yield
    except kind as error:
        assert sees(error), f"refused, but otherwise: {error!r}"
        return
    raise AssertionError("it was not refused")


def scopes(answer):
    return answer.get("scope", "").split()


def the_four(introspect):
    """The checks of every row, by whatever asks Jobpass about a token."""
    with check("allowed"):
        answer = introspect(asked["allowed"])
        assert answer["active"] is True and "packages:read" in scopes(answer)
    with check("denied"):
        answer = introspect(asked["denied"])
        assert answer["active"] is True and scopes(answer) == []
    for dead in ("revoked", "expired"):
        with check(dead):
            assert introspect(asked[dead]) == {"active": False}


def register(client, keys):
    """The public keys of `runners/{id}` or `services/{id}`."""
    headers = {"Authorization": f"Bearer {asked['admin']}", "Content-Type": "application/json", "If-Match": "*"}
    url = f"{asked['url']}/v1/{client}/jwks"
    request = urllib.request.Request(url, json.dumps({"keys": keys}).encode(), headers, method="PUT")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as answer:
        assert answer.status == 200


def is_runner(token):
    """Whether a runner's token opens what runners open: there is no such job, but who asks is known."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    url = f"{asked['url']}/v1/jobs/00000000-0000-7000-8000-000000000000/heartbeat"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(urllib.request.Request(url, b"{}", headers), timeout=20).close()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code == 404
    raise AssertionError("there is such a job")
