"""Covariates of items: static numbers, and numbers known ahead of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rstime.cells import Cells, Clock, Columns, Stamps, told, warn
from rstime.errors import DataError
from rstime.types import Floats


@dataclass(frozen=True, eq=False)
class Static:
    """Numbers that describe items as a whole.

    Attributes
    ----------
    names
        The S names.
    rows
        (S,) by item; NaN where not known.
    """

    names: tuple[str, ...]
    rows: Mapping[str, Floats]

    @classmethod
    def read(cls, frame: pd.DataFrame, columns: Columns) -> Static:
        """Read a table with one row for each item.

        Raises
        ------
        DataError
            If an item has two rows, or a cell is text or infinite.
        """
        cells = Cells(frame.rename(columns=str), (columns.item_id,))
        names, table = _numbers(cells, (columns.item_id,))
        item, items = cells.codes(columns.item_id)
        repeated = pd.Series(item).duplicated().to_numpy()
        cells.refuse(columns.item_id, repeated, "Give each item one row in the static table.")
        return cls(names, {items[code]: row for code, row in zip(item, table, strict=True)})

    def check(self, items: Sequence[str]) -> None:
        """Warn of items without a row."""
        absent = [name for name in items if name not in self.rows]
        if absent:
            problem = f"no row for {len(absent)} of {len(items)} items, the first is {absent[0]!r}"
            warn(f"static: {problem}; their numbers count as not known.")

    def of(self, item_id: str) -> Floats:
        """(S,) of one item, all NaN if it has no row."""
        return self.rows.get(item_id, np.full(len(self.names), np.nan))


@dataclass(frozen=True, eq=False)
class Known:
    """Numbers known ahead of time.

    Attributes
    ----------
    names
        The K names.
    rows
        By item: increasing ticks (N,) and numbers (N, K).
    clock, timezone
        How ticks are read.
    """

    names: tuple[str, ...]
    rows: Mapping[str, tuple[NDArray[np.int64], Floats]]
    clock: Clock
    timezone: str | None

    @classmethod
    def read(cls, frame: pd.DataFrame, columns: Columns, stamps: Stamps, clock: Clock) -> Known:
        """Read a table with one row for each item and stamp; the rows of one stamp or bin are averaged.

        Raises
        ------
        DataError
            If its stamps are not of the kind that the readings have, or a cell is empty, text or infinite.
        """
        cells = Cells(frame.rename(columns=str), (columns.item_id, columns.timestamp))
        names, table = _numbers(cells, (columns.item_id, columns.timestamp))
        for name, column in zip(names, table.T, strict=True):
            cells.refuse(name, np.isnan(column), "Known covariates need a number in every row.")
        own = cells.stamps(columns.timestamp)
        if own.kind != stamps.kind:
            problem = f"{own.kind} in the known table where the readings have {stamps.kind}"
            raise DataError(columns.timestamp, problem, "Use stamps of one kind.")
        item, items = cells.codes(columns.item_id)
        tick = clock.ticks(own.time)
        means = pd.DataFrame(table).groupby([item, tick], sort=True).mean()
        item, tick = (np.asarray(means.index.get_level_values(level)) for level in (0, 1))
        edges = np.searchsorted(item, np.arange(len(items) + 1))
        spans = [slice(low, high) for low, high in pairwise(edges)]
        values = means.to_numpy(dtype=np.float64)
        rows = {name: (tick[span], values[span]) for name, span in zip(items, spans, strict=True)}
        return cls(names, rows, clock, own.timezone)

    def along(self, item_id: str, ticks: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        """Add the item's later stamps to its own, and give the numbers (T, K) that hold at each.

        Raises
        ------
        DataError
            If the item has no row at or before a stamp.
        """
        own, values = self.rows.get(item_id, (ticks[:0], np.empty((0, len(self.names)))))
        ticks = self.clock.filled(np.concatenate([ticks, own[own > ticks[-1]]]))
        place = np.searchsorted(own, ticks, side="right") - 1
        if place[0] < 0:
            time = told(self.clock.time(ticks[:1]), self.timezone)
            remedy = "Give known covariates for every stamp of every item."
            raise DataError("known", f"no row for item {item_id!r} at or before {time}", remedy)
        return ticks, values[place]


def _numbers(cells: Cells, keys: tuple[str, ...]) -> tuple[tuple[str, ...], Floats]:
    """Names (K,) and numbers (N, K) of all columns but the keys."""
    names = tuple(name for name in cells.frame.columns if name not in keys)
    cells.require(*keys, *names)
    table = np.empty((len(cells.frame), len(names)))
    for place, name in enumerate(names):
        table[:, place] = cells.numbers(name)
        cells.refuse(name, np.isinf(table[:, place]), "Give a finite number.")
    return names, table
