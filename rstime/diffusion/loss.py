"""The risk-sensitive loss: a denoiser of the clean signal, learned from noisy entries alone (theory 3).

An entry measured as y = x + r e' and raised to the level tau > r is seen by the network as m, and taught by the target:

    v^2 = tau^2 - r^2      q = v^2 / tau^2      m = y + v e      target = y - (r^2 / v) e

The target is a second measurement of the clean x, independent of m given x, with variance r^2 / q.  Hence
E[target | m] = E[x | m], and the best weight is 1 / (V + r^2 / q) with V the posterior variance of x given all m.

Everything below is written in rho = r / tau, so that q = (1 - rho)(1 + rho) and r^2 / v = r rho / sqrt(q): nothing
is infinite at tau = inf (absent token: rho = 0, target = y), nor as tau falls to r (weight 0).
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_VARIANCE = 1e-12  # in units of the scaled data: keeps the weight of an entry finite where V is 0


def teaches(r: Tensor, tau: Tensor) -> Tensor:
    """Whether an entry of risk r teaches at the level tau: tau > r, and a measurement exists (r < inf)."""
    return tau > r  # r = inf is never exceeded


def perturb(y: Tensor, r: Tensor, tau: Tensor, e: Tensor) -> Tensor:
    """Raise noisy entries to their levels: m = y + sqrt(tau^2 - r^2) e (Li et al., Sec. 3; per entry, theory 2).

    Parameters
    ----------
    y, r
        Measured values and risks; any value where r = inf.
    tau
        Level of each entry, at least r; inf for an absent token.
    e
        Standard normal noise.

    Returns
    -------
    Tensor
        m, distributed as x + tau e; y where tau = r, and 0 where the token is absent.
    """
    present = torch.isfinite(tau)
    tau, r = _where(present, tau), _where(present, r)
    v = ((tau - r) * (tau + r)).clamp_min(0).sqrt()
    return _where(present, y + v * e)


def target(y: Tensor, r: Tensor, tau: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
    """Return the target y - (r^2 / v) e of each entry and its variance r^2 / q around the clean value.

    The pair scores a denoiser on held-out noisy data: target ~ N(D, V + r^2 / q), no clean value needed.

    Parameters
    ----------
    y, r, tau, e
        As given to `perturb`, with the same noise.

    Returns
    -------
    value, variance
        0 and inf (no information) where the entry does not teach.
    """
    use = teaches(r, tau)
    r, rho, q = _parts(r, tau, use)
    value = _where(use, y - r * rho / q.sqrt() * e)
    return value, (r**2 / q).masked_fill(~use, torch.inf)


def weight(r: Tensor, tau: Tensor, variance: Tensor) -> Tensor:
    """Return q / (q V + r^2), the inverse variance of the target given all m; 0 where the entry does not teach."""
    use = teaches(r, tau)
    r, _, q = _parts(r, tau, use)
    return _where(use, q / (q * variance + r**2).clamp_min(SMALLEST_VARIANCE))


def risk_sensitive_loss(denoised: Tensor, y: Tensor, r: Tensor, tau: Tensor, e: Tensor, variance: Tensor) -> Tensor:
    """Return weight (D - target)^2 per entry, without ever dividing by v or q.

    sqrt(weight) (D - target) = (sqrt(q) (D - y) + r rho e) / sqrt(q V + r^2)

    Parameters
    ----------
    denoised
        D(m, tau), the network's estimate of the clean value.
    y, r, tau, e
        As given to `perturb`, with the same noise.
    variance
        V, the posterior variance of the clean value given all m; a guess costs efficiency, not correctness.

    Returns
    -------
    Tensor
        0, with gradient 0, where the entry does not teach: divide the sum by `teaches(r, tau).sum()` for the mean.
    """
    use = teaches(r, tau)
    r, rho, q = _parts(r, tau, use)
    error = q.sqrt() * _where(use, denoised - y) + r * rho * e
    return error**2 / _where(use, q * variance + r**2, 1.0).clamp_min(SMALLEST_VARIANCE)


def _parts(r: Tensor, tau: Tensor, use: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return r, rho = r / tau and q = 1 - rho^2, with r = rho = 0 where the entry is not used."""
    r = _where(use, r)
    rho = r / _where(use, tau, 1.0)
    return r, rho, (1 - rho) * (1 + rho)


def _where(keep: Tensor, x: Tensor, other: float = 0.0) -> Tensor:
    """Replace x outside the mask, so that neither values nor gradients there reach the result."""
    return x.masked_fill(~keep, other)
