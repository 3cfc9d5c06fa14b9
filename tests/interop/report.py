"""What came out: a table for people, JSON for machines."""

import json
import re

from row import STANDARD

_SIGNS = {"passed": "yes", "failed": "FAILED", "none": "–", "refused": "FAILED", "unreachable": "not run"}


def clean(text):
    """Nothing that was a credential stands in a report, though all of them are dead by then."""
    return re.sub(r"jp[jrsu]_[0-9A-Za-z]{49}", "jp?_…", text)


def signs(result):
    """One word for each of the four checks, and the further checks."""
    if [check.name for check in result.checks] == ["install"]:
        word = "not run" if result.checks[0].outcome == "unreachable" else "FAILED"
        return [word] * len(STANDARD), ""
    by_name = {}
    for check in result.checks:
        # A check that was made twice failed when it failed once.
        if by_name.get(check.name) != "FAILED":
            by_name[check.name] = _SIGNS[check.outcome]
    further = [f"{name}{'' if sign == 'yes' else ' ' + sign}" for name, sign in by_name.items() if name not in STANDARD]
    return [by_name.get(name, "FAILED") for name in STANDARD], ", ".join(further)


def cells(result):
    four, further = signs(result)
    return [f"{result.row} {result.version}".strip(), *four, further]


def table(results):
    lines = [["client", *STANDARD, "and"], *map(cells, results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def troubles(results):
    """In plain words, everything that did not pass, and why a check cannot be."""
    for result in results:
        for check in result.checks:
            if check.outcome == "refused":
                yield f"{result.row}: could not be installed: {clean(check.detail)}"
            elif check.outcome == "unreachable":
                yield f"{result.row}: not run: {clean(check.detail)}"
            elif check.outcome == "failed":
                yield f"{result.row}: {check.name} FAILED: {clean(check.detail)}"
            elif check.outcome == "none":
                yield f"{result.row}: {check.name}: –, {check.detail}"


def write(path, version, results):
    rows = [
        {
            "client": result.row,
            "version": result.version,
            "checks": [{**vars(check), "detail": clean(check.detail), "seconds": round(check.seconds, 3)} for check in result.checks],
        }
        for result in results
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"jobpass": version, "rows": rows}, indent=1, ensure_ascii=False) + "\n")
