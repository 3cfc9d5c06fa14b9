import behind
import gateways
import standins
from packages import apt, here
from row import row

# A sparse registry, as cargo asks it. The service is registered for one project, so no path names one.
ROUTES = """
routes:
  - { method: GET, path: /config.json, permissions: [packages:read] }
  - { method: GET, path: "/:first/:second/:name", permissions: [packages:read], resource_names: { packages: "cargo/{name}" } }
  - { method: PUT, path: /api/v1/crates/new, permissions: [packages:create] }
"""
NAME = "interop-probe"


@row("cargo publish through HAProxy", here("cargo"), apt("haproxy"), timeout=180)
def cargo(it):
    world = it.world
    world.rest_text("PUT", "/v1/route-tables/interop-cargo", ROUTES, "application/yaml")
    service = world.new_service("crates", project=world.target, forward_auth=behind.BY_HEADERS, route_table="interop-cargo")
    with behind.service_behind(standins.Cargo) as served:
        port, jobpass = it.free_port(), world.url.removeprefix("http://")
        gateways.haproxy(it, it.kit[1])(behind.values(port, jobpass, served.port, service))
        checks(it, served, port)


def checks(it, served, port):
    world, package, home = it.world, it.folder / "package", it.folder / "cargo"
    (package / "src").mkdir(parents=True)
    (package / "src/lib.rs").write_text("pub const ANSWER: u8 = 42;\n")
    home.mkdir()
    (home / "config.toml").write_text(
        f'[registries.interop]\nindex = "sparse+http://127.0.0.1:{port}/"\n'
        '[registry]\nglobal-credential-providers = ["cargo:token"]\n'
    )

    def publish(token, version):
        (package / "Cargo.toml").write_text(
            f'[package]\nname = "{NAME}"\nversion = "{version}"\nedition = "2024"\ndescription = "d"\nlicense = "MIT"\n[workspace]\n'
        )
        env = {"CARGO_HOME": str(home), "CARGO_REGISTRIES_INTEROP_TOKEN": token.text, "CARGO_TERM_COLOR": "never"}
        # Its own bin folder first: cargo asks rustc, and neither is rustup's stand-in then.
        env["PATH"] = it.kit[0].on_path()
        words = ["publish", "--registry", "interop", "--no-verify", "--allow-dirty", "--config", "net.retry=0"]
        return it.run([it.kit[0].program("cargo"), *words], cwd=package, env=env, timeout=60)

    def refused(done, status):
        assert done.returncode != 0 and status in done.stderr, done.stderr[-800:]
        assert not served.take(), "it reached the service"

    with it.check("allowed"):
        done = publish(world.allowed(), "1.0.0")
        assert done.returncode == 0, done.stderr
        assert served.uploaded[NAME]["vers"] == "1.0.0"
        assert {value for seen in served.take() for value in seen.values("jobpass-project")} == {world.source}
    with it.check("denied"):
        refused(publish(world.denied(), "1.0.1"), "403")
        reader = world.project("reader")
        world.grant(reader, world.target, ["packages:read"])
        done = publish(world.mint(reader), "1.0.2")
        assert done.returncode != 0 and "403" in done.stderr, done.stderr
        assert "PUT" not in [seen.method for seen in served.take()], "it reached the service"
    with it.check("revoked"):
        refused(publish(world.revoked(), "1.0.3"), "401")
    with it.check("expired"):
        refused(publish(world.expired(), "1.0.4"), "401")
