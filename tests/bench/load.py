"""Load on a server, from a core of its own: as fast as it goes (wrk), or at a fixed rate (our own; wrk has none)."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from machine import LOAD, pinned
from processes import Failed, must

CONNECTIONS = 32
# The length of an item that is a number (`Counted`).
NUMBERED = 12
_LUA = Path(__file__).resolve().parent / "load.lua"


@dataclass(frozen=True)
class Asked:
    """One kind of request, and which answer is due: `{}` in the body stands for the item, which has the same length each time."""

    port: int
    path: str
    headers: dict
    body: str
    item_length: int
    status: int = 200
    text: str = ""
    """What must not stand in an answer."""
    never: str = ""

    def around(self):
        """The whole request but for the item, as it goes over the wire."""
        before, _, after = self.body.partition("{}")
        length = len(before.encode()) + self.item_length + len(after.encode())
        head = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Content-Length: {length}"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join(head) + "\r\n\r\n" + before, after

    def head(self, port=None):
        """For our own programs."""
        return {"address": f"127.0.0.1:{port or self.port}", "method": "POST", "path": self.path, "headers": self.headers}


@dataclass(frozen=True)
class Counted:
    """Items that are numbered, each one new; the prefix is of three characters and used once."""

    prefix: str

    @property
    def digits(self):
        return NUMBERED - len(self.prefix)


@dataclass
class Stream:
    """A kind of request at its own rate."""

    asked: Asked
    items: Path
    rate: float
    skip: int = 0
    connections: int = CONNECTIONS
    statuses: list = field(default_factory=list)


class Load:
    """`folder` is for what the programs read; `tool` is our own one."""

    def __init__(self, folder, tool):
        self.folder = folder
        self.tool = tool

    def rate(self, asked, items, seconds, *, skip=0, wraps=True, connections=CONNECTIONS):
        """Answers a second, all connections busy. `items` is a file with one a line, or numbers; without `wraps` each is used once."""
        before, after = asked.around()
        spec = {"before": before, "after": after, "text": asked.text, "never": asked.never}
        for name, text in spec.items():
            (self.folder / name).write_bytes(text.encode())
        if isinstance(items, Counted):
            source = ["numbers", items.prefix, str(items.digits)]
        else:
            source = ["lines" if wraps else "lines-once", str(items), str(skip)]
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "5s", "-s", _LUA]
        command += [f"http://127.0.0.1:{asked.port}", "--", self.folder, str(asked.status), *source]
        return wrk_rate(must(pinned(LOAD, [str(word) for word in command]), timeout=seconds + 60))

    def paced(self, seconds, streams, samples=None):
        """What each stream saw, by name. A stream whose answers were not those that were due is a failure."""
        wanted = {"seconds": seconds, "samples": str(samples) if samples else None, "streams": []}
        for name, stream in streams.items():
            before, _, after = stream.asked.body.partition("{}")
            due = {"status": stream.statuses or [stream.asked.status], "text": stream.asked.text}
            wanted["streams"].append({
                "name": name, "head": stream.asked.head(), "before": before, "after": after, "items": str(stream.items),
                "skip": stream.skip, "rate": stream.rate, "connections": stream.connections, "due": due,
            })  # fmt: skip
        return paced_seen(self.ours("paced", wanted, timeout=seconds * 2 + 120))

    def once_each(self, asked, items, count, *, skip=0):
        """Each item once, as fast as it goes: what was seen."""
        return self.paced(count / 1e6, {"all": Stream(asked, items, 1e6, skip)})["all"]

    def ours(self, what, wanted, timeout):
        return json.loads(must(pinned(LOAD, [str(self.tool), what]), timeout=timeout, stdin=json.dumps(wanted)))


def wrk_rate(said):
    """One line of JSON that our script writes at the end. One unexpected answer, and there is no figure."""
    lines = [line for line in said.splitlines() if line.startswith("{")]
    if len(lines) != 1:
        raise Failed(f"wrk: {said.strip()[-500:]}")
    seen = json.loads(lines[0])
    wrong = {name: count for name, count in seen.items() if name in ("unexpected", "socket_errors", "ran_out") and count}
    if wrong or not seen["answers"]:
        raise Failed(f"wrk: {wrong or 'no answers'} of {seen['answers']} answers: {seen.get('example', '')}")
    return seen["answers"] / seen["seconds"]


def paced_seen(seen):
    for name, stream in seen.items():
        if stream["unexpected"] or not stream["answers"]:
            raise Failed(f"{name}: {stream['unexpected']} of {stream['answers']} answers: {stream['example']}")
    return seen
