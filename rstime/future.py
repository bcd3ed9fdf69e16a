"""Stamps after the last measurement: what a forecast asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rstime.axis import Axis
from rstime.errors import DataError
from rstime.types import Series
from rstime.windows import NEAR


def extend(series: Series, horizon: int, axis: Axis, window: float) -> tuple[Series, int]:
    """Ask for the stamps after the last measurement, and keep as much of the past as a window uses.

    Parameters
    ----------
    series
        One item; stamps after its last measurement (of known covariates) are kept as the future.
    horizon
        Steps to forecast.
    axis, window
        Of the model.

    Returns
    -------
    series, first
        Past and future, nothing asked but the future; index of the first future stamp.

    Raises
    ------
    DataError
        If known covariates do not cover the horizon.
    """
    seen = np.flatnonzero(series.observed.any(1))
    last = int(seen[-1]) if len(seen) else len(series.time) - 1
    steps = axis.steps(series.time)
    end = steps[last] + horizon
    if series.known_names:
        if steps[-1] < end - 1 + NEAR:
            have = steps[-1] - steps[last]
            raise DataError(
                "known",
                f"covariates of item {series.item_id!r} end {have:g} steps after its last measurement, "
                f"{horizon} are asked",
                "Give the known covariates of the whole horizon.",
            )
        rows = np.flatnonzero(steps <= end + NEAR)
        time, known = series.time[rows], series.known[rows]
    else:
        gap = np.arange(1, horizon + 1) * axis.step
        ahead = np.round(gap * 1e9).astype("timedelta64[ns]") if axis.calendar else gap
        time = np.concatenate([series.time[: last + 1], series.time[last] + ahead])
        known = np.empty((len(time), 0))
    shape = (len(time), len(series.variables))
    value, risk = np.full(shape, np.nan), np.full(shape, np.inf)
    value[: last + 1], risk[: last + 1] = series.value[: last + 1], series.risk[: last + 1]
    asked = np.zeros(shape, dtype=bool)
    asked[last + 1 :] = True
    first = int(np.searchsorted(axis.steps(time), end - max(window, horizon + window / 2) + 1 - NEAR))
    first = min(first, last)
    kept = replace(
        series,
        time=time[first:],
        value=value[first:],
        risk=risk[first:],
        asked=asked[first:],
        known=known[first:],
    )
    return kept, last + 1 - first
