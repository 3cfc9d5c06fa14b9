"""The pure function: what a decision costs when its inputs are there."""

import json
from pathlib import Path

from figure import Figure, at_most, figures
from machine import SERVER, pinned
from processes import must


_ROOT = Path(__file__).resolve().parents[3]


@figures(decide=at_most(0.5, 0.2), decide_10k=at_most(5, 1), decide_10k_one_source=None)
def decide(_bench):
    """Ten grants that can match; ten thousand on the target; ten thousand that are all for this very source, which nobody has."""
    cargo = ["cargo", "bench", "--locked", "--quiet", "-p", "jobpass-domain", "--bench", "decide", "--", "--json"]
    seen = json.loads(must(pinned(SERVER, cargo), timeout=300, cwd=_ROOT).splitlines()[-1])
    floor = seen["floor"] / 1e3
    figure = lambda name: Figure(seen[name] / 1e3, "µs", floor, floor / (seen[name] / 1e3))  # noqa: E731
    return {"decide": figure("ten"), "decide_10k": figure("ten_thousand"), "decide_10k_one_source": figure("one_source")}
