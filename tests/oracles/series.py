"""Small data sets for tests that train a network."""

from __future__ import annotations

import numpy as np

from rstime.types import Series


def two_levels(seed: int, items: int, length: int = 12) -> list[Series]:
    """Two variables that stay at -1 or 1 for a whole window: far from Gaussian, so that a network soon helps."""
    rng = np.random.default_rng(seed)
    clean = np.repeat(rng.choice([-1.0, 1.0], (items, 1, 2)), length, 1)
    risk = rng.uniform(0.3, 1.2, clean.shape)
    value = clean + risk * rng.standard_normal(clean.shape)
    risk[rng.random(clean.shape) < 0.2] = np.inf
    time = np.arange(float(length))
    return [Series(f"{i}", time, ("x0", "x1"), value[i], risk[i]) for i in range(items)]
