"""The covariance of the clean signal given the input, from the denoiser itself: second-order Tweedie (theory 4).

    Cov[x | m] = J diag(tau^2),   J = dD / dm

Exact for the exact denoiser of any law, where the covariance of a Gaussian model is right for Gaussian laws only. The
whole of it takes a backward pass for each entry; its diagonal is estimated by a few more evaluations.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STEP = 0.03  # of finite differences, in sd of the input's noise


def covariance(denoise: Callable[[Tensor], Tensor], m: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """Return D and Cov[x | m] = J diag(tau^2), made symmetric and positive semi-definite, by N backward passes.

    Parameters
    ----------
    denoise
        m -> D(m, tau), shaped like m; a window's answer must depend on its own input alone.
    m, tau
        (S, B, N) inputs and their (B, N) levels, finite.

    Returns
    -------
    denoised, root
        (S, B, N), and (S, B, N, N) with root root' the covariance, float64.

    Examples
    --------
    >>> m, tau = torch.zeros(1, 1, 1), torch.ones(1, 1)  # x ~ N(0, 1) has D = m / (1 + tau^2), Cov = 1 / 2
    >>> denoised, root = covariance(lambda m: m / 2, m, tau)
    >>> round(root.square().item(), 6)
    0.5
    """
    with torch.enable_grad():
        m = m.detach().requires_grad_()
        denoised = denoise(m)
        rows = [torch.autograd.grad(denoised[..., i].sum(), m, retain_graph=True)[0] for i in range(denoised.shape[-1])]
    scaled = torch.stack(rows, -2).double() * tau.double().square()[..., None, :]
    values, vectors = torch.linalg.eigh((scaled + scaled.mT) / 2)
    return denoised.detach(), vectors * values.clamp_min(0).sqrt()[..., None, :]


def variances(
    rest: Callable[[Tensor], Tensor], here: Tensor, m: Tensor, tau: Tensor, signs: Tensor, probes: int
) -> Tensor:
    """Return tau_i^2 df_i/dm_i, (S, B, N), of f = D or of a part of it, by as many evaluations as there are probes.

    Each moves every so many-th input, all at once, by a small share of its noise with a random sign: what an answer
    owes to the others that moved has mean 0 over the signs (Hutchinson 1990), and neighbours move in different probes.

    Parameters
    ----------
    rest
        m -> f, shaped like m; a window's answer must depend on its own input alone.
    here
        (S, B, N) f at m.
    m, tau
        (S, B, N) inputs and their (B, N) levels; 0 is returned where these are 0 or inf.
    signs
        (S, B, N) random numbers of either sign.
    probes
        1 is exact where f_i looks at no other m, N for any f.

    Examples
    --------
    >>> m, tau = torch.zeros(1, 1, 1), torch.ones(1, 1)  # x ~ N(0, 1) has D = m / (1 + tau^2), Cov = 1 / 2
    >>> round(variances(lambda m: m / 2, m / 2, m, tau, torch.ones(1, 1, 1), 1).item(), 6)
    0.5
    """
    level = tau.masked_fill(torch.isinf(tau), 0.0)
    turn = torch.arange(m.shape[-1], device=m.device) % probes
    moved = STEP * torch.where(signs < 0, -level, level)
    change = torch.zeros_like(m)
    for probe in range(probes):
        mine = turn == probe
        change = torch.where(mine, rest(m + torch.where(mine, moved, 0.0)) - here, change)
    return level.square() * torch.where(moved == 0, 0.0, change / torch.where(moved == 0, 1.0, moved))
