"""What came out: a table for people, JSON for machines, and the picture. All are written whatever failed."""

import json
import os

_HEAD = ["figure", "value", "", "floor or peer", "ratio", "reach", "aim", ""]


class Results:
    """By name: a figure, or why there is none."""

    def __init__(self, about, reaches):
        self.about = about
        self.reaches = reaches
        self.figures, self.failures = {}, {}

    def add(self, figures):
        self.figures |= figures

    def fail(self, names, reason):
        self.failures |= {name: " ".join(str(reason).split())[:600] for name in names}

    def document(self):
        document = {}
        for name, figure in self.figures.items():
            reach = self.reaches.get(name)
            document[name] = {
                "value": figure.value, "unit": figure.unit, "floor": figure.floor, "ratio": figure.ratio, **figure.more,
                "reach": reach and reach.reach, "aim": reach and reach.aim, "reached": reach and reach.is_met_by(figure),
            }  # fmt: skip
        document |= {name: {"failed": reason} for name, reason in self.failures.items()}
        return document | {"about": self.about}

    def write(self, folder, pictures):
        folder.mkdir(parents=True, exist_ok=True)
        for name, svg in pictures.items():
            (folder / f"{name}.svg").write_text(svg)
        # Whole or not at all, so that nobody reads half of it.
        fresh = folder / "results.json.new"
        fresh.write_text(json.dumps(self.document(), indent=1, ensure_ascii=False) + "\n")
        os.replace(fresh, folder / "results.json")

    def table(self):
        lines = [_HEAD]
        for name, figure in self.figures.items():
            reach = self.reaches.get(name)
            wished = [_bound(reach, reach.reach), _bound(reach, reach.aim)] if reach else ["", ""]
            met = "" if reach is None else "" if reach.is_met_by(figure) else "missed"
            lines.append([name, short(figure.value), figure.unit, short(figure.floor), short(figure.ratio), *wished, met])
        lines += [[name, "failed"] + [""] * 6 for name in self.failures]
        widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
        # Words to the left, numbers to the right.
        aligned = [str.ljust, str.rjust, str.ljust, str.rjust, str.rjust, str.rjust, str.rjust, str.ljust]
        return "\n".join("  ".join(to(cell, width) for to, cell, width in zip(aligned, line, widths)).rstrip() for line in lines)


def short(number):
    """Three digits that count; no more are worth reading."""
    if number is None:
        return ""
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def _bound(reach, number):
    sign = "≤" if reach.at_most else "≥"
    return f"{sign} {number:g}{' ×' if reach.of == 'times' else ''}"
