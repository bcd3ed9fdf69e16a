"""Likelihood of noisy measurements, and where each lies in its predictive law, by the probability-flow ODE (theory 4).

A measurement y = x + r e is a state at the level r already.  More noise of a common variance s^2 takes all that are
asked about from tau_i = r_i to tau_i^2 = r_i^2 + s^2, and the ODE that has these marginals is

    dm_i / ds^2 = -score_i / 2 = (m_i - D_i) / (2 tau_i^2)        (Song et al. 2021, eq. 13; a level an entry: ours)
    log p(y) = log p(m at s) + integral of sum_i (1 - dD_i/dm_i) / (2 tau_i^2) ds^2

up to an s so large that m is Gaussian.  Entries that are held at their (y, r) are a condition: D is then the
conditional denoiser and p the conditional density; absent ones are left out, that is marginalised.  In one dimension
the same ODE keeps every quantile, so that its end tells how far out in its predictive law a measurement lies, beside
how likely it is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rstime.diffusion.ode import integrate

FLOOR = 0.02  # sd: smallest risk; exact measurements are told apart to this precision
TOP = 100.0  # sd: s at the end
TOLERANCE = 1e-4

Traced = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def log_likelihood(denoise: Traced, y: Tensor, r: Tensor, scored: Tensor, tolerance: float = TOLERANCE) -> Tensor:
    """Return log p(scored entries of y | the others), (B,), in nats.

    Parameters
    ----------
    denoise
        (m, tau) -> D = E[x | m], and its derivatives dD_i/dm_i, or an unbiased estimate of them; each (B, N).
    y
        (B, N) measurements, float64.
    r
        (N) or (B, N) risk; at least FLOOR where scored, inf where there is no measurement.
    scored
        (N) or (B, N) entries whose density is asked for; those of finite r that are not are a condition.
    tolerance
        Of a step of the ODE.
    """
    both = torch.cat([y, y.new_zeros(*y.shape[:-1], 1)], -1)

    def field(clock: float, state: Tensor) -> Tensor:
        m, tau, pull = _at(clock, state[..., :-1], r, scored)
        denoised, derivative = denoise(m, tau)
        spread = torch.where(scored, pull * (1 - derivative), 0.0).expand_as(m).sum(-1, keepdim=True)
        return torch.cat([torch.where(scored, pull * (m - denoised), 0.0), spread], -1)

    end = integrate(field, both, 0.0, _end(), tolerance)
    m, tau, _ = _at(_end(), end[..., :-1], r, scored)
    denoised, derivative = denoise(m, tau)  # of N(mean, V + tau^2): D = mean + J (m - mean), J = V / (V + tau^2)
    variance = tau.square() / (1 - derivative)
    residual = (m - denoised) / (1 - derivative)
    density = -0.5 * (residual.square() / variance + variance.log() + math.log(2 * math.pi))
    return torch.where(scored, density, 0.0).sum(-1) + end[..., -1]


def predictive(
    denoise: Traced, y: Tensor, r: Tensor, mean: Tensor, variance: Tensor, tolerance: float = TOLERANCE
) -> tuple[Tensor, Tensor]:
    """Return Phi^-1(P(Y <= y)) and log p(y), (B, N), of each measurement under its own law, given what predicts it.

    Parameters
    ----------
    denoise
        (m, tau) -> E[x_i | m_i, what it is predicted from], entry by entry, and its derivatives; D_i looks at no
        other m. Each (B, N).
    y, r
        (B, N) measurements, float64, and their risk, in [FLOOR, inf); Y = x + r e.
    mean, variance
        (B, N) of x_i before y_i is seen.
    tolerance
        Of a step of the ODE.
    """
    everywhere = torch.ones_like(r, dtype=torch.bool)

    def field(clock: float, state: Tensor) -> Tensor:
        m, tau, pull = _at(clock, state.chunk(2, -1)[0], r, everywhere)
        denoised, derivative = denoise(m, tau)
        return torch.cat([pull * (m - denoised), pull * (1 - derivative)], -1)

    end = integrate(field, torch.cat([y, torch.zeros_like(y)], -1), 0.0, _end(), tolerance)
    last, spread = end.chunk(2, -1)
    m, tau, _ = _at(_end(), last, r, everywhere)
    sd = (variance + tau.square()).sqrt()
    score = (m - mean) / sd
    return score, spread - sd.log() - 0.5 * (score.square() + math.log(2 * math.pi))


def differentiate(function: Callable[[Tensor], Tensor], m: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
    """Return f(m) and df_i/dm_i = sum_k v_i (J^T v)_i, each (B, N).

    Exact for all unit vectors as probes; unbiased for random signs over sqrt(K) (Hutchinson 1990).

    Parameters
    ----------
    function
        (K, B, N) -> (K, B, N), differentiable, of each of the K alone.
    m
        (B, N).
    probes
        (K, B, N) vectors v.
    """
    with torch.enable_grad():
        leaf = m.detach().expand(probes.shape).clone().requires_grad_()
        value = function(leaf)
        (pulled,) = torch.autograd.grad((value * probes).sum(), leaf)
    return value[0].detach(), (pulled * probes).sum(0)


def _at(clock: float, m: Tensor, r: Tensor, scored: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return m, tau and d s^2 / (2 tau^2) at a clock of ln(1 + s^2 / FLOOR^2)."""
    added = FLOOR**2 * math.expm1(clock)
    tau = torch.where(scored, (r.square() + added).sqrt(), r)
    return m, tau, torch.where(scored, (added + FLOOR**2) / (2 * tau.square()), 0.0)


def _end() -> float:
    return math.log1p((TOP / FLOOR) ** 2)
