"""Numbers in the PROVENANCE.md beside real data, and the same numbers of what a loader gives."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

LINE = re.compile(
    r"^- (?P<name>[^\n]+?): n=(?P<n>\d+), missing (?P<missing>[\d.]+) %, mean (?P<mean>\S+), sd (?P<sd>\S+), "
    r"min (?P<min>\S+), max (?P<max>\S+)$",
    flags=re.M,
)


def read(folder: Path) -> str:
    return (folder / "PROVENANCE.md").read_text(encoding="utf-8")


def channels(folder: Path) -> dict[str, dict[str, str]]:
    """Printed numbers of each channel, as text."""
    found = {match["name"]: match.groupdict() for match in LINE.finditer(read(folder))}
    assert found
    return found


def printed(value: np.ndarray) -> dict[str, str]:
    """The same numbers of one channel, as the file prints them: four digits, missing with one after the point."""
    known = value[~np.isnan(value)]
    numbers = {"mean": known.mean(), "sd": known.std(ddof=1), "min": known.min(), "max": known.max()}
    share = {"n": str(len(known)), "missing": f"{100 * (1 - len(known) / len(value)):.1f}"}
    return share | {name: f"{number:.4g}" for name, number in numbers.items()}


def check(folder: Path, columns: dict[str, np.ndarray]) -> None:
    """Compare all channels of the file with columns of these names, to the printed digits."""
    wanted = channels(folder)
    assert {name: {"name": name} | printed(columns[name]) for name in wanted} == wanted
    assert set(columns) == set(wanted)
