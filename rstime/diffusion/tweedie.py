"""The covariance of the clean signal given the input, from the denoiser itself: second-order Tweedie (theory 4).

    Cov[x | m] = J diag(tau^2),   J = dD / dm

Exact for the exact denoiser of any law, where the covariance of a Gaussian model is right for Gaussian laws only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


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
