"""A real container registry, which trusts the authority of Jobpass, and what pushes to it and pulls from it with a job token."""

import hashlib
import io
import json
import tarfile
import urllib.parse
from dataclasses import replace

from packages import apt
from row import row
from world import basic, http


def image(folder):
    """An image of one small layer, as OCI lays it out."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(media_type, data):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as layer:
        entry = tarfile.TarInfo("hello")
        entry.size = 6
        layer.addfile(entry, io.BytesIO(b"hello\n"))
    oci = "application/vnd.oci.image"
    layer = blob(f"{oci}.layer.v1.tar", held.getvalue())
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
    config = blob(f"{oci}.config.v1+json", json.dumps(config).encode())
    manifest = {"schemaVersion": 2, "mediaType": f"{oci}.manifest.v1+json", "config": config, "layers": [layer]}
    manifest = blob(f"{oci}.manifest.v1+json", json.dumps(manifest).encode())
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return f"oci:{folder}:v1"


# What the clients print when they were told no: the registry's own code, or what the token endpoint answered.
SAID_NO = ("denied", "unauthorized", "authentication required", "invalid username/password")


def done(result):
    """Whether it went through. What failed for another reason than a no is an error."""
    if result.returncode == 0:
        return True
    said = (result.stderr + result.stdout).lower()
    assert any(no in said for no in SAID_NO), f"failed, but was not told no: {said[-600:]}"
    return False


def start(it, service):
    """As the guide says it, but for addresses: one certificate, fetched once."""
    port = it.free_port()
    bundle = it.folder / "registry-authority.pem"
    bundle.write_bytes(http("GET", f"{it.world.url}/oauth/registry-authority.pem").body)
    config = it.folder / "registry.yml"
    config.write_text(
        json.dumps(
            {
                "version": 0.1,
                "storage": {"filesystem": {"rootdirectory": str(it.folder / "images")}, "delete": {"enabled": True}},
                "http": {"addr": f"127.0.0.1:{port}"},
                "auth": {
                    "token": {
                        "realm": f"{it.world.url}/oauth/registry-token",
                        "service": service["client_id"],
                        "issuer": it.world.issuer,
                        "rootcertbundle": str(bundle),
                    }
                },
            }
        )
    )
    it.start([it.kit[0].program("docker-registry"), "serve", str(config)], port=port)
    return f"127.0.0.1:{port}"


@row("docker-registry with skopeo and podman", apt("docker-registry", "skopeo", "podman"), timeout=180)
def registry(it):
    world = it.world
    world.grant(world.source, world.target, ["containers:read", "containers:create"], selectors={"containers": ["app*"]})
    service = world.new_service("images", resources=["containers"])
    host = start(it, service)
    source = image(it.folder / "image")
    skopeo, podman = it.kit[0].program("skopeo"), it.kit[0].program("podman")
    pushed = f"docker://{host}/{world.target}/app:v1"

    def push(token, to=pushed):
        copy = [skopeo, "copy", "--dest-tls-verify=false", "--dest-creds", f"job:{token.text}", source, to]
        return done(it.run(copy))

    def pull(token, name):
        copy = [skopeo, "copy", "--src-tls-verify=false", "--src-creds", f"job:{token.text}", pushed, f"dir:{it.folder / name}"]
        return done(it.run(copy))

    def login(token):
        command = [podman, "login", "--tls-verify=false", "-u", "job", "-p", token.text, "--authfile", str(it.folder / "auth.json")]
        return done(it.run(command + [host]))

    with it.check("allowed"):
        assert push(world.allowed()), "no push"
        assert pull(world.allowed(), "pulled"), "no pull"
        assert (it.folder / "pulled" / "manifest.json").exists()
        assert login(world.allowed()), "no login"
    with it.check("denied"):
        assert not push(world.denied())
        assert not pull(world.denied(), "denied")
        # A login asks who somebody is: who is nobody is denied, and so is one who is somebody elsewhere.
        assert not login(replace(world.allowed(), text="jpj_" + "0" * 49))
        assert not login(replace(world.allowed(), text=world.runner["token"]))
        confined = world.rest("POST", "/v1/job-tokens/narrow", {"audience": ["https://elsewhere.example"]}, token=world.allowed().text)
        assert not login(replace(world.allowed(), text=confined["token"])), "meant for another service"
    with it.check("revoked"):
        token = world.allowed()
        assert login(token)
        world.revoke(token)
        assert not login(token)
        assert not pull(token, "revoked")
        assert not push(token)
    with it.check("expired"):
        token = world.expired()
        assert not login(token)
        assert not pull(token, "expired")
        assert not push(token)
    with it.check("names by selectors"):
        assert push(world.allowed(), f"docker://{host}/{world.target}/app-2:v1")
        assert not push(world.allowed(), f"docker://{host}/{world.target}/other:v1")
    with it.check("another registry's token"):
        # What was signed for one registry is of no use at another.
        other = world.new_service("other", resources=["containers"])
        asked = urllib.parse.urlencode({"service": other["client_id"], "scope": f"repository:{world.target}/app:pull"})
        headers = {"Authorization": basic("job", world.allowed().text)}
        token = http("GET", f"{world.url}/oauth/registry-token?{asked}", headers=headers).json()["token"]
        answer = http("GET", f"http://{host}/v2/{world.target}/app/tags/list", headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 401, answer.status
