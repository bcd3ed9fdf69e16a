"""The consistency loss of a training example: what the network says at low levels, held to what it says above."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rstime.denoiser import Denoiser
from rstime.diffusion.consistency import consistency_loss, lower
from rstime.examples import Example

LOWEST, HIGHEST = 0.05, 1.5  # sd: states that the loss is asked at; a channel is supported down to the first
WIDEST = 3.0  # largest ratio of the state of the second step to that of the first: the larger, the shorter the step
SHARE = 4  # one window in so many


def consistency(denoiser: Denoiser, example: Example, generator: torch.Generator) -> Tensor:
    """Return the consistency loss averaged over the context's entries, of a quarter of the windows.

    The example's inputs are taken down to a state level s' by a draw of the model's own, to any m' that answers will
    meet, and from there by two more to s''. A draw is N(D, Cov[x | m]) with the Gaussian model's covariance: exact for
    Gaussian laws, and else as far as one step of the sampler is.

    Parameters
    ----------
    denoiser
        With a network.
    example
        Its context is read: inputs at the levels that data teach.
    generator
        Of levels and draws, on the CPU.
    """
    part, rows = example.context, slice(0, max(len(example.context.m) // SHARE, 1))
    tokens, m, tau = part.tokens.rows(rows), part.m[rows][None], part.tau[rows]
    exact = denoiser.precise()
    low, high = math.log(LOWEST), math.log(HIGHEST)
    s = torch.exp(low + (high - low) * torch.rand((len(tau), 1), generator=generator)).to(tau)
    ratio = torch.exp(math.log(WIDEST) * torch.rand((len(tau), 1), generator=generator)).to(tau)

    def step(m: Tensor, tau: Tensor, mean: Tensor, s: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        normal = torch.randn((2, draws, *tau.shape), generator=generator).to(tau)
        spread = exact.prior.condition(tokens.double(), tau.double()).noise(normal[0].double()).to(tau.dtype)
        return lower(m.expand_as(spread), tau, mean + spread, s.masked_fill(~tokens.exists, math.inf), normal[1])

    with torch.no_grad():
        m, tau = step(m, tau, exact(tokens, m, tau)[0], s, 1)
        above = exact(tokens, m, tau)[0]
        m, tau = step(m, tau, above, s * ratio, 2)
        second, belief = exact(tokens, m[1:], tau)
    first = exact(tokens, m[:1], tau)[0]
    return consistency_loss(above, first, second, belief.variance)[:, tokens.exists].mean()
