"""Wasserstein distances between two samples: exact, and sliced."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from rstime.errors import DataError
from rstime.types import Floats

DIRECTIONS = 500


def wasserstein(one: Floats, two: Floats) -> float:
    """Return the 2-Wasserstein distance of two samples, sqrt(min over pairings of the mean |x - y|^2), exactly.

    Two samples of one law are not at distance 0: in many dimensions most of what is seen is this floor.

    Parameters
    ----------
    one, two
        (n, N) samples in the same units.

    Raises
    ------
    DataError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> wasserstein(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 2.0], [0.0, 2.0]]))
    2.0
    """
    _check(one, two)
    cost = cdist(one, two, "sqeuclidean")
    return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))


def sliced_wasserstein(one: Floats, two: Floats, seed: int = 0, directions: int = DIRECTIONS) -> float:
    """Return the root mean square over random directions of the 2-Wasserstein distance of the projections.

    The mean is multiplied by the dimension N, so that a shift by d is at distance |d| as without slicing (in the limit
    of many directions; Bonneel et al. 2015). Its floor falls as n^-1/2 in any dimension.

    Parameters
    ----------
    one, two
        (k n, N) and (n, N) samples in the same units, k a whole number.
    seed, directions
        Of the random directions, and their number.

    Raises
    ------
    DataError
        If the dimensions differ, or the first is not a whole number of times as long as the second.

    Examples
    --------
    >>> import numpy as np
    >>> sliced_wasserstein(np.array([[0.0], [1.0]]), np.array([[3.0], [2.0]]))
    2.0
    """
    _check(one[: len(two)], two)
    times, rest = divmod(len(one), len(two))
    if rest:
        raise DataError("samples", f"{len(one)} and {len(two)} rows", "Give a whole number of times as many.")
    axes = np.random.default_rng(seed).standard_normal((one.shape[1], directions))
    axes /= np.linalg.norm(axes, axis=0)
    gap = np.sort(one @ axes, axis=0) - np.repeat(np.sort(two @ axes, axis=0), times, axis=0)
    return float(np.sqrt(one.shape[1] * np.mean(gap**2)))


def _check(one: Floats, two: Floats) -> None:
    if one.ndim != 2 or one.shape != two.shape:
        problem = f"{one.shape} and {two.shape}"
        raise DataError("samples", problem, "Give two samples of one shape (rows, columns).")
