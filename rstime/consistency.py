"""The consistency loss of a training example: what the network says at low levels, held to what it says above."""

from __future__ import annotations

import torch
from torch import Tensor

from rstime.denoiser import Denoiser
from rstime.diffusion.consistency import consistency_loss, descend
from rstime.examples import Example

LOWEST, HIGHEST = 0.05, 0.5  # sd: states that the loss is asked at; a channel is supported down to the first
SHARE = 4  # one window in so many


def consistency(denoiser: Denoiser, example: Example, generator: torch.Generator) -> Tensor:
    """Return the consistency loss averaged over the context's entries, of a quarter of the windows; 0 if there is none.

    Two states at a level log-uniform in [LOWEST, HIGHEST], the same for all windows, are sampled as answers are, with
    the example's inputs for the measurements: none of these is below the risk of its entry, so that data teach them.

    Parameters
    ----------
    denoiser
        With a network.
    example
        Its context is read.
    generator
        Of the level and the draws, on the CPU.
    """
    part, rows = example.context, slice(0, max(len(example.context.m) // SHARE, 1))
    tokens, m, tau = part.tokens.rows(rows), part.m[rows][None], part.tau[rows]
    exact = denoiser.precise()

    def ask(m: Tensor, tau: Tensor) -> Tensor:
        denoised: Tensor = exact(tokens, m, tau.masked_fill(~tokens.exists, torch.inf))[0]
        return denoised

    s = LOWEST * (HIGHEST / LOWEST) ** float(torch.rand((), generator=generator))
    e = torch.randn((2, *tau.shape), generator=generator).to(m)
    with torch.no_grad():
        above, belief = exact(tokens, m, tau)
        below, level = descend(ask, m, tau, s, e)
        second = ask(below[1:], level)
    first = ask(below[:1], level)
    loss = consistency_loss(above, first, second, belief.variance)[:, tokens.exists]
    return loss.sum() / max(loss.numel(), 1)
