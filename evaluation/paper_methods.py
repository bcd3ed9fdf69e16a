"""Ways to learn from rows with risk: the paper's baselines, those that its reviewers asked for, and ours.

A method is a function (rows, schedule, budget, generator) -> generated clean rows. All share the network, the training
and the sampler of `paper_network`; they differ in what they show of a row, and in what is done while sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rstime.diffusion.sde import SDE
from rstime.errors import DataError
from rstime.evaluation.paper_network import Batch, Budget, Denoiser, Draw, generate, times, train
from rstime.evaluation.paper_prior import Factors, fit_factors
from rstime.evaluation.paper_sets import Rows
from rstime.types import Floats

Method = Callable[[Rows, SDE, Budget, torch.Generator, int], Tensor]
"""(rows, schedule, budget, generator, count) -> (count, N) rows."""

FEWEST = 20
"""Clean rows below which "clean" does not run."""

UNTOLD = 0.2
"""Share of training rows whose risk the conditional network is not told."""

GUIDANCE = 0.5
"""How far beyond the conditional estimate the sampler goes, in units of its distance from the unconditional one."""


def at_level(y: Tensor, r: Tensor) -> Draw:
    """Show each entry at the larger of s and its own risk; one of infinite risk is absent (theory 2 and 3)."""

    def draw(index: Tensor, s: Tensor, generator: torch.Generator) -> Batch:
        return Batch(y[index], r[index], torch.maximum(s, r[index]))

    return draw


def one_level(y: Tensor, r: Tensor) -> Draw:
    """Bring all entries of a row to its largest risk, from where it teaches (Ambient-Tweedie, Daras et al. 2024)."""

    def draw(index: Tensor, s: Tensor, generator: torch.Generator) -> Batch:
        own = r[index]
        largest = own.amax(-1, keepdim=True).expand_as(own)
        noise = torch.randn(own.shape, generator=generator)
        raised = y[index] + torch.sqrt((largest - own) * (largest + own)) * noise
        return Batch(raised, largest, torch.maximum(s, largest))

    return draw


def from_draws(draws: Tensor, spoilt: Tensor) -> Draw:
    """Show one of the fills of a row, another each time; entries that are filled do not teach (theory 4 and 6)."""

    def draw(index: Tensor, s: Tensor, generator: torch.Generator) -> Batch:
        which = torch.randint(len(draws), index.shape, generator=generator)
        y = draws[which, index]
        return Batch(y, torch.zeros_like(y), s.expand_as(y), ~spoilt[index])

    return draw


def told_risk(y: Tensor, condition: Tensor) -> Draw:
    """Take all entries as exact and tell the network the risk of most rows (classifier-free guidance)."""

    def draw(index: Tensor, s: Tensor, generator: torch.Generator) -> Batch:
        told = (torch.rand((len(index), 1), generator=generator) >= UNTOLD).to(y.dtype)
        zero = torch.zeros_like(y[index])
        return Batch(y[index], zero, s.expand_as(zero), condition=torch.cat([told * condition[index], told], -1))

    return draw


def posterior_mean(value: Floats, risk: Floats) -> Floats:
    """Return E[x | y] of rows whose law is the Gaussian fitted to them: what is denoised first, and exact entries."""
    mean, _ = fit_factors(value, risk)(_tensor(value), _tensor(risk))
    return np.where(risk > 0, mean.double().numpy(), value)


def _tensor(x: Floats) -> Tensor:
    return torch.as_tensor(x, dtype=torch.float32)


@dataclass(frozen=True)
class View:
    """What a method makes of the rows: how it shows them, how many there are, and the Gaussian that fits them."""

    draw: Draw
    count: int
    prior: Factors


def _plain(view: Callable[[Rows], View]) -> Method:
    """Make a method of its view of the rows."""

    def method(rows: Rows, schedule: SDE, budget: Budget, generator: torch.Generator, count: int) -> Tensor:
        seen = view(rows)
        network = train(Denoiser(seen.prior, budget), seen.draw, seen.count, schedule, budget, generator)
        with torch.no_grad():
            return generate(network.estimate, (count, rows.value.shape[1]), schedule, budget.evaluations, generator)

    return method


def _with_risk(show: Callable[[Tensor, Tensor], Draw], value: Floats, risk: Floats) -> View:
    return View(show(_tensor(value), _tensor(risk)), len(value), fit_factors(value, risk))


def _exact(value: Floats) -> View:
    return _with_risk(at_level, value, np.zeros_like(value))


def _clean(rows: Rows) -> View:
    kept = rows.value[~rows.spoilt.any(-1)]
    if len(kept) < FEWEST:
        raise DataError("rows", f"{len(kept)} without risk", f'"clean" takes at least {FEWEST}.')
    return _exact(kept)


def _drawn(rows: Rows) -> View:
    if not len(rows.draws):
        raise DataError("draws", "none: the entries are measurements", 'Use "ours".')
    every = rows.draws.reshape(-1, rows.value.shape[1])
    prior = fit_factors(every, np.zeros_like(every))
    return View(from_draws(_tensor(rows.draws), torch.as_tensor(rows.spoilt)), len(rows.value), prior)


def conditional(rows: Rows, schedule: SDE, budget: Budget, generator: torch.Generator, count: int) -> Tensor:
    """Learn rows given their risk, and generate at risk 0 with classifier-free guidance (Ho and Salimans 2022)."""
    entries, prior = rows.value.shape[1], _exact(rows.value).prior
    draw = told_risk(_tensor(rows.value), _tensor(rows.risk))
    network = train(Denoiser(prior, budget, entries + 1), draw, len(rows.value), schedule, budget, generator)
    nothing = torch.zeros((count, entries + 1))
    exact = torch.cat([nothing[:, :-1], torch.ones((count, 1))], -1)

    def denoise(x: Tensor, s: float) -> Tensor:
        return (1 + GUIDANCE) * network.estimate(x, s, exact) - GUIDANCE * network.estimate(x, s, nothing)

    with torch.no_grad():
        return generate(denoise, (count, entries), schedule, budget.evaluations, generator)


def variable(rows: Rows, schedule: SDE, budget: Budget, generator: torch.Generator, count: int) -> Tensor:
    """Learn rows and risk jointly; while sampling, hold the risk's half at 0 (Song et al. 2021, App. I)."""
    entries = rows.value.shape[1]
    centre, scale = rows.risk.mean(0), np.maximum(rows.risk.std(0), 1e-3)
    seen = _exact(np.concatenate([rows.value, (rows.risk - centre) / scale], -1))
    network = train(Denoiser(seen.prior, budget), seen.draw, seen.count, schedule, budget, generator)
    exact, noise = _tensor(-centre / scale), torch.randn((count, entries), generator=generator)

    def denoise(x: Tensor, s: float) -> Tensor:
        return network.estimate(torch.cat([x, exact + s * noise], -1), s)[:, :entries]

    with torch.no_grad():
        return generate(denoise, (count, entries), schedule, budget.evaluations, generator)


