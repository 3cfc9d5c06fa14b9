"""The process itself: its memory when idle and for each answer that it keeps, and how soon it is there."""

import time

from figure import Figure, at_most, figures
from figures.cached import first_token, whole_answer
from processes import Failed

# A start is short and easily disturbed: more rounds than elsewhere.
_STARTS = 7
_SETTLES = 3


@figures(rss_idle=at_most(40, 25), start_external_db=at_most(200, 80))
def idle(bench):
    seeded = bench.seeded(bench.scale.cached)

    def start():
        with bench.serve(seeded) as server:
            return 1e3 * server.ready_after

    def memory():
        with bench.serve(seeded) as server:
            time.sleep(_SETTLES)
            return server.rss() / 2**20

    return {
        "rss_idle": Figure(bench.rounds({"rss": memory})["rss"], "MiB"),
        "start_external_db": Figure(bench.rounds({"start": start}, _STARTS)["start"], "ms"),
    }


@figures(rss_per_cached_answer=at_most(400, 200))
def cached_answer(bench):
    count = bench.scale.cached
    seeded = bench.seeded(bench.scale.cold)

    def grown():
        """By so many bytes a further answer, less the answer's own."""
        with bench.serve(seeded) as server:
            asked = bench.introspection(server.port)
            # What connections and the allocator need at all is there before; so is a table of the cache of some size.
            bench.load.once_each(asked, seeded.texts, count // 4)
            answer = len(whole_answer(bench, server, first_token(seeded)))
            before = server.rss()
            bench.load.once_each(asked, seeded.texts, count, skip=count // 4)
            grown = (server.rss() - before) / count
            if grown < answer:
                raise Failed(f"memory grew by {grown:.0f} bytes for each answer of {answer}: it does not keep them all")
            return grown - answer

    return {"rss_per_cached_answer": Figure(bench.rounds({"grown": grown})["grown"], "B", more={"answers": count})}
