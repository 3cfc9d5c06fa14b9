"""Every token for the first time, among a million live ones, beside a point select of the same row."""

import floors
from figure import at_least, figures, over
from load import CONNECTIONS

# So many tokens are asked about before a round counts: connections are open, and plans are made.
WARM = 2_000


def first_time_rate(bench, seeded, seconds):
    """On a server that was started for it, so that it has seen none of them."""
    warm = min(WARM, seeded.asked // 10)
    with bench.serve(seeded) as server:
        asked = bench.introspection(server.port)
        bench.load.once_each(asked, seeded.texts, warm)
        return bench.load.rate(asked, seeded.texts, seconds, skip=warm, wraps=False)


@figures(introspect_cold=at_least(0.6, 1.0), cold_vs_openbao=at_least(5, 8))
def cold(bench):
    scale, load = bench.scale, bench.load
    seeded = bench.seeded(scale.cold)
    bao = bench.openbao()
    bao_tokens = bench.once("bao_tokens", lambda: bao.known(load, bench.folder, scale.cached))
    bench.warm(seeded)
    select = floors.point_select(*seeded.hours, seeded.count)
    rates = bench.rounds({
        "ours": lambda: first_time_rate(bench, seeded, scale.seconds),
        "floor": lambda: bench.database.pgbench(seeded.name, select, seconds=scale.seconds, clients=CONNECTIONS),
        "openbao": lambda: load.rate(bao.look_up(), bao_tokens, scale.seconds),
    })  # fmt: skip
    return {
        "introspect_cold": over(rates["ours"], rates["floor"]),
        "cold_vs_openbao": over(rates["ours"], rates["openbao"]),
    }