def regressor(rows: Rows, schedule: SDE, budget: Budget, generator: torch.Generator, count: int) -> Tensor:
    """Ignore risk in training; guide by a network that tells the risk of x(s) (Dhariwal and Nichol 2021).

    With p(r | x(s)) = N(R(x(s), s), c^2), D gains s^2 d ln p(r = 0 | x(s)) / dx(s).
    """
    y, r, seen = _tensor(rows.value), _tensor(rows.risk), _exact(rows.value)
    network = train(Denoiser(seen.prior, budget), seen.draw, seen.count, schedule, budget, generator)
    told, mean, spread = Denoiser(seen.prior, budget), r.mean(0), (r - r.mean(0)).square().mean()

    def guess(x: Tensor, s: Tensor) -> Tensor:
        level = s.expand_as(x)
        return mean + told.network(x, level, seen.prior(x, level)[0]) / (1 + s**2)

    optimiser = torch.optim.Adam(told.parameters(), lr=budget.rate / 2)
    for _ in range(budget.steps // 2):
        index = torch.randint(len(y), (budget.batch,), generator=generator)
        s = schedule.level(times(budget.batch, generator))
        x = y[index] + s * torch.randn((budget.batch, y.shape[1]), generator=generator)
        optimiser.zero_grad()
        torch.autograd.backward((guess(x, s) - r[index]).square().mean())
        optimiser.step()

    def denoise(x: Tensor, s: float) -> Tensor:
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            log_p = -guess(at, torch.full((len(x), 1), s)).square().sum() / (2 * spread)
            (slope,) = torch.autograd.grad(log_p, at)
        return network.estimate(x, s) + s**2 * slope

    with torch.no_grad():
        return generate(denoise, (count, y.shape[1]), schedule, budget.evaluations, generator)


def floor(rows: Rows, schedule: SDE, budget: Budget, generator: torch.Generator, count: int) -> Tensor:
    """Draw from the clean rows, which no method has: what remains of the distance by chance."""
    return _tensor(rows.clean)[torch.randint(len(rows.clean), (count,), generator=generator)]


METHODS: Mapping[str, Method] = {
    "floor": floor,
    "oracle": _plain(lambda rows: _exact(rows.clean)),
    "standard": _plain(lambda rows: _exact(rows.value)),
    "regressor": regressor,
    "variable": variable,
    "conditional": conditional,
    "clean": _plain(_clean),
    "denoise": _plain(lambda rows: _exact(posterior_mean(rows.value, rows.risk))),
    "ambient": _plain(lambda rows: _with_risk(one_level, rows.value, rows.risk)),
    "ours": _plain(lambda rows: _with_risk(at_level, rows.value, rows.risk)),
    "ours-missing": _plain(lambda rows: _with_risk(at_level, rows.value, np.where(rows.spoilt, math.inf, rows.risk))),
    "ours-drawn": _plain(_drawn),
}
"""Clean rows again; learned from them, which no method has; risk ignored; the risk guides, is generated along, or is
told; clean rows alone; denoised rows; one level a row; a level an entry; that with spoilt entries left out, or (fills
only) filled by a new draw each time."""
