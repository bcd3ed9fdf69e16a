"""Whether claimed risk is what it says: coverage and probability integral transform, by bins of risk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, ndtr

from rstime.errors import ConfigError
from rstime.risk.checks import half_width, pairs
from rstime.types import Floats


@dataclass(frozen=True, eq=False)
class CoverageTable:
    """Coverage by bin, each field (bins,); a bin without pairs is left out.

    Attributes
    ----------
    low, high
        Range in the bin of what pairs were sorted by.
    count
        Pairs.
    coverage
        Share of references within reading +- z sd.
    lower, upper
        95 % interval of that share for independent pairs (Clopper and Pearson 1934); pairs of one person or of
        neighbouring hours tell less than independent ones.
    width
        Mean width of the intervals, in the units of the reading.
    pit
        Mean of the probability integral transform; .5 without bias.
    """

    low: Floats
    high: Floats
    count: Floats
    coverage: Floats
    lower: Floats
    upper: Floats
    width: Floats
    pit: Floats


def pit(residual: ArrayLike, sd: ArrayLike) -> Floats:
    """Return Phi((reference - reading) / sd) of each pair: uniform on (0, 1) if the error is Gaussian with this sd.

    Parameters
    ----------
    residual
        (n,) reading minus reference.
    sd
        (n,) claimed risk, or one for all.

    Raises
    ------
    DataError
        If there are fewer than 20 pairs, numbers are not finite, or an sd is not positive.
    """
    error, claimed = pairs(residual=residual, sd=np.broadcast_to(sd, np.shape(residual)))
    return np.asarray(ndtr(-error / claimed), dtype=np.float64)


def coverage(
    residual: ArrayLike, sd: ArrayLike, level: float = 0.9, bins: int = 5, by: ArrayLike | None = None
) -> CoverageTable:
    """Return how often the central Gaussian interval reading +- z sd holds the reference, by bins of equal count.

    Parameters
    ----------
    residual
        (n,) reading minus reference.
    sd
        (n,) claimed risk, or one for all.
    level
        Nominal coverage, z = Phi^-1((1 + level) / 2).
    bins
        Bins to sort pairs into; equal values stay together, so that there may be fewer.
    by
        (n,) what to sort by: the claimed risk by default, else a level, an hour, a quality.

    Raises
    ------
    ConfigError
        If the level is outside (0, 1) or there is no bin.
    DataError
        If there are fewer than 20 pairs, numbers are not finite, or an sd is not positive.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> coverage(2 * rng.normal(size=100_000), 2.0, bins=1).coverage.round(2).tolist()
    [0.9]
    """
    if bins < 1:
        raise ConfigError("bins", f"{bins}", "Give at least one bin.")
    error, claimed = pairs(residual=residual, sd=np.broadcast_to(sd, np.shape(residual)))
    key = claimed if by is None else pairs(residual=error, by=by)[1]
    z = half_width(level)
    chance = pit(error, claimed)
    rows = []
    for chosen in groups(key, bins):
        count = len(chosen)
        hits = int((np.abs(error[chosen]) <= z * claimed[chosen]).sum())
        lower = betaincinv(hits, count - hits + 1, 0.025) if hits else 0.0
        upper = betaincinv(hits + 1, count - hits, 0.975) if hits < count else 1.0
        span = (key[chosen].min(), key[chosen].max())
        rows.append((*span, count, hits / count, lower, upper, 2 * z * claimed[chosen].mean(), chance[chosen].mean()))
    return CoverageTable(*np.array(rows, dtype=np.float64).T)


def groups(key: Floats, bins: int) -> list[np.ndarray]:
    """Return the indices of at most `bins` groups of neighbouring keys, of equal count as far as equal keys allow."""
    edges = np.unique(np.quantile(key, np.arange(1, bins) / bins, method="inverted_cdf"))
    where = np.searchsorted(edges, key)
    return [np.flatnonzero(where == index) for index in np.unique(where)]
