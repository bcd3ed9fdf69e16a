"""Gaussian models whose covariance is known in a line."""

from __future__ import annotations

import math

from rstime.correlation import Parts
from rstime.gaussian import GaussianModel


def exponential_prior(window: int, correlated: Parts = ()) -> GaussianModel:
    """One channel: an exponential of length .12 of the window, and a white part of variance .001; errors as given."""
    prior = GaussianModel(1, 0, float(window), correlated=correlated).requires_grad_(False)
    prior.loading.zero_()
    prior.log_own.fill_(-math.inf)
    prior.log_own[1] = 0.0
    prior.log_white.fill_(math.log(1e-3))
    return prior
