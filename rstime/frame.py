"""Data frames to Series and back: long and wide tables, an optional grid, covariates.

A row with a value is a measurement, and asked for its clean value; a row without one is a question. What has no row is
missing and not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rstime.answers import answer as answer
from rstime.answers import future_rows as future_rows
from rstime.answers import joint_samples as joint_samples
from rstime.answers import posterior_frame as posterior_frame
from rstime.cells import Cells, Clock, Stamps, localized, sd_column, told, warn
from rstime.cells import Columns as Columns
from rstime.covariates import Known, Static
from rstime.errors import DataError
from rstime.types import Floats, Series

MOST_ENTRIES = 10**9
"""A grid that would make more entries than this is refused."""

LARGEST_SPREAD, LEAST_SPARE = 1.5, 20
"""A grid is too coarse if readings in a bin differ by more than this, in sd, over at least so many of them."""


@dataclass(frozen=True, eq=False)
class Readings:
    """The rows of a long table.

    Attributes
    ----------
    items, variables
        Names.
    item, variable
        (N,) which of these each row is about.
    stamps
        The (N,) stamps.
    value, risk
        (N,) NaN and inf in questions.
    """

    items: tuple[str, ...]
    variables: tuple[str, ...]
    item: NDArray[np.intp]
    variable: NDArray[np.intp]
    stamps: Stamps
    value: Floats
    risk: Floats


def from_long(
    frame: pd.DataFrame,
    columns: Columns | None = None,
    *,
    static: pd.DataFrame | None = None,
    known: pd.DataFrame | None = None,
    grid: str | float | None = None,
    fitting: bool = False,
) -> list[Series]:
    """Read a long table: one Series for each item, in order of appearance.

    Repeated readings of one variable at one time fuse by precision, 1/r^2 = sum_i 1/r_i^2 and y = r^2 sum_i y_i/r_i^2,
    with a warning; an exact reading (sd 0) outweighs all others. Stamps of several offsets from UTC, as on both sides
    of a clock change, become UTC.

    Parameters
    ----------
    frame
        One row for each reading or question; it is not changed.
    columns
        Names of its columns.
    static
        One row for each item: the column of items, and numbers that describe it (empty: not known).
    known
        Numbers known ahead of time: the columns of items and stamps, and one for each covariate. A Series keeps the
        stamps after its last row, for forecasts. At a stamp without a row the item's last one holds.
    grid
        Bin stamps, downwards, to multiples of this (counted from 1970 in UTC, or from 0): "1h", or a number for
        stamps that are numbers. The readings of a bin fuse by precision, exact ones by their mean, as if the signal
        were constant within it (with a warning where they differ by more than their sd says), and the Series has
        every bin from the first to the last. Without a grid stamps stay as they are.
    fitting
        Whether an item without any reading is an error, rather than a warning.

    Raises
    ------
    DataError
        If a column is absent, the table is empty, a value is infinite or text, the sd beside a value is negative or
        empty, a stamp or name is empty, only some stamps have a time zone, exact readings contradict each other at one
        time, a covariate is absent, or (fitting) an item has no reading.
    """
    columns = columns or Columns()
    cells = Cells(frame, (columns.item_id, columns.timestamp, columns.variable))
    cells.require(columns.item_id, columns.timestamp, columns.variable, columns.value)
    item, items = cells.codes(columns.item_id)
    variable, variables = cells.codes(columns.variable)
    stamps = cells.stamps(columns.timestamp)
    value, risk = cells.measured(columns.value, sd_column(cells, columns), columns.variance is not None)
    readings = Readings(items, variables, item, variable, stamps, value, risk)
    return _series(readings, Clock.of(stamps, grid), columns, static, known, fitting)


def from_wide(
    frame: pd.DataFrame,
    *,
    item_id: str = "item_id",
    timestamp: str = "timestamp",
    sd_suffix: str = "_sd",
    static: pd.DataFrame | None = None,
    known: pd.DataFrame | None = None,
    grid: str | float | None = None,
    fitting: bool = False,
) -> list[Series]:
    """Read a wide table: one column for each variable, and where there is noise one for its sd, as `hr` and `hr_sd`.

    An empty cell is a question. Without a column of items all rows are one item named "series". The rest is as in
    from_long.

    Raises
    ------
    DataError
        As from_long.
    """
    frame = frame.rename(columns=str)
    cells = Cells(frame, (item_id, timestamp))
    cells.require(timestamp)
    if item_id in frame.columns:
        item, items = cells.codes(item_id)
    else:
        item, items = np.zeros(len(frame), dtype=np.intp), ("series",)
    stamps = cells.stamps(timestamp)
    others = [name for name in frame.columns if name not in (item_id, timestamp)]
    errors = {name: name + sd_suffix for name in others if name + sd_suffix in others}
    variables = tuple(name for name in others if name not in errors.values())
    if not variables:
        raise DataError("columns", "no column of values", "Give one column for each variable.")
    exact = [name for name in variables if name not in errors]
    if exact:
        warn(f"sd: no column {exact[0] + sd_suffix!r}; taken as exact (sd 0): {', '.join(exact)}.")
    for name in others:
        cells.require(name)
    parts = [cells.measured(name, errors.get(name)) for name in variables]
    count = len(variables)
    readings = Readings(
        items,
        variables,
        np.tile(item, count),
        np.repeat(np.arange(count), len(frame)),
        Stamps(np.tile(stamps.time, count), stamps.timezone),
        np.concatenate([value for value, _ in parts]),
        np.concatenate([risk for _, risk in parts]),
    )
    return _series(readings, Clock.of(stamps, grid), Columns(item_id, timestamp), static, known, fitting)


def to_long(series: Sequence[Series], columns: Columns | None = None) -> pd.DataFrame:
    """Write items as a long table with one row for each entry that is measured or asked; questions have no value."""
    columns = columns or Columns()
    tables = []
    for one in series:
        row, column = np.nonzero(one.observed | one.asked)
        risk = one.risk[row, column]
        risk = np.where(np.isinf(risk), np.nan, risk)
        cells = {
            columns.item_id: np.full(len(row), one.item_id, dtype=object),
            columns.timestamp: localized(one.time[row], one.timezone),
            columns.variable: np.array(one.variables, dtype=object)[column],
            columns.value: one.value[row, column],
            columns.variance or columns.sd: risk if columns.variance is None else risk**2,
        }
        tables.append(pd.DataFrame(cells))
    return pd.concat(tables, ignore_index=True)


def _series(
    readings: Readings,
    clock: Clock,
    columns: Columns,
    static: pd.DataFrame | None,
    known: pd.DataFrame | None,
    fitting: bool,
) -> list[Series]:
    """Fuse readings and spread them over one Series for each item."""
    item, tick, variable, value, risk = _fused(readings, clock)
    future = None if known is None else Known.read(known, columns, readings.stamps, clock)
    about = None if static is None else Static.read(static, columns)
    if about is not None:
        about.check(readings.items)
    edges = np.searchsorted(item, np.arange(len(readings.items) + 1))
    _check_size(tick, edges, clock, len(readings.variables))
    result = []
    for name, low, high in zip(readings.items, edges[:-1], edges[1:], strict=True):
        ticks = clock.filled(np.unique(tick[low:high]))
        ticks, covariates = (ticks, None) if future is None else future.along(name, ticks)
        row = np.searchsorted(ticks, tick[low:high])
        shape = (len(ticks), len(readings.variables))
        values, risks, asked = np.full(shape, np.nan), np.full(shape, np.inf), np.zeros(shape, dtype=bool)
        place = (row, variable[low:high])
        values[place], risks[place], asked[place] = value[low:high], risk[low:high], True
        one = Series(
            name,
            clock.time(ticks),
            readings.variables,
            values,
            risks,
            asked,
            static=np.empty(0) if about is None else about.of(name),
            static_names=() if about is None else about.names,
            known=np.empty((len(ticks), 0)) if covariates is None else covariates,
            known_names=() if future is None else future.names,
            timezone=readings.stamps.timezone,
        )
        result.append(one)
    _check_empty(result, columns, fitting)
    return result


def _fused(
    readings: Readings, clock: Clock
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.intp], Floats, Floats]:
    """Sort rows by item, stamp and variable, and fuse those that agree in all three: item, tick, variable, y, r."""
    tick = clock.ticks(readings.stamps.time)
    order = np.lexsort((readings.variable, tick, readings.item))
    item, tick, variable = readings.item[order], tick[order], readings.variable[order]
    value, risk = readings.value[order], readings.risk[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(item) != 0) | (np.diff(tick) != 0) | (np.diff(variable) != 0)
    start = np.flatnonzero(new)
    if len(start) == len(order):
        return item, tick, variable, value, risk
    _check_copies(readings)
    if clock.step is None:
        _check_repeats(readings, order, start, value, risk)
    fused, least = _fuse(value, risk, start)
    if clock.step is not None:
        run = np.repeat(np.arange(len(start)), np.diff(start, append=len(order)))
        _check_spread(value - fused[run], risk, start, variable, readings.variables)
    return item[start], tick[start], variable[start], fused, least


def _fuse(value: Floats, risk: Floats, start: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Fuse runs of readings by precision; exact ones by their mean; NaN and inf where a run has none."""
    run = np.repeat(np.arange(len(start)), np.diff(start, append=len(value)))
    least = np.minimum.reduceat(risk, start)
    anchor = np.fmin.reduceat(value, start)  # equal readings then fuse to themselves, without rounding
    ratio = np.divide(least[run], risk, out=(risk == least[run]).astype(np.float64), where=(risk > 0) & (risk < np.inf))
    weight = np.where(np.isfinite(risk), ratio**2, 0.0)
    total = np.add.reduceat(weight, start)
    shift = np.add.reduceat(weight * np.nan_to_num(value - anchor[run]), start)
    seen = total > 0
    total[~seen] = 1.0
    return np.where(seen, anchor + shift / total, np.nan), np.where(seen, least / np.sqrt(total), np.inf)


