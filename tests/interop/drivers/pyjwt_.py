"""PyJWT signs what a client says of itself, and the request is made with the standard library."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import jwt
from checks import asked, check, register, scopes, the_four
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER, ME = asked["issuer"], asked["service"]["client_id"]
KINDS = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "PS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def new_key(algorithm):
    private = KINDS[algorithm]()
    public = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key(), as_dict=True)
    # PyJWT names the operation; neither that nor anything private belongs into a registration.
    register(f"services/{ME}", [{**public, "kid": algorithm, "alg": algorithm}])
    return private, algorithm


def assertion(key, **change):
    private, algorithm = key
    now = int(time.time())
    claims = {"iss": ME, "sub": ME, "aud": ISSUER, "iat": now, "exp": now + 60, "jti": str(uuid.uuid4()), **change}
    return jwt.encode(claims, private, algorithm=algorithm, headers={"kid": algorithm})


def introspect(token, text=None):
    form = {
        "token": token, "project": asked["project"],
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": text or assertion(used),
    }
    request = urllib.request.Request(f"{asked['url']}/oauth/introspect", urllib.parse.urlencode(form).encode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return {"status": refused.code, **json.load(refused)}


for name in KINDS:
    with check(name):
        used = new_key(name)
        assert introspect(asked["allowed"])["active"] is True
the_four(introspect)
with check("once"):
    text = assertion(used)
    assert introspect(asked["allowed"], text)["active"] is True
    assert introspect(asked["allowed"], text)["error"] == "invalid_client"
with check("what is wrong is refused"):
    now = int(time.time())
    for change in [
        {"aud": f"{ISSUER}/oauth/introspect"}, {"aud": [ISSUER, "https://other.example.com"]}, {"iss": "another"},
        {"exp": now - 120}, {"exp": now + 7200}, {"nbf": now + 120}, {"jti": ""},
    ]:
        answer = introspect(asked["allowed"], assertion(used, **change))
        assert (answer["status"], answer["error"]) == (401, "invalid_client"), change
    unsigned = jwt.encode({"iss": ME, "sub": ME, "aud": ISSUER, "exp": now + 60, "jti": "1"}, None, algorithm="none")
    assert introspect(asked["allowed"], unsigned)["status"] == 401
    pem = used[0].public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert introspect(asked["allowed"], assertion((pem.hex(), "HS256")))["status"] == 401
