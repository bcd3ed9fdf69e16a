"""The paper's time series on PhysioNet 2012 set-a: 48 hours of five variables, and Gaussian-process interpolation.

The five variables of largest variance among those charted in more than half of all hours (AST, ALT and the like vary
more, but are charted in one hour of sixty: their windows would hold nothing but interpolation; weight is constant). No
stay is complete, and the distance to clean data needs clean windows: so the stays are those with each variable charted
in four of five hours, whose short gaps are filled in a straight line and count as clean; and what is missing in the
training windows is missing where another stay, drawn at random, has no reading. Masks are real and independent of the
values.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from rstime.datasets import physionet2012
from rstime.types import Bools, Floats

VARIABLES = ("Urine", "SysABP", "HR", "MAP", "DiasABP")
CHARTED = 0.8
CLIP = (0.1, 99.9)
"""Percentiles beyond which a reading is set to them."""

SMALLEST = 1e-3
"""Smallest eigenvalue of a correlation matrix."""


@cache
def physionet_windows(root: Path | None = None) -> tuple[Floats, Bools]:
    """Return (stays, 240) clean windows, hours of one variable after another, and (others, 240) where readings are.

    Parameters
    ----------
    root
        Folder with the data; see `rstime.datasets.root.find`.
    """
    stays = physionet2012.load(root)
    columns = [stays[0].variables.index(name) for name in VARIABLES]
    value = np.array([one.value[:, columns] for one in stays])
    seen = np.array([one.observed[:, columns] for one in stays])
    low, high = (
        np.array([np.percentile(value[..., c][seen[..., c]], end) for c in range(len(columns))]) for end in CLIP
    )
    value = np.clip(value, low, high)
    dense = np.all(seen.mean(1) >= CHARTED, axis=1)
    hours = np.arange(value.shape[1])
    clean = value[dense]
    for window, there in zip(clean, seen[dense], strict=True):
        for c in range(len(columns)):
            window[:, c] = np.interp(hours, hours[there[:, c]], window[there[:, c], c])
    return (_by_variable(clean), _by_variable(seen[~dense].astype(np.float64)) > 0)


def _by_variable(window: Floats) -> Floats:
    return np.ascontiguousarray(window.transpose(0, 2, 1)).reshape(len(window), -1)


def ward_masks(masks: Bools, count: int, complete: float, rng: np.random.Generator) -> Bools:
    """Return (count, N) entries without a reading: those of random stays, and none in a share of the windows."""
    gone = ~masks[rng.integers(len(masks), size=count)]
    return np.asarray(gone & (rng.random((count, 1)) >= complete))


def autocovariance(value: Floats, gone: Bools) -> Floats:
    """Return (variables, T, T) stationary covariances from the pairs of readings that are there, positive definite.

    Parameters
    ----------
    value, gone
        (n, variables, T) readings around their mean, and where there is none.
    """
    seen, y = (~gone).astype(np.float64), np.where(gone, 0.0, value)
    length = value.shape[-1]
    lags = [
        np.sum(y[..., k:] * y[..., : length - k], axis=(0, 2))
        / np.sum(seen[..., k:] * seen[..., : length - k], axis=(0, 2))
        for k in range(length)
    ]
    steps = np.arange(length)
    raw = np.array(lags).T[:, np.abs(steps[:, None] - steps)]
    values, vectors = np.linalg.eigh(raw)
    return np.asarray(np.einsum("cik,ck,cjk->cij", vectors, np.maximum(values, SMALLEST), vectors))


def fill_gaps(value: Floats, gone: Bools, draws: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Interpolate each variable by a Gaussian process of its own, fitted to the readings.

    Parameters
    ----------
    value, gone
        (n, N) windows in standard deviations, hours of one variable after another, and where there is no reading.
    draws
        K, draws of the gaps, each joint over the hours of a variable.
    rng
        Of the draws.

    Returns
    -------
    filled, risk, draws
        (n, N) posterior mean and standard deviation (0 where there is a reading), and (K, n, N) draws.
    """
    shape = (len(value), len(VARIABLES), -1)
    y, missing = value.reshape(shape), gone.reshape(shape)
    covariance = autocovariance(y, missing)
    mean, sd, drawn = y.copy(), np.zeros_like(y), np.repeat(y[None], draws, axis=0)
    for row, variable in np.argwhere(missing.any(-1)):
        hole, k = missing[row, variable], covariance[variable]
        gain = np.linalg.solve(k[np.ix_(~hole, ~hole)], k[np.ix_(~hole, hole)]).T
        rest = k[np.ix_(hole, hole)] - gain @ k[np.ix_(~hole, hole)]
        mean[row, variable, hole] = gain @ y[row, variable, ~hole]
        sd[row, variable, hole] = np.sqrt(np.maximum(np.diag(rest), 0))
        root = np.linalg.cholesky(rest + 1e-9 * np.eye(len(rest)))
        noise = rng.standard_normal((draws, len(rest))) @ root.T
        drawn[:, row, variable, hole] = mean[row, variable, hole] + noise
    return mean.reshape(value.shape), sd.reshape(value.shape), drawn.reshape(draws, *value.shape)
