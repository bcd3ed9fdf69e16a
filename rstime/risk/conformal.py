"""Factors on claimed risk that make intervals hold their share whatever the law: at once, or as readings come in."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rstime.errors import ConfigError, DataError
from rstime.risk.checks import half_width, pairs, ranked
from rstime.types import Floats


def conformal(residual: ArrayLike, sd: ArrayLike, level: float = 0.9) -> float:
    """Return the factor q for which reading +- q sd holds a new reference with chance `level` or more.

    q is the ceil((n + 1) level)-th smallest |residual| / sd (split conformal prediction; Vovk, Gammerman and Shafer
    2005, Lei et al. 2018). No law is assumed, only that old and new pairs are exchangeable: not so under drift, nor for
    a new person if the pairs come from a few.

    Parameters
    ----------
    residual
        (n,) reading minus reference, of pairs that nothing else was fitted to.
    sd
        (n,) claimed risk, or one for all.
    level
        Nominal coverage.

    Raises
    ------
    ConfigError
        If the level is outside (0, 1).
    DataError
        If there are fewer than 20 pairs, too few for the level, numbers are not finite, or an sd is not positive.
    """
    error, claimed = pairs(residual=residual, sd=np.broadcast_to(sd, np.shape(residual)))
    return ranked(np.abs(error) / claimed, level)


def online_conformal(
    residual: ArrayLike,
    sd: ArrayLike,
    time: ArrayLike,
    level: float = 0.9,
    *,
    rate: float = 0.05,
    delay: float = 0.0,
) -> Floats:
    """Return the factor q for the interval reading +- q sd of each stamp, from pairs of the past alone.

    log q starts at that of the Gaussian factor and rises by rate * level at each miss, falls by rate * (1 - level) at
    each hit: the update of Gibbs and Candes (2021) on the factor itself, as in the quantile tracker of Angelopoulos,
    Candes and Tibshirani (2023). Over a long run the share inside tends to `level` whatever the errors do. It is an
    interval and not a risk: q / z times sd matches this one level, and is too jumpy to weigh readings with.

    Parameters
    ----------
    residual
        (n,) reading minus reference; NaN where there is no reference.
    sd
        (n,) claimed risk, claimed before the residual was known; inf where there is no reading.
    time
        (n,) stamps in any unit, not falling.
    level
        Nominal coverage.
    rate
        Step of log q; larger follows faster and wavers more.
    delay
        Time until a residual is known, in the units of `time`.

    Raises
    ------
    ConfigError
        If a setting is outside its range.
    DataError
        If there are fewer than 20 pairs, lengths differ, the stamps fall or a finite sd is not positive.
    """
    if not 0 < rate < np.inf or not 0 <= delay < np.inf:
        raise ConfigError("rate", f"{rate} with a delay of {delay}", "Give a positive rate and a delay of 0 or more.")
    error, claimed, stamp = (np.asarray(column, dtype=np.float64) for column in (residual, sd, time))
    if not error.shape == claimed.shape == stamp.shape == (error.size,):
        found = f"shape {error.shape} beside a sd of {claimed.shape} and time of {stamp.shape}"
        raise DataError("residual", found, "Give one number a stamp, NaN where there is no reference.")
    if not np.all(np.isfinite(stamp)) or not np.all(np.diff(stamp) >= 0):
        raise DataError("time", "falls or is not finite", "Sort the rows by time, those of one device alone.")
    known = np.flatnonzero(np.isfinite(error) & np.isfinite(claimed))
    pairs(residual=error[known], sd=claimed[known])
    factor = np.full(error.size, np.log(half_width(level)))
    current, done = factor[0], 0
    for index in range(error.size):
        while done < len(known) and known[done] < index and stamp[known[done]] + delay <= stamp[index]:
            past = known[done]
            miss = abs(error[past]) > np.exp(factor[past]) * claimed[past]
            current += rate * (miss - (1 - level))
            done += 1
        factor[index] = current
    return np.asarray(np.exp(factor))
