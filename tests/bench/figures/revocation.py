"""Three replicas on one database: from the answer to a revocation on one until each says that the token is dead."""

import contextlib

from figure import Figure, at_most, figures


@figures(revoke_lag=at_most(100, 20))
def lag(bench):
    # Of these tokens each is revoked once, so no other figure gets them.
    seeded = bench.seeded(bench.scale.cached, copy="_revoked")
    texts = seeded.texts.read_text().splitlines()
    rounds = bench.scale.rounds
    each = bench.scale.revocations // rounds
    seen = []
    with contextlib.ExitStack() as stack:
        replicas = [stack.enter_context(bench.serve(seeded)) for _ in range(3)]
        slices = iter(range(rounds))

        def measure():
            first = next(slices) * each
            tokens = bench.folder / "revoked-tokens"
            tokens.write_text("".join(text + "\n" for text in texts[first : first + each]))
            seen.append(bench.load.ours("lag", _wanted(bench, replicas, tokens), timeout=600))
            return seen[-1]["p99_ms"]

        p99 = bench.rounds({"p99": measure})["p99"]
    more = {"revocations": sum(one["revocations"] for one in seen), "max_ms": max(one["max_ms"] for one in seen)}
    return {"revoke_lag": Figure(p99, "ms", more=more)}


def _wanted(bench, replicas, tokens):
    asked = bench.introspection(replicas[0].port)
    before, _, after = asked.body.partition("{}")
    revoke = asked.head() | {"path": "/oauth/revoke", "headers": asked.headers | {"Authorization": f"Bearer {bench.runner}"}}
    heads = [asked.head(replica.port) for replica in replicas]
    return {"revoke": revoke, "replicas": heads, "before": before, "after": after, "tokens": str(tokens)}
