"""Introspection of tokens seen before, beside a fixed answer and two peers' look-ups; and its latency at half of that load."""

from figure import Figure, at_least, at_most, figures, over
from floors import FixedAnswer
from load import Stream
from processes import Failed
from world import http


def whole_answer(bench, server, token):
    """The bytes of one answer, which must be a full one."""
    asked = bench.introspection(server.port)
    answer = http("POST", server.url + asked.path, headers=asked.headers, body=asked.body.replace("{}", token).encode())
    said = answer.json()
    if answer.status != 200 or not said.get("scope") or not said.get("authorization_details"):
        raise Failed(f"that is not a full answer: {answer.status} {answer.body[:300]}")
    return answer.body


def first_token(seeded):
    with open(seeded.texts) as texts:
        return texts.readline().strip()


@figures(
    introspect_cached=at_least(0.75, 0.9),
    introspect_vs_openbao=at_least(12, 20),
    introspect_vs_oidc_provider=at_least(12, 20),
)
def cached(bench):
    scale, load = bench.scale, bench.load
    seeded = bench.seeded(scale.cached)
    bao, oidc = bench.openbao(), bench.oidc_provider()
    bao_tokens = bench.once("bao_tokens", lambda: bao.known(load, bench.folder, scale.cached))
    with bench.serve(seeded) as server:
        body = whole_answer(bench, server, first_token(seeded))
        load.once_each(bench.introspection(server.port), seeded.texts, scale.cached)
        with FixedAnswer(bench.tool, bench.folder, body) as floor:
            rates = bench.rounds({
                "ours": lambda: load.rate(bench.introspection(server.port), seeded.texts, scale.seconds),
                "floor": lambda: load.rate(bench.introspection(floor.port), seeded.texts, scale.seconds),
                "openbao": lambda: load.rate(bao.look_up(), bao_tokens, scale.seconds),
                "oidc": lambda: load.rate(oidc.introspection(), oidc.tokens, scale.seconds),
            })  # fmt: skip
    bench.once("highest", lambda: rates["ours"])
    ours = rates["ours"]
    return {
        "introspect_cached": over(ours, rates["floor"], answer_bytes=len(body)),
        "introspect_vs_openbao": over(ours, rates["openbao"]),
        "introspect_vs_oidc_provider": over(ours, rates["oidc"]),
    }


def highest(bench):
    """The highest rate of cached introspections, where nobody has measured it yet."""

    def measure():
        seeded = bench.seeded(bench.scale.cached)
        with bench.serve(seeded) as server:
            asked = bench.introspection(server.port)
            bench.load.once_each(asked, seeded.texts, bench.scale.cached)
            return bench.rounds({"ours": lambda: bench.load.rate(asked, seeded.texts, bench.scale.seconds)})["ours"]

    return bench.once("highest", measure)


@figures(p99_half_load=at_most(5, 2))
def half_load(bench):
    rate = highest(bench) / 2
    seeded = bench.seeded(bench.scale.cached)
    with bench.serve(seeded) as server:
        asked = bench.introspection(server.port)
        bench.load.once_each(asked, seeded.texts, bench.scale.cached)
        stream = Stream(asked, seeded.texts, rate)
        p99 = bench.rounds({"p99": lambda: bench.load.paced(bench.scale.seconds, {"all": stream})["all"]["p99_ms"]})["p99"]
    return {"p99_half_load": Figure(p99, "ms", more={"rate": rate})}
