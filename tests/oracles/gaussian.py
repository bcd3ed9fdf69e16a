"""Closed forms for Gaussian data: the denoiser at any level vector, and the posterior given noisy measurements."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def exponential_covariance(n: int, length: float) -> Tensor:
    """Covariance exp(-|i - j| / length) of n stamps, unit variance."""
    i = torch.arange(n, dtype=torch.float64)
    return torch.exp(-(i[:, None] - i).abs() / length)


def random_walk_covariance(n: int) -> Tensor:
    """Covariance min(i, j) of n stamps, scaled to an average standard deviation of 1."""
    i = torch.arange(1, n + 1, dtype=torch.float64)
    return torch.minimum(i[:, None], i) / i.sqrt().mean() ** 2


@dataclass(frozen=True, eq=False)
class GaussianOracle:
    """x ~ N(mu, K), seen through m = x + tau e with a level per entry: 0 exact, inf not seen."""

    mu: Tensor
    K: Tensor

    def gain(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Gain (N, N) of the posterior mean and posterior covariance (N, N) at the level vector tau (N,)."""
        seen = torch.isfinite(tau)
        cross = self.K[:, seen]
        gain = torch.zeros_like(self.K)
        gain[:, seen] = torch.linalg.solve(cross[seen] + torch.diag(tau[seen] ** 2), cross.T).T
        return gain, self.K - gain @ self.K

    def denoise(self, m: Tensor, tau: Tensor) -> Tensor:
        """E[x | m] of a batch m (..., N) at one level vector tau (N,)."""
        gain, _ = self.gain(tau)
        return self.mu + torch.where(torch.isfinite(tau), m - self.mu, 0.0) @ gain.T

    def posterior(self, y: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (N,) and covariance (N, N) of x given y = x + r e."""
        return self.denoise(y, r), self.gain(r)[1]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw `count` clean samples (count, N)."""
        e = torch.randn(count, len(self.mu), generator=generator, dtype=self.K.dtype)
        return self.mu + e @ torch.linalg.cholesky(self.K).T
