"""Consistency: what holds at every level is learned below the smallest training risk from the levels above (theory 4).

An exact denoiser is a martingale along the reverse process (Daras, Dimakis, Daskalakis 2024, Consistent Diffusion Meets
Tweedie): D(m, tau) = E[D(m'', tau'') | m] for every level vector tau'' < tau.  With one level an entry the reverse
process is what answers are sampled by, m taken for the measurement: m'' is m fused with a state x + s e of a clean x
drawn from p(x | m).  What the model says at m, a level that data teach, is held, and its answers at m'' move.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from rstime.diffusion.levels import fuse
from rstime.diffusion.samplers import default_levels, multistep

SMALLEST_VARIANCE = 1e-6  # as small as a prior's belief gets
EVALUATIONS = 7  # levels of the path from s = inf to a draw


def descend(
    denoise: Callable[[Tensor, Tensor], Tensor], m: Tensor, tau: Tensor, s: float, e: Tensor
) -> tuple[Tensor, Tensor]:
    """Draw inputs at lower levels given those at tau: m'' = fuse(x(s), s, m, tau), with x(s) sampled given m.

    A single Gaussian draw of x, in place of the path, is right in mean and variance at best, and wrong where p(x | m)
    has two peaks: then it is not the martingale that is learned.

    Parameters
    ----------
    denoise
        (m, tau) -> E[x | m], shaped like m.
    m, tau
        (S, B, N) or (1, B, N) inputs and their (B, N) levels.
    s
        Level of the state that is added.
    e
        (S, B, N) standard normal noise, one draw for each.

    Returns
    -------
    m, tau
        (S, B, N) inputs at 1 / tau''^2 = 1 / tau^2 + 1 / s^2, distributed, given m, as x + tau'' e is given that
        x + tau e is m, up to the steps of the path.
    """

    def inputs(state: Tensor, level: float) -> tuple[Tensor, Tensor]:
        return fuse(state, level, m, tau)

    state = multistep(lambda x, level: denoise(*inputs(x, level)), e, default_levels(EVALUATIONS, s))
    return inputs(state, s)


def consistency_loss(above: Tensor, first: Tensor, second: Tensor, variance: Tensor) -> Tensor:
    """Return (D - D''_1) (D - D''_2) / V per entry: unbiased for the square of D - E[D'' | m].

    The plain square would also count the variance of D'', and push D'' to a constant.  Only `first` has a gradient,
    doubled, which is that of the product on average, since both draws have the same law.

    Parameters
    ----------
    above
        D(m, tau), held.
    first, second
        D(m'', tau'') at two independent draws of m''; the second is held.
    variance
        V(tau), about the variance of a draw of D'': with V(tau'') the low levels would drown what data teach.
    """
    error = (above - second).detach() / variance.clamp_min(SMALLEST_VARIANCE)
    product = error * (above.detach() - first)
    return 2 * product - product.detach()
