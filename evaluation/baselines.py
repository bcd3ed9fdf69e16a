"""Baselines that need no training of a network: linear interpolation, plain or with bands from its own residuals."""

from __future__ import annotations

import numpy as np

from rstime.types import Floats, Posterior, Series


def interpolate(item: Series, drop_noisy: bool = False) -> Floats:
    """Linear interpolation in time of each variable, constant beyond its ends, 0 where it has no reading: (T, C).

    Parameters
    ----------
    item
        Measurements in standardised units, so that 0 is the mean.
    drop_noisy
        Use exact readings only.
    """
    use = item.observed & (item.risk == 0 if drop_noisy else True)
    time = (item.time - item.time[0]).astype(np.float64)
    answer = np.zeros(item.value.shape)
    for channel in np.flatnonzero(use.any(0)):
        rows = use[:, channel]
        answer[:, channel] = np.interp(time, time[rows], item.value[rows, channel])
    return answer


def linear(item: Series, drop_noisy: bool = False) -> Posterior:
    """Answer of linear interpolation as a Posterior of one sample, whose CRPS is its absolute error."""
    return Posterior(item, interpolate(item, drop_noisy)[None])
