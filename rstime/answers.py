"""Posteriors as data frames: the rows of a table answered, future rows, joint samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from rstime.cells import Cells, Clock, Columns, localized, sd_column
from rstime.errors import ConfigError, DataError
from rstime.types import Bools, Floats, Posterior, Series

LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""The default levels of quantiles: .05, .1, ... .95."""

Entries: TypeAlias = Literal["all", "missing", "noisy"]


def answer(
    table: pd.DataFrame,
    posteriors: Sequence[Posterior],
    columns: Columns | None = None,
    *,
    quantiles: Sequence[float] = LEVELS,
    entries: Entries = "all",
    grid: str | float | None = None,
) -> pd.DataFrame:
    """Add to the rows of a long table, in order, the posterior of each one's clean value.

    Parameters
    ----------
    table
        The table that the posteriors' series were read from; it is not changed.
    posteriors
        One for each item, in any order.
    columns
        Names of the columns of the table.
    quantiles
        Levels; each becomes a column named like "0.05", after "mean" and "std".
    entries
        Which rows to answer: all, those without a measurement, or those with one of sd > 0. The others stay empty, as
        do entries without samples.
    grid
        The grid that the series were read with.

    Raises
    ------
    DataError
        If the table is no data frame, what it is answered by are no posteriors, a row has none, or the table already
        has one of the new columns.
    ConfigError
        If a level is not between 0 and 1, or `entries` is another word.
    """
    _check_kinds(table, posteriors)
    columns, names = columns or Columns(), level_names(quantiles)
    for name in names:
        if name in table.columns:
            raise DataError(name, "the table already has a column of this name", "Rename or drop it.")
    cells = Cells(table, (columns.item_id, columns.timestamp, columns.variable))
    cells.require(columns.item_id, columns.timestamp, columns.variable, columns.value)
    chosen = _chosen(cells, columns, entries)
    item, items = cells.codes(columns.item_id)
    variable, variables = cells.codes(columns.variable)
    stamps = cells.stamps(columns.timestamp)
    clock = Clock.of(stamps, grid)
    tick = clock.ticks(stamps.time)
    remedy = "Answer the table that was imputed, and give the grid that it was read with, if any: grid=..."
    by_name = {one.series.item_id: one for one in posteriors}
    result = np.full((len(table), len(names)), np.nan)
    order = np.argsort(item, kind="stable")
    edges = np.searchsorted(item[order], np.arange(len(items) + 1))
    for name, low, high in zip(items, edges[:-1], edges[1:], strict=True):
        rows = order[low:high][chosen[order[low:high]]]
        if not len(rows):
            continue
        if name not in by_name:
            raise DataError(columns.item_id, f"no posterior for item {name!r}", "Impute the table that is answered.")
        posterior = by_name[name]
        place = _places(posterior.series, clock, variables, tick[rows], variable[rows])
        cells.refuse(columns.timestamp, _spread(len(table), rows[place[0] < 0]), remedy)
        result[rows] = summary(posterior.samples[:, place[0], place[1]], quantiles)
    added = pd.DataFrame(result, columns=pd.Index(names), index=table.index)
    return pd.concat([table, added], axis=1)


def posterior_frame(
    posteriors: Sequence[Posterior], columns: Columns | None = None, quantiles: Sequence[float] = LEVELS
) -> pd.DataFrame:
    """Write one row for each entry that is asked: item, stamp, variable, measured value and sd, mean, std, levels."""
    columns, names = columns or Columns(), level_names(quantiles)
    tables = []
    for one in posteriors:
        row, column = np.nonzero(one.series.asked)
        table = _keys(one.series, row, column, columns)
        risk = one.series.risk[row, column]
        table[columns.value] = one.series.value[row, column]
        table[columns.sd] = np.where(np.isinf(risk), np.nan, risk)
        numbers = summary(one.samples[:, row, column], quantiles)
        tables.append(pd.concat([table, pd.DataFrame(numbers, columns=pd.Index(names))], axis=1))
    return pd.concat(tables, ignore_index=True)


def future_rows(
    posteriors: Sequence[Posterior], columns: Columns | None = None, quantiles: Sequence[float] = LEVELS
) -> pd.DataFrame:
    """Write one row for each entry that is asked and was not measured, as posterior_frame without value and sd."""
    columns = columns or Columns()
    table = posterior_frame(posteriors, columns, quantiles)
    future = table[columns.value].isna()
    return table[future].drop(columns=[columns.value, columns.sd]).reset_index(drop=True)


