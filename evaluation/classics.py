"""Simple baselines of a Task: naive forecasts with bands, carried-forward and interpolated values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import ndtri

from rstime.evaluation.baselines import Settings
from rstime.evaluation.protocol import Task
from rstime.types import Floats, Posterior, Series


def gaussian_answer(item: Series, mean: Floats, sd: Floats, samples: int) -> Posterior:
    """Return N(mean, sd^2) of each entry, both (T, C), as its quantiles at rank / (S + 1): marginals, no paths."""
    z = ndtri(np.arange(1, samples + 1) / (samples + 1))
    return Posterior(item, mean + sd * z[:, None, None])


# ---- naive forecasts -----------------------------------------------------------------------------------------------


def naive(task: Task, settings: Settings, season: int = 1) -> Iterator[Posterior]:
    """Forecast the last reading of the same phase of the season, with Gaussian bands that widen by the season.

    y_(t + d m) ~ N(y_t, d s^2), s^2 the mean square of y_t - y_(t - m) in the item's past (Hyndman and Athanasopoulos
    2021, sec. 5.5); readings that are missing are passed over.
    """
    for item in task.test:
        mean, sd = (np.zeros(item.value.shape) for _ in range(2))
        for column in range(item.value.shape[1]):
            mean[:, column], sd[:, column] = _naive(item.value[:, column], season)
        yield gaussian_answer(item, mean, sd, settings.samples)


def seasonal_naive(task: Task, settings: Settings) -> Iterator[Posterior]:
    """Forecast by `naive` with the season of the task."""
    return naive(task, settings, task.season)


def _naive(value: Floats, season: int) -> tuple[Floats, Floats]:
    """Mean and sd (T,): readings as they are, the others by the last one of their phase."""
    step = np.arange(len(value))
    read = np.isfinite(value)
    if not read.any():
        return np.zeros(len(value)), np.ones(len(value))
    gap = value[season:] - value[:-season] if season < len(value) else np.diff(value)
    gap = gap[np.isfinite(gap)]
    spread = float(np.sqrt(np.mean(gap**2))) if gap.size else float(np.nanstd(value))
    last = np.where(read, step, -1)
    for phase in range(season):
        last[phase::season] = np.maximum.accumulate(last[phase::season])
    newest = int(np.flatnonzero(read)[-1])
    last = np.where(last < 0, newest, last)
    seasons = np.maximum(np.ceil(np.abs(step - last) / season), 0)
    return value[last], spread * np.sqrt(seasons)


# ---- points --------------------------------------------------------------------------------------------------------


def carried(task: Task, settings: Settings) -> Iterator[Posterior]:
    """Impute the last reading, before the first one that; the mean of training without any. One sample: no bands."""
    centre = centres(task.train)
    for item in task.test:
        filled = np.empty(item.value.shape)
        for column, value in enumerate(item.value.T):
            rows = np.flatnonzero(np.isfinite(value))
            place = np.searchsorted(rows, np.arange(len(value)), side="right") - 1
            filled[:, column] = value[rows[np.maximum(place, 0)]] if rows.size else centre[column]
        yield Posterior(item, filled[None])


def interpolated(task: Task, settings: Settings) -> Iterator[Posterior]:
    """Impute linearly in time, constant beyond the readings; the mean of training without any. One sample: no bands."""
    centre = centres(task.train)
    for item in task.test:
        yield Posterior(item, fill(item, centre)[None])


def fill(item: Series, centre: Floats) -> Floats:
    """Fill what is missing linearly in time, (T, C); with the (C,) centre where a variable has no reading."""
    time = (item.time - item.time[0]).astype(np.float64)
    filled = np.empty(item.value.shape)
    for column, value in enumerate(item.value.T):
        rows = np.isfinite(value)
        filled[:, column] = np.interp(time, time[rows], value[rows]) if rows.any() else centre[column]
    return filled


def centres(items: Sequence[Series]) -> Floats:
    """(C,) mean reading of each variable; 0 where there is none."""
    value = np.concatenate([item.value for item in items])
    known = np.isfinite(value)
    return np.asarray(np.where(known, value, 0.0).sum(0) / np.maximum(known.sum(0), 1))
