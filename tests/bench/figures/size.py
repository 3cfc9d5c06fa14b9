"""The same work with ten thousand tokens stored and with ten million, and the picture of what lies between."""

import plot
from figure import Figure, at_least, figures
from figures.cold import WARM

_KINDS = {"cold": "introspection, first time", "cached": "introspection, seen before", "mint": "mint"}


@figures(size_10m=at_least(0.85, 0.95))
def size(bench):
    scale, load = bench.scale, bench.load
    databases = [bench.seeded(count) for count in scale.sizes]
    for seeded in databases:
        bench.warm(seeded)
    measured = {}
    for kind, measure in {"cold": _cold, "cached": _cached, "mint": _mint}.items():
        for seeded in databases:
            measured[kind, seeded.count] = lambda measure=measure, seeded=seeded: measure(bench, load, seeded)
    rates = bench.rounds(measured)
    smallest, largest = scale.sizes[0], scale.sizes[-1]
    ratios = {kind: rates[kind, largest] / rates[kind, smallest] for kind in _KINDS}
    worst = min(ratios, key=ratios.get)
    costs = {name: [(count, 1e6 / rates[kind, count]) for count in scale.sizes] for kind, name in _KINDS.items()}
    bench.pictures["cost-by-size"] = plot.costs(costs, "tokens stored", "µs for each request, on one core")
    more = {"ratios": ratios, "rates": {kind: {str(count): rates[kind, count] for count in scale.sizes} for kind in _KINDS}}
    return {"size_10m": Figure(rates[worst, largest], "1/s", rates[worst, smallest], ratios[worst], more)}


def _cold(bench, load, seeded):
    """As many tokens everywhere, each once. Ten thousand are soon through, so servers that know none of them follow each other."""
    spared = min(WARM, bench.scale.sizes[0] // 10)
    each = bench.scale.sizes[0] - spared
    answers, took, turn = 0, 0.0, 0
    while took < bench.scale.seconds / 2:
        skip = (spared + turn * each) % max(1, seeded.asked - each)
        with bench.serve(seeded) as server:
            asked = bench.introspection(server.port)
            # Connections are open, and plans are made, by the time that it counts; these are of another part.
            load.once_each(asked, seeded.texts, spared, skip=(skip + each) % max(1, seeded.asked - spared))
            seen = load.once_each(asked, seeded.texts, each, skip=skip)
        answers, took, turn = answers + seen["answers"], took + seen["seconds"], turn + 1
    return answers / took


def _cached(bench, load, seeded):
    count = min(bench.scale.cached, seeded.asked)
    with bench.serve(seeded) as server:
        texts = bench.first_lines(seeded.texts, count)
        asked = bench.introspection(server.port)
        load.once_each(asked, texts, count)
        return load.rate(asked, texts, bench.scale.seconds)


def _mint(bench, load, seeded):
    with bench.serve(seeded) as server:
        load.rate(bench.mint(server.port), bench.new_items(), 1)
        return load.rate(bench.mint(server.port), bench.new_items(), bench.scale.seconds)
