"""An identity provider of another CI, on Authlib's JOSE: publishes its keys over TLS, and signs. Started by the row with a folder and a
port; `sign` is for the driver beside it."""

import http.server
import json
import ssl
import sys
import time
from pathlib import Path

from authlib.jose import JsonWebKey, jwt


def key(folder):
    return JsonWebKey.import_key((Path(folder) / "signing.pem").read_bytes(), {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256"})


def sign(folder, issuer, audience, jti, **claims):
    now = int(time.time())
    told = {
        "iss": issuer, "aud": audience, "sub": "repo:acme/web:ref:refs/heads/main", "jti": jti, "iat": now, "exp": now + 300,
        "repository_id": "42", "ref": "refs/heads/main", "ref_protected": "true", "sha": "c0ffee", "event_name": "push",
        "run_id": jti, "run_attempt": "1", "actor": "octocat",
    }
    return jwt.encode({"alg": "RS256", "kid": "one"}, told | claims, key(folder)).decode()


def serve(folder, port):
    issuer = f"https://127.0.0.1:{port}"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/.well-known/openid-configuration":
                document = {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
            else:
                document = {"keys": [key(folder).as_dict(is_private=False)]}
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(folder) / "cert.pem", Path(folder) / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
