"""A Gaussian of few factors as the start of every network: x = mu + W z + sigma e, its exact denoiser in closed form.

The prior of `rstime.gaussian` (theory 3) for small experiments: one solve of k factors a row, at any levels an entry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rstime.types import Floats

MOST_FACTORS = 24
SMALLEST_VARIANCE = 0.01
"""Least variance of an entry that the factors leave, in variances of the data."""


@dataclass(frozen=True, eq=False)
class Factors:
    """Gaussian rows x = mu + W z + sigma e, with z and e standard normal.

    Attributes
    ----------
    mean
        (N,) mu.
    loadings
        (N, k) W.
    variance
        (N,) sigma^2, positive.
    """

    mean: Tensor
    loadings: Tensor
    variance: Tensor

    def __call__(self, m: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Return E[x | m] and Var[x | m] of each entry, (B, N), from m = x + tau e; an entry with tau = inf is absent.

        Levels of one row, (1, N), serve all rows.

        z | m has the precision I + W' P W and the mean S W' P (m - mu), with P = diag(1 / (sigma^2 + tau^2)); given z
        the entries are apart, and each keeps the share sigma^2 / (sigma^2 + tau^2) of what m differs by.
        """
        there = torch.isfinite(tau)
        square = tau.masked_fill(~there, 1.0).square()
        precision = (1 / (self.variance + square)).masked_fill(~there, 0.0)  # (B, N), or (1, N) for all rows
        share = self.variance * precision
        w = self.loadings
        factors = w.shape[1]
        pairs = (w[:, :, None] * w[:, None, :]).flatten(1)  # (N, k^2)
        inner = (precision @ pairs).reshape(-1, factors, factors) + torch.eye(factors, dtype=w.dtype)
        cover = torch.cholesky_inverse(torch.linalg.cholesky(inner))  # S: (B, k, k)
        off = (m - self.mean).masked_fill(~there, 0.0)
        common = (((precision * off) @ w)[:, None] @ cover)[:, 0] @ w.T  # (B, N)
        variance = self.variance * (1 - share) + (1 - share).square() * (cover.flatten(1) @ pairs.T)
        return self.mean + common + share * (off - common), variance


def fit_factors(value: Floats, risk: Floats, most: int = MOST_FACTORS) -> Factors:
    """Fit the factors to the moments of noisy, incomplete rows, freed from the noise.

    K_ij = sum w_i w_j y_i y_j / sum w_i w_j, on the diagonal less sum w_i^2 r_i^2 / sum w_i^2, with w = 1 / (1 + r^2),
    0 for what is missing: products of different entries are unbiased, and noisy ones count less (theory 3). W has the
    leading directions, at most half of N, less the mean of the others (Tipping and Bishop 1999), and sigma^2 is what it
    leaves of the diagonal.

    Parameters
    ----------
    value, risk
        (n, N) rows and their risk, inf where an entry is missing.
    most
        Largest number of factors.
    """
    seen = np.isfinite(risk)
    square = np.where(seen, risk, 0.0) ** 2
    weight = np.where(seen, 1 / (1 + square), 0.0)
    mean = (weight * np.where(seen, value, 0.0)).sum(0) / np.maximum(weight.sum(0), SMALLEST_VARIANCE)
    y, pairs = weight * np.where(seen, value - mean, 0.0), np.maximum(weight.T @ weight, SMALLEST_VARIANCE)
    k = (y.T @ y - np.diag((weight**2 * square).sum(0))) / pairs
    values, vectors = np.linalg.eigh(k)
    kept = max(min(most, len(k) // 2), 1)
    white = np.maximum(values[:-kept].mean(), 0) if kept < len(k) else 0.0
    loadings = vectors[:, -kept:] * np.sqrt(np.maximum(values[-kept:] - white, 0))
    rest = np.maximum(np.diag(k) - (loadings**2).sum(1), SMALLEST_VARIANCE)
    as_tensor = [torch.as_tensor(x, dtype=torch.float32) for x in (mean, loadings, rest)]
    return Factors(*as_tensor)