def joint_samples(posteriors: Sequence[Posterior], columns: Columns | None = None) -> pd.DataFrame:
    """Write every sample of every entry that has one: item, stamp, variable, number of the sample (from 0), value.

    Rows of one item and one number are one joint draw.
    """
    columns = columns or Columns()
    tables = []
    for one in posteriors:
        row, column = np.nonzero(one.series.asked & ~np.isnan(one.samples).any(0))
        count = len(one.samples)
        table = _keys(one.series, np.tile(row, count), np.tile(column, count), columns)
        table["sample"] = np.repeat(np.arange(count), len(row))
        table[columns.value] = one.samples[:, row, column].ravel()
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def anomaly_frame(series: Sequence[Series], scores: Sequence[Floats], columns: Columns | None = None) -> pd.DataFrame:
    """Write a row for each asked measurement: item, stamp, variable, value, sd, score z, P(|Z| >= |z|), surprise.

    Parameters
    ----------
    series
        The items.
    scores
        (2, T, C) normal score and surprise of each item's measurements.
    columns
        Names of the columns.
    """
    columns = columns or Columns()
    tables = []
    for one, (score, surprise) in zip(series, scores, strict=True):
        row, column = np.nonzero(one.asked & np.isfinite(score))
        table = _keys(one, row, column, columns)
        table[columns.value], table[columns.sd] = one.value[row, column], one.risk[row, column]
        table["score"] = score[row, column]
        table["p"] = 2 * ndtr(-np.abs(score[row, column]))
        table["surprise"] = surprise[row, column]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def summary(samples: NDArray[Any], quantiles: Sequence[float]) -> Floats:
    """(N, 2 + L) mean, standard deviation and L quantiles of samples (S, N); NaN where there is none."""
    ddof = 1 if len(samples) > 1 else 0
    levels = np.quantile(samples, list(quantiles), axis=0, method="weibull")
    shift = samples - samples[0]  # so that equal samples, of an exact reading, come out unchanged
    parts = [(samples[0] + shift.mean(0))[None], shift.std(0, ddof=ddof)[None], levels]
    return np.concatenate(parts).T.astype(np.float64)


def level_names(quantiles: Sequence[float]) -> list[str]:
    """Names of the columns that a summary fills."""
    for level in quantiles:
        if not 0 < level < 1:
            raise ConfigError("quantiles", f"level {level}", "Give levels between 0 and 1.")
    return ["mean", "std", *(f"{level:g}" for level in quantiles)]


def _check_kinds(table: object, posteriors: object) -> None:
    """Raise DataError unless these are a data frame and posteriors."""
    remedy = "Give answer(table, posteriors) a data frame, and what model.impute(...) returned."
    if not isinstance(table, pd.DataFrame):
        raise DataError("table", f"{type(table).__name__} where a data frame was expected", remedy)
    odd = [posteriors]
    if isinstance(posteriors, Sequence):
        odd = [one for one in posteriors if not isinstance(one, Posterior)]
    if odd:
        raise DataError("posteriors", f"{type(odd[0]).__name__} where a list of Posterior was expected", remedy)


def _chosen(cells: Cells, columns: Columns, entries: str) -> Bools:
    """(N,) rows to answer."""
    if entries == "all":
        return np.ones(len(cells.frame), dtype=bool)
    _, risk = cells.measured(columns.value, sd_column(cells, columns), columns.variance is not None)
    if entries == "missing":
        return np.isinf(risk)
    if entries == "noisy":
        return np.asarray((risk > 0) & (risk < np.inf))
    raise ConfigError("entries", f"{entries!r}", 'Choose "all", "missing" or "noisy".')


def _places(
    series: Series,
    clock: Clock,
    variables: tuple[str, ...],
    tick: NDArray[np.int64],
    variable: NDArray[np.intp],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of entries in a series; row -1 where it has no such entry."""
    own = clock.ticks(series.time)
    column = np.array([series.variables.index(name) if name in series.variables else -1 for name in variables])[
        variable
    ]
    row = np.minimum(np.searchsorted(own, tick), len(own) - 1)
    return np.where((own[row] == tick) & (column >= 0), row, -1), column


def _spread(count: int, rows: NDArray[np.intp]) -> Bools:
    wrong = np.zeros(count, dtype=bool)
    wrong[rows] = True
    return wrong


def _keys(series: Series, row: NDArray[np.intp], column: NDArray[np.intp], columns: Columns) -> pd.DataFrame:
    return pd.DataFrame(
        {
            columns.item_id: np.full(len(row), series.item_id, dtype=object),
            columns.timestamp: localized(series.time[row], series.timezone),
            columns.variable: np.array(series.variables, dtype=object)[column],
        }
    )
