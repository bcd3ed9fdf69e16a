"""Errors that last, as a latent channel: drawn given all measurements, taken off, and white noise is left.

    y = x + e + w,     e ~ N(0, E),   E_ij = a_ij r_i r_j,   w_i white of variance (1 - a_ii) r_i^2

with a_ij = sum_k share_k exp(-|t_i - t_j| / memory_k) between readings of one variable, 0 else. Given y,

    e | y ~ N(E R^-1 (y - mu), E - E R^-1 E),     R = K + E + W

and y - e is a reading with white noise: it has the law of x + w, and p(x | y) is the average of p(x | y - e) over the
draws. So all that is made for white noise, fusion, samplers and training, is right for it. Exact where the prior
N(mu, K) is that of the data; a network corrects the prior of x, not that of e.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from rstime.belief import LEVEL_FLOOR
from rstime.tokens import Tokens, pack
from rstime.types import Batch

Parts = Sequence[Sequence[Sequence[float]]]  # by channel, pairs of a share and a memory in steps


@dataclass(frozen=True, eq=False)
class Correlation:
    """How much of the errors of each channel lasts, and how long.

    Attributes
    ----------
    share, memory
        (C, K) shares of the variance, 0 where there are fewer than K, and memories in steps.
    """

    share: Tensor
    memory: Tensor

    @classmethod
    def of(cls, parts: Parts) -> Correlation:
        """Build from (share, memory) pairs by channel."""
        most = max(map(len, parts), default=0)
        rows = [[*channel, *[(0.0, 1.0)] * (most - len(channel))] for channel in parts]
        both = torch.tensor(rows, dtype=torch.float64).reshape(len(parts), most, 2)
        return cls(both[..., 0], both[..., 1])

    @property
    def white(self) -> Tensor:
        """(C,) share of the variance that does not last."""
        return (1 - self.share.sum(-1)).clamp_min(0.0)

    def by_lag(self, lags: Tensor) -> Tensor:
        """Return the (L, C) correlation at lags (L,) in steps."""
        return (self.share * torch.exp(-lags[:, None, None] / self.memory)).sum(-1)

    def lasting(
        self, tokens: Tokens, weight: Tensor, others: Tokens | None = None, their: Tensor | None = None
    ) -> Tensor:
        """Return (B, N, M) a_ij w_i w_j with other tokens, or these; a weight of 0 takes an entry out."""
        others, their = (tokens, weight) if others is None or their is None else (others, their)
        lag = (tokens.time[:, :, None] - others.time[:, None, :]).abs()
        same = (tokens.channel[:, :, None] == others.channel[:, None, :]) * weight[:, :, None] * their[:, None, :]
        found = torch.zeros_like(lag)
        for share, memory in zip(self.share.T, self.memory.T, strict=True):
            found += share[tokens.channel][:, :, None] * torch.exp(-lag / memory[tokens.channel][:, :, None])
        return found * same

    def matrix(self, tokens: Tokens, risk: Tensor) -> Tensor:
        """Return the (B, N, N) correlation of the errors of tokens of (B, N) risks; none of exact ones and padding."""
        weight = (risk / LEVEL_FLOOR).clamp_max(1.0).masked_fill(~tokens.exists, 0.0)
        found = self.lasting(tokens, weight)
        found.diagonal(dim1=-2, dim2=-1).fill_(1.0)
        return found


class Prior(Protocol):
    """What is known of the signal and of its errors."""

    @property
    def correlation(self) -> Correlation | None:
        """How long its errors last."""

    def mean(self, tokens: Tokens) -> Tensor:
        """Return the (B, N) prior mean of the tokens."""

    def covariance(self, tokens: Tokens) -> Tensor:
        """Return the (B, N, N) prior covariance of the tokens."""


def remove_errors(
    prior: Prior, batch: Batch, normal: Tensor | None = None, known: tuple[Tensor, Tensor] | None = None
) -> Batch:
    """Take the errors that last off the measurements; what is left has white noise.

    Parameters
    ----------
    prior
        Gaussian model of the signal, with the correlation of its errors.
    batch
        B windows of measurements.
    normal
        (S, B, T, C) standard normal numbers, for S draws of the errors; None for their posterior mean.
    known
        (S, B, T, C) clean values that were drawn before, and (B, T, C) where: they tell of the errors, too.

    Returns
    -------
    Batch
        With (S, B, T, C) values (S = 1 for the mean), and the risk of the white noise. The batch itself if no errors
        last.
    """
    correlation = prior.correlation
    if correlation is None:
        return batch
    observed = torch.isfinite(batch.risk)
    tokens = pack(batch, observed if known is None else observed | known[1]).double()
    risk = tokens.take(batch.risk.double(), math.inf)
    mu, k = prior.mean(tokens)[None], prior.covariance(tokens)
    if known is not None:
        mu, k = given(mu, k, tokens.take(known[0].double()), tokens.take(known[1], False))
    seen = torch.isfinite(risk)
    error = correlation.lasting(tokens, risk.masked_fill(~seen, 0.0))
    gain = torch.cholesky_solve(error, torch.linalg.cholesky(read_covariance(k, error, risk, seen)))  # R^-1 E
    residual = (tokens.take(batch.value.double())[None] - mu).masked_fill(~seen, 0.0)
    found = torch.einsum("bij,sbi->sbj", gain, residual)
    if normal is not None:
        found = found + torch.einsum("bij,sbj->sbi", _root(error - error @ gain), tokens.take(normal.double()))
    white = batch.risk * correlation.white.sqrt().to(batch.risk.dtype)
    value = batch.value - tokens.put(found.to(batch.value.dtype), batch.value.new_zeros(len(found), *batch.risk.shape))
    return replace(batch, value=value, risk=torch.where(observed, white, batch.risk))


def read_covariance(k: Tensor, error: Tensor, risk: Tensor, seen: Tensor) -> Tensor:
    """Return R = K + E + W of the readings, (B, N, N), and an identity where there are none.

    Parameters
    ----------
    k, error
        (B, N, N) K and E.
    risk, seen
        (B, N) risks, of at least LEVEL_FLOOR, and where there is a reading.
    """
    level = risk.masked_fill(~seen, 1.0).clamp_min(LEVEL_FLOOR)
    r = torch.where(seen[:, :, None] & seen[:, None, :], k + error, 0.0)
    r.diagonal(dim1=-2, dim2=-1).add_(level.square() - error.diagonal(dim1=-2, dim2=-1))
    return r


def given(mu: Tensor, k: Tensor, x: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Return (S, B, N) means and (B, N, N) covariances given clean values x, (S, B, N), at some entries."""
    root = where.to(k.dtype) / LEVEL_FLOOR
    b = root[:, :, None] * k * root[:, None, :]
    b.diagonal(dim1=-2, dim2=-1).add_(1.0)
    scaled = root[:, :, None] * k
    gain = torch.cholesky_solve(scaled, torch.linalg.cholesky(b))
    shift = torch.einsum("bij,sbi->sbj", gain, root * (x - mu).masked_fill(~where, 0.0))
    return mu + shift, k - scaled.mT @ gain


def _root(covariance: Tensor) -> Tensor:
    """Return a root of positive semi-definite matrices, made definite: errors that last are nearly alike."""
    jitter = 1e-8 * covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None] + 1e-12
    root: Tensor = torch.linalg.cholesky(covariance + torch.diag_embed(jitter.expand(covariance.shape[:2])))
    return root
