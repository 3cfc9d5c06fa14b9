"""requests-oauthlib, with a client of oauthlib for the grant that it does not know by itself."""

import os

from checks import asked, check, refused, scopes, the_four

ISSUER = asked["issuer"]
if ISSUER.startswith("http:"):
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

from oauthlib.oauth2 import Client, OAuth2Error  # noqa: E402
from oauthlib.oauth2.rfc6749.parameters import prepare_token_request  # noqa: E402
from requests_oauthlib import OAuth2Session  # noqa: E402

SERVICE, RUNNER = asked["service"], asked["runner"]


class Exchange(Client):
    """RFC 8693, as oauthlib has its users add grants."""

    grant_type = "urn:ietf:params:oauth:grant-type:token-exchange"

    def prepare_request_body(self, body="", **parameters):
        return prepare_token_request(self.grant_type, body=body, **parameters)


def post(path, form, **more):
    return OAuth2Session(SERVICE["client_id"]).post(f"{ISSUER}{path}", data=form, timeout=20, **more)


def basic(client):
    return (client["client_id"], client["client_secret"])


def introspect(token):
    answer = post("/oauth/introspect", {"token": token, "project": asked["project"]}, auth=basic(SERVICE), withhold_token=True)
    assert answer.status_code == 200
    return answer.json()


the_four(introspect)
with check("Bearer"):
    # The session's own way of using a token: as a service, and as a job that asks who it is.
    service = OAuth2Session(token={"access_token": SERVICE["client_secret"], "token_type": "Bearer"})
    form = {"token": asked["allowed"], "project": asked["project"]}
    assert service.post(f"{ISSUER}/oauth/introspect", data=form, timeout=20).json()["active"] is True
    for token, status in ((asked["allowed"], 200), (asked["revoked"], 401), (asked["expired"], 401)):
        job = OAuth2Session(token={"access_token": token, "token_type": "Bearer"})
        assert job.get(f"{ISSUER}/v1/job-tokens/self", timeout=20).status_code == status
with check("client_secret_post"):
    form = {"token": asked["allowed"], "project": asked["project"], **SERVICE}
    assert post("/oauth/introspect", {name: form[name] for name in ("token", "project", "client_id", "client_secret")}).json()["active"] is True
with check("revocation"):
    assert post("/oauth/revoke", {"token": asked["spare"][0]}, auth=basic(RUNNER)).status_code == 200
    assert introspect(asked["spare"][0]) == {"active": False}


def exchange(token, **more):
    session = OAuth2Session(client=Exchange(RUNNER["client_id"]))
    return session.fetch_token(
        # A public client: without this the session sends Basic with an empty secret.
        f"{ISSUER}/oauth/token", include_client_id=True, timeout=20,
        subject_token=token, subject_token_type="urn:ietf:params:oauth:token-type:access_token", **more,
    )


with check("exchange"):
    narrow = exchange(asked["spare"][1], scope="packages:read")
    assert narrow["scope"] == ["packages:read"]
    assert scopes(introspect(narrow["access_token"])) == ["packages:read"]
    with refused(OAuth2Error, lambda error: error.error == "invalid_request"):
        exchange(asked["revoked"], scope="packages:read")
