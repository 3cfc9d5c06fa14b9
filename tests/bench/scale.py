"""How much is measured: all of it, or so little that it only shows that the harness works."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    name: str
    rounds: int
    """How long one round of one thing is loaded, in seconds."""
    seconds: float
    """Tokens in the databases of the picture; the first and the last are compared."""
    sizes: tuple
    """Tokens of the database in which each is asked about once."""
    cold: int
    cached: int
    expired: int
    revocations: int
    """The whole run ends within so many minutes: what comes to its turn later fails, and says so."""
    minutes: int

    def label(self, size):
        return next(f"{size // unit} {word}" for unit, word in ((10**6, "million"), (10**3, "thousand"), (1, "")) if size >= unit).strip()


FULL = Scale("full", 3, 5.0, (10_000, 100_000, 1_000_000, 10_000_000), 1_000_000, 10_000, 10_000_000, 240, 72)
QUICK = Scale("quick", 1, 1.0, (1_000, 10_000), 10_000, 1_000, 20_000, 10, 12)


def named(name):
    for scale in (FULL, QUICK):
        if name == scale.name:
            return scale
    raise SystemExit(f"BENCH={name}: it is full or quick")
