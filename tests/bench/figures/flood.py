"""Valid introspections at a fixed rate, alone and while as many bad requests come from the same address."""

from dataclasses import replace

from figure import at_least, figures, over
from figures.cached import highest
from load import CONNECTIONS, Stream
from world import basic


@figures(valid_under_flood=at_least(0.8, 0.95))
def flood(bench):
    # Together as much as the server can do: valid ones alone would be half of that.
    rate = highest(bench) / 2
    seeded, seconds = bench.seeded(bench.scale.cached), bench.scale.seconds
    with bench.serve(seeded) as server:
        asked = bench.introspection(server.port)
        bench.load.once_each(asked, seeded.texts, bench.scale.cached)
        valid = {"valid": Stream(asked, seeded.texts, rate)}
        both = valid | _bad(bench, asked, rate / 3)
        latencies = {}

        def answered(streams, name):
            seen = bench.load.paced(seconds, streams)["valid"]
            latencies.setdefault(name, []).append(seen["p99_ms"])
            return seen["answers"] / seen["seconds"]

        rates = bench.rounds({"with": lambda: answered(both, "with"), "without": lambda: answered(valid, "without")})
    p99 = {f"p99_ms_{name}": sorted(seen)[len(seen) // 2] for name, seen in latencies.items()}
    return {"valid_under_flood": over(rates["with"], rates["without"], offered=rate, **p99)}


def _bad(bench, asked, rate):
    """A third each: texts that are no token, tokens that nobody has, a client that is none. Too many failures may be told to wait."""
    items = bench.folder / "bad-items"
    # Well-formed: another seed than any that was stored.
    unknown = bench.unknown_tokens()
    items.write_text("".join(f"jpj_{number:049}\n" for number in range(1000)))
    secret = "jps_" + "0" * 49
    wrong = asked.headers | {"Authorization": basic(bench.client_id, secret)}
    lanes = max(1, CONNECTIONS // 3)
    return {
        "malformed": Stream(replace(asked, text='"active":false'), items, rate, connections=lanes),
        "unknown": Stream(replace(asked, text='"active":false'), unknown, rate, connections=lanes),
        "wrong client": Stream(replace(asked, headers=wrong, text=""), items, rate, connections=lanes, statuses=[401, 429]),
    }
