"""Levels per entry: how a measurement and the state of the sampler become one input of the denoiser.

An entry is known through its measurement y = x + r e and, while sampling, through the state x(s) = x + s e'. Both
are independent Gaussian measurements of the clean x, so their precisions add (measurement fusion):

    1 / tau^2 = 1 / r^2 + 1 / s^2          m / tau^2 = y / r^2 + x(s) / s^2

A denoiser D(m, tau) = E[x | m] fed with them is therefore E[x | x(s), y]: exact conditioning for any sampler.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def fuse(x: Tensor, s: Tensor | float, y: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """Fuse the state x(s) at level s with the measurement y of risk r.

    Parameters
    ----------
    x
        (..., N) state of the sampler; not read where s = inf.
    s
        Level of the state in the units of x, scalar or shaped like r; inf for no state.
    y
        (..., N) measurements; not read where r = inf.
    r
        (N) or (..., N) risk, in [0, inf]; x and y may have more leading axes.

    Returns
    -------
    m, tau
        The sufficient statistic of each entry, shaped like x, and its level, shaped like r and s.
        r = inf gives (x, s), s = inf gives (y, r), r = 0 gives (y, 0), and both infinite give (0, inf): absent.
    """
    level = torch.as_tensor(s, dtype=r.dtype, device=r.device)
    level, risk = level + torch.zeros_like(r), r + torch.zeros_like(level)
    unmeasured, unstarted = torch.isinf(risk), torch.isinf(level)
    either = unmeasured | unstarted
    a, b = risk.masked_fill(unmeasured, 1.0), level.masked_fill(unstarted, 1.0).clamp_min(torch.finfo(r.dtype).tiny)
    both = torch.hypot(a, b)  # ratios to it neither overflow nor cancel
    state = (a / both).square().masked_fill(either, 0.0).masked_fill(unmeasured & ~unstarted, 1.0)  # share of x(s)
    measured = (b / both).square().masked_fill(either, 0.0).masked_fill(unstarted & ~unmeasured, 1.0)  # share of y
    m = torch.where(state > 0, state * x, 0.0) + torch.where(measured > 0, measured * y, 0.0)
    return m, torch.minimum(risk, level) * (torch.maximum(a, b) / both).masked_fill(either, 1.0)


LOG_LEVEL_MEAN = -0.6
LOG_LEVEL_SD = 1.3
NO_STATE = 0.1
EDGE = 0.25


def draw_states(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw levels of the sampler to train on: log-normal, with an atom at s = inf (no state, the one-pass mean)."""
    s = torch.exp(LOG_LEVEL_MEAN + LOG_LEVEL_SD * torch.randn(shape, generator=generator))
    return s.masked_fill(torch.rand(shape, generator=generator) < NO_STATE, math.inf)


def draw_levels(
    risk: Tensor, hidden: Tensor, generator: torch.Generator, isolated: bool = False
) -> tuple[Tensor, Tensor]:
    """Draw the level of every measured entry of a training batch, as the sampler will meet them.

    A hidden entry is met at the state's level s. Any other is met as a measurement of a virtual risk rho fused with s,
    rho independent of its own risk: exact, or the risk of another entry of the batch. In a quarter of the windows the
    entries sit at the edge instead, tau^2 = r^2 + v^2 with v log-normal, where one-pass denoising is read. A level
    below the entry's own risk is raised to it: such an entry teaches nothing and informs the others.

    Parameters
    ----------
    risk
        (B, T, C) scaled risk, inf where there is no entry.
    hidden
        (B, T, C) entries to be met as if they had not been measured.
    isolated
        Hidden entries do not see each other: each has a level of its own, and the others are held at their risk.

    Returns
    -------
    tau, s
        (B, T, C) levels, tau >= risk where the entry exists, inf elsewhere; the state levels behind them, (B, 1, 1) if
        a window shares one.
    """
    window = (len(risk), 1, 1)
    s = draw_states(tuple(risk.shape) if isolated else window, generator)
    exact = torch.rand(window, generator=generator)  # share of the context that is exact, by window
    rho = shuffle_risks(risk, generator).masked_fill(torch.rand(risk.shape, generator=generator) < exact, 0.0)
    _, fused = fuse(torch.zeros_like(risk), s, torch.zeros_like(risk), rho.masked_fill(hidden, math.inf))
    tau = torch.where(hidden, s, rho) if isolated else fused
    extra = torch.exp(LOG_LEVEL_MEAN + LOG_LEVEL_SD * torch.randn(risk.shape, generator=generator))
    edge = (torch.rand(window, generator=generator) < EDGE) & ~hidden
    tau = torch.where(edge, torch.sqrt(risk.square() + extra.square()), tau)
    return torch.where(torch.isfinite(risk), torch.maximum(tau, risk), math.inf), s


def shuffle_risks(risk: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a virtual risk for each entry from the finite risks of the whole batch."""
    pool = risk[torch.isfinite(risk)]
    index = torch.randint(max(len(pool), 1), risk.shape, generator=generator)
    return pool[index] if len(pool) else torch.zeros_like(risk)
