"""A token a request, each with a pipeline and a job of its own, on the disk before it is answered."""

import floors
from figure import at_least, figures, over
from load import CONNECTIONS


@figures(mint=at_least(0.5, 1.0), mint_vs_openbao=at_least(2, 4), mint_vs_oidc_provider=None)
def mint(bench):
    seconds, load = bench.scale.seconds, bench.load
    seeded = bench.seeded(bench.scale.cached)
    bao, oidc = bench.openbao(), bench.oidc_provider()
    bench.database.durable(True)
    floors.make_insert_table(bench.database, seeded.name)
    with bench.serve(seeded) as server:
        load.rate(bench.mint(server.port), bench.new_items(), 1)
        rates = bench.rounds({
            "ours": lambda: load.rate(bench.mint(server.port), bench.new_items(), seconds),
            "floor": lambda: bench.database.pgbench(seeded.name, floors.single_insert(), seconds=seconds, clients=CONNECTIONS),
            "openbao": lambda: load.rate(bao.create(), bench.new_items(), seconds),
            "oidc": lambda: load.rate(oidc.client_credentials(), bench.new_items(), seconds),
        })  # fmt: skip
    return {
        "mint": over(rates["ours"], rates["floor"]),
        "mint_vs_openbao": over(rates["ours"], rates["openbao"]),
        "mint_vs_oidc_provider": over(rates["ours"], rates["oidc"]),
    }
