"""Densities of readings whose errors last (ours).

    y = x + e + w     as in `rstime.correlation`: e lasts, w is white, x has the Gaussian prior corrected by a network

Of the Gaussian model everything is known in closed form. A network corrects the law of x, and with it that of readings
with white noise, p_w in place of G_w. As e given y has the density G(e) G_w(y - e) / G(y),

    p(y) = int G(e) p_w(y - e) de = G(y) E[p_w(y - e) / G_w(y - e)],     e ~ G(e | y)

so that draws of the errors give a factor to the density of the Gaussian model. It is 1 without a network, whatever the
draws, and near 1 where the network has little to correct. Beside readings that are a condition, all of this is given
them; that their errors are drawn by the Gaussian model is the one approximation, as in `rstime.correlation`.

What lies ahead of a context is one reading of each query. Given the errors e_C of the context, that of a query is
Gaussian, N(shift, rho^2 - w^2), so that y - shift is a reading with white noise of risk rho. Its tail and density are
averages over draws of e_C; both are taken in ratio to the same averages of the Gaussian model, whose own are known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.special import ndtri_exp
from torch import Tensor

from rstime.belief import LEVEL_FLOOR
from rstime.correlation import Correlation, read_covariance
from rstime.diffusion.likelihood import FLOOR
from rstime.gaussian import GaussianModel
from rstime.tokens import Tokens

Found = tuple[Tensor, Tensor]  # normal scores and log densities


def log_density(
    prior: GaussianModel, tokens: Tokens, y: Tensor, level: Tensor, scored: Tensor, error: Tensor | float = 0.0
) -> Tensor:
    """Return log G(scored entries of y | the others), (S, B), in nats.

    Parameters
    ----------
    prior
        The Gaussian model of x.
    tokens
        B windows of N readings.
    y, level
        (S, B, N) readings, and the (B, N) sd of their white noise.
    scored
        (B, N) readings whose density is asked for; the others are a condition.
    error
        (B, N, N) covariance of errors that last.
    """
    wide = tokens.double()
    residual = y.double() - prior.mean(wide)
    covariance = prior.covariance(wide) + error + torch.diag_embed(level.double().square())
    return _density(covariance, residual, tokens.exists) - _density(covariance, residual, tokens.exists & ~scored)


def _density(covariance: Tensor, residual: Tensor, seen: Tensor) -> Tensor:
    """Return the log density of the seen entries, (S, B)."""
    both = seen[:, :, None] & seen[:, None, :]
    root = torch.linalg.cholesky(torch.where(both, covariance, torch.eye(seen.shape[-1]).to(covariance)))
    z = torch.linalg.solve_triangular(root, residual.masked_fill(~seen, 0.0).movedim(0, -1), upper=False)
    height = (root.diagonal(dim1=-2, dim2=-1).log() + 0.5 * math.log(2 * math.pi)).masked_fill(~seen, 0.0)
    found: Tensor = -0.5 * z.square().sum(1).T - height.sum(-1)
    return found


@dataclass(frozen=True, eq=False)
class Ahead:
    """One reading of each query, beside readings whose errors last; one of the same variable shares them.

    Attributes
    ----------
    prior, correlation
        The Gaussian model of x, and how long errors last.
    context, queries
        B windows of N readings and M others.
    risk, own
        (B, N) and (B, M) risks, all of the error.
    """

    prior: GaussianModel
    correlation: Correlation
    context: Tokens
    queries: Tokens
    risk: Tensor
    own: Tensor

    @cached_property
    def _errors(self) -> tuple[Tensor, Tensor]:
        """Covariance of the lasting errors, (B, N, N) of the context and (B, N, M) with the queries."""
        context, queries = self.context.double(), self.queries.double()
        size = self.risk.double().masked_fill(~context.exists, 0.0)
        inside = self.correlation.lasting(context, size)
        return inside, self.correlation.lasting(context, size, queries, self.own)

    def gaussian(self, y: Tensor, value: Tensor) -> Found:
        """Return normal score and log density of the queries' readings, (B, M), given those of the context, (B, N)."""
        context, queries = self.context.double(), self.queries.double()
        inside, cross = self._errors
        covariance = read_covariance(self.prior.covariance(context), inside, self.risk.double(), context.exists)
        cross = cross + self.prior.between(context, queries) * context.exists[..., None]
        gain = torch.cholesky_solve(cross, torch.linalg.cholesky(covariance))
        residual = (y.double() - self.prior.mean(context)).masked_fill(~context.exists, 0.0)
        mean = self.prior.mean(queries) + torch.einsum("bnm,bn->bm", gain, residual)
        before = self.prior.variance().double()[queries.channel] + self.own.clamp_min(FLOOR).square()
        sd = (before - (gain * cross).sum(1)).clamp_min(LEVEL_FLOOR**2).sqrt()
        score = (value - mean) / sd
        return score, -sd.log() - 0.5 * (score.square() + math.log(2 * math.pi))

    def follow(self, error: Tensor) -> tuple[Tensor, Tensor]:
        """Return shift and rho of the queries' readings, (B, M), given the errors of the context, (B, N)."""
        inside, cross = self._errors
        jitter = 1e-8 * inside.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True) + 1e-12
        gain = torch.cholesky_solve(cross, torch.linalg.cholesky(inside + torch.diag_embed(jitter.expand_as(error))))
        left = self.own.square() - (gain * cross).sum(1)
        return torch.einsum("bnm,bn->bm", gain, error.double()), left.clamp_min(FLOOR**2).sqrt()


def corrected(gaussian: Found, draws: Sequence[tuple[Found, Found]]) -> Found:
    """Return normal score and log density of a model that corrects the Gaussian one.

    Parameters
    ----------
    gaussian
        Of the Gaussian model, exact; (B, M) each.
    draws
        For each draw of the errors, those of the model and of the Gaussian one, given these errors.
    """
    score, density = gaussian
    (z, p), (z_prior, p_prior) = (map(torch.stack, zip(*some, strict=True)) for some in zip(*draws, strict=True))
    side = torch.where(score < 0, 1.0, -1.0)
    tail = _log_mean(side * z) - _log_mean(side * z_prior) + torch.special.log_ndtr(side * score)
    found = side * torch.from_numpy(np.asarray(ndtri_exp(tail.clamp_max(-1e-12).cpu().numpy()))).to(score)
    return found, density + torch.logsumexp(p, 0) - torch.logsumexp(p_prior, 0)


def _log_mean(z: Tensor) -> Tensor:
    """Return log mean Phi(z) over the first axis, but for the log of how many there are."""
    return torch.logsumexp(torch.special.log_ndtr(z), 0)
