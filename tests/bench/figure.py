"""A figure, and the list of all: which function measures which."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """`ratio` is ours over the floor's or peer's: rates as they are, times inverted."""

    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    more: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Reach:
    """What the figure ought to be: at least, or at most, of the ratio where there is one and else of the value."""

    reach: float
    aim: float
    at_most: bool = False
    of: str = "ratio"

    def is_met_by(self, figure):
        value = figure.more[self.of] if self.of in figure.more else getattr(figure, self.of)
        return value <= self.reach if self.at_most else value >= self.reach


@dataclass(frozen=True)
class Family:
    """Figures that are measured together, since they stand side by side."""

    names: dict
    measure: object


FAMILIES = []


def at_least(reach, aim):
    return Reach(reach, aim)


def at_most(reach, aim, of="value"):
    return Reach(reach, aim, at_most=True, of=of)


def figures(**names):
    """Marks a function that answers these figures by name; each with what is wished of it, or None."""

    def add(measure):
        FAMILIES.append(Family(names, measure))
        return measure

    return add


def over(ours, floor, unit="1/s", **more):
    """A rate beside another."""
    return Figure(ours, unit, floor, ours / floor, more)
