"""The end of a path: what the last draw is made around, and how wide it is (theory 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rstime.belief import Belief
from rstime.denoiser import Denoiser
from rstime.diffusion.tweedie import variances

COVARIANCES = ("gaussian", "tweedie")
PROBES = 2


@dataclass(frozen=True, eq=False)
class End:
    """What the last draw is made of.

    Attributes
    ----------
    mean
        (S, B, N) D.
    belief
        The prior's at the same inputs.
    width
        (S, B, N) factor on draws from the prior's covariance.
    """

    mean: Tensor
    belief: Belief
    width: Tensor


def leave(
    denoiser: Denoiser,
    ask: Callable[[Denoiser, Tensor], tuple[Tensor, Belief]],
    m: Tensor,
    tau: Tensor,
    signs: Callable[[], Tensor],
    probes: int,
) -> End:
    """Evaluate the denoiser at the exit, and with it how wide the draw there is to be.

        Cov[x | m] = W Cov_G W,     W_i^2 = (V_i + tau_i^2 d(D - G)_i / dm_i) / V_i

    with G, V and Cov_G of the Gaussian model: the variances are those of second-order Tweedie, the correlations the
    Gaussian model's. It is a covariance whatever the network says, and exact for Gaussian laws, where D = G; W_i is 1
    where the level is 0 or infinite.

    Parameters
    ----------
    denoiser, ask
        (denoiser, m) -> D and the prior's belief.
    m, tau
        (S, B, N) inputs and their (B, N) levels.
    signs
        Draws (S, B, N) random numbers of either sign.
    probes
        Evaluations for W, beside the one for D; all in float32. 0 leaves W at 1.
    """
    if not probes or denoiser.network is None:
        denoised, belief = ask(denoiser, m)
        return End(denoised, belief, torch.ones_like(denoised))
    source = denoiser.precise()

    def rest(m: Tensor) -> Tensor:
        denoised, belief = ask(source, m)
        return denoised - belief.mean

    denoised, belief = ask(source, m)
    here = denoised - belief.mean
    return End(denoised, belief, own_width(rest, here, belief.variance, m, tau, signs(), probes))


def own_width(
    rest: Callable[[Tensor], Tensor], here: Tensor, variance: Tensor, m: Tensor, tau: Tensor, signs: Tensor, probes: int
) -> Tensor:
    """Return W of `leave`, (S, B, N), from f = D - G, its value here, and V; the others as `variances` takes them."""
    change = variances(rest, here, m, tau, signs, probes)
    return (1 + change / variance).clamp_min(0.0).sqrt()
