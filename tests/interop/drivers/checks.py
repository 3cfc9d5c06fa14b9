"""What drivers in Python share: what was asked, and one line for each check."""

import contextlib
import json
import sys
import time
import traceback

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
