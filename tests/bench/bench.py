"""What figures share: the database and its copies, servers on them, peers; each made when it is first needed."""

import itertools
import json
import statistics
from dataclasses import dataclass

import peers
from database import Database
from jobpass import Jobpass
from load import NUMBERED, Asked, Counted, Load
from processes import must
from seeding import Seeding
from world import World, basic

_TOKEN = 53
# Ten grants on the target, as a project may well have: for several resource types, with conditions and without.
_GRANTS = [
    (["packages:read", "packages:create"], {}),
    (["containers:read"], {"conditions": {"refs": ["main", "release/*"]}}),
    (["jobs:read", "pipelines:read"], {}),
    (["releases:create"], {"conditions": {"protected_refs_only": True}}),
    (["environments:read", "deployments:create"], {"conditions": {"environments": ["production"]}}),
    (["secure_files:read"], {"conditions": {"triggers": ["push", "schedule"]}}),
    (["terraform_state:read"], {"selectors": {"terraform_state": ["prod/*"]}}),
    (["merge_requests:read", "work_items:read"], {}),
    (["badges:read"], {"conditions": {"refs": ["docs/**"]}}),
]


@dataclass(frozen=True)
class Seeded:
    """A database with so many live tokens, and the file with the texts of some."""

    name: str
    count: int
    """How many texts there are."""
    asked: int
    texts: object
    """The first hour of issue, and over how many hours."""
    hours: tuple


class Bench:
    """Everything of one run. `close` ends all that was started."""

    def __init__(self, scale, folder, cache, bindir, programs):
        self.scale, self.folder, self.cache = scale, folder, cache
        self.jobpass, self.tool = programs / "jobpass", programs / "jobpass-bench"
        self.load = Load(folder, self.tool)
        self.database = Database(folder, bindir)
        version = must([self.jobpass, "--version"], timeout=10).split()[-1]
        self.versions = {"jobpass": version, "postgresql": self.database.version()}
        self._seeding = Seeding(self.database, self.tool, folder)
        self._seeded, self._peers, self._known = {}, {}, {}
        self.pictures = {}
        self._prefixes = ("".join(three) for three in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=3))
        self._found()

    def _found(self):
        """The database that all others are copies of: an organisation, as the server itself writes it."""
        self.database.durable(False)
        self.database.sql("postgres", "create database base")
        with Jobpass(self.jobpass, self.folder, self.database.url("base")) as server:
            server.admin = server.bootstrap_admin()
            world = World(server, "acme")
            self.targets = [world.target, *(world.project(f"lib-{number}") for number in range(4))]
            for target in self.targets:
                for permissions, more in _GRANTS:
                    world.grant(world.source, target, permissions, **more)
            # A token whose rows are the pattern of all others.
            world.mint(job={"key": "build", "name": "build", "timeout_secs": 86400})
        self.source = world.source
        self.service = basic(world.service["client_id"], world.service["client_secret"])
        self.client_id = world.service["client_id"]
        self.runner = world.runner["token"]

    def serve(self, seeded, *arguments):
        """A server on that database, for a `with` block."""
        name = seeded.name if isinstance(seeded, Seeded) else seeded
        self.database.durable(True)
        return Jobpass(self.jobpass, self.folder, self.database.url(name), *arguments)

    def seeded(self, count, copy=""):
        """A database with `count` live tokens; `copy` names another of the same."""
        name = f"live{count}{copy}"
        if name not in self._seeded:
            self.database.durable(False)
            self.database.drop(name)
            self.database.copy("base", name)
            asked = min(count, self.scale.cold)
            self._seeded[name] = Seeded(name, count, asked, *self._seeding.live(name, count, asked))
        return self._seeded[name]

    def seed_expired(self, name, live, count):
        """A database with `live` live tokens, and `count` that expired days ago."""
        self.database.durable(False)
        self.database.copy("base", name)
        seeded = Seeded(name, live, live, *self._seeding.live(name, live, live))
        self._seeding.expired(name, count, days_ago=4)
        return seeded

    def forget(self, *seeded):
        """Makes room."""
        for one in seeded:
            self._seeded.pop(one.name, None)
            self.database.drop(one.name)

    def warm(self, seeded):
        """Reads it into memory, as far as it goes in: what is measured is not the disk after a restart."""
        self.database.durable(True)
        self.database.sql(
            seeded.name,
            "create extension if not exists pg_prewarm; select sum(pg_prewarm(oid)) from pg_class where relkind in ('r', 'i')",
            timeout=300,
        )

    def first_lines(self, file, count):
        """A file with so many of its lines."""
        some = file.with_name(f"{file.name}-{count}")
        if not some.exists():
            with open(file) as lines:
                some.write_text("".join(itertools.islice(lines, count)))
        return some

    def unknown_tokens(self):
        """Well-formed ones that nobody has: of a seed of their own."""
        return self.once("unknown", lambda: self._seeding.texts_only("unknown", 1000))

    # What is asked

    def introspection(self, port):
        """As a resource service asks, with the project: the full answer."""
        headers = {"Authorization": self.service, "Content-Type": "application/x-www-form-urlencoded"}
        body = "token={}&project=" + self.targets[0].replace("/", "%2F")
        return Asked(port, "/oauth/introspect", headers, body, _TOKEN, text='"active":true')

    def mint(self, port):
        """A pipeline, a job and a token, all of them new."""
        run = {"key": "{}", "ref": "main", "ref_type": "branch", "sha": "c0ffee" * 6, "trigger": "push"}
        body = {"project": self.source, "pipeline": run, "job": {"key": "build", "name": "build", "timeout_secs": 3600}}
        headers = {"Authorization": f"Bearer {self.runner}", "Content-Type": "application/json"}
        return Asked(port, "/v1/job-tokens", headers, json.dumps(body), NUMBERED, status=201, text='"token":"jpj_')

    def new_items(self):
        """Names that no other round has."""
        return Counted(next(self._prefixes))

    # What is asked of peers

    def openbao(self):
        return self._peer("openbao", lambda: peers.OpenBao(self.cache, self.folder))

    def oidc_provider(self):
        return self._peer("oidc-provider", lambda: peers.OidcProvider(self.cache, self.folder, self.scale.cached))

    def _peer(self, name, start):
        if name not in self._peers:
            self._peers[name] = start()
            self.versions[name] = self._peers[name].version
        return self._peers[name]

    # How it is measured

    def rounds(self, measured, count=None):
        """Medians by name. One after the other in every round, so that what disturbs the machine disturbs all."""
        seen = {name: [] for name in measured}
        for _ in range(count or self.scale.rounds):
            for name, measure in measured.items():
                seen[name].append(measure())
        return {name: statistics.median(values) for name, values in seen.items()}

    def once(self, name, measure):
        """A figure that others build on: measured when the first asks for it."""
        if name not in self._known:
            self._known[name] = measure()
        return self._known[name]

    def close(self):
        for peer in self._peers.values():
            peer.stop()
        self.database.stop()
