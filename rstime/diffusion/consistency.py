"""Consistency: what holds at every level is learned below the smallest training risk from the levels above (theory 4).

An exact denoiser is a martingale along the reverse process (Daras, Dimakis, Daskalakis 2024, Consistent Diffusion Meets
Tweedie): D(m', tau') = E[D(m'', tau'') | m'] for every level vector tau'' < tau'.  With one level an entry the reverse
step is a measurement fusion: m'' is m' fused with a state x + s e of a clean x drawn from p(x | m').  Any m' will do,
above the smallest training risk or below; what the model says at m' is held, and its answers at m'' move.
"""

from __future__ import annotations

from torch import Tensor

from rstime.diffusion.levels import fuse

SMALLEST_VARIANCE = 1e-6  # as small as a prior's belief gets


def lower(m: Tensor, tau: Tensor, clean: Tensor, s: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
    """Take inputs at the levels tau one reverse step down: m'' = fuse(clean + s e, s, m, tau).

    Parameters
    ----------
    m, tau
        (..., N) inputs and (N) or (B, N) levels, inf for absent tokens.
    clean
        (..., N) draws of x given m.
    s
        Level of the state that is added, shaped like tau; inf for none.
    e
        Standard normal noise, shaped like clean.

    Returns
    -------
    m, tau
        Inputs at 1 / tau''^2 = 1 / tau^2 + 1 / s^2.  If clean ~ p(x | m) they are distributed, given m, as x + tau'' e
        is given that x + tau e is m.
    """
    present = s.isfinite()
    return fuse(clean + s.masked_fill(~present, 0.0) * e, s, m, tau)


def consistency_loss(above: Tensor, first: Tensor, second: Tensor, variance: Tensor) -> Tensor:
    """Return (D' - D''_1) (D' - D''_2) / V per entry: unbiased for the square of D' - E[D'' | m'].

    The plain square would also count the variance of D'', and push D'' to a constant.  Only `first` has a gradient,
    doubled, which is that of the product on average, since both draws have the same law.

    Parameters
    ----------
    above
        D(m', tau'), held.
    first, second
        D(m'', tau'') at two independent draws of m''; the second is held.
    variance
        V(tau''), the scale of the network's share of D''.
    """
    error = (above - second).detach() / variance.clamp_min(SMALLEST_VARIANCE)
    product = error * (above.detach() - first)
    return 2 * product - product.detach()
