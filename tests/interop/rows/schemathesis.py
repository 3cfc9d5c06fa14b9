"""Requests that nobody would think of, made from the OpenAPI file: no 5xx, and no answer that the file does not describe. On a
server of its own, as they change whatever they can."""

import contextlib
import json
import time
import urllib.parse
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

from packages import pip
from processes import must
from row import row
from world import World, basic, http

HOOKS = Path(__file__).resolve().parents[1] / "drivers/schemathesis_forms.py"

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

    def fuzz(name, config, *options, forms=None):
        file = it.folder / f"{name}.toml"
        file.write_text(config)
        command = [it.kit[0].program("schemathesis"), "--config-file", file, "run", f"{url}/openapi.json"]
        env = {"JOBPASS_FORMS": json.dumps(forms or {}), "SCHEMATHESIS_HOOKS": str(HOOKS)}
        done = it.run([*command, "--no-color", *options], timeout=600, cwd=it.folder, env=env)
        assert done.returncode == 0, done.stdout[done.stdout.find("FAILURES"):][:1200] or done.stderr[-1200:]
        assert "Operations:" in done.stdout and " passed" in done.stdout, done.stdout[-1200:]

    # All of it is made first: afterwards nothing is what it was.
    things, callers = known(world), its_callers(world)
    stranger, revoked = user(world, "stranger"), user(world, "gone")
    world.rest("POST", "/v1/leaked-tokens", {"token": revoked})
    end = datetime.now(timezone.utc) + timedelta(seconds=2)
    expired = user(world, "late", expires_at=end.isoformat(timespec="seconds").replace("+00:00", "Z"))
    # What one header does not open, first: afterwards none of these credentials need be alive.
    with it.check("reached"):
        doors, har = its_doors(world), it.folder / "reached.har"
        only = [option for door in doors for option in ("--include-operation-id", door.operation)]
        forms = {f"POST {door.path}": door.forms for door in doors if door.forms}
        fuzz("reached", behind_doors(doors), *only, "--report-har-path", har, forms=forms)
        assert_reached(har, doors)
    # Each operation by whom it is for; then by who may nothing, and by who is nobody any more.
    for name, bearer, called_by, examples in [
        ("allowed", admin, callers, 12),
        ("denied", stranger, {}, 3),
        ("revoked", revoked, {}, 2),
        ("expired", expired, {}, 2),
    ]:
        with it.check(name):
            fuzz(name, configuration(bearer, called_by, things, examples))


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


@dataclass(frozen=True)
class Door:
    """An operation that opens to a caller with the right words beside the credential: a form, a query, or a gateway's own secret."""

    operation: str
    path: str
    headers: dict
    # By the place of the parameter: what opens it.
    words: dict
    # Forms that open it; each must.
    forms: tuple = ()


def its_doors(world):
    """Of things that nothing else here is about."""
    runner, job = world.rest("POST", "/v1/runners", {"name": "door"}), world.mint(world.target).text
    registry = world.new_service("door registry")["client_id"]
    forward_auth = {"source": "fixed", "permissions": ["packages:read"]}
    gateway = world.new_service("door gateway", project=world.target, forward_auth=forward_auth)
    world.grant(world.target, world.target, ["packages:read", "containers:read"])
    urn = "urn:ietf:params:oauth"
    exchange = {
        "grant_type": f"{urn}:grant-type:token-exchange",
        "subject_token": job,
        "subject_token_type": f"{urn}:token-type:access_token",
        "audience": ["https://vault.example"],
        # Empty is left out.
        **dict.fromkeys(["scope", "resource", "requested_token_type", "authorization_details", "actor_token", "id_token_signed_response_alg"], ""),
        **dict.fromkeys(["client_secret", "client_assertion", "client_assertion_type"], ""),
    }
    id_token = {**exchange, "requested_token_type": f"{urn}:token-type:id_token"}
    runners = {**exchange, "grant_type": "client_credentials", "audience": ""}
    return [
        Door(
            "oauth_token",
            "/oauth/token",
            {"Authorization": f"Bearer {runner['token']}"},
            {},
            (exchange, id_token, runners),
        ),
        Door(
            "oauth_registry_token",
            "/oauth/registry-token",
            {"Authorization": basic("job", job)},
            {"query.service": [registry], "query.scope": [f"repository:{world.target}/app:pull"]},
        ),
        Door(
            "forward_auth",
            "/v1/forward-auth/",
            {"Authorization": f"Bearer {job}", "X-Jobpass-Service": gateway["client_secret"]},
            {"path.client_id": [gateway["client_id"]]},
        ),
    ]


def assert_reached(har, doors):
    """Each was opened, and refused, too: by what was made up instead of the right words."""
    entries = json.loads(har.read_text())["log"]["entries"]
    for door in doors:
        of_door = [entry for entry in entries if urllib.parse.urlsplit(entry["request"]["url"]).path.startswith(door.path)]
        statuses = {entry["response"]["status"] for entry in of_door}
        assert 200 in statuses and len(statuses) > 1, f"{door.operation} answered {statuses or 'nothing'}"
        sent = [entry["request"].get("postData", {}).get("text", "") for entry in of_door if entry["response"]["status"] == 200]
        opened = [dict(urllib.parse.parse_qsl(text)) for text in sent]
        for form in door.forms:
            told = {name: value for name, value in form.items() if value and isinstance(value, str)}
            assert any(told.items() <= one.items() for one in opened), f"{door.operation} never answered 200 to {told}"


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


def whole_run(examples):
    return [
        f"generation.max-examples = {examples}",
        "continue-on-failure = true",
        "phases.stateful.enabled = false",
        # No ids out of answers: it would soon have ended its own credential.
        "phases.coverage.extra-data-sources.responses = false",
        "phases.fuzzing.extra-data-sources.responses = false",
        "warnings = false",
        "checks.enabled = false",
        *(f"checks.{check}.enabled = true" for check in CHECKS),
    ]


def behind_doors(doors):
    # What the file forbids is in the runs that follow.
    lines, operations = [*whole_run(120), 'generation.mode = "positive"'], []
    for number, door in enumerate(doors):
        headers = ", ".join(f'{name} = "{value}"' for name, value in door.headers.items())
        operations += ["[[operations]]", f'include-operation-id = "{door.operation}"', f"headers = {{ {headers} }}"]
        operations += ["[operations.parameters]"] if door.words else []
        for place, (parameter, values) in enumerate(door.words.items()):
            name = f"door-{number}-{place}"
            lines += [f"[dictionaries.{name}]", f"values = {json.dumps(values)}"]
            operations += [f'"{parameter}" = {{ dictionary = "{name}", probability = 0.9 }}']
    return "\n".join([*lines, *operations]) + "\n"


def configuration(bearer, callers, known, examples):
    lines = [*whole_run(examples), f'headers = {{ Authorization = "Bearer {bearer}", If-Match = "*" }}']
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
