"""What a frozen protocol does to clean values: who is hidden, who is noisy, and by how much."""

from __future__ import annotations

import numpy as np

from rstime.datasets.missing import PATTERNS
from rstime.datasets.noise import NOISES
from rstime.evaluation.protocol import Corruption
from rstime.evaluation.spec import Protocol
from rstime.types import Floats


def corruption(protocol: Protocol, rng: np.random.Generator, value: Floats, spread: Floats) -> Corruption:
    """Draw what is hidden and how noisy the rest is: in this order the mask, who is noisy, sd, and the errors.

    Parameters
    ----------
    protocol
        Pattern, share, law, grade, low and high.
    rng
        Source of randomness.
    value
        (..., T, C) clean values, NaN where there is none.
    spread
        (C,) unit of low and high.
    """
    pattern = PATTERNS.get(protocol.pattern, PATTERNS["random"])
    hidden = pattern.mask(rng, value, protocol.hidden)
    noisy = rng.random(value.shape) < 0.5
    if protocol.grade == "graded":
        noisy = np.ones_like(noisy)
        sd = np.exp(rng.uniform(np.log(protocol.low), np.log(protocol.high), value.shape))
    else:
        sd = rng.uniform(protocol.low, protocol.high, value.shape)
    noisy = noisy & (protocol.grade in ("half", "graded"))
    clean = np.where(np.isnan(value), 0.0, value)
    noise = NOISES[protocol.noise].apply(rng, clean, sd * spread) - clean
    return Corruption(hidden, noisy, np.where(noisy, sd * spread, 0.0), np.where(noisy, noise, 0.0))
