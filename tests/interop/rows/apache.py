import hashlib
import time

import behind
import gateway_checks
from packages import apt
from row import row
from world import basic

# Each file is one of sites-enabled; this is the least that Apache wants around it.
AROUND = """
ServerName localhost
ServerRoot {folder}
PidFile apache-{port}.pid
Mutex file:{folder}
ErrorLog {folder}/apache-{port}.log
User www-data
Group www-data
Listen 127.0.0.1:{port}
{modules}
{trust}
Include {file}
"""
MODULES = ["mpm_event", "authn_core", "authz_core", "authz_user", "headers", "proxy", "proxy_http"]


@row("Apache mod_auth_openidc", apt("libapache2-mod-auth-openidc", "apache2", "openssl"))
def auth_openidc(it):
    address, certificate = it.world.server.over_tls(it)
    introspecting(it, address, "auth_openidc", "apache-auth-openidc.conf", kept=0, trust=f"OIDCCABundlePath {certificate}")


@row("Apache mod_oauth2", apt("libapache2-mod-oauth2", "apache2"))
def oauth2(it):
    introspecting(it, it.world.url.removeprefix("http://"), "oauth2", "apache-oauth2.conf", kept=1)


def introspecting(it, jobpass, module, name, kept, trust=""):
    """`kept`: for how many seconds an answer is relied on."""
    it.folder.chmod(0o777)
    world = it.world
    # They decide by the scope, which is that of the service's one project.
    service = world.new_service("gateway", project=world.target)

    def start(values):
        port = int(values["127.0.0.1:8080"].rpartition(":")[2])
        file = behind.configuration(it, name, values).rename(it.folder / f"site-{port}.conf")
        modules = "\n".join(f"LoadModule {one}_module /usr/lib/apache2/modules/mod_{one}.so" for one in [*MODULES, module])
        main = it.folder / f"apache-{port}.conf"
        main.write_text(AROUND.format(folder=it.folder, port=port, modules=modules, trust=trust, file=file))
        it.start([it.kit[0].program("apache2"), "-d", it.folder, "-f", main, "-DFOREGROUND"], port=port)

    with behind.service_behind() as service_behind:
        port = it.free_port()
        start(behind.values(port, jobpass, service_behind.port, service))
        checks(it, port, service_behind, kept)
        with it.check("jobpass away"):
            lonely = it.free_port()
            start(behind.values(lonely, f"127.0.0.1:{it.free_port()}", service_behind.port, service))
            reply = behind.send(lonely, "GET", "/x", bearer(world.allowed()))
            assert reply.status >= 400 and not service_behind.take(), reply


def bearer(token):
    return [("Authorization", f"Bearer {token.text}")]


def checks(it, port, reached, kept):
    world = it.world

    def passed(method, path, headers, body=None):
        reply = behind.send(port, method, path, headers, body)
        assert reply.status == 201, (reply.status, reply.body[:300])
        (seen,) = reached.take()
        return reply, seen

    def refused(status, method, path, headers=()):
        reply = behind.send(port, method, path, headers)
        assert reply.status == status and not reached.take(), (reply.status, reply.body[:300])
        return reply

    with it.check("allowed"):
        for method in ["GET", "HEAD", "PUT", "POST"]:
            _, seen = passed(method, "/npm/@acme%2fui?x=%20y", bearer(world.allowed()))
            assert (seen.method, seen.path) == (method, "/npm/@acme%2fui?x=%20y"), seen
        _, seen = passed("GET", "/npm/ui", [("Authorization", basic("job", world.allowed().text))])
        assert not seen.values("authorization"), "the token went on"
    with it.check("denied"):
        refused(403, "GET", "/npm/ui", bearer(world.denied()))
        refused(403, "DELETE", "/npm/ui", bearer(world.allowed()))
        reader = world.project("reader")
        world.grant(reader, world.target, ["packages:read"])
        passed("GET", "/npm/ui", bearer(world.mint(reader)))
        refused(403, "PUT", "/npm/ui", bearer(world.mint(reader)))
    with it.check("revoked"):
        refused(401, "GET", "/npm/ui", bearer(world.revoked()))
        token = world.allowed()
        passed("GET", "/npm/ui", bearer(token))
        world.revoke(token)
        # No longer than it says that it keeps an answer, in whole seconds.
        time.sleep(kept + 1 if kept else 0)
        refused(401, "GET", "/npm/ui", bearer(token))
    with it.check("expired"):
        refused(401, "GET", "/npm/ui", bearer(world.expired()))
    with it.check("challenge"):
        told = refused(401, "GET", "/npm/ui").headers.get_all("WWW-Authenticate")
        assert any(one.startswith("Basic realm=") for one in told), f"git and pip would send no password: {told}"
    with it.check("untouched"):
        body = bytes(range(256)) * 4096
        reply, seen = passed("PUT", "/npm/ui", [*bearer(world.allowed()), ("X-Mine", "as it is")], body)
        assert seen.digest == hashlib.sha256(body).hexdigest() == reply.body.decode() and seen.values("x-mine") == ["as it is"]
        reply = behind.send(port, "GET", "/teapot", bearer(world.allowed()))
        assert (reply.status, reply.body) == (418, b"short and stout") and reached.take()
    with it.check("identity"):
        token = world.allowed()
        _, seen = passed("GET", "/npm/ui", [*bearer(token), *gateway_checks.FORGED])
        assert not [header for header in seen.headers if header[1] == "forged"], seen
        assert seen.values("jobpass-project") == [world.source] and seen.values("jobpass-ref") == ["main"], seen
        ids = [seen.values(f"jobpass-{name}-id") for name in ["token", "job", "pipeline"]]
        assert ids == [[token.id], [token.job], [token.pipeline]], ids
        _, other = passed("GET", "/npm/ui", bearer(world.mint(ref="feature")))
        assert other.values("jobpass-protected") == ["false"], other
        assert seen.values("jobpass-protected") == ["true"] and seen.values("jobpass-subject")[0].startswith("project:"), seen
    with it.check("hop by hop"):
        for connection in [gateway_checks.CONNECTION, f"close, {gateway_checks.CONNECTION}"]:
            _, seen = passed("GET", "/npm/ui", [*bearer(token), ("Connection", connection)])
            assert seen.values("jobpass-project") == [world.source] and seen.values("jobpass-protected") == ["true"], seen
            assert seen.values("jobpass-token-id") == [token.id] and seen.values("jobpass-subject"), seen
            assert "jobpass" not in ",".join(seen.values("connection")).lower(), "the next proxy would remove them"
    with it.check("smuggled"):
        refused(401, "GET", f"/npm/ui?access_token={world.allowed().text}")
        refused(403, "DELETE", "/npm/ui", [*bearer(world.allowed()), ("X-HTTP-Method-Override", "GET")])
        overriding = [(name, "DELETE") for name in behind.OVERRIDING]
        _, seen = passed("PUT", "/npm/ui", [*bearer(world.allowed()), *overriding])
        assert not [name for name, _ in seen.headers if name in behind.OVERRIDING], seen
        # Neither does a second token go on, which nobody was asked about.
        for name in ["job-token", "private-token"]:
            _, seen = passed("GET", "/npm/ui", [*bearer(world.allowed()), (name, "another")])
            assert not seen.values(name), seen
