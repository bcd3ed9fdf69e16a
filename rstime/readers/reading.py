"""What a reader returns: a long table, and a count of every row that was left out, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd

from rstime.errors import ConfigError
from rstime.risk.units import canonical, is_given

Variables: TypeAlias = Mapping[Any, Sequence[str | None]]
"""Code of the source -> (name of the variable, unit to convert to); unit None leaves units as they are found."""


@dataclass(frozen=True)
class Count:
    """How many rows something happened to.

    Attributes
    ----------
    reason
        What happened.
    count
        To how many rows.
    example
        The first of them.
    """

    reason: str
    count: int
    example: str


@dataclass(frozen=True)
class Report:
    """What became of the rows of a source; rows = kept + the sum of all counts in `drops`.

    Attributes
    ----------
    source
        The file or folder.
    rows, kept
        Rows read, and rows in the table.
    drops
        Rows that were left out, by reason, the most frequent one first; each row has one reason.
    notes
        Rows that were kept, but not as they stood.
    """

    source: str
    rows: int
    kept: int
    drops: tuple[Count, ...] = ()
    notes: tuple[Count, ...] = ()

    @property
    def dropped(self) -> int:
        """Rows that were left out."""
        return sum(one.count for one in self.drops)

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.rows} rows read, {self.kept} kept, {self.dropped} dropped"]
        for title, counts in (("dropped", self.drops), ("noted", self.notes)):
            lines += [f"  {title} {one.count}: {one.reason} ({one.example})" for one in counts]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Reading:
    """A long table and what was left out of it.

    Attributes
    ----------
    frame
        Columns item_id, timestamp, variable, value, sd (NaN where the source does not know it), unit; device, quality
        and censored where the source has them. Ready for `rstime.risk.sensors.assign_risk`, then `rstime.from_long`.
    report
        Rows read, kept, dropped.
    """

    frame: pd.DataFrame
    report: Report


def checked(variables: Variables | None) -> dict[str, tuple[str, str | None]] | None:
    """Return the mapping with codes as text and units as UCUM codes.

    Raises
    ------
    ConfigError
        If an entry is not a pair of a name and a unit, or a variable is given two units.
    DataError
        If a unit is not known.
    """
    if variables is None:
        return None
    result: dict[str, tuple[str, str | None]] = {}
    for code, pair in variables.items():
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not is_given(pair[0]):
            raise ConfigError("variables", f"{code!r} is mapped to {pair!r}", "Give code: (name, unit).")
        result[str(code)] = (str(pair[0]), canonical(pair[1]) if is_given(pair[1]) else None)
    units: dict[str, str | None] = {}
    for name, unit in result.values():
        if units.setdefault(name, unit) != unit:
            raise ConfigError("variables", f"{name!r} in {units[name]!r} and {unit!r}", "Give each variable one unit.")
    return result
