"""Authlib shows another CI's ID token, as an assertion (RFC 7523) and as a subject token (RFC 8693)."""

from another_ci import sign
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from checks import asked, check, refused, scopes

URL, CI = asked["url"], asked["ci"]
ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


def id_token(jti, **claims):
    return sign(asked["folder"], CI, URL, jti, **claims)


def fetch(**form):
    # Without a secret of its own: the client is the trust rule.
    session = OAuth2Session(asked["rule"], token_endpoint_auth_method="none", default_timeout=20)
    return session.fetch_token(f"{URL}/oauth/token", **form)


def by_assertion(token, **more):
    return fetch(grant_type=ASSERTION, assertion=token, **more)


def introspect(token):
    service = asked["service"]
    session = OAuth2Session(service["client_id"], service["client_secret"])
    return session.introspect_token(f"{URL}/oauth/introspect", token=token, body=f"project={asked['project']}").json()


with check("allowed"):
    token = by_assertion(id_token("a"))
    assert token["token_type"] == "Bearer" and token["expires_in"] == 3900
    answer = introspect(token["access_token"])
    assert answer["active"] is True and answer["client_id"] == asked["rule"] and answer["protected"] is True
    assert "packages:read" in scopes(answer)
with check("denied"):
    with refused(OAuthError, lambda error: error.error == "invalid_grant"):
        by_assertion(id_token("b", repository_id="43"))
    with refused(OAuthError, lambda error: error.error == "invalid_grant"):
        by_assertion(id_token("b"), project=asked["stranger"])
with check("revoked"):
    token = by_assertion(id_token("c"))["access_token"]
    session = OAuth2Session(token={"access_token": token, "token_type": "Bearer"})
    assert session.delete(f"{URL}/v1/job-tokens/self").status_code == 204
    assert introspect(token) == {"active": False}
with check("expired"):
    with refused(OAuthError, lambda error: error.error == "invalid_grant" and "expired" in error.description):
        by_assertion(id_token("d", iat=1, exp=300))
with check("once"):
    token = id_token("e")
    by_assertion(token)
    with refused(OAuthError, lambda error: error.error == "invalid_grant" and "used before" in error.description):
        by_assertion(token)
with check("exchange"):
    form = {"subject_token": id_token("f"), "subject_token_type": ID_TOKEN}
    token = fetch(grant_type=EXCHANGE, scope="packages:read", **form)
    assert token["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert scopes(introspect(token["access_token"])) == ["packages:read"]
    with refused(OAuthError, lambda error: error.error == "invalid_request"):
        fetch(grant_type=EXCHANGE, scope="packages:read", **form)
