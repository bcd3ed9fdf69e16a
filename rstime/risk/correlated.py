"""Noise that lasts: the errors of neighbouring readings are alike, as those of a sensor that drifts or sits badly.

Errors that last are not white noise of the same size: many readings do not average them away. A model that takes them
for white claims more than it can know (theory 5: at an AR(1) coefficient of .9 a variance of .032 where the error is
.091).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls

from rstime.errors import ConfigError, DataError
from rstime.risk.families import Gaussian
from rstime.types import Floats

BINS = 40
"""Bins of lag of the empirical correlation, of equal width in logs."""

CANDIDATES = 12
"""Memories tried, from half the shortest lag to three times the longest."""

SMALLEST_SHARE = 0.02
ENOUGH = 1000
"""Pairs from which on a bin counts in full."""

FEWEST = 100
"""Pairs within a lag from which on the correlation at that lag counts as seen."""


@dataclass(frozen=True)
class Correlated(Gaussian):
    """Gaussian errors whose correlation at lag l > 0 is sum_k share_k exp(-l / memory_k); risk is their whole sd.

    Errors of different variables and items are independent. What the shares leave, 1 - sum_k share_k, is white.

    Parameters
    ----------
    shares
        Of the variance of the error, positive, at most 1 together.
    memories
        Seconds where stamps are dates, else in the unit of the stamps; one a share.

    Raises
    ------
    ConfigError
        If a share or a memory is not positive, if there are not as many of one as of the other, or shares add up to
        more than 1.

    Examples
    --------
    >>> sensor = Correlated((0.5, 0.3), (6.0, 240.0))
    >>> [round(float(x), 3) for x in sensor.correlation([0.0, 1.0, 24.0])]
    [0.8, 0.722, 0.281]
    """

    shares: tuple[float, ...]
    memories: tuple[float, ...]
    kind = "correlated"

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.memories) or not self.shares:
            problem = f"{len(self.shares)} beside {len(self.memories)} memories"
            raise ConfigError("shares", problem, "Give one memory for each share, at least one.")
        for name in ("shares", "memories"):
            for number in getattr(self, name):
                if not 0 < number < math.inf:
                    raise ConfigError(name, f"{number} is not positive and finite", "Give positive numbers.")
        if sum(self.shares) > 1 + 1e-9:
            raise ConfigError("shares", f"{sum(self.shares):g} together", "Give shares of at most 1 in all.")

    @property
    def white(self) -> float:
        """Share of the variance that does not last."""
        return max(1 - sum(self.shares), 0.0)

    def correlation(self, lag: ArrayLike) -> Floats:
        """Return the part of the correlation that lasts, at lags of 0 and more; sum_k share_k at 0."""
        lags = np.asarray(lag, dtype=np.float64)[..., None]
        return np.asarray((np.array(self.shares) * np.exp(-lags / np.array(self.memories))).sum(-1))


def fit_correlated(
    stamps: Sequence[NDArray[np.generic]], errors: Sequence[ArrayLike], interval: float = 0.0
) -> Correlated | None:
    """Learn how long errors last from known ones: readings less their reference, over their risk.

    The empirical correlation by lag, not centred (an offset of an item is an error that lasts), is fitted by
    non-negative shares of exponentials (least squares; Lawson and Hanson 1974).

    Parameters
    ----------
    stamps
        (T,) dates or numbers of each item.
    errors
        (T,) standardised errors of each item; NaN where not known.
    interval
        Between readings, in seconds where stamps are dates. Where errors are known less often, so that fewer than
        FEWEST pairs are as near as 1.5 intervals, nothing shows that what is left is white: it then lasts as long
        as the shortest lag that is seen, the cautious choice.

    Returns
    -------
    Correlated or None
        None where less than SMALLEST_SHARE lasts, or there is no error at all.

    Raises
    ------
    DataError
        If fewer than two errors of an item are known, in all items.
    """
    known = [_known(time, error) for time, error in zip(stamps, errors, strict=True)]
    lags = [np.diff(time) for time, _ in known if len(time) > 1]
    if not lags:
        raise DataError("errors", "fewer than two known in any item", "Give pairs of readings and references.")
    shortest = float(min(lag.min() for lag in lags))
    longest = max(float(time[-1] - time[0]) for time, _ in known if len(time))
    edges = np.geomspace(0.99 * shortest, 1.01 * longest, BINS + 1)
    total, count, moment = (np.zeros(BINS) for _ in range(3))
    near = np.sort(np.concatenate(lags))
    seen = float(near[min(FEWEST, len(near)) - 1])
    for time, error in known:
        for first in range(len(time) - 1):
            lag = time[first + 1 :] - time[first]
            place = np.digitize(lag, edges) - 1
            product = error[first] * error[first + 1 :]
            total += np.bincount(place, product, BINS)[:BINS]
            moment += np.bincount(place, lag, BINS)[:BINS]
            count += np.bincount(place, minlength=BINS)[:BINS]
    square = float(np.mean(np.concatenate([error for _, error in known]) ** 2))
    if square == 0:
        return None
    full = count > 0
    weight = np.sqrt(np.minimum(count[full] / ENOUGH, 1.0))
    memories = np.geomspace(shortest / 2, 3 * longest, CANDIDATES)
    columns = np.exp(-(moment[full] / count[full])[:, None] / memories)
    shares = nnls(columns * weight[:, None], total[full] / count[full] / square * weight)[0]
    shares = shares / max(shares.sum(), 1.0)
    kept = shares >= SMALLEST_SHARE
    parts = list(zip(shares[kept].tolist(), memories[kept].tolist(), strict=True))
    rest = 1 - sum(share for share, _ in parts)
    if interval > 0 and seen > 1.5 * interval and rest > SMALLEST_SHARE:
        parts.append((rest, seen))
    return Correlated(*map(tuple, zip(*parts, strict=True))) if parts else None


def _known(time: NDArray[np.generic], error: ArrayLike) -> tuple[Floats, Floats]:
    """Stamps as numbers, dates in seconds, and errors, where these are known."""
    value = np.asarray(error, dtype=np.float64)
    if np.issubdtype(time.dtype, np.datetime64):
        time = time.astype("datetime64[ns]").astype(np.int64) / 1e9
    there = np.isfinite(value)
    return np.asarray(time, dtype=np.float64)[there], value[there]
