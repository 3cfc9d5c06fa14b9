"""curl, by hand: the shortest row, and the one to copy from."""

import json

from packages import apt
from row import row


@row("curl", apt("curl"))
def curl(it):
    world = it.world
    service = world.service

    def introspect(token, secret=service["client_secret"]):
        done = it.run(
            ["curl", "-sS", "--max-time", "10", "-w", "\n%{http_code}", "-u", f"{service['client_id']}:{secret}"]
            + ["-d", f"token={token.text}", "-d", f"project={world.target}", f"{world.url}/oauth/introspect"]
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(body)

    with it.check("allowed"):
        status, answer = introspect(world.allowed())
        assert status == 200 and answer["active"] is True
        assert "packages:read" in answer["scope"].split()
    with it.check("denied"):
        status, answer = introspect(world.denied())
        assert status == 200 and answer["scope"] == ""
    with it.check("revoked"):
        assert introspect(world.revoked()) == (200, {"active": False})
    with it.check("expired"):
        assert introspect(world.expired()) == (200, {"active": False})
    with it.check("wrong secret"):
        status, answer = introspect(world.allowed(), "jps_nobody")
        assert status == 401 and answer["error"] == "invalid_client"
