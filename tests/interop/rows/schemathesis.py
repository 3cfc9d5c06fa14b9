"""Requests that nobody would think of, made from the OpenAPI file: no 5xx, and no answer that the file does not describe. On a
server of its own, as they change whatever they can."""

import contextlib
import json
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

from packages import pip
from processes import must
from row import row
from world import World, basic, http

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
]


@row("schemathesis", pip("schemathesis==4.32.5"), timeout=900)
def schemathesis(it):
    port = it.free_port()
    url, data = f"http://127.0.0.1:{port}", it.folder / "data"
    # With its own PostgreSQL: not even the database is shared.
    jobpass = ["env", "-u", "DATABASE_URL", it.world.binary]
    it.start([*jobpass, "serve", "--listen", f"127.0.0.1:{port}", "--data-dir", data], port=port)
    wait_for(url)
    admin = must([*jobpass, "bootstrap-admin", "--data-dir", data], timeout=60).strip()
    world = World(SimpleNamespace(url=url, issuer=url, admin=admin, binary=it.world.binary), "acme")

    def fuzz(name, bearer, callers, examples):
        config = it.folder / f"{name}.toml"
        config.write_text(configuration(bearer, callers, things, examples))
        with it.check(name):
            command = [it.kit[0].program("schemathesis"), "--config-file", config, "run", f"{url}/openapi.json"]
            done = it.run([*command, "--no-color"], timeout=600, cwd=it.folder)
            assert done.returncode == 0, done.stdout[done.stdout.find("FAILURES"):][:1200] or done.stderr[-1200:]
            assert "Operations:" in done.stdout and " passed" in done.stdout, done.stdout[-1200:]

    # All of it is made first: afterwards nothing is what it was.
    things, callers = known(world), its_callers(world)
    stranger, revoked = user(world, "stranger"), user(world, "gone")
    world.rest("POST", "/v1/leaked-tokens", {"token": revoked})
    end = datetime.now(timezone.utc) + timedelta(seconds=2)
    expired = user(world, "late", expires_at=end.isoformat(timespec="seconds").replace("+00:00", "Z"))
    # Each operation by whom it is for; then by who may nothing, and by who is nobody any more.
    fuzz("allowed", admin, callers, 12)
    fuzz("denied", stranger, {}, 3)
    fuzz("revoked", revoked, {}, 2)
    fuzz("expired", expired, {}, 2)


def wait_for(url):
    """It listens before it has made its database."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if http("GET", f"{url}/readyz").status == 200:
                return
        time.sleep(0.1)
    raise AssertionError("it is not ready within a minute")


def user(world, name, **more):
    world.rest("POST", "/v1/users", {"name": name})
    return world.rest("POST", "/v1/user-tokens", {"user": name, **more})["token"]


def its_callers(world):
    """Who calls what an administrator may not, by operation."""
    runner, service = f"Bearer {world.runner['token']}", world.service
    job = f"Bearer {world.mint().text}"
    client = basic(service["client_id"], service["client_secret"])
    return {
        runner: ["job_token_mint", "job_heartbeat", "job_finish", "pipeline_finish", "oauth_revoke"],
        job: ["job_token_narrow", "job_token_self"],
        client: ["authorize", "oauth_introspect"],
    }


def known(world):
    """What there is, for most requests to be about, by the parameter of the path."""
    token = world.mint()
    project = world.rest("GET", f"/v1/projects/{world.group}%2Fweb")
    return {
        "project": [project["id"]],
        "group": [world.group],
        "runner": [world.runner["id"]],
        "service": [world.service["client_id"]],
        "job": [token.job],
        "pipeline": [token.pipeline],
        "token": [token.id],
        "table": ["gitlab"],
    }


def configuration(bearer, callers, known, examples):
    lines = [
        f"generation.max-examples = {examples}",
        "continue-on-failure = true",
        "phases.stateful.enabled = false",
        # No ids out of answers: it would soon have ended its own credential.
        "phases.coverage.extra-data-sources.responses = false",
        "phases.fuzzing.extra-data-sources.responses = false",
        "warnings = false",
        f'headers = {{ Authorization = "Bearer {bearer}", If-Match = "*" }}',
        "checks.enabled = false",
        *(f"checks.{check}.enabled = true" for check in CHECKS),
    ]
    for name, values in known.items():
        lines += [f"[dictionaries.{name}]", f"values = {json.dumps(values)}"]
    # What is deleted is made up, so that the others have something to be about.
    lines += ["[[operations]]", 'include-method = ["GET", "POST", "PUT", "PATCH"]', "[operations.parameters]"]
    lines += [f'"path.{name}" = {{ dictionary = "{name}", probability = 0.8 }}' for name in known]
    for caller, operations in callers.items():
        lines += ["[[operations]]", f"include-operation-id = {json.dumps(operations)}", f'headers = {{ Authorization = "{caller}" }}']
        lines += ["[operations.parameters]"]
        lines += [f'"path.{name}" = {{ dictionary = "{name}", probability = 0.8 }}' for name in known]
    return "\n".join(lines) + "\n"
