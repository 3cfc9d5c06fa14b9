import behind
import gateways
import standins
from packages import apt
from processes import must
from row import row

# The built-in table has pushes alone; whoever fetches is described here.
ROUTES = """
routes:
  - { method: GIT, path: /*project.git/git-upload-pack, permissions: [repositories:read], project: project }
  - { method: GIT, path: /*project.git/git-receive-pack, permissions: [repositories:update], project: project }
"""


@row("git through nginx", apt("git"), apt("nginx"))
def git(it):
    world = it.world
    world.grant(world.source, world.target, ["repositories:update"])
    world.rest_text("PUT", "/v1/route-tables/interop-git", ROUTES, "application/yaml")
    service = world.new_service("git", forward_auth=behind.BY_HEADERS, route_table="interop-git")
    root = it.folder / "repositories"
    bare = root / f"{world.target}.git"
    must(["git", "init", "-q", "--bare", "-b", "main", bare], timeout=20)
    must(["git", "-C", bare, "config", "http.receivepack", "true"], timeout=20)
    with behind.service_behind(standins.Git, root) as served:
        port, jobpass = it.free_port(), world.url.removeprefix("http://")
        gateways.nginx(it, it.kit[1])(behind.values(port, jobpass, served.port, service))
        checks(it, port, served, bare)


def checks(it, port, served, bare):
    world = it.world

    def run(*words, cwd=it.folder):
        env = {"HOME": str(it.folder), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
        who = ["-c", "user.name=interop", "-c", "user.email=interop@example.com"]
        return it.run([it.kit[0].program("git"), *who, *words], cwd=cwd, env=env)

    def url(token=None, project=world.target):
        credential = f"job:{token.text}@" if token else ""
        return f"http://{credential}127.0.0.1:{port}/{project}.git"

    def refused(done, *words):
        assert done.returncode != 0 and all(word in done.stderr for word in words), done.stderr
        assert not served.take(), "it reached the service"

    work = it.folder / "work"
    with it.check("allowed"):
        token = world.allowed()
        done = run("clone", "-q", url(token), work)
        assert done.returncode == 0, done.stderr
        # Large enough for git to send it in chunks, and compressed requests.
        (work / "large").write_bytes(bytes(range(256)) * 16384)
        for words in [["add", "."], ["commit", "-qm", "one"], ["push", "-q", "origin", "HEAD:main"]]:
            done = run(*words, cwd=work)
            assert done.returncode == 0, done.stderr
        again = it.folder / "again"
        done = run("clone", "-q", url(token), again)
        assert done.returncode == 0 and (again / "large").stat().st_size == 4194304, done.stderr
        heads = [must(["git", "-C", folder, "rev-parse", "HEAD"], timeout=20) for folder in (work, bare)]
        assert heads[0] == heads[1], "the commit did not arrive"
        assert {value for seen in served.take() for value in seen.values("jobpass-project")} == {world.source}
    with it.check("denied"):
        # git shows its user why.
        refused(run("ls-remote", url(world.denied())), "403", "Jobpass: refused (no_grant)")
        reader = world.project("reader")
        world.grant(reader, world.target, ["repositories:read"])
        token = world.mint(reader)
        assert run("ls-remote", url(token)).returncode == 0 and served.take()
        refused(run("push", url(token), "HEAD:refs/heads/other", cwd=work), "403")
        # What is hidden is refused like what is missing.
        for project in [world.stranger, f"{world.group}/nothing"]:
            refused(run("ls-remote", url(token, project)), "Jobpass: refused (no_grant)")
    with it.check("revoked"):
        refused(run("ls-remote", url(world.revoked())), "Authentication failed")
        token = world.allowed()
        assert run("ls-remote", url(token)).returncode == 0 and served.take()
        world.finish(token)
        refused(run("ls-remote", url(token)), "Authentication failed")
    with it.check("expired"):
        refused(run("ls-remote", url(world.expired())), "Authentication failed")
    with it.check("no token"):
        refused(run("ls-remote", url()), "could not read Username")
    with it.check("public"):
        project = world.project("open", visibility="public")
        must(["git", "clone", "-q", "--bare", bare, bare.parent / "open.git"], timeout=20)
        done = run("ls-remote", url(None, project))
        assert done.returncode == 0 and "refs/heads/main" in done.stdout and served.take(), done.stderr
        refused(run("push", url(None, project), "HEAD:refs/heads/other", cwd=work), "could not read Username")
