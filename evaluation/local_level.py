"""A random walk read with noise of known size, by the Kalman filter: the simplest method that takes risk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rstime.evaluation.baselines import Settings
from rstime.evaluation.classics import gaussian_answer
from rstime.evaluation.protocol import Task
from rstime.types import Floats, Posterior, Series

GRIDS = tuple(10.0 ** np.linspace(*ends) for ends in ((-7, 0.5, 16), (-0.5, 0.5, 7), (-0.16, 0.16, 5)))
"""Factors tried one grid after another, of the variance of a step and of the unknown noise: first of the variance of
the readings, then of the best so far."""

WIDE = 100.0
"""Variance of the first level of a forecast, in variances of the item's readings."""

LEARN = 500
"""Training items that the parameters of an imputation are chosen on, at most."""


@dataclass(frozen=True, eq=False)
class Columns:
    """One variable of N items side by side, padded in front to T stamps.

    Attributes
    ----------
    value, variance
        (N, T) readings, 0 where missing, and the variance of their noise, inf where missing.
    step
        (N, T) time since the stamp before, in usual steps; 1 where something is forecast, as business days are even.
    centre, spread
        (N,) mean and variance of the level before the first stamp.
    """

    value: Floats
    variance: Floats
    step: Floats
    centre: Floats
    spread: Floats

    @classmethod
    def of(cls, items: Sequence[Series], column: int, usual: float | None) -> Columns:
        """Put a variable of items side by side, with the mean and variance of each one's readings; even if no step."""
        shape = (len(items), max(len(item.time) for item in items))
        value, variance, step = np.zeros(shape), np.full(shape, np.inf), np.ones(shape)
        for row, item in enumerate(items):
            first = shape[1] - len(item.time)
            value[row, first:] = np.where(item.observed[:, column], item.value[:, column], 0.0)
            variance[row, first:] = item.risk[:, column] ** 2
            if usual is not None:
                step[row, first + 1 :] = np.diff(item.time).astype(np.float64) / usual
        known = np.isfinite(variance)
        count = np.maximum(known.sum(1), 1)
        centre = value.sum(1) / count
        return cls(value, variance, step, centre, (np.where(known, value - centre[:, None], 0.0) ** 2).sum(1) / count)

    def pooled(self, others: Columns) -> Columns:
        """Return the same with mean and variance of all readings of `others`."""
        read = others.value[np.isfinite(others.variance)]
        mean, variance = (read.mean(), read.var()) if read.size else (0.0, 1.0)
        ones = np.ones(len(self.centre))
        return replace(self, centre=mean * ones, spread=variance * ones)


def local_level(task: Task, settings: Settings, unknown: bool = False) -> Iterator[Posterior]:
    """Answer by x_t = x_(t-1) + N(0, q), y_t = x_t + N(0, r_t^2): the Kalman smoother, its marginals as quantiles.

    Durbin and Koopman 2012, ch. 2. q is the most likely one of a grid: of each item where something is forecast, of
    each variable on training items where something is imputed.

    Parameters
    ----------
    task, settings
        What is asked, and the number of samples.
    unknown
        Take one variance of the noise for all readings, chosen along with q, instead of their risk.
    """
    forecast = any(mask.any() for mask in task.future)
    gaps = np.concatenate([np.diff(item.time).astype(np.float64) for item in task.train])
    usual = None if forecast else float(np.median(gaps))
    mean, variance = [], []
    for column in range(len(task.test[0].variables)):
        asked = Columns.of(task.test, column, usual)
        if forecast:
            learn = asked = replace(asked, spread=WIDE * asked.spread)
            unit = asked.spread / WIDE
        else:
            learn = Columns.of(task.train[:LEARN], column, usual)
            asked, learn = asked.pooled(learn), learn.pooled(learn)
            unit = learn.spread
        q, noise = _fit(learn, np.maximum(unit, 1e-300), unknown, each=forecast)
        if not forecast:
            q, noise = (np.full(len(task.test), part[0]) for part in (q, noise))
        level, doubt = _smooth(asked, q, noise)
        mean.append(level)
        variance.append(doubt)
    for row, item in enumerate(task.test):
        level, doubt = (np.stack([part[row] for part in parts], axis=-1) for parts in (mean, variance))
        last = slice(len(level) - len(item.time), None)
        exact = item.observed & (item.risk == 0) & (not unknown)
        sd = np.where(exact, 0.0, np.sqrt(np.maximum(doubt[last], 0.0)))
        yield gaussian_answer(item, np.where(exact, item.value, level[last]), sd, settings.samples)


def local_level_unknown(task: Task, settings: Settings) -> Iterator[Posterior]:
    """Answer by `local_level` with one unknown size of the noise."""
    return local_level(task, settings, unknown=True)


def _fit(learn: Columns, unit: Floats, unknown: bool, each: bool) -> tuple[Floats, Floats]:
    """Most likely variance of a step and of the unknown noise (N,): of each column, or the same for all."""
    q, noise = unit, unit * unknown
    everyone = np.arange(len(unit))
    for grid in GRIDS:
        first, second = np.meshgrid(grid, grid if unknown else np.ones(1), indexing="ij")
        tried, noises = first.reshape(-1, 1) * q, second.reshape(-1, 1) * noise
        likelihood = _likelihood(learn, tried, noises)
        place = likelihood.argmax(0) if each else np.full(len(unit), likelihood.sum(1).argmax())
        q, noise = tried[place, everyone], noises[place, everyone]
    return q, noise


def _likelihood(columns: Columns, q: Floats, noise: Floats) -> Floats:
    """(M, N) log likelihood of each column at M pairs of parameters, up to a constant."""
    level, doubt = np.broadcast_to(columns.centre, q.shape), np.broadcast_to(columns.spread, q.shape)
    total = np.zeros(q.shape)
    for t in range(columns.value.shape[1]):
        doubt = doubt + q * columns.step[:, t]
        seen = np.isfinite(columns.variance[:, t])
        risk = np.where(seen, columns.variance[:, t], 0.0) + noise
        error = np.where(seen, columns.value[:, t] - level, 0.0)
        total -= np.where(seen, np.log(doubt + risk) + error**2 / (doubt + risk), 0.0) / 2
        gain = np.where(seen, doubt / (doubt + risk), 0.0)
        level, doubt = level + gain * error, doubt * (1 - gain)
    return total


def _smooth(columns: Columns, q: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """Mean and variance (N, T) of the level given all readings: filter, then Rauch, Tung and Striebel backwards."""
    shape = columns.value.shape
    level, doubt, ahead = np.empty(shape), np.empty(shape), np.empty(shape)
    mean, variance = columns.centre, columns.spread
    for t in range(shape[1]):
        ahead[:, t] = variance + q * columns.step[:, t]
        risk = columns.variance[:, t] + noise
        gain = ahead[:, t] / (ahead[:, t] + risk)  # 0 where the risk is inf
        mean = mean + gain * (columns.value[:, t] - mean)
        variance = ahead[:, t] * (1 - gain)
        level[:, t], doubt[:, t] = mean, variance
    for t in range(shape[1] - 2, -1, -1):
        back = doubt[:, t] / ahead[:, t + 1]
        level[:, t] += back * (level[:, t + 1] - level[:, t])
        doubt[:, t] += back**2 * (doubt[:, t + 1] - ahead[:, t + 1])
    return level, doubt