def _check_copies(readings: Readings) -> None:
    """Warn of readings that equal another one in all: if they are copies, they do not make it more precise."""
    keys = {name: getattr(readings, name) for name in ("item", "variable", "value", "risk")}
    again = pd.DataFrame({**keys, "time": readings.stamps.time}).duplicated().to_numpy()
    again &= (readings.risk > 0) & np.isfinite(readings.risk)
    if np.any(again):
        row = int(np.argmax(again))
        first = f"{readings.value[row]} of {readings.variables[readings.variable[row]]!r}"
        first += f" of item {readings.items[readings.item[row]]!r} at {_when(readings, row)}"
        problem = f"{int(again.sum())} readings repeat the time, value and sd of another one ({first})"
        warn(f"value: {problem}. They count as readings of their own; if they are copies, leave them out.")


def _when(readings: Readings, row: int) -> str:
    return told(readings.stamps.time[[row]], readings.stamps.timezone)


def _check_repeats(
    readings: Readings, order: NDArray[np.intp], start: NDArray[np.intp], value: Floats, risk: Floats
) -> None:
    """Refuse exact readings that contradict each other at one time; warn of other repeats."""

    def where(run: int) -> str:
        row = order[start[run]]
        variable, item = readings.variables[readings.variable[row]], readings.items[readings.item[row]]
        return f"{variable!r} of item {item!r} at {_when(readings, row)}"

    exact = np.where(risk == 0, value, np.nan)
    low, high = np.fmin.reduceat(exact, start), np.fmax.reduceat(exact, start)
    if np.any(low < high):
        run = int(np.argmax(low < high))
        remedy = "Keep one, give them an sd above 0, or set a grid to average them."
        raise DataError(
            "value", f"exact readings {low[run]} and {high[run]} contradict each other, {where(run)}", remedy
        )
    count = np.add.reduceat(np.isfinite(risk).astype(np.intp), start)
    if np.any(count > 1):
        first = where(int(np.argmax(count > 1)))
        warn(f"value: {int((count > 1).sum())} entries were read more than once and are fused by precision ({first}).")


