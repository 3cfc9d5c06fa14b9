"""Authlib's session on requests: metadata is fetched by hand, as its documentation has it."""

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from checks import asked, check, is_runner, refused, register, scopes, the_four
from joserfc.jwk import ECKey

ISSUER = asked["issuer"]
SERVICE, RUNNER = asked["service"], asked["runner"]
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def session(client, method, **more):
    return OAuth2Session(
        client["client_id"], client["client_secret"],
        token_endpoint_auth_method=method, revocation_endpoint_auth_method=method, default_timeout=20, **more,
    )


def introspect(token, method="client_secret_basic", client=SERVICE):
    answer = session(client, method).introspect_token(
        f"{ISSUER}/oauth/introspect", token=token, token_type_hint="access_token", body=f"project={asked['project']}"
    )
    assert answer.headers["content-type"] == "application/json"
    return answer.json() | ({} if answer.status_code == 200 else {"status": answer.status_code})


with check("metadata"):
    document = session(SERVICE, "none").get(get_well_known_url(ISSUER, external=True, suffix="oauth-authorization-server"), withhold_token=True)
    metadata = AuthorizationServerMetadata(document.json())
    assert metadata["issuer"] == ISSUER
    # Authlib demands https where RFC 8414 does.
    if ISSUER.startswith("https:"):
        metadata.validate()
the_four(introspect)
with check("client_secret_post"):
    assert introspect(asked["allowed"], "client_secret_post")["active"] is True
with check("wrong secret"):
    for method in ("client_secret_basic", "client_secret_post"):
        answer = introspect(asked["allowed"], method, SERVICE | {"client_secret": "jps_nobody"})
        assert answer["status"] == 401 and answer["error"] == "invalid_client"
with check("revocation"):
    answer = session(RUNNER, "client_secret_basic").revoke_token(f"{ISSUER}/oauth/revoke", token=asked["spare"][0])
    assert answer.status_code == 200
    assert introspect(asked["spare"][0]) == {"active": False}


def exchange(token, **more):
    kind = "urn:ietf:params:oauth:token-type:access_token"
    return session(RUNNER, "none").fetch_token(
        f"{ISSUER}/oauth/token", grant_type=EXCHANGE, subject_token=token, subject_token_type=kind, **more
    )


with check("exchange"):
    narrow = exchange(asked["spare"][1], scope="packages:read")
    assert narrow["scope"] == "packages:read"
    assert scopes(introspect(narrow["access_token"])) == ["packages:read"]
    with refused(OAuthError, lambda error: error.error == "invalid_request"):
        exchange(asked["revoked"], scope="packages:read")


def signed(client, kind):
    """A session that signs with a new key of the client's."""
    key = ECKey.generate_key("P-256", {"kid": kind})
    register(f"{kind}/{client['client_id']}", [key.as_dict(private=False)])
    it = OAuth2Session(
        client["client_id"], key, token_endpoint_auth_method="private_key_jwt",
        revocation_endpoint_auth_method="private_key_jwt", default_timeout=20,
    )
    # Authlib puts the endpoint's URL into `aud` unless it is told the issuer, as RFC 7523bis wants.
    it.register_client_auth_method(PrivateKeyJWT(ISSUER, alg="ES256", headers={"kid": kind}))
    return it


with check("private_key_jwt"):
    body = f"project={asked['project']}"
    answer = signed(SERVICE, "services").introspect_token(f"{ISSUER}/oauth/introspect", token=asked["allowed"], body=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["active"] is True
with check("client_credentials"):
    runner = signed(RUNNER, "runners")
    token = runner.fetch_token(f"{ISSUER}/oauth/token", grant_type="client_credentials")
    assert is_runner(token["access_token"])
    assert runner.revoke_token(f"{ISSUER}/oauth/revoke", token=token["access_token"]).status_code == 200
    assert not is_runner(token["access_token"])
