"""One small denoiser, one training loop and one sampler for all methods of the paper's experiments.

VE and VP are one process in the level tau = v / u (theory 2). Their network input is x(t) scaled to variance 1, which
for both is m / sqrt(1 + tau^2); what tells them apart is which levels are trained on, and the grid that is sampled on:
t uniform.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rstime.diffusion.loss import perturb as raise_level
from rstime.diffusion.loss import risk_sensitive_loss, teaches
from rstime.diffusion.samplers import multistep
from rstime.diffusion.sde import SDE, VE, VP
from rstime.evaluation.paper_prior import Factors

SCHEDULES: Mapping[str, SDE] = {"VE": VE(), "VP": VP()}
EARLIEST = 1e-3
"""Diffusion time at which sampling ends; training draws times between it and 1."""


@dataclass(frozen=True)
class Budget:
    """How large the network is and how long it learns.

    Attributes
    ----------
    width, layers
        Of the network.
    steps, batch, rate
        Training steps, rows in each, and the learning rate, which falls to 0 as a half cosine.
    evaluations
        Levels of the sampler.
    """

    width: int = 128
    layers: int = 3
    steps: int = 1000
    batch: int = 128
    rate: float = 2e-3
    evaluations: int = 100


class Denoiser(nn.Module):
    """D(m, tau) = G(m, tau) + sqrt(V(tau)) F(m, tau, G), the Gaussian G, V of a few factors as its start (theory 3).

    Parameters
    ----------
    prior
        G and V, fitted to the rows as the method sees them.
    conditions
        Further numbers that F is told of a row.
    """

    def __init__(self, prior: Factors, budget: Budget, conditions: int = 0):
        super().__init__()
        entries = len(prior.mean)
        self.prior = prior
        self.first = nn.Linear(4 * entries + conditions, budget.width)
        self.inner = nn.ModuleList(nn.Linear(budget.width, budget.width) for _ in range(budget.layers - 1))
        self.last = nn.Linear(budget.width, entries)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def network(self, m: Tensor, tau: Tensor, mean: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return F: (B, N) from rows m at levels tau and their Gaussian mean; an entry with tau = inf is absent."""
        there = torch.isfinite(tau)
        level = tau.masked_fill(~there, 1.0)
        scaled = (m / torch.sqrt(1 + level**2)).masked_fill(~there, 0.0)
        share = (1 / (1 + level**2)).masked_fill(~there, 0.0).expand_as(m)
        size = (level.clamp_min(EARLIEST).log() / 4).masked_fill(~there, 0.0).expand_as(m)
        parts = [scaled, share, size, mean] + ([] if condition is None else [condition])
        x = nn.functional.silu(self.first(torch.cat(parts, -1)))
        for layer in self.inner:
            x = x + nn.functional.silu(layer(x))
        return torch.as_tensor(self.last(x))

    def forward(self, m: Tensor, tau: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return D and V, (B, N): the estimate of the clean rows, and the Gaussian's posterior variance."""
        mean, variance = self.prior(m, tau)
        return mean + variance.sqrt() * self.network(m, tau, mean, condition), variance

    def estimate(self, x: Tensor, s: float, condition: Tensor | None = None) -> Tensor:
        """Return D where all entries of all rows are at the level s."""
        return torch.as_tensor(self(x, torch.full_like(x[:1], s), condition)[0])


@dataclass(frozen=True)
class Batch:
    """What a method shows of some rows at the level s.

    Attributes
    ----------
    y, r
        (B, N) values and the risk that they are taken to have.
    tau
        (B, N) levels, at least r; an entry teaches where tau > r.
    taught
        (B, N) further entries that must not teach are False; None for none.
    condition
        (B, K) what the network is told besides; None for nothing.
    """

    y: Tensor
    r: Tensor
    tau: Tensor
    taught: Tensor | None = None
    condition: Tensor | None = None


Draw = Callable[[Tensor, Tensor, torch.Generator], Batch]
"""(indices of rows, (B, 1) levels s, generator) -> batch."""


def times(count: int, generator: torch.Generator) -> Tensor:
    """Draw (count, 1) times, one in each of `count` equal parts of [EARLIEST, 1]."""
    steps = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
    return (EARLIEST + (1 - EARLIEST) * steps)[:, None]


def loss_of(denoised: Tensor, variance: Tensor, batch: Batch, noise: Tensor) -> Tensor:
    """Return the risk-sensitive loss, mean over the entries that teach (theory 3), V that of the Gaussian."""
    use = teaches(batch.r, batch.tau)
    use = use if batch.taught is None else use & batch.taught
    loss = risk_sensitive_loss(denoised, batch.y, batch.r, batch.tau, noise, variance)
    return loss.masked_fill(~use, 0.0).sum() / use.sum().clamp_min(1)


def train(
    network: Denoiser, draw: Draw, rows: int, schedule: SDE, budget: Budget, generator: torch.Generator
) -> Denoiser:
    """Train for a fixed number of steps on rows as a method shows them, and return the network.

    Parameters
    ----------
    draw
        The method.
    rows
        How many rows there are to draw from.
    """
    optimiser = torch.optim.Adam(network.parameters(), lr=budget.rate)
    for step in range(budget.steps):
        for group in optimiser.param_groups:
            group["lr"] = budget.rate * 0.5 * (1 + math.cos(math.pi * step / budget.steps))
        index = torch.randint(rows, (budget.batch,), generator=generator)
        batch = draw(index, schedule.level(times(budget.batch, generator)), generator)
        noise = torch.randn(batch.y.shape, generator=generator)
        denoised, variance = network(raise_level(batch.y, batch.r, batch.tau, noise), batch.tau, batch.condition)
        optimiser.zero_grad()
        torch.autograd.backward(loss_of(denoised, variance, batch, noise))
        optimiser.step()
    return network


def levels_of(schedule: SDE, evaluations: int) -> tuple[float, ...]:
    """Return the levels of times on an even grid from 1 to EARLIEST."""
    return tuple(schedule.level(torch.linspace(1, EARLIEST, evaluations, dtype=torch.float64)).tolist())


def generate(
    denoise: Callable[[Tensor, float], Tensor],
    shape: tuple[int, int],
    schedule: SDE,
    evaluations: int,
    generator: torch.Generator,
) -> Tensor:
    """Draw rows by the probability-flow ODE, from noise at the schedule's largest level.

    Parameters
    ----------
    denoise
        (state x + s e, s) -> estimate of x.
    shape
        Rows and entries.
    """
    levels = levels_of(schedule, evaluations)
    start = math.sqrt(1 + levels[0] ** 2) * torch.randn(shape, generator=generator)
    return denoise(multistep(denoise, start, levels), levels[-1])
