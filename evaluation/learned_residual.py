"""Steps against accuracy of a residual learned from pairs, beside the start at the risk, which needs none.

    python -m rstime.evaluation.learned_residual [--risk 0.5] [--seeds 0 1 2] [--steps 4000] [--out FILE]

ResShift (Yue et al. 2023) goes from a degraded y to the clean x by a chain whose states are

    z = x + eta (y - x) + kappa sqrt(eta) e,     eta from 1 down to 0

and learns E[x | z, y]. Its states are made of x, so that training takes clean windows: here each is read anew at the
risk of the test in every step, the most that pairs can give. If y = x + r e', then (z - eta y) / (1 - eta) = x + s e
with s = kappa sqrt(eta) / (1 - eta) is a second measurement of x. So what the chain learns at one r is the denoiser at
the fusion (m, tau) of the two (theory 4), as m + tau F: F is the residual.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rstime import scores
from rstime.datasets.laws import MixtureTruth
from rstime.datasets.simulate import mixture_truth
from rstime.diffusion.levels import draw_states, fuse
from rstime.diffusion.loss import perturb, risk_sensitive_loss
from rstime.diffusion.samplers import Denoise
from rstime.evaluation.short_starts import Conditional, answer
from rstime.report import text_table
from rstime.types import Floats

CALLS = (1, 2, 4, 8)
KAPPA, SMALLEST_ROOT, POWER = 0.5, min(0.04 / 0.5, math.sqrt(0.001)), 0.3
"""Noise of the chain, in sd of the signal (of .25 to 2 the best at 4 and 8 calls with the law's own denoiser); smallest
sqrt(eta) and spacing of the others as published (Yue et al. 2023, sec. 2.2)."""

RISKS = (0.1, 1.0)
"""Risks of the readings that a model without pairs learns from, one a window, log-uniform."""

LENGTH, WINDOWS, TEST, SAMPLES = 24, 4000, 100, 100
WIDTH, BATCH, RATE, SMALLEST = 256, 128, 2e-3, 1e-3


class Restorer(nn.Module):
    """D(m, tau) = G + sqrt(V) F(m, G, tau), F two hidden layers that start at 0; one level a window.

    Parameters
    ----------
    entries
        N, of a window.
    covariance
        (N, N) of the Gaussian whose posterior mean and variance are G and V (theory 3); None for G = m, V = tau^2.
    """

    def __init__(self, entries: int, covariance: Floats | None = None):
        super().__init__()
        values, vectors = np.linalg.eigh(np.eye(entries) if covariance is None else covariance)
        self.vectors = torch.as_tensor(vectors, dtype=torch.float32)
        variances = torch.as_tensor(values, dtype=torch.float32).clamp_min(SMALLEST)
        self.precisions = torch.zeros(entries) if covariance is None else 1 / variances
        last = nn.Linear(WIDTH, entries)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        first = nn.Linear(2 * entries + 1, WIDTH)
        self.layers = nn.Sequential(first, nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), last)

    def forward(self, m: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Return D and V, (B, N), of (B, N) inputs at (B, 1) levels."""
        share = 1 / (1 + self.precisions * tau**2)
        mean = ((m @ self.vectors) * share) @ self.vectors.T
        variance = (share * tau**2) @ self.vectors.T.square()
        inputs = torch.cat([m / torch.sqrt(1 + tau**2), mean / torch.sqrt(1 + tau**2), tau.log() / 4], -1)
        return mean + variance.sqrt() * self.layers(inputs), variance


def _descend(network: nn.Module, loss: Callable[[], Tensor], steps: int) -> None:
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        torch.autograd.backward(loss())
        optimiser.step()
        rate.step()
    network.eval().requires_grad_(False)


def learn_pairs(clean: Tensor, risk: float, seed: int, steps: int) -> Restorer:
    """Learn the residual of (n, N) clean windows, read anew each time: min E|D - x|^2 / tau^2."""
    torch.manual_seed(seed)
    network, generator = Restorer(clean.shape[1]), torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        x = clean[torch.randint(len(clean), (BATCH,), generator=generator)]
        y, state = (torch.randn(x.shape, generator=generator) for _ in range(2))
        s = draw_states((BATCH, 1), generator)
        m, tau = fuse(x + s.nan_to_num(posinf=1.0) * state, s, x + risk * y, torch.full_like(s, risk))
        denoised, variance = network(m, tau)
        return torch.as_tensor(((denoised - x).square() / variance).mean())

    _descend(network, loss, steps)
    return network


def learn_readings(y: Tensor, r: Tensor, seed: int, steps: int) -> Restorer:
    """Learn from (n, N) readings of (n, 1) risk, exact ones included, by the risk-sensitive loss; no clean value."""
    torch.manual_seed(seed)
    covariance = (y.T @ y / len(y) - r.square().mean() * torch.eye(y.shape[1])).double().numpy()
    network, generator = Restorer(y.shape[1], covariance), torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        rows = torch.randint(len(y), (BATCH,), generator=generator)
        s, zero = draw_states((BATCH, 1), generator), torch.zeros((BATCH, 1))
        added = fuse(zero, s, zero, _risks((BATCH, 1), generator))[1]
        value, risk = y[rows], r[rows].expand(-1, y.shape[1])
        tau = torch.hypot(r[rows], added)
        noise = torch.randn(risk.shape, generator=generator)
        denoised, variance = network(perturb(value, risk, tau.expand_as(risk), noise), tau)
        return risk_sensitive_loss(denoised, value, risk, tau.expand_as(risk), noise, variance).mean()

    _descend(network, loss, steps)
    return network


def _risks(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    low, high = RISKS
    return low * (high / low) ** torch.rand(shape, generator=generator)


def shifts(calls: int) -> tuple[float, ...]:
    """Return eta_T = 1 > ... > eta_1: sqrt(eta_t) = sqrt(eta_1)^(1 - ((t - 1) / (T - 1))^POWER); 1 alone for T = 1."""
    grid = [(step / (calls - 1)) ** POWER for step in range(calls - 1, -1, -1)] if calls > 1 else [1.0]
    return tuple(SMALLEST_ROOT ** (2 * (1 - part)) for part in grid)


def chain(denoise: Denoise, y: Tensor, noise: Tensor, calls: int) -> Tensor:
    """Draw (B, N) windows by the chain from y + kappa e on (Yue et al. 2023, eq. 7).

    Parameters
    ----------
    denoise
        (x + s e, s) -> estimate of x given that and y; it does not look at the state at s = inf.
    noise
        (calls, B, N) standard normal.
    calls
        Of `denoise`; what the last one gives is returned.
    """
    etas = shifts(calls)
    z = y + KAPPA * noise[0]
    estimate = denoise(z, math.inf)
    for k in range(1, calls):
        kept = etas[k] / etas[k - 1]
        z = kept * z + (1 - kept) * estimate + KAPPA * math.sqrt(etas[k] * (1 - kept)) * noise[k]
        estimate = denoise((z - etas[k] * y) / (1 - etas[k]), KAPPA * math.sqrt(etas[k]) / (1 - etas[k]))
    return estimate


def compare(risk: float, seed: int, steps: int) -> pd.DataFrame:
    """Return a row for each way: CRPS over that of the exact posterior, and the variance over its, by calls."""
    law, rng = mixture_truth(LENGTH), np.random.default_rng(seed)
    clean, test = torch.from_numpy(law.draw(rng, WINDOWS)).float(), law.draw(rng, TEST)
    y = test + risk * rng.standard_normal(test.shape)
    generator = torch.Generator().manual_seed(seed)
    r = _risks((WINDOWS, 1), generator)
    read = clean + r * torch.randn(clean.shape, generator=generator)
    rows = torch.from_numpy(y).repeat(SAMPLES, 1)  # sample after sample
    told = torch.full((LENGTH,), risk, dtype=torch.float64)

    def fused(network: Restorer, x: Tensor, s: float) -> Tensor:
        m, tau = (part.float() for part in fuse(x, s, rows, told))
        return torch.as_tensor(network(m, tau[:1, None].expand(len(m), 1))[0].double())

    own = Conditional(law, rows, told)
    ways: dict[str, tuple[str, Denoise]] = {
        "residual from clean pairs": ("chain", partial(fused, learn_pairs(clean, risk, seed, steps))),
        "the same, the law's own": ("chain", own),
        "risk, from noisy readings": ("short", partial(fused, learn_readings(read, r, seed, steps))),
        "risk, from clean windows": ("short", partial(fused, learn_readings(clean, 0 * r, seed, steps))),
        "risk, the law's own": ("short", own),
    }
    limit, variance = _limit(law, test, y, risk, rng)
    table = []
    for name, (kind, denoise) in ways.items():
        row: dict[str, object] = {"seed": seed, "way": name}
        for calls in CALLS:
            draws = torch.Generator().manual_seed(seed)
            noise = torch.randn((calls, *rows.shape), generator=draws, dtype=torch.float64)
            end = chain(denoise, rows, noise, calls) if kind == "chain" else answer(kind, denoise, noise, calls)
            drawn = end.numpy().reshape(SAMPLES, TEST, LENGTH)
            row[f"CRPS, {calls}"] = float(scores.crps_samples(drawn, test).mean() / limit)
            row[f"variance, {calls}"] = float(drawn.var(0, ddof=1).mean() / variance)
        table.append(row)
    columns = [f"{name}, {calls}" for name in ("CRPS", "variance") for calls in CALLS]
    return pd.DataFrame(table)[["seed", "way", *columns]]


def _limit(law: MixtureTruth, test: Floats, y: Floats, risk: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the exact posterior's mean CRPS and variance."""
    exact = [law.posterior(one, np.full(len(one), risk)) for one in y]
    crps = [scores.crps_samples(part.draw(rng, 400), x).mean() for part, x in zip(exact, test, strict=True)]
    return float(np.mean(crps)), float(np.mean([part.moments().covariance.diagonal() for part in exact]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write it to a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--risk", type=float, default=0.5, help="of every reading, in sd of the signal (default: 0.5)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=4000, help="of training (default: 4000)")
    parser.add_argument("--out", type=Path, help=".csv to write")
    options = parser.parse_args(arguments)
    table = pd.concat([compare(options.risk, seed, options.steps) for seed in options.seeds], ignore_index=True)
    print(text_table(table, digits=2))
    if options.out is not None:
        table.to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