def _check_spread(
    shift: Floats, risk: Floats, start: NDArray[np.intp], variable: NDArray[np.intp], names: Sequence[str]
) -> None:
    """Warn of variables whose readings differ within a bin by more than their sd explains: the grid is too coarse.

    For readings of a constant the sum of (shift / r)^2 over a bin of n has the mean n - 1.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.where(shift == 0, 0.0, (shift / risk) ** 2)  # infinite where exact readings differ
    seen = np.isfinite(risk)
    total = np.bincount(variable[seen], squares[seen], len(names))
    spare = np.bincount(variable[seen], minlength=len(names))
    spare -= np.bincount(variable[start], np.logical_or.reduceat(seen, start), len(names)).astype(spare.dtype)
    ratio = np.sqrt(total / np.maximum(spare, 1))
    far = [place for place in np.argsort(-ratio) if spare[place] >= LEAST_SPARE and ratio[place] > LARGEST_SPREAD]
    if far:
        told = ", ".join(f"{names[place]} ({ratio[place]:.3g} times)" for place in far[:5])
        told += f" and {len(far) - 5} more" if len(far) > 5 else ""
        problem = f"readings within a bin differ by more than their sd says, for {told}"
        warn(f"grid: {problem}. The bands will be too narrow there: use a finer grid, or none.")


def _check_size(tick: NDArray[np.int64], edges: NDArray[np.intp], clock: Clock, variables: int) -> None:
    if clock.step is None:
        return
    bins = sum(int(tick[high - 1] - tick[low]) + 1 for low, high in pairwise(edges))
    if bins * variables > MOST_ENTRIES:
        raise DataError("grid", f"{bins} bins of {variables} variables are too many", "Use a coarser grid, or none.")


def _check_empty(series: Sequence[Series], columns: Columns, fitting: bool) -> None:
    """Refuse items without any reading in fitting, and warn of such variables; else warn that items get the prior."""
    if fitting:
        seen = np.logical_or.reduce([one.observed.any(0) for one in series])
        never = ", ".join(repr(name) for name, found in zip(series[0].variables, seen, strict=True) if not found)
        if never and seen.any():
            warn(f"{columns.variable}: no reading of {never}; what a model answers there means nothing.")
    empty = [one.item_id for one in series if not one.observed.any()]
    if not empty:
        return
    problem = f"{len(empty)} of {len(series)} items without any reading, the first is {empty[0]!r}"
    if fitting:
        raise DataError(columns.item_id, problem, "Leave such items out when fitting.")
    warn(f"{columns.item_id}: {problem}; their answer is the prior.")
