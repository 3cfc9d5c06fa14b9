"""A hundred questions a call: of one token, as a gateway asks about a job, and of a hundred tokens."""

import json

from figure import at_least, figures, over
from figures.cached import highest
from load import Asked

_QUESTIONS = 100
# Each has a hundred under way.
_CONNECTIONS = 4
# So many different calls, each of its own tokens.
_CALLS = 50


@figures(authorize_batch=at_least(8, 20))
def batch(bench):
    seeded = bench.seeded(bench.scale.cached)
    one, many = (_bodies(bench, seeded, tokens) for tokens in (1, _QUESTIONS))
    with bench.serve(seeded) as server:
        asked = {kind: _asked(bench, server.port, length) for kind, (_, length) in {"one": one, "many": many}.items()}
        introspection = bench.introspection(server.port)
        bench.load.once_each(introspection, seeded.texts, bench.scale.cached)

        def decisions(asked, bodies):
            return _QUESTIONS * bench.load.rate(asked, bodies, bench.scale.seconds, connections=_CONNECTIONS)

        rates = bench.rounds({
            "one": lambda: decisions(asked["one"], one[0]),
            "many": lambda: decisions(asked["many"], many[0]),
            "cached": lambda: bench.load.rate(introspection, seeded.texts, bench.scale.seconds),
        })  # fmt: skip
    # The slower of the two is what can be relied on.
    slower = min(rates["one"], rates["many"])
    return {"authorize_batch": over(slower, rates["cached"], "decisions/s", one_token=rates["one"], many_tokens=rates["many"])}


def _asked(bench, port, length):
    headers = {"Authorization": bench.service, "Content-Type": "application/json"}
    return Asked(port, "/v1/authorize", headers, "{}", length, text='"allowed":true', never='"allowed":false')


def _bodies(bench, seeded, tokens):
    """Calls of several projects and names, padded to one length: the file with them, one a line, and that length."""
    with open(seeded.texts) as texts:
        known = [text.strip() for text in texts]
    bodies = []
    for call in range(_CALLS):
        questions = []
        for number in range(_QUESTIONS):
            questions.append({
                "token": known[(call * tokens + number % tokens) % len(known)],
                "project": bench.targets[number % len(bench.targets)],
                "permissions": ["packages:read"],
                "resource_name": f"npm/@acme/part-{number % 20}",
            })  # fmt: skip
        bodies.append(json.dumps({"questions": questions}, separators=(",", ":")))
    length = max(map(len, bodies))
    file = bench.folder / f"questions-{tokens}"
    file.write_text("".join(body.ljust(length) + "\n" for body in bodies))
    return file, length
