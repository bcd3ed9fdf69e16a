"""What a prior knows of each entry once it is conditioned on measurements, in whatever way it computes that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rstime.tokens import Tokens

LEVEL_FLOOR = 1e-2  # in sd: levels below are raised to it, so that float32 suffices
VARIANCE_FLOOR = 1e-6
COSINES = 4  # seasons of the prior
PARTS = 3 + COSINES  # groups of its components: fast, medium and slow ones, and each season


@dataclass(frozen=True, eq=False)
class Belief:
    """What a Gaussian prior knows of each entry at a level vector.

    Attributes
    ----------
    mean
        (S, B, N) posterior mean G(m, tau).
    variance
        (B, N) posterior variance V(tau).
    surprise
        (S, B, N) standardised leave-one-out residual of each measurement, 0 where there is none.
    parts
        (P, S, B, N) the shares of the mean that the prior's components have: fast, slow, each season.
    """

    mean: Tensor
    variance: Tensor
    surprise: Tensor
    parts: Tensor


class Conditioned(Protocol):
    """A Gaussian prior conditioned on measurements at levels tau, whatever their values."""

    def belief(self, m: Tensor) -> Belief:
        """Return what is known of the tokens themselves, given (S, B, N) measurements."""

    def predict(self, queries: Tokens, m: Tensor) -> Belief:
        """Return what is known of other tokens, (B, M), given (S, B, N) measurements of these."""

    def noise(self, normal: Tensor) -> Tensor:
        """Turn (S, B, N) standard normal numbers into draws from N(0, Cov[x | m])."""


def update(belief: Belief, m: Tensor, s: Tensor) -> Belief:
    """Add to each entry its own measurement m at level s, inf for none: 1/V' = 1/V + 1/s^2.

    Parameters
    ----------
    belief
        What is known without it.
    m
        (S, B, M) measurements.
    s
        (B, M) levels.
    """
    precision = (1 / s.clamp_min(LEVEL_FLOOR)).square()
    variance = 1 / (1 / belief.variance + precision)
    shift = torch.where(precision > 0, m - belief.mean, 0.0)
    mean = belief.mean + variance * precision * shift
    surprise = shift * torch.rsqrt(belief.variance + s.masked_fill(precision == 0, 1.0).square())
    return Belief(mean, variance, surprise, belief.parts)
