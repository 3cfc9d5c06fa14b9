"""Drivers in other languages, run where their client is."""

import shutil
from pathlib import Path

DRIVERS = Path(__file__).resolve().parent / "drivers"


def node(it, driver, asked):
    """Node looks for packages beside the program's own file, so the drivers are copied beside them."""
    folder = it.kit[0].path
    for file in DRIVERS.glob("*.mjs"):
        shutil.copy(file, folder)
    it.drive(["node", folder / driver], asked)


def python(it, driver, asked):
    """By the Python of the venv; -B: no caches of Python in the project."""
    it.drive([it.kit[0].program("python"), "-B", DRIVERS / driver], asked)
