"""Authlib brings ID tokens of another CI, whose identity provider stands on Authlib, too. A replica of the server trusts that one's
certificate and may look for it on loopback."""

import driving
from packages import apt, pip
from processes import must
from row import row
from server import self_signed
from world import quoted


@row("Authlib, another CI", pip("Authlib==1.9.9", "requests==2.34.2"), apt("openssl"))
def authlib_trusted(it):
    world, folder = it.world, it.folder
    python = it.kit[0].program("python")
    # rustls takes no authority's certificate from a server.
    certificate, _ = self_signed(it, "basicConstraints=critical,CA:FALSE")
    must(["openssl", "genrsa", "-out", folder / "signing.pem", "2048"], timeout=60)
    port = it.free_port()
    it.start([python, "-B", driving.DRIVERS / "another_ci.py", folder, port], port=port)
    ci = f"https://127.0.0.1:{port}"
    rule = {"name": "ci", "issuer": ci, "ci": "github", "claims": {"repository_id": ["42"]}, "protected": True}
    rule = world.rest("POST", f"/v1/projects/{quoted(world.source)}/trust-rules", rule)
    address = world.server.replica(it, "--issuer-ca-file", certificate, "--allowed-issuer-networks", "127.0.0.0/8")
    asked = {
        "url": f"http://{address}",
        "ci": ci,
        "folder": str(folder),
        "rule": rule["id"],
        "source": world.source,
        "stranger": world.stranger,
        "project": world.target,
        "service": world.service,
    }
    driving.python(it, "authlib_trusted.py", asked)
