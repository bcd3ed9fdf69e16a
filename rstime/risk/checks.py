"""What every estimate of risk from pairs asks of its input, and the scales it may estimate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from rstime.errors import ConfigError, DataError
from rstime.types import Floats

FEWEST = 20
"""Pairs below which no risk is estimated: the sd of 20 residuals is itself uncertain by 16 %."""

WINSOR = 2.0
"""Residuals beyond this many sd count as this many sd in robust estimates."""

ROUNDS = 100
"""Rounds of a robust estimate; it stops before, once nothing changes."""


def pairs(**columns: ArrayLike) -> list[Floats]:
    """Return columns of pairs as float64, checked: one length, at least `FEWEST`, finite, and `sd` positive.

    Parameters
    ----------
    columns
        (n,) numbers by the name that an error gives them.

    Raises
    ------
    DataError
        If a column is not flat, not finite or of another length, if there are fewer than `FEWEST` pairs, or if an `sd`
        is not positive.
    """
    arrays = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    count = next(iter(arrays.values())).size
    for name, array in arrays.items():
        if array.shape != (count,):
            raise DataError(name, f"shape {array.shape} where ({count},) was expected", "Give one number a pair.")
        if not np.all(np.isfinite(array)):
            bad = array[~np.isfinite(array)][0]
            raise DataError(name, f"{bad} among the pairs", "Leave out pairs of which one side is missing.")
    if count < FEWEST:
        raise DataError(next(iter(arrays)), f"{count} pairs", f"Collect at least {FEWEST} readings with a reference.")
    if "sd" in arrays and np.any(arrays["sd"] <= 0):
        worst = arrays["sd"].min()
        raise DataError("sd", f"{worst:g} among the pairs", "A claimed standard deviation is positive.")
    return list(arrays.values())


def checked_level(level: float) -> float:
    """Return a coverage inside (0, 1).

    Raises
    ------
    ConfigError
        If it is outside.
    """
    if not 0 < level < 1:
        raise ConfigError("level", f"{level}", "Give a coverage between 0 and 1, such as 0.9.")
    return level


def half_width(level: float) -> float:
    """Return z such that the interval of z standard deviations to each side holds `level` of a Gaussian."""
    return float(ndtri((1 + checked_level(level)) / 2))


def winsorised_share(width: float = WINSOR) -> float:
    """Return E[min(Z^2, width^2)] of a standard Gaussian Z, which makes a winsorised variance consistent."""
    tail = 2 * ndtr(-width)
    density = np.exp(-(width**2) / 2) / np.sqrt(2 * np.pi)
    return float(1 - tail - 2 * width * density + width**2 * tail)


def robust_sd(residual: Floats) -> float:
    """Return s with mean(min(residual^2, (2 s)^2)) = s^2 E[min(Z^2, 4)]: Huber's (1964) second proposal, centred at 0.

    Parameters
    ----------
    residual
        (n,) errors, in any unit; the result is in the same.
    """
    square = residual**2
    variance = float(square.mean())
    for _ in range(ROUNDS):
        before = variance
        variance = float(np.minimum(square, WINSOR**2 * before).mean()) / winsorised_share()
        if abs(variance - before) <= 1e-10 * before:
            break
    return float(np.sqrt(variance))


def ranked(score: Floats, level: float) -> float:
    """Return the ceil((n + 1) level)-th smallest of n scores, which a new exchangeable score exceeds with 1 - level.

    Raises
    ------
    DataError
        If n is too small for the level.
    """
    rank = int(np.ceil((score.size + 1) * checked_level(level) - 1e-9))
    if rank > score.size:
        need = int(np.ceil(level / (1 - level) - 1e-9))
        raise DataError("residual", f"{score.size} pairs for level {level}", f"Give at least {need} pairs.")
    return float(np.partition(score, rank - 1)[rank - 1])
